/* The clock and the trace.
 *
 * The heap orders by (due, order of setting): with a fixed delay datagrams then arrive in the order
 * in which they left, and two runs never differ in what happens first.  The hash is a chain,
 * h = SHA-256(h, line), so that it can be read at any moment. */
#include "sim/sim_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "crypto/crypto.h"

#define TRACE_LINE 2048

void sim_world_init(struct sim_world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->now = SIM_BEGIN;
    sim_world_stream(w, "world", &w->random);
}

void sim_world_done(struct sim_world *w)
{
    free(w->event);
}

/* ---- events ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void put(struct sim_world *w, unsigned at, struct sim_event *e)
{
    w->event[at] = e;
    e->place = at + 1;
}

static void sift_up(struct sim_world *w, unsigned at)
{
    struct sim_event *e = w->event[at];
    while (at && before(e, w->event[(at - 1) / 2])) {
        put(w, at, w->event[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(w, at, e);
}

static void sift_down(struct sim_world *w, unsigned at)
{
    struct sim_event *e = w->event[at];
    for (;;) {
        unsigned child = 2 * at + 1;
        if (child + 1 < w->event_count && before(w->event[child + 1], w->event[child]))
            child++;
        if (child >= w->event_count || !before(w->event[child], e))
            break;
        put(w, at, w->event[child]);
        at = child;
    }
    put(w, at, e);
}

void sim_event_unset(struct sim_world *w, struct sim_event *e)
{
    if (!e->place)
        return;
    unsigned at = e->place - 1;
    e->place = 0;
    struct sim_event *last = w->event[--w->event_count];
    if (last == e)
        return;
    put(w, at, last);
    sift_up(w, at);
    sift_down(w, last->place - 1);
}

void sim_event_set(struct sim_world *w, struct sim_event *e, instant due)
{
    if (e->place && e->due == due)
        return;
    sim_event_unset(w, e);
    if (due == INSTANT_NEVER)
        return;
    if (w->event_count == w->event_room) {
        w->event_room = w->event_room ? 2 * w->event_room : 64;
        w->event = base_realloc(w->event, w->event_room * sizeof *w->event);
    }
    e->due = due;
    e->order = w->order++;
    put(w, w->event_count++, e);
    sift_up(w, e->place - 1);
}

bool sim_world_step(struct sim_world *w, instant limit)
{
    struct sim_event *e = w->event_count ? w->event[0] : NULL;
    if (!e || e->due > limit) {
        if (w->now < limit)
            w->now = limit;
        return false;
    }
    if (w->now < e->due)
        w->now = e->due;
    sim_event_unset(w, e);
    e->run(e, w);
    return true;
}

void sim_world_run_until(struct sim_world *w, instant limit)
{
    while (!w->failed && sim_world_step(w, limit))
        ;
}

/* ---- randomness ---- */

void sim_world_stream(const struct sim_world *w, const char *purpose, struct seeded *ret)
{
    uint8_t seed[8], digest[32];
    for (unsigned i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(w->seed >> (8 * i));
    crypto_sha256_two(seed, sizeof seed, purpose, strlen(purpose), digest);
    struct reader in = reader_over(digest, sizeof digest);
    seeded_init(ret, read_u64(&in));
}

bool sim_chance(struct seeded *s, uint32_t millionths)
{
    return millionths && entropy_below(&s->entropy, 1000000) < millionths;
}

/* ---- trace ---- */

static size_t line_begin(const struct sim_world *w, const char *who, const char *what, char *line)
{
    int size = snprintf(line, TRACE_LINE, "{\"t\":%lld,\"who\":\"%s\",\"what\":\"%s\"",
                        (long long)w->now, who, what);
    require(size > 0 && size < TRACE_LINE);
    return (size_t)size;
}

static void line_end(struct sim_world *w, char *line, size_t size, bool hashed)
{
    line[size++] = '}';
    line[size++] = '\n';
    if (hashed)
        crypto_sha256_two(w->hash, sizeof w->hash, line, size, w->hash);
    w->lines++;
    if (w->sink)
        w->sink(w->sink_context, line, size);
}

void sim_trace(struct sim_world *w, const char *who, const char *what, const char *format, ...)
{
    char line[TRACE_LINE];
    size_t size = line_begin(w, who, what, line), room = sizeof line - size - 3;
    va_list args;
    va_start(args, format);
    int more = *format ? vsnprintf(line + size + 1, room, format, args) : 0;
    va_end(args);
    require(more >= 0 && (size_t)more < room);
    if (more) {
        line[size] = ',';
        size += 1 + (size_t)more;
    }
    line_end(w, line, size, true);
}

void sim_trace_words(struct sim_world *w, const char *who, const char *what, const char *text)
{
    char line[TRACE_LINE], safe[TRACE_LINE / 2];
    size_t size = line_begin(w, who, what, line);
    size += (size_t)snprintf(line + size, sizeof line - size, ",\"text\":\"%s\"",
                             sim_json(text, safe, sizeof safe));
    line_end(w, line, size, false);
}

const char *sim_json(const char *text, char *out, size_t size)
{
    size_t at = 0;
    for (; *text; text++) {
        char piece[8];
        uint8_t c = (uint8_t)*text;
        if (c < ' ' || c > '~')
            snprintf(piece, sizeof piece, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            snprintf(piece, sizeof piece, "\\%c", c);
        else
            snprintf(piece, sizeof piece, "%c", c);
        size_t length = strlen(piece);
        if (at + length >= size)
            break;
        memcpy(out + at, piece, length);
        at += length;
    }
    out[at] = 0;
    return out;
}

const char *sim_hash_text(const struct sim_world *w, char out[65])
{
    for (unsigned i = 0; i < sizeof w->hash; i++)
        snprintf(out + 2 * i, 3, "%02x", w->hash[i]);
    return out;
}

void sim_fail(struct sim_world *w, const char *format, ...)
{
    char text[SIM_FAILURE_TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sim_trace_words(w, "world", "failure", text);
    if (!w->failed)
        memcpy(w->failure, text, sizeof text);
    w->failed = true;
}

const char *sim_time_text(instant t, char out[SIM_TIME_TEXT])
{
    long long micro = t / MICROSECOND, second = micro / 1000000, rest = micro % 1000000;
    int size = snprintf(out, SIM_TIME_TEXT, "%lld.%06lld", second, rest);
    while (size > 1 && out[size - 1] == '0')
        out[--size] = 0;
    if (out[size - 1] == '.')
        size--;
    snprintf(out + size, SIM_TIME_TEXT - (size_t)size, "s");
    return out;
}
