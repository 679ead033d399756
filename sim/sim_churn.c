#include "sim/sim_churn.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

struct sim_churn {
    struct sim_event event; /* first */
    struct sim_host *host;
    struct seeded random;
    struct sim_churn_times times;
};

static instant about(struct sim_churn *c, instant mean)
{
    uint64_t span = mean > 0 ? (uint64_t)mean : 1;
    return mean / 2 + (instant)(entropy_u64(&c->random.entropy) % span);
}

static void start(struct sim_host *h)
{
    char error[512];
    if (h->state == SIM_DOWN && !sim_host_start(h, error, sizeof error))
        sim_fail(&h->sim->world, "%s does not start again: %s", h->node.name, error);
}

static void leave(struct sim_churn *c)
{
    if (entropy_below(&c->random.entropy, 2))
        sim_host_crash(c->host);
    else
        sim_host_stop(c->host);
}

static void turn(struct sim_event *e, struct sim_world *w)
{
    struct sim_churn *c = (struct sim_churn *)e;
    if (w->now >= c->times.until) {
        start(c->host);
        sim_churn_end(c->host);
        return;
    }
    bool was_up = c->host->state == SIM_UP;
    if (was_up)
        leave(c);
    else
        start(c->host); /* one that sleeps is let alone */
    instant next = w->now + about(c, was_up ? c->times.down : c->times.up);
    sim_event_set(w, e, next < c->times.until ? next : c->times.until);
}

void sim_churn_begin(struct sim_host *h, const struct sim_churn_times *times)
{
    char purpose[SIM_NAME + 8];
    sim_churn_end(h);
    struct sim_churn *c = h->churn = base_calloc(1, sizeof *c);
    c->event.run = turn;
    c->host = h;
    c->times = *times;
    snprintf(purpose, sizeof purpose, "churn %s", h->node.name);
    sim_world_stream(&h->sim->world, purpose, &c->random);
    bool up = h->state == SIM_UP;
    sim_event_set(&h->sim->world, &c->event,
                  h->sim->world.now + about(c, up ? times->up : times->down));
}

bool sim_churn_over(const struct sim *s)
{
    for (unsigned i = 0; i < s->hosts; i++)
        if (s->host[i]->churn || s->host[i]->fuse || s->host[i]->reborn.place)
            return false;
    return true;
}

void sim_churn_end(struct sim_host *h)
{
    sim_event_unset(&h->sim->world, &h->reborn);
    if (!h->churn)
        return;
    sim_event_unset(&h->sim->world, &h->churn->event);
    free(h->churn);
    h->churn = NULL;
}

/* ---- one restart ---- */

static void reborn(struct sim_event *e, struct sim_world *w)
{
    start((struct sim_host *)((char *)e - offsetof(struct sim_host, reborn)));
}

void sim_churn_restart(struct sim_host *h, instant when)
{
    h->reborn.run = reborn;
    sim_event_set(&h->sim->world, &h->reborn, when);
}
