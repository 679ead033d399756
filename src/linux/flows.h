/* Flows of this machine's programs as the kernel knows them: connected TCP and UDP sockets, listed
 * by sock_diag(7).  Needs no privilege and sees the network namespace of the caller only. */
#ifndef OCALA_LINUX_FLOWS_H
#define OCALA_LINUX_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

struct nlmsghdr;

struct linux_flow {
    uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP */
    struct endpoint local, remote;
    /* Somebody here listens on the local port, so the other end has started it.  A server that
     * listens no more is not told from a client. */
    bool listened;
};

/* All flows whose remote address lies in `remote`, an IPv4 or IPv6 prefix; the caller frees *ret
 * (NULL when there are none).  0 or a negative errno; a kernel that cannot list one of the
 * protocols is no error. */
int linux_flows_list(const struct ip_prefix *remote, struct linux_flow **ret, unsigned *ret_count);

/* ---- for tests: one message of a listing ---- */

struct linux_socket {
    bool listening; /* else connected */
    struct linux_flow flow;
};
/* False when the message is not about a socket that listens or is connected.  IPv4 in IPv6 is
 * IPv4. */
bool linux_socket_read(const struct nlmsghdr *h, uint8_t protocol, struct linux_socket *ret);
/* Would the listener have got what came for `flow.local`? */
bool linux_socket_listens(const struct linux_socket *listener, const struct linux_flow *flow);

#endif
