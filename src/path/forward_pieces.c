#include <string.h>

#include "base/check.h"
#include "path/forward_internal.h"

/* Reassembly of packets that travel in several records (MORE, REST).
 *
 * The pieces of a packet have consecutive counters in one lane and epoch, so a ring of slots by
 * counter is enough: after each piece we look how far the chain reaches to both sides, and if it
 * has a beginning and an end it is the packet.  A record that comes late falls into its place as
 * long as its slot was not needed by a newer one.  Duplicates do not come here: the replay window
 * stands before.
 *
 * What a lane holds is bounded by its slots; what all lanes hold together is bounded as well, and
 * who passes that bound pays with the lane that waits longest.  Pieces live in packets of the
 * worker's pool, but lanes are freed by the control thread: so a lane and its worker each hold a
 * reference, and the worker takes back the packets of a lane that is gone at the next sweep. */

#define PIECES_HELD_MAX  (2 * FORWARD_PIECES) /* of all lanes of a worker */
#define PIECES_PATIENCE  (2 * SECOND)
#define PIECES_SWEEP     (SECOND / 4)
#define PIECES_PACKET    65535 /* largest packet */
#define PIECE_KIND_FLAGS (RECORD_KIND_MASK | RECORD_OPEN_CHECKSUM)

struct piece {
    uint64_t counter;
    uint8_t epoch, flags;
    struct packet *packet; /* NULL: free */
};

struct lane_pieces {
    atomic_int references;
    struct lane_pieces *next; /* in the worker's list */
    unsigned held;
    instant touched;
    struct piece slot[FORWARD_PIECES];
};

static void release(struct lane_pieces *l)
{
    if (atomic_fetch_sub_explicit(&l->references, 1, memory_order_acq_rel) == 1)
        free(l);
}

void forward_pieces_abandon(struct lane_pieces *pieces)
{
    if (pieces)
        release(pieces);
}

static struct packet *take_out(struct forward *f, struct lane_pieces *l, struct piece *piece)
{
    struct packet *p = piece->packet;
    piece->packet = NULL;
    l->held--;
    f->pieces.held--;
    return p;
}

static void give_up(struct forward *f, struct lane_pieces *l)
{
    for (unsigned i = 0; i < FORWARD_PIECES && l->held; i++) {
        if (l->slot[i].packet)
            forward_drop(f, take_out(f, l, &l->slot[i]), DROP_REASSEMBLY);
    }
}

static void give_up_oldest(struct forward *f)
{
    struct lane_pieces *oldest = NULL;
    for (struct lane_pieces *l = f->pieces.first; l; l = l->next) {
        if (l->held && (!oldest || l->touched < oldest->touched))
            oldest = l;
    }
    if (oldest)
        give_up(f, oldest);
}

void forward_pieces_sweep(struct forward *f, instant now)
{
    if (!f->pieces.first || now - f->pieces.swept < PIECES_SWEEP)
        return;
    f->pieces.swept = now;
    for (struct lane_pieces **at = &f->pieces.first; *at;) {
        struct lane_pieces *l = *at;
        bool lane_gone = atomic_load_explicit(&l->references, memory_order_acquire) == 1;
        if (lane_gone || (l->held && now - l->touched > PIECES_PATIENCE))
            give_up(f, l);
        if (lane_gone) {
            *at = l->next;
            release(l);
        } else {
            at = &l->next;
        }
    }
}

void forward_pieces_done(struct forward *f)
{
    while (f->pieces.first) {
        struct lane_pieces *l = f->pieces.first;
        f->pieces.first = l->next;
        give_up(f, l);
        release(l);
    }
}

static struct lane_pieces *pieces_of(struct forward *f, struct lane *lane)
{
    if (!lane->pieces) {
        struct lane_pieces *l = base_calloc(1, sizeof *l);
        atomic_init(&l->references, 2);
        l->next = f->pieces.first;
        f->pieces.first = l;
        lane->pieces = l;
    }
    return lane->pieces;
}

static struct piece *slot_of(struct lane_pieces *l, uint64_t counter)
{
    return &l->slot[counter % FORWARD_PIECES];
}

/* The piece with that counter which belongs to the same packet as `like`, or NULL. */
static struct piece *neighbour(struct lane_pieces *l, uint64_t counter, const struct piece *like)
{
    struct piece *piece = slot_of(l, counter);
    bool same = piece->packet && piece->counter == counter && piece->epoch == like->epoch &&
                !((piece->flags ^ like->flags) & PIECE_KIND_FLAGS);
    return same ? piece : NULL;
}

/* Looks from `piece` to both ends of its packet.  True: all are there, from *ret_first on. */
static bool chain_whole(struct lane_pieces *l, struct piece *piece, uint64_t *ret_first,
                        unsigned *ret_count)
{
    struct piece *first = piece, *last = piece;
    unsigned count = 1;
    while (first->flags & RECORD_REST) {
        first = first->counter ? neighbour(l, first->counter - 1, piece) : NULL;
        if (!first || !(first->flags & RECORD_MORE) || ++count > FORWARD_PIECES)
            return false;
    }
    while (last->flags & RECORD_MORE) {
        last = neighbour(l, last->counter + 1, piece);
        if (!last || !(last->flags & RECORD_REST) || ++count > FORWARD_PIECES)
            return false;
    }
    *ret_first = first->counter;
    *ret_count = count;
    return true;
}

/* Puts the pieces together in the first one's packet.  NULL: more than a packet may hold. */
static struct packet *join(struct forward *f, struct lane_pieces *l, uint64_t first, unsigned count)
{
    struct packet *whole = take_out(f, l, slot_of(l, first));
    for (unsigned i = 1; i < count; i++) {
        struct packet *p = take_out(f, l, slot_of(l, first + i));
        if (whole && (whole->size + p->size > PIECES_PACKET || packet_tailroom(whole) < p->size)) {
            forward_drop(f, whole, DROP_REASSEMBLY);
            whole = NULL;
        }
        if (whole) {
            if (p->arrival.ecn == ECN_CE) /* of one is of all */
                whole->arrival.ecn = ECN_CE;
            memcpy(whole->data + whole->size, p->data, p->size);
            whole->size += p->size;
        }
        packet_give_back(p);
    }
    return whole;
}

void forward_pieces_add(struct forward *f, instant now, struct fwd_path *path, struct lane *lane,
                        const struct record_header *h, struct packet *p)
{
    struct lane_pieces *l = pieces_of(f, lane);
    struct piece *piece = slot_of(l, h->counter);
    if (piece->packet && piece->epoch == h->epoch && piece->counter > h->counter) {
        forward_drop_on(f, path, p, DROP_REASSEMBLY);
        return;
    }
    if (piece->packet)
        forward_drop(f, take_out(f, l, piece), DROP_REASSEMBLY);
    if (f->pieces.held >= PIECES_HELD_MAX)
        give_up_oldest(f);
    *piece =
        (struct piece){.counter = h->counter, .epoch = h->epoch, .flags = h->flags, .packet = p};
    l->held++;
    l->touched = now;
    f->pieces.held++;
    uint64_t first;
    unsigned count;
    if (!chain_whole(l, piece, &first, &count))
        return;
    struct packet *whole = join(f, l, first, count);
    if (whole)
        forward_deliver(f, now, path, h->flags, whole);
}
