/* Several hosts with one name: the longest match is reached, another one when it is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "overlay/i3/i3_fixture.h"

static struct lab *lab;
static struct lab_host *client, *near, *far;

static bool linked(struct lab_host *h)
{
    return h->tunnel[0].linked && client->tunnel[0].linked;
}

static bool either(struct lab_host *h)
{
    return client->tunnel[0].linked && (near->tunnel[0].linked || far->tunnel[0].linked);
}

/* `wanted`: what the client looks for; NULL: nothing. */
static void three(unsigned servers, uint64_t seed, const char *a, const char *b, const char *wanted)
{
    lab = lab_new(servers, seed);
    near = lab_host_add(lab, "printer", "10.0.0.2:7400", "anycast", a, NULL);
    far = lab_host_add(lab, "printer", "10.0.0.3:7400", "anycast", b, NULL);
    client = wanted ? lab_host_add(lab, "client", "10.0.0.1:7400", "anycast", wanted, NULL)
                    : lab_host_add(lab, "client", "10.0.0.1:7400", NULL);
    lab_run(lab, 2 * SECOND);
    lab_open(client, "printer");
}

static void the_longest_match(void **state)
{
    /* near matches longer: whole digits, and single bits of one. */
    static const char *const each[][3] = {
        {"aa00", "bb00", "aa00"},
        {"aa", "ab", "aa"},
        {"0123456789abcdef", "0123456789abcdee", "0123456789abcdef"},
        {"a8", "a0", "af"},
        {"80", "00", "ff"},
        {"aa11", "aa80", "aa00"}};
    for (unsigned i = 0; i < sizeof each / sizeof *each; i++)
        for (uint64_t seed = 1; seed <= 4; seed++) {
            three(1 + seed % 2 * 2, seed, each[i][0], each[i][1], each[i][2]);
            assert_true(lab_until(lab, 5 * SECOND, linked, near));
            lab_run(lab, 10 * SECOND);
            assert_false(far->tunnel[0].used);
            lab_free(lab);
            /* The other way round. */
            three(1 + seed % 2 * 2, seed, each[i][1], each[i][0], each[i][2]);
            assert_true(lab_until(lab, 5 * SECOND, linked, far));
            assert_false(near->tunnel[0].used);
            lab_free(lab);
        }
}

/* Who looks for nothing special reaches one of them. */
static void any_of_them(void **state)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        three(2, seed, "aa", "55", NULL);
        assert_true(lab_until(lab, 5 * SECOND, either, NULL));
        assert_true(near->tunnel[0].used != far->tunnel[0].used);
        lab_free(lab);
    }
}

/* What the path engine does when nothing is heard: the link is lost, and opened again. */
static bool again(instant span, struct lab_host *wanted)
{
    instant end = lab->now + span;
    const struct overlay_class *class = client->overlay->class;
    while (lab->now < end && !linked(wanted)) {
        class->link_down(client->overlay, lab->now, 0, "printer");
        class->tunnel_close(client->overlay, lab->now, 0);
        memset(&client->tunnel[0], 0, sizeof client->tunnel[0]);
        lab_open(client, "printer");
        lab_until(lab, 5 * SECOND, linked, wanted);
    }
    return linked(wanted);
}

/* The near one says that it goes: its trigger goes with it.  It dies without a word: half a minute later. */
static void another_takes_over(void **state)
{
    for (unsigned dies = 0; dies < 2; dies++)
        for (uint64_t seed = 1; seed <= 4; seed++) {
            three(2, seed, "aa", "bb", "aa");
            assert_true(lab_until(lab, 5 * SECOND, linked, near));
            if (!dies) {
                near->overlay->class->leave(near->overlay, lab->now);
                lab_run(lab, 100 * MILLISECOND);
            }
            lab_host_stop(near);
            assert_true(again(dies ? 40 * SECOND : 3 * SECOND, far));
            lab_free(lab);
        }
}

/* It comes back: who connects from then on reaches it, who is connected stays. */
static void the_near_one_comes_back(void **state)
{
    three(2, 1, "aa", "bb", "aa");
    assert_true(lab_until(lab, 5 * SECOND, linked, near));
    near->overlay->class->leave(near->overlay, lab->now);
    lab_run(lab, 100 * MILLISECOND);
    lab_host_stop(near);
    assert_true(again(10 * SECOND, far));
    lab_host_start(near);
    lab_run(lab, MINUTE);
    assert_false(near->tunnel[0].used);
    unsigned before = far->tunnel[0].received;
    lab_data(client, 0);
    lab_run(lab, SECOND);
    assert_int_equal(far->tunnel[0].received, before + 1);
    client->overlay->class->tunnel_close(client->overlay, lab->now, 0);
    memset(&client->tunnel[0], 0, sizeof client->tunnel[0]);
    lab_open(client, "printer");
    assert_true(lab_until(lab, 5 * SECOND, linked, near));
    lab_free(lab);
}

static void on_a_bad_network(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        lab = lab_new(3, seed);
        lab->loss = 15;
        lab->twice = 15;
        lab->jitter = 30 * MILLISECOND;
        near = lab_host_add(lab, "printer", "10.0.0.2:7400", "anycast", "a8", NULL);
        far = lab_host_add(lab, "printer", "10.0.0.3:7400", "anycast", "a0", NULL);
        client = lab_host_add(lab, "client", "10.0.0.1:7400", "anycast", "af", NULL);
        lab_run(lab, 10 * SECOND);
        lab_open(client, "printer");
        assert_true(again(2 * MINUTE, near));
        assert_false(far->tunnel[0].used);
        lab_free(lab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_match),  cmocka_unit_test(any_of_them),
        cmocka_unit_test(another_takes_over), cmocka_unit_test(the_near_one_comes_back),
        cmocka_unit_test(on_a_bad_network),
    };
    return cmocka_run_group_tests_name("overlay_i3_anycast", tests, NULL, NULL);
}
