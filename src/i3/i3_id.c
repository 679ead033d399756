#include "i3/i3_id.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"

/* The original's two AES keys; they are constants of the protocol, no secrets. */
static const uint8_t side_keys[2][16] = {
    [I3_LEFT] = {0x23, 0xce, 0x45, 0x19, 0xc5, 0xb6, 0xb5, 0x82, 0x19, 0x14, 0x36, 0x26, 0xa4, 0xe0,
                 0x9c, 0xa2},
    [I3_RIGHT] = {0x20, 0xce, 0x49, 0x19, 0xc5, 0xb6, 0xd5, 0xe2, 0xb6, 0x1d, 0xf6, 0x56, 0xa5,
                  0xef, 0xfc, 0xe2},
};

struct i3_hash {
    struct crypto_block *side[2];
};

bool i3_id_equal(const struct i3_id *a, const struct i3_id *b)
{
    return !memcmp(a->bytes, b->bytes, I3_ID);
}

bool i3_id_is_public(const struct i3_id *id)
{
    return id->bytes[I3_PREFIX - 1] & 1;
}

void i3_id_set_public(struct i3_id *id, bool is_public)
{
    id->bytes[I3_PREFIX - 1] = (uint8_t)((id->bytes[I3_PREFIX - 1] & 0xfe) | is_public);
}

uint8_t *i3_id_key(struct i3_id *id)
{
    return id->bytes + I3_PREFIX;
}

unsigned i3_id_common(const struct i3_id *a, const struct i3_id *b)
{
    for (unsigned i = 0; i < I3_ID; i++) {
        unsigned differs = a->bytes[i] ^ b->bytes[i];
        if (differs)
            return 8 * i + (unsigned)__builtin_clz(differs) - 24;
    }
    return I3_BITS;
}

struct i3_hash *i3_hash_new(void)
{
    struct i3_hash *h = base_calloc(1, sizeof *h);
    for (unsigned side = 0; side < 2; side++)
        h->side[side] = crypto_block_new(side_keys[side]);
    return h;
}

void i3_hash_free(struct i3_hash *h)
{
    if (!h)
        return;
    for (unsigned side = 0; side < 2; side++)
        crypto_block_free(h->side[side]);
    free(h);
}

void i3_hash_key(struct i3_hash *h, enum i3_side side, const uint8_t in[I3_KEY],
                 uint8_t out[I3_KEY])
{
    uint8_t block[I3_KEY];
    crypto_block_encrypt(h->side[side], in, block);
    for (unsigned i = 0; i < I3_KEY; i++)
        out[i] = block[i] ^ in[i];
}

void i3_hash_id(struct i3_hash *h, enum i3_side side, const struct i3_id *id, uint8_t out[I3_KEY])
{
    uint8_t first[I3_KEY], second[I3_KEY];
    i3_hash_key(h, side, id->bytes, first);
    i3_hash_key(h, side, id->bytes + I3_KEY, second);
    memcpy(first + I3_KEY / 2, second + I3_KEY / 2, I3_KEY / 2);
    i3_hash_key(h, side, first, out);
}

bool i3_constraint_holds(struct i3_hash *h, const struct i3_id *id, const struct i3_id *first,
                         const uint8_t key[I3_KEY])
{
    uint8_t wanted[I3_KEY];
    if (first)
        i3_hash_id(h, I3_LEFT, first, wanted);
    else
        i3_hash_key(h, I3_LEFT, key, wanted);
    if (!memcmp(id->bytes + I3_PREFIX, wanted, I3_KEY))
        return true;
    if (i3_id_is_public(id))
        return false;
    i3_hash_id(h, I3_RIGHT, id, wanted);
    return !memcmp(first ? first->bytes + I3_PREFIX : key, wanted, I3_KEY);
}

void i3_id_of_name(struct i3_hash *h, const uint8_t *secret, const char *name, struct i3_id *ret,
                   uint8_t ret_key[I3_KEY])
{
    uint8_t digest[32];
    if (secret)
        crypto_hmac_sha256(secret, CRYPTO_KEY, name, strlen(name), digest);
    else
        crypto_sha256(name, strlen(name), digest);
    memcpy(ret->bytes, digest, I3_ID);
    memcpy(ret_key, digest + I3_PREFIX, I3_KEY);
    i3_hash_key(h, I3_LEFT, ret_key, i3_id_key(ret));
    i3_id_set_public(ret, true);
}

void i3_id_draw(struct i3_hash *h, struct entropy *e, const uint8_t *near, struct i3_id *ret,
                uint8_t ret_key[I3_KEY])
{
    entropy_fill(e, ret->bytes, I3_ID);
    entropy_fill(e, ret_key, I3_KEY);
    if (near)
        memcpy(ret->bytes, near, I3_PREFIX);
    i3_hash_key(h, I3_LEFT, ret_key, i3_id_key(ret));
    i3_id_set_public(ret, true);
}
