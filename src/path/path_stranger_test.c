#include "path/path_fixture.h"

/* What somebody can do to a link who sees everything, can send anything, but has no keys. */

struct two {
    struct net net;
    struct box *alpha, *beta;
    struct tape tape;
    struct endpoint mallory;
};

static void two_init(struct two *t, uint64_t seed)
{
    net_init(&t->net, seed);
    t->alpha = box_new(&t->net, "alpha", "east", NULL);
    t->beta = box_new(&t->net, "beta", "east", NULL);
    tape_start(&t->tape, &t->net);
    t->mallory = net_endpoint(1, 66);
    box_start(t->alpha);
    box_start(t->beta);
}

static void two_done(struct two *t)
{
    tape_stop(&t->tape, &t->net);
    net_done(&t->net);
}

static void check_data(struct two *t)
{
    uint64_t there = t->beta->got[t->alpha->index];
    assert_true(box_send(t->alpha, t->beta, "beta.east.ip", 4));
    net_run(&t->net, SECOND);
    assert_int_equal(t->beta->got[t->alpha->index], there + 1);
}

/* Answers that beta sent to an endpoint. */
static unsigned sent_to(const struct two *t, const struct endpoint *to)
{
    unsigned count = 0;
    for (unsigned i = 0; i < t->tape.count; i++)
        count += t->tape.item[i].from == t->beta && endpoint_equal(&t->tape.item[i].to, to);
    return count;
}

/* ---- cookies ---- */

static void under_load_a_cookie_comes_first(void **state)
{
    struct two t;
    two_init(&t, 1);
    path_under_load(t.beta->e, true);
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 100 * MILLISECOND);
    assert_true(a->up); /* one round trip more, no waiting */
    assert_int_equal(tape_count(&t.tape, t.beta, WIRE_COOKIE), 1);
    assert_int_equal(tape_count(&t.tape, t.alpha, WIRE_OPEN), 2);
    int cookie = tape_find(&t.tape, t.beta, WIRE_COOKIE, 0);
    assert_true(t.tape.item[cookie].size < OPEN_SIZE);
    check_data(&t);
    two_done(&t);
}

static bool strangers_from_elsewhere(struct net *net, struct tape *tape, struct box *from,
                                     uint8_t *bytes, size_t size)
{
    /* An OPEN with a cookie is sent again by somebody else, and lost itself. */
    struct endpoint mallory = net_endpoint(1, 66);
    if (bytes[0] != WIRE_OPEN || ++tape->seen[0] < 2)
        return true;
    net_inject(net, &mallory, &net->box[1].endpoint[0], bytes, size);
    return false;
}

static void a_cookie_is_for_one_address(void **state)
{
    struct two t;
    two_init(&t, 2);
    path_under_load(t.beta->e, true);
    t.tape.judge = strangers_from_elsewhere;
    box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 500 * MILLISECOND);
    assert_int_equal(tape_count(&t.tape, t.beta, WIRE_ACCEPT), 0);
    assert_int_equal(sent_to(&t, &t.mallory), 1); /* a cookie of its own */
    struct path_count count;
    path_count(t.beta->e, &count);
    assert_int_equal(count.halves, 0);
    two_done(&t);
}

static bool cookies_again(struct net *net, struct tape *tape, struct box *from, uint8_t *bytes,
                          size_t size)
{
    if (bytes[0] == WIRE_COOKIE)
        for (unsigned i = 0; i < 100; i++)
            net_inject(net, &net->box[1].endpoint[0], &net->box[0].endpoint[0], bytes, size);
    return true;
}

static void a_cookie_sent_often_makes_no_flood(void **state)
{
    struct two t;
    two_init(&t, 3);
    path_under_load(t.beta->e, true);
    t.tape.judge = cookies_again;
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 15 * SECOND);
    assert_true(a->up);
    assert_true(tape_count(&t.tape, t.alpha, WIRE_OPEN) <= 2 + COOKIES_PER_OPEN);
    two_done(&t);
}

/* Many handshakes that are never finished: from some number on cookies are asked for by itself, and
 * one address gets its share only. */
static void many_halves_turn_cookies_on(void **state)
{
    struct two t;
    two_init(&t, 4);
    struct box *gamma = box_new(&t.net, "gamma", "east", NULL);
    box_start(gamma);
    uint8_t open[OPEN_SIZE];
    t.net.faults.cut = true;
    box_open(t.alpha, "beta.east.ip");
    t.net.faults.cut = false;
    int at = tape_find(&t.tape, t.alpha, WIRE_OPEN, 0);
    struct instance *in = &t.beta->e->instance[0];
    for (unsigned i = 0; i < 3 * HALVES_MAX; i++) {
        /* A member without patience: fresh message 1 each time. */
        struct noise n;
        struct handshake_settings s = {.pattern = PATTERN_XX,
                                       .target = "beta.east.ip",
                                       .psk = in->psk[0],
                                       .label = LABEL(1 + i, 0, 0),
                                       .pad_to = OPEN_SIZE - 10 - OPEN_MACS};
        uint8_t pattern;
        memcpy(open, t.tape.item[at].bytes, 4);
        struct writer w = writer_over(open + 4, OPEN_SIZE - 4);
        write_u32(&w, s.label);
        write_u16(&w, (uint16_t)s.pad_to);
        path_handshake_begin(t.alpha->e, &n, &s, &pattern, write_room(&w, s.pad_to), s.pad_to);
        path_link_mac(in->mac_key[0], open, OPEN_SIZE - OPEN_MACS, open + OPEN_SIZE - OPEN_MACS);
        memset(open + OPEN_SIZE - LINK_MAC, 0, LINK_MAC);
        net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], open, OPEN_SIZE);
        net_run(&t.net, MICROSECOND);
        noise_done(&n);
    }
    struct path_count count;
    path_count(t.beta->e, &count);
    assert_in_range(count.halves, 1, HALVES_BUSY);
    struct answer *a = box_open(gamma, "beta.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->up);
    assert_true(tape_count(&t.tape, t.beta, WIRE_COOKIE) > 0);
    net_run(&t.net, 20 * SECOND);
    path_count(t.beta->e, &count);
    assert_int_equal(count.halves, 0);
    two_done(&t);
}

/* ---- replays and forgeries ---- */

static void a_replayed_open_changes_nothing(void **state)
{
    struct two t;
    two_init(&t, 10);
    box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 10 * SECOND);
    check_data(&t);
    int at = tape_find(&t.tape, t.alpha, WIRE_OPEN, 0);
    const struct path *before = box_path(t.beta, "alpha.east.ip");
    uint8_t open[OPEN_SIZE];
    memcpy(open, t.tape.item[at].bytes, OPEN_SIZE);

    /* While the path stands the handshake is known. */
    net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], open, sizeof open);
    net_run(&t.net, SECOND);
    assert_int_equal(sent_to(&t, &t.mallory), 0);
    assert_int_equal(box_drops(t.beta, DROP_DUPLICATE_HANDSHAKE), 1);

    /* To one who has lost his memory it is new: an answer, and a half that nobody can finish. */
    box_stop(t.alpha);
    box_restart(t.beta);
    net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], open, sizeof open);
    net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], open, sizeof open);
    net_run(&t.net, SECOND);
    assert_int_equal(sent_to(&t, &t.mallory), 2); /* the same one twice */
    struct path_count count;
    path_count(t.beta->e, &count);
    assert_int_equal(count.halves, 1);
    assert_int_equal(count.paths, 0);
    assert_int_equal(t.beta->ups, before ? 1 : 0);
    net_run(&t.net, 15 * SECOND);
    path_count(t.beta->e, &count);
    assert_int_equal(count.slots, 0);
    two_done(&t);
}

/* CONFIRM again, from elsewhere: the tunnel does not follow, and it is no way to make us talk. */
static void a_replayed_confirm_changes_nothing(void **state)
{
    struct two t;
    two_init(&t, 11);
    box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 10 * SECOND);
    int at = tape_find(&t.tape, t.alpha, WIRE_CONFIRM, 0);
    unsigned before = t.tape.count;
    for (unsigned i = 0; i < 100; i++)
        net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], t.tape.item[at].bytes,
                   t.tape.item[at].size);
    net_run(&t.net, SECOND);
    assert_true(t.tape.count - before <= 4);
    assert_int_equal(sent_to(&t, &t.mallory), 0);
    assert_int_equal(t.beta->toys->moved, 0);
    check_data(&t);
    two_done(&t);
}

/* The empty record that CONFIRM of an IK carries is no record that moves anything. */
static void the_proof_is_no_record(void **state)
{
    struct two t;
    two_init(&t, 12);
    box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, SECOND);
    box_restart(t.alpha);
    t.tape.count = 0;
    box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 11 * MILLISECOND);
    int at = tape_find(&t.tape, t.alpha, WIRE_CONFIRM, 0);
    assert_true(at >= 0);
    struct reader r = reader_over(t.tape.item[at].bytes, t.tape.item[at].size);
    uint16_t size;
    read_bytes(&r, 4 + HANDSHAKE_ID);
    const uint8_t *record = read_blob(&r, &size);
    assert_int_equal(record[0], WIRE_RECORD);
    net_run(&t.net, 5 * MILLISECOND);
    net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], record, size);
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->toys->moved, 0);
    assert_int_equal(box_drops(t.beta, DROP_REPLAYED), 1);
    check_data(&t);
    two_done(&t);
}

/* In front of each answer of beta's come forged ones: every byte of it changed in turn. */
static bool forge(struct net *net, struct tape *tape, struct box *from, uint8_t *bytes, size_t size)
{
    if (from != &net->box[1] || bytes[0] == WIRE_RECORD)
        return true;
    for (size_t i = 1; i < size; i++) {
        bytes[i] ^= 0x10;
        net_inject(net, &net->box[1].endpoint[0], &net->box[0].endpoint[0], bytes, size);
        bytes[i] ^= 0x10;
    }
    for (unsigned code = 0; code < 12; code++) {
        uint8_t refuse[64];
        struct clear_reply m = {.type = WIRE_REFUSE, .code = (uint8_t)code, .id = bytes + 4};
        size_t refuse_size = path_clear_reply_write(&m, refuse, sizeof refuse);
        net_inject(net, &net->box[1].endpoint[0], &net->box[0].endpoint[0], refuse, refuse_size);
    }
    return true;
}

static void forged_answers_end_nothing(void **state)
{
    for (unsigned known = 0; known < 3; known++) { /* XX, IK, XX with two secrets */
        struct two t;
        two_init(&t, 20 + known);
        if (known == 1) {
            box_open(t.alpha, "beta.east.ip");
            net_run(&t.net, SECOND);
            box_restart(t.alpha);
        }
        if (known == 2) {
            memset(t.alpha->keys[0].secret[1], 7, 32);
            t.alpha->keys[0].secret_count = 2;
            box_restart(t.alpha);
        }
        t.tape.judge = forge;
        struct answer *a = box_open(t.alpha, "beta.east.ip");
        net_run(&t.net, 9 * SECOND);
        assert_true(a->up);
        t.tape.judge = NULL;
        net_run(&t.net, 5 * SECOND);
        check_data(&t);
        assert_int_equal(t.alpha->downs, 0);
        two_done(&t);
    }
}

/* Without the secret an ACCEPT cannot be made, even by somebody who answers in beta's place with a
 * key of its own: nothing is bound, nothing stands. */
static bool accept_without_secret(struct net *net, struct tape *tape, struct box *from,
                                  uint8_t *bytes, size_t size)
{
    if (bytes[0] == WIRE_ACCEPT)
        memset(bytes + size - LINK_MAC, 0, LINK_MAC);
    return true;
}

static void a_stranger_answers_first_contact(void **state)
{
    struct two t;
    two_init(&t, 30);
    t.tape.judge = accept_without_secret;
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 20 * SECOND);
    assert_true(a->failed);
    assert_null(t.alpha->known);
    assert_int_equal(t.alpha->ups, 0);
    assert_true(box_drops(t.alpha, DROP_BAD_MAC) > 0);
    two_done(&t);
}

static void wrong_shapes(void **state)
{
    struct two t;
    two_init(&t, 31);
    box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, SECOND);
    int at = tape_find(&t.tape, t.alpha, WIRE_OPEN, 0);
    uint8_t open[OPEN_SIZE + 1], key[32];
    memcpy(open, t.tape.item[at].bytes, OPEN_SIZE);
    open[OPEN_SIZE] = 0;
    memcpy(key, t.beta->e->instance[0].mac_key[0], 32);
    box_stop(t.alpha);
    box_restart(t.beta);

    net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], open, OPEN_SIZE - 1);
    net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], open, OPEN_SIZE + 1);
    net_run(&t.net, MILLISECOND);
    assert_int_equal(box_drops(t.beta, DROP_TRUNCATED), 1);
    assert_int_equal(box_drops(t.beta, DROP_BAD_MESSAGE), 1);

    /* A low-order ephemeral key, by a member: message 2 would have no secret of ours in it. */
    memset(open + 10, 0, 32);
    path_link_mac(key, open, OPEN_SIZE - OPEN_MACS, open + OPEN_SIZE - OPEN_MACS);
    net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], open, OPEN_SIZE);
    net_run(&t.net, MILLISECOND);
    assert_int_equal(box_drops(t.beta, DROP_BAD_HANDSHAKE), 1);
    assert_int_equal(tape_count(&t.tape, t.beta, WIRE_ACCEPT), 1);

    /* The label in clear changed, by a member: it is repeated inside. */
    memcpy(open, t.tape.item[at].bytes, OPEN_SIZE);
    open[5] ^= 1;
    path_link_mac(key, open, OPEN_SIZE - OPEN_MACS, open + OPEN_SIZE - OPEN_MACS);
    net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], open, OPEN_SIZE);
    net_run(&t.net, SECOND);
    assert_int_equal(box_drops(t.beta, DROP_BAD_HANDSHAKE), 2);
    assert_int_equal(tape_count(&t.tape, t.beta, WIRE_ACCEPT), 1);
    struct path_count count;
    path_count(t.beta->e, &count);
    assert_int_equal(count.halves, 0);

    /* A key in the file of known names that is a low-order point must not be used, nor harm. */
    free(t.alpha->known);
    t.alpha->known =
        base_strdup("beta.east.ip AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= first use\n");
    t.alpha->known_size = strlen(t.alpha->known);
    box_start(t.alpha);
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 12 * SECOND);
    assert_true(a->failed); /* another key than the one bound */
    two_done(&t);
}

/* ---- refusals ---- */

static void one_refusal_a_second_for_each_source(void **state)
{
    struct two t;
    two_init(&t, 40);
    t.net.faults.cut = true;
    box_open(t.alpha, "beta.east.ip");
    t.net.faults.cut = false;
    int at = tape_find(&t.tape, t.alpha, WIRE_OPEN, 0);
    uint8_t open[OPEN_SIZE];
    memcpy(open, t.tape.item[at].bytes, OPEN_SIZE);
    open[OPEN_SIZE - OPEN_MACS] ^= 1;
    struct endpoint other = net_endpoint(1, 67);
    for (unsigned i = 0; i < 35; i++) {
        net_inject(&t.net, &t.mallory, &t.beta->endpoint[0], open, OPEN_SIZE);
        net_inject(&t.net, &other, &t.beta->endpoint[0], open, OPEN_SIZE);
        net_run(&t.net, 100 * MILLISECOND);
    }
    assert_int_equal(sent_to(&t, &t.mallory), 4);
    assert_int_equal(sent_to(&t, &other), 4);
    assert_true(box_drops(t.beta, DROP_BAD_MAC) >= 70);
    /* Many sources, many more than are remembered: not more in a second than that. */
    t.tape.count = 0;
    net_run(&t.net, 2 * SECOND);
    for (unsigned i = 0; i < 4 * REFUSAL_SOURCES; i++) {
        struct endpoint source = net_endpoint(1, 68);
        source.port = (uint16_t)(1000 + i);
        net_inject(&t.net, &source, &t.beta->endpoint[0], open, OPEN_SIZE);
    }
    net_run(&t.net, MILLISECOND);
    assert_true(tape_count(&t.tape, t.beta, WIRE_REFUSE) <= REFUSAL_SOURCES);
    two_done(&t);
}

static bool version_two(struct net *net, struct tape *tape, struct box *from, uint8_t *bytes,
                        size_t size)
{
    if (from == &net->box[0] && bytes[0] == WIRE_OPEN)
        bytes[1] = PATH_VERSION + 1; /* alpha is newer */
    if (from == &net->box[1] && bytes[0] == WIRE_REFUSE)
        bytes[1] = PATH_VERSION + 1; /* beta is newer, for who reads it */
    return true;
}

static void another_version_is_said(void **state)
{
    struct two t;
    two_init(&t, 41);
    t.tape.judge = version_two;
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 12 * SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "another version"));
    two_done(&t);
}

/* Noise from everywhere, to both, while they talk. */
static void garbage_is_dropped(void **state)
{
    struct two t;
    two_init(&t, 50);
    box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, SECOND);
    for (unsigned i = 0; i < 4000; i++) {
        uint8_t bytes[600];
        entropy_fill(&t.net.seeded.entropy, bytes, sizeof bytes);
        bytes[0] = (uint8_t)(WIRE_LOW + bytes[0] % 32);
        if (i % 3 == 0)
            bytes[1] = PATH_VERSION;
        if (i % 5 == 0) { /* a label of beta's */
            uint32_t label = box_path(t.alpha, "beta.east.ip")->label_out | (bytes[7] & 1);
            struct writer w = writer_over(bytes + 4, 4);
            write_u32(&w, label);
        }
        net_inject(&t.net, i % 2 ? &t.mallory : &t.alpha->endpoint[0], &t.beta->endpoint[0], bytes,
                   1 + (bytes[2] | bytes[3] << 8) % sizeof bytes);
        net_run(&t.net, MILLISECOND);
    }
    assert_int_equal(t.beta->toys->moved, 0);
    assert_int_equal(sent_to(&t, &t.mallory) > 200, 0); /* PATH_ERRORs, a few each second */
    check_data(&t);
    struct path_count count;
    path_count(t.beta->e, &count);
    assert_int_equal(count.paths, 1);
    two_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(under_load_a_cookie_comes_first),
        cmocka_unit_test(a_cookie_is_for_one_address),
        cmocka_unit_test(a_cookie_sent_often_makes_no_flood),
        cmocka_unit_test(many_halves_turn_cookies_on),
        cmocka_unit_test(a_replayed_open_changes_nothing),
        cmocka_unit_test(a_replayed_confirm_changes_nothing),
        cmocka_unit_test(the_proof_is_no_record),
        cmocka_unit_test(forged_answers_end_nothing),
        cmocka_unit_test(a_stranger_answers_first_contact),
        cmocka_unit_test(wrong_shapes),
        cmocka_unit_test(one_refusal_a_second_for_each_source),
        cmocka_unit_test(another_version_is_said),
        cmocka_unit_test(garbage_is_dropped),
    };
    return cmocka_run_group_tests_name("path_stranger", tests, NULL, NULL);
}
