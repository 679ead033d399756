#include "tests/support/stream.h"

#include <arpa/inet.h>
#include <string.h>

#include "tests/support/craft.h"

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xFFFF);
}

static bool is_six(const struct stream *s)
{
    return strchr(s->source, ':');
}

static size_t transport_size(const struct stream *s)
{
    return s->udp ? 8 : 20 + s->options_size;
}

unsigned stream_count(const struct stream *s)
{
    return (unsigned)((s->payload + s->segment - 1) / s->segment);
}

static size_t write_ip(uint8_t *out, const struct stream *s, size_t rest, uint16_t id)
{
    uint8_t ttl = s->ttl ? s->ttl : 64, protocol = s->udp ? 17 : 6;
    if (is_six(s)) {
        put32(out, 0x60012345u | (uint32_t)s->tos << 20);
        put16(out + 4, (unsigned)rest);
        out[6] = protocol;
        out[7] = ttl;
        inet_pton(AF_INET6, s->source, out + 8);
        inet_pton(AF_INET6, s->destination, out + 24);
        return 40;
    }
    memset(out, 0, 20);
    out[0] = 0x45;
    out[1] = s->tos;
    put16(out + 2, (unsigned)(20 + rest));
    put16(out + 4, id);
    out[6] = s->dont_fragment ? 0x40 : 0;
    out[8] = ttl;
    out[9] = protocol;
    inet_pton(AF_INET, s->source, out + 12);
    inet_pton(AF_INET, s->destination, out + 16);
    put16(out + 10, (uint16_t)~craft_sum(out, 20, 0));
    return 20;
}

static void write_transport(uint8_t *out, const struct stream *s, size_t offset, size_t payload,
                            uint8_t flags)
{
    memset(out, 0, 20);
    put16(out, s->source_port);
    put16(out + 2, s->destination_port);
    if (s->udp) {
        put16(out + 4, (unsigned)(8 + payload));
        return;
    }
    put32(out + 4, s->sequence + (uint32_t)offset);
    put32(out + 8, s->acknowledged);
    out[12] = (uint8_t)((20 + s->options_size) / 4 << 4);
    out[13] = flags;
    put16(out + 14, s->window);
    memcpy(out + 20, s->options, s->options_size);
}

static uint8_t byte_at(uint32_t sequence)
{
    return (uint8_t)(sequence * 31 + (sequence >> 8) + (sequence >> 16));
}

static size_t write_packet(uint8_t *out, const struct stream *s, size_t offset, size_t payload,
                           uint8_t flags, uint16_t id)
{
    uint8_t transport[64];
    size_t header = transport_size(s), rest = header + payload, sum_at = s->udp ? 6 : 16;
    size_t at = write_ip(out, s, rest, id);
    write_transport(transport, s, offset, payload, flags);
    memcpy(out + at, transport, header);
    for (size_t i = 0; i < payload; i++)
        out[at + header + i] = byte_at(s->sequence + (uint32_t)(offset + i));
    const uint8_t *addresses = out + (is_six(s) ? 8 : 12);
    uint16_t pseudo =
        craft_sum(addresses, is_six(s) ? 32 : 8, (uint32_t)((s->udp ? 17 : 6) + rest));
    uint16_t sum = s->open ? pseudo : (uint16_t)~craft_sum(out + at, rest, pseudo);
    put16(out + at + sum_at, s->udp && !sum ? 0xFFFF : sum);
    return at + rest;
}

size_t stream_packet(uint8_t *out, const struct stream *s, unsigned index)
{
    size_t offset = index * s->segment, left = s->payload - offset;
    uint8_t flags = s->flags;
    if (index)
        flags &= 0x7F; /* CWR */
    if (left > s->segment)
        flags &= (uint8_t)~0x09; /* FIN, PSH */
    return write_packet(out, s, offset, left < s->segment ? left : s->segment, flags,
                        (uint16_t)(s->id + (s->same_id ? 0 : index)));
}

size_t stream_super(uint8_t *out, const struct stream *s, struct packet_offload *ret)
{
    struct stream open = *s;
    bool six = is_six(s);
    open.open = true;
    size_t at = six ? 40 : 20;
    *ret = (struct packet_offload){.needs_checksum = true,
                                   .gso = s->udp ? PACKET_GSO_UDP
                                          : six  ? PACKET_GSO_TCP6
                                                 : PACKET_GSO_TCP4,
                                   .gso_size = (uint16_t)s->segment,
                                   .header_size = (uint16_t)(at + transport_size(s)),
                                   .checksum_start = (uint16_t)at,
                                   .checksum_offset = s->udp ? 6 : 16};
    return write_packet(out, &open, 0, s->payload, s->flags, s->id);
}

void stream_random(struct stream *s, struct entropy *e, size_t payload)
{
    static const uint8_t ecn[] = {0x40, 0xC0}; /* ECE, and CWR with it */
    s->udp = entropy_below(e, 3) == 0;
    s->tos = (uint8_t)(entropy_below(e, 2) ? entropy_below(e, 256) & ~3u : 0);
    s->ttl = (uint8_t)(2 + entropy_below(e, 254));
    s->dont_fragment = entropy_below(e, 4) != 0;
    s->id = (uint16_t)entropy_u32(e);
    s->source_port = (uint16_t)(1 + entropy_below(e, 65535));
    s->destination_port = (uint16_t)(1 + entropy_below(e, 65535));
    s->sequence = entropy_below(e, 4) ? entropy_u32(e) : 0xFFFFFFFF - entropy_below(e, 9000);
    s->acknowledged = entropy_u32(e);
    s->window = (uint16_t)entropy_u32(e);
    s->flags = 0x10;
    if (entropy_below(e, 2))
        s->flags |= 0x08;
    if (entropy_below(e, 4) == 0)
        s->flags |= 0x01;
    if (entropy_below(e, 8) == 0)
        s->flags |= ecn[entropy_below(e, 2)];
    s->options_size = entropy_below(e, 2) ? 12 : entropy_below(e, 11) * 4;
    memset(s->options, 1, sizeof s->options);
    if (s->options_size >= 4)
        put32(s->options + s->options_size - 4, entropy_u32(e));
    s->segment = entropy_below(e, 8) ? 200 + entropy_below(e, 1300) : 1 + entropy_below(e, 64);
    size_t most = s->segment * 64 < payload ? s->segment * 64 : payload;
    s->payload = 1 + entropy_below(e, (uint32_t)most);
}
