/* Overlay modules: starting them, carrying what they say to the path engine and to DNS, and the path engine's requests to
 * them. */
#include "host/host_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

static const char *keep_text(struct host_overlay *o, const char *text)
{
    o->texts = base_realloc(o->texts, (o->text_count + 1) * sizeof *o->texts);
    return o->texts[o->text_count++] = base_strdup(text);
}

/* `at:` as written, from what the configuration parsed. */
static const char *place_text(struct host_overlay *o, const struct config_place *p)
{
    char text[512];
    if (p->host)
        snprintf(text, sizeof text, "%s:%u", p->host, p->endpoint.port);
    else
        endpoint_format(&p->endpoint, text);
    return keep_text(o, text);
}

static struct overlay_option *copy_options(const struct config_option *from, unsigned count)
{
    struct overlay_option *to = base_calloc(count ? count : 1, sizeof *to);
    for (unsigned i = 0; i < count; i++)
        to[i] = (struct overlay_option){.key = from[i].key, .value = from[i].value};
    return to;
}

static void copy_members(struct host_overlay *o)
{
    const struct config_overlay *c = o->config;
    o->members = base_calloc(c->member_count, sizeof *o->members);
    o->member_count = c->member_count;
    for (unsigned i = 0; i < c->member_count; i++) {
        const struct config_member *from = &c->members[i];
        const char **at = base_calloc(from->at_count, sizeof *at);
        char host[NAME_TEXT];
        for (unsigned a = 0; a < from->at_count; a++)
            at[a] = place_text(o, &from->at[a]);
        o->members[i].host = keep_text(o, overlay_name_host(&from->name, host));
        o->members[i].at = at;
        o->members[i].at_count = from->at_count;
        o->members[i].options = copy_options(from->options, from->option_count);
        o->members[i].option_count = from->option_count;
    }
    o->options = copy_options(c->options, c->option_count);
}

static void members_free(struct host_overlay *o)
{
    for (unsigned m = 0; m < o->member_count; m++) {
        free((void *)o->members[m].at);
        free((void *)o->members[m].options);
    }
    for (unsigned t = 0; t < o->text_count; t++)
        free(o->texts[t]);
    free(o->members);
    free(o->options);
    free(o->texts);
}

static void derive_name_keys(struct host_overlay *o, const struct host_overlay_keys *keys)
{
    o->name_key_count = keys->secret_count;
    for (unsigned i = 0; i < keys->secret_count; i++)
        crypto_hkdf_expand(keys->secret[i], "ocala names", 11, o->name_keys[i], CRYPTO_KEY);
}

static struct overlay_settings settings_of(struct host *h, struct host_overlay *o,
                                           instant keepalive)
{
    char host[NAME_TEXT];
    return (struct overlay_settings){
        .instance = keep_text(o, o->config->instance),
        .host = keep_text(o, overlay_name_host(&o->config->self, host)),
        .members = o->members,
        .member_count = o->member_count,
        .options = o->options,
        .option_count = o->config->option_count,
        .first_socket = o->first_socket,
        .keepalive = keepalive,
        .name_keys = o->name_keys,
        .name_key_count = o->name_key_count,
        .entropy = h->entropy,
    };
}

static bool overlay_start(struct host *h, struct host_overlay *o,
                          const struct host_overlay_keys *keys, char *error, size_t size)
{
    const struct config_overlay *c = o->config;
    const struct overlay_class *class = overlay_class_find(c->type);
    struct config_error fault = {.file = h->config->file};
    const char *reason = NULL;

    if (overlay_config_fault(c, &fault)) {
        config_error_format(&fault, error, size);
        return false;
    }
    copy_members(o);
    derive_name_keys(o, keys);
    o->first_socket = h->sockets;
    h->sockets = (uint16_t)(h->sockets + class->sockets);
    struct overlay_settings s = settings_of(h, o, h->config->timers.keepalive);
    o->module = overlay_new(class, &s, h->now, &reason);
    if (!o->module)
        snprintf(error, size, "%s:%u:%u: %s: %s", h->config->file, c->where.line, c->where.column,
                 c->instance, reason);
    return o->module != NULL;
}

bool host_overlays_start(struct host *h, const struct host_overlay_keys *keys, char *error,
                         size_t size)
{
    h->overlay_count = h->config->overlay_count;
    h->overlay = base_calloc(h->overlay_count, sizeof *h->overlay);
    for (unsigned i = 0; i < h->overlay_count; i++) {
        h->overlay[i].config = &h->config->overlays[i];
        if (!overlay_start(h, &h->overlay[i], &keys[i], error, size))
            return false;
    }
    return true;
}

void host_overlays_free(struct host *h)
{
    for (unsigned i = 0; i < h->overlay_count; i++) {
        struct host_overlay *o = &h->overlay[i];
        overlay_free(o->module);
        for (unsigned s = 0; s < 4; s++)
            free(o->peel[s]);
        members_free(o);
    }
    free(h->overlay);
}

bool host_overlay_renamed(const struct host *h, unsigned index,
                          const struct host_overlay_keys *keys)
{
    const struct host_overlay *o = &h->overlay[index];
    struct host_overlay fresh;
    derive_name_keys(&fresh, keys);
    return fresh.name_key_count != o->name_key_count ||
           memcmp(fresh.name_keys, o->name_keys, o->name_key_count * sizeof *o->name_keys);
}

bool host_overlay_reload(struct host *h, unsigned index, struct config *config,
                         const struct host_overlay_keys *keys)
{
    struct host_overlay *o = &h->overlay[index];
    struct host_overlay fresh = {.config = &config->overlays[index],
                                 .first_socket = o->first_socket};
    struct overlay_settings old = o->module->settings;
    const char *reason = NULL;

    copy_members(&fresh);
    derive_name_keys(&fresh, keys);
    o->module->settings = settings_of(h, &fresh, config->timers.keepalive);
    if (!o->module->class->reload || o->module->class->reload(o->module, h->now, &old, &reason)) {
        members_free(&fresh);
        o->module->settings = old;
        if (reason)
            host_log_as(h, "overlay", LOG_WARNING,
                        "%s goes on with its old members and options: %s", old.instance, reason);
        return false;
    }
    members_free(o);
    o->members = fresh.members;
    o->member_count = fresh.member_count;
    o->texts = fresh.texts;
    o->text_count = fresh.text_count;
    o->options = fresh.options;
    memcpy(o->name_keys, fresh.name_keys, sizeof o->name_keys);
    o->name_key_count = fresh.name_key_count;
    o->module->settings.name_keys = o->name_keys;
    return true;
}

int host_overlay_of_socket(const struct host *h, uint16_t socket)
{
    for (unsigned i = 0; i < h->overlay_count; i++)
        if (socket >= h->overlay[i].first_socket &&
            socket < h->overlay[i].first_socket + h->overlay[i].module->class->sockets)
            return (int)i;
    return -1;
}

unsigned host_sockets(const struct host *h, struct host_socket *ret, unsigned max)
{
    unsigned count = 0;
    for (unsigned i = 0; i < h->overlay_count; i++) {
        const struct host_overlay *o = &h->overlay[i];
        for (unsigned s = 0; s < o->module->class->sockets && count < max; s++) {
            unsigned l = s < o->config->listen_count ? s : 0;
            ret[count].index = (uint16_t)(o->first_socket + s);
            ret[count].instance = o->config->instance;
            ret[count].listen = o->config->listen[l];
            if (s >= o->config->listen_count)
                ret[count].listen.port = 0;
            count++;
        }
    }
    return count;
}

void host_socket_bound(struct host *h, instant now, uint16_t index, const struct endpoint *at)
{
    static const uint8_t any[16];
    int overlay = host_overlay_of_socket(h, index);
    if (overlay < 0)
        return;
    struct overlay *o = h->overlay[overlay].module;
    struct endpoint local = *at;
    if (!memcmp(local.ip.bytes, any, sizeof any))
        local.ip.family = 0;
    if (o->class->bound)
        o->class->bound(o, now, index, &local);
}

/* ---- what modules say ---- */

/* Runs a recipe on bytes that are not a record of a lane, and sends the result. */
void host_send_recipe(struct host *h, const struct recipe *r, const uint8_t *bytes, size_t size)
{
    enum drop_reason reason = DROP_NO_BUFFER;
    struct packet *p = packet_take(h->pool);

    if (p && packet_fill(p, bytes, size) && recipe_valid(r) && recipe_run(r, p, &reason)) {
        const struct recipe_step *send = recipe_target(r);
        struct host_out *o = host_out_add(h, HOST_OUT_SEND);
        o->socket = send->send.socket;
        o->local = send->send.local;
        o->remote = send->send.remote;
        o->tos = send->send.tos;
        host_out_bytes(h, p->data, p->size);
    } else {
        drop_count(&h->drops, reason);
    }
    packet_give_back(p);
}

static void set_peel(struct host *h, struct host_overlay *o, uint16_t socket,
                     const struct peel_table *peel)
{
    unsigned role = (unsigned)(socket - o->first_socket);
    if (role >= 4)
        return;
    struct peel_table *old = o->peel[role];
    o->peel[role] = base_calloc(1, sizeof *peel);
    *o->peel[role] = *peel;
    fwd_socket_set(h->tables, socket, o->peel[role]);
    if (old)
        epoch_retire(h->epoch, old, free);
}

static void lookup(struct host *h, unsigned overlay, uint32_t id, const char *name)
{
    struct overlay *o = h->overlay[overlay].module;
    if (h->upstreams)
        dns_lookup(h->dns, h->now, (uint64_t)overlay << 32 | id, name);
    else
        o->class->resolved(o, h->now, id, NULL, 0, false,
                           "no DNS server is known: set `dns: upstream:`, or write the member's "
                           "address as numbers");
}

static void overlay_out(struct host *h, unsigned index, const struct overlay_out *o)
{
    switch (o->kind) {
    case OVERLAY_SEND:
        host_send_recipe(h, o->recipe, o->bytes, o->size);
        break;
    case OVERLAY_TUNNEL_UP:
    case OVERLAY_TUNNEL_RECIPE:
        path_tunnel_up(h->path, h->now, o->tunnel, o->recipe);
        break;
    case OVERLAY_TUNNEL_FAILED:
    case OVERLAY_TUNNEL_DOWN:
        path_tunnel_failed(h->path, h->now, o->tunnel, o->unknown_host, o->reason);
        break;
    case OVERLAY_LINK_MESSAGE:
        if (!path_link_message(h->path, h->now, o->tunnel, o->recipe, o->bytes, o->size))
            drop_count(&h->drops, DROP_NO_TUNNEL);
        break;
    case OVERLAY_LINK_WANT:
    case OVERLAY_LINK_RELEASE:
        path_link_want(h->path, h->now, index, o->host, o->kind == OVERLAY_LINK_WANT);
        break;
    case OVERLAY_LOOKUP:
        lookup(h, index, o->lookup, o->name);
        break;
    case OVERLAY_PEEL:
        set_peel(h, &h->overlay[index], o->socket, o->peel);
        break;
    case OVERLAY_RETIRE:
        epoch_retire(h->epoch, o->object, o->retire);
        break;
    }
}

bool host_overlays_pump(struct host *h)
{
    struct overlay_out out;
    bool any = false;
    for (unsigned i = 0; i < h->overlay_count; i++) {
        struct overlay *o = h->overlay[i].module;
        while (o && o->class->output(o, &out)) {
            overlay_out(h, i, &out);
            any = true;
        }
    }
    return any;
}

/* ---- what the path engine wants of modules and sockets ---- */

static void answer(struct host *h, struct overlay *m, const struct path_out *o)
{
    struct recipe r;
    if (m->class->answer(m, &o->from, &r))
        host_send_recipe(h, &r, o->bytes, o->size);
    else
        drop_count(&h->drops, DROP_NO_TUNNEL);
}

void host_path_out(struct host *h, const struct path_out *o)
{
    static const enum overlay_use use[] = {[PATH_USE_IDLE] = OVERLAY_IDLE,
                                           [PATH_USE_BUSY] = OVERLAY_BUSY,
                                           [PATH_USE_QUIET] = OVERLAY_QUIET,
                                           [PATH_USE_SILENT] = OVERLAY_SILENT};
    if (o->kind == PATH_OUT_SEND) {
        struct host_out *out = host_out_add(h, HOST_OUT_SEND);
        out->socket = o->socket;
        out->local = o->local;
        out->remote = o->remote;
        out->tos = o->tos;
        host_out_bytes(h, o->bytes, o->size);
        return;
    }
    struct overlay *m = h->overlay[o->instance].module;
    switch (o->kind) {
    case PATH_OUT_ANSWER:
        answer(h, m, o);
        break;
    case PATH_OUT_TUNNEL_OPEN:
        m->class->tunnel_open(m, h->now, o->tunnel, o->host);
        break;
    case PATH_OUT_TUNNEL_ACCEPT:
        m->class->tunnel_accept(m, h->now, o->tunnel, o->host, &o->from);
        break;
    case PATH_OUT_TUNNEL_MOVED:
        m->class->tunnel_moved(m, h->now, o->tunnel, &o->from);
        break;
    case PATH_OUT_TUNNEL_SUSPECT:
        if (m->class->tunnel_suspect)
            m->class->tunnel_suspect(m, h->now, o->tunnel);
        break;
    case PATH_OUT_TUNNEL_CLOSE:
        m->class->tunnel_close(m, h->now, o->tunnel);
        break;
    case PATH_OUT_TUNNEL_USE:
        if (m->class->tunnel_use)
            m->class->tunnel_use(m, h->now, o->tunnel, use[o->use]);
        break;
    case PATH_OUT_LINK_UP:
        if (m->class->link_up)
            m->class->link_up(m, h->now, o->tunnel, o->host);
        break;
    case PATH_OUT_LINK_DOWN:
        if (m->class->link_down)
            m->class->link_down(m, h->now, o->tunnel, o->host);
        break;
    case PATH_OUT_LINK_MESSAGE:
        if (m->class->link_message)
            m->class->link_message(m, h->now, o->tunnel, &o->from, o->bytes, o->size);
        else
            drop_count(&h->drops, DROP_MODULE);
        break;
    default:
        break;
    }
}
