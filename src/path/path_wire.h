/* Messages of links and paths: their layout, and nothing else (doc/protocol/link.md, path.md).
 *
 * In clear between neighbours (first byte = enum wire_type):
 *
 *   OPEN     C1 | version | suite | pattern | label 32 | size 16 | noise message 1 | mac1 | mac2
 *   ACCEPT   C2 | version | 0 0 | handshake id | label 32 | size 16 | noise message 2 | mac
 *   CONFIRM  C3 | version | 0 0 | handshake id | size 16 | noise message 3 (XX), or an empty record
 *   COOKIE   C4 | version | 0 0 | handshake id | nonce 24 | sealed cookie 16 + 16
 *   REFUSE   C5 | version | code | 0 | handshake id 16
 *   ERROR    C6 | version | code | 0 | header 16 and tag 16 of the record that caused it
 *
 * Sealed on lane 0 (first byte of the plaintext = enum message_type; no byte at all: keepalive).
 * Everything is big-endian; names are one length byte and text. */
#ifndef OCALA_PATH_PATH_WIRE_H
#define OCALA_PATH_PATH_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/name.h"
#include "record/record.h"

#define PATH_VERSION   1
#define PATH_SUITE     1 /* 25519 + AES-256-GCM + SHA-256 for the handshake; room for a hybrid */
#define PATH_PROLOGUE  "ocala path 1"
#define HANDSHAKE_ID   16
#define OPEN_SIZE      480 /* an OPEN is padded to this: no ACCEPT is longer (amplification)     */
#define LINK_MAC       16
#define OPEN_MACS      (2 * LINK_MAC)
#define COOKIE_SIZE    (4 + HANDSHAKE_ID + 24 + 32)
#define ERROR_SIZE     (4 + RECORD_HEADER + RECORD_TAG)
#define HOPS_MAX       CHAIN_MAX
#define NOISE_BLOB_MAX 1024
#define CONTROL_MAX    8192 /* largest control message, split over records where needed           */

enum path_pattern { PATTERN_IK = 0, PATTERN_XX = 1 };

/* Unauthenticated hints, and the codes of sealed refusals. */
#define REFUSE_CODES(X)                                                                            \
    X(SECRET, 1, "secret mismatch: the two ends do not hold the same network secret")              \
    X(UNREADABLE, 2, "the handshake was meant for another name or another key")                    \
    X(IDENTITY, 3, "the identity was refused")                                                     \
    X(NOT_FORWARDING, 4, "the gateway does not forward this")                                      \
    X(UNKNOWN_HOST, 5, "no such host")                                                             \
    X(UNREACHABLE, 6, "the next hop cannot be reached")                                            \
    X(LOOP, 7, "the way leads in a circle")                                                        \
    X(LIMIT, 8, "too many paths")                                                                  \
    X(VERSION, 9, "another version of the protocol")

enum refuse_code {
#define REFUSE_ENUM(id, number, text) REFUSE_##id = number,
    REFUSE_CODES(REFUSE_ENUM)
#undef REFUSE_ENUM
};
const char *path_refuse_text(unsigned code);

enum message_type {
    MESSAGE_PROBE = 1,        /* number 32                                                     */
    MESSAGE_PROBE_REPLY = 2,  /* number 32                                                     */
    MESSAGE_OPEN = 3,         /* on links: struct open_message                                 */
    MESSAGE_ACCEPT = 4,       /* struct accept_message                                         */
    MESSAGE_CONFIRM = 5,      /* handshake id, size 16, message 3 or empty record              */
    MESSAGE_REFUSE = 6,       /* handshake id, code 8, text                                    */
    MESSAGE_CLOSE = 7,        /* text; the path ends                                           */
    MESSAGE_RELEASE = 8,      /* on links: label 32 of the receiver's that is not used any more */
    MESSAGE_REKEY = 9,        /* epoch 8, size 16, noise message 1                             */
    MESSAGE_REKEY_REPLY = 10, /* epoch 8, size 16, noise message 2                             */
    MESSAGE_REKEY_DONE = 11,  /* epoch 8: first record under the new key                       */
    MESSAGE_ERROR = 12,       /* on links: label 32 of the receiver's that leads nowhere       */
    MESSAGE_MTU = 13,         /* on links: label 32 of the receiver's, record MTU 16           */
    MESSAGE_MODULE = 14,      /* on links: bytes for the overlay module                        */
    MESSAGE_REKEY_ASK = 15,   /* responder: the keys are due; the initiator begins             */
};

/* ---- in clear ---- */

struct clear_open {
    uint8_t version, suite, pattern;
    uint32_t label;
    const uint8_t *noise; /* points into the message */
    uint16_t noise_size;
    const uint8_t *macs; /* mac1, mac2 */
    size_t covered;      /* bytes before mac1 */
};
bool path_clear_open_read(const uint8_t *bytes, size_t size, struct clear_open *ret);

/* ACCEPT, CONFIRM, COOKIE, REFUSE share their start. */
struct clear_reply {
    uint8_t type, version, code;
    const uint8_t *id;
    uint32_t label;      /* ACCEPT           */
    const uint8_t *blob; /* ACCEPT, CONFIRM: handshake bytes; COOKIE: nonce and sealed cookie */
    size_t blob_size;
    const uint8_t *mac; /* ACCEPT: over everything before it */
    size_t covered;
};
bool path_clear_reply_read(const uint8_t *bytes, size_t size, struct clear_reply *ret);
/* Returns the size, 0 when it does not fit.  The MAC of ACCEPT is left zero. */
size_t path_clear_reply_write(const struct clear_reply *m, uint8_t *out, size_t size);

/* ---- payloads inside the handshake ---- */

/* What each end says of itself.  Message 1: offers (and the name, with IK), and which of the other
 * end's paths it knows.  Message 2: choice and
 * name.  Message 3 (XX): the name.  On links messages 1 and 2 repeat the label, so that nobody can
 * change the one in clear.  Unknown bytes behind are padding. */
struct handshake_payload {
    uint8_t aeads;        /* offered: bit (1 << enum crypto_aead) each; chosen: exactly one bit */
    uint8_t lanes;        /* data lanes wanted, or chosen                                       */
    uint8_t status;       /* message 2: 0, or enum refuse_code                                  */
    uint32_t label;       /* on links; 0 over gateways, which swap labels                       */
    char name[NAME_TEXT]; /* empty: not said                                              */
    uint32_t
        known; /* message 1: how the handshake id begins of the newest path that the receiver began and that stands
                       at the sender; 0: none                                                  */
};
void path_handshake_payload_write(struct writer *w, const struct handshake_payload *p);
bool path_handshake_payload_read(const uint8_t *bytes, size_t size, struct handshake_payload *ret);

/* ---- sealed on links ---- */

struct vouch {
    bool present;
    uint8_t key[32]; /* X25519 key that the sender of this message believes the named host has */
};

struct open_message {
    uint8_t id[HANDSHAKE_ID];
    uint32_t label;      /* of the sender, for records towards it          */
    uint16_t record_mtu; /* least on the way so far                        */
    uint8_t pattern;
    struct vouch origin;         /* about travelled.hop[0]                         */
    struct name_chain remaining; /* hop[0] is the receiver; the last is the target; at least one */
    struct name_chain travelled; /* hop[0] is the initiator, then the gateways passed */
    const uint8_t *noise;
    uint16_t noise_size;
};
void path_open_message_write(struct writer *w, const struct open_message *m);
bool path_open_message_read(struct reader *r, struct open_message *ret);

struct accept_message {
    uint8_t id[HANDSHAKE_ID];
    uint32_t label;
    uint16_t record_mtu;
    struct vouch target;
    const uint8_t *noise;
    uint16_t noise_size;
};
void path_accept_message_write(struct writer *w, const struct accept_message *m);
bool path_accept_message_read(struct reader *r, struct accept_message *ret);

/* id, size, bytes: CONFIRM, and REFUSE with its text. */
void write_blob(struct writer *w, const uint8_t *bytes, size_t size); /* 16-bit size and bytes */
const uint8_t *read_blob(struct reader *r, uint16_t *ret_size);
void write_name(struct writer *w, const char *name);
bool read_name(struct reader *r, char ret[NAME_TEXT]); /* "" or a valid overlay name */

#endif
