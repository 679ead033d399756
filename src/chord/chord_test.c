/* chord_*: rings of engines under loss, reordering and duplication from a seed; servers that die; strangers who lie; and
 * what an original says and expects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chord/chord.h"
#include "crypto/crypto.h"
#include "tests/support/i3_vectors.h"
#include "tests/support/tiny_net.h"

#define SERVERS_MAX 24
#define NUMBERED    100
#define HELD        8192
#define UNHEARD     (300 * MILLISECOND) /* who was heard of before that is asked when he is used */

struct server {
    struct seeded random;
    struct chord *chord;
    struct endpoint at;
    uint64_t received;
};

struct ring {
    struct tiny_net net;
    struct server server[SERVERS_MAX];
    unsigned servers;
    const uint8_t *secret;
    instant now;
    /* What was last delivered, and where; by the number in the payload, if it has one. */
    unsigned delivered, deliverer;
    unsigned times[NUMBERED], where[NUMBERED];
};

static struct ring *ring_new(uint64_t seed, const uint8_t *secret)
{
    struct ring *r = calloc(1, sizeof *r);
    tiny_net_init(&r->net, seed);
    r->secret = secret;
    r->now = SECOND;
    return r;
}

static struct endpoint address(unsigned index)
{
    return (struct endpoint){.ip = {4, {10, 0, (uint8_t)(index >> 8), (uint8_t)(index + 1)}},
                             .port = 5000};
}

static void add(struct ring *r)
{
    struct server *s = &r->server[r->servers];
    struct chord_settings settings = {
        .secret = r->secret, .outbox = 65536, .held = HELD, .entropy = &s->random.entropy};
    seeded_init(&s->random, r->net.order * 1000 + r->servers + 1);
    s->at = address(r->servers);
    settings.self.at = s->at;
    entropy_fill(&s->random.entropy, settings.self.id.bytes, CHORD_ID);
    settings.seed[0] = address(0);
    settings.seeds = 1;
    s->chord = chord_new(&settings, r->now);
    r->servers++;
}

static void kill_server(struct ring *r, unsigned index)
{
    chord_free(r->server[index].chord);
    r->server[index].chord = NULL;
}

static void ring_free(struct ring *r)
{
    for (unsigned i = 0; i < r->servers; i++)
        chord_free(r->server[i].chord);
    tiny_net_done(&r->net);
    free(r);
}

static void pull(struct ring *r, struct server *s)
{
    struct outbox_letter l;
    while (s->chord && chord_output(s->chord, &l))
        tiny_net_send(&r->net, r->now, &s->at, &l.to, l.bytes, l.size);
}

static void deliver(struct ring *r, unsigned server, const struct chord_delivery *got)
{
    r->delivered++;
    r->deliverer = server;
    assert_memory_equal(got->payload, "payload", 7);
    if (got->size != 8)
        return;
    assert_true(got->payload[7] < NUMBERED);
    r->times[got->payload[7]]++;
    r->where[got->payload[7]] = server;
}

static void advance(struct ring *r, unsigned index)
{
    struct chord_delivery got;
    struct server *s = &r->server[index];
    chord_advance(s->chord, r->now);
    while (chord_take(s->chord, &got))
        deliver(r, index, &got);
    pull(r, s);
}

static void arrive(struct ring *r, const struct tiny_datagram *d)
{
    for (unsigned i = 0; i < r->servers; i++) {
        struct server *s = &r->server[i];
        struct chord_delivery got;
        if (!s->chord || !endpoint_equal(&s->at, &d->to))
            continue;
        s->received++;
        if (chord_input(s->chord, r->now, &d->from, d->bytes, d->size, &got))
            deliver(r, i, &got);
        pull(r, s);
    }
}

static void run(struct ring *r, instant span)
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

/* Whose is the key, by looking at all ids. */
static unsigned owner(const struct ring *r, const struct chord_id *key)
{
    unsigned best = SERVERS_MAX;
    struct chord_id least = {{0}};
    for (unsigned i = 0; i < r->servers; i++) {
        if (!r->server[i].chord)
            continue;
        struct chord_id d = chord_distance(key, &chord_self(r->server[i].chord)->id);
        if (best == SERVERS_MAX || chord_compare(&d, &least) < 0) {
            best = i;
            least = d;
        }
    }
    return best;
}

static bool agrees(const struct ring *r, struct seeded *random)
{
    for (unsigned k = 0; k < 50; k++) {
        struct chord_id key;
        entropy_fill(&random->entropy, key.bytes, CHORD_ID);
        for (unsigned i = 0; i < r->servers; i++)
            if (r->server[i].chord && chord_owns(r->server[i].chord, &key) != (owner(r, &key) == i))
                return false;
    }
    return true;
}

/* Virtual seconds until all agree who is responsible for what. */
static unsigned until_agreed(struct ring *r, unsigned most)
{
    struct seeded random;
    seeded_init(&random, 99);
    for (unsigned s = 0; s <= most; s++) {
        if (agrees(r, &random))
            return s;
        run(r, SECOND);
    }
    fail_msg("no agreement after %u s", most);
    return 0;
}

static unsigned lookups(struct ring *r, unsigned count)
{
    unsigned good = 0;
    for (unsigned k = 0; k < count; k++) {
        struct server *s = &r->server[entropy_below(&r->net.random.entropy, r->servers)];
        struct chord_id key;
        entropy_fill(&r->net.random.entropy, key.bytes, CHORD_ID);
        if (!s->chord || chord_owns(s->chord, &key))
            continue;
        r->delivered = 0;
        chord_route(s->chord, r->now, &key, "payload", 7);
        pull(r, s);
        run(r, SECOND);
        good += r->delivered >= 1 && r->deliverer == owner(r, &key);
    }
    return good;
}

static void one_alone(void **state)
{
    struct ring *r = ring_new(1, NULL);
    struct chord_id key = {{7}};
    add(r); /* its only seed is itself */
    assert_true(chord_owns(r->server[0].chord, &key));
    run(r, 10 * SECOND);
    assert_int_equal(r->net.sent, 0);
    ring_free(r);
}

static void seeds_that_are_away(void **state)
{
    struct ring *r = ring_new(2, NULL);
    struct chord_id key = {{7}};
    add(r);
    kill_server(r, 0);
    add(r);
    run(r, 3 * SECOND);
    assert_false(chord_owns(r->server[1].chord, &key));
    run(r, 2 * SECOND);
    assert_true(chord_owns(r->server[1].chord, &key)); /* better alone than no service */
    ring_free(r);
}

static void grows_to(unsigned servers, uint64_t seed, const uint8_t *secret, unsigned lose)
{
    struct ring *r = ring_new(seed, secret);
    r->net.lose = lose;
    r->net.twice = lose;
    r->net.jitter = lose ? 30 * MILLISECOND : 0;
    for (unsigned i = 0; i < servers; i++) {
        add(r);
        run(r, 500 * MILLISECOND);
    }
    until_agreed(r, lose ? 60 : 10);
    unsigned before = r->server[0].received;
    run(r, 10 * SECOND);
    /* A node at rest hears some ten messages a second, not a storm. */
    assert_true(r->server[0].received - before < 400);
    r->net.lose = r->net.twice = 0;
    for (unsigned i = 0; i < servers; i++)
        assert_int_equal(chord_counters(r->server[i].chord)->drops[CHORD_DROP_LOOP], 0);
    ring_free(r);
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

static void messages_arrive(void **state)
{
    struct ring *r = ring_new(8, NULL);
    for (unsigned i = 0; i < 20; i++)
        add(r); /* all at once */
    until_agreed(r, 20);
    unsigned good = 0, tried = 0;
    for (unsigned k = 0; k < 200; k++) {
        struct server *s = &r->server[k % 20];
        struct chord_id key;
        entropy_fill(&r->net.random.entropy, key.bytes, CHORD_ID);
        if (chord_owns(s->chord, &key))
            continue;
        r->delivered = 0;
        chord_route(s->chord, r->now, &key, "payload", 7);
        pull(r, s);
        run(r, 200 * MILLISECOND);
        tried++;
        good += r->delivered == 1 && r->deliverer == owner(r, &key);
    }
    assert_true(tried > 150);
    assert_int_equal(good, tried);
    ring_free(r);
}

static void servers_die(void **state)
{
    struct ring *r = ring_new(9, NULL);
    for (unsigned i = 0; i < 20; i++)
        add(r);
    until_agreed(r, 20);
    run(r, 20 * SECOND); /* successors are known */
    kill_server(r, 3);
    kill_server(r, 7);
    kill_server(r, 11);
    /* The original needs a minute; here who is silent is asked and let go, and does not come back as a ghost. */
    assert_true(until_agreed(r, 10) <= 8);
    run(r, 5 * SECOND);
    assert_int_equal(until_agreed(r, 0), 0);
    assert_true(lookups(r, 30) > 20);
    ring_free(r);
}

/* Sends NUMBERED messages while some have just died; how many reach who is responsible among those that live? */
static unsigned arrive_after_deaths(struct ring *r, const unsigned *dead, unsigned count)
{
    struct chord_id key[NUMBERED];
    unsigned good = 0;
    for (unsigned i = 0; i < count; i++)
        kill_server(r, dead[i]);
    run(r, UNHEARD);
    for (unsigned k = 0; k < NUMBERED; k++) {
        uint8_t payload[8] = "payload";
        unsigned from = k % r->servers;
        entropy_fill(&r->net.random.entropy, key[k].bytes, CHORD_ID);
        while (!r->server[from].chord || owner(r, &key[k]) == from)
            from = (from + 1) % r->servers;
        payload[7] = (uint8_t)k;
        chord_route(r->server[from].chord, r->now, &key[k], payload, sizeof payload);
        pull(r, &r->server[from]);
    }
    run(r, 4 * SECOND);
    for (unsigned k = 0; k < NUMBERED; k++)
        good += r->times[k] && r->where[k] == owner(r, &key[k]);
    return good;
}

static uint64_t rerouted(const struct ring *r)
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
        struct ring *r = ring_new(14 + closed, closed ? secret : NULL);
        for (unsigned i = 0; i < 20; i++)
            add(r);
        until_agreed(r, 20);
        run(r, 20 * SECOND);
        assert_int_equal(arrive_after_deaths(r, dead, 4), NUMBERED);
        assert_true(rerouted(r) > 10);
        ring_free(r);
    }
    /* While the net loses, repeats and reorders as well, most arrive. */
    struct ring *r = ring_new(16, NULL);
    for (unsigned i = 0; i < 20; i++)
        add(r);
    until_agreed(r, 20);
    run(r, 20 * SECOND);
    r->net.lose = 100;
    r->net.twice = 50;
    r->net.jitter = 60 * MILLISECOND;
    assert_true(arrive_after_deaths(r, dead, 4) >= 75); /* a tenth is lost at each hop */
    ring_free(r);
}

/* More messages for somebody who fell silent than are held: the rest is lost, and nothing else happens. */
static void held_messages_are_few(void **state)
{
    struct ring *r = ring_new(17, NULL);
    add(r);
    add(r);
    until_agreed(r, 10);
    run(r, 2 * SECOND);
    struct chord *c = r->server[0].chord;
    struct chord_id key = chord_self(r->server[1].chord)->id;
    kill_server(r, 1);
    run(r, UNHEARD);
    for (unsigned k = 0; k < 100; k++) {
        char payload[12] = "payload";
        payload[8] = (char)k; /* not the same one again: that would be a circle */
        chord_route(c, r->now, &key, payload, sizeof payload);
        pull(r, &r->server[0]);
    }
    assert_int_equal(chord_counters(c)->routed, 100);
    run(r, 4 * SECOND);
    assert_int_equal(r->delivered, HELD / 256); /* it is ours by now */
    assert_true(chord_deadline(c) > r->now);
    ring_free(r);
}

static void halves_meet_again(void **state)
{
    struct ring *r = ring_new(10, NULL);
    add(r);
    run(r, SECOND);
    struct chord *first = r->server[0].chord;
    r->server[0].chord = NULL; /* cut off while the others begin */
    for (unsigned i = 0; i < 3; i++)
        add(r);
    run(r, 8 * SECOND);
    r->server[0].chord = first;
    until_agreed(r, 30);
    ring_free(r);
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

/* Two nodes that each think that the key is the other's. */
static void circles_end(void **state)
{
    struct ring *r = ring_new(11, NULL);
    add(r);
    add(r);
    until_agreed(r, 10);
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
    ring_free(r);

    static const uint8_t secret[CHORD_SECRET] = {4};
    r = ring_new(12, secret);
    add(r);
    add(r);
    until_agreed(r, 10);
    m.node.id = chord_self(r->server[1].chord)->id;
    uint8_t key[CHORD_SECRET];
    struct crypto_hmac_key prepared;
    crypto_hkdf_expand(secret, "ocala chord", 11, key, sizeof key);
    crypto_hmac_key(key, sizeof key, &prepared);
    m.hops = 0; /* it went its way before it came here */
    size = chord_message_write(&m, &prepared, bytes, sizeof bytes);
    assert_false(chord_input(r->server[0].chord, r->now, &r->server[1].at, bytes, size, &got));
    assert_int_equal(chord_counters(r->server[0].chord)->drops[CHORD_DROP_HOPS], 1);
    chord_route(r->server[0].chord, r->now, &m.node.id, "payload", 7);
    pull(r, &r->server[0]);
    run(r, SECOND);
    assert_int_equal(r->delivered, 1);
    ring_free(r);
}

static void without_the_secret(void **state)
{
    static const uint8_t secret[CHORD_SECRET] = {4};
    struct ring *r = ring_new(13, secret);
    struct i3_vector v = i3_vector("C5");
    struct chord_delivery got;
    struct outbox_letter letter;
    add(r);
    chord_input(r->server[0].chord, r->now, &r->server[0].at, v.bytes, v.size, &got);
    assert_int_equal(chord_counters(r->server[0].chord)->drops[CHORD_DROP_SECRET], 1);
    assert_false(chord_output(r->server[0].chord, &letter));
    ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_alone),
        cmocka_unit_test(seeds_that_are_away),
        cmocka_unit_test(rings_form),
        cmocka_unit_test(messages_arrive),
        cmocka_unit_test(servers_die),
        cmocka_unit_test(messages_go_round_the_dead),
        cmocka_unit_test(held_messages_are_few),
        cmocka_unit_test(halves_meet_again),
        cmocka_unit_test(answers_an_original),
        cmocka_unit_test(joins_an_original),
        cmocka_unit_test(routed_message_is_kept_whole),
        cmocka_unit_test(strangers),
        cmocka_unit_test(garbage),
        cmocka_unit_test(circles_end),
        cmocka_unit_test(without_the_secret),
    };
    return cmocka_run_group_tests_name("chord_chord", tests, NULL, NULL);
}
