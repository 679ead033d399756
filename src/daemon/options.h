/* The command line of ocalad. */
#ifndef OCALA_DAEMON_OPTIONS_H
#define OCALA_DAEMON_OPTIONS_H

#include <stdbool.h>

/* Exit codes, the same for ocalad and ocala. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_CONFIG = 78 };

struct daemon_options {
    const char *config; /* NULL: the usual places */
    const char *ready_file;
    int log_level; /* -1: not given */
    bool check;
    bool generic_aead;
    bool no_sandbox;
    char **run; /* PROGRAM ARGS, or NULL */
};

/* -1: go on.  Otherwise the exit code; what there is to say was said. */
int daemon_options_parse(int argc, char **argv, struct daemon_options *ret);

#endif
