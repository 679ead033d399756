#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "path/forward_fixture.h"

/* Two hosts, one path: what programs send arrives, addressed anew, and what may not travel does
 * not. */

static const char *const tun[2][2] = {{"10.0.0.97", "fd00::61"}, {"10.0.0.98", "fd00::62"}};
static const char *const handle[2][2] = {{"198.18.0.97", "fd18::61"}, {"198.18.0.98", "fd18::62"}};

/* A packet of a program at host 0 or 1 to the other. */
static struct craft to_peer(unsigned host, bool six)
{
    return (struct craft){.source = tun[host][six],
                          .destination = handle[!host][six],
                          .protocol = IP_UDP,
                          .source_port = 4000,
                          .destination_port = 53,
                          .payload_size = 100};
}

/* Captures at `from`, carries to `to`, and leaves there what came out. */
static void exchange(struct side *from, struct side *to, const struct craft *c, struct outs *ret)
{
    static uint8_t bytes[70000];
    struct outs sent = {0};
    side_capture(from, 0, bytes, craft_packet(bytes, c), NULL, &sent);
    assert_int_equal(outs_kind(&sent, FORWARD_SEND), sent.count);
    side_carry(&sent, to, from->letter, ret);
}

/* The packet that `c` should have become at the other end. */
static void assert_arrived(const struct outs *o, const struct craft *c, unsigned at)
{
    static uint8_t expected[70000];
    struct craft there = *c;
    bool six = strchr(c->source, ':');
    there.source = handle[!at][six];
    there.destination = tun[at][six];
    there.ttl = 63;
    size_t size = craft_packet(expected, &there);
    assert_int_equal(o->count, 1);
    assert_int_equal(o->item[0].kind, FORWARD_CAPTURE);
    assert_int_equal(o->item[0].packet->size, size);
    assert_memory_equal(o->item[0].packet->data, expected, size);
}

static void test_protocols(void **state)
{
    static const uint8_t protocols[] = {IP_TCP, IP_UDP, IP_ICMP, 47};
    struct pair x;
    pair_init(&x, &(struct side_settings){0});
    for (unsigned i = 0; i < 2 * sizeof protocols; i++) {
        bool six = i & 1;
        struct craft c = to_peer(0, six);
        struct outs got = {0};
        c.protocol = protocols[i / 2] == IP_ICMP && six ? IP_ICMP6 : protocols[i / 2];
        c.icmp_type = six ? 128 : 8;
        c.icmp_rest = 0x12340001;
        exchange(&x.a, &x.b, &c, &got);
        assert_arrived(&got, &c, 1);
        outs_free(&got);
        c.source = tun[1][six];
        c.destination = handle[0][six];
        c.icmp_type = six ? 129 : 0;
        exchange(&x.b, &x.a, &c, &got);
        assert_arrived(&got, &c, 0);
        outs_free(&got);
    }
    assert_int_equal(atomic_load(&x.a.path.lane[1]->records_out), 8);
    assert_int_equal(atomic_load(&x.a.path.lane[1]->records_in), 8);
    assert_int_equal(atomic_load(&x.a.path.lane[1]->heard), x.a.now);
    assert_int_equal(atomic_load(&x.a.path.lane[1]->sent), x.a.now);
    assert_int_equal(atomic_load(&x.a.handle.used), x.a.now);
    assert_int_equal(side_drops_all(&x.a) + side_drops_all(&x.b), 0);
    pair_done(&x);
}

static void test_bytes_behind_the_packet_stay_here(void **state)
{
    struct pair x;
    uint8_t bytes[300] = {0};
    struct outs sent = {0}, got = {0};
    pair_init(&x, &(struct side_settings){0});
    struct craft c = to_peer(0, false);
    size_t size = craft_packet(bytes, &c);
    side_capture(&x.a, 0, bytes, size + 40, NULL, &sent);
    assert_int_equal(sent.item[0].packet->size, size + RECORD_OVERHEAD);
    side_carry(&sent, &x.b, 'a', &got);
    assert_arrived(&got, &c, 1);
    outs_free(&got);
    pair_done(&x);
}

/* An ICMP error about a packet of a program at A, as the kernel at B writes it. */
static size_t error_about(uint8_t *out, const struct craft *quoted, bool six)
{
    static uint8_t quote[2000];
    struct craft seen = *quoted;
    seen.source = handle[0][six];
    seen.destination = tun[1][six];
    seen.ttl = 63;
    struct craft error = {.source = tun[1][six],
                          .destination = handle[0][six],
                          .protocol = six ? IP_ICMP6 : IP_ICMP,
                          .icmp_type = six ? 1 : 3,
                          .icmp_code = six ? 4 : 3,
                          .payload = quote,
                          .payload_size = craft_packet(quote, &seen)};
    return craft_packet(out, &error);
}

static void test_errors_quote_a_flow(void **state)
{
    static uint8_t bytes[2000];
    struct pair x;
    pair_init(&x, &(struct side_settings){0});
    for (unsigned six = 0; six < 2; six++) {
        struct outs got = {0}, sent = {0};
        struct craft c = to_peer(0, six);
        c.source_port = (uint16_t)(c.source_port + six);
        /* Before the flow exists nobody may complain about it. */
        side_capture(&x.b, 0, bytes, error_about(bytes, &c, six), NULL, &sent);
        side_carry(&sent, &x.a, 'b', &got);
        assert_int_equal(got.count, 0);
        assert_int_equal(side_drops(&x.a, DROP_ICMP_FOREIGN), six + 1);

        exchange(&x.a, &x.b, &c, &got);
        outs_free(&got);
        side_capture(&x.b, 0, bytes, error_about(bytes, &c, six), NULL, &sent);
        side_carry(&sent, &x.a, 'b', &got);
        assert_int_equal(got.count, 1);
        const struct packet *p = got.item[0].packet;
        struct ip_view v, quoted;
        enum drop_reason reason;
        assert_true(ip_parse(p->data, p->size, &v, &reason));
        assert_true(craft_sums_right(p->data, p->size));
        assert_true(ip_quoted(p, &v, &quoted));
        struct ip_address self = side_address(tun[0][six]), peer = side_address(handle[1][six]);
        assert_true(ip_address_equal(&quoted.source, &self));
        assert_true(ip_address_equal(&quoted.destination, &peer));
        outs_free(&got);
    }
    pair_done(&x);
}

/* The single answer to a captured packet: an ICMP error of that type, from `from`. */
static struct ip_view assert_answered(struct outs *o, unsigned type, const char *from)
{
    struct ip_view v;
    enum drop_reason reason;
    struct ip_address address = side_address(from);
    assert_int_equal(o->count, 1);
    assert_int_equal(o->item[0].kind, FORWARD_CAPTURE);
    const struct packet *p = o->item[0].packet;
    assert_true(ip_parse(p->data, p->size, &v, &reason));
    assert_true(craft_sums_right(p->data, p->size));
    assert_int_equal(v.icmp_type, type);
    assert_true(ip_address_equal(&v.source, &address));
    return v;
}

static void test_time_to_live(void **state)
{
    uint8_t bytes[400];
    struct pair x;
    pair_init(&x, &(struct side_settings){0});
    for (unsigned six = 0; six < 2; six++) {
        struct outs got = {0};
        struct craft c = to_peer(0, six);
        c.ttl = 1;
        side_capture(&x.a, 0, bytes, craft_packet(bytes, &c), NULL, &got);
        assert_answered(&got, six ? 3 : 11, handle[1][six]);
        assert_int_equal(side_drops(&x.a, DROP_TTL_EXPIRED), six + 1);
        outs_free(&got);
    }
    pair_done(&x);
}

/* What does not fit a record goes in pieces.  TCP hears of it as well; of the others only who
 * forbids fragments, and that one must take it back. */
static void test_too_big(void **state)
{
    static const uint8_t protocols[] = {IP_UDP, IP_TCP, 47};
    static uint8_t bytes[3000];
    struct pair x;
    unsigned refused = 0;
    pair_init(&x, &(struct side_settings){.record_mtu = 1400});
    for (unsigned i = 0; i < 12; i++) {
        bool six = i & 1, forbids = six || (i & 2);
        uint8_t protocol = protocols[i / 4];
        struct outs got = {0};
        struct craft c = to_peer(0, six);
        size_t header = (six ? 40 : 20) + (protocol == IP_TCP ? 20 : protocol == IP_UDP ? 8 : 0);
        c.protocol = protocol;
        c.fragment = six || !forbids ? 0 : 0x4000;
        c.payload_size = 1368 - header + 1;
        side_capture(&x.a, 0, bytes, craft_packet(bytes, &c), NULL, &got);
        bool told = forbids && protocol != IP_UDP, goes = !told || protocol == IP_TCP;
        refused += !goes;
        assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), told);
        assert_int_equal(outs_kind(&got, FORWARD_SEND), goes ? 2 : 0);
        assert_int_equal(side_drops(&x.a, DROP_TOO_BIG), refused);
        if (told) {
            const uint8_t *mtu = got.item[0].packet->data + (six ? 40 : 20) + 4;
            assert_int_equal(got.item[0].packet->data[six ? 40 : 20], six ? 2 : 3);
            assert_int_equal(mtu[2] << 8 | mtu[3], 1368);
        }
        outs_free(&got);
        c.payload_size--;
        exchange(&x.a, &x.b, &c, &got);
        assert_arrived(&got, &c, 1);
        outs_free(&got);
    }
    pair_done(&x);
}

static void test_mss_is_clamped(void **state)
{
    static const uint8_t mss[] = {2, 4, 0x05, 0xb4};
    uint8_t bytes[200];
    struct pair x;
    pair_init(&x, &(struct side_settings){.record_mtu = 1400});
    struct craft c = to_peer(0, false);
    struct outs sent = {0}, got = {0};
    c.protocol = IP_TCP;
    c.tcp_flags = 2;
    c.tcp_options = mss;
    c.tcp_options_size = sizeof mss;
    c.payload_size = 0;
    side_capture(&x.a, 0, bytes, craft_packet(bytes, &c), NULL, &sent);
    side_carry(&sent, &x.b, 'a', &got);
    const struct packet *p = got.item[0].packet;
    assert_int_equal(p->data[42] << 8 | p->data[43], 1368 - 40);
    assert_true(craft_sums_right(p->data, p->size));
    outs_free(&got);
    pair_done(&x);
}

/* RFC 6040: inner ECN is shown outside; a mark made on the way comes in. */
static void test_ecn(void **state)
{
    uint8_t bytes[200];
    struct pair x;
    pair_init(&x, &(struct side_settings){0});
    for (unsigned inner = 0; inner < 4; inner++) {
        for (unsigned outer = 0; outer < 4; outer++) {
            struct outs sent = {0}, got = {0};
            struct craft c = to_peer(0, outer & 1);
            c.tos = (uint8_t)(0xB8 | inner);
            side_capture(&x.a, 0, bytes, craft_packet(bytes, &c), NULL, &sent);
            assert_int_equal(sent.item[0].tos, inner);
            sent.item[0].tos = (uint8_t)outer;
            side_carry(&sent, &x.b, 'a', &got);
            if (inner == ECN_NOT && outer == ECN_CE) {
                assert_int_equal(got.count, 0);
                assert_int_equal(side_drops(&x.b, DROP_CONGESTED), 1);
                continue;
            }
            unsigned result = inner == ECN_NOT                         ? ECN_NOT
                              : outer == ECN_CE                        ? ECN_CE
                              : inner == ECN_ECT0 && outer == ECN_ECT1 ? ECN_ECT1
                                                                       : inner;
            c.tos = (uint8_t)(0xB8 | result);
            assert_arrived(&got, &c, 1);
            outs_free(&got);
        }
    }
    pair_done(&x);
}

static void test_open_checksums(void **state)
{
    static uint8_t bytes[2000];
    for (unsigned i = 0; i < 16; i++) {
        bool six = i & 1, tcp = i & 2, stays_open = i & 4, fragment = i & 8;
        struct pair x;
        struct outs sent = {0}, got = {0};
        pair_init(&x, &(struct side_settings){.open_checksums = stays_open});
        struct craft c = to_peer(0, six);
        c.protocol = tcp ? IP_TCP : IP_UDP;
        c.open_checksum = true;
        if (fragment && !six)
            c.fragment = 0x2000;
        c.payload_size = tcp ? 100 : 112;
        struct packet_offload offload = {.needs_checksum = true,
                                         .checksum_start = six ? 40 : 20,
                                         .checksum_offset = tcp ? 16 : 6};
        side_capture(&x.a, 0, bytes, craft_packet(bytes, &c), &offload, &sent);
        if (c.fragment) { /* nobody leaves the sum of a fragment open */
            assert_int_equal(side_drops(&x.a, DROP_BAD_HEADER), 1);
            pair_done(&x);
            continue;
        }
        assert_int_equal(!!(sent.item[0].packet->data[1] & RECORD_OPEN_CHECKSUM), stays_open);
        side_carry(&sent, &x.b, 'a', &got);
        assert_int_equal(got.count, 1);
        struct packet *p = got.item[0].packet;
        assert_int_equal(p->offload.needs_checksum, stays_open);
        if (stays_open) {
            assert_int_equal(p->offload.checksum_start, offload.checksum_start);
            assert_int_equal(p->offload.checksum_offset, offload.checksum_offset);
            assert_true(ip_complete_checksum(p));
        }
        c.open_checksum = false;
        assert_arrived(&got, &c, 1);
        outs_free(&got);
        pair_done(&x);
    }
}

/* A peer that says "open checksum" of something that cannot have one. */
static void test_open_checksum_lies(void **state)
{
    struct pair x;
    pair_init(&x, &(struct side_settings){0});
    for (unsigned i = 0; i < 2; i++) {
        struct craft c = to_peer(0, false);
        struct outs got = {0};
        if (i)
            c.fragment = 0x2000, c.payload_size = 112;
        else
            c.protocol = 47;
        struct packet *p = packet_take(x.a.pool[0]);
        p->size = craft_packet(p->data, &c);
        struct forward_out out;
        enum drop_reason reason;
        assert_true(forward_seal(&x.a.path, x.a.path.lane[1],
                                 RECORD_KIND_IPV4 | RECORD_OPEN_CHECKSUM, x.a.now, p, &out,
                                 &reason));
        side_receive(&x.b, 0, &x.a.endpoint, 0, p->data, p->size, &got);
        packet_give_back(p);
        assert_int_equal(got.count, 0);
        assert_int_equal(side_drops(&x.b, DROP_BAD_HEADER), i + 1);
    }
    pair_done(&x);
}

static struct packet *packet_of(struct side *s, const void *bytes, size_t size)
{
    struct packet *p = packet_take(s->pool[0]);
    require(p && packet_fill(p, bytes, size));
    p->arrival.remote = side_endpoint(s->letter == 'a' ? 'b' : 'a');
    return p;
}

/* What a batch needs is fetched ahead (forward_warm.c), whatever is in it. */
static void test_batches_of_everything(void **state)
{
    struct pair x;
    struct outs sent = {0}, got = {0};
    struct packet *batch[12];
    uint8_t bytes[300], garbage[40] = {0x13, 0x37};
    unsigned n = 0;
    pair_init(&x, &(struct side_settings){0});
    for (unsigned i = 0; i < 4; i++) {
        struct craft c = to_peer(0, i & 1);
        size_t size = craft_packet(bytes, &c);
        batch[n++] = packet_of(&x.a, bytes, size);
        bytes[(i & 1 ? 24 : 16) + 3] ^= 0x40; /* of nobody */
        batch[n++] = packet_of(&x.a, bytes, size);
        batch[n++] = packet_of(&x.a, i & 1 ? garbage : bytes, 10 * i);
    }
    forward_capture(x.a.forward[0], x.a.now, batch, n);
    side_pull(&x.a, 0, &sent);
    assert_int_equal(outs_kind(&sent, FORWARD_SEND), 4);

    n = 0;
    for (unsigned i = 0; i < sent.count; i++) {
        if (sent.item[i].kind != FORWARD_SEND)
            continue;
        uint8_t *record = sent.item[i].packet->data;
        size_t size = sent.item[i].packet->size;
        batch[n++] = packet_of(&x.b, record, size);
        record[7] = (uint8_t)((record[7] & 0xF0) | 9); /* a lane it has not */
        record[4] ^= (uint8_t)(i & 1 ? 0xFF : 0);      /* a label of nobody */
        batch[n++] = packet_of(&x.b, record, size);
        batch[n++] = packet_of(&x.b, i & 1 ? garbage : record, 5 * i);
    }
    assert_int_equal(n, 12);
    forward_underlay(x.b.forward[0], x.b.now, batch, n);
    side_pull(&x.b, 0, &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 4);
    outs_free(&sent);
    outs_free(&got);
    assert_int_equal(side_packets_out(&x.a) + side_packets_out(&x.b), 0);

    /* Parked: no lane to fetch. */
    struct lane *lane = atomic_exchange(&x.a.path.lane[1], NULL);
    for (n = 0; n < 12; n++) {
        struct craft c = to_peer(0, n & 1);
        size_t size = craft_packet(bytes, &c);
        batch[n] = packet_of(&x.a, bytes, size);
    }
    forward_capture(x.a.forward[0], x.a.now, batch, n);
    side_pull(&x.a, 0, &sent);
    assert_int_equal(outs_kind(&sent, FORWARD_PUNT), 12);
    outs_free(&sent);
    atomic_store(&x.a.path.lane[1], lane);
    pair_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_batches_of_everything),
        cmocka_unit_test(test_bytes_behind_the_packet_stay_here),
        cmocka_unit_test(test_errors_quote_a_flow),
        cmocka_unit_test(test_time_to_live),
        cmocka_unit_test(test_too_big),
        cmocka_unit_test(test_mss_is_clamped),
        cmocka_unit_test(test_ecn),
        cmocka_unit_test(test_open_checksums),
        cmocka_unit_test(test_open_checksum_lies),
    };
    return cmocka_run_group_tests_name("path_forward", tests, NULL, NULL);
}
