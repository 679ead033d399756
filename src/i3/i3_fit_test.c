/* What one of ours passes on over an open ring: nothing that kills or poisons an original. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/i3_ring.h"

static struct endpoint alice, bob;

/* Two servers; ids[0] belongs to the first, ids[1] to the second. */
static struct i3_ring *two(struct i3_trigger of[2], const uint8_t *secret)
{
    struct i3_ring *r = i3_ring_new(5, secret);
    alice = i3_ring_client(0);
    bob = i3_ring_client(1);
    i3_ring_add(r);
    i3_ring_add(r);
    i3_ring_run(r, 20 * SECOND);
    for (unsigned i = 0; i < 2; i++)
        of[i] = i3_ring_drawn_at(r, i, &alice);
    return r;
}

struct story {
    const char *name;
    bool passes;
    uint8_t flags;
    struct i3_option option[3];
    unsigned options;
    const char *payload;
};

static uint64_t ring_drops(const struct i3_ring *r)
{
    return chord_counters(i3_server_chord(r->server[0].server))->drops[CHORD_DROP_UNFIT];
}

/* Given to the first server, of which the second is the responsible one: by a client, and as a ROUTE. */
static void tell(struct i3_ring *r, const struct i3_trigger *t, const struct story *s)
{
    const struct i3_counters *c = i3_server_counters(r->server[0].server);
    struct i3_packet p = {
        .flags = s->flags, .depth = 1, .stack = &t->id, .option_count = (uint8_t)s->options};
    uint8_t bytes[1024] = {CHORD_ROUTE};
    memcpy(p.option, s->option, sizeof s->option);
    p.payload = (const uint8_t *)s->payload;
    p.payload_size = s->payload ? 96 : 0;
    uint64_t routed = c->routed, unfit = c->drops[I3_DROP_UNFIT], unfit_routes = ring_drops(r);
    i3_ring_send_packet(r, &alice, &r->server[0].at, &p);
    i3_ring_run(r, 50 * MILLISECOND);
    if (c->routed - routed != s->passes || c->drops[I3_DROP_UNFIT] - unfit != !s->passes)
        fail_msg("%s: passed on %d times", s->name, (int)(c->routed - routed));
    size_t size = i3_packet_write(&p, bytes + 23, sizeof bytes - 23);
    memcpy(bytes + 1, t->id.bytes, CHORD_ID);
    bytes[21] = (uint8_t)(size >> 8);
    bytes[22] = (uint8_t)size;
    i3_ring_send(r, &alice, &r->server[0].ring, bytes, 23 + size);
    i3_ring_run(r, 50 * MILLISECOND);
    if (ring_drops(r) - unfit_routes != !s->passes)
        fail_msg("%s, as a ROUTE: passed on %d times", s->name,
                 !(int)(ring_drops(r) - unfit_routes));
}

#define SAYS(...)                                                                                  \
    .option = {__VA_ARGS__},                                                                       \
    .options = sizeof((struct i3_option[]){__VA_ARGS__}) / sizeof(struct i3_option)

static void what_originals_do_not_survive(void **state)
{
    static char news[96] = {0x18}, noise[96];
    struct i3_trigger of[2];
    struct i3_ring *r = two(of, NULL);
    struct i3_option sender = {.type = I3_SENDER, .sender = i3_address_of(&alice)},
                     ask = {.type = I3_REQUEST_FOR_CACHE};
    struct i3_option insert = {.type = I3_INSERT, .trigger = of[1]}, cannot = insert, told = insert;
    struct i3_option remove = {.type = I3_REMOVE, .trigger = of[1]},
                     stamp = {.type = I3_APPEND_TIME};
    struct i3_option absent = {.type = I3_NOT_PRESENT, .id = of[1].id},
                     log = {.type = I3_LOG_PACKET};
    cannot.trigger.target.at.port = 0;
    told.type = I3_CACHE_ADDRESS;
    const struct story stories[] = {
        {"an insert", true, I3_OPTIONS, SAYS(sender, insert)},
        {"an insert with a question", true, I3_OPTIONS, SAYS(sender, ask, insert)},
        {"a removal", true, I3_OPTIONS, SAYS(remove)},
        {"measured data", true, I3_OPTIONS | I3_DATA, SAYS(sender, stamp), .payload = news},
        {"a question behind an insert", false, I3_OPTIONS, SAYS(sender, insert, ask)},
        {"two inserts", false, I3_OPTIONS, SAYS(sender, insert, insert)},
        {"a sender behind an insert", false, I3_OPTIONS, SAYS(insert, sender)},
        {"a target that cannot be", false, I3_OPTIONS, SAYS(sender, cannot)},
        {"a server's address", false, I3_OPTIONS, SAYS(sender, told)},
        {"push-back", false, I3_OPTIONS, SAYS(sender, absent)},
        {"a time stamp without its header", false, I3_OPTIONS | I3_DATA, SAYS(sender, stamp),
         .payload = noise},
        {"a log without anything", false, I3_OPTIONS, SAYS(sender, log)},
    };
    for (unsigned i = 0; i < sizeof stories / sizeof *stories; i++)
        tell(r, &of[1], &stories[i]);
    i3_ring_free(r);
}

/* An original does not ask the target whether it wants the trigger; one of ours does. */
static void triggers_to_others(void **state)
{
    for (unsigned own = 0; own < 2; own++) {
        struct i3_trigger of[2];
        struct i3_ring *r = two(of, NULL);
        uint64_t before = i3_server_counters(r->server[0].server)->drops[I3_DROP_UNFIT];
        struct i3_trigger t = of[!own];
        t.target = i3_address_of(&bob);
        assert_int_equal(i3_ring_insert(r, &alice, 0, &t), own);
        assert_int_equal(i3_server_counters(r->server[0].server)->drops[I3_DROP_UNFIT] > before,
                         !own);
        i3_ring_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_originals_do_not_survive),
        cmocka_unit_test(triggers_to_others),
    };
    return cmocka_run_group_tests_name("i3_fit", tests, NULL, NULL);
}
