/* Paths that end, or may have: lost, closed, drained, doubted.
 *
 * A path that falls silent is not used any more, but is kept for as long as gateways keep their entries: the other end,
 * which had nothing to say, does not know of the silence and goes on where it stopped.  When the way heals, what it says
 * is understood, and the path is in use again.
 *
 * A doubt drops nothing.  It comes from somebody without our keys (PATH_ERROR that quotes a record
 * of ours), or from a gateway about what lies behind it; the peer is asked, and the same way is
 * opened again beside the old path.  Who can make us doubt can do it again, so each doubt about a
 * peer doubles the pause before the next, which a new path inherits. */
#include "path/path_internal.h"

#include <string.h>
#include <syslog.h>

void path_drain(struct path_engine *e, instant now, struct path *p)
{
    struct work *w = path_work(p);
    p->state = PATH_STATE_DRAINING;
    p->drain_until = now + DRAIN_TIME;
    path_mtu_free(p);
    if (p->first->link == p)
        path_neighbour_set_link(e, p->first, NULL);
    heap_set(&e->timers, &p->timer,
             w->confirm && w->confirm_next < p->drain_until ? w->confirm_next : p->drain_until);
}

/* Paths that still go over this neighbour need a link: for set-up, moves and errors. */
static bool link_needed(const struct neighbour *n)
{
    for (const struct path *p = n->paths; p; p = p->first_next)
        if (!p->one_hop && p->state == PATH_STATE_UP)
            return true;
    return false;
}

static void not_in_use(struct path_engine *e, instant now, struct path *p, bool was_link,
                       const char *reason)
{
    if (p->peer && p->peer->current == p) {
        path_notice(e, now, LOG_INFO, "path to %s is down: %s", p->chain, reason);
        path_stand_leave(e, now, p, reason);
    }
    if (!was_link)
        return;
    path_transit_link_lost(e, now, p->first);
    if (link_needed(p->first))
        path_neighbour_want_link(e, now, p->first, now + e->config->timers.give_up);
}

void path_lost(struct path_engine *e, instant now, struct path *p, const char *reason)
{
    bool was_link = p->first->link == p;
    path_drain(e, now, p);
    path_leave_soon(e, now, p); /* the owner hears of it before the next advance frees it */
    not_in_use(e, now, p, was_link, reason);
}

void path_fell_silent(struct path_engine *e, instant now, struct path *p, const char *reason)
{
    bool was_link = p->first->link == p;
    path_drain(e, now, p);
    p->silent = true;
    p->drain_until = now + e->config->timers.idle;
    heap_set(&e->timers, &p->timer, p->drain_until);
    if (!p->parked)
        path_session_watch(p);
    not_in_use(e, now, p, was_link, reason);
}

void path_heard_again(struct path_engine *e, instant now, struct path *p)
{
    if (p->peer->current || p->lost || p->first->tunnel_state != TUNNEL_UP)
        return;
    path_notice(e, now, LOG_INFO, "path to %s is up again", p->chain);
    path_stand_promote(e, now, p);
}

static void send_close(struct path_engine *e, instant now, struct path *p, const char *reason)
{
    uint8_t bytes[128], release[5];
    struct writer w = writer_over(bytes, sizeof bytes), r = writer_over(release, sizeof release);
    write_u8(&w, MESSAGE_CLOSE);
    write_bytes(&w, reason, strnlen(reason, 100));
    path_control_send(e, now, p, bytes, writer_size(&w));
    if (p->one_hop || !p->first->link)
        return;
    write_u8(&r, MESSAGE_RELEASE); /* the gateway need not wait until the entry expires */
    write_u32(&r, p->label_out);
    path_control_send(e, now, p->first->link, release, sizeof release);
}

void path_forsake(struct path_engine *e, instant now, struct peer *peer)
{
    for (struct path *p = peer->paths; p; p = p->peer_next)
        if (p->state == PATH_STATE_DRAINING)
            path_leave_soon(e, now, p);
}

void path_close(struct path_engine *e, instant now, uint32_t slot, const char *reason)
{
    struct path *p = path_slot_path(e, slot);
    if (!p || p->state != PATH_STATE_UP)
        return;
    send_close(e, now, p, reason);
    path_forsake(e, now, p->peer);
    path_lost(e, now, p, reason);
}

void path_close_all(struct path_engine *e, instant now, const char *reason)
{
    for (unsigned links = 0; links < 2; links++) /* links last: they carry the others' messages */
        for (uint32_t i = 0; i < e->slot_range; i++)
            if (path_slot_path(e, i) && path_slot_path(e, i)->one_hop == (bool)links)
                path_close(e, now, i, reason);
}

void path_alive_suspect(struct path_engine *e, instant now, struct path *p)
{
    struct peer *peer = p->peer;
    instant first = 2 * e->config->timers.retry;
    if (p->state != PATH_STATE_UP || now < peer->reopen_next)
        return;
    bool long_ago = now - peer->reopen_next > 10 * peer->reopen_pause;
    peer->reopen_pause = long_ago || !peer->reopen_pause ? first : 2 * peer->reopen_pause;
    if (peer->reopen_pause > REOPEN_PAUSE_MOST)
        peer->reopen_pause = REOPEN_PAUSE_MOST;
    peer->reopen_next = now + peer->reopen_pause;
    path_control_probe(e, now, p);
    if (peer->current == p || p->first->link == p)
        path_reopen(e, now, p);
}

void path_check_all(struct path_engine *e, instant now)
{
    for (uint32_t i = 0; i < e->slot_range; i++) {
        struct path *p = path_slot_path(e, i);
        if (!p || p->state != PATH_STATE_UP || !p->one_hop)
            continue;
        if (!path_work(p)->unanswered_since)
            path_work(p)->unanswered_since = now_floor(now);
        path_work(p)->probe_sent = 0;
        path_control_probe(e, now, p);
        for (struct path *q = p->first->paths; q; q = q->first_next)
            path_mtu_forget(e, now, q);
    }
}
