/* systemd-resolved, through its program `resolvectl`: our names are given to us, and only they. */
#ifndef OCALA_LINUX_RESOLVED_H
#define OCALA_LINUX_RESOLVED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

#define LINUX_RESOLVED_SERVERS "/run/systemd/resolve/resolv.conf"
#define LINUX_RESOLVED_STUB    "/run/systemd/resolve/stub-resolv.conf"

/* Reverse zones: a pool is covered by at most this many, each "18.198.in-addr.arpa". */
#define LINUX_ZONES_MAX 128
#define LINUX_ZONE_TEXT 80

/* The names of the zones that hold exactly the addresses of the prefix; 0 when that takes more than
 * LINUX_ZONES_MAX. */
unsigned linux_reverse_zones(const struct ip_prefix *prefix,
                             char ret[LINUX_ZONES_MAX][LINUX_ZONE_TEXT]);

/* Does it run?  It then listens on its own socket. */
bool linux_resolved_runs(void);

struct linux_resolved {
    const char *link;       /* the TUN                                   */
    struct endpoint server; /* us                                        */
    const char *domains;    /* "ip ron ov.example.org"                   */
    struct ip_prefix pool4, pool6;
};

/* Questions for these domains and for the names of pool addresses go to the server, from now on and
 * in spite of what was cached; no others do.  What is needed and fails is undone. */
int linux_resolved_set(const struct linux_resolved *r, char *err, size_t size);
/* A link that is gone is no error. */
int linux_resolved_unset(const char *link, char *err, size_t size);

#endif
