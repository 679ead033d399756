/* Three ways to be asked (doc/dns.md says what each does to a machine):
 *
 *   resolved     systemd-resolved is told which domains are ours; nothing else changes
 *   resolvconf   resolv.conf names us; everything else is passed on to whom it named before
 *   intercept    resolv.conf stays; nftables leads questions to us
 *
 * `auto` takes the first that fits.  The helper makes and undoes the change.  What this file adds
 * is time: other programs write resolv.conf when they like (a lease, another network, another VPN).
 * The file, its folder and the folder that its former link led to are watched (inotify, by libuv).
 * After a pause, because writers come in flocks, the helper is asked for the same thing again: when
 * ours still stands it does nothing, else it takes the place back and keeps what it found as what
 * will be restored.  In every mode the servers that are asked for the rest follow.
 *
 * Two programs that both insist would rewrite the file for ever, so that is bounded: after
 * BURST times within BURST_TIME once every PATIENCE_MS. */
#include "daemon/daemon.h"
#include "daemon/dns_mode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "daemon/log.h"
#include "io/clock.h"
#include "linux/resolved.h"
#include "linux/resolver.h"

#define PAUSE_MS    150
#define BURST       6
#define BURST_TIME  MINUTE
#define PATIENCE_MS 30000
#define RETRY_MS    5000
#define WATCHES     4

struct watch {
    struct daemon *daemon;
    uv_fs_event_t event;
    bool made, active;
    char path[RESOLVCONF_PATH];
    char name[64]; /* of the file in the folder `path`; "": `path` is the file */
};

struct daemon_dns_mode {
    enum config_dns_mode mode; /* wanted, then in force; not AUTO */
    bool automatic, in_force, fight;
    char why[300], writer[HELPER_WRITER_SIZE], trouble[400];
    unsigned taken_back;
    instant back[BURST]; /* when ours was put back, a ring */
    struct watch watch[WATCHES];
    uv_timer_t pause;
    bool pause_made;
};

#define RESOLVCONF RESOLVCONF_DEFAULT

/* ---- the choice ---- */

static const char *plain_error(int error)
{
    return error == -EROFS    ? "the file system is read-only"
           : error == -EPERM  ? "it is protected against changes (lsattr shows it)"
           : error == -EACCES ? "we may not"
           : error == -EBUSY || error == -EXDEV ? "it is in use as a mount point"
                                                : strerror(-error);
}

static void choose(struct daemon_dns_mode *m, uint16_t port)
{
    struct linux_resolver_file file;
    linux_resolver_look(RESOLVCONF, &file);
    bool resolved = linux_resolved_runs();
    snprintf(m->writer, sizeof m->writer, "%s", file.writer);
    if (resolved && file.stub) {
        m->mode = CONFIG_DNS_RESOLVED;
        snprintf(m->why, sizeof m->why, "systemd-resolved runs and %s leads to it", RESOLVCONF);
        return;
    }
    const char *first = resolved ? "systemd-resolved runs, but resolv.conf does not lead to it"
                                 : "systemd-resolved does not run";
    m->mode = CONFIG_DNS_RESOLVCONF;
    if (file.unwritable) {
        m->mode = CONFIG_DNS_INTERCEPT;
        snprintf(m->why, sizeof m->why, "%s, and %s cannot be replaced: %s", first, RESOLVCONF,
                 plain_error(file.unwritable));
    } else if (port != 53) {
        m->mode = CONFIG_DNS_INTERCEPT;
        snprintf(m->why, sizeof m->why,
                 "%s, and we listen on port %u, where %s cannot point (the C library asks port 53)",
                 first, port, RESOLVCONF);
    } else {
        snprintf(m->why, sizeof m->why, "%s, and %s can be replaced", first, RESOLVCONF);
    }
}

void daemon_dns_mode_choose(struct daemon *d)
{
    struct daemon_dns_mode *m = d->dns_mode = base_calloc(1, sizeof *m);
    const struct config_dns *dns = &d->settings.config->dns;
    m->mode = dns->mode;
    m->automatic = dns->mode == CONFIG_DNS_AUTO;
    if (!d->helper) {
        m->mode = CONFIG_DNS_NONE;
        m->automatic = false;
        snprintf(m->why, sizeof m->why, "the program has a network and a resolv.conf of its own");
    } else if (m->automatic) {
        choose(m, dns->listen.port);
    } else {
        snprintf(m->why, sizeof m->why, "the configuration says so");
    }
}

void daemon_dns_mode_port(struct daemon *d, uint16_t port)
{
    if (d->dns_mode->automatic)
        choose(d->dns_mode, port);
}

bool daemon_dns_mode_intercepts(const struct daemon *d)
{
    return d->dns_mode && d->dns_mode->in_force && d->dns_mode->mode == CONFIG_DNS_INTERCEPT;
}

/* ---- whom we ask for the rest ---- */

static void take_upstreams(struct daemon *d, const struct helper_upstreams *found)
{
    struct endpoint server[DAEMON_UPSTREAMS_MAX];
    unsigned count = 0;
    bool same = true;
    if (d->settings.config->dns.upstream_count)
        return;
    for (unsigned i = 0; i < found->count && count < DAEMON_UPSTREAMS_MAX; i++) {
        if (endpoint_equal(&found->server[i], &d->devices.dns_listen))
            continue;
        same = same && count < d->upstream_count &&
               endpoint_equal(&found->server[i], &d->upstream[count]);
        server[count++] = found->server[i];
    }
    if (same && count == d->upstream_count)
        return;
    memcpy(d->upstream, server, count * sizeof *server);
    d->upstream_count = count;
    host_upstreams(d->host, clock_now(), count);
    char text[DAEMON_UPSTREAMS_MAX * (ENDPOINT_TEXT + 2)], at[ENDPOINT_TEXT];
    struct text t;
    text_begin(&t, text, sizeof text);
    for (unsigned i = 0; i < count; i++)
        text_add(&t, "%s%s", i ? ", " : "", endpoint_format(&server[i], at));
    daemon_log(LOG_NOTICE, "other names are asked from %s now", count ? text : "nobody");
}

/* ---- watching ---- */

static void check(uv_timer_t *timer);

static void check_in(struct daemon *d, unsigned ms)
{
    struct daemon_dns_mode *m = d->dns_mode;
    if (!uv_is_active((uv_handle_t *)&m->pause))
        uv_timer_start(&m->pause, check, ms, 0);
}

static void on_change(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct watch *w = event->data;
    if (status == 0 && w->name[0] && name && strcmp(name, w->name) != 0)
        return;
    check_in(w->daemon, PAUSE_MS);
}

/* From now on this watch is for `path`; a file that is not there is not watched. */
static void watch_set(struct daemon *d, unsigned number, const char *path, bool folder)
{
    struct watch *w = &d->dns_mode->watch[number];
    char place[RESOLVCONF_PATH];
    snprintf(place, sizeof place, "%s", path);
    w->name[0] = '\0';
    char *slash = strrchr(place, '/');
    if (folder && slash) {
        snprintf(w->name, sizeof w->name, "%s", slash + 1);
        slash[slash == place] = '\0';
    }
    /* A folder stays the same one; a file is another one after each rename. */
    if (w->active && folder && strcmp(w->path, place) == 0)
        return;
    if (!w->made) {
        uv_fs_event_init(&d->loop, &w->event);
        w->event.data = w;
        w->daemon = d;
        w->made = true;
    }
    uv_fs_event_stop(&w->event);
    memcpy(w->path, place, sizeof place);
    w->active = place[0] && uv_fs_event_start(&w->event, on_change, place, 0) == 0;
}

static void watch_all(struct daemon *d, const char *target)
{
    watch_set(d, 0, RESOLVCONF, true);
    watch_set(d, 1, RESOLVCONF, false);
    watch_set(d, 2, LINUX_RESOLVED_SERVERS, true);
    if (target && target[0])
        watch_set(d, 3, target, true);
}

/* ---- entering and leaving ---- */

static void request_fill(struct daemon *d, enum config_dns_mode mode,
                         struct helper_dns_request *ret)
{
    *ret = (struct helper_dns_request){
        .mode = mode == CONFIG_DNS_RESOLVED    ? HELPER_DNS_RESOLVED
                : mode == CONFIG_DNS_INTERCEPT ? HELPER_DNS_INTERCEPT
                                               : HELPER_DNS_RESOLVCONF,
        .listen = d->devices.dns_listen,
        .listen6 = d->devices.dns_listen6,
        .pool4 = d->pools.v4,
    };
    struct text domains;
    memcpy(ret->tun_name, d->devices.tun_name, sizeof ret->tun_name);
    if (d->devices.v6)
        ret->pool6 = d->pools.v6;
    text_begin(&domains, ret->domains, sizeof ret->domains);
    host_dns_domains(d->host, &domains);
}

static int enter(struct daemon *d, enum config_dns_mode mode, char *err, size_t size)
{
    struct daemon_dns_mode *m = d->dns_mode;
    struct helper_dns_request request;
    struct helper_upstreams found = {0};
    if (mode == CONFIG_DNS_NONE)
        return 0;
    request_fill(d, mode, &request);
    int error = helper_dns_set(d->helper, &request, &found, err, size);
    if (error)
        return error;
    m->mode = mode;
    m->in_force = true;
    if (mode == CONFIG_DNS_RESOLVCONF)
        snprintf(m->writer, sizeof m->writer, "%s", found.writer);
    take_upstreams(d, &found);
    watch_all(d, mode == CONFIG_DNS_RESOLVCONF ? found.target : NULL);
    return 0;
}

static int enter_or_next(struct daemon *d, char *err, size_t size)
{
    struct daemon_dns_mode *m = d->dns_mode;
    static const enum config_dns_mode order[] = {CONFIG_DNS_RESOLVED, CONFIG_DNS_RESOLVCONF,
                                                 CONFIG_DNS_INTERCEPT};
    int error = enter(d, m->mode, err, size);
    for (unsigned i = 0; error && m->automatic && i < 3; i++) {
        if (order[i] <= m->mode)
            continue;
        daemon_log(LOG_WARNING, "dns mode %s: %s; trying %s", config_dns_mode_word(m->mode), err,
                   config_dns_mode_word(order[i]));
        snprintf(m->why, sizeof m->why, "mode %s failed: %.200s", config_dns_mode_word(m->mode),
                 err);
        m->mode = order[i];
        error = enter(d, m->mode, err, size);
    }
    return error;
}

int daemon_dns_mode_start(struct daemon *d, char *err, size_t size)
{
    struct daemon_dns_mode *m = d->dns_mode;
    char at[ENDPOINT_TEXT];
    uv_timer_init(&d->loop, &m->pause);
    m->pause.data = d;
    m->pause_made = true;
    if (!d->helper)
        return 0;
    if (m->mode == CONFIG_DNS_NONE)
        watch_all(d, NULL);
    int error = enter_or_next(d, err, size);
    if (!error)
        daemon_log(LOG_NOTICE, "dns mode %s%s, at %s: %s", config_dns_mode_word(m->mode),
                   m->automatic ? " (auto)" : "", endpoint_format(&d->devices.dns_listen, at),
                   m->why);
    return error;
}

void daemon_dns_mode_leave(struct daemon *d)
{
    struct daemon_dns_mode *m = d->dns_mode;
    char err[HELPER_ERROR_TEXT];
    if (!m || !m->in_force || !d->helper)
        return;
    m->in_force = false;
    if (helper_dns_unset(d->helper, err, sizeof err))
        daemon_log(LOG_ERR, "%s", err);
}

/* ---- what changed ---- */

/* Notes that ours was put back; how long to leave the other one in peace now. */
static unsigned put_back(struct daemon_dns_mode *m, const char *writer)
{
    instant now = clock_now(), before = m->back[m->taken_back % BURST];
    m->back[m->taken_back % BURST] = now;
    m->taken_back++;
    const char *who = writer[0] ? writer : "another program";
    bool fight = before && now - before < BURST_TIME;
    if (!m->fight)
        daemon_log(
            LOG_NOTICE,
            "%s wrote %s; ours is in place again, and what it wrote is what will be restored", who,
            RESOLVCONF);
    if (fight && !m->fight)
        daemon_log(LOG_WARNING,
                   "%s and ocalad write %s in turns: ours is put back every %d s only; `ocala dns "
                   "doctor` says what to do",
                   who, RESOLVCONF, PATIENCE_MS / 1000);
    m->fight = fight;
    return fight ? PATIENCE_MS : 0;
}

static void trouble(struct daemon_dns_mode *m, const char *text)
{
    if (strcmp(m->trouble, text) != 0 && text[0])
        daemon_log(LOG_WARNING, "%s", text);
    snprintf(m->trouble, sizeof m->trouble, "%s", text);
}

static void check_resolvconf(struct daemon *d)
{
    struct daemon_dns_mode *m = d->dns_mode;
    struct helper_dns_request request;
    struct helper_upstreams found = {0};
    char err[HELPER_ERROR_TEXT];
    request_fill(d, m->mode, &request);
    if (helper_dns_set(d->helper, &request, &found, err, sizeof err)) {
        trouble(m, err);
        uv_timer_start(&m->pause, check, RETRY_MS, 0);
        return;
    }
    trouble(m, "");
    memcpy(m->writer, found.writer, sizeof m->writer);
    take_upstreams(d, &found);
    watch_all(d, found.target);
    unsigned peace = found.changed ? put_back(m, found.writer) : 0;
    if (peace)
        uv_timer_start(&m->pause, check, peace, 0);
}

/* resolv.conf leads away from resolved: programs ask somebody who does not know us. */
static void check_resolved(struct daemon *d, const struct helper_upstreams *file)
{
    struct daemon_dns_mode *m = d->dns_mode;
    char err[HELPER_ERROR_TEXT];
    if (file->stub || !file->found) {
        trouble(m, "");
        return;
    }
    if (!m->automatic) {
        trouble(m, "resolv.conf does not lead to systemd-resolved any more: programs do not find "
                   "overlay names; `ocala dns doctor` says what to do");
        return;
    }
    daemon_dns_mode_leave(d);
    m->mode = CONFIG_DNS_RESOLVCONF;
    snprintf(m->why, sizeof m->why, "%s wrote %s, which led to systemd-resolved before",
             file->writer[0] ? file->writer : "another program", RESOLVCONF);
    if (enter_or_next(d, err, sizeof err))
        trouble(m, err);
    else
        daemon_log(LOG_NOTICE, "dns mode %s (auto): %s", config_dns_mode_word(m->mode), m->why);
}

static void check(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    struct helper_upstreams found = {0};
    if (d->stopping || !d->helper)
        return;
    if (d->dns_mode->mode == CONFIG_DNS_RESOLVCONF) {
        check_resolvconf(d);
    } else if (helper_dns_upstreams(d->helper, &found, NULL, 0) == 0) {
        watch_all(d, NULL);
        take_upstreams(d, &found);
        if (d->dns_mode->mode == CONFIG_DNS_RESOLVED)
            check_resolved(d, &found);
    }
    daemon_pump(d);
}

void daemon_dns_mode_reload(struct daemon *d)
{
    struct daemon_dns_mode *m = d->dns_mode;
    char err[HELPER_ERROR_TEXT];
    /* The suffix is one of the domains. */
    if (m && m->in_force && m->mode == CONFIG_DNS_RESOLVED && d->helper &&
        enter(d, m->mode, err, sizeof err))
        trouble(m, err);
}

/* ---- life, description ---- */

void daemon_dns_mode_stop(struct daemon *d)
{
    struct daemon_dns_mode *m = d->dns_mode;
    if (!m)
        return;
    if (m->pause_made)
        uv_close((uv_handle_t *)&m->pause, NULL);
    for (unsigned i = 0; i < WATCHES; i++)
        if (m->watch[i].made)
            uv_close((uv_handle_t *)&m->watch[i].event, NULL);
    m->pause_made = false;
}

void daemon_dns_mode_free(struct daemon *d)
{
    free(d->dns_mode);
    d->dns_mode = NULL;
}

static void add_text(struct text *t, const char *name, const char *value)
{
    text_add(t, "\"%s\": \"", name);
    for (const char *c = value; *c; c++)
        text_add(t, "%c", *c == '"' || *c == '\\' ? '\'' : *c < ' ' || *c == 0x7F ? ' ' : *c);
    text_add(t, "\", ");
}

void daemon_dns_mode_describe(const struct daemon *d, bool brief, struct text *json)
{
    const struct daemon_dns_mode *m = d->dns_mode;
    char at[ENDPOINT_TEXT];
    if (!m)
        return;
    add_text(json, "mode", config_dns_mode_word(m->mode));
    text_add(json, "\"automatic\": %s, ", m->automatic ? "true" : "false");
    add_text(json, "why", m->why);
    text_add(json, "\"listen\": \"%s\"", endpoint_format(&d->devices.dns_listen, at));
    if (brief)
        return;
    struct helper_upstreams file = {0};
    if (d->helper) /* which may read the file */
        helper_dns_upstreams(d->helper, &file, NULL, 0);
    if (d->devices.dns_listen6.ip.family)
        text_add(json, ", \"listen6\": \"%s\"", endpoint_format(&d->devices.dns_listen6, at));
    text_add(json, ", \"upstreams\": [");
    for (unsigned i = 0; i < d->upstream_count; i++)
        text_add(json, "%s\"%s\"", i ? ", " : "", endpoint_format(&d->upstream[i], at));
    text_add(json, "], \"resolvconf\": {\"found\": %s, \"ours\": %s, \"stub\": %s, ",
             file.found ? "true" : "false", file.ours ? "true" : "false",
             file.stub ? "true" : "false");
    add_text(json, "path", RESOLVCONF);
    add_text(json, "writer", file.writer);
    add_text(json, "link", file.target);
    text_add(json, "\"taken_back\": %u, \"fight\": %s}, ", m->taken_back,
             m->fight ? "true" : "false");
    add_text(json, "trouble", m->trouble);
    add_text(json, "clash", d->pool_clash);
    add_text(json, "tun", d->devices.tun_name);
    text_add(json, "\"resolved_runs\": %s", file.resolved_runs ? "true" : "false");
}
