#include "linux/tun_net.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "packet/packet.h"
#include "record/record.h"

#define QUEUE_LENGTH 1000 /* packets of txqueuelen */

const char *linux_prefix_format(const struct ip_prefix *p, char out[LINUX_PREFIX_TEXT])
{
    char address[ADDRESS_TEXT];
    snprintf(out, LINUX_PREFIX_TEXT, "%s/%u", ip_address_format(&p->ip, address), p->length);
    return out;
}

int linux_rtnl_error(const struct linux_rtnl *n, int error, const char *what, const char *on,
                     char *err, size_t size)
{
    const char *said = linux_rtnl_text(n);
    if (error == -EPERM)
        snprintf(err, size, "not allowed to %s %s: this needs root (CAP_NET_ADMIN)", what, on);
    else
        snprintf(err, size, "cannot %s %s: %s%s%s", what, on, strerror(-error), said[0] ? ": " : "",
                 said);
    return error;
}

/* A system may have IPv6 switched off for new interfaces only; for ours it can be on. */
static void v6_switch_on(const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, "0", 1);
    close(fd);
}

static int route_add(struct linux_rtnl *n, const struct linux_route *route, char *err, size_t size)
{
    char text[LINUX_PREFIX_TEXT];
    int r = linux_route_add(n, route);
    return r < 0 ? linux_rtnl_error(n, r, "add the route",
                                    linux_prefix_format(&route->prefix, text), err, size)
                 : 0;
}

/* Of an IPv6 address the kernel tells its routing later (addrconf_dad_work(), with IFA_F_NODAD as
 * well): on a busy machine seconds later, and until then packets to it would go out by the TUN.  So
 * it is told here; the kernel's own route comes beside this one. */
static int address_add(struct linux_rtnl *n, unsigned index, const struct ip_address *address,
                       const struct ip_prefix *pool, char *err, size_t size)
{
    char text[LINUX_PREFIX_TEXT];
    struct ip_prefix host = {.ip = *address, .length = address->family == 4 ? 32 : 128};
    int r = linux_address_add(n, index, &host);
    if (r < 0)
        return linux_rtnl_error(n, r, "add the address", linux_prefix_format(&host, text), err,
                                size);
    if (address->family == 6)
        r = route_add(
            n, &(struct linux_route){.prefix = host, .type = LINUX_ROUTE_LOCAL, .index = index},
            err, size);
    if (r < 0)
        return r;
    return route_add(
        n,
        &(struct linux_route){
            .prefix = *pool, .type = LINUX_ROUTE_UNICAST, .index = index, .source = *address},
        err, size);
}

/* How many packets of this size, each in a record, leave together: super-packets of the kernel then
 * stand for no more. */
static uint32_t segments_of(uint32_t mtu)
{
    uint32_t count = PACKET_RUN_SIZE / (mtu + RECORD_OVERHEAD);
    return count > PACKET_RUN ? PACKET_RUN : count ? count : 1;
}

int linux_tun_net_raise(struct linux_rtnl *n, const struct linux_tun_net *t, bool *ret_v6,
                        char *err, size_t size)
{
    struct linux_link link = {.index = t->index,
                              .mtu = t->mtu,
                              .queue_length = QUEUE_LENGTH,
                              .segments = segments_of(t->mtu),
                              .no_link_local = true,
                              .up = true};
    *ret_v6 = false;
    v6_switch_on(t->name);
    int r = linux_link_set(n, &link);
    if (r < 0)
        return linux_rtnl_error(n, r, "raise the TUN", t->name, err, size);
    r = address_add(n, t->index, &t->address4, &t->pool4, err, size);
    if (r < 0 || t->address6.family != 6)
        return r;
    r = address_add(n, t->index, &t->address6, &t->pool6, err, size);
    *ret_v6 = r == 0;
    /* Without IPv6 in the kernel there are no IPv6 programs to serve. */
    if (r == -EACCES || r == -EOPNOTSUPP || r == -EAFNOSUPPORT)
        r = 0;
    return r;
}
