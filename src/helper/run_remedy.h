/* What to do where the system forbids the namespaces of `ocala run`. */
#ifndef OCALA_HELPER_RUN_REMEDY_H
#define OCALA_HELPER_RUN_REMEDY_H

/* Switches under /proc/sys; -1: this kernel has no such one. */
struct run_switches {
    long apparmor;     /* kernel.apparmor_restrict_unprivileged_userns: Ubuntu, not 0 forbids */
    long userns_clone; /* kernel.unprivileged_userns_clone: Debian, 0 forbids                 */
    long max_user;     /* user.max_user_namespaces, 0 forbids                                 */
};

/* The end of the error's text for a negative errno: "; what, and what to do", or "" when it is another kind of failure. */
const char *run_remedy(int error, const struct run_switches *switches);

#endif
