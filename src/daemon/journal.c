/* Jobs are written in the order they came.  A file of which one job failed gets nothing more until
 * the host has given its whole content anew, because a journal with a hole would say what was never
 * true.  The host is told by a bell (eventfd), and goes on trying. */
#include "daemon/journal.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <utlist.h>

#include "base/check.h"
#include "daemon/log.h"
#include "linux/files.h"

#define QUEUE_MAX (4u << 20)

struct job {
    enum host_file file;
    bool rewrite;
    size_t size;
    struct job *prev, *next;
    uint8_t bytes[];
};

struct daemon_journal {
    struct daemon_state *state;
    int bell;
    int fd[HOST_FILES];       /* the thread's; -1: not open                  */
    bool failing[HOST_FILES]; /* the thread's: said already                  */
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct job *queue;
    size_t queued;
    bool broken[HOST_FILES]; /* a job failed: only a rewrite helps           */
    bool lost[HOST_FILES];   /* the host was not told yet                    */
    bool ending;
};

struct daemon_journal *daemon_journal_new(struct daemon_state *state)
{
    struct daemon_journal *j = base_calloc(1, sizeof *j);
    j->state = state;
    j->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (int i = 0; i < HOST_FILES; i++)
        j->fd[i] = -1;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    return j;
}

static int write_job(struct daemon_journal *j, const struct job *job, char *err, size_t size)
{
    char path[STATE_PATH];
    int *fd = &j->fd[job->file], error;
    daemon_state_path(j->state, daemon_state_journal(job->file), path);
    if (job->rewrite) {
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
        error = linux_file_write(path, job->bytes, job->size, 0640, err, size);
        if (!error)
            daemon_state_own(j->state, path);
        return error;
    }
    if (*fd < 0) {
        error = linux_append_open(path, 0640, fd, err, size);
        if (error)
            return error;
        daemon_state_own(j->state, path);
    }
    return linux_append(*fd, path, job->bytes, job->size, true, err, size);
}

/* Says once that a file cannot be written, and once that it can be again. */
static bool try_job(struct daemon_journal *j, const struct job *job)
{
    char err[512];
    const char *name = daemon_state_journal(job->file);
    if (write_job(j, job, err, sizeof err)) {
        if (!j->failing[job->file])
            daemon_log(LOG_ERR, "%s (until then ocalad goes on, but would forget %s if it ended)",
                       err,
                       job->file == HOST_FILE_HANDLES ? "the handle addresses given meanwhile"
                                                      : "the keys bound to names meanwhile");
        j->failing[job->file] = true;
        return false;
    }
    if (j->failing[job->file])
        daemon_log(LOG_NOTICE, "the file '%s' can be written again; nothing was lost", name);
    j->failing[job->file] = false;
    return true;
}

/* The functions below are called with the lock. */

static void drop_jobs(struct daemon_journal *j, enum host_file file)
{
    struct job *job, *later;
    DL_FOREACH_SAFE(j->queue, job, later)
    {
        if (job->file != file)
            continue;
        DL_DELETE(j->queue, job);
        j->queued -= job->size;
        free(job);
    }
}

static bool rewrite_waits(const struct daemon_journal *j, enum host_file file)
{
    const struct job *job;
    DL_FOREACH(j->queue, job)
    if (job->file == file && job->rewrite)
        return true;
    return false;
}

static void give_up(struct daemon_journal *j, enum host_file file)
{
    const uint64_t one = 1;
    drop_jobs(j, file);
    j->broken[file] = j->lost[file] = true;
    if (write(j->bell, &one, sizeof one) < 0)
        return; /* it rings already */
}

/* ---- the thread ---- */

static void *run(void *argument)
{
    struct daemon_journal *j = argument;
    pthread_mutex_lock(&j->lock);
    while (!j->ending || j->queue) {
        struct job *job = j->queue;
        if (!job) {
            pthread_cond_wait(&j->changed, &j->lock);
            continue;
        }
        DL_DELETE(j->queue, job);
        j->queued -= job->size;
        pthread_mutex_unlock(&j->lock);
        bool done = try_job(j, job);
        pthread_mutex_lock(&j->lock);
        if (!done && !rewrite_waits(j, job->file))
            give_up(j, job->file);
        free(job);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

static void start(struct daemon_journal *j)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    j->started = !pthread_create(&j->thread, NULL, run, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- control's side ---- */

void daemon_journal_put(struct daemon_journal *j, enum host_file file, const void *bytes,
                        size_t size, bool rewrite)
{
    pthread_mutex_lock(&j->lock);
    if (rewrite) {
        drop_jobs(j, file);
        j->broken[file] = j->lost[file] = false;
    } else if (j->queued + size > QUEUE_MAX) {
        give_up(j, file);
    }
    if (!j->broken[file]) {
        struct job *job = base_calloc(1, sizeof *job + size);
        job->file = file;
        job->rewrite = rewrite;
        job->size = size;
        if (size)
            memcpy(job->bytes, bytes, size);
        DL_APPEND(j->queue, job);
        j->queued += size;
        if (!j->started)
            start(j);
        pthread_cond_signal(&j->changed);
    }
    pthread_mutex_unlock(&j->lock);
}

int daemon_journal_fd(const struct daemon_journal *j)
{
    return j->bell;
}

bool daemon_journal_lost(struct daemon_journal *j, enum host_file *ret)
{
    uint64_t rung;
    bool found = false;
    pthread_mutex_lock(&j->lock);
    for (int i = 0; i < HOST_FILES && !found; i++) {
        found = j->lost[i];
        j->lost[i] = false;
        *ret = i;
    }
    if (!found && read(j->bell, &rung, sizeof rung) < 0)
        rung = 0; /* it was quiet */
    pthread_mutex_unlock(&j->lock);
    return found;
}

void daemon_journal_free(struct daemon_journal *j)
{
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    j->ending = true;
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
    if (j->started)
        pthread_join(j->thread, NULL);
    else
        run(j);
    for (int i = 0; i < HOST_FILES; i++)
        if (j->fd[i] >= 0)
            close(j->fd[i]);
    close(j->bell);
    pthread_cond_destroy(&j->changed);
    pthread_mutex_destroy(&j->lock);
    free(j);
}
