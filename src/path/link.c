/* Links, the initiator's side: the handshake in clear between neighbours.  What strangers get from
 * us is link_answer.c.
 *
 * OPEN is repeated with doubling pauses.  A repetition may be another message 1: XX after two IK
 * that stayed without an answer (the neighbour may have another key now), and the other secret
 * while a network's secret is being changed.
 *
 * Refusals and cookies come in clear.  A refusal proves nothing: it becomes the hint that `explain`
 * shows when the opening fails, and at most hurries the next attempt; whatever was tried before is
 * tried again. */
#include "path/path_internal.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

void path_link_mac(const uint8_t key[32], const uint8_t *bytes, size_t size, uint8_t ret[LINK_MAC])
{
    uint8_t full[32];
    crypto_hmac_sha256(key, 32, bytes, size, full);
    memcpy(ret, full, LINK_MAC);
}

static void write_macs(struct path_engine *e, struct path *p)
{
    struct opening *o = p->opening;
    size_t covered = o->message_size - OPEN_MACS;
    uint8_t *mac2 = o->message + covered + LINK_MAC, full[32];

    path_link_mac(e->instance[p->instance].mac_key[o->secret], o->message, covered, o->mac1);
    memcpy(o->message + covered, o->mac1, LINK_MAC);
    memset(mac2, 0, LINK_MAC);
    if (o->has_cookie) {
        crypto_hmac_sha256(o->cookie, sizeof o->cookie, o->message, covered + LINK_MAC, full);
        memcpy(mac2, full, LINK_MAC);
    }
}

/* Makes message 1 (a new one each time: another pattern or secret may be tried). */
static void make_open(struct path_engine *e, struct path *p)
{
    struct opening *o = p->opening;
    const struct instance *in = &e->instance[p->instance];
    uint8_t noise[NOISE_BLOB_MAX], bytes[NOISE_BLOB_MAX + 64], id[HANDSHAKE_ID], key[32];
    struct writer w = writer_over(bytes, sizeof bytes);
    const size_t around = 10 + OPEN_MACS;
    struct handshake_settings s = {
        .pattern = o->unanswered_ik < 2 ? PATTERN_IK : PATTERN_XX,
        .self = p->instance,
        .target = p->first->name,
        .peer_key = path_trust_key(e, p->first->name, key) ? key : NULL,
        .psk = in->psk[o->secret],
        .label = path_slot_label(e, p->slot),
        .known = path_stand_known(e, p->first->name),
        .pad_to = OPEN_SIZE - around,
    };

    noise_done(&o->noise);
    size_t size = path_handshake_begin(e, &o->noise, &s, &o->pattern, noise, sizeof noise);
    require(size);
    path_handshake_id(noise, size, id);
    path_set_id(e, p, id);
    write_u8(&w, WIRE_OPEN);
    write_u8(&w, PATH_VERSION);
    write_u8(&w, PATH_SUITE);
    write_u8(&w, o->pattern);
    write_u32(&w, s.label);
    write_blob(&w, noise, size);
    write_room(&w, OPEN_MACS);
    require(!w.failed);
    free(o->message);
    o->message_size = writer_size(&w);
    o->message = base_calloc(1, o->message_size);
    memcpy(o->message, bytes, o->message_size);
    write_macs(e, p);
}

/* Sends bytes over a tunnel that is up, without a record around them. */
void path_link_send_clear(struct path_engine *e, struct path *p, const uint8_t *bytes, size_t size)
{
    const struct recipe *r = path_neighbour_recipe(p->first);
    struct packet *packet = packet_take(e->pool);
    enum drop_reason reason = DROP_NO_TUNNEL;

    if (r && packet && packet_fill(packet, bytes, size) && recipe_run(r, packet, &reason)) {
        const struct recipe_step *send = recipe_target(r);
        path_out_forward(e, &(struct forward_out){.packet = packet,
                                                  .socket = send->send.socket,
                                                  .local = send->send.local,
                                                  .remote = send->send.remote,
                                                  .tos = send->send.tos});
    } else {
        drop_count(&e->drops, reason);
    }
    packet_give_back(packet);
}

void path_link_begin(struct path_engine *e, instant now, struct path *p)
{
    p->first->opening = p;
    path_neighbour_open_tunnel(e, p->first);
    if (p->first->tunnel_state == TUNNEL_UP)
        path_link_repeat(e, now, p);
}

void path_link_again(struct path_engine *e, struct path *p)
{
    if (p->opening->sent)
        path_link_send_clear(e, p, p->opening->message, p->opening->message_size);
}

/* Sends OPEN, the first time or again. */
void path_link_repeat(struct path_engine *e, instant now, struct path *p)
{
    struct opening *o = p->opening;
    if (p->first->tunnel_state != TUNNEL_UP) {
        o->next = now + e->config->timers.retry;
        path_alive_schedule(e, now, p);
        return;
    }
    if (o->sent && o->pattern == PATTERN_IK && ++o->unanswered_ik == 2)
        o->sent = false;
    if (o->times >= 2 && e->instance[p->instance].psk_count > 1) {
        o->secret = (o->secret + 1) % e->instance[p->instance].psk_count;
        o->sent = false;
    }
    if (!o->sent)
        make_open(e, p);
    o->sent = true;
    o->times++;
    path_link_send_clear(e, p, o->message, o->message_size);
    o->next = now + o->spacing;
    o->spacing = o->spacing * 2;
    path_alive_schedule(e, now, p);
}

/* The neighbour answers again, if only to say that it has lost us: what waits for the next repetition of OPEN need not
 * wait for as long as it did before. */
void path_link_hurry(struct path_engine *e, instant now, struct neighbour *n)
{
    struct opening *o = n->opening ? n->opening->opening : NULL;
    instant retry = e->config->timers.retry;
    if (!o || !o->sent || now - (o->next - o->spacing / 2) < retry)
        return;
    o->spacing = retry;
    path_link_repeat(e, now, n->opening);
}

/* ---- what came back ---- */

static void cookie_received(struct path_engine *e, instant now, struct path *p,
                            const struct clear_reply *m)
{
    struct opening *o = p->opening;
    uint8_t key[32], cookie[16];
    path_link_cookie_key(&e->instance[p->instance], o->secret, key);
    if (o->cookies >= COOKIES_PER_OPEN ||
        !crypto_xaead_open(key, m->blob, o->mac1, LINK_MAC, m->blob + 24, 32, cookie) ||
        (o->has_cookie && crypto_equal(cookie, o->cookie, sizeof cookie))) {
        drop_count(&e->drops, DROP_BAD_HANDSHAKE);
        return;
    }
    memcpy(o->cookie, cookie, sizeof cookie);
    o->cookies++;
    o->has_cookie = true;
    write_macs(e, p);
    path_link_again(e, p);
    o->next = now + o->spacing;
    path_alive_schedule(e, now, p);
}

static void refuse_received(struct path_engine *e, instant now, struct path *p,
                            const struct clear_reply *m)
{
    struct opening *o = p->opening;
    const struct instance *in = &e->instance[p->instance];

    if (m->code != REFUSE_SECRET && m->code != REFUSE_UNREADABLE && m->code != REFUSE_VERSION) {
        drop_count(&e->drops, DROP_BAD_MESSAGE); /* nothing else is said in clear */
        return;
    }
    path_hint(p, "%s answers: %s", p->first->name, path_refuse_text(m->code));
    path_notice(e, now, LOG_WARNING, "link to %s: it answers: %s (not proven)", p->first->name,
                path_refuse_text(m->code));
    if (m->code == REFUSE_SECRET && o->times <= in->psk_count - 1) {
        o->secret = (o->secret + 1) % in->psk_count;
        o->sent = false;
        path_link_repeat(e, now, p);
    } else if (m->code == REFUSE_UNREADABLE && o->pattern == PATTERN_IK) {
        o->unanswered_ik = 2;
        o->sent = false;
        path_link_repeat(e, now, p);
    }
}

static void accept_received(struct path_engine *e, instant now, struct path *p,
                            const struct clear_reply *m, const uint8_t *bytes)
{
    uint8_t mac[LINK_MAC];
    path_link_mac(e->instance[p->instance].mac_key[p->opening->secret], bytes, m->covered, mac);
    if (!crypto_equal(mac, m->mac, LINK_MAC))
        drop_count(&e->drops, DROP_BAD_MAC);
    else
        path_accepted(e, now, p, m->label, path_neighbour_record_mtu(p->first), NULL, m->blob,
                      m->blob_size);
}

static void confirm_received(struct path_engine *e, instant now, unsigned instance,
                             const struct arrival *from, const struct clear_reply *m)
{
    struct half *h = path_half_find(e, m->id);
    struct path *p = path_of_handshake(e, m->id);
    if (h && !h->over_link && h->instance == instance)
        path_half_confirm(e, now, h, m->blob, m->blob_size, from);
    else if (p && p->one_hop && p->state == PATH_STATE_UP &&
             now - p->control_sent >= e->config->timers.retry / 2)
        path_control_hello(
            e, now,
            p); /* our first record was lost; but whoever saw this message can send it, and often */
    else
        drop_count(&e->drops, p ? DROP_DUPLICATE_HANDSHAKE : DROP_BAD_HANDSHAKE);
}

void path_link_clear(struct path_engine *e, instant now, unsigned instance,
                     const struct arrival *from, const uint8_t *bytes, size_t size)
{
    struct clear_reply m;

    if (bytes[0] == WIRE_OPEN) {
        path_link_open_received(e, now, instance, from, bytes, size);
        return;
    }
    if (bytes[0] == WIRE_ERROR) {
        path_link_error_received(e, now, from, bytes, size);
        return;
    }
    /* A refusal looks the same in all versions, or the other end could not say that it speaks
     * another one. */
    if (!path_clear_reply_read(bytes, size, &m) ||
        (m.version != PATH_VERSION && m.type != WIRE_REFUSE)) {
        drop_count(&e->drops, DROP_BAD_MESSAGE);
        return;
    }
    if (m.type == WIRE_CONFIRM) {
        confirm_received(e, now, instance, from, &m);
        return;
    }
    struct path *p = path_of_handshake(e, m.id);
    if (!p || !p->opening || !p->one_hop || p->instance != instance) {
        drop_count(&e->drops, DROP_BAD_HANDSHAKE);
        return;
    }
    if (m.type == WIRE_ACCEPT)
        accept_received(e, now, p, &m, bytes);
    else if (m.type == WIRE_COOKIE)
        cookie_received(e, now, p, &m);
    else
        refuse_received(e, now, p, &m);
}
