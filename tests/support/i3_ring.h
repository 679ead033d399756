/* Servers of i3 and clients around them, on a virtual clock and network: for tests of servers, clients, and both. */
#ifndef OCALA_TESTS_SUPPORT_I3_RING_H
#define OCALA_TESTS_SUPPORT_I3_RING_H

#include "i3/i3_server.h"
#include "tests/support/tiny_net.h"

#define I3_RING_SERVERS   32
#define I3_RING_I3_PORT   5610
#define I3_RING_RING_PORT 6510

/* What a server speaks; the first family is that of the address that other servers are told. */
enum i3_ring_speech { I3_RING_V4, I3_RING_V6, I3_RING_V4_V6, I3_RING_V6_V4 };

struct i3_ring_server {
    struct seeded random;
    struct i3_server *server; /* NULL: dead */
    struct endpoint at, ring;
    struct endpoint also, also_ring; /* of the other family, or family 0 */
};

struct i3_ring {
    struct tiny_net net;
    instant now;
    const uint8_t *secret;                   /* 32 bytes, or NULL */
    unsigned triggers, per_client, requests; /* limits of servers that are added: i3_server.h */
    struct i3_ring_server server[I3_RING_SERVERS];
    unsigned servers;
    struct tiny_datagram **inbox; /* what came to addresses that are no server's, in order */
    unsigned letters, room;
    /* Looks at everything that arrives anywhere; NULL: nobody does. */
    void (*watch)(const struct tiny_datagram *d);
};

struct i3_ring *i3_ring_new(uint64_t seed, const uint8_t *secret);
/* A ring of so many servers that knows itself; `speech` of each, or NULL: IPv4. */
struct i3_ring *i3_ring_formed(const enum i3_ring_speech *speech, unsigned servers, uint64_t seed,
                               const uint8_t *secret);
void i3_ring_free(struct i3_ring *r);
/* One more server; its seed is the first one.  Its address is 10.1.0.n, n from 1. */
struct i3_server *i3_ring_add(struct i3_ring *r);
/* The same; IPv6 addresses are 2001:db8:1::n. */
struct i3_server *i3_ring_add_speaking(struct i3_ring *r, enum i3_ring_speech speech);
void i3_ring_kill(struct i3_ring *r, unsigned index);
void i3_ring_run(struct i3_ring *r, instant span);
/* A datagram from a client, at once. */
void i3_ring_send(struct i3_ring *r, const struct endpoint *from, const struct endpoint *to,
                  const void *bytes, size_t size);
void i3_ring_send_packet(struct i3_ring *r, const struct endpoint *from, const struct endpoint *to,
                         const struct i3_packet *p);
/* The next datagram that came to this address, or NULL; the caller frees it. */
struct tiny_datagram *i3_ring_take(struct i3_ring *r, const struct endpoint *to);
/* The index of the server that is responsible, by what all servers say; I3_RING_SERVERS: none, or more than one. */
unsigned i3_ring_owner(const struct i3_ring *r, const struct i3_id *id);

/* A trigger from an identifier that is drawn to an address, not inserted yet; the same of one that a server is responsible
 * for. */
struct i3_trigger i3_ring_drawn(struct i3_ring *r, const struct endpoint *target);
struct i3_trigger i3_ring_drawn_at(struct i3_ring *r, unsigned server,
                                   const struct endpoint *target);
/* Makes the trigger lead to `to`, which it keeps a pointer to; its identifier is tied by the left constraint. */
void i3_ring_lead_to(struct i3_trigger *t, const struct i3_id *to);

/* What a client of 2005 does: INSERT, answer to the CHALLENGE, ACK.  False when it does not succeed within 5 virtual
 * seconds.  *t has the right nonce then. */
bool i3_ring_insert(struct i3_ring *r, const struct endpoint *client, unsigned server,
                    struct i3_trigger *t);
/* Sends `text` to the identifier from `client` by a server; false unless `receiver` gets it within 2 virtual seconds. */
bool i3_ring_data(struct i3_ring *r, const struct endpoint *client, unsigned server,
                  const struct i3_id *id, const struct endpoint *receiver, const char *text);
struct endpoint i3_ring_client(unsigned index);
struct endpoint i3_ring_client6(unsigned index);

#endif
