#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "path/handle_fixture.h"

/* Many changes of every kind; after each one the file's size and a copy of the table go to `each`.
 */
struct step {
    size_t file_size;
    struct handle_table *table;
};

static void step_keep(struct bench *b, struct step *step)
{
    bench_journal_pull(b);
    size_t size;
    uint8_t *bytes = handle_snapshot(b->table, &size);
    struct handle_loaded loaded;
    step->file_size = b->file_size;
    step->table = bench_load(b, bytes, size, &loaded);
    assert_null(loaded.trouble);
    free(bytes);
    bench_table_equal(b->table, step->table);
}

#define STEPS 40

static void story(struct bench *b, struct step steps[STEPS])
{
    uint32_t ids[STEPS] = {0};
    int64_t wall = WALL;
    char name[64];
    for (unsigned i = 0; i < STEPS; i++) {
        wall += HANDLE_TOUCH_SPAN;
        snprintf(name, sizeof name, "h%u.west.ip", i / 2);
        switch (i % 8) {
        case 5:
            handle_touch(b->table, wall, ids[i - 1]);
            break;
        case 6:
            handle_release(b->table, wall, ids[i - 2]);
            break;
        case 7:
            handle_recycle(b->table, wall, ids[i - 3], false);
            break;
        default:
            /* Every second one takes the name of the one before with another key. */
            ids[i] =
                bench_take(b, wall, name, (uint8_t)i, i % 3 ? "x.west.ip.via.g.east.ip" : NULL)->id;
        }
        step_keep(b, &steps[i]);
    }
}

static void replays_up_to_any_byte(void **state)
{
    struct bench *b = *state;
    struct step steps[STEPS];
    story(b, steps);
    unsigned done = 0, exact = 0;
    for (size_t cut = 0; cut <= b->file_size; cut++) {
        uint8_t *bytes = malloc(cut ? cut : 1);
        memcpy(bytes, b->file, cut);
        struct handle_loaded loaded;
        struct handle_table *copy = bench_load(b, bytes, cut, &loaded);
        assert_true(loaded.good <= cut);
        assert_int_equal(loaded.trouble == NULL, loaded.good == cut);
        while (done + 1 < STEPS && steps[done + 1].file_size <= cut)
            done++;
        if (steps[done].file_size == cut) {
            assert_int_equal(loaded.good, cut);
            bench_table_equal(steps[done].table, copy);
            exact++;
        }
        /* Cut where it says, the file is whole again. */
        struct handle_table *again = bench_load(b, bytes, loaded.good, &loaded);
        assert_null(loaded.trouble);
        bench_table_equal(copy, again);
        handle_table_free(again);
        handle_table_free(copy);
        free(bytes);
    }
    assert_int_equal(exact, STEPS);
    for (unsigned i = 0; i < STEPS; i++)
        handle_table_free(steps[i].table);
}

static void stops_at_garbage(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 20; i++) {
        char name[64];
        snprintf(name, sizeof name, "h%u.west.ip", i);
        bench_take(b, WALL, name, 1, NULL);
    }
    bench_journal_pull(b);
    struct handle_loaded loaded;
    for (size_t at = 0; at < b->file_size; at++) {
        b->file[at] ^= 0x10;
        struct handle_table *copy = bench_load(b, b->file, b->file_size, &loaded);
        assert_non_null(loaded.trouble);
        assert_true(loaded.good <= at);
        assert_true(handle_count(copy) < 20);
        handle_table_free(copy);
        b->file[at] ^= 0x10;
    }
    uint8_t noise[1000];
    for (unsigned round = 0; round < 2000; round++) {
        size_t size = entropy_below(&b->random.entropy, sizeof noise);
        entropy_fill(&b->random.entropy, noise, size);
        struct handle_table *copy = bench_load(b, noise, size, &loaded);
        assert_int_equal(loaded.good, 0);
        assert_int_equal(handle_count(copy), 0);
        /* What comes next starts a journal of its own. */
        const uint8_t *bytes;
        assert_true(handle_journal_output(copy, &bytes, &size));
        handle_table_free(copy);
    }
}

static void appends_after_loading(void **state)
{
    struct bench *b = *state;
    uint32_t id = bench_take(b, WALL, "web.west.ip", 1, NULL)->id;
    bench_journal_pull(b);
    struct handle_loaded loaded;
    struct handle_table *next = bench_load(b, b->file, b->file_size, &loaded);
    assert_int_equal(loaded.records, 2);
    handle_table_free(b->table);
    b->table = next;
    const uint8_t *bytes;
    size_t size;
    assert_false(handle_journal_output(b->table, &bytes, &size));
    const struct handle *h = bench_take(b, WALL + 10, "web.west.ip", 1, NULL);
    assert_int_equal(h->id, id);
    /* Touched, but not for an hour: nothing to write. */
    handle_touch(b->table, WALL + HANDLE_TOUCH_SPAN - 1, id);
    assert_false(handle_journal_output(b->table, &bytes, &size));
    handle_touch(b->table, WALL + HANDLE_TOUCH_SPAN, id);
    assert_true(handle_journal_output(b->table, &bytes, &size));
    assert_true(bench_take(b, WALL, "db.west.ip", 1, NULL)->id > id);
    bench_journal_pull(b);
    struct handle_table *copy = bench_load(b, b->file, b->file_size, &loaded);
    assert_null(loaded.trouble);
    bench_table_equal(b->table, copy);
    handle_table_free(copy);
}

static void leaves_out_other_pools(void **state)
{
    struct bench *b = *state;
    char name[64];
    for (unsigned i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "h%u.west.ip", i);
        bench_take(b, WALL, name, 1, NULL);
        bench_take(b, WALL, name, 1, "way.west.ip"); /* twice in the journal */
    }
    uint32_t last = bench_take(b, WALL, "last.west.ip", 1, NULL)->id;
    bench_journal_pull(b);
    struct handle_loaded loaded;
    assert_true(ip_prefix_parse("10.99.0.0/16", &b->settings.v4));
    struct handle_table *copy = bench_load(b, b->file, b->file_size, &loaded);
    assert_null(loaded.trouble);
    assert_int_equal(loaded.outside, 51);
    assert_int_equal(handle_count(copy), 0);
    handle_table_free(b->table);
    b->table = copy;
    assert_true(bench_take(b, WALL, "h0.west.ip", 1, NULL)->id > last);
    bench_journal_pull(b);
    /* The old pool again: they do not come back, the new one goes. */
    assert_true(ip_prefix_parse("198.18.0.0/15", &b->settings.v4));
    copy = bench_load(b, b->file, b->file_size, &loaded);
    assert_int_equal(loaded.outside, 1);
    assert_int_equal(handle_count(copy), 0);
    handle_table_free(copy);
}

static void snapshots(void **state)
{
    struct bench *b = *state;
    const struct handle *h = bench_take(b, WALL, "web.west.ip", 1, NULL);
    uint32_t gone = bench_take(b, WALL, "gone.west.ip", 1, NULL)->id;
    assert_false(handle_wants_snapshot(b->table));
    int64_t wall = WALL;
    while (!handle_wants_snapshot(b->table)) {
        wall += HANDLE_TOUCH_SPAN;
        handle_touch(b->table, wall, h->id);
        bench_journal_pull(b);
    }
    assert_true(b->file_size > 65536);
    handle_release(b->table, wall, gone);
    handle_recycle(b->table, wall, gone, false);
    size_t size;
    uint8_t *bytes = handle_snapshot(b->table, &size);
    assert_true(size < 300);
    handle_snapshot_written(b->table, size);
    assert_false(handle_wants_snapshot(b->table));
    const uint8_t *pending;
    size_t pending_size;
    assert_false(handle_journal_output(b->table, &pending, &pending_size));
    struct handle_loaded loaded;
    struct handle_table *copy = bench_load(b, bytes, size, &loaded);
    bench_table_equal(b->table, copy);
    free(bytes);
    handle_table_free(b->table);
    b->table = copy;
    /* An id that is gone from the snapshot is still not given again. */
    assert_true(bench_take(b, wall, "new.west.ip", 1, NULL)->id > gone);
}

static void asks_for_a_snapshot_when_bytes_are_lost(void **state)
{
    struct bench *b = *state;
    bench_take(b, WALL, "web.west.ip", 1, NULL);
    bench_journal_pull(b);
    assert_false(handle_wants_snapshot(b->table));
    handle_journal_lost(b->table);
    assert_true(handle_wants_snapshot(b->table));
    /* Nothing may be appended to what is incomplete. */
    bench_take(b, WALL, "db.west.ip", 1, NULL);
    const uint8_t *bytes;
    size_t size;
    assert_false(handle_journal_output(b->table, &bytes, &size));
    struct handle_loaded loaded;
    uint8_t *snapshot = handle_snapshot(b->table, &size);
    handle_snapshot_written(b->table, size);
    struct handle_table *copy = bench_load(b, snapshot, size, &loaded);
    bench_table_equal(b->table, copy);
    handle_table_free(copy);
    free(snapshot);
    assert_false(handle_wants_snapshot(b->table));
}

static void gives_up_pending_bytes(void **state)
{
    struct bench *b = *state;
    const struct handle *h = bench_take(b, WALL, "web.west.ip", 1, NULL);
    const uint8_t *bytes;
    size_t size = 0, most = 0;
    for (int64_t i = 1; i < 100000; i++) {
        handle_touch(b->table, WALL + i * HANDLE_TOUCH_SPAN, h->id);
        if (handle_journal_output(b->table, &bytes, &size) && size > most)
            most = size;
    }
    assert_true(most <= HANDLE_PENDING_MAX);
    assert_true(handle_wants_snapshot(b->table));
    assert_false(handle_journal_output(b->table, &bytes, &size));
    uint8_t *snapshot = handle_snapshot(b->table, &size);
    handle_snapshot_written(b->table, size);
    free(snapshot);
    assert_false(handle_wants_snapshot(b->table));
    handle_set_way(b->table, h->id, "web.west.ip");
    assert_true(handle_journal_output(b->table, &bytes, &size));
}

/* Checksums are right, but a record has a byte too many, or a name that is none: nothing of it may
 * stay. */
static void leaves_no_half_record(void **state)
{
    struct bench *b = *state;
    bench_take(b, WALL, "web.west.ip", 1, NULL);
    bench_journal_pull(b);
    struct handle_loaded loaded;
    handle_table_free(bench_load(b, b->file, b->file_size, &loaded));
    assert_int_equal(loaded.good, b->file_size);
    /* The last record is the handle's: its size is in front of it, its checksum behind. */
    size_t begin = 3 + (b->file[0] << 8 | b->file[1]) + 4, size = b->file_size - begin;
    for (unsigned i = 0; i < 2; i++) {
        uint8_t journal[512], hash[32];
        memcpy(journal, b->file, b->file_size);
        uint8_t *record = journal + begin;
        size_t payload = size - 7 + (i == 0);
        record[1] = (uint8_t)payload;
        if (i == 0)
            record[3 + payload - 1] = 0;
        else
            record[3 + payload - 1 - 8] = ' '; /* of the name, before the time it was given */
        crypto_sha256(record, 3 + payload, hash);
        memcpy(record + 3 + payload, hash, 4);
        struct handle_table *copy = bench_load(b, journal, begin + payload + 7, &loaded);
        assert_string_equal(loaded.trouble, "a record that makes no sense");
        assert_int_equal(loaded.good, begin);
        assert_int_equal(handle_count(copy), 0);
        handle_table_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replays_up_to_any_byte),
        TEST(stops_at_garbage),
        TEST(appends_after_loading),
        TEST(leaves_out_other_pools),
        TEST(snapshots),
        TEST(asks_for_a_snapshot_when_bytes_are_lost),
        TEST(gives_up_pending_bytes),
        TEST(leaves_no_half_record),
    };
    return cmocka_run_group_tests_name("path_handle_journal", tests, NULL, NULL);
}
