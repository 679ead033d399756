#include "path/handle_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void bench_table_new(struct bench *b)
{
    b->table = handle_table_new(&b->settings, &b->random.entropy, &b->reason);
    assert_non_null(b->table);
}

int bench_set_up(void **state)
{
    struct bench *b = base_calloc(1, sizeof *b);
    seeded_init(&b->random, 5);
    handle_settings_init(&b->settings);
    if (!ip_prefix_parse("fd12:3456:789a::/48", &b->settings.v6))
        return -1;
    bench_table_new(b);
    *state = b;
    return 0;
}

int bench_tear_down(void **state)
{
    struct bench *b = *state;
    handle_table_free(b->table);
    free(b->file);
    free(b);
    return 0;
}

struct overlay_name bench_name(const char *text)
{
    struct overlay_name name = {{0}};
    snprintf(name.text, sizeof name.text, "%s", text);
    return name;
}

/* Takes a handle for a name and a key whose bytes are all `key`. */
const struct handle *bench_take(struct bench *b, int64_t wall, const char *name, uint8_t key,
                                const char *way)
{
    struct overlay_name n = bench_name(name);
    uint8_t k[32];
    memset(k, key, sizeof k);
    return handle_take(b->table, wall, &n, k, way, 1000, &b->reason);
}

const struct handle *bench_by_name(struct bench *b, const char *name)
{
    struct overlay_name n = bench_name(name);
    return handle_by_name(b->table, &n);
}

/* Moves what is pending to the file, in pieces as a host might. */
void bench_journal_pull(struct bench *b)
{
    const uint8_t *bytes;
    size_t size;
    while (handle_journal_output(b->table, &bytes, &size)) {
        size_t piece = size > 100 ? 100 : size;
        b->file = base_realloc(b->file, b->file_size + piece);
        memcpy(b->file + b->file_size, bytes, piece);
        b->file_size += piece;
        handle_journal_written(b->table, piece);
    }
}

static void handle_equal(const struct handle *a, const struct handle *b)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->named, b->named);
    assert_int_equal(a->owner_user, b->owner_user);
    assert_int_equal(a->last_used_wall, b->last_used_wall);
    assert_int_equal(a->taken_wall, b->taken_wall);
    assert_true(ip_address_equal(&a->v4, &b->v4));
    assert_true(ip_address_equal(&a->v6, &b->v6));
    assert_memory_equal(a->key, b->key, 32);
    assert_true(overlay_name_equal(&a->name, &b->name));
    assert_int_equal(a->way == NULL, b->way == NULL);
    if (a->way)
        assert_string_equal(a->way, b->way);
}

void bench_table_equal(const struct handle_table *a, const struct handle_table *b)
{
    unsigned pass = 0;
    assert_int_equal(handle_count(a), handle_count(b));
    for (const struct handle *h; (h = handle_next(a, &pass));) {
        const struct handle *other = handle_by_id(b, h->id);
        assert_non_null(other);
        handle_equal(h, other);
        assert_ptr_equal(handle_by_address(b, &h->v4), other);
        assert_ptr_equal(handle_by_address(b, &h->v6), other);
        assert_ptr_equal(handle_by_peer(b, &h->name, h->key), other);
        if (h->named)
            assert_ptr_equal(handle_by_name(b, &h->name), other);
    }
}

struct handle_table *bench_load(struct bench *b, const void *bytes, size_t size,
                                struct handle_loaded *ret)
{
    struct handle_table *copy = handle_table_new(&b->settings, &b->random.entropy, &b->reason);
    assert_non_null(copy);
    handle_load(copy, bytes, size, ret);
    return copy;
}
