#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void there_and_back(void **state)
{
    uint8_t bytes[256], again[256];
    char text[2 * sizeof bytes + 1];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    assert_true(hex_read(hex_write(bytes, sizeof bytes, text), again, sizeof again));
    assert_memory_equal(bytes, again, sizeof bytes);
    assert_string_equal(hex_write("\x0f\xa0", 2, text), "0fa0");
    assert_string_equal(hex_write("", 0, text), "");
    assert_true(hex_read("", again, 0));
}

static void nothing_else(void **state)
{
    static const char *const wrong[] = {"",     "0",    "0a0",  "0a0b0", "0a0b0c0", "0A0b",
                                        "0x0b", "0a b", "0a0g", "-10b",  "0a:b",    "/a0b"};
    uint8_t bytes[2] = {7, 7};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(hex_read(wrong[i], bytes, sizeof bytes));
    assert_int_equal(bytes[0] + bytes[1], 14);
    assert_true(hex_read("0a0b", bytes, sizeof bytes));
    assert_int_equal(bytes[0] << 8 | bytes[1], 0x0A0B);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(nothing_else)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
