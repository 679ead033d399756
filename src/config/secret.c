#include "config/secret.h"

#include <stdio.h>
#include <string.h>

#include "crypto/crypto.h"

static bool refuse(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool config_secret_parse(const char *text, size_t size, uint8_t ret[CONFIG_SECRET],
                         const char **ret_reason)
{
    while (size && is_space(text[size - 1]))
        size--;
    while (size && is_space(*text)) {
        text++;
        size--;
    }
    if (!size)
        return refuse(ret_reason, "the file is empty; `ocala key new --network FILE` makes one");
    if (size >= 10 && !memcmp(text, "-----BEGIN", 10))
        return refuse(ret_reason, "this is a key in PEM form, not a network secret; `ocala key new "
                                  "--network FILE` makes one");
    if (size != CRYPTO_KEY_TEXT - 1 || memchr(text, '\n', size))
        return refuse(ret_reason, "not one line of 44 base64 characters, as `ocala key new "
                                  "--network` writes it");
    char line[CRYPTO_KEY_TEXT];
    uint8_t secret[CONFIG_SECRET], none[CONFIG_SECRET] = {0};
    memcpy(line, text, size);
    line[size] = '\0';
    bool good = crypto_key_parse(line, secret);
    bool zero = good && crypto_equal(secret, none, sizeof secret);
    if (good && !zero)
        memcpy(ret, secret, sizeof secret);
    crypto_wipe(line, sizeof line);
    crypto_wipe(secret, sizeof secret);
    if (zero)
        return refuse(ret_reason, "the secret is all zeros, which anybody can guess; `ocala key "
                                  "new --network FILE` makes a random one");
    if (!good)
        return refuse(ret_reason, "not base64 of 32 bytes, as `ocala key new --network` writes it");
    return true;
}

bool config_file_parse(enum config_file kind, const char *path, const char *text, size_t size,
                       uint8_t ret[CONFIG_SECRET], char *err, size_t err_size)
{
    const char *reason;
    if (kind == CONFIG_FILE_SECRET) {
        if (config_secret_parse(text, size, ret, &reason))
            return true;
        snprintf(err, err_size, "%s is not a network secret: %s", path, reason);
    } else {
        if (crypto_ed25519_from_pem(text, size, ret, &reason))
            return true;
        snprintf(err, err_size, "%s is not an identity key: %s; `ocala key new FILE` makes one",
                 path, reason);
    }
    return false;
}
