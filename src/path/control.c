/* Records of lane 0: what the two ends of a path say to each other, sealed.
 *
 * A message longer than a record goes in pieces (MORE, REST) with consecutive counters; pieces that
 * come out of order are lost, and the protocol above repeats.  An empty record says "I am here". */
#include "path/path_internal.h"

#include <stdio.h>

#include <string.h>
#include <syslog.h>

#define SURE_TO_FIT (576 - 28 - RECORD_OVERHEAD) /* smaller messages get through everywhere */

/* Seals a record; *ret points into the packet. */
static bool seal(struct path_engine *e, instant now, struct path *p, const struct recipe *recipe,
                 const uint8_t *bytes, size_t size, uint8_t flags, struct packet *packet,
                 struct forward_out *ret)
{
    enum drop_reason reason = DROP_NO_BUFFER;
    bool ok = packet && packet_fill(packet, bytes, size) &&
              forward_seal_by(p->fwd, p->fwd->lane[0], recipe,
                              (uint8_t)(RECORD_KIND_CONTROL | flags), now, packet, ret, &reason);
    if (!ok)
        drop_count(&e->drops, reason);
    ret->packet = packet;
    return ok;
}

static bool send_record(struct path_engine *e, instant now, struct path *p,
                        const struct recipe *recipe, const uint8_t *bytes, size_t size,
                        uint8_t flags)
{
    struct forward_out f = {0};
    struct packet *packet = packet_take(e->pool);
    bool ok = seal(e, now, p, recipe, bytes, size, flags, packet, &f);
    if (ok)
        path_out_forward(e, &f);
    packet_give_back(packet);
    return ok;
}

void path_control_send(struct path_engine *e, instant now, struct path *p, const uint8_t *bytes,
                       size_t size)
{
    path_control_send_by(e, now, p, NULL, bytes, size);
}

void path_control_send_by(struct path_engine *e, instant now, struct path *p,
                          const struct recipe *recipe, const uint8_t *bytes, size_t size)
{
    if (!p->fwd || size > CONTROL_MAX)
        return;
    path_session_wake(e, p);
    uint16_t own = path_neighbour_record_mtu(p->first);
    size_t room = (own < p->record_mtu ? own : p->record_mtu) - RECORD_OVERHEAD, at = 0;
    do {
        size_t piece = size - at < room ? size - at : room;
        uint8_t flags = (uint8_t)((at ? RECORD_REST : 0) | (at + piece < size ? RECORD_MORE : 0));
        if (!send_record(e, now, p, recipe, piece ? bytes + at : bytes, piece, flags))
            break;
        at += piece;
    } while (at < size);
    p->control_sent = now;
    path_alive_schedule(e, now, p);
    if (size > SURE_TO_FIT)
        path_mtu_use(e, now, p);
}

void path_control_hello(struct path_engine *e, instant now, struct path *p)
{
    path_control_send(e, now, p, NULL, 0);
}

void path_control_probe(struct path_engine *e, instant now, struct path *p)
{
    uint8_t message[5];
    struct writer w = writer_over(message, sizeof message);
    if (!path_work(p)->probe_sent) {
        p->probe_number++;
        path_work(p)->probe_sent = now;
    }
    write_u8(&w, MESSAGE_PROBE);
    write_u32(&w, p->probe_number);
    path_control_send(e, now, p, message, sizeof message);
}

void path_control_probe_sized(struct path_engine *e, instant now, struct path *p, uint32_t number,
                              uint16_t record_size)
{
    size_t size = record_size - RECORD_OVERHEAD;
    struct writer w = writer_over(e->scratch, sizeof e->scratch);
    memset(e->scratch, 0, size);
    write_u8(&w, MESSAGE_PROBE);
    write_u32(&w, number);
    if (send_record(e, now, p, NULL, e->scratch, size, 0))
        p->control_sent = now;
}

void path_control_ask_at(struct path_engine *e, instant now, struct path *p,
                         const struct arrival *at, uint32_t number)
{
    struct recipe bare; /* the module puts around it what an answer needs */
    struct forward_out f = {0};
    uint8_t message[5];
    struct writer w = writer_over(message, sizeof message);
    write_u8(&w, MESSAGE_PROBE);
    write_u32(&w, number);
    path_session_wake(e, p);
    recipe_begin(&bare);
    if (!recipe_add_send(&bare, at->socket, NULL, &at->remote, 0))
        return;
    struct packet *packet = packet_take(e->pool);
    if (seal(e, now, p, &bare, message, sizeof message, 0, packet, &f)) {
        struct path_out *o = path_out_add(e, PATH_OUT_ANSWER);
        o->instance = p->instance;
        o->from = *at;
        path_out_bytes(e, packet->data, packet->size);
        p->control_sent = now;
        path_alive_schedule(e, now, p);
    }
    packet_give_back(packet);
}

static void probe_received(struct path_engine *e, instant now, struct path *p, struct reader *r)
{
    uint8_t message[5];
    struct writer w = writer_over(message, sizeof message);
    write_u8(&w, MESSAGE_PROBE_REPLY);
    write_u32(&w, read_u32(r));
    if (r->failed)
        drop_count(&e->drops, DROP_BAD_MESSAGE);
    else
        path_control_send(e, now, p, message, sizeof message);
}

static void probe_reply_received(struct path_engine *e, instant now, struct path *p,
                                 struct reader *r)
{
    struct work *w = path_work(p);
    uint32_t number = read_u32(r);
    if (r->failed || path_mtu_reply(e, now, p, number) || path_move_reply(e, now, p, number))
        return;
    if (number != p->probe_number || !w->probe_sent)
        return;
    p->rtt = now - w->probe_sent;
    w->probe_sent = 0;
    if (w->ping_waits) {
        w->ping_waits = false;
        struct path_out *o = path_out_add(e, PATH_OUT_PONG);
        o->cookie = w->ping_cookie;
        o->path = p->slot;
        o->rtt = p->rtt;
    }
}

void path_ping(struct path_engine *e, instant now, uint32_t slot, uint64_t cookie)
{
    struct path *p = path_slot_path(e, slot);
    if (!p || p->state != PATH_STATE_UP)
        return;
    path_work(p)->ping_cookie = cookie;
    path_work(p)->ping_waits = true;
    path_work(p)->probe_sent = 0;
    path_control_probe(e, now, p);
}

static void close_received(struct path_engine *e, instant now, struct path *p, struct reader *r)
{
    char text[128];
    size_t size = reader_left(r) < sizeof text - 1 ? reader_left(r) : sizeof text - 1;
    read_copy(r, text, size);
    for (size_t i = 0; i < size; i++)
        if (text[i] < ' ' || text[i] > '~')
            text[i] = '?';
    text[size] = 0;
    char reason[256];
    snprintf(reason, sizeof reason, "%s closed the path: %s", p->peer->name, text);
    path_forsake(e, now, p->peer);
    path_lost(e, now, p, reason);
}

static void module_received(struct path_engine *e, struct path *p, const struct arrival *from,
                            struct reader *r)
{
    struct path_out *o = path_out_add(e, PATH_OUT_LINK_MESSAGE);
    o->instance = p->instance;
    o->tunnel = p->first->tunnel;
    o->from = *from;
    size_t size = reader_left(r);
    path_out_bytes(e, read_bytes(r, size), size);
}

/* Messages that make sense between neighbours only. */
static void link_message(struct path_engine *e, instant now, struct path *p,
                         const struct arrival *from, uint8_t type, struct reader *r)
{
    uint32_t label;
    switch (type) {
    case MESSAGE_OPEN:
        path_open_receive(e, now, p, r);
        return;
    case MESSAGE_ACCEPT:
        path_open_accept_receive(e, now, p, r);
        return;
    case MESSAGE_CONFIRM:
        path_open_confirm_receive(e, now, p, r);
        return;
    case MESSAGE_REFUSE:
        path_open_refuse_receive(e, now, p, r);
        return;
    case MESSAGE_RELEASE:
        label = read_u32(r);
        path_transit_label_release(e, now, p->first, label);
        return;
    case MESSAGE_ERROR:
        label = read_u32(r);
        path_transit_label_error(e, now, p->first, label);
        return;
    case MESSAGE_MTU:
        label = read_u32(r);
        path_transit_label_mtu(e, now, p->first, label, read_u16(r));
        return;
    case MESSAGE_MODULE:
        module_received(e, p, from, r);
        return;
    default:
        drop_count(&e->drops, DROP_BAD_MESSAGE);
    }
}

static void message(struct path_engine *e, instant now, struct path *p, const struct arrival *from,
                    const uint8_t *bytes, size_t size)
{
    struct reader r = reader_over(bytes, size);
    if (size == 0)
        return;
    uint8_t type = read_u8(&r);
    if (!path_rate_admits(&path_work(p)->messages, now, MESSAGES_PER_LINK)) {
        drop_count(&e->drops, DROP_RATE_LIMITED);
        return;
    }
    switch (type) {
    case MESSAGE_PROBE:
        probe_received(e, now, p, &r);
        return;
    case MESSAGE_PROBE_REPLY:
        probe_reply_received(e, now, p, &r);
        return;
    case MESSAGE_CLOSE:
        close_received(e, now, p, &r);
        return;
    case MESSAGE_REKEY:
        path_rekey_receive(e, now, p, &r);
        return;
    case MESSAGE_REKEY_REPLY:
        path_rekey_reply(e, now, p, &r);
        return;
    case MESSAGE_REKEY_ASK:
        path_rekey_asked(e, now, p);
        return;
    case MESSAGE_REKEY_DONE:
        return; /* the record itself was the news: path_rekey_seen() */
    default:
        if (p->one_hop)
            link_message(e, now, p, from, type, &r);
        else
            drop_count(&e->drops, DROP_BAD_MESSAGE);
    }
}

/* Puts pieces together; true when `ret_*` hold a whole message. */
static bool whole(struct path_engine *e, struct path *p, const struct record_header *h,
                  const uint8_t *bytes, size_t size, const uint8_t **ret_bytes, size_t *ret_size)
{
    struct work *w = path_work(p);
    bool rest = h->flags & RECORD_REST, more = h->flags & RECORD_MORE;
    *ret_bytes = bytes;
    *ret_size = size;
    if (!rest && !more)
        return true;
    if (!rest) {
        free(w->pieces);
        w->pieces = base_calloc(1, CONTROL_MAX);
        w->pieces_size = 0;
    } else if (!w->pieces || w->pieces_next != h->counter) {
        drop_count(&e->drops, DROP_REASSEMBLY);
        return false;
    }
    if (w->pieces_size + size > CONTROL_MAX) {
        drop_count(&e->drops, DROP_OVERSIZED);
        free(w->pieces);
        w->pieces = NULL;
        return false;
    }
    memcpy(w->pieces + w->pieces_size, bytes, size);
    w->pieces_size += size;
    w->pieces_next = h->counter + 1;
    *ret_bytes = w->pieces;
    *ret_size = w->pieces_size;
    return !more;
}

/* The newest sealed record shows where the neighbour may be now. */
static void note_arrival(struct path_engine *e, instant now, struct path *p,
                         const struct arrival *from, uint8_t epoch, bool highest)
{
    const struct recipe *r = path_neighbour_recipe(p->first);
    bool newest = highest && (epoch == p->keys.epoch ||
                              (path_work(p)->next && epoch == path_work(p)->next->epoch));
    if (!p->one_hop || !newest || !r || !r->from.ip.family)
        return;
    if (endpoint_equal(&r->from, &from->remote))
        path_move_not(p);
    else
        path_move_seen(e, now, p, from);
}

static struct path *path_of_label(struct path_engine *e, const struct arrival *from,
                                  const uint8_t *record, size_t size, const struct record_header *h)
{
    struct path *p = path_slot_find(e, h->label & ~(uint32_t)0xF, SLOT_PATH);
    if (p && p->fwd)
        return p;
    struct half *half = path_slot_find(e, h->label & ~(uint32_t)0xF, SLOT_HALF);
    if (half)
        path_half_stash(e, half, from, record, size);
    else
        drop_count(&e->drops, DROP_UNKNOWN_LABEL);
    return NULL;
}

/* Opens the record in e->scratch and does what every authentic record does. */
static bool opened(struct path_engine *e, instant now, struct path *p, const struct arrival *from,
                   const uint8_t *bytes, size_t size, const struct record_header *h,
                   size_t *ret_size)
{
    struct lane *l = p->fwd->lane[0];
    struct lane_opener *o = atomic_load(&l->opener[h->epoch % LANE_OPENERS]);
    enum drop_reason reason;
    uint64_t before = 0;

    if (!o || o->epoch != h->epoch) {
        drop_count(&e->drops, DROP_UNKNOWN_EPOCH);
        return false;
    }
    bool any = record_opener_highest(o->opener, &before);
    memcpy(e->scratch, bytes, size);
    if (!record_open(o->opener, e->scratch, size, h, ret_size, &reason)) {
        drop_count(&e->drops, reason);
        return false;
    }
    atomic_fetch_add_explicit(&l->records_in, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&l->bytes_in, size, memory_order_relaxed);
    atomic_store_explicit(&l->heard, now, memory_order_relaxed);
    note_arrival(e, now, p, from, h->epoch, !any || h->counter > before);
    path_rekey_seen(e, now, p, h->epoch);
    path_alive_heard(e, now, p);
    return true;
}

/* A path is freed by its timer alone: it outlives whatever the message does. */
void path_control_record(struct path_engine *e, instant now, const struct arrival *from,
                         const uint8_t *bytes, size_t size)
{
    struct record_header h;
    size_t plain_size;
    const uint8_t *text = NULL;

    if (!record_read_header(bytes, size, &h) || size > sizeof e->scratch) {
        drop_count(&e->drops, DROP_TRUNCATED);
        return;
    }
    struct path *p = path_of_label(e, from, bytes, size, &h);
    if (!p)
        return;
    path_session_wake(
        e, p); /* anybody can cause this: the next tick, which is set below, parks it again */
    if (opened(e, now, p, from, bytes, size, &h, &plain_size) &&
        whole(e, p, &h, e->scratch + RECORD_HEADER, plain_size, &text, &plain_size)) {
        uint8_t copy[CONTROL_MAX];
        if (plain_size > sizeof copy && text[0] == MESSAGE_PROBE)
            plain_size = sizeof copy; /* the rest is padding */
        if (plain_size <= sizeof copy) {
            memcpy(copy, text, plain_size);
            message(e, now, p, from, copy, plain_size);
        } else {
            drop_count(&e->drops, DROP_OVERSIZED);
        }
    }
    path_alive_schedule(e, now, p);
}
