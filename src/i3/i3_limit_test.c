/* What one client may have and ask for: each limit has a counter, and others do not notice that somebody meets it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/i3_ring.h"

static const uint8_t secret[CHORD_SECRET] = {42};
static struct i3_ring *r;
static struct endpoint alice, bob, mallory;

/* One server with these limits. */
static void begin(unsigned triggers, unsigned per_client, unsigned requests)
{
    r = i3_ring_new(1, NULL);
    r->triggers = triggers;
    r->per_client = per_client;
    r->requests = requests;
    alice = i3_ring_client(0);
    bob = i3_ring_client(1);
    mallory = i3_ring_client(2);
    i3_ring_add(r);
    i3_ring_run(r, SECOND);
}

static void end(void)
{
    i3_ring_free(r);
}

static uint64_t drops(enum i3_drop reason)
{
    return i3_server_counters(r->server[0].server)->drops[reason];
}

static unsigned triggers(void)
{
    return i3_server_triggers(r->server[0].server);
}

/* `sender` NULL: none. */
static size_t insert_packet(const struct endpoint *sender, const struct i3_trigger *t,
                            uint8_t bytes[256])
{
    struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t->id};
    if (sender)
        p.option[p.option_count++] =
            (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(sender)};
    p.option[p.option_count++] = (struct i3_option){.type = I3_INSERT, .trigger = *t};
    return i3_packet_write(&p, bytes, 256);
}

static void say(const struct endpoint *from, const struct endpoint *sender,
                const struct i3_trigger *t)
{
    uint8_t bytes[256];
    i3_ring_send(r, from, &r->server[0].at, bytes, insert_packet(sender, t, bytes));
}

/* A new trigger of a client of his own, by the whole exchange. */
static bool serves(const struct endpoint *client)
{
    struct i3_trigger t = i3_ring_drawn(r, client);
    return i3_ring_insert(r, client, 0, &t) &&
           i3_ring_data(r, &alice, 0, &t.id, client, "it is served");
}

/* Datagrams and bytes that came to an address, taken away. */
static unsigned came(const struct endpoint *at, size_t *ret_bytes)
{
    unsigned count = 0;
    *ret_bytes = 0;
    for (struct tiny_datagram *d; (d = i3_ring_take(r, at)); free(d), count++)
        *ret_bytes += d->size;
    return count;
}

static void triggers_of_a_client(void **state)
{
    struct i3_trigger first;
    begin(1000, 20, 0);
    for (unsigned i = 0; i < 20; i++) {
        struct i3_trigger t = i3_ring_drawn(r, &mallory);
        assert_true(i3_ring_insert(r, &mallory, 0, &t));
        if (!i)
            first = t;
    }
    struct i3_trigger more = i3_ring_drawn(r, &mallory);
    assert_false(i3_ring_insert(r, &mallory, 0, &more));
    assert_true(drops(I3_DROP_CLIENT_LIMIT) > 0);
    assert_int_equal(triggers(), 20);
    /* Another port is the same client. */
    struct endpoint other_port = mallory;
    other_port.port++;
    more = i3_ring_drawn(r, &other_port);
    assert_false(i3_ring_insert(r, &other_port, 0, &more));
    /* What he has lives on, and when one is over there is room for one. */
    assert_true(i3_ring_insert(r, &mallory, 0, &first));
    assert_true(serves(&bob));
    assert_int_equal(drops(I3_DROP_TABLE_FULL), 0);
    i3_ring_run(r, I3_LIFETIME + SECOND);
    assert_true(i3_ring_insert(r, &mallory, 0, &more));
    end();
}

static void triggers_of_an_identifier(void **state)
{
    begin(1000, 0, 0);
    struct i3_trigger t = i3_ring_drawn(r, &mallory), full = t;
    for (uint16_t port = 1; port <= I3_MULTICAST_MAX; port++) {
        t.target.at.port = port;
        assert_true(i3_ring_insert(r, &mallory, 0, &t));
    }
    full.target.at.port = 7777;
    assert_false(i3_ring_insert(r, &mallory, 0, &full));
    assert_true(drops(I3_DROP_TABLE_FULL) > 0);
    assert_int_equal(triggers(), I3_MULTICAST_MAX);
    assert_true(serves(&bob)); /* other identifiers have theirs */
    assert_true(serves(&mallory));
    end();
}

static void triggers_in_all(void **state)
{
    begin(50, 49, 0);
    struct i3_trigger mine = i3_ring_drawn(r, &bob);
    assert_true(i3_ring_insert(r, &bob, 0, &mine));
    for (unsigned i = 0; i < 49; i++) {
        struct i3_trigger t = i3_ring_drawn(r, &mallory);
        assert_true(i3_ring_insert(r, &mallory, 0, &t));
    }
    struct i3_trigger late = i3_ring_drawn(r, &alice);
    assert_false(i3_ring_insert(r, &alice, 0, &late));
    assert_true(drops(I3_DROP_TABLE_FULL) > 0);
    assert_int_equal(triggers(), 50);
    /* Who was there before keeps what he has, as long as he wants. */
    for (unsigned i = 0; i < 3; i++) {
        i3_ring_run(r, 8 * SECOND);
        assert_true(i3_ring_insert(r, &bob, 0, &mine));
        assert_true(i3_ring_data(r, &alice, 0, &mine.id, &bob, "still there"));
    }
    i3_ring_run(r, 10 * SECOND); /* mallory's are over */
    assert_true(i3_ring_insert(r, &alice, 0, &late));
    end();
}

static void requests_of_a_client(void **state)
{
    begin(1000, 0, 50);
    struct i3_trigger mine = i3_ring_drawn(r, &bob);
    assert_true(i3_ring_insert(r, &bob, 0, &mine));
    i3_ring_run(r, SECOND);
    for (unsigned i = 0; i < 500; i++) {
        struct i3_trigger t = i3_ring_drawn(r, &mallory);
        say(&mallory, &mallory, &t);
    }
    i3_ring_run(r, 20 * MILLISECOND);
    assert_int_equal(drops(I3_DROP_SOURCE_LIMIT), 450);
    struct i3_trigger t = i3_ring_drawn(r, &bob);
    say(&bob, &bob, &t);
    i3_ring_run(r, 20 * MILLISECOND);
    assert_int_equal(drops(I3_DROP_SOURCE_LIMIT), 450); /* in the same second */
    /* Data is no request. */
    assert_true(i3_ring_data(r, &mallory, 0, &mine.id, &bob, "data"));
    i3_ring_run(r, SECOND);
    assert_true(serves(&mallory)); /* and the next second is another one */
    end();
}

/* An INSERT in the name of `sender`, over the ring: there it is the one that replies go to. */
static void say_by_ring(const struct endpoint *sender, const struct i3_trigger *t)
{
    uint8_t payload[256], bytes[512];
    struct chord_message m = {.type = CHORD_ROUTE, .payload = payload};
    memcpy(m.node.id.bytes, t->id.bytes, CHORD_ID);
    m.payload_size = insert_packet(sender, t, payload);
    i3_ring_send(r, &mallory, &r->server[0].ring, bytes,
                 chord_message_write(&m, NULL, bytes, sizeof bytes));
}

/* Replies to an address that somebody else named: 64 long ones, 1024 in all; what it asks for itself is counted apart. */
static void replies_to_an_address(void **state)
{
    uint8_t bytes[256];
    size_t received, one;
    begin(1000, 0, 0);
    struct i3_trigger t = i3_ring_drawn(r, &bob);
    size_t question = insert_packet(&bob, &t, bytes);
    for (unsigned i = 0; i < 3000; i++)
        say_by_ring(&bob, &t);
    i3_ring_run(r, 100 * MILLISECOND);
    assert_int_equal(came(&bob, &received), 1024);
    assert_int_equal(drops(I3_DROP_REPLY_LIMIT), 3000 - 1024);
    assert_true(received < 1024 * question + 64 * question);
    /* In the same second bob asks himself, and somebody else does. */
    say(&bob, &bob, &t);
    say(&alice, &alice, &t);
    i3_ring_run(r, 100 * MILLISECOND);
    assert_int_equal(came(&bob, &one), 1);
    assert_true(one > question); /* with CACHE_ADDRESS */
    assert_int_equal(came(&alice, &one), 1);
    assert_int_equal(drops(I3_DROP_REPLY_LIMIT), 3000 - 1024);
    assert_true(serves(&bob));
    end();
}

/* A trigger of Mallory's choice, with the nonce that he was given for it, not inserted yet. */
static struct i3_trigger challenged(const struct endpoint *target)
{
    struct i3_trigger t = i3_ring_drawn(r, target);
    struct i3_packet p;
    say(&mallory, &mallory, &t);
    i3_ring_run(r, 20 * MILLISECOND);
    struct tiny_datagram *d = i3_ring_take(r, &mallory);
    assert_non_null(d);
    assert_int_equal(i3_packet_parse(d->bytes, d->size, &p), I3_FINE);
    assert_int_equal(p.option[0].type, I3_CHALLENGE);
    memcpy(t.nonce, p.option[0].trigger.nonce, I3_NONCE);
    free(d);
    return t;
}

/* What Mallory inserts in Bob's name is not counted as Bob's; with a nonce that only Mallory can have it is his. */
static void in_somebody_elses_name(void **state)
{
    struct i3_trigger t;
    begin(1000, 20, 0);
    for (unsigned i = 0; i < 20; i++) {
        t = challenged(&alice);
        say_by_ring(&bob, &t);
        t = challenged(&mallory);
        say_by_ring(&bob, &t);
    }
    i3_ring_run(r, 20 * MILLISECOND);
    assert_int_equal(triggers(), 40);
    assert_int_equal(i3_server_gauges(r->server[0].server).unproven, 20);
    for (unsigned i = 0; i < 20; i++)
        assert_true(serves(&bob));
    assert_false(serves(&mallory));
    assert_true(drops(I3_DROP_CLIENT_LIMIT) > 0);
    end();
}

/* Without a SENDER a trigger would be nobody's. */
static void in_nobodys_name(void **state)
{
    for (unsigned servers = 1; servers <= 2; servers++) {
        begin(1000, 20, 0);
        if (servers == 2)
            i3_ring_add(r);
        i3_ring_run(r, 10 * SECOND);
        for (unsigned i = 0; i < 20; i++) {
            uint8_t bytes[256];
            struct i3_trigger t;
            do
                t = i3_ring_drawn(r, &mallory);
            while (i3_ring_owner(r, &t.id) != servers - 1);
            assert_true(i3_ring_insert(r, &mallory, servers - 1, &t));
            i3_ring_run(r, I3_LIFETIME + SECOND);
            i3_ring_send(r, &mallory, &r->server[0].at, bytes, insert_packet(NULL, &t, bytes));
            say_by_ring(NULL, &t);
            i3_ring_run(r, 20 * MILLISECOND);
        }
        assert_int_equal(i3_server_triggers(r->server[servers - 1].server), 0);
        assert_int_equal(drops(I3_DROP_NO_SENDER), 20);
        end();
    }
}

/* Who forges addresses is as many clients as he likes: what no target wanted is a quarter of all, no more. */
static void for_targets_that_showed_nothing(void **state)
{
    begin(40, 0, 0);
    for (unsigned i = 0; i < 30; i++) {
        struct endpoint anybody = i3_ring_client(20 + i), somebody = i3_ring_client(60 + i);
        struct i3_trigger t = challenged(&anybody);
        say_by_ring(&somebody, &t);
    }
    i3_ring_run(r, 20 * MILLISECOND);
    assert_int_equal(triggers(), 10);
    assert_int_equal(drops(I3_DROP_TABLE_FULL), 20);
    for (unsigned i = 0; i < 30; i++)
        assert_true(serves(&bob));
    end();
}

/* ---- limits that triggers ask for ---- */

static struct i3_trigger limited(const struct endpoint *target, uint32_t depth, uint32_t rate)
{
    struct i3_trigger t = i3_ring_drawn(r, target);
    t.flags = I3_TRIGGER_LIMITED;
    t.limit = (struct i3_bucket){.depth = depth, .rate = rate};
    return t;
}

/* How many of `count` data packets come to bob. */
static unsigned through(const struct i3_id *id, unsigned count)
{
    struct i3_packet p = {.flags = I3_DATA | I3_OPTIONS, .depth = 1, .stack = id};
    size_t bytes;
    came(&bob, &bytes);
    for (unsigned i = 0; i < count; i++)
        i3_ring_send_packet(r, &mallory, &r->server[0].at, &p);
    i3_ring_run(r, 20 * MILLISECOND);
    return came(&bob, &bytes);
}

static void limit_of_a_trigger(void **state)
{
    begin(1000, 0, 0);
    struct i3_trigger t = limited(&bob, 10, 100), other = i3_ring_drawn(r, &bob);
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    assert_true(i3_ring_insert(r, &bob, 0, &other));
    assert_int_equal(i3_server_gauges(r->server[0].server).limited, 1);
    assert_int_equal(through(&t.id, 50), 10);
    assert_int_equal(drops(I3_DROP_TRIGGER_LIMIT), 40);
    assert_int_equal(through(&other.id, 50), 50); /* his other triggers are his own affair */
    i3_ring_run(r, 30 * MILLISECOND);
    assert_in_range(through(&t.id, 50), 4, 8);
    /* Refreshing does not fill it. */
    say(&bob, &bob, &t);
    i3_ring_run(r, 10 * MILLISECOND);
    assert_in_range(through(&t.id, 50), 1, 4);
    i3_ring_run(r, SECOND);
    assert_int_equal(through(&t.id, 50), 10);
    /* He wants another one, and then none. */
    t.limit = (struct i3_bucket){.depth = 20, .rate = 1};
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    assert_int_equal(through(&t.id, 50), 20);
    t.flags = 0;
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    assert_int_equal(i3_server_gauges(r->server[0].server).limited, 0);
    assert_int_equal(through(&t.id, 50), 50);
    end();
}

/* Who inserts somebody else's trigger again, with the nonce that is not for the target itself, changes no limit: neither
 * choking nor opening it. */
static void strangers_change_no_limit(void **state)
{
    begin(1000, 0, 0);
    for (unsigned is_limited = 0; is_limited < 2; is_limited++) {
        struct i3_trigger t = limited(&bob, 10, 1), forged;
        t.flags = is_limited ? I3_TRIGGER_LIMITED : 0;
        assert_true(i3_ring_insert(r, &bob, 0, &t));
        forged = t;
        memset(forged.nonce, 0, I3_NONCE);
        forged.flags ^= I3_TRIGGER_LIMITED;
        forged.limit = (struct i3_bucket){.depth = 0, .rate = 0};
        assert_true(i3_ring_insert(r, &mallory, 0, &forged)); /* nothing comes of it */
        assert_memory_not_equal(forged.nonce, t.nonce, I3_NONCE);
        assert_int_equal(through(&t.id, 50), is_limited ? 10 : 50);
    }
    /* Nor does it help to be first. */
    struct i3_trigger t = limited(&bob, 0, 0);
    assert_true(i3_ring_insert(r, &mallory, 0, &t));
    t.flags = 0;
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    assert_int_equal(through(&t.id, 50), 50);
    end();
}

/* Bob wanted it once, and is gone.  Who inserts it again in his place keeps no door open to that address. */
static void strangers_keep_nothing_alive(void **state)
{
    begin(1000, 0, 0);
    struct i3_trigger t = i3_ring_drawn(r, &bob), again;
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    assert_int_equal(through(&t.id, 200), 200);
    again = t;
    memset(again.nonce, 0, I3_NONCE);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(i3_ring_insert(r, &mallory, 0, &again));
        i3_ring_run(r, 10 * SECOND);
    }
    assert_true(i3_ring_insert(r, &mallory, 0, &again));
    assert_int_equal(through(&t.id, 200), 64);
    assert_int_equal(drops(I3_DROP_UNWANTED), 136);
    end();
}

/* In a ring with a secret the limit goes where the trigger goes: to copies, and to a server that takes the range over. */
static void limits_follow_the_ring(void **state)
{
    r = i3_ring_new(2, secret);
    bob = i3_ring_client(1);
    mallory = i3_ring_client(2);
    i3_ring_add(r);
    i3_ring_run(r, SECOND);
    enum { MANY = 40 };
    for (unsigned i = 0; i < MANY; i++) {
        struct i3_trigger t = limited(&bob, 10, 1);
        assert_true(i3_ring_insert(r, &bob, 0, &t));
    }
    i3_ring_add(r);
    i3_ring_run(r, 10 * SECOND);
    struct i3_table_gauges there = i3_server_gauges(r->server[1].server);
    assert_true(there.triggers > 0);
    assert_int_equal(there.limited, there.triggers);
    /* New ones are copied, with their limits. */
    for (unsigned i = 0; i < MANY; i++) {
        struct i3_trigger t = limited(&bob, 10, 1);
        assert_true(i3_ring_insert(r, &bob, 0, &t));
    }
    there = i3_server_gauges(r->server[1].server);
    assert_true(there.triggers >= MANY);
    assert_int_equal(there.limited, there.triggers);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(triggers_of_a_client),
        cmocka_unit_test(triggers_of_an_identifier),
        cmocka_unit_test(triggers_in_all),
        cmocka_unit_test(requests_of_a_client),
        cmocka_unit_test(replies_to_an_address),
        cmocka_unit_test(limit_of_a_trigger),
        cmocka_unit_test(strangers_change_no_limit),
        cmocka_unit_test(limits_follow_the_ring),
        cmocka_unit_test(in_somebody_elses_name),
        cmocka_unit_test(in_nobodys_name),
        cmocka_unit_test(for_targets_that_showed_nothing),
        cmocka_unit_test(strangers_keep_nothing_alive),
    };
    return cmocka_run_group_tests_name("i3_limit", tests, NULL, NULL);
}
