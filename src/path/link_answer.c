/* What strangers get from us, before they have proven anything.
 *
 * OPEN ends with a MAC keyed from the network's secret, checked before any Diffie-Hellman; when the
 * engine is under load, or many handshakes are half done, a cookie that proves the sender's address
 * is needed as well.  The answer comes from a half, which changes nothing until CONFIRM.  No answer
 * is longer than the question, and refusals go to one source at most once a second.
 *
 * PATH_ERROR tells that a label means nothing to us (any more).  It has no keys; who gets it
 * believes it only if it quotes a record that it sent lately, and even then only asks. */
#include "path/path_internal.h"

#include <string.h>
#include <syslog.h>

static void answer(struct path_engine *e, unsigned instance, const struct arrival *from,
                   const uint8_t *bytes, size_t size)
{
    struct path_out *o = path_out_add(e, PATH_OUT_ANSWER);
    o->instance = instance;
    o->from = *from;
    path_out_bytes(e, bytes, size);
}

/* At most one refusal per second and source.  False: it was not said. */
static bool refuse(struct path_engine *e, instant now, unsigned instance,
                   const struct arrival *from, const uint8_t id[HANDSHAKE_ID], unsigned code)
{
    uint8_t bytes[64];
    struct refusal *oldest = &e->refusal[0];

    for (unsigned i = 0; i < REFUSAL_SOURCES; i++) {
        struct refusal *r = &e->refusal[i];
        if (r->to.ip.family && endpoint_equal(&r->to, &from->remote) && now - r->at < SECOND) {
            drop_count(&e->drops, DROP_RATE_LIMITED);
            return false;
        }
        if (r->at < oldest->at)
            oldest = r;
    }
    if (oldest->to.ip.family && now - oldest->at < SECOND) {
        drop_count(&e->drops, DROP_RATE_LIMITED);
        return false;
    }
    *oldest = (struct refusal){.to = from->remote, .at = now_floor(now)};
    struct clear_reply m = {.type = WIRE_REFUSE, .code = (uint8_t)code, .id = id};
    answer(e, instance, from, bytes, path_clear_reply_write(&m, bytes, sizeof bytes));
    return true;
}

/* ---- cookies ---- */

static void cookie_secrets_age(struct path_engine *e, instant now)
{
    if (now - e->cookie_since <= COOKIE_LIFE)
        return;
    if (now - e->cookie_since >
        2 * COOKIE_LIFE) /* nobody asked for long: the last one is too old as well */
        entropy_fill(e->entropy, e->cookie_secret[0], 32);
    memcpy(e->cookie_secret[1], e->cookie_secret[0], 32);
    entropy_fill(e->entropy, e->cookie_secret[0], 32);
    e->cookie_since = now;
}

static void cookie_for(const struct path_engine *e, unsigned secret, const struct arrival *from,
                       uint8_t ret[16])
{
    uint8_t bytes[64], full[32];
    struct writer w = writer_over(bytes, sizeof bytes);
    write_u16(&w, from->socket);
    write_bytes(&w, from->remote.ip.bytes, 16);
    write_u16(&w, from->remote.port);
    write_bytes(&w, from->via, from->via_size);
    crypto_hmac_sha256(e->cookie_secret[secret], 32, bytes, writer_size(&w), full);
    memcpy(ret, full, 16);
}

static bool cookie_valid(struct path_engine *e, instant now, const struct arrival *from,
                         const uint8_t *bytes, const struct clear_open *m)
{
    cookie_secrets_age(e, now);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t cookie[16], full[32];
        cookie_for(e, i, from, cookie);
        crypto_hmac_sha256(cookie, sizeof cookie, bytes, m->covered + LINK_MAC, full);
        if (crypto_equal(full, m->macs + LINK_MAC, LINK_MAC))
            return true;
    }
    return false;
}

void path_link_cookie_key(const struct instance *in, unsigned secret, uint8_t ret[32])
{
    crypto_hkdf_expand(in->mac_key[secret], "ocala cookie", 12, ret, 32);
}

static void send_cookie(struct path_engine *e, unsigned instance, unsigned secret,
                        const struct arrival *from, const uint8_t id[HANDSHAKE_ID],
                        const uint8_t *mac1)
{
    uint8_t key[32], cookie[16], blob[24 + 32], bytes[COOKIE_SIZE];
    cookie_for(e, 0, from, cookie);
    path_link_cookie_key(&e->instance[instance], secret, key);
    entropy_fill(e->entropy, blob, 24);
    crypto_xaead_seal(key, blob, mac1, LINK_MAC, cookie, sizeof cookie, blob + 24);
    struct clear_reply m = {.type = WIRE_COOKIE, .id = id, .blob = blob, .blob_size = sizeof blob};
    answer(e, instance, from, bytes, path_clear_reply_write(&m, bytes, sizeof bytes));
}

/* False: the sender must first show that it is where it says; or has had its share. */
static bool admitted(struct path_engine *e, instant now, unsigned instance,
                     const struct arrival *from, const uint8_t *bytes, const struct clear_open *m,
                     const uint8_t id[HANDSHAKE_ID], unsigned secret)
{
    if (!path_load_judge(e, now, instance))
        return true;
    if (!cookie_valid(e, now, from, bytes, m)) {
        send_cookie(e, instance, secret, from, id, m->macs);
        return false;
    }
    if (!path_source_admits(e, now, SOURCE_OPENS, &from->remote.ip, OPENS_PER_SOURCE))
        return false;
    if (path_half_count_from(e, &from->remote.ip) < HALVES_PER_SOURCE)
        return true;
    drop_count(&e->drops, DROP_RATE_LIMITED);
    return false;
}

/* ---- OPEN ---- */

/* Which secret made mac1?  -1: none of ours. */
static int secret_of(const struct instance *in, const uint8_t *bytes, const struct clear_open *m)
{
    for (unsigned i = 0; i < in->psk_count; i++) {
        uint8_t mac[LINK_MAC];
        path_link_mac(in->mac_key[i], bytes, m->covered, mac);
        if (crypto_equal(mac, m->macs, LINK_MAC))
            return (int)i;
    }
    return -1;
}

static void keep_answer(struct path_engine *e, struct half *h, const uint8_t *noise,
                        size_t noise_size)
{
    uint8_t bytes[OPEN_SIZE];
    struct clear_reply m = {.type = WIRE_ACCEPT,
                            .id = h->id,
                            .label = path_slot_label(e, h->slot),
                            .blob = noise,
                            .blob_size = noise_size};
    size_t size = path_clear_reply_write(&m, bytes, sizeof bytes);
    require(size); /* message 2 with the longest name fits */
    path_link_mac(e->instance[h->instance].mac_key[h->secret], bytes, size - LINK_MAC,
                  bytes + size - LINK_MAC);
    h->answer = base_calloc(1, size);
    h->answer_size = size;
    memcpy(h->answer, bytes, size);
}

static void open_stranger(struct path_engine *e, instant now, unsigned instance,
                          const struct arrival *from, const struct clear_open *m,
                          const uint8_t id[HANDSHAKE_ID], unsigned secret)
{
    uint8_t noise[NOISE_BLOB_MAX];
    unsigned code = REFUSE_UNREADABLE;
    struct half *h = e->tunnels.count < NEIGHBOURS_MAX ? path_half_new(e, now, id) : NULL;

    if (!h) {
        drop_count(&e->drops, DROP_LIMIT);
        return;
    }
    h->instance = instance;
    h->secret = secret;
    h->from = *from;
    h->pattern = m->pattern;
    h->label_out = m->label;
    size_t size = path_half_answer(e, now, h, m->noise, m->noise_size, noise, sizeof noise, &code);
    if (!size) {
        path_half_free(e, h);
        drop_count(&e->drops, DROP_BAD_HANDSHAKE);
        refuse(e, now, instance, from, id, code);
        return;
    }
    keep_answer(e, h, noise, size);
    answer(e, instance, from, h->answer, h->answer_size);
    if (code == REFUSE_IDENTITY) /* said inside message 2, where only the peer reads it */
        path_half_free(e, h);
}

static void secret_mismatch(struct path_engine *e, instant now, unsigned instance,
                            const struct arrival *from, const uint8_t id[HANDSHAKE_ID])
{
    char text[ENDPOINT_TEXT];
    drop_count(&e->drops, DROP_BAD_MAC);
    if (refuse(e, now, instance, from, id, REFUSE_SECRET))
        path_notice(
            e, now, LOG_WARNING,
            "%s: secret mismatch: a handshake from %s does not carry this network's secret; "
            "give both hosts the same "
            "secret file",
            e->instance[instance].config->instance, endpoint_format(&from->remote, text));
}

static void open_known(struct path_engine *e, unsigned instance, const struct arrival *from,
                       const struct half *h)
{
    drop_count(&e->drops, DROP_DUPLICATE_HANDSHAKE);
    if (h && !h->over_link && h->instance == instance && h->answer)
        answer(e, instance, from, h->answer, h->answer_size);
}

void path_link_open_received(struct path_engine *e, instant now, unsigned instance,
                             const struct arrival *from, const uint8_t *bytes, size_t size)
{
    struct clear_open m;
    uint8_t id[HANDSHAKE_ID];

    if (!path_clear_open_read(bytes, size, &m)) {
        drop_count(&e->drops, size < OPEN_SIZE ? DROP_TRUNCATED : DROP_BAD_MESSAGE);
        return;
    }
    path_handshake_id(m.noise, m.noise_size, id);
    if (m.version != PATH_VERSION || m.suite != PATH_SUITE || m.pattern > PATTERN_XX) {
        drop_count(&e->drops, DROP_BAD_MESSAGE);
        refuse(e, now, instance, from, id, REFUSE_VERSION);
        return;
    }
    int secret = secret_of(&e->instance[instance], bytes, &m);
    if (secret < 0) {
        secret_mismatch(e, now, instance, from, id);
        return;
    }
    if (!m.label || (m.label & 0xF)) {
        drop_count(&e->drops, DROP_BAD_MESSAGE);
        return;
    }
    if (!admitted(e, now, instance, from, bytes, &m, id, (unsigned)secret))
        return;
    const struct half *h = path_half_find(e, id);
    if (h || path_of_handshake(e, id))
        open_known(e, instance, from, h);
    else
        open_stranger(e, now, instance, from, &m, id, (unsigned)secret);
}

/* ---- PATH_ERROR without keys ---- */

/* It names a label that we send to: at an end the record that it quotes must be ours, a gateway
 * only passes it on. */
void path_link_error_received(struct path_engine *e, instant now, const struct arrival *from,
                              const uint8_t *bytes, size_t size)
{
    struct record_header h;

    if (size != ERROR_SIZE || !record_read_header(bytes + 4, size - 4, &h)) {
        drop_count(&e->drops, DROP_BAD_MESSAGE);
        return;
    }
    const uint8_t *tag = bytes + 4 + RECORD_HEADER;
    uint32_t label = h.label & ~(uint32_t)0xF, lane = LABEL_LANE(h.label);
    for (struct path *p = e->path_by_label[label_bucket(label)]; p; p = p->label_next) {
        if (p->label_out != label || !p->fwd || lane >= p->fwd->lanes ||
            p->state != PATH_STATE_UP || !path_neighbour_at(p->first, &from->remote))
            continue;
        const struct lane *l = atomic_load(&p->fwd->lane[lane]);
        const struct record_sealer *s = l ? atomic_load(&l->sealer) : NULL;
        if (s && record_sealer_epoch(s) == h.epoch && record_sealed_lately(s, h.counter, tag)) {
            path_alive_suspect(e, now, p);
            path_link_hurry(e, now, p->first);
            return;
        }
    }
    path_transit_error(e, now, &from->remote, label);
}

/* A record that the data path knows no label for. */
void path_unknown_label(struct path_engine *e, instant now, unsigned instance,
                        const struct arrival *from, const uint8_t *record, size_t size)
{
    struct record_header h;
    uint8_t bytes[ERROR_SIZE];
    struct writer w = writer_over(bytes, sizeof bytes);

    if (instance >= e->instance_count || !record_read_header(record, size, &h))
        return;
    uint32_t label = h.label & ~(uint32_t)0xF;
    struct half *half = path_slot_find(e, label, SLOT_HALF);
    const struct path *p = path_slot_find(e, label, SLOT_PATH);
    if (half) {
        path_half_stash(e, half, from, record, size);
        return;
    }
    /* It came in one batch with the message that set its path up, so the worker could not know the
     * label yet. */
    if (p && LABEL_LANE(h.label) == 0) {
        path_control_record(e, now, from, record, size);
        return;
    }
    if (p) {
        if (p->published && LABEL_LANE(h.label) < p->fwd->lanes) {
            path_out_add(e, PATH_OUT_INJECT)->from = *from;
            path_out_bytes(e, record, size);
        } else {
            drop_count(&e->drops, DROP_NO_PATH);
        }
        return;
    }
    if (size < ERROR_SIZE)
        return; /* never longer than what caused it */
    /* Data that went on after we were restarted must not use up the answers that tell a neighbour
     * that its link is gone. */
    enum source_kind kind = LABEL_LANE(h.label) ? SOURCE_DATA_ERRORS : SOURCE_CONTROL_ERRORS;
    if (!path_source_admits(e, now, kind, &from->remote.ip, ERRORS_PER_SOURCE))
        return;
    write_u8(&w, WIRE_ERROR);
    write_u8(&w, PATH_VERSION);
    write_u16(&w, 0);
    write_bytes(&w, record, RECORD_HEADER);
    write_bytes(&w, record + size - RECORD_TAG, RECORD_TAG);
    answer(e, instance, from, bytes, sizeof bytes);
}
