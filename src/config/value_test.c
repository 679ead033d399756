#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/value.h"

static struct config_error error;

static const struct config_value *value(const char *text)
{
    static struct config_value v;
    memset(&error, 0, sizeof error);
    v = (struct config_value){"key", text, {3, 7}, &error};
    return &v;
}

static void assert_complaint(const char *says)
{
    if (!strstr(error.text, says))
        fail_msg("expected \"%s\", got \"%s\"", says, error.text);
    assert_int_equal(error.where.line, 3);
    assert_int_equal(error.where.column, 7);
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        instant span;
    } good[] = {{"0ms", 0},
                {"1ms", MILLISECOND},
                {"25s", 25 * SECOND},
                {"90m", 90 * MINUTE},
                {"48h", 48 * HOUR},
                {"007s", 7 * SECOND},
                {"999999999ms", 999999999 * MILLISECOND}};
    static const char *const bad[] = {"",    "s",    "5",    "5 s",   " 5s",         "5S",
                                      "-5s", "5.5s", "5sec", "1h30m", "9999999999s", "0x5s"};
    instant span = -1;
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(config_value_duration(value(good[i].text), 0, INSTANT_NEVER, &span));
        assert_int_equal(span, good[i].span);
    }
    span = -1;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(config_value_duration(value(bad[i]), 0, INSTANT_NEVER, &span));
        assert_complaint("one of the units ms, s, m, h");
        assert_int_equal(span, -1);
    }
    assert_false(config_value_duration(value("61s"), SECOND, MINUTE, &span));
    assert_complaint("'key' must be from 1s to 1m, not '61s'");
    assert_false(config_value_duration(value("999999999h"), SECOND, MINUTE, &span));
    assert_complaint("from 1s to 1m");
}

static void durations_are_printed_in_the_largest_exact_unit(void **state)
{
    char out[CONFIG_DURATION_TEXT];
    assert_string_equal(config_duration_format(HOUR, out), "1h");
    assert_string_equal(config_duration_format(90 * MINUTE, out), "90m");
    assert_string_equal(config_duration_format(61 * SECOND, out), "61s");
    assert_string_equal(config_duration_format(1500 * MILLISECOND, out), "1500ms");
    assert_string_equal(config_duration_format(0, out), "0ms");
}

static void choices(void **state)
{
    static const char *const names[] = {"psk", "pin", NULL};
    unsigned index = 7;
    assert_true(config_value_choice(value("pin"), names, &index));
    assert_int_equal(index, 1);
    assert_false(config_value_choice(value("Pin"), names, &index));
    assert_complaint("'key' must be psk or pin, not 'Pin'");
    assert_int_equal(index, 1);
}

static void listening_endpoints(void **state)
{
    struct endpoint e;
    char text[ENDPOINT_TEXT];
    static const char *const good[] = {"0.0.0.0:7400", "[::]:0", "127.0.0.1:0", "[::1]:65535"};
    static const char *const bad[] = {"",        "7400",          ":0",        ":7400",
                                      "0.0.0.0", "[::]",          "[::]:",     "::1",
                                      "host:1",  "1.2.3.4:65536", "1.2.3.4:00"};
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(config_value_listen(value(good[i]), &e));
        assert_string_equal(endpoint_format(&e, text), good[i]);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(config_value_listen(value(bad[i]), &e));
        assert_complaint("'key' must be ADDRESS:PORT");
    }
}

static void places(void **state)
{
    struct config_place p;
    assert_true(config_value_place(value("[2001:db8::1]:7400"), &p));
    assert_null(p.host);
    assert_int_equal(p.endpoint.ip.family, 6);
    assert_true(config_value_place(value("gate.example.org:7400"), &p));
    assert_string_equal(p.host, "gate.example.org");
    assert_int_equal(p.endpoint.ip.family, 0);
    assert_int_equal(p.endpoint.port, 7400);
    assert_int_equal(p.where.line, 3);
    free(p.host);
    static const char *const bad[] = {
        "",           ":",     "gate",  "gate:",   "gate:x",      "gate:1x",          "gate:0",
        "gate:65536", ":7400", "a b:1", "1.2.3:7", "1.2.3.4.5:6", "2001:db8::1:7400", "[::1:5",
        "a.via.b:5",  "a:b:5"};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(config_value_place(value(bad[i]), &p));
        assert_complaint("'key' must be ADDRESS:PORT or HOST:PORT");
    }
}

static void prefixes(void **state)
{
    struct ip_prefix p;
    assert_true(config_value_prefix(value("10.8.0.0/13"), 4, 8, 28, &p));
    assert_int_equal(p.length, 13);
    assert_false(config_value_prefix(value("10.12.0.0/13"), 4, 8, 28, &p));
    assert_complaint("bits set behind its length of 13 bits");
    assert_false(config_value_prefix(value("10.0.0.0/7"), 4, 8, 28, &p));
    assert_complaint("from /8 to /28, not /7");
    assert_false(config_value_prefix(value("224.0.0.0/8"), 4, 8, 28, &p));
    assert_complaint("not unicast");
    assert_true(config_value_prefix(value("fd00:1:2::/48"), 6, 8, 112, &p));
    assert_false(config_value_prefix(value("fe80::/64"), 6, 8, 112, &p));
    assert_complaint("not unicast");
    assert_false(config_value_prefix(value("fd00:1:2::1/112"), 6, 8, 112, &p));
    assert_complaint("bits set");
    assert_false(config_value_prefix(value("fd00::/129"), 6, 8, 112, &p));
    assert_complaint("an IPv6 prefix");
}

static void services(void **state)
{
    struct config_service s;
    assert_true(config_value_service(value("udp/0-65535"), &s));
    assert_int_equal(s.protocol, CONFIG_UDP);
    assert_int_equal(s.high, 65535);
    assert_true(config_value_service(value("tcp/22"), &s));
    assert_int_equal(s.low, 22);
    assert_int_equal(s.high, 22);
    static const char *const bad[] = {"",       "tc",     "tcp/",      "tcp/-",
                                      "tcp/1-", "tcp/-1", "tcp/1-2-3", "tcp/1 ",
                                      "tcp 22", "TCP/22", "any/1",     "tcp/22/"};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(config_value_service(value(bad[i]), &s));
        assert_complaint("'key' must be any, icmp, tcp, udp, or");
    }
}

static void names_are_lowered(void **state)
{
    char *text;
    struct overlay_name name;
    assert_true(config_value_labels(value("Host.Lab"), &text));
    assert_string_equal(text, "host.lab");
    free(text);
    assert_true(config_value_pattern(value("*.West.IP."), &text));
    assert_string_equal(text, "*.west.ip");
    free(text);
    assert_true(config_value_instance(value("East.ip"), &text));
    assert_string_equal(text, "east.ip");
    free(text);
    assert_true(config_value_name(value("A.East.Ip"), &name));
    assert_string_equal(name.text, "a.east.ip");
    assert_false(config_value_name(value("a.b"), &name));
    assert_complaint("'key': 'a.b' is not possible: ");
    assert_false(config_value_instance(value("*"), &text));
    assert_complaint("'key': '*' is not possible: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(durations_are_printed_in_the_largest_exact_unit),
        cmocka_unit_test(choices),
        cmocka_unit_test(listening_endpoints),
        cmocka_unit_test(places),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(services),
        cmocka_unit_test(names_are_lowered),
    };
    return cmocka_run_group_tests_name("config_value", tests, NULL, NULL);
}
