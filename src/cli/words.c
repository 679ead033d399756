#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The words behind a command's name, and complaints about them. */

void cli_complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("ocala: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int cli_misused(const struct cli *cli, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "ocala %s: ", cli->command->name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    cli_print_usage(cli->command, stderr);
    return CLI_USAGE;
}

bool cli_count_words(const struct cli *cli, int argc, char **argv, int least, int most)
{
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1]) {
            cli_misused(cli, "unknown option '%s'", argv[i]);
            return false;
        }
    }
    if (argc < least)
        cli_misused(cli, "an argument is missing");
    else if (argc > most)
        cli_misused(cli, "what is '%s' for?", argv[most]);
    return argc >= least && argc <= most;
}

/* Takes `count` words out at `at`. */
static void drop_words(int *argc, char **argv, int at, int count)
{
    *argc -= count;
    for (int i = at; i < *argc; i++)
        argv[i] = argv[i + count];
}

bool cli_take_flag(int *argc, char **argv, const char *flag)
{
    for (int i = 0; i < *argc && strcmp(argv[i], "--"); i++) {
        if (!strcmp(argv[i], flag)) {
            drop_words(argc, argv, i, 1);
            return true;
        }
    }
    return false;
}

/* The value in "-c2" and "--count=2"; NULL: not this option, or its value is the next word. */
static const char *value_within(const char *word, const char *option)
{
    size_t length = strlen(option);
    if (strncmp(word, option, length) || !word[length])
        return NULL;
    if (length == 2)
        return word + length;
    return word[length] == '=' ? word + length + 1 : NULL;
}

bool cli_take_option(const struct cli *cli, int *argc, char **argv, const char *option,
                     const char **ret)
{
    for (int i = 0; i < *argc && strcmp(argv[i], "--"); i++) {
        if (value_within(argv[i], option)) {
            *ret = value_within(argv[i], option);
            drop_words(argc, argv, i, 1);
            return true;
        }
        if (strcmp(argv[i], option))
            continue;
        if (i + 1 == *argc) {
            cli_misused(cli, "%s needs a value", option);
            return false;
        }
        *ret = argv[i + 1];
        drop_words(argc, argv, i, 2);
        return true;
    }
    return true;
}
