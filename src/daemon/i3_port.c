/* Datagrams are read and sent in batches; between them the engine runs.  The sockets let the kernel fragment: packets of
 * i3 may be larger than an MTU, and an original expects them whole. */
#include "daemon/i3_port.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "daemon/sockaddr.h"
#include "io/clock.h"

#define BATCH   64
#define ROUNDS  16 /* batches of one socket before the other one has its turn */
#define ROOM    (CHORD_MESSAGE_MAX + 64)
#define BUFFER  (4 << 20) /* of the kernel, for each socket */
#define OUTBOX  (4 << 20)
#define ROUTES  32768 /* as the original */
#define SOCKETS 2

struct daemon_i3 {
    struct i3_server *server;
    int fd[SOCKETS]; /* by enum i3_port */
    uv_poll_t poll[SOCKETS];
    uv_timer_t timer;
    bool serving;
    instant started;
    struct daemon_i3_settings settings;
    uint64_t sent, send_failed, cut;
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_room[BATCH], out_bytes[BATCH];
    struct sockaddr_storage from[BATCH], to[BATCH];
    uint8_t bytes[BATCH][ROOM];
};

void daemon_i3_settings_init(struct daemon_i3_settings *s)
{
    *s = (struct daemon_i3_settings){
        .triggers = DAEMON_I3_TRIGGERS, .per_client = 10000, .requests = 1000, .per_address = 64};
}

static int open_socket(const struct endpoint *at, const char *what, char *err, size_t size)
{
    struct sockaddr_storage address;
    char text[ENDPOINT_TEXT];
    socklen_t length = daemon_sockaddr_write(at, &address);
    bool v6 = at->ip.family == 6;
    int discover = v6 ? IPV6_PMTUDISC_OMIT : IP_PMTUDISC_OMIT, room = BUFFER;
    int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&address, length)) {
        setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER,
                   &discover, sizeof discover);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        return fd;
    }
    int error = -errno;
    snprintf(err, size, "cannot listen for %s at %s: %s", what, endpoint_format(at, text),
             error == -EADDRINUSE      ? "another program listens there"
             : error == -EADDRNOTAVAIL ? "that is no address of this machine"
                                       : strerror(-error));
    if (fd >= 0)
        close(fd);
    return error;
}

/* Its place on the ring: an address has one, whenever it comes back. */
static struct chord_id place_of(const struct endpoint *at)
{
    char text[ENDPOINT_TEXT];
    uint8_t digest[32];
    struct chord_id id;
    endpoint_format(at, text);
    crypto_sha256(text, strlen(text), digest);
    memcpy(id.bytes, digest, sizeof id.bytes);
    return id;
}

static void prepare_batches(struct daemon_i3 *i)
{
    for (unsigned k = 0; k < BATCH; k++) {
        i->in_room[k] = (struct iovec){i->bytes[k], ROOM};
        i->in[k].msg_hdr =
            (struct msghdr){.msg_name = &i->from[k], .msg_iov = &i->in_room[k], .msg_iovlen = 1};
        i->out[k].msg_hdr =
            (struct msghdr){.msg_name = &i->to[k], .msg_iov = &i->out_bytes[k], .msg_iovlen = 1};
    }
}

int daemon_i3_open(const struct daemon_i3_settings *s, struct entropy *e, struct daemon_i3 **ret,
                   char *err, size_t size)
{
    int clients = open_socket(&s->at, "clients of i3", err, size);
    if (clients < 0)
        return clients;
    int ring = open_socket(&s->ring, "the ring of i3", err, size);
    if (ring < 0) {
        close(clients);
        return ring;
    }
    struct daemon_i3 *i = base_calloc(1, sizeof *i);
    struct i3_server_settings settings = {.at = s->at,
                                          .triggers = s->triggers,
                                          .per_client = s->per_client,
                                          .requests = s->requests,
                                          .routes = ROUTES,
                                          .outbox = OUTBOX,
                                          .entropy = e};
    settings.chord = (struct chord_settings){.self.at = s->ring,
                                             .self.id = s->has_id ? s->id : place_of(&s->ring),
                                             .seeds = s->seeds,
                                             .secret = s->closed ? s->secret : NULL,
                                             .per_address = s->per_address};
    memcpy(settings.chord.seed, s->seed, sizeof s->seed);
    i->settings = *s;
    crypto_wipe(i->settings.secret, sizeof i->settings.secret);
    i->fd[I3_PORT_CLIENTS] = clients;
    i->fd[I3_PORT_RING] = ring;
    i->started = clock_now();
    i->server = i3_server_new(&settings, i->started);
    prepare_batches(i);
    *ret = i;
    return 0;
}

/* ---- sending ---- */

/* Sends `count` prepared datagrams; what the kernel does not take is counted and gone. */
static void send_batch(struct daemon_i3 *i, enum i3_port port, unsigned count)
{
    for (unsigned done = 0; done < count;) {
        int n = sendmmsg(i->fd[port], i->out + done, count - done, 0);
        if (n > 0) {
            i->sent += (unsigned)n;
            done += (unsigned)n;
        } else if (errno != EINTR) {
            i->send_failed++; /* of the first one; an original would end here */
            done++;
        }
    }
}

static void flush(struct daemon_i3 *i)
{
    struct i3_server_out out;
    enum i3_port port = I3_PORT_CLIENTS;
    unsigned count = 0;
    while (i3_server_output(i->server, &out)) {
        if (count == BATCH || (count && out.port != port)) {
            send_batch(i, port, count);
            count = 0;
        }
        port = out.port;
        i->out[count].msg_hdr.msg_namelen = daemon_sockaddr_write(&out.letter.to, &i->to[count]);
        i->out_bytes[count] = (struct iovec){(void *)(uintptr_t)out.letter.bytes, out.letter.size};
        count++;
    }
    send_batch(i, port, count);
}

/* ---- receiving ---- */

static unsigned receive(struct daemon_i3 *i, enum i3_port port, instant now)
{
    for (unsigned k = 0; k < BATCH; k++)
        i->in[k].msg_hdr.msg_namelen = sizeof i->from[k];
    int n = recvmmsg(i->fd[port], i->in, BATCH, MSG_DONTWAIT, NULL);
    for (int k = 0; k < n; k++) {
        struct endpoint from;
        if (i->in[k].msg_hdr.msg_flags & MSG_TRUNC)
            i->cut++;
        else if (daemon_sockaddr_read((struct sockaddr *)&i->from[k], &from))
            i3_server_input(i->server, now, port, &from, i->bytes[k], i->in[k].msg_len);
    }
    return n > 0 ? (unsigned)n : 0;
}

static void on_timer(uv_timer_t *timer);

static void advance(struct daemon_i3 *i, instant now)
{
    if (i3_server_deadline(i->server) <= now)
        i3_server_advance(i->server, now);
    flush(i);
    instant wait = i3_server_deadline(i->server) - now;
    uv_timer_start(&i->timer, on_timer, wait > 0 ? (uint64_t)(wait / MILLISECOND) + 1 : 1, 0);
}

static void on_timer(uv_timer_t *timer)
{
    advance(timer->data, clock_now());
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct daemon_i3 *i = poll->data;
    enum i3_port port = poll == &i->poll[I3_PORT_RING] ? I3_PORT_RING : I3_PORT_CLIENTS;
    instant now = clock_now();
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned count = receive(i, port, now);
        flush(i);
        if (count < BATCH)
            break;
    }
    advance(i, now);
}

int daemon_i3_start(struct daemon_i3 *i, uv_loop_t *loop)
{
    int error = uv_timer_init(loop, &i->timer);
    i->timer.data = i;
    for (unsigned port = 0; port < SOCKETS && !error; port++) {
        error = uv_poll_init(loop, &i->poll[port], i->fd[port]);
        i->poll[port].data = i;
        if (!error)
            error = uv_poll_start(&i->poll[port], UV_READABLE, on_readable);
    }
    i->serving = !error;
    if (!error)
        advance(i, clock_now());
    return error;
}

void daemon_i3_stop(struct daemon_i3 *i)
{
    if (!i || !i->serving)
        return;
    i->serving = false;
    uv_close((uv_handle_t *)&i->timer, NULL);
    for (unsigned port = 0; port < SOCKETS; port++)
        uv_close((uv_handle_t *)&i->poll[port], NULL);
}

void daemon_i3_free(struct daemon_i3 *i)
{
    if (!i)
        return;
    for (unsigned port = 0; port < SOCKETS; port++)
        close(i->fd[port]);
    i3_server_free(i->server);
    free(i);
}

/* ---- for people ---- */

static void describe_nodes(const struct daemon_i3 *i, instant now, struct text *json)
{
    struct chord_view view[CHORD_NODES_MAX];
    unsigned count = chord_nodes(i3_server_chord(i->server), view, CHORD_NODES_MAX);
    char id[CHORD_ID_TEXT], at[ENDPOINT_TEXT];
    text_add(json, "\"nodes\": [");
    for (unsigned k = 0; k < count; k++) {
        const char *role = k < CHORD_SUCCESSORS             ? k ? "successor" : "first successor"
                           : k + CHORD_PREDECESSORS < count ? "finger"
                                                            : "predecessor";
        if (k + 1 == count)
            role = count == 1 ? "successor and predecessor" : "predecessor";
        text_add(json, "%s{\"id\": \"%s\", \"at\": \"%s\", \"role\": \"%s\", \"rtt_us\": %u, ",
                 k ? ", " : "", chord_id_format(&view[k].node.id, id),
                 endpoint_format(&view[k].node.at, at), role, view[k].rtt_us);
        text_add(json, "\"heard_s\": %lld}", (long long)((now - view[k].heard) / SECOND));
    }
    text_add(json, "]");
}

static void describe_counters(const struct daemon_i3 *i, struct text *json)
{
    const struct i3_counters *c = i3_server_counters(i->server);
    const struct chord_counters *ring = chord_counters(i3_server_chord(i->server));
    text_add(json, "\"counters\": {");
#define ADD_COUNTER(name, about)                                                                   \
    text_add(json, "\"" #name "\": %llu, ", (unsigned long long)c->name);
    I3_COUNTERS(ADD_COUNTER)
#undef ADD_COUNTER
    text_add(json, "\"ring_routed\": %llu, \"ring_delivered\": %llu, ",
             (unsigned long long)ring->routed, (unsigned long long)ring->delivered);
    text_add(json, "\"ring_joined\": %llu, \"ring_lost\": %llu, ", (unsigned long long)ring->joined,
             (unsigned long long)ring->lost);
    text_add(json, "\"sent\": %llu, \"send_failed\": %llu, \"cut\": %llu}, \"drops\": {",
             (unsigned long long)i->sent, (unsigned long long)i->send_failed,
             (unsigned long long)i->cut);
    for (unsigned k = 0; k < I3_DROP_COUNT; k++)
        text_add(json, "%s\"%s\": %llu", k ? ", " : "", i3_drop_name((enum i3_drop)k),
                 (unsigned long long)c->drops[k]);
    text_add(json, "}, \"ring_drops\": {");
    for (unsigned k = 0; k < CHORD_DROP_COUNT; k++)
        text_add(json, "%s\"%s\": %llu", k ? ", " : "", chord_drop_name((enum chord_drop)k),
                 (unsigned long long)ring->drops[k]);
    text_add(json, "}");
}

void daemon_i3_describe(const struct daemon_i3 *i, struct text *json)
{
    const struct chord *chord = i3_server_chord(i->server);
    char id[CHORD_ID_TEXT], from[CHORD_ID_TEXT], at[ENDPOINT_TEXT], ring[ENDPOINT_TEXT];
    struct chord_id behind = chord_range_from(chord);
    instant now = clock_now();
    text_add(json, "{\"at\": \"%s\", \"ring\": \"%s\", \"id\": \"%s\", ",
             endpoint_format(&i->settings.at, at), endpoint_format(&i->settings.ring, ring),
             chord_id_format(&chord_self(chord)->id, id));
    text_add(json, "\"settled\": %s, \"secret\": %s, \"range_behind\": \"%s\", ",
             chord_is_settled(chord) ? "true" : "false", i->settings.closed ? "true" : "false",
             chord_id_format(&behind, from));
    text_add(json, "\"triggers\": %u, \"most_triggers\": %u, \"uptime_s\": %lld, ",
             i3_server_triggers(i->server), i->settings.triggers,
             (long long)((now - i->started) / SECOND));
    describe_nodes(i, now, json);
    text_add(json, ", ");
    describe_counters(i, json);
    text_add(json, "}");
}
