#include "daemon/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "config/secret.h"
#include "crypto/crypto.h"
#include "helper/helper.h"
#include "linux/files.h"
#include "overlay/overlay.h"

#define TYPES_MAX 32

/* The daemon reads first by itself; after it dropped its privileges the helper may open what lies
 * beside the config. */
static int read_file(const char *path, enum linux_file_kind kind, size_t limit,
                     struct helper *helper, char **ret, size_t *ret_size, char *err, size_t size)
{
    int error = linux_file_read(path, kind, limit, ret, ret_size, err, size);
    if (error != -EACCES || !helper)
        return error;
    int fd;
    char *absolute = realpath(path, NULL);
    error = helper_file_open(helper, absolute ? absolute : path, &fd, err, size);
    free(absolute);
    if (error)
        return error;
    error = linux_file_read_fd(fd, path, kind, limit, ret, ret_size, err, size);
    close(fd);
    return error;
}

static int file_read(enum config_file kind, const char *path, struct helper *helper,
                     uint8_t ret[CONFIG_SECRET], char *err, size_t size)
{
    char *text;
    size_t length;
    int error =
        read_file(path, LINUX_FILE_SECRET, CONFIG_FILE_MAX, helper, &text, &length, err, size);
    if (error)
        return error;
    if (!config_file_parse(kind, path, text, length, ret, err, size))
        error = -EINVAL;
    crypto_wipe(text, length);
    free(text);
    return error;
}

int daemon_key_read(const char *path, struct helper *helper, uint8_t ret_seed[32], char *err,
                    size_t size)
{
    return file_read(CONFIG_FILE_KEY, path, helper, ret_seed, err, size);
}

/* Puts "file:line:column: " in front of what is in `err`. */
int daemon_settings_at(const struct config *c, struct config_where where, int error, char *err,
                       size_t size)
{
    struct config_error e = {.file = c->file, .where = where};
    snprintf(e.text, sizeof e.text, "%s", err);
    config_error_format(&e, err, size);
    return error;
}

static int read_overlay_files(struct daemon_settings *s, unsigned index, struct helper *helper,
                              char *err, size_t size)
{
    const struct config_overlay *o = &s->config->overlays[index];
    struct host_overlay_keys *keys = &s->keys[index];
    int error;
    if (!o->key.where.line)
        s->needs_key = s->own_key[index] = true;
    else if ((error = daemon_key_read(o->key.text, helper, keys->seed, err, size)))
        return daemon_settings_at(s->config, o->key.where, error, err, size);
    for (unsigned i = 0; i < o->secret_count; i++) {
        error =
            file_read(CONFIG_FILE_SECRET, o->secrets[i].text, helper, keys->secret[i], err, size);
        if (error)
            return daemon_settings_at(s->config, o->secrets[i].where, error, err, size);
        keys->secret_count++;
    }
    return 0;
}

static int parse(const char *file, struct helper *helper, struct config **ret, char *err,
                 size_t size)
{
    const char *types[TYPES_MAX + 1] = {NULL};
    unsigned count;
    const struct overlay_class *const *classes = overlay_classes(&count);
    for (unsigned i = 0; i < count && i < TYPES_MAX; i++)
        types[i] = classes[i]->name;
    char *text;
    size_t length;
    int error =
        read_file(file, LINUX_FILE_PLAIN, CONFIG_SIZE_MAX, helper, &text, &length, err, size);
    if (error)
        return error;
    struct config_error e;
    *ret = config_parse(text, length, file, types, &e);
    free(text);
    if (*ret)
        return 0;
    config_error_format(&e, err, size);
    return -EINVAL;
}

int daemon_settings_read(const char *file, struct helper *helper, struct daemon_settings *ret,
                         char *err, size_t size)
{
    struct daemon_settings s = {0};
    int error = parse(file, helper, &s.config, err, size);
    if (error)
        return error;
    s.key_count = s.config->overlay_count;
    s.keys = base_calloc(s.key_count, sizeof *s.keys);
    s.own_key = base_calloc(s.config->overlay_count, sizeof *s.own_key);
    for (unsigned i = 0; i < s.config->overlay_count && !error; i++) {
        struct config_error fault = {.file = s.config->file};
        if (overlay_config_fault(&s.config->overlays[i], &fault)) {
            config_error_format(&fault, err, size);
            error = -EINVAL;
        } else {
            error = read_overlay_files(&s, i, helper, err, size);
        }
    }
    if (error)
        daemon_settings_done(&s);
    else
        *ret = s;
    return error;
}

void daemon_settings_own_key(struct daemon_settings *s, const uint8_t seed[32])
{
    for (unsigned i = 0; i < s->key_count; i++)
        if (s->own_key[i])
            memcpy(s->keys[i].seed, seed, sizeof s->keys[i].seed);
}

void daemon_settings_done(struct daemon_settings *s)
{
    if (s->keys)
        crypto_wipe(s->keys, s->key_count * sizeof *s->keys);
    free(s->keys);
    free(s->own_key);
    config_free(s->config);
    *s = (struct daemon_settings){0};
}
