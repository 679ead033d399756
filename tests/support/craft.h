/* IP packets for tests, written byte by byte and summed naively: nothing here is shared with the
 * code under test. */
#ifndef OCALA_TESTS_SUPPORT_CRAFT_H
#define OCALA_TESTS_SUPPORT_CRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct craft {
    const char *source, *destination; /* text; both of one family, which is the packet's      */
    uint8_t protocol;                 /* 6, 17, 1, 58, or another (then only payload follows) */
    uint8_t tos;                      /* DSCP and ECN                                         */
    uint8_t ttl;                      /* 0: 64                                                */
    uint16_t source_port, destination_port;
    uint16_t fragment;       /* IPv4: flags and offset as on the wire                           */
    const uint8_t *between;  /* IPv4 options, or IPv6 extension headers, ready for the wire     */
    size_t between_size;     /* multiple of 4 or 8                                              */
    uint8_t first_extension; /* IPv6: kind of the first of them; the last must name `protocol`  */
    const uint8_t *tcp_options;
    size_t tcp_options_size; /* multiple of 4 */
    uint8_t tcp_flags;       /* 0: ACK        */
    uint8_t icmp_type, icmp_code;
    uint32_t icmp_rest;  /* second word: id and sequence, or MTU                 */
    const void *payload; /* NULL: `payload_size` bytes that count up             */
    size_t payload_size;
    bool no_checksum;   /* UDP: zero                                         */
    bool open_checksum; /* TCP, UDP: the sum of the pseudo-header only       */
};

/* Writes the packet; returns its size.  `out` has room. */
size_t craft_packet(uint8_t *out, const struct craft *c);

/* Are all sums of a packet right: of the IPv4 header, and, unless it is a fragment, of TCP, UDP,
 * ICMP, ICMPv6?  Looks at a well-formed packet only.  A UDP sum of zero counts as right. */
bool craft_sums_right(const uint8_t *packet, size_t size);

/* Ones' complement sum of bytes, folded, word by word. */
uint16_t craft_sum(const uint8_t *bytes, size_t size, uint32_t start);

#endif
