/* Nonces: who may keep and remove a trigger.
 *
 * The original's can be computed by anybody.  Ours are keyed hashes, given to the SENDER of an INSERT; who shows one
 * receives at that address.
 *
 * Of a trigger to an address there are two: one that is given when SENDER is the trigger's own target (that target wants
 * it: the trigger is proven), and another one for everybody else (a first server that speaks for a client behind a NAT; or
 * somebody who binds an address that is not his).  So nobody but the target can remove a proven trigger, and who binds other
 * people's addresses gets one copy per packet and no more (i3_table_put()).
 *
 * A trigger to identifiers (a chain) has no target that could want it, so it belongs to who inserted it first, as long as
 * he refreshes it.  Its nonce is in two halves: a hash of SENDER, and one of the trigger and the first half.  REMOVE has no
 * SENDER, and needs none: it must show the owner's nonce, which was sent to the owner only.  All servers of a ring with a
 * secret can tell whether it is one, so copies and what is handed over keep their owner.  An owner who moved shows it with
 * another SENDER: what he is given there is the owner's then.
 *
 * Of a trigger that breaks the constraint there is one that is good for nothing but being told so. */
#include <string.h>

#include "crypto/crypto.h"
#include "i3/i3_server_internal.h"

#define HALF (I3_NONCE / 2)

enum hashed { OTHER, PROVEN, CHAIN, OWNER, REFUSED }; /* first byte of what is hashed */

static size_t add_endpoint(uint8_t *text, const struct endpoint *at)
{
    memcpy(text, at->ip.bytes, 16);
    text[16] = (uint8_t)(at->port >> 8);
    text[17] = (uint8_t)at->port;
    return 18;
}

void i3_nonce(const struct i3_server *s, const struct i3_trigger *t, bool proven,
              uint8_t ret[I3_NONCE])
{
    uint8_t text[2 + I3_ID + 18] = {proven ? PROVEN : OTHER, t->target.type}, digest[32];
    memcpy(text + 2, t->id.bytes, I3_ID);
    add_endpoint(text + 2 + I3_ID, &t->target.at);
    crypto_hmac(&s->nonce_key, text, sizeof text, digest);
    memcpy(ret, digest, I3_NONCE);
}

static void chain_half(const struct i3_server *s, const struct i3_trigger *t,
                       const uint8_t owner[HALF], uint8_t ret[HALF])
{
    uint8_t text[1 + HALF + I3_ID + I3_STACK_MAX * I3_ID] = {CHAIN}, digest[32];
    size_t size = 1;
    memcpy(text + size, owner, HALF);
    size += HALF;
    memcpy(text + size, t->id.bytes, I3_ID);
    size += I3_ID;
    memcpy(text + size, t->target.stack, (size_t)t->target.depth * I3_ID);
    size += (size_t)t->target.depth * I3_ID;
    crypto_hmac(&s->nonce_key, text, size, digest);
    memcpy(ret, digest, HALF);
}

void i3_chain_nonce(const struct i3_server *s, const struct i3_trigger *t,
                    const struct endpoint *owner, uint8_t ret[I3_NONCE])
{
    uint8_t text[2 + 18] = {OWNER, owner->ip.family}, digest[32];
    add_endpoint(text + 2, owner);
    crypto_hmac(&s->nonce_key, text, sizeof text, digest);
    memcpy(ret, digest, HALF);
    chain_half(s, t, ret, ret + HALF);
}

bool i3_chain_nonce_is_one(const struct i3_server *s, const struct i3_trigger *t)
{
    uint8_t right[HALF];
    chain_half(s, t, t->nonce, right);
    return crypto_equal(right, t->nonce + HALF, HALF);
}

void i3_refusal_nonce(const struct i3_server *s, const struct i3_trigger *t,
                      const struct endpoint *sender, uint8_t ret[I3_NONCE])
{
    uint8_t text[2 + I3_ID + 18] = {REFUSED, sender->ip.family}, digest[32];
    memcpy(text + 2, t->id.bytes, I3_ID);
    add_endpoint(text + 2 + I3_ID, sender);
    crypto_hmac(&s->nonce_key, text, sizeof text, digest);
    memcpy(ret, digest, I3_NONCE);
}

void i3_nonce_of_original(const struct i3_address *target, uint8_t ret[I3_NONCE])
{
    memset(ret, 0, I3_NONCE);
    if (target->type == I3_TO_STACK) {
        memcpy(ret, target->stack[0].bytes, I3_NONCE);
        return;
    }
    /* Address and port as they lie in the memory of the machines that it ran on. */
    for (unsigned i = 0; i < 4; i++)
        ret[i] = target->at.ip.bytes[3 - i];
    ret[4] = (uint8_t)target->at.port;
    ret[5] = (uint8_t)(target->at.port >> 8);
}
