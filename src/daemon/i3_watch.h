/* What an operator of an i3 server should hear of, as lines of the log: whether it found the ring, and who is wrongly set
 * up.  A line about somebody else comes once a minute at most, whatever he sends. */
#ifndef OCALA_DAEMON_I3_WATCH_H
#define OCALA_DAEMON_I3_WATCH_H

#include "i3/i3_server.h"

struct i3_watch {
    bool settled;
    unsigned nodes;
    struct {
        uint64_t seen, said; /* drops, and how many when it was said last */
        struct endpoint by;  /* whose message was dropped last            */
        instant rest;        /* nothing more is said until then           */
    } secret, self;
};

/* A datagram of the ring was heard from there. */
void i3_watch_heard(struct i3_watch *w, const struct i3_server *s, const struct endpoint *from);
/* Says what is new.  `seeds`: what it was told to join. */
void i3_watch_advance(struct i3_watch *w, const struct i3_server *s, instant now,
                      const struct endpoint *seed, unsigned seeds);

#endif
