/* The members of an instance as this module understands them: host names and the places they may be
 * at. */
#ifndef OCALA_OVERLAY_IP_IP_MEMBERS_H
#define OCALA_OVERLAY_IP_IP_MEMBERS_H

#include "base/name.h"
#include "overlay/overlay.h"
#include "overlay/place.h"

struct ip_member {
    char host[NAME_TEXT];
    struct overlay_place *places;
    unsigned place_count;
};

struct ip_members {
    struct ip_member *member;
    unsigned count;
};

/* 0 and *ret filled, or -EINVAL and a static *ret_reason (*ret is untouched then). */
int ip_members_read(const struct overlay_settings *s, struct ip_members *ret,
                    const char **ret_reason);
void ip_members_done(struct ip_members *m);
const struct ip_member *ip_members_find(const struct ip_members *m, const char *host);
/* The same places in the same order? */
bool ip_member_equal(const struct ip_member *a, const struct ip_member *b);

#endif
