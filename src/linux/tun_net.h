/* A TUN's place in the network: addresses, routes of the handle pools, link up.  Used by the helper
 * for the machine, and by the child of `ocala run` inside its own network namespace. */
#ifndef OCALA_LINUX_TUN_NET_H
#define OCALA_LINUX_TUN_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "linux/rtnl.h"

struct linux_tun_net {
    const char *name;
    unsigned index;
    uint32_t mtu;
    struct ip_address address4;
    struct ip_prefix pool4;
    struct ip_address address6; /* family 0: no IPv6 */
    struct ip_prefix pool6;
};

#define LINUX_PREFIX_TEXT (ADDRESS_TEXT + 4)
const char *linux_prefix_format(const struct ip_prefix *p, char out[LINUX_PREFIX_TEXT]);

/* Puts "cannot <what> <on>: <reason>: <the kernel's words>" into `err`; returns `error`. */
int linux_rtnl_error(const struct linux_rtnl *n, int error, const char *what, const char *on,
                     char *err, size_t size);

/* Raises the TUN with its addresses (/32 and /128, so that no broadcast address takes a handle
 * away) and routes both pools to it. *ret_v6 is false where IPv6 is switched off. */
int linux_tun_net_raise(struct linux_rtnl *n, const struct linux_tun_net *t, bool *ret_v6,
                        char *err, size_t size);

#endif
