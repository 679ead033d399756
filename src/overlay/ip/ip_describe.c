/* What people are told of an instance and its tunnels. */
#include <string.h>

#include "overlay/ip/ip_module.h"

bool ip_knows(const struct overlay *o, const char *host)
{
    const struct ip *ip = (const struct ip *)o;
    if (ip_members_find(&ip->members, host))
        return true;
    for (const struct ip_tunnel *t = ip->tunnels; t; t = t->hh.next)
        if (t->state == IP_STATE_UP && !strcmp(t->host, host))
            return true;
    return false;
}

void ip_describe(const struct overlay *o, struct text *t)
{
    const struct ip *ip = (const struct ip *)o;
    unsigned up = 0, looking = 0;
    for (const struct ip_tunnel *i = ip->tunnels; i; i = i->hh.next) {
        up += i->state == IP_STATE_UP;
        looking += i->state == IP_STATE_LOOKING;
    }
    text_add(t, "%u member%s in the config, %u tunnel%s up, %u looking for an address",
             ip->members.count, ip->members.count == 1 ? "" : "s", up, up == 1 ? "" : "s", looking);
}

void ip_describe_tunnel(const struct overlay *o, uint32_t tunnel, struct text *t)
{
    const struct ip *ip = (const struct ip *)o;
    const struct ip_tunnel *i = ip_tunnel_find(ip, tunnel);
    char remote[ENDPOINT_TEXT];
    if (!i)
        text_add(t, "no such tunnel");
    else if (i->state == IP_STATE_UP)
        text_add(t, "udp to %s", endpoint_format(&i->remote, remote));
    else if (i->state == IP_STATE_LOOKING)
        text_add(t, "looking up where %s is", i->host);
    else
        text_add(t, "failed: %s", i->reason);
}
