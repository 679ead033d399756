/* i3_packet_*: every captured packet of the original is read and written again; what lies about
 * itself is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "i3/i3_wire.h"
#include "tests/support/hex.h"
#include "tests/support/i3_vectors.h"
#include "tests/support/seeded.h"

static struct i3_packet packet;

static void parse(const struct i3_vector *v)
{
    assert_int_equal(i3_packet_parse(v->bytes, v->size, &packet), I3_FINE);
}

/* Some of the original's targets carry garbage in the high half of their count: it may differ,
 * nothing else. */
static void assert_rewritten(const struct i3_vector *v)
{
    uint8_t out[I3_VECTOR_SIZE];
    assert_int_equal(i3_packet_write(&packet, out, sizeof out), v->size);
    for (size_t i = 0; i < v->size; i++)
        if (out[i] != v->bytes[i])
            assert_true(i > 0 && v->bytes[i - 1] == I3_TO_STACK && out[i] == (v->bytes[i] & 15));
}

static void every_vector(void **state)
{
    static struct i3_vector all[I3_VECTORS];
    unsigned count = i3_vectors_read(all), i3 = 0;
    for (unsigned i = 0; i < count; i++) {
        if (all[i].tag[0] != 'E' || all[i].bytes[0] != I3_VERSION)
            continue;
        parse(&all[i]);
        assert_rewritten(&all[i]);
        i3++;
    }
    assert_true(i3 >= 24); /* E22 travels inside a message of Chord */
}

static void insert(void **state)
{
    struct i3_vector v = i3_vector("E1");
    parse(&v);
    assert_int_equal(packet.flags, I3_OPTIONS | I3_FIRST_HOP);
    assert_int_equal(packet.depth, 1);
    assert_int_equal(packet.option_count, 2);
    assert_int_equal(packet.payload_size, 0);
    const struct i3_option *o = i3_packet_option(&packet, I3_SENDER);
    struct endpoint at;
    assert_true(endpoint_parse("127.0.0.1:10001", 0, &at));
    assert_true(endpoint_equal(&o->sender.at, &at));
    const struct i3_trigger *t = &i3_packet_option(&packet, I3_INSERT)->trigger;
    assert_true(i3_id_equal(&t->id, packet.stack));
    assert_int_equal(t->prefix, 256);
    assert_true(endpoint_equal(&t->target.at, &at));
    struct i3_hash *h = i3_hash_new();
    assert_true(i3_constraint_holds(h, &t->id, NULL, t->key));
    i3_hash_free(h);
}

static void stack_target(void **state)
{
    struct i3_vector v = i3_vector("E17");
    parse(&v);
    const struct i3_trigger *t = &i3_packet_option(&packet, I3_INSERT)->trigger;
    assert_int_equal(t->target.type, I3_TO_STACK);
    assert_int_equal(t->target.depth, 2);
    struct i3_hash *h = i3_hash_new();
    assert_true(i3_constraint_holds(h, &t->id, t->target.stack, t->key));
    i3_hash_free(h);
    v = i3_vector("E7");
    parse(&v);
    t = &i3_packet_option(&packet, I3_INSERT)->trigger;
    assert_int_equal(t->target.depth, 1);
}

static void replies(void **state)
{
    static const struct {
        const char *tag;
        uint8_t type;
    } wanted[] = {{"E2", I3_CHALLENGE},
                  {"E4", I3_ACK},
                  {"E8", I3_CHALLENGE},
                  {"E14", I3_CONSTRAINT_FAILED},
                  {"E25", I3_CHALLENGE}};
    for (unsigned i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct i3_vector v = i3_vector(wanted[i].tag);
        parse(&v);
        assert_int_equal(packet.depth, 0);
        assert_int_equal(packet.option_count, 2);
        assert_int_equal(packet.option[0].type, wanted[i].type);
        assert_int_equal(packet.option[1].type, I3_CACHE_ADDRESS);
        assert_true(i3_id_equal(&packet.option[0].trigger.id, &packet.option[1].trigger.id));
        assert_int_equal(i3_hello_read(packet.option[1].trigger.nonce), 0);
    }
    struct i3_vector v = i3_vector("E13");
    parse(&v);
    assert_int_equal(packet.option[0].type, I3_NOT_PRESENT);
    assert_int_equal(packet.option[0].id.bytes[0], 0xee);
    v = i3_vector("E21");
    parse(&v);
    assert_int_equal(packet.option[1].type, I3_FORCE_CACHE_ADDRESS);
}

static void data(void **state)
{
    struct i3_vector v = i3_vector("E9");
    parse(&v);
    assert_int_equal(packet.flags, I3_DATA | I3_OPTIONS | I3_FIRST_HOP);
    assert_int_equal(packet.depth, 2);
    assert_int_equal(packet.payload_size, 13);
    assert_memory_equal(packet.payload, "hello-stack-2", 13);
    v = i3_vector("E6");
    parse(&v);
    assert_int_equal(packet.flags, I3_DATA);
    assert_int_equal(packet.option_count, 0);
    assert_memory_equal(packet.payload, "hello-A", 7);
}

/* Cut anywhere inside header and options, a packet is refused; behind them only the payload gets
 * shorter. */
static void cut(void **state)
{
    static struct i3_vector all[I3_VECTORS];
    unsigned count = i3_vectors_read(all);
    for (unsigned i = 0; i < count; i++) {
        if (all[i].bytes[0] != I3_VERSION)
            continue;
        parse(&all[i]);
        size_t head = all[i].size - packet.payload_size;
        for (size_t size = 0; size < all[i].size; size++) {
            enum i3_fault fault = i3_packet_parse(all[i].bytes, size, &packet);
            assert_true(size < head ? fault == I3_FAULT_SHORT || fault == I3_FAULT_LENGTH
                                    : fault == I3_FINE);
        }
    }
}

static enum i3_fault fault_of(const char *hex)
{
    static uint8_t bytes[I3_DATAGRAM_MAX];
    return i3_packet_parse(bytes, hex_read(hex, bytes), &packet);
}

static void bad_bytes(void **state)
{
    assert_int_equal(fault_of(""), I3_FAULT_SHORT);
    assert_int_equal(fault_of("10"), I3_FAULT_SHORT);
    assert_int_equal(fault_of("110000"), I3_FAULT_VERSION);
    assert_int_equal(fault_of("108000"), I3_FAULT_FLAGS);
    assert_int_equal(fault_of("101010"), I3_FAULT_DEPTH);
    assert_int_equal(fault_of("1020000000"), I3_FAULT_LENGTH);
    assert_int_equal(fault_of("1020000001"), I3_FAULT_LENGTH);
    assert_int_equal(fault_of("1020000003"), I3_FAULT_LENGTH);
    assert_int_equal(fault_of("102000ffff"), I3_FAULT_LENGTH);
    assert_int_equal(fault_of("1020000002"), I3_FINE);
    assert_int_equal(fault_of("102000000312"), I3_FAULT_OPTION);
    assert_int_equal(fault_of("102000000301"), I3_FAULT_LENGTH);
    assert_int_equal(fault_of("10200000040140"), I3_FAULT_ADDRESS);
    assert_int_equal(fault_of("1020000005011000"), I3_FAULT_ADDRESS); /* no identifier */
    assert_int_equal(fault_of("1020000005011001"), I3_FAULT_LENGTH);
    assert_int_equal(fault_of("102000000307"), I3_FINE);
    assert_int_equal(fault_of("102f0000030770"), I3_FINE); /* low flags, payload without DATA */
    uint8_t many[I3_HEADER + 2 + I3_OPTIONS_MAX + 1] = {I3_VERSION, I3_OPTIONS, 0, 0,
                                                        2 + I3_OPTIONS_MAX + 1};
    memset(many + I3_HEADER + 2, I3_REQUEST_FOR_CACHE, I3_OPTIONS_MAX + 1);
    assert_int_equal(i3_packet_parse(many, sizeof many, &packet), I3_FAULT_OPTION_COUNT);
    many[4]--;
    assert_int_equal(i3_packet_parse(many, sizeof many, &packet), I3_FINE);
    assert_int_equal(packet.payload_size, 1);
}

static void nothing_wrong_is_written(void **state)
{
    uint8_t out[I3_DATAGRAM_MAX];
    struct i3_packet p = {.flags = I3_OPTIONS, .option_count = 1};
    p.option[0].type = I3_SENDER;
    p.option[0].sender = (struct i3_address){.type = I3_TO_STACK};
    assert_int_equal(i3_packet_write(&p, out, sizeof out), 0);
    p.option[0].sender = (struct i3_address){.type = I3_TO_IPV4, .at.ip.family = 6};
    assert_int_equal(i3_packet_write(&p, out, sizeof out), 0);
    p.option[0].type = 0x12;
    assert_int_equal(i3_packet_write(&p, out, sizeof out), 0);
    p.option[0].type = I3_REQUEST_FOR_CACHE;
    assert_int_equal(i3_packet_write(&p, out, sizeof out), 6);
    assert_int_equal(i3_packet_write(&p, out, 5), 0);
    p.flags = 0; /* options without the flag that says so */
    assert_int_equal(i3_packet_write(&p, out, sizeof out), 0);
    p.option_count = 0;
    p.depth = I3_STACK_MAX + 1;
    assert_int_equal(i3_packet_write(&p, out, sizeof out), 0);
}

static void limited_trigger(void **state)
{
    uint8_t out[I3_DATAGRAM_MAX];
    struct endpoint at;
    struct i3_packet p = {.flags = I3_OPTIONS, .option_count = 1}, again;
    assert_true(endpoint_parse("[2001:db8::1]:5", 0, &at));
    p.option[0] =
        (struct i3_option){.type = I3_INSERT,
                           .trigger = {.flags = I3_TRIGGER_LIMITED,
                                       .prefix = 256,
                                       .target = i3_address_of(&at),
                                       .limit = {.unit = 1, .depth = 70000, .rate = 1000000}}};
    size_t size = i3_packet_write(&p, out, sizeof out);
    assert_true(size > 0);
    assert_int_equal(i3_packet_parse(out, size, &again), I3_FINE);
    assert_true(i3_trigger_same(&again.option[0].trigger, &p.option[0].trigger));
    assert_int_equal(again.option[0].trigger.limit.unit, 1);
    assert_int_equal(again.option[0].trigger.limit.depth, 70000);
    assert_int_equal(again.option[0].trigger.limit.rate, 1000000);
}

/* As SENDER and as target: sizes, place of the fields, and nothing of it cut short. */
static void ipv6(void **state)
{
    struct endpoint at;
    struct i3_packet p = {.flags = I3_OPTIONS, .option_count = 2};
    uint8_t out[256], other[256];
    assert_true(endpoint_parse("[2001:db8::1]:7400", 0, &at));
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&at)};
    p.option[1] = (struct i3_option){.type = I3_INSERT,
                                     .trigger = {.prefix = 256, .target = i3_address_of(&at)}};
    size_t size = i3_packet_write(&p, out, sizeof out);
    assert_int_equal(size, I3_HEADER + 2 + I3_SENDER_OPTION6 + 1 + 86);
    static const uint8_t sender[] = {I3_SENDER, I3_TO_IPV6, 0x20, 0x01, 0x0d, 0xb8};
    assert_memory_equal(out + I3_HEADER + 2, sender, sizeof sender);
    assert_int_equal(out[I3_HEADER + 2 + 18] << 8 | out[I3_HEADER + 2 + 19], 7400);
    assert_int_equal(i3_packet_parse(out, size, &packet), I3_FINE);
    assert_true(endpoint_equal(&packet.option[0].sender.at, &at));
    assert_true(i3_trigger_same(&packet.option[1].trigger, &p.option[1].trigger));
    for (size_t cut = 0; cut < size; cut++)
        assert_int_not_equal(i3_packet_parse(out, cut, &packet), I3_FINE);
    /* A list that ends inside of an address. */
    for (unsigned short_by = 1; short_by < 86 + 1; short_by++) {
        memcpy(other, out, size);
        other[I3_HEADER + 1] = (uint8_t)(other[I3_HEADER + 1] - short_by);
        assert_int_not_equal(i3_packet_parse(other, size, &packet), I3_FINE);
    }
    /* A type and an address that are not of one family are not written. */
    p.option[0].sender.type = I3_TO_IPV4;
    assert_int_equal(i3_packet_write(&p, other, sizeof other), 0);
    /* What the original answered to one (E25) is read as it is. */
    struct i3_vector v = i3_vector("E25");
    parse(&v);
    assert_int_equal(packet.option[0].trigger.target.type, I3_TO_IPV6);
    assert_int_equal(packet.option[0].trigger.target.at.ip.bytes[15], 1);
    assert_int_equal(packet.option[0].trigger.target.at.port, 12001);
}

static void hello_and_ping(void **state)
{
    uint8_t nonce[I3_NONCE] = {0}, bytes[I3_PING_SIZE];
    assert_int_equal(i3_hello_read(nonce), 0);
    i3_hello_write(I3_CAN_IPV6 | I3_CAN_PING, nonce);
    assert_int_equal(i3_hello_read(nonce), I3_CAN_IPV6 | I3_CAN_PING);
    nonce[3]++;
    assert_int_equal(i3_hello_read(nonce), 0);
    struct i3_ping p = {.is_reply = true, .sequence = 0x1234, .time = UINT64_C(0x123456789abcdef0)},
                   q;
    i3_ping_write(&p, bytes);
    assert_true(i3_ping_parse(bytes, sizeof bytes, &q));
    assert_true(q.is_reply && q.sequence == p.sequence && q.time == p.time);
    assert_int_equal(q.abilities, 0); /* as one says it that knows no hello in it */
    p.abilities = I3_CAN_IPV6 | I3_CAN_PING;
    i3_ping_write(&p, bytes);
    assert_true(i3_ping_parse(bytes, sizeof bytes, &q));
    assert_int_equal(q.abilities, p.abilities);
    assert_int_equal(q.time, p.time);
    p.is_reply = false; /* a question has none: it is the same to everybody */
    i3_ping_write(&p, bytes);
    for (unsigned i = 11; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], 0);
    assert_false(i3_ping_parse(bytes, sizeof bytes - 1, &q));
    bytes[0] = 3;
    assert_false(i3_ping_parse(bytes, sizeof bytes, &q));
    assert_int_equal(i3_packet_parse(bytes, sizeof bytes, &packet), I3_FAULT_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector),
        cmocka_unit_test(insert),
        cmocka_unit_test(stack_target),
        cmocka_unit_test(replies),
        cmocka_unit_test(data),
        cmocka_unit_test(cut),
        cmocka_unit_test(bad_bytes),
        cmocka_unit_test(nothing_wrong_is_written),
        cmocka_unit_test(limited_trigger),
        cmocka_unit_test(ipv6),
        cmocka_unit_test(hello_and_ping),
    };
    return cmocka_run_group_tests_name("i3_wire", tests, NULL, NULL);
}
