/* What strangers, clients and servers may try: each costs them, is counted by name, and others do not notice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/i3_ring.h"

static const uint8_t secret[CHORD_SECRET] = {42};
static struct endpoint alice, bob, mallory;

static struct i3_ring *alone(const uint8_t *with)
{
    struct i3_ring *r = i3_ring_new(1, with);
    alice = i3_ring_client(0);
    bob = i3_ring_client(1);
    mallory = i3_ring_client(2);
    i3_ring_add(r);
    i3_ring_run(r, SECOND);
    return r;
}

static uint64_t drops(const struct i3_ring *r, enum i3_drop reason)
{
    return i3_server_counters(r->server[0].server)->drops[reason];
}

/* One packet with SENDER and one option about a trigger. */
static void say(struct i3_ring *r, const struct endpoint *from, const struct endpoint *sender,
                enum i3_option_type type, const struct i3_trigger *t)
{
    struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t->id, .option_count = 2};
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(sender)};
    p.option[1] = (struct i3_option){.type = (uint8_t)type, .trigger = *t};
    i3_ring_send_packet(r, from, &r->server[0].at, &p);
    i3_ring_run(r, 50 * MILLISECOND);
}

/* The first option of what came to `at`; 0 when nothing came. */
static uint8_t heard(struct i3_ring *r, const struct endpoint *at, struct i3_trigger *ret)
{
    struct tiny_datagram *d = i3_ring_take(r, at);
    struct i3_packet p;
    if (!d)
        return 0;
    assert_int_equal(i3_packet_parse(d->bytes, d->size, &p), I3_FINE);
    uint8_t type = p.option_count ? p.option[0].type : 0xff;
    if (type && ret)
        *ret = p.option[0].trigger;
    free(d);
    return type;
}

/* Who knows a tunnel's identifier cannot bind it: he would need its key. */
static void somebody_elses_identifier(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_trigger t = i3_ring_drawn(r, &bob), theft = t;
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    theft.target = i3_address_of(&mallory);
    memset(theft.key, 7, I3_KEY);
    say(r, &mallory, &mallory, I3_INSERT, &theft);
    assert_int_equal(heard(r, &mallory, NULL), I3_CONSTRAINT_FAILED);
    struct i3_hash *h = i3_hash_new();
    i3_hash_id(h, I3_RIGHT, &t.id, theft.key); /* it would do for a private one */
    i3_hash_free(h);
    say(r, &mallory, &mallory, I3_INSERT, &theft);
    assert_int_equal(heard(r, &mallory, NULL), I3_CONSTRAINT_FAILED);
    assert_int_equal(drops(r, I3_DROP_CONSTRAINT), 2);
    assert_int_equal(i3_server_triggers(r->server[0].server), 1);
    i3_ring_free(r);
}

/* Who has the key too (of a public name, that is everybody) can bind it to himself, and cannot take away what is there. */
static void forged_removal(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_trigger t = i3_ring_drawn(r, &bob), got, forged = t;
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    say(r, &mallory, &mallory, I3_REMOVE, &forged);
    /* He says where bob is, but the challenge goes to mallory. */
    say(r, &mallory, &mallory, I3_INSERT, &forged);
    assert_int_equal(heard(r, &mallory, &got), I3_CHALLENGE);
    say(r, &mallory, &mallory, I3_REMOVE, &got);
    assert_int_equal(drops(r, I3_DROP_NONCE), 2);
    assert_true(i3_ring_data(r, &alice, 0, &t.id, &bob, "still there"));
    say(r, &bob, &bob, I3_REMOVE, &t);
    assert_int_equal(i3_server_triggers(r->server[0].server), 0);
    i3_ring_free(r);
}

/* Who knows both ends of a chain can insert it too, and gets a nonce for it; not the owner's.  The clients are as those of
 * 2005: nothing of this needs a program of ours. */
static void chains_of_others(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_trigger end = i3_ring_drawn(r, &bob), chain = i3_ring_drawn(r, &bob), same;
    i3_ring_lead_to(&chain, &end.id);
    assert_true(i3_ring_insert(r, &bob, 0, &end));
    assert_true(i3_ring_insert(r, &bob, 0, &chain));
    same = chain;
    memset(same.nonce, 0, I3_NONCE);
    assert_true(i3_ring_insert(r, &mallory, 0, &same));
    assert_memory_not_equal(same.nonce, chain.nonce, I3_NONCE);
    say(r, &mallory, &mallory, I3_REMOVE, &same);
    /* The nonce that anybody can compute, and half of a right one. */
    memcpy(same.nonce, end.id.bytes, I3_NONCE);
    say(r, &mallory, &mallory, I3_REMOVE, &same);
    memcpy(same.nonce, chain.nonce, I3_NONCE / 2);
    say(r, &mallory, &mallory, I3_REMOVE, &same);
    assert_int_equal(drops(r, I3_DROP_NONCE), 3);
    assert_true(i3_ring_data(r, &alice, 0, &chain.id, &bob, "still there"));
    say(r, &bob, &bob, I3_REMOVE, &chain);
    assert_int_equal(i3_server_triggers(r->server[0].server), 1);
    i3_ring_free(r);
}

/* An owner who does not come back loses it to who goes on; while he does, nobody else becomes one. */
static void owners_of_chains(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_trigger end = i3_ring_drawn(r, &bob), mine = i3_ring_drawn(r, &bob), hers;
    i3_ring_lead_to(&mine, &end.id);
    hers = mine;
    assert_true(i3_ring_insert(r, &bob, 0, &mine));
    for (unsigned i = 0; i < 5; i++) {
        assert_true(i3_ring_insert(r, &alice, 0, &hers));
        assert_true(i3_ring_insert(r, &bob, 0, &mine));
        i3_ring_run(r, 15 * SECOND);
    }
    say(r, &alice, &alice, I3_REMOVE, &hers);
    assert_int_equal(drops(r, I3_DROP_NONCE), 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(i3_ring_insert(r, &alice, 0, &hers));
        i3_ring_run(r, 15 * SECOND);
    }
    say(r, &bob, &bob, I3_REMOVE, &mine); /* too late: it is hers */
    assert_int_equal(drops(r, I3_DROP_NONCE), 2);
    say(r, &alice, &alice, I3_REMOVE, &hers);
    assert_int_equal(i3_server_triggers(r->server[0].server), 0);
    i3_ring_free(r);
}

/* An owner who goes on from another address, by what he was given at the last one, stays the owner: at once, without a
 * moment in which the chain is not there, and whoever else inserts it. */
static void owners_that_move(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_trigger end = i3_ring_drawn(r, &bob), mine = i3_ring_drawn(r, &bob), hers, old, got;
    i3_ring_lead_to(&mine, &end.id);
    hers = mine;
    assert_true(i3_ring_insert(r, &bob, 0, &mine));
    old = mine;
    for (unsigned i = 0; i < 4; i++) {
        struct endpoint moved = i3_ring_client(10 + i);
        assert_true(i3_ring_insert(r, &mallory, 0, &hers));
        /* What he shows does not keep the chain alive: he has yet to show that he receives there. */
        say(r, &moved, &moved, I3_INSERT, &mine);
        assert_int_equal(heard(r, &moved, &got), I3_CHALLENGE);
        memcpy(mine.nonce, got.nonce, I3_NONCE);
        say(r, &bob, &bob, I3_REMOVE, &old);
        say(r, &mallory, &mallory, I3_REMOVE, &hers);
        assert_int_equal(drops(r, I3_DROP_NONCE), 2 * (i + 1));
        assert_true(i3_ring_insert(r, &moved, 0, &mine));
        old = mine;
        for (unsigned seconds = 0; seconds < 25;
             seconds++) { /* longer than the one before him would own it */
            i3_ring_run(r, SECOND);
            assert_true(i3_ring_insert(r, &mallory, 0, &hers));
        }
        assert_int_equal(i3_server_triggers(r->server[0].server), 1);
    }
    say(r, &bob, &bob, I3_REMOVE, &mine);
    assert_int_equal(i3_server_triggers(r->server[0].server), 0);
    i3_ring_free(r);
}

/* In a ring with a secret a chain keeps its owner when it goes to another server. */
static void chains_that_move(void **state)
{
    struct i3_ring *r = alone(secret);
    struct i3_trigger end = i3_ring_drawn(r, &bob), chain[20];
    for (unsigned i = 0; i < 20; i++) {
        chain[i] = i3_ring_drawn(r, &bob);
        i3_ring_lead_to(&chain[i], &end.id);
        assert_true(i3_ring_insert(r, &bob, 0, &chain[i]));
    }
    i3_ring_add(r);
    i3_ring_run(r, 10 * SECOND);
    unsigned moved = 0;
    for (unsigned i = 0; i < 20; i++) {
        struct i3_server *owner = r->server[i3_ring_owner(r, &chain[i].id)].server;
        unsigned before = i3_server_triggers(owner);
        moved += owner == r->server[1].server;
        struct i3_trigger hers = chain[i];
        memset(hers.nonce, 0, I3_NONCE);
        assert_true(i3_ring_insert(r, &mallory, 0, &hers));
        say(r, &mallory, &mallory, I3_REMOVE, &hers);
        assert_int_equal(i3_server_triggers(owner), before);
        say(r, &bob, &bob, I3_REMOVE, &chain[i]);
        assert_int_equal(i3_server_triggers(owner), before - 1);
    }
    assert_true(moved > 0);
    i3_ring_free(r);
}

/* Ten triggers of one identifier to a victim would make ten packets of one; a victim that shows nothing gets one. */
static void other_peoples_addresses(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_trigger t = i3_ring_drawn(r, &bob), got;
    for (uint16_t port = 1; port <= 10; port++) {
        t.target.at.port = port;
        say(r, &mallory, &mallory, I3_INSERT, &t);
        assert_int_equal(heard(r, &mallory, &got), I3_CHALLENGE);
        say(r, &mallory, &mallory, I3_INSERT, &got);
        heard(r, &mallory, NULL);
    }
    assert_int_equal(i3_server_triggers(r->server[0].server), 1);
    assert_int_equal(drops(r, I3_DROP_TARGET_LIMIT), 9);
    i3_ring_free(r);
}

/* Sends data to an identifier, in the same moment. */
static void throw(struct i3_ring * r, const struct i3_id *id)
{
    struct i3_packet p = {.flags = I3_OPTIONS | I3_DATA,
                          .depth = 1,
                          .stack = id,
                          .payload = (const uint8_t *)"data",
                          .payload_size = 4};
    i3_ring_send_packet(r, &mallory, &r->server[0].at, &p);
}

/* The same with an identifier for each of them: an address that others bound gets few packets, who wants them gets all. */
static void a_flood_by_triggers(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_trigger wanted = i3_ring_drawn(r, &alice), unwanted[10], got;
    assert_true(i3_ring_insert(r, &alice, 0, &wanted));
    for (unsigned i = 0; i < 10; i++) {
        unwanted[i] = i3_ring_drawn(r, &bob);
        say(r, &mallory, &mallory, I3_INSERT, &unwanted[i]);
        assert_int_equal(heard(r, &mallory, &got), I3_CHALLENGE);
        say(r, &mallory, &mallory, I3_INSERT, &got);
        assert_int_equal(heard(r, &mallory, NULL), I3_ACK);
    }
    i3_ring_run(r, 2 * SECOND);
    uint64_t before = i3_server_counters(r->server[0].server)->delivered;
    for (unsigned i = 0; i < 100; i++) {
        throw(r, &unwanted[i % 10].id);
        throw(r, &wanted.id);
    }
    i3_ring_run(r, 100 * MILLISECOND);
    assert_int_equal(drops(r, I3_DROP_UNWANTED), 100 - 64);
    assert_int_equal(i3_server_counters(r->server[0].server)->delivered - before, 64 + 100);
    i3_ring_free(r);
}

/* An INSERT with bob as SENDER. */
static size_t insert_for_bob(struct i3_ring *r, uint8_t *out, size_t room)
{
    struct i3_trigger t = i3_ring_drawn(r, &bob);
    struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t.id, .option_count = 2};
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&bob)};
    p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = t};
    return i3_packet_write(&p, out, room);
}

static size_t all_to(struct i3_ring *r, const struct endpoint *at)
{
    size_t received = 0;
    for (struct tiny_datagram *d; (d = i3_ring_take(r, at)); free(d))
        received += d->size;
    return received;
}

/* Whoever names somebody else as SENDER gets the reply himself. */
static void a_lying_sender(void **state)
{
    struct i3_ring *r = alone(NULL);
    uint8_t bytes[256];
    size_t size = insert_for_bob(r, bytes, sizeof bytes);
    i3_ring_send(r, &mallory, &r->server[0].at, bytes, size);
    i3_ring_run(r, 500 * MILLISECOND);
    assert_int_equal(all_to(r, &bob), 0);
    assert_true(all_to(r, &mallory) > 0);
    i3_ring_free(r);
}

/* A server as a mirror, for who speaks as another server: what it says to an address that has shown nothing is at most
 * as much as was sent, beyond a few. */
static void amplification(void **state)
{
    struct i3_ring *r = alone(NULL);
    size_t sent = 0;
    uint8_t bytes[256] = {CHORD_ROUTE};
    for (unsigned i = 0; i < 3000; i++) {
        size_t size = insert_for_bob(r, bytes + 23, sizeof bytes - 23);
        memcpy(bytes + 1, bytes + 23 + 3, CHORD_ID);
        bytes[22] = (uint8_t)size;
        struct endpoint spoofed = i3_ring_client(10 + i % 200);
        i3_ring_send(r, &spoofed, &r->server[0].ring, bytes, 23 + size);
        sent += size;
    }
    i3_ring_run(r, 500 * MILLISECOND);
    size_t received = all_to(r, &bob);
    assert_true(received > 0 && received < sent / 2);
    assert_true(drops(r, I3_DROP_REPLY_LIMIT) > 0);
    assert_int_equal(i3_server_triggers(r->server[0].server), 0);
    i3_ring_free(r);
}

static void flood_of_inserts(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_trigger t = i3_ring_drawn(r, &bob);
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    i3_ring_run(r, SECOND);
    for (unsigned i = 0; i < 5000; i++) {
        struct i3_trigger junk = i3_ring_drawn(r, &mallory);
        struct i3_packet p = {
            .flags = I3_OPTIONS, .depth = 1, .stack = &junk.id, .option_count = 2};
        p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&mallory)};
        p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = junk};
        i3_ring_send_packet(r, &mallory, &r->server[0].at, &p);
    }
    i3_ring_run(r, 100 * MILLISECOND);
    assert_true(drops(r, I3_DROP_SOURCE_LIMIT) >= 4000);
    assert_true(i3_ring_insert(r, &bob, 0, &t)); /* others are served */
    assert_true(i3_ring_data(r, &alice, 0, &t.id, &bob, "and heard"));
    i3_ring_free(r);
}

/* Circles cannot be inserted; whatever was, a packet takes a limited number of steps. */
static void circles(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_trigger a = i3_ring_drawn(r, &bob), b = i3_ring_drawn(r, &bob);
    i3_ring_lead_to(&a, &b.id);
    assert_true(i3_ring_insert(r, &mallory, 0, &a));
    b.target = (struct i3_address){.type = I3_TO_STACK, .depth = 1, .stack = &a.id};
    say(r, &mallory, &mallory, I3_INSERT, &b);
    assert_int_equal(heard(r, &mallory, NULL), I3_CONSTRAINT_FAILED);
    /* A chain that is longer than a packet may go, made backwards as the constraints want it. */
    struct i3_trigger chain[24];
    struct i3_id below = b.id;
    for (unsigned i = 0; i < 24; i++) {
        struct i3_id to = below;
        chain[i] = i3_ring_drawn(r, &bob);
        i3_ring_lead_to(&chain[i], &to);
        assert_true(i3_ring_insert(r, &mallory, 0, &chain[i]));
        below = chain[i].id;
    }
    assert_false(i3_ring_data(r, &alice, 0, &below, &bob, "round and round"));
    assert_int_equal(drops(r, I3_DROP_LOOP), 1);
    i3_ring_free(r);
}

/* A tree of triggers: each identifier leads to several; one packet must not become all of its leaves. */
static void trees(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_hash *h = i3_hash_new();
    struct i3_id level[3][8];
    for (unsigned depth = 0; depth < 3; depth++)
        for (unsigned i = 0; i < 8; i++)
            level[depth][i] = (struct i3_id){{(uint8_t)(depth + 1), (uint8_t)i}};
    /* Private identifiers, tied by the right constraint: y.key = H_r(x). */
    struct i3_id root = {{0xaa}};
    uint8_t key[I3_KEY];
    i3_hash_id(h, I3_RIGHT, &root, key);
    for (unsigned i = 0; i < 8; i++)
        memcpy(i3_id_key(&level[0][i]), key, I3_KEY);
    for (unsigned i = 0; i < 8; i++) {
        struct i3_trigger t = {.id = root,
                               .prefix = 256,
                               .target = {.type = I3_TO_STACK, .depth = 1, .stack = &level[0][i]}};
        assert_true(i3_ring_insert(r, &mallory, 0, &t));
    }
    for (unsigned i = 0; i < 8; i++)
        for (unsigned k = 0; k < 16; k++) {
            struct endpoint target = mallory;
            target.port = (uint16_t)(100 + k);
            struct i3_trigger t = {
                .id = level[0][i], .prefix = 256, .target = i3_address_of(&target)};
            i3_hash_id(h, I3_RIGHT, &t.id, t.key);
            /* All of them wanted by their target: nothing but the limit keeps 128 packets from leaving. */
            say(r, &target, &target, I3_INSERT, &t);
            assert_int_equal(heard(r, &target, &t), I3_CHALLENGE);
            say(r, &target, &target, I3_INSERT, &t);
            assert_int_equal(heard(r, &target, &t), I3_ACK);
        }
    uint64_t before = i3_server_counters(r->server[0].server)->delivered;
    i3_ring_data(r, &mallory, 0, &root, &bob, "boom");
    assert_int_equal(i3_server_counters(r->server[0].server)->delivered - before, 64);
    assert_true(drops(r, I3_DROP_COPIES) > 0);
    i3_hash_free(h);
    i3_ring_free(r);
}

static void stacks_that_grow(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_hash *h = i3_hash_new();
    struct i3_id stack[I3_STACK_MAX] = {{{0}}}, full[I3_STACK_MAX] = {{{0}}};
    struct i3_trigger t = i3_ring_drawn(r, &bob);
    i3_hash_id(h, I3_LEFT, &stack[0], i3_id_key(&t.id));
    t.target = (struct i3_address){.type = I3_TO_STACK, .depth = I3_STACK_MAX, .stack = stack};
    assert_true(i3_ring_insert(r, &mallory, 0, &t));
    full[0] = t.id;
    struct i3_packet p = {.flags = I3_DATA | I3_OPTIONS, .depth = 2, .stack = full};
    i3_ring_send_packet(r, &mallory, &r->server[0].at, &p);
    i3_ring_run(r, 100 * MILLISECOND);
    assert_int_equal(drops(r, I3_DROP_STACK), 1);
    i3_hash_free(h);
    i3_ring_free(r);
}

static void senders_that_cannot_be(void **state)
{
    static const char *const bad[] = {"0.0.0.0:5", "224.0.0.1:5", "255.255.255.255:9"};
    struct i3_ring *r = alone(NULL);
    struct i3_trigger t = i3_ring_drawn(r, &bob);
    for (unsigned i = 0; i < 3; i++) {
        struct endpoint e;
        assert_true(endpoint_parse(bad[i], 1, &e));
        say(r, &mallory, &e, I3_INSERT, &t);
        struct i3_trigger aimed = t;
        aimed.target = i3_address_of(&e);
        say(r, &mallory, &mallory, I3_INSERT, &aimed);
    }
    assert_int_equal(drops(r, I3_DROP_SENDER), 3);
    assert_int_equal(drops(r, I3_DROP_TARGET), 3);
    /* A stack as sender kills an original. */
    struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t.id, .option_count = 1};
    p.option[0] = (struct i3_option){.type = I3_SENDER,
                                     .sender = {.type = I3_TO_STACK, .depth = 1, .stack = &t.id}};
    i3_ring_send_packet(r, &mallory, &r->server[0].at, &p);
    /* A trigger for another identifier than the packet's. */
    struct i3_id other = {{1}};
    p.stack = &other;
    p.option[0] = (struct i3_option){.type = I3_INSERT, .trigger = t};
    i3_ring_send_packet(r, &mallory, &r->server[0].at, &p);
    i3_ring_run(r, 100 * MILLISECOND);
    assert_int_equal(drops(r, I3_DROP_SENDER), 4);
    assert_int_equal(drops(r, I3_DROP_WRONG_ID), 1);
    /* The server's own address as target: it would send to itself for ever. */
    struct i3_trigger self = i3_ring_drawn(r, &r->server[0].at);
    say(r, &mallory, &mallory, I3_INSERT, &self);
    assert_int_equal(drops(r, I3_DROP_TARGET), 4);
    i3_ring_free(r);
}

/* An original's ring dies of packets of i3: neither triggers nor replies lead to a place of the ring. */
static void the_ring_as_target(void **state)
{
    struct i3_ring *r = alone(NULL);
    i3_ring_add(r);
    i3_ring_run(r, 10 * SECOND);
    struct endpoint other = r->server[1].ring;
    struct i3_trigger t;
    do
        t = i3_ring_drawn(r, &other);
    while (i3_ring_owner(r, &t.id) != 0);
    say(r, &mallory, &mallory, I3_INSERT, &t);
    assert_int_equal(drops(r, I3_DROP_TARGET), 1);
    assert_int_equal(heard(r, &mallory, NULL), 0);
    /* As a server would pass it on. */
    uint8_t bytes[256] = {CHORD_ROUTE};
    struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t.id, .option_count = 2};
    t.target = i3_address_of(&bob);
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&other)};
    p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = t};
    size_t size = i3_packet_write(&p, bytes + 23, sizeof bytes - 23);
    memcpy(bytes + 1, t.id.bytes, CHORD_ID);
    bytes[22] = (uint8_t)size;
    i3_ring_send(r, &mallory, &r->server[0].ring, bytes, 23 + size);
    i3_ring_run(r, 50 * MILLISECOND);
    assert_int_equal(drops(r, I3_DROP_SENDER), 1);
    const struct chord_counters *c = chord_counters(i3_server_chord(r->server[1].server));
    assert_int_equal(c->drops[CHORD_DROP_TYPE] + c->drops[CHORD_DROP_LENGTH], 0);
    i3_ring_free(r);
}

/* A server (or whoever says so) that answers for everything, unasked. */
static void unasked_answers(void **state)
{
    struct i3_ring *r = alone(NULL);
    struct i3_trigger t = i3_ring_drawn(r, &mallory);
    struct i3_packet p = {.flags = I3_OPTIONS, .option_count = 1};
    static const uint8_t types[] = {I3_CACHE_ADDRESS, I3_NOT_PRESENT, I3_CHALLENGE};
    for (unsigned i = 0; i < 3; i++) {
        p.option[0].type = types[i];
        if (types[i] == I3_NOT_PRESENT)
            p.option[0].id = t.id;
        else
            p.option[0].trigger = t;
        i3_ring_send_packet(r, &mallory, &r->server[0].at, &p);
    }
    i3_ring_run(r, 100 * MILLISECOND);
    assert_int_equal(drops(r, I3_DROP_UNASKED), 3);
    assert_null(i3_ring_take(r, &mallory));
    i3_ring_free(r);
}

/* IPv6 and limits: never into a ring that originals may be in. */
static void ours_only(void **state)
{
    struct i3_ring *r = alone(NULL);
    i3_ring_add(r);
    i3_ring_run(r, 10 * SECOND);
    struct i3_trigger t;
    do
        t = i3_ring_drawn(r, &bob);
    while (i3_ring_owner(r, &t.id) != 1);
    t.flags = I3_TRIGGER_LIMITED;
    t.limit = (struct i3_bucket){.depth = 2, .rate = 1};
    say(r, &bob, &bob, I3_INSERT, &t);
    assert_int_equal(drops(r, I3_DROP_OURS_ONLY), 1);
    assert_int_equal(heard(r, &bob, NULL), 0);
    i3_ring_free(r);

    r = alone(secret);
    i3_ring_add(r);
    i3_ring_run(r, 10 * SECOND);
    do
        t = i3_ring_drawn(r, &bob);
    while (i3_ring_owner(r, &t.id) != 1);
    t.flags = I3_TRIGGER_LIMITED;
    t.limit = (struct i3_bucket){.depth = 2, .rate = 1};
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    for (unsigned i = 0; i < 10; i++) {
        struct i3_packet p = {.flags = I3_DATA | I3_OPTIONS, .depth = 1, .stack = &t.id};
        i3_ring_send_packet(r, &alice, &r->server[1].at, &p);
    }
    i3_ring_run(r, 100 * MILLISECOND);
    assert_int_equal(i3_server_counters(r->server[1].server)->drops[I3_DROP_TRIGGER_LIMIT], 8);
    i3_ring_free(r);
}

/* In a ring with a secret: strangers are not heard, nor are copies that are none. */
static void strangers_to_the_ring(void **state)
{
    struct i3_ring *r = alone(secret);
    struct chord_message m = {.type = CHORD_NOTIFY, .node = {.id = {{1}}, .at = mallory}};
    uint8_t bytes[128];
    i3_ring_send(r, &mallory, &r->server[0].ring, bytes,
                 chord_message_write(&m, NULL, bytes, sizeof bytes));
    m.type = CHORD_ROUTE;
    i3_ring_send(r, &mallory, &r->server[0].ring, bytes,
                 chord_message_write(&m, NULL, bytes, sizeof bytes));
    i3_ring_run(r, SECOND);
    const struct chord_counters *c = chord_counters(i3_server_chord(r->server[0].server));
    assert_int_equal(c->drops[CHORD_DROP_SECRET], 2);
    i3_ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(somebody_elses_identifier),
        cmocka_unit_test(forged_removal),
        cmocka_unit_test(chains_of_others),
        cmocka_unit_test(owners_of_chains),
        cmocka_unit_test(owners_that_move),
        cmocka_unit_test(chains_that_move),
        cmocka_unit_test(other_peoples_addresses),
        cmocka_unit_test(a_flood_by_triggers),
        cmocka_unit_test(a_lying_sender),
        cmocka_unit_test(amplification),
        cmocka_unit_test(flood_of_inserts),
        cmocka_unit_test(circles),
        cmocka_unit_test(trees),
        cmocka_unit_test(stacks_that_grow),
        cmocka_unit_test(senders_that_cannot_be),
        cmocka_unit_test(the_ring_as_target),
        cmocka_unit_test(unasked_answers),
        cmocka_unit_test(ours_only),
        cmocka_unit_test(strangers_to_the_ring),
    };
    return cmocka_run_group_tests_name("i3_attack", tests, NULL, NULL);
}
