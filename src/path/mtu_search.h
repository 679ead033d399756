/* Which is the largest record that gets through?  The search of RFC 8899 (section 5), as arithmetic of sizes and times.
 *
 * It goes in rounds.  In each the caller sends two probes that are answered by a small record: one of `size`, and behind
 * it a witness, as small as a probe can be, and better twice.  An answer to the first settles it.  An answer to the witness alone
 * is a strike, and three strikes say that the size does not get through; when nothing is answered the round says nothing,
 * and the more witnesses are lost the more strikes are needed, so that loss is not taken for an MTU.
 *
 * The first size to be tried is usually the one in use.  If it fails, `mtu` falls at once to a size that most networks
 * carry, and the search climbs from there.  Sizes are multiples of GRAIN apart: enough to hit every underlay MTU that is
 * a multiple of four.  A search ends by itself, after ROUNDS at the latest. */
#ifndef OCALA_PATH_MTU_SEARCH_H
#define OCALA_PATH_MTU_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/instant.h"

#define MTU_SEARCH_LEAST   128 /* smaller records carry no handshake */
#define MTU_SEARCH_GRAIN   4
#define MTU_SEARCH_STRIKES 3
#define MTU_SEARCH_ROUNDS  150
#define MTU_SEARCH_RECENT  8 /* rounds whose answers still count */

struct mtu_search {
    uint16_t mtu;  /* to be used now                                        */
    uint16_t size; /* to be tried in the next round                         */
    uint16_t most; /* larger ones are of no use                             */
    uint16_t low;  /* the largest that got through; 0: none yet             */
    uint16_t high; /* the smallest that did not, or GRAIN more than `most`  */
    bool over;     /* `low` 0: nothing was learnt                           */
    instant next;  /* when path_mtu_search_due() is to be asked again            */

    /* The rest is the search's own. */
    bool failed_any, waiting, witness;
    uint8_t strikes, unheard, lost;
    unsigned rounds;
    instant patience;
    struct {
        uint32_t number; /* the witness's is one more */
        uint16_t size;
        instant at;
    } recent[MTU_SEARCH_RECENT];
};

/* `mtu` is in use, `first` (not larger than `most`) is tried first.  `rtt`: of the path, 0: not known. */
void path_mtu_search_begin(struct mtu_search *s, instant now, uint16_t mtu, uint16_t first,
                           uint16_t most, instant rtt);
/* Judges what is over.  True: send the probes, and say so with path_mtu_search_sent(). */
bool path_mtu_search_due(struct mtu_search *s, instant now);
/* `number` was in the probe of `size`, number + 1 in the witness. */
void path_mtu_search_sent(struct mtu_search *s, instant now, uint32_t number);
/* The other end answered a probe.  False: none of this search. */
bool path_mtu_search_heard(struct mtu_search *s, instant now, uint32_t number);
/* Records larger than `limit` certainly do not get through; `guess`, not larger, may. */
void path_mtu_search_limit(struct mtu_search *s, instant now, uint16_t limit, uint16_t guess);

#endif
