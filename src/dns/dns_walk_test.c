#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "dns/dns_message.h"
#include "dns/dns_walk.h"
#include "tests/support/seeded.h"

static struct ip_prefix pool[2];

static int set_up(void **state)
{
    bool fine =
        ip_prefix_parse("198.18.0.0/15", &pool[0]) && ip_prefix_parse("fd00:1::/48", &pool[1]);
    return fine ? 0 : -1;
}

/* An answer to www.example.com A with the records given in zone file form. */
static uint8_t *answer(const char *const *records, size_t count, size_t *ret_size)
{
    ldns_pkt *pkt = ldns_pkt_query_new(ldns_dname_new_frm_str("www.example.com"), LDNS_RR_TYPE_A,
                                       LDNS_RR_CLASS_IN, LDNS_RD);
    ldns_pkt_set_qr(pkt, true);
    for (size_t i = 0; i < count; i++) {
        ldns_rr *rr;
        assert_int_equal(ldns_rr_new_frm_str(&rr, records[i], 60, NULL, NULL), LDNS_STATUS_OK);
        ldns_pkt_push_rr(
            pkt, i + 1 == count && count > 2 ? LDNS_SECTION_ADDITIONAL : LDNS_SECTION_ANSWER, rr);
    }
    uint8_t *bytes;
    assert_int_equal(ldns_pkt2wire(&bytes, pkt, ret_size), LDNS_STATUS_OK);
    ldns_pkt_free(pkt);
    return bytes;
}

static void walks(void **state)
{
    static const char *const records[] = {"www.example.com. 30 IN CNAME web.example.com.",
                                          "web.example.com. 20 IN A 192.0.2.7",
                                          "ns.example.com. 10 IN AAAA 2001:db8::7"};
    size_t size;
    uint8_t *bytes = answer(records, 3, &size);
    struct dns_walk walk;
    struct dns_record record;
    assert_true(dns_walk_start(&walk, bytes, size));
    assert_true(walk.response && walk.question && walk.in_place);
    struct dns_name name;
    assert_true(dns_name_from_text(&name, "WWW.example.com"));
    assert_true(dns_name_equal(&walk.name, &name));
    assert_true(dns_walk_next(&walk, &record));
    assert_int_equal(record.type, LDNS_RR_TYPE_CNAME);
    assert_int_equal(dns_record_address(&record).family, 0);
    assert_true(dns_walk_next(&walk, &record));
    struct ip_address ip;
    assert_true(ip_address_parse("192.0.2.7", &ip));
    struct ip_address found = dns_record_address(&record);
    assert_true(ip_address_equal(&found, &ip));
    assert_int_equal(record.ttl, 20);
    assert_true(dns_walk_next(&walk, &record));
    assert_int_equal(record.section, 2);
    assert_int_equal(record.ttl, 10);
    assert_false(dns_walk_next(&walk, &record));
    assert_false(walk.r.failed);

    /* Cut anywhere: never fine, never a read beyond the end. */
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        memcpy(exact, bytes, cut);
        if (dns_walk_start(&walk, exact, cut)) {
            while (dns_walk_next(&walk, &record))
                ;
            assert_true(walk.r.failed);
        }
        free(exact);
    }
    free(bytes);
}

static bool holds(const char *text)
{
    size_t size;
    uint8_t *bytes = answer(&text, 1, &size);
    struct dns_walk walk;
    struct dns_record record;
    assert_true(dns_walk_start(&walk, bytes, size));
    assert_true(dns_walk_next(&walk, &record));
    bool found = dns_record_holds_pool(&record, pool);
    free(bytes);
    return found;
}

static void finds_pools(void **state)
{
    assert_true(holds("x.org. 1 IN A 198.18.0.1"));
    assert_true(holds("x.org. 1 IN A 198.19.255.254"));
    assert_false(holds("x.org. 1 IN A 198.20.0.1"));
    assert_true(holds("x.org. 1 IN AAAA fd00:1::5"));
    assert_false(holds("x.org. 1 IN AAAA fd00:1:1::5"));
    assert_true(holds("x.org. 1 IN AAAA ::ffff:198.18.0.1"));
    assert_false(holds("x.org. 1 IN AAAA ::ffff:192.0.2.1"));
    assert_false(holds("x.org. 1 IN TXT 198.18.0.1"));
    /* HTTPS: priority 1, root, alpn h2, then ipv4hint with two addresses. */
    assert_true(
        holds("x.org. 1 IN TYPE65 \\# 22 0001 00 0001 0003 026832 0004 0008 C0000201 C6120001"));
    assert_false(
        holds("x.org. 1 IN TYPE65 \\# 22 0001 00 0001 0003 026832 0004 0008 C0000201 C0000202"));
    assert_true(holds(
        "x.org. 1 IN TYPE64 \\# 25 0001 01 61 00 0006 0010 FD000001000000000000000000000001"));
    /* Parameters that end early hold nothing. */
    assert_false(holds("x.org. 1 IN TYPE65 \\# 9 0001 00 0004 0008 C612"));
}

static void refuses_loops(void **state)
{
    struct dns_walk walk;
    /* header, question ".", A IN, one answer whose name is ... */
    uint8_t bytes[12 + 5 + 2 + 10 + 4] = {0, 1, 0x80, 0, 0, 1, 0, 1, [15] = 1, [17 - 1] = 1};
    bytes[12] = 0, bytes[14] = 1, bytes[16] = 1;
    bytes[13] = 0, bytes[15] = 0;
    struct dns_record record;
    bytes[20] = 1, bytes[22] = 1; /* type A, class IN */
    bytes[28] = 4;
    static const struct {
        uint8_t pointer[2];
        bool fine;
    } rows[] = {{{0xc0, 12}, true},
                {{0xc0, 17}, false},
                {{0xc0, 18}, false},
                {{0xc0, 200}, false},
                {{0x41, 0}, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memcpy(bytes + 17, rows[i].pointer, 2);
        assert_true(dns_walk_start(&walk, bytes, sizeof bytes));
        assert_int_equal(dns_walk_next(&walk, &record), rows[i].fine);
        assert_int_equal(walk.r.failed, !rows[i].fine);
    }
    /* More than one question; a wrong size of an A record. */
    memcpy(bytes + 17, rows[0].pointer, 2);
    bytes[5] = 2;
    assert_false(dns_walk_start(&walk, bytes, sizeof bytes));
    bytes[5] = 1;
    bytes[28] = 3;
    assert_true(dns_walk_start(&walk, bytes, sizeof bytes));
    assert_false(dns_walk_next(&walk, &record));
    assert_true(walk.r.failed);
}

static void survives_mutations(void **state)
{
    static const char *const records[] = {
        "www.example.com. 30 IN CNAME web.example.com.", "web.example.com. 20 IN A 192.0.2.7",
        "x.org. 1 IN TYPE65 \\# 22 0001 00 0001 0003 026832 0004 0008 C0000201 C0000202",
        "ns.example.com. 10 IN AAAA 2001:db8::7"};
    size_t size;
    uint8_t *bytes = answer(records, 4, &size), *copy = malloc(size);
    struct seeded random;
    seeded_init(&random, 7);
    for (unsigned round = 0; round < 50000; round++) {
        memcpy(copy, bytes, size);
        for (unsigned n = 1 + entropy_below(&random.entropy, 5); n; n--)
            copy[entropy_below(&random.entropy, (uint32_t)size)] =
                (uint8_t)entropy_u32(&random.entropy);
        struct dns_walk walk;
        struct dns_record record;
        if (dns_walk_start(&walk, copy, size))
            while (dns_walk_next(&walk, &record))
                dns_record_holds_pool(&record, pool);
    }
    free(copy);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks),
        cmocka_unit_test(finds_pools),
        cmocka_unit_test(refuses_loops),
        cmocka_unit_test(survives_mutations),
    };
    return cmocka_run_group_tests_name("dns_walk", tests, set_up, NULL);
}
