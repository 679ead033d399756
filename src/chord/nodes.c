/* The nodes we know: those that have answered, in the order of the ring, and candidates that are being asked. */
#include <string.h>

#include "chord/chord_internal.h"

static const struct chord_id zero;

struct node *node_successor(struct chord *c)
{
    return c->nodes ? &c->node[0] : NULL;
}

struct node *node_predecessor(struct chord *c)
{
    return c->nodes ? &c->node[c->nodes - 1] : NULL;
}

static struct node *find_at(struct node *list, unsigned count, const struct endpoint *at)
{
    for (unsigned i = 0; i < count; i++)
        if (endpoint_equal(&list[i].node.at, at))
            return &list[i];
    return NULL;
}

struct node *node_at(struct chord *c, const struct endpoint *at)
{
    return find_at(c->node, c->nodes, at);
}

/* How many known nodes lie before the distance; 0 stands for the whole circle. */
static unsigned rank(const struct chord *c, const struct chord_id *d)
{
    unsigned low = 0, high = c->nodes;
    if (chord_id_equal(d, &zero))
        return c->nodes;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (chord_compare(&c->node[middle].distance, d) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

instant node_patience(const struct node *n)
{
    instant wait = n->rtt_us ? 2 * (instant)n->rtt_us * MICROSECOND : PING_WAIT;
    return wait < PING_WAIT_LEAST ? PING_WAIT_LEAST : instant_min(wait, PING_WAIT);
}

/* It may be dead: nothing is sent there while there is another way. */
static bool is_silent(const struct node *n, instant now)
{
    return n->unanswered > 1 || (n->unanswered && now - n->asked >= node_patience(n));
}

struct node *node_preceding(struct chord *c, instant now, const struct chord_id *key)
{
    struct chord_id d = chord_distance(&c->self.id, key);
    unsigned before = rank(c, &d);
    for (unsigned i = before; i > 0; i--)
        if (!is_silent(&c->node[i - 1], now))
            return &c->node[i - 1];
    /* None that answers: the nearest of those that may be dead, else the successor. */
    return before ? &c->node[before - 1] : node_successor(c);
}

/* Of the nodes behind the key the first that answers has it.  Known without a gap are successors and predecessors. */
struct node *node_next(struct chord *c, instant now, const struct chord_id *key)
{
    struct chord_id d = chord_distance(&c->self.id, key);
    unsigned before = rank(c, &d), end = before;
    if (!c->nodes)
        return NULL;
    if (before + CHORD_PREDECESSORS > c->nodes)
        end = c->nodes;
    else if (before < CHORD_SUCCESSORS)
        end = c->nodes < CHORD_SUCCESSORS ? c->nodes : CHORD_SUCCESSORS;
    for (unsigned i = before; i < end; i++)
        if (!is_silent(&c->node[i], now))
            return &c->node[i];
    /* Behind all that we know of, and we do not know our place yet: whose it is we are about to learn. */
    bool ours_soon = end == c->nodes && (before < end || c->stabilised);
    return ours_soon ? NULL : node_preceding(c, now, key);
}

static void ask(struct chord *c, instant now, struct node *n)
{
    struct chord_message m = {.type = CHORD_PING, .node.at = c->self.at};
    /* The same token again, so that an answer which is late counts. */
    if (!n->unanswered)
        n->token = entropy_u32(c->entropy);
    m.token = n->token;
    n->asked = now;
    n->unanswered++;
    chord_send(c, &n->node.at, &m);
}

void node_ping(struct chord *c, instant now, struct node *n)
{
    if (!n->unanswered)
        ask(c, now, n);
}

void node_heard(struct node *n, instant now)
{
    n->heard = now;
    n->unanswered = 0;
}

static unsigned at_address(const struct chord *c, const struct ip_address *ip)
{
    unsigned count = 0;
    for (unsigned i = 0; i < c->nodes; i++)
        count += ip_address_equal(&c->node[i].node.at.ip, ip);
    for (unsigned i = 0; i < c->candidates; i++)
        count += ip_address_equal(&c->candidate[i].node.at.ip, ip);
    return count;
}

/* Who is known by his id at another address stays until he is silent; so does who is known there under another id. */
static bool contradicts(struct chord *c, const struct chord_node *who)
{
    for (unsigned i = 0; i < c->nodes; i++)
        if (chord_id_equal(&c->node[i].node.id, &who->id) &&
            !endpoint_equal(&c->node[i].node.at, &who->at))
            return true;
    const struct node *known = node_at(c, &who->at);
    return known && !chord_id_equal(&known->node.id, &who->id);
}

void node_learn(struct chord *c, instant now, const struct endpoint *from,
                const struct chord_node *who)
{
    if (endpoint_equal(&who->at, &c->self.at))
        return;
    if (!chord_speaks(c, &who->at)) {
        chord_drop(c, CHORD_DROP_FAMILY);
        return;
    }
    if (chord_id_equal(&who->id, &c->self.id)) {
        chord_drop(c, CHORD_DROP_SELF);
        return;
    }
    if (contradicts(c, who)) {
        chord_drop(c, CHORD_DROP_CHANGED_ID);
        return;
    }
    if (node_at(c, &who->at) || find_at(c->candidate, c->candidates, &who->at))
        return;
    if (c->per_address && at_address(c, &who->at.ip) >= c->per_address)
        chord_drop(c, CHORD_DROP_NODE_LIMIT);
    else if (c->candidates == CANDIDATES_MAX ||
             !limit_source_admits(&c->newcomers, now, &from->ip, SOURCE_CANDIDATES))
        chord_drop(c, CHORD_DROP_CANDIDATES);
    else {
        struct node *n = &c->candidate[c->candidates++];
        *n = (struct node){.node = *who, .distance = chord_distance(&c->self.id, &who->id)};
        ask(c, now, n);
    }
}

static void remove_at(struct node *list, unsigned *count, unsigned index)
{
    memmove(&list[index], &list[index + 1], (*count - index - 1) * sizeof *list);
    (*count)--;
}

/* A node has come between our predecessor and us: both learn of it now, not at their next rounds. */
static void introduce(struct chord *c, const struct chord_node *before,
                      const struct chord_node *who)
{
    chord_send_node(c, &who->at, CHORD_FOUND, &before->id, &before->at);
    chord_send_node(c, &before->at, CHORD_FOUND, &who->id, &who->at);
}

/* A full list lets go of the node half way round that has a neighbour nearest: fingers are many there. */
static void insert(struct chord *c, const struct node *n)
{
    if (c->nodes == CHORD_NODES_MAX)
        node_clean(c);
    if (c->nodes == CHORD_NODES_MAX)
        remove_at(c->node, &c->nodes, CHORD_NODES_MAX / 2);
    unsigned at = rank(c, &n->distance);
    memmove(&c->node[at + 1], &c->node[at], (c->nodes - at) * sizeof *c->node);
    c->node[at] = *n;
    c->nodes++;
    c->counters.joined++;
    if (at == 0 || at == c->nodes - 1)
        c->generation++;
    if (c->settled && at > 0 && at == c->nodes - 1)
        introduce(c, &c->node[at - 1].node, &n->node);
}

static void measured(struct node *n, instant now)
{
    if (n->unanswered > 1)
        return; /* which ping does it answer? */
    uint32_t rtt = (uint32_t)((now - n->asked) / MICROSECOND);
    n->rtt_us = n->rtt_us ? n->rtt_us - n->rtt_us / 8 + rtt / 8 : rtt;
}

void node_pong(struct chord *c, instant now, const struct chord_message *m)
{
    struct node *n = node_at(c, &m->node.at);
    bool fresh = !n;
    if (fresh)
        n = find_at(c->candidate, c->candidates, &m->node.at);
    if (!n || n->token != m->token || !n->unanswered ||
        (!fresh && !chord_id_equal(&n->node.id, &m->node.id))) {
        chord_drop(c, CHORD_DROP_TOKEN);
        return;
    }
    /* Who named a candidate may have lied about its id; itself it says the right one. */
    n->node.id = m->node.id;
    n->distance = chord_distance(&c->self.id, &m->node.id);
    measured(n, now);
    node_heard(n, now);
    held_heard(&c->held, &m->node.at);
    if (!fresh)
        return;
    struct node known = *n;
    remove_at(c->candidate, &c->candidates, (unsigned)(n - c->candidate));
    if (contradicts(c, &known.node)) {
        chord_drop(c, CHORD_DROP_CHANGED_ID);
        return;
    }
    bool first = !c->nodes;
    insert(c, &known);
    /* A new successor is told at once, and the first one asked: joining takes round trips, not rounds. */
    if (first || chord_id_equal(&c->node[0].node.id, &known.node.id))
        chord_send_node(c, &known.node.at, CHORD_STABILISE, &c->self.id, &c->self.at);
    round_settle(c, now);
}

static bool is_gone(struct chord *c, instant now, struct node *n, instant quiet)
{
    if (!n->unanswered && now - n->heard < quiet)
        return false;
    if (n->unanswered && now - n->asked < node_patience(n))
        return false;
    if (n->unanswered >= PING_TRIES)
        return true;
    ask(c, now, n);
    return false;
}

void node_tick(struct chord *c, instant now)
{
    for (unsigned i = c->candidates; i > 0; i--)
        if (is_gone(c, now, &c->candidate[i - 1], QUIET))
            remove_at(c->candidate, &c->candidates, i - 1);
    for (unsigned i = c->nodes; i > 0; i--) {
        bool near = i == 1 || i == c->nodes, changes = near || i + 1 == c->nodes;
        if (!is_gone(c, now, &c->node[i - 1], near ? QUIET_NEAR : QUIET))
            continue;
        remove_at(c->node, &c->nodes, i - 1);
        c->counters.lost++;
        if (changes)
            c->generation++;
        /* Our predecessor may be new himself, and know nobody else before him. */
        if (i == c->nodes && i > 1)
            introduce(c, &c->node[i - 2].node, &c->node[i - 1].node);
    }
}

/* The highest bit of a distance: which interval of fingers it lies in. */
static unsigned interval(const struct chord_id *d)
{
    for (unsigned i = 0; i < CHORD_ID; i++)
        if (d->bytes[i])
            return CHORD_BITS - 8 * i - (unsigned)__builtin_clz(d->bytes[i]) + 24 - 1;
    return 0;
}

void node_clean(struct chord *c)
{
    unsigned kept = 0, last = CHORD_BITS;
    for (unsigned i = 0; i < c->nodes; i++) {
        unsigned in = interval(&c->node[i].distance);
        bool keep = i < CHORD_SUCCESSORS || i + CHORD_PREDECESSORS >= c->nodes || in != last;
        last = in;
        if (keep)
            c->node[kept++] = c->node[i];
    }
    c->nodes = kept;
}
