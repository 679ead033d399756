#include "path/path_fixture.h"

#include <stdio.h>

#include "path/path_fixture_wire.h"

#define SEEN_BITS (1u << 20)
#define TEST_PORT 7777

/* ---- nonces ---- */

/* What was sealed with one (key, counter): the same bytes may be sent again, others never. */
struct nonce {
    UT_hash_handle hh;
    struct {
        uint8_t key[32]; /* of the direction */
        uint64_t counter;
        uint32_t lane, epoch;
    } id;
    uint8_t digest[32];
};

static void nonce_check(struct net *net, const uint8_t key[32], const struct record_header *h,
                        const uint8_t *record, size_t size)
{
    struct nonce *n, *probe = base_calloc(1, sizeof *probe);
    memcpy(probe->id.key, key, 32);
    probe->id.counter = h->counter;
    probe->id.lane = LABEL_LANE(h->label);
    probe->id.epoch = h->epoch;
    crypto_sha256(record + RECORD_HEADER, size - RECORD_HEADER, probe->digest);
    HASH_FIND(hh, net->nonces, &probe->id, sizeof probe->id, n);
    if (n) {
        assert_memory_equal(n->digest, probe->digest, 32);
        free(probe);
        return;
    }
    HASH_ADD(hh, net->nonces, id, sizeof probe->id, probe);
}

/* Which of the sender's keys sealed this record?  Key and counter are noted. */
static void record_check(struct net *net, struct box *from, const uint8_t *record, size_t size)
{
    struct record_header h;
    if (!record_read_header(record, size, &h))
        return;
    for (uint32_t i = 0; i < from->e->slot_range; i++) {
        const struct path *p = from->e->slot[i].object;
        if (from->e->slot[i].kind != SLOT_PATH || !p->fwd ||
            p->label_out != (h.label & ~(uint32_t)0xF) || p->keys.epoch != h.epoch)
            continue;
        uint8_t key[32], copy[PACKET_SIZE];
        size_t plain;
        enum drop_reason reason;
        record_lane_key(p->keys.send, (uint8_t)LABEL_LANE(h.label), h.epoch, key);
        struct record_opener *o = record_opener_new(NULL, p->aead, key, true, 0);
        memcpy(copy, record, size);
        if (record_open(o, copy, size, &h, &plain, &reason))
            nonce_check(net, p->keys.send, &h, record, size);
        record_opener_free(o);
    }
}

void wire_nonces_free(struct net *net)
{
    struct nonce *n, *next;
    HASH_ITER(hh, net->nonces, n, next)
    {
        HASH_DEL(net->nonces, n);
        free(n);
    }
}

/* ---- the wire ---- */

struct endpoint net_endpoint(unsigned instance, unsigned host)
{
    struct endpoint e = {.port = 7400};
    char text[32];
    snprintf(text, sizeof text, "10.0.%u.%u", instance, host);
    require(ip_address_parse(text, &e.ip));
    return e;
}

struct box *wire_box_at(struct net *net, const struct endpoint *at, unsigned *ret_socket)
{
    for (unsigned i = 0; i < net->boxes; i++)
        for (unsigned s = 0; s < net->box[i].config->overlay_count; s++)
            if (endpoint_equal(&net->box[i].endpoint[s], at)) {
                *ret_socket = s;
                return &net->box[i];
            }
    return NULL;
}

static bool chance(struct net *net, unsigned per_thousand)
{
    return entropy_below(&net->seeded.entropy, 1000) < per_thousand;
}

static void fly(struct net *net, const struct endpoint *from, const struct endpoint *to,
                const void *bytes, size_t size, instant due)
{
    struct flight *f = base_calloc(1, sizeof *f + size);
    f->from = *from;
    f->to = *to;
    f->size = size;
    memcpy(f->bytes, bytes, size);
    heap_set(&net->flights, &f->timer, due);
}

void net_inject(struct net *net, const struct endpoint *from, const struct endpoint *to,
                const void *bytes, size_t size)
{
    fly(net, from, to, bytes, size, net->now);
}

void wire_transmit(struct box *from, uint16_t socket, const struct endpoint *to,
                   const uint8_t *bytes, size_t size)
{
    struct net *net = from->net;
    const struct net_faults *f = &net->faults;
    unsigned to_socket;
    struct box *target = wire_box_at(net, to, &to_socket);
    uint8_t copy[PACKET_SIZE];

    assert_true(size > 0 && size <= sizeof copy);
    assert_true(socket < from->config->overlay_count);
    if (bytes[0] == WIRE_RECORD)
        record_check(net, from, bytes, size);
    net->sent_datagrams++;
    net->sent_bytes += size;
    if (bytes[0] >= WIRE_LOW && bytes[0] <= WIRE_HIGH)
        net->sent_type[bytes[0] - WIRE_LOW]++;
    memcpy(copy, bytes, size);
    bool lost = chance(net, f->loss), twice = chance(net, f->duplicate),
         late = chance(net, f->reorder);
    uint32_t spread = entropy_u32(&net->seeded.entropy);
    if (net->tap && !net->tap(net, from, to, copy, size))
        return;
    if (lost || f->cut || !target || size > net->mtu)
        return;
    instant due = net->now + f->delay + (f->jitter ? spread % f->jitter : 0);
    instant *last = &net->last_due[from->index][target->index];
    if (late)
        due += 20 * MILLISECOND;
    else
        due = *last = due > *last ? due : *last + 1;
    fly(net, &from->endpoint[socket], to, copy, size, due);
    if (twice)
        fly(net, &from->endpoint[socket], to, copy, size, due + 3 * MILLISECOND);
}

/* ---- the toy overlay ---- */

static struct toy *toy_find(struct box *b, uint32_t id)
{
    struct toy *t = b->toys;
    while (t && t->id != id)
        t = t->next;
    return t;
}

static void toy_recipe(const struct box *b, unsigned instance, const struct endpoint *remote,
                       struct recipe *ret)
{
    recipe_begin(ret);
    require(recipe_add_send(ret, (uint16_t)instance, &(struct endpoint){0}, remote, 0));
    ret->mtu = b->mtu[instance] ? b->mtu[instance] : b->net->mtu;
    ret->from = *remote;
    if (b->net->keepalive_s)
        ret->keepalive = b->net->keepalive_s * SECOND;
}

static void toy_use(struct box *b, struct toy *t, const struct endpoint *remote)
{
    struct recipe r;
    t->remote = *remote;
    toy_recipe(b, t->instance, remote, &r);
    path_tunnel_up(b->e, b->net->now, t->id, &r);
}

static struct toy *toy_new(struct box *b, const struct path_out *o)
{
    struct toy *t = base_calloc(1, sizeof *t);
    assert_null(toy_find(b, o->tunnel));
    t->id = o->tunnel;
    t->instance = o->instance;
    snprintf(t->host, sizeof t->host, "%s", o->host);
    t->next = b->toys;
    b->toys = t;
    return t;
}

/* Where the directory says that a host of an instance is. */
static const struct endpoint *directory(struct net *net, const char *host, const char *instance)
{
    for (unsigned i = 0; i < net->boxes; i++)
        for (unsigned s = 0; s < net->box[i].config->overlay_count; s++)
            if (!strcmp(net->box[i].name, host) &&
                !strcmp(net->box[i].config->overlays[s].instance, instance))
                return &net->box[i].endpoint[s];
    return NULL;
}

static void toy_open(struct box *b, const struct path_out *o)
{
    struct toy *t = toy_new(b, o);
    const char *instance = b->config->overlays[t->instance].instance;
    const struct endpoint *at = directory(b->net, t->host, instance);
    char reason[256];
    if (at) {
        toy_use(b, t, at);
        return;
    }
    snprintf(reason, sizeof reason, "no member '%.64s' in %s", t->host, instance);
    path_tunnel_failed(b->e, b->net->now, t->id, true, reason);
}

static void toy_close(struct box *b, uint32_t id)
{
    for (struct toy **at = &b->toys; *at; at = &(*at)->next)
        if ((*at)->id == id) {
            struct toy *t = *at;
            *at = t->next;
            free(t);
            return;
        }
    fail_msg("a tunnel was closed that is not open");
}

static void toy_suspect(struct box *b, uint32_t id)
{
    struct toy *t = toy_find(b, id);
    if (!t)
        return;
    t->suspected++;
    const struct endpoint *at =
        directory(b->net, t->host, b->config->overlays[t->instance].instance);
    if (at && !endpoint_equal(at, &t->remote))
        toy_use(b, t, at);
}

void wire_toy_out(struct box *b, const struct path_out *o)
{
    struct toy *t = toy_find(b, o->tunnel);
    switch (o->kind) {
    case PATH_OUT_ANSWER:
        wire_transmit(b, o->from.socket, &o->from.remote, o->bytes, o->size);
        break;
    case PATH_OUT_TUNNEL_OPEN:
        toy_open(b, o);
        break;
    case PATH_OUT_TUNNEL_ACCEPT:
        toy_use(b, toy_new(b, o), &o->from.remote);
        break;
    case PATH_OUT_TUNNEL_MOVED:
        assert_non_null(t);
        t->moved++;
        toy_use(b, t, &o->from.remote);
        break;
    case PATH_OUT_TUNNEL_SUSPECT:
        toy_suspect(b, o->tunnel);
        break;
    case PATH_OUT_TUNNEL_CLOSE:
        toy_close(b, o->tunnel);
        break;
    default:
        break;
    }
}

/* ---- handles ---- */

struct grip *box_grip(struct box *b, const char *name)
{
    struct grip *g = b->grips;
    while (g && strcmp(g->name, name))
        g = g->next;
    return g;
}

static struct grip *grip_get(struct box *b, const struct path_info *info)
{
    struct grip *g = b->grips;
    char text[64];
    while (g && (strcmp(g->name, info->name) || memcmp(g->key, info->key, 32)))
        g = g->next;
    if (!g) {
        g = base_calloc(1, sizeof *g);
        snprintf(g->name, sizeof g->name, "%s", info->name);
        memcpy(g->key, info->key, 32);
        g->id = b->grips ? b->grips->id + 1 : 1;
        g->fwd = base_calloc(1, sizeof *g->fwd);
        g->fwd->id = g->id;
        snprintf(text, sizeof text, "198.18.%u.%u", b->index, g->id);
        require(ip_address_parse(text, &g->fwd->v4));
        snprintf(text, sizeof text, "fd18::%x:%x", b->index, g->id);
        require(ip_address_parse(text, &g->fwd->v6));
        fwd_handle_add(b->tables, g->fwd);
        g->next = b->grips;
        b->grips = g;
    }
    snprintf(g->way, sizeof g->way, "%s", info->chain);
    return g;
}

static void capture(struct box *b, const uint8_t *bytes, size_t size)
{
    struct packet *p = packet_take(b->pool);
    require(p && packet_fill(p, bytes, size));
    if (!b->stuck)
        epoch_online(b->epoch, 0);
    forward_capture(b->forward, b->net->now, &p, 1);
    if (!b->stuck)
        epoch_offline(b->epoch, 0);
}

static void grip_flush(struct box *b, struct grip *g)
{
    unsigned count = g->waiting_count;
    g->waiting_count = 0;
    for (unsigned i = 0; i < count; i++)
        capture(b, g->waiting[i].bytes, g->waiting[i].size);
}

void wire_path_up(struct box *b, const struct path_out *o)
{
    struct path_info info;
    b->ups++;
    assert_true(path_info(b->e, o->path, &info) && info.key);
    struct grip *g = grip_get(b, &info);
    if (!b->deaf_to_handles) {
        path_attach(b->e, o->path, &g->fwd->v4, &g->fwd->v6);
        atomic_store(&g->fwd->path, path_forwarding(b->e, o->path));
        g->opening = false;
        grip_flush(b, g);
    }
}

void wire_path_down(struct box *b, const struct path_out *o)
{
    struct path_info info;
    b->downs++;
    snprintf(b->last_down, sizeof b->last_down, "%s", o->reason);
    assert_true(path_info(b->e, o->path, &info) && info.key);
    for (struct grip *g = b->grips; g; g = g->next)
        if (atomic_load(&g->fwd->path) == path_forwarding(b->e, o->path))
            atomic_store(&g->fwd->path, NULL);
}

void wire_answered(struct box *b, const struct path_out *o)
{
    for (unsigned i = 0; i < b->answers; i++) {
        struct answer *a = &b->answer[i];
        if (a->cookie != o->cookie || !o->cookie)
            continue;
        assert_false(a->up || a->failed); /* one answer each */
        a->up = o->kind == PATH_OUT_UP;
        a->failed = o->kind == PATH_OUT_FAILED;
        a->path = o->path;
        a->unknown_host = o->unknown_host;
        snprintf(a->reason, sizeof a->reason, "%s", o->reason ? o->reason : "");
    }
    for (struct grip *g = b->grips; g && o->kind == PATH_OUT_FAILED; g = g->next)
        if (g->opening && o->cookie == (UINT64_C(1) << 32 | g->id)) {
            g->opening = false;
            g->waiting_count = 0;
        }
}

void wire_need_path(struct box *b, uint32_t id, const struct packet *p)
{
    struct grip *g = b->grips;
    struct name_chain way;
    const char *reason;
    while (g && g->id != id)
        g = g->next;
    require(g && p->size <= sizeof g->waiting[0].bytes);
    if (g->waiting_count < 32) {
        memcpy(g->waiting[g->waiting_count].bytes, p->data, p->size);
        g->waiting[g->waiting_count++].size = p->size;
    }
    if (g->opening)
        return;
    g->opening = true;
    require(name_chain_parse(g->way, &way, &reason));
    path_open(b->e, b->net->now, &way, UINT64_C(1) << 32 | id);
}

/* ---- test packets ---- */

void wire_delivered(struct box *b, const uint8_t *packet, size_t size)
{
    unsigned header = packet[0] >> 4 == 4 ? 20 : 40;
    if (packet[packet[0] >> 4 == 4 ? 9 : 6] != 17) {
        b->unreachable++;
        return;
    }
    assert_true(craft_sums_right(packet, size));
    struct reader r = reader_over(packet + header + 8, size - header - 8);
    uint32_t from = read_u32(&r), number = read_u32(&r);
    assert_true(!r.failed && from < NET_BOXES && number < SEEN_BITS);
    /* The source is our handle for somebody. */
    struct ip_address source = {.family = packet[0] >> 4 == 4 ? 4 : 6};
    memcpy(source.bytes, packet + (header == 20 ? 12 : 8), header == 20 ? 4 : 16);
    struct fwd_handle *h = fwd_handle_find(b->tables, &source);
    assert_non_null(h);
    b->got[from]++;
    if (!b->seen[from])
        b->seen[from] = base_calloc(1, SEEN_BITS / 8);
    if (b->seen[from][number / 8] & 1 << number % 8)
        b->doubled[from]++;
    b->seen[from][number / 8] |= (uint8_t)(1 << number % 8);
}

static const char *own_address(unsigned version)
{
    return version == 4 ? "10.99.0.1" : "fd99::1";
}

bool box_send_sized(struct box *from, struct box *to, const char *name, unsigned version,
                    size_t size, uint16_t port)
{
    struct grip *g = box_grip(from, name);
    uint8_t packet[2048], payload[1800] = {0};
    char destination[ADDRESS_TEXT];
    if (!g)
        return false;
    struct writer w = writer_over(payload, sizeof payload);
    write_u32(&w, from->index);
    write_u32(&w, (uint32_t)from->sent[to->index]++);
    ip_address_format(version == 4 ? &g->fwd->v4 : &g->fwd->v6, destination);
    struct craft c = {.source = own_address(version),
                      .destination = destination,
                      .protocol = 17,
                      .source_port = port,
                      .destination_port = TEST_PORT,
                      .payload = payload,
                      .payload_size = size};
    capture(from, packet, craft_packet(packet, &c));
    box_pump(from);
    return true;
}

bool box_send(struct box *from, struct box *to, const char *name, unsigned version)
{
    return box_send_sized(from, to, name, version, 8,
                          (uint16_t)(1024 + from->sent[to->index] % 50));
}
