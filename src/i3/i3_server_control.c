/* Options: inserting, removing, asking who is responsible.
 *
 * Replies.  CHALLENGE with CACHE_ADDRESS is a little longer than the INSERT that it answers: one address is sent
 * REPLIES_LONG of these a second, then CHALLENGE alone, which is shorter; then nothing.  What came over the
 * ring, where a stranger may have named this address as SENDER, is counted apart: he cannot use up what a client may ask for
 * itself. */
#include <string.h>

#include "crypto/crypto.h"
#include "i3/i3_server_internal.h"

bool i3_may_reply(struct i3_server *s, const struct passage *p, bool *ret_long)
{
    /* What comes straight is answered where it comes from; over the ring anybody can have said who asks. */
    struct limit_sources *replies = &s->replies[p->from != NULL];
    /* One counter for both: the short ones begin where the long ones end. */
    if (!limit_source_admits(replies, p->now, &p->reply.ip, REPLIES_SHORT)) {
        i3_drop(s, I3_DROP_REPLY_LIMIT);
        return false;
    }
    *ret_long = limit_source_used(replies, &p->reply.ip) <= REPLIES_LONG;
    return true;
}

/* In a ring with a secret the unused key says that a server of the ring wrote it. */
static void route_proof(struct i3_server *s, const struct i3_id *id, const struct endpoint *at,
                        uint8_t ret[I3_KEY])
{
    uint8_t text[I3_ID + 18], digest[32];
    memcpy(text, id->bytes, I3_ID);
    memcpy(text + I3_ID, at->ip.bytes, 16);
    text[I3_ID + 16] = (uint8_t)(at->port >> 8);
    text[I3_ID + 17] = (uint8_t)at->port;
    crypto_hmac(&s->route_key, text, sizeof text, digest);
    memcpy(ret, digest, I3_KEY);
}

void i3_cache_option(struct i3_server *s, const struct i3_id *id, const struct endpoint *whom,
                     struct i3_option *ret)
{
    const struct endpoint *at = i3_own(s, whom->ip.family);
    if (!at)
        at = &s->at; /* not sent, then */
    *ret =
        (struct i3_option){.type = I3_CACHE_ADDRESS,
                           .trigger = {.id = *id, .prefix = I3_MATCH, .target = i3_address_of(at)}};
    i3_hello_write(i3_abilities(s, whom), ret->trigger.nonce);
    if (s->closed)
        route_proof(s, id, at, ret->trigger.key);
}

/* A trigger goes back as the client said it; what it calls itself behind a NAT included. */
static void answer(struct i3_server *s, struct passage *p, enum i3_option_type type,
                   const struct i3_trigger *t)
{
    struct i3_packet reply = {.flags = I3_OPTIONS, .option_count = 1};
    bool is_long;
    if (!p->reply.ip.family) {
        i3_drop(s, I3_DROP_NO_SENDER);
        return;
    }
    if (type == I3_ACK)
        is_long = true; /* he showed that he receives there */
    else if (!i3_may_reply(s, p, &is_long))
        return;
    reply.option[0].type = (uint8_t)type;
    reply.option[0].trigger = *t;
    if (type != I3_ACK && p->told_cache)
        is_long = false;
    p->told_cache |= is_long;
    if (is_long)
        i3_cache_option(s, &t->id, &p->reply, &reply.option[reply.option_count++]);
    s->counters.challenged += type == I3_CHALLENGE;
    i3_send(s, &p->reply, &reply);
}

/* Who has shown that he receives at the reply address, is he the target?  The port may differ: one host. */
static bool is_from_target(const struct passage *p, const struct i3_trigger *t)
{
    return t->target.type != I3_TO_STACK && p->reply.ip.family &&
           ip_address_equal(&p->reply.ip, &t->target.at.ip);
}

/* The reply repeats the target: somebody at an IPv4 address may be an original, which is not to see an IPv6 one. */
static bool is_spoken(const struct i3_server *s, const struct passage *p, uint8_t family)
{
    return i3_own(s, family) && (!p->reply.ip.family || p->reply.ip.family == family);
}

static bool may_be_kept(struct i3_server *s, const struct passage *p, const struct i3_trigger *t)
{
    enum i3_drop reason = I3_DROP_COUNT;
    bool to_address = t->target.type != I3_TO_STACK;
    if (!i3_id_equal(&t->id, p->packet->stack))
        reason = I3_DROP_WRONG_ID;
    else if (t->prefix > I3_BITS || (to_address && (!endpoint_is_unicast(&t->target.at) ||
                                                    i3_is_server(s, &t->target.at))))
        reason = I3_DROP_TARGET;
    else if (to_address && !is_spoken(s, p, t->target.at.ip.family))
        reason = I3_DROP_FAMILY;
    if (reason == I3_DROP_COUNT)
        return true;
    i3_drop(s, reason);
    return false;
}

/* The trigger as it is kept: of a client behind a NAT, with the address that others see. */
static struct i3_trigger as_seen(const struct passage *p, const struct i3_trigger *t)
{
    struct i3_trigger seen = *t;
    if (p->natted && t->target.type != I3_TO_STACK && t->target.at.ip.family == p->from->ip.family)
        seen.target.at = *p->from;
    return seen;
}

static bool nonce_is(const struct i3_server *s, const struct i3_trigger *t, bool proven)
{
    uint8_t right[I3_NONCE];
    i3_nonce(s, t, proven, right);
    return crypto_equal(right, t->nonce, I3_NONCE);
}

/* Without a SENDER another server of ours hands the trigger over. */
static bool chain_nonce_is(const struct i3_server *s, const struct passage *p,
                           const struct i3_trigger *t)
{
    uint8_t right[I3_NONCE];
    if (!p->reply.ip.family)
        return i3_chain_nonce_is_one(s, t);
    i3_chain_nonce(s, t, &p->reply, right);
    return crypto_equal(right, t->nonce, I3_NONCE);
}

/* Whoever inserts a chain again: with the copies too it is its owner's. */
static void copy_out(struct i3_server *s, const struct i3_trigger *seen)
{
    struct i3_trigger copy = *seen;
    if (seen->target.type == I3_TO_STACK)
        memcpy(copy.nonce, i3_table_owner(i3_table_find(s->table, seen)), I3_NONCE);
    i3_copy_out(s, &copy);
}

static void keep(struct i3_server *s, struct passage *p, const struct i3_trigger *seen, bool proven)
{
    static const enum i3_drop why[] = {
        [I3_KEPT_NOT_CLIENT] = I3_DROP_CLIENT_LIMIT,
        [I3_KEPT_NOT_FULL] = I3_DROP_TABLE_FULL,
        [I3_KEPT_NOT_TARGET] = I3_DROP_TARGET_LIMIT,
    };
    /* A nonce that was given to the target shows who the client is, whoever SENDER may be. */
    const struct ip_address *client = p->reply.ip.family ? &p->reply.ip : NULL;
    if (proven)
        client = &seen->target.at.ip;
    /* A stack points to no address: there is nobody who would have to want it. */
    bool wanted = proven || seen->target.type == I3_TO_STACK;
    enum i3_kept_result result = i3_table_put(s->table, p->now, seen, client, wanted);
    if (result > I3_KEPT_AGAIN) {
        i3_drop(s, why[result]);
        return;
    }
    *(result == I3_KEPT_NEW ? &s->counters.inserted : &s->counters.refreshed) += 1;
    copy_out(s, seen);
}

/* An INSERT that nobody sends: a server hands over what became ours.  In an open ring its nonce says nothing to us, so we
 * ask the target, whose client inserts the trigger again.  The question is shorter than what it was caused by. */
static void ask_target(struct i3_server *s, struct passage *p, const struct i3_trigger *t)
{
    struct i3_packet question = {.flags = I3_OPTIONS, .option_count = 1};
    bool is_long;
    if (p->from || t->target.type == I3_TO_STACK) {
        i3_drop(s, I3_DROP_NO_SENDER); /* no server, or nobody to ask */
        return;
    }
    p->reply = t->target.at;
    if (!i3_may_reply(s, p, &is_long))
        return;
    question.option[0].type = I3_CHALLENGE;
    question.option[0].trigger = *t;
    i3_nonce(s, t, true, question.option[0].trigger.nonce);
    s->counters.challenged++;
    i3_send(s, &p->reply, &question);
}

/* Over a ring with a secret, which no client can write to: i3_server.c passes none of theirs on without a SENDER. */
static bool is_handed_over(const struct i3_server *s, const struct passage *p)
{
    return s->closed && !p->from && !i3_packet_option(p->packet, I3_SENDER);
}

static bool was_kept(struct i3_server *s, const struct i3_trigger *seen)
{
    return i3_table_find(s->table, seen) != NULL;
}

/* The owner's nonce, said by another SENDER: the owner moved.  He could remove the trigger and insert it anew, which would
 * cost him what is sent to it meanwhile; so what he is given at his new place is the owner's at once. */
static void follow_owner(struct i3_server *s, const struct i3_trigger *t,
                         const uint8_t nonce[I3_NONCE])
{
    const struct i3_kept *kept = i3_table_find(s->table, t);
    if (kept && crypto_equal(i3_table_owner(kept), t->nonce, I3_NONCE))
        i3_table_give(kept, nonce);
}

static void insert_chain(struct i3_server *s, struct passage *p, const struct i3_trigger *t)
{
    struct i3_trigger shown = *t;
    if (chain_nonce_is(s, p, t)) {
        keep(s, p, t, false);
        if (p->reply.ip.family && was_kept(s, t))
            answer(s, p, I3_ACK, t);
        return;
    }
    i3_chain_nonce(s, t, &p->reply, shown.nonce);
    follow_owner(s, t, shown.nonce);
    answer(s, p, I3_CHALLENGE, &shown);
}

/* The trigger breaks the constraint.  What came over the ring names anybody as SENDER, and he would hear that a trigger
 * which may be his is refused: so he is asked first, as for one that keeps it. */
static void refuse(struct i3_server *s, struct passage *p, const struct i3_trigger *t)
{
    struct i3_trigger shown = *t;
    i3_drop(s, I3_DROP_CONSTRAINT);
    if (!p->reply.ip.family)
        return;
    i3_refusal_nonce(s, t, &p->reply, shown.nonce);
    if (p->from || crypto_equal(shown.nonce, t->nonce, I3_NONCE))
        answer(s, p, I3_CONSTRAINT_FAILED, t);
    else
        answer(s, p, I3_CHALLENGE, &shown);
}

static void insert(struct i3_server *s, struct passage *p, const struct i3_trigger *t)
{
    struct i3_trigger seen = as_seen(p, t), shown = *t;
    const struct i3_id *first = t->target.type == I3_TO_STACK ? t->target.stack : NULL;
    if (!may_be_kept(s, p, &seen))
        return;
    if (!i3_constraint_holds(s->hash, &t->id, first, t->key)) {
        refuse(s, p, t);
        return;
    }
    if (!p->reply.ip.family && !is_handed_over(s, p)) {
        ask_target(s, p, t);
        return;
    }
    if (first) {
        insert_chain(s, p, t);
        return;
    }
    /* Who speaks for himself is given the nonce that is only for him, also when he has shown the other one. */
    bool himself = is_from_target(p, &seen), proven = nonce_is(s, &seen, true);
    if (proven || (!himself && nonce_is(s, &seen, false))) {
        keep(s, p, &seen, proven);
        if (p->reply.ip.family && was_kept(s, &seen))
            answer(s, p, I3_ACK, t);
        return;
    }
    if (!p->reply.ip.family) {
        ask_target(s, p, t);
        return;
    }
    i3_nonce(s, &seen, himself, shown.nonce);
    answer(s, p, I3_CHALLENGE, &shown);
}

static void remove_trigger(struct i3_server *s, struct passage *p, const struct i3_trigger *t)
{
    struct i3_trigger seen = as_seen(p, t);
    const struct i3_kept *kept = i3_table_find(s->table, &seen);
    if (!kept) {
        i3_drop(s, I3_DROP_UNKNOWN_TRIGGER);
        return;
    }
    bool may = kept->target.type == I3_TO_STACK
                   ? crypto_equal(i3_table_owner(kept), t->nonce, I3_NONCE)
                   : nonce_is(s, &seen, true) || (!kept->proven && nonce_is(s, &seen, false));
    if (!may) {
        i3_drop(s, I3_DROP_NONCE);
        return;
    }
    i3_table_remove(s->table, kept);
    s->counters.removed++;
}

/* REQUEST_FOR_CACHE: we are responsible for the packet's first identifier. */
static void tell_cache(struct i3_server *s, struct passage *p)
{
    struct i3_packet reply = {.flags = I3_OPTIONS, .option_count = 1};
    bool is_long;
    if (!p->reply.ip.family || p->told_cache || !i3_may_reply(s, p, &is_long))
        return;
    p->told_cache = true;
    i3_cache_option(s, p->packet->stack, &p->reply, &reply.option[0]);
    if (is_long || p->size >= 80)
        i3_send(s, &p->reply, &reply);
}

/* What any packet may carry, whether it has identifiers or not. */
static void told(struct i3_server *s, struct passage *p, const struct i3_option *o)
{
    if (o->type == I3_CACHE_ADDRESS)
        i3_route_told(s, p, &o->trigger);
    else if (o->type == I3_NOT_PRESENT)
        i3_back_told(s, p, &o->id);
}

void i3_control_owned(struct i3_server *s, struct passage *p)
{
    for (unsigned i = 0; i < p->packet->option_count; i++) {
        const struct i3_option *o = &p->packet->option[i];
        switch (o->type) {
        case I3_INSERT:
            insert(s, p, &o->trigger);
            break;
        case I3_REMOVE:
            remove_trigger(s, p, &o->trigger);
            break;
        case I3_REQUEST_FOR_CACHE:
            tell_cache(s, p);
            break;
        default:
            told(s, p, o);
        }
    }
}

void i3_control_own(struct i3_server *s, struct passage *p)
{
    if (!p->packet->option_count)
        i3_drop(s, I3_DROP_NO_DATA);
    for (unsigned i = 0; i < p->packet->option_count; i++)
        told(s, p, &p->packet->option[i]);
}

void i3_route_told(struct i3_server *s, struct passage *p, const struct i3_trigger *t)
{
    uint8_t proof[I3_KEY];
    struct route *r = &s->route[i3_index(s, t->id.bytes, I3_MATCH / 8, s->remembered)];
    bool asked =
        i3_id_common(&r->id, &t->id) >= I3_MATCH && r->asked && p->now - r->asked < ROUTE_LIVES;
    /* Without a proof the address that it says may be a lie, or, an original's, backwards: it answers from its own, and by
     * IPv4.  What comes by an open ring has none. */
    const struct endpoint *at = s->closed ? &t->target.at : p->from;
    route_proof(s, &t->id, &t->target.at, proof);
    bool proven = s->closed ? crypto_equal(proof, t->key, I3_KEY) : at && at->ip.family == 4;
    if (!asked || !proven || !i3_own(s, at->ip.family) || !endpoint_is_unicast(at) ||
        i3_is_server(s, at)) {
        i3_drop(s, I3_DROP_UNASKED);
        return;
    }
    r->at = *at;
    r->told = p->now;
    r->tries = 0;
}
