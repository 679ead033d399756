/* The instance and its routes in words, with the numbers that decided. */
#include "overlay/ron/ron_internal.h"

static void add_way(struct text *t, const struct ron_way *w)
{
    if (!w->usable)
        text_add(t, "out");
    else if (!w->rtt)
        text_add(t, "not measured yet");
    else
        text_add(t, "%lld.%02lld ms, loss %u.%u %%", (long long)(w->rtt / MILLISECOND),
                 (long long)(w->rtt % MILLISECOND / (10 * MICROSECOND)), w->loss / 100,
                 w->loss % 100 / 10);
}

#define REASON(id, word, text) [RON_BECAUSE_##id] = {word, text},
static const struct {
    const char *word, *text;
} reasons[] = {RON_REASONS(REASON)};
#undef REASON

static const char *host_of(const struct ron *r, uint32_t id)
{
    const struct ron_member *m = ron_member_by_id(r, id);
    return m ? m->host : "a member that left";
}

void ron_describe(const struct overlay *o, struct text *t)
{
    const struct ron *r = (const struct ron *)o;
    unsigned alive = 0, out = 0, by_hop = 0;
    for (const struct ron_member *m = r->members; m; m = m->by_host.next) {
        alive += m->heard && !ron_member_gone(m);
        out += m->linked && m->near.measure.outage;
        by_hop += m->linked && m->hop;
    }
    text_add(t,
             "%u of %u members heard, links with %u; %u direct way%s out, %u member%s reached by a "
             "hop; metric %s",
             alive, r->member_count, r->links, out, out == 1 ? "" : "s", by_hop,
             by_hop == 1 ? "" : "s", ron_metric_word(r->options.metric));
}

/* How we know the member: for programs, for people. */
static const struct {
    const char *word, *text;
} sources[] = {{"config", "in the config"},
               {"dns", "found by DNS"},
               {"announced", "announced"},
               {"came", "it came to us"}};

static unsigned source_of(const struct ron_member *m)
{
    return m->config ? 0 : m->place_count ? 1 : m->told_count ? 2 : 3;
}

static void add_source(struct text *t, const struct ron *r, const struct ron_member *m)
{
    char at[ENDPOINT_TEXT];
    if (m->direct.ip.family)
        text_add(t, " at %s", endpoint_format(&m->direct, at));
    text_add(t, " (%s)", sources[source_of(m)].text);
}

void ron_describe_tunnel(const struct overlay *o, uint32_t tunnel, struct text *t)
{
    struct ron *r = (struct ron *)o;
    const struct ron_tunnel *i;
    HASH_FIND(hh, r->tunnels, &tunnel, sizeof tunnel, i);
    if (!i) {
        text_add(t, "no such tunnel");
        return;
    }
    if (i->state == RON_ENDED) {
        text_add(t, "failed: %s", i->reason);
        return;
    }
    const struct ron_member *m = i->member;
    if (i->state == RON_LOOKING) {
        text_add(t, "looking where %s is", m->host);
        return;
    }
    struct ron_way used = ron_way_used(r, m), direct = ron_way_direct(m);
    struct ron_way best = ron_way_best(r, r->now, m);
    if (m->hop)
        text_add(t, "by way of %s: ", host_of(r, m->hop));
    else
        text_add(t, "direct: ");
    add_way(t, &used);
    if (m->hop) {
        text_add(t, "; direct: ");
        add_way(t, &direct);
    }
    if (best.usable && best.hop != m->hop) {
        text_add(t, "; by %s it would be ", host_of(r, best.hop));
        add_way(t, &best);
    }
    text_add(t, "; metric %s; for %lld s: %s;", ron_metric_word(m->metric),
             (long long)((r->now - m->routed_since) / SECOND), reasons[m->because].text);
    add_source(t, r, m);
}

/* ---- for programs ---- */

/* In the order in which they are told. */
#define FACTS(X)                                                                                   \
    X(WAY, "way")                                                                                  \
    X(HOP, "hop")                                                                                  \
    X(WHY, "why")                                                                                  \
    X(SINCE, "since_s")                                                                            \
    X(METRIC, "metric")                                                                            \
    X(STATE, "state")                                                                              \
    X(RTT, "rtt_us")                                                                               \
    X(LOSS, "loss_permille")                                                                       \
    X(DIRECT_STATE, "direct_state")                                                                \
    X(DIRECT_RTT, "direct_rtt_us")                                                                 \
    X(DIRECT_LOSS, "direct_loss_permille")                                                         \
    X(BEST_HOP, "best_hop")                                                                        \
    X(BEST_RTT, "best_hop_rtt_us")                                                                 \
    X(BEST_LOSS, "best_hop_loss_permille")                                                         \
    X(KNOWN_BY, "known_by")
#define FACT_ENUM(id, name) FACT_##id,
enum fact { FACTS(FACT_ENUM) FACT_COUNT };
#undef FACT_ENUM
#define FACT_NAME(id, name) name,
static const char *const fact_names[] = {FACTS(FACT_NAME)};
#undef FACT_NAME

static void say_text(struct overlay_fact *f, const char *text)
{
    f->kind = text ? OVERLAY_FACT_TEXT : OVERLAY_FACT_UNKNOWN;
    f->text = text;
}

static void say_number(struct overlay_fact *f, int64_t number, bool known)
{
    f->kind = known ? OVERLAY_FACT_NUMBER : OVERLAY_FACT_UNKNOWN;
    f->number = number;
}

static void say_state(struct overlay_fact *f, const struct ron_way *w)
{
    say_text(f, !w->usable ? "out" : w->rtt ? "usable" : "not measured");
}

static void say_rtt(struct overlay_fact *f, const struct ron_way *w)
{
    say_number(f, w->rtt / MICROSECOND, w->rtt > 0);
}

static void say_loss(struct overlay_fact *f, const struct ron_way *w)
{
    say_number(f, w->loss / 10, w->rtt > 0);
}

static void say_of_member(const struct ron *r, instant now, const struct ron_member *m,
                          enum fact fact, struct overlay_fact *ret)
{
    if (fact == FACT_WAY)
        say_text(ret, m->hop ? "hop" : "direct");
    else if (fact == FACT_HOP)
        say_text(ret, m->hop ? host_of(r, m->hop) : NULL);
    else if (fact == FACT_WHY)
        say_text(ret, reasons[m->because].word);
    else if (fact == FACT_SINCE)
        say_number(ret, (now - m->routed_since) / SECOND, m->routed_since > 0);
    else if (fact == FACT_METRIC)
        say_text(ret, ron_metric_word(m->metric));
    else
        say_text(ret, sources[source_of(m)].word);
}

bool ron_tunnel_fact(const struct overlay *o, instant now, uint32_t tunnel, unsigned index,
                     struct overlay_fact *ret)
{
    struct ron *r = (struct ron *)o;
    const struct ron_tunnel *i;
    struct ron_way w = {0};
    HASH_FIND(hh, r->tunnels, &tunnel, sizeof tunnel, i);
    if (!i || i->state != RON_UP || index >= FACT_COUNT)
        return false;
    *ret = (struct overlay_fact){.name = fact_names[index]};
    enum fact fact = (enum fact)index;
    if (fact >= FACT_STATE && fact <= FACT_LOSS)
        w = ron_way_used(r, i->member);
    else if (fact >= FACT_DIRECT_STATE && fact <= FACT_DIRECT_LOSS)
        w = ron_way_direct(i->member);
    else if (fact >= FACT_BEST_HOP && fact <= FACT_BEST_LOSS)
        w = ron_way_best(r, now, i->member);
    if (fact == FACT_STATE || fact == FACT_DIRECT_STATE)
        say_state(ret, &w);
    else if (fact == FACT_RTT || fact == FACT_DIRECT_RTT || fact == FACT_BEST_RTT)
        say_rtt(ret, &w);
    else if (fact == FACT_LOSS || fact == FACT_DIRECT_LOSS || fact == FACT_BEST_LOSS)
        say_loss(ret, &w);
    else if (fact == FACT_BEST_HOP)
        say_text(ret, w.usable ? host_of(r, w.hop) : NULL);
    else
        say_of_member(r, now, i->member, fact, ret);
    return true;
}
