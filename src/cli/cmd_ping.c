#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/field.h"

static void show_probe(struct cli *cli, const json_t *result)
{
    char text[FIELD_TEXT];
    if (cli->json) {
        json_dumpf(result, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
        putchar('\n');
    } else if (field_is_true(result, "lost")) {
        printf("%lld: no answer\n", field_number(result, "sequence"));
    } else {
        printf("%lld: %s\n", field_number(result, "sequence"), field_rtt(result, "rtt_us", text));
    }
    fflush(stdout); /* one a second: show it now */
}

static void show_summary(const json_t *result)
{
    char name[FIELD_TEXT], least[FIELD_TEXT], average[FIELD_TEXT], most[FIELD_TEXT];
    field_print(field_text(result, "name", name));
    printf(": %lld of %lld answered", field_number(result, "received"),
           field_number(result, "sent"));
    if (field_number(result, "received"))
        printf("; least %s, average %s, most %s", field_rtt(result, "least_us", least),
               field_rtt(result, "average_us", average), field_rtt(result, "most_us", most));
    putchar('\n');
}

int cli_ping(struct cli *cli, int argc, char **argv)
{
    const char *count = NULL;
    char *end = NULL;
    json_t *result;
    if (!cli_take_option(cli, &argc, argv, "-c", &count) ||
        !cli_take_option(cli, &argc, argv, "--count", &count) ||
        !cli_count_words(cli, argc, argv, 1, 1))
        return CLI_USAGE;
    json_t *args = json_pack("{s:s}", "name", argv[0]);
    if (count) {
        long number = strtol(count, &end, 10);
        if (!count[0] || *end || number < 1 || number > 1000) {
            json_decref(args);
            return cli_misused(cli, "COUNT is a number from 1 to 1000, not '%s'", count);
        }
        json_object_set_new(args, "count", json_integer(number));
    }
    int status = cli_ask_stream(cli, "ping", args, show_probe, &result);
    if (status)
        return status;
    if (cli->json)
        show_probe(cli, result);
    else
        show_summary(result);
    status = field_number(result, "received") ? CLI_OK : CLI_FAILED;
    json_decref(result);
    return status;
}
