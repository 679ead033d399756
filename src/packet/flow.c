#include "packet/flow.h"

#include <string.h>

#include "base/check.h"

/* Open addressing with a window: a flow lives in one of the WINDOW slots that follow its hash, and
 * all of them are looked at each time.  So every operation takes the same few steps, slots can be
 * emptied without tombstones, and a full window is resolved on the spot by taking its oldest slot.
 * Time out is found when a slot is looked at; there is no sweep. */

#define WINDOW 8u

struct slot {
    instant heard; /* last packet */
    uint32_t path;
    uint16_t local_port, remote_port;
    uint8_t protocol;
    bool used;
};

struct flow_table {
    uint64_t seed[2];
    unsigned mask, count;
    struct slot slot[];
};

struct flow_table *flow_table_new(unsigned flows, struct entropy *entropy)
{
    unsigned slots = WINDOW;
    require(flows <= 1u << 28);
    while (slots < flows)
        slots *= 2;
    struct flow_table *t = base_calloc(1, sizeof *t + slots * sizeof t->slot[0]);
    t->mask = slots - 1;
    entropy_fill(entropy, t->seed, sizeof t->seed);
    return t;
}

void flow_table_free(struct flow_table *t)
{
    free(t);
}

struct flow_key flow_key_of(const struct ip_view *v, bool outgoing, uint32_t path)
{
    struct flow_key key = {.protocol = v->protocol, .path = path};
    if (v->has_ports) {
        key.local_port = outgoing ? v->source_port : v->destination_port;
        key.remote_port = outgoing ? v->destination_port : v->source_port;
    }
    return key;
}

static instant timeout_of(uint8_t protocol)
{
    if (protocol == IP_TCP)
        return FLOW_TIMEOUT_TCP;
    return protocol == IP_ICMP || protocol == IP_ICMP6 ? FLOW_TIMEOUT_ICMP : FLOW_TIMEOUT_UDP;
}

/* Two rounds of multiply and fold, each entered with a secret. */
static uint64_t mix(uint64_t value, uint64_t secret)
{
    value = (value ^ secret) * UINT64_C(0x9E3779B97F4A7C15);
    return (value ^ value >> 29) * (secret | 1);
}

static unsigned hash(const struct flow_table *t, const struct flow_key *key)
{
    uint64_t ports =
        (uint64_t)key->protocol << 32 | (uint32_t)key->local_port << 16 | key->remote_port;
    uint64_t value = mix(ports, t->seed[0]);
    value = mix(value ^ value >> 32 ^ key->path, t->seed[1]);
    return (unsigned)(value >> 32);
}

static bool is_stale(const struct slot *s, instant now)
{
    return now >= instant_after(s->heard, timeout_of(s->protocol));
}

static bool is_flow(const struct slot *s, const struct flow_key *key)
{
    return s->used && s->path == key->path && s->local_port == key->local_port &&
           s->remote_port == key->remote_port && s->protocol == key->protocol;
}

static struct slot *find(struct flow_table *t, const struct flow_key *key)
{
    unsigned start = hash(t, key);
    for (unsigned i = 0; i < WINDOW; i++) {
        struct slot *s = &t->slot[(start + i) & t->mask];
        if (is_flow(s, key))
            return s;
    }
    return NULL;
}

static void empty(struct flow_table *t, struct slot *s)
{
    s->used = false;
    t->count--;
}

bool flow_seen(struct flow_table *t, const struct flow_key *key, instant now)
{
    struct slot *s = find(t, key);
    if (!s)
        return false;
    if (is_stale(s, now)) {
        empty(t, s);
        return false;
    }
    s->heard = now;
    return true;
}

/* Where a new flow goes: a free slot, else a stale one, else the one that was silent longest. */
static struct slot *choose(struct flow_table *t, const struct flow_key *key, instant now)
{
    unsigned start = hash(t, key);
    struct slot *oldest = NULL;
    for (unsigned i = 0; i < WINDOW; i++) {
        struct slot *s = &t->slot[(start + i) & t->mask];
        if (!s->used)
            return s;
        /* An age relative to the flow's own time-out would let idle TCP push out live UDP; silence
         * is what counts, but a stale flow goes before any that is not. */
        if (!oldest || is_stale(s, now) > is_stale(oldest, now) ||
            (is_stale(s, now) == is_stale(oldest, now) && s->heard < oldest->heard))
            oldest = s;
    }
    return oldest;
}

void flow_note(struct flow_table *t, const struct flow_key *key, instant now)
{
    struct slot *s = find(t, key);
    if (!s) {
        s = choose(t, key, now);
        t->count += !s->used;
    }
    *s = (struct slot){.heard = now,
                       .path = key->path,
                       .local_port = key->local_port,
                       .remote_port = key->remote_port,
                       .protocol = key->protocol,
                       .used = true};
}

unsigned flow_forget_path(struct flow_table *t, uint32_t path)
{
    unsigned forgotten = 0;
    for (unsigned i = 0; i <= t->mask; i++) {
        if (t->slot[i].used && t->slot[i].path == path) {
            empty(t, &t->slot[i]);
            forgotten++;
        }
    }
    return forgotten;
}

void flow_forget_all(struct flow_table *t)
{
    memset(t->slot, 0, (t->mask + (size_t)1) * sizeof t->slot[0]);
    t->count = 0;
}

unsigned flow_count(const struct flow_table *t)
{
    return t->count;
}
