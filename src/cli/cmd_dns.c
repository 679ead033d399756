#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/field.h"

/* `ocala dns`: who resolves what.  `ocala dns doctor`: what is in the way, and what to do. */

static void row(const char *what)
{
    printf("%-12s ", what);
}

static void show(const json_t *object, const char *key, const char *before, const char *after)
{
    char text[FIELD_TEXT];
    fputs(before, stdout);
    field_print(field_text(object, key, text));
    fputs(after, stdout);
}

static bool is_set(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return (json_is_string(value) && json_string_value(value)[0]) || json_array_size(value);
}

static void show_mode(const json_t *dns)
{
    row("mode");
    show(dns, "mode", "", field_is_true(dns, "automatic") ? " (auto)" : "");
    show(dns, "why", ": ", "\n");
    row("answers at");
    show(dns, "listen", "", "");
    if (is_set(dns, "listen6"))
        show(dns, "listen6", ", ", "");
    putchar('\n');
}

static void show_who(const json_t *dns)
{
    size_t index;
    json_t *domain;
    row("ours");
    json_array_foreach(json_object_get(dns, "domains"), index, domain)
    {
        fputs(index ? ", *." : "*.", stdout);
        field_print(json_string_value(domain));
    }
    if (is_set(dns, "suffix"))
        show(dns, "suffix", ", *.", "");
    if (is_set(dns, "pools"))
        show(dns, "pools", "; the names of ", "");
    putchar('\n');
    row("others");
    if (is_set(dns, "upstreams"))
        show(dns, "upstreams", "asked from ", "\n");
    else
        puts("nobody is asked: no resolver is known");
}

static void show_file(const json_t *dns)
{
    const json_t *file = json_object_get(dns, "resolvconf");
    const char *path = json_string_value(json_object_get(file, "path"));
    if (!path)
        return;
    row("resolv.conf");
    field_print(path);
    if (!field_is_true(file, "found"))
        fputs(" is not there", stdout);
    else if (field_is_true(file, "ours"))
        fputs(" is ours", stdout);
    else if (field_is_true(file, "stub"))
        fputs(" leads to systemd-resolved", stdout);
    else
        fputs(" is not ours", stdout);
    if (is_set(file, "writer") && !field_is_true(file, "stub"))
        show(file, "writer",
             field_is_true(file, "ours") ? "; before us it was written by " : "; written by ", "");
    if (field_number(file, "taken_back"))
        show(file, "taken_back", "; put back ", " times");
    putchar('\n');
}

static void show_counters(const json_t *dns)
{
    const json_t *c = json_object_get(dns, "counters");
    row("questions");
    show(c, "questions", "", ": ");
    show(c, "overlay", "", " for overlay names, ");
    show(c, "reverse", "", " for names of addresses, ");
    show(c, "foreign", "", " for others, ");
    show(c, "foreign-refused", "", " refused\n");
    row("answers");
    show(c, "replies", "", ": ");
    show(c, "nxdomain", "", " no such name, ");
    show(c, "servfail", "", " trouble; ");
    show(c, "upstream-timeout", "", " tries without an answer from other resolvers\n");
}

int cli_dns(struct cli *cli, int argc, char **argv)
{
    json_t *dns;
    if (!cli_count_words(cli, argc, argv, 0, 0))
        return CLI_USAGE;
    int status = cli_ask(cli, "dns", NULL, &dns);
    if (status)
        return status;
    if (!cli_print_json(cli, dns)) {
        show_mode(dns);
        show_who(dns);
        show_file(dns);
        show_counters(dns);
        for (const char *const *key = (const char *const[]){"trouble", "clash", NULL}; *key; key++)
            if (is_set(dns, *key)) {
                row("trouble");
                show(dns, *key, "", "\n");
            }
    }
    json_decref(dns);
    return CLI_OK;
}

/* ---- the doctor ---- */

static void collect(void *context, const struct doctor_finding *f)
{
    json_array_append_new(context,
                          json_pack("{s:s, s:b, s:s, s:s, s:s}", "id", f->id, "problem", f->problem,
                                    "what", f->what, "why", f->why, "remedy", f->remedy));
}

static unsigned show_findings(const json_t *findings)
{
    size_t index;
    json_t *finding;
    unsigned problems = 0;
    json_array_foreach(findings, index, finding)
    {
        bool problem = field_is_true(finding, "problem");
        problems += problem;
        show(finding, "what", problem ? "!!  " : "--  ", "\n");
        show(finding, "why", "    Why it matters: ", "\n");
        show(finding, "remedy", "    What to do: ", "\n");
    }
    if (!problems)
        puts(index ? "Nothing is in the way of overlay names; the above is worth knowing."
                   : "Nothing is in the way of overlay names.");
    return problems;
}

int cli_dns_doctor(struct cli *cli, int argc, char **argv)
{
    struct doctor_facts facts;
    json_t *dns = NULL;
    if (!cli_count_words(cli, argc, argv, 0, 0))
        return CLI_USAGE;
    /* Without the daemon there is still something to find. */
    if (cli_ask(cli, "dns", NULL, &dns))
        dns = NULL;
    doctor_look(dns, &facts);
    json_decref(dns);
    json_t *findings = json_array(), *result = json_pack("{s:o}", "findings", findings), *finding;
    doctor_judge(&facts, collect, findings);
    unsigned problems = 0;
    size_t index;
    if (cli_print_json(cli, result)) {
        json_array_foreach(findings, index, finding) problems += field_is_true(finding, "problem");
    } else {
        problems = show_findings(findings);
    }
    json_decref(result);
    return problems ? CLI_FAILED : CLI_OK;
}
