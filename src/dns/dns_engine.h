/* Private to dns/: the engine's state, shared by its files. */
#ifndef OCALA_DNS_DNS_ENGINE_H
#define OCALA_DNS_DNS_ENGINE_H

#include "base/check.h"
#define uthash_fatal(message) abort() /* a daemon without memory cannot go on */
#include <uthash.h>
#include <utlist.h>

#include "dns/dns.h"
#include "dns/dns_message.h"

/* A program's question that waits for an outstanding one. */
struct dns_asker {
    struct dns_client client;
    struct dns_ask ask;
    unsigned zone_labels; /* for the SOA record of a negative answer */
    struct dns_asker *prev, *next;
};

/* What makes two questions the same: a chain or an address, and whether a path may be started for
 * it. */
enum dns_question_kind {
    DNS_QUESTION_START = 's',
    DNS_QUESTION_LOOK = 'l',
    DNS_QUESTION_PTR = 'p'
};

struct dns_question {
    uint64_t id;
    char key[1 + NAME_TEXT]; /* enum dns_question_kind, then the chain or the address as text */
    bool wants_v4, wants_v6;
    struct ip_address address;
    instant deadline;
    struct dns_asker *askers;
    struct dns_question *prev, *next; /* by deadline */
    UT_hash_handle by_id, by_key;
};

/* How many askers a local user has. */
struct dns_user {
    uint32_t user;
    unsigned askers;
    UT_hash_handle hh;
};

/* An own lookup: two forwards, for A and AAAA. */
struct dns_lookup {
    uint64_t id;
    struct dns_name name;
    struct dns_forward *forward[2];
    unsigned count;
    struct ip_address addresses[DNS_ADDRESSES_MAX];
    uint32_t ttl;
    const char *error; /* static text: why the last forward gave nothing */
    UT_hash_handle hh;
};

/* A message on its way to upstream servers, of a program or of a lookup. */
struct dns_forward {
    uint64_t upstream;
    uint16_t id; /* ours, on the wire */
    bool tcp;
    unsigned server, tries;
    uint32_t asked; /* bit per server */
    uint8_t *bytes; /* with our id */
    size_t size;
    struct dns_name name;
    uint16_t type, class;
    struct dns_lookup *lookup; /* or NULL: then it is a program's */
    struct dns_client client;
    struct dns_ask ask;
    instant deadline;
    struct dns_forward *prev, *next;         /* by deadline            */
    struct dns_forward *age_prev, *age_next; /* programs' only, by age */
    UT_hash_handle by_id, by_upstream;
};

/* An output in the queue; bytes are owned. */
struct dns_item {
    enum dns_out_kind kind;
    uint64_t id; /* question, upstream or lookup */
    struct dns_client client;
    unsigned server;
    bool tcp;
    uint8_t *bytes;
    size_t size;
    struct dns_lookup *lookup; /* finished, owned */
    struct dns_item *prev, *next;
};

struct dns {
    struct dns_settings settings; /* texts point into `texts` */
    char *texts;
    bool has_suffix;
    struct dns_name suffix;
    struct entropy *entropy;
    uint64_t last_id; /* of questions and upstream ids */

    struct dns_question *questions_by_id, *questions_by_key, *questions;
    unsigned question_count, asker_count;
    struct dns_user *users;

    struct dns_forward *forwards_by_id, *forwards_by_upstream, *forwards, *foreign;
    unsigned foreign_count;
    unsigned preferred; /* the server that answered last */
    struct dns_lookup *lookups;
    unsigned lookup_count;

    struct dns_item *queue;
    struct dns_item *pulled; /* whose bytes the host is looking at */
    uint64_t count[DNS_COUNTER_COUNT];
    struct drop_counters drops;
};

/* A reply to a program, counted and queued. */
void dns_reply_queue(struct dns *dns, const struct dns_client *client, const struct dns_ask *ask,
                     const struct dns_content *content);
/* A reply of passed-on bytes; takes them over. */
void dns_bytes_queue(struct dns *dns, const struct dns_client *client, uint8_t *bytes, size_t size);
struct dns_item *dns_item_queue(struct dns *dns, enum dns_out_kind kind);
/* SERVFAIL with words. */
void dns_trouble_queue(struct dns *dns, const struct dns_client *client, const struct dns_ask *ask,
                       bool authoritative, uint16_t ede, const char *text);

/* dns_question.c: overlay names and handle addresses. */
void dns_question_ask(struct dns *dns, instant now, const struct dns_asker *from,
                      enum dns_question_kind kind, const char *text,
                      const struct ip_address *address);
bool dns_question_pull(struct dns *dns, const struct dns_item *item, struct dns_out *ret);
void dns_question_advance(struct dns *dns, instant now);
void dns_question_clear(struct dns *dns);

/* dns_forward.c: everything for upstream servers. */
void dns_forward_start(struct dns *dns, instant now, const struct dns_client *client,
                       const struct dns_ask *ask, const void *bytes, size_t size);
void dns_forward_restart(struct dns *dns, instant now);
void dns_forward_advance(struct dns *dns, instant now);
void dns_forward_clear(struct dns *dns);
/* A message of our own for a lookup. */
struct dns_forward *dns_forward_lookup(struct dns *dns, instant now, struct dns_lookup *lookup,
                                       uint16_t type, bool tcp);
void dns_forward_end(struct dns *dns, struct dns_forward *forward);

/* dns_lookup.c: own lookups. */
struct dns_walk;
/* The forward is over, with the walked answer or (walk NULL) without; frees it. */
void dns_lookup_reply(struct dns *dns, instant now, struct dns_forward *forward,
                      struct dns_walk *walk, const char *error);
void dns_lookup_clear(struct dns *dns);

/* Whether a name is for us: under a type, under the suffix, or inside a pool. */
enum dns_place { DNS_PLACE_FOREIGN, DNS_PLACE_OVERLAY, DNS_PLACE_REVERSE };
struct dns_where {
    enum dns_place place;
    unsigned zone_labels; /* the zone it is in */
    unsigned labels; /* overlay: how many of the first labels are the chain, 0 at the zone itself */
    bool claimed;    /* overlay: the chain ends in one of our types (under a suffix it may not) */
    uint8_t reverse; /* enum dns_reverse */
    struct ip_address address;
};
struct dns_where dns_where_is(const struct dns *dns, const struct dns_name *name);

#endif
