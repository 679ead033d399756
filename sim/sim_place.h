/* Where addresses are, and what is special between two nodes (sim_place.c). */
#ifndef OCALA_SIM_PLACE_H
#define OCALA_SIM_PLACE_H

#include "sim/sim_net.h"

/* An address of a port is given, or taken back.  When two nodes take the same one, the later has it
 * until it leaves. */
void sim_place_add(struct sim_network *network, const struct ip_address *ip, struct sim_node *node,
                   struct sim_port *port);
void sim_place_remove(struct sim_network *network, const struct ip_address *ip,
                      const struct sim_port *port);
/* False: nobody has this address. */
bool sim_place_find(const struct sim_network *network, const struct ip_address *ip,
                    struct sim_node **ret_node, struct sim_port **ret_port);
void sim_places_free(struct sim_network *network);

/* A way of its own between two nodes, instead of the network's and of the sender's port.  NULL: they
 * have none.  *ret_lane is the one from a to b. */
struct sim_road {
    bool stands;
    struct sim_way way;
    struct sim_lane lane[2];
};
struct sim_road *sim_road_between(const struct sim_net *net, const struct sim_node *a,
                                  const struct sim_node *b, unsigned *ret_lane);

bool sim_cut_between(const struct sim_net *net, const struct sim_node *a, const struct sim_node *b);
void sim_cuts_heal(struct sim_net *net);
void sim_between_free(struct sim_net *net);

#endif
