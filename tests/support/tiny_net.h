/* Datagrams on their way between engines, on a virtual clock: delay, loss, reordering and duplication from a seed. */
#ifndef OCALA_TESTS_SUPPORT_TINY_NET_H
#define OCALA_TESTS_SUPPORT_TINY_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/instant.h"
#include "tests/support/seeded.h"

struct tiny_datagram {
    instant due;
    struct endpoint from, to;
    size_t size;
    uint8_t bytes[];
};

/* What the order depends on lies beside the pointer: most comparisons are of datagrams that stay where they are. */
struct tiny_place {
    instant due;
    uint64_t order; /* of those due at the same time */
    struct tiny_datagram *datagram;
};

struct tiny_net {
    struct seeded random;
    instant delay, jitter; /* each takes delay + [0, jitter): jitter reorders */
    unsigned lose, twice;  /* of 1000 datagrams                              */
    uint64_t order, sent;
    struct tiny_place *queue; /* a heap */
    unsigned count, room;
};

void tiny_net_init(struct tiny_net *n, uint64_t seed);
void tiny_net_done(struct tiny_net *n);
void tiny_net_send(struct tiny_net *n, instant now, const struct endpoint *from,
                   const struct endpoint *to, const void *bytes, size_t size);
/* When the next one arrives, or INSTANT_NEVER. */
instant tiny_net_next(const struct tiny_net *n);
/* The next one that is due at `now`, or NULL; the caller frees it with free(). */
struct tiny_datagram *tiny_net_take(struct tiny_net *n, instant now);

#endif
