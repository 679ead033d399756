/* The programs' side as the data path sees it: packets in, packets out, each with its struct
 * packet_offload.
 *
 * On Linux this is a TUN queue (capture/linux/tun.h); in the simulator and in tests it is a queue
 * in memory.  A data path worker holds one `struct capture` per queue.  Nothing here blocks. */
#ifndef OCALA_CAPTURE_CAPTURE_H
#define OCALA_CAPTURE_CAPTURE_H

#include "packet/packet.h"

struct capture {
    /* Reads the next packet that a program sent.  `p` is reset to full headroom; data, size and
     * offload are set. 0: there is a packet.  -EAGAIN: none now.  -EBADMSG: the packet's offload
     * contradicts its bytes; the caller counts DROP_BAD_HEADER and goes on reading.  Any other
     * negative errno: the capture is gone. */
    int (*read)(struct capture *self, struct packet *p);
    /* Hands an IP packet with its offload to the programs.  The caller keeps `p`.
     * 0: taken.  -EAGAIN: the queue is full (DROP_SOCKET_FULL).  -EINVAL: the kernel or the bounds
     * check refuses this packet (DROP_BAD_HEADER).  Any other negative errno: the capture is gone.
     */
    int (*write)(struct capture *self, const struct packet *p);
};

static inline int capture_read(struct capture *c, struct packet *p)
{
    return c->read(c, p);
}

static inline int capture_write(struct capture *c, const struct packet *p)
{
    return c->write(c, p);
}

#endif
