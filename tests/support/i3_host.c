#include "tests/support/i3_host.h"

#include <stdlib.h>

#include "base/check.h"
#include "overlay/i3/i3_client.h"
#include "tests/support/seeded.h"

#define RESAMPLE (5 * MINUTE)

struct i3_host {
    struct i3_client engine;
    struct seeded random;
    struct endpoint at;
    struct i3_binding *own;
};

struct i3_host *i3_host_new(const struct i3_host_settings *s, instant now)
{
    struct i3_host *h = base_calloc(1, sizeof *h);
    struct i3_seed seed[I3_HOST_SERVERS] = {0};
    h->at = s->at;
    seeded_init(&h->random, s->seed);
    for (unsigned i = 0; i < I3_HOST_SERVERS; i++)
        seed[i].at = s->server[i];
    i3_client_init(&h->engine, &h->random.entropy, s->samples, RESAMPLE);
    i3_client_seeds(&h->engine, now, seed, I3_HOST_SERVERS);
    i3_client_bound(&h->engine, now, &h->at);
    i3_client_advance(&h->engine, now); /* begins the round of samples */
    return h;
}

void i3_host_free(struct i3_host *h)
{
    if (h)
        i3_client_done(&h->engine);
    free(h);
}

/* Nobody waits for what the engine says: it is asked. */
static void forget_events(struct i3_host *h)
{
    struct i3_event unused;
    while (i3_client_event(&h->engine, &unused))
        ;
}

void i3_host_input(struct i3_host *h, instant now, const struct endpoint *from,
                   const uint8_t *bytes, size_t size)
{
    struct arrival arrival = {.local = h->at, .remote = *from};
    i3_client_input(&h->engine, now, &arrival, bytes, size);
    forget_events(h);
}

void i3_host_advance(struct i3_host *h, instant now)
{
    i3_client_advance(&h->engine, now);
    forget_events(h);
}

bool i3_host_output(struct i3_host *h, struct endpoint *ret_to, const uint8_t **ret_bytes,
                    size_t *ret_size)
{
    const struct i3_datagram *d = i3_client_datagram(&h->engine);
    if (!d)
        return false;
    *ret_to = d->to;
    *ret_bytes = d->bytes;
    *ret_size = d->size;
    return true;
}

bool i3_host_has_sampled(const struct i3_host *h)
{
    return !h->engine.sampling;
}

void i3_host_keep_trigger(struct i3_host *h, instant now)
{
    struct i3_id id;
    uint8_t key[I3_KEY];
    i3_client_draw(&h->engine, &id, key);
    h->own = i3_binding_add(&h->engine, now, &id, key, I3_BITS, NULL, 0);
    require(h->own);
}

bool i3_host_is_held(const struct i3_host *h)
{
    return h->own && h->own->acknowledged;
}

const struct i3_id *i3_host_id(const struct i3_host *h)
{
    return &h->own->trigger.id;
}

void i3_host_watch(struct i3_host *h, instant now, const struct i3_id *id)
{
    i3_owner_want(&h->engine, now, id);
}

bool i3_host_knows(const struct i3_host *h, const struct i3_id *id)
{
    return i3_owner_at(&h->engine, id).ip.family;
}

struct endpoint i3_host_server(struct i3_host *h, instant now, const struct i3_id *id)
{
    struct endpoint server = i3_owner_at(&h->engine, id);
    require(server.ip.family || i3_client_first_hop(&h->engine, now, &server));
    return server;
}
