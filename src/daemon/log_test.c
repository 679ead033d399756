#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/log.h"

/* What the calls of `write_lines` put on stderr. */
static char *written(void (*write_lines)(void))
{
    static char text[4096];
    int kept = dup(STDERR_FILENO), file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    assert_true(kept >= 0 && file >= 0);
    dup2(file, STDERR_FILENO);
    write_lines();
    dup2(kept, STDERR_FILENO);
    ssize_t size = pread(file, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = 0;
    close(file);
    close(kept);
    return text;
}

static void some_lines(void)
{
    daemon_log(LOG_INFO, "daemon info");
    daemon_log_as("path", LOG_INFO, "path info");
    daemon_log_as("path", LOG_DEBUG, "path debug");
    daemon_log_as("dns", LOG_NOTICE, "dns notice");
    daemon_log_as("unheard-of", LOG_NOTICE, "general notice");
    daemon_log_as(NULL, LOG_INFO, "general info");
}

static void levels_by_area(void **state)
{
    daemon_log_begin(LOG_NOTICE, "test");
    assert_string_equal(written(some_lines), "test: dns notice\ntest: general notice\n");
    assert_null(daemon_log_set("path=debug"));
    assert_string_equal(
        written(some_lines),
        "test: path info\ntest: path debug\ntest: dns notice\ntest: general notice\n");
    assert_null(daemon_log_set("info"));
    assert_null(daemon_log_set("dns=error"));
    assert_null(daemon_log_set("path="));
    assert_string_equal(written(some_lines), "test: daemon info\ntest: path info\n"
                                             "test: general notice\ntest: general info\n");
    assert_null(daemon_log_set("dns="));
    assert_null(daemon_log_set("notice"));
    assert_string_equal(written(some_lines), "test: dns notice\ntest: general notice\n");
}

static void wrong_settings_change_nothing(void **state)
{
    static const char *const wrong[] = {
        "", "loud", "path=loud", "paths=debug", "=debug", "path=debug=info", "emergency"};
    char before[512], after[512];
    struct text t;
    text_begin(&t, before, sizeof before);
    daemon_log_describe(&t);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_non_null(daemon_log_set(wrong[i]));
    text_begin(&t, after, sizeof after);
    daemon_log_describe(&t);
    assert_string_equal(before, after);
    assert_non_null(strstr(after, "\"level\": \"notice\", \"areas\": {\"daemon\": \"notice\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_by_area),
        cmocka_unit_test(wrong_settings_change_nothing),
    };
    return cmocka_run_group_tests_name("daemon_log", tests, NULL, NULL);
}
