/* What the parts of the data path share.
 *
 *   forward.c            life, outputs, sealing, helpers
 *   forward_tables.c     what the control thread publishes
 *   forward_capture.c    from programs to a lane
 *   forward_warm.c       what a batch needs, fetched ahead
 *   forward_cut.c        the same for super-packets
 *   forward_underlay.c   from a socket to a lane or a punt
 *   forward_transit.c    from a socket to the next tunnel
 *   forward_run.c        the same for runs of datagrams
 *   forward_deliver.c    from an opened record to the programs
 *   forward_merge.c      packets that follow each other, made one super-packet
 *   forward_pieces.c     packets that travel in several records
 *   forward_transform.c  tunnels whose records pass through an engine */
#ifndef OCALA_PATH_FORWARD_INTERNAL_H
#define OCALA_PATH_FORWARD_INTERNAL_H

#include "base/cursor.h"
#include "packet/coalesce.h"
#include "packet/flow.h"
#include "packet/ip.h"
#include "path/forward.h"

#define RECORD_MTU_UNKNOWN    1280 /* less the overhead: what a tunnel of unknown MTU carries */
#define FORWARD_INNER_MTU_MIN 1280 /* Linux ignores less, IPv6 forbids it                     */
#define PUNTS_A_SECOND        16   /* of the kinds that strangers can cause                   */

/* So many a second at most. */
struct bucket {
    instant filled;
    unsigned left;
};

struct piece_list {
    struct lane_pieces *first;
    unsigned held; /* packets, in all lanes */
    instant swept;
};

#define MERGES 8 /* flows whose packets are put together at the same time */

/* A super-packet that is being built; for the length of a batch. */
struct merge {
    struct coalesce build;
    const struct fwd_path *path;
    uint8_t flags; /* of the records                     */
    uint8_t ecn;   /* of the datagrams that they came in */
};

struct merge_list {
    struct merge item[MERGES]; /* the first `count`, oldest first */
    unsigned count;
    unsigned last; /* where the last packet went */
};

struct forward {
    struct forward_settings settings;
    struct fwd_tables *tables;
    struct packet_pool *pool;
    struct drop_counters drops;
    struct flow_table *ours, *theirs; /* who started the flow: forward_deliver.c */
    struct forward_out *out;          /* grows with the largest batch ever seen, then stays */
    unsigned out_next, out_count, out_room;
    struct bucket unknown_labels[2]; /* of data, and of lane 0, which data must not push out */
    struct bucket transit_big, icmp;
    struct piece_list pieces;
    struct merge_list merges;
    bool shedding; /* data records are dropped */
    /* The last PUNT_MOVED: one for each path and batch is enough. */
    const struct fwd_path *moved;
    instant moved_at;
};

/* A packet of a program on its way out. */
struct outgoing {
    struct forward *f;
    instant now;
    struct packet *p;
    struct ip_view view;
    struct fwd_path *path;
    struct lane *lane;
    struct record_sealer *sealer;
    const struct recipe *recipe;
    size_t limit;     /* largest record                                       */
    uint16_t segment; /* of a super-packet: payload of each packet, as we cut */
};

/* A record of a path that ends here, on its way in. */
struct incoming {
    struct forward *f;
    instant now;
    struct fwd_path *path;
    struct lane *lane;
    struct record_opener *opener;
    const struct record_header *header;
    uint8_t *record;
    size_t size;
    struct packet *from; /* what it came in                                  */
    bool alone;          /* it is all of `from`, which goes where it goes;
                            otherwise `from` stays with who has it now       */
};

struct transform_list {
    unsigned count;
    struct fwd_tunnel *tunnel[];
};

/* ---- forward.c ---- */

/* Counts and gives back.  Where a path is known its own counter goes up too. */
void forward_drop(struct forward *f, struct packet *p, enum drop_reason reason);
void forward_drop_on(struct forward *f, struct fwd_path *path, struct packet *p,
                     enum drop_reason reason);
/* Adds an output; the pointer is valid until the next one. */
struct forward_out *forward_emit(struct forward *f, enum forward_out_kind kind, struct packet *p);
void forward_punt(struct forward *f, enum forward_punt punt, uint32_t id, bool from_capture,
                  struct packet *p);
/* The lane's or the transform's own worker is another one. */
void forward_hand_over(struct forward *f, unsigned worker, bool from_capture, struct packet *p);
#define FORWARD_ICMP_A_SECOND                                                                      \
    1000 /* errors that a worker sends, to programs and to peers, from `icmp` */
bool forward_bucket_take(struct bucket *b, unsigned per_second, instant now);
unsigned forward_lane_worker(const struct forward *f, unsigned lane);
/* The worker that drives transforms, and sends through recipes with state. */
unsigned forward_transform_worker(const struct forward *f);
/* If control watches the lane: tell it, once. */
void forward_lane_active(struct forward *f, const struct fwd_path *path, struct lane *lane);

static inline void forward_count(atomic_uint_fast64_t *counter, uint64_t by)
{
    /* One writer. */
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + by, memory_order_relaxed);
}

static inline const struct recipe *fwd_tunnel_recipe(const struct fwd_tunnel *tunnel)
{
    return tunnel
               ? atomic_load_explicit(&((struct fwd_tunnel *)tunnel)->recipe, memory_order_acquire)
               : NULL;
}

/* NULL: the path is parked. */
static inline struct lane *fwd_path_lane(const struct fwd_path *path, unsigned lane)
{
    return atomic_load_explicit(&((struct fwd_path *)path)->lane[lane], memory_order_acquire);
}

/* Is that where the neighbour's records come from, of this lane? */
static inline bool forward_came_from(const struct recipe *in, const struct arrival *a,
                                     unsigned lane)
{
    if (!in->from.ip.family || endpoint_equal(&in->from, &a->remote))
        return true;
    return lane > 1 && in->from_any_port && ip_address_equal(&in->from.ip, &a->remote.ip);
}

/* Largest record that the recipe carries. */
size_t forward_recipe_mtu(const struct recipe *r);
/* Seals `p` (plaintext) into a record of the lane.  False: the packet is as it was. */
bool forward_record_make(struct fwd_path *path, struct lane *lane, struct record_sealer *sealer,
                         uint8_t flags, instant now, struct packet *p,
                         enum drop_reason *ret_reason);
/* The same for many that are sealed already: what the lane counts. */
void forward_record_count(struct lane *lane, instant now, unsigned records, size_t bytes);
/* Sends a record, or a run of them where the recipe only sends, or what a transform or steer made,
 * through a recipe; drops it when a step fails. */
void forward_send(struct forward *f, const struct recipe *recipe, uint8_t ecn, struct packet *p);
/* The same for records of one lane that have what the recipe puts in front already. */
void forward_send_ready(struct forward *f, const struct recipe *recipe, uint8_t ecn, uint8_t lane,
                        struct packet *p);
/* The same as forward_send(), through the tunnel's transform if it has one. */
void forward_send_record(struct forward *f, instant now, const struct recipe *recipe, uint8_t ecn,
                         struct packet *p);

/* ---- forward_tables.c ---- */

const struct ip_address *fwd_tun_address(const struct fwd_tables *t, unsigned family);
bool fwd_pool_holds(const struct fwd_tables *t, const struct ip_address *ip);
const struct peel_table *fwd_socket_peel(struct fwd_tables *t, uint16_t socket);
const struct transform_list *fwd_transforms(struct fwd_tables *t); /* may be NULL */

/* Ask the CPU for the first thing that a lookup reads; `found`: for the handle it leads to. */
void fwd_label_fetch(struct fwd_tables *t, uint32_t slot);
void fwd_handle_fetch(struct fwd_tables *t, const struct ip_address *address, bool found);

/* ---- forward_warm.c ---- */

void forward_warm_captured(struct forward *f, struct packet **batch, unsigned count);
void forward_warm_received(struct forward *f, struct packet **batch, unsigned count);

/* ---- forward_capture.c, forward_cut.c ---- */

void forward_capture_one(struct forward *f, instant now, struct packet *p);
/* A packet that is none of the kernel's super-packets, routed, in one or more records. */
void forward_send_packet(struct outgoing *x);
/* A super-packet. */
void forward_send_super(struct outgoing *x);

/* ---- forward_underlay.c ---- */

/* A datagram, not peeled yet. */
void forward_datagram(struct forward *f, instant now, const struct peel_table *peel,
                      struct packet *p);
/* A record or another message of ours, peeled. */
void forward_message(struct forward *f, instant now, struct packet *p);
/* The label that a record, or a transform's message, is for; NULL and *ret_reason. */
struct fwd_label *forward_label_of(struct forward *f, uint32_t value, enum drop_reason *ret_reason);
/* The key for the record, or NULL. */
struct record_opener *forward_opener_of(struct lane *lane, const struct record_header *h);
void forward_open(struct incoming *x);

/* ---- forward_transit.c, forward_run.c ---- */

void forward_transit(struct forward *f, instant now, struct fwd_transit *t,
                     const struct record_header *h, struct packet *p);
/* A run of records that all go out by the same tunnel, as a run.  False: it is not one. */
bool forward_transit_run(struct forward *f, instant now, struct packet *p);
/* A run of datagrams. */
void forward_run(struct forward *f, instant now, const struct peel_table *peel, struct packet *p);

/* ---- forward_deliver.c ---- */

/* A packet as it was sealed, and its record's flags. */
void forward_deliver(struct forward *f, instant now, struct fwd_path *path, uint8_t flags,
                     struct packet *p);
/* A program here sent this on the path: answers and errors about it may come. */
void forward_flow_sent(struct forward *f, instant now, const struct fwd_path *path,
                       const struct ip_view *v);

/* ---- forward_merge.c ---- */

/* Where the packet in this record probably goes on; NULL: nowhere. */
struct merge *forward_merge_expect(struct forward *f, const struct fwd_path *path, uint8_t flags,
                                   uint8_t ecn, size_t record_size);
/* The plaintext of `size` bytes at `bytes` was opened there: its payload lies behind what is built,
 * its header over the end of that.  True: it goes on there, was added, and `saved` is put back. */
bool forward_merge_take(struct forward *f, struct merge *m, uint8_t *bytes, size_t size,
                        const uint8_t *saved);
/* A packet as it was sealed: added somewhere?  Then it is gone. */
bool forward_merge_add(struct forward *f, const struct fwd_path *path, uint8_t flags,
                       struct packet *p);
/* Gives a packet to the programs, behind what it must not overtake.  `header` NULL: nothing can be
 * added to it; else its bytes as they came. */
void forward_merge_give(struct forward *f, const struct fwd_path *path, uint8_t flags,
                        const struct ip_view *v, const uint8_t *header, struct packet *p);
/* The batch is over. */
void forward_merge_end(struct forward *f);

/* ---- forward_pieces.c ---- */

/* Keeps a piece, and delivers the packet when this was the last one missing. */
void forward_pieces_add(struct forward *f, instant now, struct fwd_path *path, struct lane *lane,
                        const struct record_header *h, struct packet *p);
/* Gives up what waits too long, and what belonged to lanes that are gone. */
void forward_pieces_sweep(struct forward *f, instant now);
void forward_pieces_done(struct forward *f);
/* The lane is freed: by the control thread. */
void forward_pieces_abandon(struct lane_pieces *pieces);

/* ---- forward_transform.c ---- */

/* Gives a record to a transform and goes on with what comes out. */
void forward_transform_input(struct forward *f, instant now, const struct recipe *recipe,
                             enum transform_way way, struct packet *p);

#endif
