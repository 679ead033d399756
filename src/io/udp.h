/* UDP sockets of the underlay: opening them as the data path needs them, and moving batches of
 * packets through them.
 *
 * A socket always tells the local address and the ECN bits of what arrives, and never lets the
 * kernel fragment or learn a path MTU (IP_PMTUDISC_PROBE): a datagram that does not fit its
 * interface fails with EMSGSIZE, and a forged "fragmentation needed" moves nothing.  ICMP errors
 * that the kernel queues on the socket are ignored. */
#ifndef OCALA_IO_UDP_H
#define OCALA_IO_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "packet/drop.h"
#include "packet/packet.h"
#include "path/forward.h"

#define UDP_BATCH  64                /* most packets of one receive or send */
#define UDP_BUFFER (8 * 1024 * 1024) /* wanted size of the kernel's socket buffers */

/* Opens a bound, non-blocking, close-on-exec socket.  `local`: "[::]" gives a dual-stack socket
 * (falls back to 0.0.0.0 where the machine has no IPv6); port 0 lets the kernel choose.
 * `reuse_port`: one of several sockets on this port, one for each worker (the first one of a group
 * must set it too).  Returns the fd or a negative errno (-EADDRINUSE: the port is taken). */
int udp_open(const struct endpoint *local, bool reuse_port);
/* The same settings for a bound socket that somebody else opened.  0 or a negative errno; the fd
 * stays the caller's. */
int udp_adopt(int fd);
/* Of `sockets` sockets that share a port, in the order in which they were opened: records go to the
 * one of their lane's worker, anything else to the first.  `fd` is any of them.  A kernel that does
 * not agree spreads by address. */
void udp_steer(int fd, unsigned sockets);
/* Where the socket is bound; false when it is not a UDP socket. */
bool udp_local(int fd, struct endpoint *ret);

/* Receives at most `max` (<= UDP_BATCH) datagrams, or runs of them, into packets taken from `pool`;
 * arrival is filled (IPv4-mapped addresses as IPv4).  Returns how many are in `batch`, 0 when there
 * is nothing. Without a free packet one datagram is read, and dropped as NO_BUFFER: what stays in
 * the queue would be older than what follows. */
unsigned udp_receive(int fd, uint16_t socket, struct packet_pool *pool, struct packet **batch,
                     unsigned max, struct drop_counters *drops);

/* Is the kernel's queue of received datagrams nearly full? */
bool udp_backlog(int fd);

/* Datagrams that were larger than the interface they should leave by: the caller lowers an MTU, and
 * sends again what is in them or counts them as OVERSIZED. */
#define UDP_OVERSIZED_MAX 128
struct udp_oversized {
    struct endpoint remote;
    const uint8_t *bytes; /* in a packet of the batch */
    size_t size;
};
struct udp_result {
    unsigned sent; /* datagrams */
    unsigned oversized_count;
    struct udp_oversized oversized[UDP_OVERSIZED_MAX];
};

/* Does this kernel cut up what it is given in one piece? */
bool udp_can_segment(int fd);

/* Sends `count` (<= UDP_BATCH) outputs of kind FORWARD_SEND, all for this socket, in order.  Their
 * packets, which may be runs, stay the caller's.  *trains: whether datagrams may be given to the
 * kernel together; becomes false when it refuses that.  What the kernel did not take is counted for
 * each datagram (SOCKET_FULL, SEND_FAILED, OVERSIZED when it is not in the result); nothing is sent twice. */
void udp_send(int fd, bool *trains, const struct forward_out *batch, unsigned count,
              struct udp_result *ret, struct drop_counters *drops);
/* One datagram, at once.  0, or a negative errno: -EMSGSIZE, -EAGAIN (queue full), others. */
int udp_send_one(int fd, const struct endpoint *local, const struct endpoint *remote, uint8_t tos,
                 const void *bytes, size_t size);

#endif
