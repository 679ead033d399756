/* Time as engines see it: passed in, never read.
 *
 * An instant is nanoseconds of CLOCK_BOOTTIME (it goes on during suspend, so that keys and liveness age while the
 * machine sleeps).  The simulator passes its virtual clock instead. */
#ifndef OCALA_BASE_INSTANT_H
#define OCALA_BASE_INSTANT_H

#include <stdint.h>

typedef int64_t instant;

#define INSTANT_NEVER INT64_MAX
#define MICROSECOND   INT64_C(1000)
#define MILLISECOND   INT64_C(1000000)
#define SECOND        INT64_C(1000000000)
#define MINUTE        (60 * SECOND)
#define HOUR          (60 * MINUTE)

static inline instant instant_max(instant a, instant b)
{
    return a > b ? a : b;
}

static inline instant instant_min(instant a, instant b)
{
    return a < b ? a : b;
}

/* `at + span`, where "never" stays never. */
static inline instant instant_after(instant at, instant span)
{
    return at == INSTANT_NEVER || span >= INSTANT_NEVER - at ? INSTANT_NEVER : at + span;
}

#endif
