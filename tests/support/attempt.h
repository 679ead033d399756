/* System calls that a confined process must not get through with, by name. */
#ifndef OCALA_TESTS_SUPPORT_ATTEMPT_H
#define OCALA_TESTS_SUPPORT_ATTEMPT_H

/* Makes the call; 0 when it succeeded, else its errno; -1 for an unknown name.  Safe in a signal
 * handler.  `path` is for those that need one. */
int attempt(const char *name, const char *path);

#endif
