#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hash.h"

#define THINGS 1000

struct thing {
    struct hash_link link;
    unsigned key;
    unsigned seen;
};

static struct thing things[THINGS];

/* Many collide: eight keys share a hash. */
static uint64_t thing_hash(const void *context, const struct hash_link *link)
{
    return *(const unsigned *)context + ((const struct thing *)link)->key / 8;
}

static const unsigned salt = 77;

static struct thing *find(const struct hash_table *t, unsigned key)
{
    for (struct hash_link *l = hash_first(t, salt + key / 8); l; l = l->next)
        if (((struct thing *)l)->key == key)
            return (struct thing *)l;
    return NULL;
}

static void test_an_empty_table(void **state)
{
    struct hash_table t;
    struct hash_walk walk = {0};
    hash_init(&t, thing_hash, &salt);
    assert_null(hash_first(&t, 5));
    assert_null(hash_each(&t, &walk));
    hash_done(&t);
}

static void test_what_is_in_is_found(void **state)
{
    struct hash_table t;
    hash_init(&t, thing_hash, &salt);
    for (unsigned i = 0; i < THINGS; i++) {
        things[i] = (struct thing){.key = i};
        assert_null(find(&t, i));
        hash_add(&t, &things[i].link);
        assert_int_equal(t.count, i + 1);
        assert_ptr_equal(find(&t, i), &things[i]);
        assert_ptr_equal(find(&t, i / 2), &things[i / 2]); /* also after it has grown */
    }
    for (unsigned i = 0; i < THINGS; i += 3)
        hash_remove(&t, &things[i].link);
    for (unsigned i = 0; i < THINGS; i++)
        assert_ptr_equal(find(&t, i), i % 3 ? &things[i] : NULL);
    hash_done(&t);
}

/* Each is given once, and may be removed then. */
static void test_a_walk(void **state)
{
    struct hash_table t;
    hash_init(&t, thing_hash, &salt);
    for (unsigned i = 0; i < THINGS; i++) {
        things[i] = (struct thing){.key = i};
        hash_add(&t, &things[i].link);
    }
    for (unsigned turn = 1; turn <= 2; turn++) {
        struct hash_walk walk = {0};
        for (struct hash_link *l; (l = hash_each(&t, &walk));) {
            ((struct thing *)l)->seen++;
            if (turn == 2)
                hash_remove(&t, l);
        }
        for (unsigned i = 0; i < THINGS; i++)
            assert_int_equal(things[i].seen, turn);
    }
    assert_int_equal(t.count, 0);
    hash_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_table),
        cmocka_unit_test(test_what_is_in_is_found),
        cmocka_unit_test(test_a_walk),
    };
    return cmocka_run_group_tests_name("base_hash", tests, NULL, NULL);
}
