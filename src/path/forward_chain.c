#include "path/forward_chain.h"

void side_replace_recipe(struct side *s, struct recipe *fresh)
{
    atomic_store(&s->tunnel.recipe, fresh);
    free(s->recipe);
    s->recipe = fresh;
}

void chain_init(struct chain *c, const struct side_settings *settings, uint16_t second_mtu)
{
    memset(c, 0, sizeof *c);
    side_init(&c->a, 'a', 'b', settings);
    side_init(&c->b, 'b', 'a', settings);
    side_init(&c->g, 'g', 'a', &(struct side_settings){0});
    c->recipe[0] = side_recipe('g', 'a', 0);
    c->recipe[1] = side_recipe('g', 'b', second_mtu);
    for (unsigned i = 0; i < 2; i++) {
        struct fwd_transit *t = &c->transit[i];
        atomic_store(&c->tunnel[i].recipe, c->recipe[i]);
        t->generation = 9;
        t->label_out = LABEL(SIDE_SLOT, 3, 0);
        t->in = &c->tunnel[i];
        t->out = &c->tunnel[!i];
        c->label[i].transit = t;
        fwd_label_set(c->g.tables, SLOT_FROM_A + i, &c->label[i]);
    }
    side_replace_recipe(&c->a, side_recipe('a', 'g', 9000));
    side_replace_recipe(&c->b, side_recipe('b', 'g', 9000));
    c->a.path.label_out = LABEL(SLOT_FROM_A, 9, 0);
    c->b.path.label_out = LABEL(SLOT_FROM_B, 9, 0);
    c->a.path.one_hop = c->b.path.one_hop = false;
}

void chain_done(struct chain *c)
{
    side_done(&c->a);
    side_done(&c->g);
    side_done(&c->b);
    free(c->recipe[0]);
    free(c->recipe[1]);
}
