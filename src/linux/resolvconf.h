/* /etc/resolv.conf: what it says, and ours in its place with the former one kept inside.
 *
 * Ours carries the former content (or link) with it, in comment lines that start with "#~": what is
 * needed to restore is never lost, not by SIGKILL, not by a power cut, and a person can restore it
 * by hand.
 *
 *      # Managed by ocalad while it runs ...          for people
 *      #~ocala 1 file 0644 0 0 newline                file, link or absent; mode, uid, gid
 *      #~tag /run/ocala                               which ocalad
 *      #~link ../run/systemd/resolve/stub-resolv.conf (of a link)
 *      nameserver 198.18.0.1                          ours
 *      search example.org                             kept lines, all but nameserver and comments
 *      #~|nameserver 192.0.2.1                        the former content, line by line (of a file)
 *
 * The functions of the first part are pure and work on text; the second part works on the file. */
#ifndef OCALA_LINUX_RESOLVCONF_H
#define OCALA_LINUX_RESOLVCONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"

#define RESOLVCONF_SERVERS 4
#define RESOLVCONF_SIZE    65536 /* larger ones are refused */
#define RESOLVCONF_PATH    256
#define RESOLVCONF_DEFAULT "/etc/resolv.conf"

struct linux_resolvconf_server {
    struct ip_address ip;
    char zone[16]; /* "eth0" of "fe80::1%eth0", else empty */
};

struct linux_resolvconf {
    unsigned count;
    struct linux_resolvconf_server server[RESOLVCONF_SERVERS]; /* in order; more are left out */
};

/* The nameserver lines; bad ones are skipped, as the C library does. */
void linux_resolvconf_parse(const char *text, size_t size, struct linux_resolvconf *ret);

enum linux_resolvconf_kind { RESOLVCONF_FILE, RESOLVCONF_LINK, RESOLVCONF_ABSENT };

/* What stood in our place. */
struct linux_resolvconf_former {
    enum linux_resolvconf_kind kind;
    unsigned mode, uid, gid;    /* of a file      */
    char link[RESOLVCONF_PATH]; /* where it pointed */
    char *content;              /* of a file; `content_size` bytes, the owner frees it */
    size_t content_size;
};

/* Our text.  `seen` is what programs see now (a file's content, or that behind the link).  The
 * caller frees *ret. -EINVAL when a link or tag cannot be written in a line. */
int linux_resolvconf_render(const struct linux_resolvconf_former *former, const char *tag,
                            const struct ip_address *nameserver, const char *seen, size_t seen_size,
                            char **ret, size_t *ret_size);

/* Is `text` ours?  Then true, with its tag and what it replaced (the caller frees ret->content). */
bool linux_resolvconf_unrender(const char *text, size_t size, struct linux_resolvconf_former *ret,
                               char ret_tag[RESOLVCONF_PATH]);

/* When `text` is ours with lines that somebody added (or changed) since: adds them to what will be
 * restored, if that is a file or was absent.  Were there any? */
bool linux_resolvconf_additions(const char *text, size_t size, const struct ip_address *nameserver,
                                struct linux_resolvconf_former *former);

/* ---- the file ---- */

/* The servers that `path` names, as endpoints with port 53; `except` (may be NULL) is left out.  An
 * absent file names none. Returns their count, or a negative errno. */
int linux_resolvconf_servers(const char *path, const struct ip_address *except,
                             struct endpoint *ret, unsigned limit, char *err, size_t size);

/* The same, but where they are only the stub of systemd-resolved, the servers behind it: whoever
 * may become resolved's own server must not ask the stub, or questions go round in a circle. */
int linux_resolvconf_servers_behind(const char *path, const struct ip_address *except,
                                    struct endpoint *ret, unsigned limit, char *err, size_t size);

/* What linux_resolvconf_set() found. */
struct linux_resolvconf_found {
    bool changed;    /* it was not ours as we write it, and is now                         */
    char writer[32]; /* who wrote what was there before, if we know him (else "")          */
    char target[RESOLVCONF_PATH]; /* where the former link leads, or ""                    */
};

/* Puts ours in the place of `path` and returns in *ret what programs used before.  A file is
 * replaced by rename, a link by a file; what is a mount point (`ip netns exec`, containers) is
 * written in place.  What somebody else wrote over ours meanwhile is what will be restored; lines
 * that somebody added to ours are kept with it.  When ours is in place nothing is written.
 * -EBUSY: another live ocalad's is there. */
int linux_resolvconf_set(const char *path, const char *tag, const struct ip_address *nameserver,
                         struct endpoint *ret, unsigned limit, struct linux_resolvconf_found *found,
                         char *err, size_t size);

/* Restores what was there, exactly, if the file is still ours.  0: restored, 1: it is not ours (any
 * more) and was left alone. */
int linux_resolvconf_restore(const char *path, const char *tag, char *err, size_t size);

#endif
