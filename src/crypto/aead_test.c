#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "crypto/crypto.h"
#include "tests/support/hex.h"
#include "tests/support/seeded.h"

/* Every test runs with each implementation: `library` is the one of this run. */
static struct aead_library *library;

static int with_generic(void **state)
{
    library = aead_library_new(AEAD_GENERIC);
    return 0;
}

static int with_fastest(void **state)
{
    library = aead_library_new(AEAD_FASTEST);
    return 0;
}

static int without_library(void **state)
{
    aead_library_free(library);
    library = NULL;
    return 0;
}

struct vector {
    enum crypto_aead kind;
    const char *key, *nonce, *ad, *text, *sealed;
};

static const struct vector vectors[] = {
    /* The GCM specification's test cases 13, 14 and 16. */
    {CRYPTO_AES256GCM, "0000000000000000000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {CRYPTO_AES256GCM, "0000000000000000000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {CRYPTO_AES256GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
     "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    /* RFC 8439 section 2.8.2. */
    {CRYPTO_CHACHA20POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
     "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
     "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a"
     "204966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f72207468"
     "65206675747572652c2073756e73637265656e20776f756c642062652069742e",
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
     "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
     "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
     "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"},
};

#define VECTORS (sizeof vectors / sizeof *vectors)

static void matches_the_specifications(void **state)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        uint8_t key[32], nonce[12], ad[64], text[256], wanted[256], out[256];
        hex_read(vectors[i].key, key);
        hex_read(vectors[i].nonce, nonce);
        size_t ad_size = hex_read(vectors[i].ad, ad);
        size_t size = hex_read(vectors[i].text, text);
        assert_int_equal(hex_read(vectors[i].sealed, wanted), size + CRYPTO_TAG);

        struct aead *seal = aead_new(library, vectors[i].kind, key, true);
        struct aead *open = aead_new(library, vectors[i].kind, key, false);
        assert_non_null(seal);
        assert_non_null(open);
        /* Twice: a context is used again with only the nonce set. */
        for (unsigned round = 0; round < 2; round++) {
            assert_true(aead_seal(seal, nonce, ad, ad_size, text, size, out));
            assert_memory_equal(out, wanted, size + CRYPTO_TAG);
            assert_true(aead_open(open, nonce, ad, ad_size, wanted, size + CRYPTO_TAG, out));
            assert_memory_equal(out, text, size);
        }
        /* In place. */
        memcpy(out, text, size);
        assert_true(aead_seal(seal, nonce, ad, ad_size, out, size, out));
        assert_memory_equal(out, wanted, size + CRYPTO_TAG);
        assert_true(aead_open(open, nonce, ad, ad_size, out, size + CRYPTO_TAG, out));
        assert_memory_equal(out, text, size);
        aead_free(seal);
        aead_free(open);
    }
}

static void refuses_every_changed_byte(void **state)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        uint8_t key[32], nonce[12], ad[64], sealed[256], text[256], out[256];
        hex_read(vectors[i].key, key);
        hex_read(vectors[i].nonce, nonce);
        size_t ad_size = hex_read(vectors[i].ad, ad);
        size_t text_size = hex_read(vectors[i].text, text);
        size_t size = hex_read(vectors[i].sealed, sealed);
        struct aead *open = aead_new(library, vectors[i].kind, key, false);
        for (size_t at = 0; at < size; at++) {
            sealed[at] ^= 0x10;
            assert_false(aead_open(open, nonce, ad, ad_size, sealed, size, out));
            sealed[at] ^= 0x10;
            assert_false(aead_open(open, nonce, ad, ad_size, sealed, at, out)); /* cut */
        }
        for (size_t at = 0; at < ad_size; at++) {
            ad[at] ^= 1;
            assert_false(aead_open(open, nonce, ad, ad_size, sealed, size, out));
            ad[at] ^= 1;
        }
        for (size_t at = 0; at < 12; at++) {
            nonce[at] ^= 1;
            assert_false(aead_open(open, nonce, ad, ad_size, sealed, size, out));
            nonce[at] ^= 1;
        }
        /* A refusal leaves the context usable. */
        assert_true(aead_open(open, nonce, ad, ad_size, sealed, size, out));
        assert_memory_equal(out, text, text_size);
        aead_free(open);

        key[31] ^= 1;
        open = aead_new(library, vectors[i].kind, key, false);
        assert_false(aead_open(open, nonce, ad, ad_size, sealed, size, out));
        aead_free(open);
    }
}

static void unknown_algorithm_is_refused(void **state)
{
    static const uint8_t key[32];
    assert_null(aead_new(library, (enum crypto_aead)0, key, true));
    assert_null(aead_new(library, (enum crypto_aead)3, key, false));
    aead_free(NULL);
}

static void large_and_empty_texts(void **state)
{
    static uint8_t buffer[65536 + CRYPTO_TAG];
    static const uint8_t key[32] = {1, 2, 3};
    uint8_t nonce[12] = {0};
    static const enum crypto_aead kinds[] = {CRYPTO_AES256GCM, CRYPTO_CHACHA20POLY1305};
    for (unsigned i = 0; i < 2; i++) {
        struct aead *seal = aead_new(library, kinds[i], key, true),
                    *open = aead_new(library, kinds[i], key, false);
        static const size_t sizes[] = {65536, 0, 1, 15, 16, 17};
        for (unsigned j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            size_t size = sizes[j];
            nonce[11]++;
            memset(buffer, 0x5a, size);
            assert_true(aead_seal(seal, nonce, NULL, 0, buffer, size, buffer));
            assert_true(aead_open(open, nonce, NULL, 0, buffer, size + CRYPTO_TAG, buffer));
            for (size_t at = 0; at < size; at++)
                assert_int_equal(buffer[at], 0x5a);
        }
        aead_free(seal);
        aead_free(open);
    }
}

#define TEXT 65536

/* What one implementation seals is byte for byte what the other seals, and each opens it: random
 * sizes, keys and contents; in place and not; at every alignment. */
static void implementations_agree(void **state)
{
    static uint8_t text[TEXT], here[TEXT + CRYPTO_TAG + 64], there[TEXT + CRYPTO_TAG], back[TEXT];
    struct seeded seeded;
    seeded_init(&seeded, 42);
    entropy_fill(&seeded.entropy, text, sizeof text);
    struct aead_library *fastest = aead_library_new(AEAD_FASTEST);
    for (unsigned round = 0; round < 2000; round++) {
        uint8_t key[32], nonce[12], ad[16], dice[4];
        entropy_fill(&seeded.entropy, key, sizeof key);
        entropy_fill(&seeded.entropy, nonce, sizeof nonce);
        entropy_fill(&seeded.entropy, ad, sizeof ad);
        entropy_fill(&seeded.entropy, dice, sizeof dice);
        size_t size = ((size_t)dice[0] << 8 | dice[1]) >> (dice[2] & 7);
        enum crypto_aead kind = round & 1 ? CRYPTO_AES256GCM : CRYPTO_CHACHA20POLY1305;
        uint8_t *at = here + (dice[3] & 63);
        struct aead *a = aead_new(NULL, kind, key, true), *b = aead_new(fastest, kind, key, true);
        struct aead *c = aead_new(NULL, kind, key, false), *d = aead_new(fastest, kind, key, false);

        memcpy(at, text, size);
        assert_true(aead_seal(b, nonce, ad, sizeof ad, at, size, at));
        assert_true(aead_seal(a, nonce, ad, sizeof ad, text, size, there));
        assert_memory_equal(at, there, size + CRYPTO_TAG);
        assert_true(aead_open(d, nonce, ad, sizeof ad, there, size + CRYPTO_TAG, back));
        assert_memory_equal(back, text, size);
        assert_true(aead_open(c, nonce, ad, sizeof ad, at, size + CRYPTO_TAG, at));
        assert_memory_equal(at, text, size);
        there[size + (dice[3] & 15)] ^= 1;
        assert_false(aead_open(c, nonce, ad, sizeof ad, there, size + CRYPTO_TAG, back));
        assert_false(aead_open(d, nonce, ad, sizeof ad, there, size + CRYPTO_TAG, back));
        aead_free(a);
        aead_free(b);
        aead_free(c);
        aead_free(d);
    }
    aead_library_free(fastest);
}

/* A context outlives the library that made it. */
static void library_may_go_first(void **state)
{
    static const uint8_t key[32] = {7}, nonce[12];
    uint8_t sealed[5 + CRYPTO_TAG], text[5];
    struct aead_library *l = aead_library_new(AEAD_FASTEST);
    struct aead *seal = aead_new(l, CRYPTO_AES256GCM, key, true);
    struct aead *open = aead_new(l, CRYPTO_AES256GCM, key, false);
    aead_library_free(l);
    aead_library_free(NULL);
    assert_true(aead_seal(seal, nonce, NULL, 0, (const uint8_t *)"hello", 5, sealed));
    assert_true(aead_open(open, nonce, NULL, 0, sealed, sizeof sealed, text));
    assert_memory_equal(text, "hello", 5);
    aead_free(seal);
    aead_free(open);
}

static void choice_is_followed(void **state)
{
    static const uint8_t key[32];
    struct aead *none = aead_new(NULL, CRYPTO_AES256GCM, key, true);
    struct aead *some = aead_new(library, CRYPTO_AES256GCM, key, true);
    assert_string_equal(aead_implementation(none), "openssl");
    print_message("aead: %s\n", aead_implementation(some));
    aead_free(none);
    aead_free(some);
}

#define WITH(library, test)                                                                        \
    {                                                                                              \
#test " (" #library ")", test, with_##library, without_library, NULL                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(generic, matches_the_specifications),   WITH(fastest, matches_the_specifications),
        WITH(generic, refuses_every_changed_byte),   WITH(fastest, refuses_every_changed_byte),
        WITH(generic, unknown_algorithm_is_refused), WITH(fastest, unknown_algorithm_is_refused),
        WITH(generic, large_and_empty_texts),        WITH(fastest, large_and_empty_texts),
        WITH(generic, choice_is_followed),           WITH(fastest, choice_is_followed),
        cmocka_unit_test(implementations_agree),     cmocka_unit_test(library_may_go_first),
    };
    return cmocka_run_group_tests_name("crypto_aead", tests, NULL, NULL);
}
