/* Life cycle of the path engine, its slots (what our labels stand for), its outputs, and the door's
 * small functions.
 *
 * Slots are taken at random inside a range that grows, and start with a random generation: after a
 * restart the labels of before lead nowhere, so that peers are told (PATH_ERROR) instead of their
 * records failing to authenticate. */
#include "path/path_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SLOT_RANGE_FIRST 4096
#define CONTROL_PACKETS  8

static void instance_init(struct instance *in, const struct config_overlay *c,
                          const struct path_instance *keys)
{
    in->config = c;
    crypto_ed25519_to_x25519_secret(keys->seed, in->secret_key);
    crypto_x25519_public(in->secret_key, in->public_key);
    path_instance_set_secrets(in, keys->secret, keys->secret_count);
}

void path_instance_set_secrets(struct instance *in, const uint8_t (*secret)[32], unsigned count)
{
    in->psk_count = count ? count : 1;
    in->secret = count > 0;
    memset(in->psk, 0, sizeof in->psk); /* no secret is 32 zero bytes */
    memset(in->mac_key, 0, sizeof in->mac_key);
    for (unsigned i = 0; i < in->psk_count; i++) {
        if (count)
            memcpy(in->psk[i], secret[i], 32);
        crypto_hkdf_expand(in->psk[i], "ocala mac", 9, in->mac_key[i], 32);
    }
}

struct path_engine *path_engine_new(const struct path_settings *s, instant now)
{
    struct path_engine *e = base_calloc(1, sizeof *e);

    e->config = s->config;
    e->instance_count = s->config->overlay_count;
    e->instance = base_calloc(e->instance_count, sizeof *e->instance);
    for (unsigned i = 0; i < e->instance_count; i++)
        instance_init(&e->instance[i], &s->config->overlays[i], &s->instance[i]);
    e->data_lanes = s->data_lanes ? s->data_lanes : 1;
    if (e->data_lanes > FORWARD_LANES_MAX - 1)
        e->data_lanes = FORWARD_LANES_MAX - 1;
    e->prefer_chacha = s->prefer_chacha;
    e->library = aead_library_new(s->library);
    e->tables = s->tables;
    e->epoch = s->epoch;
    e->entropy = s->entropy;
    e->pool = packet_pool_new(CONTROL_PACKETS);
    e->slot_range = SLOT_RANGE_FIRST;
    e->slot = base_calloc(e->slot_range, sizeof *e->slot);
    e->known_last = &e->knowns;
    e->out_last = &e->out_first;
    entropy_fill(e->entropy, e->cookie_secret, sizeof e->cookie_secret);
    e->cookie_since = now;
    path_load_init(e);
    path_names_init(e); /* with the secret that path_load_init() draws */
    path_neighbours_init(e);
    path_table_init(e);
    path_trust_load(e, s->known, s->known_size);
    return e;
}

static void out_free(struct out_node *n)
{
    if (!n)
        return;
    free(n->bytes);
    free(n->text);
    free(n);
}

void path_engine_free(struct path_engine *e)
{
    if (!e)
        return;
    struct half *h, *h_next;
    HASH_ITER(hh, e->halves, h, h_next)
    path_half_free(e, h);
    struct transit *t, *t_next;
    HASH_ITER(hh, e->transits, t, t_next)
    path_transit_free(e, t);
    for (uint32_t i = 0; i < e->slot_range; i++)
        if (path_slot_path(e, i))
            path_free(e, path_slot_path(e, i));
    path_neighbours_release_wanted(e);
    require(!e->tunnels.count && !e->peers && !e->slots_used);
    while (e->out_first) {
        struct out_node *n = e->out_first;
        e->out_first = n->next;
        out_free(n);
    }
    out_free(e->out_given);
    path_trust_free(e);
    path_neighbours_done(e);
    require(!e->names.count);
    hash_done(&e->names);
    hash_done(&e->by_id);
    heap_done(&e->timers);
    heap_done(&e->half_timers);
    heap_done(&e->transit_timers);
    packet_pool_free(e->pool);
    aead_library_free(e->library);
    crypto_wipe(e->instance, e->instance_count * sizeof *e->instance);
    free(e->instance);
    free(e->slot);
    crypto_wipe(e->cookie_secret, sizeof e->cookie_secret);
    free(e);
}

/* ---- slots ---- */

/* False when labels cannot name more. */
static bool slots_grow(struct path_engine *e)
{
    uint32_t range = e->slot_range * 2;
    if (range > LABEL_SLOTS)
        return false;
    e->slot = base_realloc(e->slot, range * sizeof *e->slot);
    memset(e->slot + e->slot_range, 0, (range - e->slot_range) * sizeof *e->slot);
    e->slot_range = range;
    return true;
}

uint32_t path_slot_take(struct path_engine *e, enum slot_kind kind, void *object)
{
    if (e->slots_used >= e->slot_range / 4 * 3 && !slots_grow(e))
        return 0; /* drawing would begin to take long */
    uint32_t i;
    do
        i = 1 + entropy_below(e->entropy,
                              e->slot_range - 1); /* slot 0 is never used: label 0 is "none" */
    while (e->slot[i].kind != SLOT_FREE);
    struct slot *s = &e->slot[i];
    s->generation = s->used ? (uint8_t)(s->generation + 1) : (uint8_t)entropy_u32(e->entropy);
    s->used = true;
    s->kind = (uint8_t)kind;
    s->object = object;
    e->slots_used++;
    return i;
}

void path_slot_free(struct path_engine *e, uint32_t slot)
{
    e->slot[slot].kind = SLOT_FREE;
    e->slot[slot].object = NULL;
    e->slots_used--;
}

void path_slot_change(struct path_engine *e, uint32_t slot, enum slot_kind kind, void *object)
{
    e->slot[slot].kind = (uint8_t)kind;
    e->slot[slot].object = object;
}

uint32_t path_slot_label(const struct path_engine *e, uint32_t slot)
{
    return LABEL(slot, e->slot[slot].generation, 0);
}

struct path *path_slot_path(const struct path_engine *e, uint32_t slot)
{
    return slot < e->slot_range && e->slot[slot].kind == SLOT_PATH ? e->slot[slot].object : NULL;
}

void *path_slot_find(const struct path_engine *e, uint32_t label, enum slot_kind kind)
{
    uint32_t i = LABEL_SLOT(label);
    if (i >= e->slot_range || e->slot[i].kind != kind ||
        e->slot[i].generation != LABEL_GENERATION(label))
        return NULL;
    return e->slot[i].object;
}

/* ---- outputs ---- */

struct path_out *path_out_add(struct path_engine *e, enum path_out_kind kind)
{
    struct out_node *n = base_calloc(1, sizeof *n);
    n->out.kind = kind;
    *e->out_last = n;
    e->out_last = &n->next;
    return &n->out;
}

static struct out_node *newest(struct path_engine *e)
{
    return (struct out_node *)((char *)e->out_last - offsetof(struct out_node, next));
}

void path_out_bytes(struct path_engine *e, const uint8_t *bytes, size_t size)
{
    struct out_node *n = newest(e);
    n->bytes = base_calloc(1, size);
    if (size)
        memcpy(n->bytes, bytes, size);
    n->out.bytes = n->bytes;
    n->out.size = size;
}

void path_out_text(struct path_engine *e, const char *format, ...)
{
    struct out_node *n = newest(e);
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    n->text = base_strdup(text);
    n->out.reason = n->text;
}

void path_out_host(struct path_engine *e, const char *host)
{
    struct out_node *n = newest(e);
    n->text = base_strdup(host);
    n->out.host = n->text;
}

void path_out_forward(struct path_engine *e, const struct forward_out *f)
{
    struct path_out *o = path_out_add(e, PATH_OUT_SEND);
    o->socket = f->socket;
    o->local = f->local;
    o->remote = f->remote;
    o->tos = f->tos;
    path_out_bytes(e, f->packet->data, f->packet->size);
}

void path_notice(struct path_engine *e, instant now, int level, const char *format, ...)
{
    if (now - e->notice_since >= SECOND) {
        e->notice_since = now;
        e->notices = 0;
    }
    if (e->notices++ >= 20)
        return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    path_out_add(e, PATH_OUT_NOTICE)->level = level;
    path_out_text(e, "%s", text);
}

bool path_output(struct path_engine *e, struct path_out *ret)
{
    out_free(e->out_given);
    path_neighbours_settle(e);
    e->out_given = e->out_first;
    if (!e->out_given)
        return false;
    e->out_first = e->out_given->next;
    if (!e->out_first)
        e->out_last = &e->out_first;
    *ret = e->out_given->out;
    return true;
}

/* ---- who we are ---- */

int path_engine_instance(const struct path_engine *e, const char *instance_name)
{
    for (unsigned i = 0; i < e->instance_count; i++)
        if (!strcmp(e->instance[i].config->instance, instance_name))
            return (int)i;
    return -1;
}

bool path_engine_is_self(const struct path_engine *e, const char *name)
{
    for (unsigned i = 0; i < e->instance_count; i++)
        if (!strcmp(e->instance[i].config->self.text, name))
            return true;
    return false;
}

/* ---- the four verbs' common part ---- */

void path_advance(struct path_engine *e, instant now)
{
    struct timer *t;
    while ((t = heap_due(&e->timers, now)))
        path_alive_tick(e, now, (struct path *)((char *)t - offsetof(struct path, timer)));
    while ((t = heap_due(&e->half_timers, now)))
        path_half_free(e, (struct half *)((char *)t - offsetof(struct half, timer)));
    while ((t = heap_due(&e->transit_timers, now)))
        path_transit_tick(e, now, (struct transit *)((char *)t - offsetof(struct transit, timer)));
    epoch_collect(e->epoch);
}

instant path_deadline(const struct path_engine *e)
{
    return instant_min(heap_next(&e->timers),
                       instant_min(heap_next(&e->half_timers), heap_next(&e->transit_timers)));
}

/* Everything of ours on the wire that is not data: messages in clear, and records of lane 0. */
void path_datagram(struct path_engine *e, instant now, unsigned instance,
                   const struct arrival *from, const uint8_t *bytes, size_t size)
{
    if (size == 0 || instance >= e->instance_count)
        drop_count(&e->drops, DROP_TRUNCATED);
    else if (bytes[0] == WIRE_RECORD)
        path_control_record(e, now, from, bytes, size);
    else
        path_link_clear(e, now, instance, from, bytes, size);
}
