/* Networks, ports, and the flight of a datagram.
 *
 * All that happens to a datagram is drawn when it is sent: first on the sender's side (its port's
 * own way, or the network's), then on the receiver's side if that port has a way of its own.  The
 * result is an event for each copy.  Who gets it is decided when it lands: a node that has moved or
 * was cut off meanwhile does not. */
#include "sim/sim_net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "packet/ip.h"
#include "record/record.h"
#include "sim/sim_place.h"

#define COPIES_MAX 4 /* duplicated on both sides */

void sim_net_init(struct sim_net *net, struct sim_world *w)
{
    *net = (struct sim_net){.world = w};
    sim_world_stream(w, "net", &net->random);
}

static void name_set(char out[SIM_NAME], const char *name)
{
    size_t size = strnlen(name, SIM_NAME - 1);
    memcpy(out, name, size);
    out[size] = 0;
}

static void datagram_free(struct sim_datagram *d)
{
    sim_event_unset(d->net->world, &d->event);
    *(d->before ? &d->before->after : &d->net->flying) = d->after;
    if (d->after)
        d->after->before = d->before;
    free(d);
}

void sim_net_done(struct sim_net *net)
{
    while (net->flying)
        datagram_free(net->flying);
    sim_between_free(net);
    while (net->networks) {
        struct sim_network *n = net->networks;
        net->networks = n->next;
        sim_places_free(n);
        free(n);
    }
}

/* ---- networks and nodes ---- */

struct sim_network *sim_network_new(struct sim_net *net, const char *name)
{
    struct sim_network *n = base_calloc(1, sizeof *n), **last = &net->networks;
    name_set(n->name, name);
    sim_way_init(&n->way);
    while (*last)
        last = &(*last)->next;
    return *last = n;
}

struct sim_network *sim_network_find(const struct sim_net *net, const char *name)
{
    struct sim_network *n = net->networks;
    while (n && strcmp(n->name, name))
        n = n->next;
    return n;
}

void sim_node_add(struct sim_net *net, struct sim_node *node, const char *name)
{
    name_set(node->name, name);
    node->number = net->node_count++;
    *(net->last_node ? net->last_node : &net->nodes) = node;
    net->last_node = &node->next;
}

struct sim_node *sim_node_find(const struct sim_net *net, const char *name)
{
    struct sim_node *n = net->nodes;
    while (n && strcmp(n->name, name))
        n = n->next;
    return n;
}

static unsigned family_index(const struct ip_address *ip)
{
    return ip->family == 6;
}

static bool network_holds(const struct sim_network *n, const struct ip_address *ip)
{
    const struct ip_prefix *p = &n->prefix[family_index(ip)];
    return ip->family && p->ip.family && ip_prefix_holds(p, ip);
}

struct ip_address sim_network_free(const struct sim_net *net, const struct sim_network *network,
                                   uint8_t family)
{
    const struct ip_prefix *p = &network->prefix[family == 6];
    struct ip_address ip = p->ip;
    struct sim_node *node;
    struct sim_port *port;
    unsigned last = family == 6 ? 14 : 2;
    if (!p->ip.family)
        return ip;
    for (unsigned host = 1; host < 60000; host++) {
        ip.bytes[last] = (uint8_t)(p->ip.bytes[last] | host >> 8);
        ip.bytes[last + 1] = (uint8_t)(p->ip.bytes[last + 1] | (host & 0xFF));
        if (ip_prefix_holds(p, &ip) && (host & 0xFF) != 0xFF && (host & 0xFF) &&
            !sim_place_find(network, &ip, &node, &port))
            return ip;
    }
    return (struct ip_address){0};
}

struct sim_port *sim_port_find(struct sim_node *node, const struct sim_network *network)
{
    for (unsigned i = 0; i < node->ports; i++)
        if (node->port[i].network == network)
            return &node->port[i];
    return NULL;
}

struct sim_port *sim_port_add(struct sim_node *node, struct sim_network *network,
                              const struct ip_address *ip)
{
    struct sim_port *port = sim_port_find(node, network);
    if (!network_holds(network, ip) || (!port && node->ports == SIM_PORTS_MAX))
        return NULL;
    if (!port) {
        port = &node->port[node->ports++];
        *port = (struct sim_port){.network = network};
        sim_way_init(&port->way);
    }
    if (port->ip[family_index(ip)].family)
        sim_place_remove(network, &port->ip[family_index(ip)], port);
    sim_place_add(network, ip, node, port);
    port->ip[family_index(ip)] = port->home[family_index(ip)] = *ip;
    return port;
}

bool sim_port_move(struct sim_node *node, struct sim_port *port, const struct ip_address *ip)
{
    if (!network_holds(port->network, ip))
        return false;
    sim_place_remove(port->network, &port->ip[family_index(ip)], port);
    sim_place_add(port->network, ip, node, port);
    port->ip[family_index(ip)] = *ip;
    return true;
}

/* ---- cuts ---- */

void sim_net_heal_all(struct sim_net *net)
{
    sim_cuts_heal(net);
    for (struct sim_network *n = net->networks; n; n = n->next)
        n->cut = false;
    for (struct sim_node *n = net->nodes; n; n = n->next)
        for (unsigned i = 0; i < n->ports; i++)
            n->port[i].cut = false;
}

/* ---- landing ---- */

static const char *short_hash(const uint8_t *bytes, size_t size, char out[17])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[32];
    crypto_sha256(bytes, size, hash);
    for (unsigned i = 0; i < 8; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15];
    }
    out[16] = 0;
    return out;
}

/* What it looks like from outside: the type, and of a record the lane (record/record.h). */
static const char *outer_kind(const struct sim_datagram *d, char out[16])
{
    struct record_header h;
    if (d->size && d->bytes[0] == WIRE_RECORD && record_read_header(d->bytes, d->size, &h))
        snprintf(out, 16, "record %u", LABEL_LANE(h.label));
    else
        snprintf(out, 16, "%02x", d->size ? d->bytes[0] : 0);
    return out;
}

static void trace_datagram(struct sim_world *w, const char *who, const char *what,
                           const struct sim_datagram *d, const char *why)
{
    char from[ENDPOINT_TEXT], to[ENDPOINT_TEXT], hash[17], kind[16];
    sim_trace(w, who, what,
              "\"net\":\"%s\",\"kind\":\"%s\",\"from\":\"%s\",\"to\":\"%s\",\"tos\":%u,"
              "\"size\":%zu,\"hash\":\"%s\"%s%s%s",
              d->network->name, outer_kind(d, kind), endpoint_format(&d->from, from),
              endpoint_format(&d->to, to), d->tos, d->size, short_hash(d->bytes, d->size, hash),
              why ? ",\"why\":\"" : "", why ? why : "", why ? "\"" : "");
}

static void land(struct sim_event *event, struct sim_world *w)
{
    struct sim_datagram *d = (struct sim_datagram *)event;
    struct sim_net *net = d->net;
    struct sim_node *node = d->network->router;
    struct sim_port *port = node ? sim_port_find(node, d->network) : NULL;
    const char *why = NULL;

    if (network_holds(d->network, &d->to.ip) &&
        !sim_place_find(d->network, &d->to.ip, &node, &port))
        why = "nobody has this address";
    else if (!port || d->network->cut || port->cut || sim_cut_between(net, d->sender, node))
        why = "cut";
    if (why) {
        trace_datagram(w, d->sender->name, "lost", d, why);
        d->network->lost++;
    } else {
        trace_datagram(w, node->name, "got", d, NULL);
        node->deliver(node, port, d);
    }
    datagram_free(d);
}

/* ---- flight ---- */

struct flight {
    struct sim_net *net;
    const struct sim_datagram *d;
    size_t wire; /* bytes of the IP packet */
    uint8_t tos;
    unsigned copies;
    instant at[COPIES_MAX];
    const char *lost;
};

static bool is_lost(struct flight *f, const struct sim_way *way, struct sim_lane *lane)
{
    struct seeded *r = &f->net->random;
    if (way->burst)
        lane->bad = lane->bad ? !sim_chance(r, way->burst_end) : sim_chance(r, way->burst);
    else
        lane->bad = false;
    return (lane->bad && sim_chance(r, way->burst_loss)) || sim_chance(r, way->loss);
}

/* Waits for its turn on a wire of limited rate; false when the queue is full. */
static bool queue(struct flight *f, const struct sim_way *way, struct sim_lane *lane, instant *at)
{
    if (!way->rate)
        return true;
    instant begins = lane->free > *at ? lane->free : *at;
    uint64_t waiting = (uint64_t)(begins - *at) / 8 * way->rate / (uint64_t)SECOND;
    if (waiting + f->wire > way->queue)
        return false;
    if (way->mark && waiting > way->queue / 2 && (f->tos & 3)) {
        f->tos |= ECN_CE;
        f->d->network->marked++;
    }
    lane->free = begins + (instant)(f->wire * 8 * (uint64_t)SECOND / way->rate);
    *at = lane->free;
    return true;
}

/* One side of the way, for one copy; false when it is lost. */
static bool side(struct flight *f, const struct sim_way *way, struct sim_lane *lane, instant *at)
{
    struct seeded *r = &f->net->random;
    if (is_lost(f, way, lane)) {
        f->lost = "loss";
        return false;
    }
    if (!queue(f, way, lane, at)) {
        f->lost = "queue full";
        return false;
    }
    *at += way->delay;
    if (way->jitter)
        *at += (instant)(entropy_u64(&r->entropy) % (uint64_t)(way->jitter + 1));
    if (sim_chance(r, way->reorder)) {
        *at += way->reorder_by;
        f->d->network->reordered++;
        return true;
    }
    if (*at < lane->last)
        *at = lane->last;
    lane->last = *at;
    return true;
}

static void through(struct flight *f, const struct sim_way *way, struct sim_lane *lane)
{
    unsigned kept = 0;
    instant at[COPIES_MAX];
    for (unsigned i = 0; i < f->copies; i++) {
        bool twice = sim_chance(&f->net->random, way->duplicate);
        for (unsigned copy = 0; copy < (twice ? 2 : 1); copy++) {
            instant arrival = f->at[i];
            if (kept < COPIES_MAX && side(f, way, lane, &arrival))
                at[kept++] = arrival;
        }
        if (twice)
            f->d->network->duplicated++;
    }
    f->copies = kept;
    memcpy(f->at, at, kept * sizeof *at);
}

static struct sim_datagram *datagram_new(struct sim_net *net, struct sim_node *sender,
                                         struct sim_network *network, size_t size)
{
    struct sim_datagram *d = base_calloc(1, sizeof *d + size);
    d->event.run = land;
    d->net = net;
    d->network = network;
    d->sender = sender;
    d->size = size;
    d->after = net->flying;
    if (d->after)
        d->after->before = d;
    net->flying = d;
    return d;
}

static void launch(struct flight *f, struct sim_datagram *d)
{
    for (unsigned i = 0; i < f->copies; i++) {
        struct sim_datagram *copy = d;
        if (i) {
            copy = datagram_new(f->net, d->sender, d->network, d->size);
            copy->from = d->from;
            copy->to = d->to;
            memcpy(copy->bytes, d->bytes, d->size);
        }
        copy->tos = f->tos;
        sim_event_set(f->net->world, &copy->event, f->at[i]);
    }
}

/* ---- sending ---- */

/* The port that leads to an address: on its network, or on one whose router takes the rest. */
static struct sim_port *route(struct sim_node *node, const struct ip_address *to)
{
    struct sim_port *beyond = NULL;
    for (unsigned i = 0; i < node->ports; i++) {
        struct sim_port *p = &node->port[i];
        if (!p->ip[family_index(to)].family)
            continue;
        if (network_holds(p->network, to))
            return p;
        if (!beyond && p->network->router && p->network->router != node)
            beyond = p;
    }
    return beyond;
}

struct ip_address sim_node_source(const struct sim_node *node, const struct ip_address *remote)
{
    struct sim_port *port = route((struct sim_node *)node, remote);
    return port ? port->ip[family_index(remote)] : (struct ip_address){0};
}

static bool owns(const struct sim_node *node, const struct ip_address *ip)
{
    for (unsigned i = 0; i < node->ports; i++)
        if (ip_address_equal(&node->port[i].ip[family_index(ip)], ip))
            return true;
    return node->forwards;
}

/* Both sides of the way; what is left are f->copies. */
static void fly(struct flight *f, struct sim_port *port, const struct sim_way *way,
                struct sim_lane *lane, struct sim_port *target)
{
    if (port->network->cut || port->cut) {
        f->lost = "cut";
        f->copies = 0;
        return;
    }
    through(f, way, lane);
    if (target && target->has_way)
        through(f, &target->way, &target->lane[1]);
}

int sim_net_send(struct sim_net *net, struct sim_node *node, const struct endpoint *from,
                 const struct endpoint *to, uint8_t tos, const void *bytes, size_t size)
{
    struct sim_port *port = route(node, &to->ip), *target = NULL;
    struct sim_node *receiver;
    if (!port)
        return -ENETUNREACH;
    if (from->ip.family && !owns(node, &from->ip))
        return -EADDRNOTAVAIL;
    if (!sim_place_find(port->network, &to->ip, &receiver, &target))
        target = NULL;
    unsigned direction = 0;
    struct sim_road *road = target ? sim_road_between(net, node, receiver, &direction) : NULL;
    const struct sim_way *way = road            ? &road->way
                                : port->has_way ? &port->way
                                                : &port->network->way;
    struct sim_datagram *d = datagram_new(net, node, port->network, size);
    struct flight f = {.net = net, .d = d, .tos = tos, .copies = 1, .at = {net->world->now}};
    f.wire = size + UDP_HEADER + (to->ip.family == 6 ? IP6_HEADER : IP4_HEADER);
    if (net->watch)
        net->watch(net->watch_context, node, bytes, size);
    d->from = *from;
    if (!from->ip.family)
        d->from.ip = port->ip[family_index(&to->ip)];
    d->to = *to;
    d->tos = tos;
    if (size)
        memcpy(d->bytes, bytes, size);
    port->network->sent++;
    if (f.wire > way->mtu || (target && target->has_way && f.wire > target->way.mtu)) {
        port->network->refused++;
        trace_datagram(net->world, node->name, "lost", d, "too big");
        datagram_free(d);
        return way->silent ? 0 : -EMSGSIZE;
    }
    if (net->passes &&
        !net->passes(net->passes_context, port->network, &d->from, to, d->bytes, size)) {
        f.lost = "attack";
        f.copies = 0;
    } else {
        fly(&f, port, way, road ? &road->lane[direction] : &port->lane[0], target);
    }
    trace_datagram(net->world, node->name, f.copies ? "send" : "lost", d, f.copies ? NULL : f.lost);
    if (f.copies) {
        launch(&f, d);
    } else {
        port->network->lost++;
        datagram_free(d);
    }
    return 0;
}

void sim_net_inject(struct sim_net *net, struct sim_node *node, struct sim_network *network,
                    const struct endpoint *from, const struct endpoint *to, const void *bytes,
                    size_t size)
{
    struct sim_datagram *d = datagram_new(net, node, network, size);
    d->from = *from;
    d->to = *to;
    if (size)
        memcpy(d->bytes, bytes, size);
    trace_datagram(net->world, node->name, "inject", d, NULL);
    sim_event_set(net->world, &d->event, net->world->now + network->way.delay);
}

size_t sim_net_fits(struct sim_node *node, const struct ip_address *remote)
{
    struct sim_port *port = route(node, remote);
    if (!port)
        return 0;
    uint16_t mtu = port->has_way ? port->way.mtu : port->network->way.mtu;
    return (size_t)mtu - UDP_HEADER - (remote->family == 6 ? IP6_HEADER : IP4_HEADER);
}
