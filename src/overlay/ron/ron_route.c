/* The way to each member: direct, or by one hop, whichever the member's metric says is better.
 *
 *   latency      round trip: that of the direct way; through a hop, ours to it and its to the member
 *   loss         of both parts: 1 - (1 - p)(1 - q)
 *   throughput   what TCP reaches, sqrt(1.5) / (rtt * sqrt(p)) with p at least 2 percent; compared by its square
 *
 * Another way must be better by a share (hysteresis), or the one in use must be out.  The way back to the direct one is
 * taken when that is as good.
 *
 * What others advertise only proposes a hop.  Once in use, the way is probed end to end, and what we measure there counts
 * instead, and is remembered for a while when it is worse than advertised; a hop that does not deliver at all is left out,
 * longer each time. */
#include "overlay/ron/ron_internal.h"

#include <string.h>

#define LOSS_LEAST_TCP 200                 /* of ten thousand */
#define GAIN_LEAST     (500 * MICROSECOND) /* of latency: below that it is noise */
#define LIE            2                   /* measured over advertised: remembered */

/* ---- costs ---- */

static uint64_t cost_of(enum ron_metric metric, instant rtt, unsigned loss)
{
    uint64_t t = (uint64_t)(rtt / (10 * MICROSECOND)) + 1;
    if (t > 1000000)
        t = 1000000;
    if (metric == RON_LATENCY)
        return t;
    if (metric == RON_LOSS)
        return (uint64_t)loss * 1000000 + t; /* of two that lose the same, the shorter */
    return t * t * (loss < LOSS_LEAST_TCP ? LOSS_LEAST_TCP : loss);
}

static struct ron_way measured(const struct ron_member *m, const struct ron_prober *p)
{
    struct ron_way w = {.hop = p->hop,
                        .measured = p->measure.rtt > 0,
                        .rtt = p->measure.rtt,
                        .loss = ron_loss(&p->measure) * 100};
    w.usable = !p->measure.outage;
    w.cost = w.measured ? cost_of(m->metric, w.rtt, w.loss) : UINT64_MAX / 4;
    return w;
}

struct ron_way ron_way_direct(const struct ron_member *m)
{
    struct ron_way w = measured(m, &m->near);
    w.usable = w.usable && m->direct.ip.family;
    return w;
}

static struct ron_tried *tried_find(struct ron_member *m, uint32_t hop)
{
    for (unsigned i = 0; i < RON_TRIED; i++)
        if (m->tried[i].hop == hop)
            return &m->tried[i];
    return NULL;
}

/* So many hops failed us lately that no more is known of who did: while the direct way works nobody new is believed. */
static bool all_doubted(instant now, const struct ron_member *m)
{
    for (unsigned i = 0; i < RON_TRIED; i++)
        if (now >= m->tried[i].until || !m->tried[i].dead)
            return false;
    return !m->near.measure.outage && m->near.measure.rtt;
}

/* What we know of a hop is stronger than what it says.  `resort`: there is no other way, so one that failed us may be tried
 * again, though not at once. */
static void correct(instant now, const struct ron_member *m, struct ron_way *w, bool resort)
{
    const struct ron_tried *t = tried_find((struct ron_member *)m, w->hop);
    if (!t || now >= t->until) {
        w->usable = w->usable && (w->hop == m->hop || !all_doubted(now, m));
        return;
    }
    instant failed = t->until - t->pause;
    w->usable = w->usable && (!t->dead || (resort && now - failed >= RON_RESORT));
    w->rtt = t->rtt > w->rtt ? t->rtt : w->rtt;
    w->loss = t->loss > w->loss ? t->loss : w->loss;
}

static struct ron_way way_by(const struct ron *r, instant now, const struct ron_member *m,
                             const struct ron_member *hop, bool resort)
{
    struct ron_way w = {.hop = hop->id};
    const struct ron_measure *x = &hop->near.measure;
    if (hop == m || !hop->linked || !hop->direct.ip.family || x->outage || !x->rtt ||
        hop->no_through || (r->options.adaptive && x->in_row && m->hop != hop->id))
        return w;
    const struct ron_entry *e = ron_row_entry(r, hop, m->id);
    if (!e || e->rtt == RON_NO_WAY || !e->forwards)
        return w;
    w.usable = true;
    w.rtt = x->rtt + (instant)e->rtt * MICROSECOND;
    w.loss = 10000 - (100 - ron_loss(x)) * (100u - e->loss);
    correct(now, m, &w, resort);
    w.cost = cost_of(m->metric, w.rtt, w.loss);
    return w;
}

static struct ron_way best_of(const struct ron *r, instant now, const struct ron_member *m,
                              bool resort)
{
    struct ron_way best = {.cost = UINT64_MAX};
    for (const struct ron_member *c = r->members; c && !m->no_hops; c = c->by_host.next) {
        struct ron_way w = way_by(r, now, m, c, resort);
        if (w.usable && w.cost < best.cost)
            best = w;
    }
    return best;
}

struct ron_way ron_way_best(const struct ron *r, instant now, const struct ron_member *m)
{
    struct ron_way best = best_of(r, now, m, false);
    if (best.usable || m->hop || ron_way_direct(m).usable)
        return best;
    return best_of(r, now, m, true);
}

struct ron_way ron_way_used(const struct ron *r, const struct ron_member *m)
{
    if (!m->hop)
        return ron_way_direct(m);
    struct ron_way w = measured(m, &m->through);
    const struct ron_member *hop = ron_member_by_id(r, m->hop);
    w.usable = w.usable && hop && hop->linked && hop->direct.ip.family &&
               !hop->near.measure.outage && !m->no_hops;
    return w;
}

/* ---- choosing ---- */

static void use(struct ron *r, instant now, struct ron_member *m, const struct ron_way *w,
                enum ron_reason because)
{
    if (m->hop == w->hop)
        return;
    m->hop = w->hop;
    m->routed_since = now;
    m->because = because;
    r->count[RON_COUNT_FLIPS]++;
    ron_prober_begin(&m->through, w->hop, w->rtt, now);
    ron_due(r, now);
    ron_tunnels_follow(r, now, m);
}

static bool better(const struct ron *r, const struct ron_member *m, const struct ron_way *than,
                   const struct ron_way *w)
{
    uint64_t factor = 100 + r->options.better;
    if (!w->usable)
        return false;
    if (m->metric == RON_THROUGHPUT) { /* squares */
        uint64_t share = 100 + r->options.better_throughput;
        factor = share * share / 100;
    }
    if (m->metric == RON_LATENCY && than->measured && than->rtt - w->rtt < GAIN_LEAST)
        return false;
    return w->cost * factor / 100 < than->cost;
}

/* The way by the hop is measurably worse than the hop said. */
static void remember(struct ron *r, instant now, struct ron_member *m, bool dead)
{
    const struct ron_measure *x = &m->through.measure;
    struct ron_tried *t = tried_find(m, m->hop);
    if (!t) { /* the place of the one whose time is over first */
        t = m->tried;
        for (unsigned i = 1; i < RON_TRIED; i++)
            if (m->tried[i].until < t->until)
                t = &m->tried[i];
    }
    if (t->hop != m->hop)
        *t = (struct ron_tried){.hop = m->hop};
    if (now >= t->until)
        r->count[RON_COUNT_HOPS_DOUBTED]++;
    if (dead || !t->pause || now >= t->until) {
        t->pause = t->pause ? instant_min(2 * t->pause, RON_DOUBT_MOST) : RON_DOUBT;
        t->until = now + t->pause;
    }
    t->dead = dead;
    t->rtt = x->rtt;
    t->loss = ron_loss(x) * 100;
}

static void check_word(struct ron *r, instant now, struct ron_member *m)
{
    const struct ron_member *hop = m->hop ? ron_member_by_id(r, m->hop) : NULL;
    const struct ron_measure *x = &m->through.measure;
    if (!hop || !x->rtt || x->outage)
        return;
    struct ron_way said = way_by(r, now, m, hop, false);
    if (said.usable &&
        (x->rtt > LIE * said.rtt + GAIN_LEAST || ron_loss(x) * 100 > LIE * said.loss + 1000))
        remember(r, now, m, false);
}

void ron_route(struct ron *r, instant now, struct ron_member *m)
{
    check_word(r, now, m);
    struct ron_way used = ron_way_used(r, m), direct = ron_way_direct(m);
    if (!used.usable) {
        struct ron_way best = ron_way_best(r, now, m);
        bool hop = best.usable && (!direct.usable || best.cost < direct.cost);
        uint32_t failed = m->hop;
        use(r, now, m, hop ? &best : &direct, RON_BECAUSE_FAILED);
        if (m->hop != failed && m->linked) {
            m->dead_hop = failed;
            ron_say(r, m, RON_SAY_DEAD);
        }
        return;
    }
    /* A hop that promised to be better has to answer or to fail: left before, it would be believed again at once. */
    bool on_trial = !used.measured && m->because == RON_BECAUSE_BETTER;
    if (m->hop && !on_trial && direct.usable && direct.measured && direct.cost <= used.cost) {
        use(r, now, m, &direct, RON_BECAUSE_AS_GOOD);
        return;
    }
    if (!used.measured)
        return; /* its first answer brings us here again */
    struct ron_way best = ron_way_best(r, now, m);
    if (best.hop != m->hop && better(r, m, &used, &best))
        use(r, now, m, &best, RON_BECAUSE_BETTER);
    else if (m->hop && better(r, m, &used, &direct))
        use(r, now, m, &direct, RON_BECAUSE_BETTER);
}

void ron_routes_by(struct ron *r, instant now, uint32_t hop)
{
    for (struct ron_member *m = r->members; m; m = m->by_host.next) {
        bool out = !m->hop && m->near.measure.outage && m->tunnels;
        if (m->hop == hop || out || m->busy)
            ron_route(r, now, m);
    }
}

void ron_route_failed(struct ron *r, instant now, struct ron_member *m)
{
    if (m->hop) {
        m->through.measure.outage = true;
        remember(r, now, m, true);
    } else if (!m->near.measure.outage) {
        m->near.measure.outage = true;
        m->near.measure.failed_since = now;
        r->count[RON_COUNT_OUTAGES]++;
        ron_rows_hurry(r, now, m);
        ron_probe_now(r, now, m, &m->near);
    }
    ron_route(r, now, m);
}

void ron_route_told(struct ron *r, instant now, struct ron_member *m)
{
    uint32_t before = m->hop;
    ron_route_failed(r, now, m);
    if (m->hop != before)
        m->because = RON_BECAUSE_TOLD;
    ron_unsay(r, m, RON_SAY_DEAD); /* two that tell each other would never end */
}

size_t ron_dead_make(struct ron *r, struct ron_member *to)
{
    struct writer w = writer_over(r->bytes, sizeof r->bytes);
    write_u8(&w, RON_DEAD);
    write_u32(&w, to->dead_hop);
    return writer_size(&w);
}

/* What we send it by that way is lost as well, and we may not notice for long when it goes on talking to us by another.  It
 * is believed: what it says is about the way between the two of us and changes no other. */
void ron_dead_heard(struct ron *r, instant now, struct ron_member *from, uint32_t by,
                    const uint8_t *bytes, size_t size)
{
    struct reader in = reader_over(bytes, size);
    read_u8(&in);
    uint32_t hop = read_u32(&in);
    if (in.failed || reader_left(&in))
        r->count[RON_COUNT_BAD_MESSAGE]++;
    else if (hop == by)
        r->count[RON_COUNT_WRONG_WAY]++;
    else if (from->hop == hop)
        ron_route_told(r, now, from);
}
