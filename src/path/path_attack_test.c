#include "path/path_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* What somebody with the network's secret, a neighbour, or a believed gateway may make us do: each
 * test does far more than is allowed, and asks that third parties do not notice.  Each fails when
 * its limit is taken away. */

static struct endpoint stranger(unsigned number)
{
    return (struct endpoint){
        .ip = {.family = 4,
               .bytes = {203, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}},
        .port = 7400};
}

/* An OPEN for `target` as this box would send it, each time a new one; the label is made up. */
static size_t make_open(struct box *like, const char *target, uint8_t out[OPEN_SIZE + 64])
{
    struct instance *in = &like->e->instance[0];
    uint8_t noise[NOISE_BLOB_MAX], pattern;
    struct noise n;
    uint32_t label = 16 + (entropy_u32(&like->seeded.entropy) & 0xFFFFFFF0);
    struct handshake_settings s = {.pattern = PATTERN_XX,
                                   .target = target,
                                   .psk = in->psk[0],
                                   .label = label,
                                   .pad_to = OPEN_SIZE - 10 - OPEN_MACS};
    size_t size = path_handshake_begin(like->e, &n, &s, &pattern, noise, sizeof noise);
    noise_done(&n);
    struct writer w = writer_over(out, OPEN_SIZE + 64);
    write_u8(&w, WIRE_OPEN);
    write_u8(&w, PATH_VERSION);
    write_u8(&w, PATH_SUITE);
    write_u8(&w, pattern);
    write_u32(&w, label);
    write_blob(&w, noise, size);
    size = writer_size(&w);
    path_link_mac(in->mac_key[0], out, size, out + size);
    memset(out + size + LINK_MAC, 0, LINK_MAC);
    assert_false(w.failed);
    return size + OPEN_MACS;
}

/* `count` OPENs to the first host, evenly over `span`, from as many addresses. */
static void flood(struct net *net, struct box *like, struct box *victim, const char *target,
                  unsigned count, instant span)
{
    static unsigned number;
    uint8_t bytes[OPEN_SIZE + 64];
    for (unsigned i = 0; i < count; i++) {
        size_t size = make_open(like, target, bytes);
        struct endpoint from = stranger(++number);
        net_inject(net, &from, &victim->endpoint[0], bytes, size);
        net_run(net, span / count);
    }
}

static struct path_count count_of(const struct box *b)
{
    struct path_count c;
    path_count(b->e, &c);
    return c;
}

/* ---- strangers ---- */

static void floods_of_opens_cost_cookies(struct net *net, struct box *alpha, struct box *beta,
                                         struct box *like, struct tape *tape, unsigned calm)
{
    assert_false(path_is_under_load(beta->e, net->now));
    flood(net, like, beta, "beta.east.ip", 3000, 3 * SECOND);
    assert_true(path_is_under_load(beta->e, net->now));
    /* Each ACCEPT and each half is a Diffie-Hellman. */
    assert_true(tape_count(tape, beta, WIRE_ACCEPT) <= calm);
    assert_true(count_of(beta).halves <= calm);
    assert_true(tape_count(tape, beta, WIRE_COOKIE) >= 3000 - calm - 10);

    /* A real one shows a cookie and is in, while the flood goes on. */
    struct answer *a = box_open(alpha, "beta.east.ip");
    flood(net, like, beta, "beta.east.ip", 500, 500 * MILLISECOND);
    assert_true(a->up);
    assert_true(box_send(alpha, beta, "beta.east.ip", 4));
    net_run(net, 100 * MILLISECOND);
    assert_int_equal(beta->got[alpha->index], 1);

    net_run(net, LOAD_LASTS + SECOND);
    assert_false(path_is_under_load(beta->e, net->now));
}

static void who_has_the_secret_floods(void **state)
{
    struct net net;
    struct tape tape;
    net_init(&net, 1);
    struct box *alpha = box_new(&net, "alpha", "east", NULL),
               *beta = box_new(&net, "beta", "east", NULL),
               *mallory = box_new(&net, "mallory", "east", NULL);
    tape_start(&tape, &net);
    box_start(alpha);
    box_start(beta);
    box_start(mallory);
    floods_of_opens_cost_cookies(&net, alpha, beta, mallory, &tape, OPENS_CALM);
    tape_stop(&tape, &net);
    net_done(&net);
}

/* Where there is no secret anybody makes the MAC, and fewer are enough. */
static void anybody_floods_where_there_is_no_secret(void **state)
{
    struct net net;
    struct tape tape;
    char yaml[512], text[CRYPTO_KEY_TEXT];
    uint8_t key[32];
    net_init(&net, 2);
    crypto_ed25519_public((uint8_t[32]){[0 ... 31] = 0x41}, key);
    snprintf(yaml, sizeof yaml,
             "name: alpha\noverlays:\n  - instance: east.ip\n    trust: pin\n    members:\n"
             "      - {name: beta, at: '192.0.2.1:7400', key: '%s'}\n",
             crypto_key_format(key, text));
    struct box *alpha = box_new(&net, "alpha", yaml, NULL);
    crypto_ed25519_public((uint8_t[32]){[0 ... 31] = 0x40}, key);
    snprintf(yaml, sizeof yaml,
             "name: beta\noverlays:\n  - instance: east.ip\n    trust: pin\n    members:\n"
             "      - {name: alpha, key: '%s'}\n",
             crypto_key_format(key, text));
    struct box *beta = box_new(&net, "beta", yaml, NULL);
    struct box *mallory = box_new(
        &net, "mallory", "name: mallory\noverlays:\n  - {instance: east.ip, trust: pin}\n", NULL);
    tape_start(&tape, &net);
    box_start(alpha);
    box_start(beta);
    box_start(mallory);
    floods_of_opens_cost_cookies(&net, alpha, beta, mallory, &tape, OPENS_CALM_PUBLIC);
    tape_stop(&tape, &net);
    net_done(&net);
}

static void one_address_with_a_cookie_gets_its_share(void **state)
{
    struct net net;
    net_init(&net, 3);
    struct box *beta = box_new(&net, "beta", "east", NULL);
    box_start(beta);
    struct endpoint one = stranger(1), other = stranger(1 << 16);
    unsigned admitted = 0;
    for (unsigned i = 0; i < 1000; i++)
        admitted += path_source_admits(beta->e, net.now, SOURCE_OPENS, &one.ip, OPENS_PER_SOURCE);
    assert_int_equal(admitted, OPENS_PER_SOURCE);
    assert_int_equal(box_drops(beta, DROP_RATE_LIMITED), 1000 - OPENS_PER_SOURCE);
    assert_true(path_source_admits(beta->e, net.now, SOURCE_OPENS, &other.ip, OPENS_PER_SOURCE));
    net_run(&net, SECOND);
    assert_true(path_source_admits(beta->e, net.now, SOURCE_OPENS, &one.ip, OPENS_PER_SOURCE));
    /* Who owns half of an IPv6 address owns all addresses with that half. */
    struct ip_address six = {.family = 6, .bytes = {0x20, 1, 0xd, 0xb8}};
    for (admitted = 0; six.bytes[15] < 200; six.bytes[15]++)
        admitted += path_source_admits(beta->e, net.now, SOURCE_OPENS, &six, OPENS_PER_SOURCE);
    assert_int_equal(admitted, OPENS_PER_SOURCE);
    net_done(&net);
}

static void unknown_labels_get_few_answers(void **state)
{
    struct net net;
    struct tape tape;
    net_init(&net, 4);
    struct box *beta = box_new(&net, "beta", "east", NULL);
    tape_start(&tape, &net);
    box_start(beta);
    uint8_t record[64] = {WIRE_RECORD, 1, 16, 0, 1, 2, 3};
    for (unsigned i = 0; i < 1000; i++) {
        struct arrival from = {.remote = stranger(i % 2 ? 5 : 1 << 18)};
        record[6] = (uint8_t)i;
        path_unknown_label(beta->e, net.now, 0, &from, record, sizeof record);
        box_pump(beta);
    }
    assert_int_equal(tape_count(&tape, beta, WIRE_ERROR), 2 * ERRORS_PER_SOURCE);
    tape_stop(&tape, &net);
    net_done(&net);
}

/* PATH_ERROR is longer than the shortest records: to those there is none. */
static void no_answer_is_longer_than_its_record(void **state)
{
    struct net net;
    struct tape tape;
    net_init(&net, 4);
    struct box *beta = box_new(&net, "beta", "east", NULL);
    tape_start(&tape, &net);
    box_start(beta);
    const uint8_t record[ERROR_SIZE] = {WIRE_RECORD, 1, 16, 0, 1, 2, 3};
    const struct arrival from = {.remote = stranger(5)};
    for (size_t size = RECORD_HEADER; size < ERROR_SIZE; size++) {
        path_unknown_label(beta->e, net.now, 0, &from, record, size);
        box_pump(beta);
    }
    assert_int_equal(tape_count(&tape, beta, WIRE_ERROR), 0);
    path_unknown_label(beta->e, net.now, 0, &from, record, ERROR_SIZE);
    box_pump(beta);
    assert_int_equal(tape_count(&tape, beta, WIRE_ERROR), 1);
    tape_stop(&tape, &net);
    net_done(&net);
}

static unsigned lines(const char *text)
{
    unsigned n = 0;
    for (; (text = strchr(text, '\n')); text++)
        n++;
    return n;
}

static void the_log_is_not_flooded(void **state)
{
    struct net net;
    net_init(&net, 5);
    struct box *beta = box_new(&net, "beta", "east", NULL),
               *mallory = box_new(&net, "mallory", "east", NULL);
    mallory->keys[0].secret[0][0] ^= 1;
    box_start(beta);
    box_start(mallory);
    flood(&net, mallory, beta, "beta.east.ip", 200, 900 * MILLISECOND);
    assert_true(lines(beta->notices) >= 1);
    assert_true(lines(beta->notices) <= 2 * 20);
    assert_int_equal(box_drops(beta, DROP_BAD_MAC), 200);
    assert_int_equal(count_of(beta).halves, 0);
    net_done(&net);
}

/* Records that come before CONFIRM wait in the half, but not without end. */
static void what_waits_in_halves_is_bounded(void **state)
{
    struct net net;
    struct tape tape;
    net_init(&net, 6);
    struct box *beta = box_new(&net, "beta", "east", NULL),
               *mallory = box_new(&net, "mallory", "east", NULL);
    tape_start(&tape, &net);
    box_start(beta);
    box_start(mallory);
    flood(&net, mallory, beta, "beta.east.ip", 100, SECOND);
    static uint8_t record[60000] = {WIRE_RECORD, 1, 16, 0};
    unsigned stashed = 0;
    for (const struct half *h = beta->e->oldest_half; h; h = h->newer, stashed++)
        for (unsigned i = 0; i < STASH_MAX; i++)
            path_half_stash(beta->e, (struct half *)h, &(struct arrival){.socket = 0}, record,
                            sizeof record);
    assert_true(stashed > 50);
    assert_true(beta->e->stashed <= STASHED_BYTES);
    assert_true(beta->e->stashed > STASHED_BYTES / 2);
    assert_true(box_drops(beta, DROP_QUEUE_FULL) > 100);
    net_run(&net, MINUTE);
    assert_int_equal(count_of(beta).halves, 0);
    assert_int_equal(beta->e->stashed, 0);
    tape_stop(&tape, &net);
    net_done(&net);
}

/* ---- members ---- */

/* A PATH_OPEN over the sender's link to `to`, for `target`, which need not exist; the handshake is
 * a real one. */
static void send_open(struct box *from, const char *to, const char *origin, const char *via,
                      const char *target, uint8_t ret_id[HANDSHAKE_ID])
{
    struct path *link = box_neighbour(from, to)->link;
    struct open_message m = {.label = 16 + (entropy_u32(&from->seeded.entropy) & 0xFFFFFFF0),
                             .record_mtu = 1400,
                             .pattern = PATTERN_XX};
    struct handshake_settings s = {
        .pattern = PATTERN_XX, .target = target, .psk = (uint8_t[32]){0}};
    uint8_t noise[NOISE_BLOB_MAX], bytes[CONTROL_MAX];
    struct noise n;
    struct writer w = writer_over(bytes, sizeof bytes);
    assert_non_null(link);
    m.noise_size = (uint16_t)path_handshake_begin(from->e, &n, &s, &m.pattern, noise, sizeof noise);
    m.noise = noise;
    noise_done(&n);
    path_handshake_id(noise, m.noise_size, m.id);
    if (ret_id)
        memcpy(ret_id, m.id, HANDSHAKE_ID);
    snprintf(m.remaining.hop[m.remaining.count++].text, NAME_TEXT, "%s", to);
    if (strcmp(to, target))
        snprintf(m.remaining.hop[m.remaining.count++].text, NAME_TEXT, "%s", target);
    snprintf(m.travelled.hop[m.travelled.count++].text, NAME_TEXT, "%s", origin);
    if (via)
        snprintf(m.travelled.hop[m.travelled.count++].text, NAME_TEXT, "%s", via);
    write_u8(&w, MESSAGE_OPEN);
    path_open_message_write(&w, &m);
    assert_false(w.failed);
    path_control_send(from->e, from->net->now, link, bytes, writer_size(&w));
    box_pump(from);
}

/* gate brings many of mallory's; alpha's, which came first, stays. */
static void an_initiator_pushes_out_only_its_own_halves(void **state)
{
    struct trio t;
    uint8_t id[HANDSHAKE_ID];
    trio_init(&t, 10, NULL);
    struct answer *a = box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->up);
    send_open(t.gate, "beta.west.ip", "alpha.east.ip", "gate.west.ip", "beta.west.ip", id);
    net_run(&t.net, 10 * MILLISECOND);
    assert_non_null(path_half_find(t.beta->e, id));
    for (unsigned i = 0; i < 1100; i++) {
        send_open(t.gate, "beta.west.ip", "mallory.east.ip", "gate.west.ip", "beta.west.ip", NULL);
        net_run(&t.net, 5 * MILLISECOND);
    }
    assert_non_null(path_half_find(t.beta->e, id));
    assert_true(count_of(t.beta).halves <= 1 + HALVES_PER_ORIGIN);
    assert_true(box_drops(t.beta, DROP_LIMIT) > 1000);
    /* ... and a neighbour all together, whatever it calls the initiators. */
    for (unsigned i = 0; i < 600; i++) {
        char origin[NAME_TEXT];
        snprintf(origin, sizeof origin, "m%u.east.ip", i);
        send_open(t.gate, "beta.west.ip", origin, "gate.west.ip", "beta.west.ip", NULL);
        net_run(&t.net, 5 * MILLISECOND);
    }
    assert_true(count_of(t.beta).halves <= HALVES_PER_LINK);
    trio_done(&t);
}

static void opens_of_one_link_are_limited(void **state)
{
    struct trio t;
    trio_init(&t, 11, NULL);
    struct answer *a = box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->up);
    uint64_t before = box_drops(t.beta, DROP_RATE_LIMITED);
    for (unsigned i = 0; i < 1000; i++)
        send_open(t.gate, "beta.west.ip", "mallory.east.ip", "gate.west.ip", "beta.west.ip", NULL);
    net_run(&t.net, 500 * MILLISECOND);
    assert_in_range(box_drops(t.beta, DROP_RATE_LIMITED) - before, 1000 - 2 * OPENS_PER_SECOND,
                    1000);
    trio_check_same(&t);
    trio_done(&t);
}

/* A gateway does not begin more for one member than a share, in a second and at once. */
static void a_member_gets_a_share_of_its_gateway(void **state)
{
    struct trio t;
    trio_init(&t, 12, NULL);
    struct answer *a = box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->up);
    box_stop(t.beta);
    for (unsigned i = 0; i < 250; i++)
        send_open(t.alpha, "gate.east.ip", "alpha.east.ip", NULL, "beta.west.ip", NULL);
    net_run(&t.net, 500 * MILLISECOND);
    assert_true(count_of(t.gate).transits <= 1 + 2 * PASSED_OPENS);
    for (unsigned i = 0; i < 400; i++) {
        send_open(t.alpha, "gate.east.ip", "alpha.east.ip", NULL, "beta.west.ip", NULL);
        net_run(&t.net, 10 * MILLISECOND);
    }
    assert_true(count_of(t.gate).transits <= 1 + WAITING_PER_LINK);
    assert_true(box_drops(t.gate, DROP_LIMIT) > 0);
    /* The link itself is well, and after a while nothing of this is left. */
    assert_true(box_up(t.alpha, "gate.east.ip"));
    net_run(&t.net, 10 * MINUTE);
    assert_int_equal(count_of(t.gate).transits, 0);
    trio_done(&t);
}

static uint64_t lane0_out(struct box *b, const char *name)
{
    return atomic_load(&box_neighbour(b, name)->link->fwd->lane[0]->records_out);
}

static void messages_of_one_link_are_limited(void **state)
{
    struct net net;
    net_init(&net, 13);
    struct box *alpha = box_new(&net, "alpha", "east", NULL),
               *beta = box_new(&net, "beta", "east", NULL);
    box_start(alpha);
    box_start(beta);
    struct answer *a = box_open(alpha, "beta.east.ip");
    net_run(&net, SECOND);
    assert_true(a->up);
    uint64_t before = lane0_out(beta, "alpha.east.ip");
    uint8_t probe[5] = {MESSAGE_PROBE};
    for (unsigned i = 0; i < 3 * MESSAGES_PER_LINK; i++) {
        path_control_send(alpha->e, net.now, box_neighbour(alpha, "beta.east.ip")->link, probe,
                          sizeof probe);
        box_pump(alpha);
    }
    net_run(&net, 500 * MILLISECOND);
    assert_in_range(lane0_out(beta, "alpha.east.ip") - before, MESSAGES_PER_LINK / 2,
                    MESSAGES_PER_LINK + 8);
    assert_true(box_drops(beta, DROP_RATE_LIMITED) >= MESSAGES_PER_LINK);
    /* The link outlives it. */
    net_run(&net, 5 * SECOND);
    assert_true(box_send(alpha, beta, "beta.east.ip", 4));
    net_run(&net, SECOND);
    assert_int_equal(beta->got[alpha->index], 1);
    net_done(&net);
}

/* What alpha says of its transit is passed on to beta, at gate's pace. */
static void what_is_passed_on_is_limited(void **state)
{
    struct trio t;
    trio_init(&t, 14, NULL);
    struct answer *a = box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->up);
    uint64_t before = lane0_out(t.gate, "beta.west.ip");
    uint8_t bytes[7];
    for (unsigned i = 0; i < MESSAGES_PER_LINK; i++) {
        struct writer w = writer_over(bytes, sizeof bytes);
        write_u8(&w, MESSAGE_MTU);
        write_u32(&w, box_path(t.alpha, "beta.west.ip")->label_out);
        write_u16(&w, 1300);
        path_control_send(t.alpha->e, t.net.now, box_neighbour(t.alpha, "gate.east.ip")->link,
                          bytes, sizeof bytes);
        box_pump(t.alpha);
    }
    net_run(&t.net, 500 * MILLISECOND);
    assert_in_range(lane0_out(t.gate, "beta.west.ip") - before, PASSED_PER_LINK / 2,
                    PASSED_PER_LINK + 8);
    trio_check_same(&t);
    trio_done(&t);
}

/* ---- memory ---- */

static void more_labels_than_there_are(void **state)
{
    struct trio t;
    trio_init(&t, 20, NULL);
    struct answer *a = box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, SECOND);
    assert_true(a->up);
    uint32_t *taken = calloc(LABEL_SLOTS, sizeof *taken), count = 0;
    while ((taken[count] = path_slot_take(t.gate->e, SLOT_HALF, t.gate)))
        count++;
    assert_true(count > LABEL_SLOTS / 4);
    struct box *gamma = box_new(&t.net, "gamma", "east", NULL);
    box_start(gamma);
    struct answer *no = box_open(gamma, "gate.east.ip"); /* a half is refused */
    send_open(t.alpha, "gate.east.ip", "alpha.east.ip", NULL, "beta.west.ip", NULL); /* a transit */
    struct answer *own = box_open(t.gate, "gamma.east.ip");                          /* a path */
    net_run(&t.net, 20 * SECOND);
    assert_true(no->failed);
    assert_true(own->failed);
    assert_true(box_drops(t.gate, DROP_LIMIT) >= 2);
    trio_check_same(&t);
    while (count)
        path_slot_free(t.gate->e, taken[--count]);
    free(taken);
    trio_done(&t);
}

static void too_many_neighbours(void **state)
{
    struct net net;
    net_init(&net, 21);
    struct box *alpha = box_new(&net, "alpha", "east", NULL),
               *beta = box_new(&net, "beta", "east", NULL);
    box_start(alpha);
    box_start(beta);
    struct neighbour **some = calloc(NEIGHBOURS_MAX, sizeof(void *));
    for (unsigned i = 0; i < NEIGHBOURS_MAX; i++) {
        char name[NAME_TEXT];
        snprintf(name, sizeof name, "h%u.east.ip", i);
        some[i] = path_neighbour_get(beta->e, name, 0);
        path_neighbour_use(some[i]);
    }
    struct answer *a = box_open(alpha, "beta.east.ip");
    net_run(&net, 20 * SECOND);
    assert_true(a->failed);
    assert_true(box_drops(beta, DROP_LIMIT) > 0);
    for (unsigned i = 0; i < NEIGHBOURS_MAX; i++)
        path_neighbour_release(beta->e, some[i]);
    box_pump(beta);
    free(some);
    a = box_open(alpha, "beta.east.ip");
    net_run(&net, 5 * SECOND);
    assert_true(a->up);
    net_done(&net);
}

static char *many_known(unsigned count, const char *instance, const char *how, size_t *ret_size)
{
    char *text = malloc(count * 200u + 1), key[CRYPTO_KEY_TEXT];
    uint8_t bytes[32] = {9};
    size_t size = 0;
    crypto_key_format(bytes, key);
    for (unsigned i = 0; i < count; i++)
        size += (size_t)sprintf(text + size, "h%u.%s %s %s\n", i, instance, key, how);
    *ret_size = size;
    return text;
}

/* Nobody's binding is pushed out, and the one who fills the memory is told how to make room. */
static void too_many_names_are_known(void **state)
{
    struct net net;
    net_init(&net, 22);
    struct box *alpha = box_new(&net, "alpha", "east", NULL),
               *beta = box_new(&net, "beta", "east", NULL),
               *gamma = box_new(&net, "gamma", "east", NULL);
    box_start(alpha);
    box_start(beta);
    struct answer *a = box_open(alpha, "beta.east.ip");
    net_run(&net, SECOND);
    assert_true(a->up);
    size_t size;
    char *text = many_known(KNOWN_MAX - 1, "east.ip", "first use", &size);
    path_trust_load(beta->e, text, size);
    free(text);
    box_start(gamma);
    box_open(gamma, "beta.east.ip");
    net_run(&net, 20 * SECOND);
    assert_false(box_up(beta, "gamma.east.ip"));
    assert_true(box_drops(beta, DROP_LIMIT) > 0);
    assert_non_null(strstr(beta->notices, "ocala key forget"));
    assert_true(box_up(beta, "alpha.east.ip"));
    assert_true(path_forget(beta->e, net.now, "h7.east.ip"));
    box_pump(beta);
    a = box_open(gamma, "beta.east.ip");
    net_run(&net, 20 * SECOND);
    assert_true(a->up);
    net_done(&net);
}

static void a_gateway_vouches_for_too_many_names(void **state)
{
    struct trio t;
    trio_init(&t, 23, NULL);
    size_t size;
    char *text = many_known(KNOWN_PER_GATEWAY, "west.ip", "vouched for by gate.east.ip", &size);
    path_trust_load(t.alpha->e, text, size);
    free(text);
    struct answer *a = box_open(t.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&t.net, 20 * SECOND);
    assert_true(a->failed);
    assert_non_null(strstr(a->reason, "vouched for too many names"));
    assert_true(box_up(t.alpha, "gate.east.ip")); /* first contacts of others have their own room */
    trio_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_the_secret_floods),
        cmocka_unit_test(anybody_floods_where_there_is_no_secret),
        cmocka_unit_test(one_address_with_a_cookie_gets_its_share),
        cmocka_unit_test(unknown_labels_get_few_answers),
        cmocka_unit_test(no_answer_is_longer_than_its_record),
        cmocka_unit_test(the_log_is_not_flooded),
        cmocka_unit_test(what_waits_in_halves_is_bounded),
        cmocka_unit_test(an_initiator_pushes_out_only_its_own_halves),
        cmocka_unit_test(opens_of_one_link_are_limited),
        cmocka_unit_test(a_member_gets_a_share_of_its_gateway),
        cmocka_unit_test(messages_of_one_link_are_limited),
        cmocka_unit_test(what_is_passed_on_is_limited),
        cmocka_unit_test(more_labels_than_there_are),
        cmocka_unit_test(too_many_neighbours),
        cmocka_unit_test(too_many_names_are_known),
        cmocka_unit_test(a_gateway_vouches_for_too_many_names),
    };
    return cmocka_run_group_tests_name("path_attack", tests, NULL, NULL);
}
