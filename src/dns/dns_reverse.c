/* Reading from the right, each label fixes eight bits (IPv4) or four (IPv6).  As soon as the bits
 * read so far lie inside a pool, the name is ours whatever stands further left: even a malformed
 * one must not tell an upstream server which handles are in use. */
#include "dns/dns_reverse.h"

#include <string.h>

/* "0" to "255" without leading zeros, or one hexadecimal digit; -1 otherwise. */
static int label_value(const uint8_t *label, unsigned size, bool nibble)
{
    if (nibble) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *p = size == 1 && label[0] ? strchr(digits, label[0]) : NULL;
        return p ? (int)(p - digits) & 15 : -1;
    }
    if (size == 0 || size > 3 || (size > 1 && label[0] == '0'))
        return -1;
    int value = 0;
    for (unsigned i = 0; i < size; i++) {
        if (label[i] < '0' || label[i] > '9')
            return -1;
        value = value * 10 + (label[i] - '0');
    }
    return value <= 255 ? value : -1;
}

static enum dns_reverse parse_under(const struct dns_name *name, const struct ip_prefix *pool,
                                    struct ip_address *ret, unsigned *ret_zone_labels)
{
    bool nibble = pool->ip.family == 6;
    unsigned step = nibble ? 4 : 8, bits = nibble ? 128 : 32;
    unsigned zone = (pool->length + step - 1) / step;
    unsigned left = name->labels - 2, used = 0;
    struct ip_address ip = {.family = pool->ip.family};
    for (; left && used * step < bits; left--, used++) {
        unsigned size;
        const uint8_t *label = dns_name_label(name, left - 1, &size);
        int value = label_value(label, size, nibble);
        if (value < 0)
            break;
        unsigned at = used * step;
        ip.bytes[at / 8] |= (uint8_t)(nibble && at % 8 == 0 ? value << 4 : value);
    }
    if (used < zone || !ip_prefix_holds(pool, &ip))
        return DNS_REVERSE_FOREIGN;
    *ret_zone_labels = 2 + zone;
    if (left)
        return DNS_REVERSE_NONE;
    if (used * step < bits)
        return DNS_REVERSE_ABOVE;
    *ret = ip;
    return DNS_REVERSE_ADDRESS;
}

enum dns_reverse dns_reverse_parse(const struct dns_name *name, const struct ip_prefix pool[2],
                                   struct ip_address *ret, unsigned *ret_zone_labels)
{
    if (name->labels < 2 || !dns_name_label_is(name, name->labels - 1, "arpa"))
        return DNS_REVERSE_FOREIGN;
    for (unsigned i = 0; i < 2; i++) {
        const char *tree = pool[i].ip.family == 4 ? "in-addr" : "ip6";
        if (pool[i].ip.family == 0 || !dns_name_label_is(name, name->labels - 2, tree))
            continue;
        enum dns_reverse found = parse_under(name, &pool[i], ret, ret_zone_labels);
        if (found != DNS_REVERSE_FOREIGN)
            return found;
    }
    return DNS_REVERSE_FOREIGN;
}
