/* Servers of i3 in the simulated network, for hosts whose instances are of that type. */
#ifndef OCALA_SIM_I3_H
#define OCALA_SIM_I3_H

#include "i3/i3_server.h"
#include "sim/sim.h"

#define SIM_I3_PORT 5610
#define SIM_I3_RING 5611

struct sim_i3 {
    struct sim_event event; /* first */
    struct sim *sim;
    struct sim_node node;
    struct seeded random;
    struct i3_server *server; /* NULL: ended */
    struct sim_i3 *next;
};

/* A server at that address, which joins the ring of `seeds`.  False: the address is not free. */
bool sim_i3_new(struct sim *s, const char *name, struct sim_network *network,
                const struct ip_address *ip, const struct ip_address *seed, unsigned seeds);
struct sim_i3 *sim_i3_find(const struct sim *s, const char *name);
/* Ends it without a word. */
void sim_i3_end(struct sim_i3 *i);
void sim_i3_free(struct sim *s);

#endif
