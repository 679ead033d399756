/* What neighbours tell each other over the link of a tunnel, sealed (doc/protocol/i3.md):
 *
 *   PRIVATE  flags, my private identifier, yours as I know it
 *   OFFER    a token and addresses for a shortcut
 *   SEEN     the nonce of a probe that came
 *   END      my shortcut is no good any more
 *
 * PRIVATE is repeated until the other end's repeats what it said.  It says as well whether its sender is sure of that;
 * whoever hears one that does not know its own identifier, or is not sure, answers.  A private trigger is told only once a server has acknowledged it. */
#include <string.h>

#include "base/check.h"
#include "overlay/i3/i3_module.h"

enum { PRIVATE = 1, OFFER, SEEN, END };
enum { FLAG_ALLOWS = 0x01, FLAG_HAS = 0x02, FLAG_KNOWS = 0x04, FLAG_SURE = 0x08 };

#define TELL_AGAIN     SECOND
#define ANSWER_SPACING (200 * MILLISECOND)
#define BACK_GRACE     (10 * SECOND) /* what is under way still comes to the trigger for answers */
#define REFRESH_PAUSE  (2 * SECOND)

static void tell(struct i3 *m, instant now, struct i3_tunnel *t)
{
    unsigned doublings = t->told < 4 ? t->told : 4;
    if (!t->linked || !t->own || t->own->state == I3_BINDING_WANTED || !t->own->acknowledged ||
        (t->inner && !t->inner->acknowledged))
        return;
    t->told++;
    t->told_at = now;
    t->due = t->known && t->has_private ? INSTANT_NEVER : now + (TELL_AGAIN << doublings);
    i3_wake(m, t->due);
    i3_tunnel_say(m, t, I3_SAY_PRIVATE);
}

/* The answer to one that knows less than we told: at once, but not for every copy of it. */
static void tell_again(struct i3 *m, instant now, struct i3_tunnel *t)
{
    if (now - t->told_at >= ANSWER_SPACING) {
        tell(m, now, t);
        return;
    }
    t->due = instant_min(t->due, t->told_at + ANSWER_SPACING);
    i3_wake(m, t->due);
}

static void drop_own(struct i3 *m, struct i3_tunnel *t)
{
    if (t->own)
        i3_binding_remove(&m->client, t->own);
    if (t->inner)
        i3_binding_remove(&m->client, t->inner);
    t->own = t->inner = NULL;
}

/* Behind a middlebox the private identifier leads to it, and from there to one that only it sees. */
static void draw_behind_middlebox(struct i3 *m, instant now, struct i3_tunnel *t)
{
    struct i3_id stack[2] = {m->middlebox}, id;
    uint8_t key[I3_KEY];
    i3_client_draw(&m->client, &stack[1], key);
    t->inner = i3_binding_add(&m->client, now, &stack[1], key, I3_PREFIX_EXACT, NULL, 0);
    i3_client_draw(&m->client, &id, key);
    i3_hash_id(m->client.hash, I3_LEFT, &stack[0], i3_id_key(&id));
    t->own = i3_binding_add(&m->client, now, &id, NULL, I3_PREFIX_EXACT, stack, 2);
    if (!t->own || !t->inner)
        drop_own(m, t); /* one is no use without the other */
}

void i3_exchange_begin(struct i3 *m, instant now, struct i3_tunnel *t)
{
    struct i3_id id;
    uint8_t key[I3_KEY];
    t->known = false;
    t->told = 0;
    if (t->own) {
        tell(m, now, t);
    } else if (m->has_middlebox) {
        draw_behind_middlebox(m, now, t);
    } else {
        i3_client_draw(&m->client, &id, key);
        t->own = i3_binding_add(&m->client, now, &id, key, I3_PREFIX_EXACT, NULL, 0);
    }
}

/* A server that does not deliver is responsible for it: another identifier is most probably somebody else's. */
static bool is_lost(const struct i3 *m, instant now, const struct i3_binding *b)
{
    return b && b->acknowledged && i3_client_distrusts(&m->client, now, &b->at);
}

void i3_exchange_redraw(struct i3 *m, instant now, struct i3_tunnel *t)
{
    drop_own(m, t);
    i3_exchange_begin(m, now, t);
}

void i3_exchange_held(struct i3 *m, instant now, struct i3_tunnel *t)
{
    bool lost = is_lost(m, now, t->own) || is_lost(m, now, t->inner);
    if (lost && i3_tunnel_may_redraw(t)) {
        i3_exchange_redraw(m, now, t);
        return;
    }
    if (!lost)
        t->redrawn = 0;
    if (t->linked && !t->known)
        tell(m, now, t);
}

void i3_exchange_reset(struct i3 *m, struct i3_tunnel *t)
{
    t->linked = t->known = false;
    t->has_private = false;
    t->due = INSTANT_NEVER;
    i3_tunnel_unsay(m, t, I3_SAY_PRIVATE | I3_SAY_OFFER | I3_SAY_SEEN | I3_SAY_END);
}

void i3_link_up(struct overlay *o, instant now, uint32_t tunnel, const char *host)
{
    struct i3 *m = i3_of(o);
    struct i3_tunnel *t = i3_tunnel_find(m, tunnel);
    if (!t || t->state != I3_TUNNEL_UP)
        return;
    t->linked = true;
    i3_exchange_begin(m, now, t);
}

void i3_link_down(struct overlay *o, instant now, uint32_t tunnel, const char *host)
{
    struct i3 *m = i3_of(o);
    struct i3_tunnel *t = i3_tunnel_find(m, tunnel);
    if (!t || t->state != I3_TUNNEL_UP)
        return;
    i3_shortcut_end(m, now, t, false);
    i3_exchange_reset(m, t);
    i3_tunnel_route(m, now, t);
}

instant i3_exchange_advance(struct i3 *m, instant now, struct i3_tunnel *t)
{
    if (t->due <= now) {
        t->due = INSTANT_NEVER;
        tell(m, now, t);
    }
    if (t->back && t->back_until <= now) {
        i3_binding_remove(&m->client, t->back);
        t->back = NULL;
        t->back_until = INSTANT_NEVER;
    }
    return instant_min(t->due, t->back ? t->back_until : INSTANT_NEVER);
}

/* ---- out ---- */

static void write_private(const struct i3 *m, const struct i3_tunnel *t, struct writer *w)
{
    static const struct i3_id none;
    unsigned flags = (i3_tunnel_allows(m, t) ? FLAG_ALLOWS : 0) | (t->own ? FLAG_HAS : 0) |
                     (t->has_private ? FLAG_KNOWS : 0) | (t->known ? FLAG_SURE : 0);
    write_u8(w, PRIVATE);
    write_u8(w, (uint8_t)flags);
    write_bytes(w, t->own ? &t->own->trigger.id : &none, I3_ID);
    write_bytes(w, t->has_private ? &t->to_private : &none, I3_ID);
}

size_t i3_exchange_write(struct i3 *m, struct i3_tunnel *t, unsigned *ret_what)
{
    struct writer w = writer_over(m->said, sizeof m->said);
    if (t->says & I3_SAY_PRIVATE) {
        *ret_what = I3_SAY_PRIVATE;
        write_private(m, t, &w);
    } else if (t->says & I3_SAY_END) {
        *ret_what = I3_SAY_END;
        write_u8(&w, END);
    } else if (t->says & I3_SAY_OFFER) {
        *ret_what = I3_SAY_OFFER;
        write_u8(&w, OFFER);
        i3_shortcut_write_offer(m, t, &w);
    } else if (t->says & I3_SAY_SEEN) {
        *ret_what = I3_SAY_SEEN;
        write_u8(&w, SEEN);
        write_u64(&w, t->shortcut.seen);
    } else {
        return 0;
    }
    require(!w.failed);
    return writer_size(&w);
}

/* ---- in ---- */

/* An identifier that had no trigger a moment ago is not taken again at once.  True: it is news. */
static bool take_private(struct i3 *m, instant now, struct i3_tunnel *t, const struct i3_id *id)
{
    bool lately = t->private_lost && now - t->private_lost < REFRESH_PAUSE;
    if (i3_id_equal(&t->to_private, id) && (t->has_private || lately))
        return false;
    t->to_private = *id;
    t->has_private = true;
    t->private_denied = 0;
    i3_tunnel_route(m, now, t);
    return true;
}

/* The neighbour lost our identifier: perhaps a server did. */
static void not_known_any_more(struct i3 *m, instant now, struct i3_tunnel *t)
{
    t->known = false;
    t->told = 0;
    if (t->own && now - t->own->sent > REFRESH_PAUSE)
        i3_binding_refresh(&m->client, now, t->own);
    if (t->inner && now - t->inner->sent > REFRESH_PAUSE)
        i3_binding_refresh(&m->client, now, t->inner);
}

/* Both know what there is to know. */
static void exchanged(struct i3 *m, instant now, struct i3_tunnel *t)
{
    t->due = INSTANT_NEVER;
    if (t->back && t->back_until == INSTANT_NEVER) {
        t->back_until = now + BACK_GRACE;
        i3_wake(m, t->back_until);
    }
    if (i3_tunnel_allows(m, t) && t->peer_allows)
        i3_shortcut_offer(m, now, t);
}

static void private_received(struct i3 *m, instant now, struct i3_tunnel *t, struct reader *r)
{
    struct i3_id id, echo;
    uint8_t flags = read_u8(r);
    read_copy(r, &id, sizeof id);
    read_copy(r, &echo, sizeof echo);
    if (r->failed || reader_left(r)) {
        i3_client_count(&m->client, I3_COUNT_BAD_LINK_MESSAGE);
        return;
    }
    bool knows = flags & FLAG_KNOWS && t->own && i3_id_equal(&t->own->trigger.id, &echo);
    t->linked = true;
    t->peer_allows = flags & FLAG_ALLOWS;
    if (!t->peer_allows)
        i3_shortcut_end(m, now, t, false);
    bool news = flags & FLAG_HAS && take_private(m, now, t, &id);
    if (!t->own)
        i3_exchange_begin(m, now, t);
    if (!knows && t->known)
        not_known_any_more(m, now, t);
    t->known = knows;
    if (t->known && t->has_private)
        exchanged(m, now, t);
    if (news || !knows || !(flags & FLAG_SURE))
        tell_again(m, now, t);
}

void i3_link_message(struct overlay *o, instant now, uint32_t tunnel, const struct arrival *from,
                     const uint8_t *bytes, size_t size)
{
    struct i3 *m = i3_of(o);
    struct i3_tunnel *t = i3_tunnel_find(m, tunnel);
    struct reader r = reader_over(bytes, size);
    uint8_t type = read_u8(&r);
    if (!t || t->state != I3_TUNNEL_UP)
        return;
    uint64_t nonce;
    switch (type) {
    case PRIVATE:
        private_received(m, now, t, &r);
        return;
    case OFFER:
        i3_shortcut_offered(m, now, t, &r);
        return;
    case SEEN:
        nonce = read_u64(&r);
        if (r.failed || reader_left(&r))
            break;
        i3_shortcut_seen(m, now, t, nonce);
        return;
    case END:
        i3_shortcut_end(m, now, t, false);
        return;
    default:
        break;
    }
    i3_client_count(&m->client, I3_COUNT_BAD_LINK_MESSAGE);
}
