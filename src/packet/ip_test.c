#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "packet/ip.h"
#include "tests/support/craft.h"
#include "tests/support/seeded.h"

static uint8_t bytes[2048];
static size_t size;
static struct ip_view view;

/* Parses from an allocation of just that size, so that ASan sees every byte read too many. */
static enum drop_reason parse_bytes(const uint8_t *from, size_t count)
{
    enum drop_reason reason = DROP_COUNT;
    uint8_t *exact = malloc(count ? count : 1);
    assert_non_null(exact);
    memcpy(exact, from, count);
    bool ok = ip_parse(exact, count, &view, &reason);
    free(exact);
    assert_int_equal(ok, reason == DROP_COUNT);
    return reason;
}

static enum drop_reason parse(const struct craft *c)
{
    size = craft_packet(bytes, c);
    return parse_bytes(bytes, size);
}

#define assert_parsed(...)                                                                         \
    do {                                                                                           \
        enum drop_reason reason_ = parse(&(struct craft){__VA_ARGS__});                            \
        if (reason_ != DROP_COUNT)                                                                 \
            fail_msg("refused: %s", drop_name(reason_));                                           \
        assert_int_equal(view.total, size);                                                        \
    } while (0)
#define assert_refused(expected, ...)                                                              \
    assert_string_equal(drop_name(parse(&(struct craft){__VA_ARGS__})), drop_name(DROP_##expected))

#define FOUR .source = "10.0.0.1", .destination = "198.18.0.9"
#define SIX  .source = "fd00::1", .destination = "2001:db8::9"

static void assert_address(const struct ip_address *ip, const char *text)
{
    char out[ADDRESS_TEXT];
    assert_string_equal(ip_address_format(ip, out), text);
}

static void test_tcp_udp(void **state)
{
    assert_parsed(FOUR, .protocol = 6, .source_port = 1000, .destination_port = 22, .tos = 0xB9,
                  .ttl = 7, .fragment = 0x4000, .payload_size = 10);
    assert_int_equal(view.version, 4);
    assert_int_equal(view.protocol, IP_TCP);
    assert_int_equal(view.ttl, 7);
    assert_int_equal(view.ecn, ECN_ECT1);
    assert_true(view.dont_fragment && view.has_ports && view.first_fragment);
    assert_false(view.fragment || view.is_icmp_error);
    assert_int_equal(view.header_size, 20);
    assert_int_equal(view.transport, 20);
    assert_int_equal(view.source_port, 1000);
    assert_int_equal(view.destination_port, 22);
    assert_address(&view.source, "10.0.0.1");
    assert_address(&view.destination, "198.18.0.9");

    assert_parsed(SIX, .protocol = 17, .source_port = 53, .destination_port = 0xFFFF, .tos = 0x02,
                  .payload_size = 1);
    assert_int_equal(view.version, 6);
    assert_int_equal(view.protocol, IP_UDP);
    assert_int_equal(view.ttl, 64);
    assert_int_equal(view.ecn, ECN_ECT0);
    assert_int_equal(view.header_size, 40);
    assert_int_equal(view.transport, 40);
    assert_int_equal(view.destination_port, 0xFFFF);
    assert_true(view.dont_fragment);
    assert_address(&view.source, "fd00::1");
    assert_address(&view.destination, "2001:db8::9");

    assert_parsed(FOUR, .protocol = 17);
    assert_false(view.dont_fragment);
    assert_parsed(FOUR, .protocol = 47, .payload_size = 3);
    assert_false(view.has_ports);
    assert_parsed(FOUR, .protocol = 47);
    assert_parsed(SIX, .protocol = 59);
}

static void test_icmp(void **state)
{
    assert_parsed(FOUR, .protocol = 1, .icmp_type = 8, .icmp_rest = 0xABCD0001, .payload_size = 56);
    assert_int_equal(view.icmp_type, 8);
    assert_true(view.has_ports);
    assert_int_equal(view.source_port, 0xABCD);
    assert_int_equal(view.destination_port, 0xABCD);
    assert_parsed(SIX, .protocol = 58, .icmp_type = 129, .icmp_rest = 0x12340001);
    assert_true(view.has_ports);
    assert_int_equal(view.source_port, 0x1234);
    assert_false(view.is_icmp_error);
    assert_parsed(FOUR, .protocol = 1, .icmp_type = 13);
    assert_false(view.has_ports || view.is_icmp_error);
    static const uint8_t errors4[] = {3, 4, 11, 12}, errors6[] = {1, 2, 3, 4};
    for (unsigned i = 0; i < 4; i++) {
        assert_parsed(FOUR, .protocol = 1, .icmp_type = errors4[i]);
        assert_true(view.is_icmp_error);
        assert_parsed(SIX, .protocol = 58, .icmp_type = errors6[i]);
        assert_true(view.is_icmp_error);
    }
    assert_refused(REDIRECT, FOUR, .protocol = 1, .icmp_type = 5);
    assert_refused(REDIRECT, SIX, .protocol = 58, .icmp_type = 137);
    for (uint8_t type = 133; type <= 136; type++)
        assert_refused(NEIGHBOUR_DISCOVERY, SIX, .protocol = 58, .icmp_type = type);
    /* The other family's ICMP is just a protocol. */
    assert_parsed(FOUR, .protocol = 58, .icmp_type = 135);
    assert_parsed(SIX, .protocol = 1, .icmp_type = 5);
    assert_false(view.is_icmp_error);
}

static void test_cut_short(void **state)
{
    const struct craft crafts[] = {
        {FOUR, .protocol = 6},
        {FOUR, .protocol = 17, .payload_size = 5},
        {FOUR, .protocol = 1, .icmp_type = 8},
        {SIX, .protocol = 6, .tcp_options = (const uint8_t *)"\1\1\1\1", .tcp_options_size = 4},
        {SIX, .protocol = 17, .payload_size = 5},
        {SIX, .protocol = 58, .icmp_type = 128},
        {SIX, .protocol = 17, .between = (const uint8_t *)"\21\0\1\4\0\0\0\0", .between_size = 8,
         .first_extension = 60},
    };
    for (size_t i = 0; i < sizeof crafts / sizeof *crafts; i++) {
        size_t whole = craft_packet(bytes, &crafts[i]);
        bool six = bytes[0] >> 4 == 6;
        for (size_t cut = 0; cut < whole; cut++) {
            enum drop_reason reason = parse_bytes(bytes, cut);
            assert_true(reason == DROP_TRUNCATED || reason == DROP_BAD_HEADER);
            /* The same with a header that tells the new size. */
            uint8_t copy[256];
            memcpy(copy, bytes, cut);
            if (cut >= 40 && six)
                copy[5] = (uint8_t)(cut - 40);
            else if (cut >= 20 && !six)
                copy[3] = (uint8_t)cut;
            assert_true(parse_bytes(copy, cut) != DROP_COUNT);
        }
        /* Bytes behind the packet are not part of it. */
        assert_int_equal(parse_bytes(bytes, whole + 3), DROP_COUNT);
        assert_int_equal(view.total, whole);
    }
}

/* Crafts a good packet, changes one byte, expects the reason. */
static enum drop_reason changed(const struct craft *c, size_t at, uint8_t value)
{
    size = craft_packet(bytes, c);
    bytes[at] = value;
    return parse_bytes(bytes, size);
}

static void test_contradictions(void **state)
{
    const struct craft tcp4 = {FOUR, .protocol = 6},
                       udp4 = {FOUR, .protocol = 17, .payload_size = 4},
                       tcp6 = {SIX, .protocol = 6};
    assert_int_equal(changed(&tcp4, 0, 0x55), DROP_NOT_IP);
    assert_int_equal(changed(&tcp4, 0, 0x05), DROP_NOT_IP);
    assert_int_equal(changed(&tcp4, 0, 0x44), DROP_BAD_HEADER); /* header of 16 bytes            */
    assert_int_equal(changed(&tcp4, 0, 0x4F), DROP_TRUNCATED);  /* header of 60 bytes            */
    assert_int_equal(changed(&tcp4, 3, 41), DROP_BAD_HEADER);   /* longer than there is          */
    assert_int_equal(changed(&tcp4, 3, 19), DROP_BAD_HEADER);   /* shorter than the header       */
    assert_int_equal(changed(&tcp4, 2, 0x80), DROP_BAD_HEADER);
    assert_int_equal(changed(&tcp4, 32, 0x40), DROP_BAD_HEADER); /* TCP header of 16 bytes        */
    assert_int_equal(changed(&tcp4, 32, 0x60), DROP_TRUNCATED);  /* of 24, with 20 there          */
    assert_int_equal(changed(&udp4, 25, 7), DROP_BAD_HEADER);    /* UDP length below its header   */
    assert_int_equal(changed(&udp4, 25, 13), DROP_BAD_HEADER);   /* UDP length beyond the packet  */
    assert_int_equal(changed(&udp4, 25, 10), DROP_COUNT);        /* a surplus of two: UDP options */
    assert_int_equal(changed(&tcp6, 5, 21), DROP_BAD_HEADER);
    assert_int_equal(changed(&tcp6, 52, 0x40), DROP_BAD_HEADER);
}

static void test_sources(void **state)
{
    assert_refused(MULTICAST, .source = "224.0.0.1", .destination = "10.0.0.1", .protocol = 17);
    assert_refused(MULTICAST, .source = "239.255.255.255", .destination = "10.0.0.1",
                   .protocol = 17);
    assert_refused(MULTICAST, .source = "255.255.255.255", .destination = "10.0.0.1",
                   .protocol = 17);
    assert_refused(MULTICAST, .source = "ff02::1", .destination = "fd00::1", .protocol = 17);
}

static void test_destinations(void **state)
{
    static const struct {
        const char *source, *destination;
        bool stays;
    } rows[] = {
        {"10.0.0.1", "198.18.0.1", false},     {"10.0.0.1", "224.0.0.251", true},
        {"10.0.0.1", "255.255.255.255", true}, {"10.0.0.1", "169.254.3.4", true},
        {"10.0.0.1", "169.253.3.4", false},    {"fd00::1", "fd00::2", false},
        {"fd00::1", "fe80::2", true},          {"fd00::1", "febf::2", true},
        {"fd00::1", "fec0::2", false},         {"fd00::1", "ff0e::2", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_parsed(.source = rows[i].source, .destination = rows[i].destination, .protocol = 17);
        assert_int_equal(ip_stays_on_link(&view), rows[i].stays);
    }
    assert_false(ip_address_is_multicast(&(struct ip_address){0}));
}

static void test_ip4_options(void **state)
{
    assert_parsed(FOUR, .protocol = 6, .between = (const uint8_t *)"\1\1\7\3\4\0\0\0",
                  .between_size = 8);
    assert_int_equal(view.header_size, 28);
    assert_int_equal(view.transport, 28);
    /* What stands behind the end of options is padding. */
    assert_parsed(FOUR, .protocol = 6, .between = (const uint8_t *)"\0\203\7\1", .between_size = 4);
    assert_refused(SOURCE_ROUTE, FOUR, .protocol = 6,
                   .between = (const uint8_t *)"\1\203\7\4\1\2\3\4", .between_size = 8);
    assert_refused(SOURCE_ROUTE, FOUR, .protocol = 6, .between = (const uint8_t *)"\211\3\4\0",
                   .between_size = 4);
    assert_refused(BAD_HEADER, FOUR, .protocol = 6, .between = (const uint8_t *)"\7\1\0\0",
                   .between_size = 4);
    assert_refused(BAD_HEADER, FOUR, .protocol = 6, .between = (const uint8_t *)"\7\0\0\0",
                   .between_size = 4);
    assert_refused(BAD_HEADER, FOUR, .protocol = 6, .between = (const uint8_t *)"\7\5\0\0",
                   .between_size = 4);
    assert_refused(BAD_HEADER, FOUR, .protocol = 6, .between = (const uint8_t *)"\1\1\1\7",
                   .between_size = 4);
}

static void test_ip4_fragments(void **state)
{
    assert_parsed(FOUR, .protocol = 6, .fragment = 0x2000, .payload_size = 12);
    assert_true(view.fragment && view.first_fragment && view.has_ports);
    assert_parsed(FOUR, .protocol = 17, .fragment = 0x2000, .payload_size = 16);
    assert_true(view.fragment && view.first_fragment && view.has_ports);
    assert_parsed(FOUR, .protocol = 6, .fragment = 0x0003, .payload_size = 11);
    assert_true(view.fragment && !view.first_fragment && !view.has_ports);
    assert_parsed(FOUR, .protocol = 1, .fragment = 0x2003, .payload_size = 8, .icmp_type = 5);
    assert_false(view.is_icmp_error);

    assert_refused(BAD_HEADER, FOUR, .protocol = 47, .fragment = 0x2000, .payload_size = 12);
    assert_refused(BAD_HEADER, FOUR, .protocol = 47, .fragment = 0x2000);
    assert_refused(BAD_HEADER, FOUR, .protocol = 47, .fragment = 0x1FFF, .payload_size = 8);
    assert_parsed(FOUR, .protocol = 47, .fragment = 0x1FFF, .payload_size = 7);
    /* Fragments that would reach into the TCP header, and a first one that is too short to hold it.
     */
    assert_refused(BAD_HEADER, FOUR, .protocol = 6, .fragment = 0x0001, .payload_size = 16);
    assert_refused(BAD_HEADER, FOUR, .protocol = 6, .fragment = 0x0002, .payload_size = 16);
    size = craft_packet(
        bytes, &(struct craft){FOUR, .protocol = 47, .fragment = 0x2000, .payload_size = 16});
    bytes[9] = 6;
    assert_int_equal(parse_bytes(bytes, size), DROP_TRUNCATED);
}

/* Extension headers in the order of the wire; each first byte names the next one. */
#define FRAGMENT_HEADER(next, offset_high, offset_low) next, 0, offset_high, offset_low, 0, 0, 0, 9

static void test_ip6_extensions(void **state)
{
    static const uint8_t several[] = {
        60, 0, 1, 4,  0, 0, 0, 0,                         /* hop-by-hop          */
        51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* destination options */
        17, 2, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* authentication      */
    };
    assert_parsed(SIX, .protocol = 17, .source_port = 9, .first_extension = 0, .between = several,
                  .between_size = sizeof several);
    assert_int_equal(view.transport, 40 + 8 + 16 + 16);
    assert_int_equal(view.protocol, IP_UDP);
    assert_true(view.has_ports);
    assert_int_equal(view.source_port, 9);

    static const uint8_t routing[] = {17, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                      0,  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    assert_refused(ROUTING_HEADER, SIX, .protocol = 17, .first_extension = 43, .between = routing,
                   .between_size = sizeof routing);
    static const uint8_t late_hop[] = {0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0};
    assert_refused(BAD_HEADER, SIX, .protocol = 17, .first_extension = 60, .between = late_hop,
                   .between_size = sizeof late_hop);
    static const uint8_t too_long[] = {17, 4, 1, 4, 0, 0, 0, 0};
    assert_refused(TRUNCATED, SIX, .protocol = 17, .first_extension = 60, .between = too_long,
                   .between_size = sizeof too_long, .payload_size = 23);

    /* Eight are walked, a ninth is not. */
    uint8_t many[9 * 8] = {0};
    for (unsigned i = 0; i < 9; i++)
        many[i * 8] = 60;
    many[7 * 8] = 17;
    assert_parsed(SIX, .protocol = 17, .first_extension = 60, .between = many, .between_size = 64);
    assert_int_equal(view.transport, 104);
    many[7 * 8] = 60;
    many[8 * 8] = 17;
    assert_refused(BAD_HEADER, SIX, .protocol = 17, .first_extension = 60, .between = many,
                   .between_size = 72);
}

static void test_ip6_fragments(void **state)
{
    static const uint8_t first[] = {FRAGMENT_HEADER(17, 0, 1)},
                         later[] = {FRAGMENT_HEADER(17, 0, 8)},
                         atomic[] = {FRAGMENT_HEADER(17, 0, 0)},
                         last[] = {FRAGMENT_HEADER(17, 0xFF, 0xF8)},
                         twice[] = {FRAGMENT_HEADER(44, 0, 1), FRAGMENT_HEADER(17, 0, 1)},
                         inside_tcp[] = {FRAGMENT_HEADER(6, 0, 16)};
#define EXTENSION(e) .first_extension = 44, .between = e, .between_size = sizeof e
    assert_parsed(SIX, .protocol = 17, .payload_size = 8, EXTENSION(first));
    assert_true(view.fragment && view.first_fragment && view.has_ports);
    assert_int_equal(view.transport, 48);
    assert_parsed(SIX, .protocol = 17, .payload_size = 3, EXTENSION(later));
    assert_true(view.fragment && !view.first_fragment && !view.has_ports);
    assert_int_equal(view.protocol, IP_UDP);
    assert_parsed(SIX, .protocol = 17, .payload_size = 3, EXTENSION(atomic));
    assert_true(!view.fragment && view.first_fragment && view.has_ports);
    assert_refused(BAD_HEADER, SIX, .protocol = 17, .payload_size = 3, EXTENSION(first));
    assert_refused(BAD_HEADER, SIX, .protocol = 17, .payload_size = 0, EXTENSION(last));
    assert_refused(BAD_HEADER, SIX, .protocol = 17, .payload_size = 8, EXTENSION(twice));
    assert_refused(BAD_HEADER, SIX, .protocol = 6, .payload_size = 4, EXTENSION(inside_tcp));
}

/* Puts the error that quotes `quote` into a packet and reads the quote. */
static bool read_quote(const char *source, const uint8_t *quote, size_t quote_size,
                       struct ip_view *ret)
{
    struct packet_pool *pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    bool six = strchr(source, ':');
    enum drop_reason reason;
    struct ip_view outer;
    size = craft_packet(bytes, &(struct craft){.source = source,
                                               .destination = six ? "fd00::2" : "10.0.0.2",
                                               .protocol = six ? 58 : 1,
                                               .icmp_type = six ? 1 : 3,
                                               .payload = quote,
                                               .payload_size = quote_size});
    assert_true(packet_fill(p, bytes, size));
    assert_true(ip_parse(p->data, p->size, &outer, &reason));
    bool ok = ip_quoted(p, &outer, ret);
    packet_give_back(p);
    packet_pool_free(pool);
    return ok;
}

static void test_quotes(void **state)
{
    uint8_t quote[512];
    struct ip_view q;
    size_t whole =
        craft_packet(quote, &(struct craft){FOUR, .protocol = 6, .source_port = 5,
                                            .destination_port = 80, .payload_size = 400, .ttl = 1});
    assert_true(read_quote("192.0.2.1", quote, whole, &q));
    assert_int_equal(q.total, whole);
    assert_address(&q.source, "10.0.0.1");
    assert_address(&q.destination, "198.18.0.9");
    assert_true(q.has_ports && q.source_port == 5 && q.destination_port == 80);
    assert_int_equal(q.transport, 20);
    /* Cut behind the ports, inside them, inside the header. */
    assert_true(read_quote("192.0.2.1", quote, 28, &q));
    assert_true(q.has_ports);
    assert_int_equal(q.total, 28);
    assert_true(read_quote("192.0.2.1", quote, 23, &q));
    assert_false(q.has_ports);
    assert_true(read_quote("192.0.2.1", quote, 20, &q));
    assert_false(q.has_ports);
    assert_false(read_quote("192.0.2.1", quote, 19, &q));
    assert_false(read_quote("192.0.2.1", quote, 0, &q));
    /* A length that the quoting system has spoilt, in either direction. */
    quote[2] = 0;
    quote[3] = 0;
    assert_true(read_quote("192.0.2.1", quote, 28, &q));
    assert_int_equal(q.total, 28);
    quote[2] = 0xFF;
    assert_true(read_quote("192.0.2.1", quote, 28, &q));
    assert_int_equal(q.total, 28);
    /* Another family inside, and nonsense. */
    quote[0] = 0x60;
    assert_false(read_quote("192.0.2.1", quote, whole, &q));
    quote[0] = 0x41;
    assert_false(read_quote("192.0.2.1", quote, whole, &q));

    craft_packet(quote,
                 &(struct craft){FOUR, .protocol = 1, .icmp_type = 8, .icmp_rest = 0x77770001});
    assert_true(read_quote("192.0.2.1", quote, 28, &q));
    assert_true(q.has_ports && q.source_port == 0x7777);
    assert_true(read_quote("192.0.2.1", quote, 27, &q));
    assert_false(q.has_ports);
    craft_packet(quote, &(struct craft){FOUR, .protocol = 1, .icmp_type = 5});
    assert_true(read_quote("192.0.2.1", quote, 28, &q)); /* nothing a quote asks for is refused */
    assert_false(q.has_ports || q.is_icmp_error);
    craft_packet(quote,
                 &(struct craft){FOUR, .protocol = 6, .fragment = 0x0005, .payload_size = 40});
    assert_true(read_quote("192.0.2.1", quote, 60, &q));
    assert_true(q.fragment && !q.first_fragment && !q.has_ports);

    static const uint8_t extension[] = {17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    whole = craft_packet(quote, &(struct craft){SIX, .protocol = 17, .source_port = 7,
                                                .destination_port = 8, .first_extension = 60,
                                                .between = extension, .between_size = 16});
    assert_true(read_quote("2001:db8::1", quote, whole, &q));
    assert_true(q.has_ports && q.source_port == 7 && q.transport == 56);
    assert_true(read_quote("2001:db8::1", quote, 50, &q));
    assert_false(q.has_ports);
    assert_int_equal(q.protocol, IP_NOTHING);
    assert_false(read_quote("2001:db8::1", quote, 39, &q));
}

/* A view that was accepted must be one that later code can rely on. */
static void assert_sound(size_t count)
{
    assert_true(view.total <= count);
    assert_true(view.header_size >= (view.version == 4 ? 20 : 40));
    assert_true(view.transport >= view.header_size && view.transport <= view.total);
    assert_int_equal(view.source.family, view.version);
    assert_int_equal(view.destination.family, view.version);
    if (view.has_ports || view.is_icmp_error)
        assert_true(view.first_fragment && view.transport + 8u <= view.total);
    if (view.first_fragment && view.protocol == IP_TCP)
        assert_true(view.transport + 20u <= view.total);
    assert_true(view.fragment || view.first_fragment);
}

static void test_random_bytes(void **state)
{
    static const uint8_t extension[] = {44, 0, 1, 4, 0, 0, 0, 0, FRAGMENT_HEADER(6, 0, 0)};
    const struct craft crafts[] = {
        {FOUR, .protocol = 6, .payload_size = 20, .between = (const uint8_t *)"\7\7\4\0\0\0\0\0",
         .between_size = 8},
        {FOUR, .protocol = 17, .payload_size = 20},
        {FOUR, .protocol = 1, .icmp_type = 3, .payload_size = 28},
        {SIX, .protocol = 6, .payload_size = 20, .first_extension = 0, .between = extension,
         .between_size = 16},
        {SIX, .protocol = 17, .payload_size = 20},
        {SIX, .protocol = 58, .icmp_type = 2, .payload_size = 48},
    };
    struct seeded s;
    unsigned accepted = 0, refused = 0;
    seeded_init(&s, 20);
    for (unsigned i = 0; i < 60000; i++) {
        size_t count = craft_packet(bytes, &crafts[i % 6]);
        for (unsigned flips = entropy_below(&s.entropy, 4); flips; flips--)
            bytes[entropy_below(&s.entropy, i % 3 ? 60 : (uint32_t)count) % count] =
                (uint8_t)entropy_u32(&s.entropy);
        if (i % 5 == 0)
            count = entropy_below(&s.entropy, (uint32_t)count + 1);
        if (i % 50 == 0)
            entropy_fill(&s.entropy, bytes, count);
        if (parse_bytes(bytes, count) == DROP_COUNT) {
            accepted++;
            assert_sound(count);
        } else {
            refused++;
        }
    }
    assert_true(accepted > 5000 && refused > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_udp),        cmocka_unit_test(test_icmp),
        cmocka_unit_test(test_cut_short),      cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_sources),        cmocka_unit_test(test_destinations),
        cmocka_unit_test(test_ip4_options),    cmocka_unit_test(test_ip4_fragments),
        cmocka_unit_test(test_ip6_extensions), cmocka_unit_test(test_ip6_fragments),
        cmocka_unit_test(test_quotes),         cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests_name("packet_ip", tests, NULL, NULL);
}
