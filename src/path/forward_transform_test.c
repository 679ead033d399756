#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "path/forward_fixture.h"

#include "base/cursor.h"

/* A transform that repairs loss: one parity message for each pair of records, from which the other
 * end makes the one that was lost.
 *
 *   WIRE_TRANSFORM | 0 | epoch | 0 | label (32) | pair (32) | sizes of both (16, 16) | both, XORed
 */

#define PARITY_HEADER  16
#define PARITY_RECORD  1500
#define PARITY_PAIRS   8
#define PARITY_WAIT    (10 * MILLISECOND)
#define PARITY_OUTPUTS 16

struct pair_seen {
    uint32_t pair;
    unsigned have; /* bits of the two */
    bool repaired;
    size_t size;
    uint8_t record[PARITY_RECORD]; /* the one that came */
};

struct parity {
    struct transform transform;
    struct packet_pool *pool;
    /* sending */
    unsigned count;
    uint8_t label[4], epoch;
    uint32_t pair;
    size_t size[2];
    uint8_t sum[PARITY_RECORD];
    instant due;
    /* receiving */
    struct pair_seen seen[PARITY_PAIRS];
    unsigned repaired;
    struct packet *out[PARITY_OUTPUTS];
    enum transform_way way[PARITY_OUTPUTS];
    unsigned out_first, out_count;
};

static void put(struct parity *t, enum transform_way way, struct packet *p)
{
    unsigned at = (t->out_first + t->out_count++) % PARITY_OUTPUTS;
    require(t->out_count <= PARITY_OUTPUTS);
    t->out[at] = p;
    t->way[at] = way;
}

static void send_parity(struct parity *t)
{
    struct packet *p = packet_take(t->pool);
    require(p);
    size_t size = t->size[0] > t->size[1] ? t->size[0] : t->size[1];
    struct writer w = writer_over(p->data, PARITY_HEADER + size);
    write_u8(&w, WIRE_TRANSFORM);
    write_u8(&w, 0);
    write_u8(&w, t->epoch);
    write_u8(&w, 0);
    write_bytes(&w, t->label, 4);
    write_u32(&w, t->pair);
    write_u16(&w, (uint16_t)t->size[0]);
    write_u16(&w, (uint16_t)t->size[1]);
    write_bytes(&w, t->sum, size);
    p->size = PARITY_HEADER + size;
    put(t, TRANSFORM_SENDING, p);
    t->count = 0;
    t->due = INSTANT_NEVER;
}

static void sending(struct parity *t, instant now, struct packet *p)
{
    struct record_header h;
    require(record_read_header(p->data, p->size, &h) && p->size <= PARITY_RECORD);
    unsigned half = h.counter & 1;
    if (!t->count) {
        memset(t->sum, 0, sizeof t->sum);
        t->size[0] = t->size[1] = 0;
        t->due = now + PARITY_WAIT;
    }
    t->count++;
    t->pair = (uint32_t)(h.counter / 2);
    t->epoch = h.epoch;
    memcpy(t->label, p->data + 4, 4);
    t->size[half] = p->size;
    for (size_t i = 0; i < p->size; i++)
        t->sum[i] ^= p->data[i];
    put(t, TRANSFORM_SENDING, p);
    if (half)
        send_parity(t);
}

static struct pair_seen *seen_pair(struct parity *t, uint32_t pair)
{
    struct pair_seen *s = &t->seen[pair % PARITY_PAIRS];
    if (s->pair != pair)
        *s = (struct pair_seen){.pair = pair};
    return s;
}

static void received_parity(struct parity *t, struct packet *p)
{
    struct reader r = reader_over(p->data, p->size);
    read_u64(&r);
    struct pair_seen *s = seen_pair(t, read_u32(&r));
    size_t size[2];
    size[0] = read_u16(&r);
    size[1] = read_u16(&r);
    unsigned missing = s->have == 1 ? 1 : 0;
    const uint8_t *sum = read_bytes(&r, size[0] > size[1] ? size[0] : size[1]);
    bool one_missing = s->have == 1 || s->have == 2 || (!s->have && (!size[0] || !size[1]));
    if (!s->have && size[1])
        missing = 1;
    if (!sum || !one_missing || !size[missing] || s->repaired) {
        packet_give_back(p);
        return;
    }
    struct arrival arrival = p->arrival;
    uint8_t record[PARITY_RECORD];
    memcpy(record, sum, size[missing]);
    for (size_t i = 0; s->have && i < size[missing] && i < s->size; i++)
        record[i] ^= s->record[i];
    require(packet_fill(p, record, size[missing]));
    p->arrival = arrival;
    s->repaired = true;
    t->repaired++;
    put(t, TRANSFORM_RECEIVING, p);
}

static void receiving(struct parity *t, struct packet *p)
{
    struct record_header h;
    if (p->data[0] == WIRE_TRANSFORM) {
        received_parity(t, p);
        return;
    }
    if (record_read_header(p->data, p->size, &h) && p->size <= PARITY_RECORD) {
        struct pair_seen *s = seen_pair(t, (uint32_t)(h.counter / 2));
        s->have |= 1u << (h.counter & 1);
        s->size = p->size;
        memcpy(s->record, p->data, p->size);
    }
    put(t, TRANSFORM_RECEIVING, p);
}

static void parity_input(struct transform *self, instant now, enum transform_way way,
                         struct packet *p)
{
    struct parity *t = (struct parity *)self;
    if (way == TRANSFORM_SENDING)
        sending(t, now, p);
    else
        receiving(t, p);
}

static void parity_advance(struct transform *self, instant now)
{
    struct parity *t = (struct parity *)self;
    if (t->count && now >= t->due)
        send_parity(t);
}

static instant parity_deadline(const struct transform *self)
{
    return ((const struct parity *)self)->due;
}

static struct packet *parity_output(struct transform *self, enum transform_way *ret_way)
{
    struct parity *t = (struct parity *)self;
    if (!t->out_count)
        return NULL;
    struct packet *p = t->out[t->out_first];
    *ret_way = t->way[t->out_first];
    t->out_first = (t->out_first + 1) % PARITY_OUTPUTS;
    t->out_count--;
    return p;
}

/* Gives the tunnel a transform, driven by the host's worker of lane 1. */
static void parity_init(struct parity *t, struct side *s, struct fwd_tunnel *tunnel,
                        struct recipe *recipe)
{
    memset(t, 0, sizeof *t);
    t->transform = (struct transform){.input = parity_input,
                                      .advance = parity_advance,
                                      .deadline = parity_deadline,
                                      .output = parity_output};
    t->pool = s->pool[1 % s->settings.workers];
    t->due = INSTANT_NEVER;
    for (unsigned i = 0; i < PARITY_PAIRS; i++)
        t->seen[i].pair = UINT32_MAX;
    recipe->transform = &t->transform;
    require(recipe_valid(recipe));
    fwd_transform_add(s->tables, tunnel);
}

static const struct craft a_to_b = {.source = "10.0.0.97",
                                    .destination = "198.18.0.98",
                                    .protocol = IP_UDP,
                                    .tos = ECN_ECT1,
                                    .source_port = 4000,
                                    .destination_port = 53};

static void capture(struct side *s, unsigned worker, unsigned number, struct outs *ret)
{
    uint8_t bytes[1000];
    struct craft c = a_to_b;
    c.source_port = (uint16_t)(c.source_port + number);
    c.payload_size = 20 + number * 7 % 300;
    side_capture(s, worker, bytes, craft_packet(bytes, &c), NULL, ret);
    side_settle(s, ret);
}

/* The datagram number `index` is lost. */
static void lose(struct outs *o, unsigned index)
{
    packet_give_back(outs_take(o, index).packet);
}

static void assert_delivered(struct outs *got, unsigned count)
{
    assert_int_equal(outs_kind(got, FORWARD_CAPTURE), count);
    for (unsigned i = 0; i < got->count; i++) {
        const struct packet *p = got->item[i].packet;
        assert_true(craft_sums_right(p->data, p->size));
    }
    outs_free(got);
}

static void test_lost_records_are_made_again(void **state)
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct side a, b;
        struct parity ta, tb;
        side_init(&a, 'a', 'b', &(struct side_settings){.workers = workers, .lanes = 5});
        side_init(&b, 'b', 'a', &(struct side_settings){.workers = 4 - workers, .lanes = 5});
        parity_init(&ta, &a, &a.tunnel, a.recipe);
        parity_init(&tb, &b, &b.tunnel, b.recipe);
        for (unsigned round = 0; round < 30; round++) {
            struct outs sent = {0}, got = {0};
            capture(&a, round % workers, 2 * round, &sent);
            capture(&a, (round + 1) % workers, 2 * round + 1, &sent);
            assert_int_equal(sent.count, 3);
            assert_int_equal(outs_kind(&sent, FORWARD_SEND), 3);
            assert_int_equal(sent.item[0].tos, ECN_ECT1);
            assert_int_equal(sent.item[2].packet->data[0], WIRE_TRANSFORM);
            lose(&sent, round % 3);
            side_carry(&sent, &b, 'a', &got);
            assert_delivered(&got, 2);
        }
        assert_int_equal(tb.repaired, 20);
        assert_int_equal(side_drops_all(&a) + side_drops_all(&b), 0);
        assert_int_equal(side_packets_out(&a) + side_packets_out(&b), 0);
        fwd_transform_remove(a.tables, &a.tunnel);
        side_done(&a);
        side_done(&b);
    }
}

/* A record without a partner gets its parity when time has passed, from the owner's clock only. */
static void test_clock(void **state)
{
    struct side a, b;
    struct parity ta, tb;
    struct outs sent = {0}, got = {0};
    side_init(&a, 'a', 'b', &(struct side_settings){.workers = 2, .lanes = 3});
    side_init(&b, 'b', 'a', &(struct side_settings){0});
    parity_init(&ta, &a, &a.tunnel, a.recipe);
    parity_init(&tb, &b, &b.tunnel, b.recipe);
    assert_true(forward_deadline(a.forward[1]) == INSTANT_NEVER);
    capture(&a, 0, 0, &sent);
    lose(&sent, 0);
    assert_true(forward_deadline(a.forward[0]) == INSTANT_NEVER);
    assert_true(forward_deadline(a.forward[1]) == a.now + PARITY_WAIT);
    forward_advance(a.forward[1], a.now + PARITY_WAIT - 1);
    side_pull(&a, 1, &sent);
    assert_int_equal(sent.count, 0);
    forward_advance(a.forward[1], a.now + PARITY_WAIT);
    side_pull(&a, 1, &sent);
    assert_int_equal(sent.count, 1);
    side_carry(&sent, &b, 'a', &got);
    assert_delivered(&got, 1);
    /* A tunnel that is down has no clock. */
    capture(&a, 0, 1, &sent);
    capture(&a, 0, 2, &sent);
    atomic_store(&a.tunnel.recipe, NULL);
    assert_true(forward_deadline(a.forward[1]) == INSTANT_NEVER);
    forward_advance(a.forward[1], a.now + SECOND);
    outs_free(&sent);
    side_done(&a);
    side_done(&b);
}

/* Strangers, and messages that nobody transforms, do not get at it. */
static void test_not_for_strangers(void **state)
{
    struct side a, b;
    struct parity ta, tb;
    struct outs sent = {0}, got = {0};
    struct endpoint elsewhere = side_endpoint('z');
    side_init(&a, 'a', 'b', &(struct side_settings){0});
    side_init(&b, 'b', 'a', &(struct side_settings){0});
    parity_init(&ta, &a, &a.tunnel, a.recipe);
    capture(&a, 0, 0, &sent);
    capture(&a, 0, 1, &sent);
    const struct packet *p = sent.item[2].packet;
    side_receive(&b, 0, &a.endpoint, 0, p->data, p->size, &got);
    assert_int_equal(side_drops(&b, DROP_GARBAGE), 1); /* no transform here yet */
    parity_init(&tb, &b, &b.tunnel, b.recipe);
    side_receive(&b, 0, &elsewhere, 0, p->data, p->size, &got);
    assert_int_equal(side_drops(&b, DROP_GARBAGE), 2);
    side_receive(&b, 0, &a.endpoint, 0, p->data, 7, &got);
    assert_int_equal(side_drops(&b, DROP_TRUNCATED), 1);
    uint8_t stale[PARITY_HEADER];
    memcpy(stale, p->data, sizeof stale);
    stale[7] ^= 0x10;
    side_receive(&b, 0, &a.endpoint, 0, stale, sizeof stale, &got);
    assert_int_equal(side_drops(&b, DROP_STALE_LABEL), 1);
    assert_int_equal(got.count, 0);
    /* A neighbour that moved is opened without it, so that control hears of the move. */
    p = sent.item[0].packet;
    side_receive(&b, 0, &elsewhere, 0, p->data, p->size, &got);
    assert_int_equal(got.item[0].punt, PUNT_MOVED);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 1);
    outs_free(&sent);
    outs_free(&got);
    side_done(&a);
    side_done(&b);
}

/* A gateway between two such tunnels repairs the first and protects the second anew. */
static void test_gateway_between_two(void **state)
{
    struct side a, g, b;
    struct parity ta, tb, tg[2];
    struct recipe *recipe[2] = {side_recipe('g', 'a', 0), side_recipe('g', 'b', 0)};
    struct fwd_tunnel tunnel[2] = {{.id = 1}, {.id = 2}};
    struct fwd_transit transit = {
        .generation = 9, .label_out = LABEL(SIDE_SLOT, 3, 0), .in = &tunnel[0], .out = &tunnel[1]};
    struct fwd_label label = {.transit = &transit};
    side_init(&a, 'a', 'b', &(struct side_settings){0});
    side_init(&g, 'g', 'a', &(struct side_settings){.workers = 2});
    side_init(&b, 'b', 'a', &(struct side_settings){0});
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&tunnel[i].recipe, recipe[i]);
        parity_init(&tg[i], &g, &tunnel[i], recipe[i]);
    }
    parity_init(&ta, &a, &a.tunnel, a.recipe);
    parity_init(&tb, &b, &b.tunnel, b.recipe);
    fwd_label_set(g.tables, 20, &label);
    a.path.label_out = LABEL(20, 9, 0);
    a.recipe->step[0].send.remote = g.endpoint;
    a.recipe->from = b.recipe->from = g.endpoint;
    for (unsigned round = 0; round < 10; round++) {
        struct outs sent = {0}, crossed = {0}, got = {0};
        capture(&a, 0, 2 * round, &sent);
        capture(&a, 0, 2 * round + 1, &sent);
        lose(&sent, 1);
        side_carry(&sent, &g, 'a', &crossed);
        assert_int_equal(outs_kind(&crossed, FORWARD_SEND), 3);
        lose(&crossed, 0);
        side_carry(&crossed, &b, 'g', &got);
        assert_delivered(&got, 2);
    }
    assert_int_equal(tg[0].repaired, 10);
    assert_int_equal(tb.repaired, 10);
    assert_int_equal(side_packets_out(&g), 0);
    side_done(&a);
    side_done(&g);
    side_done(&b);
    free(recipe[0]);
    free(recipe[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_records_are_made_again),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_not_for_strangers),
        cmocka_unit_test(test_gateway_between_two),
    };
    return cmocka_run_group_tests_name("path_forward_transform", tests, NULL, NULL);
}
