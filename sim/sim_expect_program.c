/* What is expected of programs that were started before, and of what machines have sent. */
#include <stdio.h>
#include <string.h>

#include "sim/sim_expect.h"
#include "sim/sim_host.h"
#include "sim/sim_program.h"
#include "sim/sim_value.h"

static bool has_ended(void *context)
{
    return ((struct sim_program *)context)->phase != SIM_RUNNING;
}

static struct sim_program *program_of(const struct sim_statement *st, enum sim_kind kind, char *why,
                                      size_t size)
{
    struct sim_program *p = sim_program_find(st->value[0].hosts[0], kind, st->value[1].text);
    if (!p)
        snprintf(why, size, "nothing of that kind was started on %s",
                 st->value[0].hosts[0]->node.name);
    return p;
}

static bool expect_lost(struct sim_script *s, const struct sim_statement *st, char *why,
                        size_t size)
{
    struct sim_program *p = program_of(st, SIM_PING, why, size);
    static const struct sim_value long_time = {.set = true, .number = HOUR};
    if (!p || !sim_expect_until(s, st->value[3].set ? &st->value[3] : &long_time, has_ended, p, why,
                                size))
        return false;
    uint64_t lost = p->sent - p->received;
    snprintf(why, size, "%llu of %llu were lost", (unsigned long long)lost,
             (unsigned long long)p->sent);
    return p->sent && lost <= (uint64_t)st->value[2].number;
}

/* All pings of a kind together: share lost, longest outage of one. */
struct pings {
    struct sim_script *script;
    const struct sim_statement *st;
    struct sim_host *host;
    struct sim_program *worst; /* longest outage */
    uint64_t sent, received;
    unsigned count;
    bool running;
};

static void add_ping(void *context, const char *name)
{
    struct pings *x = context;
    struct sim_program *p = sim_program_find(x->host, SIM_PING, name);
    if (!p)
        return;
    x->count++;
    x->sent += p->sent;
    x->received += p->received;
    x->running |= p->phase == SIM_RUNNING;
    if (!x->worst || p->stalled > x->worst->stalled)
        x->worst = p;
}

static bool pings_ended(void *context)
{
    struct pings *x = context;
    *x = (struct pings){.script = x->script, .st = x->st};
    for (unsigned i = 0; i < x->st->value[0].host_count && !x->running; i++) {
        x->host = x->st->value[0].hosts[i];
        sim_names_each(x->script->sim, x->st->value[1].text, x->host, add_ping, x);
    }
    return !x->running;
}

static bool expect_pings(struct sim_script *s, const struct sim_statement *st, char *why,
                         size_t size)
{
    struct pings x = {.script = s, .st = st};
    static const struct sim_value long_time = {.set = true, .number = HOUR};
    uint32_t share = 1000000;
    char time[SIM_TIME_TEXT];
    if (st->value[2].set && !sim_value_share(st->value[2].text, &share)) {
        snprintf(why, size, "'%s' is no share, as 5%%", st->value[2].text);
        return false;
    }
    if (!sim_expect_until(s, st->value[4].set ? &st->value[4] : &long_time, pings_ended, &x, why,
                          size))
        return false;
    uint64_t lost = x.sent - x.received;
    if (!x.sent) {
        snprintf(why, size, "nothing of that kind was started");
    } else if (lost * 1000000 > x.sent * share) {
        snprintf(why, size, "%llu of %llu were lost", (unsigned long long)lost,
                 (unsigned long long)x.sent);
    } else if (st->value[3].set && x.worst->stalled > st->value[3].number) {
        snprintf(why, size, "%s heard nothing of %s for %s", x.worst->host->node.name,
                 x.worst->name, sim_time_text(x.worst->stalled, time));
    } else {
        return true;
    }
    return false;
}

static bool expect_rate(struct sim_script *s, const struct sim_statement *st, char *why,
                        size_t size)
{
    s->expectations++;
    for (unsigned i = 0; i < st->value[0].host_count; i++) {
        const struct sim_host *h = st->value[0].hosts[i];
        int64_t rate = sim_meter_rate(s->sim, h, st->value[1].text);
        if (rate < 0) {
            snprintf(why, size, "'%s' is not measured: control, data, all", st->value[1].text);
            return false;
        }
        if (!sim_expect_comparison(st->value[2].text, why, size))
            return false;
        if (!sim_expect_compare(rate, st->value[2].text, st->value[3].number)) {
            snprintf(why, size, "%s has sent %lld bit/s", h->node.name, (long long)rate);
            return false;
        }
    }
    return true;
}

/* "mean", or a share of all: "95%". */
static bool expect_sample(struct sim_script *s, const struct sim_statement *st, char *why,
                          size_t size)
{
    enum sim_samples samples;
    uint32_t share = 0;
    char time[SIM_TIME_TEXT];
    bool mean = !strcmp(st->value[1].text, "mean");
    s->expectations++;
    if (!sim_meter_parse(st->value[0].text, &samples) ||
        !(mean || sim_value_share(st->value[1].text, &share))) {
        snprintf(why, size, "rtt, lookup, outage or stall; and mean, or a share as 95%%");
        return false;
    }
    if (!s->sim->meter.samples[samples].count) {
        snprintf(why, size, "there are none");
        return false;
    }
    int64_t value = mean ? sim_meter_mean(s->sim, samples)
                         : sim_meter_percentile(s->sim, samples, share / 10000);
    snprintf(why, size, "it is %s, of %zu", sim_time_text(value, time),
             s->sim->meter.samples[samples].count);
    return value <= st->value[2].number;
}

static bool expect_stream(struct sim_script *s, const struct sim_statement *st, char *why,
                          size_t size)
{
    struct sim_program *p = program_of(st, SIM_STREAM, why, size);
    if (!p)
        return false;
    bool ok = sim_expect_until(s, &st->value[2], has_ended, p, why, size);
    size_t length = strlen(why);
    if (!ok)
        snprintf(why + length, size - length, "; %llu of %llu bytes arrived",
                 (unsigned long long)p->acked, (unsigned long long)p->count);
    char time[SIM_TIME_TEXT];
    if (ok && st->value[3].set && p->stalled > st->value[3].number) {
        snprintf(why, size, "for %s nothing arrived", sim_time_text(p->stalled, time));
        return false;
    }
    return ok && p->phase == SIM_DONE;
}

static bool expect_took(struct sim_script *s, const struct sim_statement *st, char *why,
                        size_t size)
{
    char time[SIM_TIME_TEXT];
    static const struct sim_value no_limit = {0};
    struct sim_program *p = program_of(st, SIM_LOOKUP, why, size);
    if (!p || !sim_expect_until(s, &no_limit, has_ended, p, why, size))
        return false;
    snprintf(why, size, "it took %s", sim_time_text(p->ended - p->began, time));
    return p->phase == SIM_DONE && p->ended - p->began < st->value[2].number;
}

const struct sim_verb sim_result_verbs[] = {
    {"expect lost", "HOST NAME COUNT [within TIME]", SIM_HAPPENS, expect_lost,
     "the ping that was started ends, with at most COUNT lost"},
    {"expect pings", "HOSTS NAMES [lost TEXT] [stalled TIME] [within TIME]", SIM_HAPPENS,
     expect_pings,
     "the pings that were started end; at most this share is lost, no answer was out for longer"},
    {"expect sample", "WORD WORD at-most TIME", SIM_HAPPENS, expect_sample,
     "of all values of rtt, lookup, outage or stall the mean, or the value of a share, as 95%"},
    {"expect rate", "HOSTS WORD WORD COUNT", SIM_HAPPENS, expect_rate,
     "bit/s that each has sent since `measure`: control, data, all: is, at-most, at-least"},
    {"expect stream", "HOST NAME [within TIME] [stalled TIME]", SIM_HAPPENS, expect_stream,
     "the transfer that was started is complete, and never stood still for longer than stalled"},
    {"expect took", "HOST NAME TIME", SIM_HAPPENS, expect_took,
     "the lookup that was started had its answer in less than TIME"},
};
const unsigned sim_result_verb_count = sizeof sim_result_verbs / sizeof *sim_result_verbs;
