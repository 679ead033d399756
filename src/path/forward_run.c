#include <string.h>

#include "path/forward_internal.h"

/* Runs: datagrams of one size that the kernel handed over in one piece.
 *
 * They came from one sender, but what is in them is each its own: records of several paths and
 * lanes, control, messages of the module.  Records that end here are opened out of the run, where
 * they lie behind what the overlay put in front, most of them behind each other into a super-packet;
 * a run that is only passing goes on as it is; anything else is taken out, into a packet of its own,
 * and goes the way of datagrams that come alone. */

/* What the last record of a run was for; the next one mostly is for the same. */
struct known {
    uint32_t label;
    uint8_t epoch;
    struct fwd_path *path; /* NULL: nothing is known */
    struct lane *lane;
    struct record_opener *opener;
};

/* Do records lie in all datagrams, behind the same number of bytes that are only stripped? */
static bool records_lie_in(const struct peel_table *t, const struct packet *run, size_t *ret_front)
{
    *ret_front = 0;
    for (size_t at = 0; t && at < run->size; at += run->run) {
        size_t left = run->size - at, front;
        if (!peel_look(t, run->data + at, left < run->run ? left : run->run, &front) ||
            (at && front != *ret_front))
            return false;
        *ret_front = front;
    }
    return true;
}

/* Takes the bytes in front of each record away: what is left is a run of plain records. */
static void strip_fronts(struct packet *run, size_t front)
{
    uint8_t *to = run->data + front;
    size_t whole = run->size, stride = run->run;
    if (!front)
        return;
    for (size_t at = stride; at < whole; at += stride) {
        size_t left = whole - at, size = (left < stride ? left : stride) - front;
        to += stride - front;
        memmove(to, run->data + at + front, size);
    }
    run->size -= front * packet_count(run);
    run->run -= (uint16_t)front;
    run->data += front;
}

/* Finds out whether records like this one can be opened here, without asking anybody. */
static bool learn(struct forward *f, const struct record_header *h, struct known *k)
{
    enum drop_reason reason;
    unsigned lane = LABEL_LANE(h->label);
    k->path = NULL;
    struct fwd_label *label = forward_label_of(f, h->label, &reason);
    if (!label || !label->path || !lane || lane >= label->path->lanes ||
        forward_lane_worker(f, lane) != f->settings.worker)
        return false;
    const struct recipe *recipe = fwd_tunnel_recipe(label->path->tunnel);
    if (recipe && recipe->transform)
        return false;
    k->lane = fwd_path_lane(label->path, lane);
    k->opener = k->lane ? forward_opener_of(k->lane, h) : NULL;
    if (!k->opener)
        return false;
    k->path = label->path;
    k->label = h->label;
    k->epoch = h->epoch;
    return true;
}

static bool open_here(struct forward *f, instant now, struct packet *run, uint8_t *record,
                      size_t size, struct known *k)
{
    struct record_header h;
    if (!record_read_header(record, size, &h))
        return false;
    if (f->shedding && LABEL_LANE(h.label)) {
        drop_count(&f->drops, DROP_OVERLOAD);
        return true;
    }
    bool same = k->path && h.label == k->label && h.epoch == k->epoch;
    if (!same && !learn(f, &h, k))
        return false;
    struct incoming x = {.f = f,
                         .now = now,
                         .path = k->path,
                         .lane = k->lane,
                         .opener = k->opener,
                         .header = &h,
                         .record = record,
                         .size = size,
                         .from = run};
    forward_open(&x);
    return true;
}

/* One of a run, by itself.  `peeled`: it is what peeling left of it. */
static void take_out(struct forward *f, instant now, const struct peel_table *peel, bool peeled,
                     const struct packet *run, const uint8_t *bytes, size_t size)
{
    struct packet *p = packet_take(f->pool);
    if (!p) {
        drop_count(&f->drops, DROP_NO_BUFFER);
        return;
    }
    packet_fill(p, bytes, size);
    p->arrival = run->arrival;
    if (peeled)
        forward_message(f, now, p);
    else
        forward_datagram(f, now, peel, p);
}

static void drop_run(struct forward *f, struct packet *run, enum drop_reason reason)
{
    for (unsigned more = packet_count(run) - 1; more; more--)
        drop_count(&f->drops, reason);
    forward_drop(f, run, reason);
}

/* The record at `at` of a run, behind its front. */
static bool header_at(const struct packet *run, size_t at, size_t front, struct record_header *ret)
{
    size_t left = run->size - at, size = left < run->run ? left : run->run;
    return record_read_header(run->data + at + front, size - front, ret);
}

/* Another worker whose all the records are; our own number when they are not. */
static unsigned owner_of(struct forward *f, const struct packet *run, size_t front)
{
    unsigned owner = f->settings.worker;
    for (size_t at = 0; at < run->size; at += run->run) {
        struct record_header h;
        enum drop_reason reason;
        if (!header_at(run, at, front, &h))
            return f->settings.worker;
        struct fwd_label *label = forward_label_of(f, h.label, &reason);
        unsigned lane = LABEL_LANE(h.label), worker = forward_lane_worker(f, lane);
        if (!label || !label->path || !lane || (at && worker != owner))
            return f->settings.worker;
        owner = worker;
    }
    return owner;
}

/* Does the run begin with a record that goes on by another tunnel? */
static bool begins_transit(struct forward *f, const struct packet *run, size_t front)
{
    struct record_header h;
    enum drop_reason reason;
    struct fwd_label *label =
        header_at(run, 0, front, &h) ? forward_label_of(f, h.label, &reason) : NULL;
    return label && label->transit;
}

/* Records that end here, or lie between others that do. */
static void open_each(struct forward *f, instant now, const struct peel_table *peel, bool steered,
                      bool all, size_t front, struct packet *p)
{
    struct known known = {0};
    for (size_t at = 0; at < p->size; at += p->run) {
        size_t left = p->size - at, size = left < p->run ? left : p->run, before = front;
        bool here = all || peel_look(peel, p->data + at, size, &before);
        if (here && open_here(f, now, p, p->data + at + before, size - before, &known))
            continue;
        if (!steered)
            before = 0;
        take_out(f, now, peel, steered, p, p->data + at + before, size - before);
    }
    packet_give_back(p);
}

void forward_run(struct forward *f, instant now, const struct peel_table *peel, struct packet *p)
{
    size_t front = 0;
    enum peel_result result;
    enum drop_reason reason;
    const struct recipe *on;
    p->arrival.transformed = false;
    p->arrival.via_size = 0;
    bool steered = peel && peel_steer_run(peel, p, &front, &result, &on, &reason);
    if (steered && result == PEEL_FORWARD) {
        forward_send(f, on, p->arrival.ecn, p);
        return;
    }
    if (steered && result == PEEL_DROP) {
        drop_run(f, p, reason);
        return;
    }
    bool all = steered || records_lie_in(peel, p, &front);
    if (all && !f->shedding && begins_transit(f, p, front)) {
        strip_fronts(p, front);
        peel = front ? NULL : peel;
        front = 0;
        if (forward_transit_run(f, now, p))
            return;
    }
    unsigned owner =
        all && !f->shedding && f->settings.workers > 1 ? owner_of(f, p, front) : f->settings.worker;
    if (owner != f->settings.worker) {
        strip_fronts(p, front);
        forward_hand_over(f, owner, false, p);
        return;
    }
    open_each(f, now, peel, steered, all, front, p);
}
