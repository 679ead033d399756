/* Copies in a ring with a secret: a server of it gone bad can hand over only what a client has inserted somewhere,
 * and what is handed over stays its owner's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/i3_ring.h"

static const uint8_t secret[CHORD_SECRET] = {42};
static struct i3_ring *r;
static struct i3_server *server;
static struct endpoint bob, mallory;

static int begin(void **state)
{
    r = i3_ring_new(1, secret);
    bob = i3_ring_client(1);
    mallory = i3_ring_client(2);
    server = i3_ring_add(r);
    i3_ring_run(r, SECOND);
    return 0;
}

static int end(void **state)
{
    i3_ring_free(r);
    return 0;
}

/* What a member can send: the hash over it is right. */
static void copy(const struct i3_trigger *t)
{
    uint8_t payload[I3_DATAGRAM_MAX], bytes[CHORD_MESSAGE_MAX];
    struct crypto_hmac_key key;
    struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t->id, .option_count = 1};
    struct chord_message m = {.type = CHORD_COPY, .hops = CHORD_HOPS, .payload = payload};
    p.option[0] = (struct i3_option){.type = I3_INSERT, .trigger = *t};
    m.payload_size = i3_packet_write(&p, payload, sizeof payload);
    memcpy(m.node.id.bytes, t->id.bytes, CHORD_ID);
    chord_secret_key(secret, &key);
    size_t size = chord_message_write(&m, &key, bytes, sizeof bytes);
    assert_true(m.payload_size && size);
    i3_ring_send(r, &mallory, &r->server[0].ring, bytes, size);
    i3_ring_run(r, 50 * MILLISECOND);
}

/* It is not kept, and has no part in what is. */
static void is_forged(const struct i3_trigger *t)
{
    uint64_t before = i3_server_counters(server)->drops[I3_DROP_FORGED_COPY];
    unsigned triggers = i3_server_triggers(server);
    copy(t);
    assert_int_equal(i3_server_counters(server)->drops[I3_DROP_FORGED_COPY], before + 1);
    assert_int_equal(i3_server_triggers(server), triggers);
}

static void is_taken(const struct i3_trigger *t)
{
    uint64_t before = i3_server_counters(server)->kept;
    copy(t);
    assert_int_equal(i3_server_counters(server)->kept, before + 1);
    assert_true(i3_server_has(server, r->now, &t->id));
}

/* As a client takes back what it inserted, from a server. */
static void take_back_from(unsigned index, const struct i3_trigger *t)
{
    struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t->id, .option_count = 1};
    p.option[0] = (struct i3_option){.type = I3_REMOVE, .trigger = *t};
    i3_ring_send_packet(r, &bob, &r->server[index].at, &p);
    i3_ring_run(r, 50 * MILLISECOND);
}

static void take_back(const struct i3_trigger *t)
{
    take_back_from(0, t);
}

/* All nonces that it can think of, in the place of the one that the client was given. */
static void no_nonce_but_the_right_one(const struct i3_trigger *t,
                                       const uint8_t of_another[I3_NONCE])
{
    struct i3_trigger made_up = *t;
    memset(made_up.nonce, 0, I3_NONCE);
    is_forged(&made_up);
    memset(made_up.nonce, 0x5A, I3_NONCE);
    is_forged(&made_up);
    memcpy(made_up.nonce, of_another, I3_NONCE);
    is_forged(&made_up);
    for (unsigned half = 0; half < I3_NONCE; half += I3_NONCE / 2) {
        memcpy(made_up.nonce, t->nonce, I3_NONCE);
        made_up.nonce[half] ^= 1;
        is_forged(&made_up);
    }
}

static void of_chains(void **state)
{
    struct i3_trigger to = i3_ring_drawn(r, &bob), chain = i3_ring_drawn(r, &bob), other = chain;
    struct i3_id elsewhere = to.id;
    elsewhere.bytes[I3_ID - 1] ^= 1;
    i3_ring_lead_to(&chain, &to.id);
    i3_ring_lead_to(&other, &elsewhere);
    assert_true(i3_ring_insert(r, &bob, 0, &chain));
    assert_true(i3_ring_insert(r, &bob, 0, &other));
    take_back(&other);
    /* While it is there, and when it is not. */
    for (unsigned i = 0; i < 2; i++) {
        no_nonce_but_the_right_one(&chain, other.nonce);
        take_back(&chain); /* nobody else has become its owner */
        assert_int_equal(i3_server_triggers(server), 0);
    }
    is_taken(&chain);
    take_back(&chain);
    assert_int_equal(i3_server_triggers(server), 0);
}

static void of_addresses(void **state)
{
    struct i3_trigger t = i3_ring_drawn(r, &bob), other = i3_ring_drawn(r, &bob);
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    assert_true(i3_ring_insert(r, &bob, 0, &other));
    take_back(&other);
    for (unsigned i = 0; i < 2; i++) {
        no_nonce_but_the_right_one(&t, other.nonce);
        take_back(&t);
        assert_int_equal(i3_server_triggers(server), 0);
    }
    is_taken(&t);
    /* Somebody else's address, with what he was given for his own. */
    t.target = i3_address_of(&mallory);
    is_forged(&t);
}

/* ---- what goes out ---- */

static uint8_t copied[I3_NONCE];
static unsigned copies;

static void watch(const struct tiny_datagram *d)
{
    struct crypto_hmac_key key;
    struct chord_message m;
    struct i3_packet p;
    chord_secret_key(secret, &key);
    if (d->to.port != I3_RING_RING_PORT ||
        chord_message_parse(d->bytes, d->size, &key, &m) != CHORD_FINE || m.type != CHORD_COPY)
        return;
    assert_int_equal(i3_packet_parse(m.payload, m.payload_size, &p), I3_FINE);
    memcpy(copied, p.option[0].trigger.nonce, I3_NONCE);
    copies++;
}

/* Whoever inserts it: all copies are the owner's, so nobody becomes it where a copy was lost, or came late. */
static void belong_to_the_owner(void **state)
{
    i3_ring_add(r);
    i3_ring_run(r, 20 * SECOND);
    struct i3_trigger to = i3_ring_drawn(r, &bob), chain = i3_ring_drawn_at(r, 0, &bob), hers;
    i3_ring_lead_to(&chain, &to.id);
    hers = chain;
    r->watch = watch;
    assert_true(i3_ring_insert(r, &bob, 0, &chain));
    for (unsigned i = 0; i < 3; i++) {
        copies = 0;
        assert_true(i3_ring_insert(r, i ? &mallory : &bob, 0, i ? &hers : &chain));
        i3_ring_run(r, 50 * MILLISECOND);
        assert_true(copies > 0);
        assert_memory_equal(copied, chain.nonce, I3_NONCE);
    }
    /* The owner moves; a while later the copies have followed.  Then the server dies. */
    bob = i3_ring_client(7);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(i3_ring_insert(r, &bob, 0, &chain));
        assert_true(i3_ring_insert(r, &mallory, 0, &hers));
        i3_ring_run(r, 15 * SECOND);
    }
    assert_true(i3_ring_insert(r, &mallory, 0, &hers));
    i3_ring_kill(r, 0);
    i3_ring_run(r, 10 * SECOND);
    server = r->server[1].server;
    assert_int_equal(i3_server_triggers(server), 1);
    for (unsigned i = 0; i < 2; i++) {
        take_back_from(1, i ? &chain : &hers);
        assert_int_equal(i3_server_triggers(server), !i);
    }
}

/* The constraint holds for copies too. */
static void of_stolen_identifiers(void **state)
{
    struct i3_trigger t = i3_ring_drawn(r, &bob);
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    t.key[0] ^= 1;
    is_forged(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_chains, begin, end),
        cmocka_unit_test_setup_teardown(of_addresses, begin, end),
        cmocka_unit_test_setup_teardown(belong_to_the_owner, begin, end),
        cmocka_unit_test_setup_teardown(of_stolen_identifiers, begin, end),
    };
    return cmocka_run_group_tests_name("i3_copy", tests, NULL, NULL);
}
