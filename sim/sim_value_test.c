#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sim/sim_value.h"

static void times(void **state)
{
    static const struct {
        const char *text;
        instant value; /* -1: none */
    } cases[] = {{"0", 0},
                 {"20ms", 20 * MILLISECOND},
                 {"1.5s", 1500 * MILLISECOND},
                 {"300us", 300000},
                 {"2m", 2 * MINUTE},
                 {"1h", HOUR},
                 {"0.001ms", 1000},
                 {"", -1},
                 {"s", -1},
                 {"20", -1},
                 {"20 ms", -1},
                 {"1.s", -1},
                 {"-1s", -1},
                 {"1d", -1},
                 {"99999999h", -1},
                 {"1.5sx", -1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        instant value = 77;
        assert_int_equal(sim_value_time(cases[i].text, &value), cases[i].value >= 0);
        assert_int_equal(value, cases[i].value >= 0 ? cases[i].value : 77);
    }
}

static void shares(void **state)
{
    uint32_t value = 77;
    (void)state;
    assert_false(sim_value_share("5", &value));
    assert_false(sim_value_share("101%", &value));
    assert_false(sim_value_share("%", &value));
    assert_int_equal(value, 77);
    assert_true(sim_value_share("5%", &value));
    assert_int_equal(value, 50000);
    assert_true(sim_value_share("0.01%", &value));
    assert_int_equal(value, 100);
    assert_true(sim_value_share("100%", &value));
    assert_int_equal(value, 1000000);
}

static void counts(void **state)
{
    uint64_t value = 77;
    (void)state;
    assert_false(sim_value_count("", &value));
    assert_false(sim_value_count("1x", &value));
    assert_false(sim_value_count("1.5", &value));
    assert_false(sim_value_count("1.0005k", &value));
    assert_int_equal(value, 77);
    assert_true(sim_value_count("12", &value));
    assert_int_equal(value, 12);
    assert_true(sim_value_count("1.5k", &value));
    assert_int_equal(value, 1500);
    assert_true(sim_value_count("3M", &value));
    assert_int_equal(value, 3000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test(shares),
        cmocka_unit_test(counts),
    };
    return cmocka_run_group_tests_name("sim_value", tests, NULL, NULL);
}
