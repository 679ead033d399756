/* Handles as the data path sees them, packets that wait for a path, and ageing.
 *
 * Every handle of the table, a resting one too, has a `struct fwd_handle` that workers find by address; without a path its
 * packets are punted here and wait, a few per handle, until the path stands or cannot be set up.  A packet to a resting
 * handle brings its host's path up again like any other, and with the path the handle lives again: who still has the
 * address means the host that it was given for. */
#include "host/host_internal.h"

#include <string.h>

#include "packet/icmp.h"

struct host_handle *host_handle_find(struct host *h, uint32_t id)
{
    struct host_handle *hh;
    HASH_FIND(hh, h->host_handles, &id, sizeof id, hh);
    return hh;
}

/* Makes the handle known to workers. */
struct host_handle *host_handle_get(struct host *h, const struct handle *record)
{
    struct host_handle *hh = host_handle_find(h, record->id);
    if (hh)
        return hh;
    hh = base_calloc(1, sizeof *hh);
    hh->id = record->id;
    hh->last = &hh->first;
    hh->fwd = base_calloc(1, sizeof *hh->fwd);
    hh->fwd->v4 = record->v4;
    hh->fwd->v6 = record->v6;
    hh->fwd->id = record->id;
    HASH_ADD(hh, h->host_handles, id, sizeof hh->id, hh);
    fwd_handle_add(h->tables, hh->fwd);
    return hh;
}

static void drop_waiting(struct host *h, struct host_handle *hh)
{
    while (hh->first) {
        struct waiting *w = hh->first;
        hh->first = w->next;
        free(w);
        h->waiting--;
    }
    hh->last = &hh->first;
    hh->waiting = 0;
}

static void host_handle_forget(struct host *h, struct host_handle *hh)
{
    drop_waiting(h, hh);
    fwd_handle_remove(h->tables, hh->fwd);
    epoch_retire(h->epoch, hh->fwd, free);
    HASH_DEL(h->host_handles, hh);
    free(hh);
}

void host_handles_load(struct host *h)
{
    unsigned pass = 0;
    const struct handle *record;
    while ((record = handle_next(h->handles, &pass)))
        host_handle_get(h, record);
}

bool host_handle_addresses(const struct host *h, const struct ip_address *address,
                           struct ip_address *ret_v4, struct ip_address *ret_v6)
{
    const struct handle *record = handle_by_address(h->handles, address);
    if (!record)
        return false;
    *ret_v4 = record->v4;
    *ret_v6 = record->v6;
    return true;
}

void host_handles_free(struct host *h)
{
    struct host_handle *hh, *next;
    HASH_ITER(hh, h->host_handles, hh, next)
    host_handle_forget(h, hh);
}

/* ---- waiting ---- */

void host_handle_wait(struct host *h, struct host_handle *hh, const struct packet *p)
{
    if (hh->waiting >= WAITING_PER_HANDLE || h->waiting >= WAITING_ALL) {
        drop_count(&h->drops, DROP_QUEUE_FULL);
        return;
    }
    struct waiting *w = base_calloc(1, sizeof *w + p->size);
    w->offload = p->offload;
    w->size = p->size;
    memcpy(w->bytes, p->data, p->size);
    *hh->last = w;
    hh->last = &w->next;
    hh->waiting++;
    h->waiting++;
}

void host_handle_flush(struct host *h, struct host_handle *hh)
{
    for (struct waiting *w = hh->first; w; w = w->next) {
        struct host_out *o = host_out_add(h, HOST_OUT_INJECT);
        o->from_capture = true;
        o->offload = w->offload;
        host_out_bytes(h, w->bytes, w->size);
    }
    drop_waiting(h, hh);
}

void host_handle_refuse(struct host *h, struct host_handle *hh)
{
    for (struct waiting *w = hh->first; w; w = w->next) {
        struct packet *p = packet_take(h->pool);
        const struct ip_address *from =
            w->size && w->bytes[0] >> 4 == 4 ? &hh->fwd->v4 : &hh->fwd->v6;
        drop_count(&h->drops, DROP_SET_UP_FAILED);
        if (p && icmp_error(p, ICMP_ERROR_UNREACHABLE_HOST, w->bytes, w->size, from, 0)) {
            host_out_add(h, HOST_OUT_CAPTURE);
            host_out_bytes(h, p->data, p->size);
        }
        packet_give_back(p);
    }
    drop_waiting(h, hh);
}

/* ---- ageing ---- */

static bool has_path(const struct host_handle *hh)
{
    return hh->opening || atomic_load_explicit(&hh->fwd->path, memory_order_relaxed);
}

static void age_one(struct host *h, struct host_handle *hh)
{
    const struct handle *record = handle_by_id(h->handles, hh->id);
    instant used = atomic_load_explicit(&hh->fwd->used, memory_order_relaxed);
    if (used > hh->seen) {
        hh->seen = used;
        handle_touch(h->handles, h->wall, hh->id);
    } else if (!has_path(hh) &&
               h->wall - record->last_used_wall > h->config->timers.quarantine / SECOND / 2) {
        handle_release(h->handles, h->wall, hh->id);
    }
}

/* Does a program hold on to one of the addresses, however silent it is? */
static bool in_use(const struct host *h, const struct handle *record)
{
    const struct host_owner *o = &h->owner;
    if (!o->address_in_use)
        return false;
    return (record->v4.family && o->address_in_use(o->self, &record->v4)) ||
           (record->v6.family && o->address_in_use(o->self, &record->v6));
}

/* Once an hour: what is used is noted, what is not rests, what has rested is free again. */
void host_handles_age(struct host *h)
{
    struct host_handle *hh, *next;
    HASH_ITER(hh, h->host_handles, hh, next)
    age_one(h, hh);
    unsigned pass = 0;
    const struct handle *due;
    while ((due = handle_due(h->handles, h->wall, &pass))) {
        hh = host_handle_find(h, due->id);
        bool used = has_path(hh) || in_use(h, due);
        handle_recycle(h->handles, h->wall, due->id, used);
        if (!used)
            host_handle_forget(h, hh);
    }
}
