/* Landlock by its system calls, because the C library has none and headers are often older than the
 * kernel.  Versions of the interface: 1 files, 2 renames between folders, 3 truncation, 4 TCP, 5
 * ioctl on devices, 6 signals and abstract sockets.  Whatever the kernel knows and we do not need
 * is forbidden.
 *
 * Not restricted: connecting TCP (questions to resolvers go to ports that the configuration
 * chooses), and signals and abstract sockets, which `ocala run` and systemd need. */
#include "linux/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

#define CREATE_VERSION    1u
#define RULE_PATH_BENEATH 1
#define FS_EXECUTE        (UINT64_C(1) << 0)
#define FS_WRITE_FILE     (UINT64_C(1) << 1)
#define FS_READ_FILE      (UINT64_C(1) << 2)
#define FS_READ_DIR       (UINT64_C(1) << 3)
#define FS_REMOVE_FILE    (UINT64_C(1) << 5)
#define FS_MAKE_REG       (UINT64_C(1) << 8)
#define FS_TRUNCATE       (UINT64_C(1) << 14)
#define FS_OF_FILES       (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE)
#define NET_BIND_TCP      (UINT64_C(1) << 0)
#define FS_BITS(version)  ((version) >= 5 ? 16 : (version) >= 3 ? 15 : (version) >= 2 ? 14 : 13)
#define FS_KNOWN(version) ((UINT64_C(1) << FS_BITS(version)) - 1)
#define WITH_NETWORK      4 /* from this version on the second member below is there */

struct ruleset {
    uint64_t fs, net;
};

struct path_rule {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static uint64_t rights(enum linux_sandbox_right right)
{
    switch (right) {
    case LINUX_SANDBOX_READ:
        return FS_READ_FILE | FS_READ_DIR;
    case LINUX_SANDBOX_WRITE:
        return FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_REMOVE_FILE | FS_MAKE_REG |
               FS_TRUNCATE;
    case LINUX_SANDBOX_REMOVE:
        return FS_REMOVE_FILE;
    }
    return 0;
}

static int allow(int ruleset, uint64_t handled, const struct linux_sandbox_path *p)
{
    struct stat st;
    int fd = open(p->path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    struct path_rule rule = {.allowed = rights(p->right) & handled, .parent = fd};
    int r = fstat(fd, &st);
    if (!r && !S_ISDIR(st.st_mode))
        rule.allowed &= FS_OF_FILES;
    if (!r && rule.allowed)
        r = (int)syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
    r = r < 0 ? -errno : 0;
    close(fd);
    return r;
}

static int fail(struct linux_sandbox *ret, int error, const char *what)
{
    snprintf(ret->landlock_why, sizeof ret->landlock_why, "%s: %s", what, strerror(-error));
    return error;
}

int linux_landlock(const struct linux_sandbox_path *paths, unsigned count,
                   struct linux_sandbox *ret)
{
    int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
    if (version < 1)
        return fail(ret, version < 0 ? -errno : -ENOSYS, "this kernel has none");
    struct ruleset set = {.fs = FS_KNOWN(version), .net = NET_BIND_TCP};
    size_t size = version >= WITH_NETWORK ? sizeof set : sizeof set.fs;
    int fd = (int)syscall(SYS_landlock_create_ruleset, &set, size, 0);
    if (fd < 0)
        return fail(ret, -errno, "cannot make a rule set");
    int r = 0;
    const char *what = "cannot give up privileges to come";
    for (unsigned i = 0; i < count && !r; i++)
        if ((r = allow(fd, set.fs, &paths[i])))
            what = paths[i].path;
    if (!r && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        r = -errno;
    if (!r && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        r = -errno;
    close(fd);
    if (r)
        return fail(ret, r, what);
    ret->landlock = version;
    return 0;
}
