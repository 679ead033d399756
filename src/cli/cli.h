/* The command `ocala`: what its parts share.
 *
 * Each command is a row of the table in main.c and a function in the file of its group.  A function
 * gets what follows the command's name (global options taken out) and returns the exit status. */
#ifndef OCALA_CLI_CLI_H
#define OCALA_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_CONFIG = 78 };

#define CLI_SOCKET      "/run/ocala/control.sock"
#define CLI_CONFIG_FILE "/etc/ocala/ocala.yaml"
#define CLI_KEY_FILE    "/var/lib/ocala/key.pem"

struct cli;

struct cli_command {
    const char *name; /* one word or two: "key new" */
    int (*run)(struct cli *cli, int argc, char **argv);
    const char *usage; /* what follows the name */
    const char *text;
};

struct cli {
    const char *socket;
    bool json;
    const struct cli_command *command; /* the one that runs, for its usage text */
};

int cli_run(struct cli *cli, int argc, char **argv);
int cli_key_new(struct cli *cli, int argc, char **argv);
int cli_key_show(struct cli *cli, int argc, char **argv);
int cli_key_list(struct cli *cli, int argc, char **argv);
int cli_key_forget(struct cli *cli, int argc, char **argv);
int cli_status(struct cli *cli, int argc, char **argv);
int cli_explain(struct cli *cli, int argc, char **argv);
int cli_ping(struct cli *cli, int argc, char **argv);
int cli_path(struct cli *cli, int argc, char **argv);
int cli_path_close(struct cli *cli, int argc, char **argv);
int cli_handle(struct cli *cli, int argc, char **argv);
int cli_overlay(struct cli *cli, int argc, char **argv);
int cli_dns(struct cli *cli, int argc, char **argv);
int cli_dns_doctor(struct cli *cli, int argc, char **argv);
int cli_i3(struct cli *cli, int argc, char **argv);
int cli_i3_server(struct cli *cli, int argc, char **argv);
int cli_log(struct cli *cli, int argc, char **argv);
int cli_drops(struct cli *cli, int argc, char **argv);
int cli_metrics(struct cli *cli, int argc, char **argv);
int cli_config_check(struct cli *cli, int argc, char **argv);
int cli_config_show(struct cli *cli, int argc, char **argv);
int cli_reload(struct cli *cli, int argc, char **argv);
int cli_stop(struct cli *cli, int argc, char **argv);
int cli_version(struct cli *cli, int argc, char **argv);

/* One line to stderr, "ocala: ...". */
void cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, and how the command is used; returns CLI_USAGE. */
int cli_misused(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Between `least` and `most` words are left; otherwise it complains and returns false. */
bool cli_count_words(const struct cli *cli, int argc, char **argv, int least, int most);

/* Takes a flag out of the words; was it there? */
bool cli_take_flag(int *argc, char **argv, const char *flag);
/* Takes an option and its value out of the words; *ret stays when it is not there.  False when the
 * value is missing (then it was said). */
bool cli_take_option(const struct cli *cli, int *argc, char **argv, const char *option,
                     const char **ret);
void cli_print_usage(const struct cli_command *c, FILE *to);

/* Asks the daemon; `args` is taken (NULL: none).  On CLI_OK *ret is the result, the caller's.
 * Otherwise what went wrong was said. */
int cli_ask(struct cli *cli, const char *command, json_t *args, json_t **ret);
/* A stream: `each` sees every result but the last. */
int cli_ask_stream(struct cli *cli, const char *command, json_t *args,
                   void (*each)(struct cli *cli, const json_t *result), json_t **ret);
/* With --json: prints the result and returns true. */
bool cli_print_json(const struct cli *cli, const json_t *result);

#endif
