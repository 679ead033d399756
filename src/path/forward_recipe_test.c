#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "path/forward_fixture.h"

/* A wire as no module of today has it, driven through recipes and peels alone:
 *
 *   0x20 | to | hops | 0 | length (16) | sequence (16)    outer prepend, 8 bytes
 *   'f' 'r' 'o' 'm' | from                                inner prepend, kept as `via` on receive
 *   record
 *
 * Hosts forward what is not for them (steer), and speak a protocol of their own behind 0x30. */

#define OUTER     8
#define INNER     5
#define WIRE_HOPS 3

struct wire {
    struct recipe *recipe;
    uint64_t sequence;
    struct steer steer;
    char self;
    const struct recipe *next; /* for everybody else */
    struct recipe *next_owned;
    struct peel_table peel;
};

static struct recipe *wire_recipe(char from, char to, char through, uint64_t *sequence)
{
    struct recipe *r = base_calloc(1, sizeof *r);
    struct endpoint remote = side_endpoint(through);
    uint8_t outer[OUTER] = {0x20, (uint8_t)to, WIRE_HOPS};
    uint8_t inner[INNER] = {'f', 'r', 'o', 'm', (uint8_t)from};
    struct recipe_patch patches[2] = {
        {.kind = PATCH_LENGTH16, .at = 4, .from = OUTER},
        {.kind = PATCH_SEQUENCE16, .at = 6, .sequence = sequence},
    };
    recipe_begin(r);
    assert_true(recipe_add_prepend(r, inner, INNER, NULL, 0));
    assert_true(recipe_add_prepend(r, outer, OUTER, patches, 2));
    assert_true(recipe_add_send(r, 0, NULL, &remote, 0x20));
    r->mtu = 1400;
    assert_true(recipe_valid(r));
    return r;
}

/* Forwarding leaves the header on and takes one hop off in place. */
static struct recipe *forwarding_recipe(char to)
{
    struct recipe *r = base_calloc(1, sizeof *r);
    struct endpoint remote = side_endpoint(to);
    struct recipe_patch hop = {.kind = PATCH_TTL, .at = 2};
    recipe_begin(r);
    assert_true(recipe_add_prepend(r, NULL, 0, &hop, 1));
    assert_true(recipe_add_send(r, 0, NULL, &remote, 0));
    assert_true(recipe_valid(r));
    return r;
}

static enum steer_verdict decide(const struct steer *self, struct packet *p,
                                 const struct recipe **ret_recipe, enum drop_reason *ret_reason)
{
    const struct wire *w = (const struct wire *)((const char *)self - offsetof(struct wire, steer));
    if (p->size < OUTER) {
        *ret_reason = DROP_TRUNCATED;
        return STEER_DROP;
    }
    if (p->data[1] == (uint8_t)w->self)
        return STEER_DELIVER;
    if (p->data[1] == 0)
        return STEER_PUNT;
    *ret_reason = DROP_MODULE;
    *ret_recipe = w->next;
    return w->next ? STEER_FORWARD : STEER_DROP;
}

static void wire_peel(struct wire *w)
{
    static const uint8_t from[INNER] = "from", from_mask[INNER] = {0xFF, 0xFF, 0xFF, 0xFF};
    w->steer.decide = decide;
    w->peel = (struct peel_table){
        .count = 3,
        .peel = {
            {.first_low = 0x20,
             .first_high = 0x20,
             .count = 5,
             .step = {{.verb = PEEL_LENGTH16, .at = 4, .add = OUTER},
                      {.verb = PEEL_STEER, .steer = &w->steer},
                      {.verb = PEEL_STRIP, .size = OUTER},
                      {.verb = PEEL_STRIP,
                       .size = INNER,
                       .compare = from,
                       .mask = from_mask,
                       .keep = true},
                      {.verb = PEEL_RECORD}}},
            {.first_low = 0x30, .first_high = 0x30, .count = 1, .step = {{.verb = PEEL_PUNT}}},
            {.first_low = 0xC0, .first_high = 0xDF, .count = 1, .step = {{.verb = PEEL_RECORD}}},
        }};
}

/* Puts host `s` on the wire: its records for `to` leave through `through`. */
static void wire_init(struct wire *w, struct side *s, char to, char through)
{
    memset(w, 0, sizeof *w);
    w->self = s->letter;
    w->recipe = wire_recipe(s->letter, to, through, &w->sequence);
    wire_peel(w);
    fwd_socket_set(s->tables, 0, &w->peel);
    atomic_store(&s->tunnel.recipe, w->recipe);
}

static void wire_done(struct wire *w)
{
    free(w->recipe);
    free(w->next_owned);
}

static const struct craft a_to_b = {.source = "10.0.0.97",
                                    .destination = "198.18.0.98",
                                    .protocol = IP_UDP,
                                    .source_port = 4000,
                                    .destination_port = 53,
                                    .payload_size = 100};

/* a -> m -> b, where m only steers. */
static void test_wire_with_transit(void **state)
{
    struct side a, m, b;
    struct wire wa, wm, wb;
    side_init(&a, 'a', 'b', &(struct side_settings){0});
    side_init(&m, 'm', 'b', &(struct side_settings){0});
    side_init(&b, 'b', 'a', &(struct side_settings){0});
    wire_init(&wa, &a, 'b', 'm');
    wire_init(&wm, &m, 'b', 'b');
    wire_init(&wb, &b, 'a', 'm');
    wm.next = wm.next_owned = forwarding_recipe('b');
    for (unsigned i = 0; i < 3; i++) {
        struct outs sent = {0}, crossed = {0}, got = {0};
        side_capture_craft(&a, 0, &a_to_b, &sent);
        assert_int_equal(sent.count, 1);
        const struct packet *p = sent.item[0].packet;
        const uint8_t outer[OUTER] = {0x20, 'b', WIRE_HOPS, 0, 0, INNER + 128 + 32, 0, (uint8_t)i};
        assert_int_equal(p->size, OUTER + INNER + 128 + RECORD_OVERHEAD);
        assert_memory_equal(p->data, outer, OUTER);
        assert_memory_equal(p->data + OUTER, "froma", INNER);
        assert_int_equal(sent.item[0].tos, 0x20);
        sent.item[0].tos = 0x21; /* ECN bits cross the middle */
        side_carry(&sent, &m, 'a', &crossed);
        assert_int_equal(crossed.count, 1);
        assert_int_equal(crossed.item[0].kind, FORWARD_SEND);
        assert_int_equal(crossed.item[0].tos, 1);
        assert_int_equal(crossed.item[0].packet->data[2], WIRE_HOPS - 1);
        side_carry(&crossed, &b, 'm', &got);
        assert_int_equal(outs_kind(&got, FORWARD_CAPTURE), 1);
        outs_free(&got);
    }
    assert_int_equal(side_drops_all(&a) + side_drops_all(&m) + side_drops_all(&b), 0);
    wire_done(&wa);
    wire_done(&wm);
    wire_done(&wb);
    side_done(&a);
    side_done(&m);
    side_done(&b);
}

static void assert_refused(struct side *s, const void *bytes, size_t size, enum drop_reason reason)
{
    struct outs got = {0};
    struct endpoint from = side_endpoint('a');
    uint64_t before = side_drops(s, reason);
    side_receive(s, 0, &from, 0, bytes, size, &got);
    assert_int_equal(got.count, 0);
    assert_int_equal(side_drops(s, reason), before + 1);
}

static void test_wire_refuses(void **state)
{
    struct side a, b;
    struct wire wa, wb;
    struct outs sent = {0}, got = {0};
    uint8_t bytes[300];
    side_init(&a, 'a', 'b', &(struct side_settings){0});
    side_init(&b, 'b', 'a', &(struct side_settings){0});
    wire_init(&wa, &a, 'b', 'b');
    wire_init(&wb, &b, 'a', 'a');
    side_capture_craft(&a, 0, &a_to_b, &sent);
    size_t size = sent.item[0].packet->size;
    memcpy(bytes, sent.item[0].packet->data, size);
    outs_free(&sent);

    assert_refused(&b, bytes, 3, DROP_TRUNCATED);
    assert_refused(&b, bytes, size - 1, DROP_TRUNCATED); /* the length field says more */
    bytes[1] = 'x';                                      /* for somebody else, and no way there */
    assert_refused(&b, bytes, size, DROP_MODULE);
    wb.next = wb.next_owned = forwarding_recipe('x');
    bytes[2] = 1;
    assert_refused(&b, bytes, size, DROP_HOP_LIMIT);
    bytes[1] = 'b';
    bytes[OUTER] = 'F';
    assert_refused(&b, bytes, size, DROP_GARBAGE);
    assert_refused(&b, "\x45", 1, DROP_GARBAGE);
    bytes[OUTER] = 'f';
    bytes[OUTER + INNER] = 0x45; /* peeled, but no message of ours */
    assert_refused(&b, bytes, size, DROP_GARBAGE);

    side_receive(&b, 0, &a.endpoint, 0, "\x30hello", 6, &got);
    assert_int_equal(got.item[0].punt, PUNT_MODULE);
    assert_memory_equal(got.item[0].packet->data, "\x30hello", 6);
    bytes[1] = 0; /* steered to the module */
    side_receive(&b, 0, &a.endpoint, 0, bytes, size, &got);
    assert_int_equal(got.item[1].punt, PUNT_MODULE);
    bytes[1] = 'b';
    bytes[OUTER + INNER] = WIRE_OPEN;
    side_receive(&b, 0, &a.endpoint, 0, bytes, size, &got);
    assert_int_equal(got.item[2].punt, PUNT_HANDSHAKE);
    assert_int_equal(got.item[2].packet->arrival.via_size, INNER);
    assert_memory_equal(got.item[2].packet->arrival.via, "froma", INNER);
    outs_free(&got);
    wire_done(&wa);
    wire_done(&wb);
    side_done(&a);
    side_done(&b);
}

/* Sequence numbers of a tunnel are counted by one worker, whoever captured the packet. */
static void test_sequence_has_one_worker(void **state)
{
    struct side a;
    struct wire wa;
    struct outs sent = {0};
    side_init(&a, 'a', 'b', &(struct side_settings){.workers = 2, .lanes = 5});
    wire_init(&wa, &a, 'b', 'b');
    for (unsigned i = 0; i < 20; i++) {
        struct craft c = a_to_b;
        c.source_port = (uint16_t)(4000 + i);
        side_capture_craft(&a, i & 1, &c, &sent);
        assert_int_equal(sent.item[i].kind, i & 1 ? FORWARD_SEND : FORWARD_HANDOVER);
        side_settle(&a, &sent);
        assert_int_equal(sent.item[i].packet->data[7], i);
    }
    outs_free(&sent);
    wire_done(&wa);
    side_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire_with_transit),
        cmocka_unit_test(test_wire_refuses),
        cmocka_unit_test(test_sequence_has_one_worker),
    };
    return cmocka_run_group_tests_name("path_forward_recipe", tests, NULL, NULL);
}
