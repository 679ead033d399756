#include "path/mtu_search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/seeded.h"

/* A way that carries records up to `mtu`, loses some, and answers what arrives after `rtt`. */
struct way {
    uint16_t mtu;
    unsigned loss; /* per thousand, each direction */
    instant rtt;
    instant change_at; /* from then on `then` */
    uint16_t then;
    struct seeded seeded;
};

struct answer {
    uint32_t number;
    instant at;
};

struct run {
    struct way *way;
    struct mtu_search search;
    struct answer answer[3 * MTU_SEARCH_ROUNDS];
    unsigned answers, probes;
    uint32_t number;
    instant now;
    uint64_t bytes;
};

static bool arrives(struct run *r, uint16_t size)
{
    struct way *w = r->way;
    uint16_t mtu = w->change_at && r->now >= w->change_at ? w->then : w->mtu;
    bool lost = entropy_below(&w->seeded.entropy, 1000) < w->loss;
    lost |= entropy_below(&w->seeded.entropy, 1000) < w->loss; /* on the way back */
    return size <= mtu && !lost;
}

static void probe(struct run *r, uint32_t number, uint16_t size)
{
    r->probes++;
    r->bytes += size;
    if (arrives(r, size))
        r->answer[r->answers++] = (struct answer){number, r->now + r->way->rtt};
}

static void hear(struct run *r)
{
    for (unsigned i = 0; i < r->answers; i++)
        if (r->answer[i].at == r->now)
            assert_true(path_mtu_search_heard(&r->search, r->now, r->answer[i].number));
}

static void turn(struct run *r)
{
    hear(r);
    if (path_mtu_search_due(&r->search, r->now)) {
        uint16_t size = r->search.size;
        assert_in_range(size, MTU_SEARCH_LEAST, r->search.most);
        r->number += 2;
        path_mtu_search_sent(&r->search, r->now, r->number);
        probe(r, r->number, size);
        probe(r, r->number + 1, 37);
        probe(r, r->number + 1, 37);
    }
    instant next = r->search.next;
    for (unsigned i = 0; i < r->answers; i++)
        if (r->answer[i].at > r->now)
            next = instant_min(next, r->answer[i].at);
    r->now = next > r->now ? next : r->now + 1;
}

static void run(struct run *r, struct way *w, uint16_t mtu, uint16_t first, uint16_t most)
{
    *r = (struct run){.way = w, .now = 5 * SECOND};
    path_mtu_search_begin(&r->search, r->now, mtu, first, most, 0);
    while (!r->search.over) {
        turn(r);
        assert_true(r->now < 10 * MINUTE);
    }
    assert_true(r->probes <= 3 * MTU_SEARCH_ROUNDS);
}

static struct way way(uint16_t mtu, unsigned loss)
{
    struct way w = {.mtu = mtu, .loss = loss, .rtt = 40 * MILLISECOND};
    seeded_init(&w.seeded, 1000 + mtu);
    return w;
}

/* The usual case costs one probe, its witness, and one round trip. */
static void test_fits(void **state)
{
    struct way w = way(1500, 0);
    struct run r;
    run(&r, &w, 1472, 1472, 1472);
    assert_int_equal(r.search.mtu, 1472);
    assert_int_equal(r.search.low, 1472);
    assert_int_equal(r.probes, 3);
    assert_int_equal(r.now, 5 * SECOND + w.rtt + 1);
    assert_false(r.search.failed_any);
}

/* Whatever the way carries is found to the grain, soon, and data goes on meanwhile. */
static void test_every_mtu(void **state)
{
    struct run r;
    for (uint16_t mtu = MTU_SEARCH_LEAST; mtu < 9100; mtu += mtu < 1500 ? 1 : 13) {
        struct way w = way(mtu, 0);
        run(&r, &w, 8972, 8972, 8972);
        uint16_t best = mtu < 8972 ? mtu : 8972;
        assert_in_range(r.search.mtu, best - MTU_SEARCH_GRAIN + 1, best);
        assert_int_equal(r.search.low, r.search.mtu);
        assert_true(r.now - 5 * SECOND < 10 * SECOND);
    }
    static const uint16_t usual[] = {1472, 1452, 1392, 1252, 1096, 548, 8972};
    for (unsigned i = 0; i < sizeof usual / sizeof *usual; i++) {
        struct way w = way(usual[i], 0);
        run(&r, &w, 8972, 8972, 8972);
        assert_int_equal(r.search.mtu, usual[i]); /* multiples of four: exactly */
    }
}

/* A hole is left within strikes: long before the search is over. */
static void test_falls_soon(void **state)
{
    struct way w = way(1392, 0);
    struct run r = {.way = &w, .now = SECOND};
    path_mtu_search_begin(&r.search, r.now, 1472, 1472, 1472, w.rtt);
    while (r.search.mtu == 1472)
        turn(&r);
    assert_int_equal(r.search.mtu, 1232);
    assert_int_equal(r.probes, 3 * (MTU_SEARCH_STRIKES + 1)); /* the last ones are smaller */
    assert_true(r.now - SECOND < 400 * MILLISECOND);
    while (!r.search.over)
        turn(&r);
    assert_int_equal(r.search.mtu, 1392);
}

/* Trying more, where there is no more, costs one size; where there is, it is found. */
static void test_more(void **state)
{
    struct way w = way(1400, 0);
    struct run r;
    run(&r, &w, 1400, 1404, 1472);
    assert_int_equal(r.search.mtu, 1400);
    assert_int_equal(r.search.low, 1400);
    assert_int_equal(r.probes, 3 * (MTU_SEARCH_STRIKES + 1));
    w.mtu = 9000;
    run(&r, &w, 1400, 1404, 8972);
    assert_int_equal(r.search.mtu, 8972);
    assert_int_equal(r.probes, 6);
    w.mtu = 4000;
    run(&r, &w, 1400, 1404, 8972);
    assert_int_equal(r.search.mtu, 4000);
}

/* Loss is not taken for an MTU: with the seeds given, almost never, and then by little. */
static void test_loss(void **state)
{
    static const struct {
        unsigned loss, wrong;
    } most[] = {{10, 0}, {50, 5}, {100, 15}, {200, 40}};
    for (unsigned i = 0; i < 4; i++) {
        unsigned wrong = 0, silent = 0;
        for (unsigned seed = 0; seed < 500; seed++) {
            struct way w = {.mtu = 1472, .loss = most[i].loss, .rtt = 20 * MILLISECOND};
            struct run r;
            seeded_init(&w.seeded, 7000 * i + seed);
            run(&r, &w, 1472, 1472, 1472);
            wrong += r.search.mtu != 1472;
            silent += !r.search.low;
        }
        assert_in_range(wrong, 0, most[i].wrong);
        assert_in_range(silent, 0, most[i].wrong);
    }
    for (unsigned seed = 0; seed < 500; seed++) { /* too much is never taken */
        struct way w = {.mtu = 1392, .loss = 50, .rtt = 20 * MILLISECOND};
        struct run r;
        seeded_init(&w.seeded, 90000 + seed);
        run(&r, &w, 1472, 1472, 1472);
        assert_in_range(r.search.mtu, 128, 1392);
    }
}

/* Nothing is answered: nothing is learnt, nothing changes, and it ends. */
static void test_dead(void **state)
{
    struct way w = way(1472, 1000);
    struct run r;
    run(&r, &w, 1472, 1472, 1472);
    assert_int_equal(r.search.mtu, 1472);
    assert_int_equal(r.search.low, 0);
    assert_true(r.probes <= 18);
}

/* The way changes in the middle of a search: what is found is never more than it carries when the
 * search ends, or the next search finds it. */
static void test_changes(void **state)
{
    for (unsigned i = 0; i < 400; i++) {
        struct way w = way(1472, 20);
        struct run r;
        seeded_init(&w.seeded, 5000 + i);
        w.mtu = i % 2 ? 1472 : 1300;
        w.then = i % 2 ? 1300 : 1472;
        w.change_at = 5 * SECOND + (instant)i * 5 * MILLISECOND;
        run(&r, &w, 1472, 1472, 1472);
        for (unsigned again = 0; again < 3 && r.search.mtu > w.then; again++) {
            uint16_t mtu = r.search.mtu;
            run(&r, &w, mtu, mtu, mtu);
        }
        w.mtu = w.then;
        w.change_at = 0;
        run(&r, &w, r.search.mtu, r.search.mtu, 1472);
        assert_in_range(r.search.mtu, w.then - 8, w.then);
    }
}

/* Numbers that were never sent, or not by this search, move nothing. */
static void test_lies(void **state)
{
    struct way w = way(600, 0);
    struct run r = {.way = &w, .now = SECOND};
    struct mtu_search before;
    path_mtu_search_begin(&r.search, r.now, 1472, 1472, 1472, w.rtt);
    assert_false(path_mtu_search_heard(&r.search, r.now, 0));
    while (!r.search.over) {
        turn(&r);
        before = r.search;
        assert_false(path_mtu_search_heard(&r.search, r.now, r.number + 2));
        assert_false(path_mtu_search_heard(&r.search, r.now, r.number + 3));
        assert_false(path_mtu_search_heard(&r.search, r.now, 1));
        assert_memory_equal(&before, &r.search, sizeof before);
    }
    assert_int_equal(r.search.mtu, 600);
}

/* An answer that comes late still counts, also when the size had been given up. */
static void test_late(void **state)
{
    struct way w = way(1000, 0);
    struct run r = {.way = &w, .now = SECOND};
    path_mtu_search_begin(&r.search, r.now, 1472, 1472, 1472, w.rtt);
    while (r.search.mtu == 1472)
        turn(&r);
    assert_true(path_mtu_search_heard(&r.search, r.now, r.number - 2));
    assert_int_equal(r.search.mtu, 1472);
    assert_true(r.search.over);
}

/* What is certain ends the guessing. */
static void test_limits(void **state)
{
    struct way w = way(1292, 0);
    struct run r = {.way = &w, .now = SECOND};
    path_mtu_search_begin(&r.search, r.now, 1472, 1472, 1472, w.rtt);
    turn(&r);
    path_mtu_search_limit(&r.search, r.now, 1471,
                          1292); /* the kernel refused 1472 and thinks 1292 */
    assert_int_equal(r.search.mtu, 1292);
    assert_int_equal(r.search.size, 1292);
    while (!r.search.over)
        turn(&r);
    assert_int_equal(r.search.mtu, 1292);

    w.mtu = 1440; /* a forged guess does not last */
    path_mtu_search_begin(&r.search, r.now, 1472, 1472, 1472, w.rtt);
    path_mtu_search_limit(&r.search, r.now, 1471, 600);
    assert_int_equal(r.search.mtu, 600);
    while (!r.search.over)
        turn(&r);
    assert_int_equal(r.search.mtu, 1440);

    path_mtu_search_begin(&r.search, r.now, 1400, 1404, 8972, w.rtt); /* a gateway knows */
    turn(&r);
    path_mtu_search_limit(&r.search, r.now, 1420, 1420);
    assert_int_equal(r.search.most, 1420);
    while (!r.search.over)
        turn(&r);
    assert_int_equal(r.search.mtu, 1420);
    struct mtu_search before = r.search;
    path_mtu_search_limit(&r.search, r.now, 5, 5); /* nonsense */
    path_mtu_search_limit(&r.search, r.now, 9000, 9000);
    assert_memory_equal(&before, &r.search, sizeof before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fits),       cmocka_unit_test(test_every_mtu),
        cmocka_unit_test(test_falls_soon), cmocka_unit_test(test_more),
        cmocka_unit_test(test_loss),       cmocka_unit_test(test_dead),
        cmocka_unit_test(test_changes),    cmocka_unit_test(test_lies),
        cmocka_unit_test(test_late),       cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests_name("path_mtu_search", tests, NULL, NULL);
}
