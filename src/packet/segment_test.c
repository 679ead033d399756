#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "packet/segment.h"
#include "tests/support/craft.h"
#include "tests/support/seeded.h"
#include "tests/support/stream.h"

#define ROUNDS 3000

static uint8_t expected[PACKET_SIZE];

static struct stream plain(bool six, bool udp)
{
    return (struct stream){.source = six ? "fd00::1" : "10.0.0.1",
                           .destination = six ? "fd18::2" : "198.18.0.2",
                           .udp = udp,
                           .dont_fragment = true,
                           .id = 0xFFFE,
                           .source_port = 40000,
                           .destination_port = 443,
                           .sequence = 0xFFFFFC00,
                           .acknowledged = 77,
                           .window = 501,
                           .flags = 0x10,
                           .payload = 5000,
                           .segment = 1000,
                           .open = true};
}

/* The super-packet of `s` in `p`, and its view. */
static void take_super(struct packet *p, const struct stream *s, struct ip_view *ret)
{
    enum drop_reason reason;
    struct packet_offload offload;
    packet_reset(p, PACKET_HEADROOM);
    p->size = stream_super(p->data, s, &offload);
    p->offload = offload;
    assert_true(ip_parse(p->data, p->size, ret, &reason));
}

/* Cuts and compares with what a sender would have made. */
static void assert_cut(struct packet *p, const struct stream *s, size_t segment)
{
    struct segment_cut cut;
    struct ip_view view;
    struct stream wanted = *s;
    take_super(p, s, &view);
    wanted.segment = segment;
    assert_true(segment_begin(&cut, p, &view, (uint16_t)segment));
    unsigned count = stream_count(&wanted);
    for (unsigned i = 0; i < count; i++) {
        size_t size = 0, wanted_size = stream_packet(expected, &wanted, i);
        assert_int_equal(segment_left(&cut), count - i);
        uint8_t *packet = segment_next(&cut, &size);
        assert_non_null(packet);
        if (!wanted.open)
            segment_complete(&cut, packet, size);
        assert_int_equal(size, wanted_size);
        assert_memory_equal(packet, expected, size);
    }
    size_t size;
    assert_int_equal(segment_left(&cut), 0);
    assert_null(segment_next(&cut, &size));
}

static void test_plain(void **state)
{
    struct packet_pool *pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    for (unsigned i = 0; i < 8; i++) {
        struct stream s = plain(i & 1, i & 2);
        s.open = i & 4;
        s.flags = s.udp ? 0 : 0x99; /* CWR, ACK, PSH, FIN */
        assert_cut(p, &s, s.segment);
        s.payload = 4001; /* a last one of one byte */
        assert_cut(p, &s, s.segment);
        s.payload = 700; /* a single one */
        assert_cut(p, &s, s.segment);
        s.segment = 8; /* payloads smaller than their headers */
        assert_cut(p, &s, s.segment);
    }
    packet_give_back(p);
    packet_pool_free(pool);
}

static void test_smaller_than_the_kernel_said(void **state)
{
    struct packet_pool *pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    for (unsigned i = 0; i < 2; i++) {
        struct stream s = plain(i, false);
        s.payload = 60000;
        s.segment = 1348;
        for (size_t segment = 1; segment < 1348; segment += 61)
            assert_cut(p, &s, segment);
    }
    packet_give_back(p);
    packet_pool_free(pool);
}

static void test_random(void **state)
{
    struct packet_pool *pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    struct seeded seeded;
    seeded_init(&seeded, 4);
    for (unsigned i = 0; i < ROUNDS; i++) {
        bool six = entropy_below(&seeded.entropy, 2);
        struct stream s = plain(six, false);
        stream_random(&s, &seeded.entropy, 60000);
        s.open = entropy_below(&seeded.entropy, 2);
        assert_cut(p, &s, s.segment);
    }
    packet_give_back(p);
    packet_pool_free(pool);
}

static void test_offload_of_the_packets(void **state)
{
    struct packet_pool *pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    struct segment_cut cut;
    struct ip_view view;
    for (unsigned i = 0; i < 4; i++) {
        struct stream s = plain(i & 1, i & 2);
        struct packet_offload o;
        take_super(p, &s, &view);
        assert_true(segment_begin(&cut, p, &view, 1000));
        segment_offload(&cut, &o);
        assert_true(o.needs_checksum);
        assert_int_equal(o.gso, PACKET_GSO_NONE);
        assert_int_equal(o.checksum_start, i & 1 ? 40 : 20);
        assert_int_equal(o.checksum_offset, i & 2 ? 6 : 16);
        assert_int_equal(o.header_size, o.checksum_start + (i & 2 ? 8 : 20));
    }
    packet_give_back(p);
    packet_pool_free(pool);
}

static void refuse(struct packet *p, struct packet_offload offload, uint16_t segment)
{
    struct segment_cut cut;
    struct ip_view view;
    enum drop_reason reason;
    assert_true(ip_parse(p->data, p->size, &view, &reason));
    p->offload = offload;
    assert_false(segment_begin(&cut, p, &view, segment));
}

static void test_contradictions_are_refused(void **state)
{
    struct packet_pool *pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    struct ip_view view;
    for (unsigned i = 0; i < 4; i++) {
        struct stream s = plain(i & 1, i & 2);
        take_super(p, &s, &view);
        struct packet_offload good = p->offload, o = good;
        refuse(p, o, 0);
        o.needs_checksum = false;
        refuse(p, o, 1000);
        for (uint8_t gso = 0; gso < 6; gso++) {
            o = good;
            o.gso = gso;
            if (gso != good.gso)
                refuse(p, o, 1000);
        }
        for (int by = -1; by <= 1; by += 2) {
            o = good;
            o.checksum_start = (uint16_t)(o.checksum_start + by);
            refuse(p, o, 1000);
            o = good;
            o.checksum_offset = (uint16_t)(o.checksum_offset + by);
            refuse(p, o, 1000);
            o = good;
            o.header_size = (uint16_t)(o.header_size + by);
            refuse(p, o, 1000);
        }
        if (s.udp) /* the program's datagrams stay as they are */
            refuse(p, good, 999);
        s.payload = 0;
        take_super(p, &s, &view);
        refuse(p, p->offload, 1000);
    }
    packet_give_back(p);
    packet_pool_free(pool);
}

/* Extension headers that are longer than what we keep. */
static void test_header_too_large(void **state)
{
    struct packet_pool *pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    uint8_t between[264] = {IP_TCP, sizeof between / 8 - 1};
    struct craft c = {.source = "fd00::1",
                      .destination = "fd18::2",
                      .protocol = IP_TCP,
                      .between = between,
                      .between_size = sizeof between,
                      .first_extension = EXTENSION_DESTINATION,
                      .payload_size = 5000};
    packet_reset(p, PACKET_HEADROOM);
    p->size = craft_packet(p->data, &c);
    refuse(p,
           (struct packet_offload){.needs_checksum = true,
                                   .gso = PACKET_GSO_TCP6,
                                   .gso_size = 1000,
                                   .header_size = 40 + sizeof between + 20,
                                   .checksum_start = 40 + sizeof between,
                                   .checksum_offset = 16},
           1000);
    packet_give_back(p);
    packet_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_smaller_than_the_kernel_said),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_offload_of_the_packets),
        cmocka_unit_test(test_contradictions_are_refused),
        cmocka_unit_test(test_header_too_large),
    };
    return cmocka_run_group_tests_name("packet_segment", tests, NULL, NULL);
}
