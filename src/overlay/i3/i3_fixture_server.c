/* Servers of the lab: where they are, and the ring that they form. */
#include "overlay/i3/i3_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "i3/i3_server.h"

/* What a trigger led to an address: a packet without options. */
static bool is_delivery(const struct i3_server_out *out)
{
    return out->port == I3_PORT_CLIENTS && out->letter.size > 1 && out->letter.bytes[1] == I3_DATA;
}

void lab_server_pump(struct lab *l, struct lab_server *s)
{
    struct i3_server_out out;
    while (!s->dead && i3_server_output(s->server, &out)) {
        if (s->lies & LAB_LIE_KEEP && is_delivery(&out))
            continue;
        bool clients = out.port == I3_PORT_CLIENTS,
             first = out.letter.to.ip.family == s->at.ip.family;
        lab_send(l,
                 first     ? clients ? &s->at : &s->ring
                 : clients ? &s->also
                           : &s->also_ring,
                 &out.letter.to, out.letter.bytes, out.letter.size);
    }
}

static void server_place(struct lab *l, unsigned index)
{
    struct lab_server *s = &l->server[index];
    char four[ENDPOINT_TEXT], six[ENDPOINT_TEXT];
    snprintf(four, sizeof four, "192.0.2.%u:5610", index + 1);
    snprintf(six, sizeof six, "[2001:db8::%u]:5610", index + 1);
    bool six_first = l->speech == LAB_SIX || (l->speech == LAB_BOTH && l->secret && index % 2);
    s->at = lab_endpoint(six_first ? six : four);
    if (l->speech == LAB_BOTH)
        s->also = lab_endpoint(six_first ? four : six);
}

/* `ring`: the first so many servers are in it. */
static void server_start(struct lab *l, unsigned index, unsigned ring)
{
    struct lab_server *s = &l->server[index];
    seeded_init(&s->random, l->seed * 10 + index);
    s->ring = s->at;
    s->also_ring = s->also;
    s->ring.port = s->also_ring.port = 6510;
    struct i3_server_settings settings = {.at = s->at,
                                          .also = s->also,
                                          .triggers = 1000,
                                          .per_client = 500,
                                          .requests = 2000,
                                          .outbox = 1 << 20,
                                          .entropy = &s->random.entropy};
    settings.chord.self.at = s->ring;
    settings.chord.self.id.bytes[0] = (uint8_t)(0x40 * index + 0x20);
    for (unsigned k = 0; k < ring; k++)
        if (k != index) {
            struct endpoint *seed_at = &settings.chord.seed[settings.chord.seeds++];
            *seed_at = l->server[k].at;
            seed_at->port = 6510;
        }
    settings.chord.secret = l->secret;
    s->server = i3_server_new(&settings, l->now);
    assert_non_null(s->server);
    lab_server_pump(l, s);
}

struct lab *lab_new(unsigned servers, uint64_t seed)
{
    return lab_new_speaking(servers, seed, LAB_FOUR, NULL);
}

struct lab *lab_new_speaking(unsigned servers, uint64_t seed, enum lab_speech speech,
                             const uint8_t *secret)
{
    struct lab *l = base_calloc(1, sizeof *l);
    l->now = 10 * SECOND;
    l->delay = 5 * MILLISECOND;
    l->servers = servers;
    l->seed = seed;
    seeded_init(&l->random, seed);
    l->speech = speech;
    l->secret = secret;
    for (unsigned i = 0; i < servers; i++)
        server_place(l, i);
    for (unsigned i = 0; i < servers; i++)
        server_start(l, i, servers);
    if (servers > 1)
        lab_run(l, 20 * SECOND); /* until the ring stands */
    return l;
}

struct lab_server *lab_hermit_add(struct lab *l, const char *address)
{
    l->server[l->servers].at = lab_endpoint(address);
    server_start(l, l->servers, 0);
    return &l->server[l->servers++];
}
