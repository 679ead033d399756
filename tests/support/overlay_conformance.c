#include "tests/support/overlay_conformance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "tests/support/seeded.h"

#define TUNNELS     12
#define LOOKUPS     64
#define OUTPUTS_MAX 1000 /* of one call: more means that they never end */

enum expected { CLOSED, OPENING, UP, ENDED };

struct caller {
    struct overlay *o;
    const struct overlay_class *class;
    const char *const *hosts;
    unsigned host_count;
    struct seeded random, module_random;
    instant now;
    enum expected tunnel[TUNNELS];
    bool link[TUNNELS];
    const char *host[TUNNELS];
    uint32_t lookup[LOOKUPS]; /* not answered yet; 0: free */
    uint32_t last_lookup[LOOKUPS];
    unsigned lookup_count;
    uint64_t seed, trace; /* fingerprint of all outputs */
    unsigned step;
};

#define broken(c, ...)                                                                             \
    do {                                                                                           \
        print_error("overlay type %s, seed %llu, step %u: ", (c)->class->name,                     \
                    (unsigned long long)(c)->seed, (c)->step);                                     \
        fail_msg(__VA_ARGS__);                                                                     \
    } while (0)

static unsigned below(struct caller *c, unsigned bound)
{
    return entropy_below(&c->random.entropy, bound);
}

static void trace(struct caller *c, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        c->trace = (c->trace ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001B3);
}

/* ---- what comes out ---- */

static void check_recipe(struct caller *c, const struct recipe *r, bool for_records)
{
    const struct overlay_settings *s = &c->o->settings;
    if (!r || !recipe_valid(r))
        broken(c, "a recipe is not valid");
    const struct recipe_step *send = recipe_target(r);
    if (send->send.socket < s->first_socket ||
        send->send.socket >= s->first_socket + c->class->sockets)
        broken(c, "a recipe uses socket %u of somebody else", send->send.socket);
    if (!send->send.remote.ip.family || !send->send.remote.port)
        broken(c, "a recipe leads nowhere");
    if (r->bytes_used > c->class->headroom || r->overhead > c->class->headroom + c->class->tailroom)
        broken(c, "a recipe adds more bytes than its class declares");
    if (for_records && r->mtu && r->mtu < 1280 / 2)
        broken(c, "a recipe's MTU of %u is no use", r->mtu);
    if (r->keepalive <= 0)
        broken(c, "a recipe's keepalive is not a span");
    if (r->ports_free && !(c->class->flags & OVERLAY_PORTS_FREE))
        broken(c, "a recipe frees ports that its class does not");
    trace(c, &send->send.remote, sizeof send->send.remote);
    trace(c, r->bytes, r->bytes_used);
}

static void check_tunnel(struct caller *c, const struct overlay_out *out)
{
    if (out->tunnel >= TUNNELS)
        broken(c, "an output names tunnel %u, which nobody opened", out->tunnel);
    enum expected *t = &c->tunnel[out->tunnel];
    switch (out->kind) {
    case OVERLAY_TUNNEL_UP:
        if (*t != OPENING)
            broken(c, "tunnel %u comes up in state %d", out->tunnel, *t);
        *t = UP;
        check_recipe(c, out->recipe, true);
        break;
    case OVERLAY_TUNNEL_RECIPE:
        if (*t != UP)
            broken(c, "tunnel %u has another recipe in state %d", out->tunnel, *t);
        check_recipe(c, out->recipe, true);
        break;
    case OVERLAY_TUNNEL_FAILED:
    case OVERLAY_TUNNEL_DOWN:
        if (*t != (out->kind == OVERLAY_TUNNEL_FAILED ? OPENING : UP))
            broken(c, "tunnel %u ends in state %d", out->tunnel, *t);
        *t = ENDED;
        if (!out->reason || strlen(out->reason) < 10)
            broken(c, "tunnel %u ends without a reason that a person can read", out->tunnel);
        trace(c, out->reason, strlen(out->reason));
        break;
    default: /* OVERLAY_LINK_MESSAGE */
        if (*t != UP || (c->class->link_up && !c->link[out->tunnel]))
            broken(c, "a message for the link of tunnel %u in state %d", out->tunnel, *t);
        if (out->recipe)
            check_recipe(c, out->recipe, false);
        if (!out->bytes || !out->size)
            broken(c, "an empty message for a link");
        trace(c, out->bytes, out->size);
    }
}

static void check_lookup(struct caller *c, const struct overlay_out *out)
{
    if (!out->name || !*out->name || strlen(out->name) > 253)
        broken(c, "a lookup without a name");
    for (unsigned i = 0; i < LOOKUPS; i++)
        if (c->lookup[i] == out->lookup)
            broken(c, "lookup %u is asked twice", out->lookup);
    for (unsigned i = 0; i < LOOKUPS; i++)
        if (!c->lookup[i]) {
            c->lookup[i] = out->lookup;
            c->last_lookup[c->lookup_count++ % LOOKUPS] = out->lookup;
            trace(c, out->name, strlen(out->name));
            return;
        }
    broken(c, "more than %u lookups at once", LOOKUPS);
}

static void check_peel(struct caller *c, const struct overlay_out *out)
{
    const struct overlay_settings *s = &c->o->settings;
    if (out->socket < s->first_socket || out->socket >= s->first_socket + c->class->sockets)
        broken(c, "a peel for socket %u of somebody else", out->socket);
    if (!out->peel || !out->peel->count || out->peel->count > PEELS_MAX)
        broken(c, "a peel table with no or too many peels");
    for (unsigned i = 0; i < out->peel->count; i++) {
        const struct peel *p = &out->peel->peel[i];
        if (!p->count || p->count > RECIPE_STEPS || p->first_low > p->first_high)
            broken(c, "peel %u is not whole", i);
        uint8_t last = p->step[p->count - 1].verb;
        if (last != PEEL_RECORD && last != PEEL_PUNT)
            broken(c, "peel %u ends in the middle", i);
        if (last == PEEL_PUNT && !c->class->input)
            broken(c, "peel %u punts to a module that has no input", i);
    }
}

static void pull(struct caller *c)
{
    struct overlay_out out;
    unsigned count = 0;
    while (c->class->output(c->o, &out)) {
        if (++count > OUTPUTS_MAX)
            broken(c, "outputs never end");
        trace(c, &out.kind, sizeof out.kind);
        trace(c, &out.tunnel, sizeof out.tunnel);
        switch (out.kind) {
        case OVERLAY_SEND:
            check_recipe(c, out.recipe, false);
            if (!out.bytes || !out.size)
                broken(c, "an empty datagram");
            trace(c, out.bytes, out.size);
            break;
        case OVERLAY_LOOKUP:
            check_lookup(c, &out);
            break;
        case OVERLAY_PEEL:
            check_peel(c, &out);
            break;
        case OVERLAY_LINK_WANT:
        case OVERLAY_LINK_RELEASE:
            if (!out.host || !*out.host || !c->class->link_up)
                broken(c, "a wish for a link to nobody, or that nobody hears the answer of");
            trace(c, out.host, strlen(out.host));
            break;
        case OVERLAY_RETIRE:
            if (!out.object || !out.retire)
                broken(c, "nothing is retired");
            out.retire(out.object);
            break;
        default:
            check_tunnel(c, &out);
        }
    }
    if (c->class->output(c->o, &out))
        broken(c, "an output after the last one");
}

/* ---- what goes in ---- */

static struct endpoint some_endpoint(struct caller *c)
{
    static const char *const some[] = {"192.0.2.2:7401", "198.51.100.7:5", "[2001:db8::6]:7400",
                                       "10.1.1.1:65535", "[fe80::1%3]:7400"};
    struct endpoint e = {0};
    endpoint_parse(some[below(c, sizeof some / sizeof *some)], 0, &e);
    return e;
}

static struct arrival some_arrival(struct caller *c)
{
    struct arrival a = {.socket = c->o->settings.first_socket, .remote = some_endpoint(c)};
    unsigned kind = below(c, 8);
    if (kind < 4)
        a.local = some_endpoint(c); /* of the same family or not */
    if (kind == 6)
        a.remote.port = 0;
    if (kind == 7)
        a.remote = (struct endpoint){0};
    a.via_size = (uint8_t)below(c, ARRIVAL_VIA + 1);
    entropy_fill(&c->random.entropy, a.via, a.via_size);
    return a;
}

static void answer_lookup(struct caller *c)
{
    struct ip_address address[20];
    unsigned which = below(c, LOOKUPS), count = below(c, 3) ? below(c, 21) : 0;
    uint32_t lookup = c->lookup[which];
    if (!lookup || !below(c, 8)) /* late, twice, or never asked */
        lookup = below(c, 2) ? c->last_lookup[which] : below(c, 100);
    for (unsigned i = 0; i < LOOKUPS; i++)
        if (c->lookup[i] == lookup)
            c->lookup[i] = 0;
    for (unsigned i = 0; i < count; i++)
        address[i] = some_endpoint(c).ip;
    if (c->class->resolved)
        c->class->resolved(c->o, c->now, lookup, address, count, !count && below(c, 2),
                           !count && below(c, 2) ? "the server\n does not answer" : NULL);
}

static void check_answer(struct caller *c)
{
    struct arrival from = some_arrival(c);
    struct recipe r;
    instant before = c->class->deadline ? c->class->deadline(c->o) : INSTANT_NEVER;
    if (c->class->answer(c->o, &from, &r))
        check_recipe(c, &r, false);
    instant after = c->class->deadline ? c->class->deadline(c->o) : INSTANT_NEVER;
    if (before != after)
        broken(c, "answering a stranger keeps state");
}

static void describe(struct caller *c, uint32_t tunnel)
{
    char buffer[300];
    struct text t;
    text_begin(&t, buffer, 1 + below(c, sizeof buffer));
    if (c->class->describe)
        c->class->describe(c->o, &t);
    text_begin(&t, buffer, 1 + below(c, sizeof buffer));
    if (c->class->describe_tunnel)
        c->class->describe_tunnel(c->o, tunnel, &t);
    struct overlay_fact fact;
    for (unsigned i = 0;
         c->class->tunnel_fact && c->class->tunnel_fact(c->o, c->now, tunnel, i, &fact); i++)
        if (!fact.name || (fact.kind == OVERLAY_FACT_TEXT && !fact.text) || i > 100)
            broken(c, "a fact without name or text, or without end");
    if (c->class->knows)
        c->class->knows(c->o, c->hosts[below(c, c->host_count)]);
}

static void pass_time(struct caller *c)
{
    instant due = c->class->deadline ? c->class->deadline(c->o) : INSTANT_NEVER;
    c->now += below(c, 2) && due != INSTANT_NEVER && due > c->now ? due - c->now
                                                                  : below(c, 3000) * MILLISECOND;
    if (!c->class->advance)
        return;
    c->class->advance(c->o, c->now);
    if (c->class->deadline(c->o) <= c->now)
        broken(c, "the deadline does not move on");
}

static void speak(struct caller *c, uint32_t tunnel)
{
    uint8_t bytes[64];
    size_t size = below(c, sizeof bytes + 1);
    struct arrival from = some_arrival(c);
    entropy_fill(&c->random.entropy, bytes, sizeof bytes);
    if (c->class->input)
        c->class->input(c->o, c->now, &from, bytes, size);
    if (c->class->link_message)
        c->class->link_message(c->o, c->now, tunnel, &from, bytes, size);
}

/* Links come and go while a tunnel is up; that one went may be said after it was closed. */
static void change_link(struct caller *c, uint32_t tunnel)
{
    if (!c->class->link_up)
        return;
    if (c->link[tunnel]) {
        c->link[tunnel] = false;
        c->class->link_down(c->o, c->now, tunnel, c->host[tunnel]);
    } else if (c->tunnel[tunnel] == UP) {
        c->link[tunnel] = true;
        c->class->link_up(c->o, c->now, tunnel, c->host[tunnel]);
    } else if (!below(c, 4)) {
        c->class->link_down(c->o, c->now, tunnel, c->hosts[below(c, c->host_count)]);
    }
    if (c->class->tunnel_use)
        c->class->tunnel_use(c->o, c->now, tunnel, below(c, OVERLAY_SILENT + 1));
}

static void close_tunnel(struct caller *c, uint32_t tunnel)
{
    if (c->link[tunnel] && below(c, 2))
        change_link(c, tunnel);
    c->tunnel[tunnel] = CLOSED;
    c->class->tunnel_close(c->o, c->now, tunnel);
    if (c->link[tunnel])
        change_link(c, tunnel);
}

static void reload(struct caller *c)
{
    struct overlay_settings old = c->o->settings;
    const char *reason = NULL;
    if (c->class->reload)
        c->class->reload(c->o, c->now, &old, &reason);
}

static void step(struct caller *c)
{
    uint32_t tunnel = below(c, TUNNELS);
    const char *host = c->hosts[below(c, c->host_count)];
    struct arrival from = some_arrival(c);
    switch (below(c, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (c->tunnel[tunnel] != CLOSED)
            break; /* a number in use is the caller's mistake, not the module's */
        c->tunnel[tunnel] = OPENING;
        c->host[tunnel] = host;
        if (below(c, 3))
            c->class->tunnel_open(c->o, c->now, tunnel, host);
        else
            c->class->tunnel_accept(c->o, c->now, tunnel, host, &from);
        break;
    case 4:
        close_tunnel(c, tunnel);
        break;
    case 5:
    case 6:
        c->class->tunnel_moved(c->o, c->now, tunnel, &from);
        break;
    case 7:
        if (c->class->tunnel_suspect)
            c->class->tunnel_suspect(c->o, c->now, tunnel);
        break;
    case 8:
        check_answer(c);
        break;
    case 9:
        pass_time(c);
        break;
    case 10:
        describe(c, tunnel);
        break;
    case 11:
        speak(c, tunnel);
        break;
    case 12:
        if (!below(c, 4))
            reload(c);
        else if (c->class->underlay_changed)
            c->class->underlay_changed(c->o, c->now);
        break;
    case 13:
    case 14:
        change_link(c, tunnel);
        break;
    default:
        answer_lookup(c);
    }
    /* A tunnel that is closed before its output was pulled says nothing any more. */
    if (!below(c, 8) && c->tunnel[tunnel] != CLOSED)
        close_tunnel(c, tunnel);
}

/* ---- rules ---- */

/* Everything that was opened and left alone for long enough has come up or failed. */
static void check_patience(struct caller *c)
{
    for (unsigned i = 0; i < 1000; i++) {
        for (unsigned k = 0; k < LOOKUPS; k++) {
            if (!c->lookup[k])
                continue;
            uint32_t lookup = c->lookup[k];
            c->lookup[k] = 0;
            if (c->class->resolved)
                c->class->resolved(c->o, c->now, lookup, NULL, 0, false, "no answer");
            pull(c);
        }
        c->now += SECOND;
        if (c->class->advance)
            c->class->advance(c->o, c->now);
        pull(c);
    }
    for (uint32_t t = 0; t < TUNNELS; t++)
        if (c->tunnel[t] == OPENING)
            broken(c, "tunnel %u neither came up nor failed in 1000 s", t);
}

static uint64_t run(const struct overlay_class *class, const struct overlay_settings *settings,
                    const char *const *hosts, unsigned host_count, uint64_t seed, unsigned steps)
{
    struct caller c = {
        .class = class, .hosts = hosts, .host_count = host_count, .seed = seed, .now = SECOND};
    struct overlay_settings s = *settings;
    const char *reason = NULL;
    seeded_init(&c.random, seed);
    seeded_init(&c.module_random, seed + 1);
    s.entropy = &c.module_random.entropy;
    c.o = overlay_new(class, &s, c.now, &reason);
    if (!c.o)
        broken(&c, "it cannot start: %s", reason);
    for (uint16_t i = 0; class->bound && i < class->sockets; i++)
        class->bound(c.o, c.now, (uint16_t)(s.first_socket + i),
                     &(struct endpoint){.port = (uint16_t)(7400 + i)});
    pull(&c);
    for (c.step = 0; c.step < steps; c.step++) {
        step(&c);
        pull(&c);
    }
    if (seed % 2)
        check_patience(&c);
    if (c.class->leave && seed % 3)
        c.class->leave(c.o, c.now);
    pull(&c);
    overlay_free(c.o); /* in the middle of things, half of the time */
    return c.trace;
}

void overlay_conformance(const struct overlay_class *class, const struct overlay_settings *settings,
                         const char *const *hosts, unsigned host_count, uint64_t seed,
                         unsigned steps)
{
    const char *fault = overlay_class_fault(class);
    if (fault)
        fail_msg("class %s: %s", class->name, fault);
    uint64_t first = run(class, settings, hosts, host_count, seed, steps);
    if (first != run(class, settings, hosts, host_count, seed, steps))
        fail_msg("class %s, seed %llu: two runs differ", class->name, (unsigned long long)seed);
}
