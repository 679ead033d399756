#include "tests/support/i3_ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct i3_ring *i3_ring_new(uint64_t seed, const uint8_t *secret)
{
    struct i3_ring *r = base_calloc(1, sizeof *r);
    tiny_net_init(&r->net, seed);
    r->net.delay = 5 * MILLISECOND;
    r->secret = secret;
    r->triggers = 10000;
    r->requests = 1000;
    r->now = SECOND;
    return r;
}

struct i3_ring *i3_ring_formed(const enum i3_ring_speech *speech, unsigned servers, uint64_t seed,
                               const uint8_t *secret)
{
    struct i3_ring *r = i3_ring_new(seed, secret);
    for (unsigned i = 0; i < servers; i++) {
        i3_ring_add_speaking(r, speech ? speech[i] : I3_RING_V4);
        i3_ring_run(r, 500 * MILLISECOND);
    }
    i3_ring_run(r, 20 * SECOND);
    return r;
}

void i3_ring_free(struct i3_ring *r)
{
    for (unsigned i = 0; i < r->servers; i++)
        i3_server_free(r->server[i].server);
    for (unsigned i = 0; i < r->letters; i++)
        free(r->inbox[i]);
    free(r->inbox);
    tiny_net_done(&r->net);
    free(r);
}

static struct endpoint at(unsigned index, uint16_t port)
{
    return (struct endpoint){.ip = {4, {10, 1, (uint8_t)(index >> 8), (uint8_t)(index + 1)}},
                             .port = port};
}

struct endpoint i3_ring_client(unsigned index)
{
    return (struct endpoint){.ip = {4, {10, 2, (uint8_t)(index >> 8), (uint8_t)(index + 1)}},
                             .port = 10001};
}

static struct endpoint at6(unsigned network, unsigned index, uint16_t port)
{
    struct endpoint e = {.ip = {6, {0x20, 0x01, 0x0d, 0xb8, 0, (uint8_t)network}}, .port = port};
    e.ip.bytes[14] = (uint8_t)(index >> 8);
    e.ip.bytes[15] = (uint8_t)(index + 1);
    return e;
}

struct endpoint i3_ring_client6(unsigned index)
{
    return at6(2, index, 10001);
}

static void place(struct i3_ring_server *s, unsigned index, enum i3_ring_speech speech)
{
    bool v6 = speech == I3_RING_V6 || speech == I3_RING_V6_V4;
    s->at = v6 ? at6(1, index, I3_RING_I3_PORT) : at(index, I3_RING_I3_PORT);
    s->ring = v6 ? at6(1, index, I3_RING_RING_PORT) : at(index, I3_RING_RING_PORT);
    if (speech == I3_RING_V4 || speech == I3_RING_V6)
        return;
    s->also = v6 ? at(index, I3_RING_I3_PORT) : at6(1, index, I3_RING_I3_PORT);
    s->also_ring = v6 ? at(index, I3_RING_RING_PORT) : at6(1, index, I3_RING_RING_PORT);
}

struct i3_server *i3_ring_add(struct i3_ring *r)
{
    return i3_ring_add_speaking(r, I3_RING_V4);
}

struct i3_server *i3_ring_add_speaking(struct i3_ring *r, enum i3_ring_speech speech)
{
    require(r->servers < I3_RING_SERVERS);
    struct i3_ring_server *s = &r->server[r->servers];
    seeded_init(&s->random, r->net.order * 1000 + r->servers + 1);
    place(s, r->servers, speech);
    struct i3_server_settings settings = {.at = s->at,
                                          .also = s->also,
                                          .triggers = r->triggers,
                                          .per_client = r->per_client,
                                          .requests = r->requests,
                                          .remembered = 256,
                                          .outbox = 256 * 1024,
                                          .entropy = &s->random.entropy};
    settings.chord.secret = r->secret;
    settings.chord.self.at = s->ring;
    settings.chord.seed[0] = r->server[0].ring;
    settings.chord.seeds = 1;
    entropy_fill(&s->random.entropy, settings.chord.self.id.bytes, CHORD_ID);
    s->server = i3_server_new(&settings, r->now);
    r->servers++;
    return s->server;
}

void i3_ring_kill(struct i3_ring *r, unsigned index)
{
    i3_server_free(r->server[index].server);
    r->server[index].server = NULL;
}

static void pull(struct i3_ring *r, struct i3_ring_server *s)
{
    struct i3_server_out out;
    while (s->server && i3_server_output(s->server, &out)) {
        bool ring = out.port == I3_PORT_RING, first = out.letter.to.ip.family == s->at.ip.family;
        const struct endpoint *from = first  ? ring ? &s->ring : &s->at
                                      : ring ? &s->also_ring
                                             : &s->also;
        require(from->ip.family == out.letter.to.ip.family); /* there is such a socket */
        tiny_net_send(&r->net, r->now, from, &out.letter.to, out.letter.bytes, out.letter.size);
    }
}

static void keep(struct i3_ring *r, struct tiny_datagram *d)
{
    if (r->letters == r->room) {
        r->room = r->room ? 2 * r->room : 64;
        r->inbox = base_realloc(r->inbox, r->room * sizeof *r->inbox);
    }
    r->inbox[r->letters++] = d;
}

static void arrive(struct i3_ring *r, struct tiny_datagram *d)
{
    if (r->watch)
        r->watch(d);
    for (unsigned i = 0; i < r->servers; i++) {
        struct i3_ring_server *s = &r->server[i];
        bool clients = endpoint_equal(&d->to, &s->at) || endpoint_equal(&d->to, &s->also);
        if (!clients && !endpoint_equal(&d->to, &s->ring) && !endpoint_equal(&d->to, &s->also_ring))
            continue;
        if (s->server) {
            i3_server_input(s->server, r->now, clients ? I3_PORT_CLIENTS : I3_PORT_RING, &d->from,
                            d->bytes, d->size);
            pull(r, s);
        }
        free(d);
        return;
    }
    keep(r, d);
}

static void wake(struct i3_ring *r)
{
    for (unsigned i = 0; i < r->servers; i++) {
        struct i3_ring_server *s = &r->server[i];
        if (!s->server || i3_server_deadline(s->server) > r->now)
            continue;
        i3_server_advance(s->server, r->now);
        pull(r, s);
    }
}

static instant next(const struct i3_ring *r, instant end)
{
    instant n = instant_min(end, tiny_net_next(&r->net));
    for (unsigned i = 0; i < r->servers; i++)
        if (r->server[i].server)
            n = instant_min(n, i3_server_deadline(r->server[i].server));
    return n;
}

void i3_ring_run(struct i3_ring *r, instant span)
{
    instant end = r->now + span;
    struct tiny_datagram *d;
    do {
        instant n = next(r, end);
        if (n > r->now)
            r->now = n;
        while ((d = tiny_net_take(&r->net, r->now)))
            arrive(r, d);
        wake(r);
    } while (r->now < end);
}

void i3_ring_send(struct i3_ring *r, const struct endpoint *from, const struct endpoint *to,
                  const void *bytes, size_t size)
{
    tiny_net_send(&r->net, r->now, from, to, bytes, size);
}

void i3_ring_send_packet(struct i3_ring *r, const struct endpoint *from, const struct endpoint *to,
                         const struct i3_packet *p)
{
    uint8_t bytes[I3_DATAGRAM_MAX];
    size_t size = i3_packet_write(p, bytes, sizeof bytes);
    require(size);
    i3_ring_send(r, from, to, bytes, size);
}

struct tiny_datagram *i3_ring_take(struct i3_ring *r, const struct endpoint *to)
{
    for (unsigned i = 0; i < r->letters; i++) {
        struct tiny_datagram *d = r->inbox[i];
        if (!endpoint_equal(&d->to, to))
            continue;
        memmove(&r->inbox[i], &r->inbox[i + 1], (--r->letters - i) * sizeof *r->inbox);
        return d;
    }
    return NULL;
}

unsigned i3_ring_owner(const struct i3_ring *r, const struct i3_id *id)
{
    unsigned owner = I3_RING_SERVERS;
    for (unsigned i = 0; i < r->servers; i++) {
        if (!r->server[i].server || !i3_server_owns(r->server[i].server, id))
            continue;
        if (owner != I3_RING_SERVERS)
            return I3_RING_SERVERS;
        owner = i;
    }
    return owner;
}

struct i3_trigger i3_ring_drawn(struct i3_ring *r, const struct endpoint *target)
{
    struct i3_hash *h = i3_hash_new();
    struct i3_trigger t = {.prefix = I3_BITS, .target = i3_address_of(target)};
    i3_id_draw(h, &r->net.random.entropy, NULL, &t.id, t.key);
    i3_hash_free(h);
    return t;
}

struct i3_trigger i3_ring_drawn_at(struct i3_ring *r, unsigned server,
                                   const struct endpoint *target)
{
    struct i3_trigger t;
    do
        t = i3_ring_drawn(r, target);
    while (i3_ring_owner(r, &t.id) != server);
    return t;
}

void i3_ring_lead_to(struct i3_trigger *t, const struct i3_id *to)
{
    struct i3_hash *h = i3_hash_new();
    i3_hash_id(h, I3_LEFT, to, i3_id_key(&t->id));
    i3_hash_free(h);
    t->target = (struct i3_address){.type = I3_TO_STACK, .depth = 1, .stack = to};
}

/* The server's address that the client speaks. */
static const struct endpoint *door_of(const struct i3_ring *r, unsigned server,
                                      const struct endpoint *client)
{
    const struct i3_ring_server *s = &r->server[server];
    return s->at.ip.family == client->ip.family ? &s->at : &s->also;
}

static void send_insert(struct i3_ring *r, const struct endpoint *client, unsigned server,
                        const struct i3_trigger *t)
{
    struct i3_packet p = {
        .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = 1, .stack = &t->id, .option_count = 2};
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(client)};
    p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = *t};
    i3_ring_send_packet(r, client, door_of(r, server, client), &p);
}

bool i3_ring_insert(struct i3_ring *r, const struct endpoint *client, unsigned server,
                    struct i3_trigger *t)
{
    for (unsigned step = 0; step < 50; step++) {
        struct tiny_datagram *d;
        struct i3_packet p;
        if (step % 10 == 0)
            send_insert(r, client, server, t);
        i3_ring_run(r, 100 * MILLISECOND);
        while ((d = i3_ring_take(r, client))) {
            bool mine = i3_packet_parse(d->bytes, d->size, &p) == I3_FINE && p.option_count &&
                        (p.option[0].type == I3_CHALLENGE || p.option[0].type == I3_ACK) &&
                        i3_trigger_same(&p.option[0].trigger, t);
            if (mine)
                memcpy(t->nonce, p.option[0].trigger.nonce, I3_NONCE);
            uint8_t type = mine ? p.option[0].type : 0;
            free(d);
            if (type == I3_ACK)
                return true;
            if (type == I3_CHALLENGE)
                send_insert(r, client, server, t);
        }
    }
    return false;
}

bool i3_ring_data(struct i3_ring *r, const struct endpoint *client, unsigned server,
                  const struct i3_id *id, const struct endpoint *receiver, const char *text)
{
    struct i3_packet p = {.flags = I3_DATA | I3_OPTIONS | I3_FIRST_HOP,
                          .depth = 1,
                          .stack = id,
                          .option_count = 1,
                          .payload = (const uint8_t *)text,
                          .payload_size = strlen(text)};
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(client)};
    i3_ring_send_packet(r, client, door_of(r, server, client), &p);
    for (unsigned step = 0; step < 20; step++) {
        struct tiny_datagram *d;
        i3_ring_run(r, 100 * MILLISECOND);
        while ((d = i3_ring_take(r, receiver))) {
            bool good = i3_packet_parse(d->bytes, d->size, &p) == I3_FINE && p.flags == I3_DATA &&
                        p.payload_size == strlen(text) && !memcmp(p.payload, text, strlen(text));
            free(d);
            if (good)
                return true;
        }
    }
    return false;
}
