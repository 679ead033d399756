/* Expectations: what they share, and what must hold at the end of every run. */
#ifndef OCALA_SIM_EXPECT_H
#define OCALA_SIM_EXPECT_H

#include "sim/sim_script.h"

/* Lets the world run until `holds` says so.  False: time is over (20 s, unless `within` is set), or
 * something that must never happen has happened; `why` says what. */
bool sim_expect_until(struct sim_script *s, const struct sim_value *within,
                      bool (*holds)(void *context), void *context, char *why, size_t size);
/* `how`: is, at-most, at-least. */
bool sim_expect_compare(int64_t left, const char *how, int64_t right);
bool sim_expect_comparison(const char *how, char *why, size_t size);

/* Every label belongs to something that is alive, and there are not more handles than names, on every
 * machine that runs. */
bool sim_expect_no_leak(const struct sim *s, char *why, size_t size);

#endif
