/* Transits: two labels of ours joined for others, and what neighbours say about labels.
 *
 * A transit is made by PATH_OPEN (gateway.c), joins its labels when ACCEPT came, and is forgotten
 * when nothing passed for a while.  What a neighbour on one side says of a label is passed on to
 * the other side, under the label that is known there; each end or gateway on the way does the
 * same, so that it arrives at the path's end. */
#include "path/path_internal.h"

#include <string.h>

struct transit *path_transit_find(struct path_engine *e, const uint8_t id[HANDSHAKE_ID])
{
    struct transit *t;
    HASH_FIND(hh, e->transits, id, HANDSHAKE_ID, t);
    return t;
}

static struct transit_side *other(struct transit_side *s)
{
    return s == &s->transit->in ? &s->transit->out : &s->transit->in;
}

/* ---- life ---- */

static void side_join(struct transit_side *s, struct transit *t, struct neighbour *n)
{
    s->transit = t;
    s->neighbour = n;
    path_neighbour_use(n);
    s->next = n->transits_of;
    s->back = &n->transits_of;
    if (s->next)
        s->next->back = &s->next;
    n->transits_of = s;
}

static void side_leave(struct path_engine *e, struct transit_side *s)
{
    *s->back = s->next;
    if (s->next)
        s->next->back = s->back;
    path_neighbour_release(e, s->neighbour);
}

void path_transit_set_label(struct path_engine *e, struct transit_side *s, uint32_t label_out)
{
    struct transit_side **bucket = &e->side_by_label[label_bucket(label_out)];
    s->label_out = label_out;
    s->label_next = *bucket;
    *bucket = s;
}

static void unset_label(struct path_engine *e, struct transit_side *s)
{
    for (struct transit_side **at = &e->side_by_label[label_bucket(s->label_out)]; *at;
         at = &(*at)->label_next)
        if (*at == s) {
            *at = s->label_next;
            return;
        }
}

struct transit *path_transit_new(struct path_engine *e, instant now, const uint8_t id[HANDSHAKE_ID],
                                 struct neighbour *in, struct neighbour *out)
{
    struct transit *t = base_calloc(1, sizeof *t);
    t->in.slot = path_slot_take(e, SLOT_TRANSIT, t);
    t->out.slot = path_slot_take(e, SLOT_TRANSIT, t);
    if (!t->in.slot || !t->out.slot) {
        if (t->in.slot)
            path_slot_free(e, t->in.slot);
        free(t);
        return NULL;
    }
    memcpy(t->id, id, HANDSHAKE_ID);
    side_join(&t->in, t, in);
    side_join(&t->out, t, out);
    in->transits++;
    in->waiting++;
    t->since = t->used = now;
    HASH_ADD(hh, e->transits, id, HANDSHAKE_ID, t);
    heap_set(&e->transit_timers, &t->timer, instant_after(now, e->config->timers.give_up));
    return t;
}

/* Both labels lead nowhere before anything that they led to is retired. */
void path_transit_free(struct path_engine *e, struct transit *t)
{
    heap_unset(&e->transit_timers, &t->timer);
    HASH_DEL(e->transits, t);
    t->in.neighbour->transits--;
    t->in.neighbour->waiting -= !t->accepted;
    for (unsigned i = 0; i < 2; i++) {
        struct transit_side *s = i ? &t->out : &t->in;
        if (s->fwd)
            fwd_label_clear(e->tables, s->slot);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct transit_side *s = i ? &t->out : &t->in;
        unset_label(e, s);
        if (s->fwd)
            epoch_retire(e->epoch, s->fwd, free);
        path_slot_free(e, s->slot);
        side_leave(e, s);
    }
    free(t->target);
    free(t->open);
    free(t);
}

/* Records from `from` go on to the other side. */
static void join(struct path_engine *e, instant now, struct transit_side *from)
{
    const struct transit_side *to = other(from);
    struct fwd_transit *f = base_calloc(1, sizeof *f);
    f->generation = e->slot[from->slot].generation;
    f->label_out = to->label_out;
    f->in = from->neighbour->fwd;
    f->out = to->neighbour->fwd;
    atomic_store(&f->used, now);
    f->label.transit = f;
    from->fwd = f;
    fwd_label_set(e->tables, from->slot, &f->label);
}

void path_transit_join(struct path_engine *e, instant now, struct transit *t)
{
    join(e, now, &t->in);
    join(e, now, &t->out);
}

static instant last_used(const struct transit *t)
{
    instant used = t->used;
    for (unsigned i = 0; i < 2; i++) {
        struct fwd_transit *f = i ? t->out.fwd : t->in.fwd;
        instant at = f ? atomic_load_explicit(&f->used, memory_order_relaxed) : 0;
        used = at > used ? at : used;
    }
    return used;
}

void path_transit_tick(struct path_engine *e, instant now, struct transit *t)
{
    instant used = last_used(t),
            limit = t->confirmed ? e->config->timers.idle : e->config->timers.give_up;
    if (t->released || now - used >= limit)
        path_transit_free(e, t);
    else
        heap_set(&e->transit_timers, &t->timer, used + limit);
}

/* ---- what is said of labels ---- */

/* Tells a side about the label it gave us: `extra` is an MTU, or -1. */
static void tell(struct path_engine *e, instant now, const struct transit_side *s, uint8_t type,
                 int extra)
{
    uint8_t bytes[7];
    struct writer w = writer_over(bytes, sizeof bytes);
    if (!s->neighbour->link || !s->label_out)
        return;
    write_u8(&w, type);
    write_u32(&w, s->label_out);
    if (extra >= 0)
        write_u16(&w, (uint16_t)extra);
    path_control_send(e, now, s->neighbour->link, bytes, writer_size(&w));
}

/* The side of a transit that this neighbour knows by this label of ours. */
static struct transit_side *side_of(struct path_engine *e, const struct neighbour *from,
                                    uint32_t label)
{
    struct transit *t = path_slot_find(e, label, SLOT_TRANSIT);
    if (!t)
        return NULL;
    struct transit_side *s = LABEL_SLOT(label) == t->in.slot ? &t->in : &t->out;
    return s->neighbour == from ? s : NULL;
}

static struct path *path_of(struct path_engine *e, const struct neighbour *from, uint32_t label)
{
    struct path *p = path_slot_find(e, label, SLOT_PATH);
    return p && p->first == from && !p->one_hop && p->state == PATH_STATE_UP ? p : NULL;
}

/* What one neighbour has passed on uses up what our next neighbour takes from us: it gets a share. */
bool path_transit_may_pass(struct path_engine *e, instant now, struct neighbour *from)
{
    if (path_rate_admits(&from->passed, now, PASSED_PER_LINK))
        return true;
    drop_count(&e->drops, DROP_RATE_LIMITED);
    return false;
}

/* What goes into a lost neighbour leads nowhere: the other side is told, so that it can open again.
 */
void path_transit_link_lost(struct path_engine *e, instant now, struct neighbour *n)
{
    for (struct transit_side *s = n->transits_of; s; s = s->next)
        if (s->transit->accepted)
            tell(e, now, other(s), MESSAGE_ERROR, -1);
}

/* The other side asks its peer before it believes it, but it is not to be asked at a stranger's
 * pace. */
void path_transit_error(struct path_engine *e, instant now, const struct endpoint *from,
                        uint32_t label_out)
{
    struct transit_side *s = e->side_by_label[label_bucket(label_out)];
    while (s && (s->label_out != label_out || !s->transit->accepted ||
                 !path_neighbour_at(s->neighbour, from)))
        s = s->label_next;
    if (!s || now < s->transit->error_next)
        return;
    s->transit->error_next = now + e->config->timers.retry;
    tell(e, now, other(s), MESSAGE_ERROR, -1);
}

void path_transit_label_error(struct path_engine *e, instant now, struct neighbour *from,
                              uint32_t label)
{
    struct path *p = path_of(e, from, label);
    struct transit_side *s = side_of(e, from, label);
    if (p)
        path_alive_suspect(e, now, p);
    else if (s && path_transit_may_pass(e, now, from))
        tell(e, now, other(s), MESSAGE_ERROR, -1);
}

/* The entry stays a moment: the CLOSE that goes with it may be slower than this message. */
void path_transit_label_release(struct path_engine *e, instant now, struct neighbour *from,
                                uint32_t label)
{
    struct transit_side *s = side_of(e, from, label);
    if (!s || s->transit->released || !path_transit_may_pass(e, now, from))
        return;
    s->transit->released = true;
    heap_set(&e->transit_timers, &s->transit->timer, now + RELEASE_PAUSE);
    tell(e, now, other(s), MESSAGE_RELEASE, -1);
}

/* Records larger than `record_mtu` do not get through behind `from`. */
void path_transit_label_mtu(struct path_engine *e, instant now, struct neighbour *from,
                            uint32_t label, uint16_t record_mtu)
{
    struct path *p = path_of(e, from, label);
    struct transit_side *s = side_of(e, from, label);
    if (record_mtu < MTU_SEARCH_LEAST)
        return;
    if (p)
        path_mtu_told(e, now, p, record_mtu);
    else if (s && path_transit_may_pass(e, now, from))
        tell(e, now, other(s), MESSAGE_MTU, record_mtu);
}

void path_transit_tunnel_mtu(struct path_engine *e, instant now, struct neighbour *n,
                             uint16_t record_mtu)
{
    for (struct transit_side *s = n->transits_of; s; s = s->next)
        if (s->transit->accepted)
            tell(e, now, other(s), MESSAGE_MTU, record_mtu);
}

/* A worker met a record that the next tunnel cannot carry. */
void path_transit_too_big(struct path_engine *e, instant now, uint32_t slot)
{
    struct transit *t =
        slot < e->slot_range && e->slot[slot].kind == SLOT_TRANSIT ? e->slot[slot].object : NULL;
    if (!t || !t->accepted)
        return;
    struct transit_side *from = t->in.slot == slot ? &t->in : &t->out;
    struct neighbour *to = other(from)->neighbour;
    tell(e, now, from, MESSAGE_MTU, path_neighbour_tunnel_mtu(to));
    if (to->link)
        path_mtu_wanted(e, now, to->link);
}

/* After a reload: who lost the right to be forwarded loses it now. */
void path_transit_recheck(struct path_engine *e, instant now)
{
    struct transit *t, *next;
    HASH_ITER(hh, e->transits, t, next)
    {
        struct overlay_name name = {0};
        memcpy(name.text, t->out.neighbour->name, strlen(t->out.neighbour->name) + 1);
        if (path_policy_forwards(e, t->in.neighbour->name, overlay_name_instance(&name)))
            continue;
        tell(e, now, &t->in, MESSAGE_ERROR, -1);
        tell(e, now, &t->out, MESSAGE_ERROR, -1);
        path_transit_free(e, t);
    }
}

void path_each_transit(struct path_engine *e,
                       void (*look)(void *context, const struct path_transit_info *info),
                       void *context)
{
    struct transit *t, *next;
    HASH_ITER(hh, e->transits, t, next)
    {
        struct path_transit_info info = {.from = t->in.neighbour->name,
                                         .to = t->out.neighbour->name,
                                         .target = t->target,
                                         .accepted = t->accepted,
                                         .since = t->since,
                                         .idle_since = last_used(t)};
        for (unsigned i = 0; i < 2; i++) {
            struct fwd_transit *f = i ? t->out.fwd : t->in.fwd;
            if (!f)
                continue;
            info.records += atomic_load_explicit(&f->records, memory_order_relaxed);
            info.bytes += atomic_load_explicit(&f->bytes, memory_order_relaxed);
        }
        look(context, &info);
    }
}
