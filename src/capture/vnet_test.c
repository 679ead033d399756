/* capture_vnet_*: what the kernel may put before a packet, and what it must not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capture/vnet.h"

static void header_make(uint8_t *h, uint8_t flags, uint8_t gso, uint16_t gso_size, uint16_t start,
                        uint16_t offset)
{
    uint16_t length = 9999; /* a hint that must not be believed */
    h[0] = flags;
    h[1] = gso;
    memcpy(h + 2, &length, 2);
    memcpy(h + 4, &gso_size, 2);
    memcpy(h + 6, &start, 2);
    memcpy(h + 8, &offset, 2);
}

static void plain_packet(void **state)
{
    uint8_t h[VNET_HEADER_SIZE] = {0}, packet[40] = {0};
    struct packet_offload o = {.needs_checksum = true, .gso_size = 7};
    assert_int_equal(capture_vnet_parse(h, packet, sizeof packet, &o), 0);
    struct packet_offload none = {0};
    assert_memory_equal(&o, &none, sizeof o);
    uint8_t built[VNET_HEADER_SIZE];
    memset(built, 0xff, sizeof built);
    assert_int_equal(capture_vnet_build(&o, sizeof packet, built), 0);
    assert_memory_equal(built, h, sizeof h);
}

static void data_valid_is_no_open_checksum(void **state)
{
    uint8_t h[VNET_HEADER_SIZE], packet[40] = {0};
    header_make(h, 2, 0, 0, 20, 16);
    struct packet_offload o;
    assert_int_equal(capture_vnet_parse(h, packet, sizeof packet, &o), 0);
    assert_false(o.needs_checksum);
}

static void open_checksum(void **state)
{
    uint8_t h[VNET_HEADER_SIZE], packet[40] = {0};
    struct packet_offload o;
    header_make(h, 1, 0, 0, 20, 16);
    assert_int_equal(capture_vnet_parse(h, packet, 38, &o), 0);
    assert_true(o.needs_checksum);
    assert_int_equal(o.checksum_start, 20);
    assert_int_equal(o.checksum_offset, 16);
    assert_int_equal(o.header_size, 0);
    uint8_t built[VNET_HEADER_SIZE];
    assert_int_equal(capture_vnet_build(&o, 38, built), 0);
    struct packet_offload again;
    assert_int_equal(capture_vnet_parse(built, packet, 38, &again), 0);
    assert_memory_equal(&o, &again, sizeof o);
    /* One byte short of the sum. */
    assert_int_equal(capture_vnet_parse(h, packet, 37, &o), -EBADMSG);
    assert_int_equal(capture_vnet_build(&o, 37, built), -EINVAL);
    header_make(h, 1, 0, 0, 0xffff, 0xffff);
    assert_int_equal(capture_vnet_parse(h, packet, sizeof packet, &o), -EBADMSG);
}

static void super_packets(void **state)
{
    static const struct {
        uint8_t wire, gso;
        uint16_t start, offset, header;
    } kind[] = {
        {1, PACKET_GSO_TCP4, 20, 16, 52},
        {4, PACKET_GSO_TCP6, 40, 16, 72},
        {5, PACKET_GSO_UDP, 20, 6, 28},
        {0x81, PACKET_GSO_TCP4, 20, 16, 52},
    };
    uint8_t h[VNET_HEADER_SIZE], packet[200], built[VNET_HEADER_SIZE];
    for (size_t i = 0; i < sizeof kind / sizeof kind[0]; i++) {
        memset(packet, 0, sizeof packet);
        packet[kind[i].start + 12] = 8 << 4; /* TCP header of 32 bytes */
        header_make(h, 1, kind[i].wire, 64, kind[i].start, kind[i].offset);
        struct packet_offload o, again;
        assert_int_equal(capture_vnet_parse(h, packet, sizeof packet, &o), 0);
        assert_int_equal(o.gso, kind[i].gso);
        assert_int_equal(o.gso_size, 64);
        assert_int_equal(o.header_size, kind[i].header);
        assert_int_equal(capture_vnet_build(&o, sizeof packet, built), 0);
        assert_int_equal(capture_vnet_parse(built, packet, sizeof packet, &again), 0);
        assert_memory_equal(&o, &again, sizeof o);
        /* The headers must lie inside the packet. */
        assert_int_equal(capture_vnet_parse(h, packet, kind[i].header - 1, &o), -EBADMSG);
        o = again;
        assert_int_equal(capture_vnet_build(&o, kind[i].header - 1, built), -EINVAL);
        o.gso_size = 0;
        assert_int_equal(capture_vnet_build(&o, sizeof packet, built), -EINVAL);
    }
}

static void super_packets_refused(void **state)
{
    uint8_t h[VNET_HEADER_SIZE], packet[200] = {0};
    struct packet_offload o = {.gso_size = 7}, before = o;
    packet[32] = 5 << 4;
    header_make(h, 1, 1, 0, 20, 16); /* no segment size */
    assert_int_equal(capture_vnet_parse(h, packet, sizeof packet, &o), -EBADMSG);
    header_make(h, 0, 1, 64, 20, 16); /* checksum already complete */
    assert_int_equal(capture_vnet_parse(h, packet, sizeof packet, &o), -EBADMSG);
    header_make(h, 1, 3, 64, 20, 6); /* the old UDP fragmentation offload */
    assert_int_equal(capture_vnet_parse(h, packet, sizeof packet, &o), -EBADMSG);
    header_make(h, 1, 1, 64, 20, 6); /* the UDP sum's place in a TCP header */
    assert_int_equal(capture_vnet_parse(h, packet, sizeof packet, &o), -EBADMSG);
    header_make(h, 1, 5, 64, 20, 16);
    assert_int_equal(capture_vnet_parse(h, packet, sizeof packet, &o), -EBADMSG);
    packet[32] = 4 << 4; /* a TCP header shorter than itself */
    header_make(h, 1, 1, 64, 20, 16);
    assert_int_equal(capture_vnet_parse(h, packet, sizeof packet, &o), -EBADMSG);
    assert_memory_equal(&o, &before, sizeof o);
}

/* Random headers over random packets: whatever is accepted lies inside the packet. */
static void random_headers(void **state)
{
    uint64_t seed = 1;
    for (int round = 0; round < 200000; round++) {
        uint8_t bytes[VNET_HEADER_SIZE + 96];
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[i] = (uint8_t)(seed >> 56);
        }
        /* Mostly small numbers, so that the deeper checks are reached. */
        uint8_t *h = bytes;
        h[0] &= 3;
        h[1] %= 6;
        for (size_t at = 6; at < 10; at += 2) {
            uint16_t v = h[at] % 64;
            memcpy(h + at, &v, 2);
        }
        size_t size = bytes[VNET_HEADER_SIZE] % 97;
        struct packet_offload o;
        if (capture_vnet_parse(h, bytes + VNET_HEADER_SIZE, size, &o) < 0)
            continue;
        if (o.needs_checksum)
            assert_true((size_t)o.checksum_start + o.checksum_offset + 2 <= size);
        if (o.gso != PACKET_GSO_NONE)
            assert_true(o.header_size <= size && o.header_size > o.checksum_start);
        uint8_t built[VNET_HEADER_SIZE];
        assert_int_equal(capture_vnet_build(&o, size, built), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_packet),          cmocka_unit_test(data_valid_is_no_open_checksum),
        cmocka_unit_test(open_checksum),         cmocka_unit_test(super_packets),
        cmocka_unit_test(super_packets_refused), cmocka_unit_test(random_headers),
    };
    return cmocka_run_group_tests_name("capture_vnet", tests, NULL, NULL);
}
