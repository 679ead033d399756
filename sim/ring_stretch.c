/* Latency stretch: how much longer a packet takes from trigger to trigger than straight.
 *
 * Hosts come in pairs; each has the client engine of the overlay module (tests/support/i3_host.h), keeps a private
 * trigger, and sends to that of the other as the module does (i3_tunnel_route()): to the server that is known to be
 * responsible, else to its first hop.
 *
 *   without caching    the first packet: neither the client nor its first hop knows who is responsible
 *   caching            the client has been told
 *   without sampling   the first hop is a server of a few that were configured, identifiers lie anywhere
 *   sampling           the first hop is the nearest of the samples, and identifiers are drawn at it
 *
 * All packets go at one time and nothing waits in line, so what differs is the way. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/ring_internal.h"
#include "tests/support/i3_host.h"

#define SIDE     100000 /* of the plane; a unit is a microsecond */
#define PATIENCE 300    /* steps */
#define PORT     10000

struct host {
    struct i3_host *engine;
    struct endpoint at;
    instant took; /* the packet that came last, 0: none */
};

struct stretch {
    struct host *host; /* two and two belong together */
    unsigned hosts;
    instant sent;
    unsigned *thousandths; /* room for sorting */
};

/* ---- places ---- */

struct place {
    int64_t x, y;
};

static struct place place_of(uint64_t seed, const struct endpoint *e)
{
    struct seeded random;
    uint32_t machine = (uint32_t)e->ip.bytes[0] << 24 | ring_number_of(e);
    seeded_init(&random, seed << 32 | machine);
    uint32_t x = entropy_below(&random.entropy, SIDE);
    return (struct place){x, entropy_below(&random.entropy, SIDE)};
}

static uint64_t square_root(uint64_t square)
{
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 31; bit; bit >>= 1)
        if ((root + bit) * (root + bit) <= square)
            root += bit;
    return root;
}

instant ring_distance(uint64_t seed, const struct endpoint *a, const struct endpoint *b)
{
    struct place from = place_of(seed, a), to = place_of(seed, b);
    int64_t x = to.x - from.x, y = to.y - from.y;
    uint64_t units = square_root((uint64_t)(x * x + y * y));
    return (instant)(units ? units : 1) * MICROSECOND;
}

/* ---- hosts ---- */

static void pull(struct ring_world *w, struct host *h)
{
    struct endpoint to;
    const uint8_t *bytes;
    size_t size;
    while (i3_host_output(h->engine, &to, &bytes, &size))
        ring_send(w, &h->at, &to, bytes, size);
}

static void begin(struct ring_world *w, unsigned index, unsigned samples)
{
    struct host *h = &w->stretch->host[index];
    struct i3_host_settings s = {.at = ring_address(RING_NET_PAIRS, index, PORT),
                                 .samples = samples,
                                 .seed = w->plan->seed << 32 | index};
    for (unsigned i = 0; i < I3_HOST_SERVERS; i++)
        s.server[i] = ring_any_server(w);
    *h = (struct host){.engine = i3_host_new(&s, w->now), .at = s.at};
    pull(w, h);
}

static void keep_trigger(struct ring_world *w, struct host *h)
{
    i3_host_keep_trigger(h->engine, w->now);
    pull(w, h);
}

static const struct i3_id *peer_id(const struct ring_world *w, const struct host *h)
{
    unsigned index = (unsigned)(h - w->stretch->host);
    return i3_host_id(w->stretch->host[index ^ 1].engine);
}

static void look_for_peer(struct ring_world *w, struct host *h)
{
    i3_host_watch(h->engine, w->now, peer_id(w, h));
    pull(w, h);
}

static void send_to_peer(struct ring_world *w, struct host *h)
{
    uint8_t bytes[128];
    const struct i3_id *id = peer_id(w, h);
    struct i3_packet p = {.flags = I3_DATA | I3_OPTIONS | I3_FIRST_HOP,
                          .depth = 1,
                          .stack = id,
                          .payload = (const uint8_t *)&w->stretch->sent,
                          .payload_size = sizeof w->stretch->sent,
                          .option_count = 1};
    struct endpoint to = i3_host_server(h->engine, w->now, id);
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&h->at)};
    size_t size = i3_packet_write(&p, bytes, sizeof bytes);
    require(size);
    ring_send(w, &h->at, &to, bytes, size);
}

void ring_stretch_hears(struct ring_world *w, const struct tiny_datagram *d)
{
    struct stretch *s = w->stretch;
    struct i3_packet p;
    if (!s)
        return;
    struct host *h = &s->host[ring_number_of(&d->to)];
    bool is_data = i3_packet_parse(d->bytes, d->size, &p) == I3_FINE && p.flags & I3_DATA;
    if (is_data && p.payload_size == sizeof s->sent && !memcmp(p.payload, &s->sent, sizeof s->sent))
        h->took = w->now - s->sent;
    if (is_data)
        return;
    i3_host_input(h->engine, w->now, &d->from, d->bytes, d->size);
    pull(w, h);
}

/* ---- measuring ---- */

static bool has_sampled(const struct ring_world *w, const struct host *h)
{
    return i3_host_has_sampled(h->engine);
}

static bool is_bound(const struct ring_world *w, const struct host *h)
{
    return i3_host_is_held(h->engine);
}

static bool knows_owner(const struct ring_world *w, const struct host *h)
{
    return i3_host_knows(h->engine, peer_id(w, h));
}

static bool has_heard(const struct ring_world *w, const struct host *h)
{
    return h->took;
}

/* Until it is so at all hosts, but not for ever. */
static void wait_until(struct ring_world *w,
                       bool (*so)(const struct ring_world *, const struct host *))
{
    struct stretch *s = w->stretch;
    for (unsigned step = 0; step < PATIENCE; step++) {
        unsigned count = 0;
        ring_step(w);
        for (unsigned i = 0; i < s->hosts; i++) {
            i3_host_advance(s->host[i].engine, w->now);
            pull(w, &s->host[i]);
            count += so(w, &s->host[i]);
        }
        if (count == s->hosts)
            return;
    }
}

static int compare(const void *a, const void *b)
{
    unsigned left = *(const unsigned *)a, right = *(const unsigned *)b;
    return (left > right) - (left < right);
}

static void time_packets(struct ring_world *w, struct ring_stretch *ret)
{
    struct stretch *s = w->stretch;
    s->sent = w->now;
    for (unsigned i = 0; i < s->hosts; i++)
        s->host[i].took = 0;
    for (unsigned i = 0; i < s->hosts; i++)
        send_to_peer(w, &s->host[i]);
    wait_until(w, has_heard);
    for (unsigned i = 0; i < s->hosts; i++) {
        const struct host *h = &s->host[i];
        instant straight = ring_distance(w->plan->seed, &h->at, &s->host[i ^ 1].at);
        if (h->took)
            s->thousandths[ret->packets++] = (unsigned)(h->took * 1000 / straight);
    }
    if (!ret->packets)
        return;
    qsort(s->thousandths, ret->packets, sizeof *s->thousandths, compare);
    ret->median = s->thousandths[ret->packets / 2];
    ret->ninetieth = s->thousandths[ret->packets * 9 / 10];
}

static void measure(struct ring_world *w, unsigned samples, struct ring_stretch *ret)
{
    struct stretch *s = w->stretch;
    for (unsigned i = 0; i < s->hosts; i++)
        begin(w, i, samples);
    wait_until(w, has_sampled);
    for (unsigned i = 0; i < s->hosts; i++)
        keep_trigger(w, &s->host[i]);
    wait_until(w, is_bound);
    time_packets(w, &ret[0]);
    for (unsigned i = 0; i < s->hosts; i++)
        look_for_peer(w, &s->host[i]);
    wait_until(w, knows_owner);
    time_packets(w, &ret[RING_CACHING]);
    for (unsigned i = 0; i < s->hosts; i++)
        i3_host_free(s->host[i].engine);
}

void ring_stretch_measure(struct ring_world *w)
{
    struct stretch s = {.hosts = 2 * w->plan->pairs};
    s.host = base_calloc(s.hosts, sizeof *s.host);
    s.thousandths = base_calloc(s.hosts, sizeof *s.thousandths);
    w->stretch = &s;
    measure(w, 0, &w->report->stretch[0]);
    measure(w, w->plan->samples, &w->report->stretch[RING_SAMPLING]);
    w->stretch = NULL;
    free(s.host);
    free(s.thousandths);
}
