/* The members of an instance as this module understands them: host names and the places they may be
 * at. */
#ifndef OCALA_OVERLAY_IP_IP_MEMBERS_H
#define OCALA_OVERLAY_IP_IP_MEMBERS_H

#include "base/name.h"
#include "overlay/overlay.h"

#define IP_PORT 7400 /* of a place that names none */

/* One `at` value.  A host name is looked up when a tunnel needs it, so its endpoint has a port
 * only. */
struct ip_place {
    char name[NAME_TEXT];     /* empty for a literal address */
    struct endpoint endpoint; /* family 0 for a host name    */
};

struct ip_member {
    char host[NAME_TEXT];
    struct ip_place *places;
    unsigned place_count;
};

struct ip_members {
    struct ip_member *member;
    unsigned count;
};

/* "192.0.2.1:7400", "[2001:db8::1]:7400", "host.example.org:7400", each also without its port. */
bool ip_place_parse(const char *text, struct ip_place *ret);
bool ip_place_equal(const struct ip_place *a, const struct ip_place *b);

/* 0 and *ret filled, or -EINVAL and a static *ret_reason (*ret is untouched then). */
int ip_members_read(const struct overlay_settings *s, struct ip_members *ret,
                    const char **ret_reason);
void ip_members_done(struct ip_members *m);
const struct ip_member *ip_members_find(const struct ip_members *m, const char *host);
/* The same places in the same order? */
bool ip_member_equal(const struct ip_member *a, const struct ip_member *b);

#endif
