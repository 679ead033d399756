/* Epoch publication: one writer (the control thread) replaces what N readers (workers) look at, without locks.
 *
 * The writer swaps a pointer with one store-release and retires the old object; it is freed once every reader that was
 * online has announced a later point.  Readers announce after each batch (nothing is freed inside a batch) and go
 * offline while they wait in epoll, so that a sleeping worker holds nothing back.  Plain C11 atomics, clean under
 * ThreadSanitizer (which is why this is not liburcu). */
#ifndef OCALA_BASE_EPOCH_H
#define OCALA_BASE_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#define EPOCH_READERS_MAX 64

struct epoch;
struct epoch *epoch_new(unsigned readers);
/* Frees everything retired; no reader may be online. */
void epoch_free(struct epoch *e);

/* Reader side, `reader` in [0, readers).  online: from here on, loaded pointers stay valid.  announce: the batch is over,
 * nothing loaded before is used any more.  offline: like announce, and nothing is loaded until online. */
void epoch_online(struct epoch *e, unsigned reader);
void epoch_announce(struct epoch *e, unsigned reader);
void epoch_offline(struct epoch *e, unsigned reader);

/* Writer side.  After the pointer to `object` was replaced: `release(object)` runs inside a later epoch_collect(), when no
 * reader can hold it. */
void epoch_retire(struct epoch *e, void *object, void (*release)(void *object));
/* Releases what can be; returns how many are still waiting. */
unsigned epoch_collect(struct epoch *e);

/* A ticket to ask later whether all readers have passed this point (hand-over of a lane to another worker, parking). */
uint64_t epoch_mark(struct epoch *e);
bool epoch_passed(struct epoch *e, uint64_t mark);

#endif
