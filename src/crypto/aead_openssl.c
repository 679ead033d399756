/* AES-256-GCM and ChaCha20-Poly1305 by libcrypto's EVP.
 *
 * A context is made once per key: the key schedule and the lookup of the algorithm cost as much as
 * a small packet.  Per packet only the nonce is set.  EVP wants to be told at key time whether it
 * will seal or open. */
#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/check.h"
#include "crypto/aead_internal.h"

struct evp {
    struct aead aead;
    EVP_CIPHER_CTX *context;
};

static const EVP_CIPHER *cipher_of(enum crypto_aead kind)
{
    switch (kind) {
    case CRYPTO_AES256GCM:
        return EVP_aes_256_gcm();
    case CRYPTO_CHACHA20POLY1305:
        return EVP_chacha20_poly1305();
    }
    return NULL;
}

/* Nonce, associated data and text, in either direction; -1 keeps the direction of the key. */
static bool run(EVP_CIPHER_CTX *c, const uint8_t nonce[12], const void *ad, size_t ad_size,
                const uint8_t *in, size_t size, uint8_t *out)
{
    int done;
    if (size > INT_MAX || ad_size > INT_MAX)
        return false;
    if (EVP_CipherInit_ex(c, NULL, NULL, NULL, nonce, -1) != 1)
        return false;
    if (ad_size && EVP_CipherUpdate(c, NULL, &done, ad, (int)ad_size) != 1)
        return false;
    return !size || EVP_CipherUpdate(c, out, &done, in, (int)size) == 1;
}

static bool evp_seal(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
                     const uint8_t *in, size_t size, uint8_t *out)
{
    EVP_CIPHER_CTX *c = ((struct evp *)a)->context;
    int done;
    return run(c, nonce, ad, ad_size, in, size, out) &&
           EVP_CipherFinal_ex(c, out + size, &done) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG, out + size) == 1;
}

static bool evp_open(struct aead *a, const uint8_t nonce[12], const void *ad, size_t ad_size,
                     const uint8_t *in, size_t size, const uint8_t tag[CRYPTO_TAG], uint8_t *out)
{
    EVP_CIPHER_CTX *c = ((struct evp *)a)->context;
    uint8_t nothing[CRYPTO_TAG];
    int done;
    return run(c, nonce, ad, ad_size, in, size, out) &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG, (void *)(uintptr_t)tag) == 1 &&
           EVP_CipherFinal_ex(c, nothing, &done) == 1;
}

static void evp_free(struct aead *a)
{
    struct evp *e = (struct evp *)a;
    EVP_CIPHER_CTX_free(e->context); /* cleanses the key schedule */
    free(e);
}

static const struct aead_class evp_class = {"openssl", evp_seal, evp_open, evp_free};

struct aead *aead_openssl_new(enum crypto_aead kind, const uint8_t key[CRYPTO_KEY], bool sealing)
{
    const EVP_CIPHER *cipher = cipher_of(kind);
    if (!cipher)
        return NULL;
    struct evp *e = base_calloc(1, sizeof *e);
    e->aead.class = &evp_class;
    ERR_set_mark();
    e->context = EVP_CIPHER_CTX_new();
    /* Both have a 12-byte nonce by default. */
    bool made = e->context && EVP_CipherInit_ex(e->context, cipher, NULL, key, NULL, sealing) == 1;
    ERR_pop_to_mark();
    if (!made) {
        evp_free(&e->aead);
        return NULL;
    }
    return &e->aead;
}
