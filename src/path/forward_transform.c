#include "path/forward_internal.h"

/* Tunnels whose records pass through an engine of the overlay module (struct transform).
 *
 * All of them are driven by one worker.  A transform may hold a record back, make more of it, or
 * give out what another one's arrival made whole; so after each input its outputs are drained, and
 * each goes its own way: to the recipe's steps, or on as if it had just come from the socket. Going
 * on can lead into another tunnel's transform (a gateway between two such tunnels), never into the
 * same one again: a record that came out is marked. */

static void drain(struct forward *f, instant now, const struct recipe *recipe)
{
    struct transform *t = recipe->transform;
    enum transform_way way = TRANSFORM_SENDING;
    for (struct packet *p; (p = t->output(t, &way));) {
        if (way == TRANSFORM_SENDING) {
            forward_send(f, recipe, p->arrival.ecn, p);
        } else {
            p->arrival.transformed = true;
            forward_message(f, now, p);
        }
    }
}

void forward_transform_input(struct forward *f, instant now, const struct recipe *recipe,
                             enum transform_way way, struct packet *p)
{
    recipe->transform->input(recipe->transform, now, way, p);
    drain(f, now, recipe);
}

static const struct transform_list *own_transforms(const struct forward *f)
{
    if (f->settings.worker != forward_transform_worker(f))
        return NULL;
    return fwd_transforms(f->tables);
}

void forward_advance(struct forward *f, instant now)
{
    const struct transform_list *list = own_transforms(f);
    for (unsigned i = 0; list && i < list->count; i++) {
        const struct recipe *recipe = fwd_tunnel_recipe(list->tunnel[i]);
        if (!recipe || !recipe->transform)
            continue;
        if (recipe->transform->deadline(recipe->transform) <= now) {
            recipe->transform->advance(recipe->transform, now);
            drain(f, now, recipe);
        }
    }
}

instant forward_deadline(const struct forward *f)
{
    const struct transform_list *list = own_transforms(f);
    instant deadline = INSTANT_NEVER;
    for (unsigned i = 0; list && i < list->count; i++) {
        const struct recipe *recipe = fwd_tunnel_recipe(list->tunnel[i]);
        if (recipe && recipe->transform)
            deadline = instant_min(deadline, recipe->transform->deadline(recipe->transform));
    }
    return deadline;
}
