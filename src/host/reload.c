/* A new configuration without dropping a path.
 *
 * config/change.c says what differs and what of it can change in a running host; for the rest the new configuration gets
 * the old values before anybody looks at it.  So from here on there is one configuration that everybody may believe, and
 * two lists for people: what has changed, and what waits for the next start.  Everything that can fail is tried before
 * the exchange, so that a refusal leaves the host as it was.
 *
 * An overlay module judges its own members and options: one that cannot take them live goes on with the old ones, which
 * are carried over too. */
#include "host/host_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

/* Which keys an instance has, by what is in the files. */
static void compare_keys(struct host *h, const struct config *config,
                         const struct host_overlay_keys *keys, const int *from)
{
    uint8_t public_key[32];
    for (unsigned i = 0; i < config->overlay_count; i++) {
        if (from[i] < 0)
            continue;
        crypto_ed25519_public(keys[from[i]].seed, public_key);
        if (memcmp(public_key, h->public_key[i], 32))
            config_change_add(&h->changes->restart, "%s key", config->overlays[i].instance);
    }
}

static void take_secrets(struct host *h, const struct config *config,
                         const struct host_overlay_keys *keys, const int *from)
{
    for (unsigned i = 0; i < config->overlay_count; i++)
        if (from[i] >= 0 && path_reload_secrets(h->path, h->now, i, keys[from[i]].secret,
                                                keys[from[i]].secret_count))
            config_change_add(&h->changes->live, "%s secret", config->overlays[i].instance);
}

static void take_members(struct host *h, struct config *old, struct config *config,
                         const struct host_overlay_keys *keys, const int *from)
{
    bool keepalive = config_change_has(&h->changes->live, "timers.keepalive");
    char members[NAME_TEXT + 16], options[NAME_TEXT + 16];

    for (unsigned i = 0; i < config->overlay_count; i++) {
        struct host_overlay *o = &h->overlay[i];
        struct config_overlay *next = &config->overlays[i];
        struct config_overlay *before = NULL;
        for (unsigned b = 0; b < old->overlay_count; b++)
            if (!strcmp(old->overlays[b].instance, next->instance))
                before = &old->overlays[b];
        snprintf(members, sizeof members, "%s members", next->instance);
        snprintf(options, sizeof options, "%s options", next->instance);
        bool changed = config_change_has(&h->changes->live, members) ||
                       config_change_has(&h->changes->live, options);
        o->config = next;
        if (!before || from[i] < 0)
            continue; /* it is the old one, carried over */
        changed |= host_overlay_renamed(h, i, &keys[from[i]]);
        if ((changed || keepalive) && host_overlay_reload(h, i, config, &keys[from[i]]))
            continue;
        config_carry_members(
            before, next); /* also when nothing changed: the module points to its options */
        if (config_change_remove(&h->changes->live, members))
            config_change_add(&h->changes->restart, "%s", members);
        if (config_change_remove(&h->changes->live, options))
            config_change_add(&h->changes->restart, "%s", options);
    }
}

static bool changed(const struct host *h, const char *what)
{
    return config_change_has(&h->changes->live, what);
}

static void take_rest(struct host *h)
{
    const struct config *c = h->config;
    struct dns_settings dns;
    const char *reason;

    if (changed(h, "dns.ttl") || changed(h, "dns.suffix")) {
        host_dns_settings(h, &dns);
        if (!dns_reload(h->dns, h->now, &dns, &reason))
            host_log(h, LOG_ERR, "dns goes on with its old settings: %s", reason);
    }
    handle_limits_set(h->handles, c->timers.quarantine / SECOND, c->handles.per_user);
    host_fail_forget_all(h); /* what failed may work now */
}

static void say(struct host *h, int level, const char *before,
                const struct config_change_list *list)
{
    char text[640];
    struct text t;
    text_begin(&t, text, sizeof text);
    for (unsigned i = 0; i < list->count; i++)
        text_add(&t, "%s%s", i ? ", " : "", list->text[i]);
    if (list->count)
        host_log(h, level, "%s: %s", before, text);
}

int host_reload(struct host *h, instant now, struct config *config,
                const struct host_overlay_keys *keys, char *error, size_t error_size)
{
    struct config *old = h->config;

    h->now = now;
    for (unsigned i = 0; i < config->overlay_count; i++) {
        struct config_error fault = {.file = config->file};
        if (overlay_config_fault(&config->overlays[i], &fault)) {
            config_error_format(&fault, error, error_size);
            return -EINVAL;
        }
    }
    if (!h->changes)
        h->changes = base_calloc(1, sizeof *h->changes);
    int *from = base_calloc(old->overlay_count, sizeof *from);
    config_compare(old, config, h->changes);
    config_carry(old, config, from);
    compare_keys(h, config, keys, from);
    h->config = config;
    take_members(h, old, config, keys, from);
    path_reload(h->path, now, config);
    take_secrets(h, config, keys, from);
    take_rest(h);
    free(from);
    say(h, LOG_NOTICE, "changed", &h->changes->live);
    say(h, LOG_WARNING, "takes effect only after a restart", &h->changes->restart);
    host_pump(h);
    return 0;
}
