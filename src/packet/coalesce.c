#include "packet/coalesce.h"

#include <string.h>

#include "packet/checksum.h"
#include "packet/field.h"

/* Headers are compared field by field where they may differ and as bytes where they may not.  The
 * first packet's is kept as it came, because the translated one in the super-packet has other
 * addresses. */

#define SUPER_MAX 65535 /* the length field of IPv4 */
#define UDP_COUNT 64    /* UDP_MAX_SEGMENTS of the kernel */

/* Flags that a packet of a run may have; PSH and FIN end it. */
#define FLAGS_IN_RUN (TCP_ACK | TCP_ECE | TCP_PSH | TCP_FIN)
#define FLAGS_LAST   (TCP_PSH | TCP_FIN)

static size_t header_end(const uint8_t *bytes, const struct ip_view *v)
{
    if (v->protocol == IP_UDP)
        return v->transport + (size_t)UDP_HEADER;
    return v->transport + (size_t)(bytes[v->transport + TCP_DATA_OFFSET] >> 4) * 4;
}

static bool ip4_sum_right(const uint8_t *bytes)
{
    return checksum_fold(checksum_add(0, bytes, IP4_HEADER)) == 0xFFFF;
}

bool coalesce_may_begin(const uint8_t *bytes, const struct ip_view *v)
{
    bool tcp = v->protocol == IP_TCP;
    if ((!tcp && v->protocol != IP_UDP) || v->fragment)
        return false;
    if (v->transport != (v->version == 4 ? IP4_HEADER : IP6_HEADER))
        return false;
    if (v->version == 4 && !ip4_sum_right(bytes))
        return false;
    if (tcp && (bytes[v->transport + TCP_FLAGS] & ~TCP_ECE) != TCP_ACK)
        return false;
    if (!tcp && field_u16(bytes + v->transport + UDP_LENGTH) != v->total - v->transport)
        return false;
    return v->total > header_end(bytes, v);
}

void coalesce_begin(struct coalesce *c, struct packet *p, const struct ip_view *v,
                    const uint8_t *header)
{
    *c = (struct coalesce){.packet = p,
                           .version = v->version,
                           .protocol = v->protocol,
                           .transport = (uint8_t)v->transport,
                           .header_size = (uint8_t)header_end(p->data, v),
                           .count = 1};
    memcpy(c->header, header, c->header_size);
    c->segment = (uint16_t)(v->total - c->header_size);
    c->id = v->version == 4 ? field_u16(header + IP4_ID) : 0;
    if (v->protocol == IP_TCP) {
        c->flags = header[v->transport + TCP_FLAGS];
        c->sequence = field_u32(header + v->transport + TCP_SEQUENCE) + c->segment;
    }
    c->full = v->total + c->segment > SUPER_MAX;
}

static bool id_fits(const struct coalesce *c, const uint8_t *bytes)
{
    uint16_t id = field_u16(bytes + IP4_ID);
    bool next = id == (uint16_t)(c->id + c->count);
    /* The id of a packet that is not to be fragmented means nothing (RFC 6864). */
    bool same = id == c->id && (field_u16(bytes + IP4_FRAGMENT) & IP4_DONT_FRAGMENT);
    return c->count == 1 ? next || same : c->same_id ? same : next;
}

static bool ip_fits(const struct coalesce *c, const uint8_t *bytes, size_t size)
{
    const uint8_t *first = c->header;
    if (c->version == 6)
        return !memcmp(bytes, first, IP6_LENGTH) &&
               field_u16(bytes + IP6_LENGTH) == size - IP6_HEADER &&
               !memcmp(bytes + IP6_LENGTH + 2, first + IP6_LENGTH + 2, IP6_HEADER - IP6_LENGTH - 2);
    return !memcmp(bytes, first, IP4_LENGTH) && field_u16(bytes + IP4_LENGTH) == size &&
           !memcmp(bytes + IP4_FRAGMENT, first + IP4_FRAGMENT, IP4_SUM - IP4_FRAGMENT) &&
           !memcmp(bytes + IP4_SOURCE, first + IP4_SOURCE, IP4_HEADER - IP4_SOURCE) &&
           id_fits(c, bytes) && ip4_sum_right(bytes);
}

static bool tcp_fits(const struct coalesce *c, const uint8_t *tcp)
{
    const uint8_t *first = c->header + c->transport;
    uint8_t flags = tcp[TCP_FLAGS];
    return field_u32(tcp + TCP_SEQUENCE) == c->sequence &&
           !memcmp(tcp + TCP_ACKNOWLEDGED, first + TCP_ACKNOWLEDGED,
                   TCP_FLAGS - TCP_ACKNOWLEDGED) &&
           !(flags & ~FLAGS_IN_RUN) && !((flags ^ first[TCP_FLAGS]) & ~FLAGS_LAST) &&
           !memcmp(tcp + TCP_WINDOW, first + TCP_WINDOW, 2) &&
           !memcmp(tcp + TCP_URGENT, first + TCP_URGENT, 2) &&
           !memcmp(tcp + TCP_HEADER, first + TCP_HEADER,
                   c->header_size - c->transport - (size_t)TCP_HEADER);
}

bool coalesce_fits(const struct coalesce *c, const uint8_t *bytes, size_t size)
{
    const uint8_t *transport = bytes + c->transport;
    if (!c->packet || c->full || size <= c->header_size ||
        size > c->header_size + (size_t)c->segment)
        return false;
    if (c->packet->size + (size - c->header_size) > SUPER_MAX)
        return false;
    /* The ports first: they tell most flows apart. */
    if (memcmp(transport, c->header + c->transport, 4) || !ip_fits(c, bytes, size))
        return false;
    if (c->protocol == IP_UDP)
        return c->count < UDP_COUNT && field_u16(transport + UDP_LENGTH) == size - c->transport;
    return tcp_fits(c, transport);
}

void coalesce_add(struct coalesce *c, const uint8_t *bytes, size_t size)
{
    size_t payload = size - c->header_size;
    if (c->count == 1 && c->version == 4)
        c->same_id = field_u16(bytes + IP4_ID) == c->id;
    c->packet->size += payload;
    c->count++;
    c->full = payload < c->segment || c->packet->size == SUPER_MAX;
    if (c->protocol == IP_TCP) {
        c->sequence += (uint32_t)payload;
        c->flags |= bytes[c->transport + TCP_FLAGS];
        c->full |= !!(c->flags & FLAGS_LAST);
    }
}

void coalesce_copy(struct coalesce *c, const uint8_t *bytes, size_t size)
{
    memcpy(c->packet->data + c->packet->size, bytes + c->header_size, size - c->header_size);
    coalesce_add(c, bytes, size);
}

bool coalesce_same_flow(const struct coalesce *c, const struct ip_view *v)
{
    bool four = c->version == 4;
    size_t size = four ? 4 : 16;
    const uint8_t *ports = c->header + c->transport;
    if (!c->packet || v->version != c->version || v->protocol != c->protocol)
        return false;
    if (memcmp(c->header + (four ? IP4_SOURCE : IP6_SOURCE), v->source.bytes, size) ||
        memcmp(c->header + (four ? IP4_DESTINATION : IP6_DESTINATION), v->destination.bytes, size))
        return false;
    /* A fragment hides its ports. */
    return !v->has_ports ||
           (field_u16(ports) == v->source_port && field_u16(ports + 2) == v->destination_port);
}

static void write_lengths(struct coalesce *c, uint8_t *bytes, size_t size)
{
    if (c->protocol == IP_UDP)
        field_set_u16(bytes + c->transport + UDP_LENGTH, (uint16_t)(size - c->transport));
    if (c->version == 6) {
        field_set_u16(bytes + IP6_LENGTH, (uint16_t)(size - IP6_HEADER));
        return;
    }
    uint32_t change = checksum_change16(0, field_u16(bytes + IP4_LENGTH), (uint16_t)size);
    field_set_u16(bytes + IP4_LENGTH, (uint16_t)size);
    field_set_u16(bytes + IP4_SUM, checksum_update(field_u16(bytes + IP4_SUM), change));
}

struct packet *coalesce_end(struct coalesce *c)
{
    struct packet *p = c->packet;
    bool tcp = c->protocol == IP_TCP;
    c->packet = NULL;
    if (c->count == 1)
        return p;
    struct packet_offload *o = &p->offload;
    uint8_t *sum = p->data + o->checksum_start + o->checksum_offset;
    uint32_t before = (uint32_t)c->header_size + c->segment - c->transport;
    uint32_t after = (uint32_t)p->size - c->transport;
    write_lengths(c, p->data, p->size);
    field_set_u16(sum, checksum_fold(field_u16(sum) + (after - before)));
    if (tcp)
        p->data[c->transport + TCP_FLAGS] |= c->flags & FLAGS_LAST;
    o->gso = tcp ? (c->version == 4 ? PACKET_GSO_TCP4 : PACKET_GSO_TCP6) : PACKET_GSO_UDP;
    o->gso_size = c->segment;
    o->header_size = c->header_size;
    return p;
}
