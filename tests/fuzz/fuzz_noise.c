/* Handshake messages.  The first byte chooses pattern, cipher, which message is read, and how the
 * rest is meant: as the message itself (the keys are those of the public vectors, whose messages
 * are in the corpus), or as a change (XOR) of the honest message, which must be noticed. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "path/noise.h"

#define LARGEST 4096

static const uint8_t initiator_secret[32] = {
    0xe6, 0x1e, 0xf9, 0x91, 0x9c, 0xde, 0x45, 0xdd, 0x5f, 0x82, 0x16, 0x64, 0x04, 0xbd, 0x08, 0xe3,
    0x8b, 0xce, 0xb5, 0xdf, 0xdf, 0xde, 0xd0, 0xa3, 0x4c, 0x8d, 0xf7, 0xed, 0x54, 0x22, 0x14, 0xd1};
static const uint8_t responder_secret[32] = {
    0x4a, 0x3a, 0xcb, 0xfd, 0xb1, 0x63, 0xde, 0xc6, 0x51, 0xdf, 0xa3, 0x19, 0x4d, 0xec, 0xe6, 0x76,
    0xd4, 0x37, 0x02, 0x9c, 0x62, 0xa4, 0x08, 0xb4, 0xc5, 0xea, 0x91, 0x14, 0x24, 0x6e, 0x48, 0x93};
static const uint8_t initiator_ephemeral[32] = {
    0x89, 0x3e, 0x28, 0xb9, 0xdc, 0x6c, 0xa8, 0xd6, 0x11, 0xab, 0x66, 0x47, 0x54, 0xb8, 0xce, 0xb7,
    0xba, 0xc5, 0x11, 0x73, 0x49, 0xa4, 0x43, 0x9a, 0x6b, 0x05, 0x69, 0xda, 0x97, 0x7c, 0x46, 0x4a};
static const uint8_t responder_ephemeral[32] = {
    0xbb, 0xdb, 0x4c, 0xdb, 0xd3, 0x09, 0xf1, 0xa1, 0xf2, 0xe1, 0x45, 0x69, 0x67, 0xfe, 0x28, 0x8c,
    0xad, 0xd6, 0xf7, 0x12, 0xd6, 0x5d, 0xc7, 0xb7, 0x79, 0x3d, 0x5e, 0x63, 0xda, 0x6b, 0x37, 0x5b};

/* Both sides, with message `index` written and not yet read; returns its size. */
static size_t prepare(struct noise side[2], enum noise_pattern pattern, enum crypto_aead cipher,
                      unsigned index, uint8_t message[LARGEST])
{
    static const uint8_t prologue[] = "John Galt", psk[] = "This is my Austrian perspective!";
    static const char payload[] = "Ludwig von Mises";
    uint8_t peer[32], out[LARGEST];
    size_t got;
    crypto_x25519_public(responder_secret, peer);
    noise_init(&side[0], pattern, cipher, true, prologue, sizeof prologue - 1, initiator_secret,
               initiator_ephemeral, peer, psk);
    noise_init(&side[1], pattern, cipher, false, prologue, sizeof prologue - 1, responder_secret,
               responder_ephemeral, NULL, psk);
    for (unsigned i = 0;; i++) {
        size_t size = noise_write(&side[i % 2], payload, sizeof payload - 1, message, LARGEST);
        require(size);
        if (i == index)
            return size;
        require(noise_read(&side[!(i % 2)], message, size, out, &got));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size || size > LARGEST)
        return 0;
    enum noise_pattern pattern = (enum noise_pattern)(data[0] & 3);
    enum crypto_aead cipher = data[0] & 4 ? CRYPTO_CHACHA20POLY1305 : CRYPTO_AES256GCM;
    unsigned messages = pattern == NOISE_IK || pattern == NOISE_IKPSK2 ? 2 : 3;
    unsigned index = (data[0] >> 3 & 3) % messages;
    bool as_change = data[0] & 0x20;
    data++;
    size--;

    struct noise side[2];
    uint8_t message[LARGEST], out[LARGEST];
    size_t got = 0, overhead = noise_overhead(pattern, index);
    size_t honest = prepare(side, pattern, cipher, index, message);
    struct noise *reader = &side[!(index % 2)];
    bool changed = false;
    if (as_change) {
        for (size_t i = 0; i < size && i < honest; i++) {
            message[i] ^= data[i];
            changed = changed || data[i];
        }
        size = honest;
    } else {
        memcpy(message, data, size);
    }

    if (noise_read(reader, message, size, out, &got)) {
        require(got + overhead == size);
        require(reader->message == index + 1);
        require(reader->finished == (index + 1 == messages));
        /* Only XX's first message has nothing to authenticate it. */
        require(!changed || (pattern == NOISE_XX && index == 0));
    } else {
        require(reader->message == NOISE_SPOILT && !reader->finished);
        require(changed || !as_change);
    }
    noise_done(&side[0]);
    noise_done(&side[1]);
    return 0;
}
