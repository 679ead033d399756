/* `braid`: an overlay module for tests only, with everything that later modules need and `ip` does
 * not: two prepends with a length, a sequence and a hop count, a module protocol of its own,
 * transit for others (steer), a transform that sends every record twice and takes the second one
 * out again, and messages over links.
 *
 * On the wire, around a record:
 *
 *   0        1        2                 4                         8                         12 14
 * 18
 *   +--------+--------+-----------------+-------------------------+-------------------------+--------+-----------------+-----
 *   | 0xB7   | hops   | length (16)     | destination (32)        | source (32)             |
 * 0x5354 | sequence (32)   | record
 *   +--------+--------+-----------------+-------------------------+-------------------------+--------+-----------------+-----
 *   '---------------------------- outer prepend
 * ----------------------------------------------'------ inner ----------'
 *
 * `length` counts what follows the outer header.  A host's number is a hash of its name.  In clear,
 * to ask whether a member is there: 0xB8, 1 (question) or 2 (answer), the sender's number, the
 * receiver's number. */
#ifndef OCALA_TESTS_SUPPORT_OVERLAY_BRAID_H
#define OCALA_TESTS_SUPPORT_OVERLAY_BRAID_H

#include "overlay/overlay.h"

#define BRAID_OUTER   12
#define BRAID_INNER   6
#define BRAID_HOPS    4
#define BRAID_HELLO   10
#define BRAID_DELAY   MILLISECOND /* until the second copy of a record */
#define BRAID_MEMBERS 16

extern const struct overlay_class overlay_braid_class;

/* For tests: what a transform did, and the number of a host. */
struct braid_counts {
    unsigned sent, repeated, received, doubles;
};
struct braid_counts overlay_braid_counts(const struct overlay *o, uint32_t tunnel);
uint32_t overlay_braid_number(const char *host);
/* Greetings that came over links. */
unsigned overlay_braid_greetings(const struct overlay *o);

#endif
