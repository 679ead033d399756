/* Messages of Chord: every captured one of the original is read and written again; ids as numbers on a circle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "chord/chord_wire.h"
#include "tests/support/hex.h"
#include "tests/support/i3_vectors.h"

static struct chord_message message;

static void every_vector(void **state)
{
    static struct i3_vector all[I3_VECTORS];
    uint8_t out[I3_VECTOR_SIZE];
    unsigned count = i3_vectors_read(all), seen = 0;
    for (unsigned i = 0; i < count; i++) {
        if (all[i].tag[0] != 'C' && strcmp(all[i].tag, "E22"))
            continue;
        assert_int_equal(chord_message_parse(all[i].bytes, all[i].size, NULL, &message),
                         CHORD_FINE);
        assert_int_equal(chord_message_write(&message, NULL, out, sizeof out), all[i].size);
        assert_memory_equal(out, all[i].bytes, all[i].size);
        for (size_t size = 0; size < all[i].size; size++)
            assert_int_not_equal(chord_message_parse(all[i].bytes, size, NULL, &message),
                                 CHORD_FINE);
        memcpy(out, all[i].bytes, all[i].size);
        out[all[i].size] = 0;
        assert_int_equal(chord_message_parse(out, all[i].size + 1, NULL, &message),
                         CHORD_FAULT_LENGTH);
        seen++;
    }
    assert_int_equal(seen, 12);
}

static void fields(void **state)
{
    struct i3_vector v = i3_vector("C9");
    char text[CHORD_ID_TEXT];
    struct endpoint at;
    assert_int_equal(chord_message_parse(v.bytes, v.size, NULL, &message), CHORD_FINE);
    assert_int_equal(message.type, CHORD_PONG);
    assert_int_equal(message.token, 0x5603f609);
    assert_string_equal(chord_id_format(&message.node.id, text),
                        "20000000000000000000000000000000000000a0");
    assert_true(endpoint_parse("127.0.0.1:6510", 0, &at));
    assert_true(endpoint_equal(&at, &message.node.at));
    v = i3_vector("C11");
    assert_int_equal(chord_message_parse(v.bytes, v.size, NULL, &message), CHORD_FINE);
    assert_int_equal(message.count, 3);
    assert_int_equal(message.finger[2].at.port, 0x1971);
}

static void bad_addresses(void **state)
{
    static const char *const bad[] = {"0.0.0.0:1", "127.0.0.1:0", "224.0.0.1:5",
                                      "255.255.255.255:5"};
    uint8_t out[64];
    for (unsigned i = 0; i < 4; i++) {
        struct chord_message m = {.type = CHORD_NOTIFY};
        assert_true(endpoint_parse(bad[i], 1, &m.node.at) || i == 1);
        m.node.at.ip.family = 4;
        size_t size = chord_message_write(&m, NULL, out, sizeof out);
        assert_int_equal(chord_message_parse(out, size, NULL, &message), CHORD_FAULT_ADDRESS);
    }
    /* What a ring with originals cannot say is not said. */
    struct chord_message m = {.type = CHORD_NOTIFY, .node.at = {.ip = {6, {1}}, .port = 1}};
    assert_int_equal(chord_message_write(&m, NULL, out, sizeof out), 0);
    m = (struct chord_message){.type = CHORD_COPY};
    assert_int_equal(chord_message_write(&m, NULL, out, sizeof out), 0);
    out[0] = CHORD_COPY;
    assert_int_equal(chord_message_parse(out, 23, NULL, &message), CHORD_FAULT_TYPE);
}

static void with_a_secret(void **state)
{
    struct crypto_hmac_key secret, other;
    uint8_t out[128];
    crypto_hmac_key("secret", 6, &secret);
    crypto_hmac_key("other", 5, &other);
    struct chord_message m = {
        .type = CHORD_COPY, .hops = 7, .payload = (const uint8_t *)"pay", .payload_size = 3};
    size_t size = chord_message_write(&m, &secret, out, sizeof out);
    assert_true(size > 0);
    assert_int_equal(chord_message_parse(out, size, &secret, &message), CHORD_FINE);
    assert_int_equal(message.hops, 7);
    assert_memory_equal(message.payload, "pay", 3);
    assert_int_equal(chord_message_parse(out, size, &other, &message), CHORD_FAULT_SECRET);
    for (size_t i = 0; i < size; i++) {
        out[i] ^= 1;
        assert_int_equal(chord_message_parse(out, size, &secret, &message), CHORD_FAULT_SECRET);
        out[i] ^= 1;
    }
    assert_int_equal(chord_message_parse(out, 10, &secret, &message), CHORD_FAULT_LENGTH);
    m = (struct chord_message){.type = CHORD_NOTIFY, .node.at = {.ip = {6, {0x20, 1}}, .port = 9}};
    size = chord_message_write(&m, &secret, out, sizeof out);
    assert_int_equal(chord_message_parse(out, size, &secret, &message), CHORD_FINE);
    assert_true(endpoint_equal(&message.node.at, &m.node.at));
    assert_true(endpoint_parse("192.0.2.1:4", 0, &m.node.at));
    size = chord_message_write(&m, &secret, out, sizeof out);
    assert_int_equal(chord_message_parse(out, size, &secret, &message), CHORD_FINE);
    assert_true(endpoint_equal(&message.node.at, &m.node.at));
}

/* Each type, with an IPv6 address and with an IPv4 one, which is mapped: 12 bytes more than in an open ring. */
static void wide(void **state)
{
    static const char *const ats[] = {"[2001:db8::1]:6510", "192.0.2.1:6510"};
    static const uint8_t types[] = {CHORD_FIND,       CHORD_FOUND,       CHORD_STABILISE,
                                    CHORD_STABILISED, CHORD_NOTIFY,      CHORD_PING,
                                    CHORD_PONG,       CHORD_GET_FINGERS, CHORD_FINGERS};
    static const size_t narrow[] = {27, 27, 27, 27, 27, 11, 31, 11, 28 + 2 * 26};
    struct crypto_hmac_key secret;
    crypto_hmac_key("secret", 6, &secret);
    for (unsigned i = 0; i < sizeof types; i++)
        for (unsigned k = 0; k < 2; k++) {
            struct chord_message m = {.type = types[i], .hops = 5, .token = 0x12345678};
            uint8_t out[256], open[256];
            bool has_id = types[i] != CHORD_PING && types[i] != CHORD_GET_FINGERS;
            bool fingers = types[i] == CHORD_FINGERS;
            memset(m.node.id.bytes, has_id ? 7 : 0, CHORD_ID);
            assert_true(endpoint_parse(ats[k], 0, &m.node.at));
            m.count = fingers ? 2 : 0;
            for (unsigned f = 0; f < m.count; f++)
                assert_true(endpoint_parse(ats[f], 0, &m.finger[f].at));
            size_t size = chord_message_write(&m, &secret, out, sizeof out);
            assert_int_equal(size, narrow[i] + (fingers ? 3 : 1) * 12 + 1 + 16);
            assert_int_equal(chord_message_parse(out, size, &secret, &message), CHORD_FINE);
            assert_true(endpoint_equal(&message.node.at, &m.node.at));
            assert_true(chord_id_equal(&message.node.id, &m.node.id));
            assert_int_equal(message.count, m.count);
            assert_int_equal(message.hops, 5);
            for (unsigned f = 0; f < m.count; f++)
                assert_true(endpoint_equal(&message.finger[f].at, &m.finger[f].at));
            for (size_t cut = 0; cut < size; cut++)
                assert_int_not_equal(chord_message_parse(out, cut, &secret, &message), CHORD_FINE);
            /* Without a secret there is no place for it. */
            size = chord_message_write(&m, NULL, open, sizeof open);
            assert_int_equal(size, k && !fingers ? narrow[i] : 0);
        }
    static const char *const bad[] = {"[::]:1", "[ff02::1]:5", "[fe80::1]:5"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct chord_message m = {.type = CHORD_NOTIFY};
        uint8_t out[128];
        assert_true(endpoint_parse(bad[i], 0, &m.node.at));
        size_t size = chord_message_write(&m, &secret, out, sizeof out);
        assert_int_equal(chord_message_parse(out, size, &secret, &message), CHORD_FAULT_ADDRESS);
    }
}

static void circle(void **state)
{
    struct chord_id a, b, d;
    char text[CHORD_ID_TEXT];
    assert_true(chord_id_parse("fffffffffffffffffffffffffffffffffffffffe", &a));
    assert_true(chord_id_parse("0000000000000000000000000000000000000001", &b));
    d = chord_distance(&a, &b);
    assert_string_equal(chord_id_format(&d, text), "0000000000000000000000000000000000000003");
    d = chord_distance(&b, &a);
    assert_string_equal(chord_id_format(&d, text), "fffffffffffffffffffffffffffffffffffffffd");
    d = chord_id_plus(&a, 1);
    assert_string_equal(chord_id_format(&d, text), "0000000000000000000000000000000000000000");
    d = chord_id_plus(&b, 159);
    assert_string_equal(chord_id_format(&d, text), "8000000000000000000000000000000000000001");
    assert_false(chord_id_parse("FF", &a));
    assert_false(chord_id_parse("fffffffffffffffffffffffffffffffffffffffE", &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector),  cmocka_unit_test(fields), cmocka_unit_test(bad_addresses),
        cmocka_unit_test(with_a_secret), cmocka_unit_test(wide),   cmocka_unit_test(circle),
    };
    return cmocka_run_group_tests_name("chord_wire", tests, NULL, NULL);
}
