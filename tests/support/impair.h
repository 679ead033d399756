/* What a bad network does to one direction of a cable: loss, delay, jitter, duplication,
 * reordering, rate, queue.
 *
 * An engine: frames go in with the time, and come out when they are due.  Decisions depend only on
 * the seed and on the order of the frames, never on the clock: every frame costs the same number of
 * draws whatever the settings are, so the 100th frame meets the same fate in every run with the
 * same seed. */
#ifndef OCALA_TESTS_SUPPORT_IMPAIR_H
#define OCALA_TESTS_SUPPORT_IMPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"

struct impair_settings {
    instant delay;    /* every frame                                                              */
    instant jitter;   /* evenly spread, delay - jitter to delay + jitter; keeps the order         */
    double loss;      /* share of frames lost, 0 to 1                                             */
    double duplicate; /* share sent twice                                                         */
    double reorder;   /* share held back by `IMPAIR_HOLD` more, so that later ones overtake       */
    double burst_enter; /* Gilbert-Elliott: chance per frame that a burst of loss begins */
    double burst_leave; /* ... and that it ends; within a burst every frame is lost */
    uint64_t rate;  /* bits per second, 0: no limit                                             */
    uint64_t limit; /* bytes that may wait for the rate (tail drop), 0: a tenth of a second     */
    uint64_t limit_frames; /* frames that may wait for the rate, 0: no limit */
    bool cut; /* the cable is pulled                                                      */
};

#define IMPAIR_HOLD (5 * MILLISECOND)

struct impair_statistics {
    uint64_t received, sent, lost, duplicated, reordered, queue_full, cut;
    instant shortest,
        longest; /* travel as it was meant, of frames that were sent; 0 before the first */
};

struct impair_way;

struct impair_way *impair_way_new(uint64_t seed);
void impair_way_free(struct impair_way *w);
/* May be changed at any time; frames that are under way keep their due time. */
struct impair_settings *impair_way_settings(struct impair_way *w);
const struct impair_statistics *impair_way_statistics(const struct impair_way *w);

/* Copies the frame.  `plain`: the frame belongs to the cable itself (ARP, neighbour discovery): it
 * costs no draw and is only delayed. */
void impair_way_input(struct impair_way *w, instant now, const void *frame, size_t size,
                      bool plain);
/* When impair_way_output() gives the next frame, or INSTANT_NEVER. */
instant impair_way_deadline(const struct impair_way *w);
/* The next frame that is due, in order of due time, or NULL; the bytes stay good until the next
 * call. */
const void *impair_way_output(struct impair_way *w, instant now, size_t *ret_size);

/* One command as typed ("loss 0.1", "burst 0.01 0.3", "rate 10", "cut", "heal"): times in ms, rates
 * in Mbit/s. False: *ret_error says what is wrong. */
bool impair_command(struct impair_settings *s, const char *text, const char **ret_error);

#endif
