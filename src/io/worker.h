/* A worker: the data path with its sockets.  forward.c decides, this moves the bytes.
 *
 * A worker owns a `struct forward`, a packet pool, a queue of the TUN device and one UDP socket for
 * each socket index.  It runs in one of two ways, with the same code in both:
 *
 *   inside the control loop  watch worker_fd() for reading, then worker_poll(), then drain
 *                            worker_punt_next()
 *   in a thread of its own   worker_start_thread(); watch worker_punt_fd() for reading, then drain
 *                            worker_punt_next()
 *
 * What the worker cannot decide goes to the control thread through a ring (punts), a packet of
 * another worker's lane through a ring to that worker; both are bounded, and what does not fit is
 * counted as RING_FULL.  The control thread sends datagrams and writes to the capture directly: the
 * kernel takes them from any thread, and control's own stay in order.
 *
 * All functions below belong to the control thread. */
#ifndef OCALA_IO_WORKER_H
#define OCALA_IO_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/epoch.h"
#include "base/instant.h"
#include "packet/drop.h"
#include "packet/packet.h"
#include "path/forward.h"

#define WORKER_SOCKETS_MAX 256

struct worker_settings {
    struct forward_settings forward; /* .worker is also the reader number in `epoch` */
    struct epoch *epoch;
    struct fwd_tables *tables;
    int tun;             /* queue of the TUN (capture/linux/tun.h), taken over; -1: no capture */
    unsigned packets;    /* buffers of the pool; 0: the default                                 */
    unsigned punts;      /* slots of each ring; 0: the default                                  */
    void (*begin)(void); /* first thing that its thread does; may be NULL                    */
};

struct worker;
/* NULL with errno set when the kernel refuses an fd; `tun` stays the caller's then. */
struct worker *worker_new(const struct worker_settings *s);
/* Ends the thread, if any: the worker touches nothing that is published from here on.  Stop all
 * workers before the first is freed. */
void worker_stop(struct worker *w);
void worker_free(struct worker *w); /* closes its fds; accepts NULL */
/* Lets workers hand packets to each other; all[i] is worker i.  Once, before the first poll. */
void worker_join(struct worker *const *all, unsigned count);

/* A flow that stood before this process started; before the worker runs. */
void worker_flow_known(struct worker *w, instant now, const struct forward_flow *flow);

/* The worker reads from, and sends with, `fd` (taken over always) for this socket index.  The one
 * that was there before is closed.  Any time, also while the thread runs.  0 or a negative errno.
 */
int worker_socket_set(struct worker *w, uint16_t socket, int fd);
void worker_socket_clear(struct worker *w, uint16_t socket);
int worker_socket(const struct worker *w, uint16_t socket); /* its fd; -1: none */
/* The same for the port that this worker's lanes but lane 1 leave by, where recipes allow that
 * (forward_out.own_port). */
int worker_lane_socket_set(struct worker *w, uint16_t socket, int fd);

/* ---- inside the control loop ---- */

int worker_fd(const struct worker *w); /* readable when worker_poll() has something to do */
/* At most `budget` rounds, each at most one batch from every source.  True: there is more, and
 * worker_fd() stays readable. */
bool worker_poll(struct worker *w, instant now, unsigned budget);
/* When worker_poll() is needed even if nothing arrives (tunnels with a transform). */
instant worker_deadline(const struct worker *w);

/* ---- in a thread of its own ---- */

/* 0 or a negative errno.  All signals are blocked in the thread; worker_stop() ends it. */
int worker_start_thread(struct worker *w);
int worker_punt_fd(const struct worker *w); /* readable when worker_punt_next() has something */

/* ---- what control exchanges with it ---- */

enum worker_punt_kind {
    WORKER_PUNT, /* `out`, of kind FORWARD_PUNT                                     */
    WORKER_OVERSIZED, /* a datagram was too large for the interface: socket, remote and packet of `out` */
    WORKER_GONE, /* the TUN answered with `error`: it is not read any more           */
};

struct worker_punt {
    enum worker_punt_kind kind;
    /* As forward_output() gave it.  Its packet is a copy with full headroom that stays the worker's
     * and is valid until the next call; it may be changed in place. */
    struct forward_out out;
    int error; /* negative errno */
};

/* The oldest punt, or false.  worker_punt_fd() is quiet again after false. */
bool worker_punt_next(struct worker *w, struct worker_punt *ret);

/* A packet that was punted (PUNT_NEED_PATH, PUNT_NEED_KEY) is judged again: an IP packet as it was
 * captured (`offload`; NULL: none), or a record as it came (`arrival`).  False: the ring is full,
 * counted; the bytes stay the caller's always. */
bool worker_inject_captured(struct worker *w, const void *bytes, size_t size,
                            const struct packet_offload *offload);
bool worker_inject_record(struct worker *w, const void *bytes, size_t size,
                          const struct arrival *arrival);

/* Sends one datagram now.  0 or a negative errno: -ENOTCONN without such a socket, -EMSGSIZE,
 * -EAGAIN... */
int worker_send(struct worker *w, uint16_t socket, const struct endpoint *local,
                const struct endpoint *remote, uint8_t tos, const void *bytes, size_t size);
/* Writes an IP packet to the programs now.  0 or a negative errno.  `offload` NULL: none. */
int worker_capture_write(struct worker *w, const void *bytes, size_t size,
                         const struct packet_offload *offload);

/* ---- figures, read at any time (relaxed) ---- */

void worker_drops(const struct worker *w, struct drop_counters *sum); /* adds to `sum` */
struct worker_load {
    uint64_t underlay_in, underlay_out, capture_in, capture_out; /* packets */
    uint64_t rounds, busy; /* times it looked; times it found something  */
};
void worker_load(const struct worker *w, struct worker_load *ret);

#endif
