/* Names of addresses: d.c.b.a.in-addr.arpa and nibbles under ip6.arpa. */
#ifndef OCALA_DNS_DNS_REVERSE_H
#define OCALA_DNS_DNS_REVERSE_H

#include "base/address.h"
#include "dns/dns_name.h"

enum dns_reverse {
    DNS_REVERSE_FOREIGN, /* not under a pool                                        */
    DNS_REVERSE_ADDRESS, /* an address of a pool                                    */
    DNS_REVERSE_ABOVE,   /* inside a pool, but above its addresses: exists, is empty */
    DNS_REVERSE_NONE,    /* inside a pool and never the name of an address          */
};

/* `zone_labels`: how many of the last labels are the zone that the name is in (for its SOA). */
enum dns_reverse dns_reverse_parse(const struct dns_name *name, const struct ip_prefix pool[2],
                                   struct ip_address *ret, unsigned *ret_zone_labels);

#endif
