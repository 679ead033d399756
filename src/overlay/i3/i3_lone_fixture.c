#include "overlay/i3/i3_lone_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct endpoint lone_endpoint(const char *text)
{
    struct endpoint e;
    assert_true(endpoint_parse(text, 0, &e));
    return e;
}

void lone_start(struct lone *l, const char *seeds, const char *bound, unsigned samples)
{
    struct i3_seed seed[I3_SEEDS_MAX];
    unsigned count;
    const char *reason;
    struct endpoint local = {0};
    if (*bound == ':')
        local.port = (uint16_t)strtoul(bound + 1, NULL, 10);
    else
        local = lone_endpoint(bound);
    memset(l, 0, sizeof *l);
    l->now = SECOND;
    seeded_init(&l->random, 7);
    assert_true(i3_seeds_parse(seeds, seed, &count, &reason));
    i3_client_init(&l->client, &l->random.entropy, samples, 5 * MINUTE);
    i3_client_bound(&l->client, l->now, &local);
    i3_client_seeds(&l->client, l->now, seed, count);
    l->client.sample_due = INSTANT_NEVER;
}

void lone_stop(struct lone *l)
{
    i3_client_done(&l->client);
}

const struct i3_datagram *lone_said_to(struct lone *l, const char *to)
{
    struct endpoint at = lone_endpoint(to);
    const struct i3_datagram *d = i3_client_datagram(&l->client);
    assert_non_null(d);
    assert_true(endpoint_equal(&d->to, &at));
    return d;
}

void lone_said_nothing(struct lone *l)
{
    assert_null(i3_client_datagram(&l->client));
}
