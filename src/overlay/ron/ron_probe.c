/* Probing: two askers for each member, one for the direct way and one for the way by the hop in use.
 *
 *   us     PROBE number ------------------>  member
 *          <--------------- REPLY number, own number      our round trip
 *          ACK own number ---------------->               its round trip
 *
 * All three go by the same way, and say which (a probe that came by another is not believed).  One is under way at a time:
 * answered, the next follows after the interval; lost, at once; so many lost in a row, and the way is out, and asked at the
 * interval until an answer comes.
 *
 * `fast` adds two things.  A probe is lost after a few round trips instead of after the longest wait.  And where data goes and
 * none comes back the way is asked at once, and again at the busy interval: data that is answered needs no probes beside it.
 * These come out of a budget that grows with what all other probes cost, so together they are at most twice as many; half of
 * it is kept for ways that have just fallen silent, so that data that never is answered does not use it up.  A way by a hop is
 * asked so with every profile: the paper does not probe these at all. */
#include "overlay/ron/ron_internal.h"

#include <string.h>

#define BUDGET_LEAST 1000 /* thousandths of a probe in a second, however few members there are */
#define QUIET_OVER   (2 * SECOND) /* without a word about silence: there was none               */
#define QUIET_TELLS  (4 * SECOND) /* after data's last answer its silence says something          */
#define QUIET_TOLD   (2 * SECOND) /* so long the other end is told that it had none              */
#define HOP_PAUSE    SECOND       /* between these probes of a way by a hop, with `paper`        */
#define HOP_FIRST    (500 * MILLISECOND) /* the same, before there was any answer                 */
#define HOP_LEAST    (200 * MILLISECOND) /* shortest wait for an answer by a hop                  */
#define WINDOW_LEAST 20                  /* the first loss is not 100 percent */
#define UNPROVEN     2                   /* probes lost on a way that never answered */

/* ---- measuring ---- */

unsigned ron_loss(const struct ron_measure *m)
{
    unsigned count = m->count < WINDOW_LEAST ? WINDOW_LEAST : m->count;
    return m->lost * 100 / count;
}

static void note(struct ron_measure *m, bool lost)
{
    bool oldest = m->window[1] >> (RON_WINDOW - 65) & 1;
    m->window[1] = m->window[1] << 1 | m->window[0] >> 63;
    m->window[0] = m->window[0] << 1 | lost;
    m->lost += lost;
    if (m->count < RON_WINDOW)
        m->count++;
    else
        m->lost -= oldest;
    m->in_row = lost ? m->in_row + 1 : 0;
}

static void note_rtt(struct ron_measure *m, instant rtt)
{
    if (rtt < MICROSECOND)
        rtt = MICROSECOND;
    m->rtt = m->rtt ? (9 * m->rtt + rtt) / 10 : rtt;
}

/* ---- when ---- */

static instant patience(const struct ron *r, const struct ron_prober *p)
{
    const struct ron_options *o = &r->options;
    instant wait = p->measure.rtt ? 4 * p->measure.rtt : p->hop ? 4 * p->said : o->timeout;
    instant least = !p->hop ? o->timeout_least : p->measure.rtt ? HOP_LEAST : HOP_FIRST;
    if (wait < least)
        wait = least;
    return instant_min(wait, o->timeout);
}

/* What probes cost without any silence, in thousandths of a probe in a second: so many more there may be. */
static uint64_t rate(const struct ron *r)
{
    instant mean = r->options.interval + r->options.interval / 6;
    uint64_t usual = (uint64_t)(1000 * SECOND / mean) * r->links;
    return usual < BUDGET_LEAST ? BUDGET_LEAST : usual;
}

/* One more probe than usual, if that is not more than twice what is usual; `first` on a way that has just fallen silent. */
static bool budget_admits(struct ron *r, instant now, bool first)
{
    uint64_t most = 1000 * (uint64_t)r->links; /* saved up: one for each link */
    instant spent = now - r->budget_since;
    if (most < RON_BUDGET)
        most = RON_BUDGET;
    if (spent > 10 * SECOND || spent < 0) {
        r->budget_since = now;
        spent = 10 * SECOND;
    } else {
        spent -= spent % MILLISECOND; /* the rest counts the next time */
        r->budget_since += spent;
    }
    r->budget += rate(r) * (uint64_t)(spent / MILLISECOND) / 1000;
    if (r->budget > most)
        r->budget = most;
    if (r->budget < (first ? 1000 : most / 2))
        return false;
    r->budget -= 1000;
    return true;
}

/* Between two probes of a way that stays silent: all such ways have their turn. */
static instant turn(const struct ron *r, instant now)
{
    instant pause = r->options.adaptive ? r->options.busy : HOP_PAUSE, silent = 0;
    for (const struct ron_member *m = r->members; m; m = m->by_host.next)
        silent += m->quiet && now - m->quiet < QUIET_OVER;
    instant all = silent * 1000 * SECOND / (instant)rate(r);
    return all > pause ? all : pause;
}

static void rest(struct ron *r, instant now, struct ron_prober *p)
{
    const struct ron_options *o = &r->options;
    instant pause = o->interval;
    pause += (instant)entropy_below(r->overlay.settings.entropy,
                                    (uint32_t)(o->interval / 3 / MILLISECOND) + 1) *
             MILLISECOND;
    p->due = now + pause;
}

void ron_prober_begin(struct ron_prober *p, uint32_t hop, instant said, instant due)
{
    *p = (struct ron_prober){.hop = hop, .said = said, .due = due};
}

static void ask(struct ron *r, instant now, struct ron_member *m, struct ron_prober *p)
{
    do
        p->number = entropy_u64(r->overlay.settings.entropy);
    while (!p->number);
    p->sent = now;
    p->due = now + patience(r, p);
    p->say = true;
    ron_say(r, m, RON_SAY_PROBES);
}

void ron_probe_now(struct ron *r, instant now, struct ron_member *m, struct ron_prober *p)
{
    if (!m->linked || p->number || p->due == INSTANT_NEVER)
        return;
    ask(r, now, m, p);
    ron_due(r, p->due);
}

/* The silence may be the fault of the other end's way to us, which the other end does not notice as long as it hears us: it is
 * told. */
void ron_probe_quiet(struct ron *r, instant now, struct ron_member *m, bool own)
{
    struct ron_prober *p = m->hop ? &m->through : &m->near;
    bool first = !m->quiet || now - m->quiet >= QUIET_OVER, ask_it, tell;
    m->quiet = now > 0 ? now : 1;
    if (first)
        m->quiet_since = m->quiet;
    ask_it = (r->options.adaptive || m->hop) && !p->number && !p->measure.outage &&
             (first || now - p->sent >= turn(r, now));
    tell = own && now - m->quiet_since < QUIET_TOLD && (first || now - m->quiet_told >= HOP_PAUSE);
    if (!m->linked || !(ask_it || tell) || !budget_admits(r, now, first && own))
        return; /* what a member says does not use up what is kept for what we see */
    if (ask_it)
        ron_probe_now(r, now, m, p);
    if (tell) {
        m->quiet_told = now;
        ron_say(r, m, RON_SAY_QUIET);
    }
}

/* ---- what probes lead to ---- */

static void outage(struct ron *r, instant now, struct ron_member *m, struct ron_prober *p)
{
    p->measure.outage = true;
    p->measure.failed_since = now;
    if (p == &m->near) {
        r->count[RON_COUNT_OUTAGES]++;
        ron_rows_hurry(r, now, m);
        ron_routes_by(r, now, m->id);
        ron_route(r, now, m);
    } else {
        ron_route_failed(r, now, m);
    }
}

static void lost(struct ron *r, instant now, struct ron_member *m, struct ron_prober *p)
{
    unsigned limit = p->measure.rtt ? r->options.outage : UNPROVEN;
    bool silent = p->hop == m->hop && m->quiet && now - m->quiet_since < QUIET_TELLS;
    if (silent && (r->options.adaptive || p->hop) && limit > UNPROVEN)
        limit = UNPROVEN; /* data that had answers so far counts as well */
    p->number = 0;
    r->count[RON_COUNT_PROBES_LOST]++;
    note(&p->measure, true);
    if (p->measure.outage) {
        rest(r, now, p);
    } else if (p->measure.in_row < limit) {
        ask(r, now, m, p);
    } else {
        rest(r, now, p);
        outage(r, now, m, p);
    }
}

static void advance(struct ron *r, instant now, struct ron_member *m, struct ron_prober *p)
{
    if (now < p->due)
        return;
    if (p->number)
        lost(r, now, m, p);
    else
        ask(r, now, m, p);
}

void ron_probes_advance(struct ron *r, instant now, struct ron_member *m)
{
    if (!ron_member_probed(r, now, m))
        return;
    if (m->direct.ip.family)
        advance(r, now, m, &m->near);
    if (m->hop)
        advance(r, now, m, &m->through);
    if (m->direct.ip.family)
        ron_due(r, m->near.due);
    if (m->hop)
        ron_due(r, m->through.due);
}

/* By a reply to our probe, or by what acknowledges our reply: either may be the first to tell. */
static void measured(struct ron *r, instant now, struct ron_member *m, struct ron_prober *p,
                     instant rtt)
{
    bool first = !p->measure.rtt;
    note_rtt(&p->measure, rtt);
    if (first && p == &m->near)
        ron_rows_more(r, now);
}

static void answered(struct ron *r, instant now, struct ron_member *m, struct ron_prober *p)
{
    bool back = p->measure.outage;
    note(&p->measure, false);
    measured(r, now, m, p, now - p->sent);
    p->measure.outage = false;
    p->measure.heard = now;
    p->number = 0;
    rest(r, now, p);
    ron_due(r, p->due);
    if (back && p == &m->near)
        ron_rows_hurry(r, now, m);
    ron_route(r, now, m);
}

/* ---- messages ---- */

static struct ron_prober *prober_of(struct ron_member *m, uint32_t hop)
{
    if (!hop)
        return &m->near;
    return m->hop == hop ? &m->through : NULL;
}

/* Answers are kept by the way they take; one by a hop that is not ours uses the other's place. */
static void probe_heard(struct ron *r, instant now, struct ron_member *m, const struct ron_probe *q)
{
    struct ron_prober *p = q->hop ? &m->through : &m->near;
    p->reply_to = q->number;
    p->reply = entropy_u64(r->overlay.settings.entropy);
    p->reply_sent = now;
    p->say_reply = true;
    m->reply_hop = q->hop;
    ron_say(r, m, RON_SAY_PROBES);
    if (!q->hop && m->near.measure.outage)
        ron_probe_now(r, now, m, &m->near);
}

void ron_probe_heard(struct ron *r, instant now, struct ron_member *m,
                     const struct arrival *arrival, const uint8_t *bytes, size_t size)
{
    struct ron_probe q;
    if (!ron_probe_read(bytes, size, &q)) {
        r->count[RON_COUNT_BAD_MESSAGE]++;
        return;
    }
    if (q.hop != ron_arrival_hop(arrival)) {
        r->count[RON_COUNT_WRONG_WAY]++;
        return;
    }
    struct ron_prober *p = prober_of(m, q.hop), *other = q.hop ? &m->through : &m->near;
    if (q.type == RON_PROBE) {
        probe_heard(r, now, m, &q);
    } else if (q.type == RON_REPLY && p && p->number && p->number == q.number) {
        p->ack = q.own;
        p->say_ack = true;
        ron_say(r, m, RON_SAY_PROBES);
        answered(r, now, m, p);
    } else if (q.type == RON_ACK && other->reply && other->reply == q.number) {
        other->reply = 0;
        if (p)
            measured(r, now, m, p, now - other->reply_sent);
    } else {
        r->count[RON_COUNT_STALE_PROBE]++;
    }
}

static size_t make(struct ron *r, uint8_t type, uint32_t hop, uint64_t number, uint64_t own)
{
    struct ron_probe q = {.type = type, .hop = hop, .number = number, .own = own};
    return ron_probe_write(&q, r->bytes, sizeof r->bytes);
}

size_t ron_probe_make(struct ron *r, struct ron_member *m, uint32_t *ret_hop)
{
    struct ron_prober *both[] = {&m->near, &m->through};
    for (unsigned i = 0; i < 2; i++) {
        struct ron_prober *p = both[i];
        if (p->say_ack) {
            p->say_ack = false;
            *ret_hop = p->hop;
            return make(r, RON_ACK, p->hop, p->ack, 0);
        }
        if (p->say_reply) {
            p->say_reply = false;
            *ret_hop = i ? m->reply_hop : 0;
            return make(r, RON_REPLY, *ret_hop, p->reply_to, p->reply);
        }
        if (p->say) {
            p->say = false;
            *ret_hop = p->hop;
            r->count[RON_COUNT_PROBES]++;
            return make(r, RON_PROBE, p->hop, p->number, 0);
        }
    }
    return 0;
}
