/* The triggers of a server: found by the longest common prefix, kept for a while after they were last inserted.
 *
 * A match has at least I3_MATCH bits in common, so all that can match an identifier share its first 16 bytes: they are one
 * group, found by a keyed hash.  Inside a group identifiers are in order, and the longest match is next to where the
 * identifier itself would stand.  All triggers live equally long, so the order of refreshing is the order of expiring:
 * both are O(1), with 10^6 triggers as with ten. */
#ifndef OCALA_I3_TABLE_H
#define OCALA_I3_TABLE_H

#include "base/entropy.h"
#include "base/instant.h"
#include "i3/i3_wire.h"

#define I3_GROUP_MAX     256   /* identifiers with the same first 16 bytes             */
#define I3_MULTICAST_MAX 64    /* triggers of one identifier                           */
#define I3_CLIENTS       16384 /* buckets in which the triggers of clients are counted */

/* A trigger as it is kept.  Read only, and until the next call that takes a table without const. */
struct i3_kept {
    struct i3_kept
        *next; /* the next one of the same identifier: multicast, in the order of insertion */
    struct i3_id id;
    uint16_t prefix;
    uint8_t flags;
    bool proven; /* its target itself has shown that it wants it (i3_server.h) */
    uint8_t key[I3_KEY];
    struct i3_address target; /* a stack is the table's own */
    struct i3_limit *limit;   /* NULL: none */
    instant expires;
};

enum i3_kept_result {
    I3_KEPT_NEW,
    I3_KEPT_AGAIN, /* it was there: lives longer now                                            */
    I3_KEPT_NOT_CLIENT, /* the client has as many as one may have                                    */
    I3_KEPT_NOT_FULL, /* the table, the group or the list of this identifier is full               */
    I3_KEPT_NOT_TARGET, /* a second target that has not shown that it wants it                       */
};

struct i3_table;
struct i3_table *i3_table_new(unsigned most, unsigned per_client, instant lifetime,
                              struct entropy *e);
void i3_table_free(struct i3_table *t); /* accepts NULL */

/* `client`: whose count it goes on, none when NULL; `proven` as in struct i3_kept.  Of triggers whose target has shown
 * nothing an identifier has one at most: who binds other people's addresses gains no copies by it.  They are counted apart
 * for each client, and are a quarter of all at most.  A trigger that is there lives longer and gets the new one's limit
 * (or none), but a proven one only when this is proven too; what becomes proven gets its prefix as well, and is this client's. */
enum i3_kept_result i3_table_put(struct i3_table *t, instant now, const struct i3_trigger *trigger,
                                 const struct ip_address *client, bool proven);
/* The trigger with this id and target, or NULL. */
const struct i3_kept *i3_table_find(const struct i3_table *t, const struct i3_trigger *trigger);
void i3_table_remove(struct i3_table *t, const struct i3_kept *kept);
/* The first trigger of the identifier that matches best, or NULL; what is over is taken out on the way. */
const struct i3_kept *i3_table_match(struct i3_table *t, instant now, const struct i3_id *id);
/* Of a trigger to identifiers: the nonce of who inserted it first, or of the first who did so again after that one had not
 * for the lifetime of a trigger. */
const uint8_t *i3_table_owner(const struct i3_kept *kept);
/* It is this nonce from now on. */
void i3_table_give(const struct i3_kept *kept, const uint8_t owner[I3_NONCE]);
/* What it lets through; NULL: everything. */
const struct i3_bucket *i3_table_limit(const struct i3_kept *kept);
/* May `size` bytes go through it now? */
bool i3_table_admits(const struct i3_kept *kept, instant now, size_t size);

/* Takes out what is over, at most `most`; returns how many. */
unsigned i3_table_expire(struct i3_table *t, instant now, unsigned most);
/* When the next one is over, or INSTANT_NEVER. */
instant i3_table_next(const struct i3_table *t);
unsigned i3_table_count(const struct i3_table *t);

/* What there is just now. */
#define I3_TABLE_GAUGES(X)                                                                         \
    X(triggers, "triggers kept")                                                                   \
    X(groups, "groups of identifiers with the same first 16 bytes")                                \
    X(chains, "triggers that point to identifiers")                                                \
    X(limited, "triggers that let only so much through")                                           \
    X(unproven, "triggers to addresses that have not shown that they want them")

struct i3_table_gauges {
#define I3_TABLE_GAUGE_FIELD(name, text) uint64_t name;
    I3_TABLE_GAUGES(I3_TABLE_GAUGE_FIELD)
#undef I3_TABLE_GAUGE_FIELD
};
struct i3_table_gauges i3_table_gauges(const struct i3_table *t);

/* One after the other, the least recently refreshed first; NULL at the end.  Triggers may come and go in between: those
 * that are refreshed are met again. */
void i3_table_walk_begin(struct i3_table *t);
const struct i3_kept *i3_table_walk(struct i3_table *t);

#endif
