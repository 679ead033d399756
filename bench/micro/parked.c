/* Memory of a parked path: one host opens a link in each of 64 instances to each of 160 others, and
 * they wait until all links sleep.  What the heap gets back when the first one's engine goes is
 * divided by the number of links, chunks and their overhead included.  A path comes with its
 * neighbour, its peer, its recipe, the names, the keys bound to them and its place in the indexes.
 *
 * Keepalives are made rare, because each wakes its link for a second. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "bench/micro/micro.h"
#include "config/config.h"
#include "path/path.h"
#include "tests/support/seeded.h"

#define INSTANCES 64
#define OTHERS    160
#define PATHS     (INSTANCES * OTHERS)

struct end {
    struct config *config;
    struct path_instance *keys;
    struct seeded seeded;
    struct epoch *epoch;
    struct fwd_tables *tables;
    struct path_engine *engine;
    struct endpoint at;
    unsigned up, parked;
};

/* A datagram under way: kept so that engines are not called from within their own output. */
struct letter {
    struct letter *next;
    unsigned from, to, instance;
    size_t size;
    uint8_t bytes[];
};

struct net {
    struct end end[1 + OTHERS];
    instant now;
    struct letter *first, **last;
};

static struct config *configure(unsigned side)
{
    static const char *const types[] = {"ip", NULL};
    static char text[64 + INSTANCES * 64];
    struct config_error error;
    char reason[1024];
    size_t used = (size_t)snprintf(text, sizeof text,
                                   "name: h%u\ntimers: {keepalive: 10m}\noverlays:\n", side);
    for (unsigned i = 0; i < INSTANCES; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "  - instance: n%u.ip\n    secret: a.secret\n", i);
    struct config *c = config_parse(text, used, "bench", types, &error);
    if (!c) {
        fprintf(stderr, "bench_micro: %s\n", config_error_format(&error, reason, sizeof reason));
        exit(1);
    }
    return c;
}

static void end_init(struct net *n, unsigned side)
{
    struct end *e = &n->end[side];
    struct ip_address tun4, tun6;
    struct ip_prefix pool4 = {.length = 15}, pool6 = {.length = 48};
    require(ip_address_parse("10.99.0.1", &tun4) && ip_address_parse("fd99::1", &tun6));
    require(ip_address_parse("198.18.0.0", &pool4.ip) && ip_address_parse("fd18::", &pool6.ip));
    require(ip_address_parse("192.0.2.0", &e->at.ip));
    e->at.ip.bytes[3] = (uint8_t)side;
    e->at.port = 7400;
    e->config = configure(side);
    seeded_init(&e->seeded, side);
    e->epoch = epoch_new(1);
    e->tables = fwd_tables_new(e->epoch, &tun4, &tun6, &pool4, &pool6);
    e->keys = base_calloc(INSTANCES, sizeof *e->keys);
    for (unsigned i = 0; i < INSTANCES; i++) {
        e->keys[i].seed[0] = (uint8_t)(1 + side);
        e->keys[i].secret_count = 1;
    }
    e->engine = path_engine_new(&(struct path_settings){.config = e->config,
                                                        .instance = e->keys,
                                                        .data_lanes = 1,
                                                        .tables = e->tables,
                                                        .epoch = e->epoch,
                                                        .entropy = &e->seeded.entropy},
                                n->now);
}

static void end_done(struct end *e)
{
    config_free(e->config);
    free(e->keys);
}

static void recipe_make(const struct net *n, unsigned from, unsigned to, unsigned instance,
                        struct recipe *ret)
{
    struct endpoint local = {.ip = n->end[from].at.ip};
    recipe_begin(ret);
    require(recipe_add_send(ret, (uint16_t)instance, &local, &n->end[to].at, 0));
    ret->mtu = 1472;
    ret->from = n->end[to].at;
}

static void post(struct net *n, unsigned from, unsigned to, unsigned instance, const uint8_t *bytes,
                 size_t size)
{
    struct letter *l = malloc(sizeof *l + size);
    require(l);
    *l = (struct letter){.from = from, .to = to, .instance = instance, .size = size};
    memcpy(l->bytes, bytes, size);
    *n->last = l;
    n->last = &l->next;
}

/* The peer gets an address, as the owner of handles gives it. */
static void attach(struct net *n, unsigned side, uint32_t path)
{
    struct ip_address handle4 = {.family = 4, .bytes = {198, 18}}, none = {0};
    handle4.bytes[2] = (uint8_t)(path >> 8);
    handle4.bytes[3] = (uint8_t)path;
    path_attach(n->end[side].engine, path, &handle4, &none);
}

static void out(struct net *n, unsigned side, const struct path_out *o)
{
    struct end *e = &n->end[side];
    struct recipe recipe;
    unsigned to = 0;
    switch (o->kind) {
    case PATH_OUT_SEND:
        post(n, side, o->remote.ip.bytes[3], o->socket, o->bytes, o->size);
        break;
    case PATH_OUT_ANSWER:
        post(n, side, o->from.remote.ip.bytes[3], o->instance, o->bytes, o->size);
        break;
    case PATH_OUT_TUNNEL_OPEN: /* only end 0 opens: "h3.n17.ip" */
    case PATH_OUT_TUNNEL_ACCEPT:
        if (o->kind == PATH_OUT_TUNNEL_OPEN)
            to = (unsigned)strtoul(o->host + 1, NULL, 10);
        recipe_make(n, side, to, o->instance, &recipe);
        path_tunnel_up(e->engine, n->now, o->tunnel, &recipe);
        break;
    case PATH_OUT_UP:
        attach(n, side, o->path);
        e->up++;
        break;
    default:
        break;
    }
}

static void pump(struct net *n, unsigned side)
{
    struct path_out o;
    while (path_output(n->end[side].engine, &o))
        out(n, side, &o);
    epoch_collect(n->end[side].epoch);
}

static void deliver(struct net *n)
{
    while (n->first) {
        struct letter *l = n->first;
        struct end *to = &n->end[l->to];
        n->first = l->next;
        if (!n->first)
            n->last = &n->first;
        struct arrival from = {
            .socket = (uint16_t)l->instance, .local = to->at, .remote = n->end[l->from].at};
        path_datagram(to->engine, n->now, l->instance, &from, l->bytes, l->size);
        pump(n, l->to);
        free(l);
    }
}

/* Carries everything, then lets the time pass to what is due next. */
static void run(struct net *n, instant span)
{
    instant end = n->now + span;
    for (;;) {
        deliver(n);
        instant next = INSTANT_NEVER;
        for (unsigned i = 0; i <= OTHERS; i++)
            next = instant_min(next, path_deadline(n->end[i].engine));
        if (next > end)
            break;
        if (next > n->now)
            n->now = next;
        for (unsigned i = 0; i <= OTHERS; i++) {
            path_advance(n->end[i].engine, n->now);
            pump(n, i);
        }
    }
    n->now = end;
}

static void count(void *context, const struct path_info *info)
{
    struct end *e = context;
    e->parked += !strcmp(info->state, "parked");
}

static void open_all(struct net *n)
{
    for (unsigned i = 0; i < PATHS; i++) {
        struct name_chain chain;
        const char *reason;
        char name[64];
        snprintf(name, sizeof name, "h%u.n%u.ip", 1 + i / INSTANCES, i % INSTANCES);
        require(name_chain_parse(name, &chain, &reason));
        path_open(n->end[0].engine, n->now, &chain, i);
        pump(n, 0);
        run(n, MILLISECOND); /* one after the other: nobody is flooded */
    }
}

static long long heap(void)
{
    return (long long)mallinfo2().uordblks;
}

/* What the heap gets back when an end goes, its tables included. */
static long long holds(struct end *e)
{
    long long before = heap();
    path_engine_free(e->engine);
    fwd_tables_free(e->tables);
    epoch_free(e->epoch);
    return before - heap();
}

static void check(struct net *n)
{
    path_each(n->end[0].engine, count, &n->end[0]);
    if (n->end[0].up >= PATHS && n->end[0].parked == PATHS)
        return;
    fprintf(stderr, "bench_micro: %u paths of %u came up, %u are parked\n", n->end[0].up, PATHS,
            n->end[0].parked);
    exit(1);
}

void micro_parked(void)
{
    struct net *n = base_calloc(1, sizeof *n);
    n->now = 1000 * SECOND;
    n->last = &n->first;
    for (unsigned i = 0; i <= OTHERS; i++)
        end_init(n, i);
    open_all(n);
    run(n, SECOND);
    long long awake = heap();
    run(n, 90 * SECOND);
    check(n);
    long long asleep = heap(), path = holds(&n->end[0]) / PATHS;
    printf("{\"paths\":%u,\"bytes_per_open_path\":%lld,\"bytes_per_path\":%lld}\n", PATHS,
           path + (awake - asleep) / (2 * PATHS), path);
    for (unsigned i = 1; i <= OTHERS; i++)
        holds(&n->end[i]);
    for (unsigned i = 0; i <= OTHERS; i++)
        end_done(&n->end[i]);
    free(n);
}
