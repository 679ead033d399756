/* The workers and what control exchanges with them.
 *
 * One worker runs inside the control loop: its epoll descriptor is watched like any other, with a
 * budget for each turn, so that control lives under load.  More workers have threads; then only
 * their rings of punts are watched.  What control sends goes through the sockets of worker 0. */
#include "daemon/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"
#include "daemon/log.h"
#include "helper/helper.h"
#include "io/clock.h"
#include "io/mtu.h"
#include "io/udp.h"

#define POLL_BUDGET 4    /* rounds of the worker for each turn of the loop       */
#define PUNT_BUDGET 4096 /* punts of a worker that control handles for each turn */
#define FLOWS       16384

struct watched {
    struct daemon *daemon;
    struct worker *worker;
    uv_poll_t poll;
};

struct daemon_data_path {
    struct watched worker[FORWARD_WORKERS_MAX];
    struct {
        uint16_t index;
        char instance[NAME_TEXT]; /* a copy: the configuration may be replaced */
        struct endpoint at;
    } bound[WORKER_SOCKETS_MAX];
    unsigned bound_count;
    bool gone; /* the TUN does not answer any more */
};

/* ---- opening ---- */

static const struct config_overlay *overlay_of(const struct daemon *d, const struct host_socket *s)
{
    return config_overlay_find(d->settings.config, s->instance);
}

static int refuse_socket(const struct daemon *d, const struct host_socket *s, int error, char *err,
                         size_t size)
{
    char at[ENDPOINT_TEXT];
    const struct config_overlay *o = overlay_of(d, s);
    struct config_error e = {.file = d->settings.config->file};
    if (o)
        e.where = o->listen_where.line ? o->listen_where : o->where;
    const char *why = error == -EADDRINUSE      ? "another program uses this UDP port; end it, or "
                                                  "choose another port"
                      : error == -EADDRNOTAVAIL ? "this machine has no such address"
                      : error == -EACCES        ? "ports below 1024 need root"
                                                : strerror(-error);
    snprintf(e.text, sizeof e.text, "overlay %s cannot listen on %s: %s", s->instance,
             endpoint_format(&s->listen, at), why);
    config_error_format(&e, err, size);
    return error;
}

/* Lanes but the first leave by ports of their own where the way allows it, so that the flows of two
 * hosts spread over the queues of network cards.  Without such a port they leave by the usual one. */
static void open_lane_sockets(struct daemon *d, const struct host_socket *s, struct endpoint at)
{
    at.port = 0;
    for (unsigned i = 0; i < d->workers; i++) {
        int fd = i == 1 ? -1 : udp_open(&at, false); /* lane 1 is worker 1's */
        if (fd >= 0)
            worker_lane_socket_set(d->data_path->worker[i].worker, s->index, fd);
    }
}

/* One socket for each worker.  With several workers they share the port, which the kernel would
 * also grant to another ocalad of ours; so the first try is without sharing. */
static int open_socket(struct daemon *d, const struct host_socket *s, char *err, size_t size)
{
    struct daemon_data_path *p = d->data_path;
    struct endpoint at = s->listen;
    bool shared = d->workers > 1;
    int fd = udp_open(&at, false);
    if (fd >= 0 && !udp_local(fd, &at))
        at = s->listen;
    if (fd >= 0 && shared)
        close(fd);
    for (unsigned i = 0; i < d->workers && fd >= 0; i++) {
        if (shared)
            fd = udp_open(&at, true);
        if (fd < 0)
            break;
        int error = worker_socket_set(p->worker[i].worker, s->index, fd);
        if (error)
            return refuse_socket(d, s, error, err, size);
    }
    if (fd < 0)
        return refuse_socket(d, s, fd, err, size);
    if (shared) {
        udp_steer(fd, d->workers);
        open_lane_sockets(d, s, at);
    }
    host_socket_bound(d->host, clock_now(), s->index, &at);
    p->bound[p->bound_count].index = s->index;
    p->bound[p->bound_count].at = at;
    snprintf(p->bound[p->bound_count++].instance, NAME_TEXT, "%s", s->instance);
    return 0;
}

static struct worker *make_worker(struct daemon *d, unsigned index)
{
    struct worker_settings s = {
        .forward = {.worker = index,
                    .workers = d->workers,
                    .tun_mtu = (uint16_t)d->settings.config->tun.mtu,
                    .seal_checksums_open = d->devices.offload.checksum,
                    .merge_tcp = d->devices.offload.tcp,
                    .merge_udp = d->devices.offload.udp,
                    .flows = FLOWS,
                    .entropy = &d->entropy},
        .epoch = d->epoch,
        .begin = linux_sandbox_worker,
        .tables = host_tables(d->host),
        .tun = d->devices.tun[index],
    };
    struct worker *w = worker_new(&s);
    if (w)
        d->devices.tun[index] = -1;
    return w;
}

int daemon_data_path_open(struct daemon *d, char *err, size_t size)
{
    struct daemon_data_path *p = d->data_path = base_calloc(1, sizeof *p);
    struct worker *all[FORWARD_WORKERS_MAX];
    struct host_socket wanted[WORKER_SOCKETS_MAX];
    for (unsigned i = 0; i < d->workers; i++) {
        p->worker[i].daemon = d;
        all[i] = p->worker[i].worker = make_worker(d, i);
        if (!all[i]) {
            snprintf(err, size, "cannot make a worker: %s", strerror(errno));
            return -errno;
        }
    }
    worker_join(all, d->workers);
    unsigned count = host_sockets(d->host, wanted, WORKER_SOCKETS_MAX);
    for (unsigned i = 0; i < count; i++) {
        int error = open_socket(d, &wanted[i], err, size);
        if (error)
            return error;
    }
    return 0;
}

/* ---- events ---- */

static void capture_gone(struct daemon *d, int error)
{
    if (d->data_path->gone)
        return;
    d->data_path->gone = true;
    daemon_log(LOG_ERR, "the interface %s is gone (%s); somebody removed it", d->devices.tun_name,
               strerror(-error));
    daemon_stop(d, EXIT_FAILED, "no TUN");
}

/* True when the host was called. */
static bool take_punts(struct daemon *d, struct worker *w, instant now)
{
    struct worker_punt punt;
    bool called = false;
    for (unsigned i = 0; i < PUNT_BUDGET && worker_punt_next(w, &punt); i++) {
        called = true;
        if (punt.kind == WORKER_PUNT)
            host_punt(d->host, now, &punt.out);
        else if (punt.kind == WORKER_OVERSIZED)
            host_too_big(d->host, now, punt.out.socket, &punt.out.remote, punt.out.packet->data,
                         punt.out.packet->size, mtu_payload(&punt.out.remote));
        else
            capture_gone(d, punt.error);
    }
    return called;
}

/* After each round control hears what was punted, before the worker goes on: the record behind a
 * message that sets up its path finds the path. */
static void on_worker(uv_poll_t *poll, int status, int events)
{
    struct watched *watched = poll->data;
    struct daemon *d = watched->daemon;
    bool more = true;
    for (unsigned i = 0; i < POLL_BUDGET && more; i++) {
        instant now = clock_now();
        more = worker_poll(watched->worker, now, 1);
        if (take_punts(d, watched->worker, now) || host_deadline(d->host) <= now)
            daemon_pump(d);
    }
    daemon_arm(d);
}

static void on_punts(uv_poll_t *poll, int status, int events)
{
    struct watched *watched = poll->data;
    take_punts(watched->daemon, watched->worker, clock_now());
    daemon_pump(watched->daemon);
}

void daemon_data_path_flow(struct daemon *d, instant now, const struct forward_flow *flow)
{
    /* To all, because lanes are chosen when a path stands. */
    for (unsigned i = 0; i < d->workers; i++)
        worker_flow_known(d->data_path->worker[i].worker, now, flow);
}

int daemon_data_path_start(struct daemon *d, char *err, size_t size)
{
    struct daemon_data_path *p = d->data_path;
    for (unsigned i = 0; i < d->workers; i++) {
        struct watched *w = &p->worker[i];
        int fd = d->threads ? worker_punt_fd(w->worker) : worker_fd(w->worker);
        int error = daemon_watch(d, &w->poll, fd, d->threads ? on_punts : on_worker, w);
        if (!error && d->threads)
            error = worker_start_thread(w->worker);
        if (error) {
            snprintf(err, size, "cannot start worker %u: %s", i, strerror(-error));
            return error;
        }
    }
    return 0;
}

void daemon_data_path_stop(struct daemon *d)
{
    for (unsigned i = 0; d->data_path && i < d->workers; i++) {
        struct watched *w = &d->data_path->worker[i];
        if (w->poll.data)
            uv_close((uv_handle_t *)&w->poll, NULL);
        if (w->worker)
            worker_stop(w->worker);
    }
}

void daemon_data_path_free(struct daemon *d)
{
    for (unsigned i = 0; d->data_path && i < d->workers; i++)
        worker_free(d->data_path->worker[i].worker);
    free(d->data_path);
    d->data_path = NULL;
}

void daemon_data_path_advance(struct daemon *d, instant now)
{
    struct worker *w = d->data_path->worker[0].worker;
    if (d->threads || worker_deadline(w) > now)
        return;
    worker_poll(w, now, 1);
    take_punts(d, w, now);
}

instant daemon_data_path_deadline(const struct daemon *d)
{
    return d->threads ? INSTANT_NEVER : worker_deadline(d->data_path->worker[0].worker);
}

/* ---- the host's outputs ---- */

void daemon_data_path_send(struct daemon *d, instant now, const struct host_out *out)
{
    struct endpoint remote = out->remote;
    uint16_t socket = out->socket;
    size_t size = out->size;
    int error = worker_send(d->data_path->worker[0].worker, socket, &out->local, &out->remote,
                            out->tos, out->bytes, out->size);
    if (!error)
        return;
    drop_count(&d->drops, error == -EAGAIN     ? DROP_SOCKET_FULL
                          : error == -EMSGSIZE ? DROP_OVERSIZED
                                               : DROP_SEND_FAILED);
    char text[ENDPOINT_TEXT];
    daemon_log(LOG_DEBUG, "cannot send %zu bytes to %s: %s", size, endpoint_format(&remote, text),
               strerror(-error));
    if (error == -EMSGSIZE)
        host_too_big(d->host, now, socket, &remote, NULL, size, mtu_payload(&remote));
}

void daemon_data_path_capture(struct daemon *d, const struct host_out *out)
{
    int error = worker_capture_write(d->data_path->worker[0].worker, out->bytes, out->size, NULL);
    if (error)
        drop_count(&d->drops, error == -EAGAIN ? DROP_SOCKET_FULL : DROP_BAD_HEADER);
}

void daemon_data_path_inject(struct daemon *d, const struct host_out *out)
{
    struct worker *w = d->data_path->worker[0].worker;
    if (out->from_capture)
        worker_inject_captured(w, out->bytes, out->size, &out->offload);
    else
        worker_inject_record(w, out->bytes, out->size, &out->arrival);
}

void daemon_data_path_add_drops(const struct daemon *d, struct drop_counters *sum)
{
    for (int reason = 0; reason < DROP_COUNT; reason++)
        sum->packets[reason] += drop_read(&d->drops, reason);
    for (unsigned i = 0; d->data_path && i < d->workers; i++)
        worker_drops(d->data_path->worker[i].worker, sum);
}

/* The figures of the data path as JSON members, without braces. */
void daemon_data_path_describe(const struct daemon *d, struct text *json)
{
    struct worker_load sum = {0};
    char at[ENDPOINT_TEXT];
    for (unsigned i = 0; i < d->workers; i++) {
        struct worker_load load;
        worker_load(d->data_path->worker[i].worker, &load);
        sum.underlay_in += load.underlay_in;
        sum.underlay_out += load.underlay_out;
        sum.capture_in += load.capture_in;
        sum.capture_out += load.capture_out;
        sum.rounds += load.rounds;
    }
    text_add(json,
             "\"load\": {\"underlay_in\": %llu, \"underlay_out\": %llu, \"capture_in\": %llu, "
             "\"capture_out\": %llu, \"rounds\": %llu}, \"sockets\": [",
             (unsigned long long)sum.underlay_in, (unsigned long long)sum.underlay_out,
             (unsigned long long)sum.capture_in, (unsigned long long)sum.capture_out,
             (unsigned long long)sum.rounds);
    for (unsigned i = 0; i < d->data_path->bound_count; i++)
        text_add(json, "%s{\"index\": %u, \"instance\": \"%s\", \"listen\": \"%s\"}", i ? ", " : "",
                 d->data_path->bound[i].index, d->data_path->bound[i].instance,
                 endpoint_format(&d->data_path->bound[i].at, at));
    text_add(json, "]");
}
