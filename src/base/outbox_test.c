/* outbox_*: in order, nothing lost but what is counted, room used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/outbox.h"

static void in_order(void **state)
{
    struct outbox o;
    struct outbox_letter l;
    struct endpoint to = {.port = 1};
    outbox_init(&o, 100, 4);
    assert_false(outbox_take(&o, &l));
    outbox_send(&o, &to, "first", 5);
    to.port = 2;
    outbox_send(&o, &to, "second", 6);
    assert_true(outbox_take(&o, &l));
    assert_int_equal(l.to.port, 1);
    assert_int_equal(l.size, 5);
    assert_memory_equal(l.bytes, "first", 5);
    assert_true(outbox_take(&o, &l));
    assert_int_equal(l.to.port, 2);
    assert_memory_equal(l.bytes, "second", 6);
    assert_false(outbox_take(&o, &l));
    outbox_done(&o);
}

static void full(void **state)
{
    struct outbox o;
    struct outbox_letter l;
    struct endpoint to = {.port = 1};
    uint8_t bytes[60] = {1};
    outbox_init(&o, 100, 2);
    for (unsigned round = 0; round < 3; round++) {
        assert_true(outbox_send(&o, &to, bytes, 60));
        assert_false(outbox_send(&o, &to, bytes, 60)); /* not enough bytes */
        assert_true(outbox_send(&o, &to, bytes, 40));
        assert_false(outbox_send(&o, &to, bytes, 0)); /* not enough letters */
        assert_true(outbox_take(&o, &l));
        assert_true(outbox_take(&o, &l));
        assert_int_equal(l.size, 40);
        assert_false(outbox_take(&o, &l));
    }
    assert_non_null(outbox_room(&o, 100));
    outbox_post(&o, &to, 0); /* changed its mind */
    assert_false(outbox_take(&o, &l));
    outbox_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(in_order), cmocka_unit_test(full)};
    return cmocka_run_group_tests_name("base_outbox", tests, NULL, NULL);
}
