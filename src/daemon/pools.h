/* Which address ranges the handles come from. */
#ifndef OCALA_DAEMON_POOLS_H
#define OCALA_DAEMON_POOLS_H

#include "daemon/state.h"

struct helper;
struct daemon;

/* The pool of before, if nobody else uses it now; else the configuration's, or (when that is the
 * default) of a list the one that is used by others the least: no route, no program known to take
 * it, no firewall rule that names it.  A random ULA /48 for IPv6 unless the
 * configuration says otherwise.  What was chosen is kept in the state folder.  `helper` NULL: a
 * network of our own, nothing clashes. */
int daemon_pools_choose(const struct config *config, struct daemon_state *state,
                        struct helper *helper, struct entropy *entropy, struct daemon_pools *ret,
                        char *err, size_t size);
/* Routes changed: does somebody else use our ranges now?  Warns, and keeps it for `ocala dns`. */
void daemon_pools_check(struct daemon *d);
/* The TUN's own address in a pool: the first after the network's. */
struct ip_address daemon_pool_own(const struct ip_prefix *pool);

#endif
