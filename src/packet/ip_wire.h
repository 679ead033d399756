/* IP, TCP, UDP and ICMP on the wire: numbers and offsets, nothing else.
 *
 * RFC 791 (IPv4), 8200 (IPv6), 9293 (TCP), 768 (UDP), 792 and 4443 (ICMP). */
#ifndef OCALA_PACKET_IP_WIRE_H
#define OCALA_PACKET_IP_WIRE_H

/* Sizes of headers without options. */
#define IP4_HEADER  20
#define IP6_HEADER  40
#define TCP_HEADER  20
#define UDP_HEADER  8
#define ICMP_HEADER 8

enum ip_protocol {
    IP_ICMP = 1,
    IP_TCP = 6,
    IP_UDP = 17,
    IP_DCCP = 33,
    IP_ICMP6 = 58,
    IP_NOTHING = 59, /* IPv6: no next header */
    IP_UDP_LITE = 136,
};

enum ip6_extension {
    EXTENSION_HOP_BY_HOP = 0,
    EXTENSION_ROUTING = 43,
    EXTENSION_FRAGMENT = 44,
    EXTENSION_AUTHENTICATION = 51,
    EXTENSION_DESTINATION = 60,
};

/* Offsets in the IPv4 header. */
enum ip4_field {
    IP4_TOS = 1,
    IP4_LENGTH = 2,
    IP4_ID = 4,
    IP4_FRAGMENT = 6,
    IP4_TTL = 8,
    IP4_SUM = 10,
    IP4_SOURCE = 12,
    IP4_DESTINATION = 16,
};
#define IP4_DONT_FRAGMENT  0x4000
#define IP4_MORE_FRAGMENTS 0x2000
#define IP4_OFFSET_MASK    0x1FFF /* in units of 8 bytes */

/* Offsets in the IPv6 header; the traffic class lies across bytes 0 and 1. */
enum ip6_field { IP6_CLASS = 1, IP6_LENGTH = 4, IP6_TTL = 7, IP6_SOURCE = 8, IP6_DESTINATION = 24 };
#define IP6_ECN_SHIFT 4 /* of the ECN bits in byte IP6_CLASS */

enum ip4_option { OPTION_END = 0, OPTION_NOP = 1, OPTION_LSRR = 131, OPTION_SSRR = 137 };

/* Offsets of checksums in transport headers. */
enum transport_sum { TCP_SUM = 16, UDP_SUM = 6, DCCP_SUM = 6, ICMP_SUM = 2 };

enum tcp_field {
    TCP_SEQUENCE = 4,
    TCP_ACKNOWLEDGED = 8,
    TCP_DATA_OFFSET = 12,
    TCP_FLAGS = 13,
    TCP_WINDOW = 14,
    TCP_URGENT = 18,
};
enum tcp_flag {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_ECE = 0x40,
    TCP_CWR = 0x80,
};
enum tcp_option { TCP_OPTION_END = 0, TCP_OPTION_NOP = 1, TCP_OPTION_MSS = 2 };
#define TCP_OPTION_MSS_SIZE 4

enum udp_field { UDP_LENGTH = 4 };

enum icmp4_type {
    ICMP_ECHO_REPLY = 0,
    ICMP_UNREACHABLE = 3,
    ICMP_QUENCH = 4,
    ICMP_REDIRECT = 5,
    ICMP_ECHO = 8,
    ICMP_TIME_EXCEEDED = 11,
    ICMP_PARAMETER = 12,
};

enum icmp6_type {
    ICMP6_UNREACHABLE = 1,
    ICMP6_TOO_BIG = 2,
    ICMP6_TIME_EXCEEDED = 3,
    ICMP6_PARAMETER = 4,
    ICMP6_ECHO = 128,
    ICMP6_ECHO_REPLY = 129,
    ICMP6_ROUTER_SOLICITATION = 133,
    ICMP6_NEIGHBOUR_ADVERTISEMENT = 136,
    ICMP6_REDIRECT = 137,
};

#endif
