#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "path/forward_fixture.h"

/* Whom the policy lets in, and what is said to the others. */

/* Does the packet of A come out at B? */
static bool passes(struct pair *x, const struct craft *c)
{
    struct outs sent = {0}, got = {0};
    side_capture_craft(&x->a, 0, c, &sent);
    side_carry(&sent, &x->b, 'a', &got);
    bool passed = outs_kind(&got, FORWARD_CAPTURE) == 1;
    /* What does not pass is answered by one record, unless nobody may answer it. */
    assert_in_range(got.count, passed, 1);
    outs_free(&got);
    return passed;
}

static void answer(struct pair *x, const struct craft *c)
{
    struct outs sent = {0}, got = {0};
    side_capture_craft(&x->b, 0, c, &sent);
    side_carry(&sent, &x->a, 'b', &got);
    assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 1);
    outs_free(&got);
}

static void test_policy_lines(void **state)
{
    static const struct fwd_allow lines[] = {{.protocol = IP_TCP, .low = 80, .high = 90},
                                             {.protocol = IP_ICMP},
                                             {.protocol = 47, .low = 0, .high = 65535},
                                             {.protocol = 48, .low = 5, .high = 65535}};
    static const struct {
        uint8_t protocol;
        uint16_t port;
        bool passes;
    } rows[] = {{IP_TCP, 79, false}, {IP_TCP, 80, true}, {IP_TCP, 90, true}, {IP_TCP, 91, false},
                {IP_UDP, 80, false}, {IP_ICMP, 0, true}, {47, 0, true},      {48, 0, false}};
    struct pair x;
    pair_init(&x, &(struct side_settings){.no_policy = true});
    struct craft c = pair_a_to_b;
    assert_false(passes(&x, &c));
    side_allow(&x.b, lines, 4);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        c.protocol = rows[i].protocol;
        c.destination_port = rows[i].port;
        c.source_port = (uint16_t)(5000 + i);
        c.icmp_type = 8;
        assert_int_equal(passes(&x, &c), rows[i].passes);
    }
    assert_int_equal(side_drops(&x.b, DROP_POLICY), 5);
    pair_done(&x);
}

/* What the program on a hears of a packet that b's policy refuses; the packet as b's kernel saw none. */
static void hears_of_refusal(struct pair *x, const struct craft *c, const char *from, uint8_t type,
                             uint8_t code)
{
    struct outs sent = {0}, refused = {0}, got = {0};
    struct ip_view v, quoted;
    enum drop_reason reason;
    side_capture_craft(&x->a, 0, c, &sent);
    side_carry(&sent, &x->b, 'a', &refused);
    assert_int_equal(refused.count, 1);
    side_carry(&refused, &x->a, 'b', &got);
    assert_int_equal(got.count, 1);
    struct forward_out out = outs_take(&got, 0);
    assert_int_equal(out.kind, FORWARD_CAPTURE);
    const struct packet *p = out.packet;
    assert_true(craft_sums_right(p->data, p->size));
    assert_true(ip_parse(p->data, p->size, &v, &reason));
    assert_int_equal(p->data[v.transport], type);
    assert_int_equal(p->data[v.transport + 1], code);
    struct ip_address handle = side_address(from), own = side_address(c->source);
    assert_true(ip_address_equal(&v.source, &handle));
    assert_true(ip_quoted(p, &v, &quoted));
    assert_true(ip_address_equal(&quoted.source, &own));
    assert_true(ip_address_equal(&quoted.destination, &handle));
    assert_int_equal(quoted.source_port, c->source_port);
    assert_int_equal(quoted.destination_port, c->destination_port);
    packet_give_back(out.packet);
    outs_free(&got);
}

static void test_refusal_is_said(void **state)
{
    struct pair x;
    pair_init(&x, &(struct side_settings){.open_checksums = true});
    side_allow(&x.b, (const struct fwd_allow[]){{.protocol = IP_TCP, .low = 22, .high = 22}}, 1);
    struct craft four = pair_a_to_b, six = pair_a_to_b;
    six.source = "fd00::61";
    six.destination = "fd18::62";
    static const uint8_t protocols[] = {IP_UDP, IP_TCP};
    for (unsigned i = 0; i < 2; i++) {
        four.protocol = six.protocol = protocols[i];
        hears_of_refusal(&x, &four, "198.18.0.98", 3, 13);
        hears_of_refusal(&x, &six, "fd18::62", 1, 1);
    }
    /* Errors are not answered, and all others not without end. */
    struct craft error = pair_a_to_b;
    error.protocol = IP_ICMP;
    error.icmp_type = 3;
    struct outs sent = {0}, got = {0};
    side_capture_craft(&x.a, 0, &error, &sent);
    for (unsigned i = 0; i < 5000; i++) {
        four.source_port = (uint16_t)(10000 + i);
        side_capture_craft(&x.a, 0, &four, &sent);
        side_carry(&sent, &x.b, 'a', &got);
        assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 0);
    }
    assert_in_range(got.count, 900, 1000);
    outs_free(&got);
    pair_done(&x);
}

static void test_answers_pass(void **state)
{
    struct pair x;
    pair_init(&x, &(struct side_settings){0});
    side_allow(&x.b, (const struct fwd_allow[]){{.protocol = IP_TCP, .low = 1, .high = 1}}, 1);
    struct craft c = pair_a_to_b;
    c.source_port = pair_b_to_a.destination_port;
    assert_false(passes(&x, &c));
    answer(&x, &pair_b_to_a);
    assert_true(passes(&x, &c));
    c.destination_port++;
    assert_false(passes(&x, &c));
    /* Still an answer under another path to the same peer (a new slot), and after the policy
     * changed. */
    x.b.path.id++;
    side_allow(&x.b, (const struct fwd_allow[]){{.protocol = IP_TCP, .low = 2, .high = 2}}, 1);
    c.destination_port--;
    assert_true(passes(&x, &c));
    x.b.now += 6 * MINUTE;
    assert_false(passes(&x, &c));
    pair_done(&x);
}

static void test_changed_policy_bites(void **state)
{
    static const struct fwd_allow dns = {.protocol = IP_UDP, .low = 53, .high = 53};
    static const struct fwd_allow web = {.protocol = IP_TCP, .low = 80, .high = 80};
    struct pair x;
    for (unsigned everything = 0; everything < 2; everything++) {
        pair_init(&x, &(struct side_settings){0});
        side_allow(&x.b, everything ? NULL : &dns, !everything);
        assert_true(passes(&x, &pair_a_to_b));
        answer(&x, &pair_b_to_a);
        side_allow(&x.b, &web, 1);
        assert_false(passes(&x, &pair_a_to_b));
        /* A program that goes on answering does not make it a flow of its own. */
        answer(&x, &pair_b_to_a);
        assert_false(passes(&x, &pair_a_to_b));
        side_allow(&x.b, &dns, 1);
        assert_true(passes(&x, &pair_a_to_b));
        pair_done(&x);
    }
}

/* Flows that stood before: an answer to a program of B passes, a flow of A's asks the policy. */
static void test_known_flows(void **state)
{
    struct pair x;
    struct craft c = pair_a_to_b;
    c.protocol = IP_TCP;
    pair_init(&x, &(struct side_settings){0});
    side_allow(&x.b, (const struct fwd_allow[]){{.protocol = IP_TCP, .low = 1, .high = 1}}, 1);
    struct forward_flow flow = {.protocol = IP_TCP,
                                .ours = true,
                                .local_port = c.destination_port,
                                .remote_port = c.source_port,
                                .handle4 = x.b.path.handle4,
                                .handle6 = x.b.path.handle6};
    forward_flow_known(x.b.forward[0], x.b.now, &flow);
    assert_true(passes(&x, &c));
    c.source = "fd00::61";
    c.destination = "fd18::62";
    assert_true(passes(&x, &c));
    c.source_port++;
    assert_false(passes(&x, &c));

    struct craft back = pair_b_to_a;
    back.protocol = IP_TCP;
    back.destination_port = c.source_port;
    flow.remote_port = c.source_port;
    flow.ours = false;
    forward_flow_known(x.b.forward[0], x.b.now, &flow);
    assert_false(passes(&x, &c));
    answer(&x, &back);
    assert_false(passes(&x, &c));
    side_allow(&x.b, NULL, 0);
    assert_true(passes(&x, &c));
    pair_done(&x);
}

/* Handles of one family only. */
static void test_known_flow_without_ipv4(void **state)
{
    struct pair x;
    struct craft c = pair_a_to_b;
    pair_init(&x, &(struct side_settings){.no_policy = true});
    x.b.path.handle4 = (struct ip_address){0};
    c.source = "fd00::61";
    c.destination = "fd18::62";
    assert_false(passes(&x, &c));
    forward_flow_known(x.b.forward[0], x.b.now,
                       &(struct forward_flow){.protocol = c.protocol,
                                              .ours = true,
                                              .local_port = c.destination_port,
                                              .remote_port = c.source_port,
                                              .handle6 = x.b.path.handle6});
    assert_true(passes(&x, &c));
    pair_done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_lines), cmocka_unit_test(test_refusal_is_said),
        cmocka_unit_test(test_answers_pass), cmocka_unit_test(test_changed_policy_bites),
        cmocka_unit_test(test_known_flows),  cmocka_unit_test(test_known_flow_without_ipv4),
    };
    return cmocka_run_group_tests_name("path_forward_policy", tests, NULL, NULL);
}
