#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "cli/field.h"

/* The story of a name, one line for each step, the verdict, and what to do:
 *
 *   beta.west.ip
 *     ok  name      beta in instance west.ip
 *     !!  link      gate.east.ip does not answer at 192.0.2.1:7400
 *     --  path
 *   beta.west.ip cannot be reached: ...
 *   To do: ...
 */

static const char *mark(const json_t *step)
{
    const json_t *ok = json_object_get(step, "ok");
    return json_is_true(ok) ? "ok" : json_is_false(ok) ? "!!" : "--";
}

static void show_details(json_t *detail)
{
    const char *key;
    json_t *value;
    json_object_foreach(detail, key, value)
    {
        char text[FIELD_TEXT];
        fputs("                  ", stdout);
        field_print(key);
        fputs(": ", stdout);
        field_print(field_text(detail, key, text));
        putchar('\n');
    }
}

static void show_story(const json_t *result, bool verbose)
{
    char text[FIELD_TEXT];
    size_t index;
    json_t *step;
    field_print(field_text(result, "name", text));
    putchar('\n');
    json_array_foreach(json_object_get(result, "steps"), index, step)
    {
        const char *what = field_text(step, "what", text);
        printf("  %s  ", mark(step));
        field_print(what);
        printf("%*s", strlen(what) < 10 ? 10 - (int)strlen(what) : 1, "");
        field_print(field_text(step, "text", text));
        putchar('\n');
        if (verbose)
            show_details(json_object_get(step, "detail"));
    }
    field_print(field_text(result, "verdict", text));
    putchar('\n');
    if (json_is_string(json_object_get(result, "todo"))) {
        fputs("To do: ", stdout);
        field_print(field_text(result, "todo", text));
        putchar('\n');
    }
}

int cli_explain(struct cli *cli, int argc, char **argv)
{
    json_t *result;
    bool verbose = cli_take_flag(&argc, argv, "--verbose") || cli_take_flag(&argc, argv, "-v");
    if (!cli_count_words(cli, argc, argv, 1, 1))
        return CLI_USAGE;
    int status = cli_ask(cli, "explain", json_pack("{s:s}", "name", argv[0]), &result);
    if (status)
        return status;
    if (!cli_print_json(cli, result))
        show_story(result, verbose);
    status = field_is_true(result, "ok") ? CLI_OK : CLI_FAILED;
    json_decref(result);
    return status;
}
