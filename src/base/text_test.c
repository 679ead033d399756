#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/text.h"

static void test_adds(void **state)
{
    char buffer[32];
    struct text t;
    text_begin(&t, buffer, sizeof buffer);
    assert_string_equal(buffer, "");
    text_add(&t, "%s=%d", "mtu", 1280);
    text_add(&t, "%s", "");
    text_add(&t, " up");
    assert_string_equal(buffer, "mtu=1280 up");
    assert_int_equal(t.length, 11);
    assert_false(t.cut);
}

static void test_cuts(void **state)
{
    char buffer[8];
    struct text t;
    text_begin(&t, buffer, sizeof buffer);
    text_add(&t, "1234567");
    assert_false(t.cut);
    text_add(&t, "8");
    assert_true(t.cut);
    assert_string_equal(buffer, "1234567");
    text_add(&t, "9");
    assert_string_equal(buffer, "1234567");

    text_begin(&t, buffer, sizeof buffer);
    text_add(&t, "%s", "abcdefghij");
    assert_true(t.cut);
    assert_string_equal(buffer, "abcdefg");
    assert_int_equal(t.length, 7);

    text_begin(&t, buffer, 1);
    text_add(&t, "x");
    assert_true(t.cut);
    assert_string_equal(buffer, "");
}

static void test_escapes(void **state)
{
    char buffer[64];
    struct text t;
    text_begin(&t, buffer, sizeof buffer);
    text_add_escaped(&t, "ok \x1b[31m\\\xc3\xa4\0\x7f~", 14);
    assert_string_equal(buffer, "ok \\x1b[31m\\x5c\\xc3\\xa4\\x00\\x7f~");
    assert_false(t.cut);
    text_add_escaped(&t, NULL, 0);
    assert_false(t.cut);
}

static void test_never_cuts_inside_an_escape(void **state)
{
    for (size_t size = 1; size < 12; size++) {
        char buffer[12];
        struct text t;
        text_begin(&t, buffer, size);
        text_add_escaped(&t, "a\nb\n", 4);
        const char *expected = size >= 11  ? "a\\x0ab\\x0a"
                               : size >= 7 ? "a\\x0ab"
                               : size >= 6 ? "a\\x0a"
                               : size >= 2 ? "a"
                                           : "";
        assert_string_equal(buffer, expected);
        assert_int_equal(t.cut, size < 11);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adds),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_never_cuts_inside_an_escape),
    };
    return cmocka_run_group_tests_name("base_text", tests, NULL, NULL);
}
