#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "dns/dns.h"
#include "dns/dns_message.h"
#include "tests/support/seeded.h"

/* A question for wEb.Lab.ip, type A, id 0x1234, RD, nothing else. */
static const uint8_t plain_question[] = {0x12, 0x34, 0x01, 0x00, 0,   1,   0, 0,   0,   0,
                                         0,    0,    3,    'w',  'E', 'b', 3, 'L', 'a', 'b',
                                         2,    'i',  'p',  0,    0,   1,   0, 1};
/* OPT: root, type 41, size 4096, extended rcode 0, version 0, DO, no options. */
static const uint8_t opt_record[] = {0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, 0};

/* The plain question with flags, counts and trailing bytes of one's own. */
static size_t message(uint8_t *out, size_t room, uint16_t flags, uint16_t questions,
                      uint16_t additional, const void *tail, size_t tail_size)
{
    struct writer w = writer_over(out, room);
    write_u16(&w, 0x1234);
    write_u16(&w, flags);
    write_u16(&w, questions);
    write_u16(&w, 0);
    write_u16(&w, 0);
    write_u16(&w, additional);
    write_bytes(&w, plain_question + 12, sizeof plain_question - 12);
    write_bytes(&w, tail, tail_size);
    assert_false(w.failed);
    return writer_size(&w);
}

static void parses_plain(void **state)
{
    struct dns_ask ask;
    uint16_t rcode;
    assert_int_equal(dns_message_parse(plain_question, sizeof plain_question, &ask, &rcode),
                     DNS_PARSE_QUESTION);
    assert_int_equal(ask.id, 0x1234);
    assert_int_equal(ask.type, DNS_TYPE_A);
    assert_true(ask.rd);
    assert_false(ask.edns);
    assert_int_equal(ask.udp_limit, 512);
    assert_int_equal(ask.name.labels, 3);
    assert_memory_equal(ask.name.bytes, plain_question + 12, ask.name.size);
    char text[NAME_TEXT];
    assert_true(dns_name_text(&ask.name, 3, text));
    assert_string_equal(text, "wEb.Lab.ip");
}

static void parses_edns(void **state)
{
    uint8_t bytes[512], opt[32];
    struct dns_ask ask;
    uint16_t rcode;
    /* size in the OPT record, what is honoured */
    static const uint16_t sizes[][2] = {
        {0, 512}, {511, 512}, {513, 513}, {1232, 1232}, {65535, 1232}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memcpy(opt, opt_record, sizeof opt_record);
        opt[3] = (uint8_t)(sizes[i][0] >> 8);
        opt[4] = (uint8_t)sizes[i][0];
        size_t size = message(bytes, sizeof bytes, 0x0100, 1, 1, opt, sizeof opt_record);
        assert_int_equal(dns_message_parse(bytes, size, &ask, &rcode), DNS_PARSE_QUESTION);
        assert_true(ask.edns);
        assert_true(ask.dnssec_ok);
        assert_int_equal(ask.udp_limit, sizes[i][1]);
    }
}

static void refuses(void **state)
{
    uint8_t bytes[512], opt[2 * sizeof opt_record];
    struct dns_ask ask;
    uint16_t rcode;
    for (size_t size = 0; size < 12; size++)
        assert_int_equal(dns_message_parse(plain_question, size, &ask, &rcode), DNS_PARSE_DROP);
    for (size_t size = 12; size < sizeof plain_question; size++) {
        assert_int_equal(dns_message_parse(plain_question, size, &ask, &rcode), DNS_PARSE_ERROR);
        assert_int_equal(rcode, DNS_RCODE_FORMERR);
        assert_int_equal(ask.id, 0x1234);
    }
    size_t size = message(bytes, sizeof bytes, 0x8100, 1, 0, NULL, 0); /* QR */
    assert_int_equal(dns_message_parse(bytes, size, &ask, &rcode), DNS_PARSE_DROP);

    size = message(bytes, sizeof bytes, 0x2900, 1, 0, NULL, 0); /* UPDATE */
    assert_int_equal(dns_message_parse(bytes, size, &ask, &rcode), DNS_PARSE_ERROR);
    assert_int_equal(rcode, DNS_RCODE_NOTIMP);
    assert_int_equal(ask.opcode, 5);

    size =
        message(bytes, sizeof bytes, 0x0100, 2, 0, plain_question + 12, sizeof plain_question - 12);
    assert_int_equal(dns_message_parse(bytes, size, &ask, &rcode), DNS_PARSE_ERROR);
    assert_int_equal(rcode, DNS_RCODE_FORMERR);
    size = message(bytes, sizeof bytes, 0x0100, 0, 0, NULL, 0);
    assert_int_equal(dns_message_parse(bytes, size, &ask, &rcode), DNS_PARSE_ERROR);
    assert_int_equal(rcode, DNS_RCODE_FORMERR);

    memcpy(opt, opt_record, sizeof opt_record);
    memcpy(opt + sizeof opt_record, opt_record, sizeof opt_record);
    size = message(bytes, sizeof bytes, 0x0100, 1, 2, opt, sizeof opt);
    assert_int_equal(dns_message_parse(bytes, size, &ask, &rcode), DNS_PARSE_ERROR);
    assert_int_equal(rcode, DNS_RCODE_FORMERR);

    opt[6] = 1; /* EDNS version */
    size = message(bytes, sizeof bytes, 0x0100, 1, 1, opt, sizeof opt_record);
    assert_int_equal(dns_message_parse(bytes, size, &ask, &rcode), DNS_PARSE_ERROR);
    assert_int_equal(rcode, DNS_RCODE_BADVERS);

    size = message(bytes, sizeof bytes, 0x0100, 1, 0, NULL, 0);
    bytes[size - 1] = 3; /* class CH */
    assert_int_equal(dns_message_parse(bytes, size, &ask, &rcode), DNS_PARSE_ERROR);
    assert_int_equal(rcode, DNS_RCODE_REFUSED);
}

static void refuses_bad_names(void **state)
{
    struct dns_ask ask;
    uint16_t rcode;
    static const uint8_t header[12] = {0x12, 0x34, 1, 0, 0, 1};
    /* A pointer to itself, two that point at each other, one beyond the end, forward, a reserved
     * label type. */
    static const uint8_t names[][6] = {{0xc0, 12, 0, 1, 0, 1},   {0xc0, 14, 0xc0, 12, 0, 1},
                                       {0xff, 0xff, 0, 1, 0, 1}, {1, 'a', 0xc0, 12, 0, 1},
                                       {0x40, 0, 0, 1, 0, 1},    {0x80, 0, 0, 1, 0, 1}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        uint8_t bytes[sizeof header + sizeof names[0] + 4] = {0};
        memcpy(bytes, header, sizeof header);
        memcpy(bytes + sizeof header, names[i], sizeof names[i]);
        assert_int_equal(dns_message_parse(bytes, sizeof bytes, &ask, &rcode), DNS_PARSE_ERROR);
        assert_int_equal(rcode, DNS_RCODE_FORMERR);
    }
    /* 5 labels of 63 characters: longer than a name can be. */
    uint8_t bytes[12 + 5 * 64 + 5] = {0};
    memcpy(bytes, header, sizeof header);
    for (unsigned i = 0; i < 5; i++) {
        bytes[12 + i * 64] = 63;
        memset(bytes + 13 + i * 64, 'a', 63);
    }
    bytes[sizeof bytes - 1] = bytes[sizeof bytes - 3] = 1;
    assert_int_equal(dns_message_parse(bytes, sizeof bytes, &ask, &rcode), DNS_PARSE_ERROR);
}

static struct dns_ask ask_of(bool edns)
{
    struct dns_ask ask;
    uint16_t rcode;
    uint8_t bytes[512];
    size_t size =
        message(bytes, sizeof bytes, 0x0110, 1, edns, opt_record, edns ? sizeof opt_record : 0);
    assert_int_equal(dns_message_parse(bytes, size, &ask, &rcode), DNS_PARSE_QUESTION);
    return ask;
}

static void replies_address(void **state)
{
    struct dns_ask ask = ask_of(false);
    struct ip_address ip;
    assert_true(ip_address_parse("198.18.7.9", &ip));
    struct dns_content content = {
        .authoritative = true, .address = &ip, .ttl = 5, .zone_labels = 1};
    size_t size;
    bool truncated;
    uint8_t *bytes = dns_message_reply(&ask, &content, 512, &size, &truncated);
    assert_non_null(bytes);
    assert_false(truncated);
    /* QR AA RD, RA CD, no error; one question, one answer, its name a pointer to the question's. */
    static const uint8_t header[] = {0x12, 0x34, 0x85, 0x90, 0, 1, 0, 1, 0, 0, 0, 0};
    static const uint8_t answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 198, 18, 7, 9};
    assert_int_equal(size, sizeof plain_question + sizeof answer);
    assert_memory_equal(bytes, header, sizeof header);
    assert_memory_equal(bytes + 12, plain_question + 12, sizeof plain_question - 12);
    assert_memory_equal(bytes + sizeof plain_question, answer, sizeof answer);
    free(bytes);
}

static void replies_with_words(void **state)
{
    struct dns_ask ask = ask_of(true);
    struct dns_content content = {.rcode = DNS_RCODE_SERVFAIL,
                                  .ede = true,
                                  .ede_code = DNS_EDE_NETWORK_ERROR,
                                  .ede_text = "no\tway\\"};
    size_t size;
    bool truncated;
    uint8_t *bytes = dns_message_reply(&ask, &content, 512, &size, &truncated);
    assert_non_null(bytes);
    /* OPT: size 1232, DO, option 15 of 2 + 13 bytes: code 23 and the escaped text. */
    static const uint8_t opt[] = {0,   0,   41,  4,   0xd0, 0,   0,    0x80, 0,   0,
                                  19,  0,   15,  0,   15,   0,   23,   'n',  'o', '\\',
                                  'x', '0', '9', 'w', 'a',  'y', '\\', 'x',  '5', 'c'};
    assert_int_equal(bytes[3] & 15, DNS_RCODE_SERVFAIL);
    assert_int_equal(bytes[11], 1);
    assert_int_equal(size, sizeof plain_question + sizeof opt);
    assert_memory_equal(bytes + sizeof plain_question, opt, sizeof opt);
    free(bytes);

    /* Without EDNS in the question there is none in the reply. */
    ask = ask_of(false);
    bytes = dns_message_reply(&ask, &content, 512, &size, &truncated);
    assert_non_null(bytes);
    assert_int_equal(size, sizeof plain_question);
    assert_int_equal(bytes[11], 0);
    free(bytes);
}

static void replies_negative(void **state)
{
    struct dns_ask ask = ask_of(false);
    struct dns_content content = {
        .rcode = DNS_RCODE_NXDOMAIN, .authoritative = true, .zone_labels = 2, .negative_ttl = 7};
    size_t size;
    bool truncated;
    uint8_t *bytes = dns_message_reply(&ask, &content, 512, &size, &truncated);
    ldns_pkt *pkt;
    assert_non_null(bytes);
    assert_int_equal(ldns_wire2pkt(&pkt, bytes, size), LDNS_STATUS_OK);
    assert_int_equal(ldns_pkt_get_rcode(pkt), LDNS_RCODE_NXDOMAIN);
    assert_int_equal(ldns_pkt_ancount(pkt), 0);
    assert_int_equal(ldns_pkt_nscount(pkt), 1);
    char *text = ldns_rr2str(ldns_rr_list_rr(ldns_pkt_authority(pkt), 0));
    assert_string_equal(text, "Lab.ip.\t7\tIN\tSOA\tLab.ip. nobody.invalid. 1 3600 600 86400 7\n");
    free(text);
    ldns_pkt_free(pkt);
    free(bytes);
}

static void cuts_to_limit(void **state)
{
    struct dns_ask ask = ask_of(true);
    char text[400];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct ip_address ip;
    assert_true(ip_address_parse("fd00::1", &ip));
    ask.type = DNS_TYPE_AAAA;
    struct dns_content content = {.address = &ip, .ede = true, .ede_text = text};
    size_t full, size;
    bool truncated;
    free(dns_message_reply(&ask, &content, 65535, &full, &truncated));
    assert_false(truncated);
    assert_int_equal(full, sizeof plain_question + 28 + 11 + 4 + 2 + DNS_EDE_TEXT_MAX);

    /* One byte less: the words go, the answer stays. */
    uint8_t *bytes = dns_message_reply(&ask, &content, full - 1, &size, &truncated);
    assert_false(truncated);
    assert_int_equal(size, full - DNS_EDE_TEXT_MAX);
    assert_int_equal(bytes[7], 1);
    assert_false(bytes[2] & 2);
    free(bytes);

    /* Less than the answer: TC, question and OPT only. */
    bytes = dns_message_reply(&ask, &content, size - 1, &size, &truncated);
    assert_true(truncated);
    assert_int_equal(bytes[7], 0);
    assert_int_equal(bytes[11], 1);
    assert_true(bytes[2] & 2);
    free(bytes);
}

static void replies_to_unreadable(void **state)
{
    struct dns_ask ask;
    uint16_t rcode;
    assert_int_equal(dns_message_parse(plain_question, 20, &ask, &rcode), DNS_PARSE_ERROR);
    size_t size;
    bool truncated;
    uint8_t *bytes =
        dns_message_reply(&ask, &(struct dns_content){.rcode = rcode}, 512, &size, &truncated);
    static const uint8_t header[] = {0x12, 0x34, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(size, sizeof header);
    assert_memory_equal(bytes, header, sizeof header);
    free(bytes);

    /* BADVERS: the low bits in the header, the high ones in the OPT record. */
    ask = ask_of(true);
    bytes = dns_message_reply(&ask, &(struct dns_content){.rcode = DNS_RCODE_BADVERS}, 512, &size,
                              &truncated);
    assert_int_equal(bytes[3] & 15, 0);
    assert_int_equal(bytes[sizeof plain_question + 5], 1);
    assert_int_equal(bytes[sizeof plain_question + 6], 0);
    free(bytes);
}

static void builds_question(void **state)
{
    struct dns_name name;
    size_t size;
    assert_true(dns_name_from_text(&name, "relay.example.org."));
    uint8_t *bytes = dns_message_question(&name, DNS_TYPE_AAAA, 0xbeef, &size);
    struct dns_ask ask;
    uint16_t rcode;
    assert_non_null(bytes);
    assert_int_equal(dns_message_parse(bytes, size, &ask, &rcode), DNS_PARSE_QUESTION);
    assert_int_equal(ask.id, 0xbeef);
    assert_int_equal(ask.type, DNS_TYPE_AAAA);
    assert_true(ask.rd);
    assert_true(ask.edns);
    assert_int_equal(ask.udp_limit, 1232);
    assert_true(dns_name_equal(&ask.name, &name));
    free(bytes);
}

static void names(void **state)
{
    struct dns_name name, end;
    char text[NAME_TEXT];
    assert_false(dns_name_from_text(&name, "a..b"));
    assert_false(dns_name_from_text(&name, "."));
    assert_true(dns_name_from_text(&name, ""));
    assert_int_equal(name.labels, 0);
    char labels[300];
    memset(labels, 'a', sizeof labels);
    labels[64] = '\0';
    assert_false(dns_name_from_text(&name, labels));
    labels[63] = '\0';
    assert_true(dns_name_from_text(&name, labels));
    memset(labels, 'a', sizeof labels);
    for (unsigned i = 1; i < sizeof labels; i += 2)
        labels[i] = '.';
    labels[253] = '\0'; /* 127 labels: the most */
    assert_true(dns_name_from_text(&name, labels));
    assert_int_equal(name.labels, 127);
    assert_true(dns_name_text(&name, 127, text));
    assert_string_equal(text, labels);
    labels[253] = '.', labels[255] = '\0';
    assert_false(dns_name_from_text(&name, labels));

    assert_true(dns_name_from_text(&name, "a.OV.example.org"));
    assert_true(dns_name_from_text(&end, "ov.Example.org"));
    assert_true(dns_name_ends_with(&name, &end));
    assert_false(dns_name_ends_with(&end, &name));
    assert_true(dns_name_from_text(&name, "a.xov.example.org"));
    assert_false(dns_name_ends_with(&name, &end));

    /* A dot or a NUL inside a label does not pass for text. */
    static const uint8_t dotted[] = {3, 'a', '.', 'b', 2, 'i', 'p', 0};
    static const uint8_t nul[] = {3, 'a', 0, 'b', 2, 'i', 'p', 0};
    assert_true(dns_name_set(&name, dotted, sizeof dotted));
    assert_false(dns_name_text(&name, 2, text));
    assert_true(dns_name_set(&name, nul, sizeof nul));
    assert_false(dns_name_text(&name, 2, text));
    assert_false(dns_name_set(&name, nul, sizeof nul - 1));
}

/* Whatever arrives is parsed or refused; what is parsed can be answered. */
static void survives_mutations(void **state)
{
    struct seeded random;
    seeded_init(&random, 42);
    uint8_t base[sizeof plain_question + sizeof opt_record + 8], bytes[sizeof base];
    static const uint8_t option[] = {0, 10, 0, 4, 1, 2, 3, 4};
    size_t base_size = message(base, sizeof base, 0x0100, 1, 1, opt_record, sizeof opt_record);
    memcpy(base + base_size, option, sizeof option);
    base[base_size - 1] = sizeof option;
    for (unsigned round = 0; round < 20000; round++) {
        memcpy(bytes, base, sizeof base);
        for (unsigned n = 1 + entropy_below(&random.entropy, 6); n; n--)
            bytes[entropy_below(&random.entropy, sizeof bytes)] =
                (uint8_t)entropy_u32(&random.entropy);
        size_t size = entropy_below(&random.entropy, 4)
                          ? sizeof bytes
                          : entropy_below(&random.entropy, sizeof bytes + 1);
        /* On the heap, so that a read beyond the end is seen. */
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, bytes, size);
        struct dns_ask ask;
        uint16_t rcode = 0;
        if (dns_message_parse(exact, size, &ask, &rcode) != DNS_PARSE_DROP) {
            bool truncated;
            struct dns_content content = {.rcode = rcode, .zone_labels = ask.name.labels};
            uint8_t *reply = dns_message_reply(&ask, &content, ask.udp_limit, &size, &truncated);
            assert_non_null(reply);
            assert_true(size <= ask.udp_limit);
            free(reply);
        }
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_plain),
        cmocka_unit_test(parses_edns),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_bad_names),
        cmocka_unit_test(replies_address),
        cmocka_unit_test(replies_with_words),
        cmocka_unit_test(replies_negative),
        cmocka_unit_test(cuts_to_limit),
        cmocka_unit_test(replies_to_unreadable),
        cmocka_unit_test(builds_question),
        cmocka_unit_test(names),
        cmocka_unit_test(survives_mutations),
    };
    return cmocka_run_group_tests_name("dns_message", tests, NULL, NULL);
}
