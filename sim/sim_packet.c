/* Packets are written whole and read strictly: a wrong sum or length means that the data path has
 * broken a packet. */
#include "sim/sim_packet.h"

#include <string.h>

#include "base/cursor.h"
#include "packet/checksum.h"
#include "packet/ip.h"

static uint8_t protocol_of(const struct sim_packet *p)
{
    if (p->kind == SIM_PACKET_UDP)
        return IP_UDP;
    return p->source.family == 4 ? IP_ICMP : IP_ICMP6;
}

static void write_ip(struct writer *w, const struct sim_packet *p, size_t inner)
{
    if (p->source.family == 6) {
        write_u32(w, UINT32_C(6) << 28);
        write_u16(w, (uint16_t)inner);
        write_u8(w, protocol_of(p));
        write_u8(w, 64);
        write_bytes(w, p->source.bytes, 16);
        write_bytes(w, p->destination.bytes, 16);
        return;
    }
    write_u16(w, 0x4500);
    write_u16(w, (uint16_t)(IP4_HEADER + inner));
    write_u16(w, p->sequence);
    write_u16(w, 0); /* may be fragmented */
    write_u8(w, 64);
    write_u8(w, protocol_of(p));
    write_u16(w, 0);
    write_bytes(w, p->source.bytes, 4);
    write_bytes(w, p->destination.bytes, 4);
    uint16_t sum = checksum_finish(checksum_add(0, w->start, IP4_HEADER));
    w->start[IP4_SUM] = (uint8_t)(sum >> 8);
    w->start[IP4_SUM + 1] = (uint8_t)sum;
}

static void write_transport(struct writer *w, const struct sim_packet *p, size_t inner)
{
    bool v4 = p->source.family == 4;
    if (p->kind == SIM_PACKET_UDP) {
        write_u16(w, p->source_port);
        write_u16(w, p->destination_port);
        write_u16(w, (uint16_t)inner);
        write_u16(w, 0);
        return;
    }
    bool echo = p->kind == SIM_PACKET_ECHO;
    write_u8(w, v4 ? (echo ? ICMP_ECHO : ICMP_ECHO_REPLY) : (echo ? ICMP6_ECHO : ICMP6_ECHO_REPLY));
    write_u8(w, 0);
    write_u16(w, 0);
    write_u16(w, p->id);
    write_u16(w, p->sequence);
}

static uint32_t pseudo(const struct sim_packet *p, size_t inner)
{
    if (protocol_of(p) == IP_ICMP)
        return 0;
    return checksum_add_pseudo(0, &p->source, &p->destination, protocol_of(p), (uint32_t)inner);
}

size_t sim_packet_write(const struct sim_packet *p, struct packet_offload *offload, uint8_t *out,
                        size_t room)
{
    struct writer w = writer_over(out, room);
    size_t header = p->source.family == 4 ? IP4_HEADER : IP6_HEADER;
    size_t inner = ICMP_HEADER + p->size; /* UDP's header has the same size */
    size_t sum_at = p->kind == SIM_PACKET_UDP ? UDP_SUM : ICMP_SUM;

    if (header + inner > room)
        return 0;
    write_ip(&w, p, inner);
    write_transport(&w, p, inner);
    write_bytes(&w, p->payload, p->size);
    if (w.failed)
        return 0;
    uint16_t sum;
    if (offload && p->kind == SIM_PACKET_UDP) {
        *offload = (struct packet_offload){.needs_checksum = true,
                                           .header_size = (uint16_t)(header + UDP_HEADER),
                                           .checksum_start = (uint16_t)header,
                                           .checksum_offset = UDP_SUM};
        sum = checksum_fold(pseudo(p, inner));
    } else {
        sum = checksum_finish(checksum_add(pseudo(p, inner), out + header, inner));
        if (!sum && p->kind == SIM_PACKET_UDP)
            sum = 0xFFFF;
    }
    out[header + sum_at] = (uint8_t)(sum >> 8);
    out[header + sum_at + 1] = (uint8_t)sum;
    return writer_size(&w);
}

/* The transport's sum, whole or (with an offload) of the pseudo-header only. */
static const char *check_sum(const uint8_t *bytes, const struct ip_view *v,
                             const struct packet_offload *offload)
{
    size_t inner = v->total - v->transport;
    uint32_t start = v->protocol == IP_ICMP ? 0
                                            : checksum_add_pseudo(0, &v->source, &v->destination,
                                                                  v->protocol, (uint32_t)inner);
    if (!offload || !offload->needs_checksum)
        return checksum_fold(checksum_add(start, bytes + v->transport, inner)) == 0xFFFF
                   ? NULL
                   : "a wrong transport checksum";
    struct reader r = reader_over(bytes + v->transport + offload->checksum_offset, 2);
    if (offload->checksum_start != v->transport)
        return "an open checksum at a wrong place";
    return read_u16(&r) == checksum_fold(start) ? NULL : "a wrong pseudo-header sum";
}

static void read_transport(const uint8_t *bytes, const struct ip_view *v, struct sim_packet *ret)
{
    struct reader r = reader_over(bytes + v->transport, v->total - v->transport);
    bool v4 = v->version == 4;
    read_u32(&r);
    ret->id = read_u16(&r);
    ret->sequence = read_u16(&r);
    if (v->protocol == IP_UDP) {
        ret->kind = SIM_PACKET_UDP;
        ret->id = ret->sequence = 0;
        ret->source_port = v->source_port;
        ret->destination_port = v->destination_port;
    } else if (v->icmp_type == (v4 ? ICMP_ECHO : ICMP6_ECHO)) {
        ret->kind = SIM_PACKET_ECHO;
    } else if (v->icmp_type == (v4 ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY)) {
        ret->kind = SIM_PACKET_ECHO_REPLY;
    } else {
        ret->kind = SIM_PACKET_ERROR;
    }
    ret->payload = r.at;
    ret->size = reader_left(&r);
}

const char *sim_packet_read(const uint8_t *bytes, size_t size, const struct packet_offload *offload,
                            struct sim_packet *ret)
{
    struct ip_view v;
    enum drop_reason reason;
    memset(ret, 0, sizeof *ret);
    if (!ip_parse(bytes, size, &v, &reason))
        return drop_text(reason);
    if (v.version == 4 && checksum_fold(checksum_add(0, bytes, v.header_size)) != 0xFFFF)
        return "a wrong IPv4 header checksum";
    ret->source = v.source;
    ret->destination = v.destination;
    if (v.fragment)
        return "a fragment, which nobody sent";
    if (v.protocol != IP_UDP && v.protocol != IP_ICMP && v.protocol != IP_ICMP6)
        return "a protocol that nobody speaks here";
    const char *fault = check_sum(bytes, &v, offload);
    if (!fault)
        read_transport(bytes, &v, ret);
    return fault;
}
