#include "overlay/ip/ip_members.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"

int ip_members_read(const struct overlay_settings *s, struct ip_members *ret,
                    const char **ret_reason)
{
    struct ip_members m = {.count = s->member_count};
    m.member = base_calloc(m.count ? m.count : 1, sizeof *m.member);
    for (unsigned i = 0; i < m.count; i++) {
        const struct overlay_member *from = &s->members[i];
        struct ip_member *to = &m.member[i];
        if (strlen(from->host) >= sizeof to->host) {
            *ret_reason = "the name of a member is too long";
            goto bad;
        }
        strcpy(to->host, from->host);
        to->places = base_calloc(from->at_count ? from->at_count : 1, sizeof *to->places);
        for (; to->place_count < from->at_count; to->place_count++)
            if (!overlay_place_parse(from->at[to->place_count], OVERLAY_PORT,
                                     &to->places[to->place_count])) {
                *ret_reason = "an `at` of a member is neither ADDRESS:PORT nor HOST:PORT";
                goto bad;
            }
    }
    *ret = m;
    return 0;
bad:
    ip_members_done(&m);
    return -EINVAL;
}

void ip_members_done(struct ip_members *m)
{
    for (unsigned i = 0; m->member && i < m->count; i++)
        free(m->member[i].places);
    free(m->member);
    *m = (struct ip_members){0};
}

const struct ip_member *ip_members_find(const struct ip_members *m, const char *host)
{
    for (unsigned i = 0; i < m->count; i++)
        if (!strcmp(m->member[i].host, host))
            return &m->member[i];
    return NULL;
}

bool ip_member_equal(const struct ip_member *a, const struct ip_member *b)
{
    if (a->place_count != b->place_count)
        return false;
    for (unsigned i = 0; i < a->place_count; i++)
        if (!overlay_place_equal(&a->places[i], &b->places[i]))
            return false;
    return true;
}
