/* The life of a tunnel, and the way that its records take.
 *
 *      tunnel_open --> OPENING --> UP <-- tunnel_accept
 *                         |         |
 *                         v         v
 *                       ENDED (said FAILED or DOWN)
 *
 * OPENING waits for the trigger to which answers come.  From then on there is always a way: the public identifier of the
 * neighbour's name, or the one that it put on the stack for answers, is enough for the handshake of the link; what they
 * tell each other over the link (i3_exchange.c) makes the way better.  Whatever makes a way doubtful (no trigger, silence)
 * goes back to the public one, whose owner is asked for again. */
#include "overlay/i3/i3_module.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/check.h"

#define OPEN_PATIENCE   (5 * SECOND) /* no server answers                                      */
#define SILENT_AGAIN    (1600 * MILLISECOND)
#define SUSPECT_SPACING (2 * SECOND)

struct i3_tunnel *i3_tunnel_find(const struct i3 *m, uint32_t id)
{
    struct i3_tunnel *t;
    HASH_FIND(hh, m->tunnels, &id, sizeof id, t);
    return t;
}

void i3_tunnel_say(struct i3 *m, struct i3_tunnel *t, unsigned what)
{
    if (!t->says)
        DL_APPEND(m->queue, t);
    t->says |= what;
}

void i3_tunnel_unsay(struct i3 *m, struct i3_tunnel *t, unsigned what)
{
    if (t->says && !(t->says & ~what))
        DL_DELETE(m->queue, t);
    t->says &= ~what;
}

/* NULL when the number is in use: the caller's mistake, which costs it nothing but the answer. */
static struct i3_tunnel *tunnel_new(struct i3 *m, instant now, uint32_t id, const char *host)
{
    uint8_t key[I3_KEY];
    if (!expect(!i3_tunnel_find(m, id) && strlen(host) < NAME_TEXT))
        return NULL;
    struct i3_tunnel *t = base_calloc(1, sizeof *t);
    t->id = id;
    t->opened = now;
    t->due = t->back_until = t->shortcut.due = t->ask_due = INSTANT_NEVER;
    strcpy(t->host, host);
    i3_name_id(m, t->which, host, &t->name, key);
    t->throughs = i3_through_ids(m, host, t->through);
    HASH_ADD(hh, m->tunnels, id, sizeof t->id, t);
    return t;
}

static void unwatch(struct i3 *m, struct i3_tunnel *t)
{
    if (t->watching)
        i3_owner_release(&m->client, &t->used);
    t->watching = false;
}

static void drop_bindings(struct i3 *m, struct i3_tunnel *t)
{
    struct i3_binding **all[] = {&t->back, &t->own, &t->inner};
    for (unsigned i = 0; i < 3; i++) {
        if (*all[i])
            i3_binding_remove(&m->client, *all[i]);
        *all[i] = NULL;
    }
}

void i3_tunnel_free(struct i3 *m, struct i3_tunnel *t)
{
    i3_missing_rest(m, t);
    unwatch(m, t);
    drop_bindings(m, t);
    i3_tunnel_unsay(m, t, ~0u);
    HASH_DEL(m->tunnels, t);
    free(t);
}

void i3_tunnel_end(struct i3 *m, struct i3_tunnel *t)
{
    unsigned what =
        t->state == I3_TUNNEL_UP && !(t->says & I3_SAY_UP) ? I3_SAY_DOWN : I3_SAY_FAILED;
    t->state = I3_TUNNEL_ENDED;
    t->due = t->back_until = INSTANT_NEVER;
    i3_shortcut_end(m, 0, t, false);
    i3_exchange_reset(m, t);
    i3_missing_rest(m, t);
    unwatch(m, t);
    drop_bindings(m, t);
    i3_tunnel_unsay(m, t, ~0u);
    i3_tunnel_say(m, t, what);
}

/* ---- the way ---- */

static enum i3_way best_way(const struct i3_tunnel *t)
{
    if (t->shortcut.up)
        return I3_WAY_SHORTCUT;
    if (t->has_private)
        return I3_WAY_PRIVATE;
    return t->has_return ? I3_WAY_RETURN : I3_WAY_PUBLIC;
}

static const struct i3_id *first_id(const struct i3_tunnel *t, enum i3_way way)
{
    if (way == I3_WAY_PRIVATE)
        return &t->to_private;
    return way == I3_WAY_RETURN ? &t->to_return : &t->name;
}

/* The identifier on top of the stack: the server responsible for it gets the packet. */
static const struct i3_id *top_id(const struct i3_tunnel *t, enum i3_way way)
{
    return t->throughs ? &t->through[0] : first_id(t, way);
}

bool i3_tunnel_allows(const struct i3 *m, const struct i3_tunnel *t)
{
    return m->allow && !t->throughs;
}

static void watch(struct i3 *m, instant now, struct i3_tunnel *t, const struct i3_id *id)
{
    if (t->watching && i3_id_equal(&t->used, id))
        return;
    unwatch(m, t);
    t->used = *id;
    t->watching = true;
    i3_owner_want(&m->client, now, id);
}

/* The public way needs a trigger of ours for answers. */
static void want_back(struct i3 *m, instant now, struct i3_tunnel *t)
{
    struct i3_id id;
    uint8_t key[I3_KEY];
    t->back_until = INSTANT_NEVER;
    if (t->back)
        return;
    i3_client_draw(&m->client, &id, key);
    t->back = i3_binding_add(&m->client, now, &id, key, I3_PREFIX_EXACT, NULL, 0);
}

void i3_tunnel_route(struct i3 *m, instant now, struct i3_tunnel *t)
{
    enum i3_way way = best_way(t);
    const struct i3_id *id = top_id(t, way);
    struct endpoint remote = t->shortcut.at;
    if (t->state != I3_TUNNEL_UP)
        return;
    bool same_ids =
        way == t->way && (way == I3_WAY_SHORTCUT || i3_id_equal(&t->target, first_id(t, way)));
    if (way == I3_WAY_PUBLIC)
        want_back(m, now, t);
    if (way != I3_WAY_SHORTCUT) {
        watch(m, now, t, id);
        if (!i3_owner_hop(&m->client, now, id, &remote))
            remote = t->remote; /* no server has an address at the moment */
    }
    if (same_ids && endpoint_equal(&remote, &t->remote) && !(t->says & I3_SAY_UP))
        return;
    t->way = way;
    t->target = *first_id(t, way);
    t->remote = remote;
    if (remote.ip.family && !(t->says & I3_SAY_UP))
        i3_tunnel_say(m, t, I3_SAY_RECIPE);
}

static uint16_t least(uint16_t a, uint16_t b)
{
    return a < b ? a : b;
}

static uint16_t record_mtu(const struct i3 *m, unsigned around)
{
    uint16_t mtu = (uint16_t)(m->mtu - around);
    return around == I3_UDP4 || around == I3_UDP6 ? mtu
                                                  : least(mtu, I3_DATAGRAM_MAX - I3_FRONT_MAX);
}

/* No recipe of ours has a `from`: records come from whichever server is responsible, or past the servers, and a gateway may
 * not insist on one of them.  What that means for transits is in the README. */
void i3_plain_recipe(const struct i3 *m, const struct endpoint *to, bool ports_free,
                     struct recipe *ret)
{
    const struct overlay_settings *s = &m->overlay.settings;
    recipe_begin(ret);
    recipe_add_send(ret, s->first_socket, NULL, to, 0);
    ret->mtu = record_mtu(m, to->ip.family == 4 ? I3_UDP4 : I3_UDP6);
    ret->ports_free = ports_free;
    ret->keepalive = s->keepalive > 0 ? s->keepalive : 25 * SECOND;
}

/* A data packet for these identifiers; with our own address when the server is to say what goes wrong. */
static bool stack_recipe(const struct i3 *m, const struct endpoint *server, const struct i3_id *ids,
                         unsigned count, bool with_sender, struct recipe *ret)
{
    uint8_t front[I3_FRONT_MAX];
    struct i3_packet p = {
        .flags = I3_DATA | I3_OPTIONS | I3_FIRST_HOP, .depth = (uint8_t)count, .stack = ids};
    const struct endpoint *self = &m->client.self[server->ip.family == 6].at;
    if (with_sender && self->ip.family && i3_client_speaks(&m->client, server))
        p.option[p.option_count++] =
            (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(self)};
    size_t size = i3_packet_write(&p, front, sizeof front);
    i3_plain_recipe(m, server, false, ret);
    ret->count = 0;
    if (!size || !recipe_add_prepend(ret, front, (uint16_t)size, NULL, 0) ||
        !recipe_add_send(ret, m->overlay.settings.first_socket, NULL, server, 0))
        return false;
    unsigned around = server->ip.family == 4 ? I3_UDP4 + I3_FRONT4 : I3_UDP6 + I3_FRONT;
    ret->mtu = record_mtu(m, around + I3_ID * (count > 2 ? count - 2 : 0));
    return true;
}

bool i3_tunnel_recipe(const struct i3 *m, const struct i3_tunnel *t, struct recipe *ret)
{
    struct i3_id ids[I3_THROUGH_MAX + 2];
    unsigned count = t->throughs;
    if (t->way == I3_WAY_SHORTCUT) {
        i3_plain_recipe(m, &t->remote, true, ret);
        return true;
    }
    memcpy(ids, t->through, count * sizeof *ids);
    ids[count++] = *first_id(t, t->way);
    if (t->way == I3_WAY_PUBLIC && t->back)
        ids[count++] = t->back->trigger.id;
    return stack_recipe(m, &t->remote, ids, count, true, ret);
}

bool i3_answer(const struct overlay *o, const struct arrival *from, struct recipe *ret)
{
    const struct i3 *m = i3_of(o);
    struct i3_id id;
    const struct i3_tunnel *t = m->tunnels;
    if (!from->remote.ip.family || !from->remote.port)
        return false;
    if (!from->via_size && m->allow) {
        i3_plain_recipe(m, &from->remote, false, ret);
        return true;
    }
    if (from->via_size != I3_VIA)
        return false;
    memcpy(&id, from->via + I3_HEADER, sizeof id);
    if (from->via[2] == 2) /* the identifier behind the first: answers go there */
        return stack_recipe(m, &from->remote, &id, 1, false, ret);
    /* It came to one of ours: the tunnel whose it is leads back. */
    while (t && !(t->state == I3_TUNNEL_UP && t->own && t->remote.ip.family &&
                  (i3_id_equal(&t->own->trigger.id, &id) ||
                   (t->inner && i3_id_equal(&t->inner->trigger.id, &id)))))
        t = t->hh.next;
    return t && i3_tunnel_recipe(m, t, ret);
}

/* ---- hooks ---- */

static void tunnel_up(struct i3 *m, instant now, struct i3_tunnel *t)
{
    t->state = I3_TUNNEL_UP;
    i3_tunnel_say(m, t, I3_SAY_UP);
    i3_tunnel_route(m, now, t);
}

void i3_tunnel_open(struct overlay *o, instant now, uint32_t tunnel, const char *host)
{
    struct i3 *m = i3_of(o);
    struct i3_tunnel *t = tunnel_new(m, now, tunnel, host);
    if (!t)
        return;
    want_back(m, now, t);
    watch(m, now, t, top_id(t, I3_WAY_PUBLIC)); /* asked for while the trigger is inserted */
    t->due = now + OPEN_PATIENCE;
    i3_wake(m, t->due);
}

static bool take_return(struct i3_tunnel *t, const struct arrival *from)
{
    if (from->via_size != I3_VIA || from->via[2] != 2)
        return false;
    memcpy(&t->to_return, from->via + I3_HEADER, I3_ID);
    t->has_return = true;
    return true;
}

void i3_tunnel_accept(struct overlay *o, instant now, uint32_t tunnel, const char *host,
                      const struct arrival *from)
{
    struct i3 *m = i3_of(o);
    struct i3_tunnel *t = tunnel_new(m, now, tunnel, host);
    struct endpoint server;
    struct text reason;
    if (!t)
        return;
    text_begin(&reason, t->reason, sizeof t->reason);
    if (!take_return(t, from))
        text_add(&reason, "'%s' came without an identifier to answer to", host);
    else if (!i3_client_first_hop(&m->client, now, &server))
        text_add(&reason, "no server of %s has an address: see `servers` in its options",
                 o->settings.instance);
    else
        tunnel_up(m, now, t);
    if (t->state != I3_TUNNEL_UP)
        i3_tunnel_end(m, t);
}

void i3_tunnel_moved(struct overlay *o, instant now, uint32_t tunnel, const struct arrival *from)
{
    struct i3 *m = i3_of(o);
    struct i3_tunnel *t = i3_tunnel_find(m, tunnel);
    if (!t || t->state != I3_TUNNEL_UP || !take_return(t, from))
        return;
    /* It made a new link: what it told us over the last one may be gone. */
    i3_shortcut_end(m, now, t, false);
    t->has_private = false;
    i3_tunnel_route(m, now, t);
    if (t->linked)
        i3_exchange_begin(m, now, t);
}

void i3_tunnel_close(struct overlay *o, instant now, uint32_t tunnel)
{
    struct i3 *m = i3_of(o);
    struct i3_tunnel *t = i3_tunnel_find(m, tunnel);
    if (t)
        i3_tunnel_free(m, t);
}

/* Nothing is heard: over the public identifier, with fresh triggers of ours, by a server that is known to answer. */
static void doubt(struct i3 *m, instant now, struct i3_tunnel *t)
{
    i3_client_move_on(&m->client, &t->remote);
    i3_shortcut_end(m, now, t, t->linked);
    t->has_private = t->has_return = false;
    t->private_lost = now;
    i3_tunnel_route(m, now, t);
    i3_owner_doubt(&m->client, now, top_id(t, I3_WAY_PUBLIC));
    i3_checks_begin(&m->client, now);
    struct i3_binding *ours[] = {t->back, t->own, t->inner, m->name[0], m->name[1]};
    for (unsigned i = 0; i < sizeof ours / sizeof *ours; i++)
        if (ours[i] && ours[i]->acknowledged && now - ours[i]->sent >= SUSPECT_SPACING)
            i3_binding_refresh(&m->client, now, ours[i]);
    if (t->linked)
        i3_exchange_begin(m, now, t);
}

void i3_tunnel_suspect(struct overlay *o, instant now, uint32_t tunnel)
{
    struct i3 *m = i3_of(o);
    struct i3_tunnel *t = i3_tunnel_find(m, tunnel);
    if (!t || t->state != I3_TUNNEL_UP)
        return;
    doubt(m, now, t);
    i3_missing_ask(m, now, t);
}

void i3_tunnel_use(struct overlay *o, instant now, uint32_t tunnel, enum overlay_use use)
{
    struct i3 *m = i3_of(o);
    struct i3_tunnel *t = i3_tunnel_find(m, tunnel);
    if (!t || t->state != I3_TUNNEL_UP || use != OVERLAY_SILENT)
        return;
    /* Once is what programs do that only listen; the next time the probe was not answered either. */
    bool again = t->silent_at && now - t->silent_at < SILENT_AGAIN;
    t->silent_at = now;
    if (again && t->shortcut.up)
        i3_shortcut_ask(m, now, t); /* it has probes of its own */
    else if (again && now - t->private_lost >= SUSPECT_SPACING)
        doubt(m, now, t);
}

void i3_tunnel_rename(struct i3 *m, instant now, struct i3_tunnel *t, unsigned which)
{
    uint8_t key[I3_KEY];
    i3_missing_rest(m, t);
    t->which = which;
    memset(t->missing, 0, sizeof t->missing);
    i3_name_id(m, which, t->host, &t->name, key);
    t->throughs = i3_through_ids(m, t->host, t->through);
    if (t->state == I3_TUNNEL_OPENING)
        watch(m, now, t, top_id(t, I3_WAY_PUBLIC));
    else if (t->state == I3_TUNNEL_UP)
        i3_tunnel_route(m, now, t);
}

/* ---- what the client says ---- */

bool i3_tunnel_may_redraw(struct i3_tunnel *t)
{
    return t->redrawn < I3_REDRAWS && ++t->redrawn;
}

/* The trigger for answers is where they would be lost: another identifier.  True: it is being inserted. */
static bool back_redrawn(struct i3 *m, instant now, struct i3_tunnel *t)
{
    if (!i3_tunnel_may_redraw(t))
        return false;
    i3_binding_remove(&m->client, t->back);
    t->back = NULL;
    want_back(m, now, t);
    if (t->state == I3_TUNNEL_UP && t->way == I3_WAY_PUBLIC && !(t->says & I3_SAY_UP))
        i3_tunnel_say(m, t, I3_SAY_RECIPE);
    return true;
}

static bool is_of(const struct i3_binding *b, const struct i3_id *id)
{
    return b && i3_id_equal(&b->trigger.id, id);
}

static void held(struct i3 *m, instant now, struct i3_tunnel *t, const struct i3_id *id)
{
    struct endpoint server;
    if (is_of(t->back, id) && i3_client_distrusts(&m->client, now, &t->back->at) &&
        back_redrawn(m, now, t))
        return;
    if (t->state == I3_TUNNEL_OPENING && is_of(t->back, id) &&
        i3_client_first_hop(&m->client, now, &server)) {
        t->due = INSTANT_NEVER;
        tunnel_up(m, now, t);
    }
    if (is_of(t->own, id) || is_of(t->inner, id))
        i3_exchange_held(m, now, t);
}

/* Who is responsible for it is gone, and the others send everything there all the same: in a ring of originals for a
 * minute and more. */
static void unheld(struct i3 *m, instant now, struct i3_tunnel *t, const struct i3_id *id)
{
    if (is_of(t->back, id) && back_redrawn(m, now, t) && t->state == I3_TUNNEL_OPENING)
        t->due = now + OPEN_PATIENCE;
    if ((is_of(t->own, id) || is_of(t->inner, id)) && i3_tunnel_may_redraw(t))
        i3_exchange_redraw(m, now, t);
}

static void self_changed(struct i3 *m, instant now, struct i3_tunnel *t)
{
    if (t->state != I3_TUNNEL_UP)
        return;
    i3_shortcut_end(m, now, t, t->linked);
    if (!(t->says & I3_SAY_UP) && t->remote.ip.family)
        i3_tunnel_say(m, t, I3_SAY_RECIPE); /* our address is in it */
    if (t->linked)
        i3_exchange_begin(m, now, t);
}

void i3_tunnels_event(struct i3 *m, instant now, const struct i3_event *e)
{
    for (struct i3_tunnel *t = m->tunnels, *next; t; t = next) {
        next = t->hh.next;
        switch (e->kind) {
        case I3_EVENT_HELD:
            held(m, now, t, &e->id);
            break;
        case I3_EVENT_UNHELD:
            unheld(m, now, t, &e->id);
            break;
        case I3_EVENT_OWNER:
            if (t->watching && !memcmp(&t->used, &e->id, I3_PLACE))
                i3_tunnel_route(m, now, t);
            break;
        case I3_EVENT_NOT_PRESENT:
            i3_missing_told(m, now, t, &e->id);
            break;
        case I3_EVENT_SELF:
            self_changed(m, now, t);
            break;
        case I3_EVENT_FIRST_HOP:
            i3_tunnel_route(m, now, t);
            break;
        }
    }
}

/* ---- time ---- */

/* A server that is there, but not for hosts that come by IPv6; NULL: none. */
static const struct i3_seed *declined(const struct i3_client *c)
{
    for (unsigned i = 0; i < c->seed_count; i++)
        if (c->seed[i].declined)
            return &c->seed[i];
    return NULL;
}

/* Whom we asked last: with an INSERT, or whether it serves us at all. */
static const struct endpoint *asked_last(const struct i3 *m, const struct i3_tunnel *t)
{
    const struct i3_client *c = &m->client;
    if (t->back && t->back->via.ip.family)
        return &t->back->via;
    for (unsigned i = 0; i < c->seed_count; i++)
        if (c->seed[i].at.ip.family)
            return &c->seed[i].at;
    return NULL;
}

/* The first server listed by name, when no address of any is known; NULL: there are addresses. */
static const char *nowhere(const struct i3_client *c)
{
    for (unsigned i = 0; i < c->seed_count; i++)
        if (c->seed[i].at.ip.family)
            return NULL;
    return c->seed_count ? c->seed[0].name : NULL;
}

static void opening_over(struct i3 *m, struct i3_tunnel *t)
{
    struct text reason;
    char at[ENDPOINT_TEXT] = "an address that is not known";
    const struct i3_seed *no = declined(&m->client);
    if (asked_last(m, t))
        endpoint_format(asked_last(m, t), at);
    text_begin(&reason, t->reason, sizeof t->reason);
    if (!t->back)
        text_add(&reason,
                 "this host keeps %u triggers in the servers of %s already, and no more at a time: "
                 "it has too many neighbours there",
                 m->client.binding_count, m->overlay.settings.instance);
    else if (no && !m->client.self[0].at.ip.family) /* nor did anybody answer by IPv4 */
        text_add(&reason,
                 "the server %s of %s does not serve hosts by IPv6: the servers have no secret in "
                 "common, so some may be originals, which speak IPv4 only",
                 endpoint_format(&no->at, at), m->overlay.settings.instance);
    else if (t->back->refused)
        text_add(&reason, "the server %s refuses the triggers of %s", at,
                 m->overlay.settings.instance);
    else if (nowhere(&m->client))
        text_add(&reason,
                 "the address of '%s', a server of %s, could not be looked up: is the name under "
                 "`servers` right, does this machine's DNS know it?",
                 nowhere(&m->client), m->overlay.settings.instance);
    else
        text_add(&reason,
                 "no server of %s answers (asked last: %s): are they running, is `servers` right, "
                 "does a firewall stop UDP?",
                 m->overlay.settings.instance, at);
    i3_tunnel_end(m, t);
}

instant i3_tunnels_advance(struct i3 *m, instant now)
{
    instant due = INSTANT_NEVER;
    for (struct i3_tunnel *t = m->tunnels; t; t = t->hh.next) {
        if (t->state == I3_TUNNEL_OPENING) {
            if (t->due <= now)
                opening_over(m, t);
            due = instant_min(due, t->due);
        } else if (t->state == I3_TUNNEL_UP) {
            due = instant_min(due, i3_exchange_advance(m, now, t));
            due = instant_min(due, i3_shortcut_advance(m, now, t));
            due = instant_min(due, i3_missing_advance(m, now, t));
        }
    }
    return due;
}
