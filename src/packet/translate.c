#include "packet/translate.h"

#include <string.h>

#include "base/cursor.h"
#include "packet/checksum.h"
#include "packet/field.h"

/* Sums are updated incrementally (RFC 1624), so a sum that was wrong stays wrong: damage done
 * before us is still noticed by the receiver.  A change is collected as a running sum of what was
 * added less what was taken away, and applied to every sum that covers the changed bytes:
 *
 *      addresses  --> IPv4 header sum, transport sum (pseudo-header)
 *      in a quote --> the same two of the quote; addresses and both sums of the quote --> the outer
 * ICMP sum
 *
 * All these fields lie at even offsets of what the sums cover: IP headers are multiples of four
 * bytes. */

/* Overwrites bytes; the running change with it. */
static uint32_t replace(uint32_t change, uint8_t *at, const uint8_t *fresh, size_t size)
{
    change = checksum_change(change, at, fresh, size);
    memcpy(at, fresh, size);
    return change;
}

/* Applies a change to a sum field; returns the change that this itself makes to a sum around it. */
static uint32_t update_sum(uint8_t *at, uint32_t change, bool is_udp)
{
    uint16_t before = field_u16(at);
    if (is_udp && !before)
        return 0;
    uint16_t after = checksum_update(before, change);
    if (is_udp && !after)
        after = 0xFFFF;
    field_set_u16(at, after);
    return checksum_change16(0, before, after);
}

/* Where the transport sum that covers the addresses stands, from the start of the IP header; 0 when
 * there is none, or when it is not among the packet's bytes. */
static size_t find_sum(const struct ip_view *v)
{
    size_t at;
    if (!v->first_fragment)
        return 0;
    switch (v->protocol) {
    case IP_TCP:
        at = TCP_SUM;
        break;
    case IP_UDP:
    case IP_UDP_LITE:
        at = UDP_SUM;
        break;
    case IP_DCCP:
        at = DCCP_SUM;
        break;
    case IP_ICMP6:
        at = ICMP_SUM;
        if (v->version != 6)
            return 0;
        break;
    default:
        return 0;
    }
    at += v->transport;
    return at + 2 <= v->total ? at : 0;
}

/* Writes the addresses into the IP header at `ip`, and the IPv4 header's sum.  *ret_addresses is
 * the change of the addresses alone, the returned one that of all bytes. */
static uint32_t replace_addresses(uint8_t *ip, uint8_t version, const struct ip_address *source,
                                  const struct ip_address *destination, uint32_t *ret_addresses)
{
    size_t size = version == 4 ? 4 : 16;
    uint32_t change =
        replace(0, ip + (version == 4 ? IP4_SOURCE : IP6_SOURCE), source->bytes, size);
    change = replace(change, ip + (version == 4 ? IP4_DESTINATION : IP6_DESTINATION),
                     destination->bytes, size);
    *ret_addresses = change;
    if (version == 4)
        change += update_sum(ip + IP4_SUM, change, false);
    return change;
}

/* Turns the packet quoted at `quote`; returns the change of all its bytes. */
static uint32_t translate_quote(uint8_t *quote, const struct ip_view *v,
                                const struct ip_address *source,
                                const struct ip_address *destination)
{
    uint32_t addresses;
    uint32_t change = replace_addresses(quote, v->version, source, destination, &addresses);
    size_t sum = find_sum(v);
    if (sum)
        change += update_sum(quote + sum, addresses, v->protocol == IP_UDP);
    return change;
}

/* Can this packet have an open checksum, and where?  0 when not. */
static size_t find_open_sum(const struct ip_view *v)
{
    if (v->fragment || (v->protocol != IP_TCP && v->protocol != IP_UDP))
        return 0;
    return find_sum(v);
}

bool ip_translate(struct packet *p, const struct ip_view *v, const struct ip_address *source,
                  const struct ip_address *destination)
{
    struct ip_view quoted;
    size_t sum = find_sum(v);
    bool open = p->offload.needs_checksum;
    if (source->family != v->version || destination->family != v->version || v->total > p->size)
        return false;
    if (open && !find_open_sum(v))
        return false;
    if (v->is_icmp_error && !ip_quoted(p, v, &quoted))
        return false;

    uint32_t change;
    replace_addresses(p->data, v->version, source, destination, &change);
    if (open) {
        uint32_t pseudo = checksum_add_pseudo(0, source, destination, v->protocol,
                                              (uint32_t)(v->total - v->transport));
        field_set_u16(p->data + sum, checksum_fold(pseudo));
        return true;
    }
    if (v->is_icmp_error) {
        if (v->version == 4) {
            change = 0; /* ICMPv4 has no pseudo-header */
            sum = v->transport + (size_t)ICMP_SUM;
        }
        change +=
            translate_quote(p->data + v->transport + ICMP_HEADER, &quoted, destination, source);
    }
    if (sum)
        update_sum(p->data + sum, change, v->protocol == IP_UDP);
    return true;
}

static void set_ttl(struct packet *p, const struct ip_view *v, uint8_t *ttl, uint8_t to)
{
    if (v->version == 4)
        update_sum(p->data + IP4_SUM,
                   checksum_change16(0, (uint16_t)(*ttl << 8), (uint16_t)(to << 8)), false);
    *ttl = to;
}

bool ip_decrement_ttl(struct packet *p, const struct ip_view *v)
{
    uint8_t *ttl = p->data + (v->version == 4 ? IP4_TTL : IP6_TTL);
    if (*ttl <= 1)
        return false;
    set_ttl(p, v, ttl, (uint8_t)(*ttl - 1));
    return true;
}

void ip_restore_ttl(struct packet *p, const struct ip_view *v)
{
    uint8_t *ttl = p->data + (v->version == 4 ? IP4_TTL : IP6_TTL);
    if (*ttl < UINT8_MAX)
        set_ttl(p, v, ttl, (uint8_t)(*ttl + 1));
}

/* The view of a packet whose checksum may be open, and where that is; 0 when it is not one. */
static size_t parse_open(const uint8_t *bytes, size_t size, struct ip_view *ret)
{
    enum drop_reason reason;
    if (!ip_parse(bytes, size, ret, &reason))
        return 0;
    size_t sum = find_open_sum(ret);
    /* With UDP options (RFC 9868) the sum ends before the packet does, which an offload cannot say.
     */
    if (sum && ret->protocol == IP_UDP &&
        field_u16(bytes + ret->transport + 4) != ret->total - ret->transport)
        return 0;
    return sum;
}

bool ip_complete_checksum(struct packet *p)
{
    struct ip_view v;
    if (!p->offload.needs_checksum)
        return true;
    size_t sum = parse_open(p->data, p->size, &v);
    if (!sum)
        return false;
    size_t length = v.total - v.transport;
    field_set_u16(p->data + sum, 0);
    uint32_t total =
        checksum_add_pseudo(0, &v.source, &v.destination, v.protocol, (uint32_t)length);
    uint16_t checksum = checksum_finish(checksum_add(total, p->data + v.transport, length));
    if (v.protocol == IP_UDP && !checksum)
        checksum = 0xFFFF;
    field_set_u16(p->data + sum, checksum);
    p->offload.needs_checksum = false;
    return true;
}

bool ip_offload_find(const uint8_t *bytes, size_t size, struct packet_offload *ret_offload)
{
    struct ip_view v;
    size_t sum = parse_open(bytes, size, &v);
    if (!sum)
        return false;
    size_t header =
        v.protocol == IP_TCP ? (bytes[v.transport + TCP_DATA_OFFSET] >> 4) * 4u : UDP_HEADER;
    ret_offload->needs_checksum = true;
    ret_offload->checksum_start = v.transport;
    ret_offload->checksum_offset = (uint16_t)(sum - v.transport);
    ret_offload->header_size = (uint16_t)(v.transport + header);
    return true;
}

void ip_ecn_decapsulate(uint8_t inner, uint8_t outer, uint8_t *ret_inner, bool *ret_drop)
{
    inner &= 3;
    outer &= 3;
    *ret_drop = inner == ECN_NOT && outer == ECN_CE;
    if (inner == ECN_NOT || inner == ECN_CE || outer == ECN_NOT || outer == ECN_ECT0)
        *ret_inner = inner;
    else
        *ret_inner = outer;
}

void ip_set_ecn(struct packet *p, const struct ip_view *v, uint8_t ecn)
{
    ecn &= 3;
    if (v->version == 6) {
        uint8_t *class = p->data + IP6_CLASS;
        *class = (uint8_t)((*class & ~(3 << IP6_ECN_SHIFT)) | ecn << IP6_ECN_SHIFT);
        return;
    }
    uint8_t *tos = p->data + IP4_TOS;
    uint8_t fresh = (uint8_t)((*tos & ~3) | ecn);
    update_sum(p->data + IP4_SUM, checksum_change16(0, *tos, fresh), false);
    *tos = fresh;
}

/* The MSS value among the TCP options, as an offset in the packet; 0 when there is none. */
static size_t find_mss(const struct packet *p, const struct ip_view *v)
{
    const uint8_t *tcp = p->data + v->transport;
    size_t header = (size_t)(tcp[TCP_DATA_OFFSET] >> 4) * 4;
    if (header < TCP_HEADER || v->transport + header > v->total)
        return 0;
    struct reader r = reader_over(tcp + TCP_HEADER, header - TCP_HEADER);
    while (reader_left(&r)) {
        uint8_t kind = read_u8(&r);
        if (kind == TCP_OPTION_END)
            break;
        if (kind == TCP_OPTION_NOP)
            continue;
        uint8_t length = read_u8(&r);
        if (length < 2 || !read_bytes(&r, length - 2u))
            break;
        if (kind == TCP_OPTION_MSS)
            return length == TCP_OPTION_MSS_SIZE ? (size_t)(r.at - 2 - p->data) : 0;
    }
    return 0;
}

bool ip_clamp_mss(struct packet *p, const struct ip_view *v, uint16_t mtu)
{
    /* The MSS leaves out options of either header: RFC 6691. */
    unsigned headers = (v->version == 4 ? IP4_HEADER : IP6_HEADER) + TCP_HEADER;
    if (v->protocol != IP_TCP || v->fragment || v->total > p->size || mtu <= headers)
        return false;
    if (!(p->data[v->transport + TCP_FLAGS] & TCP_SYN))
        return false;
    size_t at = find_mss(p, v);
    uint16_t limit = (uint16_t)(mtu - headers);
    if (!at || field_u16(p->data + at) <= limit)
        return false;
    uint16_t before = field_u16(p->data + at), after = limit;
    field_set_u16(p->data + at, after);
    if (p->offload.needs_checksum)
        return true;
    /* At an odd offset of the TCP header the value lies across two words: both halves change
     * places. */
    if ((at - v->transport) & 1) {
        before = (uint16_t)(before << 8 | before >> 8);
        after = (uint16_t)(after << 8 | after >> 8);
    }
    update_sum(p->data + v->transport + TCP_SUM, checksum_change16(0, before, after), false);
    return true;
}
