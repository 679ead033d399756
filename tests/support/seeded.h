/* Repeatable randomness for tests and the simulator: the same seed gives the same bytes on every
 * machine.  Never linked into the daemon. */
#ifndef OCALA_TESTS_SUPPORT_SEEDED_H
#define OCALA_TESTS_SUPPORT_SEEDED_H

#include <stdint.h>

#include "base/entropy.h"

struct seeded {
    struct entropy entropy; /* first: pass &s.entropy to engines */
    uint64_t state[4];
};

void seeded_init(struct seeded *s, uint64_t seed);

#endif
