/* Identifiers and constraints, against values computed by the original's own code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "i3/i3_id.h"
#include "tests/support/hex.h"
#include "tests/support/seeded.h"

static void key_is(enum i3_side side, const void *in, const char *wanted)
{
    struct i3_hash *h = i3_hash_new();
    uint8_t out[I3_KEY], right[I3_KEY];
    hex_read(wanted, right);
    i3_hash_key(h, side, in, out);
    assert_memory_equal(out, right, I3_KEY);
    i3_hash_free(h);
}

static void keys_as_the_original(void **state)
{
    uint8_t zero[I3_KEY] = {0}, count[I3_KEY];
    for (unsigned i = 0; i < I3_KEY; i++)
        count[i] = (uint8_t)i;
    key_is(I3_LEFT, zero, "68f91dcbfdfaa38c4e5db677450e5ffb");
    key_is(I3_RIGHT, zero, "8ae6d04943c6ddada0cbc13d7195e41a");
    key_is(I3_LEFT, count, "1bc5a61c7561e108dbde79b09ed2727b");
    key_is(I3_RIGHT, count, "0b0b7ce303d29dc2c60e2fe63a035496");
    key_is(I3_LEFT, "this is test key", "479f2dafb6db2fb673b18448bb611105");
}

static void identifiers_as_the_original(void **state)
{
    struct i3_hash *h = i3_hash_new();
    struct i3_id id;
    uint8_t out[I3_KEY], right[I3_KEY];
    for (unsigned i = 0; i < I3_ID; i++)
        id.bytes[i] = (uint8_t)i;
    i3_hash_id(h, I3_LEFT, &id, out);
    hex_read("bd1c3758782e5090af4929689cfe487e", right);
    assert_memory_equal(out, right, I3_KEY);
    i3_hash_id(h, I3_RIGHT, &id, out);
    hex_read("7110d1cbd441b8d4694a2c4d06e89f1e", right);
    assert_memory_equal(out, right, I3_KEY);
    i3_hash_free(h);
}

static void constraints(void **state)
{
    struct i3_hash *h = i3_hash_new();
    struct seeded random;
    struct i3_id x, y;
    uint8_t key[I3_KEY], other[I3_KEY] = {1};
    seeded_init(&random, 1);

    /* Left, to an address: for who has the key, public or private. */
    i3_id_draw(h, &random.entropy, NULL, &x, key);
    assert_true(i3_constraint_holds(h, &x, NULL, key));
    assert_false(i3_constraint_holds(h, &x, NULL, other));
    /* Right, to an address: who knows a private x can compute the key, with a public one that does
     * not help. */
    i3_hash_id(h, I3_RIGHT, &x, other);
    assert_false(i3_constraint_holds(h, &x, NULL, other));
    i3_id_set_public(&x, false);
    i3_hash_id(h, I3_RIGHT, &x, other);
    assert_true(i3_constraint_holds(h, &x, NULL, other));

    /* Left, to an identifier. */
    i3_id_draw(h, &random.entropy, NULL, &y, key);
    i3_id_draw(h, &random.entropy, NULL, &x, key);
    assert_false(i3_constraint_holds(h, &x, &y, key));
    i3_hash_id(h, I3_LEFT, &y, i3_id_key(&x));
    assert_true(i3_constraint_holds(h, &x, &y, key));
    /* Right, to an identifier. */
    i3_id_draw(h, &random.entropy, NULL, &x, key);
    i3_hash_id(h, I3_RIGHT, &x, i3_id_key(&y));
    assert_false(i3_constraint_holds(h, &x, &y, key));
    i3_id_set_public(&x, false);
    i3_hash_id(h, I3_RIGHT, &x, i3_id_key(&y));
    assert_true(i3_constraint_holds(h, &x, &y, key));
    i3_hash_free(h);
}

static void common_bits(void **state)
{
    struct i3_id a = {{0}}, b = {{0}};
    assert_int_equal(i3_id_common(&a, &b), 256);
    for (unsigned bit = 0; bit < 256; bit++) {
        memset(&b, 0, sizeof b);
        b.bytes[bit / 8] = (uint8_t)(0x80 >> bit % 8);
        assert_int_equal(i3_id_common(&a, &b), bit);
        if (bit < 248)
            b.bytes[31] |= 1; /* what comes after does not matter */
        assert_int_equal(i3_id_common(&a, &b), bit);
    }
}

static void names(void **state)
{
    struct i3_hash *h = i3_hash_new();
    struct i3_id a, b, c;
    uint8_t key_a[I3_KEY], key_b[I3_KEY], secret[32] = {7};
    i3_id_of_name(h, NULL, "foo.planetlab.i3", &a, key_a);
    i3_id_of_name(h, NULL, "foo.planetlab.i3", &b, key_b);
    assert_true(i3_id_equal(&a, &b));
    assert_memory_equal(key_a, key_b, I3_KEY);
    assert_true(i3_id_is_public(&a));
    assert_true(i3_constraint_holds(h, &a, NULL, key_a));
    i3_id_of_name(h, NULL, "bar.planetlab.i3", &b, key_b);
    assert_false(i3_id_equal(&a, &b));
    i3_id_of_name(h, secret, "foo.planetlab.i3", &c, key_b);
    assert_true(i3_id_common(&a, &c) < 64);
    assert_true(i3_constraint_holds(h, &c, NULL, key_b));
    assert_false(i3_constraint_holds(h, &c, NULL, key_a));
    i3_hash_free(h);
}

static void drawn_near_a_server(void **state)
{
    struct i3_hash *h = i3_hash_new();
    struct seeded random;
    static const uint8_t near[I3_PREFIX] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct i3_id a, b;
    uint8_t key[I3_KEY];
    seeded_init(&random, 2);
    i3_id_draw(h, &random.entropy, near, &a, key);
    assert_memory_equal(a.bytes, near, I3_PREFIX - 1);
    assert_true(i3_id_is_public(&a));
    assert_true(i3_constraint_holds(h, &a, NULL, key));
    i3_id_draw(h, &random.entropy, near, &b, key);
    assert_true(i3_id_common(&a, &b) < I3_MATCH);
    i3_hash_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_as_the_original),
        cmocka_unit_test(identifiers_as_the_original),
        cmocka_unit_test(constraints),
        cmocka_unit_test(common_bits),
        cmocka_unit_test(names),
        cmocka_unit_test(drawn_near_a_server),
    };
    return cmocka_run_group_tests_name("i3_id", tests, NULL, NULL);
}
