#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

/* `ocala run` is `ocalad --run`: the daemon of one program, which ends with it.  `ocala i3-server`
 * is `ocalad --i3-server`.  Both take this process over, so their exit status is ours. */

/* Tries the daemon at `folder`/`name`; returns only when it is not there. */
static void try_daemon(const char *folder, const char *name, char **argv)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (length > 0 && (size_t)length < sizeof path && !access(path, X_OK))
        execv(path, argv);
}

static int become_daemon(char **argv)
{
    static const char *const places[] = {"ocalad", "../libexec/ocala/ocalad", "../libexec/ocalad",
                                         "../sbin/ocalad", "../daemon/ocalad"};
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length > 0) {
        self[length] = '\0';
        *strrchr(self, '/') = '\0';
        for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++)
            try_daemon(self, places[i], argv);
    }
    execvp("ocalad", argv);
    cli_complain("cannot start ocalad: %s; it belongs beside `ocala` or into a folder of $PATH",
                 strerror(errno));
    return CLI_FAILED;
}

int cli_i3_server(struct cli *cli, int argc, char **argv)
{
    static char name[] = "ocalad", server[] = "--i3-server";
    char **daemon = base_calloc((size_t)argc + 3, sizeof *daemon);
    daemon[0] = name;
    daemon[1] = server;
    memcpy(daemon + 2, argv, (size_t)argc * sizeof *daemon);
    return become_daemon(daemon);
}

int cli_run(struct cli *cli, int argc, char **argv)
{
    const char *config = NULL;
    int at = 0;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (!strcmp(argv[at], "--")) {
            at++;
            break;
        }
        if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h")) {
            cli_print_usage(cli->command, stdout);
            puts(cli->command->text);
            return CLI_OK;
        }
        if (!strncmp(argv[at], "--config=", 9))
            config = argv[at] + 9;
        else if (strcmp(argv[at], "--config") && strcmp(argv[at], "-c"))
            return cli_misused(cli, "unknown option '%s'", argv[at]);
        else if (++at == argc)
            return cli_misused(cli, "--config needs a file");
        else
            config = argv[at];
    }
    if (at == argc)
        return cli_misused(cli, "which program?");
    static char name[] = "ocalad", run[] = "--run", option[] = "--config", end[] = "--";
    char **daemon = base_calloc((size_t)(argc - at) + 6, sizeof *daemon);
    unsigned count = 0;
    daemon[count++] = name;
    if (config) {
        daemon[count++] = option;
        daemon[count++] = base_strdup(config);
    }
    daemon[count++] = run;
    daemon[count++] = end;
    memcpy(daemon + count, argv + at, (size_t)(argc - at) * sizeof *daemon);
    return become_daemon(daemon);
}
