/* A neighbour that seems to be elsewhere now.
 *
 * The newest sealed record came from another place than the tunnel leads to.  Perhaps the neighbour moved; perhaps somebody
 * on the way kept its record back and sent it from a place of his own, which costs him nothing and would lead all that we
 * send astray.  So nothing but a PROBE with a number drawn at random goes there, and the tunnel follows when the number
 * comes back: then what we send there arrives (RFC 9000, section 9).  Until then, one round trip, the tunnel leads where
 * it did, and a newer record from there ends the matter.
 *
 * Who sees all and hands on all that he sees can still move a tunnel to himself, as he could by moving the cable. */
#include "path/path_internal.h"

#include <string.h>

#define ASK_SPACING  (250 * MILLISECOND) /* between two questions to the same place            */
#define PROVEN_LASTS MINUTE              /* a tunnel that leads nowhere fixed follows meanwhile */
#define MOVE_NUMBER                                                                                \
    0x40000000u /* up to twice this: ordinary probes are below, those for the MTU above */

struct path_move {
    struct arrival from;
    uint32_t number;
    instant asked, proven; /* 0: not */
};

static bool same_place(const struct arrival *a, const struct arrival *b)
{
    return endpoint_equal(&a->remote, &b->remote) && endpoint_equal(&a->local, &b->local) &&
           a->via_size == b->via_size && !memcmp(a->via, b->via, a->via_size);
}

static void follow(struct path_engine *e, const struct path *p, const struct arrival *from)
{
    struct path_out *o = path_out_add(e, PATH_OUT_TUNNEL_MOVED);
    o->instance = p->instance;
    o->tunnel = p->first->tunnel;
    o->from = *from;
}

static struct path_move *move_of(struct path *p)
{
    struct work *w = path_work(p);
    if (!w->move)
        w->move = base_calloc(1, sizeof *w->move);
    return w->move;
}

void path_move_seen(struct path_engine *e, instant now, struct path *p, const struct arrival *from)
{
    if (!p->one_hop || p->state != PATH_STATE_UP)
        return;
    struct path_move *m = move_of(p);
    bool same = same_place(&m->from, from);
    if (same && m->proven && now - m->proven < PROVEN_LASTS) {
        follow(e, p, from);
        return;
    }
    if (same && m->asked && now - m->asked < ASK_SPACING)
        return;
    if (!same)
        m->number = MOVE_NUMBER | (entropy_u32(e->entropy) & (MOVE_NUMBER - 1));
    m->from = *from;
    m->asked = now_floor(now);
    m->proven = 0;
    path_control_ask_at(e, now, p, from, m->number);
}

bool path_move_reply(struct path_engine *e, instant now, struct path *p, uint32_t number)
{
    struct path_move *m = p->work ? p->work->move : NULL;
    if (!m || !m->asked || number != m->number)
        return false;
    m->asked = 0;
    m->proven = now_floor(now);
    follow(e, p, &m->from);
    return true;
}

void path_move_not(struct path *p)
{
    if (p->work && p->work->move)
        p->work->move->asked = 0;
}
