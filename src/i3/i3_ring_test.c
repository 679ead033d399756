/* Servers that form a ring, and original clients around them: under loss, reordering and duplication from a seed; servers
 * that come and go; the captured packets between servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/i3_ring.h"
#include "tests/support/i3_vectors.h"

static const uint8_t secret[CHORD_SECRET] = {42};

static uint64_t sum_drops(const struct i3_ring *r, enum i3_drop reason)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < r->servers; i++)
        if (r->server[i].server)
            sum += i3_server_counters(r->server[i].server)->drops[reason];
    return sum;
}

static void any_server_reaches_any_trigger(unsigned servers, uint64_t seed, const uint8_t *with)
{
    struct i3_ring *r = i3_ring_formed(NULL, servers, seed, with);
    struct endpoint alice = i3_ring_client(0), bob = i3_ring_client(1);
    for (unsigned k = 0; k < 20; k++) {
        struct i3_trigger t = i3_ring_drawn(r, &bob);
        assert_true(i3_ring_insert(r, &bob, k % servers, &t));
        unsigned owner = i3_ring_owner(r, &t.id);
        assert_true(owner < I3_RING_SERVERS);
        assert_true(i3_server_has(r->server[owner].server, r->now, &t.id));
        for (unsigned i = 0; i < 3; i++)
            assert_true(i3_ring_data(r, &alice, (k + 1 + i) % servers, &t.id, &bob, "hello"));
    }
    assert_int_equal(sum_drops(r, I3_DROP_LOOP), 0);
    i3_ring_free(r);
}

static void rings(void **state)
{
    any_server_reaches_any_trigger(1, 1, NULL);
    any_server_reaches_any_trigger(4, 2, NULL);
    any_server_reaches_any_trigger(12, 3, NULL);
    any_server_reaches_any_trigger(12, 4, secret);
}

static void lossy(void **state)
{
    struct i3_ring *r = i3_ring_new(5, NULL);
    struct endpoint alice = i3_ring_client(0), bob = i3_ring_client(1);
    r->net.lose = 50;
    r->net.twice = 50;
    r->net.jitter = 40 * MILLISECOND;
    for (unsigned i = 0; i < 8; i++)
        i3_ring_add(r);
    i3_ring_run(r, 40 * SECOND);
    unsigned got = 0;
    for (unsigned k = 0; k < 20; k++) {
        struct i3_trigger t = i3_ring_drawn(r, &bob);
        assert_true(i3_ring_insert(r, &bob, k % 8, &t));
        for (unsigned i = 0; i < 5; i++)
            got += i3_ring_data(r, &alice, (k + i) % 8, &t.id, &bob, "hello");
    }
    assert_true(got > 70); /* of 100; a packet crosses some five lossy hops */
    i3_ring_free(r);
}

/* A trigger of `host` that leads to `end`, and that another server has. */
static struct i3_trigger chained(struct i3_ring *r, const struct endpoint *host,
                                 struct i3_trigger *end)
{
    struct i3_trigger chain;
    do {
        chain = i3_ring_drawn(r, host);
        i3_ring_lead_to(&chain, &end->id);
    } while (i3_ring_owner(r, &chain.id) == i3_ring_owner(r, &end->id));
    return chain;
}

/* A chain of triggers whose identifiers are at different servers; then straight between servers, once they were told. */
static void chains(void **state)
{
    struct i3_ring *r = i3_ring_formed(NULL, 6, 6, NULL);
    struct endpoint alice = i3_ring_client(0), bob = i3_ring_client(1);
    struct i3_trigger end = i3_ring_drawn(r, &bob), chain = chained(r, &bob, &end);
    assert_true(i3_ring_insert(r, &bob, 0, &end));
    assert_true(i3_ring_insert(r, &bob, 1, &chain));
    for (unsigned i = 0; i < 5; i++)
        assert_true(i3_ring_data(r, &alice, 2, &chain.id, &bob, "around"));
    const struct i3_counters *c = i3_server_counters(r->server[i3_ring_owner(r, &chain.id)].server);
    assert_int_equal(c->forwarded, 4); /* all but the first */
    i3_ring_free(r);
}

/* NOT_PRESENT from the server that is responsible takes the trigger that leads there away. */
static void push_back_between_servers(void **state)
{
    struct i3_ring *r = i3_ring_formed(NULL, 6, 7, NULL);
    struct endpoint alice = i3_ring_client(0), bob = i3_ring_client(1);
    struct i3_trigger end = i3_ring_drawn(r, &bob), chain = chained(r, &bob, &end);
    assert_true(i3_ring_insert(r, &bob, 1, &chain));
    struct i3_server *first = r->server[i3_ring_owner(r, &chain.id)].server;
    for (unsigned i = 0; i < 4 && i3_server_has(first, r->now, &chain.id); i++)
        i3_ring_data(r, &alice, 2, &chain.id, &alice, "nobody");
    assert_false(i3_server_has(first, r->now, &chain.id));
    i3_ring_free(r);
}

/* Refreshes for `span`, as a client does; and counts how many of the triggers nobody has at its end. */
static unsigned lost_after(struct i3_ring *r, struct i3_trigger *t, unsigned count)
{
    unsigned lost = 0;
    for (unsigned k = 0; k < count; k++) {
        unsigned owner = i3_ring_owner(r, &t[k].id);
        lost +=
            owner == I3_RING_SERVERS || !i3_server_has(r->server[owner].server, r->now, &t[k].id);
    }
    return lost;
}

static void insert_many(struct i3_ring *r, struct i3_trigger *t, unsigned count)
{
    struct endpoint bob = i3_ring_client(1);
    for (unsigned k = 0; k < count; k++) {
        t[k] = i3_ring_drawn(r, &bob);
        assert_true(i3_ring_insert(r, &bob, 0, &t[k]));
    }
}

/* With a secret a server's death loses no trigger: its successor has copies. */
static void a_server_dies(void **state)
{
    static struct i3_trigger t[60];
    struct i3_ring *r = i3_ring_formed(NULL, 8, 8, secret);
    insert_many(r, t, 60);
    assert_int_equal(lost_after(r, t, 60), 0);
    i3_ring_kill(r, 3);
    i3_ring_kill(r, 5);
    i3_ring_run(r, 6 * SECOND);
    assert_int_equal(lost_after(r, t, 60), 0);
    i3_ring_free(r);

    /* Without one its clients' next refresh brings them back. */
    struct endpoint bob = i3_ring_client(1);
    r = i3_ring_formed(NULL, 8, 8, NULL);
    insert_many(r, t, 60);
    i3_ring_kill(r, 3);
    i3_ring_run(r, 6 * SECOND);
    assert_true(lost_after(r, t, 60) > 0);
    for (unsigned k = 0; k < 60; k++)
        assert_true(i3_ring_insert(r, &bob, 0, &t[k]));
    assert_int_equal(lost_after(r, t, 60), 0);
    i3_ring_free(r);
}

/* What a client does that is challenged: the same INSERT with that nonce. */
static unsigned answer_challenges(struct i3_ring *r, const struct endpoint *client)
{
    unsigned count = 0;
    for (struct tiny_datagram *d; (d = i3_ring_take(r, client)); free(d)) {
        struct i3_packet p;
        assert_int_equal(i3_packet_parse(d->bytes, d->size, &p), I3_FINE);
        const struct i3_option *o = i3_packet_option(&p, I3_CHALLENGE);
        if (!o)
            continue;
        struct i3_packet insert = {.flags = I3_OPTIONS | I3_FIRST_HOP,
                                   .depth = 1,
                                   .stack = &o->trigger.id,
                                   .option_count = 2};
        insert.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(client)};
        insert.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = o->trigger};
        i3_ring_send_packet(r, client, &r->server[0].at, &insert);
        count++;
    }
    return count;
}

/* A receiver's limit holds wherever the trigger is. */
static bool all_are_limited(const struct i3_ring *r)
{
    for (unsigned i = 0; i < r->servers; i++) {
        struct i3_table_gauges g = i3_server_gauges(r->server[i].server);
        if (g.limited != g.triggers)
            return false;
    }
    return true;
}

static void limits_follow(void **state)
{
    struct i3_ring *r = i3_ring_formed(NULL, 3, 12, secret);
    struct endpoint bob = i3_ring_client(1);
    for (unsigned k = 0; k < 30; k++) {
        struct i3_trigger t = i3_ring_drawn(r, &bob);
        t.flags |= I3_TRIGGER_LIMITED;
        t.limit = (struct i3_bucket){.depth = 10, .rate = 10};
        assert_true(i3_ring_insert(r, &bob, 0, &t));
    }
    for (unsigned i = 0; i < 3; i++) {
        i3_ring_add(r);
        i3_ring_run(r, 3 * SECOND);
    }
    assert_true(i3_server_gauges(r->server[5].server).triggers > 0);
    assert_true(all_are_limited(r));
    i3_ring_free(r);
}

/* A server that has many triggers does not say more at once than fits. */
static void many_triggers_follow(void **state)
{
    enum { MANY = 900 };
    static struct i3_trigger t[MANY];
    struct i3_ring *r = i3_ring_formed(NULL, 2, 14, secret);
    struct endpoint bob = i3_ring_client(1);
    for (unsigned k = 0; k < MANY; k++) {
        t[k] = i3_ring_drawn(r, &bob);
        struct i3_packet insert = {
            .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = 1, .stack = &t[k].id, .option_count = 2};
        insert.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&bob)};
        insert.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = t[k]};
        i3_ring_send_packet(r, &bob, &r->server[k % 2].at, &insert);
        i3_ring_run(r, 2 * MILLISECOND);
    }
    i3_ring_run(r, SECOND);
    assert_int_equal(answer_challenges(r, &bob), MANY);
    i3_ring_run(r, SECOND);
    assert_int_equal(lost_after(r, t, MANY), 0);
    for (unsigned i = 0; i < 3; i++) {
        i3_ring_add(r);
        i3_ring_run(r, 3 * SECOND);
        assert_int_equal(lost_after(r, t, MANY), 0);
    }
    i3_ring_kill(r, 1);
    i3_ring_run(r, 4 * SECOND);
    assert_int_equal(lost_after(r, t, MANY), 0);
    i3_ring_free(r);
}

static void servers_come(void **state)
{
    static struct i3_trigger t[60];
    struct i3_ring *r = i3_ring_formed(NULL, 3, 9, secret);
    struct endpoint bob = i3_ring_client(1);
    uint64_t handed = 0;
    insert_many(r, t, 60);
    for (unsigned i = 0; i < 5; i++) {
        i3_ring_add(r);
        i3_ring_run(r, 3 * SECOND);
        assert_int_equal(lost_after(r, t, 60), 0);
    }
    for (unsigned i = 0; i < r->servers; i++)
        handed += i3_server_counters(r->server[i].server)->handed_over;
    assert_true(handed > 0);
    i3_ring_free(r);

    /* Without a secret the new one asks the client, once for each. */
    r = i3_ring_formed(NULL, 3, 10, NULL);
    insert_many(r, t, 60);
    answer_challenges(r, &bob);
    i3_ring_add(r);
    i3_ring_run(r, 3 * SECOND);
    unsigned lost = lost_after(r, t, 60);
    assert_true(lost > 0);
    assert_int_equal(answer_challenges(r, &bob), lost);
    i3_ring_run(r, SECOND);
    assert_int_equal(lost_after(r, t, 60), 0);
    i3_ring_free(r);
}

/* Successors that came after the trigger was inserted have its copy as well: no refresh is needed. */
static void those_who_came_have_copies(void **state)
{
    static struct i3_trigger t[60];
    struct i3_ring *r = i3_ring_formed(NULL, 3, 11, secret);
    insert_many(r, t, 60);
    for (unsigned i = 0; i < 3; i++) {
        i3_ring_add(r);
        i3_ring_run(r, 3 * SECOND);
    }
    for (unsigned i = 0; i < 2; i++) {
        i3_ring_kill(r, i);
        i3_ring_run(r, 3 * SECOND);
        assert_int_equal(lost_after(r, t, 60), 0);
    }
    i3_ring_free(r);
}

/* Each time one dies another one comes at the same moment, to whom the dead one cannot hand over. */
static void one_dies_while_another_comes(void **state)
{
    static struct i3_trigger t[60];
    for (uint64_t seed = 20; seed < 26; seed++) {
        struct i3_ring *r = i3_ring_formed(NULL, 5, seed, secret);
        insert_many(r, t, 60);
        for (unsigned i = 1; i <= 4; i++) {
            i3_ring_kill(r, i); /* the first one is the seed */
            i3_ring_add(r);
            i3_ring_run(r, 4 * SECOND);
            assert_int_equal(lost_after(r, t, 60), 0);
        }
        i3_ring_free(r);
    }
}

static void behind_a_nat(void **state)
{
    struct i3_ring *r = i3_ring_formed(NULL, 5, 10, NULL);
    struct endpoint private = {.ip = {4, {192, 168, 0, 7}}, .port = 7777}, real = i3_ring_client(3),
                    alice = i3_ring_client(0);
    struct i3_trigger t = i3_ring_drawn(r, &private);
    unsigned owner = i3_ring_owner(r, &t.id), first = (owner + 1) % 5;
    struct i3_packet p = {
        .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = 1, .stack = &t.id, .option_count = 2};
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&private)};
    p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = t};
    i3_ring_send_packet(r, &real, &r->server[first].at, &p);
    i3_ring_run(r, SECOND);
    struct tiny_datagram *d = i3_ring_take(r, &real);
    assert_non_null(d);
    struct i3_packet got;
    assert_int_equal(i3_packet_parse(d->bytes, d->size, &got), I3_FINE);
    /* As E21: the client's own idea of its address, and whom to speak with. */
    assert_int_equal(got.option_count, 2);
    assert_int_equal(got.option[0].type, I3_CHALLENGE);
    assert_true(i3_trigger_same(&got.option[0].trigger, &t));
    assert_int_equal(got.option[1].type, I3_FORCE_CACHE_ADDRESS);
    assert_true(endpoint_equal(&got.option[1].trigger.target.at, &r->server[owner].at));
    assert_true(endpoint_equal(&d->from, &r->server[first].at));
    struct i3_trigger with = got.option[0].trigger;
    free(d);
    p.option[1].trigger = with;
    for (unsigned i = 0; i < 2; i++) { /* a second challenge: this nonce is only for himself */
        i3_ring_send_packet(r, &real, &r->server[owner].at, &p);
        i3_ring_run(r, SECOND);
        d = i3_ring_take(r, &real);
        assert_non_null(d);
        assert_int_equal(i3_packet_parse(d->bytes, d->size, &got), I3_FINE);
        assert_int_equal(got.option[0].type, i ? I3_ACK : I3_CHALLENGE);
        p.option[1].trigger = got.option[0].trigger;
        free(d);
    }
    assert_true(i3_ring_data(r, &alice, first, &t.id, &real, "through the NAT"));
    i3_ring_free(r);
}

/* ---- packets between servers, as they were captured ---- */

/* A server at 127.0.0.1:5710 whose ring has one more node, an original at 127.0.0.1:6511 that the test plays. */
struct pair {
    struct seeded random;
    struct i3_server *server;
    struct endpoint original;
    instant now;
};

static bool pair_says(struct pair *p, enum i3_port port, struct i3_server_out *ret)
{
    while (i3_server_output(p->server, ret))
        if (ret->port == port)
            return true;
    return false;
}

static void pair_ring_hears(struct pair *p, const struct chord_message *m)
{
    uint8_t bytes[128];
    size_t size = chord_message_write(m, NULL, bytes, sizeof bytes);
    i3_server_input(p->server, p->now, I3_PORT_RING, &p->original, bytes, size);
}

#define LOW  "20000000000000000000000000000000000000a0"
#define HIGH "f0000000000000000000000000000000000000b1"

static struct pair *pair_new(const char *self, const char *other)
{
    struct pair *p = calloc(1, sizeof *p);
    seeded_init(&p->random, 3);
    struct i3_server_settings s = {
        .triggers = 100, .remembered = 64, .outbox = 1 << 18, .entropy = &p->random.entropy};
    assert_true(endpoint_parse("127.0.0.1:5710", 0, &s.at));
    assert_true(endpoint_parse("127.0.0.1:6510", 0, &s.chord.self.at));
    assert_true(endpoint_parse("127.0.0.1:6511", 0, &p->original));
    assert_true(chord_id_parse(self, &s.chord.self.id));
    s.chord.seed[0] = p->original;
    s.chord.seeds = 1;
    p->now = SECOND;
    p->server = i3_server_new(&s, p->now);
    /* The original is next to us on both sides, and has answered. */
    struct chord_message m = {.type = CHORD_FOUND, .node.at = p->original}, ping;
    assert_true(chord_id_parse(other, &m.node.id));
    struct i3_server_out out;
    pair_ring_hears(p, &m);
    assert_true(pair_says(p, I3_PORT_RING, &out));
    assert_int_equal(chord_message_parse(out.letter.bytes, out.letter.size, NULL, &ping),
                     CHORD_FINE);
    m.type = CHORD_PONG;
    m.token = ping.token;
    pair_ring_hears(p, &m);
    m = (struct chord_message){.type = CHORD_STABILISED, .node = s.chord.self};
    pair_ring_hears(p, &m);
    /* Nobody else comes and says that he is between us. */
    for (; p->now < 4 * SECOND; p->now += 250 * MILLISECOND)
        i3_server_advance(p->server, p->now);
    pair_ring_hears(p, &m);
    while (i3_server_output(p->server, &out))
        ;
    assert_true(chord_is_settled(i3_server_chord(p->server)));
    return p;
}

static void pair_free(struct pair *p)
{
    i3_server_free(p->server);
    free(p);
}

static void hears(struct pair *p, const struct endpoint *from, const void *bytes, size_t size)
{
    i3_server_input(p->server, p->now, I3_PORT_CLIENTS, from, bytes, size);
}

static void captured_translation(void **state)
{
    struct pair *p = pair_new(LOW, HIGH);
    struct i3_vector e21 = i3_vector("E21"), e22 = i3_vector("E22");
    struct chord_message routed;
    struct i3_packet packet;
    struct i3_server_out out;
    uint8_t bytes[256];
    struct endpoint real, private;
    assert_true(endpoint_parse("127.0.0.1:13001", 0, &real));
    assert_true(endpoint_parse("10.9.9.9:7777", 0, &private));
    /* What the client sent is what E22 carries, with its own idea of its address. */
    assert_int_equal(chord_message_parse(e22.bytes, e22.size, NULL, &routed), CHORD_FINE);
    assert_int_equal(i3_packet_parse(routed.payload, routed.payload_size, &packet), I3_FINE);
    packet.flags |= I3_FIRST_HOP;
    packet.option[0].sender = packet.option[1].trigger.target = i3_address_of(&private);
    memset(packet.option[1].trigger.nonce, 0x5a, I3_NONCE);
    hears(p, &real, bytes, i3_packet_write(&packet, bytes, sizeof bytes));
    assert_true(pair_says(p, I3_PORT_RING, &out));
    assert_true(endpoint_equal(&out.letter.to, &p->original));
    assert_int_equal(out.letter.size, e22.size);
    assert_memory_equal(out.letter.bytes, e22.bytes, e22.size);
    /* The owner's challenge, made of E21: it becomes E21. */
    assert_int_equal(i3_packet_parse(e21.bytes, e21.size, &packet), I3_FINE);
    packet.option[0].trigger.target = i3_address_of(&real);
    packet.option[1].type = I3_CACHE_ADDRESS;
    hears(p, &p->original, bytes, i3_packet_write(&packet, bytes, sizeof bytes));
    assert_true(pair_says(p, I3_PORT_CLIENTS, &out));
    assert_true(endpoint_equal(&out.letter.to, &real));
    assert_int_equal(out.letter.size, e21.size);
    assert_memory_equal(out.letter.bytes, e21.bytes, e21.size);
    pair_free(p);
}

/* Data for an identifier of the original: C2 over the ring, E20 tells its server, E19 straight. */
static void forward(bool backwards)
{
    struct pair *p = pair_new(LOW, HIGH);
    struct i3_vector c2 = i3_vector("C2"), e19 = i3_vector("E19"), e20 = i3_vector("E20");
    struct endpoint client, owner;
    struct i3_packet packet;
    struct i3_server_out out;
    uint8_t bytes[512];
    assert_true(endpoint_parse("127.0.0.1:10001", 0, &client));
    assert_true(endpoint_parse("127.0.0.1:5712", 0, &owner));
    assert_int_equal(i3_packet_parse(e19.bytes, e19.size, &packet), I3_FINE);
    /* A trigger of ours leads to that identifier. */
    struct i3_hash *h = i3_hash_new();
    struct i3_id far = packet.stack[0], near = {{0x10}};
    i3_hash_id(h, I3_LEFT, &far, i3_id_key(&near));
    struct i3_packet insert = {.flags = I3_OPTIONS, .depth = 1, .stack = &near, .option_count = 2},
                     got;
    insert.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&client)};
    insert.option[1] = (struct i3_option){
        .type = I3_INSERT,
        .trigger = {
            .id = near, .prefix = 256, .target = {.type = I3_TO_STACK, .depth = 1, .stack = &far}}};
    for (unsigned i = 0; i < 2; i++) {
        hears(p, &client, bytes, i3_packet_write(&insert, bytes, sizeof bytes));
        assert_true(pair_says(p, I3_PORT_CLIENTS, &out));
        assert_int_equal(i3_packet_parse(out.letter.bytes, out.letter.size, &got), I3_FINE);
        memcpy(insert.option[1].trigger.nonce, got.option[0].trigger.nonce, I3_NONCE);
    }
    struct i3_packet data = {.flags = I3_DATA | I3_OPTIONS | I3_FIRST_HOP,
                             .depth = 1,
                             .stack = &near,
                             .option_count = 1,
                             .payload = (const uint8_t *)"\0\0\0\0",
                             .payload_size = 4};
    data.option[0] = insert.option[0];
    hears(p, &client, bytes, i3_packet_write(&data, bytes, sizeof bytes));
    assert_true(pair_says(p, I3_PORT_RING, &out));
    assert_int_equal(out.letter.size, c2.size);
    assert_memory_equal(out.letter.bytes, c2.bytes, c2.size);
    assert_true(e20.size <= sizeof bytes);
    memcpy(bytes, e20.bytes, e20.size);
    if (backwards)
        memcpy(bytes + 58, "\x01\0\0\x7f", 4);
    hears(p, &owner, bytes, e20.size);
    data.payload = (const uint8_t *)"\0\0\0\1";
    hears(p, &client, bytes, i3_packet_write(&data, bytes, sizeof bytes));
    assert_true(pair_says(p, I3_PORT_CLIENTS, &out));
    assert_true(endpoint_equal(&out.letter.to, &owner));
    assert_int_equal(out.letter.size, e19.size);
    assert_memory_equal(out.letter.bytes, e19.bytes, e19.size);
    i3_hash_free(h);
    pair_free(p);
}

static void captured_forwarding(void **state)
{
    forward(false);
}

/* An original with an interface called eth0 tells its address with the bytes reversed. */
static void an_address_told_backwards(void **state)
{
    forward(true);
}

/* C1: an INSERT over the ring.  Whose it is not passes it on unchanged; whose it is answers the client. */
static void captured_insert_over_the_ring(void **state)
{
    struct i3_vector c1 = i3_vector("C1");
    struct i3_server_out out;
    struct i3_packet got;
    struct pair *p = pair_new(LOW, HIGH);
    i3_server_input(p->server, p->now, I3_PORT_RING, &p->original, c1.bytes, c1.size);
    assert_true(pair_says(p, I3_PORT_RING, &out));
    assert_true(endpoint_equal(&out.letter.to, &p->original));
    assert_int_equal(out.letter.size, c1.size);
    assert_memory_equal(out.letter.bytes, c1.bytes, c1.size);
    pair_free(p);

    p = pair_new(HIGH, LOW);
    i3_server_input(p->server, p->now, I3_PORT_RING, &p->original, c1.bytes, c1.size);
    assert_true(pair_says(p, I3_PORT_CLIENTS, &out));
    assert_int_equal(out.letter.to.port, 0x27e2);
    assert_int_equal(i3_packet_parse(out.letter.bytes, out.letter.size, &got), I3_FINE);
    assert_int_equal(got.option[0].type, I3_CHALLENGE);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rings),
        cmocka_unit_test(lossy),
        cmocka_unit_test(chains),
        cmocka_unit_test(push_back_between_servers),
        cmocka_unit_test(a_server_dies),
        cmocka_unit_test(servers_come),
        cmocka_unit_test(many_triggers_follow),
        cmocka_unit_test(limits_follow),
        cmocka_unit_test(one_dies_while_another_comes),
        cmocka_unit_test(those_who_came_have_copies),
        cmocka_unit_test(behind_a_nat),
        cmocka_unit_test(captured_translation),
        cmocka_unit_test(captured_forwarding),
        cmocka_unit_test(an_address_told_backwards),
        cmocka_unit_test(captured_insert_over_the_ring),
    };
    return cmocka_run_group_tests_name("i3_ring", tests, NULL, NULL);
}
