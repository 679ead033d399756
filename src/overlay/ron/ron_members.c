/* Who is a member, and where.
 *
 * Names come from the configuration, from whoever has a link with us, from what such members announce, and by DNS.  One
 * member is enough to learn the rest: over a new link we ask who is there.  What one learns it tells the others it has a link
 * with, once; who sees a number in a row that it cannot name asks for it.
 *
 * An announcement says how long ago a member was heard by anybody, so that nobody lives on by rumour: the age only grows.
 * Where a member is, is proven by a sealed record from there alone; what others say is a place to try.
 *
 * With how many is there a link?  With all, up to `probe-peers`.  Beyond that with a sample that both of a pair agree upon
 * without asking: a hash of the two names below a bound. */
#include "overlay/ron/ron_internal.h"

#include <errno.h>
#include <string.h>

#define SAMPLE_STEP 8             /* members more or less until the sample changes */
#define ALONE       (30 * SECOND) /* without any link: try all                     */
#define WANT_FIRST  SECOND
#define UNSAMPLED   (5 * SECOND) /* a link outside of the sample is probed so long without data */

/* ---- the list ---- */

struct ron_member *ron_member(const struct ron *r, const char *host)
{
    struct ron_member *m;
    HASH_FIND(by_host, r->members, host, strlen(host), m);
    return m;
}

struct ron_member *ron_member_by_id(const struct ron *r, uint32_t id)
{
    struct ron_member *m;
    HASH_FIND(by_id, r->numbers, &id, sizeof id, m);
    return m;
}

struct ron_member *ron_member_get(struct ron *r, instant now, const char *host)
{
    struct ron_member *m = ron_member(r, host);
    uint32_t id = ron_id(host);
    if (m)
        return m;
    if (r->member_count >= RON_MEMBERS_MAX) {
        r->count[RON_COUNT_TOO_MANY]++;
        return NULL;
    }
    if (id == r->id || ron_member_by_id(r, id)) {
        r->count[RON_COUNT_ONE_NUMBER]++;
        return NULL;
    }
    m = base_calloc(1, sizeof *m);
    memcpy(m->host, host, strlen(host) + 1);
    m->id = id;
    m->want_due = now;
    m->want_pause = WANT_FIRST;
    m->near.due = m->through.due = INSTANT_NEVER;
    ron_member_options(&r->options, m);
    HASH_ADD_KEYPTR(by_host, r->members, m->host, strlen(m->host), m);
    HASH_ADD(by_id, r->numbers, id, sizeof m->id, m);
    DL_APPEND(r->changes, m);
    r->member_count++;
    ron_due(r, now);
    return m;
}

void ron_member_free(struct ron *r, struct ron_member *m)
{
    HASH_DELETE(by_host, r->members, m);
    HASH_DELETE(by_id, r->numbers, m);
    DL_DELETE(r->changes, m);
    if (m->queued)
        DL_DELETE2(r->says, m, say_prev, say_next);
    r->member_count--;
    free(m->places);
    free(m->row);
    free(m);
}

void ron_member_changed(struct ron *r, instant now, struct ron_member *m)
{
    m->changed = ++r->changed;
    DL_DELETE(r->changes, m);
    DL_APPEND(r->changes, m);
    r->news_due = instant_min(r->news_due, now + RON_NEWS_PAUSE);
    ron_due(r, r->news_due);
}

bool ron_member_gone(const struct ron_member *m)
{
    return m->left && m->left >= m->heard;
}

void ron_member_heard(struct ron *r, instant now, struct ron_member *m)
{
    bool back = ron_member_gone(m) || !m->heard;
    m->heard = now > 0 ? now : 1;
    m->left = 0;
    m->forgotten = false;
    if (back)
        ron_member_changed(r, now, m);
}

bool ron_member_sampled(const struct ron *r, const struct ron_member *m)
{
    uint32_t all = r->member_count;
    if (all <= r->options.peers)
        return true;
    all += SAMPLE_STEP - all % SAMPLE_STEP;
    return ron_pair(r->id, m->id) < ((uint64_t)r->options.peers << 32) / all;
}

/* ---- configuration ---- */

static bool read_places(struct ron *r, struct ron_member *m)
{
    const struct overlay_member *c = m->config;
    free(m->places);
    m->places = base_calloc(c->at_count + 1u, sizeof *m->places);
    m->place = 0;
    for (m->place_count = 0; m->place_count < c->at_count; m->place_count++)
        if (!overlay_place_parse(c->at[m->place_count], OVERLAY_PORT, &m->places[m->place_count]))
            return false;
    return true;
}

int ron_members_config(struct ron *r, instant now, const char **ret_reason)
{
    const struct overlay_settings *s = &r->overlay.settings;
    struct overlay_place place;
    for (unsigned i = 0; i < s->member_count; i++)
        for (unsigned a = 0; a < s->members[i].at_count; a++)
            if (!overlay_place_parse(s->members[i].at[a], OVERLAY_PORT, &place)) {
                *ret_reason = "an `at` of a member is neither ADDRESS:PORT nor HOST:PORT";
                return -EINVAL;
            }
    for (struct ron_member *m = r->members; m; m = m->by_host.next) {
        m->config = NULL;
        m->place_count = m->place = 0;
        ron_member_options(&r->options, m);
    }
    for (unsigned i = 0; i < s->member_count; i++) {
        struct ron_member *m = ron_member_get(r, now, s->members[i].host);
        if (!m) {
            *ret_reason = "more members than a RON can have, or two whose names have one number";
            return -E2BIG;
        }
        m->config = &s->members[i];
        m->forgotten = false;
        ron_member_options(&r->options, m);
        read_places(r, m);
        if (!m->direct.ip.family && m->place_count && !*m->places[0].name)
            ron_member_at(r, now, m, &(struct endpoint){0}, &m->places[0].endpoint, false);
    }
    return 0;
}

/* ---- where ---- */

void ron_member_at(struct ron *r, instant now, struct ron_member *m, const struct endpoint *local,
                   const struct endpoint *at, bool proven)
{
    bool moved = !endpoint_equal(at, &m->direct), same_local = endpoint_equal(local, &m->local);
    if (!moved && same_local && m->proven == proven)
        return;
    m->local = *local;
    m->direct = *at;
    m->proven = proven;
    r->steer_due = r->steer_due || m->linked;
    if (moved && proven && m->heard)
        ron_member_changed(r, now, m);
    if (moved && m->linked) {
        m->near.measure.outage = false;
        ron_prober_begin(&m->near, 0, 0, now);
    }
    m->want_due = instant_min(m->want_due, now);
    ron_due(r, now);
    ron_tunnels_follow(r, now, m);
    for (struct ron_member *o = r->members; o; o = o->by_host.next)
        if (o->hop == m->id)
            ron_tunnels_follow(r, now, o);
}

static void look_up(struct ron *r, struct ron_member *m)
{
    m->lookup = ++r->last_lookup ? r->last_lookup : ++r->last_lookup;
    ron_say(r, m, RON_SAY_LOOKUP);
}

/* Place `m->place` of the configured and the told ones. */
static void try_place(struct ron *r, instant now, struct ron_member *m)
{
    const struct endpoint nowhere = {0};
    if (m->place >= m->place_count)
        ron_member_at(r, now, m, &nowhere, &m->told[m->place - m->place_count], false);
    else if (*m->places[m->place].name)
        look_up(r, m);
    else
        ron_member_at(r, now, m, &nowhere, &m->places[m->place].endpoint, false);
}

void ron_member_elsewhere(struct ron *r, instant now, struct ron_member *m)
{
    unsigned all = m->place_count + m->told_count;
    if (!all || m->lookup)
        return;
    m->place = (m->direct.ip.family ? m->place + 1 : m->place) % all;
    try_place(r, now, m);
}

void ron_member_resolved(struct ron *r, instant now, struct ron_member *m,
                         const struct ip_address *addresses, unsigned count, bool none,
                         const char *reason)
{
    m->lookup = 0;
    if (m->place >= m->place_count)
        return;
    for (unsigned i = 0; i < count; i++) {
        struct endpoint at = {.ip = addresses[i], .port = m->places[m->place].endpoint.port};
        if (endpoint_equal(&at, &m->direct) && i + 1 < count)
            continue; /* that one is silent */
        ron_member_at(r, now, m, &(struct endpoint){0}, &at, false);
        return;
    }
    for (struct ron_tunnel *t = m->tunnels; t; t = t->member_next)
        if (t->state == RON_LOOKING)
            ron_tunnel_fail(r, t, none, "%s, where '%s' of %s should be, %s: %.160s",
                            m->places[m->place].name, m->host, r->overlay.settings.instance,
                            none ? "does not exist" : "could not be looked up",
                            reason ? reason : "no address");
}

bool ron_member_probed(const struct ron *r, instant now, const struct ron_member *m)
{
    return m->linked && (m->busy || now - m->linked_since < UNSAMPLED || ron_member_sampled(r, m));
}

/* ---- links ---- */

void ron_member_linked(struct ron *r, instant now, struct ron_member *m, uint32_t tunnel)
{
    m->link = tunnel;
    if (m->linked)
        return;
    m->linked = true;
    m->linked_since = now;
    if (!m->routed_since)
        m->routed_since = now;
    m->want_pause = WANT_FIRST;
    m->news_told = r->changed;
    r->links++;
    r->steer_due = true;
    free(m->row);
    m->row = NULL;
    m->row_count = 0;
    m->row_due = now;
    ron_prober_begin(&m->near, 0, 0, now);
    m->near.measure.outage = m->hop != 0; /* the direct way did not get us here */
    ron_prober_begin(&m->through, m->hop, 0, now);
    ron_member_heard(r, now, m);
    if (r->links <= 2) {
        m->ask = 0;
        ron_say(r, m, RON_SAY_ASK);
    }
    ron_due(r, now);
}

void ron_member_unlinked(struct ron *r, instant now, struct ron_member *m)
{
    m->asked = false;
    m->want_due = now;
    if (m->linked) {
        m->linked = false;
        m->busy = false;
        r->links--;
        r->steer_due = true;
        m->near.number = m->through.number = 0;
        ron_routes_by(r, now, m->id);
    } else {
        m->want_due += m->want_pause;
        m->want_pause = instant_min(2 * m->want_pause, RON_WANT_MOST);
        ron_member_elsewhere(r, now, m);
    }
    ron_due(r, m->want_due);
}

static bool reachable(const struct ron *r, instant now, const struct ron_member *m)
{
    return m->direct.ip.family || m->place_count || ron_way_best(r, now, m).usable;
}

static void release(struct ron *r, struct ron_member *m)
{
    if (m->wanted)
        ron_say(r, m, RON_SAY_RELEASE);
    m->wanted = m->asked = false;
}

static void want(struct ron *r, instant now, struct ron_member *m)
{
    bool alone = !r->links && now - r->started >= ALONE && m->config;
    bool known = (m->config || m->heard) && !ron_member_gone(m) && !m->forgotten;
    bool wish = known && (ron_member_sampled(r, m) || alone);
    if (!wish)
        release(r, m);
    if (!wish || m->asked)
        return;
    if (now < m->want_due) {
        ron_due(r, m->want_due);
        return;
    }
    if (!m->linked && !reachable(r, now, m)) {
        m->want_due = now + m->want_pause;
        ron_due(r, m->want_due);
        return;
    }
    m->wanted = m->asked = true;
    ron_say(r, m, RON_SAY_WANT);
}

/* What is only a name that somebody asked for goes with the last who asks. */
static void forget(struct ron *r, instant now, struct ron_member *m)
{
    instant last = m->heard > m->left ? m->heard : m->left;
    instant until = last ? last + r->options.forget : now;
    if (m->config || m->linked)
        return;
    if (now < until) {
        ron_due(r, until);
        return;
    }
    m->forgotten = true;
    release(r, m);
    if (m->says && !m->tunnels)
        ron_due(r, now + SECOND);
    else if (!m->tunnels)
        ron_member_free(r, m);
}

void ron_members_advance(struct ron *r, instant now)
{
    struct ron_member *m, *later;
    bool tell = now >= r->news_due;
    if (tell)
        r->news_due = INSTANT_NEVER;
    HASH_ITER(by_host, r->members, m, later)
    {
        want(r, now, m);
        if (tell && m->linked && m->news_told < r->changed)
            ron_say(r, m, RON_SAY_NEWS);
        ron_probes_advance(r, now, m);
        ron_row_advance(r, now, m);
        forget(r, now, m);
    }
    ron_due(r, r->news_due);
}
