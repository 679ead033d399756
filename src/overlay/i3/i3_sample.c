/* Which server is near: random identifiers are looked up, and the round trip to the server responsible for each is
 * measured.  Identifiers that begin like the best of them are ours to draw: packets for them pass a server near us, on
 * the last leg of whoever sends to us.  (Stoica et al., "Internet Indirection Infrastructure", section IV.)
 *
 * Who is asked first may say that he is responsible for everything, and answer faster than all others.  So another server
 * is asked as well, with another end of the identifier, which the first one cannot know; only who is named by both is
 * measured.  With one server listed there is nobody else to ask.
 *
 * A round also tells us our own address, since it needs none. */
#include <string.h>

#include "overlay/i3/i3_client.h"

#define FIND_AGAIN    SECOND
#define FIND_TIMES    4
#define MEASURES      3
#define MEASURE_LIMIT SECOND
#define BETTER(rtt)   ((rtt) - (rtt) / 10) /* another server must be a tenth nearer */

static void sample_ask(struct i3_client *c, instant now, struct i3_sample *s)
{
    s->due = now + (s->state == I3_SAMPLE_MEASURE ? MEASURE_LIMIT : FIND_AGAIN);
    i3_client_wake(c, s->due);
    if (s->state == I3_SAMPLE_MEASURE)
        s->via = s->at;
    else if (s->via.ip.family
                 ? !i3_client_other_hop(c, now, &s->via, s->state == I3_SAMPLE_CONFIRM, &s->via)
                 : !i3_client_first_hop(c, now, &s->via))
        return;
    s->asks++;
    s->sent = now;
    i3_client_ask(c, &s->via, &s->id);
}

void i3_samples_begin(struct i3_client *c, instant now)
{
    unsigned count = c->samples ? c->samples : 1; /* one for the address */
    uint8_t key[I3_KEY];
    c->sampling = true;
    c->sample_due = now + c->resample;
    i3_client_wake(c, c->sample_due);
    for (unsigned i = 0; i < count; i++) {
        c->sample[i] = (struct i3_sample){.state = I3_SAMPLE_FIND};
        i3_id_draw(c->hash, c->entropy, NULL, &c->sample[i].id, key);
        sample_ask(c, now, &c->sample[i]);
    }
}

static struct i3_sample *find(const struct i3_client *c, const struct i3_id *id)
{
    for (unsigned i = 0; i < I3_SAMPLES_MAX; i++)
        if (c->sample[i].state != I3_SAMPLE_NONE && !memcmp(&c->sample[i].id, id, I3_PLACE))
            return (struct i3_sample *)&c->sample[i];
    return NULL;
}

bool i3_sample_asks(const struct i3_client *c, const struct i3_id *id)
{
    return find(c, id) != NULL;
}

/* The round is over: is there a nearer server? */
static void round_ends(struct i3_client *c, instant now)
{
    const struct i3_sample *best = NULL;
    c->sampling = false;
    for (unsigned i = 0; i < I3_SAMPLES_MAX; i++) {
        const struct i3_sample *s = &c->sample[i];
        if (s->state == I3_SAMPLE_DONE && s->rtt && (!best || s->rtt < best->rtt) &&
            !i3_client_distrusts(c, now, &s->at))
            best = s;
    }
    if (!best || !c->samples)
        return;
    bool same = c->near.known && endpoint_equal(&c->near.at, &best->at);
    if (c->near.known && !same && best->rtt >= BETTER(c->near.rtt))
        return;
    c->near.rtt = best->rtt;
    if (same)
        return;
    c->near.known = true;
    c->near.at = best->at;
    memcpy(c->near.prefix, best->id.bytes, I3_PREFIX);
    c->near.unanswered = 0;
    i3_client_say(c, I3_EVENT_FIRST_HOP, NULL);
}

static bool under_way(const struct i3_sample *s)
{
    return s->state == I3_SAMPLE_FIND || s->state == I3_SAMPLE_CONFIRM ||
           s->state == I3_SAMPLE_MEASURE;
}

static void sample_over(struct i3_client *c, instant now, struct i3_sample *s)
{
    s->state = I3_SAMPLE_DONE;
    s->due = INSTANT_NEVER;
    for (unsigned i = 0; i < I3_SAMPLES_MAX; i++)
        if (under_way(&c->sample[i]))
            return;
    if (c->sampling)
        round_ends(c, now);
}

static void measure(struct i3_client *c, instant now, struct i3_sample *s)
{
    s->state = I3_SAMPLE_MEASURE;
    s->asks = s->measured = 0;
    s->rtt = 0;
    sample_ask(c, now, s);
}

static void confirm(struct i3_client *c, instant now, struct i3_sample *s)
{
    struct endpoint other;
    s->asks = 0;
    /* In one family: a server has another address in the other one. */
    if (!i3_client_other_hop(c, now, &s->via, true, &other)) {
        measure(c, now, s);
        return;
    }
    s->state = I3_SAMPLE_CONFIRM;
    i3_client_draw_end(c, &s->id);
    sample_ask(c, now, s);
}

bool i3_sample_told(struct i3_client *c, instant now, const struct i3_id *id,
                    const struct endpoint *at)
{
    struct i3_sample *s = find(c, id);
    if (!s)
        return false;
    if (s->state == I3_SAMPLE_DONE || !i3_id_equal(&s->id, id))
        return true; /* a second answer to the first question */
    i3_client_answered(c, &s->via);
    if (s->state == I3_SAMPLE_FIND) {
        s->at = *at;
        confirm(c, now, s);
        return true;
    }
    if (!endpoint_equal(&s->at, at)) {
        i3_client_count(c, I3_COUNT_DISPUTED);
        s->rtt = 0;
        sample_over(c, now, s);
        return true;
    }
    if (s->state == I3_SAMPLE_CONFIRM) {
        measure(c, now, s);
        return true;
    }
    instant rtt = now > s->sent ? now - s->sent : 1;
    s->rtt = s->rtt ? instant_min(s->rtt, rtt) : rtt;
    if (++s->measured < MEASURES)
        sample_ask(c, now, s);
    else
        sample_over(c, now, s);
    return true;
}

static void sample_advance(struct i3_client *c, instant now, struct i3_sample *s)
{
    if (s->via.ip.family && s->asks)
        i3_client_unanswered(c, now, &s->via);
    unsigned limit = s->state == I3_SAMPLE_MEASURE ? MEASURES : FIND_TIMES;
    if (s->asks < limit)
        sample_ask(c, now, s);
    else if (s->state == I3_SAMPLE_CONFIRM)
        measure(c, now, s); /* nobody else is there */
    else
        sample_over(c, now, s);
}

void i3_samples_again(struct i3_client *c, instant now, uint8_t family)
{
    for (unsigned i = 0; i < I3_SAMPLES_MAX; i++) {
        struct i3_sample *s = &c->sample[i];
        if (!under_way(s) || (s->via.ip.family && (!family || s->via.ip.family == family)))
            continue;
        *s = (struct i3_sample){.state = I3_SAMPLE_FIND, .id = s->id};
        sample_ask(c, now, s);
    }
}

instant i3_samples_advance(struct i3_client *c, instant now)
{
    if (c->sample_due <= now)
        i3_samples_begin(c, now);
    instant due = c->sample_due;
    for (unsigned i = 0; i < I3_SAMPLES_MAX; i++) {
        struct i3_sample *s = &c->sample[i];
        if (!under_way(s))
            continue;
        if (s->due <= now)
            sample_advance(c, now, s);
        due = instant_min(due, s->due);
    }
    return due;
}

void i3_near_lost(struct i3_client *c, instant now)
{
    if (!c->near.known)
        return;
    c->near.known = false;
    i3_client_say(c, I3_EVENT_FIRST_HOP, NULL);
    if (!c->sampling)
        c->sample_due = now + SECOND; /* look for another */
    i3_client_wake(c, c->sample_due);
}

void i3_client_draw(struct i3_client *c, struct i3_id *ret, uint8_t ret_key[I3_KEY])
{
    i3_id_draw(c->hash, c->entropy, c->near.known ? c->near.prefix : NULL, ret, ret_key);
}
