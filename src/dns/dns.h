/* The DNS engine: answers for overlay names and handle addresses, forwards the rest.
 *
 * Questions of local programs come in as whole messages (without the length prefix of TCP) and
 * leave as pulled outputs. The engine owns no socket and no address of an upstream server: it names
 * servers by index and the host sends.  What it promises:
 *
 *   - a name under one of our types (or under the suffix) and a PTR name inside our pools never
 * leave the machine;
 *   - only A and AAAA of a well-formed overlay name start a path (DNS_OUT_RESOLVE); every other
 * type is NODATA at once;
 *   - any number of programs that ask for one chain share one outstanding question;
 *   - a foreign answer that carries an address of our pools is refused;
 *   - memory is bounded by the limits of the settings, whatever arrives.
 *
 * Why a question failed is told in plain words in an Extended DNS Error (RFC 8914) when the client
 * speaks EDNS. */
#ifndef OCALA_DNS_DNS_H
#define OCALA_DNS_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/entropy.h"
#include "base/instant.h"
#include "base/name.h"
#include "packet/drop.h"

#define DNS_TYPES_MAX     16
#define DNS_SERVERS_MAX   8
#define DNS_ADDRESSES_MAX 16
#define DNS_UDP_MAX       1232  /* largest UDP reply, and what our own OPT records say */
#define DNS_MESSAGE_MAX   65535 /* over TCP */

/* Extended DNS Error codes used here and by hosts (RFC 8914 section 4). */
enum dns_ede {
    DNS_EDE_OTHER = 0,
    DNS_EDE_NOT_READY = 14,
    DNS_EDE_BLOCKED = 15,
    DNS_EDE_PROHIBITED = 18,
    DNS_EDE_NOT_SUPPORTED = 21,
    DNS_EDE_NO_REACHABLE_AUTHORITY = 22,
    DNS_EDE_NETWORK_ERROR = 23,
    DNS_EDE_INVALID_DATA = 24,
};

struct dns_settings {
    const char
        *types[DNS_TYPES_MAX]; /* overlay types, claimed as top-level domains: "ip", "ron", ... */
    unsigned type_count;
    struct ip_prefix pool[2]; /* handle pools, IPv4 and IPv6; family 0 for none */
    const char *suffix; /* names under it are ours after it is cut off; NULL for none           */
    unsigned upstream_count; /* servers the host can reach, at most DNS_SERVERS_MAX */
    bool only_overlay;   /* foreign names are refused with words instead of forwarded            */
    uint32_t answer_ttl; /* seconds, of A, AAAA and PTR                                          */
    uint32_t negative_ttl;    /* seconds, of NXDOMAIN and NODATA    */
    instant answer_timeout;   /* the host's time for one RESOLVE or PTR   */
    instant upstream_timeout; /* an upstream server's time for one try */
    unsigned upstream_tries;  /* at least; every server is tried once in any case  */
    unsigned questions_max;   /* outstanding RESOLVE and PTR questions   */
    unsigned askers_max; /* programs' questions that wait for those                              */
    unsigned askers_user_max; /* ... of one local user */
    unsigned foreign_max; /* foreign questions under way; the oldest gives way                    */
    unsigned lookups_max; /* own lookups under way                                                */
};

/* Sensible values for everything but types, pools, suffix and upstreams, which are set to none. */
void dns_settings_init(struct dns_settings *settings);

/* Who asked; given back unchanged with the reply. */
struct dns_client {
    uint64_t id;   /* the host's: socket, connection or slot of a source endpoint */
    uint32_t user; /* local user id, for the limit                                */
    bool tcp;
    bool stranger; /* not of this machine (a delegated zone): gets only what stands already, never
                      starts anything */
};

enum dns_result_kind {
    DNS_RESULT_ADDRESSES,    /* v4 and v6, either may be none: then that type is NODATA */
    DNS_RESULT_NAME,         /* `name`, the answer to DNS_OUT_PTR                       */
    DNS_RESULT_NO_SUCH_HOST, /* NXDOMAIN; `text` may say why                            */
    DNS_RESULT_NO_DATA,
    DNS_RESULT_TROUBLE, /* SERVFAIL with `ede` and `text`                          */
};

struct dns_result {
    enum dns_result_kind kind;
    struct ip_address v4, v6;
    const char *name; /* overlay name or chain, without a final dot                            */
    uint16_t ede;     /* enum dns_ede                                                          */
    const char *text; /* plain words, may hold names from peers: cut and escaped here; or NULL */
};

enum dns_out_kind {
    DNS_OUT_REPLY,   /* send to the client   */
    DNS_OUT_RESOLVE, /* bring up the path to `chain`, then dns_answer() */
    DNS_OUT_PTR, /* whose handle is `address`? then dns_answer()                                  */
    DNS_OUT_UPSTREAM,      /* send to a server; what returns goes to dns_upstream_reply()      */
    DNS_OUT_UPSTREAM_DONE, /* nothing more is expected for this upstream id: its socket can be
                              closed       */
    DNS_OUT_RESOLVED,      /* an own lookup is over      */
};

/* Pointers in an output are valid until the next call of dns_output() or dns_free(). */
struct dns_out {
    enum dns_out_kind kind;
    union {
        struct {
            struct dns_client client;
            const uint8_t *bytes;
            size_t size;
        } reply;
        struct {
            uint64_t question;
            struct name_chain chain;
            bool wants_v4, wants_v6; /* what was asked so far; answering both is always right */
            bool start;              /* false: answer from what stands, start nothing         */
            uint32_t user;           /* who asked first: owner of a new handle                */
        } resolve;
        struct {
            uint64_t question;
            struct ip_address address;
        } ptr;
        struct {
            uint64_t
                upstream; /* repeated with another server when one does not answer; a socket (and
                             source port) of its own for each id makes forged replies hard */
            unsigned server;
            bool tcp;
            const uint8_t *bytes;
            size_t size;
        } upstream;
        struct {
            uint64_t lookup;
            unsigned count; /* 0: `error` says why */
            struct ip_address addresses[DNS_ADDRESSES_MAX];
            uint32_t ttl; /* seconds, the least of the records */
            const char *error;
        } resolved;
    };
};

/* Counters; the list gives enum, metric name and text. */
#define DNS_COUNTERS(X)                                                                            \
    X(QUESTIONS, "questions", "messages from programs")                                            \
    X(REPLIES, "replies", "messages to programs")                                                  \
    X(OVERLAY, "overlay", "questions for overlay names")                                           \
    X(REVERSE, "reverse", "questions for the names of handles")                                    \
    X(FOREIGN, "foreign", "questions forwarded to an upstream server")                             \
    X(FOREIGN_REFUSED, "foreign-refused",                                                          \
      "foreign names refused: only overlay names, or stranger")                                    \
    X(SHARED, "shared", "questions that joined one already under way")                             \
    X(NXDOMAIN, "nxdomain", "answers: no such name")                                               \
    X(SERVFAIL, "servfail", "answers: trouble")                                                    \
    X(MALFORMED, "malformed", "messages answered with a format error, or not understood")          \
    X(TRUNCATED, "truncated", "replies cut to fit UDP")                                            \
    X(TIMEOUT, "timeout", "overlay questions that took too long")                                  \
    X(LIMITED, "limited", "questions over a limit")                                                \
    X(EVICTED, "evicted", "foreign questions that gave way to newer ones")                         \
    X(UPSTREAM_SENT, "upstream-sent", "messages to upstream servers")                              \
    X(UPSTREAM_TIMEOUT, "upstream-timeout", "tries that an upstream server did not answer")        \
    X(UPSTREAM_STRAY, "upstream-stray", "upstream messages that answer no question of ours")       \
    X(UPSTREAM_BAD, "upstream-bad", "upstream answers that cannot be parsed")                      \
    X(REBINDING, "rebinding", "foreign answers with an address of our pools, refused")             \
    X(LOOKUPS, "lookups", "own lookups of underlay names")

enum dns_counter {
#define DNS_COUNTER_ENUM(id, name, text) DNS_COUNTER_##id,
    DNS_COUNTERS(DNS_COUNTER_ENUM)
#undef DNS_COUNTER_ENUM
        DNS_COUNTER_COUNT
};

struct dns_stats {
    uint64_t count[DNS_COUNTER_COUNT];
    unsigned questions, askers, foreign, lookups; /* under way */
    struct drop_counters drops;                   /* messages that got no answer */
};

const char *dns_counter_name(enum dns_counter counter);
const char *dns_counter_text(enum dns_counter counter);

struct dns;
/* Copies the settings, texts included; `entropy` stays the caller's and outlives the engine.  NULL
 * when a type or the suffix is not made of labels or there are too many; *ret_reason then says
 * which. */
struct dns *dns_new(const struct dns_settings *settings, struct entropy *entropy,
                    const char **ret_reason);
void dns_free(struct dns *dns); /* accepts NULL; what is outstanding is forgotten */
/* New settings; foreign questions under way start again at the new first server.  False as for
 * dns_new(), then the old settings stay. */
bool dns_reload(struct dns *dns, instant now, const struct dns_settings *settings,
                const char **ret_reason);

/* One message of a program. */
void dns_query(struct dns *dns, instant now, const struct dns_client *client, const void *bytes,
               size_t size);
/* The host's answer to DNS_OUT_RESOLVE or DNS_OUT_PTR; a question that is over is ignored. */
void dns_answer(struct dns *dns, instant now, uint64_t question, const struct dns_result *result);

/* A message from an upstream server; matched by server, id and question. */
void dns_upstream_reply(struct dns *dns, instant now, unsigned server, const void *bytes,
                        size_t size);
/* The server could not be reached (refused, connection ended): the next one is tried at once. */
void dns_upstream_failed(struct dns *dns, instant now, uint64_t upstream, unsigned server);

/* Own lookup of an underlay name, A and AAAA; ends in DNS_OUT_RESOLVED unless cancelled.  `lookup`
 * is the caller's and unique among those under way. */
void dns_lookup(struct dns *dns, instant now, uint64_t lookup, const char *name);
void dns_lookup_cancel(struct dns *dns, uint64_t lookup);

void dns_advance(struct dns *dns, instant now);
instant dns_deadline(const struct dns *dns);
bool dns_output(struct dns *dns, struct dns_out *ret);

void dns_describe(const struct dns *dns, struct dns_stats *ret);

#endif
