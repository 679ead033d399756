#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/limit.h"
#include "tests/support/seeded.h"

static void per_second(void **state)
{
    struct limit_rate r = {0};
    for (instant now = 0; now < 3 * SECOND; now += SECOND) {
        for (unsigned i = 0; i < 5; i++)
            assert_true(limit_admits(&r, now + i * MILLISECOND, 5));
        assert_false(limit_admits(&r, now + 999 * MILLISECOND, 5));
    }
    assert_false(limit_admits(&(struct limit_rate){0}, 0, 0));
}

static void per_source(void **state)
{
    static struct limit_sources s;
    struct seeded random;
    struct ip_address a = {4, {10, 0, 0, 1}}, b = {4, {10, 0, 0, 2}}, c = {6, {0x20, 1, 0xd, 0xb8}},
                      d = c;
    seeded_init(&random, 1);
    limit_sources_init(&s, &random.entropy);
    d.bytes[15] = 1; /* the same owner */
    for (unsigned i = 0; i < 100; i++) {
        limit_source_admits(&s, 1, &a, 3);
        limit_source_admits(&s, 1, &c, 3);
    }
    assert_false(limit_source_admits(&s, 1, &a, 3));
    assert_true(limit_source_admits(&s, 1, &b, 3));
    assert_false(limit_source_admits(&s, 1, &d, 3));
    assert_true(limit_source_admits(&s, 1 + SECOND, &a, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(per_second), cmocka_unit_test(per_source)};
    return cmocka_run_group_tests_name("crypto_limit", tests, NULL, NULL);
}
