/* Messages of programs: parsed and built with ldns, on buffers. */
#ifndef OCALA_DNS_DNS_MESSAGE_H
#define OCALA_DNS_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "dns/dns_name.h"

#define DNS_HEADER  12
#define DNS_UDP_MIN 512
#define DNS_EDE_TEXT_MAX                                                                           \
    180 /* escaped; with it the largest reply still fits into 512 bytes in practice */

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_SOA = 6,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_SVCB = 64,
    DNS_TYPE_HTTPS = 65,
};

#define DNS_CLASS_IN 1

enum dns_rcode {
    DNS_RCODE_OK = 0,
    DNS_RCODE_FORMERR = 1,
    DNS_RCODE_SERVFAIL = 2,
    DNS_RCODE_NXDOMAIN = 3,
    DNS_RCODE_NOTIMP = 4,
    DNS_RCODE_REFUSED = 5,
    DNS_RCODE_BADVERS = 16,
};

/* What is kept of a program's message while its answer is on the way. */
struct dns_ask {
    uint16_t id, type, class;
    uint16_t udp_limit; /* largest UDP reply the program takes, DNS_UDP_MIN to DNS_UDP_MAX */
    uint8_t opcode;
    bool rd, cd, edns, dnssec_ok;
    struct dns_name name; /* size 0 when there was no usable question */
};

enum dns_parse {
    DNS_PARSE_QUESTION, /* one question of class IN to answer              */
    DNS_PARSE_ERROR,    /* reply with *ret_rcode (what was readable is set) */
    DNS_PARSE_DROP,     /* no header, or not a question: never answered    */
};
enum dns_parse dns_message_parse(const void *bytes, size_t size, struct dns_ask *ret,
                                 uint16_t *ret_rcode);

/* What a reply says; all-zero is NODATA without authority. */
struct dns_content {
    uint16_t rcode; /* enum dns_rcode */
    bool authoritative;
    const struct ip_address *address; /* an A or AAAA record, or NULL */
    const char *ptr;      /* the target of a PTR record, or NULL                                */
    bool soa;             /* the zone's SOA as answer (otherwise as authority)                  */
    unsigned zone_labels; /* a SOA record of the zone made of the question's last labels; 0: none */
    uint32_t ttl, negative_ttl;
    bool ede; /* an Extended DNS Error, when the program speaks EDNS */
    uint16_t ede_code;
    const char *ede_text; /* raw; NULL for none */
};

/* The reply as malloc'd bytes, cut to `limit` (TC set) when it is larger; NULL when it cannot be
 * built. */
uint8_t *dns_message_reply(const struct dns_ask *ask, const struct dns_content *content,
                           size_t limit, size_t *ret_size, bool *ret_truncated);
/* A question of our own with recursion and EDNS, malloc'd. */
uint8_t *dns_message_question(const struct dns_name *name, uint16_t type, uint16_t id,
                              size_t *ret_size);

#endif
