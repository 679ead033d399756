/* The Internet checksum (RFC 1071) and its incremental update (RFC 1624).
 *
 * A running sum is a uint32_t of big-endian 16-bit words, not yet folded; pieces may be added in
 * any order as long as each starts at an even offset of the whole.  A checksum is the complement as
 * it stands in a header, in host order. */
#ifndef OCALA_PACKET_CHECKSUM_H
#define OCALA_PACKET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* Adds bytes to a running sum; an odd last byte counts as the high half of a word. */
uint32_t checksum_add(uint32_t sum, const void *bytes, size_t size);
/* The pseudo-header of TCP, UDP and ICMPv6; `length` is that of the transport header and its data.
 */
uint32_t checksum_add_pseudo(uint32_t sum, const struct ip_address *source,
                             const struct ip_address *destination, uint8_t protocol,
                             uint32_t length);
/* Folds a sum to 16 bits: what an open checksum field holds. */
uint16_t checksum_fold(uint32_t sum);
/* The checksum of a sum. */
uint16_t checksum_finish(uint32_t sum);

/* The change that replacing bytes makes, as a running sum; `size` is even, and so is the offset of
 * the bytes. */
uint32_t checksum_change(uint32_t change, const void *before, const void *after, size_t size);
uint32_t checksum_change16(uint32_t change, uint16_t before, uint16_t after);
/* A checksum after that change. */
uint16_t checksum_update(uint16_t checksum, uint32_t change);

#endif
