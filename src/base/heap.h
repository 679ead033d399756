/* A binary heap of timers: embed a `struct timer`, set it, ask for the earliest.  One thread. */
#ifndef OCALA_BASE_HEAP_H
#define OCALA_BASE_HEAP_H

#include <stdbool.h>

#include "base/instant.h"

struct timer {
    instant due;
    unsigned place; /* 1 + index in the heap; 0: not set */
};

struct heap {
    struct timer **timer;
    unsigned count, room;
};

void heap_done(struct heap *h);
/* Sets or moves a timer; INSTANT_NEVER takes it out. */
void heap_set(struct heap *h, struct timer *t, instant due);
void heap_unset(struct heap *h, struct timer *t);
/* The earliest due time, or INSTANT_NEVER. */
instant heap_next(const struct heap *h);
/* Takes out and returns a timer that is due at `now`, or NULL. */
struct timer *heap_due(struct heap *h, instant now);

#endif
