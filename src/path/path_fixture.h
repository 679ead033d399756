/* A small internet for tests of the path engine: hosts made of a path engine, its tables and one
 * `forward`, joined by a network with a virtual clock that loses, doubles, delays and reorders by
 * seed.  What src/host does for a daemon is done here by hand: handles are made up, a toy overlay
 * knows where everybody is.
 *
 * Everything that leaves a host is looked at on the wire; sealing twice with one (key, counter)
 * fails the test. */
#ifndef OCALA_PATH_PATH_FIXTURE_H
#define OCALA_PATH_PATH_FIXTURE_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "path/path_internal.h"
#include "tests/support/craft.h"
#include "tests/support/seeded.h"

#define NET_BOXES   12
#define NET_SOCKETS 4

struct net_faults {
    unsigned loss, duplicate, reorder; /* per thousand datagrams                 */
    instant delay, jitter;
    bool cut; /* nothing arrives                        */
};

struct flight {
    struct timer timer;
    struct endpoint from, to;
    size_t size;
    uint8_t bytes[];
};

/* The toy overlay's tunnel. */
struct toy {
    uint32_t id;
    unsigned instance;
    char host[NAME_TEXT];
    struct endpoint remote;
    unsigned suspected, moved;
    struct toy *next;
};

/* (name, key) and the addresses that stand for it; outlives restarts. */
struct grip {
    char name[NAME_TEXT], way[1024];
    uint8_t key[32];
    uint32_t id;
    struct fwd_handle *fwd;
    bool opening;
    struct {
        uint8_t bytes[256];
        size_t size;
    } waiting[32];
    unsigned waiting_count;
    struct grip *next;
};

struct answer {
    uint64_t cookie;
    bool up, failed, unknown_host;
    uint32_t path;
    char reason[512];
};

struct box {
    struct net *net;
    unsigned index;
    char name[NAME_TEXT];
    struct config *config;
    struct path_instance keys[NET_SOCKETS];
    struct endpoint endpoint[NET_SOCKETS]; /* where it is now, by socket = instance */
    uint16_t mtu[NET_SOCKETS];             /* of recipes; 0: the net's          */
    unsigned data_lanes;
    bool prefer_chacha;
    struct seeded seeded;
    unsigned life; /* counts restarts */

    struct path_engine *e;
    struct fwd_tables *tables;
    struct epoch *epoch;
    struct packet_pool *pool;
    struct forward *forward;
    struct toy *toys;
    bool down,
        stuck; /* stuck: the worker sits in a batch, so nothing is freed and nothing settles */
    bool deaf_to_handles; /* does not attach */

    char *known;
    size_t known_size;
    struct grip *grips;
    struct answer answer[64];
    unsigned answers;
    uint64_t ups, downs, pongs, wakeups;
    instant rtt;
    char last_down[512];
    char notices[16384];

    uint64_t sent[NET_BOXES], got[NET_BOXES], doubled[NET_BOXES]; /* test packets, by other end */
    uint8_t *seen[NET_BOXES];                                     /* numbers that arrived       */
    uint64_t unreachable; /* ICMP errors that programs here got */
};

struct net {
    instant now;
    struct seeded seeded;
    struct net_faults faults;
    struct heap flights;
    instant last_due[NET_BOXES][NET_BOXES];
    struct box box[NET_BOXES];
    unsigned boxes;
    uint16_t mtu;         /* of the underlay: largest datagram */
    unsigned keepalive_s; /* of recipes; 0: never needed */
    uint64_t next_cookie;
    uint64_t sent_datagrams, sent_bytes, sent_type[32];
    struct nonce *nonces;
    /* A test may look at, or change, what leaves: return false to drop it. */
    bool (*tap)(struct net *net, struct box *from, const struct endpoint *to, uint8_t *bytes,
                size_t size);
    void *tap_context;
};

void net_init(struct net *net, uint64_t seed);
void net_done(struct net *net);

/* A host with instances "east west" (all of type ip, all psk with one secret per instance); `extra`
 * is more YAML.  When `instances` begins with "name:" it is the whole configuration. */
struct box *box_new(struct net *net, const char *name, const char *instances, const char *extra);
void box_start(struct box *b);
void box_stop(struct box *b); /* as SIGKILL */
void box_restart(struct box *b);
/* The worker enters a batch and does not come back, or does: nothing that it may look at can be
 * freed meanwhile. */
void box_stick(struct box *b, bool stuck);
/* The box's address in one instance changes, as behind a NAT. */
void box_move(struct box *b, unsigned instance, unsigned to);

/* Asks for a path; returns the place of the answer. */
struct answer *box_open(struct box *b, const char *chain);
/* A program sends one numbered UDP packet to the handle of `name`. */
bool box_send(struct box *from, struct box *to, const char *name, unsigned version);
/* The same with a payload of this size and a source port (which chooses the lane). */
bool box_send_sized(struct box *from, struct box *to, const char *name, unsigned version,
                    size_t size, uint16_t port);
struct grip *box_grip(struct box *b, const char *name);
/* Pulls everything that the box has to say; to be called after each call into its engine. */
void box_pump(struct box *b);

/* A datagram of a stranger. */
void net_inject(struct net *net, const struct endpoint *from, const struct endpoint *to,
                const void *bytes, size_t size);
/* Runs until the clock shows now + span. */
void net_run(struct net *net, instant span);
/* Runs until `done` or the span is over; tells which. */
bool net_run_until(struct net *net, instant span, bool (*done)(void *context), void *context);
/* Until everything in flight has landed (timers run too). */
void net_settle(struct net *net);

/* The current path of `b` towards `name`; NULL: none. */
struct path *box_path(struct box *b, const char *name);
struct neighbour *box_neighbour(struct box *b, const char *name);
bool box_up(struct box *b, const char *name);
uint64_t box_drops(struct box *b, enum drop_reason reason); /* engine and forward */
struct endpoint net_endpoint(unsigned instance, unsigned host);
void box_key(struct box *b, unsigned instance, uint8_t seed);
struct config *net_config(const char *name, const char *instances, const char *extra);

/* Writes down what leaves the hosts; `net->tap` is taken. */
#define TAPE_ITEMS 4096
struct tape {
    struct {
        const struct box *from;
        struct endpoint to;
        instant at;
        size_t size;
        uint8_t bytes[1600];
    } * item;
    unsigned count;
    /* Called for each item; false: it does not arrive. */
    bool (*judge)(struct net *net, struct tape *tape, struct box *from, uint8_t *bytes,
                  size_t size);
    unsigned seen[16]; /* for the judge */
};
void tape_start(struct tape *t, struct net *net);
void tape_stop(struct tape *t, struct net *net);
/* The number of the nth item (from 0) of a wire type from a box (NULL: any); -1: there is none. */
int tape_find(const struct tape *t, const struct box *from, uint8_t type, unsigned nth);
unsigned tape_count(const struct tape *t, const struct box *from, uint8_t type);

/* The tests' favourites: alpha - gate - beta, with east.ip and west.ip. */
struct trio {
    struct net net;
    struct box *alpha, *gate, *beta;
};
void trio_init(struct trio *t, uint64_t seed, const char *extra);
void trio_done(struct trio *t);
/* Both ends of alpha's path to beta are up and the same. */
void trio_check_same(struct trio *t);

#endif
