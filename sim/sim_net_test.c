#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "packet/ip.h"
#include "sim/sim_net.h"

/* Two nodes on one network; b notes what it gets. */
struct fixture {
    struct sim_world w;
    struct sim_net net;
    struct sim_network *lan;
    struct sim_node a, b;
    unsigned count;
    struct {
        instant at;
        uint8_t number, tos;
        size_t size;
        struct endpoint from;
    } got[4096];
};

static struct fixture f;

static void note(struct sim_node *self, struct sim_port *port, const struct sim_datagram *d)
{
    (void)self;
    (void)port;
    f.got[f.count].at = f.w.now;
    f.got[f.count].number = d->size ? d->bytes[0] : 0;
    f.got[f.count].tos = d->tos;
    f.got[f.count].size = d->size;
    f.got[f.count++].from = d->from;
}

static struct ip_address ip(const char *text)
{
    struct ip_address a;
    assert_true(ip_address_parse(text, &a));
    return a;
}

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof f);
    sim_world_init(&f.w, 1);
    sim_net_init(&f.net, &f.w);
    f.lan = sim_network_new(&f.net, "lan");
    assert_true(ip_prefix_parse("10.0.0.0/24", &f.lan->prefix[0]));
    assert_true(ip_prefix_parse("fd01::/64", &f.lan->prefix[1]));
    f.a.deliver = f.b.deliver = note;
    sim_node_add(&f.net, &f.a, "a");
    sim_node_add(&f.net, &f.b, "b");
    struct ip_address a4 = ip("10.0.0.1"), b4 = ip("10.0.0.2"), a6 = ip("fd01::1"),
                      b6 = ip("fd01::2");
    assert_non_null(sim_port_add(&f.a, f.lan, &a4));
    assert_non_null(sim_port_add(&f.a, f.lan, &a6));
    assert_non_null(sim_port_add(&f.b, f.lan, &b4));
    assert_non_null(sim_port_add(&f.b, f.lan, &b6));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_net_done(&f.net);
    sim_world_done(&f.w);
    return 0;
}

static int send_to(const char *to, uint8_t number, size_t size)
{
    uint8_t bytes[2000] = {number};
    struct endpoint from = {.port = 1}, remote = {.ip = ip(to), .port = 2};
    return sim_net_send(&f.net, &f.a, &from, &remote, ECN_ECT0, bytes, size);
}

static void send_many(unsigned count, instant apart)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(send_to("10.0.0.2", (uint8_t)i, 100), 0);
        sim_world_run_until(&f.w, f.w.now + apart);
    }
    sim_world_run_until(&f.w, f.w.now + MINUTE);
}

static void delay_and_order(void **state)
{
    (void)state;
    f.lan->way.delay = 10 * MILLISECOND;
    f.lan->way.jitter = 5 * MILLISECOND;
    instant begin = f.w.now;
    send_many(100, 0);
    assert_int_equal(f.count, 100);
    assert_true(f.got[0].at >= begin + 10 * MILLISECOND);
    assert_true(f.got[99].at <= begin + 15 * MILLISECOND);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(f.got[i].number, i);
    assert_int_equal(f.got[0].from.port, 1);
    struct ip_address a = ip("10.0.0.1");
    assert_true(ip_address_equal(&f.got[0].from.ip, &a));
}

static void both_families(void **state)
{
    (void)state;
    assert_int_equal(send_to("fd01::2", 1, 10), 0);
    sim_world_run_until(&f.w, f.w.now);
    struct ip_address a = ip("fd01::1");
    assert_int_equal(f.count, 1);
    assert_true(ip_address_equal(&f.got[0].from.ip, &a));
}

static void loss_duplication_reordering(void **state)
{
    (void)state;
    f.lan->way.loss = 100000;
    send_many(1000, MILLISECOND);
    assert_in_range(f.count, 850, 950);
    f.lan->way.loss = 0;
    f.lan->way.duplicate = 100000;
    f.count = 0;
    send_many(1000, MILLISECOND);
    assert_in_range(f.count, 1050, 1150);
    f.lan->way.duplicate = 0;
    f.lan->way.reorder = 100000;
    f.count = 0;
    send_many(1000, MILLISECOND);
    unsigned overtaken = 0;
    for (unsigned i = 1; i < f.count; i++)
        overtaken += (uint8_t)(f.got[i].number - f.got[i - 1].number) != 1;
    assert_int_equal(f.count, 1000);
    assert_in_range(overtaken, 100, 400);
    assert_int_equal(f.lan->sent, 3000);
}

static void bursts(void **state)
{
    (void)state;
    f.lan->way.burst = 20000;
    f.lan->way.burst_end = 200000;
    send_many(2000, MILLISECOND);
    unsigned lost = 2000 - f.count, gaps = 0;
    for (unsigned i = 1; i < f.count; i++)
        gaps += (uint8_t)(f.got[i].number - f.got[i - 1].number) != 1;
    assert_in_range(lost, 80, 350);
    assert_true(lost > 3 * gaps); /* they come together */
}

static void rate_queue_and_marks(void **state)
{
    (void)state;
    f.lan->way.rate = 1000000; /* 128 bytes on the wire take 1.024 ms */
    f.lan->way.queue = 1500;
    f.lan->way.mark = true;
    instant begin = f.w.now;
    send_many(20, 0);
    assert_in_range(f.count, 11, 13);
    assert_int_equal(f.lan->lost, 20 - f.count);
    assert_int_equal(f.got[0].at, begin + 1024 * MICROSECOND);
    assert_int_equal(f.got[1].at, begin + 2048 * MICROSECOND);
    assert_int_equal(f.got[0].tos, ECN_ECT0);
    assert_int_equal(f.got[f.count - 1].tos, ECN_CE);
}

static void too_large(void **state)
{
    (void)state;
    f.lan->way.mtu = 1400;
    assert_int_equal(send_to("10.0.0.2", 1, 1372), 0);
    assert_int_equal(send_to("10.0.0.2", 2, 1373), -EMSGSIZE);
    assert_int_equal(send_to("fd01::2", 3, 1353), -EMSGSIZE);
    f.lan->way.silent = true;
    assert_int_equal(send_to("10.0.0.2", 4, 1373), 0);
    sim_world_run_until(&f.w, f.w.now);
    assert_int_equal(f.count, 1);
    assert_int_equal(f.got[0].size, 1372);
}

static void strange_addresses(void **state)
{
    (void)state;
    struct endpoint strange = {.ip = ip("10.0.0.9"), .port = 1}, b = {.ip = ip("10.0.0.2")};
    assert_int_equal(send_to("10.1.0.1", 1, 10), -ENETUNREACH);
    assert_int_equal(sim_net_send(&f.net, &f.a, &strange, &b, 0, "x", 1), -EADDRNOTAVAIL);
    assert_int_equal(send_to("10.0.0.77", 1, 10), 0); /* nobody: lost silently */
    sim_world_run_until(&f.w, f.w.now);
    assert_int_equal(f.count, 0);
    assert_int_equal(f.lan->lost, 1);
}

static void cuts(void **state)
{
    (void)state;
    f.lan->way.delay = 10 * MILLISECOND;
    send_to("10.0.0.2", 1, 10);
    sim_net_cut(&f.net, &f.b, &f.a); /* while it flies */
    sim_world_run_until(&f.w, f.w.now + SECOND);
    send_to("10.0.0.2", 2, 10);
    sim_world_run_until(&f.w, f.w.now + SECOND);
    assert_int_equal(f.count, 0);
    sim_net_heal(&f.net, &f.a, &f.b);
    f.b.port[0].cut = true;
    send_to("10.0.0.2", 3, 10);
    sim_world_run_until(&f.w, f.w.now + SECOND);
    assert_int_equal(f.count, 0);
    f.lan->cut = true;
    sim_net_heal_all(&f.net);
    send_to("10.0.0.2", 4, 10);
    sim_world_run_until(&f.w, f.w.now + SECOND);
    assert_int_equal(f.count, 1);
    assert_int_equal(f.got[0].number, 4);
}

static void a_moved_node_misses_what_flies(void **state)
{
    (void)state;
    struct ip_address elsewhere = ip("10.0.0.3"), outside = ip("10.1.0.3");
    f.lan->way.delay = 10 * MILLISECOND;
    send_to("10.0.0.2", 1, 10);
    assert_false(sim_port_move(&f.b, &f.b.port[0], &outside));
    assert_true(sim_port_move(&f.b, &f.b.port[0], &elsewhere));
    sim_world_run_until(&f.w, f.w.now + SECOND);
    assert_int_equal(f.count, 0);
    send_to("10.0.0.3", 2, 10);
    sim_world_run_until(&f.w, f.w.now + SECOND);
    assert_int_equal(f.count, 1);
}

static void a_port_can_have_a_way_of_its_own(void **state)
{
    (void)state;
    f.b.port[0].has_way = true;
    f.b.port[0].way.delay = 50 * MILLISECOND;
    f.lan->way.delay = 10 * MILLISECOND;
    instant begin = f.w.now;
    send_many(1, 0);
    assert_int_equal(f.got[0].at, begin + 60 * MILLISECOND);
}

static void free_addresses(void **state)
{
    (void)state;
    struct ip_address next = sim_network_free(&f.net, f.lan, 4), wanted = ip("10.0.0.3");
    assert_true(ip_address_equal(&next, &wanted));
    next = sim_network_free(&f.net, f.lan, 6);
    wanted = ip("fd01::3");
    assert_true(ip_address_equal(&next, &wanted));
}

static void properties(void **state)
{
    (void)state;
    struct sim_way way;
    sim_way_init(&way);
    assert_null(sim_way_set(&way, "delay", "20ms"));
    assert_null(sim_way_set(&way, "burst-loss", "50%"));
    assert_null(sim_way_set(&way, "rate", "10M"));
    assert_null(sim_way_set(&way, "mtu", "1400"));
    assert_null(sim_way_set(&way, "silent", "yes"));
    assert_int_equal(way.delay, 20 * MILLISECOND);
    assert_int_equal(way.burst_loss, 500000);
    assert_int_equal(way.rate, 10000000);
    assert_int_equal(way.mtu, 1400);
    assert_true(way.silent);
    assert_non_null(sim_way_set(&way, "delay", "20"));
    assert_non_null(sim_way_set(&way, "loss", "200%"));
    assert_non_null(sim_way_set(&way, "mtu", "20"));
    assert_non_null(sim_way_set(&way, "silent", "maybe"));
    assert_non_null(sim_way_set(&way, "colour", "red"));
    assert_int_equal(way.mtu, 1400);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(delay_and_order),
        TEST(both_families),
        TEST(loss_duplication_reordering),
        TEST(bursts),
        TEST(rate_queue_and_marks),
        TEST(too_large),
        TEST(strange_addresses),
        TEST(cuts),
        TEST(a_moved_node_misses_what_flies),
        TEST(a_port_can_have_a_way_of_its_own),
        TEST(free_addresses),
        TEST(properties),
    };
    return cmocka_run_group_tests_name("sim_net", tests, NULL, NULL);
}
