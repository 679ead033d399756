#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/sim_expect.h"
#include "sim/sim_host.h"
#include "sim/sim_script.h"

#define TWO                                                                                        \
    "network lan 10.1.0.0/24 delay 10ms\n"                                                         \
    "host alpha lan=10.1.0.1\n"                                                                    \
    "host beta lan=10.1.0.2\n"                                                                     \
    "overlay east.ip on lan alpha beta\n"

/* Loads and runs; the error, or "". */
static const char *outcome(const char *text, uint64_t seed, char hash[65])
{
    static char error[1024];
    struct sim *sim = calloc(1, sizeof *sim);
    sim_init(sim, seed);
    error[0] = 0;
    struct sim_script *s =
        sim_script_load(sim, text, strlen(text), "file.scn", error, sizeof error);
    if (s && sim_script_run(s, error, sizeof error))
        sim_expect_no_leak(sim, error, sizeof error);
    if (hash)
        sim_hash_text(&sim->world, hash);
    sim_script_free(s);
    sim_done(sim);
    free(sim);
    return error;
}

static void a_scenario_runs(void **state)
{
    (void)state;
    assert_string_equal(outcome(TWO "start all\n"
                                    "expect ping alpha beta.east.ip\n"
                                    "expect peer beta alpha alpha.east.ip\n",
                                1, NULL),
                        "");
}

static void same_seed_same_trace(void **state)
{
    static const char text[] = TWO "set lan loss 10% duplicate 5% reorder 5%\n"
                                   "start all\n"
                                   "stream alpha beta.east.ip 50k\n"
                                   "faults every 1s for 5s\n"
                                   "wait 5s\n"
                                   "expect calm\n"
                                   "expect stream alpha beta.east.ip within 100s\n";
    char first[65], again[65], other[65];
    (void)state;
    assert_string_equal(outcome(text, 7, first), "");
    assert_string_equal(outcome(text, 7, again), "");
    assert_string_equal(outcome(text, 8, other), "");
    assert_string_equal(first, again);
    assert_string_not_equal(first, other);
}

static void mistakes_are_told_with_their_line(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"frobnicate all\n", "file.scn:1: there is no 'frobnicate'"},
        {"# one\n\nnetwork lan\n", "file.scn:3: something is missing: network NEW REST"},
        {"network lan 10.1.0.0/24 colour red\n", "file.scn:1: 'colour' is no property"},
        {"network lan 10.1.0.0/24 loss 5\n", "file.scn:1: 'loss' must be a share"},
        {"network lan 10.1.0.0/24 loss\n", "file.scn:1: 'loss' has no value"},
        {"network lan west\n", "file.scn:1: 'west' is no prefix"},
        {"network lan 10.1.0.0/24\nnetwork lan 10.2.0.0/24\n", "file.scn:2: 'lan' is not free"},
        {"network lan 10.1.0.0/24\nhost a lan=10.2.0.1\n", "file.scn:2: 'lan=10.2.0.1' is not"},
        {TWO "overlay east on lan alpha\n", "file.scn:5: 'east' is no instance"},
        {TWO "overlay x.ip on lan gamma\n", "file.scn:5: 'gamma' is not a host"},
        {TWO "start gamma\n", "file.scn:5: 'gamma' is not a host, a list of hosts, or `all`"},
        {TWO "start alpha beta\n", "file.scn:5: 'beta' is too much here"},
        {TWO "ping alpha beta\n", "file.scn:5: 'beta' is not an overlay name or chain"},
        {TWO "ping alpha beta.east.ip every\n", "file.scn:5: 'every' needs a value"},
        {TWO "ping alpha beta.east.ip every 5\n", "file.scn:5: '5' is not a time"},
        {TWO "expect resolve all *.west.ip\n", "file.scn:5: '*.west.ip' is not the members"},
        {TWO "wait 1s\nhost gamma lan=10.1.0.3\n", "file.scn:6: 'host' must stand before"},
        {TWO "at soon start all\n", "file.scn:5: 'at' needs a time"},
        {TWO "say \"open\nstart all\n", "file.scn:5: a quote is not closed"},
        {TWO "expect log alpha \"never said\" in 1s\n", "file.scn:5: 'in' is too much here"},
        {TWO "chatter all *.east.ip each 1s for 1s\n", "file.scn:5: 'each' should be 'every'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *error = outcome(cases[i].text, 1, NULL);
        if (strncmp(error, cases[i].error, strlen(cases[i].error)))
            fail_msg("%s gives '%s'", cases[i].text, error);
    }
}

static void what_does_not_come_true_fails(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"start alpha\nexpect resolve alpha beta.east.ip within 1s\n",
         "file.scn:6: after 1s: expect resolve: did not come true within 1s; alpha to "
         "beta.east.ip"},
        {"start all\nexpect unknown alpha beta.east.ip\n", "beta.east.ip resolves"},
        {"start all\nexpect count alpha paths at-least 7 within 1s\n", "alpha: 0 paths"},
        {"start all\nexpect log alpha nothing within 10ms\n", "did not come true within 0.01s"},
        {"start all\nstart alpha\n", "file.scn:6: after 0s: start: alpha is running already"},
        {"start all\nexpect lost alpha beta.east.ip 0\n", "nothing of that kind was started"},
        {"wait 2s\nat 1s start all\n", "this time is over already"},
        {"start all\nset lan mtu 20\n", "'mtu' must be a number"},
        {"start all\ncut nowhere\n", "'nowhere' is neither a network"},
        {"start all\nmove alpha lan 10.2.0.1\n", "'10.2.0.1' is no address of lan"},
        {"start all\nfaults every 1s for 1s only flood\n", "there is no fault 'flood'"},
        {"yaml alpha colour: red\nstart all\n", "unknown key 'colour'"},
    };
    char text[1024];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s%s", TWO, cases[i].text);
        const char *error = outcome(text, 1, NULL);
        if (!strstr(error, cases[i].error))
            fail_msg("%s gives '%s'", cases[i].text, error);
    }
}

/* A world where something is wrong on purpose: the checks that run all the time must see it. */
static void a_wrong_handle_is_noticed(void **state)
{
    struct sim *sim = calloc(1, sizeof *sim);
    char error[512];
    static const char text[] = TWO "start all\nexpect ping alpha beta.east.ip\n";
    (void)state;
    sim_init(sim, 1);
    struct sim_script *s =
        sim_script_load(sim, text, strlen(text), "file.scn", error, sizeof error);
    assert_non_null(s);
    assert_true(sim_script_run(s, error, sizeof error));
    assert_true(sim->host[0]->answers && sim->host[0]->answers->ip[0].family == 4);
    sim->host[0]->answers->ip[0].bytes[3] ^= 1;
    sim_script_free(s);
    s = sim_script_load(sim, "expect resolve alpha beta.east.ip", 33, "more.scn", error,
                        sizeof error);
    assert_non_null(s);
    assert_false(sim_script_run(s, error, sizeof error));
    assert_non_null(strstr(error, "alpha: the handle of beta.east.ip was"));
    sim_script_free(s);
    sim_done(sim);
    free(sim);
}

static void words(void **state)
{
    char text[] = "a  \"b c\" d# # e", *word[8], open[] = "a \"b", many[] = "a b c";
    (void)state;
    assert_int_equal(sim_words(text, word, 8), 3);
    assert_string_equal(word[1], "b c");
    assert_string_equal(word[2], "d#");
    assert_int_equal(sim_words(open, word, 8), -1);
    assert_int_equal(sim_words(many, word, 2), -1);
    assert_true(sim_list_holds("a,h*,c", "h17"));
    assert_true(sim_list_holds("all", "x"));
    assert_false(sim_list_holds("a,b", "ab"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scenario_runs),
        cmocka_unit_test(same_seed_same_trace),
        cmocka_unit_test(mistakes_are_told_with_their_line),
        cmocka_unit_test(what_does_not_come_true_fails),
        cmocka_unit_test(a_wrong_handle_is_noticed),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests_name("sim_script", tests, NULL, NULL);
}
