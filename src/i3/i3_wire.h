/* Packets of i3 on the wire, as the original of 2005 speaks them: one parser and one builder for
 * clients and servers.
 *
 *   0      1       2       3        3+32n                    +2
 *   +------+-------+-------+--------+-----------------------+---------+----------+
 *   | 0x10 | flags | n<=15 | n ids  | length of options (2) | options | payload  |     length
 * counts its own two bytes
 *   +------+-------+-------+--------+-----------------------+---------+----------+
 *
 * Parsed values point into the datagram where they are identifiers of a stack or payload;
 * everything else is copied. Parsing accepts what the original sends (garbage in the low bits of
 * flags and in the high bits of a target's count); building writes exactly what the original's
 * parser needs (always exact lengths, never an empty target).
 *
 * What is ours or of 2006 only, and never sent to somebody who has not said that he knows it
 * (i3_hello_*): IPv6 addresses, and the rate limit of a trigger (I3_TRIGGER_LIMITED with a bucket
 * behind the key). */
#ifndef OCALA_I3_WIRE_H
#define OCALA_I3_WIRE_H

#include "base/address.h"
#include "base/instant.h"
#include "i3/i3_id.h"

#define I3_PORT           5610 /* where servers are for clients, unless said */
#define I3_VERSION        0x10
#define I3_HEADER         3
#define I3_STACK_MAX      15
#define I3_OPTIONS_MAX    32   /* options of one packet; the original takes 25 triggers */
#define I3_DATAGRAM_MAX   4096 /* what a server of 2005 receives                        */
#define I3_SENDER_OPTION  8    /* an option SENDER with an IPv4 address                 */
#define I3_SENDER_OPTION6 20   /* the same with an IPv6 address                         */
/* The largest header of a data packet with one identifier: IPv6 sender and REQUEST_FOR_CACHE. */
#define I3_DATA_HEADER (I3_HEADER + I3_ID + 2 + 20 + 1)

enum i3_flag { I3_DATA = 0x10, I3_OPTIONS = 0x20, I3_FIRST_HOP = 0x40 };

#define I3_OPTION_TYPES(X)                                                                         \
    X(SENDER, 0x01, "sender")                                                                      \
    X(INSERT, 0x02, "insert")                                                                      \
    X(CHALLENGE, 0x03, "challenge")                                                                \
    X(ACK, 0x04, "ack")                                                                            \
    X(REMOVE, 0x05, "remove")                                                                      \
    X(NOT_PRESENT, 0x06, "not-present")                                                            \
    X(REQUEST_FOR_CACHE, 0x07, "request-for-cache")                                                \
    X(CACHE_ADDRESS, 0x08, "cache-address")                                                        \
    X(FORCE_CACHE_ADDRESS, 0x09, "force-cache-address")                                            \
    X(LOG_PACKET, 0x0a, "log-packet")                                                              \
    X(APPEND_TIME, 0x0b, "append-time")                                                            \
    X(CONSTRAINT_FAILED, 0x10, "constraint-failed")                                                \
    X(ROUTE_BROKEN, 0x11, "route-broken")

enum i3_option_type {
#define I3_OPTION_ENUM(id, value, name) I3_##id = value,
    I3_OPTION_TYPES(I3_OPTION_ENUM)
#undef I3_OPTION_ENUM
};

enum i3_target { I3_TO_STACK = 0x10, I3_TO_IPV4 = 0x20, I3_TO_IPV6 = 0x30 };

/* Where a trigger points, or where replies go. */
struct i3_address {
    uint8_t type;              /* enum i3_target                                             */
    uint8_t depth;             /* identifiers of the stack, 1 to 15; else 0                  */
    const struct i3_id *stack; /* `depth` of them, top first; parsed: inside the datagram    */
    struct endpoint at;        /* of I3_TO_IPV4 and I3_TO_IPV6; else zero                    */
};

#define I3_TRIGGER_LIMITED 0x02 /* flag: a bucket follows the key (never for a stack)        */

/* A token bucket: how many packets or bytes a trigger lets through. */
struct i3_bucket {
    uint8_t unit;   /* 0 packets, 1 bytes   */
    uint32_t depth; /* tokens it holds      */
    uint32_t rate;  /* tokens a second      */
};

struct i3_trigger {
    uint8_t flags;
    struct i3_id id;
    uint16_t prefix; /* bits that must match, 128 to 256 */
    uint8_t nonce[I3_NONCE];
    struct i3_address target;
    uint8_t key[I3_KEY];    /* not on the wire (zero) when the target is a stack */
    struct i3_bucket limit; /* when flags have I3_TRIGGER_LIMITED                */
};

struct i3_option {
    uint8_t type; /* enum i3_option_type */
    union {
        struct i3_address sender;  /* SENDER  */
        struct i3_trigger trigger; /* INSERT CHALLENGE ACK REMOVE (FORCE_)CACHE_ADDRESS
                                      CONSTRAINT_FAILED ROUTE_BROKEN */
        struct i3_id id; /* NOT_PRESENT                                                        */
    };
};

/* Is the body of such an option a trigger? */
bool i3_option_has_trigger(uint8_t type);

struct i3_packet {
    uint8_t flags; /* enum i3_flag; I3_OPTIONS says that there is a list, empty or not */
    uint8_t depth; /* identifiers on the stack, 0 to 15                                */
    uint8_t option_count;
    const struct i3_id *stack; /* top first; parsed: inside the datagram */
    const uint8_t *payload;
    size_t payload_size;
    struct i3_option option[I3_OPTIONS_MAX];
};

/* Why bytes are no packet; each is a counter of whoever receives. */
#define I3_FAULTS(X)                                                                               \
    X(SHORT, "short", "the packet ends inside its header or an option")                            \
    X(VERSION, "version", "not a packet of i3")                                                    \
    X(FLAGS, "flags", "flags that nobody sends")                                                   \
    X(DEPTH, "depth", "more identifiers on the stack than there may be")                           \
    X(LENGTH, "length", "the length of the option list does not agree with the options")           \
    X(OPTION, "option", "an option that nobody knows")                                             \
    X(OPTION_COUNT, "option-count", "more options than a packet may have")                         \
    X(ADDRESS, "address", "an address of an unknown kind, or a target without identifiers")

enum i3_fault {
    I3_FINE,
#define I3_FAULT_ENUM(id, name, text) I3_FAULT_##id,
    I3_FAULTS(I3_FAULT_ENUM)
#undef I3_FAULT_ENUM
        I3_FAULT_COUNT
};
const char *i3_fault_name(enum i3_fault fault); /* "short" */
const char *i3_fault_text(enum i3_fault fault);
/* "insert"; "unknown" for what is none. */
const char *i3_option_name(uint8_t type);

/* Fills *ret, except for options behind option_count; anything in it is valid as long as `bytes`
 * is.  On a fault *ret is not to be looked at. */
enum i3_fault i3_packet_parse(const void *bytes, size_t size, struct i3_packet *ret);

/* Writes the packet; returns its size, 0 when it does not fit into `size` bytes or is none (empty
 * target, too deep, unknown option). */
size_t i3_packet_write(const struct i3_packet *p, void *out, size_t size);

/* The first option of a type, or NULL. */
const struct i3_option *i3_packet_option(const struct i3_packet *p, enum i3_option_type type);

/* An address of an endpoint (family 4 or 6), and whether two addresses are the same. */
struct i3_address i3_address_of(const struct endpoint *at);
bool i3_address_equal(const struct i3_address *a, const struct i3_address *b);
/* Same id and same target: what a reply must repeat to mean this trigger. */
bool i3_trigger_same(const struct i3_trigger *a, const struct i3_trigger *b);

/* Hello: how programs of ours know each other without an option that an original would die of.  A
 * server of ours puts one into the nonce of CACHE_ADDRESS (where an original has stray memory,
 * and which its client ignores), and into the reply to a ping.  I3_CAN_IPV6 is about the address that the hello comes
 * from: SENDER and targets may be IPv6 in what is sent there. */
enum i3_ability { I3_CAN_IPV6 = 1, I3_CAN_LIMIT = 2, I3_CAN_PING = 4 };
void i3_hello_write(uint8_t abilities, uint8_t nonce[I3_NONCE]);
/* 0 when the nonce is no hello. */
uint8_t i3_hello_read(const uint8_t nonce[I3_NONCE]);

/* A ping between programs of ours, over UDP on the i3 port: 40 bytes there and 40 back, so nothing
 * is amplified.  An original ignores it: it can be sent to anybody, and the hello in its reply comes from a program of
 * ours only. */
#define I3_PING_SIZE  40
#define I3_PING_ASK   0x01 /* its first byte */
#define I3_PING_REPLY 0x02
struct i3_ping {
    bool is_reply;
    uint16_t sequence;
    uint64_t time;     /* the asker's, returned as it came                    */
    uint8_t abilities; /* of a reply: enum i3_ability; 0: it carries no hello */
};
bool i3_ping_parse(const void *bytes, size_t size, struct i3_ping *ret);
void i3_ping_write(const struct i3_ping *p, uint8_t out[I3_PING_SIZE]);

#endif
