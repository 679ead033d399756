/* Link state: every member tells those that it has a link with what it measured towards all others, at the update interval,
 * and at once what concerns an outage.
 *
 * A row is heard over the link, so nobody can speak for somebody else; what a member says about itself may still be wrong.
 * It only ever proposes: once a way is used, what we measure on it ourselves is what counts (ron_route.c). */
#include "overlay/ron/ron_internal.h"

#include <string.h>

#define ROW_PAUSE  SECOND  /* a member that flaps makes no more of them */
#define ROW_SPREAD 4       /* the interval is this share of it long or short, half each */
#define ROW_LATE   0x10000 /* rows that much older than the last one are of a new life, not late */
#define ROW_STALE  4       /* update intervals without a row: the last one says nothing any more */

size_t ron_row_make(struct ron *r, instant now, struct ron_member *to)
{
    struct writer w = writer_over(r->bytes, sizeof r->bytes);
    unsigned count = 0;
    bool forwards = ron_listed(r->options.for_whom, to->host);
    ron_row_begin(&w, ++r->row_sequence);
    for (struct ron_member *m = r->members; m && count < RON_ROW_MAX; m = m->by_host.next) {
        const struct ron_measure *x = &m->near.measure;
        if ((!x->rtt && !x->outage) || !ron_member_probed(r, now, m))
            continue;
        instant rtt = x->rtt / MICROSECOND;
        struct ron_entry e = {.id = m->id,
                              .rtt = rtt < RON_RTT_MAX ? (uint32_t)rtt : RON_RTT_MAX,
                              .loss = (uint8_t)ron_loss(x),
                              .forwards = forwards && ron_listed(r->options.to_whom, m->host)};
        if (x->outage || !m->linked)
            e.rtt = RON_NO_WAY;
        if (writer_left(&w) < 8)
            break;
        ron_row_add(&w, &e);
        count++;
    }
    ron_row_finish(&w, count);
    return writer_size(&w);
}

const struct ron_entry *ron_row_entry(const struct ron *r, const struct ron_member *of, uint32_t id)
{
    unsigned low = 0, high = of->row_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (of->row[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < of->row_count && of->row[low].id == id ? &of->row[low] : NULL;
}

/* The neighbour found no way straight to us.  When it says so through a hop it has gone round already, and what we send the
 * straight way is lost until we do the same; an answer to our own probe says otherwise soon enough. */
static void no_way_to_us(struct ron *r, instant now, struct ron_member *from, uint32_t hop)
{
    const struct ron_entry *us = ron_row_entry(r, from, r->id);
    if (!us || us->rtt != RON_NO_WAY || from->near.measure.outage)
        return;
    if (hop && !from->hop)
        ron_route_told(r, now, from);
    else
        ron_probe_now(r, now, from, &from->near);
}

/* It may know members that we do not, and vouches that those it measured are alive. */
static void news_in_row(struct ron *r, instant now, struct ron_member *from)
{
    for (unsigned i = 0; i < from->row_count; i++) {
        struct ron_member *m = ron_member_by_id(r, from->row[i].id);
        if (!m && from->row[i].id != r->id && !from->ask && from->row[i].rtt != RON_NO_WAY) {
            from->ask = from->row[i].id;
            ron_say(r, from, RON_SAY_ASK);
        }
        if (m && from->row[i].rtt != RON_NO_WAY && !ron_member_gone(m) &&
            m->heard < now - 2 * r->options.update)
            m->heard = now - 2 * r->options.update;
    }
}

void ron_row_heard(struct ron *r, instant now, struct ron_member *from, uint32_t hop,
                   const uint8_t *bytes, size_t size)
{
    uint32_t sequence;
    unsigned count;
    struct ron_entry *row = ron_row_read(bytes, size, &sequence, &count);
    if (!row) {
        r->count[RON_COUNT_BAD_MESSAGE]++;
        return;
    }
    if (from->row && from->row_sequence - sequence < ROW_LATE) {
        r->count[RON_COUNT_STALE_ROW]++;
        free(row);
        return;
    }
    free(from->row);
    from->row = row;
    from->row_count = count;
    from->row_sequence = sequence;
    from->row_heard = now;
    news_in_row(r, now, from);
    no_way_to_us(r, now, from, hop);
    ron_routes_by(r, now, from->id);
}

static void hurry(struct ron *r, struct ron_member *m, instant soonest)
{
    if (soonest < m->row_sent + ROW_PAUSE)
        soonest = m->row_sent + ROW_PAUSE;
    m->row_due = instant_min(m->row_due, soonest);
    ron_due(r, m->row_due);
}

/* An outage began or ended: the member itself is told at once, by whatever way is left; the others too, where ways are to
 * be found fast. */
void ron_rows_hurry(struct ron *r, instant now, struct ron_member *about)
{
    for (struct ron_member *m = r->members; m; m = m->by_host.next)
        if (ron_member_probed(r, now, m) && (m == about || r->options.adaptive))
            hurry(r, m, now);
}

/* A way was measured for the first time: the others do not wait for the next update to learn that we can be a hop there. */
void ron_rows_more(struct ron *r, instant now)
{
    for (struct ron_member *m = r->members; m; m = m->by_host.next)
        if (ron_member_probed(r, now, m))
            hurry(r, m, now + ROW_PAUSE);
}

/* Members that start together would speak together for ever. */
static instant row_pause(struct ron *r)
{
    instant update = r->options.update, spread = update / ROW_SPREAD;
    return update - spread / 2 +
           (instant)entropy_below(r->overlay.settings.entropy,
                                  (uint32_t)(spread / MILLISECOND) + 1) *
               MILLISECOND;
}

void ron_row_advance(struct ron *r, instant now, struct ron_member *m)
{
    if (!ron_member_probed(r, now, m))
        return;
    if (m->row && now - m->row_heard >= ROW_STALE * r->options.update) {
        free(m->row);
        m->row = NULL;
        m->row_count = 0;
        ron_routes_by(r, now, m->id);
    }
    if (now >= m->row_due) {
        m->row_due = now + row_pause(r);
        m->row_sent = now;
        ron_say(r, m, RON_SAY_ROW);
    }
    ron_due(r, m->row_due);
}
