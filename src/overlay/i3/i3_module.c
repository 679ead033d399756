/* Overlay type `i3`: records travel by way of identifiers that servers keep, never by address alone.
 *
 * The host's name is hashed to a public identifier, under which it is reached for the handshake of a link; what goes over
 * the link's private identifiers afterwards, only the two hosts know.  The README of this folder tells the whole. */
#include "overlay/i3/i3_module.h"

#include <errno.h>
#include <string.h>

#include <utlist.h>

#include "base/check.h"
#include "base/hex.h"

void i3_wake(struct i3 *m, instant due)
{
    m->due = instant_min(m->due, due);
}

/* ---- peels ---- */

static const uint8_t one_id[I3_HEADER] = {I3_VERSION, I3_DATA, 1};
static const uint8_t two_ids[I3_HEADER] = {I3_VERSION, I3_DATA, 2};
static const uint8_t header_mask[I3_HEADER] = {0xFF, 0xF0, 0xFF};

static void make_peel(struct i3 *m)
{
    struct peel *p = m->peel.peel;
    p[0] = (struct peel){.first_low = I3_VERSION,
                         .first_high = I3_VERSION,
                         .count = 3,
                         .step = {{.verb = PEEL_STRIP,
                                   .size = I3_HEADER,
                                   .keep = true,
                                   .compare = one_id,
                                   .mask = header_mask},
                                  {.verb = PEEL_STRIP, .size = I3_ID, .keep = true},
                                  {.verb = PEEL_RECORD}}};
    p[1] = (struct peel){.first_low = I3_VERSION,
                         .first_high = I3_VERSION,
                         .count = 4,
                         .step = {{.verb = PEEL_STRIP,
                                   .size = I3_HEADER,
                                   .keep = true,
                                   .compare = two_ids,
                                   .mask = header_mask},
                                  {.verb = PEEL_STRIP, .size = I3_ID},
                                  {.verb = PEEL_STRIP, .size = I3_ID, .keep = true},
                                  {.verb = PEEL_RECORD}}};
    p[2] = (struct peel){.first_low = I3_VERSION,
                         .first_high = I3_VERSION,
                         .count = 1,
                         .step = {{.verb = PEEL_PUNT}}};
    p[3] = (struct peel){.first_low = I3_PING_REPLY,
                         .first_high = I3_PING_REPLY,
                         .count = 1,
                         .step = {{.verb = PEEL_PUNT}}};
    m->peel.count = 4;
    if (!m->allow)
        return; /* whatever comes past the servers is not even looked at */
    p[4] = (struct peel){
        .first_low = I3_PROBE, .first_high = I3_PROBE, .count = 1, .step = {{.verb = PEEL_PUNT}}};
    p[5] = (struct peel){
        .first_low = 0xC0, .first_high = 0xDF, .count = 1, .step = {{.verb = PEEL_RECORD}}};
    m->peel.count = 6;
}

/* ---- life ---- */

static int module_init(struct overlay *o, instant now, const char **ret_reason)
{
    struct i3 *m = i3_of(o);
    struct i3_seed seed[I3_SEEDS_MAX];
    unsigned count;
    const char *servers = i3_option(&o->settings, "servers");
    m->due = INSTANT_NEVER;
    if (!i3_seeds_parse(servers ? servers : "", seed, &count, ret_reason))
        return -EINVAL;
    i3_client_init(&m->client, o->settings.entropy, i3_settings_samples(&o->settings),
                   i3_settings_resample(&o->settings));
    i3_settings_read(m);
    make_peel(m);
    i3_client_seeds(&m->client, now, seed, count);
    i3_names_insert(m, now);
    i3_samples_begin(&m->client, now);
    return 0;
}

static void module_done(struct overlay *o)
{
    struct i3 *m = i3_of(o);
    struct i3_tunnel *t, *later;
    HASH_ITER(hh, m->tunnels, t, later)
    i3_tunnel_free(m, t);
    i3_client_done(&m->client);
}

static void take_events(struct i3 *m, instant now)
{
    struct i3_event e;
    while (i3_client_event(&m->client, &e))
        i3_tunnels_event(m, now, &e);
}

static void module_bound(struct overlay *o, instant now, uint16_t socket,
                         const struct endpoint *local)
{
    i3_client_bound(&i3_of(o)->client, now, local);
}

static void module_underlay_changed(struct overlay *o, instant now)
{
    struct i3 *m = i3_of(o);
    for (struct i3_tunnel *t = m->tunnels; t; t = t->hh.next)
        if (t->state == I3_TUNNEL_UP)
            i3_shortcut_end(m, now, t, t->linked);
    i3_client_moved(&m->client, now);
    take_events(m, now);
}

static void module_input(struct overlay *o, instant now, const struct arrival *from,
                         const uint8_t *bytes, size_t size)
{
    struct i3 *m = i3_of(o);
    if (size && bytes[0] == I3_PROBE)
        i3_shortcut_probed(m, now, from, bytes, size);
    else
        i3_client_input(&m->client, now, from, bytes, size);
    take_events(m, now);
}

static void module_resolved(struct overlay *o, instant now, uint32_t lookup,
                            const struct ip_address *addresses, unsigned count, bool none,
                            const char *reason)
{
    struct i3 *m = i3_of(o);
    i3_client_resolved(&m->client, now, lookup, addresses, count);
    take_events(m, now);
}

static void module_advance(struct overlay *o, instant now)
{
    struct i3 *m = i3_of(o);
    i3_client_advance(&m->client, now);
    take_events(m, now);
    if (now >= m->due) {
        m->due = INSTANT_NEVER;
        i3_wake(m, i3_tunnels_advance(m, now));
    }
}

static instant module_deadline(const struct overlay *o)
{
    const struct i3 *m = i3_of(o);
    return instant_min(m->due, m->client.due);
}

/* Servers need not wait 30 s to forget us. */
static void module_leave(struct overlay *o, instant now)
{
    struct i3 *m = i3_of(o);
    struct i3_binding *b;
    DL_FOREACH(m->client.bindings, b)
    i3_binding_retract(&m->client, b);
}

static void tunnels_reload(struct i3 *m, instant now, bool another_middlebox)
{
    for (struct i3_tunnel *t = m->tunnels; t; t = t->hh.next) {
        i3_tunnel_rename(m, now, t, 0);
        if (t->state != I3_TUNNEL_UP)
            continue;
        i3_shortcut_end(m, now, t, t->linked);
        if (!(t->says & I3_SAY_UP))
            i3_tunnel_say(m, t, I3_SAY_RECIPE);
        if (t->linked && another_middlebox)
            i3_exchange_redraw(m, now, t);
        else if (t->linked)
            i3_exchange_begin(m, now, t);
    }
}

static int module_reload(struct overlay *o, instant now, const struct overlay_settings *old,
                         const char **ret_reason)
{
    struct i3 *m = i3_of(o);
    struct i3_seed seed[I3_SEEDS_MAX];
    unsigned count;
    const char *servers = i3_option(&o->settings, "servers");
    bool had_middlebox = m->has_middlebox;
    struct i3_id middlebox = m->middlebox;
    if (!i3_seeds_parse(servers ? servers : "", seed, &count, ret_reason))
        return -EINVAL;
    bool renamed =
        strcmp(o->settings.host, old->host) || strcmp(o->settings.instance, old->instance);
    if (renamed)
        return -ENOTSUP;
    i3_client_seeds(&m->client, now, seed, count);
    m->client.samples = i3_settings_samples(&o->settings);
    m->client.resample = i3_settings_resample(&o->settings);
    i3_settings_read(m);
    make_peel(m);
    m->peel_said = false;
    i3_names_remove(m);
    i3_names_insert(m, now);
    tunnels_reload(m, now,
                   had_middlebox != m->has_middlebox || !i3_id_equal(&middlebox, &m->middlebox));
    i3_samples_begin(&m->client, now);
    take_events(m, now);
    return 0;
}

/* ---- outputs ---- */

static void output_tunnel(struct i3 *m, struct i3_tunnel *t, struct overlay_out *ret)
{
    unsigned what;
    ret->tunnel = t->id;
    if (t->says & (I3_SAY_FAILED | I3_SAY_DOWN)) {
        ret->kind = t->says & I3_SAY_DOWN ? OVERLAY_TUNNEL_DOWN : OVERLAY_TUNNEL_FAILED;
        i3_tunnel_unsay(m, t, ~0u);
        ret->reason = t->reason;
        ret->unknown_host = t->unknown_host;
    } else if (t->says & (I3_SAY_UP | I3_SAY_RECIPE)) {
        ret->kind = t->says & I3_SAY_UP ? OVERLAY_TUNNEL_UP : OVERLAY_TUNNEL_RECIPE;
        i3_tunnel_unsay(m, t, I3_SAY_UP | I3_SAY_RECIPE);
        i3_tunnel_recipe(m, t, &m->recipe);
        ret->recipe = &m->recipe;
    } else {
        ret->kind = OVERLAY_LINK_MESSAGE;
        ret->bytes = m->said;
        ret->size = i3_exchange_write(m, t, &what);
        i3_tunnel_unsay(m, t, what);
    }
}

static bool module_output(struct overlay *o, struct overlay_out *ret)
{
    struct i3 *m = i3_of(o);
    const struct i3_datagram *d;
    *ret = (struct overlay_out){0};
    if (!m->peel_said) {
        m->peel_said = true;
        ret->kind = OVERLAY_PEEL;
        ret->socket = o->settings.first_socket;
        ret->peel = &m->peel;
        return true;
    }
    if (i3_client_lookup(&m->client, &ret->lookup, &ret->name)) {
        ret->kind = OVERLAY_LOOKUP;
        return true;
    }
    if ((d = i3_client_datagram(&m->client))) {
        ret->kind = OVERLAY_SEND;
        i3_plain_recipe(m, &d->to, false, &m->recipe);
        ret->recipe = &m->recipe;
        ret->bytes = d->bytes;
        ret->size = d->size;
        return true;
    }
    if (!m->queue)
        return false;
    output_tunnel(m, m->queue, ret);
    return true;
}

/* ---- for people ---- */

static void add_id_bytes(struct text *t, const struct i3_id *id, unsigned count)
{
    char digits[2 * I3_ID + 1];
    text_add(t, "%s", hex_write(id->bytes, count, digits));
}

/* The first bytes are enough to tell identifiers apart. */
static void add_id(struct text *t, const struct i3_id *id)
{
    add_id_bytes(t, id, 6);
}

static void add_rtt(struct text *t, instant rtt)
{
    if (rtt)
        text_add(t, " (%.2f ms)", (double)rtt / (double)MILLISECOND);
}

static void add_binding(struct text *t, const struct i3_binding *b)
{
    char at[ENDPOINT_TEXT];
    add_id(t, &b->trigger.id);
    if (b->state != I3_BINDING_HELD && !b->acknowledged) {
        text_add(t, b->refused ? " refused" : " not inserted");
    } else if (b->at.ip.family) {
        text_add(t, " at %s", endpoint_format(&b->at, at));
        add_rtt(t, b->rtt);
    } else {
        text_add(t, ", which no server answers for any more");
    }
    if (b->limit && b->limited)
        text_add(t, " for %u packets a second", b->limit);
    else if (b->limit)
        text_add(t, " without its limit, which that server does not know");
}

/* By all addresses that servers know us by. */
static void add_self(struct text *t, const struct i3_client *c)
{
    char at[ENDPOINT_TEXT];
    unsigned count = 0;
    for (unsigned i = 0; i < 2; i++)
        if (c->self[i].at.ip.family)
            text_add(t, "%s%s", count++ ? " and " : "", endpoint_format(&c->self[i].at, at));
    if (!count)
        text_add(t, "at an address not known yet");
}

static void module_describe(const struct overlay *o, struct text *t)
{
    const struct i3 *m = i3_of(o);
    const struct i3_client *c = &m->client;
    char at[ENDPOINT_TEXT];
    unsigned up = 0, cuts = 0;
    for (const struct i3_tunnel *i = m->tunnels; i; i = i->hh.next) {
        up += i->state == I3_TUNNEL_UP;
        cuts += i->way == I3_WAY_SHORTCUT;
    }
    text_add(t, "%u server%s listed, ", c->listed, c->listed == 1 ? "" : "s");
    if (c->near.known)
        text_add(t, "near: %s", endpoint_format(&c->near.at, at));
    else if (!c->self[0].at.ip.family && !c->self[1].at.ip.family)
        text_add(t, "none has answered yet");
    else
        text_add(t, "none known to be near");
    add_rtt(t, c->near.known ? c->near.rtt : 0);
    text_add(t, "; this host is ");
    add_self(t, c);
    text_add(t, "%s, public trigger ", c->behind_nat ? " behind a NAT" : "");
    for (unsigned i = 0; i < I3_NAMES && m->name[i]; i++) {
        text_add(t, "%s", i ? ", " : "");
        add_binding(t, m->name[i]);
    }
    if (m->name[0] && i3_option(&o->settings, "id_from")) {
        text_add(t, "; its identifier, for others' members, is ");
        add_id_bytes(t, &m->name[0]->trigger.id, I3_ID);
    }
    text_add(t, "; %u trigger%s, %u tunnel%s up, shortcuts %s, %u in use", c->binding_count,
             c->binding_count == 1 ? "" : "s", up, up == 1 ? "" : "s",
             m->allow ? "allowed" : "denied", cuts);
}

static void describe_shortcut(const struct i3 *m, const struct i3_tunnel *t, struct text *text)
{
    if (t->shortcut.up)
        return;
    if (t->throughs)
        text_add(text, "; passes %u host%s first, so no shortcut", t->throughs,
                 t->throughs == 1 ? "" : "s");
    else if (!m->allow)
        text_add(text, "; no shortcut: this host denies it");
    else if (!t->peer_allows)
        text_add(text, "; no shortcut: the other end denies it");
    else
        text_add(text, "; no shortcut: not proven");
}

static void module_describe_tunnel(const struct overlay *o, uint32_t tunnel, struct text *text)
{
    static const char *const way[] = {"public identifier", "identifier for answers",
                                      "private identifier", "shortcut"};
    const struct i3 *m = i3_of(o);
    const struct i3_tunnel *t = i3_tunnel_find(m, tunnel);
    char at[ENDPOINT_TEXT];
    if (!t) {
        text_add(text, "no such tunnel");
    } else if (t->state == I3_TUNNEL_OPENING) {
        text_add(text, "inserting a trigger for answers: ");
        if (t->back)
            add_binding(text, t->back);
    } else if (t->state == I3_TUNNEL_ENDED) {
        text_add(text, "failed: %s", t->reason);
    } else {
        text_add(text, "i3 by %s ", way[t->way]);
        if (t->way != I3_WAY_SHORTCUT) {
            add_id(text, &t->used);
            text_add(text, " at ");
        }
        text_add(text, "%s", endpoint_format(&t->remote, at));
        if (t->way == I3_WAY_SHORTCUT)
            add_rtt(text, t->shortcut.rtt);
        if (t->own) {
            text_add(text, ", back by ");
            add_binding(text, t->own);
        }
        describe_shortcut(m, t, text);
    }
}

static const struct overlay_metric metrics[] = {
#define I3_COUNTER_METRIC(id, name, help) {name, help},
    I3_CLIENT_COUNTERS(I3_COUNTER_METRIC)
#undef I3_COUNTER_METRIC
        {NULL, NULL}};

static uint64_t module_metric(const struct overlay *o, unsigned index)
{
    return index < I3_COUNTER_COUNT ? i3_of(o)->client.counter[index] : 0;
}

extern const struct overlay_class overlay_i3_class;
const struct overlay_class overlay_i3_class = {
    .abi = OVERLAY_ABI,
    .name = "i3",
    .promise = "by identifiers that servers keep: mobility, and addresses that stay unknown; one "
               "server on the way",
    .flags = OVERLAY_CARRIES_IP | OVERLAY_CARRIES_ETHERNET | OVERLAY_PORTS_FREE,
    .size = sizeof(struct i3),
    .sockets = 1,
    .headroom = I3_FRONT_MAX,
    .schema = i3_schema,
    .member_schema = i3_member_schema,
    .metrics = metrics,
    .fault = i3_settings_fault,
    .init = module_init,
    .reload = module_reload,
    .done = module_done,
    .tunnel_open = i3_tunnel_open,
    .tunnel_accept = i3_tunnel_accept,
    .tunnel_moved = i3_tunnel_moved,
    .tunnel_close = i3_tunnel_close,
    .answer = i3_answer,
    .tunnel_suspect = i3_tunnel_suspect,
    .tunnel_use = i3_tunnel_use,
    .bound = module_bound,
    .underlay_changed = module_underlay_changed,
    .input = module_input,
    .advance = module_advance,
    .deadline = module_deadline,
    .output = module_output,
    .link_up = i3_link_up,
    .link_down = i3_link_down,
    .link_message = i3_link_message,
    .leave = module_leave,
    .resolved = module_resolved,
    .describe = module_describe,
    .describe_tunnel = module_describe_tunnel,
    .metric = module_metric,
};
