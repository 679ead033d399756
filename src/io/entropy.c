#include "io/entropy.h"

#include <errno.h>
#include <sys/random.h>

#include "base/check.h"

/* Blocks only when the machine has just started and never gathered randomness; nothing of ours
 * would be safe before that. */
static void fill(struct entropy *self, void *out, size_t size)
{
    (void)self;
    uint8_t *p = out;
    while (size) {
        ssize_t got = getrandom(p, size, 0);
        if (got < 0) {
            require(errno == EINTR);
            continue;
        }
        p += got;
        size -= (size_t)got;
    }
}

void entropy_system(struct entropy *e)
{
    e->fill = fill;
}
