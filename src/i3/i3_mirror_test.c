/* Servers as mirrors: everything a stranger can send in the name of a victim, to one server of an open ring, and what all
 * of them together send the victim for it.  The README of this folder has the figures as a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/i3_ring.h"

#define SERVERS 4
#define FLOOD   3000

static struct i3_ring *r;
static const struct endpoint victim = {.ip = {.family = 4, .bytes = {198, 51, 100, 7}}, .port = 9};
static const struct endpoint mallory = {.ip = {.family = 4, .bytes = {203, 0, 113, 6}}, .port = 9};

/* ---- packets in the victim's name ---- */

enum what {
    WITHOUT_SENDER = 1,
    STACK = 2,     /* the target of INSERT is an identifier */
    WRONG_KEY = 4, /* its constraint does not hold          */
    DATA = 8,
    PADDED = 16, /* with 100 bytes of payload             */
};

static size_t packet(unsigned owner, unsigned what, unsigned inserts, unsigned requests,
                     uint8_t bytes[I3_DATAGRAM_MAX])
{
    struct i3_trigger t = i3_ring_drawn_at(r, owner, &victim);
    static struct i3_id other;
    static const uint8_t padding[100];
    struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t.id};
    if (what & DATA)
        p.flags |= I3_DATA;
    if (what & PADDED) {
        p.payload = padding;
        p.payload_size = sizeof padding;
    }
    if (what & STACK)
        t.target = (struct i3_address){.type = I3_TO_STACK, .depth = 1, .stack = &other};
    if (what & WRONG_KEY)
        t.key[0] ^= 1;
    if (!(what & WITHOUT_SENDER))
        p.option[p.option_count++] =
            (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&victim)};
    for (unsigned i = 0; i < requests; i++)
        p.option[p.option_count++].type = I3_REQUEST_FOR_CACHE;
    for (unsigned i = 0; i < inserts; i++) {
        t.target.at.port = (uint16_t)(what & STACK ? 0 : 100 + i);
        p.option[p.option_count++] = (struct i3_option){.type = I3_INSERT, .trigger = t};
    }
    size_t size = i3_packet_write(&p, bytes, I3_DATAGRAM_MAX);
    assert_true(size > 0);
    return size;
}

/* ---- what the victim hears ---- */

struct heard {
    unsigned count;
    size_t bytes;
};

static struct heard heard(void)
{
    struct heard h = {0};
    for (unsigned i = r->letters; i > 0; i--) {
        struct tiny_datagram *d = r->inbox[i - 1];
        if (ip_address_equal(&d->to.ip, &victim.ip)) {
            h.count++;
            h.bytes += d->size;
        }
        free(d);
    }
    r->letters = 0;
    return h;
}

/* One alone, with all that follows it: at most `percent` of its size.  Then a flood within a tenth of a second: at most
 * `most` datagrams, or as many as there are questions. */
static void mirrors(const char *name, const struct endpoint *from, const struct endpoint *to,
                    const uint8_t *bytes, size_t size, unsigned percent, unsigned most)
{
    i3_ring_run(r, 3 * SECOND);
    heard();
    i3_ring_send(r, from, to, bytes, size);
    i3_ring_run(r, 5 * SECOND);
    struct heard one = heard();
    for (unsigned i = 0; i < FLOOD; i++) {
        /* Mallory has many addresses. */
        struct endpoint other = i3_ring_client(10 + i % 200);
        i3_ring_send(r, from == &mallory ? &other : from, to, bytes, size);
        if (i % 300 == 299)
            i3_ring_run(r, 10 * MILLISECOND);
    }
    i3_ring_run(r, 500 * MILLISECOND);
    struct heard flood = heard();
    print_message("%-44s %4zu -> %4zu in %u (%3zu %%), of %u: %u datagrams, %zu %%\n", name, size,
                  one.bytes, one.count, one.bytes * 100 / size, FLOOD, flood.count,
                  flood.bytes * 100 / (FLOOD * size));
    assert_true(one.bytes * 100 <= percent * size);
    assert_true(flood.count <= most);
    /* At the port for clients only the first 64 may be longer than what they answer. */
    assert_true(to->port != I3_RING_I3_PORT || flood.bytes <= 64 * one.bytes + flood.count * size);
    i3_ring_run(r, 3 * SECOND);
}

static int begin(void **state)
{
    r = i3_ring_new(4, NULL);
    r->requests = 0; /* the limits of sources are not what is tested: a liar has many */
    for (unsigned i = 0; i < SERVERS; i++)
        i3_ring_add(r);
    i3_ring_run(r, 20 * SECOND);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_int_equal(chord_gauges(i3_server_chord(r->server[i].server)).nodes, SERVERS - 1);
    return 0;
}

static int end(void **state)
{
    for (unsigned i = 0; i < SERVERS; i++)
        assert_int_equal(i3_server_triggers(r->server[i].server), 0);
    i3_ring_free(r);
    return 0;
}

/* ---- the port for clients: the victim's address is the source ---- */

static const struct request {
    const char *name;
    unsigned what, inserts, requests, percent;
} requests[] = {
    {"INSERT", 0, 1, 0, 130},
    {"31 INSERT", 0, 31, 0, 110},
    {"INSERT of a stack", STACK, 1, 0, 130},
    {"INSERT without constraint", WRONG_KEY, 1, 0, 130},
    {"31 INSERT without constraint", WRONG_KEY, 31, 0, 110},
    {"INSERT without SENDER", WITHOUT_SENDER, 1, 0, 100},
    {"REQUEST_FOR_CACHE", 0, 0, 1, 175},
    {"31 REQUEST_FOR_CACHE", 0, 0, 31, 110},
    {"31 REQUEST_FOR_CACHE, padded", PADDED | DATA, 0, 31, 100},
    {"data to nobody", DATA, 0, 0, 100},
    {"data to nobody, REQUEST_FOR_CACHE", DATA, 0, 1, 260},
    {"data to nobody, 31 REQUEST_FOR_CACHE", DATA, 0, 31, 160},
    {"data to nobody, 15 of each", DATA, 15, 15, 130},
};

static void clients(void **state)
{
    uint8_t bytes[I3_DATAGRAM_MAX];
    char name[64];
    for (unsigned i = 0; i < sizeof requests / sizeof *requests; i++)
        for (unsigned owner = 0; owner < 2; owner++) { /* this server, or another one of the ring */
            const struct request *q = &requests[i];
            size_t size = packet(owner, q->what, q->inserts, q->requests, bytes);
            snprintf(name, sizeof name, "%s%s", q->name, owner ? " (elsewhere)" : "");
            mirrors(name, &victim, &r->server[0].at, bytes, size, q->percent, 1024 + 10);
        }
    struct i3_ping ask = {.sequence = 1};
    i3_ping_write(&ask, bytes);
    mirrors("ping", &victim, &r->server[0].at, bytes, I3_PING_SIZE, 100, FLOOD);
}

/* Answers that nobody asked for are not answered. */
static void unasked(void **state)
{
    static const enum i3_option_type types[] = {
        I3_REMOVE,      I3_CHALLENGE,           I3_ACK,          I3_CACHE_ADDRESS,
        I3_NOT_PRESENT, I3_FORCE_CACHE_ADDRESS, I3_ROUTE_BROKEN, I3_CONSTRAINT_FAILED};
    uint8_t bytes[I3_DATAGRAM_MAX];
    for (unsigned i = 0; i < sizeof types / sizeof *types; i++)
        for (unsigned depth = 0; depth < 2; depth++) {
            struct i3_trigger t = i3_ring_drawn_at(r, 0, &victim);
            struct i3_packet p = {.flags = I3_OPTIONS, .depth = (uint8_t)depth, .stack = &t.id};
            p.option[p.option_count++] =
                (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&victim)};
            p.option[p.option_count].type = (uint8_t)types[i];
            if (types[i] == I3_NOT_PRESENT)
                p.option[p.option_count++].id = t.id;
            else
                p.option[p.option_count++].trigger = t;
            size_t size = i3_packet_write(&p, bytes, sizeof bytes);
            mirrors(i3_option_name((uint8_t)types[i]), &victim, &r->server[0].at, bytes, size, 0,
                    0);
        }
}

/* ---- the port of the ring: the victim is named ---- */

static const struct gossip {
    enum chord_type type;
    unsigned percent, most;
} gossips[] = {
    {CHORD_PING, 282, 400},      {CHORD_FIND, 100, 400},  {CHORD_FOUND, 165, 40},
    {CHORD_STABILISE, 265, 440}, {CHORD_NOTIFY, 165, 40}, {CHORD_STABILISED, 165, 40},
    {CHORD_GET_FINGERS, 0, 0},   {CHORD_PONG, 0, 0},      {CHORD_FINGERS, 0, 0},
};

static void ring(void **state)
{
    uint8_t bytes[CHORD_MESSAGE_MAX];
    for (unsigned i = 0; i < sizeof gossips / sizeof *gossips; i++)
        for (unsigned place = 0; place < 4; place++) {
            const struct gossip *g = &gossips[i];
            struct chord_message m = {.type = (uint8_t)g->type, .node.at = victim, .token = 7};
            m.node.id.bytes[0] = (uint8_t)(0x40 * place + 0x11);
            size_t size = chord_message_write(&m, NULL, bytes, sizeof bytes);
            mirrors(chord_type_name((uint8_t)g->type), &mallory, &r->server[0].ring, bytes, size,
                    g->percent, g->most);
        }
}

/* Whoever is named is pinged before it is used, at all ports that it is named with; candidates are few. */
static void many_nodes_at_the_victim(void **state)
{
    uint8_t bytes[CHORD_MESSAGE_MAX];
    heard();
    for (unsigned i = 0; i < FLOOD; i++) {
        struct chord_message m = {.type = CHORD_NOTIFY, .node.at = victim};
        struct endpoint other = i3_ring_client(10 + i % 200);
        m.node.at.port = (uint16_t)(1000 + i);
        m.node.id.bytes[0] = (uint8_t)i;
        m.node.id.bytes[1] = (uint8_t)(i >> 8);
        i3_ring_send(r, &other, &r->server[0].ring, bytes,
                     chord_message_write(&m, NULL, bytes, sizeof bytes));
        if (i % 300 == 299)
            i3_ring_run(r, 10 * MILLISECOND);
    }
    i3_ring_run(r, 900 * MILLISECOND);
    assert_in_range(heard().count, 32, 2 * 32);
}

/* A member of the ring is known, but whoever speaks in its name from elsewhere is not. */
static void fingers_to_a_member(void **state)
{
    uint8_t bytes[64];
    struct chord_message m = {.type = CHORD_GET_FINGERS, .node.at = r->server[1].ring};
    size_t size = chord_message_write(&m, NULL, bytes, sizeof bytes);
    const struct chord *chord = i3_server_chord(r->server[0].server);
    uint64_t before = chord_counters(chord)->drops[CHORD_DROP_STRANGER];
    i3_ring_send(r, &mallory, &r->server[0].ring, bytes, size);
    i3_ring_run(r, SECOND);
    assert_int_equal(chord_counters(chord)->drops[CHORD_DROP_STRANGER], before + 1);
}

/* The same as a message of the ring. */
static size_t as_route(const uint8_t *packet, size_t size, uint8_t bytes[CHORD_MESSAGE_MAX])
{
    struct chord_message m = {.type = CHORD_ROUTE, .payload = packet, .payload_size = size};
    memcpy(m.node.id.bytes, packet + I3_HEADER, CHORD_ID);
    return chord_message_write(&m, NULL, bytes, CHORD_MESSAGE_MAX);
}

/* What the ring carries for clients: here SENDER counts. */
static void routed(void **state)
{
    uint8_t payload[I3_DATAGRAM_MAX], bytes[CHORD_MESSAGE_MAX];
    char name[64];
    for (unsigned i = 0; i < sizeof requests / sizeof *requests; i++)
        for (unsigned owner = 0; owner < 2; owner++) {
            const struct request *q = &requests[i];
            size_t size = packet(owner, q->what, q->inserts, q->requests, payload);
            size = as_route(payload, size, bytes);
            snprintf(name, sizeof name, "ROUTE: %s%s", q->name, owner ? " (elsewhere)" : "");
            mirrors(name, &mallory, &r->server[0].ring, bytes, size, q->percent, 1024 + 10);
        }
}

/* Says by way of the ring what SENDER and one option about a trigger say. */
static void say_routed(const struct endpoint *sender, enum i3_option_type type,
                       const struct i3_trigger *t)
{
    uint8_t payload[I3_DATAGRAM_MAX], bytes[CHORD_MESSAGE_MAX];
    struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t->id, .option_count = 2};
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(sender)};
    p.option[1] = (struct i3_option){.type = (uint8_t)type, .trigger = *t};
    size_t size = as_route(payload, i3_packet_write(&p, payload, sizeof payload), bytes);
    i3_ring_send(r, &mallory, &r->server[0].ring, bytes, size);
    i3_ring_run(r, SECOND);
}

/* What the first datagram to `at` says, with the nonce of its trigger; 0: there was none. */
static uint8_t said(const struct endpoint *at, uint8_t nonce[I3_NONCE])
{
    struct tiny_datagram *d = i3_ring_take(r, at);
    struct i3_packet p;
    if (!d)
        return 0;
    assert_int_equal(i3_packet_parse(d->bytes, d->size, &p), I3_FINE);
    assert_true(p.option_count > 0 && i3_option_has_trigger(p.option[0].type));
    memcpy(nonce, p.option[0].trigger.nonce, I3_NONCE);
    free(d);
    return p.option[0].type;
}

/* Over the ring anybody can name the victim.  So it is not told that a trigger is refused, which may look like its own,
 * before it has shown what it was sent; then it is, as by an original. */
static void refusals(void **state)
{
    static const struct i3_id other;
    for (unsigned owner = 0; owner < 2; owner++)
        for (unsigned chain = 0; chain < 2; chain++) {
            struct i3_trigger t = i3_ring_drawn_at(r, owner, &victim);
            t.key[0] ^= 1;
            if (chain)
                t.target = (struct i3_address){.type = I3_TO_STACK, .depth = 1, .stack = &other};
            for (unsigned again = 0; again < 3; again++) {
                say_routed(&victim, I3_INSERT, &t);
                uint8_t nonce[I3_NONCE];
                assert_int_equal(said(&victim, nonce), I3_CHALLENGE);
                if (again == 2)
                    memcpy(t.nonce, nonce, I3_NONCE);
            }
            say_routed(&mallory, I3_INSERT, &t); /* it serves nobody else */
            assert_int_equal(said(&mallory, (uint8_t[I3_NONCE]){0}), I3_CHALLENGE);
            say_routed(&victim, I3_INSERT, &t);
            assert_int_equal(said(&victim, t.nonce), I3_CONSTRAINT_FAILED);
        }
}

/* Nor does that nonce take away, or keep, what somebody has inserted for the victim: who got it need not know the key. */
static void refusals_open_nothing(void **state)
{
    const struct endpoint client = i3_ring_client(0);
    struct i3_trigger t = i3_ring_drawn_at(r, 0, &victim), forged = t;
    assert_true(i3_ring_insert(r, &client, 0, &t));
    forged.key[0] ^= 1;
    say_routed(&mallory, I3_INSERT, &forged);
    assert_int_equal(said(&mallory, forged.nonce), I3_CHALLENGE);
    say_routed(&mallory, I3_REMOVE, &forged);
    memcpy(forged.key, t.key, I3_KEY);
    say_routed(&mallory, I3_INSERT, &forged);
    assert_int_equal(said(&mallory, forged.nonce), I3_CHALLENGE);
    assert_int_equal(i3_server_triggers(r->server[0].server), 1);
    say_routed(&client, I3_REMOVE, &t);
    assert_int_equal(i3_server_triggers(r->server[0].server), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(clients, begin, end),
        cmocka_unit_test_setup_teardown(unasked, begin, end),
        cmocka_unit_test_setup_teardown(ring, begin, end),
        cmocka_unit_test_setup_teardown(many_nodes_at_the_victim, begin, end),
        cmocka_unit_test_setup_teardown(fingers_to_a_member, begin, end),
        cmocka_unit_test_setup_teardown(routed, begin, end),
        cmocka_unit_test_setup_teardown(refusals, begin, end),
        cmocka_unit_test_setup_teardown(refusals_open_nothing, begin, end),
    };
    return cmocka_run_group_tests_name("i3_mirror", tests, NULL, NULL);
}
