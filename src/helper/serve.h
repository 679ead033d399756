/* The helper process: answers requests until the daemon ends, undoes its changes, and ends with its
 * status. */
#ifndef OCALA_HELPER_SERVE_H
#define OCALA_HELPER_SERVE_H

#include <signal.h>
#include <sys/types.h>

#include "helper/act.h"

struct serve {
    struct act act;
    int fd; /* socket to the daemon, -1 once it is closed */
    pid_t daemon;
    bool stopped; /* the daemon said helper_stop() */
};

/* The signals that the helper takes by descriptor; helper_start() blocks them before it forks. */
void serve_signals(sigset_t *ret);

_Noreturn void serve_run(struct serve *s);

#endif
