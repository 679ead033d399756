#include "path/path_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* Chaos from a seed: six hosts, two gateways between two overlays, a network that loses, doubles
 * and reorders, and hosts that are killed and started again at any time.  When the faults stop,
 * every pair that talked must talk again within a minute; when the talking stops as well, nothing
 * may be left behind. */

enum { ALPHA, BETA, GAMMA, DELTA, GATE, OTHER, BOXES };

static const char timers[] =
    "timers: {rekey: 4s, old_keys: 2s, keepalive: 5s, park: 3s, idle: 30s, close: 90s}\n"
    "policy: [{peer: '*', allow: any}]\n";

struct chaos {
    struct net net;
    struct box *box[BOXES];
};

/* Who talks to whom, and by which names. */
static const struct pair {
    unsigned from, to;
    const char *to_name, *from_name, *chain[2];
} pairs[] = {
    {ALPHA,
     BETA,
     "beta.west.ip",
     "alpha.east.ip",
     {"beta.west.ip.via.gate.east.ip", "beta.west.ip.via.other.east.ip"}},
    {GAMMA,
     DELTA,
     "delta.west.ip",
     "gamma.east.ip",
     {"delta.west.ip.via.gate.east.ip", "delta.west.ip.via.gate.east.ip"}},
    {ALPHA, GAMMA, "gamma.east.ip", "alpha.east.ip", {"gamma.east.ip", "gamma.east.ip"}},
    {BETA,
     DELTA,
     "delta.west.ip",
     "beta.west.ip",
     {"delta.west.ip", "delta.west.ip.via.gate.west.ip"}},
    {DELTA,
     ALPHA,
     "alpha.east.ip",
     "delta.west.ip",
     {"alpha.east.ip.via.other.west.ip", "alpha.east.ip.via.gate.west.ip"}},
};
#define PAIRS (sizeof pairs / sizeof *pairs)

static unsigned draw(struct chaos *c, unsigned below)
{
    return entropy_below(&c->net.seeded.entropy, below);
}

static void chaos_init(struct chaos *c, uint64_t seed)
{
    static const char *const name[] = {"alpha", "beta", "gamma", "delta", "gate", "other"};
    static const char *const instances[] = {"east", "west",      "east",
                                            "west", "east west", "east west"};
    net_init(&c->net, seed);
    for (unsigned i = 0; i < BOXES; i++) {
        char yaml[1024];
        const char *of = i == ALPHA || i == GAMMA ? "east" : "west",
                   *about = *of == 'e' ? "west" : "east";
        if (i >= GATE)
            snprintf(yaml, sizeof yaml,
                     "forward: [{from: east.ip, to: west.ip}, {from: west.ip, to: east.ip}, "
                     "{from: west.ip, to: west.ip}]\n%s",
                     timers);
        else
            snprintf(yaml, sizeof yaml,
                     "believe: [{gateway: gate.%s.ip, instances: [%s.ip]}, "
                     "{gateway: other.%s.ip, instances: [%s.ip]}]\n%s",
                     of, about, of, about, timers);
        c->box[i] = box_new(&c->net, name[i], instances[i], yaml);
        c->box[i]->data_lanes = 1 + i % 3;
        box_start(c->box[i]);
    }
}

static void faults_on(struct chaos *c)
{
    c->net.faults = (struct net_faults){.loss = draw(c, 250),
                                        .duplicate = draw(c, 100),
                                        .reorder = draw(c, 200),
                                        .delay = 1 + draw(c, 40) * MILLISECOND,
                                        .jitter = draw(c, 30) * MILLISECOND};
}

static void talk(struct chaos *c, const struct pair *p)
{
    struct box *from = c->box[p->from], *to = c->box[p->to];
    if (!box_grip(from, p->to_name) || !draw(c, 40)) {
        struct box *b = from;
        b->answers = 0; /* what was asked before is not looked at */
        box_open(b, p->chain[draw(c, 2)]);
    }
    if (draw(c, 2))
        box_send(from, to, p->to_name, 4);
    else
        box_send(to, from, p->from_name, 4);
}

/* What owners and overlays may do at any time. */
static void meddle(struct chaos *c)
{
    struct box *b = c->box[draw(c, BOXES)];
    instant now = c->net.now;
    uint32_t slot = draw(c, b->e->slot_range);
    for (unsigned i = 0; i < b->e->slot_range && !path_slot_path(b->e, slot); i++)
        slot = (slot + 1) % b->e->slot_range;
    struct path *p = path_slot_path(b->e, slot);
    switch (draw(c, 8)) {
    case 0:
        path_close(b->e, now, slot, "chaos");
        break;
    case 1:
        path_ping(b->e, now, slot, 5);
        break;
    case 2:
        path_check_all(b->e, now);
        break;
    case 3:
        path_reload(b->e, now, b->config);
        break;
    case 4:
        if (p && p->peer)
            path_forget(b->e, now, p->peer->name);
        break;
    case 5:
        if (b->toys)
            path_tunnel_failed(b->e, now, b->toys->id, draw(c, 2), "chaos");
        break;
    case 6:
        if (b->toys)
            path_link_message(b->e, now, b->toys->id, NULL, (const uint8_t *)"chaos", 5);
        break;
    default:
        if (b->toys)
            path_tunnel_too_big(b->e, now, &b->toys->remote, 1400, 1300);
    }
    box_pump(b);
    if (!draw(c, 4))
        box_move(b, 0, 100 + draw(c, 25) * BOXES + b->index);
}

static void rage(struct chaos *c, instant span, bool meddling)
{
    instant end = c->net.now + span;
    while (c->net.now < end) {
        talk(c, &pairs[draw(c, PAIRS)]);
        if (!draw(c, 60))
            box_restart(c->box[draw(c, BOXES)]);
        if (!draw(c, 50))
            faults_on(c);
        if (!draw(c, 200))
            net_run(&c->net, draw(c, 8) * SECOND);
        if (!draw(c, 100))
            box_stick(c->box[draw(c, BOXES)], draw(c, 2));
        if (meddling && !draw(c, 15))
            meddle(c);
        net_run(&c->net, draw(c, 200) * MILLISECOND);
    }
    for (unsigned i = 0; i < BOXES; i++)
        box_stick(c->box[i], false);
}

static void reconnect(struct chaos *c, const struct pair *p, uint64_t seed)
{
    struct box *from = c->box[p->from], *to = c->box[p->to];
    uint64_t there = to->got[from->index], back = from->got[to->index];
    for (unsigned i = 0; i < 60; i++) {
        if (!box_grip(from, p->to_name) || i % 8 == 7) {
            from->answers = 0;
            box_open(from, p->chain[0]);
        }
        box_send(from, to, p->to_name, 4);
        box_send(to, from, p->from_name, 6);
        net_run(&c->net, SECOND);
        if (to->got[from->index] > there && from->got[to->index] > back)
            return;
    }
    fail_msg("seed %lu: %s and %s do not find each other again\n%s\n%s", (unsigned long)seed,
             from->name, to->name, from->notices, to->notices);
}

static void nothing_left(struct chaos *c, uint64_t seed)
{
    for (unsigned i = 0; i < BOXES; i++) {
        struct path_count count;
        path_count(c->box[i]->e, &count);
        if (count.paths || count.halves || count.transits || count.tunnels || count.slots ||
            count.opens)
            fail_msg("seed %lu: %s keeps %u paths, %u halves, %u transits, %u tunnels, %u slots, "
                     "%u opens",
                     (unsigned long)seed, c->box[i]->name, count.paths, count.halves,
                     count.transits, count.tunnels, count.slots, count.opens);
        assert_int_equal(packet_pool_out(c->box[i]->pool), 0);
    }
}

static void chaos(uint64_t seed, bool meddling)
{
    struct chaos c;
    chaos_init(&c, seed);
    faults_on(&c);
    rage(&c, MINUTE, meddling);
    c.net.faults = (struct net_faults){.delay = 10 * MILLISECOND};
    for (unsigned i = 0; i < PAIRS; i++)
        reconnect(&c, &pairs[i], seed);
    for (unsigned i = 0; i < BOXES; i++)
        for (unsigned j = 0; j < BOXES; j++)
            assert_int_equal(c.box[i]->doubled[j], 0);
    net_run(&c.net, 10 * MINUTE);
    nothing_left(&c, seed);
    net_done(&c.net);
}

static void many_seeds(void **state)
{
    const char *first = getenv("OCALA_SOAK_SEED"), *count = getenv("OCALA_SOAK_COUNT");
    uint64_t seed = first ? strtoull(first, NULL, 10) : 1,
             seeds = count ? strtoull(count, NULL, 10) : 12;
    for (uint64_t i = 0; i < seeds; i++)
        chaos(seed + i, i % 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_seeds),
    };
    return cmocka_run_group_tests_name("path_soak", tests, NULL, NULL);
}
