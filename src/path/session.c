/* Keys and lanes of a path: what the data path needs to seal and open.  Putting them to sleep is in
 * park.c.
 *
 * Each (direction, lane, epoch) has its own key, derived from the direction's key of that epoch.
 * Openers of two epochs live side by side during a rekey; a sealer is replaced with one pointer
 * store, so no record is sealed twice with one counter: a sealer is made exactly once for a key,
 * except on waking, when it goes on at the counter put away.
 */
#include "path/path_internal.h"

#include <string.h>

static void opener_release(void *object)
{
    struct lane_opener *o = object;
    record_opener_free(o->opener);
    free(o);
}

static void sealer_release(void *object)
{
    record_sealer_free(object);
}

void path_session_lane_release(void *object)
{
    lane_free(object);
}

static void set_opener(struct path_engine *e, struct lane *l, unsigned at, struct lane_opener *o)
{
    struct lane_opener *old = atomic_exchange(&l->opener[at], o);
    if (old)
        epoch_retire(e->epoch, old, opener_release);
}

static void set_sealer(struct path_engine *e, struct lane *l, struct record_sealer *s)
{
    struct record_sealer *old = atomic_exchange(&l->sealer, s);
    if (old)
        epoch_retire(e->epoch, old, sealer_release);
}

void path_session_create(struct path_engine *e, struct path *p, unsigned data_lanes)
{
    size_t size = offsetof(struct fwd_path, lane) + (1 + data_lanes) * sizeof(struct lane *);
    struct fwd_path *f = base_calloc(1, size);
    f->label.path = f;
    f->id = p->slot;
    f->generation = e->slot[p->slot].generation;
    f->label_out = p->label_out;
    f->lanes = (uint8_t)(1 + data_lanes);
    f->one_hop = p->one_hop;
    f->tunnel = p->first->fwd;
    atomic_store(&f->record_mtu, p->record_mtu);
    for (unsigned i = 0; i < f->lanes; i++)
        atomic_store(&f->lane[i], lane_new((uint8_t)i));
    p->fwd = f;
}

static struct lane_opener *opener_make(struct path_engine *e, const struct path *p, unsigned lane,
                                       const struct epoch_keys *k, bool fresh, uint64_t floor)
{
    uint8_t key[32];
    struct lane_opener *o = base_calloc(1, sizeof *o);
    record_lane_key(k->receive, (uint8_t)lane, k->epoch, key);
    o->epoch = k->epoch;
    o->opener = record_opener_new(e->library, p->aead, key, fresh, floor);
    require(o->opener);
    crypto_wipe(key, sizeof key);
    return o;
}

static struct record_sealer *sealer_make(struct path_engine *e, const struct path *p, unsigned lane,
                                         const struct epoch_keys *k, uint64_t counter)
{
    uint8_t key[32];
    record_lane_key(k->send, (uint8_t)lane, k->epoch, key);
    struct record_sealer *s = record_sealer_new(e->library, p->aead, key, k->epoch, counter);
    require(s);
    crypto_wipe(key, sizeof key);
    return s;
}

void path_session_first(struct path_engine *e, struct path *p, const struct epoch_keys *keys)
{
    path_session_install(e, p, keys, true);
    /* The empty record inside CONFIRM took counter 0: the initiator goes on behind it, and who
     * sends it again as a record is a replayer. */
    if (p->initiator)
        set_sealer(e, p->fwd->lane[0], sealer_make(e, p, 0, keys, 1));
    else
        set_opener(e, p->fwd->lane[0], keys->epoch % LANE_OPENERS,
                   opener_make(e, p, 0, keys, false, 0));
}

/* New keys: they can be opened from now on, and are sent with when `send_now`. */
void path_session_install(struct path_engine *e, struct path *p, const struct epoch_keys *keys,
                          bool send_now)
{
    for (unsigned i = 0; i < p->fwd->lanes; i++)
        set_opener(e, p->fwd->lane[i], keys->epoch % LANE_OPENERS,
                   opener_make(e, p, i, keys, true, 0));
    if (send_now)
        path_session_send_on(e, p, keys);
}

void path_session_send_on(struct path_engine *e, struct path *p, const struct epoch_keys *keys)
{
    p->keys = *keys;
    for (unsigned i = 0; i < p->fwd->lanes; i++)
        set_sealer(e, p->fwd->lane[i], sealer_make(e, p, i, keys, 0));
}

/* Receive keys of all epochs but the one in use and the one offered. */
void path_session_drop_old(struct path_engine *e, struct path *p)
{
    for (unsigned i = 0; i < p->fwd->lanes; i++)
        for (unsigned at = 0; at < LANE_OPENERS; at++) {
            struct lane_opener *o = atomic_load(&p->fwd->lane[i]->opener[at]);
            if (o && o->epoch != p->keys.epoch &&
                !(path_work(p)->next && o->epoch == path_work(p)->next->epoch))
                set_opener(e, p->fwd->lane[i], at, NULL);
        }
}

/* Data flows from here on: the label leads to the path, and the path to the peer's addresses. Those
 * are set before workers see the path, and never again. */
void path_session_publish(struct path_engine *e, struct path *p)
{
    if (p->published)
        return;
    p->fwd->handle4 = p->peer->handle4;
    p->fwd->handle6 = p->peer->handle6;
    path_policy_apply(e, p);
    path_session_watch(p); /* the first record begins the search for the MTU */
    fwd_label_set(e->tables, p->slot, &p->fwd->label);
    p->published = true;
}

void path_session_free(struct path_engine *e, struct path *p)
{
    if (!p->fwd)
        return;
    if (p->published)
        fwd_label_clear(e->tables, p->slot);
    path_session_forget_parked(e, p);
    for (unsigned i = 0; i < p->fwd->lanes; i++)
        if (atomic_load(&p->fwd->lane[i]))
            epoch_retire(e->epoch, atomic_load(&p->fwd->lane[i]), path_session_lane_release);
    path_policy_forget(e, p);
    epoch_retire(e->epoch, p->fwd, free);
    p->fwd = NULL;
}

/* One lane's keys of the epoch in use: from counter `next_send` on, and nothing that is not above
 * `highest`. */
void path_session_key_lane(struct path_engine *e, const struct path *p, struct lane *l,
                           uint64_t next_send, const uint64_t *highest)
{
    set_opener(e, l, p->keys.epoch % LANE_OPENERS,
               opener_make(e, p, l->index, &p->keys, !highest, highest ? *highest : 0));
    set_sealer(e, l, sealer_make(e, p, l->index, &p->keys, next_send));
}

/* ---- what the lanes tell ---- */

static instant later(instant a, instant b)
{
    return a > b ? a : b;
}

/* Of the lanes from `first` on: when the last record came, and went. */
static void last_use(const struct path *p, unsigned first, instant *ret_heard, instant *ret_sent)
{
    *ret_heard = *ret_sent = 0;
    path_session_parked_use(p, first, ret_heard, ret_sent);
    for (unsigned i = first; p->fwd && i < p->fwd->lanes; i++) {
        struct lane *l = atomic_load(&p->fwd->lane[i]);
        if (!l)
            continue;
        *ret_heard = later(*ret_heard, atomic_load_explicit(&l->heard, memory_order_relaxed));
        *ret_sent = later(*ret_sent, atomic_load_explicit(&l->sent, memory_order_relaxed));
    }
}

instant path_session_heard(const struct path *p)
{
    instant heard, sent;
    last_use(p, 0, &heard, &sent);
    return heard;
}

instant path_session_sent(const struct path *p)
{
    instant heard, sent;
    last_use(p, 0, &heard, &sent);
    return sent;
}

/* Last use of a data lane, either way; the beginning of the path when there was none. */
instant path_session_data_used(const struct path *p)
{
    instant heard, sent;
    last_use(p, 1, &heard, &sent);
    return later(p->since, later(heard, sent));
}

void path_session_data_last(const struct path *p, instant *ret_heard, instant *ret_sent)
{
    last_use(p, 1, ret_heard, ret_sent);
}

bool path_session_data_unanswered(const struct path *p, instant pause)
{
    instant heard, sent;
    last_use(p, 1, &heard, &sent);
    return sent > later(heard, p->since) + pause;
}

void path_session_data_sent(const struct path *p, uint64_t *ret_records, uint64_t *ret_bytes)
{
    *ret_records = *ret_bytes = 0;
    for (unsigned i = 1; p->fwd && i < p->fwd->lanes; i++) {
        const struct lane *l = atomic_load(&p->fwd->lane[i]);
        if (!l)
            continue;
        *ret_records += atomic_load_explicit(&l->records_out, memory_order_relaxed);
        *ret_bytes += atomic_load_explicit(&l->bytes_out, memory_order_relaxed);
    }
}

/* Asks the workers to tell of the next record. */
void path_session_watch(struct path *p)
{
    for (unsigned i = 1; i < p->fwd->lanes; i++) {
        struct lane *l = atomic_load(&p->fwd->lane[i]);
        if (l)
            atomic_store_explicit(&l->watch, true, memory_order_relaxed);
    }
}

uint64_t path_session_counter(const struct path *p)
{
    uint64_t most = 0;
    for (unsigned i = 0; i < p->fwd->lanes; i++) {
        const struct lane *l = atomic_load(&p->fwd->lane[i]);
        const struct record_sealer *s = l ? atomic_load(&l->sealer) : NULL;
        uint64_t c = s ? record_sealer_counter(s) : 0;
        most = c > most ? c : most;
    }
    return most;
}

void path_session_set_mtu(struct path *p, uint16_t record_mtu)
{
    p->record_mtu = record_mtu;
    if (p->fwd)
        atomic_store_explicit(&p->fwd->record_mtu, record_mtu, memory_order_relaxed);
}
