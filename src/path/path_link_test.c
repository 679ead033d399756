#include "path/path_fixture.h"

#include <stdio.h>

/* Links: the handshake in clear between two neighbours, and what strangers can do about it. */

struct two {
    struct net net;
    struct box *alpha, *beta;
    struct tape tape;
};

static void two_init(struct two *t, uint64_t seed, const char *extra)
{
    net_init(&t->net, seed);
    t->alpha = box_new(&t->net, "alpha", "east", extra);
    t->beta = box_new(&t->net, "beta", "east", extra);
    tape_start(&t->tape, &t->net);
}

static void two_start(struct two *t)
{
    box_start(t->alpha);
    box_start(t->beta);
}

static void two_done(struct two *t)
{
    tape_stop(&t->tape, &t->net);
    net_done(&t->net);
}

/* A packet goes both ways. */
static void check_data(struct two *t)
{
    uint64_t there = t->beta->got[t->alpha->index], back = t->alpha->got[t->beta->index];
    assert_true(box_send(t->alpha, t->beta, "beta.east.ip", 4));
    net_run(&t->net, SECOND);
    assert_true(box_send(t->beta, t->alpha, "alpha.east.ip", 6));
    net_run(&t->net, SECOND);
    assert_int_equal(t->beta->got[t->alpha->index], there + 1);
    assert_int_equal(t->alpha->got[t->beta->index], back + 1);
}

static uint8_t pattern_of_open(const struct two *t, unsigned nth)
{
    int at = tape_find(&t->tape, t->alpha, WIRE_OPEN, nth);
    assert_true(at >= 0);
    return t->tape.item[at].bytes[3];
}

/* ---- who knows whom ---- */

static void first_contact_is_xx_then_ik(void **state)
{
    struct two t;
    two_init(&t, 1, NULL);
    two_start(&t);
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 100 * MILLISECOND);
    assert_true(a->up);
    assert_int_equal(pattern_of_open(&t, 0), PATTERN_XX);
    check_data(&t);
    assert_non_null(strstr(t.alpha->known, "beta.east.ip "));
    assert_non_null(strstr(t.beta->known, "alpha.east.ip "));

    box_restart(t.alpha);
    a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 100 * MILLISECOND);
    assert_true(a->up);
    assert_int_equal(pattern_of_open(&t, 1), PATTERN_IK);
    assert_int_equal(tape_count(&t.tape, t.alpha, WIRE_OPEN), 2);
    check_data(&t);
    two_done(&t);
}

/* One round trip from the question to the first packet, when the tunnel is there. */
static void data_follows_the_answer_at_once(void **state)
{
    struct two t;
    two_init(&t, 2, NULL);
    two_start(&t);
    t.net.faults.delay = 50 * MILLISECOND;
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 101 * MILLISECOND);
    assert_true(a->up);
    assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, 51 * MILLISECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 1);
    two_done(&t);
}

static void data_that_overtakes_confirm_waits(void **state)
{
    struct two t;
    two_init(&t, 3, NULL);
    two_start(&t);
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    while (!a->up)
        net_run(&t.net, MILLISECOND);
    /* CONFIRM is in flight; what follows flies faster. */
    t.net.faults.delay = MICROSECOND;
    t.net.last_due[t.alpha->index][t.beta->index] = 0;
    for (unsigned i = 0; i < STASH_MAX; i++)
        assert_true(box_send(t.alpha, t.beta, "beta.east.ip", 4));
    net_run(&t.net, MILLISECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 0);
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[t.alpha->index], STASH_MAX);
    two_done(&t);
}

static void lost_messages_are_repeated(void **state)
{
    for (unsigned lost = 0; lost < 5; lost++) {
        struct two t;
        two_init(&t, 10 + lost, NULL);
        two_start(&t);
        t.net.faults.loss = 400;
        struct answer *a = box_open(t.alpha, "beta.east.ip");
        net_run(&t.net, 12 * SECOND);
        t.net.faults.loss = 0;
        if (!a->up)
            a = box_open(t.alpha, "beta.east.ip");
        net_run(&t.net, 12 * SECOND);
        assert_true(a->up);
        assert_null(path_work(box_path(t.alpha, "beta.east.ip"))->confirm);
        check_data(&t);
        two_done(&t);
    }
}

static void both_ciphers(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        struct two t;
        two_init(&t, 20 + i, NULL);
        t.alpha->prefer_chacha = i & 1;
        t.beta->prefer_chacha = i & 2;
        two_start(&t);
        box_open(t.alpha, "beta.east.ip");
        net_run(&t.net, SECOND);
        check_data(&t);
        enum crypto_aead want = i ? CRYPTO_CHACHA20POLY1305 : CRYPTO_AES256GCM;
        assert_int_equal(box_path(t.alpha, "beta.east.ip")->aead, want);
        assert_int_equal(box_path(t.beta, "alpha.east.ip")->aead, want);
        two_done(&t);
    }
}

static void lanes_are_the_larger_wish(void **state)
{
    struct two t;
    two_init(&t, 25, NULL);
    t.alpha->data_lanes = 2;
    t.beta->data_lanes = 4;
    two_start(&t);
    box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, SECOND);
    assert_int_equal(box_path(t.alpha, "beta.east.ip")->fwd->lanes, 5);
    assert_int_equal(box_path(t.beta, "alpha.east.ip")->fwd->lanes, 5);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(box_send(t.alpha, t.beta, "beta.east.ip", i % 2 ? 4 : 6));
        assert_true(box_send(t.beta, t.alpha, "alpha.east.ip", i % 2 ? 4 : 6));
    }
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 100);
    assert_int_equal(t.alpha->got[t.beta->index], 100);
    const struct path *p = box_path(t.alpha, "beta.east.ip");
    for (unsigned i = 1; i < 5; i++)
        assert_true(atomic_load(&p->fwd->lane[i]->records_out) > 5);
    two_done(&t);
}

/* ---- secrets ---- */

static void secret(struct box *b, unsigned place, uint8_t value)
{
    memset(b->keys[0].secret[place], value, 32);
    if (b->keys[0].secret_count <= place)
        b->keys[0].secret_count = place + 1;
}

static void secret_mismatch_is_said_at_both_ends(void **state)
{
    struct two t;
    two_init(&t, 30, NULL);
    secret(t.beta, 0, 9);
    two_start(&t);
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 30 * SECOND);
    assert_true(a->failed);
    assert_false(a->unknown_host);
    assert_non_null(strstr(a->reason, "secret mismatch"));
    assert_non_null(strstr(t.beta->notices, "secret mismatch"));
    assert_non_null(strstr(t.alpha->notices, "secret mismatch"));
    assert_true(box_drops(t.beta, DROP_BAD_MAC) >= 3);
    assert_false(box_up(t.beta, "alpha.east.ip"));
    two_done(&t);
}

/* While a secret is being changed hosts hold both, in the order "new, old". */
static void two_secrets_side_by_side(void **state)
{
    static const uint8_t of[][4] = {
        {1, 0, 2, 1}, /* alpha has the old one only, beta has both */
        {2, 1, 1, 0}, /* beta has the old one only                 */
        {2, 1, 2, 1}, {2, 1, 2, 0}, {1, 2, 2, 1},
    };
    for (unsigned i = 0; i < sizeof of / sizeof *of; i++) {
        struct two t;
        two_init(&t, 40 + i, NULL);
        for (unsigned j = 0; j < 4; j++)
            if (of[i][j])
                secret(j < 2 ? t.alpha : t.beta, j % 2, of[i][j]);
        two_start(&t);
        struct answer *a = box_open(t.alpha, "beta.east.ip");
        net_run(&t.net, 5 * SECOND);
        assert_true(a->up);
        check_data(&t);
        two_done(&t);
    }
}

/* The refusal does not come through: the other secret is tried all the same. */
static bool no_refusals(struct net *net, struct tape *tape, struct box *from, uint8_t *bytes,
                        size_t size)
{
    return bytes[0] != WIRE_REFUSE;
}

static void the_other_secret_without_a_refusal(void **state)
{
    struct two t;
    two_init(&t, 50, NULL);
    secret(t.alpha, 0, 2);
    secret(t.alpha, 1, 1);
    secret(t.beta, 0, 1);
    two_start(&t);
    t.tape.judge = no_refusals;
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 10 * SECOND);
    assert_true(a->up);
    check_data(&t);
    two_done(&t);
}

/* ---- sizes ---- */

/* A host name of 245 characters: with ".east.ip" the longest that there is. */
static void long_name(char out[NAME_TEXT], char letter)
{
    memset(out, letter, 245);
    out[63] = out[127] = out[191] = '.';
    out[245] = 0;
}

/* With the longest names no answer is longer than the question, until the asker has shown that it
 * is where it says. */
static void answers_are_not_longer_than_questions(void **state)
{
    struct two t;
    char name[2][NAME_TEXT], chain[NAME_TEXT + 16];
    long_name(name[0], 'a');
    long_name(name[1], 'b');
    snprintf(chain, sizeof chain, "%s.east.ip", name[1]);
    net_init(&t.net, 60);
    t.alpha = box_new(&t.net, name[0], "east", NULL);
    t.beta = box_new(&t.net, name[1], "east", NULL);
    tape_start(&t.tape, &t.net);
    two_start(&t);
    assert_int_equal(strlen(t.beta->config->overlays[0].self.text), 253);
    for (unsigned known = 0; known < 2; known++) {
        if (known)
            box_restart(t.alpha);
        t.tape.count = 0;
        struct answer *a = box_open(t.alpha, chain);
        net_run(&t.net, SECOND);
        assert_true(a->up);
        int open = tape_find(&t.tape, t.alpha, WIRE_OPEN, 0),
            accept = tape_find(&t.tape, t.beta, WIRE_ACCEPT, 0);
        assert_true(open >= 0 && accept > open);
        assert_int_equal(t.tape.item[open].bytes[3], known ? PATTERN_IK : PATTERN_XX);
        assert_int_equal(t.tape.item[open].size, OPEN_SIZE);
        assert_true(t.tape.item[accept].size <= OPEN_SIZE);
    }
    two_done(&t);
}

/* ---- trust ---- */

static void another_key_is_refused_until_forgotten(void **state)
{
    struct two t;
    two_init(&t, 70, NULL);
    two_start(&t);
    box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, SECOND);
    check_data(&t);

    box_key(t.beta, 0, 0x77); /* beta was set up anew */
    box_restart(t.beta);
    box_restart(t.alpha);
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 12 * SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "ocala key forget beta.east.ip"));
    assert_non_null(strstr(t.alpha->notices, "ocala key forget beta.east.ip"));
    assert_true(box_drops(t.alpha, DROP_NOT_A_MEMBER) > 0);
    assert_int_equal(pattern_of_open(&t, 1), PATTERN_IK);
    assert_int_equal(pattern_of_open(&t, 2), PATTERN_XX);

    assert_true(path_forget(t.alpha->e, t.net.now, "beta.east.ip"));
    assert_false(path_forget(t.alpha->e, t.net.now, "nobody.east.ip"));
    box_pump(t.alpha);
    a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 12 * SECOND);
    assert_true(a->up);
    check_data(&t);
    /* What was forgotten stays so. */
    box_restart(t.alpha);
    a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 12 * SECOND);
    assert_true(a->up);
    two_done(&t);
}

/* The same, seen by the one who is asked. */
static void who_comes_with_another_key_is_refused(void **state)
{
    struct two t;
    two_init(&t, 71, NULL);
    two_start(&t);
    box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, SECOND);

    /* alpha was set up anew but still knows beta's key: IK, refused inside message 2. */
    box_key(t.alpha, 0, 0x78);
    box_restart(t.alpha);
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 12 * SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "the identity was refused"));
    assert_non_null(strstr(t.beta->notices, "ocala key forget alpha.east.ip"));

    /* Without a memory: XX, refused after message 3, sealed. */
    t.alpha->known_size = 0;
    box_restart(t.alpha);
    a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 12 * SECOND);
    assert_non_null(strstr(t.alpha->last_down, "ocala key forget alpha.east.ip"));
    assert_false(box_up(t.alpha, "beta.east.ip"));
    assert_true(box_drops(t.beta, DROP_NOT_A_MEMBER) >= 2);

    struct path_count count;
    net_run(&t.net, MINUTE);
    path_count(t.alpha->e, &count);
    assert_int_equal(count.slots, 0);
    assert_true(path_forget(t.beta->e, t.net.now, "alpha.east.ip"));
    box_pump(t.beta);
    a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->up);
    check_data(&t);
    two_done(&t);
}

static void nobody_gets_our_own_name(void **state)
{
    struct two t;
    net_init(&t.net, 72);
    t.alpha = box_new(&t.net, "alpha", "east", NULL);
    t.beta = box_new(&t.net, "alpha", "east", NULL); /* the same name, another key */
    tape_start(&t.tape, &t.net);
    two_start(&t);
    struct answer *a = box_open(t.alpha, "alpha.east.ip");
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "this host itself"));
    struct box *gamma = box_new(&t.net, "gamma", "east", NULL);
    box_start(gamma);
    box_open(gamma, "alpha.east.ip"); /* finds the first */
    net_run(&t.net, SECOND);
    /* The second one comes to the first under a name that is taken. */
    snprintf(t.beta->name, sizeof t.beta->name, "moved");
    struct name_chain chain = {.count = 1};
    strcpy(chain.hop[0].text, "gamma.east.ip");
    path_open(t.beta->e, t.net.now, &chain, 99);
    box_pump(t.beta);
    net_run(&t.net, 12 * SECOND);
    assert_non_null(strstr(gamma->notices, "ocala key forget alpha.east.ip"));
    two_done(&t);
}

static const char *key_text(uint8_t seed, char text[CRYPTO_KEY_TEXT])
{
    uint8_t bytes[32], public_key[32];
    memset(bytes, seed, sizeof bytes);
    crypto_ed25519_public(bytes, public_key);
    return crypto_key_format(public_key, text);
}

static void pinned(struct two *t, uint64_t seed, uint8_t alphas_of_beta, uint8_t betas_of_alpha)
{
    char yaml[512], text[CRYPTO_KEY_TEXT];
    net_init(&t->net, seed);
    snprintf(yaml, sizeof yaml,
             "name: alpha\noverlays:\n  - instance: east.ip\n    trust: pin\n    members:\n"
             "      - {name: beta, at: '192.0.2.1:7400', key: '%s'}\n",
             key_text(alphas_of_beta, text));
    t->alpha = box_new(&t->net, "alpha", yaml, NULL);
    snprintf(yaml, sizeof yaml,
             "name: beta\noverlays:\n  - instance: east.ip\n    trust: pin\n    members:\n"
             "      - {name: alpha, key: '%s'}\n",
             key_text(betas_of_alpha, text));
    t->beta = box_new(&t->net, "beta", yaml, NULL);
    tape_start(&t->tape, &t->net);
    two_start(t);
}

static void pinned_keys_without_a_secret(void **state)
{
    struct two t;
    pinned(&t, 80, 0x41, 0x40); /* the keys that the boxes have */
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->up);
    assert_int_equal(pattern_of_open(&t, 0), PATTERN_IK);
    check_data(&t);
    assert_int_equal(t.alpha->known_size, 0);
    /* With trust: pin a stranger is nobody. */
    struct box *gamma = box_new(
        &t.net, "gamma", "name: gamma\noverlays:\n  - {instance: east.ip, trust: pin}\n", NULL);
    box_start(gamma);
    a = box_open(gamma, "beta.east.ip");
    net_run(&t.net, 12 * SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "no key is pinned"));
    two_done(&t);
}

static void a_pinned_key_that_is_another_one(void **state)
{
    struct two t;
    pinned(&t, 81, 0x55, 0x40);
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 12 * SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "pinned in the configuration"));
    two_done(&t);
    pinned(&t, 82, 0x41, 0x55);
    a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 12 * SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "the identity was refused"));
    assert_non_null(strstr(t.beta->notices, "pinned in the configuration"));
    two_done(&t);
}

/* The endpoint of beta leads to gamma: neither of them is taken for the other. */
static void somebody_else_is_there(void **state)
{
    struct two t;
    two_init(&t, 90, NULL);
    struct box *gamma = box_new(&t.net, "gamma", "east", NULL);
    two_start(&t);
    box_start(gamma);
    struct endpoint at = t.beta->endpoint[0];
    t.beta->endpoint[0] = gamma->endpoint[0];
    gamma->endpoint[0] = at;
    snprintf(t.beta->name, sizeof t.beta->name, "gamma"); /* the directory only */
    snprintf(gamma->name, sizeof gamma->name, "beta");
    struct answer *a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 12 * SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "another name or another key"));
    assert_null(t.alpha->known);
    assert_false(box_up(gamma, "alpha.east.ip"));
    two_done(&t);
}

static void no_tunnel_no_link(void **state)
{
    struct two t;
    two_init(&t, 91, NULL);
    two_start(&t);
    struct answer *a = box_open(t.alpha, "nobody.east.ip");
    assert_true(a->failed && a->unknown_host);
    a = box_open(t.alpha, "x.north.ip");
    assert_true(a->failed && !a->unknown_host);
    box_stop(t.beta);
    a = box_open(t.alpha, "beta.east.ip");
    net_run(&t.net, 11 * SECOND);
    assert_true(a->failed && !a->unknown_host);
    assert_non_null(strstr(a->reason, "no answer from beta.east.ip"));
    struct path_count count;
    path_count(t.alpha->e, &count);
    assert_int_equal(count.slots + count.tunnels + count.opens + count.paths, 0);
    two_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_contact_is_xx_then_ik),
        cmocka_unit_test(data_follows_the_answer_at_once),
        cmocka_unit_test(data_that_overtakes_confirm_waits),
        cmocka_unit_test(lost_messages_are_repeated),
        cmocka_unit_test(both_ciphers),
        cmocka_unit_test(lanes_are_the_larger_wish),
        cmocka_unit_test(secret_mismatch_is_said_at_both_ends),
        cmocka_unit_test(two_secrets_side_by_side),
        cmocka_unit_test(the_other_secret_without_a_refusal),
        cmocka_unit_test(answers_are_not_longer_than_questions),
        cmocka_unit_test(another_key_is_refused_until_forgotten),
        cmocka_unit_test(who_comes_with_another_key_is_refused),
        cmocka_unit_test(nobody_gets_our_own_name),
        cmocka_unit_test(pinned_keys_without_a_secret),
        cmocka_unit_test(a_pinned_key_that_is_another_one),
        cmocka_unit_test(somebody_else_is_there),
        cmocka_unit_test(no_tunnel_no_link),
    };
    return cmocka_run_group_tests_name("path_link", tests, NULL, NULL);
}
