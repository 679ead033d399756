/* Faults at random: daemons that crash, cables that are pulled, networks that lose; and all of it
 * mended again by itself. */
#ifndef OCALA_SIM_FAULT_H
#define OCALA_SIM_FAULT_H

#include "sim/sim.h"

#define SIM_FAULTS(X)                                                                              \
    X(CRASH, "crash", "a daemon is killed and started again later")                                \
    X(STOP, "stop", "a daemon is ended properly and started again later")                          \
    X(SUSPEND, "suspend", "a machine sleeps for a while")                                          \
    X(UNPLUG, "unplug", "a machine's cable to one network is pulled for a while")                  \
    X(CUT, "cut", "two machines cannot reach each other for a while")                              \
    X(LOSS, "loss", "a network loses a third of everything for a while")                           \
    X(MESS, "mess", "a network duplicates and reorders for a while")                               \
    X(MOVE, "move", "a machine has another address for a while")

enum sim_fault_kind {
#define SIM_FAULT_ENUM(id, name, text) SIM_FAULT_##id,
    SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_COUNT
};

/* False: there is no fault of this name. */
bool sim_fault_parse(const char *name, enum sim_fault_kind *ret);
/* One about every `every` until `until`; `kinds`: bits, 0 means all.  All are over 10 s later. */
void sim_faults_begin(struct sim *s, instant every, instant until, unsigned kinds);
/* How many are not mended yet, and whether more will come. */
bool sim_faults_over(const struct sim *s);
void sim_faults_free(struct sim *s);

#endif
