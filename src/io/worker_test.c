#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/worker_fixture.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/parcel.h"
#include "io/udp.h"

/* One worker and several, with real sockets over loopback. */

static void test_polled(void **state)
{
    struct io_host a, b;
    io_pair_init(&a, &b, 1, 1);
    static const size_t sizes[] = {0, 100, 1300, 5000, 65000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct craft c = io_craft_from_a(4000, sizes[i]);
        io_program_send(a.program[0], &c);
        io_turn_until(&a, &b, b.program[0]);
        io_assert_received(b.program[0], &c);
    }
    struct worker_load load;
    worker_load(a.worker[0], &load);
    assert_int_equal(load.capture_in, 5);
    assert_true(load.underlay_out > 50);
    assert_true(load.busy > 0 && load.rounds >= load.busy);
    worker_load(b.worker[0], &load);
    assert_int_equal(load.capture_out, 5);
    assert_true(worker_deadline(a.worker[0]) == INSTANT_NEVER);
    struct drop_counters drops = {0}, none = {0};
    worker_drops(a.worker[0], &drops);
    worker_drops(b.worker[0], &drops);
    assert_memory_equal(&drops, &none, sizeof drops);
    assert_false(worker_poll(a.worker[0], clock_now(), 4));
    assert_false(io_readable(worker_fd(a.worker[0]), 0));
    io_host_done(&a);
    io_host_done(&b);
}

/* Punted, given back, sent. */
static void test_punted_and_injected(void **state)
{
    struct io_host a, b;
    struct worker_punt punt;
    io_pair_init(&a, &b, 1, 1);
    struct craft small = io_craft_from_a(4000, 100), large = io_craft_from_a(4001, 30000);
    atomic_store(&a.side.handle.path, NULL);
    io_program_send(a.program[0], &small);
    io_program_send(a.program[0], &large);
    worker_poll(a.worker[0], clock_now(), 4);
    atomic_store(&a.side.handle.path, &a.side.path);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(worker_punt_next(a.worker[0], &punt));
        assert_int_equal(punt.kind, WORKER_PUNT);
        assert_int_equal(punt.out.kind, FORWARD_PUNT);
        assert_int_equal(punt.out.punt, PUNT_NEED_PATH);
        assert_int_equal(punt.out.id, a.side.handle.id);
        assert_true(punt.out.from_capture);
        assert_int_equal(punt.out.packet->size, i ? 30028 : 128);
        assert_true(worker_inject_captured(a.worker[0], punt.out.packet->data,
                                           punt.out.packet->size, &punt.out.packet->offload));
    }
    assert_false(worker_punt_next(a.worker[0], &punt));
    assert_true(io_readable(worker_fd(a.worker[0]), 0));
    io_turn_until(&a, &b, b.program[0]);
    io_assert_received(b.program[0], &small);
    io_turn_until(&a, &b, b.program[0]);
    io_assert_received(b.program[0], &large);

    /* A record that finds no key waits with control, too. */
    struct lane *lane = atomic_exchange(&b.side.path.lane[1], NULL);
    io_program_send(a.program[0], &small);
    worker_poll(a.worker[0], clock_now(), 4);
    assert_true(io_readable(worker_fd(b.worker[0]), 5000));
    worker_poll(b.worker[0], clock_now(), 4);
    assert_true(worker_punt_next(b.worker[0], &punt));
    assert_int_equal(punt.out.punt, PUNT_NEED_KEY);
    assert_int_equal(punt.out.packet->arrival.socket, SOCKET);
    assert_true(endpoint_equal(&punt.out.packet->arrival.remote, &a.at));
    atomic_store(&b.side.path.lane[1], lane);
    assert_true(worker_inject_record(b.worker[0], punt.out.packet->data, punt.out.packet->size,
                                     &punt.out.packet->arrival));
    io_turn_until(&a, &b, b.program[0]);
    io_assert_received(b.program[0], &small);
    io_host_done(&a);
    io_host_done(&b);
}

static void test_control_sends(void **state)
{
    struct io_host a, b;
    struct worker_punt punt;
    static uint8_t large[65508];
    uint8_t packet[200], expected[200];
    io_pair_init(&a, &b, 1, 1);
    struct endpoint none = {0};
    uint8_t hello[40] = {WIRE_OPEN, 1, 2};
    assert_int_equal(worker_send(a.worker[0], SOCKET, &none, &b.at, 1, hello, sizeof hello), 0);
    assert_int_equal(worker_send(a.worker[0], SOCKET + 1, &none, &b.at, 0, hello, 1), -ENOTCONN);
    assert_int_equal(worker_send(a.worker[0], SOCKET, &none, &b.at, 0, large, sizeof large),
                     -EMSGSIZE);
    assert_true(io_readable(worker_fd(b.worker[0]), 5000));
    worker_poll(b.worker[0], clock_now(), 1);
    assert_true(worker_punt_next(b.worker[0], &punt));
    assert_int_equal(punt.out.punt, PUNT_HANDSHAKE);
    assert_int_equal(punt.out.packet->size, sizeof hello);
    assert_int_equal(punt.out.packet->arrival.ecn, 1);
    assert_memory_equal(punt.out.packet->data, hello, sizeof hello);

    struct craft c = io_craft_from_a(1, 10);
    size_t size = craft_packet(expected, &c);
    assert_int_equal(worker_capture_write(a.worker[0], expected, size, NULL), 0);
    assert_int_equal(io_program_receive(a.program[0], packet, sizeof packet, NULL), size);
    assert_memory_equal(packet, expected, size);
    io_host_done(&a);
    io_host_done(&b);
}

/* A datagram that the interface cannot carry comes back, with where it should have gone. */
static void test_oversized_is_reported(void **state)
{
    struct io_host a, b;
    struct worker_punt punt;
    io_pair_init(&a, &b, 1, 1);
    a.side.recipe->mtu = 65535;
    atomic_store(&a.side.path.record_mtu, 65535);
    struct craft c = io_craft_from_a(4000, 65535 - 28 - RECORD_OVERHEAD);
    io_program_send(a.program[0], &c);
    worker_poll(a.worker[0], clock_now(), 4);
    assert_true(worker_punt_next(a.worker[0], &punt));
    assert_int_equal(punt.kind, WORKER_OVERSIZED);
    assert_int_equal(punt.out.socket, SOCKET);
    assert_int_equal(punt.out.packet->size, 65535);
    assert_int_equal(punt.out.packet->data[0], WIRE_RECORD);
    assert_true(endpoint_equal(&punt.out.remote, &b.at));
    io_host_done(&a);
    io_host_done(&b);
}

static void test_sockets_come_and_go(void **state)
{
    struct io_host a, b;
    io_pair_init(&a, &b, 1, 1);
    struct craft c = io_craft_from_a(4000, 100);
    worker_socket_clear(a.worker[0], SOCKET);
    assert_int_equal(worker_socket(a.worker[0], SOCKET), -1);
    io_program_send(a.program[0], &c);
    worker_poll(a.worker[0], clock_now(), 4);
    struct drop_counters drops = {0};
    worker_drops(a.worker[0], &drops);
    assert_int_equal(drops.packets[DROP_SEND_FAILED], 1);
    assert_int_equal(epoch_collect(a.side.epoch), 0);
    for (unsigned i = 0; i < 3; i++) {
        struct endpoint any = {.ip = side_address("127.0.0.1")};
        assert_int_equal(worker_socket_set(a.worker[0], SOCKET, udp_open(&any, false)), 0);
        io_program_send(a.program[0], &c);
        io_turn_until(&a, &b, b.program[0]);
        io_assert_received(b.program[0], &c);
    }
    assert_int_equal(worker_socket_set(a.worker[0], WORKER_SOCKETS_MAX, dup(0)), -EINVAL);
    assert_int_equal(worker_socket(a.worker[0], WORKER_SOCKETS_MAX), -1);
    io_host_done(&a);
    io_host_done(&b);
}

/* What does not fit the rings is counted. */
static void test_full_rings(void **state)
{
    struct io_host a, b;
    struct worker_punt punt;
    io_pair_init(&a, &b, 1, 1);
    uint8_t hello[1] = {WIRE_OPEN};
    struct endpoint none = {0};
    unsigned sent = 600, punted = 0;
    for (unsigned i = 0; i < sent; i++)
        assert_int_equal(worker_send(a.worker[0], SOCKET, &none, &b.at, 0, hello, 1), 0);
    while (io_readable(worker_fd(b.worker[0]), 100))
        worker_poll(b.worker[0], clock_now(), 4);
    /* Handshakes of strangers leave room for what peers say. */
    uint8_t record[100] = {0};
    struct packet *p = packet_take(a.side.pool[0]);
    struct forward_out out;
    enum drop_reason reason;
    for (unsigned i = 0; i < 10; i++) {
        assert_true(packet_fill(p, record, 50));
        assert_true(forward_seal(&a.side.path, a.side.path.lane[0], RECORD_KIND_CONTROL, 1, p, &out,
                                 &reason));
        assert_int_equal(worker_send(a.worker[0], SOCKET, &none, &b.at, 0, p->data, p->size), 0);
    }
    packet_give_back(p);
    assert_true(io_readable(worker_fd(b.worker[0]), 5000));
    worker_poll(b.worker[0], clock_now(), 4);
    while (worker_punt_next(b.worker[0], &punt))
        punted++;
    struct drop_counters drops = {0};
    worker_drops(b.worker[0], &drops);
    assert_int_equal(punted, 256 / 2 + 10);
    assert_int_equal(drops.packets[DROP_RING_FULL], sent - 256 / 2);

    struct craft c = io_craft_from_a(4000, 100);
    uint8_t packet[200];
    size_t size = craft_packet(packet, &c);
    unsigned injected = 0;
    while (worker_inject_captured(a.worker[0], packet, size, NULL))
        injected++;
    assert_int_equal(injected, 256);
    /* More than one batch: the worker keeps its fd readable until all are done. */
    unsigned received = 0;
    for (unsigned i = 0; i < 1000 && received < injected; i++) {
        if (io_readable(worker_fd(a.worker[0]), 0))
            worker_poll(a.worker[0], clock_now(), 1);
        if (io_readable(worker_fd(b.worker[0]), 10))
            worker_poll(b.worker[0], clock_now(), 1);
        for (; io_readable(b.program[0], 0); received++)
            io_assert_received(b.program[0], &c);
    }
    assert_int_equal(received, injected);
    io_host_done(&a);
    io_host_done(&b);
}

/* Threads of their own, several queues and sockets: all flows arrive, whole and in order, and what
 * cannot be decided rings control's bell. */
static void test_threads(void **state)
{
    enum { FLOWS = 12, EACH = 50 };
    struct io_host a, b;
    io_pair_init(&a, &b, 2, 3);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(worker_start_thread(a.worker[i]), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(worker_start_thread(b.worker[i]), 0);
    unsigned next[FLOWS] = {0};
    for (unsigned i = 0; i < FLOWS * EACH; i++) {
        struct craft c = io_craft_from_a(4000 + i % FLOWS, 200);
        uint8_t payload[200] = {(uint8_t)(i / FLOWS)};
        c.payload = payload;
        io_program_send(a.program[i % FLOWS % 2], &c);
        struct pollfd p[3];
        for (unsigned j = 0; j < 3; j++)
            p[j] = (struct pollfd){.fd = b.program[j], .events = POLLIN};
        assert_true(poll(p, 3, 5000) > 0);
        for (unsigned j = 0; j < 3; j++) {
            uint8_t packet[300];
            if (!(p[j].revents & POLLIN))
                continue;
            assert_int_equal(io_program_receive(b.program[j], packet, sizeof packet, NULL), 228);
            unsigned flow = (unsigned)(packet[20] << 8 | packet[21]) - 4000;
            assert_true(flow < FLOWS);
            assert_int_equal(packet[28], next[flow]);
            next[flow]++;
        }
    }
    for (unsigned i = 0; i < FLOWS; i++)
        assert_int_equal(next[i], EACH);

    uint8_t hello[40] = {WIRE_OPEN};
    struct worker_punt punt;
    assert_int_equal(worker_send(b.worker[0], SOCKET, &(struct endpoint){0}, &a.at, 0, hello, 40),
                     0);
    struct pollfd bells[2] = {{.fd = worker_punt_fd(a.worker[0]), .events = POLLIN},
                              {.fd = worker_punt_fd(a.worker[1]), .events = POLLIN}};
    assert_int_equal(poll(bells, 2, 5000), 1);
    struct worker *w = a.worker[bells[0].revents ? 0 : 1];
    assert_true(worker_punt_next(w, &punt));
    assert_int_equal(punt.out.punt, PUNT_HANDSHAKE);
    assert_false(worker_punt_next(w, &punt));
    assert_false(io_readable(worker_punt_fd(w), 0));
    io_host_done(&a);
    io_host_done(&b);
}

static void test_lost_tun(void **state)
{
    struct io_host a;
    struct worker_punt punt;
    io_host_init(&a, 'a', 'b', 1);
    struct worker_settings s = {
        .forward = {.workers = 1, .flows = 16, .entropy = &a.side.seeded.entropy},
        .epoch = a.side.epoch,
        .tables = a.side.tables};
    /* Something that epoll takes and that cannot be read: the end of a pipe for writing. */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    s.tun = ends[1];
    struct worker *w = worker_new(&s);
    assert_non_null(w);
    worker_poll(w, clock_now(), 4);
    assert_true(worker_punt_next(w, &punt));
    assert_int_equal(punt.kind, WORKER_GONE);
    assert_int_equal(punt.error, -EBADF);
    assert_false(worker_punt_next(w, &punt));
    assert_false(worker_poll(w, clock_now(), 4));
    worker_free(w);
    /* What epoll does not take is refused at once. */
    s.tun = 12345;
    assert_null(worker_new(&s));
    assert_int_equal(errno, EBADF);
    worker_free(NULL);
    io_host_done(&a);
}

static void test_parcels(void **state)
{
    static uint8_t bytes[PACKET_SIZE];
    struct parcel_ring *r = parcel_ring_new(4, 2);
    const uint8_t *got;
    static const size_t sizes[] = {0, PARCEL_SMALL, PARCEL_SMALL + 1, PACKET_SIZE};
    assert_null(parcel_peek(r, &got));
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 4; i++) {
            struct parcel head = {.kind = (uint8_t)i, .size = sizes[i]};
            memset(bytes, (int)(round * 4 + i), sizes[i]);
            assert_true(parcel_put(r, &head, bytes));
        }
        struct parcel more = {.size = 1}, huge = {.size = PACKET_SIZE + 1};
        assert_false(parcel_put(r, &more, bytes));
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(parcel_used(r), 4 - i);
            const struct parcel *p = parcel_peek(r, &got);
            assert_non_null(p);
            assert_int_equal(p->kind, i);
            assert_int_equal(p->size, sizes[i]);
            memset(bytes, (int)(round * 4 + i), sizes[i]);
            assert_memory_equal(got, bytes, sizes[i]);
            parcel_release(r);
        }
        assert_int_equal(parcel_used(r), 0);
        assert_false(parcel_put(r, &huge, bytes));
    }
    struct parcel large = {.size = PARCEL_SMALL + 1};
    assert_true(parcel_put(r, &large, bytes));
    assert_true(parcel_put(r, &large, bytes));
    assert_false(parcel_put(r, &large, bytes)); /* only so many large ones */
    parcel_ring_free(r);
    parcel_ring_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_polled),
        cmocka_unit_test(test_punted_and_injected),
        cmocka_unit_test(test_control_sends),
        cmocka_unit_test(test_oversized_is_reported),
        cmocka_unit_test(test_sockets_come_and_go),
        cmocka_unit_test(test_full_rings),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_lost_tun),
        cmocka_unit_test(test_parcels),
    };
    return cmocka_run_group_tests_name("io_worker", tests, NULL, NULL);
}
