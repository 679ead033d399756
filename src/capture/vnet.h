/* The header that the kernel puts before each packet of a TUN opened with IFF_VNET_HDR (virtio 1.2,
 * section 5.1.6, in its 10-byte form), and its translation to and from struct packet_offload.
 * Pure: works on bytes.
 *
 *      0       1          2               4          6                8                 10
 *      +-------+----------+---------------+----------+----------------+-----------------+
 *      | flags | gso type | header length | gso size | checksum start | checksum offset |
 *      +-------+----------+---------------+----------+----------------+-----------------+
 *
 * The 16-bit fields are in the machine's byte order. */
#ifndef OCALA_CAPTURE_VNET_H
#define OCALA_CAPTURE_VNET_H

#include <stddef.h>
#include <stdint.h>

#include "packet/packet.h"

#define VNET_HEADER_SIZE 10

/* Reads the header that came before the `size` bytes at `packet`.  Everything is checked against
 * the packet: on success every offset in *ret lies inside it, and `header_size` is computed from
 * the packet, not believed.  -EBADMSG otherwise. */
int capture_vnet_parse(const uint8_t header[VNET_HEADER_SIZE], const uint8_t *packet, size_t size,
                       struct packet_offload *ret);

/* Writes the header for a packet of `size` bytes; -EINVAL when an offset of `offload` lies outside
 * it. */
int capture_vnet_build(const struct packet_offload *offload, size_t size,
                       uint8_t ret_header[VNET_HEADER_SIZE]);

#endif
