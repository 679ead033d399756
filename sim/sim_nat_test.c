#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "sim/sim_nat.h"

/* in (192.168.0.2) ---- NAT ---- a (203.0.113.1), b (203.0.113.2) */
struct fixture {
    struct sim s;
    struct sim_node in, a, b;
    unsigned in_got;
    struct endpoint seen_by_a, seen_by_b;
};

static struct fixture f;

static struct endpoint at(const char *text)
{
    struct endpoint e;
    assert_true(endpoint_parse(text, 0, &e));
    return e;
}

static void note(struct sim_node *self, struct sim_port *port, const struct sim_datagram *d)
{
    (void)port;
    if (self == &f.in)
        f.in_got++;
    else if (self == &f.a)
        f.seen_by_a = d->from;
    else
        f.seen_by_b = d->from;
}

static void attach(struct sim_node *node, const char *name, struct sim_network *n, const char *ip)
{
    struct ip_address address;
    assert_true(ip_address_parse(ip, &address));
    node->deliver = note;
    sim_node_add(&f.s.net, node, name);
    assert_non_null(sim_port_add(node, n, &address));
}

static void begin(enum sim_nat_kind kind)
{
    struct ip_address inside, outside;
    memset(&f, 0, sizeof f);
    sim_init(&f.s, 1);
    struct sim_network *home = sim_network_new(&f.s.net, "home");
    struct sim_network *wide = sim_network_new(&f.s.net, "wide");
    assert_true(ip_prefix_parse("192.168.0.0/24", &home->prefix[0]));
    assert_true(ip_prefix_parse("203.0.113.0/24", &wide->prefix[0]));
    attach(&f.in, "in", home, "192.168.0.2");
    attach(&f.a, "a", wide, "203.0.113.1");
    attach(&f.b, "b", wide, "203.0.113.2");
    assert_true(ip_address_parse("192.168.0.1", &inside));
    assert_true(ip_address_parse("203.0.113.99", &outside));
    assert_false(sim_nat_new(&f.s, "bad", home, &outside, wide, &inside, kind, SECOND));
    assert_true(sim_nat_new(&f.s, "nat", home, &inside, wide, &outside, kind, 30 * SECOND));
}

static void send_from(struct sim_node *node, struct endpoint from, struct endpoint to)
{
    if (node == &f.in)
        from.ip.family = 0;
    assert_int_equal(sim_net_send(&f.s.net, node, &from, &to, 0, "x", 1), 0);
    sim_world_run_until(&f.s.world, f.s.world.now + MILLISECOND);
}

static void to_both(void)
{
    send_from(&f.in, at("192.168.0.2:5000"), at("203.0.113.1:1"));
    send_from(&f.in, at("192.168.0.2:5000"), at("203.0.113.2:2"));
    assert_int_equal(f.seen_by_a.ip.bytes[3], 99);
    assert_int_equal(f.seen_by_b.ip.bytes[3], 99);
}

static void symmetric(void **state)
{
    (void)state;
    begin(SIM_NAT_SYMMETRIC);
    to_both();
    assert_int_not_equal(f.seen_by_a.port, f.seen_by_b.port);
    send_from(&f.a, at("203.0.113.1:1"), f.seen_by_a);
    assert_int_equal(f.in_got, 1);
    send_from(&f.b, at("203.0.113.2:2"), f.seen_by_a); /* not b's mapping */
    send_from(&f.a, at("203.0.113.1:9"), f.seen_by_a); /* another port */
    assert_int_equal(f.in_got, 1);
    sim_done(&f.s);
}

static void open_to_all(void **state)
{
    (void)state;
    begin(SIM_NAT_OPEN);
    to_both();
    assert_int_equal(f.seen_by_a.port, f.seen_by_b.port);
    send_from(&f.a, at("203.0.113.1:9"), f.seen_by_a);
    assert_int_equal(f.in_got, 1);
    sim_done(&f.s);
}

static void mappings_end(void **state)
{
    (void)state;
    begin(SIM_NAT_SYMMETRIC);
    to_both();
    uint16_t port = f.seen_by_a.port;
    sim_world_run_until(&f.s.world, f.s.world.now + 20 * SECOND);
    send_from(&f.a, at("203.0.113.1:1"), f.seen_by_a); /* keeps it */
    sim_world_run_until(&f.s.world, f.s.world.now + 20 * SECOND);
    send_from(&f.a, at("203.0.113.1:1"), f.seen_by_a);
    assert_int_equal(f.in_got, 2);
    sim_world_run_until(&f.s.world, f.s.world.now + 31 * SECOND);
    send_from(&f.a, at("203.0.113.1:1"), f.seen_by_a);
    assert_int_equal(f.in_got, 2);
    send_from(&f.in, at("192.168.0.2:5000"), at("203.0.113.1:1"));
    assert_int_not_equal(f.seen_by_a.port, port);
    sim_nat_clear(sim_nat_find(&f.s, "nat"));
    send_from(&f.a, at("203.0.113.1:1"), f.seen_by_a);
    assert_int_equal(f.in_got, 2);
    sim_done(&f.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symmetric),
        cmocka_unit_test(open_to_all),
        cmocka_unit_test(mappings_end),
    };
    return cmocka_run_group_tests_name("sim_nat", tests, NULL, NULL);
}
