/* Flows that the kernel knows and this process does not: those of programs that were running before
 * it.
 *
 * When the daemon is started again, connections of programs go on, but the data path has forgotten
 * who started them.  It is told before the first packet.  And an address that a connection still
 * uses must not be given to somebody else, however long it was silent. */
#include "daemon/daemon.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "linux/flows.h"

static void tell_one(struct daemon *d, instant now, const struct linux_flow *flow)
{
    struct forward_flow known = {.protocol = flow->protocol,
                                 .ours = !flow->listened,
                                 .local_port = flow->local.port,
                                 .remote_port = flow->remote.port};
    if (host_handle_addresses(d->host, &flow->remote.ip, &known.handle4, &known.handle6))
        daemon_data_path_flow(d, now, &known);
}

static void tell_pool(struct daemon *d, instant now, const struct ip_prefix *pool)
{
    struct linux_flow *flows;
    unsigned count;
    if (!pool->ip.family)
        return;
    int error = linux_flows_list(pool, &flows, &count);
    if (error) {
        daemon_log(LOG_NOTICE,
                   "cannot list the connections that programs have (%s): those that "
                   "wait for data from another instance may hang",
                   strerror(-error));
        return;
    }
    for (unsigned i = 0; i < count; i++)
        tell_one(d, now, &flows[i]);
    if (count)
        daemon_log(LOG_INFO, "%u connections of programs were there before", count);
    free(flows);
}

void daemon_flows_tell(struct daemon *d, instant now)
{
    if (!d->helper) /* with --run the programs' namespace is new, and not this one */
        return;
    tell_pool(d, now, &d->pools.v4);
    if (d->devices.v6)
        tell_pool(d, now, &d->pools.v6);
}

bool daemon_flows_use(const struct ip_address *address)
{
    struct ip_prefix one = {.ip = *address, .length = address->family == 4 ? 32 : 128};
    struct linux_flow *flows;
    unsigned count;
    if (linux_flows_list(&one, &flows, &count))
        return false; /* then the time that it was silent decides alone */
    free(flows);
    return count > 0;
}
