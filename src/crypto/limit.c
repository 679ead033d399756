#include "crypto/limit.h"

#include <string.h>

#include "crypto/crypto.h"

bool limit_admits(struct limit_rate *r, instant now, unsigned most)
{
    if (!r->count || now - r->since >= SECOND) {
        r->since = now;
        r->count = 0;
    }
    if (r->count >= most)
        return false;
    r->count++;
    return true;
}

void limit_sources_init(struct limit_sources *s, struct entropy *e)
{
    memset(s, 0, sizeof *s);
    entropy_fill(e, s->key, sizeof s->key);
}

static unsigned bucket_of(const struct limit_sources *s, const struct ip_address *ip)
{
    uint8_t who[9] = {ip->family};
    memcpy(who + 1, ip->bytes, 8);
    return (unsigned)(crypto_siphash(s->key, who, sizeof who) % LIMIT_BUCKETS);
}

bool limit_source_admits(struct limit_sources *s, instant now, const struct ip_address *ip,
                         unsigned most)
{
    return limit_admits(&s->bucket[bucket_of(s, ip)], now, most);
}

unsigned limit_source_used(const struct limit_sources *s, const struct ip_address *ip)
{
    return s->bucket[bucket_of(s, ip)].count;
}
