#include "io/worker.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "capture/linux/tun.h"
#include "io/clock.h"
#include "io/worker_internal.h"

/* The life of a worker and the control thread's side of it; worker_round.c moves the packets.
 *
 * Both ways of running use the epoch in the same way: online while published objects are looked at,
 * offline while nothing happens.  An fd that is replaced is closed through the epoch too, so that
 * its number cannot name another file while a worker still reads from it. */

#define PACKETS_DEFAULT 1024
#define PUNTS_DEFAULT   256
#define LARGE_PARCELS   8
#define PEER_PARCELS    1024 /* between workers: a burst of one that reads faster */
#define PEER_LARGE      64

/* ---- life ---- */

static int watch(struct worker *w, int fd, uint32_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = what};
    return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static bool open_events(struct worker *w)
{
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->punt_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->epoll < 0 || w->wake < 0 || w->punt_event < 0)
        return false;
    if (watch(w, w->wake, WORKER_EVENT_WAKE))
        return false;
    return w->settings.tun < 0 || watch(w, w->settings.tun, WORKER_EVENT_TUN) == 0;
}

struct worker *worker_new(const struct worker_settings *s)
{
    struct worker *w = base_calloc(1, sizeof *w);
    w->settings = *s;
    w->index = s->forward.worker;
    w->epoll = w->wake = w->punt_event = -1;
    w->tun_gone = s->tun < 0;
    w->wanted = UDP_BATCH;
    for (unsigned i = 0; i < WORKER_SOCKETS_MAX; i++)
        atomic_init(&w->socket[i], -1), atomic_init(&w->lane_socket[i], -1);
    unsigned slots = s->punts ? s->punts : PUNTS_DEFAULT;
    w->punt_slots = slots;
    w->pool = packet_pool_new(s->packets ? s->packets : PACKETS_DEFAULT);
    w->control_pool = packet_pool_new(2);
    w->forward = forward_new(&s->forward, s->tables, w->pool);
    w->punts = parcel_ring_new(slots, LARGE_PARCELS);
    w->injected = parcel_ring_new(slots, LARGE_PARCELS);
    if (!open_events(w)) {
        int error = errno;
        w->settings.tun = -1;
        worker_free(w);
        errno = error;
        return NULL;
    }
    return w;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void worker_stop(struct worker *w)
{
    if (!w->threaded)
        return;
    atomic_store(&w->stopping, true);
    worker_ring_bell(w->wake);
    pthread_join(w->thread, NULL);
    atomic_store(&w->stopping, false);
    w->threaded = false;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    worker_stop(w);
    for (unsigned i = 0; i < WORKER_SOCKETS_MAX; i++)
        close_fd(atomic_load(&w->socket[i])), close_fd(atomic_load(&w->lane_socket[i]));
    close_fd(w->settings.tun);
    close_fd(w->epoll);
    close_fd(w->wake);
    close_fd(w->punt_event);
    for (unsigned i = 0; i < FORWARD_WORKERS_MAX; i++) {
        if (w->peer[i]) {
            w->peer[i]->to[w->index] = NULL;
            w->peer[i]->peer[w->index] = NULL;
        }
        parcel_ring_free(w->from[i]);
    }
    forward_free(w->forward);
    packet_pool_free(w->pool);
    packet_give_back(w->punted);
    packet_pool_free(w->control_pool);
    parcel_ring_free(w->punts);
    parcel_ring_free(w->injected);
    free(w);
}

void worker_join(struct worker *const *all, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned slots = all[i]->settings.punts ? all[i]->settings.punts : PEER_PARCELS;
        for (unsigned j = 0; j < count; j++) {
            if (i == j)
                continue;
            all[i]->peer[j] = all[j];
            all[j]->from[i] = all[i]->to[j] = parcel_ring_new(slots, PEER_LARGE);
        }
    }
}

void worker_flow_known(struct worker *w, instant now, const struct forward_flow *flow)
{
    if (expect(!w->threaded))
        forward_flow_known(w->forward, now, flow);
}

/* ---- sockets ---- */

static void close_retired(void *fd)
{
    close((int)(intptr_t)fd);
}

int worker_socket(const struct worker *w, uint16_t socket)
{
    if (socket >= WORKER_SOCKETS_MAX)
        return -1;
    return atomic_load_explicit(&w->socket[socket], memory_order_acquire);
}

static void socket_swap(struct worker *w, _Atomic int *place, int fd)
{
    int old = atomic_exchange(place, fd);
    if (old < 0)
        return;
    epoll_ctl(w->epoll, EPOLL_CTL_DEL, old, NULL);
    epoch_retire(w->settings.epoch, (void *)(intptr_t)old, close_retired);
}

int worker_socket_set(struct worker *w, uint16_t socket, int fd)
{
    int error = socket < WORKER_SOCKETS_MAX ? watch(w, fd, socket) : -EINVAL;
    if (error) {
        close(fd);
        return error;
    }
    atomic_store(&w->trains[socket], udp_can_segment(fd));
    socket_swap(w, &w->socket[socket], fd);
    return 0;
}

int worker_lane_socket_set(struct worker *w, uint16_t socket, int fd)
{
    int error = socket < WORKER_SOCKETS_MAX ? watch(w, fd, WORKER_EVENT_LANE | socket) : -EINVAL;
    if (error)
        close(fd);
    else
        socket_swap(w, &w->lane_socket[socket], fd);
    return error;
}

void worker_socket_clear(struct worker *w, uint16_t socket)
{
    if (socket >= WORKER_SOCKETS_MAX)
        return;
    socket_swap(w, &w->socket[socket], -1);
    socket_swap(w, &w->lane_socket[socket], -1);
}

/* ---- running ---- */

int worker_fd(const struct worker *w)
{
    return w->epoll;
}

bool worker_poll(struct worker *w, instant now, unsigned budget)
{
    struct epoll_event events[WORKER_EVENTS];
    bool more = true;
    epoch_online(w->settings.epoch, w->index);
    for (unsigned i = 0; i < budget && more; i++)
        more = worker_round(w, now, events, worker_events(w, events));
    epoch_offline(w->settings.epoch, w->index);
    return more;
}

instant worker_deadline(const struct worker *w)
{
    return forward_deadline(w->forward);
}

/* Milliseconds for epoll_wait: rounded up, so that it does not wake before the deadline. */
static int wait_time(const struct worker *w)
{
    instant deadline = forward_deadline(w->forward);
    if (deadline == INSTANT_NEVER)
        return -1;
    instant left = deadline - clock_now();
    if (left <= 0)
        return 0;
    instant milliseconds = (left + MILLISECOND - 1) / MILLISECOND;
    return milliseconds > 60000 ? 60000 : (int)milliseconds;
}

static void *run(void *context)
{
    struct worker *w = context;
    struct epoch *epoch = w->settings.epoch;
    struct epoll_event events[WORKER_EVENTS];
    if (w->settings.begin)
        w->settings.begin();
    epoch_online(epoch, w->index);
    while (!atomic_load(&w->stopping)) {
        int count = worker_events(w, events);
        if (!count) {
            int wait = wait_time(w);
            epoch_offline(epoch, w->index);
            count = epoll_wait(w->epoll, events, WORKER_EVENTS, wait);
            epoch_online(epoch, w->index);
        }
        while (worker_round(w, clock_now(), events, count < 0 ? 0 : count)) {
            epoch_announce(epoch, w->index);
            count = worker_events(w, events);
            if (atomic_load(&w->stopping))
                break;
        }
        epoch_announce(epoch, w->index);
    }
    epoch_offline(epoch, w->index);
    return NULL;
}

int worker_start_thread(struct worker *w)
{
    sigset_t all, before;
    sigfillset(&all);
    w->threaded = true; /* before the thread looks at it */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        w->threaded = false;
    return -error;
}

int worker_punt_fd(const struct worker *w)
{
    return w->punt_event;
}

/* ---- what control exchanges ---- */

bool worker_punt_next(struct worker *w, struct worker_punt *ret)
{
    const uint8_t *bytes;
    packet_give_back(w->punted);
    w->punted = NULL;
    const struct parcel *parcel = parcel_peek(w->punts, &bytes);
    if (!parcel) {
        /* Quiet first, then look again: a punt that came in between rings anew. */
        worker_quiet_bell(w->punt_event);
        parcel = parcel_peek(w->punts, &bytes);
        if (!parcel)
            return false;
    }
    *ret = (struct worker_punt){.out = parcel->out};
    ret->out.packet = NULL;
    if (parcel->kind == PARCEL_OVERSIZED)
        ret->kind = WORKER_OVERSIZED;
    if (parcel->kind == PARCEL_GONE) {
        ret->kind = WORKER_GONE;
        ret->error = parcel->number;
    } else if (parcel->has_packet) {
        struct packet *p = packet_take(w->control_pool);
        require(p && packet_fill(p, bytes, parcel->size));
        p->run = parcel->run;
        p->offload = parcel->offload;
        p->arrival = parcel->arrival;
        ret->out.packet = w->punted = p;
    }
    parcel_release(w->punts);
    return true;
}

static bool inject(struct worker *w, const struct parcel *parcel, const void *bytes)
{
    if (!parcel_put(w->injected, parcel, bytes)) {
        drop_count(&w->control_drops, DROP_RING_FULL);
        return false;
    }
    worker_ring_bell(w->wake);
    return true;
}

bool worker_inject_captured(struct worker *w, const void *bytes, size_t size,
                            const struct packet_offload *offload)
{
    struct parcel parcel = {.kind = PARCEL_CAPTURED, .has_packet = true, .size = size};
    if (offload)
        parcel.offload = *offload;
    return inject(w, &parcel, bytes);
}

bool worker_inject_record(struct worker *w, const void *bytes, size_t size,
                          const struct arrival *arrival)
{
    struct parcel parcel = {
        .kind = PARCEL_RECORD, .has_packet = true, .arrival = *arrival, .size = size};
    return inject(w, &parcel, bytes);
}

int worker_send(struct worker *w, uint16_t socket, const struct endpoint *local,
                const struct endpoint *remote, uint8_t tos, const void *bytes, size_t size)
{
    int fd = worker_socket(w, socket);
    return fd < 0 ? -ENOTCONN : udp_send_one(fd, local, remote, tos, bytes, size);
}

int worker_capture_write(struct worker *w, const void *bytes, size_t size,
                         const struct packet_offload *offload)
{
    struct packet *p = packet_take(w->control_pool);
    if (!p)
        return -ENOBUFS;
    int error = -EMSGSIZE;
    if (packet_fill(p, bytes, size)) {
        if (offload)
            p->offload = *offload;
        error = w->settings.tun < 0 ? -EBADF : tun_write(w->settings.tun, p);
    }
    packet_give_back(p);
    return error;
}

/* ---- figures ---- */

void worker_drops(const struct worker *w, struct drop_counters *sum)
{
    const struct drop_counters *own = forward_drops(w->forward);
    for (unsigned i = 0; i < DROP_COUNT; i++)
        sum->packets[i] += drop_read(own, i) + drop_read(&w->control_drops, i);
}

void worker_load(const struct worker *w, struct worker_load *ret)
{
    *ret = (struct worker_load){
        .underlay_in = atomic_load_explicit(&w->underlay_in, memory_order_relaxed),
        .underlay_out = atomic_load_explicit(&w->underlay_out, memory_order_relaxed),
        .capture_in = atomic_load_explicit(&w->capture_in, memory_order_relaxed),
        .capture_out = atomic_load_explicit(&w->capture_out, memory_order_relaxed),
        .rounds = atomic_load_explicit(&w->rounds, memory_order_relaxed),
        .busy = atomic_load_explicit(&w->busy, memory_order_relaxed),
    };
}
