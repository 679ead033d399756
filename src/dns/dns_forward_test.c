#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dns/dns.h"
#include "dns/dns_message.h"
#include "tests/support/seeded.h"

struct bench {
    struct seeded random;
    struct dns_settings settings;
    struct dns *dns;
    instant now;
    struct dns_out out;
    uint8_t sent[512]; /* the last message to an upstream server */
    size_t sent_size;
};

static int set_up(void **state)
{
    struct bench *b = base_calloc(1, sizeof *b);
    seeded_init(&b->random, 1);
    dns_settings_init(&b->settings);
    b->settings.types[b->settings.type_count++] = "ip";
    if (!ip_prefix_parse("198.18.0.0/15", &b->settings.pool[0]) ||
        !ip_prefix_parse("fd12:3456:789a::/48", &b->settings.pool[1]))
        return -1;
    b->settings.upstream_count = 2;
    const char *reason;
    b->dns = dns_new(&b->settings, &b->random.entropy, &reason);
    b->now = 100 * SECOND;
    *state = b;
    return b->dns ? 0 : -1;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    dns_free(b->dns);
    free(b);
    return 0;
}

static void reload(struct bench *b)
{
    const char *reason;
    assert_true(dns_reload(b->dns, b->now, &b->settings, &reason));
}

static uint64_t count(const struct bench *b, enum dns_counter counter)
{
    struct dns_stats stats;
    dns_describe(b->dns, &stats);
    return stats.count[counter];
}

/* Asks for A of `name` with id 0x5555 and EDNS; the bytes are returned in `out`. */
static size_t ask(struct bench *b, uint64_t client, const char *name, bool tcp, uint8_t *out)
{
    ldns_pkt *pkt =
        ldns_pkt_query_new(ldns_dname_new_frm_str(name), LDNS_RR_TYPE_A, LDNS_RR_CLASS_IN, LDNS_RD);
    ldns_pkt_set_id(pkt, 0x5555);
    ldns_pkt_set_edns_udp_size(pkt, 4096);
    uint8_t *bytes;
    size_t size;
    assert_int_equal(ldns_pkt2wire(&bytes, pkt, &size), LDNS_STATUS_OK);
    dns_query(b->dns, b->now, &(struct dns_client){.id = client, .tcp = tcp}, bytes, size);
    if (out)
        memcpy(out, bytes, size);
    free(bytes);
    ldns_pkt_free(pkt);
    return size;
}

static void expect_out(struct bench *b, enum dns_out_kind kind)
{
    assert_true(dns_output(b->dns, &b->out));
    assert_int_equal(b->out.kind, kind);
}

static void expect_none(struct bench *b)
{
    assert_false(dns_output(b->dns, &b->out));
}

static void expect_upstream(struct bench *b, unsigned server)
{
    expect_out(b, DNS_OUT_UPSTREAM);
    assert_int_equal(b->out.upstream.server, server);
    b->sent_size = b->out.upstream.size;
    assert_true(b->sent_size <= sizeof b->sent);
    memcpy(b->sent, b->out.upstream.bytes, b->sent_size);
}

static void expect_done(struct bench *b, uint64_t upstream)
{
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    assert_int_equal(b->out.upstream.upstream, upstream);
}

static void expect_trouble(struct bench *b, uint64_t client, unsigned rcode, unsigned code,
                           const char *text)
{
    expect_out(b, DNS_OUT_REPLY);
    assert_int_equal(b->out.reply.client.id, client);
    const uint8_t *bytes = b->out.reply.bytes;
    size_t length = strlen(text), size = b->out.reply.size;
    assert_int_equal(bytes[0] << 8 | bytes[1], 0x5555);
    assert_int_equal(bytes[3] & 15, rcode);
    assert_true(size > length + 6);
    assert_memory_equal(bytes + size - length, text, length);
    assert_int_equal(bytes[size - length - 1], code);
}

/* The answer of a server to the message sent last: records in zone file form, NULL at the end. */
static size_t answer(struct bench *b, uint8_t *out, unsigned rcode, bool truncated,
                     const char *const *records)
{
    ldns_pkt *pkt;
    assert_int_equal(ldns_wire2pkt(&pkt, b->sent, b->sent_size), LDNS_STATUS_OK);
    ldns_pkt_set_qr(pkt, true);
    ldns_pkt_set_tc(pkt, truncated);
    ldns_pkt_set_rcode(pkt, (uint8_t)rcode);
    for (; records && *records; records++) {
        ldns_rr *rr;
        assert_int_equal(ldns_rr_new_frm_str(&rr, *records, 60, NULL, NULL), LDNS_STATUS_OK);
        ldns_pkt_push_rr(pkt, LDNS_SECTION_ANSWER, rr);
    }
    uint8_t *bytes;
    size_t size;
    assert_int_equal(ldns_pkt2wire(&bytes, pkt, &size), LDNS_STATUS_OK);
    assert_true(size <= 512);
    memcpy(out, bytes, size);
    free(bytes);
    ldns_pkt_free(pkt);
    return size;
}

static void reply(struct bench *b, unsigned server, unsigned rcode, const char *const *records)
{
    uint8_t bytes[512];
    size_t size = answer(b, bytes, rcode, false, records);
    dns_upstream_reply(b->dns, b->now, server, bytes, size);
}

static const char *const fine[] = {"www.example.com. 60 IN A 192.0.2.7", NULL};

static void forwards_intact(void **state)
{
    struct bench *b = *state;
    uint8_t asked[512], bytes[512];
    size_t size = ask(b, 9, "wWw.ExamPle.com", false, asked);
    expect_upstream(b, 0);
    expect_none(b);
    uint64_t upstream = b->out.upstream.upstream;
    assert_int_equal(b->sent_size, size);
    assert_memory_equal(b->sent + 2, asked + 2, size - 2);
    assert_memory_not_equal(b->sent, asked, 2);

    /* The server changes the spelling; the program sees its own, its id, and the rest as it came.
     */
    size = answer(b, bytes, 0, false, fine);
    for (unsigned i = 13; i < 28; i++)
        if (bytes[i] >= 'A' && bytes[i] <= 'Z')
            bytes[i] |= 0x20;
    dns_upstream_reply(b->dns, b->now, 0, bytes, size);
    expect_out(b, DNS_OUT_REPLY);
    assert_int_equal(b->out.reply.client.id, 9);
    assert_int_equal(b->out.reply.size, size);
    assert_memory_equal(b->out.reply.bytes, asked, 2);
    assert_memory_equal(b->out.reply.bytes + 12, asked + 12, 17);
    assert_memory_equal(b->out.reply.bytes + 29, bytes + 29, size - 29);
    expect_done(b, upstream);
    expect_none(b);
    assert_int_equal(dns_deadline(b->dns), INSTANT_NEVER);
    /* Once. */
    dns_upstream_reply(b->dns, b->now, 0, bytes, size);
    expect_none(b);
    assert_int_equal(count(b, DNS_COUNTER_UPSTREAM_STRAY), 1);
}

static void ignores_strays(void **state)
{
    struct bench *b = *state;
    uint8_t bytes[512];
    ask(b, 1, "www.example.com", false, NULL);
    expect_upstream(b, 0);
    size_t size = answer(b, bytes, 0, false, fine);
    dns_upstream_reply(b->dns, b->now, 1, bytes, size); /* a server that was not asked */
    dns_upstream_reply(b->dns, b->now, 99, bytes, size);
    bytes[0] ^= 1; /* another id */
    dns_upstream_reply(b->dns, b->now, 0, bytes, size);
    bytes[0] ^= 1;
    bytes[14] = 'x'; /* another question */
    dns_upstream_reply(b->dns, b->now, 0, bytes, size);
    bytes[14] = 'w';
    bytes[30] = 28; /* another type */
    dns_upstream_reply(b->dns, b->now, 0, bytes, size);
    bytes[30] = 1;
    bytes[2] &= 0x7f; /* not a response */
    dns_upstream_reply(b->dns, b->now, 0, bytes, size);
    bytes[2] |= 0x80;
    bytes[5] = 0; /* no question, and yet an answer */
    dns_upstream_reply(b->dns, b->now, 0, bytes, size);
    bytes[5] = 1;
    expect_none(b);
    assert_int_equal(count(b, DNS_COUNTER_UPSTREAM_STRAY), 7);
    dns_upstream_reply(b->dns, b->now, 0, bytes, size);
    expect_out(b, DNS_OUT_REPLY);
}

static void tries_next_server(void **state)
{
    struct bench *b = *state;
    ask(b, 1, "www.example.com", false, NULL);
    expect_upstream(b, 0);
    uint64_t upstream = b->out.upstream.upstream;
    b->now = dns_deadline(b->dns);
    dns_advance(b->dns, b->now);
    expect_upstream(b, 1);
    assert_int_equal(b->out.upstream.upstream, upstream);
    /* Late, but it is an answer. */
    reply(b, 0, 0, fine);
    expect_out(b, DNS_OUT_REPLY);
    expect_done(b, upstream);

    /* Three tries, then words. */
    ask(b, 2, "www.example.com", false, NULL);
    for (unsigned i = 0; i < 3; i++) {
        expect_upstream(b, i % 2);
        b->now = dns_deadline(b->dns);
        dns_advance(b->dns, b->now);
    }
    expect_trouble(b, 2, LDNS_RCODE_SERVFAIL, DNS_EDE_NO_REACHABLE_AUTHORITY,
                   "no upstream DNS server answered in time");
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_none(b);
    assert_int_equal(count(b, DNS_COUNTER_UPSTREAM_TIMEOUT), 4);

    /* The one that answered is asked first next time. */
    ask(b, 3, "www.example.com", false, NULL);
    expect_upstream(b, 0);
    dns_upstream_failed(b->dns, b->now, b->out.upstream.upstream, 0);
    expect_upstream(b, 1);
    dns_upstream_failed(b->dns, b->now, b->out.upstream.upstream, 0); /* known already */
    expect_none(b);
    reply(b, 1, LDNS_RCODE_NXDOMAIN, NULL);
    expect_out(b, DNS_OUT_REPLY);
    assert_int_equal(b->out.reply.bytes[3] & 15, LDNS_RCODE_NXDOMAIN);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    ask(b, 4, "www.example.com", false, NULL);
    expect_upstream(b, 1);
}

static void passes_over_the_unwilling(void **state)
{
    struct bench *b = *state;
    ask(b, 1, "www.example.com", false, NULL);
    expect_upstream(b, 0);
    reply(b, 0, LDNS_RCODE_REFUSED, NULL);
    expect_upstream(b, 1);
    reply(b, 1, LDNS_RCODE_SERVFAIL, NULL); /* nobody is left: it is passed on */
    expect_out(b, DNS_OUT_REPLY);
    assert_int_equal(b->out.reply.bytes[3] & 15, LDNS_RCODE_SERVFAIL);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    /* A server that does not understand the message may answer without question. */
    ask(b, 2, "www.example.com", false, NULL);
    expect_upstream(b, 1);
    uint8_t header[12] = {b->sent[0], b->sent[1], 0x81, 0x81};
    dns_upstream_reply(b->dns, b->now, 1, header, sizeof header);
    expect_out(b, DNS_OUT_REPLY);
    assert_int_equal(b->out.reply.size, sizeof header);
    assert_int_equal(b->out.reply.bytes[0], 0x55);
}

static void refuses_rebinding(void **state)
{
    struct bench *b = *state;
    static const char *const evil[][3] = {
        {"www.example.com. 60 IN A 198.18.0.1"},
        {"www.example.com. 60 IN A 192.0.2.1", "x.org. 60 IN AAAA fd12:3456:789a::1"},
        {"www.example.com. 60 IN AAAA ::ffff:198.19.1.1"},
    };
    for (unsigned i = 0; i < 3; i++) {
        ask(b, i, "www.example.com", false, NULL);
        expect_upstream(b, 0);
        reply(b, 0, 0, evil[i]);
        expect_trouble(b, i, LDNS_RCODE_SERVFAIL, DNS_EDE_BLOCKED,
                       "rebinding: the foreign answer holds an address of the overlay pools");
        expect_out(b, DNS_OUT_UPSTREAM_DONE);
        expect_none(b);
    }
    assert_int_equal(count(b, DNS_COUNTER_REBINDING), 3);
}

static void handles_malformed_answers(void **state)
{
    struct bench *b = *state;
    uint8_t bytes[512];
    ask(b, 1, "www.example.com", false, NULL);
    expect_upstream(b, 0);
    size_t size = answer(b, bytes, 0, false, fine);
    dns_upstream_reply(b->dns, b->now, 0, bytes, size - 20);
    expect_upstream(b, 1); /* another server may do better */
    dns_upstream_reply(b->dns, b->now, 1, bytes, size - 20);
    expect_upstream(b, 0);
    dns_upstream_reply(b->dns, b->now, 0, bytes, size - 20);
    expect_trouble(b, 1, LDNS_RCODE_SERVFAIL, DNS_EDE_INVALID_DATA,
                   "the upstream DNS server's answer is malformed");
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    assert_int_equal(count(b, DNS_COUNTER_UPSTREAM_BAD), 3);
    dns_upstream_reply(b->dns, b->now, 0, bytes, 5);
    assert_int_equal(count(b, DNS_COUNTER_UPSTREAM_BAD), 4);

    /* Cut inside a record with TC set: the program is told to come over TCP, and there it goes over
     * TCP. */
    ask(b, 2, "www.example.com", false, NULL);
    expect_upstream(b, 0);
    size = answer(b, bytes, 0, true, fine);
    dns_upstream_reply(b->dns, b->now, 0, bytes, size - 20);
    expect_out(b, DNS_OUT_REPLY);
    assert_true(b->out.reply.bytes[2] & 2);
    assert_int_equal(b->out.reply.bytes[7], 0);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    ask(b, 3, "www.example.com", true, NULL);
    expect_upstream(b, 0);
    assert_true(b->out.upstream.tcp);
}

static void refuses_without_upstream(void **state)
{
    struct bench *b = *state;
    b->settings.upstream_count = 0;
    reload(b);
    ask(b, 1, "www.example.com", false, NULL);
    expect_trouble(b, 1, LDNS_RCODE_SERVFAIL, DNS_EDE_NO_REACHABLE_AUTHORITY,
                   "there is no upstream DNS server for names that are not overlay names");
    b->settings.only_overlay = true;
    reload(b);
    ask(b, 2, "www.example.com", false, NULL);
    expect_trouble(b, 2, LDNS_RCODE_REFUSED, DNS_EDE_NOT_SUPPORTED,
                   "only overlay names are reachable here");
    expect_none(b);
    assert_int_equal(count(b, DNS_COUNTER_FOREIGN_REFUSED), 1);
}

static void survives_floods(void **state)
{
    struct bench *b = *state;
    b->settings.foreign_max = 16;
    reload(b);
    char name[64];
    unsigned evicted = 0;
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "h%u.example.com", i);
        ask(b, i, name, false, NULL);
        while (dns_output(b->dns, &b->out))
            if (b->out.kind == DNS_OUT_REPLY) {
                assert_int_equal(b->out.reply.client.id, evicted); /* the oldest */
                assert_int_equal(b->out.reply.bytes[3] & 15, LDNS_RCODE_SERVFAIL);
                evicted++;
            }
    }
    assert_int_equal(evicted, 5000 - 16);
    struct dns_stats stats;
    dns_describe(b->dns, &stats);
    assert_int_equal(stats.foreign, 16);
    assert_int_equal(stats.count[DNS_COUNTER_EVICTED], evicted);
    /* The last one is alive. */
    ask(b, 6000, "www.example.com", false, NULL);
    expect_trouble(
        b, 5000 - 16, LDNS_RCODE_SERVFAIL, DNS_EDE_NOT_READY,
        "too many foreign names are being resolved at once; the oldest question gave way");
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_upstream(b, 0);
    reply(b, 0, 0, fine);
    expect_out(b, DNS_OUT_REPLY);
    assert_int_equal(b->out.reply.client.id, 6000);
}

static void restarts_at_reload(void **state)
{
    struct bench *b = *state;
    ask(b, 1, "www.example.com", false, NULL);
    expect_upstream(b, 0);
    dns_upstream_failed(b->dns, b->now, b->out.upstream.upstream, 0);
    expect_upstream(b, 1);
    ask(b, 2, "mail.example.com", false, NULL); /* not pulled: its index means nothing any more */
    b->settings.upstream_count = 1;
    reload(b);
    expect_upstream(b, 0);
    expect_upstream(b, 0);
    expect_none(b);
    b->settings.upstream_count = 0;
    reload(b);
    static const char words[] =
        "the upstream DNS servers were taken away while the question was under way";
    expect_trouble(b, 1, LDNS_RCODE_SERVFAIL, DNS_EDE_NOT_READY, words);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_trouble(b, 2, LDNS_RCODE_SERVFAIL, DNS_EDE_NOT_READY, words);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_none(b);
}

static void expect_resolved(struct bench *b, uint64_t lookup, unsigned addresses, const char *error)
{
    expect_out(b, DNS_OUT_RESOLVED);
    assert_int_equal(b->out.resolved.lookup, lookup);
    assert_int_equal(b->out.resolved.count, addresses);
    if (error)
        assert_string_equal(b->out.resolved.error, error);
    else
        assert_null(b->out.resolved.error);
}

static void looks_up(void **state)
{
    struct bench *b = *state;
    static const char *const v4[] = {"relay.example.org. 300 IN CNAME r.example.org.",
                                     "r.example.org. 200 IN A 192.0.2.1",
                                     "r.example.org. 100 IN A 192.0.2.2", NULL};
    static const char *const v6[] = {"r.example.org. 150 IN AAAA 2001:db8::1", NULL};
    dns_lookup(b->dns, b->now, 77, "relay.example.org");
    expect_upstream(b, 0);
    reply(b, 0, 0, v4);
    expect_upstream(b, 0);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_none(b);
    reply(b, 0, 0, v6);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_resolved(b, 77, 3, NULL);
    assert_int_equal(b->out.resolved.ttl, 100);
    static const char *const expected[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1"};
    for (unsigned i = 0; i < 3; i++) {
        char text[ADDRESS_TEXT];
        assert_string_equal(ip_address_format(&b->out.resolved.addresses[i], text), expected[i]);
    }
    assert_int_equal(dns_deadline(b->dns), INSTANT_NEVER);
}

static void looks_up_in_vain(void **state)
{
    struct bench *b = *state;
    static const char *const evil[] = {"relay.example.org. 300 IN A 198.18.0.1", NULL};
    dns_lookup(b->dns, b->now, 1, "web.west.ip");
    expect_resolved(b, 1, 0, "an overlay name, where a name of the underlay is needed");
    dns_lookup(b->dns, b->now, 2, "a..b");
    expect_resolved(b, 2, 0, "not a DNS name");

    dns_lookup(b->dns, b->now, 3, "relay.example.org");
    expect_upstream(b, 0);
    reply(b, 0, 0, evil);
    expect_upstream(b, 0);
    reply(b, 0, 0, NULL);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_resolved(b, 3, 0, "rebinding: the foreign answer holds an address of the overlay pools");

    dns_lookup(b->dns, b->now, 4, "relay.example.org");
    for (unsigned i = 0; i < 2; i++) {
        expect_upstream(b, 0);
        reply(b, 0, LDNS_RCODE_NXDOMAIN, NULL);
    }
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_resolved(b, 4, 0, "there is no such name");

    dns_lookup(b->dns, b->now, 5, "relay.example.org");
    for (unsigned i = 0; i < 3; i++) {
        b->now = dns_deadline(b->dns);
        dns_advance(b->dns, b->now);
    }
    while (dns_output(b->dns, &b->out) && b->out.kind != DNS_OUT_RESOLVED)
        ;
    assert_int_equal(b->out.resolved.lookup, 5);
    assert_string_equal(b->out.resolved.error, "no upstream DNS server answered in time");

    dns_lookup(b->dns, b->now, 6, "relay.example.org");
    dns_lookup_cancel(b->dns, 6);
    dns_lookup_cancel(b->dns, 6);
    while (dns_output(b->dns, &b->out))
        assert_int_not_equal(b->out.kind, DNS_OUT_RESOLVED);
    struct dns_stats stats;
    dns_describe(b->dns, &stats);
    assert_int_equal(stats.lookups, 0);
    b->settings.upstream_count = 0;
    reload(b);
    dns_lookup(b->dns, b->now, 7, "relay.example.org");
    expect_resolved(b, 7, 0, "there is no upstream DNS server");
}

static void looks_up_over_tcp(void **state)
{
    struct bench *b = *state;
    static const char *const v4[] = {"relay.example.org. 200 IN A 192.0.2.1", NULL};
    uint8_t bytes[512];
    dns_lookup(b->dns, b->now, 1, "relay.example.org");
    expect_upstream(b, 0);
    size_t size = answer(b, bytes, 0, true, v4);
    dns_upstream_reply(b->dns, b->now, 0, bytes, size - 14); /* cut, as it says */
    expect_upstream(b, 0);
    reply(b, 0, 0, NULL);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_upstream(b, 0);
    assert_true(b->out.upstream.tcp);
    size = answer(b, bytes, 0, true, v4);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_none(b);
    dns_upstream_reply(b->dns, b->now, 0, bytes, size);
    expect_out(b, DNS_OUT_UPSTREAM_DONE);
    expect_resolved(b, 1, 1, NULL);
}

static void frees_what_is_outstanding(void **state)
{
    struct bench *b = *state;
    ask(b, 1, "www.example.com", false, NULL);
    ask(b, 2, "web.west.ip", false, NULL);
    ask(b, 3, "2.1.18.198.in-addr.arpa", false, NULL);
    dns_lookup(b->dns, b->now, 4, "relay.example.org");
    dns_lookup(b->dns, b->now, 5, "web.west.ip");
    assert_int_not_equal(dns_deadline(b->dns), INSTANT_NEVER);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(forwards_intact),           TEST(ignores_strays),
        TEST(tries_next_server),         TEST(passes_over_the_unwilling),
        TEST(refuses_rebinding),         TEST(handles_malformed_answers),
        TEST(refuses_without_upstream),  TEST(survives_floods),
        TEST(restarts_at_reload),        TEST(looks_up),
        TEST(looks_up_in_vain),          TEST(looks_up_over_tcp),
        TEST(frees_what_is_outstanding),
    };
    return cmocka_run_group_tests_name("dns_forward", tests, NULL, NULL);
}
