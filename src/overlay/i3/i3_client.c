/* The client's middle: our own address, what comes in and what goes out. */
#include "overlay/i3/i3_client.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "base/check.h"

#define PACKET_CONTROL 256

/* ---- life ---- */

void i3_client_init(struct i3_client *c, struct entropy *e, unsigned samples, instant resample)
{
    c->entropy = e;
    c->hash = i3_hash_new();
    c->event_last = &c->event_first;
    c->samples = samples;
    c->resample = resample;
    c->self[0].open = c->self[1].open = true;
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
    i3_hellos_done(c);
    if (c->event_last)
        events_free(c);
    i3_hash_free(c->hash);
}

void i3_client_bound(struct i3_client *c, instant now, const struct endpoint *local)
{
    c->port = local->port;
    if (!local->ip.family)
        return;
    struct i3_self *self = &c->self[local->ip.family == 6];
    self->at = *local;
    self->open = false;
    i3_bindings_follow(c, now, local->ip.family); /* those of before are aimed at nowhere */
}

void i3_client_moved(struct i3_client *c, instant now)
{
    c->self[0].open = c->self[1].open = true;
    c->behind_nat = false;
    i3_hello_moved(c, now);
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

struct endpoint i3_client_self(const struct i3_client *c, const struct endpoint *server)
{
    static const struct endpoint nowhere[2] = {
        {.ip = {.family = 4, .bytes = {127, 0, 0, 1}}, .port = 9},
        {.ip = {.family = 6, .bytes = {[15] = 1}}, .port = 9}};
    bool six = server->ip.family == 6;
    return c->self[six].at.ip.family ? c->self[six].at : nowhere[six];
}

static struct i3_option own_sender(const struct i3_client *c, const struct endpoint *server)
{
    struct endpoint self = i3_client_self(c, server);
    return (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&self)};
}

static void send_packet(struct i3_client *c, const struct endpoint *to, const struct i3_id *stack,
                        unsigned depth, const struct i3_option *option, bool as_data)
{
    static const uint8_t one_byte[1];
    struct i3_packet p = {
        .flags = I3_OPTIONS | I3_FIRST_HOP, .depth = (uint8_t)depth, .stack = stack};
    uint8_t bytes[PACKET_CONTROL];
    if (!i3_client_speaks(c, to)) {
        i3_client_count(c, I3_COUNT_NO_HELLO); /* it said so, and does not any more */
        return;
    }
    p.option[p.option_count++] = own_sender(c, to);
    if (option)
        p.option[p.option_count++] = *option;
    if (as_data) {
        p.flags |= I3_DATA;
        p.payload = one_byte;
        p.payload_size = sizeof one_byte;
    }
    i3_client_queue(c, to, bytes, i3_packet_write(&p, bytes, sizeof bytes));
}

void i3_client_send(struct i3_client *c, const struct endpoint *to, const struct i3_id *id,
                    const struct i3_option *option)
{
    send_packet(c, to, id, 1, option, false);
}

void i3_client_ask(struct i3_client *c, const struct endpoint *to, const struct i3_id *id)
{
    static const struct i3_option request = {.type = I3_REQUEST_FOR_CACHE};
    send_packet(c, to, id, 1, &request, true);
}

void i3_client_send_data(struct i3_client *c, const struct endpoint *to, const struct i3_id *stack,
                         unsigned depth)
{
    send_packet(c, to, stack, depth, NULL, true);
}

void i3_client_draw_end(struct i3_client *c, struct i3_id *id)
{
    entropy_fill(c->entropy, id->bytes + I3_PLACE, I3_ID - I3_PLACE);
}

/* ---- in ---- */

/* After a move: what goes by the other family waits for servers that may not be reached any more. */
static void use_family(struct i3_client *c, instant now, uint8_t family)
{
    c->moving = false;
    for (unsigned i = 0; i < c->seed_count; i++)
        if (c->seed[i].at.ip.family && c->seed[i].at.ip.family != family)
            c->seed[i].rest = now + I3_SEED_REST;
    struct i3_self *other = &c->self[family == 4];
    if (other->open) {
        other->at = (struct endpoint){0};
        other->nonce_known = false;
    }
    if (c->near.known && c->near.at.ip.family != family)
        i3_near_lost(c, now);
    i3_bindings_family(c, now, family);
    i3_owners_family(c, now, family);
    i3_samples_again(c, now, family);
    i3_client_say(c, I3_EVENT_FIRST_HOP, NULL);
}

void i3_client_server_came(struct i3_client *c, instant now)
{
    i3_bindings_waiting(c, now);
    i3_owners_waiting(c, now);
    i3_samples_again(c, now, 0);
    i3_client_say(c, I3_EVENT_FIRST_HOP, NULL);
}

void i3_client_learn_self(struct i3_client *c, instant now, const struct arrival *from)
{
    uint8_t family = from->local.ip.family;
    if (!family || family != from->remote.ip.family || !c->port)
        return;
    struct i3_self *self = &c->self[family == 6];
    struct endpoint at = {.ip = from->local.ip, .port = c->port};
    bool another = self->open && !endpoint_equal(&at, &self->at);
    self->open = false;
    if (another) {
        self->at = at;
        self->nonce_known = false;
        i3_bindings_follow(c, now, family);
        i3_client_say(c, I3_EVENT_SELF, NULL);
    }
    if (c->moving)
        use_family(c, now, family);
}

static void cache_told(struct i3_client *c, instant now, const struct arrival *from,
                       const struct i3_option *o, bool with_binding)
{
    const struct i3_id *id = &o->trigger.id;
    if (!i3_client_speaks(c, &from->remote)) {
        i3_client_count(c, I3_COUNT_NO_HELLO);
        return;
    }
    bool owner = i3_owner_told(c, now, id, &from->remote);
    bool sample = i3_sample_told(c, now, id, &from->remote);
    if (owner || sample)
        i3_client_learn_self(c, now, from);
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

/* Who keeps the trigger that the packet is about: the server that it came from, or whom that one names to a client behind a
 * NAT, in the same family.  `responsible` family 0: nobody who may be spoken to. */
static struct i3_answerer answerer(struct i3_client *c, instant now, const struct arrival *from,
                                   const struct i3_packet *p)
{
    const struct i3_option *forced = i3_packet_option(p, I3_FORCE_CACHE_ADDRESS);
    const struct endpoint *named = forced ? &forced->trigger.target.at : NULL;
    struct i3_answerer by = {from->remote, from->remote,
                             abilities_in(i3_packet_option(p, I3_CACHE_ADDRESS))};
    /* Whoever did not answer there once is not spoken to again because somebody names it. */
    if (named && named->ip.family && named->ip.family == from->remote.ip.family &&
        i3_client_speaks(c, named) && !i3_client_distrusts(c, now, named)) {
        by.responsible = *named;
        by.abilities = abilities_in(forced);
        c->behind_nat = true;
    }
    if (!i3_client_speaks(c, &by.responsible))
        by.responsible = (struct endpoint){0};
    return by;
}

static void control(struct i3_client *c, instant now, const struct arrival *from,
                    const struct i3_packet *p)
{
    i3_hello_answer(c, now, &from->remote, p);
    struct i3_answerer by = answerer(c, now, from, p);
    bool with_binding = false, anything = false;
    for (unsigned i = 0; i < p->option_count; i++) {
        const struct i3_option *o = &p->option[i];
        if (o->type == I3_CHALLENGE || o->type == I3_ACK || o->type == I3_CONSTRAINT_FAILED) {
            with_binding |= i3_binding_told(c, now, o, &by);
            anything = true;
            if (with_binding)
                i3_client_learn_self(c, now, from);
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
    if (i3_hello_input(c, now, from, bytes, size))
        return;
    if (i3_packet_parse(bytes, size, &p) != I3_FINE) {
        i3_client_count(c, I3_COUNT_MALFORMED);
        return;
    }
    if (p.depth == I3_CHECK_DEPTH && p.flags & I3_DATA)
        i3_check_came(c, now, &from->remote, &p);
    else if (p.depth)
        i3_client_count(c, I3_COUNT_UNEXPECTED);
    else
        control(c, now, from, &p);
}

void i3_client_advance(struct i3_client *c, instant now)
{
    if (now < c->due)
        return;
    c->due = INSTANT_NEVER;
    instant due = i3_seeds_advance(c, now);
    due = instant_min(due, i3_hellos_advance(c, now));
    due = instant_min(due, i3_owners_advance(c, now));
    due = instant_min(due, i3_bindings_advance(c, now));
    due = instant_min(due, i3_checks_advance(c, now));
    due = instant_min(due, i3_samples_advance(c, now));
    i3_client_wake(c, due > now ? due : now + MILLISECOND);
}
