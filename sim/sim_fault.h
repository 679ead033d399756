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
    X(MOVE, "move", "a machine has another address for a while")                                   \
    X(DELAY, "delay", "everything on a network takes half a second longer for a while")            \
    X(BURST, "burst", "a network loses in bursts for a while")                                     \
    X(BLACKOUT, "blackout", "a third of the machines of a network is unplugged at once")           \
    X(PARTITION, "partition", "the machines of a network are in two parts for a while")

enum sim_fault_kind {
#define SIM_FAULT_ENUM(id, name, text) SIM_FAULT_##id,
    SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_COUNT
};

/* False: there is no fault of this name. */
bool sim_fault_parse(const char *name, enum sim_fault_kind *ret);
/* One about every `every` until `until`.  All are mended `lasting` after that. */
struct sim_fault_plan {
    instant every, until;
    instant lasting; /* the longest of them; 0: 10 s */
    unsigned kinds;  /* bits; 0: all                 */
    const char
        *skip; /* numbers of faults, counted from 1, with commas, that do not happen; or NULL */
};
void sim_faults_begin(struct sim *s, const struct sim_fault_plan *plan);
/* How many there were, those that were skipped included. */
unsigned sim_faults_count(const struct sim *s);
/* How many are not mended yet, and whether more will come. */
bool sim_faults_over(const struct sim *s);
void sim_faults_free(struct sim *s);

#endif
