#include "io/parcel.h"

#include <string.h>

#include "base/check.h"
#include "base/ring.h"

struct slot {
    struct parcel head;
    uint8_t bytes[PARCEL_SMALL];
};

struct parcel_ring {
    struct ring *slots, *large;
};

struct parcel_ring *parcel_ring_new(unsigned slots, unsigned large)
{
    struct parcel_ring *r = base_calloc(1, sizeof *r);
    r->slots = ring_new(slots, sizeof(struct slot));
    r->large = ring_new(large, PACKET_SIZE);
    return r;
}

void parcel_ring_free(struct parcel_ring *r)
{
    if (!r)
        return;
    ring_free(r->slots);
    ring_free(r->large);
    free(r);
}

bool parcel_put(struct parcel_ring *r, const struct parcel *head, const void *bytes)
{
    struct slot *slot = ring_reserve(r->slots);
    if (!slot || head->size > PACKET_SIZE)
        return false;
    bool large = head->size > PARCEL_SMALL;
    uint8_t *room = large ? ring_reserve(r->large) : slot->bytes;
    if (!room)
        return false;
    slot->head = *head;
    slot->head.large = large;
    if (head->size)
        memcpy(room, bytes, head->size);
    /* The bytes first: who sees the slot finds them there. */
    if (large)
        ring_commit(r->large);
    ring_commit(r->slots);
    return true;
}

const struct parcel *parcel_peek(struct parcel_ring *r, const uint8_t **ret_bytes)
{
    struct slot *slot = ring_peek(r->slots);
    if (!slot)
        return NULL;
    *ret_bytes = slot->head.large ? ring_peek(r->large) : slot->bytes;
    return &slot->head;
}

void parcel_release(struct parcel_ring *r)
{
    struct slot *slot = ring_peek(r->slots);
    if (!expect(slot))
        return;
    if (slot->head.large)
        ring_release(r->large);
    ring_release(r->slots);
}

unsigned parcel_used(const struct parcel_ring *r)
{
    return ring_used(r->slots);
}
