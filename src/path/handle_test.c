#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path/handle_fixture.h"

static void gives_the_same_again(void **state)
{
    struct bench *b = *state;
    const struct handle *h = bench_take(b, WALL, "web.west.ip", 1, NULL);
    assert_non_null(h);
    assert_true(ip_prefix_holds(&b->settings.v4, &h->v4));
    assert_true(ip_prefix_holds(&b->settings.v6, &h->v6));
    assert_ptr_equal(bench_take(b, WALL + 5, "web.west.ip", 1, "web.west.ip"), h);
    assert_int_equal(h->last_used_wall, WALL + 5);
    assert_string_equal(h->way, "web.west.ip");
    assert_ptr_equal(bench_take(b, WALL + 6, "web.west.ip", 1, NULL), h);
    assert_string_equal(h->way, "web.west.ip");
    assert_ptr_equal(handle_by_address(b->table, &h->v4), h);
    assert_ptr_equal(handle_by_address(b->table, &h->v6), h);
    assert_ptr_equal(handle_by_id(b->table, h->id), h);
    assert_ptr_equal(bench_by_name(b, "web.west.ip"), h);
    assert_null(bench_by_name(b, "web.west.i"));
    assert_null(handle_by_address(b->table, &(struct ip_address){0}));
    assert_int_equal(handle_count(b->table), 1);

    const struct handle *other = bench_take(b, WALL, "db.west.ip", 1, NULL);
    assert_ptr_not_equal(other, h);
    assert_false(ip_address_equal(&other->v4, &h->v4));
    handle_set_way(b->table, h->id, "web.west.ip.via.gate.east.ip");
    assert_string_equal(h->way, "web.west.ip.via.gate.east.ip");
}

static void gives_another_key_another_handle(void **state)
{
    struct bench *b = *state;
    const struct handle *old = bench_take(b, WALL, "web.west.ip", 1, NULL);
    const struct handle *new = bench_take(b, WALL, "web.west.ip", 2, NULL);
    assert_ptr_not_equal(old, new);
    assert_ptr_equal(bench_by_name(b, "web.west.ip"), new);
    assert_false(old->named);
    assert_int_equal(old->state, HANDLE_LIVE);
    /* Its address still means the old host. */
    assert_ptr_equal(handle_by_address(b->table, &old->v4), old);
    assert_ptr_equal(bench_take(b, WALL, "web.west.ip", 1, NULL), old);
    assert_ptr_equal(bench_by_name(b, "web.west.ip"), old);
    assert_false(new->named);
    handle_release(b->table, WALL, old->id);
    assert_null(bench_by_name(b, "web.west.ip"));
}

static void quarantines(void **state)
{
    struct bench *b = *state;
    const int64_t over = HANDLE_QUARANTINE + HANDLE_TOUCH_SPAN;
    const struct handle *h = bench_take(b, WALL, "web.west.ip", 1, NULL);
    struct ip_address v4 = h->v4;
    uint32_t id = h->id;
    unsigned pass = 0;
    handle_touch(b->table, WALL + 100, id);
    /* A live one is never due. */
    assert_null(handle_due(b->table, WALL + 100 * over, &pass));
    handle_recycle(b->table, WALL + 100 * over, id, false);
    assert_non_null(handle_by_id(b->table, id));

    handle_release(b->table, WALL + 200, id);
    assert_int_equal(h->state, HANDLE_QUARANTINED);
    pass = 0;
    assert_null(handle_due(b->table, WALL + 100 + HANDLE_QUARANTINE - 1, &pass));
    /* Asked for again meanwhile: the same address. */
    assert_ptr_equal(bench_take(b, WALL + 300, "web.west.ip", 1, NULL), h);
    assert_int_equal(h->state, HANDLE_LIVE);
    handle_release(b->table, WALL + 300, id);
    pass = 0;
    assert_null(handle_due(b->table, WALL + 300 + over - 1, &pass));
    pass = 0;
    assert_ptr_equal(handle_due(b->table, WALL + 300 + over, &pass), h);
    assert_null(handle_due(b->table, WALL + 300 + over, &pass));
    /* The host knows of a flow: the time starts again. */
    handle_recycle(b->table, WALL + 300 + over, id, true);
    pass = 0;
    assert_null(handle_due(b->table, WALL + 300 + over, &pass));
    pass = 0;
    assert_ptr_equal(handle_due(b->table, WALL + 300 + 2 * over, &pass), h);
    handle_recycle(b->table, WALL + 300 + 2 * over, id, false);
    assert_null(handle_by_id(b->table, id));
    assert_null(handle_by_address(b->table, &v4));
    assert_int_equal(handle_count(b->table), 0);
    /* The id is not given again. */
    h = bench_take(b, WALL, "web.west.ip", 1, NULL);
    assert_int_not_equal(h->id, id);
}

static void survives_a_wrong_clock(void **state)
{
    struct bench *b = *state;
    const struct handle *h = bench_take(b, WALL + 1000000000, "web.west.ip", 1, NULL);
    handle_release(b->table, WALL, h->id);
    assert_int_equal(h->last_used_wall, WALL);
    h = bench_take(b, WALL, "db.west.ip", 1, NULL);
    handle_release(b->table, WALL, h->id);
    handle_touch(b->table, WALL + 1000000000, h->id);
    unsigned pass = 0;
    assert_null(handle_due(b->table, WALL + 10, &pass));
    assert_int_equal(h->last_used_wall, WALL + 10);
}

static void recycles_during_a_pass(void **state)
{
    struct bench *b = *state;
    char name[64];
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "h%u.west.ip", i);
        handle_release(b->table, WALL, bench_take(b, WALL, name, 1, NULL)->id);
    }
    int64_t wall = WALL + 10 * HANDLE_QUARANTINE;
    unsigned pass = 0, seen = 0;
    for (const struct handle *h; (h = handle_due(b->table, wall, &pass)); seen++)
        handle_recycle(b->table, wall, h->id, seen % 3 == 0);
    assert_int_equal(seen, 300);
    assert_int_equal(handle_count(b->table), 100);
}

static void limits_users(void **state)
{
    struct bench *b = *state;
    b->settings.user_limit = 3;
    handle_table_free(b->table);
    bench_table_new(b);
    bench_take(b, WALL, "a.west.ip", 1, NULL);
    bench_take(b, WALL, "b.west.ip", 1, NULL);
    const struct handle *c = bench_take(b, WALL, "c.west.ip", 1, NULL);
    assert_null(bench_take(b, WALL, "d.west.ip", 1, NULL));
    assert_string_equal(b->reason, "this user has as many handle addresses as one user may have");
    assert_ptr_equal(bench_take(b, WALL, "c.west.ip", 1, NULL), c);
    /* Quarantined ones count, recycled ones do not. */
    handle_release(b->table, WALL, c->id);
    assert_null(bench_take(b, WALL, "d.west.ip", 1, NULL));
    handle_recycle(b->table, WALL, c->id, false);
    assert_non_null(bench_take(b, WALL, "d.west.ip", 1, NULL));
    /* Others are not held back. */
    struct overlay_name n = bench_name("e.west.ip");
    const uint8_t key[32] = {1};
    assert_non_null(handle_take(b->table, WALL, &n, key, NULL, 1001, &b->reason));
    for (unsigned i = 0; i < 10; i++) {
        n.text[0] = (char)('f' + i);
        assert_non_null(handle_take(b->table, WALL, &n, key, NULL, HANDLE_NO_USER, &b->reason));
    }
    n = bench_name("a b.west.ip");
    assert_null(handle_take(b->table, WALL, &n, key, NULL, 1, &b->reason));
}

static void empties_a_pool(void **state)
{
    struct bench *b = *state;
    handle_table_free(b->table);
    assert_true(ip_prefix_parse("198.18.4.0/23", &b->settings.v4));
    b->settings.keep_out_count = 2;
    assert_true(ip_address_parse("198.18.4.1", &b->settings.keep_out[0]));
    assert_true(ip_address_parse("198.18.5.9", &b->settings.keep_out[1]));
    bench_table_new(b);
    /* Two times 254, without the two that are kept out. */
    bool seen[512] = {false};
    char name[64];
    uint32_t last = 0;
    for (unsigned i = 0; i < 506; i++) {
        snprintf(name, sizeof name, "h%u.west.ip", i);
        const struct handle *h = bench_take(b, WALL, name, 1, NULL);
        assert_non_null(h);
        unsigned n = (unsigned)(h->v4.bytes[2] - 4) * 256 + h->v4.bytes[3];
        assert_true(n < 512 && !seen[n]);
        seen[n] = true;
        last = h->id;
    }
    assert_false(seen[0] || seen[255] || seen[256] || seen[511] || seen[1] || seen[256 + 9]);
    assert_null(bench_take(b, WALL, "one-more.west.ip", 1, NULL));
    assert_non_null(strstr(b->reason, "handle pool"));
    struct ip_address free_again = handle_by_id(b->table, last)->v4;
    handle_release(b->table, WALL, last);
    assert_null(bench_take(b, WALL, "one-more.west.ip", 1, NULL));
    handle_recycle(b->table, WALL, last, false);
    const struct handle *h = bench_take(b, WALL, "one-more.west.ip", 1, NULL);
    assert_true(ip_address_equal(&h->v4, &free_again));
}

static void refuses_settings(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *v4, *v6;
        bool fine;
    } rows[] = {
        {"198.18.0.0/15", "fd00::/48", true},
        {"198.18.0.0/30", NULL, true},
        {NULL, "fd00::/112", true},
        {"198.18.0.0/31", NULL, false},
        {"10.0.0.0/7", NULL, false},
        {NULL, "fd00::/120", false},
        {NULL, NULL, false},
        {"fd00::/48", NULL, false},
        {NULL, "198.18.0.0/15", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct handle_settings s;
        handle_settings_init(&s);
        s.v4 = (struct ip_prefix){0};
        assert_true(!rows[i].v4 || ip_prefix_parse(rows[i].v4, &s.v4));
        assert_true(!rows[i].v6 || ip_prefix_parse(rows[i].v6, &s.v6));
        const char *reason = NULL;
        struct handle_table *table = handle_table_new(&s, &b->random.entropy, &reason);
        assert_int_equal(table != NULL, rows[i].fine);
        assert_int_equal(reason == NULL, rows[i].fine);
        if (table) {
            struct overlay_name n = bench_name("a.west.ip");
            const uint8_t key[32] = {1};
            const struct handle *h = handle_take(table, WALL, &n, key, NULL, 1, &reason);
            assert_non_null(h);
            assert_int_equal(h->v4.family, rows[i].v4 ? 4 : 0);
            assert_int_equal(h->v6.family, rows[i].v6 ? 6 : 0);
        }
        handle_table_free(table);
    }
}

static void is_repeatable_and_fast(void **state)
{
    struct bench *b = *state;
    b->settings.user_limit = UINT32_MAX;
    struct handle_table *tables[2];
    char name[64];
    for (unsigned t = 0; t < 2; t++) {
        seeded_init(&b->random, 99);
        handle_table_free(b->table);
        bench_table_new(b);
        for (unsigned i = 0; i < 100000; i++) {
            snprintf(name, sizeof name, "h%u.west.ip", i);
            assert_non_null(bench_take(b, WALL, name, (uint8_t)i, NULL));
        }
        tables[t] = b->table;
        b->table = NULL;
    }
    bench_table_equal(tables[0], tables[1]);
    size_t size;
    uint8_t *bytes = handle_snapshot(tables[0], &size);
    struct handle_loaded loaded;
    struct handle_table *copy = bench_load(b, bytes, size, &loaded);
    assert_int_equal(loaded.records, 100001);
    bench_table_equal(tables[0], copy);
    free(bytes);
    handle_table_free(copy);
    handle_table_free(tables[0]);
    handle_table_free(tables[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gives_the_same_again),
        TEST(gives_another_key_another_handle),
        TEST(quarantines),
        TEST(survives_a_wrong_clock),
        TEST(recycles_during_a_pass),
        TEST(limits_users),
        TEST(empties_a_pool),
        TEST(refuses_settings),
        TEST(is_repeatable_and_fast),
    };
    return cmocka_run_group_tests_name("path_handle", tests, NULL, NULL);
}
