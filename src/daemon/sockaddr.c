#include "daemon/sockaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static void read_ipv6(const struct in6_addr *from, struct ip_address *ret)
{
    *ret = (struct ip_address){.family = IN6_IS_ADDR_V4MAPPED(from) ? 4 : 6};
    if (ret->family == 4)
        memcpy(ret->bytes, from->s6_addr + 12, 4);
    else
        memcpy(ret->bytes, from->s6_addr, 16);
}

bool daemon_sockaddr_read(const struct sockaddr *from, struct endpoint *ret)
{
    *ret = (struct endpoint){0};
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        ret->ip.family = 4;
        memcpy(ret->ip.bytes, &in->sin_addr, 4);
        ret->port = ntohs(in->sin_port);
        return true;
    }
    if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)from;
        read_ipv6(&in->sin6_addr, &ret->ip);
        ret->port = ntohs(in->sin6_port);
        ret->scope = IN6_IS_ADDR_LINKLOCAL(&in->sin6_addr) ? in->sin6_scope_id : 0;
        return true;
    }
    return false;
}

socklen_t daemon_sockaddr_write(const struct endpoint *e, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (e->ip.family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(e->port);
        memcpy(&in->sin_addr, e->ip.bytes, 4);
        return sizeof *in;
    }
    if (e->ip.family == 6) {
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)ret;
        in->sin6_family = AF_INET6;
        in->sin6_port = htons(e->port);
        in->sin6_scope_id = e->scope;
        memcpy(&in->sin6_addr, e->ip.bytes, 16);
        return sizeof *in;
    }
    return 0;
}

void daemon_sockaddr_read_local(struct msghdr *m, struct endpoint *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            ret->ip = (struct ip_address){.family = 4};
            memcpy(ret->ip.bytes, &info.ipi_addr, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            read_ipv6(&info.ipi6_addr, &ret->ip);
            ret->scope = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? info.ipi6_ifindex : 0;
        }
    }
}

static void put_control(struct msghdr *m, int level, int type, const void *info, size_t size)
{
    m->msg_controllen = CMSG_SPACE(size);
    memset(m->msg_control, 0, m->msg_controllen);
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), info, size);
}

void daemon_sockaddr_write_local(struct msghdr *m, const struct endpoint *local)
{
    if (local->ip.family == 4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, local->ip.bytes, 4);
        put_control(m, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (local->ip.family == 6) {
        struct in6_pktinfo info = {.ipi6_ifindex = local->scope};
        memcpy(&info.ipi6_addr, local->ip.bytes, 16);
        put_control(m, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    } else {
        m->msg_control = NULL;
        m->msg_controllen = 0;
    }
}
