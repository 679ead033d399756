/* The reverse zones of a pool: exactly its addresses, no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "linux/resolved.h"
#include "linux/spawn.h"

#include <errno.h>
#include <stdlib.h>

static char zone[LINUX_ZONES_MAX][LINUX_ZONE_TEXT];

static unsigned zones(const char *text)
{
    struct ip_prefix p;
    assert_true(ip_prefix_parse(text, &p));
    return linux_reverse_zones(&p, zone);
}

static void of_ipv4(void **state)
{
    assert_int_equal(zones("198.18.0.0/15"), 2);
    assert_string_equal(zone[0], "18.198.in-addr.arpa");
    assert_string_equal(zone[1], "19.198.in-addr.arpa");
    assert_int_equal(zones("10.198.0.0/16"), 1);
    assert_string_equal(zone[0], "198.10.in-addr.arpa");
    assert_int_equal(zones("100.80.0.0/12"), 16);
    assert_string_equal(zone[0], "80.100.in-addr.arpa");
    assert_string_equal(zone[15], "95.100.in-addr.arpa");
    assert_int_equal(zones("172.31.128.0/17"), 128);
    assert_string_equal(zone[127], "255.31.172.in-addr.arpa");
    assert_int_equal(zones("10.0.0.0/8"), 1);
    assert_string_equal(zone[0], "10.in-addr.arpa");
    assert_int_equal(zones("192.0.2.16/28"), 16);
    assert_string_equal(zone[0], "16.2.0.192.in-addr.arpa");
    assert_string_equal(zone[15], "31.2.0.192.in-addr.arpa");
}

static void of_ipv6(void **state)
{
    assert_int_equal(zones("fd12:3456:789a::/48"), 1);
    assert_string_equal(zone[0], "a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa");
    assert_int_equal(zones("fd10::/13"), 8);
    assert_string_equal(zone[0], "0.1.d.f.ip6.arpa");
    assert_string_equal(zone[7], "7.1.d.f.ip6.arpa");
    assert_int_equal(zones("fd00::/9"), 8);
    assert_string_equal(zone[7], "7.d.f.ip6.arpa");
    assert_int_equal(zones("fd00::/112"), 1);
    assert_int_equal(strlen(zone[0]), 28 * 2 + strlen("ip6.arpa"));
}

static void of_nothing(void **state)
{
    struct ip_prefix none = {0}, bad = {.ip.family = 4, .length = 33};
    assert_int_equal(linux_reverse_zones(&none, zone), 0);
    assert_int_equal(linux_reverse_zones(&bad, zone), 0);
}

static void programs(void **state)
{
    char said[LINUX_SPAWN_SAID], *output;
    const char *const cat[] = {"cat", NULL}, *const fails[] = {"ls", "/nowhere", NULL};
    const char *const none[] = {"no-such-program-anywhere", NULL};
    const char *const waits[] = {"tail", "-f", "/dev/null", NULL};
    assert_int_equal(linux_spawn(cat, "one\ntwo\n", 5000, &output, said), 0);
    assert_string_equal(output, "one\ntwo\n");
    assert_string_equal(said, "");
    free(output);
    assert_int_equal(linux_spawn(fails, NULL, 5000, NULL, said), -EREMOTEIO);
    assert_non_null(strstr(said, "/nowhere"));
    assert_int_equal(linux_spawn(none, NULL, 5000, NULL, said), -ENOPKG);
    assert_int_equal(linux_spawn(waits, NULL, 20, NULL, said), -ETIMEDOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_ipv4),
        cmocka_unit_test(of_ipv6),
        cmocka_unit_test(of_nothing),
        cmocka_unit_test(programs),
    };
    return cmocka_run_group_tests_name("linux_resolved", tests, NULL, NULL);
}
