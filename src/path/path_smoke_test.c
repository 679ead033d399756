#include "path/path_fixture.h"

static void one_link(void **state)
{
    struct net net;
    net_init(&net, 1);
    struct box *a = box_new(&net, "alpha", "east", NULL), *b = box_new(&net, "beta", "east", NULL);
    box_start(a);
    box_start(b);
    struct answer *r = box_open(a, "beta.east.ip");
    net_run(&net, SECOND);
    assert_true(r->up);
    assert_true(box_up(b, "alpha.east.ip"));
    assert_true(box_send(a, b, "beta.east.ip", 4));
    net_run(&net, SECOND);
    assert_int_equal(b->got[a->index], 1);
    assert_true(box_send(b, a, "alpha.east.ip", 6));
    net_run(&net, SECOND);
    assert_int_equal(a->got[b->index], 1);
    net_done(&net);
}

static void over_a_gateway(void **state)
{
    struct trio t;
    trio_init(&t, 2, NULL);
    struct answer *r = box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    if (!r->up)
        print_message("%s\n%s%s%s", r->reason, t.alpha->notices, t.gate->notices, t.beta->notices);
    assert_true(r->up);
    trio_check_same(&t);
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 1);
    assert_true(box_send(t.beta, t.alpha, "alpha.east.ip", 4));
    net_run(&t.net, 30 * MINUTE);
    assert_int_equal(t.alpha->got[t.beta->index], 1);
    trio_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_link),
        cmocka_unit_test(over_a_gateway),
    };
    return cmocka_run_group_tests_name("path_smoke", tests, NULL, NULL);
}
