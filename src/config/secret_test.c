#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/secret.h"

#define SECRET "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static bool parse(const char *text, uint8_t ret[CONFIG_SECRET], const char **reason)
{
    return config_secret_parse(text, strlen(text), ret, reason);
}

static void one_line_is_read(void **state)
{
    static const char *const good[] = {SECRET, SECRET "\n", SECRET "\r\n", "  " SECRET " \n\n"};
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint8_t secret[CONFIG_SECRET] = {0};
        const char *reason = "";
        assert_true(parse(good[i], secret, &reason));
        for (unsigned j = 0; j < CONFIG_SECRET; j++)
            assert_int_equal(secret[j], j);
    }
}

static void anything_else_is_refused_with_its_reason(void **state)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "empty"},
        {" \n", "empty"},
        {"-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n", "PEM"},
        {"correct horse battery staple", "44 base64 characters"},
        {SECRET "\n" SECRET "\n", "44 base64 characters"},
        {SECRET "A", "44 base64 characters"},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8!", "not base64 of 32 bytes"},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHw==", "not base64 of 32 bytes"},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "all zeros"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t secret[CONFIG_SECRET], before[CONFIG_SECRET];
        const char *reason = "";
        memset(secret, 0x5A, sizeof secret);
        memcpy(before, secret, sizeof before);
        assert_false(parse(bad[i].text, secret, &reason));
        if (!strstr(reason, bad[i].says))
            fail_msg("expected \"%s\", got \"%s\"", bad[i].says, reason);
        assert_memory_equal(secret, before, sizeof secret);
    }
    /* Bytes that are no text at all. */
    const char *reason = "";
    uint8_t secret[CONFIG_SECRET];
    char zeros[44] = {0};
    assert_false(config_secret_parse(zeros, sizeof zeros, secret, &reason));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_line_is_read),
        cmocka_unit_test(anything_else_is_refused_with_its_reason),
    };
    return cmocka_run_group_tests_name("config_secret", tests, NULL, NULL);
}
