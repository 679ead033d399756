#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

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

#define CROWD                                                                                      \
    "network lan 10.1.0.0/24 delay 10ms\n"                                                         \
    "hosts h 6 on lan\n"                                                                           \
    "overlay east.ip on lan h*\n"                                                                  \
    "start all\n"                                                                                  \
    "expect resolve h1 *.east.ip\n"

/* Each piece of the language does what doc/simulator.md says. */
static void trouble_of_every_kind(void **state)
{
    static const struct {
        const char *text, *error; /* "": it holds */
    } cases[] = {
        {"cut h1,h2 from h3,h4\nexpect ping h1 h2.east.ip,h5.east.ip within 5s\n"
         "expect ping h1 h3.east.ip within 5s\n",
         "h1 to h3.east.ip"},
        {"cut h1,h2 from h3,h4\nheal h1 from h3\nexpect ping h1 h3.east.ip within 30s\n", ""},
        {"outage h1@lan,h2 for 5s\nexpect ping h1 h3.east.ip within 4s\n", "h1 to h3.east.ip"},
        {"outage h1@lan,h2 for 5s\nexpect calm within 6s\nexpect ping h1,h2 h3.east.ip\n", ""},
        {"outage h1 for 2s from h2 then 3s\nexpect calm within 1ms\n", ""},
        {"outage h1 for 2s from h9\n", "there are no two such machines"},
        {"set h1/h2 delay 300ms\nping h1 h2.east.ip,h3.east.ip count 3 every 100ms\n"
         "expect pings h1 *.east.ip lost 0%\nexpect sample rtt 20% at-most 30ms\n"
         "expect sample rtt 100% at-most 599ms\n",
         "it is 0.6s, of 6"},
        {"set h*/h* delay 20ms..30ms\nping h1 h2.east.ip count 3\nexpect pings h1 *.east.ip\n"
         "expect sample rtt mean at-most 60ms\n",
         ""},
        {"set h1/h2 delay 30ms..20ms\n", "must be two times"},
        {"swallow h2\nexpect ping h1 h2.east.ip within 5s\n", "h1 to h2.east.ip"},
        {"swallow h2\nswallow h2 no-more\nexpect ping h1 h2.east.ip within 5s\n", ""},
        {"churn h2 up 2s down 2s for 20s\nexpect calm within 30s\n"
         "expect ping h1 h2.east.ip within 30s\n",
         ""},
        {"crash-at h2 3 back 5s\nping h1 h2.east.ip count 5 every 500ms\n"
         "expect pings h1 h2.east.ip lost 20%\n",
         "were lost"},
        {"ping h1 h2.east.ip count 10 every 500ms\noutage h1 for 2s from h2\n"
         "expect pings h1 h2.east.ip stalled 1s\n",
         "h1 heard nothing of h2.east.ip for"},
        {"expect pings h1 h2.east.ip\n", "nothing of that kind was started"},
        {"measure\nwait 10s\nexpect rate all data at-most 0\n", ""},
        {"measure\nping h1 h2.east.ip count 100 every 10ms size 1000\nwait 1s\n"
         "expect rate h1 data at-most 100k\n",
         "h1 has sent"},
        {"expect rate h1 colour is 1\n", "'colour' is not measured"},
        {"expect sample stall mean at-most 1s\n", "there are none"},
        {"expect sample colour mean at-most 1s\n", "rtt, lookup, outage or stall"},
        {"for F in crash,stop,suspend,unplug,cut,loss,mess,move,delay,burst,blackout,partition "
         "faults every 500ms for 3s only {F} lasting 2s ; expect calm within 10s\n"
         "expect ping all *.east.ip within 60s\nexpect agree all within 300s\n",
         ""},
    };
    char text[1024];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s%s", CROWD, cases[i].text);
        const char *error = outcome(text, 1, NULL);
        if (*cases[i].error ? !strstr(error, cases[i].error) : *error)
            fail_msg("%s gives '%s'", cases[i].text, error);
    }
}

/* A fault that is skipped changes nothing about the others. */
static void faults_are_independent(void **state)
{
    static const char all[] = CROWD "faults every 1s for 5s only delay,mess lasting 500ms\n"
                                    "wait 8s\nexpect calm\n",
                      none[] = CROWD "faults every 1s for 5s only delay,mess lasting 500ms skip "
                                     "1,2,3,4,5,6,7,8,9,10\nwait 8s\nexpect calm\n",
                      without[] = CROWD "wait 8s\n";
    char hash[3][65];
    (void)state;
    assert_string_equal(outcome(all, 1, hash[0]), "");
    assert_string_equal(outcome(none, 1, hash[1]), "");
    assert_string_equal(outcome(without, 1, hash[2]), "");
    assert_string_not_equal(hash[0], hash[1]);
    assert_string_equal(hash[1], hash[2]);
}

static void options_and_known_members(void **state)
{
    struct sim *sim = calloc(1, sizeof *sim);
    char error[512];
    static const char text[] = CROWD "option h2 east.ip colour red\nknows h2 east.ip h1,h5\n";
    (void)state;
    sim_init(sim, 1);
    struct sim_script *s =
        sim_script_load(sim, text, strlen(text), "file.scn", error, sizeof error);
    assert_non_null(s);
    assert_true(sim_script_run(s, error, sizeof error));
    char *config = sim_config_text(sim_find(sim, "h2"));
    assert_non_null(strstr(config, "    options:\n      colour: red\n"));
    assert_non_null(strstr(config, "name: h1,"));
    assert_non_null(strstr(config, "name: h5,"));
    assert_null(strstr(config, "name: h3,"));
    free(config);
    sim_script_free(s);
    sim_done(sim);
    free(sim);
}

/* What was measured is whole JSON, and the summary has its lines. */
static void measures(void **state)
{
    struct sim *sim = calloc(1, sizeof *sim);
    char error[512];
    static const char text[] = CROWD "ping h1 h2.east.ip count 4 every 100ms\nwait 5s\n"
                                     "lookup h3 h4.east.ip\nwait 1s\n";
    (void)state;
    sim_init(sim, 1);
    struct sim_script *s =
        sim_script_load(sim, text, strlen(text), "file.scn", error, sizeof error);
    assert_non_null(s);
    assert_true(sim_script_run(s, error, sizeof error));
    char *json = sim_meter_json(sim), *summary = sim_meter_summary(sim);
    json_t *o = json_loads(json, 0, NULL);
    assert_non_null(o);
    json_t *flow = json_array_get(json_object_get(o, "flows"), 0);
    assert_int_equal(json_array_size(json_object_get(flow, "rtt")), 4);
    json_t *rtt = json_object_get(json_object_get(o, "samples"), "rtt");
    assert_int_equal(json_array_size(rtt), 4);
    assert_int_equal(json_integer_value(json_array_get(rtt, 0)), 20 * MILLISECOND);
    assert_int_equal(json_array_size(json_object_get(o, "hosts")), 6);
    assert_non_null(strstr(summary, "0.00 % lost"));
    assert_non_null(strstr(summary, "6 run; 6 started, 0 crashed"));
    json_decref(o);
    free(json);
    free(summary);
    sim_script_free(s);
    sim_done(sim);
    free(sim);
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
        cmocka_unit_test(trouble_of_every_kind),
        cmocka_unit_test(faults_are_independent),
        cmocka_unit_test(options_and_known_members),
        cmocka_unit_test(measures),
        cmocka_unit_test(a_wrong_handle_is_noticed),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests_name("sim_script", tests, NULL, NULL);
}
