/* A server's place on a Chord ring: which keys it is responsible for, and the way to all others.  The door of chord/.
 *
 * An engine with the four verbs.  It speaks with originals of 2005 (chord_wire.h) and behaves as they need it, with
 * differences that they do not notice:
 *   - a node that was only heard of is a candidate: it is pinged with a random token, and used once it has answered
 *     (ghosts do not come back, and nobody can be inserted who does not receive at the address he names);
 *   - nodes are asked again when they were silent, at once when they are being used; what was routed to one that does not
 *     answer goes another way (held.c);
 *   - predecessors are asked for theirs, and a key that lies just before us goes straight back to whose it is;
 *   - until a new node knows its predecessor it is responsible for nothing;
 *   - limits: candidates and messages of a source, answers to an address, nodes of an address, copies of one message in a second (an open ring
 *     has no hop limit). */
#ifndef OCALA_CHORD_CHORD_H
#define OCALA_CHORD_CHORD_H

#include "base/entropy.h"
#include "base/instant.h"
#include "base/outbox.h"
#include "chord/chord_wire.h"

#define CHORD_SEEDS_MAX    16
#define CHORD_SUCCESSORS   8
#define CHORD_PREDECESSORS 3
#define CHORD_NODES_MAX    128

/* What was dropped, by reason; each is a counter. */
#define CHORD_DROPS(X)                                                                             \
    X(LENGTH, "length", "a message that is shorter or longer than it says")                        \
    X(TYPE, "type", "a type of message that nobody knows")                                         \
    X(ADDRESS, "address", "an address that nothing can be sent to")                                \
    X(SECRET, "secret", "a message without the secret of the ring")                                \
    X(SELF, "self", "somebody says he is at our address or has our place")                         \
    X(TOKEN, "token", "an answer to a ping that was not sent")                                     \
    X(STRANGER, "stranger", "only known nodes may ask this")                                       \
    X(SOURCE_LIMIT, "source-limit", "more messages from one source than one node sends")           \
    X(REPLY_LIMIT, "reply-limit", "more answers than one address is sent")                         \
    X(CANDIDATES, "candidates", "more new nodes than can be looked at")                            \
    X(NODE_LIMIT, "node-limit", "more nodes at one address than are taken in")                     \
    X(CHANGED_ID, "changed-id", "a node that is known under another id")                           \
    X(NO_WAY, "no-way", "no other node to pass it to")                                             \
    X(LOOP, "loop", "the same message came too often in a second")                                 \
    X(SILENT, "silent", "no node that it was sent to has shown that it lives")                     \
    X(HOPS, "hops", "it crossed too many servers")                                                 \
    X(TOO_BIG, "too-big", "larger than a datagram of the ring")                                    \
    X(FAMILY, "family", "an address of a family that this node does not speak")                    \
    X(UNFIT, "unfit", "a payload that other nodes may not survive")                                \
    X(OUTBOX, "outbox", "more to send than the node holds")

enum chord_drop {
#define CHORD_DROP_ENUM(id, name, text) CHORD_DROP_##id,
    CHORD_DROPS(CHORD_DROP_ENUM)
#undef CHORD_DROP_ENUM
        CHORD_DROP_COUNT
};
const char *chord_drop_name(enum chord_drop reason);
const char *chord_drop_text(enum chord_drop reason);

struct chord_settings {
    struct chord_node self; /* the address that others are told; not a wildcard           */
    bool both_families;     /* it reaches nodes at addresses of the other family too      */
    struct endpoint seed[CHORD_SEEDS_MAX];
    unsigned seeds;
    const uint8_t *secret; /* CHORD_SECRET bytes (copied), or NULL for an open ring      */
    unsigned per_address;  /* nodes taken in from one IP address; 0: no limit            */
    size_t outbox;         /* bytes of datagrams that may wait to be pulled              */
    size_t held;           /* bytes of messages kept until the next node answers; 0: none */
    /* May the payload of somebody's ROUTE be passed on in an open ring?  NULL: any.            */
    bool (*fits)(const void *payload, size_t size);
    struct entropy *entropy;
};

#define CHORD_COUNTERS(X)                                                                          \
    X(routed, "packets passed on towards the server that is responsible")                          \
    X(delivered, "packets that came over the ring for this server")                                \
    X(found, "answers to who is responsible")                                                      \
    X(joined, "nodes that answered and were taken in")                                             \
    X(lost, "nodes that stopped answering")                                                        \
    X(rerouted, "packets that were sent another way, as a node did not answer")

struct chord_counters {
#define CHORD_COUNTER_FIELD(name, text) uint64_t name;
    CHORD_COUNTERS(CHORD_COUNTER_FIELD)
#undef CHORD_COUNTER_FIELD
    uint64_t drops[CHORD_DROP_COUNT];
};

struct chord;
struct chord *chord_new(const struct chord_settings *s, instant now);
void chord_free(struct chord *c); /* accepts NULL */

/* A datagram came to the ring's port.  True when its payload is for this server: *ret has it (inside `bytes`). */
struct chord_delivery {
    const uint8_t *payload;
    size_t size;
    bool is_copy; /* sent to us as somebody's successor: keep it, whosever it is */
};
bool chord_input(struct chord *c, instant now, const struct endpoint *from, const void *bytes,
                 size_t size, struct chord_delivery *ret);
/* Then chord_take() until it is false: messages that were held and are for this server by now.  The payload is valid until
 * the next chord_advance(). */
void chord_advance(struct chord *c, instant now);
bool chord_take(struct chord *c, struct chord_delivery *ret);
instant chord_deadline(const struct chord *c);
bool chord_output(struct chord *c, struct outbox_letter *ret);

/* Is this server responsible for the key? */
bool chord_owns(const struct chord *c, const struct chord_id *key);
/* Sends a payload towards the server that is responsible (not for keys that are ours). */
void chord_route(struct chord *c, instant now, const struct chord_id *key, const void *payload,
                 size_t size);
/* Gives a copy to our `index`th successor (0: the first); only in a ring with a secret.  False without one. */
bool chord_copy(struct chord *c, unsigned index, const struct chord_id *key, const void *payload,
                size_t size);
/* Changes whenever the range that is ours, that of our predecessor, or our first successor may have changed. */
uint64_t chord_generation(const struct chord *c);
/* Where the range that is ours begins: behind our predecessor, or, when all is ours, behind ourselves. */
struct chord_id chord_range_from(const struct chord *c);
/* Our `index`th predecessor (0: the first); false when we do not know so many. */
bool chord_predecessor(const struct chord *c, unsigned index, struct chord_id *ret);
/* Knows its place: alone by configuration, or its predecessor is known. */
bool chord_is_settled(const struct chord *c);

/* For display: nodes clockwise from us; the first is the successor, the last the predecessor. */
struct chord_view {
    struct chord_node node;
    uint32_t rtt_us; /* 0: not measured */
    instant heard;
};
unsigned chord_nodes(const struct chord *c, struct chord_view *out, unsigned room);
const struct chord_counters *chord_counters(const struct chord *c);

/* What there is just now. */
#define CHORD_GAUGES(X)                                                                            \
    X(nodes, "nodes that are known and answer")                                                    \
    X(candidates, "nodes that were named and have not answered yet")                               \
    X(settled, "1 when the server knows its place, else 0")

struct chord_gauges {
#define CHORD_GAUGE_FIELD(name, text) uint64_t name;
    CHORD_GAUGES(CHORD_GAUGE_FIELD)
#undef CHORD_GAUGE_FIELD
};
struct chord_gauges chord_gauges(const struct chord *c);
const struct chord_node *chord_self(const struct chord *c);
/* Is it the address of this node, or of one that it knows? */
bool chord_is_at(const struct chord *c, const struct endpoint *at);

#endif
