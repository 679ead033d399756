/* From a name to a handle: DNS questions, packets to handles whose path is gone, and what becomes of both. */
#include "host/host_internal.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define CHAIN_TEXT (CHAIN_MAX * (NAME_TEXT + 5))

/* ---- failures are remembered for a moment ---- */

void host_fail_remember(struct host *h, const char *chain, const char *reason, bool unknown_host)
{
    struct failure *f;
    HASH_FIND_STR(h->failures, chain, f);
    if (!f) {
        if (HASH_COUNT(h->failures) >= FAILURES_MAX) { /* the one that was made first goes */
            struct failure *oldest = h->failures;
            HASH_DEL(h->failures, oldest);
            free(oldest->chain);
            free(oldest->reason);
            free(oldest);
        }
        f = base_calloc(1, sizeof *f);
        f->chain = base_strdup(chain);
        HASH_ADD_KEYPTR(hh, h->failures, f->chain, strlen(f->chain), f);
    }
    free(f->reason);
    f->reason = base_strdup(reason);
    f->at = h->now;
    f->unknown_host = unknown_host;
}

const struct failure *host_failure(struct host *h, const char *chain)
{
    struct failure *f;
    HASH_FIND_STR(h->failures, chain, f);
    return f;
}

static void failure_free(struct host *h, struct failure *f)
{
    HASH_DEL(h->failures, f);
    free(f->chain);
    free(f->reason);
    free(f);
}

static void forget_failure(struct host *h, const char *chain)
{
    struct failure *f;
    HASH_FIND_STR(h->failures, chain, f);
    if (f)
        failure_free(h, f);
}

void host_fail_forget_all(struct host *h)
{
    struct failure *f, *next;
    HASH_ITER(hh, h->failures, f, next)
    failure_free(h, f);
}

/* ---- routes ---- */

static bool known_way(const struct handle *record, struct name_chain *ret)
{
    const char *fault;
    return record && record->way && name_chain_parse(record->way, ret, &fault);
}

bool host_route(struct host *h, const struct name_chain *asked, struct name_chain *ret,
                char *reason, size_t size)
{
    if (path_route(h->path, asked, ret, reason, size))
        return true;
    return asked->count == 1 && known_way(handle_by_name(h->handles, &asked->hop[0]), ret);
}

static const struct config_overlay *own_name(const struct host *h, const struct name_chain *c)
{
    for (unsigned i = 0; i < h->config->overlay_count; i++)
        if (c->count == 1 && overlay_name_equal(&c->hop[0], &h->config->overlays[i].self))
            return &h->config->overlays[i];
    return NULL;
}

/* ---- DNS ---- */

static void answer_addresses(struct host *h, uint64_t question, const struct ip_address *v4,
                             const struct ip_address *v6)
{
    struct dns_result r = {.kind = DNS_RESULT_ADDRESSES, .v4 = *v4, .v6 = *v6};
    dns_answer(h->dns, h->now, question, &r);
}

static void answer_failure(struct host *h, uint64_t question, bool unknown_host, const char *reason)
{
    struct dns_result r = {
        .kind = unknown_host ? DNS_RESULT_NO_SUCH_HOST : DNS_RESULT_TROUBLE,
        .ede = DNS_EDE_NO_REACHABLE_AUTHORITY,
        .text = reason,
    };
    dns_answer(h->dns, h->now, question, &r);
}

static void answer_handle(struct host *h, uint64_t question, const struct handle *record)
{
    handle_touch(h->handles, h->wall, record->id);
    answer_addresses(h, question, &record->v4, &record->v6);
}

/* A handle whose path stands, for whoever may not start one. */
static const struct handle *standing(struct host *h, const struct name_chain *asked)
{
    const struct handle *record = handle_by_name(h->handles, &asked->hop[asked->count - 1]);
    const struct host_handle *hh = record ? host_handle_find(h, record->id) : NULL;
    return hh && atomic_load(&hh->fwd->path) ? record : NULL;
}

/* Why this user gets no address for the name, before a path is set up for nothing; NULL: he may, or it has one. */
static const char *user_is_full(struct host *h, uint32_t user, const struct overlay_name *name)
{
    uint8_t key[32];
    const char *full = handle_refuses_user(h->handles, user);
    bool has =
        full && (handle_by_name(h->handles, name) ||
                 (path_key_of(h->path, name->text, key) && handle_by_peer(h->handles, name, key)));
    return has ? NULL : full;
}

static void resolve(struct host *h, const struct dns_out *o)
{
    const struct name_chain *asked = &o->resolve.chain;
    struct name_chain way;
    char reason[256], text[CHAIN_TEXT];

    if (own_name(h, asked)) {
        answer_addresses(h, o->resolve.question, &h->tun4, &h->tun6);
        return;
    }
    if (!host_route(h, asked, &way, reason, sizeof reason)) {
        answer_failure(h, o->resolve.question, true, reason);
        return;
    }
    const struct failure *f = host_failure(h, name_chain_format(&way, text, sizeof text));
    if (f && h->now - f->at < FAILURE_REMEMBERED) {
        answer_failure(h, o->resolve.question, f->unknown_host, f->reason);
        return;
    }
    const struct handle *record = o->resolve.start ? NULL : standing(h, asked);
    if (record) {
        answer_addresses(h, o->resolve.question, &record->v4, &record->v6);
        return;
    }
    if (!o->resolve.start || h->stopping) {
        answer_failure(h, o->resolve.question, false,
                       h->stopping ? "the daemon ends" : "no path stands for this name");
        return;
    }
    const char *full = user_is_full(h, o->resolve.user, &asked->hop[asked->count - 1]);
    if (full) {
        answer_failure(h, o->resolve.question, false, full);
        return;
    }
    struct want *w = host_want(h, WANT_QUESTION);
    w->question = o->resolve.question;
    w->user = o->resolve.user;
    *w->asked = *asked;
    *w->way = way;
    path_open(h->path, h->now, &way, w->cookie);
}

static void reverse(struct host *h, const struct dns_out *o)
{
    struct dns_result r = {.kind = DNS_RESULT_NO_SUCH_HOST};
    const struct handle *record = handle_by_address(h->handles, &o->ptr.address);
    if (ip_address_equal(&o->ptr.address, &h->tun4) ||
        ip_address_equal(&o->ptr.address, &h->tun6)) {
        r.kind = DNS_RESULT_NAME;
        r.name = h->config->overlays[0].self.text;
    } else if (record && record->named) { /* else the name has another address now, or none */
        r.kind = DNS_RESULT_NAME;
        r.name = record->name.text;
        handle_touch(h->handles, h->wall, record->id);
    }
    dns_answer(h->dns, h->now, o->ptr.question, &r);
}

static void resolved(struct host *h, const struct dns_out *o)
{
    unsigned index = (unsigned)(o->resolved.lookup >> 32);
    if (index >= h->overlay_count)
        return;
    struct overlay *m = h->overlay[index].module;
    m->class->resolved(m, h->now, (uint32_t)o->resolved.lookup, o->resolved.addresses,
                       o->resolved.count, false, o->resolved.error);
}

void host_dns_out(struct host *h, const struct dns_out *o)
{
    struct host_out *out;
    switch (o->kind) {
    case DNS_OUT_REPLY:
        host_out_add(h, HOST_OUT_DNS_REPLY)->client = o->reply.client;
        host_out_bytes(h, o->reply.bytes, o->reply.size);
        break;
    case DNS_OUT_RESOLVE:
        resolve(h, o);
        break;
    case DNS_OUT_PTR:
        reverse(h, o);
        break;
    case DNS_OUT_UPSTREAM:
        out = host_out_add(h, HOST_OUT_DNS_UPSTREAM);
        out->server = o->upstream.server;
        out->upstream_id = (uint32_t)o->upstream.upstream;
        out->tcp = o->upstream.tcp;
        host_out_bytes(h, o->upstream.bytes, o->upstream.size);
        h->upstream[h->upstream_next].id = (uint32_t)o->upstream.upstream;
        h->upstream[h->upstream_next].server = o->upstream.server;
        h->upstream_next = (h->upstream_next + 1) % UPSTREAMS_REMEMBERED;
        break;
    case DNS_OUT_UPSTREAM_DONE:
        break; /* the owner closes idle sockets by itself */
    case DNS_OUT_RESOLVED:
        resolved(h, o);
        break;
    }
}

/* ---- a packet to a handle without a path ---- */

void host_need_path(struct host *h, uint32_t id, const struct packet *p)
{
    struct host_handle *hh = host_handle_find(h, id);
    const struct handle *record = handle_by_id(h->handles, id);
    struct name_chain asked = {.count = 1}, way;
    char reason[256], text[CHAIN_TEXT];

    if (!hh || !record || h->stopping) {
        drop_count(&h->drops, DROP_NO_PATH);
        return;
    }
    host_handle_wait(h, hh, p);
    if (hh->opening)
        return;
    asked.hop[0] = record->name;
    if (!path_route(h->path, &asked, &way, reason, sizeof reason) && !known_way(record, &way)) {
        host_handle_refuse(h, hh);
        return;
    }
    const struct failure *f = host_failure(h, name_chain_format(&way, text, sizeof text));
    if (f && h->now - f->at < FAILURE_REMEMBERED) {
        host_handle_refuse(h, hh);
        return;
    }
    struct want *w = host_want(h, WANT_HANDLE);
    w->handle = id;
    *w->asked = asked;
    *w->way = way;
    hh->opening = true;
    path_open(h->path, h->now, &way, w->cookie);
}

/* ---- what became of it ---- */

/* Who asked for the host to which a path now stands?  That local user pays for the handle, whichever end's path it is. */
static uint32_t paying_user(struct host *h, const char *name)
{
    struct want *w, *next;
    HASH_ITER(hh, h->wants, w, next)
    if (w->kind == WANT_QUESTION && !strcmp(w->way->hop[w->way->count - 1].text, name))
        return w->user;
    return HANDLE_NO_USER;
}

/* The path stands: it gets the handle of (name, key). */
static const struct handle *give_handle(struct host *h, const struct path_info *info,
                                        const char **ret_reason)
{
    struct overlay_name name = {0};
    memcpy(name.text, info->name, strlen(info->name) + 1);
    const struct handle *record = handle_take(h->handles, h->wall, &name, info->key, info->chain,
                                              paying_user(h, info->name), ret_reason);
    if (!record)
        return NULL;
    struct host_handle *hh = host_handle_get(h, record);
    path_attach(h->path, info->path, &record->v4, &record->v6);
    /* Even if it was lost since: what became of it is said next, and the path of before is gone. */
    atomic_store(&hh->fwd->path, path_forwarding(h->path, info->path));
    host_handle_flush(h, hh);
    return record;
}

void host_path_up(struct host *h, const struct path_out *o)
{
    struct path_info info;
    const char *reason = "the path went away again";
    bool there = path_info(h->path, o->path, &info) && info.key;
    const struct handle *record = there ? give_handle(h, &info, &reason) : NULL;
    struct want *w;

    if (!record)
        host_log(h, LOG_WARNING, "no handle for %s: %s", there ? info.name : "a path", reason);
    else
        forget_failure(h, info.chain);
    if (!o->cookie)
        return;
    HASH_FIND(hh, h->wants, &o->cookie, sizeof o->cookie, w);
    if (!w)
        return;
    if (w->kind == WANT_QUESTION && record)
        answer_handle(h, w->question, record);
    else if (w->kind == WANT_QUESTION)
        answer_failure(h, w->question, false, reason);
    else if (w->kind == WANT_HANDLE && host_handle_find(h, w->handle)) {
        struct host_handle *hh = host_handle_find(h, w->handle);
        hh->opening = false;
        if (!record || record->id != w->handle)
            host_handle_refuse(h, hh); /* the name has another key now */
    } else if (w->kind == WANT_EXPLAIN) {
        control_reply(h->control, h->now, w->client, w->serial, explain_name(h, w->asked, NULL),
                      false);
    } else if (w->kind == WANT_PING) {
        host_ping_up(h, w, o->path);
        return;
    }
    host_want_free(h, w);
}

void host_path_down(struct host *h, const struct path_out *o)
{
    struct path_info info;
    struct overlay_name name = {0};
    if (!path_info(h->path, o->path, &info) || !info.key)
        return;
    memcpy(name.text, info.name, strlen(info.name) + 1);
    const struct handle *record = handle_by_peer(h->handles, &name, info.key);
    struct host_handle *hh = record ? host_handle_find(h, record->id) : NULL;
    struct fwd_path *gone = path_forwarding(h->path, o->path);
    if (hh && atomic_load(&hh->fwd->path) == gone)
        atomic_store(&hh->fwd->path, NULL);
}

void host_path_failed(struct host *h, const struct path_out *o)
{
    struct want *w;
    char text[CHAIN_TEXT];
    HASH_FIND(hh, h->wants, &o->cookie, sizeof o->cookie, w);
    if (!w)
        return;
    host_fail_remember(h, name_chain_format(w->way, text, sizeof text), o->reason, o->unknown_host);
    if (w->kind == WANT_QUESTION) {
        answer_failure(h, w->question, o->unknown_host, o->reason);
    } else if (w->kind == WANT_HANDLE && host_handle_find(h, w->handle)) {
        struct host_handle *hh = host_handle_find(h, w->handle);
        hh->opening = false;
        host_handle_refuse(h, hh);
    } else if (w->kind == WANT_EXPLAIN) {
        control_reply(h->control, h->now, w->client, w->serial,
                      explain_name(h, w->asked, o->reason), false);
    } else if (w->kind == WANT_PING) {
        host_ping_failed(h, w, o->reason);
    }
    host_want_free(h, w);
}
