/* The daemon's end: one question at a time, and its answer waited for.  An answer that comes after
 * its time limit is known by its serial, and its descriptors are closed. */
#include "helper/call.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "helper/helper.h"

#define TIME_LIMIT_MS 10000

struct helper {
    int fd, lock;
    uint32_t serial;
};

struct helper *helper_new(int fd, int lock)
{
    struct helper *h = base_calloc(1, sizeof *h);
    h->fd = fd;
    h->lock = lock;
    return h;
}

void helper_free(struct helper *h)
{
    if (!h)
        return;
    close(h->fd);
    close(h->lock);
    free(h);
}

int helper_fd(const struct helper *h)
{
    return h->fd;
}

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Takes the descriptors out of a message; returns how many. */
static unsigned fds_take(struct msghdr *message, int fds[HELPER_FDS_MAX])
{
    unsigned count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (count < HELPER_FDS_MAX)
                fds[count++] = fd;
            else
                close(fd);
        }
    }
    return count;
}

/* 0, -EAGAIN for the answer to an older question, or a failure. */
static int reply_receive(struct helper *h, const struct helper_request *q,
                         struct helper_reply *reply, int fds[HELPER_FDS_MAX])
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(HELPER_FDS_MAX * sizeof(int))];
    } control;
    struct iovec piece = {.iov_base = reply, .iov_len = sizeof *reply};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    ssize_t n = recvmsg(h->fd, &message, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    if (n == 0)
        return -EPIPE;
    unsigned count = fds_take(&message, fds);
    int r = helper_reply_check(reply, (size_t)n, q);
    if (r == 0 && count == reply->fds)
        return 0;
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    bool older = (size_t)n == sizeof *reply && (int32_t)(reply->serial - q->serial) < 0;
    return older ? -EAGAIN : -EPROTO;
}

static int reply_wait(struct helper *h, const struct helper_request *q, struct helper_reply *reply,
                      int fds[HELPER_FDS_MAX])
{
    int64_t until = clock_ms() + TIME_LIMIT_MS;
    for (;;) {
        int64_t left = until - clock_ms();
        struct pollfd watch = {.fd = h->fd, .events = POLLIN};
        int n = left > 0 ? poll(&watch, 1, (int)left) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ETIMEDOUT;
        int r = reply_receive(h, q, reply, fds);
        if (r != -EAGAIN)
            return r;
    }
}

/* On success the descriptors are in `fds` (reply->fds of them); the caller owns them. */
static int ask(struct helper *h, struct helper_request *q, enum helper_verb verb,
               struct helper_reply *reply, int fds[HELPER_FDS_MAX], char *err, size_t size)
{
    q->version = HELPER_MSG_VERSION;
    q->verb = verb;
    q->serial = ++h->serial;
    int r = 0;
    if (send(h->fd, q, sizeof *q, MSG_NOSIGNAL) != (ssize_t)sizeof *q)
        r = errno ? -errno : -EIO;
    if (r == 0)
        r = reply_wait(h, q, reply, fds);
    if (r < 0) {
        const char *why = r == -EPIPE || r == -ECONNRESET ? "the helper process has ended"
                          : r == -ETIMEDOUT               ? "the helper process does not answer"
                                                          : strerror(-r);
        if (err)
            snprintf(err, size, "cannot %s: %s", helper_verb_text(verb), why);
        return r;
    }
    if (reply->error && err)
        snprintf(err, size, "%s", reply->text);
    return reply->error;
}

static int ask_fd(struct helper *h, struct helper_request *q, enum helper_verb verb, int *ret_fd,
                  char *err, size_t size)
{
    struct helper_reply reply;
    int fds[HELPER_FDS_MAX];
    int r = ask(h, q, verb, &reply, fds, err, size);
    if (r < 0)
        return r;
    for (uint32_t i = 1; i < reply.fds; i++)
        close(fds[i]);
    if (reply.fds == 0) {
        if (err)
            snprintf(err, size, "cannot %s: the helper sent no descriptor", helper_verb_text(verb));
        return -EPROTO;
    }
    *ret_fd = fds[0];
    return 0;
}

int helper_tun_open(struct helper *h, const struct helper_tun_request *request,
                    struct helper_tun *ret, char *err, size_t size)
{
    struct helper_request q = {.tun = *request};
    struct helper_reply reply;
    struct helper_tun tun = {0};
    int r = ask(h, &q, HELPER_TUN_OPEN, &reply, tun.fd, err, size);
    if (r < 0)
        return r;
    memcpy(tun.name, reply.tun.name, sizeof tun.name);
    tun.index = reply.tun.index;
    tun.queues = reply.fds;
    tun.v6 = reply.tun.v6;
    tun.checksum_offload = reply.tun.checksum_offload;
    *ret = tun;
    return 0;
}

int helper_route_check(struct helper *h, const struct ip_prefix *prefix, const char *tun_name,
                       bool only_routes, enum helper_range *ret, char *text, size_t size)
{
    struct helper_request q = {.route = {.prefix = *prefix, .only_routes = only_routes}};
    struct helper_reply reply;
    int fds[HELPER_FDS_MAX];
    if (tun_name)
        snprintf(q.route.tun_name, sizeof q.route.tun_name, "%s", tun_name);
    int r = ask(h, &q, HELPER_ROUTE_CHECK, &reply, fds, text, size);
    if (r < 0)
        return r;
    if (text)
        snprintf(text, size, "%s", reply.text);
    *ret = (enum helper_range)reply.route.use;
    return 0;
}

int helper_listen(struct helper *h, const struct helper_listen_request *request, int *ret_fd,
                  char *err, size_t size)
{
    struct helper_request q = {.listen = *request};
    return ask_fd(h, &q, HELPER_LISTEN, ret_fd, err, size);
}

static int ask_upstreams(struct helper *h, struct helper_request *q, enum helper_verb verb,
                         struct helper_upstreams *ret, char *err, size_t size)
{
    struct helper_reply reply;
    int fds[HELPER_FDS_MAX];
    int r = ask(h, q, verb, &reply, fds, err, size);
    if (r < 0)
        return r;
    *ret = reply.upstreams;
    return 0;
}

int helper_dns_set(struct helper *h, const struct helper_dns_request *request,
                   struct helper_upstreams *ret, char *err, size_t size)
{
    struct helper_request q = {.dns = *request};
    return ask_upstreams(h, &q, HELPER_DNS_SET, ret, err, size);
}

int helper_dns_upstreams(struct helper *h, struct helper_upstreams *ret, char *err, size_t size)
{
    struct helper_request q = {0};
    return ask_upstreams(h, &q, HELPER_DNS_UPSTREAMS, ret, err, size);
}

int helper_dns_unset(struct helper *h, char *err, size_t size)
{
    struct helper_request q = {0};
    struct helper_reply reply;
    int fds[HELPER_FDS_MAX];
    return ask(h, &q, HELPER_DNS_UNSET, &reply, fds, err, size);
}

int helper_dns_sockets(struct helper *h, const struct helper_sockets_request *request,
                       int ret_fd[HELPER_FDS_MAX], char *err, size_t size)
{
    struct helper_request q = {.sockets = *request};
    struct helper_reply reply;
    int r = ask(h, &q, HELPER_DNS_SOCKETS, &reply, ret_fd, err, size);
    return r < 0 ? r : (int)reply.fds;
}

int helper_control_listen(struct helper *h, int *ret_fd, char *err, size_t size)
{
    struct helper_request q = {0};
    return ask_fd(h, &q, HELPER_CONTROL_LISTEN, ret_fd, err, size);
}

int helper_file_open(struct helper *h, const char *path, int *ret_fd, char *err, size_t size)
{
    struct helper_request q = {0};
    if (strlen(path) >= sizeof q.file.path) {
        if (err)
            snprintf(err, size, "cannot open %s: the path is too long", path);
        return -ENAMETOOLONG;
    }
    memcpy(q.file.path, path, strlen(path) + 1);
    return ask_fd(h, &q, HELPER_FILE_OPEN, ret_fd, err, size);
}

int helper_stop(struct helper *h)
{
    struct helper_request q = {0};
    struct helper_reply reply;
    int fds[HELPER_FDS_MAX];
    return ask(h, &q, HELPER_STOP, &reply, fds, NULL, 0);
}
