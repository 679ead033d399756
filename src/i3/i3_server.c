/* What comes in: from clients and other servers on the port of i3, and over the ring. */
#include "i3/i3_server.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "i3/i3_server_internal.h"

#define SWEEP_MOST  4096
#define SWEEP_EVERY (100 * MILLISECOND)
#define HELD_SHARE  8 /* of the outbox: as much room for messages that the ring holds */

static const char *const drop_names[][2] = {
#define DROP_NAME(id, name, text) {name, text},
    I3_DROPS(DROP_NAME)
#undef DROP_NAME
};

const char *i3_drop_name(enum i3_drop reason)
{
    return drop_names[reason][0];
}

const char *i3_drop_text(enum i3_drop reason)
{
    return drop_names[reason][1];
}

void i3_drop(struct i3_server *s, enum i3_drop reason)
{
    s->counters.drops[reason]++;
}

struct chord_id i3_ring_key(const struct i3_id *id)
{
    struct chord_id key;
    _Static_assert(CHORD_ID == I3_RING, "the beginning of an identifier is its place on the ring");
    memcpy(key.bytes, id->bytes, CHORD_ID);
    return key;
}

/* IPv6 is promised where it is kept for all identifiers: where none is an original's, and to whom we see by it (who comes
 * by a translator of addresses does not know that we do not). */
uint8_t i3_abilities(const struct i3_server *s, const struct endpoint *whom)
{
    bool all_ours = s->closed || !chord_nodes(s->chord, NULL, 0);
    return (uint8_t)(I3_CAN_LIMIT | I3_CAN_PING |
                     (whom->ip.family == 6 && all_ours ? I3_CAN_IPV6 : 0));
}

bool i3_is_server(const struct i3_server *s, const struct endpoint *at)
{
    return endpoint_equal(at, &s->at) || endpoint_equal(at, &s->also) || chord_is_at(s->chord, at);
}

unsigned i3_index(const struct i3_server *s, const void *key, size_t size, unsigned count)
{
    return (unsigned)(crypto_siphash(s->index_key, key, size) % count);
}

/* In a ring with a secret all servers give the same nonces, so that a trigger which moves to another one stays valid. */
static void make_keys(struct i3_server *s, const struct i3_server_settings *settings)
{
    uint8_t own[32], key[32];
    entropy_fill(settings->entropy, own, sizeof own);
    const uint8_t *from = s->closed ? settings->chord.secret : own;
    crypto_hkdf_expand(from, "ocala i3 nonce", 14, key, sizeof key);
    crypto_hmac_key(key, sizeof key, &s->nonce_key);
    crypto_hkdf_expand(from, "ocala i3 route", 14, key, sizeof key);
    crypto_hmac_key(key, sizeof key, &s->route_key);
    crypto_wipe(key, sizeof key);
    crypto_wipe(own, sizeof own);
    entropy_fill(settings->entropy, s->index_key, sizeof s->index_key);
    limit_sources_init(&s->clients, settings->entropy);
    limit_sources_init(&s->replies[0], settings->entropy);
    limit_sources_init(&s->replies[1], settings->entropy);
    limit_sources_init(&s->unwanted, settings->entropy);
}

struct i3_server *i3_server_new(const struct i3_server_settings *settings, instant now)
{
    struct i3_server *s = base_calloc(1, sizeof *s);
    struct chord_settings chord = settings->chord;
    require(chord.secret || settings->at.ip.family == 4);
    chord.entropy = settings->entropy;
    chord.both_families = settings->also.ip.family && chord.secret;
    chord.outbox = settings->outbox;
    chord.fits = i3_payload_fits;
    chord.held = settings->outbox / HELD_SHARE;
    s->at = settings->at;
    s->also = settings->also;
    s->closed = chord.secret;
    s->requests = settings->requests;
    s->remembered = settings->remembered ? settings->remembered : 1;
    s->route = base_calloc(s->remembered, sizeof *s->route);
    s->back = base_calloc(s->remembered, sizeof *s->back);
    s->nat = base_calloc(s->remembered, sizeof *s->nat);
    make_keys(s, settings);
    s->hash = i3_hash_new();
    s->table =
        i3_table_new(settings->triggers, settings->per_client, I3_LIFETIME, settings->entropy);
    s->chord = chord_new(&chord, now);
    s->generation = chord_generation(s->chord);
    s->swept = s->walked = now;
    outbox_init(&s->out, settings->outbox, LETTERS);
    return s;
}

void i3_server_free(struct i3_server *s)
{
    if (!s)
        return;
    chord_free(s->chord);
    i3_table_free(s->table);
    i3_hash_free(s->hash);
    free(s->route);
    free(s->back);
    free(s->nat);
    outbox_done(&s->out);
    crypto_wipe(&s->nonce_key, sizeof s->nonce_key);
    crypto_wipe(&s->route_key, sizeof s->route_key);
    free(s);
}

/* ---- sending ---- */

void i3_send(struct i3_server *s, const struct endpoint *to, const struct i3_packet *p)
{
    if (!i3_own(s, to->ip.family)) {
        i3_drop(s, I3_DROP_FAMILY);
        return;
    }
    uint8_t *room = outbox_room(&s->out, I3_DATAGRAM_MAX);
    if (!room) {
        i3_drop(s, I3_DROP_OUTBOX);
        return;
    }
    size_t size = i3_packet_write(p, room, I3_DATAGRAM_MAX);
    if (!size)
        i3_drop(s, I3_DROP_TOO_BIG);
    outbox_post(&s->out, to, size);
}

void i3_give_to_ring(struct i3_server *s, instant now, const struct i3_packet *p)
{
    uint8_t bytes[I3_DATAGRAM_MAX];
    size_t size = i3_packet_write(p, bytes, sizeof bytes);
    if (!size) {
        i3_drop(s, I3_DROP_TOO_BIG);
        return;
    }
    struct chord_id key = i3_ring_key(p->stack);
    s->counters.routed++;
    chord_route(s->chord, now, &key, bytes, size);
}

/* ---- receiving ---- */

/* Where replies go: SENDER, or where the packet comes from when that is somewhere else.  Then it is from a client that
 * cannot know its own address, from an original that tells its address backwards, or from a liar. */
static bool find_reply(struct i3_server *s, struct passage *p)
{
    struct i3_option *o = (struct i3_option *)(uintptr_t)i3_packet_option(p->packet, I3_SENDER);
    if (!o)
        return true;
    if (o->sender.type == I3_TO_STACK || !endpoint_is_unicast(&o->sender.at)) {
        i3_drop(s, I3_DROP_SENDER);
        return false;
    }
    p->reply = o->sender.at;
    if (p->from && !endpoint_equal(p->from, &p->reply)) {
        p->natted = p->packet->flags & I3_FIRST_HOP;
        p->reply = *p->from;
        o->sender = i3_address_of(&p->reply);
    }
    if (chord_is_at(s->chord, &p->reply)) { /* an original's ring dies of packets of i3 */
        i3_drop(s, I3_DROP_SENDER);
        return false;
    }
    if (!i3_own(s, p->reply.ip.family)) {
        i3_drop(s, I3_DROP_FAMILY); /* no reply; data goes its way */
        p->reply = (struct endpoint){0};
    }
    return true;
}

/* An original that is given a packet without an option list reads beyond it. */
static void send_on(struct i3_server *s, struct passage *p)
{
    p->packet->flags |= I3_OPTIONS;
    if (p->from && !p->reply.ip.family && i3_packet_option(p->packet, I3_INSERT)) {
        i3_drop(s, I3_DROP_NO_SENDER); /* only servers say none, when they hand over */
        return;
    }
    if (p->natted)
        i3_nat_foreign(s, p);
    if (!s->closed && i3_only_for_ours(p->packet))
        i3_drop(s, I3_DROP_OURS_ONLY);
    else if (!s->closed && (!i3_fits_originals(p->packet) ||
                            (p->from && i3_target_is_elsewhere(p->packet, p->from))))
        i3_drop(s, I3_DROP_UNFIT);
    else
        i3_give_to_ring(s, p->now, p->packet);
}

/* How much one source may ask, before anything of it costs more than this. */
static bool admits(struct i3_server *s, const struct passage *p)
{
    const struct i3_packet *packet = p->packet;
    if (!p->from || !s->requests ||
        (!i3_packet_option(packet, I3_INSERT) && !i3_packet_option(packet, I3_REMOVE)))
        return true;
    if (limit_source_admits(&s->clients, p->now, &p->from->ip, s->requests))
        return true;
    i3_drop(s, I3_DROP_SOURCE_LIMIT);
    return false;
}

static void packet_input(struct i3_server *s, instant now, const struct endpoint *from,
                         const void *bytes, size_t size)
{
    static const enum i3_drop drop_of[] = {
        [I3_FAULT_SHORT] = I3_DROP_SHORT,
        [I3_FAULT_VERSION] = I3_DROP_VERSION,
        [I3_FAULT_FLAGS] = I3_DROP_FLAGS,
        [I3_FAULT_DEPTH] = I3_DROP_DEPTH,
        [I3_FAULT_LENGTH] = I3_DROP_LENGTH,
        [I3_FAULT_OPTION] = I3_DROP_OPTION,
        [I3_FAULT_OPTION_COUNT] = I3_DROP_OPTION_COUNT,
        [I3_FAULT_ADDRESS] = I3_DROP_ADDRESS,
    };
    struct i3_packet packet;
    struct passage p = {.now = now, .from = from, .packet = &packet, .size = size};
    enum i3_fault fault = i3_packet_parse(bytes, size, &packet);
    if (fault) {
        i3_drop(s, drop_of[fault]);
        return;
    }
    if (!admits(s, &p) || !find_reply(s, &p))
        return;
    packet.flags &= (uint8_t)~I3_FIRST_HOP;
    if (!packet.depth) {
        if (!i3_nat_relay(s, &p))
            i3_control_own(s, &p);
        return;
    }
    if (!i3_server_owns(s, packet.stack)) {
        send_on(s, &p);
        return;
    }
    i3_control_owned(s, &p);
    if (packet.flags & I3_DATA)
        i3_data(s, &p);
    else if (!packet.option_count)
        i3_drop(s, I3_DROP_NO_DATA);
}

static bool answer_ping(struct i3_server *s, const struct endpoint *from, const void *bytes,
                        size_t size)
{
    struct i3_ping ping;
    uint8_t reply[I3_PING_SIZE];
    if (!i3_ping_parse(bytes, size, &ping))
        return false;
    if (ping.is_reply) {
        i3_drop(s, I3_DROP_UNASKED);
        return true;
    }
    ping.is_reply = true;
    ping.abilities = i3_abilities(s, from);
    i3_ping_write(&ping, reply);
    if (outbox_send(&s->out, from, reply, sizeof reply))
        s->counters.pings++;
    else
        i3_drop(s, I3_DROP_OUTBOX);
    return true;
}

static void copy_input(struct i3_server *s, instant now, const struct chord_delivery *got)
{
    struct i3_packet packet;
    if (i3_packet_parse(got->payload, got->size, &packet) != I3_FINE)
        i3_drop(s, I3_DROP_FORGED_COPY);
    else
        i3_copy_in(s, now, &packet);
}

void i3_server_input(struct i3_server *s, instant now, enum i3_port port,
                     const struct endpoint *from, const void *bytes, size_t size)
{
    if (port == I3_PORT_RING) {
        struct chord_delivery got;
        if (!chord_input(s->chord, now, from, bytes, size, &got))
            return;
        if (got.is_copy)
            copy_input(s, now, &got);
        else
            packet_input(s, now, NULL, got.payload, got.size);
        return;
    }
    s->counters.received++;
    if (!answer_ping(s, from, bytes, size))
        packet_input(s, now, from, bytes, size);
}

static void ring_advance(struct i3_server *s, instant now)
{
    struct chord_delivery held;
    chord_advance(s->chord, now);
    while (chord_take(s->chord, &held))
        packet_input(s, now, NULL, held.payload, held.size);
}

void i3_server_advance(struct i3_server *s, instant now)
{
    if (chord_deadline(s->chord) <= now)
        ring_advance(s, now);
    if (now - s->swept >= SWEEP_EVERY) {
        s->counters.expired += i3_table_expire(s->table, now, SWEEP_MOST);
        s->swept = now;
    }
    i3_ring_advance(s, now);
}

instant i3_server_deadline(const struct i3_server *s)
{
    instant next = chord_deadline(s->chord), over = i3_table_next(s->table);
    if (over < s->swept + SWEEP_EVERY)
        over = s->swept + SWEEP_EVERY;
    next = instant_min(next, over);
    return s->walking ? instant_min(next, s->walked + WALK_EVERY) : next;
}

bool i3_server_output(struct i3_server *s, struct i3_server_out *ret)
{
    ret->port = I3_PORT_RING;
    if (chord_output(s->chord, &ret->letter))
        return true;
    ret->port = I3_PORT_CLIENTS;
    return outbox_take(&s->out, &ret->letter);
}

const struct i3_counters *i3_server_counters(const struct i3_server *s)
{
    return &s->counters;
}

const struct chord *i3_server_chord(const struct i3_server *s)
{
    return s->chord;
}

unsigned i3_server_triggers(const struct i3_server *s)
{
    return i3_table_count(s->table);
}

struct i3_table_gauges i3_server_gauges(const struct i3_server *s)
{
    return i3_table_gauges(s->table);
}

bool i3_server_owns(const struct i3_server *s, const struct i3_id *id)
{
    struct chord_id key = i3_ring_key(id);
    return chord_owns(s->chord, &key);
}

bool i3_server_has(struct i3_server *s, instant now, const struct i3_id *id)
{
    return i3_table_match(s->table, now, id) != NULL;
}

const struct endpoint *i3_server_at(const struct i3_server *s)
{
    return &s->at;
}
