/* Halves: handshakes that somebody else began, before their CONFIRM.
 *
 * A half holds the Noise state and the answer, so that a repeated message 1 gets the same bytes; it
 * gives no handle, no PTR, no endpoint, and displaces nothing.  The table is bounded: the oldest
 * gives way. */
#include "path/path_internal.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

static const uint8_t no_secret[32];

struct half *path_half_find(struct path_engine *e, const uint8_t id[HANDSHAKE_ID])
{
    struct half *h;
    HASH_FIND(hh, e->halves, id, HANDSHAKE_ID, h);
    return h;
}

struct half *path_half_new(struct path_engine *e, instant now, const uint8_t id[HANDSHAKE_ID])
{
    if (HASH_COUNT(e->halves) >= HALVES_MAX) {
        drop_count(&e->drops, DROP_QUEUE_FULL);
        path_half_free(e, e->oldest_half);
    }
    struct half *h = base_calloc(1, sizeof *h);
    h->slot = path_slot_take(e, SLOT_HALF, h);
    if (!h->slot) {
        free(h);
        return NULL;
    }
    memcpy(h->id, id, HANDSHAKE_ID);
    h->since = now;
    HASH_ADD(hh, e->halves, id, HANDSHAKE_ID, h);
    h->older = e->newest_half;
    if (h->older)
        h->older->newer = h;
    else
        e->oldest_half = h;
    e->newest_half = h;
    heap_set(&e->half_timers, &h->timer, instant_after(now, e->config->timers.give_up));
    return h;
}

static void half_unlink(struct path_engine *e, struct half *h)
{
    heap_unset(&e->half_timers, &h->timer);
    HASH_DEL(e->halves, h);
    *(h->older ? &h->older->newer : &e->oldest_half) = h->newer;
    *(h->newer ? &h->newer->older : &e->newest_half) = h->older;
}

static void half_release(struct path_engine *e, struct half *h)
{
    for (unsigned i = 0; i < h->stashed; i++) {
        e->stashed -= h->stash[i].size;
        free(h->stash[i].bytes);
    }
    if (h->link)
        path_neighbour_release(e, h->link);
    noise_done(&h->noise);
    free(h->travelled);
    free(h->answer);
    free(h);
}

void path_half_free(struct path_engine *e, struct half *h)
{
    half_unlink(e, h);
    path_slot_free(e, h->slot);
    half_release(e, h);
}

/* A neighbour pushes out its own oldest half, and an initiator behind it the initiator's own: nobody
 * else's. */
void path_half_make_room(struct path_engine *e, const struct neighbour *link,
                         const struct overlay_name *origin)
{
    struct half *oldest_of_link = NULL, *oldest_of_origin = NULL;
    unsigned of_link = 0, of_origin = 0;
    for (struct half *h = e->newest_half; h; h = h->older) {
        if (h->link != link)
            continue;
        of_link++;
        oldest_of_link = h;
        if (overlay_name_equal(&h->travelled->hop[0], origin)) {
            of_origin++;
            oldest_of_origin = h;
        }
    }
    struct half *goes = of_origin >= HALVES_PER_ORIGIN ? oldest_of_origin
                        : of_link >= HALVES_PER_LINK   ? oldest_of_link
                                                       : NULL;
    if (!goes)
        return;
    drop_count(&e->drops, DROP_LIMIT);
    path_half_free(e, goes);
}

unsigned path_half_count_from(const struct path_engine *e, const struct ip_address *ip)
{
    unsigned count = 0;
    for (const struct half *h = e->oldest_half; h; h = h->newer)
        count += !h->over_link && ip_address_equal(&h->from.remote.ip, ip);
    return count;
}

void path_half_stash(struct path_engine *e, struct half *h, const struct arrival *from,
                     const uint8_t *record, size_t size)
{
    if (h->stashed == STASH_MAX || e->stashed + size > STASHED_BYTES) {
        drop_count(&e->drops, DROP_QUEUE_FULL);
        return;
    }
    e->stashed += size;
    h->stash[h->stashed].bytes = base_calloc(1, size);
    memcpy(h->stash[h->stashed].bytes, record, size);
    h->stash[h->stashed].size = size;
    h->stash[h->stashed].from = *from;
    h->stashed++;
}

static struct judgement judge(struct path_engine *e, const struct half *h, const char *name,
                              const uint8_t key[32], bool bind)
{
    if (!h->over_link)
        return path_trust_judge(e, name, key, (int)h->instance, NULL, bind);
    if (strcmp(name, h->travelled->hop[0].text)) {
        struct judgement j = {.ok = false};
        snprintf(j.text, sizeof j.text,
                 "the initiator calls itself %.80s, the gateways call it %.80s", name,
                 h->travelled->hop[0].text);
        return j;
    }
    bool vouched = h->vouch.present && crypto_equal(h->vouch.key, key, 32);
    return path_trust_judge(e, name, key, -1, vouched ? h->link->name : NULL, bind);
}

size_t path_half_answer(struct path_engine *e, instant now, struct half *h, const uint8_t *noise,
                        size_t noise_size, uint8_t *out, size_t size, unsigned *ret_code)
{
    struct handshake_payload offer, choice = {0};
    const struct instance *in = &e->instance[h->instance];
    uint8_t payload[512];
    struct writer w = writer_over(payload, sizeof payload);

    if (!path_handshake_answer_read(e, &h->noise, h->pattern, h->instance,
                                    h->over_link ? no_secret : in->psk[h->secret], noise,
                                    noise_size, &offer)) {
        *ret_code = REFUSE_UNREADABLE;
        return 0;
    }
    if (offer.label != (h->over_link ? 0 : h->label_out)) {
        *ret_code = REFUSE_UNREADABLE; /* somebody changed the label in clear, or took message 1
                                          from elsewhere */
        return 0;
    }
    h->aead = path_handshake_choose_aead(e, offer.aeads);
    if (!h->aead) {
        *ret_code = REFUSE_VERSION;
        return 0;
    }
    h->known = offer.known;
    h->lanes = offer.lanes > e->data_lanes ? offer.lanes : (uint8_t)e->data_lanes;
    if (h->lanes > FORWARD_LANES_MAX - 1)
        h->lanes = FORWARD_LANES_MAX - 1;
    *ret_code = 0;
    if (h->pattern == PATTERN_IK) {
        struct judgement j = judge(e, h, offer.name, h->noise.rs, false);
        memcpy(h->name, offer.name, NAME_TEXT);
        memcpy(h->key, h->noise.rs, 32);
        if (!j.ok) {
            drop_count(&e->drops, DROP_NOT_A_MEMBER);
            path_notice(e, now, LOG_WARNING, "refused %s: %s", offer.name, j.text);
            *ret_code = REFUSE_IDENTITY;
        }
    }
    choice = (struct handshake_payload){
        .aeads = (uint8_t)(1 << h->aead),
        .lanes = h->lanes,
        .status = (uint8_t)*ret_code,
        .label = h->over_link ? 0 : path_slot_label(e, h->slot),
    };
    memcpy(choice.name, in->config->self.text, NAME_TEXT);
    path_handshake_payload_write(&w, &choice);
    size_t written = noise_write(&h->noise, payload, writer_size(&w), out, size);
    if (!written)
        *ret_code = REFUSE_UNREADABLE;
    return written;
}

/* The identity was refused after message 3: the peer is told, sealed. */
static void say_refused(struct path_engine *e, instant now, struct half *h,
                        const struct epoch_keys *keys, const char *why, const struct arrival *from)
{
    uint8_t record[256], key[32];
    if (h->over_link) {
        if (h->link->link)
            path_refuse_over_link(e, now, h->link->link, h->id, REFUSE_IDENTITY, why);
        return;
    }
    struct writer w = writer_over(record + RECORD_HEADER, sizeof record - RECORD_OVERHEAD);
    write_u8(&w, MESSAGE_CLOSE);
    write_bytes(&w, why, strnlen(why, writer_left(&w)));
    record_lane_key(keys->send, 0, keys->epoch, key);
    struct record_sealer *s = record_sealer_new(e->library, h->aead, key, keys->epoch, 0);
    size_t size =
        s ? record_seal(s, record, writer_size(&w), RECORD_KIND_CONTROL, h->label_out) : 0;
    record_sealer_free(s);
    crypto_wipe(key, sizeof key);
    struct path_out *o = path_out_add(e, PATH_OUT_ANSWER);
    o->instance = h->instance;
    o->from = *from;
    path_out_bytes(e, record, size);
}

/* Reads what CONFIRM carries: message 3, or a record that proves that the initiator has the keys.
 */
static bool confirm_read(struct path_engine *e, struct half *h, const uint8_t *bytes, size_t size,
                         struct epoch_keys *ret)
{
    if (h->pattern == PATTERN_XX) {
        struct handshake_payload self;
        uint8_t payload[NOISE_BLOB_MAX];
        size_t payload_size;
        struct noise n = h->noise;
        bool ok = size <= sizeof payload && noise_read(&n, bytes, size, payload, &payload_size) &&
                  path_handshake_payload_read(payload, payload_size, &self);
        if (ok) {
            memcpy(h->name, self.name, NAME_TEXT);
            memcpy(h->key, n.rs, 32);
            path_handshake_keys(&n, false, ret);
        }
        noise_done(&n);
        return ok;
    }
    uint8_t record[128], key[32];
    struct record_header header;
    size_t plain;
    enum drop_reason reason;
    path_handshake_keys(&h->noise, false, ret);
    if (size > sizeof record || !record_read_header(bytes, size, &header) || header.epoch != 0)
        return false;
    memcpy(record, bytes, size);
    record_lane_key(ret->receive, 0, 0, key);
    struct record_opener *o = record_opener_new(e->library, h->aead, key, true, 0);
    bool ok = o && record_open(o, record, size, &header, &plain, &reason);
    record_opener_free(o);
    crypto_wipe(key, sizeof key);
    return ok;
}

static void way_back(const struct half *h, struct name_chain *ret)
{
    ret->count = 1;
    memcpy(ret->hop[0].text, h->name, NAME_TEXT);
    if (!h->over_link)
        return;
    ret->count = h->travelled->count;
    for (unsigned i = 0; i < ret->count; i++)
        ret->hop[i] = h->travelled->hop[ret->count - 1 - i];
}

static void tunnel_say(struct path_engine *e, const struct neighbour *n, enum path_out_kind kind,
                       const struct arrival *from)
{
    struct overlay_name name = {0};
    char host[NAME_TEXT];
    struct path_out *o = path_out_add(e, kind);
    o->instance = n->instance;
    o->tunnel = n->tunnel;
    o->from = *from;
    memcpy(name.text, n->name, strlen(n->name) + 1);
    path_out_host(e, overlay_name_host(&name, host));
}

/* The neighbour proved itself over `from`: a tunnel that there is not yet leads there.  One that is
 * still being looked for is given up, since it may be found elsewhere, or not at all. */
static void take_tunnel(struct path_engine *e, struct neighbour *n, const struct arrival *from)
{
    if (n->tunnel_state == TUNNEL_UP)
        return;
    if (n->tunnel_state == TUNNEL_OPENING)
        tunnel_say(e, n, PATH_OUT_TUNNEL_CLOSE, from);
    tunnel_say(e, n, PATH_OUT_TUNNEL_ACCEPT, from);
    n->tunnel_state = TUNNEL_OPENING;
}

/* A tunnel that led elsewhere before.  Whoever was answered at `from` was there to read it; else CONFIRM may be a copy,
 * sent by somebody else. */
static void move_tunnel(struct path_engine *e, instant now, const struct half *h, struct path *p,
                        const struct arrival *from)
{
    const struct recipe *r = path_neighbour_recipe(p->first);
    bool known = r && r->from.ip.family;
    if (p->first->tunnel_state != TUNNEL_UP || (known && endpoint_equal(&r->from, &from->remote)))
        return;
    if (!known || endpoint_equal(&h->from.remote, &from->remote))
        tunnel_say(e, p->first, PATH_OUT_TUNNEL_MOVED, from);
    else
        path_move_seen(e, now, p, from);
}

/* What came before CONFIRM.  The owner attaches the path before it hears of the records for the
 * data path. */
static void give_stash(struct path_engine *e, instant now, struct half *h)
{
    for (unsigned i = 0; i < h->stashed; i++) {
        struct record_header header;
        if (record_read_header(h->stash[i].bytes, h->stash[i].size, &header) &&
            LABEL_LANE(header.label) == 0) {
            path_control_record(e, now, &h->stash[i].from, h->stash[i].bytes, h->stash[i].size);
            continue;
        }
        path_out_add(e, PATH_OUT_INJECT)->from = h->stash[i].from;
        path_out_bytes(e, h->stash[i].bytes, h->stash[i].size);
    }
}

static void refused(struct path_engine *e, instant now, struct half *h,
                    const struct epoch_keys *keys, const char *why, const struct arrival *from)
{
    drop_count(&e->drops, DROP_NOT_A_MEMBER);
    path_notice(e, now, LOG_WARNING, "refused %s: %s", h->name, why);
    say_refused(e, now, h, keys, why, from);
    path_half_free(e, h);
}

/* The half becomes a path, with the same slot. */
static struct path *become_path(struct path_engine *e, instant now, struct half *h,
                                const struct epoch_keys *keys)
{
    struct name_chain chain;
    way_back(h, &chain);
    half_unlink(e, h);
    struct path *p = path_new(e, &chain, false);
    p->slot = h->slot;
    path_slot_change(e, p->slot, SLOT_PATH, p);
    path_set_id(e, p, h->id);
    path_set_label(e, p, h->label_out);
    p->aead = h->aead;
    p->record_mtu = h->over_link ? h->record_mtu : path_neighbour_record_mtu(p->first);
    p->confirmed_at = now_floor(now);
    path_session_create(e, p, h->lanes);
    path_session_first(e, p, keys);
    return p;
}

void path_half_confirm(struct path_engine *e, instant now, struct half *h, const uint8_t *bytes,
                       size_t size, const struct arrival *from)
{
    struct epoch_keys keys = {0};

    if (!confirm_read(e, h, bytes, size, &keys)) {
        drop_count(&e->drops, DROP_BAD_HANDSHAKE);
        return; /* forged or broken: the half stays for the real one */
    }
    struct judgement j = judge(e, h, h->name, h->key, true);
    if (!j.ok) {
        refused(e, now, h, &keys, j.text, from);
        crypto_wipe(&keys, sizeof keys);
        return;
    }
    struct path *p = become_path(e, now, h, &keys);
    crypto_wipe(&keys, sizeof keys);
    if (p->one_hop)
        take_tunnel(e, p->first, from);
    path_stands(e, now, p, h->name, h->key, j.text, h);
    if (p->one_hop)
        move_tunnel(e, now, h, p, from);
    path_control_hello(e, now, p); /* tells the initiator to stop repeating CONFIRM */
    give_stash(e, now, h);
    half_release(e, h);
}
