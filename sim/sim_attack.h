/* Somebody on an underlay who sees, keeps, repeats, changes, forges and throws away what passes. */
#ifndef OCALA_SIM_ATTACK_H
#define OCALA_SIM_ATTACK_H

#include "sim/sim.h"

#define SIM_ATTACKS(X)                                                                             \
    X(REPLAY, "replay", "datagrams of before come again, from their sender's address or another")  \
    X(CHANGE, "change", "copies with changed bits arrive as well")                                 \
    X(FORGE, "forge", "answers, refusals and errors about handshakes and records that were seen")  \
    X(GARBAGE, "garbage", "random bytes, also such as begin like ours")                            \
    X(DROP, "drop", "a quarter of handshakes and control records vanishes, and only these")

enum sim_attack_kind {
#define SIM_ATTACK_ENUM(id, name, text) SIM_ATTACK_##id,
    SIM_ATTACKS(SIM_ATTACK_ENUM)
#undef SIM_ATTACK_ENUM
        SIM_ATTACK_COUNT
};

const char *sim_attack_name(enum sim_attack_kind kind);
/* Something every `every` until `until` on this network; `kinds`: bits, 0 means all.  Replaces the
 * attack before. */
void sim_attack_begin(struct sim *s, struct sim_network *network, instant every, instant until,
                      unsigned kinds);
void sim_attack_free(struct sim *s);

#endif
