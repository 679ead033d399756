/* Which servers may be told IPv6 addresses.
 *
 * An original exits on an IPv6 sender.  It does not listen at IPv6 addresses; but behind one may stand a translator, or
 * one of ours whose ring has originals in it.  So nothing that carries an address goes to an IPv6 address before it has
 * said hello, with the ability for IPv6 in it:
 *
 *   a listed server         is pinged: 40 bytes without an address, which an original ignores; the reply carries the hello
 *   whoever answers for     says it in the CACHE_ADDRESS of the answer to our question
 *   an identifier
 *
 * A hello holds for ten minutes and is asked for again after five.  One without the ability ends it at once.
 *
 * A ping finds out something else as well: after a move all listed servers are pinged, and the family of the first one that
 * answers is used from then on (what we had by the other one may be gone). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "overlay/i3/i3_client.h"

#define HELLO_LIFE  (10 * MINUTE)
#define HELLO_AGAIN (5 * MINUTE)
#define PING_AGAIN  SECOND
#define PINGS       4 /* without an answer; then a pause */
#define PING_REST   (15 * SECOND)

/* ---- who has said it ---- */

static void key_of(const struct endpoint *at, uint8_t ret[I3_PEER_KEY])
{
    memcpy(ret, at->ip.bytes, 16);
    ret[16] = (uint8_t)(at->port >> 8);
    ret[17] = (uint8_t)at->port;
}

static struct i3_peer *find(const struct i3_client *c, const struct endpoint *at)
{
    uint8_t key[I3_PEER_KEY];
    struct i3_peer *p;
    key_of(at, key);
    HASH_FIND(hh, c->peers, key, I3_PEER_KEY, p);
    return p;
}

static void forget(struct i3_client *c, struct i3_peer *p)
{
    HASH_DEL(c->peers, p);
    free(p);
}

bool i3_client_speaks(const struct i3_client *c, const struct endpoint *server)
{
    return server->ip.family == 4 || (server->ip.family == 6 && find(c, server));
}

void i3_hello_heard(struct i3_client *c, instant now, const struct endpoint *from,
                    uint8_t abilities)
{
    struct i3_peer *p = find(c, from);
    if (from->ip.family != 6)
        return;
    if (!(abilities & I3_CAN_IPV6)) {
        if (p)
            forget(c, p);
        return;
    }
    if (!p) {
        if (HASH_COUNT(c->peers) >= I3_OWNERS_MAX)
            return;
        p = base_calloc(1, sizeof *p);
        key_of(from, p->key);
        HASH_ADD(hh, c->peers, key, I3_PEER_KEY, p);
    }
    p->until = now + HELLO_LIFE;
    i3_client_wake(c, p->until);
}

/* ---- pings ---- */

static void ping(struct i3_client *c, instant now, struct i3_seed *s)
{
    struct i3_ping p = {.sequence = (uint16_t)++s->pings};
    uint8_t bytes[I3_PING_SIZE];
    if (s->pings == 1)
        s->token = entropy_u64(c->entropy) | 1;
    p.time = s->token;
    i3_ping_write(&p, bytes);
    i3_client_queue(c, &s->at, bytes, sizeof bytes);
    s->ping_due = now + PING_AGAIN;
    if (s->pings < PINGS)
        return;
    s->pings = 0;
    s->ping_due = s->at.ip.family == 6 ? now + PING_REST : INSTANT_NEVER;
}

void i3_seed_greet(struct i3_client *c, instant now, struct i3_seed *s)
{
    s->pings = 0;
    s->declined = false;
    s->ping_due = s->at.ip.family ? now : INSTANT_NEVER;
    i3_client_wake(c, s->ping_due);
}

void i3_hello_moved(struct i3_client *c, instant now)
{
    bool has_six = false;
    for (unsigned i = 0; i < c->seed_count; i++)
        has_six |= c->seed[i].at.ip.family == 6;
    c->moving = has_six; /* with one family there is nothing to choose */
    for (unsigned i = 0; i < c->seed_count && has_six; i++)
        i3_seed_greet(c, now, &c->seed[i]);
}

static struct i3_seed *pinged(struct i3_client *c, const struct endpoint *from,
                              const struct i3_ping *p)
{
    for (unsigned i = 0; i < c->seed_count; i++)
        if (c->seed[i].token && c->seed[i].token == p->time && endpoint_equal(&c->seed[i].at, from))
            return &c->seed[i];
    return NULL;
}

bool i3_hello_input(struct i3_client *c, instant now, const struct arrival *from,
                    const uint8_t *bytes, size_t size)
{
    struct i3_ping p;
    if (!i3_ping_parse(bytes, size, &p))
        return false;
    struct i3_seed *s = p.is_reply ? pinged(c, &from->remote, &p) : NULL;
    if (!s) {
        i3_client_count(c, I3_COUNT_STRANGE_HELLO);
        return true;
    }
    bool six = s->at.ip.family == 6, fresh = !i3_client_speaks(c, &s->at);
    s->token = 0;
    s->pings = 0;
    s->ping_due = six ? now + HELLO_AGAIN : INSTANT_NEVER;
    i3_client_wake(c, s->ping_due);
    i3_hello_heard(c, now, &s->at, p.abilities);
    s->declined = six && !i3_client_speaks(c, &s->at);
    if (s->declined) {
        i3_client_count(c, I3_COUNT_NO_HELLO);
        return true;
    }
    i3_client_answered(c, &s->at);
    i3_client_learn_self(c, now, from);
    if (fresh)
        i3_client_server_came(c, now);
    return true;
}

instant i3_hellos_advance(struct i3_client *c, instant now)
{
    instant due = INSTANT_NEVER;
    struct i3_peer *p, *later;
    HASH_ITER(hh, c->peers, p, later)
    {
        if (p->until <= now)
            forget(c, p);
        else
            due = instant_min(due, p->until);
    }
    for (unsigned i = 0; i < c->seed_count; i++) {
        if (c->seed[i].ping_due <= now)
            ping(c, now, &c->seed[i]);
        due = instant_min(due, c->seed[i].ping_due);
    }
    return due;
}

void i3_hellos_done(struct i3_client *c)
{
    struct i3_peer *p, *later;
    HASH_ITER(hh, c->peers, p, later)
    forget(c, p);
}

/* ---- in answers ---- */

/* Is the packet an answer to a question of ours?  Its end was drawn for the question, or it repeats our trigger. */
static bool is_answer(const struct i3_client *c, const struct i3_packet *p, const struct i3_id *id)
{
    const struct i3_option *first = &p->option[0];
    bool has_trigger = first->type == I3_CHALLENGE || first->type == I3_ACK;
    return i3_owner_asks(c, id) || i3_sample_asks(c, id) ||
           (has_trigger && i3_binding_asks(c, &first->trigger));
}

void i3_hello_answer(struct i3_client *c, instant now, const struct endpoint *from,
                     const struct i3_packet *p)
{
    const struct i3_option *o = i3_packet_option(p, I3_CACHE_ADDRESS);
    if (from->ip.family == 6 && o && is_answer(c, p, &o->trigger.id))
        i3_hello_heard(c, now, from, i3_hello_read(o->trigger.nonce));
    /* A server that relays another's answer names it, with the hello that that one wrote. */
    const struct i3_option *named = i3_packet_option(p, I3_FORCE_CACHE_ADDRESS);
    if (named && named->trigger.target.type == I3_TO_IPV6 && i3_client_speaks(c, from) &&
        is_answer(c, p, &named->trigger.id))
        i3_hello_heard(c, now, &named->trigger.target.at, i3_hello_read(named->trigger.nonce));
}
