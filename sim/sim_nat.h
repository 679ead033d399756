/* A NAT between two networks: what is inside reaches outside under the NAT's own address. */
#ifndef OCALA_SIM_NAT_H
#define OCALA_SIM_NAT_H

#include "sim/sim.h"

/* Like RFC 4787: who shares a mapping, and who may answer on it. */
enum sim_nat_kind {
    SIM_NAT_OPEN,      /* one mapping for all remotes, anybody may answer           */
    SIM_NAT_FILTERED,  /* one mapping for all remotes, only they may answer         */
    SIM_NAT_SYMMETRIC, /* a mapping for each remote endpoint, only that one answers */
};

struct sim_mapping {
    struct endpoint inside, remote; /* remote: the last one, or the only one */
    uint16_t port;                  /* outside                               */
    instant used;
    struct sim_mapping *next;
};

struct sim_nat {
    struct sim_node node; /* first */
    struct sim *sim;
    struct sim_network *inside, *outside;
    struct ip_address ip; /* outside */
    enum sim_nat_kind kind;
    instant timeout;
    struct seeded random;
    struct sim_mapping *mappings;
    struct sim_nat *next;
};

/* False when an address lies outside of its network. */
bool sim_nat_new(struct sim *s, const char *name, struct sim_network *inside,
                 const struct ip_address *inside_ip, struct sim_network *outside,
                 const struct ip_address *outside_ip, enum sim_nat_kind kind, instant timeout);
/* Forgets all mappings, as after a restart. */
void sim_nat_clear(struct sim_nat *n);
struct sim_nat *sim_nat_find(const struct sim *s, const char *name);
void sim_nats_free(struct sim *s);

#endif
