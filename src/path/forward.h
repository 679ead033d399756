/* The per-packet step, as pure code: look up, peel, open, rewrite, seal, batch.
 *
 * One `struct forward` per worker.  It takes batches of packets from the capture side or from the underlay and gives
 * outputs that are pulled: datagrams to send, packets for the capture, punts for the control thread, packets that
 * another worker owns.  It makes no system call, allocates nothing per packet, and reads no clock: `now` is read once a
 * batch by the caller.
 *
 * What it looks at is published by the control thread in `struct fwd_tables` (base/epoch.h): label slots, handles, and
 * through them paths, lanes and tunnels.  Lanes hold the mutable part (counter, replay window, pieces) and belong to one
 * worker each: data lane l to worker l mod workers.  Lane 0 is for control and is always punted.
 *
 *   capture -> handle -> path -> lane -> seal -> recipe -> send
 *   socket -> peel -> record -> label -> open -> rewrite -> capture       (the path ends here)
 *                                     -> swap label -> recipe -> send     (gateway)
 *                    -> anything else -> punt */
#ifndef OCALA_PATH_FORWARD_H
#define OCALA_PATH_FORWARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/entropy.h"
#include "base/epoch.h"
#include "base/instant.h"
#include "packet/drop.h"
#include "packet/packet.h"
#include "packet/recipe.h"
#include "record/record.h"

#define FORWARD_LANES_MAX   LABEL_LANES /* lane 0 and up to 15 data lanes */
#define FORWARD_WORKERS_MAX 16
#define FORWARD_PIECES                                                                             \
    128 /* records of split packets that a lane keeps: 64 KiB in records of 576 */
#define LANE_OPENERS        4   /* epochs whose receive keys can live side by side               */
#define FORWARD_SOCKETS_MAX 256 /* socket indexes with a peel table of their own                */

/* ---- what the control thread publishes ---- */

/* A tunnel as workers see it: its current recipe.  Lives as long as a path uses it. */
struct fwd_tunnel {
    uint32_t id;
    _Atomic(const struct recipe *) recipe; /* NULL while the tunnel is down */
};

/* Receive key of one epoch. */
struct lane_opener {
    uint8_t epoch;
    struct record_opener *opener;
};

struct lane_pieces;

/* The counters of a lane are written by its worker (relaxed) and read by anyone. */
struct lane {
    uint8_t index;
    _Atomic(struct record_sealer *) sealer;
    _Atomic(struct lane_opener *)
        opener[LANE_OPENERS]; /* by epoch modulo that; NULL: none                */
    atomic_uint_fast64_t records_out, records_in, bytes_out, bytes_in;
    _Atomic int64_t heard; /* instant of the last batch in which a record opened */
    _Atomic int64_t sent;  /* likewise for sealed                              */
    atomic_bool
        watch; /* control asks to be told (PUNT_ACTIVE) of the next record; the worker clears it   */
    struct lane_pieces
        *pieces; /* the worker's, made at the first split packet                             */
};

/* What the peer may reach here, checked at a flow's first packet (design: Policy). */
struct fwd_allow {
    uint8_t protocol;   /* IP protocol number; 0: any                          */
    uint16_t low, high; /* destination ports, inclusive; ignored for ICMP      */
};
struct fwd_policy {
    bool everything;
    uint16_t count;
    struct fwd_allow allow[];
};

struct fwd_path;
struct fwd_transit;

/* What a label of ours leads to.  Exactly one of the two is set. */
struct fwd_label {
    struct fwd_path *path;
    struct fwd_transit *transit;
};

/* Allocated with room for its own lanes only, and never copied by value then. */
struct fwd_path {
    struct fwd_label label;      /* leads here: for whom has no other place for it    */
    uint32_t id;                 /* the path's slot: LABEL_SLOT of our labels            */
    uint32_t generation;         /* of our labels                                        */
    uint32_t label_out;          /* the label the next host wants, lane bits zero        */
    uint8_t lanes;               /* 1 + data lanes; lane[0..lanes-1]                     */
    bool one_hop;                /* a link: records also tell where the neighbour is     */
    _Atomic uint16_t record_mtu; /* largest record on this path               */
    struct fwd_tunnel *tunnel;
    _Atomic(const struct fwd_policy *) policy;
    atomic_uint_fast64_t drops;
    struct ip_address handle4, handle6;             /* of the peer; family 0: none               */
    _Atomic(struct lane *) lane[FORWARD_LANES_MAX]; /* all NULL: parked */
};

/* Label entry of a gateway for one direction. */
struct fwd_transit {
    struct fwd_label label; /* as above */
    uint32_t generation;
    uint32_t label_out; /* lane bits zero                                 */
    struct fwd_tunnel *in, *out;
    atomic_uint_fast64_t records, bytes;
    _Atomic int64_t used; /* instant of the last batch                      */
};

/* A handle that programs may send to. */
struct fwd_handle {
    struct ip_address v4, v6;
    uint32_t id;
    _Atomic(struct fwd_path *) path; /* NULL: packets are punted as PUNT_NEED_PATH */
    _Atomic int64_t used;
};

struct fwd_tables;
/* `tun4`, `tun6`: the capture's own addresses.  `pool4`, `pool6`: the handle pools. */
struct fwd_tables *fwd_tables_new(struct epoch *epoch, const struct ip_address *tun4,
                                  const struct ip_address *tun6, const struct ip_prefix *pool4,
                                  const struct ip_prefix *pool6);
void fwd_tables_free(struct fwd_tables *t); /* frees the tables, not the objects in them */

/* Control side.  Objects are the caller's; after a `clear` or replacement it retires the old one through the epoch. */
void fwd_label_set(struct fwd_tables *t, uint32_t slot,
                   struct fwd_label *label); /* slot < LABEL_SLOTS; grows */
struct fwd_label *fwd_label_clear(struct fwd_tables *t, uint32_t slot);
void fwd_handle_add(struct fwd_tables *t, struct fwd_handle *h);
void fwd_handle_remove(struct fwd_tables *t, struct fwd_handle *h);
/* Either side, lock-free. */
struct fwd_label *fwd_label_find(struct fwd_tables *t, uint32_t slot);
struct fwd_handle *fwd_handle_find(struct fwd_tables *t, const struct ip_address *address);

/* A tunnel's peel table, by socket index; published the same way (NULL: plain). */
void fwd_socket_set(struct fwd_tables *t, uint16_t socket, const struct peel_table *peel);

/* Tunnels whose recipe has a transform must be known here, so that the transform's clock runs.  The tunnel is the
 * caller's; after `remove` it retires it through the epoch. */
void fwd_transform_add(struct fwd_tables *t, struct fwd_tunnel *tunnel);
void fwd_transform_remove(struct fwd_tables *t, struct fwd_tunnel *tunnel);

/* How a transform is driven.  One worker owns all transforms: that of lane 1.  Packets that leave through such a tunnel,
 * and records that arrive through it, go to that worker first; captured packets take lane 1.  (The same worker sends all
 * data through recipes that have other state: sequence numbers, seals.)  The transform sees
 *   SENDING    each record of a data lane after it was sealed (or its label swapped), before the recipe's steps;
 *   RECEIVING  each record of a data lane before it is opened (or its label swapped): the tunnel is known from the label.
 * What comes out as SENDING takes the recipe's steps, what comes out as RECEIVING is looked up by its label as if it had
 * just arrived (arrival.transformed keeps it from being given to a transform again).  A transform may send messages of its own to its twin: type
 * WIRE_TRANSFORM, and in bytes 4 to 7 a label that it saw going the same way (so the twin's host knows the tunnel).  The
 * outer ECN bits of what is sent are taken from packet.arrival.ecn.  Lane 0 passes beside the transform: control repeats
 * what is lost by itself. */

/* ---- the worker's engine ---- */

struct forward_settings {
    unsigned worker, workers;  /* this one, and how many                                        */
    uint16_t tun_mtu;          /* of the capture interface                                      */
    bool seal_checksums_open;  /* leave open checksums open on the wire                         */
    bool merge_tcp, merge_udp; /* the capture takes super-packets of TCP; of UDP                 */
    unsigned flows;            /* size of each of the two flow tables (power of two)            */
    struct entropy *entropy;   /* drawn from in forward_new only                                */
};

struct forward;
struct forward *forward_new(const struct forward_settings *s, struct fwd_tables *t,
                            struct packet_pool *pool);
void forward_free(struct forward *f);

/* A flow that stood before this process started.  Without it the peer's packets would be taken for a new flow of the
 * peer's, and be dropped where the policy does not allow that. */
struct forward_flow {
    uint8_t protocol;
    bool
        ours; /* a program here started it; else the policy is asked, whatever a program here goes on to say on it */
    uint16_t local_port, remote_port;
    struct ip_address handle4, handle6; /* the peer's; family 0: none */
};
/* Before the first packet. */
void forward_flow_known(struct forward *f, instant now, const struct forward_flow *flow);

/* Each takes the packets always.  What a program sent may be a super-packet (offload.gso), what comes from a socket may be
 * a run (packet.run); so may be what goes out to them, super-packets only where the settings allow it. */
void forward_capture(struct forward *f, instant now, struct packet **batch, unsigned count);
void forward_underlay(struct forward *f, instant now, struct packet **batch, unsigned count);
/* The same while more arrives than can be carried: records of data lanes are dropped (OVERLOAD), unread; everything else
 * goes its way, so that control lives. */
void forward_shed(struct forward *f, instant now, struct packet **batch, unsigned count);
/* A packet that another worker handed over (FORWARD_HANDOVER), as it was given; or one that control gives back after a punt
 * (PUNT_NEED_PATH, PUNT_NEED_KEY): a record is taken without peeling. */
void forward_handed_over(struct forward *f, instant now, struct packet *p, bool from_capture);

/* Clock of the transforms of this worker's tunnels. */
void forward_advance(struct forward *f, instant now);
instant forward_deadline(const struct forward *f);

enum forward_out_kind { FORWARD_SEND, FORWARD_CAPTURE, FORWARD_PUNT, FORWARD_HANDOVER };

enum forward_punt {
    PUNT_CONTROL, /* a record of lane 0, sealed                                   packet = record     */
    PUNT_HANDSHAKE, /* WIRE_OPEN .. WIRE_ERROR                                      packet = message    */
    PUNT_MODULE, /* the overlay module's own protocol                            packet = what is left after peeling */
    PUNT_NEED_PATH, /* to a handle without a path; `id` = handle id                 packet = IP packet as captured      */
    PUNT_NEED_KEY, /* to or from a parked path; `id` = path id                     packet = IP packet, or record (from_capture tells) */
    PUNT_UNKNOWN_LABEL, /* candidate for PATH_ERROR (rate limited by the worker)        packet = record     */
    PUNT_ACTIVE, /* lane.watch was set and a record went; `id` = path id         no packet           */
    PUNT_MOVED, /* a record of a one-hop path opened but came from elsewhere; `id` = path id; packet = empty, with arrival */
    PUNT_TRANSIT_BIG, /* a record too large for the next tunnel; `id` = slot          packet = record header only */
};

struct forward_out {
    enum forward_out_kind kind;
    struct packet *packet; /* the receiver's now; NULL where the punt has none */
    /* SEND */
    uint16_t socket;
    struct endpoint local, remote;
    uint8_t tos;
    uint8_t lane;  /* of the record, of the first of a run; 0: of control, or none */
    bool own_port; /* it may leave by a port of its lane's worker                  */
    /* PUNT */
    enum forward_punt punt;
    uint32_t id;
    bool from_capture;
    /* HANDOVER */
    unsigned worker;
};

/* The next output of what was put in; false when there is none.  Everything must be pulled after each batch. */
bool forward_output(struct forward *f, struct forward_out *ret);

struct drop_counters *forward_drops(struct forward *f);

/* Seals one record on a lane of a path and runs the tunnel's recipe: used for data by forward.c and for lane 0 by the
 * control thread.  `p` holds the plaintext, has headroom, and becomes the datagram.  *ret gets the send fields (kind
 * FORWARD_SEND).  False: *ret_reason says why; the packet stays the caller's.  A transform of the tunnel is passed by.  How
 * large a record may be is the caller's affair. */
bool forward_seal(struct fwd_path *path, struct lane *lane, uint8_t flags, instant now,
                  struct packet *p, struct forward_out *ret, enum drop_reason *ret_reason);
/* The same by another recipe; NULL: the tunnel's. */
bool forward_seal_by(struct fwd_path *path, struct lane *lane, const struct recipe *recipe,
                     uint8_t flags, instant now, struct packet *p, struct forward_out *ret,
                     enum drop_reason *ret_reason);

/* Helpers for owners of lanes and paths. */
struct lane *lane_new(uint8_t index);
void lane_free(struct lane *l); /* frees sealer, openers, pieces; wipes; accepts NULL */
void lane_opener_free(struct lane_opener *o); /* accepts NULL */
/* Largest inner packet for a record MTU, as programs are told: never below 1280. */
uint16_t forward_inner_mtu(uint16_t record_mtu);

#endif
