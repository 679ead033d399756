#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/clock.h"
#include "io/entropy.h"
#include "io/udp.h"

/* Real sockets over loopback. */

static struct endpoint endpoint(const char *text, uint16_t port)
{
    struct endpoint e;
    require(endpoint_parse(text, port ? port : 1, &e));
    e.port = port;
    return e;
}

static int opened(const char *text, struct endpoint *ret_at)
{
    struct endpoint at = endpoint(text, 0);
    int fd = udp_open(&at, false);
    assert_true(fd >= 0);
    assert_true(udp_local(fd, ret_at));
    assert_true(ret_at->port > 0);
    return fd;
}

/* Waits until something is there; loopback delivers at once, but not before send returns. */
static unsigned receive(int fd, struct packet_pool *pool, struct packet **batch,
                        struct drop_counters *drops)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    if (poll(&poll_fd, 1, 5000) <= 0)
        return 0;
    return udp_receive(fd, 9, pool, batch, UDP_BATCH, drops);
}

static struct forward_out output(struct packet_pool *pool, const struct endpoint *local,
                                 const struct endpoint *remote, uint8_t tos, size_t size)
{
    struct forward_out out = {.kind = FORWARD_SEND, .remote = *remote, .tos = tos};
    if (local)
        out.local = *local;
    out.packet = packet_take(pool);
    require(out.packet);
    memset(out.packet->data, 'x', size);
    out.packet->size = size;
    return out;
}

struct way {
    const char *from, *to; /* bound to                      */
    const char *target;    /* where it is sent              */
    const char *source;    /* where it comes from           */
};

static const struct way ways[] = {
    {"127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1"},
    {"0.0.0.0", "0.0.0.0", "127.0.0.5", "127.0.0.7"},
    {"::", "::", "127.0.0.5", "127.0.0.7"},
    {"::", "::", "::1", "::1"},
    {"::1", "::1", "::1", "::1"},
    {"0.0.0.0", "::", "127.0.0.3", "127.0.0.4"},
    {"::", "0.0.0.0", "127.0.0.3", "127.0.0.4"},
};

/* Contents, ECN, and both addresses arrive, in order, whatever kind of socket it is. */
static void test_ways(void **state)
{
    struct drop_counters drops = {0};
    struct packet_pool *pool = packet_pool_new(200);
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct endpoint a, b, source = endpoint(ways[i].source, 0);
        int from = opened(ways[i].from, &a), to = opened(ways[i].to, &b);
        struct endpoint target = endpoint(ways[i].target, b.port);
        struct forward_out out[4];
        struct udp_result result;
        for (unsigned ecn = 0; ecn < 4; ecn++)
            out[ecn] = output(pool, &source, &target, (uint8_t)(0x28 | ecn), 100 + ecn);
        bool trains = false; /* each datagram has other ECN bits anyway */
        udp_send(from, &trains, out, 4, &result, &drops);
        assert_int_equal(result.sent, 4);
        assert_int_equal(result.oversized_count, 0);
        struct packet *batch[UDP_BATCH];
        unsigned got = 0;
        while (got < 4) {
            unsigned more = receive(to, pool, batch + got, &drops);
            assert_true(more > 0);
            got += more;
        }
        for (unsigned ecn = 0; ecn < 4; ecn++) {
            const struct arrival *arrival = &batch[ecn]->arrival;
            assert_int_equal(batch[ecn]->size, 100 + ecn);
            assert_int_equal(batch[ecn]->data[50], 'x');
            assert_int_equal(arrival->ecn, ecn);
            assert_int_equal(arrival->socket, 9);
            assert_true(ip_address_equal(&arrival->remote.ip, &source.ip));
            assert_int_equal(arrival->remote.port, a.port);
            assert_true(ip_address_equal(&arrival->local.ip, &target.ip));
            packet_give_back(batch[ecn]);
            packet_give_back(out[ecn].packet);
        }
        close(from);
        close(to);
    }
    packet_pool_free(pool);
}

static void test_open_refused(void **state)
{
    struct endpoint at, none = {0}, foreign = endpoint("192.0.2.1", 0);
    int first = opened("127.0.0.1", &at);
    assert_int_equal(udp_open(&at, false), -EADDRINUSE);
    assert_int_equal(udp_open(&none, false), -EINVAL);
    assert_int_equal(udp_open(&foreign, false), -EADDRNOTAVAIL);
    close(first);
    int one = udp_open(&at, true), two = udp_open(&at, true);
    assert_true(one >= 0 && two >= 0);
    close(one);
    close(two);
}

static void test_adopted(void **state)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), value = 0;
    socklen_t size = sizeof value;
    assert_int_equal(udp_adopt(fd), 0);
    assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, &size), 0);
    assert_int_equal(value, IP_PMTUDISC_PROBE);
    close(fd);
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(udp_adopt(stream), -EPROTOTYPE);
    close(stream);
    assert_int_equal(udp_adopt(-1), -EBADF);
    struct endpoint at;
    assert_false(udp_local(-1, &at));
    fd = opened("::", &at);
    assert_int_equal(getsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &value, &size), 0);
    assert_int_equal(value, IPV6_PMTUDISC_PROBE);
    assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &value, &size), 0);
    assert_int_equal(value, IP_PMTUDISC_PROBE);
    close(fd);
}

/* One that fails does not keep the others back. */
static void test_failures_inside_a_batch(void **state)
{
    struct drop_counters drops = {0};
    struct packet_pool *pool = packet_pool_new(200);
    struct endpoint a, b, gone = endpoint("192.0.2.1", 0);
    int from = opened("127.0.0.1", &a), to = opened("127.0.0.1", &b);
    struct endpoint six = endpoint("::1", b.port), broadcast = endpoint("255.255.255.255", 9);
    struct forward_out out[5] = {
        output(pool, NULL, &b, 0, 10),         output(pool, NULL, &b, 0, 65508),
        output(pool, NULL, &six, 0, 10),       /* not on this socket      */
        output(pool, NULL, &broadcast, 0, 10), /* needs an option        */
        output(pool, &gone, &b, 0, 11),        /* a local address we lost */
    };
    struct udp_result result;
    bool trains = true;
    udp_send(from, &trains, out, 5, &result, &drops);
    assert_true(trains);
    assert_int_equal(result.sent, 2);
    assert_int_equal(result.oversized_count, 1);
    assert_int_equal(result.oversized[0].size, 65508);
    assert_true(endpoint_equal(&result.oversized[0].remote, &b));
    assert_ptr_equal(result.oversized[0].bytes, out[1].packet->data);
    assert_int_equal(drop_read(&drops, DROP_OVERSIZED), 0); /* not lost yet */
    assert_int_equal(drop_read(&drops, DROP_SEND_FAILED), 2);
    struct packet *batch[UDP_BATCH];
    unsigned got = 0;
    while (got < 2)
        got += receive(to, pool, batch + got, &drops);
    assert_int_equal(batch[0]->size, 10);
    assert_int_equal(batch[1]->size, 11);
    for (unsigned i = 0; i < 5; i++)
        packet_give_back(out[i].packet);
    packet_give_back(batch[0]);
    packet_give_back(batch[1]);
    assert_int_equal(udp_send_one(from, &gone, &b, 0, "x", 1), 0);
    static const uint8_t large[65508];
    assert_int_equal(udp_send_one(from, &a, &a, 0, large, sizeof large), -EMSGSIZE);
    assert_int_equal(udp_send_one(from, &a, &(struct endpoint){0}, 0, "x", 1), -EDESTADDRREQ);
    packet_pool_free(pool);
    close(from);
    close(to);
}

/* Nobody listens any more: the ICMP error that comes back disturbs nothing. */
static void test_port_unreachable(void **state)
{
    struct drop_counters drops = {0};
    struct packet_pool *pool = packet_pool_new(100);
    struct packet *batch[UDP_BATCH];
    struct endpoint a, b;
    int from = opened("127.0.0.1", &a), to = opened("127.0.0.1", &b);
    close(to);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(udp_send_one(from, &a, &b, 0, "x", 1), 0);
    assert_int_equal(udp_receive(from, 0, pool, batch, UDP_BATCH, &drops), 0);
    close(from);
    packet_pool_free(pool);
}

static void test_without_buffers(void **state)
{
    struct drop_counters drops = {0};
    struct packet_pool *pool = packet_pool_new(1);
    struct packet *batch[UDP_BATCH];
    struct endpoint a;
    int fd = opened("127.0.0.1", &a);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(udp_send_one(fd, &a, &a, 0, "abc", i), 0);
    struct packet *kept = packet_take(pool);
    assert_int_equal(receive(fd, pool, batch, &drops), 0);
    assert_int_equal(drop_read(&drops, DROP_NO_BUFFER), 1);
    packet_give_back(kept);
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(receive(fd, pool, batch, &drops), 1);
        assert_int_equal(batch[0]->size, i);
        packet_give_back(batch[0]);
    }
    assert_int_equal(udp_receive(fd, 0, pool, batch, UDP_BATCH, &drops), 0);
    assert_int_equal(packet_pool_out(pool), 0);
    packet_pool_free(pool);
    close(fd);
}

static void test_clock_and_entropy(void **state)
{
    struct entropy e;
    uint8_t bytes[2][600] = {{0}};
    instant before = clock_now();
    assert_true(before > 0);
    assert_true(clock_now() >= before);
    assert_true(clock_wall() > 1600000000);
    entropy_system(&e);
    entropy_fill(&e, bytes[0], sizeof bytes[0]);
    entropy_fill(&e, bytes[1], sizeof bytes[1]);
    assert_memory_not_equal(bytes[0], bytes[1], sizeof bytes[0]);
    entropy_fill(&e, bytes[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_open_refused),
        cmocka_unit_test(test_adopted),
        cmocka_unit_test(test_failures_inside_a_batch),
        cmocka_unit_test(test_port_unreachable),
        cmocka_unit_test(test_without_buffers),
        cmocka_unit_test(test_clock_and_entropy),
    };
    return cmocka_run_group_tests_name("io_udp", tests, NULL, NULL);
}
