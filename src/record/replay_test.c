#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "record/record.h"

/* What record_open() does for a record that authenticates. */
static bool see(struct replay *w, uint64_t counter)
{
    if (!replay_fresh(w, counter))
        return false;
    replay_mark(w, counter);
    return true;
}

static void each_counter_once(void **state)
{
    struct replay w;
    replay_init(&w, true, 0);
    assert_false(w.used);
    for (uint64_t c = 0; c < 3 * REPLAY_WINDOW; c++) {
        assert_true(see(&w, c));
        assert_false(see(&w, c));
        assert_true(w.highest == c);
    }
    assert_false(see(&w, 0));
}

static void window_edges(void **state)
{
    struct replay w;
    replay_init(&w, true, 0);
    assert_true(see(&w, 100000));
    assert_true(see(&w, 100000 - REPLAY_WINDOW + 1));
    assert_false(see(&w, 100000 - REPLAY_WINDOW + 1));
    assert_false(see(&w, 100000 - REPLAY_WINDOW));
    assert_false(see(&w, 0));
    /* One step further the oldest falls out. */
    assert_true(see(&w, 100001));
    assert_false(see(&w, 100001 - REPLAY_WINDOW));
    assert_true(see(&w, 100001 - REPLAY_WINDOW + 2));
    assert_true(w.highest == 100001);
}

static void whole_window_backwards(void **state)
{
    /* Whatever the position of the highest counter in its word, all of the window can be used. */
    for (uint64_t top = 50000; top < 50000 + 64; top++) {
        struct replay w;
        replay_init(&w, true, 0);
        for (uint64_t i = 0; i < REPLAY_WINDOW; i++)
            assert_true(see(&w, top - i));
        for (uint64_t i = 0; i < REPLAY_WINDOW + 200; i++)
            assert_false(see(&w, top - i));
    }
}

static void jumps_clear_what_they_pass(void **state)
{
    static const uint64_t jumps[] = {1,
                                     63,
                                     64,
                                     65,
                                     REPLAY_WINDOW - 1,
                                     REPLAY_WINDOW,
                                     REPLAY_WINDOW + 1,
                                     REPLAY_WINDOW + 63,
                                     REPLAY_WINDOW + 64,
                                     REPLAY_WINDOW + 65,
                                     2 * REPLAY_WINDOW + 128,
                                     UINT64_C(1) << 40};
    for (unsigned i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        struct replay w;
        replay_init(&w, true, 0);
        for (uint64_t c = 0; c < 2 * REPLAY_WINDOW; c++)
            assert_true(see(&w, c));
        uint64_t old = w.highest, top = old + jumps[i];
        assert_true(see(&w, top));
        for (uint64_t back = 0; back < REPLAY_WINDOW; back++) {
            uint64_t c = top - back;
            /* Old ones stay seen, new ones between are open, the highest is seen. */
            assert_int_equal(replay_fresh(&w, c), c > old && c != top);
        }
    }
}

static void parked_key_keeps_its_floor(void **state)
{
    static const uint64_t floors[] = {0, 1, 62, 63, 64, 65, 8191, 8192, 8193, 123456};
    for (unsigned i = 0; i < sizeof floors / sizeof *floors; i++) {
        uint64_t floor = floors[i];
        struct replay w;
        replay_init(&w, false, floor);
        assert_true(w.used);
        assert_true(w.highest == floor);
        for (uint64_t back = 0; back <= floor && back < 2 * REPLAY_WINDOW; back++)
            assert_false(see(&w, floor - back));
        assert_true(see(&w, floor + 70)); /* out of order after waking */
        for (uint64_t c = floor + 1; c < floor + 70; c++)
            assert_true(see(&w, c));
        for (uint64_t back = 0; back <= floor && back < 2 * REPLAY_WINDOW; back++)
            assert_false(see(&w, floor - back));
    }
}

static void end_of_the_counters(void **state)
{
    struct replay w;
    replay_init(&w, true, 0);
    assert_true(see(&w, UINT64_MAX - 1));
    assert_true(see(&w, UINT64_MAX));
    assert_false(see(&w, UINT64_MAX));
    assert_false(see(&w, 0));
    assert_true(see(&w, UINT64_MAX - REPLAY_WINDOW + 1));
    assert_false(see(&w, UINT64_MAX - REPLAY_WINDOW));

    replay_init(&w, false, UINT64_MAX);
    assert_false(see(&w, UINT64_MAX));
    assert_false(see(&w, 0));
}

static void mark_of_an_old_counter_changes_nothing(void **state)
{
    struct replay w, before;
    replay_init(&w, true, 0);
    see(&w, 100000);
    before = w;
    replay_mark(&w, 5);
    assert_memory_equal(&w, &before, sizeof w);
}

/* Against the plain definition: a set of everything seen, and a limit on the age. */
static void agrees_with_a_plain_model(void **state)
{
    enum { SPAN = 400000 };
    uint8_t *seen = calloc(1, SPAN);
    struct replay w;
    uint64_t highest = 0, seed = 1;
    bool any = false;
    assert_non_null(seen);
    replay_init(&w, true, 0);
    for (unsigned i = 0; i < 300000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t draw = seed >> 33;
        /* Mostly near the top, at times far back, rarely a leap. */
        uint64_t c = highest;
        if (draw % 10 < 6)
            c += draw / 16 % 4;
        else if (draw % 10 < 9)
            c -= c < 20000 ? 0 : draw / 16 % 10000;
        else if (draw % 1000 == 9)
            c += draw / 1024 % 12000;
        if (c >= SPAN)
            break;
        bool fresh = !any || c > highest || (highest - c < REPLAY_WINDOW && !seen[c]);
        assert_int_equal(see(&w, c), fresh);
        seen[c] = 1;
        highest = any && highest > c ? highest : c;
        any = true;
        assert_true(w.highest == highest);
    }
    assert_true(highest > 100000);
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_counter_once),
        cmocka_unit_test(window_edges),
        cmocka_unit_test(whole_window_backwards),
        cmocka_unit_test(jumps_clear_what_they_pass),
        cmocka_unit_test(parked_key_keeps_its_floor),
        cmocka_unit_test(end_of_the_counters),
        cmocka_unit_test(mark_of_an_old_counter_changes_nothing),
        cmocka_unit_test(agrees_with_a_plain_model),
    };
    return cmocka_run_group_tests_name("record_replay", tests, NULL, NULL);
}
