/* Hashes, key derivation, curves and text forms.
 *
 * All of this is libsodium's: its functions work on the stack, cannot fail for lack of memory, read
 * no configuration and (measured) cost the same as libcrypto's for the short inputs of a handshake.
 * sodium_init() is deliberately not called: it opens the system's random source, which an engine
 * does not do; without it libsodium uses its portable code, with the same results.  Bulk encryption
 * is in aead.c, the key file format in pem.c. */
#include "crypto/crypto.h"

#include <sodium.h>
#include <string.h>

#include "base/check.h"

void crypto_sha256(const void *in, size_t size, uint8_t out[32])
{
    crypto_hash_sha256(out, in, size);
}

void crypto_sha256_two(const void *a, size_t a_size, const void *b, size_t b_size, uint8_t out[32])
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, a, a_size);
    crypto_hash_sha256_update(&state, b, b_size);
    crypto_hash_sha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

void crypto_hmac_key(const void *key, size_t key_size, struct crypto_hmac_key *ret)
{
    crypto_auth_hmacsha256_state state;
    _Static_assert(sizeof ret->state == sizeof state, "a key is libsodium's state behind the key");
    crypto_auth_hmacsha256_init(&state, key, key_size);
    memcpy(ret->state, &state, sizeof state);
    sodium_memzero(&state, sizeof state);
}

void crypto_hmac(const struct crypto_hmac_key *key, const void *in, size_t size, uint8_t out[32])
{
    crypto_auth_hmacsha256_state state;
    memcpy(&state, key->state, sizeof state);
    crypto_auth_hmacsha256_update(&state, in, size);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

void crypto_hmac_sha256(const void *key, size_t key_size, const void *in, size_t size,
                        uint8_t out[32])
{
    struct crypto_hmac_key prepared;
    crypto_hmac_key(key, key_size, &prepared);
    crypto_hmac(&prepared, in, size, out);
    sodium_memzero(&prepared, sizeof prepared);
}

void crypto_hkdf(const uint8_t salt[32], const void *secret, size_t secret_size, unsigned count,
                 uint8_t out[][32])
{
    require(count >= 1 && count <= 3);
    uint8_t extracted[32];
    crypto_hmac_sha256(salt, 32, secret, secret_size, extracted);
    crypto_hkdf_expand(extracted, NULL, 0, out[0], (size_t)count * 32);
    sodium_memzero(extracted, sizeof extracted);
}

void crypto_hkdf_expand(const uint8_t secret[32], const void *info, size_t info_size, uint8_t *out,
                        size_t size)
{
    require(size <= (size_t)255 * 32);
    uint8_t block[32];
    uint8_t number = 0;
    for (size_t done = 0; done < size; done += 32) {
        crypto_auth_hmacsha256_state state;
        crypto_auth_hmacsha256_init(&state, secret, 32);
        if (number)
            crypto_auth_hmacsha256_update(&state, block, sizeof block);
        number++;
        crypto_auth_hmacsha256_update(&state, info, info_size);
        crypto_auth_hmacsha256_update(&state, &number, 1);
        crypto_auth_hmacsha256_final(&state, block);
        sodium_memzero(&state, sizeof state);
        memcpy(out + done, block, size - done < 32 ? size - done : 32);
    }
    sodium_memzero(block, sizeof block);
}

bool crypto_x25519(const uint8_t secret[32], const uint8_t public_key[32], uint8_t out[32])
{
    uint8_t shared[32];
    /* libsodium refuses the known low-order points; the zero check covers whatever else a later
     * version lets pass. */
    bool good = crypto_scalarmult_curve25519(shared, secret, public_key) == 0 &&
                !sodium_is_zero(shared, sizeof shared);
    if (good)
        memcpy(out, shared, 32);
    else
        sodium_memzero(out, 32);
    sodium_memzero(shared, sizeof shared);
    return good;
}

void crypto_x25519_public(const uint8_t secret[32], uint8_t out[32])
{
    /* The base point has full order, so this cannot be refused. */
    require(crypto_scalarmult_curve25519_base(out, secret) == 0);
}

void crypto_ed25519_public(const uint8_t seed[32], uint8_t out[32])
{
    uint8_t secret[crypto_sign_ed25519_SECRETKEYBYTES];
    crypto_sign_ed25519_seed_keypair(out, secret, seed);
    sodium_memzero(secret, sizeof secret);
}

void crypto_ed25519_to_x25519_secret(const uint8_t seed[32], uint8_t out[32])
{
    /* RFC 8032 section 5.1.5: the scalar is the clamped first half of SHA-512(seed). */
    uint8_t hash[crypto_hash_sha512_BYTES];
    crypto_hash_sha512(hash, seed, 32);
    hash[0] &= 248;
    hash[31] &= 127;
    hash[31] |= 64;
    memcpy(out, hash, 32);
    sodium_memzero(hash, sizeof hash);
}

bool crypto_ed25519_to_x25519_public(const uint8_t ed25519[32], uint8_t out[32])
{
    uint8_t converted[32];
    if (crypto_sign_ed25519_pk_to_curve25519(converted, ed25519) != 0)
        return false;
    memcpy(out, converted, 32);
    return true;
}

const char *crypto_key_format(const uint8_t key[32], char out[CRYPTO_KEY_TEXT])
{
    return sodium_bin2base64(out, CRYPTO_KEY_TEXT, key, 32, sodium_base64_VARIANT_ORIGINAL);
}

bool crypto_key_parse(const char *text, uint8_t ret[32])
{
    uint8_t key[32];
    char again[CRYPTO_KEY_TEXT];
    size_t size = 0;
    bool good = strnlen(text, CRYPTO_KEY_TEXT) == CRYPTO_KEY_TEXT - 1 &&
                sodium_base642bin(key, sizeof key, text, CRYPTO_KEY_TEXT - 1, NULL, &size, NULL,
                                  sodium_base64_VARIANT_ORIGINAL) == 0 &&
                size == sizeof key;
    /* The decoder takes some bytes above 127 for letters: only the text that the key has is
     * accepted. */
    good = good && sodium_memcmp(crypto_key_format(key, again), text, CRYPTO_KEY_TEXT) == 0;
    if (good)
        memcpy(ret, key, 32);
    sodium_memzero(key, sizeof key);
    sodium_memzero(again, sizeof again);
    return good;
}

uint64_t crypto_siphash(const uint8_t key[16], const void *in, size_t size)
{
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, in, size, key);
    uint64_t value = 0;
    for (unsigned i = 0; i < sizeof hash; i++)
        value |= (uint64_t)hash[i] << 8 * i;
    return value;
}

bool crypto_equal(const void *a, const void *b, size_t size)
{
    return sodium_memcmp(a, b, size) == 0;
}

void crypto_wipe(void *p, size_t size)
{
    sodium_memzero(p, size);
}

void crypto_xaead_seal(const uint8_t key[32], const uint8_t nonce[24], const void *ad,
                       size_t ad_size, const uint8_t *in, size_t size, uint8_t *out)
{
    crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in, size, ad, ad_size, NULL, nonce, key);
}

bool crypto_xaead_open(const uint8_t key[32], const uint8_t nonce[24], const void *ad,
                       size_t ad_size, const uint8_t *in, size_t size, uint8_t *out)
{
    return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in, size, ad, ad_size, nonce,
                                                      key) == 0;
}
