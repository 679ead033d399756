/* The kernel is given a little program (INET_DIAG_REQ_BYTECODE) that compares the remote address,
 * so that a busy server's other connections are not copied out one by one; what comes is checked
 * all the same.  Three listings for each protocol: a program that talks IPv4 through an IPv6 socket
 * is listed with the IPv6 ones.
 *
 * Who started a flow the kernel does not say.  Who listens on a port does not connect from it, as a
 * rule, so a flow from a port without a listener was started here. */
#include "linux/flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BUFFER_SIZE 32768
#define ANY_PORT    (-1)

_Static_assert(sizeof(struct inet_diag_bc_op) == 4 && sizeof(struct inet_diag_hostcond) == 8,
               "an instruction, its operand and an address follow each other without holes");

#define STATE(s) (UINT32_C(1) << (s))
/* A half-open one belongs to its listener; UDP knows ESTABLISHED and CLOSE only. */
#define CONNECTED                                                                                  \
    (STATE(TCP_ESTABLISHED) | STATE(TCP_SYN_SENT) | STATE(TCP_FIN_WAIT1) | STATE(TCP_FIN_WAIT2) |  \
     STATE(TCP_TIME_WAIT) | STATE(TCP_CLOSE_WAIT) | STATE(TCP_LAST_ACK) | STATE(TCP_CLOSING))

struct listing {
    struct mnl_socket *socket;
    uint32_t serial;
    const struct ip_prefix *remote;
    struct linux_flow *flows;
    unsigned flow_count, flow_room;
    struct linux_socket *listeners;
    unsigned listener_count, listener_room;
    uint8_t buffer[BUFFER_SIZE];
};

/* ---- one message ---- */

static struct endpoint read_end(uint8_t family, const uint32_t words[4], uint16_t port)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF};
    struct endpoint e = {.port = ntohs(port)};
    bool v4_in_v6 = family == AF_INET6 && !memcmp(words, mapped, sizeof mapped);
    e.ip.family = family == AF_INET || v4_in_v6 ? 4 : 6;
    memcpy(e.ip.bytes, v4_in_v6 ? words + 3 : words, e.ip.family == 4 ? 4 : 16);
    return e;
}

static uint32_t listening_states(uint8_t protocol)
{
    return protocol == IPPROTO_TCP ? STATE(TCP_LISTEN) : STATE(TCP_CLOSE);
}

bool linux_socket_read(const struct nlmsghdr *h, uint8_t protocol, struct linux_socket *ret)
{
    struct inet_diag_msg m;
    if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || h->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof m)
        return false;
    memcpy(&m, mnl_nlmsg_get_payload(h), sizeof m);
    if ((m.idiag_family != AF_INET && m.idiag_family != AF_INET6) || m.idiag_state >= 32)
        return false;
    bool listening = STATE(m.idiag_state) & listening_states(protocol);
    if (!listening && !(STATE(m.idiag_state) & CONNECTED))
        return false;
    *ret = (struct linux_socket){
        .listening = listening,
        .flow = {.protocol = protocol,
                 .local = read_end(m.idiag_family, m.id.idiag_src, m.id.idiag_sport),
                 .remote = read_end(m.idiag_family, m.id.idiag_dst, m.id.idiag_dport)}};
    return true;
}

bool linux_socket_listens(const struct linux_socket *listener, const struct linux_flow *flow)
{
    const struct endpoint *at = &listener->flow.local;
    if (listener->flow.protocol != flow->protocol || at->port != flow->local.port)
        return false;
    /* Listening on all of IPv6 means IPv4 too, unless the program asked for IPv6 alone, which is
     * rare and does not matter here. */
    if (ip_address_is_wildcard(&at->ip))
        return at->ip.family == 6 || flow->local.ip.family == 4;
    return ip_address_equal(&at->ip, &flow->local.ip);
}

/* ---- listings ---- */

static void keep(struct listing *l, const struct linux_socket *s)
{
    if (s->listening) {
        if (l->listener_count == l->listener_room) {
            l->listener_room = l->listener_room ? 2 * l->listener_room : 64;
            l->listeners = base_realloc(l->listeners, l->listener_room * sizeof *l->listeners);
        }
        l->listeners[l->listener_count++] = *s;
        return;
    }
    if (!ip_prefix_holds(l->remote, &s->flow.remote.ip))
        return;
    if (l->flow_count == l->flow_room) {
        l->flow_room = l->flow_room ? 2 * l->flow_room : 64;
        l->flows = base_realloc(l->flows, l->flow_room * sizeof *l->flows);
    }
    l->flows[l->flow_count++] = s->flow;
}

/* "Is the remote address in the prefix?"  Yes goes on behind the end, which accepts; no jumps
 * further behind, which refuses. */
static void put_filter(struct nlmsghdr *h, const struct ip_prefix *remote)
{
    uint32_t program[8] = {0}; /* the kernel wants it aligned */
    size_t size = sizeof(struct inet_diag_bc_op) + sizeof(struct inet_diag_hostcond);
    size_t address = remote->ip.family == 4 ? 4 : 16;
    struct inet_diag_hostcond condition = {.family = remote->ip.family == 4 ? AF_INET : AF_INET6,
                                           .prefix_len = remote->length,
                                           .port = ANY_PORT};
    struct inet_diag_bc_op op = {.code = INET_DIAG_BC_D_COND,
                                 .yes = (unsigned char)(size + address),
                                 .no = (unsigned short)(size + address + sizeof op)};
    memcpy(program, &op, sizeof op);
    memcpy(program + 1, &condition, sizeof condition);
    memcpy(program + size / sizeof *program, remote->ip.bytes, address);
    mnl_attr_put(h, INET_DIAG_REQ_BYTECODE, size + address, program);
}

/* What one datagram of the answer holds.  1: there is more to come; 0: that was all, or an error.
 */
static int take(struct listing *l, size_t size, uint8_t protocol)
{
    int left = (int)size;
    for (struct nlmsghdr *h = (struct nlmsghdr *)l->buffer; mnl_nlmsg_ok(h, left);
         h = mnl_nlmsg_next(h, &left)) {
        struct linux_socket s;
        if (h->nlmsg_seq != l->serial)
            continue;
        if (h->nlmsg_type == NLMSG_DONE)
            return 0;
        if (h->nlmsg_type == NLMSG_ERROR)
            return mnl_nlmsg_get_payload_len(h) < sizeof(struct nlmsgerr)
                       ? -EPROTO
                       : ((const struct nlmsgerr *)mnl_nlmsg_get_payload(h))->error;
        if (linux_socket_read(h, protocol, &s))
            keep(l, &s);
    }
    return 1;
}

static int list(struct listing *l, uint8_t protocol, int family, uint32_t states, bool filtered)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(l->buffer);
    h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    h->nlmsg_seq = ++l->serial;
    struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(h, sizeof *request);
    request->sdiag_family = (uint8_t)family;
    request->sdiag_protocol = protocol;
    request->idiag_states = states;
    if (filtered)
        put_filter(h, l->remote);
    if (mnl_socket_sendto(l->socket, h, h->nlmsg_len) < 0)
        return -errno;
    int more = 1;
    while (more > 0) {
        ssize_t size = mnl_socket_recvfrom(l->socket, l->buffer, sizeof l->buffer);
        if (size < 0 && errno == EINTR)
            continue;
        more = size < 0 ? -errno : take(l, (size_t)size, protocol);
    }
    return more == -ENOENT || more == -EPROTONOSUPPORT ? 0 : more;
}

static int list_protocol(struct listing *l, uint8_t protocol)
{
    bool v4 = l->remote->ip.family == 4;
    unsigned before = l->flow_count;
    int error = v4 ? list(l, protocol, AF_INET, CONNECTED, true) : 0;
    if (!error)
        error = list(l, protocol, AF_INET6, CONNECTED, true);
    if (error || l->flow_count == before)
        return error;
    error = list(l, protocol, AF_INET, listening_states(protocol), false);
    return error ? error : list(l, protocol, AF_INET6, listening_states(protocol), false);
}

int linux_flows_list(const struct ip_prefix *remote, struct linux_flow **ret, unsigned *ret_count)
{
    struct mnl_socket *socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    if (!socket)
        return -errno;
    struct listing *l = base_calloc(1, sizeof *l);
    l->socket = socket;
    l->remote = remote;
    int error = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
    if (!error)
        error = list_protocol(l, IPPROTO_TCP);
    if (!error)
        error = list_protocol(l, IPPROTO_UDP);
    for (unsigned i = 0; i < l->flow_count; i++)
        for (unsigned k = 0; k < l->listener_count && !l->flows[i].listened; k++)
            l->flows[i].listened = linux_socket_listens(&l->listeners[k], &l->flows[i]);
    if (error) {
        free(l->flows);
    } else {
        *ret = l->flows;
        *ret_count = l->flow_count;
    }
    free(l->listeners);
    free(l);
    mnl_socket_close(socket);
    return error;
}
