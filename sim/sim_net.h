/* The underlay: networks that carry UDP datagrams between nodes, and what goes wrong on them.
 *
 * A network is a cloud with one or two prefixes; a node has a port on each network it is attached
 * to, with an address of each family.  There is no routing between networks: a datagram reaches an
 * address of a network that its sender is attached to, or, through a NAT on that network, one
 * outside.  What a datagram suffers (delay, loss, ...) is a `struct sim_way`: the network's, or the
 * sending port's own, together with the receiving port's own. */
#ifndef OCALA_SIM_NET_H
#define OCALA_SIM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "sim/sim_world.h"

#define SIM_NAME        32
#define SIM_PORTS_MAX   8
#define SIM_MTU         1500
#define SIM_QUEUE_BYTES (256 * 1024)

/* Probabilities in millionths.  A burst is the bad state of a Gilbert-Elliott channel. */
struct sim_way {
    instant delay;
    instant jitter; /* at most that much more; order is kept            */
    uint32_t loss;
    uint32_t burst;      /* good to bad, for each datagram                   */
    uint32_t burst_end;  /* bad to good                                      */
    uint32_t burst_loss; /* in the bad state                                 */
    uint32_t duplicate;
    uint32_t reorder; /* held back by reorder_by, overtaken by others     */
    instant reorder_by;
    uint64_t rate;  /* bits in a second; 0: no limit                    */
    uint32_t queue; /* bytes that wait for their turn; more are dropped */
    bool mark;      /* ECN: mark when the queue is half full            */
    uint16_t mtu;   /* of the IP packet around the datagram             */
    bool silent;    /* too large ones vanish instead of being refused   */
};

/* No fault at all. */
void sim_way_init(struct sim_way *way);
/* One setting as text: "loss" "5%", "delay" "20ms", "rate" "10M", ...  NULL, or what is wrong with
 * it (static). */
const char *sim_way_set(struct sim_way *way, const char *key, const char *value);
/* All keys, for messages. */
const char *sim_way_keys(void);

struct sim_network {
    char name[SIM_NAME];
    struct ip_prefix prefix[2]; /* IPv4, IPv6; family 0: none */
    struct sim_way way;
    bool cut;
    struct sim_node *router; /* NAT that takes what is for elsewhere; or NULL */
    uint64_t sent, lost, duplicated, reordered, refused, marked;
    struct sim_place *places; /* by address (sim_place.c) */
    struct sim_network *next;
};

/* One direction of a way. */
struct sim_lane {
    instant free; /* when the last queued datagram is on the wire */
    instant last; /* arrival of the last one that kept its order  */
    bool bad;
};

struct sim_port {
    struct sim_network *network;
    struct ip_address ip[2];
    struct ip_address home[2]; /* the first ones: where others look for it */
    bool cut;
    bool has_way; /* the port's own, in both directions */
    struct sim_way way;
    struct sim_lane lane[2]; /* out, in */
};

struct sim_datagram {
    struct sim_event event;
    struct sim_net *net;
    struct sim_network *network;
    struct sim_datagram *before, *after; /* all that are under way */
    struct sim_node *sender;
    struct endpoint from, to;
    uint8_t tos;
    size_t size;
    uint8_t bytes[];
};

/* Something with ports.  `deliver` gets datagrams for one of its addresses; the datagram is the
 * network's. */
struct sim_node {
    char name[SIM_NAME];
    uint32_t number; /* in the order in which they were added */
    void (*deliver)(struct sim_node *self, struct sim_port *port, const struct sim_datagram *d);
    struct sim_port port[SIM_PORTS_MAX];
    unsigned ports;
    bool forwards; /* a router: sends what others have sent */
    struct sim_node *next;
};

struct sim_between; /* what is special between two nodes (sim_place.c) */
struct sim_place;   /* who has an address                              */

struct sim_net {
    struct sim_world *world;
    struct seeded random;
    struct sim_network *networks;
    struct sim_node *nodes, **last_node;
    uint32_t node_count;
    struct sim_datagram *flying;
    struct sim_between *between;
    /* Called with each datagram that a node sends, before anything happens to it; may be NULL. */
    void (*watch)(void *context, const struct sim_node *from, const uint8_t *bytes, size_t size);
    void *watch_context;
    /* Called with each datagram on the wire; false: it goes no further.  May be NULL. */
    bool (*passes)(void *context, const struct sim_network *network, const struct endpoint *from,
                   const struct endpoint *to, const uint8_t *bytes, size_t size);
    void *passes_context;
};

void sim_net_init(struct sim_net *net, struct sim_world *w);
/* Frees networks and what is under way; nodes are their owners'. */
void sim_net_done(struct sim_net *net);

struct sim_network *sim_network_new(struct sim_net *net, const char *name);
struct sim_network *sim_network_find(const struct sim_net *net, const char *name);

void sim_node_add(struct sim_net *net, struct sim_node *node, const char *name);
struct sim_node *sim_node_find(const struct sim_net *net, const char *name);
/* NULL when there is no room, or the address (already free) lies outside of the network. */
struct sim_port *sim_port_add(struct sim_node *node, struct sim_network *network,
                              const struct ip_address *ip);
struct sim_port *sim_port_find(struct sim_node *node, const struct sim_network *network);
/* Another address of the same family on the same port. */
bool sim_port_move(struct sim_node *node, struct sim_port *port, const struct ip_address *ip);
/* A free address of the network's prefix for `family`; family 0 when there is none. */
struct ip_address sim_network_free(const struct sim_net *net, const struct sim_network *network,
                                   uint8_t family);

/* The address that a datagram to `remote` leaves from; family 0: no route. */
struct ip_address sim_node_source(const struct sim_node *node, const struct ip_address *remote);
/* Sends as the kernel would: 0, -EMSGSIZE, -ENETUNREACH, or -EADDRNOTAVAIL when `from` is not the
 * node's.  A `from` without address is filled in. */
int sim_net_send(struct sim_net *net, struct sim_node *node, const struct endpoint *from,
                 const struct endpoint *to, uint8_t tos, const void *bytes, size_t size);

/* A datagram of somebody who is on the network himself and writes what he likes into it.  `node` is
 * who the trace names. */
void sim_net_inject(struct sim_net *net, struct sim_node *node, struct sim_network *network,
                    const struct endpoint *from, const struct endpoint *to, const void *bytes,
                    size_t size);

/* The largest datagram that the sender's own interface takes towards `remote`, as its kernel knows.
 */
size_t sim_net_fits(struct sim_node *node, const struct ip_address *remote);

void sim_net_cut(struct sim_net *net, const struct sim_node *a, const struct sim_node *b);
void sim_net_heal(struct sim_net *net, const struct sim_node *a, const struct sim_node *b);
/* The way between these two alone, in both directions; it begins as a copy of `first`. */
struct sim_way *sim_net_way(struct sim_net *net, const struct sim_node *a, const struct sim_node *b,
                            const struct sim_way *first);
/* Every cut of every kind. */
void sim_net_heal_all(struct sim_net *net);

#endif
