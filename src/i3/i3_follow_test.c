/* Triggers follow the ring, however busy their server is meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/i3_ring.h"

#define MANY 600 /* more than are looked through at a time */

static const uint8_t secret[CHORD_SECRET] = {42};
static struct i3_ring *r;
static struct endpoint bob;
static struct i3_trigger trigger[MANY];

static void insert_all(void)
{
    for (unsigned i = 0; i < MANY; i++) {
        struct i3_trigger *t = &trigger[i];
        struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t->id, .option_count = 2};
        p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&bob)};
        p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = *t};
        i3_ring_send_packet(r, &bob, &r->server[0].at, &p);
    }
}

/* Takes what came to Bob: nonces for his triggers. */
static void take_all(void)
{
    for (struct tiny_datagram *d; (d = i3_ring_take(r, &bob)); free(d)) {
        struct i3_packet p;
        assert_int_equal(i3_packet_parse(d->bytes, d->size, &p), I3_FINE);
        for (unsigned i = 0; i < MANY; i++)
            if (p.option[0].type == I3_CHALLENGE &&
                i3_trigger_same(&p.option[0].trigger, &trigger[i]))
                memcpy(trigger[i].nonce, p.option[0].trigger.nonce, I3_NONCE);
    }
}

/* All are refreshed faster than they are looked through: each is given to the successor once more, and that is all. */
static void ends(void **state)
{
    struct i3_hash *h = i3_hash_new();
    r = i3_ring_new(3, secret);
    r->requests = 0;
    bob = i3_ring_client(1);
    i3_ring_add(r);
    i3_ring_add(r);
    i3_ring_run(r, 20 * SECOND);
    for (unsigned i = 0; i < MANY; i++) {
        trigger[i] = (struct i3_trigger){.prefix = 256, .target = i3_address_of(&bob)};
        do
            i3_id_draw(h, &r->net.random.entropy, NULL, &trigger[i].id, trigger[i].key);
        while (i3_ring_owner(r, &trigger[i].id) != 0);
    }
    i3_hash_free(h);
    for (unsigned step = 0; step < 2; step++) {
        insert_all();
        i3_ring_run(r, 50 * MILLISECOND);
        take_all();
    }
    const struct i3_server *s = r->server[0].server;
    const struct i3_counters *c = i3_server_counters(s);
    assert_int_equal(i3_server_triggers(s), MANY);
    uint64_t generation = chord_generation(i3_server_chord(s));
    i3_ring_kill(r, 1);
    for (unsigned i = 0; i < 20 && chord_generation(i3_server_chord(s)) == generation; i++)
        i3_ring_run(r, SECOND / 4);
    i3_ring_add(r); /* there is a successor again */
    for (unsigned i = 0; i < 400 && !chord_nodes(i3_server_chord(s), NULL, 0); i++)
        i3_ring_run(r, 10 * MILLISECOND);
    uint64_t copied = c->copied, refreshed = c->refreshed;
    for (unsigned i = 0; i < 50; i++) {
        insert_all();
        i3_ring_run(r, 5 * MILLISECOND);
        take_all();
    }
    assert_true(c->refreshed - refreshed > 40 * MANY);
    assert_true(c->copied > copied);
    assert_true(c->copied - copied <= c->refreshed - refreshed + MANY);
    i3_ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ends)};
    return cmocka_run_group_tests_name("i3_follow", tests, NULL, NULL);
}
