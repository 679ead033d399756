#include "sim/sim_nat.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define PORT_FIRST 20000
#define PORT_COUNT 40000

static bool live(const struct sim_nat *n, const struct sim_mapping *m)
{
    return n->sim->world.now - m->used <= n->timeout;
}

static bool port_taken(const struct sim_nat *n, uint16_t port)
{
    for (const struct sim_mapping *m = n->mappings; m; m = m->next)
        if (m->port == port && live(n, m))
            return true;
    return false;
}

static void sweep(struct sim_nat *n)
{
    for (struct sim_mapping **at = &n->mappings; *at;) {
        struct sim_mapping *m = *at;
        if (live(n, m)) {
            at = &m->next;
            continue;
        }
        *at = m->next;
        free(m);
    }
}

static struct sim_mapping *mapping_get(struct sim_nat *n, const struct endpoint *inside,
                                       const struct endpoint *remote)
{
    sweep(n);
    for (struct sim_mapping *m = n->mappings; m; m = m->next)
        if (endpoint_equal(&m->inside, inside) &&
            (n->kind != SIM_NAT_SYMMETRIC || endpoint_equal(&m->remote, remote)))
            return m;
    struct sim_mapping *m = base_calloc(1, sizeof *m);
    m->inside = *inside;
    do
        m->port = (uint16_t)(PORT_FIRST + entropy_below(&n->random.entropy, PORT_COUNT));
    while (port_taken(n, m->port));
    m->next = n->mappings;
    return n->mappings = m;
}

static void outwards(struct sim_nat *n, const struct sim_datagram *d)
{
    struct sim_mapping *m = mapping_get(n, &d->from, &d->to);
    struct endpoint from = {.ip = n->ip, .port = m->port};
    m->remote = d->to;
    m->used = n->sim->world.now;
    sim_net_send(&n->sim->net, &n->node, &from, &d->to, d->tos, d->bytes, d->size);
}

static void inwards(struct sim_nat *n, const struct sim_datagram *d)
{
    sweep(n);
    for (struct sim_mapping *m = n->mappings; m; m = m->next) {
        if (m->port != d->to.port)
            continue;
        if (n->kind != SIM_NAT_OPEN && !endpoint_equal(&m->remote, &d->from))
            continue;
        m->used = n->sim->world.now;
        sim_net_send(&n->sim->net, &n->node, &d->from, &m->inside, d->tos, d->bytes, d->size);
        return;
    }
    sim_trace(&n->sim->world, n->node.name, "filtered", "\"port\":%u", d->to.port);
}

static void deliver(struct sim_node *node, struct sim_port *port, const struct sim_datagram *d)
{
    struct sim_nat *n = (struct sim_nat *)node;
    if (port->network == n->inside)
        outwards(n, d);
    else
        inwards(n, d);
}

bool sim_nat_new(struct sim *s, const char *name, struct sim_network *inside,
                 const struct ip_address *inside_ip, struct sim_network *outside,
                 const struct ip_address *outside_ip, enum sim_nat_kind kind, instant timeout)
{
    char purpose[SIM_NAME + 8] = "nat ";
    struct sim_nat *n = base_calloc(1, sizeof *n);
    n->node.deliver = deliver;
    n->node.forwards = true;
    n->sim = s;
    n->inside = inside;
    n->outside = outside;
    n->ip = *outside_ip;
    n->kind = kind;
    n->timeout = timeout;
    strncat(purpose, name, SIM_NAME - 1);
    sim_world_stream(&s->world, purpose, &n->random);
    if (!sim_port_add(&n->node, inside, inside_ip) ||
        !sim_port_add(&n->node, outside, outside_ip)) {
        free(n);
        return false;
    }
    sim_node_add(&s->net, &n->node, name);
    inside->router = &n->node;
    n->next = s->nats;
    s->nats = n;
    return true;
}

void sim_nat_clear(struct sim_nat *n)
{
    while (n->mappings) {
        struct sim_mapping *m = n->mappings;
        n->mappings = m->next;
        free(m);
    }
}

struct sim_nat *sim_nat_find(const struct sim *s, const char *name)
{
    struct sim_nat *n = s->nats;
    while (n && strcmp(n->node.name, name))
        n = n->next;
    return n;
}

void sim_nats_free(struct sim *s)
{
    while (s->nats) {
        struct sim_nat *n = s->nats;
        s->nats = n->next;
        sim_nat_clear(n);
        free(n);
    }
}
