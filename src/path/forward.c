#include "path/forward.h"

#include <string.h>

#include "base/check.h"
#include "path/forward_internal.h"

/* The frame of the data path: its life, its outputs, and what both directions need for sealing and
 * sending.  The two directions themselves are in files of their own (forward_internal.h).
 *
 * Every packet that comes in leaves in exactly one way: as an output, into a lane's pieces, into a
 * transform, or as a counted drop.  Functions named ..._one, forward_message, forward_deliver and
 * forward_send own their packet to the end; functions that return bool leave a refused packet with
 * their caller. */

#define OUTPUTS_FIRST    256
#define RECORD_LABEL_END 7 /* its last byte: the lane is in there */

struct forward *forward_new(const struct forward_settings *s, struct fwd_tables *t,
                            struct packet_pool *pool)
{
    struct forward *f = base_calloc(1, sizeof *f);
    require(s->workers && s->worker < s->workers && s->workers <= FORWARD_WORKERS_MAX);
    f->settings = *s;
    f->tables = t;
    f->pool = pool;
    f->ours = flow_table_new(s->flows, s->entropy);
    f->theirs = flow_table_new(s->flows, s->entropy);
    f->out_room = OUTPUTS_FIRST;
    f->out = base_calloc(f->out_room, sizeof *f->out);
    return f;
}

void forward_free(struct forward *f)
{
    if (!f)
        return;
    for (; f->out_next < f->out_count; f->out_next++)
        packet_give_back(f->out[f->out_next].packet);
    for (unsigned i = 0; i < f->merges.count; i++)
        packet_give_back(f->merges.item[i].build.packet);
    forward_pieces_done(f);
    flow_table_free(f->ours);
    flow_table_free(f->theirs);
    free(f->out);
    free(f);
}

struct drop_counters *forward_drops(struct forward *f)
{
    return &f->drops;
}

/* ---- in ---- */

void forward_capture(struct forward *f, instant now, struct packet **batch, unsigned count)
{
    forward_warm_captured(f, batch, count);
    for (unsigned i = 0; i < count; i++)
        forward_capture_one(f, now, batch[i]);
}

void forward_handed_over(struct forward *f, instant now, struct packet *p, bool from_capture)
{
    forward_pieces_sweep(f, now);
    if (from_capture)
        forward_capture_one(f, now, p);
    else if (p->run)
        forward_run(f, now, NULL, p);
    else
        forward_message(f, now, p);
}

/* ---- out ---- */

bool forward_output(struct forward *f, struct forward_out *ret)
{
    if (f->out_next == f->out_count && f->merges.count)
        forward_merge_end(f);
    if (f->out_next == f->out_count) {
        f->out_next = f->out_count = 0;
        return false;
    }
    *ret = f->out[f->out_next++];
    return true;
}

struct forward_out *forward_emit(struct forward *f, enum forward_out_kind kind, struct packet *p)
{
    if (f->out_count == f->out_room) {
        f->out_room *= 2;
        f->out = base_realloc(f->out, f->out_room * sizeof *f->out);
    }
    struct forward_out *out = &f->out[f->out_count++];
    *out = (struct forward_out){.kind = kind, .packet = p};
    return out;
}

void forward_drop(struct forward *f, struct packet *p, enum drop_reason reason)
{
    drop_count(&f->drops, reason);
    packet_give_back(p);
}

void forward_drop_on(struct forward *f, struct fwd_path *path, struct packet *p,
                     enum drop_reason reason)
{
    /* Workers share this one. */
    atomic_fetch_add_explicit(&path->drops, 1, memory_order_relaxed);
    forward_drop(f, p, reason);
}

void forward_punt(struct forward *f, enum forward_punt punt, uint32_t id, bool from_capture,
                  struct packet *p)
{
    struct forward_out *out = forward_emit(f, FORWARD_PUNT, p);
    out->punt = punt;
    out->id = id;
    out->from_capture = from_capture;
}

void forward_hand_over(struct forward *f, unsigned worker, bool from_capture, struct packet *p)
{
    struct forward_out *out = forward_emit(f, FORWARD_HANDOVER, p);
    out->worker = worker;
    out->from_capture = from_capture;
}

bool forward_bucket_take(struct bucket *b, unsigned per_second, instant now)
{
    if (now - b->filled >= SECOND || !b->filled) {
        b->filled = now;
        b->left = per_second;
    }
    if (!b->left)
        return false;
    b->left--;
    return true;
}

unsigned forward_lane_worker(const struct forward *f, unsigned lane)
{
    return lane % f->settings.workers;
}

unsigned forward_transform_worker(const struct forward *f)
{
    return forward_lane_worker(f, 1);
}

void forward_lane_active(struct forward *f, const struct fwd_path *path, struct lane *lane)
{
    if (!atomic_load_explicit(&lane->watch, memory_order_relaxed))
        return;
    if (atomic_exchange_explicit(&lane->watch, false, memory_order_relaxed))
        forward_punt(f, PUNT_ACTIVE, path->id, false, NULL);
}

/* ---- sealing and sending ---- */

size_t forward_recipe_mtu(const struct recipe *r)
{
    if (r->mtu)
        return r->mtu;
    return r->overhead < RECORD_MTU_UNKNOWN ? (size_t)RECORD_MTU_UNKNOWN - r->overhead : 0;
}

bool forward_record_make(struct fwd_path *path, struct lane *lane, struct record_sealer *sealer,
                         uint8_t flags, instant now, struct packet *p, enum drop_reason *ret_reason)
{
    size_t size = p->size;
    if (packet_tailroom(p) < RECORD_TAG || !packet_push(p, RECORD_HEADER)) {
        *ret_reason = DROP_OVERSIZED;
        return false;
    }
    p->size = record_seal(sealer, p->data, size, flags, path->label_out | lane->index);
    if (!p->size) {
        p->data += RECORD_HEADER;
        p->size = size;
        *ret_reason = DROP_KEY_SPENT;
        return false;
    }
    forward_record_count(lane, now, 1, size);
    return true;
}

void forward_record_count(struct lane *lane, instant now, unsigned records, size_t bytes)
{
    forward_count(&lane->records_out, records);
    forward_count(&lane->bytes_out, bytes);
    atomic_store_explicit(&lane->sent, now, memory_order_relaxed);
}

/* Of a packet that is not prepended to yet. */
static uint8_t lane_of(const struct packet *p)
{
    bool record = p->size >= RECORD_HEADER && p->data[0] == WIRE_RECORD;
    return record ? LABEL_LANE(p->data[RECORD_LABEL_END]) : 0;
}

static void fill_target(const struct recipe *recipe, uint8_t ecn, uint8_t lane,
                        struct forward_out *out)
{
    const struct recipe_step *target = recipe_target(recipe);
    out->lane = lane;
    out->own_port = recipe->ports_free && lane > 1;
    out->socket = target->send.socket;
    out->local = target->send.local;
    out->remote = target->send.remote;
    out->tos = (uint8_t)(target->send.tos | (ecn & 3));
}

void forward_send_ready(struct forward *f, const struct recipe *recipe, uint8_t ecn, uint8_t lane,
                        struct packet *p)
{
    fill_target(recipe, ecn, lane, forward_emit(f, FORWARD_SEND, p));
}

void forward_send(struct forward *f, const struct recipe *recipe, uint8_t ecn, struct packet *p)
{
    enum drop_reason reason;
    uint8_t lane = lane_of(p);
    if (recipe_run(recipe, p, &reason))
        fill_target(recipe, ecn, lane, forward_emit(f, FORWARD_SEND, p));
    else
        forward_drop(f, p, reason);
}

void forward_send_record(struct forward *f, instant now, const struct recipe *recipe, uint8_t ecn,
                         struct packet *p)
{
    if (recipe->transform) {
        p->arrival.ecn = ecn;
        forward_transform_input(f, now, recipe, TRANSFORM_SENDING, p);
    } else {
        forward_send(f, recipe, ecn, p);
    }
}

bool forward_seal(struct fwd_path *path, struct lane *lane, uint8_t flags, instant now,
                  struct packet *p, struct forward_out *ret, enum drop_reason *ret_reason)
{
    return forward_seal_by(path, lane, NULL, flags, now, p, ret, ret_reason);
}

bool forward_seal_by(struct fwd_path *path, struct lane *lane, const struct recipe *recipe,
                     uint8_t flags, instant now, struct packet *p, struct forward_out *ret,
                     enum drop_reason *ret_reason)
{
    struct record_sealer *sealer = atomic_load_explicit(&lane->sealer, memory_order_acquire);
    if (!recipe)
        recipe = fwd_tunnel_recipe(path->tunnel);
    if (!sealer) {
        *ret_reason = DROP_NO_KEY;
        return false;
    }
    if (!recipe) {
        *ret_reason = DROP_NO_TUNNEL;
        return false;
    }
    if (!forward_record_make(path, lane, sealer, flags, now, p, ret_reason))
        return false;
    if (!recipe_run(recipe, p, ret_reason))
        return false;
    *ret = (struct forward_out){.kind = FORWARD_SEND, .packet = p};
    fill_target(recipe, 0, 0, ret);
    return true;
}

/* ---- helpers ---- */

struct lane *lane_new(uint8_t index)
{
    struct lane *l = base_calloc(1, sizeof *l);
    l->index = index;
    return l;
}

void lane_opener_free(struct lane_opener *o)
{
    if (!o)
        return;
    record_opener_free(o->opener);
    free(o);
}

void lane_free(struct lane *l)
{
    if (!l)
        return;
    record_sealer_free(atomic_load(&l->sealer));
    for (unsigned i = 0; i < LANE_OPENERS; i++)
        lane_opener_free(atomic_load(&l->opener[i]));
    forward_pieces_abandon(l->pieces);
    free(l);
}

uint16_t forward_inner_mtu(uint16_t record_mtu)
{
    uint16_t inner = record_mtu > RECORD_OVERHEAD ? record_mtu - RECORD_OVERHEAD : 0;
    return inner < FORWARD_INNER_MTU_MIN ? FORWARD_INNER_MTU_MIN : inner;
}
