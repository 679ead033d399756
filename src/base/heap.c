#include "base/heap.h"

#include "base/check.h"

static void place(struct heap *h, unsigned i, struct timer *t)
{
    h->timer[i] = t;
    t->place = i + 1;
}

static void sift_up(struct heap *h, unsigned i)
{
    struct timer *t = h->timer[i];
    while (i > 0 && h->timer[(i - 1) / 2]->due > t->due) {
        place(h, i, h->timer[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(h, i, t);
}

static void sift_down(struct heap *h, unsigned i)
{
    struct timer *t = h->timer[i];
    for (;;) {
        unsigned child = 2 * i + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->timer[child + 1]->due < h->timer[child]->due)
            child++;
        if (h->timer[child]->due >= t->due)
            break;
        place(h, i, h->timer[child]);
        i = child;
    }
    place(h, i, t);
}

void heap_done(struct heap *h)
{
    free(h->timer);
    *h = (struct heap){0};
}

void heap_unset(struct heap *h, struct timer *t)
{
    if (!t->place)
        return;
    unsigned i = t->place - 1;
    t->place = 0;
    t->due = INSTANT_NEVER;
    struct timer *last = h->timer[--h->count];
    if (last == t)
        return;
    place(h, i, last);
    sift_up(h, i);
    sift_down(h, last->place - 1);
}

void heap_set(struct heap *h, struct timer *t, instant due)
{
    if (due == INSTANT_NEVER) {
        heap_unset(h, t);
        return;
    }
    t->due = due;
    if (!t->place) {
        if (h->count == h->room) {
            h->room = h->room ? 2 * h->room : 16;
            h->timer = base_realloc(h->timer, h->room * sizeof *h->timer);
        }
        place(h, h->count++, t);
    }
    sift_up(h, t->place - 1);
    sift_down(h, t->place - 1);
}

instant heap_next(const struct heap *h)
{
    return h->count ? h->timer[0]->due : INSTANT_NEVER;
}

struct timer *heap_due(struct heap *h, instant now)
{
    if (!h->count || h->timer[0]->due > now)
        return NULL;
    struct timer *t = h->timer[0];
    heap_unset(h, t);
    return t;
}
