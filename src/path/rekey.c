/* New keys without losing a packet: a fresh IK handshake inside the control lane.  Labels stay, the
 * epoch byte goes up.
 *
 *   initiator of the path                 responder
 *     REKEY{epoch+1, message 1}     ->    installs receive keys of the new epoch (old ones stay)
 *     <- REKEY_REPLY{message 2}
 *     installs both, sends on new   ->    REKEY_DONE, or data: the first record that opens under
 *                                         the new keys tells the responder to send on them too
 *
 * Only the initiator begins, so two rekeys never cross; a responder whose keys are due asks
 * (REKEY_ASK).  Messages are repeated until answered; when they stay without answer for as long as
 * a key may live, the path is lost, since a key is dead for sending at twice its age.  The prologue
 * holds the path's handshake id and the new epoch: keys cannot be moved between paths. */
#include "path/path_internal.h"

#include <string.h>
#include <syslog.h>

#define REKEY_PROLOGUE "ocala rekey 1"

static void noise_for(struct path_engine *e, struct path *p, uint8_t epoch, bool initiator,
                      struct noise *n)
{
    uint8_t before[sizeof REKEY_PROLOGUE + HANDSHAKE_ID], ephemeral[32];
    static const uint8_t no_secret[32];
    struct writer w = writer_over(before, sizeof before);

    write_bytes(&w, REKEY_PROLOGUE, sizeof REKEY_PROLOGUE - 1);
    write_bytes(&w, p->id, HANDSHAKE_ID);
    write_u8(&w, epoch);
    entropy_fill(e->entropy, ephemeral, sizeof ephemeral);
    noise_init(n, NOISE_IKPSK2, CRYPTO_AES256GCM, initiator, before, writer_size(&w),
               e->instance[p->self].secret_key, ephemeral, initiator ? p->peer->key : NULL,
               no_secret);
    crypto_wipe(ephemeral, sizeof ephemeral);
}

static void send_noise(struct path_engine *e, instant now, struct path *p, uint8_t type,
                       uint8_t epoch, const uint8_t *noise, size_t size)
{
    uint8_t message[NOISE_BLOB_MAX];
    struct writer w = writer_over(message, sizeof message);
    write_u8(&w, type);
    write_u8(&w, epoch);
    write_blob(&w, noise, size);
    if (!w.failed)
        path_control_send(e, now, p, message, writer_size(&w));
}

void path_rekey_begin(struct path_engine *e, instant now, struct path *p)
{
    struct work *w = path_work(p);
    uint8_t epoch = (uint8_t)(p->keys.epoch + 1);
    if (!w->rekey_since)
        w->rekey_since = now_floor(now);
    if (!w->rekey) {
        uint8_t message[NOISE_BLOB_MAX];
        w->rekey = base_calloc(1, sizeof *w->rekey);
        noise_for(e, p, epoch, true, w->rekey);
        w->rekey_size = noise_write(w->rekey, NULL, 0, message, sizeof message);
        require(w->rekey_size);
        w->rekey_message = base_calloc(1, w->rekey_size);
        memcpy(w->rekey_message, message, w->rekey_size);
    }
    w->rekey_next = now + e->config->timers.retry;
    send_noise(e, now, p, MESSAGE_REKEY, epoch, w->rekey_message, w->rekey_size);
}

void path_rekey_receive(struct path_engine *e, instant now, struct path *p, struct reader *r)
{
    struct work *w = path_work(p);
    uint16_t size;
    uint8_t epoch = read_u8(r), payload[NOISE_BLOB_MAX], answer[NOISE_BLOB_MAX];
    const uint8_t *noise = read_blob(r, &size);
    size_t payload_size;
    struct noise n;

    if (r->failed || size > NOISE_BLOB_MAX || p->initiator) {
        drop_count(&e->drops, DROP_BAD_MESSAGE);
        return;
    }
    if (w->next &&
        epoch == w->next->epoch) { /* asked again: the same answer, or the two ends would differ */
        send_noise(e, now, p, MESSAGE_REKEY_REPLY, epoch, w->rekey_message, w->rekey_size);
        return;
    }
    if (epoch != (uint8_t)(p->keys.epoch + 1))
        return; /* a repetition that arrived late */
    noise_for(e, p, epoch, false, &n);
    if (!noise_read(&n, noise, size, payload, &payload_size) ||
        !crypto_equal(n.rs, p->peer->key, 32)) {
        drop_count(&e->drops, DROP_BAD_HANDSHAKE);
        noise_done(&n);
        return;
    }
    size_t answer_size = noise_write(&n, NULL, 0, answer, sizeof answer);
    w->next = base_calloc(1, sizeof *w->next);
    w->rekey_message = base_calloc(1, answer_size);
    w->rekey_size = answer_size;
    memcpy(w->rekey_message, answer, answer_size);
    path_handshake_keys(&n, false, w->next);
    w->next->epoch = epoch;
    noise_done(&n);
    path_session_install(e, p, w->next, false);
    send_noise(e, now, p, MESSAGE_REKEY_REPLY, epoch, answer, answer_size);
}

static void rekey_end(struct path *p)
{
    struct work *w = path_work(p);
    if (w->rekey)
        noise_done(w->rekey);
    free(w->rekey);
    free(w->rekey_message);
    w->rekey = NULL;
    w->rekey_message = NULL;
}

static void replaced(struct path_engine *e, instant now, struct path *p)
{
    p->keys_since = now;
    path_work(p)->rekey_since = 0;
    path_work(p)->old_keys_until = now + e->config->timers.old_keys;
    p->rekeys++;
}

void path_rekey_reply(struct path_engine *e, instant now, struct path *p, struct reader *r)
{
    struct work *w = path_work(p);
    uint16_t size;
    uint8_t epoch = read_u8(r), payload[NOISE_BLOB_MAX];
    const uint8_t *noise = read_blob(r, &size);
    size_t payload_size;

    if (r->failed || size > NOISE_BLOB_MAX || !w->rekey || epoch != (uint8_t)(p->keys.epoch + 1))
        return; /* an answer that came twice */
    struct noise n = *w->rekey;
    if (!noise_read(&n, noise, size, payload, &payload_size)) {
        drop_count(&e->drops, DROP_BAD_HANDSHAKE);
        noise_done(&n);
        return;
    }
    struct epoch_keys keys = {.epoch = epoch};
    path_handshake_keys(&n, true, &keys);
    noise_done(&n);
    rekey_end(p);
    path_session_install(e, p, &keys, true);
    crypto_wipe(&keys, sizeof keys);
    replaced(e, now, p);
    w->done_waits = true;
    path_rekey_done(e, now, p);
}

/* Says that the new keys are in use; repeated until a record under them comes back. */
void path_rekey_done(struct path_engine *e, instant now, struct path *p)
{
    uint8_t done[2] = {MESSAGE_REKEY_DONE, p->keys.epoch};
    path_work(p)->rekey_next = now + e->config->timers.retry;
    path_control_send(e, now, p, done, sizeof done);
}

/* The responder has sealed as much as it may, or waits for longer than it should: only the
 * initiator begins. */
void path_rekey_ask(struct path_engine *e, instant now, struct path *p)
{
    struct work *w = path_work(p);
    uint8_t ask = MESSAGE_REKEY_ASK;
    if (!w->rekey_since)
        w->rekey_since = now_floor(now);
    w->rekey_next = now + e->config->timers.retry;
    path_control_send(e, now, p, &ask, sizeof ask);
}

void path_rekey_asked(struct path_engine *e, instant now, struct path *p)
{
    struct work *w = path_work(p);
    if (p->initiator && p->state == PATH_STATE_UP && !w->rekey && !w->done_waits && !w->confirm &&
        !w->old_keys_until)
        path_rekey_begin(e, now, p);
}

/* A record of lane 0 opened under `epoch`. */
void path_rekey_seen(struct path_engine *e, instant now, struct path *p, uint8_t epoch)
{
    struct work *w = path_work(p);
    if (epoch == p->keys.epoch && w->done_waits) {
        w->done_waits = false; /* until now the responder sent under the old keys */
        w->old_keys_until = now + e->config->timers.old_keys;
    }
    if (!w->next || w->next->epoch != epoch)
        return;
    free(w->rekey_message);
    w->rekey_message = NULL;
    path_session_send_on(e, p, w->next);
    crypto_wipe(w->next, sizeof *w->next);
    free(w->next);
    w->next = NULL;
    replaced(e, now, p);
    path_control_hello(e, now, p); /* so that the initiator hears the new keys too */
}
