/* What a machine has been told about names and handles, and whether it stays true. */
#ifndef OCALA_SIM_SEEN_H
#define OCALA_SIM_SEEN_H

#include "sim/sim_host.h"

/* An answer of DNS for a name: its address may not change, whatever restarts.  False: it did. */
bool sim_seen_answer(struct sim_host *h, const char *name, bool v6,
                     const struct sim_answer *answer);
/* A packet came from this handle; `host` is who really sent it.  The handle must stand for that
 * machine alone, its PTR must name it, and that name must lead back to the handle.  False when it
 * stands for another one. */
bool sim_seen_from(struct sim_host *h, const struct ip_address *ip, unsigned host);
/* The name by PTR of the handle that `host` was seen under; NULL: not known. */
const char *sim_seen_name(const struct sim_host *h, unsigned host);
/* The key of this name is forgotten: its handle may change. */
void sim_seen_forget(struct sim_host *h, const char *name);
/* The disk lost what was written after that: handles given since may be others now. */
void sim_seen_lost(struct sim_host *h, instant since);
void sim_seen_free(struct sim_host *h);

#endif
