/* Set-up of paths by way of a link: what we ask of our neighbour, and what neighbours bring us when
 * the path ends here. What we pass on for others is in gateway.c. */
#include "path/path_internal.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

static const uint8_t no_secret[32];

/* ---- initiator: message 1 ---- */

static void make_message(struct path_engine *e, struct path *p)
{
    struct opening *o = p->opening;
    char target[NAME_TEXT];
    uint8_t noise[NOISE_BLOB_MAX], id[HANDSHAKE_ID], key[32];

    snprintf(target, sizeof target, "%.*s", (int)path_target_size(p), p->chain);
    struct handshake_settings s = {
        .pattern = o->unanswered_ik < 2 ? PATTERN_IK : PATTERN_XX,
        .self = p->self,
        .target = target,
        .peer_key = path_trust_key(e, target, key) ? key : NULL,
        .psk = no_secret,
        .known = path_stand_known(e, target),
    };
    noise_done(&o->noise);
    size_t size = path_handshake_begin(e, &o->noise, &s, &o->pattern, noise, sizeof noise);
    require(size);
    path_handshake_id(noise, size, id);
    path_set_id(e, p, id);
    free(o->message);
    o->message = base_calloc(1, size);
    o->message_size = size;
    memcpy(o->message, noise, size);
}

/* Sends MESSAGE_OPEN (again) when the link to the first hop stands; else sees to it that one is
 * opened. */
void path_open_over_link(struct path_engine *e, instant now, struct path *p)
{
    struct opening *o = p->opening;
    struct open_message m = {.record_mtu = 0};
    const char *reason;
    uint8_t bytes[CONTROL_MAX];
    struct writer w = writer_over(bytes, sizeof bytes);

    if (!path_neighbour_want_link(e, now, p->first, o->limit))
        return;
    if (o->sent && o->pattern == PATTERN_IK && ++o->unanswered_ik == 2)
        o->sent = false; /* perhaps the target has another key now: ask without assuming one */
    if (!o->sent)
        make_message(e, p);
    o->sent = true;
    memcpy(m.id, p->id, HANDSHAKE_ID);
    m.label = path_slot_label(e, p->slot);
    m.record_mtu = path_neighbour_record_mtu(p->first);
    m.pattern = o->pattern;
    name_chain_parse(p->chain, &m.remaining, &reason);
    m.travelled.count = 1;
    m.travelled.hop[0] = e->instance[p->self].config->self;
    m.noise = o->message;
    m.noise_size = (uint16_t)o->message_size;
    write_u8(&w, MESSAGE_OPEN);
    path_open_message_write(&w, &m);
    if (!w.failed)
        path_control_send(e, now, p->first->link, bytes, writer_size(&w));
    o->next = now + o->spacing;
    o->spacing *= 2;
    path_alive_schedule(e, now, p);
}

/* ---- responder ---- */

void path_refuse_over_link(struct path_engine *e, instant now, struct path *link,
                           const uint8_t id[HANDSHAKE_ID], unsigned code, const char *text)
{
    uint8_t bytes[512];
    struct writer w = writer_over(bytes, sizeof bytes);
    write_u8(&w, MESSAGE_REFUSE);
    write_bytes(&w, id, HANDSHAKE_ID);
    write_u8(&w, (uint8_t)code);
    write_blob(&w, (const uint8_t *)text, strnlen(text, 256));
    if (!w.failed)
        path_control_send(e, now, link, bytes, writer_size(&w));
}

static void send_answer(struct path_engine *e, instant now, struct half *h)
{
    if (h->link->link)
        path_control_send(e, now, h->link->link, h->answer, h->answer_size);
}

static void keep_answer(struct path_engine *e, struct half *h, const uint8_t *noise,
                        size_t noise_size)
{
    uint8_t bytes[NOISE_BLOB_MAX + 128];
    struct writer w = writer_over(bytes, sizeof bytes);
    struct accept_message a = {.label = path_slot_label(e, h->slot),
                               .record_mtu = h->record_mtu,
                               .noise = noise,
                               .noise_size = (uint16_t)noise_size};
    memcpy(a.id, h->id, HANDSHAKE_ID);
    write_u8(&w, MESSAGE_ACCEPT);
    path_accept_message_write(&w, &a);
    require(!w.failed);
    h->answer_size = writer_size(&w);
    h->answer = base_calloc(1, h->answer_size);
    memcpy(h->answer, bytes, h->answer_size);
}

static struct half *half_of(struct path_engine *e, instant now, const struct path *link,
                            const struct open_message *m)
{
    path_half_make_room(e, link->first, &m->travelled.hop[0]);
    struct half *h = path_half_new(e, now, m->id);
    uint16_t own = path_neighbour_record_mtu(link->first);
    if (!h)
        return NULL;
    h->instance = link->instance;
    h->over_link = true;
    h->link = link->first;
    path_neighbour_use(h->link);
    h->pattern = m->pattern;
    h->label_out = m->label;
    h->record_mtu = m->record_mtu < own ? m->record_mtu : own;
    h->vouch = m->origin;
    h->travelled = base_calloc(1, sizeof *h->travelled);
    *h->travelled = m->travelled;
    return h;
}

/* We are the target. */
static void answer_open(struct path_engine *e, instant now, struct path *link,
                        const struct open_message *m)
{
    uint8_t noise[NOISE_BLOB_MAX];
    unsigned code = REFUSE_LIMIT;
    struct half *h = path_half_find(e, m->id);

    if (h && h->answer && h->over_link && h->link == link->first) {
        send_answer(e, now, h);
        return;
    }
    if (h || path_of_handshake(e, m->id)) {
        drop_count(&e->drops, DROP_DUPLICATE_HANDSHAKE);
        return;
    }
    h = half_of(e, now, link, m);
    size_t size =
        h ? path_half_answer(e, now, h, m->noise, m->noise_size, noise, sizeof noise, &code) : 0;
    if (!size) {
        drop_count(&e->drops, DROP_BAD_HANDSHAKE);
        path_refuse_over_link(e, now, link, m->id, code, path_refuse_text(code));
        if (h)
            path_half_free(e, h);
        return;
    }
    keep_answer(e, h, noise, size);
    send_answer(e, now, h);
    if (code == REFUSE_IDENTITY) /* said inside message 2, where only the peer reads it */
        path_half_free(e, h);
}

/* May this link open one more path? */
static bool admitted(struct path_engine *e, instant now, struct neighbour *n)
{
    if (path_rate_admits(&n->opens, now, OPENS_PER_SECOND))
        return true;
    drop_count(&e->drops, DROP_RATE_LIMITED);
    return false;
}

void path_open_receive(struct path_engine *e, instant now, struct path *link, struct reader *r)
{
    struct open_message m;
    if (!path_open_message_read(r, &m) || m.pattern > PATTERN_XX || !m.label || (m.label & 0xF) ||
        m.record_mtu < 128) {
        drop_count(&e->drops, DROP_BAD_MESSAGE);
        return;
    }
    if (!admitted(e, now, link->first)) {
        path_refuse_over_link(e, now, link, m.id, REFUSE_LIMIT, path_refuse_text(REFUSE_LIMIT));
        return;
    }
    /* The neighbour must have signed the list of hops last, with the name we know it by. */
    if (strcmp(m.travelled.hop[m.travelled.count - 1].text, link->first->name) ||
        strcmp(m.remaining.hop[0].text, e->instance[link->instance].config->self.text)) {
        drop_count(&e->drops, DROP_BAD_MESSAGE);
        path_refuse_over_link(e, now, link, m.id, REFUSE_UNREADABLE,
                              path_refuse_text(REFUSE_UNREADABLE));
        return;
    }
    if (m.remaining.count == 1)
        answer_open(e, now, link, &m);
    else
        path_gateway_open(e, now, link, &m);
}

void path_open_confirm_receive(struct path_engine *e, instant now, struct path *link,
                               struct reader *r)
{
    uint8_t id[HANDSHAKE_ID];
    uint16_t size;
    read_copy(r, id, sizeof id);
    const uint8_t *blob = read_blob(r, &size);
    if (r->failed || size > NOISE_BLOB_MAX) {
        drop_count(&e->drops, DROP_BAD_MESSAGE);
        return;
    }
    struct half *h = path_half_find(e, id);
    struct path *p = path_of_handshake(e, id);
    if (h && h->over_link && h->link == link->first)
        path_half_confirm(e, now, h, blob, size, NULL);
    else if (p && !p->one_hop && p->state == PATH_STATE_UP && p->first == link->first)
        path_control_hello(e, now, p);
    else if (!path_gateway_confirm(e, now, link, id, blob, size))
        drop_count(&e->drops, DROP_BAD_HANDSHAKE);
}

/* ---- initiator: what came back ---- */

void path_open_accept_receive(struct path_engine *e, instant now, struct path *link,
                              struct reader *r)
{
    struct accept_message m;
    if (!path_accept_message_read(r, &m) || !m.label || (m.label & 0xF) || m.record_mtu < 128) {
        drop_count(&e->drops, DROP_BAD_MESSAGE);
        return;
    }
    struct path *p = path_of_handshake(e, m.id);
    if (p && p->opening && !p->one_hop && p->first == link->first)
        path_accepted(e, now, p, m.label, m.record_mtu, &m.target, m.noise, m.noise_size);
    else if (p || !path_gateway_accept(e, now, link, &m))
        drop_count(&e->drops, p ? DROP_DUPLICATE_HANDSHAKE : DROP_BAD_HANDSHAKE);
}

static void opening_refused(struct path_engine *e, instant now, struct path *p, unsigned code,
                            const char *text)
{
    char reason[400];
    if (code == REFUSE_UNREADABLE && p->opening->pattern == PATTERN_IK) {
        p->opening->unanswered_ik = 2; /* perhaps the target has another key now */
        p->opening->sent = false;
        path_open_over_link(e, now, p);
        return;
    }
    p->opening->unknown_host = code == REFUSE_UNKNOWN_HOST;
    snprintf(reason, sizeof reason, "%.*s, by way of %.100s: %s", (int)path_target_size(p),
             p->chain, p->first->name, text);
    path_fail(e, now, p, reason);
}

void path_open_refuse_receive(struct path_engine *e, instant now, struct path *link,
                              struct reader *r)
{
    uint8_t id[HANDSHAKE_ID];
    uint16_t size;
    char text[257];
    read_copy(r, id, sizeof id);
    uint8_t code = read_u8(r);
    const uint8_t *said = read_blob(r, &size);
    if (r->failed || size > 256) {
        drop_count(&e->drops, DROP_BAD_MESSAGE);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        text[i] = said[i] >= ' ' && said[i] <= '~' ? (char)said[i] : '?';
    text[size] = 0;
    struct path *p = path_of_handshake(e, id);
    bool ours = p && !p->one_hop && p->first == link->first;
    if (ours && p->opening)
        opening_refused(e, now, p, code, text);
    else if (ours && !p->confirmed_at && p->state == PATH_STATE_UP)
        path_lost(e, now, p, text);
    else if (p || !path_gateway_refuse(e, now, link, id, code, text))
        drop_count(&e->drops, DROP_BAD_HANDSHAKE);
}
