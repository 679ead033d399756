#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "dns/dns_reverse.h"

static const struct {
    const char *name;
    enum dns_reverse found;
    unsigned zone_labels;
    const char *address;
} rows[] = {
    /* 198.18.0.0/15 */
    {"9.7.18.198.in-addr.arpa", DNS_REVERSE_ADDRESS, 4, "198.18.7.9"},
    {"255.255.19.198.IN-ADDR.arpa", DNS_REVERSE_ADDRESS, 4, "198.19.255.255"},
    {"9.7.20.198.in-addr.arpa", DNS_REVERSE_FOREIGN, 0, NULL},
    {"9.7.17.198.in-addr.arpa", DNS_REVERSE_FOREIGN, 0, NULL},
    {"18.198.in-addr.arpa", DNS_REVERSE_ABOVE, 4, NULL},
    {"7.18.198.in-addr.arpa", DNS_REVERSE_ABOVE, 4, NULL},
    {"198.in-addr.arpa", DNS_REVERSE_FOREIGN, 0, NULL},
    {"in-addr.arpa", DNS_REVERSE_FOREIGN, 0, NULL},
    {"arpa", DNS_REVERSE_FOREIGN, 0, NULL},
    {"", DNS_REVERSE_FOREIGN, 0, NULL},
    /* Malformed, but inside: not to be told to anybody. */
    {"x.9.7.18.198.in-addr.arpa", DNS_REVERSE_NONE, 4, NULL},
    {"1.9.7.18.198.in-addr.arpa", DNS_REVERSE_NONE, 4, NULL},
    {"256.7.18.198.in-addr.arpa", DNS_REVERSE_NONE, 4, NULL},
    {"9.07.18.198.in-addr.arpa", DNS_REVERSE_NONE, 4, NULL},
    {"_x.18.198.in-addr.arpa", DNS_REVERSE_NONE, 4, NULL},
    {"018.198.in-addr.arpa", DNS_REVERSE_FOREIGN, 0, NULL},
    {"9.7.18.198.in-addr.arpa.example", DNS_REVERSE_FOREIGN, 0, NULL},
    {"9.7.18.198.ip6.arpa", DNS_REVERSE_FOREIGN, 0, NULL},
    /* fd12:3456:789a::/48 */
    {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.A.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa",
     DNS_REVERSE_ADDRESS, 14, "fd12:3456:789a::1"},
    {"a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa", DNS_REVERSE_ABOVE, 14, NULL},
    {"9.8.7.6.5.4.3.2.1.d.f.ip6.arpa", DNS_REVERSE_FOREIGN, 0, NULL},
    {"b.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa", DNS_REVERSE_FOREIGN, 0, NULL},
    {"10.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa", DNS_REVERSE_NONE, 14, NULL},
    {"g.a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa", DNS_REVERSE_NONE, 14, NULL},
};

static struct ip_prefix pool[2];

static void table(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dns_name name;
        struct ip_address ip = {0}, expected;
        unsigned zone = 0;
        assert_true(dns_name_from_text(&name, rows[i].name));
        print_message("# %s\n", rows[i].name);
        assert_int_equal(dns_reverse_parse(&name, pool, &ip, &zone), rows[i].found);
        assert_int_equal(zone, rows[i].zone_labels);
        if (rows[i].address) {
            assert_true(ip_address_parse(rows[i].address, &expected));
            assert_true(ip_address_equal(&ip, &expected));
        }
    }
}

static void without_pools(void **state)
{
    struct ip_prefix none[2];
    memset(none, 0, sizeof none);
    struct dns_name name;
    struct ip_address ip;
    unsigned zone;
    assert_true(dns_name_from_text(&name, "9.7.18.198.in-addr.arpa"));
    assert_int_equal(dns_reverse_parse(&name, none, &ip, &zone), DNS_REVERSE_FOREIGN);
}

static int set_up(void **state)
{
    bool fine = ip_prefix_parse("198.18.0.0/15", &pool[0]) &&
                ip_prefix_parse("fd12:3456:789a::/48", &pool[1]);
    return fine ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table), cmocka_unit_test(without_pools)};
    return cmocka_run_group_tests_name("dns_reverse", tests, set_up, NULL);
}
