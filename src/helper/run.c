/* The daemon's side of `ocala run`: the fork, what comes back from the child, signals and the end.
 */
#include "helper/run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper/run_inside.h"

static void child_clear(struct run_child *child)
{
    *child = (struct run_child){.pid = -1, .tun_fd = -1, .go_fd = -1};
    for (int i = 0; i < RUN_DNS_COUNT; i++)
        child->dns_fd[i] = -1;
}

static void close_and_forget(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void reap(struct run_child *child)
{
    int status;
    while (child->pid > 0 && waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        ;
    child->pid = -1;
}

static unsigned fds_take(struct msghdr *message, int fds[RUN_FDS])
{
    unsigned count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here && count < RUN_FDS; i++)
            memcpy(&fds[count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    return count;
}

/* Fills the child's descriptors from its report. */
static int report_receive(struct run_child *child, struct run_report *report)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(RUN_FDS * sizeof(int))];
    } control;
    struct iovec piece = {.iov_base = report, .iov_len = sizeof *report};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    ssize_t n;
    do {
        n = recvmsg(child->go_fd, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof *report)
        return n < 0 ? -errno : -EPIPE;
    int fds[RUN_FDS];
    unsigned count = fds_take(&message, fds), used = 0;
    report->text[sizeof report->text - 1] = '\0';
    if (used < count)
        child->tun_fd = fds[used++];
    for (int i = 0; i < RUN_DNS_COUNT; i++) {
        if (report->dns[i] && used < count)
            child->dns_fd[i] = fds[used++];
    }
    if (report->error)
        return report->error;
    return child->tun_fd >= 0 && child->dns_fd[RUN_DNS_UDP4] >= 0 ? 0 : -EPROTO;
}

int run_child_start(const struct run_request *request, struct run_child *ret, char *err,
                    size_t size)
{
    struct run_child child;
    struct run_report report = {0};
    int pair[2];
    child_clear(&child);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        snprintf(err, size, "cannot create a socket for the program's sandbox: %s",
                 strerror(errno));
        return -errno;
    }
    child.pid = fork();
    if (child.pid == 0) {
        close(pair[0]);
        run_inside(request, pair[1]);
    }
    close(pair[1]);
    child.go_fd = pair[0];
    int r = child.pid < 0 ? -errno : report_receive(&child, &report);
    if (r < 0) {
        snprintf(err, size, "%s", report.text[0] ? report.text : strerror(-r));
        run_child_done(&child);
        reap(&child);
        return r;
    }
    *ret = child;
    return 0;
}

int run_child_go(struct run_child *child)
{
    ssize_t n = send(child->go_fd, "", 1, MSG_NOSIGNAL);
    int r = n < 0 ? -errno : 0;
    close_and_forget(&child->go_fd);
    return r;
}

void run_signals_ignore(void)
{
    static const int signals[] = {SIGINT, SIGQUIT, SIGTTOU};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], SIG_IGN);
}

void run_child_signal(const struct run_child *child, int number)
{
    if (child->pid > 0)
        kill(child->pid, number);
}

bool run_child_ended(struct run_child *child, int *ret_status)
{
    int status;
    if (child->pid <= 0 || waitpid(child->pid, &status, WNOHANG) != child->pid)
        return false;
    child->pid = -1;
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

void run_child_done(struct run_child *child)
{
    if (child->pid == 0 && child->tun_fd == 0 && child->go_fd == 0)
        return; /* zeroed, never started */
    close_and_forget(&child->go_fd);
    close_and_forget(&child->tun_fd);
    for (int i = 0; i < RUN_DNS_COUNT; i++)
        close_and_forget(&child->dns_fd[i]);
}
