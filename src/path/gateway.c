/* Gateways: setting up paths for others, over two of our links.
 *
 * We decide by the identity of the link that the OPEN came over (for whom) and by the instance of
 * the next hop (to where); forwarding is closed until the configuration lists it.  The end-to-end
 * handshake passes through as it is; what we add is our labels, our name among the travelled hops,
 * and our word about who the ends are.
 *
 * A link to the next hop gets less time than the initiator takes, so that the initiator hears the
 * reason. */
#include "path/path_internal.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

static uint16_t least(uint16_t a, uint16_t b)
{
    return a < b ? a : b;
}

static void send_open(struct path_engine *e, instant now, struct transit *t)
{
    if (!path_neighbour_want_link(e, now, t->out.neighbour,
                                  now + e->config->timers.give_up * 3 / 4))
        return; /* path_gateway_link_up() comes back here */
    /* Only now the next tunnel, and so its MTU, is known: the field behind type, id and label. */
    struct writer w = writer_over(t->open + 1 + HANDSHAKE_ID + 4, 2);
    write_u16(&w, least(t->record_mtu, path_neighbour_record_mtu(t->out.neighbour)));
    path_control_send(e, now, t->out.neighbour->link, t->open, t->open_size);
}

/* 0, or why the gateway will not forward this. */
static unsigned objection(const struct path_engine *e, const struct path *link,
                          const struct open_message *m)
{
    const struct overlay_name *next = &m->remaining.hop[1];
    if (m->travelled.count >= HOPS_MAX)
        return REFUSE_LOOP;
    for (unsigned i = 0; i < m->travelled.count; i++)
        if (path_engine_is_self(e, m->travelled.hop[i].text) ||
            overlay_name_equal(&m->travelled.hop[i], next))
            return REFUSE_LOOP;
    if (path_engine_is_self(e, next->text))
        return REFUSE_LOOP;
    if (!path_policy_forwards(e, link->first->name, overlay_name_instance(next)))
        return REFUSE_NOT_FORWARDING;
    if (path_engine_instance(e, overlay_name_instance(next)) < 0)
        return REFUSE_UNKNOWN_HOST;
    if (link->first->transits >= TRANSITS_PER_LINK || link->first->waiting >= WAITING_PER_LINK ||
        e->tunnels.count >= NEIGHBOURS_MAX)
        return REFUSE_LIMIT;
    return 0;
}

static void refuse(struct path_engine *e, instant now, struct path *link,
                   const struct open_message *m, unsigned code)
{
    char text[256];
    snprintf(text, sizeof text, "%.100s: %s", e->instance[link->instance].config->self.text,
             path_refuse_text(code));
    if (code == REFUSE_NOT_FORWARDING)
        path_notice(e, now, LOG_NOTICE,
                    "%s wants to be forwarded to %s: no line under `forward:` allows it",
                    link->first->name, m->remaining.hop[1].text);
    path_refuse_over_link(e, now, link, m->id, code, text);
}

/* The message for the next hop: our label, our view of the initiator's identity, ourselves among
 * the travelled hops. False: it does not fit. */
static bool rewrite_open(struct path_engine *e, struct path *link, struct transit *t,
                         struct open_message *m)
{
    uint8_t bytes[CONTROL_MAX];
    struct writer w = writer_over(bytes, sizeof bytes);
    const char *origin = m->travelled.hop[0].text;

    if (m->travelled.count == 1) { /* the initiator itself is our neighbour: we know it */
        m->origin.present = true;
        memcpy(m->origin.key, link->peer->key, 32);
    } else if (m->origin.present &&
               !path_trust_judge(e, origin, m->origin.key, -1, link->first->name, false).ok) {
        m->origin.present = false;
    }
    t->record_mtu = least(m->record_mtu, path_neighbour_record_mtu(t->in.neighbour));
    m->label = path_slot_label(e, t->out.slot);
    m->travelled.hop[m->travelled.count++] = e->instance[t->out.neighbour->instance].config->self;
    m->remaining.count--;
    memmove(&m->remaining.hop[0], &m->remaining.hop[1],
            m->remaining.count * sizeof m->remaining.hop[0]);
    write_u8(&w, MESSAGE_OPEN);
    path_open_message_write(&w, m);
    if (w.failed)
        return false;
    t->open_size = writer_size(&w);
    t->open = base_calloc(1, t->open_size);
    memcpy(t->open, bytes, t->open_size);
    return true;
}

static struct transit *begin(struct path_engine *e, instant now, struct path *link,
                             struct open_message *m)
{
    const struct overlay_name *next = &m->remaining.hop[1];
    struct neighbour *out = path_neighbour_get(
        e, next->text, (unsigned)path_engine_instance(e, overlay_name_instance(next)));
    path_neighbour_use(out); /* found or new, it goes with its last user */
    struct transit *t = path_transit_new(e, now, m->id, link->first, out);
    path_neighbour_release(e, out);
    if (!t)
        return NULL;
    path_transit_set_label(e, &t->in, m->label);
    t->target = base_strdup(m->remaining.hop[m->remaining.count - 1].text);
    t->target_is_next = m->remaining.count == 2;
    if (rewrite_open(e, link, t, m))
        return t;
    path_transit_free(e, t);
    return NULL;
}

void path_gateway_open(struct path_engine *e, instant now, struct path *link,
                       struct open_message *m)
{
    struct transit *t = path_transit_find(e, m->id);
    if (t) { /* repeated: pass it on again; from elsewhere: it went in a circle */
        if (t->in.neighbour != link->first)
            refuse(e, now, link, m, REFUSE_LOOP);
        else if (t->open && path_transit_may_pass(e, now, link->first))
            send_open(e, now, t);
        return;
    }
    unsigned code = objection(e, link, m);
    if (!code && path_half_find(e, m->id))
        code = REFUSE_LOOP;
    if (!code && path_of_handshake(e, m->id))
        code = REFUSE_LOOP; /* our own, come back */
    if (!code && !path_rate_admits(&link->first->passed_opens, now, PASSED_OPENS))
        code = REFUSE_LIMIT;
    if (!code && !(t = begin(e, now, link, m)))
        code = REFUSE_LIMIT;
    if (code == REFUSE_LIMIT)
        drop_count(&e->drops, DROP_LIMIT);
    if (code)
        refuse(e, now, link, m, code);
    else
        send_open(e, now, t);
}

bool path_gateway_accept(struct path_engine *e, instant now, struct path *link,
                         struct accept_message *m)
{
    struct transit *t = path_transit_find(e, m->id);
    uint8_t bytes[CONTROL_MAX];
    struct writer w = writer_over(bytes, sizeof bytes);

    if (!t || t->out.neighbour != link->first)
        return false;
    if (!t->in.neighbour->link || !path_transit_may_pass(e, now, link->first) ||
        (t->accepted && t->out.label_out != m->label))
        return true;
    if (!t->accepted) {
        t->accepted = true;
        t->in.neighbour->waiting--;
        path_transit_set_label(e, &t->out, m->label);
        path_transit_join(e, now, t);
    }
    if (t->target_is_next) {
        m->target.present = true;
        memcpy(m->target.key, link->peer->key, 32);
    } else if (m->target.present &&
               !path_trust_judge(e, t->target, m->target.key, -1, link->first->name, false).ok) {
        m->target.present = false;
    }
    m->record_mtu = least(m->record_mtu, path_neighbour_record_mtu(t->in.neighbour));
    m->label = path_slot_label(e, t->in.slot);
    write_u8(&w, MESSAGE_ACCEPT);
    path_accept_message_write(&w, m);
    if (!w.failed)
        path_control_send(e, now, t->in.neighbour->link, bytes, writer_size(&w));
    return true;
}

bool path_gateway_confirm(struct path_engine *e, instant now, struct path *link,
                          const uint8_t id[HANDSHAKE_ID], const uint8_t *bytes, size_t size)
{
    struct transit *t = path_transit_find(e, id);
    uint8_t message[NOISE_BLOB_MAX + 64];
    struct writer w = writer_over(message, sizeof message);

    if (!t || t->in.neighbour != link->first || !t->accepted)
        return false;
    write_u8(&w, MESSAGE_CONFIRM);
    write_bytes(&w, id, HANDSHAKE_ID);
    write_blob(&w, bytes, size);
    if (!path_transit_may_pass(e, now, link->first))
        return true;
    if (t->out.neighbour->link && !w.failed)
        path_control_send(e, now, t->out.neighbour->link, message, writer_size(&w));
    t->confirmed = true;
    t->used = now;
    free(t->open);
    t->open = NULL;
    return true;
}

/* Back to the initiator; from its side it means that it does not want any more. */
bool path_gateway_refuse(struct path_engine *e, instant now, struct path *link,
                         const uint8_t id[HANDSHAKE_ID], unsigned code, const char *text)
{
    struct transit *t = path_transit_find(e, id);
    if (!t || (t->in.neighbour != link->first && t->out.neighbour != link->first))
        return false;
    struct neighbour *to = t->in.neighbour == link->first ? t->out.neighbour : t->in.neighbour;
    if (to->link && path_transit_may_pass(e, now, link->first))
        path_refuse_over_link(e, now, to->link, id, code, text);
    path_transit_free(e, t);
    return true;
}

/* ---- links come and go ---- */

void path_gateway_link_up(struct path_engine *e, instant now, struct neighbour *n)
{
    for (struct transit_side *s = n->transits_of; s; s = s->next)
        if (s == &s->transit->out && s->transit->open && !s->transit->accepted)
            send_open(e, now, s->transit);
}

void path_gateway_link_failed(struct path_engine *e, instant now, struct neighbour *n,
                              unsigned code, const char *reason)
{
    struct transit_side *s = n->transits_of, *next;
    for (; s; s = next) {
        struct transit *t = s->transit;
        next = s->next;
        if (s != &t->out || t->accepted)
            continue;
        char text[256];
        snprintf(text, sizeof text, "%.100s: %.140s",
                 e->instance[t->in.neighbour->instance].config->self.text, reason);
        if (t->in.neighbour->link)
            path_refuse_over_link(e, now, t->in.neighbour->link, t->id, code, text);
        if (next && next->transit == t)
            next = next->next; /* both sides are of this neighbour */
        path_transit_free(e, t);
    }
}
