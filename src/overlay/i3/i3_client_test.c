/* i3_client, i3_binding, i3_owner, i3_sample: against packets captured from the original, replayed by a script, and
 * against servers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "overlay/i3/i3_lone_fixture.h"
#include "tests/support/i3_vectors.h"

static struct lone lone;

static void pass(instant span)
{
    lone.now += span;
    i3_client_advance(&lone.client, lone.now);
}

static void replay_from(const char *tag, const char *from, const char *local)
{
    struct i3_vector v = i3_vector(tag);
    struct arrival a = {.remote = lone_endpoint(from)};
    if (local)
        a.local = lone_endpoint(local);
    i3_client_input(&lone.client, lone.now, &a, v.bytes, v.size);
}

static void replay(const char *tag)
{
    replay_from(tag, "127.0.0.1:5610", "127.0.0.1:10001");
}

static void said_vector(const char *tag)
{
    struct i3_vector v = i3_vector(tag);
    const struct i3_datagram *d = lone_said_to(&lone, "127.0.0.1:5610");
    assert_int_equal(d->size, v.size);
    assert_memory_equal(d->bytes, v.bytes, v.size);
}

static bool event(enum i3_event_kind kind)
{
    struct i3_event e;
    while (i3_client_event(&lone.client, &e))
        if (e.kind == kind)
            return true;
    return false;
}

/* The trigger of a captured INSERT. */
static struct i3_trigger trigger_of(const char *tag)
{
    static struct i3_packet p;
    static struct i3_vector v;
    v = i3_vector(tag);
    assert_int_equal(i3_packet_parse(v.bytes, v.size, &p), I3_FINE);
    const struct i3_option *o = i3_packet_option(&p, I3_INSERT);
    if (!o)
        o = i3_packet_option(&p, I3_CHALLENGE);
    return o->trigger;
}

static struct i3_binding *bind(const char *tag)
{
    struct i3_trigger t = trigger_of(tag);
    bool stack = t.target.type == I3_TO_STACK;
    return i3_binding_add(&lone.client, lone.now, &t.id, stack ? NULL : t.key, t.prefix,
                          stack ? t.target.stack : NULL, stack ? t.target.depth : 0);
}

/* ---- the original, replayed ---- */

/* E1 to E4, E15, E16: inserted, challenged, acknowledged, refreshed, removed, byte for byte; `limit` or not. */
static void life_at_an_original(uint32_t limit)
{
    struct i3_vector first = i3_vector("E1");
    lone_start(&lone, "127.0.0.1:5610", "127.0.0.1:10001", 0);
    struct i3_binding *b = bind("E1");
    b->limit = limit;
    const struct i3_datagram *d = lone_said_to(&lone, "127.0.0.1:5610");
    assert_int_equal(d->size, first.size);
    memset(first.bytes + 81, 0, I3_NONCE); /* where the original has stray memory */
    assert_memory_equal(d->bytes, first.bytes, first.size);
    replay("E2");
    said_vector("E3");
    replay("E4");
    lone_said_nothing(&lone);
    assert_int_equal(b->state, I3_BINDING_HELD);
    assert_true(event(I3_EVENT_HELD));
    pass(I3_REFRESH - SECOND);
    lone_said_nothing(&lone);
    pass(I3_REFRESH_SPAN + SECOND);
    said_vector("E15");
    replay("E4");
    i3_binding_remove(&lone.client, b);
    said_vector("E16");
    lone_stop(&lone);
}

static void as_the_original_saw_it(void **state)
{
    life_at_an_original(0);
    life_at_an_original(2000); /* of which an original sees nothing */
}

/* What is known of the nonce saves the next challenge. */
static void nonce_is_remembered(void **state)
{
    lone_start(&lone, "127.0.0.1:5610", "127.0.0.1:10001", 0);
    struct i3_trigger t = trigger_of("E2");
    bind("E1");
    replay("E2");
    replay("E4");
    while (i3_client_datagram(&lone.client))
        ;
    uint8_t key[I3_KEY];
    struct i3_id id;
    i3_client_draw(&lone.client, &id, key);
    i3_binding_add(&lone.client, lone.now, &id, key, 256, NULL, 0);
    const struct i3_datagram *d = lone_said_to(&lone, "127.0.0.1:5610");
    assert_memory_equal(d->bytes + 81, t.nonce, I3_NONCE);
    lone_stop(&lone);
}

/* E7, E8: a trigger that leads to an identifier. */
static void stack_target(void **state)
{
    struct i3_vector v = i3_vector("E7");
    lone_start(&lone, "127.0.0.1:5610", "127.0.0.1:10001", 0);
    bind("E7");
    const struct i3_datagram *d = lone_said_to(&lone, "127.0.0.1:5610");
    assert_int_equal(d->size, v.size);
    assert_memory_equal(d->bytes, v.bytes, 81);
    replay("E8");
    d = lone_said_to(&lone, "127.0.0.1:5610");
    assert_memory_equal(d->bytes + 81, trigger_of("E8").nonce, I3_NONCE);
    lone_stop(&lone);
}

/* E11 to E13: who is responsible, and that there is no trigger. */
static void responsible_server(void **state)
{
    struct i3_vector asked = i3_vector("E11");
    struct i3_id id;
    memcpy(&id, asked.bytes + I3_HEADER, sizeof id);
    lone_start(&lone, "192.0.2.1:5610", "127.0.0.1:10001", 0);
    lone.client.behind_nat = true;
    i3_owner_want(&lone.client, lone.now, &id);
    const struct i3_datagram *d = lone_said_to(&lone, "192.0.2.1:5610");
    /* All but the payload, and the end of the identifier. */
    assert_memory_equal(d->bytes, asked.bytes, I3_HEADER + I3_PLACE);
    assert_memory_equal(d->bytes + 35, asked.bytes + 35, 11);
    replay("E13");
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_NOT_PRESENT], 1); /* too early */
    lone.client.owners->asked_as = id;
    replay("E12");
    lone.client.owners->asked_as.bytes[I3_ID - 1] ^= 1;
    struct endpoint at = i3_owner_at(&lone.client, &id), server = lone_endpoint("127.0.0.1:5610");
    assert_true(endpoint_equal(&at, &server));
    assert_true(event(I3_EVENT_OWNER));
    replay("E13");
    assert_true(event(I3_EVENT_NOT_PRESENT));
    lone_stop(&lone);
}

/* E14: the trigger is refused, and tried again as before. */
static void constraint_failed(void **state)
{
    lone_start(&lone, "127.0.0.1:5610", "127.0.0.1:10001", 0);
    struct i3_vector v = i3_vector("E14");
    struct i3_packet p;
    i3_packet_parse(v.bytes, v.size, &p);
    const struct i3_trigger *t = &p.option[0].trigger;
    struct i3_binding *b =
        i3_binding_add(&lone.client, lone.now, &t->id, t->key, t->prefix, NULL, 0);
    memcpy(b->trigger.nonce, t->nonce, I3_NONCE);
    lone_said_to(&lone, "127.0.0.1:5610");
    replay("E14");
    assert_true(b->refused);
    assert_int_equal(lone.client.counter[I3_COUNT_CONSTRAINT], 1);
    pass(I3_ACK_TIMEOUT);
    lone_said_to(&lone, "127.0.0.1:5610");
    lone_stop(&lone);
}

/* E21: the first server passes the challenge on to a client behind a NAT; it answers the one that is responsible. */
static void behind_a_nat(void **state)
{
    lone_start(&lone, "127.0.0.1:5710", "10.9.9.9:7777", 0);
    struct i3_binding *b = bind("E21");
    lone_said_to(&lone, "127.0.0.1:5710");
    replay_from("E21", "127.0.0.1:5710", NULL);
    assert_true(lone.client.behind_nat);
    lone_said_to(&lone, "127.0.0.1:5713");
    assert_int_equal(b->challenges, 1);
    lone_stop(&lone);
}

/* ---- time ---- */

static void retries_and_pause(void **state)
{
    lone_start(&lone, "192.0.2.1:5610, 192.0.2.2:5610", "10.0.0.1:7400", 0);
    struct i3_binding *b = bind("E1");
    bool to[2] = {false};
    struct endpoint first = lone_endpoint("192.0.2.1:5610");
    for (unsigned i = 0; i <= I3_RETRIES; i++) {
        const struct i3_datagram *d = i3_client_datagram(&lone.client);
        assert_non_null(d);
        to[endpoint_equal(&d->to, &first)] = true;
        lone_said_nothing(&lone);
        pass(I3_ACK_TIMEOUT);
    }
    assert_true(to[0] && to[1]); /* another server is tried */
    assert_int_equal(b->state, I3_BINDING_PAUSED);
    lone_said_nothing(&lone);
    pass(12 * SECOND);
    lone_said_nothing(&lone);
    pass(7 * SECOND);
    assert_non_null(i3_client_datagram(&lone.client));
    lone_stop(&lone);
}

/* A question is data: from behind a NAT an original answers any other to an address that nobody knows. */
static void asked_by_data(const char *to)
{
    struct i3_packet p;
    const struct i3_datagram *d = lone_said_to(&lone, to);
    assert_int_equal(i3_packet_parse(d->bytes, d->size, &p), I3_FINE);
    assert_non_null(i3_packet_option(&p, I3_REQUEST_FOR_CACHE));
    assert_true(p.flags & I3_DATA);
}

/* Known for 20 s; asked for again three times in the last of them; then not known. */
static void responsible_for_a_while(void **state)
{
    struct i3_vector asked = i3_vector("E11");
    struct i3_id id;
    memcpy(&id, asked.bytes + I3_HEADER, sizeof id);
    lone_start(&lone, "192.0.2.1:5610", "127.0.0.1:10001", 0);
    i3_owner_want(&lone.client, lone.now, &id);
    asked_by_data("192.0.2.1:5610");
    lone.client.owners->asked_as = id;
    replay("E12");
    assert_true(event(I3_EVENT_OWNER));
    pass(16900 * MILLISECOND);
    lone_said_nothing(&lone);
    pass(100 * MILLISECOND);
    asked_by_data("127.0.0.1:5610");
    lone.client.owners->asked_as = id;
    replay("E12"); /* another 20 s */
    assert_false(event(I3_EVENT_OWNER));
    pass(17 * SECOND);
    for (unsigned i = 0; i < 3; i++) {
        asked_by_data("127.0.0.1:5610");
        lone_said_nothing(&lone);
        assert_int_equal(i3_owner_at(&lone.client, &id).port, 5610);
        pass(SECOND);
    }
    assert_true(event(I3_EVENT_OWNER));
    assert_int_equal(i3_owner_at(&lone.client, &id).ip.family, 0);
    asked_by_data("192.0.2.1:5610"); /* and by the way of those that are not known */
    i3_owner_release(&lone.client, &id);
    assert_null(lone.client.owners);
    lone_stop(&lone);
}

static void answer_sample(const struct i3_datagram *d, const char *from, instant rtt)
{
    struct i3_packet p;
    uint8_t bytes[256];
    assert_int_equal(i3_packet_parse(d->bytes, d->size, &p), I3_FINE);
    assert_non_null(i3_packet_option(&p, I3_REQUEST_FOR_CACHE));
    assert_true(p.flags & I3_DATA);
    struct endpoint at = lone_endpoint(from);
    struct i3_packet answer = {.flags = I3_OPTIONS, .option_count = 1};
    answer.option[0] = (struct i3_option){
        .type = I3_CACHE_ADDRESS,
        .trigger = {.id = p.stack[0], .prefix = I3_MATCH, .target = i3_address_of(&at)}};
    struct arrival a = {.remote = at, .local = lone_endpoint("10.0.0.1:7400")};
    lone.now += rtt;
    i3_client_input(&lone.client, lone.now, &a, bytes,
                    i3_packet_write(&answer, bytes, sizeof bytes));
}

/* The nearest of those that answer is near; a little nearer is not enough to change. */
static void sampling(void **state)
{
    static const char *const server[] = {"192.0.2.11:1", "192.0.2.12:1", "192.0.2.13:1"};
    struct i3_id found[3], id;
    uint8_t key[I3_KEY];
    lone_start(&lone, "192.0.2.1:5610", "10.0.0.1:7400", 3);
    for (unsigned round = 0; round < 2; round++) {
        struct i3_datagram *d[3];
        i3_samples_begin(&lone.client, lone.now);
        for (unsigned i = 0; i < 3; i++) {
            const struct i3_datagram *one = i3_client_datagram(&lone.client);
            d[i] = base_calloc(1, sizeof *one + one->size);
            memcpy(d[i], one, sizeof *one + one->size);
            memcpy(&found[i], one->bytes + I3_HEADER, I3_ID);
        }
        /* Second round: the last is nearest, but not by a tenth. */
        instant rtt[3] = {30 * MILLISECOND, 10 * MILLISECOND,
                          round ? 9500 * MICROSECOND : SECOND / 2};
        for (unsigned i = 0; i < 3; i++) {
            answer_sample(d[i], server[i], MILLISECOND);
            free(d[i]);
            if (round) /* the near one said so: the listed one is asked as well */
                answer_sample(lone_said_to(&lone, "192.0.2.1:5610"), server[i], MILLISECOND);
            for (unsigned k = 0; k < 3; k++)
                answer_sample(lone_said_to(&lone, server[i]), server[i], rtt[i]);
        }
        lone_said_nothing(&lone);
        assert_true(lone.client.near.known);
        struct endpoint near = lone_endpoint(server[1]);
        assert_true(endpoint_equal(&lone.client.near.at, &near));
        assert_int_equal(lone.client.near.rtt, 10 * MILLISECOND);
        if (!round) {
            i3_client_draw(&lone.client, &id, key);
            assert_memory_equal(id.bytes, found[1].bytes, I3_PREFIX);
            assert_true(event(I3_EVENT_FIRST_HOP));
        }
    }
    /* It falls silent: no more near, and soon another round. */
    struct endpoint near = lone.client.near.at;
    i3_client_unanswered(&lone.client, lone.now, &near);
    assert_true(lone.client.near.known);
    i3_client_unanswered(&lone.client, lone.now, &near);
    assert_false(lone.client.near.known);
    assert_true(event(I3_EVENT_FIRST_HOP));
    pass(SECOND);
    assert_non_null(i3_client_datagram(&lone.client));
    lone_stop(&lone);
}

/* Another address: the old triggers are withdrawn, and all lead to the new one. */
static void moving(void **state)
{
    lone_start(&lone, "127.0.0.1:5610", "127.0.0.1:10001", 1);
    struct i3_binding *b = bind("E1");
    replay("E2");
    replay("E4");
    while (i3_client_datagram(&lone.client))
        ;
    i3_client_moved(&lone.client, lone.now);
    const struct i3_datagram *d = lone_said_to(&lone, "127.0.0.1:5610");
    struct i3_packet p, answer = {.flags = I3_OPTIONS, .option_count = 1};
    uint8_t bytes[256];
    i3_packet_parse(d->bytes, d->size, &p);
    struct endpoint server = lone_endpoint("127.0.0.1:5610"),
                    self = lone_endpoint("10.0.0.7:10001");
    answer.option[0] = (struct i3_option){
        .type = I3_CACHE_ADDRESS, .trigger = {.id = p.stack[0], .target = i3_address_of(&server)}};
    struct arrival a = {.remote = server, .local = {.ip = self.ip}};
    i3_client_input(&lone.client, lone.now, &a, bytes,
                    i3_packet_write(&answer, bytes, sizeof bytes));
    assert_true(event(I3_EVENT_SELF));
    assert_true(endpoint_equal(&b->trigger.target.at, &self));
    unsigned removed = 0, inserted = 0;
    while ((d = i3_client_datagram(&lone.client))) {
        assert_int_equal(i3_packet_parse(d->bytes, d->size, &p), I3_FINE);
        const struct i3_option *o = i3_packet_option(&p, I3_REMOVE);
        removed += o && o->trigger.target.at.ip.bytes[0] == 127;
        o = i3_packet_option(&p, I3_INSERT);
        inserted += o && endpoint_equal(&o->trigger.target.at, &self);
    }
    assert_int_equal(removed, 1);
    assert_int_equal(inserted, 1);
    lone_stop(&lone);
}

/* What was added before the socket was bound to an address leads there, not to nowhere. */
static void bound_later(void **state)
{
    struct endpoint any = {.port = 10001}, self = lone_endpoint("127.0.0.1:10001");
    lone_start(&lone, "127.0.0.1:5610", "127.0.0.1:10001", 0);
    lone.client.self[0].at = (struct endpoint){0};
    i3_client_bound(&lone.client, lone.now, &any);
    struct i3_binding *b = bind("E1");
    lone_said_nothing(&lone);
    i3_client_bound(&lone.client, lone.now, &self);
    lone_said_to(&lone, "127.0.0.1:5610");
    assert_true(endpoint_equal(&b->trigger.target.at, &self));
    lone_said_nothing(&lone);
    lone_stop(&lone);
}

/* ---- lies ---- */

static void strangers_change_nothing(void **state)
{
    lone_start(&lone, "127.0.0.1:5610", "127.0.0.1:10001", 0);
    replay("E2");
    replay("E4");
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_CHALLENGE], 1);
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_ACK], 1);
    replay("E12");
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_CACHE], 1);
    replay("E13");
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_NOT_PRESENT], 1);
    replay("E6"); /* data belongs to the data path */
    assert_int_equal(lone.client.counter[I3_COUNT_UNEXPECTED], 1);
    replay("C3");
    assert_int_equal(lone.client.counter[I3_COUNT_MALFORMED], 1);
    lone_said_nothing(&lone);
    lone_stop(&lone);
}

/* An acknowledgement that does not repeat our nonce is none; challenges are not answered without end. */
static void forged_answers(void **state)
{
    lone_start(&lone, "127.0.0.1:5610", "127.0.0.1:10001", 0);
    struct i3_binding *b = bind("E1");
    lone_said_to(&lone, "127.0.0.1:5610");
    replay("E4");
    assert_int_equal(b->state, I3_BINDING_INSERTING);
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_ACK], 1);
    for (unsigned i = 0; i < 10; i++)
        replay("E2");
    assert_int_equal(lone.client.counter[I3_COUNT_CHALLENGES], 3);
    assert_int_equal(lone.client.counter[I3_COUNT_CHALLENGE_FLOOD], 7);
    for (unsigned i = 0; i < 3; i++)
        said_vector("E3");
    lone_said_nothing(&lone);
    replay("E4");
    assert_int_equal(b->state, I3_BINDING_HELD);
    replay("E2"); /* afterwards it is nothing */
    lone_said_nothing(&lone);
    assert_int_equal(b->state, I3_BINDING_HELD);
    lone_stop(&lone);
}

/* A server that has become responsible challenges us: the usual INSERT goes the usual way, at most every two seconds, and
 * what the challenge says is not believed before that. */
static void a_new_server_challenges(void **state)
{
    lone_start(&lone, "127.0.0.1:5610", "127.0.0.1:10001", 0);
    struct i3_binding *b = bind("E1");
    lone_said_to(&lone, "127.0.0.1:5610");
    replay("E2");
    said_vector("E3");
    replay("E4");
    lone_said_nothing(&lone);
    pass(3 * SECOND);
    for (unsigned i = 0; i < 5; i++)
        replay_from("E2", "198.51.100.66:5610", NULL);
    lone_said_to(&lone, "127.0.0.1:5610");
    for (unsigned i = 1; i < 4; i++)
        lone_said_to(&lone,
                     "198.51.100.66:5610"); /* now it was asked: three of one INSERT are answered */
    lone_said_to(&lone, "127.0.0.1:5610");  /* after the fourth it is distrusted */
    lone_said_nothing(&lone);
    assert_int_equal(b->state, I3_BINDING_INSERTING);
    replay("E4");
    assert_int_equal(b->state, I3_BINDING_HELD);
    replay_from("E2", "198.51.100.66:5610", NULL);
    lone_said_nothing(&lone);
    lone_stop(&lone);
}

/* The responsible server is where the answer came from, whatever it says. */
static void cache_address_is_not_believed(void **state)
{
    struct i3_vector asked = i3_vector("E11");
    struct i3_id id;
    memcpy(&id, asked.bytes + I3_HEADER, sizeof id);
    lone_start(&lone, "192.0.2.1:5610", "10.0.0.1:7400", 0);
    i3_owner_want(&lone.client, lone.now, &id);
    lone_said_to(&lone, "192.0.2.1:5610");
    replay_from("E12", "192.0.2.9:5610", NULL); /* who was not asked cannot know the end */
    assert_int_equal(i3_owner_at(&lone.client, &id).ip.family, 0);
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_CACHE], 1);
    lone.client.owners->asked_as = id;
    replay_from("E12", "192.0.2.9:5610", NULL); /* it says 127.0.0.1 */
    struct endpoint at = i3_owner_at(&lone.client, &id), source = lone_endpoint("192.0.2.9:5610");
    assert_true(endpoint_equal(&at, &source));
    /* Nobody asked again: somebody else's word changes nothing. */
    replay_from("E12", "198.51.100.66:1", NULL);
    at = i3_owner_at(&lone.client, &id);
    assert_true(endpoint_equal(&at, &source));
    assert_int_equal(lone.client.counter[I3_COUNT_STRANGE_CACHE], 2);
    lone_stop(&lone);
}

static void seeds(void **state)
{
    struct i3_seed seed[I3_SEEDS_MAX];
    unsigned count;
    const char *reason;
    assert_true(
        i3_seeds_parse("192.0.2.1:5610,server.example.org:99 , other.example,[2001:db8::1]:7", seed,
                       &count, &reason));
    assert_int_equal(count, 4);
    assert_int_equal(seed[3].at.ip.family, 6);
    assert_int_equal(seed[3].at.port, 7);
    assert_string_equal(seed[1].name, "server.example.org");
    assert_int_equal(seed[1].at.port, 99);
    assert_int_equal(seed[2].at.port, I3_PORT);
    static const char *const bad[] = {
        "", " , ", "[fe80::1%3]:1", "2001:db8::1:5610", "192.0.2.1:0", "a b..c", "1.2.3:4"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(i3_seeds_parse(bad[i], seed, &count, &reason));
    /* A name is looked up, and again when it has no address. */
    uint32_t lookup;
    const char *name;
    lone_start(&lone, "server.example.org:99", "10.0.0.1:7400", 0);
    assert_true(i3_client_lookup(&lone.client, &lookup, &name));
    assert_string_equal(name, "server.example.org");
    assert_false(i3_client_lookup(&lone.client, &lookup, &name));
    i3_client_resolved(&lone.client, lone.now, lookup, NULL, 0);
    struct endpoint at;
    assert_false(i3_client_first_hop(&lone.client, lone.now, &at));
    pass(5 * SECOND);
    assert_true(i3_client_lookup(&lone.client, &lookup, &name));
    struct ip_address found[2] = {{.family = 6}, lone_endpoint("192.0.2.4:1").ip};
    i3_client_resolved(&lone.client, lone.now, lookup, found, 2);
    assert_true(i3_client_first_hop(&lone.client, lone.now, &at));
    struct endpoint right = lone_endpoint("192.0.2.4:99");
    assert_true(endpoint_equal(&at, &right));
    lone_stop(&lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_original_saw_it),
        cmocka_unit_test(nonce_is_remembered),
        cmocka_unit_test(stack_target),
        cmocka_unit_test(responsible_server),
        cmocka_unit_test(constraint_failed),
        cmocka_unit_test(behind_a_nat),
        cmocka_unit_test(retries_and_pause),
        cmocka_unit_test(responsible_for_a_while),
        cmocka_unit_test(sampling),
        cmocka_unit_test(moving),
        cmocka_unit_test(bound_later),
        cmocka_unit_test(strangers_change_nothing),
        cmocka_unit_test(forged_answers),
        cmocka_unit_test(a_new_server_challenges),
        cmocka_unit_test(cache_address_is_not_believed),
        cmocka_unit_test(seeds),
    };
    return cmocka_run_group_tests_name("overlay_i3_client", tests, NULL, NULL);
}
