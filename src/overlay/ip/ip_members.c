#include "overlay/ip/ip_members.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"

/* A number from 1 to 65535, digits only; 0 when it is not one. */
static uint16_t parse_port(const char *text)
{
    uint32_t port = 0;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9' || c - text > 4)
            return 0;
        port = port * 10 + (uint32_t)(*c - '0');
    }
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

bool ip_place_parse(const char *text, struct ip_place *ret)
{
    struct ip_place place = {0};
    if (endpoint_parse(text, IP_PORT, &place.endpoint)) {
        if (!place.endpoint.port)
            return false;
        *ret = place;
        return true;
    }
    const char *colon = strchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : strlen(text);
    if (!length || length >= sizeof place.name)
        return false;
    memcpy(place.name, text, length);
    place.endpoint.port = colon ? parse_port(colon + 1) : IP_PORT;
    const char *reason;
    if (!place.endpoint.port || !labels_valid(place.name, &reason))
        return false;
    /* "10.1.1" and "300.1.1.1" are mistyped addresses, not names: no top-level domain is a number.
     */
    const char *last = strrchr(place.name, '.');
    if (strspn(last ? last + 1 : place.name, "0123456789") == strlen(last ? last + 1 : place.name))
        return false;
    *ret = place;
    return true;
}

bool ip_place_equal(const struct ip_place *a, const struct ip_place *b)
{
    return !strcmp(a->name, b->name) && endpoint_equal(&a->endpoint, &b->endpoint);
}

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
            if (!ip_place_parse(from->at[to->place_count], &to->places[to->place_count])) {
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
        if (!ip_place_equal(&a->places[i], &b->places[i]))
            return false;
    return true;
}
