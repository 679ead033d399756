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

static void add_source(struct text *t, const struct ron *r, const struct ron_member *m)
{
    char at[ENDPOINT_TEXT];
    if (m->direct.ip.family)
        text_add(t, " at %s", endpoint_format(&m->direct, at));
    text_add(t, " (%s)",
             m->config        ? "in the config"
             : m->place_count ? "found by DNS"
             : m->told_count  ? "announced"
                              : "it came to us");
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
    text_add(t, "; metric %s;", ron_metric_word(m->metric));
    add_source(t, r, m);
}
