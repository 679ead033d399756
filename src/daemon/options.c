#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>

#include "daemon/log.h"

static const char usage[] =
    "Usage: ocalad [OPTION...]\n"
    "       ocalad [OPTION...] --run -- PROGRAM [ARGUMENT...]\n"
    "       ocalad --i3-server --listen ADDRESS[:PORT] [OPTION...]\n"
    "\n"
    "The daemon that lets programs reach hosts on overlay networks by name.\n"
    "\n"
    "  -c, --config FILE      configuration (default /etc/ocala/ocala.yaml; with --run first\n"
    "                         ~/.config/ocala/ocala.yaml)\n"
    "      --check            check the configuration and the files it names, change nothing\n"
    "      --run              run PROGRAM in a network of its own, without root; ends with it\n"
    "      --ready-file PATH  create PATH, with the process id in it, when everything works\n"
    "      --log-level LEVEL  error, warning, notice (default), info or debug\n"
    "      --no-sandbox       neither seccomp nor landlock (to find out whether they are in the "
    "way)\n"
    "      --generic-aead     encrypt with libcrypto alone, whatever this CPU can do\n"
    "      --version          print the version\n"
    "  -h, --help             print this\n"
    "\n"
    "Exit status: 0 ended in order, 1 failed, 2 wrong usage, 78 wrong configuration; with --run\n"
    "that of PROGRAM.\n";

static int misused(const char *what, const char *on)
{
    fprintf(stderr, "ocalad: %s%s\nTry 'ocalad --help'.\n", what, on);
    return EXIT_USAGE;
}

static int check(int rest, char **argv, bool run, struct daemon_options *ret)
{
    if (run && !rest)
        return misused("--run needs a program: ocalad --run -- PROGRAM [ARGUMENT...]", "");
    if (run && ret->check)
        return misused("--check and --run exclude each other", "");
    if (!run && rest)
        return misused("what to do with the argument ", argv[0]);
    if (run)
        ret->run = argv;
    return -1;
}

int daemon_options_parse(int argc, char **argv, struct daemon_options *ret)
{
    enum { CHECK = 256, RUN, READY_FILE, LEVEL, GENERIC_AEAD, NO_SANDBOX, VERSION };
    static const struct option known[] = {{"config", required_argument, NULL, 'c'},
                                          {"check", no_argument, NULL, CHECK},
                                          {"run", no_argument, NULL, RUN},
                                          {"ready-file", required_argument, NULL, READY_FILE},
                                          {"log-level", required_argument, NULL, LEVEL},
                                          {"generic-aead", no_argument, NULL, GENERIC_AEAD},
                                          {"no-sandbox", no_argument, NULL, NO_SANDBOX},
                                          {"version", no_argument, NULL, VERSION},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *ret = (struct daemon_options){.log_level = -1};
    bool run = false;
    for (int c; (c = getopt_long(argc, argv, "+c:h", known, NULL)) != -1;) {
        switch (c) {
        case 'c':
            ret->config = optarg;
            break;
        case CHECK:
            ret->check = true;
            break;
        case RUN:
            run = true;
            break;
        case READY_FILE:
            ret->ready_file = optarg;
            break;
        case LEVEL:
            ret->log_level = daemon_log_level(optarg);
            if (ret->log_level < 0)
                return misused("--log-level is error, warning, notice, info or debug, not ",
                               optarg);
            break;
        case GENERIC_AEAD:
            ret->generic_aead = true;
            break;
        case NO_SANDBOX:
            ret->no_sandbox = true;
            break;
        case VERSION:
            puts("ocalad " OCALA_VERSION);
            return EXIT_OK;
        case 'h':
            fputs(usage, stdout);
            return EXIT_OK;
        default: /* getopt has said what is wrong */
            fputs("Try 'ocalad --help'.\n", stderr);
            return EXIT_USAGE;
        }
    }
    return check(argc - optind, argv + optind, run, ret);
}
