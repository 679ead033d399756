#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "packet/segment.h"
#include "path/forward_fixture.h"
#include "tests/support/stream.h"

/* Merging against an oracle: a host that gets the same records one by one, and merges nothing. What
 * its programs get is what the others must have got once their super-packets are cut up again. */

#define FLOWS   6
#define HISTORY 4000
#define PAYLOAD 400

/* What the programs got of one flow, packet by packet. */
struct history {
    unsigned count;
    size_t size[HISTORY];
    uint64_t sum[HISTORY];
};

static uint64_t sum_of(const uint8_t *bytes, size_t size)
{
    uint64_t sum = 1469598103934665603u;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ bytes[i]) * 1099511628211u;
    return sum;
}

/* Flows are told apart by the last byte of the destination port; others are in the last place. */
static struct history *history_of(struct history *all, const uint8_t *packet, size_t size)
{
    bool six = packet[0] >> 4 == 6;
    uint8_t protocol = packet[six ? 6 : 9];
    bool fragment = !six && ((packet[6] & 0x3F) || packet[7]);
    if (fragment || (protocol != IP_TCP && protocol != IP_UDP))
        return &all[FLOWS];
    return &all[packet[(six ? 40 : 20) + 3] % FLOWS];
}

static void note(struct history *all, const uint8_t *packet, size_t size)
{
    static uint8_t copy[PACKET_SIZE];
    struct history *h = history_of(all, packet, size);
    assert_true(h->count < HISTORY);
    memcpy(copy, packet, size);
    if (copy[0] == 0x45 && (copy[6] & 0x40)) /* then the id means nothing, and may become another */
        memset(copy + 4, 0, 2), memset(copy + 10, 0, 2);
    h->size[h->count] = size;
    h->sum[h->count++] = sum_of(copy, size);
}

static void note_capture(struct history *all, struct packet *p)
{
    struct segment_cut cut;
    struct ip_view view;
    enum drop_reason reason;
    size_t size;
    if (p->offload.gso == PACKET_GSO_NONE) {
        note(all, p->data, p->size);
        return;
    }
    assert_true(ip_parse(p->data, p->size, &view, &reason));
    assert_int_equal(view.total, p->size);
    assert_true(segment_begin(&cut, p, &view, p->offload.gso_size));
    while (segment_left(&cut)) {
        uint8_t *packet = segment_next(&cut, &size);
        note(all, packet, size);
    }
}

static void note_outs(struct history *all, struct outs *o)
{
    for (unsigned i = 0; i < o->count; i++) {
        if (o->item[i].kind == FORWARD_CAPTURE)
            note_capture(all, o->item[i].packet);
    }
    outs_free(o);
}

/* A flow of a's program: its packets continue where the last ones ended. */
static void next_stream(struct stream *s, struct entropy *e, unsigned flow)
{
    static const uint8_t flags[] = {0x10, 0x10, 0x10, 0x18, 0x11, 0x50, 0x90, 0x14, 0x02};
    bool six = flow & 1;
    s->source = six ? "fd00::61" : "10.0.0.97";
    s->destination = six ? "fd18::62" : "198.18.0.98";
    s->udp = flow >= 4;
    s->source_port = (uint16_t)(4000 + flow);
    s->destination_port = (uint16_t)(600 + flow); /* a multiple of FLOWS, and more */
    s->dont_fragment = true;
    s->same_id = flow == 2;
    s->sequence += (uint32_t)s->payload;
    s->id = (uint16_t)(s->id + (s->payload ? stream_count(s) : 0));
    s->segment = PAYLOAD;
    s->flags = flags[entropy_below(e, sizeof flags)];
    s->payload =
        entropy_below(e, 4) ? PAYLOAD * (1 + entropy_below(e, 6)) : 1 + entropy_below(e, 900);
    s->window = 500;
    s->options_size = flow == 3 ? 12 : 0;
    s->open = entropy_below(e, 16) != 0;
    if (entropy_below(e, 16) == 0)
        s->acknowledged++;
    if (entropy_below(e, 32) == 0)
        s->tos ^= 0x20;
    if (entropy_below(e, 32) == 0)
        s->ttl = (uint8_t)(60 + entropy_below(e, 3));
    if (s->flags == 2) /* a SYN carries nothing */
        s->payload = s->udp ? s->payload : 1;
}

/* Every kind of other packet. */
static size_t noise(struct entropy *e, uint8_t *out)
{
    struct craft c = {.source = "10.0.0.97",
                      .destination = "198.18.0.98",
                      .protocol = IP_ICMP,
                      .icmp_type = 8,
                      .payload_size = entropy_below(e, 300)};
    switch (entropy_below(e, 3)) {
    case 0: /* an acknowledgement of flow 0 */
        c.protocol = IP_TCP;
        c.source_port = 4000, c.destination_port = 600;
        c.payload_size = 0;
        break;
    case 1: /* a fragment of flow 4 */
        c.protocol = IP_UDP;
        c.fragment = 0x2001;
        c.payload_size = 8 * (1 + entropy_below(e, 30));
        break;
    }
    return craft_packet(out, &c);
}

/* Random packets of several flows as records, some lost, some twice, some late; delivered as one
 * run and more, or one by one. */
struct shuffle {
    struct side a, merging, plain;
    struct seeded seeded;
    struct stream stream[FLOWS];
    struct history there[2][FLOWS + 1];
    uint8_t *record[256];
    size_t size[256];
    unsigned count;
};

static void make_records(struct shuffle *s)
{
    static uint8_t bytes[PACKET_SIZE];
    struct entropy *e = &s->seeded.entropy;
    struct outs sent = {0};
    unsigned flow = entropy_below(e, FLOWS);
    struct stream *stream = &s->stream[flow];
    next_stream(stream, e, flow);
    for (unsigned i = 0; i < stream_count(stream); i++) {
        struct packet_offload open;
        stream_super(bytes, stream, &open);
        open.gso = PACKET_GSO_NONE;
        size_t size = stream_packet(bytes, stream, i);
        side_capture(&s->a, 0, bytes, size, stream->open ? &open : NULL, &sent);
        if (entropy_below(e, 20) == 0) {
            size = noise(e, bytes);
            side_capture(&s->a, 0, bytes, size, NULL, &sent);
        }
    }
    for (unsigned i = 0; i < sent.count; i++) {
        const struct packet *p = sent.item[i].packet;
        if (entropy_below(e, 50) == 0 || s->count == 256)
            continue; /* lost */
        s->size[s->count] = p->size;
        s->record[s->count] = memcpy(malloc(p->size), p->data, p->size);
        s->count++;
    }
    outs_free(&sent);
}

static void swap_some(struct shuffle *s)
{
    struct entropy *e = &s->seeded.entropy;
    for (unsigned i = 0; i + 1 < s->count; i++) {
        if (entropy_below(e, 30))
            continue;
        uint8_t *record = s->record[i];
        size_t size = s->size[i];
        s->record[i] = s->record[i + 1], s->size[i] = s->size[i + 1];
        s->record[i + 1] = record, s->size[i + 1] = size;
    }
}

/* As a kernel would: equal sizes together, a smaller one ends the run.  In one batch. */
static void deliver_runs(struct shuffle *s, struct outs *ret)
{
    struct packet *batch[256];
    struct endpoint from = side_endpoint('a');
    unsigned made = 0;
    for (unsigned i = 0; i < s->count;) {
        struct packet *p = packet_take(s->merging.pool[0]);
        size_t unit = s->size[i], last = unit;
        unsigned most = 1 + entropy_below(&s->seeded.entropy, 60), count = 0;
        assert_non_null(p);
        while (i < s->count && count < most && last == unit && s->size[i] <= unit &&
               p->size + s->size[i] <= PACKET_RUN_SIZE) {
            memcpy(p->data + p->size, s->record[i], s->size[i]);
            p->size += last = s->size[i++];
            count++;
        }
        p->run = count > 1 ? (uint16_t)unit : 0;
        p->arrival.remote = from;
        batch[made++] = p;
    }
    forward_underlay(s->merging.forward[0], s->merging.now, batch, made);
    side_pull(&s->merging, 0, ret);
}

static void deliver_singly(struct shuffle *s, struct outs *ret)
{
    struct endpoint from = side_endpoint('a');
    for (unsigned i = 0; i < s->count; i++)
        side_receive(&s->plain, 0, &from, 0, s->record[i], s->size[i], ret);
}

static void assert_same(const struct shuffle *s)
{
    for (unsigned flow = 0; flow <= FLOWS; flow++) {
        const struct history *a = &s->there[0][flow], *b = &s->there[1][flow];
        assert_int_equal(a->count, b->count);
        for (unsigned i = 0; i < a->count; i++) {
            assert_int_equal(a->size[i], b->size[i]);
            assert_true(a->sum[i] == b->sum[i]);
        }
    }
}

static void test_nothing_changes_but_the_packaging(void **state)
{
    static struct shuffle s;
    unsigned packets = 0, supers = 0;
    struct side_settings settings = {.open_checksums = true, .record_mtu = 1400};
    seeded_init(&s.seeded, 77);
    side_init(&s.a, 'a', 'b', &settings);
    side_init(&s.plain, 'b', 'a', &settings);
    settings.merge = true;
    side_init(&s.merging, 'b', 'a', &settings);
    for (unsigned round = 0; round < 300; round++) {
        struct outs got = {0};
        for (unsigned i = 1 + entropy_below(&s.seeded.entropy, 20); i; i--)
            make_records(&s);
        swap_some(&s);
        memset(s.there, 0, sizeof s.there);
        deliver_singly(&s, &got);
        packets += got.count;
        note_outs(s.there[0], &got);
        deliver_runs(&s, &got);
        supers += got.count;
        note_outs(s.there[1], &got);
        assert_same(&s);
        while (s.count)
            free(s.record[--s.count]);
    }
    assert_int_equal(side_drops_all(&s.plain), side_drops_all(&s.merging));
    assert_int_equal(side_packets_out(&s.plain) + side_packets_out(&s.merging), 0);
    assert_true(supers < packets * 2 / 3); /* else nothing was tested */
    side_done(&s.a);
    side_done(&s.plain);
    side_done(&s.merging);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_changes_but_the_packaging),
    };
    return cmocka_run_group_tests_name("path_forward_merge", tests, NULL, NULL);
}
