#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

static const char *const types[] = {"ip", "ron", NULL};

static char *print(const char *text)
{
    struct config_error error;
    struct config *c = config_parse(text, strlen(text), "/etc/ocala/o.yaml", types, &error);
    if (!c)
        fail_msg("%u:%u: %s in:\n%s", error.where.line, error.where.column, error.text, text);
    char *printed = config_print(c);
    config_free(c);
    return printed;
}

/* What is printed reads back to the same, and says what was written. */
static void assert_round_trip(const char *text, const char *says)
{
    char *once = print(text), *twice = print(once);
    assert_string_equal(once, twice);
    if (!strstr(once, says))
        fail_msg("no \"%s\" in:\n%s", says, once);
    free(once);
    free(twice);
}

static void defaults_are_printed(void **state)
{
    assert_round_trip("name: a\noverlays: [{instance: east.ip}]\n",
                      "  - instance: 'east.ip'\n"
                      "    name: 'a.east.ip'\n"
                      "    key: '/var/lib/ocala/key.pem'\n"
                      "    trust: pin\n"
                      "    listen: ['[::]:0']\n");
}

static void every_section_is_printed(void **state)
{
    static const char text[] =
        "name: a\n"
        "workers: 2\n"
        "overlays:\n"
        "  - instance: east.ip\n"
        "    name: x.y.z\n"
        "    secrets: [\"it's new\", old]\n"
        "    options: {\"it's\": \"so: #1\"}\n"
        "    members:\n"
        "      - name: b\n"
        "        at: [\"[fe80::1%3]:5\", h.example.org:6]\n"
        "        key: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
        "      - {name: c.east.ip.east.ip, at: 1.2.3.4:5}\n"
        "rules: [{names: \"*\", via: [b.east.ip, c.west.ip]}]\n"
        "believe: [{gateway: b.east.ip, instances: [west.ip, north.ip]}]\n"
        "pins: [{name: d.west.ip, key: PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=}]\n"
        "forward: [{from: \"*\", to: east.ip}]\n"
        "policy: [{peer: \"*\", allow: [any, icmp, tcp, udp/5, tcp/0-1]}, {peer: a.b.c, allow: "
        "[]}]\n"
        "dns: {mode: none, suffix: ov.example.org, upstream: [9.9.9.9]}\n"
        "handles: {ipv6: \"fd01:2:3::/48\"}\n"
        "timers: {retry: 1500ms}\n"
        "i3_server: {listen: [192.0.2.1, \"2001:db8::1\"], seeds: [192.0.2.2, \"192.0.2.3:7\"], "
        "secret: ring, "
        "per_client: 0}\n"
        "group: wheel\n";
    assert_round_trip(text, "name: 'x.y.z.east.ip'");
    assert_round_trip(text, "secrets: ['/etc/ocala/it''s new', '/etc/ocala/old']");
    assert_round_trip(text, "'it''s': 'so: #1'");
    assert_round_trip(text, "at: ['[fe80::1%3]:5', 'h.example.org:6']");
    assert_round_trip(text, "name: 'c.east.ip.east.ip'");
    assert_round_trip(text, "allow: [any, icmp, tcp, udp/5, tcp/0-1]");
    assert_round_trip(text, "allow: []");
    assert_round_trip(text, "ipv6: 'fd01:2:3::/48'");
    assert_round_trip(text, "retry: 1500ms");
    assert_round_trip(text, "workers: 2");
    assert_round_trip(text, "listen: ['192.0.2.1:5610', '[2001:db8::1]:5610']\n  ring: 5611\n"
                            "  seeds: ['192.0.2.2:5611', '192.0.2.3:7']\n"
                            "  secret: '/etc/ocala/ring'\n  triggers: 1000000\n  per_client: 0\n"
                            "  requests: 1000\n  per_address: 64\n");
}

static void long_configurations_are_printed_whole(void **state)
{
    static char text[1 << 18];
    size_t at = (size_t)sprintf(text, "name: a\noverlays:\n  - instance: east.ip\n"
                                      "    secret: s\n    members:\n");
    for (unsigned i = 0; i < 2000; i++)
        at += (size_t)sprintf(text + at, "      - {name: m%u, at: 192.0.2.1:%u}\n", i, i + 1);
    assert_round_trip(text, "name: 'm1999.east.ip'\n        at: ['192.0.2.1:2000']");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_printed),
        cmocka_unit_test(every_section_is_printed),
        cmocka_unit_test(long_configurations_are_printed_whole),
    };
    return cmocka_run_group_tests_name("config_print", tests, NULL, NULL);
}
