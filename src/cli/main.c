#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Commands are rows of one table: dispatch and both usage texts come from it.  Options that every
 * command knows (--json, --socket, --help) are taken out of the words first, wherever they stand;
 * behind `run` only in front of the program, whose own options are its own; so with `i3-server`. */

static const struct cli_command commands[] = {
    {"run", cli_run, "[--config FILE] [--] PROGRAM [ARGUMENT...]",
     "run a program that reaches overlay names, without root"},
    {"status", cli_status, "", "everything at a glance"},
    {"explain", cli_explain, "[--verbose] NAME", "how a name is reached, or why it is not"},
    {"ping", cli_ping, "[-c COUNT] NAME", "measure the path to a name"},
    {"path", cli_path, "", "list paths, and those of others that go through here"},
    {"path close", cli_path_close, "NAME", "close the paths to a name"},
    {"handle", cli_handle, "", "list the addresses that stand for names"},
    {"overlay", cli_overlay, "", "list overlays, their members and links"},
    {"dns", cli_dns, "", "who resolves what, and how questions come to the daemon"},
    {"dns doctor", cli_dns_doctor, "", "what is in the way of overlay names, and what to do"},
    {"i3", cli_i3, "", "the i3 server of the daemon: its ring, triggers and counters"},
    {"i3-server", cli_i3_server, "--listen ADDRESS[:PORT] [OPTION...]",
     "run a server of the i3 overlay (`ocala i3-server --help`)"},
    {"log", cli_log, "[LEVEL | AREA=LEVEL]...", "how much the daemon logs; with words: set it"},
    {"drops", cli_drops, "[--all]", "dropped packets by reason"},
    {"metrics", cli_metrics, "[--prometheus]", "all counters"},
    {"key new", cli_key_new, "[--network] [FILE]",
     "make an identity key, or the secret of a network; prints the public key"},
    {"key show", cli_key_show, "[--seen] [FILE]",
     "print the public key of an identity key, or the form in which other hosts list it"},
    {"key list", cli_key_list, "", "list the keys that names are bound to"},
    {"key forget", cli_key_forget, "NAME", "forget the key of a name: the next one seen is bound"},
    {"config check", cli_config_check, "[--no-files] [FILE]",
     "check a configuration and the files that it names"},
    {"config show", cli_config_show, "[FILE]",
     "print the daemon's configuration, or a file's, with all defaults"},
    {"reload", cli_reload, "", "have the daemon read its configuration again"},
    {"stop", cli_stop, "", "end the daemon"},
    {"version", cli_version, "", "print versions"},
};

#define COMMANDS (sizeof commands / sizeof commands[0])

void cli_print_usage(const struct cli_command *c, FILE *to)
{
    fprintf(to, "usage: ocala %s%s%s\n", c->name, c->usage[0] ? " " : "", c->usage);
}

static void print_help(FILE *to)
{
    fputs("usage: ocala [--socket PATH] [--json] COMMAND ...\n"
          "\n"
          "Reach hosts on any overlay network by name.\n\n",
          to);
    for (size_t i = 0; i < COMMANDS; i++) {
        char left[80];
        snprintf(left, sizeof left, "%s%s%s", commands[i].name, commands[i].usage[0] ? " " : "",
                 commands[i].usage);
        if (strlen(left) > 30)
            fprintf(to, "  %s\n  %-30s  %s\n", left, "", commands[i].text);
        else
            fprintf(to, "  %-30s  %s\n", left, commands[i].text);
    }
    fputs("\n"
          "  --socket PATH  the daemon's control socket (default: $OCALA_SOCKET, or\n"
          "                 " CLI_SOCKET ")\n"
          "  --json         print replies as JSON\n"
          "  --help         this text, or that of a command\n"
          "\n"
          "Exit status: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration; `run` ends with "
          "the\n"
          "program's.\n",
          to);
}

/* Takes global options out of the words; false when one is wrong. */
static bool take_globals(struct cli *cli, int *argc, char **argv, bool *ret_help)
{
    int kept = 0;
    bool taking = true;
    for (int i = 0; i < *argc; i++) {
        const char *word = argv[i];
        if (taking && !strcmp(word, "--json")) {
            cli->json = true;
        } else if (taking && (!strcmp(word, "--help") || !strcmp(word, "-h"))) {
            *ret_help = true;
        } else if (taking && !strncmp(word, "--socket=", 9)) {
            cli->socket = word + 9;
        } else if (taking && !strcmp(word, "--socket")) {
            if (++i == *argc) {
                cli_complain("--socket needs a path");
                return false;
            }
            cli->socket = argv[i];
        } else {
            argv[kept++] = argv[i];
            /* `run` and `i3-server` keep what follows them. */
            if ((kept == 1 && (!strcmp(word, "run") || !strcmp(word, "i3-server"))) ||
                !strcmp(word, "--"))
                taking = false;
        }
    }
    *argc = kept;
    return true;
}

/* The command that the words name, and how many of them its name takes. */
static const struct cli_command *find(int argc, char **argv, int *ret_words)
{
    const struct cli_command *found = NULL;
    for (size_t i = 0; i < COMMANDS; i++) {
        const char *name = commands[i].name, *space = strchr(name, ' ');
        size_t first = space ? (size_t)(space - name) : strlen(name);
        if (strlen(argv[0]) != first || strncmp(argv[0], name, first))
            continue;
        if (space ? argc > 1 && !strcmp(argv[1], space + 1) : !found) {
            found = &commands[i];
            *ret_words = space ? 2 : 1;
        }
    }
    return found;
}

static int unknown(int argc, char **argv)
{
    bool group = false;
    size_t length = strlen(argv[0]);
    for (size_t i = 0; i < COMMANDS; i++)
        group |= !strncmp(commands[i].name, argv[0], length) && commands[i].name[length] == ' ';
    if (!group) {
        cli_complain("there is no command '%s'; `ocala --help` lists them", argv[0]);
        return CLI_USAGE;
    }
    if (argc > 1)
        cli_complain("there is no command '%s %s'", argv[0], argv[1]);
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!strncmp(commands[i].name, argv[0], length) && commands[i].name[length] == ' ')
            cli_print_usage(&commands[i], stderr);
    }
    return CLI_USAGE;
}

/* Output that could not be written is a failure too (a full disk behind a redirection). */
static int flush(int status)
{
    if (fflush(stdout) || ferror(stdout)) {
        cli_complain("the output could not be written");
        return status ? status : CLI_FAILED;
    }
    return status;
}

int main(int argc, char **argv)
{
    const char *socket = getenv("OCALA_SOCKET");
    struct cli cli = {.socket = socket && socket[0] ? socket : CLI_SOCKET};
    bool help = false;
    int words = 1;
    static char version[] = "version";
    argc--;
    argv++;
    if (!take_globals(&cli, &argc, argv, &help))
        return CLI_USAGE;
    if (!argc) {
        print_help(help ? stdout : stderr);
        return flush(help ? CLI_OK : CLI_USAGE);
    }
    if (!strcmp(argv[0], "--version"))
        argv[0] = "version";
    if (!strcmp(argv[0], "--version"))
        argv[0] = version;
    cli.command = find(argc, argv, &words);
    if (!cli.command)
        return unknown(argc, argv);
    if (help) {
        cli_print_usage(cli.command, stdout);
        printf("%s\n", cli.command->text);
        return flush(CLI_OK);
    }
    return flush(cli.command->run(&cli, argc - words, argv + words));
}
