/* What must never happen, made to happen: each check that runs all the time, or at the end, or that
 * scenarios ask for after faults, is shown to see what it is there for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/sim_expect.h"
#include "sim/sim_host.h"
#include "sim/sim_packet.h"
#include "sim/sim_program.h"
#include "sim/sim_pump.h"
#include "sim/sim_script.h"
#include "sim/sim_seen.h"
#include "sim/sim_stream.h"

#define WORLD                                                                                      \
    "network lan 10.1.0.0/24 delay 10ms\n"                                                         \
    "host alpha lan=10.1.0.1\n"                                                                    \
    "host beta lan=10.1.0.2\n"                                                                     \
    "host gamma lan=10.1.0.3\n"                                                                    \
    "overlay east.ip on lan alpha beta gamma\n"                                                    \
    "start all\n"                                                                                  \
    "expect ping alpha,gamma beta.east.ip\n"

struct fixture {
    struct sim sim;
    struct sim_host *alpha, *beta, *gamma;
    char error[1024];
};

/* Runs more statements in a world that stands; false: f->error. */
static bool go_on(struct fixture *f, const char *text)
{
    struct sim_script *s =
        sim_script_load(&f->sim, text, strlen(text), "file.scn", f->error, sizeof f->error);
    bool ok = s && sim_script_run(s, f->error, sizeof f->error);
    sim_script_free(s);
    return ok;
}

static int set_up(void **state)
{
    struct fixture *f = *state = calloc(1, sizeof *f);
    sim_init(&f->sim, 5);
    if (!go_on(f, WORLD))
        fail_msg("%s", f->error);
    f->alpha = sim_find(&f->sim, "alpha");
    f->beta = sim_find(&f->sim, "beta");
    f->gamma = sim_find(&f->sim, "gamma");
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    sim_done(&f->sim);
    free(f);
    return 0;
}

/* The world has failed, and says this. */
static void assert_failed(const struct fixture *f, const char *text)
{
    if (!f->sim.world.failed || !strstr(f->sim.world.failure, text))
        fail_msg("wanted '%s', got '%s'", text, f->sim.world.failure);
}

static struct ip_address handle_of(struct sim_host *h)
{
    assert_non_null(h->answers);
    return h->answers->ip[0];
}

/* ---- all the time ---- */

static void plaintext_on_the_underlay(void **state)
{
    struct fixture *f = *state;
    struct endpoint from = {.port = 7400}, to = {.ip = f->beta->node.port[0].ip[0], .port = 7400};
    char says[64] = "xx", name[] = "to alpha.east.ip";
    sim_net_send(&f->sim.net, &f->alpha->node, &from, &to, 0, says, 2);
    assert_false(f->sim.world.failed);
    strcpy(says + 2, SIM_PLAIN);
    sim_net_send(&f->sim.net, &f->alpha->node, &from, &to, 0, says, 2 + SIM_PLAIN_SIZE);
    assert_failed(f, "what a program said");
    f->sim.world.failed = false;
    f->sim.world.failure[0] = 0;
    sim_net_send(&f->sim.net, &f->alpha->node, &from, &to, 0, name, sizeof name);
    assert_failed(f, "'east.ip' in clear");
}

/* An echo request as alpha's capture would give it to the kernel, with one thing changed. */
static void captured(struct fixture *f, struct ip_address source, struct ip_address destination,
                     bool bad_sum)
{
    uint8_t payload[SIM_PAYLOAD_MIN], bytes[SIM_PACKET_MAX];
    struct sim_payload head = {.host = (uint16_t)f->beta->index, .kind = SIM_PAYLOAD_PING};
    struct sim_packet p = {.kind = SIM_PACKET_ECHO,
                           .source = source,
                           .destination = destination,
                           .payload = payload,
                           .size = sizeof payload};
    struct packet_offload offload = {0};
    sim_payload_write(payload, sizeof payload, &head);
    size_t size = sim_packet_write(&p, NULL, bytes, sizeof bytes);
    bytes[size - 1] ^= bad_sum;
    sim_program_packet(f->alpha, bytes, size, &offload);
}

static void packets_that_no_kernel_should_see(void **state)
{
    struct fixture *f = *state;
    struct ip_address handle = handle_of(f->alpha), other = {.family = 4, .bytes = {192, 0, 2, 1}};
    captured(f, handle, f->alpha->tun[0], false);
    assert_false(f->sim.world.failed);
    captured(f, other, f->alpha->tun[0], false);
    assert_failed(f, "a source that is no handle");
    captured(f, handle, other, false);
    f->sim.world.failed = false;
    captured(f, handle, f->alpha->tun[0], true);
    assert_true(f->sim.world.failed);
}

static void a_destination_that_is_not_ours(void **state)
{
    struct fixture *f = *state;
    struct ip_address other = {.family = 4, .bytes = {192, 0, 2, 1}};
    captured(f, handle_of(f->alpha), other, false);
    assert_failed(f, "a destination that is not the capture's address");
}

static void a_handle_for_two_machines(void **state)
{
    struct fixture *f = *state;
    struct ip_address handle = handle_of(f->alpha); /* of beta */
    assert_true(sim_seen_from(f->alpha, &handle, f->beta->index));
    assert_false(sim_seen_from(f->alpha, &handle, f->gamma->index));
    assert_failed(f, "stands for beta, but gamma sent from it");
}

static void a_ptr_that_names_another(void **state)
{
    struct fixture *f = *state;
    struct ip_address handle = handle_of(f->alpha); /* of beta */
    sim_seen_free(f->alpha);
    assert_true(sim_seen_from(f->alpha, &handle, f->gamma->index));
    sim_world_run_until(&f->sim.world, f->sim.world.now + SECOND);
    assert_failed(f, "packets of gamma come from");
}

static void a_handle_that_changes(void **state)
{
    struct fixture *f = *state;
    f->alpha->answers->ip[0].bytes[3] ^= 1;
    assert_false(go_on(f, "expect resolve alpha beta.east.ip"));
    assert_failed(f, "alpha: the handle of beta.east.ip was");
}

static void bytes_of_a_transfer(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[SIM_PAYLOAD_MIN + 4] = {0};
    struct sim_payload head = {
        .host = (uint16_t)f->beta->index, .kind = SIM_PAYLOAD_DATA, .serial = 9};
    struct sim_packet p = {.kind = SIM_PACKET_UDP,
                           .source = handle_of(f->alpha),
                           .destination = f->alpha->tun[0],
                           .source_port = 20009,
                           .payload = bytes,
                           .size = sizeof bytes};
    for (unsigned i = 0; i < 4; i++)
        bytes[SIM_PAYLOAD_MIN + i] = sim_payload_byte(9, i);
    sim_stream_data(f->alpha, &p, &head);
    assert_false(f->sim.world.failed);
    p.source_port++;
    sim_stream_data(f->alpha, &p, &head);
    assert_failed(f, "the transfer from beta comes from");
    p.source_port--;
    f->sim.world.failed = false;
    bytes[SIM_PAYLOAD_MIN + 3] ^= 1;
    sim_stream_data(f->alpha, &p, &head);
    assert_true(f->sim.world.failed);
}

static void a_daemon_that_never_rests(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 1000; i++)
        sim_pump_tick(&f->alpha->tick, &f->sim.world);
    assert_false(f->sim.world.failed);
    for (unsigned i = 0; i < 10; i++)
        sim_pump_tick(&f->alpha->tick, &f->sim.world);
    assert_failed(f, "alpha wakes up again and again");
}

/* ---- at the end ---- */

static void one_label_more(const struct host *h, struct host_count *ret)
{
    host_count(h, ret);
    ret->slots++;
}

static void handles_without_end(const struct host *h, struct host_count *ret)
{
    host_count(h, ret);
    ret->handles += 100;
}

static void labels_and_handles_that_are_lost(void **state)
{
    struct fixture *f = *state;
    assert_true(sim_expect_no_leak(&f->sim, f->error, sizeof f->error));
    f->sim.count = one_label_more;
    assert_false(sim_expect_no_leak(&f->sim, f->error, sizeof f->error));
    assert_non_null(strstr(f->error, "labels are lost; alpha"));
    f->sim.count = handles_without_end;
    assert_false(sim_expect_no_leak(&f->sim, f->error, sizeof f->error));
    assert_non_null(strstr(f->error, "handles are lost; alpha"));
}

/* ---- after faults ---- */

static void two_ends_that_disagree(void **state)
{
    struct fixture *f = *state;
    assert_true(go_on(f, "expect agree all within 1s\n"));
    /* beta forgets everything, and nobody says anything: alpha cannot know */
    assert_false(go_on(f, "restart beta\nexpect agree alpha within 1s\n"));
    assert_non_null(strstr(f->error, "alpha has a path to beta.east.ip, and beta has none back"));
    assert_true(go_on(f, "expect ping alpha,gamma beta.east.ip\nexpect agree all within 20s\n"));
}

static void a_name_that_does_not_come_back(void **state)
{
    struct fixture *f = *state;
    assert_false(go_on(f, "restart alpha\ncut alpha from beta\n"
                          "expect resolve alpha *.east.ip within 20s\n"));
    assert_non_null(strstr(f->error, "alpha to beta.east.ip"));
}

static void something_that_never_ends(void **state)
{
    struct fixture *f = *state;
    assert_true(go_on(f, "expect quiet all within 20s\n"));
    assert_false(go_on(f, "restart alpha\ncut alpha from beta\nlookup alpha beta.east.ip\n"
                          "expect quiet alpha within 100ms\n"));
    assert_non_null(strstr(f->error, "1 opens"));
    assert_false(go_on(f, "outage gamma for 10s\nexpect calm within 1s\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plaintext_on_the_underlay),
        TEST(packets_that_no_kernel_should_see),
        TEST(a_destination_that_is_not_ours),
        TEST(a_handle_for_two_machines),
        TEST(a_ptr_that_names_another),
        TEST(a_handle_that_changes),
        TEST(bytes_of_a_transfer),
        TEST(a_daemon_that_never_rests),
        TEST(labels_and_handles_that_are_lost),
        TEST(two_ends_that_disagree),
        TEST(a_name_that_does_not_come_back),
        TEST(something_that_never_ends),
    };
    return cmocka_run_group_tests_name("sim_invariant", tests, NULL, NULL);
}
