/* Recipes, and what workers need to forward for others.
 *
 * A direct way is plain UDP, as of type `ip`.  A way by a hop puts RON_HEADER bytes in front, the same before each record, so
 * that runs of the kernel stay runs; the hop looks at them in one table and sends on with one hop less, and the receiver
 * takes them off.  Both have the same MTU: a route may change under traffic without anything that no longer fits.
 *
 * The table has all members that we have a link with, and where.  A hop forwards only for a member that the datagram really
 * comes from, to a member that it has a link with itself, and where its options allow it. */
#include "overlay/ron/ron_internal.h"

#include <string.h>

#define IPV4_UDP 28
#define IPV6_UDP 48

struct seat {
    uint32_t id; /* 0: free */
    struct endpoint at;
    bool from, to; /* we are a hop for it, and to it */
    struct recipe on;
};

struct ron_steer {
    struct steer steer; /* first */
    uint32_t own;
    uint32_t mask; /* seats, less one */
    struct seat seat[];
};

/* ---- recipes ---- */

static bool make(const struct ron *r, uint32_t hop, uint32_t to, const struct endpoint *local,
                 const struct endpoint *remote, struct recipe *ret)
{
    uint8_t header[RON_HEADER];
    struct ron_header h = {.hops = RON_HOPS, .hop = hop, .to = to, .from = r->id};
    const struct overlay_settings *s = &r->overlay.settings;
    uint16_t around = remote->ip.family == 4 ? IPV4_UDP : IPV6_UDP;
    recipe_begin(ret);
    ron_header_write(&h, header);
    if ((hop && !recipe_add_prepend(ret, header, RON_HEADER, NULL, 0)) ||
        !recipe_add_send(ret, s->first_socket, local, remote, 0))
        return false;
    ret->mtu = (uint16_t)(r->options.mtu - around - RON_HEADER);
    ret->keepalive = s->keepalive;
    return true;
}

bool ron_recipe(const struct ron *r, const struct ron_member *m, uint32_t hop, struct recipe *ret)
{
    const struct ron_member *by = hop ? ron_member_by_id(r, hop) : m;
    if (!by || !by->direct.ip.family || !make(r, hop, m->id, &by->local, &by->direct, ret))
        return false;
    ret->from = m->proven ? m->direct : by->direct;
    ret->from_any_port = ret->ports_free = !hop;
    return true;
}

uint32_t ron_arrival_hop(const struct arrival *from)
{
    struct ron_header h;
    return ron_header_read(from->via, from->via_size, &h) ? h.hop : 0;
}

bool ron_answer(const struct ron *r, const struct arrival *from, struct recipe *ret)
{
    struct ron_header h;
    const struct endpoint *local = &from->local, *remote = &from->remote;
    if (ron_header_read(from->via, from->via_size, &h)) {
        const struct ron_member *hop = ron_member_by_id(r, h.hop);
        if (!hop || !hop->direct.ip.family || !h.from)
            return false;
        return make(r, h.hop, h.from, &hop->local, &hop->direct, ret);
    }
    if (!remote->ip.family || !remote->port ||
        (local->ip.family && local->ip.family != remote->ip.family))
        return false;
    return make(r, 0, 0, local, remote, ret);
}

/* ---- the table ---- */

static const struct seat *seat_find(const struct ron_steer *s, uint32_t id)
{
    for (uint32_t at = id & s->mask; s->seat[at].id; at = (at + 1) & s->mask)
        if (s->seat[at].id == id)
            return &s->seat[at];
    return NULL;
}

static enum steer_verdict drop(enum drop_reason reason, enum drop_reason *ret_reason)
{
    *ret_reason = reason;
    return STEER_DROP;
}

static enum steer_verdict decide(const struct steer *self, struct packet *p,
                                 const struct recipe **ret_recipe, enum drop_reason *ret_reason)
{
    const struct ron_steer *s = (const struct ron_steer *)self;
    struct ron_header h;
    if (!ron_header_read(p->data, p->size, &h))
        return drop(DROP_TRUNCATED, ret_reason);
    const struct seat *from = seat_find(s, h.from);
    if (h.to == s->own) {
        const struct seat *hop = seat_find(s, h.hop);
        if (!hop || !endpoint_equal(&hop->at, &p->arrival.remote))
            return drop(DROP_WRONG_ENDPOINT, ret_reason);
        if (from)
            p->arrival.remote = from->at;
        return STEER_DELIVER;
    }
    if (h.hop != s->own)
        return drop(DROP_MODULE, ret_reason);
    if (!from || !endpoint_equal(&from->at, &p->arrival.remote))
        return drop(DROP_WRONG_ENDPOINT, ret_reason);
    const struct seat *to = seat_find(s, h.to);
    if (!to)
        return drop(DROP_NO_TUNNEL, ret_reason);
    if (!from->from || !to->to)
        return drop(DROP_POLICY, ret_reason);
    *ret_recipe = &to->on;
    return STEER_FORWARD;
}

static void seat_take(struct ron_steer *s, const struct ron *r, const struct ron_member *m)
{
    static const struct recipe_patch hops = {.kind = PATCH_TTL, .at = 1};
    uint32_t at = m->id & s->mask;
    while (s->seat[at].id)
        at = (at + 1) & s->mask;
    struct seat *seat = &s->seat[at];
    recipe_begin(&seat->on);
    if (!recipe_add_prepend(&seat->on, NULL, 0, &hops, 1) ||
        !recipe_add_send(&seat->on, r->overlay.settings.first_socket, &m->local, &m->direct, 0))
        return;
    seat->id = m->id;
    seat->at = m->direct;
    seat->from = ron_listed(r->options.for_whom, m->host);
    seat->to = ron_listed(r->options.to_whom, m->host);
}

void ron_steer_build(struct ron *r)
{
    uint32_t size = 8;
    while (size < 2 * r->member_count)
        size *= 2;
    struct ron_steer *s = base_calloc(1, sizeof *s + size * sizeof *s->seat);
    s->steer.decide = decide;
    s->own = r->id;
    s->mask = size - 1;
    for (const struct ron_member *m = r->members; m; m = m->by_host.next)
        if (m->linked && m->direct.ip.family && m->proven)
            seat_take(s, r, m);
    r->steer_old = r->steer;
    r->steer = s;
    r->peel = (struct peel_table){
        .count = 2,
        .peel = {
            {.first_low = RON_FIRST,
             .first_high = RON_FIRST,
             .count = 3,
             .step = {{.verb = PEEL_STEER, .steer = &s->steer, .at = RON_HEADER},
                      {.verb = PEEL_STRIP, .size = RON_HEADER, .keep = true},
                      {.verb = PEEL_RECORD}}},
            {.first_low = 0xC0, .first_high = 0xDF, .count = 1, .step = {{.verb = PEEL_RECORD}}}}};
}

void ron_steer_free(void *steer)
{
    free(steer);
}
