/* One direction of an impaired cable.
 *
 * A frame first meets loss (a cut, a burst, a single loss), then the queue of the rate: the cable
 * is busy until `busy_until`, and what would wait behind more than the limit is dropped at the
 * tail.  When its last bit has left, the frame travels for delay plus jitter.  Frames under way lie
 * in a binary heap ordered by due time and, within one instant, by arrival, so equal due times keep
 * their order. */
#include "tests/support/impair.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct frame {
    instant due;
    uint64_t order;
    size_t size;
    uint8_t bytes[];
};

struct waiting {
    instant leaves; /* when the frame's last bit has left */
    size_t size;
};

struct impair_way {
    struct impair_settings settings;
    struct impair_statistics statistics;
    uint64_t random;
    bool in_burst;
    instant busy_until, last_due;
    uint64_t order;
    struct waiting *queue; /* ring of frames that wait for the rate */
    size_t queue_first, queue_count, queue_room;
    uint64_t queue_bytes;
    struct frame **heap;
    size_t heap_count, heap_room;
    struct frame *given;
};

struct impair_way *impair_way_new(uint64_t seed)
{
    struct impair_way *w = base_calloc(1, sizeof *w);
    w->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    w->last_due = INT64_MIN;
    return w;
}

void impair_way_free(struct impair_way *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->heap_count; i++)
        free(w->heap[i]);
    free(w->heap);
    free(w->queue);
    free(w->given);
    free(w);
}

struct impair_settings *impair_way_settings(struct impair_way *w)
{
    return &w->settings;
}

const struct impair_statistics *impair_way_statistics(const struct impair_way *w)
{
    return &w->statistics;
}

/* splitmix64: small, and good enough to throw dice with. */
static uint64_t draw(struct impair_way *w)
{
    uint64_t z = w->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* 0 <= x < 1 */
static double chance(struct impair_way *w)
{
    return (double)(draw(w) >> 11) / (double)(UINT64_C(1) << 53);
}

static bool before(const struct frame *a, const struct frame *b)
{
    return a->due < b->due || (a->due == b->due && a->order < b->order);
}

static void heap_put(struct impair_way *w, struct frame *f)
{
    if (w->heap_count == w->heap_room) {
        w->heap_room = w->heap_room ? 2 * w->heap_room : 64;
        w->heap = base_realloc(w->heap, w->heap_room * sizeof w->heap[0]);
    }
    size_t at = w->heap_count++;
    for (; at > 0 && before(f, w->heap[(at - 1) / 2]); at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = f;
}

static struct frame *heap_take(struct impair_way *w)
{
    struct frame *top = w->heap[0], *last = w->heap[--w->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= w->heap_count)
            break;
        if (child + 1 < w->heap_count && before(w->heap[child + 1], w->heap[child]))
            child++;
        if (!before(w->heap[child], last))
            break;
        w->heap[at] = w->heap[child];
        at = child;
    }
    if (w->heap_count)
        w->heap[at] = last;
    return top;
}

/* Frames whose last bit has left no longer wait. */
static void queue_drain(struct impair_way *w, instant now)
{
    while (w->queue_count && w->queue[w->queue_first].leaves <= now) {
        w->queue_bytes -= w->queue[w->queue_first].size;
        w->queue_first = (w->queue_first + 1) % w->queue_room;
        w->queue_count--;
    }
}

static void queue_put(struct impair_way *w, instant leaves, size_t size)
{
    if (w->queue_count == w->queue_room) {
        size_t room = w->queue_room ? 2 * w->queue_room : 64;
        struct waiting *grown = base_calloc(room, sizeof *grown);
        for (size_t i = 0; i < w->queue_count; i++)
            grown[i] = w->queue[(w->queue_first + i) % w->queue_room];
        free(w->queue);
        w->queue = grown;
        w->queue_room = room;
        w->queue_first = 0;
    }
    w->queue[(w->queue_first + w->queue_count++) % w->queue_room] =
        (struct waiting){.leaves = leaves, .size = size};
    w->queue_bytes += size;
}

/* When the frame has left, or INSTANT_NEVER when the queue is full. */
static instant leave(struct impair_way *w, instant now, size_t size)
{
    const struct impair_settings *s = &w->settings;
    if (!s->rate)
        return now;
    queue_drain(w, now);
    uint64_t limit = s->limit ? s->limit : s->rate / 80;
    if (w->queue_count && w->queue_bytes + size > limit)
        return INSTANT_NEVER;
    if (s->limit_frames && w->queue_count >= s->limit_frames)
        return INSTANT_NEVER;
    instant start = w->busy_until > now ? w->busy_until : now;
    w->busy_until = start + (instant)((double)size * 8 * (double)SECOND / (double)s->rate);
    queue_put(w, w->busy_until, size);
    return w->busy_until;
}

static void travel(struct impair_way *w, instant due, const void *frame, size_t size)
{
    struct frame *f = base_calloc(1, sizeof *f + size);
    f->due = due;
    f->order = w->order++;
    f->size = size;
    memcpy(f->bytes, frame, size);
    heap_put(w, f);
}

static void note_travel(struct impair_statistics *s, instant took)
{
    if (took < s->shortest || !s->longest)
        s->shortest = took;
    if (took > s->longest)
        s->longest = took;
}

void impair_way_input(struct impair_way *w, instant now, const void *frame, size_t size, bool plain)
{
    const struct impair_settings *s = &w->settings;
    w->statistics.received++;
    if (s->cut) {
        w->statistics.cut++;
        return;
    }
    if (plain) {
        travel(w, now + s->delay, frame, size);
        return;
    }
    double loss = chance(w), burst = chance(w), twice = chance(w), hold = chance(w),
           spread = chance(w);
    w->in_burst = w->in_burst ? burst >= s->burst_leave : burst < s->burst_enter;
    if (w->in_burst || loss < s->loss) {
        w->statistics.lost++;
        return;
    }
    instant left = leave(w, now, size);
    if (left == INSTANT_NEVER) {
        w->statistics.queue_full++;
        return;
    }
    instant due = left + s->delay + (instant)((2 * spread - 1) * (double)s->jitter);
    if (due < left)
        due = left;
    if (hold < s->reorder) {
        due += IMPAIR_HOLD;
        w->statistics.reordered++;
    } else {
        if (due < w->last_due && s->jitter)
            due = w->last_due;
        w->last_due = due;
    }
    note_travel(&w->statistics, due - left);
    travel(w, due, frame, size);
    if (twice < s->duplicate) {
        w->statistics.duplicated++;
        travel(w, due, frame, size);
    }
}

instant impair_way_deadline(const struct impair_way *w)
{
    return w->heap_count ? w->heap[0]->due : INSTANT_NEVER;
}

const void *impair_way_output(struct impair_way *w, instant now, size_t *ret_size)
{
    if (!w->heap_count || w->heap[0]->due > now)
        return NULL;
    free(w->given);
    w->given = heap_take(w);
    w->statistics.sent++;
    *ret_size = w->given->size;
    return w->given->bytes;
}

static bool number(const char **text, double low, double high, double *ret)
{
    char *end;
    double value = strtod(*text, &end);
    if (end == *text || !(value >= low && value <= high))
        return false;
    *text = end;
    *ret = value;
    return true;
}

static bool set_value(struct impair_settings *s, const char *word, double value)
{
    if (!strcmp(word, "delay"))
        s->delay = (instant)(value * (double)MILLISECOND);
    else if (!strcmp(word, "jitter"))
        s->jitter = (instant)(value * (double)MILLISECOND);
    else if (!strcmp(word, "rate"))
        s->rate = (uint64_t)(value * 1e6);
    else
        return false;
    return true;
}

static bool set_share(struct impair_settings *s, const char *word, double value)
{
    if (!strcmp(word, "loss"))
        s->loss = value;
    else if (!strcmp(word, "duplicate"))
        s->duplicate = value;
    else if (!strcmp(word, "reorder"))
        s->reorder = value;
    else
        return false;
    return true;
}

/* "limit 64000" bytes, "limit 50p" frames. */
static bool set_limit(struct impair_settings *s, const char *text)
{
    double value;
    if (!number(&text, 0, 1e9, &value))
        return false;
    bool frames = *text == 'p';
    if (text[frames] != '\0')
        return false;
    s->limit = frames ? 0 : (uint64_t)value;
    s->limit_frames = frames ? (uint64_t)value : 0;
    return true;
}

bool impair_command(struct impair_settings *s, const char *text, const char **ret_error)
{
    char word[16];
    size_t len = strcspn(text, " ");
    if (len >= sizeof word) {
        *ret_error = "unknown command";
        return false;
    }
    memcpy(word, text, len);
    word[len] = '\0';
    const char *rest = text + len;
    double first, second;
    if (!strcmp(word, "cut") || !strcmp(word, "heal")) {
        s->cut = word[0] == 'c';
        return true;
    }
    if (!strcmp(word, "limit")) {
        *ret_error = "limit wants bytes (64000) or frames (50p)";
        return set_limit(s, rest);
    }
    if (!strcmp(word, "burst")) {
        *ret_error = "burst wants two shares from 0 to 1: enter and leave";
        if (!number(&rest, 0, 1, &first) || !number(&rest, 0, 1, &second) || *rest)
            return false;
        s->burst_enter = first;
        s->burst_leave = second;
        return true;
    }
    *ret_error =
        "unknown command, or a value out of range (shares 0 to 1, ms and Mbit/s not negative)";
    if (!number(&rest, 0, 1e6, &first) || *rest)
        return false;
    return set_value(s, word, first) || (first <= 1 && set_share(s, word, first));
}
