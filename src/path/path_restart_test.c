#include "path/path_fixture.h"

/* Hosts that restart, die, or are said to have done so. */

#define VIA_GATE "beta.west.ip.via.gate.east.ip"

static void talk_starts(struct trio *t)
{
    struct answer *a = box_open(t->alpha, VIA_GATE);
    net_run(&t->net, SECOND);
    assert_true(a->up);
    assert_true(box_send(t->alpha, t->beta, "beta.west.ip", 4));
    assert_true(box_send(t->beta, t->alpha, "alpha.east.ip", 4));
    net_run(&t->net, SECOND);
    assert_int_equal(t->beta->got[0], 1);
}

/* One packet each 100 ms both ways until both arrive again; how long that took. */
static instant until_it_flows(struct trio *t)
{
    instant start = t->net.now;
    uint64_t there = t->beta->got[0], back = t->alpha->got[2];
    while (t->net.now - start < MINUTE) {
        box_send(t->alpha, t->beta, "beta.west.ip", 4);
        box_send(t->beta, t->alpha, "alpha.east.ip", 4);
        net_run(&t->net, 100 * MILLISECOND);
        if (t->beta->got[0] > there && t->alpha->got[2] > back)
            return t->net.now - start;
    }
    fail_msg("they do not talk again");
    return 0;
}

static void any_of_them_restarts(void **state)
{
    for (unsigned who = 1; who < 8; who++) { /* alpha, gate, beta: bits */
        struct trio t;
        trio_init(&t, who, NULL);
        talk_starts(&t);
        struct ip_address before = box_grip(t.alpha, "beta.west.ip")->fwd->v4;
        if (who & 1)
            box_restart(t.alpha);
        if (who & 2)
            box_restart(t.gate);
        if (who & 4)
            box_restart(t.beta);
        assert_true(until_it_flows(&t) < 3 * SECOND);
        net_run(&t.net, 10 * SECOND);
        trio_check_same(&t);
        /* The same (name, key) is the same peer: programs keep their address. */
        assert_true(ip_address_equal(&before, &box_grip(t.alpha, "beta.west.ip")->fwd->v4));
        assert_int_equal(t.alpha->e->peers, 2);
        net_run(&t.net, MINUTE);
        struct path_count count;
        path_count(t.alpha->e, &count);
        assert_int_equal(count.paths, 2);
        trio_done(&t);
    }
}

/* Without errors (a firewall eats them, or the host is off): silence is noticed too. */
static bool no_errors(struct net *net, struct box *from, const struct endpoint *to, uint8_t *bytes,
                      size_t size)
{
    return bytes[0] != WIRE_ERROR;
}

static void silence_is_noticed(void **state)
{
    for (unsigned who = 0; who < 3; who++) {
        struct trio t;
        trio_init(&t, 10 + who, NULL);
        talk_starts(&t);
        t.net.tap = no_errors;
        box_restart(who == 0 ? t.alpha : who == 1 ? t.gate : t.beta);
        assert_true(until_it_flows(&t) < 15 * SECOND);
        net_run(&t.net, 10 * SECOND);
        trio_check_same(&t);
        trio_done(&t);
    }
}

static void the_dead_are_left_alone(void **state)
{
    struct trio t;
    trio_init(&t, 20, NULL);
    talk_starts(&t);
    box_stop(t.beta);
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
    net_run(&t.net, 7 * SECOND);
    assert_false(box_up(t.alpha, "beta.west.ip"));
    assert_true(box_up(t.alpha, "gate.east.ip"));
    assert_non_null(strstr(t.alpha->last_down, "nothing heard"));
    /* Nobody asks for it, so nobody calls it. */
    net_run(&t.net, MINUTE);
    uint64_t before = t.net.sent_type[WIRE_OPEN - WIRE_LOW];
    net_run(&t.net, 5 * MINUTE);
    assert_int_equal(t.net.sent_type[WIRE_OPEN - WIRE_LOW], before);
    trio_done(&t);
}

static void closed_by_hand(void **state)
{
    struct trio t;
    trio_init(&t, 21, NULL);
    talk_starts(&t);
    path_close_all(t.beta->e, t.net.now, "the daemon ends");
    box_pump(t.beta);
    net_run(&t.net, SECOND);
    assert_false(box_up(t.alpha, "beta.west.ip"));
    assert_true(box_up(t.alpha, "gate.east.ip"));
    assert_non_null(strstr(t.alpha->last_down, "beta.west.ip closed the path: the daemon ends"));
    struct path_count count;
    net_run(&t.net, SECOND);
    path_count(t.beta->e, &count);
    assert_int_equal(count.slots, 0);
    assert_true(until_it_flows(&t) < SECOND);
    trio_done(&t);
}

/* ---- PATH_ERROR ---- */

/* An error about a record, as gate would send it. */
static size_t make_error(const uint8_t *record, size_t size, uint8_t out[ERROR_SIZE])
{
    struct writer w = writer_over(out, ERROR_SIZE);
    write_u8(&w, WIRE_ERROR);
    write_u8(&w, PATH_VERSION);
    write_u16(&w, 0);
    write_bytes(&w, record, RECORD_HEADER);
    write_bytes(&w, record + size - RECORD_TAG, RECORD_TAG);
    return ERROR_SIZE;
}

static int last_data_record(const struct tape *tape, const struct box *from)
{
    for (unsigned i = tape->count; i-- > 0;)
        if (tape->item[i].from == from && tape->item[i].bytes[0] == WIRE_RECORD &&
            (tape->item[i].bytes[7] & 0xF))
            return (int)i;
    return -1;
}

static void a_forged_error_does_nothing(void **state)
{
    struct trio t;
    struct tape tape;
    uint8_t error[ERROR_SIZE];
    trio_init(&t, 30, NULL);
    tape_start(&tape, &t.net);
    talk_starts(&t);
    net_run(&t.net, 10 * SECOND);
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
    net_run(&t.net, SECOND);
    int at = last_data_record(&tape, t.alpha);
    assert_true(at >= 0);
    const struct path *before = box_path(t.alpha, "beta.west.ip");
    unsigned sent = tape.count;
    for (unsigned i = 0; i < ERROR_SIZE * 8; i++) {
        make_error(tape.item[at].bytes, tape.item[at].size, error);
        if (i / 8 != 4 + 2) /* hops are not ours to judge */
            error[i / 8] ^= (uint8_t)(1 << i % 8);
        else
            error[ERROR_SIZE - 1] ^= 1;
        if (i / 8 == 1 || i / 8 == 2 || i / 8 == 3 || i / 8 == 4 + 1)
            continue; /* version, code, flags: the tag covers what matters */
        net_inject(&t.net, &t.gate->endpoint[0], &t.alpha->endpoint[0], error, ERROR_SIZE);
    }
    /* The right one from the wrong place. */
    make_error(tape.item[at].bytes, tape.item[at].size, error);
    struct endpoint mallory = net_endpoint(1, 66);
    net_inject(&t.net, &mallory, &t.alpha->endpoint[0], error, ERROR_SIZE);
    net_run(&t.net, 100 * MILLISECOND);
    for (unsigned i = sent; i < tape.count; i++)
        assert_true(tape.item[i].bytes[0] == WIRE_RECORD && !(tape.item[i].bytes[7] & 0xF));
    assert_int_equal(tape.count, sent);
    assert_ptr_equal(box_path(t.alpha, "beta.west.ip"), before);
    tape_stop(&tape, &t.net);
    trio_done(&t);
}

static void a_real_error_makes_one_handshake_per_pause(void **state)
{
    struct trio t;
    struct tape tape;
    uint8_t error[ERROR_SIZE];
    trio_init(&t, 31, NULL);
    tape_start(&tape, &t.net);
    talk_starts(&t);
    uint64_t ups = t.beta->ups;
    instant start = t.net.now;
    /* Somebody who sees all and sends an error for every record of alpha's, for a minute. */
    for (unsigned i = 0; i < 600; i++) {
        tape.count = 0;
        assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
        int at = last_data_record(&tape, t.alpha);
        if (at >= 0) {
            make_error(tape.item[at].bytes, tape.item[at].size, error);
            net_inject(&t.net, &t.gate->endpoint[0], &t.alpha->endpoint[0], error, ERROR_SIZE);
        }
        net_run(&t.net, 100 * MILLISECOND);
    }
    /* Pauses of 2, 4, 8, 16, 32 seconds: handshakes after 0, 2, 6, 14, 30. */
    assert_true(t.net.now - start >= MINUTE);
    assert_in_range(t.beta->ups - ups, 2, 6);
    assert_int_equal(t.beta->got[0], t.alpha->sent[2]); /* and no packet is lost by it */
    trio_check_same(&t);
    tape_stop(&tape, &t.net);
    trio_done(&t);
}

/* The same against a gateway: errors for records that it passes on are only told to the end, now
 * and then. */
static void errors_to_a_gateway_are_told_now_and_then(void **state)
{
    struct trio t;
    struct tape tape;
    uint8_t error[ERROR_SIZE];
    trio_init(&t, 32, NULL);
    tape_start(&tape, &t.net);
    talk_starts(&t);
    net_run(&t.net, 10 * SECOND);
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
    net_run(&t.net, 6 * MILLISECOND);
    int at = last_data_record(&tape, t.gate);
    assert_true(at >= 0);
    make_error(tape.item[at].bytes, tape.item[at].size, error);
    net_run(&t.net, 5 * SECOND);
    tape.count = 0;
    for (unsigned i = 0; i < 1000; i++) {
        net_inject(&t.net, &t.beta->endpoint[0], &t.gate->endpoint[1], error, ERROR_SIZE);
        net_run(&t.net, MILLISECOND);
    }
    unsigned said = 0;
    for (unsigned i = 0; i < tape.count; i++)
        said +=
            tape.item[i].from == t.gate && endpoint_equal(&tape.item[i].to, &t.alpha->endpoint[0]);
    assert_in_range(said, 1, 8);
    net_run(&t.net, 5 * SECOND);
    trio_check_same(&t);
    tape_stop(&tape, &t.net);
    trio_done(&t);
}

/* A gateway keeps the tunnel of somebody whose link it lost, while others need it; the link comes
 * back by itself. */
static void a_lost_link_that_is_needed_comes_back(void **state)
{
    struct trio t;
    trio_init(&t, 33, NULL);
    talk_starts(&t);
    struct neighbour *gate = box_neighbour(t.alpha, "gate.east.ip");
    struct path *before = gate->link;
    path_lost(t.alpha->e, t.net.now, gate->link, "the test");
    box_pump(t.alpha);
    net_run(&t.net, SECOND);
    assert_non_null(gate->link);
    assert_ptr_not_equal(gate->link, before);
    assert_true(box_up(t.alpha, "beta.west.ip"));
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[0], 2);
    trio_done(&t);
}

/* The overlay loses the tunnel: everything that went through it is down, and comes again when it is
 * wanted. */
static void a_tunnel_goes_down(void **state)
{
    struct trio t;
    trio_init(&t, 34, NULL);
    talk_starts(&t);
    struct neighbour *gate = box_neighbour(t.alpha, "gate.east.ip");
    path_tunnel_failed(t.alpha->e, t.net.now, gate->tunnel, false, "the cable is gone");
    box_pump(t.alpha);
    assert_false(box_up(t.alpha, "beta.west.ip"));
    assert_false(box_up(t.alpha, "gate.east.ip"));
    assert_string_equal(t.alpha->last_down, "the cable is gone");
    path_tunnel_failed(t.alpha->e, t.net.now, gate->tunnel, false, "said twice");
    box_pump(t.alpha);
    assert_true(until_it_flows(&t) < 2 * SECOND);
    trio_done(&t);
}

/* Only one end notices that nothing gets through: what the other says afterwards is understood, and the path is in use
 * again without being set up anew. */
static uint32_t lost_label;
static bool lose_label(struct net *net, struct tape *tape, struct box *from, uint8_t *bytes,
                       size_t size)
{
    struct record_header h;
    return !record_read_header(bytes, size, &h) || (h.label & ~(uint32_t)0xF) != lost_label;
}

static void silence_on_one_side(void **state)
{
    for (unsigned heals = 0; heals < 2; heals++) {
        struct trio t;
        struct tape tape;
        trio_init(&t, 70 + heals, NULL);
        talk_starts(&t);
        net_run(&t.net, 10 * SECOND);
        const struct path *p = box_path(t.beta, "alpha.east.ip");
        uint8_t id[HANDSHAKE_ID];
        memcpy(id, p->id, sizeof id);
        lost_label = p->label_out;
        tape_start(&tape, &t.net);
        tape.judge = lose_label;
        box_send(t.beta, t.alpha, "alpha.east.ip", 4);
        net_run(&t.net, 10 * SECOND);
        assert_false(box_up(t.beta, "alpha.east.ip"));
        assert_int_equal(t.beta->downs, 1);
        assert_true(box_up(t.alpha, "beta.west.ip"));
        path_active(t.beta->e, t.net.now, p->slot); /* what was sent before the silence was known */
        box_pump(t.beta);
        assert_false(box_up(t.beta, "alpha.east.ip"));
        tape_stop(&tape, &t.net);
        if (heals) {
            uint64_t there = t.beta->got[0];
            assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
            net_run(&t.net, SECOND);
            assert_int_equal(t.beta->got[0], there + 1);
            assert_true(box_up(t.beta, "alpha.east.ip"));
            assert_memory_equal(box_path(t.beta, "alpha.east.ip")->id, id, sizeof id);
            assert_true(box_send(t.beta, t.alpha, "alpha.east.ip", 4));
            net_run(&t.net, SECOND);
            assert_int_equal(t.alpha->got[2], 2);
            trio_check_same(&t);
        }
        net_run(&t.net, t.beta->config->timers.idle);
        struct path_count count;
        path_count(t.beta->e, &count);
        assert_int_equal(count.paths, 1 + heals); /* and the link */
        trio_done(&t);
    }
}

/* A path that was replaced does not stand in for the one that replaced it, only because nothing was heard on that yet: the
 * other end has left it. */
static bool records_of_alpha_are_lost(struct net *net, struct tape *tape, struct box *from,
                                      uint8_t *bytes, size_t size)
{
    return from != &net->box[0] || bytes[0] != WIRE_RECORD;
}

static void what_was_replaced_does_not_stand_in(void **state)
{
    struct net net;
    struct tape tape;
    net_init(&net, 75);
    struct box *a = box_new(&net, "alpha", "east", NULL), *b = box_new(&net, "beta", "east", NULL);
    box_start(a);
    box_start(b);
    box_open(a, "beta.east.ip");
    net_run(&net, SECOND);
    assert_true(box_send(a, b, "beta.east.ip", 4));
    net_run(&net, SECOND);
    tape_start(&tape, &net);
    tape.judge = records_of_alpha_are_lost;
    const struct path *before = box_path(b, "alpha.east.ip");
    assert_non_null(path_reopen(a->e, net.now, box_path(a, "beta.east.ip")));
    box_pump(a);
    net_run(&net, 100 * MILLISECOND);
    assert_ptr_not_equal(box_path(b, "alpha.east.ip"), before);
    assert_true(box_send(b, a, "alpha.east.ip", 4));
    net_run(&net, 10 * SECOND);
    assert_false(box_up(b, "alpha.east.ip"));
    tape_stop(&tape, &net);
    net_done(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_of_them_restarts),
        cmocka_unit_test(silence_is_noticed),
        cmocka_unit_test(the_dead_are_left_alone),
        cmocka_unit_test(closed_by_hand),
        cmocka_unit_test(a_forged_error_does_nothing),
        cmocka_unit_test(a_real_error_makes_one_handshake_per_pause),
        cmocka_unit_test(errors_to_a_gateway_are_told_now_and_then),
        cmocka_unit_test(a_lost_link_that_is_needed_comes_back),
        cmocka_unit_test(a_tunnel_goes_down),
        cmocka_unit_test(silence_on_one_side),
        cmocka_unit_test(what_was_replaced_does_not_stand_in),
    };
    return cmocka_run_group_tests_name("path_restart", tests, NULL, NULL);
}
