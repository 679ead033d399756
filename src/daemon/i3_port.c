/* The engine between two sockets: what comes in on one leaves by either, a message of the kernel at a time. */
#include "daemon/i3_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "daemon/i3_socket.h"
#include "daemon/i3_watch.h"
#include "io/clock.h"

#define ROUNDS     16 /* batches of one socket before the next one has its turn */
#define OUTBOX     (4 << 20)
#define REMEMBERED 32768 /* as many as the original knows the servers of */
#define SOCKETS    4

/* A socket for each port and each family: those that there are. */
struct door {
    struct daemon_i3 *server;
    enum i3_port port;
    struct i3_socket *socket;
    uv_poll_t poll;
};

struct daemon_i3 {
    struct i3_server *server;
    struct door door[SOCKETS];
    unsigned doors;
    struct i3_socket *by[2][2]; /* by enum i3_port, and whether it is IPv6; or NULL */
    enum i3_port reading;
    instant now; /* of what is being read */
    struct i3_watch watch;
    uv_timer_t timer;
    bool serving;
    instant started;
    struct daemon_i3_settings settings;
};

void daemon_i3_settings_init(struct daemon_i3_settings *s)
{
    *s = (struct daemon_i3_settings){
        .triggers = DAEMON_I3_TRIGGERS, .per_client = 10000, .requests = 1000, .per_address = 64};
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

static int door_open(struct daemon_i3 *i, enum i3_port port, const struct endpoint *at, char *err,
                     size_t size)
{
    static const char *const what[] = {"clients of i3", "the ring of i3"};
    struct door *d = &i->door[i->doors];
    int error = i3_socket_open(at, what[port], &d->socket, err, size);
    if (error)
        return error;
    d->server = i;
    d->port = port;
    i->by[port][at->ip.family == 6] = d->socket;
    i->doors++;
    return 0;
}

/* In an open ring servers speak IPv4 only. */
static int doors_open(struct daemon_i3 *i, const struct daemon_i3_settings *s, char *err,
                      size_t size)
{
    struct endpoint also_ring = s->also;
    also_ring.port = s->ring.port;
    int error = door_open(i, I3_PORT_CLIENTS, &s->at, err, size);
    if (!error)
        error = door_open(i, I3_PORT_RING, &s->ring, err, size);
    if (!error && s->also.ip.family)
        error = door_open(i, I3_PORT_CLIENTS, &s->also, err, size);
    if (!error && s->also.ip.family && s->closed)
        error = door_open(i, I3_PORT_RING, &also_ring, err, size);
    return error;
}

int daemon_i3_open(const struct daemon_i3_settings *s, struct entropy *e, struct daemon_i3 **ret,
                   char *err, size_t size)
{
    struct daemon_i3 *i = base_calloc(1, sizeof *i);
    int error = doors_open(i, s, err, size);
    if (error) {
        daemon_i3_free(i);
        return error;
    }
    struct i3_server_settings settings = {.at = s->at,
                                          .also = s->also,
                                          .triggers = s->triggers,
                                          .per_client = s->per_client,
                                          .requests = s->requests,
                                          .remembered = REMEMBERED,
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
    i->started = clock_now();
    i->server = i3_server_new(&settings, i->started);
    *ret = i;
    return 0;
}

/* ---- packets ---- */

static void flush(struct daemon_i3 *i)
{
    struct i3_server_out out;
    /* The engine sends to families only that it was given an address of. */
    while (i3_server_output(i->server, &out))
        i3_socket_put(i->by[out.port][out.letter.to.ip.family == 6], &out.letter);
    /* What was put lies in the engine's memory: it leaves before the engine hears more. */
    for (unsigned k = 0; k < i->doors; k++)
        i3_socket_flush(i->door[k].socket);
}

static void on_datagram(void *self, const struct endpoint *from, const uint8_t *bytes, size_t size)
{
    struct daemon_i3 *i = self;
    i3_server_input(i->server, i->now, i->reading, from, bytes, size);
    if (i->reading == I3_PORT_RING)
        i3_watch_heard(&i->watch, i->server, from);
}

static void on_message(void *self)
{
    flush(self);
}

static void on_timer(uv_timer_t *timer);

static void advance(struct daemon_i3 *i, instant now)
{
    if (i3_server_deadline(i->server) <= now) {
        i3_server_advance(i->server, now);
        i3_watch_advance(&i->watch, i->server, now, i->settings.seed, i->settings.seeds);
    }
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
    const struct door *d = poll->data;
    struct daemon_i3 *i = d->server;
    const struct i3_socket_user user = {i, on_datagram, on_message};
    i->reading = d->port;
    i->now = clock_now();
    for (unsigned round = 0; round < ROUNDS; round++)
        if (!i3_socket_receive(d->socket, &user))
            break;
    advance(i, i->now);
}

int daemon_i3_start(struct daemon_i3 *i, uv_loop_t *loop)
{
    int error = uv_timer_init(loop, &i->timer);
    i->timer.data = i;
    for (struct door *d = i->door; d < i->door + i->doors && !error; d++) {
        error = uv_poll_init(loop, &d->poll, i3_socket_fd(d->socket));
        d->poll.data = d;
        if (!error)
            error = uv_poll_start(&d->poll, UV_READABLE, on_readable);
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
    for (unsigned k = 0; k < i->doors; k++)
        uv_close((uv_handle_t *)&i->door[k].poll, NULL);
}

void daemon_i3_free(struct daemon_i3 *i)
{
    if (!i)
        return;
    for (unsigned k = 0; k < i->doors; k++)
        i3_socket_close(i->door[k].socket);
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

static struct i3_socket_counters all_sockets(const struct daemon_i3 *i)
{
    struct i3_socket_counters sum = {0};
    for (unsigned k = 0; k < i->doors; k++) {
        const struct i3_socket_counters *more = i3_socket_counters(i->door[k].socket);
        sum.sent += more->sent;
        sum.failed += more->failed;
        sum.cut += more->cut;
    }
    return sum;
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
#define ADD_COUNTER(name, about)                                                                   \
    text_add(json, "\"ring_" #name "\": %llu, ", (unsigned long long)ring->name);
    CHORD_COUNTERS(ADD_COUNTER)
#undef ADD_COUNTER
    struct i3_socket_counters sum = all_sockets(i);
    text_add(json, "\"sent\": %llu, \"send_failed\": %llu, \"cut\": %llu}, \"drops\": {",
             (unsigned long long)sum.sent, (unsigned long long)sum.failed,
             (unsigned long long)sum.cut);
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
    if (i->settings.also.ip.family)
        text_add(json, "\"also\": \"%s\", ", endpoint_format(&i->settings.also, at));
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

static void drops_metrics(const struct daemon_i3 *i,
                          void (*add)(void *context, const char *name, uint64_t value),
                          void *context)
{
    const struct i3_counters *c = i3_server_counters(i->server);
    const struct chord_counters *ring = chord_counters(i3_server_chord(i->server));
    char name[64];
    for (unsigned k = 0; k < I3_DROP_COUNT; k++) {
        snprintf(name, sizeof name, "i3_server.drop.%s", i3_drop_name((enum i3_drop)k));
        add(context, name, c->drops[k]);
    }
    for (unsigned k = 0; k < CHORD_DROP_COUNT; k++) {
        snprintf(name, sizeof name, "i3_ring.drop.%s", chord_drop_name((enum chord_drop)k));
        add(context, name, ring->drops[k]);
    }
}

void daemon_i3_metrics(const struct daemon_i3 *i,
                       void (*add)(void *context, const char *name, uint64_t value), void *context)
{
    const struct chord *chord = i3_server_chord(i->server);
    const struct i3_counters *c = i3_server_counters(i->server);
    const struct chord_counters *ring = chord_counters(chord);
    const struct i3_table_gauges table = i3_server_gauges(i->server);
    const struct chord_gauges place = chord_gauges(chord);
    const struct i3_socket_counters sockets = all_sockets(i);
#define ADD_SERVER(name, about) add(context, "i3_server." #name, c->name);
    I3_COUNTERS(ADD_SERVER)
#undef ADD_SERVER
#define ADD_TABLE(name, about) add(context, "i3_server." #name, table.name);
    I3_TABLE_GAUGES(ADD_TABLE)
#undef ADD_TABLE
#define ADD_RING(name, about) add(context, "i3_ring." #name, ring->name);
    CHORD_COUNTERS(ADD_RING)
#undef ADD_RING
#define ADD_PLACE(name, about) add(context, "i3_ring." #name, place.name);
    CHORD_GAUGES(ADD_PLACE)
#undef ADD_PLACE
    add(context, "i3_server.most_triggers", i->settings.triggers);
    add(context, "i3_server.uptime_s", (uint64_t)((clock_now() - i->started) / SECOND));
    add(context, "i3_server.sent", sockets.sent);
    add(context, "i3_server.send_failed", sockets.failed);
    add(context, "i3_server.cut", sockets.cut);
    drops_metrics(i, add, context);
}
