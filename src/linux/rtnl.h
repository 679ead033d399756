/* Links, addresses and routes through rtnetlink.  (Not called netlink.h or route.h: kernel headers
 * of those names live in a folder `linux` too.)
 *
 * Functions return 0 or a negative errno; linux_rtnl_text() then gives the kernel's own
 * explanation, or "". */
#ifndef OCALA_LINUX_RTNL_H
#define OCALA_LINUX_RTNL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct linux_rtnl;
int linux_rtnl_new(struct linux_rtnl **ret);
void linux_rtnl_free(struct linux_rtnl *n); /* accepts NULL */
const char *linux_rtnl_text(const struct linux_rtnl *n);

struct linux_link {
    unsigned index;
    uint32_t mtu;          /* 0: leave           */
    uint32_t queue_length; /* txqueuelen; 0: leave */
    uint32_t segments;     /* most packets in a super-packet; 0: leave; ignored where unknown */
    bool no_link_local; /* make no fe80:: address when it goes up; ignored where there is no IPv6 */
    bool up;            /* true: raise        */
};
int linux_link_set(struct linux_rtnl *n, const struct linux_link *link);

/* -EACCES, -EOPNOTSUPP or -EAFNOSUPPORT for an IPv6 address where IPv6 is switched off. */
int linux_address_add(struct linux_rtnl *n, unsigned index, const struct ip_prefix *address);
int linux_address_delete(struct linux_rtnl *n, unsigned index, const struct ip_prefix *address);

/* Routes that ocala makes carry this protocol number, so that they are told from others ("proto
 * 111" in `ip route`). */
#define LINUX_ROUTE_OURS 111

enum linux_route_type {
    LINUX_ROUTE_UNICAST,
    LINUX_ROUTE_UNREACHABLE,
    LINUX_ROUTE_LOCAL, /* to the machine itself, in the kernel's table for that */
    LINUX_ROUTE_OTHER
};

struct linux_route {
    struct ip_prefix prefix;
    enum linux_route_type type;
    unsigned index;           /* outgoing interface; 0 for none         */
    struct ip_address source; /* preferred source; family 0 for none    */
    uint32_t metric;          /* 0: the kernel's default                */
    uint8_t protocol;         /* set by the kernel side when listing    */
    uint32_t table;           /* when listing                           */
};
/* Added with protocol LINUX_ROUTE_OURS; -EEXIST when there is one with the same prefix and metric.
 */
int linux_route_add(struct linux_rtnl *n, const struct linux_route *route);
int linux_route_delete(struct linux_rtnl *n, const struct linux_route *route);

/* Calls `each` for every route of the family (4 or 6), in all tables, until it returns false. */
int linux_route_list(struct linux_rtnl *n, uint8_t family,
                     bool (*each)(void *context, const struct linux_route *route), void *context);

/* The first route that overlaps `prefix` and would be disturbed.  Not counted: default routes and
 * halves or slices of one (shorter than /8), our own `unreachable` routes, and routes over
 * `own_index`.  1: found, 0: none, or negative. */
int linux_route_clash(struct linux_rtnl *n, const struct ip_prefix *prefix, unsigned own_index,
                      struct linux_route *ret);

#endif
