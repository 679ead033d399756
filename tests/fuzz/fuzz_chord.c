/* A node of a ring: the first byte chooses (also a ring with a secret, and that its messages are signed as members do it),
 * then messages of any kind (a length byte each), and time goes on.
 *
 * What is read is written again as it was; nothing that strangers say makes the node use somebody who did not answer, or
 * say more than it was asked. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "chord/chord.h"
#include "crypto/crypto.h"
#include "tests/support/seeded.h"

#define MAC 16

enum { STORY = 1, SEED = 2, CLOSED = 4, SIGNED = 8, BOTH_FAMILIES = 16 };

static const uint8_t ring[CHORD_SECRET] = {9};

static struct crypto_hmac_key secret(void)
{
    uint8_t bytes[CHORD_SECRET];
    struct crypto_hmac_key key;
    crypto_hkdf_expand(ring, "ocala chord", 11, bytes, sizeof bytes);
    crypto_hmac_key(bytes, sizeof bytes, &key);
    return key;
}

/* The message with what makes it one of a member's behind it; returns its size. */
static size_t sign(const uint8_t *data, size_t size, uint8_t *out)
{
    uint8_t mac[32];
    struct crypto_hmac_key key = secret();
    if (size)
        memcpy(out, data, size);
    crypto_hmac(&key, out, size, mac);
    memcpy(out + size, mac, MAC);
    return size + MAC;
}

static void parse(const uint8_t *data, size_t size, bool closed)
{
    static struct chord_message m;
    static uint8_t out[65536 + 64];
    struct crypto_hmac_key key = secret();
    if (size > 65536 || chord_message_parse(data, size, closed ? &key : NULL, &m) != CHORD_FINE)
        return;
    size_t written = chord_message_write(&m, closed ? &key : NULL, out, sizeof out);
    if (m.type == CHORD_FINGERS)
        require(written &&
                written <= size); /* what is behind the last finger that we keep is left out */
    else
        require(written == size && !memcmp(out, data, size));
}

static void drain(struct chord *c, size_t *ret_size)
{
    struct outbox_letter l;
    while (chord_output(c, &l))
        *ret_size += l.size;
}

static void story(const uint8_t *data, size_t size)
{
    static const struct endpoint from = {.ip = {4, {192, 0, 2, 1}}, .port = 7};
    struct seeded random;
    seeded_init(&random, 1);
    struct chord_settings s = {
        .self = {.id = {{0x20}}, .at = {.ip = {4, {127, 0, 0, 1}}, .port = 6510}},
        .seed = {{.ip = {4, {127, 0, 0, 1}}, .port = 6511}},
        .seeds = data[0] & SEED ? 1 : 0,
        .secret = data[0] & CLOSED ? ring : NULL,
        .both_families = data[0] & BOTH_FAMILIES,
        .per_address = 4,
        .outbox = 65536,
        .held = 4096,
        .entropy = &random.entropy};
    instant now = SECOND;
    size_t said = 0, heard = 0;
    struct chord *c = chord_new(&s, now);
    struct chord_delivery got;
    for (size_t i = 1; i < size; i += 1 + data[i]) {
        size_t length = size - i - 1 < data[i] ? size - i - 1 : data[i];
        uint8_t bytes[256 + MAC];
        const uint8_t *message = data + i + 1;
        size_t whole = length;
        if (data[0] & SIGNED) {
            whole = sign(message, length, bytes);
            message = bytes;
        }
        if (chord_input(c, now, &from, message, whole, &got))
            require(got.payload >= message && got.payload + got.size <= message + whole);
        heard += whole;
        drain(c, &said);
    }
    require(chord_nodes(c, NULL, 0) == 0); /* nobody can have answered: tokens are random */
    require(said <= 3 * heard + 64);
    for (unsigned i = 0; i < 20; i++, now += SECOND / 2) {
        chord_advance(c, now);
        while (chord_take(c, &got))
            require(got.size <= size);
        drain(c, &said);
    }
    chord_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    static uint8_t signed_bytes[4096 + MAC];
    if (data[0] & STORY)
        story(data, size);
    else if (data[0] & SIGNED && size <= 4096)
        parse(signed_bytes, sign(data + 1, size - 1, signed_bytes), true);
    else
        parse(data + 1, size - 1, false);
    return 0;
}
