/* Hand-made hosts for the tests of the data path: what the control thread would publish, set up
 * without it, and a way to carry datagrams from one to the other. */
#ifndef OCALA_PATH_FORWARD_FIXTURE_H
#define OCALA_PATH_FORWARD_FIXTURE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "packet/ip.h"
#include "packet/translate.h"
#include "path/forward.h"
#include "tests/support/craft.h"
#include "tests/support/seeded.h"

#define SIDE_WORKERS 3
#define SIDE_SLOT    7 /* of the label for records to this host */

struct side_settings {
    unsigned workers;                /* 0: 1                         */
    unsigned lanes;                  /* with lane 0; 0: 2            */
    uint16_t record_mtu, recipe_mtu; /* 0: 1400, 9000 */
    bool open_checksums;
    bool merge;       /* super-packets to the programs */
    bool no_policy;   /* no fwd_policy at all; else everything is allowed */
    unsigned packets; /* of each pool; 0: 1024        */
};

/* One host with one peer.  Addresses follow from its letter: host 'a' has TUN 10.0.0.97 and
 * fd00::61, is at 192.0.2.97:9797, and is known to others as 198.18.0.97 and fd18::61. */
struct side {
    char letter;
    struct side_settings settings;
    struct seeded seeded;
    struct epoch *epoch;
    struct fwd_tables *tables;
    struct packet_pool *pool[SIDE_WORKERS];
    struct forward *forward[SIDE_WORKERS];
    struct endpoint endpoint;
    struct recipe *recipe;
    struct fwd_tunnel tunnel;
    struct fwd_path path;
    struct fwd_label label;
    struct fwd_handle handle; /* of the peer */
    struct fwd_policy *policy;
    instant now;
};

struct ip_address side_address(const char *text);
struct endpoint side_endpoint(char letter);

void side_init(struct side *s, char letter, char peer, const struct side_settings *settings);
void side_done(struct side *s);
/* Fresh keys for one lane, as if a handshake had given them: what `s` sends, and receives, in
 * `epoch`.  Both ends of the same pair of letters get matching keys. */
void side_key(struct side *s, char peer, unsigned lane, uint8_t epoch);
void side_keys(struct side *s, char peer, uint8_t epoch);
struct record_sealer *side_sealer(char from, char to, unsigned lane, uint8_t epoch);
struct lane_opener *side_opener(char from, char to, unsigned lane, uint8_t epoch);
/* A plain recipe from one host to another. */
struct recipe *side_recipe(char from, char to, uint16_t mtu);
/* Replaces the policy. */
void side_allow(struct side *s, const struct fwd_allow *lines, unsigned count);

/* Outputs pulled so far. */
struct outs {
    struct forward_out *item;
    unsigned count, room;
};
void outs_free(struct outs *o); /* gives packets back */
void side_pull(struct side *s, unsigned worker, struct outs *ret);
/* Takes output number `index` out; its packet is the caller's. */
struct forward_out outs_take(struct outs *o, unsigned index);
/* How many are of a kind. */
unsigned outs_kind(const struct outs *o, enum forward_out_kind kind);

/* A packet of a program enters worker `worker`; outputs are added to `ret`. */
void side_capture(struct side *s, unsigned worker, const void *bytes, size_t size,
                  const struct packet_offload *offload, struct outs *ret);
/* The same, of a packet that is made for it. */
void side_capture_craft(struct side *s, unsigned worker, const struct craft *c, struct outs *ret);
/* A datagram from the host `from` arrives. */
void side_receive(struct side *s, unsigned worker, const struct endpoint *from, uint8_t ecn,
                  const void *bytes, size_t size, struct outs *ret);
/* A run of them, each of `run` bytes but the last; 0: one datagram. */
void side_receive_run(struct side *s, unsigned worker, const struct endpoint *from, uint8_t ecn,
                      const void *bytes, size_t size, uint16_t run, struct outs *ret);
/* Carries every SEND of `o`, runs as runs, to `to`'s worker 0, with its ECN bits, and follows
 * hand-overs inside `to`.  `o` is empty afterwards; anything else in it is given back. */
void side_carry(struct outs *o, struct side *to, char from, struct outs *ret);
/* Performs the hand-overs in `o` until there are none. */
void side_settle(struct side *s, struct outs *o);

uint64_t side_drops(struct side *s, enum drop_reason reason);
/* All drops of all reasons. */
uint64_t side_drops_all(struct side *s);
/* Packets of all pools that are not at home. */
unsigned side_packets_out(struct side *s);

/* Hosts 'a' and 'b', and a UDP packet and its answer as their programs send them. */
struct pair {
    struct side a, b;
};
void pair_init(struct pair *x, const struct side_settings *settings);
void pair_done(struct pair *x);
extern const struct craft pair_a_to_b, pair_b_to_a;

#endif
