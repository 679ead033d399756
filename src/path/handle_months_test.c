/* What becomes of handles in half a year of use, day by day: of whose they are, how many they are, and of the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path/handle_fixture.h"

#define DAYS         180
#define DAY          INT64_C(86400)
#define HOUR_SECONDS INT64_C(3600)
#define NEW_EACH_DAY 200
#define REGULARS     50 /* names that are used every day                                 */
#define SILENT       7  /* connections that say nothing for months                       */
#define POOL         "10.7.240.0/22" /* 1016 addresses: must be given again and again */

struct months {
    struct bench *b;
    int64_t wall;
    unsigned named;             /* names so far                                          */
    uint32_t given_to[1 << 10]; /* by address of the pool: the id it was given to, or 0  */
    int64_t last_use[1 << 10];  /* ... and when that one was last used                   */
    uint32_t silent[SILENT];
    uint32_t largest_id;
    unsigned most, given_again, snapshots;
    size_t largest_file;
};

static unsigned place(const struct handle *h)
{
    return (unsigned)(h->v4.bytes[2] & 3) << 8 | h->v4.bytes[3];
}

/* The owner's part: what is pending goes to the file, which becomes a snapshot when that is asked for. */
static void keep(struct months *m)
{
    struct bench *b = m->b;
    bench_journal_pull(b);
    if (handle_wants_snapshot(b->table)) {
        free(b->file);
        b->file = handle_snapshot(b->table, &b->file_size);
        handle_snapshot_written(b->table, b->file_size);
        m->snapshots++;
    }
    if (b->file_size > m->largest_file)
        m->largest_file = b->file_size;
}

/* A name is asked for; its address was nobody's for as long as it has to rest. */
static const struct handle *use(struct months *m, const char *name)
{
    const struct handle *h = bench_take(m->b, m->wall, name, 1, NULL);
    assert_non_null(h);
    unsigned at = place(h);
    if (m->given_to[at] != h->id) {
        assert_true(h->id > m->largest_id);
        assert_true(!m->given_to[at] || m->wall - m->last_use[at] >= m->b->settings.quarantine);
        m->given_again += m->given_to[at] != 0;
        m->largest_id = h->id;
    }
    m->given_to[at] = h->id;
    m->last_use[at] = m->wall;
    return h;
}

static bool is_silent(const struct months *m, uint32_t id)
{
    for (unsigned i = 0; i < SILENT; i++)
        if (m->silent[i] == id)
            return true;
    return false;
}

/* As the host does every hour. */
static void age(struct months *m)
{
    struct handle_table *t = m->b->table;
    unsigned pass = 0;
    const struct handle *h;
    while ((h = handle_next(t, &pass)))
        if (m->wall - h->last_used_wall > m->b->settings.quarantine / 2)
            handle_release(t, m->wall, h->id);
    pass = 0;
    while ((h = handle_due(t, m->wall, &pass))) {
        bool used = is_silent(m, h->id);
        if (used)
            m->last_use[place(h)] = m->wall;
        handle_recycle(t, m->wall, h->id, used);
    }
    if (handle_count(t) > m->most)
        m->most = handle_count(t);
}

static void day(struct months *m, unsigned number)
{
    char name[64];
    for (unsigned hour = 0; hour < 24; hour++, m->wall += HOUR_SECONDS) {
        for (unsigned i = 0; i < REGULARS; i++) {
            snprintf(name, sizeof name, "every-day-%u.west.ip", i);
            use(m, name);
        }
        for (unsigned i = hour; i < NEW_EACH_DAY; i += 24) {
            snprintf(name, sizeof name, "n%u.west.ip", m->named++);
            uint32_t id = use(m, name)->id;
            if (number < SILENT && i == 0)
                m->silent[number] = id;
        }
        age(m);
        keep(m);
    }
}

static void restart(struct months *m)
{
    struct handle_loaded loaded;
    struct handle_table *next = bench_load(m->b, m->b->file, m->b->file_size, &loaded);
    assert_null(loaded.trouble);
    assert_int_equal(loaded.good, m->b->file_size);
    bench_table_equal(m->b->table, next);
    handle_table_free(m->b->table);
    m->b->table = next;
}

static void half_a_year(void **state)
{
    struct months *m = calloc(1, sizeof *m);
    uint32_t regular[REGULARS];
    m->b = *state;
    m->wall = WALL;
    handle_table_free(m->b->table);
    assert_true(ip_prefix_parse(POOL, &m->b->settings.v4));
    bench_table_new(m->b);
    for (unsigned number = 0; number < DAYS; number++) {
        day(m, number);
        if (number == 0)
            for (unsigned i = 0; i < REGULARS; i++) {
                char name[64];
                snprintf(name, sizeof name, "every-day-%u.west.ip", i);
                regular[i] = bench_by_name(m->b, name)->id;
            }
        if (number % 10 == 9)
            restart(m);
    }
    /* Who is used every day, and who has a connection, is who he was. */
    for (unsigned i = 0; i < REGULARS; i++)
        assert_non_null(handle_by_id(m->b->table, regular[i]));
    for (unsigned i = 0; i < SILENT; i++)
        assert_non_null(handle_by_id(m->b->table, m->silent[i]));
    /* What came once is there for two days and some, not for half a year; the file is in proportion. */
    assert_in_range(m->most, 2 * NEW_EACH_DAY, 3 * NEW_EACH_DAY + REGULARS + SILENT);
    assert_true(m->given_again > 10000);
    assert_in_range(m->snapshots, 10, DAYS * 24 / 4);
    assert_true(m->largest_file < 65536 + 1024 * (size_t)m->most);
    free(m);
}

/* A web page has its reader's programs ask for more hosts than anybody has. */
static void a_page_with_100_000_hosts(void **state)
{
    struct bench *b = *state;
    char name[64];
    unsigned given = 0, refused = 0;
    struct overlay_name other = bench_name("mail.west.ip");
    uint8_t key[32] = {1};
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "pixel%u.west.ip", i);
        const struct handle *h = bench_take(b, WALL + i / 100, name, 1, NULL);
        given += h != NULL;
        refused += h == NULL;
        assert_true(h || !strcmp(b->reason, handle_refuses_user(b->table, 1000)));
        bench_journal_pull(b);
    }
    assert_int_equal(given, 4096);
    assert_int_equal(refused, 100000 - 4096);
    assert_int_equal(handle_count(b->table), 4096);
    assert_true(b->file_size < 4096 * 200);
    assert_non_null(handle_refuses_user(b->table, 1000));
    /* Another user, and peers that come by themselves, find the pool as it was. */
    assert_null(handle_refuses_user(b->table, 1001));
    assert_non_null(handle_take(b->table, WALL, &other, key, NULL, 1001, &b->reason));
    other = bench_name("guest.west.ip");
    assert_non_null(handle_take(b->table, WALL, &other, key, NULL, HANDLE_NO_USER, &b->reason));
    /* What the page had given rests, and is gone in the end; then its reader can go on. */
    unsigned pass = 0;
    int64_t wall = WALL + 1000;
    const struct handle *h;
    while ((h = handle_next(b->table, &pass)))
        handle_release(b->table, wall, h->id);
    for (pass = 0; handle_due(b->table, wall + HANDLE_QUARANTINE, &pass);)
        fail();
    wall += HANDLE_QUARANTINE + HANDLE_TOUCH_SPAN;
    for (pass = 0; (h = handle_due(b->table, wall, &pass));)
        handle_recycle(b->table, wall, h->id, false);
    assert_int_equal(handle_count(b->table), 0);
    assert_non_null(bench_take(b, wall, "news.west.ip", 1, NULL));
    assert_true(handle_wants_snapshot(b->table));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(half_a_year),
        TEST(a_page_with_100_000_hosts),
    };
    return cmocka_run_group_tests_name("path_handle_months", tests, NULL, NULL);
}
