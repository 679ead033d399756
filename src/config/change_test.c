#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/change.h"

#define BASE                                                                                       \
    "name: a\n"                                                                                    \
    "overlays:\n"                                                                                  \
    "  - {instance: east.ip, secret: s, listen: '10.0.0.1:7400', members: [{name: b, at: "         \
    "'10.0.0.2:1'}]}\n"

static struct config *read_config(const char *text)
{
    static const char *const types[] = {"ip", "ron", NULL};
    struct config_error error;
    struct config *c = config_parse(text, strlen(text), "/etc/ocala/o.yaml", types, &error);
    if (!c)
        fail_msg("%u:%u: %s in:\n%s", error.where.line, error.where.column, error.text, text);
    return c;
}

static const char *join(const struct config_change_list *list, char *out, size_t size)
{
    out[0] = 0;
    for (unsigned i = 0; i < list->count; i++)
        snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? ", " : "", list->text[i]);
    return out;
}

static void each_option_is_live_or_named(void **state)
{
    static const struct {
        const char *text, *live, *restart;
    } rows[] = {
        {BASE, "", ""},
        {"# a comment, and another order\n" BASE "dns: {ttl: 30}\n", "", ""},
        {BASE "policy: [{peer: '*', allow: [icmp]}]\n", "policy", ""},
        {BASE "rules: [{names: '*.west.ip', via: [g.east.ip]}]\n"
              "believe: [{gateway: g.east.ip, instances: [west.ip]}]\n",
         "rules, believe", ""},
        {BASE "pins: [{name: x.west.ip, key: 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}]\n",
         "pins", ""},
        {BASE "forward: [{from: east.ip, to: east.ip}]\n", "forward", ""},
        {BASE "timers: {rekey: 2m, probe: 2s}\n", "timers.rekey, timers.probe", ""},
        {BASE "dns: {ttl: 5, suffix: ov.example.org, mode: none}\n", "dns.ttl, dns.suffix",
         "dns.mode"},
        {BASE "handles: {per_user: 7, ipv4: 10.9.0.0/16}\ntun: {mtu: 1300}\nworkers: 2\n"
              "group: staff\n",
         "handles.per_user", "handles.ipv4, tun.mtu, workers, group"},
        {BASE "timers: {rekey: 2m, old_keys: 20s, keepalive: 20s, probe: 2s, retry: 2s, give_up: "
              "9s, park: 2m, "
              "idle: 2m, raise: 2m, close: 20m, quarantine: 24h}\n",
         "timers.rekey, timers.old_keys, timers.keepalive, timers.probe, timers.retry, "
         "timers.give_up, "
         "timers.park, timers.idle, timers.raise, timers.close, timers.quarantine",
         ""},
        {BASE
         "state: x\nruntime: y\ncontrol: z\ndns: {listen: '127.0.0.2:53', upstream: '192.0.2.1'}\n"
         "handles: {ipv6: 'fd00:1::/48'}\ntun: {name: o1}\n",
         "", "dns.listen, dns.upstream, handles.ipv6, tun.name, state, runtime, control"},
        {"name: b\n"
         "overlays:\n"
         "  - {instance: east.ip, trust: psk, secrets: [t], listen: ['10.0.0.1:7400', "
         "'10.0.0.1:7401'],\n"
         "     options: {mtu: 1400}}\n",
         "east.ip members, east.ip options", "name, east.ip name, east.ip listen"},
        {"name: a\noverlays:\n  - {instance: west.ip, secret: s}\n", "",
         "overlays: east.ip leaves, overlays: west.ip comes"},
    };
    char live[512], restart[512];
    struct config_changes *changes = malloc(sizeof *changes);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config *old = read_config(BASE), *next = read_config(rows[i].text);
        config_compare(old, next, changes);
        assert_string_equal(join(&changes->live, live, sizeof live), rows[i].live);
        assert_string_equal(join(&changes->restart, restart, sizeof restart), rows[i].restart);
        /* Whatever is named, what is carried runs: comparing again finds nothing to restart. */
        int from[4];
        config_free(old);
        old = read_config(BASE);
        config_carry(old, next, from);
        config_free(old);
        old = read_config(BASE);
        config_compare(old, next, changes);
        assert_string_equal(join(&changes->restart, restart, sizeof restart), "");
        assert_string_equal(join(&changes->live, live, sizeof live), rows[i].live);
        config_free(old);
        config_free(next);
    }
    free(changes);
}

static void overlays_keep_their_places(void **state)
{
    struct config *old = read_config("name: a\n"
                                     "overlays:\n"
                                     "  - {instance: one.ip, secret: s}\n"
                                     "  - {instance: two.ip, secret: s}\n"
                                     "  - {instance: three.ip, secret: s}\n");
    struct config *next = read_config("name: a\n"
                                      "overlays:\n"
                                      "  - {instance: four.ip, secret: s}\n"
                                      "  - {instance: three.ip, secret: t}\n"
                                      "  - {instance: one.ip, secret: t}\n");
    int from[3];
    config_carry(old, next, from);
    assert_int_equal(next->overlay_count, 3);
    assert_string_equal(next->overlays[0].instance, "one.ip");
    assert_string_equal(next->overlays[1].instance, "two.ip");
    assert_string_equal(next->overlays[2].instance, "three.ip");
    assert_string_equal(next->overlays[0].secrets[0].text, "/etc/ocala/t");
    assert_string_equal(next->overlays[1].secrets[0].text, "/etc/ocala/s");
    assert_string_equal(next->overlays[2].type, "ip");
    assert_int_equal(from[0], 2);
    assert_int_equal(from[1], -1);
    assert_int_equal(from[2], 1);
    config_free(old);
    config_free(next);
}

static void members_go_back(void **state)
{
    struct config *old = read_config(BASE),
                  *next = read_config("name: a\noverlays: [{instance: east.ip, secret: s}]\n");
    config_carry_members(&old->overlays[0], &next->overlays[0]);
    assert_int_equal(next->overlays[0].member_count, 1);
    assert_int_equal(old->overlays[0].member_count, 0);
    config_free(old);
    config_free(next);
}

static void long_lists_end_with_dots(void **state)
{
    struct config_change_list *list = calloc(1, sizeof *list);
    for (unsigned i = 0; i < CONFIG_CHANGES_MAX + 5; i++)
        config_change_add(list, "%u", i);
    assert_int_equal(list->count, CONFIG_CHANGES_MAX);
    assert_string_equal(list->text[CONFIG_CHANGES_MAX - 1], "...");
    assert_true(config_change_has(list, "7"));
    assert_true(config_change_remove(list, "7"));
    assert_false(config_change_remove(list, "7"));
    assert_string_equal(list->text[7], "8");
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_option_is_live_or_named),
        cmocka_unit_test(overlays_keep_their_places),
        cmocka_unit_test(members_go_back),
        cmocka_unit_test(long_lists_end_with_dots),
    };
    return cmocka_run_group_tests_name("config_change", tests, NULL, NULL);
}
