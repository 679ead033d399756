/* Packets on their way to another thread: a ring of copies, one producer and one consumer.
 *
 * Most are small and lie in their slot; the few large ones (a split packet's whole, a captured
 * 64 KiB packet) lie in a second ring beside it, in the same order, so that a slot needs no room
 * for the largest packet there is. */
#ifndef OCALA_IO_PARCEL_H
#define OCALA_IO_PARCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet/packet.h"
#include "path/forward.h"

#define PARCEL_SMALL 2048 /* bytes that fit a slot */

/* What goes with the bytes; its owners give `kind` a meaning. */
struct parcel {
    uint8_t kind;
    bool has_packet; /* false: `size` is 0 and there are no bytes */
    bool large;      /* set by the ring                           */
    int number;
    struct forward_out out; /* its packet is not used */
    uint16_t run;
    struct packet_offload offload;
    struct arrival arrival;
    size_t size;
};

struct parcel_ring;
struct parcel_ring *parcel_ring_new(unsigned slots, unsigned large);
void parcel_ring_free(struct parcel_ring *r); /* accepts NULL */

/* Copies `head` and its `size` bytes at `bytes`; false when there is no room. */
bool parcel_put(struct parcel_ring *r, const struct parcel *head, const void *bytes);
/* The oldest, until parcel_release(); NULL when there is none. */
const struct parcel *parcel_peek(struct parcel_ring *r, const uint8_t **ret_bytes);
void parcel_release(struct parcel_ring *r);
/* A snapshot of how many are in it. */
unsigned parcel_used(const struct parcel_ring *r);

#endif
