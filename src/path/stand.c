/* Which path is in use towards a peer.
 *
 * A path that stands replaces another one of the same (name, key): the old one drains, so that
 * nothing in flight is lost. A link stays up as the neighbour's link even while a path over
 * gateways is the current one, because others need it.
 *
 * When two opens cross, both ends must choose the same path.  They crossed when the other end's
 * message 1 does not say that it knew ours (`known`), and came before anything else told us that it
 * has ours: whoever restarted asks later.  A link
 * then wins over a path by way of gateways, else the one whose initiator has the lower key.  While
 * our own opening is not answered yet there is nothing to choose: it is given up for the path that
 * stands.  These two rules are enough: an end has both paths only if message 2 of its own overtook
 * the other's CONFIRM, and then the other's message 1 came early.
 *
 * If the path in use turns out to be dead while another one is heard, that one is taken (promoted):
 * it heals what crossed in the moment of a restart. */
#include "path/path_internal.h"

#include <string.h>

/* ---- peers ---- */

struct path *path_current_of(struct path_engine *e, const char *chain)
{
    const struct name_entry *n = path_names_find(e, chain);
    return n ? n->current : NULL;
}

struct peer *path_peer_by_name(const struct path_engine *e, const char *name)
{
    const struct name_entry *n = path_names_find(e, name);
    return n ? n->peers : NULL;
}

static struct peer *peer_new(struct path_engine *e, const char *name, const uint8_t key[32])
{
    struct peer *peer = base_calloc(1, sizeof *peer), **at;
    memcpy(peer->key, key, 32);
    peer->name = path_names_take(e, name);
    at = &path_names_of(peer->name)->peers;
    if (*at) /* the first stays the first */
        at = &(*at)->same_name;
    peer->same_name = *at;
    *at = peer;
    e->peers++;
    return peer;
}

static struct peer *peer_get(struct path_engine *e, const char *name, const uint8_t key[32],
                             const char *how)
{
    struct peer *peer = path_peer_by_name(e, name);
    while (peer && memcmp(peer->key, key, 32))
        peer = peer->same_name;
    if (!peer)
        peer = peer_new(e, name, key);
    const char *before = peer->how;
    peer->how = path_names_take(e, how);
    path_names_give(e, before);
    return peer;
}

static void peer_free(struct path_engine *e, struct peer *peer)
{
    struct peer **at = &path_names_of(peer->name)->peers;
    while (*at != peer)
        at = &(*at)->same_name;
    *at = peer->same_name;
    path_names_give(e, peer->name);
    path_names_give(e, peer->how);
    free(peer);
    e->peers--;
}

static void not_current(struct path_engine *e, struct path *p)
{
    path_names_of(p->chain)->current = NULL;
    p->peer->current = NULL;
}

void path_peer_leave(struct path_engine *e, struct path *p)
{
    struct peer *peer = p->peer;
    if (!peer)
        return;
    if (peer->current == p)
        not_current(e, p);
    for (struct path **at = &peer->paths; *at; at = &(*at)->peer_next)
        if (*at == p) {
            *at = p->peer_next;
            break;
        }
    if (!peer->paths)
        peer_free(e, peer);
    p->peer = NULL;
}

/* ---- current ---- */

static bool is_link(const struct path *p)
{
    return p->first->link == p;
}

static void set_current(struct path_engine *e, instant now, struct path *p)
{
    struct path *same_chain = path_current_of(e, p->chain);
    if (same_chain) { /* another key answers under this name now */
        not_current(e, same_chain);
        path_out_add(e, PATH_OUT_DOWN)->path = same_chain->slot;
        path_out_text(e, "another key answers under the name %.200s now", p->peer->name);
        path_drain(e, now, same_chain);
    }
    p->peer->current = p;
    path_names_of(p->chain)->current = p;
    path_out_add(e, PATH_OUT_UP)->path = p->slot;
}

static void make_current(struct path_engine *e, instant now, struct path *p)
{
    struct path *old = p->peer->current, *link = p->first->link;

    if (old)
        not_current(e, old);
    if (p->one_hop) /* first: the module is not to hear of a gap that there is not */
        path_neighbour_set_link(e, p->first, p);
    if (old && (p->one_hop || !is_link(old)))
        path_drain(e, now, old);
    if (p->one_hop && link && link != old)
        path_drain(e, now, link);
    set_current(e, now, p);
}

static uint32_t id_start(const struct path *p)
{
    struct reader r = reader_over(p->id, sizeof p->id);
    return read_u32(&r);
}

uint32_t path_stand_known(const struct path_engine *e, const char *name)
{
    const struct path *newest = NULL;
    for (const struct peer *peer = path_peer_by_name(e, name); peer; peer = peer->same_name)
        for (const struct path *p = peer->paths; p; p = p->peer_next)
            if (!p->initiator && !p->lost && (!newest || p->since > newest->since))
                newest = p;
    return newest ? id_start(newest) : 0;
}

/* Did the other end begin `fresh` before it can have known of `old`, which is ours? */
static bool crossed(const struct path *old, const struct half *half)
{
    return old->state == PATH_STATE_UP && old->initiator && half && half->known != id_start(old) &&
           (!old->confirmed_at || half->since <= old->confirmed_at);
}

/* Which of two paths to one peer stays? */
static bool displaces(const struct path_engine *e, const struct path *old, const struct path *fresh,
                      const struct half *half)
{
    if (!crossed(old, half))
        return true;
    if (old->one_hop != fresh->one_hop)
        return fresh->one_hop;
    return memcmp(fresh->peer->key, e->instance[fresh->self].public_key, 32) < 0;
}

static void wake_waiting(struct path_engine *e, instant now, struct neighbour *n)
{
    for (struct path *w = n->paths; w; w = w->first_next)
        if (!w->one_hop && w->opening) {
            if (w->opening->pattern == PATTERN_IK && w->opening->unanswered_ik)
                w->opening->unanswered_ik--; /* what was sent over the old link does not count */
            path_open_over_link(e, now, w);
        }
    path_gateway_link_up(e, now, n);
}

void path_stand_promote(struct path_engine *e, instant now, struct path *p)
{
    if (p->state != PATH_STATE_UP) {
        p->state = PATH_STATE_UP;
        p->silent = false;
        path_work(p)->unanswered_since = 0;
        path_work(p)->probes = 0;
    }
    bool link = p->one_hop && !p->first->link;
    if (link)
        path_neighbour_set_link(e, p->first, p);
    set_current(e, now, p);
    path_alive_schedule(e, now, p);
    if (link)
        wake_waiting(e, now, p->first);
}

/* When did the other end show last that it has the path? */
static instant proven(const struct path *p)
{
    instant heard = path_session_heard(p);
    return heard > p->confirmed_at ? heard : p->confirmed_at;
}

/* Which other path could stand in for one that is lost? */
static struct path *stand_in(const struct path *p)
{
    struct path *best = NULL;
    for (struct path *q = p->peer->paths; q; q = q->peer_next) {
        if (q == p || q->lost || q->first->tunnel_state != TUNNEL_UP)
            continue;
        if (q->state == PATH_STATE_UP)
            return q; /* a link, which is watched like every path that is up */
        if (proven(q) > proven(p) && (!best || proven(q) > proven(best)))
            best = q;
    }
    return best;
}

void path_stand_leave(struct path_engine *e, instant now, struct path *p, const char *reason)
{
    struct path *other = stand_in(p);
    not_current(e, p);
    if (other) {
        path_stand_promote(e, now, other);
        return;
    }
    path_out_add(e, PATH_OUT_DOWN)->path = p->slot;
    path_out_text(e, "%s", reason);
}

/* ---- the path stands ---- */

static void answer_asks(struct path_engine *e, struct ask **asks, const struct path *current)
{
    while (*asks && current) {
        struct ask *a = *asks;
        struct path_out *o = path_out_add(e, PATH_OUT_UP);
        o->path = current->slot;
        o->cookie = a->cookie;
        *asks = a->next;
        free(a);
    }
}

/* The other end was faster: what we have begun towards the same name, by whichever way, is not
 * needed.  But a link that is being opened may be needed as such. */
static void give_up_own(struct path_engine *e, instant now, const struct path *p)
{
    size_t size = strlen(p->peer->name);
    if (!p->peer->current)
        return;
    for (struct opening *o = e->openings, *next; o; o = next) {
        struct path *w = o->path;
        next = o->next_of_all;
        if ((w->one_hop && !p->one_hop) || path_target_size(w) != size ||
            memcmp(w->chain, p->peer->name, size))
            continue;
        answer_asks(e, &w->asks, p->peer->current);
        path_opening_free(e, w);
        path_leave_soon(e, now, w);
    }
}

/* Who opens again and again has many that drain: the oldest go at once. */
static void drain_few(struct path_engine *e, instant now, const struct peer *peer)
{
    unsigned count = 0;
    for (struct path *p = peer->paths; p; p = p->peer_next) /* newest first */
        if (p->state == PATH_STATE_DRAINING && !p->lost && ++count > PATHS_PER_PEER)
            path_leave_soon(e, now, p);
}

void path_stands(struct path_engine *e, instant now, struct path *p, const char *name,
                 const uint8_t key[32], const char *how, const struct half *half)
{
    struct ask *asks = p->asks;
    p->asks = NULL;
    path_opening_free(e, p);
    p->state = PATH_STATE_UP;
    p->since = p->keys_since = now_floor(now);
    p->peer = peer_get(e, name, key, how);
    p->peer_next = p->peer->paths;
    p->peer->paths = p;
    struct path *link = p->one_hop ? p->first->link : NULL;
    struct path *old = link && link->peer == p->peer ? link : p->peer->current;
    if (!old || displaces(e, old, p, half))
        make_current(e, now, p);
    else
        path_drain(e, now, p);
    if (p->peer->has_handle)
        path_session_publish(e, p);
    answer_asks(e, &asks, p->peer->current);
    if (!p->initiator)
        give_up_own(e, now, p);
    drain_few(e, now, p->peer);
    if (p->state == PATH_STATE_UP)
        path_alive_schedule(e, now, p);
    if (is_link(p))
        wake_waiting(e, now, p->first);
}

void path_attach(struct path_engine *e, uint32_t slot, const struct ip_address *handle4,
                 const struct ip_address *handle6)
{
    struct path *p = path_slot_path(e, slot);
    if (!p || !p->peer)
        return;
    p->peer->has_handle = true;
    p->peer->handle4 = *handle4;
    p->peer->handle6 = *handle6;
    for (struct path *q = p->peer->paths; q; q = q->peer_next)
        path_session_publish(e, q);
}
