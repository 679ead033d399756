/* A bounded single-producer single-consumer ring of fixed-size slots, lock-free: worker to control (punts), worker to
 * worker (records of another worker's lane).  When full the producer counts and drops. */
#ifndef OCALA_BASE_RING_H
#define OCALA_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>

struct ring;
/* `slots` is rounded up to a power of two. */
struct ring *ring_new(unsigned slots, size_t slot_size);
void ring_free(struct ring *r); /* accepts NULL */

/* Producer: a slot to fill, or NULL when full; ring_commit() makes it visible. */
void *ring_reserve(struct ring *r);
void ring_commit(struct ring *r);
/* Consumer: the oldest slot, or NULL when empty; ring_release() gives it back. */
void *ring_peek(struct ring *r);
void ring_release(struct ring *r);
/* Either side, a snapshot. */
unsigned ring_used(const struct ring *r);

#endif
