/* A virtio_net_hdr and its packet: what is accepted lies inside the packet and can be built again.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "capture/vnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct packet_offload o, again;
    uint8_t header[VNET_HEADER_SIZE];
    if (size < VNET_HEADER_SIZE)
        return 0;
    const uint8_t *packet = data + VNET_HEADER_SIZE;
    size -= VNET_HEADER_SIZE;
    if (capture_vnet_parse(data, packet, size, &o) < 0)
        return 0;
    if (o.needs_checksum)
        require((size_t)o.checksum_start + o.checksum_offset + 2 <= size);
    if (o.gso != PACKET_GSO_NONE)
        require(o.gso_size && o.header_size > o.checksum_start && o.header_size <= size);
    require(capture_vnet_build(&o, size, header) == 0);
    require(capture_vnet_parse(header, packet, size, &again) == 0);
    require(memcmp(&o, &again, sizeof o) == 0);
    return 0;
}
