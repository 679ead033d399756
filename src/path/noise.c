/* The Noise handshake, driven by a table of patterns.
 *
 * The specification's three nested objects (CipherState, SymmetricState, HandshakeState) are one
 * flat struct here; each static function below bears the name that section 5 gives it.  A message
 * is a list of tokens followed by the payload; writing and reading walk the same list.
 *
 * Reading changes the state as it goes, as the specification has it.  That a forged message must
 * not end a handshake is the caller's business, who works on a copy; here a failure makes the state
 * useless, so that no half-mixed key can ever be split. */
#include "path/noise.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"

enum token { END, E, S, EE, ES, SE, SS, PSK };

#define MESSAGES 3
#define TOKENS   6

static const struct pattern {
    const char *name;
    bool peer_known; /* pre-message: the initiator knows the responder's static key */
    bool has_psk;
    uint8_t messages;
    uint8_t tokens[MESSAGES][TOKENS];
} patterns[] = {
    [NOISE_IK] = {"IK", true, false, 2, {{E, ES, S, SS}, {E, EE, SE}}},
    [NOISE_XX] = {"XX", false, false, 3, {{E}, {E, EE, S, ES}, {S, SE}}},
    [NOISE_IKPSK2] = {"IKpsk2", true, true, 2, {{E, ES, S, SS}, {E, EE, SE, PSK}}},
    [NOISE_XXPSK3] = {"XXpsk3", false, true, 3, {{E}, {E, EE, S, ES}, {S, SE, PSK}}},
};

static const struct pattern *pattern_of(unsigned pattern)
{
    require(pattern < sizeof patterns / sizeof *patterns);
    return &patterns[pattern];
}

/* ---- symmetric state ---- */

static void mix_hash(struct noise *n, const void *data, size_t size)
{
    crypto_sha256_two(n->h, 32, data, size, n->h);
}

static void mix_key(struct noise *n, const uint8_t input[32])
{
    uint8_t out[2][32];
    crypto_hkdf(n->ck, input, 32, 2, out);
    memcpy(n->ck, out[0], 32);
    memcpy(n->k, out[1], 32);
    n->has_key = true;
    n->nonce = 0;
    crypto_wipe(out, sizeof out);
}

static void mix_key_and_hash(struct noise *n, const uint8_t input[32])
{
    uint8_t out[3][32];
    crypto_hkdf(n->ck, input, 32, 3, out);
    memcpy(n->ck, out[0], 32);
    mix_hash(n, out[1], 32);
    memcpy(n->k, out[2], 32);
    n->has_key = true;
    n->nonce = 0;
    crypto_wipe(out, sizeof out);
}

/* Sections 12.3 and 12.4: both begin with four zero bytes, then the counter, in different byte
 * orders. */
static void make_nonce(const struct noise *n, uint8_t out[12])
{
    memset(out, 0, 4);
    for (unsigned i = 0; i < 8; i++) {
        uint8_t byte = (uint8_t)(n->nonce >> 8 * i);
        out[n->cipher == CRYPTO_AES256GCM ? 11 - i : 4 + i] = byte;
    }
}

/* `size` is that of the text; with a key the other side is CRYPTO_TAG longer. */
static bool encrypt_and_hash(struct noise *n, const uint8_t *text, size_t size, uint8_t *out)
{
    if (!n->has_key) {
        if (size)
            memcpy(out, text, size);
        mix_hash(n, out, size);
        return true;
    }
    uint8_t nonce[12];
    make_nonce(n, nonce);
    struct aead *a = aead_new(NULL, (enum crypto_aead)n->cipher, n->k, true);
    bool good = a && aead_seal(a, nonce, n->h, 32, text, size, out);
    aead_free(a);
    if (!good)
        return false;
    n->nonce++;
    mix_hash(n, out, size + CRYPTO_TAG);
    return true;
}

static bool decrypt_and_hash(struct noise *n, const uint8_t *in, size_t size, uint8_t *out)
{
    if (!n->has_key) {
        if (size)
            memcpy(out, in, size);
        mix_hash(n, in, size);
        return true;
    }
    uint8_t nonce[12];
    make_nonce(n, nonce);
    struct aead *a = aead_new(NULL, (enum crypto_aead)n->cipher, n->k, false);
    bool good = a && aead_open(a, nonce, n->h, 32, in, size, out);
    aead_free(a);
    if (!good)
        return false;
    n->nonce++;
    mix_hash(n, in, size);
    return true;
}

/* ---- tokens ---- */

/* EE, ES, SE, SS: the first letter is the initiator's key, the second the responder's. */
static bool mix_dh(struct noise *n, enum token token)
{
    bool initiators_static = token == SE || token == SS;
    bool responders_static = token == ES || token == SS;
    bool own_static = n->initiator ? initiators_static : responders_static;
    bool peers_static = n->initiator ? responders_static : initiators_static;
    uint8_t shared[32];
    bool good = crypto_x25519(own_static ? n->s : n->e, peers_static ? n->rs : n->re, shared);
    if (good)
        mix_key(n, shared);
    crypto_wipe(shared, sizeof shared);
    return good;
}

static void mix_ephemeral(struct noise *n, const uint8_t public_key[32])
{
    mix_hash(n, public_key, 32);
    /* Section 9.2: with a psk the ephemeral keys randomise it. */
    if (pattern_of(n->pattern)->has_psk)
        mix_key(n, public_key);
}

static bool write_token(struct noise *n, enum token token, struct writer *w)
{
    uint8_t *room;
    switch (token) {
    case E:
        crypto_x25519_public(n->e, n->e_public);
        write_bytes(w, n->e_public, 32);
        mix_ephemeral(n, n->e_public);
        return !w->failed;
    case S:
        room = write_room(w, n->has_key ? 32 + CRYPTO_TAG : 32);
        return room && encrypt_and_hash(n, n->s_public, 32, room);
    case PSK:
        mix_key_and_hash(n, n->psk);
        return true;
    default:
        return mix_dh(n, token);
    }
}

static bool read_token(struct noise *n, enum token token, struct reader *r)
{
    const uint8_t *bytes;
    size_t size;
    switch (token) {
    case E:
        read_copy(r, n->re, 32);
        n->has_re = true;
        mix_ephemeral(n, n->re);
        return !r->failed;
    case S:
        size = n->has_key ? 32 + CRYPTO_TAG : 32;
        bytes = read_bytes(r, size);
        n->has_rs = bytes && decrypt_and_hash(n, bytes, size, n->rs);
        return n->has_rs;
    case PSK:
        mix_key_and_hash(n, n->psk);
        return true;
    default:
        return mix_dh(n, token);
    }
}

static bool spoil(struct noise *n)
{
    noise_done(n);
    n->message = NOISE_SPOILT;
    return false;
}

static void step(struct noise *n)
{
    n->message++;
    n->finished = n->message == pattern_of(n->pattern)->messages;
}

static bool may_go_on(const struct noise *n, bool writing)
{
    bool initiators_turn = n->message % 2 == 0;
    return n->message != NOISE_SPOILT && !n->finished &&
           (n->initiator == initiators_turn) == writing;
}

/* ---- the door ---- */

static void start_hash(struct noise *n, const struct pattern *p)
{
    char name[64] = "Noise_";
    const char *cipher = n->cipher == CRYPTO_AES256GCM ? "AESGCM" : "ChaChaPoly";
    strcat(name, p->name);
    strcat(name, "_25519_");
    strcat(name, cipher);
    strcat(name, "_SHA256");
    size_t size = strlen(name);
    /* Section 5.2: a name of up to 32 bytes is padded with zeros, a longer one hashed. */
    if (size <= 32)
        memcpy(n->h, name, size);
    else
        crypto_sha256(name, size, n->h);
    memcpy(n->ck, n->h, 32);
}

void noise_init(struct noise *n, enum noise_pattern pattern, enum crypto_aead cipher,
                bool initiator, const uint8_t *prologue, size_t prologue_size,
                const uint8_t own_secret[32], const uint8_t ephemeral[32], const uint8_t *peer,
                const uint8_t *psk)
{
    const struct pattern *p = pattern_of(pattern);
    require(cipher == CRYPTO_AES256GCM || cipher == CRYPTO_CHACHA20POLY1305);
    require(!p->has_psk || psk);
    require(!p->peer_known || !initiator || peer);

    memset(n, 0, sizeof *n);
    n->pattern = (uint8_t)pattern;
    n->cipher = (uint8_t)cipher;
    n->initiator = initiator;
    memcpy(n->s, own_secret, 32);
    crypto_x25519_public(n->s, n->s_public);
    memcpy(n->e, ephemeral, 32);
    if (p->has_psk)
        memcpy(n->psk, psk, 32);

    start_hash(n, p);
    mix_hash(n, prologue, prologue_size);
    if (!p->peer_known)
        return;
    if (initiator) {
        memcpy(n->rs, peer, 32);
        n->has_rs = true;
    }
    mix_hash(n, initiator ? n->rs : n->s_public, 32);
}

size_t noise_overhead(enum noise_pattern pattern, unsigned index)
{
    const struct pattern *p = pattern_of(pattern);
    bool has_key = false;
    size_t size = 0;
    require(index < p->messages);
    for (unsigned message = 0; message <= index; message++) {
        size = 0;
        for (unsigned i = 0; i < TOKENS && p->tokens[message][i] != END; i++) {
            enum token token = p->tokens[message][i];
            if (token == E)
                size += 32;
            else if (token == S)
                size += has_key ? 32 + CRYPTO_TAG : 32;
            has_key = has_key || (token == E ? p->has_psk : token != S);
        }
    }
    return has_key ? size + CRYPTO_TAG : size;
}

size_t noise_write(struct noise *n, const void *payload, size_t payload_size, uint8_t *out,
                   size_t size)
{
    if (!may_go_on(n, true) || payload_size > NOISE_MESSAGE_MAX)
        return 0;
    size_t total = noise_overhead((enum noise_pattern)n->pattern, n->message) + payload_size;
    if (total > NOISE_MESSAGE_MAX || total > size)
        return 0;
    struct writer w = writer_over(out, total);
    const uint8_t *tokens = pattern_of(n->pattern)->tokens[n->message];
    for (unsigned i = 0; i < TOKENS && tokens[i] != END; i++)
        if (!write_token(n, tokens[i], &w))
            return spoil(n);
    uint8_t *room = write_room(&w, writer_left(&w));
    if (!room || !encrypt_and_hash(n, payload, payload_size, room))
        return spoil(n);
    step(n);
    return total;
}

bool noise_read(struct noise *n, const uint8_t *message, size_t size, uint8_t *out,
                size_t *ret_size)
{
    if (!may_go_on(n, false))
        return false;
    size_t overhead = noise_overhead((enum noise_pattern)n->pattern, n->message);
    if (size < overhead || size > NOISE_MESSAGE_MAX)
        return spoil(n);
    struct reader r = reader_over(message, size);
    const uint8_t *tokens = pattern_of(n->pattern)->tokens[n->message];
    for (unsigned i = 0; i < TOKENS && tokens[i] != END; i++)
        if (!read_token(n, tokens[i], &r))
            return spoil(n);
    size_t left = reader_left(&r);
    const uint8_t *payload = read_bytes(&r, left);
    if (!payload || !decrypt_and_hash(n, payload, left, out))
        return spoil(n);
    *ret_size = size - overhead;
    step(n);
    return true;
}

void noise_split(const struct noise *n, uint8_t initiator_key[32], uint8_t responder_key[32])
{
    uint8_t out[2][32];
    require(n->finished);
    crypto_hkdf(n->ck, NULL, 0, 2, out);
    memcpy(initiator_key, out[0], 32);
    memcpy(responder_key, out[1], 32);
    crypto_wipe(out, sizeof out);
}

void noise_set_psk(struct noise *n, const uint8_t psk[32])
{
    memcpy(n->psk, psk, 32);
}

void noise_done(struct noise *n)
{
    crypto_wipe(n, sizeof *n);
}
