#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"

static void test_allocations(void **state)
{
    static const char zeros[24];
    char *p = base_calloc(3, 8);
    assert_memory_equal(p, zeros, sizeof zeros);
    memcpy(p, "abc", 4);
    p = base_realloc(p, 4096);
    assert_string_equal(p, "abc");
    free(p);
    p = base_calloc(0, 8);
    assert_non_null(p);
    free(p);
    p = base_strdup("");
    assert_string_equal(p, "");
    free(p);
    p = base_strdup("east.ip");
    assert_string_equal(p, "east.ip");
    free(p);
}

static void test_expect(void **state)
{
    assert_true(expect(1 == 1));
    assert_false(expect(1 == 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_expect),
    };
    return cmocka_run_group_tests_name("base_check", tests, NULL, NULL);
}
