/* Whole meshes of the module: joining, failures, choice of ways, members that lie or flap, sampling, and what it costs. */
#include "overlay/ron/ron_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define MS(x) ((x)*MILLISECOND)

static const struct mesh_pair near = {.delay = MS(10)}, far = {.delay = MS(100)},
                              cut = {.delay = MS(10), .cut = true};

static bool all_linked(struct mesh *m)
{
    for (unsigned i = 0; i < m->count; i++)
        if (m->node[i].running && mesh_links(m, i) + 1 < m->count)
            return false;
    return true;
}

static bool by_a_hop(struct mesh *m)
{
    return mesh_hop(m, 0, 1) >= 0 && mesh_hop(m, 1, 0) >= 0;
}

static bool direct(struct mesh *m)
{
    return mesh_hop(m, 0, 1) < 0 && mesh_hop(m, 1, 0) < 0;
}

static struct mesh *mesh_up(unsigned count, uint64_t seed, const char *profile)
{
    struct mesh *m = mesh_new(count, 1, seed);
    mesh_options(m, "profile", profile);
    mesh_start_all(m);
    if (!mesh_until(m, all_linked, MINUTE, NULL))
        fail_msg("n0 has %u links, n1 %u", mesh_links(m, 0), mesh_links(m, 1));
    return m;
}

/* How many of `count` datagrams, one each 100 ms, arrive at b? */
static unsigned arrive(struct mesh *m, unsigned a, unsigned b, unsigned count)
{
    uint64_t before = m->node[b].got;
    for (unsigned i = 0; i < count; i++) {
        mesh_data(m, a, b);
        mesh_run(m, MS(100));
    }
    return (unsigned)(m->node[b].got - before);
}

/* ---- joining, leaving ---- */

static void test_one_member_is_enough(void **state)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct mesh *m = mesh_up(8, seed, "paper");
        for (unsigned i = 1; i < 8; i++)
            assert_int_equal(arrive(m, i, i % 7 + 1 == i ? 0 : i % 7 + 1, 3), 3);
        mesh_free(m);
    }
}

static void test_a_bad_network(void **state)
{
    const struct mesh_pair bad = {.delay = MS(30), .jitter = MS(60), .loss = 25, .doubles = 10};
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct mesh *m = mesh_new(6, 1, seed);
        mesh_options(m, "profile", seed % 2 ? "paper" : "fast");
        mesh_all_pairs(m, &bad);
        mesh_start_all(m);
        if (!mesh_until(m, all_linked, 5 * MINUTE, NULL))
            fail_msg("seed %u: n0 has %u links", (unsigned)seed, mesh_links(m, 0));
        mesh_all_pairs(m, &near);
        mesh_run(m, 3 * MINUTE);
        assert_true(all_linked(m));
        for (unsigned i = 1; i < 6; i++)
            assert_int_equal(arrive(m, 0, i, 5), 5);
        mesh_free(m);
    }
}

static void test_leaving_and_crashing(void **state)
{
    struct mesh *m = mesh_up(5, 3, "paper");
    mesh_stop(m, 2, true);
    mesh_run(m, MS(500));
    assert_true(ron_member_gone(mesh_member(m, 0, 2)));
    mesh_run(m, 2 * SECOND);
    assert_true(ron_member_gone(mesh_member(m, 4, 2)));
    mesh_stop(m, 3, false);
    mesh_run(m, MINUTE);
    assert_int_equal(mesh_links(m, 0), 2);
    assert_false(ron_member_gone(mesh_member(m, 0, 3))); /* perhaps it comes back */
    mesh_start(m, 2);
    mesh_start(m, 3);
    assert_true(mesh_until(m, all_linked, 3 * MINUTE, NULL));
    /* Whom nobody hears for long is forgotten, but those in the configuration. */
    mesh_stop(m, 4, false);
    mesh_stop(m, 0, false);
    mesh_run(m, 12 * MINUTE);
    assert_null(ron_member(mesh_ron(m, 1), "n4"));
    assert_non_null(ron_member(mesh_ron(m, 1), "n0"));
    mesh_free(m);
}

static void test_a_member_moves(void **state)
{
    struct mesh *m = mesh_up(4, 4, "paper");
    struct endpoint elsewhere = m->node[3].at;
    elsewhere.port =
        7401; /* the mesh delivers to 7400 only: nothing that is sent to the old place counts */
    mesh_member(m, 0, 3);
    struct overlay *o = m->node[0].module;
    struct arrival from = {.socket = 3, .remote = elsewhere};
    o->class->tunnel_moved(o, m->now, 3, &from);
    assert_true(endpoint_equal(&mesh_member(m, 0, 3)->direct, &elsewhere));
    mesh_run(m, SECOND); /* n3's own probes come from where it really is */
    assert_true(mesh_until(m, all_linked, MINUTE, NULL));
    mesh_run(m, 20 * SECOND);
    assert_true(endpoint_equal(&mesh_member(m, 0, 3)->direct, &m->node[3].at));
    mesh_free(m);
}

static int by_time(const void *a, const void *b)
{
    instant x = *(const instant *)a, y = *(const instant *)b;
    return x < y ? -1 : x > y;
}

/* Members that start at the same moment do not go on telling everybody everything at the same moments. */
static void test_rows_spread(void **state)
{
    enum { COUNT = 12, ROWS = COUNT * (COUNT - 1) };
    struct mesh *m = mesh_up(COUNT, 5, "paper");
    instant sent[ROWS];
    unsigned rows = 0, most = 0;
    mesh_run(m, 5 * MINUTE);
    for (unsigned i = 0; i < COUNT; i++)
        for (unsigned k = 0; k < COUNT; k++)
            if (i != k) {
                const struct ron_member *to = mesh_member(m, i, k);
                instant pause = to->row_due - to->row_sent;
                assert_in_range(pause, 12 * SECOND, 16 * SECOND);
                sent[rows++] = to->row_sent;
            }
    qsort(sent, rows, sizeof *sent, by_time);
    for (unsigned i = 0; i < rows; i++) {
        unsigned until = i;
        while (until < rows && sent[until] - sent[i] < MS(500))
            until++;
        most = until - i > most ? until - i : most;
    }
    if (most > ROWS / 8)
        fail_msg("%u of %u rows within half a second of fourteen", most, rows);
    mesh_free(m);
}

/* ---- failures ---- */

static void test_paper_goes_round(void **state)
{
    instant took, sum = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct mesh *m = mesh_up(4, seed, "paper");
        mesh_run(m, 30 * SECOND + (instant)seed * 700 * MILLISECOND);
        assert_true(direct(m));
        mesh_set(m, 0, 1, &cut);
        assert_true(mesh_until(m, by_a_hop, 30 * SECOND, &took));
        sum += took;
        assert_true(arrive(m, 0, 1, 10) >= 10 && arrive(m, 1, 0, 10) >= 10);
        mesh_set(m, 0, 1, &near);
        assert_true(mesh_until(m, direct, MINUTE, NULL));
        assert_int_equal(arrive(m, 0, 1, 10), 10);
        mesh_free(m);
    }
    assert_true(sum / 20 < 20 * SECOND); /* without any traffic that would tell sooner */
}

static void test_fast_goes_round(void **state)
{
    instant took;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct mesh *m = mesh_up(12, seed, "fast");
        mesh_run(m, 30 * SECOND);
        mesh_talk(m, 0, 1);
        mesh_run(m, 5 * SECOND + (instant)seed * 130 * MILLISECOND);
        mesh_set(m, 0, 1, &cut);
        assert_true(mesh_until(m, by_a_hop, 10 * SECOND, &took));
        if (took >= 3 * SECOND)
            fail_msg("seed %u: it took %lld ms", (unsigned)seed, (long long)(took / MILLISECOND));
        assert_int_equal(arrive(m, 0, 1, 10), 10);
        mesh_free(m);
    }
}

/* Eight ways in use at one member, and half of them fail at the same moment. */
static void test_fast_goes_round_all(void **state)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct mesh *m = mesh_up(12, seed, "fast");
        mesh_run(m, 30 * SECOND);
        for (unsigned i = 1; i <= 8; i++)
            mesh_talk(m, 0, i);
        mesh_run(m, 20 * SECOND + (instant)seed * 130 * MILLISECOND);
        for (unsigned i = 1; i <= 7; i += 2)
            mesh_set(m, 0, i, &cut);
        mesh_run(m, 3 * SECOND);
        for (unsigned i = 1; i <= 8; i++) {
            if ((mesh_hop(m, 0, i) >= 0) != (i % 2))
                fail_msg("seed %u: n%u by %d", (unsigned)seed, i, mesh_hop(m, 0, i));
            if (m->node[0].tunnel[i].unanswered &&
                m->now - m->node[0].tunnel[i].unanswered > MS(500))
                fail_msg("seed %u: n%u is silent", (unsigned)seed, i);
        }
        mesh_free(m);
    }
}

/* The hop in use fails as well: on to the next one. */
static void test_the_hop_fails(void **state)
{
    struct mesh *m = mesh_up(5, 6, "fast");
    instant took;
    mesh_run(m, 30 * SECOND);
    mesh_set(m, 0, 1, &cut);
    mesh_busy(m, 0, 1, OVERLAY_BUSY);
    assert_true(mesh_until(m, by_a_hop, 30 * SECOND, NULL));
    int first = mesh_hop(m, 0, 1);
    mesh_set(m, 0, (unsigned)first, &cut);
    mesh_set(m, 1, (unsigned)first, &cut);
    mesh_busy(m, 0, 1, OVERLAY_SILENT);
    bool moved = false;
    for (took = 0; took < 6 * SECOND && !moved; took += MS(100)) {
        mesh_run(m, MS(100));
        moved = mesh_hop(m, 0, 1) >= 0 && mesh_hop(m, 0, 1) != first;
    }
    assert_true(moved);
    assert_true(mesh_until(m, by_a_hop, 20 * SECOND, NULL));
    assert_int_equal(arrive(m, 0, 1, 5), 5);
    mesh_free(m);
}

/* ---- metrics ---- */

static struct mesh *three(const char *metric, const struct mesh_pair *between, uint64_t seed)
{
    struct mesh *m = mesh_new(3, 3, seed);
    mesh_options(m, "metric", metric);
    mesh_options(m, "probe-interval", "500ms");
    mesh_options(m, "update-interval", "1s");
    mesh_set(m, 0, 1, between);
    mesh_start_all(m);
    assert_true(mesh_until(m, all_linked, MINUTE, NULL));
    mesh_run(m, 2 * MINUTE);
    return m;
}

static void test_latency(void **state)
{
    struct mesh *m = three("latency", &far, 1);
    assert_int_equal(mesh_hop(m, 0, 1), 2);
    assert_int_equal(mesh_hop(m, 1, 0), 2);
    assert_true(mesh_member(m, 0, 1)->through.measure.rtt < MS(50));
    assert_int_equal(mesh_hop(m, 0, 2), -1);
    mesh_free(m);
    /* 42 ms by the hop are not enough better than 41, and 39 not by five percent. */
    m = three("latency", &(struct mesh_pair){.delay = MS(20) + 500 * MICROSECOND}, 1);
    assert_int_equal(mesh_hop(m, 0, 1), -1);
    mesh_free(m);
}

static void test_loss(void **state)
{
    const struct mesh_pair lossy = {.delay = MS(10), .loss = 20};
    struct mesh *m = three("loss", &lossy, 2);
    assert_int_equal(mesh_hop(m, 0, 1), 2);
    mesh_free(m);
    m = three("latency", &(struct mesh_pair){.delay = MS(10), .loss = 5}, 2);
    assert_int_equal(mesh_hop(m, 0, 1), -1);
    mesh_free(m);
}

static void test_throughput(void **state)
{
    /* 20 percent at 20 ms against none at 40 ms: 1 / (rtt * sqrt(p)) is three halves better by the hop. */
    struct mesh *m = three("throughput", &(struct mesh_pair){.delay = MS(10), .loss = 20}, 3);
    assert_int_equal(mesh_hop(m, 0, 1), 2);
    mesh_free(m);
    m = three("throughput", &(struct mesh_pair){.delay = MS(10), .loss = 2}, 3);
    assert_int_equal(mesh_hop(m, 0, 1), -1);
    mesh_free(m);
}

/* ---- what programs are told ---- */

/* The fact's text, or its number as text, or "null". */
static const char *fact(struct mesh *m, const char *name)
{
    static char text[64];
    struct overlay_fact f;
    const struct overlay *o = m->node[0].module;
    for (unsigned i = 0; o->class->tunnel_fact(o, m->now, 1, i, &f); i++)
        if (!strcmp(f.name, name)) {
            if (f.kind == OVERLAY_FACT_TEXT)
                return f.text;
            snprintf(text, sizeof text, "%lld", (long long)f.number);
            return f.kind == OVERLAY_FACT_NUMBER ? text : "null";
        }
    return "no such fact";
}

static void test_facts(void **state)
{
    static const char *const names[] = {"way",    "hop",      "why",         "state",
                                        "metric", "known_by", "direct_state"},
                             *const before[] = {"direct",  "null",   "first", "usable",
                                                "latency", "config", "usable"},
                             *const failed[] = {"hop",     "n2",     "failed", "usable",
                                                "latency", "config", "out"},
                             *const healed[] = {"direct",  "null",   "as-good", "usable",
                                                "latency", "config", "usable"};
    struct mesh *m = mesh_new(3, 3, 1);
    struct overlay_fact f;
    mesh_options(m, "profile", "fast");
    mesh_start_all(m);
    assert_true(mesh_until(m, all_linked, MINUTE, NULL));
    mesh_run(m, 30 * SECOND);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(fact(m, names[i]), before[i]);
    assert_string_equal(fact(m, "rtt_us"), "20000");
    assert_string_equal(fact(m, "direct_rtt_us"), "20000");
    assert_string_equal(fact(m, "loss_permille"), "0");
    assert_string_equal(fact(m, "best_hop"), "n2");
    assert_string_equal(fact(m, "best_hop_rtt_us"), "40000");
    mesh_talk(m, 0, 1);
    mesh_set(m, 0, 1, &cut);
    assert_true(mesh_until(m, by_a_hop, 10 * SECOND, NULL));
    mesh_run(m, 5 * SECOND);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(fact(m, names[i]), failed[i]);
    assert_string_equal(fact(m, "rtt_us"), "40000");
    assert_true(atoi(fact(m, "direct_loss_permille")) > 0);
    assert_in_range(atoi(fact(m, "since_s")), 4, 6);
    mesh_set(m, 0, 1, &near);
    assert_true(mesh_until(m, direct, MINUTE, NULL));
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(fact(m, names[i]), healed[i]);
    const struct overlay *o = m->node[0].module;
    assert_false(o->class->tunnel_fact(o, m->now, 77, 0, &f));
    mesh_free(m);
}

/* ---- policy ---- */

static void test_policy(void **state)
{
    static const struct overlay_option no_hops = {"hops", "none"}, not_through = {"through", "no"};
    struct mesh *m = mesh_new(4, 4, 1);
    mesh_set(m, 0, 1, &far);
    mesh_option(m, 2, "transit", "none");
    for (unsigned i = 0; i < 3; i++) {
        if (!strcmp(m->members[0][i].host, "n3")) { /* n0 never goes through n3 */
            m->members[0][i].options = &not_through;
            m->members[0][i].option_count = 1;
        }
        if (!strcmp(m->members[1][i].host, "n0")) { /* n1 reaches n0 directly only */
            m->members[1][i].options = &no_hops;
            m->members[1][i].option_count = 1;
        }
    }
    mesh_start_all(m);
    assert_true(mesh_until(m, all_linked, MINUTE, NULL));
    mesh_run(m, 2 * MINUTE);
    assert_int_equal(mesh_hop(m, 0, 1), -1);
    assert_int_equal(mesh_hop(m, 1, 0), -1);
    /* Whoever sends through n2 all the same is not served. */
    struct recipe forced;
    assert_true(ron_recipe(mesh_ron(m, 0), mesh_member(m, 0, 1), ron_id("n2"), &forced));
    m->node[0].tunnel[1].recipe = forced;
    assert_int_equal(arrive(m, 0, 1, 5), 0);
    assert_int_equal(m->node[2].drops[DROP_POLICY], 5);
    mesh_free(m);
}

/* ---- members that do not keep their word ---- */

/* n2 says that it is next to everybody.  Ways through it are longer than the direct one, which is soon seen. */
static void test_a_lying_row(void **state)
{
    struct mesh *m = mesh_new(4, 4, 5);
    mesh_options(m, "probe-interval", "1s");
    mesh_set(m, 0, 1, &(struct mesh_pair){.delay = MS(30)});
    mesh_set(m, 2, 1, &(struct mesh_pair){.delay = MS(200)});
    mesh_set(m, 3, 1, &(struct mesh_pair){.delay = MS(200)});
    mesh_start_all(m);
    assert_true(mesh_until(m, all_linked, MINUTE, NULL));
    unsigned through = 0;
    for (unsigned i = 0; i < 120; i++) {
        struct ron_entry lie = {.id = ron_id("n1"), .rtt = 0, .forwards = true};
        uint8_t row[32];
        struct writer w = writer_over(row, sizeof row);
        ron_row_begin(&w, 0x7000000 + i * 1000 + mesh_member(m, 0, 2)->row_sequence);
        ron_row_add(&w, &lie);
        ron_row_finish(&w, 1);
        mesh_say(m, 2, 0, row, writer_size(&w));
        mesh_run(m, SECOND);
        through += mesh_hop(m, 0, 1) == 2;
    }
    assert_true(through < 10);
    assert_true(mesh_ron(m, 0)->count[RON_COUNT_HOPS_DOUBTED] >= 1);
    mesh_free(m);
}

/* The direct way is out; n2 is the nearest hop and forwards nothing. */
static void test_a_black_hole(void **state)
{
    struct mesh *m = mesh_new(4, 4, 6);
    mesh_options(m, "profile", "fast");
    mesh_set(m, 0, 3, &(struct mesh_pair){.delay = MS(40)});
    mesh_set(m, 1, 3, &(struct mesh_pair){.delay = MS(40)});
    mesh_start_all(m);
    assert_true(mesh_until(m, all_linked, MINUTE, NULL));
    mesh_run(m, 20 * SECOND);
    m->node[2].black_hole = true;
    mesh_set(m, 0, 1, &cut);
    mesh_talk(m, 0, 1);
    mesh_talk(m, 1, 0);
    mesh_run(m, 8 * SECOND);
    assert_int_equal(mesh_hop(m, 0, 1), 3);
    assert_int_equal(mesh_hop(m, 1, 0), 3);
    unsigned got = arrive(m, 0, 1, 600);
    assert_true(got > 570); /* tried again a minute later, for a moment */
    mesh_free(m);
}

static void test_a_flapping_member(void **state)
{
    struct mesh *m = mesh_up(6, 7, "fast");
    uint64_t before = m->node[0].sent_bytes;
    for (unsigned i = 0; i < 60; i++) {
        mesh_stop(m, 5, i % 3 == 0);
        mesh_run(m, SECOND);
        mesh_start(m, 5);
        mesh_run(m, SECOND);
    }
    assert_true((m->node[0].sent_bytes - before) * 8 / 120 < 33000);
    assert_true(mesh_until(m, all_linked, 2 * MINUTE, NULL));
    assert_int_equal(arrive(m, 0, 1, 10), 10);
    assert_int_equal(arrive(m, 0, 5, 10), 10);
    mesh_free(m);
}

/* A machine that slept: all at once much later. */
static void test_clock_jumps(void **state)
{
    struct mesh *m = mesh_up(4, 8, "paper");
    for (unsigned i = 0; i < 3; i++) {
        m->now += HOUR;
        assert_true(mesh_until(m, all_linked, 3 * MINUTE, NULL));
        mesh_run(m, MINUTE);
        assert_true(direct(m));
    }
    mesh_free(m);
}

/* ---- what it costs ---- */

/* `quiet`: data goes from each to each, and is never answered. */
static uint64_t bits_per_second(struct mesh *m, instant span, bool quiet)
{
    uint64_t most = 0, before[MESH_MAX];
    for (unsigned i = 0; i < m->count; i++)
        before[i] = m->node[i].sent_bytes;
    for (instant done = 0; done < span; done += MS(500)) {
        for (unsigned i = 0; quiet && i < m->count; i++)
            for (unsigned k = 0; k < m->count; k++)
                if (i != k)
                    mesh_busy(m, i, k, OVERLAY_QUIET);
        mesh_run(m, MS(500));
    }
    for (unsigned i = 0; i < m->count; i++) {
        uint64_t bits = (m->node[i].sent_bytes - before[i]) * 8 / (uint64_t)(span / SECOND);
        most = bits > most ? bits : most;
    }
    return most;
}

/* The paper's figure: 33 kbit/s for each of 50. */
static void test_fifty(void **state)
{
    struct mesh *m = mesh_up(50, 9, "paper");
    mesh_run(m, MINUTE);
    uint64_t paper = bits_per_second(m, 2 * MINUTE, false);
    print_message("50 members, paper: %u bit/s\n", (unsigned)paper);
    assert_true(paper < 33000);
    mesh_free(m);
}

static void test_fast_costs_twice_at_most(void **state)
{
    struct mesh *m = mesh_up(12, 10, "paper");
    mesh_run(m, MINUTE);
    uint64_t paper = bits_per_second(m, 2 * MINUTE, false);
    mesh_free(m);
    m = mesh_up(12, 10, "fast");
    mesh_run(m, MINUTE);
    uint64_t fast = bits_per_second(m, 2 * MINUTE, true);
    print_message(
        "12 members, paper: %u bit/s, fast with data on all ways that is not answered: %u bit/s\n",
        (unsigned)paper, (unsigned)fast);
    assert_true(fast > paper && fast <= 2 * paper);
    mesh_free(m);
}

static bool most_linked(struct mesh *m)
{
    unsigned links = 0;
    for (unsigned i = 0; i < m->count; i++)
        links += mesh_links(m, i);
    return links > m->count * 40;
}

/* Two hundred: links with a sample, hops for every pair, and no more traffic than fifty make. */
static void test_two_hundred(void **state)
{
    struct mesh *m = mesh_new(200, 2, 11);
    mesh_start_all(m);
    assert_true(mesh_until(m, most_linked, 4 * MINUTE, NULL));
    mesh_run(m, 2 * MINUTE);
    uint64_t bits = bits_per_second(m, MINUTE, false);
    unsigned least = 200, most = 0, pairs_without = 0;
    for (unsigned i = 0; i < 200; i++) {
        unsigned links = mesh_links(m, i);
        least = links < least ? links : least;
        most = links > most ? links : most;
    }
    for (unsigned a = 0; a < 200; a += 7)
        for (unsigned b = a + 1; b < 200; b++) {
            unsigned common = 0;
            for (unsigned c = 0; c < 200; c++)
                common += m->node[a].tunnel[c].link && m->node[b].tunnel[c].link;
            pairs_without += !common;
        }
    print_message("200 members: %u to %u links, %u bit/s\n", least, most, (unsigned)bits);
    assert_int_equal(pairs_without, 0);
    assert_true(most < 80 && least > 25);
    assert_true(bits < 45000);
    mesh_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_member_is_enough),
        cmocka_unit_test(test_a_bad_network),
        cmocka_unit_test(test_leaving_and_crashing),
        cmocka_unit_test(test_a_member_moves),
        cmocka_unit_test(test_rows_spread),
        cmocka_unit_test(test_paper_goes_round),
        cmocka_unit_test(test_fast_goes_round),
        cmocka_unit_test(test_fast_goes_round_all),
        cmocka_unit_test(test_the_hop_fails),
        cmocka_unit_test(test_latency),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_throughput),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_a_lying_row),
        cmocka_unit_test(test_a_black_hole),
        cmocka_unit_test(test_a_flapping_member),
        cmocka_unit_test(test_clock_jumps),
        cmocka_unit_test(test_fifty),
        cmocka_unit_test(test_fast_costs_twice_at_most),
        cmocka_unit_test(test_two_hundred),
    };
    return cmocka_run_group_tests_name("overlay_ron_mesh", tests, NULL, NULL);
}
