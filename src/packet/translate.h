/* Changes to an IP packet in place: addresses, time to live, ECN, MSS, and the sums that go with
 * them.
 *
 * Each function takes the view of the packet as ip_parse() gave it.  The view is not changed, so
 * after ip_translate() its addresses, and after the others the field they set, are those of before;
 * offsets stay right. */
#ifndef OCALA_PACKET_TRANSLATE_H
#define OCALA_PACKET_TRANSLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet/ip.h"

/* Gives the packet a new source and destination and makes all sums right again that were right:
 * those of the IPv4 header, TCP, UDP, UDP-Lite, DCCP and ICMPv6.  An open checksum gets the
 * pseudo-header sum of the new addresses.  A UDP sum of zero (none) stays zero.  In an ICMP error
 * the quoted packet is turned too: it went the other way, so its source becomes `destination` and
 * its destination `source`. False, and the packet as it was: addresses of another family, an open
 * checksum on something that cannot have one, an ICMP error that does not even quote an IP header.
 */
bool ip_translate(struct packet *p, const struct ip_view *v, const struct ip_address *source,
                  const struct ip_address *destination);

/* Takes one off; false (and nothing changed) when the time to live ends here. */
bool ip_decrement_ttl(struct packet *p, const struct ip_view *v);
/* Takes that back. */
void ip_restore_ttl(struct packet *p, const struct ip_view *v);

/* Fills in an open checksum (before fragmenting, or for a receiver that wants none).  True when
 * there is nothing to do; false when the packet is not one that can have an open checksum. */
bool ip_complete_checksum(struct packet *p);

/* Finds the checksum of an unfragmented TCP or UDP packet and sets all of *ret_offload but gso and
 * gso_size, with needs_checksum = true.  Offsets come from the packet itself, never from the wire.
 * False when there is no such sum. */
bool ip_offload_find(const uint8_t *bytes, size_t size, struct packet_offload *ret_offload);

/* RFC 6040, section 4.2: the ECN bits to go on with, of a packet whose outer header arrived with
 * `outer`.  When *ret_drop is set the packet must be dropped: congestion was marked on a sender
 * that would not notice. */
void ip_ecn_decapsulate(uint8_t inner, uint8_t outer, uint8_t *ret_inner, bool *ret_drop);
void ip_set_ecn(struct packet *p, const struct ip_view *v, uint8_t ecn);

/* Lowers the MSS option of a TCP SYN so that a full segment fits `mtu`.  True when it was lowered.
 */
bool ip_clamp_mss(struct packet *p, const struct ip_view *v, uint16_t mtu);

#endif
