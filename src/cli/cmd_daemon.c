#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/field.h"

/* Commands about the daemon itself. */

static void show_list(const json_t *texts, const char *before)
{
    size_t index;
    json_t *text;
    json_array_foreach(texts, index, text)
    {
        fputs(before, stdout);
        field_print(json_is_string(text) ? json_string_value(text) : "-");
        putchar('\n');
    }
}

int cli_reload(struct cli *cli, int argc, char **argv)
{
    json_t *result;
    if (!cli_count_words(cli, argc, argv, 0, 0))
        return CLI_USAGE;
    int status = cli_ask(cli, "reload", NULL, &result);
    if (status)
        return status;
    if (!cli_print_json(cli, result)) {
        const json_t *changed = json_object_get(result, "changed");
        if (!json_array_size(changed))
            puts("Nothing has changed.");
        show_list(changed, "changed: ");
        show_list(json_object_get(result, "restart"), "at the next start only: ");
    }
    json_decref(result);
    return CLI_OK;
}

static void show_log(const json_t *result)
{
    char level[FIELD_TEXT];
    const char *area;
    json_t *value, *areas = json_object_get(result, "areas");
    field_print(field_text(result, "level", level));
    puts(" unless an area has a level of its own");
    json_object_foreach(areas, area, value)
    {
        printf("  %-8s ", area);
        field_print(json_is_string(value) ? json_string_value(value) : "-");
        putchar('\n');
    }
}

int cli_log(struct cli *cli, int argc, char **argv)
{
    json_t *result = NULL;
    if (!cli_count_words(cli, argc, argv, 0, 32))
        return CLI_USAGE;
    int status = argc ? CLI_OK : cli_ask(cli, "log", NULL, &result);
    for (int i = 0; i < argc && !status; i++) {
        json_decref(result);
        result = NULL;
        status = cli_ask(cli, "log.set", json_pack("{s:s}", "level", argv[i]), &result);
    }
    if (status)
        return status;
    if (!cli_print_json(cli, result))
        show_log(result);
    json_decref(result);
    return CLI_OK;
}

int cli_stop(struct cli *cli, int argc, char **argv)
{
    json_t *result;
    if (!cli_count_words(cli, argc, argv, 0, 0))
        return CLI_USAGE;
    int status = cli_ask(cli, "stop", NULL, &result);
    if (status)
        return status;
    if (!cli_print_json(cli, result))
        puts("The daemon is about to end.");
    json_decref(result);
    return CLI_OK;
}

int cli_version(struct cli *cli, int argc, char **argv)
{
    char name[FIELD_TEXT], version[FIELD_TEXT];
    json_t *result = NULL, *all;
    if (!cli_count_words(cli, argc, argv, 0, 0))
        return CLI_USAGE;
    /* Asked only where one listens: no daemon is no failure here. */
    if (!access(cli->socket, R_OK | W_OK))
        cli_ask(cli, "version", NULL, &result);
    all = json_pack("{s:s, s:O?}", "ocala", OCALA_VERSION, "daemon", result);
    if (!cli_print_json(cli, all)) {
        puts("ocala " OCALA_VERSION);
        if (result) {
            field_print(field_text(result, "name", name));
            putchar(' ');
            field_print(field_text(result, "version", version));
            putchar('\n');
        }
    }
    json_decref(all);
    json_decref(result);
    return CLI_OK;
}
