/* Hosts that have IPv6, IPv4, or both, over servers of all kinds: who reaches whom, and what is said to whom before it has
 * said hello. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "i3/i3_server.h"
#include "overlay/i3/i3_fixture.h"

static const uint8_t secret[CHORD_SECRET] = {42};

static struct lab *lab;
static struct lab_host *alpha, *beta;

#define FOUR_A "10.0.0.1:7400"
#define FOUR_B "10.0.0.2:7400"
#define SIX_A  "[2001:db8:a::1]:7400"
#define SIX_B  "[2001:db8:b::1]:7400"

/* Hosts with these addresses; `shortcut` of both. */
static void hosts(const char *a, const char *b, const char *shortcut)
{
    alpha = lab_host_add(lab, "alpha", a, "shortcut", shortcut, NULL);
    beta = lab_host_add(lab, "beta", b, "shortcut", shortcut, NULL);
    lab_run(lab, 2 * SECOND);
}

static unsigned exchange(unsigned times)
{
    return lab_exchange(alpha, beta, times);
}

/* ---- who reaches whom ---- */

static void meets(const char *a, const char *b)
{
    hosts(a, b, "deny");
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 5 * SECOND, lab_by_private, alpha));
    assert_int_equal(exchange(10), 20);
    /* For a minute: hellos and triggers are refreshed, nothing falls back, nobody is distrusted. */
    unsigned recipes = alpha->tunnel[0].recipes;
    lab_run(lab, MINUTE);
    assert_int_equal(exchange(10), 20);
    assert_int_equal(alpha->tunnel[0].recipes, recipes);
    assert_true(lab_by_private(alpha));
    assert_int_equal(lab_counter(alpha, I3_COUNT_DISTRUSTED), 0);
    assert_int_equal(lab_counter(alpha, I3_COUNT_NO_HELLO), 0);
    assert_int_equal(lab_counter(alpha, I3_COUNT_DISPUTED), 0);
    lab_free(lab);
}

static void there_and_back(void **state)
{
    for (unsigned servers = 1; servers <= 4; servers += 3) {
        lab = lab_new_speaking(servers, 1, LAB_SIX, secret);
        meets(SIX_A, SIX_B);
        lab = lab_new_speaking(servers, 2, LAB_BOTH, secret);
        meets(SIX_A, SIX_B);
        lab = lab_new_speaking(servers, 3, LAB_BOTH, secret);
        meets(FOUR_A, SIX_B); /* neither could speak with the other */
        lab = lab_new_speaking(servers, 4, LAB_BOTH, secret);
        meets(SIX_A, FOUR_B);
    }
    /* One server of an open ring: nobody else's rules are broken. */
    lab = lab_new_speaking(1, 5, LAB_BOTH, NULL);
    meets(FOUR_A, SIX_B);
}

/* Who has been answered by one family only begins with servers of that one, also when the others have rested. */
static void the_silent_family_is_left_alone(void **state)
{
    static const char *const own[] = {SIX_A, FOUR_A};
    for (unsigned k = 0; k < 2; k++) {
        struct endpoint at;
        lab = lab_new_speaking(3, 7, LAB_BOTH, secret);
        alpha = lab_host_add(lab, "alpha", own[k], NULL);
        lab_run(lab, SECOND);
        struct i3_client *c = &i3_of(alpha->overlay)->client;
        for (unsigned i = 0; i < c->seed_count; i++)
            c->seed[i].rest = 0;
        for (unsigned i = 0; i < c->seed_count; i++) {
            c->seed_used = i;
            c->near.known = false;
            assert_true(i3_client_first_hop(c, lab->now, &at));
            assert_int_equal(at.ip.family, k ? 4 : 6);
        }
        lab_free(lab);
    }
}

static void host_with_both(void **state)
{
    for (unsigned k = 0; k < 6; k++) {
        lab = lab_new_speaking(3, 10 + k, LAB_BOTH, secret);
        alpha = lab_host_add(lab, "alpha", FOUR_A, NULL);
        alpha->also = lab_endpoint(SIX_A);
        beta = lab_host_add(lab, "beta", k & 1 ? FOUR_B : SIX_B, NULL);
        lab_run(lab, 2 * SECOND);
        lab_open(k & 2 ? beta : alpha, k & 2 ? "alpha" : "beta");
        assert_true(lab_until(lab, 5 * SECOND, lab_by_private, alpha));
        assert_int_equal(exchange(10), 20);
        assert_int_equal(lab_counter(alpha, I3_COUNT_DISTRUSTED), 0);
        assert_int_equal(lab_counter(alpha, I3_COUNT_DISPUTED), 0);
        lab_free(lab);
    }
}

static void lossy(void **state)
{
    static const char *const a[] = {FOUR_A, SIX_A, SIX_A}, *const b[] = {SIX_B, SIX_B, FOUR_B};
    for (uint64_t seed = 1; seed <= 18; seed++) {
        lab = lab_new_speaking(3, seed, LAB_BOTH, secret);
        lab->loss = 20;
        lab->twice = 10;
        lab->jitter = 30 * MILLISECOND;
        bool cut = seed % 3 == 1; /* both have IPv6 */
        hosts(a[seed % 3], b[seed % 3], "allow");
        lab_run(lab, 3 * SECOND);
        uint32_t tunnel = lab_open(alpha, "beta");
        lab_run(lab, 10 * SECOND);
        for (unsigned i = 0; i < 10 && alpha->tunnel[tunnel].failed; i++) {
            alpha->overlay->class->tunnel_close(alpha->overlay, lab->now, tunnel);
            alpha->tunnel[tunnel].used = false;
            lab_open(alpha, "beta");
            lab_run(lab, 10 * SECOND);
        }
        assert_true(lab_until(lab, 2 * MINUTE, cut ? lab_by_shortcut : lab_by_private, alpha));
        assert_true(exchange(50) > 40);
        lab_free(lab);
    }
}

/* Offered with both addresses: that which both have is taken. */
static void shortcuts(void **state)
{
    static const struct {
        const char *alpha, *alpha_also, *beta, *beta_also;
        bool taken;
    } pair[] = {{SIX_A, NULL, SIX_B, NULL, true},
                {FOUR_A, NULL, SIX_B, NULL, false},
                {FOUR_A, SIX_A, FOUR_B, SIX_B, true}};
    for (unsigned k = 0; k < sizeof pair / sizeof *pair; k++) {
        lab = lab_new_speaking(2, 30 + k, LAB_BOTH, secret);
        alpha = lab_host_add(lab, "alpha", pair[k].alpha, "shortcut", "allow", NULL);
        beta = lab_host_add(lab, "beta", pair[k].beta, "shortcut", "allow", NULL);
        if (pair[k].alpha_also) {
            alpha->also = lab_endpoint(pair[k].alpha_also);
            beta->also = lab_endpoint(pair[k].beta_also);
        }
        lab_run(lab, 2 * SECOND);
        lab_open(alpha, "beta");
        assert_true(
            lab_until(lab, 5 * SECOND, pair[k].taken ? lab_by_shortcut : lab_by_private, alpha));
        lab_run(lab, 10 * SECOND);
        assert_true(pair[k].taken ? lab_by_shortcut(alpha) : lab_by_private(alpha));
        assert_int_equal(exchange(10), 20);
        lab_free(lab);
    }
}

static unsigned triggers(void)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < lab->servers; i++)
        sum += i3_server_triggers(lab->server[i].server);
    return sum;
}

/* From IPv4 to IPv6 and back: triggers follow, and those at the old address are gone when they expire. */
static void host_moves(void **state)
{
    for (unsigned k = 0; k < 4; k++) {
        lab = lab_new_speaking(3, 40 + k, LAB_BOTH, secret);
        hosts(k & 1 ? FOUR_A : SIX_A, k & 2 ? FOUR_B : SIX_B, "deny");
        lab_open(alpha, "beta");
        assert_true(lab_until(lab, 5 * SECOND, lab_by_private, alpha));
        for (unsigned move = 0; move < 4; move++) {
            bool to_six = beta->at.ip.family == 4;
            lab_move(beta, to_six ? SIX_B : FOUR_B);
            lab_run(lab, 2 * SECOND);
            assert_int_equal(exchange(10), 20);
            assert_true(lab_until(lab, 10 * SECOND, lab_by_private, alpha));
            struct i3 *m = i3_of(beta->overlay);
            assert_int_equal(m->name[0]->trigger.target.at.ip.family, to_six ? 6 : 4);
            assert_true(endpoint_equal(&m->name[0]->trigger.target.at, &beta->at));
        }
        lab_run(lab, 40 * SECOND);
        assert_true(lab_by_private(alpha));
        lab_data(alpha, 0);
        unsigned before = beta->tunnel[0].received;
        lab_run(lab, SECOND);
        assert_int_equal(beta->tunnel[0].received, before + 1); /* once, not at both addresses */
        assert_true(triggers() <= 3 * 4); /* each at its server and two more */
        lab_free(lab);
    }
}

static void server_dies(void **state)
{
    for (unsigned victim = 0; victim < 3; victim++) {
        lab = lab_new_speaking(3, 50, LAB_BOTH, secret);
        hosts(FOUR_A, SIX_B, "deny");
        lab_open(alpha, "beta");
        assert_true(lab_until(lab, 5 * SECOND, lab_by_private, alpha));
        lab->server[victim].dead = true;
        unsigned seconds = 0;
        while (exchange(10) < 20 && seconds < 100) {
            seconds++;
            for (unsigned i = 0; i < 2 && seconds % 4 >= 2; i++) {
                struct lab_host *h = i ? beta : alpha;
                h->overlay->class->tunnel_use(h->overlay, lab->now, 0, OVERLAY_SILENT);
            }
        }
        assert_true(seconds < 40);
        lab_free(lab);
    }
}

/* ---- what is said before hello ---- */

#define HEARD_MAX 32
static struct endpoint said_hello[HEARD_MAX];
static unsigned said_count, watched;

static bool is_server(const struct endpoint *at)
{
    for (unsigned i = 0; i < lab->servers; i++)
        if (endpoint_equal(at, &lab->server[i].at) || endpoint_equal(at, &lab->server[i].also))
            return true;
    return false;
}

static bool has_said(const struct endpoint *at)
{
    for (unsigned i = 0; i < said_count; i++)
        if (endpoint_equal(&said_hello[i], at))
            return true;
    return false;
}

static void note_hello(const struct endpoint *from, const uint8_t *bytes, size_t size)
{
    struct i3_ping ping;
    static struct i3_packet p;
    uint8_t abilities = 0;
    if (i3_ping_parse(bytes, size, &ping))
        abilities = ping.abilities;
    else if (i3_packet_parse(bytes, size, &p) == I3_FINE && i3_packet_option(&p, I3_CACHE_ADDRESS))
        abilities = i3_hello_read(i3_packet_option(&p, I3_CACHE_ADDRESS)->trigger.nonce);
    if (abilities & I3_CAN_IPV6 && !has_said(from)) {
        assert_true(said_count < HEARD_MAX);
        said_hello[said_count++] = *from;
    }
}

/* An address of the hosts of this test: type 0x30 and 2001:db8:a or b. */
static bool shows_six(const uint8_t *bytes, size_t size)
{
    static const uint8_t begin[] = {I3_TO_IPV6, 0x20, 0x01, 0x0d, 0xb8};
    for (size_t i = 0; i + sizeof begin <= size; i++)
        if (!memcmp(bytes + i, begin, sizeof begin))
            return true;
    return false;
}

static void watch(const struct endpoint *from, const struct endpoint *to, const uint8_t *bytes,
                  size_t size)
{
    if (is_server(from) && from->ip.family == 6)
        note_hello(from, bytes, size);
    if (!is_server(to) || is_server(from))
        return;
    watched++;
    if (to->ip.family == 4 || !has_said(to))
        assert_false(shows_six(bytes, size));
}

static void watch_from_the_start(void)
{
    said_count = watched = 0;
    lab->watch = watch;
}

/* Under loss, with servers that come, go and come back. */
static void nothing_before_hello(void **state)
{
    for (uint64_t seed = 60; seed < 66; seed++) {
        lab = lab_new_speaking(3, seed, LAB_BOTH, secret);
        lab->loss = 10;
        lab->jitter = 30 * MILLISECOND;
        watch_from_the_start();
        hosts(SIX_A, FOUR_B, "allow");
        alpha->also = lab_endpoint(FOUR_A);
        lab_open(alpha, "beta");
        for (unsigned i = 0; i < 6; i++) {
            lab->server[i % 3].dead = !lab->server[i % 3].dead;
            lab_move(i % 2 ? alpha : beta, i % 2 ? i & 2 ? SIX_A : FOUR_A : i & 2 ? SIX_B : FOUR_B);
            lab_run(lab, 10 * SECOND);
        }
        assert_true(watched > 100);
        assert_true(said_count >= 3);
        lab_free(lab);
    }
}

static unsigned pings_there;
static const char *silent_one;

/* Behind its address is somebody who would die of an IPv6 sender: it gets pings, and nothing else. */
static void watch_silent_one(const struct endpoint *from, const struct endpoint *to,
                             const uint8_t *bytes, size_t size)
{
    struct endpoint it = lab_endpoint(silent_one);
    if (!endpoint_equal(to, &it))
        return;
    assert_int_equal(size, I3_PING_SIZE);
    assert_int_equal(bytes[0], I3_PING_ASK);
    pings_there++;
}

/* Whatever it claims, without hello. */
static void original_behind_a_translator(void **state)
{
    static const unsigned lies[] = {0, LAB_LIE_CLAIM, LAB_LIE_ACK | LAB_LIE_CLAIM,
                                    LAB_LIE_CHALLENGE | LAB_LIE_MISSING};
    silent_one = "[64:ff9b::c000:263]:5610";
    for (unsigned k = 0; k < 4; k++) {
        lab = lab_new_speaking(2, 70 + k, LAB_BOTH, secret);
        lab_liar_add(lab, silent_one, lies[k]);
        lab->watch = watch_silent_one;
        pings_there = 0;
        hosts(SIX_A, SIX_B, "deny");
        lab_open(alpha, "beta");
        assert_true(lab_until(lab, 5 * SECOND, lab_by_private, alpha));
        assert_int_equal(exchange(10), 20);
        lab_move(alpha, "[2001:db8:a::2]:7400");
        lab_run(lab, 3 * MINUTE);
        assert_true(pings_there >= 8);
        lab_free(lab);
    }
}

/* Servers of an open ring do not promise IPv6: a host without IPv4 is told why, and nobody was shown anything. */
static void open_ring(void **state)
{
    lab = lab_new_speaking(2, 80, LAB_BOTH, NULL);
    watch_from_the_start();
    hosts(SIX_A, FOUR_B, "deny");
    lab_open(alpha, "beta");
    lab_run(lab, 10 * SECOND);
    assert_true(alpha->tunnel[0].failed);
    assert_non_null(strstr(alpha->tunnel[0].reason, "does not serve hosts by IPv6"));
    assert_non_null(strstr(alpha->tunnel[0].reason, "]:5610"));
    assert_int_equal(said_count, 0);
    assert_true(watched > 0);
    lab_free(lab);
    /* Who has both uses IPv4. */
    lab = lab_new_speaking(2, 81, LAB_BOTH, NULL);
    watch_from_the_start();
    hosts(FOUR_A, FOUR_B, "deny");
    alpha->also = lab_endpoint(SIX_A);
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 5 * SECOND, lab_by_private, alpha));
    assert_int_equal(exchange(10), 20);
    lab_free(lab);
}

/* A lone open server is joined by another: its hello is taken back, and within its time so is what goes there. */
static void hello_is_taken_back(void **state)
{
    lab = lab_new_speaking(1, 90, LAB_BOTH, NULL);
    hosts(SIX_A, SIX_B, "deny");
    lab_open(alpha, "beta");
    assert_true(lab_until(lab, 5 * SECOND, lab_by_private, alpha));
    struct i3_client *c = &i3_of(alpha->overlay)->client;
    assert_true(i3_client_speaks(c, &lab->server[0].also));
    struct i3_server_settings other = {
        .outbox = 1 << 16, .triggers = 10, .entropy = &lab->server[1].random.entropy};
    seeded_init(&lab->server[1].random, 91);
    other.at = lab->server[1].at = lab_endpoint("192.0.2.2:5610");
    other.chord.self.at = lab->server[1].ring = lab_endpoint("192.0.2.2:6510");
    other.chord.self.id.bytes[0] = 0x80;
    other.chord.seed[other.chord.seeds++] = lab->server[0].ring;
    lab->server[1].server = i3_server_new(&other, lab->now);
    lab->servers = 2;
    lab_run(lab, MINUTE);
    assert_false(i3_client_speaks(c, &lab->server[0].also));
    watch_from_the_start();
    lab_run(lab, 6 * MINUTE); /* it is asked again now and then */
    assert_int_equal(said_count, 0);
    assert_true(watched > 0);
    lab_free(lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(the_silent_family_is_left_alone),
        cmocka_unit_test(host_with_both),
        cmocka_unit_test(lossy),
        cmocka_unit_test(shortcuts),
        cmocka_unit_test(host_moves),
        cmocka_unit_test(server_dies),
        cmocka_unit_test(nothing_before_hello),
        cmocka_unit_test(original_behind_a_translator),
        cmocka_unit_test(open_ring),
        cmocka_unit_test(hello_is_taken_back),
    };
    return cmocka_run_group_tests_name("overlay_i3_ipv6", tests, NULL, NULL);
}
