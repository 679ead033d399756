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

#define FILE_NAME "/etc/ocala/ocala.yaml"
#define KEY_A     "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define KEY_B     "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="

/* A configuration that works, to put something behind. */
#define GOOD                                                                                       \
    "name: alpha\n"                                                                                \
    "overlays:\n"                                                                                  \
    "  - instance: east.ip\n"                                                                      \
    "    secret: east.secret\n"
#define GOOD_LINES 4

static struct config *parse(const char *text, struct config_error *error)
{
    return config_parse(text, strlen(text), FILE_NAME, types, error);
}

static struct config *parse_good(const char *text)
{
    struct config_error error;
    struct config *c = parse(text, &error);
    if (!c)
        fail_msg("%u:%u: %s", error.where.line, error.where.column, error.text);
    return c;
}

static void assert_refused(const char *text, unsigned line, unsigned column, const char *says)
{
    struct config_error error;
    struct config *c = parse(text, &error);
    if (c) {
        config_free(c);
        fail_msg("accepted, expected \"%s\":\n%s", says, text);
    }
    assert_string_equal(error.file, FILE_NAME);
    if (!strstr(error.text, says) || error.where.line != line || error.where.column != column)
        fail_msg("expected %u:%u \"%s\", got %u:%u \"%s\" for:\n%s", line, column, says,
                 error.where.line, error.where.column, error.text, text);
}

/* `more` behind GOOD; `line` counts from there. */
static void assert_refused_behind(const char *more, unsigned line, unsigned column,
                                  const char *says)
{
    char text[4096];
    snprintf(text, sizeof text, "%s%s", GOOD, more);
    assert_refused(text, GOOD_LINES + line, column, says);
}

static struct config *parse_behind(const char *more)
{
    char text[4096];
    snprintf(text, sizeof text, "%s%s", GOOD, more);
    return parse_good(text);
}

static void shortest_file_is_six_lines(void **state)
{
    struct config *c = parse_good("name: Alpha\n"
                                  "overlays:\n"
                                  "  - instance: east.ip\n"
                                  "    secret: /etc/ocala/east.secret\n"
                                  "    members:\n"
                                  "      - {name: gate, at: 192.0.2.1:7400}\n");
    char text[ENDPOINT_TEXT];
    assert_string_equal(c->name, "alpha");
    assert_string_equal(c->key.text, "/var/lib/ocala/key.pem");
    assert_int_equal(c->overlay_count, 1);
    const struct config_overlay *o = &c->overlays[0];
    assert_string_equal(o->instance, "east.ip");
    assert_string_equal(o->type, "ip");
    assert_string_equal(o->self.text, "alpha.east.ip");
    assert_int_equal(o->trust, CONFIG_TRUST_PSK);
    assert_int_equal(o->secret_count, 1);
    assert_string_equal(o->secrets[0].text, "/etc/ocala/east.secret");
    assert_int_equal(o->secrets[0].where.line, 4);
    assert_int_equal(o->secrets[0].where.column, 13);
    assert_string_equal(o->key.text, "/var/lib/ocala/key.pem");
    assert_int_equal(o->listen_count, 1);
    assert_string_equal(endpoint_format(&o->listen[0], text), "[::]:0");
    assert_int_equal(o->member_count, 1);
    assert_string_equal(o->members[0].name.text, "gate.east.ip");
    assert_false(o->members[0].has_key);
    assert_int_equal(o->members[0].at_count, 1);
    assert_string_equal(endpoint_format(&o->members[0].at[0].endpoint, text), "192.0.2.1:7400");
    assert_ptr_equal(config_overlay_find(c, "east.ip"), o);
    assert_null(config_overlay_find(c, "west.ip"));
    config_free(c);
}

static void a_member_has_options(void **state)
{
    struct config *c = parse_behind("    members:\n"
                                    "      - {name: gate, options: {metric: loss, hops: none}}\n"
                                    "      - {name: web, at: 192.0.2.1:7400}\n");
    const struct config_member *m = c->overlays[0].members;
    assert_int_equal(m[0].at_count, 0);
    assert_int_equal(m[0].option_count, 2);
    assert_string_equal(m[0].options[0].key, "metric");
    assert_string_equal(m[0].options[0].value, "loss");
    assert_string_equal(m[0].options[1].key, "hops");
    assert_int_equal(m[1].option_count, 0);
    char *printed = config_print(c);
    struct config *again = parse_good(printed);
    assert_int_equal(again->overlays[0].members[0].option_count, 2);
    assert_string_equal(again->overlays[0].members[0].options[1].value, "none");
    free(printed);
    config_free(again);
    config_free(c);
    assert_refused_behind("    members:\n"
                          "      - {name: gate, options: loss}\n",
                          2, 31, "options");
}

static void defaults_are_filled_in(void **state)
{
    struct config *c = parse_good(GOOD);
    char text[ENDPOINT_TEXT];
    assert_string_equal(c->state.text, "/var/lib/ocala");
    assert_string_equal(c->runtime.text, "/run/ocala");
    assert_string_equal(c->control.text, "/run/ocala/control.sock");
    assert_int_equal(c->control.where.line, 0);
    assert_string_equal(c->group, "ocala");
    assert_string_equal(c->tun.name, "ocala0");
    assert_int_equal(c->tun.mtu, 1400);
    assert_int_equal(c->workers, 0);
    assert_int_equal(c->handles.ipv4.length, 15);
    assert_int_equal(c->handles.ipv6.ip.family, 0);
    assert_int_equal(c->handles.per_user, 4096);
    assert_int_equal(c->dns.mode, CONFIG_DNS_AUTO);
    assert_string_equal(endpoint_format(&c->dns.listen, text), "127.0.0.1:53");
    assert_int_equal(c->dns.upstream_count, 0);
    assert_null(c->dns.suffix);
    assert_int_equal(c->dns.ttl_s, 30);
    assert_int_equal(c->timers.rekey, HOUR);
    assert_int_equal(c->timers.keepalive, 25 * SECOND);
    assert_int_equal(c->forward_count, 0);
    config_free(c);
}

/* Every setting of the host and of an overlay. */
static const char full[] = "name: gate\n"
                           "key: keys/gate.pem\n"
                           "state: /s\n"
                           "runtime: run\n"
                           "group: net-admin\n"
                           "workers: 3\n"
                           "tun: {name: tap7, mtu: 9000}\n"
                           "timers: {rekey: 90s, probe: 250ms, quarantine: 1h}\n"
                           "handles:\n"
                           "  ipv4: 10.99.0.0/16\n"
                           "  ipv6: fd12:3456:789a::/48\n"
                           "  per_user: 10\n"
                           "dns:\n"
                           "  mode: none\n"
                           "  listen: 127.0.0.9\n"
                           "  upstream: [9.9.9.9, \"[2620:fe::fe]:5353\"]\n"
                           "  suffix: ov.example.org\n"
                           "  ttl: 5\n"
                           "overlays:\n"
                           "  - instance: west.ip\n"
                           "    secrets: [new, /old]\n"
                           "    key: west.pem\n"
                           "    name: w.gate\n"
                           "    listen: [0.0.0.0:7400, \"[::1]:0\"]\n"
                           "    options: {beacon: yes, port: 7}\n"
                           "    members:\n"
                           "      - name: beta\n"
                           "        at: [\"[2001:db8::2]:1\", host.example.org:65535]\n"
                           "        key: " KEY_A "\n";

static void every_setting_of_the_host_is_read(void **state)
{
    struct config *c = parse_good(full);
    char text[ENDPOINT_TEXT];
    assert_string_equal(c->key.text, "/etc/ocala/keys/gate.pem");
    assert_string_equal(c->state.text, "/s");
    assert_string_equal(c->runtime.text, "/etc/ocala/run");
    assert_string_equal(c->control.text, "/etc/ocala/run/control.sock");
    assert_string_equal(c->group, "net-admin");
    assert_int_equal(c->workers, 3);
    assert_string_equal(c->tun.name, "tap7");
    assert_int_equal(c->tun.mtu, 9000);
    assert_int_equal(c->timers.rekey, 90 * SECOND);
    assert_int_equal(c->timers.probe, 250 * MILLISECOND);
    assert_int_equal(c->timers.quarantine, HOUR);
    assert_int_equal(c->handles.ipv4.ip.bytes[1], 99);
    assert_int_equal(c->handles.ipv6.length, 48);
    assert_int_equal(c->handles.per_user, 10);
    assert_int_equal(c->dns.mode, CONFIG_DNS_NONE);
    assert_string_equal(endpoint_format(&c->dns.listen, text), "127.0.0.9:53");
    assert_int_equal(c->dns.upstream_count, 2);
    assert_string_equal(endpoint_format(&c->dns.upstream[1], text), "[2620:fe::fe]:5353");
    assert_string_equal(c->dns.suffix, "ov.example.org");
    assert_int_equal(c->dns.ttl_s, 5);
    config_free(c);
}

static void every_setting_of_an_overlay_is_read(void **state)
{
    struct config *c = parse_good(full);
    const struct config_overlay *o = &c->overlays[0];
    assert_int_equal(o->secret_count, 2);
    assert_string_equal(o->secrets[0].text, "/etc/ocala/new");
    assert_string_equal(o->secrets[1].text, "/old");
    assert_string_equal(o->key.text, "/etc/ocala/west.pem");
    assert_string_equal(o->self.text, "w.gate.west.ip");
    assert_int_equal(o->listen_count, 2);
    assert_int_equal(o->listen[0].port, 7400);
    assert_int_equal(o->listen[1].port, 0);
    assert_int_equal(o->listen_where.line, 24);
    assert_int_equal(o->option_count, 2);
    assert_string_equal(o->options[0].key, "beacon");
    assert_string_equal(o->options[0].value, "yes");
    assert_int_equal(o->options[1].where.column, 28);
    const struct config_member *m = &o->members[0];
    assert_int_equal(m->at_count, 2);
    assert_null(m->at[0].host);
    assert_string_equal(m->at[1].host, "host.example.org");
    assert_int_equal(m->at[1].endpoint.port, 65535);
    assert_true(m->has_key);
    assert_int_equal(m->key[0], 0xD7);
    config_free(c);
}

static void who_reaches_whom_is_read(void **state)
{
    struct config *c = parse_behind("  - instance: north.ron\n"
                                    "    trust: pin\n"
                                    "rules:\n"
                                    "  - {names: \"*.West.ip\", via: gate.east.ip}\n"
                                    "  - {names: \"*\", via: [gate.east.ip, far.west.ip]}\n"
                                    "believe:\n"
                                    "  - {gateway: gate.east.ip, instances: [west.ip, far.ip]}\n"
                                    "pins:\n"
                                    "  - {name: beta.west.ip, key: " KEY_A "}\n"
                                    "forward:\n"
                                    "  - {from: east.ip, to: north.ron}\n"
                                    "  - {from: \"*.lab.north.ron\", to: east.ip}\n"
                                    "policy:\n"
                                    "  - {peer: \"*.east.ip\", allow: [any, icmp, tcp/22, udp]}\n"
                                    "  - {peer: \"*\", allow: []}\n"
                                    "  - {peer: beta.west.ip, allow: tcp/8000-8100}\n");
    assert_int_equal(c->overlays[1].trust, CONFIG_TRUST_PIN);
    assert_int_equal(c->rule_count, 2);
    assert_string_equal(c->rules[0].names, "*.west.ip");
    assert_int_equal(c->rules[0].via_count, 1);
    assert_int_equal(c->rules[1].via_count, 2);
    assert_string_equal(c->rules[1].via[1].text, "far.west.ip");
    assert_string_equal(c->beliefs[0].gateway.text, "gate.east.ip");
    assert_int_equal(c->beliefs[0].instance_count, 2);
    assert_string_equal(c->beliefs[0].instances[1], "far.ip");
    assert_string_equal(c->pins[0].name.text, "beta.west.ip");
    assert_int_equal(c->forward_count, 2);
    assert_string_equal(c->forwards[0].from, "*.east.ip");
    assert_string_equal(c->forwards[0].to, "north.ron");
    assert_string_equal(c->forwards[1].from, "*.lab.north.ron");
    assert_int_equal(c->policy_count, 3);
    const struct config_service *s = c->policies[0].allow;
    assert_int_equal(c->policies[0].allow_count, 4);
    assert_int_equal(s[0].protocol, CONFIG_ANY);
    assert_int_equal(s[1].protocol, CONFIG_ICMP);
    assert_int_equal(s[2].protocol, CONFIG_TCP);
    assert_int_equal(s[2].low, 22);
    assert_int_equal(s[2].high, 22);
    assert_int_equal(s[3].low, 0);
    assert_int_equal(s[3].high, 65535);
    assert_int_equal(c->policies[1].allow_count, 0);
    assert_int_equal(c->policies[2].allow[0].high, 8100);
    config_free(c);
}

static void i3_server(void **state)
{
    struct config *c = parse_good(GOOD);
    assert_false(c->i3_server.on);
    config_free(c);
    c = parse_good(GOOD "i3_server: {listen: \"192.0.2.1:700\", ring: 9, triggers: 5}\n");
    assert_true(c->i3_server.on);
    assert_int_equal(c->i3_server.listen.port, 700);
    assert_int_equal(c->i3_server.ring.port, 9);
    assert_int_equal(c->i3_server.triggers, 5);
    assert_int_equal(c->i3_server.per_client, 10000);
    assert_int_equal(c->i3_server.also.ip.family, 0);
    config_free(c);
    c = parse_good(GOOD "i3_server: {listen: [\"[2001:db8::1]:700\", 192.0.2.1]}\n");
    /* No secret: servers speak IPv4. */
    assert_true(c->i3_server.listen.ip.family == 4 && c->i3_server.ring.ip.family == 4);
    assert_true(c->i3_server.also.ip.family == 6 && c->i3_server.also.port == 700);
    config_free(c);
    c = parse_good(GOOD "i3_server: {listen: [\"2001:db8::1\", 192.0.2.1], secret: x,"
                        " seeds: [\"2001:db8::2\", 192.0.2.2]}\n");
    assert_true(c->i3_server.listen.ip.family == 6 && c->i3_server.also.ip.family == 4);
    config_free(c);
    assert_refused_behind("i3_server: {listen: 0.0.0.0}\n", 1, 21, "one address of this machine");
    assert_refused_behind("i3_server: {listen: \"[2001:db8::1]\"}\n", 1, 21, "originals");
    assert_refused_behind("i3_server: {listen: []}\n", 1, 21, "at least one");
    assert_refused_behind("i3_server: {listen: [192.0.2.1, 192.0.2.2]}\n", 1, 33, "other family");
    assert_refused_behind("i3_server: {listen: \"fe80::1%2\", secret: x}\n", 1, 21, "told it");
    assert_refused_behind("i3_server: {listen: 192.0.2.1, seeds: [\"2001:db8::1\"]}\n", 1, 40,
                          "is IPv6, which servers speak");
    assert_refused_behind("i3_server: {secret: x, listen: 192.0.2.1, seeds: [\"2001:db8::1\"]}\n",
                          1, 51, "family");
    assert_refused_behind("i3_server: {listen: 192.0.2.1, id: AA}\n", 1, 36, "40 lower-case");
    assert_refused_behind("i3_server: {listen: 192.0.2.1, triggers: 0}\n", 1, 42, "1");
    assert_refused_behind("i3_server: {seeds: 192.0.2.1}\n", 1, 12, "listen");
    assert_refused_behind("i3_server: {listen: 192.0.2.1, seeds: [\"192.0.2.1:5610\"]}\n", 1, 40,
                          "port for the ring");
    assert_refused_behind("i3_server: {listen: 192.0.2.1, ring: 5610}\n", 1, 38, "one of its own");
    assert_refused_behind("i3_server: {listen: \"192.0.2.1:65535\"}\n", 1, 12, "no port behind");
}

static void text_that_is_not_yaml_is_refused(void **state)
{
    assert_refused("", 1, 1, "the file is empty");
    assert_refused("# only a comment\n", 1, 1, "the file is empty");
    assert_refused("name: a\noverlays:\n\t- x\n", 3, 1, "indent with spaces, not tabs");
    assert_refused("name: [a\nb: c\n", 2, 2, "not valid YAML");
    assert_refused("name: \"a\n", 2, 1, "not valid YAML");
    assert_refused("name: a\nb: \xff\n", 2, 4, "not valid UTF-8");
    assert_refused("name: a\n---\nname: b\n", 2, 1, "a second document");
    assert_refused("name: &x a\noverlays: *x\n", 1, 7, "anchors");
    assert_refused("name: a\noverlays: *x\n", 2, 11, "aliases");
    assert_refused("rules:\n  - names: *.west.ip\n", 2, 12, "needs quotes: \"*.west.ip\"");
    assert_refused("name: !!int 5\n", 1, 7, "tags");
    assert_refused("? [a]\n: b\n", 1, 3, "a key must be plain text");
    assert_refused("name: \"a\\tb\"\n", 1, 7, "control character");
    assert_refused("name: \"a\\0b\"\n", 1, 7, "control character");
    assert_refused("name: \"\\x9b31m\"\n", 1, 7, "control character");
    assert_refused("\"a\\eb\": 1\n", 1, 1, "control character");
    assert_refused("name: \"\\L\"\n", 1, 7, "control character");
    assert_refused("name: \"\\uFEFF\"\n", 1, 7, "control character");
    assert_refused("name: a\nname: b\n", 2, 1, "'name' is given twice: already in line 1");
    assert_refused("a: [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n", 1, 19, "nested more than 16 deep");
}

static void limits_of_the_text_hold(void **state)
{
    struct config_error error;
    size_t size = CONFIG_SIZE_MAX + 1;
    char *text = malloc(size);
    memset(text, '\n', size);
    assert_null(config_parse(text, size, FILE_NAME, types, &error));
    assert_string_equal(error.text, "larger than 1024 KiB");
    size_t at = 0;
    for (unsigned i = 0; i <= 256; i++)
        at += (size_t)sprintf(text + at, "k%u: 1\n", i);
    assert_null(config_parse(text, at, FILE_NAME, types, &error));
    assert_string_equal(error.text, "more than 256 keys in one place");
    assert_int_equal(error.where.line, 257);
    at = (size_t)sprintf(text, "a: [");
    for (unsigned i = 0; i < 70000; i++)
        at += (size_t)sprintf(text + at, "1,");
    assert_null(config_parse(text, at, FILE_NAME, types, &error));
    assert_string_equal(error.text, "more than 65536 values");
    free(text);
}

static void wrong_shapes_are_refused(void **state)
{
    assert_refused("- a\n", 1, 1, "must be a block of `key: value` lines, not a list");
    assert_refused("hello\n", 1, 1, "must be a block of `key: value` lines, not plain text");
    assert_refused("name: a\n", 1, 1, "the key 'overlays' is missing in this file");
    assert_refused("overlays: []\n", 1, 1, "the key 'name' is missing in this file");
    assert_refused("name: a\noverlays: []\n", 2, 11, "'overlays' is empty");
    assert_refused("name: a\noverlays: east.ip\n", 2, 11, "'overlays' must be a list");
    assert_refused("name: a\noverlays:\n  - secret: x\n", 3, 5,
                   "the key 'instance' is missing in this item");
    assert_refused("name: [a]\noverlays: []\n", 1, 7, "'name' must be a plain text, not a list");
    assert_refused("name: {a: b}\n", 1, 7, "'name' must be a plain text, not a block");
    assert_refused("name: ''\noverlays: []\n", 1, 7, "'name' is an empty text");
    assert_refused_behind("rules:\n", 1, 1, "'rules' has no value");
    assert_refused_behind("dns:\n", 1, 1, "'dns' has no value");
    assert_refused_behind("dns: 5\n", 1, 6, "'dns' must be a block");
    assert_refused_behind("tun: {mtu: big}\n", 1, 12, "'mtu' must be a whole number, not 'big'");
    assert_refused_behind("tun: {mtu: -5}\n", 1, 12, "'mtu' must be a whole number");
    assert_refused_behind("tun: {mtu: 01400}\n", 1, 12, "'mtu' must be a whole number");
    assert_refused_behind("tun: {mtu: 99999999999}\n", 1, 12, "'mtu' must be a whole number");
    assert_refused_behind("tun: {mtu: [1]}\n", 1, 12, "'mtu' must be a whole number, not a list");
    assert_refused_behind("    options: [a]\n", 1, 14, "'options' must be a block");
    assert_refused_behind("    options: {a: [b]}\n", 1, 18, "'a' must be a plain text");
    assert_refused_behind("    listen: {a: b}\n", 1, 13, "a plain text or a list of them");
    assert_refused_behind("    listen: [[a]]\n", 1, 14, "must be a plain text, not a list");
    assert_refused_behind("rules: [{names: a.b.c}]\n", 1, 9, "the key 'via' is missing");
}

static void unknown_keys_are_refused(void **state)
{
    assert_refused("nam: a\n", 1, 1, "unknown key 'nam'; did you mean 'name'? keys here: name, ");
    assert_refused_behind("    secrte: x\n", 1, 5, "did you mean 'secret'?");
    assert_refused_behind("    colour: red\n", 1, 5,
                          "unknown key 'colour'; keys here: instance, secret, secrets, trust, "
                          "key, name, listen, members, options");
    assert_refused_behind("    members:\n      - {name: b, addr: 1}\n", 2, 19,
                          "unknown key 'addr'; keys here: name, at, key");
    assert_refused_behind("timers: {rekye: 5s}\n", 1, 10, "did you mean 'rekey'?");
    assert_refused_behind("dns: {Mode: none}\n", 1, 7, "did you mean 'mode'?");
}

static void bad_overlays_are_refused(void **state)
{
#define A "name: a\noverlays:\n"
    assert_refused(A "  - instance: east\n", 3, 15, "two labels: instance.type");
    assert_refused(A "  - instance: a.b.ip\n", 3, 15, "two labels: instance.type");
    assert_refused(A "  - instance: via.ip\n", 3, 15, "reserved");
    assert_refused(A "  - instance: east.tor\n", 3, 15,
                   "unknown overlay type 'tor' in 'east.tor'; types here: ip, ron");
    assert_refused_behind("  - instance: east.ip\n    secret: s\n", 1, 15,
                          "overlay 'east.ip' is there already: see line 3");
    assert_refused(A "  - {instance: a.ip, trust: psk}\n", 3, 29,
                   "has trust psk but no secret; make one with `ocala key new --network FILE`");
    assert_refused_behind("    trust: ca\n", 1, 12, "'trust' must be psk or pin, not 'ca'");
    assert_refused_behind("    secrets: [a]\n", 1, 5, "'secret' and 'secrets' are both given");
    assert_refused(A "  - instance: a.ip\n    secrets: [a, b, c]\n", 4, 14,
                   "at most 2 are accepted side by side");
    assert_refused_behind("    listen: 7400\n", 1, 13, "'listen' must be ADDRESS:PORT");
    assert_refused_behind("    listen: [1.2.3.4:0, 1.2.3.4:0]\n", 1, 25, "twice");
    assert_refused_behind("    listen: 1.2.3.4:65536\n", 1, 13, "'listen' must be ADDRESS:PORT");
    assert_refused_behind("    name: a_b\n", 1, 11, "only letters, digits and hyphens");
    assert_refused("name: a..b\noverlays:\n  - {instance: a.ip}\n", 1, 7, "a label is empty");
    assert_refused("name: via\noverlays:\n  - {instance: a.ip}\n", 1, 7, "reserved");
}

static void bad_members_are_refused(void **state)
{
#define M "    members:\n"
    assert_refused_behind(M "      - {name: gate}\n", 2, 9,
                          "member 'gate.east.ip' says neither where it is");
    assert_refused_behind(M "      - {name: gate, at: 192.0.2.1}\n", 2, 26,
                          "'at' must be ADDRESS:PORT or HOST:PORT");
    assert_refused_behind(M "      - {name: gate, at: 192.0.2.300:1}\n", 2, 26, "'at' must be");
    assert_refused_behind(M "      - {name: gate, at: \"2001:db8::1:7400\"}\n", 2, 26,
                          "[2001:db8::1]:7400");
    assert_refused_behind(M "      - {name: gate, at: x.example.org:0}\n", 2, 26, "'at' must be");
    assert_refused_behind(M "      - {name: gate, at: x.example.org:99999}\n", 2, 26,
                          "'at' must be");
    assert_refused_behind(M "      - {name: gate, at: [1.2.3.4:1, \":5\"]}\n", 2, 38,
                          "'at' must be");
    assert_refused_behind(M "      - {name: gate, key: abc}\n", 2, 27,
                          "'key' must be a public key of 44 base64 characters");
    assert_refused_behind(
        M "      - {name: gate, key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=}\n", 2, 27,
        "'key' must be an Ed25519 public key");
    assert_refused_behind(M "      - {name: b, at: 1.2.3.4:1}\n"
                            "      - {name: B.east.ip, at: 1.2.3.4:2}\n",
                          3, 9, "'b.east.ip' is a member already: see line 6");
    assert_refused_behind(M "      - {name: alpha, at: 1.2.3.4:1}\n", 2, 9,
                          "this host's own name in 'east.ip'");
    assert_refused(A "  - instance: a.ip\n" M "      - {name: b, at: 1.2.3.4:1}\n", 5, 9,
                   "member 'b.a.ip' has no key, and overlay 'a.ip' has no secret");
    assert_refused_behind("    trust: pin\n" M "      - {name: b, at: 1.2.3.4:1}\n", 3, 9,
                          "trusts pinned keys only");
}

static void bad_references_are_refused(void **state)
{
    assert_refused_behind("rules: [{names: \"*.west.ip\", via: gate.north.ip}]\n", 1, 35,
                          "'via': this host is not in 'north.ip'; instances under 'overlays' are: "
                          "east.ip");
    assert_refused_behind("rules: [{names: west.ip, via: g.east.ip}]\n", 1, 17, "three labels");
    assert_refused_behind("rules: [{names: \"a*.b.c\", via: g.east.ip}]\n", 1, 17,
                          "'names': 'a*.b.c' is not possible");
    assert_refused_behind("rules: [{names: \"*.w.ip\", via: []}]\n", 1, 32, "1 to 14 gateways");
    assert_refused_behind("rules: [{names: \"*.w.ip\", via: alpha.east.ip}]\n", 1, 32,
                          "is this host itself");
    assert_refused_behind("rules: [{names: \"*.w.ip\", via: [g.east.ip, g.east.ip]}]\n", 1, 44,
                          "'via' meets 'g.east.ip' twice");
    assert_refused_behind("rules:\n"
                          "  - {names: \"*.w.ip\", via: g.east.ip}\n"
                          "  - {names: \"*.W.ip\", via: h.east.ip}\n",
                          3, 13, "a rule for '*.w.ip' already in line 6");
    assert_refused_behind("believe: [{gateway: g.west.ip, instances: [x.ip]}]\n", 1, 21,
                          "this host is not in 'west.ip'");
    assert_refused_behind("believe: [{gateway: g.east.ip, instances: [east.ip]}]\n", 1, 44,
                          "this host is in 'east.ip' itself");
    assert_refused_behind("believe: [{gateway: g.east.ip, instances: []}]\n", 1, 43, "is empty");
    assert_refused_behind("believe: [{gateway: alpha.east.ip, instances: [x.ip]}]\n", 1, 21,
                          "is this host itself");
    assert_refused_behind("believe:\n"
                          "  - {gateway: g.east.ip, instances: a.ip}\n"
                          "  - {gateway: g.east.ip, instances: b.ip}\n",
                          3, 15, "'g.east.ip' is there already: see line 6");
    assert_refused_behind("forward: [{from: west.ip, to: east.ip}]\n", 1, 18,
                          "'from': no instance of this host fits 'west.ip'");
    assert_refused_behind("forward: [{from: east.ip, to: west.ip}]\n", 1, 31,
                          "'to': this host is not in 'west.ip'");
    assert_refused_behind("forward: [{from: \"*.xeast.ip\", to: east.ip}]\n", 1, 18, "no instance");
}

static void bad_pins_are_refused(void **state)
{
    assert_refused_behind("pins: [{name: b.west.ip, key: " KEY_A "x}]\n", 1, 31, "44 base64");
    assert_refused_behind("pins: [{name: b, key: " KEY_A "}]\n", 1, 15, "three labels");
    assert_refused_behind("pins: [{name: alpha.east.ip, key: " KEY_A "}]\n", 1, 15, "itself");
    assert_refused_behind("pins:\n"
                          "  - {name: b.west.ip, key: " KEY_A "}\n"
                          "  - {name: b.west.ip, key: " KEY_A "}\n",
                          3, 12, "'b.west.ip' is pinned already: see line 6");
    assert_refused_behind(M "      - {name: b, key: " KEY_A "}\n"
                            "pins: [{name: b.east.ip, key: " KEY_B "}]\n",
                          3, 15, "'b.east.ip' has another key as a member: see line 6");
}

static void bad_policies_are_refused(void **state)
{
    assert_refused_behind("policy: [{peer: \"*.b.c\", allow: [tcp/x]}]\n", 1, 34,
                          "'allow' must be any, icmp, tcp, udp, or tcp/PORT");
    assert_refused_behind("policy: [{peer: \"*.b.c\", allow: [icmp/8]}]\n", 1, 34, "'allow'");
    assert_refused_behind("policy: [{peer: \"*.b.c\", allow: [sctp]}]\n", 1, 34, "'allow'");
    assert_refused_behind("policy: [{peer: \"*.b.c\", allow: [tcp/9-8]}]\n", 1, 34,
                          "the lower one first");
    assert_refused_behind("policy: [{peer: \"*.b.c\", allow: [tcp/65536]}]\n", 1, 34,
                          "ports from 0 to 65535");
    assert_refused_behind("policy:\n"
                          "  - {peer: \"*\", allow: any}\n"
                          "  - {peer: \"*\", allow: icmp}\n",
                          3, 12, "a policy for '*' already in line 6");
}

static void bad_host_settings_are_refused(void **state)
{
    assert_refused_behind("tun: {mtu: 1279}\n", 1, 12,
                          "'mtu' must be from 1280 to 65535, not 1279");
    assert_refused_behind("tun: {mtu: 65536}\n", 1, 12, "'mtu' must be from 1280 to 65535");
    assert_refused_behind("tun: {name: a/b}\n", 1, 13, "an interface name");
    assert_refused_behind("tun: {name: abcdefghijklmnop}\n", 1, 13, "1 to 15");
    assert_refused_behind("workers: 17\n", 1, 10, "'workers' must be auto, or a number from 1");
    assert_refused_behind("workers: 0\n", 1, 10, "'workers'");
    assert_refused_behind("workers: many\n", 1, 10, "'workers'");
    assert_refused_behind("timers: {rekey: 5}\n", 1, 17, "one of the units ms, s, m, h");
    assert_refused_behind("timers: {rekey: 5d}\n", 1, 17, "one of the units");
    assert_refused_behind("timers: {rekey: 1ms}\n", 1, 17, "'rekey' must be from 1s to 24h");
    assert_refused_behind("timers: {rekey: 25h}\n", 1, 17, "'rekey' must be from 1s to 24h");
    assert_refused_behind("timers: {rekey: 999999999h}\n", 1, 17, "from 1s to 24h");
    assert_refused_behind("dns: {mode: resolve}\n", 1, 13,
                          "'mode' must be auto or resolved or resolvconf or intercept or none, not "
                          "'resolve'");
    assert_refused_behind("dns: {listen: nowhere}\n", 1, 15, "'listen' must be an IP address");
    assert_refused_behind("dns: {upstream: [dns.example.org]}\n", 1, 18, "an IP address");
    assert_refused_behind("dns: {ttl: 0}\n", 1, 12, "'ttl' must be from 1 to 86400");
    assert_refused_behind("dns: {suffix: -a}\n", 1, 15, "hyphen");
    assert_refused_behind("handles: {ipv4: 10.0.0.0}\n", 1, 17, "an IPv4 prefix");
    assert_refused_behind("handles: {ipv4: \"fd00::/48\"}\n", 1, 17, "an IPv4 prefix");
    assert_refused_behind("handles: {ipv4: 10.0.0.1/8}\n", 1, 17, "bits set behind its length");
    assert_refused_behind("handles: {ipv4: 10.0.0.0/30}\n", 1, 17, "from /8 to /28");
    assert_refused_behind("handles: {ipv4: 127.0.0.0/8}\n", 1, 17, "not unicast");
    assert_refused_behind("handles: {ipv6: \"ff00::/8\"}\n", 1, 17, "not unicast");
    assert_refused_behind("handles: {per_user: 0}\n", 1, 21, "'per_user' must be from 1");
    assert_refused_behind("group: \"a b\"\n", 1, 8, "'group' must be the name of a group");
    assert_refused_behind(
        "runtime: /0123456789012345678901234567890123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789\n",
        1, 10, "longer than 107 characters");
}

static void errors_are_formatted_as_editors_read_them(void **state)
{
    struct config_error error;
    char out[640];
    assert_null(parse("nam: a\n", &error));
    assert_memory_equal(config_error_format(&error, out, sizeof out), FILE_NAME ":1:1: unknown key",
                        strlen(FILE_NAME ":1:1: unknown key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shortest_file_is_six_lines),
        cmocka_unit_test(a_member_has_options),
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(every_setting_of_the_host_is_read),
        cmocka_unit_test(every_setting_of_an_overlay_is_read),
        cmocka_unit_test(who_reaches_whom_is_read),
        cmocka_unit_test(i3_server),
        cmocka_unit_test(text_that_is_not_yaml_is_refused),
        cmocka_unit_test(limits_of_the_text_hold),
        cmocka_unit_test(wrong_shapes_are_refused),
        cmocka_unit_test(unknown_keys_are_refused),
        cmocka_unit_test(bad_overlays_are_refused),
        cmocka_unit_test(bad_members_are_refused),
        cmocka_unit_test(bad_references_are_refused),
        cmocka_unit_test(bad_pins_are_refused),
        cmocka_unit_test(bad_policies_are_refused),
        cmocka_unit_test(bad_host_settings_are_refused),
        cmocka_unit_test(errors_are_formatted_as_editors_read_them),
    };
    return cmocka_run_group_tests_name("config_config", tests, NULL, NULL);
}
