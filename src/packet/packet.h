/* A packet buffer: one allocation with room in front and behind, so that headers are added in place.
 *
 * Buffers come from a pool that belongs to one thread and are given back to that pool by that thread.  A packet that
 * crosses threads is copied into a buffer of the receiving side's ring. */
#ifndef OCALA_PACKET_PACKET_H
#define OCALA_PACKET_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define PACKET_HEADROOM 768 /* recipe bytes (512), record header, vnet_hdr, alignment             */
#define PACKET_TAILROOM                                                                            \
    256                   /* tags of nested seals                                                */
#define PACKET_SIZE 65536 /* the largest IP packet, and the largest datagram that GRO hands over */
#define PACKET_RUN  64    /* datagrams of a run that we make (UDP_MAX_SEGMENTS of the kernel)    */
#define PACKET_COUNT_MAX                                                                           \
    128 /* datagrams of a run that we take apart in one go                       */
#define PACKET_RUN_SIZE                                                                            \
    65487 /* bytes of it: 65535 less an IPv6 and a UDP header                    */

/* What came with the packet or goes with it beside its bytes: virtio_net_hdr of the capture side. */
enum packet_gso { PACKET_GSO_NONE, PACKET_GSO_TCP4, PACKET_GSO_TCP6, PACKET_GSO_UDP };

struct packet_offload {
    bool
        needs_checksum; /* the sum at checksum_start + checksum_offset holds the pseudo-header only */
    uint8_t gso; /* enum packet_gso                                                          */
    uint16_t
        gso_size; /* payload bytes of each segment                                            */
    uint16_t
        header_size; /* up to the end of the transport header                                    */
    uint16_t
        checksum_start; /* from the start of the IP header                                          */
    uint16_t
        checksum_offset; /* from checksum_start                                                      */
};

/* Where a datagram came from: the socket role names the overlay instance, `via` is what peeling took off the front
 * that says who sent it (an i3 id, an IPOP UID); modules give it meaning, everyone else copies it. */
#define ARRIVAL_VIA 40
struct arrival {
    uint16_t socket;       /* index of the socket in the host's socket table */
    struct endpoint local; /* address it was sent to; family 0 when unknown  */
    struct endpoint remote;
    uint8_t ecn;      /* of the outer header, 0 to 3; 0 when unknown    */
    bool transformed; /* the tunnel's transform has had it              */
    uint8_t via_size;
    uint8_t via[ARRIVAL_VIA];
};

struct packet {
    uint8_t *data; /* first byte in use                                    */
    size_t size;   /* bytes in use                                         */
    uint16_t run;  /* 0: one packet; else several datagrams one behind the other, each of
                      this size but the last, which may be smaller */
    struct packet_offload offload;
    struct arrival arrival; /* set for packets from the underlay           */
    struct packet_pool *pool;
    struct packet *next; /* free list, queues                           */
    uint8_t room[];      /* PACKET_HEADROOM + PACKET_SIZE + PACKET_TAILROOM */
};

/* A pool of `count` buffers (allocated on first use, kept afterwards).  One thread only. */
struct packet_pool *packet_pool_new(unsigned count);
/* Every packet must have been given back. */
void packet_pool_free(struct packet_pool *pool);
/* An empty packet with full headroom, or NULL when `count` are out. */
struct packet *packet_take(struct packet_pool *pool);
void packet_give_back(struct packet *p); /* accepts NULL */
unsigned packet_pool_out(const struct packet_pool *pool);

static inline size_t packet_headroom(const struct packet *p)
{
    return (size_t)(p->data - p->room);
}

static inline size_t packet_tailroom(const struct packet *p)
{
    return PACKET_HEADROOM + PACKET_SIZE + PACKET_TAILROOM - packet_headroom(p) - p->size;
}

/* How many datagrams it holds. */
static inline unsigned packet_count(const struct packet *p)
{
    return p->run ? (unsigned)((p->size + p->run - 1) / p->run) : 1;
}

/* Moves the start by `size` bytes; false when there is no room or not that much data. */
static inline bool packet_push(struct packet *p, size_t size)
{
    if (packet_headroom(p) < size)
        return false;
    p->data -= size;
    p->size += size;
    return true;
}

static inline bool packet_pull(struct packet *p, size_t size)
{
    if (p->size < size)
        return false;
    p->data += size;
    p->size -= size;
    return true;
}

/* Empties the packet and leaves `headroom` bytes free in front (at most PACKET_HEADROOM). */
void packet_reset(struct packet *p, size_t headroom);
/* Copies bytes in as the whole content, at the usual headroom; false when larger than PACKET_SIZE. */
bool packet_fill(struct packet *p, const void *bytes, size_t size);

#endif
