/* A host of i3 among servers that lie: alone with one, and when one of several does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "overlay/i3/i3_fixture.h"

#define SEEDS 6 /* each of the servers is somebody's first one in some of these worlds */

static struct lab *lab;
static struct lab_host *alpha, *beta;

static unsigned exchange(unsigned times)
{
    return lab_exchange(alpha, beta, times);
}

/* What the path engine does while a tunnel fails: another one. */
static void open_until(instant span)
{
    instant end = lab->now + span;
    lab_open(alpha, "beta");
    while (!lab_by_private(alpha) && lab->now < end) {
        lab_run(lab, 100 * MILLISECOND);
        if (!alpha->tunnel[0].failed)
            continue;
        alpha->overlay->class->tunnel_close(alpha->overlay, lab->now, 0);
        alpha->tunnel[0].used = false;
        lab_open(alpha, "beta");
    }
}

static void two_hosts(void)
{
    alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", NULL);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", NULL);
}

static void begin_at(struct lab_host *h, const struct lab_server *s)
{
    i3_of(h->overlay)->client.seed_used = (unsigned)(s - lab->server);
}

static bool distrusts(const struct lab_host *h, const struct lab_server *s)
{
    return i3_client_distrusts(&i3_of(h->overlay)->client, lab->now, &s->at);
}

/* ---- one of several lies ---- */

static const unsigned lies[] = {
    LAB_LIE_ACK,
    LAB_LIE_ACK | LAB_LIE_CLAIM,
    LAB_LIE_ACK | LAB_LIE_CLAIM | LAB_LIE_MISSING,
    LAB_LIE_CHALLENGE | LAB_LIE_CLAIM,
    LAB_LIE_CONSTRAINT | LAB_LIE_CLAIM | LAB_LIE_MISSING,
    LAB_LIE_ACK | LAB_LIE_CLAIM | LAB_LIE_FORCE,
    LAB_LIE_CLAIM | LAB_LIE_MISSING | LAB_LIE_MANY,
    0,
};

static bool held_by_another(const struct lab_host *h, const struct lab_server *liar)
{
    const struct i3_binding *b = i3_of(h->overlay)->name[0];
    return b->state == I3_BINDING_HELD && !endpoint_equal(&b->at, &liar->at);
}

/* Both hosts begin with the liar, which answers before anybody else: after 5 s their names are where they are looked for, and
 * after 5 s more what they send arrives. */
static void one_of_three_lies(void **state)
{
    for (unsigned i = 0; i < sizeof lies / sizeof *lies * SEEDS; i++) {
        lab = lab_new(2, 1 + i % SEEDS);
        struct lab_server *liar = lab_liar_add(lab, "192.0.2.66:5610", lies[i / SEEDS]);
        two_hosts();
        begin_at(alpha, liar);
        begin_at(beta, liar);
        lab_run(lab, 5 * SECOND);
        assert_true(held_by_another(alpha, liar) && held_by_another(beta, liar));
        open_until(5 * SECOND);
        if (!lab_by_private(alpha) || exchange(10) < 20)
            fail_msg("lies %02x, seed %u", lies[i / SEEDS], 1 + i % SEEDS);
        lab_run(lab, MINUTE);
        unsigned heard = liar->heard;
        assert_int_equal(exchange(10), 20);
        assert_true(liar->heard - heard < 10); /* none of it goes there, only checks */
        assert_false(i3_of(alpha->overlay)->client.near.known &&
                     endpoint_equal(&i3_of(alpha->overlay)->client.near.at, &liar->at));
        lab_free(lab);
    }
}

/* The server that keeps the name's trigger begins to lie, and leaves the ring; nobody talks to us meanwhile.  The next round
 * of checks shows it. */
static void it_begins_to_lie(void **state)
{
    lab = lab_new(4, 3);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", NULL);
    struct i3_client *c = &i3_of(beta->overlay)->client;
    lab_run(lab, 10 * SECOND);
    struct lab_server *liar = lab->server;
    while (!endpoint_equal(&liar->at, &c->checked->at))
        liar++;
    struct i3_server *was = liar->server;
    liar->server = NULL;
    liar->lies = LAB_LIE_ACK | LAB_LIE_CLAIM;
    lab_run(lab, 25 * SECOND);
    assert_true(distrusts(beta, liar));
    lab_run(lab, 20 * SECOND); /* the ring has closed */
    assert_false(endpoint_equal(&c->checked->at, &liar->at));
    alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", NULL);
    lab_run(lab, 5 * SECOND);
    open_until(5 * SECOND);
    assert_true(lab_by_private(alpha));
    liar->server = was;
    lab_free(lab);
}

/* It passes on whatever shows what it is, and lies about what neighbours want.  Handshakes and records find another way:
 * another server is asked, each time that there is no answer or no trigger. */
static void it_lies_to_some(void **state)
{
    for (unsigned i = 0; i < 2 * SEEDS; i++) {
        lab = lab_new(2, 1 + i / 2);
        struct lab_server *liar = lab_liar_add(
            lab, "192.0.2.66:5610", LAB_LIE_PASS | LAB_LIE_CLAIM | (i & 1 ? LAB_LIE_MISSING : 0));
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "sample", "0", NULL);
        beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "sample", "0", NULL);
        begin_at(alpha, liar);
        begin_at(beta, liar);
        lab_run(lab, 5 * SECOND);
        assert_false(distrusts(alpha, liar));
        open_until(10 * SECOND);
        unsigned seconds = 0, right = 0;
        for (; right < 5 && seconds < 20; seconds++) {
            right = exchange(10) == 20 ? right + 1 : 0;
            if (right)
                continue;
            alpha->overlay->class->tunnel_use(alpha->overlay, lab->now, 0, OVERLAY_SILENT);
            beta->overlay->class->tunnel_use(beta->overlay, lab->now, 0, OVERLAY_SILENT);
        }
        if (right < 5)
            fail_msg("seed %u", i);
        lab_free(lab);
    }
}

static bool holds(const struct lab_server *s, const struct i3_binding *b)
{
    return b && endpoint_equal(&b->at, &s->at);
}

/* A server of the ring that does all but deliver is rightly responsible for alpha's private identifier.  Another one is drawn.  (Where it is responsible for a name there is nothing to be done.) */
static void a_member_of_the_ring_lies(void **state)
{
    unsigned drawn = 0;
    for (uint64_t seed = 1; seed <= 16; seed++) {
        lab = lab_new(4, seed);
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "sample", "0", NULL);
        beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "sample", "0", NULL);
        lab_run(lab, 5 * SECOND);
        open_until(5 * SECOND);
        assert_true(lab_by_private(alpha));
        struct lab_server *liar = lab->server;
        while (!holds(liar, lab_tunnel(alpha, 0)->own))
            liar++;
        if (holds(liar, i3_of(alpha->overlay)->name[0]) ||
            holds(liar, i3_of(beta->overlay)->name[0])) {
            lab_free(lab);
            continue;
        }
        liar->lies = LAB_LIE_KEEP;
        unsigned right = 0;
        for (unsigned seconds = 0; right < 3 && seconds < 40; seconds++) {
            right = exchange(10) == 20 ? right + 1 : 0;
            if (right)
                continue;
            alpha->overlay->class->tunnel_use(alpha->overlay, lab->now, 0, OVERLAY_SILENT);
            beta->overlay->class->tunnel_use(beta->overlay, lab->now, 0, OVERLAY_SILENT);
        }
        assert_int_equal(right, 3);
        assert_true(lab_until(lab, 30 * SECOND, lab_by_private, alpha));
        assert_false(holds(liar, lab_tunnel(alpha, 0)->own));
        assert_int_equal(exchange(10), 20);
        drawn++;
        lab_free(lab);
    }
    assert_true(drawn >= 4);
}

/* It is trusted again when it delivers. */
static void distrust_ends(void **state)
{
    lab = lab_new(3, 2);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", NULL);
    lab_run(lab, 5 * SECOND);
    lab->server[1].dead = true;
    lab_run(lab, 25 * SECOND);
    assert_true(distrusts(beta, &lab->server[1]));
    assert_int_equal(lab_counter(beta, I3_COUNT_DISTRUSTED), 1);
    lab->server[1].dead = false;
    lab_run(lab, 40 * SECOND);
    assert_false(distrusts(beta, &lab->server[1]));
    lab_free(lab);
}

/* A server that does all that it says, for itself alone: what it keeps nobody finds.  Two others say so.  Or it does not
 * even deliver.  A limit on the name's trigger, which it knows, makes no difference. */
static void a_ring_of_its_own(void **state)
{
    for (unsigned i = 0; i < 4 * SEEDS; i++) {
        lab = lab_new(3, 1 + i % SEEDS);
        struct lab_server *hermit = lab_hermit_add(lab, "192.0.2.66:5610");
        hermit->lies = i / SEEDS & 1 ? LAB_LIE_KEEP : 0;
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", NULL);
        beta =
            lab_host_add(lab, "beta", "10.0.0.2:7400", i / SEEDS & 2 ? "limit" : NULL, "100", NULL);
        begin_at(beta, hermit);
        lab_run(lab, 6 * SECOND);
        if (!distrusts(beta, hermit) || !distrusts(alpha, hermit))
            fail_msg("world %u", i);
        open_until(5 * SECOND);
        assert_true(lab_by_private(alpha));
        lab_free(lab);
    }
}

static bool is_limited_by(const struct lab_host *h, const struct lab_server *s)
{
    const struct i3_binding *b = i3_of(h->overlay)->name[0];
    return b->limited && endpoint_equal(&b->at, &s->at);
}

/* The server that keeps beta's name with its limit goes on to say so, and delivers nothing any more. */
static void a_limit_hides_no_lie(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        lab = lab_new(4, seed);
        beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "limit", "100", NULL);
        lab_run(lab, 10 * SECOND);
        struct lab_server *liar = lab->server;
        while (!is_limited_by(beta, liar))
            liar++;
        assert_false(distrusts(beta, liar));
        liar->lies = LAB_LIE_KEEP;
        lab_run(lab, 25 * SECOND);
        assert_true(distrusts(beta, liar));
        lab_free(lab);
    }
}

/* Honest servers, bad network: whom we distrust by mistake costs a detour, not the connection. */
static void loss_is_no_lie(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        lab = lab_new(3, seed);
        lab->loss = 10;
        lab->twice = 10;
        lab->jitter = 20 * MILLISECOND;
        two_hosts();
        lab_run(lab, 5 * SECOND);
        open_until(MINUTE);
        assert_true(lab_by_private(alpha));
        assert_true(exchange(100) > 130);
        lab_run(lab, 5 * MINUTE);
        assert_true(lab_counter(beta, I3_COUNT_DISTRUSTED) < 10);
        assert_true(exchange(100) > 130);
        lab_free(lab);
    }
}

/* ---- alone with a liar ---- */

static unsigned bindings(const struct lab_host *h)
{
    return i3_of(h->overlay)->client.binding_count;
}

/* Nothing grows, nobody else hears of it, and not much is said: what there is to say, however often it is answered. */
static void alone_with_a_liar(void **state)
{
    for (unsigned all = 0; all < 2 * LAB_LIE_MANY; all++) {
        lab = lab_new(0, 1);
        struct lab_server *liar = lab_liar_add(lab, "192.0.2.66:5610", all);
        two_hosts();
        lab_run(lab, SECOND);
        open_until(30 * SECOND);
        unsigned heard = liar->heard, lost = lab->lost;
        lab_run(lab, MINUTE);
        /* Two hosts; each asks for identifiers, inserts triggers, measures and checks. */
        if (liar->heard - heard > 2 * 60 * 6 || lab->lost - lost > 2 * 60)
            fail_msg("lies %02x: %u packets in a minute, %u to a third", all, liar->heard - heard,
                     lab->lost - lost);
        assert_true(bindings(alpha) < 8 && bindings(beta) < 8);
        assert_int_equal(i3_of(alpha->overlay)->client.datagram_count, 0);
        assert_true(HASH_COUNT(i3_of(alpha->overlay)->client.owners) < 4);
        lab_free(lab);
    }
}

/* Each lie has its counter. */
static void lies_are_counted(void **state)
{
    static const struct {
        unsigned lie;
        enum i3_counter counter;
    } each[] = {
        {LAB_LIE_ACK, I3_COUNT_CHECKS_FAILED},
        {LAB_LIE_ACK | LAB_LIE_CLAIM, I3_COUNT_DISPUTED},
        {LAB_LIE_ACK | LAB_LIE_CLAIM, I3_COUNT_DISTRUSTED},
        {LAB_LIE_CHALLENGE | LAB_LIE_MANY, I3_COUNT_CHALLENGE_FLOOD},
        {LAB_LIE_CONSTRAINT, I3_COUNT_CONSTRAINT},
        {LAB_LIE_CHALLENGE | LAB_LIE_CONSTRAINT, I3_COUNT_STRANGE_ACK},
        {LAB_LIE_MISSING | LAB_LIE_ACK | LAB_LIE_CLAIM, I3_COUNT_DENIED},
        {0, I3_COUNT_UNANSWERED},
    };
    for (unsigned i = 0; i < sizeof each / sizeof *each; i++) {
        lab = lab_new(1, 1);
        struct lab_server *liar = lab_liar_add(lab, "192.0.2.66:5610", each[i].lie);
        two_hosts();
        begin_at(alpha, liar);
        begin_at(beta, liar);
        lab_run(lab, 5 * SECOND);
        open_until(5 * SECOND);
        if (!lab_counter(alpha, each[i].counter) && !lab_counter(beta, each[i].counter))
            fail_msg("lie %02x is not counted as %u", each[i].lie, each[i].counter);
        lab_free(lab);
    }
}

/* Packets to ourselves that somebody makes up. */
static void strange_checks(void **state)
{
    uint8_t bytes[I3_HEADER + 3 * I3_ID + 1] = {I3_VERSION, I3_DATA, 3};
    lab = lab_new(1, 1);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", NULL);
    lab_run(lab, 5 * SECOND);
    lab_forge(beta, "192.0.2.1:5610", bytes, sizeof bytes);
    lab_forge(beta, "198.51.100.66:1", bytes, sizeof bytes);
    assert_int_equal(lab_counter(beta, I3_COUNT_STRANGE_CHECK), 2);
    assert_false(distrusts(beta, &lab->server[0]));
    lab_free(lab);
}

/* Somebody at an IPv6 address, who never said hello, refuses our name's trigger: he is no server, and stands for none. */
static void refused_by_nobody(void **state)
{
    uint8_t bytes[256];
    lab = lab_new(1, 1);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", NULL);
    lab->server[0].dead = true;
    lab_run(lab, SECOND);
    const struct i3_client *c = &i3_of(beta->overlay)->client;
    const struct i3_binding *b = i3_of(beta->overlay)->name[0];
    assert_int_equal(b->state, I3_BINDING_INSERTING);
    struct i3_packet p = {.flags = I3_OPTIONS, .option_count = 1};
    p.option[0] = (struct i3_option){.type = I3_CONSTRAINT_FAILED, .trigger = b->trigger};
    lab_forge(beta, "[2001:db8::66]:5610", bytes, i3_packet_write(&p, bytes, sizeof bytes));
    assert_int_equal(lab_counter(beta, I3_COUNT_CONSTRAINT), 1);
    assert_false(i3_client_distrusts(c, lab->now, &(struct endpoint){.port = 0}));
    assert_int_equal(lab_counter(beta, I3_COUNT_DISTRUSTED), 1);
    lab_free(lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_three_lies),    cmocka_unit_test(it_begins_to_lie),
        cmocka_unit_test(it_lies_to_some),      cmocka_unit_test(a_member_of_the_ring_lies),
        cmocka_unit_test(distrust_ends),        cmocka_unit_test(a_ring_of_its_own),
        cmocka_unit_test(a_limit_hides_no_lie), cmocka_unit_test(loss_is_no_lie),
        cmocka_unit_test(alone_with_a_liar),    cmocka_unit_test(lies_are_counted),
        cmocka_unit_test(strange_checks),       cmocka_unit_test(refused_by_nobody),
    };
    return cmocka_run_group_tests_name("overlay_i3_hostile", tests, NULL, NULL);
}
