#include "io/worker_internal.h"

#include <errno.h>
#include <unistd.h>

#include "base/check.h"
#include "capture/linux/tun.h"

/* One round: everything that waits in a ring, then one batch of each readable socket, then some
 * batches of the TUN.  What was read goes through the data path in portions that a core's cache
 * holds twice, a run or a super-packet by itself.  After each portion all outputs are pulled, so
 * that its packets are back in the pool before the next is read; the pool has to hold one batch and
 * what lanes keep for reassembly, however much waits in the kernel.
 *
 * Datagrams are collected as long as they leave by the same socket and sent together.  Bells
 * (eventfd) of other threads are rung once a round at most. */

#define TUN_BATCH   64          /* packets of a portion                     */
#define TUN_BATCHES 4           /* portions of a round                      */
#define PORTION     (64 * 1024) /* bytes                                    */
#define RING_BATCH  64
#define FEW_RUNS    8  /* to be received at once, where runs are large */
#define SHED_MAX    64 /* batches in a row of which only control is looked at */

static void count(atomic_uint_fast64_t *counter, unsigned by)
{
    uint_fast64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + by, memory_order_relaxed);
}

static struct drop_counters *drops(struct worker *w)
{
    return forward_drops(w->forward);
}

void worker_ring_bell(int event)
{
    uint64_t one = 1;
    ssize_t size = write(event, &one, sizeof one);
    (void)size; /* fails only when it is ringing already */
}

void worker_quiet_bell(int event)
{
    uint64_t rung;
    ssize_t size = read(event, &rung, sizeof rung);
    (void)size;
}

int worker_events(struct worker *w, struct epoll_event *events)
{
    int got = epoll_wait(w->epoll, events, WORKER_EVENTS, 0);
    return got < 0 ? 0 : got;
}

static void put_punt(struct worker *w, const struct parcel *parcel, const void *bytes)
{
    if (parcel_put(w->punts, parcel, bytes))
        w->rang_control = true;
    else
        drop_count(drops(w), DROP_RING_FULL);
}

static void report_oversized(struct worker *w, uint16_t socket, const struct udp_oversized *o)
{
    struct parcel parcel = {.kind = PARCEL_OVERSIZED, .has_packet = true, .size = o->size};
    parcel.out.socket = socket;
    parcel.out.remote = o->remote;
    put_punt(w, &parcel, o->bytes);
}

/* The socket that an output leaves by. */
static int out_fd(const struct worker *w, const struct forward_out *out)
{
    int fd = -1;
    if (out->own_port && out->socket < WORKER_SOCKETS_MAX)
        fd = atomic_load_explicit(&w->lane_socket[out->socket], memory_order_acquire);
    return fd < 0 ? worker_socket(w, out->socket) : fd;
}

static void send_pending(struct worker *w)
{
    if (!w->pending_count)
        return;
    uint16_t socket = w->pending[0].socket;
    int fd = w->pending_fd;
    struct udp_result result;
    if (fd >= 0) {
        bool may = atomic_load_explicit(&w->trains[socket], memory_order_relaxed), trains = may;
        udp_send(fd, &trains, w->pending, w->pending_count, &result, drops(w));
        if (trains != may)
            atomic_store_explicit(&w->trains[socket], false, memory_order_relaxed);
        count(&w->underlay_out, result.sent);
        for (unsigned i = 0; i < result.oversized_count; i++)
            report_oversized(w, socket, &result.oversized[i]);
    }
    for (unsigned i = 0; i < w->pending_count; i++) {
        if (fd < 0)
            drop_count(drops(w), DROP_SEND_FAILED);
        packet_give_back(w->pending[i].packet);
    }
    w->pending_count = 0;
}

static void add_pending(struct worker *w, const struct forward_out *out)
{
    int fd = out_fd(w, out);
    if (w->pending_count == UDP_BATCH || (w->pending_count && w->pending_fd != fd))
        send_pending(w);
    w->pending_fd = fd;
    w->pending[w->pending_count++] = *out;
}

static void write_capture(struct worker *w, struct packet *p)
{
    int error = w->settings.tun < 0 ? -EBADF : tun_write(w->settings.tun, p);
    if (!error)
        count(&w->capture_out, 1);
    else
        drop_count(drops(w), error == -EAGAIN   ? DROP_SOCKET_FULL
                             : error == -EINVAL ? DROP_BAD_HEADER
                                                : DROP_SEND_FAILED);
    packet_give_back(p);
}

/* Strangers can send as many of these as they like: they get half of the ring, so that what known
 * peers and programs need to have decided still finds room. */
static bool from_strangers(enum forward_punt punt)
{
    return punt == PUNT_HANDSHAKE || punt == PUNT_MODULE || punt == PUNT_UNKNOWN_LABEL;
}

static bool room_for_punt(const struct worker *w, enum forward_punt punt)
{
    return !from_strangers(punt) || parcel_used(w->punts) < w->punt_slots / 2;
}

static void put_out(struct worker *w, const struct forward_out *out, enum parcel_kind kind)
{
    struct parcel parcel = {.kind = kind, .out = *out};
    struct packet *p = out->packet;
    if (p) {
        parcel.has_packet = true;
        parcel.run = p->run;
        parcel.offload = p->offload;
        parcel.arrival = p->arrival;
        parcel.size = p->size;
    }
    if (kind == PARCEL_PUNT && room_for_punt(w, out->punt)) {
        put_punt(w, &parcel, p ? p->data : NULL);
    } else if (kind == PARCEL_PUNT) {
        drop_count(drops(w), DROP_RING_FULL);
    } else if (expect(out->worker < FORWARD_WORKERS_MAX && w->to[out->worker]) &&
               parcel_put(w->to[out->worker], &parcel, p->data)) {
        w->rang_peers |= 1u << out->worker;
    } else {
        drop_count(drops(w), DROP_RING_FULL);
    }
    packet_give_back(p);
}

static void pull_outputs(struct worker *w)
{
    struct forward_out out;
    while (forward_output(w->forward, &out)) {
        switch (out.kind) {
        case FORWARD_SEND:
            add_pending(w, &out);
            break;
        case FORWARD_CAPTURE:
            write_capture(w, out.packet);
            break;
        case FORWARD_PUNT:
            put_out(w, &out, PARCEL_PUNT);
            break;
        case FORWARD_HANDOVER:
            put_out(w, &out, out.from_capture ? PARCEL_CAPTURED : PARCEL_RECORD);
            break;
        }
    }
    send_pending(w);
}

static bool drain_ring(struct worker *w, instant now, struct parcel_ring *ring)
{
    unsigned done = 0;
    size_t bytes = 0;
    for (; done < RING_BATCH; done++) {
        const uint8_t *from;
        const struct parcel *parcel = parcel_peek(ring, &from);
        if (!parcel)
            break;
        if (bytes + parcel->size > PORTION) {
            pull_outputs(w);
            bytes = 0;
        }
        bytes += parcel->size;
        struct packet *p = packet_take(w->pool);
        if (p && packet_fill(p, from, parcel->size)) {
            p->run = parcel->run;
            p->offload = parcel->offload;
            p->arrival = parcel->arrival;
            forward_handed_over(w->forward, now, p, parcel->kind == PARCEL_CAPTURED);
        } else {
            drop_count(drops(w), DROP_NO_BUFFER);
            packet_give_back(p);
        }
        parcel_release(ring);
    }
    pull_outputs(w);
    return done > 0;
}

static bool drain_rings(struct worker *w, instant now)
{
    bool found = drain_ring(w, now, w->injected);
    for (unsigned i = 0; i < FORWARD_WORKERS_MAX; i++) {
        if (w->from[i])
            found |= drain_ring(w, now, w->from[i]);
    }
    return found;
}

/* Gives what was received to the data path in portions. */
static void process_received(struct worker *w, instant now, struct packet **batch, unsigned got)
{
    for (unsigned first = 0, next = 0; first < got; first = next) {
        size_t bytes = 0;
        do
            bytes += batch[next++]->size;
        while (next < got && bytes + batch[next]->size <= PORTION);
        forward_underlay(w->forward, now, batch + first, next - first);
        pull_outputs(w);
    }
}

static void note_received(struct worker *w, struct packet **batch, unsigned got)
{
    unsigned datagrams = 0;
    size_t bytes = 0;
    for (unsigned i = 0; i < got; i++) {
        datagrams += packet_count(batch[i]);
        bytes += batch[i]->size;
    }
    w->wanted = bytes / got > PORTION / 4 ? FEW_RUNS : UDP_BATCH;
    count(&w->underlay_in, datagrams);
}

/* More has arrived than can be carried, and soon the kernel would drop what comes, control or not.
 * Reading costs much less than carrying, so data is read and dropped until there is room again. */
static void shed(struct worker *w, instant now, uint16_t socket, int fd)
{
    struct packet *batch[UDP_BATCH];
    for (unsigned i = 0; i < SHED_MAX && udp_backlog(fd); i++) {
        unsigned got = udp_receive(fd, socket, w->pool, batch, w->wanted, drops(w));
        if (!got)
            return;
        note_received(w, batch, got);
        forward_shed(w->forward, now, batch, got);
        pull_outputs(w);
    }
}

static bool receive_socket(struct worker *w, instant now, uint16_t socket, int fd)
{
    struct packet *batch[UDP_BATCH];
    unsigned wanted = w->wanted;
    if (fd < 0)
        return false;
    unsigned got = udp_receive(fd, socket, w->pool, batch, wanted, drops(w));
    if (!got)
        return false;
    note_received(w, batch, got);
    process_received(w, now, batch, got);
    if (got == wanted)
        shed(w, now, socket, fd);
    return true;
}

static bool receive_event(struct worker *w, instant now, uint32_t source)
{
    uint16_t socket = (uint16_t)source;
    if (socket >= WORKER_SOCKETS_MAX)
        return false;
    const _Atomic int *place =
        source & WORKER_EVENT_LANE ? &w->lane_socket[socket] : &w->socket[socket];
    return receive_socket(w, now, socket, atomic_load_explicit(place, memory_order_acquire));
}

static void tun_lost(struct worker *w, int error)
{
    struct parcel parcel = {.kind = PARCEL_GONE, .number = error};
    w->tun_gone = true;
    epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->settings.tun, NULL);
    put_punt(w, &parcel, NULL);
}

/* Reads the next portion.  False: there is no more. */
static bool read_portion(struct worker *w, struct packet **batch, unsigned *ret_got)
{
    size_t bytes = 0;
    unsigned got = 0, seen = 0;
    bool more = true;
    for (; more && seen < TUN_BATCH && bytes < PORTION / 2; seen++) {
        struct packet *p = packet_take(w->pool);
        if (!p)
            break;
        int error = tun_read(w->settings.tun, p);
        if (!error) {
            batch[got++] = p;
            bytes += p->size;
            continue;
        }
        packet_give_back(p);
        more = error == -EBADMSG;
        if (more)
            drop_count(drops(w), DROP_BAD_HEADER);
        else if (error != -EAGAIN && error != -EINTR)
            tun_lost(w, error);
    }
    *ret_got = got;
    return more;
}

static bool read_capture(struct worker *w, instant now)
{
    struct packet *batch[TUN_BATCH];
    bool more = true, found = false;
    for (unsigned i = 0; i < TUN_BATCHES && more && !w->tun_gone; i++) {
        unsigned got;
        more = read_portion(w, batch, &got);
        found |= more || got;
        count(&w->capture_in, got);
        if (got)
            forward_capture(w->forward, now, batch, got);
        pull_outputs(w);
    }
    return found;
}

static bool rings_waiting(const struct worker *w)
{
    bool waiting = parcel_used(w->injected) > 0;
    for (unsigned i = 0; i < FORWARD_WORKERS_MAX && !waiting; i++)
        waiting = w->from[i] && parcel_used(w->from[i]) > 0;
    return waiting;
}

static void ring_bells(struct worker *w)
{
    if (rings_waiting(w)) /* more than one batch: the bell was quieted for all of it */
        worker_ring_bell(w->wake);
    if (w->rang_control && w->threaded)
        worker_ring_bell(w->punt_event);
    w->rang_control = false;
    for (unsigned i = 0; w->rang_peers; i++, w->rang_peers >>= 1) {
        if (w->rang_peers & 1)
            worker_ring_bell(w->peer[i]->wake);
    }
}

bool worker_round(struct worker *w, instant now, const struct epoll_event *events, int events_count)
{
    bool found = false, tun = false;
    for (int i = 0; i < events_count; i++) {
        if (events[i].data.u32 == WORKER_EVENT_WAKE)
            worker_quiet_bell(w->wake);
    }
    if (forward_deadline(w->forward) <= now) {
        forward_advance(w->forward, now);
        pull_outputs(w);
    }
    found |= drain_rings(w, now);
    for (int i = 0; i < events_count; i++) {
        uint32_t source = events[i].data.u32;
        if (source == WORKER_EVENT_TUN)
            tun = true;
        else if (source != WORKER_EVENT_WAKE)
            found |= receive_event(w, now, source);
    }
    if (tun)
        found |= read_capture(w, now);
    ring_bells(w);
    count(&w->rounds, 1);
    if (found)
        count(&w->busy, 1);
    return found;
}
