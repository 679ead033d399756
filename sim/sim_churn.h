/* Machines that come and go, each at its own pace. */
#ifndef OCALA_SIM_CHURN_H
#define OCALA_SIM_CHURN_H

#include "sim/sim_host.h"

/* A time is drawn between half and one and a half of these. */
struct sim_churn_times {
    instant up, down;
    instant until; /* then it is started once more and stays */
};

/* The machine is up now or down; leaving is a crash or a proper end, as chance has it. */
void sim_churn_begin(struct sim_host *h, const struct sim_churn_times *times);
/* Nobody comes and goes any more. */
bool sim_churn_over(const struct sim *s);
void sim_churn_end(struct sim_host *h);
/* The daemon is started again at that time, as its supervisor would. */
void sim_churn_restart(struct sim_host *h, instant when);

#endif
