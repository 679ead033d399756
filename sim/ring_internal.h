/* What the parts of ocala-sim-ring share: ring.c (the ring, its clients, time) and ring_stretch.c. */
#ifndef OCALA_SIM_RING_INTERNAL_H
#define OCALA_SIM_RING_INTERNAL_H

#include "base/heap.h"
#include "i3/i3_server.h"
#include "sim/ring.h"
#include "tests/support/tiny_net.h"

#define RING_NET_SERVERS 10 /* first byte of an address: what kind of machine it is */
#define RING_NET_CLIENTS 11
#define RING_NET_ASKER   12
#define RING_NET_PAIRS   13

struct ring_world {
    const struct ring_plan *plan;
    struct ring_report *report;
    struct tiny_net net;
    struct heap timers;
    instant now;
    struct machine *machine; /* all that there ever are */
    unsigned machines, most;
    unsigned *alive, alives; /* numbers of those that live, in the order of the ring */
    struct lookup *lookup;
    unsigned lookups;
    struct client *client;
    struct death *death;
    unsigned deaths;
    struct i3_hash *hash;
    uint8_t secret[CHORD_SECRET];
    struct stretch *stretch; /* NULL: it is not being measured */
};

/* ---- ring.c ---- */

struct endpoint ring_address(uint8_t net, unsigned number, uint16_t port);
unsigned ring_number_of(const struct endpoint *e);
/* Where clients reach a server that lives, by chance. */
struct endpoint ring_any_server(struct ring_world *w);
void ring_send(struct ring_world *w, const struct endpoint *from, const struct endpoint *to,
               const void *bytes, size_t size);
/* A tenth of a second passes; clients keep their triggers meanwhile. */
void ring_step(struct ring_world *w);

/* ---- ring_stretch.c ---- */

/* How long a datagram takes: the distance of two machines, each at a place on a plane that follows from seed and address. */
instant ring_distance(uint64_t seed, const struct endpoint *a, const struct endpoint *b);
/* On a ring that has formed: fills report->stretch. */
void ring_stretch_measure(struct ring_world *w);
/* A datagram came to one of the pairs. */
void ring_stretch_hears(struct ring_world *w, const struct tiny_datagram *d);

#endif
