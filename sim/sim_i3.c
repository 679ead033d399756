#include "sim/sim_i3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"

#define TRIGGERS   10000
#define OUTBOX     (1 << 20)
#define REMEMBERED 1024

static void pump(struct sim_i3 *i)
{
    struct i3_server_out out;
    while (i3_server_output(i->server, &out)) {
        struct endpoint from = *i3_server_at(i->server);
        from.port = out.port == I3_PORT_CLIENTS ? SIM_I3_PORT : SIM_I3_RING;
        sim_net_send(&i->sim->net, &i->node, &from, &out.letter.to, 0, out.letter.bytes,
                     out.letter.size);
    }
    sim_event_set(&i->sim->world, &i->event, i3_server_deadline(i->server));
}

static void tick(struct sim_event *self, struct sim_world *w)
{
    struct sim_i3 *i = (struct sim_i3 *)self;
    i3_server_advance(i->server, w->now);
    pump(i);
}

static void deliver(struct sim_node *node, struct sim_port *port, const struct sim_datagram *d)
{
    struct sim_i3 *i = (struct sim_i3 *)((char *)node - offsetof(struct sim_i3, node));
    bool clients = d->to.port == SIM_I3_PORT;
    if (!i->server || (!clients && d->to.port != SIM_I3_RING))
        return;
    i3_server_input(i->server, i->sim->world.now, clients ? I3_PORT_CLIENTS : I3_PORT_RING,
                    &d->from, d->bytes, d->size);
    pump(i);
}

bool sim_i3_new(struct sim *s, const char *name, struct sim_network *network,
                const struct ip_address *ip, const struct ip_address *seed, unsigned seeds)
{
    struct sim_i3 *i = base_calloc(1, sizeof *i);
    char purpose[SIM_NAME + 16];
    uint8_t place[32];
    i->sim = s;
    i->event.run = tick;
    i->node.deliver = deliver;
    snprintf(purpose, sizeof purpose, "i3 server %s", name);
    sim_world_stream(&s->world, purpose, &i->random);
    sim_node_add(&s->net, &i->node, name);
    i->next = s->i3_servers;
    s->i3_servers = i;
    if (!sim_port_add(&i->node, network, ip))
        return false;
    struct i3_server_settings settings = {.at = {.ip = *ip, .port = SIM_I3_PORT},
                                          .triggers = TRIGGERS,
                                          .remembered = REMEMBERED,
                                          .outbox = OUTBOX,
                                          .entropy = &i->random.entropy};
    crypto_sha256(name, strlen(name), place);
    settings.chord.self.at = (struct endpoint){.ip = *ip, .port = SIM_I3_RING};
    memcpy(settings.chord.self.id.bytes, place, sizeof settings.chord.self.id.bytes);
    for (; settings.chord.seeds < seeds; settings.chord.seeds++)
        settings.chord.seed[settings.chord.seeds] =
            (struct endpoint){.ip = seed[settings.chord.seeds], .port = SIM_I3_RING};
    i->server = i3_server_new(&settings, s->world.now);
    pump(i);
    return true;
}

struct sim_i3 *sim_i3_find(const struct sim *s, const char *name)
{
    struct sim_i3 *i = s->i3_servers;
    while (i && strcmp(i->node.name, name))
        i = i->next;
    return i;
}

void sim_i3_end(struct sim_i3 *i)
{
    sim_event_unset(&i->sim->world, &i->event);
    i3_server_free(i->server);
    i->server = NULL;
}

void sim_i3_free(struct sim *s)
{
    while (s->i3_servers) {
        struct sim_i3 *i = s->i3_servers;
        s->i3_servers = i->next;
        sim_i3_end(i);
        free(i);
    }
}
