#include "sim/sim_meter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim_host.h"
#include "sim/sim_program.h"

static const char *const series_name[] = {
#define NAME(id, name, text) name,
    SIM_SERIES(NAME)};
static const char *const samples_name[] = {SIM_SAMPLES(NAME)
#undef NAME
};

static void reach(struct sim_list *l, size_t count)
{
    if (count > l->room) {
        size_t room = l->room ? l->room : 64;
        while (room < count)
            room *= 2;
        l->value = base_realloc(l->value, room * sizeof *l->value);
        l->room = room;
    }
    if (count > l->count) {
        memset(l->value + l->count, 0, (count - l->count) * sizeof *l->value);
        l->count = count;
    }
}

void sim_meter_add(struct sim *s, enum sim_series series, instant when, int64_t amount)
{
    struct sim_list *l = &s->meter.series[series];
    size_t bin = (size_t)((when - SIM_BEGIN) / SIM_METER_BIN);
    reach(l, bin + 1);
    l->value[bin] += amount;
}

void sim_meter_sample(struct sim *s, enum sim_samples samples, int64_t value)
{
    struct sim_list *l = &s->meter.samples[samples];
    reach(l, l->count + 1);
    l->value[l->count - 1] = value;
}

void sim_meter_sent(struct sim_host *h, bool control, size_t wire)
{
    struct sim *s = h->sim;
    *(control ? &h->sent.control : &h->sent.data) += wire;
    sim_meter_add(s, control ? SIM_SERIES_CONTROL : SIM_SERIES_DATA, s->world.now, (int64_t)wire);
    sim_meter_add(s, SIM_SERIES_DATAGRAMS, s->world.now, 1);
}

void sim_meter_mark(struct sim *s)
{
    s->meter.marked = s->world.now;
    for (unsigned i = 0; i < s->hosts; i++) {
        struct sim_sent *sent = &s->host[i]->sent;
        sent->marked_control = sent->control;
        sent->marked_data = sent->data;
    }
}

int64_t sim_meter_rate(const struct sim *s, const struct sim_host *h, const char *what)
{
    instant since = s->meter.marked ? s->meter.marked : SIM_BEGIN;
    int64_t span = (s->world.now - since) / MILLISECOND;
    uint64_t control = h->sent.control - h->sent.marked_control,
             data = h->sent.data - h->sent.marked_data, bytes;
    if (!strcmp(what, "control"))
        bytes = control;
    else if (!strcmp(what, "data"))
        bytes = data;
    else if (!strcmp(what, "all"))
        bytes = control + data;
    else
        return -1;
    return span ? (int64_t)(bytes * 8 * 1000) / span : 0;
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

int64_t sim_meter_percentile(const struct sim *s, enum sim_samples samples, unsigned percent)
{
    const struct sim_list *l = &s->meter.samples[samples];
    if (!l->count)
        return 0;
    qsort(l->value, l->count, sizeof *l->value, by_value);
    size_t at = l->count * percent / 100;
    return l->value[at < l->count ? at : l->count - 1];
}

static int64_t sum(const struct sim_list *l)
{
    int64_t total = 0;
    for (size_t i = 0; i < l->count; i++)
        total += l->value[i];
    return total;
}

int64_t sim_meter_mean(const struct sim *s, enum sim_samples samples)
{
    const struct sim_list *l = &s->meter.samples[samples];
    return l->count ? sum(l) / (int64_t)l->count : 0;
}

bool sim_meter_parse(const char *name, enum sim_samples *ret)
{
    for (unsigned i = 0; i < SIM_SAMPLES_COUNT; i++)
        if (!strcmp(samples_name[i], name)) {
            *ret = (enum sim_samples)i;
            return true;
        }
    return false;
}

void sim_meter_free(struct sim *s)
{
    for (unsigned i = 0; i < SIM_SERIES_COUNT; i++)
        free(s->meter.series[i].value);
    for (unsigned i = 0; i < SIM_SAMPLES_COUNT; i++)
        free(s->meter.samples[i].value);
}

/* ---- for others ---- */

static void write_list(FILE *f, const char *name, const struct sim_list *l, bool first)
{
    fprintf(f, "%s\n    \"%s\": [", first ? "" : ",", name);
    for (size_t i = 0; i < l->count; i++)
        fprintf(f, "%s%lld", i ? "," : "", (long long)l->value[i]);
    fprintf(f, "]");
}

/* One ping: when its requests were sent, and how long each answer took; null: it never came. */
static void write_flow(FILE *f, const struct sim_program *p, bool first)
{
    char name[4 * NAME_TEXT];
    fprintf(f, "%s\n    {\"from\": \"%s\", \"to\": \"%s\", \"rtt\": [", first ? "" : ",",
            p->host->node.name, sim_json(p->name, name, sizeof name));
    for (size_t i = 0; i < p->history_count; i++) {
        const struct sim_echo *e = &p->history[i];
        fprintf(f, "%s[%lld,", i ? "," : "", (long long)(e->sent - SIM_BEGIN));
        if (e->rtt)
            fprintf(f, "%lld]", (long long)e->rtt);
        else
            fprintf(f, "null]");
    }
    fprintf(f, "]}");
}

static void write_members(FILE *f, struct sim *s)
{
    for (unsigned i = 0; i < s->hosts; i++)
        fprintf(f, "%s\n    {\"name\": \"%s\", \"control\": %llu, \"data\": %llu}", i ? "," : "",
                s->host[i]->node.name, (unsigned long long)s->host[i]->sent.control,
                (unsigned long long)s->host[i]->sent.data);
}

char *sim_meter_json(struct sim *s)
{
    char *text = NULL;
    size_t size;
    bool first = true;
    FILE *f = open_memstream(&text, &size);
    require(f);
    fprintf(f, "{\n  \"seed\": %llu, \"lasted\": %lld, \"bin\": %lld,\n  \"series\": {",
            (unsigned long long)s->world.seed, (long long)(s->world.now - SIM_BEGIN),
            (long long)SIM_METER_BIN);
    for (unsigned i = 0; i < SIM_SERIES_COUNT; i++)
        write_list(f, series_name[i], &s->meter.series[i], !i);
    fprintf(f, "\n  },\n  \"samples\": {");
    for (unsigned i = 0; i < SIM_SAMPLES_COUNT; i++)
        write_list(f, samples_name[i], &s->meter.samples[i], !i);
    fprintf(f, "\n  },\n  \"hosts\": [");
    write_members(f, s);
    fprintf(f, "\n  ],\n  \"flows\": [");
    for (unsigned i = 0; i < s->hosts; i++)
        for (const struct sim_program *p = s->host[i]->programs; p; p = p->after)
            if (p->history_count) {
                write_flow(f, p, first);
                first = false;
            }
    fprintf(f, "\n  ]\n}\n");
    require(!fclose(f) && text);
    return text;
}

static void write_times(FILE *f, struct sim *s, enum sim_samples samples, const char *title)
{
    char half[SIM_TIME_TEXT], most[SIM_TIME_TEXT], all[SIM_TIME_TEXT];
    if (!s->meter.samples[samples].count)
        return;
    fprintf(f, "    %-24s %8zu   half within %s, 95 %% within %s, all within %s\n", title,
            s->meter.samples[samples].count,
            sim_time_text(sim_meter_percentile(s, samples, 50), half),
            sim_time_text(sim_meter_percentile(s, samples, 95), most),
            sim_time_text(sim_meter_percentile(s, samples, 100), all));
}

static void write_rates(FILE *f, struct sim *s)
{
    int64_t total = 0, most = 0;
    unsigned up = 0;
    for (unsigned i = 0; i < s->hosts; i++) {
        int64_t rate = sim_meter_rate(s, s->host[i], "control");
        total += rate;
        most = rate > most ? rate : most;
        up += s->host[i]->state == SIM_UP;
    }
    fprintf(f, "    %-24s %8u   %u run; %u started, %u crashed; %lld faults at random\n",
            "machines", s->hosts, up, s->meter.starts, s->meter.crashes,
            (long long)sum(&s->meter.series[SIM_SERIES_FAULTS]));
    fprintf(f, "    %-24s %8lld   mean of all, bit/s; most of one %lld%s\n", "control sent",
            (long long)(s->hosts ? total / s->hosts : 0), (long long)most,
            s->meter.marked ? " (since `measure`)" : "");
}

char *sim_meter_summary(struct sim *s)
{
    char *text = NULL;
    size_t size;
    int64_t asked = sum(&s->meter.series[SIM_SERIES_ASKED]),
            answered = sum(&s->meter.series[SIM_SERIES_ANSWERED]);
    FILE *f = open_memstream(&text, &size);
    require(f);
    write_rates(f, s);
    fprintf(f, "    %-24s %8lld   control %lld bytes, data %lld bytes\n", "datagrams",
            (long long)sum(&s->meter.series[SIM_SERIES_DATAGRAMS]),
            (long long)sum(&s->meter.series[SIM_SERIES_CONTROL]),
            (long long)sum(&s->meter.series[SIM_SERIES_DATA]));
    if (asked)
        fprintf(f, "    %-24s %8lld   %lld answered, %lld.%02lld %% lost\n", "echo requests",
                (long long)asked, (long long)answered,
                (long long)((asked - answered) * 100 / asked),
                (long long)((asked - answered) * 10000 / asked % 100));
    write_times(f, s, SIM_SAMPLES_RTT, "round trips");
    write_times(f, s, SIM_SAMPLES_OUTAGE, "outages");
    write_times(f, s, SIM_SAMPLES_LOOKUP, "lookups");
    write_times(f, s, SIM_SAMPLES_STALL, "transfers, longest pause");
    require(!fclose(f) && text);
    return text;
}
