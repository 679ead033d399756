/* What a node does by the clock: four ticks a second for silence, one round a second for its place.
 *
 * A round, as the original's: ask the successor for its predecessor, look for one more successor, look for one finger.
 * Ours besides: ask a predecessor for its predecessor, and now and then a seed who follows us in its eyes; two rings that
 * were apart become one that way. */
#include "chord/chord_internal.h"

static void ask_for(struct chord *c, const struct endpoint *whom, const struct chord_id *id)
{
    chord_send_node(c, whom, CHORD_FIND, id, &c->self.at);
}

static void ask_seeds(struct chord *c, instant now)
{
    for (unsigned i = 0; i < c->seeds; i++)
        ask_for(c, &c->seed[i], &c->self.id);
    if (!c->settled && now - c->begun >= ALONE_AFTER)
        round_settle(c, now);
}

static void look_for_successor(struct chord *c)
{
    if (c->backup >= CHORD_SUCCESSORS || c->backup >= c->nodes)
        c->backup = 0;
    const struct node *n = &c->node[c->backup++];
    struct chord_id next = chord_id_plus(&n->node.id, 0);
    ask_for(c, &n->node.at, &next);
}

static void look_for_predecessor(struct chord *c)
{
    if (++c->before >= CHORD_PREDECESSORS || c->before >= c->nodes)
        c->before = 0;
    const struct node *n = &c->node[c->nodes - 1 - c->before];
    if (c->nodes > 1)
        chord_send_node(c, &n->node.at, CHORD_STABILISE, &c->self.id, &c->self.at);
}

static void look_for_finger(struct chord *c, instant now)
{
    struct chord_id start = chord_id_plus(&c->self.id, c->bit);
    struct chord_id d = chord_distance(&c->self.id, &start);
    if (chord_compare(&d, &c->node[0].distance) <= 0) {
        c->bit = CHORD_BITS - 1;
        start = chord_id_plus(&c->self.id, c->bit);
    }
    c->bit = c->bit ? c->bit - 1 : CHORD_BITS - 1;
    const struct node *n = node_preceding(c, now, &start);
    ask_for(c, &n->node.at, &start);
}

static void run_round(struct chord *c, instant now)
{
    c->rounds++;
    if (!c->nodes) {
        ask_seeds(c, now);
        return;
    }
    chord_send_node(c, &c->node[0].node.at, CHORD_STABILISE, &c->self.id, &c->self.at);
    look_for_successor(c);
    look_for_predecessor(c);
    look_for_finger(c, now);
    if (c->seeds && c->rounds % SEED_ROUNDS == 0) {
        struct chord_id next = chord_id_plus(&c->self.id, 0);
        ask_for(c, &c->seed[entropy_below(c->entropy, c->seeds)], &next);
    }
    if (c->rounds % CLEAN_ROUNDS == 0)
        node_clean(c);
}

void round_tick(struct chord *c, instant now)
{
    node_tick(c, now);
    if (c->ticks++ % TICKS_A_ROUND == 0)
        run_round(c, now);
    round_settle(c, now);
}

void round_stabilised(struct chord *c, instant now)
{
    if (!c->stabilised)
        c->stabilised = now;
    round_settle(c, now);
}

/* Is one being asked, and not silent yet, that would be our predecessor? */
static bool nearer_candidate(const struct chord *c)
{
    for (unsigned i = 0; i < c->candidates; i++)
        if (c->candidate[i].unanswered < 2 &&
            (!c->nodes ||
             chord_compare(&c->candidate[i].distance, &c->node[c->nodes - 1].distance) > 0))
            return true;
    return false;
}

/* Who asks as his successor does not count, when he is ours: he looks for predecessors. */
static bool knows_predecessor(const struct chord *c)
{
    return c->nodes && chord_id_equal(&c->node[c->nodes - 1].distance, &c->asker) &&
           !nearer_candidate(c);
}

/* Our successor has taken us in, and our predecessor asks us; in a ring of two nobody else will. */
void round_settle(struct chord *c, instant now)
{
    if (c->settled)
        return;
    if (c->nodes ? c->stabilised && (knows_predecessor(c) || now - c->stabilised > SETTLE_WAIT)
                 : now - c->begun >= ALONE_AFTER) {
        c->settled = true;
        c->generation++;
    }
}
