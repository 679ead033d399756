/* Identifiers on a tunnel's way that have no trigger.
 *
 * NOT_PRESENT goes to who sent the packet.  So we are told of the first identifier on the stack: the name, or the
 * neighbour's private one, or the first host that is to be passed (`through`).  Of what is behind such a host it is told
 * itself, and it does not know whom that would interest.  So when OPEN has no answer, the servers that are responsible for
 * those identifiers are asked straight: by data of one byte for the identifier alone, which nobody takes for anything.
 * Nothing else of us goes past the hosts that are to be passed, and this only until there is a link.
 *
 * It is believed when it was said twice, by two servers if there are two. */
#include "overlay/i3/i3_module.h"

#define MISSING_MAX     2
#define MISSING_SPACING (300 * MILLISECOND)
#define ASK_AGAIN       (500 * MILLISECOND)

/* The hosts that are passed, and behind them the name. */
static const struct i3_id *stage(const struct i3_tunnel *t, unsigned which)
{
    return which < t->throughs ? &t->through[which] : &t->name;
}

/* False: it is none of them. */
static bool stage_of(const struct i3_tunnel *t, const struct i3_id *id, unsigned *ret)
{
    for (*ret = 0; *ret <= t->throughs; ++*ret)
        if (i3_id_equal(stage(t, *ret), id))
            return true;
    return false;
}

/* ---- asking ---- */

void i3_missing_ask(struct i3 *m, instant now, struct i3_tunnel *t)
{
    if (!t->throughs || t->linked || t->asking)
        return;
    t->asking = true;
    for (unsigned i = 1; i <= t->throughs; i++)
        i3_owner_want(&m->client, now, stage(t, i));
    t->ask_due = now + ASK_AGAIN;
    i3_wake(m, t->ask_due);
}

void i3_missing_rest(struct i3 *m, struct i3_tunnel *t)
{
    for (unsigned i = 1; t->asking && i <= t->throughs; i++)
        i3_owner_release(&m->client, stage(t, i));
    t->asking = false;
    t->ask_due = INSTANT_NEVER;
}

instant i3_missing_advance(struct i3 *m, instant now, struct i3_tunnel *t)
{
    if (t->ask_due > now)
        return t->ask_due;
    if (t->linked) {
        i3_missing_rest(m, t);
        return t->ask_due;
    }
    for (unsigned i = 1; i <= t->throughs; i++) {
        struct endpoint server = i3_owner_at(&m->client, stage(t, i));
        if (server.ip.family)
            i3_client_send_data(&m->client, &server, stage(t, i), 1);
    }
    t->ask_due = now + ASK_AGAIN;
    return t->ask_due;
}

/* ---- what is said ---- */

static void name_unknown(struct i3 *m, instant now, struct i3_tunnel *t)
{
    struct text reason;
    if (t->which + 1 < i3_name_count(m, t->host)) {
        i3_tunnel_rename(m, now, t, t->which + 1);
        return;
    }
    text_begin(&reason, t->reason, sizeof t->reason);
    text_add(&reason,
             "the servers of %s have no trigger for '%s': is ocalad running there, with the same "
             "instance name and servers of the same ring%s?",
             m->overlay.settings.instance, t->host,
             m->keyed ? ", and there too the same secret and `names: keyed`" : "");
    t->unknown_host = true;
    i3_tunnel_end(m, t);
}

/* Nothing goes past it: who wants it passed wants that always. */
static void through_unknown(struct i3 *m, struct i3_tunnel *t, unsigned which)
{
    char name[I3_THROUGH_MAX][NAME_TEXT] = {{0}};
    struct text reason;
    i3_through_names(m, t->host, name);
    text_begin(&reason, t->reason, sizeof t->reason);
    text_add(&reason,
             "the servers of %s have no trigger for '%s', which what is sent to '%s' has to pass "
             "(`through`): is it running, and is that its name?",
             m->overlay.settings.instance, name[which], t->host);
    i3_tunnel_end(m, t);
}

/* The first identifier gets all that we send, the others are asked for while there is no link; and without the first host
 * nothing passes, link or not. */
static bool matters(const struct i3_tunnel *t, unsigned which)
{
    if (which)
        return t->asking && !t->linked;
    return t->throughs || (t->way == I3_WAY_PUBLIC && !t->linked);
}

static void stage_missing(struct i3 *m, instant now, struct i3_tunnel *t, unsigned which)
{
    struct i3_missing *k = &t->missing[which];
    if (!matters(t, which) || now - k->at < MISSING_SPACING)
        return;
    k->at = now;
    i3_client_count(&m->client, I3_COUNT_NOT_PRESENT);
    if (t->linked || ++k->times < MISSING_MAX) {
        i3_owner_deny(&m->client, now,
                      stage(t, which)); /* another server is asked, if there is one */
        i3_tunnel_route(m, now, t);
    } else if (which < t->throughs) {
        through_unknown(m, t, which);
    } else {
        name_unknown(m, now, t);
    }
}

static void private_missing(struct i3 *m, instant now, struct i3_tunnel *t)
{
    i3_client_count(&m->client, I3_COUNT_NOT_PRESENT);
    if (!t->private_denied++) { /* does another server say the same? */
        i3_owner_deny(&m->client, now, &t->to_private);
        i3_tunnel_route(m, now, t);
        return;
    }
    t->has_private = t->has_return = false;
    t->private_lost = now;
    i3_tunnel_route(m, now, t);
    if (t->linked)
        i3_exchange_begin(m, now, t); /* says that we know its identifier no more */
}

void i3_missing_told(struct i3 *m, instant now, struct i3_tunnel *t, const struct i3_id *id)
{
    unsigned which;
    if (t->state != I3_TUNNEL_UP)
        return;
    if (stage_of(t, id, &which)) {
        stage_missing(m, now, t, which);
    } else if (t->throughs) {
        return; /* we ask for nothing else */
    } else if (t->has_private && i3_id_equal(id, &t->to_private)) {
        private_missing(m, now, t);
    } else if (t->has_return && i3_id_equal(id, &t->to_return)) {
        t->has_return = false;
        i3_tunnel_route(m, now, t);
    }
}
