#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "packet/segment.h"
#include "path/forward_chain.h"
#include "tests/support/stream.h"

/* Super-packets from program to program: cut, sealed into runs, opened and put together again. */

static const char *const tun[2][2] = {{"10.0.0.97", "fd00::61"}, {"10.0.0.98", "fd00::62"}};
static const char *const handle[2][2] = {{"198.18.0.97", "fd18::61"}, {"198.18.0.98", "fd18::62"}};

static void done(struct pair *x)
{
    assert_int_equal(side_packets_out(&x->a) + side_packets_out(&x->b), 0);
    pair_done(x);
}

static struct stream to_peer(bool six, bool udp)
{
    return (struct stream){.source = tun[0][six],
                           .destination = handle[1][six],
                           .udp = udp,
                           .dont_fragment = true,
                           .id = 9,
                           .source_port = 40000,
                           .destination_port = 443,
                           .sequence = 0xFFFFFC00,
                           .acknowledged = 77,
                           .window = 501,
                           .flags = 0x18,
                           .options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8},
                           .options_size = 12,
                           .payload = 50000,
                           .segment = 1200};
}

/* The same as the programs at the other end see it. */
static struct stream at_peer(const struct stream *s)
{
    struct stream there = *s;
    bool six = strchr(s->source, ':');
    there.source = handle[0][six];
    there.destination = tun[1][six];
    there.ttl = (uint8_t)((s->ttl ? s->ttl : 64) - 1);
    return there;
}

static void capture_super(struct side *s, const struct stream *stream, struct outs *ret)
{
    static uint8_t bytes[PACKET_SIZE];
    struct packet_offload offload;
    size_t size = stream_super(bytes, stream, &offload);
    side_capture(s, 0, bytes, size, &offload, ret);
}

static void assert_super(const struct forward_out *out, const struct stream *there)
{
    static uint8_t expected[PACKET_SIZE];
    struct packet_offload o;
    size_t size = stream_super(expected, there, &o);
    const struct packet *p = out->packet;
    assert_int_equal(out->kind, FORWARD_CAPTURE);
    assert_int_equal(p->size, size);
    assert_memory_equal(p->data, expected, size);
    assert_true(p->offload.needs_checksum);
    assert_int_equal(p->offload.gso, stream_count(there) > 1 ? o.gso : PACKET_GSO_NONE);
    if (stream_count(there) > 1)
        assert_int_equal(p->offload.gso_size, o.gso_size);
    assert_int_equal(p->offload.header_size, o.header_size);
    assert_int_equal(p->offload.checksum_start, o.checksum_start);
    assert_int_equal(p->offload.checksum_offset, o.checksum_offset);
}

static void assert_packets(const struct outs *got, const struct stream *there)
{
    static uint8_t expected[PACKET_SIZE];
    assert_int_equal(got->count, stream_count(there));
    for (unsigned i = 0; i < got->count; i++) {
        size_t size = stream_packet(expected, there, i);
        assert_int_equal(got->item[i].kind, FORWARD_CAPTURE);
        assert_int_equal(got->item[i].packet->size, size);
        assert_memory_equal(got->item[i].packet->data, expected, size);
        assert_int_equal(got->item[i].packet->offload.gso, PACKET_GSO_NONE);
    }
}

/* Several super-packets that together are all of the stream. */
static void assert_supers(const struct outs *got, const struct stream *there)
{
    struct stream part = *there;
    size_t done = 0;
    for (unsigned i = 0; i < got->count; i++) {
        const struct packet *p = got->item[i].packet;
        part.payload = p->size - p->offload.header_size;
        done += part.payload;
        part.flags = there->flags & (done < there->payload ? ~0x09 : 0xFF);
        assert_super(&got->item[i], &part);
        part.sequence += (uint32_t)part.payload;
        part.id = (uint16_t)(part.id + stream_count(&part));
    }
    assert_int_equal(done, there->payload);
}

/* All but the last record of a run have its size, and no run is larger than a kernel takes. */
static unsigned assert_runs(const struct outs *sent)
{
    unsigned records = 0;
    for (unsigned i = 0; i < sent->count; i++) {
        const struct packet *p = sent->item[i].packet;
        assert_int_equal(sent->item[i].kind, FORWARD_SEND);
        assert_true(p->size <= PACKET_RUN_SIZE);
        assert_true(packet_count(p) <= PACKET_RUN);
        assert_true(!p->run || p->size > p->run);
        records += packet_count(p);
    }
    return records;
}

static void test_there_as_it_was(void **state)
{
    for (unsigned i = 0; i < 8; i++) {
        bool open = i & 4;
        struct pair x;
        struct outs sent = {0}, got = {0};
        pair_init(&x, &(struct side_settings){.open_checksums = open, .merge = true});
        struct stream s = to_peer(i & 1, i & 2), there = at_peer(&s);
        capture_super(&x.a, &s, &sent);
        assert_int_equal(assert_runs(&sent), stream_count(&s));
        assert_int_equal(sent.count, 1);
        assert_int_equal(atomic_load(&x.a.path.lane[1]->records_out), stream_count(&s));
        side_carry(&sent, &x.b, 'a', &got);
        if (open) {
            assert_int_equal(got.count, 1);
            assert_super(&got.item[0], &there);
        } else { /* nobody knows whether they are right */
            assert_packets(&got, &there);
        }
        assert_int_equal(atomic_load(&x.b.path.lane[1]->records_in), stream_count(&s));
        assert_int_equal(atomic_load(&x.b.path.lane[1]->bytes_in),
                         atomic_load(&x.a.path.lane[1]->bytes_out));
        outs_free(&got);
        assert_int_equal(side_drops_all(&x.a) + side_drops_all(&x.b), 0);
        done(&x);
    }
}

/* The programs' side takes no super-packets: they come as they would have without them. */
static void test_without_merging(void **state)
{
    struct pair x;
    pair_init(&x, &(struct side_settings){.open_checksums = true});
    for (unsigned i = 0; i < 4; i++) {
        struct outs sent = {0}, got = {0};
        struct stream s = to_peer(i & 1, i & 2), there = at_peer(&s);
        there.open = true;
        capture_super(&x.a, &s, &sent);
        side_carry(&sent, &x.b, 'a', &got);
        assert_packets(&got, &there);
        outs_free(&got);
    }
    done(&x);
}

static void test_random(void **state)
{
    struct pair x;
    struct seeded seeded;
    seeded_init(&seeded, 12);
    pair_init(&x,
              &(struct side_settings){.open_checksums = true, .merge = true, .record_mtu = 2000});
    for (unsigned i = 0; i < 2000; i++) {
        struct outs sent = {0}, got = {0};
        struct stream s = to_peer(entropy_below(&seeded.entropy, 2), false);
        stream_random(&s, &seeded.entropy, 60000);
        s.tos &= 0xFC;
        s.flags &= 0x7F; /* CWR keeps a packet out */
        if (s.ttl < 3)
            s.ttl = 3;
        struct stream there = at_peer(&s);
        capture_super(&x.a, &s, &sent);
        assert_int_equal(assert_runs(&sent), stream_count(&s));
        side_carry(&sent, &x.b, 'a', &got);
        /* One that is alone and says PSH or FIN cannot begin anything. */
        if (stream_count(&s) == 1) {
            there.open = true;
            assert_packets(&got, &there);
        } else if (got.count == 1) {
            assert_super(&got.item[0], &there);
        } else { /* runs of the kernel end at 64 datagrams, ours at 65487 bytes */
            assert_true(s.payload + stream_count(&s) * 132 > 60000);
        }
        outs_free(&got);
    }
    assert_int_equal(side_drops_all(&x.a) + side_drops_all(&x.b), 0);
    done(&x);
}

/* CWR goes to the first packet, which then goes alone. */
static void test_congestion_window_reduced(void **state)
{
    struct pair x;
    struct outs sent = {0}, got = {0};
    static uint8_t first[3000];
    struct stream s = to_peer(false, false), there;
    s.flags = 0x90;
    pair_init(&x, &(struct side_settings){.open_checksums = true, .merge = true});
    capture_super(&x.a, &s, &sent);
    side_carry(&sent, &x.b, 'a', &got);
    assert_int_equal(got.count, 2);
    there = at_peer(&s);
    there.open = true;
    size_t size = stream_packet(first, &there, 0);
    assert_int_equal(got.item[0].packet->size, size);
    assert_memory_equal(got.item[0].packet->data, first, size);
    there.sequence += 1200;
    there.payload -= 1200;
    there.id++;
    there.flags = 0x10;
    assert_super(&got.item[1], &there);
    outs_free(&got);
    done(&x);
}

/* ---- too large ---- */

/* TCP that is too large for the path is cut smaller at once, and the program is told. */
static void test_cut_smaller(void **state)
{
    static const uint16_t mtus[] = {1100, 700, 300}; /* of records: the inner one stays 1280 */
    for (unsigned i = 0; i < 12; i++) {
        struct pair x;
        struct outs sent = {0}, got = {0};
        bool six = i & 1, forbids = six || (i & 2);
        uint16_t mtu = mtus[i / 4];
        struct stream s = to_peer(six, false);
        s.segment = 1348 - (six ? 20 : 0);
        s.dont_fragment = forbids;
        pair_init(
            &x, &(struct side_settings){.open_checksums = true, .merge = true, .record_mtu = mtu});
        capture_super(&x.a, &s, &sent);
        assert_int_equal(outs_kind(&sent, FORWARD_CAPTURE), forbids);
        if (forbids) {
            struct forward_out told = outs_take(&sent, 0);
            assert_int_equal(told.kind, FORWARD_CAPTURE);
            assert_int_equal(told.packet->data[six ? 40 : 20], six ? 2 : 3);
            packet_give_back(told.packet);
        }
        assert_runs(&sent);
        for (unsigned k = 0; k < sent.count; k++) {
            const struct packet *p = sent.item[k].packet;
            assert_true((p->run ? p->run : p->size) <= mtu);
        }
        side_carry(&sent, &x.b, 'a', &got);
        struct stream there = at_peer(&s);
        there.segment = mtu - 32u - (six ? 72 : 52);
        assert_supers(&got, &there);
        outs_free(&got);
        assert_int_equal(side_drops_all(&x.a) + side_drops_all(&x.b), 0);
        done(&x);
    }
}

/* Records too small for a header and something worth it: packets in pieces. */
static void test_tiny_records(void **state)
{
    struct pair x;
    struct outs sent = {0}, got = {0};
    pair_init(&x,
              &(struct side_settings){.open_checksums = true, .merge = true, .record_mtu = 200});
    struct stream s = to_peer(false, false), there = at_peer(&s);
    s.payload = there.payload = 5000;
    capture_super(&x.a, &s, &sent);
    assert_true(sent.count > stream_count(&s) * 5);
    side_carry(&sent, &x.b, 'a', &got);
    there.open = true;
    assert_packets(&got, &there);
    outs_free(&got);
    done(&x);
}

/* The datagrams of a program stay what they are. */
static void test_udp_goes_in_pieces(void **state)
{
    for (unsigned six = 0; six < 2; six++) {
        struct pair x;
        struct outs sent = {0}, got = {0};
        pair_init(
            &x, &(struct side_settings){.open_checksums = true, .merge = true, .record_mtu = 700});
        struct stream s = to_peer(six, true), there = at_peer(&s);
        s.payload = there.payload = 20000;
        capture_super(&x.a, &s, &sent);
        assert_int_equal(outs_kind(&sent, FORWARD_SEND), 2 * stream_count(&s));
        side_carry(&sent, &x.b, 'a', &got);
        there.open = true;
        assert_packets(&got, &there);
        outs_free(&got);
        done(&x);
    }
}

/* ---- refusals and limits ---- */

static void test_contradictory_offload(void **state)
{
    static uint8_t bytes[PACKET_SIZE];
    struct pair x;
    struct packet_offload offload;
    struct outs sent = {0};
    struct stream s = to_peer(false, false);
    pair_init(&x, &(struct side_settings){.open_checksums = true});
    size_t size = stream_super(bytes, &s, &offload);
    offload.gso = PACKET_GSO_TCP6;
    side_capture(&x.a, 0, bytes, size, &offload, &sent);
    offload.gso = PACKET_GSO_TCP4;
    offload.gso_size = 0;
    side_capture(&x.a, 0, bytes, size, &offload, &sent);
    assert_int_equal(sent.count, 0);
    assert_int_equal(side_drops(&x.a, DROP_BAD_HEADER), 2);
    assert_int_equal(atomic_load(&x.a.path.drops), 2);
    done(&x);
}

static void test_no_buffers(void **state)
{
    struct pair x;
    struct outs sent = {0}, got = {0};
    struct stream s = to_peer(false, false);
    s.payload = 64800; /* two runs of records */
    pair_init(&x, &(struct side_settings){.open_checksums = true, .merge = true, .packets = 2});
    capture_super(&x.a, &s, &sent); /* one for the super-packet, one for a run */
    assert_int_equal(sent.count, 1);
    assert_int_equal(packet_count(sent.item[0].packet) + side_drops(&x.a, DROP_NO_BUFFER), 54);
    /* The receiver has one for the run and one for what is built. */
    side_carry(&sent, &x.b, 'a', &got);
    assert_int_equal(got.count, 1);
    assert_int_equal(side_drops_all(&x.b), 0);
    outs_free(&got);
    /* With that one taken, nothing can be opened. */
    capture_super(&x.a, &s, &sent);
    unsigned records = packet_count(sent.item[0].packet);
    struct packet *kept = packet_take(x.b.pool[0]);
    side_carry(&sent, &x.b, 'a', &got);
    assert_int_equal(got.count, 0);
    assert_int_equal(side_drops(&x.b, DROP_NO_BUFFER), records);
    packet_give_back(kept);
    done(&x);
}

static void test_key_is_spent_in_the_middle(void **state)
{
    struct pair x;
    struct outs sent = {0};
    struct stream s = to_peer(false, false);
    uint8_t key[32] = {1};
    pair_init(&x, &(struct side_settings){.open_checksums = true});
    struct lane *lane = x.a.path.lane[1];
    record_sealer_free(atomic_exchange(
        &lane->sealer, record_sealer_new(NULL, CRYPTO_AES256GCM, key, 0, RECORD_DEAD_AT - 10)));
    capture_super(&x.a, &s, &sent);
    assert_int_equal(sent.count, 1);
    assert_int_equal(packet_count(sent.item[0].packet), 10);
    assert_int_equal(side_drops(&x.a, DROP_KEY_SPENT), stream_count(&s) - 10);
    assert_int_equal(atomic_load(&lane->records_out), 10);
    outs_free(&sent);
    done(&x);
}

/* Before its key is there a super-packet waits whole. */
static void test_parked(void **state)
{
    struct pair x;
    struct outs sent = {0};
    struct stream s = to_peer(false, false);
    pair_init(&x, &(struct side_settings){.open_checksums = true});
    struct lane *lane = atomic_exchange(&x.a.path.lane[1], NULL);
    capture_super(&x.a, &s, &sent);
    assert_int_equal(sent.count, 1);
    assert_int_equal(sent.item[0].punt, PUNT_NEED_KEY);
    struct packet *p = outs_take(&sent, 0).packet;
    assert_int_equal(p->offload.gso, PACKET_GSO_TCP4);
    atomic_store(&x.a.path.lane[1], lane);
    forward_handed_over(x.a.forward[0], x.a.now, p, true);
    side_pull(&x.a, 0, &sent);
    assert_int_equal(assert_runs(&sent), stream_count(&s));
    outs_free(&sent);
    done(&x);
}

/* "OVER", and the length of the record behind it; `sequence`: or a number that counts. */
static struct recipe *over_recipe(char to, uint64_t *sequence)
{
    struct recipe *r = base_calloc(1, sizeof *r);
    struct endpoint remote = side_endpoint(to);
    struct recipe_patch patch = {.kind = sequence ? PATCH_SEQUENCE16 : PATCH_LENGTH16,
                                 .at = 4,
                                 .from = 6,
                                 .sequence = sequence};
    recipe_begin(r);
    assert_true(recipe_add_prepend(r, "OVER\0\0", 6, &patch, 1));
    assert_true(recipe_add_send(r, 0, NULL, &remote, 0));
    r->mtu = 1400;
    assert_true(recipe_valid(r));
    return r;
}

/* What a recipe puts before each record goes into the run, and is found there at the other end. */
static void test_recipe_with_front(void **state)
{
    static const uint8_t over[6] = "OVER", mask[6] = {0xFF, 0xFF, 0xFF, 0xFF};
    static const struct peel_table peel = {
        .count = 1,
        .peel = {{.first_low = 'O',
                  .first_high = 'O',
                  .count = 3,
                  .step = {{.verb = PEEL_LENGTH16, .at = 4, .add = 6},
                           {.verb = PEEL_STRIP, .size = 6, .compare = over, .mask = mask},
                           {.verb = PEEL_RECORD}}}}};
    for (unsigned workers = 1; workers < 3; workers++) {
        struct pair x;
        struct outs sent = {0}, got = {0};
        struct stream s = to_peer(false, false), there = at_peer(&s);
        struct side_settings settings = {
            .open_checksums = true, .merge = true, .workers = workers, .lanes = workers + 1};
        pair_init(&x, &settings);
        fwd_socket_set(x.b.tables, 0, &peel);
        side_replace_recipe(&x.a, over_recipe('b', NULL));
        capture_super(&x.a, &s, &sent);
        side_settle(&x.a, &sent);
        assert_int_equal(assert_runs(&sent), stream_count(&s));
        assert_int_equal(sent.count, 1);
        const struct packet *p = sent.item[0].packet;
        for (size_t at = 0; at < p->size; at += p->run) {
            size_t size = p->size - at < p->run ? p->size - at : p->run;
            assert_memory_equal(p->data + at, "OVER", 4);
            assert_int_equal(p->data[at + 4] << 8 | p->data[at + 5], size - 6);
            assert_int_equal(p->data[at + 6], 0xC0);
        }
        side_carry(&sent, &x.b, 'a', &got);
        side_settle(&x.b, &got);
        assert_int_equal(got.count, 1);
        assert_super(&got.item[0], &there);
        outs_free(&got);
        assert_int_equal(side_drops_all(&x.a) + side_drops_all(&x.b), 0);
        done(&x);
    }
}

/* A recipe that counts records: each is a datagram of its own. */
static void test_recipe_that_counts(void **state)
{
    struct pair x;
    struct outs sent = {0};
    struct stream s = to_peer(false, false);
    uint64_t sequence = 7;
    pair_init(&x, &(struct side_settings){.open_checksums = true});
    side_replace_recipe(&x.a, over_recipe('b', &sequence));
    capture_super(&x.a, &s, &sent);
    assert_int_equal(sent.count, stream_count(&s));
    for (unsigned i = 0; i < sent.count; i++) {
        const struct packet *p = sent.item[i].packet;
        assert_int_equal(p->run, 0);
        assert_memory_equal(p->data, "OVER", 4);
        assert_int_equal(p->data[5], 7 + i);
    }
    outs_free(&sent);
    done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_as_it_was),
        cmocka_unit_test(test_without_merging),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_congestion_window_reduced),
        cmocka_unit_test(test_cut_smaller),
        cmocka_unit_test(test_tiny_records),
        cmocka_unit_test(test_udp_goes_in_pieces),
        cmocka_unit_test(test_contradictory_offload),
        cmocka_unit_test(test_no_buffers),
        cmocka_unit_test(test_key_is_spent_in_the_middle),
        cmocka_unit_test(test_parked),
        cmocka_unit_test(test_recipe_with_front),
        cmocka_unit_test(test_recipe_that_counts),
    };
    return cmocka_run_group_tests_name("path_forward_super", tests, NULL, NULL);
}
