#include <string.h>

#include "packet/icmp.h"
#include "packet/ip.h"
#include "packet/translate.h"
#include "path/forward_internal.h"

/* From a program: which handle, which path, which lane; then what a router would do (time to live,
 * size, its error messages), then into records.
 *
 * The lane is chosen from protocol and ports alone, the same for both directions.  Addresses differ
 * at the two ends, so they stay out: with the rest both ends choose the same lane for a flow, hence
 * its packets, their answers and ICMP errors about them meet in one worker, whose flow table knows
 * them, without anything shared.  A packet that the kernel put into another worker's queue is
 * handed over as it was captured; the owner writes the answers to its own queue, from which the
 * kernel learns to put the flow there. */

#define SEGMENT_LEAST 128 /* TCP payload below which more packets cost more than pieces */

/* ---- what the program gets to hear ---- */

/* Answers `p` with an ICMP error in the name of its destination; says nothing where that is not
 * allowed. */
static void answer(struct forward *f, instant now, const struct packet *p,
                   const struct ip_address *from, enum icmp_error kind, uint16_t mtu)
{
    if (!forward_bucket_take(&f->icmp, FORWARD_ICMP_A_SECOND, now))
        return;
    struct packet *error = packet_take(f->pool);
    if (!error) {
        drop_count(&f->drops, DROP_NO_BUFFER);
        return;
    }
    if (icmp_error(error, kind, p->data, p->size, from, mtu))
        forward_emit(f, FORWARD_CAPTURE, error);
    else
        packet_give_back(error);
}

/* ---- lanes ---- */

static uint32_t flow_hash(const struct packet *p, const struct ip_view *v)
{
    struct ip_view quoted;
    if (v->is_icmp_error && ip_quoted(p, v, &quoted))
        v = &quoted;
    uint32_t a = v->has_ports ? v->source_port : 0, b = v->has_ports ? v->destination_port : 0;
    uint32_t hash = (a < b ? a << 16 | b : b << 16 | a) ^ v->protocol;
    hash = (hash ^ hash >> 16) * 0x7FEB352Du;
    hash = (hash ^ hash >> 15) * 0x846CA68Bu;
    return hash ^ hash >> 16;
}

static unsigned choose_lane(const struct outgoing *x)
{
    if (recipe_has_state(x->recipe))
        return 1;
    return 1 + flow_hash(x->p, &x->view) % (x->path->lanes - 1u);
}

/* ---- into records ---- */

static void seal_and_send(struct outgoing *x, uint8_t flags, struct packet *p)
{
    enum drop_reason reason;
    if (!forward_record_make(x->path, x->lane, x->sealer, flags, x->now, p, &reason)) {
        forward_drop_on(x->f, x->path, p, reason);
        return;
    }
    forward_send_record(x->f, x->now, x->recipe, x->view.ecn, p);
}

/* The packet in records of at most `room` bytes of it.  All copies are made before the first is
 * sealed, which would overwrite what follows; a packet that cannot go whole does not go at all. */
static void send_pieces(struct outgoing *x, uint8_t flags, size_t room)
{
    struct packet *p = x->p, *piece[FORWARD_PIECES];
    size_t count = (p->size + room - 1) / room, made = 1;
    if (count > FORWARD_PIECES) {
        forward_drop_on(x->f, x->path, p, DROP_TOO_BIG);
        return;
    }
    piece[0] = p;
    for (; made < count; made++) {
        size_t at = made * room, size = p->size - at < room ? p->size - at : room;
        piece[made] = packet_take(x->f->pool);
        if (!piece[made])
            break;
        packet_fill(piece[made], p->data + at, size);
    }
    if (made < count) {
        while (made > 1)
            packet_give_back(piece[--made]);
        forward_drop_on(x->f, x->path, p, DROP_NO_BUFFER);
        return;
    }
    p->size = room;
    for (size_t i = 0; i < count; i++)
        seal_and_send(x, flags | (i ? RECORD_REST : 0) | (i + 1 < count ? RECORD_MORE : 0),
                      piece[i]);
}

void forward_send_packet(struct outgoing *x)
{
    struct packet *p = x->p;
    uint8_t flags = x->view.version == 4 ? RECORD_KIND_IPV4 : RECORD_KIND_IPV6;
    bool may_stay_open = x->f->settings.seal_checksums_open && !x->view.fragment &&
                         (x->view.protocol == IP_TCP || x->view.protocol == IP_UDP);
    if (p->offload.needs_checksum && may_stay_open) {
        flags |= RECORD_OPEN_CHECKSUM;
    } else if (!ip_complete_checksum(p)) {
        forward_drop_on(x->f, x->path, p, DROP_BAD_HEADER);
        return;
    }
    if (x->limit <= RECORD_OVERHEAD)
        forward_drop_on(x->f, x->path, p, DROP_OVERSIZED);
    else if (p->size + RECORD_OVERHEAD > x->limit)
        send_pieces(x, flags, x->limit - RECORD_OVERHEAD);
    else
        seal_and_send(x, flags, p);
}

/* Payload of each packet that a super-packet of TCP is cut into, when those that the kernel had in
 * mind are too large: one that fits a record, unless records are so small that pieces are better.
 */
static uint16_t smaller_segment(const struct outgoing *x, uint16_t mtu)
{
    size_t header = x->p->offload.header_size;
    size_t record = x->limit > RECORD_OVERHEAD ? x->limit - RECORD_OVERHEAD : 0;
    size_t most = record >= header + SEGMENT_LEAST && record < mtu ? record : mtu;
    size_t wanted = x->p->offload.gso_size;
    return (uint16_t)(wanted < most - header ? wanted : most - header);
}

/* What came through the TUN goes, in pieces where it must.  TCP is told all the same, to make
 * better use of records. UDP is not: kernels set DF on its datagrams unasked, and the error would
 * hit a program that lost nothing.  Everybody else who forbids fragments wants to know.
 *
 * False: it cannot go. */
static bool fit_mtu(struct outgoing *x, uint16_t mtu)
{
    const struct packet *p = x->p;
    bool tcp = x->view.protocol == IP_TCP, super = p->offload.gso != PACKET_GSO_NONE;
    size_t header = p->offload.header_size, size = p->size;
    x->segment = p->offload.gso_size;
    if (super && header + x->segment < size)
        size = header + x->segment;
    if (super && tcp && header + SEGMENT_LEAST < mtu && size + RECORD_OVERHEAD > x->limit)
        x->segment = smaller_segment(x, mtu);
    if (size <= mtu || !x->view.dont_fragment || x->view.protocol == IP_UDP)
        return true;
    answer(x->f, x->now, p, &x->view.destination, ICMP_ERROR_TOO_BIG, mtu);
    return tcp;
}

/* What a router does.  False: the packet is gone. */
static bool route(struct outgoing *x)
{
    struct packet *p = x->p;
    uint16_t mtu = forward_inner_mtu((uint16_t)x->limit);
    if (!ip_decrement_ttl(p, &x->view)) {
        answer(x->f, x->now, p, &x->view.destination, ICMP_ERROR_TTL_EXPIRED, 0);
        forward_drop_on(x->f, x->path, p, DROP_TTL_EXPIRED);
        return false;
    }
    if (!fit_mtu(x, mtu)) {
        forward_drop_on(x->f, x->path, p, DROP_TOO_BIG);
        return false;
    }
    ip_clamp_mss(p, &x->view, mtu);
    return true;
}

/* Everything that is needed to send on the path.  False: the packet is gone, to whom it waits for
 * or whose it is, and as it was captured. */
static bool choose(struct outgoing *x)
{
    struct forward *f = x->f;
    x->recipe = fwd_tunnel_recipe(x->path->tunnel);
    if (!x->recipe || x->path->lanes < 2) {
        forward_drop_on(f, x->path, x->p, x->recipe ? DROP_NO_PATH : DROP_NO_TUNNEL);
        return false;
    }
    unsigned lane = choose_lane(x);
    if (forward_lane_worker(f, lane) != f->settings.worker) {
        forward_hand_over(f, forward_lane_worker(f, lane), true, x->p);
        return false;
    }
    x->lane = fwd_path_lane(x->path, lane);
    if (!x->lane) {
        forward_punt(f, PUNT_NEED_KEY, x->path->id, true, x->p);
        return false;
    }
    x->sealer = atomic_load_explicit(&x->lane->sealer, memory_order_acquire);
    size_t path_mtu = atomic_load_explicit(&x->path->record_mtu, memory_order_relaxed);
    x->limit = forward_recipe_mtu(x->recipe);
    if (path_mtu && path_mtu < x->limit)
        x->limit = path_mtu;
    return true;
}

/* The handle's path, NULL when the packet is gone. */
static struct fwd_path *find_path(struct outgoing *x)
{
    struct forward *f = x->f;
    struct fwd_handle *handle = fwd_handle_find(f->tables, &x->view.destination);
    if (!handle) {
        bool ours = fwd_pool_holds(f->tables, &x->view.destination);
        answer(f, x->now, x->p, &x->view.destination,
               ours ? ICMP_ERROR_UNREACHABLE_HOST : ICMP_ERROR_UNREACHABLE_NET, 0);
        forward_drop(f, x->p, DROP_UNKNOWN_HANDLE);
        return NULL;
    }
    atomic_store_explicit(&handle->used, x->now, memory_order_relaxed);
    struct fwd_path *path = atomic_load_explicit(&handle->path, memory_order_acquire);
    if (!path)
        forward_punt(f, PUNT_NEED_PATH, handle->id, true, x->p);
    return path;
}

static bool check(struct outgoing *x, enum drop_reason *ret_reason)
{
    struct packet *p = x->p;
    if (!ip_parse(p->data, p->size, &x->view, ret_reason))
        return false;
    p->size = x->view.total;
    if (!ip_address_equal(&x->view.source, fwd_tun_address(x->f->tables, x->view.version))) {
        *ret_reason = DROP_NOT_OUR_SOURCE;
        return false;
    }
    *ret_reason = DROP_MULTICAST;
    return !ip_stays_on_link(&x->view);
}

void forward_capture_one(struct forward *f, instant now, struct packet *p)
{
    struct outgoing x = {.f = f, .now = now, .p = p};
    enum drop_reason reason;
    if (!check(&x, &reason)) {
        forward_drop(f, p, reason);
        return;
    }
    x.path = find_path(&x);
    if (!x.path || !choose(&x) || !route(&x))
        return;
    forward_flow_sent(f, now, x.path, &x.view);
    if (p->offload.gso == PACKET_GSO_NONE)
        forward_send_packet(&x);
    else
        forward_send_super(&x);
    forward_lane_active(f, x.path, x.lane);
}
