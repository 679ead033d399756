/* The command line of `ocalad --i3-server`. */
#ifndef OCALA_DAEMON_I3_OPTIONS_H
#define OCALA_DAEMON_I3_OPTIONS_H

#include "daemon/i3_port.h"

enum i3_option_letter {
    I3_OPTION_ID = 256,
    I3_OPTION_SECRET,
    I3_OPTION_TRIGGERS,
    I3_OPTION_PER_CLIENT,
    I3_OPTION_REQUESTS,
    I3_OPTION_PER_ADDRESS,
    I3_OPTION_CONTROL,
    I3_OPTION_READY,
    I3_OPTION_LEVEL,
    I3_OPTION_NO_SANDBOX,
};

struct i3_options {
    struct daemon_i3_settings settings;
    const char *control, *ready_file; /* NULL: none */
    int log_level;
    bool no_sandbox;
};

/* -1: go on; else the exit status (it was said why). */
int i3_options_parse(int argc, char **argv, struct i3_options *ret);

#endif
