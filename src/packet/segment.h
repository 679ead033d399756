/* Cutting a super-packet of the kernel into the packets that it stands for, as a network card does
 * it (TSO, USO).
 *
 * The packets are made in the super-packet's own bytes: the header of each is written in front of
 * its payload, over the end of the payload before it.  So a packet is whole only until the next one
 * is asked for, and afterwards nothing is left of the super-packet.  Checksums of the transport
 * stay open (they hold the sum of the pseudo-header), those of IPv4 headers are right. */
#ifndef OCALA_PACKET_SEGMENT_H
#define OCALA_PACKET_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet/ip.h"

#define SEGMENT_HEADER_MAX 256 /* IP, extensions and transport; nobody's are larger */

struct segment_cut {
    uint8_t *bytes;
    size_t next, total; /* payload not yet given out: from next to total */
    size_t payload;     /* of each segment but the last                  */
    uint8_t version, protocol;
    uint16_t transport, header_size;
    uint16_t id;                 /* IPv4, of the next segment */
    uint32_t ip_sum, pseudo_sum; /* without what differs between the segments */
    uint8_t header[SEGMENT_HEADER_MAX];
};

/* Begins to cut `p`, whose view is `v`, into packets of `payload` bytes each behind their headers.
 * False: no super-packet, one that contradicts its offload, or one that cannot be cut this way (the
 * boundaries of UDP datagrams are where the program put them). */
bool segment_begin(struct segment_cut *s, struct packet *p, const struct ip_view *v,
                   uint16_t payload);
/* The next packet and its size; NULL when all are out. */
uint8_t *segment_next(struct segment_cut *s, size_t *ret_size);
/* How many are still to come. */
unsigned segment_left(const struct segment_cut *s);
/* Fills in the open checksum of the packet that segment_next() gave last. */
void segment_complete(const struct segment_cut *s, uint8_t *packet, size_t size);
/* Where the open checksum of each packet is. */
void segment_offload(const struct segment_cut *s, struct packet_offload *ret);

#endif
