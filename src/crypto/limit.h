/* How much is too much: counts in a second, for everybody or for each source.
 *
 * Sources are counted in a fixed number of buckets chosen by a keyed hash that nobody outside can compute: memory does
 * not grow, and who shares a bucket with a flood is a matter of luck that changes with each start.  Of an IPv6 address
 * the first half counts, since the other half is its owner's to choose. */
#ifndef OCALA_CRYPTO_LIMIT_H
#define OCALA_CRYPTO_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/entropy.h"
#include "base/instant.h"

#define LIMIT_BUCKETS 256

struct limit_rate {
    instant since;
    unsigned count;
};
/* One more: whether it is among the first `most` of its second. */
bool limit_admits(struct limit_rate *r, instant now, unsigned most);

struct limit_sources {
    uint8_t key[16];
    struct limit_rate bucket[LIMIT_BUCKETS];
};
void limit_sources_init(struct limit_sources *s, struct entropy *e);
bool limit_source_admits(struct limit_sources *s, instant now, const struct ip_address *ip,
                         unsigned most);
/* How many were admitted of this source in the second that its last one belongs to. */
unsigned limit_source_used(const struct limit_sources *s, const struct ip_address *ip);

#endif
