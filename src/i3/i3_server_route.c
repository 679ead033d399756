/* Which server is responsible for an identifier (the original's id cache), and which identifiers have no trigger at
 * their server (its push-back).
 *
 * Both are told by packets that prove nothing.  So only answers to questions are taken; in a ring with a secret
 * CACHE_ADDRESS carries a proof besides; and NOT_PRESENT counts only from the server that is known to be responsible. */
#include <string.h>

#include "i3/i3_server_internal.h"

static struct route *slot_of(const struct i3_server *s, const struct i3_id *id)
{
    return (struct route *)(uintptr_t)&s
        ->route[i3_index(s, id->bytes, I3_MATCH / 8, s->remembered)];
}

const struct route *i3_route_find(const struct i3_server *s, instant now, const struct i3_id *id)
{
    const struct route *r = slot_of(s, id);
    bool fits = i3_id_common(&r->id, id) >= I3_MATCH;
    return fits && r->at.ip.family && r->tries < ROUTE_TRIES && now - r->told < ROUTE_LIVES ? r
                                                                                            : NULL;
}

bool i3_route_ask(struct i3_server *s, instant now, const struct i3_id *id)
{
    struct route *r = slot_of(s, id);
    bool known = i3_route_find(s, now, id);
    if (known && (now - r->told < ROUTE_ASKS || now - r->asked < SECOND))
        return false;
    if (known) {
        r->tries++;
        r->asked = now;
    } else {
        *r = (struct route){.id = *id, .asked = now};
    }
    return true;
}

static struct back *back_of(struct i3_server *s, const struct i3_id *id)
{
    return &s->back[i3_index(s, id->bytes, I3_ID, s->remembered)];
}

void i3_back_put(struct i3_server *s, instant now, const struct i3_id *id)
{
    *back_of(s, id) = (struct back){*id, now + BACK_LIVES};
}

bool i3_back_take(struct i3_server *s, instant now, const struct i3_id *id)
{
    struct back *b = back_of(s, id);
    if (b->until <= now || !i3_id_equal(&b->id, id))
        return false;
    b->until = 0;
    return true;
}

void i3_back_told(struct i3_server *s, struct passage *p, const struct i3_id *id)
{
    const struct route *r = i3_route_find(s, p->now, id);
    if (r && p->from && endpoint_equal(&r->at, p->from))
        i3_back_put(s, p->now, id);
    else
        i3_drop(s, I3_DROP_UNASKED);
}
