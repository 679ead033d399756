#include "path/path_fixture.h"

/* Both ends open at the same time: in the end they use the same path, and what was sent meanwhile
 * arrived. */

#define BETA_VIA  "beta.west.ip.via.gate.east.ip"
#define ALPHA_VIA "alpha.east.ip.via.gate.west.ip"

/* As soon as an end has a path it talks. */
static void talk(struct trio *t, instant span)
{
    for (instant end = t->net.now + span; t->net.now < end;) {
        if (box_up(t->alpha, "beta.west.ip"))
            assert_true(box_send(t->alpha, t->beta, "beta.west.ip", 4));
        if (box_up(t->beta, "alpha.east.ip"))
            assert_true(box_send(t->beta, t->alpha, "alpha.east.ip", 6));
        net_run(&t->net, 2 * MILLISECOND);
    }
    net_settle(&t->net);
}

static void check_all_arrived(struct trio *t)
{
    assert_true(t->alpha->sent[2] > 50 && t->beta->sent[0] > 50);
    assert_int_equal(t->beta->got[0], t->alpha->sent[2]);
    assert_int_equal(t->alpha->got[2], t->beta->sent[0]);
    assert_int_equal(t->beta->doubled[0] + t->alpha->doubled[2], 0);
}

/* Which of the two has the lower key?  Both ways round. */
static void keys_round(struct trio *t, bool round)
{
    if (!round)
        return;
    box_key(t->alpha, 0, 0x42);
    box_key(t->beta, 0, 0x40);
    box_restart(t->alpha);
    box_restart(t->beta);
}

static void over_a_gateway(void **state)
{
    for (unsigned i = 0; i < 24; i++) {
        struct trio t;
        trio_init(&t, 100 + i, NULL);
        keys_round(&t, i & 1);
        if (i & 2) { /* warm links: IK at once */
            box_open(t.alpha, "gate.east.ip");
            box_open(t.beta, "gate.west.ip");
            net_run(&t.net, SECOND);
        }
        struct answer *a = box_open(t.alpha, BETA_VIA);
        net_run(&t.net, (i / 4) * 4 * MILLISECOND); /* from at once to after the answer */
        struct answer *b = box_open(t.beta, ALPHA_VIA);
        talk(&t, 500 * MILLISECOND);
        assert_true(a->up && b->up);
        trio_check_same(&t);
        check_all_arrived(&t);
        net_run(&t.net, 2 * MINUTE);
        struct path_count count;
        path_count(t.alpha->e, &count);
        assert_int_equal(count.paths, 2);
        path_count(t.gate->e, &count);
        assert_true(count.transits <= 2);
        trio_done(&t);
    }
}

static void links_cross(void **state)
{
    for (unsigned i = 0; i < 24; i++) {
        struct net net;
        net_init(&net, 200 + i);
        struct box *a = box_new(&net, "alpha", "east", NULL),
                   *b = box_new(&net, "beta", "east", NULL);
        box_key(a, 0, i & 1 ? 0x42 : 0x40);
        box_key(b, 0, i & 1 ? 0x40 : 0x42);
        box_start(a);
        box_start(b);
        struct answer *at_a = box_open(a, "beta.east.ip");
        net_run(&net, (i / 2) * 2 * MILLISECOND);
        struct answer *at_b = box_open(b, "alpha.east.ip");
        for (unsigned n = 0; n < 200; n++) {
            if (box_up(a, "beta.east.ip"))
                box_send(a, b, "beta.east.ip", 4);
            if (box_up(b, "alpha.east.ip"))
                box_send(b, a, "alpha.east.ip", 4);
            net_run(&net, MILLISECOND);
        }
        net_settle(&net);
        assert_true(at_a->up && at_b->up);
        assert_memory_equal(box_path(a, "beta.east.ip")->id, box_path(b, "alpha.east.ip")->id,
                            HANDSHAKE_ID);
        assert_ptr_equal(box_path(a, "beta.east.ip"), box_neighbour(a, "beta.east.ip")->link);
        assert_int_equal(b->got[0], a->sent[1]);
        assert_int_equal(a->got[1], b->sent[0]);
        net_run(&net, 2 * MINUTE);
        struct path_count count;
        path_count(a->e, &count);
        assert_int_equal(count.paths, 1);
        net_done(&net);
    }
}

/* With loss and reordering, many times: when it has settled both use the same path. */
static void with_faults(void **state)
{
    for (unsigned i = 0; i < 30; i++) {
        struct trio t;
        trio_init(&t, 300 + i, NULL);
        keys_round(&t, i & 1);
        t.net.faults = (struct net_faults){.delay = 10 * MILLISECOND,
                                           .jitter = 20 * MILLISECOND,
                                           .loss = 10 * (i % 20),
                                           .reorder = 100,
                                           .duplicate = 50};
        box_open(t.alpha, BETA_VIA);
        box_open(t.beta, ALPHA_VIA);
        net_run(&t.net, 8 * SECOND);
        t.net.faults = (struct net_faults){.delay = 10 * MILLISECOND};
        net_run(&t.net, 20 * SECOND);
        if (!box_up(t.alpha, "beta.west.ip") && !box_up(t.beta, "alpha.east.ip"))
            box_open(t.alpha, BETA_VIA);
        net_run(&t.net, 20 * SECOND);
        /* One of them may know nothing of it, when all of the other's messages were lost: the first
         * packet tells. */
        box_send(t.alpha, t.beta, "beta.west.ip", 4);
        box_send(t.beta, t.alpha, "alpha.east.ip", 4);
        net_run(&t.net, 10 * SECOND);
        trio_check_same(&t);
        box_send(t.alpha, t.beta, "beta.west.ip", 4);
        box_send(t.beta, t.alpha, "alpha.east.ip", 4);
        net_run(&t.net, SECOND);
        assert_true(t.beta->got[0] > 0 && t.alpha->got[2] > 0);
        trio_done(&t);
    }
}

/* A link and a path over a gateway to the same host cross: the link is the better one. */
static void a_link_and_a_path_cross(void **state)
{
    for (unsigned i = 0; i < 16; i++) {
        struct net net;
        net_init(&net, 400 + i);
        struct box *a = box_new(&net, "alpha", "east", NULL),
                   *b = box_new(&net, "beta", "east", NULL),
                   *gate =
                       box_new(&net, "gate", "east", "forward: [{from: east.ip, to: east.ip}]\n");
        box_key(a, 0, i & 1 ? 0x42 : 0x40);
        box_key(b, 0, i & 1 ? 0x40 : 0x42);
        box_start(a);
        box_start(b);
        box_start(gate);
        box_open(a, "beta.east.ip"); /* they get to know each other */
        box_open(a, "gate.east.ip");
        box_open(b, "gate.east.ip");
        net_run(&net, SECOND);
        path_close(a->e, net.now, box_path(a, "beta.east.ip")->slot, "again");
        box_pump(a);
        net_run(&net, SECOND);
        box_open(a, "beta.east.ip");
        net_run(&net, (i / 2) * 3 * MILLISECOND);
        box_open(b, "alpha.east.ip.via.gate.east.ip");
        for (unsigned n = 0; n < 200; n++) {
            if (box_up(a, "beta.east.ip"))
                box_send(a, b, "beta.east.ip", 4);
            if (box_up(b, "alpha.east.ip"))
                box_send(b, a, "alpha.east.ip", 4);
            net_run(&net, MILLISECOND);
        }
        net_settle(&net);
        assert_memory_equal(box_path(a, "beta.east.ip")->id, box_path(b, "alpha.east.ip")->id,
                            HANDSHAKE_ID);
        assert_non_null(box_neighbour(a, "beta.east.ip")->link);
        assert_non_null(box_neighbour(b, "alpha.east.ip")->link);
        assert_int_equal(b->got[0], a->sent[1]);
        assert_int_equal(a->got[1], b->sent[0]);
        net_done(&net);
    }
}

/* beta knows alpha's path, doubts it, and opens again: that is no crossing, although alpha has heard nothing on its own path
 * yet. */
static bool records_of_beta_are_lost(struct net *net, struct tape *tape, struct box *from,
                                     uint8_t *bytes, size_t size)
{
    return from != &net->box[1] || bytes[0] != WIRE_RECORD;
}

static void who_knows_ours_asks_later(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct net net;
        struct tape tape;
        net_init(&net, 600 + i);
        struct box *a = box_new(&net, "alpha", "east", NULL),
                   *b = box_new(&net, "beta", "east", NULL);
        box_key(a, 0, i & 1 ? 0x42 : 0x40);
        box_key(b, 0, i & 1 ? 0x40 : 0x42);
        box_start(a);
        box_start(b);
        tape_start(&tape, &net);
        tape.judge = records_of_beta_are_lost;
        box_open(a, "beta.east.ip");
        net_run(&net, 100 * MILLISECOND);
        assert_true(box_up(a, "beta.east.ip") && box_up(b, "alpha.east.ip"));
        assert_non_null(path_reopen(b->e, net.now, box_path(b, "alpha.east.ip")));
        box_pump(b);
        net_run(&net, 100 * MILLISECOND);
        tape.judge = NULL;
        net_run(&net, 5 * SECOND);
        assert_memory_equal(box_path(a, "beta.east.ip")->id, box_path(b, "alpha.east.ip")->id,
                            HANDSHAKE_ID);
        assert_false(box_path(a, "beta.east.ip")->initiator);
        tape_stop(&tape, &net);
        net_done(&net);
    }
}

/* beta restarts just when both open: what alpha keeps by the rule is dead, and what lives is taken.
 */
static void a_restart_in_the_middle(void **state)
{
    for (unsigned i = 0; i < 20; i++) {
        struct trio t;
        trio_init(&t, 500 + i, NULL);
        keys_round(&t, i & 1);
        box_open(t.alpha, BETA_VIA);
        box_open(t.beta, ALPHA_VIA);
        net_run(&t.net, i * MILLISECOND);
        box_restart(t.beta);
        t.beta->answers = 0;
        box_open(t.beta, ALPHA_VIA);
        net_run(&t.net, 5 * SECOND);
        for (unsigned n = 0; n < 30 && !(t.alpha->got[2] && t.beta->got[0]); n++) {
            box_send(t.alpha, t.beta, "beta.west.ip", 4);
            box_send(t.beta, t.alpha, "alpha.east.ip", 4);
            net_run(&t.net, SECOND);
        }
        assert_true(t.alpha->got[2] > 0 && t.beta->got[0] > 0);
        net_run(&t.net, 20 * SECOND);
        trio_check_same(&t);
        trio_done(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_a_gateway),
        cmocka_unit_test(links_cross),
        cmocka_unit_test(with_faults),
        cmocka_unit_test(a_link_and_a_path_cross),
        cmocka_unit_test(who_knows_ours_asks_later),
        cmocka_unit_test(a_restart_in_the_middle),
    };
    return cmocka_run_group_tests_name("path_cross", tests, NULL, NULL);
}
