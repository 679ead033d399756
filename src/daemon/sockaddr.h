/* Between the kernel's socket addresses and ours. */
#ifndef OCALA_DAEMON_SOCKADDR_H
#define OCALA_DAEMON_SOCKADDR_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/address.h"

/* False when it is neither IPv4 nor IPv6.  An IPv4-mapped address becomes IPv4. */
bool daemon_sockaddr_read(const struct sockaddr *from, struct endpoint *ret);
/* Returns the size used; 0 for an endpoint without family. */
socklen_t daemon_sockaddr_write(const struct endpoint *e, struct sockaddr_storage *ret);

/* The address that a datagram was sent to, from its control messages (IP_PKTINFO); `ret` stays as
 * it is without one. */
void daemon_sockaddr_read_local(struct msghdr *m, struct endpoint *ret);
/* Makes a datagram leave from `local`: fills m->msg_control (room for 64 bytes), or empties it. */
void daemon_sockaddr_write_local(struct msghdr *m, const struct endpoint *local);

#endif
