/* SIGHUP and `ocala reload`: the new configuration is read and checked as at the start, with the
 * files that it names; only when there is nothing wrong does the host get it.  What cannot change
 * while it runs keeps its value and is named (host/reload.c). */
#include "daemon/daemon.h"

#include "crypto/crypto.h"
#include "io/clock.h"

static int read_new(struct daemon *d, struct daemon_settings *ret, char *err, size_t size)
{
    uint8_t seed[32];
    int error = daemon_settings_read(d->config_file, d->helper, ret, err, size);
    if (error || !ret->needs_key)
        return error;
    error = daemon_state_key(d->state, &d->entropy, seed, err, size);
    if (error)
        daemon_settings_done(ret);
    else
        daemon_settings_own_key(ret, seed);
    crypto_wipe(seed, sizeof seed);
    return error;
}

const char *daemon_reload(struct daemon *d, instant now, char *err, size_t size)
{
    struct daemon_settings new;
    if (read_new(d, &new, err, size))
        return err;
    if (host_reload(d->host, now, new.config, new.keys, err, size)) {
        daemon_settings_done(&new);
        return err;
    }
    daemon_settings_done(&d->settings);
    d->settings = new;
    d->config_read = now;
    daemon_dns_mode_reload(d);
    return NULL;
}
