#include "path/path_fixture.h"

#include <string.h>

/* Links that a module wants: without anybody's packets, awake, for as long as it says. */

#define EXTRA "timers: {park: 2s, close: 5s, give_up: 3s}\n"

struct two {
    struct net net;
    struct box *alpha, *beta;
};

static void two_init(struct two *t, uint64_t seed)
{
    net_init(&t->net, seed);
    t->alpha = box_new(&t->net, "alpha", "east", EXTRA);
    t->beta = box_new(&t->net, "beta", "east", EXTRA);
    box_start(t->alpha);
    box_start(t->beta);
}

/* Both do, as modules that talk: whom nobody wants closes an idle link. */
static void want(struct two *t, bool wanted)
{
    path_link_want(t->alpha->e, t->net.now, 0, "beta", wanted);
    box_pump(t->alpha);
    if (t->beta->down)
        return;
    path_link_want(t->beta->e, t->net.now, 0, "alpha", wanted);
    box_pump(t->beta);
}

static void test_stays(void **state)
{
    struct two t;
    two_init(&t, 1);
    want(&t, true);
    net_run(&t.net, SECOND);
    assert_non_null(box_neighbour(t.alpha, "beta.east.ip")->link);
    net_run(&t.net, 60 * SECOND);
    struct neighbour *n = box_neighbour(t.alpha, "beta.east.ip");
    assert_true(n->wanted && n->link && n->link_told);
    assert_false(n->link->parked);
    want(&t, true); /* said again */
    want(&t, false);
    net_run(&t.net, 60 * SECOND);
    assert_null(box_neighbour(t.alpha, "beta.east.ip"));
    assert_null(box_neighbour(t.beta, "alpha.east.ip"));
    want(&t, false); /* of nobody */
    net_done(&t.net);
}

static void test_lost_and_wanted_again(void **state)
{
    struct two t;
    two_init(&t, 2);
    want(&t, true);
    net_run(&t.net, SECOND);
    box_stop(t.beta);
    net_run(&t.net, 60 * SECOND);
    struct neighbour *n = box_neighbour(t.alpha, "beta.east.ip");
    assert_true(n && n->wanted && !n->link && !n->link_told);
    box_start(t.beta);
    net_run(&t.net, 10 * SECOND);
    assert_null(n->link); /* the module says when to try again */
    want(&t, true);
    net_run(&t.net, 5 * SECOND);
    assert_non_null(n->link);
    net_done(&t.net); /* and ends while it is wanted */
}

static void test_not_oneself(void **state)
{
    struct two t;
    struct path_count count;
    two_init(&t, 3);
    path_link_want(t.alpha->e, t.net.now, 0, "alpha", true);
    path_link_want(t.alpha->e, t.net.now, 0, "no name", true);
    box_pump(t.alpha);
    path_count(t.alpha->e, &count);
    assert_int_equal(count.tunnels, 0);
    net_done(&t.net);
}

/* By another way than the tunnel's, and not without a link. */
static void test_messages(void **state)
{
    struct two t;
    two_init(&t, 4);
    assert_false(path_link_message(t.alpha->e, t.net.now, 1, NULL, (const uint8_t *)"x", 1));
    want(&t, true);
    net_run(&t.net, SECOND);
    struct neighbour *n = box_neighbour(t.alpha, "beta.east.ip");
    struct recipe other = {0};
    assert_false(
        path_link_message(t.alpha->e, t.net.now, n->tunnel, &other, (const uint8_t *)"x", 1));
    recipe_unpack(&other, path_neighbour_recipe(n));
    uint64_t before = path_session_counter(n->link);
    assert_true(
        path_link_message(t.alpha->e, t.net.now, n->tunnel, &other, (const uint8_t *)"x", 1));
    assert_true(path_link_message(t.alpha->e, t.net.now, n->tunnel, NULL, (const uint8_t *)"x", 1));
    assert_true(path_session_counter(n->link) == before + 2);
    net_run(&t.net, SECOND);
    net_done(&t.net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stays), cmocka_unit_test(test_lost_and_wanted_again),
        cmocka_unit_test(test_not_oneself), cmocka_unit_test(test_messages)};
    return cmocka_run_group_tests_name("path_want", tests, NULL, NULL);
}
