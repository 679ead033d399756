/* One request, one answer: every change asks for an acknowledgement and waits for it, so a caller
 * knows that the kernel has done it.  The kernel's extended acknowledgement (a sentence such as
 * "Nexthop has invalid gateway") is kept for the error line.  Used by the helper and by the child
 * of `ocala run`, never on the packet path. */
#include "linux/rtnl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"

#define BUFFER_SIZE 32768 /* the largest piece in which the kernel hands out a listing */

struct linux_rtnl {
    struct mnl_socket *socket;
    uint32_t serial;
    char text[160];
    uint8_t buffer[BUFFER_SIZE];
};

int linux_rtnl_new(struct linux_rtnl **ret)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!socket)
        return -errno;
    int on = 1;
    /* Without these two the calls still work, only their errors are less clear. */
    mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, &on, sizeof on);
    mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof on);
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
        int r = -errno;
        mnl_socket_close(socket);
        return r;
    }
    struct linux_rtnl *n = base_calloc(1, sizeof *n);
    n->socket = socket;
    *ret = n;
    return 0;
}

void linux_rtnl_free(struct linux_rtnl *n)
{
    if (!n)
        return;
    mnl_socket_close(n->socket);
    free(n);
}

const char *linux_rtnl_text(const struct linux_rtnl *n)
{
    return n->text;
}

static int family_of(const struct ip_address *ip)
{
    return ip->family == 4 ? AF_INET : AF_INET6;
}

static size_t size_of(const struct ip_address *ip)
{
    return ip->family == 4 ? 4 : 16;
}

static struct nlmsghdr *message_start(struct linux_rtnl *n, uint16_t type, uint16_t flags)
{
    n->text[0] = '\0';
    struct nlmsghdr *h = mnl_nlmsg_put_header(n->buffer);
    h->nlmsg_type = type;
    h->nlmsg_flags = NLM_F_REQUEST | flags;
    h->nlmsg_seq = ++n->serial;
    return h;
}

/* The sentence inside an error message, if the kernel sent one. */
static void keep_text(struct linux_rtnl *n, const struct nlmsghdr *h)
{
    const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);
    size_t skip = sizeof *e;
    if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
        return;
    if (!(h->nlmsg_flags & NLM_F_CAPPED))
        skip += MNL_ALIGN(e->msg.nlmsg_len) - sizeof e->msg;
    const struct nlattr *attribute;
    if (mnl_nlmsg_get_payload_len(h) < skip)
        return;
    mnl_attr_for_each(attribute, h, skip)
    {
        if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG &&
            mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
            snprintf(n->text, sizeof n->text, "%s", mnl_attr_get_str(attribute));
    }
}

/* Sends what is in the buffer and waits for its acknowledgement. */
static int message_ask(struct linux_rtnl *n, struct nlmsghdr *h)
{
    h->nlmsg_flags |= NLM_F_ACK;
    if (mnl_socket_sendto(n->socket, h, h->nlmsg_len) < 0)
        return -errno;
    for (;;) {
        ssize_t size = mnl_socket_recvfrom(n->socket, n->buffer, sizeof n->buffer);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return -errno;
        int left = (int)size;
        for (h = (struct nlmsghdr *)n->buffer; mnl_nlmsg_ok(h, left);
             h = mnl_nlmsg_next(h, &left)) {
            if (h->nlmsg_seq != n->serial || h->nlmsg_type != NLMSG_ERROR ||
                mnl_nlmsg_get_payload_len(h) < sizeof(struct nlmsgerr))
                continue;
            keep_text(n, h);
            return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
        }
    }
}

/* In a message of its own, whose result does not matter: where IPv6 is off the kernel refuses it,
 * and there will be no link-local address anyway. */
static void no_link_local(struct linux_rtnl *n, unsigned index)
{
    struct nlmsghdr *h = message_start(n, RTM_NEWLINK, 0);
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(h, sizeof *info);
    info->ifi_index = (int)index;
    struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
    struct nlattr *inet6 = mnl_attr_nest_start(h, AF_INET6);
    mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mnl_attr_nest_end(h, inet6);
    mnl_attr_nest_end(h, spec);
    message_ask(n, h);
}

/* A limit only makes things faster: a kernel that does not take one is no error. */
static void limit_segments(struct linux_rtnl *n, unsigned index, uint32_t segments)
{
    struct nlmsghdr *h = message_start(n, RTM_NEWLINK, 0);
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(h, sizeof *info);
    info->ifi_index = (int)index;
    mnl_attr_put_u32(h, IFLA_GSO_MAX_SEGS, segments);
    message_ask(n, h);
}

int linux_link_set(struct linux_rtnl *n, const struct linux_link *link)
{
    if (link->no_link_local)
        no_link_local(n, link->index);
    if (link->segments)
        limit_segments(n, link->index, link->segments);
    struct nlmsghdr *h = message_start(n, RTM_NEWLINK, 0);
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(h, sizeof *info);
    info->ifi_index = (int)link->index;
    if (link->up) {
        info->ifi_flags = IFF_UP;
        info->ifi_change = IFF_UP;
    }
    if (link->mtu)
        mnl_attr_put_u32(h, IFLA_MTU, link->mtu);
    if (link->queue_length)
        mnl_attr_put_u32(h, IFLA_TXQLEN, link->queue_length);
    return message_ask(n, h);
}

static int address_change(struct linux_rtnl *n, uint16_t type, uint16_t flags, unsigned index,
                          const struct ip_prefix *address)
{
    struct nlmsghdr *h = message_start(n, type, flags);
    struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof *a);
    a->ifa_family = (uint8_t)family_of(&address->ip);
    a->ifa_prefixlen = address->length;
    a->ifa_index = index;
    /* No duplicate address detection: nobody else is on a TUN, and the address is needed at once.
     */
    if (address->ip.family == 6)
        mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_NODAD);
    mnl_attr_put(h, IFA_LOCAL, size_of(&address->ip), address->ip.bytes);
    mnl_attr_put(h, IFA_ADDRESS, size_of(&address->ip), address->ip.bytes);
    return message_ask(n, h);
}

int linux_address_add(struct linux_rtnl *n, unsigned index, const struct ip_prefix *address)
{
    return address_change(n, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address);
}

int linux_address_delete(struct linux_rtnl *n, unsigned index, const struct ip_prefix *address)
{
    return address_change(n, RTM_DELADDR, 0, index, address);
}

static uint8_t kernel_type(enum linux_route_type type)
{
    return type == LINUX_ROUTE_UNREACHABLE ? RTN_UNREACHABLE
           : type == LINUX_ROUTE_LOCAL     ? RTN_LOCAL
                                           : RTN_UNICAST;
}

static int route_change(struct linux_rtnl *n, uint16_t type, uint16_t flags,
                        const struct linux_route *route)
{
    const struct ip_prefix *prefix = &route->prefix;
    struct nlmsghdr *h = message_start(n, type, flags);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);
    m->rtm_family = (uint8_t)family_of(&prefix->ip);
    m->rtm_dst_len = prefix->length;
    m->rtm_table = route->type == LINUX_ROUTE_LOCAL ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
    m->rtm_protocol = LINUX_ROUTE_OURS;
    m->rtm_type = kernel_type(route->type);
    bool link_scope = prefix->ip.family == 4 && route->type == LINUX_ROUTE_UNICAST;
    m->rtm_scope = link_scope ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    mnl_attr_put(h, RTA_DST, size_of(&prefix->ip), prefix->ip.bytes);
    if (route->index)
        mnl_attr_put_u32(h, RTA_OIF, route->index);
    if (route->source.family)
        mnl_attr_put(h, RTA_PREFSRC, size_of(&route->source), route->source.bytes);
    if (route->metric)
        mnl_attr_put_u32(h, RTA_PRIORITY, route->metric);
    return message_ask(n, h);
}

int linux_route_add(struct linux_rtnl *n, const struct linux_route *route)
{
    return route_change(n, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
}

int linux_route_delete(struct linux_rtnl *n, const struct linux_route *route)
{
    return route_change(n, RTM_DELROUTE, 0, route);
}

static bool route_read(const struct nlmsghdr *h, struct linux_route *ret)
{
    if (mnl_nlmsg_get_payload_len(h) < sizeof(struct rtmsg))
        return false;
    const struct rtmsg *m = mnl_nlmsg_get_payload(h);
    if (m->rtm_flags & RTM_F_CLONED || (m->rtm_family != AF_INET && m->rtm_family != AF_INET6))
        return false;
    *ret = (struct linux_route){
        .prefix = {.ip = {.family = m->rtm_family == AF_INET ? 4 : 6}, .length = m->rtm_dst_len},
        .type = m->rtm_type == RTN_UNICAST       ? LINUX_ROUTE_UNICAST
                : m->rtm_type == RTN_UNREACHABLE ? LINUX_ROUTE_UNREACHABLE
                : m->rtm_type == RTN_LOCAL       ? LINUX_ROUTE_LOCAL
                                                 : LINUX_ROUTE_OTHER,
        .protocol = m->rtm_protocol,
        .table = m->rtm_table,
    };
    size_t size = size_of(&ret->prefix.ip);
    const struct nlattr *attribute;
    mnl_attr_for_each(attribute, h, sizeof *m)
    {
        size_t have = mnl_attr_get_payload_len(attribute);
        switch (mnl_attr_get_type(attribute)) {
        case RTA_DST:
            if (have >= size)
                memcpy(ret->prefix.ip.bytes, mnl_attr_get_payload(attribute), size);
            break;
        case RTA_OIF:
            if (have >= 4)
                ret->index = mnl_attr_get_u32(attribute);
            break;
        case RTA_PRIORITY:
            if (have >= 4)
                ret->metric = mnl_attr_get_u32(attribute);
            break;
        case RTA_TABLE:
            if (have >= 4)
                ret->table = mnl_attr_get_u32(attribute);
            break;
        case RTA_PREFSRC:
            if (have >= size) {
                ret->source.family = ret->prefix.ip.family;
                memcpy(ret->source.bytes, mnl_attr_get_payload(attribute), size);
            }
            break;
        }
    }
    return true;
}

int linux_route_list(struct linux_rtnl *n, uint8_t family,
                     bool (*each)(void *context, const struct linux_route *route), void *context)
{
    struct nlmsghdr *h = message_start(n, RTM_GETROUTE, NLM_F_DUMP);
    struct rtmsg *m = mnl_nlmsg_put_extra_header(h, sizeof *m);
    m->rtm_family = family == 4 ? AF_INET : AF_INET6;
    if (mnl_socket_sendto(n->socket, h, h->nlmsg_len) < 0)
        return -errno;
    bool wanted = true; /* after the caller has enough, the rest is still read off the socket */
    for (;;) {
        ssize_t size = mnl_socket_recvfrom(n->socket, n->buffer, sizeof n->buffer);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return -errno;
        int left = (int)size;
        for (h = (struct nlmsghdr *)n->buffer; mnl_nlmsg_ok(h, left);
             h = mnl_nlmsg_next(h, &left)) {
            struct linux_route route;
            if (h->nlmsg_seq != n->serial)
                continue;
            if (h->nlmsg_type == NLMSG_DONE)
                return 0;
            if (h->nlmsg_type == NLMSG_ERROR) {
                keep_text(n, h);
                return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
            }
            if (h->nlmsg_type == RTM_NEWROUTE && wanted && route_read(h, &route))
                wanted = each(context, &route);
        }
    }
}

struct clash {
    const struct ip_prefix *prefix;
    unsigned own_index;
    bool found;
    struct linux_route route;
};

#define SLICE_OF_DEFAULT                                                                           \
    8 /* VPNs cover the default route by 0.0.0.0/1 and 128.0.0.0/1 and the like */

static bool clash_look(void *context, const struct linux_route *route)
{
    struct clash *c = context;
    if (route->prefix.length < SLICE_OF_DEFAULT)
        return true;
    if (route->protocol == LINUX_ROUTE_OURS && route->type == LINUX_ROUTE_UNREACHABLE)
        return true;
    if (c->own_index && route->index == c->own_index)
        return true;
    if (!ip_prefix_holds(c->prefix, &route->prefix.ip) &&
        !ip_prefix_holds(&route->prefix, &c->prefix->ip))
        return true;
    c->found = true;
    c->route = *route;
    return false;
}

int linux_route_clash(struct linux_rtnl *n, const struct ip_prefix *prefix, unsigned own_index,
                      struct linux_route *ret)
{
    struct clash c = {.prefix = prefix, .own_index = own_index};
    int r = linux_route_list(n, prefix->ip.family, clash_look, &c);
    if (r < 0)
        return r;
    if (c.found)
        *ret = c.route;
    return c.found;
}
