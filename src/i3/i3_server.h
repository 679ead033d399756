/* A server of i3: keeps triggers for a while, and passes packets that are sent to identifiers on to where the triggers
 * point.  With others it forms a Chord ring; each is responsible for a range of identifiers.
 *
 * An engine with the four verbs; it serves original clients and lives in a ring with original servers.  What it does
 * beyond the original, and what that cannot do without breaking originals, is in this folder's README.
 *
 * Two ports: that of i3, for clients and for packets between servers, and that of the ring. */
#ifndef OCALA_I3_SERVER_H
#define OCALA_I3_SERVER_H

#include "chord/chord.h"
#include "i3/i3_table.h"
#include "i3/i3_wire.h"

#define I3_LIFETIME                                                                                \
    (31 *                                                                                          \
     SECOND) /* of a trigger since its last INSERT: 30 s, and one for clocks that tick by seconds */
#define I3_COPIES                                                                                  \
    2 /* successors that keep copies of triggers, in a ring with a secret                 */

/* What was dropped, by reason; each is a counter. */
#define I3_DROPS(X)                                                                                \
    X(SHORT, "short", "the packet ends inside its header or an option")                            \
    X(VERSION, "version", "not a packet of i3")                                                    \
    X(FLAGS, "flags", "flags that nobody sends")                                                   \
    X(DEPTH, "depth", "more identifiers on the stack than there may be")                           \
    X(LENGTH, "length", "the length of the option list does not agree with the options")           \
    X(OPTION, "option", "an option that nobody knows")                                             \
    X(OPTION_COUNT, "option-count", "more options than a packet may have")                         \
    X(ADDRESS, "address", "an address of an unknown kind, or a target without identifiers")        \
    X(SENDER, "sender", "a sender that replies cannot be sent to")                                 \
    X(NO_SENDER, "no-sender", "an insert that does not say where the reply goes")                  \
    X(WRONG_ID, "wrong-id", "a trigger for another identifier than the packet is for")             \
    X(TARGET, "target", "a trigger to an address that nothing can be sent to")                     \
    X(CONSTRAINT, "constraint", "a trigger whose ends do not fit together")                        \
    X(NONCE, "nonce", "a removal by somebody who was not given the trigger's nonce")               \
    X(UNKNOWN_TRIGGER, "unknown-trigger", "a removal of a trigger that is not there")              \
    X(TABLE_FULL, "table-full", "no room for more triggers, or of this identifier")                \
    X(CLIENT_LIMIT, "client-limit", "more triggers than one client may have")                      \
    X(TARGET_LIMIT, "target-limit", "a second target that has not shown that it wants it")         \
    X(SOURCE_LIMIT, "source-limit", "more requests from one source than a client sends")           \
    X(REPLY_LIMIT, "reply-limit", "more replies than an unproven address is sent")                 \
    X(NOT_PRESENT, "not-present", "no trigger for the identifier")                                 \
    X(NO_DATA, "no-data", "a packet without data that says nothing to us")                         \
    X(STACK, "stack", "the identifiers to push do not fit onto the stack")                         \
    X(LOOP, "loop", "more steps from trigger to trigger than a packet may take here")              \
    X(COPIES, "copies", "more copies than one packet may become")                                  \
    X(UNWANTED, "unwanted",                                                                        \
      "more packets than an address gets that never showed that it wants them")                    \
    X(TRIGGER_LIMIT, "trigger-limit", "more than the trigger lets through")                        \
    X(PUSHED_BACK, "pushed-back", "it was to follow a trigger whose next identifier is not there") \
    X(OURS_ONLY, "ours-only", "IPv6 or a limit for an identifier of a ring that has no secret")    \
    X(FAMILY, "family", "an address of a family that this server, or the client, does not speak")  \
    X(UNFIT, "unfit", "it would harm an original that is responsible for it")                      \
    X(UNASKED, "unasked", "an answer to a question that was not asked")                            \
    X(FORGED_COPY, "forged-copy", "a copy of a trigger that its owner cannot have taken")          \
    X(TOO_BIG, "too-big", "larger than a packet of i3")                                            \
    X(OUTBOX, "outbox", "more to send than the server holds")

enum i3_drop {
#define I3_DROP_ENUM(id, name, text) I3_DROP_##id,
    I3_DROPS(I3_DROP_ENUM)
#undef I3_DROP_ENUM
        I3_DROP_COUNT
};
const char *i3_drop_name(enum i3_drop reason);
const char *i3_drop_text(enum i3_drop reason);

#define I3_COUNTERS(X)                                                                             \
    X(received, "packets received on the port of i3")                                              \
    X(inserted, "triggers inserted")                                                               \
    X(refreshed, "triggers refreshed")                                                             \
    X(removed, "triggers removed by their clients")                                                \
    X(expired, "triggers that were not refreshed")                                                 \
    X(challenged, "challenges sent")                                                               \
    X(delivered, "packets sent to end hosts")                                                      \
    X(forwarded, "packets sent straight to the responsible server")                                \
    X(routed, "packets given to the ring")                                                         \
    X(translated, "requests of clients behind a NAT that were rewritten")                          \
    X(copied, "copies of triggers given to successors")                                            \
    X(kept, "copies of triggers kept for a predecessor")                                           \
    X(handed_over, "triggers sent to a server that became responsible")                            \
    X(pings, "pings answered")

struct i3_counters {
#define I3_COUNTER_FIELD(name, text) uint64_t name;
    I3_COUNTERS(I3_COUNTER_FIELD)
#undef I3_COUNTER_FIELD
    uint64_t drops[I3_DROP_COUNT];
};

struct i3_server_settings {
    struct endpoint at;          /* what clients and servers are told: not a wildcard; in an open
                                    ring IPv4                                                     */
    struct endpoint also;        /* another one, of the other family; family 0: none              */
    struct chord_settings chord; /* its entropy, outbox and held are set from those below         */
    unsigned triggers;           /* most of all                                                   */
    unsigned per_client;         /* most of one IP address; 0: no limit                           */
    unsigned requests;   /* inserts and removals a second from one IP address; 0: no limit */
    unsigned remembered; /* of identifiers of other servers: so many whose server is known, so
                            many without a trigger there, so many of clients behind a NAT         */
    size_t outbox;       /* bytes of datagrams that may wait to be pulled, for each port  */
    struct entropy *entropy;
};

struct i3_server;
struct i3_server *i3_server_new(const struct i3_server_settings *s, instant now);
void i3_server_free(struct i3_server *s); /* accepts NULL */

enum i3_port { I3_PORT_CLIENTS, I3_PORT_RING };
void i3_server_input(struct i3_server *s, instant now, enum i3_port port,
                     const struct endpoint *from, const void *bytes, size_t size);
void i3_server_advance(struct i3_server *s, instant now);
instant i3_server_deadline(const struct i3_server *s);
struct i3_server_out {
    enum i3_port port; /* the socket to send from */
    struct outbox_letter letter;
};
bool i3_server_output(struct i3_server *s, struct i3_server_out *ret);

const struct i3_counters *i3_server_counters(const struct i3_server *s);
const struct chord *i3_server_chord(const struct i3_server *s);
unsigned i3_server_triggers(const struct i3_server *s);
struct i3_table_gauges i3_server_gauges(const struct i3_server *s);
/* Is the server responsible for the identifier, and does it have a trigger that matches? */
bool i3_server_owns(const struct i3_server *s, const struct i3_id *id);
bool i3_server_has(struct i3_server *s, instant now, const struct i3_id *id);
const struct endpoint *i3_server_at(const struct i3_server *s);

#endif
