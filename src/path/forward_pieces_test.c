#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "path/forward_fixture.h"

/* Packets that travel in several records, under what a network does to records. */

static struct craft large(uint16_t port, size_t total)
{
    return (struct craft){.source = "10.0.0.97",
                          .destination = "198.18.0.98",
                          .protocol = IP_UDP,
                          .source_port = port,
                          .destination_port = 53,
                          .payload_size = total - 28};
}

static void receive(struct side *s, const struct forward_out *record, struct outs *ret)
{
    struct endpoint from = side_endpoint('a');
    side_receive(s, 0, &from, 0, record->packet->data, record->packet->size, ret);
}

static void assert_whole(const struct outs *got, const struct craft *c)
{
    static uint8_t expected[70000];
    struct craft there = *c;
    there.source = "198.18.0.97";
    there.destination = "10.0.0.98";
    there.ttl = 63;
    size_t size = craft_packet(expected, &there);
    assert_int_equal(got->count, 1);
    assert_int_equal(got->item[0].kind, FORWARD_CAPTURE);
    assert_int_equal(got->item[0].packet->size, size);
    assert_memory_equal(got->item[0].packet->data, expected, size);
}

static void test_sizes(void **state)
{
    static const size_t totals[] = {544,  545,  1088, 1089,  1280,  1281, 1400,
                                    1500, 4000, 9000, 40000, 65534, 65535};
    struct pair x;
    pair_init(&x, &(struct side_settings){.record_mtu = 576});
    for (unsigned i = 0; i < sizeof totals / sizeof *totals; i++) {
        struct outs sent = {0}, got = {0};
        struct craft c = large(4000, totals[i]);
        side_capture_craft(&x.a, 0, &c, &sent);
        unsigned count = (unsigned)((totals[i] + 543) / 544);
        assert_int_equal(sent.count, count);
        for (unsigned j = 0; j < count; j++) {
            struct record_header h;
            const struct packet *p = sent.item[j].packet;
            assert_true(p->size <= 576);
            assert_true(record_read_header(p->data, p->size, &h));
            assert_int_equal(!!(h.flags & RECORD_REST), j > 0);
            assert_int_equal(!!(h.flags & RECORD_MORE), j + 1 < count);
            assert_int_equal(h.flags & RECORD_KIND_MASK, RECORD_KIND_IPV4);
        }
        side_carry(&sent, &x.b, 'a', &got);
        assert_whole(&got, &c);
        outs_free(&got);
    }
    assert_int_equal(side_packets_out(&x.b), 0);
    assert_int_equal(side_drops_all(&x.a) + side_drops_all(&x.b), 0);
    pair_done(&x);
}

/* 1280 bytes always fit for the programs, whatever the path carries. */
static void test_least_inner_mtu(void **state)
{
    assert_int_equal(forward_inner_mtu(0), 1280);
    assert_int_equal(forward_inner_mtu(576), 1280);
    assert_int_equal(forward_inner_mtu(1312), 1280);
    assert_int_equal(forward_inner_mtu(1313), 1281);
    assert_int_equal(forward_inner_mtu(65535), 65503);
    struct pair x;
    pair_init(&x, &(struct side_settings){.record_mtu = 576});
    for (unsigned i = 0; i < 2; i++) {
        struct outs sent = {0}, got = {0};
        struct craft c = large(4000, 1280 + i);
        c.fragment = 0x4000;
        c.protocol = 47;
        c.payload_size += 8; /* no UDP header */
        side_capture_craft(&x.a, 0, &c, &sent);
        assert_int_equal(outs_kind(&sent, FORWARD_SEND), i ? 0 : 3);
        assert_int_equal(outs_kind(&sent, FORWARD_CAPTURE), i);
        side_carry(&sent, &x.b, 'a', &got);
        assert_int_equal(got.count, !i);
        outs_free(&got);
    }
    pair_done(&x);
}

static void test_open_checksum_in_pieces(void **state)
{
    static uint8_t bytes[4000];
    struct pair x;
    struct outs sent = {0}, got = {0};
    pair_init(&x, &(struct side_settings){.record_mtu = 576, .open_checksums = true});
    struct craft c = large(4000, 3000);
    struct packet_offload offload = {
        .needs_checksum = true, .checksum_start = 20, .checksum_offset = 6};
    c.open_checksum = true;
    side_capture(&x.a, 0, bytes, craft_packet(bytes, &c), &offload, &sent);
    side_carry(&sent, &x.b, 'a', &got);
    assert_int_equal(got.count, 1);
    assert_true(got.item[0].packet->offload.needs_checksum);
    assert_true(ip_complete_checksum(got.item[0].packet));
    c.open_checksum = false;
    assert_whole(&got, &c);
    outs_free(&got);
    pair_done(&x);
}

/* A congestion mark on one record is one on the packet. */
static void test_mark_on_a_piece(void **state)
{
    struct pair x;
    struct outs sent = {0}, got = {0};
    pair_init(&x, &(struct side_settings){.record_mtu = 576});
    struct craft c = large(4000, 1500);
    c.tos = ECN_ECT0;
    side_capture_craft(&x.a, 0, &c, &sent);
    assert_int_equal(sent.count, 3);
    sent.item[1].tos = ECN_CE;
    side_carry(&sent, &x.b, 'a', &got);
    c.tos = ECN_CE;
    assert_whole(&got, &c);
    outs_free(&got);
    pair_done(&x);
}

static void shuffle(struct outs *o, struct seeded *s, unsigned reach)
{
    for (unsigned i = 0; i + 1 < o->count; i++) {
        unsigned left = o->count - 1 - i;
        unsigned by = entropy_below(&s->entropy, (left < reach ? left : reach) + 1);
        struct forward_out swapped = o->item[i];
        o->item[i] = o->item[i + by];
        o->item[i + by] = swapped;
    }
}

/* Reordering and duplication inside the window lose nothing. */
static void test_reordered_and_repeated(void **state)
{
    struct pair x;
    struct seeded seeded;
    seeded_init(&seeded, 42);
    pair_init(&x, &(struct side_settings){.record_mtu = 576});
    unsigned repeated = 0, delivered = 0;
    for (unsigned round = 0; round < 40; round++) {
        struct outs sent = {0}, got = {0};
        unsigned packets = 1 + entropy_below(&seeded.entropy, 8);
        for (unsigned i = 0; i < packets; i++) {
            struct craft c =
                large((uint16_t)(4000 + i), 100 + entropy_below(&seeded.entropy, 6000));
            side_capture_craft(&x.a, 0, &c, &sent);
        }
        shuffle(&sent, &seeded, 6);
        for (unsigned i = 0; i < sent.count; i++) {
            receive(&x.b, &sent.item[i], &got);
            if (entropy_below(&seeded.entropy, 10) == 0) {
                receive(&x.b, &sent.item[i], &got);
                repeated++;
            }
        }
        assert_int_equal(got.count, packets);
        for (unsigned i = 0; i < got.count; i++)
            assert_true(craft_sums_right(got.item[i].packet->data, got.item[i].packet->size));
        delivered += got.count;
        outs_free(&sent);
        outs_free(&got);
    }
    assert_true(repeated > 10);
    assert_int_equal(side_drops(&x.b, DROP_REPLAYED), repeated);
    assert_int_equal(side_drops_all(&x.b), repeated);
    assert_int_equal(side_packets_out(&x.b), 0);
    assert_true(delivered > 100);
    pair_done(&x);
}

/* Loss costs the packets that lost a piece, and no buffer for long. */
static void test_lost(void **state)
{
    struct pair x;
    struct seeded seeded;
    seeded_init(&seeded, 7);
    pair_init(&x, &(struct side_settings){.record_mtu = 576});
    unsigned whole = 0, delivered = 0;
    for (unsigned round = 0; round < 200; round++) {
        struct outs sent = {0}, got = {0};
        struct craft c = large(4000, 600 + entropy_below(&seeded.entropy, 9000));
        bool lost = false;
        side_capture_craft(&x.a, 0, &c, &sent);
        for (unsigned i = 0; i < sent.count; i++) {
            if (entropy_below(&seeded.entropy, 20) == 0)
                lost = true;
            else
                receive(&x.b, &sent.item[i], &got);
        }
        if (!lost)
            assert_whole(&got, &c);
        whole += !lost;
        delivered += got.count;
        outs_free(&sent);
        outs_free(&got);
        assert_true(side_packets_out(&x.b) <= FORWARD_PIECES);
        x.b.now += MILLISECOND;
    }
    assert_int_equal(delivered, whole);
    assert_true(whole > 50 && whole < 180);
    /* What waits in vain is given up when time has passed. */
    x.b.now += 10 * SECOND;
    struct outs got = {0};
    side_receive(&x.b, 0, &x.a.endpoint, 0, "", 0, &got);
    assert_int_equal(side_packets_out(&x.b), 0);
    assert_true(side_drops(&x.b, DROP_REASSEMBLY) > 0);
    pair_done(&x);
}

static size_t piece(struct pair *x, uint8_t flags, size_t size, uint8_t *ret)
{
    static uint8_t content[1000];
    struct forward_out out;
    enum drop_reason reason;
    struct packet *p = packet_take(x->a.pool[0]);
    assert_true(packet_fill(p, content, size));
    assert_true(forward_seal(&x->a.path, x->a.path.lane[1], flags | RECORD_KIND_IPV4, x->a.now, p,
                             &out, &reason));
    memcpy(ret, p->data, p->size);
    size = p->size;
    packet_give_back(p);
    return size;
}

/* Chains that no honest host makes: without end, of different kinds, larger than a packet. */
static void test_hostile_chains(void **state)
{
    static uint8_t record[1200];
    struct pair x;
    struct outs got = {0};
    pair_init(&x, &(struct side_settings){0});
    for (unsigned i = 0; i < 1000; i++)
        side_receive(&x.b, 0, &x.a.endpoint, 0, record,
                     piece(&x, RECORD_MORE | RECORD_REST, 100, record), &got);
    assert_int_equal(side_packets_out(&x.b), FORWARD_PIECES);
    assert_int_equal(side_drops(&x.b, DROP_REASSEMBLY), 1000 - FORWARD_PIECES);
    /* An end without a beginning; a beginning of another kind. */
    side_receive(&x.b, 0, &x.a.endpoint, 0, record, piece(&x, RECORD_MORE, 100, record), &got);
    side_receive(&x.b, 0, &x.a.endpoint, 0, record,
                 piece(&x, RECORD_REST | RECORD_OPEN_CHECKSUM, 100, record), &got);
    assert_int_equal(got.count, 0);
    /* 127 * 1000 bytes. */
    for (unsigned i = 0; i < FORWARD_PIECES - 1; i++)
        side_receive(
            &x.b, 0, &x.a.endpoint, 0, record,
            piece(&x, (uint8_t)((i ? RECORD_REST : 0) | (i < FORWARD_PIECES - 2 ? RECORD_MORE : 0)),
                  1000, record),
            &got);
    assert_int_equal(got.count, 0);
    assert_true(side_packets_out(&x.b) <= 1);
    assert_int_equal(side_drops_all(&x.b), side_drops(&x.b, DROP_REASSEMBLY));
    pair_done(&x);
}

/* Many lanes full of pieces share what one worker may hold. */
static void test_all_lanes_together(void **state)
{
    struct pair x;
    struct outs got = {0};
    pair_init(&x, &(struct side_settings){.record_mtu = 576, .lanes = 16});
    for (unsigned i = 0; i < 400; i++) {
        struct outs sent = {0};
        struct craft c = large((uint16_t)(4000 + i), 5000);
        side_capture_craft(&x.a, 0, &c, &sent);
        for (unsigned j = 0; j + 1 < sent.count; j++)
            receive(&x.b, &sent.item[j], &got);
        outs_free(&sent);
        x.b.now++;
        assert_true(side_packets_out(&x.b) <= 2 * FORWARD_PIECES);
    }
    assert_int_equal(got.count, 0);
    assert_true(side_packets_out(&x.b) > FORWARD_PIECES);
    pair_done(&x);
}

/* Lanes are freed by the control thread while their pieces are the worker's. */
static void test_lane_goes_before_its_pieces(void **state)
{
    static uint8_t record[1200];
    struct pair x;
    struct outs got = {0};
    pair_init(&x, &(struct side_settings){0});
    side_receive(&x.b, 0, &x.a.endpoint, 0, record, piece(&x, RECORD_MORE, 100, record), &got);
    assert_int_equal(side_packets_out(&x.b), 1);
    lane_free(x.b.path.lane[1]);
    x.b.path.lane[1] = lane_new(1);
    x.b.now += SECOND;
    side_receive(&x.b, 0, &x.a.endpoint, 0, "", 0, &got);
    assert_int_equal(side_packets_out(&x.b), 0);
    pair_done(&x);
}

/* Without buffers for all pieces nothing of the packet goes. */
static void test_no_buffers(void **state)
{
    struct pair x;
    struct outs sent = {0};
    pair_init(&x, &(struct side_settings){.record_mtu = 576, .packets = 5});
    struct craft c = large(4000, 6 * 544);
    side_capture_craft(&x.a, 0, &c, &sent);
    assert_int_equal(sent.count, 0);
    assert_int_equal(side_drops(&x.a, DROP_NO_BUFFER), 1);
    assert_int_equal(side_packets_out(&x.a), 0);
    c = large(4000, 5 * 544);
    side_capture_craft(&x.a, 0, &c, &sent);
    assert_int_equal(sent.count, 5);
    outs_free(&sent);
    atomic_store(&x.a.path.record_mtu, RECORD_OVERHEAD + 8);
    c = large(4000, 1200);
    side_capture_craft(&x.a, 0, &c, &sent);
    atomic_store(&x.a.path.record_mtu, RECORD_OVERHEAD);
    side_capture_craft(&x.a, 0, &c, &sent);
    assert_int_equal(sent.count, 0);
    assert_int_equal(side_drops(&x.a, DROP_TOO_BIG), 1);
    assert_int_equal(side_drops(&x.a, DROP_OVERSIZED), 1);
    pair_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_least_inner_mtu),
        cmocka_unit_test(test_open_checksum_in_pieces),
        cmocka_unit_test(test_mark_on_a_piece),
        cmocka_unit_test(test_reordered_and_repeated),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_hostile_chains),
        cmocka_unit_test(test_all_lanes_together),
        cmocka_unit_test(test_lane_goes_before_its_pieces),
        cmocka_unit_test(test_no_buffers),
    };
    return cmocka_run_group_tests_name("path_forward_pieces", tests, NULL, NULL);
}
