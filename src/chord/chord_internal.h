/* Inside chord/ only. */
#ifndef OCALA_CHORD_CHORD_INTERNAL_H
#define OCALA_CHORD_CHORD_INTERNAL_H

#include "chord/chord.h"
#include "crypto/limit.h"

#define CHORD_TICK        (250 * MILLISECOND)
#define TICKS_A_ROUND     4
#define PING_WAIT         (500 * MILLISECOND) /* for an answer, at most...                          */
#define PING_WAIT_LEAST   CHORD_TICK
#define PING_TRIES        4            /* unanswered ones after which a node is gone            */
#define QUIET             (5 * SECOND) /* silence after which a node is asked                   */
#define QUIET_NEAR        (1250 * MILLISECOND) /* the same for the first successor and the predecessor  */
#define QUIET_IN_USE      CHORD_TICK   /* the same for a node that something is sent to         */
#define HOLD_MOST         (3 * SECOND) /* a message is held                                     */
#define CANDIDATES_MAX    32
#define SETTLE_WAIT       (2 * SECOND) /* for predecessors that we were told about              */
#define ALONE_AFTER       (4 * SECOND) /* without an answer from a seed                         */
#define CLEAN_ROUNDS      10
#define SEED_ROUNDS       8    /* how often a seed is asked whether it knows other nodes */
#define SOURCE_MESSAGES   400  /* a second, other than ROUTE and COPY                   */
#define ADDRESS_ANSWERS   400  /* a second: who asks names the address                  */
#define SOURCE_CANDIDATES 8    /* a second                                              */
#define RECENT            1024 /* messages remembered against loops                     */
#define RECENT_COPIES     32   /* the same one, in a second                             */

struct node {
    struct chord_node node;
    struct chord_id distance; /* from us, clockwise */
    instant heard, asked;     /* asked: when the last ping left                             */
    uint32_t token;
    uint8_t unanswered; /* pings since it was heard */
    uint32_t rtt_us;
};

struct recent {
    instant since;
    uint32_t print, count;
};

struct held_messages {
    uint8_t *block;
    size_t room, used;
    struct held *slot;
    unsigned slots, count;
    instant due; /* of the first; INSTANT_NEVER: none */
};

struct chord {
    struct chord_node self;
    struct endpoint seed[CHORD_SEEDS_MAX];
    unsigned seeds;
    bool both_families;
    bool closed; /* the ring has a secret */
    bool (*fits)(const void *payload, size_t size);
    struct crypto_hmac_key secret;
    unsigned per_address;
    struct entropy *entropy;

    struct node node[CHORD_NODES_MAX]; /* those that answered, clockwise from us */
    unsigned nodes;
    struct node candidate[CANDIDATES_MAX];
    unsigned candidates;

    instant begun, tick,
        stabilised; /* stabilised: when a successor first told its predecessor; 0: never */
    struct chord_id
        asker; /* distance of the nearest before us who took us for his successor; 0: nobody yet */
    unsigned ticks, rounds, backup, before, bit;
    bool settled;
    uint64_t generation;

    uint8_t recent_key[16];
    struct recent recent[RECENT];
    struct limit_sources messages, newcomers, answers;
    struct outbox out;
    struct held_messages held;
    struct chord_counters counters;
};

static inline const struct crypto_hmac_key *ring_secret(const struct chord *c)
{
    return c->closed ? &c->secret : NULL;
}

void chord_drop(struct chord *c, enum chord_drop reason);
/* Do we have a socket of the address's family? */
bool chord_speaks(const struct chord *c, const struct endpoint *at);
/* Sends a message with the full hop limit. */
void chord_send(struct chord *c, const struct endpoint *to, struct chord_message *m);
void chord_send_node(struct chord *c, const struct endpoint *to, enum chord_type type,
                     const struct chord_id *id, const struct endpoint *at);

/* Sends a message to a node, and a ping with it unless the node was heard of just now.  Has it yet to answer? */
bool chord_give(struct chord *c, instant now, struct node *next, const struct chord_message *m);

/* ---- nodes.c ---- */
struct node *node_successor(struct chord *c);
struct node *node_predecessor(struct chord *c);
struct node *node_at(struct chord *c, const struct endpoint *at);
/* The known node that precedes the key most closely; one that answers, if there is. NULL without any. */
struct node *node_preceding(struct chord *c, instant now, const struct chord_id *key);
/* Where a key that is not ours goes next: to whose it is when that is known, else nearer.  NULL without any, and when all
 * between the key and us are silent: it may be ours soon. */
struct node *node_next(struct chord *c, instant now, const struct chord_id *key);
/* How long an answer may take, by those that came. */
instant node_patience(const struct node *n);
void node_ping(struct chord *c, instant now, struct node *n);
/* Something was heard from it. */
void node_heard(struct node *n, instant now);
/* Somebody named this node: a candidate, unless it is known.  `from`: who said so. */
void node_learn(struct chord *c, instant now, const struct endpoint *from,
                const struct chord_node *who);
void node_pong(struct chord *c, instant now, const struct chord_message *m);
/* Asks who was silent, and lets go of who does not answer. */
void node_tick(struct chord *c, instant now);
/* Keeps successors, predecessors, and the first node of each interval of fingers. */
void node_clean(struct chord *c);

/* ---- held.c ---- */
void held_init(struct held_messages *h, size_t bytes);
void held_done(struct held_messages *h);
/* A ROUTE that was given to `next`, which has been asked and has not answered yet; NULL: to nobody.  False: no room. */
bool held_keep(struct held_messages *h, instant now, const struct chord_message *m,
               const struct node *next);
/* A node answered: what it was given has arrived. */
void held_heard(struct held_messages *h, const struct endpoint *from);
/* What is due goes another way, or becomes ours. */
void held_advance(struct chord *c, instant now);
bool held_take(struct held_messages *h, struct chord_delivery *ret);

/* ---- round.c ---- */
void round_tick(struct chord *c, instant now);
void round_stabilised(struct chord *c, instant now);
/* Do we know our place by now? */
void round_settle(struct chord *c, instant now);

#endif
