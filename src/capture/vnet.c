/* The kernel's header is believed in what it says happened (this checksum is open, this is a run of
 * segments) but not in its numbers: header_size is computed from the transport header, because the
 * kernel only promises a hint there, and every offset is checked against the packet.  The same code
 * runs under the fuzzers. */
#include "capture/vnet.h"

#include <errno.h>
#include <string.h>

enum { FLAG_NEEDS_CHECKSUM = 1 };
enum { GSO_NONE = 0, GSO_TCP4 = 1, GSO_TCP6 = 4, GSO_UDP = 5, GSO_ECN = 0x80 };
enum { AT_FLAGS = 0, AT_GSO = 1, AT_HEADER = 2, AT_SIZE = 4, AT_START = 6, AT_OFFSET = 8 };

#define TCP_HEADER          20
#define TCP_DATA_OFFSET     12
#define TCP_CHECKSUM_OFFSET 16
#define UDP_HEADER          8
#define UDP_CHECKSUM_OFFSET 6

static uint16_t get16(const uint8_t *header, size_t at)
{
    uint16_t v;
    memcpy(&v, header + at, sizeof v);
    return v;
}

static void put16(uint8_t *header, size_t at, uint16_t v)
{
    memcpy(header + at, &v, sizeof v);
}

/* The length of all headers of a super-packet, or 0 when they do not fit it. */
static size_t transport_end(const struct packet_offload *o, const uint8_t *packet, size_t size)
{
    size_t start = o->checksum_start, header = UDP_HEADER;
    if (o->gso == PACKET_GSO_UDP) {
        if (o->checksum_offset != UDP_CHECKSUM_OFFSET)
            return 0;
    } else {
        if (o->checksum_offset != TCP_CHECKSUM_OFFSET || start + TCP_HEADER > size)
            return 0;
        header = (size_t)(packet[start + TCP_DATA_OFFSET] >> 4) * 4;
        if (header < TCP_HEADER)
            return 0;
    }
    return start + header <= size ? start + header : 0;
}

int capture_vnet_parse(const uint8_t header[VNET_HEADER_SIZE], const uint8_t *packet, size_t size,
                       struct packet_offload *ret)
{
    struct packet_offload o = {0};
    if (header[AT_FLAGS] & FLAG_NEEDS_CHECKSUM) {
        o.needs_checksum = true;
        o.checksum_start = get16(header, AT_START);
        o.checksum_offset = get16(header, AT_OFFSET);
        if ((size_t)o.checksum_start + o.checksum_offset + 2 > size)
            return -EBADMSG;
    }
    switch (header[AT_GSO] & ~GSO_ECN) {
    case GSO_NONE:
        *ret = o;
        return 0;
    case GSO_TCP4:
        o.gso = PACKET_GSO_TCP4;
        break;
    case GSO_TCP6:
        o.gso = PACKET_GSO_TCP6;
        break;
    case GSO_UDP:
        o.gso = PACKET_GSO_UDP;
        break;
    default:
        return -EBADMSG;
    }
    o.gso_size = get16(header, AT_SIZE);
    if (!o.needs_checksum || o.gso_size == 0)
        return -EBADMSG;
    size_t end = transport_end(&o, packet, size);
    if (end == 0 || end > UINT16_MAX)
        return -EBADMSG;
    o.header_size = (uint16_t)end;
    *ret = o;
    return 0;
}

int capture_vnet_build(const struct packet_offload *offload, size_t size,
                       uint8_t ret_header[VNET_HEADER_SIZE])
{
    static const uint8_t kind[] = {
        [PACKET_GSO_NONE] = GSO_NONE,
        [PACKET_GSO_TCP4] = GSO_TCP4,
        [PACKET_GSO_TCP6] = GSO_TCP6,
        [PACKET_GSO_UDP] = GSO_UDP,
    };
    uint8_t header[VNET_HEADER_SIZE] = {0};
    if (offload->needs_checksum) {
        if ((size_t)offload->checksum_start + offload->checksum_offset + 2 > size)
            return -EINVAL;
        header[AT_FLAGS] = FLAG_NEEDS_CHECKSUM;
        put16(header, AT_START, offload->checksum_start);
        put16(header, AT_OFFSET, offload->checksum_offset);
    }
    if (offload->gso != PACKET_GSO_NONE) {
        if (offload->gso >= sizeof kind || !offload->needs_checksum || offload->gso_size == 0 ||
            offload->header_size <= offload->checksum_start || offload->header_size > size)
            return -EINVAL;
        header[AT_GSO] = kind[offload->gso];
        put16(header, AT_HEADER, offload->header_size);
        put16(header, AT_SIZE, offload->gso_size);
    }
    memcpy(ret_header, header, sizeof header);
    return 0;
}
