#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/worker_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/udp.h"
#include "tests/support/stream.h"

/* Super-packets through real sockets, lanes that leave by ports of their own and arrive at their
 * workers, and recipes that change under load. */

#define OTHER_SOCKET (SOCKET + 1)

static struct stream from_a(unsigned flow, bool six)
{
    return (struct stream){.source = six ? "fd00::61" : "10.0.0.97",
                           .destination = six ? "fd18::62" : "198.18.0.98",
                           .dont_fragment = true,
                           .source_port = (uint16_t)(4000 + flow),
                           .destination_port = 80,
                           .window = 100,
                           .flags = 0x18,
                           .payload = 50000,
                           .segment = 1200,
                           .open = true};
}

static void send_stream(int fd, const struct stream *s)
{
    static uint8_t packet[PACKET_SIZE];
    struct packet_offload offload;
    size_t size = stream_super(packet, s, &offload);
    io_program_send_raw(fd, packet, size, &offload);
}

static void assert_no_drops(const struct io_host *h)
{
    struct drop_counters drops = {0}, none = {0};
    for (unsigned i = 0; i < h->workers; i++)
        worker_drops(h->worker[i], &drops);
    assert_memory_equal(&drops, &none, sizeof drops);
}

static void test_super_packets(void **state)
{
    static uint8_t packet[PACKET_SIZE], expected[PACKET_SIZE];
    struct io_host a, b;
    io_pair_init(&a, &b, 1, 1);
    unsigned records = 0;
    for (unsigned i = 0; i < 20; i++) {
        bool six = i & 1;
        struct stream s = from_a(i, six);
        struct packet_offload offload, wanted;
        s.udp = i & 2;
        s.payload -= i * 777;
        records += stream_count(&s);
        send_stream(a.program[0], &s);
        io_turn_until(&a, &b, b.program[0]);
        s.source = six ? "fd18::61" : "198.18.0.97";
        s.destination = six ? "fd00::62" : "10.0.0.98";
        s.ttl = 63;
        size_t size = stream_super(expected, &s, &wanted);
        assert_int_equal(io_program_receive(b.program[0], packet, sizeof packet, &offload), size);
        assert_memory_equal(packet, expected, size);
        assert_int_equal(offload.gso, wanted.gso);
        assert_int_equal(offload.gso_size, wanted.gso_size);
    }
    struct worker_load load;
    worker_load(a.worker[0], &load);
    assert_int_equal(load.capture_in, 20);
    assert_int_equal(load.underlay_out, records);
    worker_load(b.worker[0], &load);
    assert_int_equal(load.underlay_in, records);
    assert_int_equal(load.capture_out, 20);
    assert_no_drops(&a);
    assert_no_drops(&b);
    io_host_done(&a);
    io_host_done(&b);
}

/* ---- ports of lanes ---- */

/* As the daemon does it: records to their lane's worker, lanes but the first by their own port. */
static void give_ports(struct io_host *h)
{
    udp_steer(worker_socket(h->worker[0], SOCKET), h->workers);
    for (unsigned i = 0; i < h->workers; i++) {
        struct endpoint at = {.ip = h->at.ip};
        if (i != 1)
            assert_int_equal(worker_lane_socket_set(h->worker[i], SOCKET, udp_open(&at, false)), 0);
    }
    h->side.recipe->ports_free = true;
    h->side.recipe->from_any_port = true;
}

static void poll_all(struct io_host *h)
{
    for (unsigned i = 0; i < h->workers; i++)
        worker_poll(h->worker[i], clock_now(), 4);
}

static void test_lanes_go_straight(void **state)
{
    enum { FLOWS = 40 };
    struct io_host a, b;
    struct worker_punt punt;
    struct worker_load load;
    io_pair_init(&a, &b, 2, 3);
    give_ports(&a);
    give_ports(&b);
    unsigned got = 0;
    for (unsigned i = 0; i < FLOWS; i++) {
        struct craft c = io_craft_from_a(4000 + i, 100);
        io_program_send(a.program[0], &c);
    }
    for (unsigned round = 0; round < 5000 && got < FLOWS; round++) {
        uint8_t packet[300];
        poll_all(&a);
        poll_all(&b);
        for (unsigned i = 0; i < 3; i++) {
            for (; io_readable(b.program[i], 0); got++)
                io_program_receive(b.program[i], packet, sizeof packet, NULL);
        }
    }
    assert_int_equal(got, FLOWS);
    /* Whoever received a record also gave it to the programs: nothing was handed over. */
    unsigned used = 0;
    for (unsigned i = 0; i < 3; i++) {
        worker_load(b.worker[i], &load);
        assert_int_equal(load.underlay_in, load.capture_out);
        used += load.underlay_in > 0;
        /* A lane's own port is no place that the neighbour has moved to. */
        assert_false(worker_punt_next(b.worker[i], &punt));
    }
    assert_int_equal(used, 3);
    assert_no_drops(&a);
    assert_no_drops(&b);
    io_host_done(&a);
    io_host_done(&b);
}

/* The port that a record of lane `lane` comes from. */
static uint16_t port_of(struct io_host *a, int peer, unsigned lane)
{
    uint8_t record[300];
    struct sockaddr_in from;
    for (unsigned i = 0; i < 200; i++) {
        struct craft c = io_craft_from_a(5000 + i, 100);
        io_program_send(a->program[0], &c);
        poll_all(a);
        poll_all(a); /* after a hand-over */
        assert_true(io_readable(peer, 5000));
        socklen_t size = sizeof from;
        assert_true(recvfrom(peer, record, sizeof record, 0, (struct sockaddr *)&from, &size) > 0);
        if ((record[7] & 15) == lane)
            return ntohs(from.sin_port);
    }
    fail();
    return 0;
}

static void test_which_port(void **state)
{
    struct io_host a;
    struct endpoint at = {.ip = side_address("127.0.0.1")};
    int peer = udp_open(&at, false);
    assert_true(udp_local(peer, &at));
    io_host_init(&a, 'a', 'b', 2);
    struct io_host there = {.at = at};
    io_host_meet(&a, &there);
    for (unsigned lane = 1; lane < 6; lane++) /* nobody said that ports are free */
        assert_int_equal(port_of(&a, peer, lane), a.at.port);
    give_ports(&a);
    assert_int_equal(port_of(&a, peer, 1), a.at.port);
    assert_int_equal(port_of(&a, peer, 3), a.at.port); /* worker 1 has no other */
    assert_int_not_equal(port_of(&a, peer, 2), a.at.port);
    assert_int_equal(port_of(&a, peer, 4), port_of(&a, peer, 2));
    a.side.recipe->ports_free = false;
    assert_int_equal(port_of(&a, peer, 2), a.at.port);
    close(peer);
    io_host_done(&a);
}

/* ---- under load ---- */

static void retire_recipe(void *recipe)
{
    free(recipe);
}

/* Another recipe: to the other socket of the peer than the last. */
static void change_recipe(struct io_host *a, const struct endpoint *to)
{
    struct recipe *fresh = base_calloc(1, sizeof *fresh);
    recipe_begin(fresh);
    assert_true(recipe_add_send(fresh, SOCKET, &(struct endpoint){0}, to, 0));
    fresh->mtu = 1400;
    struct recipe *old = a->side.recipe;
    a->side.recipe = fresh;
    atomic_store(&a->side.tunnel.recipe, fresh);
    epoch_retire(a->side.epoch, old, retire_recipe);
    epoch_collect(a->side.epoch);
}

static void test_recipe_changes_under_load(void **state)
{
    enum { PACKETS = 20000, AHEAD = 64, EACH = 10 };
    static bool seen[PACKETS];
    struct io_host a, b;
    io_pair_init(&a, &b, 1, 1);
    struct endpoint place[2] = {b.at, {.ip = b.at.ip}};
    int fd = udp_open(&place[1], false);
    assert_true(udp_local(fd, &place[1]));
    assert_int_equal(worker_socket_set(b.worker[0], OTHER_SOCKET, fd), 0);
    assert_int_equal(worker_start_thread(a.worker[0]), 0);
    assert_int_equal(worker_start_thread(b.worker[0]), 0);
    memset(seen, 0, sizeof seen);
    unsigned sent = 0, got = 0;
    while (got < PACKETS) {
        for (; sent < PACKETS && sent - got < AHEAD; sent++) {
            struct craft c = io_craft_from_a(4000 + sent % 7, 60);
            uint8_t payload[60] = {(uint8_t)(sent >> 16), (uint8_t)(sent >> 8), (uint8_t)sent};
            c.payload = payload;
            io_program_send(a.program[0], &c);
            if (sent % EACH == 0)
                change_recipe(&a, &place[sent / EACH % 2]);
        }
        uint8_t packet[300];
        assert_true(io_readable(b.program[0], 10000));
        assert_int_equal(io_program_receive(b.program[0], packet, sizeof packet, NULL), 88);
        unsigned number = (unsigned)packet[28] << 16 | (unsigned)packet[29] << 8 | packet[30];
        assert_true(number < sent && !seen[number]);
        seen[number] = true;
        got++;
    }
    struct worker_load load;
    worker_load(b.worker[0], &load);
    assert_int_equal(load.underlay_in, PACKETS);
    worker_stop(a.worker[0]);
    worker_stop(b.worker[0]);
    assert_no_drops(&a);
    assert_no_drops(&b);
    io_host_done(&a);
    io_host_done(&b);
}

/* ---- overload ---- */

static size_t make_control(struct io_host *a, uint8_t *out)
{
    struct forward_out sealed;
    enum drop_reason reason;
    struct packet *p = packet_take(a->side.pool[0]);
    p->size = 300;
    memset(p->data, 'c', p->size);
    assert_true(forward_seal(&a->side.path, a->side.path.lane[0], RECORD_KIND_CONTROL, 1, p,
                             &sealed, &reason));
    size_t size = p->size;
    memcpy(out, p->data, size);
    packet_give_back(p);
    return size;
}

/* Three times as much arrives as b gets round to: for every turn that it has, three batches.  All
 * of what control says gets through, because data is dropped before the kernel's queue is full. */
static void test_control_lives_under_overload(void **state)
{
    enum { TURNS = 400, BURST = 3 * UDP_BATCH, DATAGRAM = 1300 };
    static uint8_t data[DATAGRAM], control[400];
    struct io_host a, b;
    struct worker_punt punt;
    struct drop_counters drops = {0};
    int small = 2 * 1024 * 1024;
    io_pair_init(&a, &b, 1, 1);
    setsockopt(worker_socket(b.worker[0], SOCKET), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct endpoint none = {0};
    unsigned said = 0, heard = 0;
    struct craft c = io_craft_from_a(4000, DATAGRAM - RECORD_OVERHEAD - 28);
    uint8_t packet[DATAGRAM];
    size_t size = craft_packet(packet, &c);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        for (unsigned i = 0; i < BURST; i++) {
            struct record_sealer *sealer = atomic_load(&a.side.path.lane[1]->sealer);
            record_seal_to(sealer, packet, size, RECORD_KIND_IPV4, a.side.path.label_out | 1, data);
            assert_int_equal(worker_send(a.worker[0], SOCKET, &none, &b.at, 0, data, sizeof data),
                             0);
        }
        size_t length = make_control(&a, control);
        assert_int_equal(worker_send(a.worker[0], SOCKET, &none, &b.at, 0, control, length), 0);
        said++;
        worker_poll(b.worker[0], clock_now(), 1);
        while (worker_punt_next(b.worker[0], &punt))
            heard += punt.out.punt == PUNT_CONTROL;
        while (io_readable(b.program[0], 0))
            io_program_receive(b.program[0], data, sizeof data, NULL);
    }
    for (unsigned i = 0; i < 5000 && io_readable(worker_fd(b.worker[0]), 0); i++) {
        worker_poll(b.worker[0], clock_now(), 1);
        while (worker_punt_next(b.worker[0], &punt))
            heard += punt.out.punt == PUNT_CONTROL;
        while (io_readable(b.program[0], 0))
            io_program_receive(b.program[0], data, sizeof data, NULL);
    }
    struct worker_load load;
    worker_load(b.worker[0], &load);
    worker_drops(b.worker[0], &drops);
    assert_int_equal(heard, said);
    assert_int_equal(load.underlay_in, TURNS * (BURST + 1));
    assert_true(drops.packets[DROP_OVERLOAD] > TURNS * BURST / 4);
    assert_int_equal(load.capture_out + drops.packets[DROP_OVERLOAD], TURNS * BURST);
    io_host_done(&a);
    io_host_done(&b);
}

/* ---- threads ---- */

/* Several flows in super-packets through unequal numbers of workers: each flow arrives whole and in
 * order, wherever the kernel put it in. */
static void test_streams_in_threads(void **state)
{
    enum { FLOWS = 6, EACH = 40 };
    struct io_host a, b;
    io_pair_init(&a, &b, 3, 2);
    give_ports(&a);
    give_ports(&b);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(worker_start_thread(a.worker[i]), 0);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(worker_start_thread(b.worker[i]), 0);
    static uint8_t packet[PACKET_SIZE];
    uint32_t next[FLOWS] = {0};
    for (unsigned i = 0; i < FLOWS * EACH; i++) {
        struct stream s = from_a(i % FLOWS, false);
        s.sequence = i / FLOWS * (uint32_t)s.payload;
        s.id = (uint16_t)s.sequence;
        send_stream(a.program[i % 3], &s); /* a flow enters by several queues, too */
        /* One super-packet of the flow is on its way at a time: between queues there is no order.
         */
        uint32_t wanted = s.sequence + (uint32_t)s.payload;
        while (next[i % FLOWS] != wanted) {
            struct pollfd p[2] = {{.fd = b.program[0], .events = POLLIN},
                                  {.fd = b.program[1], .events = POLLIN}};
            assert_true(poll(p, 2, 10000) > 0);
            for (unsigned j = 0; j < 2; j++) {
                if (!(p[j].revents & POLLIN))
                    continue;
                size_t size = io_program_receive(b.program[j], packet, sizeof packet, NULL);
                unsigned flow = (unsigned)(packet[20] << 8 | packet[21]) - 4000;
                uint32_t sequence = (uint32_t)packet[24] << 24 | (uint32_t)packet[25] << 16 |
                                    (uint32_t)packet[26] << 8 | packet[27];
                assert_true(flow < FLOWS);
                assert_int_equal(sequence, next[flow]);
                next[flow] += (uint32_t)size - 40;
            }
        }
    }
    assert_no_drops(&a);
    assert_no_drops(&b);
    io_host_done(&a);
    io_host_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_super_packets),
        cmocka_unit_test(test_lanes_go_straight),
        cmocka_unit_test(test_which_port),
        cmocka_unit_test(test_recipe_changes_under_load),
        cmocka_unit_test(test_control_lives_under_overload),
        cmocka_unit_test(test_streams_in_threads),
    };
    return cmocka_run_group_tests_name("io_worker_lanes", tests, NULL, NULL);
}
