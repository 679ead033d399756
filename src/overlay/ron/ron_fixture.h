/* A mesh of RON modules on a small network: delay, loss, doubles and cuts for each pair, from a seed.
 *
 * What stands between module and network is as little as will do: handshakes of two messages, links, the tunnel's recipe.
 * Everything is sent by recipes and received through peels, hops included. */
#ifndef OCALA_OVERLAY_RON_FIXTURE_H
#define OCALA_OVERLAY_RON_FIXTURE_H

#include "overlay/ron/ron_internal.h"
#include "tests/support/seeded.h"

#define MESH_MAX 200

struct mesh_pair {
    instant delay, jitter;  /* one way */
    unsigned loss, doubles; /* percent */
    bool cut;
};

struct mesh_tunnel {
    enum { MESH_CLOSED, MESH_OPENING, MESH_UP } state;
    bool wanted, link, talks;
    struct recipe recipe;
    instant ask, give_up, heard; /* handshake: the next message 1, the end of trying */
    instant talk, unanswered,
        quiet; /* programs: says the next, has no answer since, told the module */
};

struct mesh_node {
    struct overlay *module;
    struct peel_table peel;
    bool running;
    bool black_hole; /* forwards nothing, whatever it says */
    struct endpoint at;
    struct mesh_tunnel
        tunnel[MESH_MAX];      /* by the other's index: that is the tunnel's number, too */
    uint64_t sent, sent_bytes; /* datagrams of its own, IP and UDP included */
    uint64_t got, forwarded;
    uint64_t drops[DROP_COUNT];
    unsigned lookups;
    uint32_t lookup;
    char lookup_name[256];
};

struct mesh {
    unsigned count;
    instant now;
    struct seeded random;
    struct packet_pool *pool;
    struct mesh_node node[MESH_MAX];
    struct mesh_pair pair[MESH_MAX][MESH_MAX];
    struct mesh_flight *flying; /* heap */
    unsigned flights, room;
    struct overlay_member *members[MESH_MAX];
    struct overlay_option options[MESH_MAX][12];
    unsigned option_count[MESH_MAX];
    char name[MESH_MAX][16], place[MESH_MAX][32];
    const char *places[MESH_MAX];
};

/* `count` nodes n0, n1, ...; each knows n0 .. n(seeds - 1).  None runs yet. */
struct mesh *mesh_new(unsigned count, unsigned seeds, uint64_t seed);
void mesh_free(struct mesh *m);
void mesh_option(struct mesh *m, unsigned node, const char *key, const char *value);
void mesh_options(struct mesh *m, const char *key, const char *value); /* of all */
void mesh_all_pairs(struct mesh *m, const struct mesh_pair *as);
void mesh_set(struct mesh *m, unsigned a, unsigned b, const struct mesh_pair *as);
void mesh_start(struct mesh *m, unsigned node);
void mesh_start_all(struct mesh *m);
void mesh_stop(struct mesh *m, unsigned node, bool properly);
void mesh_run(struct mesh *m, instant span);
/* Runs until `holds(m)` or the span is over; false: it does not hold.  *ret_took: how long it was. */
bool mesh_until(struct mesh *m, bool (*holds)(struct mesh *m), instant span, instant *ret_took);

struct ron *mesh_ron(struct mesh *m, unsigned node);
/* What `node` knows about `other`; fails the test when it is nothing. */
struct ron_member *mesh_member(struct mesh *m, unsigned node, unsigned other);
/* The index of the hop that `node` takes to `other`; -1: direct. */
int mesh_hop(struct mesh *m, unsigned node, unsigned other);
unsigned mesh_links(struct mesh *m, unsigned node);
/* Data from a to b by a's recipe: it arrives, or does not. */
void mesh_data(struct mesh *m, unsigned a, unsigned b);
void mesh_busy(struct mesh *m, unsigned a, unsigned b, enum overlay_use use);
/* Programs of a ask programs of b five times a second, from now on; a's module hears of silence as the path engine tells it. */
void mesh_talk(struct mesh *m, unsigned a, unsigned b);
/* A message on the link, as if the other's module had made it. */
void mesh_say(struct mesh *m, unsigned from, unsigned to, const void *bytes, size_t size);

#endif
