#include "packet/icmp.h"

#include "base/cursor.h"
#include "packet/checksum.h"

/* An error may be as long as every host must be able to receive: 576 bytes for IPv4 (RFC 1812,
 * section 4.3.2.3), 1280 for IPv6 (RFC 4443, section 2.4).  It quotes what fits. */
#define ERROR4_MAX 576
#define ERROR6_MAX 1280

#define ERROR_TTL      64
#define ERROR_TOS      0xC0 /* internetwork control: RFC 1812, section 4.3.2.5 */
#define IP_VERSION4    0x45
#define IP6_FIRST_WORD (0x60000000u | (uint32_t)ERROR_TOS << 20)

static const struct {
    uint8_t type4, code4, type6, code6;
} errors[ICMP_ERROR_COUNT] = {
#define ICMP_ERROR_ROW(id, type4, code4, type6, code6)                                             \
    [ICMP_ERROR_##id] = {type4, code4, type6, code6},
    ICMP_ERRORS(ICMP_ERROR_ROW)
#undef ICMP_ERROR_ROW
};

/* Is this the address of one host, that an answer may go to? */
static bool is_single_host(const struct ip_address *ip)
{
    static const uint8_t zeros[15];
    if (ip_address_is_multicast(ip))
        return false;
    if (ip->family == 4) /* "this network", loopback, class E */
        return ip->bytes[0] != 0 && ip->bytes[0] != 127 && ip->bytes[0] < 240;
    return memcmp(ip->bytes, zeros, sizeof zeros) != 0 ||
           ip->bytes[15] > 1; /* not :: and not ::1 */
}

static bool may_answer(const struct ip_view *v, enum icmp_error kind, const struct ip_address *from)
{
    if (v->is_icmp_error || !v->first_fragment || v->version != from->family)
        return false;
    /* RFC 4443 allows one exception, without which multicast senders could not learn a path's MTU.
     */
    bool to_many_is_fine = v->version == 6 && kind == ICMP_ERROR_TOO_BIG;
    if (ip_address_is_multicast(&v->destination) && !to_many_is_fine)
        return false;
    return is_single_host(&v->source);
}

static void write_ip4(struct writer *w, size_t total, const struct ip_address *from,
                      const struct ip_address *to)
{
    write_u8(w, IP_VERSION4);
    write_u8(w, ERROR_TOS);
    write_u16(w, (uint16_t)total);
    write_u16(w, 0);
    write_u16(w, IP4_DONT_FRAGMENT);
    write_u8(w, ERROR_TTL);
    write_u8(w, IP_ICMP);
    /* The header's sum: everything before it, and the addresses behind. */
    uint32_t sum = checksum_add(0, w->start, IP4_SUM);
    sum = checksum_add(sum, from->bytes, 4);
    write_u16(w, checksum_finish(checksum_add(sum, to->bytes, 4)));
    write_bytes(w, from->bytes, 4);
    write_bytes(w, to->bytes, 4);
}

static void write_ip6(struct writer *w, size_t total, const struct ip_address *from,
                      const struct ip_address *to)
{
    write_u32(w, IP6_FIRST_WORD);
    write_u16(w, (uint16_t)(total - IP6_HEADER));
    write_u8(w, IP_ICMP6);
    write_u8(w, ERROR_TTL);
    write_bytes(w, from->bytes, 16);
    write_bytes(w, to->bytes, 16);
}

size_t icmp_error(struct packet *out, enum icmp_error kind, const uint8_t *quoted, size_t size,
                  const struct ip_address *from, uint32_t mtu)
{
    struct ip_view v;
    enum drop_reason reason;
    packet_reset(out, PACKET_HEADROOM);
    out->offload = (struct packet_offload){0};
    if (!ip_parse(quoted, size, &v, &reason) || !may_answer(&v, kind, from))
        return 0;

    bool four = v.version == 4;
    size_t header = four ? IP4_HEADER : IP6_HEADER;
    size_t room = (four ? ERROR4_MAX : ERROR6_MAX) - header - ICMP_HEADER;
    size_t quote = v.total < room ? v.total : room;
    size_t total = header + ICMP_HEADER + quote;
    uint32_t told = kind != ICMP_ERROR_TOO_BIG ? 0 : four && mtu > UINT16_MAX ? UINT16_MAX : mtu;

    struct writer w = writer_over(out->data, total);
    if (four)
        write_ip4(&w, total, from, &v.source);
    else
        write_ip6(&w, total, from, &v.source);
    write_u8(&w, four ? errors[kind].type4 : errors[kind].type6);
    write_u8(&w, four ? errors[kind].code4 : errors[kind].code6);
    uint8_t *sum_at = write_room(&w, 2);
    sum_at[0] = sum_at[1] = 0;
    write_u32(&w, told);
    write_bytes(&w, quoted, quote);

    uint32_t length = (uint32_t)(total - header);
    uint32_t sum = four ? 0 : checksum_add_pseudo(0, from, &v.source, IP_ICMP6, length);
    uint16_t checksum = checksum_finish(checksum_add(sum, out->data + header, length));
    sum_at[0] = (uint8_t)(checksum >> 8);
    sum_at[1] = (uint8_t)checksum;
    out->size = total;
    return total;
}
