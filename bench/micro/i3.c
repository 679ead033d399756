/* An i3 server with many triggers: what one core can insert, refresh and match, as packets in and packets out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "bench/micro/micro.h"
#include "i3/i3_server.h"
#include "tests/support/seeded.h"

#define STEPS   2000
#define PAYLOAD 1400

struct bench {
    struct seeded random;
    struct i3_server *server;
    struct i3_hash *hash;
    unsigned triggers, next;
    struct i3_trigger *all;
    instant now;
    uint64_t out;
    size_t payload;
};

/* Clients are many, since what one of them may do in a second is limited. */
static struct endpoint client(unsigned number)
{
    return (struct endpoint){
        .ip = {4, {10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}},
        .port = 10000};
}

static void drain(struct bench *b, struct i3_trigger *ret)
{
    struct i3_server_out out;
    while (i3_server_output(b->server, &out)) {
        struct i3_packet p;
        b->out++;
        if (ret && i3_packet_parse(out.letter.bytes, out.letter.size, &p) == I3_FINE &&
            p.option_count && i3_trigger_same(&p.option[0].trigger, ret))
            memcpy(ret->nonce, p.option[0].trigger.nonce, I3_NONCE);
    }
}

static void say(struct bench *b, const struct i3_trigger *t, bool insert)
{
    static uint8_t payload[PAYLOAD];
    struct i3_packet p = {.flags = I3_OPTIONS | I3_FIRST_HOP | (insert ? 0 : I3_DATA),
                          .depth = 1,
                          .stack = &t->id,
                          .option_count = insert ? 2 : 1,
                          .payload = payload,
                          .payload_size = insert ? 0 : b->payload};
    uint8_t bytes[2048];
    p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = t->target};
    if (insert)
        p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = *t};
    size_t size = i3_packet_write(&p, bytes, sizeof bytes);
    i3_server_input(b->server, b->now, I3_PORT_CLIENTS, &t->target.at, bytes, size);
}

/* One of them, in an order that caches do not know. */
static struct i3_trigger *pick(struct bench *b)
{
    b->next = (b->next + 7919 * 101) % b->triggers;
    return &b->all[b->next];
}

static void match_step(void *self, unsigned index)
{
    struct bench *b = self;
    say(b, pick(b), false);
    drain(b, NULL);
}

static void refresh_step(void *self, unsigned index)
{
    struct bench *b = self;
    say(b, pick(b), true);
    drain(b, NULL);
}

/* Of a trigger that is not there: the challenge, and the INSERT with its nonce. */
static void insert_step(void *self, unsigned index)
{
    struct bench *b = self;
    struct endpoint from = client(entropy_u32(&b->random.entropy));
    struct i3_trigger t = {.prefix = 256, .target = i3_address_of(&from)};
    i3_id_draw(b->hash, &b->random.entropy, NULL, &t.id, t.key);
    say(b, &t, true);
    drain(b, &t);
    say(b, &t, true);
    drain(b, NULL);
    b->now += 20 * MICROSECOND;
}

void micro_i3(unsigned triggers)
{
    struct bench b = {.triggers = triggers, .now = SECOND};
    struct i3_server_settings s = {.triggers = 4 * triggers,
                                   .remembered = 64,
                                   .outbox = 1 << 20,
                                   .entropy = &b.random.entropy};
    seeded_init(&b.random, 1);
    b.hash = i3_hash_new();
    require(endpoint_parse("192.0.2.1:5610", 0, &s.at));
    require(endpoint_parse("192.0.2.1:5611", 0, &s.chord.self.at));
    b.server = i3_server_new(&s, b.now);
    b.all = base_calloc(triggers, sizeof *b.all);
    for (unsigned i = 0; i < triggers; i++) {
        struct i3_trigger *t = &b.all[i];
        struct endpoint from = client(i);
        *t = (struct i3_trigger){.prefix = 256, .target = i3_address_of(&from)};
        i3_id_draw(b.hash, &b.random.entropy, NULL, &t->id, t->key);
        b.now += 8 * MICROSECOND; /* less than a trigger's life for all of them */
        say(&b, t, true);
        drain(&b, t);
        say(&b, t, true);
        drain(&b, t);
    }
    unsigned kept = i3_server_triggers(b.server);
    b.payload = 64;
    double small = micro_time(NULL, match_step, &b, STEPS);
    b.payload = PAYLOAD;
    double large = micro_time(NULL, match_step, &b, STEPS);
    double refresh = micro_time(NULL, refresh_step, &b, STEPS);
    double insert = micro_time(NULL, insert_step, &b, STEPS);
    printf("{\"triggers\":%u,\"match_64_ns\":%.0f,\"match_1400_ns\":%.0f,\"refresh_ns\":%.0f,"
           "\"insert_ns\":%.0f}\n",
           kept, small, large, refresh, insert);
    i3_server_free(b.server);
    i3_hash_free(b.hash);
    free(b.all);
}
