#include "sim/sim_fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim_churn.h"
#include "sim/sim_host.h"
#include "sim/sim_script.h"

#define LONGEST (10 * SECOND)

/* What undoes one fault. */
struct undo {
    struct sim_event event; /* first */
    struct sim_faults *faults;
    enum sim_fault_kind kind;
    struct sim_host *host, *other;
    struct sim_network *network;
    struct sim_way way;
    struct ip_address ip;
    struct sim_node **side; /* machines of one part, or without their cable */
    unsigned sides;
    struct undo *next;
};

struct sim_faults {
    struct sim_event event; /* first */
    struct sim *sim;
    struct seeded pauses; /* when                                                        */
    struct seeded random; /* what: a stream for each fault, so that one can be left out */
    struct sim_fault_plan plan;
    char *skip;
    unsigned count;
    struct undo *undo; /* under way */
};

static const char *const names[] = {
#define SIM_FAULT_NAME(id, name, text) name,
    SIM_FAULTS(SIM_FAULT_NAME)
#undef SIM_FAULT_NAME
};

bool sim_fault_parse(const char *name, enum sim_fault_kind *ret)
{
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++)
        if (!strcmp(names[i], name)) {
            *ret = (enum sim_fault_kind)i;
            return true;
        }
    return false;
}

/* ---- undoing ---- */

static void start_again(struct sim_host *h)
{
    char error[512];
    if (h->state == SIM_DOWN && !sim_host_start(h, error, sizeof error))
        sim_fail(&h->sim->world, "%s does not start again: %s", h->node.name, error);
}

static void undo_free(struct undo *u)
{
    free(u->side);
    free(u);
}

static void unplug_side(struct undo *u, bool cut)
{
    for (unsigned i = 0; i < u->sides; i++)
        sim_port_find(u->side[i], u->network)->cut = cut;
}

static bool on_side(const struct undo *u, const struct sim_node *n)
{
    unsigned i = 0;
    while (i < u->sides && u->side[i] != n)
        i++;
    return i < u->sides;
}

/* Cuts one part of a network's machines off from the other, or joins them. */
static void part(struct undo *u, bool cut)
{
    struct sim_net *net = &u->faults->sim->net;
    for (struct sim_node *n = net->nodes; n; n = n->next)
        for (unsigned i = 0; !on_side(u, n) && sim_port_find(n, u->network) && i < u->sides; i++)
            (cut ? sim_net_cut : sim_net_heal)(net, u->side[i], n);
}

static void undo_run(struct sim_event *e, struct sim_world *w)
{
    struct undo *u = (struct undo *)e, **at = &u->faults->undo;
    struct sim_port *port;
    sim_trace(w, u->host ? u->host->node.name : u->network->name, "mended", "\"fault\":\"%s\"",
              names[u->kind]);
    switch (u->kind) {
    case SIM_FAULT_CRASH:
    case SIM_FAULT_STOP:
        start_again(u->host);
        break;
    case SIM_FAULT_SUSPEND:
        sim_host_resume(u->host);
        break;
    case SIM_FAULT_UNPLUG:
        port = sim_port_find(&u->host->node, u->network);
        port->cut = false;
        break;
    case SIM_FAULT_CUT:
        sim_net_heal(&u->faults->sim->net, &u->host->node, &u->other->node);
        break;
    case SIM_FAULT_LOSS:
    case SIM_FAULT_MESS:
    case SIM_FAULT_DELAY:
    case SIM_FAULT_BURST:
        u->network->way = u->way;
        break;
    case SIM_FAULT_BLACKOUT:
        unplug_side(u, false);
        break;
    case SIM_FAULT_PARTITION:
        part(u, false);
        break;
    case SIM_FAULT_MOVE:
        sim_host_move(u->host, u->network, &u->ip);
        break;
    case SIM_FAULT_COUNT:
        break;
    }
    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    undo_free(u);
}

/* ---- doing ---- */

static struct sim_host *some_host(struct sim_faults *f)
{
    return f->sim->host[entropy_below(&f->random.entropy, f->sim->hosts)];
}

/* Is something of this machine or network broken already? */
static bool busy(const struct sim_faults *f, const struct sim_host *h, const struct sim_network *n)
{
    for (const struct undo *u = f->undo; u; u = u->next)
        if ((h && (u->host == h || u->other == h)) || (n && !u->host && u->network == n))
            return true;
    return h && h->state != SIM_UP;
}

static bool of_network(enum sim_fault_kind kind)
{
    return kind == SIM_FAULT_LOSS || kind == SIM_FAULT_MESS || kind == SIM_FAULT_DELAY ||
           kind == SIM_FAULT_BURST || kind == SIM_FAULT_BLACKOUT || kind == SIM_FAULT_PARTITION;
}

/* One of so many machines of the network. */
static void choose_side(struct sim_faults *f, struct undo *u, unsigned of)
{
    u->side = base_calloc(f->sim->hosts, sizeof(struct sim_node *));
    for (unsigned i = 0; i < f->sim->hosts; i++) {
        struct sim_host *h = f->sim->host[i];
        if (sim_port_find(&h->node, u->network) && !entropy_below(&f->random.entropy, of) &&
            !busy(f, h, NULL))
            u->side[u->sides++] = &h->node;
    }
}

/* False: there was nothing to break. */
static bool choose(struct sim_faults *f, struct undo *u)
{
    if (of_network(u->kind)) {
        struct sim_host *h = some_host(f);
        u->network = h->node.ports
                         ? h->node.port[entropy_below(&f->random.entropy, h->node.ports)].network
                         : NULL;
        if (!u->network || busy(f, NULL, u->network))
            return false;
        u->way = u->network->way;
        if (u->kind == SIM_FAULT_BLACKOUT || u->kind == SIM_FAULT_PARTITION)
            choose_side(f, u, u->kind == SIM_FAULT_BLACKOUT ? 3 : 2);
        return true;
    }
    u->host = some_host(f);
    if (busy(f, u->host, NULL) || !u->host->node.ports)
        return false;
    struct sim_port *port =
        &u->host->node.port[entropy_below(&f->random.entropy, u->host->node.ports)];
    u->network = port->network;
    if (u->kind == SIM_FAULT_CUT) {
        u->other = some_host(f);
        return u->other != u->host && !busy(f, u->other, NULL);
    }
    if (u->kind == SIM_FAULT_MOVE)
        u->ip = port->ip[0].family ? port->ip[0] : port->ip[1];
    return true;
}

static void break_it(struct sim_faults *f, struct undo *u)
{
    struct ip_address elsewhere;
    switch (u->kind) {
    case SIM_FAULT_CRASH:
        sim_host_crash(u->host);
        break;
    case SIM_FAULT_STOP:
        sim_host_stop(u->host);
        break;
    case SIM_FAULT_SUSPEND:
        sim_host_suspend(u->host);
        break;
    case SIM_FAULT_UNPLUG:
        sim_port_find(&u->host->node, u->network)->cut = true;
        break;
    case SIM_FAULT_CUT:
        sim_net_cut(&f->sim->net, &u->host->node, &u->other->node);
        break;
    case SIM_FAULT_LOSS:
        u->network->way.loss = 330000;
        break;
    case SIM_FAULT_DELAY:
        u->network->way.delay += 500 * MILLISECOND;
        break;
    case SIM_FAULT_BURST:
        u->network->way.burst = 50000;
        u->network->way.burst_end = 100000;
        u->network->way.burst_loss = 1000000;
        break;
    case SIM_FAULT_BLACKOUT:
        unplug_side(u, true);
        break;
    case SIM_FAULT_PARTITION:
        part(u, true);
        break;
    case SIM_FAULT_MESS:
        u->network->way.duplicate = 200000;
        u->network->way.reorder = 200000;
        break;
    case SIM_FAULT_MOVE:
        elsewhere = sim_network_free(&f->sim->net, u->network, u->ip.family);
        sim_host_move(u->host, u->network, &elsewhere);
        break;
    case SIM_FAULT_COUNT:
        break;
    }
}

/* Is the number among those that do not happen? */
static bool skipped(const struct sim_faults *f)
{
    char number[16];
    snprintf(number, sizeof number, "%u", f->count);
    return f->skip && sim_list_holds(f->skip, number);
}

static void inject(struct sim_event *e, struct sim_world *w)
{
    struct sim_faults *f = (struct sim_faults *)e;
    struct undo *u = base_calloc(1, sizeof *u);
    u->event.run = undo_run;
    u->faults = f;
    char purpose[32];
    snprintf(purpose, sizeof purpose, "fault %u", ++f->count);
    sim_world_stream(w, purpose, &f->random);
    do
        u->kind = (enum sim_fault_kind)entropy_below(&f->random.entropy, SIM_FAULT_COUNT);
    while (!(f->plan.kinds & 1u << u->kind));
    uint64_t span = (uint64_t)(f->plan.lasting - f->plan.lasting / 10);
    if (choose(f, u) && !skipped(f)) {
        instant lasts =
            f->plan.lasting / 200 + (instant)(entropy_u64(&f->random.entropy) % (span ? span : 1));
        sim_trace(w, u->host ? u->host->node.name : u->network->name, "fault", "\"fault\":\"%s\"",
                  names[u->kind]);
        u->next = f->undo;
        f->undo = u;
        sim_event_set(w, &u->event, w->now + lasts);
        break_it(f, u);
        sim_meter_add(f->sim, SIM_SERIES_FAULTS, w->now, 1);
    } else {
        undo_free(u);
    }
    instant pause =
        f->plan.every / 2 + (instant)(entropy_u64(&f->pauses.entropy) % (uint64_t)f->plan.every);
    if (w->now + pause < f->plan.until)
        sim_event_set(w, &f->event, w->now + pause);
}

void sim_faults_begin(struct sim *s, const struct sim_fault_plan *plan)
{
    sim_faults_free(s);
    struct sim_faults *f = s->faults = base_calloc(1, sizeof *f);
    f->event.run = inject;
    f->sim = s;
    f->plan = *plan;
    f->skip = plan->skip ? base_strdup(plan->skip) : NULL;
    if (!f->plan.kinds)
        f->plan.kinds = (1u << SIM_FAULT_COUNT) - 1;
    if (!f->plan.lasting)
        f->plan.lasting = LONGEST;
    sim_world_stream(&s->world, "faults", &f->pauses);
    sim_event_set(&s->world, &f->event, s->world.now + plan->every);
}

unsigned sim_faults_count(const struct sim *s)
{
    return s->faults ? s->faults->count : 0;
}

bool sim_faults_over(const struct sim *s)
{
    return (!s->faults || (!s->faults->undo && !s->faults->event.place)) && !s->outages &&
           sim_churn_over(s);
}

void sim_faults_free(struct sim *s)
{
    struct sim_faults *f = s->faults;
    if (!f)
        return;
    sim_event_unset(&s->world, &f->event);
    while (f->undo) {
        struct undo *u = f->undo;
        f->undo = u->next;
        sim_event_unset(&s->world, &u->event);
        undo_free(u);
    }
    free(f->skip);
    free(f);
    s->faults = NULL;
}
