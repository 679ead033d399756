#include "base/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct outbox_slot {
    struct endpoint to;
    uint32_t at, size;
};

void outbox_init(struct outbox *o, size_t bytes, unsigned letters)
{
    *o = (struct outbox){.room = bytes, .slots = letters};
    require(bytes <= UINT32_MAX);
    /* Not cleared: what is never used takes no memory then. */
    o->block = base_realloc(NULL, bytes);
    o->slot = base_realloc(NULL, letters * sizeof *o->slot);
}

void outbox_done(struct outbox *o)
{
    free(o->block);
    free(o->slot);
    *o = (struct outbox){.block = NULL};
}

uint8_t *outbox_room(struct outbox *o, size_t size)
{
    if (o->first == o->last)
        o->first = o->last = 0, o->used = 0;
    return o->last == o->slots || size > o->room - o->used ? NULL : o->block + o->used;
}

void outbox_post(struct outbox *o, const struct endpoint *to, size_t size)
{
    require(o->last < o->slots && size <= o->room - o->used);
    if (!size)
        return;
    o->slot[o->last++] = (struct outbox_slot){*to, (uint32_t)o->used, (uint32_t)size};
    o->used += size;
}

bool outbox_send(struct outbox *o, const struct endpoint *to, const void *bytes, size_t size)
{
    uint8_t *room = outbox_room(o, size);
    if (!room)
        return false;
    memcpy(room, bytes, size);
    outbox_post(o, to, size);
    return true;
}

bool outbox_take(struct outbox *o, struct outbox_letter *ret)
{
    if (o->first == o->last)
        return false;
    const struct outbox_slot *s = &o->slot[o->first++];
    *ret = (struct outbox_letter){s->to, o->block + s->at, s->size};
    return true;
}
