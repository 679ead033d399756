/* What udp.c (opening, receiving) and udp_send.c share: addresses and control messages as the
 * kernel has them. */
#ifndef OCALA_IO_UDP_INTERNAL_H
#define OCALA_IO_UDP_INTERNAL_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/address.h"

/* linux/udp.h; the C library of older systems lacks them. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define CONTROL_SIZE                                                                               \
    (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo)) +              \
     3 * CMSG_SPACE(sizeof(int)))

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

union control {
    struct cmsghdr header; /* for its alignment */
    uint8_t bytes[CONTROL_SIZE];
};

socklen_t udp_address_write(const struct endpoint *e, union address *ret);

#endif
