/* Data: match, and follow each trigger to an address or to further identifiers.
 *
 * An address that never showed that it wants packets gets few: with chains somebody else's triggers could make thousands of
 * one, each of them behind another identifier.
 *
 * One packet may take STEPS_MAX steps and become SENDS_MAX packets here.  The constraints on triggers keep circles from
 * being made; these limits hold whatever was inserted. */
#include <string.h>

#include "base/check.h"
#include "i3/i3_server_internal.h"

static void deliver(struct i3_server *s, struct passage *p, const struct i3_id *stack,
                    unsigned depth, const struct i3_kept *k)
{
    const struct i3_packet *packet = p->packet;
    size_t ids = (size_t)depth * I3_ID, size = I3_HEADER + ids + packet->payload_size;
    if (!i3_own(s, k->target.at.ip.family)) {
        i3_drop(s, I3_DROP_FAMILY);
        return;
    }
    if (!i3_table_admits(k, p->now, size)) {
        i3_drop(s, I3_DROP_TRIGGER_LIMIT);
        return;
    }
    if (!k->proven && !limit_source_admits(&s->unwanted, p->now, &k->target.at.ip, UNWANTED_MOST)) {
        i3_drop(s, I3_DROP_UNWANTED);
        return;
    }
    uint8_t *out = outbox_room(&s->out, size);
    if (!out) {
        i3_drop(s, I3_DROP_OUTBOX);
        return;
    }
    out[0] = I3_VERSION;
    out[1] = I3_DATA;
    out[2] = (uint8_t)depth;
    memcpy(out + I3_HEADER, stack, ids);
    if (packet->payload_size)
        memcpy(out + I3_HEADER + ids, packet->payload, packet->payload_size);
    outbox_post(&s->out, &k->target.at, size);
    s->counters.delivered++;
}

/* To the server that is responsible for the first identifier: straight when it is known, else over the ring. */
static void forward(struct i3_server *s, struct passage *p, const struct i3_id *stack,
                    unsigned depth)
{
    struct i3_packet on = {.flags = I3_DATA | I3_OPTIONS,
                           .depth = (uint8_t)depth,
                           .stack = stack,
                           .payload = p->packet->payload,
                           .payload_size = p->packet->payload_size,
                           .option_count = 1};
    const struct route *r = i3_route_find(s, p->now, stack);
    const struct endpoint *own = r ? i3_own(s, r->at.ip.family) : &s->at;
    require(own && (own->ip.family == 4 || s->closed));
    on.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(own)};
    if (i3_route_ask(s, p->now, stack) || !r)
        on.option[on.option_count++].type = I3_REQUEST_FOR_CACHE;
    if (r) {
        s->counters.forwarded++;
        i3_send(s, &r->at, &on);
    } else {
        i3_give_to_ring(s, p->now, &on);
    }
}

/* Nothing there: who sent it is told; if a trigger of ours led there, that is us. */
static void not_present(struct i3_server *s, struct passage *p, const struct i3_id *id, bool by_us)
{
    struct i3_packet reply = {.flags = I3_OPTIONS, .option_count = 1};
    bool is_long;
    i3_drop(s, I3_DROP_NOT_PRESENT);
    if (by_us) {
        i3_back_put(s, p->now, id);
        return;
    }
    if (!p->reply.ip.family || !i3_may_reply(s, p, &is_long))
        return;
    reply.option[0].type = I3_NOT_PRESENT;
    reply.option[0].id = *id;
    i3_send(s, &p->reply, &reply);
}

static void follow(struct i3_server *s, struct passage *p, const struct i3_id *stack,
                   unsigned depth, bool by_us);

/* The first identifier gives way to those of the trigger. */
static void push(struct i3_server *s, struct passage *p, const struct i3_id *stack, unsigned depth,
                 const struct i3_kept *k)
{
    struct i3_id pushed[I3_STACK_MAX];
    unsigned above = k->target.depth, below = depth - 1;
    if (above + below > I3_STACK_MAX) {
        i3_drop(s, I3_DROP_STACK);
        return;
    }
    memcpy(pushed, k->target.stack, above * sizeof *pushed);
    memcpy(pushed + above, stack + 1, below * sizeof *pushed);
    follow(s, p, pushed, above + below, true);
}

/* The triggers that are to go were met while their lists are being walked: they go when the packet is through. */
static void push_back(struct i3_server *s, struct passage *p, const struct i3_kept *k)
{
    i3_drop(s, I3_DROP_PUSHED_BACK);
    for (unsigned i = 0; i < p->pushed_backs; i++)
        if (p->pushed_back[i] == k)
            return;
    if (p->pushed_backs < PUSHED_BACK_MAX)
        p->pushed_back[p->pushed_backs++] = k;
}

/* One trigger of a list; false when the packet has become as many as it may. */
static bool follow_one(struct i3_server *s, struct passage *p, const struct i3_id *stack,
                       unsigned depth, const struct i3_kept *k)
{
    if (k->target.type == I3_TO_STACK) {
        if (i3_back_take(s, p->now, k->target.stack))
            push_back(s, p, k);
        else
            push(s, p, stack, depth, k);
        return true;
    }
    if (++p->sends > SENDS_MAX) {
        i3_drop(s, I3_DROP_COPIES);
        return false;
    }
    deliver(s, p, stack, depth, k);
    return true;
}

static void look_up(struct i3_server *s, struct passage *p, const struct i3_id *stack,
                    unsigned depth, bool by_us)
{
    const struct i3_kept *k = i3_table_match(s->table, p->now, stack);
    if (!k)
        not_present(s, p, stack, by_us);
    while (k && follow_one(s, p, stack, depth, k))
        k = k->next;
}

static void follow(struct i3_server *s, struct passage *p, const struct i3_id *stack,
                   unsigned depth, bool by_us)
{
    if (p->steps >= STEPS_MAX || ++p->looks > LOOKS_MAX) {
        i3_drop(s, I3_DROP_LOOP);
        return;
    }
    p->steps++;
    if (i3_server_owns(s, stack))
        look_up(s, p, stack, depth, by_us);
    else if (++p->sends > SENDS_MAX)
        i3_drop(s, I3_DROP_COPIES);
    else
        forward(s, p, stack, depth);
    p->steps--;
}

void i3_data(struct i3_server *s, struct passage *p)
{
    follow(s, p, p->packet->stack, p->packet->depth, false);
    for (unsigned i = 0; i < p->pushed_backs; i++)
        i3_table_remove(s->table, p->pushed_back[i]);
}
