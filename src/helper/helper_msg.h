/* What daemon and helper say to each other: one fixed struct per question and one per answer, over
 * a SOCK_SEQPACKET socketpair (one message per packet, boundaries kept), descriptors by SCM_RIGHTS.
 *
 * Both ends are the same program image, so the structs travel as they are.  The daemon may still
 * have been taken over: helper_request_check() believes nothing of what it sends. */
#ifndef OCALA_HELPER_MSG_H
#define OCALA_HELPER_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define HELPER_MSG_VERSION   1
#define HELPER_ERROR_TEXT    400
#define HELPER_PATH_SIZE     256
#define HELPER_NAME_SIZE     16 /* IFNAMSIZ */
#define HELPER_FDS_MAX       16
#define HELPER_UPSTREAMS_MAX 4
#define HELPER_DOMAINS_SIZE  512
#define HELPER_WRITER_SIZE   32

#define HELPER_VERBS(X)                                                                            \
    X(TUN_OPEN, "open the TUN")                                                                    \
    X(ROUTE_CHECK, "look for routes that overlap")                                                 \
    X(LISTEN, "open a socket")                                                                     \
    X(DNS_SET, "become the resolver")                                                              \
    X(DNS_UNSET, "restore the resolver")                                                           \
    X(DNS_UPSTREAMS, "read the resolver's servers")                                                \
    X(DNS_SOCKETS, "open sockets for questions to resolvers")                                      \
    X(CONTROL_LISTEN, "open the control socket")                                                   \
    X(FILE_OPEN, "open a file")                                                                    \
    X(STOP, "stop")

enum helper_verb {
    HELPER_VERB_NONE,
#define HELPER_VERB_ENUM(id, text) HELPER_##id,
    HELPER_VERBS(HELPER_VERB_ENUM)
#undef HELPER_VERB_ENUM
        HELPER_VERB_COUNT
};

enum helper_transport { HELPER_UDP, HELPER_TCP, HELPER_TRANSPORT_COUNT };

enum helper_listen_flag {
    HELPER_LISTEN_REUSEADDR = 1,
    HELPER_LISTEN_REUSEPORT = 2,
    HELPER_LISTEN_FREEBIND = 4,
    HELPER_LISTEN_FLAGS = 7,
};

struct helper_tun_request {
    char name[HELPER_NAME_SIZE];
    struct ip_address address4; /* the TUN's own address, inside the pool */
    struct ip_prefix pool4;
    struct ip_address address6; /* family 0: no IPv6 */
    struct ip_prefix pool6;
    uint32_t mtu;    /* 1280 to 65535 */
    uint32_t queues; /* 1 to HELPER_FDS_MAX */
};

struct helper_listen_request {
    uint32_t transport;    /* enum helper_transport */
    uint32_t flags;        /* enum helper_listen_flag */
    uint32_t buffer_size;  /* bytes for SO_RCVBUFFORCE and SO_SNDBUFFORCE; 0 leaves the default */
    struct endpoint local; /* family says IPv4 or IPv6 (then IPv6 only); all-zero address for any */
};

/* Who else uses a range: the worse, the higher. */
enum helper_range {
    HELPER_RANGE_FREE,
    HELPER_RANGE_NAMED, /* in somebody's firewall rules */
    HELPER_RANGE_TAKEN, /* by a program that is here, as far as its interface tells */
    HELPER_RANGE_CLASH, /* a route or an address of this machine */
};

struct helper_route_request {
    struct ip_prefix prefix;
    bool only_routes;                /* look at nothing else */
    char tun_name[HELPER_NAME_SIZE]; /* routes over this interface are ours */
};

enum helper_dns_mode { HELPER_DNS_RESOLVCONF, HELPER_DNS_RESOLVED, HELPER_DNS_INTERCEPT };

struct helper_dns_request {
    uint32_t mode;           /* enum helper_dns_mode */
    struct endpoint listen;  /* us; with RESOLVCONF the port is 53 */
    struct endpoint listen6; /* INTERCEPT: where questions over IPv6 go; family 0: nowhere */
    char tun_name[HELPER_NAME_SIZE];   /* RESOLVED, INTERCEPT */
    struct ip_prefix pool4, pool6;     /* RESOLVED: whose addresses have names; family 0: none */
    char domains[HELPER_DOMAINS_SIZE]; /* RESOLVED: "ip ron ov.example.org" */
};

struct helper_sockets_request {
    uint32_t transport; /* enum helper_transport */
    uint32_t family;    /* 4, 6                  */
    uint32_t count;     /* 1 to HELPER_FDS_MAX   */
};

struct helper_request {
    uint32_t version;
    uint32_t verb; /* enum helper_verb */
    uint32_t serial;
    union {
        struct helper_tun_request tun;
        struct helper_route_request route;
        struct helper_listen_request listen;
        struct helper_dns_request dns;
        struct helper_sockets_request sockets;
        struct {
            char path[HELPER_PATH_SIZE];
        } file;
    };
};

/* What resolv.conf says now. */
struct helper_upstreams {
    uint32_t count;
    struct endpoint server[HELPER_UPSTREAMS_MAX]; /* port 53; never us */
    bool found, ours;
    bool stub;                       /* it leads to systemd-resolved */
    bool resolved_runs;              /* systemd-resolved is there    */
    bool changed;                    /* DNS_SET, RESOLVCONF: it was not ours, and is now */
    char writer[HELPER_WRITER_SIZE]; /* who wrote it, or what ours replaced; "": nobody we know */
    char target[HELPER_PATH_SIZE];   /* where the link leads, or led that ours replaced; or ""  */
};

struct helper_reply {
    uint32_t version;
    uint32_t verb;
    uint32_t serial;
    int32_t error; /* 0 or a negative errno, then `text` says it in words */
    uint32_t fds;  /* how many descriptors come along */
    char text[HELPER_ERROR_TEXT];
    union {
        struct {
            char name[HELPER_NAME_SIZE];
            uint32_t index;
            bool v6, checksum_offload;
        } tun;
        struct {
            uint32_t use; /* enum helper_range; `text` names who */
        } route;
        struct helper_upstreams upstreams;
        struct {
            char path[HELPER_PATH_SIZE];
        } control;
    };
};

/* Is this, as it came from the socket, a request that may be acted upon?  0, or -EPROTO with a
 * reason. */
int helper_request_check(const struct helper_request *request, size_t size,
                         const char **ret_reason);
int helper_reply_check(const struct helper_reply *reply, size_t size,
                       const struct helper_request *request);
/* "open the TUN" */
const char *helper_verb_text(uint32_t verb);

#endif
