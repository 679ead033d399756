#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "packet/checksum.h"
#include "tests/support/craft.h"
#include "tests/support/seeded.h"

/* The example of RFC 1071, section 3. */
static void test_rfc_example(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    assert_int_equal(checksum_fold(checksum_add(0, bytes, sizeof bytes)), 0xddf2);
    assert_int_equal(checksum_finish(checksum_add(0, bytes, sizeof bytes)), 0x220d);
    assert_int_equal(checksum_fold(checksum_add(0, bytes, 3)), 0xf201);
    assert_int_equal(checksum_fold(checksum_add(0, bytes, 0)), 0);
    assert_int_equal(checksum_finish(0), 0xFFFF);
}

/* The example of RFC 1624, section 4, where the older formula goes wrong. */
static void test_rfc_update(void **state)
{
    assert_int_equal(checksum_update(0xDD2F, checksum_change16(0, 0x5555, 0x3285)), 0x0000);
}

static void test_against_naive(void **state)
{
    static uint8_t bytes[65536];
    struct seeded s;
    seeded_init(&s, 10);
    entropy_fill(&s.entropy, bytes, sizeof bytes);
    for (unsigned i = 0; i < 3000; i++) {
        size_t start = entropy_below(&s.entropy, 64);
        size_t size = entropy_below(&s.entropy, i % 100 ? 200 : 65000);
        uint32_t sum = entropy_below(&s.entropy, 0x20000);
        assert_int_equal(checksum_fold(checksum_add(sum, bytes + start, size)),
                         craft_sum(bytes + start, size, sum));
        /* In pieces that start at even offsets. */
        size_t cut = entropy_below(&s.entropy, (uint32_t)size / 2 + 1) * 2;
        uint32_t pieces = checksum_add(0, bytes + start + cut, size - cut);
        assert_int_equal(checksum_fold(checksum_add(pieces, bytes + start, cut)),
                         craft_sum(bytes + start, size, 0));
    }
    memset(bytes, 0xFF, sizeof bytes);
    assert_int_equal(checksum_fold(checksum_add(UINT32_MAX, bytes, sizeof bytes)), 0xFFFF);
}

static void test_updates_match_a_fresh_sum(void **state)
{
    struct seeded s;
    seeded_init(&s, 11);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t bytes[64], fresh[32];
        entropy_fill(&s.entropy, bytes, sizeof bytes);
        entropy_fill(&s.entropy, fresh, sizeof fresh);
        if (i % 8 == 0) /* extremes meet the two zeros of ones' complement */
            memset(fresh, i % 16 ? 0 : 0xFF, sizeof fresh);
        if (i % 8 == 1)
            memset(bytes + 2, 0xFF, sizeof bytes - 2);
        size_t at = entropy_below(&s.entropy, 16) * 2,
               size = (1 + entropy_below(&s.entropy, 15)) * 2;
        uint16_t before = (uint16_t)~craft_sum(bytes, sizeof bytes, 0);
        uint32_t change = checksum_change(0, bytes + at, fresh, size);
        uint16_t word = (uint16_t)(bytes[0] << 8 | bytes[1]);
        if (at >= 2)
            change = checksum_change16(change, word, 0xBEEF);
        memcpy(bytes + at, fresh, size);
        if (at >= 2)
            memcpy(bytes, "\xBE\xEF", 2);
        assert_int_equal(checksum_update(before, change),
                         (uint16_t)~craft_sum(bytes, sizeof bytes, 0));
    }
}

static void test_pseudo_header(void **state)
{
    struct ip_address a, b;
    assert_true(ip_address_parse("198.18.0.1", &a) && ip_address_parse("10.1.2.3", &b));
    static const uint8_t four[] = {198, 18, 0, 1, 10, 1, 2, 3, 0, 17, 0x01, 0x02};
    assert_int_equal(checksum_fold(checksum_add_pseudo(0, &a, &b, 17, 0x102)),
                     craft_sum(four, sizeof four, 0));
    assert_true(ip_address_parse("fd00::1", &a) && ip_address_parse("2001:db8::2", &b));
    static const uint8_t six[] = {0xfd, 0, 0,    0,    0,    0,    0,    0,    0, 0, 0, 0, 0, 0,
                                  0,    1, 0x20, 0x01, 0x0d, 0xb8, 0,    0,    0, 0, 0, 0, 0, 0,
                                  0,    0, 0,    0x02, 0,    1,    0x12, 0x34, 0, 0, 0, 58};
    assert_int_equal(checksum_fold(checksum_add_pseudo(7, &a, &b, 58, 0x11234)),
                     craft_sum(six, sizeof six, 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_example),   cmocka_unit_test(test_rfc_update),
        cmocka_unit_test(test_against_naive), cmocka_unit_test(test_updates_match_a_fresh_sum),
        cmocka_unit_test(test_pseudo_header),
    };
    return cmocka_run_group_tests_name("packet_checksum", tests, NULL, NULL);
}
