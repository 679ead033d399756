/* What worker.c (life and control's side) and worker_round.c (the moving of packets) share. */
#ifndef OCALA_IO_WORKER_INTERNAL_H
#define OCALA_IO_WORKER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#include "io/parcel.h"
#include "io/udp.h"
#include "io/worker.h"

/* What a parcel to the control thread, to a worker, means. */
enum parcel_kind {
    PARCEL_PUNT,
    PARCEL_OVERSIZED,
    PARCEL_GONE,
    PARCEL_CAPTURED,
    PARCEL_RECORD,
};

/* epoll's data: a socket index, or one of these. */
#define WORKER_EVENT_TUN  0x10000u
#define WORKER_EVENT_WAKE 0x10001u
#define WORKER_EVENT_LANE 0x20000u /* and a socket index: the one of the lanes */
#define WORKER_EVENTS     32       /* taken from epoll at once */

struct worker {
    struct worker_settings settings;
    unsigned index;
    struct forward *forward;
    struct packet_pool *pool;
    int epoll;
    int wake;       /* eventfd: there is something in a ring to this worker, or it shall stop  */
    int punt_event; /* eventfd: there is something in `punts`; rung only by a thread of its own */
    _Atomic int socket[WORKER_SOCKETS_MAX];
    _Atomic int lane_socket[WORKER_SOCKETS_MAX]; /* -1: none */
    atomic_bool trains[WORKER_SOCKETS_MAX];      /* datagrams may be given to the kernel together */
    struct parcel_ring *punts, *injected;
    unsigned punt_slots;
    /* To this worker, and from it, by the other one's number; NULL for itself. */
    struct parcel_ring *from[FORWARD_WORKERS_MAX], *to[FORWARD_WORKERS_MAX];
    struct worker *peer[FORWARD_WORKERS_MAX];

    /* The worker's own. */
    struct forward_out pending[UDP_BATCH]; /* to be sent, all for one socket */
    unsigned pending_count;
    int pending_fd;
    unsigned wanted; /* datagrams or runs to be received at once */
    bool tun_gone, rang_control;
    uint32_t rang_peers; /* bit n: worker n has something new */
    atomic_uint_fast64_t underlay_in, underlay_out, capture_in, capture_out, rounds, busy;

    /* The control thread's. */
    struct packet_pool *control_pool;
    struct packet *punted; /* what worker_punt_next() lent */
    struct drop_counters control_drops;
    pthread_t thread;
    bool threaded;
    atomic_bool stopping;
};

/* One batch from every ring and from every source in `events`.  True: something was found. */
bool worker_round(struct worker *w, instant now, const struct epoll_event *events, int count);
/* Takes what epoll has at the moment, without waiting. */
int worker_events(struct worker *w, struct epoll_event *events);
void worker_ring_bell(int event);
void worker_quiet_bell(int event);

#endif
