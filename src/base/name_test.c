#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/name.h"
#include "tests/support/seeded.h"

#define LABEL_63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123"

static struct overlay_name name_of(const char *text)
{
    struct overlay_name name;
    const char *reason = NULL;
    if (!overlay_name_parse(text, &name, &reason))
        fail_msg("%s: %s", text, reason);
    return name;
}

static void test_name(void **state)
{
    struct overlay_name name = name_of("Web.PlanetLab.I3.");
    char host[NAME_TEXT];
    assert_string_equal(name.text, "web.planetlab.i3");
    assert_string_equal(overlay_name_instance(&name), "planetlab.i3");
    assert_string_equal(overlay_name_type(&name), "i3");
    assert_string_equal(overlay_name_host(&name, host), "web");

    name = name_of("a.b-c.9.east.ip");
    assert_string_equal(overlay_name_instance(&name), "east.ip");
    assert_string_equal(overlay_name_host(&name, host), "a.b-c.9");

    struct overlay_name other = name_of("A.B-C.9.east.IP"), none = {0};
    assert_true(overlay_name_equal(&name, &other));
    assert_memory_equal(&name, &other, sizeof name);
    assert_false(overlay_name_equal(&name, &none));
    assert_string_equal(overlay_name_instance(&none), "");
    assert_string_equal(overlay_name_host(&none, host), "");
}

static void test_name_limits(void **state)
{
    struct overlay_name name;
    const char *reason = NULL;
    assert_true(overlay_name_parse(LABEL_63 ".east.ip", &name, &reason));
    assert_false(overlay_name_parse(LABEL_63 "4.east.ip", &name, &reason));
    assert_non_null(strstr(reason, "63"));
    /* 3 * 64 + 61 = 253 characters */
    char text[300];
    strcpy(text, LABEL_63 "." LABEL_63 "." LABEL_63 ".");
    memset(text + 192, 'x', 58);
    strcpy(text + 250, ".ip");
    assert_int_equal(strlen(text), 253);
    assert_true(overlay_name_parse(text, &name, &reason));
    assert_string_equal(name.text, text);
    strcpy(text + 253, ".");
    assert_true(overlay_name_parse(text, &name, &reason));
    strcpy(text + 250, "x.ip");
    assert_false(overlay_name_parse(text, &name, &reason));
    assert_non_null(strstr(reason, "253"));
}

static void test_name_refused(void **state)
{
    static const struct {
        const char *text, *reason;
    } rows[] = {
        {"", "empty"},
        {".", "empty"},
        {"..", "empty"},
        {"east.ip", "three"},
        {"ip", "three"},
        {".web.east.ip", "empty"},
        {"web..east.ip", "empty"},
        {"web.east.ip..", "empty"},
        {"-web.east.ip", "hyphen"},
        {"web-.east.ip", "hyphen"},
        {"we_b.east.ip", "letters"},
        {"we b.east.ip", "letters"},
        {"w\xc3\xa4.east.ip", "letters"},
        {"web.east.ip\n", "letters"},
        {"via.east.ip", "via"},
        {"x.via.ip", "via"},
        {"x.VIA.east.ip", "via"},
        {"x.east.via", "via"},
        {"*.east.ip", "letters"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct overlay_name name, before;
        const char *reason = NULL;
        memset(&name, 0x5A, sizeof name);
        before = name;
        assert_false(overlay_name_parse(rows[i].text, &name, &reason));
        assert_non_null(reason);
        if (!strstr(reason, rows[i].reason))
            fail_msg("'%s' was refused because %s", rows[i].text, reason);
        assert_memory_equal(&name, &before, sizeof name);
        assert_false(overlay_name_parse(rows[i].text, &name, NULL));
    }
}

static void test_chain(void **state)
{
    struct name_chain chain, same;
    const char *reason = NULL;
    char out[NAME_TEXT * 3];
    assert_true(name_chain_parse("X.lab.ron.via.g2.west.ip.Via.g1.east.ip.", &chain, &reason));
    assert_int_equal(chain.count, 3);
    assert_string_equal(chain.hop[0].text, "g1.east.ip");
    assert_string_equal(chain.hop[1].text, "g2.west.ip");
    assert_string_equal(chain.hop[2].text, "x.lab.ron");
    assert_string_equal(name_chain_format(&chain, out, sizeof out),
                        "x.lab.ron.via.g2.west.ip.via.g1.east.ip");
    assert_true(name_chain_parse(out, &same, &reason));
    assert_true(name_chain_equal(&chain, &same));
    assert_memory_equal(&chain, &same, sizeof chain);

    assert_true(name_chain_parse("web.east.ip", &same, &reason));
    assert_int_equal(same.count, 1);
    assert_string_equal(name_chain_format(&same, out, sizeof out), "web.east.ip");
    assert_false(name_chain_equal(&chain, &same));
    assert_string_equal(name_chain_format(&chain, out, 12), "x.lab.ron.v");
    assert_string_equal(name_chain_format(&(struct name_chain){0}, out, sizeof out), "");

    /* "via" is a whole label, not a part of one. */
    assert_true(name_chain_parse("viaduct.east.ip.via.trivia.east.ip", &same, &reason));
    assert_int_equal(same.count, 2);
    assert_string_equal(same.hop[0].text, "trivia.east.ip");
    assert_string_equal(same.hop[1].text, "viaduct.east.ip");
}

static void test_chain_refused(void **state)
{
    static const struct {
        const char *text, *reason;
    } rows[] = {
        {"", "missing"},
        {"via", "missing"},
        {"via.g.east.ip", "missing"},
        {"x.east.ip.via", "missing"},
        {"x.east.ip.via.", "missing"},
        {"x.east.ip.via.via.g.east.ip", "missing"},
        {"x.east.ip..via.g.east.ip", "empty"},
        {"x.east.ip.via..g.east.ip", "empty"},
        {"x.east.ip.via.east.ip", "three"},
        {"ip.via.g.east.ip", "three"},
        {"x.east.ip.via.g.east.ip.via.x.east.ip", "twice"},
        {"x.east.ip.via.X.east.ip", "twice"},
        {"x.east.ip.via.g_.east.ip", "letters"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct name_chain chain, before;
        const char *reason = NULL;
        memset(&chain, 0x5A, sizeof chain);
        before = chain;
        assert_false(name_chain_parse(rows[i].text, &chain, &reason));
        assert_non_null(reason);
        if (!strstr(reason, rows[i].reason))
            fail_msg("'%s' was refused because %s", rows[i].text, reason);
        assert_memory_equal(&chain, &before, sizeof chain);
    }
}

static void test_chain_length(void **state)
{
    char text[400] = "x0.a.b";
    struct name_chain chain;
    const char *reason = NULL;
    for (char i = 1; i < CHAIN_MAX; i++) {
        char hop[16] = ".via.x?.a.b";
        hop[6] = (char)('a' + i);
        strcat(text, hop);
    }
    assert_true(name_chain_parse(text, &chain, &reason));
    assert_int_equal(chain.count, CHAIN_MAX);
    strcat(text, ".via.y.a.b");
    assert_false(name_chain_parse(text, &chain, &reason));
    assert_non_null(strstr(reason, "15"));
}

static void test_patterns(void **state)
{
    struct overlay_name name = name_of("beta.west.ip"), deep = name_of("a.beta.west.ip"),
                        none = {0};
    assert_true(name_pattern_match("*", &name));
    assert_false(name_pattern_match("*", &none));
    assert_true(name_pattern_match("*.west.ip", &name));
    assert_true(name_pattern_match("*.WEST.ip.", &name));
    assert_true(name_pattern_match("*.ip", &name));
    assert_true(name_pattern_match("*.west.ip", &deep));
    assert_true(name_pattern_match("*.beta.west.ip", &deep));
    assert_false(name_pattern_match("*.beta.west.ip", &name));
    assert_false(name_pattern_match("*.est.ip", &name));
    assert_false(name_pattern_match("*.east.ip", &name));
    assert_true(name_pattern_match("Beta.west.ip", &name));
    assert_false(name_pattern_match("beta.west.ip", &deep));
    assert_false(name_pattern_match("beta.west.i", &name));
    assert_false(name_pattern_match("", &name));
    assert_false(name_pattern_match("", &none));

    static const char *const good[] = {"*",           "*.ip",         "*.west.ip",
                                       "*.a.west.ip", "beta.west.ip", "Beta.west.ip."};
    static const char *const bad[] = {"",        "*.",    "*.*",   "**",       "*beta.west.ip",
                                      "west.ip", "a.*.b", "*..ip", "*.via.ip", "*.a_b",
                                      "beta.*"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(name_pattern_valid(good[i], NULL));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *reason = NULL;
        assert_false(name_pattern_valid(bad[i], &reason));
        assert_non_null(reason);
    }
}

static void test_instances_and_labels(void **state)
{
    const char *reason = NULL;
    assert_true(instance_name_valid("east.ip", &reason));
    assert_true(instance_name_valid("planet-lab.i3", &reason));
    static const char *const bad[] = {"",         "ip",     "a.east.ip", "East.ip",
                                      "east.ip.", "via.ip", "east.via",  "e st.ip"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        reason = NULL;
        assert_false(instance_name_valid(bad[i], &reason));
        assert_non_null(reason);
    }
    assert_true(labels_valid("web", &reason));
    assert_true(labels_valid("Web.1-2", &reason));
    assert_false(labels_valid("", &reason));
    assert_false(labels_valid("a.via", &reason));
    assert_false(labels_valid("a.", &reason));
}

/* Random texts: never read outside, and what is accepted survives formatting. */
static void test_random(void **state)
{
    static const char *const pieces[] = {"a",        "b9", ".", ".", ".", ".via.",
                                         ".east.ip", "-",  "Z", "_", "*"};
    struct seeded s;
    unsigned accepted = 0;
    seeded_init(&s, 2);
    for (unsigned i = 0; i < 30000; i++) {
        char text[128] = "", out[512];
        for (unsigned count = entropy_below(&s.entropy, 12); count; count--)
            strcat(text, pieces[entropy_below(&s.entropy, sizeof pieces / sizeof *pieces)]);
        struct name_chain chain, back;
        if (name_chain_parse(text, &chain, NULL)) {
            accepted++;
            assert_true(name_chain_parse(name_chain_format(&chain, out, sizeof out), &back, NULL));
            assert_true(name_chain_equal(&chain, &back));
        }
        (void)name_pattern_valid(text, NULL);
        (void)instance_name_valid(text, NULL);
        (void)name_pattern_match(text, &(struct overlay_name){"abc.ab.a"});
    }
    assert_true(accepted > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name),          cmocka_unit_test(test_name_limits),
        cmocka_unit_test(test_name_refused),  cmocka_unit_test(test_chain),
        cmocka_unit_test(test_chain_refused), cmocka_unit_test(test_chain_length),
        cmocka_unit_test(test_patterns),      cmocka_unit_test(test_instances_and_labels),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests_name("base_name", tests, NULL, NULL);
}
