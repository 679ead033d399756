/* AES-128 block by block, by libcrypto's EVP: a context is made once per key. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/check.h"
#include "crypto/crypto.h"

struct crypto_block {
    EVP_CIPHER_CTX *context;
};

struct crypto_block *crypto_block_new(const uint8_t key[16])
{
    struct crypto_block *b = base_calloc(1, sizeof *b);
    ERR_set_mark();
    b->context = EVP_CIPHER_CTX_new();
    bool made =
        b->context && EVP_CipherInit_ex(b->context, EVP_aes_128_ecb(), NULL, key, NULL, 1) == 1;
    ERR_pop_to_mark();
    require(made);
    return b;
}

void crypto_block_free(struct crypto_block *b)
{
    if (!b)
        return;
    EVP_CIPHER_CTX_free(b->context);
    free(b);
}

void crypto_block_encrypt(struct crypto_block *b, const uint8_t in[16], uint8_t out[16])
{
    int done = 0;
    /* Whole blocks come out at once while sealing; the padding of EVP is never asked for. */
    require(EVP_CipherUpdate(b->context, out, &done, in, 16) == 1 && done == 16);
}
