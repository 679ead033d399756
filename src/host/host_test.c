/* From a question to packets: what programs see of a few hosts. */
#include "host/host_fixture.h"

#define A    LDNS_RR_TYPE_A
#define AAAA LDNS_RR_TYPE_AAAA
#define BETA "beta.east.ip"

struct bench {
    struct lan *lan;
    struct machine *alpha, *beta, *gate, *gamma;
};

static int set_up(void **state)
{
    struct bench *b = base_calloc(1, sizeof *b);
    b->lan = lan_new();
    b->alpha = lan_machine(b->lan, alpha_yaml);
    b->beta = lan_machine(b->lan, beta_yaml);
    b->gate = lan_machine(b->lan, gate_yaml);
    b->gamma = lan_machine(b->lan, gamma_yaml);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    lan_free(b->lan);
    free(b);
    return 0;
}

/* ---- names ---- */

static bool in_pool(const char *text, const char *pool)
{
    struct ip_address ip;
    struct ip_prefix p;
    assert_true(ip_address_parse(text, &ip) && ip_prefix_parse(pool, &p));
    return ip_prefix_holds(&p, &ip);
}

static void names_have_addresses(void **state)
{
    struct bench *b = *state;
    char v4[64], v6[64];
    strcpy(v4, machine_address(b->alpha, BETA, A));
    strcpy(v6, machine_address(b->alpha, BETA, AAAA));
    assert_true(in_pool(v4, "198.18.0.0/15") && in_pool(v6, "fd00::/48"));
    assert_string_not_equal(v4, TUN4);
    assert_string_equal(machine_address(b->alpha, BETA, A), v4);
    assert_string_equal(machine_ask_reverse(b->alpha, v4)->name, BETA ".");
    assert_string_equal(machine_ask_reverse(b->alpha, v6)->name, BETA ".");
    lan_settle(b->lan);
    /* Beta has not asked for anything and knows the name of who came. */
    const struct handle *there = machine_handle(b->beta, "alpha.east.ip");
    assert_non_null(there);
    assert_int_equal(there->owner_user, HANDLE_NO_USER);
    assert_int_equal(machine_handle(b->alpha, BETA)->owner_user, USER);
}

static void own_names(void **state)
{
    struct bench *b = *state;
    assert_string_equal(machine_address(b->alpha, "alpha.east.ip", A), TUN4);
    assert_string_equal(machine_address(b->alpha, "alpha.east.ip", AAAA), TUN6);
    assert_string_equal(machine_ask_reverse(b->alpha, TUN4)->name, "alpha.east.ip.");
    assert_string_equal(machine_ask_reverse(b->alpha, TUN6)->name, "alpha.east.ip.");
    /* A host of two instances is the same under both names. */
    assert_string_equal(machine_address(b->gate, "gate.west.ip", A), TUN4);
    assert_int_equal(handle_count(b->alpha->host->handles), 0);
}

static void names_that_do_not_exist(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *name, *words;
    } rows[] = {
        {"web.other.ip", "this host is not in other.ip"},
        {"web.lab.ron", "this host is not in lab.ron"},
        {"web.lab.ron.via.nowhere.north.ip", "this host is not in north.ip"},
        {"stranger.east.ip", "stranger"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply *r = machine_ask(b->alpha, rows[i].name, A);
        assert_int_equal(r->rcode, LDNS_RCODE_NXDOMAIN);
        if (!strstr(r->words, rows[i].words))
            fail_msg("%s: %s", rows[i].name, r->words);
    }
    assert_int_equal(machine_ask_reverse(b->alpha, "198.18.7.7")->rcode, LDNS_RCODE_NXDOMAIN);
    assert_int_equal(machine_ask_reverse(b->alpha, "fd00::7")->rcode, LDNS_RCODE_NXDOMAIN);
    assert_int_equal(handle_count(b->alpha->host->handles), 0);
    assert_null(b->alpha->host->wants);
}

static void failures_are_remembered_for_a_moment(void **state)
{
    struct bench *b = *state;
    instant before = b->lan->now;
    struct reply *r = machine_ask(b->alpha, "nobody.east.ip", A);
    assert_int_equal(r->rcode, LDNS_RCODE_SERVFAIL);
    assert_non_null(strstr(r->words, "no answer from nobody.east.ip"));
    assert_true(b->lan->now - before >= 9 * SECOND);
    before = b->lan->now;
    r = machine_ask(b->alpha, "nobody.east.ip", A);
    assert_int_equal(r->rcode, LDNS_RCODE_SERVFAIL);
    assert_non_null(strstr(r->words, "no answer from nobody.east.ip"));
    assert_int_equal(b->lan->now, before);
    lan_run(b->lan, 3 * SECOND);
    before = b->lan->now;
    machine_ask(b->alpha, "nobody.east.ip", A);
    assert_true(b->lan->now - before >= 9 * SECOND);
}

/* There is a limit to what is remembered. */
static void many_failures(void **state)
{
    struct bench *b = *state;
    char name[64];
    for (unsigned i = 0; i < FAILURES_MAX + 50; i++) {
        snprintf(name, sizeof name, "h%u.east.ip", i);
        assert_int_equal(machine_ask(b->alpha, name, A)->rcode, LDNS_RCODE_NXDOMAIN);
    }
    assert_int_equal(HASH_COUNT(b->alpha->host->failures), FAILURES_MAX);
    assert_null(host_failure(b->alpha->host, "h0.east.ip"));
    assert_non_null(host_failure(b->alpha->host, name));
}

static void a_member_by_name(void **state)
{
    struct bench *b = *state;
    struct reply *r = machine_ask(b->alpha, "byname.east.ip", A);
    assert_int_equal(r->rcode, LDNS_RCODE_SERVFAIL);
    assert_non_null(strstr(r->words, "no DNS server is known"));
    machine_crash(b->alpha);
    b->alpha->upstreams = 1;
    machine_start(b->alpha);
    machine_ask_now(b->alpha, "byname.east.ip", A, USER);
    assert_true(b->alpha->upstream_size > 12);
    assert_memory_equal(b->alpha->upstream + 12, "\6byname\7example\3org", 19);
}

static void foreign_names(void **state)
{
    struct bench *b = *state;
    assert_int_equal(machine_ask(b->alpha, "www.example.com", A)->rcode, LDNS_RCODE_SERVFAIL);
    machine_crash(b->alpha);
    b->alpha->upstreams = 1;
    machine_start(b->alpha);
    uint64_t asked = machine_ask_now(b->alpha, "www.example.com", A, USER);
    assert_memory_equal(b->alpha->upstream + 12, "\3www\7example\3com", 16);
    assert_false(b->alpha->reply[asked % 64].came);
    /* Its answer: the question with the bit set. */
    b->alpha->upstream[2] |= 0x80;
    host_dns_upstream(b->alpha->host, b->lan->now, 0, b->alpha->upstream, b->alpha->upstream_size);
    machine_pump(b->alpha);
    assert_true(b->alpha->reply[asked % 64].came);
    assert_int_equal(b->alpha->reply[asked % 64].rcode, LDNS_RCODE_NOERROR);
}

static void users_pay(void **state)
{
    struct bench *b = *state;
    static char yaml[2048];
    snprintf(yaml, sizeof yaml, "%shandles: {per_user: 1}\n", alpha_yaml);
    machine_crash(b->alpha);
    b->alpha->yaml = yaml;
    machine_start(b->alpha);
    assert_int_equal(machine_ask_as(b->alpha, BETA, A, 1)->rcode, LDNS_RCODE_NOERROR);
    struct reply *r = machine_ask_as(b->alpha, "gamma.west.ip", A, 1);
    assert_int_equal(r->rcode, LDNS_RCODE_SERVFAIL);
    assert_non_null(strstr(r->words, "as many handle addresses as one user may have"));
    assert_int_equal(machine_ask_as(b->alpha, "gamma.west.ip", A, 2)->rcode, LDNS_RCODE_NOERROR);
    assert_int_equal(machine_handle(b->alpha, "gamma.west.ip")->owner_user, 2);
    /* The other has it now too. */
    assert_int_equal(machine_ask_as(b->alpha, "gamma.west.ip", A, 1)->rcode, LDNS_RCODE_NOERROR);
}

/* ---- packets ---- */

static bool from_is(const struct machine *m, const char *text)
{
    struct ip_address ip;
    assert_true(ip_address_parse(text, &ip));
    unsigned at = ip.family == 4 ? 12 : 8;
    return !memcmp(m->captured + at, ip.bytes, ip.family == 4 ? 4 : 16);
}

static void packets_flow(void **state)
{
    struct bench *b = *state;
    static const unsigned types[] = {A, AAAA};
    for (unsigned i = 0; i < 2; i++) {
        char to[64], back[64];
        strcpy(to, machine_address(b->alpha, BETA, types[i]));
        lan_settle(b->lan);
        strcpy(back, machine_address(b->beta, "alpha.east.ip", types[i]));
        machine_send(b->alpha, to, IP_UDP, 7);
        lan_settle(b->lan);
        assert_int_equal(b->beta->captured_count, i + 1);
        assert_true(from_is(b->beta, back));
        machine_send(b->beta, back, IP_UDP, 4000);
        lan_settle(b->lan);
        assert_int_equal(b->alpha->captured_count, i + 1);
        assert_true(from_is(b->alpha, to));
    }
}

static void packets_flow_over_a_gateway(void **state)
{
    struct bench *b = *state;
    machine_send(b->alpha, machine_address(b->alpha, "gamma.west.ip", A), IP_UDP, 7);
    lan_settle(b->lan);
    assert_int_equal(b->gamma->captured_count, 1);
    assert_int_equal(b->gate->captured_count, 0);
    /* Gamma has no rule that leads to alpha, but knows the way it came. */
    char back[64];
    strcpy(back, machine_address(b->gamma, "alpha.east.ip", A));
    assert_true(from_is(b->gamma, back));
    assert_string_equal(machine_ask_reverse(b->gamma, back)->name, "alpha.east.ip.");
    /* What gamma's policy does not name is dropped there. */
    machine_send(b->alpha, machine_address(b->alpha, "gamma.west.ip", A), IP_UDP, 8);
    lan_settle(b->lan);
    assert_int_equal(b->gamma->captured_count, 1);
    assert_int_equal(machine_drops(b->gamma, DROP_POLICY), 1);
}

static bool is_icmp_unreachable(const struct machine *m)
{
    return m->captured[9] == IP_ICMP && m->captured[20] == 3;
}

static void unknown_handles_are_unreachable(void **state)
{
    struct bench *b = *state;
    machine_send(b->alpha, "198.18.9.9", IP_UDP, 7);
    assert_int_equal(b->alpha->captured_count, 1);
    assert_true(is_icmp_unreachable(b->alpha));
    assert_int_equal(machine_drops(b->alpha, DROP_UNKNOWN_HANDLE), 1);
}

/* A program holds on to an address over a restart of the daemon, and asks nobody. */
static void packets_wait_for_a_path(void **state)
{
    struct bench *b = *state;
    char to[64];
    strcpy(to, machine_address(b->alpha, BETA, A));
    machine_crash(b->alpha);
    machine_start(b->alpha);
    for (unsigned i = 0; i < WAITING_PER_HANDLE + 4; i++)
        machine_send(b->alpha, to, IP_UDP, (uint16_t)(100 + i));
    assert_int_equal(b->alpha->host->waiting, WAITING_PER_HANDLE);
    assert_int_equal(machine_drops(b->alpha, DROP_QUEUE_FULL), 4);
    lan_settle(b->lan);
    assert_int_equal(b->alpha->host->waiting, 0);
    assert_int_equal(b->beta->captured_count, WAITING_PER_HANDLE);
    assert_int_equal(b->alpha->captured_count, 0);
    assert_int_equal(machine_drops(b->alpha, DROP_SET_UP_FAILED), 0);
}

static void packets_that_waited_in_vain(void **state)
{
    struct bench *b = *state;
    char to[64];
    strcpy(to, machine_address(b->alpha, BETA, A));
    machine_crash(b->alpha);
    machine_start(b->alpha);
    b->beta->cut = true;
    machine_send(b->alpha, to, IP_UDP, 7);
    machine_send(b->alpha, to, IP_UDP, 8);
    lan_settle(b->lan);
    assert_int_equal(b->alpha->captured_count, 0);
    assert_int_equal(b->alpha->host->waiting, 2);
    lan_run(b->lan, 12 * SECOND);
    assert_int_equal(b->alpha->captured_count, 2);
    assert_true(is_icmp_unreachable(b->alpha) && from_is(b->alpha, to));
    assert_int_equal(b->alpha->host->waiting, 0);
    assert_int_equal(machine_drops(b->alpha, DROP_SET_UP_FAILED), 2);
}

/* The next packet after a failure is refused at once, and some time later it is tried again. */
static void failed_handles_are_tried_again(void **state)
{
    struct bench *b = *state;
    char to[64];
    strcpy(to, machine_address(b->alpha, BETA, A));
    machine_crash(b->alpha);
    machine_start(b->alpha);
    b->beta->cut = true;
    machine_ask(b->alpha, BETA, A); /* in vain */
    machine_send(b->alpha, to, IP_UDP, 7);
    assert_int_equal(b->alpha->captured_count, 1);
    assert_true(is_icmp_unreachable(b->alpha));
    lan_run(b->lan, 3 * SECOND);
    b->beta->cut = false;
    machine_send(b->alpha, to, IP_UDP, 7);
    lan_settle(b->lan);
    assert_int_equal(b->alpha->captured_count, 1);
    assert_int_equal(b->beta->captured_count, 1);
}

static void the_whole_queue_is_bounded(void **state)
{
    struct bench *b = *state;
    struct host *h = b->alpha->host;
    char to[64];
    strcpy(to, machine_address(b->alpha, BETA, A));
    struct host_handle *hh = host_handle_find(h, machine_handle(b->alpha, BETA)->id);
    struct packet *p = packet_take(b->alpha->pool);
    assert_true(packet_fill(p, "\x45", 1));
    h->waiting = WAITING_ALL;
    host_handle_wait(h, hh, p);
    assert_int_equal(hh->waiting, 0);
    h->waiting = 0;
    packet_give_back(p);
    assert_int_equal(machine_drops(b->alpha, DROP_QUEUE_FULL), 1);
}

/* ---- stop ---- */

static void an_end_in_order_is_told(void **state)
{
    struct bench *b = *state;
    uint32_t path;
    machine_address(b->alpha, BETA, A);
    lan_settle(b->lan);
    assert_true(path_find(b->alpha->host->path, BETA, NULL, &path));
    host_stop(b->beta->host, b->lan->now);
    machine_pump(b->beta);
    struct reply *r = machine_ask(b->beta, "alpha.east.ip", A);
    assert_int_equal(r->rcode, LDNS_RCODE_SERVFAIL);
    assert_string_equal(r->words, "the daemon ends");
    lan_settle(b->lan);
    assert_false(path_find(b->alpha->host->path, BETA, NULL, &path));
}

/* Everything that was made for a path goes with it. */
static void nothing_stays_behind(void **state)
{
    struct bench *b = *state;
    machine_address(b->alpha, BETA, A);
    machine_address(b->alpha, "gamma.west.ip", A);
    lan_run(b->lan, 2 * HOUR);
    for (unsigned i = 0; i < b->lan->machines; i++) {
        struct host_count count;
        host_count(b->lan->machine[i].host, &count);
        assert_int_equal(count.paths, 0);
        assert_int_equal(count.halves, 0);
        assert_int_equal(count.transits, 0);
        assert_int_equal(count.slots, 0);
        assert_int_equal(count.wants, 0);
        assert_int_equal(count.waiting, 0);
        assert_int_equal(packet_pool_out(b->lan->machine[i].pool), 0);
    }
    machine_send(b->alpha, machine_address(b->alpha, "gamma.west.ip", A), IP_UDP, 7);
    lan_settle(b->lan);
    assert_int_equal(b->gamma->captured_count, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(names_have_addresses),
        CASE(own_names),
        CASE(names_that_do_not_exist),
        CASE(failures_are_remembered_for_a_moment),
        CASE(many_failures),
        CASE(a_member_by_name),
        CASE(foreign_names),
        CASE(users_pay),
        CASE(packets_flow),
        CASE(packets_flow_over_a_gateway),
        CASE(unknown_handles_are_unreachable),
        CASE(packets_wait_for_a_path),
        CASE(packets_that_waited_in_vain),
        CASE(failed_handles_are_tried_again),
        CASE(the_whole_queue_is_bounded),
        CASE(an_end_in_order_is_told),
        CASE(nothing_stays_behind),
    };
    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
