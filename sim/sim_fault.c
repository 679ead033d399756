#include "sim/sim_fault.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim_host.h"

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
    struct undo *next;
};

struct sim_faults {
    struct sim_event event; /* first */
    struct sim *sim;
    struct seeded random;
    instant every, until;
    unsigned kinds;
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
        u->network->way = u->way;
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
    free(u);
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

/* False: there was nothing to break. */
static bool choose(struct sim_faults *f, struct undo *u)
{
    if (u->kind == SIM_FAULT_LOSS || u->kind == SIM_FAULT_MESS) {
        struct sim_host *h = some_host(f);
        u->network = h->node.ports
                         ? h->node.port[entropy_below(&f->random.entropy, h->node.ports)].network
                         : NULL;
        return u->network && !busy(f, NULL, u->network);
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
        u->way = u->network->way;
        u->network->way.loss = 330000;
        break;
    case SIM_FAULT_MESS:
        u->way = u->network->way;
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

static void inject(struct sim_event *e, struct sim_world *w)
{
    struct sim_faults *f = (struct sim_faults *)e;
    struct undo *u = base_calloc(1, sizeof *u);
    u->event.run = undo_run;
    u->faults = f;
    do
        u->kind = (enum sim_fault_kind)entropy_below(&f->random.entropy, SIM_FAULT_COUNT);
    while (!(f->kinds & 1u << u->kind));
    if (choose(f, u)) {
        instant lasts = 50 * MILLISECOND +
                        (instant)(entropy_u64(&f->random.entropy) % (uint64_t)(LONGEST - SECOND));
        sim_trace(w, u->host ? u->host->node.name : u->network->name, "fault", "\"fault\":\"%s\"",
                  names[u->kind]);
        u->next = f->undo;
        f->undo = u;
        sim_event_set(w, &u->event, w->now + lasts);
        break_it(f, u);
    } else {
        free(u);
    }
    instant pause = f->every / 2 + (instant)(entropy_u64(&f->random.entropy) % (uint64_t)f->every);
    if (w->now + pause < f->until)
        sim_event_set(w, &f->event, w->now + pause);
}

void sim_faults_begin(struct sim *s, instant every, instant until, unsigned kinds)
{
    sim_faults_free(s);
    struct sim_faults *f = s->faults = base_calloc(1, sizeof *f);
    f->event.run = inject;
    f->sim = s;
    f->every = every;
    f->until = until;
    f->kinds = kinds ? kinds : (1u << SIM_FAULT_COUNT) - 1;
    sim_world_stream(&s->world, "faults", &f->random);
    sim_event_set(&s->world, &f->event, s->world.now + every);
}

bool sim_faults_over(const struct sim *s)
{
    return !s->faults || (!s->faults->undo && !s->faults->event.place);
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
        free(u);
    }
    free(f);
    s->faults = NULL;
}
