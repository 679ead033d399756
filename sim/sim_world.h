/* The simulated world: a virtual clock, a heap of events, one seed, and the trace.
 *
 * Nothing in the simulator reads a clock or draws randomness of its own: time moves from event to
 * event, and all randomness comes from streams that are derived from the world's seed and a name
 * ("host alpha", "net").  So the same seed gives the same trace, on every machine; its running hash
 * says so in 32 bytes.  The trace never holds a pointer, nor anything whose order depends on one.
 */
#ifndef OCALA_SIM_WORLD_H
#define OCALA_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"
#include "tests/support/seeded.h"

struct sim_world;

/* Embed first; `run` is called once when it is due.  Events of one instant run in the order in
 * which they were set. */
struct sim_event {
    void (*run)(struct sim_event *self, struct sim_world *w);
    instant due;
    uint64_t order;
    unsigned place; /* 1 + index in the heap; 0: not set */
};

#define SIM_FAILURE_TEXT 512
#define SIM_BEGIN        SECOND /* engines may take 0 for "never happened" */

struct sim_world {
    instant now;
    uint64_t seed;
    struct seeded random; /* for decisions of scenarios and programs */
    struct sim_event **event;
    unsigned event_count, event_room;
    uint64_t order;
    uint8_t hash[32]; /* of the trace so far */
    uint64_t lines;
    void (*sink)(void *context, const char *line, size_t size); /* gets each line; may be NULL */
    void *sink_context;
    bool failed; /* something that must never happen has happened: */
    char failure[SIM_FAILURE_TEXT];
};

void sim_world_init(struct sim_world *w, uint64_t seed);
void sim_world_done(struct sim_world *w);

/* Sets or moves an event; INSTANT_NEVER takes it out.  What is due in the past runs next. */
void sim_event_set(struct sim_world *w, struct sim_event *e, instant due);
void sim_event_unset(struct sim_world *w, struct sim_event *e);

/* Runs the next event if it is due at or before `limit`; false when there is none: then the clock
 * stands at `limit`. */
bool sim_world_step(struct sim_world *w, instant limit);
/* Runs until then, or until something fails. */
void sim_world_run_until(struct sim_world *w, instant limit);

/* A stream of randomness of its own, from the seed and a purpose. */
void sim_world_stream(const struct sim_world *w, const char *purpose, struct seeded *ret);
/* True with a probability in millionths.  Draws only when the outcome is open, so that a fault
 * that is switched off costs the stream nothing. */
bool sim_chance(struct seeded *s, uint32_t millionths);

/* One line: {"t":NANOSECONDS,"who":"...","what":"...", then the members that `format` makes (with
 * their own quotes, texts through sim_json)}. */
void sim_trace(struct sim_world *w, const char *who, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same, but not part of the hash: words for people, which may be improved. */
void sim_trace_words(struct sim_world *w, const char *who, const char *what, const char *text);
/* Text made safe between the quotes of a JSON string; cut where `out` ends; returns `out`. */
const char *sim_json(const char *text, char *out, size_t size);
/* The hash as 64 characters; returns `out`. */
const char *sim_hash_text(const struct sim_world *w, char out[65]);

/* What must never happen has happened; the first such thing is kept, and the run ends. */
void sim_fail(struct sim_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "1.25s", "300ms": for people.  Returns `out`. */
#define SIM_TIME_TEXT 32
const char *sim_time_text(instant t, char out[SIM_TIME_TEXT]);

#endif
