#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <cmocka.h>

#include "base/ring.h"

static void test_fills_and_empties(void **state)
{
    struct ring *r = ring_new(3, 5); /* four slots */
    assert_null(ring_peek(r));
    assert_int_equal(ring_used(r), 0);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 4; i++) {
            char *slot = ring_reserve(r);
            assert_non_null(slot);
            assert_int_equal((uintptr_t)slot % sizeof(uint64_t), 0);
            memset(slot, 'a' + (int)(round + i), 5);
            assert_int_equal(ring_used(r), i);
            ring_commit(r);
        }
        assert_null(ring_reserve(r));
        assert_int_equal(ring_used(r), 4);
        for (unsigned i = 0; i < 4; i++) {
            char expected[5];
            memset(expected, 'a' + (int)(round + i), 5);
            char *slot = ring_peek(r);
            assert_non_null(slot);
            assert_ptr_equal(slot, ring_peek(r));
            assert_memory_equal(slot, expected, 5);
            ring_release(r);
        }
        assert_null(ring_peek(r));
    }
    ring_free(r);
    ring_free(NULL);
}

static void test_reserved_is_not_visible(void **state)
{
    struct ring *r = ring_new(1, 4);
    void *slot = ring_reserve(r);
    assert_non_null(slot);
    assert_ptr_equal(ring_reserve(r), slot);
    assert_null(ring_peek(r));
    ring_commit(r);
    assert_null(ring_reserve(r));
    assert_ptr_equal(ring_peek(r), slot);
    ring_release(r);
    assert_non_null(ring_reserve(r));
    ring_free(r);
}

/* Two threads: everything arrives once, in order, whole. */

#define MESSAGES 200000

struct message {
    uint64_t number, filling[5];
};

static void *produce(void *argument)
{
    struct ring *r = argument;
    for (uint64_t i = 0; i < MESSAGES;) {
        struct message *m = ring_reserve(r);
        if (!m) {
            sched_yield();
            continue;
        }
        m->number = i;
        for (unsigned j = 0; j < 5; j++)
            m->filling[j] = i * 7 + j;
        ring_commit(r);
        i++;
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct ring *r = ring_new(64, sizeof(struct message));
    pthread_t producer;
    unsigned broken = 0;
    assert_int_equal(pthread_create(&producer, NULL, produce, r), 0);
    for (uint64_t i = 0; i < MESSAGES;) {
        const struct message *m = ring_peek(r);
        if (ring_used(r) > 64)
            broken++;
        if (!m) {
            sched_yield();
            continue;
        }
        if (m->number != i)
            broken++;
        for (unsigned j = 0; j < 5; j++)
            broken += m->filling[j] != i * 7 + j;
        ring_release(r);
        i++;
    }
    pthread_join(producer, NULL);
    assert_int_equal(broken, 0);
    assert_null(ring_peek(r));
    ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_and_empties),
        cmocka_unit_test(test_reserved_is_not_visible),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("base_ring", tests, NULL, NULL);
}
