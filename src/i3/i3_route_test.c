/* Who is responsible for an identifier: what a server believes, and of whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/i3_ring.h"

static const uint8_t secret[CHORD_SECRET] = {42};

/* Two servers; a chain at the first one leads to a trigger of Bob's at the second one. */
struct lab {
    struct i3_ring *ring;
    struct endpoint bob, victim, stranger;
    struct i3_trigger end, chain;
};

static void lab_begin(struct lab *l, uint64_t seed, const uint8_t *with, enum i3_ring_speech speech)
{
    struct i3_ring *r = l->ring = i3_ring_new(seed, with);
    l->bob = i3_ring_client(1);
    l->victim = i3_ring_client(2);
    l->stranger = i3_ring_client(3);
    for (unsigned i = 0; i < 2; i++)
        i3_ring_add_speaking(r, speech);
    i3_ring_run(r, 20 * SECOND);
    l->end = i3_ring_drawn_at(r, 1, &l->bob);
    l->chain = i3_ring_drawn_at(r, 0, &l->bob);
    i3_ring_lead_to(&l->chain, &l->end.id); /* whose it is its first bytes decide, which stay */
    assert_true(i3_ring_insert(r, &l->bob, 0, &l->end));
    assert_true(i3_ring_insert(r, &l->bob, 0, &l->chain));
}

static bool arrives(struct lab *l, const char *text)
{
    return i3_ring_data(l->ring, &l->bob, 0, &l->chain.id, &l->bob, text);
}

/* The first server hears who is responsible for Bob's trigger. */
static struct i3_packet told(const struct lab *l, const struct endpoint *who)
{
    struct i3_packet p = {.flags = I3_OPTIONS, .option_count = 1};
    p.option[0].type = I3_CACHE_ADDRESS;
    p.option[0].trigger =
        (struct i3_trigger){.id = l->end.id, .prefix = 128, .target = i3_address_of(who)};
    return p;
}

static uint64_t unasked(const struct lab *l)
{
    return i3_server_counters(l->ring->server[0].server)->drops[I3_DROP_UNASKED];
}

/* It is asked over IPv4 in an open ring; a stranger answers by IPv6. */
static void by_the_other_family(void **state)
{
    struct lab l;
    lab_begin(&l, 16, NULL, I3_RING_V4_V6);
    struct endpoint six = i3_ring_client6(0);
    struct i3_packet p = told(&l, &l.victim);
    assert_true(arrives(&l, "asks who is responsible"));
    i3_ring_send_packet(l.ring, &six, &l.ring->server[0].also, &p);
    i3_ring_run(l.ring, 50 * MILLISECOND);
    assert_true(arrives(&l, "goes on"));
    assert_int_equal(unasked(&l), 1);
    i3_ring_free(l.ring);
}

/* Over the ring nobody can be seen: there the address inside would be all that there is. */
static void over_the_ring(void **state)
{
    struct lab l;
    uint8_t packet[256], bytes[512];
    lab_begin(&l, 17, NULL, I3_RING_V4);
    struct i3_packet p = told(&l, &l.victim);
    assert_true(arrives(&l, "asks who is responsible"));
    p.depth = 1;
    p.stack = &l.chain.id;
    struct chord_message m = {.type = CHORD_ROUTE,
                              .payload = packet,
                              .payload_size = i3_packet_write(&p, packet, sizeof packet)};
    memcpy(m.node.id.bytes, l.chain.id.bytes, CHORD_ID);
    i3_ring_send(l.ring, &l.stranger, &l.ring->server[0].ring, bytes,
                 chord_message_write(&m, NULL, bytes, sizeof bytes));
    i3_ring_run(l.ring, 50 * MILLISECOND);
    assert_true(arrives(&l, "still goes there"));
    assert_null(i3_ring_take(l.ring, &l.victim));
    assert_int_equal(unasked(&l), 1);
    i3_ring_free(l.ring);
}

/* An original writes its address backwards: then it may look like one that nothing can be sent to. */
static void backwards(void **state)
{
    struct lab l;
    struct endpoint mirrored = {.ip = {4, {230, 2, 0, 192}}, .port = 5610};
    lab_begin(&l, 19, NULL, I3_RING_V4);
    struct i3_packet p = told(&l, &mirrored);
    assert_true(arrives(&l, "asks who is responsible"));
    i3_ring_send_packet(l.ring, &l.ring->server[1].at, &l.ring->server[0].at, &p);
    i3_ring_run(l.ring, 50 * MILLISECOND);
    assert_int_equal(unasked(&l), 0);
    assert_true(arrives(&l, "straight"));
    assert_true(i3_server_counters(l.ring->server[0].server)->forwarded > 0);
    i3_ring_free(l.ring);
}

/* With a secret the answer carries a proof, wherever it comes from. */
static void without_a_proof(void **state)
{
    struct lab l;
    lab_begin(&l, 18, secret, I3_RING_V4);
    struct i3_packet p = told(&l, &l.victim);
    assert_true(arrives(&l, "asks who is responsible"));
    i3_ring_send_packet(l.ring, &l.ring->server[1].at, &l.ring->server[0].at, &p);
    i3_ring_run(l.ring, 50 * MILLISECOND);
    assert_true(arrives(&l, "still goes there"));
    assert_null(i3_ring_take(l.ring, &l.victim));
    assert_int_equal(unasked(&l), 1);
    i3_ring_free(l.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_the_other_family),
        cmocka_unit_test(over_the_ring),
        cmocka_unit_test(backwards),
        cmocka_unit_test(without_a_proof),
    };
    return cmocka_run_group_tests_name("i3_route", tests, NULL, NULL);
}
