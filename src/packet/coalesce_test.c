#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "packet/coalesce.h"
#include "packet/segment.h"
#include "packet/translate.h"
#include "tests/support/craft.h"
#include "tests/support/seeded.h"
#include "tests/support/stream.h"

#define ROUNDS 3000

static uint8_t packet[PACKET_SIZE], expected[PACKET_SIZE];

struct fixture {
    struct packet_pool *pool;
    struct coalesce c;
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){.pool = packet_pool_new(2)};
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    packet_pool_free(f->pool);
    return 0;
}

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
                           .options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8},
                           .options_size = 12,
                           .payload = 5000,
                           .segment = 1000,
                           .open = true};
}

/* Begins with a packet; false when it may not. */
static bool begin(struct fixture *f, const uint8_t *bytes, size_t size)
{
    struct ip_view view;
    enum drop_reason reason;
    if (!ip_parse(bytes, size, &view, &reason) || !coalesce_may_begin(bytes, &view))
        return false;
    struct packet *p = packet_take(f->pool);
    assert_true(packet_fill(p, bytes, size));
    assert_true(ip_offload_find(p->data, p->size, &p->offload));
    coalesce_begin(&f->c, p, &view, bytes);
    return true;
}

/* Puts all packets of `s` in; false when one did not fit. */
static bool add_all(struct fixture *f, const struct stream *s)
{
    for (unsigned i = 0; i < stream_count(s); i++) {
        size_t size = stream_packet(packet, s, i);
        if (!i && !begin(f, packet, size))
            return false;
        if (i && !coalesce_fits(&f->c, packet, size))
            return false;
        if (i)
            coalesce_copy(&f->c, packet, size);
    }
    return true;
}

static void assert_offload(const struct packet_offload *a, const struct packet_offload *b)
{
    assert_int_equal(a->needs_checksum, b->needs_checksum);
    assert_int_equal(a->gso, b->gso);
    assert_int_equal(a->gso_size, b->gso_size);
    assert_int_equal(a->header_size, b->header_size);
    assert_int_equal(a->checksum_start, b->checksum_start);
    assert_int_equal(a->checksum_offset, b->checksum_offset);
}

/* What is there is the super-packet of `s`. */
static void assert_super(struct fixture *f, const struct stream *s)
{
    struct packet_offload offload;
    size_t size = stream_super(expected, s, &offload);
    struct packet *p = coalesce_end(&f->c);
    assert_int_equal(p->size, size);
    assert_memory_equal(p->data, expected, size);
    assert_offload(&p->offload, &offload);
    packet_give_back(p);
    assert_null(f->c.packet);
}

static void test_gives_the_super_packet(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 8; i++) {
        struct stream s = plain(i & 1, i & 2);
        s.same_id = i & 4;
        assert_true(add_all(f, &s));
        assert_super(f, &s);
        s.payload = 4001;
        s.flags |= 0x49; /* ECE on all, PSH and FIN on the last */
        assert_true(add_all(f, &s));
        assert_true(f->c.full);
        assert_super(f, &s);
    }
}

/* Cutting what was built gives the packets that it was built from. */
static void test_random_there_and_back(void **state)
{
    struct fixture *f = *state;
    struct seeded seeded;
    unsigned runs = 0;
    seeded_init(&seeded, 6);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct stream s = plain(entropy_below(&seeded.entropy, 2), false);
        struct segment_cut cut;
        struct ip_view view;
        enum drop_reason reason;
        stream_random(&s, &seeded.entropy, 60000);
        s.flags &= 0x7F;
        if (stream_count(&s) < 2)
            continue;
        runs++;
        assert_true(add_all(f, &s));
        struct packet *p = coalesce_end(&f->c);
        assert_true(ip_parse(p->data, p->size, &view, &reason));
        assert_true(segment_begin(&cut, p, &view, p->offload.gso_size));
        for (unsigned k = 0; k < stream_count(&s); k++) {
            size_t got, size = stream_packet(expected, &s, k);
            uint8_t *bytes = segment_next(&cut, &got);
            assert_non_null(bytes);
            assert_int_equal(got, size);
            assert_memory_equal(bytes, expected, size);
        }
        assert_int_equal(segment_left(&cut), 0);
        packet_give_back(p);
    }
    assert_true(runs > ROUNDS / 2);
}

/* Does the header bit that was turned matter?  `at`, `bit`: which one. */
static bool bit_may_differ(const struct stream *s, bool six, size_t at, unsigned bit)
{
    size_t transport = six ? 40 : 20;
    if (s->udp)
        return at >= transport + 6 && at < transport + 8;
    if (at >= transport + 16 && at < transport + 18)
        return true;                                       /* the open sum is written anew */
    return at == transport + 13 && (bit == 0 || bit == 3); /* FIN, PSH */
}

/* Every single bit of the second packet's header that was turned keeps it out, but for those that
 * carry nothing or end the run. */
static void test_any_other_bit_keeps_it_out(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 8; i++) {
        bool six = i & 1;
        struct stream s = plain(six, i & 2);
        s.same_id = i & 4;
        size_t header = (six ? 40 : 20) + (s.udp ? 8 : 32);
        size_t size = stream_packet(packet, &s, 0);
        assert_true(begin(f, packet, size));
        size = stream_packet(packet, &s, 1);
        for (size_t at = 0; at < header; at++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                packet[at] ^= (uint8_t)(1 << bit);
                assert_int_equal(coalesce_fits(&f->c, packet, size),
                                 bit_may_differ(&s, six, at, bit));
                packet[at] ^= (uint8_t)(1 << bit);
            }
        }
        assert_true(coalesce_fits(&f->c, packet, size));
        for (size_t other = 0; other < size + 40; other++)
            assert_int_equal(coalesce_fits(&f->c, packet, other), other == size);
        packet_give_back(coalesce_end(&f->c));
    }
}

static void test_id_goes_one_way(void **state)
{
    struct fixture *f = *state;
    struct stream s = plain(false, false);
    s.dont_fragment = false;
    s.same_id = true; /* which says something, when packets may be fragmented */
    assert_false(add_all(f, &s));
    packet_give_back(coalesce_end(&f->c));
    s.same_id = false;
    assert_true(add_all(f, &s));
    packet_give_back(coalesce_end(&f->c));
    /* Once counting, always counting. */
    s.dont_fragment = true;
    size_t size = stream_packet(packet, &s, 0);
    assert_true(begin(f, packet, size));
    size = stream_packet(packet, &s, 1);
    coalesce_copy(&f->c, packet, size);
    s.same_id = true;
    size = stream_packet(packet, &s, 2);
    assert_false(coalesce_fits(&f->c, packet, size));
    packet_give_back(coalesce_end(&f->c));
}

static void test_a_short_one_or_a_flag_ends_it(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 6; i++) {
        struct stream s = plain(i & 1, false), last = s, next = s;
        size_t size = stream_packet(packet, &s, 0);
        assert_true(begin(f, packet, size));
        last.sequence += 1000;
        last.payload = i / 2 ? 1000 : 999;
        last.flags |= i / 2 == 1 ? 0x08 : i / 2 == 2 ? 0x01 : 0;
        last.id++;
        size = stream_packet(packet, &last, 0);
        assert_true(coalesce_fits(&f->c, packet, size));
        coalesce_copy(&f->c, packet, size);
        next.sequence = last.sequence + (uint32_t)last.payload;
        next.id = (uint16_t)(last.id + 1);
        size = stream_packet(packet, &next, 0);
        assert_false(coalesce_fits(&f->c, packet, size));
        s.payload = 1000 + last.payload;
        s.flags = last.flags;
        assert_super(f, &s);
    }
}

static void test_what_may_not_begin(void **state)
{
    struct fixture *f = *state;
    static const uint8_t flags[] = {0x02, 0x12, 0x04, 0x14, 0x18, 0x11, 0x30, 0x90, 0xD0, 0x00};
    static const uint8_t option[] = {1, 1, 1, 0};
    struct stream s = plain(false, false);
    size_t size;
    for (unsigned i = 0; i < sizeof flags; i++) {
        s.flags = flags[i];
        s.payload = 1000;
        size = stream_packet(packet, &s, 0);
        assert_false(begin(f, packet, size));
    }
    s.flags = 0x10;
    s.payload = 0; /* an acknowledgement */
    size = stream_packet(packet, &s, 0);
    assert_false(begin(f, packet, size));
    s.udp = true; /* an empty datagram */
    size = stream_packet(packet, &s, 0);
    assert_false(begin(f, packet, size));
    struct craft c = {.source = "10.0.0.1",
                      .destination = "198.18.0.2",
                      .protocol = IP_TCP,
                      .between = option,
                      .between_size = sizeof option,
                      .payload_size = 500};
    assert_false(begin(f, packet, craft_packet(packet, &c)));
    c.between_size = 0;
    c.fragment = 0x2000;
    c.payload_size = 500 + 4;
    assert_false(begin(f, packet, craft_packet(packet, &c)));
    c.fragment = 0;
    c.protocol = IP_ICMP;
    assert_false(begin(f, packet, craft_packet(packet, &c)));
    c.protocol = IP_TCP;
    size = craft_packet(packet, &c);
    packet[10] ^= 1; /* the sum of the IPv4 header */
    assert_false(begin(f, packet, size));
    packet[10] ^= 1;
    assert_true(begin(f, packet, size));
    packet_give_back(coalesce_end(&f->c));
}

static void test_bounds(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 4; i++) {
        struct stream s = plain(i & 1, i & 2);
        unsigned count = 0;
        s.segment = s.udp ? 100 : 1400;
        s.payload = s.segment * 70;
        size_t size = stream_packet(packet, &s, 0);
        assert_true(begin(f, packet, size));
        for (unsigned k = 1; k < 70; k++) {
            size = stream_packet(packet, &s, k);
            if (!coalesce_fits(&f->c, packet, size))
                break;
            coalesce_copy(&f->c, packet, size);
            count = k + 1;
        }
        struct packet *p = coalesce_end(&f->c);
        assert_int_equal(count, s.udp ? 64 : 46);
        assert_true(p->size <= 65535);
        packet_give_back(p);
    }
}

static void test_one_alone_is_as_it_came(void **state)
{
    struct fixture *f = *state;
    struct stream s = plain(false, false);
    size_t size = stream_packet(packet, &s, 0);
    assert_true(begin(f, packet, size));
    struct packet *p = coalesce_end(&f->c);
    assert_int_equal(p->size, size);
    assert_memory_equal(p->data, packet, size);
    assert_int_equal(p->offload.gso, PACKET_GSO_NONE);
    assert_true(p->offload.needs_checksum);
    packet_give_back(p);
}

static bool same_flow(struct fixture *f, const struct craft *c)
{
    struct ip_view view;
    enum drop_reason reason;
    size_t size = craft_packet(packet, c);
    assert_true(ip_parse(packet, size, &view, &reason));
    return coalesce_same_flow(&f->c, &view);
}

static void test_same_flow(void **state)
{
    struct fixture *f = *state;
    struct stream s = plain(false, false);
    struct craft c = {.source = s.source,
                      .destination = s.destination,
                      .protocol = IP_TCP,
                      .source_port = s.source_port,
                      .destination_port = s.destination_port,
                      .payload_size = 8};
    struct craft other = c;
    size_t size = stream_packet(packet, &s, 0);
    assert_true(begin(f, packet, size));
    assert_true(same_flow(f, &c));
    other.source_port++;
    assert_false(same_flow(f, &other));
    other = c;
    other.destination_port++;
    assert_false(same_flow(f, &other));
    other = c;
    other.source = "10.0.0.2";
    assert_false(same_flow(f, &other));
    other = c;
    other.protocol = IP_UDP;
    assert_false(same_flow(f, &other));
    other = c;
    other.source = "fd00::1", other.destination = "fd18::2";
    assert_false(same_flow(f, &other));
    other = c;
    other.fragment = 0x0010; /* somewhere inside a packet: its ports are not known */
    assert_true(same_flow(f, &other));
    packet_give_back(coalesce_end(&f->c));
    assert_false(same_flow(f, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gives_the_super_packet),
        cmocka_unit_test(test_random_there_and_back),
        cmocka_unit_test(test_any_other_bit_keeps_it_out),
        cmocka_unit_test(test_id_goes_one_way),
        cmocka_unit_test(test_a_short_one_or_a_flag_ends_it),
        cmocka_unit_test(test_what_may_not_begin),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_one_alone_is_as_it_came),
        cmocka_unit_test(test_same_flow),
    };
    return cmocka_run_group_tests_name("packet_coalesce", tests, set_up, tear_down);
}
