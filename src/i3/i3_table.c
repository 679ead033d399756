/* Memory: a trigger is one piece of a slab, and each slab is larger than the one before; only stacks of identifiers and
 * limits are allocated besides.  The hash table holds the first identifier of each group and doubles while it fills. */
#include "i3/i3_table.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"

#define SLAB_FIRST 16 /* pieces; twice as many in the next one... */
#define SLAB_MOST  1024
#define SLOTS      64 /* of the hash table at the beginning */
/* Of all triggers so many at most have a target that showed nothing: who forges addresses can have no more. */
#define UNPROVEN_SHARE 4

struct i3_limit {
    struct i3_bucket bucket;
    uint64_t tokens; /* in units times a second of nanoseconds: exact */
    instant filled;
};

/* What a trigger to identifiers has besides; its stack is the target's. */
struct chain {
    uint8_t owner[I3_NONCE];
    instant owned; /* until then he is the owner */
    struct i3_id stack[];
};

/* What the table needs around a trigger. */
struct piece {
    struct i3_kept kept; /* first */
    struct piece
        *in_group; /* next identifier of the group, in order; of the first trigger of each      */
    struct piece
        *in_slot; /* next group of the hash slot; of the first identifier of each group        */
    struct piece *older,
        *newer;      /* in the order of refreshing                                                */
    uint32_t client; /* whose count; I3_CLIENTS: nobody's                                         */
};

struct i3_table {
    unsigned most, per_client, count;
    instant lifetime;
    uint8_t group_key[16], client_key[16];
    struct piece **slot;
    unsigned slots, groups; /* slots: a power of two */
    unsigned chains, limited, unproven;
    struct piece **slab;
    unsigned slabs;
    struct piece *unused; /* linked by in_group */
    struct piece *oldest, *newest, *walk;
    uint32_t *client; /* triggers of each bucket; NULL: no limit */
};

struct i3_table *i3_table_new(unsigned most, unsigned per_client, instant lifetime,
                              struct entropy *e)
{
    struct i3_table *t = base_calloc(1, sizeof *t);
    t->most = most;
    t->per_client = per_client;
    t->lifetime = lifetime;
    t->slots = SLOTS;
    t->slot = base_calloc(t->slots, sizeof *t->slot);
    t->client = per_client ? base_calloc(I3_CLIENTS, sizeof *t->client) : NULL;
    entropy_fill(e, t->group_key, sizeof t->group_key);
    entropy_fill(e, t->client_key, sizeof t->client_key);
    return t;
}

static struct chain *chain_of(const struct i3_kept *k)
{
    return (struct chain *)((uintptr_t)k->target.stack - offsetof(struct chain, stack));
}

static void piece_done(struct piece *p)
{
    if (p->kept.target.type == I3_TO_STACK)
        free(chain_of(&p->kept));
    free(p->kept.limit);
}

void i3_table_free(struct i3_table *t)
{
    if (!t)
        return;
    for (struct piece *p = t->oldest; p; p = p->newer)
        piece_done(p);
    for (unsigned i = 0; i < t->slabs; i++)
        free(t->slab[i]);
    free(t->slab);
    free(t->slot);
    free(t->client);
    free(t);
}

/* ---- pieces ---- */

static void slab_add(struct i3_table *t)
{
    unsigned pieces = SLAB_FIRST;
    for (unsigned i = 0; i < t->slabs && pieces < SLAB_MOST; i++)
        pieces *= 2;
    struct piece *slab = base_calloc(pieces, sizeof *slab);
    t->slab = base_realloc(t->slab, (t->slabs + 1) * sizeof *t->slab);
    t->slab[t->slabs++] = slab;
    for (unsigned i = pieces; i > 0; i--) {
        slab[i - 1].in_group = t->unused;
        t->unused = &slab[i - 1];
    }
}

static struct piece *piece_take(struct i3_table *t)
{
    if (!t->unused)
        slab_add(t);
    struct piece *p = t->unused;
    t->unused = p->in_group;
    *p = (struct piece){.client = I3_CLIENTS};
    t->count++;
    return p;
}

static void piece_give_back(struct i3_table *t, struct piece *p)
{
    t->chains -= p->kept.target.type == I3_TO_STACK;
    t->limited -= p->kept.limit != NULL;
    t->unproven -= !p->kept.proven;
    piece_done(p);
    if (p->client < I3_CLIENTS)
        t->client[p->client]--;
    p->in_group = t->unused;
    t->unused = p;
    t->count--;
}

static void order_out(struct i3_table *t, struct piece *p)
{
    if (t->walk == p)
        t->walk = p->newer;
    *(p->older ? &p->older->newer : &t->oldest) = p->newer;
    *(p->newer ? &p->newer->older : &t->newest) = p->older;
}

static void order_last(struct i3_table *t, struct piece *p)
{
    p->older = t->newest;
    p->newer = NULL;
    *(t->newest ? &t->newest->newer : &t->oldest) = p;
    t->newest = p;
}

/* ---- groups ---- */

static struct piece **slot_of(const struct i3_table *t, const struct i3_id *id)
{
    return &t->slot[crypto_siphash(t->group_key, id->bytes, I3_MATCH / 8) & (t->slots - 1)];
}

static bool same_group(const struct i3_id *a, const struct i3_id *b)
{
    return !memcmp(a->bytes, b->bytes, I3_MATCH / 8);
}

/* Where the link to the group's first identifier is, or would be (it is NULL then). */
static struct piece **group_of(const struct i3_table *t, const struct i3_id *id)
{
    struct piece **link = slot_of(t, id);
    while (*link && !same_group(&(*link)->kept.id, id))
        link = &(*link)->in_slot;
    return link;
}

static void grow(struct i3_table *t)
{
    struct piece **old = t->slot;
    unsigned slots = t->slots;
    t->slots *= 2;
    t->slot = base_calloc(t->slots, sizeof *t->slot);
    for (unsigned i = 0; i < slots; i++)
        for (struct piece *p = old[i], *next; p; p = next) {
            struct piece **link = slot_of(t, &p->kept.id);
            next = p->in_slot;
            p->in_slot = *link;
            *link = p;
        }
    free(old);
}

static const struct piece *find(const struct i3_table *t, const struct i3_id *id)
{
    const struct piece *p = *group_of(t, id);
    while (p && !i3_id_equal(&p->kept.id, id))
        p = p->in_group;
    return p;
}

/* A new identifier into its group, in order; false when the group is full. */
static bool link_identifier(struct i3_table *t, struct piece *p)
{
    struct piece **first = group_of(t, &p->kept.id), **link = first;
    unsigned passed = 0, group = 0;
    for (const struct piece *g = *first; g; g = g->in_group)
        group++;
    if (group >= I3_GROUP_MAX)
        return false;
    while (*link && memcmp(&(*link)->kept.id, &p->kept.id, I3_ID) < 0) {
        link = &(*link)->in_group;
        passed++;
    }
    if (!passed && *first) { /* the new first one stands for the group in its slot */
        p->in_slot = (*first)->in_slot;
        (*first)->in_slot = NULL;
    }
    p->in_group = *link;
    *link = p;
    t->groups += !group;
    if (t->groups > t->slots)
        grow(t);
    return true;
}

/* Puts `with` (or nothing) in the place of an identifier's first trigger. */
static void relink(struct i3_table *t, struct piece *p, struct piece *with)
{
    struct piece **first = group_of(t, &p->kept.id), **link = first;
    while (*link != p)
        link = &(*link)->in_group;
    struct piece *in_slot = (*first)->in_slot;
    if (with) {
        with->in_group = p->in_group;
        *link = with;
    } else {
        *link = p->in_group;
    }
    if (link != first)
        return;
    if (*first) {
        (*first)->in_slot = in_slot;
    } else {
        *first = in_slot;
        t->groups--;
    }
}

/* ---- triggers ---- */

const struct i3_kept *i3_table_find(const struct i3_table *t, const struct i3_trigger *trigger)
{
    const struct piece *p = find(t, &trigger->id);
    const struct i3_kept *k = p ? &p->kept : NULL;
    while (k && !i3_address_equal(&k->target, &trigger->target))
        k = k->next;
    return k;
}

static void refresh(struct i3_table *t, instant now, struct piece *p)
{
    p->kept.expires = now + t->lifetime;
    order_out(t, p);
    order_last(t, p);
}

static bool same_bucket(const struct i3_bucket *a, const struct i3_bucket *b)
{
    return a->unit == b->unit && a->depth == b->depth && a->rate == b->rate;
}

/* A limit that stays the same keeps its tokens: refreshing does not fill it. */
static void set_limit(struct i3_table *t, struct piece *p, instant now,
                      const struct i3_trigger *trigger)
{
    struct i3_kept *k = &p->kept;
    bool wanted = trigger->flags & I3_TRIGGER_LIMITED && trigger->target.type != I3_TO_STACK;
    if (wanted && k->limit && same_bucket(&k->limit->bucket, &trigger->limit))
        return;
    t->limited -= k->limit != NULL;
    t->limited += wanted;
    free(k->limit);
    k->limit = wanted ? base_calloc(1, sizeof *k->limit) : NULL;
    k->flags = trigger->flags;
    if (wanted)
        *k->limit = (struct i3_limit){.bucket = trigger->limit,
                                      .tokens = (uint64_t)trigger->limit.depth * SECOND,
                                      .filled = now};
}

/* Inserted again: by its owner, or by somebody who becomes the owner when that one is gone. */
static void own(struct i3_table *t, struct piece *p, instant now, const struct i3_trigger *trigger)
{
    if (p->kept.target.type != I3_TO_STACK)
        return;
    struct chain *c = chain_of(&p->kept);
    if (c->owned <= now)
        memcpy(c->owner, trigger->nonce, I3_NONCE);
    if (!memcmp(c->owner, trigger->nonce, I3_NONCE))
        c->owned = now + t->lifetime;
}

static void fill(struct i3_table *t, struct piece *p, instant now, const struct i3_trigger *trigger,
                 bool proven)
{
    struct i3_kept *k = &p->kept;
    k->id = trigger->id;
    k->prefix = trigger->prefix;
    k->proven = proven;
    t->unproven += !proven;
    k->target = trigger->target;
    memcpy(k->key, trigger->key, I3_KEY);
    if (k->target.type == I3_TO_STACK) {
        size_t size = k->target.depth * sizeof(struct i3_id);
        struct chain *c = base_calloc(1, sizeof *c + size);
        memcpy(c->stack, trigger->target.stack, size);
        memcpy(c->owner, trigger->nonce, I3_NONCE);
        c->owned = now + t->lifetime;
        k->target.stack = c->stack;
        t->chains++;
    }
    set_limit(t, p, now, trigger);
}

/* What somebody inserts for an address that showed nothing may be said in anybody's name, so it is counted apart. */
static uint32_t client_of(const struct i3_table *t, const struct ip_address *ip, bool proven)
{
    uint8_t who[10] = {proven, ip->family};
    memcpy(who + 2, ip->bytes, 8); /* of an IPv6 address its owner chooses the other half */
    return (uint32_t)(crypto_siphash(t->client_key, who, sizeof who) % I3_CLIENTS);
}

static bool has_room(const struct i3_table *t, uint32_t client)
{
    return client == I3_CLIENTS || t->client[client] < t->per_client;
}

static void count_for(struct i3_table *t, struct piece *p, uint32_t client)
{
    if (p->client < I3_CLIENTS)
        t->client[p->client]--;
    if (client < I3_CLIENTS)
        t->client[client]++;
    p->client = client;
}

/* It is there already.  Who is not its target keeps no trigger alive that the target once wanted. */
static enum i3_kept_result put_again(struct i3_table *t, instant now, struct piece *p,
                                     const struct i3_trigger *trigger, uint32_t client, bool proven)
{
    if (p->kept.proven && !proven)
        return I3_KEPT_AGAIN;
    if (!p->kept.proven && proven) {
        if (!has_room(t, client))
            return I3_KEPT_NOT_CLIENT;
        count_for(t, p, client);
        p->kept.proven = true;
        p->kept.prefix = trigger->prefix;
        t->unproven--;
    }
    set_limit(t, p, now, trigger);
    own(t, p, now, trigger);
    refresh(t, now, p);
    return I3_KEPT_AGAIN;
}

/* May this identifier have one more trigger? */
static enum i3_kept_result room_beside(const struct i3_kept *first, bool proven)
{
    unsigned count = 0;
    for (const struct i3_kept *k = first; k; k = k->next, count++)
        if (!proven && !k->proven)
            return I3_KEPT_NOT_TARGET;
    return count < I3_MULTICAST_MAX ? I3_KEPT_NEW : I3_KEPT_NOT_FULL;
}

enum i3_kept_result i3_table_put(struct i3_table *t, instant now, const struct i3_trigger *trigger,
                                 const struct ip_address *client, bool proven)
{
    struct piece *same = (struct piece *)(uintptr_t)find(t, &trigger->id), *last = same;
    uint32_t whose = client && t->client ? client_of(t, client, proven) : I3_CLIENTS;
    for (struct piece *p = same; p; p = (struct piece *)p->kept.next) {
        last = p;
        if (i3_address_equal(&p->kept.target, &trigger->target))
            return put_again(t, now, p, trigger, whose, proven);
    }
    if (t->count >= t->most || (!proven && t->unproven >= t->most / UNPROVEN_SHARE))
        return I3_KEPT_NOT_FULL;
    if (!has_room(t, whose))
        return I3_KEPT_NOT_CLIENT;
    enum i3_kept_result result = same ? room_beside(&same->kept, proven) : I3_KEPT_NEW;
    if (result != I3_KEPT_NEW)
        return result;
    struct piece *p = piece_take(t);
    fill(t, p, now, trigger, proven);
    if (last) {
        last->kept.next = &p->kept;
    } else if (!link_identifier(t, p)) {
        piece_give_back(t, p);
        return I3_KEPT_NOT_FULL;
    }
    count_for(t, p, whose);
    p->kept.expires = now + t->lifetime;
    order_last(t, p);
    return I3_KEPT_NEW;
}

static void remove_piece(struct i3_table *t, struct piece *p)
{
    struct piece *first = (struct piece *)(uintptr_t)find(t, &p->kept.id);
    if (first == p) {
        relink(t, p, (struct piece *)p->kept.next);
    } else {
        struct i3_kept *before = &first->kept;
        while (before->next != &p->kept)
            before = before->next;
        before->next = p->kept.next;
    }
    order_out(t, p);
    piece_give_back(t, p);
}

void i3_table_remove(struct i3_table *t, const struct i3_kept *kept)
{
    remove_piece(t, (struct piece *)(uintptr_t)kept);
}

/* The identifiers before and behind the place of `id`; one of them matches best. */
static const struct piece *best_of(const struct piece *group, const struct i3_id *id)
{
    const struct piece *before = NULL;
    while (group && memcmp(&group->kept.id, id, I3_ID) < 0) {
        before = group;
        group = group->in_group;
    }
    if (!before || !group)
        return before ? before : group;
    return i3_id_common(&before->kept.id, id) > i3_id_common(&group->kept.id, id) ? before : group;
}

const struct i3_kept *i3_table_match(struct i3_table *t, instant now, const struct i3_id *id)
{
    for (;;) {
        struct piece *best = (struct piece *)(uintptr_t)best_of(*group_of(t, id), id);
        if (!best)
            return NULL;
        struct piece *over = best;
        while (over && over->kept.expires > now)
            over = (struct piece *)over->kept.next;
        if (over) {
            remove_piece(t, over);
            continue;
        }
        unsigned wanted = best->kept.prefix > I3_MATCH ? best->kept.prefix : I3_MATCH;
        return i3_id_common(&best->kept.id, id) >= wanted ? &best->kept : NULL;
    }
}

const uint8_t *i3_table_owner(const struct i3_kept *kept)
{
    return chain_of(kept)->owner;
}

void i3_table_give(const struct i3_kept *kept, const uint8_t owner[I3_NONCE])
{
    memcpy(chain_of(kept)->owner, owner, I3_NONCE);
}

const struct i3_bucket *i3_table_limit(const struct i3_kept *kept)
{
    return kept->limit ? &kept->limit->bucket : NULL;
}

bool i3_table_admits(const struct i3_kept *kept, instant now, size_t size)
{
    struct i3_limit *l = kept->limit;
    if (!l)
        return true;
    uint64_t cost = (l->bucket.unit ? size : 1) * (uint64_t)SECOND;
    uint64_t most = (uint64_t)l->bucket.depth * SECOND;
    /* Longer than ten seconds is full anyhow for what is worth limiting, and keeps the product small. */
    uint64_t span = (uint64_t)(now - l->filled > 10 * SECOND ? 10 * SECOND : now - l->filled);
    l->tokens += span * (l->bucket.rate < UINT32_MAX / 4 ? l->bucket.rate : UINT32_MAX / 4);
    if (l->tokens > most)
        l->tokens = most;
    l->filled = now;
    if (l->tokens < cost)
        return false;
    l->tokens -= cost;
    return true;
}

unsigned i3_table_expire(struct i3_table *t, instant now, unsigned most)
{
    unsigned count = 0;
    while (t->oldest && t->oldest->kept.expires <= now && count < most) {
        remove_piece(t, t->oldest);
        count++;
    }
    return count;
}

instant i3_table_next(const struct i3_table *t)
{
    return t->oldest ? t->oldest->kept.expires : INSTANT_NEVER;
}

unsigned i3_table_count(const struct i3_table *t)
{
    return t->count;
}

struct i3_table_gauges i3_table_gauges(const struct i3_table *t)
{
    return (struct i3_table_gauges){.triggers = t->count,
                                    .groups = t->groups,
                                    .chains = t->chains,
                                    .limited = t->limited,
                                    .unproven = t->unproven};
}

void i3_table_walk_begin(struct i3_table *t)
{
    t->walk = t->oldest;
}

const struct i3_kept *i3_table_walk(struct i3_table *t)
{
    struct piece *p = t->walk;
    if (p)
        t->walk = p->newer;
    return p ? &p->kept : NULL;
}
