/* The daemon gives up its privileges, once it has its descriptors. */
#ifndef OCALA_LINUX_DROP_H
#define OCALA_LINUX_DROP_H

#include <stddef.h>

/* Becomes `user` when that user exists, else stays uid 0; in both cases without any capability
 * (also none to regain: the bounding set is empty, no_new_privs is set) and not dumpable.  As uid 0
 * without capabilities the process still owns root's files, so a system user `ocala` is the better
 * installation.  A process that is not privileged keeps its user. Call before threads are started.
 * 0 or a negative errno with a line in `err`. */
int linux_drop(const char *user, char *err, size_t size);

#endif
