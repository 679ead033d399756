#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static size_t address_size(uint8_t family)
{
    return family == 4 ? 4 : family == 6 ? 16 : 0;
}

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
    return a->family == b->family && !memcmp(a->bytes, b->bytes, address_size(a->family));
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return ip_address_equal(&a->ip, &b->ip) && a->port == b->port && a->scope == b->scope;
}

bool ip_address_is_wildcard(const struct ip_address *ip)
{
    static const uint8_t none[16];
    return !memcmp(ip->bytes, none, address_size(ip->family));
}

bool endpoint_is_unicast(const struct endpoint *e)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *b = e->ip.bytes;
    if (!e->port || e->scope || !e->ip.family || ip_address_is_wildcard(&e->ip))
        return false;
    if (e->ip.family == 4)
        return b[0] != 0 && b[0] < 224;
    bool is_link_local = b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
    return b[0] != 0xff && !is_link_local && memcmp(b, mapped, sizeof mapped);
}

bool ip_prefix_holds(const struct ip_prefix *prefix, const struct ip_address *ip)
{
    size_t size = address_size(ip->family);
    if (!size || prefix->ip.family != ip->family || prefix->length > size * 8)
        return false;
    size_t whole = prefix->length / 8;
    unsigned rest = prefix->length % 8;
    if (memcmp(prefix->ip.bytes, ip->bytes, whole))
        return false;
    return !rest || !((prefix->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - rest));
}

bool ip_address_parse(const char *text, struct ip_address *ret)
{
    struct ip_address ip = {0};
    if (inet_pton(AF_INET, text, ip.bytes) == 1) {
        ip.family = 4;
    } else {
        memset(ip.bytes, 0, sizeof ip.bytes);
        if (inet_pton(AF_INET6, text, ip.bytes) != 1)
            return false;
        ip.family = 6;
    }
    *ret = ip;
    return true;
}

/* A decimal number that fills `length` characters: digits only, no sign, no space, at most `max`.
 */
static bool parse_number(const char *text, size_t length, uint32_t max, uint32_t *ret)
{
    uint64_t value = 0;
    if (!length || length > 10)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    if (value > max)
        return false;
    *ret = (uint32_t)value;
    return true;
}

/* The address in the first `length` characters. */
static bool parse_part(const char *text, size_t length, struct ip_address *ret)
{
    char copy[ADDRESS_TEXT];
    if (length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = 0;
    return ip_address_parse(copy, ret);
}

bool ip_prefix_parse(const char *text, struct ip_prefix *ret)
{
    const char *slash = strchr(text, '/');
    struct ip_prefix prefix = {0};
    uint32_t length;
    if (!slash || !parse_part(text, (size_t)(slash - text), &prefix.ip))
        return false;
    if (!parse_number(slash + 1, strlen(slash + 1), prefix.ip.family == 4 ? 32 : 128, &length))
        return false;
    prefix.length = (uint8_t)length;
    *ret = prefix;
    return true;
}

/* "2001:db8::1" or "fe80::1%3"; a scope is an interface index, since names would need the system.
 */
static bool parse_scoped(const char *text, size_t length, struct endpoint *ret)
{
    const char *percent = memchr(text, '%', length);
    size_t address = percent ? (size_t)(percent - text) : length;
    if (!parse_part(text, address, &ret->ip) || ret->ip.family != 6)
        return false;
    return !percent || parse_number(percent + 1, length - address - 1, UINT32_MAX, &ret->scope);
}

bool endpoint_parse(const char *text, uint16_t default_port, struct endpoint *ret)
{
    struct endpoint e = {.port = default_port};
    const char *port = NULL;
    if (text[0] == '[') {
        const char *close = strchr(text, ']');
        if (!close || !parse_scoped(text + 1, (size_t)(close - text - 1), &e))
            return false;
        if (close[1] == ':')
            port = close + 2;
        else if (close[1])
            return false;
    } else {
        const char *colon = strchr(text, ':');
        bool is_ipv6 = colon && strchr(colon + 1, ':');
        size_t length = colon && !is_ipv6 ? (size_t)(colon - text) : strlen(text);
        if (is_ipv6 ? !parse_scoped(text, length, &e) : !parse_part(text, length, &e.ip))
            return false;
        if (colon && !is_ipv6)
            port = colon + 1;
    }
    if (port) {
        uint32_t number;
        if (!parse_number(port, strlen(port), UINT16_MAX, &number))
            return false;
        e.port = (uint16_t)number;
    }
    if (!e.port)
        return false;
    *ret = e;
    return true;
}

const char *ip_address_format(const struct ip_address *ip, char *out)
{
    int family = ip->family == 4 ? AF_INET : AF_INET6;
    if (!address_size(ip->family) || !inet_ntop(family, ip->bytes, out, ADDRESS_TEXT))
        strcpy(out, "none");
    return out;
}

const char *endpoint_format(const struct endpoint *e, char *out)
{
    char ip[ADDRESS_TEXT];
    ip_address_format(&e->ip, ip);
    if (e->ip.family != 6)
        snprintf(out, ENDPOINT_TEXT, "%s:%u", ip, e->port);
    else if (e->scope)
        snprintf(out, ENDPOINT_TEXT, "[%s%%%u]:%u", ip, (unsigned)e->scope, e->port);
    else
        snprintf(out, ENDPOINT_TEXT, "[%s]:%u", ip, e->port);
    return out;
}
