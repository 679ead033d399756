/* Who uses a range: by interface, and by the rules of a firewall. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "linux/ranges.h"

static char text[200];

static struct ip_prefix prefix(const char *from)
{
    struct ip_prefix p;
    assert_true(ip_prefix_parse(from, &p));
    return p;
}

static bool taken(const char *interface, const char *range)
{
    struct ip_prefix p = prefix(range);
    return linux_ranges_of_interface(interface, &p, text, sizeof text);
}

static void interfaces(void **state)
{
    assert_true(taken("tailscale0", "100.80.0.0/12"));
    assert_string_equal(text, "Tailscale (interface tailscale0) takes its addresses from "
                              "100.64.0.0/10");
    assert_true(taken("Meta", "198.18.0.0/16"));
    assert_true(taken("br-0123456789ab", "172.31.128.0/17"));
    assert_true(taken("docker0", "172.31.128.0/17"));
    assert_false(taken("tailscale0", "198.18.0.0/15"));
    assert_false(taken("wtf", "100.80.0.0/12"));
    assert_false(taken("eth0", "198.18.0.0/15"));
    assert_false(taken("", "198.18.0.0/15"));
    assert_false(taken("tailscale0", "fd00::/48"));
}

static bool named(const char *ruleset, const char *range)
{
    struct ip_prefix p = prefix(range);
    return linux_ranges_of_rules(ruleset, &p, text, sizeof text);
}

static void rules(void **state)
{
    static const char ruleset[] = "table ip nat {\n"
                                  "\tchain POSTROUTING {\n"
                                  "\t\ttype nat hook postrouting priority 100; policy accept;\n"
                                  "\t\tip saddr 172.17.0.0/16 oifname != \"docker0\" masquerade\n"
                                  "\t}\n"
                                  "}\n"
                                  "table ip filter {\n"
                                  "\tchain ts-input {\n"
                                  "\t\tip saddr 100.64.0.0/10 iifname != \"tailscale0\" drop\n"
                                  "\t\tip daddr 10.198.3.1-10.198.3.9 accept\n"
                                  "\t\tip saddr 0.0.0.0/0 accept\n"
                                  "\t\ttcp dport { 80, 443 } ip6 saddr fd12::/48 accept\n"
                                  "\t}\n"
                                  "}\n"
                                  "table inet ocala_ocala0 {\n"
                                  "\tchain arriving {\n"
                                  "\t\tip saddr 198.18.0.0/15 drop\n"
                                  "\t}\n"
                                  "}\n";
    assert_true(named(ruleset, "100.80.0.0/12"));
    assert_string_equal(text, "firewall rules of table ip filter name 100.64.0.0/10");
    assert_true(named(ruleset, "172.16.0.0/12"));
    assert_true(named(ruleset, "10.198.0.0/16"));
    assert_true(named(ruleset, "fd12::/48"));
    assert_false(named(ruleset, "198.18.0.0/15"));
    assert_false(named(ruleset, "10.119.0.0/16"));
    assert_false(named("", "10.119.0.0/16"));
    assert_false(named("table ip x {\n a::b.c 1.2.3 1.2.3.4/99 ::::: 1.2.3.4.5 ", "1.0.0.0/8"));
    assert_true(named("ip daddr 1.2.3.4", "1.0.0.0/8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interfaces),
        cmocka_unit_test(rules),
    };
    return cmocka_run_group_tests_name("linux_ranges", tests, NULL, NULL);
}
