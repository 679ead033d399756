/* i3_hello: a client and IPv6 servers, datagram by datagram: what goes out before hello and after it, who is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "overlay/i3/i3_lone_fixture.h"

#define SIX   "[2001:db8::1]:5610"
#define OTHER "[2001:db8::2]:5610"
#define FOUR  "192.0.2.1:5610"
#define OURS6 "[2001:db8:a::1]:7400"
#define OURS4 "10.0.0.1:7400"

static struct lone lone;
static struct i3_packet packet;

static void pass(instant span)
{
    for (instant end = lone.now + span; lone.now < end; i3_client_advance(&lone.client, lone.now))
        lone.now =
            lone.client.due > lone.now ? instant_min(lone.client.due, end) : lone.now + MILLISECOND;
}

static void hears(const char *from, const void *bytes, size_t size)
{
    struct arrival a = {.remote = lone_endpoint(from)};
    a.local = lone_endpoint(a.remote.ip.family == 6 ? OURS6 : OURS4);
    i3_client_input(&lone.client, lone.now, &a, bytes, size);
}

/* The ping that went to a server. */
static struct i3_ping pinged(const char *to)
{
    const struct i3_datagram *d = lone_said_to(&lone, to);
    struct i3_ping p;
    assert_int_equal(d->size, I3_PING_SIZE);
    assert_true(i3_ping_parse(d->bytes, d->size, &p));
    assert_false(p.is_reply);
    return p;
}

static void answers(const char *from, struct i3_ping p, uint8_t abilities)
{
    uint8_t bytes[I3_PING_SIZE];
    p.is_reply = true;
    p.abilities = abilities;
    i3_ping_write(&p, bytes);
    hears(from, bytes, sizeof bytes);
}

static void greet(const char *server)
{
    pass(MILLISECOND);
    answers(server, pinged(server), I3_CAN_IPV6 | I3_CAN_PING);
}

static struct i3_binding *bind(void)
{
    struct i3_id id;
    uint8_t key[I3_KEY];
    i3_client_draw(&lone.client, &id, key);
    return i3_binding_add(&lone.client, lone.now, &id, key, I3_BITS, NULL, 0);
}

/* The option of the next datagram; SENDER and a target address are `ours`. */
static const struct i3_option *said(const char *to, enum i3_option_type type, const char *ours)
{
    const struct i3_datagram *d = lone_said_to(&lone, to);
    struct endpoint self = lone_endpoint(ours);
    assert_int_equal(i3_packet_parse(d->bytes, d->size, &packet), I3_FINE);
    const struct i3_option *sender = i3_packet_option(&packet, I3_SENDER),
                           *o = i3_packet_option(&packet, type);
    assert_non_null(o);
    if (sender)
        assert_true(endpoint_equal(&sender->sender.at, &self));
    if (type == I3_INSERT || type == I3_REMOVE)
        assert_true(endpoint_equal(&o->trigger.target.at, &self));
    return o;
}

/* A server answers an INSERT: with this, and CACHE_ADDRESS that carries these abilities (-1: without it). */
static void answers_insert(const char *from, enum i3_option_type type, const struct i3_trigger *t,
                           int abilities)
{
    struct i3_packet p = {.flags = I3_OPTIONS, .option_count = 1};
    struct endpoint at = lone_endpoint(from);
    uint8_t bytes[512];
    p.option[0] = (struct i3_option){.type = (uint8_t)type, .trigger = *t};
    if (abilities >= 0) {
        p.option[1] = (struct i3_option){.type = I3_CACHE_ADDRESS,
                                         .trigger = {.id = t->id, .target = i3_address_of(&at)}};
        i3_hello_write((uint8_t)abilities, p.option[p.option_count++].trigger.nonce);
    }
    hears(from, bytes, i3_packet_write(&p, bytes, sizeof bytes));
}

/* ---- a listed server ---- */

static void nothing_but_pings(void **state)
{
    lone_start(&lone, SIX, ":7400", 0);
    struct i3_binding *b = bind();
    i3_owner_want(&lone.client, lone.now, &b->trigger.id);
    i3_samples_begin(&lone.client, lone.now);
    for (unsigned seconds = 0; seconds < 120; seconds++) {
        pass(SECOND);
        for (const struct i3_datagram *d; (d = i3_client_datagram(&lone.client));) {
            assert_int_equal(d->size, I3_PING_SIZE);
            assert_int_equal(d->bytes[0], I3_PING_ASK);
        }
    }
    /* Then it says hello: what waited goes on at once, from our address and to it. */
    pass(15 * SECOND);
    struct i3_ping last = {0};
    for (const struct i3_datagram *d; (d = i3_client_datagram(&lone.client));)
        assert_true(i3_ping_parse(d->bytes, d->size, &last));
    answers(SIX, last, I3_CAN_IPV6);
    said(SIX, I3_INSERT, OURS6);
    said(SIX, I3_REQUEST_FOR_CACHE, OURS6);
    said(SIX, I3_REQUEST_FOR_CACHE, OURS6);
    lone_said_nothing(&lone);
    lone_stop(&lone);
}

static void forged_hellos(void **state)
{
    struct endpoint six = lone_endpoint(SIX);
    lone_start(&lone, SIX, ":7400", 0);
    pass(MILLISECOND);
    struct i3_ping p = pinged(SIX), wrong = p;
    wrong.time++;
    answers(SIX, wrong, I3_CAN_IPV6);
    answers(OTHER, p, I3_CAN_IPV6);
    assert_false(i3_client_speaks(&lone.client, &six));
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_HELLO], 2);
    struct i3_ping question = p;
    uint8_t bytes[I3_PING_SIZE];
    i3_ping_write(&question, bytes);
    hears(SIX, bytes, sizeof bytes); /* nor are we a server */
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_HELLO], 3);
    answers(SIX, p, I3_CAN_IPV6);
    assert_true(i3_client_speaks(&lone.client, &six));
    answers(SIX, p, 0); /* once only */
    assert_true(i3_client_speaks(&lone.client, &six));
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_HELLO], 4);
    lone_stop(&lone);
}

static void declined(void **state)
{
    struct endpoint at;
    lone_start(&lone, SIX, ":7400", 0);
    pass(MILLISECOND);
    answers(SIX, pinged(SIX), I3_CAN_PING | I3_CAN_LIMIT);
    assert_false(i3_client_first_hop(&lone.client, lone.now, &at));
    assert_true(lone.client.seed[0].declined);
    bind();
    pass(MINUTE);
    lone_said_nothing(&lone);
    pass(5 * MINUTE); /* its ring may have another secret by then */
    pinged(SIX);
    lone_stop(&lone);
}

static void hello_ends(void **state)
{
    struct endpoint six = lone_endpoint(SIX), at;
    lone_start(&lone, SIX, ":7400", 0);
    greet(SIX);
    assert_true(i3_client_first_hop(&lone.client, lone.now, &at));
    pass(6 * MINUTE);
    pinged(SIX); /* in time; nobody answers */
    assert_true(i3_client_speaks(&lone.client, &six));
    pass(5 * MINUTE);
    assert_false(i3_client_speaks(&lone.client, &six));
    assert_false(i3_client_first_hop(&lone.client, lone.now, &at));
    while (i3_client_datagram(&lone.client))
        ;
    bind();
    pass(10 * SECOND);
    for (const struct i3_datagram *d; (d = i3_client_datagram(&lone.client));)
        assert_int_equal(d->size, I3_PING_SIZE);
    lone_stop(&lone);
}

/* ---- who answers for an identifier ---- */

static void said_in_answers(void **state)
{
    struct endpoint other = lone_endpoint(OTHER);
    for (unsigned with = 0; with < 2; with++) {
        lone_start(&lone, SIX, ":7400", 0);
        greet(SIX);
        struct i3_binding *b = bind();
        const struct i3_option *o = said(SIX, I3_INSERT, OURS6);
        struct i3_trigger t = o->trigger;
        memset(t.nonce, 9, I3_NONCE);
        /* Another server, which is responsible. */
        answers_insert(OTHER, I3_CHALLENGE, &t, with ? I3_CAN_IPV6 : 0);
        assert_int_equal(i3_client_speaks(&lone.client, &other), with);
        said(with ? OTHER : SIX, I3_INSERT, OURS6);
        answers_insert(OTHER, I3_ACK, &t, with ? I3_CAN_IPV6 : -1);
        assert_int_equal(b->state, I3_BINDING_HELD);
        assert_int_equal(endpoint_equal(&b->at, &other), with);
        lone_stop(&lone);
    }
}

/* A hello that nobody asked for makes nobody spoken to; one without the ability ends it. */
static void unasked_hello(void **state)
{
    struct endpoint other = lone_endpoint(OTHER), six = lone_endpoint(SIX);
    lone_start(&lone, SIX, ":7400", 0);
    greet(SIX);
    struct i3_trigger stranger = {.prefix = 128, .id.bytes = {1}, .target = i3_address_of(&six)};
    answers_insert(OTHER, I3_CHALLENGE, &stranger, I3_CAN_IPV6);
    assert_false(i3_client_speaks(&lone.client, &other));
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_CHALLENGE], 1);
    struct i3_binding *b = bind();
    struct i3_trigger t = said(SIX, I3_INSERT, OURS6)->trigger;
    answers_insert(SIX, I3_ACK, &t, 0);
    assert_int_equal(b->state, I3_BINDING_HELD);
    assert_false(i3_client_speaks(&lone.client, &six));
    pass(20 * SECOND); /* the refresh is not sent */
    for (const struct i3_datagram *d; (d = i3_client_datagram(&lone.client));)
        assert_int_equal(d->size, I3_PING_SIZE);
    lone_stop(&lone);
}

/* ---- both families ---- */

/* A name has an IPv4 and an IPv6 address: the family that answers first is used. */
static void two_addresses(void **state)
{
    for (unsigned six_first = 0; six_first < 2; six_first++) {
        struct ip_address all[3] = {lone_endpoint(SIX).ip, lone_endpoint(FOUR).ip,
                                    lone_endpoint(OTHER).ip};
        struct endpoint at, want = lone_endpoint(six_first ? SIX : FOUR);
        uint32_t lookup;
        const char *name;
        lone_start(&lone, "server.example.org:5610", ":7400", 0);
        assert_true(i3_client_lookup(&lone.client, &lookup, &name));
        i3_client_resolved(&lone.client, lone.now, lookup, all, 3);
        pass(MILLISECOND);
        struct i3_ping p = pinged(SIX);
        i3_samples_begin(&lone.client, lone.now);
        struct i3_id id = lone.client.sample[0].id;
        if (six_first)
            answers(SIX, p, I3_CAN_IPV6);
        else {
            struct i3_trigger t = {.id = id, .target = i3_address_of(&want)};
            struct i3_packet cache = {.flags = I3_OPTIONS, .option_count = 1};
            uint8_t bytes[256];
            cache.option[0] = (struct i3_option){.type = I3_CACHE_ADDRESS, .trigger = t};
            hears(FOUR, bytes, i3_packet_write(&cache, bytes, sizeof bytes));
        }
        assert_true(i3_client_first_hop(&lone.client, lone.now, &at));
        assert_true(endpoint_equal(&at, &want));
        lone_stop(&lone);
    }
}

/* The family changes: the trigger at the old address is taken back, and inserted at the new one. */
static void another_family(void **state)
{
    lone_start(&lone, FOUR "," SIX, ":7400", 0);
    lone.client.seed_used = 0;
    pass(MILLISECOND);
    struct i3_ping first = pinged(SIX);
    struct i3_binding *b = bind();
    pass(SECOND); /* our address is not known: the server sees it */
    while (i3_client_datagram(&lone.client))
        ;
    struct i3_trigger t = b->trigger;
    assert_int_equal(t.target.type, I3_TO_IPV4);
    answers_insert(FOUR, I3_ACK, &t, I3_CAN_PING);
    lone_said_to(&lone, FOUR); /* the one that the server had to translate goes */
    t = said(FOUR, I3_INSERT, OURS4)->trigger;
    answers_insert(FOUR, I3_ACK, &t, I3_CAN_PING);
    assert_int_equal(b->state, I3_BINDING_HELD);
    answers(SIX, first, I3_CAN_IPV6);
    assert_int_equal(b->trigger.target.type, I3_TO_IPV4); /* it stays where it is */
    while (i3_client_datagram(&lone.client))
        ;
    i3_client_moved(&lone.client, lone.now);
    pass(MILLISECOND);
    struct i3_ping p = {0};
    for (const struct i3_datagram *d; (d = i3_client_datagram(&lone.client));) {
        struct endpoint six = lone_endpoint(SIX);
        if (endpoint_equal(&d->to, &six))
            assert_true(i3_ping_parse(d->bytes, d->size, &p));
    }
    answers(SIX, p, I3_CAN_IPV6);
    said(FOUR, I3_REMOVE, OURS4);
    said(SIX, I3_INSERT, OURS6);
    lone_stop(&lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_but_pings), cmocka_unit_test(forged_hellos),
        cmocka_unit_test(declined),          cmocka_unit_test(hello_ends),
        cmocka_unit_test(said_in_answers),   cmocka_unit_test(unasked_hello),
        cmocka_unit_test(two_addresses),     cmocka_unit_test(another_family),
    };
    return cmocka_run_group_tests_name("overlay_i3_hello", tests, NULL, NULL);
}
