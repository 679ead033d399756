/* Setting paths up, as the initiator; and the life of a path.
 *
 *   opening --ACCEPT--> up --(lost, closed, displaced)--> draining --> gone
 *
 * The initiator may send data as soon as ACCEPT came (one round trip on warm links), and repeats
 * CONFIRM until an authenticated record comes back. */
#include "path/path_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define CHAIN_TEXT (CHAIN_MAX * (NAME_TEXT + 5))

/* ---- names of a path ---- */

static struct path *path_of(const struct hash_link *link)
{
    return (struct path *)((char *)link - offsetof(struct path, by_id));
}

static uint64_t id_hash(const void *context, const struct hash_link *link)
{
    const struct path_engine *e = context;
    return crypto_siphash(e->source_key, path_of(link)->id, HANDSHAKE_ID);
}

void path_table_init(struct path_engine *e)
{
    hash_init(&e->by_id, id_hash, e);
}

void path_set_id(struct path_engine *e, struct path *p, const uint8_t id[HANDSHAKE_ID])
{
    if (p->has_id)
        hash_remove(&e->by_id, &p->by_id);
    memcpy(p->id, id, HANDSHAKE_ID);
    hash_add(&e->by_id, &p->by_id);
    p->has_id = true;
}

struct path *path_of_handshake(struct path_engine *e, const uint8_t id[HANDSHAKE_ID])
{
    uint64_t hash = crypto_siphash(e->source_key, id, HANDSHAKE_ID);
    for (struct hash_link *l = hash_first(&e->by_id, hash); l; l = l->next)
        if (!memcmp(path_of(l)->id, id, HANDSHAKE_ID))
            return path_of(l);
    return NULL;
}

void path_set_label(struct path_engine *e, struct path *p, uint32_t label_out)
{
    struct path **bucket = &e->path_by_label[label_bucket(label_out)];
    p->label_out = label_out;
    p->label_next = *bucket;
    *bucket = p;
}

static void unset_label(struct path_engine *e, struct path *p)
{
    for (struct path **at = &e->path_by_label[label_bucket(p->label_out)]; *at;
         at = &(*at)->label_next)
        if (*at == p) {
            *at = p->label_next;
            return;
        }
}

struct path *path_opening_of(struct path_engine *e, const char *chain)
{
    const struct name_entry *n = path_names_find(e, chain);
    return n ? n->opening : NULL;
}

size_t path_target_size(const struct path *p)
{
    const char *via = strstr(p->chain, ".via."); /* "via" is no label of a name */
    return via ? (size_t)(via - p->chain) : strlen(p->chain);
}

/* ---- life ---- */

static void first_join(struct path *p, struct neighbour *n)
{
    p->first = n;
    path_neighbour_use(n);
    p->first_next = n->paths;
    p->first_back = &n->paths;
    if (n->paths)
        n->paths->first_back = &p->first_next;
    n->paths = p;
}

static void first_leave(struct path_engine *e, struct path *p)
{
    *p->first_back = p->first_next;
    if (p->first_next)
        p->first_next->first_back = p->first_back;
    if (p->first->link == p)
        path_neighbour_set_link(e, p->first, NULL);
    path_neighbour_release(e, p->first);
}

static void opening_new(struct path_engine *e, struct path *p)
{
    struct opening *o = base_calloc(1, sizeof *o);
    p->opening = o;
    o->path = p;
    o->spacing = e->config->timers.retry;
    o->next_of_all = e->openings;
    o->back = &e->openings;
    if (o->next_of_all)
        o->next_of_all->back = &o->next_of_all;
    e->openings = o;
    e->opening_count++;
    path_names_of(p->chain)->opening = p;
}

struct path *path_new(struct path_engine *e, const struct name_chain *chain, bool initiator)
{
    char text[CHAIN_TEXT];
    struct path *p = base_calloc(1, sizeof *p);
    int instance = path_engine_instance(e, overlay_name_instance(&chain->hop[0]));

    require(instance >= 0);
    p->slot = initiator ? path_slot_take(e, SLOT_PATH, p) : 0;
    if (initiator && !p->slot) {
        free(p);
        return NULL;
    }
    p->initiator = initiator;
    p->one_hop = chain->count == 1;
    p->hops = (uint8_t)chain->count;
    p->chain = path_names_take(e, name_chain_format(chain, text, sizeof text));
    p->instance = p->self = (uint16_t)instance;
    first_join(p, path_neighbour_get(e, chain->hop[0].text, p->instance));
    p->state = PATH_STATE_OPENING;
    e->paths++;
    if (initiator)
        opening_new(e, p);
    return p;
}

static void asks_free(struct path *p)
{
    while (p->asks) {
        struct ask *a = p->asks;
        p->asks = a->next;
        free(a);
    }
}

void path_opening_free(struct path_engine *e, struct path *p)
{
    if (!p->opening)
        return;
    struct opening *o = p->opening;
    *o->back = o->next_of_all;
    if (o->next_of_all)
        o->next_of_all->back = o->back;
    e->opening_count--;
    if (path_names_of(p->chain)->opening == p)
        path_names_of(p->chain)->opening = NULL;
    if (p->first->opening == p)
        p->first->opening = NULL;
    noise_done(&p->opening->noise);
    free(p->opening->message);
    free(p->opening->hint);
    free(p->opening);
    p->opening = NULL;
}

void path_free(struct path_engine *e, struct path *p)
{
    heap_unset(&e->timers, &p->timer);
    path_opening_free(e, p);
    asks_free(p);
    path_peer_leave(e, p);
    if (p->has_id)
        hash_remove(&e->by_id, &p->by_id);
    unset_label(e, p);
    path_session_free(e, p);
    path_slot_free(e, p->slot);
    first_leave(e, p);
    crypto_wipe(&p->keys, sizeof p->keys);
    path_work_free(p);
    path_names_give(e, p->chain);
    free(p);
    e->paths--;
}

/* ---- beginning and failing ---- */

void path_hint(struct path *p, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    free(p->opening->hint);
    p->opening->hint = base_strdup(text);
}

void path_begin(struct path_engine *e, instant now, struct path *p, instant limit)
{
    p->opening->limit = limit;
    p->opening->next = now + p->opening->spacing;
    if (p->one_hop)
        path_link_begin(e, now, p);
    else
        path_open_over_link(e, now, p);
    path_alive_schedule(e, now, p);
}

static void failed(struct path_engine *e, uint64_t cookie, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void failed(struct path_engine *e, uint64_t cookie, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    path_out_add(e, PATH_OUT_FAILED)->cookie = cookie;
    path_out_text(e, "%s", text);
}

/* False: it cannot be begun, and was answered. */
static bool may_open(struct path_engine *e, const struct name_chain *chain, const char *text,
                     uint64_t cookie)
{
    if (path_engine_instance(e, overlay_name_instance(&chain->hop[0])) < 0) {
        failed(e, cookie, "%.400s: this host is not in %.64s", text,
               overlay_name_instance(&chain->hop[0]));
        return false;
    }
    for (unsigned i = 0; i < chain->count; i++)
        if (path_engine_is_self(e, chain->hop[i].text)) {
            failed(e, cookie, "%.400s is this host itself", chain->hop[i].text);
            return false;
        }
    return true;
}

void path_open(struct path_engine *e, instant now, const struct name_chain *chain, uint64_t cookie)
{
    char text[CHAIN_TEXT];
    name_chain_format(chain, text, sizeof text);
    struct path *p = path_current_of(e, text);
    if (p) {
        struct path_out *o = path_out_add(e, PATH_OUT_UP);
        o->path = p->slot;
        o->cookie = cookie;
        return;
    }
    if (!may_open(e, chain, text, cookie))
        return;
    p = path_opening_of(e, text);
    bool fresh = !p;
    if (fresh && !(p = path_new(e, chain, true))) {
        failed(e, cookie, "%.400s: no label is free; this host has too many paths", text);
        return;
    }
    struct ask *a = base_calloc(1, sizeof *a);
    a->cookie = cookie;
    a->next = p->asks;
    p->asks = a;
    if (fresh)
        path_begin(e, now, p, now + e->config->timers.give_up);
}

/* Opens the same way again, beside a path that may be dead. */
struct path *path_reopen(struct path_engine *e, instant now, struct path *p)
{
    struct name_chain chain;
    const char *reason;
    if (path_opening_of(e, p->chain) || !name_chain_parse(p->chain, &chain, &reason))
        return NULL;
    struct path *again = path_new(e, &chain, true);
    if (again)
        path_begin(e, now, again, now + e->config->timers.give_up);
    return again;
}

void path_leave_soon(struct path_engine *e, instant now, struct path *p)
{
    p->state = PATH_STATE_DRAINING;
    p->lost = true;
    p->drain_until = now + 1;
    heap_set(&e->timers, &p->timer, p->drain_until);
}

/* Paths that waited for the link that failed fail with it. */
static void fail_waiting(struct path_engine *e, instant now, struct neighbour *n, bool unknown_host,
                         const char *reason)
{
    for (struct path *w = n->paths; w; w = w->first_next) {
        if (w->one_hop || w->state != PATH_STATE_OPENING || !w->opening)
            continue;
        w->opening->unknown_host = unknown_host;
        path_fail(e, now, w, reason);
    }
    path_gateway_link_failed(e, now, n, unknown_host ? REFUSE_UNKNOWN_HOST : REFUSE_UNREACHABLE,
                             reason);
}

void path_fail(struct path_engine *e, instant now, struct path *p, const char *reason)
{
    char text[512];
    bool unknown_host = p->opening->unknown_host;

    snprintf(text, sizeof text, "%s", reason);
    for (struct ask *a = p->asks; a; a = a->next) {
        struct path_out *o = path_out_add(e, PATH_OUT_FAILED);
        o->cookie = a->cookie;
        o->unknown_host = unknown_host;
        path_out_text(e, "%s", text);
    }
    asks_free(p);
    path_opening_free(e, p);
    path_leave_soon(e, now, p);
    if (!p->one_hop || p->first->link)
        return;
    fail_waiting(e, now, p->first, unknown_host, text);
    path_neighbour_link_failed(e, p->first);
}

/* ---- message 2 ---- */

static bool judge_target(struct path_engine *e, instant now, struct path *p, const struct noise *n,
                         const char *said, const struct vouch *vouch, struct judgement *ret)
{
    char target[NAME_TEXT];
    bool vouched = vouch && vouch->present && crypto_equal(vouch->key, n->rs, 32);

    snprintf(target, sizeof target, "%.*s", (int)path_target_size(p), p->chain);
    if (strcmp(said, target)) {
        *ret = (struct judgement){.ok = false};
        snprintf(ret->text, sizeof ret->text, "%.100s answered as %.100s", target, said);
    } else {
        *ret = path_trust_judge(e, target, n->rs, p->one_hop ? (int)p->instance : -1,
                                vouched ? p->first->name : NULL, true);
    }
    if (!ret->ok) {
        drop_count(&e->drops, DROP_NOT_A_MEMBER);
        path_notice(e, now, LOG_WARNING, "refused %s: %s", target, ret->text);
    }
    return ret->ok;
}

/* An empty record: it proves that we have the keys. */
static size_t proof(struct path_engine *e, const struct path *p, const struct noise *n,
                    uint8_t out[NOISE_BLOB_MAX])
{
    uint8_t key[32];
    struct epoch_keys keys = {0};
    path_handshake_keys(n, true, &keys);
    record_lane_key(keys.send, 0, 0, key);
    struct record_sealer *s = record_sealer_new(e->library, p->aead, key, 0, 0);
    size_t size = s ? record_seal(s, out, 0, RECORD_KIND_CONTROL, p->label_out) : 0;
    record_sealer_free(s);
    crypto_wipe(&keys, sizeof keys);
    crypto_wipe(key, sizeof key);
    return size;
}

static size_t message3(struct path_engine *e, const struct path *p, struct noise *n,
                       uint8_t out[NOISE_BLOB_MAX])
{
    struct handshake_payload self = {0};
    uint8_t payload[512];
    struct writer w = writer_over(payload, sizeof payload);
    memcpy(self.name, e->instance[p->self].config->self.text, NAME_TEXT);
    path_handshake_payload_write(&w, &self);
    return noise_write(n, payload, writer_size(&w), out, NOISE_BLOB_MAX);
}

static void make_confirm(struct path_engine *e, struct path *p, struct noise *n)
{
    struct work *work = path_work(p);
    uint8_t blob[NOISE_BLOB_MAX], bytes[NOISE_BLOB_MAX + 64];
    size_t size =
        p->opening->pattern == PATTERN_XX ? message3(e, p, n, blob) : proof(e, p, n, blob);

    require(size);
    struct writer w = writer_over(bytes, sizeof bytes);
    if (p->one_hop) {
        struct clear_reply m = {.type = WIRE_CONFIRM, .id = p->id, .blob = blob, .blob_size = size};
        size = path_clear_reply_write(&m, bytes, sizeof bytes);
    } else {
        write_u8(&w, MESSAGE_CONFIRM);
        write_bytes(&w, p->id, HANDSHAKE_ID);
        write_blob(&w, blob, size);
        size = writer_size(&w);
    }
    work->confirm = base_calloc(1, size);
    work->confirm_size = size;
    memcpy(work->confirm, bytes, size);
}

void path_confirm_again(struct path_engine *e, instant now, struct path *p)
{
    struct work *w = path_work(p);
    if (p->one_hop)
        path_link_send_clear(e, p, w->confirm, w->confirm_size);
    else if (p->first->link)
        path_control_send(e, now, p->first->link, w->confirm, w->confirm_size);
    w->confirm_next = now + w->confirm_spacing;
    w->confirm_spacing *= 2;
}

/* Is this an answer that we can go on with?  `label` came in clear, and on links inside the
 * handshake as well. */
static bool answer_fits(const struct path_engine *e, const struct path *p,
                        const struct handshake_payload *answer, uint32_t label)
{
    uint8_t aead = path_handshake_choose_aead(e, answer->aeads);
    if (answer->label != (p->one_hop ? label : 0))
        return false;
    if (answer->status)
        return true;
    return aead && answer->aeads == 1 << aead && answer->lanes > 0 &&
           answer->lanes < FORWARD_LANES_MAX && label && !(label & 0xF);
}

static void refused(struct path_engine *e, instant now, struct path *p, unsigned status,
                    const struct judgement *j)
{
    char text[400];
    if (status)
        snprintf(text, sizeof text, "%.200s refused us: %s; its log says why", p->chain,
                 path_refuse_text(status));
    else
        snprintf(text, sizeof text, "%s", j->text);
    path_fail(e, now, p, text);
}

static void accepted(struct path_engine *e, instant now, struct path *p, struct noise *n,
                     const struct handshake_payload *answer, const struct judgement *j)
{
    struct epoch_keys keys = {0};
    uint8_t key[32];

    p->aead = path_handshake_choose_aead(e, answer->aeads);
    path_work(p)->confirm_spacing = e->config->timers.retry;
    make_confirm(e, p, n);
    path_handshake_keys(n, true, &keys);
    path_session_create(e, p, answer->lanes);
    path_session_first(e, p, &keys);
    crypto_wipe(&keys, sizeof keys);
    memcpy(key, n->rs, 32);
    path_confirm_again(e, now, p);
    path_stands(e, now, p, answer->name, key, j->text, NULL);
}

void path_accepted(struct path_engine *e, instant now, struct path *p, uint32_t label,
                   uint16_t record_mtu, const struct vouch *vouch, const uint8_t *noise,
                   size_t size)
{
    struct handshake_payload answer;
    uint8_t payload[NOISE_BLOB_MAX];
    size_t payload_size;
    struct judgement j = {.ok = false};
    struct noise n = p->opening->noise;

    if (size > sizeof payload || !noise_read(&n, noise, size, payload, &payload_size) ||
        !path_handshake_payload_read(payload, payload_size, &answer) ||
        !answer_fits(e, p, &answer, label)) {
        drop_count(&e->drops,
                   DROP_BAD_HANDSHAKE); /* a forged reply ends nothing: the state was a copy */
    } else if (answer.status || !judge_target(e, now, p, &n, answer.name, vouch, &j)) {
        refused(e, now, p, answer.status, &j);
    } else {
        uint16_t own = path_neighbour_record_mtu(p->first);
        p->record_mtu = record_mtu < own ? record_mtu : own;
        path_set_label(e, p, label);
        accepted(e, now, p, &n, &answer, &j);
    }
    noise_done(&n);
}
