/* How names are looked up on this machine, as far as its files say: who writes resolv.conf, what
 * the C library asks (nsswitch.conf).  Functions on text are pure; the others only look. */
#ifndef OCALA_LINUX_RESOLVER_H
#define OCALA_LINUX_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "linux/resolvconf.h"

/* Who wrote this resolv.conf ("NetworkManager", "systemd-resolved", ...), by what is written in it
 * or where the link leads (NULL: no link).  NULL: nobody that we know. */
const char *linux_resolver_writer(const char *text, size_t size, const char *link);
/* Are all its servers the stub of systemd-resolved? */
bool linux_resolver_is_stub(const struct linux_resolvconf *r);

/* What resolv.conf says beside its servers. */
struct linux_resolver_settings {
    unsigned ndots;               /* 1 unless said otherwise */
    unsigned search_count;        /* domains */
    char search[RESOLVCONF_PATH]; /* as written, cut */
    bool use_vc, single_request;
};
void linux_resolver_settings(const char *text, size_t size, struct linux_resolver_settings *ret);

/* The line "hosts:" of nsswitch.conf.  Positions count from 1; 0: not there. */
struct linux_nsswitch {
    bool found;
    unsigned files, dns, resolve, mdns, myhostname;
    /* "[...=return]" stands before `dns`, so that dns is asked only when what came before is not
     * available at all. */
    bool returns_before_dns;
    char line[160]; /* as written, cut */
};
void linux_nsswitch_parse(const char *text, size_t size, struct linux_nsswitch *ret);

/* What `auto` and `ocala dns` want to know of resolv.conf. */
struct linux_resolver_file {
    bool found, is_link, stub;
    bool ours;                  /* some ocalad's                                        */
    char tag[RESOLVCONF_PATH];  /* whose, when ours                                     */
    char link[RESOLVCONF_PATH]; /* where it leads                                       */
    char writer[32];            /* linux_resolver_writer(), or ""; of what ours replaced */
    int unwritable;             /* 0, or why root cannot replace it: -EROFS, -EPERM...  */
};
void linux_resolver_look(const char *path, struct linux_resolver_file *ret);

/* Is there a process of this name (as in /proc/PID/comm)? */
bool linux_process_runs(const char *name);

#endif
