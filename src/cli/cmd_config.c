#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/secret.h"
#include "crypto/crypto.h"
#include "linux/files.h"
#include "overlay/overlay.h"

/* `config check` sees what the daemon will see: the text, the settings of overlay modules, and the
 * key and secret files with their permissions.  Nothing is changed and no daemon is asked. */

#define TYPES_MAX 32
#define ERR_SIZE  1024

static struct config *read_config(const char *file)
{
    char err[ERR_SIZE], *text;
    size_t size;
    const char *types[TYPES_MAX + 1] = {NULL};
    unsigned count;
    const struct overlay_class *const *classes = overlay_classes(&count);
    for (unsigned i = 0; i < count && i < TYPES_MAX; i++)
        types[i] = classes[i]->name;
    if (linux_file_read(file, LINUX_FILE_PLAIN, CONFIG_SIZE_MAX, &text, &size, err, sizeof err)) {
        cli_complain("%s", err);
        return NULL;
    }
    struct config_error error;
    struct config *config = config_parse(text, size, file, types, &error);
    free(text);
    if (!config)
        fprintf(stderr, "%s\n", config_error_format(&error, err, sizeof err));
    return config;
}

static bool complain_at(const struct config *c, struct config_where where, const char *text)
{
    fprintf(stderr, "%s:%u:%u: %s\n", c->file, where.line, where.column, text);
    return false;
}

static bool check_overlay(const struct config *c, const struct config_overlay *o)
{
    struct config_error fault;
    return !overlay_config_fault(o, &fault) || complain_at(c, fault.where, fault.text);
}

/* Reads one key or secret as the daemon would. */
static bool check_file(const struct config *c, const struct config_text *file,
                       enum config_file kind)
{
    char err[ERR_SIZE], *text;
    uint8_t bytes[CONFIG_SECRET];
    size_t size;
    if (linux_file_read(file->text, LINUX_FILE_SECRET, CONFIG_FILE_MAX, &text, &size, err,
                        sizeof err))
        return complain_at(c, file->where, err);
    bool good = config_file_parse(kind, file->text, text, size, bytes, err, sizeof err);
    crypto_wipe(text, size);
    crypto_wipe(bytes, sizeof bytes);
    free(text);
    return good || complain_at(c, file->where, err);
}

/* A key that no line names is made at the daemon's first start, so it may be missing. */
static bool check_files(const struct config *c)
{
    bool good = true;
    bool named = c->key.where.line;
    if (named || !access(c->key.text, F_OK))
        good = check_file(c, &c->key, CONFIG_FILE_KEY);
    for (unsigned i = 0; i < c->overlay_count; i++) {
        const struct config_overlay *o = &c->overlays[i];
        if (strcmp(o->key.text, c->key.text))
            good &= check_file(c, &o->key, CONFIG_FILE_KEY);
        for (unsigned j = 0; j < o->secret_count; j++)
            good &= check_file(c, &o->secrets[j], CONFIG_FILE_SECRET);
    }
    if (c->i3_server.secret.text)
        good &= check_file(c, &c->i3_server.secret, CONFIG_FILE_SECRET);
    return good;
}

int cli_config_check(struct cli *cli, int argc, char **argv)
{
    bool no_files = cli_take_flag(&argc, argv, "--no-files");
    if (!cli_count_words(cli, argc, argv, 0, 1))
        return CLI_USAGE;
    struct config *config = read_config(argc ? argv[0] : CLI_CONFIG_FILE);
    if (!config)
        return CLI_CONFIG;
    bool good = true;
    for (unsigned i = 0; i < config->overlay_count; i++)
        good &= check_overlay(config, &config->overlays[i]);
    if (!no_files)
        good &= check_files(config);
    if (good && cli->json)
        puts("{\"ok\": true}");
    else if (good)
        printf("%s is in order.\n", config->file);
    config_free(config);
    return good ? CLI_OK : CLI_CONFIG;
}

static int show_file(struct cli *cli, const char *file)
{
    struct config *config = read_config(file);
    if (!config)
        return CLI_CONFIG;
    char *text = config_print(config);
    json_t *result = json_pack("{s:s, s:s}", "file", file, "text", text);
    if (!cli_print_json(cli, result))
        fputs(text, stdout);
    json_decref(result);
    free(text);
    config_free(config);
    return CLI_OK;
}

int cli_config_show(struct cli *cli, int argc, char **argv)
{
    json_t *result;
    if (!cli_count_words(cli, argc, argv, 0, 1))
        return CLI_USAGE;
    if (argc)
        return show_file(cli, argv[0]);
    int status = cli_ask(cli, "config", NULL, &result);
    if (status)
        return status;
    const char *text = json_string_value(json_object_get(result, "text"));
    if (!cli_print_json(cli, result) && text)
        fputs(text, stdout);
    json_decref(result);
    return CLI_OK;
}
