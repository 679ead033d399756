#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cursor.h"
#include "base/instant.h"

static void test_reads_big_endian(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
    struct reader r = reader_over(bytes, sizeof bytes);
    assert_int_equal(read_u8(&r), 0x01);
    assert_int_equal(read_u16(&r), 0x0203);
    assert_int_equal(read_u32(&r), 0x04050607);
    assert_int_equal(read_u64(&r), 0x08090a0b0c0d0e0f);
    assert_int_equal(reader_left(&r), 2);
    assert_ptr_equal(read_bytes(&r, 2), bytes + 15);
    assert_false(r.failed);
    assert_int_equal(read_u8(&r), 0);
    assert_true(r.failed);
}

/* A read that does not fit moves nothing and spoils every later one. */
static void test_reads_fail_for_good(void **state)
{
    static const uint8_t bytes[] = {0xFF, 0xFF, 0xFF};
    struct reader r = reader_over(bytes, sizeof bytes);
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(reader_left(&r), 3);
    assert_int_equal(read_u8(&r), 0);
    assert_null(read_bytes(&r, 1));
    uint8_t out[3] = {1, 1, 1};
    static const uint8_t zeros[3];
    read_copy(&r, out, sizeof out);
    assert_memory_equal(out, zeros, 3);

    r = reader_over(bytes, sizeof bytes);
    assert_null(read_bytes(&r, SIZE_MAX));
    assert_true(r.failed);
    r = reader_over(NULL, 0);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(read_u16(&r), 0);
    assert_true(r.failed);
    r = reader_over(bytes, sizeof bytes);
    read_copy(&r, out, sizeof out);
    assert_memory_equal(out, bytes, 3);
    assert_false(r.failed);
}

static void test_writes_big_endian(void **state)
{
    static const uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 'o', 'k'};
    uint8_t out[sizeof expected];
    struct writer w = writer_over(out, sizeof out);
    write_u8(&w, 0x01);
    write_u16(&w, 0x0203);
    write_u32(&w, 0x04050607);
    write_u64(&w, 0x08090a0b0c0d0e0f);
    write_bytes(&w, "ok", 2);
    assert_false(w.failed);
    assert_int_equal(writer_size(&w), sizeof expected);
    assert_int_equal(writer_left(&w), 0);
    assert_memory_equal(out, expected, sizeof expected);
    write_bytes(&w, NULL, 0);
    assert_false(w.failed);
    write_u8(&w, 1);
    assert_true(w.failed);
}

static void test_writes_stop_at_the_end(void **state)
{
    uint8_t out[4] = {9, 9, 9, 9};
    struct writer w = writer_over(out, 3);
    write_u16(&w, 0x0102);
    write_u16(&w, 0x0304);
    assert_true(w.failed);
    assert_int_equal(writer_size(&w), 2);
    write_u8(&w, 5);
    assert_null(write_room(&w, 1));
    assert_int_equal(out[2], 9);
    assert_int_equal(out[3], 9);
}

static void test_instants(void **state)
{
    assert_int_equal(instant_min(3, 2), 2);
    assert_int_equal(instant_min(INSTANT_NEVER, 2), 2);
    assert_int_equal(instant_after(3 * SECOND, MINUTE), 63 * SECOND);
    assert_int_equal(instant_after(INSTANT_NEVER, SECOND), INSTANT_NEVER);
    assert_int_equal(instant_after(SECOND, INSTANT_NEVER), INSTANT_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_big_endian),  cmocka_unit_test(test_reads_fail_for_good),
        cmocka_unit_test(test_writes_big_endian), cmocka_unit_test(test_writes_stop_at_the_end),
        cmocka_unit_test(test_instants),
    };
    return cmocka_run_group_tests_name("base_cursor", tests, NULL, NULL);
}
