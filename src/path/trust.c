/* Who is who: which key a name may show (design section 5, "Who is who").
 *
 *   pinned in the configuration     that key and no other, everywhere
 *   over a link, trust psk          the first key seen is bound to the name; another one is refused
 *   over a link, trust pin          only pinned keys
 *   over gateways, an instance      the bound key; a gateway's word never covers our own instances
 *   of ours
 *   over gateways, another          the word of a gateway that the configuration believes,
 *   instance                        remembered as on first use
 *
 * Known names live in a text file: "name key how" per line, "name -" forgets.  A last line without
 * its end is a write that a crash cut short, and is ignored. */
#include "path/path_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define KNOWN_LINE 1024 /* more than the longest name, key and voucher */

static const char vouched_for[] = "vouched for by ";

static struct known *known_find(const struct path_engine *e, const char *name)
{
    const struct name_entry *n = path_names_find(e, name);
    return n ? n->known : NULL;
}

static void known_remove(struct path_engine *e, struct known *k)
{
    struct known **at = &e->knowns;
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    if (!*at)
        e->known_last = at;
    path_names_of(k->name)->known = NULL;
    path_names_give(e, k->name);
    path_names_give(e, k->how);
    free(k);
}

static void known_add(struct path_engine *e, const char *name, const uint8_t key[32],
                      const char *how)
{
    struct known *k = known_find(e, name);
    if (k)
        known_remove(e, k);
    k = base_calloc(1, sizeof *k);
    k->name = path_names_take(e, name);
    k->how = path_names_take(e, how);
    memcpy(k->key, key, 32);
    path_names_of(k->name)->known = k;
    *e->known_last = k;
    e->known_last = &k->next;
}

static void load_line(struct path_engine *e, char *line)
{
    struct overlay_name name;
    const char *reason;
    uint8_t key[32];
    char *key_text = strchr(line, ' ');

    if (!key_text)
        return;
    *key_text++ = 0;
    char *how = strchr(key_text, ' ');
    if (how)
        *how++ = 0;
    if (!overlay_name_parse(line, &name, &reason))
        return;
    struct known *old = known_find(e, name.text);
    if (!strcmp(key_text, "-") && old)
        known_remove(e, old);
    else if (crypto_key_parse(key_text, key))
        known_add(e, name.text, key, how ? how : "first use");
}

void path_trust_load(struct path_engine *e, const char *text, size_t size)
{
    const char *at = text, *end = text ? text + size : text;
    const char *stop;

    while (at && at < end && (stop = memchr(at, '\n', (size_t)(end - at)))) {
        char line[KNOWN_LINE];
        size_t length = (size_t)(stop - at);
        if (length < sizeof line) {
            memcpy(line, at, length);
            line[length] = 0;
            load_line(e, line);
        }
        at = stop + 1;
    }
}

void path_trust_free(struct path_engine *e)
{
    while (e->knowns)
        known_remove(e, e->knowns);
}

static size_t known_line(const char *name, const uint8_t key[32], const char *how,
                         char line[KNOWN_LINE])
{
    char key_text[CRYPTO_KEY_TEXT];
    return (size_t)snprintf(line, KNOWN_LINE, "%s %s %s\n", name, crypto_key_format(key, key_text),
                            how);
}

/* Why no further name is remembered, or NULL.  What is known is never pushed out: that would make
 * first contacts of names that had theirs. */
static const char *memory_full(const struct path_engine *e, const char *how)
{
    unsigned count = 0;
    for (const struct known *k = e->knowns; k; k = k->next)
        count += !strcmp(k->how, how);
    if (strncmp(how, vouched_for, sizeof vouched_for - 1))
        return count < KNOWN_MAX ? NULL : "too many names are known";
    return count < KNOWN_PER_GATEWAY ? NULL : "its gateway has vouched for too many names";
}

static void remember(struct path_engine *e, const char *name, const uint8_t key[32],
                     const char *how)
{
    char line[KNOWN_LINE];

    known_add(e, name, key, how);
    size_t size = known_line(name, key, how, line);
    path_out_add(e, PATH_OUT_KNOWN);
    path_out_bytes(e, (const uint8_t *)line, size);
}

char *path_known_text(const struct path_engine *e, size_t *ret_size)
{
    size_t count = 0, size = 0;
    for (const struct known *k = e->knowns; k; k = k->next)
        count++;
    char *text = base_calloc(1, count * KNOWN_LINE + 1);
    for (const struct known *k = e->knowns; k; k = k->next)
        size += known_line(k->name, k->key, k->how, text + size);
    *ret_size = size;
    return text;
}

/* The X25519 form of the key that the configuration pins for a name; false: none. */
static bool pinned(const struct path_engine *e, const char *name, uint8_t ret[32])
{
    const uint8_t *ed25519 = NULL;
    for (unsigned i = 0; i < e->config->pin_count; i++)
        if (!strcmp(e->config->pins[i].name.text, name))
            ed25519 = e->config->pins[i].key;
    for (unsigned i = 0; i < e->config->overlay_count; i++)
        for (unsigned m = 0; m < e->config->overlays[i].member_count; m++) {
            const struct config_member *member = &e->config->overlays[i].members[m];
            if (member->has_key && !strcmp(member->name.text, name))
                ed25519 = member->key;
        }
    if (ed25519 && !crypto_ed25519_to_x25519_public(ed25519, ret))
        memset(ret, 0,
               32); /* no point of the curve: pinned all the same, to a key that nobody has */
    return ed25519 != NULL;
}

bool path_trust_believes(const struct path_engine *e, const char *gateway, const char *name)
{
    struct overlay_name n;
    const char *reason;
    if (!overlay_name_parse(name, &n, &reason))
        return false;
    for (unsigned i = 0; i < e->config->belief_count; i++) {
        const struct config_belief *b = &e->config->beliefs[i];
        if (strcmp(b->gateway.text, gateway))
            continue;
        for (unsigned j = 0; j < b->instance_count; j++)
            if (!strcmp(b->instances[j], overlay_name_instance(&n)))
                return true;
    }
    return false;
}

bool path_trust_key(const struct path_engine *e, const char *name, uint8_t ret[32])
{
    if (pinned(e, name, ret))
        return true;
    const struct known *k = known_find(e, name);
    if (k)
        memcpy(ret, k->key, 32);
    return k != NULL;
}

static struct judgement verdict(bool ok, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static struct judgement verdict(bool ok, const char *format, ...)
{
    struct judgement j = {.ok = ok};
    va_list args;
    va_start(args, format);
    vsnprintf(j.text, sizeof j.text, format, args);
    va_end(args);
    return j;
}

static struct judgement no_room(struct path_engine *e, const char *name, const char *why)
{
    drop_count(&e->drops, DROP_LIMIT);
    return verdict(false,
                   "no room to remember the key of %s: %s; make room with: ocala key forget NAME",
                   name, why);
}

static struct judgement judge_link(struct path_engine *e, const char *name, const uint8_t key[32],
                                   bool bind)
{
    const struct config_overlay *o;
    struct overlay_name n = {0};
    memcpy(n.text, name, strlen(name) + 1);
    o = config_overlay_find(e->config, overlay_name_instance(&n));

    if (o->trust == CONFIG_TRUST_PIN)
        return verdict(false, "no key is pinned for %s: with trust: pin every member needs `key:`",
                       name);
    struct known *k = known_find(e, name);
    const char *full = k ? NULL : memory_full(e, "first use");
    if (full)
        return no_room(e, name, full);
    if (!k && bind)
        remember(e, name, key, "first use");
    if (k && !crypto_equal(k->key, key, 32))
        return verdict(false,
                       "%s shows another key than the one bound to it; if that host was set up "
                       "anew: ocala key forget %s; if not, two hosts have its name",
                       name, name);
    return verdict(true, "member of %s, key bound on first use", o->instance);
}

/* Remembered from a gateway that the configuration does not believe any more: as if nobody had said
 * it. */
static bool vouched_in_vain(const struct path_engine *e, const struct known *k)
{
    const size_t size = sizeof vouched_for - 1;
    return !strncmp(k->how, vouched_for, size) && !path_trust_believes(e, k->how + size, k->name);
}

static struct judgement judge_far(struct path_engine *e, const char *name, const uint8_t key[32],
                                  const char *voucher, bool bind)
{
    struct overlay_name n = {0};
    char how[sizeof vouched_for + NAME_TEXT];
    memcpy(n.text, name, strlen(name) + 1);
    bool ours = config_overlay_find(e->config, overlay_name_instance(&n)) != NULL;
    struct known *k = known_find(e, name);

    if (k && !ours && vouched_in_vain(e, k))
        k = NULL;
    if (k && !crypto_equal(k->key, key, 32))
        return verdict(false,
                       "%s shows another key than the one remembered (%s); if that host was set up "
                       "anew: ocala key forget %s; if not, two hosts have its name",
                       name, k->how, name);
    if (k)
        return ours ? verdict(true, "member of %s, key bound on first use",
                              overlay_name_instance(&n))
                    : verdict(true, "%s", k->how);
    if (ours)
        return verdict(false,
                       "no key is known for %s, and a gateway's word does not cover our own "
                       "instance: reach it "
                       "directly once, or pin its key",
                       name);
    if (!voucher || !path_trust_believes(e, voucher, name))
        return verdict(
            false,
            "nobody we believe vouches for %s: list its gateway under `believe:`, or pin its key",
            name);
    snprintf(how, sizeof how, "%s%s", vouched_for, voucher);
    const char *full = memory_full(e, how);
    if (full)
        return no_room(e, name, full);
    if (bind)
        remember(e, name, key, how);
    return verdict(true, "%s", how);
}

struct judgement path_trust_judge(struct path_engine *e, const char *name, const uint8_t key[32],
                                  int link_instance, const char *voucher, bool bind)
{
    struct overlay_name n;
    const char *reason;
    uint8_t pin[32];

    if (!overlay_name_parse(name, &n, &reason))
        return verdict(false, "the peer calls itself something that is no overlay name");
    if (path_engine_is_self(e, name))
        return verdict(
            false, "the peer claims our own name %s: two hosts must not have the same name", name);
    if (link_instance >= 0 &&
        strcmp(overlay_name_instance(&n), e->instance[link_instance].config->instance))
        return verdict(false, "%s is not a name of %s, the instance of this link", name,
                       e->instance[link_instance].config->instance);
    if (pinned(e, name, pin))
        return crypto_equal(pin, key, 32)
                   ? verdict(true, "key pinned in the configuration")
                   : verdict(false, "%s shows another key than the one pinned in the configuration",
                             name);
    return link_instance >= 0 ? judge_link(e, name, key, bind)
                              : judge_far(e, name, key, voucher, bind);
}

bool path_forget(struct path_engine *e, instant now, const char *name)
{
    struct known *k = known_find(e, name);
    char line[NAME_TEXT + 8];
    if (!k)
        return false;
    known_remove(e, k);
    int size = snprintf(line, sizeof line, "%s -\n", name);
    path_out_add(e, PATH_OUT_KNOWN);
    path_out_bytes(e, (const uint8_t *)line, (size_t)size);
    for (uint32_t i = 0; i < e->slot_range; i++) {
        struct path *p = path_slot_path(e, i);
        if (!p || !p->peer || strcmp(p->peer->name, name))
            continue;
        path_forsake(e, now, p->peer);
        path_close(e, now, p->slot, "its key was forgotten here");
    }
    return true;
}

void path_each_known(struct path_engine *e,
                     void (*look)(void *context, const struct path_known_info *info), void *context)
{
    for (const struct known *k = e->knowns; k; k = k->next)
        look(context, &(struct path_known_info){.name = k->name, .key = k->key, .how = k->how});
}

bool path_key_of(const struct path_engine *e, const char *name, uint8_t ret[32])
{
    const struct known *k = known_find(e, name);
    if (pinned(e, name, ret))
        return true;
    if (k)
        memcpy(ret, k->key, 32);
    return k != NULL;
}
