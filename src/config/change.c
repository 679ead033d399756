/* Two configurations are compared as they print.  The printed form has every default filled in and
 * one place for each option, so a difference of its lines is a difference of meaning, and an option
 * that is added to the language shows up here without being told. */
#include "config/change.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct span {
    const char *text;
    size_t size;
};

/* Live in a running host; every other difference needs a restart.  "*" stands for any overlay. */
static const char *const live[] = {"rules",   "believe",   "pins",       "forward",
                                   "policy",  "dns.ttl",   "dns.suffix", "handles.per_user",
                                   "* trust", "* members", "* options"};
/* Names of files: the host judges by what is in them. */
static const char *const files[] = {"key", "* key", "* secrets"};

static bool listed(const char *const *list, size_t count, const char *name)
{
    const char *space = strchr(name, ' ');
    for (size_t i = 0; i < count; i++)
        if (!strcmp(list[i], name) || (space && list[i][0] == '*' && !strcmp(list[i] + 1, space)))
            return true;
    return false;
}

void config_change_add(struct config_change_list *list, const char *format, ...)
{
    va_list args;
    if (list->count == CONFIG_CHANGES_MAX) {
        strcpy(list->text[CONFIG_CHANGES_MAX - 1], "...");
        return;
    }
    va_start(args, format);
    vsnprintf(list->text[list->count++], CONFIG_CHANGE_TEXT, format, args);
    va_end(args);
}

bool config_change_has(const struct config_change_list *list, const char *text)
{
    for (unsigned i = 0; i < list->count; i++)
        if (!strcmp(list->text[i], text))
            return true;
    return false;
}

bool config_change_remove(struct config_change_list *list, const char *text)
{
    for (unsigned i = 0; i < list->count; i++)
        if (!strcmp(list->text[i], text)) {
            list->count--;
            memmove(list->text[i], list->text[i + 1], (list->count - i) * sizeof list->text[0]);
            return true;
        }
    return false;
}

/* ---- the printed form ---- */

static size_t line_size(struct span s)
{
    const char *end = memchr(s.text, '\n', s.size);
    return end ? (size_t)(end - s.text) + 1 : s.size;
}

static size_t indent(struct span s)
{
    size_t n = 0;
    while (n < s.size && s.text[n] == ' ')
        n++;
    return n;
}

/* Takes one item of a block off `rest`: a line with `depth` spaces, and the deeper ones below it.
 */
static bool item_next(struct span *rest, size_t depth, struct span *ret)
{
    while (rest->size && indent(*rest) != depth) {
        size_t skipped = line_size(*rest);
        rest->text += skipped;
        rest->size -= skipped;
    }
    if (!rest->size)
        return false;
    *ret = (struct span){rest->text, 0};
    do {
        size_t line = line_size(*rest);
        ret->size += line;
        rest->text += line;
        rest->size -= line;
    } while (rest->size && indent(*rest) > depth);
    return true;
}

static bool same(struct span a, struct span b)
{
    return a.size == b.size && !memcmp(a.text, b.text, a.size);
}

static struct span key_of(struct span item, size_t depth)
{
    struct span key = {item.text + depth, 0};
    while (depth + key.size < item.size && !strchr(":\n", key.text[key.size]))
        key.size++;
    return key;
}

static bool find(struct span block, size_t depth, struct span key, struct span *ret)
{
    while (item_next(&block, depth, ret))
        if (same(key_of(*ret, depth), key))
            return true;
    return false;
}

/* ---- comparing ---- */

struct comparison {
    struct config_changes *changes;
    const char *prefix; /* "dns." or "east.ip " */
};

static void differs(const struct comparison *c, struct span key)
{
    char name[CONFIG_CHANGE_TEXT];
    snprintf(name, sizeof name, "%s%.*s", c->prefix, (int)key.size, key.text);
    if (listed(files, sizeof files / sizeof *files, name))
        return;
    bool is_live = listed(live, sizeof live / sizeof *live, name) || !strncmp(name, "timers.", 7);
    config_change_add(is_live ? &c->changes->live : &c->changes->restart, "%s", name);
}

static void compare_items(const struct comparison *c, struct span old, struct span next,
                          size_t depth,
                          void (*inside)(const struct comparison *c, struct span key,
                                         struct span old, struct span next))
{
    struct span rest = old, a, b;
    while (item_next(&rest, depth, &a)) {
        struct span key = key_of(a, depth);
        if (!find(next, depth, key, &b))
            differs(c, key);
        else if (!same(a, b))
            inside(c, key, a, b);
    }
    rest = next;
    while (item_next(&rest, depth, &b)) {
        struct span key = key_of(b, depth);
        if (!find(old, depth, key, &a))
            differs(c, key);
    }
}

static void leaf(const struct comparison *c, struct span key, struct span old, struct span next)
{
    differs(c, key);
}

static bool key_is(struct span key, const char *text)
{
    return key.size == strlen(text) && !memcmp(key.text, text, key.size);
}

/* dns, handles, tun, timers have options of their own; overlays are looked at one by one. */
static void top(const struct comparison *c, struct span key, struct span old, struct span next)
{
    char prefix[32];
    if (key_is(key, "overlays"))
        return;
    if (!key_is(key, "dns") && !key_is(key, "handles") && !key_is(key, "tun") &&
        !key_is(key, "timers")) {
        differs(c, key);
        return;
    }
    snprintf(prefix, sizeof prefix, "%.*s.", (int)key.size, key.text);
    struct comparison below = {c->changes, prefix};
    compare_items(&below, old, next, 2, leaf);
}

/* The item of an instance in the printed list: "  - instance: 'east.ip'" and what is below it. */
static struct span overlay_span(const char *printed, const char *instance)
{
    char head[128];
    struct span all = {printed, strlen(printed)}, list, item;
    size_t size = (size_t)snprintf(head, sizeof head, "  - instance: '%s'\n", instance);
    if (find(all, 0, (struct span){"overlays", 8}, &list))
        while (item_next(&list, 2, &item))
            if (size < sizeof head && item.size >= size && !memcmp(item.text, head, size))
                return (struct span){item.text + size, item.size - size};
    return (struct span){printed, 0};
}

static void compare_overlays(const struct config *old, const struct config *next,
                             const char *old_text, const char *next_text,
                             struct config_changes *ret)
{
    char prefix[NAME_TEXT];
    for (unsigned i = 0; i < old->overlay_count; i++) {
        const char *instance = old->overlays[i].instance;
        if (!config_overlay_find(next, instance)) {
            config_change_add(&ret->restart, "overlays: %s leaves", instance);
            continue;
        }
        snprintf(prefix, sizeof prefix, "%s ", instance);
        compare_items(&(struct comparison){ret, prefix}, overlay_span(old_text, instance),
                      overlay_span(next_text, instance), 4, leaf);
    }
    for (unsigned i = 0; i < next->overlay_count; i++)
        if (!config_overlay_find(old, next->overlays[i].instance))
            config_change_add(&ret->restart, "overlays: %s comes", next->overlays[i].instance);
}

void config_compare(const struct config *old, const struct config *next, struct config_changes *ret)
{
    char *a = config_print(old), *b = config_print(next);
    memset(ret, 0, sizeof *ret);
    compare_items(&(struct comparison){ret, ""}, (struct span){a, strlen(a)},
                  (struct span){b, strlen(b)}, 0, top);
    compare_overlays(old, next, a, b, ret);
    free(a);
    free(b);
}

/* ---- carrying ---- */

#define EXCHANGE(a, b)                                                                             \
    do {                                                                                           \
        __typeof__(a) kept = (a);                                                                  \
        (a) = (b);                                                                                 \
        (b) = kept;                                                                                \
    } while (0)

static void carry_system(struct config *old, struct config *next)
{
    EXCHANGE(old->name, next->name);
    EXCHANGE(old->workers, next->workers);
    EXCHANGE(old->tun, next->tun);
    EXCHANGE(old->state, next->state);
    EXCHANGE(old->runtime, next->runtime);
    EXCHANGE(old->control, next->control);
    EXCHANGE(old->group, next->group);
    EXCHANGE(old->dns, next->dns);
    EXCHANGE(old->dns.suffix, next->dns.suffix);
    EXCHANGE(old->dns.ttl_s, next->dns.ttl_s);
    EXCHANGE(old->i3_server, next->i3_server);
    EXCHANGE(old->handles, next->handles);
    EXCHANGE(old->handles.per_user, next->handles.per_user);
}

static void carry_overlay(struct config_overlay *old, struct config_overlay *next)
{
    EXCHANGE(old->self, next->self);
    EXCHANGE(old->listen, next->listen);
    EXCHANGE(old->listen_count, next->listen_count);
    EXCHANGE(old->listen_where, next->listen_where);
}

void config_carry_members(struct config_overlay *old, struct config_overlay *next)
{
    EXCHANGE(old->members, next->members);
    EXCHANGE(old->member_count, next->member_count);
    EXCHANGE(old->options, next->options);
    EXCHANGE(old->option_count, next->option_count);
}

static int position(const struct config *c, const char *instance)
{
    for (unsigned i = 0; i < c->overlay_count; i++)
        if (!strcmp(c->overlays[i].instance, instance))
            return (int)i;
    return -1;
}

void config_carry(struct config *old, struct config *next, int *ret_from)
{
    unsigned running = old->overlay_count, all = running + next->overlay_count, rest = 0;
    struct config_overlay *kept = base_calloc(running, sizeof *kept);
    struct config_overlay *left = base_calloc(all - running, sizeof *left);

    carry_system(old, next);
    for (unsigned i = 0; i < running; i++) {
        int at = ret_from[i] = position(next, old->overlays[i].instance);
        if (at < 0) {
            kept[i] = old->overlays[i];
            continue;
        }
        carry_overlay(&old->overlays[i], &next->overlays[at]);
        kept[i] = next->overlays[at];
        left[rest++] = old->overlays[i];
    }
    for (unsigned i = 0; i < next->overlay_count; i++)
        if (position(old, next->overlays[i].instance) < 0)
            left[rest++] = next->overlays[i];
    free(old->overlays);
    free(next->overlays);
    old->overlays = left;
    old->overlay_count = rest;
    next->overlays = kept;
    next->overlay_count = running;
}
