/* Addresses say which machine: 10.a.b.c with the number in a, b, c; 11.a.b.c are clients.  A client does what one of the
 * original does: INSERT, answer to a CHALLENGE, and the same INSERT again every 15 to 20 s, by a server that it picks.
 *
 * A lookup is a packet with REQUEST_FOR_CACHE for a random identifier, from a client by a random server: right when the
 * answer names the server whose place follows the identifier among all that live.  The last bytes of the identifier,
 * which the ring does not look at, say which lookup it is: so hops are counted on the wire. */
#include "sim/ring_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "i3/i3_server.h"

#define PORT_I3      5610
#define PORT_RING    6510
#define JOINS        50 /* servers a second that come in the beginning, or... */
#define GROWTH       20 /* one for so many that are there, if that is more      */
#define SETTLE       (60 * SECOND)
#define TRIES        3
#define TRY_AFTER    (2 * SECOND)
#define LOOK_EVERY   SECOND
#define REPAIR_EVERY (100 * MILLISECOND)
#define GIVE_UP      (60 * SECOND)
#define REST         300 /* steps after the last death: every client has refreshed by then */

struct machine {
    struct timer timer; /* first */
    struct seeded random;
    struct i3_server *server; /* NULL: dead, or not there yet */
    struct chord_id id;
};

struct lookup {
    struct i3_id id;
    unsigned tries, hops;
    bool answered;
    enum ring_fate fate; /* of the first try, unless it is answered */
    instant next;        /* try */
};

struct client {
    struct i3_trigger trigger;
    struct endpoint at;
    instant next, lost; /* lost: since when, 0: it is where it belongs */
};

struct death {
    struct chord_id id;
    instant at;
    bool repaired;
};

struct endpoint ring_address(uint8_t net, unsigned number, uint16_t port)
{
    return (struct endpoint){
        .ip = {4, {net, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}},
        .port = port};
}

unsigned ring_number_of(const struct endpoint *e)
{
    return (unsigned)e->ip.bytes[1] << 16 | (unsigned)e->ip.bytes[2] << 8 | e->ip.bytes[3];
}

static uint32_t draw(struct ring_world *w, uint32_t bound)
{
    return entropy_below(&w->net.random.entropy, bound);
}

/* With pairs to measure machines have places; without, all are equally far from each other, and jitter reorders. */
void ring_send(struct ring_world *w, const struct endpoint *from, const struct endpoint *to,
               const void *bytes, size_t size)
{
    if (w->plan->pairs)
        w->net.delay = ring_distance(w->plan->seed, from, to);
    tiny_net_send(&w->net, w->now, from, to, bytes, size);
}

/* ---- who lives ---- */

/* Where in `alive` the first place at or behind the key is. */
static unsigned rank(const struct ring_world *w, const struct chord_id *key)
{
    unsigned low = 0, high = w->alives;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (chord_compare(&w->machine[w->alive[middle]].id, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct machine *responsible(struct ring_world *w, const struct chord_id *key)
{
    unsigned at = rank(w, key);
    return &w->machine[w->alive[at == w->alives ? 0 : at]];
}

static struct machine *any(struct ring_world *w)
{
    return &w->machine[w->alive[draw(w, w->alives)]];
}

static unsigned number(const struct ring_world *w, const struct machine *m)
{
    return (unsigned)(m - w->machine);
}

struct endpoint ring_any_server(struct ring_world *w)
{
    return ring_address(RING_NET_SERVERS, number(w, any(w)), PORT_I3);
}

static void pull(struct ring_world *w, struct machine *m)
{
    struct i3_server_out out;
    while (i3_server_output(m->server, &out)) {
        struct endpoint from = ring_address(RING_NET_SERVERS, number(w, m),
                                            out.port == I3_PORT_RING ? PORT_RING : PORT_I3);
        ring_send(w, &from, &out.letter.to, out.letter.bytes, out.letter.size);
    }
    heap_set(&w->timers, &m->timer, i3_server_deadline(m->server));
}

static void come(struct ring_world *w)
{
    struct machine *m = &w->machine[w->machines];
    struct i3_server_settings s = {.at = ring_address(RING_NET_SERVERS, w->machines, PORT_I3),
                                   .triggers = 100000,
                                   .remembered = 16,
                                   .outbox = 32768,
                                   .entropy = &m->random.entropy};
    require(w->machines < w->most);
    seeded_init(&m->random, w->plan->seed * 1000003 + w->machines);
    entropy_fill(&m->random.entropy, m->id.bytes, CHORD_ID);
    s.chord.self =
        (struct chord_node){m->id, ring_address(RING_NET_SERVERS, w->machines, PORT_RING)};
    s.chord.secret = w->plan->secret ? w->secret : NULL;
    for (unsigned i = 0; i < 4 && w->alives; i++)
        s.chord.seed[s.chord.seeds++] =
            ring_address(RING_NET_SERVERS, number(w, any(w)), PORT_RING);
    m->server = i3_server_new(&s, w->now);
    unsigned at = rank(w, &m->id);
    memmove(&w->alive[at + 1], &w->alive[at], (w->alives - at) * sizeof *w->alive);
    w->alive[at] = w->machines++;
    w->alives++;
    heap_set(&w->timers, &m->timer, w->now);
}

static void die(struct ring_world *w)
{
    unsigned at = draw(w, w->alives);
    struct machine *m = &w->machine[w->alive[at]];
    w->death[w->deaths++] = (struct death){.id = m->id, .at = w->now};
    heap_unset(&w->timers, &m->timer);
    i3_server_free(m->server);
    m->server = NULL;
    w->alives--;
    memmove(&w->alive[at], &w->alive[at + 1], (w->alives - at) * sizeof *w->alive);
}

/* ---- clients ---- */

static void send_packet(struct ring_world *w, const struct endpoint *from,
                        const struct i3_packet *p)
{
    uint8_t bytes[512];
    size_t size = i3_packet_write(p, bytes, sizeof bytes);
    struct endpoint to = ring_any_server(w);
    require(size);
    ring_send(w, from, &to, bytes, size);
}

static void insert(struct ring_world *w, struct client *c)
{
    struct i3_packet p = {
        .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = 1, .stack = &c->trigger.id, .option_count = 2};
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&c->at)};
    p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = c->trigger};
    send_packet(w, &c->at, &p);
    /* As the original: every 2 s until it is acknowledged. */
    c->next = w->now + 2 * SECOND;
}

static void client_begin(struct ring_world *w, unsigned index)
{
    struct client *c = &w->client[index];
    c->at = ring_address(RING_NET_CLIENTS, index, 10000);
    c->trigger = (struct i3_trigger){.prefix = 256, .target = i3_address_of(&c->at)};
    i3_id_draw(w->hash, &w->net.random.entropy, NULL, &c->trigger.id, c->trigger.key);
    c->next = w->now + (instant)draw(w, 1000) * 10 * MILLISECOND;
}

static void client_hears(struct ring_world *w, struct client *c, const struct i3_packet *p)
{
    const struct i3_option *o = &p->option[0];
    if (!p->option_count || (o->type != I3_CHALLENGE && o->type != I3_ACK) ||
        !i3_trigger_same(&o->trigger, &c->trigger))
        return;
    memcpy(c->trigger.nonce, o->trigger.nonce, I3_NONCE);
    if (o->type == I3_CHALLENGE) {
        insert(w, c);
        return;
    }
    c->next = w->now + 15 * SECOND + (instant)draw(w, 5000) * MILLISECOND;
}

/* ---- lookups ---- */

static const struct endpoint asker = {.ip = {4, {RING_NET_ASKER, 0, 0, 1}}, .port = 10000};

static void ask(struct ring_world *w, struct lookup *l)
{
    struct i3_packet p = {
        .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = 1, .stack = &l->id, .option_count = 2};
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&asker)};
    p.option[1].type = I3_REQUEST_FOR_CACHE;
    if (l->tries++ == 1)
        w->report->failed[l->fate]++;
    l->hops = 0;
    l->next = w->now + TRY_AFTER;
    send_packet(w, &asker, &p);
}

static void lookup_begin(struct ring_world *w)
{
    struct lookup *l = &w->lookup[w->lookups];
    entropy_fill(&w->net.random.entropy, l->id.bytes, I3_RING);
    memcpy(l->id.bytes + I3_RING, &w->lookups, sizeof w->lookups);
    w->lookups++;
    w->report->lookups++;
    ask(w, l);
}

static struct lookup *lookup_of(struct ring_world *w, const uint8_t *id)
{
    unsigned index;
    memcpy(&index, id + I3_RING, sizeof index);
    return index < w->lookups && !memcmp(w->lookup[index].id.bytes, id, I3_ID) ? &w->lookup[index]
                                                                               : NULL;
}

static void lookup_hears(struct ring_world *w, const struct i3_packet *p)
{
    const struct i3_trigger *t = &p->option[0].trigger;
    if (p->option_count != 1 || p->option[0].type != I3_CACHE_ADDRESS)
        return;
    struct lookup *l = lookup_of(w, t->id.bytes);
    struct chord_id key;
    if (!l || l->answered)
        return;
    memcpy(key.bytes, t->id.bytes, CHORD_ID);
    const struct machine *right = responsible(w, &key);
    if (ring_number_of(&t->target.at) != number(w, right)) {
        l->fate = chord_is_settled(i3_server_chord(right->server)) ? RING_ELSEWHERE : RING_COMING;
        return;
    }
    l->answered = true;
    w->report->with_retries++;
    if (l->tries > 1)
        return;
    w->report->at_once++;
    w->report->hops += l->hops;
}

static void count_hop(struct ring_world *w, const struct tiny_datagram *d, bool dead)
{
    const size_t id = 1 + CHORD_ID + 2 + I3_HEADER;
    if (d->size < id + I3_ID || d->bytes[0] != CHORD_ROUTE)
        return;
    struct lookup *l = lookup_of(w, d->bytes + id);
    if (!l)
        return;
    l->hops++;
    if (dead && l->tries == 1)
        l->fate = RING_DEAD;
}

/* ---- time ---- */

static void note(struct ring_world *w, const struct tiny_datagram *d)
{
    /* FNV-1a over what arrives, when and where. */
    uint64_t parts[3] = {(uint64_t)d->due, ring_number_of(&d->to), d->size};
    for (unsigned i = 0; i < 3; i++)
        w->report->print = (w->report->print ^ parts[i]) * UINT64_C(0x100000001b3);
}

static void arrive(struct ring_world *w, const struct tiny_datagram *d)
{
    struct i3_packet p;
    unsigned to = ring_number_of(&d->to);
    note(w, d);
    if (d->to.ip.bytes[0] == RING_NET_SERVERS) {
        struct machine *m = &w->machine[to];
        bool dead = to >= w->machines || !m->server;
        if (d->to.port == PORT_RING)
            count_hop(w, d, dead);
        if (dead)
            return;
        i3_server_input(m->server, w->now, d->to.port == PORT_RING ? I3_PORT_RING : I3_PORT_CLIENTS,
                        &d->from, d->bytes, d->size);
        pull(w, m);
    } else if (d->to.ip.bytes[0] == RING_NET_PAIRS) {
        ring_stretch_hears(w, d);
    } else if (i3_packet_parse(d->bytes, d->size, &p) == I3_FINE) {
        if (d->to.ip.bytes[0] == RING_NET_CLIENTS)
            client_hears(w, &w->client[to], &p);
        else
            lookup_hears(w, &p);
    }
}

static void pass_time(struct ring_world *w, instant end)
{
    while (w->now < end) {
        instant next = instant_min(tiny_net_next(&w->net), heap_next(&w->timers));
        w->now = instant_min(end, next > w->now ? next : w->now);
        for (struct tiny_datagram *d; (d = tiny_net_take(&w->net, w->now)); free(d))
            arrive(w, d);
        for (struct timer *t; (t = heap_due(&w->timers, w->now));) {
            struct machine *m = (struct machine *)t;
            i3_server_advance(m->server, w->now);
            pull(w, m);
        }
    }
}

static void look_at_deaths(struct ring_world *w)
{
    for (unsigned i = 0; i < w->deaths; i++) {
        struct death *d = &w->death[i];
        instant took = w->now - d->at;
        if (d->repaired || took > GIVE_UP ||
            !chord_owns(i3_server_chord(responsible(w, &d->id)->server), &d->id))
            continue;
        d->repaired = true;
        w->report->repaired++;
        w->report->repair_mean_s += (double)took / SECOND;
        if ((double)took / SECOND > w->report->repair_most_s)
            w->report->repair_most_s = (double)took / SECOND;
    }
}

static bool is_lost(struct ring_world *w, const struct client *c)
{
    struct chord_id key;
    memcpy(key.bytes, c->trigger.id.bytes, CHORD_ID);
    return !i3_server_has(responsible(w, &key)->server, w->now, &c->trigger.id);
}

static unsigned look_at_triggers(struct ring_world *w)
{
    struct ring_report *r = w->report;
    unsigned count = 0;
    for (unsigned i = 0; i < w->plan->triggers; i++) {
        struct client *c = &w->client[i];
        bool lost = is_lost(w, c);
        count += lost;
        if (lost == (c->lost != 0))
            continue;
        if (lost) {
            c->lost = w->now;
            continue;
        }
        double took = (double)(w->now - c->lost) / SECOND;
        c->lost = 0;
        r->losses++;
        r->loss_mean_s += took;
        r->loss_most_s = took > r->loss_most_s ? took : r->loss_most_s;
    }
    return count;
}

static void clients_wake(struct ring_world *w)
{
    for (unsigned i = 0; i < w->plan->triggers; i++)
        if (w->client[i].next <= w->now)
            insert(w, &w->client[i]);
    /* The oldest are done with. */
    unsigned first = w->lookups > 8 * w->plan->lookups ? w->lookups - 8 * w->plan->lookups : 0;
    for (unsigned i = first; i < w->lookups; i++) {
        struct lookup *l = &w->lookup[i];
        if (!l->answered && l->tries < TRIES && l->next <= w->now)
            ask(w, l);
    }
}

void ring_step(struct ring_world *w)
{
    clients_wake(w);
    pass_time(w, w->now + REPAIR_EVERY);
}

/* Everything knows its place, and agrees with the list of who lives. */
static bool is_formed(struct ring_world *w)
{
    for (unsigned i = 0; i < w->alives; i++) {
        const struct chord *c = i3_server_chord(w->machine[w->alive[i]].server);
        const struct chord_id *before = &w->machine[w->alive[i ? i - 1 : w->alives - 1]].id;
        struct chord_id from = chord_range_from(c);
        if (!chord_is_settled(c) || !chord_id_equal(&from, before))
            return false;
    }
    return true;
}

static void form(struct ring_world *w)
{
    for (unsigned i = 0; i < w->plan->servers; i++) {
        come(w);
        pass_time(w, w->now + SECOND / (w->alives < JOINS * GROWTH ? JOINS : w->alives / GROWTH));
    }
    for (unsigned i = 0; i < w->plan->triggers; i++)
        client_begin(w, i);
    for (instant end = w->now + SETTLE; w->now < end;)
        ring_step(w);
    unsigned lost = 0;
    for (unsigned i = 0; i < w->plan->triggers; i++)
        lost += is_lost(w, &w->client[i]);
    w->report->formed = is_formed(w) && !lost;
}

/* `done` of `all` steps are over: how many of `events` should be over as well? */
static unsigned due(unsigned events, unsigned done, unsigned all)
{
    return (unsigned)((uint64_t)events * done / all);
}

static void watch(struct ring_world *w)
{
    const struct ring_plan *plan = w->plan;
    unsigned replaced = plan->servers * plan->churn / 100, steps = plan->seconds * 10,
             come_count = 0;
    for (unsigned step = 1; step <= steps; step++) {
        while (w->deaths < due(replaced, step, steps))
            die(w);
        while (come_count < due(replaced, step, steps)) {
            come(w);
            come_count++;
        }
        while (w->lookups < due(plan->lookups * plan->seconds, step, steps))
            lookup_begin(w);
        ring_step(w);
        look_at_deaths(w);
        w->report->trigger_steps += plan->triggers;
        w->report->lost_steps += look_at_triggers(w);
    }
    for (unsigned step = 0; step < REST; step++) {
        ring_step(w);
        look_at_deaths(w);
        w->report->lost_at_end = look_at_triggers(w);
    }
}

void ring_run(const struct ring_plan *plan, struct ring_report *ret)
{
    struct ring_world w = {.plan = plan, .report = ret, .now = SECOND};
    *ret = (struct ring_report){.print = UINT64_C(0xcbf29ce484222325)};
    w.most = plan->servers + plan->servers * plan->churn / 100;
    w.machine = base_calloc(w.most, sizeof *w.machine);
    w.alive = base_calloc(w.most, sizeof *w.alive);
    w.lookup = base_calloc((size_t)plan->lookups * plan->seconds + 1, sizeof *w.lookup);
    w.client = base_calloc(plan->triggers + 1, sizeof *w.client);
    w.death = base_calloc(w.most, sizeof *w.death);
    w.hash = i3_hash_new();
    tiny_net_init(&w.net, plan->seed);
    w.net.delay = 20 * MILLISECOND;
    w.net.jitter = plan->pairs ? 0 : 60 * MILLISECOND;
    entropy_fill(&w.net.random.entropy, w.secret, sizeof w.secret);
    form(&w);
    if (plan->pairs)
        ring_stretch_measure(&w);
    uint64_t before = w.net.sent;
    watch(&w);
    ret->deaths = w.deaths;
    if (ret->repaired)
        ret->repair_mean_s /= ret->repaired;
    if (ret->losses)
        ret->loss_mean_s /= ret->losses;
    ret->datagrams = w.net.sent;
    ret->datagrams_a_server_second =
        (double)(w.net.sent - before) / (plan->servers * (double)(plan->seconds + REST / 10));
    for (unsigned i = 0; i < w.machines; i++)
        i3_server_free(w.machine[i].server);
    heap_done(&w.timers);
    tiny_net_done(&w.net);
    i3_hash_free(w.hash);
    free(w.machine);
    free(w.alive);
    free(w.lookup);
    free(w.client);
    free(w.death);
}
