/* The start of the helper, before and at the fork.
 *
 * What a former helper left undone is undone before the fork, in the caller's process, so that an
 * error is an ordinary return. The lock on the runtime directory is shared by both processes: as
 * long as either lives, no other ocalad takes the directory for abandoned. */
#include "helper/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "helper/call.h"
#include "helper/serve.h"
#include "helper/state_folder.h"
#include "linux/files.h"
#include "linux/resolvconf.h"

static void say_on_stderr(const char *line)
{
    fprintf(stderr, "ocalad: helper: %s\n", line);
}

static int runtime_make(const char *path, char *err, size_t size)
{
    struct stat st;
    int r = linux_folder_make(path, 0755, geteuid(), getegid(), err, size);
    if (r < 0)
        return r;
    /* Whoever can write here could forge the journal. */
    if (stat(path, &st) < 0 || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH)) {
        snprintf(err, size,
                 "the runtime directory %s must belong to the user that starts ocalad and be "
                 "writable by "
                 "nobody else; run: chown %u %s && chmod 755 %s",
                 path, (unsigned)geteuid(), path, path);
        return -EPERM;
    }
    return 0;
}

static int state_make(const struct helper_options *o, char *err, size_t size)
{
    if (!o->state_dir)
        return 0;
    uid_t uid = geteuid();
    gid_t gid = getegid();
    const struct passwd *account = uid == 0 ? getpwnam(o->user ? o->user : "ocala") : NULL;
    if (account) {
        uid = account->pw_uid;
        gid = account->pw_gid;
    }
    return state_folder_make(o->state_dir, uid, gid, err, size);
}

static int runtime_lock(const char *runtime, char *err, size_t size)
{
    char path[PATH_MAX], text[24] = "";
    snprintf(path, sizeof path, "%s/helper.lock", runtime);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return linux_file_error(-errno, "cannot open", path, err, size);
    int locked = linux_file_lock(fd);
    if (locked < 0) {
        int r = locked == -EWOULDBLOCK ? -EBUSY : locked;
        if (r == -EBUSY && pread(fd, text, sizeof text - 1, 0) >= 0)
            snprintf(err, size,
                     "another ocalad (process %.*s) uses the runtime directory %s; stop it first, "
                     "or give "
                     "this one its own",
                     (int)strcspn(text, "\n"), text, runtime);
        else
            linux_file_error(r, "cannot lock", path, err, size);
        close(fd);
        return r;
    }
    int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
    /* The number is for the message above only. */
    if (ftruncate(fd, 0) == 0)
        (void)!pwrite(fd, text, (size_t)length, 0);
    return fd;
}

static int act_init(struct act *a, const struct helper_options *o, char *err, size_t size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/helper.journal", o->runtime_dir);
    *a = (struct act){.runtime_dir = base_strdup(o->runtime_dir)};
    a->config_dir = o->config_dir ? base_strdup(o->config_dir) : NULL;
    a->resolvconf_path = base_strdup(o->resolvconf_path ? o->resolvconf_path : RESOLVCONF_DEFAULT);
    int r =
        journal_open(path, o->runtime_dir, o->say ? o->say : say_on_stderr, &a->journal, err, size);
    if (r < 0)
        return r;
    r = journal_undo(a->journal, false);
    if (r < 0)
        snprintf(err, size, "changes of a former ocalad noted in %s cannot be undone: %s", path,
                 strerror(-r));
    return r;
}

static void act_done(struct act *a)
{
    journal_free(a->journal);
    free(a->runtime_dir);
    free(a->config_dir);
    free(a->resolvconf_path);
}

static int processes_split(struct serve *s, int lock, struct helper **ret, char *err, size_t size)
{
    int pair[2];
    sigset_t signals, before;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        int r = -errno;
        snprintf(err, size, "cannot create the helper's socket: %s", strerror(-r));
        return r;
    }
    serve_signals(&signals);
    sigprocmask(SIG_BLOCK, &signals, &before);
    s->fd = pair[0];
    s->daemon = fork();
    if (s->daemon > 0) {
        close(pair[1]);
        serve_run(s);
    }
    int r = s->daemon < 0 ? -errno : 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(pair[0]);
    if (r < 0) {
        close(pair[1]);
        snprintf(err, size, "cannot start the helper process: %s", strerror(-r));
        return r;
    }
    *ret = helper_new(pair[1], lock);
    return 0;
}

int helper_start(const struct helper_options *options, struct helper **ret, char *err, size_t size)
{
    char ignored[8];
    if (!err) {
        err = ignored;
        size = sizeof ignored;
    }
    int r = runtime_make(options->runtime_dir, err, size);
    if (r == 0)
        r = state_make(options, err, size);
    if (r < 0)
        return r;
    int lock = runtime_lock(options->runtime_dir, err, size);
    if (lock < 0)
        return lock;
    struct serve s = {.fd = -1};
    r = act_init(&s.act, options, err, size);
    if (r == 0)
        r = processes_split(&s, lock, ret, err, size);
    act_done(&s.act);
    if (r < 0)
        close(lock);
    return r;
}
