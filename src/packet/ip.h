/* What the data path needs to know of an IP packet, read once and strictly.
 *
 * The view describes the packet as it lay when it was parsed; functions that change the packet do
 * not change its view. Checksums are not verified: the kernel that gets the packet does that. */
#ifndef OCALA_PACKET_IP_H
#define OCALA_PACKET_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "packet/drop.h"
#include "packet/ip_wire.h"
#include "packet/packet.h"

#define IP_EXTENSIONS_MAX 8 /* IPv6 extension headers that are walked over */

/* The two ECN bits (RFC 3168). */
enum ip_ecn { ECN_NOT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3 };

struct ip_view {
    uint8_t version;      /* 4 or 6 */
    uint8_t protocol;     /* of the transport header, behind all extension headers */
    uint8_t ttl;          /* or hop limit */
    uint8_t ecn;          /* enum ip_ecn */
    bool fragment;        /* a part of a packet */
    bool first_fragment;  /* starts at offset 0, as a whole packet does: what follows is known */
    bool dont_fragment;   /* always true for IPv6 */
    bool has_ports;       /* the ports below are valid */
    bool is_icmp_error;   /* with a quoted packet at transport + ICMP_HEADER */
    uint8_t icmp_type;    /* ICMP and ICMPv6 only */
    uint16_t header_size; /* IPv4 with its options; 40 for IPv6 */
    uint16_t transport;   /* offset of the transport header, behind extension headers */
    size_t total;         /* size by the packet's header; bytes behind it are no part of it */
    struct ip_address source, destination;
    uint16_t source_port, destination_port; /* TCP, UDP; both the id of an ICMP echo; host order */
};

/* False and *ret_reason for what may not travel at all: cut short, headers that contradict
 * themselves or the size, IPv4 source routes, IPv6 routing headers, redirects, neighbour and router
 * discovery, multicast and broadcast sources. */
bool ip_parse(const uint8_t *bytes, size_t size, struct ip_view *ret, enum drop_reason *ret_reason);

/* Is the packet meant for this link only: multicast, broadcast, or a link-local destination?
 * Nothing of ours. */
bool ip_stays_on_link(const struct ip_view *v);

/* Multicast, or IPv4's limited broadcast. */
bool ip_address_is_multicast(const struct ip_address *ip);

/* The packet that an ICMP error quotes, read leniently: it may be cut anywhere behind its IP
 * header, and nothing it asks for is refused.  Offsets count from the start of the quote; `total`
 * is the number of bytes of it that are there. False when `v` is no ICMP error, or less than the
 * quoted packet's IP header is there. */
bool ip_quoted(const struct packet *p, const struct ip_view *v, struct ip_view *ret);

#endif
