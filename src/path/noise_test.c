#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path/noise.h"
#include "tests/support/hex.h"

#define PATTERNS 4
#define LARGEST  1024

static const enum crypto_aead ciphers[] = {CRYPTO_AES256GCM, CRYPTO_CHACHA20POLY1305};

static bool peer_known(enum noise_pattern p)
{
    return p == NOISE_IK || p == NOISE_IKPSK2;
}

static unsigned messages_of(enum noise_pattern p)
{
    return peer_known(p) ? 2 : 3;
}

/* ---- the public vectors ---- */

static size_t hex_of(const json_t *object, const char *key, uint8_t *out)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? hex_read(text, out) : 0;
}

static void parse_protocol(const char *name, enum noise_pattern *pattern, enum crypto_aead *cipher)
{
    static const char *const names[PATTERNS] = {"IK", "XX", "IKpsk2", "XXpsk3"};
    char text[64];
    for (unsigned p = 0; p < PATTERNS; p++)
        for (unsigned c = 0; c < 2; c++) {
            snprintf(text, sizeof text, "Noise_%s_25519_%s_SHA256", names[p],
                     c ? "ChaChaPoly" : "AESGCM");
            if (strcmp(text, name) == 0) {
                *pattern = (enum noise_pattern)p;
                *cipher = ciphers[c];
                return;
            }
        }
    fail_msg("unknown protocol %s", name);
}

static void init_side(struct noise *n, const json_t *v, bool initiator)
{
    enum noise_pattern pattern = NOISE_IK;
    enum crypto_aead cipher = CRYPTO_AES256GCM;
    uint8_t prologue[64], secret[32], ephemeral[32], peer[32], psk[32];
    parse_protocol(json_string_value(json_object_get(v, "protocol_name")), &pattern, &cipher);
    size_t size = hex_of(v, initiator ? "init_prologue" : "resp_prologue", prologue);
    assert_int_equal(hex_of(v, initiator ? "init_static" : "resp_static", secret), 32);
    assert_int_equal(hex_of(v, initiator ? "init_ephemeral" : "resp_ephemeral", ephemeral), 32);
    bool has_peer = initiator && hex_of(v, "init_remote_static", peer) == 32;
    assert_int_equal(has_peer, initiator && peer_known(pattern));
    const json_t *psks = json_object_get(v, initiator ? "init_psks" : "resp_psks");
    bool has_psk = json_array_size(psks) == 1;
    if (has_psk)
        assert_int_equal(hex_read(json_string_value(json_array_get(psks, 0)), psk), 32);
    assert_int_equal(has_psk, pattern == NOISE_IKPSK2 || pattern == NOISE_XXPSK3);
    noise_init(n, pattern, cipher, initiator, prologue, size, secret, ephemeral,
               has_peer ? peer : NULL, has_psk ? psk : NULL);
}

/* What the specification's CipherState does after the handshake: the counter goes on per direction.
 */
static void check_transport(enum crypto_aead kind, const uint8_t key[32], unsigned counter,
                            const uint8_t *payload, size_t payload_size, const uint8_t *wanted)
{
    uint8_t nonce[12] = {0}, out[LARGEST];
    nonce[kind == CRYPTO_AES256GCM ? 11 : 4] = (uint8_t)counter;
    struct aead *a = aead_new(NULL, kind, key, true);
    assert_true(aead_seal(a, nonce, NULL, 0, payload, payload_size, out));
    assert_memory_equal(out, wanted, payload_size + CRYPTO_TAG);
    aead_free(a);
    a = aead_new(NULL, kind, key, false);
    assert_true(aead_open(a, nonce, NULL, 0, wanted, payload_size + CRYPTO_TAG, out));
    assert_memory_equal(out, payload, payload_size);
    aead_free(a);
}

static void check_vector(const json_t *v)
{
    struct noise side[2]; /* 0 is the initiator: the sender of even messages */
    uint8_t keys[2][2][32];
    init_side(&side[0], v, true);
    init_side(&side[1], v, false);
    const json_t *messages = json_object_get(v, "messages");
    assert_true(json_array_size(messages) > 3);
    unsigned handshake = messages_of((enum noise_pattern)side[0].pattern), sent[2] = {0};

    for (unsigned i = 0; i < json_array_size(messages); i++) {
        uint8_t payload[LARGEST], wanted[LARGEST], out[LARGEST];
        const json_t *m = json_array_get(messages, i);
        size_t payload_size = hex_of(m, "payload", payload);
        size_t wanted_size = hex_of(m, "ciphertext", wanted);
        unsigned sender = i % 2;
        if (i >= handshake) {
            assert_int_equal(wanted_size, payload_size + CRYPTO_TAG);
            check_transport((enum crypto_aead)side[0].cipher, keys[0][sender], sent[sender]++,
                            payload, payload_size, wanted);
            continue;
        }
        size_t size = noise_write(&side[sender], payload, payload_size, out, sizeof out);
        assert_int_equal(size, wanted_size);
        assert_memory_equal(out, wanted, size);
        assert_true(noise_read(&side[!sender], wanted, wanted_size, out, &size));
        assert_int_equal(size, payload_size);
        assert_memory_equal(out, payload, size);
        if (i + 1 < handshake)
            continue;
        uint8_t hash[32];
        assert_int_equal(hex_of(v, "handshake_hash", hash), 32);
        for (unsigned s = 0; s < 2; s++) {
            assert_true(side[s].finished);
            assert_memory_equal(side[s].h, hash, 32);
            noise_split(&side[s], keys[s][0], keys[s][1]);
        }
        assert_memory_equal(keys[0], keys[1], sizeof keys[0]);
    }
    noise_done(&side[0]);
    noise_done(&side[1]);
}

static void matches_the_public_vectors(void **state)
{
    char path[4096];
    json_error_t error;
    const char *folder = getenv("OCALA_VECTORS");
    if (!folder)
        fail_msg("set OCALA_VECTORS to the folder tests/vectors, or use `meson test`");
    snprintf(path, sizeof path, "%s/noise.json", folder);
    json_t *root = json_load_file(path, 0, &error);
    if (!root)
        fail_msg("%s: %s", path, error.text);
    const json_t *all = json_object_get(root, "vectors");
    assert_int_equal(json_array_size(all), PATTERNS * 2);
    for (size_t i = 0; i < json_array_size(all); i++)
        check_vector(json_array_get(all, i));
    json_decref(root);
}

/* ---- pairs with fixed keys ---- */

static void fill(uint8_t out[32], unsigned what)
{
    crypto_sha256(&what, sizeof what, out);
}

static const uint8_t prologue[] = "ocala test";

static void init_pair(struct noise side[2], enum noise_pattern p, enum crypto_aead cipher)
{
    uint8_t secret[2][32], ephemeral[2][32], peer[32], psk[32];
    for (unsigned i = 0; i < 2; i++) {
        fill(secret[i], i);
        fill(ephemeral[i], 10 + i);
    }
    fill(psk, 20);
    crypto_x25519_public(secret[1], peer);
    for (unsigned i = 0; i < 2; i++)
        noise_init(&side[i], p, cipher, i == 0, prologue, sizeof prologue, secret[i], ephemeral[i],
                   peer, psk);
}

/* Runs messages until `index` is next to be read; leaves it in `message`. */
static size_t run_until(struct noise side[2], unsigned index, uint8_t message[LARGEST])
{
    uint8_t payload[20], out[LARGEST];
    memset(payload, 0x77, sizeof payload);
    for (unsigned i = 0;; i++) {
        size_t got, size = noise_write(&side[i % 2], payload, sizeof payload, message, LARGEST);
        assert_int_equal(size,
                         sizeof payload + noise_overhead((enum noise_pattern)side[0].pattern, i));
        if (i == index)
            return size;
        assert_true(noise_read(&side[!(i % 2)], message, size, out, &got));
        assert_int_equal(got, sizeof payload);
    }
}

static void finish_pair(struct noise side[2])
{
    uint8_t message[LARGEST], out[LARGEST], keys[2][2][32];
    for (unsigned i = side[0].message; !side[0].finished || !side[1].finished; i++) {
        size_t got, size = noise_write(&side[i % 2], "hello", 5, message, sizeof message);
        assert_true(size > 5);
        assert_true(noise_read(&side[!(i % 2)], message, size, out, &got));
        assert_int_equal(got, 5);
        assert_memory_equal(out, "hello", 5);
    }
    assert_memory_equal(side[0].h, side[1].h, 32);
    for (unsigned s = 0; s < 2; s++)
        noise_split(&side[s], keys[s][0], keys[s][1]);
    assert_memory_equal(keys[0], keys[1], sizeof keys[0]);
    assert_memory_not_equal(keys[0][0], keys[0][1], 32);
    assert_memory_equal(side[0].rs, side[1].s_public, 32);
    assert_memory_equal(side[1].rs, side[0].s_public, 32);
}

static void assert_spoilt(struct noise *n)
{
    uint8_t out[LARGEST];
    static const uint8_t zero[32];
    size_t got;
    assert_int_equal(n->message, NOISE_SPOILT);
    assert_false(n->finished);
    assert_int_equal(noise_write(n, "", 0, out, sizeof out), 0);
    assert_false(noise_read(n, out, 200, out, &got));
    assert_memory_equal(n->s, zero, 32);
    assert_memory_equal(n->ck, zero, 32);
}

static void every_changed_byte_fails(void **state)
{
    for (unsigned p = 0; p < PATTERNS; p++)
        for (unsigned index = 0; index < messages_of((enum noise_pattern)p); index++) {
            struct noise side[2];
            uint8_t message[LARGEST];
            init_pair(side, (enum noise_pattern)p, ciphers[index % 2]);
            size_t size = run_until(side, index, message);
            const struct noise *reader = &side[!(index % 2)];
            for (size_t at = 0; at < size; at++) {
                struct noise copy = *reader;
                uint8_t out[LARGEST];
                size_t got;
                message[at] ^= 0x20;
                bool good = noise_read(&copy, message, size, out, &got);
                message[at] ^= 0x20;
                if (p == NOISE_XX && index == 0) {
                    /* Nothing in it is authenticated yet: the next message must fail. */
                    assert_true(good);
                    uint8_t answer[LARGEST];
                    struct noise initiator = side[0];
                    size_t answer_size = noise_write(&copy, "", 0, answer, sizeof answer);
                    assert_true(answer_size > 0);
                    assert_false(noise_read(&initiator, answer, answer_size, out, &got));
                    assert_spoilt(&initiator);
                } else {
                    assert_false(good);
                    assert_spoilt(&copy);
                }
                noise_done(&copy);
            }
            /* Every shorter message, and a longer one. */
            for (size_t cut = 0; cut <= size + 1; cut++) {
                struct noise copy = *reader;
                uint8_t out[LARGEST];
                size_t got;
                bool good = noise_read(&copy, message, cut, out, &got);
                bool unauthenticated = p == NOISE_XX && index == 0 && cut >= 32;
                assert_int_equal(good, cut == size || unauthenticated);
            }
        }
}

static void copy_survives_a_forged_reply(void **state)
{
    for (unsigned p = 0; p < PATTERNS; p++) {
        struct noise side[2], copy;
        uint8_t message[LARGEST], forged[LARGEST], out[LARGEST];
        size_t got;
        init_pair(side, (enum noise_pattern)p, CRYPTO_AES256GCM);
        size_t size = run_until(side, 1, message);
        memcpy(forged, message, size);
        forged[size - 1] ^= 1;
        copy = side[0];
        assert_false(noise_read(&copy, forged, size, out, &got));
        memset(forged, 0x99, size);
        copy = side[0];
        assert_false(noise_read(&copy, forged, size, out, &got));
        assert_true(noise_read(&side[0], message, size, out, &got));
        finish_pair(side);
    }
}

static void wrong_secret_fails_where_it_is_mixed(void **state)
{
    static const struct {
        enum noise_pattern pattern;
        unsigned fails_at;
    } cases[] = {{NOISE_IKPSK2, 1}, {NOISE_XXPSK3, 2}};
    for (unsigned i = 0; i < 2; i++) {
        struct noise side[2];
        uint8_t message[LARGEST], out[LARGEST], other[32];
        size_t got;
        fill(other, 21);
        init_pair(side, cases[i].pattern, CRYPTO_CHACHA20POLY1305);
        noise_set_psk(&side[1], other);
        size_t size = run_until(side, cases[i].fails_at, message);
        struct noise *reader = &side[!(cases[i].fails_at % 2)];
        assert_false(noise_read(reader, message, size, out, &got));
        assert_spoilt(reader);
    }
}

static void secret_may_be_replaced_before_it_is_mixed(void **state)
{
    struct noise side[2], first;
    uint8_t message[LARGEST], out[LARGEST], old[32], other[32];
    size_t got;
    fill(old, 20);
    fill(other, 21);
    /* The responder accepts two secrets; the initiator uses the second. */
    init_pair(side, NOISE_XXPSK3, CRYPTO_AES256GCM);
    noise_set_psk(&side[0], other);
    size_t size = run_until(side, 2, message);
    first = side[1];
    assert_false(noise_read(&first, message, size, out, &got));
    noise_set_psk(&side[1], other);
    assert_true(noise_read(&side[1], message, size, out, &got));
    finish_pair(side);

    /* IKpsk2: the responder learns from the first message which secret is meant. */
    init_pair(side, NOISE_IKPSK2, CRYPTO_AES256GCM);
    noise_set_psk(&side[0], other);
    size = noise_write(&side[0], "", 0, message, sizeof message);
    assert_true(noise_read(&side[1], message, size, out, &got));
    noise_set_psk(&side[1], other);
    finish_pair(side);
}

/* Encodings of points of low order; the last with the unused top bit. */
static const char *const low_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};

static void low_order_points_are_refused(void **state)
{
    for (unsigned i = 0; i < sizeof low_order / sizeof *low_order; i++) {
        struct noise side[2];
        uint8_t point[32], message[LARGEST], out[LARGEST], secret[32], psk[32];
        size_t got;
        hex_read(low_order[i], point);
        fill(secret, 0);
        fill(psk, 20);

        /* As the responder's static key: the first message cannot be written. */
        noise_init(&side[0], NOISE_IKPSK2, CRYPTO_AES256GCM, true, NULL, 0, secret, secret, point,
                   psk);
        assert_int_equal(noise_write(&side[0], "", 0, message, sizeof message), 0);
        assert_spoilt(&side[0]);

        /* As the initiator's ephemeral key in IK: message 1 is refused. */
        init_pair(side, NOISE_IK, CRYPTO_AES256GCM);
        size_t size = run_until(side, 0, message);
        memcpy(message, point, 32);
        assert_false(noise_read(&side[1], message, size, out, &got));
        assert_spoilt(&side[1]);

        /* In XX message 1 has no Diffie-Hellman yet: the answer cannot be written. */
        init_pair(side, NOISE_XX, CRYPTO_AES256GCM);
        assert_true(noise_read(&side[1], point, 32, out, &got));
        assert_int_equal(noise_write(&side[1], "", 0, message, sizeof message), 0);
        assert_spoilt(&side[1]);

        /* As the responder's ephemeral key. */
        init_pair(side, NOISE_XX, CRYPTO_AES256GCM);
        size = run_until(side, 1, message);
        memcpy(message, point, 32);
        assert_false(noise_read(&side[0], message, size, out, &got));
        assert_spoilt(&side[0]);
    }
}

static void prologue_and_keys_are_bound(void **state)
{
    uint8_t secret[32], ephemeral[32], psk[32], peer[32], message[LARGEST], out[LARGEST];
    size_t got;
    for (unsigned p = 0; p < PATTERNS; p++) {
        struct noise side[2];
        init_pair(side, (enum noise_pattern)p, CRYPTO_AES256GCM);
        fill(secret, 1);
        fill(ephemeral, 11);
        fill(psk, 20);
        noise_init(&side[1], (enum noise_pattern)p, CRYPTO_AES256GCM, false, prologue,
                   sizeof prologue - 1, secret, ephemeral, NULL, psk);
        /* The patterns without a key in message 1 notice at message 2. */
        size_t size = run_until(side, 0, message);
        if (noise_read(&side[1], message, size, out, &got)) {
            assert_int_equal(p, NOISE_XX);
            size = noise_write(&side[1], "", 0, message, sizeof message);
            assert_false(noise_read(&side[0], message, size, out, &got));
        }
    }
    /* An IK message for somebody else. */
    struct noise side[2];
    init_pair(side, NOISE_IK, CRYPTO_AES256GCM);
    fill(secret, 0);
    fill(peer, 5);
    noise_init(&side[0], NOISE_IK, CRYPTO_AES256GCM, true, prologue, sizeof prologue, secret,
               ephemeral, peer, NULL);
    size_t size = noise_write(&side[0], "", 0, message, sizeof message);
    assert_true(size > 0);
    assert_false(noise_read(&side[1], message, size, out, &got));
}

static void out_of_turn_and_without_room(void **state)
{
    static uint8_t large[NOISE_MESSAGE_MAX + 1], big_out[NOISE_MESSAGE_MAX + 200];
    for (unsigned p = 0; p < PATTERNS; p++) {
        struct noise side[2];
        uint8_t message[LARGEST], out[LARGEST];
        size_t got;
        init_pair(side, (enum noise_pattern)p, CRYPTO_AES256GCM);
        size_t overhead = noise_overhead((enum noise_pattern)p, 0);
        assert_int_equal(noise_write(&side[1], "", 0, message, sizeof message), 0);
        assert_false(noise_read(&side[0], message, overhead, out, &got));
        assert_int_equal(noise_write(&side[0], "abc", 3, message, overhead + 2), 0);
        assert_int_equal(noise_write(&side[0], large, sizeof large, big_out, sizeof big_out), 0);
        assert_int_equal(
            noise_write(&side[0], large, NOISE_MESSAGE_MAX - overhead + 1, big_out, sizeof big_out),
            0);
        finish_pair(side); /* none of it did harm */
        assert_int_equal(noise_write(&side[0], "", 0, message, sizeof message), 0);
        assert_int_equal(noise_write(&side[1], "", 0, message, sizeof message), 0);
        assert_false(noise_read(&side[0], message, 100, out, &got));
        assert_true(side[0].finished);
    }
}

static void overheads_are_as_planned(void **state)
{
    static const size_t wanted[PATTERNS][3] = {
        [NOISE_IK] = {96, 48},
        [NOISE_XX] = {32, 96, 64},
        [NOISE_IKPSK2] = {96, 48},
        [NOISE_XXPSK3] = {48, 96, 64},
    };
    for (unsigned p = 0; p < PATTERNS; p++)
        for (unsigned i = 0; i < messages_of((enum noise_pattern)p); i++) {
            assert_int_equal(noise_overhead((enum noise_pattern)p, i), wanted[p][i]);
            assert_true(wanted[p][i] <= NOISE_OVERHEAD_MAX);
        }
}

static void done_wipes(void **state)
{
    struct noise side[2];
    static const struct noise zero;
    init_pair(side, NOISE_XXPSK3, CRYPTO_AES256GCM);
    finish_pair(side);
    noise_done(&side[0]);
    assert_memory_equal(&side[0], &zero, sizeof zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_public_vectors),
        cmocka_unit_test(every_changed_byte_fails),
        cmocka_unit_test(copy_survives_a_forged_reply),
        cmocka_unit_test(wrong_secret_fails_where_it_is_mixed),
        cmocka_unit_test(secret_may_be_replaced_before_it_is_mixed),
        cmocka_unit_test(low_order_points_are_refused),
        cmocka_unit_test(prologue_and_keys_are_bound),
        cmocka_unit_test(out_of_turn_and_without_room),
        cmocka_unit_test(overheads_are_as_planned),
        cmocka_unit_test(done_wipes),
    };
    return cmocka_run_group_tests_name("path_noise", tests, NULL, NULL);
}
