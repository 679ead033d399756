#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

#include "sim/sim_attack.h"
#include "sim/sim_fault.h"
#include "sim/sim_host.h"
#include "sim/sim_i3.h"
#include "sim/sim_nat.h"

/* Nothing that a program says, and no name, is ever seen on the underlay. */
static void watch(void *context, const struct sim_node *from, const uint8_t *bytes, size_t size)
{
    struct sim *s = context;
    const char *seen = NULL;
    if (memmem(bytes, size, SIM_PLAIN, SIM_PLAIN_SIZE))
        seen = "what a program said";
    for (const struct sim_instance *i = s->instances; i && !seen; i = i->next)
        if (memmem(bytes, size, i->name, strlen(i->name)))
            seen = i->name;
    if (seen)
        sim_fail(&s->world, "%s sent '%s' in clear", from->name, seen);
}

void sim_init(struct sim *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    sim_world_init(&s->world, seed);
    sim_net_init(&s->net, &s->world);
    s->net.watch = watch;
    s->net.watch_context = s;
    s->next_serial = 1;
    s->count = host_count;
}

void sim_done(struct sim *s)
{
    sim_faults_free(s);
    sim_outages_free(s);
    sim_attack_free(s);
    for (unsigned i = 0; i < s->hosts; i++)
        sim_host_free(s->host[i]);
    free(s->host);
    sim_i3_free(s);
    sim_nats_free(s);
    while (s->instances) {
        struct sim_instance *i = s->instances;
        s->instances = i->next;
        free(i->member);
        free(i);
    }
    sim_meter_free(s);
    sim_net_done(&s->net);
    sim_world_done(&s->world);
}

struct sim_host *sim_find(const struct sim *s, const char *name)
{
    for (unsigned i = 0; i < s->hosts; i++)
        if (!strcmp(s->host[i]->node.name, name))
            return s->host[i];
    return NULL;
}

struct sim_instance *sim_instance_find(const struct sim *s, const char *name)
{
    struct sim_instance *i = s->instances;
    while (i && strcmp(i->name, name))
        i = i->next;
    return i;
}

int64_t sim_wall(const struct sim *s)
{
    return SIM_WALL + s->world.now / SECOND;
}
