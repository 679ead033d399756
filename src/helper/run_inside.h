/* The child of `ocala run`, between the fork in run.c and the exec of the program. */
#ifndef OCALA_HELPER_RUN_INSIDE_H
#define OCALA_HELPER_RUN_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "helper/run.h"

#define RUN_ERROR_TEXT 500
#define RUN_FDS        (1 + RUN_DNS_COUNT) /* TUN first */

/* What the child says once, with its descriptors by SCM_RIGHTS. */
struct run_report {
    int32_t error; /* 0 or a negative errno with its text */
    char text[RUN_ERROR_TEXT];
    bool dns[RUN_DNS_COUNT]; /* which of the sockets come along, after the TUN */
};

/* `fd`: the socket to the daemon.  One byte from it means go; its end means stop. */
_Noreturn void run_inside(const struct run_request *request, int fd);

/* Makes the namespaces; with `in_user` a user namespace that maps the caller's own ids. */
int run_namespaces_make(bool in_user, struct run_report *report);
/* Puts our resolv.conf and nsswitch.conf in place and covers the sockets that lead past them. */
int run_files_cover(struct run_report *report);
/* Writes what failed, and what to do where the system forbids it, into the report; returns `error`.
 */
int run_forbidden(struct run_report *report, int error, const char *what);

#endif
