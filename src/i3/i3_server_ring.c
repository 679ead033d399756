/* Triggers follow the ring.
 *
 * When a new predecessor takes a part of our range, what lay in it is sent there as INSERTs without a sender.  An original
 * takes them, since its nonces are no secret.  One of ours takes them in a ring with a secret, where all servers give the
 * same nonces; in an open ring it challenges the trigger's target, whose client inserts it again (i3_server_control.c).
 *
 * When we die nobody can hand over.  So in a ring with a secret each trigger goes to our successors too, as a COPY; they
 * keep it, and use it once they are responsible.  When our successor is another one, or what is ours has grown, copies go
 * out again. */
#include <string.h>

#include "i3/i3_server_internal.h"

static void make_insert(const struct i3_trigger *t, struct i3_packet *ret)
{
    ret->flags = I3_OPTIONS;
    ret->depth = 1;
    ret->stack = &t->id;
    ret->payload = NULL;
    ret->payload_size = 0;
    ret->option_count = 1;
    ret->option[0].type = I3_INSERT;
    ret->option[0].trigger = *t;
}

void i3_copy_out(struct i3_server *s, const struct i3_trigger *t)
{
    struct i3_packet p;
    uint8_t bytes[I3_DATAGRAM_MAX];
    struct chord_id key = i3_ring_key(&t->id);
    if (!s->closed || !i3_server_owns(s, &t->id))
        return;
    make_insert(t, &p);
    size_t size = i3_packet_write(&p, bytes, sizeof bytes);
    for (unsigned i = 0; i < I3_COPIES && size; i++)
        s->counters.copied += chord_copy(s->chord, i, &key, bytes, size);
}

void i3_copy_in(struct i3_server *s, instant now, struct i3_packet *p)
{
    const struct i3_option *o = i3_packet_option(p, I3_INSERT);
    const struct i3_trigger *t = o ? &o->trigger : NULL;
    const struct i3_id *first = t && t->target.type == I3_TO_STACK ? t->target.stack : NULL;
    uint8_t proven[I3_NONCE], other[I3_NONCE];
    if (t && !first && !i3_own(s, t->target.at.ip.family)) {
        i3_drop(s, I3_DROP_FAMILY);
        return;
    }
    if (!t || t->prefix > I3_BITS || !i3_constraint_holds(s->hash, &t->id, first, t->key)) {
        i3_drop(s, I3_DROP_FORGED_COPY);
        return;
    }
    i3_nonce(s, t, true, proven);
    i3_nonce(s, t, false, other);
    bool is_proven = !first && !memcmp(proven, t->nonce, I3_NONCE);
    if (first ? !i3_chain_nonce_is_one(s, t) : !is_proven && memcmp(other, t->nonce, I3_NONCE)) {
        i3_drop(s, I3_DROP_FORGED_COPY);
        return;
    }
    if (i3_table_put(s->table, now, t, NULL, is_proven || first) <= I3_KEPT_AGAIN)
        s->counters.kept++;
    else
        i3_drop(s, I3_DROP_TABLE_FULL);
}

/* In (from, to]; in all when they are the same. */
static bool lies_in(const struct chord_id *from, const struct chord_id *to,
                    const struct chord_id *key)
{
    static const struct chord_id zero;
    struct chord_id all = chord_distance(from, to), way = chord_distance(from, key);
    return chord_id_equal(&all, &zero) ||
           (!chord_id_equal(&way, &zero) && chord_compare(&way, &all) <= 0);
}

/* Is it somebody else's now whom we should give it?  What was ours; and of a newcomer all that he is responsible for:
 * when the node before him died before he had copies, only we have what that one had. */
static bool is_to_be_given(const struct i3_server *s, const struct chord_id *key)
{
    return (s->had_range && lies_in(&s->range_from, &chord_self(s->chord)->id, key)) ||
           (s->has_newcomer && lies_in(&s->newcomer_from, &s->newcomer, key));
}

static void look_for_newcomer(struct i3_server *s, instant now)
{
    struct chord_id first;
    if (!s->closed || !s->had_range || !chord_predecessor(s->chord, 0, &first) ||
        !chord_predecessor(s->chord, 1, &s->newcomer_from)) {
        s->has_newcomer = false;
        return;
    }
    bool known = s->has_newcomer && chord_id_equal(&s->newcomer, &first);
    if (known) {
        s->has_newcomer = now - s->newcomer_since < I3_LIFETIME;
        return;
    }
    s->has_newcomer = true;
    for (unsigned i = 0; i < s->befores; i++)
        s->has_newcomer &= !chord_id_equal(&s->before[i], &first);
    s->newcomer = first;
    s->newcomer_since = now;
}

static void remember_range(struct i3_server *s)
{
    s->range_from = chord_range_from(s->chord);
    s->had_range = chord_is_settled(s->chord);
    s->befores = 0;
    while (s->befores < CHORD_PREDECESSORS &&
           chord_predecessor(s->chord, s->befores, &s->before[s->befores]))
        s->befores++;
}

/* As its client inserted it; with a nonce when all servers give the same ones. */
static struct i3_trigger of_kept(struct i3_server *s, const struct i3_kept *k)
{
    struct i3_trigger t = {
        .flags = k->flags, .id = k->id, .prefix = k->prefix, .target = k->target};
    memcpy(t.key, k->key, I3_KEY);
    if (k->limit)
        t.limit = *i3_table_limit(k);
    if (t.target.type == I3_TO_STACK)
        memcpy(t.nonce, i3_table_owner(k), I3_NONCE);
    else
        i3_nonce(s, &t, k->proven, t.nonce);
    return t;
}

static void hand_over(struct i3_server *s, instant now, const struct i3_kept *k)
{
    struct i3_packet p;
    struct chord_id key = i3_ring_key(&k->id);
    if (!is_to_be_given(s, &key))
        return;
    struct i3_trigger t = of_kept(s, k);
    if (!s->closed) {
        if (t.target.type == I3_TO_IPV6 || t.flags)
            return; /* an original knows neither */
        i3_nonce_of_original(&t.target, t.nonce);
    }
    make_insert(&t, &p);
    i3_give_to_ring(s, now, &p);
    s->counters.handed_over++;
}

static void follow(struct i3_server *s, instant now, const struct i3_kept *k)
{
    if (!i3_server_owns(s, &k->id)) {
        hand_over(s, now, k);
    } else if (s->closed) {
        struct i3_trigger t = of_kept(s, k);
        i3_copy_out(s, &t);
    }
}

/* What was inserted since this walk began went its way then, and all behind it. */
static const struct i3_kept *next_of_walk(struct i3_server *s)
{
    const struct i3_kept *k = i3_table_walk(s->table);
    return k && k->expires - I3_LIFETIME <= s->walk_begun ? k : NULL;
}

static void walk(struct i3_server *s, instant now)
{
    const struct i3_kept *k = NULL;
    for (unsigned i = 0; i < WALK_MOST && (k = next_of_walk(s)); i++)
        follow(s, now, k);
    s->walked = now;
    if (k)
        return;
    s->walking = false;
    remember_range(s);
}

void i3_ring_advance(struct i3_server *s, instant now)
{
    if (!s->had_range && !s->walking && chord_is_settled(s->chord))
        remember_range(s);
    if (chord_generation(s->chord) != s->generation) {
        s->generation = chord_generation(s->chord);
        look_for_newcomer(s, now);
        i3_table_walk_begin(s->table);
        s->walking = true;
        s->walked = now - WALK_EVERY;
        s->walk_begun = now;
    }
    if (s->walking && now - s->walked >= WALK_EVERY)
        walk(s, now);
}
