/* Packets of one TCP or UDP flow for tests, written byte by byte like those of craft.h: the way a
 * sender would cut a piece of a stream, and the super-packet that stands for all of them.  Nothing
 * here is shared with the code under test. */
#ifndef OCALA_TESTS_SUPPORT_STREAM_H
#define OCALA_TESTS_SUPPORT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/entropy.h"
#include "packet/packet.h"

struct stream {
    const char *source, *destination; /* text; both of one family */
    bool udp;
    uint8_t tos, ttl; /* ttl 0: 64 */
    bool dont_fragment, same_id;
    uint16_t id;
    uint16_t source_port, destination_port;
    uint32_t sequence, acknowledged;
    uint16_t window;
    uint8_t flags; /* of the whole: FIN and PSH go to the last, CWR to the first */
    uint8_t options[40];
    size_t options_size; /* multiple of 4 */
    size_t payload;      /* of all together, its bytes follow from `sequence` */
    size_t segment;      /* payload of each but the last */
    bool open;           /* the transport's sum is that of the pseudo-header only */
};

unsigned stream_count(const struct stream *s);
/* Packet number `index` of the stream; returns its size. */
size_t stream_packet(uint8_t *out, const struct stream *s, unsigned index);
/* All of it as one packet, as the kernel would give or take it. */
size_t stream_super(uint8_t *out, const struct stream *s, struct packet_offload *ret);
/* Anything that is allowed, at most `payload` bytes.  The addresses are the caller's. */
void stream_random(struct stream *s, struct entropy *e, size_t payload);

#endif
