/* Servers to begin with: listed by address or by name, asked, left alone while they are silent. */
#include <string.h>

#include "overlay/i3/i3_client.h"
#include "overlay/place.h"

#define SEED_UNANSWERED 2 /* in a row: the server rests          */
#define LOOKUP_AGAIN    (5 * SECOND)

static bool seed_parse(const char *text, size_t length, struct i3_seed *ret)
{
    char one[NAME_TEXT + 8];
    struct overlay_place place;
    if (length >= sizeof one)
        return false;
    memcpy(one, text, length);
    one[length] = '\0';
    /* Without brackets nobody can tell where an IPv6 address ends and its port begins. */
    if (*one != '[' && strchr(one, ':') != strrchr(one, ':'))
        return false;
    if (!overlay_place_parse(one, I3_PORT, &place) || place.endpoint.scope)
        return false;
    *ret = (struct i3_seed){.at = place.endpoint};
    strcpy(ret->name, place.name);
    return true;
}

bool i3_seeds_parse(const char *seeds, struct i3_seed *ret, unsigned *ret_count,
                    const char **ret_reason)
{
    *ret_count = 0;
    for (const char *at = seeds; *at;) {
        size_t blank = strspn(at, " ,"), length = strcspn(at + blank, " ,");
        at += blank;
        if (!length)
            break;
        if (*ret_count == I3_SEEDS_MAX) {
            *ret_reason =
                "more than 16 servers; list some that are always there, they know the others";
            return false;
        }
        if (!seed_parse(at, length, &ret[*ret_count])) {
            *ret_reason =
                "a server is neither HOST:PORT, nor IPV4-ADDRESS:PORT, nor [IPV6-ADDRESS]:PORT "
                "(without an interface)";
            return false;
        }
        ++*ret_count;
        at += length;
    }
    *ret_reason = "no server of i3 is listed: set `options: servers: HOST:PORT`";
    return *ret_count > 0;
}

static void seed_look_up(struct i3_client *c, instant now, struct i3_seed *s)
{
    s->lookup = ++c->last_lookup ? c->last_lookup : ++c->last_lookup;
    s->ask = true;
    s->lookup_due = now + 4 * LOOKUP_AGAIN;
    i3_client_wake(c, s->lookup_due);
}

/* One of IPv6 is used once it has said hello. */
static void seed_has_address(struct i3_client *c, instant now, struct i3_seed *s)
{
    if (s->at.ip.family == 6)
        i3_seed_greet(c, now, s);
}

void i3_client_seeds(struct i3_client *c, instant now, const struct i3_seed *seeds, unsigned count)
{
    c->listed = count;
    c->seed_count = 0;
    c->moving = false;
    for (unsigned i = 0; i < count; i++) {
        struct i3_seed *s = &c->seed[c->seed_count++];
        *s = seeds[i];
        s->ping_due = INSTANT_NEVER;
        c->moving |= s->at.ip.family != 4; /* there may be two families: which one works? */
        if (s->at.ip.family) {
            seed_has_address(c, now, s);
            continue;
        }
        c->seed[c->seed_count++] =
            (struct i3_seed){.is_second = true, .at.port = s->at.port, .ping_due = INSTANT_NEVER};
        seed_look_up(c, now, s);
    }
    c->seed_used = c->seed_count ? entropy_below(c->entropy, c->seed_count) : 0;
}

bool i3_client_lookup(struct i3_client *c, uint32_t *ret_lookup, const char **ret_name)
{
    for (unsigned i = 0; i < c->seed_count; i++) {
        struct i3_seed *s = &c->seed[i];
        if (!s->ask)
            continue;
        s->ask = false;
        *ret_lookup = s->lookup;
        *ret_name = s->name;
        return true;
    }
    return false;
}

/* The first address of the family; true: there is one. */
static bool seed_resolved(struct i3_client *c, instant now, struct i3_seed *s, uint8_t family,
                          const struct ip_address *addresses, unsigned count)
{
    for (unsigned a = 0; a < count; a++) {
        if (addresses[a].family != family)
            continue;
        bool another = !ip_address_equal(&s->at.ip, &addresses[a]);
        s->at.ip = addresses[a];
        if (another)
            seed_has_address(c, now, s);
        return true;
    }
    return false;
}

void i3_client_resolved(struct i3_client *c, instant now, uint32_t lookup,
                        const struct ip_address *addresses, unsigned count)
{
    for (unsigned i = 0; i < c->seed_count; i++) {
        struct i3_seed *s = &c->seed[i];
        if (!lookup || s->lookup != lookup)
            continue;
        s->lookup = 0;
        s->lookup_due = now + LOOKUP_AGAIN;
        bool four = seed_resolved(c, now, s, 4, addresses, count),
             six = seed_resolved(c, now, s + 1, 6, addresses, count);
        if (four || six)
            s->lookup_due = INSTANT_NEVER;
        i3_client_wake(c, s->lookup_due);
        i3_client_wake(c, now); /* who waited for a server */
    }
}

instant i3_seeds_advance(struct i3_client *c, instant now)
{
    instant due = INSTANT_NEVER;
    for (unsigned i = 0; i < c->seed_count; i++) {
        struct i3_seed *s = &c->seed[i];
        if (!*s->name)
            continue;
        if (s->lookup_due <= now)
            seed_look_up(c, now, s);
        due = instant_min(due, s->lookup_due);
    }
    return due;
}

/* Has nobody answered by this family, and somebody by the other? */
static bool family_is_silent(const struct i3_client *c, const struct endpoint *at)
{
    bool six = at->ip.family == 6;
    return !c->self[six].at.ip.family && c->self[!six].at.ip.family;
}

/* From best to worst: answers and is trusted, answers, has an address. */
static unsigned seed_rank(const struct i3_client *c, const struct i3_seed *s, instant now)
{
    if (!i3_client_speaks(c, &s->at))
        return 0;
    if (s->rest > now || family_is_silent(c, &s->at))
        return 1;
    return i3_client_distrusts(c, now, &s->at) ? 2 : 3;
}

/* The best seed, the first of them from `begin` on, but for one; `family` 0: of either.  False: none has an address. */
static bool seed_choose(const struct i3_client *c, instant now, unsigned begin,
                        const struct endpoint *not_this, uint8_t family, unsigned *ret)
{
    unsigned best = 0;
    for (unsigned i = 0; i < c->seed_count; i++) {
        unsigned index = (begin + i) % c->seed_count;
        unsigned rank = seed_rank(c, &c->seed[index], now);
        const struct endpoint *at = &c->seed[index].at;
        if (rank <= best || (not_this && endpoint_equal(at, not_this)) ||
            (family && at->ip.family != family))
            continue;
        best = rank;
        *ret = index;
    }
    return best;
}

bool i3_client_first_hop(struct i3_client *c, instant now, struct endpoint *ret)
{
    if (c->near.known && i3_client_speaks(c, &c->near.at)) {
        *ret = c->near.at;
        return true;
    }
    if (!seed_choose(c, now, c->seed_used, NULL, 0, &c->seed_used))
        return false;
    *ret = c->seed[c->seed_used].at;
    return true;
}

bool i3_client_other_hop(struct i3_client *c, instant now, const struct endpoint *not_this,
                         bool same_family, struct endpoint *ret)
{
    unsigned index;
    uint8_t family = same_family ? not_this->ip.family : 0;
    if (!seed_choose(c, now, c->seed_used + 1, not_this, family, &index))
        return !same_family && i3_client_first_hop(c, now, ret);
    *ret = c->seed[index].at;
    return true;
}

void i3_client_move_on(struct i3_client *c, const struct endpoint *server)
{
    if (c->seed_count && endpoint_equal(&c->seed[c->seed_used].at, server))
        c->seed_used = (c->seed_used + 1) % c->seed_count;
}

void i3_client_answered(struct i3_client *c, const struct endpoint *via)
{
    c->answers++;
    if (endpoint_equal(&c->near.at, via))
        c->near.unanswered = 0;
    for (unsigned i = 0; i < c->seed_count; i++)
        if (endpoint_equal(&c->seed[i].at, via))
            c->seed[i].unanswered = 0, c->seed[i].rest = 0;
}

void i3_client_unanswered(struct i3_client *c, instant now, const struct endpoint *via)
{
    i3_client_count(c, I3_COUNT_UNANSWERED);
    if (c->near.known && endpoint_equal(&c->near.at, via) &&
        ++c->near.unanswered >= SEED_UNANSWERED)
        i3_near_lost(c, now);
    for (unsigned i = 0; i < c->seed_count; i++) {
        struct i3_seed *s = &c->seed[i];
        if (!endpoint_equal(&s->at, via) || ++s->unanswered < SEED_UNANSWERED)
            continue;
        s->unanswered = 0;
        s->rest = now + I3_SEED_REST;
        struct i3_seed *named = s->is_second ? s - 1 : s;
        if (*named->name)
            named->lookup_due = now; /* it may have moved */
        if (i == c->seed_used) {
            c->seed_used = (i + 1) % c->seed_count;
            i3_client_say(c, I3_EVENT_FIRST_HOP, NULL);
        }
    }
}
