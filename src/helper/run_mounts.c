/* The namespaces of `ocala run`, and the files inside that decide how names are resolved.
 *
 * An ordinary user may bind files over others inside a mount namespace of its own.  The files to
 * bind are made in a small tmpfs, which is mounted over some folder only while they are bound, and
 * taken away again; the bound files live on. */
#include "helper/run_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper/run_remedy.h"
#include "linux/files.h"

#define RESOLVED_FOLDER "/run/systemd/resolve"
#define RESOLV_TEXT                                                                                \
    "# In this sandbox ocalad answers: names of overlays, and nothing else.\nnameserver "          \
    "127.0.0.1\n"
#define NSSWITCH_SIZE 65536

static long setting(const char *path)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 ? strtol(text, NULL, 10) : -1;
}

int run_forbidden(struct run_report *report, int error, const char *what)
{
    struct run_switches switches = {
        .apparmor = setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        .userns_clone = setting("/proc/sys/kernel/unprivileged_userns_clone"),
        .max_user = setting("/proc/sys/user/max_user_namespaces"),
    };
    report->error = error;
    snprintf(report->text, sizeof report->text, "cannot %s: %s%s", what, strerror(-error),
             run_remedy(error, &switches));
    return error;
}

static int file_put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_CREAT | O_TRUNC, 0444);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, strlen(text));
    int r = n < 0 ? -errno : (size_t)n != strlen(text) ? -EIO : 0;
    close(fd);
    return r;
}

static int ids_map(uid_t uid, gid_t gid)
{
    char text[64];
    int fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = write(fd, "deny", 4);
        int r = n < 0 ? -errno : 0;
        close(fd);
        if (r < 0)
            return r;
    }
    const struct {
        const char *path;
        unsigned id;
    } map[] = {{"/proc/self/uid_map", uid}, {"/proc/self/gid_map", gid}};
    for (int i = 0; i < 2; i++) {
        int length = snprintf(text, sizeof text, "%u %u 1\n", map[i].id, map[i].id);
        fd = open(map[i].path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            return -errno;
        int r = write(fd, text, (size_t)length) != length ? -errno : 0;
        close(fd);
        if (r < 0)
            return r;
    }
    return 0;
}

int run_namespaces_make(bool in_user, struct run_report *report)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare((in_user ? CLONE_NEWUSER : 0) | CLONE_NEWNET | CLONE_NEWNS) < 0)
        return run_forbidden(report, -errno, "make a user and network namespace");
    /* The files in /proc/self belong to root while a process is not dumpable; exec sets this anew.
     */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    int r = in_user ? ids_map(uid, gid) : 0;
    if (r < 0)
        return run_forbidden(report, r, "map the user into its namespace");
    /* From here on mounts stay inside; those made outside still arrive. */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return run_forbidden(report, -errno, "make a mount namespace");
    return 0;
}

/* Binds `from` over `to` where there is a `to`. */
static int cover(const char *from, const char *to)
{
    struct stat st;
    if (stat(to, &st) < 0)
        return 0;
    return mount(from, to, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

/* The system's nsswitch.conf with hosts looked up in files, then by DNS. */
static int nsswitch_put(const char *path)
{
    char *text, *ours = NULL;
    size_t size, ours_size;
    if (linux_file_read("/etc/nsswitch.conf", LINUX_FILE_PLAIN, NSSWITCH_SIZE, &text, &size, NULL,
                        0) < 0)
        return 0; /* absent: the C library's default asks DNS */
    FILE *out = open_memstream(&ours, &ours_size);
    if (!out) {
        free(text);
        return -ENOMEM;
    }
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        const char *word = line + strspn(line, " \t");
        if (strncmp(word, "hosts:", 6) != 0 && (rest || *line))
            fprintf(out, "%s\n", line);
    }
    fputs("hosts: files dns\n", out);
    fclose(out);
    int r = file_put(path, ours);
    free(ours);
    free(text);
    return r;
}

/* Makes the files in the current folder (the tmpfs) and binds them. */
static int files_bind(const char *folder)
{
    char path[64];
    int r = 0;
#define IN(name) (snprintf(path, sizeof path, "%s/" name, folder), path)
    if (mkdir(IN("empty"), 0755) < 0 || mkdir(IN("resolve"), 0755) < 0)
        r = -errno;
    if (r == 0)
        r = file_put(IN("resolv.conf"), RESOLV_TEXT);
    /* /etc/resolv.conf is often a link to one of these. */
    if (r == 0)
        r = file_put(IN("resolve/stub-resolv.conf"), RESOLV_TEXT);
    if (r == 0)
        r = file_put(IN("resolve/resolv.conf"), RESOLV_TEXT);
    if (r == 0)
        r = nsswitch_put(IN("nsswitch.conf"));
    if (r == 0)
        r = cover(IN("empty"), "/run/nscd");
    if (r == 0)
        r = cover(IN("empty"), "/var/run/nscd");
    if (r == 0)
        r = cover(IN("resolve"), RESOLVED_FOLDER);
    if (r == 0)
        r = cover(IN("resolv.conf"), "/etc/resolv.conf");
    if (r == 0 && access(IN("nsswitch.conf"), F_OK) == 0)
        r = cover(path, "/etc/nsswitch.conf");
#undef IN
    return r;
}

int run_files_cover(struct run_report *report)
{
    /* Somewhere that exists and that none of the files above lies in. */
    static const char *const folders[] = {"/tmp", "/mnt", "/var/tmp", "/home"};
    int r = -ENOENT;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (mount("tmpfs", folders[i], "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") < 0) {
            r = -errno;
            continue;
        }
        r = files_bind(folders[i]);
        if (umount2(folders[i], MNT_DETACH) < 0 && r == 0)
            r = -errno;
        break;
    }
    return r < 0 ? run_forbidden(report, r, "put resolv.conf in place for the program") : 0;
}
