/* Noise inside our messages: what links and paths over gateways have in common.
 *
 * Prologue: "ocala path 1", the suite byte, the target's name: a handshake meant for another name
 * cannot be read.  Always the psk patterns; no secret means 32 zero bytes (over gateways always).
 */
#include "path/path_internal.h"

#include <string.h>

static size_t prologue(uint8_t out[sizeof PATH_PROLOGUE + NAME_TEXT], const char *target)
{
    struct writer w = writer_over(out, sizeof PATH_PROLOGUE + NAME_TEXT);
    write_bytes(&w, PATH_PROLOGUE, sizeof PATH_PROLOGUE - 1);
    write_u8(&w, PATH_SUITE);
    write_bytes(&w, target, strlen(target));
    return writer_size(&w);
}

static enum noise_pattern noise_pattern_of(uint8_t pattern)
{
    return pattern == PATTERN_IK ? NOISE_IKPSK2 : NOISE_XXPSK3;
}

static size_t offer_write(const struct path_engine *e, const struct handshake_settings *s,
                          uint8_t pattern, uint8_t out[NOISE_BLOB_MAX])
{
    struct writer w = writer_over(out, NOISE_BLOB_MAX);
    struct handshake_payload offer = {
        .aeads = 1 << CRYPTO_AES256GCM | 1 << CRYPTO_CHACHA20POLY1305,
        .lanes = (uint8_t)e->data_lanes,
        .label = s->label,
        .known = s->known,
    };
    if (e->prefer_chacha)
        offer.aeads = 1 << CRYPTO_CHACHA20POLY1305;
    if (pattern == PATTERN_IK)
        memcpy(offer.name, e->instance[s->self].config->self.text, NAME_TEXT);
    path_handshake_payload_write(&w, &offer);
    size_t overhead = noise_overhead(noise_pattern_of(pattern), 0), size = writer_size(&w);
    return size + overhead < s->pad_to ? s->pad_to - overhead
                                       : size; /* the buffer behind is zero */
}

size_t path_handshake_begin(struct path_engine *e, struct noise *n,
                            const struct handshake_settings *s, uint8_t *ret_pattern, uint8_t *out,
                            size_t size)
{
    uint8_t before[sizeof PATH_PROLOGUE + NAME_TEXT], ephemeral[32], payload[NOISE_BLOB_MAX] = {0};
    uint8_t pattern = s->peer_key ? s->pattern : PATTERN_XX;

    entropy_fill(e->entropy, ephemeral, sizeof ephemeral);
    noise_init(n, noise_pattern_of(pattern), CRYPTO_AES256GCM, true, before,
               prologue(before, s->target), e->instance[s->self].secret_key, ephemeral,
               pattern == PATTERN_IK ? s->peer_key : NULL, s->psk);
    crypto_wipe(ephemeral, sizeof ephemeral);
    size_t payload_size = offer_write(e, s, pattern, payload);
    size_t written = noise_write(n, payload, payload_size, out, size);
    *ret_pattern = pattern;
    if (written || pattern == PATTERN_XX)
        return written;
    struct handshake_settings again = *s; /* a low-order point among the keys we were told */
    again.peer_key = NULL;
    noise_done(n);
    return path_handshake_begin(e, n, &again, ret_pattern, out, size);
}

/* Responder: starts the state for our identity `self` and reads message 1. */
bool path_handshake_answer_read(struct path_engine *e, struct noise *n, uint8_t pattern,
                                unsigned self, const uint8_t psk[32], const uint8_t *message,
                                size_t size, struct handshake_payload *ret)
{
    uint8_t before[sizeof PATH_PROLOGUE + NAME_TEXT], ephemeral[32], payload[NOISE_BLOB_MAX];
    size_t payload_size;

    if (size > NOISE_BLOB_MAX)
        return false;
    entropy_fill(e->entropy, ephemeral, sizeof ephemeral);
    noise_init(n, noise_pattern_of(pattern), CRYPTO_AES256GCM, false, before,
               prologue(before, e->instance[self].config->self.text), e->instance[self].secret_key,
               ephemeral, NULL, psk);
    crypto_wipe(ephemeral, sizeof ephemeral);
    return noise_read(n, message, size, payload, &payload_size) &&
           path_handshake_payload_read(payload, payload_size, ret);
}

uint8_t path_handshake_choose_aead(const struct path_engine *e, uint8_t offered)
{
    uint8_t first = e->prefer_chacha ? CRYPTO_CHACHA20POLY1305 : CRYPTO_AES256GCM;
    uint8_t second = e->prefer_chacha ? CRYPTO_AES256GCM : CRYPTO_CHACHA20POLY1305;
    return offered & 1 << first ? first : offered & 1 << second ? second : 0;
}

void path_handshake_id(const uint8_t *message1, size_t size, uint8_t ret[HANDSHAKE_ID])
{
    uint8_t hash[32];
    crypto_sha256(message1, size, hash);
    memcpy(ret, hash, HANDSHAKE_ID);
}

void path_handshake_keys(const struct noise *n, bool initiator, struct epoch_keys *ret)
{
    if (initiator)
        noise_split(n, ret->send, ret->receive);
    else
        noise_split(n, ret->receive, ret->send);
}
