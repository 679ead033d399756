/* A client of i3 by itself, for tests that look at each datagram: what it hears is in the test's hand, and what it says. */
#ifndef OCALA_OVERLAY_I3_I3_LONE_FIXTURE_H
#define OCALA_OVERLAY_I3_I3_LONE_FIXTURE_H

#include "overlay/i3/i3_client.h"
#include "tests/support/seeded.h"

struct lone {
    struct i3_client client;
    struct seeded random;
    instant now;
};

/* `bound`: the socket, "ADDRESS:PORT", or ":PORT" when its address is not known.  What sampling would send first is left out. */
void lone_start(struct lone *l, const char *seeds, const char *bound, unsigned samples);
void lone_stop(struct lone *l);
struct endpoint lone_endpoint(const char *text);
/* The next datagram, which goes there; fails when there is none. */
const struct i3_datagram *lone_said_to(struct lone *l, const char *to);
/* Fails when there is a datagram. */
void lone_said_nothing(struct lone *l);

#endif
