#include "packet/ip.h"

#include "base/cursor.h"

/* One parser serves packets and quotes.  Its steps - fixed header, options or extension headers,
 * fragment rules, transport - fill a view; `struct parse` carries whether the packet is a quote,
 * for which the length in the header is not that of the bytes, and the transport may be cut.
 *
 * The fragment rules are those of RFC 791 and 8200, and the two that keep a policy honest: a first
 * fragment holds its transport header (RFC 7112 for IPv6), and no TCP fragment starts inside the
 * TCP header (RFC 3128), so that ports which were checked cannot be overwritten later. */

struct parse {
    const uint8_t *bytes;
    size_t size;
    bool is_quote;
    struct ip_view view;
    enum drop_reason reason;
};

static bool refuse(struct parse *x, enum drop_reason reason)
{
    x->reason = reason;
    return false;
}

bool ip_address_is_multicast(const struct ip_address *ip)
{
    static const uint8_t broadcast[4] = {255, 255, 255, 255};
    if (ip->family == 4)
        return ip->bytes[0] >> 4 == 0xE || !memcmp(ip->bytes, broadcast, 4);
    return ip->family == 6 && ip->bytes[0] == 0xFF;
}

bool ip_stays_on_link(const struct ip_view *v)
{
    const uint8_t *b = v->destination.bytes;
    if (ip_address_is_multicast(&v->destination))
        return true;
    return v->version == 4 ? b[0] == 169 && b[1] == 254 : b[0] == 0xFE && (b[1] & 0xC0) == 0x80;
}

static bool check_ip4_options(struct parse *x, struct reader options)
{
    while (reader_left(&options)) {
        uint8_t kind = read_u8(&options);
        if (kind == OPTION_END)
            return true;
        if (kind == OPTION_NOP)
            continue;
        uint8_t length = read_u8(&options);
        if (length < 2 || !read_bytes(&options, length - 2u))
            return refuse(x, DROP_BAD_HEADER);
        if (kind == OPTION_LSRR || kind == OPTION_SSRR)
            return refuse(x, DROP_SOURCE_ROUTE);
    }
    return true;
}

/* `offset` and `payload` in bytes. */
static bool check_fragment(struct parse *x, unsigned offset, size_t payload, bool more)
{
    struct ip_view *v = &x->view;
    v->fragment = offset || more;
    v->first_fragment = offset == 0;
    if (!v->fragment || x->is_quote)
        return true;
    if ((more && (payload % 8 || !payload)) || offset + payload > UINT16_MAX)
        return refuse(x, DROP_BAD_HEADER);
    if (v->protocol == IP_TCP && offset && offset < TCP_HEADER)
        return refuse(x, DROP_BAD_HEADER);
    return true;
}

/* Holds the length in the header against the bytes that are there.  A quote's is not trusted: it
 * says what the packet was, and some systems change it before they quote. */
static bool check_total(struct parse *x, size_t total, size_t least)
{
    if (x->is_quote && (total < least || total > x->size))
        total = x->size;
    if (total < least || total > x->size)
        return refuse(x, DROP_BAD_HEADER);
    x->view.total = total;
    return true;
}

static bool parse_ip4(struct parse *x)
{
    struct ip_view *v = &x->view;
    struct reader r = reader_over(x->bytes, x->size);
    v->header_size = (uint16_t)((read_u8(&r) & 0xF) * 4);
    v->ecn = read_u8(&r) & 3;
    size_t total = read_u16(&r);
    read_u16(&r);
    uint16_t fragment = read_u16(&r);
    v->ttl = read_u8(&r);
    v->protocol = read_u8(&r);
    read_u16(&r);
    v->source.family = v->destination.family = 4;
    read_copy(&r, v->source.bytes, 4);
    read_copy(&r, v->destination.bytes, 4);
    if (r.failed || x->size < v->header_size)
        return refuse(x, DROP_TRUNCATED);
    if (v->header_size < IP4_HEADER)
        return refuse(x, DROP_BAD_HEADER);
    if (!check_total(x, total, v->header_size))
        return false;
    size_t options = v->header_size - IP4_HEADER;
    if (options && !x->is_quote && !check_ip4_options(x, reader_over(r.at, options)))
        return false;
    v->transport = v->header_size;
    v->dont_fragment = fragment & IP4_DONT_FRAGMENT;
    return check_fragment(x, (fragment & IP4_OFFSET_MASK) * 8u, v->total - v->transport,
                          fragment & IP4_MORE_FRAGMENTS);
}

static bool is_extension(uint8_t kind)
{
    return kind == EXTENSION_HOP_BY_HOP || kind == EXTENSION_ROUTING ||
           kind == EXTENSION_FRAGMENT || kind == EXTENSION_AUTHENTICATION ||
           kind == EXTENSION_DESTINATION;
}

/* The packet ends inside an extension header: all that is known of a quote then is its IP header.
 */
static bool ends_in_extension(struct parse *x)
{
    x->view.protocol = IP_NOTHING;
    return x->is_quote || refuse(x, DROP_TRUNCATED);
}

/* Steps over the extension header `kind` that starts at `r`; its successor's kind goes to the view.
 */
static bool step_over(struct parse *x, struct reader *r, uint8_t kind)
{
    struct ip_view *v = &x->view;
    if (kind == EXTENSION_ROUTING && !x->is_quote)
        return refuse(x, DROP_ROUTING_HEADER);
    v->protocol = read_u8(r);
    uint8_t length = read_u8(r);
    if (kind == EXTENSION_FRAGMENT) {
        uint16_t offset = read_u16(r);
        read_u32(r);
        if (r->failed)
            return ends_in_extension(x);
        v->transport += 8;
        return check_fragment(x, offset & 0xFFF8, reader_left(r), offset & 1);
    }
    size_t size = kind == EXTENSION_AUTHENTICATION ? (length + 2u) * 4u : (length + 1u) * 8u;
    if (!read_bytes(r, size - 2))
        return ends_in_extension(x);
    v->transport += (uint16_t)size;
    return true;
}

static bool walk_extensions(struct parse *x)
{
    struct ip_view *v = &x->view;
    struct reader r = reader_over(x->bytes + IP6_HEADER, v->total - IP6_HEADER);
    v->transport = IP6_HEADER;
    for (unsigned count = 0; is_extension(v->protocol) && v->first_fragment; count++) {
        uint8_t kind = v->protocol;
        /* Hop-by-hop stands first only (RFC 8200, section 4.1), and nobody fragments twice. */
        bool misplaced =
            (kind == EXTENSION_HOP_BY_HOP && count) || (kind == EXTENSION_FRAGMENT && v->fragment);
        if (count == IP_EXTENSIONS_MAX || misplaced)
            return refuse(x, DROP_BAD_HEADER);
        if (!step_over(x, &r, kind))
            return false;
    }
    return true;
}

static bool parse_ip6(struct parse *x)
{
    struct ip_view *v = &x->view;
    struct reader r = reader_over(x->bytes, x->size);
    v->ecn = (uint8_t)(read_u32(&r) >> 20) & 3;
    size_t payload = read_u16(&r);
    v->protocol = read_u8(&r);
    v->ttl = read_u8(&r);
    v->source.family = v->destination.family = 6;
    read_copy(&r, v->source.bytes, 16);
    read_copy(&r, v->destination.bytes, 16);
    if (r.failed)
        return refuse(x, DROP_TRUNCATED);
    v->header_size = IP6_HEADER;
    v->dont_fragment = true;
    v->first_fragment = true;
    return check_total(x, IP6_HEADER + payload, IP6_HEADER) && walk_extensions(x);
}

static bool parse_tcp(struct parse *x, struct reader r, size_t size)
{
    struct ip_view *v = &x->view;
    v->source_port = read_u16(&r);
    v->destination_port = read_u16(&r);
    v->has_ports = !r.failed;
    if (x->is_quote)
        return true;
    read_u64(&r);
    size_t header = (size_t)(read_u8(&r) >> 4) * 4;
    if (size < TCP_HEADER || size < header)
        return refuse(x, DROP_TRUNCATED);
    return header >= TCP_HEADER || refuse(x, DROP_BAD_HEADER);
}

static bool parse_udp(struct parse *x, struct reader r, size_t size)
{
    struct ip_view *v = &x->view;
    v->source_port = read_u16(&r);
    v->destination_port = read_u16(&r);
    v->has_ports = !r.failed;
    if (x->is_quote)
        return true;
    size_t length = read_u16(&r);
    if (size < UDP_HEADER)
        return refuse(x, DROP_TRUNCATED);
    /* Less than there is may be: the surplus holds UDP options (RFC 9868). */
    if (length < UDP_HEADER || (length > size && !v->fragment))
        return refuse(x, DROP_BAD_HEADER);
    return true;
}

static bool parse_icmp(struct parse *x, struct reader r)
{
    struct ip_view *v = &x->view;
    bool six = v->version == 6;
    uint8_t type = read_u8(&r);
    read_bytes(&r, 3);
    uint16_t id = read_u16(&r);
    read_u16(&r);
    if (r.failed)
        return x->is_quote || refuse(x, DROP_TRUNCATED);
    v->icmp_type = type;
    if (six ? type == ICMP6_ECHO || type == ICMP6_ECHO_REPLY
            : type == ICMP_ECHO || type == ICMP_ECHO_REPLY) {
        v->source_port = v->destination_port = id;
        v->has_ports = true;
        return true;
    }
    if (six)
        v->is_icmp_error = type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER;
    else
        v->is_icmp_error = type == ICMP_UNREACHABLE || type == ICMP_QUENCH ||
                           type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER;
    if (x->is_quote)
        return true;
    if (type == (six ? ICMP6_REDIRECT : ICMP_REDIRECT))
        return refuse(x, DROP_REDIRECT);
    if (six && type >= ICMP6_ROUTER_SOLICITATION && type <= ICMP6_NEIGHBOUR_ADVERTISEMENT)
        return refuse(x, DROP_NEIGHBOUR_DISCOVERY);
    return true;
}

static bool parse_transport(struct parse *x)
{
    struct ip_view *v = &x->view;
    size_t size = v->total - v->transport;
    struct reader r = reader_over(x->bytes + v->transport, size);
    if (!v->first_fragment)
        return true;
    if (v->protocol == IP_TCP)
        return parse_tcp(x, r, size);
    if (v->protocol == IP_UDP)
        return parse_udp(x, r, size);
    if (v->protocol == (v->version == 4 ? IP_ICMP : IP_ICMP6))
        return parse_icmp(x, r);
    return true;
}

static bool parse(struct parse *x)
{
    if (!x->size)
        return refuse(x, DROP_TRUNCATED);
    x->view.version = x->bytes[0] >> 4;
    if (x->view.version != 4 && x->view.version != 6)
        return refuse(x, DROP_NOT_IP);
    if (!(x->view.version == 4 ? parse_ip4(x) : parse_ip6(x)))
        return false;
    if (!x->is_quote && ip_address_is_multicast(&x->view.source))
        return refuse(x, DROP_MULTICAST);
    return parse_transport(x);
}

bool ip_parse(const uint8_t *bytes, size_t size, struct ip_view *ret, enum drop_reason *ret_reason)
{
    struct parse x = {.bytes = bytes, .size = size};
    if (!parse(&x)) {
        *ret_reason = x.reason;
        return false;
    }
    *ret = x.view;
    return true;
}

bool ip_quoted(const struct packet *p, const struct ip_view *v, struct ip_view *ret)
{
    size_t start = v->transport + (size_t)ICMP_HEADER;
    if (!v->is_icmp_error || v->total > p->size || start > v->total)
        return false;
    struct parse x = {.bytes = p->data + start, .size = v->total - start, .is_quote = true};
    if (!parse(&x) || x.view.version != v->version)
        return false;
    *ret = x.view;
    return true;
}
