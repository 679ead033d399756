#include "tests/support/tiny_net.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void tiny_net_init(struct tiny_net *n, uint64_t seed)
{
    *n = (struct tiny_net){.delay = 10 * MILLISECOND};
    seeded_init(&n->random, seed);
}

void tiny_net_done(struct tiny_net *n)
{
    for (unsigned i = 0; i < n->count; i++)
        free(n->queue[i].datagram);
    free(n->queue);
    n->queue = NULL;
    n->count = n->room = 0;
}

static bool before(const struct tiny_place *a, const struct tiny_place *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void put(struct tiny_net *n, struct tiny_datagram *d)
{
    struct tiny_place p = {d->due, n->order++, d};
    if (n->count == n->room) {
        n->room = n->room ? 2 * n->room : 256;
        n->queue = base_realloc(n->queue, n->room * sizeof *n->queue);
    }
    unsigned at = n->count++;
    for (; at && before(&p, &n->queue[(at - 1) / 2]); at = (at - 1) / 2)
        n->queue[at] = n->queue[(at - 1) / 2];
    n->queue[at] = p;
}

static void post(struct tiny_net *n, instant now, const struct endpoint *from,
                 const struct endpoint *to, const void *bytes, size_t size)
{
    struct tiny_datagram *d = base_calloc(1, sizeof *d + size);
    d->due = now + n->delay;
    if (n->jitter)
        d->due += (instant)(entropy_u64(&n->random.entropy) % (uint64_t)n->jitter);
    d->from = *from;
    d->to = *to;
    d->size = size;
    if (size)
        memcpy(d->bytes, bytes, size);
    put(n, d);
}

void tiny_net_send(struct tiny_net *n, instant now, const struct endpoint *from,
                   const struct endpoint *to, const void *bytes, size_t size)
{
    n->sent++;
    if (n->lose && entropy_below(&n->random.entropy, 1000) < n->lose)
        return;
    post(n, now, from, to, bytes, size);
    if (n->twice && entropy_below(&n->random.entropy, 1000) < n->twice)
        post(n, now, from, to, bytes, size);
}

instant tiny_net_next(const struct tiny_net *n)
{
    return n->count ? n->queue[0].due : INSTANT_NEVER;
}

struct tiny_datagram *tiny_net_take(struct tiny_net *n, instant now)
{
    if (!n->count || n->queue[0].due > now)
        return NULL;
    struct tiny_datagram *first = n->queue[0].datagram;
    struct tiny_place last = n->queue[--n->count];
    unsigned at = 0;
    for (unsigned child; (child = 2 * at + 1) < n->count; at = child) {
        if (child + 1 < n->count && before(&n->queue[child + 1], &n->queue[child]))
            child++;
        if (!before(&n->queue[child], &last))
            break;
        n->queue[at] = n->queue[child];
    }
    n->queue[at] = last;
    return first;
}
