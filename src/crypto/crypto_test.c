#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "crypto/crypto.h"
#include "tests/support/hex.h"

#define assert_hex(bytes, size, text)                                                              \
    do {                                                                                           \
        uint8_t wanted_[512];                                                                      \
        assert_int_equal(hex_read(text, wanted_), size);                                           \
        assert_memory_equal(bytes, wanted_, size);                                                 \
    } while (0)

static void sha256_matches_fips_180(void **state)
{
    uint8_t out[32];
    crypto_sha256("abc", 3, out);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256("", 0, out);
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    crypto_sha256_two("a", 1, "bc", 2, out);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256_two("abc", 3, NULL, 0, out);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void hmac_matches_rfc_4231(void **state)
{
    uint8_t key[131], out[32];
    memset(key, 0x0b, 20);
    crypto_hmac_sha256(key, 20, "Hi There", 8, out);
    assert_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    crypto_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 131);
    const char *long_key = "Test Using Larger Than Block-Size Key - Hash Key First";
    crypto_hmac_sha256(key, 131, long_key, strlen(long_key), out);
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void hmac_key_serves_many_messages(void **state)
{
    uint8_t in[200], key[32] = {7}, out[32], right[32];
    struct crypto_hmac_key prepared;
    crypto_hmac_key("Jefe", 4, &prepared);
    crypto_hmac(&prepared, "what do ya want for nothing?", 28, out);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    crypto_hmac_key(key, sizeof key, &prepared);
    for (size_t size = 0; size <= sizeof in; size++) {
        memset(in, (int)size, sizeof in);
        crypto_hmac(&prepared, in, size, out);
        crypto_hmac_sha256(key, sizeof key, in, size, right);
        assert_memory_equal(out, right, sizeof out);
    }
}

static void hkdf_matches_rfc_5869(void **state)
{
    uint8_t salt[80], secret[80], info[80], extracted[32], out[3][32], bytes[96];

    /* Test case 1: the two halves by themselves, since crypto_hkdf() has no info. */
    memset(secret, 0x0b, 22);
    size_t salt_size = hex_read("000102030405060708090a0b0c", salt);
    size_t info_size = hex_read("f0f1f2f3f4f5f6f7f8f9", info);
    crypto_hmac_sha256(salt, salt_size, secret, 22, extracted);
    assert_hex(extracted, 32, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    crypto_hkdf_expand(extracted, info, info_size, bytes, 42);
    assert_hex(
        bytes, 42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");

    /* Test case 2: three blocks. */
    for (unsigned i = 0; i < 80; i++) {
        secret[i] = (uint8_t)i;
        salt[i] = (uint8_t)(0x60 + i);
        info[i] = (uint8_t)(0xb0 + i);
    }
    crypto_hmac_sha256(salt, 80, secret, 80, extracted);
    crypto_hkdf_expand(extracted, info, 80, bytes, 82);
    assert_hex(bytes, 82,
               "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac78272"
               "71cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f"
               "1d87");

    /* Test case 3: zero salt, no info. */
    memset(secret, 0x0b, 22);
    memset(salt, 0, 32);
    crypto_hkdf(salt, secret, 22, 3, out);
    assert_hex(
        out, 42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    uint8_t first[1][32];
    crypto_hkdf(salt, secret, 22, 1, first);
    assert_memory_equal(first[0], out[0], 32);
}

static void x25519_matches_rfc_7748(void **state)
{
    uint8_t k[32], u[32], out[32];
    hex_read("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", k);
    hex_read("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", u);
    assert_true(crypto_x25519(k, u, out));
    assert_hex(out, 32, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    /* Its u has the top bit set, which must be ignored. */
    hex_read("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d", k);
    hex_read("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493", u);
    assert_true(crypto_x25519(k, u, out));
    assert_hex(out, 32, "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");

    memset(k, 0, 32);
    k[0] = 9;
    memcpy(u, k, 32);
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(crypto_x25519(k, u, out));
        memcpy(u, k, 32);
        memcpy(k, out, 32);
        if (i == 0)
            assert_hex(k, 32, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
    assert_hex(k, 32, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

static void x25519_agrees(void **state)
{
    uint8_t alice[32], bob[32], alice_public[32], bob_public[32], out[32];
    hex_read("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", alice);
    hex_read("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", bob);
    crypto_x25519_public(alice, alice_public);
    crypto_x25519_public(bob, bob_public);
    assert_hex(alice_public, 32,
               "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert_hex(bob_public, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_true(crypto_x25519(alice, bob_public, out));
    assert_hex(out, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_true(crypto_x25519(bob, alice_public, out));
    assert_hex(out, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

/* The points of order 1, 2, 4 and 8 on the curve and its twist, in all their encodings below 2^255.
 */
static const char *const low_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void x25519_refuses_low_order(void **state)
{
    uint8_t secret[32], point[32], out[32];
    static const uint8_t zero[32];
    hex_read("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", secret);
    for (unsigned i = 0; i < sizeof low_order / sizeof *low_order; i++) {
        hex_read(low_order[i], point);
        memset(out, 1, 32);
        assert_false(crypto_x25519(secret, point, out));
        assert_memory_equal(out, zero, 32);
        point[31] |= 0x80;
        assert_false(crypto_x25519(secret, point, out));
    }
}

static void ed25519_matches_rfc_8032(void **state)
{
    uint8_t seed[32], out[32];
    hex_read("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", seed);
    crypto_ed25519_public(seed, out);
    assert_hex(out, 32, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    hex_read("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", seed);
    crypto_ed25519_public(seed, out);
    assert_hex(out, 32, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
}

static void ed25519_converts_both_halves_alike(void **state)
{
    uint8_t seed[32], ed[32], secret[32], from_secret[32], from_public[32];
    for (unsigned i = 0; i < 50; i++) {
        crypto_sha256(&i, sizeof i, seed);
        crypto_ed25519_public(seed, ed);
        crypto_ed25519_to_x25519_secret(seed, secret);
        crypto_x25519_public(secret, from_secret);
        assert_true(crypto_ed25519_to_x25519_public(ed, from_public));
        assert_memory_equal(from_secret, from_public, 32);
    }
}

static void ed25519_refuses_bad_points(void **state)
{
    uint8_t point[32] = {1}, out[32];
    memset(out, 7, 32);
    assert_false(crypto_ed25519_to_x25519_public(point, out)); /* the neutral element */
    memset(point, 0, 32);
    assert_false(crypto_ed25519_to_x25519_public(point, out)); /* order 4 */
    memset(point, 0xff, 32);
    assert_false(crypto_ed25519_to_x25519_public(point, out)); /* not on the curve */
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(out[i], 7);
}

static void key_text_goes_both_ways(void **state)
{
    char text[CRYPTO_KEY_TEXT];
    uint8_t key[32], back[32];
    for (unsigned i = 0; i < 32; i++)
        key[i] = (uint8_t)(i * 9 + 200);
    assert_ptr_equal(crypto_key_format(key, text), text);
    assert_int_equal(strlen(text), 44);
    assert_true(crypto_key_parse(text, back));
    assert_memory_equal(key, back, 32);

    memset(key, 0, 32);
    assert_string_equal(crypto_key_format(key, text),
                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
}

static void key_text_refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "AAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",      /* padding missing     */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ",    /* something behind    */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",     /* unused bits set     */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",     /* 31 bytes            */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",     /* 33 bytes            */
        "AAAAAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAAAAAAAAA=",     /* the URL alphabet    */
        "AAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAAAAA=",     /* blank inside        */
        "AAAAAAAAAAAAAAAAA\232AAAAAAAAAAAAAAAAAAAAAAAAA=",  /* not ASCII           */
        "AAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAAAAAAAAAA=",    /* line end inside     */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=AAAA", /* longer              */
    };
    uint8_t key[32];
    memset(key, 7, 32);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(crypto_key_parse(bad[i], key));
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(key[i], 7);
}

static void siphash_matches_the_paper(void **state)
{
    uint8_t key[16], in[15];
    for (unsigned i = 0; i < 16; i++)
        key[i] = (uint8_t)i;
    for (unsigned i = 0; i < 15; i++)
        in[i] = (uint8_t)i;
    assert_true(crypto_siphash(key, in, 15) == UINT64_C(0xa129ca6149be45e5));
}

static void equal_and_wipe(void **state)
{
    uint8_t a[16] = "fifteen letters", b[16] = "fifteen letters";
    static const uint8_t zero[16];
    assert_true(crypto_equal(a, b, 16));
    b[15] ^= 0x80;
    assert_false(crypto_equal(a, b, 16));
    assert_true(crypto_equal(a, b, 15));
    assert_true(crypto_equal(a, b, 0));
    crypto_wipe(a, 16);
    assert_memory_equal(a, zero, 16);
}

static void xaead_matches_the_draft(void **state)
{
    /* draft-irtf-cfrg-xchacha-03, appendix A.3.1 */
    static const char text[] =
        "Ladies and Gentlemen of the class of '99: If I could offer you only "
        "one tip for the future, sunscreen would be it.";
    uint8_t key[32], nonce[24], ad[12], sealed[130], opened[130];
    size_t size = strlen(text);
    for (unsigned i = 0; i < 32; i++)
        key[i] = (uint8_t)(0x80 + i);
    for (unsigned i = 0; i < 24; i++)
        nonce[i] = (uint8_t)(0x40 + i);
    hex_read("50515253c0c1c2c3c4c5c6c7", ad);
    crypto_xaead_seal(key, nonce, ad, 12, (const uint8_t *)text, size, sealed);
    assert_hex(sealed, size + 16,
               "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa644"
               "0bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e"
               "3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52e"
               "c0875924c1c7987947deafd8780acf49");
    assert_true(crypto_xaead_open(key, nonce, ad, 12, sealed, size + 16, opened));
    assert_memory_equal(opened, text, size);
    assert_false(crypto_xaead_open(key, nonce, ad, 11, sealed, size + 16, opened));
    assert_false(crypto_xaead_open(key, nonce, ad, 12, sealed, 15, opened));
    sealed[3] ^= 1;
    assert_false(crypto_xaead_open(key, nonce, ad, 12, sealed, size + 16, opened));
}

/* FIPS 197, appendix C.1. */
static void aes_block(void **state)
{
    static const uint8_t wanted[16] = {0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30,
                                       0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a};
    uint8_t key[16], block[16];
    for (unsigned i = 0; i < 16; i++) {
        key[i] = (uint8_t)i;
        block[i] = (uint8_t)(i << 4 | i);
    }
    struct crypto_block *b = crypto_block_new(key);
    crypto_block_encrypt(b, block, block);
    assert_memory_equal(block, wanted, 16);
    crypto_block_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aes_block),
        cmocka_unit_test(sha256_matches_fips_180),
        cmocka_unit_test(hmac_matches_rfc_4231),
        cmocka_unit_test(hmac_key_serves_many_messages),
        cmocka_unit_test(hkdf_matches_rfc_5869),
        cmocka_unit_test(x25519_matches_rfc_7748),
        cmocka_unit_test(x25519_agrees),
        cmocka_unit_test(x25519_refuses_low_order),
        cmocka_unit_test(ed25519_matches_rfc_8032),
        cmocka_unit_test(ed25519_converts_both_halves_alike),
        cmocka_unit_test(ed25519_refuses_bad_points),
        cmocka_unit_test(key_text_goes_both_ways),
        cmocka_unit_test(key_text_refuses),
        cmocka_unit_test(siphash_matches_the_paper),
        cmocka_unit_test(equal_and_wipe),
        cmocka_unit_test(xaead_matches_the_draft),
    };
    return cmocka_run_group_tests_name("crypto_crypto", tests, NULL, NULL);
}
