#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "cli/field.h"
#include "cli/list.h"
#include "cli/table.h"

/* The listings: each asks once and prints tables of what came. */

bool list_overlays(const json_t *result)
{
    static const struct table_column columns[] = {
        {"OVERLAY", "instance", TABLE_TEXT},
        {"NAME", "name", TABLE_TEXT},
        {"STATE", "state", TABLE_TEXT},
        {"TRUST", "trust", TABLE_TEXT},
        {"LISTEN", "listen", TABLE_TEXT},
        {"REASON", "reason", TABLE_TEXT},
        {.title = NULL},
    };
    return table_print(json_object_get(result, "overlays"), columns, "No overlays.");
}

bool list_links(const json_t *result)
{
    static const struct table_column columns[] = {
        {"LINK", "name", TABLE_TEXT},         {"STATE", "state", TABLE_TEXT},
        {"RTT", "rtt_us", TABLE_RTT},         {"IN", "bytes_in", TABLE_BYTES},
        {"OUT", "bytes_out", TABLE_BYTES},    {"AGE", "age_s", TABLE_SPAN},
        {"IDENTITY", "identity", TABLE_TEXT}, {.title = NULL},
    };
    return table_print(json_object_get(result, "links"), columns, "No links.");
}

bool list_paths(const json_t *result, const char *none)
{
    static const struct table_column columns[] = {
        {"PATH", "name", TABLE_TEXT},
        {"STATE", "state", TABLE_TEXT},
        {"VIA", "via", TABLE_TEXT},
        {"HANDLE", "handle4", TABLE_TEXT},
        {"MTU", "mtu", TABLE_NUMBER},
        {"RTT", "rtt_us", TABLE_RTT},
        {"IN", "bytes_in", TABLE_BYTES},
        {"OUT", "bytes_out", TABLE_BYTES},
        {"IDLE", "idle_s", TABLE_SPAN},
        {"IDENTITY", "identity", TABLE_TEXT},
        {.title = NULL},
    };
    return table_print(json_object_get(result, "paths"), columns, none);
}

bool list_transits(const json_t *result)
{
    static const struct table_column columns[] = {
        {"TRANSIT FROM", "from", TABLE_TEXT}, {"TO", "to", TABLE_TEXT},
        {"TARGET", "target", TABLE_TEXT},     {"STATE", "state", TABLE_TEXT},
        {"RECORDS", "records", TABLE_NUMBER}, {"BYTES", "bytes", TABLE_BYTES},
        {"IDLE", "idle_s", TABLE_SPAN},       {.title = NULL},
    };
    const json_t *transits = json_object_get(result, "transits");
    if (!json_array_size(transits))
        return true;
    putchar('\n');
    return table_print(transits, columns, "");
}

static bool list_members(const json_t *result)
{
    static const struct table_column columns[] = {
        {"MEMBER", "name", TABLE_TEXT}, {"AT", "at", TABLE_TEXT}, {"PINNED", "pinned", TABLE_TEXT},
        {"LINK", "link", TABLE_TEXT},   {.title = NULL},
    };
    size_t index;
    json_t *overlay, *members = json_array();
    json_array_foreach(json_object_get(result, "overlays"), index, overlay)
        json_array_extend(members, json_object_get(overlay, "members"));
    bool good = table_print(members, columns, "No members are configured.");
    json_decref(members);
    return good;
}

/* Asks `command`; unless --json, prints with `print`. */
static int list(struct cli *cli, int argc, char **argv, const char *command,
                bool (*print)(const json_t *result))
{
    json_t *result;
    if (!cli_count_words(cli, argc, argv, 0, 0))
        return CLI_USAGE;
    int status = cli_ask(cli, command, NULL, &result);
    if (status)
        return status;
    if (!cli_print_json(cli, result) && !print(result))
        status = CLI_FAILED;
    json_decref(result);
    return status;
}

static bool print_path(const json_t *result)
{
    return list_paths(result, "No paths.") && list_transits(result);
}

int cli_path(struct cli *cli, int argc, char **argv)
{
    return list(cli, argc, argv, "path", print_path);
}

int cli_path_close(struct cli *cli, int argc, char **argv)
{
    json_t *result;
    if (!cli_count_words(cli, argc, argv, 1, 1))
        return CLI_USAGE;
    int status = cli_ask(cli, "path.close", json_pack("{s:s}", "name", argv[0]), &result);
    if (status)
        return status;
    if (!cli_print_json(cli, result))
        printf("Paths closed: %lld\n", field_number(result, "closed"));
    json_decref(result);
    return CLI_OK;
}

static bool print_handle(const json_t *result)
{
    static const struct table_column columns[] = {
        {"NAME", "name", TABLE_TEXT},
        {"IPV4", "ipv4", TABLE_TEXT},
        {"IPV6", "ipv6", TABLE_TEXT},
        {"STATE", "state", TABLE_TEXT},
        {"USER", "user", TABLE_TEXT},
        {"AGE", "age_s", TABLE_SPAN},
        {"IDLE", "idle_s", TABLE_SPAN},
        {"REST", "rest_s", TABLE_SPAN},
        {.title = NULL},
    };
    return table_print(json_object_get(result, "handles"), columns, "No handles are given.");
}

int cli_handle(struct cli *cli, int argc, char **argv)
{
    return list(cli, argc, argv, "handle", print_handle);
}

/* What the modules say of themselves, which fits no column. */
static void show_modules(const json_t *result)
{
    size_t index;
    json_t *overlay;
    json_array_foreach(json_object_get(result, "overlays"), index, overlay)
    {
        char text[FIELD_TEXT];
        const json_t *module = json_object_get(overlay, "module");
        if (!json_string_length(json_object_get(module, "text")))
            continue;
        putchar('\n');
        field_print(field_text(overlay, "instance", text));
        fputs(": ", stdout);
        field_print(json_string_value(json_object_get(module, "text")));
        putchar('\n');
    }
}

static bool print_overlay(const json_t *result)
{
    if (!list_overlays(result))
        return false;
    show_modules(result);
    putchar('\n');
    if (!list_members(result))
        return false;
    putchar('\n');
    return list_links(result);
}

int cli_overlay(struct cli *cli, int argc, char **argv)
{
    return list(cli, argc, argv, "overlay", print_overlay);
}

static bool print_drops(const json_t *drops, bool zeros)
{
    static const struct table_column columns[] = {
        {"DROP", "name", TABLE_TEXT},
        {"PACKETS", "packets", TABLE_NUMBER},
        {"BECAUSE", "text", TABLE_TEXT},
        {.title = NULL},
    };
    size_t index;
    json_t *drop, *shown = json_array();
    json_array_foreach(drops, index, drop)
    {
        if (zeros || field_number(drop, "packets"))
            json_array_append(shown, drop);
    }
    bool good = table_print(shown, columns, "Nothing was dropped.");
    json_decref(shown);
    return good;
}

int cli_drops(struct cli *cli, int argc, char **argv)
{
    json_t *result;
    bool zeros = cli_take_flag(&argc, argv, "--all");
    if (!cli_count_words(cli, argc, argv, 0, 0))
        return CLI_USAGE;
    int status = cli_ask(cli, "drops", NULL, &result);
    if (status)
        return status;
    if (!cli_print_json(cli, result) && !print_drops(json_object_get(result, "drops"), zeros))
        status = CLI_FAILED;
    json_decref(result);
    return status;
}

/* The name as Prometheus takes it: "ocala_" and what is no letter or digit as "_". */
static void print_prometheus_name(const char *name)
{
    fputs("ocala_", stdout);
    for (; *name; name++)
        putchar(strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", *name)
                    ? *name
                    : '_');
}

static bool print_prometheus(const json_t *result)
{
    const char *name;
    json_t *value, *metrics = json_object_get(result, "metrics");
    json_object_foreach(metrics, name, value)
    {
        print_prometheus_name(name);
        printf(" %lld\n", field_number(metrics, name));
    }
    return true;
}

static bool print_metrics(const json_t *result)
{
    const char *key;
    json_t *value;
    json_t *metrics = json_object_get(result, "metrics");
    json_object_foreach(metrics, key, value)
    {
        char text[FIELD_TEXT];
        field_print(key);
        printf(" %s\n", field_text(metrics, key, text));
    }
    return true;
}

int cli_metrics(struct cli *cli, int argc, char **argv)
{
    bool prometheus = cli_take_flag(&argc, argv, "--prometheus");
    return list(cli, argc, argv, "metrics", prometheus ? print_prometheus : print_metrics);
}
