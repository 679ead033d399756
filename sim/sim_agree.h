/* Do two machines have the same idea of the path between them? */
#ifndef OCALA_SIM_AGREE_H
#define OCALA_SIM_AGREE_H

#include "sim/sim_host.h"

/* For each path that stands on one of these machines and is in use there: its other end runs, has
 * one back, and both are at the same keys.  False: `why` names the first where it is not so. */
bool sim_agree(const struct sim *s, struct sim_host *const *host, unsigned hosts, char *why,
               size_t size);

#endif
