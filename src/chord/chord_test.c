/* chord_*: rings of engines under loss, reordering and duplication from a seed; strangers who lie; and what an original
 * says and expects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chord/chord.h"
#include "crypto/crypto.h"
#include "tests/support/chord_ring.h"
#include "tests/support/i3_vectors.h"

static void one_alone(void **state)
{
    struct chord_ring *r = chord_ring_new(1, NULL);
    struct chord_id key = {{7}};
    chord_ring_add(r); /* its only seed is itself */
    assert_true(chord_owns(r->server[0].chord, &key));
    chord_ring_run(r, 10 * SECOND);
    assert_int_equal(r->net.sent, 0);
    chord_ring_free(r);
}

static void seeds_that_are_away(void **state)
{
    struct chord_ring *r = chord_ring_new(2, NULL);
    struct chord_id key = {{7}};
    chord_ring_add(r);
    chord_ring_kill(r, 0);
    chord_ring_add(r);
    chord_ring_run(r, 3 * SECOND);
    assert_false(chord_owns(r->server[1].chord, &key));
    chord_ring_run(r, 2 * SECOND);
    assert_true(chord_owns(r->server[1].chord, &key)); /* better alone than no service */
    chord_ring_free(r);
}

static void grows_to(unsigned servers, uint64_t seed, const uint8_t *secret, unsigned lose)
{
    struct chord_ring *r = chord_ring_new(seed, secret);
    r->net.lose = lose;
    r->net.twice = lose;
    r->net.jitter = lose ? 30 * MILLISECOND : 0;
    for (unsigned i = 0; i < servers; i++) {
        chord_ring_add(r);
        chord_ring_run(r, 500 * MILLISECOND);
    }
    chord_ring_until_agreed(r, lose ? 60 : 10);
    unsigned before = r->server[0].received;
    chord_ring_run(r, 10 * SECOND);
    /* A node at rest hears some ten messages a second, not a storm. */
    assert_true(r->server[0].received - before < 400);
    r->net.lose = r->net.twice = 0;
    for (unsigned i = 0; i < servers; i++)
        assert_int_equal(chord_counters(r->server[i].chord)->drops[CHORD_DROP_LOOP], 0);
    chord_ring_free(r);
}

static void rings_form(void **state)
{
    static const uint8_t secret[CHORD_SECRET] = {3};
    grows_to(2, 3, NULL, 0);
    grows_to(3, 4, NULL, 0);
    grows_to(20, 5, NULL, 0);
    grows_to(20, 6, secret, 0);
    grows_to(12, 7, NULL, 100);
}

static bool every_one(unsigned index)
{
    return true;
}

static bool each_other_one(unsigned index)
{
    return index % 2;
}

/* Of IPv6 alone, and of nodes that tell others either; one that has IPv4 only is not drawn in halfway. */
static void rings_of_six(void **state)
{
    static const uint8_t secret[CHORD_SECRET] = {3};
    for (unsigned k = 0; k < 4; k++) {
        struct chord_ring *r = chord_ring_new(30 + k, secret);
        r->is_six = k & 1 ? every_one : each_other_one;
        r->both_families = !(k & 1);
        r->net.lose = r->net.twice = k & 2 ? 100 : 0;
        r->net.jitter = k & 2 ? 30 * MILLISECOND : 0;
        for (unsigned i = 0; i < 12; i++) {
            chord_ring_add(r);
            chord_ring_run(r, 500 * MILLISECOND);
        }
        chord_ring_until_agreed(r, k & 2 ? 60 : 10);
        for (unsigned i = 0; i < 12; i++)
            assert_int_equal(chord_counters(r->server[i].chord)->drops[CHORD_DROP_FAMILY], 0);
        chord_ring_kill(r, 3);
        chord_ring_until_agreed(r, 60);
        chord_ring_free(r);
    }
    struct chord_ring *r = chord_ring_new(40, secret);
    r->is_six = each_other_one;
    r->both_families = true;
    for (unsigned i = 0; i < 4; i++)
        chord_ring_add(r);
    chord_ring_until_agreed(r, 20);
    r->both_families = false;
    chord_ring_add(r); /* the fifth: IPv4, and no socket for the other family */
    chord_ring_run(r, 10 * SECOND);
    const struct chord *poor = r->server[4].chord;
    assert_true(chord_counters(poor)->drops[CHORD_DROP_FAMILY] > 0);
    struct chord_view view[CHORD_NODES_MAX];
    for (unsigned i = chord_nodes(poor, view, CHORD_NODES_MAX); i > 0; i--)
        assert_int_equal(view[i - 1].node.at.ip.family, 4);
    chord_ring_free(r);
}

static void messages_arrive(void **state)
{
    struct chord_ring *r = chord_ring_new(8, NULL);
    for (unsigned i = 0; i < 20; i++)
        chord_ring_add(r); /* all at once */
    chord_ring_until_agreed(r, 20);
    unsigned good = 0, tried = 0;
    for (unsigned k = 0; k < 200; k++) {
        struct chord_ring_server *s = &r->server[k % 20];
        struct chord_id key;
        entropy_fill(&r->net.random.entropy, key.bytes, CHORD_ID);
        if (chord_owns(s->chord, &key))
            continue;
        r->delivered = 0;
        chord_route(s->chord, r->now, &key, "payload", 7);
        chord_ring_pull(r, s);
        chord_ring_run(r, 200 * MILLISECOND);
        tried++;
        good += r->delivered == 1 && r->deliverer == chord_ring_owner(r, &key);
    }
    assert_true(tried > 150);
    assert_int_equal(good, tried);
    chord_ring_free(r);
}

static void halves_meet_again(void **state)
{
    struct chord_ring *r = chord_ring_new(10, NULL);
    chord_ring_add(r);
    chord_ring_run(r, SECOND);
    struct chord *first = r->server[0].chord;
    r->server[0].chord = NULL; /* cut off while the others begin */
    for (unsigned i = 0; i < 3; i++)
        chord_ring_add(r);
    chord_ring_run(r, 8 * SECOND);
    r->server[0].chord = first;
    chord_ring_until_agreed(r, 30);
    chord_ring_free(r);
}

/* ---- an original, played from its packets ---- */

struct lone {
    struct seeded random;
    struct chord *chord;
    struct chord_settings settings;
};

/* The node that the captures were addressed to, or one beside it. */
static struct lone *lone_new(const char *id, const char *at, const char *seed)
{
    struct lone *l = calloc(1, sizeof *l);
    seeded_init(&l->random, 5);
    l->settings = (struct chord_settings){.outbox = 65536, .entropy = &l->random.entropy};
    assert_true(chord_id_parse(id, &l->settings.self.id));
    assert_true(endpoint_parse(at, 0, &l->settings.self.at));
    if (seed) {
        assert_true(endpoint_parse(seed, 0, &l->settings.seed[0]));
        l->settings.seeds = 1;
    }
    l->chord = chord_new(&l->settings, SECOND);
    return l;
}

static void lone_free(struct lone *l)
{
    chord_free(l->chord);
    free(l);
}

static bool hears(struct lone *l, instant now, const void *bytes, size_t size)
{
    static const struct endpoint from = {.ip = {4, {127, 0, 0, 1}}, .port = 36427};
    struct chord_delivery got;
    return chord_input(l->chord, now, &from, bytes, size, &got);
}

static bool says(struct lone *l, enum chord_type type, struct chord_message *ret,
                 struct endpoint *to)
{
    struct outbox_letter letter;
    while (chord_output(l->chord, &letter)) {
        assert_int_equal(chord_message_parse(letter.bytes, letter.size, NULL, ret), CHORD_FINE);
        *to = letter.to;
        if (ret->type == type)
            return true;
    }
    return false;
}

static void answers_an_original(void **state)
{
    struct lone *l = lone_new("20000000000000000000000000000000000000a0", "127.0.0.1:6510", NULL);
    struct i3_vector ping = i3_vector("C8"), pong = i3_vector("C9"), stab = i3_vector("C5"),
                     repl = i3_vector("C6"), find = i3_vector("C3"), found = i3_vector("C4");
    struct outbox_letter letter;
    struct chord_message m;
    struct endpoint to;
    /* The captured answer, byte for byte. */
    assert_false(hears(l, SECOND, ping.bytes, ping.size));
    assert_true(chord_output(l->chord, &letter));
    assert_int_equal(letter.to.port, 6511);
    assert_int_equal(letter.size, pong.size);
    assert_memory_equal(letter.bytes, pong.bytes, pong.size);
    /* Its STABILISE: it is our predecessor now, and it is pinged before it is used. */
    assert_false(hears(l, SECOND, stab.bytes, stab.size));
    assert_true(says(l, CHORD_PING, &m, &to));
    assert_int_equal(to.port, 6511);
    uint32_t token = m.token;
    assert_true(chord_output(l->chord, &letter));
    assert_int_equal(letter.size, repl.size);
    assert_memory_equal(letter.bytes, repl.bytes, repl.size);
    assert_int_equal(chord_nodes(l->chord, NULL, 0), 0);
    struct chord_message answer = {.type = CHORD_PONG, .token = token + 1};
    assert_true(chord_id_parse("60000000000000000000000000000000000000b1", &answer.node.id));
    assert_true(endpoint_parse("127.0.0.1:6511", 0, &answer.node.at));
    uint8_t bytes[64];
    size_t size = chord_message_write(&answer, NULL, bytes, sizeof bytes);
    hears(l, SECOND, bytes, size);
    assert_int_equal(chord_nodes(l->chord, NULL, 0), 0);
    assert_int_equal(chord_counters(l->chord)->drops[CHORD_DROP_TOKEN], 1);
    answer.token = token;
    size = chord_message_write(&answer, NULL, bytes, sizeof bytes);
    hears(l, SECOND, bytes, size);
    assert_int_equal(chord_nodes(l->chord, NULL, 0), 1);
    lone_free(l);

    /* Its join, sent to who is the seed: C3 asks 6511, C4 is the answer of a node that knows only the asker. */
    l = lone_new("60000000000000000000000000000000000000b1", "127.0.0.1:6511", NULL);
    assert_false(hears(l, SECOND, find.bytes, find.size));
    assert_true(chord_output(l->chord, &letter));
    assert_int_equal(letter.to.port, 6510);
    assert_int_equal(letter.bytes[0], found.bytes[0]);
    assert_int_equal(letter.size, found.size);
    lone_free(l);
}

/* Our join as an original sees it: the first message is its own join request, with our address. */
static void joins_an_original(void **state)
{
    struct lone *l =
        lone_new("20000000000000000000000000000000000000a0", "127.0.0.1:6510", "127.0.0.1:6511");
    struct i3_vector find = i3_vector("C3"), stab = i3_vector("C5");
    struct outbox_letter letter;
    struct chord_message m;
    struct endpoint to;
    uint8_t bytes[64];
    chord_advance(l->chord, SECOND);
    assert_true(chord_output(l->chord, &letter));
    assert_int_equal(letter.to.port, 6511);
    assert_int_equal(letter.size, find.size);
    assert_memory_equal(letter.bytes, find.bytes, find.size);
    /* The seed says: your successor is I. */
    memcpy(bytes, stab.bytes, stab.size);
    bytes[0] = CHORD_FOUND;
    hears(l, SECOND, bytes, stab.size);
    assert_true(says(l, CHORD_PING, &m, &to));
    struct chord_message pong = {.type = CHORD_PONG, .token = m.token, .node = {.at = to}};
    assert_true(chord_id_parse("60000000000000000000000000000000000000b1", &pong.node.id));
    hears(l, SECOND, bytes, chord_message_write(&pong, NULL, bytes, sizeof bytes));
    assert_true(says(l, CHORD_STABILISE, &m, &to));
    struct chord_id key = {{0x70}};
    assert_false(chord_owns(l->chord, &key)); /* not before it told us its predecessor */
    struct chord_message done = {.type = CHORD_STABILISED, .node = l->settings.self};
    hears(l, SECOND, bytes, chord_message_write(&done, NULL, bytes, sizeof bytes));
    assert_false(chord_owns(l->chord, &key)); /* there may be others, who have not found us yet */
    for (instant now = SECOND; now < 4 * SECOND; now += 250 * MILLISECOND)
        chord_advance(l->chord, now);
    assert_true(chord_owns(l->chord, &key));
    key.bytes[0] = 0x50;
    assert_false(chord_owns(l->chord, &key));
    lone_free(l);
}

static void routed_message_is_kept_whole(void **state)
{
    struct lone *l = lone_new("20000000000000000000000000000000000000a0", "127.0.0.1:6510", NULL);
    struct i3_vector v = i3_vector("C1");
    assert_true(hears(l, SECOND, v.bytes, v.size)); /* alone, so it is ours */
    assert_int_equal(chord_counters(l->chord)->delivered, 1);
    lone_free(l);
}

static void strangers(void **state)
{
    struct lone *l = lone_new("20000000000000000000000000000000000000a0", "127.0.0.1:6510", NULL);
    struct chord_message m = {.type = CHORD_STABILISE, .node = l->settings.self}, got;
    const struct chord_counters *counters = chord_counters(l->chord);
    struct outbox_letter letter;
    struct endpoint to;
    uint8_t bytes[64];
    /* Our own address or place: what an original dies of. */
    hears(l, SECOND, bytes, chord_message_write(&m, NULL, bytes, sizeof bytes));
    m.node.at.port++;
    hears(l, SECOND, bytes, chord_message_write(&m, NULL, bytes, sizeof bytes));
    assert_int_equal(counters->drops[CHORD_DROP_SELF], 2);
    /* Who asks for our list is told nothing: the answer would be longer than the question. */
    struct i3_vector fingers = i3_vector("C10");
    hears(l, SECOND, fingers.bytes, fingers.size);
    assert_int_equal(counters->drops[CHORD_DROP_STRANGER], 1);
    assert_false(chord_output(l->chord, &letter));
    /* A thousand nodes that do not exist cost a few pings and no room. */
    for (unsigned i = 0; i < 1000; i++) {
        m = (struct chord_message){
            .type = CHORD_NOTIFY,
            .node = {.id = {{(uint8_t)i, (uint8_t)(i >> 8), 1}},
                     .at = {.ip = {4, {192, 0, 2, 1}}, .port = (uint16_t)(1 + i)}}};
        hears(l, SECOND, bytes, chord_message_write(&m, NULL, bytes, sizeof bytes));
    }
    unsigned pings = 0;
    while (says(l, CHORD_PING, &got, &to))
        pings++;
    assert_true(pings > 0 && pings <= 8);
    assert_int_equal(chord_nodes(l->chord, NULL, 0), 0);
    assert_true(counters->drops[CHORD_DROP_SOURCE_LIMIT] > 500);
    for (instant now = SECOND; now < 10 * SECOND; now += SECOND)
        chord_advance(l->chord, now);
    assert_true(chord_owns(l->chord, &m.node.id)); /* all of them are gone again */
    lone_free(l);
}

/* One source names nodes on and on, at many addresses: there is room left for whom others name. */
static void one_source_leaves_room_for_others(void **state)
{
    struct lone *l = lone_new("20000000000000000000000000000000000000a0", "127.0.0.1:6510", NULL);
    struct endpoint liar = {.ip = {4, {203, 0, 113, 6}}, .port = 6510}, to;
    struct endpoint honest = {.ip = {4, {198, 51, 100, 7}}, .port = 6510};
    struct chord_message m, got;
    struct chord_delivery none;
    uint8_t bytes[64];
    instant now = SECOND;
    for (unsigned i = 0; i < 100; i++, now += 10 * MILLISECOND) {
        m = (struct chord_message){
            .type = CHORD_NOTIFY,
            .node = {.id = {{(uint8_t)i, 1}},
                     .at = {.ip = {4, {192, 0, 2, (uint8_t)(1 + i)}}, .port = 6510}}};
        chord_input(l->chord, now, &liar, bytes, chord_message_write(&m, NULL, bytes, sizeof bytes),
                    &none);
    }
    unsigned pings = 0;
    while (says(l, CHORD_PING, &got, &to))
        pings++;
    assert_in_range(pings, 8, 16); /* of two seconds at most */
    m = (struct chord_message){.type = CHORD_NOTIFY, .node = {.id = {{7, 2}}, .at = honest}};
    chord_input(l->chord, now, &honest, bytes, chord_message_write(&m, NULL, bytes, sizeof bytes),
                &none);
    assert_true(says(l, CHORD_PING, &got, &to) && endpoint_equal(&to, &honest));
    m = (struct chord_message){.type = CHORD_PONG, .node = m.node, .token = got.token};
    chord_input(l->chord, now, &honest, bytes, chord_message_write(&m, NULL, bytes, sizeof bytes),
                &none);
    assert_int_equal(chord_nodes(l->chord, NULL, 0), 1);
    lone_free(l);
}

static void garbage(void **state)
{
    struct lone *l = lone_new("20000000000000000000000000000000000000a0", "127.0.0.1:6510", NULL);
    const struct chord_counters *counters = chord_counters(l->chord);
    hears(l, SECOND, "", 0);
    hears(l, SECOND, "\x0b", 1);
    hears(l, SECOND, "\x05", 1);
    hears(l, SECOND, "\0\0", 2);
    assert_int_equal(counters->drops[CHORD_DROP_TYPE], 1);
    assert_int_equal(counters->drops[CHORD_DROP_LENGTH], 3);
    struct i3_vector v = i3_vector("C5");
    memset(v.bytes + 21, 0, 4);
    hears(l, SECOND, v.bytes, v.size);
    assert_int_equal(counters->drops[CHORD_DROP_ADDRESS], 1);
    lone_free(l);
}

/* What finds no room before it is pulled is counted. */
static void more_than_it_holds(void **state)
{
    struct lone *l = lone_new("20000000000000000000000000000000000000a0", "127.0.0.1:6510", NULL);
    struct i3_vector ping = i3_vector("C8");
    struct outbox_letter letter;
    unsigned said = 0;
    for (unsigned i = 0; i < 900; i++)
        hears(l, SECOND * (1 + i / 300), ping.bytes, ping.size);
    while (chord_output(l->chord, &letter))
        said++;
    assert_true(said > 100 && said < 900);
    assert_int_equal(chord_counters(l->chord)->drops[CHORD_DROP_OUTBOX], 900 - said);
    lone_free(l);
}

/* Two nodes that each think that the key is the other's. */
static void circles_end(void **state)
{
    struct chord_ring *r = chord_ring_new(11, NULL);
    chord_ring_add(r);
    chord_ring_add(r);
    chord_ring_until_agreed(r, 10);
    struct chord_message m = {
        .type = CHORD_ROUTE, .payload = (const uint8_t *)"payload", .payload_size = 7};
    struct chord_delivery got;
    uint8_t bytes[128];
    /* A key of the other one comes again and again. */
    m.node.id = chord_self(r->server[1].chord)->id;
    size_t size = chord_message_write(&m, NULL, bytes, sizeof bytes);
    for (unsigned i = 0; i < 1000; i++)
        chord_input(r->server[0].chord, r->now, &r->server[1].at, bytes, size, &got);
    assert_int_equal(chord_counters(r->server[0].chord)->drops[CHORD_DROP_LOOP], 1000 - 32);
    chord_ring_free(r);

    static const uint8_t secret[CHORD_SECRET] = {4};
    r = chord_ring_new(12, secret);
    chord_ring_add(r);
    chord_ring_add(r);
    chord_ring_until_agreed(r, 10);
    m.node.id = chord_self(r->server[1].chord)->id;
    struct crypto_hmac_key prepared;
    chord_secret_key(secret, &prepared);
    m.hops = 0; /* it went its way before it came here */
    size = chord_message_write(&m, &prepared, bytes, sizeof bytes);
    assert_false(chord_input(r->server[0].chord, r->now, &r->server[1].at, bytes, size, &got));
    assert_int_equal(chord_counters(r->server[0].chord)->drops[CHORD_DROP_HOPS], 1);
    chord_route(r->server[0].chord, r->now, &m.node.id, "payload", 7);
    chord_ring_pull(r, &r->server[0]);
    chord_ring_run(r, SECOND);
    assert_int_equal(r->delivered, 1);
    chord_ring_free(r);
}

static void without_the_secret(void **state)
{
    static const uint8_t secret[CHORD_SECRET] = {4};
    struct chord_ring *r = chord_ring_new(13, secret);
    struct i3_vector v = i3_vector("C5");
    struct chord_delivery got;
    struct outbox_letter letter;
    chord_ring_add(r);
    chord_input(r->server[0].chord, r->now, &r->server[0].at, v.bytes, v.size, &got);
    assert_int_equal(chord_counters(r->server[0].chord)->drops[CHORD_DROP_SECRET], 1);
    assert_false(chord_output(r->server[0].chord, &letter));
    chord_ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_alone),
        cmocka_unit_test(seeds_that_are_away),
        cmocka_unit_test(rings_form),
        cmocka_unit_test(rings_of_six),
        cmocka_unit_test(messages_arrive),
        cmocka_unit_test(halves_meet_again),
        cmocka_unit_test(answers_an_original),
        cmocka_unit_test(joins_an_original),
        cmocka_unit_test(routed_message_is_kept_whole),
        cmocka_unit_test(strangers),
        cmocka_unit_test(one_source_leaves_room_for_others),
        cmocka_unit_test(garbage),
        cmocka_unit_test(more_than_it_holds),
        cmocka_unit_test(circles_end),
        cmocka_unit_test(without_the_secret),
    };
    return cmocka_run_group_tests_name("chord_chord", tests, NULL, NULL);
}
