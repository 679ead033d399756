/* Both are asked for each datagram, so both are hash tables: a world of thousands of machines is as
 * fast as a small one. */
#include "sim/sim_place.h"

#include <stdlib.h>
#include <string.h>

#define uthash_fatal(message) abort()
#include <uthash.h>

#include "base/check.h"

struct sim_place {
    struct ip_address ip; /* key */
    struct sim_node *node;
    struct sim_port *port;
    UT_hash_handle hh;
};

struct sim_between {
    struct sim_pair {
        uint32_t low, high;
    } pair; /* key: numbers of two nodes */
    bool cut;
    struct sim_road road;
    UT_hash_handle hh;
};

void sim_place_add(struct sim_network *network, const struct ip_address *ip, struct sim_node *node,
                   struct sim_port *port)
{
    struct sim_place *p = base_calloc(1, sizeof *p);
    p->ip = *ip;
    p->node = node;
    p->port = port;
    HASH_ADD(hh, network->places, ip, sizeof p->ip, p);
}

static struct sim_place *find(const struct sim_network *network, const struct ip_address *ip)
{
    struct sim_place *p;
    HASH_FIND(hh, network->places, ip, sizeof *ip, p);
    return p;
}

void sim_place_remove(struct sim_network *network, const struct ip_address *ip,
                      const struct sim_port *port)
{
    struct sim_place *p = find(network, ip);
    if (p && p->port != port) { /* another one took the address meanwhile */
        struct sim_place *next;
        HASH_ITER(hh, network->places, p, next)
        if (p->port == port && ip_address_equal(&p->ip, ip))
            break;
    }
    if (!p)
        return;
    HASH_DEL(network->places, p);
    free(p);
}

bool sim_place_find(const struct sim_network *network, const struct ip_address *ip,
                    struct sim_node **ret_node, struct sim_port **ret_port)
{
    const struct sim_place *p = find(network, ip);
    if (!p)
        return false;
    *ret_node = p->node;
    *ret_port = p->port;
    return true;
}

void sim_places_free(struct sim_network *network)
{
    struct sim_place *p, *next;
    HASH_ITER(hh, network->places, p, next)
    {
        HASH_DEL(network->places, p);
        free(p);
    }
}

/* ---- between two nodes ---- */

static struct sim_pair pair_of(const struct sim_node *a, const struct sim_node *b)
{
    bool order = a->number < b->number;
    return (struct sim_pair){.low = order ? a->number : b->number,
                             .high = order ? b->number : a->number};
}

static struct sim_between *between(const struct sim_net *net, const struct sim_node *a,
                                   const struct sim_node *b)
{
    struct sim_pair pair = pair_of(a, b);
    struct sim_between *x;
    HASH_FIND(hh, net->between, &pair, sizeof pair, x);
    return x;
}

static struct sim_between *between_make(struct sim_net *net, const struct sim_node *a,
                                        const struct sim_node *b)
{
    struct sim_between *x = between(net, a, b);
    if (x)
        return x;
    x = base_calloc(1, sizeof *x);
    x->pair = pair_of(a, b);
    HASH_ADD(hh, net->between, pair, sizeof x->pair, x);
    return x;
}

bool sim_cut_between(const struct sim_net *net, const struct sim_node *a, const struct sim_node *b)
{
    const struct sim_between *x = net->between ? between(net, a, b) : NULL;
    return x && x->cut;
}

void sim_net_cut(struct sim_net *net, const struct sim_node *a, const struct sim_node *b)
{
    if (a != b)
        between_make(net, a, b)->cut = true;
}

void sim_net_heal(struct sim_net *net, const struct sim_node *a, const struct sim_node *b)
{
    struct sim_between *x = between(net, a, b);
    if (x)
        x->cut = false;
}

void sim_cuts_heal(struct sim_net *net)
{
    for (struct sim_between *x = net->between; x; x = x->hh.next)
        x->cut = false;
}

struct sim_road *sim_road_between(const struct sim_net *net, const struct sim_node *a,
                                  const struct sim_node *b, unsigned *ret_lane)
{
    struct sim_between *x = net->between ? between(net, a, b) : NULL;
    *ret_lane = a->number > b->number;
    return x && x->road.stands ? &x->road : NULL;
}

struct sim_way *sim_net_way(struct sim_net *net, const struct sim_node *a, const struct sim_node *b,
                            const struct sim_way *first)
{
    struct sim_between *x = between_make(net, a, b);
    if (!x->road.stands)
        x->road.way = *first;
    x->road.stands = true;
    return &x->road.way;
}

void sim_between_free(struct sim_net *net)
{
    struct sim_between *x, *next;
    HASH_ITER(hh, net->between, x, next)
    {
        HASH_DEL(net->between, x);
        free(x);
    }
}
