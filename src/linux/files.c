/* Files are written so that a power cut or SIGKILL at any moment leaves the old content or the new
 * one: temporary file, fsync, rename, fsync of the folder.  An append that does not fit (disk full)
 * is cut back to where it began, so that the next reader never finds half a line in the middle. */
#include "linux/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

static const char *plain_words(int error)
{
    switch (error) {
    case ENOSPC:
        return "the disk is full; make room and try again";
    case EDQUOT:
        return "the disk quota is used up; make room and try again";
    case EROFS:
        return "the file system is read-only";
    case ENOENT:
        return "there is no such file or folder";
    case EACCES:
    case EPERM:
        return "permission denied";
    case EFBIG:
        return "the file is too large";
    case EISDIR:
        return "this is a folder, not a file";
    default:
        return strerror(error);
    }
}

int linux_file_error(int error, const char *what, const char *path, char *err, size_t size)
{
    if (err)
        snprintf(err, size, "%s %s: %s", what, path, plain_words(-error));
    return error;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}

static int check_readers(int fd, const char *path, enum linux_file_kind kind, char *err,
                         size_t size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return linux_file_error(-errno, "cannot read", path, err, size);
    if (S_ISDIR(st.st_mode))
        return linux_file_error(-EISDIR, "cannot read", path, err, size);
    if (kind == LINUX_FILE_SECRET && st.st_mode & (S_IRWXG | S_IRWXO)) {
        if (err)
            snprintf(err, size, "%s can be read by others (mode %04o); run: chmod 600 %s", path,
                     (unsigned)(st.st_mode & 07777), path);
        return -EACCES;
    }
    return 0;
}

int linux_file_read_fd(int fd, const char *path, enum linux_file_kind kind, size_t limit,
                       char **ret, size_t *ret_size, char *err, size_t err_size)
{
    int r = check_readers(fd, path, kind, err, err_size);
    if (r < 0)
        return r;
    size_t used = 0, room = 4096 < limit ? 4096 : limit;
    char *bytes = base_calloc(1, room + 2);
    for (;;) {
        /* One byte past the limit is asked for, so that a file that is too large shows itself. */
        ssize_t n = read(fd, bytes + used, room + 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            r = linux_file_error(-errno, "cannot read", path, err, err_size);
            goto failed;
        }
        if (n == 0)
            break;
        used += (size_t)n;
        if (used > limit) {
            r = linux_file_error(-EFBIG, "cannot read", path, err, err_size);
            goto failed;
        }
        if (used > room) {
            room = room * 2 < limit ? room * 2 : limit;
            bytes = base_realloc(bytes, room + 2);
        }
    }
    bytes[used] = '\0';
    *ret = bytes;
    *ret_size = used;
    return 0;
failed:
    explicit_bzero(bytes, room + 2);
    free(bytes);
    return r;
}

int linux_file_read(const char *path, enum linux_file_kind kind, size_t limit, char **ret,
                    size_t *ret_size, char *err, size_t err_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return linux_file_error(-errno, "cannot read", path, err, err_size);
    int r = linux_file_read_fd(fd, path, kind, limit, ret, ret_size, err, err_size);
    close(fd);
    return r;
}

int linux_folder_sync(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t size = slash == path ? 1 : slash ? (size_t)(slash - path) : 1;
    if (size >= sizeof folder)
        return -ENAMETOOLONG;
    memcpy(folder, slash ? path : ".", size);
    folder[size] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
    close(fd);
    return r;
}

int linux_file_write(const char *path, const void *bytes, size_t size, mode_t mode, char *err,
                     size_t err_size)
{
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof temporary)
        return linux_file_error(-ENAMETOOLONG, "cannot write", path, err, err_size);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return linux_file_error(-errno, "cannot write", path, err, err_size);
    int r = fchmod(fd, mode) < 0 ? -errno : 0;
    if (r == 0)
        r = write_all(fd, bytes, size);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(temporary);
        return linux_file_error(r, "cannot write", path, err, err_size);
    }
    /* The content is there and whole; only its name might not survive a power cut. */
    linux_folder_sync(path);
    return 0;
}

int linux_file_create(const char *path, const void *bytes, size_t size, mode_t mode, char *err,
                      size_t err_size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return linux_file_error(-errno, "cannot create", path, err, err_size);
    int r = write_all(fd, bytes, size);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r < 0) {
        unlink(path);
        return linux_file_error(r, "cannot create", path, err, err_size);
    }
    linux_folder_sync(path);
    return 0;
}

int linux_append_open(const char *path, mode_t mode, int *ret_fd, char *err, size_t err_size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return linux_file_error(-errno, "cannot open", path, err, err_size);
    linux_folder_sync(path);
    *ret_fd = fd;
    return 0;
}

int linux_append(int fd, const char *path, const void *bytes, size_t size, bool sync, char *err,
                 size_t err_size)
{
    off_t before = lseek(fd, 0, SEEK_END);
    if (before < 0)
        return linux_file_error(-errno, "cannot write", path, err, err_size);
    int r = write_all(fd, bytes, size);
    if (r == 0 && sync && fdatasync(fd) < 0)
        r = -errno;
    if (r < 0) {
        if (ftruncate(fd, before) < 0 && err)
            snprintf(err, err_size, "cannot write %s: %s, and the half-written end stays", path,
                     plain_words(-r));
        else
            linux_file_error(r, "cannot write", path, err, err_size);
    }
    return r;
}

static int make_one(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    /* Owner before mode: nobody else gets in while it is half made. */
    if (chown(path, uid, gid) < 0 || chmod(path, mode) < 0) {
        int error = -errno;
        rmdir(path);
        return error;
    }
    return 0;
}

int linux_folder_make(const char *path, mode_t mode, uid_t uid, gid_t gid, char *err,
                      size_t err_size)
{
    char part[PATH_MAX];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part)
        return linux_file_error(-ENAMETOOLONG, "cannot create", path, err, err_size);
    memcpy(part, path, size + 1);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int r = make_one(part, 0755, geteuid(), getegid());
        if (r < 0)
            return linux_file_error(r, "cannot create", part, err, err_size);
        *slash = '/';
    }
    int r = make_one(part, mode, uid, gid);
    struct stat st;
    if (r == 0 && stat(path, &st) < 0)
        r = -errno;
    if (r == 0 && !S_ISDIR(st.st_mode))
        r = -ENOTDIR;
    return r < 0 ? linux_file_error(r, "cannot create", path, err, err_size) : 0;
}

#define LOCK_TRIES    60
#define LOCK_PAUSE_NS 50000000L

int linux_file_lock(int fd)
{
    for (unsigned tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
        if (errno != EWOULDBLOCK || tries == LOCK_TRIES)
            return -errno;
        nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_NS}, NULL);
    }
    return 0;
}
