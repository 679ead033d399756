/* The control loop.  An event enters the host engine in some other file and ends here, in
 * daemon_pump(): fire what is due, carry out every output, sleep until the next deadline.  Nothing
 * polls: between events the process sleeps.
 *
 * The deadline is a timerfd on CLOCK_BOOTTIME, the engines' clock, so that what came due while the
 * machine slept fires when it wakes up; libuv's own timers stand still meanwhile and serve only
 * what has to do with connections. */
#include "daemon/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "io/clock.h"

#define COLLECT_AGAIN                                                                              \
    (100 * MILLISECOND) /* while a busy worker may still look at what was retired */
#define WALL_EVERY    SECOND
#define STOP_LIMIT_MS 1000 /* for the last bytes to clients of the control socket */

struct daemon_clock {
    int fd;
    uv_poll_t poll;
    instant armed;
    bool collect; /* something retired waits for the workers */
    instant wall_told;
    uv_signal_t on_term, on_int, on_hup, on_usr1, on_child;
    uv_poll_t helper, journal;
    uv_timer_t stop_limit;
};

int daemon_watch(struct daemon *d, uv_poll_t *handle, int fd, uv_poll_cb call, void *data)
{
    int error = uv_poll_init(&d->loop, handle, fd);
    handle->data = data;
    return error ? error : uv_poll_start(handle, UV_READABLE, call);
}

/* ---- the host's wishes ---- */

static void reload(struct daemon *d, instant now, uint64_t client, bool has_client)
{
    char err[DAEMON_ERROR_TEXT], reloading[64];
    /* systemd wants to know when, so that it can tell this READY from an older one. */
    struct timespec monotonic;
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    snprintf(reloading, sizeof reloading, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)monotonic.tv_sec * 1000000 + monotonic.tv_nsec / 1000);
    daemon_notify(reloading);
    const char *wrong = daemon_reload(d, now, err, sizeof err);
    daemon_notify("READY=1");
    if (wrong)
        daemon_log(LOG_ERR, "the configuration was not changed: %s", wrong);
    else
        daemon_log(LOG_NOTICE, "configuration read again from %s", d->config_file);
    if (has_client)
        host_reload_done(d->host, client, wrong);
}

static void take(struct daemon *d, instant now, const struct host_out *out)
{
    switch (out->kind) {
    case HOST_OUT_SEND:
        daemon_data_path_send(d, now, out);
        break;
    case HOST_OUT_CAPTURE:
        daemon_data_path_capture(d, out);
        break;
    case HOST_OUT_INJECT:
        daemon_data_path_inject(d, out);
        break;
    case HOST_OUT_DNS_REPLY:
        daemon_dns_reply(d, out);
        break;
    case HOST_OUT_DNS_UPSTREAM:
        daemon_upstream_send(d, now, out);
        break;
    case HOST_OUT_CONTROL:
        daemon_control_send(d, out);
        break;
    case HOST_OUT_CONTROL_CLOSE:
        daemon_control_end(d, out->control_client);
        break;
    case HOST_OUT_JOURNAL:
        daemon_journal_put(d->journal, out->file, out->bytes, out->size, out->rewrite);
        break;
    case HOST_OUT_LOG:
        daemon_log_as(out->area, out->level, "%s", out->text);
        break;
    case HOST_OUT_STOP:
        daemon_stop(d, EXIT_OK, "asked to by `ocala`");
        break;
    case HOST_OUT_RELOAD:
        reload(d, now, out->control_client, true);
        break;
    }
}

static void tell_wall(struct daemon *d, instant now)
{
    if (now - d->clock->wall_told < WALL_EVERY)
        return;
    d->clock->wall_told = now;
    host_wall(d->host, clock_wall());
}

void daemon_pump(struct daemon *d)
{
    struct host_out out;
    instant now = clock_now();
    tell_wall(d, now);
    daemon_underlay_check(d, now);
    if (host_deadline(d->host) <= now)
        host_advance(d->host, now);
    while (host_output(d->host, &out))
        take(d, now, &out);
    d->clock->collect = epoch_collect(d->epoch) > 0;
    daemon_arm(d);
}

void daemon_arm(struct daemon *d)
{
    struct daemon_clock *c = d->clock;
    instant due = instant_min(host_deadline(d->host), daemon_data_path_deadline(d));
    if (c->collect)
        due = instant_min(due, clock_now() + COLLECT_AGAIN);
    if (due == c->armed)
        return;
    c->armed = due;
    /* 0 would mean "never" to the kernel; a time that has passed fires at once. */
    instant at = due == INSTANT_NEVER ? 0 : due > 0 ? due : 1;
    struct itimerspec when = {.it_value = {.tv_sec = at / SECOND, .tv_nsec = at % SECOND}};
    timerfd_settime(c->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_deadline(uv_poll_t *poll, int status, int events)
{
    struct daemon *d = poll->data;
    uint64_t ticks;
    if (read(d->clock->fd, &ticks, sizeof ticks) != sizeof ticks)
        return;
    d->clock->armed = INSTANT_NEVER;
    daemon_data_path_advance(d, clock_now());
    daemon_pump(d);
}

/* ---- signals, the helper, the child ---- */

static void on_end_signal(uv_signal_t *signal, int number)
{
    struct daemon *d = signal->data;
    if (d->child.pid > 0)
        run_child_signal(&d->child, number);
    else
        daemon_stop(d, EXIT_OK, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void on_hup(uv_signal_t *signal, int number)
{
    struct daemon *d = signal->data;
    if (d->child.pid > 0) {
        run_child_signal(&d->child, number);
        return;
    }
    reload(d, clock_now(), 0, false);
    daemon_pump(d);
}

static void on_usr1(uv_signal_t *signal, int number)
{
    struct daemon *d = signal->data;
    char text[sizeof d->status_text];
    struct text t;
    struct drop_counters drops = {0};
    text_begin(&t, text, sizeof text);
    daemon_data_path_describe(d, &t);
    daemon_log(LOG_NOTICE, "status: %s", text);
    daemon_data_path_add_drops(d, &drops);
    for (int i = 0; i < DROP_COUNT; i++)
        if (drops.packets[i])
            daemon_log(LOG_NOTICE, "dropped: %llu %s (%s)", (unsigned long long)drops.packets[i],
                       drop_name(i), drop_text(i));
}

static void on_child(uv_signal_t *signal, int number)
{
    struct daemon *d = signal->data;
    int status;
    if (d->child.pid > 0 && run_child_ended(&d->child, &status))
        daemon_stop(d, status, "the program ended");
}

static void on_helper(uv_poll_t *poll, int status, int events)
{
    struct daemon *d = poll->data;
    uv_poll_stop(poll);
    helper_free(d->helper);
    d->helper = NULL;
    daemon_log(LOG_ERR, "the helper process died; ending, because nobody could undo what was "
                        "changed on this machine (the next start does)");
    daemon_stop(d, EXIT_FAILED, "no helper");
}

static void on_journal(uv_poll_t *poll, int status, int events)
{
    struct daemon *d = poll->data;
    enum host_file file;
    while (daemon_journal_lost(d->journal, &file))
        host_journal_lost(d->host, clock_now(), file);
    daemon_pump(d);
}

static void watch_signal(struct daemon *d, uv_signal_t *handle, uv_signal_cb call, int number)
{
    uv_signal_init(&d->loop, handle);
    handle->data = d;
    uv_signal_start(handle, call, number);
}

/* ---- life ---- */

int daemon_loop_start(struct daemon *d, char *err, size_t size)
{
    struct daemon_clock *c = d->clock = base_calloc(1, sizeof *c);
    int error = uv_loop_init(&d->loop);
    d->loop_made = !error;
    c->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (!error && c->fd < 0)
        error = -errno;
    if (!error)
        error = daemon_watch(d, &c->poll, c->fd, on_deadline, d);
    if (error) {
        snprintf(err, size, "cannot make the event loop: %s", uv_strerror(error));
        return error;
    }
    c->armed = INSTANT_NEVER;
    daemon_watch(d, &c->journal, daemon_journal_fd(d->journal), on_journal, d);
    uv_timer_init(&d->loop, &c->stop_limit);
    c->stop_limit.data = d;
    watch_signal(d, &c->on_term, on_end_signal, SIGTERM);
    if (d->helper) {
        watch_signal(d, &c->on_int, on_end_signal, SIGINT);
        daemon_watch(d, &c->helper, helper_fd(d->helper), on_helper, d);
    } else {
        watch_signal(d, &c->on_child, on_child, SIGCHLD);
    }
    watch_signal(d, &c->on_hup, on_hup, SIGHUP);
    watch_signal(d, &c->on_usr1, on_usr1, SIGUSR1);
    return 0;
}

void daemon_stop(struct daemon *d, int status, const char *why)
{
    if (d->stopping)
        return;
    d->stopping = true;
    d->status = status;
    if (why)
        daemon_log(LOG_NOTICE, "ending: %s", why);
    daemon_notify("STOPPING=1");
    /* First, so that programs ask somebody who still answers. */
    daemon_dns_mode_leave(d);
    if (d->host && d->clock && d->data_path) {
        host_stop(d->host, clock_now());
        daemon_pump(d);
    }
    uv_stop(&d->loop);
}

static void on_stop_limit(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

void daemon_loop_run(struct daemon *d)
{
    if (!d->stopping)
        uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_timer_start(&d->clock->stop_limit, on_stop_limit, STOP_LIMIT_MS, 0);
    while (uv_is_active((uv_handle_t *)&d->clock->stop_limit) && !daemon_control_idle(d))
        uv_run(&d->loop, UV_RUN_ONCE);
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void daemon_loop_done(struct daemon *d)
{
    if (d->loop_made) {
        uv_walk(&d->loop, close_handle, NULL);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        uv_loop_close(&d->loop);
    }
    if (d->clock && d->clock->fd >= 0)
        close(d->clock->fd);
    free(d->clock);
    free(d->dns);
    free(d->upstreams);
    free(d->control);
    free(d->underlay);
    daemon_dns_mode_free(d);
    d->clock = NULL;
}
