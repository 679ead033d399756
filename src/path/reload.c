/* A new configuration under paths that stand.
 *
 * Each path is judged again as if it came now: who may not any more is closed and told why, the
 * others get their policy anew, which makes workers ask it again for flows that they had admitted.
 * Timers are only numbers that ticks look at, so everything that waits is made to tick soon.
 *
 * A path over gateways is judged without the word that came when it was opened: what was believed
 * then was remembered, and the memory counts as long as its gateway is believed. */
#include "path/path_internal.h"

static void recheck(struct path_engine *e, instant now, struct path *p)
{
    struct judgement j = path_trust_judge(e, p->peer->name, p->peer->key,
                                          p->one_hop ? (int)p->instance : -1, NULL, p->one_hop);
    if (!j.ok && p->state == PATH_STATE_DRAINING) {
        path_leave_soon(e, now, p);
        return;
    }
    if (!j.ok) {
        path_close(e, now, p->slot, j.text);
        return;
    }
    if (p->published)
        path_policy_apply(e, p);
    path_alive_schedule(e, now, p);
}

void path_reload(struct path_engine *e, instant now, const struct config *config)
{
    for (unsigned i = 0; i < e->instance_count; i++)
        e->instance[i].config = &config->overlays[i];
    e->config = config;
    for (uint32_t i = 0; i < e->slot_range; i++) {
        struct path *p = path_slot_path(e, i);
        if (p && p->peer)
            recheck(e, now, p);
    }
    path_transit_recheck(e, now);
}

/* Where the secret that a handshake was begun with is now; -1: it is not accepted any more. */
static int secret_now(const struct instance *old, const struct instance *in, unsigned secret)
{
    for (unsigned i = 0; i < in->psk_count; i++)
        if (crypto_equal(in->psk[i], old->psk[secret], 32))
            return (int)i;
    return -1;
}

static void begin_again(struct path_engine *e, instant now, struct path *p)
{
    struct opening *o = p->opening;
    o->secret = 0;
    o->sent = o->has_cookie = false;
    o->times = o->cookies = 0;
    o->spacing = e->config->timers.retry;
    o->next = now;
    path_alive_schedule(e, now, p);
}

/* Of handshakes under way those with a secret that is gone end: strangers come again, we begin
 * again. */
static void sort_out(struct path_engine *e, instant now, unsigned instance,
                     const struct instance *old)
{
    const struct instance *in = &e->instance[instance];
    struct half *h, *next;
    HASH_ITER(hh, e->halves, h, next)
    {
        if (h->over_link || h->instance != instance)
            continue;
        int secret = secret_now(old, in, h->secret);
        if (secret < 0)
            path_half_free(e, h);
        else
            h->secret = (unsigned)secret;
    }
    for (uint32_t i = 0; i < e->slot_range; i++) {
        struct path *p = path_slot_path(e, i);
        if (!p || p->state != PATH_STATE_OPENING || !p->one_hop || p->instance != instance)
            continue;
        int secret = secret_now(old, in, p->opening->secret);
        if (secret < 0)
            begin_again(e, now, p);
        else
            p->opening->secret = (unsigned)secret;
    }
}

bool path_reload_secrets(struct path_engine *e, instant now, unsigned instance,
                         const uint8_t (*secret)[32], unsigned count)
{
    struct instance *in = &e->instance[instance], old = *in;
    path_instance_set_secrets(in, secret, count);
    bool changed =
        old.psk_count != in->psk_count || !crypto_equal(old.psk, in->psk, sizeof in->psk);
    if (changed)
        sort_out(e, now, instance, &old);
    crypto_wipe(&old, sizeof old);
    return changed;
}
