/* The Noise protocol framework, revision 34: patterns IK, XX, IKpsk2 and XXpsk3 over X25519 and
 * SHA-256 with AES-256-GCM or ChaCha20-Poly1305.  Checked against the public vectors in
 * tests/vectors.
 *
 * A `struct noise` is plain data: copying it copies the handshake (done before a reply is read, so
 * that a forged reply ends nothing).  Wipe every copy with noise_done(). */
#ifndef OCALA_PATH_NOISE_H
#define OCALA_PATH_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/crypto.h"

enum noise_pattern { NOISE_IK, NOISE_XX, NOISE_IKPSK2, NOISE_XXPSK3 };

struct noise {
    uint8_t pattern, cipher; /* enum noise_pattern, enum crypto_aead                  */
    bool initiator;
    uint8_t message; /* index of the next message, 0 to 2, or NOISE_SPOILT    */
    bool finished;
    bool has_key, has_rs, has_re;
    uint64_t nonce;
    uint8_t h[32], ck[32], k[32];
    uint8_t s[32], s_public[32]; /* own static                                          */
    uint8_t e[32], e_public[32]; /* own ephemeral; the public half is set when it is sent */
    uint8_t rs[32], re[32];      /* the peer's                                          */
    uint8_t psk[32];
};

#define NOISE_SPOILT       0xFF  /* a message failed: no more writing, reading, splitting */
#define NOISE_MESSAGE_MAX  65535 /* section 3 of the specification               */
#define NOISE_OVERHEAD_MAX (32 + 48 + 16) /* most that a message adds to its payload */

/* `own_secret` is the X25519 static secret; `peer` is the responder's static public key (IK
 * initiators) or NULL; `psk` is NULL for patterns without; `ephemeral` is 32 bytes of randomness,
 * used as the X25519 secret. */
void noise_init(struct noise *n, enum noise_pattern pattern, enum crypto_aead cipher,
                bool initiator, const uint8_t *prologue, size_t prologue_size,
                const uint8_t own_secret[32], const uint8_t ephemeral[32], const uint8_t *peer,
                const uint8_t *psk);
/* Writes the next message with its payload; returns its size, 0 when `size` is too small or it is
 * not our turn (nothing has changed), or when the peer's key is a low-order point (the state is
 * spoilt).  `payload` and `out` do not overlap. */
size_t noise_write(struct noise *n, const void *payload, size_t payload_size, uint8_t *out,
                   size_t size);
/* Reads the next message; false when it does not authenticate (then the state is spoilt: work on a
 * copy).  The payload is written to `out` (room for message size, not overlapping the message), its
 * size to *ret_size. */
bool noise_read(struct noise *n, const uint8_t *message, size_t size, uint8_t *out,
                size_t *ret_size);
/* After the last message (`finished`), when n->h is the handshake hash: keys of both directions;
 * `initiator_key` seals what the initiator sends. */
void noise_split(const struct noise *n, uint8_t initiator_key[32], uint8_t responder_key[32]);
/* Sizes for planning: bytes that message `index` adds to its payload. */
size_t noise_overhead(enum noise_pattern pattern, unsigned index);
/* The psk may be replaced until the message that mixes it in (message 2 of IKpsk2, 3 of XXpsk3) is
 * written or read: two secrets are accepted side by side by trying them on copies. */
void noise_set_psk(struct noise *n, const uint8_t psk[32]);
void noise_done(struct noise *n);

#endif
