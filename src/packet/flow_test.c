#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "packet/flow.h"
#include "tests/support/seeded.h"

static struct flow_table *new_table(unsigned flows)
{
    struct seeded s;
    seeded_init(&s, 50);
    return flow_table_new(flows, &s.entropy);
}

static void test_seen_after_noted(void **state)
{
    struct flow_table *t = new_table(64);
    const struct flow_key key = {6, 22, 4000, 7};
    const struct flow_key others[] = {
        {17, 22, 4000, 7}, {6, 23, 4000, 7}, {6, 22, 4001, 7}, {6, 22, 4000, 8}, {6, 4000, 22, 7}};
    assert_false(flow_seen(t, &key, 0));
    flow_note(t, &key, 0);
    flow_note(t, &key, 0);
    assert_int_equal(flow_count(t), 1);
    assert_true(flow_seen(t, &key, 1));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(flow_seen(t, &others[i], 1));
    flow_table_free(t);
    flow_table_free(NULL);
}

static void test_time_out(void **state)
{
    static const struct {
        uint8_t protocol;
        instant timeout;
    } rows[] = {{6, FLOW_TIMEOUT_TCP},
                {17, FLOW_TIMEOUT_UDP},
                {47, FLOW_TIMEOUT_UDP},
                {1, FLOW_TIMEOUT_ICMP},
                {58, FLOW_TIMEOUT_ICMP}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct flow_table *t = new_table(64);
        const struct flow_key key = {rows[i].protocol, 1, 2, 3};
        instant now = 5 * SECOND;
        flow_note(t, &key, now);
        for (unsigned j = 0; j < 3; j++) {
            now += rows[i].timeout - 1; /* each packet starts the time anew */
            assert_true(flow_seen(t, &key, now));
        }
        assert_false(flow_seen(t, &key, now + rows[i].timeout));
        assert_int_equal(flow_count(t), 0);
        assert_false(flow_seen(t, &key, now)); /* gone is gone */
        flow_note(t, &key, now);
        assert_true(flow_seen(t, &key, now));
        flow_table_free(t);
    }
}

static void test_evicts_the_oldest(void **state)
{
    /* Eight slots are one window: the ninth flow takes the place of the one that was silent
     * longest. */
    struct flow_table *t = new_table(1);
    for (uint16_t port = 0; port < 8; port++)
        flow_note(t, &(struct flow_key){6, port, 0, 0}, 10 + port);
    assert_int_equal(flow_count(t), 8);
    assert_true(flow_seen(t, &(struct flow_key){6, 0, 0, 0}, 20));
    flow_note(t, &(struct flow_key){6, 100, 0, 0}, 21);
    assert_int_equal(flow_count(t), 8);
    assert_true(flow_seen(t, &(struct flow_key){6, 100, 0, 0}, 22));
    assert_true(flow_seen(t, &(struct flow_key){6, 0, 0, 0}, 22));
    assert_false(flow_seen(t, &(struct flow_key){6, 1, 0, 0}, 22));
    for (uint16_t port = 2; port < 8; port++)
        assert_true(flow_seen(t, &(struct flow_key){6, port, 0, 0}, 23));
    flow_table_free(t);

    /* A flow whose time is over goes first, even when a live one was silent for longer. */
    t = new_table(1);
    for (uint16_t port = 0; port < 7; port++)
        flow_note(t, &(struct flow_key){6, port, 0, 0}, 0);
    flow_note(t, &(struct flow_key){1, 7, 7, 0}, SECOND);
    flow_note(t, &(struct flow_key){6, 8, 0, 0}, 2 * MINUTE);
    for (uint16_t port = 0; port < 7; port++)
        assert_true(flow_seen(t, &(struct flow_key){6, port, 0, 0}, 2 * MINUTE));
    assert_true(flow_seen(t, &(struct flow_key){6, 8, 0, 0}, 2 * MINUTE));
    flow_table_free(t);
}

static void test_forget(void **state)
{
    struct flow_table *t = new_table(256);
    for (uint16_t port = 0; port < 30; port++)
        flow_note(t, &(struct flow_key){6, port, 0, port % 3}, 0);
    assert_int_equal(flow_count(t), 30);
    assert_int_equal(flow_forget_path(t, 1), 10);
    assert_int_equal(flow_forget_path(t, 1), 0);
    assert_int_equal(flow_count(t), 20);
    for (uint16_t port = 0; port < 30; port++)
        assert_int_equal(flow_seen(t, &(struct flow_key){6, port, 0, port % 3}, 1), port % 3 != 1);
    flow_forget_all(t);
    assert_int_equal(flow_count(t), 0);
    assert_false(flow_seen(t, &(struct flow_key){6, 0, 0, 0}, 1));
    flow_table_free(t);
}

static void test_keys(void **state)
{
    const struct ip_view tcp = {
        .protocol = 6, .has_ports = true, .source_port = 1000, .destination_port = 22};
    struct flow_key out = flow_key_of(&tcp, true, 9), in = flow_key_of(&tcp, false, 9);
    assert_int_equal(out.local_port, 1000);
    assert_int_equal(out.remote_port, 22);
    assert_int_equal(in.local_port, 22);
    assert_int_equal(in.remote_port, 1000);
    assert_int_equal(in.path, 9);
    assert_int_equal(in.protocol, 6);
    const struct ip_view bare = {.protocol = 47, .source_port = 5};
    assert_int_equal(flow_key_of(&bare, true, 9).local_port, 0);
}

/* At half load almost nothing is pushed out, whatever the pattern of ports. */
static void test_spreads(void **state)
{
    for (unsigned pattern = 0; pattern < 4; pattern++) {
        struct flow_table *t = new_table(4096);
        for (unsigned i = 0; i < 2048; i++) {
            const struct flow_key keys[] = {{6, 22, (uint16_t)(30000 + i), 1},
                                            {17, (uint16_t)(i * 32), 53, 1},
                                            {6, 443, 443, i},
                                            {6, (uint16_t)i, (uint16_t)i, i << 12}};
            flow_note(t, &keys[pattern], (instant)i);
        }
        assert_in_range(flow_count(t), 2000, 2048);
        flow_table_free(t);
    }
}

/* Against a plain list of the latest flows: what the table says it has seen was noted and is not
 * stale. */
static void test_random(void **state)
{
    enum { KEYS = 300 };
    static instant noted[KEYS];
    struct flow_table *t = new_table(128);
    struct seeded s;
    unsigned hits = 0;
    instant now = 0;
    seeded_init(&s, 51);
    for (unsigned i = 0; i < KEYS; i++)
        noted[i] = -1;
    for (unsigned i = 0; i < 100000; i++) {
        unsigned n = entropy_below(&s.entropy, KEYS);
        const struct flow_key key = {n % 2 ? 17 : 1, (uint16_t)n, (uint16_t)(n * 3), n / 7};
        instant timeout = n % 2 ? FLOW_TIMEOUT_UDP : FLOW_TIMEOUT_ICMP;
        now += entropy_below(&s.entropy, 2000) * MILLISECOND;
        if (flow_seen(t, &key, now)) {
            assert_true(noted[n] >= 0 && now - noted[n] < timeout);
            noted[n] = now;
            hits++;
        } else if (i % 2) {
            flow_note(t, &key, now);
            noted[n] = now;
            assert_true(flow_seen(t, &key, now));
        }
        assert_true(flow_count(t) <= 128);
        if (i % 1000 == 0)
            flow_forget_path(t, entropy_below(&s.entropy, KEYS / 7));
    }
    assert_true(hits > 1000);
    flow_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen_after_noted),
        cmocka_unit_test(test_time_out),
        cmocka_unit_test(test_evicts_the_oldest),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_spreads),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests_name("packet_flow", tests, NULL, NULL);
}
