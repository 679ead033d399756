/* The client's middle: our own address, servers to begin with, what comes in and what goes out. */
#include "overlay/i3/i3_client.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/check.h"
#include "overlay/place.h"

/* What we call ourselves before a server told us: an address that cannot be the one that it sees, so it answers where the
 * packet came from, as it does for clients behind a NAT. */
static const struct endpoint nowhere = {.ip = {.family = 4, .bytes = {127, 0, 0, 1}}, .port = 9};

#define SEED_UNANSWERED 2 /* in a row: the server rests          */
#define LOOKUP_AGAIN    (5 * SECOND)
#define PACKET_CONTROL  256

/* ---- seeds ---- */

static bool seed_parse(const char *text, size_t length, struct i3_seed *ret)
{
    char one[NAME_TEXT + 8];
    struct overlay_place place;
    if (length >= sizeof one)
        return false;
    memcpy(one, text, length);
    one[length] = '\0';
    if (!overlay_place_parse(one, &place) || (!*place.name && place.endpoint.ip.family != 4))
        return false;
    *ret = (struct i3_seed){.at = place.endpoint};
    strcpy(ret->name, place.name);
    return true;
}

bool i3_seeds_parse(const char *seeds, struct i3_seed *ret, unsigned *ret_count,
                    const char **ret_reason)
{
    *ret_count = 0;
    for (const char *at = seeds; *at;) {
        size_t blank = strspn(at, " ,"), length = strcspn(at + blank, " ,");
        at += blank;
        if (!length)
            break;
        if (*ret_count == I3_SEEDS_MAX) {
            *ret_reason =
                "more than 16 servers; list some that are always there, they know the others";
            return false;
        }
        if (!seed_parse(at, length, &ret[*ret_count])) {
            *ret_reason = "a server is neither IPV4-ADDRESS:PORT nor HOST:PORT";
            return false;
        }
        ++*ret_count;
        at += length;
    }
    *ret_reason = "no server of i3 is listed: set `options: servers: HOST:PORT`";
    return *ret_count > 0;
}

static void seed_look_up(struct i3_client *c, instant now, struct i3_seed *s)
{
    s->lookup = ++c->last_lookup ? c->last_lookup : ++c->last_lookup;
    s->ask = true;
    s->lookup_due = now + 4 * LOOKUP_AGAIN;
    i3_client_wake(c, s->lookup_due);
}

void i3_client_seeds(struct i3_client *c, instant now, const struct i3_seed *seeds, unsigned count)
{
    memcpy(c->seed, seeds, count * sizeof *seeds);
    c->seed_count = count;
    c->seed_used = count ? entropy_below(c->entropy, count) : 0;
    for (unsigned i = 0; i < count; i++)
        if (!c->seed[i].at.ip.family)
            seed_look_up(c, now, &c->seed[i]);
}

bool i3_client_lookup(struct i3_client *c, uint32_t *ret_lookup, const char **ret_name)
{
    for (unsigned i = 0; i < c->seed_count; i++) {
        struct i3_seed *s = &c->seed[i];
        if (!s->ask)
            continue;
        s->ask = false;
        *ret_lookup = s->lookup;
        *ret_name = s->name;
        return true;
    }
    return false;
}

void i3_client_resolved(struct i3_client *c, instant now, uint32_t lookup,
                        const struct ip_address *addresses, unsigned count)
{
    for (unsigned i = 0; i < c->seed_count; i++) {
        struct i3_seed *s = &c->seed[i];
        if (!lookup || s->lookup != lookup)
            continue;
        s->lookup = 0;
        s->lookup_due = now + LOOKUP_AGAIN;
        for (unsigned a = 0; a < count; a++)
            if (addresses[a].family == 4) {
                s->at.ip = addresses[a];
                s->lookup_due = INSTANT_NEVER;
                break;
            }
        i3_client_wake(c, s->lookup_due);
        i3_client_wake(c, now); /* who waited for a server */
    }
}

static instant seeds_advance(struct i3_client *c, instant now)
{
    instant due = INSTANT_NEVER;
    for (unsigned i = 0; i < c->seed_count; i++) {
        struct i3_seed *s = &c->seed[i];
        if (!*s->name)
            continue;
        if (s->lookup_due <= now)
            seed_look_up(c, now, s);
        due = instant_min(due, s->lookup_due);
    }
    return due;
}

/* From best to worst: answers and is trusted, answers, has an address. */
static unsigned seed_rank(const struct i3_client *c, const struct i3_seed *s, instant now)
{
    if (!s->at.ip.family)
        return 0;
    if (s->rest > now)
        return 1;
    return i3_client_distrusts(c, now, &s->at) ? 2 : 3;
}

/* The best seed, the first of them from `begin` on, but for one; false: none has an address. */
static bool seed_choose(const struct i3_client *c, instant now, unsigned begin,
                        const struct endpoint *not_this, unsigned *ret)
{
    unsigned best = 0;
    for (unsigned i = 0; i < c->seed_count; i++) {
        unsigned index = (begin + i) % c->seed_count;
        unsigned rank = seed_rank(c, &c->seed[index], now);
        if (rank <= best || (not_this && endpoint_equal(&c->seed[index].at, not_this)))
            continue;
        best = rank;
        *ret = index;
    }
    return best;
}

bool i3_client_first_hop(struct i3_client *c, instant now, struct endpoint *ret)
{
    if (c->near.known) {
        *ret = c->near.at;
        return true;
    }
    if (!seed_choose(c, now, c->seed_used, NULL, &c->seed_used))
        return false;
    *ret = c->seed[c->seed_used].at;
    return true;
}

bool i3_client_other_hop(struct i3_client *c, instant now, const struct endpoint *not_this,
                         struct endpoint *ret)
{
    unsigned index;
    if (!seed_choose(c, now, c->seed_used + 1, not_this, &index))
        return i3_client_first_hop(c, now, ret);
    *ret = c->seed[index].at;
    return true;
}

void i3_client_move_on(struct i3_client *c, const struct endpoint *server)
{
    if (c->seed_count && endpoint_equal(&c->seed[c->seed_used].at, server))
        c->seed_used = (c->seed_used + 1) % c->seed_count;
}

void i3_client_answered(struct i3_client *c, const struct endpoint *via)
{
    if (endpoint_equal(&c->near.at, via))
        c->near.unanswered = 0;
    for (unsigned i = 0; i < c->seed_count; i++)
        if (endpoint_equal(&c->seed[i].at, via))
            c->seed[i].unanswered = 0, c->seed[i].rest = 0;
}

void i3_client_unanswered(struct i3_client *c, instant now, const struct endpoint *via)
{
    i3_client_count(c, I3_COUNT_UNANSWERED);
    if (c->near.known && endpoint_equal(&c->near.at, via) &&
        ++c->near.unanswered >= SEED_UNANSWERED)
        i3_near_lost(c, now);
    for (unsigned i = 0; i < c->seed_count; i++) {
        struct i3_seed *s = &c->seed[i];
        if (!endpoint_equal(&s->at, via) || ++s->unanswered < SEED_UNANSWERED)
            continue;
        s->unanswered = 0;
        s->rest = now + I3_SEED_REST;
        if (*s->name)
            s->lookup_due = now; /* it may have moved */
        if (i == c->seed_used) {
            c->seed_used = (i + 1) % c->seed_count;
            i3_client_say(c, I3_EVENT_FIRST_HOP, NULL);
        }
    }
}

/* ---- life ---- */

void i3_client_init(struct i3_client *c, struct entropy *e, unsigned samples, instant resample)
{
    c->entropy = e;
    c->hash = i3_hash_new();
    c->event_last = &c->event_first;
    c->samples = samples;
    c->resample = resample;
    c->self_open = true;
    c->check_due = INSTANT_NEVER;
    c->sample_due = 0; /* the first round begins with the first call of advance */
    c->due = 0;
}

static void events_free(struct i3_client *c)
{
    struct i3_event e;
    while (c->event_first && i3_client_event(c, &e))
        ;
}

void i3_client_done(struct i3_client *c)
{
    struct i3_binding *b, *later;
    DL_FOREACH_SAFE(c->bindings, b, later)
    free(b);
    for (struct i3_datagram *d; (d = c->datagrams);) {
        DL_DELETE(c->datagrams, d);
        free(d);
    }
    free(c->given);
    i3_owners_done(c);
    if (c->event_last)
        events_free(c);
    i3_hash_free(c->hash);
}

void i3_client_bound(struct i3_client *c, instant now, const struct endpoint *local)
{
    c->port = local->port;
    if (local->ip.family != 4)
        return;
    c->self = *local;
    c->self_open = false;
    i3_bindings_follow(c, now); /* those of before are aimed at nowhere */
}

void i3_client_moved(struct i3_client *c, instant now)
{
    c->self_open = true;
    c->behind_nat = false;
    i3_samples_begin(c, now); /* its answers say who we are now */
}

/* ---- out ---- */

void i3_client_count(struct i3_client *c, enum i3_counter counter)
{
    c->counter[counter]++;
}

void i3_client_wake(struct i3_client *c, instant due)
{
    c->due = instant_min(c->due, due);
}

void i3_client_say(struct i3_client *c, enum i3_event_kind kind, const struct i3_id *id)
{
    struct i3_event *e = base_calloc(1, sizeof *e);
    e->kind = kind;
    if (id)
        e->id = *id;
    *c->event_last = e;
    c->event_last = &e->next;
}

bool i3_client_event(struct i3_client *c, struct i3_event *ret)
{
    struct i3_event *e = c->event_first;
    if (!e)
        return false;
    *ret = *e;
    c->event_first = e->next;
    if (!c->event_first)
        c->event_last = &c->event_first;
    free(e);
    return true;
}

void i3_client_queue(struct i3_client *c, const struct endpoint *to, const void *bytes, size_t size)
{
    if (c->datagram_count >= I3_QUEUE_MAX || !size) {
        i3_client_count(c, I3_COUNT_QUEUE_FULL);
        return;
    }
    struct i3_datagram *d = base_calloc(1, sizeof *d + size);
    d->to = *to;
    d->size = size;
    memcpy(d->bytes, bytes, size);
    DL_APPEND(c->datagrams, d);
    c->datagram_count++;
}

const struct i3_datagram *i3_client_datagram(struct i3_client *c)
{
    free(c->given);
    c->given = c->datagrams;
    if (c->given) {
        DL_DELETE(c->datagrams, c->given);
        c->datagram_count--;
    }
    return c->given;
}

static struct i3_option own_sender(const struct i3_client *c)
{
    return (struct i3_option){.type = I3_SENDER,
                              .sender = i3_address_of(c->self.ip.family ? &c->self : &nowhere)};
}

static void send_packet(struct i3_client *c, const struct endpoint *to, struct i3_packet *p,
                        bool as_data)
{
    static const uint8_t one_byte[1];
    uint8_t bytes[PACKET_CONTROL];
    if (as_data) {
        p->flags |= I3_DATA;
        p->payload = one_byte;
        p->payload_size = sizeof one_byte;
    }
    i3_client_queue(c, to, bytes, i3_packet_write(p, bytes, sizeof bytes));
}

void i3_client_send(struct i3_client *c, const struct endpoint *to, const struct i3_id *id,
                    const struct i3_option *option, bool as_data)
{
    struct i3_packet p = {.flags = I3_OPTIONS | I3_FIRST_HOP, .depth = 1, .stack = id};
    p.option[p.option_count++] = own_sender(c);
    if (option)
        p.option[p.option_count++] = *option;
    send_packet(c, to, &p, as_data);
}

void i3_client_draw_end(struct i3_client *c, struct i3_id *id)
{
    entropy_fill(c->entropy, id->bytes + I3_PLACE, I3_ID - I3_PLACE);
}

void i3_client_send_data(struct i3_client *c, const struct endpoint *to, const struct i3_id *stack,
                         unsigned depth)
{
    struct i3_packet p = {
        .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = (uint8_t)depth, .stack = stack};
    p.option[p.option_count++] = own_sender(c);
    send_packet(c, to, &p, true);
}

/* ---- in ---- */

/* Only an answer to what we asked says what our address is. */
static void learn_self(struct i3_client *c, instant now, const struct arrival *from)
{
    if (!c->self_open || from->local.ip.family != 4 || !c->port)
        return;
    struct endpoint self = {.ip = from->local.ip, .port = c->port};
    c->self_open = false;
    if (endpoint_equal(&self, &c->self))
        return;
    c->self = self;
    c->nonce_known = false;
    i3_bindings_follow(c, now);
    i3_client_say(c, I3_EVENT_SELF, NULL);
}

static void cache_told(struct i3_client *c, instant now, const struct arrival *from,
                       const struct i3_option *o, bool with_binding)
{
    const struct i3_id *id = &o->trigger.id;
    bool owner = i3_owner_told(c, now, id, &from->remote);
    bool sample = i3_sample_told(c, now, id, &from->remote);
    if (owner || sample)
        learn_self(c, now, from);
    else if (!with_binding)
        i3_client_count(c, I3_COUNT_STRANGE_CACHE);
}

/* Believed only from the server that is responsible for the identifier, as far as we know. */
static void not_present_told(struct i3_client *c, const struct arrival *from,
                             const struct i3_id *id)
{
    if (i3_sample_asks(c, id) || i3_owner_asks(c, id) || i3_check_denied(c, &from->remote, id))
        return;
    if (i3_owner_is(c, id, &from->remote))
        i3_client_say(c, I3_EVENT_NOT_PRESENT, id);
    else
        i3_client_count(c, I3_COUNT_STRANGE_NOT_PRESENT);
}

/* What a server can do it says where it says that it is responsible. */
static uint8_t abilities_in(const struct i3_option *cache)
{
    return cache ? i3_hello_read(cache->trigger.nonce) : 0;
}

static void control(struct i3_client *c, instant now, const struct arrival *from,
                    const struct i3_packet *p)
{
    const struct i3_option *forced = i3_packet_option(p, I3_FORCE_CACHE_ADDRESS);
    struct i3_answerer by = {from->remote, from->remote,
                             abilities_in(i3_packet_option(p, I3_CACHE_ADDRESS))};
    bool with_binding = false, anything = false;
    /* Whoever did not answer there once is not spoken to again because somebody names it. */
    if (forced && forced->trigger.target.type == I3_TO_IPV4 &&
        !i3_client_distrusts(c, now, &forced->trigger.target.at)) {
        by.responsible = forced->trigger.target.at;
        by.abilities = abilities_in(forced);
        c->behind_nat = true;
    }
    for (unsigned i = 0; i < p->option_count; i++) {
        const struct i3_option *o = &p->option[i];
        if (o->type == I3_CHALLENGE || o->type == I3_ACK || o->type == I3_CONSTRAINT_FAILED) {
            with_binding |= i3_binding_told(c, now, o, &by);
            anything = true;
            if (with_binding)
                learn_self(c, now, from);
        } else if (o->type == I3_CACHE_ADDRESS) {
            cache_told(c, now, from, o, with_binding || anything);
            anything = true;
        } else if (o->type == I3_NOT_PRESENT) {
            not_present_told(c, from, &o->id);
            anything = true;
        }
    }
    if (!anything)
        i3_client_count(c, I3_COUNT_UNEXPECTED);
}

void i3_client_input(struct i3_client *c, instant now, const struct arrival *from,
                     const uint8_t *bytes, size_t size)
{
    struct i3_packet p;
    if (i3_packet_parse(bytes, size, &p) != I3_FINE) {
        i3_client_count(c, I3_COUNT_MALFORMED);
        return;
    }
    if (p.depth == I3_CHECK_DEPTH && p.flags & I3_DATA)
        i3_check_came(c, now, &from->remote, &p);
    else if (p.depth || from->remote.ip.family != 4)
        i3_client_count(c, I3_COUNT_UNEXPECTED);
    else
        control(c, now, from, &p);
}

void i3_client_advance(struct i3_client *c, instant now)
{
    if (now < c->due)
        return;
    c->due = INSTANT_NEVER;
    instant due = seeds_advance(c, now);
    due = instant_min(due, i3_owners_advance(c, now));
    due = instant_min(due, i3_bindings_advance(c, now));
    due = instant_min(due, i3_checks_advance(c, now));
    due = instant_min(due, i3_samples_advance(c, now));
    i3_client_wake(c, due > now ? due : now + MILLISECOND);
}
