/* Verbs that make something happen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim_i3.h"
#include "sim/sim_host.h"
#include "sim/sim_nat.h"
#include "sim/sim_program.h"
#include "sim/sim_script.h"
#include "sim/sim_seen.h"

/* ---- machines ---- */

static bool pause_for(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return sim_script_wait(s, s->sim->world.now + st->value[0].number, why, size);
}

static bool start(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    for (unsigned i = 0; i < st->value[0].host_count; i++)
        if (!sim_host_start(st->value[0].hosts[i], why, size))
            return false;
    return true;
}

static bool each(const struct sim_statement *st, void (*act)(struct sim_host *h))
{
    for (unsigned i = 0; i < st->value[0].host_count; i++)
        act(st->value[0].hosts[i]);
    return true;
}

static bool stop(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return each(st, sim_host_stop);
}

static bool crash(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return each(st, sim_host_crash);
}

static bool suspend(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return each(st, sim_host_suspend);
}

static bool resume(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return each(st, sim_host_resume);
}

static bool restart(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    each(st, sim_host_crash);
    instant pause = st->value[1].set ? st->value[1].number : 0;
    return sim_script_wait(s, s->sim->world.now + pause, why, size) && start(s, st, why, size);
}

static bool reload(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    for (unsigned i = 0; i < st->value[0].host_count; i++)
        if (!sim_host_reload(st->value[0].hosts[i], why, size))
            return false;
    return true;
}

static bool refuse(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char reason[SIM_WHY];
    struct sim_host *h = st->value[0].hosts[0];
    bool ok = h->state == SIM_DOWN ? sim_host_start(h, reason, sizeof reason)
                                   : sim_host_reload(h, reason, sizeof reason);
    if (ok)
        snprintf(why, size, "%s takes its configuration", h->node.name);
    else if (!strstr(reason, st->value[1].text))
        snprintf(why, size, "%s says: %s", h->node.name, reason);
    return !ok && strstr(reason, st->value[1].text);
}

/* ---- places ---- */

static bool end_i3_server(struct sim_script *s, const struct sim_statement *st, char *why,
                          size_t size)
{
    struct sim_i3 *i = sim_i3_find(s->sim, st->value[0].text);
    if (i)
        sim_i3_end(i);
    else
        snprintf(why, size, "there is no i3 server '%s'", st->value[0].text);
    return i;
}

static bool move(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    struct ip_address ip;
    if (ip_address_parse(st->value[2].text, &ip) &&
        sim_host_move(st->value[0].hosts[0], st->value[1].network, &ip))
        return true;
    snprintf(why, size, "'%s' is no address of %s, or the host is not on it", st->value[2].text,
             st->value[1].network->name);
    return false;
}

static bool forget_mappings(struct sim_script *s, const struct sim_statement *st, char *why,
                            size_t size)
{
    struct sim_nat *n = sim_nat_find(s->sim, st->value[0].text);
    if (n)
        sim_nat_clear(n);
    else
        snprintf(why, size, "'%s' is no NAT", st->value[0].text);
    return n;
}

/* ---- programs ---- */

static bool lookup(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    struct sim_order order = {
        .kind = SIM_LOOKUP, .name = st->value[1].text, .v6 = st->value[2].set};
    sim_program_start(st->value[0].hosts[0], &order);
    return true;
}

struct pings {
    struct sim_host *host;
    struct sim_order *order;
    bool spread; /* many do not all begin at the same moment */
};

static void ping_one(void *context, const char *name)
{
    struct pings *x = context;
    struct seeded *r = &x->host->sim->world.random;
    x->order->name = name;
    if (x->spread)
        x->order->after = (instant)(entropy_u64(&r->entropy) % (uint64_t)x->order->every);
    sim_program_start(x->host, x->order);
}

static bool is_many(const struct sim_statement *st)
{
    return st->value[0].host_count > 1 || strpbrk(st->value[1].text, ",*");
}

static bool ping(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    struct sim_order order = {.kind = SIM_PING,
                              .kept = true,
                              .count = st->value[2].set ? (uint64_t)st->value[2].number : 1,
                              .every = st->value[3].set ? st->value[3].number : SECOND,
                              .size = (size_t)st->value[4].number,
                              .udp = st->value[5].set,
                              .v6 = st->value[6].set};
    if (order.size + SIM_PAYLOAD_MIN > SIM_PACKET_MAX - 100) {
        snprintf(why, size, "too large: at most %d", SIM_PACKET_MAX - 100 - SIM_PAYLOAD_MIN);
        return false;
    }
    struct pings x = {.order = &order, .spread = is_many(st)};
    for (unsigned i = 0; i < st->value[0].host_count; i++) {
        x.host = st->value[0].hosts[i];
        sim_names_each(s->sim, st->value[1].text, x.host, ping_one, &x);
    }
    return true;
}

static bool stream(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    struct sim_order order = {.kind = SIM_STREAM,
                              .kept = true,
                              .name = st->value[1].text,
                              .count = (uint64_t)st->value[2].number,
                              .size = (size_t)st->value[3].number,
                              .v6 = st->value[4].set};
    if (!order.count || order.size + SIM_PAYLOAD_MIN > SIM_PACKET_MAX - 100) {
        snprintf(why, size, "nothing to send, or segments too large");
        return false;
    }
    sim_program_start(st->value[0].hosts[0], &order);
    return true;
}

static bool chatter(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    sim_chatter_begin(s, &st->value[0], st->value[1].text, st->value[2].number,
                      st->value[3].number);
    return true;
}

static bool control(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    sim_host_control(st->value[0].hosts[0], st->value[1].text);
    return true;
}

static bool forget(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char request[3 * NAME_TEXT];
    struct sim_host *h = st->value[0].hosts[0];
    snprintf(request, sizeof request, "{\"command\":\"key.forget\",\"args\":{\"name\":\"%s\"}}",
             st->value[1].text);
    sim_host_control(h, request);
    sim_seen_forget(h, st->value[1].text);
    if (strstr(h->reply, "\"forgotten\""))
        return true;
    snprintf(why, size, "%s says: %s", h->node.name, h->reply);
    return false;
}

static bool measure(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    sim_meter_mark(s->sim);
    return true;
}

static bool say(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    sim_trace_words(&s->sim->world, "world", "say", st->value[0].text);
    if (s->say)
        s->say(st->value[0].text);
    return true;
}

const struct sim_verb sim_action_verbs[] = {
    {"wait", "TIME", SIM_HAPPENS, pause_for, "lets time pass"},
    {"say", "REST", SIM_HAPPENS, say, "a line for the reader"},
    {"start", "HOSTS", SIM_HAPPENS, start, "starts daemons"},
    {"stop", "HOSTS", SIM_HAPPENS, stop, "ends daemons properly: they say goodbye"},
    {"crash", "HOSTS", SIM_HAPPENS, crash, "kills daemons; their last writes may be torn"},
    {"restart", "HOSTS [after TIME]", SIM_HAPPENS, restart, "crash, and start again"},
    {"suspend", "HOSTS", SIM_HAPPENS, suspend, "machines fall asleep"},
    {"resume", "HOSTS", SIM_HAPPENS, resume, "and wake up"},
    {"reload", "HOSTS", SIM_HAPPENS, reload, "daemons read their changed configuration"},
    {"expect refused-config", "HOST TEXT", SIM_HAPPENS, refuse,
     "the daemon refuses its configuration, saying TEXT"},
    {"end-i3-server", "WORD", SIM_HAPPENS, end_i3_server, "a server of i3 dies"},
    {"move", "HOST NETWORK TEXT", SIM_HAPPENS, move, "another address"},
    {"clear-nat", "WORD", SIM_HAPPENS, forget_mappings, "a NAT forgets all its mappings"},
    {"lookup", "HOST NAME [v6]", SIM_HAPPENS, lookup, "asks DNS once"},
    {"ping", "HOSTS NAMES [count COUNT] [every TIME] [size COUNT] [udp] [v6]", SIM_HAPPENS, ping,
     "echo requests, from each to each name"},
    {"stream", "HOST NAME COUNT [size COUNT] [v6]", SIM_HAPPENS, stream,
     "a transfer of COUNT bytes"},
    {"chatter", "HOSTS NAMES every TIME for TIME", SIM_HAPPENS, chatter, "pings at random"},
    {"measure", "", SIM_HAPPENS, measure, "from here on rates are measured"},
    {"control", "HOST REST", SIM_HAPPENS, control, "a request on the control socket"},
    {"forget", "HOST NAME", SIM_HAPPENS, forget, "`ocala key forget NAME`"},
};
const unsigned sim_action_verb_count = sizeof sim_action_verbs / sizeof *sim_action_verbs;
