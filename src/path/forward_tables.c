#include <string.h>

#include "base/check.h"
#include "path/forward_internal.h"

/* What the control thread publishes and workers look up without locks.
 *
 * Labels: slots in chunks that are made when the first label of a chunk is set and then stay, so a
 * lookup is two loads and nothing ever moves.
 *
 * Handles: a hash table with open addressing for each family.  Adding stores into a free place;
 * removing leaves a tombstone, so that a search that passes by at the same moment goes on behind
 * it.  A table that fills up (tombstones count) is copied into a fresh one, which is published with
 * one store, and retired.
 *
 * Every pointer is stored with release and loaded with acquire: who sees it sees what it points at.
 */

#define CHUNK_SLOTS 256
#define CHUNKS      (LABEL_SLOTS / CHUNK_SLOTS)
#define PLACES_MIN  16

struct label_chunk {
    _Atomic(struct fwd_label *) slot[CHUNK_SLOTS];
};

struct handle_index {
    uint32_t mask;
    /* The control thread's: how many handles, and how many places are not free (tombstones). */
    uint32_t count, used;
    _Atomic(struct fwd_handle *) place[];
};

struct fwd_tables {
    struct epoch *epoch;
    struct ip_address tun4, tun6;
    struct ip_prefix pool4, pool6;
    _Atomic(struct label_chunk *) chunk[CHUNKS];
    _Atomic(struct handle_index *) handles[2]; /* IPv4, IPv6 */
    _Atomic(const struct peel_table *) peel[FORWARD_SOCKETS_MAX];
    _Atomic(struct transform_list *) transforms;
};

/* Only the address is used. */
static const struct fwd_handle grave;
#define TOMBSTONE ((struct fwd_handle *)&grave)

static struct handle_index *index_new(uint32_t places)
{
    struct handle_index *index =
        base_calloc(1, sizeof *index + places * sizeof(_Atomic(struct fwd_handle *)));
    index->mask = places - 1;
    return index;
}

struct fwd_tables *fwd_tables_new(struct epoch *epoch, const struct ip_address *tun4,
                                  const struct ip_address *tun6, const struct ip_prefix *pool4,
                                  const struct ip_prefix *pool6)
{
    struct fwd_tables *t = base_calloc(1, sizeof *t);
    t->epoch = epoch;
    if (tun4)
        t->tun4 = *tun4;
    if (tun6)
        t->tun6 = *tun6;
    if (pool4)
        t->pool4 = *pool4;
    if (pool6)
        t->pool6 = *pool6;
    atomic_init(&t->handles[0], index_new(PLACES_MIN));
    atomic_init(&t->handles[1], index_new(PLACES_MIN));
    return t;
}

void fwd_tables_free(struct fwd_tables *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < CHUNKS; i++)
        free(atomic_load(&t->chunk[i]));
    free(atomic_load(&t->handles[0]));
    free(atomic_load(&t->handles[1]));
    free(atomic_load(&t->transforms));
    free(t);
}

const struct ip_address *fwd_tun_address(const struct fwd_tables *t, unsigned family)
{
    return family == 4 ? &t->tun4 : &t->tun6;
}

bool fwd_pool_holds(const struct fwd_tables *t, const struct ip_address *ip)
{
    return ip_prefix_holds(ip->family == 4 ? &t->pool4 : &t->pool6, ip);
}

/* ---- labels ---- */

void fwd_label_set(struct fwd_tables *t, uint32_t slot, struct fwd_label *label)
{
    require(slot < LABEL_SLOTS);
    struct label_chunk *chunk = atomic_load(&t->chunk[slot / CHUNK_SLOTS]);
    if (!chunk) {
        chunk = base_calloc(1, sizeof *chunk);
        atomic_store_explicit(&t->chunk[slot / CHUNK_SLOTS], chunk, memory_order_release);
    }
    atomic_store_explicit(&chunk->slot[slot % CHUNK_SLOTS], label, memory_order_release);
}

struct fwd_label *fwd_label_clear(struct fwd_tables *t, uint32_t slot)
{
    struct fwd_label *old = fwd_label_find(t, slot);
    if (old)
        fwd_label_set(t, slot, NULL);
    return old;
}

struct fwd_label *fwd_label_find(struct fwd_tables *t, uint32_t slot)
{
    if (slot >= LABEL_SLOTS)
        return NULL;
    struct label_chunk *chunk =
        atomic_load_explicit(&t->chunk[slot / CHUNK_SLOTS], memory_order_acquire);
    if (!chunk)
        return NULL;
    return atomic_load_explicit(&chunk->slot[slot % CHUNK_SLOTS], memory_order_acquire);
}

void fwd_label_fetch(struct fwd_tables *t, uint32_t slot)
{
    struct label_chunk *chunk =
        slot < LABEL_SLOTS
            ? atomic_load_explicit(&t->chunk[slot / CHUNK_SLOTS], memory_order_acquire)
            : NULL;
    if (chunk)
        __builtin_prefetch(&chunk->slot[slot % CHUNK_SLOTS]);
}

/* ---- handles ---- */

/* Handles are drawn at random by us, so nobody can choose addresses that collide: FNV-1a will do.
 */
static uint32_t address_hash(const struct ip_address *a)
{
    uint32_t hash = 2166136261u;
    unsigned size = a->family == 4 ? 4 : 16;
    for (unsigned i = 0; i < size; i++)
        hash = (hash ^ a->bytes[i]) * 16777619u;
    return hash ^ hash >> 15;
}

static const struct ip_address *handle_address(const struct fwd_handle *h, unsigned family)
{
    return family == 4 ? &h->v4 : &h->v6;
}

struct fwd_handle *fwd_handle_find(struct fwd_tables *t, const struct ip_address *address)
{
    if (address->family != 4 && address->family != 6)
        return NULL;
    struct handle_index *index =
        atomic_load_explicit(&t->handles[address->family == 6], memory_order_acquire);
    for (uint32_t i = address_hash(address), left = index->mask + 1; left; i++, left--) {
        struct fwd_handle *h =
            atomic_load_explicit(&index->place[i & index->mask], memory_order_acquire);
        if (!h)
            return NULL;
        if (h != TOMBSTONE && ip_address_equal(handle_address(h, address->family), address))
            return h;
    }
    return NULL;
}

void fwd_handle_fetch(struct fwd_tables *t, const struct ip_address *address, bool found)
{
    struct handle_index *index =
        atomic_load_explicit(&t->handles[address->family == 6], memory_order_acquire);
    _Atomic(struct fwd_handle *) *place = &index->place[address_hash(address) & index->mask];
    if (found)
        __builtin_prefetch(atomic_load_explicit(place, memory_order_acquire));
    else
        __builtin_prefetch(place);
}

static void index_put(struct handle_index *index, struct fwd_handle *h, unsigned family)
{
    uint32_t i = address_hash(handle_address(h, family)) & index->mask;
    while (atomic_load_explicit(&index->place[i], memory_order_relaxed))
        i = (i + 1) & index->mask;
    atomic_store_explicit(&index->place[i], h, memory_order_release);
    index->count++;
    index->used++;
}

/* A fresh table, at most a quarter full, without tombstones. */
static struct handle_index *index_renew(struct fwd_tables *t, struct handle_index *old,
                                        unsigned family)
{
    uint32_t places = PLACES_MIN;
    while (places < (old->count + 1) * 4)
        places *= 2;
    struct handle_index *fresh = index_new(places);
    for (uint32_t i = 0; i <= old->mask; i++) {
        struct fwd_handle *h = atomic_load_explicit(&old->place[i], memory_order_relaxed);
        if (h && h != TOMBSTONE)
            index_put(fresh, h, family);
    }
    atomic_store_explicit(&t->handles[family == 6], fresh, memory_order_release);
    epoch_retire(t->epoch, old, free);
    return fresh;
}

static void handle_add(struct fwd_tables *t, struct fwd_handle *h, unsigned family)
{
    struct handle_index *index = atomic_load(&t->handles[family == 6]);
    if (handle_address(h, family)->family != family)
        return;
    if ((index->used + 1) * 2 > index->mask)
        index = index_renew(t, index, family);
    index_put(index, h, family);
}

void fwd_handle_add(struct fwd_tables *t, struct fwd_handle *h)
{
    handle_add(t, h, 4);
    handle_add(t, h, 6);
}

static void handle_remove(struct fwd_tables *t, struct fwd_handle *h, unsigned family)
{
    struct handle_index *index = atomic_load(&t->handles[family == 6]);
    for (uint32_t i = 0; i <= index->mask; i++) {
        if (atomic_load_explicit(&index->place[i], memory_order_relaxed) != h)
            continue;
        atomic_store_explicit(&index->place[i], TOMBSTONE, memory_order_release);
        index->count--;
        return;
    }
}

void fwd_handle_remove(struct fwd_tables *t, struct fwd_handle *h)
{
    handle_remove(t, h, 4);
    handle_remove(t, h, 6);
}

/* ---- sockets and transforms ---- */

void fwd_socket_set(struct fwd_tables *t, uint16_t socket, const struct peel_table *peel)
{
    require(socket < FORWARD_SOCKETS_MAX);
    atomic_store_explicit(&t->peel[socket], peel, memory_order_release);
}

const struct peel_table *fwd_socket_peel(struct fwd_tables *t, uint16_t socket)
{
    if (socket >= FORWARD_SOCKETS_MAX)
        return NULL;
    return atomic_load_explicit(&t->peel[socket], memory_order_acquire);
}

/* A new list each time: changes are rare, and readers walk a list that does not move. */
static void transforms_replace(struct fwd_tables *t, struct fwd_tunnel *added,
                               const struct fwd_tunnel *removed)
{
    struct transform_list *old = atomic_load(&t->transforms);
    unsigned room = (old ? old->count : 0) + 1;
    struct transform_list *fresh =
        base_calloc(1, sizeof *fresh + room * sizeof(struct fwd_tunnel *));
    for (unsigned i = 0; old && i < old->count; i++) {
        if (old->tunnel[i] != removed && old->tunnel[i] != added)
            fresh->tunnel[fresh->count++] = old->tunnel[i];
    }
    if (added)
        fresh->tunnel[fresh->count++] = added;
    atomic_store_explicit(&t->transforms, fresh, memory_order_release);
    if (old)
        epoch_retire(t->epoch, old, free);
}

void fwd_transform_add(struct fwd_tables *t, struct fwd_tunnel *tunnel)
{
    transforms_replace(t, tunnel, NULL);
}

void fwd_transform_remove(struct fwd_tables *t, struct fwd_tunnel *tunnel)
{
    transforms_replace(t, NULL, tunnel);
}

const struct transform_list *fwd_transforms(struct fwd_tables *t)
{
    return atomic_load_explicit(&t->transforms, memory_order_acquire);
}
