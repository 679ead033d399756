/* How much of everything the path engine takes, and how long it waits.  What users can choose is in the configuration
 * (`timers:`); doc/protocol/link.md and path.md list these. */
#ifndef OCALA_PATH_LIMITS_H
#define OCALA_PATH_LIMITS_H

#include "base/instant.h"

#define HALVES_MAX         1024      /* per engine: the oldest gives way                         */
#define HALVES_BUSY        512       /* from here on strangers must show a cookie                */
#define HALVES_PER_SOURCE  32        /* while busy: of one address                               */
#define HALVES_PER_LINK    128       /* that one neighbour brings: its own oldest gives way       */
#define HALVES_PER_ORIGIN  16        /* of one initiator behind it                                */
#define STASHED_BYTES      (1 << 20) /* of all halves                                        */
#define OPENS_CALM         128       /* in a second; with more, strangers must show a cookie      */
#define OPENS_CALM_PUBLIC  32        /* where there is no secret, and anybody can make the MAC    */
#define OPENS_PER_SOURCE   20        /* in a second, of an address that showed a cookie           */
#define LOAD_LASTS         (10 * SECOND)
#define ERRORS_PER_SOURCE  4    /* PATH_ERRORs in a second that one address gets             */
#define MESSAGES_PER_LINK  2048 /* control messages in a second that one path may bring      */
#define PASSED_PER_LINK    512  /* ... of them such as we pass on to somebody else           */
#define PASSED_OPENS       128  /* ... of them PATH_OPENs: below what the next one takes from us */
#define NEIGHBOURS_MAX     16384
#define KNOWN_MAX          16384 /* names bound by first use                                 */
#define KNOWN_PER_GATEWAY  4096  /* names that one gateway vouched for                       */
#define WAITING_PER_LINK   256   /* transits that wait for ACCEPT                            */
#define TRANSITS_PER_LINK  4096
#define OPENS_PER_SECOND   256 /* that one link may bring                                  */
#define REFUSAL_SOURCES    256 /* sources remembered for the one-refusal-a-second rule     */
#define COOKIES_PER_OPEN   4   /* that an initiator takes before it gives the handshake up */
#define PROBES_BEFORE_LOST 3
#define PATHS_PER_PEER     8 /* that drain at once: the oldest go early                  */
#define DRAIN_TIME         (30 * SECOND)
#define COOKIE_LIFE        (2 * MINUTE)
#define REOPEN_PAUSE_MOST  MINUTE
#define RELEASE_PAUSE      (2 * SECOND)
#define STASH_MAX          8
#define LABEL_BUCKETS      1024

#endif
