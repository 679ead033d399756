#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/journal.h"
#include "daemon/log.h"
#include "daemon/pools.h"
#include "daemon/state.h"
#include "tests/support/seeded.h"

static char folder[] = "/tmp/ocala-state-XXXXXX";
static char err[DAEMON_ERROR_TEXT];

static struct daemon_state *open_state(void)
{
    struct daemon_state *s;
    assert_int_equal(daemon_state_open(folder, "test.yaml", &s, err, sizeof err), 0);
    return s;
}

static const char *path_of(const char *name)
{
    static char path[STATE_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void remove_files(void)
{
    static const char *const names[] = {"lock", "key.pem", "pools", "handles", "known"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unlink(path_of(names[i]));
        rmdir(path_of(names[i]));
    }
}

static int set_up(void **state)
{
    assert_non_null(mkdtemp(folder));
    daemon_log_begin(LOG_EMERG, NULL); /* the tests make errors on purpose */
    return 0;
}

static int tear_down(void **state)
{
    remove_files();
    return rmdir(folder);
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The lock is held by the open file, so a second opener in the same process is refused as well. */
static void test_lock(void **state)
{
    struct daemon_state *s = open_state(), *second;
    char who[64];
    assert_int_equal(daemon_state_open(folder, "other.yaml", &second, err, sizeof err), -EBUSY);
    snprintf(who, sizeof who, "(process %d, test.yaml)", (int)getpid());
    if (!strstr(err, who) || !strstr(err, folder))
        fail_msg("%s", err);
    daemon_state_close(s);
    daemon_state_close(open_state());
    daemon_state_close(NULL);
    put("known", "");
    assert_true(daemon_state_open(path_of("known"), "x", &second, err, sizeof err) < 0);
    assert_non_null(strstr(err, "known"));
}

static void test_key(void **state)
{
    struct daemon_state *s = open_state();
    struct seeded random;
    struct stat st;
    uint8_t made[32], again[32];
    seeded_init(&random, 3);
    unlink(path_of("key.pem"));
    assert_int_equal(daemon_state_key(s, &random.entropy, made, err, sizeof err), 0);
    assert_int_equal(stat(path_of("key.pem"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(daemon_state_key(s, &random.entropy, again, err, sizeof err), 0);
    assert_memory_equal(made, again, 32);
    assert_int_equal(chmod(path_of("key.pem"), 0644), 0);
    assert_int_equal(daemon_state_key(s, &random.entropy, again, err, sizeof err), -EACCES);
    assert_non_null(strstr(err, "chmod 600"));
    put("key.pem", "garbage");
    assert_int_equal(chmod(path_of("key.pem"), 0600), 0);
    assert_int_equal(daemon_state_key(s, &random.entropy, again, err, sizeof err), -EINVAL);
    daemon_state_close(s);
}

static void test_pools_file(void **state)
{
    struct daemon_state *s = open_state();
    struct daemon_pools p = {0}, back;
    unlink(path_of("pools"));
    assert_false(daemon_state_pools_load(s, &back));
    assert_true(ip_prefix_parse("198.18.0.0/15", &p.v4));
    assert_true(ip_prefix_parse("fd12:3456:789a::/48", &p.v6));
    assert_int_equal(daemon_state_pools_save(s, &p, err, sizeof err), 0);
    assert_true(daemon_state_pools_load(s, &back));
    assert_memory_equal(&p.v4, &back.v4, sizeof p.v4);
    assert_memory_equal(&p.v6, &back.v6, sizeof p.v6);
    static const char *const bad[] = {"", "ipv4 198.18.0.0/15\n",
                                      "ipv4 fd12::/48\nipv6 fd12::/48\n",
                                      "ipv4 nonsense\nipv6 fd12::/48\n", "\xFF\xFE"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put("pools", bad[i]);
        assert_false(daemon_state_pools_load(s, &back));
    }
    daemon_state_close(s);
}

static void test_pools_choice(void **state)
{
    struct daemon_state *s = open_state();
    struct config config = {.file = "x.yaml"};
    struct daemon_pools first, second;
    struct seeded random;
    char text[ADDRESS_TEXT];
    seeded_init(&random, 5);
    unlink(path_of("pools"));
    assert_true(ip_prefix_parse("198.18.0.0/15", &config.handles.ipv4));
    assert_int_equal(
        daemon_pools_choose(&config, s, NULL, &random.entropy, &first, err, sizeof err), 0);
    assert_int_equal(first.v4.length, 15);
    assert_int_equal(first.v6.length, 48);
    assert_int_equal(first.v6.ip.bytes[0], 0xFD);
    struct ip_address own = daemon_pool_own(&first.v4);
    assert_string_equal(ip_address_format(&own, text), "198.18.0.1");
    /* The random prefix is kept; what the configuration says wins over what was kept. */
    assert_int_equal(
        daemon_pools_choose(&config, s, NULL, &random.entropy, &second, err, sizeof err), 0);
    assert_memory_equal(&first, &second, sizeof first);
    assert_true(ip_prefix_parse("10.9.0.0/16", &config.handles.ipv4));
    assert_true(ip_prefix_parse("fd99::/48", &config.handles.ipv6));
    assert_int_equal(
        daemon_pools_choose(&config, s, NULL, &random.entropy, &second, err, sizeof err), 0);
    assert_memory_equal(&second.v4, &config.handles.ipv4, sizeof second.v4);
    assert_memory_equal(&second.v6, &config.handles.ipv6, sizeof second.v6);
    own = daemon_pool_own(&second.v6);
    assert_string_equal(ip_address_format(&own, text), "fd99::1");
    daemon_state_close(s);
}

static void assert_journal(struct daemon_state *s, enum host_file file, const char *expected)
{
    char *text;
    size_t size;
    assert_int_equal(daemon_state_journal_load(s, file, &text, &size, err, sizeof err), 0);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(text, expected, size);
    free(text);
}

static void test_journal(void **state)
{
    struct daemon_state *s = open_state();
    unlink(path_of("handles"));
    unlink(path_of("known"));
    assert_journal(s, HOST_FILE_HANDLES, "");
    assert_int_equal(daemon_state_journal_cut(s, HOST_FILE_HANDLES, 0, err, sizeof err), 0);
    struct daemon_journal *j = daemon_journal_new(s);
    for (char c = 'a'; c <= 'z'; c++)
        daemon_journal_put(j, HOST_FILE_HANDLES, &c, 1, false);
    daemon_journal_put(j, HOST_FILE_KNOWN, "one", 3, false);
    daemon_journal_put(j, HOST_FILE_KNOWN, "whole", 5, true);
    daemon_journal_put(j, HOST_FILE_KNOWN, "+", 1, false);
    daemon_journal_free(j);
    assert_journal(s, HOST_FILE_HANDLES, "abcdefghijklmnopqrstuvwxyz");
    assert_journal(s, HOST_FILE_KNOWN, "whole+");
    assert_int_equal(daemon_state_journal_cut(s, HOST_FILE_HANDLES, 3, err, sizeof err), 0);
    assert_journal(s, HOST_FILE_HANDLES, "abc");
    daemon_journal_free(daemon_journal_new(s)); /* without a write there is no thread */
    daemon_journal_free(NULL);
    daemon_state_close(s);
}

/* What cannot be written is told, and asked for again as a whole. */
static void test_journal_lost(void **state)
{
    struct daemon_state *s = open_state();
    enum host_file file = HOST_FILES;
    unlink(path_of("handles"));
    assert_int_equal(mkdir(path_of("handles"), 0700), 0); /* no file can be opened there */
    struct daemon_journal *j = daemon_journal_new(s);
    assert_false(daemon_journal_lost(j, &file));
    daemon_journal_put(j, HOST_FILE_HANDLES, "a", 1, false);
    struct pollfd bell = {.fd = daemon_journal_fd(j), .events = POLLIN};
    assert_int_equal(poll(&bell, 1, 10000), 1);
    assert_true(daemon_journal_lost(j, &file));
    assert_int_equal(file, HOST_FILE_HANDLES);
    assert_false(daemon_journal_lost(j, &file));
    assert_int_equal(poll(&bell, 1, 0), 0);
    daemon_journal_put(j, HOST_FILE_HANDLES, "b", 1, false); /* a hole would be before it */
    assert_int_equal(rmdir(path_of("handles")), 0);
    daemon_journal_put(j, HOST_FILE_HANDLES, "ab", 2, true);
    daemon_journal_put(j, HOST_FILE_HANDLES, "c", 1, false);
    daemon_journal_free(j);
    assert_journal(s, HOST_FILE_HANDLES, "abc");
    daemon_state_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock),       cmocka_unit_test(test_key),
        cmocka_unit_test(test_pools_file), cmocka_unit_test(test_pools_choice),
        cmocka_unit_test(test_journal),    cmocka_unit_test(test_journal_lost)};
    return cmocka_run_group_tests_name("daemon_state", tests, set_up, tear_down);
}
