/* Our own triggers.
 *
 *   WANTED --address or server known, or waited long enough--> INSERTING
 *   INSERTING --CHALLENGE--> again, with its nonce, to the server that challenged
 *             --ACK--> HELD, and again after 15 to 20 s (servers forget after 30), or when a server that has become
 *                      responsible challenges us, though not at once after the last time
 *             --2 s, six times--> PAUSED, 13 to 18 s, then from the start
 *
 * A limit goes only straight to a server that has said with its last answer that it knows limits: an original reads the
 * packet wrongly.  So the first INSERT is always without.
 *
 * The first INSERT carries the nonce that was acknowledged last: an original's depends on the target only, so that saves
 * the challenge.  When nobody answers, the next try goes by another server. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/check.h"
#include "overlay/i3/i3_client.h"

#define ADDRESS_PATIENCE (600 * MILLISECOND) /* waiting to be told our own address */
#define PAUSE            (13 * SECOND)
#define ELSEWHERE        3 /* tries, by different servers, that nobody answered */
#define PAUSE_SPAN       (5 * SECOND)
#define LIMIT_BURST      8  /* of a second's packets may come at once: an eighth, */
#define LIMIT_LEAST      16 /* and as many anyway */
#define CHALLENGES_MAX   3  /* answered for one INSERT of ours */

static instant by_chance(struct i3_client *c, instant least, instant span)
{
    return least + (instant)entropy_below(c->entropy, (uint32_t)(span / MILLISECOND)) * MILLISECOND;
}

static bool to_self(const struct i3_binding *b)
{
    return b->trigger.target.type != I3_TO_STACK;
}

static void set_due(struct i3_client *c, struct i3_binding *b, instant due)
{
    b->due = due;
    i3_client_wake(c, due);
}

static void transmit(struct i3_client *c, instant now, struct i3_binding *b)
{
    struct i3_option insert = {.type = I3_INSERT, .trigger = b->trigger};
    b->sent = now;
    b->limited = b->limit && b->at_limits && endpoint_equal(&b->via, &b->at);
    if (b->limited) {
        uint32_t burst = b->limit / LIMIT_BURST;
        insert.trigger.flags |= I3_TRIGGER_LIMITED;
        insert.trigger.limit = (struct i3_bucket){
            .depth = burst > LIMIT_LEAST ? burst : LIMIT_LEAST, .rate = b->limit};
    }
    i3_client_send(c, &b->via, &b->trigger.id, &insert);
}

/* At our own address of the server's family; a trigger to another one is taken back. */
static void aim(struct i3_client *c, struct i3_binding *b, const struct endpoint *via)
{
    struct endpoint self = i3_client_self(c, via);
    const struct i3_self *known = &c->self[via->ip.family == 6];
    if (endpoint_equal(&b->trigger.target.at, &self))
        return;
    i3_binding_retract(c, b);
    b->trigger.target = i3_address_of(&self);
    if (known->nonce_known)
        memcpy(b->trigger.nonce, known->nonce, I3_NONCE);
}

static void insert(struct i3_client *c, instant now, struct i3_binding *b)
{
    struct endpoint via = b->at;
    set_due(c, b, now + I3_ACK_TIMEOUT);
    if (!via.ip.family && !i3_client_first_hop(c, now, &via))
        return;
    if (to_self(b))
        aim(c, b, &via);
    b->via = via;
    i3_client_count(c, b->acknowledged ? I3_COUNT_REFRESHES : I3_COUNT_INSERTS);
    b->state = I3_BINDING_INSERTING;
    b->challenges = 0;
    if (!b->tries++) {
        b->answers_before = c->answers;
        b->silent = true;
    }
    transmit(c, now, b);
}

struct i3_binding *i3_binding_add(struct i3_client *c, instant now, const struct i3_id *id,
                                  const uint8_t key[I3_KEY], uint16_t prefix,
                                  const struct i3_id *stack, unsigned depth)
{
    if (c->binding_count >= I3_BINDINGS_MAX || depth > 2)
        return NULL;
    struct i3_binding *b = base_calloc(1, sizeof *b);
    b->trigger.id = *id;
    b->trigger.prefix = prefix;
    if (depth) {
        memcpy(b->stack, stack, depth * sizeof *stack);
        b->trigger.target =
            (struct i3_address){.type = I3_TO_STACK, .depth = (uint8_t)depth, .stack = b->stack};
    } else {
        static const struct endpoint any = {.ip.family = 4};
        memcpy(b->trigger.key, key, I3_KEY);
        aim(c, b, &any); /* until it is known which server it goes to */
    }
    DL_APPEND(c->bindings, b);
    c->binding_count++;
    if (c->self[0].at.ip.family || c->self[1].at.ip.family)
        insert(c, now, b);
    else
        set_due(c, b, now + ADDRESS_PATIENCE);
    return b;
}

void i3_binding_retract(struct i3_client *c, struct i3_binding *b)
{
    struct i3_option remove = {.type = I3_REMOVE, .trigger = b->trigger};
    uint8_t bytes[256];
    struct i3_packet p = {
        .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = 1, .stack = &b->trigger.id, .option_count = 1};
    const struct endpoint *to = b->at.ip.family ? &b->at : &b->via;
    if (!b->acknowledged || !i3_client_speaks(c, to))
        return;
    i3_client_count(c, I3_COUNT_REMOVALS);
    p.option[0] = remove;
    i3_client_queue(c, to, bytes, i3_packet_write(&p, bytes, sizeof bytes));
    b->acknowledged = false;
}

void i3_binding_remove(struct i3_client *c, struct i3_binding *b)
{
    i3_binding_retract(c, b);
    if (c->checked == b)
        c->checked = NULL;
    if (c->stand_in == b)
        c->stand_in = NULL;
    DL_DELETE(c->bindings, b);
    c->binding_count--;
    free(b);
}

void i3_binding_refresh(struct i3_client *c, instant now, struct i3_binding *b)
{
    b->tries = 0;
    b->at = (struct endpoint){0};
    insert(c, now, b);
}

static struct i3_binding *meant(const struct i3_client *c, const struct i3_trigger *t)
{
    struct i3_binding *b;
    DL_FOREACH(c->bindings, b)
    if (i3_trigger_same(&b->trigger, t))
        return b;
    return NULL;
}

struct i3_binding *i3_binding_find(const struct i3_client *c, const struct i3_id *id)
{
    struct i3_binding *b;
    DL_FOREACH(c->bindings, b)
    if (i3_id_equal(&b->trigger.id, id))
        return b;
    return NULL;
}

void i3_bindings_distrust(struct i3_client *c, instant now, const struct endpoint *server)
{
    struct i3_binding *b;
    DL_FOREACH(c->bindings, b)
    if (endpoint_equal(&b->at, server) ||
        (b->state == I3_BINDING_INSERTING && endpoint_equal(&b->via, server)))
        i3_binding_refresh(c, now, b);
}

void i3_bindings_follow(struct i3_client *c, instant now, uint8_t family)
{
    struct i3_binding *b;
    DL_FOREACH(c->bindings, b)
    if (to_self(b) && (!b->via.ip.family || b->via.ip.family == family)) {
        b->tries = 0;
        insert(c, now, b);
    }
}

void i3_bindings_family(struct i3_client *c, instant now, uint8_t family)
{
    struct i3_binding *b;
    DL_FOREACH(c->bindings, b)
    if (b->via.ip.family && b->via.ip.family != family)
        i3_binding_refresh(c, now, b);
}

void i3_bindings_waiting(struct i3_client *c, instant now)
{
    struct i3_binding *b;
    DL_FOREACH(c->bindings, b)
    if (!b->via.ip.family)
        insert(c, now, b);
}

bool i3_binding_asks(const struct i3_client *c, const struct i3_trigger *t)
{
    const struct i3_binding *b = meant(c, t);
    return b && b->state == I3_BINDING_INSERTING;
}

/* ---- what servers answer ---- */

static void answered(struct i3_client *c, struct i3_binding *b, const struct i3_answerer *by)
{
    i3_client_answered(c, &b->via);
    b->at_limits = by->abilities & I3_CAN_LIMIT;
    if (by->responsible.ip.family && by->responsible.ip.family == b->via.ip.family)
        b->at = by->responsible;
}

static void held(struct i3_client *c, instant now, struct i3_binding *b)
{
    b->state = I3_BINDING_HELD;
    b->rtt = now - b->sent;
    b->tries = 0;
    b->refused = false;
    b->acknowledged = true;
    if (to_self(b)) {
        struct i3_self *self = &c->self[b->trigger.target.at.ip.family == 6];
        memcpy(self->nonce, b->trigger.nonce, I3_NONCE);
        self->nonce_known = true;
    }
    bool unlimited = b->limit && b->at_limits && !b->limited; /* it can, and was not told yet */
    set_due(c, b, unlimited ? now : by_chance(c, now + I3_REFRESH, I3_REFRESH_SPAN));
    i3_client_say(c, I3_EVENT_HELD, &b->trigger.id);
    if (b == c->checked)
        i3_checks_begin(c, now);
}

/* The one that spoke, and the one that it named. */
static void distrust_both(struct i3_client *c, instant now, const struct i3_answerer *by)
{
    i3_client_distrust(c, now, &by->from);
    if (by->responsible.ip.family && !endpoint_equal(&by->from, &by->responsible))
        i3_client_distrust(c, now, &by->responsible);
}

static bool challenged(struct i3_client *c, instant now, struct i3_binding *b,
                       const struct i3_trigger *t, const struct i3_answerer *by)
{
    if (b->challenges >= CHALLENGES_MAX) {
        i3_client_count(c, I3_COUNT_CHALLENGE_FLOOD);
        distrust_both(c, now, by);
        return true;
    }
    i3_client_count(c, I3_COUNT_CHALLENGES);
    b->challenges++;
    answered(c, b, by);
    memcpy(b->trigger.nonce, t->nonce, I3_NONCE);
    b->state = I3_BINDING_INSERTING;
    if (b->at.ip.family)
        b->via = b->at;
    transmit(c, now, b);
    set_due(c, b, now + I3_ACK_TIMEOUT);
    return true;
}

bool i3_binding_told(struct i3_client *c, instant now, const struct i3_option *option,
                     const struct i3_answerer *by)
{
    struct i3_binding *b = meant(c, &option->trigger);
    bool challenge = option->type == I3_CHALLENGE;
    /* An acknowledgement repeats the nonce: who does not see our packets cannot. */
    bool asked = b && b->state == I3_BINDING_INSERTING &&
                 (challenge || !memcmp(b->trigger.nonce, option->trigger.nonce, I3_NONCE));
    if (challenge && b && b->state == I3_BINDING_HELD && now - b->sent >= I3_ACK_TIMEOUT) {
        /* Nothing of it is believed: our INSERT goes the usual way. */
        i3_binding_refresh(c, now, b);
        return true;
    }
    if (!asked) {
        /* A second copy of the last one is nothing to speak of. */
        if (!b || b->state != I3_BINDING_HELD)
            i3_client_count(c, challenge ? I3_COUNT_STRANGE_CHALLENGE : I3_COUNT_STRANGE_ACK);
        return false;
    }
    b->silent = false;
    if (challenge)
        return challenged(c, now, b, &option->trigger, by);
    if (option->type == I3_ACK) {
        answered(c, b, by);
        b->teller = by->from;
        held(c, now, b);
    } else {
        i3_client_count(c, I3_COUNT_CONSTRAINT);
        b->refused = true;
        distrust_both(c, now, by); /* what we insert keeps the constraints */
    }
    return true;
}

/* ---- time ---- */

static void unanswered(struct i3_client *c, instant now, struct i3_binding *b)
{
    i3_client_unanswered(c, now, &b->via);
    b->at = (struct endpoint){0};
    if (b->silent && b->tries >= ELSEWHERE && c->answers != b->answers_before)
        i3_client_say(c, I3_EVENT_UNHELD, &b->trigger.id);
    if (b->tries <= I3_RETRIES) {
        insert(c, now, b);
        return;
    }
    b->state = I3_BINDING_PAUSED;
    b->tries = 0;
    set_due(c, b, by_chance(c, now + PAUSE, PAUSE_SPAN));
}

instant i3_bindings_advance(struct i3_client *c, instant now)
{
    instant due = INSTANT_NEVER;
    struct i3_binding *b;
    DL_FOREACH(c->bindings, b)
    {
        if (b->due <= now) {
            if (b->state == I3_BINDING_INSERTING)
                unanswered(c, now, b);
            else
                insert(c, now, b);
        }
        due = instant_min(due, b->due);
    }
    return due;
}
