/* Neighbours: other hosts of our instances, with the tunnel that the overlay module gives and the
 * link in use. */
#include "path/path_internal.h"

#include <stdio.h>
#include <string.h>

/* Of a tunnel that does not say: less its overhead, as the data path counts. */
#define MTU_UNKNOWN 1280

static struct neighbour *neighbour_of(const struct hash_link *link)
{
    return (struct neighbour *)((char *)link - offsetof(struct neighbour, by_tunnel));
}

/* Tunnels are numbered by us, one after the other. */
static uint64_t tunnel_hash(const void *context, const struct hash_link *link)
{
    return neighbour_of(link)->tunnel;
}

void path_neighbours_init(struct path_engine *e)
{
    hash_init(&e->tunnels, tunnel_hash, NULL);
    e->next_tunnel = 1;
    e->closing_last = &e->closings;
}

struct neighbour *path_neighbour_find(const struct path_engine *e, const char *name)
{
    const struct name_entry *entry = path_names_find(e, name);
    return entry ? entry->neighbour : NULL;
}

struct neighbour *path_neighbour_each(const struct path_engine *e, struct hash_walk *walk)
{
    struct hash_link *link = hash_each(&e->tunnels, walk);
    return link ? neighbour_of(link) : NULL;
}

struct neighbour *path_neighbour_get(struct path_engine *e, const char *name, unsigned instance)
{
    struct neighbour *n = path_neighbour_find(e, name);
    if (n)
        return n;
    n = base_calloc(1, sizeof *n);
    n->name = path_names_take(e, name);
    path_names_of(n->name)->neighbour = n;
    n->instance = instance;
    n->tunnel = e->next_tunnel++;
    n->fwd = base_calloc(1, sizeof *n->fwd);
    n->fwd->id = n->tunnel;
    hash_add(&e->tunnels, &n->by_tunnel);
    return n;
}

struct neighbour *path_neighbour_by_tunnel(struct path_engine *e, uint32_t tunnel)
{
    for (struct hash_link *l = hash_first(&e->tunnels, tunnel); l; l = l->next)
        if (neighbour_of(l)->tunnel == tunnel)
            return neighbour_of(l);
    return NULL;
}

static void tunnel_out(struct path_engine *e, enum path_out_kind kind, const struct neighbour *n)
{
    struct overlay_name name = {0};
    char host[NAME_TEXT];

    struct path_out *o = path_out_add(e, kind);
    o->instance = n->instance;
    o->tunnel = n->tunnel;
    memcpy(name.text, n->name, strlen(n->name) + 1);
    path_out_host(e, overlay_name_host(&name, host));
}

/* A recipe that has state points at what the module keeps for the tunnel, so closing waits until no
 * worker can hold one.  Should the neighbour be wanted again meanwhile, that is another tunnel. */
struct closing {
    struct closing *next;
    uint64_t mark;
    unsigned instance;
    uint32_t tunnel;
};

void path_neighbours_settle(struct path_engine *e)
{
    struct closing *c;
    while ((c = e->closings) && epoch_passed(e->epoch, c->mark)) {
        struct path_out *o = path_out_add(e, PATH_OUT_TUNNEL_CLOSE);
        o->instance = c->instance;
        o->tunnel = c->tunnel;
        e->closings = c->next;
        if (!e->closings)
            e->closing_last = &e->closings;
        free(c);
    }
}

void path_neighbours_done(struct path_engine *e)
{
    while (e->closings) {
        struct closing *c = e->closings;
        e->closings = c->next;
        free(c);
    }
    hash_done(&e->tunnels);
}

/* After the recipe was taken away. */
static void tunnel_close(struct path_engine *e, struct neighbour *n)
{
    n->tunnel_state = TUNNEL_CLOSED;
    if (!n->has_state) {
        tunnel_out(e, PATH_OUT_TUNNEL_CLOSE, n);
        return;
    }
    struct closing *c = base_calloc(1, sizeof *c);
    *c = (struct closing){
        .mark = epoch_mark(e->epoch), .instance = n->instance, .tunnel = n->tunnel};
    *e->closing_last = c;
    e->closing_last = &c->next;
    hash_remove(&e->tunnels, &n->by_tunnel);
    n->tunnel = e->next_tunnel++;
    n->has_state = false;
    hash_add(&e->tunnels, &n->by_tunnel);
}

void path_neighbour_open_tunnel(struct path_engine *e, struct neighbour *n)
{
    if (n->tunnel_state != TUNNEL_CLOSED)
        return;
    n->tunnel_state = TUNNEL_OPENING;
    tunnel_out(e, PATH_OUT_TUNNEL_OPEN, n);
}

void path_neighbour_use(struct neighbour *n)
{
    n->users++;
}

void path_neighbour_release(struct path_engine *e, struct neighbour *n)
{
    if (--n->users)
        return;
    path_neighbour_set_recipe(e, n, NULL);
    if (n->tunnel_state != TUNNEL_CLOSED)
        tunnel_close(e, n);
    hash_remove(&e->tunnels, &n->by_tunnel);
    epoch_retire(e->epoch, n->fwd, free);
    path_names_of(n->name)->neighbour = NULL;
    path_names_give(e, n->name);
    free(n);
}

const struct recipe *path_neighbour_recipe(const struct neighbour *n)
{
    return atomic_load_explicit(&n->fwd->recipe, memory_order_relaxed);
}

bool path_neighbour_at(const struct neighbour *n, const struct endpoint *remote)
{
    const struct recipe *r = path_neighbour_recipe(n);
    return r && (!r->from.ip.family || endpoint_equal(&r->from, remote));
}

static uint16_t recipe_mtu(const struct recipe *r)
{
    uint16_t mtu = r && r->mtu ? r->mtu : (uint16_t)(MTU_UNKNOWN - (r ? r->overhead : 0));
    return mtu < MTU_SEARCH_LEAST ? MTU_SEARCH_LEAST : mtu;
}

uint16_t path_neighbour_tunnel_mtu(const struct neighbour *n)
{
    return recipe_mtu(path_neighbour_recipe(n));
}

uint16_t path_neighbour_record_mtu(const struct neighbour *n)
{
    uint16_t tunnel = path_neighbour_tunnel_mtu(n);
    return n->link && n->link->record_mtu < tunnel ? n->link->record_mtu : tunnel;
}

void path_neighbour_carries(struct path_engine *e, struct neighbour *n, uint16_t record_mtu)
{
    const struct recipe *r = path_neighbour_recipe(n);
    if (!r || !r->mtu || r->mtu >= record_mtu)
        return;
    struct recipe larger;
    recipe_unpack(&larger, r);
    larger.mtu = record_mtu;
    path_neighbour_set_recipe(e, n, &larger);
}

void path_neighbour_set_recipe(struct path_engine *e, struct neighbour *n, const struct recipe *r)
{
    struct recipe *copy = r ? recipe_pack(r) : NULL;
    n->has_state |= r && recipe_has_state(r);
    const struct recipe *old = atomic_exchange(&n->fwd->recipe, copy);
    if (copy && copy->transform && !(old && old->transform))
        fwd_transform_add(e->tables, n->fwd);
    if (old && old->transform && !(copy && copy->transform))
        fwd_transform_remove(e->tables, n->fwd);
    if (old)
        epoch_retire(e->epoch, (void *)old, free);
}

/* ---- what the module hears of links
 * ------------------------------------------------------------------------------------------------
 */

void path_neighbour_set_link(struct path_engine *e, struct neighbour *n, struct path *link)
{
    n->link = link;
    if (n->link_told == (link != NULL))
        return;
    n->link_told = link != NULL;
    tunnel_out(e, link ? PATH_OUT_LINK_UP : PATH_OUT_LINK_DOWN, n);
}

void path_neighbour_link_failed(struct path_engine *e, struct neighbour *n)
{
    if (n->wanted && !n->link)
        tunnel_out(e, PATH_OUT_LINK_DOWN, n);
}

static void say_use(struct path_engine *e, const struct neighbour *n, enum path_use use)
{
    struct path_out *o = path_out_add(e, PATH_OUT_TUNNEL_USE);
    o->instance = n->instance;
    o->tunnel = n->tunnel;
    o->use = use;
}

void path_neighbour_used(struct path_engine *e, struct neighbour *n)
{
    if (n->busy)
        return;
    n->busy = true;
    say_use(e, n, PATH_USE_BUSY);
}

void path_neighbour_idle(struct path_engine *e, instant now, struct neighbour *n)
{
    if (!n->busy)
        return;
    for (const struct path *p = n->paths; p; p = p->first_next)
        if (p->state == PATH_STATE_UP &&
            now - path_session_data_used(p) < 2 * e->config->timers.probe)
            return;
    n->busy = false;
    say_use(e, n, PATH_USE_IDLE);
}

void path_neighbour_quiet(struct path_engine *e, instant now, struct neighbour *n, instant pause)
{
    if (n->quiet_told && now - n->quiet_told < pause)
        return;
    n->quiet_told = now_floor(now);
    say_use(e, n, PATH_USE_QUIET);
}

void path_neighbour_silent(struct path_engine *e, instant now, struct neighbour *n)
{
    if (n->silent_told && now - n->silent_told < SECOND)
        return;
    n->silent_told = now_floor(now);
    say_use(e, n, PATH_USE_SILENT);
}

void path_link_want(struct path_engine *e, instant now, unsigned instance, const char *host,
                    bool want)
{
    char text[2 * NAME_TEXT];
    struct overlay_name name;

    snprintf(text, sizeof text, "%s.%s", host, e->instance[instance].config->instance);
    if (!overlay_name_parse(text, &name, NULL) || path_engine_is_self(e, name.text))
        return;
    struct neighbour *n = path_neighbour_find(e, name.text);
    if (!want) {
        if (n && n->wanted) {
            n->wanted = false;
            path_neighbour_release(e, n);
        }
        return;
    }
    n = path_neighbour_get(e, name.text, instance);
    path_neighbour_use(n);
    if (n->wanted)
        n->users--;
    n->wanted = true;
    if (!path_neighbour_want_link(e, now, n, now + e->config->timers.give_up) && !n->opening)
        path_neighbour_link_failed(e, n);
}

void path_neighbours_release_wanted(struct path_engine *e)
{
    struct hash_walk walk = {0};
    struct neighbour *n;
    while ((n = path_neighbour_each(e, &walk)))
        if (n->wanted)
            path_neighbour_release(e, n);
}

bool path_neighbour_want_link(struct path_engine *e, instant now, struct neighbour *n,
                              instant limit)
{
    if (n->link)
        return true;
    if (!n->opening) {
        struct name_chain chain = {.count = 1};
        memcpy(chain.hop[0].text, n->name, strlen(n->name) + 1);
        struct path *p = path_new(e, &chain, true);
        if (p)
            path_begin(e, now, p, limit);
    } else if (limit < n->opening->opening->limit) {
        n->opening->opening->limit = limit;
        path_alive_schedule(e, now, n->opening);
    }
    return n->link != NULL;
}

/* ---- what modules say ---- */

void path_tunnel_up(struct path_engine *e, instant now, uint32_t tunnel,
                    const struct recipe *recipe)
{
    struct neighbour *n = path_neighbour_by_tunnel(e, tunnel);
    if (!n || n->tunnel_state == TUNNEL_CLOSED || !recipe_valid(recipe))
        return;
    bool first = n->tunnel_state != TUNNEL_UP;
    n->tunnel_state = TUNNEL_UP;
    path_neighbour_set_recipe(e, n, recipe);
    n->most = recipe_mtu(recipe);
    if (n->link)
        path_session_set_mtu(n->link, n->most);
    for (struct path *p = n->paths; p; p = p->first_next)
        path_mtu_forget(e, now, p);
    if (n->link && first)
        path_control_hello(e, now, n->link);
    if (n->opening && first)
        path_link_repeat(e, now, n->opening);
    else if (n->opening)
        path_link_again(e, n->opening);
}

/* Nothing that goes through the tunnel is alive any more, and whoever waits behind a gateway of
 * ours is told. */
static void all_lost(struct path_engine *e, instant now, struct neighbour *n, const char *reason)
{
    for (struct path *p = n->paths; p; p = p->first_next)
        if (p->state == PATH_STATE_UP && p != n->link)
            path_lost(e, now, p, reason);
    if (n->link)
        path_lost(e, now, n->link, reason);
    else
        path_transit_link_lost(e, now, n);
}

void path_tunnel_failed(struct path_engine *e, instant now, uint32_t tunnel, bool unknown_host,
                        const char *reason)
{
    struct neighbour *n = path_neighbour_by_tunnel(e, tunnel);
    if (!n || n->tunnel_state == TUNNEL_CLOSED)
        return;
    path_neighbour_use(n);
    path_neighbour_set_recipe(e, n, NULL);
    tunnel_close(e, n); /* the number stays taken until then */
    all_lost(e, now, n, reason);
    if (n->opening) {
        n->opening->opening->unknown_host = unknown_host;
        path_fail(e, now, n->opening, reason);
    }
    path_neighbour_release(e, n);
}

/* Sizes to try below one that did not fit: common tunnels in tunnels, then the least that IPv6 and
 * IPv4 guarantee. */
static uint16_t next_smaller(size_t size)
{
    static const uint16_t steps[] = {8972, 4352, 1472, 1452, 1432, 1412, 1392, 1372, 1352, 1332,
                                     1292, 1252, 1232, 1172, 1096, 1076, 996,  796,  548,  0};
    unsigned i = 0;
    while (steps[i] && steps[i] >= size)
        i++;
    return steps[i];
}

/* Its tunnel does not take a record of `size`, but perhaps one of `guess`. */
static void tunnel_refused(struct path_engine *e, instant now, struct neighbour *n, uint16_t size,
                           uint16_t guess)
{
    const struct recipe *r = path_neighbour_recipe(n);
    bool less = !r->mtu || size <= r->mtu; /* else it was a probe */
    if (less) {
        struct recipe smaller;
        recipe_unpack(&smaller, r);
        smaller.mtu = guess;
        path_neighbour_set_recipe(e, n, &smaller);
        path_notice(e, now, 6, "%s: records of %u bytes do not fit on the underlay; using %u",
                    n->name, size, guess);
    }
    for (struct path *p = n->paths; p; p = p->first_next)
        path_mtu_refused(e, now, p, size, guess);
    if (less)
        path_transit_tunnel_mtu(e, now, n, guess);
}

void path_tunnel_too_big(struct path_engine *e, instant now, const struct endpoint *remote,
                         size_t size, size_t fits)
{
    struct hash_walk walk = {0};
    for (struct neighbour *n; (n = path_neighbour_each(e, &walk));) {
        const struct recipe *r = path_neighbour_recipe(n);
        if (!r || !endpoint_equal(&recipe_target(r)->send.remote, remote))
            continue;
        size_t mtu = fits && fits < size ? fits : next_smaller(size);
        if (mtu >= MTU_SEARCH_LEAST + (size_t)r->overhead && size <= UINT16_MAX)
            tunnel_refused(e, now, n, (uint16_t)(size - r->overhead),
                           (uint16_t)(mtu - r->overhead));
    }
}

bool path_link_message(struct path_engine *e, instant now, uint32_t tunnel,
                       const struct recipe *recipe, const uint8_t *bytes, size_t size)
{
    struct neighbour *n = path_neighbour_by_tunnel(e, tunnel);
    if (!n || !n->link || size > CONTROL_MAX - 1 || (recipe && !recipe_valid(recipe)))
        return false;
    e->scratch[0] = MESSAGE_MODULE;
    memcpy(e->scratch + 1, bytes, size);
    path_control_send_by(e, now, n->link, recipe, e->scratch, size + 1);
    return true;
}
