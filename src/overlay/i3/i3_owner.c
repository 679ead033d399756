/* Who is responsible for an identifier.
 *
 *   not known --ask by the first hop, again with growing pauses--> known, 20 s
 *   known, 3 s before its end --ask it directly, each second, three times--> known for another 20 s, or not known
 *
 * What is asked for is another identifier at the same place, with an end that is drawn each time: an answer shows that the
 * question was seen.
 */
#include <stdlib.h>

#include "base/check.h"
#include "overlay/i3/i3_client.h"

#define ASK_PAUSE_MAX (16 * SECOND)

static struct i3_owner *find(const struct i3_client *c, const struct i3_id *id)
{
    struct i3_owner *o;
    HASH_FIND(hh, c->owners, id, I3_PLACE, o);
    return o;
}

/* Each time another server: the last one did not answer, or not the truth. */
static bool ask_whom(struct i3_client *c, instant now, const struct i3_owner *o,
                     struct endpoint *ret)
{
    if (o->via.ip.family)
        return i3_client_other_hop(c, now, &o->via, false, ret);
    return i3_client_first_hop(c, now, ret);
}

static void ask(struct i3_client *c, instant now, struct i3_owner *o)
{
    bool known = o->at.ip.family;
    unsigned doublings = o->asks < 4 ? o->asks : 4;
    instant pause = known ? I3_OWNER_RETRY : I3_OWNER_RETRY << doublings;
    o->due = now + (pause < ASK_PAUSE_MAX ? pause : ASK_PAUSE_MAX);
    i3_client_wake(c, o->due);
    if (known)
        o->via = o->at;
    else if (!ask_whom(c, now, o, &o->via))
        return;
    o->asked = now;
    o->asked_as = o->id;
    i3_client_draw_end(c, &o->asked_as);
    i3_client_ask(c, &o->via, &o->asked_as);
    o->asks++;
}

void i3_owner_want(struct i3_client *c, instant now, const struct i3_id *id)
{
    struct i3_owner *o = find(c, id);
    if (!o && HASH_COUNT(c->owners) >= I3_OWNERS_MAX)
        return;
    if (!o) {
        o = base_calloc(1, sizeof *o);
        o->id = *id;
        HASH_ADD(hh, c->owners, id, I3_PLACE, o);
        ask(c, now, o);
    }
    o->users++;
}

void i3_owner_release(struct i3_client *c, const struct i3_id *id)
{
    struct i3_owner *o = find(c, id);
    if (!o || --o->users)
        return;
    HASH_DEL(c->owners, o);
    free(o);
}

struct endpoint i3_owner_at(const struct i3_client *c, const struct i3_id *id)
{
    const struct i3_owner *o = find(c, id);
    return o ? o->at : (struct endpoint){0};
}

bool i3_owner_hop(struct i3_client *c, instant now, const struct i3_id *id, struct endpoint *ret)
{
    const struct i3_owner *o = find(c, id);
    if (o && (o->at.ip.family || o->via.ip.family)) {
        *ret = o->at.ip.family ? o->at : o->via;
        return true;
    }
    return i3_client_first_hop(c, now, ret);
}

bool i3_owner_is(const struct i3_client *c, const struct i3_id *id, const struct endpoint *server)
{
    const struct i3_owner *o = find(c, id);
    return o && (endpoint_equal(&o->at, server) || endpoint_equal(&o->was, server));
}

bool i3_owner_asks(const struct i3_client *c, const struct i3_id *id)
{
    const struct i3_owner *o = find(c, id);
    return o && i3_id_equal(&o->asked_as, id);
}

static void forget(struct i3_client *c, instant now, struct i3_owner *o)
{
    o->asks = 0;
    if (!o->at.ip.family)
        return;
    o->was = o->at;
    o->at = (struct endpoint){0};
    i3_client_say(c, I3_EVENT_OWNER, &o->id);
}

void i3_owner_doubt(struct i3_client *c, instant now, const struct i3_id *id)
{
    struct i3_owner *o = find(c, id);
    if (!o)
        return;
    forget(c, now, o);
    ask(c, now, o);
}

void i3_owner_deny(struct i3_client *c, instant now, const struct i3_id *id)
{
    struct i3_owner *o = find(c, id);
    if (!o)
        return;
    i3_owner_doubt(c, now, id);
    o->was = (struct endpoint){0};
}

void i3_owners_distrust(struct i3_client *c, instant now, const struct endpoint *server)
{
    for (struct i3_owner *o = c->owners; o; o = o->hh.next)
        if (endpoint_equal(&o->at, server) || endpoint_equal(&o->via, server))
            i3_owner_deny(c, now, &o->id);
}

bool i3_owner_told(struct i3_client *c, instant now, const struct i3_id *id,
                   const struct endpoint *at)
{
    struct i3_owner *o = find(c, id);
    if (!o || !i3_id_equal(&o->asked_as, id))
        return false;
    bool asked = o->asks > 0;
    if (!asked && !endpoint_equal(&o->at, at))
        return false;
    if (asked)
        i3_client_answered(c, &o->via);
    bool another = !endpoint_equal(&o->at, at);
    o->at = *at;
    o->asks = 0;
    o->due = now + I3_OWNER_LIFE - I3_OWNER_ASKS * I3_OWNER_RETRY;
    i3_client_wake(c, o->due);
    if (another)
        i3_client_say(c, I3_EVENT_OWNER, &o->id);
    return true;
}

static void advance_one(struct i3_client *c, instant now, struct i3_owner *o)
{
    if (o->asks && o->via.ip.family)
        i3_client_unanswered(c, now, &o->via);
    if (o->at.ip.family && o->asks >= I3_OWNER_ASKS) {
        i3_client_count(c, I3_COUNT_SERVERS_LOST);
        forget(c, now, o);
    }
    ask(c, now, o);
}

void i3_owners_family(struct i3_client *c, instant now, uint8_t family)
{
    for (struct i3_owner *o = c->owners; o; o = o->hh.next)
        if (o->via.ip.family && o->via.ip.family != family)
            i3_owner_doubt(c, now, &o->id);
}

void i3_owners_waiting(struct i3_client *c, instant now)
{
    for (struct i3_owner *o = c->owners; o; o = o->hh.next)
        if (!o->via.ip.family)
            ask(c, now, o);
}

instant i3_owners_advance(struct i3_client *c, instant now)
{
    instant due = INSTANT_NEVER;
    for (struct i3_owner *o = c->owners; o; o = o->hh.next) {
        if (o->due <= now)
            advance_one(c, now, o);
        due = instant_min(due, o->due);
    }
    return due;
}

void i3_owners_done(struct i3_client *c)
{
    struct i3_owner *o, *later;
    HASH_ITER(hh, c->owners, o, later)
    {
        HASH_DEL(c->owners, o);
        free(o);
    }
}
