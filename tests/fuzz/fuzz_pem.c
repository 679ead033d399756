/* Key files and keys as text: what is accepted can be written again and reads as the same key. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"

static void try_pem(const char *data, size_t size)
{
    uint8_t seed[32], again[32];
    char pem[256];
    const char *reason = NULL;
    memset(seed, 7, sizeof seed);
    if (!crypto_ed25519_from_pem(data, size, seed, &reason)) {
        require(reason && *reason);
        for (unsigned i = 0; i < sizeof seed; i++)
            require(seed[i] == 7);
        return;
    }
    size_t written = crypto_ed25519_to_pem(seed, pem, sizeof pem);
    require(written);
    require(crypto_ed25519_from_pem(pem, written, again, &reason));
    require(memcmp(seed, again, 32) == 0);
}

static void try_text(const uint8_t *data, size_t size)
{
    char text[64], again[CRYPTO_KEY_TEXT];
    uint8_t key[32];
    if (size >= sizeof text)
        return;
    memcpy(text, data, size);
    text[size] = '\0';
    if (crypto_key_parse(text, key))
        require(strcmp(crypto_key_format(key, again), text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_pem((const char *)data, size);
    try_text(data, size);
    return 0;
}
