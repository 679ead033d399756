#include "daemon/i3_watch.h"

#include "base/text.h"
#include "daemon/log.h"

#define REST MINUTE

void i3_watch_heard(struct i3_watch *w, const struct i3_server *s, const struct endpoint *from)
{
    const uint64_t *drops = chord_counters(i3_server_chord(s))->drops;
    if (drops[CHORD_DROP_SECRET] != w->secret.seen)
        w->secret.by = *from;
    if (drops[CHORD_DROP_SELF] != w->self.seen)
        w->self.by = *from;
    w->secret.seen = drops[CHORD_DROP_SECRET];
    w->self.seen = drops[CHORD_DROP_SELF];
}

static void say_seeds(const struct endpoint *seed, unsigned seeds)
{
    char list[512], at[ENDPOINT_TEXT];
    struct text t;
    text_begin(&t, list, sizeof list);
    for (unsigned i = 0; i < seeds; i++)
        text_add(&t, "%s%s", i ? ", " : "", endpoint_format(&seed[i], at));
    daemon_log(
        LOG_WARNING,
        "found no ring by the seeds (%s): serving alone, and asking on.  Are these their "
        "ports for the ring, does UDP reach them, and have they the same secret, or all none?",
        list);
}

static void say_nodes(struct i3_watch *w, unsigned nodes, const struct endpoint *seed,
                      unsigned seeds)
{
    if (!w->settled && !nodes && seeds)
        say_seeds(seed, seeds);
    else if (w->nodes && !nodes)
        daemon_log(LOG_WARNING, "no other server of the ring answers any more: serving alone");
    else if (!w->nodes && nodes)
        daemon_log(LOG_NOTICE, "in a ring: %u other server%s known so far", nodes,
                   nodes == 1 ? " is" : "s are");
}

void i3_watch_advance(struct i3_watch *w, const struct i3_server *s, instant now,
                      const struct endpoint *seed, unsigned seeds)
{
    const struct chord *chord = i3_server_chord(s);
    unsigned nodes = (unsigned)chord_gauges(chord).nodes;
    char at[ENDPOINT_TEXT], id[CHORD_ID_TEXT];
    if (chord_is_settled(chord)) {
        say_nodes(w, nodes, seed, seeds);
        w->settled = true;
        w->nodes = nodes;
    }
    if (w->secret.seen != w->secret.said && w->secret.rest <= now) {
        daemon_log(LOG_WARNING,
                   "%s sends messages of a ring without our secret, or with another one (%llu so "
                   "far); if it is a server of this ring, it needs the same file",
                   endpoint_format(&w->secret.by, at), (unsigned long long)w->secret.seen);
        w->secret.said = w->secret.seen;
        w->secret.rest = now + REST;
    }
    if (w->self.seen != w->self.said && w->self.rest <= now) {
        daemon_log(LOG_WARNING,
                   "%s speaks of a server with our place on the ring (%s) or our address; if two "
                   "servers have one `id`, change one of them",
                   endpoint_format(&w->self.by, at), chord_id_format(&chord_self(chord)->id, id));
        w->self.said = w->self.seen;
        w->self.rest = now + REST;
    }
}
