/* Keys and lanes of a path: what the data path needs to seal and open, and putting it to sleep.
 *
 * Each (direction, lane, epoch) has its own key, derived from the direction's key of that epoch.
 * Openers of two epochs live side by side during a rekey; a sealer is replaced with one pointer
 * store, so no record is sealed twice with one counter: a sealer is made exactly once for a key,
 * except on waking, when it goes on at the counter put away.
 *
 * Parking happens in two steps, because workers may still hold the contexts: first the pointers are
 * taken away, then, when every worker has passed, counters are read and the contexts freed. */
#include "path/path_internal.h"

#include <string.h>

struct parking {
    uint64_t mark;
    struct record_sealer *sealer[FORWARD_LANES_MAX];
    struct lane_opener *opener[FORWARD_LANES_MAX];
};

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

static void lane_release(void *object)
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

void session_create(struct path_engine *e, struct path *p, unsigned data_lanes)
{
    struct fwd_path *f = base_calloc(1, sizeof *f);
    f->id = p->slot;
    f->generation = e->slot[p->slot].generation;
    f->label_out = p->label_out;
    f->lanes = (uint8_t)(1 + data_lanes);
    f->one_hop = p->one_hop;
    f->tunnel = p->first->fwd;
    atomic_store(&f->record_mtu, p->record_mtu);
    for (unsigned i = 0; i < f->lanes; i++)
        f->lane[i] = lane_new((uint8_t)i);
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

void session_first(struct path_engine *e, struct path *p, const struct epoch_keys *keys)
{
    session_install(e, p, keys, true);
    /* The empty record inside CONFIRM took counter 0: the initiator goes on behind it, and who
     * sends it again as a record is a replayer. */
    if (p->initiator)
        set_sealer(e, p->fwd->lane[0], sealer_make(e, p, 0, keys, 1));
    else
        set_opener(e, p->fwd->lane[0], keys->epoch % LANE_OPENERS,
                   opener_make(e, p, 0, keys, false, 0));
}

/* New keys: they can be opened from now on, and are sent with when `send_now`. */
void session_install(struct path_engine *e, struct path *p, const struct epoch_keys *keys,
                     bool send_now)
{
    for (unsigned i = 0; i < p->fwd->lanes; i++)
        set_opener(e, p->fwd->lane[i], keys->epoch % LANE_OPENERS,
                   opener_make(e, p, i, keys, true, 0));
    if (send_now)
        session_send_on(e, p, keys);
}

void session_send_on(struct path_engine *e, struct path *p, const struct epoch_keys *keys)
{
    p->keys = *keys;
    for (unsigned i = 0; i < p->fwd->lanes; i++)
        set_sealer(e, p->fwd->lane[i], sealer_make(e, p, i, keys, 0));
}

/* Receive keys of all epochs but the one in use and the one offered. */
void session_drop_old(struct path_engine *e, struct path *p)
{
    for (unsigned i = 0; i < p->fwd->lanes; i++)
        for (unsigned at = 0; at < LANE_OPENERS; at++) {
            struct lane_opener *o = atomic_load(&p->fwd->lane[i]->opener[at]);
            if (o && o->epoch != p->keys.epoch && !(p->next && o->epoch == p->next->epoch))
                set_opener(e, p->fwd->lane[i], at, NULL);
        }
}

/* Data flows from here on: the label leads to the path, and the path to the peer's addresses. Those
 * are set before workers see the path, and never again. */
void session_publish(struct path_engine *e, struct path *p)
{
    if (p->published)
        return;
    p->fwd->handle4 = p->peer->handle4;
    p->fwd->handle6 = p->peer->handle6;
    policy_apply(e, p);
    struct fwd_label *label = base_calloc(1, sizeof *label);
    label->path = p->fwd;
    fwd_label_set(e->tables, p->slot, label);
    p->published = true;
}

static void forget_parking(struct path_engine *e, struct path *p)
{
    for (unsigned i = 0; p->parking && i < p->fwd->lanes; i++) {
        if (p->parking->sealer[i])
            epoch_retire(e->epoch, p->parking->sealer[i], sealer_release);
        if (p->parking->opener[i])
            epoch_retire(e->epoch, p->parking->opener[i], opener_release);
    }
    free(p->parking);
    p->parking = NULL;
}

void session_free(struct path_engine *e, struct path *p)
{
    if (!p->fwd)
        return;
    if (p->published) {
        struct fwd_label *label = fwd_label_clear(e->tables, p->slot);
        if (label)
            epoch_retire(e->epoch, label, free);
    }
    forget_parking(e, p);
    free(p->parked_lanes);
    p->parked_lanes = NULL;
    for (unsigned i = 0; i < p->fwd->lanes; i++)
        epoch_retire(e->epoch, p->fwd->lane[i], lane_release);
    const struct fwd_policy *policy = atomic_exchange(&p->fwd->policy, NULL);
    if (policy)
        epoch_retire(e->epoch, (void *)policy, free);
    epoch_retire(e->epoch, p->fwd, free);
    p->fwd = NULL;
}

/* Not while keys are being replaced: records under the others are still on their way. */
bool session_park(struct path_engine *e, struct path *p)
{
    if (p->parked || p->parking || p->next || p->rekey || p->done_waits || p->old_keys_until ||
        p->confirm || !p->published)
        return false;
    p->parking = base_calloc(1, sizeof *p->parking);
    for (unsigned i = 0; i < p->fwd->lanes; i++) {
        struct lane *l = p->fwd->lane[i];
        p->parking->sealer[i] = atomic_exchange(&l->sealer, NULL);
        for (unsigned at = 0; at < LANE_OPENERS; at++) {
            struct lane_opener *o = atomic_exchange(&l->opener[at], NULL);
            if (o && o->epoch == p->keys.epoch)
                p->parking->opener[i] = o;
            else if (o)
                epoch_retire(e->epoch, o, opener_release);
        }
    }
    p->parking->mark = epoch_mark(e->epoch);
    p->parked = true;
    session_parked_settle(e, p);
    return true;
}

bool session_parked_settle(struct path_engine *e, struct path *p)
{
    struct parking *k = p->parking;
    if (!k)
        return true;
    if (!epoch_passed(e->epoch, k->mark))
        return false;
    p->parked_lanes = base_calloc(p->fwd->lanes, sizeof *p->parked_lanes);
    for (unsigned i = 0; i < p->fwd->lanes; i++) {
        struct parked_lane *l = &p->parked_lanes[i];
        l->next_send = record_sealer_counter(k->sealer[i]);
        l->any_received = k->opener[i] && record_opener_highest(k->opener[i]->opener, &l->highest);
        record_sealer_free(k->sealer[i]);
        if (k->opener[i])
            opener_release(k->opener[i]);
    }
    free(k);
    p->parking = NULL;
    return true;
}

void session_wake(struct path_engine *e, struct path *p)
{
    if (!p->parked)
        return;
    p->parked = false;
    for (unsigned i = 0; i < p->fwd->lanes; i++) {
        struct lane *l = p->fwd->lane[i];
        if (p->parking) { /* not put away yet: the same contexts go back */
            atomic_store(&l->opener[p->keys.epoch % LANE_OPENERS], p->parking->opener[i]);
            atomic_store(&l->sealer, p->parking->sealer[i]);
            continue;
        }
        const struct parked_lane *k = &p->parked_lanes[i];
        set_opener(e, l, p->keys.epoch % LANE_OPENERS,
                   opener_make(e, p, i, &p->keys, !k->any_received, k->highest));
        set_sealer(e, l, sealer_make(e, p, i, &p->keys, k->next_send));
    }
    free(p->parking);
    p->parking = NULL;
    free(p->parked_lanes);
    p->parked_lanes = NULL;
}

/* ---- what the lanes tell ---- */

instant session_heard(const struct path *p)
{
    instant latest = 0;
    for (unsigned i = 0; p->fwd && i < p->fwd->lanes; i++) {
        instant t = atomic_load_explicit(&p->fwd->lane[i]->heard, memory_order_relaxed);
        latest = t > latest ? t : latest;
    }
    return latest;
}

instant session_sent(const struct path *p)
{
    instant latest = 0;
    for (unsigned i = 0; p->fwd && i < p->fwd->lanes; i++) {
        instant t = atomic_load_explicit(&p->fwd->lane[i]->sent, memory_order_relaxed);
        latest = t > latest ? t : latest;
    }
    return latest;
}

/* Last use of a data lane, either way; the beginning of the path when there was none. */
instant session_data_used(const struct path *p)
{
    instant latest = p->since;
    for (unsigned i = 1; p->fwd && i < p->fwd->lanes; i++) {
        instant s = atomic_load_explicit(&p->fwd->lane[i]->sent, memory_order_relaxed);
        instant h = atomic_load_explicit(&p->fwd->lane[i]->heard, memory_order_relaxed);
        latest = s > latest ? s : latest;
        latest = h > latest ? h : latest;
    }
    return latest;
}

/* Asks the workers to tell of the next record. */
void session_watch(struct path *p)
{
    for (unsigned i = 1; i < p->fwd->lanes; i++)
        atomic_store_explicit(&p->fwd->lane[i]->watch, true, memory_order_relaxed);
}

uint64_t session_counter(const struct path *p)
{
    uint64_t most = 0;
    for (unsigned i = 0; i < p->fwd->lanes; i++) {
        const struct lane *l = p->fwd->lane[i];
        const struct record_sealer *s = atomic_load(&l->sealer);
        uint64_t c = s ? record_sealer_counter(s) : 0;
        most = c > most ? c : most;
    }
    return most;
}

void session_set_mtu(struct path *p, uint16_t record_mtu)
{
    p->record_mtu = record_mtu;
    if (p->fwd)
        atomic_store_explicit(&p->fwd->record_mtu, record_mtu, memory_order_relaxed);
}
