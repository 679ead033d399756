/* i3_options_parse(): what the i3 server is told on the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/i3_options.h"
#include "daemon/options.h"

static int parse(struct i3_options *o, const char *words)
{
    static char copy[512];
    char *argv[32] = {"--i3-server"}, *rest = NULL;
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
        argv[argc++] = w;
    optind = 0;
    return i3_options_parse(argc, argv, o);
}

static void standards(void **state)
{
    struct i3_options o;
    assert_int_equal(parse(&o, "--listen 192.0.2.1"), -1);
    assert_int_equal(o.settings.at.port, I3_PORT);
    assert_int_equal(o.settings.ring.port, I3_PORT + 1);
    assert_int_equal(o.settings.triggers, DAEMON_I3_TRIGGERS);
    assert_int_equal(o.settings.seeds, 0);
    assert_false(o.settings.has_id);
    assert_false(o.settings.closed);
    assert_null(o.control);
    assert_int_equal(parse(&o, "--listen 192.0.2.1 --seed 192.0.2.2"), -1);
    assert_int_equal(o.settings.seed[0].port, I3_PORT + 1);
}

static void everything(void **state)
{
    struct i3_options o;
    assert_int_equal(
        parse(&o, "-l 192.0.2.1:7 -r 9 -s 192.0.2.2:10 -s 192.0.2.3:11 "
                  "--id 20000000000000000000000000000000000000a0 --triggers 5 --per-client 0 "
                  "--requests 6 --per-address 7 --control c --ready-file r --no-sandbox"),
        -1);
    assert_int_equal(o.settings.at.port, 7);
    assert_int_equal(o.settings.ring.port, 9);
    assert_int_equal(o.settings.seeds, 2);
    assert_int_equal(o.settings.seed[1].port, 11);
    assert_true(o.settings.has_id && o.settings.id.bytes[0] == 0x20);
    assert_int_equal(o.settings.triggers, 5);
    assert_int_equal(o.settings.per_client, 0);
    assert_int_equal(o.settings.requests, 6);
    assert_int_equal(o.settings.per_address, 7);
    assert_string_equal(o.control, "c");
    assert_true(o.no_sandbox);
}

/* In an open ring the IPv4 address is that for servers; with a secret the first one is. */
static void two_families(void **state)
{
    char path[] = "/tmp/ocala-i3-options-XXXXXX", words[256];
    struct i3_options o;
    assert_int_equal(parse(&o, "-l [2001:db8::1]:7 -l 192.0.2.1:8"), -1);
    assert_int_equal(o.settings.at.ip.family, 4);
    assert_int_equal(o.settings.ring.port, 9);
    assert_int_equal(o.settings.also.ip.family, 6);
    assert_int_equal(o.settings.also.port, 7);
    int fd = mkstemp(path);
    dprintf(fd, "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=\n");
    close(fd);
    snprintf(words, sizeof words, "-l [2001:db8::1]:7 -l 192.0.2.1 -s 192.0.2.2:5 --secret %s",
             path);
    assert_int_equal(parse(&o, words), -1);
    assert_int_equal(o.settings.at.ip.family, 6);
    assert_int_equal(o.settings.ring.ip.family, 6);
    assert_int_equal(o.settings.ring.port, 8);
    assert_int_equal(o.settings.also.ip.family, 4);
    snprintf(words, sizeof words, "-l [2001:db8::1]:7 --secret %s", path);
    assert_int_equal(parse(&o, words), -1);
    snprintf(words, sizeof words, "-l [2001:db8::1]:7 -s 192.0.2.2:5 --secret %s", path);
    assert_int_equal(parse(&o, words), EXIT_USAGE);
    unlink(path);
}

static void mistakes(void **state)
{
    static const char *const wrong[] = {
        "",
        "--listen 0.0.0.0",
        "--listen host",
        "--listen [2001:db8::1]", /* without a secret */
        "--listen 192.0.2.1 --listen 192.0.2.2",
        "--listen 192.0.2.1 --listen [::]",
        "--listen 192.0.2.1 --listen [fe80::1%3]",
        "--listen 192.0.2.1 --listen [2001:db8::1] --listen [2001:db8::2]",
        "--listen 192.0.2.1 --listen [2001:db8::1] --seed [2001:db8::2]:5611",
        "--listen 192.0.2.1 --ring 70000",
        "--listen 192.0.2.1 --ring 0",
        "--listen 192.0.2.1 --ring 5610",
        "--listen 192.0.2.1:65535",
        "--listen 192.0.2.1 --seed 192.0.2.1:5610",
        "--listen 192.0.2.1 --seed 192.0.2.2:0",
        "--listen 192.0.2.1 --seed host",
        "--listen 192.0.2.1:0",
        "--listen 192.0.2.1 --id 20",
        "--listen 192.0.2.1 --triggers 0",
        "--listen 192.0.2.1 --triggers x",
        "--listen 192.0.2.1 --log-level loud",
        "--listen 192.0.2.1 more",
        "--unknown",
    };
    struct i3_options o;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(parse(&o, wrong[i]), EXIT_USAGE);
    assert_int_equal(parse(&o, "--listen 192.0.2.1 --secret /nonexistent/file"), EXIT_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standards),
        cmocka_unit_test(everything),
        cmocka_unit_test(two_families),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests_name("daemon_i3_options", tests, NULL, NULL);
}
