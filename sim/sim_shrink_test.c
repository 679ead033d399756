#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/sim_script.h"
#include "sim/sim_shrink.h"

#define SEED 3

/* Runs; the error, or "". */
static const char *outcome(const char *text)
{
    static char error[1024];
    struct sim *sim = calloc(1, sizeof *sim);
    sim_init(sim, SEED);
    error[0] = 0;
    struct sim_script *s =
        sim_script_load(sim, text, strlen(text), "file.scn", error, sizeof error);
    if (s)
        sim_script_run(s, error, sizeof error);
    sim_script_free(s);
    sim_done(sim);
    free(sim);
    return error;
}

static bool fails_the_same(void *context, const char *text)
{
    return sim_shrink_same(context, outcome(text));
}

/* An expectation that is broken on purpose: beta is stopped, among much that has nothing to do with
 * it. */
static const char crowd[] = "# many machines\n"
                            "network lan 10.1.0.0/24 delay 10ms jitter 2ms loss 1%\n"
                            "network other 10.2.0.0/24\n"
                            "host alpha lan=10.1.0.1\n"
                            "host beta lan=10.1.0.2\n"
                            "host gamma lan=10.1.0.3 other=10.2.0.3\n"
                            "host delta lan=10.1.0.4\n"
                            "overlay east.ip on lan alpha beta gamma delta\n"
                            "policy all * icmp, udp/5000\n"
                            "timers alpha,gamma rekey 10s\n"
                            "start all\n"
                            "chatter all *.east.ip every 200ms for 3s\n"
                            "faults every 500ms for 3s only loss,mess\n"
                            "stream gamma delta.east.ip 20k\n"
                            "wait 3s\n"
                            "expect calm within 60s\n"
                            "expect stream gamma delta.east.ip\n"
                            "stop beta,delta\n"
                            "expect ping gamma,alpha beta.east.ip within 2s\n";

static void what_has_nothing_to_do_with_it_goes(void **state)
{
    unsigned runs, lines = 0;
    char first[1024];
    (void)state;
    strcpy(first, outcome(crowd));
    if (!strstr(first, "expect ping: did not come true"))
        fail_msg("%s", first);
    char *small = sim_shrink(crowd, fails_the_same, first, &runs);
    assert_non_null(small);
    assert_true(sim_shrink_same(first, outcome(small)));
    for (const char *at = small; *at; at++)
        lines += *at == '\n';
    /* a network, two machines, their overlay, a start, what was expected */
    if (lines > 6 || strstr(small, "delta") || strstr(small, "faults"))
        fail_msg("%u lines after %u runs:\n%s", lines, runs, small);
    free(small);
}

/* Of all the faults at random only those that are to blame stay. */
static void innocent_faults_go(void **state)
{
    static const char text[] = "network lan 10.1.0.0/24\n"
                               "host alpha lan=10.1.0.1\n"
                               "host beta lan=10.1.0.2\n"
                               "overlay east.ip on lan alpha beta\n"
                               "start all\n"
                               "expect resolve alpha beta.east.ip\n"
                               "faults every 1s for 16s only cut,delay lasting 2s\n"
                               "ping alpha beta.east.ip count 80 every 200ms\n"
                               "expect pings alpha beta.east.ip stalled 900ms\n";
    unsigned runs, items = 0;
    char first[1024];
    (void)state;
    strcpy(first, outcome(text));
    assert_non_null(strstr(first, "alpha heard nothing of beta.east.ip"));
    char *small = sim_shrink(text, fails_the_same, first, &runs);
    assert_non_null(small);
    const char *faults = strstr(small, "faults");
    if (!faults)
        fail_msg("no faults are left:\n%s", small);
    /* either so few are left that none has to be skipped, or all but some are */
    for (const char *at = strstr(faults, "skip"); at && *at && *at != '\n'; at++)
        items += *at == ',' || *at == ' ';
    if (!items && !strstr(faults, "for 1s"))
        fail_msg("faults that are innocent are left:\n%s", small);
    free(small);
}

static void what_holds_is_not_shrunk(void **state)
{
    unsigned runs;
    (void)state;
    char never[] = "file.scn:1: after 1s: this never happens";
    assert_null(sim_shrink("wait 1s\n", fails_the_same, never, &runs));
    assert_int_equal(runs, 1);
}

static void same_failures(void **state)
{
    (void)state;
    assert_true(sim_shrink_same("a.scn:3: after 1.5s: expect ping: did not within 20s; a to b",
                                "a.scn:17: after 22s: expect ping: did not within 2s; c to d"));
    assert_false(sim_shrink_same("a.scn:3: after 1s: expect ping: did not within 20s",
                                 "a.scn:3: after 1s: expect resolve: did not within 20s"));
    assert_false(sim_shrink_same("a.scn:3: after 1s: x", "a.scn:3: there is no 'x'"));
    assert_false(sim_shrink_same("a.scn:3: after 1s: alpha: wrong", "a.scn:3: after 1s: alpha"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_nothing_to_do_with_it_goes),
        cmocka_unit_test(innocent_faults_go),
        cmocka_unit_test(what_holds_is_not_shrunk),
        cmocka_unit_test(same_failures),
    };
    return cmocka_run_group_tests_name("sim_shrink", tests, NULL, NULL);
}
