/* Programs' questions: UDP and TCP listeners (RFC 1035, RFC 7766), answers back to whoever asked.
 *
 * The host engine knows a client by a number.  For UDP it is a slot of a ring with a generation, so
 * that a late answer to a slot that was given to somebody else since goes nowhere; for TCP the
 * number of the connection, with the top bit set.
 *
 * A client of another machine (possible when `dns.listen` is not a loopback address) is a stranger:
 * it gets answers from what stands, and starts nothing.  The local user is looked up in the kernel,
 * for the limit of handles per user. */
#include "daemon/daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "base/check.h"
#include "daemon/dns_user.h"
#include "daemon/log.h"
#include "daemon/sockaddr.h"
#include "io/clock.h"
#include "path/handle.h"

#define SLOTS       2048
#define UDP_BUDGET  64 /* questions of one listener for each turn of the loop */
#define TCP_MAX     64 /* connections                                         */
#define TCP_IDLE_MS 30000
#define TCP_UNSENT  (1 << 20) /* bytes that wait for a slow client: then it is closed */
#define TCP_CLIENT  (UINT64_C(1) << 63)

struct listener {
    struct daemon *daemon;
    int fd;
    uv_poll_t poll;
    uv_tcp_t tcp;
    bool is_tcp;
};

/* Who asked over UDP. */
struct slot {
    uint64_t id;
    int fd;
    struct endpoint remote, local;
};

struct connection {
    struct daemon *daemon;
    uint64_t id;
    uv_tcp_t tcp;
    uv_timer_t idle;
    unsigned open_handles; /* of the two above */
    struct dns_client client;
    size_t have;
    uint8_t bytes[2 + DNS_MESSAGE_MAX];
    struct connection *prev, *next;
};

struct daemon_dns {
    struct listener listener[2 * DAEMON_DNS_MAX];
    unsigned listener_count;
    struct slot slot[SLOTS];
    uint64_t asked; /* over UDP */
    struct connection *connections;
    unsigned connection_count;
    uint64_t accepted;
    uint8_t buffer[DNS_MESSAGE_MAX];
};

/* ---- who is it ---- */

static bool is_loopback(const struct ip_address *ip)
{
    static const uint8_t one[16] = {[15] = 1};
    return ip->family == 4 ? ip->bytes[0] == 127 : !memcmp(ip->bytes, one, 16);
}

static bool is_own_address(const struct ip_address *ip)
{
    struct ifaddrs *all;
    bool found = false;
    if (getifaddrs(&all))
        return false;
    for (const struct ifaddrs *a = all; a && !found; a = a->ifa_next) {
        struct endpoint e;
        found = a->ifa_addr && daemon_sockaddr_read(a->ifa_addr, &e) && ip_address_equal(&e.ip, ip);
    }
    freeifaddrs(all);
    return found;
}

static struct dns_client identify(struct daemon *d, uint64_t id, bool tcp,
                                  const struct endpoint *remote, const struct endpoint *local)
{
    struct dns_client client = {.id = id, .tcp = tcp, .user = HANDLE_NO_USER};
    client.stranger = !is_loopback(&remote->ip) && !ip_address_equal(&remote->ip, &local->ip) &&
                      !is_own_address(&remote->ip);
    if (d->options->run)
        client.user = getuid();
    else if (!client.stranger)
        client.user = daemon_dns_user(tcp, remote, local);
    return client;
}

/* ---- UDP ---- */

static struct slot *take_slot(struct daemon_dns *dns, int fd)
{
    struct slot *s = &dns->slot[dns->asked % SLOTS];
    s->id = ++dns->asked;
    s->fd = fd;
    return s;
}

/* False when there is nothing more. */
static bool receive(struct daemon *d, struct listener *l)
{
    struct daemon_dns *dns = d->dns;
    struct sockaddr_storage from;
    union {
        struct cmsghdr align;
        char bytes[256];
    } control;
    struct iovec v = {dns->buffer, sizeof dns->buffer};
    struct msghdr m = {.msg_name = &from,
                       .msg_namelen = sizeof from,
                       .msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    ssize_t n = recvmsg(l->fd, &m, MSG_DONTWAIT);
    if (n < 0)
        return errno != EAGAIN && errno != EBADF && errno != ENOTSOCK;
    struct slot *s = take_slot(dns, l->fd);
    if (!daemon_sockaddr_read((struct sockaddr *)&from, &s->remote))
        return true;
    s->local = (struct endpoint){0};
    daemon_sockaddr_read_local(&m, &s->local);
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    struct endpoint at;
    if (!getsockname(l->fd, (struct sockaddr *)&bound, &length) &&
        daemon_sockaddr_read((struct sockaddr *)&bound, &at))
        s->local.port = at.port;
    struct dns_client client = identify(d, s->id, false, &s->remote, &s->local);
    host_dns_query(d->host, clock_now(), &client, dns->buffer, (size_t)n);
    return true;
}

static void on_udp(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;
    for (unsigned i = 0; i < UDP_BUDGET && receive(l->daemon, l); i++)
        ;
    daemon_pump(l->daemon);
}

static void reply_udp(struct daemon_dns *dns, const struct host_out *out)
{
    struct slot *s = &dns->slot[(out->client.id - 1) % SLOTS];
    if (s->id != out->client.id)
        return;
    s->id = 0;
    struct sockaddr_storage to;
    union {
        struct cmsghdr align;
        char bytes[64];
    } control;
    struct iovec v = {(void *)out->bytes, out->size};
    struct msghdr m = {.msg_name = &to,
                       .msg_namelen = daemon_sockaddr_write(&s->remote, &to),
                       .msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    daemon_sockaddr_write_local(&m, &s->local);
    if (sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        daemon_log(LOG_DEBUG, "a DNS answer could not be sent: %s", strerror(errno));
}

/* ---- TCP: messages with a length in front ---- */

static void on_connection_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    if (--c->open_handles)
        return;
    free(c);
}

static void connection_close(struct connection *c)
{
    struct daemon_dns *dns = c->daemon->dns;
    if (uv_is_closing((uv_handle_t *)&c->tcp))
        return;
    DL_DELETE(dns->connections, c);
    dns->connection_count--;
    uv_close((uv_handle_t *)&c->tcp, on_connection_closed);
    uv_close((uv_handle_t *)&c->idle, on_connection_closed);
}

static void on_idle(uv_timer_t *timer)
{
    connection_close(timer->data);
}

static void on_tcp_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct connection *c = handle->data;
    *ret = uv_buf_init((char *)c->bytes + c->have, (unsigned)(sizeof c->bytes - c->have));
}

static void on_tcp_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct connection *c = stream->data;
    if (n < 0) {
        connection_close(c);
        return;
    }
    c->have += (size_t)n;
    uv_timer_again(&c->idle);
    size_t used = 0;
    while (c->have - used >= 2) {
        size_t size = (size_t)c->bytes[used] << 8 | c->bytes[used + 1];
        if (c->have - used < 2 + size)
            break;
        host_dns_query(c->daemon->host, clock_now(), &c->client, c->bytes + used + 2, size);
        used += 2 + size;
    }
    memmove(c->bytes, c->bytes + used, c->have - used);
    c->have -= used;
    daemon_pump(c->daemon);
}

static void on_tcp_sent(uv_write_t *write, int status)
{
    free(write);
}

static struct connection *connection_find(struct daemon_dns *dns, uint64_t id)
{
    struct connection *c;
    DL_FOREACH(dns->connections, c)
    if (c->id == id)
        return c;
    return NULL;
}

static void reply_tcp(struct daemon_dns *dns, const struct host_out *out)
{
    struct connection *c = connection_find(dns, out->client.id);
    if (!c || out->size > DNS_MESSAGE_MAX)
        return;
    if (uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp) > TCP_UNSENT) {
        connection_close(c);
        return;
    }
    uv_write_t *write = base_calloc(1, sizeof *write + 2 + out->size);
    uint8_t *bytes = (uint8_t *)(write + 1);
    bytes[0] = (uint8_t)(out->size >> 8);
    bytes[1] = (uint8_t)out->size;
    memcpy(bytes + 2, out->bytes, out->size);
    uv_buf_t buffer = uv_buf_init((char *)bytes, (unsigned)(2 + out->size));
    if (uv_write(write, (uv_stream_t *)&c->tcp, &buffer, 1, on_tcp_sent))
        free(write);
}

static void on_tcp_client(uv_stream_t *server, int status)
{
    struct listener *l = server->data;
    struct daemon *d = l->daemon;
    struct daemon_dns *dns = d->dns;
    struct connection *c = base_calloc(1, sizeof *c);
    c->daemon = d;
    c->id = TCP_CLIENT | ++dns->accepted;
    uv_tcp_init(&d->loop, &c->tcp);
    uv_timer_init(&d->loop, &c->idle);
    c->open_handles = 2;
    c->tcp.data = c->idle.data = c;
    DL_APPEND(dns->connections, c);
    dns->connection_count++;
    struct sockaddr_storage from, to;
    int from_size = sizeof from, to_size = sizeof to;
    struct endpoint remote, local;
    if (status || uv_accept(server, (uv_stream_t *)&c->tcp) ||
        uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&from, &from_size) ||
        uv_tcp_getsockname(&c->tcp, (struct sockaddr *)&to, &to_size) ||
        !daemon_sockaddr_read((struct sockaddr *)&from, &remote) ||
        !daemon_sockaddr_read((struct sockaddr *)&to, &local)) {
        connection_close(c);
        return;
    }
    if (dns->connection_count > TCP_MAX)
        connection_close(dns->connections); /* the oldest gives way */
    c->client = identify(d, c->id, true, &remote, &local);
    uv_timer_start(&c->idle, on_idle, TCP_IDLE_MS, TCP_IDLE_MS);
    uv_read_start((uv_stream_t *)&c->tcp, on_tcp_room, on_tcp_bytes);
}

/* ---- life ---- */

static int listen_udp(struct daemon *d, int fd)
{
    struct listener *l = &d->dns->listener[d->dns->listener_count++];
    int on = 1;
    *l = (struct listener){.daemon = d, .fd = fd};
    /* Answers leave from the address that was asked; one of the two does not apply to the socket.
     */
    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
    return daemon_watch(d, &l->poll, fd, on_udp, l);
}

static int listen_tcp(struct daemon *d, int fd)
{
    struct listener *l = &d->dns->listener[d->dns->listener_count++];
    *l = (struct listener){.daemon = d, .fd = -1, .is_tcp = true};
    uv_tcp_init(&d->loop, &l->tcp);
    l->tcp.data = l;
    int error = uv_tcp_open(&l->tcp, fd);
    return error ? error : uv_listen((uv_stream_t *)&l->tcp, TCP_MAX, on_tcp_client);
}

int daemon_dns_start(struct daemon *d, char *err, size_t size)
{
    d->dns = base_calloc(1, sizeof *d->dns);
    int error = 0;
    for (unsigned i = 0; i < DAEMON_DNS_MAX && !error; i++) {
        if (d->devices.dns_udp[i] >= 0)
            error = listen_udp(d, d->devices.dns_udp[i]);
        if (!error && d->devices.dns_tcp[i] >= 0)
            error = listen_tcp(d, d->devices.dns_tcp[i]);
        if (!error)
            d->devices.dns_udp[i] = d->devices.dns_tcp[i] = -1;
    }
    if (error)
        snprintf(err, size, "cannot serve DNS: %s", uv_strerror(error));
    return error;
}

void daemon_dns_stop(struct daemon *d)
{
    if (!d->dns)
        return;
    for (unsigned i = 0; i < d->dns->listener_count; i++) {
        struct listener *l = &d->dns->listener[i];
        uv_close(l->is_tcp ? (uv_handle_t *)&l->tcp : (uv_handle_t *)&l->poll, NULL);
        if (!l->is_tcp)
            close(l->fd);
    }
    struct connection *c, *later;
    DL_FOREACH_SAFE(d->dns->connections, c, later)
    connection_close(c);
}

void daemon_dns_reply(struct daemon *d, const struct host_out *out)
{
    if (!d->dns)
        return;
    if (out->client.id & TCP_CLIENT)
        reply_tcp(d->dns, out);
    else
        reply_udp(d->dns, out);
}
