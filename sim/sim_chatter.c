/* Machines that ping each other at random: whether an answer comes is not asked, but everything
 * that must never happen is looked for. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim_host.h"
#include "sim/sim_program.h"
#include "sim/sim_script.h"

struct sim_chatter {
    struct sim_event event; /* first */
    struct sim *sim;
    struct sim_host **host;
    unsigned hosts;
    char *names;
    instant every, until;
};

struct choice {
    unsigned wanted, at;
    char name[2 * NAME_TEXT];
};

static void choose(void *context, const char *name)
{
    struct choice *c = context;
    if (c->at++ == c->wanted)
        strncpy(c->name, name, sizeof c->name - 1);
}

static void talk(struct sim_chatter *c)
{
    struct seeded *r = &c->sim->world.random;
    struct sim_host *h = c->host[entropy_below(&r->entropy, c->hosts)];
    struct choice count = {.wanted = UINT32_MAX}, one = {0};
    sim_names_each(c->sim, c->names, h, choose, &count);
    if (!count.at || h->state != SIM_UP)
        return;
    one.wanted = entropy_below(&r->entropy, count.at);
    sim_names_each(c->sim, c->names, h, choose, &one);
    struct sim_order order = {.kind = SIM_PING,
                              .name = one.name,
                              .v6 = entropy_below(&r->entropy, 2),
                              .udp = entropy_below(&r->entropy, 2),
                              .count = 1 + entropy_below(&r->entropy, 4),
                              .every = 100 * MILLISECOND,
                              .size = entropy_below(&r->entropy, 1300)};
    sim_programs_clear(h);
    sim_program_start(h, &order);
}

static void run(struct sim_event *e, struct sim_world *w)
{
    struct sim_chatter *c = (struct sim_chatter *)e;
    talk(c);
    instant pause = c->every / 2 + (instant)(entropy_u64(&w->random.entropy) % (uint64_t)c->every);
    if (w->now + pause < c->until)
        sim_event_set(w, e, w->now + pause);
}

void sim_chatter_begin(struct sim_script *s, const struct sim_value *hosts, const char *names,
                       instant every, instant lasts)
{
    sim_chatter_free(s);
    struct sim_chatter *c = s->chatter = base_calloc(1, sizeof *c);
    c->event.run = run;
    c->sim = s->sim;
    c->hosts = hosts->host_count;
    c->host = base_calloc(c->hosts, sizeof *c->host);
    memcpy(c->host, hosts->hosts, c->hosts * sizeof *c->host);
    c->names = base_strdup(names);
    c->every = every ? every : MILLISECOND;
    c->until = s->sim->world.now + lasts;
    sim_event_set(&s->sim->world, &c->event, s->sim->world.now);
}

void sim_chatter_free(struct sim_script *s)
{
    struct sim_chatter *c = s->chatter;
    if (!c)
        return;
    sim_event_unset(&s->sim->world, &c->event);
    free(c->host);
    free(c->names);
    free(c);
    s->chatter = NULL;
}
