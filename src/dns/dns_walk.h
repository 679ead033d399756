/* Reading an upstream server's message record by record, without believing it. */
#ifndef OCALA_DNS_DNS_WALK_H
#define OCALA_DNS_DNS_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/cursor.h"
#include "dns/dns_name.h"

struct dns_walk {
    const uint8_t *start;
    struct reader r;
    uint16_t id, type, class; /* of the header and the question                            */
    bool response, truncated, question;
    uint8_t rcode;
    bool in_place;        /* the question's name is uncompressed, right after the header   */
    unsigned left[3];     /* records to come: answer, authority, additional                */
    struct dns_name name; /* of the question; size 0 when there is none                    */
};

struct dns_record {
    unsigned section; /* 0 answer, 1 authority, 2 additional */
    uint16_t type, class;
    uint32_t ttl;
    const uint8_t *data;
    size_t size;
};

/* Header and question; false when they are malformed or there is more than one question. */
bool dns_walk_start(struct dns_walk *walk, const void *bytes, size_t size);
/* The next record; false at the end, and when the message is malformed: then walk->r.failed is set.
 */
bool dns_walk_next(struct dns_walk *walk, struct dns_record *ret);

/* The address that an A or AAAA record holds; family 0 for other records. */
struct ip_address dns_record_address(const struct dns_record *record);
/* Whether an address is in one of the pools, also as an IPv4-mapped one. */
bool dns_pool_holds(const struct ip_prefix pool[2], const struct ip_address *ip);
/* Whether the record gives a program an address of the pools: A, AAAA, and the hints of SVCB and
 * HTTPS. */
bool dns_record_holds_pool(const struct dns_record *record, const struct ip_prefix pool[2]);

#endif
