/* Tunnels of i3 between modules, over servers of ours, on a network that loses, doubles and reorders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "i3/i3_server.h"
#include "overlay/i3/i3_fixture.h"

static struct lab *lab;
static struct lab_host *alpha, *beta;

static void start(unsigned servers, uint64_t seed, const char *shortcut)
{
    lab = lab_new(servers, seed);
    alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "shortcut", shortcut, NULL);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "shortcut", shortcut, NULL);
    lab_run(lab, SECOND);
}

static enum i3_way way(struct lab_host *h, uint32_t tunnel)
{
    return lab_tunnel(h, tunnel)->way;
}

static unsigned exchange(unsigned times)
{
    return lab_exchange(alpha, beta, times);
}

static void there_and_back(void **state)
{
    for (unsigned servers = 1; servers <= 4; servers += 3) {
        start(servers, 1, "deny");
        lab_open(alpha, "beta");
        assert_true(lab_until(lab, 3 * SECOND, lab_by_private, alpha));
        assert_int_equal(exchange(10), 20);
        /* A gateway may not insist on where records come from: that is another server tomorrow. */
        assert_int_equal(alpha->tunnel[0].recipe.from.ip.family, 0);
        /* For a minute: triggers are refreshed, nothing falls back. */
        unsigned recipes = alpha->tunnel[0].recipes;
        lab_run(lab, MINUTE);
        assert_int_equal(exchange(10), 20);
        assert_int_equal(alpha->tunnel[0].recipes, recipes);
        assert_true(lab_by_private(alpha));
        /* What was for the handshake only is gone. */
        assert_null(lab_tunnel(alpha, 0)->back);
        lab_free(lab);
    }
}

static void lossy(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        lab = lab_new(3, seed);
        lab->loss = 20;
        lab->twice = 10;
        lab->jitter = 30 * MILLISECOND;
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "shortcut", seed % 2 ? "allow" : "deny",
                             NULL);
        beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "shortcut", "allow", NULL);
        lab_run(lab, 5 * SECOND);
        uint32_t tunnel = lab_open(alpha, "beta");
        lab_run(lab, 10 * SECOND);
        for (unsigned i = 0; i < 10 && alpha->tunnel[tunnel].failed; i++) {
            alpha->overlay->class->tunnel_close(alpha->overlay, lab->now, tunnel);
            alpha->tunnel[tunnel].used = false;
            lab_open(alpha, "beta");
            lab_run(lab, 10 * SECOND);
        }
        assert_true(lab_until(lab, 2 * MINUTE, seed % 2 ? lab_by_shortcut : lab_by_private, alpha));
        assert_true(exchange(50) > 40);
        lab_free(lab);
    }
}

static void both_at_once(void **state)
{
    start(2, 3, "deny");
    lab_open(alpha, "beta");
    lab_open(beta, "alpha");
    assert_true(lab_until(lab, 5 * SECOND, lab_by_private, alpha));
    assert_int_equal(exchange(10), 20);
    lab_free(lab);
}

/* ---- what is known of whom ---- */

/* Who allows no shortcut: neither its address nor anything of it arrives anywhere but at servers. */
static void anonymous_receiver(void **state)
{
    lab = lab_new(2, 1);
    alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", "shortcut", "allow", NULL);
    beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "shortcut", "deny", NULL);
    lab_run(lab, SECOND);
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 3 * SECOND, lab_by_private, alpha));
    assert_int_equal(exchange(20), 40);
    lab_run(lab, MINUTE);
    assert_false(alpha->saw[1]);
    assert_false(beta->saw[0]); /* it would answer */
    assert_int_equal(alpha->direct + beta->direct, 0);
    /* Nor when somebody who guessed its address speaks to it. */
    uint8_t probe[I3_PROBE_SIZE] = {I3_PROBE, 1};
    lab_forge(beta, "10.0.0.1:7400", probe, sizeof probe);
    uint8_t record[40] = {0xC1};
    lab_forge(beta, "10.0.0.1:7400", record, sizeof record);
    lab_run(lab, SECOND);
    assert_false(alpha->saw[1]);
    lab_free(lab);
}

/* Private identifiers and addresses are in sealed messages only: in clear there is what everybody may know. */
static void private_is_private(void **state)
{
    start(1, 1, "deny");
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 3 * SECOND, lab_by_private, alpha));
    struct i3_id first = lab_tunnel(alpha, 0)->to_private;
    lab_free(lab);
    /* Another tunnel, other identifiers. */
    start(1, 2, "deny");
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 3 * SECOND, lab_by_private, alpha));
    struct i3_tunnel *a = lab_tunnel(alpha, 0), *b = lab_tunnel(beta, 0);
    assert_false(i3_id_equal(&first, &a->to_private));
    assert_true(i3_id_equal(&a->to_private, &b->own->trigger.id));
    assert_true(i3_id_equal(&b->to_private, &a->own->trigger.id));
    assert_false(i3_id_equal(&a->to_private, &a->name));
    alpha->overlay->class->tunnel_close(alpha->overlay, lab->now, 0);
    alpha->tunnel[0].used = false;
    first = b->to_private;
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 10 * SECOND, lab_by_private, alpha));
    assert_false(i3_id_equal(&first, &lab_tunnel(beta, 0)->to_private));
    lab_free(lab);
}

/* A name without a trigger: said in words, after the server said it twice. */
static void no_such_name(void **state)
{
    start(2, 1, "deny");
    lab_open(alpha, "nobody");
    lab_run(lab, 10 * SECOND);
    assert_true(alpha->tunnel[0].failed && alpha->tunnel[0].unknown_host);
    assert_non_null(strstr(alpha->tunnel[0].reason, "no trigger for 'nobody'"));
    lab_free(lab);
}

static void no_server(void **state)
{
    start(1, 1, "deny");
    lab->server[0].dead = true;
    lab_open(alpha, "beta");
    lab_run(lab, 10 * SECOND);
    assert_true(alpha->tunnel[0].failed && !alpha->tunnel[0].unknown_host);
    assert_non_null(strstr(alpha->tunnel[0].reason, "192.0.2.1:5610"));
    lab_free(lab);
}

/* All go under a link that stands: whoever looks is told, and not of an address that is none. */
static void no_server_any_more(void **state)
{
    char text[1024];
    struct text t;
    start(2, 1, "deny");
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 3 * SECOND, lab_by_private, alpha));
    lab->server[0].dead = lab->server[1].dead = true;
    lab_run(lab, MINUTE);
    text_begin(&t, text, sizeof text);
    alpha->overlay->class->describe(alpha->overlay, &t);
    assert_non_null(strstr(text, "no server answers for any more"));
    assert_null(strstr(text, "none:0"));
    lab_free(lab);
}

/* A server listed by a name that nobody knows: the name is what is said, and not that servers are silent. */
static void no_address(void **state)
{
    struct i3_seed seed[I3_SEEDS_MAX];
    unsigned count;
    const char *reason;
    start(1, 1, "deny");
    assert_true(i3_seeds_parse("nosuch.example.org", seed, &count, &reason));
    i3_client_seeds(&i3_of(alpha->overlay)->client, lab->now, seed, count);
    lab->server[0].dead = true;
    lab_open(alpha, "beta");
    lab_run(lab, 10 * SECOND);
    assert_true(alpha->tunnel[0].failed && !alpha->tunnel[0].unknown_host);
    assert_non_null(strstr(alpha->tunnel[0].reason, "'nosuch.example.org', a server of"));
    lab_free(lab);
}

/* ---- trouble ---- */

/* Until records pass both ways again; the path engine would notice the silence. */
static unsigned seconds_of_trouble(void)
{
    unsigned seconds = 0;
    while (exchange(10) < 20 && seconds < 100) {
        seconds++;
        for (unsigned i = 0; i < 2; i++) {
            struct lab_host *h = i ? beta : alpha;
            if (seconds % 4 >= 2)
                h->overlay->class->tunnel_use(h->overlay, lab->now, 0, OVERLAY_SILENT);
        }
    }
    return seconds;
}

/* Any of four servers dies in the middle: within seconds records pass again.  `ghost`: the ring goes on to believe in it. */
static void any_server_dies(bool ghost)
{
    for (unsigned victim = 0; victim < 4; victim++) {
        start(4, 5, "deny");
        lab_open(alpha, "beta");
        assert_true(lab_until(lab, 3 * SECOND, lab_by_private, alpha));
        lab->server[victim].dead = !ghost;
        lab->server[victim].ghost = ghost;
        assert_true(seconds_of_trouble() < 40);
        lab_free(lab);
    }
}

static void server_dies(void **state)
{
    any_server_dies(false);
}

/* As in a ring of originals, where everybody learns of a dead server again from the others: what is inserted there is not
 * acknowledged, so private identifiers and those for answers are drawn elsewhere.  A name that was there is not reached,
 * but its host reaches the other one. */
static void the_ring_does_not_forget_a_dead_server(void **state)
{
    any_server_dies(true);
}

static void host_moves(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        start(3, 2, i ? "allow" : "deny");
        lab_open(alpha, "beta");
        assert_true(lab_until(lab, 5 * SECOND, i ? lab_by_shortcut : lab_by_private, alpha));
        lab_move(beta, "10.9.9.9:7400");
        lab_run(lab, 2 * SECOND);
        assert_int_equal(exchange(10), 20);
        assert_true(lab_until(lab, 40 * SECOND, i ? lab_by_shortcut : lab_by_private, alpha));
        struct i3 *m = i3_of(beta->overlay);
        assert_int_equal(m->name[0]->trigger.target.at.ip.bytes[1], 9);
        lab_free(lab);
    }
}

static void neighbour_restarts(void **state)
{
    start(2, 4, "deny");
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 3 * SECOND, lab_by_private, alpha));
    lab_host_stop(beta);
    lab_run(lab, 2 * SECOND);
    lab_host_start(beta);
    /* What the path engine does: silence, the link is lost, and opened again. */
    alpha->overlay->class->tunnel_suspect(alpha->overlay, lab->now, 0);
    alpha->overlay->class->link_down(alpha->overlay, lab->now, 0, "beta");
    alpha->tunnel[0].linked = false;
    alpha->tunnel[0].again = lab->now + SECOND;
    assert_true(lab_until(lab, 20 * SECOND, lab_by_private, alpha));
    assert_int_equal(exchange(10), 20);
    lab_free(lab);
}

/* ---- shortcuts ---- */

static void shortcut(void **state)
{
    start(2, 1, "allow");
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 5 * SECOND, lab_by_shortcut, alpha));
    unsigned before = beta->direct;
    assert_int_equal(exchange(10), 20);
    assert_true(beta->direct >= before + 10);
    lab_run(lab, MINUTE);
    assert_true(lab_by_shortcut(alpha));
    assert_int_equal(lab_counter(alpha, I3_COUNT_SHORTCUTS), 1);
    /* The direct way breaks: by the servers again, without losing more than what was under way. */
    alpha->nat = true;
    lab_run(lab, 15 * SECOND);
    assert_int_equal(lab_counter(beta, I3_COUNT_SHORTCUTS_LOST) +
                             lab_counter(alpha, I3_COUNT_SHORTCUTS_LOST) >
                         0,
                     true);
    lab_run(lab, 30 * SECOND);
    assert_int_equal(exchange(10), 20);
    lab_free(lab);
}

/* Behind a NAT: reached like anybody else, and with a shortcut where the other end can be reached. */
static void behind_nat(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        bool allow = i & 1, opens = i & 2;
        lab = lab_new(3, 9 + i);
        alpha =
            lab_host_add(lab, "alpha", "10.0.0.1:7400", "shortcut", allow ? "allow" : "deny", NULL);
        beta = &lab->host[1];
        beta->nat = true;
        lab_host_add(lab, "beta", "192.168.1.5:7400", "shortcut", allow ? "allow" : "deny", NULL);
        lab_run(lab, 10 * SECOND);
        lab_open(opens ? beta : alpha, opens ? "alpha" : "beta");
        assert_true(lab_until(lab, 30 * SECOND, allow ? lab_by_shortcut : lab_by_private, alpha));
        assert_int_equal(exchange(10), 20);
        lab_free(lab);
    }
}

/* An offer of somebody else's address is never used. */
static void shortcut_lie(void **state)
{
    start(1, 1, "allow");
    lab_open(alpha, "beta");
    lab_run(lab, 100 * MILLISECOND);
    assert_true(lab_until(lab, 5 * SECOND, lab_by_shortcut, alpha));
    struct i3 *m = i3_of(alpha->overlay);
    struct i3_tunnel *t = lab_tunnel(alpha, 0);
    i3_shortcut_end(m, lab->now, t, false);
    uint8_t offer[1 + I3_TOKEN + 1 + 19] = {2, [1 + I3_TOKEN] = 1, 4, 198, 51, 100, 66};
    offer[sizeof offer - 1] = 53;
    struct arrival a = {.remote = lab->server[0].at};
    alpha->overlay->class->link_message(alpha->overlay, lab->now, 0, &a, offer, sizeof offer);
    lab_run(lab, 3 * SECOND);
    assert_int_equal(way(alpha, 0), I3_WAY_PRIVATE);
    assert_true(lab_counter(alpha, I3_COUNT_SHORTCUT_LIE) >= 1);
    /* A guessed nonce proves nothing. */
    uint8_t seen[9] = {3, 1, 2, 3};
    alpha->overlay->class->link_message(alpha->overlay, lab->now, 0, &a, seen, sizeof seen);
    assert_int_equal(way(alpha, 0), I3_WAY_PRIVATE);
    lab_free(lab);
}

static void bad_link_messages(void **state)
{
    static const uint8_t bad[][4] = {{0}, {9}, {1, 1}, {2, 0, 0}, {3, 1}};
    start(1, 1, "allow");
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 5 * SECOND, lab_by_shortcut, alpha));
    struct arrival a = {.remote = lab->server[0].at};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        alpha->overlay->class->link_message(alpha->overlay, lab->now, 0, &a, bad[i], 4);
    assert_int_equal(lab_counter(alpha, I3_COUNT_BAD_LINK_MESSAGE), 5);
    assert_true(lab_by_shortcut(alpha));
    uint8_t probe[I3_PROBE_SIZE] = {I3_PROBE, 1};
    uint64_t before = lab_counter(alpha, I3_COUNT_STRANGE_PROBE);
    lab_forge(alpha, "198.51.100.66:1", probe, sizeof probe);
    lab_forge(alpha, "198.51.100.66:1", probe, 5);
    assert_int_equal(lab_counter(alpha, I3_COUNT_STRANGE_PROBE), before + 2);
    lab_free(lab);
}

/* ---- a limit on the name ---- */

static uint64_t at_servers(enum i3_drop reason)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < lab->servers; i++)
        sum += i3_server_counters(lab->server[i].server)->drops[reason];
    return sum;
}

static uint64_t delivered(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < lab->servers; i++)
        sum += i3_server_counters(lab->server[i].server)->delivered;
    return sum;
}

static unsigned limited(void)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < lab->servers; i++)
        if (!lab->server[i].dead)
            sum += (unsigned)i3_server_gauges(lab->server[i].server).limited;
    return sum;
}

static bool beta_is_limited(struct lab_host *h)
{
    return limited() == 1;
}

/* A stranger sends data to beta's name, 1000 packets a second; how many came through. */
static unsigned flood_name(unsigned seconds)
{
    static const struct endpoint stranger = {.ip = {.family = 4, .bytes = {10, 6, 6, 6}},
                                             .port = 9};
    struct i3_packet p = {.flags = I3_DATA | I3_OPTIONS, .depth = 1};
    struct i3_id id;
    uint8_t key[I3_KEY], bytes[256];
    i3_name_id(i3_of(beta->overlay), 0, "beta", &id, key);
    p.stack = &id;
    size_t size = i3_packet_write(&p, bytes, sizeof bytes);
    uint64_t before = delivered();
    for (unsigned i = 0; i < seconds * 1000; i++) {
        lab_send(lab, &stranger, &lab->server[0].at, bytes, size);
        lab_run(lab, MILLISECOND);
    }
    lab_run(lab, 200 * MILLISECOND);
    return (unsigned)(delivered() - before);
}

/* The name's trigger lets through what was asked for; tunnels that stand do not notice.  After the responsible server
 * died the next one learns of the limit, and no server is ever sent one that it did not say it knows. */
static void limit_on_the_name(void **state)
{
    for (unsigned servers = 1; servers <= 4; servers += 3) {
        lab = lab_new(servers, 3);
        alpha = lab_host_add(lab, "alpha", "10.0.0.1:7400", NULL);
        beta = lab_host_add(lab, "beta", "10.0.0.2:7400", "limit", "100", NULL);
        assert_true(lab_until(lab, 3 * SECOND, beta_is_limited, NULL));
        lab_open(alpha, "beta");
        assert_true(lab_until(lab, 3 * SECOND, lab_by_private, alpha));
        unsigned through = flood_name(1);
        assert_in_range(through, 100,
                        130); /* a second of it, what may come at once, and triggers' own */
        assert_true(at_servers(I3_DROP_TRIGGER_LIMIT) >= 870);
        assert_int_equal(exchange(10), 20);
        /* Refreshed, and still limited; that checks of the trigger are lost in the flood says nothing about servers. */
        assert_in_range(flood_name(30), 3000, 3300);
        assert_int_equal(exchange(10), 20);
        assert_int_equal(lab_counter(beta, I3_COUNT_DISTRUSTED), 0);
        lab_run(lab, MINUTE);
        assert_int_equal(limited(), 1);
        for (unsigned i = 0; servers > 1 && i < servers; i++)
            lab->server[i].dead = i3_server_gauges(lab->server[i].server).limited > 0;
        assert_true(lab_until(lab, MINUTE, beta_is_limited, NULL));
        assert_int_equal(at_servers(I3_DROP_OURS_ONLY), 0);
        struct text t;
        char about[1024];
        text_begin(&t, about, sizeof about);
        beta->overlay->class->describe(beta->overlay, &t);
        assert_non_null(strstr(about, " for 100 packets a second"));
        lab_free(lab);
    }
}

/* ---- the stolen trigger ---- */

/* Who has the name's trigger too gets copies of handshakes, and nothing else: what comes back to alpha decides. */
static void stolen_trigger(void **state)
{
    start(1, 1, "deny");
    struct lab_host *thief = lab_host_add(lab, "thief", "10.6.6.6:7400", "shortcut", "deny", NULL);
    struct i3 *m = i3_of(thief->overlay);
    struct i3_id id;
    uint8_t key[I3_KEY];
    i3_name_id(m, 0, "beta", &id, key);
    i3_binding_add(&m->client, lab->now, &id, key, I3_PREFIX_NAME, NULL, 0);
    lab_run(lab, 2 * SECOND);
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 10 * SECOND, lab_by_private, alpha));
    assert_int_equal(exchange(10), 20);
    assert_false(alpha->saw[2]);
    lab_free(lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(lossy),
        cmocka_unit_test(both_at_once),
        cmocka_unit_test(anonymous_receiver),
        cmocka_unit_test(private_is_private),
        cmocka_unit_test(no_such_name),
        cmocka_unit_test(no_server),
        cmocka_unit_test(no_server_any_more),
        cmocka_unit_test(no_address),
        cmocka_unit_test(server_dies),
        cmocka_unit_test(the_ring_does_not_forget_a_dead_server),
        cmocka_unit_test(host_moves),
        cmocka_unit_test(neighbour_restarts),
        cmocka_unit_test(shortcut),
        cmocka_unit_test(behind_nat),
        cmocka_unit_test(shortcut_lie),
        cmocka_unit_test(bad_link_messages),
        cmocka_unit_test(limit_on_the_name),
        cmocka_unit_test(stolen_trigger),
    };
    return cmocka_run_group_tests_name("overlay_i3_tunnel", tests, NULL, NULL);
}
