#include "path/path_fixture.h"

#include <stdio.h>

/* Who is who across overlays: whom a gateway's word convinces, and of what. */

#define VIA_GATE "beta.west.ip.via.gate.east.ip"

/* alpha (east) - gate - beta (west), with more configuration for the ends. */
static void three(struct trio *t, uint64_t seed, const char *alphas, const char *gates,
                  const char *betas)
{
    net_init(&t->net, seed);
    t->alpha = box_new(&t->net, "alpha", "east", alphas);
    t->gate = box_new(&t->net, "gate", "east west", gates);
    t->beta = box_new(&t->net, "beta", "west", betas);
    box_start(t->alpha);
    box_start(t->gate);
    box_start(t->beta);
}

static const char forward_all[] = "forward: [{from: east.ip, to: west.ip}, {from: west.ip, to: "
                                  "east.ip}, {from: east.ip, to: east.ip}]\n";
static const char believe_west[] = "believe: [{gateway: gate.east.ip, instances: [west.ip]}]\n";
static const char believe_east[] = "believe: [{gateway: gate.west.ip, instances: [east.ip]}]\n";

static const char *key_text(uint8_t seed, char text[CRYPTO_KEY_TEXT])
{
    uint8_t bytes[32], public_key[32];
    memset(bytes, seed, sizeof bytes);
    crypto_ed25519_public(bytes, public_key);
    return crypto_key_format(public_key, text);
}

static struct answer *ask(struct trio *t, const char *chain)
{
    struct answer *a = box_open(t->alpha, chain);
    net_run(&t->net, 12 * SECOND);
    return a;
}

static void a_believed_gateway_vouches(void **state)
{
    struct trio t;
    three(&t, 1, believe_west, forward_all, believe_east);
    struct answer *a = ask(&t, VIA_GATE);
    assert_true(a->up);
    struct path_info info;
    assert_true(path_info(t.alpha->e, box_path(t.alpha, "beta.west.ip")->slot, &info));
    assert_string_equal(info.identity, "vouched for by gate.east.ip");
    assert_true(path_info(t.beta->e, box_path(t.beta, "alpha.east.ip")->slot, &info));
    assert_string_equal(info.identity, "vouched for by gate.west.ip");
    trio_done(&t);
}

static void nobody_is_believed_without_a_line(void **state)
{
    struct trio t;
    three(&t, 2, NULL, forward_all, believe_east);
    struct answer *a = ask(&t, VIA_GATE);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "nobody we believe vouches for beta.west.ip"));
    assert_non_null(strstr(a->reason, "believe:"));
    trio_done(&t);

    /* Believed, but about others. */
    three(&t, 3, "believe: [{gateway: gate.east.ip, instances: [north.ip]}]\n", forward_all,
          believe_east);
    a = ask(&t, VIA_GATE);
    assert_true(a->failed);
    trio_done(&t);

    /* beta does not believe: it refuses, after message 3, and alpha hears why. */
    three(&t, 4, believe_west, forward_all, NULL);
    a = ask(&t, VIA_GATE);
    assert_true(a->up); /* it stood for a moment */
    assert_false(box_up(t.alpha, "beta.west.ip"));
    assert_non_null(strstr(t.alpha->last_down, "nobody we believe vouches for alpha.east.ip"));
    assert_non_null(strstr(t.beta->notices, "nobody we believe vouches for alpha.east.ip"));
    assert_int_equal(t.beta->ups, 1); /* the link to gate */
    trio_done(&t);
}

/* gate shows a beta of its own. */
static void a_lying_gateway_against_a_pin(void **state)
{
    struct trio t;
    char yaml[256], text[CRYPTO_KEY_TEXT];
    snprintf(yaml, sizeof yaml, "%spins: [{name: beta.west.ip, key: '%s'}]\n", believe_west,
             key_text(0x99, text));
    three(&t, 5, yaml, forward_all, believe_east);
    struct answer *a = ask(&t, VIA_GATE);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "another key than the one pinned in the configuration"));
    assert_null(strstr(t.alpha->known, "beta.west.ip")); /* only the link to gate was bound */
    trio_done(&t);

    /* And with the right pin no gateway need be believed. */
    snprintf(yaml, sizeof yaml, "pins: [{name: beta.west.ip, key: '%s'}]\n", key_text(0x42, text));
    three(&t, 6, yaml, forward_all, believe_east);
    a = ask(&t, VIA_GATE);
    assert_true(a->up);
    assert_true(box_up(t.alpha, "beta.west.ip"));
    trio_done(&t);
}

/* What was believed once stays: a gateway that changes its mind is not. */
static void a_gateway_that_lies_later(void **state)
{
    struct trio t;
    three(&t, 7, believe_west, forward_all, believe_east);
    assert_true(ask(&t, VIA_GATE)->up);
    box_key(t.beta, 0, 0x98);
    box_restart(t.beta);
    assert_true(path_forget(t.gate->e, t.net.now, "beta.west.ip")); /* gate accepts the new one */
    box_pump(t.gate);
    net_run(&t.net, 2 * MINUTE);
    box_restart(t.alpha);
    struct answer *a = ask(&t, VIA_GATE);
    assert_true(a->failed);
    assert_non_null(
        strstr(a->reason, "another key than the one remembered (vouched for by gate.east.ip)"));
    assert_non_null(strstr(a->reason, "ocala key forget beta.west.ip"));
    trio_done(&t);
}

/* A gateway's word never covers an instance that we are in ourselves (a configuration that says so
 * is refused). */
static void not_about_our_own_instance(void **state)
{
    struct trio t;
    three(&t, 8, NULL, forward_all, NULL);
    struct box *gamma = box_new(&t.net, "gamma", "east", NULL);
    box_start(gamma);
    struct answer *a = ask(&t, "gamma.east.ip.via.gate.east.ip");
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "a gateway's word does not cover our own instance"));
    /* Known from a link of its own it may be reached by the gateway as well. */
    assert_true(ask(&t, "gamma.east.ip")->up);
    a = ask(&t, "gamma.east.ip.via.gate.east.ip");
    assert_true(a->up);
    assert_false(box_path(t.alpha, "gamma.east.ip")->one_hop);
    assert_non_null(box_neighbour(t.alpha, "gamma.east.ip")->link); /* the link stays a link */
    assert_true(box_send(t.alpha, gamma, "gamma.east.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(gamma->got[t.alpha->index], 1);
    trio_done(&t);
}

/* gate joins two paths under a false name: the initiator says inside the handshake who it is. */
static void a_gateway_that_renames_the_initiator(void **state)
{
    struct trio t;
    three(&t, 9, believe_west, forward_all, believe_east);
    struct answer *a = box_open(t.alpha, VIA_GATE);
    while (!HASH_COUNT(t.gate->e->transits) || !t.gate->e->transits->open)
        net_run(&t.net, MILLISECOND);
    /* The message that waits for the link to beta: "alpha" becomes "alphb" in the travelled hops.
     */
    struct transit *transit = t.gate->e->transits;
    uint8_t *name = memmem(transit->open, transit->open_size, "alpha.east.ip", 13);
    assert_non_null(name);
    name[4] = 'b';
    net_run(&t.net, 12 * SECOND);
    assert_false(box_up(t.alpha, "beta.west.ip"));
    assert_false(box_up(t.beta, "alphb.east.ip"));
    assert_non_null(strstr(t.beta->notices, "the gateways call it alphb.east.ip"));
    assert_true(a->up || a->failed);
    trio_done(&t);
}

/* Two instances of one host have identities of their own. */
static void an_identity_for_each_instance(void **state)
{
    struct trio t;
    net_init(&t.net, 10);
    t.alpha = box_new(&t.net, "alpha", "east", believe_west);
    t.gate = box_new(&t.net, "gate", "east west", forward_all);
    t.beta = box_new(&t.net, "beta", "west", believe_east);
    box_key(t.gate, 1, 0x63);
    box_start(t.alpha);
    box_start(t.gate);
    box_start(t.beta);
    assert_true(ask(&t, VIA_GATE)->up);
    const struct path *east = box_path(t.alpha, "gate.east.ip"),
                      *west = box_path(t.beta, "gate.west.ip");
    assert_true(memcmp(east->peer->key, west->peer->key, 32));
    trio_done(&t);
}

/* ---- reload ---- */

static void reload(struct box *b, const char *instances, const char *yaml)
{
    struct config *fresh = net_config(b->name, instances, yaml), *old = b->config;
    b->config = fresh;
    path_reload(b->e, b->net->now, fresh);
    config_free(old);
    box_pump(b);
}

static void who_lost_the_right_loses_it_now(void **state)
{
    struct trio t;
    char yaml[256], text[CRYPTO_KEY_TEXT];
    three(&t, 20, believe_west, forward_all, believe_east);
    assert_true(ask(&t, VIA_GATE)->up);

    /* A pin that contradicts: closed, and the peer hears of it. */
    snprintf(yaml, sizeof yaml, "%spins: [{name: beta.west.ip, key: '%s'}]\n", believe_west,
             key_text(0x97, text));
    reload(t.alpha, "east", yaml);
    net_run(&t.net, SECOND);
    assert_false(box_up(t.alpha, "beta.west.ip"));
    assert_false(box_up(t.beta, "alpha.east.ip"));
    reload(t.alpha, "east", believe_west);
    assert_true(ask(&t, VIA_GATE)->up);

    /* The gateway does not forward any more: nothing passes, and the ends notice. */
    reload(t.gate, "east west", NULL);
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
    net_run(&t.net, 15 * SECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 0);
    assert_false(box_up(t.alpha, "beta.west.ip"));
    struct path_count count;
    path_count(t.gate->e, &count);
    assert_int_equal(count.transits, 0);
    assert_true(ask(&t, VIA_GATE)->failed);
    trio_done(&t);
}

/* What only drains may not come back for somebody whose key was forgotten. */
static void what_drains_goes_with_the_key(void **state)
{
    struct trio t;
    struct path_count count;
    three(&t, 22, believe_west, forward_all, believe_east);
    assert_true(ask(&t, VIA_GATE)->up);
    struct path *first = box_path(t.alpha, "beta.west.ip");
    path_alive_suspect(t.alpha->e, t.net.now, first); /* a second one stands, the first drains */
    box_pump(t.alpha);
    net_run(&t.net, SECOND);
    assert_int_equal(first->state, PATH_STATE_DRAINING);
    assert_true(box_up(t.alpha, "beta.west.ip"));
    assert_true(path_forget(t.alpha->e, t.net.now, "beta.west.ip"));
    box_pump(t.alpha);
    net_run(&t.net, SECOND);
    assert_false(box_up(t.alpha, "beta.west.ip"));
    assert_false(box_up(t.beta, "alpha.east.ip"));
    path_count(t.alpha->e, &count);
    assert_int_equal(count.paths, 1); /* the link */
    path_count(t.beta->e, &count);
    assert_int_equal(count.paths, 1);
    trio_done(&t);
}

static void policies_are_published_again(void **state)
{
    struct trio t;
    three(&t, 21, believe_west, forward_all, believe_east);
    assert_true(ask(&t, VIA_GATE)->up);
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4)); /* from elsewhere: ICMP only */
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 0);
    assert_int_equal(box_drops(t.beta, DROP_POLICY), 1);
    char yaml[256];
    snprintf(yaml, sizeof yaml, "%spolicy: [{peer: '*.east.ip', allow: [udp/7777]}]\n",
             believe_east);
    reload(t.beta, "west", yaml);
    assert_true(box_send(t.alpha, t.beta, "beta.west.ip", 4));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 1);
    reload(t.beta, "west", believe_east);
    assert_true(box_send_sized(t.alpha, t.beta, "beta.west.ip", 4, 8, 9));
    net_run(&t.net, SECOND);
    assert_int_equal(t.beta->got[t.alpha->index], 1);
    trio_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_believed_gateway_vouches),
        cmocka_unit_test(nobody_is_believed_without_a_line),
        cmocka_unit_test(a_lying_gateway_against_a_pin),
        cmocka_unit_test(a_gateway_that_lies_later),
        cmocka_unit_test(not_about_our_own_instance),
        cmocka_unit_test(a_gateway_that_renames_the_initiator),
        cmocka_unit_test(an_identity_for_each_instance),
        cmocka_unit_test(who_lost_the_right_loses_it_now),
        cmocka_unit_test(what_drains_goes_with_the_key),
        cmocka_unit_test(policies_are_published_again),
    };
    return cmocka_run_group_tests_name("path_vouch", tests, NULL, NULL);
}
