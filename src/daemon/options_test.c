#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/log.h"
#include "daemon/options.h"

/* Parses a command line of words, without the program's name; what it prints goes nowhere. */
static int parse(const char *words, struct daemon_options *ret)
{
    static char copy[256];
    static char *argv[16];
    int argc = 0;
    strcpy(copy, words);
    argv[argc++] = "ocalad";
    for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
        argv[argc++] = w;
    argv[argc] = NULL;
    optind = 0; /* from the start again */
    opterr = 0;
    fflush(stdout);
    int out = dup(STDOUT_FILENO), error = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    int result = daemon_options_parse(argc, argv, ret);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    dup2(error, STDERR_FILENO);
    close(out);
    close(error);
    close(null);
    return result;
}

static void test_defaults(void **state)
{
    struct daemon_options o;
    assert_int_equal(parse("", &o), -1);
    assert_null(o.config);
    assert_null(o.run);
    assert_null(o.ready_file);
    assert_false(o.check);
    assert_int_equal(o.log_level, -1);
}

static void test_all(void **state)
{
    struct daemon_options o;
    assert_int_equal(parse("--config a.yaml --ready-file r --log-level debug --check", &o), -1);
    assert_string_equal(o.config, "a.yaml");
    assert_string_equal(o.ready_file, "r");
    assert_int_equal(o.log_level, LOG_DEBUG);
    assert_true(o.check);
    assert_int_equal(parse("-c b.yaml --run -- curl -v --check x", &o), -1);
    assert_string_equal(o.config, "b.yaml");
    assert_false(o.check);
    assert_string_equal(o.run[0], "curl");
    assert_string_equal(o.run[2], "--check");
    assert_null(o.run[4]);
    /* Options of the program are not ours, with or without the two dashes. */
    assert_int_equal(parse("--run sh -c true", &o), -1);
    assert_string_equal(o.run[1], "-c");
    assert_null(o.config);
}

static void test_misuse(void **state)
{
    struct daemon_options o;
    static const char *const bad[] = {"word",         "--run",         "--run --check -- x",
                                      "--nothing",    "--config",      "--log-level loud",
                                      "--check word", "--log-level 7", "--run --"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(bad[i], &o), EXIT_USAGE);
    assert_int_equal(parse("--version", &o), EXIT_OK);
    assert_int_equal(parse("--help", &o), EXIT_OK);
}

static void test_levels(void **state)
{
    assert_int_equal(daemon_log_level("error"), LOG_ERR);
    assert_int_equal(daemon_log_level("warning"), LOG_WARNING);
    assert_int_equal(daemon_log_level("debug"), LOG_DEBUG);
    assert_int_equal(daemon_log_level("critical"), -1);
    assert_int_equal(daemon_log_level(""), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_defaults), cmocka_unit_test(test_all),
                                       cmocka_unit_test(test_misuse),
                                       cmocka_unit_test(test_levels)};
    return cmocka_run_group_tests_name("daemon_options", tests, NULL, NULL);
}
