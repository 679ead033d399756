/* Two hand-made hosts with a gateway between them, for tests of the data path. */
#ifndef OCALA_PATH_FORWARD_CHAIN_H
#define OCALA_PATH_FORWARD_CHAIN_H

#include "path/forward_fixture.h"

#define SLOT_FROM_A 20
#define SLOT_FROM_B 21

/* a -- g -- b, where g joins the two tunnels. */
struct chain {
    struct side a, g, b;
    struct recipe *recipe[2]; /* of g, to a and to b */
    struct fwd_tunnel tunnel[2];
    struct fwd_transit transit[2];
    struct fwd_label label[2];
};

/* `settings` are those of a and b; the recipe of g to b carries records up to `second_mtu`. */
void chain_init(struct chain *c, const struct side_settings *settings, uint16_t second_mtu);
void chain_done(struct chain *c);
/* The recipe that `s` sends its own records with; it is the side's now. */
void side_replace_recipe(struct side *s, struct recipe *fresh);

#endif
