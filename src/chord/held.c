/* Messages that are held: a ring does not acknowledge what it routes, so who may be dead is asked with a ping, and the
 * message that went to him is kept until he answers.  When he does not, it goes another way; or it waits here, when it is
 * ours as soon as the nodes before us are known to be gone.  What was only delayed arrives twice then.
 *
 * Memory is one block, of a size that is set once; what finds no room is sent all the same, and not held. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "chord/chord_internal.h"

#define BYTES_A_MESSAGE 256 /* for the number of messages that there is room for */

struct held {
    struct chord_id key;
    uint8_t hops;
    enum { WAITING, OURS, OVER } is;
    struct endpoint next; /* who has been given it; family 0: nobody */
    instant begun, sent, due;
    size_t at, size; /* in the block */
};

void held_init(struct held_messages *h, size_t bytes)
{
    *h = (struct held_messages){.room = bytes, .slots = (unsigned)(bytes / BYTES_A_MESSAGE)};
    h->due = INSTANT_NEVER;
    if (!h->slots)
        return;
    h->block = base_realloc(NULL, bytes);
    h->slot = base_realloc(NULL, h->slots * sizeof *h->slot);
}

void held_done(struct held_messages *h)
{
    free(h->block);
    free(h->slot);
    *h = (struct held_messages){.block = NULL};
}

static void give_to(struct held *m, instant now, const struct node *next)
{
    m->next = next ? next->node.at : (struct endpoint){.port = 0};
    m->sent = now;
    m->due = now + CHORD_TICK;
    if (next && next->asked + node_patience(next) > m->due)
        m->due = next->asked + node_patience(next);
}

bool held_keep(struct held_messages *h, instant now, const struct chord_message *m,
               const struct node *next)
{
    if (h->count == h->slots || m->payload_size > h->room - h->used)
        return false;
    struct held *slot = &h->slot[h->count++];
    *slot = (struct held){
        .key = m->node.id, .hops = m->hops, .begun = now, .at = h->used, .size = m->payload_size};
    if (m->payload_size)
        memcpy(h->block + h->used, m->payload, m->payload_size);
    h->used += m->payload_size;
    give_to(slot, now, next);
    h->due = instant_min(h->due, slot->due);
    return true;
}

void held_heard(struct held_messages *h, const struct endpoint *from)
{
    for (unsigned i = 0; i < h->count; i++)
        if (h->slot[i].is == WAITING && endpoint_equal(&h->slot[i].next, from))
            h->slot[i].is = OVER;
}

/* It is due: did it arrive, is it ours by now, is there another way? */
static void look_after(struct chord *c, instant now, struct held *m)
{
    struct node *before = m->next.ip.family ? node_at(c, &m->next) : NULL;
    if (before && before->heard >= m->sent) {
        m->is = OVER;
        return;
    }
    if (chord_owns(c, &m->key)) {
        m->is = OURS;
        return;
    }
    if (now - m->begun >= HOLD_MOST) {
        m->is = OVER;
        chord_drop(c, CHORD_DROP_SILENT);
        return;
    }
    struct node *next = node_next(c, now, &m->key);
    if (!next || next == before) {
        m->due = now + CHORD_TICK;
        return;
    }
    struct chord_message again = {.type = CHORD_ROUTE,
                                  .hops = m->hops,
                                  .node.id = m->key,
                                  .payload = c->held.block + m->at,
                                  .payload_size = m->size};
    c->counters.rerouted++;
    if (chord_give(c, now, next, &again))
        give_to(m, now, next);
    else
        m->is = OVER;
}

void held_advance(struct chord *c, instant now)
{
    struct held_messages *h = &c->held;
    unsigned kept = 0;
    if (h->due > now)
        return;
    h->used = 0;
    h->due = INSTANT_NEVER;
    for (unsigned i = 0; i < h->count; i++) {
        struct held *m = &h->slot[i];
        if (m->is == WAITING && m->due <= now)
            look_after(c, now, m);
        if (m->is == OVER)
            continue;
        memmove(h->block + h->used, h->block + m->at, m->size);
        m->at = h->used;
        h->used += m->size;
        h->due = instant_min(h->due, m->due);
        h->slot[kept++] = *m;
    }
    h->count = kept;
}

bool held_take(struct held_messages *h, struct chord_delivery *ret)
{
    for (unsigned i = 0; i < h->count; i++) {
        struct held *m = &h->slot[i];
        if (m->is != OURS)
            continue;
        m->is = OVER;
        *ret = (struct chord_delivery){.payload = h->block + m->at, .size = m->size};
        return true;
    }
    return false;
}
