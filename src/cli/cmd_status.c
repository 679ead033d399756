#include "cli/cli.h"

#include <stdio.h>

#include "cli/field.h"
#include "cli/list.h"

/* "  tun        ocala0, MTU 1400" : a heading and what follows it. */
static void heading(const char *what)
{
    printf("  %-9s ", what);
}

static void show(const json_t *object, const char *key, const char *before, const char *after)
{
    char text[FIELD_TEXT];
    fputs(before, stdout);
    field_print(field_text(object, key, text));
    fputs(after, stdout);
}

/* What holds the process, and how much it says. */
static void show_process(const json_t *host)
{
    const json_t *sandbox = json_object_get(host, "sandbox"), *log = json_object_get(host, "log");
    if (json_is_object(sandbox)) {
        heading("sandbox");
        show(sandbox, "user", "user ", ", ");
        show(sandbox, "capabilities", "capabilities ", ", ");
        show(sandbox, "seccomp", "seccomp ", ", ");
        show(sandbox, "landlock", "landlock ", "\n");
    }
    if (json_is_object(log)) {
        heading("log");
        show(log, "level", "", "\n");
    }
}

static void show_host(const json_t *host)
{
    char text[FIELD_TEXT];
    const json_t *tun = json_object_get(host, "tun"), *dns = json_object_get(host, "dns");
    const json_t *pools = json_object_get(host, "pools");
    show(host, "name", "", ", ");
    show(host, "state", "", "");
    printf(" for %s", field_span(host, "uptime_s", text));
    show(host, "version", " (ocalad ", ", ");
    show(host, "pid", "process ", ")\n");
    heading("key");
    show(host, "key", "", "\n");
    heading("config");
    show(host, "config", "", "");
    printf(", read %s ago\n", field_span(host, "config_age_s", text));
    heading("tun");
    show(tun, "name", "", "");
    show(tun, "mtu", ", MTU ", "");
    show(tun, "address4", ", ", "");
    show(tun, "address6", ", ", "\n");
    heading("dns");
    show(dns, "mode", "mode ", field_is_true(dns, "automatic") ? " (auto)" : "");
    show(dns, "listen", ", at ", "");
    show(dns, "questions", "; ", " questions: ");
    show(dns, "answered", "", " answered, ");
    show(dns, "forwarded", "", " forwarded, ");
    show(dns, "refused", "", " refused\n");
    if (json_is_string(json_object_get(dns, "why"))) {
        heading("");
        show(dns, "why", "", "\n");
    }
    heading("handles");
    show(pools, "used", "", " used, ");
    show(pools, "resting", "", " resting; from ");
    show(pools, "ipv4", "", " and ");
    show(pools, "ipv6", "", "\n");
    heading("workers");
    if (field_number(host, "workers"))
        show(host, "workers", "", "");
    else
        fputs("none, one thread does everything", stdout);
    puts(field_is_true(host, "gateway") ? "; gateway for others" : "");
    show_process(host);
}

static void show_drops(const json_t *drops)
{
    size_t index;
    json_t *drop;
    if (!json_array_size(drops))
        return;
    fputs("\nDropped packets: ", stdout);
    json_array_foreach(drops, index, drop)
    {
        show(drop, "name", index ? ", " : "", " ");
        show(drop, "packets", "", "");
    }
    fputs("\n(`ocala drops` explains)\n", stdout);
}

int cli_status(struct cli *cli, int argc, char **argv)
{
    json_t *result;
    if (!cli_count_words(cli, argc, argv, 0, 0))
        return CLI_USAGE;
    int status = cli_ask(cli, "status", NULL, &result);
    if (status)
        return status;
    if (!cli_print_json(cli, result)) {
        show_host(json_object_get(result, "host"));
        putchar('\n');
        bool good = list_overlays(result);
        putchar('\n');
        good = good && list_links(result);
        putchar('\n');
        good = good && list_paths(result, "No paths by way of gateways.") && list_transits(result);
        show_drops(json_object_get(result, "drops"));
        status = good ? CLI_OK : CLI_FAILED;
    }
    json_decref(result);
    return status;
}
