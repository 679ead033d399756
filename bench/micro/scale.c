/* Two hosts in one process with any number of paths between them: what a lookup costs, and what
 * goes through capture, seal, open and delivery while so many paths are open.
 *
 *   bulk    super-packets of one TCP stream on one of the paths
 *   spread  single packets, each on another path: every one of them meets keys, windows and flow
 *           entries that are in no cache
 *
 * Keys take two of the three kilobytes that an open path has here at each host. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "bench/micro/micro.h"
#include "path/forward.h"
#include "tests/support/craft.h"
#include "tests/support/seeded.h"

#define BATCH      32
#define FLOWS      16384 /* as the daemon has */
#define SEGMENT    1348
#define POOL_FIRST 0xC6120010u /* 198.18.0.16 */

struct end {
    struct seeded seeded;
    struct epoch *epoch;
    struct fwd_tables *tables;
    struct packet_pool *pool;
    struct forward *forward;
    struct fwd_tunnel tunnel;
    struct recipe recipe;
    struct endpoint at;
    struct fwd_path *path;
    struct fwd_label *label;
    struct fwd_handle *handle;
};

struct bench {
    struct end end[2];
    struct fwd_policy *policy;
    struct aead_library *library;
    unsigned paths, next;
    uint8_t packet[65536];
    size_t size;
    struct packet_offload offload;
    bool spread;
    uint64_t delivered; /* bytes */
};

static struct ip_address v4(uint32_t address)
{
    struct ip_address a = {.family = 4};
    address = htonl(address);
    memcpy(a.bytes, &address, 4);
    return a;
}

static struct ip_address v6(const char *text)
{
    struct ip_address a;
    require(ip_address_parse(text, &a));
    return a;
}

static void open_path(struct bench *b, unsigned side, unsigned index)
{
    struct end *e = &b->end[side];
    struct fwd_path *p = &e->path[index];
    uint8_t key[2][32] = {{1}, {2}};
    memcpy(&key[0][4], &index, sizeof index);
    memcpy(&key[1][4], &index, sizeof index);
    *p = (struct fwd_path){.id = index + 1,
                           .generation = 1,
                           .label_out = LABEL(index + 1, 1, 0),
                           .lanes = 2,
                           .one_hop = true,
                           .tunnel = &e->tunnel,
                           .handle4 = v4(POOL_FIRST + index)};
    atomic_store(&p->record_mtu, 1400);
    atomic_store(&p->policy, b->policy);
    for (unsigned l = 0; l < 2; l++)
        p->lane[l] = lane_new((uint8_t)l);
    atomic_store(&p->lane[1]->sealer,
                 record_sealer_new(b->library, CRYPTO_AES256GCM, key[side], 0, 0));
    struct lane_opener *o = base_calloc(1, sizeof *o);
    o->opener = record_opener_new(b->library, CRYPTO_AES256GCM, key[!side], true, 0);
    atomic_store(&p->lane[1]->opener[0], o);
    e->label[index].path = p;
    fwd_label_set(e->tables, index + 1, &e->label[index]);
    e->handle[index] = (struct fwd_handle){.v4 = p->handle4, .id = index};
    atomic_store(&e->handle[index].path, p);
    fwd_handle_add(e->tables, &e->handle[index]);
}

static void end_init(struct bench *b, unsigned side)
{
    struct end *e = &b->end[side];
    struct ip_address tun4 = v4(0x0A000001 + side), tun6 = v6("fd00::1");
    struct ip_prefix pool4 = {.ip = v4(0xC6120000), .length = 15};
    struct ip_prefix pool6 = {.ip = v6("fd18::"), .length = 48};
    seeded_init(&e->seeded, side);
    e->epoch = epoch_new(1);
    e->tables = fwd_tables_new(e->epoch, &tun4, &tun6, &pool4, &pool6);
    e->pool = packet_pool_new(4096);
    struct forward_settings s = {.workers = 1,
                                 .tun_mtu = 1400,
                                 .seal_checksums_open = true,
                                 .merge_tcp = true,
                                 .flows = FLOWS,
                                 .entropy = &e->seeded.entropy};
    e->forward = forward_new(&s, e->tables, e->pool);
    e->at = (struct endpoint){.ip = v4(0xC0000201 + side), .port = 7400};
    struct endpoint local = {.ip = e->at.ip}, remote = {.ip = v4(0xC0000202 - side), .port = 7400};
    recipe_begin(&e->recipe);
    require(recipe_add_send(&e->recipe, 0, &local, &remote, 0));
    e->recipe.mtu = 1472;
    e->recipe.from = remote;
    atomic_store(&e->tunnel.recipe, &e->recipe);
    e->path = base_calloc(b->paths, sizeof *e->path);
    e->label = base_calloc(b->paths, sizeof *e->label);
    e->handle = base_calloc(b->paths, sizeof *e->handle);
    for (unsigned i = 0; i < b->paths; i++)
        open_path(b, side, i);
}

static void end_done(struct bench *b, unsigned side)
{
    struct end *e = &b->end[side];
    for (unsigned i = 0; i < b->paths; i++) {
        lane_free(e->path[i].lane[0]);
        lane_free(e->path[i].lane[1]);
    }
    forward_free(e->forward);
    packet_pool_free(e->pool);
    fwd_tables_free(e->tables);
    epoch_free(e->epoch);
    free(e->path);
    free(e->label);
    free(e->handle);
}

static void craft(struct bench *b)
{
    struct craft c = {.source = "10.0.0.1",
                      .destination = "198.18.0.16",
                      .source_port = 4000,
                      .destination_port = 5001};
    if (b->spread) {
        c.protocol = 17;
        c.no_checksum = true;
        c.payload_size = 1280;
        b->offload = (struct packet_offload){0};
    } else {
        c.protocol = 6;
        c.open_checksum = true;
        c.payload_size = SEGMENT * 46;
        b->offload = (struct packet_offload){.needs_checksum = true,
                                             .gso = PACKET_GSO_TCP4,
                                             .gso_size = SEGMENT,
                                             .header_size = 40,
                                             .checksum_start = 20,
                                             .checksum_offset = 16};
    }
    b->size = craft_packet(b->packet, &c);
}

/* Sends the packet to the next handle. */
static void aim(struct bench *b)
{
    uint32_t destination = htonl(POOL_FIRST + (b->spread ? b->next++ % b->paths : 0));
    memcpy(b->packet + 16, &destination, 4);
    b->packet[10] = b->packet[11] = 0;
    uint16_t sum = htons((uint16_t)~craft_sum(b->packet, 20, 0));
    memcpy(b->packet + 10, &sum, 2);
}

/* Everything that the forward engine of one end has to say; what is to be sent arrives at the other
 * at the end of the batch. */
static unsigned pull(struct bench *b, unsigned side, struct packet **sent)
{
    struct end *e = &b->end[side];
    struct forward_out out;
    unsigned count = 0;
    while (forward_output(e->forward, &out)) {
        if (out.kind == FORWARD_SEND && side == 0) {
            require(count < 64 * BATCH);
            out.packet->arrival = (struct arrival){.local = b->end[1].at, .remote = e->at};
            sent[count++] = out.packet;
            continue;
        }
        if (out.kind == FORWARD_CAPTURE)
            b->delivered += out.packet->size;
        packet_give_back(out.packet);
    }
    return count;
}

static void batch_step(void *self, unsigned index)
{
    struct bench *b = self;
    struct packet *batch[BATCH], *sent[64 * BATCH];
    unsigned count = b->spread ? BATCH : 1;
    instant now = 1000 * SECOND + (instant)index;
    for (unsigned i = 0; i < count; i++) {
        aim(b);
        batch[i] = packet_take(b->end[0].pool);
        require(batch[i] && packet_fill(batch[i], b->packet, b->size));
        batch[i]->offload = b->offload;
    }
    forward_capture(b->end[0].forward, now, batch, count);
    count = pull(b, 0, sent);
    forward_underlay(b->end[1].forward, now, sent, count);
    pull(b, 1, NULL);
}

static void lookup_step(void *self, unsigned index)
{
    struct bench *b = self;
    unsigned at = (unsigned)(index * 2654435761u) % b->paths;
    struct ip_address handle = v4(POOL_FIRST + at);
    require(fwd_label_find(b->end[1].tables, at + 1) && fwd_handle_find(b->end[0].tables, &handle));
}

static double mbps(struct bench *b, bool spread, unsigned steps)
{
    b->spread = spread;
    craft(b);
    batch_step(b, 0);
    b->delivered = 0;
    batch_step(b, 0);
    uint64_t bytes = b->delivered;
    if (!bytes) {
        fputs("bench_micro: nothing was delivered\n", stderr);
        exit(1);
    }
    return (double)bytes * 8e3 / micro_time(NULL, batch_step, b, steps);
}

void micro_scale(unsigned paths, bool last)
{
    struct bench *b = base_calloc(1, sizeof *b);
    b->paths = paths;
    b->library = aead_library_new(AEAD_FASTEST);
    b->policy = base_calloc(1, sizeof *b->policy);
    b->policy->everything = true;
    end_init(b, 0);
    end_init(b, 1);
    double lookup = micro_time(NULL, lookup_step, b, 200000);
    double bulk = mbps(b, false, 500);
    double spread = mbps(b, true, 1 + paths / BATCH < 500 ? 500 : 1 + paths / BATCH);
    printf("{\"paths\":%u,\"lookup_ns\":%.1f,\"bulk_mbps\":%.0f,\"spread_mbps\":%.0f}%s", paths,
           lookup, bulk, spread, last ? "" : ",");
    fflush(stdout);
    end_done(b, 0);
    end_done(b, 1);
    aead_library_free(b->library);
    free(b->policy);
    free(b);
}
