/* Datagrams that an engine wants sent, in the order in which it said so: bytes in one block of memory that is used again
 * once it has been emptied.  Nothing is allocated after outbox_init(); what does not fit is not taken, and counted by who
 * wanted it sent. */
#ifndef OCALA_BASE_OUTBOX_H
#define OCALA_BASE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

struct outbox_letter {
    struct endpoint to;
    const uint8_t *bytes; /* valid until the next call that is not outbox_take() */
    size_t size;
};

struct outbox {
    uint8_t *block;
    size_t room, used;
    struct outbox_slot *slot;
    unsigned slots, first, last;
};

/* `bytes`: less than 4 GB. */
void outbox_init(struct outbox *o, size_t bytes, unsigned letters);
void outbox_done(struct outbox *o);
/* Room for one datagram of at most `size` bytes, or NULL; outbox_post() says how long it became (0: none). */
uint8_t *outbox_room(struct outbox *o, size_t size);
void outbox_post(struct outbox *o, const struct endpoint *to, size_t size);
/* Both at once, from bytes that are there already.  False: there is no room. */
bool outbox_send(struct outbox *o, const struct endpoint *to, const void *bytes, size_t size);
/* The oldest that was not taken; false when there is none. */
bool outbox_take(struct outbox *o, struct outbox_letter *ret);

#endif
