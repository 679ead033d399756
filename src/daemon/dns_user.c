/* Asks the kernel's socket diagnosis (sock_diag(7)) for the socket with these two ends, seen from
 * the program: its source is our client.  One exact question, answered at once; no list is read. */
#include "daemon/dns_user.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "path/handle.h"

static void fill(const struct endpoint *e, uint32_t address[4], uint16_t *port)
{
    memcpy(address, e->ip.bytes, e->ip.family == 4 ? 4 : 16);
    *port = htons(e->port);
}

static bool ask(int fd, bool tcp, const struct endpoint *remote, const struct endpoint *local)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } m = {.header = {.nlmsg_len = sizeof m,
                      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                      .nlmsg_flags = NLM_F_REQUEST},
           .request = {.sdiag_family = remote->ip.family == 4 ? AF_INET : AF_INET6,
                       .sdiag_protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP,
                       .idiag_states = UINT32_MAX,
                       .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}};
    struct inet_diag_sockid *id = &m.request.id;
    /* For UDP the kernel takes the question as a packet from source to destination and finds who
     * would receive it. */
    fill(tcp ? remote : local, id->idiag_src, &id->idiag_sport);
    fill(tcp ? local : remote, id->idiag_dst, &id->idiag_dport);
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    return sendto(fd, &m, sizeof m, 0, (struct sockaddr *)&kernel, sizeof kernel) == sizeof m;
}

static uint32_t answer(int fd, const struct endpoint *remote)
{
    union {
        struct nlmsghdr header;
        char bytes[4096];
    } buffer;
    ssize_t n = recv(fd, &buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct inet_diag_msg)) ||
        buffer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return HANDLE_NO_USER;
    struct inet_diag_msg found;
    memcpy(&found, NLMSG_DATA(&buffer.header), sizeof found);
    return found.id.idiag_sport == htons(remote->port) ? found.idiag_uid : HANDLE_NO_USER;
}

uint32_t daemon_dns_user(bool tcp, const struct endpoint *remote, const struct endpoint *local)
{
    if (remote->ip.family != local->ip.family)
        return HANDLE_NO_USER;
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return HANDLE_NO_USER;
    uint32_t user = ask(fd, tcp, remote, local) ? answer(fd, remote) : HANDLE_NO_USER;
    close(fd);
    return user;
}
