/* A program of the system, run to its end: no shell, an environment of its own, a limit of time. */
#ifndef OCALA_LINUX_SPAWN_H
#define OCALA_LINUX_SPAWN_H

#include <stddef.h>

#define LINUX_SPAWN_SAID 200

/* argv[0] is looked up in the system's folders; `input` (may be NULL) is its standard input.  With
 * `ret_output` what it printed comes back, NUL at its end, the caller's to free, also when it
 * failed.  `said` holds the first line of its complaints, or "".
 *
 * 0 when it ended with status 0; -ENOPKG: there is no such program; -ETIMEDOUT: it was ended after
 * `limit_ms`; -EREMOTEIO: it ended otherwise; or what the start failed with. */
int linux_spawn(const char *const argv[], const char *input, unsigned limit_ms, char **ret_output,
                char said[LINUX_SPAWN_SAID]);

#endif
