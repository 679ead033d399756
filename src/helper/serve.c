/* One loop over two descriptors: the daemon's socket and the signals.
 *
 * The daemon's death shows twice, as the end of its socket and as SIGCHLD; whichever comes first,
 * everything is undone at once, and the process ends when the daemon has been reaped.  Signals that
 * mean the daemon are passed on.  A terminal sends its interrupt to both processes, so that one is
 * not passed on a second time. */
#include "helper/serve.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "linux/sandbox.h"

void serve_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGCHLD);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
    sigaddset(ret, SIGQUIT);
}

static int act_on(struct serve *s, const struct helper_request *q, struct helper_reply *reply,
                  int *fds)
{
    struct act *a = &s->act;
    switch ((enum helper_verb)q->verb) {
    case HELPER_TUN_OPEN:
        return act_tun_open(a, &q->tun, reply, fds);
    case HELPER_ROUTE_CHECK:
        return act_route_check(a, &q->route, reply);
    case HELPER_LISTEN:
        return act_listen(a, &q->listen, reply, fds);
    case HELPER_DNS_SET:
        return act_dns_set(a, &q->dns, reply);
    case HELPER_DNS_UNSET:
        return act_dns_unset(a, reply);
    case HELPER_DNS_UPSTREAMS:
        return act_dns_upstreams(a, reply);
    case HELPER_DNS_SOCKETS:
        return act_dns_sockets(a, &q->sockets, reply, fds);
    case HELPER_CONTROL_LISTEN:
        return act_control_listen(a, reply, fds);
    case HELPER_FILE_OPEN:
        return act_file_open(a, q->file.path, reply, fds);
    case HELPER_STOP:
        s->stopped = true;
        return journal_undo(a->journal, true);
    case HELPER_VERB_NONE:
    case HELPER_VERB_COUNT:
        break;
    }
    return -EPROTO;
}

static void reply_send(int fd, const struct helper_reply *reply, const int *fds)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(HELPER_FDS_MAX * sizeof(int))];
    } control = {0};
    struct iovec piece = {.iov_base = (void *)reply, .iov_len = sizeof *reply};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (reply->fds) {
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(reply->fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(reply->fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, reply->fds * sizeof(int));
    }
    /* A daemon that is gone shows at the next look at the socket. */
    (void)!sendmsg(fd, &message, MSG_NOSIGNAL);
    for (uint32_t i = 0; i < reply->fds; i++)
        close(fds[i]);
}

static void answer(struct serve *s, const struct helper_request *q, size_t size)
{
    const char *reason;
    int fds[HELPER_FDS_MAX];
    struct helper_reply reply = {.version = HELPER_MSG_VERSION};
    if (size >= offsetof(struct helper_request, tun)) {
        reply.verb = q->verb;
        reply.serial = q->serial;
    }
    int r = helper_request_check(q, size, &reason);
    if (r < 0) {
        strncpy(reply.text, reason, sizeof reply.text - 1);
    } else if (s->stopped) {
        r = -ESHUTDOWN;
        strcpy(reply.text, "the helper is stopping");
    } else {
        r = act_on(s, q, &reply, fds);
        if (r < 0 && reply.text[0] == '\0')
            strncpy(reply.text, strerror(-r), sizeof reply.text - 1);
    }
    reply.error = r < 0 ? r : 0;
    reply_send(s->fd, &reply, fds);
}

static void daemon_gone(struct serve *s)
{
    if (s->fd < 0)
        return;
    close(s->fd);
    s->fd = -1;
    journal_undo(s->act.journal, s->stopped);
}

static void socket_read(struct serve *s)
{
    struct helper_request q = {0};
    ssize_t n = recv(s->fd, &q, sizeof q, MSG_TRUNC);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0)
        daemon_gone(s);
    else
        answer(s, &q, (size_t)n);
}

static void daemon_reap(struct serve *s)
{
    int status;
    if (waitpid(s->daemon, &status, WNOHANG) != s->daemon)
        return;
    daemon_gone(s);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void signal_read(struct serve *s, int fd)
{
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof info) != sizeof info)
        return;
    bool from_terminal = info.ssi_code == SI_KERNEL;
    if (info.ssi_signo == SIGCHLD)
        daemon_reap(s);
    else if (!from_terminal && (pid_t)info.ssi_pid != s->daemon)
        kill(s->daemon, (int)info.ssi_signo);
}

void serve_run(struct serve *s)
{
    sigset_t signals;
    serve_signals(&signals);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_NAME, "ocalad-helper", 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    struct linux_sandbox sandbox;
    if (linux_sandbox_helper(&sandbox)) {
        daemon_gone(s);
        _exit(EXIT_FAILURE);
    }
    int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        daemon_gone(s);
        _exit(EXIT_FAILURE);
    }
    for (;;) {
        struct pollfd watch[2] = {{.fd = fd, .events = POLLIN}, {.fd = s->fd, .events = POLLIN}};
        if (poll(watch, 2, -1) < 0 && errno != EINTR)
            daemon_gone(s);
        /* The socket first: what the daemon still asked for before it ended is answered before it
         * is undone. */
        if (s->fd >= 0 && watch[1].revents)
            socket_read(s);
        else if (watch[0].revents)
            signal_read(s, fd);
    }
}
