#include "base/ring.h"

#include <stdatomic.h>
#include <stdint.h>

#include "base/check.h"

/* Two counters that only grow and wrap: `written` belongs to the producer, `read` to the consumer;
 * their difference is what is in the ring.  Each side keeps a copy of the other's counter and looks
 * at the real one only when the copy says full or empty, so that a cache line crosses between cores
 * once per burst and not once per slot. */

#define CACHE_LINE 64

struct side {
    _Atomic unsigned count; /* written by this side only     */
    unsigned other;         /* last seen of the other side's */
    char padding[CACHE_LINE - 2 * sizeof(unsigned)];
};

struct ring {
    struct side producer, consumer;
    unsigned mask;
    size_t slot_size;
    uint8_t *slots;
};

struct ring *ring_new(unsigned slots, size_t slot_size)
{
    unsigned count = 1;
    require(slots <= 1u << 30 && slot_size <= SIZE_MAX - _Alignof(max_align_t));
    while (count < slots)
        count *= 2;
    struct ring *r = base_calloc(1, sizeof *r);
    size_t align = _Alignof(max_align_t);
    r->mask = count - 1;
    r->slot_size = (slot_size + align - 1) / align * align;
    r->slots = base_calloc(count, r->slot_size);
    return r;
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    free(r->slots);
    free(r);
}

void *ring_reserve(struct ring *r)
{
    unsigned written = atomic_load_explicit(&r->producer.count, memory_order_relaxed);
    if (written - r->producer.other > r->mask) {
        r->producer.other = atomic_load_explicit(&r->consumer.count, memory_order_acquire);
        if (written - r->producer.other > r->mask)
            return NULL;
    }
    return r->slots + (size_t)(written & r->mask) * r->slot_size;
}

void ring_commit(struct ring *r)
{
    unsigned written = atomic_load_explicit(&r->producer.count, memory_order_relaxed);
    atomic_store_explicit(&r->producer.count, written + 1, memory_order_release);
}

void *ring_peek(struct ring *r)
{
    unsigned read = atomic_load_explicit(&r->consumer.count, memory_order_relaxed);
    if (read == r->consumer.other) {
        r->consumer.other = atomic_load_explicit(&r->producer.count, memory_order_acquire);
        if (read == r->consumer.other)
            return NULL;
    }
    return r->slots + (size_t)(read & r->mask) * r->slot_size;
}

void ring_release(struct ring *r)
{
    unsigned read = atomic_load_explicit(&r->consumer.count, memory_order_relaxed);
    atomic_store_explicit(&r->consumer.count, read + 1, memory_order_release);
}

unsigned ring_used(const struct ring *r)
{
    /* The consumer's count first: the producer may only run ahead meanwhile, which the limit below
     * catches. */
    unsigned read = atomic_load_explicit(&r->consumer.count, memory_order_acquire);
    unsigned used = atomic_load_explicit(&r->producer.count, memory_order_acquire) - read;
    return used > r->mask ? r->mask + 1 : used;
}
