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

/* One engine with two upstream servers, and what came out of it last. */
struct bench {
    struct seeded random;
    struct dns_settings settings;
    struct dns *dns;
    instant now;
    struct dns_out out;
    ldns_pkt *reply;
};

static void settings_fill(struct dns_settings *s)
{
    dns_settings_init(s);
    s->types[s->type_count++] = "ip";
    s->types[s->type_count++] = "ron";
    assert_true(ip_prefix_parse("198.18.0.0/15", &s->pool[0]));
    assert_true(ip_prefix_parse("fd12:3456:789a::/48", &s->pool[1]));
    s->upstream_count = 2;
}

static int set_up(void **state)
{
    struct bench *b = base_calloc(1, sizeof *b);
    seeded_init(&b->random, 1);
    settings_fill(&b->settings);
    const char *reason;
    b->dns = dns_new(&b->settings, &b->random.entropy, &reason);
    b->now = 100 * SECOND;
    *state = b;
    return b->dns ? 0 : -1;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    ldns_pkt_free(b->reply);
    dns_free(b->dns);
    free(b);
    return 0;
}

static void reload(struct bench *b)
{
    const char *reason;
    assert_true(dns_reload(b->dns, b->now, &b->settings, &reason));
}

/* A question built by ldns; its bytes into `out`. */
static size_t question(uint8_t *out, size_t room, const char *name, unsigned type, uint16_t id,
                       bool edns)
{
    ldns_pkt *pkt =
        ldns_pkt_query_new(ldns_dname_new_frm_str(name), type, LDNS_RR_CLASS_IN, LDNS_RD);
    ldns_pkt_set_id(pkt, id);
    if (edns)
        ldns_pkt_set_edns_udp_size(pkt, 1232);
    uint8_t *bytes;
    size_t size;
    assert_int_equal(ldns_pkt2wire(&bytes, pkt, &size), LDNS_STATUS_OK);
    assert_true(size <= room);
    memcpy(out, bytes, size);
    free(bytes);
    ldns_pkt_free(pkt);
    return size;
}

static void ask_as(struct bench *b, const struct dns_client *client, const char *name,
                   unsigned type)
{
    uint8_t bytes[512];
    size_t size = question(bytes, sizeof bytes, name, type, (uint16_t)(client->id + 1000), true);
    dns_query(b->dns, b->now, client, bytes, size);
}

static void ask(struct bench *b, uint64_t client, const char *name, unsigned type)
{
    ask_as(b, &(struct dns_client){.id = client, .user = 1000}, name, type);
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

/* The next output is a reply to the client with this rcode; b->reply holds it. */
static void expect_reply(struct bench *b, uint64_t client, unsigned rcode)
{
    expect_out(b, DNS_OUT_REPLY);
    assert_int_equal(b->out.reply.client.id, client);
    ldns_pkt_free(b->reply);
    b->reply = NULL;
    assert_int_equal(ldns_wire2pkt(&b->reply, b->out.reply.bytes, b->out.reply.size),
                     LDNS_STATUS_OK);
    assert_true(ldns_pkt_qr(b->reply));
    assert_true(ldns_pkt_ra(b->reply));
    assert_int_equal(ldns_pkt_id(b->reply), client + 1000);
    assert_int_equal(ldns_pkt_get_rcode(b->reply), rcode);
}

/* The only answer record in zone file form; then the authority's, when there is no answer. */
static void expect_record(struct bench *b, const char *expected)
{
    bool answer = ldns_pkt_ancount(b->reply) > 0;
    ldns_rr_list *list = answer ? ldns_pkt_answer(b->reply) : ldns_pkt_authority(b->reply);
    assert_int_equal(ldns_rr_list_rr_count(list), 1);
    char *text = ldns_rr2str(ldns_rr_list_rr(list, 0));
    text[strcspn(text, "\n")] = '\0';
    assert_string_equal(text, expected);
    free(text);
}

/* The Extended DNS Error at the end of the reply. */
static void expect_words(struct bench *b, unsigned code, const char *text)
{
    const uint8_t *bytes = b->out.reply.bytes;
    size_t length = strlen(text), size = b->out.reply.size;
    assert_true(size > 6 + length);
    const uint8_t option[] = {0, 15, 0, (uint8_t)(length + 2), 0, (uint8_t)code};
    assert_memory_equal(bytes + size - length, text, length);
    assert_memory_equal(bytes + size - length - 6, option, 6);
}

static uint64_t count(const struct bench *b, enum dns_counter counter)
{
    struct dns_stats stats;
    dns_describe(b->dns, &stats);
    return stats.count[counter];
}

static void answer_addresses(struct bench *b, uint64_t id, const char *v4, const char *v6)
{
    struct dns_result result = {.kind = DNS_RESULT_ADDRESSES};
    assert_true(!v4 || ip_address_parse(v4, &result.v4));
    assert_true(!v6 || ip_address_parse(v6, &result.v6));
    dns_answer(b->dns, b->now, id, &result);
}

#define SOA_IP "\t5\tIN\tSOA\tip. nobody.invalid. 1 3600 600 86400 5"

static void answers_address(void **state)
{
    struct bench *b = *state;
    ask(b, 1, "WeB.west.IP", LDNS_RR_TYPE_A);
    expect_out(b, DNS_OUT_RESOLVE);
    assert_int_equal(b->out.resolve.chain.count, 1);
    assert_string_equal(b->out.resolve.chain.hop[0].text, "web.west.ip");
    assert_true(b->out.resolve.wants_v4);
    assert_false(b->out.resolve.wants_v6);
    assert_true(b->out.resolve.start);
    assert_int_equal(b->out.resolve.user, 1000);
    uint64_t id = b->out.resolve.question;
    expect_none(b);
    answer_addresses(b, id, "198.18.1.2", "fd12:3456:789a::2");
    expect_reply(b, 1, LDNS_RCODE_NOERROR);
    assert_true(ldns_pkt_aa(b->reply));
    expect_record(b, "WeB.west.IP.\t5\tIN\tA\t198.18.1.2");
    expect_none(b);
    /* The question is over: another answer to it is ignored. */
    answer_addresses(b, id, "198.18.1.3", NULL);
    expect_none(b);
}

static void shares_one_question(void **state)
{
    struct bench *b = *state;
    ask(b, 1, "web.west.ip", LDNS_RR_TYPE_A);
    ask(b, 2, "WEB.west.ip", LDNS_RR_TYPE_AAAA);
    ask(b, 3, "web.West.ip", LDNS_RR_TYPE_A);
    expect_out(b, DNS_OUT_RESOLVE);
    assert_true(b->out.resolve.wants_v4 && b->out.resolve.wants_v6);
    expect_none(b);
    answer_addresses(b, b->out.resolve.question, "198.18.1.2", NULL);
    expect_reply(b, 1, LDNS_RCODE_NOERROR);
    expect_record(b, "web.west.ip.\t5\tIN\tA\t198.18.1.2");
    expect_reply(b, 2, LDNS_RCODE_NOERROR); /* no address of that family: NODATA */
    assert_int_equal(ldns_pkt_ancount(b->reply), 0);
    expect_record(b, "ip." SOA_IP);
    expect_reply(b, 3, LDNS_RCODE_NOERROR);
    expect_record(b, "web.West.ip.\t5\tIN\tA\t198.18.1.2");
    expect_none(b);
    assert_int_equal(count(b, DNS_COUNTER_SHARED), 2);
}

static void answers_chain(void **state)
{
    struct bench *b = *state;
    ask(b, 1, "web.lab.ron.via.gate.west.ip", LDNS_RR_TYPE_AAAA);
    expect_out(b, DNS_OUT_RESOLVE);
    assert_int_equal(b->out.resolve.chain.count, 2);
    assert_string_equal(b->out.resolve.chain.hop[0].text, "gate.west.ip");
    assert_string_equal(b->out.resolve.chain.hop[1].text, "web.lab.ron");
    answer_addresses(b, b->out.resolve.question, NULL, "fd12:3456:789a::9");
    expect_reply(b, 1, LDNS_RCODE_NOERROR);
    expect_record(b, "web.lab.ron.via.gate.west.ip.\t5\tIN\tAAAA\tfd12:3456:789a::9");
}

static void answers_negative(void **state)
{
    struct bench *b = *state;
    static const struct {
        struct dns_result result;
        unsigned rcode;
    } rows[] = {
        {{.kind = DNS_RESULT_NO_SUCH_HOST}, LDNS_RCODE_NXDOMAIN},
        {{.kind = DNS_RESULT_NO_SUCH_HOST, .text = "west.ip has no member web"},
         LDNS_RCODE_NXDOMAIN},
        {{.kind = DNS_RESULT_NO_DATA}, LDNS_RCODE_NOERROR},
        {{.kind = DNS_RESULT_TROUBLE, .ede = DNS_EDE_NETWORK_ERROR, .text = "gate does not answer"},
         LDNS_RCODE_SERVFAIL},
    };
    for (unsigned i = 0; i < 4; i++) {
        ask(b, i, "web.west.ip", LDNS_RR_TYPE_A);
        expect_out(b, DNS_OUT_RESOLVE);
        dns_answer(b->dns, b->now, b->out.resolve.question, &rows[i].result);
        expect_reply(b, i, rows[i].rcode);
        assert_true(ldns_pkt_aa(b->reply));
        assert_int_equal(ldns_pkt_ancount(b->reply), 0);
        if (rows[i].rcode != LDNS_RCODE_SERVFAIL)
            expect_record(b, "ip." SOA_IP);
        if (rows[i].result.text)
            expect_words(b, rows[i].result.ede, rows[i].result.text);
    }
}

static void starts_nothing_for_other_types(void **state)
{
    struct bench *b = *state;
    static const unsigned types[] = {
        LDNS_RR_TYPE_SRV, 65,  64, LDNS_RR_TYPE_TXT,   LDNS_RR_TYPE_ANY, LDNS_RR_TYPE_MX,
        LDNS_RR_TYPE_NS,  257, 55, LDNS_RR_TYPE_CNAME, LDNS_RR_TYPE_PTR, LDNS_RR_TYPE_SOA};
    for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++) {
        ask(b, i, "_sip._tcp.web.west.ip", types[i]);
        expect_reply(b, i, LDNS_RCODE_NOERROR);
        assert_int_equal(ldns_pkt_ancount(b->reply), 0);
        expect_record(b, "ip." SOA_IP);
        expect_none(b);
    }
    /* The zone itself, and an instance: they exist, without addresses. */
    ask(b, 20, "ip", LDNS_RR_TYPE_A);
    expect_reply(b, 20, LDNS_RCODE_NOERROR);
    ask(b, 21, "west.ip", LDNS_RR_TYPE_A);
    expect_reply(b, 21, LDNS_RCODE_NOERROR);
    expect_record(b, "ip." SOA_IP);
    ask(b, 22, "IP", LDNS_RR_TYPE_SOA);
    expect_reply(b, 22, LDNS_RCODE_NOERROR);
    assert_int_equal(ldns_pkt_ancount(b->reply), 1);
    expect_record(b, "IP.\t5\tIN\tSOA\tIP. nobody.invalid. 1 3600 600 86400 5");
    expect_none(b);
}

static void refuses_malformed_names(void **state)
{
    struct bench *b = *state;
    static const char *const names[] = {"via.gate.west.ip",
                                        "x.west.ip.via.via.gate.west.ip",
                                        "a\\.b.west.ip",
                                        "-x.west.ip",
                                        "we_b.west.ip",
                                        "x\\000y.west.ip",
                                        "x.via.x.west.ip.via.ron.ip"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        ask(b, i, names[i], LDNS_RR_TYPE_A);
        expect_reply(b, i, LDNS_RCODE_NXDOMAIN);
        expect_record(b, "ip." SOA_IP);
        /* Words are there, whatever they are. */
        assert_true(ldns_pkt_edns(b->reply));
        assert_non_null(ldns_pkt_edns_data(b->reply));
        expect_none(b);
    }
}

static void answers_reverse(void **state)
{
    struct bench *b = *state;
    ask(b, 1, "2.1.18.198.IN-addr.arpa", LDNS_RR_TYPE_PTR);
    expect_out(b, DNS_OUT_PTR);
    struct ip_address ip;
    assert_true(ip_address_parse("198.18.1.2", &ip));
    assert_true(ip_address_equal(&b->out.ptr.address, &ip));
    dns_answer(b->dns, b->now, b->out.ptr.question,
               &(struct dns_result){.kind = DNS_RESULT_NAME, .name = "web.west.ip"});
    expect_reply(b, 1, LDNS_RCODE_NOERROR);
    expect_record(b, "2.1.18.198.IN-addr.arpa.\t5\tIN\tPTR\tweb.west.ip.");

    ask(b, 2, "3.1.18.198.in-addr.arpa", LDNS_RR_TYPE_PTR);
    expect_out(b, DNS_OUT_PTR);
    dns_answer(b->dns, b->now, b->out.ptr.question,
               &(struct dns_result){.kind = DNS_RESULT_NO_SUCH_HOST});
    expect_reply(b, 2, LDNS_RCODE_NXDOMAIN);
    expect_record(b, "18.198.in-addr.arpa.\t5\tIN\tSOA\t18.198.in-addr.arpa. nobody.invalid. 1 "
                     "3600 600 86400 5");

    /* Inside the pools nothing leaves the machine. */
    ask(b, 3, "18.198.in-addr.arpa", LDNS_RR_TYPE_PTR);
    expect_reply(b, 3, LDNS_RCODE_NOERROR);
    ask(b, 4, "x.2.1.18.198.in-addr.arpa", LDNS_RR_TYPE_PTR);
    expect_reply(b, 4, LDNS_RCODE_NXDOMAIN);
    ask(b, 5, "2.1.18.198.in-addr.arpa", LDNS_RR_TYPE_TXT);
    expect_reply(b, 5, LDNS_RCODE_NOERROR);
    ask(b, 6, "a.9.8.7.6.5.4.3.2.1.d.f.ip6.arpa", LDNS_RR_TYPE_NS);
    expect_reply(b, 6, LDNS_RCODE_NOERROR);
    expect_none(b);
    /* Outside they are foreign. */
    ask(b, 7, "2.1.20.198.in-addr.arpa", LDNS_RR_TYPE_PTR);
    expect_out(b, DNS_OUT_UPSTREAM);
}

static void times_out(void **state)
{
    struct bench *b = *state;
    assert_int_equal(dns_deadline(b->dns), INSTANT_NEVER);
    ask(b, 1, "web.west.ip", LDNS_RR_TYPE_A);
    expect_out(b, DNS_OUT_RESOLVE);
    uint64_t id = b->out.resolve.question;
    assert_int_equal(dns_deadline(b->dns), b->now + b->settings.answer_timeout);
    b->now = dns_deadline(b->dns) - 1;
    dns_advance(b->dns, b->now);
    expect_none(b);
    b->now++;
    dns_advance(b->dns, b->now);
    expect_reply(b, 1, LDNS_RCODE_SERVFAIL);
    expect_words(b, DNS_EDE_NO_REACHABLE_AUTHORITY, "no answer in time for web.west.ip");
    assert_int_equal(dns_deadline(b->dns), INSTANT_NEVER);
    answer_addresses(b, id, "198.18.1.2", NULL);
    expect_none(b);
}

static void honours_suffix(void **state)
{
    struct bench *b = *state;
    b->settings.suffix = "ov.Example.org";
    reload(b);
    ask(b, 1, "web.west.IP.ov.example.org", LDNS_RR_TYPE_A);
    expect_out(b, DNS_OUT_RESOLVE);
    assert_string_equal(b->out.resolve.chain.hop[0].text, "web.west.ip");
    answer_addresses(b, b->out.resolve.question, "198.18.1.2", NULL);
    expect_reply(b, 1, LDNS_RCODE_NOERROR);
    expect_record(b, "web.west.IP.ov.example.org.\t5\tIN\tA\t198.18.1.2");
    ask(b, 2, "www.ov.example.org", LDNS_RR_TYPE_A);
    expect_reply(b, 2, LDNS_RCODE_NXDOMAIN);
    expect_record(
        b, "ov.example.org.\t5\tIN\tSOA\tov.example.org. nobody.invalid. 1 3600 600 86400 5");
    ask(b, 3, "ov.example.org", LDNS_RR_TYPE_A);
    expect_reply(b, 3, LDNS_RCODE_NOERROR);
    ask(b, 4, "example.org", LDNS_RR_TYPE_A);
    expect_out(b, DNS_OUT_UPSTREAM);
    /* The same chain with and without the suffix is one question. */
    ask(b, 5, "web.west.ip", LDNS_RR_TYPE_A);
    expect_out(b, DNS_OUT_RESOLVE);
    ask(b, 6, "web.west.ip.ov.example.org", LDNS_RR_TYPE_A);
    expect_none(b);
}

static void strangers_start_nothing(void **state)
{
    struct bench *b = *state;
    const struct dns_client stranger = {.id = 1, .stranger = true};
    ask_as(b, &stranger, "web.west.ip", LDNS_RR_TYPE_A);
    expect_out(b, DNS_OUT_RESOLVE);
    assert_false(b->out.resolve.start);
    /* A program's question for the same chain is not held back by it. */
    ask(b, 2, "web.west.ip", LDNS_RR_TYPE_A);
    expect_out(b, DNS_OUT_RESOLVE);
    assert_true(b->out.resolve.start);
    ask_as(b, &stranger, "www.example.com", LDNS_RR_TYPE_A);
    expect_reply(b, 1, LDNS_RCODE_REFUSED);
    ask_as(b, &stranger, "2.1.18.198.in-addr.arpa", LDNS_RR_TYPE_PTR);
    expect_reply(b, 1, LDNS_RCODE_REFUSED);
    expect_none(b);
}

static void answers_bad_messages(void **state)
{
    struct bench *b = *state;
    const struct dns_client client = {.id = 1};
    uint8_t bytes[512];
    size_t size = question(bytes, sizeof bytes, "web.west.ip", LDNS_RR_TYPE_A, 1001, false);
    for (size_t cut = 0; cut < size; cut++) {
        dns_query(b->dns, b->now, &client, bytes, cut);
        if (cut < 12) {
            expect_none(b);
            continue;
        }
        expect_out(b, DNS_OUT_REPLY);
        assert_int_equal(b->out.reply.bytes[3] & 15, DNS_RCODE_FORMERR);
        expect_none(b);
    }
    bytes[2] |= 0x80;
    dns_query(b->dns, b->now, &client, bytes, size);
    expect_none(b);
    struct dns_stats stats;
    dns_describe(b->dns, &stats);
    assert_int_equal(drop_read(&stats.drops, DROP_TRUNCATED), 12);
    assert_int_equal(drop_read(&stats.drops, DROP_GARBAGE), 1);
    assert_int_equal(stats.count[DNS_COUNTER_MALFORMED], size - 12);

    bytes[2] = 0x11; /* STATUS, RD */
    dns_query(b->dns, b->now, &client, bytes, size);
    expect_out(b, DNS_OUT_REPLY);
    assert_int_equal(b->out.reply.bytes[3] & 15, DNS_RCODE_NOTIMP);
    bytes[2] = 1;
    bytes[size - 1] = 3;
    dns_query(b->dns, b->now, &client, bytes, size);
    expect_reply(b, 1, LDNS_RCODE_REFUSED);
}

static void limits_questions(void **state)
{
    struct bench *b = *state;
    b->settings.questions_max = 10;
    b->settings.askers_max = 14;
    b->settings.askers_user_max = 12;
    reload(b);
    char name[64];
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "h%u.west.ip", i);
        ask(b, i, name, LDNS_RR_TYPE_A);
        expect_out(b, DNS_OUT_RESOLVE);
    }
    ask(b, 10, "h10.west.ip", LDNS_RR_TYPE_A); /* an eleventh question */
    expect_reply(b, 10, LDNS_RCODE_SERVFAIL);
    expect_words(b, DNS_EDE_NOT_READY,
                 "too many overlay names are being resolved at once; try again in a moment");
    ask(b, 11, "h0.west.ip", LDNS_RR_TYPE_A);
    ask(b, 12, "h0.west.ip", LDNS_RR_TYPE_A);
    expect_none(b);
    ask(b, 13, "h0.west.ip", LDNS_RR_TYPE_A); /* the user's thirteenth */
    expect_reply(b, 13, LDNS_RCODE_SERVFAIL);
    expect_words(b, DNS_EDE_NOT_READY,
                 "this user has too many DNS questions under way; wait until some are answered");
    const struct dns_client other = {.id = 14, .user = 7};
    ask_as(b, &other, "h0.west.ip", LDNS_RR_TYPE_A);
    ask_as(b, &other, "h0.west.ip", LDNS_RR_TYPE_A);
    expect_none(b);
    ask_as(b, &other, "h0.west.ip", LDNS_RR_TYPE_A); /* the fifteenth of all */
    expect_reply(b, 14, LDNS_RCODE_SERVFAIL);
    struct dns_stats stats;
    dns_describe(b->dns, &stats);
    assert_int_equal(stats.questions, 10);
    assert_int_equal(stats.askers, 14);
    assert_int_equal(stats.count[DNS_COUNTER_LIMITED], 3);
    b->now += 5 * SECOND;
    dns_advance(b->dns, b->now);
    dns_describe(b->dns, &stats);
    assert_int_equal(stats.questions, 0);
    assert_int_equal(stats.askers, 0);
}

static void refuses_settings(void **state)
{
    struct bench *b = *state;
    const char *reason = NULL;
    struct dns_settings s = b->settings;
    s.types[1] = "r.n";
    assert_null(dns_new(&s, &b->random.entropy, &reason));
    assert_non_null(reason);
    s.types[1] = "via";
    assert_null(dns_new(&s, &b->random.entropy, &reason));
    s = b->settings;
    s.suffix = "a..b";
    assert_false(dns_reload(b->dns, b->now, &s, &reason));
    s = b->settings;
    s.upstream_count = DNS_SERVERS_MAX + 1;
    assert_false(dns_reload(b->dns, b->now, &s, &reason));
    s = b->settings;
    s.pool[0].length = 33;
    assert_false(dns_reload(b->dns, b->now, &s, &reason));
    s = b->settings;
    s.foreign_max = 60000;
    assert_false(dns_reload(b->dns, b->now, &s, &reason));
    /* The old settings are still in force. */
    ask(b, 1, "web.lab.ron", LDNS_RR_TYPE_A);
    expect_out(b, DNS_OUT_RESOLVE);
    for (unsigned i = 0; i < DNS_COUNTER_COUNT; i++)
        assert_true(*dns_counter_name(i) && *dns_counter_text(i));
}

/* Questions, answers and upstream messages with random bytes changed, in random order: no crash, no
 * leak, and nothing stays outstanding once the time is over. */
static void survives_mutations(void **state)
{
    struct bench *b = *state;
    struct entropy *random = &b->random.entropy;
    static const char *const names[] = {"web.west.ip", "www.example.com", "2.1.18.198.in-addr.arpa",
                                        "x.lab.ron.via.g.west.ip"};
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t bytes[512];
        size_t size = question(bytes, sizeof bytes, names[entropy_below(random, 4)],
                               entropy_below(random, 2) ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_PTR,
                               (uint16_t)round, entropy_below(random, 2));
        for (unsigned n = entropy_below(random, 4); n; n--)
            bytes[entropy_below(random, (uint32_t)size)] = (uint8_t)entropy_u32(random);
        dns_query(b->dns, b->now, &(struct dns_client){.tcp = round & 1}, bytes, size);
        while (dns_output(b->dns, &b->out)) {
            if (b->out.kind == DNS_OUT_UPSTREAM) {
                uint8_t back[512];
                size = b->out.upstream.size;
                memcpy(back, b->out.upstream.bytes, size);
                back[2] |= 0x80;
                for (unsigned n = entropy_below(random, 4); n; n--)
                    back[entropy_below(random, (uint32_t)size)] = (uint8_t)entropy_u32(random);
                dns_upstream_reply(b->dns, b->now, entropy_below(random, 3), back, size);
            } else if (b->out.kind == DNS_OUT_RESOLVE && entropy_below(random, 2)) {
                answer_addresses(b, b->out.resolve.question, "198.18.0.1", NULL);
            }
        }
        b->now += entropy_below(random, 100) * MILLISECOND;
        dns_advance(b->dns, b->now);
    }
    while (dns_deadline(b->dns) != INSTANT_NEVER) {
        b->now = dns_deadline(b->dns);
        dns_advance(b->dns, b->now);
    }
    struct dns_stats stats;
    dns_describe(b->dns, &stats);
    assert_int_equal(stats.questions + stats.askers + stats.foreign, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_address),
        TEST(shares_one_question),
        TEST(answers_chain),
        TEST(answers_negative),
        TEST(starts_nothing_for_other_types),
        TEST(refuses_malformed_names),
        TEST(answers_reverse),
        TEST(times_out),
        TEST(honours_suffix),
        TEST(strangers_start_nothing),
        TEST(answers_bad_messages),
        TEST(limits_questions),
        TEST(refuses_settings),
        TEST(survives_mutations),
    };
    return cmocka_run_group_tests_name("dns", tests, NULL, NULL);
}
