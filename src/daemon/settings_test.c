#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "crypto/crypto.h"
#include "daemon/settings.h"

static char folder[] = "/tmp/ocala-settings-XXXXXX";
static const char good[] = "name: alpha\n"
                           "overlays:\n"
                           "  - instance: east.ip\n"
                           "    secret: east.secret\n";

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path_of(name), mode), 0);
}

static void put_secret(const char *name, uint8_t fill, mode_t mode)
{
    uint8_t secret[32];
    char text[CRYPTO_KEY_TEXT + 1];
    memset(secret, fill, sizeof secret);
    crypto_key_format(secret, text);
    strcat(text, "\n");
    put(name, text, mode);
}

static void put_key(const char *name, uint8_t fill)
{
    uint8_t seed[32];
    char pem[512];
    memset(seed, fill, sizeof seed);
    assert_true(crypto_ed25519_to_pem(seed, pem, sizeof pem) > 0);
    put(name, pem, 0600);
}

static int set_up(void **state)
{
    assert_non_null(mkdtemp(folder));
    put_secret("east.secret", 7, 0600);
    put("ocala.yaml", good, 0644);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"east.secret", "ocala.yaml", "own.pem", "other.secret"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

static void refused(const char *text, int expected, const char *part, const char *other_part)
{
    struct daemon_settings s;
    char err[DAEMON_ERROR_TEXT] = "";
    put("ocala.yaml", text, 0644);
    int error = daemon_settings_read(path_of("ocala.yaml"), NULL, &s, err, sizeof err);
    assert_int_equal(error, expected);
    if (!strstr(err, part) || !strstr(err, other_part))
        fail_msg("'%s' or '%s' is not in '%s'", part, other_part, err);
}

static void test_good(void **state)
{
    struct daemon_settings s;
    char err[DAEMON_ERROR_TEXT];
    uint8_t seed[32], filled[32];
    put("ocala.yaml", good, 0644);
    assert_int_equal(daemon_settings_read(path_of("ocala.yaml"), NULL, &s, err, sizeof err), 0);
    assert_string_equal(s.config->name, "alpha");
    memset(filled, 7, sizeof filled);
    assert_int_equal(s.keys[0].secret_count, 1);
    assert_memory_equal(s.keys[0].secret[0], filled, 32);
    assert_true(s.needs_key && s.own_key[0]);
    memset(seed, 9, sizeof seed);
    daemon_settings_own_key(&s, seed);
    assert_memory_equal(s.keys[0].seed, seed, 32);
    daemon_settings_done(&s);
    assert_null(s.config);
    daemon_settings_done(&s);
}

static void test_own_key_file(void **state)
{
    struct daemon_settings s;
    char err[DAEMON_ERROR_TEXT], text[512];
    uint8_t filled[32], seed[32] = {1};
    snprintf(text, sizeof text, "%s    key: own.pem\n", good);
    put("ocala.yaml", text, 0644);
    put_key("own.pem", 5);
    assert_int_equal(daemon_settings_read(path_of("ocala.yaml"), NULL, &s, err, sizeof err), 0);
    assert_false(s.needs_key);
    daemon_settings_own_key(&s, seed);
    memset(filled, 5, sizeof filled);
    assert_memory_equal(s.keys[0].seed, filled, 32);
    daemon_settings_done(&s);
    chmod(path_of("own.pem"), 0640);
    refused(text, -EACCES, "ocala.yaml:5:10: ", "chmod 600");
    put("own.pem", "-----BEGIN NONSENSE-----\n", 0600);
    refused(text, -EINVAL, "ocala.yaml:5:10: ", "is not an identity key");
    unlink(path_of("own.pem"));
    refused(text, -ENOENT, "ocala.yaml:5:10: ", "own.pem");
}

static void test_too_many_endpoints(void **state)
{
    char text[512];
    snprintf(text, sizeof text, "%s    listen: ['0.0.0.0:7400', '0.0.0.0:7401']\n", good);
    refused(text, -EINVAL, "ocala.yaml:5:13: ", "listens on 1 endpoint;");
}

static void test_bad_secret(void **state)
{
    chmod(path_of("east.secret"), 0604);
    refused(good, -EACCES, "ocala.yaml:4:13: ", "chmod 600");
    put("east.secret", "short\n", 0600);
    refused(good, -EINVAL, "ocala.yaml:4:13: ", "is not a network secret");
    put("east.secret", "", 0600);
    refused(good, -EINVAL, "ocala.yaml:4:13: ", "empty");
    unlink(path_of("east.secret"));
    refused(good, -ENOENT, "ocala.yaml:4:13: ", "east.secret");
    put_secret("east.secret", 7, 0600);
}

static void test_two_secrets(void **state)
{
    struct daemon_settings s;
    char err[DAEMON_ERROR_TEXT];
    put_secret("other.secret", 8, 0600);
    put("ocala.yaml",
        "name: alpha\noverlays:\n  - instance: east.ip\n    secrets: [east.secret, other.secret]\n",
        0644);
    assert_int_equal(daemon_settings_read(path_of("ocala.yaml"), NULL, &s, err, sizeof err), 0);
    assert_int_equal(s.keys[0].secret_count, 2);
    assert_int_equal(s.keys[0].secret[1][0], 8);
    daemon_settings_done(&s);
}

static void test_bad_config(void **state)
{
    char text[512];
    refused("name: alpha\n", -EINVAL, "ocala.yaml:", "overlays");
    refused("nome: alpha\n", -EINVAL, "ocala.yaml:1:1: ", "nome");
    snprintf(text, sizeof text, "%s    options:\n      mtu: 3\n", good);
    refused(text, -EINVAL, "ocala.yaml:6:7: ", "1280 to 65535");
    snprintf(text, sizeof text, "%s    options:\n      colour: 3\n", good);
    refused(text, -EINVAL, "ocala.yaml:6:7: ", "no option 'colour'");
    struct daemon_settings s;
    char err[DAEMON_ERROR_TEXT];
    assert_int_equal(daemon_settings_read(path_of("none.yaml"), NULL, &s, err, sizeof err),
                     -ENOENT);
    assert_non_null(strstr(err, "none.yaml"));
    assert_int_equal(daemon_settings_read(folder, NULL, &s, err, sizeof err), -EISDIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good),
                                       cmocka_unit_test(test_own_key_file),
                                       cmocka_unit_test(test_too_many_endpoints),
                                       cmocka_unit_test(test_bad_secret),
                                       cmocka_unit_test(test_two_secrets),
                                       cmocka_unit_test(test_bad_config)};
    return cmocka_run_group_tests_name("daemon_settings", tests, set_up, tear_down);
}
