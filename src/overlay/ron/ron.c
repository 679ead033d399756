/* Overlay type `ron`: a resilient overlay network (Andersen, Balakrishnan, Kaashoek, Morris, SOSP 2001).  Members probe each
 * other, tell each other what they measured, and go by one other member where that is better than the direct way.
 *
 *   tunnel_open -> LOOKING -- a place, or a hop that reaches it --> UP <-- tunnel_accept
 *                     |                                             |  the route changes, the member moves: another recipe
 *                     v                                             v
 *                   ENDED (said FAILED)                         tunnel_close
 *
 * All tunnels to one member take that member's route (ron_route.c).  The module says what it has to say as flags, of tunnels
 * and of members, so that it says the latest, once; messages are made when they are pulled.  Everything but the route's
 * header goes as LINK_MESSAGE: sealed, so only members probe, announce and forward. */
#include "overlay/ron/ron_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is said later is said as of now. */
static struct ron *ron_at(struct overlay *o, instant now)
{
    struct ron *r = ron_of(o);
    r->now = now;
    return r;
}

/* ---- life ---- */

static int ron_init(struct overlay *o, instant now, const char **ret_reason)
{
    struct ron *r = ron_at(o, now);
    ron_options_read(&o->settings, &r->options);
    r->id = ron_id(o->settings.host);
    r->started = r->budget_since = now;
    r->due = now;
    r->budget = RON_BUDGET;
    r->news_due = INSTANT_NEVER;
    r->row_sequence = entropy_u32(o->settings.entropy);
    r->steer_due = true;
    return ron_members_config(r, now, ret_reason);
}

static void ron_done(struct overlay *o)
{
    struct ron *r = ron_of(o);
    struct ron_tunnel *t, *t_later;
    struct ron_member *m, *m_later;
    HASH_ITER(hh, r->tunnels, t, t_later)
    {
        HASH_DEL(r->tunnels, t);
        free(t);
    }
    HASH_ITER(by_host, r->members, m, m_later)
    {
        ron_member_free(r, m);
    }
    ron_steer_free(r->steer);
    ron_steer_free(r->steer_old);
}

static int ron_reload(struct overlay *o, instant now, const struct overlay_settings *old,
                      const char **ret_reason)
{
    struct ron *r = ron_at(o, now);
    struct ron_options before = r->options;
    ron_options_read(&o->settings, &r->options);
    int error = ron_members_config(r, now, ret_reason);
    if (error) {
        r->options = before;
        return error;
    }
    r->steer_due = true;
    for (struct ron_member *m = r->members; m; m = m->by_host.next) {
        ron_tunnels_follow(r, now, m);
        ron_route(r, now, m);
    }
    ron_due(r, now);
    return 0;
}

/* ---- tunnels ---- */

static struct ron_tunnel *tunnel_find(struct ron *r, uint32_t id)
{
    struct ron_tunnel *t;
    HASH_FIND(hh, r->tunnels, &id, sizeof id, t);
    return t;
}

static struct ron_tunnel *tunnel_new(struct ron *r, uint32_t id, struct ron_member *m)
{
    struct ron_tunnel *t = base_calloc(1, sizeof *t);
    t->id = id;
    t->due = INSTANT_NEVER;
    HASH_ADD(hh, r->tunnels, id, sizeof t->id, t);
    t->member = m;
    if (m) {
        t->member_next = m->tunnels;
        m->tunnels = t;
    }
    return t;
}

void ron_tunnel_fail(struct ron *r, struct ron_tunnel *t, bool unknown, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(t->reason, sizeof t->reason, format, args);
    va_end(args);
    for (char *c = t->reason; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    t->state = RON_ENDED;
    t->unknown_host = unknown;
    t->due = INSTANT_NEVER;
    ron_tunnel_say(r, t, RON_SAY_FAILED);
}

void ron_tunnels_follow(struct ron *r, instant now, struct ron_member *m)
{
    struct recipe recipe;
    if (!m->tunnels || !ron_recipe(r, m, m->hop, &recipe))
        return;
    for (struct ron_tunnel *t = m->tunnels; t; t = t->member_next) {
        if (t->state == RON_LOOKING) {
            t->state = RON_UP;
            t->due = INSTANT_NEVER;
            ron_tunnel_say(r, t, RON_SAY_UP);
        } else if (t->state == RON_UP && !(t->says & RON_SAY_UP)) {
            ron_tunnel_say(r, t, RON_SAY_RECIPE);
        }
    }
}

/* A name that is not known yet: perhaps DNS knows it, or a member will say so. */
static struct ron_member *named(struct ron *r, instant now, const char *host)
{
    struct ron_member *m = ron_member(r, host);
    if (m || !strcmp(host, r->overlay.settings.host))
        return m;
    m = ron_member_get(r, now, host);
    if (!m || !r->options.domain)
        return m;
    m->places = base_calloc(1, sizeof *m->places);
    m->places->endpoint.port = OVERLAY_PORT;
    m->place_count = (size_t)snprintf(m->places->name, sizeof m->places->name, "%s.%s", host,
                                      r->options.domain) < sizeof m->places->name;
    return m;
}

static void ron_tunnel_open(struct overlay *o, instant now, uint32_t tunnel, const char *host)
{
    struct ron *r = ron_at(o, now);
    if (!expect(!tunnel_find(r, tunnel) && strlen(host) < NAME_TEXT))
        return;
    struct ron_member *m = named(r, now, host);
    struct ron_tunnel *t = tunnel_new(r, tunnel, m);
    if (!m) {
        ron_tunnel_fail(
            r, t, true,
            "'%s' cannot be a member of %s: it is this host, or its name clashes with another's",
            host, o->settings.instance);
        return;
    }
    t->due = now + RON_LOOK;
    ron_due(r, t->due);
    if (!m->direct.ip.family)
        ron_route(r, now, m);
    if (!m->direct.ip.family && !m->hop)
        ron_member_elsewhere(r, now, m);
    ron_tunnels_follow(r, now, m);
}

static bool arrival_usable(const struct arrival *from)
{
    const struct ip_address *local = &from->local.ip, *remote = &from->remote.ip;
    return remote->family && from->remote.port &&
           (!local->family || local->family == remote->family);
}

/* It was sealed, and came straight from the member: there it is. */
static void seen_at(struct ron *r, instant now, struct ron_member *m, const struct arrival *from)
{
    if (!ron_arrival_hop(from) && arrival_usable(from))
        ron_member_at(r, now, m, &from->local, &from->remote, true);
}

static void ron_tunnel_accept(struct overlay *o, instant now, uint32_t tunnel, const char *host,
                              const struct arrival *from)
{
    struct ron *r = ron_at(o, now);
    if (!expect(!tunnel_find(r, tunnel) && strlen(host) < NAME_TEXT))
        return;
    struct ron_member *m = strcmp(host, o->settings.host) ? ron_member_get(r, now, host) : NULL;
    struct ron_tunnel *t = tunnel_new(r, tunnel, m);
    uint32_t hop = ron_arrival_hop(from);
    if (!m) {
        ron_tunnel_fail(r, t, false, "'%s' cannot be one more member of %s here", host,
                        o->settings.instance);
        return;
    }
    ron_member_heard(r, now, m);
    seen_at(r, now, m, from);
    if (hop && !m->proven && ron_member_by_id(r, hop)) {
        m->hop = hop;
        m->routed_since = now;
        m->because = RON_BECAUSE_CAME;
    }
    ron_tunnels_follow(r, now, m);
    if (t->state == RON_LOOKING)
        ron_tunnel_fail(r, t, false, "'%s' came without a UDP endpoint to answer to", host);
}

static void ron_tunnel_moved(struct overlay *o, instant now, uint32_t tunnel,
                             const struct arrival *from)
{
    struct ron *r = ron_at(o, now);
    struct ron_tunnel *t = tunnel_find(r, tunnel);
    if (t && t->member && t->state == RON_UP)
        seen_at(r, now, t->member, from);
}

static void link_lost(struct ron *r, instant now, struct ron_member *m, uint32_t tunnel)
{
    if (m->linked && m->link == tunnel)
        ron_member_unlinked(r, now, m);
}

static void ron_tunnel_close(struct overlay *o, instant now, uint32_t tunnel)
{
    struct ron *r = ron_at(o, now);
    struct ron_tunnel *t = tunnel_find(r, tunnel);
    if (!t)
        return;
    ron_tunnel_unsay(r, t, ~0u);
    HASH_DEL(r->tunnels, t);
    if (t->member) {
        struct ron_tunnel **at = &t->member->tunnels;
        while (*at != t)
            at = &(*at)->member_next;
        *at = t->member_next;
        link_lost(r, now, t->member, tunnel);
        ron_due(r, now); /* perhaps it is forgotten now */
    }
    free(t);
}

static void ron_tunnel_suspect(struct overlay *o, instant now, uint32_t tunnel)
{
    struct ron *r = ron_at(o, now);
    struct ron_tunnel *t = tunnel_find(r, tunnel);
    if (!t || !t->member || t->state != RON_UP)
        return;
    struct ron_member *m = t->member;
    ron_route_failed(r, now, m);
    if (!m->linked && !m->hop) { /* no hop either: perhaps it is somewhere else */
        m->near.measure.outage = false;
        ron_member_elsewhere(r, now, m);
    }
}

static void ron_tunnel_use(struct overlay *o, instant now, uint32_t tunnel, enum overlay_use use)
{
    struct ron *r = ron_at(o, now);
    struct ron_tunnel *t = tunnel_find(r, tunnel);
    if (!t || !t->member || !t->member->linked)
        return;
    struct ron_member *m = t->member;
    if (use == OVERLAY_BUSY || use == OVERLAY_IDLE)
        m->busy = use == OVERLAY_BUSY;
    ron_due(r, now); /* one outside of the sample is probed now */
    if (use == OVERLAY_QUIET)
        ron_probe_quiet(r, now, m, true);
    else if (use == OVERLAY_SILENT)
        ron_probe_now(r, now, m, m->hop ? &m->through : &m->near);
}

static bool ron_answer_hook(const struct overlay *o, const struct arrival *from, struct recipe *ret)
{
    return ron_answer((const struct ron *)o, from, ret);
}

/* An address of ours may be gone: the kernel chooses again, and everybody is asked. */
static void ron_underlay_changed(struct overlay *o, instant now)
{
    struct ron *r = ron_at(o, now);
    for (struct ron_member *m = r->members; m; m = m->by_host.next) {
        if (!m->direct.ip.family)
            continue;
        ron_member_at(r, now, m, &(struct endpoint){0}, &m->direct, m->proven);
        ron_probe_now(r, now, m, &m->near);
    }
}

static void ron_resolved(struct overlay *o, instant now, uint32_t lookup,
                         const struct ip_address *addresses, unsigned count, bool none,
                         const char *reason)
{
    struct ron *r = ron_at(o, now);
    for (struct ron_member *m = r->members; m && lookup; m = m->by_host.next)
        if (m->lookup == lookup && !(m->says & RON_SAY_LOOKUP)) {
            ron_member_resolved(r, now, m, addresses, count, none, reason);
            return;
        }
}

/* ---- links ---- */

static void ron_link_up(struct overlay *o, instant now, uint32_t tunnel, const char *host)
{
    struct ron *r = ron_at(o, now);
    struct ron_tunnel *t = tunnel_find(r, tunnel);
    if (t && t->member)
        ron_member_linked(r, now, t->member, tunnel);
}

static void ron_link_down(struct overlay *o, instant now, uint32_t tunnel, const char *host)
{
    struct ron *r = ron_at(o, now);
    struct ron_member *m = ron_member(r, host);
    if (m && (!m->linked || m->link == tunnel) && (m->linked || m->asked))
        ron_member_unlinked(r, now, m);
}

static void ron_link_message(struct overlay *o, instant now, uint32_t tunnel,
                             const struct arrival *from, const uint8_t *bytes, size_t size)
{
    struct ron *r = ron_at(o, now);
    struct ron_tunnel *t = tunnel_find(r, tunnel);
    struct ron_member *m = t ? t->member : NULL;
    if (!m || !m->linked || !size) {
        r->count[m && m->linked ? RON_COUNT_BAD_MESSAGE : RON_COUNT_NO_LINK]++;
        return;
    }
    ron_member_heard(r, now, m);
    seen_at(r, now, m, from);
    switch (bytes[0]) {
    case RON_PROBE:
    case RON_REPLY:
    case RON_ACK:
        ron_probe_heard(r, now, m, from, bytes, size);
        break;
    case RON_ROW:
        ron_row_heard(r, now, m, ron_arrival_hop(from), bytes, size);
        break;
    case RON_MEMBERS:
        ron_news_heard(r, now, m, bytes, size);
        break;
    case RON_ASK:
        ron_ask_heard(r, now, m, bytes, size);
        break;
    case RON_LEAVE:
        ron_leave_heard(r, now, m);
        break;
    case RON_QUIET:
        ron_probe_quiet(r, now, m, false);
        break;
    case RON_DEAD:
        ron_dead_heard(r, now, m, ron_arrival_hop(from), bytes, size);
        break;
    default:
        r->count[RON_COUNT_BAD_MESSAGE]++;
    }
}

static void ron_leave(struct overlay *o, instant now)
{
    struct ron *r = ron_at(o, now);
    for (struct ron_member *m = r->members; m; m = m->by_host.next)
        if (m->linked)
            ron_say(r, m, RON_SAY_LEAVE);
}

/* ---- time ---- */

static void ron_advance(struct overlay *o, instant now)
{
    struct ron *r = ron_at(o, now);
    struct ron_tunnel *t, *later;
    r->due = INSTANT_NEVER;
    ron_members_advance(r, now);
    HASH_ITER(hh, r->tunnels, t, later)
    {
        if (t->state == RON_LOOKING && now >= t->due && !t->member->lookup)
            ron_tunnel_fail(r, t, !t->member->heard && !t->member->config,
                            "nobody in %s knows where '%s' is: it is not in the config, and no "
                            "member announces it",
                            o->settings.instance, t->member->host);
        else if (t->state == RON_LOOKING)
            ron_due(r, t->due > now ? t->due : now + SECOND);
    }
    if (r->due <= now)
        r->due = now + MILLISECOND;
}

static instant ron_deadline(const struct overlay *o)
{
    return ((const struct ron *)o)->due;
}

/* ---- the class ---- */

static bool ron_knows(const struct overlay *o, const char *host)
{
    const struct ron_member *m = ron_member((const struct ron *)o, host);
    return m && (m->config || (m->heard && !ron_member_gone(m)));
}

#define METRIC(id, name, text) {name, text},
static const struct overlay_metric metrics[] = {RON_COUNTERS(METRIC){NULL, NULL}};
#undef METRIC

static uint64_t ron_metric(const struct overlay *o, unsigned index)
{
    return ((const struct ron *)o)->count[index];
}

extern const struct overlay_class overlay_ron_class;
const struct overlay_class overlay_ron_class = {
    .abi = OVERLAY_ABI,
    .name = "ron",
    .promise =
        "UDP, by the best of the direct way and one hop through another member; costs probes",
    .flags = OVERLAY_CARRIES_IP | OVERLAY_CARRIES_ETHERNET | OVERLAY_PORTS_FREE,
    .size = sizeof(struct ron),
    .sockets = 1,
    .headroom = RON_HEADER,
    .schema = ron_schema,
    .member_schema = ron_member_schema,
    .metrics = metrics,
    .init = ron_init,
    .reload = ron_reload,
    .done = ron_done,
    .tunnel_open = ron_tunnel_open,
    .tunnel_accept = ron_tunnel_accept,
    .tunnel_moved = ron_tunnel_moved,
    .tunnel_close = ron_tunnel_close,
    .answer = ron_answer_hook,
    .tunnel_suspect = ron_tunnel_suspect,
    .tunnel_use = ron_tunnel_use,
    .underlay_changed = ron_underlay_changed,
    .advance = ron_advance,
    .deadline = ron_deadline,
    .output = ron_output,
    .link_up = ron_link_up,
    .link_down = ron_link_down,
    .link_message = ron_link_message,
    .leave = ron_leave,
    .resolved = ron_resolved,
    .knows = ron_knows,
    .describe = ron_describe,
    .describe_tunnel = ron_describe_tunnel,
    .tunnel_fact = ron_tunnel_fact,
    .metric = ron_metric,
};
