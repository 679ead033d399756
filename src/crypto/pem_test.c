#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "crypto/crypto.h"
#include "tests/support/hex.h"

/* Made by `openssl genpkey -algorithm ed25519`; the numbers are those of `openssl pkey -text`. */
static const char fixture[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIBvruYvShJejtNaJBMDBzRz9e2XApJ6ONaFc7II1MHKy\n"
                              "-----END PRIVATE KEY-----\n";
static const char fixture_seed[] =
    "1bebb98bd28497a3b4d68904c0c1cd1cfd7b65c0a49e8e35a15cec82353072b2";
static const char fixture_public[] =
    "94df7ba453bb2aa7096348dff68213544a891eb3b85023ab3e1de8de1fc19985";

static void assert_reads(const char *pem)
{
    uint8_t seed[32], wanted[32];
    const char *reason = NULL;
    hex_read(fixture_seed, wanted);
    assert_true(crypto_ed25519_from_pem(pem, strlen(pem), seed, &reason));
    assert_memory_equal(seed, wanted, 32);
}

static void assert_refuses(const char *pem, size_t size, const char *part_of_reason)
{
    uint8_t seed[32];
    const char *reason = NULL;
    memset(seed, 7, 32);
    assert_false(crypto_ed25519_from_pem(pem, size, seed, &reason));
    if (!reason || !strstr(reason, part_of_reason))
        fail_msg("\"%s\" does not say \"%s\"", reason ? reason : "", part_of_reason);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(seed[i], 7);
}

static void reads_what_openssl_wrote(void **state)
{
    uint8_t seed[32], public_key[32], wanted[32];
    const char *reason = NULL;
    assert_reads(fixture);
    assert_true(crypto_ed25519_from_pem(fixture, strlen(fixture), seed, &reason));
    crypto_ed25519_public(seed, public_key);
    hex_read(fixture_public, wanted);
    assert_memory_equal(public_key, wanted, 32);
}

static void writes_what_openssl_writes(void **state)
{
    uint8_t seed[32];
    char out[200];
    hex_read(fixture_seed, seed);
    memset(out, 'x', sizeof out);
    size_t size = crypto_ed25519_to_pem(seed, out, sizeof out);
    assert_int_equal(size, strlen(fixture));
    assert_memory_equal(out, fixture, size);
    assert_int_equal(out[size], 'x');

    assert_int_equal(crypto_ed25519_to_pem(seed, out, size), size);
    memset(out, 'x', sizeof out);
    assert_int_equal(crypto_ed25519_to_pem(seed, out, size - 1), 0);
    assert_int_equal(crypto_ed25519_to_pem(seed, out, 0), 0);
    assert_int_equal(out[0], 'x');
}

static void goes_both_ways(void **state)
{
    uint8_t seed[32], back[32];
    char out[200];
    const char *reason = NULL;
    for (unsigned i = 0; i < 50; i++) {
        crypto_sha256(&i, sizeof i, seed);
        size_t size = crypto_ed25519_to_pem(seed, out, sizeof out);
        assert_true(crypto_ed25519_from_pem(out, size, back, &reason));
        assert_memory_equal(seed, back, 32);
    }
}

static void surroundings_do_not_matter(void **state)
{
    assert_reads("# the key of alpha\n\n"
                 "-----BEGIN PRIVATE KEY-----\n"
                 "MC4CAQAwBQYDK2VwBCIEIBvruYvShJejtNaJBMDBzRz9e2XApJ6ONaFc7II1MHKy\n"
                 "-----END PRIVATE KEY-----\nthe end\n");
    assert_reads("-----BEGIN PRIVATE KEY-----\r\n"
                 "MC4CAQAwBQYDK2VwBCIEIBvruYvShJejtNaJBMDBzRz9e2XApJ6ONaFc7II1MHKy\r\n"
                 "-----END PRIVATE KEY-----\r\n");
    assert_reads("-----BEGIN PRIVATE KEY-----\n"
                 "MC4CAQAwBQYDK2VwBCIEIBvruYvShJejtNaJBMDBzRz9e2XApJ6ONaFc7II1MHKy\n"
                 "-----END PRIVATE KEY-----");
}

static void other_keys_are_named(void **state)
{
    static const struct {
        const char *pem, *reason;
    } cases[] = {
        {"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
         "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgP5GpmZvHP4gICCAAw\n"
         "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEECuHScEj0uaGNTh62W9lmPQEQEpH\n"
         "8AAgVK5HdxtJBvONQAFEjWLpP2j69DclJXRlGm+7LFqdROHjmoLDEUuN9gRlW9+Q\n"
         "h8M1rH7QVNtXuUIMFoY=\n"
         "-----END ENCRYPTED PRIVATE KEY-----\n",
         "encrypted with a password"},
        {"-----BEGIN PRIVATE KEY-----\n"
         "Proc-Type: 4,ENCRYPTED\n"
         "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n"
         "\n"
         "MC4CAQAwBQYDK2VwBCIEIBvruYvShJejtNaJBMDBzRz9e2XApJ6ONaFc7II1MHKy\n"
         "-----END PRIVATE KEY-----\n",
         "encrypted with a password"},
        {"-----BEGIN PRIVATE KEY-----\n"
         "MC4CAQAwBQYDK2VuBCIEILhrurWqkz12+d6NghQOLkFgV9ZvTVuGeQ93dgpMIWJg\n"
         "-----END PRIVATE KEY-----\n",
         "X25519"},
        {"-----BEGIN PRIVATE KEY-----\n"
         "MEcCAQAwBQYDK2VxBDsEOfUa+J/TSsU+neJsVLI3tCfJbYMAFbPpkCmTc1ZwsdAs\n"
         "HZDeA0jNaqPYSONvSrLJhGbj65WMr/tDaA==\n"
         "-----END PRIVATE KEY-----\n",
         "Ed448"},
        {"-----BEGIN PRIVATE KEY-----\n"
         "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgKFos6EwddiYp0k7K\n"
         "2gFzUn5E2VYnq64+4pa0dvPxiJqhRANCAASRVMHgljMCFWPs5wJ6U3Yo27v5mXlC\n"
         "ndwPsfTGOQ4wBcyQO8er7YhBByCCHzC4WXLkSxAfFNxSFY6cuuidfmZu\n"
         "-----END PRIVATE KEY-----\n",
         "ECDSA"},
        {"-----BEGIN EC PARAMETERS-----\n"
         "BggqhkjOPQMBBw==\n"
         "-----END EC PARAMETERS-----\n",
         "ECDSA"},
        {"-----BEGIN PUBLIC KEY-----\n"
         "MCowBQYDK2VwAyEAlN97pFO7KqcJY0jf9oITVEqJHrO4UCOrPh3o3h/BmYU=\n"
         "-----END PUBLIC KEY-----\n",
         "public key"},
        {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate"},
        {"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "another kind"},
        {"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
         "OpenSSH"},
        {"-----BEGIN CAKE-----\nAAAA\n-----END CAKE-----\n", "no private key"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refuses(cases[i].pem, strlen(cases[i].pem), cases[i].reason);
}

static void damaged_keys_are_refused(void **state)
{
    /* The seed is 31 bytes; the inner string is missing; an algorithm parameter; bytes behind. */
    static const char *const bodies[] = {
        "MC0CAQAwBQYDK2VwBCEEHxvruYvShJejtNaJBMDBzRz9e2XApJ6ONaFc7II1MHI=",
        "MCwCAQAwBQYDK2VwBCAb67mL0oSXo7TWiQTAwc0c/XtlwKSejjWhXOyCNTBysg==",
        "MDACAQAwBwYDK2VwBQAEIgQgG+u5i9KEl6O01okEwMHNHP17ZcCkno41oVzsgjUwcrI=",
        "MC4CAQAwBQYDK2VwBCIEIBvruYvShJejtNaJBMDBzRz9e2XApJ6ONaFc7II1MHKyAAAA",
        "AAAA",
    };
    for (unsigned i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char pem[256];
        int size = snprintf(pem, sizeof pem, "%s\n%s\n%s\n", "-----BEGIN PRIVATE KEY-----",
                            bodies[i], "-----END PRIVATE KEY-----");
        assert_refuses(pem, (size_t)size, "damaged");
    }
    assert_refuses("", 0, "not a PEM file");
    assert_refuses("hello", 5, "not a PEM file");
    assert_refuses("\0\0\0\0", 4, "not a PEM file");
    /* Cut anywhere before the last line is whole. */
    for (size_t size = 0; size < strlen(fixture) - 2; size++)
        assert_refuses(fixture, size, "");
}

static void two_keys_are_refused(void **state)
{
    char two[2 * sizeof fixture];
    snprintf(two, sizeof two, "%s%s", fixture, fixture);
    assert_refuses(two, strlen(two), "exactly one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_openssl_wrote), cmocka_unit_test(writes_what_openssl_writes),
        cmocka_unit_test(goes_both_ways),           cmocka_unit_test(surroundings_do_not_matter),
        cmocka_unit_test(other_keys_are_named),     cmocka_unit_test(damaged_keys_are_refused),
        cmocka_unit_test(two_keys_are_refused),
    };
    return cmocka_run_group_tests_name("crypto_pem", tests, NULL, NULL);
}
