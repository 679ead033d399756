/* Every reason a packet can be dropped for: one list gives enum, text and counter.
 *
 * A packet never disappears without one of these being counted.  Counters live with whoever drops
 * (a worker, the control thread) and are summed for display. */
#ifndef OCALA_PACKET_DROP_H
#define OCALA_PACKET_DROP_H

#include <stdint.h>

#define DROP_REASONS(X)                                                                            \
    X(TRUNCATED, "truncated", "the packet ends inside a header")                                   \
    X(GARBAGE, "garbage", "not a record, a handshake or a message of the overlay")                 \
    X(UNKNOWN_LABEL, "unknown-label", "no path has this label")                                    \
    X(STALE_LABEL, "stale-label", "the label belonged to a path that is closed")                   \
    X(WRONG_ENDPOINT, "wrong-endpoint", "a record to forward came from a strange endpoint")        \
    X(UNKNOWN_EPOCH, "unknown-epoch", "no key for the record's epoch")                             \
    X(BAD_TAG, "bad-tag", "the record does not authenticate")                                      \
    X(REPLAYED, "replayed", "the record's counter was seen before or is too old")                  \
    X(HOP_LIMIT, "hop-limit", "the record crossed too many gateways")                              \
    X(OVERSIZED, "oversized", "larger than the way it should take can carry")                      \
    X(NO_KEY, "no-key", "the path has no key to send with")                                        \
    X(KEY_SPENT, "key-spent", "the key sealed as many records as it may")                          \
    X(NO_TUNNEL, "no-tunnel", "the path's tunnel is down")                                         \
    X(NO_PATH, "no-path", "no path to this handle")                                                \
    X(UNKNOWN_HANDLE, "unknown-handle", "nobody was given this handle address")                    \
    X(NOT_OUR_SOURCE, "not-our-source", "a program sent from an address that is not the TUN's")    \
    X(NOT_IP, "not-ip", "neither IPv4 nor IPv6")                                                   \
    X(BAD_HEADER, "bad-header", "an IP header that contradicts itself")                            \
    X(SOURCE_ROUTE, "source-route", "IPv4 source route option")                                    \
    X(ROUTING_HEADER, "routing-header", "IPv6 routing header")                                     \
    X(REDIRECT, "redirect", "ICMP redirect")                                                       \
    X(NEIGHBOUR_DISCOVERY, "neighbour-discovery", "IPv6 neighbour or router discovery")            \
    X(MULTICAST, "multicast", "multicast or broadcast")                                            \
    X(ICMP_FOREIGN, "icmp-foreign", "an ICMP error that quotes no flow of this path")              \
    X(TTL_EXPIRED, "ttl-expired", "time to live ended here")                                       \
    X(CONGESTED, "congested", "congestion mark on a packet whose sender does not do ECN")          \
    X(POLICY, "policy", "the policy does not let this peer reach this service")                    \
    X(REASSEMBLY, "reassembly", "a piece of a packet whose other pieces did not come")             \
    X(TOO_BIG, "too-big", "larger than the path and not to be fragmented")                         \
    X(QUEUE_FULL, "queue-full", "the queue of packets that wait for a path is full")               \
    X(SET_UP_FAILED, "set-up-failed", "the path that the packet waited for was not set up")        \
    X(RING_FULL, "ring-full", "the ring to another worker or to control is full")                  \
    X(SOCKET_FULL, "socket-full", "the kernel's socket or TUN queue is full")                      \
    X(OVERLOAD, "overload", "more than this machine can carry: data makes room for control")       \
    X(SEND_FAILED, "send-failed", "the kernel refused to send")                                    \
    X(NO_BUFFER, "no-buffer", "no free packet buffer")                                             \
    X(BAD_MAC, "bad-mac", "a handshake without the network's secret")                              \
    X(BAD_HANDSHAKE, "bad-handshake", "a handshake message that does not authenticate")            \
    X(DUPLICATE_HANDSHAKE, "duplicate-handshake", "a handshake that is already known")             \
    X(RATE_LIMITED, "rate-limited", "more of these than may be answered")                          \
    X(LIMIT, "limit", "more than one peer, or all of them, may make this host keep")               \
    X(NOT_A_MEMBER, "not-a-member", "an identity that this overlay does not admit")                \
    X(BAD_MESSAGE, "bad-message", "a control message that cannot be parsed")                       \
    X(MODULE, "module", "refused by the overlay module")                                           \
    X(POOL_FROM_UNDERLAY, "pool-from-underlay", "a handle address in a packet from the underlay")

enum drop_reason {
#define DROP_ENUM(id, name, text) DROP_##id,
    DROP_REASONS(DROP_ENUM)
#undef DROP_ENUM
        DROP_COUNT
};

struct drop_counters {
    uint64_t packets[DROP_COUNT];
};

static inline void drop_count(struct drop_counters *c, enum drop_reason reason)
{
    /* One writer per set; readers of other threads take a relaxed look. */
    __atomic_store_n(&c->packets[reason], c->packets[reason] + 1, __ATOMIC_RELAXED);
}

static inline uint64_t drop_read(const struct drop_counters *c, enum drop_reason reason)
{
    return __atomic_load_n(&c->packets[reason], __ATOMIC_RELAXED);
}

/* "unknown-label" and "no path has this label". */
const char *drop_name(enum drop_reason reason);
const char *drop_text(enum drop_reason reason);

#endif
