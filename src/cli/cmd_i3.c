#include "cli/cli.h"

#include <stdio.h>

#include "cli/field.h"
#include "cli/table.h"

/* `ocala i3`: the i3 server inside the daemon, or (--socket) one that runs by itself. */

static void row(const json_t *server, const char *what, const char *key)
{
    char text[FIELD_TEXT];
    printf("%-12s ", what);
    field_print(field_text(server, key, text));
    putchar('\n');
}

/* Counters that are not 0, as rows of a table. */
static json_t *used(const json_t *counters)
{
    json_t *rows = json_array(), *value;
    const char *name;
    json_object_foreach((json_t *)counters, name, value) if (json_integer_value(value))
        json_array_append_new(rows, json_pack("{s:s, s:O}", "name", name, "count", value));
    return rows;
}

static bool show_counts(const json_t *server, const char *key, const char *title)
{
    const struct table_column columns[] = {
        {title, "name", TABLE_TEXT}, {"COUNT", "count", TABLE_NUMBER}, {.title = NULL}};
    json_t *rows = used(json_object_get(server, key));
    bool good = true;
    if (json_array_size(rows)) {
        putchar('\n');
        good = table_print(rows, columns, "");
    }
    json_decref(rows);
    return good;
}

static bool show(const json_t *server)
{
    static const struct table_column nodes[] = {
        {"NODE", "at", TABLE_TEXT},   {"ROLE", "role", TABLE_TEXT},
        {"RTT", "rtt_us", TABLE_RTT}, {"HEARD", "heard_s", TABLE_SPAN},
        {"ID", "id", TABLE_TEXT},     {.title = NULL}};
    row(server, "clients at", "at");
    if (json_object_get(server, "also"))
        row(server, "and at", "also");
    row(server, "ring at", "ring");
    row(server, "id", "id");
    row(server, "behind", "range_behind");
    row(server, "settled", "settled");
    row(server, "secret", "secret");
    row(server, "triggers", "triggers");
    putchar('\n');
    return table_print(json_object_get(server, "nodes"), nodes,
                       "Alone: it knows no other server.") &&
           show_counts(server, "counters", "COUNTER") && show_counts(server, "drops", "DROPPED") &&
           show_counts(server, "ring_drops", "DROPPED OF THE RING");
}

int cli_i3(struct cli *cli, int argc, char **argv)
{
    json_t *result;
    if (!cli_count_words(cli, argc, argv, 0, 0))
        return CLI_USAGE;
    int status = cli_ask(cli, "i3", NULL, &result);
    if (status)
        return status;
    if (!cli_print_json(cli, result) && !show(result))
        status = CLI_FAILED;
    json_decref(result);
    return status;
}
