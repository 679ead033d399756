/* Who is in the lab beside honest servers and hosts: servers that lie, and filters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "overlay/i3/i3_fixture.h"

struct lab_server *lab_liar_add(struct lab *l, const char *address, unsigned lies)
{
    struct lab_server *s = &l->server[l->servers++];
    seeded_init(&s->random, l->seed * 10 + l->servers);
    assert_true(endpoint_parse(address, 0, &s->at));
    s->lies = lies;
    return s;
}

/* ---- liars ---- */

static void liar_says(struct lab *l, struct lab_server *s, const struct endpoint *to,
                      const struct i3_option *option)
{
    static const struct endpoint victim = {.ip = {.family = 4, .bytes = {198, 51, 100, 66}},
                                           .port = 53};
    uint8_t bytes[512];
    struct i3_packet p = {.flags = I3_OPTIONS, .option_count = 1, .option = {*option}};
    if (s->lies & LAB_LIE_FORCE && option->type != I3_NOT_PRESENT) {
        struct i3_option *o = &p.option[p.option_count++];
        *o = (struct i3_option){.type = I3_FORCE_CACHE_ADDRESS,
                                .trigger = {.id = option->trigger.id, .prefix = I3_MATCH}};
        o->trigger.target = i3_address_of(&victim);
    }
    size_t size = i3_packet_write(&p, bytes, sizeof bytes);
    instant delay = l->delay;
    l->delay = 0; /* nobody is nearer */
    for (unsigned i = 0; i < (s->lies & LAB_LIE_MANY ? 10 : 1); i++)
        lab_send(l, &s->at, to, bytes, size);
    l->delay = delay;
}

static void liar_about(struct lab *l, struct lab_server *s, const struct endpoint *to,
                       const struct i3_trigger *t)
{
    struct i3_option o = {.trigger = *t};
    if (s->lies & LAB_LIE_CHALLENGE) {
        o.type = I3_CHALLENGE;
        entropy_fill(&s->random.entropy, o.trigger.nonce, I3_NONCE);
        liar_says(l, s, to, &o);
    }
    o.type = I3_ACK;
    if (s->lies & LAB_LIE_ACK)
        liar_says(l, s, to, &o);
    o.type = I3_CONSTRAINT_FAILED;
    if (s->lies & LAB_LIE_CONSTRAINT)
        liar_says(l, s, to, &o);
}

void lab_liar_hears(struct lab *l, struct lab_server *s, const struct endpoint *from,
                    const uint8_t *bytes, size_t size)
{
    struct i3_packet p;
    if (i3_packet_parse(bytes, size, &p) != I3_FINE || !p.depth)
        return;
    const struct i3_option *insert = i3_packet_option(&p, I3_INSERT);
    if (s->lies & LAB_LIE_PASS && (insert || p.depth == I3_CHECK_DEPTH)) {
        lab_send(l, from, &l->server[0].at, bytes, size);
        return;
    }
    if (insert)
        liar_about(l, s, from, &insert->trigger);
    struct i3_option o = {
        .type = I3_CACHE_ADDRESS,
        .trigger = {.id = p.stack[0], .prefix = I3_MATCH, .target = i3_address_of(&s->at)}};
    if (s->lies & LAB_LIE_CLAIM)
        liar_says(l, s, from, &o);
    o = (struct i3_option){.type = I3_NOT_PRESENT, .id = p.stack[0]};
    if (s->lies & LAB_LIE_MISSING && p.flags & I3_DATA)
        liar_says(l, s, from, &o);
}

/* ---- filters ---- */

/* As examples/i3_filter.c does it. */
bool lab_filter_passes(struct lab_host *h, const struct endpoint *from, const uint8_t *bytes,
                       size_t size)
{
    uint8_t on[I3_DATAGRAM_MAX];
    struct i3_packet p;
    if (i3_packet_parse(bytes, size, &p) != I3_FINE || !(p.flags & I3_DATA) || p.depth < 2 ||
        !i3_id_equal(p.stack, &i3_of(h->overlay)->name[0]->trigger.id))
        return false;
    if (p.depth == I3_CHECK_DEPTH && i3_id_equal(&p.stack[1], &p.stack[2]))
        return false; /* its own packet to itself */
    h->passed++;
    p.stack++;
    p.depth--;
    p.flags = I3_DATA | I3_OPTIONS | I3_FIRST_HOP;
    p.option_count = 0;
    lab_send(h->lab, &h->at, from, on, i3_packet_write(&p, on, sizeof on));
    return true;
}
