#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "path/forward_chain.h"

/* Runs of datagrams from the socket: whatever is in one goes the way that it would have gone alone.
 */

#define RECORD 300 /* of those that fill a run but for its last one */

/* Datagrams one behind the other. */
struct train {
    uint8_t bytes[PACKET_SIZE];
    size_t size;
    uint16_t run;
};

static void train_add(struct train *t, const void *bytes, size_t size)
{
    assert_true(t->size + size <= sizeof t->bytes);
    assert_true(!t->run || size <= t->run);
    if (!t->run)
        t->run = (uint16_t)size;
    memcpy(t->bytes + t->size, bytes, size);
    t->size += size;
}

static unsigned train_count(const struct train *t)
{
    return t->run ? (unsigned)((t->size + t->run - 1) / t->run) : 0;
}

static void train_deliver(struct train *t, struct side *to, unsigned worker, char from,
                          struct outs *ret)
{
    struct endpoint source = side_endpoint(from);
    side_receive_run(to, worker, &source, 0, t->bytes, t->size, train_count(t) > 1 ? t->run : 0,
                     ret);
    t->size = t->run = 0;
}

/* A record of `size` bytes with a UDP packet from a to b in it, as a's program `port` sends it. */
static size_t make_record(struct side *a, uint16_t port, size_t size, uint8_t *out)
{
    uint8_t bytes[3000];
    struct outs sent = {0};
    struct craft c = {.source = "10.0.0.97",
                      .destination = "198.18.0.98",
                      .protocol = IP_UDP,
                      .source_port = port,
                      .destination_port = 53,
                      .payload_size = size - RECORD_OVERHEAD - 28};
    side_capture(a, 0, bytes, craft_packet(bytes, &c), NULL, &sent);
    side_settle(a, &sent);
    assert_int_equal(sent.count, 1);
    assert_int_equal(sent.item[0].packet->size, size);
    memcpy(out, sent.item[0].packet->data, size);
    outs_free(&sent);
    return size;
}

static void add_record(struct train *t, struct side *a, uint16_t port, size_t size)
{
    uint8_t record[3000];
    train_add(t, record, make_record(a, port, size, record));
}

static size_t make_control(struct side *a, size_t size, uint8_t *out)
{
    struct forward_out sealed;
    enum drop_reason reason;
    struct packet *p = packet_take(a->pool[0]);
    p->size = size - RECORD_OVERHEAD;
    memset(p->data, 'c', p->size);
    assert_true(
        forward_seal(&a->path, a->path.lane[0], RECORD_KIND_CONTROL, a->now, p, &sealed, &reason));
    memcpy(out, p->data, p->size);
    packet_give_back(p);
    return size;
}

/* ---- all kinds in one run ---- */

static void test_each_goes_its_way(void **state)
{
    static struct train t;
    uint8_t bytes[RECORD];
    struct side a, b;
    struct outs got = {0};
    side_init(&a, 'a', 'b', &(struct side_settings){.lanes = 4});
    side_init(&b, 'b', 'a', &(struct side_settings){.lanes = 4});
    add_record(&t, &a, 1, RECORD);
    make_control(&a, RECORD, bytes);
    train_add(&t, bytes, RECORD);
    memset(bytes, 0xC1, RECORD); /* a handshake */
    train_add(&t, bytes, RECORD);
    add_record(&t, &a, 2, RECORD);
    memset(bytes, 0x45, RECORD); /* nothing of ours */
    train_add(&t, bytes, RECORD);
    make_record(&a, 3, RECORD, bytes);
    bytes[5] ^= 0x10; /* a label that nobody has */
    train_add(&t, bytes, RECORD);
    make_record(&a, 4, RECORD, bytes);
    bytes[100] ^= 1; /* damaged */
    train_add(&t, bytes, RECORD);
    make_record(&a, 5, RECORD, bytes);
    bytes[3] ^= 1; /* another epoch */
    train_add(&t, bytes, RECORD);
    train_add(&t, bytes, 20); /* cut short */
    train_deliver(&t, &b, 0, 'a', &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 2);
    assert_int_equal(outs_kind(&got, FORWARD_PUNT), 3);
    assert_int_equal(got.count, 5);
    assert_int_equal(got.item[0].packet->data[21], 1);
    assert_int_equal(got.item[1].punt, PUNT_CONTROL);
    assert_int_equal(got.item[1].packet->size, RECORD);
    assert_int_equal(got.item[2].punt, PUNT_HANDSHAKE);
    assert_int_equal(got.item[2].packet->size, RECORD);
    assert_int_equal(got.item[3].packet->data[21], 2);
    assert_int_equal(got.item[4].punt, PUNT_UNKNOWN_LABEL);
    assert_true(endpoint_equal(&got.item[4].packet->arrival.remote, &a.endpoint));
    assert_int_equal(side_drops(&b, DROP_GARBAGE), 1);
    assert_int_equal(side_drops(&b, DROP_UNKNOWN_LABEL), 1);
    assert_int_equal(side_drops(&b, DROP_BAD_TAG), 1);
    assert_int_equal(side_drops(&b, DROP_UNKNOWN_EPOCH), 1);
    assert_int_equal(side_drops(&b, DROP_TRUNCATED), 1);
    assert_int_equal(side_drops_all(&b), 5);
    outs_free(&got);
    assert_int_equal(side_packets_out(&b), 0);
    side_done(&a);
    side_done(&b);
}

/* Under overload data is dropped unread, and nothing else. */
static void test_shedding(void **state)
{
    static struct train t;
    uint8_t record[RECORD];
    struct chain c;
    struct packet *batch[4];
    struct outs got = {0};
    chain_init(&c, &(struct side_settings){.lanes = 4}, 9000);
    c.b.path.one_hop = true;
    struct side *at[2] = {&c.g, &c.b}; /* a gateway, an end */
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned k = 0; k < 4; k++) {
            for (unsigned n = 0; n < 3; n++)
                add_record(&t, &c.a, (uint16_t)(n + k), RECORD);
            make_control(&c.a, RECORD, record);
            train_add(&t, record, RECORD);
            memset(record, WIRE_OPEN, RECORD);
            train_add(&t, record, RECORD);
            batch[k] = packet_take(at[i]->pool[0]);
            packet_fill(batch[k], t.bytes, k < 3 ? t.size : RECORD); /* the last one alone */
            batch[k]->run = k < 3 ? t.run : 0;
            batch[k]->arrival.remote = c.a.endpoint;
            t.size = t.run = 0;
        }
        for (unsigned k = 0; k < 4 && i; k++) { /* as the gateway would have sent them */
            for (size_t from = 0; from < batch[k]->size; from += RECORD) {
                uint8_t *bytes = batch[k]->data + from;
                if (bytes[0] == WIRE_RECORD)
                    record_swap_label(bytes, LABEL(SIDE_SLOT, 3, bytes[7] & 15));
            }
        }
        forward_shed(at[i]->forward[0], at[i]->now, batch, 4);
        side_pull(at[i], 0, &got);
        assert_int_equal(outs_kind(&got, FORWARD_SEND), i ? 0 : 3);
        assert_int_equal(outs_kind(&got, FORWARD_PUNT), i ? 6 : 3);
        assert_int_equal(got.count, 6);
        assert_int_equal(side_drops(at[i], DROP_OVERLOAD), 10);
        assert_int_equal(side_drops_all(at[i]), 10);
        outs_free(&got);
        assert_int_equal(side_packets_out(at[i]), 0);
    }
    /* It is over at once. */
    make_record(&c.a, 1, RECORD, record);
    record_swap_label(record, LABEL(SIDE_SLOT, 3, record[7] & 15));
    side_receive(&c.b, 0, &c.a.endpoint, 0, record, RECORD, &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 1);
    outs_free(&got);
    chain_done(&c);
}

/* The same record twice in a run, and once more in the next. */
static void test_replays(void **state)
{
    static struct train t;
    uint8_t record[RECORD];
    struct side a, b;
    struct outs got = {0};
    side_init(&a, 'a', 'b', &(struct side_settings){0});
    side_init(&b, 'b', 'a', &(struct side_settings){0});
    make_record(&a, 1, RECORD, record);
    for (unsigned i = 0; i < 2; i++) {
        train_add(&t, record, RECORD);
        train_add(&t, record, RECORD);
        train_deliver(&t, &b, 0, 'a', &got);
        assert_int_equal(got.count, 1);
    }
    assert_int_equal(side_drops(&b, DROP_REPLAYED), 3);
    outs_free(&got);
    side_done(&a);
    side_done(&b);
}

/* The neighbour has moved: said once for a run. */
static void test_moved(void **state)
{
    static struct train t;
    struct side a, b;
    struct outs got = {0};
    side_init(&a, 'a', 'b', &(struct side_settings){0});
    side_init(&b, 'b', 'a', &(struct side_settings){0});
    for (unsigned i = 0; i < 10; i++)
        add_record(&t, &a, 1, RECORD);
    train_deliver(&t, &b, 0, 'z', &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 10);
    assert_int_equal(outs_kind(&got, FORWARD_PUNT), 1);
    for (unsigned i = 0; i < got.count; i++) {
        struct endpoint from = side_endpoint('z');
        if (got.item[i].kind != FORWARD_PUNT)
            continue;
        assert_int_equal(got.item[i].punt, PUNT_MOVED);
        assert_true(endpoint_equal(&got.item[i].packet->arrival.remote, &from));
    }
    outs_free(&got);
    side_done(&a);
    side_done(&b);
}

/* A module that puts something before each record. */
static void test_peeled(void **state)
{
    static struct train t;
    static const struct peel_table peel = {
        .count = 1,
        .peel = {{.first_low = 'O',
                  .first_high = 'O',
                  .count = 2,
                  .step = {{.verb = PEEL_STRIP, .size = 4, .compare = (const uint8_t *)"OVER"},
                           {.verb = PEEL_RECORD}}}}};
    uint8_t bytes[RECORD + 4] = "OVER";
    struct side a, b;
    struct outs got = {0};
    side_init(&a, 'a', 'b', &(struct side_settings){0});
    side_init(&b, 'b', 'a', &(struct side_settings){0});
    fwd_socket_set(b.tables, 0, &peel);
    for (unsigned i = 0; i < 5; i++) {
        make_record(&a, 1, RECORD, bytes + 4);
        if (i == 3)
            bytes[0] = 'X';
        train_add(&t, bytes, sizeof bytes);
        bytes[0] = 'O';
    }
    train_deliver(&t, &b, 0, 'a', &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 4);
    assert_int_equal(side_drops(&b, DROP_GARBAGE), 1);
    outs_free(&got);
    side_done(&a);
    side_done(&b);
}

/* ---- workers ---- */

static uint16_t port_of_lane(struct side *a, unsigned lane)
{
    uint8_t record[RECORD];
    for (uint16_t port = 1; port < 1000; port++) {
        make_record(a, port, RECORD, record);
        if ((record[7] & 15) == lane)
            return port;
    }
    fail();
    return 0;
}

static void test_other_workers(void **state)
{
    static struct train t;
    struct side_settings settings = {.workers = 3, .lanes = 4};
    struct side a, b;
    struct outs got = {0};
    side_init(&a, 'a', 'b', &settings);
    side_init(&b, 'b', 'a', &settings);
    uint16_t port[4];
    for (unsigned lane = 1; lane < 4; lane++)
        port[lane] = port_of_lane(&a, lane);
    /* All of one lane: the run is handed over whole. */
    for (unsigned i = 0; i < 7; i++)
        add_record(&t, &a, port[1], RECORD);
    train_deliver(&t, &b, 0, 'a', &got);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.item[0].kind, FORWARD_HANDOVER);
    assert_int_equal(got.item[0].worker, 1);
    assert_int_equal(packet_count(got.item[0].packet), 7);
    side_settle(&b, &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 7);
    outs_free(&got);
    /* Mixed: each to its own. */
    for (unsigned i = 0; i < 9; i++)
        add_record(&t, &a, port[1 + i % 3], RECORD);
    train_deliver(&t, &b, 0, 'a', &got);
    assert_int_equal(outs_kind(&got, FORWARD_HANDOVER), 6);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 3); /* lane 3 is worker 0's */
    side_settle(&b, &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 9);
    assert_int_equal(got.count, 9);
    outs_free(&got);
    assert_int_equal(side_drops_all(&b), 0);
    assert_int_equal(side_packets_out(&b), 0);
    side_done(&a);
    side_done(&b);
}

/* ---- gateways ---- */

static void test_gateway_keeps_the_run(void **state)
{
    static struct train t;
    struct chain c;
    struct outs crossed = {0}, got = {0};
    uint8_t control[RECORD];
    chain_init(&c, &(struct side_settings){.lanes = 4}, 9000);
    for (unsigned i = 0; i < 9; i++)
        add_record(&t, &c.a, (uint16_t)(i * 7), RECORD);
    make_control(&c.a, RECORD, control); /* lane 0 of the two ends goes along */
    train_add(&t, control, RECORD);
    add_record(&t, &c.a, 5, 100);
    size_t size = t.size;
    train_deliver(&t, &c.g, 0, 'a', &crossed);
    assert_int_equal(crossed.count, 1);
    assert_int_equal(crossed.item[0].kind, FORWARD_SEND);
    assert_int_equal(crossed.item[0].packet->run, RECORD);
    assert_int_equal(crossed.item[0].packet->size, size);
    for (size_t at = 0; at < size; at += RECORD)
        assert_int_equal(crossed.item[0].packet->data[at + 2], RECORD_HOPS - 1);
    assert_int_equal(atomic_load(&c.transit[0].records), 11);
    assert_int_equal(atomic_load(&c.transit[0].bytes), size);
    assert_int_equal(atomic_load(&c.transit[0].used), c.g.now);
    side_carry(&crossed, &c.b, 'g', &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 10);
    assert_int_equal(outs_kind(&got, FORWARD_PUNT), 1);
    outs_free(&got);
    assert_int_equal(side_drops_all(&c.g) + side_drops_all(&c.b), 0);
    assert_int_equal(side_packets_out(&c.g), 0);
    chain_done(&c);
}

/* One record that may not go on does not keep the others back, nor go with them. */
static void test_gateway_with_exceptions(void **state)
{
    enum { HOPS, LABEL_GONE, HANDSHAKE, SHORT, EXCEPTIONS };
    static struct train t;
    uint8_t record[RECORD];
    struct chain c;
    chain_init(&c, &(struct side_settings){0}, 9000);
    for (unsigned what = 0; what < EXCEPTIONS; what++) {
        struct outs crossed = {0};
        for (unsigned i = 0; i < 5; i++) {
            make_record(&c.a, 1, RECORD, record);
            if (i == 2 && what == HOPS)
                record[2] = 0;
            if (i == 2 && what == LABEL_GONE)
                record[7] ^= 0x30; /* the generation */
            if (i == 2 && what == HANDSHAKE)
                record[0] = WIRE_OPEN;
            train_add(&t, record, i == 4 && what == SHORT ? 31 : RECORD);
        }
        train_deliver(&t, &c.g, 0, 'a', &crossed);
        assert_int_equal(outs_kind(&crossed, FORWARD_SEND), 4);
        assert_int_equal(outs_kind(&crossed, FORWARD_PUNT),
                         what == LABEL_GONE || what == HANDSHAKE);
        outs_free(&crossed);
    }
    assert_int_equal(side_drops(&c.g, DROP_HOP_LIMIT), 1);
    assert_int_equal(side_drops(&c.g, DROP_STALE_LABEL), 1);
    assert_int_equal(side_drops(&c.g, DROP_TRUNCATED), 1);
    assert_int_equal(side_drops_all(&c.g), 3);
    assert_int_equal(atomic_load(&c.transit[0].records), 16);
    chain_done(&c);
}

static void test_gateway_refuses_runs(void **state)
{
    static struct train t;
    struct chain c;
    struct outs crossed = {0};
    chain_init(&c, &(struct side_settings){0}, 200);
    for (unsigned i = 0; i < 4; i++)
        add_record(&t, &c.a, 1, RECORD);
    train_deliver(&t, &c.g, 0, 'z', &crossed);
    assert_int_equal(crossed.count, 0);
    assert_int_equal(side_drops(&c.g, DROP_WRONG_ENDPOINT), 4);
    for (unsigned i = 0; i < 4; i++)
        add_record(&t, &c.a, 1, RECORD);
    train_deliver(&t, &c.g, 0, 'a', &crossed);
    assert_int_equal(outs_kind(&crossed, FORWARD_PUNT), crossed.count);
    assert_int_equal(side_drops(&c.g, DROP_OVERSIZED), 4);
    outs_free(&crossed);
    chain_done(&c);
}

/* Where a neighbour's lanes may have ports of their own, those of lanes but the first are taken
 * from any port of its address; nobody else's are. */
static void test_gateway_and_ports_of_lanes(void **state)
{
    struct chain c;
    struct endpoint other_port = side_endpoint('a'), other_host = side_endpoint('z');
    other_port.port++;
    chain_init(&c, &(struct side_settings){.lanes = 4}, 9000);
    for (unsigned lane = 1; lane < 4; lane++) {
        uint16_t port = port_of_lane(&c.a, lane);
        for (unsigned i = 0; i < 4; i++) {
            uint8_t record[RECORD];
            struct outs crossed = {0};
            c.recipe[0]->from_any_port = i & 1;
            make_record(&c.a, port, RECORD, record);
            side_receive(&c.g, 0, i & 2 ? &other_host : &other_port, 0, record, RECORD, &crossed);
            assert_int_equal(crossed.count, lane > 1 && i == 1);
            outs_free(&crossed);
        }
    }
    assert_int_equal(side_drops(&c.g, DROP_WRONG_ENDPOINT), 10);
    chain_done(&c);
}

static struct recipe *over_recipe(char to)
{
    struct recipe *r = base_calloc(1, sizeof *r);
    struct endpoint remote = side_endpoint(to);
    recipe_begin(r);
    assert_true(recipe_add_prepend(r, "OVER", 4, NULL, 0));
    assert_true(recipe_add_send(r, 0, NULL, &remote, 0));
    r->mtu = 9000;
    return r;
}

/* The next tunnel puts something before each record: they stay a run, or become two where one would be too large. */
static void test_gateway_into_another_recipe(void **state)
{
    static struct train t;
    struct chain c;
    static const unsigned count[] = {4, 64};
    for (unsigned n = 0; n < 2; n++) {
        size_t size = n ? 1020 : RECORD; /* 64 of them are a run that has no room for more */
        struct outs crossed = {0};
        chain_init(&c, &(struct side_settings){0}, 9000);
        free(c.recipe[1]);
        c.recipe[1] = over_recipe('b');
        atomic_store(&c.tunnel[1].recipe, c.recipe[1]);
        for (unsigned i = 0; i < count[n]; i++)
            add_record(&t, &c.a, 1, size);
        train_deliver(&t, &c.g, 0, 'a', &crossed);
        assert_int_equal(crossed.count, n ? 2 : 1);
        unsigned records = 0;
        for (unsigned i = 0; i < crossed.count; i++) {
            const struct packet *p = crossed.item[i].packet;
            assert_true(p->size <= PACKET_RUN_SIZE);
            for (size_t at = 0; at < p->size; at += p->run ? p->run : p->size, records++)
                assert_memory_equal(p->data + at, "OVER\xC0", 5);
        }
        assert_int_equal(records, count[n]);
        outs_free(&crossed);
        assert_int_equal(side_packets_out(&c.g), 0);
        chain_done(&c);
    }
}

/* The tunnel before puts something before each record: it is taken off, and the run goes on. */
static void test_gateway_out_of_another_recipe(void **state)
{
    static const struct peel_table peel = {
        .count = 1,
        .peel = {{.first_low = 'O',
                  .first_high = 'O',
                  .count = 2,
                  .step = {{.verb = PEEL_STRIP, .size = 4, .compare = (const uint8_t *)"OVER"},
                           {.verb = PEEL_RECORD}}}}};
    static struct train t;
    uint8_t bytes[RECORD + 4] = "OVER";
    struct chain c;
    struct outs crossed = {0}, got = {0};
    chain_init(&c, &(struct side_settings){0}, 9000);
    fwd_socket_set(c.g.tables, 0, &peel);
    for (unsigned i = 0; i < 5; i++) {
        size_t size = i < 4 ? RECORD : 200; /* the last one is short */
        make_record(&c.a, 1, size, bytes + 4);
        train_add(&t, bytes, size + 4);
    }
    train_deliver(&t, &c.g, 0, 'a', &crossed);
    assert_int_equal(crossed.count, 1);
    assert_int_equal(crossed.item[0].packet->run, RECORD);
    assert_int_equal(crossed.item[0].packet->size, 4 * RECORD + 200);
    side_carry(&crossed, &c.b, 'g', &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 5);
    outs_free(&got);
    assert_int_equal(side_drops_all(&c.g) + side_drops_all(&c.b), 0);
    chain_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_goes_its_way),
        cmocka_unit_test(test_shedding),
        cmocka_unit_test(test_replays),
        cmocka_unit_test(test_moved),
        cmocka_unit_test(test_peeled),
        cmocka_unit_test(test_other_workers),
        cmocka_unit_test(test_gateway_keeps_the_run),
        cmocka_unit_test(test_gateway_with_exceptions),
        cmocka_unit_test(test_gateway_refuses_runs),
        cmocka_unit_test(test_gateway_and_ports_of_lanes),
        cmocka_unit_test(test_gateway_into_another_recipe),
        cmocka_unit_test(test_gateway_out_of_another_recipe),
    };
    return cmocka_run_group_tests_name("path_forward_run", tests, NULL, NULL);
}
