/* When the largest record of a path is searched for: inside of the path engine. */
#ifndef OCALA_PATH_MTU_H
#define OCALA_PATH_MTU_H

#include "base/instant.h"
#include "path/mtu_search.h"

struct path;
struct path_engine;

/* When a path's record MTU is looked at again; of a path that sleeps nothing is kept. */
struct path_mtu {
    struct mtu_search *search; /* NULL: none is under way                          */
    uint16_t before;           /* in use when the search began                     */
    instant confirmed;         /* 0: not yet                                       */
    instant search_next;       /* no search begins before                          */
    instant raise_next;        /* ... and none for more than what is in use        */
    instant pause;             /* while data is not answered: until the next look  */
    uint64_t bytes, records;   /* of data sent, at the last look                   */
    bool data, large;          /* some was sent since the search began; large one  */
};

/* The path is used for what may be large: finds out what gets through, unless that is known. */
void path_mtu_use(struct path_engine *e, instant now, struct path *p);
void path_mtu_tick(struct path_engine *e, instant now, struct path *p, instant *due);
/* PROBE_REPLY; false: it answers no probe of a search. */
bool path_mtu_reply(struct path_engine *e, instant now, struct path *p, uint32_t number);
/* A gateway says that records larger than `limit` do not get through. */
void path_mtu_told(struct path_engine *e, instant now, struct path *p, uint16_t limit);
/* The kernel refused a record of `size`; it may take one of `guess`. */
void path_mtu_refused(struct path_engine *e, instant now, struct path *p, uint16_t size,
                      uint16_t guess);
/* The way may be another one: nothing is known of it. */
void path_mtu_forget(struct path_engine *e, instant now, struct path *p);
/* Somebody sends through the link what is larger than its tunnel takes: perhaps it takes more now. */
void path_mtu_wanted(struct path_engine *e, instant now, struct path *link);
void path_mtu_free(struct path *p);

#endif
