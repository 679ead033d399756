#include "packet/segment.h"

#include <string.h>

#include "packet/checksum.h"
#include "packet/field.h"

/* The header of the super-packet is kept aside as it came; each packet gets a copy with its own
 * lengths, IPv4 id, TCP sequence number and flags.  What goes into the sums and is the same for all
 * packets is summed once. */

static size_t sum_offset(const struct segment_cut *s)
{
    return s->transport + (s->protocol == IP_TCP ? (size_t)TCP_SUM : (size_t)UDP_SUM);
}

/* Do kind and offsets of the offload agree with what the packet is? */
static bool offload_fits(const struct packet *p, const struct ip_view *v)
{
    const struct packet_offload *o = &p->offload;
    size_t header = UDP_HEADER;
    bool tcp = o->gso == PACKET_GSO_TCP4 || o->gso == PACKET_GSO_TCP6;
    if (!o->needs_checksum || v->fragment || v->total > p->size)
        return false;
    if (tcp && v->version != (o->gso == PACKET_GSO_TCP4 ? 4 : 6))
        return false;
    if (!tcp && o->gso != PACKET_GSO_UDP)
        return false;
    if (v->protocol != (tcp ? IP_TCP : IP_UDP) || o->checksum_start != v->transport ||
        o->checksum_offset != (tcp ? (unsigned)TCP_SUM : (unsigned)UDP_SUM))
        return false;
    if (tcp)
        header = (size_t)(p->data[v->transport + TCP_DATA_OFFSET] >> 4) * 4;
    return o->header_size == v->transport + header && o->header_size < v->total;
}

static void sum_header(struct segment_cut *s, const struct ip_view *v)
{
    s->pseudo_sum = checksum_add_pseudo(0, &v->source, &v->destination, v->protocol, 0);
    if (s->version != 4)
        return;
    s->id = field_u16(s->header + IP4_ID);
    field_set_u16(s->header + IP4_ID, 0);
    field_set_u16(s->header + IP4_LENGTH, 0);
    field_set_u16(s->header + IP4_SUM, 0);
    s->ip_sum = checksum_add(0, s->header, v->header_size);
}

bool segment_begin(struct segment_cut *s, struct packet *p, const struct ip_view *v,
                   uint16_t payload)
{
    if (!offload_fits(p, v) || p->offload.header_size > SEGMENT_HEADER_MAX || !payload)
        return false;
    if (v->protocol == IP_UDP && payload != p->offload.gso_size)
        return false;
    *s = (struct segment_cut){.bytes = p->data,
                              .next = p->offload.header_size,
                              .total = v->total,
                              .payload = payload,
                              .version = v->version,
                              .protocol = v->protocol,
                              .transport = v->transport,
                              .header_size = p->offload.header_size};
    memcpy(s->header, p->data, s->header_size);
    sum_header(s, v);
    return true;
}

unsigned segment_left(const struct segment_cut *s)
{
    return (unsigned)((s->total - s->next + s->payload - 1) / s->payload);
}

static void write_ip(struct segment_cut *s, uint8_t *packet, size_t size)
{
    if (s->version == 6) {
        field_set_u16(packet + IP6_LENGTH, (uint16_t)(size - IP6_HEADER));
        return;
    }
    field_set_u16(packet + IP4_LENGTH, (uint16_t)size);
    field_set_u16(packet + IP4_ID, s->id);
    field_set_u16(packet + IP4_SUM, checksum_finish(s->ip_sum + (uint32_t)size + s->id));
    s->id++;
}

static void write_transport(const struct segment_cut *s, uint8_t *packet, size_t size)
{
    uint8_t *transport = packet + s->transport;
    size_t length = size - s->transport;
    field_set_u16(packet + sum_offset(s), checksum_fold(s->pseudo_sum + (uint32_t)length));
    if (s->protocol == IP_UDP) {
        field_set_u16(transport + UDP_LENGTH, (uint16_t)length);
        return;
    }
    size_t before = s->next - s->header_size;
    field_set_u32(transport + TCP_SEQUENCE, field_u32(transport + TCP_SEQUENCE) + (uint32_t)before);
    if (before)
        transport[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
    if (s->total - s->next > s->payload)
        transport[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
}

uint8_t *segment_next(struct segment_cut *s, size_t *ret_size)
{
    size_t left = s->total - s->next;
    if (!left)
        return NULL;
    size_t payload = left < s->payload ? left : s->payload;
    uint8_t *packet = s->bytes + s->next - s->header_size;
    memcpy(packet, s->header, s->header_size);
    *ret_size = s->header_size + payload;
    write_ip(s, packet, *ret_size);
    write_transport(s, packet, *ret_size);
    s->next += payload;
    return packet;
}

void segment_complete(const struct segment_cut *s, uint8_t *packet, size_t size)
{
    /* The field holds the sum of the pseudo-header, so it is summed with the rest. */
    uint16_t sum = checksum_finish(checksum_add(0, packet + s->transport, size - s->transport));
    field_set_u16(packet + sum_offset(s), s->protocol == IP_UDP && !sum ? 0xFFFF : sum);
}

void segment_offload(const struct segment_cut *s, struct packet_offload *ret)
{
    *ret = (struct packet_offload){.needs_checksum = true,
                                   .header_size = s->header_size,
                                   .checksum_start = s->transport,
                                   .checksum_offset = (uint16_t)(sum_offset(s) - s->transport)};
}
