#include "path/forward_fixture.h"

struct ip_address side_address(const char *text)
{
    struct ip_address ip;
    require(ip_address_parse(text, &ip));
    return ip;
}

/* The address whose last byte is the letter. */
static struct ip_address numbered(const char *text, char letter)
{
    struct ip_address ip = side_address(text);
    ip.bytes[ip.family == 4 ? 3 : 15] = (uint8_t)letter;
    return ip;
}

struct endpoint side_endpoint(char letter)
{
    return (struct endpoint){.ip = numbered("192.0.2.0", letter), .port = (uint16_t)(letter * 101)};
}

/* ---- keys ---- */

static void key_bytes(char from, char to, unsigned lane, uint8_t epoch, uint8_t ret[32])
{
    uint8_t direction[32] = {(uint8_t)from, (uint8_t)to};
    record_lane_key(direction, (uint8_t)lane, epoch, ret);
}

struct record_sealer *side_sealer(char from, char to, unsigned lane, uint8_t epoch)
{
    uint8_t key[32];
    key_bytes(from, to, lane, epoch, key);
    struct record_sealer *sealer = record_sealer_new(NULL, CRYPTO_AES256GCM, key, epoch, 0);
    require(sealer);
    return sealer;
}

struct lane_opener *side_opener(char from, char to, unsigned lane, uint8_t epoch)
{
    uint8_t key[32];
    key_bytes(from, to, lane, epoch, key);
    struct lane_opener *o = base_calloc(1, sizeof *o);
    o->epoch = epoch;
    o->opener = record_opener_new(NULL, CRYPTO_AES256GCM, key, true, 0);
    require(o->opener);
    return o;
}

void side_key(struct side *s, char peer, unsigned lane, uint8_t epoch)
{
    struct lane *l = s->path.lane[lane];
    record_sealer_free(atomic_exchange(&l->sealer, side_sealer(s->letter, peer, lane, epoch)));
    lane_opener_free(atomic_exchange(&l->opener[epoch % LANE_OPENERS],
                                     side_opener(peer, s->letter, lane, epoch)));
}

void side_keys(struct side *s, char peer, uint8_t epoch)
{
    for (unsigned i = 0; i < s->path.lanes; i++)
        side_key(s, peer, i, epoch);
}

/* ---- life ---- */

struct recipe *side_recipe(char from, char to, uint16_t mtu)
{
    struct recipe *r = base_calloc(1, sizeof *r);
    struct endpoint local = side_endpoint(from), remote = side_endpoint(to);
    local.port = 0;
    recipe_begin(r);
    require(recipe_add_send(r, 0, &local, &remote, 0));
    r->mtu = mtu;
    r->from = remote;
    require(recipe_valid(r));
    return r;
}

void side_allow(struct side *s, const struct fwd_allow *lines, unsigned count)
{
    struct fwd_policy *policy = base_calloc(1, sizeof *policy + count * sizeof *lines);
    policy->everything = !lines;
    policy->count = (uint16_t)count;
    if (lines)
        memcpy(policy->allow, lines, count * sizeof *lines);
    atomic_store(&s->path.policy, policy);
    free(s->policy);
    s->policy = policy;
}

static void make_path(struct side *s, char peer)
{
    struct fwd_path *path = &s->path;
    *path = (struct fwd_path){.id = SIDE_SLOT,
                              .generation = 3,
                              .label_out = LABEL(SIDE_SLOT, 3, 0),
                              .lanes = (uint8_t)s->settings.lanes,
                              .one_hop = true,
                              .tunnel = &s->tunnel,
                              .handle4 = numbered("198.18.0.0", peer),
                              .handle6 = numbered("fd18::", peer)};
    atomic_store(&path->record_mtu, s->settings.record_mtu);
    for (unsigned i = 0; i < path->lanes; i++)
        path->lane[i] = lane_new((uint8_t)i);
    side_keys(s, peer, 0);
    s->label.path = path;
    fwd_label_set(s->tables, SIDE_SLOT, &s->label);
    s->handle = (struct fwd_handle){.v4 = path->handle4, .v6 = path->handle6, .id = 70};
    atomic_store(&s->handle.path, path);
    fwd_handle_add(s->tables, &s->handle);
}

void side_init(struct side *s, char letter, char peer, const struct side_settings *settings)
{
    memset(s, 0, sizeof *s);
    s->letter = letter;
    s->settings = *settings;
    s->now = 1000 * SECOND;
    if (!s->settings.workers)
        s->settings.workers = 1;
    if (!s->settings.lanes)
        s->settings.lanes = 2;
    if (!s->settings.record_mtu)
        s->settings.record_mtu = 1400;
    if (!s->settings.recipe_mtu)
        s->settings.recipe_mtu = 9000;
    if (!s->settings.packets)
        s->settings.packets = 1024;
    seeded_init(&s->seeded, (uint8_t)letter);
    s->epoch = epoch_new(s->settings.workers);
    struct ip_address tun4 = numbered("10.0.0.0", letter), tun6 = numbered("fd00::", letter);
    struct ip_prefix pool4 = {.ip = side_address("198.18.0.0"), .length = 15};
    struct ip_prefix pool6 = {.ip = side_address("fd18::"), .length = 48};
    s->tables = fwd_tables_new(s->epoch, &tun4, &tun6, &pool4, &pool6);
    for (unsigned i = 0; i < s->settings.workers; i++) {
        struct forward_settings f = {.worker = i,
                                     .workers = s->settings.workers,
                                     .tun_mtu = 1400,
                                     .seal_checksums_open = s->settings.open_checksums,
                                     .merge_tcp = s->settings.merge,
                                     .merge_udp = s->settings.merge,
                                     .flows = 1024,
                                     .entropy = &s->seeded.entropy};
        s->pool[i] = packet_pool_new(s->settings.packets);
        s->forward[i] = forward_new(&f, s->tables, s->pool[i]);
    }
    s->endpoint = side_endpoint(letter);
    s->recipe = side_recipe(letter, peer, s->settings.recipe_mtu);
    s->tunnel.id = 1;
    atomic_store(&s->tunnel.recipe, s->recipe);
    make_path(s, peer);
    if (!s->settings.no_policy)
        side_allow(s, NULL, 0);
}

void side_done(struct side *s)
{
    for (unsigned i = 0; i < s->settings.workers; i++) {
        forward_free(s->forward[i]);
        packet_pool_free(s->pool[i]);
    }
    for (unsigned i = 0; i < s->path.lanes; i++)
        lane_free(s->path.lane[i]);
    fwd_tables_free(s->tables);
    epoch_free(s->epoch);
    free(s->recipe);
    free(s->policy);
}

/* ---- outputs ---- */

static void outs_add(struct outs *o, const struct forward_out *out)
{
    if (o->count == o->room) {
        o->room = o->room ? o->room * 2 : 64;
        o->item = base_realloc(o->item, o->room * sizeof *o->item);
    }
    o->item[o->count++] = *out;
}

void outs_free(struct outs *o)
{
    for (unsigned i = 0; i < o->count; i++)
        packet_give_back(o->item[i].packet);
    free(o->item);
    *o = (struct outs){0};
}

struct forward_out outs_take(struct outs *o, unsigned index)
{
    require(index < o->count);
    struct forward_out out = o->item[index];
    memmove(&o->item[index], &o->item[index + 1], (--o->count - index) * sizeof out);
    return out;
}

unsigned outs_kind(const struct outs *o, enum forward_out_kind kind)
{
    unsigned count = 0;
    for (unsigned i = 0; i < o->count; i++)
        count += o->item[i].kind == kind;
    return count;
}

void side_pull(struct side *s, unsigned worker, struct outs *ret)
{
    struct forward_out out;
    while (forward_output(s->forward[worker], &out))
        outs_add(ret, &out);
}

/* ---- in ---- */

static struct packet *filled(struct side *s, unsigned worker, const void *bytes, size_t size)
{
    struct packet *p = packet_take(s->pool[worker]);
    require(p && packet_fill(p, bytes, size));
    return p;
}

void side_capture(struct side *s, unsigned worker, const void *bytes, size_t size,
                  const struct packet_offload *offload, struct outs *ret)
{
    struct packet *p = filled(s, worker, bytes, size);
    if (offload)
        p->offload = *offload;
    forward_capture(s->forward[worker], s->now, &p, 1);
    side_pull(s, worker, ret);
}

void side_receive(struct side *s, unsigned worker, const struct endpoint *from, uint8_t ecn,
                  const void *bytes, size_t size, struct outs *ret)
{
    side_receive_run(s, worker, from, ecn, bytes, size, 0, ret);
}

void side_receive_run(struct side *s, unsigned worker, const struct endpoint *from, uint8_t ecn,
                      const void *bytes, size_t size, uint16_t run, struct outs *ret)
{
    struct packet *p = filled(s, worker, bytes, size);
    p->run = run;
    p->arrival.remote = *from;
    p->arrival.local = s->endpoint;
    p->arrival.ecn = ecn;
    forward_underlay(s->forward[worker], s->now, &p, 1);
    side_pull(s, worker, ret);
}

void side_settle(struct side *s, struct outs *o)
{
    for (unsigned i = 0; i < o->count;) {
        if (o->item[i].kind != FORWARD_HANDOVER) {
            i++;
            continue;
        }
        struct forward_out out = outs_take(o, i);
        struct packet *p = filled(s, out.worker, out.packet->data, out.packet->size);
        p->run = out.packet->run;
        p->offload = out.packet->offload;
        p->arrival = out.packet->arrival;
        packet_give_back(out.packet);
        forward_handed_over(s->forward[out.worker], s->now, p, out.from_capture);
        side_pull(s, out.worker, o);
    }
}

void side_carry(struct outs *o, struct side *to, char from, struct outs *ret)
{
    struct endpoint source = side_endpoint(from);
    for (unsigned i = 0; i < o->count; i++) {
        struct forward_out *out = &o->item[i];
        if (out->kind != FORWARD_SEND)
            continue;
        require(endpoint_equal(&out->remote, &to->endpoint));
        side_receive_run(to, 0, &source, out->tos & 3, out->packet->data, out->packet->size,
                         out->packet->run, ret);
    }
    outs_free(o);
    side_settle(to, ret);
}

/* ---- counters ---- */

uint64_t side_drops(struct side *s, enum drop_reason reason)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < s->settings.workers; i++)
        sum += drop_read(forward_drops(s->forward[i]), reason);
    return sum;
}

uint64_t side_drops_all(struct side *s)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < DROP_COUNT; i++)
        sum += side_drops(s, i);
    return sum;
}

unsigned side_packets_out(struct side *s)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < s->settings.workers; i++)
        sum += packet_pool_out(s->pool[i]);
    return sum;
}

void pair_init(struct pair *x, const struct side_settings *settings)
{
    side_init(&x->a, 'a', 'b', settings);
    side_init(&x->b, 'b', 'a', settings);
}

void pair_done(struct pair *x)
{
    side_done(&x->a);
    side_done(&x->b);
}

const struct craft pair_a_to_b = {.source = "10.0.0.97",
                                  .destination = "198.18.0.98",
                                  .protocol = IP_UDP,
                                  .source_port = 4000,
                                  .destination_port = 53,
                                  .payload_size = 100};
const struct craft pair_b_to_a = {.source = "10.0.0.98",
                                  .destination = "198.18.0.97",
                                  .protocol = IP_UDP,
                                  .source_port = 53,
                                  .destination_port = 4000,
                                  .payload_size = 100};

void side_capture_craft(struct side *s, unsigned worker, const struct craft *c, struct outs *ret)
{
    uint8_t bytes[70000];
    side_capture(s, worker, bytes, craft_packet(bytes, c), NULL, ret);
}
