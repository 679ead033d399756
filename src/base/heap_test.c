#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/heap.h"

static void gives_timers_in_order(void **state)
{
    (void)state;
    struct heap h = {0};
    struct timer t[200] = {0};
    uint32_t x = 1;
    for (unsigned i = 0; i < 200; i++) {
        x = x * 1664525 + 1013904223;
        heap_set(&h, &t[i], x % 1000);
    }
    for (unsigned i = 0; i < 200; i += 3) {
        x = x * 1664525 + 1013904223;
        heap_set(&h, &t[i], x % 1000); /* moved */
    }
    for (unsigned i = 0; i < 200; i += 5)
        heap_unset(&h, &t[i]);
    assert_null(heap_due(&h, -1));
    instant last = -1;
    unsigned count = 0;
    struct timer *d;
    while ((d = heap_due(&h, 1000))) {
        assert_int_equal(d->place, 0);
        assert_true(heap_next(&h) >= last);
        count++;
        last = heap_next(&h) == INSTANT_NEVER ? last : heap_next(&h);
    }
    assert_int_equal(count, 160);
    assert_int_equal(heap_next(&h), INSTANT_NEVER);
    heap_done(&h);
}

static void never_takes_a_timer_out(void **state)
{
    (void)state;
    struct heap h = {0};
    struct timer a = {0}, b = {0};
    heap_set(&h, &a, 5);
    heap_set(&h, &b, 7);
    heap_set(&h, &a, INSTANT_NEVER);
    assert_int_equal(heap_next(&h), 7);
    heap_unset(&h, &a); /* twice does no harm */
    assert_ptr_equal(heap_due(&h, 7), &b);
    assert_null(heap_due(&h, 100));
    heap_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gives_timers_in_order),
                                       cmocka_unit_test(never_takes_a_timer_out)};
    return cmocka_run_group_tests_name("base_heap", tests, NULL, NULL);
}
