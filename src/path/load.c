/* How much is too much: what strangers and neighbours may make us do in a second.
 *
 * Strangers.  An OPEN whose MAC is right costs Diffie-Hellman, and the MAC proves no address:
 * whoever has the secret (or, where there is none, anybody) can make as many as the wire carries.
 * More of them in a second than hosts that start together would send, and for the next ten seconds
 * each must show a cookie, which only who receives at its address can.  Then the limit for each
 * address holds.
 *
 * Sources are counted in buckets, chosen by a keyed hash that nobody outside can compute: memory is
 * fixed, and who shares a bucket with a flood is a matter of luck that changes with each start.  Of
 * an IPv6 address the first half counts, since the other half is its owner's to choose. */
#include "path/path_internal.h"

#include <string.h>

void path_load_init(struct path_engine *e)
{
    crypto_hkdf_expand(e->cookie_secret[0], "ocala sources", 13, e->source_key,
                       sizeof e->source_key);
}

bool path_rate_admits(struct rate *r, instant now, unsigned most)
{
    if (!r->since || now - r->since >= SECOND) {
        r->since = now_floor(now);
        r->count = 0;
    }
    return r->count++ < most;
}

bool path_source_admits(struct path_engine *e, instant now, enum source_kind kind,
                        const struct ip_address *ip, unsigned most)
{
    uint8_t who[9] = {ip->family};
    memcpy(who + 1, ip->bytes, 8);
    uint64_t bucket = crypto_siphash(e->source_key, who, sizeof who) % SOURCE_BUCKETS;
    if (path_rate_admits(&e->sources[kind][bucket], now, most))
        return true;
    drop_count(&e->drops, DROP_RATE_LIMITED);
    return false;
}

bool path_load_judge(struct path_engine *e, instant now, unsigned instance)
{
    unsigned calm = e->instance[instance].secret ? OPENS_CALM : OPENS_CALM_PUBLIC;
    if (!path_rate_admits(&e->opens, now, calm))
        e->load_until = instant_after(now, LOAD_LASTS);
    return path_is_under_load(e, now);
}

void path_under_load(struct path_engine *e, bool under_load)
{
    e->under_load = under_load;
}

bool path_is_under_load(const struct path_engine *e, instant now)
{
    return e->under_load || now < e->load_until || HASH_COUNT(e->halves) >= HALVES_BUSY;
}
