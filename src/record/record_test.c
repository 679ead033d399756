#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "record/record.h"
#include "tests/support/hex.h"

static const enum crypto_aead both[] = {CRYPTO_AES256GCM, CRYPTO_CHACHA20POLY1305};

struct fixture {
    struct record_sealer *sealer;
    struct record_opener *opener;
};

static void set_up(struct fixture *f, enum crypto_aead aead)
{
    uint8_t key[32];
    memset(key, 0x42, 32);
    f->sealer = record_sealer_new(NULL, aead, key, 5, 0);
    f->opener = record_opener_new(NULL, aead, key, true, 0);
    assert_non_null(f->sealer);
    assert_non_null(f->opener);
}

static void tear_down(struct fixture *f)
{
    record_sealer_free(f->sealer);
    record_opener_free(f->opener);
}

static bool read_and_open(struct record_opener *o, uint8_t *record, size_t size, size_t *ret_size,
                          enum drop_reason *ret_reason)
{
    struct record_header h;
    if (!record_read_header(record, size, &h)) {
        *ret_reason = DROP_TRUNCATED;
        return false;
    }
    return record_open(o, record, size, &h, ret_size, ret_reason);
}

static void opens_what_was_sealed(void **state)
{
    static uint8_t record[65536 + RECORD_OVERHEAD];
    for (unsigned i = 0; i < 2; i++) {
        struct fixture f;
        set_up(&f, both[i]);
        static const size_t sizes[] = {0, 1, 20, 1400, 65536};
        for (unsigned j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            size_t size = sizes[j], opened = 77;
            enum drop_reason reason = DROP_COUNT;
            memset(record + RECORD_HEADER, 0x5a, size);
            uint8_t flags = RECORD_KIND_IPV6 | RECORD_OPEN_CHECKSUM;
            assert_int_equal(record_seal(f.sealer, record, size, flags, 0x12345678),
                             size + RECORD_OVERHEAD);

            struct record_header h;
            assert_true(record_read_header(record, size + RECORD_OVERHEAD, &h));
            assert_int_equal(h.flags, flags);
            assert_int_equal(h.hops, RECORD_HOPS);
            assert_int_equal(h.epoch, 5);
            assert_int_equal(h.label, 0x12345678);
            assert_true(h.counter == j);

            assert_true(
                record_open(f.opener, record, size + RECORD_OVERHEAD, &h, &opened, &reason));
            assert_int_equal(opened, size);
            for (size_t at = 0; at < size; at++)
                assert_int_equal(record[RECORD_HEADER + at], 0x5a);
        }
        uint64_t highest = 0;
        assert_true(record_opener_highest(f.opener, &highest));
        assert_true(highest == 4);
        assert_true(record_sealer_counter(f.sealer) == 5);
        assert_int_equal(record_sealer_epoch(f.sealer), 5);
        tear_down(&f);
    }
}

/* Both ways give the same bytes, and neither touches what it only reads. */
static void seals_and_opens_elsewhere(void **state)
{
    static uint8_t text[3000], record[3000 + RECORD_OVERHEAD], same[sizeof record], opened[3002];
    for (unsigned i = 0; i < 2 * 3; i++) {
        static const size_t sizes[] = {0, 77, 3000};
        struct fixture f, twin;
        struct record_header h;
        enum drop_reason reason;
        size_t size = sizes[i / 2], got;
        set_up(&f, both[i % 2]);
        set_up(&twin, both[i % 2]);
        memset(text, 0x3c, sizeof text);
        memset(opened, 0xee, sizeof opened);
        memcpy(same + RECORD_HEADER, text, size);
        size_t sealed = record_seal_to(f.sealer, text, size, RECORD_KIND_IPV4, 99, record);
        assert_int_equal(sealed, size + RECORD_OVERHEAD);
        assert_int_equal(record_seal(twin.sealer, same, size, RECORD_KIND_IPV4, 99), sealed);
        assert_memory_equal(record, same, sealed);
        assert_true(record_read_header(record, sealed, &h));
        assert_true(record_open_to(f.opener, record, sealed, &h, opened + 1, &got, &reason));
        assert_int_equal(got, size);
        assert_memory_equal(opened + 1, text, size);
        assert_int_equal(opened[0], 0xee);
        assert_int_equal(opened[1 + size], 0xee);
        assert_memory_equal(record, same, sealed);
        assert_false(record_open_to(f.opener, record, sealed, &h, opened + 1, &got, &reason));
        assert_int_equal(reason, DROP_REPLAYED);
        tear_down(&f);
        tear_down(&twin);
    }
}

static void gateways_may_rewrite_hops_and_label_only(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct fixture f;
        uint8_t sealed[RECORD_OVERHEAD + 40], copy[sizeof sealed];
        set_up(&f, both[i]);
        memset(sealed, 0x33, sizeof sealed);
        assert_int_equal(record_seal(f.sealer, sealed, 40, RECORD_KIND_IPV4, 7), sizeof sealed);
        size_t opened;
        enum drop_reason reason;
        /* Every bit of every other byte, header, text and tag. */
        for (size_t at = 0; at < sizeof sealed; at++) {
            bool free_byte = at == 2 || (at >= 4 && at < 8);
            for (unsigned bit = 0; bit < 8 && !free_byte; bit++) {
                memcpy(copy, sealed, sizeof copy);
                copy[at] ^= (uint8_t)(1 << bit);
                assert_false(read_and_open(f.opener, copy, sizeof copy, &opened, &reason));
                assert_int_equal(reason, at == 0 ? DROP_TRUNCATED : DROP_BAD_TAG);
            }
        }
        uint64_t highest;
        assert_false(record_opener_highest(f.opener, &highest)); /* no forgery moved the window */

        memcpy(copy, sealed, sizeof copy);
        for (unsigned hop = 0; hop < RECORD_HOPS; hop++)
            record_swap_label(copy, 0xdeadbeef + hop);
        struct record_header h;
        assert_true(record_read_header(copy, sizeof copy, &h));
        assert_int_equal(h.hops, 0);
        assert_int_equal(h.label, 0xdeadbeef + RECORD_HOPS - 1);
        assert_true(record_open(f.opener, copy, sizeof copy, &h, &opened, &reason));
        assert_int_equal(opened, 40);
        tear_down(&f);
    }
}

static void refuses_replays(void **state)
{
    struct fixture f;
    uint8_t sealed[RECORD_OVERHEAD + 4], copy[sizeof sealed];
    size_t opened;
    enum drop_reason reason = DROP_COUNT;
    set_up(&f, CRYPTO_AES256GCM);
    record_seal(f.sealer, sealed, 4, RECORD_KIND_CONTROL, 7);
    memcpy(copy, sealed, sizeof copy);
    assert_true(read_and_open(f.opener, copy, sizeof copy, &opened, &reason));
    memcpy(copy, sealed, sizeof copy);
    assert_false(read_and_open(f.opener, copy, sizeof copy, &opened, &reason));
    assert_int_equal(reason, DROP_REPLAYED);
    tear_down(&f);
}

static void refuses_what_is_cut(void **state)
{
    struct fixture f;
    uint8_t sealed[RECORD_OVERHEAD + 30], copy[sizeof sealed];
    struct record_header h;
    size_t opened;
    enum drop_reason reason;
    set_up(&f, CRYPTO_AES256GCM);
    record_seal(f.sealer, sealed, 30, RECORD_KIND_IPV4, 7);
    assert_true(record_read_header(sealed, sizeof sealed, &h));
    for (size_t size = 0; size < sizeof sealed; size++) {
        memcpy(copy, sealed, sizeof copy);
        struct record_header ignored;
        assert_int_equal(record_read_header(copy, size, &ignored), size >= RECORD_OVERHEAD);
        assert_false(record_open(f.opener, copy, size, &h, &opened, &reason));
        assert_int_equal(reason, size < RECORD_OVERHEAD ? DROP_TRUNCATED : DROP_BAD_TAG);
    }
    for (unsigned type = 0; type < 256; type++) {
        sealed[0] = (uint8_t)type;
        assert_int_equal(record_read_header(sealed, sizeof sealed, &h), type == WIRE_RECORD);
    }
    tear_down(&f);
}

static void other_keys_do_not_open(void **state)
{
    struct fixture f;
    uint8_t sealed[RECORD_OVERHEAD + 4], copy[sizeof sealed], key[32];
    size_t opened;
    enum drop_reason reason;
    set_up(&f, CRYPTO_AES256GCM);
    record_seal(f.sealer, sealed, 4, RECORD_KIND_IPV4, 7);
    memset(key, 0x42, 32);
    for (unsigned i = 0; i < 2; i++) {
        /* One bit of the key, then the other algorithm. */
        key[0] ^= 1;
        struct record_opener *o =
            record_opener_new(NULL, i ? CRYPTO_CHACHA20POLY1305 : CRYPTO_AES256GCM, key, true, 0);
        memcpy(copy, sealed, sizeof copy);
        assert_false(read_and_open(o, copy, sizeof copy, &opened, &reason));
        assert_int_equal(reason, DROP_BAD_TAG);
        record_opener_free(o);
    }
    tear_down(&f);
}

static void spent_key_seals_no_more(void **state)
{
    uint8_t key[32] = {1}, record[RECORD_OVERHEAD + 4];
    struct record_sealer *s = record_sealer_new(NULL, CRYPTO_AES256GCM, key, 0, RECORD_DEAD_AT - 2);
    struct record_opener *o = record_opener_new(NULL, CRYPTO_AES256GCM, key, true, 0);
    size_t opened;
    enum drop_reason reason;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(record_seal(s, record, 4, 0, 7), sizeof record);
        assert_true(read_and_open(o, record, sizeof record, &opened, &reason));
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(record_seal(s, record, 4, 0, 7), 0);
        assert_true(record_sealer_counter(s) == RECORD_DEAD_AT);
    }
    record_sealer_free(s);
    record_opener_free(o);

    s = record_sealer_new(NULL, CRYPTO_AES256GCM, key, 0, UINT64_MAX);
    assert_int_equal(record_seal(s, record, 4, 0, 7), 0);
    record_sealer_free(s);
}

static void parked_key_wakes_at_its_counter(void **state)
{
    struct fixture f;
    uint8_t old[RECORD_OVERHEAD + 4], key[32];
    uint8_t record[sizeof old];
    size_t opened;
    enum drop_reason reason;
    uint64_t highest = 99;
    set_up(&f, CRYPTO_AES256GCM);
    record_seal(f.sealer, record, 4, 0, 7);
    record_seal(f.sealer, old, 4, 0, 7); /* on its way while the path is parked */
    record_seal(f.sealer, record, 4, 0, 7);
    assert_true(read_and_open(f.opener, record, sizeof record, &opened, &reason));
    uint64_t counter = record_sealer_counter(f.sealer);
    assert_true(record_opener_highest(f.opener, &highest));
    assert_true(counter == 3 && highest == 2);
    tear_down(&f);

    memset(key, 0x42, 32);
    f.sealer = record_sealer_new(NULL, CRYPTO_AES256GCM, key, 5, counter);
    f.opener = record_opener_new(NULL, CRYPTO_AES256GCM, key, false, highest);
    /* Parked again before anything came: nothing is forgotten. */
    highest = 0;
    assert_true(record_opener_highest(f.opener, &highest));
    assert_true(highest == 2);
    assert_false(read_and_open(f.opener, old, sizeof old, &opened, &reason));
    assert_int_equal(reason, DROP_REPLAYED);
    assert_int_equal(record_seal(f.sealer, record, 4, 0, 7), sizeof record);
    struct record_header h;
    assert_true(record_read_header(record, sizeof record, &h));
    assert_true(h.counter == 3);
    assert_true(read_and_open(f.opener, record, sizeof record, &opened, &reason));
    tear_down(&f);
}

static void remembers_the_last_tags(void **state)
{
    enum { RECORDS = 200, FIRST = 1000 };
    static uint8_t tags[RECORDS][RECORD_TAG];
    uint8_t key[32] = {2}, record[RECORD_OVERHEAD + 4];
    static const uint8_t zero[RECORD_TAG];
    struct record_sealer *s = record_sealer_new(NULL, CRYPTO_CHACHA20POLY1305, key, 0, FIRST);
    assert_false(record_sealed_lately(s, 0, zero));
    assert_false(record_sealed_lately(s, FIRST - 1, zero));
    assert_false(record_sealed_lately(s, FIRST, zero));
    for (unsigned i = 0; i < RECORDS; i++) {
        assert_int_equal(record_seal(s, record, 4, 0, 7), sizeof record);
        memcpy(tags[i], record + RECORD_HEADER + 4, RECORD_TAG);
        for (unsigned j = 0; j <= i; j++)
            assert_int_equal(record_sealed_lately(s, FIRST + j, tags[j]),
                             i - j < RECORD_REMEMBERED);
        assert_false(record_sealed_lately(s, FIRST + i + 1, tags[i]));
        assert_false(record_sealed_lately(s, FIRST - 1, zero));
        tags[i][15] ^= 1;
        assert_false(record_sealed_lately(s, FIRST + i, tags[i]));
        tags[i][15] ^= 1;
    }
    assert_false(record_sealed_lately(s, UINT64_MAX, tags[0]));
    record_sealer_free(s);
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

static void lane_keys_are_distinct(void **state)
{
    enum { EPOCHS = 256 };
    static uint8_t keys[2 * LABEL_LANES * EPOCHS][32];
    unsigned count = 0;
    for (unsigned direction = 0; direction < 2; direction++) {
        uint8_t secret[32];
        memset(secret, (int)direction, 32);
        for (unsigned lane = 0; lane < LABEL_LANES; lane++)
            for (unsigned epoch = 0; epoch < EPOCHS; epoch++)
                record_lane_key(secret, (uint8_t)lane, (uint8_t)epoch, keys[count++]);
    }
    qsort(keys, count, 32, compare_keys);
    for (unsigned i = 1; i < count; i++)
        assert_memory_not_equal(keys[i - 1], keys[i], 32);
}

static void labels_take_apart(void **state)
{
    uint32_t label = LABEL(0xabcde, 0x12, 0x9);
    assert_int_equal(label, 0xabcde129);
    assert_int_equal(LABEL_SLOT(label), 0xabcde);
    assert_int_equal(LABEL_GENERATION(label), 0x12);
    assert_int_equal(LABEL_LANE(label), 9);
    assert_int_equal(LABEL_SLOT(LABEL(LABEL_SLOTS - 1, 255, 15)), LABEL_SLOTS - 1);
}

/* The vectors of doc/protocol/record.md. */
static void matches_the_documented_vectors(void **state)
{
    static const char plain[] = "45000014000040000001000000000000 00000000";
    static const struct {
        enum crypto_aead aead;
        const char *record;
    } vectors[] = {
        {CRYPTO_AES256GCM, "c0011007abcde1230000000001020304"
                           "674b60d78593e73fdbf27cd933ee032516929ae3"
                           "0b1e7a7cebbd0d22683d7368ea2f5b1f"},
        {CRYPTO_CHACHA20POLY1305, "c0011007abcde1230000000001020304"
                                  "dfd1c7337d9308d215861854488a91ee4e938ef8"
                                  "c233bd09ca140d65a18ace0f7f7b3102"},
    };
    uint8_t direction[32], key[32], wanted[128], record[128];
    char text[300];
    for (unsigned i = 0; i < 32; i++)
        direction[i] = (uint8_t)i;
    record_lane_key(direction, 3, 7, key);
    assert_string_equal(hex_write(key, 32, text),
                        "4ab205dcc8d8838e87c87b5a821ddc1112e83bb47df8f6b3796d4d00164adda0");
    for (unsigned i = 0; i < 2; i++) {
        struct record_sealer *s =
            record_sealer_new(NULL, vectors[i].aead, key, 7, UINT64_C(0x01020304));
        size_t size = hex_read(plain, record + RECORD_HEADER);
        size = record_seal(s, record, size, RECORD_KIND_IPV4, LABEL(0xabcde, 0x12, 3));
        assert_string_equal(hex_write(record, size, text), vectors[i].record);

        struct record_opener *o = record_opener_new(NULL, vectors[i].aead, key, true, 0);
        size_t opened;
        enum drop_reason reason;
        assert_true(read_and_open(o, record, size, &opened, &reason));
        assert_int_equal(opened, hex_read(plain, wanted));
        assert_memory_equal(record + RECORD_HEADER, wanted, opened);
        record_sealer_free(s);
        record_opener_free(o);
    }
}

static void unknown_algorithm_is_refused(void **state)
{
    static const uint8_t key[32];
    assert_null(record_sealer_new(NULL, (enum crypto_aead)9, key, 0, 0));
    assert_null(record_opener_new(NULL, (enum crypto_aead)9, key, true, 0));
    record_sealer_free(NULL);
    record_opener_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_what_was_sealed),
        cmocka_unit_test(seals_and_opens_elsewhere),
        cmocka_unit_test(gateways_may_rewrite_hops_and_label_only),
        cmocka_unit_test(refuses_replays),
        cmocka_unit_test(refuses_what_is_cut),
        cmocka_unit_test(other_keys_do_not_open),
        cmocka_unit_test(spent_key_seals_no_more),
        cmocka_unit_test(parked_key_wakes_at_its_counter),
        cmocka_unit_test(remembers_the_last_tags),
        cmocka_unit_test(lane_keys_are_distinct),
        cmocka_unit_test(labels_take_apart),
        cmocka_unit_test(matches_the_documented_vectors),
        cmocka_unit_test(unknown_algorithm_is_refused),
    };
    return cmocka_run_group_tests_name("record_record", tests, NULL, NULL);
}
