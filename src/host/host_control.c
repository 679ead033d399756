/* Requests of the control socket: what each command does, and `ping`, which takes a while. */
#include "host/host_internal.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define PING_SPACING SECOND
#define PING_LIMIT   (3 * SECOND)

static void fail(struct host *h, const struct control_out *o, enum control_error code,
                 const char *message, const char *hint)
{
    control_fail(h->control, h->now, o->client, o->serial, code, message, hint);
}

static void reply(struct host *h, const struct control_out *o, json_t *result)
{
    control_reply(h->control, h->now, o->client, o->serial, result, false);
}

/* The chain named in the request; false: answered with an error. */
static bool asked_chain(struct host *h, const struct control_out *o, struct name_chain *ret)
{
    const char *reason, *text = json_string_value(json_object_get(o->args, "name"));
    if (text && name_chain_parse(text, ret, &reason))
        return true;
    char message[512];
    snprintf(message, sizeof message, "'%.200s' is no overlay name: %s", text ? text : "",
             text ? reason : "missing");
    fail(h, o, CONTROL_ERROR_BAD_ARGUMENT, message,
         "names are host.instance.type, for instance beta.west.ip");
    return false;
}

/* explain, ping: bring the path up first. */
static void with_path(struct host *h, const struct control_out *o, enum want_kind kind)
{
    struct name_chain asked, way;
    char reason[256];

    if (!asked_chain(h, o, &asked))
        return;
    bool ourselves = false;
    for (unsigned i = 0; i < h->config->overlay_count; i++)
        ourselves |=
            asked.count == 1 && overlay_name_equal(&asked.hop[0], &h->config->overlays[i].self);
    if (ourselves || !host_route(h, &asked, &way, reason, sizeof reason)) {
        if (kind == WANT_EXPLAIN)
            reply(h, o, explain_name(h, &asked, ourselves ? NULL : reason));
        else
            fail(h, o, CONTROL_ERROR_NOT_FOUND, ourselves ? "that is this host itself" : reason,
                 NULL);
        return;
    }
    struct want *w = host_want(h, kind);
    w->client = o->client;
    w->serial = o->serial;
    *w->asked = asked;
    *w->way = way;
    w->next = INSTANT_NEVER;
    if (kind == WANT_PING)
        w->count = json_integer_value(json_object_get(o->args, "count"));
    path_open(h->path, h->now, &way, w->cookie);
}

struct closing {
    struct host *h;
    const char *name;
    unsigned count;
    uint32_t path[64];
};

static void collect(void *context, const struct path_info *info)
{
    struct closing *c = context;
    if (!strcmp(info->name, c->name) && c->count < 64)
        c->path[c->count++] = info->path;
}

static void close_paths(struct host *h, const struct control_out *o)
{
    struct name_chain asked;
    if (!asked_chain(h, o, &asked))
        return;
    struct closing c = {.h = h, .name = asked.hop[asked.count - 1].text};
    path_each(h->path, collect, &c);
    for (unsigned i = 0; i < c.count; i++)
        path_close(h->path, h->now, c.path[i], "closed by the administrator");
    reply(h, o, json_pack("{s:i}", "closed", (int)c.count));
}

static void forget_key(struct host *h, const struct control_out *o)
{
    struct name_chain asked;
    if (!asked_chain(h, o, &asked))
        return;
    const char *name = asked.hop[asked.count - 1].text;
    if (path_forget(h->path, h->now, name)) {
        host_log(h, LOG_NOTICE, "the key bound to %s was forgotten", name);
        reply(h, o, json_pack("{s:i}", "forgotten", 1));
    } else {
        char message[NAME_TEXT + 64];
        snprintf(message, sizeof message, "no key is bound to %s", name);
        fail(h, o, CONTROL_ERROR_NOT_FOUND, message,
             "`ocala key list` shows the names that have one");
    }
}

static void config_reply(struct host *h, const struct control_out *o)
{
    char *text = config_print(h->config);
    reply(h, o,
          json_pack("{s:s, s:s}", "file", h->config->file ? h->config->file : "", "text", text));
    free(text);
}

static void i3_reply(struct host *h, const struct control_out *o)
{
    const char *text = h->owner.i3 ? h->owner.i3(h->owner.self) : NULL;
    if (text)
        reply(h, o, json_loads(text, 0, NULL));
    else
        fail(h, o, CONTROL_ERROR_NOT_FOUND, "no i3 server runs inside this daemon",
             "configure `i3_server`, or name the socket of one that runs by itself with --socket; "
             "`ocala overlay` shows what this host is in its instances");
}

/* Levels belong to whoever writes the lines; he shows them in `status` as well. */
static void log_reply(struct host *h, const struct control_out *o)
{
    json_t *status = h->owner.status ? json_loads(h->owner.status(h->owner.self), 0, NULL) : NULL;
    json_t *log = json_object_get(status, "log");
    reply(h, o, log ? json_incref(log) : json_pack("{s:n, s:{}}", "level", "areas"));
    json_decref(status);
}

static void log_set(struct host *h, const struct control_out *o)
{
    const char *setting = json_string_value(json_object_get(o->args, "level"));
    const char *fault =
        h->owner.log_set ? h->owner.log_set(h->owner.self, setting) : "there is no log here";
    if (fault)
        fail(h, o, CONTROL_ERROR_BAD_ARGUMENT, fault,
             "`ocala log` shows the areas and their levels");
    else
        log_reply(h, o);
}

static void cancel(struct host *h, const struct control_out *o)
{
    struct want *w, *next;
    HASH_ITER(hh, h->wants, w, next)
    if ((w->kind == WANT_EXPLAIN || w->kind == WANT_PING) && w->client == o->client &&
        w->serial == o->serial)
        host_want_free(h, w);
}

void host_control_out(struct host *h, const struct control_out *o)
{
    if (o->kind == CONTROL_OUT_CANCEL) {
        cancel(h, o);
        return;
    }
    switch (o->command) {
    case CONTROL_STATUS:
        reply(h, o, describe_status(h));
        break;
    case CONTROL_EXPLAIN:
        with_path(h, o, WANT_EXPLAIN);
        break;
    case CONTROL_PING:
        with_path(h, o, WANT_PING);
        break;
    case CONTROL_PATH:
        reply(h, o, describe_paths(h));
        break;
    case CONTROL_PATH_CLOSE:
        close_paths(h, o);
        break;
    case CONTROL_HANDLE:
        reply(h, o, describe_handles(h));
        break;
    case CONTROL_OVERLAY:
        reply(h, o, describe_overlays(h));
        break;
    case CONTROL_KEY:
        reply(h, o, describe_keys(h));
        break;
    case CONTROL_KEY_FORGET:
        forget_key(h, o);
        break;
    case CONTROL_DNS:
        reply(h, o, describe_dns(h));
        break;
    case CONTROL_I3:
        i3_reply(h, o);
        break;
    case CONTROL_LOG:
        log_reply(h, o);
        break;
    case CONTROL_LOG_SET:
        log_set(h, o);
        break;
    case CONTROL_DROPS:
        reply(h, o, json_pack("{s:o}", "drops", describe_drops(h, true)));
        break;
    case CONTROL_METRICS:
        reply(h, o, json_pack("{s:o}", "metrics", describe_metrics(h)));
        break;
    case CONTROL_CONFIG:
        config_reply(h, o);
        break;
    case CONTROL_VERSION:
        reply(h, o,
              json_pack("{s:s, s:s, s:i}", "name", "ocalad", "version", OCALA_VERSION, "protocol",
                        1));
        break;
    case CONTROL_RELOAD: {
        struct want *w = host_want(h, WANT_RELOAD);
        w->client = o->client;
        w->serial = o->serial;
        w->next = INSTANT_NEVER;
        host_out_add(h, HOST_OUT_RELOAD)->control_client = w->cookie;
        break;
    }
    case CONTROL_STOP:
        reply(h, o, json_pack("{s:b}", "stopping", 1));
        host_out_add(h, HOST_OUT_STOP);
        break;
    case CONTROL_COMMAND_COUNT:
        break;
    }
}

/* ---- ping ---- */

static void ping_next(struct host *h, struct want *w)
{
    w->sent++;
    w->outstanding = true;
    w->started = h->now;
    w->next = h->now + PING_LIMIT;
    path_ping(h->path, h->now, w->path, w->cookie);
}

void host_ping_up(struct host *h, struct want *w, uint32_t path)
{
    w->path = path;
    ping_next(h, w);
}

void host_ping_failed(struct host *h, struct want *w, const char *reason)
{
    control_fail(h->control, h->now, w->client, w->serial, CONTROL_ERROR_FAILED, reason,
                 "ocala explain NAME says more");
}

static void ping_summary(struct host *h, struct want *w)
{
    char text[CHAIN_MAX * (NAME_TEXT + 5)];
    json_t *r = json_pack("{s:s, s:I, s:I}", "name", name_chain_format(w->asked, text, sizeof text),
                          "sent", (json_int_t)w->sent, "received", (json_int_t)w->received);
    bool any = w->received > 0;
    json_object_set_new(r, "least_us", any ? json_integer(w->least / MICROSECOND) : json_null());
    json_object_set_new(r, "average_us",
                        any ? json_integer(w->sum / w->received / MICROSECOND) : json_null());
    json_object_set_new(r, "most_us", any ? json_integer(w->most / MICROSECOND) : json_null());
    control_reply(h->control, h->now, w->client, w->serial, r, false);
    host_want_free(h, w);
}

static void ping_result(struct host *h, struct want *w, bool lost, instant rtt)
{
    json_t *r = json_pack("{s:I, s:b}", "sequence", (json_int_t)w->sent, "lost", lost);
    json_object_set_new(r, "rtt_us", lost ? json_null() : json_integer(rtt / MICROSECOND));
    control_reply(h->control, h->now, w->client, w->serial, r, true);
    w->outstanding = false;
    if (w->sent >= w->count)
        ping_summary(h, w);
    else
        w->next = w->started + PING_SPACING > h->now ? w->started + PING_SPACING : h->now;
}

void host_ping_pong(struct host *h, uint64_t cookie, instant rtt)
{
    struct want *w;
    HASH_FIND(hh, h->wants, &cookie, sizeof cookie, w);
    if (!w || w->kind != WANT_PING || !w->outstanding)
        return;
    w->received++;
    w->sum += rtt;
    w->least = w->received == 1 || rtt < w->least ? rtt : w->least;
    w->most = rtt > w->most ? rtt : w->most;
    ping_result(h, w, false, rtt);
}

void host_ping_advance(struct host *h)
{
    struct want *w, *next;
    HASH_ITER(hh, h->wants, w, next)
    {
        if (w->kind != WANT_PING || w->next > h->now || w->next == INSTANT_NEVER)
            continue;
        if (w->outstanding)
            ping_result(h, w, true, 0);
        else
            ping_next(h, w);
    }
}

instant host_ping_deadline(const struct host *h)
{
    instant due = INSTANT_NEVER;
    for (const struct want *w = h->wants; w; w = w->hh.next)
        if (w->kind == WANT_PING && w->next < due)
            due = w->next;
    return due;
}

/* ---- reload ---- */

static json_t *change_texts(const struct config_change_list *list)
{
    json_t *texts = json_array();
    for (unsigned i = 0; i < list->count; i++)
        json_array_append_new(texts, json_string(list->text[i]));
    return texts;
}

void host_reload_done(struct host *h, uint64_t control_client, const char *error)
{
    struct want *w;
    HASH_FIND(hh, h->wants, &control_client, sizeof control_client, w);
    if (!w || w->kind != WANT_RELOAD)
        return;
    if (error || !h->changes)
        control_fail(h->control, h->now, w->client, w->serial, CONTROL_ERROR_FAILED,
                     error ? error : "nothing was read",
                     "nothing was changed; mend the file and try again");
    else
        control_reply(h->control, h->now, w->client, w->serial,
                      json_pack("{s:o, s:o}", "changed", change_texts(&h->changes->live), "restart",
                                change_texts(&h->changes->restart)),
                      false);
    host_want_free(h, w);
    host_pump(h);
}
