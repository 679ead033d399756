#include "path/path_fixture.h"

#include <malloc.h>
#include <stdio.h>

/* Paths that nobody uses: they sleep, wake with the next counter, cost little, and end. */

#define VIA_GATE "beta.west.ip.via.gate.east.ip"

struct two {
    struct net net;
    struct box *alpha, *beta;
    struct tape tape;
};

static void two_init(struct two *t, uint64_t seed, const char *extra)
{
    net_init(&t->net, seed);
    t->alpha = box_new(&t->net, "alpha", "east", extra);
    t->beta = box_new(&t->net, "beta", "east", extra);
    tape_start(&t->tape, &t->net);
    box_start(t->alpha);
    box_start(t->beta);
    struct answer *a = box_open(t->alpha, "beta.east.ip");
    net_run(&t->net, SECOND);
    assert_true(a->up);
}

static void two_done(struct two *t)
{
    tape_stop(&t->tape, &t->net);
    net_done(&t->net);
}

static bool asleep(struct box *b, const char *name)
{
    const struct path *p = box_path(b, name);
    return p->parked && !p->parking && !atomic_load(&p->fwd->lane[1]);
}

/* ---- sleeping ---- */

static void an_idle_path_sleeps_and_wakes(void **state)
{
    struct trio t;
    trio_init(&t, 1, NULL);
    box_open(t.alpha, VIA_GATE);
    net_run(&t.net, SECOND);
    for (unsigned i = 0; i < 20; i++) {
        for (unsigned j = 0; j < 3; j++) {
            assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
            assert_true(box_send(t.beta, t.alpha, "alpha.east.ip", 6));
        }
        net_run(&t.net, SECOND);
        assert_int_equal(t.beta->got[0], 3 * (i + 1));
        assert_int_equal(t.alpha->got[2], 3 * (i + 1));
        net_run(&t.net, 90 * SECOND);
        assert_true(asleep(t.alpha, "beta.west.ip"));
        assert_true(asleep(t.beta, "alpha.east.ip"));
    }
    /* Counters went on: had one been used twice, the fixture would have said so. */
    const struct path *p = box_path(t.alpha, "beta.west.ip");
    assert_int_equal(path_session_parked_counter(p, 1), 60);
    assert_int_equal(p->rekeys, 0);
    trio_done(&t);
}

/* What was recorded before the path fell asleep is a replay when it wakes. */
static void sleepers_are_not_fooled(void **state)
{
    struct two t;
    two_init(&t, 2, NULL);
    for (unsigned i = 0; i < 5; i++)
        assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, 2 * MINUTE);
    assert_true(asleep(t.beta, "alpha.east.ip"));
    assert_int_equal(t.beta->got[0], 5);
    struct endpoint mallory = net_endpoint(1, 66);
    unsigned count = t.tape.count;
    for (unsigned i = 0; i < count; i++)
        if (t.tape.item[i].from == t.alpha && t.tape.item[i].bytes[0] == WIRE_RECORD)
            net_inject(&t.net, &mallory, &t.beta->endpoint[0], t.tape.item[i].bytes,
                       t.tape.item[i].size);
    net_run(&t.net, 200 * MILLISECOND);
    assert_int_equal(t.beta->got[0], 5);
    assert_int_equal(t.beta->doubled[0], 0);
    assert_int_equal(t.beta->toys->moved, 0);
    assert_true(box_drops(t.beta, DROP_REPLAYED) >= 5);
    /* They woke it for a moment, no longer. */
    net_run(&t.net, 3 * SECOND);
    assert_true(asleep(t.beta, "alpha.east.ip"));
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[0], 6);
    two_done(&t);
}

/* A worker that is in the middle of a batch still has the contexts: nothing is put away until it
 * has let go, and the path can wake meanwhile. */
static void a_worker_that_holds_on(void **state)
{
    struct two t;
    two_init(&t, 3, NULL);
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    box_stick(t.alpha, true);
    net_run(&t.net, 2 * MINUTE);
    const struct path *p = box_path(t.alpha, "beta.east.ip");
    assert_true(p->parked && p->parking);
    assert_null(atomic_load(&p->fwd->lane[1]));
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4)); /* wakes in between */
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[0], 2);
    assert_false(p->parked);
    net_run(&t.net, 2 * MINUTE);
    assert_true(p->parked && p->parking);
    box_stick(t.alpha, false);
    net_run(&t.net, 30 * SECOND);
    assert_true(asleep(t.alpha, "beta.east.ip"));
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[0], 3);

    /* And the path may go while it is being put to sleep. */
    net_run(&t.net, 58 * SECOND);
    box_stick(t.alpha, true);
    while (!p->parking)
        net_run(&t.net, 100 * MILLISECOND);
    path_close(t.alpha->e, t.net.now, p->slot, "now");
    box_pump(t.alpha);
    net_run(&t.net, 5 * SECOND);
    box_stick(t.alpha, false);
    struct path_count count;
    path_count(t.alpha->e, &count);
    assert_int_equal(count.slots, 0);
    two_done(&t);
}

/* Falling asleep at one end while the other has just replaced the keys. */
static void sleep_and_new_keys(void **state)
{
    for (unsigned i = 0; i < 30; i++) {
        struct two t;
        two_init(&t, 100 + i,
                 "timers: {rekey: 3s, old_keys: 1s, park: 2s, retry: 200ms}\npolicy: [{peer: '*', "
                 "allow: any}]\n");
        t.net.faults.loss = 5 * i;
        for (unsigned n = 0; n < 40; n++) {
            box_send(t.alpha, t.beta, "beta.east.ip", 4);
            box_send(t.beta, t.alpha, "alpha.east.ip", 4);
            net_run(&t.net, entropy_below(&t.net.seeded.entropy, 4000) * MILLISECOND);
        }
        static const enum drop_reason ours[] = {DROP_UNKNOWN_EPOCH, DROP_BAD_TAG, DROP_NO_KEY};
        for (unsigned r = 0; r < 3 && !i; r++) {
            assert_int_equal(box_drops(t.alpha, ours[r]), 0);
            assert_int_equal(box_drops(t.beta, ours[r]), 0);
        }
        t.net.faults.loss = 0;
        net_run(&t.net, 20 * SECOND);
        uint64_t got = t.beta->got[0];
        box_send(t.alpha, t.beta, "beta.east.ip", 4);
        net_run(&t.net, 20 * SECOND);
        box_send(t.alpha, t.beta, "beta.east.ip", 4);
        net_run(&t.net, SECOND);
        assert_true(t.beta->got[0] > got);
        two_done(&t);
    }
}

/* ---- keepalive ---- */

static unsigned datagrams_since(const struct tape *tape, const struct box *from, instant since)
{
    unsigned count = 0;
    for (unsigned i = 0; i < tape->count; i++)
        count += tape->item[i].from == from && tape->item[i].at > since;
    return count;
}

static void nothing_but_keepalives(void **state)
{
    struct two t;
    two_init(&t, 10, "timers: {keepalive: 20s}\n");
    net_run(&t.net, 2 * MINUTE);
    uint64_t woken_alpha = t.alpha->wakeups, woken_beta = t.beta->wakeups;
    instant start = t.net.now;
    net_run(&t.net, 10 * MINUTE);
    /* A question of the initiator every 20 s, and its answer. */
    assert_int_equal(datagrams_since(&t.tape, t.alpha, start), 30);
    assert_int_equal(datagrams_since(&t.tape, t.beta, start), 30);
    for (unsigned i = 1; i < t.tape.count; i++)
        if (t.tape.item[i].at > start && t.tape.item[i].from == t.alpha)
            assert_true(t.tape.item[i].size == RECORD_OVERHEAD + 5);
    /* One wake-up to send, one to see the path to sleep again. */
    assert_in_range(t.alpha->wakeups - woken_alpha, 30, 62);
    assert_in_range(t.beta->wakeups - woken_beta, 30, 62);
    two_done(&t);
}

/* Without a NAT on the way nothing is needed, and a path over gateways has none of its own. */
static void paths_over_gateways_are_silent(void **state)
{
    struct trio t;
    struct tape tape;
    trio_init(&t, 11, "timers: {keepalive: 20s}\n");
    tape_start(&tape, &t.net);
    box_open(t.alpha, VIA_GATE);
    net_run(&t.net, 2 * MINUTE);
    tape.count = 0;
    net_run(&t.net, 10 * MINUTE);
    assert_int_equal(tape_count(&tape, t.alpha, WIRE_RECORD), 30); /* to gate */
    assert_int_equal(tape_count(&tape, t.gate, WIRE_RECORD), 60);
    uint64_t woken = t.alpha->wakeups;
    net_run(&t.net, 10 * MINUTE);
    assert_true(t.alpha->wakeups - woken <= 64);
    tape_stop(&tape, &t.net);
    trio_done(&t);
}

/* The tunnel knows better how long its way stays open. */
static void the_tunnel_knows_its_nat(void **state)
{
    struct two t;
    net_init(&t.net, 12);
    t.net.keepalive_s = 5;
    t.alpha = box_new(&t.net, "alpha", "east", NULL);
    t.beta = box_new(&t.net, "beta", "east", NULL);
    tape_start(&t.tape, &t.net);
    box_start(t.alpha);
    box_start(t.beta);
    box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, MINUTE);
    instant start = t.net.now;
    net_run(&t.net, MINUTE);
    assert_int_equal(datagrams_since(&t.tape, t.alpha, start), 12);
    two_done(&t);
}

static void idle_paths_close(void **state)
{
    struct trio t;
    struct path_count count;
    trio_init(&t, 13, "timers: {close: 5m}\n");
    box_open(t.alpha, VIA_GATE);
    net_run(&t.net, SECOND);
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
    net_run(&t.net, 4 * MINUTE);
    assert_true(box_up(t.alpha, "beta.west.ip"));
    net_run(&t.net, 2 * MINUTE);
    assert_false(box_up(t.alpha, "beta.west.ip"));
    assert_false(box_up(t.beta, "alpha.east.ip"));
    /* The link was needed until then, and stays a while. */
    assert_true(box_up(t.alpha, "gate.east.ip"));
    net_run(&t.net, 10 * MINUTE);
    for (unsigned i = 0; i < 3; i++) {
        path_count(t.net.box[i].e, &count);
        assert_int_equal(count.paths + count.slots + count.tunnels + count.transits, 0);
    }
    trio_done(&t);
}

/* ---- cost ---- */

static size_t heap_in_use(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* One host with paths to many others over one gateway: what does a sleeping one cost? */
static void a_sleeping_path_is_small(void **state)
{
    enum { FEW = 200, MANY = 1700 };
    struct trio t;
    size_t at[2] = {0};
    trio_init(&t, 20, NULL);
    box_open(t.alpha, VIA_GATE);
    net_run(&t.net, SECOND);
    const struct path *example = box_path(t.alpha, "beta.west.ip");
    struct path_engine *e = t.alpha->e;
    for (unsigned n = 0; n < MANY; n++) {
        /* As if a host called x<n> had answered: path, session, peer, handles. */
        char name[64];
        struct name_chain chain;
        const char *reason;
        struct epoch_keys keys = example->keys;
        uint8_t key[32] = {(uint8_t)n, 1, (uint8_t)(n >> 8)};
        snprintf(name, sizeof name, "x%u.west.ip.via.gate.east.ip", n);
        require(name_chain_parse(name, &chain, &reason));
        struct path *p = path_new(e, &chain, true);
        p->aead = example->aead;
        p->record_mtu = example->record_mtu;
        keys.send[0] ^= (uint8_t)(n + 1); /* another key for each */
        keys.send[1] ^= (uint8_t)((n + 1) >> 8);
        path_set_label(e, p, LABEL(n + 1, 1, 0));
        path_session_create(e, p, 1);
        path_session_first(e, p, &keys);
        snprintf(name, sizeof name, "x%u.west.ip", n);
        path_stands(e, t.net.now, p, name, key, "vouched for by gate.east.ip", NULL);
        p->confirmed_at = t.net.now;
        path_attach(e, p->slot, &t.alpha->grips->fwd->v4, &t.alpha->grips->fwd->v6);
        struct path_out o;
        while (path_output(e, &o))
            ;
        if (n + 1 == FEW || n + 1 == MANY) {
            net_run(&t.net, 2 * MINUTE);
            assert_true(asleep(t.alpha, name));
            epoch_collect(t.alpha->epoch);
            at[n + 1 == MANY] = heap_in_use();
        }
    }
    size_t each = (at[1] - at[0]) / (MANY - FEW);
    print_message("a sleeping path over a gateway costs %zu bytes (struct path %zu, peer %zu)\n",
                  each, sizeof(struct path), sizeof(struct peer));
    assert_in_range(each, 0, 1024); /* 0: an allocator that does not tell */
    trio_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_path_sleeps_and_wakes),
        cmocka_unit_test(sleepers_are_not_fooled),
        cmocka_unit_test(a_worker_that_holds_on),
        cmocka_unit_test(sleep_and_new_keys),
        cmocka_unit_test(nothing_but_keepalives),
        cmocka_unit_test(paths_over_gateways_are_silent),
        cmocka_unit_test(the_tunnel_knows_its_nat),
        cmocka_unit_test(idle_paths_close),
        cmocka_unit_test(a_sleeping_path_is_small),
    };
    return cmocka_run_group_tests_name("path_idle", tests, NULL, NULL);
}
