/* Messages between the servers of a Chord ring, as the original of 2005 speaks them.
 *
 * One type byte, then (id 20 bytes, at = IPv4 address 4 and port 2, big-endian):
 *
 *   ROUTE        id (the key), length of payload 2, payload       FIND         id, at (where to answer)
 *   FOUND        id, at                                            STABILISE    id, at (own)
 *   STABILISED   id, at (of the receiver's predecessor)            NOTIFY       id, at (own)
 *   PING         at (where to answer), token 4                     PONG         id, at (own), token 4
 *   GET_FINGERS  at, token 4                                       FINGERS      id, at (own), n x (id, at), end byte
 *
 * Lengths are exact: an original dies of others, and of STABILISE, NOTIFY or PONG with its own address; so we never send
 * one.
 *
 * In a ring with a secret (all of its members are ours) addresses are 16 bytes, IPv4 mapped, and each message ends with
 * a hop limit (1 byte) and 16 bytes of HMAC-SHA256 over all before; COPY exists there only. */
#ifndef OCALA_CHORD_CHORD_WIRE_H
#define OCALA_CHORD_CHORD_WIRE_H

#include <stddef.h>

#include "base/address.h"
#include "chord/chord_id.h"
#include "crypto/crypto.h"

#define CHORD_TYPES(X)                                                                             \
    X(ROUTE, 0, "route")                                                                           \
    X(FIND, 1, "find")                                                                             \
    X(FOUND, 2, "found")                                                                           \
    X(STABILISE, 3, "stabilise")                                                                   \
    X(STABILISED, 4, "stabilised")                                                                 \
    X(NOTIFY, 5, "notify")                                                                         \
    X(PING, 6, "ping")                                                                             \
    X(PONG, 7, "pong")                                                                             \
    X(GET_FINGERS, 8, "get-fingers")                                                               \
    X(FINGERS, 9, "fingers")                                                                       \
    X(COPY, 32, "copy") /* as ROUTE: to the node that receives it, whosever the key is */

enum chord_type {
#define CHORD_TYPE_ENUM(id, value, name) CHORD_##id = value,
    CHORD_TYPES(CHORD_TYPE_ENUM)
#undef CHORD_TYPE_ENUM
};

#define CHORD_SECRET      32
#define CHORD_HOPS        64   /* hop limit in a ring with a secret            */
#define CHORD_OVERHEAD    64   /* more than a message adds to its payload      */
#define CHORD_MESSAGE_MAX 4500 /* a payload of 4096 and what is around it      */
#define CHORD_FINGERS_MAX 32   /* nodes of one FINGERS                         */

struct chord_node {
    struct chord_id id;
    struct endpoint at;
};

struct chord_message {
    uint8_t type;           /* enum chord_type                                       */
    uint8_t hops;           /* left; CHORD_HOPS in a ring without a secret           */
    struct chord_node node; /* id and at, those that the type has                    */
    uint32_t token;
    const uint8_t *payload; /* parsed: inside the datagram                           */
    size_t payload_size;
    unsigned count; /* of FINGERS; what does not fit is left out and said so */
    struct chord_node finger[CHORD_FINGERS_MAX];
};

#define CHORD_FAULTS(X)                                                                            \
    X(LENGTH, "length", "a message that is shorter or longer than it says")                        \
    X(TYPE, "type", "a type of message that nobody knows")                                         \
    X(ADDRESS, "address", "an address that nothing can be sent to")                                \
    X(SECRET, "secret", "a message without the secret of the ring")

enum chord_fault {
    CHORD_FINE,
#define CHORD_FAULT_ENUM(id, name, text) CHORD_FAULT_##id,
    CHORD_FAULTS(CHORD_FAULT_ENUM)
#undef CHORD_FAULT_ENUM
};

/* What its members know, from the ring's secret. */
void chord_secret_key(const uint8_t secret[CHORD_SECRET], struct crypto_hmac_key *ret);
/* `secret`: made by chord_secret_key(), or NULL for a ring that originals may be in. */
enum chord_fault chord_message_parse(const void *bytes, size_t size,
                                     const struct crypto_hmac_key *secret,
                                     struct chord_message *ret);
/* The size, or 0 when it does not fit or cannot be said. */
size_t chord_message_write(const struct chord_message *m, const struct crypto_hmac_key *secret,
                           void *out, size_t size);
const char *chord_type_name(uint8_t type);

#endif
