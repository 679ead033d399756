/* Which counters were seen: the ring bitmap of RFC 6479.
 *
 * Counter c has bit c % 64 of word (c / 64) % WORDS.  The ring has one word more than the window
 * needs: when the highest counter enters a new word, that word is cleared as a whole, and the bits
 * lost are already outside the window.  So the window never shifts bits, and a jump costs at most
 * one pass over the ring. */
#include "record/record.h"

#include <string.h>

#define WORDS (REPLAY_WINDOW / 64 + 1)

static uint64_t bit_of(uint64_t counter)
{
    return UINT64_C(1) << counter % 64;
}

static uint64_t word_of(uint64_t counter)
{
    return counter / 64 % WORDS;
}

void replay_init(struct replay *w, bool fresh, uint64_t floor)
{
    memset(w, 0, sizeof *w);
    if (fresh)
        return;
    /* As if everything up to the floor had been seen, so that no separate limit is checked per
     * record. */
    w->used = true;
    w->highest = floor;
    memset(w->bits, 0xFF, sizeof w->bits);
    w->bits[word_of(floor)] = UINT64_MAX >> (63 - floor % 64);
}

bool replay_fresh(const struct replay *w, uint64_t counter)
{
    if (!w->used || counter > w->highest)
        return true;
    if (w->highest - counter >= REPLAY_WINDOW)
        return false;
    return !(w->bits[word_of(counter)] & bit_of(counter));
}

void replay_mark(struct replay *w, uint64_t counter)
{
    if (!w->used) {
        /* The first one may be anywhere; the ring is empty. */
        w->used = true;
        w->highest = counter;
    } else if (counter > w->highest) {
        uint64_t steps = counter / 64 - w->highest / 64;
        if (steps > WORDS)
            steps = WORDS;
        for (uint64_t i = 0; i < steps; i++)
            w->bits[(counter / 64 - i) % WORDS] = 0;
        w->highest = counter;
    } else if (w->highest - counter >= REPLAY_WINDOW) {
        return; /* its word may belong to newer counters by now */
    }
    w->bits[word_of(counter)] |= bit_of(counter);
}

void replay_fetch(const struct replay *w, uint64_t counter)
{
    __builtin_prefetch(&w->bits[word_of(counter)], 1);
}
