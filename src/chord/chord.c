/* What comes in, and what is passed on.
 *
 * An open ring trusts whoever speaks: the addresses inside the messages count, not where a datagram came from (an
 * original sends from a port of its own).  So nothing that a message claims is used before the node named in it has
 * answered a ping at that address, and answers, which go to an address of the asker's choice as joining needs, are limited
 * for each address and little longer than their questions: the README of i3/ has a table. */
#include "chord/chord.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "chord/chord_internal.h"
#include "crypto/crypto.h"

#define LETTERS 512

static const char *const drop_names[][2] = {
#define DROP_NAME(id, name, text) {name, text},
    CHORD_DROPS(DROP_NAME)
#undef DROP_NAME
};

const char *chord_drop_name(enum chord_drop reason)
{
    return drop_names[reason][0];
}

const char *chord_drop_text(enum chord_drop reason)
{
    return drop_names[reason][1];
}

void chord_drop(struct chord *c, enum chord_drop reason)
{
    c->counters.drops[reason]++;
}

struct chord *chord_new(const struct chord_settings *s, instant now)
{
    struct chord *c = base_calloc(1, sizeof *c);
    c->self = s->self;
    c->both_families = s->both_families;
    for (unsigned i = 0; i < s->seeds && i < CHORD_SEEDS_MAX; i++)
        if (!endpoint_equal(&s->seed[i], &s->self.at))
            c->seed[c->seeds++] = s->seed[i];
    c->closed = s->secret;
    if (s->secret)
        chord_secret_key(s->secret, &c->secret);
    c->per_address = s->per_address;
    c->fits = s->fits;
    c->entropy = s->entropy;
    c->begun = now;
    c->tick = now; /* the first question leaves at once */
    c->bit = CHORD_BITS - 1;
    c->settled = !c->seeds;
    entropy_fill(c->entropy, c->recent_key, sizeof c->recent_key);
    limit_sources_init(&c->messages, c->entropy);
    limit_sources_init(&c->newcomers, c->entropy);
    limit_sources_init(&c->answers, c->entropy);
    outbox_init(&c->out, s->outbox, LETTERS);
    held_init(&c->held, s->held);
    return c;
}

void chord_free(struct chord *c)
{
    if (!c)
        return;
    outbox_done(&c->out);
    held_done(&c->held);
    crypto_wipe(&c->secret, sizeof c->secret);
    free(c);
}

/* ---- sending ---- */

bool chord_speaks(const struct chord *c, const struct endpoint *at)
{
    return c->both_families || at->ip.family == c->self.at.ip.family;
}

static void send_as_it_is(struct chord *c, const struct endpoint *to, const struct chord_message *m)
{
    if (!chord_speaks(c, to)) {
        chord_drop(c, CHORD_DROP_FAMILY);
        return;
    }
    size_t most = m->payload_size + CHORD_FINGERS_MAX * 38 + 2 * CHORD_OVERHEAD;
    uint8_t *room = outbox_room(&c->out, most);
    if (!room) {
        chord_drop(c, CHORD_DROP_OUTBOX);
        return;
    }
    outbox_post(&c->out, to, chord_message_write(m, ring_secret(c), room, most));
}

void chord_send(struct chord *c, const struct endpoint *to, struct chord_message *m)
{
    m->hops = CHORD_HOPS;
    send_as_it_is(c, to, m);
}

void chord_send_node(struct chord *c, const struct endpoint *to, enum chord_type type,
                     const struct chord_id *id, const struct endpoint *at)
{
    struct chord_message m = {.type = (uint8_t)type, .node = {*id, *at}};
    chord_send(c, to, &m);
}

/* Without a hop limit on the wire: the same bytes a few times in a second are somebody's habit, more are a circle. */
static bool goes_in_circles(struct chord *c, instant now, const struct chord_message *m)
{
    uint64_t print = crypto_siphash(c->recent_key, m->payload, m->payload_size);
    struct recent *r = &c->recent[print % RECENT];
    if (r->print != (uint32_t)(print >> 32) || now - r->since >= SECOND)
        *r = (struct recent){.print = (uint32_t)(print >> 32), .since = now};
    return ++r->count > RECENT_COPIES;
}

bool chord_give(struct chord *c, instant now, struct node *next, const struct chord_message *m)
{
    if (now - next->heard > QUIET_IN_USE)
        node_ping(c, now, next);
    send_as_it_is(c, &next->node.at, m);
    return next->unanswered;
}

/* To the next node on the way; the message has a hop less by now. */
static void pass(struct chord *c, instant now, struct chord_message *m)
{
    struct node *next = node_next(c, now, &m->node.id);
    bool is_held = false;
    if (c->nodes && (!next || chord_give(c, now, next, m)))
        is_held = held_keep(&c->held, now, m, next);
    if (next || is_held)
        return;
    /* No room to wait for what we are about to learn: round by our successor. */
    if (c->nodes && !c->settled)
        chord_give(c, now, node_successor(c), m);
    else
        chord_drop(c, CHORD_DROP_NO_WAY);
}

void chord_route(struct chord *c, instant now, const struct chord_id *key, const void *payload,
                 size_t size)
{
    struct chord_message m = {.type = CHORD_ROUTE,
                              .hops = CHORD_HOPS,
                              .node.id = *key,
                              .payload = payload,
                              .payload_size = size};
    if (size + CHORD_OVERHEAD > CHORD_MESSAGE_MAX) {
        chord_drop(c, CHORD_DROP_TOO_BIG);
        return;
    }
    if (!c->closed && goes_in_circles(c, now, &m)) {
        chord_drop(c, CHORD_DROP_LOOP);
        return;
    }
    c->counters.routed++;
    pass(c, now, &m);
}

bool chord_copy(struct chord *c, unsigned index, const struct chord_id *key, const void *payload,
                size_t size)
{
    struct chord_message m = {
        .type = CHORD_COPY, .node.id = *key, .payload = payload, .payload_size = size};
    if (!c->closed || index >= c->nodes || size + CHORD_OVERHEAD > CHORD_MESSAGE_MAX)
        return false;
    chord_send(c, &c->node[index].node.at, &m);
    return true;
}

/* To where the question says: not more than the nodes of one address ask for. */
static void answer(struct chord *c, instant now, const struct endpoint *to, struct chord_message *m)
{
    if (limit_source_admits(&c->answers, now, &to->ip, ADDRESS_ANSWERS))
        chord_send(c, to, m);
    else
        chord_drop(c, CHORD_DROP_REPLY_LIMIT);
}

static void answer_node(struct chord *c, instant now, const struct endpoint *to,
                        enum chord_type type, const struct chord_node *is)
{
    struct chord_message m = {.type = (uint8_t)type, .node = *is};
    answer(c, now, to, &m);
}

/* ---- receiving ---- */

bool chord_owns(const struct chord *c, const struct chord_id *key)
{
    if (!c->settled)
        return false;
    if (!c->nodes)
        return true;
    struct chord_id d = chord_distance(&c->self.id, key);
    static const struct chord_id zero;
    return chord_id_equal(&d, &zero) || chord_compare(&d, &c->node[c->nodes - 1].distance) > 0;
}

static void find(struct chord *c, instant now, struct chord_message *m)
{
    const struct node *successor = node_successor(c);
    struct chord_id d = chord_distance(&c->self.id, &m->node.id);
    static const struct chord_id zero;
    if (endpoint_equal(&m->node.at, &c->self.at))
        return;
    if (!successor) {
        answer_node(c, now, &m->node.at, CHORD_FOUND, &c->self);
        return;
    }
    if (!chord_id_equal(&d, &zero) && chord_compare(&d, &successor->distance) <= 0) {
        answer_node(c, now, &m->node.at, CHORD_FOUND, &successor->node);
        return;
    }
    chord_give(c, now, node_preceding(c, now, &m->node.id), m);
}

/* A node told us about itself. */
static void introduced(struct chord *c, instant now, const struct endpoint *from,
                       const struct chord_node *who)
{
    struct node *known = node_at(c, &who->at);
    if (known && chord_id_equal(&known->node.id, &who->id) &&
        ip_address_equal(&from->ip, &who->at.ip))
        node_heard(known, now);
    node_learn(c, now, from, who);
}

static void stabilise(struct chord *c, instant now, const struct endpoint *from,
                      const struct chord_node *who)
{
    introduced(c, now, from, who);
    /* Who asks may be our new predecessor: told so at once, as if he had been pinged already. */
    struct node *last = node_predecessor(c), *first = node_successor(c);
    struct chord_id d = chord_distance(&c->self.id, &who->id);
    if (first && !endpoint_equal(&first->node.at, &who->at) && chord_compare(&d, &c->asker) > 0)
        c->asker = d;
    const struct chord_node *is =
        last && chord_compare(&last->distance, &d) >= 0 ? &last->node : who;
    answer_node(c, now, &who->at, CHORD_STABILISED, is);
}

static void stabilised(struct chord *c, instant now, const struct endpoint *from,
                       const struct chord_node *who)
{
    struct node *successor = node_successor(c);
    if (successor && ip_address_equal(&from->ip, &successor->node.at.ip))
        node_heard(successor, now);
    if (!endpoint_equal(&who->at, &c->self.at)) {
        node_learn(c, now, from, who);
        if (successor)
            chord_send_node(c, &successor->node.at, CHORD_NOTIFY, &c->self.id, &c->self.at);
    }
    round_stabilised(c, now);
}

/* Many times longer than the question: only to a node that we know, and that asks from where it is. */
static void get_fingers(struct chord *c, instant now, const struct endpoint *from,
                        const struct chord_message *m)
{
    struct chord_message reply = {.type = CHORD_FINGERS, .node = c->self};
    if (!node_at(c, &m->node.at) || !ip_address_equal(&from->ip, &m->node.at.ip)) {
        chord_drop(c, CHORD_DROP_STRANGER);
        return;
    }
    for (unsigned i = 0; i < c->nodes && i < CHORD_FINGERS_MAX; i++)
        reply.finger[i] = c->node[i].node;
    reply.count = c->nodes;
    answer(c, now, &m->node.at, &reply);
}

static void ping(struct chord *c, instant now, const struct chord_message *m)
{
    struct chord_message pong = {.type = CHORD_PONG, .node = c->self, .token = m->token};
    answer(c, now, &m->node.at, &pong);
}

static bool route(struct chord *c, instant now, struct chord_message *m, struct chord_delivery *ret)
{
    if (m->type == CHORD_COPY || chord_owns(c, &m->node.id)) {
        c->counters.delivered++;
        *ret = (struct chord_delivery){m->payload, m->payload_size, m->type == CHORD_COPY};
        return true;
    }
    if (c->closed && !m->hops--) {
        chord_drop(c, CHORD_DROP_HOPS);
        return false;
    }
    if (!c->closed && c->fits && !c->fits(m->payload, m->payload_size)) {
        chord_drop(c, CHORD_DROP_UNFIT);
        return false;
    }
    if (!c->closed && goes_in_circles(c, now, m)) {
        chord_drop(c, CHORD_DROP_LOOP);
        return false;
    }
    c->counters.routed++;
    pass(c, now, m);
    return false;
}

static bool names_us(const struct chord *c, const struct chord_message *m)
{
    return endpoint_equal(&m->node.at, &c->self.at) || chord_id_equal(&m->node.id, &c->self.id);
}

static void gossip(struct chord *c, instant now, const struct endpoint *from,
                   struct chord_message *m)
{
    switch (m->type) {
    case CHORD_FIND:
        find(c, now, m);
        break;
    case CHORD_FOUND:
        c->counters.found++;
        node_learn(c, now, from, &m->node);
        break;
    case CHORD_STABILISED:
        stabilised(c, now, from, &m->node);
        break;
    case CHORD_PING:
        if (!endpoint_equal(&m->node.at, &c->self.at))
            ping(c, now, m);
        break;
    case CHORD_GET_FINGERS:
        get_fingers(c, now, from, m);
        break;
    case CHORD_FINGERS:
        chord_drop(c, CHORD_DROP_STRANGER); /* we never ask */
        break;
    default:
        if (names_us(c, m))
            chord_drop(c, CHORD_DROP_SELF);
        else if (m->type == CHORD_STABILISE)
            stabilise(c, now, from, &m->node);
        else if (m->type == CHORD_NOTIFY)
            introduced(c, now, from, &m->node);
        else
            node_pong(c, now, m);
    }
}

bool chord_input(struct chord *c, instant now, const struct endpoint *from, const void *bytes,
                 size_t size, struct chord_delivery *ret)
{
    static const enum chord_drop drop_of[] = {
        [CHORD_FAULT_LENGTH] = CHORD_DROP_LENGTH,
        [CHORD_FAULT_TYPE] = CHORD_DROP_TYPE,
        [CHORD_FAULT_ADDRESS] = CHORD_DROP_ADDRESS,
        [CHORD_FAULT_SECRET] = CHORD_DROP_SECRET,
    };
    struct chord_message m;
    enum chord_fault fault = chord_message_parse(bytes, size, ring_secret(c), &m);
    if (fault) {
        chord_drop(c, drop_of[fault]);
        return false;
    }
    if (m.type == CHORD_ROUTE || m.type == CHORD_COPY)
        return route(c, now, &m, ret);
    if (!limit_source_admits(&c->messages, now, &from->ip, SOURCE_MESSAGES))
        chord_drop(c, CHORD_DROP_SOURCE_LIMIT);
    else
        gossip(c, now, from, &m);
    return false;
}

void chord_advance(struct chord *c, instant now)
{
    while (c->tick <= now) {
        round_tick(c, now);
        /* A machine that slept does not make up for it. */
        c->tick = now - c->tick > SECOND ? now + CHORD_TICK : c->tick + CHORD_TICK;
    }
    held_advance(c, now);
}

bool chord_take(struct chord *c, struct chord_delivery *ret)
{
    return held_take(&c->held, ret);
}

instant chord_deadline(const struct chord *c)
{
    return instant_min(c->tick, c->held.due);
}

bool chord_output(struct chord *c, struct outbox_letter *ret)
{
    return outbox_take(&c->out, ret);
}

uint64_t chord_generation(const struct chord *c)
{
    return c->generation;
}

struct chord_id chord_range_from(const struct chord *c)
{
    return c->nodes ? c->node[c->nodes - 1].node.id : c->self.id;
}

bool chord_predecessor(const struct chord *c, unsigned index, struct chord_id *ret)
{
    if (index >= c->nodes || index >= CHORD_PREDECESSORS)
        return false;
    *ret = c->node[c->nodes - 1 - index].node.id;
    return true;
}

bool chord_is_settled(const struct chord *c)
{
    return c->settled;
}

unsigned chord_nodes(const struct chord *c, struct chord_view *out, unsigned room)
{
    for (unsigned i = 0; i < c->nodes && i < room; i++)
        out[i] = (struct chord_view){c->node[i].node, c->node[i].rtt_us, c->node[i].heard};
    return c->nodes;
}

const struct chord_counters *chord_counters(const struct chord *c)
{
    return &c->counters;
}

struct chord_gauges chord_gauges(const struct chord *c)
{
    return (struct chord_gauges){
        .nodes = c->nodes, .candidates = c->candidates, .settled = c->settled};
}

bool chord_is_at(const struct chord *c, const struct endpoint *at)
{
    if (endpoint_equal(at, &c->self.at))
        return true;
    for (unsigned i = 0; i < c->nodes; i++)
        if (endpoint_equal(at, &c->node[i].node.at))
            return true;
    return false;
}

const struct chord_node *chord_self(const struct chord *c)
{
    return &c->self;
}
