/* What programs send.  The first bytes choose the path's MTU, how checksums travel, whether
 * addresses are made right (so that mutations get behind the first check), and the offload; the
 * rest is the packet.
 *
 * Whatever comes out must arrive at the other host whole: as long as it was, and with right sums if
 * it had them. */
#include "tests/fuzz/fuzz.h"

#include "base/cursor.h"
#include "path/forward_fixture.h"

enum choice {
    STAY_OPEN = 1,
    RIGHT_ADDRESSES = 2,
    NEEDS_CHECKSUM = 4,
    SECOND_LANES = 8,
    SUPER = 16, /* kind, size of a segment and of the header follow */
    MERGE = 32,
};

static void make_right(uint8_t *packet, size_t size)
{
    struct ip_address from4 = side_address("10.0.0.97"), to4 = side_address("198.18.0.98");
    struct ip_address from6 = side_address("fd00::61"), to6 = side_address("fd18::62");
    if (size >= 20 && packet[0] >> 4 == 4) {
        memcpy(packet + 12, from4.bytes, 4);
        memcpy(packet + 16, to4.bytes, 4);
    } else if (size >= 40 && packet[0] >> 4 == 6) {
        memcpy(packet + 8, from6.bytes, 16);
        memcpy(packet + 24, to6.bytes, 16);
    }
}

static void check_arrival(struct side *b, const struct packet_offload *offload,
                          const uint8_t *before, size_t size, struct outs *sent)
{
    struct outs got = {0};
    struct ip_view v;
    enum drop_reason reason;
    side_carry(sent, b, 'a', &got);
    /* What the far end refuses: ICMP errors about flows that were never seen, and lies about sums.
     */
    if (!got.count) {
        require(side_drops_all(b) == 1);
        return;
    }
    require(got.count == 1 && got.item[0].kind == FORWARD_CAPTURE);
    struct packet *p = got.item[0].packet;
    require(ip_parse(before, size, &v, &reason));
    require(p->size == v.total);
    require(ip_complete_checksum(p));
    struct packet *same = packet_take(b->pool[0]);
    require(same && packet_fill(same, before, v.total));
    same->offload = *offload;
    if (ip_complete_checksum(same) && craft_sums_right(same->data, same->size))
        require(craft_sums_right(p->data, p->size));
    packet_give_back(same);
    outs_free(&got);
}

/* Bytes behind the header of one packet, or of all that a super-packet stands for. */
static size_t payload_of(const struct packet *p)
{
    struct packet_offload found;
    require(ip_offload_find(p->data, p->size, &found));
    return p->size - found.header_size;
}

static size_t total_of(const uint8_t *packet, size_t size)
{
    struct ip_view v;
    enum drop_reason reason;
    require(ip_parse(packet, size, &v, &reason));
    return v.total;
}

/* What was cut arrives, in as many packets as it likes, with every byte of the payload. */
static void check_super(struct side *b, const struct packet_offload *offload, size_t size,
                        struct outs *sent)
{
    struct outs got = {0};
    size_t payload = 0;
    side_carry(sent, b, 'a', &got);
    if (side_drops_all(b)) { /* ECN marks that contradict each other */
        outs_free(&got);
        return;
    }
    for (unsigned i = 0; i < got.count; i++) {
        const struct packet *p = got.item[i].packet;
        struct ip_view v;
        enum drop_reason reason;
        require(got.item[i].kind == FORWARD_CAPTURE);
        require(ip_parse(p->data, p->size, &v, &reason) && v.total == p->size);
        require(p->offload.gso == PACKET_GSO_NONE || b->settings.merge);
        payload += payload_of(p);
    }
    require(payload == size - offload->header_size);
    outs_free(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t packet[65536];
    struct reader r = reader_over(data, size);
    uint8_t choice = read_u8(&r);
    uint16_t mtu = read_u16(&r);
    struct packet_offload offload = {.needs_checksum = choice & NEEDS_CHECKSUM};
    if (offload.needs_checksum) {
        offload.checksum_start = read_u8(&r);
        offload.checksum_offset = read_u8(&r);
    }
    if (choice & SUPER) {
        offload.gso = read_u8(&r);
        offload.gso_size = read_u16(&r);
        offload.header_size = read_u8(&r);
    }
    size = reader_left(&r);
    if (r.failed || size > sizeof packet)
        return 0;
    if (size)
        memcpy(packet, read_bytes(&r, size), size);
    if (choice & RIGHT_ADDRESSES)
        make_right(packet, size);
    struct side a, b;
    struct outs sent = {0};
    struct side_settings settings = {.record_mtu = mtu < RECORD_OVERHEAD ? RECORD_OVERHEAD : mtu,
                                     .open_checksums = choice & STAY_OPEN,
                                     .lanes = choice & SECOND_LANES ? 5 : 2,
                                     .merge = choice & MERGE,
                                     .packets = 300};
    side_init(&a, 'a', 'b', &settings);
    side_init(&b, 'b', 'a', &settings);
    side_capture(&a, 0, packet, size, &offload, &sent);
    unsigned answers = outs_kind(&sent, FORWARD_CAPTURE), records = outs_kind(&sent, FORWARD_SEND);
    /* TCP that is too large is told, and goes all the same. */
    require(answers <= 1 && answers + records == sent.count);
    require(records || side_drops_all(&a) >= 1);
    for (unsigned i = 0; i < sent.count; i++) {
        const struct packet *p = sent.item[i].packet;
        require(sent.item[i].kind == FORWARD_CAPTURE ||
                (p->run ? p->run : p->size) <= settings.record_mtu);
    }
    if (records && offload.gso)
        check_super(&b, &offload, total_of(packet, size), &sent);
    else if (records)
        check_arrival(&b, &offload, packet, size, &sent);
    outs_free(&sent);
    require(side_packets_out(&a) == 0 && side_packets_out(&b) == 0);
    side_done(&a);
    side_done(&b);
    return 0;
}
