/* Micro benches: parts of the packet path, in process, on one core. */
#ifndef OCALA_BENCH_MICRO_H
#define OCALA_BENCH_MICRO_H

#include <stdint.h>

/* Nanoseconds per step: the median over rounds of `steps` steps each, thread CPU time.  `before`
 * (may be NULL) prepares a round and is not timed. */
double micro_time(void (*before)(void *self), void (*step)(void *self, unsigned index), void *self,
                  unsigned steps);

void micro_i3(unsigned triggers);
void micro_seal(void);
void micro_parked(void);
void micro_scale(unsigned paths, bool last);

#endif
