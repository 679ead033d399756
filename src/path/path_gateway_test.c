#include "path/path_fixture.h"

#include <stdio.h>

/* Paths over gateways. */

/* first - g1 - g2 ... - last, each neighbouring pair in an instance of its own: n1, n2, ... */
struct chain {
    struct net net;
    struct box *box[NET_BOXES];
    unsigned gateways;
    char last[64], first[64];     /* names */
    char there[1024], back[1024]; /* chains */
};

/* Whom a host believes: its neighbours on both sides, about everybody behind them. */
static void beliefs(char *yaml, size_t room, unsigned index, unsigned gateways)
{
    size_t used = (size_t)snprintf(yaml, room, "policy: [{peer: '*', allow: any}]\n");
    if (gateways > 1 || index != 1)
        used += (size_t)snprintf(yaml + used, room - used, "believe:\n");
    if (index <= gateways && index + 1 <= gateways)
        used += (size_t)snprintf(yaml + used, room - used,
                                 "  - {gateway: g%u.n%u.ip, instances: [n%u.ip]}\n", index + 1,
                                 index + 1, gateways + 1);
    if (index > 1)
        used +=
            (size_t)snprintf(yaml + used, room - used,
                             "  - {gateway: g%u.n%u.ip, instances: [n1.ip]}\n", index - 1, index);
    if (index > 0 && index <= gateways)
        snprintf(yaml + used, room - used,
                 "forward: [{from: n%u.ip, to: n%u.ip}, {from: n%u.ip, to: n%u.ip}]\n", index,
                 index + 1, index + 1, index);
}

static void chain_init(struct chain *c, uint64_t seed, unsigned gateways)
{
    char yaml[2048], name[16], instances[16];
    memset(c, 0, sizeof *c);
    net_init(&c->net, seed);
    c->gateways = gateways;
    for (unsigned i = 0; i <= gateways + 1; i++) {
        bool end = i == 0 || i == gateways + 1;
        snprintf(name, sizeof name, i == 0 ? "first" : end ? "last" : "g%u", i);
        if (end)
            snprintf(instances, sizeof instances, "n%u", i ? i : 1);
        else
            snprintf(instances, sizeof instances, "n%u n%u", i, i + 1);
        beliefs(yaml, sizeof yaml, i, gateways);
        c->box[i] = box_new(&c->net, name, instances, yaml);
        c->box[i]->data_lanes = 2;
        box_start(c->box[i]);
    }
    snprintf(c->first, sizeof c->first, "first.n1.ip");
    snprintf(c->last, sizeof c->last, "last.n%u.ip", gateways + 1);
    snprintf(c->there, sizeof c->there, "%s", c->last);
    snprintf(c->back, sizeof c->back, "%s", c->first);
    for (unsigned i = gateways; i > 0; i--) {
        size_t used = strlen(c->there);
        snprintf(c->there + used, sizeof c->there - used, ".via.g%u.n%u.ip", i, i);
    }
    for (unsigned i = 1; i <= gateways; i++) {
        size_t used = strlen(c->back);
        snprintf(c->back + used, sizeof c->back - used, ".via.g%u.n%u.ip", i, i + 1);
    }
}

static void check_chain(struct chain *c)
{
    struct box *first = c->box[0], *last = c->box[c->gateways + 1];
    uint64_t there = last->got[0], back = first->got[last->index];
    for (unsigned i = 0; i < 40; i++) {
        assert_true(box_send(first, last, c->last, i % 2 ? 4 : 6));
        assert_true(box_send(last, first, c->first, i % 2 ? 6 : 4));
    }
    net_run(&c->net, SECOND);
    assert_int_equal(last->got[0], there + 40);
    assert_int_equal(first->got[last->index], back + 40);
}

static void over_one_to_eight_gateways(void **state)
{
    for (unsigned gateways = 1; gateways <= 8; gateways++) {
        struct chain c;
        chain_init(&c, gateways, gateways);
        struct box *first = c.box[0], *last = c.box[gateways + 1];
        for (unsigned i = 1; i <= gateways; i++)
            c.box[i]->mtu[0] = (uint16_t)(1500 - 10 * i);
        for (unsigned known = 0; known < 2; known++) { /* XX, then IK */
            if (known)
                box_restart(first);
            struct answer *a = box_open(first, c.there);
            net_run(&c.net, SECOND);
            if (!a->up)
                fail_msg("%u gateways: %s", gateways, a->reason);
            struct path *p = box_path(first, c.last), *q = box_path(last, c.first);
            assert_string_equal(p->chain, c.there);
            assert_string_equal(q->chain, c.back);
            assert_memory_equal(p->id, q->id, HANDSHAKE_ID);
            assert_true(p->confirmed_at && !path_work(p)->confirm);
            assert_int_equal(p->record_mtu, 1500 - 10 * gateways);
            assert_int_equal(q->record_mtu, 1500 - 10 * gateways);
            assert_true(p->label_out != path_slot_label(last->e, q->slot));
            check_chain(&c);
        }
        assert_non_null(strstr(first->known, gateways > 1 ? "vouched for by g1.n1.ip"
                                                          : "vouched for by g1.n1.ip"));
        assert_non_null(strstr(last->known, "vouched for by"));
        for (unsigned i = 1; i <= gateways; i++) {
            struct path_count count;
            path_count(c.box[i]->e, &count);
            assert_true(count.transits >= 1);
            assert_int_equal(count.paths, 2 + (i == 1)); /* links; g1's old one to `first` drains */
        }
        net_done(&c.net);
    }
}

/* Warm links: one round trip from the question to the first packet. */
static void warm_links_one_round_trip(void **state)
{
    struct chain c;
    chain_init(&c, 20, 2);
    struct answer *a = box_open(c.box[0], c.there);
    net_run(&c.net, SECOND);
    assert_true(a->up);
    path_close(c.box[0]->e, c.net.now, a->path, "the test");
    box_pump(c.box[0]);
    net_run(&c.net, 5 * SECOND);
    assert_false(box_up(c.box[3], c.first));
    a = box_open(c.box[0], c.there);
    net_run(&c.net, 2 * 3 * 5 * MILLISECOND + MICROSECOND);
    assert_true(a->up);
    net_done(&c.net);
}

/* CLOSE frees what gateways keep, without waiting for their timers. */
static void a_closed_path_is_released_on_the_way(void **state)
{
    struct chain c;
    struct path_count count;
    chain_init(&c, 21, 3);
    struct answer *a = box_open(c.box[0], c.there);
    net_run(&c.net, SECOND);
    assert_true(a->up);
    path_close(c.box[0]->e, c.net.now, a->path, "enough");
    box_pump(c.box[0]);
    net_run(&c.net, 5 * SECOND);
    assert_string_equal(c.box[4]->last_down, "first.n1.ip closed the path: enough");
    for (unsigned i = 1; i <= 3; i++) {
        path_count(c.box[i]->e, &count);
        assert_int_equal(count.transits, 0);
    }
    net_done(&c.net);
}

/* ---- refusals ---- */

static void forwarding_is_closed_by_default(void **state)
{
    struct net net;
    net_init(&net, 30);
    struct box *alpha = box_new(&net, "alpha", "east", NULL),
               *gate =
                   box_new(&net, "gate", "east west", "forward: [{from: west.ip, to: east.ip}]\n"),
               *beta = box_new(&net, "beta", "west", NULL);
    box_start(alpha);
    box_start(gate);
    box_start(beta);
    struct answer *a = box_open(alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&net, SECOND);
    assert_true(a->failed && !a->unknown_host);
    assert_non_null(strstr(a->reason, "gate.east.ip"));
    assert_non_null(strstr(a->reason, "does not forward"));
    assert_non_null(strstr(gate->notices, "no line under `forward:` allows it"));
    assert_int_equal(beta->ups, 0);
    net_done(&net);
}

static void unknown_and_dead_hosts_are_told(void **state)
{
    struct trio t;
    trio_init(&t, 31, NULL);
    struct answer *a = box_open(t.alpha, "nobody.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->failed && a->unknown_host);
    assert_non_null(strstr(a->reason, "no member 'nobody' in west.ip"));

    box_stop(t.beta);
    a = box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, 11 * SECOND);
    assert_true(a->failed && !a->unknown_host);
    assert_non_null(strstr(a->reason, "no answer from beta.west.ip"));

    box_stop(t.gate);
    net_run(&t.net, MINUTE);
    a = box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, 11 * SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "no answer from gate.east.ip"));

    a = box_open(t.alpha, "beta.west.ip.via.nobody.east.ip");
    assert_true(a->failed && a->unknown_host);
    struct path_count count;
    net_run(&t.net, t.alpha->config->timers.idle); /* the link that fell silent is kept as long */
    path_count(t.alpha->e, &count);
    assert_int_equal(count.slots + count.tunnels + count.opens, 0);
    trio_done(&t);
}

/* The secret of the first hop is wrong: the reason is the link's, although the path asked. */
static void the_reason_is_the_links(void **state)
{
    struct trio t;
    trio_init(&t, 32, NULL);
    memset(t.alpha->keys[0].secret[0], 1, 32);
    box_restart(t.alpha);
    struct answer *a = box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, 11 * SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "secret mismatch"));
    trio_done(&t);
}

static void circles_are_refused(void **state)
{
    struct trio t;
    trio_init(&t, 33, NULL);
    /* gate is to forward to itself under its other name. */
    struct answer *a = box_open(t.alpha, "beta.west.ip.via.gate.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "circle"));
    trio_done(&t);

    /* g1 - g2 - back to g1 under another name. */
    struct net net;
    net_init(&net, 34);
    static const char forward[] =
        "forward: [{from: east.ip, to: west.ip}, {from: west.ip, to: n1.ip}, "
        "{from: n1.ip, to: west.ip}]\n";
    struct box *first = box_new(&net, "first", "east", NULL),
               *g1 = box_new(&net, "one", "east west n1", forward),
               *g2 = box_new(&net, "two", "west n1", "forward: [{from: west.ip, to: n1.ip}]\n");
    box_start(first);
    box_start(g1);
    box_start(g2);
    a = box_open(first, "x.west.ip.via.one.n1.ip.via.two.west.ip.via.one.east.ip");
    net_run(&net, 2 * SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "circle"));
    a = box_open(first, "first.east.ip.via.one.east.ip");
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "this host itself"));
    struct path_count count;
    path_count(g1->e, &count);
    assert_int_equal(count.transits, 0);
    net_done(&net);
}

/* A handshake that is being forwarded comes again over another link. */
static void a_known_handshake_from_elsewhere_is_refused(void **state)
{
    struct trio t;
    trio_init(&t, 35, NULL);
    box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    struct transit *transit = t.gate->e->transits;
    assert_non_null(transit);
    struct open_message m = {.record_mtu = 1400, .label = LABEL(5, 5, 0)};
    const char *reason;
    memcpy(m.id, transit->id, HANDSHAKE_ID);
    require(name_chain_parse("x.east.ip.via.gate.west.ip", &m.remaining, &reason));
    require(name_chain_parse("beta.west.ip", &m.travelled, &reason));
    path_gateway_open(t.gate->e, t.net.now, box_neighbour(t.gate, "beta.west.ip")->link, &m);
    box_pump(t.gate);
    assert_ptr_equal(t.gate->e->transits, transit);
    assert_int_equal(HASH_COUNT(t.gate->e->transits), 1);
    net_run(&t.net, SECOND);
    trio_check_same(&t);
    trio_done(&t);
}

static void limits_hold(void **state)
{
    struct trio t;
    char name[64];
    trio_init(&t, 36, NULL);
    box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    struct neighbour *n = box_neighbour(t.gate, "alpha.east.ip");
    n->transits += TRANSITS_PER_LINK;
    struct answer *a = box_open(t.alpha, "gamma.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "too many paths"));
    n->transits -= TRANSITS_PER_LINK;

    for (unsigned i = 0; i < OPENS_PER_SECOND + 20; i++) {
        t.alpha->answers = 0;
        snprintf(name, sizeof name, "x%u.west.ip.via.gate.east.ip", i);
        box_open(t.alpha, name);
    }
    net_run(&t.net, SECOND);
    assert_int_equal(box_drops(t.gate, DROP_RATE_LIMITED), 20);
    trio_done(&t);
}

/* A member that fills all labels of a gateway gets refusals, and the gateway lives. */
static void labels_run_out(void **state)
{
    struct trio t;
    trio_init(&t, 37, NULL);
    box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    uint32_t used = t.gate->e->slots_used;
    t.gate->e->slots_used = LABEL_SLOTS / 4 * 3;
    for (uint32_t slot; (slot = path_slot_take(t.gate->e, SLOT_TRANSIT, NULL));)
        path_slot_free(t.gate->e, slot);
    struct answer *a = box_open(t.alpha, "gamma.west.ip.via.gate.east.ip");
    struct answer *b = box_open(t.gate, "beta.west.ip.via.alpha.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "too many paths"));
    assert_true(b->failed);
    assert_non_null(strstr(b->reason, "too many paths"));
    t.gate->e->slots_used = used;
    trio_done(&t);
}

/* ---- idle ---- */

static void an_idle_entry_goes_and_comes_again(void **state)
{
    struct trio t;
    struct path_count count;
    trio_init(&t, 40, NULL);
    box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    for (unsigned i = 0; i < 10; i++) { /* in use it stays */
        assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
        net_run(&t.net, MINUTE);
    }
    path_count(t.gate->e, &count);
    assert_int_equal(count.transits, 1);
    assert_int_equal(t.beta->got[t.alpha->index], 10);
    net_run(&t.net, 5 * MINUTE);
    path_count(t.gate->e, &count);
    assert_int_equal(count.transits, 0);
    assert_true(box_up(t.alpha, "beta.west.ip"));

    /* The first packet finds nothing there, and brings the path back by its travelled hops. */
    assert_true(box_send(t.beta, t.alpha, "alpha.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_true(box_send(t.beta, t.alpha, "alpha.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.alpha->got[t.beta->index], 1);
    trio_check_same(&t);
    path_count(t.gate->e, &count);
    assert_int_equal(count.transits, 1);
    trio_done(&t);
}

static void an_unfinished_entry_goes_soon(void **state)
{
    struct trio t;
    struct path_count count;
    trio_init(&t, 41, NULL);
    struct answer *a = box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    while (!tape_count(&(struct tape){0}, NULL, 0) && !HASH_COUNT(t.gate->e->transits))
        net_run(&t.net, MILLISECOND);
    box_stop(t.alpha);
    net_run(&t.net, 25 * SECOND);
    path_count(t.gate->e, &count);
    assert_int_equal(count.transits, 0);
    path_count(t.beta->e, &count);
    assert_int_equal(count.halves, 0);
    assert_false(a->failed);
    trio_done(&t);
}

/* The tunnel behind a gateway carries less than was known: the ends hear of it. */
static void a_smaller_tunnel_is_told(void **state)
{
    struct trio t;
    trio_init(&t, 42, NULL);
    box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    assert_int_equal(box_path(t.alpha, "beta.west.ip")->record_mtu, 1500);
    struct neighbour *n = box_neighbour(t.gate, "beta.west.ip");
    struct recipe smaller;
    recipe_unpack(&smaller, path_neighbour_recipe(n));
    smaller.mtu = 1300;
    path_neighbour_set_recipe(t.gate->e, n, &smaller);
    assert_true(box_send_sized(t.alpha, t.beta, "beta.west.ip", 4, 1400, 1025));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 0);
    assert_int_equal(box_path(t.alpha, "beta.west.ip")->record_mtu, 1300);
    assert_true(box_send_sized(t.alpha, t.beta, "beta.west.ip", 4, 1240, 1025));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 1); /* in pieces */
    /* And at once when the kernel told the gateway. */
    path_tunnel_too_big(t.gate->e, t.net.now, &t.beta->endpoint[0], 1300, 1200);
    box_pump(t.gate);
    net_run(&t.net, SECOND);
    assert_int_equal(box_path(t.alpha, "beta.west.ip")->record_mtu, 1200);
    trio_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_one_to_eight_gateways),
        cmocka_unit_test(warm_links_one_round_trip),
        cmocka_unit_test(a_closed_path_is_released_on_the_way),
        cmocka_unit_test(forwarding_is_closed_by_default),
        cmocka_unit_test(unknown_and_dead_hosts_are_told),
        cmocka_unit_test(the_reason_is_the_links),
        cmocka_unit_test(circles_are_refused),
        cmocka_unit_test(a_known_handshake_from_elsewhere_is_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(labels_run_out),
        cmocka_unit_test(an_idle_entry_goes_and_comes_again),
        cmocka_unit_test(an_unfinished_entry_goes_soon),
        cmocka_unit_test(a_smaller_tunnel_is_told),
    };
    return cmocka_run_group_tests_name("path_gateway", tests, NULL, NULL);
}
