/* Options of an instance and of its members.  `paper` is what the paper measured with; `fast` keeps its probe traffic within
 * twice that, and spends it where packets flow. */
#include "overlay/ron/ron_internal.h"

#include <stddef.h>
#include <string.h>

#define METRIC_WORD(id, word) [RON_##id] = word,
static const char *const metric_words[] = {RON_METRICS(METRIC_WORD)};
#undef METRIC_WORD

const char *ron_metric_word(enum ron_metric metric)
{
    return metric_words[metric];
}

bool ron_metric_parse(const char *word, enum ron_metric *ret)
{
    for (unsigned i = 0; i < sizeof metric_words / sizeof *metric_words; i++)
        if (!strcmp(word, metric_words[i])) {
            *ret = (enum ron_metric)i;
            return true;
        }
    return false;
}

static const struct ron_options paper = {
    .interval = 12 * SECOND,
    .timeout = 3 * SECOND,
    .timeout_least = 3 * SECOND,
    .outage = 4,
    .update = 14 * SECOND,
    .peers = 49,
    .better = 5,
    .better_throughput = 50,
    .forget = 10 * MINUTE,
    .mtu = RON_MTU,
    .for_whom = "all",
    .to_whom = "all",
};

static void use_fast(struct ron_options *o)
{
    o->adaptive = true;
    o->timeout = SECOND;
    o->timeout_least = 200 * MILLISECOND;
    o->busy = 800 * MILLISECOND;
}

/* ---- values ---- */

static bool profile_valid(const char *value)
{
    return !strcmp(value, "paper") || !strcmp(value, "fast");
}

static bool metric_valid(const char *value)
{
    enum ron_metric metric;
    return ron_metric_parse(value, &metric);
}

static bool span_valid(const char *value)
{
    instant span;
    return overlay_option_span(value, 50 * MILLISECOND, HOUR, &span);
}

static bool forget_valid(const char *value)
{
    instant span;
    return overlay_option_span(value, 10 * SECOND, 18 * HOUR, &span);
}

static bool number_valid(const char *value, uint32_t least, uint32_t most)
{
    uint32_t number;
    return overlay_option_number(value, least, most, &number);
}

static bool outage_valid(const char *value)
{
    return number_valid(value, 1, 20);
}

static bool peers_valid(const char *value)
{
    return number_valid(value, 4, RON_MEMBERS_MAX);
}

static bool percent_valid(const char *value)
{
    return number_valid(value, 0, 500);
}

static bool mtu_valid(const char *value)
{
    return number_valid(value, 1280, UINT16_MAX);
}

static bool domain_valid(const char *value)
{
    const char *reason;
    return strlen(value) < NAME_TEXT && labels_valid(value, &reason);
}

/* "all", "none", or names with blanks between them. */
static bool list_valid(const char *value)
{
    char name[NAME_TEXT];
    const char *reason;
    while (*value) {
        size_t size = strcspn(value, " ");
        if (size >= sizeof name)
            return false;
        memcpy(name, value, size);
        name[size] = 0;
        if (!labels_valid(name, &reason))
            return false;
        value += size + strspn(value + size, " ");
    }
    return true;
}

static bool hops_valid(const char *value)
{
    return !strcmp(value, "any") || !strcmp(value, "none");
}

static bool yes_no_valid(const char *value)
{
    return !strcmp(value, "yes") || !strcmp(value, "no");
}

#define SPAN "a time from 50ms to 1h"
#define LIST "all, none, or host names with blanks between them"
const struct overlay_schema ron_schema[] = {
    {"profile", "paper or fast", "what the times below are unless given", profile_valid},
    {"metric", "latency, loss or throughput", "what the best way is judged by", metric_valid},
    {"probe-interval", SPAN, "between probes, plus up to a third", span_valid},
    {"probe-timeout", SPAN, "longest wait for an answer", span_valid},
    {"busy-interval", SPAN, "between probes of a way in use; paper: not probed more often",
     span_valid},
    {"outage-after", "a number from 1 to 20", "probes lost in a row: no way there", outage_valid},
    {"update-interval", SPAN, "between messages about the state of our ways", span_valid},
    {"probe-peers", "a number from 4 to 1024", "members that each is probed with, at most",
     peers_valid},
    {"better", "a number from 0 to 500", "percent that another way must be better by",
     percent_valid},
    {"better-throughput", "a number from 0 to 500", "the same, judged by throughput",
     percent_valid},
    {"forget", "a time from 10s to 18h", "a member that nobody has heard for so long",
     forget_valid},
    {"transit", LIST, "for whom this host is a hop", list_valid},
    {"transit-to", LIST, "to whom this host is a hop", list_valid},
    {"domain", "a domain", "names that no member has are looked up there, by DNS", domain_valid},
    {"mtu", "a number from 1280 to 65535", "MTU of the underlay; 1500 unless given", mtu_valid},
    {NULL, NULL, NULL, NULL}};

const struct overlay_schema ron_member_schema[] = {
    {"metric", "latency, loss or throughput", "for ways to this member", metric_valid},
    {"hops", "any or none", "none: only the direct way to this member", hops_valid},
    {"through", "yes or no", "no: never a hop of ours", yes_no_valid},
    {NULL, NULL, NULL, NULL}};

/* ---- reading ---- */

/* The value is in the range that the schema gives. */
static void apply(struct ron_options *o, const char *key, const char *value)
{
    static const struct {
        const char *key;
        size_t at;
    } spans[] = {{"probe-interval", offsetof(struct ron_options, interval)},
                 {"busy-interval", offsetof(struct ron_options, busy)},
                 {"update-interval", offsetof(struct ron_options, update)},
                 {"forget", offsetof(struct ron_options, forget)}},
      numbers[] = {{"outage-after", offsetof(struct ron_options, outage)},
                   {"probe-peers", offsetof(struct ron_options, peers)},
                   {"better", offsetof(struct ron_options, better)},
                   {"better-throughput", offsetof(struct ron_options, better_throughput)}},
      texts[] = {{"transit", offsetof(struct ron_options, for_whom)},
                 {"transit-to", offsetof(struct ron_options, to_whom)},
                 {"domain", offsetof(struct ron_options, domain)}};
    uint32_t number = 0;
    instant span = 0;
    for (unsigned i = 0; i < sizeof spans / sizeof *spans; i++)
        if (!strcmp(key, spans[i].key) && overlay_option_span(value, 0, INSTANT_NEVER, &span))
            *(instant *)((char *)o + spans[i].at) = span;
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key) && overlay_option_number(value, 0, UINT32_MAX, &number))
            *(uint32_t *)((char *)o + numbers[i].at) = number;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(key, texts[i].key))
            *(const char **)((char *)o + texts[i].at) = value;
    if (!strcmp(key, "metric"))
        ron_metric_parse(value, &o->metric);
    if (!strcmp(key, "mtu") && overlay_option_number(value, 0, UINT16_MAX, &number))
        o->mtu = (uint16_t)number;
    if (!strcmp(key, "probe-timeout") && overlay_option_span(value, 0, INSTANT_NEVER, &span)) {
        o->timeout = span;
        o->timeout_least = o->adaptive ? instant_min(span, o->timeout_least) : span;
    }
}

void ron_options_read(const struct overlay_settings *s, struct ron_options *ret)
{
    *ret = paper;
    for (unsigned i = 0; i < s->option_count; i++)
        if (!strcmp(s->options[i].key, "profile") && !strcmp(s->options[i].value, "fast"))
            use_fast(ret);
    for (unsigned i = 0; i < s->option_count; i++)
        apply(ret, s->options[i].key, s->options[i].value);
}

void ron_member_options(const struct ron_options *all, struct ron_member *m)
{
    m->metric = all->metric;
    m->no_hops = m->no_through = false;
    for (unsigned i = 0; m->config && i < m->config->option_count; i++) {
        const struct overlay_option *o = &m->config->options[i];
        if (!strcmp(o->key, "metric"))
            ron_metric_parse(o->value, &m->metric);
        else if (!strcmp(o->key, "hops"))
            m->no_hops = !strcmp(o->value, "none");
        else if (!strcmp(o->key, "through"))
            m->no_through = !strcmp(o->value, "no");
    }
}

bool ron_listed(const char *list, const char *host)
{
    size_t length = strlen(host);
    if (!strcmp(list, "all"))
        return true;
    while (*list) {
        size_t size = strcspn(list, " ");
        if (size == length && !memcmp(list, host, size) && strcmp(list, "none"))
            return true;
        list += size + strspn(list + size, " ");
    }
    return false;
}
