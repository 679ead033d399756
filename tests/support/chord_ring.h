/* A ring of Chord engines on a virtual clock and network: for tests of src/chord/. */
#ifndef OCALA_TESTS_SUPPORT_CHORD_RING_H
#define OCALA_TESTS_SUPPORT_CHORD_RING_H

#include "chord/chord.h"
#include "tests/support/tiny_net.h"

#define CHORD_RING_SERVERS  24
#define CHORD_RING_NUMBERED 100
#define CHORD_RING_HELD     8192

struct chord_ring_server {
    struct seeded random;
    struct chord *chord;
    struct endpoint at;
    uint64_t received;
};

struct chord_ring {
    struct tiny_net net;
    struct chord_ring_server server[CHORD_RING_SERVERS];
    unsigned servers;
    const uint8_t *secret;
    bool (*is_six)(unsigned index); /* tells others an IPv6 address; NULL: nobody does */
    bool both_families;             /* of servers that are added: they reach both       */
    instant now;
    /* What was last delivered, and where; by the number in the payload, if it has one. */
    unsigned delivered, deliverer;
    unsigned times[CHORD_RING_NUMBERED], where[CHORD_RING_NUMBERED];
};

struct chord_ring *chord_ring_new(uint64_t seed, const uint8_t *secret);
void chord_ring_free(struct chord_ring *r);
/* One more server; its seed is the first one. */
void chord_ring_add(struct chord_ring *r);
void chord_ring_kill(struct chord_ring *r, unsigned index);
/* What a server has to say goes into the network. */
void chord_ring_pull(struct chord_ring *r, struct chord_ring_server *s);
/* Payloads begin with "payload"; of 8 bytes the last one is a number. */
void chord_ring_run(struct chord_ring *r, instant span);
/* Whose is the key, by looking at all ids. */
unsigned chord_ring_owner(const struct chord_ring *r, const struct chord_id *key);
/* Virtual seconds until all agree who is responsible for what; fails after `most`. */
unsigned chord_ring_until_agreed(struct chord_ring *r, unsigned most);

#endif
