#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tests/support/impair.h"

struct tally {
    unsigned sent, twice, late;
    instant first, last;
    uint32_t fate; /* hash of what came out, in order */
};

/* Sends `count` numbered frames of 1000 bytes, one every `gap`, and takes out what is due after
 * each. */
static struct tally run(struct impair_way *w, unsigned count, instant gap)
{
    struct tally t = {.first = -1, .fate = 1};
    unsigned expected = 0, previous = UINT32_MAX;
    for (unsigned i = 0; i < count || impair_way_deadline(w) != INSTANT_NEVER; i++) {
        instant now = (instant)i * gap;
        size_t size;
        const void *frame;
        if (i >= count && impair_way_deadline(w) > now)
            now = impair_way_deadline(w);
        while ((frame = impair_way_output(w, now, &size))) {
            unsigned number;
            memcpy(&number, frame, sizeof number);
            assert_int_equal(size, 1000);
            t.twice += number == previous;
            t.late += number < expected && number != previous;
            expected = number > expected ? number : expected;
            previous = number;
            t.first = t.first < 0 ? now : t.first;
            t.last = now;
            t.fate = t.fate * 31 + number;
            t.sent++;
        }
        if (i < count) {
            uint8_t bytes[1000] = {0};
            memcpy(bytes, &i, sizeof i);
            impair_way_input(w, now, bytes, sizeof bytes, false);
        }
    }
    return t;
}

static struct impair_way *way_with(uint64_t seed, const char *first, const char *second)
{
    struct impair_way *w = impair_way_new(seed);
    const char *error;
    assert_true(impair_command(impair_way_settings(w), first, &error));
    if (second)
        assert_true(impair_command(impair_way_settings(w), second, &error));
    return w;
}

static void nothing_set_changes_nothing(void **state)
{
    struct impair_way *w = impair_way_new(1);
    struct tally t = run(w, 1000, MILLISECOND);
    assert_int_equal(t.sent, 1000);
    assert_int_equal(t.twice + t.late, 0);
    impair_way_free(w);
}

static void loss_is_near_its_share(void **state)
{
    struct impair_way *w = way_with(7, "loss 0.1", NULL);
    struct tally t = run(w, 20000, MILLISECOND);
    assert_in_range(t.sent, 17700, 18300);
    assert_int_equal(impair_way_statistics(w)->lost, 20000 - t.sent);
    impair_way_free(w);
}

static void bursts_lose_the_stationary_share(void **state)
{
    /* enter / (enter + leave) = 0.01 / 0.11 */
    struct impair_way *w = way_with(3, "burst 0.01 0.1", NULL);
    struct tally t = run(w, 50000, MILLISECOND);
    assert_in_range(50000 - t.sent, 3600, 5500);
    impair_way_free(w);
}

static void delay_holds_and_jitter_keeps_order(void **state)
{
    struct impair_way *w = way_with(5, "delay 20", "jitter 5");
    struct tally t = run(w, 2000, MILLISECOND);
    assert_int_equal(t.sent, 2000);
    assert_int_equal(t.late, 0);
    assert_in_range(t.first, 15 * MILLISECOND, 26 * MILLISECOND);
    assert_in_range(t.last - 1999 * MILLISECOND, 15 * MILLISECOND, 26 * MILLISECOND);
    impair_way_free(w);
}

static void duplicates_and_reordering_are_near_their_shares(void **state)
{
    struct impair_way *w = way_with(5, "duplicate 0.2", NULL);
    struct tally t = run(w, 5000, MILLISECOND);
    assert_in_range(t.twice, 850, 1150);
    assert_int_equal(t.sent, 5000 + t.twice);
    impair_way_free(w);
    w = way_with(5, "reorder 0.1", NULL);
    t = run(w, 5000, MILLISECOND);
    assert_int_equal(t.sent, 5000);
    assert_in_range(t.late, 350, 650);
    impair_way_free(w);
}

static void rate_paces_and_the_queue_has_an_end(void **state)
{
    /* 8 Mbit/s: a frame of 1000 bytes takes 1 ms. */
    struct impair_way *w = way_with(1, "rate 8", "limit 10p");
    struct tally t = run(w, 1000, MILLISECOND / 2);
    assert_in_range(t.sent, 500, 520);
    assert_in_range(t.last, 500 * MILLISECOND, 520 * MILLISECOND);
    assert_int_equal(impair_way_statistics(w)->queue_full, 1000 - t.sent);
    impair_way_free(w);
    w = way_with(1, "rate 8", "limit 10000");
    assert_in_range(run(w, 1000, MILLISECOND / 2).sent, 500, 520);
    impair_way_free(w);
}

static void same_seed_same_fate(void **state)
{
    uint32_t fate[3];
    for (unsigned i = 0; i < 3; i++) {
        struct impair_way *w = way_with(i == 2 ? 10 : 9, "loss 0.3", "reorder 0.1");
        fate[i] = run(w, 500, MILLISECOND).fate;
        impair_way_free(w);
    }
    assert_int_equal(fate[0], fate[1]);
    assert_int_not_equal(fate[0], fate[2]);
}

static void the_cables_own_frames_are_not_lost(void **state)
{
    struct impair_way *w = way_with(1, "loss 1", "delay 1");
    size_t size;
    impair_way_input(w, 0, "x", 1, true);
    impair_way_input(w, 0, "y", 1, false);
    assert_int_equal(impair_way_deadline(w), MILLISECOND);
    assert_null(impair_way_output(w, MILLISECOND - 1, &size));
    assert_memory_equal(impair_way_output(w, MILLISECOND, &size), "x", 1);
    assert_null(impair_way_output(w, HOUR, &size));
    impair_way_free(w);
}

static void a_cut_cable_carries_nothing_until_healed(void **state)
{
    struct impair_way *w = way_with(1, "cut", NULL);
    const char *error;
    assert_int_equal(run(w, 10, MILLISECOND).sent, 0);
    assert_int_equal(impair_way_statistics(w)->cut, 10);
    assert_true(impair_command(impair_way_settings(w), "heal", &error));
    assert_int_equal(run(w, 10, MILLISECOND).sent, 10);
    impair_way_free(w);
}

static void bad_commands_are_refused(void **state)
{
    static const char *const bad[] = {
        "",         "loss",        "loss 1.5", "loss -1",      "loss 0.1x",
        "delay -1", "delay",       "limit 5q", "limit",        "burst 0.1",
        "rate x",   "burst 0.1 2", "loss nan", "unheard-of 1", "averyveryverylongword 1"};
    struct impair_settings s = {0}, clean = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *error = NULL;
        assert_false(impair_command(&s, bad[i], &error));
        assert_non_null(error);
        assert_memory_equal(&s, &clean, sizeof s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_set_changes_nothing),
        cmocka_unit_test(loss_is_near_its_share),
        cmocka_unit_test(bursts_lose_the_stationary_share),
        cmocka_unit_test(delay_holds_and_jitter_keeps_order),
        cmocka_unit_test(duplicates_and_reordering_are_near_their_shares),
        cmocka_unit_test(rate_paces_and_the_queue_has_an_end),
        cmocka_unit_test(same_seed_same_fate),
        cmocka_unit_test(the_cables_own_frames_are_not_lost),
        cmocka_unit_test(a_cut_cable_carries_nothing_until_healed),
        cmocka_unit_test(bad_commands_are_refused),
    };
    return cmocka_run_group_tests_name("support_impair", tests, NULL, NULL);
}
