/* A server against the packets of an original client: what it answers is what the original server answered, but for
 * nonces, which are secret here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "i3/i3_server.h"
#include "tests/support/i3_vectors.h"
#include "tests/support/seeded.h"

/* Where the nonces of a captured reply to an INSERT lie: of the trigger, and stray memory in CACHE_ADDRESS. */
#define REPLY_NONCE 41
#define CACHE_NONCE 116
#define CACHE_KEY   139

struct lone {
    struct seeded random;
    struct i3_server *server;
    struct endpoint client;
};

static struct lone *lone_new(const char *at)
{
    struct lone *l = calloc(1, sizeof *l);
    seeded_init(&l->random, 1);
    struct i3_server_settings s = {.triggers = 1000,
                                   .per_client = 500,
                                   .requests = 2000,
                                   .remembered = 64,
                                   .outbox = 1 << 20,
                                   .entropy = &l->random.entropy};
    assert_true(endpoint_parse(at, 0, &s.at));
    s.chord.self.at = s.at;
    s.chord.self.at.port = 6510;
    l->server = i3_server_new(&s, SECOND);
    assert_true(endpoint_parse("127.0.0.1:10001", 0, &l->client));
    return l;
}

static void lone_free(struct lone *l)
{
    i3_server_free(l->server);
    free(l);
}

static void hears(struct lone *l, const uint8_t *bytes, size_t size)
{
    i3_server_input(l->server, SECOND, I3_PORT_CLIENTS, &l->client, bytes, size);
}

static struct outbox_letter says(struct lone *l)
{
    struct i3_server_out out = {0};
    assert_true(i3_server_output(l->server, &out));
    assert_int_equal(out.port, I3_PORT_CLIENTS);
    return out.letter;
}

static void says_nothing(struct lone *l)
{
    struct i3_server_out out;
    assert_false(i3_server_output(l->server, &out));
}

static uint64_t drops(const struct lone *l, enum i3_drop reason)
{
    return i3_server_counters(l->server)->drops[reason];
}

/* The reply is the captured one, but for two nonces (0: none); returns the reply. */
static struct outbox_letter says_as(struct lone *l, const char *tag, size_t nonce, size_t stray)
{
    struct i3_vector v = i3_vector(tag);
    struct outbox_letter letter = says(l);
    assert_int_equal(letter.to.port, v.to);
    assert_int_equal(letter.size, v.size);
    for (size_t i = 0; i < v.size; i++) {
        bool skipped = (nonce && i >= nonce && i < nonce + I3_NONCE) ||
                       (stray && i >= stray && i < stray + I3_NONCE) || (stray && i >= CACHE_KEY);
        if (!skipped)
            assert_int_equal(letter.bytes[i], v.bytes[i]);
    }
    return letter;
}

/* Sends a captured packet with the nonce that was given, at `at`. */
static void hears_with(struct lone *l, const char *tag, size_t at, const uint8_t *nonce)
{
    struct i3_vector v = i3_vector(tag);
    memcpy(v.bytes + at, nonce, I3_NONCE);
    hears(l, v.bytes, v.size);
}

static void hears_as_it_is(struct lone *l, const char *tag)
{
    struct i3_vector v = i3_vector(tag);
    hears(l, v.bytes, v.size);
}

/* Inserts what E1 or E7 says; the nonce is left in `nonce`. */
static void insert(struct lone *l, const char *tag, uint8_t nonce[I3_NONCE])
{
    static const size_t in_insert = 81;
    hears_as_it_is(l, tag);
    struct outbox_letter letter = says(l);
    assert_int_equal(letter.bytes[5], I3_CHALLENGE);
    memcpy(nonce, letter.bytes + REPLY_NONCE, I3_NONCE);
    hears_with(l, tag, in_insert, nonce);
    letter = says(l);
    assert_int_equal(letter.bytes[5], I3_ACK);
    assert_memory_equal(letter.bytes + REPLY_NONCE, nonce, I3_NONCE);
}

static void life_of_a_trigger(void **state)
{
    struct lone *l = lone_new("127.0.0.1:5610");
    uint8_t nonce[I3_NONCE];
    struct i3_vector challenge = i3_vector("E2"), e6 = i3_vector("E6");
    hears_as_it_is(l, "E1");
    struct outbox_letter letter = says_as(l, "E2", REPLY_NONCE, CACHE_NONCE);
    memcpy(nonce, letter.bytes + REPLY_NONCE, I3_NONCE);
    assert_memory_not_equal(nonce, challenge.bytes + REPLY_NONCE, I3_NONCE);
    assert_true(i3_hello_read(letter.bytes + CACHE_NONCE) & I3_CAN_PING);
    /* The nonce that an original takes, which everybody can compute, is worth nothing. */
    hears_as_it_is(l, "E3");
    assert_int_equal(says(l).bytes[5], I3_CHALLENGE);
    assert_int_equal(i3_server_triggers(l->server), 0);

    hears_with(l, "E3", 81, nonce);
    letter = says_as(l, "E4", REPLY_NONCE, CACHE_NONCE);
    assert_int_equal(i3_server_triggers(l->server), 1);
    hears_with(l, "E15", 81, nonce);
    says_as(l, "E4", REPLY_NONCE, CACHE_NONCE);
    assert_int_equal(i3_server_counters(l->server)->refreshed, 1);

    hears_as_it_is(l, "E5");
    letter = says(l);
    assert_int_equal(letter.size, e6.size);
    assert_memory_equal(letter.bytes, e6.bytes, e6.size);
    hears_as_it_is(l, "E9");
    says_as(l, "E10", 0, 0);

    hears_as_it_is(l, "E16"); /* forged: the original's nonce */
    assert_int_equal(drops(l, I3_DROP_NONCE), 1);
    assert_int_equal(i3_server_triggers(l->server), 1);
    hears_with(l, "E16", 73, nonce);
    assert_int_equal(i3_server_triggers(l->server), 0);
    hears_with(l, "E16", 73, nonce);
    assert_int_equal(drops(l, I3_DROP_UNKNOWN_TRIGGER), 1);
    says_nothing(l);
    lone_free(l);
}

static void nobody_there(void **state)
{
    struct lone *l = lone_new("127.0.0.1:5610");
    hears_as_it_is(l, "E11");
    says_as(l, "E12", 41, 0);
    says_as(l, "E13", 0, 0);
    says_nothing(l);
    lone_free(l);
}

static void wrong_constraint(void **state)
{
    struct lone *l = lone_new("127.0.0.1:5610");
    struct i3_vector v = i3_vector("E1");
    v.bytes[119] ^= 1; /* the trigger's key */
    hears(l, v.bytes, v.size);
    struct outbox_letter letter = says(l);
    struct i3_vector failed = i3_vector("E14");
    assert_int_equal(letter.size, failed.size);
    assert_int_equal(letter.bytes[5], I3_CONSTRAINT_FAILED);
    assert_memory_equal(letter.bytes + 6, v.bytes + 46, 74); /* unchanged */
    assert_int_equal(drops(l, I3_DROP_CONSTRAINT), 1);
    lone_free(l);
}

static void target_is_a_stack(void **state)
{
    struct lone *l = lone_new("127.0.0.1:5610");
    uint8_t nonce[I3_NONCE];
    hears_as_it_is(l, "E7");
    struct outbox_letter letter = says(l);
    struct i3_packet p;
    assert_int_equal(i3_packet_parse(letter.bytes, letter.size, &p), I3_FINE);
    assert_int_equal(letter.size, i3_vector("E8").size);
    assert_int_equal(p.option[0].type, I3_CHALLENGE);
    assert_int_equal(p.option[0].trigger.target.depth, 1);
    insert(l, "E7", nonce);
    assert_int_equal(i3_server_triggers(l->server), 1);
    lone_free(l);
}

/* A trigger from `id` to this client, whose key the right constraint gives. */
static void insert_private(struct lone *l, const struct i3_id *id, uint16_t port)
{
    struct i3_hash *h = i3_hash_new();
    struct i3_packet p = {.flags = I3_OPTIONS | I3_FIRST_HOP,
                          .depth = 1,
                          .stack = id,
                          .option_count = 2},
                     got;
    uint8_t bytes[256];
    struct endpoint client = l->client;
    client.port = port;
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&client)};
    p.option[1] = (struct i3_option){
        .type = I3_INSERT, .trigger = {.id = *id, .prefix = 256, .target = i3_address_of(&client)}};
    i3_hash_id(h, I3_RIGHT, id, p.option[1].trigger.key);
    for (unsigned i = 0; i < 2; i++) {
        i3_server_input(l->server, SECOND, I3_PORT_CLIENTS, &client, bytes,
                        i3_packet_write(&p, bytes, sizeof bytes));
        struct outbox_letter letter = says(l);
        assert_int_equal(i3_packet_parse(letter.bytes, letter.size, &got), I3_FINE);
        memcpy(p.option[1].trigger.nonce, got.option[0].trigger.nonce, I3_NONCE);
    }
    assert_int_equal(got.option[0].type, I3_ACK);
    i3_hash_free(h);
}

static void send_data(struct lone *l, const struct i3_id *id, const void *payload, size_t size)
{
    struct i3_packet p = {.flags = I3_DATA | I3_OPTIONS | I3_FIRST_HOP,
                          .depth = 1,
                          .stack = id,
                          .option_count = 1,
                          .payload = payload,
                          .payload_size = size};
    uint8_t bytes[2048];
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&l->client)};
    hears(l, bytes, i3_packet_write(&p, bytes, sizeof bytes));
}

static void path_by_a_bridge(void **state)
{
    struct lone *l = lone_new("127.0.0.1:5610");
    struct i3_vector e17 = i3_vector("E17"), e18 = i3_vector("E18");
    struct i3_packet chain;
    uint8_t nonce[I3_NONCE];
    assert_int_equal(i3_packet_parse(e17.bytes, e17.size, &chain), I3_FINE);
    l->client.port = e17.from;
    insert(l, "E17", nonce);
    insert_private(l, &chain.option[1].trigger.target.stack[0], e18.to);
    send_data(l, chain.stack, "\0\0\0\0", 4);
    struct outbox_letter letter = says(l);
    assert_int_equal(letter.to.port, e18.to);
    assert_int_equal(letter.size, e18.size);
    assert_memory_equal(letter.bytes, e18.bytes, e18.size);
    lone_free(l);
}

static void push_back(void **state)
{
    struct lone *l = lone_new("127.0.0.1:5610");
    struct i3_vector e17 = i3_vector("E17");
    struct i3_packet chain, got;
    uint8_t nonce[I3_NONCE];
    assert_int_equal(i3_packet_parse(e17.bytes, e17.size, &chain), I3_FINE);
    l->client.port = e17.from;
    insert(l, "E17", nonce);
    /* As the original: the first packet is lost, the second one too and the trigger with it, the third is answered. */
    send_data(l, chain.stack, "1", 1);
    assert_int_equal(drops(l, I3_DROP_NOT_PRESENT), 1);
    send_data(l, chain.stack, "2", 1);
    assert_int_equal(drops(l, I3_DROP_PUSHED_BACK), 1);
    assert_int_equal(i3_server_triggers(l->server), 0);
    says_nothing(l);
    send_data(l, chain.stack, "3", 1);
    struct outbox_letter letter = says(l);
    assert_int_equal(i3_packet_parse(letter.bytes, letter.size, &got), I3_FINE);
    assert_int_equal(got.option[0].type, I3_NOT_PRESENT);
    assert_true(i3_id_equal(&got.option[0].id, chain.stack));
    lone_free(l);
}

static void expiry(void **state)
{
    struct lone *l = lone_new("127.0.0.1:5610");
    uint8_t nonce[I3_NONCE];
    insert(l, "E1", nonce);
    instant now = SECOND;
    while (i3_server_triggers(l->server)) {
        now = i3_server_deadline(l->server);
        assert_true(now <= 33 * SECOND);
        i3_server_advance(l->server, now);
    }
    assert_true(now >= 31 * SECOND);
    assert_int_equal(i3_server_counters(l->server)->expired, 1);
    lone_free(l);
}

static void behind_a_nat(void **state)
{
    struct lone *l = lone_new("127.0.0.1:5610");
    struct i3_vector v = i3_vector("E1");
    struct i3_packet p;
    static const uint8_t private[4] = {10, 9, 9, 9};
    memcpy(v.bytes + 39, private, 4); /* SENDER and target: what the client believes */
    memcpy(v.bytes + 98, private, 4);
    for (unsigned i = 0; i < 2; i++) {
        hears(l, v.bytes, v.size);
        struct outbox_letter letter = says(l);
        assert_true(endpoint_equal(&letter.to, &l->client));
        assert_int_equal(i3_packet_parse(letter.bytes, letter.size, &p), I3_FINE);
        assert_int_equal(p.option[0].type, i ? I3_ACK : I3_CHALLENGE);
        assert_memory_equal(p.option[0].trigger.target.at.ip.bytes, private, 4);
        memcpy(v.bytes + 81, p.option[0].trigger.nonce, I3_NONCE);
    }
    hears_as_it_is(l, "E5");
    struct outbox_letter delivered = says(l);
    assert_true(endpoint_equal(&delivered.to, &l->client));
    lone_free(l);
}

static void pings(void **state)
{
    struct lone *l = lone_new("127.0.0.1:5610");
    struct i3_ping ask = {.sequence = 3, .time = 4}, got;
    uint8_t bytes[I3_PING_SIZE];
    i3_ping_write(&ask, bytes);
    hears(l, bytes, sizeof bytes);
    struct outbox_letter letter = says(l);
    assert_true(i3_ping_parse(letter.bytes, letter.size, &got));
    assert_true(got.is_reply && got.sequence == 3 && got.time == 4);
    ask.is_reply = true; /* two servers do not keep each other busy */
    i3_ping_write(&ask, bytes);
    hears(l, bytes, sizeof bytes);
    says_nothing(l);
    lone_free(l);
}

/* Every captured packet, cut and changed: nothing crashes, and each is counted somewhere. */
/* More to answer than is held until it is pulled: what was not sent is not counted as sent. */
static void more_than_it_holds(void **state)
{
    struct lone *l = lone_new("127.0.0.1:5610");
    struct i3_ping ask = {.sequence = 3};
    struct i3_server_out out;
    uint8_t bytes[I3_PING_SIZE];
    unsigned said = 0;
    i3_ping_write(&ask, bytes);
    for (unsigned i = 0; i < 2000; i++)
        hears(l, bytes, sizeof bytes);
    while (i3_server_output(l->server, &out))
        said++;
    assert_true(said > 100 && said < 2000);
    assert_int_equal(i3_server_counters(l->server)->pings, said);
    assert_int_equal(drops(l, I3_DROP_OUTBOX), 2000 - said);
    lone_free(l);
}

static void vectors_cut_and_changed(void **state)
{
    static struct i3_vector all[I3_VECTORS];
    struct lone *l = lone_new("127.0.0.1:5610");
    struct i3_server_out out;
    unsigned count = i3_vectors_read(all);
    for (unsigned i = 0; i < count; i++)
        for (size_t at = 0; at < all[i].size; at++) {
            enum i3_port port = all[i].tag[0] == 'C' ? I3_PORT_RING : I3_PORT_CLIENTS;
            i3_server_input(l->server, SECOND, port, &l->client, all[i].bytes, at);
            all[i].bytes[at] ^= 0xff;
            i3_server_input(l->server, SECOND, port, &l->client, all[i].bytes, all[i].size);
            all[i].bytes[at] ^= 0xff;
            while (i3_server_output(l->server, &out))
                assert_true(out.letter.size <= I3_DATAGRAM_MAX + CHORD_OVERHEAD);
        }
    for (enum i3_drop reason = I3_DROP_SHORT; reason <= I3_DROP_ADDRESS; reason++)
        assert_true(reason == I3_DROP_OPTION_COUNT || drops(l, reason) > 0);
    lone_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life_of_a_trigger),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(wrong_constraint),
        cmocka_unit_test(target_is_a_stack),
        cmocka_unit_test(path_by_a_bridge),
        cmocka_unit_test(push_back),
        cmocka_unit_test(expiry),
        cmocka_unit_test(behind_a_nat),
        cmocka_unit_test(pings),
        cmocka_unit_test(more_than_it_holds),
        cmocka_unit_test(vectors_cut_and_changed),
    };
    return cmocka_run_group_tests_name("i3_server", tests, NULL, NULL);
}
