/* Putting the lanes of an idle path to sleep: what is left of a lane is where its counters stand.
 *
 * Parking happens in two steps, because workers may still hold the lanes: first their pointers are
 * taken away, so that the next record is punted, then, when every worker has passed, the counters
 * are read and the lanes freed.  Who wakes the path in between gets the same lanes back. */
#include <string.h>

#include "path/path_internal.h"

struct parking {
    uint64_t mark;
    struct lane *lane[];
};

struct asleep {
    uint64_t records_in, records_out, bytes_in, bytes_out; /* of all lanes */
    instant heard[2], sent[2];                             /* of lane 0; of the others */
    uint16_t received;                                     /* lanes that opened anything: by bit */
    struct {
        uint64_t next_send, highest;
    } lane[];
};

void path_session_forget_parked(struct path_engine *e, struct path *p)
{
    for (unsigned i = 0; p->parking && i < p->fwd->lanes; i++)
        epoch_retire(e->epoch, p->parking->lane[i], path_session_lane_release);
    free(p->parking);
    free(p->asleep);
    p->parking = NULL;
    p->asleep = NULL;
}

/* Not while keys are being replaced: records under the others are still on their way. */
bool path_session_park(struct path_engine *e, struct path *p)
{
    if (p->parked || p->parking || path_keys_under_way(p) || !p->published)
        return false;
    p->parking = base_calloc(1, sizeof *p->parking + p->fwd->lanes * sizeof p->parking->lane[0]);
    for (unsigned i = 0; i < p->fwd->lanes; i++)
        p->parking->lane[i] = atomic_exchange(&p->fwd->lane[i], NULL);
    p->parking->mark = epoch_mark(e->epoch);
    p->parked = true;
    path_mtu_free(p); /* it counts what those lanes sent */
    path_session_parked_settle(e, p);
    return true;
}

static uint64_t counted(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void put_away(struct asleep *a, const struct path *p, const struct lane *l)
{
    const struct lane_opener *o = atomic_load(&l->opener[p->keys.epoch % LANE_OPENERS]);
    instant heard = atomic_load(&l->heard), sent = atomic_load(&l->sent);
    unsigned data = l->index > 0;
    a->records_in += counted(&l->records_in);
    a->records_out += counted(&l->records_out);
    a->bytes_in += counted(&l->bytes_in);
    a->bytes_out += counted(&l->bytes_out);
    a->heard[data] = heard > a->heard[data] ? heard : a->heard[data];
    a->sent[data] = sent > a->sent[data] ? sent : a->sent[data];
    a->lane[l->index].next_send = record_sealer_counter(atomic_load(&l->sealer));
    if (o && record_opener_highest(o->opener, &a->lane[l->index].highest))
        a->received |= (uint16_t)(1u << l->index);
}

bool path_session_parked_settle(struct path_engine *e, struct path *p)
{
    struct parking *k = p->parking;
    if (!k)
        return true;
    if (!epoch_passed(e->epoch, k->mark))
        return false;
    p->asleep = base_calloc(1, sizeof *p->asleep + p->fwd->lanes * sizeof p->asleep->lane[0]);
    for (unsigned i = 0; i < p->fwd->lanes; i++) {
        put_away(p->asleep, p, k->lane[i]);
        lane_free(k->lane[i]);
    }
    free(k);
    p->parking = NULL;
    return true;
}

static struct lane *lane_from(struct path_engine *e, const struct path *p, unsigned index)
{
    const struct asleep *a = p->asleep;
    struct lane *l = lane_new((uint8_t)index);
    bool received = a->received >> index & 1;
    path_session_key_lane(e, p, l, a->lane[index].next_send,
                          received ? &a->lane[index].highest : NULL);
    atomic_store(&l->heard, a->heard[index > 0]);
    atomic_store(&l->sent, a->sent[index > 0]);
    if (!index) { /* lane 0 goes on counting for all */
        atomic_store(&l->records_in, a->records_in);
        atomic_store(&l->records_out, a->records_out);
        atomic_store(&l->bytes_in, a->bytes_in);
        atomic_store(&l->bytes_out, a->bytes_out);
    }
    return l;
}

void path_session_wake(struct path_engine *e, struct path *p)
{
    if (!p->parked)
        return;
    p->parked = false;
    for (unsigned i = 0; i < p->fwd->lanes; i++)
        atomic_store_explicit(&p->fwd->lane[i],
                              p->parking ? p->parking->lane[i] : lane_from(e, p, i),
                              memory_order_release);
    free(p->parking);
    free(p->asleep);
    p->parking = NULL;
    p->asleep = NULL;
}

/* ---- looking ---- */

static void take_later(instant *at, instant t)
{
    *at = t > *at ? t : *at;
}

void path_session_parked_use(const struct path *p, unsigned first, instant *heard, instant *sent)
{
    for (unsigned i = first; p->parking && i < p->fwd->lanes; i++) {
        take_later(heard, atomic_load(&p->parking->lane[i]->heard));
        take_later(sent, atomic_load(&p->parking->lane[i]->sent));
    }
    for (unsigned data = first > 0; p->asleep && data < 2; data++) {
        take_later(heard, p->asleep->heard[data]);
        take_later(sent, p->asleep->sent[data]);
    }
}

static void add_lane(const struct lane *l, struct path_info *ret)
{
    ret->records_in += counted(&l->records_in);
    ret->records_out += counted(&l->records_out);
    ret->bytes_in += counted(&l->bytes_in);
    ret->bytes_out += counted(&l->bytes_out);
}

void path_session_count(const struct path *p, struct path_info *ret)
{
    for (unsigned i = 0; p->fwd && i < p->fwd->lanes; i++) {
        const struct lane *l = p->parking ? p->parking->lane[i] : atomic_load(&p->fwd->lane[i]);
        if (l)
            add_lane(l, ret);
    }
    if (p->asleep) {
        ret->records_in += p->asleep->records_in;
        ret->records_out += p->asleep->records_out;
        ret->bytes_in += p->asleep->bytes_in;
        ret->bytes_out += p->asleep->bytes_out;
    }
}

uint64_t path_session_parked_counter(const struct path *p, unsigned lane)
{
    return p->asleep ? p->asleep->lane[lane].next_send : 0;
}
