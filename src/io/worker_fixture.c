#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/worker_fixture.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/vnet.h"
#include "io/clock.h"
#include "io/udp.h"

void io_host_init(struct io_host *h, char letter, char peer, unsigned workers)
{
    struct side_settings settings = {.workers = workers, .lanes = workers > 1 ? 6 : 2};
    memset(h, 0, sizeof *h);
    side_init(&h->side, letter, peer, &settings);
    h->workers = workers;
    h->at = (struct endpoint){.ip = side_address("127.0.0.1")};
    for (unsigned i = 0; i < workers; i++) {
        int pair[2];
        int buffer = 4 * 1024 * 1024;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
        for (unsigned end = 0; end < 2; end++)
            setsockopt(pair[end], SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
        h->program[i] = pair[1];
        struct worker_settings s = {.forward = {.worker = i,
                                                .workers = workers,
                                                .tun_mtu = 1400,
                                                .seal_checksums_open = true,
                                                .merge_tcp = true,
                                                .merge_udp = true,
                                                .flows = 1024,
                                                .entropy = &h->side.seeded.entropy},
                                    .epoch = h->side.epoch,
                                    .tables = h->side.tables,
                                    .tun = pair[0]};
        h->worker[i] = worker_new(&s);
        assert_non_null(h->worker[i]);
        int fd = udp_open(&h->at, workers > 1);
        assert_true(fd >= 0);
        assert_true(udp_local(fd, &h->at));
        assert_int_equal(worker_socket_set(h->worker[i], SOCKET, fd), 0);
        assert_int_equal(worker_socket(h->worker[i], SOCKET), fd);
    }
    worker_join(h->worker, workers);
}

void io_host_done(struct io_host *h)
{
    for (unsigned i = 0; i < h->workers; i++)
        worker_stop(h->worker[i]);
    for (unsigned i = 0; i < h->workers; i++) {
        worker_free(h->worker[i]);
        close(h->program[i]);
    }
    epoch_collect(h->side.epoch);
    side_done(&h->side);
}

void io_host_meet(struct io_host *h, const struct io_host *peer)
{
    struct recipe *r = base_calloc(1, sizeof *r);
    recipe_begin(r);
    assert_true(recipe_add_send(r, SOCKET, &(struct endpoint){0}, &peer->at, 0));
    r->mtu = 1400;
    r->from = peer->at;
    atomic_store(&h->side.tunnel.recipe, r);
    free(h->side.recipe);
    h->side.recipe = r;
}

void io_pair_init(struct io_host *a, struct io_host *b, unsigned workers_a, unsigned workers_b)
{
    io_host_init(a, 'a', 'b', workers_a);
    io_host_init(b, 'b', 'a', workers_b);
    io_host_meet(a, b);
    io_host_meet(b, a);
}

bool io_readable(int fd, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, wait_ms) == 1;
}

void io_turn_until(struct io_host *a, struct io_host *b, int fd)
{
    for (unsigned i = 0; i < 5000 && !io_readable(fd, 0); i++) {
        worker_poll(a->worker[0], clock_now(), 4);
        worker_poll(b->worker[0], clock_now(), 4);
        struct pollfd p[3] = {{.fd = fd, .events = POLLIN},
                              {.fd = worker_fd(a->worker[0]), .events = POLLIN},
                              {.fd = worker_fd(b->worker[0]), .events = POLLIN}};
        poll(p, 3, 1000);
    }
    assert_true(io_readable(fd, 0));
}

struct craft io_craft_from_a(unsigned port, size_t size)
{
    return (struct craft){.source = "10.0.0.97",
                          .destination = "198.18.0.98",
                          .protocol = IP_UDP,
                          .source_port = (uint16_t)port,
                          .destination_port = 53,
                          .payload_size = size};
}

void io_program_send_raw(int fd, const void *packet, size_t size,
                         const struct packet_offload *offload)
{
    static uint8_t bytes[VNET_HEADER_SIZE + 70000];
    assert_int_equal(capture_vnet_build(offload, size, bytes), 0);
    memcpy(bytes + VNET_HEADER_SIZE, packet, size);
    assert_int_equal(write(fd, bytes, VNET_HEADER_SIZE + size), VNET_HEADER_SIZE + size);
}

void io_program_send(int fd, const struct craft *c)
{
    static uint8_t packet[70000];
    io_program_send_raw(fd, packet, craft_packet(packet, c), &(struct packet_offload){0});
}

size_t io_program_receive(int fd, uint8_t *packet, size_t room, struct packet_offload *ret)
{
    static uint8_t bytes[VNET_HEADER_SIZE + 70000];
    struct packet_offload offload;
    ssize_t size = read(fd, bytes, sizeof bytes);
    assert_true(size > VNET_HEADER_SIZE && (size_t)size - VNET_HEADER_SIZE <= room);
    memcpy(packet, bytes + VNET_HEADER_SIZE, (size_t)size - VNET_HEADER_SIZE);
    assert_int_equal(
        capture_vnet_parse(bytes, packet, (size_t)size - VNET_HEADER_SIZE, ret ? ret : &offload),
        0);
    return (size_t)size - VNET_HEADER_SIZE;
}

void io_assert_received(int fd, const struct craft *c)
{
    static uint8_t packet[70000], expected[70000];
    struct craft there = *c;
    there.source = "198.18.0.97";
    there.destination = "10.0.0.98";
    there.ttl = 63;
    size_t size = craft_packet(expected, &there);
    assert_int_equal(io_program_receive(fd, packet, sizeof packet, NULL), size);
    assert_memory_equal(packet, expected, size);
}
