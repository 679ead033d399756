#include "base/hash.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"

/* Chains, on average one object long at most: the table doubles when it has more objects than
 * buckets.  It never shrinks. */

#define BUCKETS_FIRST 16

void hash_init(struct hash_table *t, hash_function *function, const void *context)
{
    *t = (struct hash_table){.function = function, .context = context};
}

void hash_done(struct hash_table *t)
{
    free(t->bucket);
    t->bucket = NULL;
    t->buckets = t->count = 0;
}

static struct hash_link **bucket_of(const struct hash_table *t, uint64_t hash)
{
    return &t->bucket[hash & (t->buckets - 1)];
}

static void put(struct hash_table *t, struct hash_link *link)
{
    struct hash_link **at = bucket_of(t, t->function(t->context, link));
    link->next = *at;
    *at = link;
}

static void grow(struct hash_table *t)
{
    struct hash_link **old = t->bucket;
    unsigned buckets = t->buckets;
    t->buckets = buckets ? 2 * buckets : BUCKETS_FIRST;
    t->bucket = base_calloc(t->buckets, sizeof *t->bucket);
    for (unsigned i = 0; i < buckets; i++)
        while (old[i]) {
            struct hash_link *link = old[i];
            old[i] = link->next;
            put(t, link);
        }
    free(old);
}

void hash_add(struct hash_table *t, struct hash_link *link)
{
    if (t->count == t->buckets)
        grow(t);
    put(t, link);
    t->count++;
}

void hash_remove(struct hash_table *t, struct hash_link *link)
{
    struct hash_link **at = bucket_of(t, t->function(t->context, link));
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    t->count--;
}

struct hash_link *hash_first(const struct hash_table *t, uint64_t hash)
{
    return t->buckets ? *bucket_of(t, hash) : NULL;
}

struct hash_link *hash_each(const struct hash_table *t, struct hash_walk *walk)
{
    struct hash_link *link = walk->next;
    while (!link && walk->bucket < t->buckets)
        link = t->bucket[walk->bucket++];
    walk->next = link ? link->next : NULL;
    return link;
}
