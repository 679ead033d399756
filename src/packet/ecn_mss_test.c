#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "packet/translate.h"
#include "tests/support/craft.h"
#include "tests/support/seeded.h"

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

#define FOUR .source = "10.0.0.1", .destination = "198.18.0.9"
#define SIX  .source = "fd00::1", .destination = "2001:db8:5:6:7:8:9:a"

/* The table of RFC 6040, figure 4. */
static void test_ecn_decapsulate(void **state)
{
    enum { DROP = 4 };
    static const uint8_t expected[4][4] = {
        /* outer:     Not-ECT   ECT(1)    ECT(0)    CE */
        [ECN_NOT] = {ECN_NOT, ECN_NOT, ECN_NOT, DROP},
        [ECN_ECT1] = {ECN_ECT1, ECN_ECT1, ECN_ECT1, ECN_CE},
        [ECN_ECT0] = {ECN_ECT0, ECN_ECT1, ECN_ECT0, ECN_CE},
        [ECN_CE] = {ECN_CE, ECN_CE, ECN_CE, ECN_CE},
    };
    for (uint8_t inner = 0; inner < 4; inner++) {
        for (uint8_t outer = 0; outer < 4; outer++) {
            uint8_t onward = 9;
            bool drop = false;
            ip_ecn_decapsulate(inner, outer, &onward, &drop);
            assert_int_equal(drop, expected[inner][outer] == DROP);
            if (!drop)
                assert_int_equal(onward, expected[inner][outer]);
        }
    }
}

static void test_set_ecn(void **state)
{
    for (unsigned tos = 0; tos < 256; tos++) {
        for (uint8_t ecn = 0; ecn < 4; ecn++) {
            load_craft(&(struct craft){FOUR, .protocol = 6, .tos = (uint8_t)tos});
            ip_set_ecn(packet, &view, ecn);
            assert_int_equal(packet->data[1], (tos & 0xFC) | ecn);
            assert_true(craft_sums_right(packet->data, packet->size));
            load_craft(&(struct craft){SIX, .protocol = 6, .tos = (uint8_t)tos});
            packet->data[1] |= 0x0F; /* flow label */
            ip_set_ecn(packet, &view, ecn);
            assert_int_equal(packet->data[0], 0x60 | tos >> 4);
            assert_int_equal(packet->data[1], ((tos & 0xC) << 4 | ecn << 4 | 0x0F));
            load(packet->data, packet->size);
            assert_int_equal(view.ecn, ecn);
        }
    }
}

static bool clamp(const char *options, size_t size, uint8_t flags, bool six, bool open,
                  uint16_t mtu)
{
    struct craft c = {FOUR,
                      .protocol = 6,
                      .tcp_options = (const uint8_t *)options,
                      .tcp_options_size = size,
                      .tcp_flags = flags,
                      .open_checksum = open};
    if (six) {
        c.source = "fd00::1";
        c.destination = "fd00::2";
    }
    load_craft(&c);
    bool lowered = ip_clamp_mss(packet, &view, mtu);
    if (!open)
        assert_true(craft_sums_right(packet->data, packet->size));
    return lowered;
}

static unsigned option_at(size_t at)
{
    return (unsigned)(packet->data[view.transport + at] << 8 |
                      packet->data[view.transport + at + 1]);
}

static void test_clamp_mss(void **state)
{
    assert_true(clamp("\2\4\5\xb4", 4, 0x02, false, false, 1280));
    assert_int_equal(option_at(22), 1240);
    assert_true(clamp("\2\4\5\xb4", 4, 0x12, true, false, 1280));
    assert_int_equal(option_at(22), 1220);
    assert_true(clamp("\1\2\4\5\xb4\4\2\0", 8, 0x02, false, false, 1281)); /* at an odd offset */
    assert_int_equal(option_at(23), 1241);
    assert_true(clamp("\3\3\7\1\2\4\xff\xff", 8, 0xC2, false, false, 576));
    assert_int_equal(option_at(26), 536);

    assert_false(clamp("\2\4\5\xb4", 4, 0x02, false, false, 1500)); /* fits already */
    assert_false(clamp("\2\4\5\xb4", 4, 0x10, false, false, 1280)); /* no SYN       */
    assert_false(clamp("\1\1\1\1", 4, 0x02, false, false, 1280));
    assert_false(clamp("\0\2\4\5\xb4\0\0\0", 8, 0x02, false, false, 1280)); /* behind the end */
    assert_false(clamp("\1\1\2\4", 4, 0x02, false, false, 1280));           /* cut off        */
    assert_false(clamp("\2\3\5\xb4", 4, 0x02, false, false, 1280));
    assert_false(clamp("\7\1\2\4", 4, 0x02, false, false, 1280)); /* an option without a length */
    assert_false(clamp("\7\0\2\4", 4, 0x02, false, false, 1280));
    assert_false(clamp("", 0, 0x02, false, false, 1280));
    assert_false(clamp("\2\4\5\xb4", 4, 0x02, false, false, 40)); /* no room for any segment */
    assert_false(clamp("\2\4\5\xb4", 4, 0x02, false, false, 0));

    /* An open sum does not cover the option. */
    assert_true(clamp("\2\4\5\xb4", 4, 0x02, false, true, 1280));
    assert_true(ip_complete_checksum(packet));
    assert_true(craft_sums_right(packet->data, packet->size));

    load_craft(&(struct craft){FOUR, .protocol = 17, .payload_size = 40});
    assert_false(ip_clamp_mss(packet, &view, 1280));
}

static void test_clamp_mss_at_random(void **state)
{
    struct seeded s;
    unsigned lowered = 0;
    seeded_init(&s, 31);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t options[40];
        size_t size = entropy_below(&s.entropy, 11) * 4;
        for (size_t j = 0; j < size; j++)
            options[j] = (uint8_t)entropy_below(&s.entropy, j % 3 ? 6 : 3);
        uint16_t mtu = (uint16_t)(41 + entropy_below(&s.entropy, 600));
        lowered += clamp((const char *)options, size, 0x02, i & 1, false, mtu);
    }
    assert_true(lowered > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ecn_decapsulate),
        cmocka_unit_test(test_set_ecn),
        cmocka_unit_test(test_clamp_mss),
        cmocka_unit_test(test_clamp_mss_at_random),
    };
    return cmocka_run_group_tests_name("packet_ecn_mss", tests, set_up, tear_down);
}
