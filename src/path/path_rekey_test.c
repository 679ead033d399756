#include "path/path_fixture.h"

/* New keys: under load, with loss, round the epoch byte, and by counter. */

static const char fast[] =
    "timers: {rekey: 1s, old_keys: 1s, retry: 100ms}\npolicy: [{peer: '*', allow: any}]\n";

struct two {
    struct net net;
    struct box *alpha, *beta;
};

static void two_init(struct two *t, uint64_t seed, const char *extra)
{
    net_init(&t->net, seed);
    t->alpha = box_new(&t->net, "alpha", "east", extra);
    t->beta = box_new(&t->net, "beta", "east", extra);
    t->alpha->data_lanes = 3;
    box_start(t->alpha);
    box_start(t->beta);
    struct answer *a = box_open(t->alpha, "beta.east.ip");
    net_run(&t->net, SECOND);
    assert_true(a->up);
}

static struct path *alphas(struct two *t)
{
    return box_path(t->alpha, "beta.east.ip");
}

static struct path *betas(struct two *t)
{
    return box_path(t->beta, "alpha.east.ip");
}

static void check_agree(struct two *t)
{
    struct path *a = alphas(t), *b = betas(t);
    assert_int_equal(a->keys.epoch, b->keys.epoch);
    assert_memory_equal(a->keys.send, b->keys.receive, 32);
    assert_memory_equal(a->keys.receive, b->keys.send, 32);
    assert_null(path_work(a)->rekey);
    assert_null(path_work(b)->next);
}

/* Both talk all the time. */
static void talk(struct two *t, instant span, instant pause)
{
    for (instant end = t->net.now + span; t->net.now < end;) {
        assert_true(box_send(t->alpha, t->beta, "beta.east.ip", 4));
        assert_true(box_send(t->beta, t->alpha, "alpha.east.ip", 6));
        net_run(&t->net, pause);
    }
    net_settle(&t->net);
}

static void check_no_drops(struct two *t)
{
    static const enum drop_reason ours[] = {
        DROP_UNKNOWN_EPOCH, DROP_BAD_TAG,     DROP_NO_KEY,        DROP_KEY_SPENT,
        DROP_UNKNOWN_LABEL, DROP_STALE_LABEL, DROP_BAD_HANDSHAKE, DROP_NO_PATH};
    for (unsigned i = 0; i < sizeof ours / sizeof *ours; i++) {
        assert_int_equal(box_drops(t->alpha, ours[i]), 0);
        assert_int_equal(box_drops(t->beta, ours[i]), 0);
    }
}

static void not_one_packet_is_lost(void **state)
{
    struct two t;
    two_init(&t, 1, fast);
    t.net.faults = (struct net_faults){.delay = 20 * MILLISECOND};
    talk(&t, 30 * SECOND, 7 * MILLISECOND);
    assert_int_equal(t.beta->got[t.alpha->index], t.alpha->sent[t.beta->index]);
    assert_int_equal(t.alpha->got[t.beta->index], t.beta->sent[t.alpha->index]);
    assert_true(alphas(&t)->rekeys > 10);
    check_no_drops(&t);
    check_agree(&t);
    net_done(&t.net);
}

static void reordering_loses_nothing_either(void **state)
{
    struct two t;
    two_init(&t, 2, fast);
    t.net.faults = (struct net_faults){
        .delay = 10 * MILLISECOND, .jitter = 10 * MILLISECOND, .reorder = 200, .duplicate = 100};
    talk(&t, 30 * SECOND, 11 * MILLISECOND);
    assert_int_equal(t.beta->got[t.alpha->index], t.alpha->sent[t.beta->index]);
    assert_int_equal(t.alpha->got[t.beta->index], t.beta->sent[t.alpha->index]);
    assert_true(alphas(&t)->rekeys > 10);
    assert_int_equal(t.beta->doubled[t.alpha->index], 0);
    check_no_drops(&t);
    net_done(&t.net);
}

/* The network loses a fifth; nothing else is lost: what was lost it lost, by count. */
static unsigned lost_records;
static bool count_lost(struct net *net, struct box *from, const struct endpoint *to, uint8_t *bytes,
                       size_t size)
{
    struct record_header h;
    bool data = record_read_header(bytes, size, &h) && LABEL_LANE(h.label);
    bool lost = entropy_below(&net->seeded.entropy, 5) == 0;
    lost_records += data && lost;
    return !lost;
}

static void loss_costs_what_it_costs(void **state)
{
    for (uint64_t seed = 10; seed < 13; seed++) {
        struct two t;
        two_init(&t, seed, fast);
        lost_records = 0;
        t.net.tap = count_lost;
        talk(&t, 30 * SECOND, 20 * MILLISECOND);
        uint64_t sent = t.alpha->sent[t.beta->index] + t.beta->sent[t.alpha->index];
        uint64_t got = t.beta->got[t.alpha->index] + t.alpha->got[t.beta->index];
        assert_int_equal(got, sent - lost_records);
        assert_true(alphas(&t)->rekeys > 5);
        check_no_drops(&t);
        t.net.tap = NULL;
        net_run(&t.net, 10 * SECOND);
        check_agree(&t);
        net_done(&t.net);
    }
}

static void epochs_go_round(void **state)
{
    struct two t;
    two_init(&t, 20, fast);
    talk(&t, 11 * MINUTE, 490 * MILLISECOND);
    assert_true(alphas(&t)->rekeys > 260);
    assert_int_equal(t.beta->got[t.alpha->index], t.alpha->sent[t.beta->index]);
    assert_int_equal(t.alpha->got[t.beta->index], t.beta->sent[t.alpha->index]);
    check_no_drops(&t);
    check_agree(&t);
    net_done(&t.net);
}

/* ---- who switches when ---- */

static bool lose_lane0_of_alpha(struct net *net, struct box *from, const struct endpoint *to,
                                uint8_t *bytes, size_t size)
{
    struct record_header h;
    return !(from == &net->box[0] && record_read_header(bytes, size, &h) &&
             LABEL_LANE(h.label) == 0);
}

/* The responder has the new keys, but sends with the old ones until a record under the new ones
 * came. */
static void the_responder_waits_for_a_record(void **state)
{
    struct two t;
    two_init(&t, 30, NULL);
    path_rekey_begin(t.alpha->e, t.net.now, alphas(&t));
    box_pump(t.alpha);
    net_run(&t.net, 6 * MILLISECOND); /* REKEY arrived, REKEY_REPLY is on its way */
    assert_non_null(path_work(betas(&t))->next);
    assert_int_equal(betas(&t)->keys.epoch, 0);
    assert_int_equal(alphas(&t)->keys.epoch, 0);
    t.net.tap = lose_lane0_of_alpha; /* REKEY_DONE does not arrive */
    net_run(&t.net, 500 * MILLISECOND);
    assert_int_equal(alphas(&t)->keys.epoch, 1);
    assert_int_equal(betas(&t)->keys.epoch, 0);
    for (unsigned i = 0; i < 20; i++) { /* data flows both ways all the same */
        assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
        assert_true(box_send(t.beta, t.alpha, "alpha.east.ip", 4));
        net_run(&t.net, 100 * MILLISECOND);
    }
    assert_int_equal(betas(&t)->keys.epoch, 0);
    assert_int_equal(t.beta->got[t.alpha->index], 20);
    assert_int_equal(t.alpha->got[t.beta->index], 20);
    t.net.tap = NULL;
    net_run(&t.net, 2 * SECOND);
    check_agree(&t);
    assert_int_equal(betas(&t)->keys.epoch, 1);
    check_no_drops(&t);
    net_done(&t.net);
}

/* Each REKEY is asked twice, with fresh records: the same answer, and the same keys. */
static void asked_twice_answered_the_same(void **state)
{
    struct two t;
    two_init(&t, 31, NULL);
    struct path *p = alphas(&t);
    for (unsigned i = 0; i < 3; i++) {
        path_rekey_begin(t.alpha->e, t.net.now, p);
        path_rekey_begin(t.alpha->e, t.net.now, p);
        box_pump(t.alpha);
        net_run(&t.net, 6 * MILLISECOND);
        assert_non_null(path_work(betas(&t))->next);
        struct epoch_keys first = *path_work(betas(&t))->next;
        path_rekey_begin(t.alpha->e, t.net.now, p);
        box_pump(t.alpha);
        net_run(&t.net, 3 * MILLISECOND);
        assert_memory_equal(&first, path_work(betas(&t))->next, sizeof first);
        net_run(&t.net, 40 * SECOND);
        check_agree(&t);
        assert_int_equal(p->keys.epoch, i + 1);
        assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
        net_run(&t.net, SECOND);
        assert_int_equal(t.beta->got[t.alpha->index], i + 1);
    }
    check_no_drops(&t);
    net_done(&t.net);
}

/* Late messages of rekeys that are through, and messages at the wrong end, are nothing. */
static void strange_messages_change_nothing(void **state)
{
    struct two t;
    two_init(&t, 32, NULL);
    path_rekey_begin(t.alpha->e, t.net.now, alphas(&t));
    box_pump(t.alpha);
    net_run(&t.net, 40 * SECOND);
    check_agree(&t);
    for (unsigned type = MESSAGE_REKEY; type <= MESSAGE_REKEY_DONE; type++)
        for (unsigned epoch = 0; epoch < 4; epoch++) {
            uint8_t bytes[100] = {(uint8_t)type, (uint8_t)epoch, 0, 96, 1, 2, 3};
            path_control_send(t.alpha->e, t.net.now, alphas(&t), bytes, sizeof bytes);
            path_control_send(t.beta->e, t.net.now, betas(&t), bytes, sizeof bytes);
            path_control_send(t.beta->e, t.net.now, betas(&t), bytes,
                              type == MESSAGE_REKEY_DONE ? 1 : 3);
            box_pump(t.alpha);
            box_pump(t.beta);
            net_run(&t.net, SECOND);
        }
    check_agree(&t);
    assert_int_equal(alphas(&t)->keys.epoch, 1);
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 1);
    net_done(&t.net);
}

/* Another path takes over while the keys of the first are being replaced: what is in flight on the
 * one that drains arrives, under whichever keys. */
static void a_path_that_drains_meanwhile(void **state)
{
    for (unsigned i = 0; i < 16; i++) {
        struct two t;
        two_init(&t, 60 + i, "policy: [{peer: '*', allow: any}]\n");
        struct path *p = alphas(&t);
        if (i & 1)
            path_rekey_begin(t.alpha->e, t.net.now, p);
        path_alive_suspect(i & 2 ? t.beta->e : t.alpha->e, t.net.now, i & 2 ? betas(&t) : p);
        box_pump(t.alpha);
        box_pump(t.beta);
        talk(&t, 2 * (i / 2) * MILLISECOND + MILLISECOND, MILLISECOND);
        if (!(i & 1) && p->state == PATH_STATE_UP)
            path_rekey_begin(t.alpha->e, t.net.now, p);
        box_pump(t.alpha);
        talk(&t, 300 * MILLISECOND, 3 * MILLISECOND);
        assert_int_equal(t.beta->got[t.alpha->index], t.alpha->sent[t.beta->index]);
        assert_int_equal(t.alpha->got[t.beta->index], t.beta->sent[t.alpha->index]);
        check_no_drops(&t);
        net_run(&t.net, MINUTE);
        check_agree(&t);
        net_done(&t.net);
    }
}

/* ---- by counter ---- */

/* As if a lane had sealed that much already. */
static void counter_is(struct box *b, struct path *p, unsigned lane, uint64_t counter)
{
    uint8_t key[32];
    record_lane_key(p->keys.send, (uint8_t)lane, p->keys.epoch, key);
    struct record_sealer *s = record_sealer_new(NULL, p->aead, key, p->keys.epoch, counter);
    record_sealer_free(atomic_exchange(&p->fwd->lane[lane]->sealer, s));
}

static void keys_are_due_by_counter(void **state)
{
    for (unsigned at_responder = 0; at_responder < 2; at_responder++) {
        struct two t;
        two_init(&t, 40 + at_responder, "policy: [{peer: '*', allow: any}]\n");
        struct box *b = at_responder ? t.beta : t.alpha;
        counter_is(b, at_responder ? betas(&t) : alphas(&t), 1, RECORD_REKEY_AT - 20);
        talk(&t, 10 * SECOND, 50 * MILLISECOND);
        assert_int_equal(alphas(&t)->rekeys, 1);
        check_agree(&t);
        assert_int_equal(t.beta->got[t.alpha->index], t.alpha->sent[t.beta->index]);
        assert_int_equal(t.alpha->got[t.beta->index], t.beta->sent[t.alpha->index]);
        net_done(&t.net);
    }
}

/* A key that sealed all it may is dead; the path is not: the control lane has its own counter. */
static void a_spent_key_stops_sending(void **state)
{
    struct two t;
    two_init(&t, 45, "policy: [{peer: '*', allow: any}]\n");
    for (unsigned lane = 1; lane < alphas(&t)->fwd->lanes; lane++)
        counter_is(t.alpha, alphas(&t), lane, RECORD_DEAD_AT);
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    assert_int_equal(box_drops(t.alpha, DROP_KEY_SPENT), 1);
    path_active(t.alpha->e, t.net.now, alphas(&t)->slot);
    net_run(&t.net, 3 * SECOND);
    assert_int_equal(alphas(&t)->rekeys, 1);
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 1);
    net_done(&t.net);
}

/* A peer that answers everything but a rekey: in the end the path is lost, since its keys would be
 * too old. */
static void who_never_rekeys_is_left(void **state)
{
    struct two t;
    two_init(&t, 46, fast);
    struct path *p = betas(&t);
    p->initiator = true; /* now both wait for the other's answer, and neither gives one */
    talk(&t, 3 * MINUTE, 500 * MILLISECOND);
    assert_true(t.alpha->downs + t.beta->downs > 0);
    net_done(&t.net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_one_packet_is_lost),
        cmocka_unit_test(reordering_loses_nothing_either),
        cmocka_unit_test(loss_costs_what_it_costs),
        cmocka_unit_test(epochs_go_round),
        cmocka_unit_test(the_responder_waits_for_a_record),
        cmocka_unit_test(asked_twice_answered_the_same),
        cmocka_unit_test(strange_messages_change_nothing),
        cmocka_unit_test(a_path_that_drains_meanwhile),
        cmocka_unit_test(keys_are_due_by_counter),
        cmocka_unit_test(a_spent_key_stops_sending),
        cmocka_unit_test(who_never_rekeys_is_left),
    };
    return cmocka_run_group_tests_name("path_rekey", tests, NULL, NULL);
}
