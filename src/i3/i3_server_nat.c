/* The first server of a client behind a NAT (section 9 of what was observed of the original).
 *
 * The client's own idea of its address is wrong, and it does not know it.  For identifiers of this server the packet's
 * source takes its place.  For those of another one the INSERT goes on with the source as target and this server as
 * sender; the CHALLENGE comes back here, gets the client's own idea of its address again so that the client knows its
 * trigger, and tells it to speak with the responsible server itself (FORCE_CACHE_ADDRESS). */
#include <string.h>

#include "i3/i3_server_internal.h"

static struct nat *slot_of(struct i3_server *s, const struct i3_id *id, const struct endpoint *real)
{
    uint8_t key[I3_ID + 18];
    memcpy(key, id->bytes, I3_ID);
    memcpy(key + I3_ID, real->ip.bytes, 16);
    key[I3_ID + 16] = (uint8_t)(real->port >> 8);
    key[I3_ID + 17] = (uint8_t)real->port;
    return &s->nat[i3_index(s, key, sizeof key, s->remembered)];
}

void i3_nat_foreign(struct i3_server *s, struct passage *p)
{
    const struct endpoint *own = i3_own(s, p->from->ip.family);
    bool rewritten = false;
    if (!own)
        return;
    for (unsigned i = 0; i < p->packet->option_count; i++) {
        struct i3_option *o = &p->packet->option[i];
        if ((o->type != I3_INSERT && o->type != I3_REMOVE) ||
            o->trigger.target.at.ip.family != p->from->ip.family)
            continue;
        if (o->type == I3_INSERT) {
            *slot_of(s, &o->trigger.id, p->from) =
                (struct nat){o->trigger.id, *p->from, o->trigger.target.at, p->now + NAT_LIVES};
            memset(o->trigger.nonce, 0, I3_NONCE);
            rewritten = true;
        }
        o->trigger.target.at = *p->from;
    }
    if (!rewritten)
        return;
    s->counters.translated++;
    for (unsigned i = 0; i < p->packet->option_count; i++)
        if (p->packet->option[i].type == I3_SENDER)
            p->packet->option[i].sender = i3_address_of(own);
}

/* Of all that stands behind the challenge the client is told one thing: who is responsible, by an address that it speaks. */
static void keep_address(struct i3_packet *packet, uint8_t family)
{
    unsigned count = 1;
    for (unsigned i = 1; i < packet->option_count; i++) {
        const struct i3_option *o = &packet->option[i];
        if (o->type != I3_CACHE_ADDRESS || o->trigger.target.at.ip.family != family)
            continue;
        packet->option[count] = *o;
        packet->option[count++].type = I3_FORCE_CACHE_ADDRESS;
    }
    packet->option_count = (uint8_t)count;
}

bool i3_nat_relay(struct i3_server *s, struct passage *p)
{
    struct i3_packet *packet = p->packet;
    if (!packet->option_count)
        return false;
    struct i3_option *first = &packet->option[0];
    if ((first->type != I3_CHALLENGE && first->type != I3_CONSTRAINT_FAILED) ||
        first->trigger.target.type == I3_TO_STACK)
        return false;
    const struct nat *n = slot_of(s, &first->trigger.id, &first->trigger.target.at);
    if (n->until <= p->now || !i3_id_equal(&n->id, &first->trigger.id) ||
        !endpoint_equal(&n->real, &first->trigger.target.at)) {
        i3_drop(s, I3_DROP_UNASKED);
        return true;
    }
    first->trigger.target.at = n->private;
    keep_address(packet, n->real.ip.family);
    i3_send(s, &n->real, packet);
    return true;
}
