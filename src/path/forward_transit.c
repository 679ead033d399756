#include "path/forward_internal.h"

/* A gateway between two tunnels: a record's label is swapped, nothing else of it is looked at, and
 * it goes on by the next tunnel.
 *
 * Records of a run that all go on by the same tunnel stay a run: their labels are rewritten where
 * they lie, and the kernel takes the run as it gave it. */

static void oversized(struct forward *f, instant now, uint32_t slot, struct packet *p)
{
    if (!forward_bucket_take(&f->transit_big, PUNTS_A_SECOND, now)) {
        forward_drop(f, p, DROP_OVERSIZED);
        return;
    }
    drop_count(&f->drops, DROP_OVERSIZED);
    p->size = RECORD_HEADER;
    forward_punt(f, PUNT_TRANSIT_BIG, slot, false, p);
}

/* The recipes of both sides.  False: *ret_reason says why the record does not go on. */
static bool judge(const struct fwd_transit *t, const struct arrival *from,
                  const struct record_header *h, const struct recipe **ret_out,
                  enum drop_reason *ret_reason)
{
    const struct recipe *in = fwd_tunnel_recipe(t->in);
    *ret_out = fwd_tunnel_recipe(t->out);
    *ret_reason = DROP_NO_TUNNEL;
    if (!in || !*ret_out)
        return false;
    *ret_reason = DROP_WRONG_ENDPOINT;
    if (!forward_came_from(in, from, LABEL_LANE(h->label)))
        return false;
    *ret_reason = DROP_HOP_LIMIT;
    return h->hops > 0;
}

static void count_transit(struct fwd_transit *t, instant now, unsigned records, size_t bytes)
{
    /* Workers share these. */
    atomic_fetch_add_explicit(&t->records, records, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&t->used, now, memory_order_relaxed);
}

void forward_transit(struct forward *f, instant now, struct fwd_transit *t,
                     const struct record_header *h, struct packet *p)
{
    const struct recipe *out;
    enum drop_reason reason;
    if (!judge(t, &p->arrival, h, &out, &reason)) {
        forward_drop(f, p, reason);
        return;
    }
    if (p->size > forward_recipe_mtu(out)) {
        oversized(f, now, LABEL_SLOT(h->label), p);
        return;
    }
    unsigned lane = LABEL_LANE(h->label);
    if (lane && recipe_has_state(out) && forward_transform_worker(f) != f->settings.worker) {
        forward_hand_over(f, forward_transform_worker(f), false, p);
        return;
    }
    record_swap_label(p->data, t->label_out | lane);
    count_transit(t, now, 1, p->size);
    if (lane)
        forward_send_record(f, now, out, p->arrival.ecn, p);
    else
        forward_send(f, out, p->arrival.ecn, p);
}

/* ---- runs ---- */

/* The transit of a record that may go on inside its run; NULL: it may not, or is something else. */
static struct fwd_transit *transit_of(struct forward *f, const struct arrival *from,
                                      const uint8_t *bytes, size_t size, const struct recipe **out)
{
    struct record_header h;
    const struct recipe *by;
    enum drop_reason reason;
    if (!record_read_header(bytes, size, &h))
        return NULL;
    struct fwd_label *label = forward_label_of(f, h.label, &reason);
    if (!label || !label->transit || !judge(label->transit, from, &h, &by, &reason))
        return NULL;
    const struct recipe *in = fwd_tunnel_recipe(label->transit->in);
    size_t front;
    if (!recipe_has_front(by, &front) || !in || in->transform || size > forward_recipe_mtu(by))
        return NULL;
    if (*out && *out != by)
        return NULL;
    *out = by;
    return label->transit;
}

static void swap_labels(struct packet *p, struct fwd_transit *const *way, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t *record = p->data + (size_t)i * p->run;
        struct record_header h;
        record_read_header(record, RECORD_OVERHEAD, &h);
        record_swap_label(record, way[i]->label_out | LABEL_LANE(h.label));
    }
}

/* Once for each stretch of records that go the same way. */
static void count_ways(const struct packet *p, struct fwd_transit *const *way, unsigned count,
                       instant now)
{
    for (unsigned i = 0, first = 0; i < count; i++) {
        if (i + 1 < count && way[i + 1] == way[first])
            continue;
        size_t from = (size_t)first * p->run,
               to = (i + 1 < count) ? (i + (size_t)1) * p->run : p->size;
        count_transit(way[first], now, i + 1 - first, to - from);
        first = i + 1;
    }
}

/* Each record behind its front, in as many runs as it takes. */
static void send_behind_fronts(struct forward *f, const struct recipe *out, const struct packet *p,
                               size_t front)
{
    size_t stride = p->run + front, most = PACKET_RUN_SIZE / stride;
    struct packet *run = NULL;
    for (size_t at = 0; at < p->size; at += p->run) {
        size_t left = p->size - at, size = left < p->run ? left : p->run;
        if (run && run->size / stride >= most) {
            forward_send_ready(f, out, p->arrival.ecn, 0, run);
            run = NULL;
        }
        if (!run && !(run = packet_take(f->pool))) {
            drop_count(&f->drops, DROP_NO_BUFFER);
            continue;
        }
        uint8_t *to = run->data + run->size + front;
        memcpy(to, p->data + at, size);
        recipe_write_front(out, to, size);
        run->run = run->size ? (uint16_t)stride : 0; /* of one datagram: none */
        run->size += front + size;
    }
    if (run)
        forward_send_ready(f, out, p->arrival.ecn, 0, run);
}

bool forward_transit_run(struct forward *f, instant now, struct packet *p)
{
    struct fwd_transit *way[PACKET_COUNT_MAX];
    const struct recipe *out = NULL;
    unsigned count = packet_count(p);
    if (count > PACKET_COUNT_MAX)
        return false;
    for (unsigned i = 0; i < count; i++) {
        size_t at = (size_t)i * p->run, size = p->size - at < p->run ? p->size - at : p->run;
        way[i] = transit_of(f, &p->arrival, p->data + at, size, &out);
        if (!way[i])
            return false;
    }
    swap_labels(p, way, count);
    count_ways(p, way, count, now);
    size_t front;
    recipe_has_front(out, &front);
    if (front) {
        send_behind_fronts(f, out, p, front);
        packet_give_back(p);
    } else {
        forward_send(f, out, p->arrival.ecn, p);
    }
    return true;
}
