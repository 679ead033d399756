/* Stacks of identifiers: hosts that are passed by the sender's wish, by the receiver's, or both; and identifiers that have
 * nothing to do with names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "i3/i3_server.h"
#include "overlay/i3/i3_fixture.h"

static struct lab *lab;
static struct lab_host *alpha, *beta, *one, *two;

static struct lab_host *filter(const char *name, const char *address)
{
    struct lab_host *h = lab_host_add(lab, name, address, NULL);
    h->filter = true;
    return h;
}

/* A ring, and two filters; alpha and beta are added by the test. */
static void start(unsigned servers, uint64_t seed)
{
    lab = lab_new(servers, seed);
    one = filter("one", "10.0.1.1:7400");
    two = filter("two", "10.0.1.2:7400");
}

static void met(void)
{
    lab_run(lab, SECOND);
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 20 * SECOND, lab_by_private, alpha));
}

/* Sends ten pieces one way; how many of them came. */
static unsigned ten(struct lab_host *from, struct lab_host *to)
{
    unsigned before = to->tunnel[0].received;
    for (unsigned i = 0; i < 10; i++) {
        lab_data(from, 0);
        lab_run(lab, 100 * MILLISECOND);
    }
    return to->tunnel[0].received - before;
}

static void all_pass_by_the_senders_wish(void **state)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        start(1 + seed % 3, seed);
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "through", "one, two", "shortcut",
                             "allow", NULL);
        beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "shortcut", "allow", NULL);
        met();
        assert_true(one->passed && two->passed); /* the handshake as well */
        unsigned first = one->passed, second = two->passed;
        assert_int_equal(ten(alpha, beta), 10);
        assert_true(one->passed >= first + 10 && two->passed >= second + 10);
        /* What beta sends goes its own way, and no shortcut is taken, though both would allow one. */
        first = one->passed;
        assert_int_equal(ten(beta, alpha), 10);
        assert_true(one->passed < first + 10);
        lab_run(lab, MINUTE);
        assert_true(lab_by_private(alpha));
        assert_int_equal(alpha->direct + beta->direct, 0);
        lab_free(lab);
    }
}

/* beta has what is sent to it pass one, alpha has what it sends pass two: both see it, in that order. */
static void both_wish(void **state)
{
    start(2, 3);
    alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "through", "two", NULL);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "middlebox", "one", NULL);
    met();
    unsigned first = one->passed, second = two->passed;
    assert_int_equal(ten(alpha, beta), 10);
    assert_true(one->passed >= first + 10 && two->passed >= second + 10);
    lab_free(lab);
}

static unsigned chains(void)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < lab->servers; i++)
        sum += (unsigned)i3_server_gauges(lab->server[i].server).chains;
    return sum;
}

/* beta, behind a filter, moves: the trigger that leads to the filter belongs to it as before, so it goes with the tunnel,
 * whether beta has inserted it again at its new address or not. */
static void who_is_behind_a_filter_moves(void **state)
{
    for (unsigned seconds = 1; seconds < 60; seconds += 22) {
        start(2, seconds);
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", NULL);
        beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "middlebox", "one", NULL);
        met();
        for (unsigned i = 0; i < 3; i++) {
            char address[32];
            snprintf(address, sizeof address, "10.9.9.%u:7400", i + 1);
            lab_move(beta, address);
            lab_run(lab, seconds * SECOND);
            unsigned passed = one->passed;
            lab_run(lab, 5 * SECOND);
            assert_int_equal(ten(alpha, beta) + ten(beta, alpha), 20);
            assert_true(one->passed >= passed + 10);
        }
        assert_int_equal(chains(), 1);
        beta->overlay->class->tunnel_close(beta->overlay, lab->now, 0);
        lab_run(lab, SECOND);
        assert_int_equal(chains(), 0);
        lab_free(lab);
    }
}

/* Only what goes to beta: the option of a member instead of the instance's. */
static void for_one_member(void **state)
{
    start(1, 1);
    lab->book_host = "beta";
    lab->book = (struct overlay_option){"through", "two"};
    alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "through", "one", NULL);
    lab->book_host = NULL;
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", NULL);
    met();
    assert_int_equal(ten(alpha, beta), 10);
    assert_true(two->passed >= 10);
    assert_int_equal(one->passed, 0);
    lab_free(lab);
}

/* Without the one that is to be passed nothing passes, before there is a link and after. */
static void nothing_goes_past(void **state)
{
    start(2, 2);
    alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "through", "one", NULL);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", NULL);
    met();
    one->overlay->class->leave(one->overlay, lab->now);
    lab_host_stop(one);
    lab_run(lab, 35 * SECOND); /* its trigger is forgotten */
    unsigned before = beta->tunnel[0].received;
    for (unsigned i = 0; i < 10; i++) {
        lab_data(alpha, 0);
        alpha->overlay->class->tunnel_use(alpha->overlay, lab->now, 0, OVERLAY_SILENT);
        lab_run(lab, SECOND);
    }
    assert_int_equal(beta->tunnel[0].received, before);
    assert_true(lab_counter(alpha, I3_COUNT_NOT_PRESENT) > 0);
    alpha->overlay->class->tunnel_close(alpha->overlay, lab->now, 0);
    alpha->tunnel[0].used = false;
    lab_open(alpha, "beta");
    lab_run(lab, 10 * SECOND);
    assert_true(alpha->tunnel[0].failed && !alpha->tunnel[0].unknown_host);
    assert_non_null(strstr(alpha->tunnel[0].reason, "no trigger for 'one', which"));
    lab_free(lab);
}

static bool gave_up(struct lab_host *h)
{
    return h->tunnel[0].failed;
}

/* Whichever of the hosts on the way is not there, or the one at its end: its name is said, in a path's ten seconds. */
static void who_is_missing_is_named(void **state)
{
    static const struct {
        const char *through, *host, *says;
    } cases[] = {
        {"none", "beta", "no trigger for 'none', which what is sent to 'beta' has to pass"},
        {"one, none", "beta", "no trigger for 'none', which what is sent to 'beta' has to pass"},
        {"one, two, none", "beta",
         "no trigger for 'none', which what is sent to 'beta' has to pass"},
        {"one", "nobody", "no trigger for 'nobody': is ocalad running there"},
        {"one, two", "nobody", "no trigger for 'nobody': is ocalad running there"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (uint64_t seed = 1; seed <= 4; seed++) {
            start(seed, seed);
            lab->loss = seed == 4 ? 5 : 0;
            alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "through", cases[i].through, NULL);
            beta = lab_host_add(lab, "beta", "10.0.0.2:7400", NULL);
            lab_run(lab, 5 * SECOND);
            lab_open(alpha, cases[i].host);
            assert_true(lab_until(lab, 10 * SECOND, gave_up, alpha));
            assert_non_null(strstr(alpha->tunnel[0].reason, cases[i].says));
            assert_int_equal(alpha->tunnel[0].unknown_host, !strcmp(cases[i].host, "nobody"));
            assert_null(i3_of(alpha->overlay)->client.owners); /* nobody is asked any more */
            lab_free(lab);
        }
    }
}

/* They are all there, but the last one passes nothing on: nobody is called missing, and once there is a link nobody is asked. */
static void who_is_silent_is_not_missing(void **state)
{
    start(2, 1);
    two->filter = false;
    alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "through", "one, two", NULL);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", NULL);
    lab_run(lab, SECOND);
    lab_open(alpha, "beta");
    lab_run(lab, 10 * SECOND);
    assert_true(lab_tunnel(alpha, 0)->asking && !gave_up(alpha));
    assert_int_equal(lab_counter(alpha, I3_COUNT_NOT_PRESENT), 0);
    two->filter = true;
    assert_true(lab_until(lab, 20 * SECOND, lab_by_private, alpha));
    lab_run(lab, SECOND);
    assert_false(lab_tunnel(alpha, 0)->asking);
    lab_free(lab);
}

/* One server of three says of everything that it is not there, and that it has to know. */
static void a_liar_does_not_make_it_missing(void **state)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        start(2, seed);
        lab_liar_add(lab, "203.0.113.9:5610", LAB_LIE_CLAIM | LAB_LIE_MISSING);
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "through", "one, two", NULL);
        beta = lab_host_add(lab, "beta", "10.0.0.2:7400", NULL);
        lab_run(lab, 10 * SECOND);
        lab_open(alpha, "beta");
        lab_run(lab, 20 * SECOND);
        assert_false(gave_up(alpha));
        assert_true(lab_by_private(alpha));
        lab_free(lab);
    }
}

/* The link stands while an option of one end comes with a reload, and goes with one: what alpha sends passes the first
 * filter meanwhile. */
static void comes_and_goes(struct lab_host *who, const char *option)
{
    for (unsigned on = 1; on < 2; on--) {
        const char *reason = NULL;
        struct overlay_settings old = who->overlay->settings;
        who->option[who->options] = (struct overlay_option){option, "one"};
        who->overlay->settings.option_count = who->options + on;
        assert_int_equal(who->overlay->class->reload(who->overlay, lab->now, &old, &reason), 0);
        lab_run(lab, 20 * SECOND);
        unsigned passed = one->passed;
        assert_int_equal(ten(alpha, beta), 10);
        assert_int_equal(one->passed - passed >= 10, on);
        assert_int_equal(lab_tunnel(alpha, 0)->way == I3_WAY_SHORTCUT, !on);
    }
}

static void while_it_runs(void **state)
{
    for (unsigned k = 0; k < 2; k++) {
        start(2, 4);
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "shortcut", "allow", NULL);
        beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "shortcut", "allow", NULL);
        lab_run(lab, SECOND);
        lab_open(alpha, "beta");
        lab_run(lab, 20 * SECOND);
        assert_int_equal(lab_tunnel(alpha, 0)->way, I3_WAY_SHORTCUT);
        comes_and_goes(k ? beta : alpha, k ? "middlebox" : "through");
        lab_free(lab);
    }
}

/* No more triggers than one host may have. */
static void fill_with_triggers(struct lab_host *h)
{
    struct i3 *m = i3_of(h->overlay);
    while (m->client.binding_count < I3_BINDINGS_MAX) {
        struct i3_id id;
        uint8_t key[I3_KEY];
        i3_client_draw(&m->client, &id, key);
        assert_non_null(i3_binding_add(&m->client, lab->now, &id, key, 256, NULL, 0));
    }
}

/* There is room for one of the two triggers that a tunnel behind a middlebox has: it has none then. */
static void both_triggers_or_none(void **state)
{
    start(1, 1);
    alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", NULL);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "middlebox", "one", NULL);
    met();
    struct i3 *m = i3_of(beta->overlay);
    struct i3_tunnel *t = lab_tunnel(beta, 0);
    i3_binding_remove(&m->client, t->own);
    t->own = NULL;
    fill_with_triggers(beta);
    for (unsigned i = 0; i < 2; i++) {
        i3_exchange_redraw(m, lab->now, t);
        assert_null(t->own);
        assert_null(t->inner);
        assert_int_equal(m->client.binding_count, I3_BINDINGS_MAX - 1);
    }
    /* And nothing can be opened: the reason says so. */
    fill_with_triggers(beta);
    lab_open(beta, "gamma");
    lab_run(lab, 6 * SECOND);
    assert_true(beta->tunnel[1].failed);
    assert_non_null(strstr(beta->tunnel[1].reason, "4096 triggers"));
    lab_free(lab);
}

static void on_a_bad_network(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        start(2, seed);
        lab->loss = 10;
        lab->twice = 10;
        lab->jitter = 20 * MILLISECOND;
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "through", "one two", NULL);
        beta = lab_host_add(lab, "beta", "10.0.0.2:7400", NULL);
        lab_run(lab, 10 * SECOND);
        for (unsigned i = 0; i < 10 && !lab_by_private(alpha); i++) {
            if (alpha->tunnel[0].failed) {
                alpha->overlay->class->tunnel_close(alpha->overlay, lab->now, 0);
                alpha->tunnel[0].used = false;
            }
            lab_open(alpha, "beta");
            lab_until(lab, 20 * SECOND, lab_by_private, alpha);
        }
        assert_true(lab_by_private(alpha));
        unsigned came = 0;
        for (unsigned i = 0; i < 10; i++)
            came += ten(alpha, beta);
        assert_true(came > 35); /* six legs, each loses a tenth */
        lab_free(lab);
    }
}

/* One list for all hosts: who is in it passes the others, and neither itself nor the one it sends to. */
static void neither_ourselves_nor_the_other_end(void **state)
{
    struct i3_id id[I3_THROUGH_MAX];
    lab = lab_new(1, 1);
    alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "through", "one, alpha, beta", NULL);
    assert_int_equal(i3_through_ids(i3_of(alpha->overlay), "gamma", id), 2);
    assert_int_equal(i3_through_ids(i3_of(alpha->overlay), "beta", id), 1);
    struct i3_id first;
    i3_middlebox_id(i3_of(alpha->overlay), "one", &first);
    assert_true(i3_id_equal(&id[0], &first));
    lab_free(lab);
}

/* The longest stack that there may be: four hosts, the neighbour's identifier and ours fit into the headroom. */
static void as_many_as_may_be(void **state)
{
    char name[I3_THROUGH_MAX][NAME_TEXT];
    unsigned count;
    static const char *const bad[] = {"", " , ", "a,b,c,d,e", "a,a", "a b a", "a..b", "-"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(i3_through_parse(bad[i], name, &count));
    assert_true(i3_through_parse(" a,b , c d", name, &count));
    assert_int_equal(count, 4);
    assert_string_equal(name[3], "d");
    lab = lab_new(1, 1);
    alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "through", "a,b,c,d", NULL);
    lab_run(lab, SECOND);
    lab_open(alpha, "beta");
    lab_run(lab, 200 * MILLISECOND);
    assert_true(alpha->tunnel[0].has_recipe);
    const struct recipe *r = &alpha->tunnel[0].recipe;
    assert_int_equal(r->bytes_used, I3_FRONT4 + I3_THROUGH_MAX * I3_ID);
    assert_true(r->bytes_used <= alpha->overlay->class->headroom);
    assert_true(r->mtu + r->bytes_used + I3_UDP4 <= 1500);
    lab_free(lab);
}

/* ---- identifiers of an address book ---- */

static void id_text(const struct lab_host *h, char text[2 * I3_ID + 1])
{
    const struct i3_id *id = &i3_of(h->overlay)->name[0]->trigger.id;
    for (unsigned i = 0; i < I3_ID; i++)
        snprintf(text + 2 * i, 3, "%02x", id->bytes[i]);
}

/* beta is found by who has its identifier, and not by its name. */
static void address_book(void **state)
{
    char text[2 * I3_ID + 1];
    for (unsigned listed = 0; listed < 2; listed++) {
        lab = lab_new(2, 1);
        beta =
            lab_host_add(lab, "beta", "10.0.0.2:7400", "id_from", "nobody else knows this", NULL);
        id_text(beta, text);
        lab->book_host = listed ? "beta" : NULL;
        lab->book = (struct overlay_option){"id", text};
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", NULL);
        lab_run(lab, SECOND);
        lab_open(alpha, "beta");
        assert_int_equal(lab_until(lab, 15 * SECOND, lab_by_private, alpha), listed);
        assert_int_equal(alpha->tunnel[0].unknown_host, !listed);
        if (listed)
            assert_int_equal(ten(alpha, beta) + ten(beta, alpha), 20);
        lab_free(lab);
    }
}

/* Who knows the identifier, but not the text, cannot have it lead to himself. */
static void nobody_else_binds_it(void **state)
{
    lab = lab_new(1, 1);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "id_from", "nobody else knows this", NULL);
    struct lab_host *thief = lab_host_add(lab, "thief", "10.6.6.6:7400", NULL);
    lab_run(lab, SECOND);
    struct i3_client *c = &i3_of(thief->overlay)->client;
    uint8_t key[I3_KEY] = "some other key";
    struct i3_binding *b = i3_binding_add(c, lab->now, &i3_of(beta->overlay)->name[0]->trigger.id,
                                          key, I3_PREFIX_NAME, NULL, 0);
    lab_run(lab, 5 * SECOND);
    assert_true(b->refused && !b->acknowledged);
    assert_true(lab_counter(thief, I3_COUNT_CONSTRAINT) > 0);
    lab_free(lab);
}

static void book_options(void **state)
{
    struct i3_id id;
    char text[2 * I3_ID + 2];
    memset(text, '1', 64);
    text[64] = '\0';
    assert_true(i3_id_text_parse(text, &id));
    assert_int_equal(id.bytes[31], 0x11);
    text[15] = '0'; /* the bit that says public */
    assert_false(i3_id_text_parse(text, &id));
    text[15] = 'x';
    assert_false(i3_id_text_parse(text, &id));
    text[15] = '1';
    text[63] = '\0';
    assert_false(i3_id_text_parse(text, &id));
    assert_false(i3_id_text_parse("", &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_pass_by_the_senders_wish),
        cmocka_unit_test(both_wish),
        cmocka_unit_test(who_is_behind_a_filter_moves),
        cmocka_unit_test(for_one_member),
        cmocka_unit_test(nothing_goes_past),
        cmocka_unit_test(who_is_missing_is_named),
        cmocka_unit_test(who_is_silent_is_not_missing),
        cmocka_unit_test(a_liar_does_not_make_it_missing),
        cmocka_unit_test(while_it_runs),
        cmocka_unit_test(both_triggers_or_none),
        cmocka_unit_test(on_a_bad_network),
        cmocka_unit_test(neither_ourselves_nor_the_other_end),
        cmocka_unit_test(as_many_as_may_be),
        cmocka_unit_test(address_book),
        cmocka_unit_test(nobody_else_binds_it),
        cmocka_unit_test(book_options),
    };
    return cmocka_run_group_tests_name("overlay_i3_stack", tests, NULL, NULL);
}
