/* A hash table of objects that carry their link: embed a `struct hash_link`, say how an object hashes.  Eight bytes in
 * each object, and a bucket of eight or two.  One thread. */
#ifndef OCALA_BASE_HASH_H
#define OCALA_BASE_HASH_H

#include <stdint.h>

struct hash_link {
    struct hash_link *next; /* in its bucket */
};

/* Must stay the same while the object is in a table.  Where keys come from strangers: with a secret in `context`. */
typedef uint64_t hash_function(const void *context, const struct hash_link *link);

struct hash_table {
    hash_function *function;
    const void *context;
    struct hash_link **bucket;
    unsigned buckets, count;
};

void hash_init(struct hash_table *t, hash_function *function, const void *context);
void hash_done(struct hash_table *t); /* the objects are the caller's */
void hash_add(struct hash_table *t, struct hash_link *link);
void hash_remove(struct hash_table *t, struct hash_link *link);
/* The first that may have this hash; the caller looks at each, by `next`. */
struct hash_link *hash_first(const struct hash_table *t, uint64_t hash);

/* All of them, in any order.  The one given last may be removed; nothing may be added. */
struct hash_walk {
    unsigned bucket;
    struct hash_link *next;
};
struct hash_link *hash_each(const struct hash_table *t, struct hash_walk *walk); /* begins zeroed */

#endif
