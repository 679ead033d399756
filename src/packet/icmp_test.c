#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "packet/icmp.h"
#include "tests/support/craft.h"
#include "tests/support/seeded.h"

static struct packet_pool *pool;
static struct packet *packet;

static int set_up(void **state)
{
    pool = packet_pool_new(1);
    packet = packet_take(pool);
    return !packet;
}

static int tear_down(void **state)
{
    packet_give_back(packet);
    packet_pool_free(pool);
    return 0;
}

static struct ip_address address(const char *text)
{
    struct ip_address ip;
    assert_true(ip_address_parse(text, &ip));
    return ip;
}

/* Answers the crafted packet; `quoted` gets it. */
static size_t answer(enum icmp_error kind, const struct craft *c, const char *from, uint32_t mtu,
                     uint8_t *quoted)
{
    static uint8_t bytes[4096];
    struct ip_address ip = address(from);
    size_t size = craft_packet(bytes, c);
    if (quoted)
        memcpy(quoted, bytes, size);
    memset(&packet->offload, 0xFF, sizeof packet->offload);
    return icmp_error(packet, kind, bytes, size, &ip, mtu);
}

static void assert_from_to(const char *from, const char *to, struct ip_view *ret)
{
    enum drop_reason reason;
    char out[ADDRESS_TEXT];
    assert_true(ip_parse(packet->data, packet->size, ret, &reason));
    assert_string_equal(ip_address_format(&ret->source, out), from);
    assert_string_equal(ip_address_format(&ret->destination, out), to);
    assert_true(ret->is_icmp_error);
    assert_true(craft_sums_right(packet->data, packet->size));
    assert_false(packet->offload.needs_checksum);
    assert_int_equal(packet->offload.gso, PACKET_GSO_NONE);
}

#define FOUR .source = "10.0.0.1", .destination = "198.18.0.9"
#define SIX  .source = "fd00::1", .destination = "2001:db8::9"

static void test_answers(void **state)
{
    static const uint8_t expected[ICMP_ERROR_COUNT][4] = {
        [ICMP_ERROR_UNREACHABLE_NET] = {3, 0, 1, 0},
        [ICMP_ERROR_UNREACHABLE_HOST] = {3, 1, 1, 3},
        [ICMP_ERROR_UNREACHABLE_PORT] = {3, 3, 1, 4},
        [ICMP_ERROR_UNREACHABLE_ADMIN] = {3, 13, 1, 1},
        [ICMP_ERROR_TOO_BIG] = {3, 4, 2, 0},
        [ICMP_ERROR_TTL_EXPIRED] = {11, 0, 3, 0},
    };
    for (unsigned kind = 0; kind < ICMP_ERROR_COUNT; kind++) {
        uint8_t quoted[256];
        struct ip_view v;
        const uint8_t mtu[4] = {0, 0, kind == ICMP_ERROR_TOO_BIG ? 5 : 0,
                                kind == ICMP_ERROR_TOO_BIG ? 3 : 0};
        const struct craft four = {FOUR, .protocol = 17, .payload_size = 33};
        assert_int_equal(answer(kind, &four, "198.18.0.1", 1283, quoted), 28 + 61);
        assert_int_equal(packet->size, 28 + 61);
        assert_from_to("198.18.0.1", "10.0.0.1", &v);
        assert_memory_equal(packet->data + 20, expected[kind], 2);
        assert_memory_equal(packet->data + 24, mtu, 4);
        assert_memory_equal(packet->data + 28, quoted, 61);

        const struct craft six = {SIX, .protocol = 6, .payload_size = 33};
        assert_int_equal(answer(kind, &six, "fd00::fe", 1283, quoted), 48 + 93);
        assert_from_to("fd00::fe", "fd00::1", &v);
        assert_memory_equal(packet->data + 40, expected[kind] + 2, 2);
        assert_memory_equal(packet->data + 44, mtu, 4);
        assert_memory_equal(packet->data + 48, quoted, 93);
    }
    /* IPv4 has 16 bits for the MTU. */
    assert_int_equal(
        answer(ICMP_ERROR_TOO_BIG, &(struct craft){FOUR, .protocol = 17}, "10.0.0.9", 70000, NULL),
        56);
    assert_memory_equal(packet->data + 24, "\0\0\xff\xff", 4);
    assert_int_equal(
        answer(ICMP_ERROR_TOO_BIG, &(struct craft){SIX, .protocol = 17}, "fd00::9", 70000, NULL),
        96);
    assert_memory_equal(packet->data + 44, "\0\1\x11\x70", 4);
}

static void test_quotes_what_fits(void **state)
{
    uint8_t quoted[4096];
    struct ip_view v, q;
    const struct craft four = {FOUR, .protocol = 6, .source_port = 7, .payload_size = 3000};
    assert_int_equal(answer(ICMP_ERROR_UNREACHABLE_HOST, &four, "198.18.0.1", 0, quoted), 576);
    assert_from_to("198.18.0.1", "10.0.0.1", &v);
    assert_memory_equal(packet->data + 28, quoted, 576 - 28);
    assert_true(ip_quoted(packet, &v, &q));
    assert_true(q.has_ports && q.source_port == 7);
    const struct craft six = {SIX, .protocol = 6, .payload_size = 3000};
    assert_int_equal(answer(ICMP_ERROR_UNREACHABLE_HOST, &six, "fd00::2", 0, quoted), 1280);
    assert_from_to("fd00::2", "fd00::1", &v);
    assert_memory_equal(packet->data + 48, quoted, 1280 - 48);

    /* Bytes behind the packet are not quoted. */
    struct ip_address from = address("198.18.0.1");
    size_t size = craft_packet(quoted, &(struct craft){FOUR, .protocol = 17});
    assert_int_equal(icmp_error(packet, ICMP_ERROR_TTL_EXPIRED, quoted, size + 50, &from, 0),
                     28 + size);
    assert_int_equal(icmp_error(packet, ICMP_ERROR_TTL_EXPIRED, quoted, 2000, &from, 0), 28 + size);
}

#define assert_silent(from, ...)                                                                   \
    do {                                                                                           \
        assert_int_equal(                                                                          \
            answer(ICMP_ERROR_UNREACHABLE_HOST, &(struct craft){__VA_ARGS__}, from, 0, NULL), 0);  \
        assert_int_equal(packet->size, 0);                                                         \
    } while (0)

static void test_never_answered(void **state)
{
    static const uint8_t later[] = {17, 0, 0, 8, 0, 0, 0, 9};
    static const uint8_t errors4[] = {3, 4, 11, 12, 5};
    for (unsigned i = 0; i < sizeof errors4; i++)
        assert_silent("10.9.9.9", FOUR, .protocol = 1, .icmp_type = errors4[i], .payload_size = 28);
    for (uint8_t type = 1; type <= 4; type++)
        assert_silent("fd00::9", SIX, .protocol = 58, .icmp_type = type, .payload_size = 48);
    assert_silent("fd00::9", SIX, .protocol = 58, .icmp_type = 135, .payload_size = 16);
    assert_silent("10.9.9.9", FOUR, .protocol = 17, .fragment = 0x0008, .payload_size = 28);
    assert_silent("fd00::9", SIX, .protocol = 17, .first_extension = 44, .between = later,
                  .between_size = 8);
    assert_silent("10.9.9.9", .source = "10.0.0.1", .destination = "224.0.0.1", .protocol = 17);
    assert_silent("10.9.9.9", .source = "10.0.0.1", .destination = "255.255.255.255",
                  .protocol = 17);
    assert_silent("fd00::9", .source = "fd00::1", .destination = "ff02::1", .protocol = 17);
    static const char *const sources4[] = {"0.0.0.0",   "0.1.2.3",   "127.0.0.1",
                                           "224.0.0.1", "240.0.0.1", "255.255.255.255"};
    for (unsigned i = 0; i < sizeof sources4 / sizeof *sources4; i++)
        assert_silent("10.9.9.9", .source = sources4[i], .destination = "10.0.0.1", .protocol = 17);
    static const char *const sources6[] = {"::", "::1", "ff02::1"};
    for (unsigned i = 0; i < sizeof sources6 / sizeof *sources6; i++)
        assert_silent("fd00::9", .source = sources6[i], .destination = "fd00::1", .protocol = 17);
    assert_silent("fd00::9", FOUR, .protocol = 17);
    assert_silent("10.9.9.9", SIX, .protocol = 17);

    struct ip_address from = address("10.9.9.9");
    assert_int_equal(icmp_error(packet, ICMP_ERROR_TTL_EXPIRED, (const uint8_t *)"", 0, &from, 0),
                     0);
    assert_int_equal(
        icmp_error(packet, ICMP_ERROR_TTL_EXPIRED, (const uint8_t *)"\x45garbage", 8, &from, 0), 0);
}

static void test_still_answered(void **state)
{
    assert_int_not_equal(answer(ICMP_ERROR_UNREACHABLE_HOST, &(struct craft){FOUR, .protocol = 47},
                                "10.9.9.9", 0, NULL),
                         0);
    /* A first fragment, an echo request, and the one error that multicast may get. */
    assert_int_not_equal(
        answer(ICMP_ERROR_UNREACHABLE_HOST,
               &(struct craft){FOUR, .protocol = 17, .fragment = 0x2000, .payload_size = 8},
               "10.9.9.9", 0, NULL),
        0);
    assert_int_not_equal(answer(ICMP_ERROR_UNREACHABLE_HOST,
                                &(struct craft){FOUR, .protocol = 1, .icmp_type = 8}, "10.9.9.9", 0,
                                NULL),
                         0);
    assert_int_not_equal(
        answer(ICMP_ERROR_TOO_BIG,
               &(struct craft){.source = "fd00::1", .destination = "ff0e::1", .protocol = 17},
               "fd00::9", 1280, NULL),
        0);
    assert_int_equal(
        answer(ICMP_ERROR_TOO_BIG,
               &(struct craft){.source = "10.0.0.1", .destination = "224.0.1.1", .protocol = 17},
               "10.9.9.9", 1280, NULL),
        0);
}

/* Whatever is answered gets an answer that is right, and whose answer is silence. */
static void test_random(void **state)
{
    struct seeded s;
    unsigned answered = 0;
    seeded_init(&s, 40);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t bytes[256];
        const struct craft four = {FOUR, .protocol = 17,
                                   .payload_size = entropy_below(&s.entropy, 100)},
                           six = {SIX, .protocol = 6,
                                  .payload_size = entropy_below(&s.entropy, 100)};
        size_t size = craft_packet(bytes, i & 1 ? &four : &six);
        for (unsigned flips = entropy_below(&s.entropy, 4); flips; flips--)
            bytes[entropy_below(&s.entropy, 44)] = (uint8_t)entropy_u32(&s.entropy);
        struct ip_address from = address(i & 1 ? "10.9.9.9" : "fd00::9");
        enum icmp_error kind = entropy_below(&s.entropy, ICMP_ERROR_COUNT);
        if (!icmp_error(packet, kind, bytes, size, &from, entropy_u32(&s.entropy)))
            continue;
        answered++;
        assert_true(packet->size <= 1280);
        assert_true(craft_sums_right(packet->data, packet->size));
        size = packet->size;
        memcpy(bytes, packet->data, size);
        assert_int_equal(icmp_error(packet, kind, bytes, size, &from, 0), 0);
    }
    assert_true(answered > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),        cmocka_unit_test(test_quotes_what_fits),
        cmocka_unit_test(test_never_answered), cmocka_unit_test(test_still_answered),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests_name("packet_icmp", tests, set_up, tear_down);
}
