/* Do servers do what they say?
 *
 * An acknowledgement is worth nothing: anybody can say that he keeps a trigger, or that he is responsible for every
 * identifier there is.  What counts is what comes back.  So packets go to our own triggers:
 *
 *   straight   to each server that acknowledged one, to that trigger: it keeps it, or it lied
 *   routed     to each server listed, to the trigger of our name: it leads there, as it does for whoever looks for us
 *
 * Three are sent to each, 700 ms apart; one that comes back from the server that holds the trigger is enough.  A round
 * begins when the name's trigger is acknowledged, which is every 15 to 20 s, and when a tunnel falls silent.  At its end:
 *
 *   straight failed, and nobody led there      the holder is distrusted, and who said that it is the holder
 *   only straight passed, two others failed,   the holder is distrusted: it may keep the trigger, but alone
 *     and somebody says there is no trigger
 *   routed failed while the holder delivers    who was to lead there is distrusted
 *
 * What goes to a trigger with a limit may be lost because somebody floods it, so nobody is distrusted for that.  When the
 * name's has one, a trigger without a limit stands in for it: its identifier begins like the name's, so the same server is
 * responsible for both, and nobody but servers sees it, so nobody floods it.
 *
 * Whom we distrust is used only when there is nobody else, and what he told us is asked again elsewhere.  That ends with the
 * first packet that comes back through him, or after a minute without a check.
 *
 * The packet carries its token twice, as the identifiers behind the first, in data of one byte: a packet with three
 * identifiers is no record, so the data path hands it to the module, and everybody else takes it for nothing. */
#include <string.h>

#include <utlist.h>

#include "base/check.h"
#include "overlay/i3/i3_client.h"

#define TRIES       3
#define TRY_AGAIN   (700 * MILLISECOND)
#define ROUND_PAUSE (3 * SECOND) /* from one beginning to the next */
#define SETTLE                                                                                     \
    (500 * MILLISECOND) /* triggers that are being inserted again are acknowledged by then */
#define OTHERS_MIN 2    /* that must disagree with a holder who does deliver */

/* ---- distrust ---- */

static struct i3_distrust *distrust_find(const struct i3_client *c, const struct endpoint *server)
{
    for (unsigned i = 0; i < I3_CHECKS_MAX; i++)
        if (c->distrust[i].until && endpoint_equal(&c->distrust[i].at, server))
            return (struct i3_distrust *)&c->distrust[i];
    return NULL;
}

bool i3_client_distrusts(const struct i3_client *c, instant now, const struct endpoint *server)
{
    const struct i3_distrust *d = distrust_find(c, server);
    return d && d->until > now;
}

/* The one that is over first makes room. */
static struct i3_distrust *distrust_room(struct i3_client *c)
{
    struct i3_distrust *first = &c->distrust[0];
    for (unsigned i = 1; i < I3_CHECKS_MAX; i++)
        if (c->distrust[i].until < first->until)
            first = &c->distrust[i];
    return first;
}

void i3_client_distrust(struct i3_client *c, instant now, const struct endpoint *server)
{
    struct i3_distrust *d = distrust_find(c, server);
    struct endpoint other;
    bool already = d && d->until > now;
    if (!d)
        d = distrust_room(c);
    *d = (struct i3_distrust){.at = *server, .until = now + I3_DISTRUST};
    if (already)
        return;
    i3_client_count(c, I3_COUNT_DISTRUSTED);
    if (c->near.known && endpoint_equal(&c->near.at, server))
        i3_near_lost(c, now);
    if (!i3_client_first_hop(c, now, &other) || endpoint_equal(&other, server))
        return; /* there is nobody else to ask */
    i3_owners_distrust(c, now, server);
    i3_bindings_distrust(c, now, server);
    i3_client_say(c, I3_EVENT_FIRST_HOP, NULL);
}

static void trust(struct i3_client *c, const struct endpoint *server)
{
    struct i3_distrust *d = distrust_find(c, server);
    if (d)
        *d = (struct i3_distrust){0};
}

/* ---- a round ---- */

static bool is_straight(const struct i3_check *k)
{
    return endpoint_equal(&k->by, &k->holder);
}

static struct i3_check *check_by(struct i3_client *c, const struct endpoint *by)
{
    for (unsigned i = 0; i < c->checks; i++)
        if (endpoint_equal(&c->check[i].by, by))
            return &c->check[i];
    return NULL;
}

static void add(struct i3_client *c, const struct endpoint *by, const struct i3_binding *b)
{
    if (!i3_client_speaks(c, by) || c->checks == I3_CHECKS_MAX || check_by(c, by))
        return;
    struct i3_check *k = &c->check[c->checks++];
    *k = (struct i3_check){.by = *by,
                           .holder = b->at,
                           .teller = b->teller,
                           .id = b->trigger.id,
                           .limited = b->limited};
    entropy_fill(c->entropy, k->token.bytes, I3_ID);
}

static void transmit(struct i3_client *c, instant now)
{
    for (unsigned i = 0; i < c->checks; i++) {
        const struct i3_check *k = &c->check[i];
        const struct i3_id stack[I3_CHECK_DEPTH] = {k->id, k->token, k->token};
        if (k->delivered)
            continue;
        i3_client_count(c, I3_COUNT_CHECKS);
        i3_client_send_data(c, &k->by, stack, I3_CHECK_DEPTH);
    }
    c->check_tries++;
    c->check_due = now + TRY_AGAIN;
    i3_client_wake(c, c->check_due);
}

static const struct i3_binding *subject(const struct i3_client *c)
{
    const struct i3_binding *b = c->stand_in;
    return b && c->checked->limited && b->acknowledged && b->at.ip.family ? b : c->checked;
}

static void begin(struct i3_client *c, instant now)
{
    const struct i3_binding *b, *checked = subject(c);
    c->check_begun = now;
    c->check_tries = c->denials = 0;
    add(c, &checked->at, checked);
    DL_FOREACH(c->bindings, b)
    if (b->state == I3_BINDING_HELD && b->trigger.target.type != I3_TO_STACK)
        add(c, &b->at, b);
    for (unsigned i = 0; i < c->seed_count; i++)
        if (c->self[c->seed[i].at.ip.family == 6]
                .at.ip.family) /* else nobody answers in that family */
            add(c, &c->seed[i].at, checked);
    transmit(c, now);
}

void i3_checks_begin(struct i3_client *c, instant now)
{
    instant due = c->check_begun ? c->check_begun + ROUND_PAUSE : now;
    if (c->checks || c->check_due != INSTANT_NEVER)
        return;
    c->check_due = due > now + SETTLE ? due : now + SETTLE;
    i3_client_wake(c, c->check_due);
}

/* ---- its end ---- */

static bool holder_delivers(const struct i3_client *c, const struct endpoint *holder)
{
    for (unsigned i = 0; i < c->checks; i++)
        if (c->check[i].delivered && endpoint_equal(&c->check[i].holder, holder))
            return true;
    return false;
}

/* Nobody but the holder itself leads to the trigger of our name. */
static bool holder_is_alone(const struct i3_client *c)
{
    unsigned failed = 0;
    for (unsigned i = 0; i < c->checks; i++) {
        const struct i3_check *k = &c->check[i];
        if (is_straight(k))
            continue;
        if (k->delivered)
            return false;
        failed++;
    }
    return failed >= OTHERS_MIN && c->denials;
}

static bool is_at_fault(const struct i3_client *c, const struct i3_check *k, bool alone)
{
    bool routed = !is_straight(k), first = k == &c->check[0];
    if (k->limited)
        return false;
    if (alone)
        return first || (!routed && !holder_delivers(c, &k->holder));
    return routed ? !k->delivered && holder_delivers(c, &k->holder)
                  : !holder_delivers(c, &k->holder);
}

/* Distrust asks elsewhere, so all is judged before anything is done about it. */
static void round_ends(struct i3_client *c, instant now)
{
    struct endpoint at_fault[2 * I3_CHECKS_MAX];
    unsigned count = 0;
    bool alone = holder_is_alone(c);
    for (unsigned i = 0; i < c->checks; i++) {
        const struct i3_check *k = &c->check[i];
        if (!k->delivered)
            i3_client_count(c, I3_COUNT_CHECKS_FAILED);
        if (is_at_fault(c, k, alone)) {
            if (is_straight(k) && !endpoint_equal(&k->teller, &k->holder))
                at_fault[count++] = k->teller; /* first: what the holder had goes elsewhere */
            at_fault[count++] = k->by;
        } else if (k->delivered) {
            trust(c, &k->by);
        }
    }
    c->checks = 0;
    for (unsigned i = 0; i < count; i++)
        i3_client_distrust(c, now, &at_fault[i]);
}

instant i3_checks_advance(struct i3_client *c, instant now)
{
    if (c->check_due > now)
        return c->check_due;
    c->check_due = INSTANT_NEVER;
    if (!c->checks && c->checked && c->checked->at.ip.family)
        begin(c, now);
    else if (c->checks && c->check_tries < TRIES)
        transmit(c, now);
    else if (c->checks)
        round_ends(c, now);
    return c->check_due;
}

/* ---- what comes ---- */

void i3_check_came(struct i3_client *c, instant now, const struct endpoint *from,
                   const struct i3_packet *p)
{
    struct i3_check *k = c->check, *end = c->check + c->checks;
    while (k < end && !(i3_id_equal(&k->token, &p->stack[1]) && i3_id_equal(&k->id, p->stack) &&
                        endpoint_equal(&k->holder, from)))
        k++;
    if (k == end) {
        i3_client_count(c, I3_COUNT_STRANGE_CHECK);
        return;
    }
    k->delivered = true;
    for (k = c->check; k < end && k->delivered; k++)
        ;
    if (k == end) {
        c->check_due = now; /* all is well: over before its time */
        i3_client_wake(c, now);
        c->check_tries = TRIES;
    }
}

bool i3_check_denied(struct i3_client *c, const struct endpoint *from, const struct i3_id *id)
{
    if (!c->checks || !i3_id_equal(&c->check[0].id, id))
        return false;
    i3_client_count(c, I3_COUNT_DENIED);
    c->denials += !endpoint_equal(&c->check[0].holder, from);
    return true;
}
