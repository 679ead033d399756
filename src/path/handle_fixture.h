/* What the tests of the handle table share. */
#ifndef OCALA_PATH_HANDLE_FIXTURE_H
#define OCALA_PATH_HANDLE_FIXTURE_H

#include "path/handle.h"
#include "tests/support/seeded.h"

#define WALL INT64_C(1700000000)

struct bench {
    struct seeded random;
    struct handle_settings settings;
    struct handle_table *table;
    const char *reason;
    uint8_t *file; /* what a host would have on its disk */
    size_t file_size;
};

/* A table with the default IPv4 pool and fd12:3456:789a::/48. */
int bench_set_up(void **state);
int bench_tear_down(void **state);
void bench_table_new(struct bench *b);

struct overlay_name bench_name(const char *text);
/* Takes a handle for user 1000, a name, and a key whose bytes are all `key`. */
const struct handle *bench_take(struct bench *b, int64_t wall, const char *name, uint8_t key,
                                const char *way);
const struct handle *bench_by_name(struct bench *b, const char *name);
/* Moves what is pending to the file, in pieces as a host might. */
void bench_journal_pull(struct bench *b);
/* A new table that a journal was loaded into. */
struct handle_table *bench_load(struct bench *b, const void *bytes, size_t size,
                                struct handle_loaded *ret);
/* The same handles, found in the same ways. */
void bench_table_equal(const struct handle_table *a, const struct handle_table *b);

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)

#endif
