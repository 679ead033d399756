/* Keeping paths alive: one timer per path, and everything that it decides.
 *
 *   opening    repeat message 1 with doubling pauses; give up in the end, with the best reason known
 *   up         CONFIRM until an authenticated record returns; sent but nothing heard for a while:
 *              probe, a few times, then the path is lost; keepalive on links; rekey; old keys go;
 *              idle: park, later close; the MTU (mtu.c)
 *   draining   still opens what is in flight; goes when the time is over and nothing comes any more
 *
 * While a path is idle nothing wakes us but keepalives: lanes are asked to tell of the next record
 * (lane.watch).  Here, and only here, paths are freed. */
#include "path/path_internal.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define SETTLE_PAUSE (10 * MILLISECOND) /* until we look again whether workers have let go */

static instant earlier(instant a, instant b)
{
    return a < b ? a : b;
}

static instant tick_spacing(const struct path_engine *e)
{
    return e->config->timers.probe / 3;
}

/* Is anybody else using this link? */
static bool needed(const struct path *p)
{
    return p->first->users > 1;
}

/* ---- events ---- */

void path_alive_heard(struct path_engine *e, instant now, struct path *p)
{
    struct work *w = path_work(p);
    w->unanswered_since = 0;
    w->probes = 0;
    if (w->confirm) {
        free(w->confirm);
        w->confirm = NULL;
        if (path_session_data_used(p) > p->since)
            path_mtu_use(e, now, p);
    }
    if (!p->confirmed_at)
        p->confirmed_at = now_floor(now);
    if (p->silent)
        path_heard_again(e, now, p);
}

void path_active(struct path_engine *e, instant now, uint32_t slot)
{
    struct path *p = path_slot_path(e, slot);
    if (p && p->silent && path_session_heard(p) >= path_work(p)->unanswered_since)
        path_heard_again(e, now, p);
    else if (p && p->silent)
        path_session_watch(p); /* a worker sent on it that had not heard of the silence */
    if (!p || p->state != PATH_STATE_UP)
        return;
    heap_set(&e->timers, &p->timer,
             earlier(p->timer.place ? p->timer.due : INSTANT_NEVER, now + tick_spacing(e)));
    path_mtu_use(e, now, p);
}

bool path_wake(struct path_engine *e, instant now, uint32_t slot)
{
    struct path *p = path_slot_path(e, slot);
    if (!p || p->state == PATH_STATE_OPENING || !p->fwd)
        return false;
    path_session_wake(e, p);
    path_active(e, now, slot);
    return true;
}

void path_moved(struct path_engine *e, instant now, uint32_t slot, const struct arrival *from)
{
    struct path *p = path_slot_path(e, slot);
    if (p)
        path_move_seen(e, now, p, from);
}

/* ---- the tick ---- */

static void tunnel_suspect(struct path_engine *e, const struct path *p)
{
    struct path_out *o = path_out_add(e, PATH_OUT_TUNNEL_SUSPECT);
    o->instance = p->instance;
    o->tunnel = p->first->tunnel;
}

static void opening_is_over(struct path_engine *e, instant now, struct path *p)
{
    char reason[600];
    double seconds = (double)e->config->timers.give_up / (double)SECOND;
    if (p->opening->hint)
        snprintf(reason, sizeof reason, "%s", p->opening->hint);
    else if (p->one_hop)
        snprintf(reason, sizeof reason,
                 "no answer from %s within %.0f s: is it running, is its address right, does a "
                 "firewall stop UDP?",
                 p->first->name, seconds);
    else
        snprintf(reason, sizeof reason, "no answer from %.*s by way of %s within %.0f s",
                 (int)path_target_size(p), p->chain, p->first->name, seconds);
    path_fail(e, now, p, reason);
}

static void opening_again(struct path_engine *e, instant now, struct path *p)
{
    struct opening *o = p->opening;
    bool unanswered = p->one_hop && o->sent;
    if (p->one_hop)
        path_link_repeat(e, now, p);
    else
        path_open_over_link(e, now, p);
    if (unanswered) /* the neighbour may be elsewhere: another recipe sends OPEN there at once */
        tunnel_suspect(e, p);
    if (o->next <= now)
        o->next = now + e->config->timers.retry;
}

static void tick_opening(struct path_engine *e, instant now, struct path *p)
{
    struct path *link = p->one_hop || p->first->link ? NULL : p->first->opening;
    if (now >= p->opening->limit && link && now >= link->opening->limit) {
        opening_is_over(e, now,
                        link); /* and with it whoever waits for it: it knows the better reason */
        return;
    }
    if (now >= p->opening->limit) {
        opening_is_over(e, now, p);
        return;
    }
    if (now >= p->opening->next)
        opening_again(e, now, p);
    path_alive_schedule(e, now, p);
}

/* Sent but nothing heard: probes, then lost.  True: the path is gone. */
static bool tick_liveness(struct path_engine *e, instant now, struct path *p, instant *due)
{
    struct work *w = path_work(p);
    const struct config_timers *t = &e->config->timers;
    instant heard = path_session_heard(p), sent = path_session_sent(p);

    if (w->unanswered_since && heard >= w->unanswered_since) {
        w->unanswered_since = 0;
        w->probes = 0;
    }
    if (!w->unanswered_since && sent > heard && !w->confirm)
        w->unanswered_since = sent;
    if (!w->unanswered_since)
        return false;
    instant probe_at = w->probes ? w->probe_next : w->unanswered_since + t->probe;
    if (now < probe_at) {
        *due = earlier(*due, probe_at);
        return false;
    }
    path_neighbour_silent(e, now, p->first);
    if (w->probes >= PROBES_BEFORE_LOST) {
        char reason[128];
        snprintf(reason, sizeof reason, "nothing heard for %.1f s",
                 (double)(now - w->unanswered_since) / (double)SECOND);
        if (p->one_hop)
            tunnel_suspect(e, p);
        path_fell_silent(e, now, p, reason);
        return true;
    }
    /* Perhaps it is only that the gateway does not know where we are now: a sealed record of the
     * link tells it. */
    if (w->probes++ && !p->one_hop && p->first->link)
        path_control_hello(e, now, p->first->link);
    w->probe_next = now + t->retry;
    w->probe_sent = 0;
    path_control_probe(e, now, p);
    *due = earlier(*due, w->probe_next);
    return false;
}

/* Data that went and had no answer by the next look: the module may ask its own way long before the path is in doubt. */
static void tick_quiet(struct path_engine *e, instant now, struct path *p, instant *due)
{
    struct work *w = path_work(p);
    instant pause = tick_spacing(e) / 2, heard, sent;
    path_session_data_last(p, &heard, &sent);
    if (sent <= heard) {
        w->data_unanswered = 0;
        return;
    }
    if (!w->data_unanswered || heard >= w->data_unanswered)
        w->data_unanswered = sent;
    else if (now - w->data_unanswered >= pause)
        path_neighbour_quiet(e, now, p->first, pause);
    *due =
        earlier(*due, w->data_unanswered + pause > now ? w->data_unanswered + pause : now + pause);
}

static void tick_old_keys(struct path_engine *e, instant now, struct path *p, instant *due)
{
    struct work *w = path_work(p);
    if (w->old_keys_until && w->done_waits)
        return; /* the responder may still send under them */
    if (w->old_keys_until && now >= w->old_keys_until) {
        path_session_drop_old(e, p);
        w->old_keys_until = 0;
    }
    if (w->old_keys_until)
        *due = earlier(*due, w->old_keys_until);
}

/* How long after they were made are the keys due?  The responder asks only when the initiator
 * should have begun. */
static instant keys_age(const struct path_engine *e, const struct path *p)
{
    instant age = e->config->timers.rekey;
    return p->initiator ? age : age + age / 8 + e->config->timers.retry;
}

static void rekey_step(struct path_engine *e, instant now, struct path *p)
{
    if (!p->initiator)
        path_rekey_ask(e, now, p);
    else if (path_work(p)->done_waits)
        path_rekey_done(e, now, p);
    else
        path_rekey_begin(e, now, p);
}

/* True: the path is gone. */
static bool tick_keys(struct path_engine *e, instant now, struct path *p, instant *due)
{
    struct work *w = path_work(p);
    instant patience = e->config->timers.rekey > MINUTE ? e->config->timers.rekey : MINUTE;
    tick_old_keys(e, now, p, due);
    if (p->parked || w->confirm || w->next)
        return false;
    bool used = path_session_data_used(p) > p->keys_since;
    bool aged = used && now - p->keys_since >= keys_age(e, p);
    bool spent = path_session_counter(p) >= RECORD_REKEY_AT;
    if (w->rekey_since && now - w->rekey_since >= patience) {
        path_lost(e, now, p, "the keys are too old, and the other end does not replace them");
        return true;
    }
    bool under_way = w->rekey_since || w->done_waits;
    if (under_way ? now >= w->rekey_next : (aged || spent) && !w->old_keys_until)
        rekey_step(e, now, p);
    if (w->rekey_since || w->done_waits)
        *due = earlier(*due, w->rekey_next);
    else if (used && !aged)
        *due = earlier(*due, p->keys_since + keys_age(e, p));
    return false;
}

static void tick_keepalive(struct path_engine *e, instant now, struct path *p, instant *due)
{
    const struct recipe *r = path_neighbour_recipe(p->first);
    instant keepalive = e->config->timers.keepalive, sent = path_session_sent(p);
    if (r && r->keepalive)
        keepalive = earlier(r->keepalive, keepalive);
    instant pause = p->initiator ? keepalive : keepalive + keepalive / 2;
    if (now - sent >= pause) {
        path_work(p)->probe_sent = 0;
        path_control_probe(e, now, p); /* its answer keeps the other direction open */
        sent = now;
        *due = earlier(*due, now + tick_spacing(e));
    }
    *due = earlier(*due, sent + pause);
}

/* True: the path is gone. */
static bool tick_idle(struct path_engine *e, instant now, struct path *p, instant *due)
{
    const struct config_timers *t = &e->config->timers;
    instant used = path_session_data_used(p);
    bool link_in_use = p->one_hop && needed(p);

    if (link_in_use)
        p->busy = now;
    instant last = used > p->busy ? used : p->busy;
    if (now - last >= t->close) {
        path_close(e, now, p->slot, "idle");
        return true;
    }
    *due = earlier(*due, last + t->close);
    if (p->one_hop)
        tick_keepalive(e, now, p, due);
    if (now - used < t->park)
        *due = earlier(*due, used + t->park);
    else if (!p->first->wanted && path_session_park(e, p) && !path_session_parked_settle(e, p))
        *due = earlier(*due, now + SETTLE_PAUSE);
    return false;
}

static void tick_up(struct path_engine *e, instant now, struct path *p)
{
    struct work *w = path_work(p);
    instant due = INSTANT_NEVER;

    if (p->parking)
        path_session_parked_settle(e, p);
    if (w->confirm) {
        if (now >= w->confirm_next)
            path_confirm_again(e, now, p);
        if (now - p->since >= e->config->timers.give_up) {
            path_lost(e, now, p, "the peer answered, but never proved that it has the keys");
            return;
        }
        due = earlier(due, w->confirm_next);
    }
    path_mtu_tick(e, now, p, &due);
    if (tick_liveness(e, now, p, &due) || tick_keys(e, now, p, &due) || tick_idle(e, now, p, &due))
        return;
    if (p->parking)
        due = earlier(due, now + SETTLE_PAUSE);
    instant used = path_session_data_used(p), busy = 2 * e->config->timers.probe;
    if (now - used >= busy && !p->parked) {
        path_session_watch(p);
        used = path_session_data_used(p); /* a record that went just before nobody will tell of */
    }
    if (now - used < busy) {
        due = earlier(due, now + tick_spacing(e)); /* in use: look again soon */
        path_neighbour_used(e, p->first);
        tick_quiet(e, now, p, &due);
    } else {
        path_neighbour_idle(e, now, p->first);
    }
    path_rest(p);
    heap_set(&e->timers, &p->timer, due);
}

static void tick_draining(struct path_engine *e, instant now, struct path *p)
{
    struct work *w = path_work(p);
    instant heard = path_session_heard(p), due = p->drain_until;
    if (p->lost && now >= p->drain_until) {
        path_free(e, p);
        return;
    }
    if (w->confirm && now >= w->confirm_next)
        path_confirm_again(e, now, p); /* what we sent on it waits at the other end for this */
    if (now >= p->drain_until) {
        if (!heard || now - heard >= DRAIN_TIME / 3) {
            path_free(e, p);
            return;
        }
        if (!p->peer->current) { /* the peer still sends on it, and we have no other */
            path_stand_promote(e, now, p);
            return;
        }
        due = heard + DRAIN_TIME / 3;
    }
    if (w->confirm)
        due = earlier(due, w->confirm_next);
    heap_set(&e->timers, &p->timer, due);
}

void path_alive_tick(struct path_engine *e, instant now, struct path *p)
{
    if (p->state == PATH_STATE_OPENING)
        tick_opening(e, now, p);
    else if (p->state == PATH_STATE_UP)
        tick_up(e, now, p);
    else
        tick_draining(e, now, p);
}

/* Something happened to the path: its next tick may have to come earlier. */
void path_alive_schedule(struct path_engine *e, instant now, struct path *p)
{
    instant due = p->timer.place ? p->timer.due : INSTANT_NEVER;
    if (p->state == PATH_STATE_OPENING && p->opening)
        due = earlier(p->opening->next, p->opening->limit);
    else if (p->state == PATH_STATE_UP && path_work(p)->confirm)
        due = earlier(due, path_work(p)->confirm_next);
    else if (p->state == PATH_STATE_UP)
        due = earlier(due, now + tick_spacing(e));
    heap_set(&e->timers, &p->timer, due);
}
