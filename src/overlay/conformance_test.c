/* Every class that is built in, and the test-only `braid`, against the rules of the contract. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "overlay/overlay.h"
#include "tests/support/overlay_braid.h"
#include "tests/support/overlay_conformance.h"

static const char *const at_beta[] = {"192.0.2.2:7401"};
static const char *const at_gate[] = {"203.0.113.9:7400", "gate.example.org:7500"};
static const char *const at_name[] = {"name.example.org", "other.example.org:99"};
static const struct overlay_member members[] = {{.host = "beta", .at = at_beta, .at_count = 1},
                                                {.host = "gate", .at = at_gate, .at_count = 2},
                                                {.host = "name", .at = at_name, .at_count = 2},
                                                {.host = "silent"}};
static const char *const hosts[] = {"beta", "gate", "name", "silent", "nobody", "a.b"};

/* What a module cannot start without. */
static const struct overlay_option needed[] = {
    {"servers", "192.0.2.2:7401, 10.1.1.1:65535, server.example.org:5610"}, {"shortcut", "allow"}};

static bool has_option(const struct overlay_class *class, const char *key)
{
    for (const struct overlay_schema *s = class->schema; s->key; s++)
        if (!strcmp(s->key, key))
            return true;
    return false;
}

static struct overlay_settings settings_for(const struct overlay_class *class)
{
    bool servers = has_option(class, "servers");
    return (struct overlay_settings){.instance = "east.test",
                                     .host = "alpha",
                                     .options = servers ? needed : NULL,
                                     .option_count = servers ? 2 : 0,
                                     .members = members,
                                     .member_count = 4,
                                     .first_socket = 5,
                                     .keepalive = 20 * SECOND};
}

static void conform(const struct overlay_class *class)
{
    struct overlay_settings s = settings_for(class);
    for (uint64_t seed = 1; seed <= 60; seed++)
        overlay_conformance(class, &s, hosts, sizeof hosts / sizeof *hosts, seed, 400);
    s.member_count = 0;
    overlay_conformance(class, &s, hosts, sizeof hosts / sizeof *hosts, 1000, 400);
}

static void test_built_in(void **state)
{
    unsigned count;
    const struct overlay_class *const *classes = overlay_classes(&count);
    assert_true(count > 0);
    for (unsigned i = 0; i < count; i++)
        conform(classes[i]);
}

static void test_braid(void **state)
{
    conform(&overlay_braid_class);
}

static void test_names_are_unique(void **state)
{
    unsigned count;
    const struct overlay_class *const *classes = overlay_classes(&count);
    for (unsigned i = 0; i < count; i++) {
        assert_ptr_equal(overlay_class_find(classes[i]->name), classes[i]);
        assert_string_not_equal(classes[i]->name, overlay_braid_class.name);
    }
    assert_null(overlay_class_find("braid"));
    assert_null(overlay_class_find(""));
}

/* A class with one thing missing is refused with words, and no instance is made of it. */
static void test_faults(void **state)
{
    struct overlay_class bad[12];
    for (unsigned i = 0; i < 12; i++)
        bad[i] = overlay_braid_class;
    bad[0].abi++;
    bad[1].name = "two.labels";
    bad[2].promise = "";
    bad[3].size = sizeof(struct overlay) - 1;
    bad[4].sockets = 0;
    bad[5].sockets = 5;
    bad[6].headroom = RECIPE_BYTES + 1;
    bad[7].flags = 0;
    bad[8].schema = NULL;
    bad[9].answer = NULL;
    bad[10].advance = NULL;
    bad[11].name = "via";
    struct overlay_settings s = settings_for(&overlay_braid_class);
    assert_null(overlay_class_fault(&overlay_braid_class));
    for (unsigned i = 0; i < 12; i++) {
        const char *reason = NULL;
        assert_non_null(overlay_class_fault(&bad[i]));
        assert_null(overlay_new(&bad[i], &s, 0, &reason));
        assert_non_null(reason);
    }
    overlay_free(NULL);
}

/* An instance whose start fails is ended, and says why. */
static void test_failed_start(void **state)
{
    struct overlay_member many[BRAID_MEMBERS + 1];
    struct overlay_settings s = settings_for(&overlay_braid_class);
    const char *reason = NULL;
    for (unsigned i = 0; i <= BRAID_MEMBERS; i++)
        many[i] = members[0];
    s.members = many;
    s.member_count = BRAID_MEMBERS + 1;
    assert_null(overlay_new(&overlay_braid_class, &s, 0, &reason));
    assert_string_equal(reason, "too many members");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_in), cmocka_unit_test(test_braid),
        cmocka_unit_test(test_names_are_unique), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_failed_start)};
    return cmocka_run_group_tests_name("overlay_conformance", tests, NULL, NULL);
}
