#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sim/sim_expand.h"

struct lines {
    char text[512];
    unsigned count, most;
};

static bool add(void *context, const char *text)
{
    struct lines *l = context;
    if (l->count < 16) {
        strcat(l->text, text + strspn(text, " "));
        strcat(l->text, ";");
    }
    return ++l->count != l->most;
}

static const char *outcome(const char *text)
{
    static struct lines l;
    static char why[128];
    l = (struct lines){0};
    return sim_expand(text, add, &l, why, sizeof why) ? l.text : why;
}

static void loops(void **state)
{
    (void)state;
    assert_string_equal(outcome("wait 1s"), "wait 1s;");
    assert_string_equal(outcome(""), ";");
    assert_string_equal(outcome("for G in 1-3 host g{G} a=10.{G}.0.1"),
                        "host g1 a=10.1.0.1;host g2 a=10.2.0.1;host g3 a=10.3.0.1;");
    assert_string_equal(outcome("for W in a,bc start {W} {X}"), "start a {X};start bc {X};");
    assert_string_equal(outcome("for A in 1-2 for B in 1-2 except {A} cut h{A} from h{B}"),
                        "cut h1 from h2;cut h2 from h1;");
    assert_string_equal(outcome("for A in 1-2 stop h{A} ; start h{A}"),
                        "stop h1;start h1;stop h2;start h2;");
    assert_string_equal(outcome("for A in 3-2 start x"), "");
    assert_string_equal(outcome("forward g a b"), "forward g a b;");
}

static void mistakes(void **state)
{
    static const char *const bad[] = {"for",
                                      "for G",
                                      "for G on 1-3 x",
                                      "for G in",
                                      "for A_NAME_THAT_IS_TOO_LONG in 1 x",
                                      "for G in 1-2 except"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (strncmp(outcome(bad[i]), "a loop is", 9) && strncmp(outcome(bad[i]), "'except'", 8))
            fail_msg("%s gives '%s'", bad[i], outcome(bad[i]));
    assert_string_equal(outcome("for A in 1-1000 for B in 1-1000 x"),
                        "this makes more than 100000 lines");
}

static void it_stops_when_told(void **state)
{
    struct lines l = {.most = 2};
    char why[64];
    (void)state;
    assert_false(sim_expand("for A in 1-9 x", add, &l, why, sizeof why));
    assert_int_equal(l.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loops), cmocka_unit_test(mistakes),
                                       cmocka_unit_test(it_stops_when_told)};
    return cmocka_run_group_tests_name("sim_expand", tests, NULL, NULL);
}
