#include "overlay/ron/ron_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define PORT         7400
#define IP_UDP       28
#define SEAL         33 /* what a sealed module message has around it */
#define ASK_AGAIN    SECOND
#define GIVE_UP      (10 * SECOND)
#define TALK_PAUSE   (200 * MILLISECOND)
#define QUIET        (500 * MILLISECOND)
#define RECORD_BYTES 4 /* C0, kind, from, to */

enum kind { HANDSHAKE, ANSWER, MESSAGE, DATA, TALK, ECHO };

struct mesh_flight {
    instant at;
    uint64_t number;
    unsigned from, to;
    size_t size;
    uint8_t *bytes;
};

/* ---- time ---- */

static bool sooner(const struct mesh_flight *a, const struct mesh_flight *b)
{
    return a->at != b->at ? a->at < b->at : a->number < b->number;
}

static void fly(struct mesh *m, const struct mesh_flight *f)
{
    static uint64_t number;
    if (m->flights == m->room) {
        m->room = m->room ? 2 * m->room : 64;
        m->flying = base_realloc(m->flying, m->room * sizeof *m->flying);
    }
    unsigned at = m->flights++;
    m->flying[at] = *f;
    m->flying[at].number = number++;
    for (; at && sooner(&m->flying[at], &m->flying[(at - 1) / 2]); at = (at - 1) / 2) {
        struct mesh_flight up = m->flying[(at - 1) / 2];
        m->flying[(at - 1) / 2] = m->flying[at];
        m->flying[at] = up;
    }
}

static struct mesh_flight land(struct mesh *m)
{
    struct mesh_flight first = m->flying[0];
    m->flying[0] = m->flying[--m->flights];
    for (unsigned at = 0;;) {
        unsigned child = 2 * at + 1;
        if (child + 1 < m->flights && sooner(&m->flying[child + 1], &m->flying[child]))
            child++;
        if (child >= m->flights || !sooner(&m->flying[child], &m->flying[at]))
            return first;
        struct mesh_flight down = m->flying[child];
        m->flying[child] = m->flying[at];
        m->flying[at] = down;
        at = child;
    }
}

/* ---- sending ---- */

static bool chance(struct mesh *m, unsigned percent)
{
    return percent && entropy_below(&m->random.entropy, 100) < percent;
}

static void put_on_wire(struct mesh *m, unsigned from, const struct recipe *r,
                        const struct packet *p)
{
    const struct endpoint *remote = &recipe_target(r)->send.remote;
    unsigned to = remote->ip.bytes[2] * 250u + remote->ip.bytes[3] - 1;
    m->node[from].sent++;
    m->node[from].sent_bytes += p->size + IP_UDP;
    if (to >= m->count || remote->port != PORT || remote->ip.bytes[0] != 10)
        return;
    const struct mesh_pair *way = &m->pair[from][to];
    for (int copies = chance(m, way->doubles) ? 2 : 1; copies; copies--) {
        if (way->cut || chance(m, way->loss))
            continue;
        struct mesh_flight f = {.at = m->now + way->delay, .from = from, .to = to, .size = p->size};
        if (way->jitter)
            f.at +=
                (instant)entropy_below(&m->random.entropy, (uint32_t)(way->jitter / MICROSECOND)) *
                MICROSECOND;
        f.bytes = base_calloc(1, p->size);
        memcpy(f.bytes, p->data, p->size);
        fly(m, &f);
    }
}

static void send_by(struct mesh *m, unsigned from, unsigned to, const struct recipe *r,
                    enum kind kind, const void *bytes, size_t size)
{
    enum drop_reason reason;
    struct packet *p = packet_take(m->pool);
    uint8_t head[RECORD_BYTES] = {0xC0, (uint8_t)kind, (uint8_t)from, (uint8_t)to};
    assert_true(recipe_valid(r));
    assert_true(packet_fill(p, head, sizeof head));
    memcpy(p->data + p->size, bytes, size);
    p->size += size;
    if (kind == MESSAGE) /* as long as it would be sealed */
        p->size += SEAL - RECORD_BYTES;
    assert_true(!r->mtu || p->size <= (size_t)r->mtu * 8);
    if (recipe_run(r, p, &reason))
        put_on_wire(m, from, r, p);
    packet_give_back(p);
}

/* ---- links ---- */

static void pull(struct mesh *m, unsigned node);

static void set_link(struct mesh *m, unsigned node, unsigned other, bool up)
{
    struct mesh_tunnel *t = &m->node[node].tunnel[other];
    struct overlay *o = m->node[node].module;
    if (t->link == up && (up || !t->wanted))
        return;
    bool was = t->link;
    t->link = up;
    t->heard = m->now;
    if (up)
        o->class->link_up(o, m->now, other, m->name[other]);
    else
        o->class->link_down(o, m->now, other, m->name[other]);
    if (was && !up && !t->wanted && t->state != MESH_CLOSED) {
        t->state = MESH_CLOSED;
        o->class->tunnel_close(o, m->now, other);
    }
    pull(m, node);
}

static void ask(struct mesh *m, unsigned node, unsigned other)
{
    struct mesh_tunnel *t = &m->node[node].tunnel[other];
    t->ask = m->now + ASK_AGAIN;
    if (t->state == MESH_UP)
        send_by(m, node, other, &t->recipe, HANDSHAKE, "", 0);
}

static void want(struct mesh *m, unsigned node, unsigned other)
{
    struct mesh_node *n = &m->node[node];
    struct mesh_tunnel *t = &n->tunnel[other];
    t->wanted = true;
    if (t->link)
        return;
    t->give_up = m->now + GIVE_UP;
    t->ask = m->now + ASK_AGAIN;
    if (t->state == MESH_CLOSED) {
        t->state = MESH_OPENING;
        n->module->class->tunnel_open(n->module, m->now, other, m->name[other]);
    } else {
        ask(m, node, other);
    }
}

static unsigned index_of(const struct mesh *m, const char *host)
{
    unsigned i = 0;
    while (i < m->count && strcmp(m->name[i], host))
        i++;
    return i;
}

static void release(struct mesh *m, unsigned node, unsigned other)
{
    struct mesh_tunnel *t = other < m->count ? &m->node[node].tunnel[other] : NULL;
    if (!t)
        return;
    t->wanted = false;
    if (t->link || t->state == MESH_CLOSED)
        return;
    t->state = MESH_CLOSED;
    m->node[node].module->class->tunnel_close(m->node[node].module, m->now, other);
}

static void pull(struct mesh *m, unsigned node)
{
    struct mesh_node *n = &m->node[node];
    struct overlay_out out;
    while (n->running && n->module->class->output(n->module, &out)) {
        unsigned other = out.tunnel;
        struct mesh_tunnel *t = other < m->count ? &n->tunnel[other] : NULL;
        switch (out.kind) {
        case OVERLAY_TUNNEL_UP:
        case OVERLAY_TUNNEL_RECIPE:
            t->recipe = *out.recipe;
            if (out.kind == OVERLAY_TUNNEL_UP || !t->link) {
                t->state = MESH_UP;
                if (t->wanted && !t->link)
                    ask(m, node, other);
            }
            break;
        case OVERLAY_TUNNEL_FAILED:
        case OVERLAY_TUNNEL_DOWN:
            t->state = MESH_CLOSED;
            n->module->class->tunnel_close(n->module, m->now, other);
            set_link(m, node, other, false);
            break;
        case OVERLAY_LINK_MESSAGE:
            assert_true(t->link);
            send_by(m, node, other, out.recipe ? out.recipe : &t->recipe, MESSAGE, out.bytes,
                    out.size);
            break;
        case OVERLAY_LINK_WANT:
            if (index_of(m, out.host) < m->count)
                want(m, node, index_of(m, out.host));
            break;
        case OVERLAY_LINK_RELEASE:
            release(m, node, index_of(m, out.host));
            break;
        case OVERLAY_PEEL:
            n->peel = *out.peel;
            break;
        case OVERLAY_RETIRE:
            out.retire(out.object);
            break;
        case OVERLAY_LOOKUP:
            n->lookups++;
            n->lookup = out.lookup;
            snprintf(n->lookup_name, sizeof n->lookup_name, "%s", out.name);
            break;
        case OVERLAY_SEND:
            fail_msg("RON says nothing in clear");
        }
    }
}

/* ---- receiving ---- */

static void received(struct mesh *m, unsigned node, struct packet *p)
{
    struct mesh_node *n = &m->node[node];
    enum kind kind = p->data[1];
    unsigned from = p->data[2];
    struct mesh_tunnel *t = &n->tunnel[from];
    struct overlay *o = n->module;
    struct recipe answer;
    if (p->data[3] != (uint8_t)node)
        fail_msg("n%u got what was for n%u", node, p->data[3]);
    t->heard = m->now;
    if (kind == DATA) {
        n->got++;
    } else if (kind == TALK) {
        if (t->state == MESH_UP)
            send_by(m, node, from, &t->recipe, ECHO, "", 0);
    } else if (kind == ECHO) {
        t->unanswered = 0;
    } else if (kind == HANDSHAKE) {
        if (t->state == MESH_CLOSED) {
            t->state = MESH_OPENING;
            o->class->tunnel_accept(o, m->now, from, m->name[from], &p->arrival);
            pull(m, node);
        } else if (t->state == MESH_UP && !endpoint_equal(&t->recipe.from, &p->arrival.remote)) {
            o->class->tunnel_moved(o, m->now, from, &p->arrival);
        }
        if (o->class->answer(o, &p->arrival, &answer))
            send_by(m, node, from, &answer, ANSWER, "", 0);
        if (t->state == MESH_UP)
            set_link(m, node, from, true);
    } else if (kind == ANSWER) {
        if (t->state == MESH_UP)
            set_link(m, node, from, true);
    } else if (t->link) {
        if (!endpoint_equal(&t->recipe.from, &p->arrival.remote))
            o->class->tunnel_moved(o, m->now, from, &p->arrival);
        o->class->link_message(o, m->now, from, &p->arrival, p->data + RECORD_BYTES,
                               p->size - SEAL);
    }
    pull(m, node);
}

static void arrive(struct mesh *m, const struct mesh_flight *f)
{
    struct mesh_node *n = &m->node[f->to];
    const struct recipe *on = NULL;
    enum drop_reason reason = DROP_COUNT;
    struct packet *p = packet_take(m->pool);
    assert_true(packet_fill(p, f->bytes, f->size));
    p->arrival = (struct arrival){.socket = 3, .remote = m->node[f->from].at};
    if (n->running) {
        switch (peel_run(&n->peel, p, &on, &reason)) {
        case PEEL_IS_RECORD:
            received(m, f->to, p);
            break;
        case PEEL_FORWARD:
            n->forwarded++;
            if (!n->black_hole && recipe_run(on, p, &reason))
                put_on_wire(m, f->to, on, p);
            break;
        case PEEL_DROP:
            n->drops[reason]++;
            break;
        case PEEL_IS_MODULES:
            fail_msg("RON has no protocol in clear");
        }
    }
    packet_give_back(p);
}

/* ---- running ---- */

static void talk(struct mesh *m, unsigned node, unsigned other, struct mesh_tunnel *t)
{
    struct overlay *o = m->node[node].module;
    if (m->now >= t->talk) {
        t->talk = m->now + TALK_PAUSE;
        t->unanswered = t->unanswered ? t->unanswered : m->now;
        send_by(m, node, other, &t->recipe, TALK, "", 0);
    }
    if (t->unanswered && m->now - t->unanswered >= QUIET && m->now - t->quiet >= QUIET) {
        t->quiet = m->now;
        o->class->tunnel_use(o, m->now, other, OVERLAY_QUIET);
        pull(m, node);
    }
}

static void tick(struct mesh *m, unsigned node)
{
    struct mesh_node *n = &m->node[node];
    struct overlay *o = n->module;
    if (o->class->deadline(o) <= m->now) {
        o->class->advance(o, m->now);
        assert_true(o->class->deadline(o) > m->now);
        pull(m, node);
    }
    for (unsigned other = 0; other < m->count; other++) {
        struct mesh_tunnel *t = &n->tunnel[other];
        if (t->talks && t->state == MESH_UP)
            talk(m, node, other, t);
        if (t->link && m->now - t->heard > 25 * SECOND) { /* as the path engine notices */
            o->class->tunnel_suspect(o, m->now, other);
            set_link(m, node, other, false);
        } else if (!t->link && t->wanted && m->now >= t->give_up) {
            t->wanted = false;
            o->class->link_down(o, m->now, other, m->name[other]);
            pull(m, node);
        } else if (!t->link && t->wanted && t->state == MESH_UP && m->now >= t->ask) {
            o->class->tunnel_suspect(o, m->now, other);
            pull(m, node);
            ask(m, node, other);
        }
    }
}

void mesh_run(struct mesh *m, instant span)
{
    const instant step = 20 * MILLISECOND, end = m->now + span;
    while (m->now < end) {
        instant next = m->now + step;
        while (m->flights && m->flying[0].at <= next) {
            struct mesh_flight f = land(m);
            m->now = f.at > m->now ? f.at : m->now;
            arrive(m, &f);
            free(f.bytes);
        }
        m->now = next;
        for (unsigned i = 0; i < m->count; i++)
            if (m->node[i].running)
                tick(m, i);
    }
}

bool mesh_until(struct mesh *m, bool (*holds)(struct mesh *m), instant span, instant *ret_took)
{
    instant begin = m->now;
    while (!holds(m) && m->now - begin < span)
        mesh_run(m, 100 * MILLISECOND);
    if (ret_took)
        *ret_took = m->now - begin;
    return holds(m);
}

/* ---- making ---- */

struct mesh *mesh_new(unsigned count, unsigned seeds, uint64_t seed)
{
    struct mesh *m = base_calloc(1, sizeof *m);
    m->count = count;
    m->now = SECOND;
    m->pool = packet_pool_new(64);
    seeded_init(&m->random, seed);
    for (unsigned i = 0; i < count; i++) {
        snprintf(m->name[i], sizeof m->name[i], "n%u", i);
        snprintf(m->place[i], sizeof m->place[i], "10.0.%u.%u:%u", (i / 250) & 0xFF, i % 250 + 1,
                 PORT);
        m->places[i] = m->place[i];
        assert_true(endpoint_parse(m->place[i], 0, &m->node[i].at));
    }
    for (unsigned i = 0; i < count; i++) {
        m->members[i] = base_calloc(seeds + 1, sizeof **m->members);
        for (unsigned k = 0, at = 0; k < seeds; k++)
            if (k != i)
                m->members[i][at++] =
                    (struct overlay_member){.host = m->name[k], .at = &m->places[k], .at_count = 1};
    }
    mesh_all_pairs(m, &(struct mesh_pair){.delay = 10 * MILLISECOND});
    return m;
}

void mesh_free(struct mesh *m)
{
    for (unsigned i = 0; i < m->count; i++) {
        mesh_stop(m, i, false);
        free(m->members[i]);
    }
    while (m->flights)
        free(land(m).bytes);
    free(m->flying);
    packet_pool_free(m->pool);
    free(m);
}

void mesh_option(struct mesh *m, unsigned node, const char *key, const char *value)
{
    m->options[node][m->option_count[node]++] = (struct overlay_option){key, value};
}

void mesh_options(struct mesh *m, const char *key, const char *value)
{
    for (unsigned i = 0; i < m->count; i++)
        mesh_option(m, i, key, value);
}

void mesh_set(struct mesh *m, unsigned a, unsigned b, const struct mesh_pair *as)
{
    m->pair[a][b] = m->pair[b][a] = *as;
}

void mesh_all_pairs(struct mesh *m, const struct mesh_pair *as)
{
    for (unsigned a = 0; a < m->count; a++)
        for (unsigned b = 0; b < m->count; b++)
            m->pair[a][b] = *as;
}

void mesh_start(struct mesh *m, unsigned node)
{
    const char *reason = NULL;
    unsigned members = 0;
    while (m->members[node][members].host)
        members++;
    struct overlay_settings s = {.instance = "lab.ron",
                                 .host = m->name[node],
                                 .members = m->members[node],
                                 .member_count = members,
                                 .options = m->options[node],
                                 .option_count = m->option_count[node],
                                 .first_socket = 3,
                                 .keepalive = 25 * SECOND,
                                 .entropy = &m->random.entropy};
    m->node[node].module = overlay_new(overlay_class_find("ron"), &s, m->now, &reason);
    if (!m->node[node].module)
        fail_msg("n%u: %s", node, reason);
    m->node[node].running = true;
    pull(m, node);
}

void mesh_start_all(struct mesh *m)
{
    for (unsigned i = 0; i < m->count; i++)
        mesh_start(m, i);
}

void mesh_stop(struct mesh *m, unsigned node, bool properly)
{
    struct mesh_node *n = &m->node[node];
    if (!n->running)
        return;
    if (properly) {
        n->module->class->leave(n->module, m->now);
        pull(m, node);
    }
    overlay_free(n->module);
    n->module = NULL;
    n->running = false;
    memset(n->tunnel, 0, sizeof n->tunnel);
}

/* ---- looking ---- */

struct ron *mesh_ron(struct mesh *m, unsigned node)
{
    return (struct ron *)m->node[node].module;
}

struct ron_member *mesh_member(struct mesh *m, unsigned node, unsigned other)
{
    struct ron_member *found = ron_member(mesh_ron(m, node), m->name[other]);
    if (!found)
        fail_msg("n%u does not know n%u", node, other);
    return found;
}

int mesh_hop(struct mesh *m, unsigned node, unsigned other)
{
    struct ron_member *x = mesh_member(m, node, other);
    struct ron_member *hop = x->hop ? ron_member_by_id(mesh_ron(m, node), x->hop) : NULL;
    return hop ? (int)index_of(m, hop->host) : -1;
}

unsigned mesh_links(struct mesh *m, unsigned node)
{
    unsigned count = 0;
    for (unsigned i = 0; i < m->count; i++)
        count += m->node[node].tunnel[i].link;
    return count;
}

void mesh_data(struct mesh *m, unsigned a, unsigned b)
{
    if (m->node[a].tunnel[b].state == MESH_UP)
        send_by(m, a, b, &m->node[a].tunnel[b].recipe, DATA, "data", 4);
}

void mesh_busy(struct mesh *m, unsigned a, unsigned b, enum overlay_use use)
{
    struct overlay *o = m->node[a].module;
    o->class->tunnel_use(o, m->now, b, use);
    pull(m, a);
}

void mesh_talk(struct mesh *m, unsigned a, unsigned b)
{
    m->node[a].tunnel[b].talks = true;
    mesh_busy(m, a, b, OVERLAY_BUSY);
}

void mesh_say(struct mesh *m, unsigned from, unsigned to, const void *bytes, size_t size)
{
    struct overlay *o = m->node[to].module;
    struct arrival a = {.socket = 3, .remote = m->node[from].at};
    o->class->link_message(o, m->now, from, &a, bytes, size);
    pull(m, to);
}
