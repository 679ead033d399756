/* Thin, checked wrappers over libcrypto, libsodium and IPSec_MB: pure computation, no randomness of
 * their own.
 *
 * Every function here either computes or refuses; none of them can be used with a key of the wrong
 * size. */
#ifndef OCALA_CRYPTO_CRYPTO_H
#define OCALA_CRYPTO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRYPTO_KEY 32 /* X25519, Ed25519 public, AEAD, secrets, hashes: all 32 bytes */
#define CRYPTO_TAG 16

enum crypto_aead { CRYPTO_AES256GCM = 1, CRYPTO_CHACHA20POLY1305 = 2 };

/* What is known about the fastest implementation for this CPU: found at the first key.  Belongs to
 * the thread that makes keys; may go before the contexts made with it. */
enum aead_choice { AEAD_FASTEST, AEAD_GENERIC };
struct aead_library;
struct aead_library *aead_library_new(enum aead_choice choice);
void aead_library_free(struct aead_library *l); /* accepts NULL */

/* A keyed AEAD context for one thread at a time, for sealing or for opening.  Without a library it
 * is the generic one.  NULL only when the kind is unknown or libcrypto fails. */
struct aead;
struct aead *aead_new(struct aead_library *l, enum crypto_aead kind, const uint8_t key[CRYPTO_KEY],
                      bool sealing);
void aead_free(struct aead *a); /* wipes; accepts NULL */
/* Asks the CPU for what a packet will need of it; nothing happens but that. */
void aead_fetch(const struct aead *a);
const char *aead_implementation(const struct aead *a); /* "openssl", "ipsec-mb" */
/* In place or not; `out` has room for size + CRYPTO_TAG; nonce is 12 bytes.  False only when the
 * library fails. */
bool aead_seal(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
               const uint8_t *in, size_t size, uint8_t *out);
/* `size` includes the tag; false when it does not authenticate (out is undefined then). */
bool aead_open(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
               const uint8_t *in, size_t size, uint8_t *out);

void crypto_sha256(const void *in, size_t size, uint8_t out[32]);
void crypto_hmac_sha256(const void *key, size_t key_size, const void *in, size_t size,
                        uint8_t out[32]);
/* A key that many messages are hashed with: half the work for short ones.  Filled by crypto_hmac_key(), may be copied,
 * wiped by its owner with crypto_wipe(). */
struct crypto_hmac_key {
    uint64_t state[26];
};
void crypto_hmac_key(const void *key, size_t key_size, struct crypto_hmac_key *ret);
void crypto_hmac(const struct crypto_hmac_key *key, const void *in, size_t size, uint8_t out[32]);
/* Incremental SHA-256 over two parts (MixHash). */
void crypto_sha256_two(const void *a, size_t a_size, const void *b, size_t b_size, uint8_t out[32]);
/* RFC 5869, salt then secret; count outputs of 32 bytes (1 to 3), as Noise section 4.3 uses it
 * (info empty). */
void crypto_hkdf(const uint8_t salt[32], const void *secret, size_t secret_size, unsigned count,
                 uint8_t out[][32]);
/* RFC 5869 expand of a 32-byte secret with an info string; size <= 255 * 32. */
void crypto_hkdf_expand(const uint8_t secret[32], const void *info, size_t info_size, uint8_t *out,
                        size_t size);

/* X25519 (RFC 7748).  False when the result is all-zero: a low-order point, refused. */
bool crypto_x25519(const uint8_t secret[32], const uint8_t public_key[32], uint8_t out[32]);
void crypto_x25519_public(const uint8_t secret[32], uint8_t out[32]);

/* Ed25519 identity keys: the 32-byte seed is the secret.  The Noise static key is the X25519 form
 * of both. */
void crypto_ed25519_public(const uint8_t seed[32], uint8_t out[32]);
void crypto_ed25519_to_x25519_secret(const uint8_t seed[32], uint8_t out[32]);
bool crypto_ed25519_to_x25519_public(const uint8_t ed25519[32], uint8_t out[32]);

/* PKCS#8 PEM of an Ed25519 key, on buffers (files are layer 3's).  Encode returns the text's size
 * without NUL, 0 when it does not fit; decode refuses anything but one Ed25519 private key and
 * names the reason. */
size_t crypto_ed25519_to_pem(const uint8_t seed[32], char *out, size_t size);
bool crypto_ed25519_from_pem(const char *pem, size_t size, uint8_t ret_seed[32],
                             const char **ret_reason);

/* Keys and secrets as text: standard base64 of 32 bytes (44 characters). */
#define CRYPTO_KEY_TEXT 45
const char *crypto_key_format(const uint8_t key[32], char out[CRYPTO_KEY_TEXT]);
bool crypto_key_parse(const char *text, uint8_t ret[32]);

/* AES-128 of single blocks under one fixed key (FIPS 197), for constructions that are made of it.
 * One thread at a time; `in` and `out` may be the same. */
struct crypto_block;
struct crypto_block *crypto_block_new(const uint8_t key[16]);
void crypto_block_free(struct crypto_block *b); /* wipes; accepts NULL */
void crypto_block_encrypt(struct crypto_block *b, const uint8_t in[16], uint8_t out[16]);

uint64_t crypto_siphash(const uint8_t key[16], const void *in, size_t size);
bool crypto_equal(const void *a, const void *b, size_t size); /* constant time */
void crypto_wipe(void *p, size_t size);

/* XChaCha20-Poly1305 with a 24-byte nonce, for cookies (random nonces). */
void crypto_xaead_seal(const uint8_t key[32], const uint8_t nonce[24], const void *ad,
                       size_t ad_size, const uint8_t *in, size_t size, uint8_t *out);
bool crypto_xaead_open(const uint8_t key[32], const uint8_t nonce[24], const void *ad,
                       size_t ad_size, const uint8_t *in, size_t size, uint8_t *out);

#endif
