/* `ocala run`: one program in its own network, without root.
 *
 *      caller's namespaces                      new user, network and mount namespace
 *      +--------------------------+             +-----------------------------------------------+
 *      | daemon: underlay sockets,|  TUN fd,    | child: makes lo, TUN, addresses, routes, DNS  |
 *      | DNS upstream, engines    |<------------| sockets on port 53; covers resolv.conf,       |
 *      |                          |  DNS fds    | nsswitch.conf, nscd and resolved; waits       |
 *      |                          |------------>| for go; drops all capabilities; execs PROGRAM |
 *      +--------------------------+     go      +-----------------------------------------------+
 *
 * The network inside has nothing but lo and the TUN: when the daemon ends, nothing can leave in
 * clear.  The program keeps the caller's uid, terminal and process group, so that a whole
 * interactive shell works. */
#ifndef OCALA_HELPER_RUN_H
#define OCALA_HELPER_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"

struct run_request {
    const char *tun_name; /* NULL: "ocala0" */
    struct ip_address address4;
    struct ip_prefix pool4;
    struct ip_address address6; /* family 0: no IPv6 */
    struct ip_prefix pool6;
    uint32_t mtu;
    char *const *argv; /* PROGRAM and its arguments, NULL at the end; looked up in PATH */
};

enum run_dns { RUN_DNS_UDP4, RUN_DNS_TCP4, RUN_DNS_UDP6, RUN_DNS_TCP6, RUN_DNS_COUNT };

struct run_child {
    pid_t pid;
    int tun_fd; /* one queue, non-blocking                                                 */
    int dns_fd[RUN_DNS_COUNT]; /* bound to 127.0.0.1 and ::1, port 53, inside; -1 where there is no
                                  IPv6  */
    int go_fd; /* run_child_go(); closing it instead makes the child exit without a start */
};

/* Forks the child and waits until its network stands.  Call before threads are started.  On failure
 * nothing is left and `err` says what failed and what to do where the system forbids it (-EPERM,
 * -ENODEV, -ENOSPC...). */
int run_child_start(const struct run_request *request, struct run_child *ret, char *err,
                    size_t size);

/* Lets the program start.  If it cannot be executed the child prints why and exits with 127 (not
 * found) or 126. */
int run_child_go(struct run_child *child);

/* Sets the daemon's own signals for the time the program runs: SIGINT, SIGQUIT and SIGTTOU are
 * ignored, because the terminal sends the first two to the program itself.  The child was forked
 * before and keeps the caller's. */
void run_signals_ignore(void);

/* Passes a signal on (SIGTERM, SIGHUP; SIGINT only when it was sent by kill). */
void run_child_signal(const struct run_child *child, int signal);

/* Has the program ended?  Then true, and *ret_status is what a shell would show: its exit status or
 * 128 + signal.  To be called on SIGCHLD; never blocks. */
bool run_child_ended(struct run_child *child, int *ret_status);

/* Closes what is still open; accepts a zeroed or finished child. */
void run_child_done(struct run_child *child);

#endif
