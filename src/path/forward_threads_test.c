#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "path/forward_fixture.h"

#include <pthread.h>
#include <sched.h>

#include "base/cursor.h"
#include "base/ring.h"

/* Two worker threads carry flows both ways between two hosts while a control thread replaces
 * everything that can be replaced: recipes, keys, labels, policies, and the handle table.  Every
 * packet must arrive, once, in the order of its flow; under ThreadSanitizer this is also the proof
 * of how things are published.
 *
 * Thread i drives worker i of both hosts.  What leaves one worker reaches another through rings, in
 * order; a datagram goes to the worker that a kernel which knows no lanes might choose. */

enum { THREADS = 2, FLOWS = 8, EACH = 1500, REKEYS = 20, OUTSTANDING = 48, LANES = 6 };

enum slot_kind { SLOT_DATAGRAM, SLOT_HANDOVER_CAPTURED, SLOT_HANDOVER_RECORD };

struct slot {
    uint8_t kind, side;
    uint16_t size;
    struct packet_offload offload;
    struct arrival arrival;
    uint8_t bytes[1500];
};

struct world {
    struct side side[2];
    struct ring *ring[THREADS][THREADS];
    /* Written by the thread that captures, or delivers, the flow; the rest reads. */
    atomic_uint captured[FLOWS], delivered[FLOWS];
    atomic_uint faults;
    atomic_bool enough, stop;
    unsigned rekeys, republished;
};

struct thread {
    struct world *world;
    unsigned index;
    pthread_t id;
};

static void fault(struct world *w, bool broken)
{
    if (broken)
        atomic_fetch_add(&w->faults, 1);
}

/* Flows of even number start at host 0. */
static unsigned flow_side(unsigned flow)
{
    return flow & 1;
}

static void push(struct world *w, unsigned from, unsigned to, enum slot_kind kind, unsigned side,
                 const struct packet *p)
{
    struct slot *s = ring_reserve(w->ring[from][to]);
    require(s && p->size <= sizeof s->bytes);
    s->kind = kind;
    s->side = (uint8_t)side;
    s->size = (uint16_t)p->size;
    s->offload = p->offload;
    s->arrival = p->arrival;
    memcpy(s->bytes, p->data, p->size);
    ring_commit(w->ring[from][to]);
}

/* A packet for the programs of host `side`: UDP, port 4000 + flow, a number in its payload. */
static void deliver(struct world *w, const struct packet *p)
{
    struct reader r = reader_over(p->data + 20, p->size - 20);
    unsigned flow = read_u16(&r) - 4000u;
    read_u16(&r);
    read_u32(&r);
    uint32_t number = read_u32(&r);
    fault(w, p->size < 32 || flow >= FLOWS || !craft_sums_right(p->data, p->size));
    if (flow >= FLOWS)
        return;
    unsigned expected = atomic_load_explicit(&w->delivered[flow], memory_order_relaxed);
    fault(w, number != expected);
    atomic_store_explicit(&w->delivered[flow], expected + 1, memory_order_release);
}

static void pull(struct world *w, unsigned thread, unsigned side)
{
    struct forward_out out;
    while (forward_output(w->side[side].forward[thread], &out)) {
        struct packet *p = out.packet;
        if (out.kind == FORWARD_SEND) {
            /* Any choice will do that depends on the lane only: it keeps the order. */
            p->arrival = (struct arrival){.remote = w->side[side].endpoint, .ecn = out.tos & 3};
            unsigned lane = p->data[7] & 0xF;
            push(w, thread, (lane / 2) % THREADS, SLOT_DATAGRAM, !side, p);
        } else if (out.kind == FORWARD_HANDOVER) {
            push(w, thread, out.worker,
                 out.from_capture ? SLOT_HANDOVER_CAPTURED : SLOT_HANDOVER_RECORD, side, p);
        } else if (out.kind == FORWARD_CAPTURE) {
            deliver(w, p);
        } else {
            fault(w, true);
        }
        packet_give_back(p);
    }
}

static bool drain(struct world *w, unsigned thread, struct ring *ring, instant now)
{
    struct slot *s;
    bool any = false;
    while ((s = ring_peek(ring))) {
        struct side *side = &w->side[s->side];
        struct packet *p = packet_take(side->pool[thread]);
        require(p && packet_fill(p, s->bytes, s->size));
        p->offload = s->offload;
        p->arrival = s->arrival;
        if (s->kind == SLOT_DATAGRAM)
            forward_underlay(side->forward[thread], now, &p, 1);
        else
            forward_handed_over(side->forward[thread], now, p, s->kind == SLOT_HANDOVER_CAPTURED);
        unsigned number = s->side;
        ring_release(ring);
        pull(w, thread, number);
        any = true;
    }
    return any;
}

/* Flows are captured by one thread, which is not always the one that owns their lane. */
static bool send_some(struct world *w, unsigned thread, instant now)
{
    bool any = false, enough = atomic_load(&w->enough);
    for (unsigned flow = 0; flow < FLOWS; flow++) {
        struct side *side = &w->side[flow_side(flow)];
        unsigned number = atomic_load_explicit(&w->captured[flow], memory_order_relaxed);
        unsigned done = atomic_load_explicit(&w->delivered[flow], memory_order_acquire);
        if (flow / 2 % THREADS != thread || enough || number - done >= OUTSTANDING / FLOWS)
            continue;
        uint8_t payload[600] = {0, (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                                (uint8_t)number};
        struct craft c = {.source = flow_side(flow) ? "10.0.0.98" : "10.0.0.97",
                          .destination = flow_side(flow) ? "198.18.0.97" : "198.18.0.98",
                          .protocol = IP_UDP,
                          .source_port = (uint16_t)(4000 + flow),
                          .destination_port = 53,
                          .payload = payload,
                          .payload_size = number % 7 ? 64 : 600}; /* the long ones in pieces */
        struct packet *p = packet_take(side->pool[thread]);
        require(p);
        p->size = craft_packet(p->data, &c);
        atomic_store_explicit(&w->captured[flow], number + 1, memory_order_release);
        forward_capture(side->forward[thread], now, &p, 1);
        pull(w, thread, flow_side(flow));
        any = true;
    }
    return any;
}

static void *work(void *context)
{
    struct thread *t = context;
    struct world *w = t->world;
    instant now = 0;
    while (!atomic_load(&w->stop)) {
        bool any = false;
        now += MICROSECOND;
        for (unsigned i = 0; i < 2; i++)
            epoch_online(w->side[i].epoch, t->index);
        for (unsigned i = 0; i < THREADS; i++)
            any |= drain(w, t->index, w->ring[i][t->index], now);
        any |= send_some(w, t->index, now);
        for (unsigned i = 0; i < 2; i++)
            epoch_announce(w->side[i].epoch, t->index);
        if (!any) {
            for (unsigned i = 0; i < 2; i++)
                epoch_offline(w->side[i].epoch, t->index);
            sched_yield();
        }
    }
    for (unsigned i = 0; i < 2; i++)
        epoch_offline(w->side[i].epoch, t->index);
    return NULL;
}

/* ---- the control thread ---- */

static void release_sealer(void *sealer)
{
    record_sealer_free(sealer);
}

static void release_opener(void *opener)
{
    lane_opener_free(opener);
}

static bool all_delivered(struct world *w, const unsigned *wanted)
{
    for (unsigned i = 0; i < FLOWS; i++) {
        if (atomic_load_explicit(&w->delivered[i], memory_order_acquire) < wanted[i])
            return false;
    }
    return true;
}

/* Keys of the next epoch: first all that open, then all that seal. */
static void rekey(struct world *w, uint8_t epoch)
{
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &w->side[i];
        char peer = w->side[!i].letter;
        for (unsigned lane = 1; lane < LANES; lane++) {
            struct lane_opener *fresh = side_opener(peer, s->letter, lane, epoch);
            struct lane_opener *old =
                atomic_exchange(&s->path.lane[lane]->opener[epoch % LANE_OPENERS], fresh);
            if (old)
                epoch_retire(s->epoch, old, release_opener);
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &w->side[i];
        char peer = w->side[!i].letter;
        for (unsigned lane = 1; lane < LANES; lane++) {
            struct record_sealer *fresh = side_sealer(s->letter, peer, lane, epoch);
            epoch_retire(s->epoch, atomic_exchange(&s->path.lane[lane]->sealer, fresh),
                         release_sealer);
        }
    }
    w->rekeys++;
}

static void republish(struct world *w, struct side *s, char peer, struct fwd_handle *others)
{
    struct recipe *recipe = side_recipe(s->letter, peer, w->republished & 1 ? 400 : 1400);
    atomic_store(&s->tunnel.recipe, recipe);
    epoch_retire(s->epoch, s->recipe, free);
    s->recipe = recipe;

    struct fwd_label *label = base_calloc(1, sizeof *label);
    label->path = &s->path;
    struct fwd_label *old = fwd_label_find(s->tables, SIDE_SLOT);
    fwd_label_set(s->tables, SIDE_SLOT, label);
    if (old != &s->label)
        epoch_retire(s->epoch, old, free);

    struct fwd_policy *policy = base_calloc(1, sizeof *policy);
    policy->everything = true;
    atomic_store(&s->path.policy, policy);
    epoch_retire(s->epoch, s->policy, free);
    s->policy = policy;

    for (unsigned i = 0; i < 20; i++)
        fwd_handle_add(s->tables, &others[i]);
    for (unsigned i = 0; i < 20; i++)
        fwd_handle_remove(s->tables, &others[i]);
    w->republished++;
}

static void control(struct world *w)
{
    static struct fwd_handle others[20];
    unsigned least[FLOWS], before[FLOWS] = {0};
    uint64_t mark[2] = {epoch_mark(w->side[0].epoch), epoch_mark(w->side[1].epoch)};
    for (unsigned i = 0; i < 20; i++) {
        others[i].v4 = side_address("198.19.0.0");
        others[i].v4.bytes[3] = (uint8_t)i;
    }
    for (unsigned i = 0; i < FLOWS; i++)
        least[i] = EACH;
    while ((w->rekeys < REKEYS || !all_delivered(w, least)) && !atomic_load(&w->faults)) {
        for (unsigned i = 0; i < 2; i++) {
            republish(w, &w->side[i], w->side[!i].letter, others);
            epoch_collect(w->side[i].epoch);
        }
        /* A key is replaced when nothing sealed before the last change is under way any more. */
        if (epoch_passed(w->side[0].epoch, mark[0]) && epoch_passed(w->side[1].epoch, mark[1]) &&
            all_delivered(w, before)) {
            rekey(w, (uint8_t)(w->rekeys + 1));
            for (unsigned i = 0; i < 2; i++)
                mark[i] = epoch_mark(w->side[i].epoch);
            for (unsigned i = 0; i < FLOWS; i++)
                before[i] = atomic_load_explicit(&w->captured[i], memory_order_acquire);
        }
        sched_yield();
    }
}

/* Lets the workers come to an end: nothing new, until all that was captured is delivered. */
static void finish(struct world *w)
{
    uint64_t mark[2];
    unsigned all[FLOWS];
    atomic_store(&w->enough, true);
    for (unsigned i = 0; i < 2; i++) {
        mark[i] = epoch_mark(w->side[i].epoch);
        while (!epoch_passed(w->side[i].epoch, mark[i]))
            sched_yield();
    }
    for (unsigned i = 0; i < FLOWS; i++)
        all[i] = atomic_load_explicit(&w->captured[i], memory_order_acquire);
    while (!all_delivered(w, all) && !atomic_load(&w->faults))
        sched_yield();
    atomic_store(&w->stop, true);
}

static void test_everything_changes(void **state)
{
    static struct world w;
    struct thread thread[THREADS];
    const struct side_settings settings = {.workers = THREADS, .lanes = LANES, .recipe_mtu = 1400};
    side_init(&w.side[0], 'a', 'b', &settings);
    side_init(&w.side[1], 'b', 'a', &settings);
    for (unsigned i = 0; i < THREADS; i++) {
        for (unsigned j = 0; j < THREADS; j++)
            w.ring[i][j] = ring_new(1024, sizeof(struct slot));
    }
    for (unsigned i = 0; i < THREADS; i++) {
        thread[i] = (struct thread){.world = &w, .index = i};
        assert_int_equal(pthread_create(&thread[i].id, NULL, work, &thread[i]), 0);
    }
    control(&w);
    finish(&w);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i].id, NULL);

    assert_int_equal(atomic_load(&w.faults), 0);
    for (unsigned i = 0; i < FLOWS; i++)
        assert_int_equal(atomic_load(&w.delivered[i]), atomic_load(&w.captured[i]));
    assert_true(w.rekeys >= REKEYS);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(side_drops_all(&w.side[i]), 0);
        assert_int_equal(side_packets_out(&w.side[i]), 0);
        struct fwd_label *label = fwd_label_clear(w.side[i].tables, SIDE_SLOT);
        if (label != &w.side[i].label)
            free(label);
        epoch_collect(w.side[i].epoch);
        side_done(&w.side[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        for (unsigned j = 0; j < THREADS; j++)
            ring_free(w.ring[i][j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_changes),
    };
    return cmocka_run_group_tests_name("path_forward_threads", tests, NULL, NULL);
}
