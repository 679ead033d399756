/* A folder changes hands only if all that is in it is ours by name, so that a mistyped `state:
 * /etc` costs nothing.  Files are opened before they are looked at, and links are not followed. */
#include "helper/state_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "linux/files.h"

/* What the daemon keeps (daemon/state.c); while one is replaced it has a suffix. */
static const char *const ours[] = {"key.pem", "handles", "known", "pools", "lock"};

static bool is_ours(const char *name)
{
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        size_t size = strlen(ours[i]);
        if (!strncmp(name, ours[i], size) && (!name[size] || name[size] == '.'))
            return true;
    }
    return false;
}

static int refuse(const char *path, const char *what, uid_t uid, gid_t gid, char *err, size_t size)
{
    snprintf(err, size,
             "the state folder %s %s, but ocalad becomes user %u; run: chown -R %u:%u %s (or give "
             "it another folder with `state:`)",
             path, what, (unsigned)uid, (unsigned)uid, (unsigned)gid, path);
    return -EPERM;
}

static int look_through(DIR *dir, const char *path, uid_t uid, gid_t gid, char *err, size_t size)
{
    char what[400];
    for (const struct dirent *e; (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (!is_ours(e->d_name)) {
            snprintf(what, sizeof what, "belongs to root and holds '%s', which is not ours",
                     e->d_name);
            return refuse(path, what, uid, gid, err, size);
        }
    }
    return 0;
}

static int give_file(int folder, const char *name, uid_t uid, gid_t gid)
{
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ELOOP ? 0 : -errno;
    int r = fstat(fd, &st);
    /* With a second name it could be any file of root's. */
    if (!r && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == geteuid())
        r = fchown(fd, uid, gid);
    r = r < 0 ? -errno : 0;
    close(fd);
    return r;
}

static int give(DIR *dir, uid_t uid, gid_t gid)
{
    int r = 0;
    rewinddir(dir);
    for (const struct dirent *e; !r && (e = readdir(dir));)
        if (is_ours(e->d_name))
            r = give_file(dirfd(dir), e->d_name, uid, gid);
    /* Last: when it does not belong to root any more, everything in it was given. */
    if (!r && fchown(dirfd(dir), uid, gid) < 0)
        r = -errno;
    return r;
}

static int take_over(DIR *dir, const char *path, uid_t uid, gid_t gid, char *err, size_t size)
{
    struct stat st;
    char what[64];
    if (fstat(dirfd(dir), &st) < 0)
        return linux_file_error(-errno, "cannot look at", path, err, size);
    if (st.st_uid == uid || geteuid() != 0)
        return 0;
    if (st.st_uid != 0) {
        snprintf(what, sizeof what, "belongs to user %u", (unsigned)st.st_uid);
        return refuse(path, what, uid, gid, err, size);
    }
    int r = look_through(dir, path, uid, gid, err, size);
    if (r)
        return r;
    r = give(dir, uid, gid);
    return r ? linux_file_error(r, "cannot change the owner of", path, err, size) : 0;
}

int state_folder_make(const char *path, uid_t uid, gid_t gid, char *err, size_t size)
{
    int r = linux_folder_make(path, 0750, uid, gid, err, size);
    if (r < 0)
        return r;
    DIR *dir = opendir(path);
    if (!dir)
        return linux_file_error(-errno, "cannot look at", path, err, size);
    r = take_over(dir, path, uid, gid, err, size);
    closedir(dir);
    return r;
}
