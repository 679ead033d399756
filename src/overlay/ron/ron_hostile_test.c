/* What is no member's, and what a member should not say: each ends under its name, and no route changes. */
#include "overlay/ron/ron_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define MEMBERS 4

static bool all_linked(struct mesh *m)
{
    for (unsigned i = 0; i < m->count; i++)
        if (mesh_links(m, i) + 1 < m->count)
            return false;
    return true;
}

static struct mesh *mesh_up(void)
{
    struct mesh *m = mesh_new(MEMBERS, 1, 1);
    mesh_start_all(m);
    assert_true(mesh_until(m, all_linked, MINUTE, NULL));
    mesh_run(m, MINUTE);
    return m;
}

static uint64_t counted(struct mesh *m, enum ron_counter counter)
{
    return mesh_ron(m, 0)->count[counter];
}

/* ---- headers ---- */

/* A datagram with this header comes to n0 from `from`. */
static enum peel_result comes(struct mesh *m, const struct endpoint *from,
                              const struct ron_header *h, size_t size, enum drop_reason *ret)
{
    uint8_t bytes[RON_HEADER + 40] = {0};
    const struct recipe *on = NULL;
    struct packet *p = packet_take(m->pool);
    ron_header_write(h, bytes);
    bytes[RON_HEADER] = 0xC0;
    assert_true(packet_fill(p, bytes, size));
    p->arrival = (struct arrival){.socket = 3, .remote = *from};
    enum peel_result result = peel_run(&m->node[0].peel, p, &on, ret);
    if (result == PEEL_FORWARD && !recipe_run(on, p, ret))
        result = PEEL_DROP;
    packet_give_back(p);
    return result;
}

static void test_headers(void **state)
{
    struct mesh *m = mesh_up();
    const uint32_t us = ron_id("n0"), n1 = ron_id("n1"), n2 = ron_id("n2"), n3 = ron_id("n3");
    const struct endpoint *at1 = &m->node[1].at, *at2 = &m->node[2].at;
    struct endpoint stranger;
    assert_true(endpoint_parse("10.9.9.9:7400", 0, &stranger));
    const size_t whole = RON_HEADER + 40;
    const struct {
        const char *what;
        const struct endpoint *from;
        struct ron_header h;
        size_t size;
        enum peel_result result;
        enum drop_reason reason;
    } cases[] = {
        {"n1 sends to n2 through us", at1, {2, us, n2, n1}, whole, PEEL_FORWARD, 0},
        {"n3 sends to us through n2", at2, {1, n2, us, n3}, whole, PEEL_IS_RECORD, 0},
        {"a stranger says that it is n1",
         &stranger,
         {2, us, n2, n1},
         whole,
         PEEL_DROP,
         DROP_WRONG_ENDPOINT},
        {"a stranger is nobody", &stranger, {2, us, n2, 77}, whole, PEEL_DROP, DROP_WRONG_ENDPOINT},
        {"a stranger says that it is the hop",
         &stranger,
         {1, n2, us, n3},
         whole,
         PEEL_DROP,
         DROP_WRONG_ENDPOINT},
        {"the hop is nobody", &stranger, {1, 77, us, n3}, whole, PEEL_DROP, DROP_WRONG_ENDPOINT},
        {"n1 says that it is n3", at1, {2, us, n2, n3}, whole, PEEL_DROP, DROP_WRONG_ENDPOINT},
        {"n1 is not the hop that it says",
         at1,
         {1, n2, us, n3},
         whole,
         PEEL_DROP,
         DROP_WRONG_ENDPOINT},
        {"another is the hop", at1, {2, n3, n2, n1}, whole, PEEL_DROP, DROP_MODULE},
        {"to nobody", at1, {2, us, 77, n1}, whole, PEEL_DROP, DROP_NO_TUNNEL},
        {"it went far enough", at1, {1, us, n2, n1}, whole, PEEL_DROP, DROP_HOP_LIMIT},
        {"a header that is cut", at1, {2, us, n2, n1}, RON_HEADER - 1, PEEL_DROP, DROP_TRUNCATED},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum drop_reason reason = 0;
        enum peel_result result = comes(m, cases[i].from, &cases[i].h, cases[i].size, &reason);
        if (result != cases[i].result || (result == PEEL_DROP && reason != cases[i].reason))
            fail_msg("%s: result %d, reason %d", cases[i].what, (int)result, (int)reason);
    }
    mesh_free(m);
}

/* ---- messages ---- */

static void say_probe(struct mesh *m, unsigned from, uint8_t type, uint32_t hop, uint64_t number)
{
    struct ron_probe q = {.type = type, .hop = hop, .number = number, .own = 1};
    uint8_t bytes[64];
    mesh_say(m, from, 0, bytes, ron_probe_write(&q, bytes, sizeof bytes));
}

/* A member repeats what it said, and answers what nobody asked. */
static void test_repeated(void **state)
{
    struct mesh *m = mesh_up();
    const struct ron_member *n1 = mesh_member(m, 0, 1);
    struct ron_measure before = n1->near.measure;
    uint64_t flips = counted(m, RON_COUNT_FLIPS);
    for (unsigned i = 1; i <= 100; i++) {
        say_probe(m, 1, RON_REPLY, 0, i);
        say_probe(m, 1, RON_ACK, 0, i);
        say_probe(m, 1, RON_PROBE, ron_id("n2"), i);
    }
    assert_int_equal(counted(m, RON_COUNT_STALE_PROBE), 200);
    assert_int_equal(counted(m, RON_COUNT_WRONG_WAY), 100);
    assert_memory_equal(&before, &n1->near.measure, sizeof before);

    uint8_t row[32];
    struct ron_entry lie = {.id = ron_id("n2"), .rtt = 1, .forwards = true};
    for (unsigned older = 0; older < 10; older++) {
        struct writer w = writer_over(row, sizeof row);
        ron_row_begin(&w, n1->row_sequence - older);
        ron_row_add(&w, &lie);
        ron_row_finish(&w, 1);
        mesh_say(m, 1, 0, row, writer_size(&w));
    }
    assert_int_equal(counted(m, RON_COUNT_STALE_ROW), 10);

    static const uint8_t unknown[] = {0x7F, 1, 2}, ask[] = {RON_ASK, 0};
    mesh_say(m, 1, 0, unknown, sizeof unknown);
    mesh_say(m, 1, 0, ask, sizeof ask);
    mesh_say(m, 1, 0, "", 0);
    assert_int_equal(counted(m, RON_COUNT_BAD_MESSAGE), 3);
    assert_int_equal(counted(m, RON_COUNT_FLIPS), flips);
    mesh_stop(m, 3, false);
    mesh_run(m, MINUTE);
    assert_false(mesh_member(m, 0, 3)->linked);
    uint64_t no_link = counted(m, RON_COUNT_NO_LINK);
    say_probe(m, 3, RON_PROBE, 0, 1);
    assert_int_equal(counted(m, RON_COUNT_NO_LINK), no_link + 1);
    mesh_free(m);
}

static void say_dead(struct mesh *m, unsigned from, uint32_t hop, size_t size)
{
    uint8_t bytes[5] = {RON_DEAD};
    struct writer w = writer_over(bytes + 1, 4);
    write_u32(&w, hop);
    mesh_say(m, from, 0, bytes, size);
}

/* n2 is an honest hop to n1 and to n3.  n1 says that it is dead, and that nothing comes: this is about the way to n1. */
static void test_words_about_a_hop(void **state)
{
    const struct mesh_pair far = {.delay = 100 * MILLISECOND};
    const uint8_t quiet = RON_QUIET;
    struct mesh *m = mesh_new(MEMBERS, 1, 1);
    mesh_set(m, 0, 1, &far);
    mesh_set(m, 0, 3, &far);
    mesh_start_all(m);
    assert_true(mesh_until(m, all_linked, MINUTE, NULL));
    mesh_run(m, 2 * MINUTE);
    assert_int_equal(mesh_hop(m, 0, 1), 2);
    assert_int_equal(mesh_hop(m, 0, 3), 2);

    uint64_t probes = counted(m, RON_COUNT_PROBES);
    for (unsigned i = 0; i < 600; i++) {
        mesh_say(m, 1, 0, &quiet, 1);
        mesh_run(m, 100 * MILLISECOND);
    }
    assert_int_equal(mesh_hop(m, 0, 1), 2); /* it was asked, and answers */
    assert_in_range(counted(m, RON_COUNT_PROBES) - probes, 10, 120);

    uint64_t doubted = counted(m, RON_COUNT_HOPS_DOUBTED);
    say_dead(m, 1, 0, 5); /* a way that is not in use */
    say_dead(m, 1, ron_id("n3"), 5);
    say_dead(m, 1, ron_id("n2"), 4); /* cut */
    assert_int_equal(mesh_hop(m, 0, 1), 2);
    assert_int_equal(counted(m, RON_COUNT_BAD_MESSAGE), 1);
    assert_int_equal(counted(m, RON_COUNT_WRONG_WAY), 1);
    for (unsigned i = 0; i < 100; i++)
        say_dead(m, 1, ron_id("n2"), 5);
    assert_int_not_equal(mesh_hop(m, 0, 1), 2);
    assert_int_equal(counted(m, RON_COUNT_HOPS_DOUBTED), doubted + 1);
    assert_int_equal(mesh_hop(m, 0, 3), 2);
    mesh_run(m, 30 * SECOND);
    assert_int_not_equal(mesh_hop(m, 0, 1), 2);
    assert_int_equal(mesh_hop(m, 0, 3), 2);
    mesh_free(m);
}

/* That the direct way is dead comes by a hop, when it has healed: both ends are back at once, and do not tell each other. */
static void test_no_echo(void **state)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct mesh *m = mesh_new(MEMBERS, 1, seed);
        mesh_options(m, "profile", "fast");
        mesh_start_all(m);
        assert_true(mesh_until(m, all_linked, MINUTE, NULL));
        mesh_run(m, MINUTE);
        uint8_t bytes[5] = {RON_DEAD};
        struct ron_header h = {
            .hops = 1, .hop = ron_id("n2"), .to = ron_id("n0"), .from = ron_id("n1")};
        struct arrival by = {.socket = 3, .remote = m->node[1].at, .via_size = RON_HEADER};
        ron_header_write(&h, by.via);
        struct overlay *o = m->node[0].module;
        o->class->link_message(o, m->now, 1, &by, bytes, sizeof bytes);
        assert_true(mesh_member(m, 0, 1)->near.measure.outage);
        mesh_run(m, 20 * SECOND);
        assert_int_equal(mesh_hop(m, 0, 1), -1);
        assert_int_equal(mesh_hop(m, 1, 0), -1);
        assert_in_range(counted(m, RON_COUNT_FLIPS), 2, 4);
        mesh_free(m);
    }
}

/* n1 sends to n0 by n2, which begins to keep it; n0 sends straight, so n1 hears it and notices nothing. */
static void test_a_hop_that_keeps_answers(void **state)
{
    static const struct overlay_option no_hops = {"hops", "none"};
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct mesh *m = mesh_new(MEMBERS, MEMBERS, seed);
        mesh_set(m, 0, 1, &(struct mesh_pair){.delay = 100 * MILLISECOND});
        for (unsigned i = 0; i + 1 < MEMBERS; i++)
            if (!strcmp(m->members[0][i].host, "n1")) {
                m->members[0][i].options = &no_hops;
                m->members[0][i].option_count = 1;
            }
        mesh_start_all(m);
        assert_true(mesh_until(m, all_linked, MINUTE, NULL));
        mesh_run(m, 2 * MINUTE);
        assert_int_equal(mesh_hop(m, 0, 1), -1);
        unsigned keeps = (unsigned)mesh_hop(m, 1, 0);
        assert_in_range(keeps, 2, 3);
        mesh_talk(m, 0, 1);
        mesh_run(m, 5 * SECOND + (instant)seed * 130 * MILLISECOND);
        m->node[keeps].black_hole = true;
        mesh_run(m, 5 * SECOND);
        assert_int_not_equal(mesh_hop(m, 1, 0), (int)keeps);
        assert_true(!m->node[0].tunnel[1].unanswered ||
                    m->now - m->node[0].tunnel[1].unanswered < 500 * MILLISECOND);
        mesh_free(m);
    }
}

/* More members than a few are near to both ends, keep what they are given, and seem to be the best hop one after the other. */
static void test_many_black_holes(void **state)
{
    enum { COUNT = 10, TALK = 6000 };
    struct mesh *m = mesh_new(COUNT, 1, 3);
    mesh_options(m, "profile", "fast");
    mesh_set(m, 0, 1, &(struct mesh_pair){.delay = 100 * MILLISECOND});
    mesh_start_all(m);
    assert_true(mesh_until(m, all_linked, MINUTE, NULL));
    for (unsigned i = 2; i < COUNT; i++)
        m->node[i].black_hole = true;
    mesh_run(m, MINUTE);
    mesh_talk(m, 0, 1);
    uint64_t before = m->node[1].got;
    for (unsigned i = 0; i < TALK; i++) {
        mesh_data(m, 0, 1);
        mesh_run(m, 100 * MILLISECOND);
    }
    print_message("%u of %u arrived beside %u black holes\n", (unsigned)(m->node[1].got - before),
                  TALK, COUNT - 2);
    assert_true(m->node[1].got - before > TALK * 9 / 10);
    mesh_free(m);
}

/* A member that starts anew counts its rows from anywhere: they are news, while what comes late is not. */
static void test_rows_of_a_new_life(void **state)
{
    struct mesh *m = mesh_up();
    const struct ron_member *n1 = mesh_member(m, 0, 1);
    const struct ron_entry e = {.id = ron_id("n2"), .rtt = 77, .forwards = true};
    for (unsigned i = 0; i < 40; i++) {
        uint8_t row[32];
        uint32_t sequence = n1->row_sequence - 0x80000 + i * 0x10000000;
        uint64_t stale = counted(m, RON_COUNT_STALE_ROW);
        struct writer w = writer_over(row, sizeof row);
        ron_row_begin(&w, sequence);
        ron_row_add(&w, &e);
        ron_row_finish(&w, 1);
        mesh_say(m, 1, 0, row, writer_size(&w));
        assert_int_equal(n1->row_sequence, sequence);
        mesh_say(m, 1, 0, row, writer_size(&w));
        assert_int_equal(counted(m, RON_COUNT_STALE_ROW), stale + 1);
    }
    mesh_free(m);
}

/* ---- names ---- */

static void announce(struct mesh *m, unsigned from, const char *const *hosts, unsigned count)
{
    uint8_t bytes[RON_MESSAGE];
    struct writer w = writer_over(bytes, sizeof bytes);
    write_u8(&w, RON_MEMBERS);
    write_u8(&w, (uint8_t)count);
    for (unsigned i = 0; i < count; i++) {
        struct ron_news n = {0};
        snprintf(n.host, sizeof n.host, "%s", hosts[i]);
        assert_true(endpoint_parse("10.9.9.9:7400", 0, &n.at));
        ron_news_write(&w, &n);
    }
    mesh_say(m, from, 0, bytes, writer_size(&w));
}

/* The first of two names with one number is a member, the second is not. */
static void test_one_number(void **state)
{
    static const char *const pair[] = {"gtbxq", "yicrg"};
    struct mesh *m = mesh_up();
    assert_int_equal(ron_id(pair[0]), ron_id(pair[1]));
    announce(m, 1, pair, 2);
    assert_non_null(ron_member(mesh_ron(m, 0), pair[0]));
    assert_null(ron_member(mesh_ron(m, 0), pair[1]));
    assert_int_equal(counted(m, RON_COUNT_ONE_NUMBER), 1);
    mesh_free(m);
}

/* What it says of us and of those that we have a link with is not news. */
static void test_others_names(void **state)
{
    static const char *const known[] = {"n0", "n2"};
    struct mesh *m = mesh_up();
    unsigned members = mesh_ron(m, 0)->member_count;
    announce(m, 1, known, 2);
    assert_int_equal(mesh_ron(m, 0)->member_count, members);
    assert_true(endpoint_equal(&mesh_member(m, 0, 2)->direct, &m->node[2].at));
    assert_int_equal(mesh_member(m, 0, 2)->told_count, 0);
    mesh_free(m);
}

/* Names without end: there are so many members at most, and rumours die. */
static void test_invented_members(void **state)
{
    struct mesh *m = mesh_up();
    const struct ron *r = mesh_ron(m, 0);
    for (unsigned i = 0; i < 2000; i++) {
        char name[16];
        const char *host = name;
        snprintf(name, sizeof name, "rumour%u", i);
        announce(m, 1, &host, 1);
    }
    assert_int_equal(r->member_count, RON_MEMBERS_MAX);
    assert_int_equal(counted(m, RON_COUNT_TOO_MANY), 2000 - (RON_MEMBERS_MAX - (MEMBERS - 1)));
    mesh_run(m, 12 * MINUTE);
    for (unsigned i = 0; i < MEMBERS; i++)
        assert_int_equal(mesh_ron(m, i)->member_count, MEMBERS - 1);
    assert_true(all_linked(m));
    assert_int_equal(mesh_hop(m, 0, 1), -1);
    mesh_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_words_about_a_hop),
        cmocka_unit_test(test_many_black_holes),
        cmocka_unit_test(test_rows_of_a_new_life),
        cmocka_unit_test(test_no_echo),
        cmocka_unit_test(test_a_hop_that_keeps_answers),
        cmocka_unit_test(test_one_number),
        cmocka_unit_test(test_others_names),
        cmocka_unit_test(test_invented_members),
    };
    return cmocka_run_group_tests_name("overlay_ron_hostile", tests, NULL, NULL);
}
