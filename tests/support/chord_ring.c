#include "tests/support/chord_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct chord_ring *chord_ring_new(uint64_t seed, const uint8_t *secret)
{
    struct chord_ring *r = calloc(1, sizeof *r);
    tiny_net_init(&r->net, seed);
    r->secret = secret;
    r->now = SECOND;
    return r;
}

static struct endpoint address(const struct chord_ring *r, unsigned index)
{
    if (r->is_six && r->is_six(index))
        return (struct endpoint){
            .ip = {6, {0x20, 1, 0x0d, 0xb8, [14] = (uint8_t)(index >> 8), (uint8_t)(index + 1)}},
            .port = 5000};
    return (struct endpoint){.ip = {4, {10, 0, (uint8_t)(index >> 8), (uint8_t)(index + 1)}},
                             .port = 5000};
}

void chord_ring_add(struct chord_ring *r)
{
    struct chord_ring_server *s = &r->server[r->servers];
    struct chord_settings settings = {.secret = r->secret,
                                      .outbox = 65536,
                                      .held = CHORD_RING_HELD,
                                      .entropy = &s->random.entropy};
    seeded_init(&s->random, r->net.order * 1000 + r->servers + 1);
    s->at = address(r, r->servers);
    settings.self.at = s->at;
    settings.both_families = r->both_families;
    entropy_fill(&s->random.entropy, settings.self.id.bytes, CHORD_ID);
    settings.seed[0] = address(r, 0);
    settings.seeds = 1;
    s->chord = chord_new(&settings, r->now);
    r->servers++;
}

void chord_ring_kill(struct chord_ring *r, unsigned index)
{
    chord_free(r->server[index].chord);
    r->server[index].chord = NULL;
}

void chord_ring_free(struct chord_ring *r)
{
    for (unsigned i = 0; i < r->servers; i++)
        chord_free(r->server[i].chord);
    tiny_net_done(&r->net);
    free(r);
}

void chord_ring_pull(struct chord_ring *r, struct chord_ring_server *s)
{
    struct outbox_letter l;
    while (s->chord && chord_output(s->chord, &l))
        tiny_net_send(&r->net, r->now, &s->at, &l.to, l.bytes, l.size);
}

static void deliver(struct chord_ring *r, unsigned server, const struct chord_delivery *got)
{
    r->delivered++;
    r->deliverer = server;
    assert_memory_equal(got->payload, "payload", 7);
    if (got->size != 8)
        return;
    assert_true(got->payload[7] < CHORD_RING_NUMBERED);
    r->times[got->payload[7]]++;
    r->where[got->payload[7]] = server;
}

static void advance(struct chord_ring *r, unsigned index)
{
    struct chord_delivery got;
    struct chord_ring_server *s = &r->server[index];
    chord_advance(s->chord, r->now);
    while (chord_take(s->chord, &got))
        deliver(r, index, &got);
    chord_ring_pull(r, s);
}

static void arrive(struct chord_ring *r, const struct tiny_datagram *d)
{
    for (unsigned i = 0; i < r->servers; i++) {
        struct chord_ring_server *s = &r->server[i];
        struct chord_delivery got;
        if (!s->chord || !endpoint_equal(&s->at, &d->to))
            continue;
        s->received++;
        if (chord_input(s->chord, r->now, &d->from, d->bytes, d->size, &got))
            deliver(r, i, &got);
        chord_ring_pull(r, s);
    }
}

void chord_ring_run(struct chord_ring *r, instant span)
{
    instant end = r->now + span;
    for (;;) {
        instant next = instant_min(end, tiny_net_next(&r->net));
        for (unsigned i = 0; i < r->servers; i++)
            if (r->server[i].chord)
                next = instant_min(next, chord_deadline(r->server[i].chord));
        if (next > r->now)
            r->now = next;
        struct tiny_datagram *d;
        while ((d = tiny_net_take(&r->net, r->now))) {
            arrive(r, d);
            free(d);
        }
        for (unsigned i = 0; i < r->servers; i++)
            if (r->server[i].chord && chord_deadline(r->server[i].chord) <= r->now)
                advance(r, i);
        if (r->now >= end)
            return;
    }
}

unsigned chord_ring_owner(const struct chord_ring *r, const struct chord_id *key)
{
    unsigned best = CHORD_RING_SERVERS;
    struct chord_id least = {{0}};
    for (unsigned i = 0; i < r->servers; i++) {
        if (!r->server[i].chord)
            continue;
        struct chord_id d = chord_distance(key, &chord_self(r->server[i].chord)->id);
        if (best == CHORD_RING_SERVERS || chord_compare(&d, &least) < 0) {
            best = i;
            least = d;
        }
    }
    return best;
}

static bool agrees(const struct chord_ring *r, struct seeded *random)
{
    for (unsigned k = 0; k < 50; k++) {
        struct chord_id key;
        entropy_fill(&random->entropy, key.bytes, CHORD_ID);
        for (unsigned i = 0; i < r->servers; i++)
            if (r->server[i].chord &&
                chord_owns(r->server[i].chord, &key) != (chord_ring_owner(r, &key) == i))
                return false;
    }
    return true;
}

unsigned chord_ring_until_agreed(struct chord_ring *r, unsigned most)
{
    struct seeded random;
    seeded_init(&random, 99);
    for (unsigned s = 0; s <= most; s++) {
        if (agrees(r, &random))
            return s;
        chord_ring_run(r, SECOND);
    }
    fail_msg("no agreement after %u s", most);
    return 0;
}
