/* Servers that speak IPv6: alone, in rings of IPv6 only and of both; and that no original is ever shown any of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/i3_ring.h"

static const uint8_t secret[CHORD_SECRET] = {42};

static uint64_t drops(const struct i3_ring *r, unsigned server, enum i3_drop reason)
{
    return i3_server_counters(r->server[server].server)->drops[reason];
}

/* ---- what reaches whom ---- */

/* Bob's triggers are inserted by any server, and reached from Alice by any. */
static void everybody_reaches(struct i3_ring *r, const struct endpoint *alice,
                              const struct endpoint *bob)
{
    for (unsigned k = 0; k < 12; k++) {
        struct i3_trigger t = i3_ring_drawn(r, bob);
        assert_true(i3_ring_insert(r, bob, k % r->servers, &t));
        assert_true(i3_ring_owner(r, &t.id) < I3_RING_SERVERS);
        for (unsigned i = 0; i < 3; i++)
            assert_true(
                i3_ring_data(r, alice, (k + 1 + i) % r->servers, &t.id, bob, "by any server"));
    }
}

static void six_only(void **state)
{
    static const enum i3_ring_speech all[8] = {I3_RING_V6, I3_RING_V6, I3_RING_V6, I3_RING_V6,
                                               I3_RING_V6, I3_RING_V6, I3_RING_V6, I3_RING_V6};
    for (unsigned servers = 1; servers <= 8; servers += 7) {
        struct i3_ring *r = i3_ring_formed(all, servers, servers, secret);
        struct endpoint alice = i3_ring_client6(0), bob = i3_ring_client6(1);
        everybody_reaches(r, &alice, &bob);
        i3_ring_free(r);
    }
}

/* Whatever addresses they tell each other: who speaks both reaches all, and is reached by both. */
static void mixed(void **state)
{
    static const enum i3_ring_speech all[6] = {I3_RING_V4_V6, I3_RING_V6_V4, I3_RING_V4_V6,
                                               I3_RING_V6_V4, I3_RING_V6_V4, I3_RING_V4_V6};
    struct i3_ring *r = i3_ring_formed(all, 6, 3, secret);
    struct endpoint six = i3_ring_client6(0), four = i3_ring_client(1);
    everybody_reaches(r, &six, &four);
    everybody_reaches(r, &four, &six);
    everybody_reaches(r, &six, &six);
    i3_ring_free(r);
}

static void lossy(void **state)
{
    static const enum i3_ring_speech all[6] = {I3_RING_V4_V6, I3_RING_V6_V4, I3_RING_V6_V4,
                                               I3_RING_V4_V6, I3_RING_V6_V4, I3_RING_V6_V4};
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct i3_ring *r = i3_ring_new(seed, secret);
        struct endpoint six = i3_ring_client6(0), four = i3_ring_client(1);
        r->net.lose = 50;
        r->net.twice = 50;
        r->net.jitter = 40 * MILLISECOND;
        for (unsigned i = 0; i < 6; i++)
            i3_ring_add_speaking(r, all[i]);
        i3_ring_run(r, 40 * SECOND);
        unsigned arrived = 0;
        for (unsigned k = 0; k < 10; k++) {
            const struct endpoint *to = k % 2 ? &four : &six, *by = k % 2 ? &six : &four;
            struct i3_trigger t = i3_ring_drawn(r, to);
            assert_true(i3_ring_insert(r, to, k % 6, &t));
            for (unsigned i = 0; i < 4; i++)
                arrived += i3_ring_data(r, by, i, &t.id, to, "maybe");
        }
        assert_true(arrived >= 25);
        i3_ring_free(r);
    }
}

/* A server dies, with a secret: its successor has copies of triggers to IPv6 addresses too. */
static void copies_and_handing_over(void **state)
{
    static const enum i3_ring_speech all[4] = {I3_RING_V6, I3_RING_V6, I3_RING_V6, I3_RING_V6};
    struct i3_ring *r = i3_ring_formed(all, 4, 5, secret);
    struct endpoint alice = i3_ring_client6(0), bob = i3_ring_client6(1);
    struct i3_trigger t = i3_ring_drawn(r, &bob);
    assert_true(i3_ring_insert(r, &bob, 0, &t));
    unsigned owner = i3_ring_owner(r, &t.id);
    i3_ring_kill(r, owner);
    i3_ring_run(r, 10 * SECOND);
    assert_true(i3_ring_owner(r, &t.id) < I3_RING_SERVERS);
    assert_true(i3_ring_data(r, &alice, (owner + 1) % 4, &t.id, &bob, "from a copy"));
    i3_ring_free(r);
}

/* ---- what an original must not see ---- */

/* Any trigger or sender in the packet that is IPv6. */
static bool shows_six(const uint8_t *bytes, size_t size)
{
    static struct i3_packet p;
    if (i3_packet_parse(bytes, size, &p) != I3_FINE)
        return false;
    for (unsigned i = 0; i < p.option_count; i++) {
        const struct i3_option *o = &p.option[i];
        if (o->type == I3_SENDER ? o->sender.type == I3_TO_IPV6
                                 : o->type != I3_NOT_PRESENT && o->type != I3_REQUEST_FOR_CACHE &&
                                       o->trigger.target.type == I3_TO_IPV6)
            return true;
    }
    return false;
}

/* On the wire, whatever it means: the two bytes that a target or sender IPv6 of this test begins with. */
static bool has_six_bytes(const uint8_t *bytes, size_t size)
{
    static const uint8_t begin[] = {I3_TO_IPV6, 0x20, 0x01, 0x0d, 0xb8};
    for (size_t i = 0; i + sizeof begin <= size; i++)
        if (!memcmp(bytes + i, begin, sizeof begin))
            return true;
    return false;
}

static unsigned watched;

static void watch_four(const struct tiny_datagram *d)
{
    bool said_by_client = d->from.ip.bytes[0] == 10 && d->from.ip.bytes[1] == 2;
    if (d->to.ip.family != 4 || said_by_client)
        return;
    watched++;
    assert_false(shows_six(d->bytes, d->size));
    assert_false(has_six_bytes(d->bytes, d->size));
}

/* Everything a client of ours might say of IPv6, to a server that is not responsible and to one that is. */
static void say_six(struct i3_ring *r, const struct endpoint *from, unsigned server,
                    const struct i3_id *id)
{
    static const enum i3_option_type with_trigger[] = {I3_INSERT,
                                                       I3_REMOVE,
                                                       I3_CHALLENGE,
                                                       I3_ACK,
                                                       I3_CACHE_ADDRESS,
                                                       I3_FORCE_CACHE_ADDRESS,
                                                       I3_CONSTRAINT_FAILED,
                                                       I3_ROUTE_BROKEN};
    const struct i3_ring_server *s = &r->server[server];
    const struct endpoint *to = from->ip.family == 4 ? &s->at : &s->also;
    struct endpoint six = i3_ring_client6(7), four = i3_ring_client(7);
    for (unsigned k = 0; k < sizeof with_trigger / sizeof *with_trigger; k++)
        for (unsigned sender = 0; sender < 4; sender++)
            for (unsigned first = 0; first < 2; first++) {
                struct i3_packet p = {.flags = I3_OPTIONS | I3_DATA, .depth = 1, .stack = id};
                const struct endpoint *by = sender & 1 ? &six : sender & 2 ? from : &four;
                p.flags |= first ? I3_FIRST_HOP : 0;
                p.option[p.option_count++] =
                    (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(by)};
                p.option[p.option_count++] = (struct i3_option){
                    .type = (uint8_t)with_trigger[k],
                    .trigger = {
                        .id = *id, .prefix = 256, .target = i3_address_of(sender ? &six : &four)}};
                if (sender == 0)
                    p.option[1].trigger.target = i3_address_of(&six);
                i3_ring_send_packet(r, from, to, &p);
                i3_ring_run(r, 10 * MILLISECOND);
            }
}

/* An open ring: nothing that goes to an IPv4 address, of a server or a client, shows one that is IPv6. */
static void an_original_sees_none(void **state)
{
    static const enum i3_ring_speech all[4] = {I3_RING_V4_V6, I3_RING_V4, I3_RING_V4_V6,
                                               I3_RING_V4};
    struct i3_ring *r = i3_ring_formed(all, 4, 6, NULL);
    struct endpoint six = i3_ring_client6(0), four = i3_ring_client(1), behind = i3_ring_client(2);
    watched = 0;
    r->watch = watch_four;
    for (unsigned k = 0; k < 8; k++) {
        struct i3_trigger t = i3_ring_drawn(r, &four);
        say_six(r, &six, 0, &t.id);
        say_six(r, &four, 0, &t.id);
        /* Behind a NAT: the first server relays what the others answer. */
        assert_true(i3_ring_insert(r, &four, 0, &t));
        assert_true(i3_ring_data(r, &behind, 2, &t.id, &four, "as ever"));
    }
    assert_true(watched > 100);
    /* Nor did anything of it get lost silently. */
    assert_true(drops(r, 0, I3_DROP_OURS_ONLY) > 0);
    assert_true(drops(r, 0, I3_DROP_FAMILY) > 0);
    i3_ring_free(r);
}

/* In a ring with a secret clients may still be originals: what goes to an IPv4 client shows none, whoever asked for it. */
static void watch_client(const struct tiny_datagram *d)
{
    struct endpoint victim = i3_ring_client(7), four = i3_ring_client(1);
    if (!endpoint_equal(&d->to, &victim) && !endpoint_equal(&d->to, &four))
        return;
    watched++;
    assert_false(shows_six(d->bytes, d->size));
}

static void a_client_sees_none(void **state)
{
    static const enum i3_ring_speech all[3] = {I3_RING_V6_V4, I3_RING_V6_V4, I3_RING_V4_V6};
    struct i3_ring *r = i3_ring_formed(all, 3, 7, secret);
    struct endpoint six = i3_ring_client6(0), four = i3_ring_client(1);
    watched = 0;
    r->watch = watch_client;
    for (unsigned k = 0; k < 6; k++) {
        struct i3_trigger t = i3_ring_drawn(r, &four);
        for (unsigned server = 0; server < 3; server++) {
            const struct i3_ring_server *s = &r->server[server];
            struct i3_packet p = {
                .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = 1, .stack = &t.id, .option_count = 2};
            struct endpoint victim = i3_ring_client(7);
            /* Somebody says that he is the victim and wants a trigger to an IPv6 address. */
            p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&victim)};
            p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = t};
            p.option[1].trigger.target = i3_address_of(&six);
            i3_ring_send_packet(r, &victim, s->at.ip.family == 4 ? &s->at : &s->also, &p);
            i3_ring_run(r, 100 * MILLISECOND);
        }
        assert_true(i3_ring_insert(r, &four, k % 3, &t));
        assert_true(i3_ring_data(r, &six, (k + 1) % 3, &t.id, &four, "to an original"));
    }
    assert_true(watched > 10);
    i3_ring_free(r);
}

/* The first server of a client behind a NAT relays a challenge, and nothing that somebody put behind it. */
static void a_relay_shows_none(void **state)
{
    static const enum i3_ring_speech all[2] = {I3_RING_V4_V6, I3_RING_V4_V6};
    struct i3_ring *r = i3_ring_formed(all, 2, 16, secret);
    struct endpoint real = i3_ring_client(1), own = i3_ring_client(9), six = i3_ring_client6(7);
    unsigned relayed = 0;
    watched = 0;
    r->watch = watch_client;
    for (unsigned k = 0; k < 8; k++) {
        struct i3_trigger t = i3_ring_drawn(r, &own);
        struct i3_packet p = {
            .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = 1, .stack = &t.id, .option_count = 2};
        p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&own)};
        p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = t};
        i3_ring_send_packet(r, &real, &r->server[0].at, &p);
        p = (struct i3_packet){.flags = I3_OPTIONS, .option_count = 3};
        p.option[0] = (struct i3_option){.type = I3_CHALLENGE, .trigger = t};
        p.option[0].trigger.target = i3_address_of(&real);
        p.option[1] = (struct i3_option){.type = I3_CACHE_ADDRESS, .trigger = t};
        p.option[1].trigger.target = i3_address_of(&six);
        p.option[2] = (struct i3_option){.type = I3_ACK, .trigger = p.option[1].trigger};
        i3_ring_run(r, 6 * MILLISECOND); /* the request is on its way to the other one */
        i3_ring_send_packet(r, &six, &r->server[0].also, &p);
        i3_ring_run(r, 100 * MILLISECOND);
        for (struct tiny_datagram *d; (d = i3_ring_take(r, &real)); free(d))
            relayed += i3_packet_parse(d->bytes, d->size, &p) == I3_FINE && p.option_count == 1;
    }
    assert_true(relayed > 0);
    i3_ring_free(r);
}

/* The address in CACHE_ADDRESS is one that its receiver speaks. */
static void cache_in_his_family(void **state)
{
    static const enum i3_ring_speech all[1] = {I3_RING_V6_V4};
    struct i3_ring *r = i3_ring_formed(all, 1, 8, secret);
    struct endpoint clients[2] = {i3_ring_client(0), i3_ring_client6(0)};
    for (unsigned i = 0; i < 2; i++) {
        struct i3_trigger t = i3_ring_drawn(r, &clients[i]);
        struct i3_packet p = {
            .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = 1, .stack = &t.id, .option_count = 2};
        p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&clients[i])};
        p.option[1].type = I3_REQUEST_FOR_CACHE;
        i3_ring_send_packet(r, &clients[i], i ? &r->server[0].at : &r->server[0].also, &p);
        i3_ring_run(r, 100 * MILLISECOND);
        struct tiny_datagram *d = i3_ring_take(r, &clients[i]);
        assert_non_null(d);
        assert_int_equal(i3_packet_parse(d->bytes, d->size, &p), I3_FINE);
        assert_int_equal(p.option[0].type, I3_CACHE_ADDRESS);
        assert_true(endpoint_equal(&p.option[0].trigger.target.at,
                                   i ? &r->server[0].at : &r->server[0].also));
        free(d);
    }
    i3_ring_free(r);
}

/* ---- hello ---- */

static uint8_t greeted(struct i3_ring *r, const struct endpoint *client, const struct endpoint *to)
{
    struct i3_ping ping = {.sequence = 1, .time = 77}, reply = {0};
    uint8_t bytes[I3_PING_SIZE];
    i3_ping_write(&ping, bytes);
    i3_ring_send(r, client, to, bytes, sizeof bytes);
    i3_ring_run(r, 100 * MILLISECOND);
    struct tiny_datagram *d = i3_ring_take(r, client);
    assert_non_null(d);
    assert_int_equal(d->size, I3_PING_SIZE);
    assert_true(i3_ping_parse(d->bytes, d->size, &reply));
    assert_int_equal(reply.time, 77);
    free(d);
    return reply.abilities;
}

/* IPv6 is promised to whom is seen by IPv6, and only where no server can be an original. */
static void hello(void **state)
{
    static const enum i3_ring_speech all[2] = {I3_RING_V4_V6, I3_RING_V4_V6};
    struct endpoint six = i3_ring_client6(0), four = i3_ring_client(0);
    for (unsigned k = 0; k < 4; k++) {
        bool closed = k & 1, alone = k & 2;
        struct i3_ring *r = i3_ring_formed(all, alone ? 1 : 2, 9 + k, closed ? secret : NULL);
        uint8_t by4 = greeted(r, &four, &r->server[0].at),
                by6 = greeted(r, &six, &r->server[0].also);
        assert_true(by4 & I3_CAN_PING && by6 & I3_CAN_PING);
        assert_false(by4 & I3_CAN_IPV6);
        assert_int_equal(!!(by6 & I3_CAN_IPV6), closed || alone);
        i3_ring_free(r);
    }
}

/* ---- what is refused ---- */

static void bad_addresses(void **state)
{
    static const char *const bad[] = {"[::]:5", "[ff02::1]:5", "[fe80::1]:5",
                                      "[::ffff:192.0.2.1]:5", "[2001:db8:1::1]:5610"};
    static const enum i3_ring_speech all[1] = {I3_RING_V6_V4};
    struct i3_ring *r = i3_ring_formed(all, 1, 13, secret);
    struct endpoint six = i3_ring_client6(0);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct endpoint target = {.ip.family = 6};
        assert_true(endpoint_parse(bad[i], 0, &target));
        if (target.ip.family == 4) { /* as it would stand on the wire */
            memmove(target.ip.bytes + 12, target.ip.bytes, 4);
            memset(target.ip.bytes, 0, 10);
            target.ip.bytes[10] = target.ip.bytes[11] = 0xff;
            target.ip.family = 6;
        }
        struct i3_trigger t = i3_ring_drawn(r, &target);
        struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t.id, .option_count = 2};
        p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&six)};
        p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = t};
        i3_ring_send_packet(r, &six, &r->server[0].at, &p);
        i3_ring_run(r, 50 * MILLISECOND);
        assert_int_equal(drops(r, 0, I3_DROP_TARGET), i + 1);
        assert_null(i3_ring_take(r, &six));
    }
    i3_ring_free(r);
}

/* A SENDER that the responsible server cannot answer is no reason to take a trigger as one that a server hands over. */
static void a_sender_not_spoken(void **state)
{
    static const enum i3_ring_speech all[2] = {I3_RING_V6_V4, I3_RING_V6};
    struct i3_ring *r = i3_ring_formed(all, 2, 17, secret);
    struct endpoint six = i3_ring_client6(0), four = i3_ring_client(0);
    struct i3_trigger end = i3_ring_drawn(r, &six), chain;
    do {
        chain = i3_ring_drawn(r, &six);
        i3_ring_lead_to(&chain, &end.id);
    } while (i3_ring_owner(r, &chain.id) != 1);
    assert_true(i3_ring_insert(r, &six, 1, &chain));
    i3_ring_run(r, I3_LIFETIME + SECOND);
    struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &chain.id, .option_count = 2};
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&four)};
    p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = chain};
    i3_ring_send_packet(r, &four, &r->server[0].also, &p);
    i3_ring_run(r, 100 * MILLISECOND);
    assert_int_equal(drops(r, 1, I3_DROP_FAMILY), 1);
    assert_int_equal(i3_server_triggers(r->server[1].server), 0);
    i3_ring_free(r);
}

/* A server without an address of that family says so by a counter, and goes on. */
static void not_spoken(void **state)
{
    static const enum i3_ring_speech all[2] = {I3_RING_V6, I3_RING_V4};
    for (unsigned k = 0; k < 2; k++) {
        struct i3_ring *r = i3_ring_formed(&all[k], 1, 14, secret);
        struct endpoint other = k ? i3_ring_client6(0) : i3_ring_client(0),
                        own = k ? i3_ring_client(1) : i3_ring_client6(1);
        struct i3_trigger t = i3_ring_drawn(r, &own);
        struct i3_packet p = {.flags = I3_OPTIONS, .depth = 1, .stack = &t.id, .option_count = 2};
        t.target = i3_address_of(&other);
        p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&own)};
        p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = t};
        i3_ring_send_packet(r, &own, &r->server[0].at, &p);
        i3_ring_run(r, 50 * MILLISECOND);
        assert_int_equal(drops(r, 0, I3_DROP_FAMILY), 1);
        assert_int_equal(i3_server_triggers(r->server[0].server), 0);
        i3_ring_free(r);
    }
}

/* Its own idea of its address is wrong, by IPv6 too: what others see takes its place, also through a second server. */
static void translated(void **state)
{
    static const enum i3_ring_speech all[4] = {I3_RING_V6, I3_RING_V6, I3_RING_V6, I3_RING_V6};
    struct i3_ring *r = i3_ring_formed(all, 4, 15, secret);
    struct endpoint alice = i3_ring_client6(0), real = i3_ring_client6(1), own = i3_ring_client6(9);
    for (unsigned k = 0; k < 8; k++) {
        struct i3_trigger t = i3_ring_drawn(r, &own);
        const struct endpoint *to = &r->server[0].at;
        bool held = false;
        for (unsigned step = 0; step < 4 && !held; step++) {
            struct i3_packet p = {
                .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = 1, .stack = &t.id, .option_count = 2};
            p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&own)};
            p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = t};
            i3_ring_send_packet(r, &real, to, &p);
            i3_ring_run(r, 200 * MILLISECOND);
            struct tiny_datagram *d = i3_ring_take(r, &real);
            assert_non_null(d);
            assert_int_equal(i3_packet_parse(d->bytes, d->size, &p), I3_FINE);
            assert_true(i3_trigger_same(&p.option[0].trigger, &t)); /* as it calls itself */
            memcpy(t.nonce, p.option[0].trigger.nonce, I3_NONCE);
            held = p.option[0].type == I3_ACK;
            for (unsigned s = 0; s < 4; s++) /* told by which server to go on */
                if (p.option[1].type == I3_FORCE_CACHE_ADDRESS &&
                    endpoint_equal(&p.option[1].trigger.target.at, &r->server[s].at))
                    to = &r->server[s].at;
            free(d);
        }
        assert_true(held);
        assert_true(i3_ring_data(r, &alice, k % 4, &t.id, &real, "behind a translator"));
    }
    assert_true(i3_server_counters(r->server[0].server)->translated > 0);
    i3_ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(six_only),
        cmocka_unit_test(mixed),
        cmocka_unit_test(lossy),
        cmocka_unit_test(copies_and_handing_over),
        cmocka_unit_test(an_original_sees_none),
        cmocka_unit_test(a_client_sees_none),
        cmocka_unit_test(a_relay_shows_none),
        cmocka_unit_test(cache_in_his_family),
        cmocka_unit_test(hello),
        cmocka_unit_test(bad_addresses),
        cmocka_unit_test(a_sender_not_spoken),
        cmocka_unit_test(not_spoken),
        cmocka_unit_test(translated),
    };
    return cmocka_run_group_tests_name("i3_ipv6", tests, NULL, NULL);
}
