/* Questions to the previous resolvers: each in a socket of its own, connected, from a port that the
 * kernel draws at random, so that a forged answer has to guess port and id.  A socket ends with its
 * answer, with an error (which the engine is told, so that it tries the next server at once), or
 * after a while. */
#include "daemon/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "base/check.h"
#include "daemon/log.h"
#include "daemon/sockaddr.h"
#include "io/clock.h"

#define EXCHANGES_MAX 256
#define UDP_LIFE_MS   6000
#define TCP_LIFE_MS   10000

struct exchange {
    struct daemon *daemon;
    uint32_t id; /* the host's */
    unsigned server;
    bool is_tcp, over;
    int fd; /* UDP */
    uv_poll_t poll;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uv_timer_t life;
    unsigned open_handles;
    uint8_t
        question_id[2]; /* first bytes of the question: a stray answer does not end the exchange */
    uint8_t *sending;   /* TCP: length and question */
    size_t sending_size;
    uint8_t *bytes; /* TCP: what came so far */
    size_t have;
    struct exchange *prev, *next;
};

/* Sockets made by the helper, for mode intercept: not led back to ourselves.  By family and
 * transport. */
struct stock {
    int fd[HELPER_FDS_MAX];
    unsigned count;
};

struct daemon_upstream {
    struct stock stock[2][HELPER_TRANSPORT_COUNT]; /* [is IPv6] */
    struct exchange *exchanges;                    /* oldest first */
    unsigned count;
    uint8_t buffer[DNS_MESSAGE_MAX];
};

static void on_closed(uv_handle_t *handle)
{
    struct exchange *x = handle->data;
    if (--x->open_handles)
        return;
    free(x->sending);
    free(x->bytes);
    free(x);
}

static void finish(struct exchange *x)
{
    struct daemon_upstream *u = x->daemon->upstreams;
    if (x->over)
        return;
    x->over = true;
    DL_DELETE(u->exchanges, x);
    u->count--;
    if (x->open_handles > 1) /* else it did not come to the socket */
        uv_close(x->is_tcp ? (uv_handle_t *)&x->tcp : (uv_handle_t *)&x->poll, on_closed);
    uv_close((uv_handle_t *)&x->life, on_closed);
    if (!x->is_tcp && x->fd >= 0)
        close(x->fd);
}

static void fail(struct exchange *x, const char *why)
{
    struct daemon *d = x->daemon;
    char reason[160], at[ENDPOINT_TEXT];
    if (x->over)
        return;
    snprintf(reason, sizeof reason, "%s: %s", endpoint_format(&d->upstream[x->server], at), why);
    uint32_t id = x->id;
    finish(x);
    host_dns_upstream_failed(d->host, clock_now(), id, reason);
}

static void answered(struct exchange *x, const uint8_t *bytes, size_t size)
{
    struct daemon *d = x->daemon;
    host_dns_upstream(d->host, clock_now(), x->server, bytes, size);
    if (size >= 2 && !memcmp(bytes, x->question_id, 2))
        finish(x);
    daemon_pump(d);
}

static void on_life_over(uv_timer_t *timer)
{
    struct exchange *x = timer->data;
    finish(x); /* the engine has its own, shorter patience */
}

static void on_udp(uv_poll_t *poll, int status, int events)
{
    struct exchange *x = poll->data;
    struct daemon *d = x->daemon;
    ssize_t n = recv(x->fd, d->upstreams->buffer, sizeof d->upstreams->buffer, MSG_DONTWAIT);
    if (n >= 0) {
        answered(x, d->upstreams->buffer, (size_t)n);
    } else if (errno != EAGAIN && errno != EINTR) {
        fail(x, strerror(errno));
        daemon_pump(d);
    }
}

static void on_tcp_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct exchange *x = handle->data;
    if (!x->bytes)
        x->bytes = base_calloc(1, 2 + DNS_MESSAGE_MAX);
    *ret = uv_buf_init((char *)x->bytes + x->have, (unsigned)(2 + DNS_MESSAGE_MAX - x->have));
}

static void on_tcp_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct exchange *x = stream->data;
    struct daemon *d = x->daemon;
    if (n < 0) {
        fail(x, uv_strerror((int)n));
        daemon_pump(d);
        return;
    }
    x->have += (size_t)n;
    size_t size = x->have >= 2 ? (size_t)x->bytes[0] << 8 | x->bytes[1] : SIZE_MAX - 2;
    if (x->have < size + 2)
        return;
    x->have = 0; /* one answer for one question; a stray one is read over */
    answered(x, x->bytes + 2, size);
}

static void on_tcp_sent(uv_write_t *write, int status)
{
    struct exchange *x = write->data;
    if (status && status != UV_ECANCELED) {
        fail(x, uv_strerror(status));
        daemon_pump(x->daemon);
    }
}

static void on_tcp_connected(uv_connect_t *connect, int status)
{
    struct exchange *x = connect->data;
    if (x->over)
        return;
    uv_buf_t buffer = uv_buf_init((char *)x->sending, (unsigned)x->sending_size);
    x->write.data = x;
    if (!status)
        status = uv_read_start((uv_stream_t *)&x->tcp, on_tcp_room, on_tcp_bytes);
    if (!status)
        status = uv_write(&x->write, (uv_stream_t *)&x->tcp, &buffer, 1, on_tcp_sent);
    if (status) {
        fail(x, uv_strerror(status));
        daemon_pump(x->daemon);
    }
}

/* A new socket, or one of the helper's. */
static int socket_take(struct daemon *d, int family, enum helper_transport transport)
{
    struct stock *s = &d->upstreams->stock[family == AF_INET6][transport];
    char err[HELPER_ERROR_TEXT];
    if (!daemon_dns_mode_intercepts(d)) {
        int type = transport == HELPER_UDP ? SOCK_DGRAM : SOCK_STREAM;
        int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        return fd < 0 ? -errno : fd;
    }
    if (s->count == 0) {
        struct helper_sockets_request q = {
            .transport = transport, .family = family == AF_INET6 ? 6 : 4, .count = HELPER_FDS_MAX};
        int count = d->helper ? helper_dns_sockets(d->helper, &q, s->fd, err, sizeof err) : -EPIPE;
        if (count <= 0)
            return count < 0 ? count : -EIO;
        s->count = (unsigned)count;
    }
    return s->fd[--s->count];
}

static int start_udp(struct exchange *x, const struct sockaddr *to, socklen_t to_size,
                     const uint8_t *bytes, size_t size)
{
    x->fd = socket_take(x->daemon, to->sa_family, HELPER_UDP);
    if (x->fd < 0)
        return x->fd;
    int error = daemon_watch(x->daemon, &x->poll, x->fd, on_udp, x);
    if (error)
        return error;
    x->open_handles++;
    if (connect(x->fd, to, to_size) || send(x->fd, bytes, size, MSG_NOSIGNAL) < 0)
        return -errno;
    return 0;
}

static int start_tcp(struct exchange *x, const struct sockaddr *to, const uint8_t *bytes,
                     size_t size)
{
    uv_tcp_init(&x->daemon->loop, &x->tcp);
    x->open_handles++;
    x->tcp.data = x->connect.data = x;
    x->sending_size = size + 2;
    x->sending = base_calloc(1, x->sending_size);
    x->sending[0] = (uint8_t)(size >> 8);
    x->sending[1] = (uint8_t)size;
    memcpy(x->sending + 2, bytes, size);
    int fd = socket_take(x->daemon, to->sa_family, HELPER_TCP);
    if (fd < 0)
        return fd;
    int error = uv_tcp_open(&x->tcp, fd);
    if (error) {
        close(fd);
        return error;
    }
    return uv_tcp_connect(&x->connect, &x->tcp, to, on_tcp_connected);
}

static struct exchange *exchange_new(struct daemon *d, const struct host_out *out)
{
    struct daemon_upstream *u = d->upstreams;
    if (u->count >= EXCHANGES_MAX)
        finish(u->exchanges);
    struct exchange *x = base_calloc(1, sizeof *x);
    x->daemon = d;
    x->id = out->upstream_id;
    x->server = out->server;
    x->is_tcp = out->tcp;
    memcpy(x->question_id, out->bytes, 2);
    uv_timer_init(&d->loop, &x->life);
    x->life.data = x;
    x->open_handles = 1;
    DL_APPEND(u->exchanges, x);
    u->count++;
    return x;
}

void daemon_upstream_send(struct daemon *d, instant now, const struct host_out *out)
{
    struct sockaddr_storage to;
    uint32_t id = out->upstream_id;
    if (!d->upstreams || out->server >= d->upstream_count || out->size < 2 ||
        out->size > DNS_MESSAGE_MAX) {
        host_dns_upstream_failed(d->host, now, id, "no such server");
        return;
    }
    socklen_t to_size = daemon_sockaddr_write(&d->upstream[out->server], &to);
    struct exchange *x = exchange_new(d, out);
    int error = x->is_tcp ? start_tcp(x, (struct sockaddr *)&to, out->bytes, out->size)
                          : start_udp(x, (struct sockaddr *)&to, to_size, out->bytes, out->size);
    if (!error) {
        uv_timer_start(&x->life, on_life_over, x->is_tcp ? TCP_LIFE_MS : UDP_LIFE_MS, 0);
        return;
    }
    fail(x, uv_strerror(error));
}

int daemon_upstream_start(struct daemon *d)
{
    d->upstreams = base_calloc(1, sizeof *d->upstreams);
    return 0;
}

void daemon_upstream_stop(struct daemon *d)
{
    if (!d->upstreams)
        return;
    while (d->upstreams->exchanges)
        finish(d->upstreams->exchanges);
    for (unsigned i = 0; i < 2 * HELPER_TRANSPORT_COUNT; i++) {
        struct stock *s =
            &d->upstreams->stock[i / HELPER_TRANSPORT_COUNT][i % HELPER_TRANSPORT_COUNT];
        while (s->count)
            close(s->fd[--s->count]);
    }
}
