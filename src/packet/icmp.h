/* ICMP errors that we send: what programs get to hear instead of silence. */
#ifndef OCALA_PACKET_ICMP_H
#define OCALA_PACKET_ICMP_H

#include <stddef.h>
#include <stdint.h>

#include "packet/ip.h"

/* name, ICMP type and code, ICMPv6 type and code */
#define ICMP_ERRORS(X)                                                                             \
    X(UNREACHABLE_NET, 3, 0, 1, 0)    /* no route                                   */             \
    X(UNREACHABLE_HOST, 3, 1, 1, 3)   /* nobody has this handle, or no path to it   */             \
    X(UNREACHABLE_PORT, 3, 3, 1, 4)   /* nobody listens                             */             \
    X(UNREACHABLE_ADMIN, 3, 13, 1, 1) /* the policy forbids                         */             \
    X(TOO_BIG, 3, 4, 2, 0)            /* larger than the path's MTU                 */             \
    X(TTL_EXPIRED, 11, 0, 3, 0)       /* in transit                                 */

enum icmp_error {
#define ICMP_ERROR_ENUM(id, type4, code4, type6, code6) ICMP_ERROR_##id,
    ICMP_ERRORS(ICMP_ERROR_ENUM)
#undef ICMP_ERROR_ENUM
        ICMP_ERROR_COUNT
};

/* Builds in `out` the error `kind` that answers the packet at `quoted`, from our address `from` to
 * the packet's source. `mtu` is what TOO_BIG tells, and ignored otherwise.  Returns its size; 0,
 * and `out` is empty, when the packet must not be answered (RFC 1812, section 4.3.2.7; RFC 4443,
 * section 2.4): it is an ICMP error itself, not a first fragment, was sent to or from what is no
 * single host, does not parse, or is of another family than `from`. How many may be sent is the
 * caller's to limit. */
size_t icmp_error(struct packet *out, enum icmp_error kind, const uint8_t *quoted, size_t size,
                  const struct ip_address *from, uint32_t mtu);

#endif
