#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "overlay/ip/ip_members.h"
#include "overlay/overlay.h"
#include "tests/support/seeded.h"

#define MEMBER(name, ...)                                                                          \
    {                                                                                              \
        .host = name, .at = (const char *const[]){__VA_ARGS__},                                    \
        .at_count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)                    \
    }

static const struct overlay_member members[] = {
    MEMBER("beta", "192.0.2.2:7401"),
    MEMBER("gate", "gate.example.org:7500"),
    MEMBER("six", "[2001:db8::6]"),
    MEMBER("many", "192.0.2.10", "many.example.org", "[2001:db8::10]:99"),
    {.host = "silent"},
};

static struct seeded randomness;

static struct overlay_settings standard(void)
{
    seeded_init(&randomness, 1);
    return (struct overlay_settings){.instance = "east.ip",
                                     .host = "alpha",
                                     .members = members,
                                     .member_count = sizeof members / sizeof *members,
                                     .first_socket = 3,
                                     .keepalive = 20 * SECOND,
                                     .entropy = &randomness.entropy};
}

static struct overlay *start(const struct overlay_settings *s)
{
    const char *reason = "";
    struct overlay *o = overlay_new(overlay_class_find("ip"), s, 0, &reason);
    assert_non_null(o);
    struct overlay_out out;
    assert_true(o->class->output(o, &out));
    assert_int_equal(out.kind, OVERLAY_PEEL);
    assert_int_equal(out.socket, 3);
    struct peel_table plain;
    peel_plain(&plain);
    assert_int_equal(out.peel->count, plain.count);
    assert_int_equal(out.peel->peel[0].first_low, plain.peel[0].first_low);
    assert_false(o->class->output(o, &out));
    return o;
}

static struct endpoint endpoint(const char *text)
{
    struct endpoint e;
    assert_true(endpoint_parse(text, 0, &e));
    return e;
}

static struct arrival arrival(const char *remote, const char *local)
{
    struct arrival a = {.socket = 3, .remote = endpoint(remote)};
    if (local)
        a.local = endpoint(local);
    return a;
}

static void nothing(struct overlay *o)
{
    struct overlay_out out;
    assert_false(o->class->output(o, &out));
}

/* The next output is this one, and a way to `remote`. */
static struct recipe expect_recipe(struct overlay *o, enum overlay_out_kind kind, uint32_t tunnel,
                                   const char *remote)
{
    struct overlay_out out;
    char text[ENDPOINT_TEXT];
    assert_true(o->class->output(o, &out));
    assert_int_equal(out.kind, kind);
    assert_int_equal(out.tunnel, tunnel);
    assert_true(recipe_valid(out.recipe));
    assert_int_equal(out.recipe->count, 1);
    const struct recipe_step *send = recipe_target(out.recipe);
    assert_int_equal(send->send.socket, 3);
    assert_string_equal(endpoint_format(&send->send.remote, text), remote);
    assert_true(endpoint_equal(&out.recipe->from, &send->send.remote));
    /* Somebody whom we know from what came in only may be behind a NAT. */
    assert_int_equal(out.recipe->ports_free, !send->send.local.ip.family);
    assert_true(out.recipe->from_any_port);
    assert_int_equal(out.recipe->overhead, 0);
    return *out.recipe;
}

static uint32_t expect_lookup(struct overlay *o, uint32_t tunnel, const char *name)
{
    struct overlay_out out;
    assert_true(o->class->output(o, &out));
    assert_int_equal(out.kind, OVERLAY_LOOKUP);
    assert_int_equal(out.tunnel, tunnel);
    assert_string_equal(out.name, name);
    assert_int_not_equal(out.lookup, 0);
    return out.lookup;
}

static void expect_failed(struct overlay *o, uint32_t tunnel, bool unknown, const char *part)
{
    struct overlay_out out;
    assert_true(o->class->output(o, &out));
    assert_int_equal(out.kind, OVERLAY_TUNNEL_FAILED);
    assert_int_equal(out.tunnel, tunnel);
    assert_int_equal(out.unknown_host, unknown);
    if (!strstr(out.reason, part))
        fail_msg("'%s' is not in '%s'", part, out.reason);
    nothing(o);
}

static void answer_lookup(struct overlay *o, instant now, uint32_t lookup, const char *one,
                          const char *two)
{
    struct ip_address addresses[2];
    unsigned count = 0;
    if (one)
        assert_true(ip_address_parse(one, &addresses[count++]));
    if (two)
        assert_true(ip_address_parse(two, &addresses[count++]));
    o->class->resolved(o, now, lookup, addresses, count, false, NULL);
}

static void test_literal(void **state)
{
    struct overlay_settings s = standard();
    struct overlay *o = start(&s);
    o->class->tunnel_open(o, 0, 7, "beta");
    struct recipe r = expect_recipe(o, OVERLAY_TUNNEL_UP, 7, "192.0.2.2:7401");
    assert_int_equal(r.mtu, 1500 - 28);
    assert_int_equal(r.keepalive, 20 * SECOND);
    assert_int_equal(recipe_target(&r)->send.local.ip.family, 0);
    o->class->tunnel_open(o, 0, 8, "six");
    r = expect_recipe(o, OVERLAY_TUNNEL_UP, 8, "[2001:db8::6]:7400");
    assert_int_equal(r.mtu, 1500 - 48);
    nothing(o);
    assert_int_equal(o->class->deadline(o), INSTANT_NEVER);
    /* One place only: suspicion changes nothing, and says nothing. */
    o->class->tunnel_suspect(o, 0, 7);
    nothing(o);
    o->class->tunnel_close(o, 0, 7);
    o->class->tunnel_open(o, 0, 7, "beta");
    expect_recipe(o, OVERLAY_TUNNEL_UP, 7, "192.0.2.2:7401");
    overlay_free(o);
}

static void test_unknown_host(void **state)
{
    struct overlay_settings s = standard();
    struct overlay *o = start(&s);
    o->class->tunnel_open(o, 0, 1, "nobody");
    expect_failed(
        o, 1, true,
        "no member 'nobody' in the config of east.ip: add `- name: nobody, at: HOST:PORT` "
        "under members");
    o->class->tunnel_open(o, 0, 2, "silent");
    expect_failed(o, 2, false, "has no `at` in the config and has not dialled in");
    assert_true(o->class->knows(o, "silent"));
    assert_false(o->class->knows(o, "nobody"));
    overlay_free(o);
}

static void test_name(void **state)
{
    struct overlay_settings s = standard();
    struct overlay *o = start(&s);
    o->class->tunnel_open(o, 0, 1, "gate");
    uint32_t lookup = expect_lookup(o, 1, "gate.example.org");
    nothing(o);
    answer_lookup(o, 0, lookup + 100, "203.0.113.1", NULL); /* nobody asked */
    nothing(o);
    answer_lookup(o, 0, lookup, "203.0.113.1", "2001:db8::1");
    expect_recipe(o, OVERLAY_TUNNEL_UP, 1, "203.0.113.1:7500");
    answer_lookup(o, 0, lookup, "203.0.113.9", NULL); /* a second answer */
    nothing(o);
    /* Silence: the second address, then a fresh lookup, which goes on behind the address in use. */
    o->class->tunnel_suspect(o, 0, 1);
    struct recipe r = expect_recipe(o, OVERLAY_TUNNEL_RECIPE, 1, "[2001:db8::1]:7500");
    assert_int_equal(r.mtu, 1500 - 48);
    o->class->tunnel_suspect(o, 0, 1);
    lookup = expect_lookup(o, 1, "gate.example.org");
    o->class->tunnel_suspect(o, 0, 1); /* already asking */
    nothing(o);
    answer_lookup(o, 0, lookup, "2001:db8::1", "203.0.113.77");
    expect_recipe(o, OVERLAY_TUNNEL_RECIPE, 1, "203.0.113.77:7500");
    /* A failed lookup while the tunnel is up loses nothing. */
    o->class->tunnel_suspect(o, 0, 1);
    lookup = expect_lookup(o, 1, "gate.example.org");
    o->class->resolved(o, 0, lookup, NULL, 0, true, "no such name");
    nothing(o);
    assert_int_equal(o->class->deadline(o), INSTANT_NEVER);
    overlay_free(o);
}

static void test_name_retry(void **state)
{
    struct overlay_settings s = standard();
    struct overlay *o = start(&s);
    instant now = 0;
    o->class->tunnel_open(o, now, 1, "gate");
    for (unsigned round = 0; round < 3; round++) {
        uint32_t lookup = expect_lookup(o, 1, "gate.example.org");
        nothing(o);
        o->class->resolved(o, now, lookup, NULL, 0, false, "no server \n answered");
        if (round == 2)
            break;
        nothing(o);
        assert_int_equal(o->class->deadline(o), now + (SECOND << round));
        o->class->advance(o, now);
        nothing(o);
        now = o->class->deadline(o);
        o->class->advance(o, now);
        assert_int_equal(o->class->deadline(o), INSTANT_NEVER);
    }
    expect_failed(o, 1, false,
                  "gate.example.org, could not be looked up: no server \\x0a answered");
    o->class->tunnel_close(o, now, 1);
    /* A name that does not exist is not asked for again. */
    o->class->tunnel_open(o, now, 1, "gate");
    uint32_t lookup = expect_lookup(o, 1, "gate.example.org");
    o->class->resolved(o, now, lookup, NULL, 0, true, "NXDOMAIN");
    expect_failed(o, 1, false, "does not exist: NXDOMAIN; check `at` of this member of east.ip");
    overlay_free(o);
}

static void test_many_places(void **state)
{
    struct overlay_settings s = standard();
    struct overlay *o = start(&s);
    o->class->tunnel_open(o, 0, 1, "many");
    expect_recipe(o, OVERLAY_TUNNEL_UP, 1, "192.0.2.10:7400");
    o->class->tunnel_suspect(o, 0, 1);
    uint32_t lookup = expect_lookup(o, 1, "many.example.org");
    nothing(o);
    o->class->resolved(o, 0, lookup, NULL, 0, true, "NXDOMAIN");
    nothing(o);
    o->class->tunnel_suspect(o, 0, 1);
    expect_recipe(o, OVERLAY_TUNNEL_RECIPE, 1, "[2001:db8::10]:99");
    o->class->tunnel_suspect(o, 0, 1);
    expect_recipe(o, OVERLAY_TUNNEL_RECIPE, 1, "192.0.2.10:7400");
    nothing(o);
    overlay_free(o);
}

static void test_accept_and_move(void **state)
{
    struct overlay_settings s = standard();
    struct overlay *o = start(&s);
    struct arrival from = arrival("198.51.100.1:4000", "192.0.2.1:7400");
    assert_false(o->class->knows(o, "stranger"));
    o->class->tunnel_accept(o, 0, 5, "stranger", &from);
    struct recipe r = expect_recipe(o, OVERLAY_TUNNEL_UP, 5, "198.51.100.1:4000");
    assert_true(endpoint_equal(&recipe_target(&r)->send.local, &from.local));
    assert_true(o->class->knows(o, "stranger"));
    o->class->tunnel_moved(o, 0, 5, &from);
    nothing(o);
    struct arrival moved = arrival("198.51.100.2:4000", "192.0.2.1:7400");
    o->class->tunnel_moved(o, 0, 5, &moved);
    expect_recipe(o, OVERLAY_TUNNEL_RECIPE, 5, "198.51.100.2:4000");
    /* Nobody but the neighbour knows where it is; only our own address may be chosen anew. */
    o->class->tunnel_suspect(o, 0, 5);
    r = expect_recipe(o, OVERLAY_TUNNEL_RECIPE, 5, "198.51.100.2:4000");
    assert_int_equal(recipe_target(&r)->send.local.ip.family, 0);
    o->class->tunnel_suspect(o, 0, 5);
    nothing(o);

    /* A member that moved: silence leads back to what the configuration says. */
    o->class->tunnel_open(o, 0, 6, "beta");
    expect_recipe(o, OVERLAY_TUNNEL_UP, 6, "192.0.2.2:7401");
    o->class->tunnel_moved(o, 0, 6, &moved);
    expect_recipe(o, OVERLAY_TUNNEL_RECIPE, 6, "198.51.100.2:4000");
    o->class->tunnel_suspect(o, 0, 6);
    expect_recipe(o, OVERLAY_TUNNEL_RECIPE, 6, "192.0.2.2:7401");
    o->class->tunnel_accept(o, 0, 9, "many", &moved);
    expect_recipe(o, OVERLAY_TUNNEL_UP, 9, "198.51.100.2:4000");
    o->class->tunnel_suspect(o, 0, 9);
    expect_recipe(o, OVERLAY_TUNNEL_RECIPE, 9, "192.0.2.10:7400");
    nothing(o);
    overlay_free(o);
}

static void test_bad_arrivals(void **state)
{
    struct overlay_settings s = standard();
    struct overlay *o = start(&s);
    struct arrival bad[] = {{.socket = 3},
                            arrival("198.51.100.1:4000", "[2001:db8::1]:7400"),
                            arrival("198.51.100.1:4000", NULL)};
    bad[2].remote.port = 0;
    o->class->tunnel_open(o, 0, 1, "beta");
    expect_recipe(o, OVERLAY_TUNNEL_UP, 1, "192.0.2.2:7401");
    for (unsigned i = 0; i < 3; i++) {
        struct recipe r;
        assert_false(o->class->answer(o, &bad[i], &r));
        o->class->tunnel_moved(o, 0, 1, &bad[i]);
        nothing(o);
        o->class->tunnel_accept(o, 0, 10 + i, "x", &bad[i]);
        expect_failed(o, 10 + i, false, "without a UDP endpoint");
        o->class->tunnel_moved(o, 0, 10 + i, &bad[i]);
        o->class->tunnel_suspect(o, 0, 10 + i);
        nothing(o);
    }
    /* Numbers that nobody knows, and one that is taken. */
    struct arrival from = arrival("198.51.100.1:4000", NULL);
    o->class->tunnel_moved(o, 0, 99, &from);
    o->class->tunnel_suspect(o, 0, 99);
    o->class->tunnel_close(o, 0, 99);
    o->class->tunnel_open(o, 0, 1, "gate");
    o->class->tunnel_accept(o, 0, 1, "gate", &from);
    o->class->resolved(o, 0, 0, NULL, 0, true, NULL);
    nothing(o);
    overlay_free(o);
}

static void test_answer(void **state)
{
    struct overlay_settings s = standard();
    s.keepalive = 0;
    struct overlay *o = start(&s);
    struct arrival from = arrival("[2001:db8::5]:5", "[2001:db8::1]:7400");
    struct recipe r;
    assert_true(o->class->answer(o, &from, &r));
    assert_true(recipe_valid(&r));
    assert_true(endpoint_equal(&recipe_target(&r)->send.remote, &from.remote));
    assert_true(endpoint_equal(&recipe_target(&r)->send.local, &from.local));
    assert_int_equal(r.keepalive, 25 * SECOND);
    nothing(o);
    overlay_free(o);
}

static void test_close_takes_back(void **state)
{
    struct overlay_settings s = standard();
    struct overlay *o = start(&s);
    o->class->tunnel_open(o, 0, 1, "beta");
    o->class->tunnel_open(o, 0, 2, "gate");
    o->class->tunnel_open(o, 0, 3, "nobody");
    o->class->tunnel_open(o, 0, 4, "six");
    o->class->tunnel_close(o, 0, 2);
    o->class->tunnel_close(o, 0, 1);
    o->class->tunnel_close(o, 0, 3);
    expect_recipe(o, OVERLAY_TUNNEL_UP, 4, "[2001:db8::6]:7400");
    nothing(o);
    overlay_free(o); /* with tunnels open */
}

static void test_mtu_option(void **state)
{
    struct overlay_settings s = standard();
    struct overlay_option option = {"mtu", "9000"};
    s.options = &option;
    s.option_count = 1;
    struct overlay *o = start(&s);
    o->class->tunnel_open(o, 0, 1, "beta");
    assert_int_equal(expect_recipe(o, OVERLAY_TUNNEL_UP, 1, "192.0.2.2:7401").mtu, 9000 - 28);
    overlay_free(o);

    const struct overlay_class *c = overlay_class_find("ip");
    char text[256];
    static const char *const bad[] = {"", "1279", "65536", "100000", "1500 ", "-1500", "x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        option.value = bad[i];
        assert_non_null(overlay_options_fault(c, &option, 1, text, sizeof text));
        assert_non_null(strstr(text, "a number from 1280 to 65535"));
    }
    option.value = "1280";
    assert_null(overlay_options_fault(c, &option, 1, text, sizeof text));
    struct overlay_option unknown = {"mut", "1500"};
    assert_non_null(overlay_options_fault(c, &unknown, 1, text, sizeof text));
    assert_non_null(strstr(text, "no option 'mut'; known: mtu"));
    struct overlay_option twice[] = {{"mtu", "1500"}, {"mtu", "1500"}};
    assert_non_null(overlay_options_fault(c, twice, 2, text, sizeof text));
}

static void test_reload(void **state)
{
    struct overlay_settings s = standard();
    struct overlay *o = start(&s);
    const struct overlay_settings old = o->settings;
    const char *reason = NULL;
    struct arrival from = arrival("198.51.100.1:4000", NULL);
    o->class->tunnel_open(o, 0, 1, "beta");
    o->class->tunnel_open(o, 0, 2, "gate");
    o->class->tunnel_open(o, 0, 3, "six");
    o->class->tunnel_accept(o, 0, 4, "stranger", &from);
    struct overlay_out out;
    while (o->class->output(o, &out))
        ;
    const struct overlay_member later[] = {MEMBER("beta", "192.0.2.222"),
                                           MEMBER("six", "[2001:db8::6]")};
    o->settings.members = later;
    o->settings.member_count = 2;
    assert_int_equal(o->class->reload(o, 0, &old, &reason), 0);
    expect_recipe(o, OVERLAY_TUNNEL_RECIPE, 1, "192.0.2.222:7400");
    expect_failed(o, 2, false, "'gate' is no longer a member");
    assert_false(o->class->knows(o, "gate"));

    const struct overlay_member bad[] = {MEMBER("beta", "192.0.2.222:port")};
    struct overlay_settings before = o->settings;
    o->settings.members = bad;
    o->settings.member_count = 1;
    assert_int_equal(o->class->reload(o, 0, &before, &reason), -EINVAL);
    assert_non_null(reason);
    o->settings = before;
    nothing(o);
    o->class->tunnel_suspect(o, 0, 1); /* still the members before */
    nothing(o);

    /* Another keepalive: every way is told anew. */
    o->settings.keepalive = 5 * SECOND;
    assert_int_equal(o->class->reload(o, 0, &before, &reason), 0);
    unsigned count = 0;
    while (o->class->output(o, &out)) {
        assert_int_equal(out.kind, OVERLAY_TUNNEL_RECIPE);
        assert_int_equal(out.recipe->keepalive, 5 * SECOND);
        count++;
    }
    assert_int_equal(count, 3);
    overlay_free(o);
}

static void test_bad_members(void **state)
{
    static const char *const bad[] = {"",           ":7400",        "host:",      "host:0",
                                      "host:70000", "a b:1",        "1.2.3:7400", "1.2.3.4:0",
                                      "[::1",       "256.1.1.1:80", "host:7400 ", "-x.org:1",
                                      "a..b:1",     "1.2.3.4:5:6",  "x:+5",       "::1:7400:"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct overlay_place place;
        if (overlay_place_parse(bad[i], OVERLAY_PORT, &place))
            fail_msg("'%s' was taken", bad[i]);
        struct overlay_member m = {.host = "x", .at = &bad[i], .at_count = 1};
        struct overlay_settings s = standard();
        s.members = &m;
        s.member_count = 1;
        const char *reason = NULL;
        assert_null(overlay_new(overlay_class_find("ip"), &s, 0, &reason));
        assert_non_null(strstr(reason, "neither ADDRESS:PORT nor HOST:PORT"));
    }
    struct overlay_place place;
    assert_true(overlay_place_parse("host.example.org", OVERLAY_PORT, &place));
    assert_int_equal(place.endpoint.port, 7400);
    assert_string_equal(place.name, "host.example.org");
}

static void test_describe(void **state)
{
    struct overlay_settings s = standard();
    struct overlay *o = start(&s);
    char buffer[200];
    struct text t;
    o->class->tunnel_open(o, 0, 1, "beta");
    o->class->tunnel_open(o, 0, 2, "gate");
    o->class->tunnel_open(o, 0, 3, "nobody");
    text_begin(&t, buffer, sizeof buffer);
    o->class->describe(o, &t);
    assert_string_equal(buffer, "5 members in the config, 1 tunnel up, 1 looking for an address");
    static const char *const expected[] = {"no such tunnel", "udp to 192.0.2.2:7401",
                                           "looking up where gate is",
                                           "failed: no member 'nobody'"};
    for (uint32_t i = 0; i < 4; i++) {
        text_begin(&t, buffer, sizeof buffer);
        o->class->describe_tunnel(o, i, &t);
        assert_memory_equal(buffer, expected[i], strlen(expected[i]));
    }
    overlay_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literal),
        cmocka_unit_test(test_unknown_host),
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_name_retry),
        cmocka_unit_test(test_many_places),
        cmocka_unit_test(test_accept_and_move),
        cmocka_unit_test(test_bad_arrivals),
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_close_takes_back),
        cmocka_unit_test(test_mtu_option),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_bad_members),
        cmocka_unit_test(test_describe),
    };
    return cmocka_run_group_tests_name("overlay_ip", tests, NULL, NULL);
}
