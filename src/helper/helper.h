/* The privileged helper: the process that changes the system, and undoes every change when the
 * daemon ends.
 *
 * helper_start() forks before anything else is set up.  The parent stays the helper (it outlives
 * the daemon and reaps it), the child returns and becomes the daemon.  Each change is written to
 * <runtime>/helper.journal and synced before it is made.  The helper undoes all of them when the
 * daemon's end of the socket closes, in whatever way the daemon died.  Only the `unreachable`
 * routes of the pools stay behind a daemon that did not say helper_stop(): programs that go on
 * sending to a handle get an error, and nothing leaves the machine in clear.  A helper that was
 * killed is cleaned up after by the next start.
 *
 * Calls here wait for the answer (at most 10 s) and are for start, reload and stop only.  They
 * return 0 or a negative errno; on failure `err` (may be NULL) holds one line for the user: what
 * failed, on what, what to do.  No call is needed on the packet path. */
#ifndef OCALA_HELPER_HELPER_H
#define OCALA_HELPER_HELPER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "helper/helper_msg.h"

struct helper; /* the daemon's end */

struct helper_options {
    const char
        *runtime_dir; /* created 0755; journal, lock and control socket (default /run/ocala)    */
    const char *state_dir;  /* created 0750 for the daemon's user; NULL: none       */
    const char *config_dir; /* helper_file_open() opens files below it only; NULL: refuses      */
    const char *resolvconf_path; /* NULL: /etc/resolv.conf */
    const char *user; /* whom state_dir belongs to if that user exists; NULL: "ocala"           */
    /* Where the helper's own lines go (left-over changes undone, what could not be undone); NULL:
     * stderr. */
    void (*say)(const char *line);
};

/* Call once, before threads, with no child processes.  The helper forwards SIGTERM, SIGINT and
 * SIGHUP that are sent to it and ends with the daemon's exit status (128 + signal when a signal
 * ended it).  Returns in the daemon only, 0 with *ret, or before any fork with a negative errno
 * (-EBUSY: another ocalad uses this runtime directory). */
int helper_start(const struct helper_options *options, struct helper **ret, char *err, size_t size);

/* Readable (end of file) when the helper died: the daemon then ends in order.  Poll it for reading,
 * never read it. */
int helper_fd(const struct helper *h);

struct helper_tun {
    char name[HELPER_NAME_SIZE];
    unsigned index; /* interface index                                       */
    unsigned queues;
    int fd[HELPER_FDS_MAX]; /* non-blocking; the caller's. The TUN lives as long as one of them is
                               open. */
    bool v6;                /* false: this system has IPv6 switched off      */
    bool checksum_offload;
};

/* Creates and raises the TUN with its addresses (a /32 and a /128), routes of both pools to it, the
 * `unreachable` routes behind them and the nft table that drops pool addresses seen on other
 * interfaces.  All or nothing.  -EEXIST: name taken; -ENODEV: no /dev/net/tun; -EPERM: missing
 * privilege; -EADDRINUSE: a pool overlaps an existing route; -ENOPKG: no nft program; -ENOSPC,
 * -EROFS, ...: the journal cannot be written. */
int helper_tun_open(struct helper *h, const struct helper_tun_request *request,
                    struct helper_tun *ret, char *err, size_t size);

/* Who else uses addresses of `prefix`?  A route of this machine (not a default route, not one of
 * ours), and unless `only_routes` a program known by its interface, or somebody's firewall rules.
 * `text` then names it. */
int helper_route_check(struct helper *h, const struct ip_prefix *prefix, const char *tun_name,
                       bool only_routes, enum helper_range *ret, char *text, size_t size);

/* A bound socket (TCP: listening), non-blocking.  -EADDRINUSE: taken; -EADDRNOTAVAIL: not an
 * address of this machine. */
int helper_listen(struct helper *h, const struct helper_listen_request *request, int *ret_fd,
                  char *err, size_t size);

/* Makes us the machine's resolver, in one of three ways, and returns those that are asked for the
 * rest (never us).
 *
 *   RESOLVCONF  writes resolv.conf.  May be called any number of times: what somebody else wrote
 *               meanwhile is replaced again, and is what will be restored.
 *   RESOLVED    gives systemd-resolved our domains, on the link of the TUN.  -EHOSTDOWN: it does
 *               not run.
 *   INTERCEPT   leads questions of local programs to us, in an nft table of our own; not those
 *               that are asked over sockets of helper_dns_sockets(). */
int helper_dns_set(struct helper *h, const struct helper_dns_request *request,
                   struct helper_upstreams *ret, char *err, size_t size);
/* Undoes whichever it was. */
int helper_dns_unset(struct helper *h, char *err, size_t size);
/* The resolvers that are set now, and what there is to say of resolv.conf. */
int helper_dns_upstreams(struct helper *h, struct helper_upstreams *ret, char *err, size_t size);
/* Unbound, non-blocking sockets that INTERCEPT does not lead back to us; returns how many. */
int helper_dns_sockets(struct helper *h, const struct helper_sockets_request *request,
                       int ret_fd[HELPER_FDS_MAX], char *err, size_t size);

/* The control socket <runtime>/control.sock: listening SOCK_STREAM, mode 0660, group `ocala` when
 * there is one. */
int helper_control_listen(struct helper *h, int *ret_fd, char *err, size_t size);

/* Opens a file below config_dir for reading (keys and secrets at reload, after the daemon dropped
 * its privileges). */
int helper_file_open(struct helper *h, const char *path, int *ret_fd, char *err, size_t size);

/* The daemon is about to end in order: every change is undone, what otherwise stays too, before
 * this returns.  The daemon closes its TUN descriptors first.  To be called after a failed start as
 * well. */
int helper_stop(struct helper *h);
/* Frees the daemon's end; accepts NULL.  Without helper_stop() before it this counts as a crash. */
void helper_free(struct helper *h);

#endif
