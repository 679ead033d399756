/* Echo requests of a program (sim_program.h). */
#ifndef OCALA_SIM_PING_H
#define OCALA_SIM_PING_H

#include "sim/sim_program.h"

/* The next request, and when the program goes on. */
void sim_ping_send(struct sim_program *p);
/* An answer to request `number` of the program `serial`. */
void sim_ping_answered(struct sim_program *p, uint64_t number, uint32_t serial);
/* No answer will come any more: outages are measured, from the first request that was lost to the
 * next one that was answered. */
void sim_ping_ended(struct sim_program *p);

#endif
