#include "base/epoch.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/check.h"

/* How it works.  `now` is a counter that only the writer moves.  Each reader owns one slot: 0 while
 * it is offline, else the value of `now` that it saw at its last announcement.  An object retired
 * at mark m may go once every slot is 0 or >= m:
 *
 *   - a slot >= m was stored after its reader read `now` >= m.  That read acquires what the writer
 * did before it moved `now` to m, so the reader loads the new pointer from there on; what it loaded
 * before, it has promised not to use any more, and its store-release tells the writer so.
 *   - a slot of 0 that the writer reads after moving `now`: the reader, coming online, stores its
 * slot and then reads `now` again.  These four accesses are sequentially consistent, so either the
 * writer sees the slot, or the reader sees the new `now` (and with it the new pointer).  Going
 * round until both reads agree makes this hold without a stand-alone fence, which ThreadSanitizer
 * does not understand.
 *
 * Slots are a cache line apart: an announcement must not slow down another worker. */

struct reader_slot {
    _Atomic uint64_t seen;
    char padding[64 - sizeof(uint64_t)];
};

struct retired {
    struct retired *next;
    void *object;
    void (*release)(void *object);
    uint64_t mark;
};

struct epoch {
    _Atomic uint64_t now;
    char padding[64 - sizeof(uint64_t)];
    struct reader_slot slot[EPOCH_READERS_MAX];
    unsigned readers;
    /* The writer's own: oldest first, marks never fall. */
    struct retired *first, **last;
    unsigned waiting;
};

struct epoch *epoch_new(unsigned readers)
{
    require(readers <= EPOCH_READERS_MAX);
    struct epoch *e = base_calloc(1, sizeof *e);
    atomic_init(&e->now, 1);
    e->readers = readers;
    e->last = &e->first;
    return e;
}

/* Takes the oldest object off the list before its release runs: a release may retire more. */
static void release_first(struct epoch *e)
{
    struct retired *r = e->first;
    e->first = r->next;
    if (!e->first)
        e->last = &e->first;
    e->waiting--;
    r->release(r->object);
    free(r);
}

void epoch_free(struct epoch *e)
{
    if (!e)
        return;
    for (unsigned i = 0; i < e->readers; i++)
        require(atomic_load(&e->slot[i].seen) == 0);
    while (e->first)
        release_first(e);
    free(e);
}

void epoch_online(struct epoch *e, unsigned reader)
{
    require(reader < e->readers);
    uint64_t now = atomic_load(&e->now);
    for (;;) {
        atomic_store(&e->slot[reader].seen, now);
        uint64_t again = atomic_load(&e->now);
        if (again == now)
            return;
        now = again;
    }
}

void epoch_announce(struct epoch *e, unsigned reader)
{
    require(reader < e->readers);
    uint64_t now = atomic_load_explicit(&e->now, memory_order_acquire);
    atomic_store_explicit(&e->slot[reader].seen, now, memory_order_release);
}

void epoch_offline(struct epoch *e, unsigned reader)
{
    require(reader < e->readers);
    atomic_store_explicit(&e->slot[reader].seen, 0, memory_order_release);
}

/* The oldest point any online reader may still be at. */
static uint64_t oldest_seen(struct epoch *e)
{
    uint64_t oldest = UINT64_MAX;
    for (unsigned i = 0; i < e->readers; i++) {
        uint64_t seen = atomic_load(&e->slot[i].seen);
        if (seen && seen < oldest)
            oldest = seen;
    }
    return oldest;
}

void epoch_retire(struct epoch *e, void *object, void (*release)(void *object))
{
    struct retired *r = base_calloc(1, sizeof *r);
    r->object = object;
    r->release = release;
    r->mark = epoch_mark(e);
    *e->last = r;
    e->last = &r->next;
    e->waiting++;
}

unsigned epoch_collect(struct epoch *e)
{
    uint64_t oldest = oldest_seen(e);
    while (e->first && e->first->mark <= oldest)
        release_first(e);
    return e->waiting;
}

uint64_t epoch_mark(struct epoch *e)
{
    return atomic_fetch_add(&e->now, 1) + 1;
}

bool epoch_passed(struct epoch *e, uint64_t mark)
{
    return mark <= oldest_seen(e);
}
