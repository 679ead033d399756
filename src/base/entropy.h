/* Randomness as engines see it: drawn from an object that is passed in.
 *
 * The daemon passes one backed by getrandom(2) (io/entropy.c); the simulator and tests pass a seeded one
 * (tests/support/seeded.c), which is never linked into the daemon. */
#ifndef OCALA_BASE_ENTROPY_H
#define OCALA_BASE_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

struct entropy {
    /* Fills `out` with `size` bytes.  Cannot fail: an implementation that cannot deliver ends the process. */
    void (*fill)(struct entropy *self, void *out, size_t size);
};

static inline void entropy_fill(struct entropy *e, void *out, size_t size)
{
    e->fill(e, out, size);
}

static inline uint32_t entropy_u32(struct entropy *e)
{
    uint32_t value;
    e->fill(e, &value, sizeof value);
    return value;
}

static inline uint64_t entropy_u64(struct entropy *e)
{
    uint64_t value;
    e->fill(e, &value, sizeof value);
    return value;
}

/* A number in [0, bound), without modulo bias worth speaking of; bound > 0. */
static inline uint32_t entropy_below(struct entropy *e, uint32_t bound)
{
    return (uint32_t)(((uint64_t)entropy_u32(e) * bound) >> 32);
}

#endif
