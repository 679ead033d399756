/* The contract carries more than `ip` needs: a record goes through two prepends with a length and a
 * sequence, over a third host that steers it on, and out again at its destination; and every record
 * of a tunnel passes a transform. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "overlay/overlay.h"
#include "tests/support/overlay_braid.h"
#include "tests/support/seeded.h"

static const char *const at[] = {"192.0.2.1:7500", "192.0.2.2:7500", "192.0.2.3:7500"};
static const char *const name[] = {"alpha", "beta", "carol"};

struct world {
    struct overlay_member member[3];
    struct overlay *host[3];
    struct peel_table peel[3];
    struct packet_pool *pool;
    struct seeded random;
};

static struct arrival arrival_from(unsigned host)
{
    struct arrival a = {.socket = 1};
    assert_true(endpoint_parse(at[host], 0, &a.remote));
    return a;
}

static int set_up(void **state)
{
    struct world *w = base_calloc(1, sizeof *w);
    seeded_init(&w->random, 7);
    w->pool = packet_pool_new(128);
    for (unsigned i = 0; i < 3; i++)
        w->member[i] = (struct overlay_member){.host = name[i], .at = &at[i], .at_count = 1};
    for (unsigned i = 0; i < 3; i++) {
        struct overlay_settings s = {.instance = "x.braid",
                                     .host = name[i],
                                     .members = w->member,
                                     .member_count = 3,
                                     .first_socket = 1,
                                     .keepalive = SECOND,
                                     .entropy = &w->random.entropy};
        const char *reason = NULL;
        struct overlay_out out;
        w->host[i] = overlay_new(&overlay_braid_class, &s, 0, &reason);
        assert_non_null(w->host[i]);
        assert_true(w->host[i]->class->output(w->host[i], &out));
        assert_int_equal(out.kind, OVERLAY_PEEL);
        w->peel[i] = *out.peel;
    }
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 3; i++)
        overlay_free(w->host[i]);
    packet_pool_free(w->pool);
    free(w);
    return 0;
}

static unsigned host_at(const struct endpoint *e)
{
    for (unsigned i = 0; i < 3; i++) {
        struct arrival a = arrival_from(i);
        if (endpoint_equal(e, &a.remote))
            return i;
    }
    fail_msg("nobody is there");
    return 0;
}

/* The packet, as host `to` receives it from `from`. */
static struct packet *received(struct world *w, unsigned from, const void *bytes, size_t size)
{
    struct packet *p = packet_take(w->pool);
    assert_true(packet_fill(p, bytes, size));
    p->arrival = arrival_from(from);
    return p;
}

static void deliver_hello(struct world *w, unsigned from, const struct overlay_out *out)
{
    enum drop_reason reason;
    const struct recipe *recipe;
    unsigned to = host_at(&recipe_target(out->recipe)->send.remote);
    struct packet *p = received(w, from, out->bytes, out->size);
    assert_true(recipe_run(out->recipe, p, &reason));
    assert_int_equal(peel_run(&w->peel[to], p, &recipe, &reason), PEEL_IS_MODULES);
    w->host[to]->class->input(w->host[to], 0, &p->arrival, p->data, p->size);
    packet_give_back(p);
}

static void deliver_message(struct world *w, unsigned from, unsigned to, uint32_t tunnel,
                            const struct overlay_out *out)
{
    struct arrival arrival = arrival_from(from);
    w->host[to]->class->link_message(w->host[to], 0, tunnel, &arrival, out->bytes, out->size);
}

/* Opens a tunnel and lets the two modules talk until it is up. */
static struct recipe bring_up(struct world *w, unsigned from, unsigned to, uint32_t tunnel)
{
    struct overlay_out out;
    struct recipe up = {0};
    w->host[from]->class->tunnel_open(w->host[from], 0, tunnel, name[to]);
    for (bool again = true; again;) {
        again = false;
        for (unsigned i = 0; i < 3; i++)
            while (w->host[i]->class->output(w->host[i], &out)) {
                again = true;
                if (out.kind == OVERLAY_SEND) {
                    deliver_hello(w, i, &out);
                } else if (out.kind == OVERLAY_TUNNEL_UP) {
                    up = *out.recipe;
                } else {
                    assert_int_equal(out.kind, OVERLAY_LINK_MESSAGE);
                    deliver_message(w, i, to, tunnel, &out);
                }
            }
    }
    assert_int_equal(up.count, 3);
    return up;
}

static const uint8_t record[] = "\xC0.......01234567 a record of some size";

static void test_round_trip(void **state)
{
    struct world *w = *state;
    struct recipe way = bring_up(w, 0, 1, 4);
    for (unsigned i = 0; i < 3; i++) {
        enum drop_reason reason;
        const struct recipe *recipe;
        struct packet *p = received(w, 0, record, sizeof record);
        assert_true(recipe_run(&way, p, &reason));
        assert_int_equal(p->size, sizeof record + BRAID_OUTER + BRAID_INNER);
        struct reader r = reader_over(p->data, p->size);
        assert_int_equal(read_u8(&r), 0xB7);
        assert_int_equal(read_u8(&r), BRAID_HOPS);
        assert_int_equal(read_u16(&r), p->size - BRAID_OUTER);
        assert_int_equal(read_u32(&r), overlay_braid_number("beta"));
        assert_int_equal(read_u32(&r), overlay_braid_number("alpha"));
        assert_int_equal(read_u16(&r), 0x5354);
        assert_int_equal(read_u32(&r), i);
        assert_int_equal(peel_run(&w->peel[1], p, &recipe, &reason), PEEL_IS_RECORD);
        assert_int_equal(p->size, sizeof record);
        assert_memory_equal(p->data, record, sizeof record);
        /* What was peeled off says where an answer goes. */
        struct recipe answer;
        assert_int_equal(p->arrival.via_size, BRAID_OUTER);
        assert_true(w->host[1]->class->answer(w->host[1], &p->arrival, &answer));
        assert_true(recipe_run(&answer, p, &reason));
        assert_int_equal(peel_run(&w->peel[0], p, &recipe, &reason), PEEL_IS_RECORD);
        packet_give_back(p);
    }
}

static void test_transit(void **state)
{
    struct world *w = *state;
    struct recipe way = bring_up(w, 0, 1, 4);
    enum drop_reason reason;
    const struct recipe *on;
    struct packet *p = received(w, 0, record, sizeof record);
    assert_true(recipe_run(&way, p, &reason));
    size_t size = p->size;
    /* carol is not meant: on it goes, one hop less, until none is left. */
    for (unsigned hops = BRAID_HOPS; hops > 1; hops--) {
        assert_int_equal(peel_run(&w->peel[2], p, &on, &reason), PEEL_FORWARD);
        assert_int_equal(host_at(&recipe_target(on)->send.remote), 1);
        assert_true(recipe_run(on, p, &reason));
        assert_int_equal(p->data[1], hops - 1);
        assert_int_equal(p->size, size);
    }
    assert_int_equal(peel_run(&w->peel[2], p, &on, &reason), PEEL_FORWARD);
    assert_false(recipe_run(on, p, &reason));
    assert_int_equal(reason, DROP_HOP_LIMIT);
    assert_int_equal(peel_run(&w->peel[1], p, &on, &reason), PEEL_IS_RECORD);
    assert_memory_equal(p->data, record, sizeof record);
    packet_give_back(p);
}

static void test_bad_packets(void **state)
{
    struct world *w = *state;
    struct recipe way = bring_up(w, 0, 1, 4);
    enum drop_reason reason;
    const struct recipe *on;
    uint8_t whole[sizeof record + BRAID_OUTER + BRAID_INNER], bad[sizeof whole];
    struct packet *p = received(w, 0, record, sizeof record);
    assert_true(recipe_run(&way, p, &reason));
    memcpy(whole, p->data, sizeof whole);
    packet_give_back(p);
    for (size_t size = 0; size < sizeof whole; size++) {
        p = received(w, 0, whole, size);
        assert_int_equal(peel_run(&w->peel[1], p, &on, &reason), PEEL_DROP);
        packet_give_back(p);
    }
    static const struct {
        unsigned at;
        enum drop_reason reason;
    } flips[] = {{0, DROP_GARBAGE}, {2, DROP_TRUNCATED}, {4, DROP_NO_TUNNEL}, {12, DROP_GARBAGE}};
    for (size_t i = 0; i < sizeof flips / sizeof *flips; i++) {
        memcpy(bad, whole, sizeof bad);
        bad[flips[i].at] ^= 0x40;
        p = received(w, 0, bad, sizeof bad);
        assert_int_equal(peel_run(&w->peel[1], p, &on, &reason), PEEL_DROP);
        assert_int_equal(reason, flips[i].reason);
        packet_give_back(p);
    }
    /* Longer than a length field can say. */
    p = packet_take(w->pool);
    memset(p->data, 0, PACKET_SIZE);
    p->size = PACKET_SIZE;
    assert_false(recipe_run(&way, p, &reason));
    assert_int_equal(reason, DROP_OVERSIZED);
    packet_give_back(p);
}

static void test_own_protocol(void **state)
{
    struct world *w = *state;
    struct overlay *alpha = w->host[0];
    struct overlay_out out;
    bring_up(w, 0, 1, 4);
    assert_int_equal(overlay_braid_greetings(w->host[1]),
                     0); /* beta has no tunnel of that number */
    struct arrival from = arrival_from(0);
    w->host[1]->class->tunnel_accept(w->host[1], 0, 4, "alpha", &from);
    w->host[1]->class->link_message(w->host[1], 0, 4, &from, (const uint8_t *)"braid", 5);
    w->host[1]->class->link_message(w->host[1], 0, 4, &from, (const uint8_t *)"braids", 6);
    assert_int_equal(overlay_braid_greetings(w->host[1]), 1);
    /* carol does not answer: three questions, then words. */
    alpha->class->tunnel_open(alpha, 0, 5, "carol");
    instant now = 0;
    for (unsigned asked = 1; asked <= 3; asked++) {
        assert_true(alpha->class->output(alpha, &out));
        assert_int_equal(out.kind, OVERLAY_SEND);
        assert_false(alpha->class->output(alpha, &out));
        now = alpha->class->deadline(alpha);
        assert_int_equal(now, asked * SECOND);
        alpha->class->advance(alpha, now);
    }
    assert_true(alpha->class->output(alpha, &out));
    assert_int_equal(out.kind, OVERLAY_TUNNEL_FAILED);
    assert_int_equal(out.tunnel, 5);
    assert_string_equal(out.reason, "the member does not answer; is it running?");
    assert_int_equal(alpha->class->deadline(alpha), INSTANT_NEVER);
}

static struct packet *numbered(struct world *w, uint8_t counter)
{
    struct packet *p = received(w, 0, record, sizeof record);
    p->data[15] = counter;
    return p;
}

static void test_transform(void **state)
{
    struct world *w = *state;
    struct recipe way = bring_up(w, 0, 1, 4);
    struct transform *t = way.transform;
    enum transform_way where;
    assert_non_null(t);
    assert_int_equal(t->deadline(t), INSTANT_NEVER);
    for (uint8_t i = 0; i < 3; i++) {
        t->input(t, i, TRANSFORM_SENDING, numbered(w, i));
        struct packet *p = t->output(t, &where);
        assert_int_equal(where, TRANSFORM_SENDING);
        assert_int_equal(p->data[15], i);
        assert_null(t->output(t, &where));
        packet_give_back(p);
    }
    /* The second copies, in order, when they are due. */
    assert_int_equal(t->deadline(t), BRAID_DELAY);
    t->advance(t, BRAID_DELAY + 1);
    for (uint8_t i = 0; i < 2; i++) {
        struct packet *p = t->output(t, &where);
        assert_int_equal(p->data[15], i);
        assert_int_equal(where, TRANSFORM_SENDING);
        packet_give_back(p);
    }
    assert_null(t->output(t, &where));
    assert_int_equal(t->deadline(t), BRAID_DELAY + 2);
    /* Of two that arrive one goes on. */
    for (uint8_t i = 0; i < 6; i++) {
        t->input(t, 5, TRANSFORM_RECEIVING, numbered(w, i / 2));
        struct packet *p = t->output(t, &where);
        assert_int_equal(p != NULL, i % 2 == 0);
        if (p)
            assert_int_equal(where, TRANSFORM_RECEIVING);
        packet_give_back(p);
    }
    struct braid_counts counts = overlay_braid_counts(w->host[0], 4);
    assert_int_equal(counts.sent, 3);
    assert_int_equal(counts.repeated, 2);
    assert_int_equal(counts.received, 6);
    assert_int_equal(counts.doubles, 3);
    /* Closing gives back what the transform still holds. */
    assert_int_equal(packet_pool_out(w->pool), 1);
    w->host[0]->class->tunnel_close(w->host[0], 0, 4);
    assert_int_equal(packet_pool_out(w->pool), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_transit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_packets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_protocol, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_transform, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("overlay_braid", tests, NULL, NULL);
}
