/* What becomes of handles with time, over restarts, and when the disk is full. */
#include "host/host_fixture.h"

#define A    LDNS_RR_TYPE_A
#define BETA "beta.east.ip"

struct bench {
    struct lan *lan;
    struct machine *alpha, *beta;
    char v4[64]; /* alpha's handle for beta */
};

static int set_up(void **state)
{
    struct bench *b = base_calloc(1, sizeof *b);
    b->lan = lan_new();
    b->alpha = lan_machine(b->lan, alpha_yaml);
    b->beta = lan_machine(b->lan, beta_yaml);
    strcpy(b->v4, machine_address(b->alpha, BETA, A));
    lan_settle(b->lan);
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

static const struct handle *handle_at(struct machine *m, const char *text)
{
    struct ip_address ip;
    assert_true(ip_address_parse(text, &ip));
    return handle_by_address(m->host->handles, &ip);
}

/* ---- resting ---- */

/* Half of the time without a path or a packet: it rests. */
static void rest(struct bench *b)
{
    lan_run(b->lan, 27 * HOUR);
    assert_int_equal(handle_at(b->alpha, b->v4)->state, HANDLE_QUARANTINED);
    assert_null(machine_handle(b->alpha, BETA));
}

static void a_resting_handle_has_no_name(void **state)
{
    struct bench *b = *state;
    rest(b);
    assert_int_equal(machine_ask_reverse(b->alpha, b->v4)->rcode, LDNS_RCODE_NXDOMAIN);
    /* The name brings it back. */
    assert_string_equal(machine_address(b->alpha, BETA, A), b->v4);
    assert_int_equal(handle_at(b->alpha, b->v4)->state, HANDLE_LIVE);
    assert_string_equal(machine_ask_reverse(b->alpha, b->v4)->name, BETA ".");
}

static void check_a_packet_revives(struct bench *b)
{
    machine_send(b->alpha, b->v4, IP_UDP, 7);
    assert_int_equal(b->alpha->host->waiting, 1);
    lan_settle(b->lan);
    assert_int_equal(b->beta->captured_count, 1);
    assert_int_equal(b->alpha->captured_count, 0);
    assert_int_equal(handle_at(b->alpha, b->v4)->state, HANDLE_LIVE);
    assert_string_equal(machine_ask_reverse(b->alpha, b->v4)->name, BETA ".");
}

static void a_packet_to_a_resting_handle_revives_it(void **state)
{
    struct bench *b = *state;
    rest(b);
    check_a_packet_revives(b);
}

static void also_after_a_restart(void **state)
{
    struct bench *b = *state;
    rest(b);
    machine_crash(b->alpha);
    machine_start(b->alpha);
    assert_int_equal(handle_at(b->alpha, b->v4)->state, HANDLE_QUARANTINED);
    check_a_packet_revives(b);
}

static void a_resting_handle_of_a_host_that_is_gone(void **state)
{
    struct bench *b = *state;
    rest(b);
    b->beta->cut = true;
    machine_send(b->alpha, b->v4, IP_UDP, 7);
    lan_run(b->lan, 15 * SECOND);
    assert_int_equal(b->alpha->captured_count, 1);
    assert_int_equal(b->alpha->captured[20], 3); /* ICMP unreachable */
    assert_int_equal(handle_at(b->alpha, b->v4)->state, HANDLE_QUARANTINED);
    /* The packet counts as a use: the time of rest began anew. */
    lan_run(b->lan, 30 * HOUR);
    assert_non_null(handle_at(b->alpha, b->v4));
    lan_run(b->lan, 24 * HOUR);
    assert_null(handle_at(b->alpha, b->v4));
}

/* ---- recycling ---- */

static void rested_handles_go(void **state)
{
    struct bench *b = *state;
    lan_run(b->lan, 47 * HOUR);
    assert_non_null(handle_at(b->alpha, b->v4));
    lan_run(b->lan, 5 * HOUR);
    assert_null(handle_at(b->alpha, b->v4));
    assert_int_equal(HASH_COUNT(b->alpha->host->host_handles), 0);
    machine_send(b->alpha, b->v4, IP_UDP, 7);
    assert_int_equal(machine_drops(b->alpha, DROP_UNKNOWN_HANDLE), 1);
    assert_int_equal(b->alpha->captured_count, 1);
    assert_string_not_equal(machine_address(b->alpha, BETA, A), b->v4);
}

static void a_connection_keeps_its_address(void **state)
{
    struct bench *b = *state;
    assert_true(ip_address_parse(b->v4, &b->alpha->in_use));
    lan_run(b->lan, 200 * HOUR);
    assert_non_null(handle_at(b->alpha, b->v4));
    check_a_packet_revives(b);
    /* By its other address too. */
    b->alpha->in_use = handle_at(b->alpha, b->v4)->v6;
    lan_run(b->lan, 100 * HOUR);
    assert_non_null(handle_at(b->alpha, b->v4));
    b->alpha->in_use = (struct ip_address){0};
    lan_run(b->lan, 100 * HOUR);
    assert_null(handle_at(b->alpha, b->v4));
}

static void packets_keep_a_handle(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 20; i++) {
        machine_send(b->alpha, b->v4, IP_UDP, 7);
        lan_run(b->lan, 10 * HOUR);
    }
    assert_int_equal(handle_at(b->alpha, b->v4)->state, HANDLE_LIVE);
    assert_int_equal(b->beta->captured_count, 20);
}

/* ---- a host that was set up anew ---- */

static void a_new_key_has_a_new_handle(void **state)
{
    struct bench *b = *state;
    char fresh[64];
    machine_crash(b->beta);
    b->beta->seed[0] ^= 1;
    machine_start(b->beta);
    lan_run(b->lan, MINUTE); /* until alpha has noticed */
    struct reply *r = machine_ask(b->alpha, BETA, A);
    assert_int_equal(r->rcode, LDNS_RCODE_SERVFAIL);
    assert_non_null(strstr(r->words, "ocala key forget " BETA));
    json_decref(machine_control(
        b->alpha, true, "{\"command\": \"key.forget\", \"args\": {\"name\": \"" BETA "\"}}"));
    lan_run(b->lan, 3 * SECOND);
    strcpy(fresh, machine_address(b->alpha, BETA, A));
    assert_string_not_equal(fresh, b->v4);
    /* Who asks for the old one's name gets none, because the name means another address now. */
    assert_int_equal(handle_at(b->alpha, b->v4)->state, HANDLE_LIVE);
    assert_int_equal(machine_ask_reverse(b->alpha, b->v4)->rcode, LDNS_RCODE_NXDOMAIN);
    assert_string_equal(machine_ask_reverse(b->alpha, fresh)->name, BETA ".");
    /* And what is sent to it does not go to the new one. */
    machine_send(b->alpha, b->v4, IP_UDP, 7);
    lan_settle(b->lan);
    assert_int_equal(b->beta->captured_count, 0);
    assert_int_equal(b->alpha->captured_count, 1);
}

/* ---- another profile: the same state folder under another configuration ---- */

static void start_as(struct machine *m, const char *yaml)
{
    machine_crash(m);
    m->log_size = 0;
    m->yaml = yaml;
    machine_start(m);
}

/* Without its instance a name is nobody's, but its address is not given to somebody else. */
static void without_the_instance(void **state)
{
    struct bench *b = *state;
    start_as(b->alpha, "name: alpha\noverlays:\n"
                       "  - {instance: north.ip, listen: 10.0.0.1:7400, secret: s}\n");
    struct reply *r = machine_ask(b->alpha, BETA, A);
    assert_int_equal(r->rcode, LDNS_RCODE_SERVFAIL);
    assert_non_null(strstr(r->words, "this host is not in east.ip"));
    assert_string_equal(handle_at(b->alpha, b->v4)->name.text, BETA);
    machine_send(b->alpha, b->v4, IP_UDP, 7);
    lan_settle(b->lan);
    assert_int_equal(b->alpha->captured[20], 3); /* ICMP unreachable, at once */
    assert_int_equal(b->beta->captured_count, 0);
    /* The next day everything is as it was. */
    lan_run(b->lan, 20 * HOUR);
    start_as(b->alpha, alpha_yaml);
    assert_string_equal(machine_address(b->alpha, BETA, A), b->v4);
    /* For good: it rests and goes. */
    start_as(b->alpha, "name: alpha\noverlays:\n"
                       "  - {instance: north.ip, listen: 10.0.0.1:7400, secret: s}\n");
    lan_run(b->lan, 30 * HOUR);
    assert_int_equal(handle_at(b->alpha, b->v4)->state, HANDLE_QUARANTINED);
    lan_run(b->lan, 40 * HOUR);
    assert_null(handle_at(b->alpha, b->v4));
}

/* A handle is the peer's; under which key this host shows itself does not matter. */
static void under_another_key(void **state)
{
    struct bench *b = *state;
    machine_crash(b->alpha);
    b->alpha->seed[0] ^= 1;
    machine_crash(b->beta); /* which knew the old one */
    b->beta->file[HOST_FILE_KNOWN].size = 0;
    machine_start(b->alpha);
    machine_start(b->beta);
    assert_string_equal(machine_address(b->alpha, BETA, A), b->v4);
}

/* ---- limits ---- */

static void who_has_enough_starts_no_path(void **state)
{
    struct bench *b = *state;
    struct machine *gate = lan_machine(b->lan, gate_yaml);
    struct host_count before, after;
    handle_limits_set(b->alpha->host->handles, HANDLE_QUARANTINE, 1);
    host_count(b->alpha->host, &before);
    struct reply *r = machine_ask(b->alpha, "gate.east.ip", A);
    assert_int_equal(r->rcode, LDNS_RCODE_SERVFAIL);
    assert_non_null(strstr(r->words, "as many handle addresses as one user may have"));
    host_count(b->alpha->host, &after);
    assert_int_equal(after.paths, before.paths);
    host_count(gate->host, &after);
    assert_int_equal(after.paths + after.halves, 0);
    /* What he has he keeps, also when it rests. */
    rest(b);
    assert_string_equal(machine_address(b->alpha, BETA, A), b->v4);
}

/* ---- flows that were there before ---- */

static void addresses_of_a_handle(void **state)
{
    struct bench *b = *state;
    struct ip_address v4, v6, ip;
    char text[ADDRESS_TEXT];
    const struct handle *record = handle_at(b->alpha, b->v4);
    assert_true(host_handle_addresses(b->alpha->host, &record->v6, &v4, &v6));
    assert_string_equal(ip_address_format(&v4, text), b->v4);
    assert_true(ip_address_equal(&v6, &record->v6));
    assert_true(ip_address_parse("198.18.200.1", &ip));
    assert_false(host_handle_addresses(b->alpha->host, &ip, &v4, &v6));
}

/* ---- the disk ---- */

static void names_and_keys_survive(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 3; i++) {
        machine_crash(b->alpha);
        machine_start(b->alpha);
        assert_string_equal(machine_address(b->alpha, BETA, A), b->v4);
    }
    assert_int_equal(b->alpha->file[HOST_FILE_KNOWN].appends, 1);
}

/* Every end that a crash may leave. */
static void damaged_files(void **state)
{
    struct bench *b = *state;
    for (int f = 0; f < HOST_FILES; f++) {
        size_t whole = b->alpha->file[f].size;
        machine_crash(b->alpha);
        b->alpha->log_size = 0;
        b->alpha->file[f].bytes[whole] = 'x';
        b->alpha->file[f].size = whole + 1;
        machine_start(b->alpha);
        assert_true(b->alpha->file[f].size == whole);
        assert_true(f != HOST_FILE_HANDLES || machine_said(b->alpha, "the journal is damaged"));
        assert_string_equal(machine_address(b->alpha, BETA, A), b->v4);
    }
    machine_crash(b->alpha);
    b->alpha->file[HOST_FILE_HANDLES].size = 0;
    b->alpha->file[HOST_FILE_KNOWN].size = 0;
    machine_start(b->alpha);
    assert_null(handle_at(b->alpha, b->v4));
    machine_address(b->alpha, BETA, A);
}

static void a_full_disk(void **state)
{
    struct bench *b = *state;
    struct machine *alpha = b->alpha;
    /* Alpha forgets everything, then the disk is full. */
    machine_crash(alpha);
    for (int f = 0; f < HOST_FILES; f++) {
        alpha->file[f].size = 0;
        alpha->file[f].full = true;
        alpha->file[f].appends = alpha->file[f].rewrites = alpha->file[f].refused = 0;
    }
    machine_start(alpha);
    strcpy(b->v4, machine_address(alpha, BETA, A));
    for (int f = 0; f < HOST_FILES; f++)
        assert_int_equal(alpha->file[f].refused, 1);
    lan_run(b->lan, 35 * SECOND);
    for (int f = 0; f < HOST_FILES; f++) {
        assert_int_equal(alpha->file[f].refused, 4); /* tried again every ten seconds */
        assert_int_equal(alpha->file[f].size, 0);
        alpha->file[f].full = false;
    }
    lan_run(b->lan, 10 * SECOND);
    for (int f = 0; f < HOST_FILES; f++) {
        assert_int_equal(alpha->file[f].rewrites, 1);
        assert_int_equal(alpha->file[f].appends, 0);
        assert_true(alpha->file[f].size > 0);
    }
    lan_run(b->lan, MINUTE);
    assert_int_equal(alpha->file[HOST_FILE_KNOWN].rewrites, 1);
    machine_crash(alpha);
    machine_start(alpha);
    assert_string_equal(machine_address(alpha, BETA, A), b->v4);
    json_t *keys = describe_keys(alpha->host);
    assert_int_equal(json_array_size(json_object_get(keys, "keys")), 1);
    json_decref(keys);
}

/* The end is the last chance. */
static void a_full_disk_at_the_end(void **state)
{
    struct bench *b = *state;
    struct machine *alpha = b->alpha;
    alpha->file[HOST_FILE_KNOWN].full = true;
    json_decref(machine_control(
        alpha, true, "{\"command\": \"key.forget\", \"args\": {\"name\": \"" BETA "\"}}"));
    assert_int_equal(alpha->file[HOST_FILE_KNOWN].refused, 1);
    alpha->file[HOST_FILE_KNOWN].full = false;
    host_stop(alpha->host, b->lan->now);
    machine_pump(alpha);
    assert_int_equal(alpha->file[HOST_FILE_KNOWN].rewrites, 1);
    assert_int_equal(alpha->file[HOST_FILE_KNOWN].size, 0); /* nobody is known any more */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_resting_handle_has_no_name),
        CASE(a_packet_to_a_resting_handle_revives_it),
        CASE(also_after_a_restart),
        CASE(a_resting_handle_of_a_host_that_is_gone),
        CASE(rested_handles_go),
        CASE(a_connection_keeps_its_address),
        CASE(packets_keep_a_handle),
        CASE(a_new_key_has_a_new_handle),
        CASE(without_the_instance),
        CASE(under_another_key),
        CASE(who_has_enough_starts_no_path),
        CASE(addresses_of_a_handle),
        CASE(names_and_keys_survive),
        CASE(damaged_files),
        CASE(a_full_disk),
        CASE(a_full_disk_at_the_end),
    };
    return cmocka_run_group_tests_name("host_handle", tests, NULL, NULL);
}
