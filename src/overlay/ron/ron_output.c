/* What the module says: flags of tunnels and members while there is something to say, made into outputs when they are
 * pulled.  So each thing is said once, the latest, and closing a tunnel or losing a link takes back what was not said yet. */
#include "overlay/ron/ron_internal.h"

void ron_say(struct ron *r, struct ron_member *m, unsigned what)
{
    if (!m->queued)
        DL_APPEND2(r->says, m, say_prev, say_next);
    m->queued = true;
    m->says |= what;
}

void ron_unsay(struct ron *r, struct ron_member *m, unsigned what)
{
    m->says &= ~what;
    if (m->says || !m->queued)
        return;
    DL_DELETE2(r->says, m, say_prev, say_next);
    m->queued = false;
}

void ron_tunnel_say(struct ron *r, struct ron_tunnel *t, unsigned what)
{
    if (!t->says)
        DL_APPEND(r->queue, t);
    t->says |= what;
}

void ron_tunnel_unsay(struct ron *r, struct ron_tunnel *t, unsigned what)
{
    if (t->says && !(t->says & ~what))
        DL_DELETE(r->queue, t);
    t->says &= ~what;
}

static bool message(struct ron *r, struct ron_member *m, size_t size, struct overlay_out *ret)
{
    if (!size)
        return false;
    ret->kind = OVERLAY_LINK_MESSAGE;
    ret->tunnel = m->link;
    ret->bytes = r->bytes;
    ret->size = size;
    r->count[RON_COUNT_MESSAGES]++;
    r->count[RON_COUNT_BYTES] += size;
    return true;
}

/* A message that is no more than its type. */
static bool word(struct ron *r, struct ron_member *m, enum ron_type type, struct overlay_out *ret)
{
    r->bytes[0] = (uint8_t)type;
    return message(r, m, 1, ret);
}

static bool output_probe(struct ron *r, struct ron_member *m, struct overlay_out *ret)
{
    uint32_t hop;
    size_t size;
    while ((size = ron_probe_make(r, m, &hop))) {
        if (!ron_recipe(r, m, hop, &r->by))
            continue;
        ret->recipe = &r->by;
        return message(r, m, size, ret);
    }
    ron_unsay(r, m, RON_SAY_PROBES);
    return false;
}

/* One thing that is to be said about or to the member; false: nothing was left. */
static bool output_member(struct ron *r, struct ron_member *m, struct overlay_out *ret)
{
    static const unsigned talk = RON_SAY_DEAD | RON_SAY_QUIET | RON_SAY_PROBES | RON_SAY_ROW |
                                 RON_SAY_NEWS | RON_SAY_ASK | RON_SAY_LEAVE;
    if (!m->linked)
        ron_unsay(r, m, talk);
    if (m->says & RON_SAY_DEAD) {
        ron_unsay(r, m, RON_SAY_DEAD);
        return message(r, m, ron_dead_make(r, m), ret);
    }
    if (m->says & RON_SAY_QUIET) {
        ron_unsay(r, m, RON_SAY_QUIET);
        return word(r, m, RON_QUIET, ret);
    }
    if (m->says & RON_SAY_PROBES && output_probe(r, m, ret))
        return true;
    if (m->says & RON_SAY_ROW) {
        ron_unsay(r, m, RON_SAY_ROW);
        return message(r, m, ron_row_make(r, r->now, m), ret);
    }
    if (m->says & RON_SAY_NEWS) {
        size_t size = ron_news_make(r, r->now, m);
        if (!size || m->news_told >= r->changed)
            ron_unsay(r, m, RON_SAY_NEWS);
        return message(r, m, size, ret);
    }
    if (m->says & RON_SAY_ASK) {
        ron_unsay(r, m, RON_SAY_ASK);
        return message(r, m, ron_ask_make(r, m), ret);
    }
    if (m->says & RON_SAY_LEAVE) {
        ron_unsay(r, m, RON_SAY_LEAVE);
        return word(r, m, RON_LEAVE, ret);
    }
    if (m->says & RON_SAY_LOOKUP) {
        ron_unsay(r, m, RON_SAY_LOOKUP);
        ret->kind = OVERLAY_LOOKUP;
        ret->lookup = m->lookup;
        ret->name = m->places[m->place].name;
        return true;
    }
    if (!(m->says & (RON_SAY_WANT | RON_SAY_RELEASE)))
        return false;
    ret->kind = m->wanted ? OVERLAY_LINK_WANT : OVERLAY_LINK_RELEASE;
    ret->host = m->host;
    ron_unsay(r, m, RON_SAY_WANT | RON_SAY_RELEASE);
    return true;
}

static bool output_tunnel(struct ron *r, struct ron_tunnel *t, struct overlay_out *ret)
{
    ret->tunnel = t->id;
    if (t->says & RON_SAY_FAILED) {
        ron_tunnel_unsay(r, t, ~0u);
        ret->kind = OVERLAY_TUNNEL_FAILED;
        ret->reason = t->reason;
        ret->unknown_host = t->unknown_host;
        return true;
    }
    ret->kind = t->says & RON_SAY_UP ? OVERLAY_TUNNEL_UP : OVERLAY_TUNNEL_RECIPE;
    if (!ron_recipe(r, t->member, t->member->hop, &r->recipe)) { /* the hop has just gone */
        if (t->says & RON_SAY_UP)
            ron_tunnel_fail(r, t, false, "the way to '%s' was lost before it could be used",
                            t->member->host);
        else
            ron_tunnel_unsay(r, t, RON_SAY_RECIPE);
        return t->says && output_tunnel(r, t, ret);
    }
    ron_tunnel_unsay(r, t, RON_SAY_UP | RON_SAY_RECIPE);
    ret->recipe = &r->recipe;
    return true;
}

static bool output_table(struct ron *r, struct overlay_out *ret)
{
    if (r->steer_old) {
        ret->kind = OVERLAY_RETIRE;
        ret->object = r->steer_old;
        ret->retire = ron_steer_free;
        r->steer_old = NULL;
        return true;
    }
    if (!r->steer_due)
        return false;
    r->steer_due = false;
    ron_steer_build(r);
    ret->kind = OVERLAY_PEEL;
    ret->socket = r->overlay.settings.first_socket;
    ret->peel = &r->peel;
    return true;
}

bool ron_output(struct overlay *o, struct overlay_out *ret)
{
    struct ron *r = ron_of(o);
    *ret = (struct overlay_out){0};
    if (output_table(r, ret))
        return true;
    while (r->queue)
        if (output_tunnel(r, r->queue, ret))
            return true;
    while (r->says) {
        *ret = (struct overlay_out){0};
        struct ron_member *m = r->says;
        if (output_member(r, m, ret))
            return true;
    }
    *ret = (struct overlay_out){0};
    return false;
}
