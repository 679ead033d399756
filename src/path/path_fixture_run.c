/* The second half of the fixture: boxes, what their engines say, and the clock. */
#include "path/path_fixture.h"

#include <stdio.h>

#include "path/path_fixture_wire.h"

/* ---- outputs ---- */

static void notice_keep(struct box *b, const struct path_out *o)
{
    size_t used = strlen(b->notices), room = sizeof b->notices - used;
    snprintf(b->notices + used, room, "%s\n", o->reason);
}

static void inject(struct box *b, const struct arrival *from, const uint8_t *bytes, size_t size,
                   bool captured)
{
    struct packet *p = packet_take(b->pool);
    require(p && packet_fill(p, bytes, size));
    if (from)
        p->arrival = *from;
    forward_handed_over(b->forward, b->net->now, p, captured);
}

static void keep_known(struct box *b, const struct path_out *o)
{
    b->known = base_realloc(b->known, b->known_size + o->size + 1);
    memcpy(b->known + b->known_size, o->bytes, o->size);
    b->known_size += o->size;
    b->known[b->known_size] = 0;
}

static void engine_out(struct box *b, const struct path_out *o)
{
    switch (o->kind) {
    case PATH_OUT_SEND:
        wire_transmit(b, o->socket, &o->remote, o->bytes, o->size);
        break;
    case PATH_OUT_UP:
        wire_path_up(b, o);
        wire_answered(b, o);
        break;
    case PATH_OUT_DOWN:
        wire_path_down(b, o);
        break;
    case PATH_OUT_FAILED:
        wire_answered(b, o);
        break;
    case PATH_OUT_INJECT:
        inject(b, &o->from, o->bytes, o->size, false);
        break;
    case PATH_OUT_AGAIN:
        inject(b, NULL, o->bytes, o->size, true);
        break;
    case PATH_OUT_PONG:
        b->pongs++;
        b->rtt = o->rtt;
        break;
    case PATH_OUT_KNOWN:
        keep_known(b, o);
        break;
    case PATH_OUT_NOTICE:
        notice_keep(b, o);
        break;
    default:
        wire_toy_out(b, o);
    }
}

static void punt(struct box *b, const struct forward_out *o)
{
    const struct packet *p = o->packet;
    instant now = b->net->now;
    switch (o->punt) {
    case PUNT_CONTROL:
    case PUNT_HANDSHAKE:
        path_datagram(b->e, now, p->arrival.socket, &p->arrival, p->data, p->size);
        break;
    case PUNT_NEED_PATH:
        wire_need_path(b, o->id, p);
        break;
    case PUNT_NEED_KEY:
        if (path_wake(b->e, now, o->id))
            inject(b, &p->arrival, p->data, p->size, o->from_capture);
        break;
    case PUNT_UNKNOWN_LABEL:
        path_unknown_label(b->e, now, p->arrival.socket, &p->arrival, p->data, p->size);
        break;
    case PUNT_ACTIVE:
        path_active(b->e, now, o->id);
        break;
    case PUNT_MOVED:
        path_moved(b->e, now, o->id, &p->arrival);
        break;
    case PUNT_TRANSIT_BIG:
        path_transit_too_big(b->e, now, o->id);
        break;
    case PUNT_MODULE:
        fail_msg("this overlay has no protocol of its own");
    }
}

static void forward_said(struct box *b, struct forward_out *o)
{
    switch (o->kind) {
    case FORWARD_SEND:
        wire_transmit(b, o->socket, &o->remote, o->packet->data, o->packet->size);
        break;
    case FORWARD_CAPTURE:
        wire_delivered(b, o->packet->data, o->packet->size);
        break;
    case FORWARD_PUNT:
        punt(b, o);
        break;
    case FORWARD_HANDOVER:
        fail_msg("there is one worker");
    }
    packet_give_back(o->packet);
}

void box_pump(struct box *b)
{
    struct forward_out f;
    struct path_out o;
    bool again = true;
    while (again) {
        again = false;
        while (forward_output(b->forward, &f)) {
            forward_said(b, &f);
            again = true;
        }
        while (path_output(b->e, &o)) {
            engine_out(b, &o);
            again = true;
        }
    }
}

/* ---- life ---- */

/* One secret per instance, the same for all who do not change it. */
static void default_keys(struct box *b)
{
    for (unsigned i = 0; i < b->config->overlay_count; i++) {
        const struct config_overlay *o = &b->config->overlays[i];
        memset(b->keys[i].seed, 0x40 + (int)b->index, 32);
        b->keys[i].secret_count = o->secret_count;
        crypto_sha256(o->instance, strlen(o->instance), b->keys[i].secret[0]);
    }
}

void box_key(struct box *b, unsigned instance, uint8_t seed)
{
    memset(b->keys[instance].seed, seed, 32);
}

struct config *net_config(const char *name, const char *instances, const char *extra)
{
    static const char *const types[] = {"ip", NULL};
    struct config_error error;
    char yaml[8192], text[1024], list[256], *rest = list;
    snprintf(yaml, sizeof yaml, "name: %s\noverlays:\n", name);
    if (!strncmp(instances, "name:", 5)) {
        snprintf(yaml, sizeof yaml, "%s", instances);
    } else {
        snprintf(list, sizeof list, "%s", instances);
        for (char *i = strsep(&rest, " "); i; i = strsep(&rest, " ")) {
            size_t used = strlen(yaml);
            snprintf(yaml + used, sizeof yaml - used, "  - instance: %s.ip\n    secret: a.secret\n",
                     i);
        }
    }
    size_t used = strlen(yaml);
    snprintf(yaml + used, sizeof yaml - used, "%s", extra ? extra : "");
    struct config *c = config_parse(yaml, strlen(yaml), "test.yaml", types, &error);
    if (!c)
        fail_msg("%s\n%s", config_error_format(&error, text, sizeof text), yaml);
    return c;
}

/* Instances called east, west, n1 to n9 have the same number on all hosts. */
static unsigned instance_number(const char *instance)
{
    return instance[0] == 'e' ? 1 : instance[0] == 'w' ? 2 : 10 + (unsigned)(instance[1] - '0');
}

struct box *box_new(struct net *net, const char *name, const char *instances, const char *extra)
{
    require(net->boxes < NET_BOXES);
    struct box *b = &net->box[net->boxes];
    b->net = net;
    b->index = net->boxes++;
    snprintf(b->name, sizeof b->name, "%s", name);
    b->config = net_config(name, instances, extra);
    require(b->config->overlay_count <= NET_SOCKETS);
    for (unsigned i = 0; i < b->config->overlay_count; i++)
        b->endpoint[i] =
            net_endpoint(instance_number(b->config->overlays[i].instance), b->index + 1);
    b->data_lanes = 1;
    default_keys(b);
    return b;
}

void box_start(struct box *b)
{
    struct ip_address tun4, tun6;
    struct ip_prefix pool4 = {.length = 15}, pool6 = {.length = 48};
    require(ip_address_parse("10.99.0.1", &tun4) && ip_address_parse("fd99::1", &tun6));
    require(ip_address_parse("198.18.0.0", &pool4.ip) && ip_address_parse("fd18::", &pool6.ip));
    seeded_init(&b->seeded,
                b->net->seeded.state[0] ^ (b->index * 1000003u) ^ ((uint64_t)++b->life << 32));
    b->epoch = epoch_new(1);
    b->tables = fwd_tables_new(b->epoch, &tun4, &tun6, &pool4, &pool6);
    b->pool = packet_pool_new(256);
    b->forward = forward_new(
        &(struct forward_settings){
            .workers = 1, .tun_mtu = 1400, .flows = 256, .entropy = &b->seeded.entropy},
        b->tables, b->pool);
    for (struct grip *g = b->grips; g; g = g->next) {
        atomic_store(&g->fwd->path, NULL);
        g->opening = false;
        fwd_handle_add(b->tables, g->fwd);
    }
    b->e = path_engine_new(&(struct path_settings){.config = b->config,
                                                   .instance = b->keys,
                                                   .data_lanes = b->data_lanes,
                                                   .prefer_chacha = b->prefer_chacha,
                                                   .tables = b->tables,
                                                   .epoch = b->epoch,
                                                   .entropy = &b->seeded.entropy,
                                                   .known = b->known,
                                                   .known_size = b->known_size},
                           b->net->now);
}

void box_stop(struct box *b)
{
    if (!b->e)
        return;
    if (b->stuck)
        epoch_offline(b->epoch, 0);
    b->stuck = false;
    path_engine_free(b->e);
    forward_free(b->forward);
    packet_pool_free(b->pool);
    fwd_tables_free(b->tables);
    epoch_free(b->epoch);
    b->e = NULL;
    while (b->toys) {
        struct toy *t = b->toys;
        b->toys = t->next;
        free(t);
    }
}

void box_stick(struct box *b, bool stuck)
{
    if (b->stuck == stuck || !b->e)
        return;
    b->stuck = stuck;
    if (stuck)
        epoch_online(b->epoch, 0);
    else
        epoch_offline(b->epoch, 0);
}

void box_restart(struct box *b)
{
    box_stop(b);
    box_start(b);
}

void box_move(struct box *b, unsigned instance, unsigned to)
{
    b->endpoint[instance] =
        net_endpoint(instance_number(b->config->overlays[instance].instance), to);
}

void net_init(struct net *net, uint64_t seed)
{
    memset(net, 0, sizeof *net);
    net->now = 1000 * SECOND;
    net->mtu = 1500;
    net->faults.delay = 5 * MILLISECOND;
    seeded_init(&net->seeded, seed);
}

static void box_done(struct box *b)
{
    box_stop(b);
    while (b->grips) {
        struct grip *g = b->grips;
        b->grips = g->next;
        free(g->fwd);
        free(g);
    }
    for (unsigned i = 0; i < NET_BOXES; i++)
        free(b->seen[i]);
    free(b->known);
    config_free(b->config);
}

void net_done(struct net *net)
{
    struct timer *t;
    while ((t = heap_due(&net->flights, INSTANT_NEVER)))
        free(t); /* the timer is the first thing in a flight */
    heap_done(&net->flights);
    for (unsigned i = 0; i < net->boxes; i++)
        box_done(&net->box[i]);
    wire_nonces_free(net);
}

/* ---- the clock ---- */

static void arrive(struct net *net, const struct flight *f)
{
    unsigned socket;
    struct box *b = wire_box_at(net, &f->to, &socket);
    if (!b || !b->e)
        return;
    struct packet *p = packet_take(b->pool);
    require(p && packet_fill(p, f->bytes, f->size));
    p->arrival = (struct arrival){.socket = (uint16_t)socket, .remote = f->from};
    if (!b->stuck)
        epoch_online(b->epoch, 0);
    forward_underlay(b->forward, net->now, &p, 1);
    if (!b->stuck)
        epoch_offline(b->epoch, 0);
    box_pump(b);
}

static instant next_event(const struct net *net)
{
    instant next = heap_next(&net->flights);
    for (unsigned i = 0; i < net->boxes; i++)
        if (net->box[i].e)
            next = instant_min(next, path_deadline(net->box[i].e));
    return next;
}

static void step(struct net *net, instant at)
{
    struct timer *t;
    if (at > net->now)
        net->now = at;
    while ((t = heap_due(&net->flights, net->now))) {
        arrive(net, (struct flight *)t);
        free(t);
    }
    for (unsigned i = 0; i < net->boxes; i++) {
        struct box *b = &net->box[i];
        if (!b->e || path_deadline(b->e) > net->now)
            continue;
        b->wakeups++;
        path_advance(b->e, net->now);
        box_pump(b);
    }
}

bool net_run_until(struct net *net, instant span, bool (*done)(void *context), void *context)
{
    instant end = net->now + span;
    uint64_t steps = 0;
    while (!done(context)) {
        instant next = next_event(net);
        if (next > end) {
            net->now = end;
            return false;
        }
        step(net, next);
        assert_true(++steps < 5000000); /* an engine that is due for ever */
    }
    return true;
}

static bool never(void *context)
{
    return false;
}

void net_run(struct net *net, instant span)
{
    net_run_until(net, span, never, NULL);
}

static bool landed(void *context)
{
    return heap_next(&((struct net *)context)->flights) == INSTANT_NEVER;
}

void net_settle(struct net *net)
{
    net_run_until(net, 10 * SECOND, landed, net);
}

/* ---- asking and looking ---- */

struct answer *box_open(struct box *b, const char *text)
{
    struct name_chain chain;
    const char *reason;
    require(b->answers < sizeof b->answer / sizeof b->answer[0]);
    require(name_chain_parse(text, &chain, &reason));
    struct answer *a = &b->answer[b->answers++];
    *a = (struct answer){.cookie = ++b->net->next_cookie};
    path_open(b->e, b->net->now, &chain, a->cookie);
    box_pump(b);
    return a;
}

struct path *box_path(struct box *b, const char *name)
{
    uint32_t slot;
    if (!path_find(b->e, name, NULL, &slot))
        return NULL;
    return b->e->slot[slot].object;
}

struct neighbour *box_neighbour(struct box *b, const char *name)
{
    return path_neighbour_find(b->e, name);
}

bool box_up(struct box *b, const char *name)
{
    return box_path(b, name) != NULL;
}

uint64_t box_drops(struct box *b, enum drop_reason reason)
{
    return drop_read(path_drops(b->e), reason) + drop_read(forward_drops(b->forward), reason);
}

/* ---- the tape ---- */

static bool tape_tap(struct net *net, struct box *from, const struct endpoint *to, uint8_t *bytes,
                     size_t size)
{
    struct tape *t = net->tap_context;
    if (t->count < TAPE_ITEMS && size <= sizeof t->item[0].bytes) {
        t->item[t->count].from = from;
        t->item[t->count].to = *to;
        t->item[t->count].at = net->now;
        t->item[t->count].size = size;
        memcpy(t->item[t->count++].bytes, bytes, size);
    }
    return !t->judge || t->judge(net, t, from, bytes, size);
}

void tape_start(struct tape *t, struct net *net)
{
    memset(t, 0, sizeof *t);
    t->item = base_calloc(TAPE_ITEMS, sizeof *t->item);
    net->tap = tape_tap;
    net->tap_context = t;
}

void tape_stop(struct tape *t, struct net *net)
{
    net->tap = NULL;
    free(t->item);
    t->item = NULL;
}

int tape_find(const struct tape *t, const struct box *from, uint8_t type, unsigned nth)
{
    for (unsigned i = 0; i < t->count; i++)
        if ((!from || t->item[i].from == from) && t->item[i].bytes[0] == type && nth-- == 0)
            return (int)i;
    return -1;
}

unsigned tape_count(const struct tape *t, const struct box *from, uint8_t type)
{
    unsigned count = 0;
    while (tape_find(t, from, type, count) >= 0)
        count++;
    return count;
}

/* ---- alpha, gate, beta ---- */

void trio_init(struct trio *t, uint64_t seed, const char *extra)
{
    char yaml[2048];
    net_init(&t->net, seed);
    extra = extra ? extra : "";
    snprintf(yaml, sizeof yaml, "believe: [{gateway: gate.east.ip, instances: [west.ip]}]\n%s",
             extra);
    t->alpha = box_new(&t->net, "alpha", "east", yaml);
    snprintf(yaml, sizeof yaml,
             "forward: [{from: east.ip, to: west.ip}, {from: west.ip, to: east.ip}]\n%s", extra);
    t->gate = box_new(&t->net, "gate", "east west", yaml);
    snprintf(yaml, sizeof yaml,
             "believe: [{gateway: gate.west.ip, instances: [east.ip]}]\npolicy: [{peer: '*', "
             "allow: any}]\n%s",
             extra);
    t->beta = box_new(&t->net, "beta", "west", yaml);
    config_free(t->alpha->config);
    snprintf(yaml, sizeof yaml,
             "believe: [{gateway: gate.east.ip, instances: [west.ip]}]\npolicy: [{peer: '*', "
             "allow: any}]\n%s",
             extra);
    t->alpha->config = net_config("alpha", "east", yaml);
    box_start(t->alpha);
    box_start(t->gate);
    box_start(t->beta);
}

void trio_done(struct trio *t)
{
    net_done(&t->net);
}

void trio_check_same(struct trio *t)
{
    const struct path *a = box_path(t->alpha, "beta.west.ip"),
                      *b = box_path(t->beta, "alpha.east.ip");
    assert_non_null(a);
    assert_non_null(b);
    assert_memory_equal(a->id, b->id, HANDSHAKE_ID);
    assert_int_equal(a->keys.epoch, b->keys.epoch);
    assert_memory_equal(a->keys.send, b->keys.receive, 32);
    assert_memory_equal(a->keys.receive, b->keys.send, 32);
}
