/* After its start the daemon needs no privilege: sockets, TUN and files came from the helper.  What
 * is taken away here cannot be regained: the bounding set is empty and no_new_privs holds across
 * exec. */
#include "linux/drop.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int fail(const char *what, char *err, size_t size)
{
    int r = errno ? -errno : -EPERM;
    if (err)
        snprintf(err, size, "cannot give up privileges: %s: %s", what, strerror(-r));
    return r;
}

int linux_drop(const char *user, char *err, size_t size)
{
    errno = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail("no_new_privs", err, size);
    struct passwd *account = user && geteuid() == 0 ? getpwnam(user) : NULL;
    bool capable = geteuid() == 0;
    if (capng_get_caps_process() == 0)
        capable |= capng_have_capabilities(CAPNG_SELECT_CAPS) > CAPNG_NONE;
    capng_clear(CAPNG_SELECT_BOTH);
    errno = 0;
    if (account && account->pw_uid != 0) {
        if (capng_change_id((int)account->pw_uid, (int)account->pw_gid,
                            CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING) < 0)
            return fail(user, err, size);
    } else if (capable) {
        /* In a user namespace this may be forbidden, and then there is nothing to drop. */
        (void)!setgroups(0, NULL);
        if (capng_apply(CAPNG_SELECT_BOTH) < 0)
            return fail("capabilities", err, size);
    }
    /* Keys in memory are not for core files or debuggers of the same user. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return fail("dumpable", err, size);
    return 0;
}
