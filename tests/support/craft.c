#include "tests/support/craft.h"

#include <arpa/inet.h>
#include <string.h>

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

uint16_t craft_sum(const uint8_t *bytes, size_t size, uint32_t start)
{
    uint64_t sum = start;
    for (size_t i = 0; i < size; i++)
        sum += i % 2 ? bytes[i] : (uint64_t)bytes[i] << 8;
    while (sum > 0xFFFF)
        sum = (sum >> 16) + (sum & 0xFFFF);
    return (uint16_t)sum;
}

static uint16_t pseudo_sum(const uint8_t *packet, unsigned protocol, size_t length)
{
    bool six = packet[0] >> 4 == 6;
    const uint8_t *addresses = packet + (six ? 8 : 12);
    return craft_sum(addresses, six ? 32 : 8, (uint32_t)(protocol + length));
}

static bool has_pseudo(unsigned protocol)
{
    return protocol == 6 || protocol == 17 || protocol == 58;
}

/* Of the sum in the transport header; 0 for protocols without. */
static size_t sum_offset(unsigned protocol)
{
    return protocol == 6 ? 16 : protocol == 17 ? 6 : protocol == 1 || protocol == 58 ? 2 : 0;
}

static size_t write_ip(uint8_t *out, const struct craft *c, size_t rest)
{
    uint8_t ttl = c->ttl ? c->ttl : 64;
    if (strchr(c->source, ':')) {
        memset(out, 0, 40);
        put16(out, 0x6000u | (unsigned)c->tos << 4);
        put16(out + 4, (unsigned)(c->between_size + rest));
        out[6] = c->between_size ? c->first_extension : c->protocol;
        out[7] = ttl;
        inet_pton(AF_INET6, c->source, out + 8);
        inet_pton(AF_INET6, c->destination, out + 24);
        if (c->between_size)
            memcpy(out + 40, c->between, c->between_size);
        return 40 + c->between_size;
    }
    size_t header = 20 + c->between_size;
    memset(out, 0, 20);
    out[0] = (uint8_t)(0x40 | header / 4);
    out[1] = c->tos;
    put16(out + 2, (unsigned)(header + rest));
    put16(out + 4, 0x1234);
    put16(out + 6, c->fragment);
    out[8] = ttl;
    out[9] = c->protocol;
    inet_pton(AF_INET, c->source, out + 12);
    inet_pton(AF_INET, c->destination, out + 16);
    if (c->between_size)
        memcpy(out + 20, c->between, c->between_size);
    put16(out + 10, (uint16_t)~craft_sum(out, header, 0));
    return header;
}

/* The transport header without its sum; returns its size. */
static size_t write_transport(uint8_t *out, const struct craft *c)
{
    memset(out, 0, 20);
    if (c->fragment & 0x1FFF)
        return 0;
    put16(out, c->source_port);
    put16(out + 2, c->destination_port);
    switch (c->protocol) {
    case 6:
        put16(out + 6, 0x4711);
        out[12] = (uint8_t)((20 + c->tcp_options_size) / 4 << 4);
        out[13] = c->tcp_flags ? c->tcp_flags : 0x10;
        if (c->tcp_options_size)
            memcpy(out + 20, c->tcp_options, c->tcp_options_size);
        return 20 + c->tcp_options_size;
    case 17:
        put16(out + 4, (unsigned)(8 + c->payload_size));
        return 8;
    case 1:
    case 58:
        out[0] = c->icmp_type;
        out[1] = c->icmp_code;
        put16(out + 2, 0);
        put16(out + 4, c->icmp_rest >> 16);
        put16(out + 6, c->icmp_rest & 0xFFFF);
        return 8;
    }
    return 0;
}

size_t craft_packet(uint8_t *out, const struct craft *c)
{
    uint8_t transport[80];
    size_t header = write_transport(transport, c), rest = header + c->payload_size;
    size_t at = write_ip(out, c, rest), total = at + rest;
    memcpy(out + at, transport, header);
    for (size_t i = 0; i < c->payload_size; i++)
        out[at + header + i] = c->payload ? ((const uint8_t *)c->payload)[i] : (uint8_t)(i * 7 + 1);
    size_t sum_at = sum_offset(c->protocol);
    if (!sum_at || !header || (c->protocol == 17 && c->no_checksum))
        return total;
    uint16_t start = has_pseudo(c->protocol) ? pseudo_sum(out, c->protocol, rest) : 0;
    uint16_t sum = c->open_checksum ? start : (uint16_t)~craft_sum(out + at, rest, start);
    put16(out + at + sum_at, c->protocol == 17 && !sum ? 0xFFFF : sum);
    return total;
}

bool craft_sums_right(const uint8_t *packet, size_t size)
{
    bool six = packet[0] >> 4 == 6;
    unsigned protocol = six ? packet[6] : packet[9];
    size_t at = six ? 40 : (packet[0] & 15) * 4u;
    if (!six && craft_sum(packet, at, 0) != 0xFFFF)
        return false;
    if (!six && ((packet[6] << 8 | packet[7]) & 0x3FFF))
        return true;
    while (six && (protocol == 0 || protocol == 44 || protocol == 60)) {
        if (protocol == 44)
            return true;
        protocol = packet[at];
        at += (packet[at + 1] + 1u) * 8;
    }
    if (!sum_offset(protocol))
        return true;
    if (protocol == 17 && !packet[at + 6] && !packet[at + 7])
        return true;
    uint16_t start = has_pseudo(protocol) ? pseudo_sum(packet, protocol, size - at) : 0;
    return craft_sum(packet + at, size - at, start) == 0xFFFF;
}
