/* The record layer: one packet sealed end to end (doc/protocol/record.md).
 *
 *   0      1       2      3       4            8              16
 *  +------+-------+------+-------+------------+--------------+----------------+-----------+
 *  | 0xC0 | flags | hops | epoch | label (32) | counter (64) | ciphertext ... | tag (128) |
 *  +------+-------+------+-------+------------+--------------+----------------+-----------+
 *
 * Associated data is the header with hops and label zeroed (gateways rewrite those).  The nonce is
 * four zero bytes and the counter, under a key of its own for each (direction, lane, epoch): no
 * (key, counter) is used twice because a sealer is made once per key, has one writer, and a key
 * that sleeps (parking) keeps its counter.
 *
 * A sealer or opener belongs to one thread at a time. */
#ifndef OCALA_RECORD_RECORD_H
#define OCALA_RECORD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/crypto.h"
#include "packet/drop.h"

/* First byte of everything of ours on the wire; 0xC0 to 0xDF is clear of RFC 7983. */
enum wire_type {
    WIRE_RECORD = 0xC0,
    WIRE_OPEN = 0xC1,    /* link handshake, message 1                          */
    WIRE_ACCEPT = 0xC2,  /* message 2                                          */
    WIRE_CONFIRM = 0xC3, /* message 3 (XX), or nothing (IK: a record follows)  */
    WIRE_COOKIE = 0xC4,
    WIRE_REFUSE = 0xC5,    /* unauthenticated hint                               */
    WIRE_ERROR = 0xC6,     /* PATH_ERROR without keys                            */
    WIRE_TRANSFORM = 0xC7, /* between two transforms of a tunnel; label as in a record */
    WIRE_LOW = 0xC0,
    WIRE_HIGH = 0xDF,
};

#define RECORD_HEADER   16
#define RECORD_TAG      16
#define RECORD_OVERHEAD (RECORD_HEADER + RECORD_TAG)
#define RECORD_HOPS     16 /* initial hop limit: each gateway takes one off */

/* flags */
#define RECORD_KIND_MASK     0x03
#define RECORD_KIND_CONTROL  0x00
#define RECORD_KIND_IPV4     0x01
#define RECORD_KIND_IPV6     0x02
#define RECORD_KIND_ETHERNET 0x03
#define RECORD_MORE          0x04 /* the packet goes on in the record with the next counter */
#define RECORD_OPEN_CHECKSUM 0x08 /* the TCP or UDP checksum inside is not filled in        */
#define RECORD_REST          0x10 /* goes on with the packet of the record with the counter before */
/* A whole packet has neither MORE nor REST; pieces are MORE, REST|MORE ..., REST. */

/* label = slot (20 bits), generation (8), lane (4) */
#define LABEL_LANES 16
#define LABEL_SLOTS (1u << 20)
#define LABEL(slot, generation, lane)                                                              \
    ((uint32_t)(slot) << 12 | (uint32_t)(generation) << 4 | (uint32_t)(lane))
#define LABEL_SLOT(l)       ((l) >> 12)
#define LABEL_GENERATION(l) (((l) >> 4) & 0xFF)
#define LABEL_LANE(l)       ((l)&0xF)

struct record_header {
    uint8_t flags, hops, epoch;
    uint32_t label;
    uint64_t counter;
};

/* Reads a record's header; false when fewer than RECORD_OVERHEAD bytes or another type. */
bool record_read_header(const uint8_t *bytes, size_t size, struct record_header *ret);
/* Gateway: rewrite in place.  The caller has checked the size and that hops > 0. */
void record_swap_label(uint8_t *record, uint32_t label);

/* Limits of a key: rekey is due at the first, sending stops at the second. */
#define RECORD_REKEY_AT (UINT64_C(1) << 28)
#define RECORD_DEAD_AT  (UINT64_C(1) << 29)

struct record_sealer;
/* `l` as in aead_new(); `counter` is the first to be used.  NULL only when the key is refused. */
struct record_sealer *record_sealer_new(struct aead_library *l, enum crypto_aead aead,
                                        const uint8_t key[32], uint8_t epoch, uint64_t counter);
void record_sealer_free(struct record_sealer *s); /* wipes the key; accepts NULL */
/* Next to be used; any thread may ask (relaxed). */
uint64_t record_sealer_counter(const struct record_sealer *s);
uint8_t record_sealer_epoch(const struct record_sealer *s);
/* Seals in place: `record` points RECORD_HEADER bytes before the plaintext of `size` bytes, and
 * RECORD_TAG bytes are free behind it.  Returns the record's size, or 0 when the key is spent
 * (RECORD_DEAD_AT). */
size_t record_seal(struct record_sealer *s, uint8_t *record, size_t size, uint8_t flags,
                   uint32_t label);
/* The same for a plaintext that lies elsewhere; `record` has room for RECORD_OVERHEAD + `size`
 * bytes. The two may not overlap, unless the text is where record_seal() would look for it. */
size_t record_seal_to(struct record_sealer *s, const uint8_t *text, size_t size, uint8_t flags,
                      uint32_t label, uint8_t *record);
/* Did this sealer lately (within the last RECORD_REMEMBERED records) make a record with this
 * counter and tag?  Judges a PATH_ERROR.  Any thread may ask. */
#define RECORD_REMEMBERED 64
bool record_sealed_lately(const struct record_sealer *s, uint64_t counter,
                          const uint8_t tag[RECORD_TAG]);

/* Asks the CPU for what sealing will need; the sealer's own first bytes are read. */
void record_sealer_fetch(const struct record_sealer *s);

struct record_opener;
/* Everything at or below `floor` counts as a replay; pass 0 with `fresh` = true for a new key. */
struct record_opener *record_opener_new(struct aead_library *l, enum crypto_aead aead,
                                        const uint8_t key[32], bool fresh, uint64_t floor);
void record_opener_free(struct record_opener *o); /* wipes the key; accepts NULL */
/* False for a new key that opened nothing yet. */
bool record_opener_highest(const struct record_opener *o, uint64_t *ret);
/* As record_sealer_fetch(), for the record with this counter. */
void record_opener_fetch(const struct record_opener *o, uint64_t counter);
/* Opens in place; the plaintext is at record + RECORD_HEADER, *ret_size bytes.  On failure the
 * bytes are undefined and *ret_reason is BAD_TAG, REPLAYED or TRUNCATED.  The replay window moves
 * only on success. */
bool record_open(struct record_opener *o, uint8_t *record, size_t size,
                 const struct record_header *h, size_t *ret_size, enum drop_reason *ret_reason);
/* The same into `text`, which has room for size - RECORD_OVERHEAD bytes and does not overlap the
 * record. */
bool record_open_to(struct record_opener *o, const uint8_t *record, size_t size,
                    const struct record_header *h, uint8_t *text, size_t *ret_size,
                    enum drop_reason *ret_reason);

/* Keys of one direction of one lane in one epoch: HKDF-SHA-256(secret = the direction's handshake
 * key, info = "ocala lane", lane, epoch). */
void record_lane_key(const uint8_t direction_key[32], uint8_t lane, uint8_t epoch,
                     uint8_t ret_key[32]);

/* Replay window of 8192 counters (RFC 6479's way). */
#define REPLAY_WINDOW 8192
struct replay {
    bool used;        /* false: nothing was seen, everything is fresh */
    uint64_t highest; /* seen so far                                  */
    uint64_t bits[REPLAY_WINDOW / 64 + 1];
};
/* `fresh`: a new key; otherwise everything at or below `floor` counts as seen. */
void replay_init(struct replay *w, bool fresh, uint64_t floor);
bool replay_fresh(const struct replay *w, uint64_t counter); /* would this one be accepted? */
void replay_mark(struct replay *w, uint64_t counter);        /* after it authenticated       */
void replay_fetch(const struct replay *w, uint64_t counter); /* asks the CPU for its word    */

#endif
