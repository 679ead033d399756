#include "overlay/i3/i3_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <utlist.h>

#include "base/check.h"
#include "i3/i3_server.h"

#define DATAGRAM_MAX 2048
#define OPEN_AGAIN   SECOND

enum { TOY_OPEN = 1, TOY_ACCEPT, TOY_CONFIRM, TOY_MESSAGE, TOY_DATA };

struct lab_flight {
    instant due;
    struct endpoint from, to;
    size_t size;
    struct lab_flight *prev, *next;
    uint8_t bytes[];
};

struct endpoint lab_endpoint(const char *text)
{
    struct endpoint e;
    assert_true(endpoint_parse(text, 7400, &e));
    return e;
}

static const struct endpoint nat_address = {.ip = {.family = 4, .bytes = {203, 0, 113, 99}}};

/* ---- the network ---- */

static unsigned percent(struct lab *l)
{
    return entropy_below(&l->random.entropy, 100);
}

void lab_send(struct lab *l, const struct endpoint *from, const struct endpoint *to,
              const void *bytes, size_t size)
{
    unsigned copies = percent(l) < l->loss ? 0 : percent(l) < l->twice ? 2 : 1;
    assert_true(size <= DATAGRAM_MAX);
    if (l->watch)
        l->watch(from, to, bytes, size);
    for (; copies; copies--) {
        struct lab_flight *f = base_calloc(1, sizeof *f + size);
        f->due = l->now + l->delay;
        if (l->jitter)
            f->due += entropy_below(&l->random.entropy, (uint32_t)(l->jitter / 1000)) * 1000;
        f->from = *from;
        f->to = *to;
        f->size = size;
        memcpy(f->bytes, bytes, size);
        DL_APPEND(l->flights, f);
    }
}

static void host_sends(struct lab_host *h, const struct recipe *r, const uint8_t *bytes,
                       size_t size)
{
    static struct packet_pool *pool;
    enum drop_reason reason;
    if (!pool)
        pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    assert_true(packet_fill(p, bytes, size));
    assert_true(recipe_run(r, p, &reason));
    struct endpoint to = recipe_target(r)->send.remote;
    struct endpoint from = to.ip.family == h->at.ip.family ? h->at : h->also;
    if (!from.ip.family) { /* it has no such network */
        packet_give_back(p);
        return;
    }
    if (h->nat) {
        from.ip = nat_address.ip;
        bool known = false;
        for (unsigned i = 0; i < h->let_in_count; i++)
            known |= endpoint_equal(&h->let_in[i], &to);
        if (!known)
            h->let_in[h->let_in_count++ % 32] = to;
    }
    lab_send(h->lab, &from, &to, p->data, p->size);
    packet_give_back(p);
}

/* ---- the toy ---- */

static size_t toy(uint8_t out[DATAGRAM_MAX], uint8_t what, const char *to, const char *from,
                  const void *bytes, size_t size)
{
    struct writer w = writer_over(out, DATAGRAM_MAX);
    write_u8(&w, 0xC0);
    write_u8(&w, what);
    write_u8(&w, (uint8_t)strlen(to));
    write_bytes(&w, to, strlen(to));
    write_u8(&w, (uint8_t)strlen(from));
    write_bytes(&w, from, strlen(from));
    write_bytes(&w, bytes, size);
    assert_false(w.failed);
    return writer_size(&w);
}

static void toy_send(struct lab_host *h, const struct recipe *r, uint8_t what, const char *to,
                     const void *bytes, size_t size)
{
    uint8_t out[DATAGRAM_MAX];
    host_sends(h, r, out, toy(out, what, to, h->host, bytes, size));
}

static int tunnel_to(struct lab_host *h, const char *host)
{
    for (int i = 0; i < LAB_TUNNELS; i++)
        if (h->tunnel[i].used && !strcmp(h->tunnel[i].host, host))
            return i;
    return -1;
}

static uint32_t tunnel_new(struct lab_host *h, const char *host)
{
    for (uint32_t i = 0; i < LAB_TUNNELS; i++) {
        struct lab_tunnel *t = &h->tunnel[i];
        if (t->used)
            continue;
        *t = (struct lab_tunnel){.used = true, .again = INSTANT_NEVER, .confirm = INSTANT_NEVER};
        strcpy(t->host, host);
        return i;
    }
    fail_msg("no tunnel is free");
    return 0;
}

static void link_stands(struct lab_host *h, uint32_t tunnel)
{
    struct lab_tunnel *t = &h->tunnel[tunnel];
    if (!t->linked)
        h->overlay->class->link_up(h->overlay, h->lab->now, tunnel, t->host);
    t->linked = true;
    t->again = INSTANT_NEVER;
}

static void toy_confirmed(struct lab_host *h, const char *from, const struct arrival *a)
{
    const struct overlay_class *class = h->overlay->class;
    int found = tunnel_to(h, from);
    uint32_t tunnel = found < 0 ? tunnel_new(h, from) : (uint32_t)found;
    if (found >= 0 && h->tunnel[tunnel].up)
        class->tunnel_moved(h->overlay, h->lab->now, tunnel, a);
    else
        class->tunnel_accept(h->overlay, h->lab->now, tunnel, from, a);
    link_stands(h, tunnel);
}

static void toy_received(struct lab_host *h, const struct arrival *a, const uint8_t *bytes,
                         size_t size)
{
    char to[NAME_TEXT] = "", from[NAME_TEXT] = "";
    struct reader r = reader_over(bytes, size);
    read_u8(&r);
    uint8_t what = read_u8(&r);
    read_copy(&r, to, read_u8(&r) % NAME_TEXT);
    read_copy(&r, from, read_u8(&r) % NAME_TEXT);
    int tunnel = tunnel_to(h, from);
    struct recipe answer;
    if (r.failed || strcmp(to, h->host))
        return;
    h->direct += !a->via_size;
    switch (what) {
    case TOY_OPEN:
        if (h->overlay->class->answer(h->overlay, a, &answer))
            toy_send(h, &answer, TOY_ACCEPT, from, NULL, 0);
        break;
    case TOY_ACCEPT:
        if (tunnel >= 0 && h->tunnel[tunnel].has_recipe) {
            toy_send(h, &h->tunnel[tunnel].recipe, TOY_CONFIRM, from, NULL, 0);
            h->tunnel[tunnel].confirm = h->lab->now + OPEN_AGAIN;
            link_stands(h, (uint32_t)tunnel);
        }
        break;
    case TOY_CONFIRM:
        toy_confirmed(h, from, a);
        break;
    case TOY_MESSAGE:
        if (tunnel >= 0)
            h->tunnel[tunnel].confirm = INSTANT_NEVER;
        if (tunnel >= 0 && h->tunnel[tunnel].linked)
            h->overlay->class->link_message(h->overlay, h->lab->now, (uint32_t)tunnel, a, r.at,
                                            reader_left(&r));
        break;
    case TOY_DATA:
        if (tunnel >= 0)
            h->tunnel[tunnel].received++;
        break;
    default:
        break;
    }
}

/* ---- hosts ---- */

static void host_output(struct lab_host *h, const struct overlay_out *o)
{
    struct lab_tunnel *t = o->tunnel < LAB_TUNNELS ? &h->tunnel[o->tunnel] : NULL;
    switch (o->kind) {
    case OVERLAY_SEND:
        host_sends(h, o->recipe, o->bytes, o->size);
        break;
    case OVERLAY_PEEL:
        h->peel = *o->peel;
        break;
    case OVERLAY_TUNNEL_UP:
        t->again = t->linked ? INSTANT_NEVER : h->lab->now;
        t->up = true;
        /* fall through */
    case OVERLAY_TUNNEL_RECIPE:
        assert_true(recipe_valid(o->recipe));
        t->recipe = *o->recipe;
        t->has_recipe = true;
        t->recipes++;
        break;
    case OVERLAY_TUNNEL_FAILED:
    case OVERLAY_TUNNEL_DOWN:
        t->failed = true;
        t->unknown_host = o->unknown_host;
        snprintf(t->reason, sizeof t->reason, "%s", o->reason);
        break;
    case OVERLAY_LINK_MESSAGE:
        if (t->has_recipe)
            toy_send(h, &t->recipe, TOY_MESSAGE, t->host, o->bytes, o->size);
        break;
    default:
        break;
    }
}

static void host_pump(struct lab_host *h)
{
    struct overlay_out out;
    while (h->overlay && h->overlay->class->output(h->overlay, &out))
        host_output(h, &out);
}

static void host_receives(struct lab_host *h, const struct lab_flight *f)
{
    static struct packet_pool *pool;
    const struct recipe *recipe;
    enum drop_reason reason;
    if (h->filter && lab_filter_passes(h, &f->from, f->bytes, f->size))
        return;
    if (!pool)
        pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    packet_fill(p, f->bytes, f->size);
    p->arrival = (struct arrival){
        .socket = 5,
        .remote = f->from,
        .local = {.ip = f->from.ip.family == h->at.ip.family ? h->at.ip : h->also.ip}};
    switch (peel_run(&h->peel, p, &recipe, &reason)) {
    case PEEL_IS_RECORD:
        if (p->data[0] == 0xC0)
            toy_received(h, &p->arrival, p->data, p->size);
        break;
    case PEEL_IS_MODULES:
        h->overlay->class->input(h->overlay, h->lab->now, &p->arrival, p->data, p->size);
        break;
    default:
        break;
    }
    packet_give_back(p);
    host_pump(h);
}

static void host_advance(struct lab_host *h)
{
    const struct overlay_class *class = h->overlay->class;
    class->advance(h->overlay, h->lab->now);
    for (uint32_t i = 0; i < LAB_TUNNELS; i++) {
        struct lab_tunnel *t = &h->tunnel[i];
        if (t->used && t->confirm <= h->lab->now) {
            t->confirm = h->lab->now + OPEN_AGAIN;
            toy_send(h, &t->recipe, TOY_CONFIRM, t->host, NULL, 0);
        }
        if (!t->used || !t->up || t->linked || t->failed || t->again > h->lab->now)
            continue;
        bool again = t->opened;
        toy_send(h, &t->recipe, TOY_OPEN, t->host, NULL, 0);
        t->opened = true;
        t->again = h->lab->now + OPEN_AGAIN;
        if (again)
            class->tunnel_suspect(h->overlay, h->lab->now, i);
    }
    host_pump(h);
}

void lab_host_start(struct lab_host *h)
{
    const char *reason = "";
    struct overlay_settings s = {.instance = "lab.i3",
                                 .host = h->host,
                                 .options = h->option,
                                 .option_count = h->options,
                                 .first_socket = 5,
                                 .keepalive = 20 * SECOND,
                                 .name_keys = h->name_keys,
                                 .name_key_count = h->name_key_count,
                                 .members = &h->member,
                                 .member_count = h->member.option_count ? 1 : 0,
                                 .entropy = &h->random.entropy};
    h->overlay = overlay_new(overlay_class_find("i3"), &s, h->lab->now, &reason);
    if (!h->overlay)
        fail_msg("%s: %s", h->host, reason);
    struct endpoint any = {.port = h->at.port};
    h->overlay->class->bound(h->overlay, h->lab->now, 5, &any);
    host_pump(h);
}

struct lab_host *lab_host_add(struct lab *l, const char *name, const char *address, ...)
{
    static char servers[512];
    struct lab_host *h = &l->host[l->hosts++];
    va_list all;
    h->lab = l;
    h->at = lab_endpoint(address);
    strcpy(h->host, name);
    seeded_init(&h->random, 100 + l->hosts + entropy_u32(&l->random.entropy));
    memcpy(h->name_keys, l->name_keys, sizeof h->name_keys);
    h->name_key_count = l->name_key_count;
    h->book = l->book;
    h->member = (struct overlay_member){
        .host = l->book_host, .options = &h->book, .option_count = l->book_host ? 1 : 0};
    servers[0] = '\0';
    for (unsigned i = 0; i < l->servers; i++) {
        const struct endpoint *doors[] = {&l->server[i].at, &l->server[i].also};
        for (unsigned k = 0; k < 2; k++) {
            char at[ENDPOINT_TEXT];
            if (!doors[k]->ip.family)
                continue;
            strcat(servers, *servers ? "," : "");
            strcat(servers, endpoint_format(doors[k], at));
        }
    }
    h->option[h->options++] = (struct overlay_option){"servers", servers};
    va_start(all, address);
    for (const char *key; (key = va_arg(all, const char *));)
        h->option[h->options++] = (struct overlay_option){key, va_arg(all, const char *)};
    va_end(all);
    lab_host_start(h);
    return h;
}

void lab_host_stop(struct lab_host *h)
{
    overlay_free(h->overlay);
    h->overlay = NULL;
    memset(h->tunnel, 0, sizeof h->tunnel);
}

uint32_t lab_open(struct lab_host *h, const char *host)
{
    int found = tunnel_to(h, host);
    uint32_t tunnel = found < 0 ? tunnel_new(h, host) : (uint32_t)found;
    if (found < 0)
        h->overlay->class->tunnel_open(h->overlay, h->lab->now, tunnel, host);
    host_pump(h);
    return tunnel;
}

void lab_data(struct lab_host *h, uint32_t tunnel)
{
    if (h->tunnel[tunnel].has_recipe)
        toy_send(h, &h->tunnel[tunnel].recipe, TOY_DATA, h->tunnel[tunnel].host, "data", 4);
}

void lab_move(struct lab_host *h, const char *address)
{
    h->at = lab_endpoint(address);
    h->overlay->class->underlay_changed(h->overlay, h->lab->now);
    host_pump(h);
}

struct i3_tunnel *lab_tunnel(struct lab_host *h, uint32_t tunnel)
{
    return i3_tunnel_find(i3_of(h->overlay), tunnel);
}

uint64_t lab_counter(const struct lab_host *h, enum i3_counter counter)
{
    return i3_of(h->overlay)->client.counter[counter];
}

void lab_forge(struct lab_host *to, const char *from, const void *bytes, size_t size)
{
    struct lab_flight *f = base_calloc(1, sizeof *f + size);
    f->from = lab_endpoint(from);
    f->size = size;
    memcpy(f->bytes, bytes, size);
    host_receives(to, f);
    free(f);
}

/* ---- time ---- */

void lab_free(struct lab *l)
{
    struct lab_flight *f, *later;
    DL_FOREACH_SAFE(l->flights, f, later)
    free(f);
    for (unsigned i = 0; i < l->hosts; i++)
        overlay_free(l->host[i].overlay);
    for (unsigned i = 0; i < l->servers; i++)
        i3_server_free(l->server[i].server);
    free(l);
}

static bool lets_in(const struct lab_host *h, const struct endpoint *from)
{
    for (unsigned i = 0; i < 32; i++)
        if (endpoint_equal(&h->let_in[i], from))
            return true;
    return !h->nat;
}

static void land(struct lab *l, const struct lab_flight *f)
{
    for (unsigned i = 0; i < l->servers; i++) {
        struct lab_server *s = &l->server[i];
        bool clients = endpoint_equal(&f->to, &s->at) || endpoint_equal(&f->to, &s->also);
        bool ring = endpoint_equal(&f->to, &s->ring) || endpoint_equal(&f->to, &s->also_ring);
        if (s->dead || (!clients && !ring))
            continue;
        s->heard++;
        if (s->ghost && (clients || (f->size && !f->bytes[0]))) /* of the ring: ROUTE */
            return;
        if (!s->server) {
            lab_liar_hears(l, s, &f->from, f->bytes, f->size);
            return;
        }
        i3_server_input(s->server, l->now, clients ? I3_PORT_CLIENTS : I3_PORT_RING, &f->from,
                        f->bytes, f->size);
        lab_server_pump(l, s);
        return;
    }
    for (unsigned i = 0; i < l->hosts; i++) {
        struct lab_host *h = &l->host[i];
        struct endpoint at = f->to.ip.family == h->at.ip.family ? h->at : h->also;
        if (h->nat)
            at.ip = nat_address.ip;
        if (!h->overlay || !endpoint_equal(&f->to, &at) || !lets_in(h, &f->from))
            continue;
        for (unsigned k = 0; k < l->hosts; k++)
            h->saw[k] |= ip_address_equal(&f->from.ip, &l->host[k].at.ip);
        host_receives(h, f);
        return;
    }
    l->lost++;
}

static struct lab_flight *next_flight(const struct lab *l)
{
    struct lab_flight *first = NULL, *f;
    DL_FOREACH(l->flights, f)
    if (!first || f->due < first->due)
        first = f;
    return first;
}

static instant next_due(const struct lab *l)
{
    struct lab_flight *f = next_flight(l);
    instant due = f ? f->due : INSTANT_NEVER;
    for (unsigned i = 0; i < l->servers; i++)
        if (!l->server[i].dead && l->server[i].server)
            due = instant_min(due, i3_server_deadline(l->server[i].server));
    for (unsigned i = 0; i < l->hosts; i++) {
        const struct lab_host *h = &l->host[i];
        if (!h->overlay)
            continue;
        due = instant_min(due, h->overlay->class->deadline(h->overlay));
        for (unsigned t = 0; t < LAB_TUNNELS; t++)
            if (h->tunnel[t].up && !h->tunnel[t].linked && !h->tunnel[t].failed)
                due = instant_min(due, h->tunnel[t].again);
        for (unsigned t = 0; t < LAB_TUNNELS; t++)
            if (h->tunnel[t].used)
                due = instant_min(due, h->tunnel[t].confirm);
    }
    return due;
}

static void lab_step(struct lab *l)
{
    struct lab_flight *f;
    while ((f = next_flight(l)) && f->due <= l->now) {
        DL_DELETE(l->flights, f);
        land(l, f);
        free(f);
    }
    for (unsigned i = 0; i < l->servers; i++) {
        if (l->server[i].dead || !l->server[i].server)
            continue;
        i3_server_advance(l->server[i].server, l->now);
        lab_server_pump(l, &l->server[i]);
    }
    for (unsigned i = 0; i < l->hosts; i++)
        if (l->host[i].overlay)
            host_advance(&l->host[i]);
}

void lab_run(struct lab *l, instant span)
{
    instant end = l->now + span;
    for (instant due; (due = next_due(l)) <= end;) {
        l->now = due > l->now ? due : l->now;
        lab_step(l);
    }
    l->now = end;
}

bool lab_until(struct lab *l, instant span, bool (*so)(struct lab_host *h), struct lab_host *h)
{
    for (instant end = l->now + span; l->now < end;) {
        if (so(h))
            return true;
        lab_run(l, 10 * MILLISECOND);
    }
    return so(h);
}

static bool goes_by(struct lab_host *h, enum i3_way way)
{
    const struct i3_tunnel *t = lab_tunnel(h, 0);
    return h->tunnel[0].linked && t && t->way == way;
}

static bool pair_goes_by(struct lab_host *h, enum i3_way way)
{
    for (unsigned i = 0; i < h->lab->hosts; i++)
        if (h->tunnel[0].used && !strcmp(h->lab->host[i].host, h->tunnel[0].host))
            return goes_by(h, way) && goes_by(&h->lab->host[i], way);
    return false;
}

bool lab_by_private(struct lab_host *h)
{
    return pair_goes_by(h, I3_WAY_PRIVATE);
}

bool lab_by_shortcut(struct lab_host *h)
{
    return pair_goes_by(h, I3_WAY_SHORTCUT);
}

unsigned lab_exchange(struct lab_host *a, struct lab_host *b, unsigned times)
{
    unsigned before = a->tunnel[0].received + b->tunnel[0].received;
    for (unsigned i = 0; i < times; i++) {
        lab_data(a, 0);
        lab_data(b, 0);
        lab_run(a->lab, 100 * MILLISECOND);
    }
    return a->tunnel[0].received + b->tunnel[0].received - before;
}
