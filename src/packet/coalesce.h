/* Building a super-packet from packets that follow each other in a flow, as the kernel's own GRO
 * would: what comes out, cut again (segment.h), gives the same packets.
 *
 * A packet is judged as it came, before its addresses were translated, and only against the first
 * of its run: same flow, same IP header but for length, id and sum, next in sequence, same TCP
 * acknowledgement, window, options and flags, same size.  A smaller one, or one with PSH or FIN,
 * ends the run.  All of them must have an open checksum: that they are right was not checked, but
 * proven by the record they came in. */
#ifndef OCALA_PACKET_COALESCE_H
#define OCALA_PACKET_COALESCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet/ip.h"

#define COALESCE_HEADER_MAX 100 /* IPv6 without extensions, TCP with all options */

struct coalesce {
    struct packet *packet;               /* the super-packet so far, translated; NULL: none */
    uint8_t header[COALESCE_HEADER_MAX]; /* of the first, as it came          */
    uint8_t version, protocol, transport, header_size;
    uint8_t flags;    /* TCP: of all together                               */
    uint16_t segment; /* payload of the first                               */
    uint16_t count;
    uint16_t id;       /* IPv4, of the first                                 */
    bool same_id;      /* all have that one; else each has the next          */
    uint32_t sequence; /* of the next                                        */
    bool full;         /* nothing fits any more                              */
};

/* May others be added to this packet with an open checksum, whose view is `v`?  `bytes` as it came.
 */
bool coalesce_may_begin(const uint8_t *bytes, const struct ip_view *v);
/* Begins with a packet that may, translated by now; `header` holds its first COALESCE_HEADER_MAX
 * bytes, or all, as they came. */
void coalesce_begin(struct coalesce *c, struct packet *p, const struct ip_view *v,
                    const uint8_t *header);
/* May this packet with an open checksum, as it came, be added now? */
bool coalesce_fits(const struct coalesce *c, const uint8_t *bytes, size_t size);
/* Adds a packet that fits.  Its payload lies at the end of the super-packet already, or is copied
 * there by coalesce_copy(). */
void coalesce_add(struct coalesce *c, const uint8_t *bytes, size_t size);
void coalesce_copy(struct coalesce *c, const uint8_t *bytes, size_t size);
/* Does a packet as it came, or may it, belong to the flow?  It must not overtake what is here. */
bool coalesce_same_flow(const struct coalesce *c, const struct ip_view *v);
/* Finishes header and offload of the super-packet, and gives it out. */
struct packet *coalesce_end(struct coalesce *c);

#endif
