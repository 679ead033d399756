/* Shortcuts: records go to the neighbour's own address, past the servers.  Only where both ends allow it.
 *
 *   OFFER (sealed)       a token, and our addresses
 *   probe (in clear)     the other end's token and a nonce, to each address; also to where its probes come from, which
 *                        is how a NAT on one side is passed
 *   SEEN (sealed)        the nonce: only now that address is believed, and used
 *
 * An address is never used because somebody says it, only because the neighbour, under the link's keys, repeats what was
 * sent there.  The probe goes on while the shortcut is used; when five in a row are not answered, records go by the servers
 * again. */
#include <string.h>

#include "overlay/i3/i3_module.h"

#define OFFER_AGAIN (2 * SECOND)
#define TRY_AGAIN   (300 * MILLISECOND)
#define ROUNDS      5
#define REST        (30 * SECOND)
#define WATCH       (5 * SECOND)
#define WATCH_HARD  (600 * MILLISECOND) /* at least; twice the round trip */
#define WATCH_MOST  (3 * SECOND)
#define LOST_AFTER  5 /* where each twentieth is lost, once in a hundred thousand times by chance */

static void set_due(struct i3 *m, struct i3_shortcut *s, instant due)
{
    s->due = due;
    i3_wake(m, due);
}

void i3_shortcut_offer(struct i3 *m, instant now, struct i3_tunnel *t)
{
    static const uint8_t none[I3_TOKEN];
    struct i3_shortcut *s = &t->shortcut;
    if (!memcmp(s->token, none, sizeof none)) {
        entropy_fill(m->client.entropy, s->token, sizeof s->token);
        i3_tunnel_say(m, t, I3_SAY_OFFER);
        set_due(m, s, now + OFFER_AGAIN);
    }
}

void i3_shortcut_write_offer(const struct i3 *m, const struct i3_tunnel *t, struct writer *w)
{
    const struct i3_self *self = m->client.self;
    write_bytes(w, t->shortcut.token, I3_TOKEN);
    write_u8(w, (uint8_t)(!!self[0].at.ip.family + !!self[1].at.ip.family));
    for (unsigned i = 0; i < 2; i++) {
        if (!self[i].at.ip.family)
            continue;
        write_u8(w, self[i].at.ip.family);
        write_bytes(w, self[i].at.ip.bytes, 16);
        write_u16(w, self[i].at.port);
    }
}

/* ---- probing ---- */

static void probe(struct i3 *m, struct i3_tunnel *t, struct i3_place *p)
{
    uint8_t bytes[I3_PROBE_SIZE];
    struct writer w = writer_over(bytes, sizeof bytes);
    p->nonce = entropy_u64(m->client.entropy) | 1;
    write_u8(&w, I3_PROBE);
    write_u8(&w, 1);
    write_u16(&w, 0);
    write_bytes(&w, t->shortcut.peer_token, I3_TOKEN);
    write_u64(&w, p->nonce);
    i3_client_queue(&m->client, &p->at, bytes, sizeof bytes);
}

static bool place_add(struct i3_shortcut *s, const struct endpoint *at)
{
    for (unsigned i = 0; i < s->places; i++)
        if (endpoint_equal(&s->place[i].at, at))
            return false;
    /* What came last pushes out what came before it, never the first that was offered. */
    unsigned index = s->places < I3_PLACES ? s->places++ : I3_PLACES - 1;
    s->place[index] = (struct i3_place){.at = *at};
    return true;
}

static void probe_all(struct i3 *m, instant now, struct i3_tunnel *t)
{
    struct i3_shortcut *s = &t->shortcut;
    for (unsigned i = 0; i < s->places; i++)
        probe(m, t, &s->place[i]);
    s->sent = now;
    set_due(m, s, now + TRY_AGAIN);
}

void i3_shortcut_offered(struct i3 *m, instant now, struct i3_tunnel *t, struct reader *r)
{
    struct i3_shortcut *s = &t->shortcut;
    uint8_t token[I3_TOKEN];
    struct endpoint at[I3_PLACES];
    read_copy(r, token, sizeof token);
    unsigned count = read_u8(r);
    for (unsigned i = 0; i < count && i < I3_PLACES; i++) {
        at[i] = (struct endpoint){.ip.family = read_u8(r)};
        read_copy(r, at[i].ip.bytes, 16);
        at[i].port = read_u16(r);
    }
    if (r->failed || reader_left(r) || count > I3_PLACES) {
        i3_client_count(&m->client, I3_COUNT_BAD_LINK_MESSAGE);
        return;
    }
    if (!i3_tunnel_allows(m, t)) {
        i3_client_count(&m->client, I3_COUNT_SHORTCUT_REFUSED);
        return;
    }
    /* The same once more: ours was lost. */
    if (s->peer_offers && !memcmp(s->peer_token, token, sizeof token))
        i3_tunnel_say(m, t, I3_SAY_OFFER);
    if (s->up)
        return;
    s->peer_offers = true;
    s->places = s->rounds = 0;
    memcpy(s->peer_token, token, sizeof token);
    for (unsigned i = 0; i < count; i++)
        if (endpoint_is_unicast(&at[i]))
            place_add(s, &at[i]);
    i3_shortcut_offer(m, now, t);
    probe_all(m, now, t);
}

/* Somebody's probe: it means something only with a token that we gave to a neighbour. */
void i3_shortcut_probed(struct i3 *m, instant now, const struct arrival *from, const uint8_t *bytes,
                        size_t size)
{
    struct reader r = reader_over(bytes, size);
    read_bytes(&r, 4);
    const uint8_t *token = read_bytes(&r, I3_TOKEN);
    uint64_t nonce = read_u64(&r);
    struct i3_tunnel *t = m->tunnels;
    while (!r.failed && t &&
           (!t->linked || !t->shortcut.peer_offers || memcmp(t->shortcut.token, token, I3_TOKEN)))
        t = t->hh.next;
    if (r.failed || reader_left(&r) || !t || !i3_tunnel_allows(m, t)) {
        i3_client_count(&m->client, I3_COUNT_STRANGE_PROBE);
        return;
    }
    struct i3_shortcut *s = &t->shortcut;
    s->seen = nonce;
    i3_tunnel_say(m, t, I3_SAY_SEEN);
    if (!s->up && endpoint_is_unicast(&from->remote) && place_add(s, &from->remote)) {
        s->rounds = 0;
        probe_all(m, now, t);
    }
}

void i3_shortcut_seen(struct i3 *m, instant now, struct i3_tunnel *t, uint64_t nonce)
{
    struct i3_shortcut *s = &t->shortcut;
    for (unsigned i = 0; i < s->places; i++) {
        if (!s->place[i].nonce || s->place[i].nonce != nonce)
            continue;
        if (s->up && !endpoint_equal(&s->at, &s->place[i].at))
            return; /* good as well, and later */
        s->place[i].nonce = 0;
        s->rtt = now - s->sent;
        s->unanswered = s->rounds = 0;
        s->at = s->place[i].at;
        set_due(m, s, now + WATCH);
        if (!s->up) {
            i3_client_count(&m->client, I3_COUNT_SHORTCUTS);
            s->up = true;
            i3_tunnel_route(m, now, t);
        }
        return;
    }
}

void i3_shortcut_end(struct i3 *m, instant now, struct i3_tunnel *t, bool tell)
{
    struct i3_shortcut *s = &t->shortcut;
    bool was_up = s->up;
    i3_tunnel_unsay(m, t, I3_SAY_OFFER | I3_SAY_SEEN);
    *s = (struct i3_shortcut){.due = INSTANT_NEVER};
    if (tell && t->linked)
        i3_tunnel_say(m, t, I3_SAY_END);
    if (was_up)
        i3_tunnel_route(m, now, t);
}

/* ---- time ---- */

static void watch(struct i3 *m, instant now, struct i3_tunnel *t)
{
    struct i3_shortcut *s = &t->shortcut;
    if (s->unanswered++ >= LOST_AFTER) {
        i3_client_count(&m->client, I3_COUNT_SHORTCUTS_LOST);
        s->up = false;
        s->rounds = 0;
        set_due(m, s, now + REST);
        i3_tunnel_route(m, now, t);
        return;
    }
    for (unsigned i = 0; i < s->places; i++)
        if (endpoint_equal(&s->place[i].at, &s->at))
            probe(m, t, &s->place[i]);
    s->sent = now;
    instant wait = instant_min(instant_max(WATCH_HARD, 2 * s->rtt), WATCH_MOST);
    set_due(m, s, now + wait);
}

void i3_shortcut_ask(struct i3 *m, instant now, struct i3_tunnel *t)
{
    if (t->shortcut.up && !t->shortcut.unanswered)
        watch(m, now, t);
}

instant i3_shortcut_advance(struct i3 *m, instant now, struct i3_tunnel *t)
{
    struct i3_shortcut *s = &t->shortcut;
    if (s->due > now)
        return s->due;
    if (!t->linked) {
        s->due = INSTANT_NEVER;
    } else if (!s->peer_offers) {
        i3_tunnel_say(m, t, I3_SAY_OFFER);
        set_due(m, s, now + (++s->rounds < ROUNDS ? OFFER_AGAIN : REST));
    } else if (s->up) {
        watch(m, now, t);
    } else if (++s->rounds <= ROUNDS) {
        probe_all(m, now, t);
    } else {
        if (s->places)
            i3_client_count(&m->client, I3_COUNT_SHORTCUT_LIE);
        s->rounds = 0;
        set_due(m, s, now + REST);
    }
    return s->due;
}
