#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sim/sim_world.h"

struct note {
    struct sim_event event; /* first */
    char name;
    char *log;
};

static void note_run(struct sim_event *e, struct sim_world *w)
{
    struct note *n = (struct note *)e;
    (void)w;
    n->log[strlen(n->log)] = n->name;
}

static void events_run_in_order(void **state)
{
    struct sim_world w;
    char log[16] = "";
    struct note n[5];
    static const instant due[] = {30, 10, 20, 10, 5};
    (void)state;
    sim_world_init(&w, 1);
    for (unsigned i = 0; i < 5; i++) {
        n[i] = (struct note){.event.run = note_run, .name = (char)('a' + i), .log = log};
        sim_event_set(&w, &n[i].event, w.now + due[i]);
    }
    sim_event_unset(&w, &n[2].event);
    sim_event_set(&w, &n[4].event, w.now + 40);
    sim_event_set(&w, &n[3].event, INSTANT_NEVER);
    sim_world_run_until(&w, w.now + 35);
    assert_string_equal(log, "ba");
    sim_world_run_until(&w, w.now + 35);
    assert_string_equal(log, "bae");
    sim_world_done(&w);
}

static void events_of_one_instant_keep_their_order(void **state)
{
    struct sim_world w;
    char log[80] = "";
    struct note n[64];
    (void)state;
    sim_world_init(&w, 1);
    for (unsigned i = 0; i < 64; i++) {
        n[i] = (struct note){.event.run = note_run, .name = (char)('0' + i), .log = log};
        sim_event_set(&w, &n[i].event, w.now + 7);
    }
    sim_world_run_until(&w, w.now + 7);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(log[i], '0' + i);
    sim_world_done(&w);
}

static void the_clock_stands_where_it_was_told(void **state)
{
    struct sim_world w;
    (void)state;
    sim_world_init(&w, 1);
    instant before = w.now;
    assert_false(sim_world_step(&w, before + SECOND));
    assert_int_equal(w.now, before + SECOND);
    sim_world_done(&w);
}

static void streams_depend_on_seed_and_purpose(void **state)
{
    struct sim_world w, other;
    struct seeded a, b, c, d;
    (void)state;
    sim_world_init(&w, 1);
    sim_world_init(&other, 2);
    sim_world_stream(&w, "host a", &a);
    sim_world_stream(&w, "host a", &b);
    sim_world_stream(&w, "host b", &c);
    sim_world_stream(&other, "host a", &d);
    uint64_t first = entropy_u64(&a.entropy);
    assert_int_equal(first, entropy_u64(&b.entropy));
    assert_int_not_equal(first, entropy_u64(&c.entropy));
    assert_int_not_equal(first, entropy_u64(&d.entropy));
    sim_world_done(&w);
    sim_world_done(&other);
}

static void keep_line(void *context, const char *line, size_t size)
{
    memcpy(context, line, size);
    ((char *)context)[size] = 0;
}

static void trace_lines_are_hashed(void **state)
{
    struct sim_world a, b;
    char line[512], hash[65], again[65];
    (void)state;
    sim_world_init(&a, 1);
    sim_world_init(&b, 1);
    a.sink = keep_line;
    a.sink_context = line;
    sim_trace(&a, "alpha", "send", "\"size\":%d", 7);
    assert_string_equal(line,
                        "{\"t\":1000000000,\"who\":\"alpha\",\"what\":\"send\",\"size\":7}\n");
    sim_trace(&b, "alpha", "send", "\"size\":%d", 7);
    assert_string_equal(sim_hash_text(&a, hash), sim_hash_text(&b, again));
    sim_trace_words(&a, "alpha", "log", "a \"quoted\" line\n");
    assert_string_equal(
        line, "{\"t\":1000000000,\"who\":\"alpha\",\"what\":\"log\",\"text\":\"a \\\"quoted\\\" "
              "line\\u000a\"}\n");
    assert_string_equal(sim_hash_text(&a, hash), sim_hash_text(&b, again));
    sim_trace(&b, "alpha", "send", "\"size\":%d", 8);
    assert_string_not_equal(sim_hash_text(&a, hash), sim_hash_text(&b, again));
    sim_world_done(&a);
    sim_world_done(&b);
}

static void the_first_failure_is_kept(void **state)
{
    struct sim_world w;
    char log[4] = "";
    struct note n = {.event.run = note_run, .name = 'a', .log = log};
    (void)state;
    sim_world_init(&w, 1);
    sim_event_set(&w, &n.event, w.now + 5);
    sim_fail(&w, "first of %d", 2);
    sim_fail(&w, "second");
    assert_string_equal(w.failure, "first of 2");
    sim_world_run_until(&w, w.now + 10);
    assert_string_equal(log, "");
    sim_world_done(&w);
}

static void times_are_readable(void **state)
{
    char text[SIM_TIME_TEXT];
    (void)state;
    assert_string_equal(sim_time_text(0, text), "0s");
    assert_string_equal(sim_time_text(1500 * MILLISECOND, text), "1.5s");
    assert_string_equal(sim_time_text(20 * MILLISECOND, text), "0.02s");
    assert_string_equal(sim_time_text(100 * SECOND, text), "100s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_run_in_order),
        cmocka_unit_test(events_of_one_instant_keep_their_order),
        cmocka_unit_test(the_clock_stands_where_it_was_told),
        cmocka_unit_test(streams_depend_on_seed_and_purpose),
        cmocka_unit_test(trace_lines_are_hashed),
        cmocka_unit_test(the_first_failure_is_kept),
        cmocka_unit_test(times_are_readable),
    };
    return cmocka_run_group_tests_name("sim_world", tests, NULL, NULL);
}
