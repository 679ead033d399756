/* i3_table_*: the longest match as a plain list finds it, multicast in order, limits, expiry. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "i3/i3_table.h"
#include "tests/support/seeded.h"

#define LIFE (30 * SECOND)

static struct seeded random_source;

static struct i3_table *table_new(unsigned most, unsigned per_client)
{
    seeded_init(&random_source, 1);
    return i3_table_new(most, per_client, LIFE, &random_source.entropy);
}

static struct i3_trigger trigger(unsigned group, unsigned rest, uint16_t port)
{
    struct i3_trigger t = {
        .prefix = 128,
        .target = {.type = I3_TO_IPV4, .at = {.ip = {4, {192, 0, 2, 1}}, .port = port}}};
    t.id.bytes[3] = (uint8_t)group;
    t.id.bytes[2] = (uint8_t)(group >> 8);
    t.id.bytes[1] = (uint8_t)(group >> 16);
    t.id.bytes[30] = (uint8_t)(rest >> 8);
    t.id.bytes[31] = (uint8_t)rest;
    return t;
}

static void refresh_and_expiry(void **state)
{
    struct i3_table *t = table_new(10, 0);
    struct i3_trigger a = trigger(1, 1, 1), b = trigger(2, 1, 2);
    assert_int_equal(i3_table_put(t, 0, &a, NULL, true), I3_KEPT_NEW);
    assert_int_equal(i3_table_put(t, SECOND, &b, NULL, true), I3_KEPT_NEW);
    assert_int_equal(i3_table_put(t, 2 * SECOND, &a, NULL, true), I3_KEPT_AGAIN);
    assert_int_equal(i3_table_count(t), 2);
    assert_true(i3_table_next(t) == LIFE + SECOND);
    assert_int_equal(i3_table_expire(t, LIFE, 100), 0);
    assert_int_equal(i3_table_expire(t, LIFE + SECOND, 100), 1);
    assert_null(i3_table_match(t, LIFE + SECOND, &b.id));
    assert_non_null(i3_table_match(t, LIFE + SECOND, &a.id));
    /* Nobody swept, and still it is over. */
    assert_null(i3_table_match(t, LIFE + 2 * SECOND, &a.id));
    assert_int_equal(i3_table_count(t), 0);
    i3_table_free(t);
}

static void multicast(void **state)
{
    struct i3_table *t = table_new(1000, 0);
    struct i3_trigger a = trigger(1, 1, 1);
    for (uint16_t port = 1; port <= I3_MULTICAST_MAX; port++) {
        a.target.at.port = port;
        assert_int_equal(i3_table_put(t, 0, &a, NULL, true), I3_KEPT_NEW);
    }
    a.target.at.port++;
    assert_int_equal(i3_table_put(t, 0, &a, NULL, true), I3_KEPT_NOT_FULL);
    /* The first and one in the middle go; the others stay in order. */
    for (uint16_t port = 1; port <= 11; port += 10) {
        a.target.at.port = port;
        i3_table_remove(t, i3_table_find(t, &a));
        assert_null(i3_table_find(t, &a));
    }
    uint16_t last = 0, count = 0;
    for (const struct i3_kept *k = i3_table_match(t, 0, &a.id); k; k = k->next, count++) {
        assert_true(k->target.at.port > last);
        last = k->target.at.port;
    }
    assert_int_equal(count, I3_MULTICAST_MAX - 2);
    i3_table_free(t);
}

static void targets_that_showed_nothing(void **state)
{
    struct i3_table *t = table_new(10, 0);
    struct i3_trigger a = trigger(1, 1, 1);
    assert_int_equal(i3_table_put(t, 0, &a, NULL, false), I3_KEPT_NEW);
    a.target.at.port = 2;
    assert_int_equal(i3_table_put(t, 0, &a, NULL, false), I3_KEPT_NOT_TARGET);
    assert_int_equal(i3_table_put(t, 0, &a, NULL, true), I3_KEPT_NEW);
    assert_true(i3_table_find(t, &a)->proven);
    /* Nor does it help to be first: the target itself says how it wants to be found. */
    a.target.at.port = 1;
    a.prefix = 192;
    assert_int_equal(i3_table_put(t, 0, &a, NULL, true), I3_KEPT_AGAIN);
    assert_int_equal(i3_table_find(t, &a)->prefix, 192);
    a.prefix = 256;
    assert_int_equal(i3_table_put(t, 0, &a, NULL, false), I3_KEPT_AGAIN);
    assert_int_equal(i3_table_find(t, &a)->prefix, 192);
    i3_table_free(t);
}

static void limits(void **state)
{
    struct i3_table *t = table_new(5, 3);
    struct ip_address one = {4, {10, 0, 0, 1}}, two = {4, {10, 0, 0, 2}};
    struct i3_trigger a;
    for (unsigned i = 0; i < 3; i++) {
        a = trigger(i, 0, 1);
        assert_int_equal(i3_table_put(t, 0, &a, &one, true), I3_KEPT_NEW);
    }
    struct i3_trigger b = trigger(7, 0, 1);
    assert_int_equal(i3_table_put(t, 0, &b, &one, true), I3_KEPT_NOT_CLIENT);
    assert_int_equal(i3_table_put(t, 0, &a, &one, true), I3_KEPT_AGAIN);
    assert_int_equal(i3_table_put(t, 0, &b, &two, true), I3_KEPT_NEW);
    i3_table_remove(t, i3_table_find(t, &a));
    assert_int_equal(i3_table_put(t, 0, &a, &one, true), I3_KEPT_NEW);
    b = trigger(8, 0, 1);
    assert_int_equal(i3_table_put(t, 0, &b, &two, true), I3_KEPT_NEW);
    b = trigger(9, 0, 1);
    assert_int_equal(i3_table_put(t, 0, &b, &two, true), I3_KEPT_NOT_FULL);
    i3_table_free(t);

    t = table_new(1000, 0);
    for (unsigned i = 0; i < I3_GROUP_MAX; i++) {
        a = trigger(1, (i * 7) % I3_GROUP_MAX, 1);
        assert_int_equal(i3_table_put(t, 0, &a, NULL, true), I3_KEPT_NEW);
    }
    a = trigger(1, I3_GROUP_MAX, 1);
    assert_int_equal(i3_table_put(t, 0, &a, NULL, true), I3_KEPT_NOT_FULL);
    assert_int_equal(i3_table_count(t), I3_GROUP_MAX);
    i3_table_free(t);
}

static void prefix_lengths(void **state)
{
    struct i3_table *t = table_new(10, 0);
    struct i3_trigger a = trigger(1, 0, 1);
    struct i3_id id = a.id;
    a.prefix = 224;
    i3_table_put(t, 0, &a, NULL, true);
    id.bytes[28] = 0x80; /* 224 bits in common */
    assert_non_null(i3_table_match(t, 0, &id));
    id.bytes[27] = 1; /* 223 */
    assert_null(i3_table_match(t, 0, &id));
    i3_table_free(t);

    t = table_new(10, 0);
    a.prefix = 0; /* less than there must be at least */
    i3_table_put(t, 0, &a, NULL, true);
    id = a.id;
    id.bytes[16] = 0x80;
    assert_non_null(i3_table_match(t, 0, &id)); /* 128 */
    id.bytes[15] = 1;
    assert_null(i3_table_match(t, 0, &id));
    i3_table_free(t);
}

/* Against a plain list: random puts, removals and matches in few, crowded groups. */
static void agrees_with_a_plain_list(void **state)
{
    enum { IDS = 300 };
    struct i3_table *t = table_new(100000, 0);
    static struct i3_trigger all[IDS];
    static bool there[IDS];
    unsigned hits = 0;
    for (unsigned i = 0; i < IDS; i++)
        all[i] = trigger(i % 5, entropy_below(&random_source.entropy, 65536), 9);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = entropy_below(&random_source.entropy, IDS);
        if (there[i]) {
            i3_table_remove(t, i3_table_find(t, &all[i]));
        } else if (!i3_table_find(t, &all[i])) {
            assert_int_equal(i3_table_put(t, 0, &all[i], NULL, true), I3_KEPT_NEW);
        } else {
            continue; /* two of the list are the same */
        }
        there[i] = !there[i];
        struct i3_trigger probe = trigger(entropy_below(&random_source.entropy, 6),
                                          entropy_below(&random_source.entropy, 65536), 9);
        unsigned best = 0;
        for (unsigned k = 0; k < IDS; k++)
            if (there[k] && i3_id_common(&all[k].id, &probe.id) > best)
                best = i3_id_common(&all[k].id, &probe.id);
        const struct i3_kept *found = i3_table_match(t, 0, &probe.id);
        assert_int_equal(found ? i3_id_common(&found->id, &probe.id) : 0, best >= 128 ? best : 0);
        hits += found != NULL;
    }
    assert_true(hits > 1000);
    i3_table_free(t);
}

static void many(void **state)
{
    enum { MANY = 100000 };
    struct i3_table *t = table_new(MANY, 0);
    unsigned walked = 0;
    for (unsigned i = 0; i < MANY; i++) {
        struct i3_trigger a = trigger(i, 0, 1);
        assert_int_equal(i3_table_put(t, (instant)i, &a, NULL, true), I3_KEPT_NEW);
    }
    for (unsigned i = 0; i < MANY; i += 7) {
        struct i3_trigger a = trigger(i, 5, 1);
        assert_non_null(i3_table_match(t, 0, &a.id));
    }
    i3_table_walk_begin(t);
    for (const struct i3_kept *k; (k = i3_table_walk(t)); walked++)
        if (walked % 3 == 0)
            i3_table_remove(t, k);
    assert_int_equal(walked, MANY);
    assert_int_equal(i3_table_count(t), MANY - (MANY + 2) / 3);
    while (i3_table_expire(t, 10 * LIFE, 1000))
        ;
    assert_int_equal(i3_table_count(t), 0);
    assert_true(i3_table_next(t) == INSTANT_NEVER);
    i3_table_free(t);
}

/* A simulated ring has thousands of tables with hardly a trigger. */
static void few_triggers_take_little(void **state)
{
    struct mallinfo2 before = mallinfo2();
    struct i3_table *t = table_new(100000, 0);
    struct i3_trigger a = trigger(1, 1, 1);
    struct ip_address client = {4, {192, 0, 2, 1}};
    assert_int_equal(i3_table_put(t, 0, &a, &client, true), I3_KEPT_NEW);
    struct mallinfo2 after = mallinfo2();
    /* 0: an allocator that does not tell */
    assert_in_range(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd, 0, 8192);
    i3_table_free(t);
}

static void stacks_are_copied(void **state)
{
    struct i3_table *t = table_new(10, 0);
    struct i3_id *stack = calloc(2, sizeof *stack);
    struct i3_trigger a = trigger(1, 1, 1);
    stack[0].bytes[0] = 1;
    a.target = (struct i3_address){.type = I3_TO_STACK, .depth = 2, .stack = stack};
    i3_table_put(t, 0, &a, NULL, true);
    const struct i3_kept *k = i3_table_find(t, &a);
    free(stack);
    assert_int_equal(k->target.stack[0].bytes[0], 1);
    i3_table_free(t);
}

static void rate_limit(void **state)
{
    struct i3_table *t = table_new(10, 0);
    struct i3_trigger a = trigger(1, 1, 1);
    a.flags = I3_TRIGGER_LIMITED;
    a.limit = (struct i3_bucket){.unit = 1, .depth = 3000, .rate = 1000};
    i3_table_put(t, 0, &a, NULL, true);
    const struct i3_kept *k = i3_table_find(t, &a);
    assert_true(i3_table_admits(k, 0, 1500));
    assert_true(i3_table_admits(k, 0, 1500));
    assert_false(i3_table_admits(k, 0, 1));
    assert_true(i3_table_admits(k, SECOND, 1000));
    assert_false(i3_table_admits(k, SECOND, 1000));
    assert_true(i3_table_admits(k, 100 * SECOND, 3000)); /* not more than it holds */
    assert_false(i3_table_admits(k, 100 * SECOND, 1));
    i3_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refresh_and_expiry),
        cmocka_unit_test(multicast),
        cmocka_unit_test(targets_that_showed_nothing),
        cmocka_unit_test(limits),
        cmocka_unit_test(prefix_lengths),
        cmocka_unit_test(agrees_with_a_plain_list),
        cmocka_unit_test(many),
        cmocka_unit_test(few_triggers_take_little),
        cmocka_unit_test(stacks_are_copied),
        cmocka_unit_test(rate_limit),
    };
    return cmocka_run_group_tests_name("i3_table", tests, NULL, NULL);
}
