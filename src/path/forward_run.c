#include <string.h>

#include "path/forward_internal.h"

/* Runs: datagrams of one size that the kernel handed over in one piece.
 *
 * They came from one sender, but what is in them is each its own: records of several paths and
 * lanes, control, messages of the module.  Records that end here are opened out of the run, most of
 * them behind each other into a super-packet; a run that is only passing goes on as it is; anything
 * else is taken out, into a packet of its own, and goes the way of datagrams that come alone. */

/* What the last record of a run was for; the next one mostly is for the same. */
struct known {
    uint32_t label;
    uint8_t epoch;
    struct fwd_path *path; /* NULL: nothing is known */
    struct lane *lane;
    struct record_opener *opener;
};

/* Do records lie open in the datagrams, nothing to be peeled off? */
static bool records_lie_open(const struct peel_table *t)
{
    for (unsigned i = 0; t && i < t->count; i++) {
        const struct peel *peel = &t->peel[i];
        if (peel->first_low <= WIRE_RECORD && peel->first_high >= WIRE_RECORD)
            return peel->count && peel->step[0].verb == PEEL_RECORD;
    }
    return !t;
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

static void take_out(struct forward *f, instant now, const struct peel_table *peel,
                     const struct packet *run, const uint8_t *bytes, size_t size)
{
    struct packet *p = packet_take(f->pool);
    if (!p) {
        drop_count(&f->drops, DROP_NO_BUFFER);
        return;
    }
    packet_fill(p, bytes, size);
    p->arrival = run->arrival;
    forward_datagram(f, now, peel, p);
}

/* Another worker whose all the records are; our own number when they are not. */
static unsigned owner_of(struct forward *f, const struct packet *run)
{
    unsigned owner = f->settings.worker;
    for (size_t at = 0; at < run->size; at += run->run) {
        struct record_header h;
        enum drop_reason reason;
        size_t left = run->size - at;
        if (!record_read_header(run->data + at, left < run->run ? left : run->run, &h))
            return f->settings.worker;
        struct fwd_label *label = forward_label_of(f, h.label, &reason);
        unsigned lane = LABEL_LANE(h.label), worker = forward_lane_worker(f, lane);
        if (!label || !label->path || !lane || (at && worker != owner))
            return f->settings.worker;
        owner = worker;
    }
    return owner;
}

void forward_run(struct forward *f, instant now, const struct peel_table *peel, struct packet *p)
{
    struct known known = {0};
    bool open = records_lie_open(peel);
    p->arrival.transformed = false;
    p->arrival.via_size = 0;
    if (open && !f->shedding && forward_transit_run(f, now, p))
        return;
    unsigned owner =
        open && !f->shedding && f->settings.workers > 1 ? owner_of(f, p) : f->settings.worker;
    if (owner != f->settings.worker) {
        forward_hand_over(f, owner, false, p);
        return;
    }
    for (size_t at = 0; at < p->size; at += p->run) {
        size_t left = p->size - at, size = left < p->run ? left : p->run;
        if (!open || !open_here(f, now, p, p->data + at, size, &known))
            take_out(f, now, peel, p, p->data + at, size);
    }
    packet_give_back(p);
}
