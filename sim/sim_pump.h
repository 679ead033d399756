/* Carries what the engines of one machine say to each other and to the world (sim_pump.c). */
#ifndef OCALA_SIM_PUMP_H
#define OCALA_SIM_PUMP_H

#include "sim/sim_host.h"

/* Until nobody has anything to say; then the machine's clock is set anew. */
void sim_pump(struct sim_host *h);
/* Forgets what was still to be done: the daemon has ended. */
void sim_pump_clear(struct sim_host *h);
/* A deadline of the host or of the data path is there. */
void sim_pump_tick(struct sim_event *e, struct sim_world *w);
/* A datagram for one of the machine's addresses. */
void sim_pump_deliver(struct sim_node *node, struct sim_port *port, const struct sim_datagram *d);
/* A program's packet. */
void sim_pump_captured(struct sim_host *h, const uint8_t *bytes, size_t size,
                       const struct packet_offload *offload);

/* Appends bytes to a text that grows. */
void sim_append(char **text, size_t *size, const void *bytes, size_t more);

#endif
