#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "path/forward_fixture.h"

/* What may not travel, and what control must decide. */

/* A record from A to B with chosen flags and content, as bytes; returns its size. */
static size_t sealed(struct pair *x, unsigned lane, uint8_t flags, const void *content, size_t size,
                     uint8_t *ret)
{
    struct forward_out out;
    enum drop_reason reason;
    struct packet *p = packet_take(x->a.pool[0]);
    assert_true(packet_fill(p, content, size));
    assert_true(forward_seal(&x->a.path, x->a.path.lane[lane], flags, x->a.now, p, &out, &reason));
    size = p->size;
    memcpy(ret, p->data, size);
    packet_give_back(p);
    return size;
}

/* The datagram gives nothing but one drop of that reason. */
static void assert_dropped(struct side *s, const void *bytes, size_t size, enum drop_reason reason)
{
    struct outs got = {0};
    uint64_t before = side_drops(s, reason), all = side_drops_all(s);
    struct endpoint from = side_endpoint('a');
    side_receive(s, 0, &from, 0, bytes, size, &got);
    assert_int_equal(got.count, 0);
    assert_int_equal(side_drops(s, reason), before + 1);
    assert_int_equal(side_drops_all(s), all + 1);
    assert_int_equal(side_packets_out(s), 0);
}

static void test_captured_refused(void **state)
{
    struct pair x;
    pair_init(&x, &(struct side_settings){0});
    static const struct {
        const char *source, *destination;
        enum drop_reason reason;
        unsigned answers;
    } rows[] = {
        {"10.0.0.99", "198.18.0.98", DROP_NOT_OUR_SOURCE, 0},
        {"fd00::99", "fd18::62", DROP_NOT_OUR_SOURCE, 0},
        {"10.0.0.97", "224.0.0.251", DROP_MULTICAST, 0},
        {"fd00::61", "ff02::fb", DROP_MULTICAST, 0},
        {"10.0.0.97", "169.254.1.1", DROP_MULTICAST, 0},
        {"10.0.0.97", "198.18.0.5", DROP_UNKNOWN_HANDLE, 1},
        {"fd00::61", "fd18::5", DROP_UNKNOWN_HANDLE, 1},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct outs got = {0};
        struct craft c = pair_a_to_b;
        uint64_t before = side_drops(&x.a, rows[i].reason);
        c.source = rows[i].source;
        c.destination = rows[i].destination;
        side_capture_craft(&x.a, 0, &c, &got);
        assert_int_equal(side_drops(&x.a, rows[i].reason), before + 1);
        assert_int_equal(got.count, rows[i].answers);
        assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), rows[i].answers);
        outs_free(&got);
    }
    struct outs none = {0};
    struct packet_offload super = {.gso = PACKET_GSO_TCP4, .gso_size = 1000};
    uint8_t bytes[200];
    side_capture(&x.a, 0, bytes, craft_packet(bytes, &pair_a_to_b), &super, &none);
    side_capture(&x.a, 0, "", 0, NULL, &none);
    side_capture(&x.a, 0, "\x50", 1, NULL, &none);
    assert_int_equal(none.count, 0);
    assert_int_equal(side_drops(&x.a, DROP_BAD_HEADER), 1);
    assert_int_equal(side_drops(&x.a, DROP_TRUNCATED), 1);
    assert_int_equal(side_drops(&x.a, DROP_NOT_IP), 1);
    pair_done(&x);
}

static void test_sending_refused(void **state)
{
    struct pair x;
    enum drop_reason reason;
    struct forward_out out;
    pair_init(&x, &(struct side_settings){.recipe_mtu = 200});
    struct packet *p = packet_take(x.a.pool[0]);
    assert_true(packet_fill(p, "0123456789", 10));
    struct lane *lane = x.a.path.lane[0];

    struct record_sealer *sealer = atomic_exchange(&lane->sealer, NULL);
    assert_false(forward_seal(&x.a.path, lane, 0, x.a.now, p, &out, &reason));
    assert_int_equal(reason, DROP_NO_KEY);
    uint8_t key[32] = {0};
    struct record_sealer *spent = record_sealer_new(NULL, CRYPTO_AES256GCM, key, 0, RECORD_DEAD_AT);
    atomic_store(&lane->sealer, spent);
    assert_false(forward_seal(&x.a.path, lane, 0, x.a.now, p, &out, &reason));
    assert_int_equal(reason, DROP_KEY_SPENT);
    assert_memory_equal(p->data, "0123456789", 10);
    assert_int_equal(p->size, 10);
    atomic_store(&lane->sealer, sealer);
    record_sealer_free(spent);

    atomic_store(&x.a.tunnel.recipe, NULL);
    assert_false(forward_seal(&x.a.path, lane, 0, x.a.now, p, &out, &reason));
    assert_int_equal(reason, DROP_NO_TUNNEL);
    struct outs got = {0};
    side_capture_craft(&x.a, 0, &pair_a_to_b, &got);
    assert_int_equal(got.count, 0);
    assert_int_equal(side_drops(&x.a, DROP_NO_TUNNEL), 1);
    assert_int_equal(atomic_load(&x.a.path.drops), 1);
    atomic_store(&x.a.tunnel.recipe, x.a.recipe);

    p->size = 200 - RECORD_OVERHEAD;
    assert_true(forward_seal(&x.a.path, lane, 0, x.a.now, p, &out, &reason));
    assert_int_equal(p->size, 200);
    assert_true(endpoint_equal(&out.remote, &x.b.endpoint));
    packet_give_back(p);
    pair_done(&x);
}

static void test_datagrams_refused(void **state)
{
    uint8_t inner[300], record[400], bad[400];
    struct pair x;
    pair_init(&x, &(struct side_settings){0});
    size_t inner_size = craft_packet(inner, &pair_a_to_b);
    size_t size = sealed(&x, 1, RECORD_KIND_IPV4, inner, inner_size, record);

    assert_dropped(&x.b, "", 0, DROP_TRUNCATED);
    assert_dropped(&x.b, "\x16\xfe", 2, DROP_GARBAGE);
    assert_dropped(&x.b, "\xe0", 1, DROP_GARBAGE);
    assert_dropped(&x.b, record, RECORD_OVERHEAD - 1, DROP_TRUNCATED);
    assert_dropped(&x.b, record, size - 1, DROP_BAD_TAG);
    for (size_t i = 0; i < size; i++) {
        if (i == 0 || i == 2 || (i >= 4 && i < 8) || i == 3)
            continue; /* type, hops, label, epoch: judged elsewhere */
        memcpy(bad, record, size);
        bad[i] ^= 0x80;
        assert_dropped(&x.b, bad, size, DROP_BAD_TAG);
    }
    memcpy(bad, record, size);
    bad[3] = 1;
    assert_dropped(&x.b, bad, size, DROP_UNKNOWN_EPOCH);
    bad[3] = 4; /* another epoch in the same place */
    assert_dropped(&x.b, bad, size, DROP_UNKNOWN_EPOCH);
    memcpy(bad, record, size);
    bad[7] |= 0xF; /* a lane that the path does not have */
    assert_dropped(&x.b, bad, size, DROP_UNKNOWN_LABEL);

    struct outs got = {0};
    side_receive(&x.b, 0, &x.a.endpoint, 0, record, size, &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 1);
    outs_free(&got);
    assert_dropped(&x.b, record, size, DROP_REPLAYED);
    pair_done(&x);
}

/* Authentic records with contents that no honest host sends. */
static void test_contents_refused(void **state)
{
    uint8_t inner[300], record[400];
    struct pair x;
    pair_init(&x, &(struct side_settings){0});
    size_t inner_size = craft_packet(inner, &pair_a_to_b);
    static const struct {
        uint8_t flags;
        enum drop_reason reason;
    } rows[] = {
        {RECORD_KIND_CONTROL, DROP_BAD_MESSAGE},
        {RECORD_KIND_ETHERNET, DROP_NOT_IP},
        {RECORD_KIND_IPV6, DROP_NOT_IP},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_dropped(&x.b, record, sealed(&x, 1, rows[i].flags, inner, inner_size, record),
                       rows[i].reason);
    assert_dropped(&x.b, record, sealed(&x, 1, RECORD_KIND_IPV4, inner, 0, record), DROP_NOT_IP);
    assert_dropped(&x.b, record, sealed(&x, 1, RECORD_KIND_IPV4, inner, 19, record),
                   DROP_TRUNCATED);
    struct craft c = pair_a_to_b;
    c.source = "224.0.0.1";
    assert_dropped(&x.b, record,
                   sealed(&x, 1, RECORD_KIND_IPV4, inner, craft_packet(inner, &c), record),
                   DROP_MULTICAST);
    c = pair_a_to_b;
    c.destination = "224.0.0.1";
    assert_dropped(&x.b, record,
                   sealed(&x, 1, RECORD_KIND_IPV4, inner, craft_packet(inner, &c), record),
                   DROP_MULTICAST);
    x.b.path.handle4 = (struct ip_address){0};
    assert_dropped(
        &x.b, record,
        sealed(&x, 1, RECORD_KIND_IPV4, inner, craft_packet(inner, &pair_a_to_b), record),
        DROP_NO_PATH);
    pair_done(&x);
}

static void test_unknown_labels(void **state)
{
    uint8_t record[100] = {0};
    struct pair x;
    pair_init(&x, &(struct side_settings){0});
    size_t size = sealed(&x, 1, RECORD_KIND_IPV4, "x", 1, record);
    struct outs got = {0};
    for (unsigned i = 0; i < 20; i++) {
        record_swap_label(record, i & 1 ? LABEL(SIDE_SLOT, 4, 1) : LABEL(300000, 3, 1));
        record[2] = RECORD_HOPS;
        side_receive(&x.b, 0, &x.a.endpoint, 0, record, size, &got);
    }
    assert_int_equal(side_drops(&x.b, DROP_UNKNOWN_LABEL), 10);
    assert_int_equal(side_drops(&x.b, DROP_STALE_LABEL), 10);
    assert_int_equal(got.count, 16);
    for (unsigned i = 0; i < got.count; i++) {
        assert_int_equal(got.item[i].kind, FORWARD_PUNT);
        assert_int_equal(got.item[i].punt, PUNT_UNKNOWN_LABEL);
        assert_int_equal(got.item[i].packet->size, size);
    }
    x.b.now += SECOND;
    side_receive(&x.b, 0, &x.a.endpoint, 0, record, size, &got);
    assert_int_equal(got.count, 17);
    outs_free(&got);
    assert_ptr_equal(fwd_label_clear(x.b.tables, SIDE_SLOT), &x.b.label);
    assert_null(fwd_label_clear(x.b.tables, SIDE_SLOT));
    assert_null(fwd_label_find(x.b.tables, SIDE_SLOT));
    assert_null(fwd_label_find(x.b.tables, LABEL_SLOTS));
    pair_done(&x);
}

static struct packet *assert_punt(struct outs *o, enum forward_punt punt, uint32_t id,
                                  bool from_capture)
{
    assert_int_equal(o->count, 1);
    assert_int_equal(o->item[0].kind, FORWARD_PUNT);
    assert_int_equal(o->item[0].punt, punt);
    assert_int_equal(o->item[0].id, id);
    assert_int_equal(o->item[0].from_capture, from_capture);
    return o->item[0].packet;
}

static void test_punts_of_captured(void **state)
{
    uint8_t bytes[300];
    struct pair x;
    struct outs got = {0};
    pair_init(&x, &(struct side_settings){0});
    size_t size = craft_packet(bytes, &pair_a_to_b);

    atomic_store(&x.a.handle.path, NULL);
    side_capture_craft(&x.a, 0, &pair_a_to_b, &got);
    struct packet *p = assert_punt(&got, PUNT_NEED_PATH, x.a.handle.id, true);
    assert_int_equal(p->size, size);
    assert_memory_equal(p->data, bytes, size);
    outs_free(&got);
    atomic_store(&x.a.handle.path, &x.a.path);

    struct lane *lane = atomic_exchange(&x.a.path.lane[1], NULL);
    side_capture_craft(&x.a, 0, &pair_a_to_b, &got);
    p = assert_punt(&got, PUNT_NEED_KEY, SIDE_SLOT, true);
    assert_memory_equal(p->data, bytes, size);
    atomic_store(&x.a.path.lane[1], lane);
    /* Control gives it back when there is a key. */
    struct forward_out out = outs_take(&got, 0);
    forward_handed_over(x.a.forward[0], x.a.now, out.packet, true);
    side_pull(&x.a, 0, &got);
    assert_int_equal(outs_kind(&got, FORWARD_SEND), 1);
    outs_free(&got);
    pair_done(&x);
}

static void test_punts_of_received(void **state)
{
    uint8_t inner[300], record[400];
    struct pair x;
    struct outs got = {0};
    struct endpoint elsewhere = side_endpoint('z');
    pair_init(&x, &(struct side_settings){0});
    size_t inner_size = craft_packet(inner, &pair_a_to_b);

    size_t size = sealed(&x, 0, RECORD_KIND_CONTROL, "control", 7, record);
    side_receive(&x.b, 0, &x.a.endpoint, 0, record, size, &got);
    struct packet *p = assert_punt(&got, PUNT_CONTROL, SIDE_SLOT, false);
    assert_int_equal(p->size, size);
    assert_true(endpoint_equal(&p->arrival.remote, &x.a.endpoint));
    outs_free(&got);
    for (unsigned type = WIRE_OPEN; type <= WIRE_HIGH; type++) {
        if (type == WIRE_TRANSFORM)
            continue;
        uint8_t message[3] = {(uint8_t)type, 1, 2};
        side_receive(&x.b, 0, &elsewhere, 0, message, sizeof message, &got);
        assert_punt(&got, PUNT_HANDSHAKE, 0, false);
        outs_free(&got);
    }
    size = sealed(&x, 1, RECORD_KIND_IPV4, inner, inner_size, record);
    struct lane *lane = atomic_exchange(&x.b.path.lane[1], NULL);
    side_receive(&x.b, 0, &x.a.endpoint, 0, record, size, &got);
    p = assert_punt(&got, PUNT_NEED_KEY, SIDE_SLOT, false);
    assert_memory_equal(p->data, record, size);
    atomic_store(&x.b.path.lane[1], lane);
    struct forward_out out = outs_take(&got, 0);
    forward_handed_over(x.b.forward[0], x.b.now, out.packet, false);
    side_pull(&x.b, 0, &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 1);
    outs_free(&got);
    pair_done(&x);
}

static void test_watched_lane(void **state)
{
    struct pair x;
    struct outs sent = {0}, got = {0};
    pair_init(&x, &(struct side_settings){0});
    atomic_store(&x.a.path.lane[1]->watch, true);
    atomic_store(&x.b.path.lane[1]->watch, true);
    for (unsigned i = 0; i < 2; i++) {
        side_capture_craft(&x.a, 0, &pair_a_to_b, &sent);
        assert_int_equal(outs_kind(&sent, FORWARD_PUNT), !i);
        side_carry(&sent, &x.b, 'a', &got);
        assert_int_equal(outs_kind(&got, FORWARD_PUNT), !i);
        for (unsigned j = 0; j < got.count; j++) {
            if (got.item[j].kind == FORWARD_PUNT) {
                assert_int_equal(got.item[j].punt, PUNT_ACTIVE);
                assert_int_equal(got.item[j].id, SIDE_SLOT);
                assert_null(got.item[j].packet);
            }
        }
        outs_free(&got);
    }
    pair_done(&x);
}

/* Only the newest record says where the neighbour is. */
static void test_moved(void **state)
{
    uint8_t inner[300], record[3][400];
    size_t size = 0;
    struct pair x;
    struct outs got = {0};
    struct endpoint elsewhere = side_endpoint('z');
    pair_init(&x, &(struct side_settings){0});
    for (unsigned i = 0; i < 3; i++)
        size = sealed(&x, 1, RECORD_KIND_IPV4, inner, craft_packet(inner, &pair_a_to_b), record[i]);
    side_receive(&x.b, 0, &elsewhere, 0, record[1], size, &got);
    assert_int_equal(got.count, 2);
    assert_int_equal(got.item[0].punt, PUNT_MOVED);
    assert_int_equal(got.item[0].id, SIDE_SLOT);
    assert_int_equal(got.item[0].packet->size, 0);
    assert_true(endpoint_equal(&got.item[0].packet->arrival.remote, &elsewhere));
    assert_int_equal(got.item[1].kind, FORWARD_CAPTURE);
    outs_free(&got);
    x.b.now++;
    side_receive(&x.b, 0, &elsewhere, 0, record[0], size, &got);
    assert_int_equal(outs_kind(&got, FORWARD_PUNT), 0);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 1);
    outs_free(&got);
    record[2][40] ^= 1;
    assert_dropped(&x.b, record[2], size, DROP_BAD_TAG);
    pair_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_captured_refused),
        cmocka_unit_test(test_sending_refused),
        cmocka_unit_test(test_datagrams_refused),
        cmocka_unit_test(test_contents_refused),
        cmocka_unit_test(test_unknown_labels),
        cmocka_unit_test(test_punts_of_captured),
        cmocka_unit_test(test_punts_of_received),
        cmocka_unit_test(test_watched_lane),
        cmocka_unit_test(test_moved),
    };
    return cmocka_run_group_tests_name("path_forward_drops", tests, NULL, NULL);
}
