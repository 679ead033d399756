/* Rings whose servers die and come: what is routed meanwhile, and what newcomers believe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/chord_ring.h"

#define UNHEARD (300 * MILLISECOND) /* who was heard of before that is asked when he is used */

static unsigned lookups(struct chord_ring *r, unsigned count)
{
    unsigned good = 0;
    for (unsigned k = 0; k < count; k++) {
        struct chord_ring_server *s = &r->server[entropy_below(&r->net.random.entropy, r->servers)];
        struct chord_id key;
        entropy_fill(&r->net.random.entropy, key.bytes, CHORD_ID);
        if (!s->chord || chord_owns(s->chord, &key))
            continue;
        r->delivered = 0;
        chord_route(s->chord, r->now, &key, "payload", 7);
        chord_ring_pull(r, s);
        chord_ring_run(r, SECOND);
        good += r->delivered >= 1 && r->deliverer == chord_ring_owner(r, &key);
    }
    return good;
}

static void servers_die(void **state)
{
    struct chord_ring *r = chord_ring_new(9, NULL);
    for (unsigned i = 0; i < 20; i++)
        chord_ring_add(r);
    chord_ring_until_agreed(r, 20);
    chord_ring_run(r, 20 * SECOND); /* successors are known */
    chord_ring_kill(r, 3);
    chord_ring_kill(r, 7);
    chord_ring_kill(r, 11);
    /* The original needs a minute; here who is silent is asked and let go, and does not come back as a ghost. */
    assert_true(chord_ring_until_agreed(r, 10) <= 8);
    chord_ring_run(r, 5 * SECOND);
    assert_int_equal(chord_ring_until_agreed(r, 0), 0);
    assert_true(lookups(r, 30) > 20);
    chord_ring_free(r);
}

/* Who joins a ring knows his successor first.  He is responsible for nothing until he knows who is before him, which takes
 * some round trips; what is sent to him meanwhile arrives. */
static void newcomers_claim_nothing_of_others(void **state)
{
    static const uint8_t secret[CHORD_SECRET] = {6};
    for (uint64_t seed = 30; seed < 36; seed++) {
        struct chord_ring *r = chord_ring_new(seed, seed & 1 ? secret : NULL);
        struct chord_id key[CHORD_RING_NUMBERED];
        for (unsigned i = 0; i < 12; i++)
            chord_ring_add(r);
        chord_ring_until_agreed(r, 20);
        chord_ring_run(r, 20 * SECOND);
        chord_ring_add(r);
        struct chord *last = r->server[12].chord;
        unsigned steps = 0;
        for (; !chord_is_settled(last) && steps < 100; steps++) {
            chord_ring_run(r, 10 * MILLISECOND);
            entropy_fill(&r->net.random.entropy, key[steps].bytes, CHORD_ID);
            assert_true(!chord_owns(last, &key[steps]) || chord_ring_owner(r, &key[steps]) == 12);
            if (chord_is_settled(last))
                break;
            uint8_t payload[8] = "payload";
            payload[7] = (uint8_t)steps;
            chord_route(last, r->now, &key[steps], payload, sizeof payload);
            chord_ring_pull(r, &r->server[12]);
        }
        assert_true(steps > 0 && steps < 60);
        for (unsigned k = 0; k < CHORD_RING_NUMBERED; k++) {
            entropy_fill(&r->net.random.entropy, key[0].bytes, CHORD_ID);
            assert_true(!chord_owns(last, &key[0]) || chord_ring_owner(r, &key[0]) == 12);
        }
        chord_ring_run(r, 4 * SECOND);
        unsigned good = 0;
        for (unsigned k = 0; k < steps; k++)
            good += r->times[k] > 0;
        assert_true(good + 8 >= steps); /* but those of the time when he knew nobody */
        chord_ring_free(r);
    }
}

/* Sends CHORD_RING_NUMBERED messages while some have just died; how many reach who is responsible among those that live? */
static unsigned arrive_after_deaths(struct chord_ring *r, const unsigned *dead, unsigned count)
{
    struct chord_id key[CHORD_RING_NUMBERED];
    unsigned good = 0;
    for (unsigned i = 0; i < count; i++)
        chord_ring_kill(r, dead[i]);
    chord_ring_run(r, UNHEARD);
    for (unsigned k = 0; k < CHORD_RING_NUMBERED; k++) {
        uint8_t payload[8] = "payload";
        unsigned from = k % r->servers;
        entropy_fill(&r->net.random.entropy, key[k].bytes, CHORD_ID);
        while (!r->server[from].chord || chord_ring_owner(r, &key[k]) == from)
            from = (from + 1) % r->servers;
        payload[7] = (uint8_t)k;
        chord_route(r->server[from].chord, r->now, &key[k], payload, sizeof payload);
        chord_ring_pull(r, &r->server[from]);
    }
    chord_ring_run(r, 4 * SECOND);
    for (unsigned k = 0; k < CHORD_RING_NUMBERED; k++)
        good += r->times[k] && r->where[k] == chord_ring_owner(r, &key[k]);
    return good;
}

static uint64_t rerouted(const struct chord_ring *r)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < r->servers; i++)
        if (r->server[i].chord)
            sum += chord_counters(r->server[i].chord)->rerouted;
    return sum;
}

static void messages_go_round_the_dead(void **state)
{
    static const uint8_t secret[CHORD_SECRET] = {5};
    static const unsigned dead[] = {2, 9, 15, 19};
    for (unsigned closed = 0; closed < 2; closed++) {
        struct chord_ring *r = chord_ring_new(14 + closed, closed ? secret : NULL);
        for (unsigned i = 0; i < 20; i++)
            chord_ring_add(r);
        chord_ring_until_agreed(r, 20);
        chord_ring_run(r, 20 * SECOND);
        assert_int_equal(arrive_after_deaths(r, dead, 4), CHORD_RING_NUMBERED);
        assert_true(rerouted(r) > 10);
        chord_ring_free(r);
    }
    /* While the net loses, repeats and reorders as well, most arrive. */
    struct chord_ring *r = chord_ring_new(16, NULL);
    for (unsigned i = 0; i < 20; i++)
        chord_ring_add(r);
    chord_ring_until_agreed(r, 20);
    chord_ring_run(r, 20 * SECOND);
    r->net.lose = 100;
    r->net.twice = 50;
    r->net.jitter = 60 * MILLISECOND;
    assert_true(arrive_after_deaths(r, dead, 4) >= 75); /* a tenth is lost at each hop */
    chord_ring_free(r);
}

/* More messages for somebody who fell silent than are held: the rest is lost, and nothing else happens. */
static void held_messages_are_few(void **state)
{
    struct chord_ring *r = chord_ring_new(17, NULL);
    chord_ring_add(r);
    chord_ring_add(r);
    chord_ring_until_agreed(r, 10);
    chord_ring_run(r, 2 * SECOND);
    struct chord *c = r->server[0].chord;
    struct chord_id key = chord_self(r->server[1].chord)->id;
    chord_ring_kill(r, 1);
    chord_ring_run(r, UNHEARD);
    for (unsigned k = 0; k < 100; k++) {
        char payload[12] = "payload";
        payload[8] = (char)k; /* not the same one again: that would be a circle */
        chord_route(c, r->now, &key, payload, sizeof payload);
        chord_ring_pull(r, &r->server[0]);
    }
    assert_int_equal(chord_counters(c)->routed, 100);
    chord_ring_run(r, 4 * SECOND);
    assert_int_equal(r->delivered, CHORD_RING_HELD / 256); /* it is ours by now */
    assert_true(chord_deadline(c) > r->now);
    chord_ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers_die),
        cmocka_unit_test(newcomers_claim_nothing_of_others),
        cmocka_unit_test(messages_go_round_the_dead),
        cmocka_unit_test(held_messages_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
