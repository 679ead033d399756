/* Small files, whole: read with a look at who else may read them, replaced atomically, appended to
 * with a sync.
 *
 * Functions return 0 or a negative errno and put one line for the user into `err` (which may be
 * NULL). */
#ifndef OCALA_LINUX_FILES_H
#define OCALA_LINUX_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Writes "<what> <path>: <reason>" with plain words for the errnos that users meet; returns
 * `error`. */
int linux_file_error(int error, const char *what, const char *path, char *err, size_t size);

enum linux_file_kind {
    LINUX_FILE_PLAIN,
    LINUX_FILE_SECRET, /* refused (-EACCES, with the chmod to run) when group or others may read it
                        */
};

/* The whole file, at most `limit` bytes (-EFBIG beyond), with a NUL behind its end; the caller
 * frees *ret. */
int linux_file_read(const char *path, enum linux_file_kind kind, size_t limit, char **ret,
                    size_t *ret_size, char *err, size_t err_size);
/* The same from an open descriptor; `path` is for the texts only. */
int linux_file_read_fd(int fd, const char *path, enum linux_file_kind kind, size_t limit,
                       char **ret, size_t *ret_size, char *err, size_t err_size);

/* Replaces (or creates) the file: a temporary file beside it, sync, rename, sync of the folder.
 * Whoever looks sees the old content or the new one. */
int linux_file_write(const char *path, const void *bytes, size_t size, mode_t mode, char *err,
                     size_t err_size);
/* Creates the file and fails with -EEXIST when it is there (new keys). */
int linux_file_create(const char *path, const void *bytes, size_t size, mode_t mode, char *err,
                      size_t err_size);

/* A file that only grows.  append: all of `bytes` or nothing (a short write is taken back); with
 * `sync` it is on the disk when the call returns. */
int linux_append_open(const char *path, mode_t mode, int *ret_fd, char *err, size_t err_size);
int linux_append(int fd, const char *path, const void *bytes, size_t size, bool sync, char *err,
                 size_t err_size);

/* The folder exists afterwards, with the parents it needs.  A new one gets `mode` and owner; an old
 * one is left as it is. */
int linux_folder_make(const char *path, mode_t mode, uid_t uid, gid_t gid, char *err,
                      size_t err_size);
/* Syncs the folder that holds `path`. */
int linux_folder_sync(const char *path);

/* Takes the exclusive lock of an open file.  Whoever held it may have been killed a moment ago and still be undoing what it
 * did, so this waits up to three seconds.  0, -EWOULDBLOCK when somebody still holds it, or another negative errno. */
int linux_file_lock(int fd);

#endif
