/* What must hold at the end of every run. */
#ifndef OCALA_SIM_EXPECT_H
#define OCALA_SIM_EXPECT_H

#include "sim/sim_script.h"

/* Every label belongs to something that is alive, on every machine that runs. */
bool sim_expect_no_leak(const struct sim *s, char *why, size_t size);

#endif
