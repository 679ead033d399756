#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "packet/translate.h"
#include "tests/support/craft.h"
#include "tests/support/seeded.h"

/* What comes out is held against the same packet crafted with the new addresses, and against naive
 * sums. */

static struct packet_pool *pool;
static struct packet *packet;
static struct ip_view view;

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

static void load(const uint8_t *bytes, size_t size)
{
    enum drop_reason reason = DROP_COUNT;
    assert_true(packet_fill(packet, bytes, size));
    packet->offload = (struct packet_offload){0};
    if (!ip_parse(packet->data, packet->size, &view, &reason))
        fail_msg("refused: %s", drop_name(reason));
}

static void load_craft(const struct craft *c)
{
    uint8_t bytes[2048];
    load(bytes, craft_packet(bytes, c));
    packet->offload.needs_checksum = c->open_checksum;
}

static struct ip_address address(const char *text)
{
    struct ip_address ip;
    assert_true(ip_address_parse(text, &ip));
    return ip;
}

static bool translate(const char *source, const char *destination)
{
    struct ip_address from = address(source), to = address(destination);
    return ip_translate(packet, &view, &from, &to);
}

/* The craft, translated to new addresses, is the craft made with them. */
static void assert_like_fresh(struct craft c, const char *source, const char *destination)
{
    uint8_t fresh[2048];
    load_craft(&c);
    assert_true(translate(source, destination));
    c.source = source;
    c.destination = destination;
    size_t size = craft_packet(fresh, &c);
    assert_int_equal(packet->size, size);
    assert_memory_equal(packet->data, fresh, size);
    assert_int_equal(packet->offload.needs_checksum, c.open_checksum);
}

#define FOUR .source = "10.0.0.1", .destination = "198.18.0.9"
#define SIX  .source = "fd00::1", .destination = "2001:db8:5:6:7:8:9:a"

static void test_golden(void **state)
{
    static const uint8_t options[] = {7, 7, 4, 0, 0, 0, 0, 0},
                         extension[] = {6, 0, 1, 4, 0, 0, 0, 0};
    const struct craft crafts[] = {
        {FOUR, .protocol = 6, .source_port = 1, .destination_port = 2, .payload_size = 33},
        {FOUR, .protocol = 6, .between = options, .between_size = 8},
        {FOUR, .protocol = 6, .open_checksum = true, .payload_size = 33},
        {FOUR, .protocol = 17, .payload_size = 0},
        {FOUR, .protocol = 17, .payload_size = 1001},
        {FOUR, .protocol = 17, .payload_size = 10, .no_checksum = true},
        {FOUR, .protocol = 17, .payload_size = 10, .open_checksum = true},
        {FOUR, .protocol = 1, .icmp_type = 8, .payload_size = 56},
        {FOUR, .protocol = 47, .payload_size = 9},
        {FOUR, .protocol = 6, .fragment = 0x00B9, .payload_size = 64},
        {SIX, .protocol = 6, .payload_size = 33},
        {SIX, .protocol = 6, .payload_size = 33, .open_checksum = true},
        {SIX, .protocol = 6, .first_extension = 60, .between = extension, .between_size = 8},
        {SIX, .protocol = 17, .payload_size = 1001},
        {SIX, .protocol = 17, .payload_size = 7, .no_checksum = true},
        {SIX, .protocol = 17, .payload_size = 7, .open_checksum = true},
        {SIX, .protocol = 58, .icmp_type = 128, .payload_size = 57},
        {SIX, .protocol = 47, .payload_size = 9},
    };
    for (size_t i = 0; i < sizeof crafts / sizeof *crafts; i++) {
        bool six = strchr(crafts[i].source, ':');
        assert_like_fresh(crafts[i], six ? "fd99::abcd" : "198.19.255.1",
                          six ? "fd12:3456::2" : "100.64.0.1");
        assert_like_fresh(crafts[i], crafts[i].source, crafts[i].destination);
        assert_like_fresh(crafts[i], six ? "::" : "0.0.0.0", six ? "::" : "0.0.0.0");
    }
}

/* Every word of the pseudo-header and of the data meets the two zeros of ones' complement some
 * time. */
static void test_golden_at_random(void **state)
{
    struct seeded s;
    seeded_init(&s, 30);
    for (unsigned i = 0; i < 20000; i++) {
        char text[4][ADDRESS_TEXT];
        uint8_t payload[12];
        bool six = i & 1;
        for (unsigned j = 0; j < 4; j++) {
            struct ip_address ip = {.family = six ? 6 : 4};
            entropy_fill(&s.entropy, ip.bytes, six ? 16 : 4);
            if (entropy_below(&s.entropy, 4) == 0)
                memset(ip.bytes, entropy_below(&s.entropy, 2) ? 0xFF : 0, six ? 16 : 4);
            ip.bytes[0] = six ? 0xFD : 10; /* not multicast */
            ip_address_format(&ip, text[j]);
        }
        entropy_fill(&s.entropy, payload, sizeof payload);
        const struct craft c = {.source = text[0],
                                .destination = text[1],
                                .protocol = i & 2 ? 6 : 17,
                                .source_port = (uint16_t)entropy_u32(&s.entropy),
                                .payload = payload,
                                .payload_size = entropy_below(&s.entropy, sizeof payload + 1)};
        assert_like_fresh(c, text[2], text[3]);
    }
}

/* All sums that UDP can have: never a zero made by us, since that would say "none". */
static void test_udp_never_becomes_zero(void **state)
{
    unsigned full = 0;
    for (unsigned word = 0; word < 0x10000; word++) {
        const uint8_t payload[2] = {(uint8_t)(word >> 8), (uint8_t)word};
        load_craft(&(struct craft){FOUR, .protocol = 17, .payload = payload, .payload_size = 2});
        assert_true(translate("10.9.8.7", "198.19.0.1"));
        uint16_t sum = (uint16_t)(packet->data[26] << 8 | packet->data[27]);
        assert_int_not_equal(sum, 0);
        full += sum == 0xFFFF;
        if (word % 1000 == 0)
            assert_true(craft_sums_right(packet->data, packet->size));
    }
    assert_int_equal(full, 1);
}

/* A wrong sum stays wrong: we do not launder damage. */
static void test_damage_stays(void **state)
{
    uint8_t bytes[128];
    size_t size = craft_packet(bytes, &(struct craft){FOUR, .protocol = 6, .payload_size = 20});
    bytes[50] ^= 0x10;
    load(bytes, size);
    assert_true(translate("10.9.8.7", "198.19.0.1"));
    assert_false(craft_sums_right(packet->data, packet->size));
    packet->data[50] ^= 0x10;
    assert_true(craft_sums_right(packet->data, packet->size));
}

static void test_udp_lite_and_dccp(void **state)
{
    static const struct {
        uint8_t protocol;
        size_t sum;
    } rows[] = {{136, 26}, {33, 26}};
    for (size_t i = 0; i < 2; i++) {
        load_craft(&(struct craft){FOUR, .protocol = rows[i].protocol, .payload_size = 16});
        const struct ip_address *a = &view.source, *b = &view.destination;
        uint16_t before =
            (uint16_t)(packet->data[rows[i].sum] << 8 | packet->data[rows[i].sum + 1]);
        uint16_t old_sum = craft_sum(b->bytes, 4, craft_sum(a->bytes, 4, 0));
        assert_true(translate("10.9.8.7", "198.19.0.1"));
        uint16_t after = (uint16_t)(packet->data[rows[i].sum] << 8 | packet->data[rows[i].sum + 1]);
        uint16_t new_sum = craft_sum(packet->data + 12, 8, 0);
        /* The field and the addresses together add up to what they did. */
        assert_int_equal(((uint32_t)before + old_sum) % 0xFFFF,
                         ((uint32_t)after + new_sum) % 0xFFFF);
    }
    /* Too short for the sum to be there: only the addresses change. */
    load_craft(&(struct craft){FOUR, .protocol = 136, .payload_size = 7});
    assert_true(translate("10.9.8.7", "198.19.0.1"));
    assert_true(craft_sums_right(packet->data, 20));
    assert_int_equal(packet->data[26], 6 * 7 + 1);
}

static void test_first_fragment(void **state)
{
    /* The sum covers bytes of later fragments: right when all are put together. */
    uint8_t whole[256], first[256];
    struct craft c = {FOUR, .protocol = 17, .payload_size = 40};
    craft_packet(whole, &c);
    craft_packet(first, &c);
    first[3] = 20 + 24;
    first[6] = 0x20;
    first[10] = first[11] = 0;
    uint16_t sum = (uint16_t)~craft_sum(first, 20, 0);
    first[10] = (uint8_t)(sum >> 8);
    first[11] = (uint8_t)sum;
    load(first, 20 + 24);
    assert_true(view.fragment && view.first_fragment);
    assert_true(translate("10.9.8.7", "198.19.0.1"));
    assert_int_equal(craft_sum(packet->data, 20, 0), 0xFFFF);
    c.source = "10.9.8.7";
    c.destination = "198.19.0.1";
    craft_packet(whole, &c);
    assert_memory_equal(packet->data + 20, whole + 20, 24);
}

static void assert_refused(const char *source, const char *destination)
{
    uint8_t before[2048];
    memcpy(before, packet->data, packet->size);
    assert_false(translate(source, destination));
    assert_memory_equal(packet->data, before, packet->size);
}

static void test_refused(void **state)
{
    load_craft(&(struct craft){FOUR, .protocol = 6});
    assert_refused("fd00::1", "10.0.0.1");
    assert_refused("10.0.0.1", "fd00::1");
    packet->size--;
    assert_refused("10.0.0.2", "10.0.0.1");
    /* Open checksums where there can be none. */
    load_craft(&(struct craft){FOUR, .protocol = 1, .icmp_type = 8, .open_checksum = true});
    assert_refused("10.0.0.2", "10.0.0.1");
    load_craft(&(struct craft){FOUR, .protocol = 17, .payload_size = 8, .fragment = 0x2000,
                               .open_checksum = true});
    assert_refused("10.0.0.2", "10.0.0.1");
    /* An error that quotes less than a header. */
    load_craft(&(struct craft){FOUR, .protocol = 1, .icmp_type = 3, .payload_size = 19});
    assert_refused("10.0.0.2", "10.0.0.1");
    load_craft(
        &(struct craft){SIX, .protocol = 58, .icmp_type = 3, .payload = "\x60", .payload_size = 1});
    assert_refused("fd00::2", "fd00::1");
}

/* An ICMP error about `quoted`, cut to `size` bytes. */
static void load_error(const struct craft *quoted, size_t size, bool damaged)
{
    uint8_t quote[2048];
    bool six = strchr(quoted->source, ':');
    size_t whole = craft_packet(quote, quoted);
    if (damaged)
        quote[whole - 1] ^= 1;
    load_craft(&(struct craft){.source = six ? "fd00:77::1" : "10.77.0.1",
                               .destination = quoted->source,
                               .protocol = six ? 58 : 1,
                               .icmp_type = six ? 1 : 3,
                               .icmp_code = 1,
                               .payload = quote,
                               .payload_size = size < whole ? size : whole});
    assert_true(view.is_icmp_error);
}

static void test_icmp_errors(void **state)
{
    static const uint8_t extension[] = {17, 0, 1, 4, 0, 0, 0, 0};
    const struct craft quoted[] = {
        {FOUR, .protocol = 6, .payload_size = 30},
        {FOUR, .protocol = 17, .payload_size = 30},
        {FOUR, .protocol = 17, .payload_size = 30, .no_checksum = true},
        {FOUR, .protocol = 1, .icmp_type = 8, .payload_size = 30},
        {FOUR, .protocol = 47, .payload_size = 30},
        {FOUR, .protocol = 6, .fragment = 0x00B9, .payload_size = 30},
        {SIX, .protocol = 6, .payload_size = 31},
        {SIX, .protocol = 17, .payload_size = 30, .first_extension = 60, .between = extension,
         .between_size = 8},
        {SIX, .protocol = 58, .icmp_type = 128, .payload_size = 30},
    };
    for (size_t i = 0; i < sizeof quoted / sizeof *quoted; i++) {
        bool six = strchr(quoted[i].source, ':');
        const char *source = six ? "fd99::abcd" : "198.19.255.1",
                   *destination = six ? "fd12::2" : "100.64.0.1";
        size_t header = six ? 40 : 20;
        /* Our program sent from `destination` to the handle `source`; so must the quote look. */
        struct craft expected = quoted[i];
        expected.source = destination;
        expected.destination = source;
        uint8_t fresh[256];
        size_t whole = craft_packet(fresh, &expected);
        for (size_t cut = header; cut <= whole; cut++) {
            load_error(&quoted[i], cut, false);
            assert_true(translate(source, destination));
            assert_true(craft_sums_right(packet->data, packet->size));
            assert_int_equal(packet->size, header + 8 + cut);
            const uint8_t *quote = packet->data + header + 8;
            /* A sum of which only one byte is quoted is left as it was. */
            size_t sum = quoted[i].protocol == 6    ? 16
                         : quoted[i].protocol == 17 ? 6
                         : quoted[i].protocol == 58 ? 2
                                                    : 100;
            sum += header + quoted[i].between_size;
            assert_memory_equal(quote, fresh, cut < sum ? cut : cut == sum + 1 ? sum : cut);
        }
    }
}

static void test_icmp_error_damage_stays(void **state)
{
    const struct craft quoted = {FOUR, .protocol = 17, .payload_size = 30};
    load_error(&quoted, 100, true);
    assert_true(translate("198.19.255.1", "100.64.0.1"));
    assert_true(craft_sums_right(packet->data, packet->size));
    assert_false(craft_sums_right(packet->data + 28, packet->size - 28));
    load_error(&quoted, 100, false);
    packet->data[22] ^= 1; /* the outer sum */
    assert_true(translate("198.19.255.1", "100.64.0.1"));
    assert_false(craft_sums_right(packet->data, packet->size));
}

static void test_ttl(void **state)
{
    for (unsigned ttl = 255; ttl > 1; ttl--) {
        load_craft(&(struct craft){FOUR, .protocol = 6, .ttl = (uint8_t)ttl});
        assert_true(ip_decrement_ttl(packet, &view));
        assert_int_equal(packet->data[8], ttl - 1);
        assert_true(craft_sums_right(packet->data, packet->size));
        ip_restore_ttl(packet, &view);
        assert_int_equal(packet->data[8], ttl);
        assert_true(craft_sums_right(packet->data, packet->size));
        ip_decrement_ttl(packet, &view);
    }
    load_craft(&(struct craft){FOUR, .protocol = 6, .ttl = 1});
    assert_false(ip_decrement_ttl(packet, &view));
    assert_int_equal(packet->data[8], 1);
    packet->data[8] = 0;
    assert_false(ip_decrement_ttl(packet, &view));
    load_craft(&(struct craft){SIX, .protocol = 6, .ttl = 2});
    assert_true(ip_decrement_ttl(packet, &view));
    assert_int_equal(packet->data[7], 1);
    assert_false(ip_decrement_ttl(packet, &view));
    assert_true(craft_sums_right(packet->data, packet->size));
}

static void test_complete_checksum(void **state)
{
    static const struct craft crafts[] = {
        {FOUR, .protocol = 6, .payload_size = 1001},
        {FOUR, .protocol = 17, .payload_size = 0},
        {SIX, .protocol = 6, .payload_size = 1},
        {SIX, .protocol = 17, .payload_size = 1400},
    };
    for (size_t i = 0; i < 4; i++) {
        uint8_t fresh[2048];
        struct craft open = crafts[i];
        size_t size = craft_packet(fresh, &crafts[i]);
        open.open_checksum = true;
        load_craft(&open);
        assert_memory_not_equal(packet->data, fresh, size);
        assert_true(ip_complete_checksum(packet));
        assert_memory_equal(packet->data, fresh, size);
        assert_false(packet->offload.needs_checksum);
        assert_true(ip_complete_checksum(packet));
        assert_memory_equal(packet->data, fresh, size);
    }
    /* All data: one of them sums to zero, which is sent as 0xFFFF. */
    unsigned full = 0;
    for (unsigned word = 0; word < 0x10000; word++) {
        const uint8_t payload[2] = {(uint8_t)(word >> 8), (uint8_t)word};
        load_craft(&(struct craft){FOUR, .protocol = 17, .payload = payload, .payload_size = 2,
                                   .open_checksum = true});
        assert_true(ip_complete_checksum(packet));
        full += packet->data[26] == 0xFF && packet->data[27] == 0xFF;
        assert_false(packet->data[26] == 0 && packet->data[27] == 0);
    }
    assert_int_equal(full, 1);

    load_craft(&(struct craft){FOUR, .protocol = 1, .icmp_type = 8, .open_checksum = true});
    assert_false(ip_complete_checksum(packet));
    load_craft(&(struct craft){FOUR, .protocol = 6, .fragment = 0x2000, .payload_size = 12,
                               .open_checksum = true});
    assert_false(ip_complete_checksum(packet));
    load_craft(&(struct craft){FOUR, .protocol = 6, .open_checksum = true});
    packet->size = 30;
    assert_false(ip_complete_checksum(packet));
}

static void test_offload_find(void **state)
{
    static const uint8_t extension[] = {6, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    uint8_t bytes[2048];
    const struct {
        struct craft craft;
        uint16_t start, offset, header;
    } rows[] = {
        {{FOUR, .protocol = 6, .payload_size = 5}, 20, 16, 40},
        {{FOUR, .protocol = 17, .payload_size = 5}, 20, 6, 28},
        {{FOUR, .protocol = 6, .tcp_options = extension, .tcp_options_size = 12}, 20, 16, 52},
        {{FOUR, .protocol = 6, .between = (const uint8_t *)"\1\1\1\0", .between_size = 4},
         24,
         16,
         44},
        {{SIX, .protocol = 17}, 40, 6, 48},
        {{SIX, .protocol = 6, .first_extension = 60, .between = extension, .between_size = 16},
         56,
         16,
         76},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct packet_offload offload = {.gso = PACKET_GSO_TCP4, .gso_size = 1000};
        assert_true(ip_offload_find(bytes, craft_packet(bytes, &rows[i].craft), &offload));
        assert_true(offload.needs_checksum);
        assert_int_equal(offload.checksum_start, rows[i].start);
        assert_int_equal(offload.checksum_offset, rows[i].offset);
        assert_int_equal(offload.header_size, rows[i].header);
        assert_int_equal(offload.gso, PACKET_GSO_TCP4);
        assert_int_equal(offload.gso_size, 1000);
    }
    static const struct craft none[] = {
        {FOUR, .protocol = 1, .icmp_type = 8},
        {FOUR, .protocol = 47, .payload_size = 40},
        {FOUR, .protocol = 6, .fragment = 0x2000, .payload_size = 4},
        {FOUR, .protocol = 17, .fragment = 0x0010, .payload_size = 40},
        {SIX, .protocol = 58, .icmp_type = 1, .payload_size = 60},
    };
    struct packet_offload offload = {0};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(ip_offload_find(bytes, craft_packet(bytes, &none[i]), &offload));
    size_t size = craft_packet(bytes, &rows[1].craft);
    assert_false(ip_offload_find(bytes, size - 1, &offload));
    assert_false(ip_offload_find(bytes, 0, &offload));
    bytes[25]--; /* UDP options behind the data: the sum does not reach the packet's end */
    assert_false(ip_offload_find(bytes, size, &offload));
    assert_false(offload.needs_checksum);
}

/* Whatever parses, is changed without touching a byte outside it (each packet is an allocation of
 * its own size, for ASan); right sums stay right. */
static void test_random_packets(void **state)
{
    static const uint8_t extension[] = {60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0};
    struct seeded s;
    unsigned done = 0;
    seeded_init(&s, 32);
    for (unsigned i = 0; i < 40000; i++) {
        uint8_t quote[256], bytes[512];
        bool six = i & 1, error = i & 2;
        struct craft inner = {FOUR, .protocol = i & 4 ? 6 : 17,
                              .payload_size = entropy_below(&s.entropy, 60)};
        if (six) {
            inner = (struct craft){SIX,
                                   .protocol = 17,
                                   .payload_size = 20,
                                   .first_extension = 0,
                                   .between = extension,
                                   .between_size = 16};
        }
        size_t size = craft_packet(quote, &inner);
        if (error) {
            for (unsigned flips = entropy_below(&s.entropy, 4); flips; flips--)
                quote[entropy_below(&s.entropy, (uint32_t)size)] = (uint8_t)entropy_u32(&s.entropy);
            const struct craft outer = {.source = inner.destination,
                                        .destination = inner.source,
                                        .protocol = six ? 58 : 1,
                                        .icmp_type = six ? 2 : 11,
                                        .payload = quote,
                                        .payload_size =
                                            entropy_below(&s.entropy, (uint32_t)size + 1)};
            size = craft_packet(bytes, &outer);
        } else {
            memcpy(bytes, quote, size);
            bytes[entropy_below(&s.entropy, (uint32_t)size)] ^=
                (uint8_t)(1 << entropy_below(&s.entropy, 8));
        }
        enum drop_reason reason;
        if (!ip_parse(bytes, size, &view, &reason))
            continue;
        struct packet *p = malloc(sizeof *p + size);
        assert_non_null(p);
        *p = (struct packet){.data = p->room,
                             .size = size,
                             .offload = {.needs_checksum = entropy_below(&s.entropy, 8) == 0}};
        memcpy(p->data, bytes, size);
        struct ip_address source = address(six ? "fd99::1" : "10.1.1.1"),
                          destination = address(six ? "fd99::2" : "10.1.1.2");
        bool translated = ip_translate(p, &view, &source, &destination);
        if (translated && error)
            assert_true(craft_sums_right(p->data, p->size));
        ip_decrement_ttl(p, &view);
        ip_set_ecn(p, &view, ECN_CE);
        ip_clamp_mss(p, &view, 500);
        ip_complete_checksum(p);
        free(p);
        done += translated;
    }
    assert_true(done > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_golden_at_random),
        cmocka_unit_test(test_udp_never_becomes_zero),
        cmocka_unit_test(test_damage_stays),
        cmocka_unit_test(test_udp_lite_and_dccp),
        cmocka_unit_test(test_first_fragment),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_icmp_errors),
        cmocka_unit_test(test_icmp_error_damage_stays),
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_complete_checksum),
        cmocka_unit_test(test_offload_find),
        cmocka_unit_test(test_random_packets),
    };
    return cmocka_run_group_tests_name("packet_translate", tests, set_up, tear_down);
}
