#include "path/path_fixture.h"

/* Hosts whose address changes: the tunnel follows the newest sealed record, and nothing else. */

#define VIA_GATE "beta.west.ip.via.gate.east.ip"

struct two {
    struct net net;
    struct box *alpha, *beta;
    struct tape tape;
    struct endpoint mallory;
};

static void two_init(struct two *t, uint64_t seed)
{
    net_init(&t->net, seed);
    t->alpha = box_new(&t->net, "alpha", "east", NULL);
    t->beta = box_new(&t->net, "beta", "east", NULL);
    t->mallory = net_endpoint(1, 66);
    tape_start(&t->tape, &t->net);
    box_start(t->alpha);
    box_start(t->beta);
    box_open(t->alpha, "beta.east.ip");
    net_run(&t->net, SECOND);
    assert_true(box_send(t->alpha, t->beta, "beta.east.ip", 4));
    net_run(&t->net, 10 * SECOND);
}

static void two_done(struct two *t)
{
    tape_stop(&t->tape, &t->net);
    net_done(&t->net);
}

/* Where beta sends to. */
static const struct endpoint *betas_way(const struct two *t)
{
    return &t->beta->toys->remote;
}

static void a_data_record_moves_the_tunnel(void **state)
{
    struct two t;
    two_init(&t, 1);
    box_move(t.alpha, 0, 50);
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[0], 2);
    assert_true(endpoint_equal(betas_way(&t), &t.alpha->endpoint[0]));
    assert_int_equal(t.beta->toys->moved, 1);
    assert_true(box_send(t.beta, t.alpha, "alpha.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.alpha->got[1], 1);
    two_done(&t);
}

static void a_control_record_moves_the_tunnel(void **state)
{
    struct two t;
    two_init(&t, 2);
    box_move(t.alpha, 0, 50);
    path_check_all(t.alpha->e, t.net.now); /* the owner saw the addresses change */
    box_pump(t.alpha);
    net_run(&t.net, 100 * MILLISECOND);
    assert_true(endpoint_equal(betas_way(&t), &t.alpha->endpoint[0]));
    assert_true(box_send(t.beta, t.alpha, "alpha.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.alpha->got[1], 1);
    two_done(&t);
}

/* A stranger sends what alpha sent: as it was, and changed. */
static void copies_move_nothing(void **state)
{
    struct two t;
    two_init(&t, 3);
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, 5 * SECOND);
    unsigned count = t.tape.count;
    for (unsigned i = 0; i < count; i++) {
        if (t.tape.item[i].from != t.alpha)
            continue;
        uint8_t bytes[1600];
        size_t size = t.tape.item[i].size;
        memcpy(bytes, t.tape.item[i].bytes, size);
        net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], bytes, size);
        bytes[15]++; /* the next counter */
        net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], bytes, size);
        bytes[size - 1] ^= 1;
        net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], bytes, size);
        net_run(&t.net, 100 * MILLISECOND);
    }
    assert_int_equal(t.beta->toys->moved, 0);
    assert_true(endpoint_equal(betas_way(&t), &t.alpha->endpoint[0]));
    two_done(&t);
}

/* A record that was overtaken by others, from where alpha was before. */
static uint8_t kept[1600];
static size_t kept_size;
static bool keep_one(struct net *net, struct tape *tape, struct box *from, uint8_t *bytes,
                     size_t size)
{
    if (from != &net->box[0] || tape->seen[0]++)
        return true;
    memcpy(kept, bytes, size);
    kept_size = size;
    return false;
}

static void an_old_record_moves_nothing(void **state)
{
    struct two t;
    two_init(&t, 4);
    struct endpoint before = t.alpha->endpoint[0];
    t.tape.judge = keep_one;
    assert_true(box_send_sized(t.alpha, t.beta, "beta.east.ip", 4, 8, 1024)); /* kept back */
    box_move(t.alpha, 0, 50);
    assert_true(box_send_sized(t.alpha, t.beta, "beta.east.ip", 4, 8, 1024));
    net_run(&t.net, SECOND);
    assert_true(endpoint_equal(betas_way(&t), &t.alpha->endpoint[0]));
    net_inject(&t.net, &before, &t.beta->endpoint[0], kept, kept_size);
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[0],
                     3); /* it is worth as much as the others, but is not the newest */
    assert_true(endpoint_equal(betas_way(&t), &t.alpha->endpoint[0]));
    assert_int_equal(t.beta->toys->moved, 1);
    two_done(&t);
}

/* alpha's records do not arrive; a stranger sends them from where he is, and gets the answers.  He may hand them on. */
struct mallory {
    bool hands_on;
};
static struct mallory mallory;
static bool take_all(struct net *net, struct tape *tape, struct box *from, uint8_t *bytes,
                     size_t size)
{
    struct endpoint at = net_endpoint(1, 66);
    const struct endpoint *to = &tape->item[tape->count - 1].to;
    if (from == &net->box[0])
        net_inject(net, &at, &net->box[1].endpoint[0], bytes, size);
    else if (mallory.hands_on && endpoint_equal(to, &at))
        net_inject(net, &net->box[1].endpoint[0], &net->box[0].endpoint[0], bytes, size);
    return from != &net->box[0];
}

/* Somebody who keeps records back and sends them from elsewhere leads nothing astray: the tunnel goes only to where an
 * answer comes from. */
static void records_from_nowhere_move_nothing(void **state)
{
    for (unsigned data = 0; data < 2; data++) {
        struct two t;
        two_init(&t, 9 + data);
        mallory.hands_on = false;
        t.tape.judge = take_all;
        if (data) {
            assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
        } else {
            path_control_hello(t.alpha->e, t.net.now, box_path(t.alpha, "beta.east.ip"));
            box_pump(t.alpha);
        }
        net_run(&t.net, 100 * MILLISECOND);
        assert_int_equal(t.beta->got[0],
                         1 + data); /* it is worth as much as if alpha had sent it */
        assert_int_equal(t.beta->toys->moved, 0);
        assert_true(endpoint_equal(betas_way(&t), &t.alpha->endpoint[0]));
        t.tape.judge = NULL;
        assert_true(box_send(t.beta, t.alpha, "alpha.east.ip", 4));
        net_run(&t.net, SECOND);
        assert_int_equal(t.alpha->got[1], 1);
        two_done(&t);
    }
}

/* Who hands on both ways is a way like any other. */
static void who_hands_on_is_a_way(void **state)
{
    struct two t;
    two_init(&t, 11);
    mallory.hands_on = true;
    t.tape.judge = take_all;
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_true(endpoint_equal(betas_way(&t), &t.mallory));
    t.tape.judge = NULL; /* he has gone: the next record shows where alpha is */
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_true(endpoint_equal(betas_way(&t), &t.alpha->endpoint[0]));
    two_done(&t);
}

/* A question that is lost is asked again with the next record, and the same place is not asked for each. */
static instant lost_until;
static bool lose_for_a_while(struct net *net, struct tape *tape, struct box *from, uint8_t *bytes,
                             size_t size)
{
    return from != &net->box[1] || net->now > lost_until;
}

static void a_lost_question_is_asked_again(void **state)
{
    struct two t;
    two_init(&t, 12);
    t.tape.judge = lose_for_a_while;
    lost_until = t.net.now + 200 * MILLISECOND;
    box_move(t.alpha, 0, 50);
    unsigned before = t.tape.count, asked = 0;
    for (unsigned i = 0; i < 50; i++) {
        assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
        net_run(&t.net, 10 * MILLISECOND);
    }
    for (unsigned i = before; i < t.tape.count; i++)
        asked += t.tape.item[i].from == t.beta &&
                 endpoint_equal(&t.tape.item[i].to, &t.alpha->endpoint[0]);
    assert_int_equal(asked, 2);
    assert_true(endpoint_equal(betas_way(&t), &t.alpha->endpoint[0]));
    assert_int_equal(t.beta->toys->moved, 1);
    two_done(&t);
}

/* A gateway takes records to pass on from the link's current endpoint only. */
static void a_gateway_follows_the_link(void **state)
{
    struct trio t;
    trio_init(&t, 5, NULL);
    box_open(t.alpha, VIA_GATE);
    net_run(&t.net, SECOND);
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
    net_run(&t.net, 10 * SECOND);
    box_move(t.alpha, 0, 50);
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
    net_run(&t.net, 100 * MILLISECOND);
    assert_int_equal(t.beta->got[0], 1);
    assert_int_equal(box_drops(t.gate, DROP_WRONG_ENDPOINT), 1);
    /* Nobody told us of the new address; the silence does, before the path is lost. */
    net_run(&t.net, 6 * SECOND);
    assert_int_equal(t.alpha->downs, 0);
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[0], 2);
    trio_check_same(&t);
    trio_done(&t);
}

/* Both move at once: the first record of either finds the other by what its overlay knows. */
static void both_move(void **state)
{
    struct two t;
    two_init(&t, 6);
    box_move(t.alpha, 0, 50);
    box_move(t.beta, 0, 51);
    for (unsigned i = 0; i < 30 && t.beta->got[0] < 2; i++) {
        box_send(t.alpha, t.beta, "beta.east.ip", 4);
        net_run(&t.net, SECOND);
    }
    assert_true(t.beta->got[0] >= 2);
    two_done(&t);
}

/* An open of the neighbour's, while we look for it ourselves: its proof shows where it is. */
static void a_proof_ends_the_search(void **state)
{
    struct two t;
    net_init(&t.net, 7);
    t.alpha = box_new(&t.net, "alpha", "east", NULL);
    t.beta = box_new(&t.net, "beta", "east", NULL);
    tape_start(&t.tape, &t.net);
    box_start(t.alpha);
    box_start(t.beta);
    /* alpha looks for beta, and its overlay takes its time. */
    struct name_chain chain = {.count = 1};
    struct path_out o;
    uint32_t tunnel = 0;
    strcpy(chain.hop[0].text, "beta.east.ip");
    path_open(t.alpha->e, t.net.now, &chain, 7);
    while (path_output(t.alpha->e, &o))
        if (o.kind == PATH_OUT_TUNNEL_OPEN)
            tunnel = o.tunnel;
    assert_true(tunnel);
    struct toy *toy = base_calloc(1, sizeof *toy); /* what the overlay keeps of it */
    toy->id = tunnel;
    toy->suspected = 77;
    strcpy(toy->host, "beta");
    t.alpha->toys = toy;
    struct answer *b = box_open(t.beta, "alpha.east.ip");
    net_run(&t.net, SECOND);
    assert_true(b->up);
    assert_true(box_up(t.alpha, "beta.east.ip"));
    assert_int_equal(t.alpha->toys->suspected, 0); /* closed, and accepted anew with the number */
    assert_int_equal(t.alpha->toys->id, tunnel);
    assert_true(endpoint_equal(&t.alpha->toys->remote, &t.beta->endpoint[0]));
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[0], 1);
    two_done(&t);
}

/* A recipe points at what the module keeps: the module hears that the tunnel is closed when no
 * worker can follow the recipe any more, and not before.  What is opened meanwhile is another
 * tunnel. */
static void a_tunnel_closes_behind_its_workers(void **state)
{
    for (unsigned stateful = 0; stateful < 2; stateful++) {
        struct two t;
        two_init(&t, 8);
        uint64_t sequence = 0;
        struct neighbour *n = box_neighbour(t.alpha, "beta.east.ip");
        uint32_t tunnel = n->tunnel;
        if (stateful) {
            struct recipe r;
            const struct recipe_patch count = {.kind = PATCH_SEQUENCE16, .sequence = &sequence};
            recipe_begin(&r);
            assert_true(recipe_add_prepend(&r, "--", 2, &count, 1));
            assert_true(recipe_add_send(&r, 0, NULL, &t.beta->endpoint[0], 0));
            path_neighbour_set_recipe(t.alpha->e, n, &r);
        }
        box_stick(t.alpha, true);
        path_tunnel_failed(t.alpha->e, t.net.now, tunnel, false, "gone");
        box_pump(t.alpha);
        assert_int_equal(t.alpha->toys != NULL, stateful);
        box_open(t.alpha, "beta.east.ip");
        net_run(&t.net, SECOND);
        assert_non_null(t.alpha->toys);
        assert_int_equal(t.alpha->toys->next != NULL, stateful);
        box_stick(t.alpha, false);
        box_pump(t.alpha);
        assert_non_null(t.alpha->toys);
        assert_null(t.alpha->toys->next);
        assert_int_equal(t.alpha->toys->id != tunnel, stateful);
        assert_true(box_up(t.alpha, "beta.east.ip"));
        two_done(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_data_record_moves_the_tunnel),
        cmocka_unit_test(a_control_record_moves_the_tunnel),
        cmocka_unit_test(copies_move_nothing),
        cmocka_unit_test(an_old_record_moves_nothing),
        cmocka_unit_test(records_from_nowhere_move_nothing),
        cmocka_unit_test(who_hands_on_is_a_way),
        cmocka_unit_test(a_lost_question_is_asked_again),
        cmocka_unit_test(a_gateway_follows_the_link),
        cmocka_unit_test(both_move),
        cmocka_unit_test(a_proof_ends_the_search),
        cmocka_unit_test(a_tunnel_closes_behind_its_workers),
    };
    return cmocka_run_group_tests_name("path_move", tests, NULL, NULL);
}
