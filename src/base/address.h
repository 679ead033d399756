/* IP addresses and UDP endpoints as plain values: zeroed when unused, so that memcmp compares them. */
#ifndef OCALA_BASE_ADDRESS_H
#define OCALA_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ip_address {
    uint8_t family;    /* 4, 6, or 0 for none                     */
    uint8_t bytes[16]; /* network order; IPv4 in the first four   */
};

struct endpoint {
    struct ip_address ip;
    uint16_t port;  /* host order */
    uint32_t scope; /* interface index of an IPv6 link-local address, else 0 */
};

struct ip_prefix {
    struct ip_address ip;
    uint8_t length; /* bits */
};

/* Longest text of an endpoint: "[" IPv6 "%" scope "]:" port, with its NUL. */
#define ENDPOINT_TEXT 72
#define ADDRESS_TEXT  46

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
/* 0.0.0.0 or ::, which stand for all addresses or none. */
bool ip_address_is_wildcard(const struct ip_address *ip);
/* Can one machine be at it, so that a datagram may be sent there because somebody else says so?  Not without a port, to a
 * group or to everybody, on one cable only (of which interface?), or to IPv4 in the guise of IPv6. */
bool endpoint_is_unicast(const struct endpoint *e);
bool ip_prefix_holds(const struct ip_prefix *prefix, const struct ip_address *ip);

/* Text to value; false (and *ret untouched) when the text is not wholly an address.  An endpoint is "1.2.3.4:5",
 * "[2001:db8::1]:5", or without a port when `default_port` is not 0.  Pure: no name is looked up. */
bool ip_address_parse(const char *text, struct ip_address *ret);
bool ip_prefix_parse(const char *text, struct ip_prefix *ret);
bool endpoint_parse(const char *text, uint16_t default_port, struct endpoint *ret);

/* Value to text; `out` holds ADDRESS_TEXT or ENDPOINT_TEXT bytes; returns `out`. */
const char *ip_address_format(const struct ip_address *ip, char *out);
const char *endpoint_format(const struct endpoint *e, char *out);

#endif
