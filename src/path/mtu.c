/* The largest record that gets through a path, end to end: when it is searched for (how: mtu_search.h).
 *
 * A path begins with what its tunnel and the gateways say.  The first data that goes, or a control message that may be
 * too large, begins a search that confirms it.  From then on it is confirmed again while large records go, every
 * CONFIRM_EVERY, and at once when data is sent and nothing comes back: a way that swallows large records is found before
 * a program's patience ends.  What is less than the tunnel's own MTU is tried larger every `raise`.  Nothing of this
 * happens on a path that is not used, and nothing wakes us for it.
 *
 * Who has no key cannot move an MTU: probes are sealed, their numbers are drawn at random.  The kernel's word (EMSGSIZE)
 * holds for the size that it refused; the size that it names instead is only where the search begins.  A gateway's word
 * (MESSAGE_MTU) is believed, because it can drop what it likes anyway, and is tried again like everything else. */
#include "path/path_internal.h"

#include <syslog.h>

#define CONFIRM_EVERY    (10 * SECOND)
#define SEARCH_SPACING   SECOND
#define ANSWER_SPACING   (300 * MILLISECOND) /* data not answered for longer is suspicious         */
#define LARGE_ON_AVERAGE 400                 /* bytes of data: below that no MTU is in the way */
#define SEARCH_NUMBER    0x80000000u /* numbers of ordinary probes are below               */

static struct mtu_search *search_of(const struct path *p)
{
    return p->work ? p->work->mtu.search : NULL;
}

static void search_free(struct path *p)
{
    if (!p->work)
        return;
    free(p->work->mtu.search);
    p->work->mtu.search = NULL;
}

void path_mtu_free(struct path *p)
{
    search_free(p);
    if (p->work)
        p->work->mtu = (struct path_mtu){0};
}

/* Notes what was sent since the last look.  On average, because lanes do not count sizes; between
 * two looks, because answers to a download make the average of a longer time small. */
static void note_data(struct path *p)
{
    struct path_mtu *m = &path_work(p)->mtu;
    uint64_t records, bytes, least = (p->record_mtu - RECORD_OVERHEAD) / 2u;
    path_session_data_sent(p, &records, &bytes);
    if (least > LARGE_ON_AVERAGE)
        least = LARGE_ON_AVERAGE;
    m->data |= records > m->records;
    m->large |= records > m->records && (bytes - m->bytes) / (records - m->records) >= least;
    m->records = records;
    m->bytes = bytes;
}

/* ---- a search ---- */

static bool ready(const struct path *p, instant now)
{
    return p->state == PATH_STATE_UP && p->fwd && !p->parked && !(p->work && p->work->confirm) &&
           !search_of(p) && path_neighbour_recipe(p->first) &&
           (!p->work || now >= p->work->mtu.search_next);
}

/* Is it time to try more than what is in use? */
static bool may_raise(const struct path *p, instant now)
{
    return p->record_mtu < p->first->most && (!p->work || now >= p->work->mtu.raise_next);
}

static void arm(struct path_engine *e, struct path *p)
{
    instant due = p->timer.place ? p->timer.due : INSTANT_NEVER;
    heap_set(&e->timers, &p->timer, instant_min(due, search_of(p)->next));
}

static void begin(struct path_engine *e, instant now, struct path *p)
{
    struct path_mtu *m = &path_work(p)->mtu;
    uint16_t mtu = p->record_mtu, most = mtu, first = mtu;
    if (may_raise(p, now)) {
        most = p->first->most;
        /* What is known to get through is not asked again, and mostly nothing has changed: the
         * least step more is answered soonest. */
        if (p->mtu_known == PATH_MTU_CONFIRMED)
            first = most - mtu > MTU_SEARCH_GRAIN ? (uint16_t)(mtu + MTU_SEARCH_GRAIN) : most;
    }
    m->search = base_calloc(1, sizeof *m->search);
    m->before = mtu;
    m->search_next = now + SEARCH_SPACING;
    m->data = m->large = false;
    path_mtu_search_begin(m->search, now, mtu, first, most, p->rtt);
    arm(e, p);
}

/* What a link found out is news for everybody who sends through its tunnel. */
static void tell_others(struct path_engine *e, instant now, struct path *link)
{
    for (struct path *p = link->first->paths; p; p = p->first_next)
        if (p != link)
            path_mtu_told(e, now, p, link->record_mtu);
    path_transit_tunnel_mtu(e, now, link->first, link->record_mtu);
}

static void end(struct path_engine *e, instant now, struct path *p)
{
    struct path_mtu *m = &path_work(p)->mtu;
    bool learnt = m->search->low > 0, failed = m->search->failed_any;
    if (learnt)
        m->confirmed = now_floor(now);
    if (learnt || failed)
        p->mtu_known = learnt ? PATH_MTU_CONFIRMED : PATH_MTU_ASSUMED;
    if (failed || m->search->most >= p->first->most)
        m->raise_next = now + e->config->timers.raise;
    search_free(p);
    if (p->record_mtu == m->before || !learnt)
        return;
    path_notice(e, now, LOG_INFO, "path to %s: records of %u bytes get through (before: %u)",
                p->chain, p->record_mtu, m->before);
    if (p->first->link == p && p->record_mtu < m->before)
        tell_others(e, now, p);
}

/* Puts into use what the search says, and sends what it wants to be sent. */
static void step(struct path_engine *e, instant now, struct path *p)
{
    struct mtu_search *s = search_of(p);
    bool due = path_mtu_search_due(s, now);
    if (s->mtu != p->record_mtu) {
        path_session_set_mtu(p, s->mtu);
        path_neighbour_carries(e, p->first, s->low);
    }
    if (due) {
        uint32_t number = SEARCH_NUMBER | (entropy_u32(e->entropy) & ~1u);
        uint16_t size = s->size;
        path_mtu_search_sent(s, now, number);
        path_control_probe_sized(e, now, p, number, size);
        /* Twice: a kernel or a gateway may couple the first to what is before it (GRO takes a last
         * one that is smaller), and a router that drops one drops both. */
        path_control_probe_sized(e, now, p, number + 1, CONTROL_PROBE_LEAST);
        path_control_probe_sized(e, now, p, number + 1, CONTROL_PROBE_LEAST);
    }
    if (s->over)
        end(e, now, p);
}

/* ---- when ---- */

/* Is it time to look again, on a path that is used? */
static bool is_due(struct path *p, instant now)
{
    struct path_mtu *m = &path_work(p)->mtu;
    if (p->mtu_known != PATH_MTU_CONFIRMED)
        return m->data;
    if (!m->large)
        return false;
    bool unanswered = path_session_data_unanswered(p, ANSWER_SPACING + 2 * p->rtt);
    if (!unanswered)
        m->pause = 0;
    if (may_raise(p, now) || now - m->confirmed >= CONFIRM_EVERY)
        return true;
    if (!unanswered || now - m->confirmed < m->pause)
        return false;
    m->pause = m->pause ? instant_min(2 * m->pause, CONFIRM_EVERY) : SEARCH_SPACING;
    return true;
}

void path_mtu_tick(struct path_engine *e, instant now, struct path *p, instant *due)
{
    if (ready(p, now)) {
        note_data(p);
        if (is_due(p, now))
            begin(e, now, p);
    }
    if (search_of(p))
        step(e, now, p);
    if (search_of(p))
        *due = instant_min(*due, search_of(p)->next);
}

void path_mtu_use(struct path_engine *e, instant now, struct path *p)
{
    if (ready(p, now) && p->mtu_known != PATH_MTU_CONFIRMED)
        begin(e, now, p);
}

void path_mtu_wanted(struct path_engine *e, instant now, struct path *link)
{
    if (ready(link, now) && may_raise(link, now))
        begin(e, now, link);
}

/* ---- what others say ---- */

bool path_mtu_reply(struct path_engine *e, instant now, struct path *p, uint32_t number)
{
    if (!search_of(p) || !path_mtu_search_heard(search_of(p), now, number))
        return false;
    arm(e, p);
    return true;
}

/* True: there is a search, and it goes on with less. */
static bool limit_search(struct path_engine *e, instant now, struct path *p, uint16_t limit,
                         uint16_t guess)
{
    struct mtu_search *s = search_of(p);
    if (!s)
        return false;
    path_mtu_search_limit(s, now, limit, guess);
    path_session_set_mtu(p, s->mtu);
    arm(e, p);
    return true;
}

void path_mtu_told(struct path_engine *e, instant now, struct path *p, uint16_t limit)
{
    if (limit < MTU_SEARCH_LEAST || limit_search(e, now, p, limit, limit) || limit >= p->record_mtu)
        return;
    path_session_set_mtu(p, limit);
    p->mtu_known = PATH_MTU_TOLD;
    path_work(p)->mtu.raise_next = now + e->config->timers.raise;
}

static void in_doubt(struct path_engine *e, instant now, struct path *p, enum path_mtu_known known)
{
    p->mtu_known = (uint8_t)known;
    if (p->work)
        p->work->mtu.raise_next = p->work->mtu.search_next = 0;
    uint64_t records, bytes;
    path_session_data_sent(p, &records, &bytes);
    if (records && now - path_session_data_used(p) < 2 * e->config->timers.probe)
        path_mtu_use(e, now, p);
}

void path_mtu_refused(struct path_engine *e, instant now, struct path *p, uint16_t size,
                      uint16_t guess)
{
    if (limit_search(e, now, p, (uint16_t)(size - 1), guess) || p->record_mtu < size)
        return;
    path_session_set_mtu(p, guess);
    in_doubt(e, now, p, PATH_MTU_TOLD);
}

void path_mtu_forget(struct path_engine *e, instant now, struct path *p)
{
    search_free(p);
    in_doubt(e, now, p, PATH_MTU_ASSUMED);
}
