#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "path/forward_chain.h"

/* Gateways that swap labels, and workers that share a path by its lanes. */

static const struct craft a_to_b = {.source = "10.0.0.97",
                                    .destination = "198.18.0.98",
                                    .protocol = IP_UDP,
                                    .tos = ECN_ECT0,
                                    .source_port = 4000,
                                    .destination_port = 53,
                                    .payload = "not for the gateway's eyes",
                                    .payload_size = 26};

static void test_gateway(void **state)
{
    struct chain c;
    struct outs sent = {0}, crossed = {0}, got = {0};
    chain_init(&c, &(struct side_settings){0}, 9000);
    for (unsigned i = 0; i < 2; i++) {
        struct side *from = i ? &c.b : &c.a, *to = i ? &c.a : &c.b;
        struct craft packet = a_to_b;
        packet.source = i ? "10.0.0.98" : "10.0.0.97";
        packet.destination = i ? "198.18.0.97" : "198.18.0.98";
        side_capture_craft(from, 0, &packet, &sent);
        assert_int_equal(sent.count, 1);
        sent.item[0].tos = ECN_CE; /* marked on the first tunnel */
        side_carry(&sent, &c.g, from->letter, &crossed);
        assert_int_equal(crossed.count, 1);
        assert_int_equal(crossed.item[0].kind, FORWARD_SEND);
        const struct packet *p = crossed.item[0].packet;
        assert_null(memmem(p->data, p->size, "gateway", 7));
        assert_int_equal(crossed.item[0].tos, ECN_CE);
        assert_int_equal(p->data[2], RECORD_HOPS - 1);
        side_carry(&crossed, to, 'g', &got);
        assert_int_equal(got.count, 1);
        assert_int_equal(got.item[0].kind, FORWARD_CAPTURE);
        assert_memory_equal(got.item[0].packet->data + 28, "not for the gateway's eyes", 26);
        assert_int_equal(got.item[0].packet->data[1] & 3, ECN_CE);
        outs_free(&got);
        assert_int_equal(atomic_load(&c.transit[i].records), 1);
        assert_int_equal(atomic_load(&c.transit[i].used), c.g.now);
    }
    assert_int_equal(side_drops_all(&c.a) + side_drops_all(&c.g) + side_drops_all(&c.b), 0);
    assert_int_equal(side_packets_out(&c.g), 0);
    chain_done(&c);
}

/* Lane 0 of the two ends goes through like any other. */
static void test_gateway_control_lane(void **state)
{
    struct chain c;
    struct outs crossed = {0}, got = {0};
    struct forward_out out;
    enum drop_reason reason;
    chain_init(&c, &(struct side_settings){0}, 9000);
    struct packet *p = packet_take(c.a.pool[0]);
    assert_true(packet_fill(p, "hello", 5));
    assert_true(
        forward_seal(&c.a.path, c.a.path.lane[0], RECORD_KIND_CONTROL, c.a.now, p, &out, &reason));
    side_receive(&c.g, 0, &c.a.endpoint, 0, p->data, p->size, &crossed);
    packet_give_back(p);
    side_carry(&crossed, &c.b, 'g', &got);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.item[0].punt, PUNT_CONTROL);
    outs_free(&got);
    chain_done(&c);
}

static void test_gateway_refuses(void **state)
{
    struct chain c;
    struct outs sent = {0}, got = {0};
    struct endpoint elsewhere = side_endpoint('z');
    chain_init(&c, &(struct side_settings){0}, 200);
    side_capture_craft(&c.a, 0, &a_to_b, &sent);
    uint8_t *record = sent.item[0].packet->data;
    size_t size = sent.item[0].packet->size;

    side_receive(&c.g, 0, &elsewhere, 0, record, size, &got);
    assert_int_equal(side_drops(&c.g, DROP_WRONG_ENDPOINT), 1);
    elsewhere = c.a.endpoint;
    elsewhere.port++;
    side_receive(&c.g, 0, &elsewhere, 0, record, size, &got);
    assert_int_equal(side_drops(&c.g, DROP_WRONG_ENDPOINT), 2);

    record[2] = 0;
    side_receive(&c.g, 0, &c.a.endpoint, 0, record, size, &got);
    assert_int_equal(side_drops(&c.g, DROP_HOP_LIMIT), 1);
    record[2] = 1; /* the last gateway that it may cross */
    side_receive(&c.g, 0, &c.a.endpoint, 0, record, size, &got);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.item[0].packet->data[2], 0);
    outs_free(&got);

    atomic_store(&c.tunnel[1].recipe, NULL);
    side_receive(&c.g, 0, &c.a.endpoint, 0, record, size, &got);
    assert_int_equal(side_drops(&c.g, DROP_NO_TUNNEL), 1);
    assert_int_equal(got.count, 0);
    assert_int_equal(atomic_load(&c.transit[0].records), 1);
    outs_free(&sent);
    chain_done(&c);
}

static void test_gateway_too_large(void **state)
{
    struct chain c;
    struct outs sent = {0}, got = {0};
    struct craft packet = a_to_b;
    chain_init(&c, &(struct side_settings){0}, 200);
    packet.payload = NULL;
    packet.payload_size = 200;
    for (unsigned i = 0; i < 20; i++)
        side_capture_craft(&c.a, 0, &packet, &sent);
    side_carry(&sent, &c.g, 'a', &got);
    assert_int_equal(side_drops(&c.g, DROP_OVERSIZED), 20);
    assert_int_equal(got.count, 16); /* so many a second */
    for (unsigned i = 0; i < got.count; i++) {
        struct record_header h;
        uint8_t padded[RECORD_OVERHEAD] = {0};
        assert_int_equal(got.item[i].punt, PUNT_TRANSIT_BIG);
        assert_int_equal(got.item[i].id, SLOT_FROM_A);
        assert_int_equal(got.item[i].packet->size, RECORD_HEADER);
        memcpy(padded, got.item[i].packet->data, RECORD_HEADER);
        assert_true(record_read_header(padded, sizeof padded, &h));
        assert_int_equal(h.counter, i);
    }
    outs_free(&got);
    chain_done(&c);
}

/* A path over gateways says nothing about where the far end is. */
static void test_no_move_over_gateways(void **state)
{
    struct chain c;
    struct outs sent = {0}, crossed = {0}, got = {0};
    struct endpoint elsewhere = side_endpoint('z');
    chain_init(&c, &(struct side_settings){0}, 9000);
    side_capture_craft(&c.a, 0, &a_to_b, &sent);
    side_carry(&sent, &c.g, 'a', &crossed);
    const struct packet *p = crossed.item[0].packet;
    side_receive(&c.b, 0, &elsewhere, 0, p->data, p->size, &got);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.item[0].kind, FORWARD_CAPTURE);
    outs_free(&crossed);
    outs_free(&got);
    chain_done(&c);
}

/* ---- workers ---- */

static struct craft flow(unsigned port, bool back)
{
    return (struct craft){.source = back ? "10.0.0.98" : "10.0.0.97",
                          .destination = back ? "198.18.0.97" : "198.18.0.98",
                          .protocol = IP_UDP,
                          .source_port = (uint16_t)(back ? 53 : port),
                          .destination_port = (uint16_t)(back ? port : 53),
                          .payload_size = 40};
}

/* Lanes that were used by the records in `o`, as bits. */
static unsigned lanes_of(const struct outs *o)
{
    unsigned lanes = 0;
    for (unsigned i = 0; i < o->count; i++) {
        struct record_header h;
        const struct packet *p = o->item[i].packet;
        assert_int_equal(o->item[i].kind, FORWARD_SEND);
        assert_true(record_read_header(p->data, p->size, &h));
        lanes |= 1u << LABEL_LANE(h.label);
    }
    return lanes;
}

/* Two workers here, three there, five data lanes: whatever queue and socket packets come from, a
 * flow and its answers keep to one lane, and only the side that started it needs to know it. */
static void test_flows_keep_their_lane(void **state)
{
    struct side a, b;
    unsigned used = 0;
    side_init(&a, 'a', 'b', &(struct side_settings){.workers = 2, .lanes = 6, .no_policy = true});
    side_init(&b, 'b', 'a', &(struct side_settings){.workers = 3, .lanes = 6});
    for (unsigned port = 5000; port < 5100; port++) {
        struct outs sent = {0}, got = {0}, back = {0};
        struct craft c = flow(port, false);
        side_capture_craft(&a, port % 2, &c, &sent);
        side_settle(&a, &sent);
        unsigned lanes = lanes_of(&sent);
        used |= lanes;
        side_carry(&sent, &b, 'a', &got);
        assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 1);
        outs_free(&got);
        c = flow(port, true);
        side_capture_craft(&b, port % 3, &c, &back);
        side_settle(&b, &back);
        assert_int_equal(lanes_of(&back), lanes);
        side_carry(&back, &a, 'b', &got);
        assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 1);
        outs_free(&got);
    }
    assert_int_equal(used, 0x3E);
    assert_int_equal(side_drops_all(&a) + side_drops_all(&b), 0);
    side_done(&a);
    side_done(&b);
}

/* More workers than data lanes. */
static void test_worker_without_lanes(void **state)
{
    struct side a, b;
    uint8_t expected[200];
    side_init(&a, 'a', 'b', &(struct side_settings){.workers = 3, .lanes = 2});
    side_init(&b, 'b', 'a', &(struct side_settings){0});
    struct craft c = flow(5000, false);
    size_t size = craft_packet(expected, &c);
    for (unsigned worker = 0; worker < 3; worker++) {
        struct outs sent = {0}, got = {0};
        side_capture_craft(&a, worker, &c, &sent);
        if (worker != 1) {
            assert_int_equal(sent.count, 1);
            assert_int_equal(sent.item[0].kind, FORWARD_HANDOVER);
            assert_int_equal(sent.item[0].worker, 1);
            assert_true(sent.item[0].from_capture);
            assert_int_equal(sent.item[0].packet->size, size);
            assert_memory_equal(sent.item[0].packet->data, expected, size);
        }
        side_settle(&a, &sent);
        side_carry(&sent, &b, 'a', &got);
        assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 1);
        outs_free(&got);
    }
    side_done(&a);
    side_done(&b);
}

struct seen {
    uint64_t *key; /* epoch, lane, counter */
    unsigned count, room;
};

static int compare(const void *x, const void *y)
{
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return a < b ? -1 : a > b;
}

static void remember(struct seen *s, const struct outs *o)
{
    for (unsigned i = 0; i < o->count; i++) {
        struct record_header h;
        if (o->item[i].kind != FORWARD_SEND)
            continue;
        assert_true(record_read_header(o->item[i].packet->data, o->item[i].packet->size, &h));
        if (s->count == s->room) {
            s->room = s->room ? s->room * 2 : 1024;
            s->key = base_realloc(s->key, s->room * sizeof *s->key);
        }
        s->key[s->count++] =
            (uint64_t)h.epoch << 56 | (uint64_t)LABEL_LANE(h.label) << 48 | h.counter;
    }
}

/* Rekeys, parks, and recipes that change: no key seals two records with one counter. */
static void test_counters_are_used_once(void **state)
{
    struct side a;
    struct seen seen = {0};
    struct seeded seeded;
    uint8_t epoch = 0;
    seeded_init(&seeded, 11);
    side_init(&a, 'a', 'b', &(struct side_settings){.workers = 2, .lanes = 4, .record_mtu = 576});
    for (unsigned i = 0; i < 5000; i++) {
        struct outs sent = {0};
        unsigned what = entropy_below(&seeded.entropy, 100);
        unsigned lane = 1 + entropy_below(&seeded.entropy, 3);
        struct craft c = flow(entropy_below(&seeded.entropy, 60000), false);
        if (what == 0 && epoch < 200) {
            side_keys(&a, 'b', ++epoch);
        } else if (what == 1) { /* parked and woken: the same key, from where it was */
            struct lane *l = a.path.lane[lane];
            struct record_sealer *old = atomic_exchange(&l->sealer, NULL);
            uint64_t counter = record_sealer_counter(old);
            uint8_t key[32], direction[32] = {'a', 'b'};
            record_lane_key(direction, (uint8_t)lane, epoch, key);
            record_sealer_free(old);
            atomic_store(&l->sealer,
                         record_sealer_new(NULL, CRYPTO_AES256GCM, key, epoch, counter));
        } else if (what == 2) {
            side_replace_recipe(&a, side_recipe('a', 'b', 500));
        } else if (what == 3) {
            side_replace_recipe(&a, side_recipe('a', 'b', 9000));
        }
        c.payload_size = entropy_below(&seeded.entropy, 1200);
        side_capture_craft(&a, what & 1, &c, &sent);
        side_settle(&a, &sent);
        assert_true(sent.count > 0);
        remember(&seen, &sent);
        outs_free(&sent);
    }
    qsort(seen.key, seen.count, sizeof *seen.key, compare);
    for (unsigned i = 1; i < seen.count; i++)
        assert_true(seen.key[i - 1] != seen.key[i]);
    assert_true(seen.count > 7000 && epoch > 20);
    free(seen.key);
    side_done(&a);
}

/* Handles come and go while others stay. */
static void test_handle_table(void **state)
{
    enum { COUNT = 1000 };
    struct side a;
    struct fwd_handle *h = base_calloc(COUNT, sizeof *h);
    side_init(&a, 'a', 'b', &(struct side_settings){0});
    for (unsigned i = 0; i < COUNT; i++) {
        h[i].id = i;
        h[i].v4 = side_address("198.19.0.0");
        h[i].v4.bytes[2] = (uint8_t)(i >> 8);
        h[i].v4.bytes[3] = (uint8_t)i;
        if (i % 3) {
            h[i].v6 = side_address("fd18::1:0:0");
            memcpy(h[i].v6.bytes + 12, h[i].v4.bytes, 4);
        }
        fwd_handle_add(a.tables, &h[i]);
    }
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = round; i < COUNT; i += 4)
            fwd_handle_remove(a.tables, &h[i]);
        for (unsigned i = 0; i < COUNT; i++) {
            bool there = i % 4 > round;
            assert_ptr_equal(fwd_handle_find(a.tables, &h[i].v4), there ? &h[i] : NULL);
            if (i % 3)
                assert_ptr_equal(fwd_handle_find(a.tables, &h[i].v6), there ? &h[i] : NULL);
        }
        /* Tombstones do not pile up. */
        for (unsigned i = 0; i < 5000; i++) {
            fwd_handle_add(a.tables, &h[0]);
            fwd_handle_remove(a.tables, &h[0]);
        }
        epoch_collect(a.epoch);
    }
    struct ip_address none = {0};
    assert_null(fwd_handle_find(a.tables, &none));
    side_done(&a);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_gateway_control_lane),
        cmocka_unit_test(test_gateway_refuses),
        cmocka_unit_test(test_gateway_too_large),
        cmocka_unit_test(test_no_move_over_gateways),
        cmocka_unit_test(test_flows_keep_their_lane),
        cmocka_unit_test(test_worker_without_lanes),
        cmocka_unit_test(test_counters_are_used_once),
        cmocka_unit_test(test_handle_table),
    };
    return cmocka_run_group_tests_name("path_forward_transit", tests, NULL, NULL);
}
