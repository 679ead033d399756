/* Sockets let the kernel fragment (IP_PMTUDISC_OMIT): packets of i3 may be larger than an MTU, and an original expects
 * them whole.  What is sent as a train must fit, though: the kernel does not fragment its pieces.  A train that is refused
 * is sent one by one, and so is all that follows for a while: some interface on the way cannot. */
#include "daemon/i3_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/sockaddr.h"

#define MESSAGES    32
#define ROOM        65536
#define TRAIN_BYTES 65000
#define TRAIN_MOST  64
#define ALONE_FOR   1024      /* letters that go one by one after a train was refused */
#define BUFFER      (4 << 20) /* of the kernel */

/* Letters that leave in one message. */
struct train {
    struct sockaddr_storage to;
    struct iovec bytes;
    struct endpoint at;
    size_t each, last; /* size of all but the last one, and of that */
    unsigned count;
    uint8_t control[CMSG_SPACE(sizeof(uint16_t))];
};

struct i3_socket {
    int fd;
    bool v6;
    unsigned alone; /* letters left to go one by one */
    struct train train[MESSAGES];
    unsigned trains;
    struct mmsghdr out[MESSAGES], in[MESSAGES];
    struct iovec in_room[MESSAGES];
    struct sockaddr_storage from[MESSAGES];
    uint8_t in_control[MESSAGES][CMSG_SPACE(sizeof(int))];
    uint8_t *room; /* MESSAGES * ROOM */
    struct i3_socket_counters counters;
};

static void set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

static int open_fd(const struct endpoint *at)
{
    struct sockaddr_storage address;
    socklen_t length = daemon_sockaddr_write(at, &address);
    int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (at->ip.family == 6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (!bind(fd, (struct sockaddr *)&address, length))
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

int i3_socket_open(const struct endpoint *at, const char *what, struct i3_socket **ret, char *err,
                   size_t size)
{
    char text[ENDPOINT_TEXT];
    int fd = open_fd(at);
    if (fd < 0) {
        snprintf(err, size, "cannot listen for %s at %s: %s", what, endpoint_format(at, text),
                 fd == -EADDRINUSE ? "another program listens there (`ss -lunp` shows which); "
                                     "end it, or take another port"
                 : fd == -EADDRNOTAVAIL
                     ? "that is no address of this machine (`ip address` lists them)"
                     : strerror(-fd));
        return fd;
    }
    struct i3_socket *s = base_calloc(1, sizeof *s);
    s->fd = fd;
    s->v6 = at->ip.family == 6;
    s->room = base_calloc(MESSAGES, ROOM);
    if (s->v6)
        set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
    else
        set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
    set(fd, SOL_SOCKET, SO_RCVBUF, BUFFER);
    set(fd, SOL_SOCKET, SO_SNDBUF, BUFFER);
    set(fd, IPPROTO_UDP, UDP_GRO, 1);
    for (unsigned i = 0; i < MESSAGES; i++)
        s->in_room[i] = (struct iovec){s->room + (size_t)i * ROOM, ROOM};
    *ret = s;
    return 0;
}

void i3_socket_close(struct i3_socket *s)
{
    if (!s)
        return;
    close(s->fd);
    free(s->room);
    free(s);
}

int i3_socket_fd(const struct i3_socket *s)
{
    return s->fd;
}

const struct i3_socket_counters *i3_socket_counters(const struct i3_socket *s)
{
    return &s->counters;
}

/* ---- receiving ---- */

/* Size of the datagrams of a run; that of the message when it is one datagram. */
static size_t piece_of(struct msghdr *m, size_t size)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int piece;
            memcpy(&piece, CMSG_DATA(c), sizeof piece);
            return piece > 0 ? (size_t)piece : size;
        }
    return size;
}

static void hand_over(struct i3_socket *s, unsigned index, const struct i3_socket_user *user)
{
    const uint8_t *bytes = s->room + (size_t)index * ROOM;
    size_t size = s->in[index].msg_len, piece = piece_of(&s->in[index].msg_hdr, size);
    struct endpoint from;
    if (s->in[index].msg_hdr.msg_flags & MSG_TRUNC ||
        !daemon_sockaddr_read((struct sockaddr *)&s->from[index], &from)) {
        s->counters.cut++;
        return;
    }
    do {
        size_t now = size < piece ? size : piece;
        user->each(user->self, &from, bytes, now);
        bytes += now;
        size -= now;
    } while (size);
    user->pause(user->self);
}

bool i3_socket_receive(struct i3_socket *s, const struct i3_socket_user *user)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        s->in[i].msg_hdr = (struct msghdr){.msg_name = &s->from[i],
                                           .msg_namelen = sizeof s->from[i],
                                           .msg_iov = &s->in_room[i],
                                           .msg_iovlen = 1,
                                           .msg_control = s->in_control[i],
                                           .msg_controllen = sizeof s->in_control[i]};
    int n = recvmmsg(s->fd, s->in, MESSAGES, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++)
        hand_over(s, (unsigned)i, user);
    return n == MESSAGES;
}

/* ---- sending ---- */

static void make_message(struct i3_socket *s, struct train *t, struct msghdr *m)
{
    *m = (struct msghdr){.msg_name = &t->to,
                         .msg_namelen = daemon_sockaddr_write(&t->at, &t->to),
                         .msg_iov = &t->bytes,
                         .msg_iovlen = 1};
    if (t->count == 1)
        return;
    m->msg_control = t->control;
    m->msg_controllen = sizeof t->control;
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    uint16_t each = (uint16_t)t->each;
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof each);
    memcpy(CMSG_DATA(c), &each, sizeof each);
}

/* The kernel did not take it as one: one by one.  Nothing of it has left. */
static void send_alone(struct i3_socket *s, const struct train *t)
{
    const uint8_t *bytes = t->bytes.iov_base;
    for (unsigned i = 0; i < t->count; i++) {
        size_t size = i + 1 < t->count ? t->each : t->last;
        ssize_t n =
            sendto(s->fd, bytes, size, 0, (const struct sockaddr *)&t->to,
                   t->at.ip.family == 6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
        *(n < 0 ? &s->counters.failed : &s->counters.sent) += 1;
        bytes += size;
    }
}

static void refused(struct i3_socket *s, const struct train *t, int error)
{
    if (t->count > 1 && error != EAGAIN && error != ENOBUFS) {
        s->alone = ALONE_FOR;
        send_alone(s, t);
    } else {
        s->counters.failed += t->count;
    }
}

void i3_socket_flush(struct i3_socket *s)
{
    for (unsigned i = 0; i < s->trains; i++)
        make_message(s, &s->train[i], &s->out[i].msg_hdr);
    for (unsigned done = 0; done < s->trains;) {
        int n = sendmmsg(s->fd, s->out + done, s->trains - done, 0);
        if (n > 0) {
            for (int i = 0; i < n; i++)
                s->counters.sent += s->train[done + (unsigned)i].count;
            done += (unsigned)n;
        } else if (errno != EINTR) {
            refused(s, &s->train[done++], errno);
        }
    }
    s->trains = 0;
}

/* Does the letter continue the train: right behind it, same place, same size (the last may be shorter)? */
static bool continues(const struct i3_socket *s, const struct train *t,
                      const struct outbox_letter *l)
{
    return !s->alone && t->count < TRAIN_MOST && t->last == t->each && l->size <= t->each &&
           l->bytes == (const uint8_t *)t->bytes.iov_base + t->bytes.iov_len &&
           t->bytes.iov_len + l->size <= TRAIN_BYTES && endpoint_equal(&t->at, &l->to);
}

void i3_socket_put(struct i3_socket *s, const struct outbox_letter *l)
{
    struct train *t = s->trains ? &s->train[s->trains - 1] : NULL;
    if (t && continues(s, t, l)) {
        t->bytes.iov_len += l->size;
        t->last = l->size;
        t->count++;
        return;
    }
    if (s->alone)
        s->alone--;
    if (s->trains == MESSAGES)
        i3_socket_flush(s);
    t = &s->train[s->trains++];
    t->at = l->to;
    t->bytes = (struct iovec){(void *)(uintptr_t)l->bytes, l->size};
    t->each = t->last = l->size;
    t->count = 1;
}
