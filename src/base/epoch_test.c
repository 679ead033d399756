#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/epoch.h"

static void count_release(void *object)
{
    ++*(unsigned *)object;
}

static void test_nobody_online(void **state)
{
    struct epoch *e = epoch_new(2);
    unsigned released = 0;
    epoch_retire(e, &released, count_release);
    assert_int_equal(released, 0);
    assert_int_equal(epoch_collect(e), 0);
    assert_int_equal(released, 1);
    epoch_free(e);
    epoch_free(NULL);
}

static void test_reader_holds_back(void **state)
{
    struct epoch *e = epoch_new(2);
    unsigned first = 0, second = 0;
    epoch_online(e, 0);
    epoch_online(e, 1);
    epoch_retire(e, &first, count_release);
    assert_int_equal(epoch_collect(e), 1);
    epoch_announce(e, 0);
    assert_int_equal(epoch_collect(e), 1);
    epoch_retire(e, &second, count_release);
    epoch_announce(e, 1); /* past both, while reader 0 is past the first only */
    assert_int_equal(epoch_collect(e), 1);
    assert_int_equal(first, 1);
    assert_int_equal(second, 0);
    epoch_offline(e, 0);
    assert_int_equal(epoch_collect(e), 0);
    assert_int_equal(second, 1);
    epoch_offline(e, 1);
    epoch_free(e);
}

static void test_online_late_holds_nothing_old(void **state)
{
    struct epoch *e = epoch_new(1);
    unsigned released = 0;
    epoch_retire(e, &released, count_release);
    epoch_online(e, 0);
    assert_int_equal(epoch_collect(e), 0);
    assert_int_equal(released, 1);
    epoch_offline(e, 0);
    epoch_free(e);
}

static void test_marks(void **state)
{
    struct epoch *e = epoch_new(2);
    uint64_t mark = epoch_mark(e);
    assert_true(epoch_passed(e, mark));
    epoch_online(e, 1);
    mark = epoch_mark(e);
    assert_false(epoch_passed(e, mark));
    epoch_announce(e, 1);
    assert_true(epoch_passed(e, mark));
    uint64_t later = epoch_mark(e);
    assert_true(later > mark);
    assert_false(epoch_passed(e, later));
    assert_true(epoch_passed(e, mark));
    epoch_offline(e, 1);
    assert_true(epoch_passed(e, later));
    epoch_free(e);
}

struct nested {
    struct epoch *epoch;
    unsigned *released;
    unsigned depth;
};

static void retire_another(void *object)
{
    struct nested *n = object;
    ++*n->released;
    if (n->depth--)
        epoch_retire(n->epoch, n, retire_another);
}

/* A release may retire more; freeing the epoch runs all of it. */
static void test_release_retires(void **state)
{
    struct epoch *e = epoch_new(1);
    unsigned released = 0;
    struct nested n = {e, &released, 3};
    epoch_retire(e, &n, retire_another);
    while (epoch_collect(e))
        ;
    assert_int_equal(released, 4);
    n.depth = 2;
    released = 0;
    epoch_retire(e, &n, retire_another);
    epoch_free(e);
    assert_int_equal(released, 3);
}

/* Real threads: readers follow a pointer that the writer replaces all the time; a released object
 * is spoilt and freed, so a reader that sees one fails here, under ASan and under TSan. */

#define READERS      3
#define REPLACEMENTS 20000

struct object {
    uint64_t value, same;
};

struct race {
    struct epoch *epoch;
    struct object *_Atomic current;
    atomic_bool stop;
    atomic_uint broken, rounds;
    atomic_uint next_reader;
};

static void spoil(void *object)
{
    struct object *o = object;
    o->value = 1;
    o->same = 2;
    free(o);
}

static void *read_all_the_time(void *argument)
{
    struct race *race = argument;
    unsigned reader = atomic_fetch_add(&race->next_reader, 1);
    unsigned batch = 0;
    uint64_t last = 0;
    epoch_online(race->epoch, reader);
    while (!atomic_load_explicit(&race->stop, memory_order_relaxed)) {
        struct object *held[4];
        for (unsigned i = 0; i < 4; i++) {
            held[i] = atomic_load_explicit(&race->current, memory_order_acquire);
            if (held[i]->value < last)
                atomic_fetch_add(&race->broken, 1);
            last = held[i]->value;
        }
        /* Where all share one core, the writer meets a reader inside a batch only here. */
        if (batch % 16 == 5)
            sched_yield();
        for (unsigned i = 0; i < 4; i++) {
            if (held[i]->value != held[i]->same)
                atomic_fetch_add(&race->broken, 1);
        }
        if (++batch % 8) {
            epoch_announce(race->epoch, reader);
        } else {
            epoch_offline(race->epoch, reader);
            sched_yield();
            epoch_online(race->epoch, reader);
        }
        atomic_fetch_add_explicit(&race->rounds, 1, memory_order_relaxed);
    }
    epoch_offline(race->epoch, reader);
    return NULL;
}

static struct object *new_object(uint64_t value)
{
    struct object *o = base_calloc(1, sizeof *o);
    o->value = o->same = value;
    return o;
}

static void test_threads(void **state)
{
    struct race race = {.epoch = epoch_new(READERS)};
    pthread_t thread[READERS];
    unsigned most = 0;
    atomic_init(&race.current, new_object(10));
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, read_all_the_time, &race), 0);
    while (atomic_load(&race.rounds) < READERS)
        sched_yield();
    for (unsigned i = 0; i < REPLACEMENTS; i++) {
        struct object *old = atomic_load_explicit(&race.current, memory_order_relaxed);
        atomic_store_explicit(&race.current, new_object(11 + i), memory_order_release);
        epoch_retire(race.epoch, old, spoil);
        unsigned waiting = epoch_collect(race.epoch);
        most = waiting > most ? waiting : most;
        /* On few cores readers must get their turn, or nothing is raced. */
        if (i % 64 == 0)
            sched_yield();
    }
    uint64_t mark = epoch_mark(race.epoch);
    while (!epoch_passed(race.epoch, mark))
        sched_yield();
    assert_int_equal(epoch_collect(race.epoch), 0);
    atomic_store(&race.stop, true);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(atomic_load(&race.broken), 0);
    assert_true(most > 0);
    free(atomic_load(&race.current));
    epoch_free(race.epoch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_online),
        cmocka_unit_test(test_reader_holds_back),
        cmocka_unit_test(test_online_late_holds_nothing_old),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_release_retires),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("base_epoch", tests, NULL, NULL);
}
