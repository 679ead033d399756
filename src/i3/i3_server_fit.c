/* What is passed on over an open ring, where the server that is responsible may be an original: those die of options in
 * the wrong place, of measurements without their header and of addresses that nothing can be sent to, and believe
 * CACHE_ADDRESS and NOT_PRESENT from anybody.  An original passes on what it would die of itself; we do not. */
#include "i3/i3_server_internal.h"

#define NEWS_SIZE 96 /* the header of a packet that is measured, and how it begins */
#define NEWS_MARK 0x18

static bool option_fits(const struct i3_packet *p, unsigned index)
{
    const struct i3_option *o = &p->option[index];
    switch (o->type) {
    case I3_SENDER:
        return index == 0 && o->sender.type == I3_TO_IPV4 && endpoint_is_unicast(&o->sender.at);
    case I3_INSERT: /* it reads memory that was given back, if anything is behind it */
        return index + 1u == p->option_count && (o->trigger.target.type == I3_TO_STACK ||
                                                 endpoint_is_unicast(&o->trigger.target.at));
    case I3_REMOVE:
    case I3_REQUEST_FOR_CACHE:
        return true;
    case I3_LOG_PACKET:
    case I3_APPEND_TIME:
        return p->payload_size >= NEWS_SIZE && p->payload[0] == NEWS_MARK;
    default: /* answers: an original believes them */
        return false;
    }
}

bool i3_fits_originals(const struct i3_packet *p)
{
    if (!p->depth || !(p->flags & I3_OPTIONS))
        return false;
    for (unsigned i = 0; i < p->option_count; i++)
        if (!option_fits(p, i))
            return false;
    return true;
}

/* An original dies of an IPv6 sender, or of sending to an IPv6 address that it was told; a limit makes it drop the packet,
 * which would look as if the responsible server were dead. */
bool i3_only_for_ours(const struct i3_packet *p)
{
    for (unsigned i = 0; i < p->option_count; i++) {
        const struct i3_option *o = &p->option[i];
        if (o->type == I3_SENDER && o->sender.type == I3_TO_IPV6)
            return true;
        if (i3_option_has_trigger(o->type) &&
            (o->trigger.target.type == I3_TO_IPV6 ||
             (o->trigger.flags & I3_TRIGGER_LIMITED && o->trigger.target.type != I3_TO_STACK)))
            return true;
    }
    return false;
}

bool i3_payload_fits(const void *payload, size_t size)
{
    struct i3_packet packet;
    return i3_packet_parse(payload, size, &packet) == I3_FINE && !i3_only_for_ours(&packet) &&
           i3_fits_originals(&packet);
}

bool i3_target_is_elsewhere(const struct i3_packet *p, const struct endpoint *from)
{
    for (unsigned i = 0; i < p->option_count; i++) {
        const struct i3_option *o = &p->option[i];
        if (o->type == I3_INSERT && o->trigger.target.type == I3_TO_IPV4 &&
            !ip_address_equal(&o->trigger.target.at.ip, &from->ip))
            return true;
    }
    return false;
}
