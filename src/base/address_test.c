#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/address.h"
#include "tests/support/seeded.h"

static void test_address_both_ways(void **state)
{
    static const char *const texts[] = {"0.0.0.0",     "198.18.0.1", "255.255.255.255", "::", "::1",
                                        "2001:db8::1", "fe80::1",    "::ffff:1.2.3.4"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ip_address ip;
        char out[ADDRESS_TEXT];
        assert_true(ip_address_parse(texts[i], &ip));
        assert_int_equal(ip.family, strchr(texts[i], ':') ? 6 : 4);
        assert_string_equal(ip_address_format(&ip, out), texts[i]);
    }
    struct ip_address four;
    static const uint8_t expected[16] = {10, 0, 0, 1};
    assert_true(ip_address_parse("10.0.0.1", &four));
    assert_memory_equal(four.bytes, expected, sizeof expected);
    char out[ADDRESS_TEXT];
    assert_string_equal(ip_address_format(&(struct ip_address){0}, out), "none");
}

static void test_address_refused(void **state)
{
    static const char *const texts[] = {
        "",     "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4:5",
        "host", ":::",   "1::2::3",   "::1%2",     "[::1]",    "12345::",  "1.2.3.4/8"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ip_address ip, before;
        memset(&ip, 0xA5, sizeof ip);
        before = ip;
        assert_false(ip_address_parse(texts[i], &ip));
        assert_memory_equal(&ip, &before, sizeof ip);
    }
}

static void test_endpoint_both_ways(void **state)
{
    static const char *const texts[] = {"1.2.3.4:5", "0.0.0.0:65535", "[2001:db8::1]:5",
                                        "[fe80::1%3]:4000", "[fe80::1%4294967295]:65535"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct endpoint e;
        char out[ENDPOINT_TEXT];
        assert_true(endpoint_parse(texts[i], 0, &e));
        assert_string_equal(endpoint_format(&e, out), texts[i]);
    }
}

static void test_endpoint_default_port(void **state)
{
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"1.2.3.4", "1.2.3.4:77"},
        {"1.2.3.4:9", "1.2.3.4:9"},
        {"[::1]", "[::1]:77"},
        {"[::1]:9", "[::1]:9"},
        {"::1", "[::1]:77"},
        {"fe80::1%2", "[fe80::1%2]:77"},
        {"[fe80::1%2]", "[fe80::1%2]:77"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct endpoint e;
        char out[ENDPOINT_TEXT];
        assert_true(endpoint_parse(rows[i].text, 77, &e));
        assert_string_equal(endpoint_format(&e, out), rows[i].expected);
    }
    struct endpoint e;
    assert_false(endpoint_parse("1.2.3.4", 0, &e));
    assert_false(endpoint_parse("::1", 0, &e));
}

static void test_endpoint_refused(void **state)
{
    static const char *const texts[] = {
        "",
        ":5",
        "1.2.3.4:",
        "1.2.3.4:x",
        "1.2.3.4:65536",
        "1.2.3.4:-1",
        "1.2.3.4:0",
        "1.2.3.4:+5",
        "1.2.3.4: 5",
        "1.2.3.4:5 ",
        "[1.2.3.4]:5",
        "[::1",
        "[::1]5",
        "[::1]:",
        "[]:5",
        "[::1%]:5",
        "[::1%eth0]:5",
        "[::1%4294967296]:5",
        "host:5",
        "1.2.3.4%1:5",
        "1.2.3.4:5:6",
        "1.2.3.4:00000000005",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct endpoint e, before;
        memset(&e, 0xA5, sizeof e);
        memcpy(&before, &e, sizeof e);
        assert_false(endpoint_parse(texts[i], 1, &e));
        assert_memory_equal(&e, &before, sizeof e);
    }
}

static bool holds(const char *prefix, const char *ip)
{
    struct ip_prefix p;
    struct ip_address a;
    assert_true(ip_prefix_parse(prefix, &p));
    assert_true(ip_address_parse(ip, &a));
    return ip_prefix_holds(&p, &a);
}

static void test_prefix(void **state)
{
    assert_true(holds("198.18.0.0/15", "198.18.0.0"));
    assert_true(holds("198.18.0.0/15", "198.19.255.255"));
    assert_false(holds("198.18.0.0/15", "198.20.0.0"));
    assert_false(holds("198.18.0.0/15", "198.17.255.255"));
    assert_true(holds("198.18.5.5/15", "198.18.0.1")); /* host bits do not count */
    assert_true(holds("0.0.0.0/0", "255.1.2.3"));
    assert_false(holds("0.0.0.0/0", "::1"));
    assert_true(holds("10.1.2.3/32", "10.1.2.3"));
    assert_false(holds("10.1.2.3/32", "10.1.2.2"));
    assert_true(holds("fd00:1:2::/48", "fd00:1:2:ffff::9"));
    assert_false(holds("fd00:1:2::/48", "fd00:1:3::"));
    assert_true(holds("fe80::/10", "febf::1"));
    assert_false(holds("fe80::/10", "fec0::1"));
    assert_true(holds("::1/128", "::1"));

    static const char *const bad[] = {"1.2.3.4", "1.2.3.4/", "1.2.3.4/33", "::/129",    "::/-1",
                                      "/8",      "x/8",      "1.2.3.4/8x", "1.2.3.4/ 8"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ip_prefix p;
        assert_false(ip_prefix_parse(bad[i], &p));
    }
    struct ip_address none = {0};
    struct ip_prefix nothing = {0};
    assert_false(ip_prefix_holds(&nothing, &none));
}

static void test_equal(void **state)
{
    struct endpoint a, b;
    assert_true(endpoint_parse("1.2.3.4:5", 0, &a));
    assert_true(endpoint_parse("1.2.3.4:5", 0, &b));
    assert_true(endpoint_equal(&a, &b));
    b.ip.bytes[15] = 1; /* not part of an IPv4 address */
    assert_true(endpoint_equal(&a, &b));
    b.port = 6;
    assert_false(endpoint_equal(&a, &b));
    b = a;
    b.scope = 1;
    assert_false(endpoint_equal(&a, &b));
    b = a;
    b.ip.family = 6;
    assert_false(ip_address_equal(&a.ip, &b.ip));
    b = a;
    b.ip.bytes[3] = 5;
    assert_false(ip_address_equal(&a.ip, &b.ip));
}

/* Whatever is formatted parses back to the same value; random texts never read outside. */
static void test_unicast(void **state)
{
    static const char *const good[] = {"192.0.2.1:5",     "127.0.0.1:5", "223.255.255.255:5",
                                       "[2001:db8::1]:5", "[::1]:5",     "[fec0::1]:5"};
    static const char *const bad[] = {"0.0.0.0:5",         "0.0.0.1:5",  "224.0.0.1:5",
                                      "255.255.255.255:5", "[::]:5",     "[ff02::1]:5",
                                      "[fe80::1]:5",       "[febf::1]:5"};
    struct endpoint e;
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(endpoint_parse(good[i], 0, &e));
        assert_true(endpoint_is_unicast(&e));
        assert_false(ip_address_is_wildcard(&e.ip));
        e.port = 0;
        assert_false(endpoint_is_unicast(&e));
    }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(endpoint_parse(bad[i], 0, &e));
        assert_false(endpoint_is_unicast(&e));
        assert_int_equal(ip_address_is_wildcard(&e.ip), i == 0 || i == 4);
    }
    e = (struct endpoint){.ip = {6, {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}}, .port = 5};
    assert_false(endpoint_is_unicast(&e));
    e = (struct endpoint){.port = 5};
    assert_false(endpoint_is_unicast(&e));
}

static void test_random(void **state)
{
    struct seeded s;
    seeded_init(&s, 1);
    for (unsigned i = 0; i < 2000; i++) {
        struct endpoint e = {0}, back;
        char out[ENDPOINT_TEXT];
        e.ip.family = entropy_below(&s.entropy, 2) ? 4 : 6;
        entropy_fill(&s.entropy, e.ip.bytes, e.ip.family == 4 ? 4 : 16);
        e.port = (uint16_t)(1 + entropy_below(&s.entropy, 65535));
        e.scope = e.ip.family == 6 && entropy_below(&s.entropy, 2) ? entropy_u32(&s.entropy) : 0;
        assert_true(endpoint_parse(endpoint_format(&e, out), 0, &back));
        assert_true(endpoint_equal(&e, &back));
    }
    static const char letters[] = "0123456789abcdef:.[]%/ x";
    for (unsigned i = 0; i < 20000; i++) {
        char text[80];
        size_t length = entropy_below(&s.entropy, sizeof text);
        for (size_t j = 0; j < length; j++)
            text[j] = letters[entropy_below(&s.entropy, sizeof letters - 1)];
        text[length] = 0;
        struct endpoint e;
        struct ip_prefix p;
        char out[ENDPOINT_TEXT];
        if (endpoint_parse(text, 1, &e))
            assert_true(endpoint_parse(endpoint_format(&e, out), 0, &e));
        (void)ip_prefix_parse(text, &p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_both_ways),
        cmocka_unit_test(test_address_refused),
        cmocka_unit_test(test_endpoint_both_ways),
        cmocka_unit_test(test_endpoint_default_port),
        cmocka_unit_test(test_endpoint_refused),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_unicast),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests_name("base_address", tests, NULL, NULL);
}
