/* The wiring: events go to the engine they concern, then host_pump() carries what each engine says to the others, until
 * nobody has anything to say; what is for the world outside ends in host_output(). */
#include "host/host_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define PACKETS        8
#define NEGATIVE_TTL   1
#define ANSWER_TIMEOUT (15 * SECOND)

/* ---- outputs ---- */

struct host_out *host_out_add(struct host *h, enum host_out_kind kind)
{
    struct out_node *n = base_calloc(1, sizeof *n);
    n->out.kind = kind;
    *h->out_last = n;
    h->out_last = &n->next;
    return &n->out;
}

void host_out_bytes(struct host *h, const uint8_t *bytes, size_t size)
{
    struct out_node *n = (struct out_node *)((char *)h->out_last - offsetof(struct out_node, next));
    n->bytes = base_calloc(1, size);
    if (size)
        memcpy(n->bytes, bytes, size);
    n->out.bytes = n->bytes;
    n->out.size = size;
}

__attribute__((format(printf, 4, 0))) static void
log_line(struct host *h, const char *area, int level, const char *format, va_list args)
{
    char text[768];
    vsnprintf(text, sizeof text, format, args);
    struct host_out *o = host_out_add(h, HOST_OUT_LOG);
    o->level = level;
    o->area = area;
    struct out_node *n = (struct out_node *)((char *)h->out_last - offsetof(struct out_node, next));
    n->text = base_strdup(text);
    o->text = n->text;
}

void host_log(struct host *h, int level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(h, "host", level, format, args);
    va_end(args);
}

void host_log_as(struct host *h, const char *area, int level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(h, area, level, format, args);
    va_end(args);
}

static void out_free(struct out_node *n)
{
    if (!n)
        return;
    free(n->bytes);
    free(n->text);
    free(n);
}

bool host_output(struct host *h, struct host_out *ret)
{
    if (!h->out_first)
        host_pump(h);
    out_free(h->out_given);
    h->out_given = h->out_first;
    if (!h->out_given)
        return false;
    h->out_first = h->out_given->next;
    if (!h->out_first)
        h->out_last = &h->out_first;
    *ret = h->out_given->out;
    return true;
}

/* ---- life ---- */

void host_dns_settings(const struct host *h, struct dns_settings *ret)
{
    static const char *const future[] = {"ron", "i3", "hip", "ipop", "overqos"};
    struct dns_settings s;
    unsigned classes;
    const struct overlay_class *const *class = overlay_classes(&classes);

    dns_settings_init(&s);
    for (unsigned i = 0; i < classes && s.type_count < DNS_TYPES_MAX; i++)
        s.types[s.type_count++] = class[i]->name;
    /* Names of types that this build lacks never leave the machine either. */
    for (unsigned i = 0; i < sizeof future / sizeof *future && s.type_count < DNS_TYPES_MAX; i++)
        if (!overlay_class_find(future[i]))
            s.types[s.type_count++] = future[i];
    s.pool[0] = h->pool4;
    s.pool[1] = h->pool6;
    s.suffix = h->config->dns.suffix;
    s.upstream_count = h->upstreams;
    s.only_overlay = h->only_overlay_names;
    s.answer_ttl = h->config->dns.ttl_s;
    s.negative_ttl = NEGATIVE_TTL;
    s.answer_timeout = ANSWER_TIMEOUT;
    *ret = s;
}

static bool start_dns(struct host *h, char *error, size_t size)
{
    struct dns_settings s;
    const char *reason = NULL;

    host_dns_settings(h, &s);
    h->dns = dns_new(&s, h->entropy, &reason);
    if (!h->dns)
        snprintf(error, size, "dns: %s", reason);
    return h->dns != NULL;
}

static bool start_handles(struct host *h, const struct host_settings *s, char *error, size_t size)
{
    struct handle_settings hs;
    struct handle_loaded loaded = {0};
    const char *reason = NULL;

    handle_settings_init(&hs);
    hs.v4 = s->pool4;
    hs.v6 = s->pool6;
    hs.quarantine = h->config->timers.quarantine / SECOND;
    hs.user_limit = h->config->handles.per_user;
    hs.keep_out[hs.keep_out_count++] = s->tun4;
    if (s->tun6.family)
        hs.keep_out[hs.keep_out_count++] = s->tun6;
    h->handles = handle_table_new(&hs, h->entropy, &reason);
    if (!h->handles) {
        snprintf(error, size, "handles: %s", reason);
        return false;
    }
    handle_load(h->handles, s->file[HOST_FILE_HANDLES].bytes, s->file[HOST_FILE_HANDLES].size,
                &loaded);
    h->good[HOST_FILE_HANDLES] = loaded.good;
    if (loaded.trouble)
        host_log(h, LOG_WARNING,
                 "handles: the journal is damaged behind byte %zu (%s); what stood before is kept",
                 loaded.good, loaded.trouble);
    if (loaded.outside)
        host_log(h, LOG_NOTICE,
                 "handles: %u addresses lie outside of the pools now and were given up",
                 loaded.outside);
    host_handles_load(h);
    return true;
}

static void start_path(struct host *h, const struct host_settings *s, instant now)
{
    struct path_instance *keys = base_calloc(h->config->overlay_count, sizeof *keys);
    h->public_key = base_calloc(h->config->overlay_count, sizeof *h->public_key);
    for (unsigned i = 0; i < h->config->overlay_count; i++) {
        memcpy(keys[i].seed, s->keys[i].seed, 32);
        memcpy(keys[i].secret, s->keys[i].secret, sizeof keys[i].secret);
        keys[i].secret_count = s->keys[i].secret_count;
        crypto_ed25519_public(keys[i].seed, h->public_key[i]);
    }
    struct path_settings ps = {
        .config = s->config,
        .instance = keys,
        .data_lanes = s->workers ? s->workers : 1,
        .library = s->library,
        .tables = h->tables,
        .epoch = s->epoch,
        .entropy = s->entropy,
        .known = (const char *)s->file[HOST_FILE_KNOWN].bytes,
        .known_size = s->file[HOST_FILE_KNOWN].size,
    };
    h->path = path_engine_new(&ps, now);
    crypto_wipe(keys, h->config->overlay_count * sizeof *keys);
    free(keys);
    size_t size = s->file[HOST_FILE_KNOWN].size;
    while (size && s->file[HOST_FILE_KNOWN].bytes[size - 1] != '\n')
        size--; /* a line that a crash cut short */
    h->good[HOST_FILE_KNOWN] = size;
}

struct host *host_new(const struct host_settings *s, instant now, char *error, size_t error_size)
{
    struct host *h = base_calloc(1, sizeof *h);

    h->out_last = &h->out_first;
    h->config = s->config;
    h->entropy = s->entropy;
    h->epoch = s->epoch;
    h->now = h->started = now;
    h->wall = s->wall;
    h->tun4 = s->tun4;
    h->tun6 = s->tun6;
    h->pool4 = s->pool4;
    h->pool6 = s->pool6;
    h->tun_mtu = s->tun_mtu;
    h->workers = s->workers;
    h->upstreams = s->upstreams;
    h->only_overlay_names = s->only_overlay_names;
    h->next_cookie = 1;
    for (int i = 0; i < HOST_FILES; i++)
        h->retry[i] = INSTANT_NEVER;
    h->pool = packet_pool_new(PACKETS);
    h->tables = fwd_tables_new(s->epoch, &s->tun4, &s->tun6, &s->pool4, &s->pool6);
    h->control = control_new(s->entropy);
    h->next_hour = now + HOUR;
    start_path(h, s, now);
    if (!start_dns(h, error, error_size) || !start_handles(h, s, error, error_size) ||
        !host_overlays_start(h, s->keys, error, error_size)) {
        host_free(h);
        return NULL;
    }
    return h;
}

void host_free(struct host *h)
{
    if (!h)
        return;
    struct want *w, *w_next;
    HASH_ITER(hh, h->wants, w, w_next)
    host_want_free(h, w);
    host_fail_forget_all(h);
    path_engine_free(h->path);
    host_overlays_free(h);
    host_handles_free(h);
    handle_table_free(h->handles);
    dns_free(h->dns);
    control_free(h->control);
    fwd_tables_free(h->tables);
    packet_pool_free(h->pool);
    while (h->out_first) {
        struct out_node *n = h->out_first;
        h->out_first = n->next;
        out_free(n);
    }
    out_free(h->out_given);
    free(h->public_key);
    free(h->changes);
    free(h);
}

struct fwd_tables *host_tables(struct host *h)
{
    return h->tables;
}

size_t host_file_good(const struct host *h, enum host_file file)
{
    return h->good[file];
}

void host_set_owner(struct host *h, const struct host_owner *owner)
{
    h->owner = *owner;
}

struct want *host_want(struct host *h, enum want_kind kind)
{
    struct want *w = base_calloc(1, sizeof *w);
    w->cookie = h->next_cookie++;
    w->kind = kind;
    w->user = HANDLE_NO_USER;
    w->asked = base_calloc(1, sizeof *w->asked);
    w->way = base_calloc(1, sizeof *w->way);
    HASH_ADD(hh, h->wants, cookie, sizeof w->cookie, w);
    return w;
}

void host_want_free(struct host *h, struct want *w)
{
    HASH_DEL(h->wants, w);
    free(w->asked);
    free(w->way);
    free(w);
}

/* ---- events ---- */

void host_wall(struct host *h, int64_t wall)
{
    h->wall = wall;
}

static void need_key(struct host *h, const struct forward_out *punt)
{
    if (!path_wake(h->path, h->now, punt->id)) {
        drop_count(&h->drops, DROP_NO_PATH);
        return;
    }
    struct host_out *o = host_out_add(h, HOST_OUT_INJECT);
    o->from_capture = punt->from_capture;
    o->offload = punt->packet->offload;
    o->arrival = punt->packet->arrival;
    host_out_bytes(h, punt->packet->data, punt->packet->size);
}

void host_punt(struct host *h, instant now, const struct forward_out *punt)
{
    const struct packet *p = punt->packet;
    int overlay = p ? host_overlay_of_socket(h, p->arrival.socket) : -1;
    h->now = now;

    switch (punt->punt) {
    case PUNT_CONTROL:
    case PUNT_HANDSHAKE:
        if (overlay >= 0)
            path_datagram(h->path, now, (unsigned)overlay, &p->arrival, p->data, p->size);
        break;
    case PUNT_MODULE:
        if (overlay >= 0 && h->overlay[overlay].module->class->input)
            h->overlay[overlay].module->class->input(h->overlay[overlay].module, now, &p->arrival,
                                                     p->data, p->size);
        else
            drop_count(&h->drops, DROP_MODULE);
        break;
    case PUNT_NEED_PATH:
        host_need_path(h, punt->id, p);
        break;
    case PUNT_NEED_KEY:
        need_key(h, punt);
        break;
    case PUNT_UNKNOWN_LABEL:
        if (overlay >= 0)
            path_unknown_label(h->path, now, (unsigned)overlay, &p->arrival, p->data, p->size);
        break;
    case PUNT_ACTIVE:
        path_active(h->path, now, punt->id);
        break;
    case PUNT_MOVED:
        path_moved(h->path, now, punt->id, &p->arrival);
        break;
    case PUNT_TRANSIT_BIG:
        path_transit_too_big(h->path, now, punt->id);
        break;
    }
    host_pump(h);
}

void host_dns_query(struct host *h, instant now, const struct dns_client *client,
                    const uint8_t *bytes, size_t size)
{
    h->now = now;
    dns_query(h->dns, now, client, bytes, size);
    host_pump(h);
}

void host_dns_upstream(struct host *h, instant now, unsigned server, const uint8_t *bytes,
                       size_t size)
{
    h->now = now;
    dns_upstream_reply(h->dns, now, server, bytes, size);
    host_pump(h);
}

void host_dns_upstream_failed(struct host *h, instant now, uint32_t upstream_id, const char *reason)
{
    h->now = now;
    for (unsigned i = 0; i < UPSTREAMS_REMEMBERED; i++)
        if (h->upstream[i].id == upstream_id) {
            host_log_as(h, "dns", LOG_DEBUG, "dns: upstream server %u: %s", h->upstream[i].server,
                        reason);
            dns_upstream_failed(h->dns, now, upstream_id, h->upstream[i].server);
            break;
        }
    host_pump(h);
}

void host_control_open(struct host *h, uint64_t client, bool may_change)
{
    control_connect(h->control, h->now, client, may_change ? CONTROL_CHANGE : CONTROL_READ);
    host_pump(h);
}

void host_control_input(struct host *h, instant now, uint64_t client, const uint8_t *bytes,
                        size_t size)
{
    h->now = now;
    control_input(h->control, now, client, bytes, size);
    host_pump(h);
}

void host_control_close(struct host *h, uint64_t client)
{
    control_disconnect(h->control, h->now, client);
    host_pump(h);
}

void host_too_big(struct host *h, instant now, uint16_t socket, const struct endpoint *remote,
                  const uint8_t *bytes, size_t size, size_t fits)
{
    h->now = now;
    (void)socket;
    path_tunnel_too_big(h->path, now, remote, size, fits);
    if (bytes)
        path_refused(h->path, remote, bytes, size);
    host_pump(h);
}

void host_underlay_changed(struct host *h, instant now)
{
    h->now = now;
    for (unsigned i = 0; i < h->overlay_count; i++)
        if (h->overlay[i].module->class->underlay_changed)
            h->overlay[i].module->class->underlay_changed(h->overlay[i].module, now);
    host_pump(h); /* new recipes first: the probes go by them */
    path_check_all(h->path, now);
    host_pump(h);
}

void host_stop(struct host *h, instant now)
{
    h->now = now;
    h->stopping = true;
    for (unsigned i = 0; i < h->overlay_count; i++)
        if (h->overlay[i].module->class->leave)
            h->overlay[i].module->class->leave(h->overlay[i].module, now);
    host_pump(h); /* while there are links to say it on */
    path_close_all(h->path, now, "the daemon ends");
    for (int i = 0; i < HOST_FILES; i++)
        if (h->retry[i] != INSTANT_NEVER)
            h->retry[i] = now; /* the last chance */
    host_pump(h);
}

void host_advance(struct host *h, instant now)
{
    h->now = now;
    path_advance(h->path, now);
    dns_advance(h->dns, now);
    control_advance(h->control, now);
    for (unsigned i = 0; i < h->overlay_count; i++) {
        struct overlay *o = h->overlay[i].module;
        if (o && o->class->advance && o->class->deadline && o->class->deadline(o) <= now)
            o->class->advance(o, now);
    }
    host_ping_advance(h);
    if (now >= h->next_hour) {
        host_handles_age(h);
        h->next_hour = now + HOUR;
    }
    host_pump(h);
}

instant host_deadline(const struct host *h)
{
    instant due = instant_min(path_deadline(h->path), dns_deadline(h->dns));
    due = instant_min(due, instant_min(control_deadline(h->control), host_ping_deadline(h)));
    for (unsigned i = 0; i < h->overlay_count; i++) {
        const struct overlay *o = h->overlay[i].module;
        if (o && o->class->deadline)
            due = instant_min(due, o->class->deadline(o));
    }
    return instant_min(due, instant_min(h->next_hour, host_journals_deadline(h)));
}

/* ---- the pump ---- */

static void again(struct host *h, const struct path_out *o)
{
    struct host_out *out = host_out_add(h, HOST_OUT_INJECT);
    out->from_capture = true;
    out->offload = o->offload;
    host_out_bytes(h, o->bytes, o->size);
}

static void path_out(struct host *h, const struct path_out *o)
{
    switch (o->kind) {
    case PATH_OUT_UP:
        host_path_up(h, o);
        break;
    case PATH_OUT_DOWN:
        host_path_down(h, o);
        break;
    case PATH_OUT_FAILED:
        host_path_failed(h, o);
        break;
    case PATH_OUT_PONG:
        host_ping_pong(h, o->cookie, o->rtt);
        break;
    case PATH_OUT_KNOWN:
        host_journal_known(h, o->bytes, o->size);
        break;
    case PATH_OUT_NOTICE:
        host_log_as(h, "path", o->level, "%s", o->reason);
        break;
    case PATH_OUT_INJECT:
        host_out_add(h, HOST_OUT_INJECT)->arrival = o->from;
        host_out_bytes(h, o->bytes, o->size);
        break;
    case PATH_OUT_AGAIN:
        again(h, o);
        break;
    default:
        host_path_out(h, o);
    }
}

static void control_out(struct host *h, const struct control_out *o)
{
    if (o->kind == CONTROL_OUT_SEND || o->kind == CONTROL_OUT_CLOSE) {
        host_out_add(h, o->kind == CONTROL_OUT_SEND ? HOST_OUT_CONTROL : HOST_OUT_CONTROL_CLOSE)
            ->control_client = o->client;
        if (o->kind == CONTROL_OUT_SEND)
            host_out_bytes(h, (const uint8_t *)o->bytes, o->size);
        return;
    }
    host_control_out(h, o);
}

void host_pump(struct host *h)
{
    struct path_out po;
    struct dns_out d;
    struct control_out c;
    bool again = true;

    while (again) {
        again = host_overlays_pump(h);
        while (path_output(h->path, &po)) {
            path_out(h, &po);
            again = true;
        }
        while (dns_output(h->dns, &d)) {
            host_dns_out(h, &d);
            again = true;
        }
        while (control_output(h->control, &c)) {
            control_out(h, &c);
            again = true;
        }
    }
    host_journals_pump(h);
}
