#include <string.h>

#include "path/forward_internal.h"

/* From the socket: peel, then go by the type of what is left.
 *
 *   handshake, cookie, error      -> control
 *   record, label of a gateway    -> forward_transit.c
 *   record, label of a path's end -> lane 0: control; another worker's lane: to it; else open and
 *                                    deliver
 *   record, label of nobody       -> control, a few each second (PATH_ERROR)
 *
 * Nothing that a stranger sends changes any state before record_open() said that it is no stranger,
 * except for counters. */

/* ---- the path ends here ---- */

/* A record opened that came from elsewhere: the neighbour has moved, unless this is an old record.
 */
static void check_moved(struct forward *f, instant now, const struct fwd_path *path,
                        const struct record_opener *opener, const struct record_header *h,
                        const struct arrival *arrival)
{
    uint64_t highest;
    const struct recipe *recipe = fwd_tunnel_recipe(path->tunnel);
    if (!path->one_hop || !recipe || forward_came_from(recipe, arrival, LABEL_LANE(h->label)))
        return;
    /* Another port of another address says nothing about where the neighbour listens. */
    if (LABEL_LANE(h->label) > 1 && recipe->from_any_port)
        return;
    if (!record_opener_highest(opener, &highest) || highest != h->counter)
        return;
    if (f->moved == path && f->moved_at == now)
        return;
    struct packet *empty = packet_take(f->pool);
    if (!empty) {
        drop_count(&f->drops, DROP_NO_BUFFER);
        return;
    }
    f->moved = path;
    f->moved_at = now;
    empty->arrival = *arrival;
    forward_punt(f, PUNT_MOVED, path->id, false, empty);
}

struct record_opener *forward_opener_of(struct lane *lane, const struct record_header *h)
{
    struct lane_opener *o =
        atomic_load_explicit(&lane->opener[h->epoch % LANE_OPENERS], memory_order_acquire);
    return o && o->epoch == h->epoch ? o->opener : NULL;
}

/* A record authenticated. */
static void note_opened(struct incoming *x, size_t size)
{
    forward_count(&x->lane->records_in, 1);
    forward_count(&x->lane->bytes_in, size);
    atomic_store_explicit(&x->lane->heard, x->now, memory_order_relaxed);
    forward_lane_active(x->f, x->path, x->lane);
    check_moved(x->f, x->now, x->path, x->opener, x->header, &x->from->arrival);
}

static void opened(struct incoming *x, struct packet *p)
{
    if (x->header->flags & (RECORD_MORE | RECORD_REST))
        forward_pieces_add(x->f, x->now, x->path, x->lane, x->header, p);
    else
        forward_deliver(x->f, x->now, x->path, x->header->flags, p);
}

static void refused(struct incoming *x, enum drop_reason reason)
{
    forward_drop_on(x->f, x->path, x->alone ? x->from : NULL, reason);
}

/* A packet for a plaintext that was not opened in place, or NULL. */
static struct packet *packet_for(struct incoming *x)
{
    if (x->alone)
        return x->from;
    struct packet *p = packet_take(x->f->pool);
    if (p)
        p->arrival = x->from->arrival;
    return p;
}

/* Opens right behind what is built already (forward_merge.c). */
static void open_behind(struct incoming *x, struct merge *m)
{
    uint8_t saved[COALESCE_HEADER_MAX];
    size_t header = m->build.header_size, size;
    uint8_t *at = m->build.packet->data + m->build.packet->size - header;
    enum drop_reason reason;
    struct packet *p = NULL;
    memcpy(saved, at, header);
    bool good = record_open_to(x->opener, x->record, x->size, x->header, at, &size, &reason);
    if (good) {
        note_opened(x, size);
        if (forward_merge_take(x->f, m, at, size, saved)) {
            packet_give_back(x->alone ? x->from : NULL);
            return;
        }
        p = packet_for(x);
        reason = DROP_NO_BUFFER;
    }
    if (p)
        packet_fill(p, at, size);
    memcpy(at, saved, header);
    if (p)
        opened(x, p);
    else
        refused(x, reason);
}

void forward_open(struct incoming *x)
{
    enum drop_reason reason = DROP_NO_BUFFER;
    size_t size;
    struct merge *m =
        forward_merge_expect(x->f, x->path, x->header->flags, x->from->arrival.ecn, x->size);
    if (m) {
        open_behind(x, m);
        return;
    }
    struct packet *p = packet_for(x);
    uint8_t *text = x->alone ? x->record + RECORD_HEADER : p ? p->data : NULL;
    if (!text || !record_open_to(x->opener, x->record, x->size, x->header, text, &size, &reason)) {
        packet_give_back(x->alone ? NULL : p);
        refused(x, reason);
        return;
    }
    p->data = text;
    p->size = size;
    note_opened(x, size);
    opened(x, p);
}

static void open_alone(struct forward *f, instant now, struct fwd_path *path, struct lane *lane,
                       const struct record_header *h, struct packet *p)
{
    if (!lane) {
        forward_punt(f, PUNT_NEED_KEY, path->id, false, p);
        return;
    }
    struct record_opener *opener = forward_opener_of(lane, h);
    if (!opener) {
        forward_drop_on(f, path, p, DROP_UNKNOWN_EPOCH);
        return;
    }
    struct incoming x = {.f = f,
                         .now = now,
                         .path = path,
                         .lane = lane,
                         .opener = opener,
                         .header = h,
                         .record = p->data,
                         .size = p->size,
                         .from = p,
                         .alone = true};
    forward_open(&x);
}

static void end_record(struct forward *f, instant now, struct fwd_path *path,
                       const struct record_header *h, struct packet *p)
{
    unsigned lane = LABEL_LANE(h->label);
    if (lane >= path->lanes)
        forward_drop_on(f, path, p, DROP_UNKNOWN_LABEL);
    else if (!lane)
        forward_punt(f, PUNT_CONTROL, path->id, false, p);
    else if (forward_lane_worker(f, lane) != f->settings.worker)
        forward_hand_over(f, forward_lane_worker(f, lane), false, p);
    else
        open_alone(f, now, path, fwd_path_lane(path, lane), h, p);
}

/* ---- by label ---- */

/* Answers to records of lane 0 tell a neighbour that its link is gone; the flood of data that went
 * on after we were restarted may not use them up. */
static void unknown_label(struct forward *f, instant now, enum drop_reason reason, bool control,
                          struct packet *p)
{
    if (!forward_bucket_take(&f->unknown_labels[control], PUNTS_A_SECOND, now)) {
        forward_drop(f, p, reason);
        return;
    }
    drop_count(&f->drops, reason);
    forward_punt(f, PUNT_UNKNOWN_LABEL, 0, false, p);
}

struct fwd_label *forward_label_of(struct forward *f, uint32_t value, enum drop_reason *ret_reason)
{
    struct fwd_label *label = fwd_label_find(f->tables, LABEL_SLOT(value));
    if (!label) {
        *ret_reason = DROP_UNKNOWN_LABEL;
        return NULL;
    }
    uint32_t generation = label->path ? label->path->generation : label->transit->generation;
    if ((generation & 0xFF) != LABEL_GENERATION(value)) {
        *ret_reason = DROP_STALE_LABEL;
        return NULL;
    }
    return label;
}

/* Does the packet have to pass a transform before anything else?  Then it is on its way. */
static bool passes_transform(struct forward *f, instant now, const struct fwd_label *label,
                             unsigned lane, struct packet *p)
{
    const struct recipe *recipe =
        fwd_tunnel_recipe(label->path ? label->path->tunnel : label->transit->in);
    if (p->arrival.transformed || !recipe || !recipe->transform)
        return false;
    /* A stranger does not get at the transform.  Should it be the neighbour who has moved, the
     * record opens, control hears of it, and the next recipe knows the new place. */
    if (!forward_came_from(recipe, &p->arrival, lane))
        return false;
    if (forward_transform_worker(f) != f->settings.worker)
        forward_hand_over(f, forward_transform_worker(f), false, p);
    else
        forward_transform_input(f, now, recipe, TRANSFORM_RECEIVING, p);
    return true;
}

static void record(struct forward *f, instant now, struct packet *p)
{
    struct record_header h;
    enum drop_reason reason;
    if (!record_read_header(p->data, p->size, &h)) {
        forward_drop(f, p, DROP_TRUNCATED);
        return;
    }
    if (f->shedding && LABEL_LANE(h.label)) {
        forward_drop(f, p, DROP_OVERLOAD);
        return;
    }
    struct fwd_label *label = forward_label_of(f, h.label, &reason);
    if (!label) {
        unknown_label(f, now, reason, !LABEL_LANE(h.label), p);
        return;
    }
    if (LABEL_LANE(h.label) && passes_transform(f, now, label, LABEL_LANE(h.label), p))
        return;
    if (label->transit)
        forward_transit(f, now, label->transit, &h, p);
    else
        end_record(f, now, label->path, &h, p);
}

/* What one transform says to its twin.  It ends there. */
static void transform_message(struct forward *f, instant now, struct packet *p)
{
    enum drop_reason reason;
    struct reader r = reader_over(p->data, p->size);
    read_u32(&r);
    uint32_t value = read_u32(&r);
    struct fwd_label *label = r.failed ? NULL : forward_label_of(f, value, &reason);
    if (r.failed)
        forward_drop(f, p, DROP_TRUNCATED);
    else if (!label)
        forward_drop(f, p, reason);
    else if (!passes_transform(f, now, label, LABEL_LANE(value), p))
        forward_drop(f, p, DROP_GARBAGE);
}

void forward_message(struct forward *f, instant now, struct packet *p)
{
    uint8_t type = p->size ? p->data[0] : 0;
    if (!p->size)
        forward_drop(f, p, DROP_TRUNCATED);
    else if (type == WIRE_RECORD)
        record(f, now, p);
    else if (type == WIRE_TRANSFORM)
        transform_message(f, now, p);
    else if (type > WIRE_RECORD && type <= WIRE_HIGH)
        forward_punt(f, PUNT_HANDSHAKE, 0, false, p);
    else
        forward_drop(f, p, DROP_GARBAGE);
}

/* ---- by socket ---- */

void forward_datagram(struct forward *f, instant now, const struct peel_table *peel,
                      struct packet *p)
{
    const struct recipe *recipe;
    enum drop_reason reason;
    p->arrival.transformed = false;
    if (!peel) {
        p->arrival.via_size = 0;
        forward_message(f, now, p);
        return;
    }
    switch (peel_run(peel, p, &recipe, &reason)) {
    case PEEL_IS_RECORD:
        forward_message(f, now, p);
        break;
    case PEEL_IS_MODULES:
        forward_punt(f, PUNT_MODULE, 0, false, p);
        break;
    case PEEL_FORWARD:
        forward_send(f, recipe, p->arrival.ecn, p);
        break;
    case PEEL_DROP:
        forward_drop(f, p, reason);
        break;
    }
}

void forward_underlay(struct forward *f, instant now, struct packet **batch, unsigned count)
{
    forward_pieces_sweep(f, now);
    forward_warm_received(f, batch, count);
    for (unsigned i = 0; i < count; i++) {
        const struct peel_table *peel = fwd_socket_peel(f->tables, batch[i]->arrival.socket);
        if (batch[i]->run)
            forward_run(f, now, peel, batch[i]);
        else
            forward_datagram(f, now, peel, batch[i]);
    }
}

void forward_shed(struct forward *f, instant now, struct packet **batch, unsigned count)
{
    f->shedding = true;
    forward_underlay(f, now, batch, count);
    f->shedding = false;
}
