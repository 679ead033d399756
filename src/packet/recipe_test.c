#include <stdlib.h>

#include "packet/recipe_fixture.h"

/* A seal that anybody can open: xor with a key, and one byte of check sum in front and behind. */
struct toy_seal {
    struct recipe_seal seal;
    uint8_t key;
    bool spent;
};

static bool toy_seal(struct recipe_seal *self, struct packet *p, enum drop_reason *ret_reason)
{
    struct toy_seal *toy = (struct toy_seal *)self;
    if (toy->spent || packet_tailroom(p) < 1) {
        *ret_reason = DROP_KEY_SPENT;
        return false;
    }
    uint8_t sum = 0;
    for (size_t i = 0; i < p->size; i++) {
        sum += p->data[i];
        p->data[i] ^= toy->key;
    }
    p->data[p->size++] = sum;
    if (!packet_push(p, 1)) {
        *ret_reason = DROP_OVERSIZED;
        return false;
    }
    p->data[0] = 0x77;
    return true;
}

static bool toy_open(struct recipe_seal *self, struct packet *p, enum drop_reason *ret_reason)
{
    struct toy_seal *toy = (struct toy_seal *)self;
    if (p->size < 2 || p->data[0] != 0x77) {
        *ret_reason = DROP_TRUNCATED;
        return false;
    }
    packet_pull(p, 1);
    uint8_t sum = p->data[--p->size];
    for (size_t i = 0; i < p->size; i++)
        sum -= p->data[i] ^= toy->key;
    *ret_reason = DROP_BAD_TAG;
    return !sum;
}

static struct toy_seal toy_new(uint8_t key)
{
    return (struct toy_seal){.seal = {.seal = toy_seal, .open = toy_open}, .key = key};
}

/* Packed, as workers see it; unpacked again it is what it was. */
static void run(const struct recipe *r, const void *bytes, size_t size)
{
    enum drop_reason reason = DROP_COUNT;
    struct recipe again, *packed = recipe_pack(r);
    recipe_unpack(&again, packed);
    assert_memory_equal(&again, r, sizeof again);
    assert_true(packet_fill(packet, bytes, size));
    if (!recipe_run(packed, packet, &reason))
        fail_msg("dropped: %s", drop_name(reason));
    free(packed);
}

static void test_nothing_but_a_send(void **state)
{
    struct recipe r;
    recipe_begin(&r);
    assert_false(recipe_valid(&r));
    assert_null(recipe_target(&r));
    assert_true(recipe_add_send(&r, 3, NULL, &remote, 0xB8));
    assert_true(recipe_valid(&r));
    assert_int_equal(r.overhead, 0);
    assert_int_equal(r.keepalive, INSTANT_NEVER);
    const struct recipe_step *target = recipe_target(&r);
    assert_int_equal(target->send.socket, 3);
    assert_int_equal(target->send.tos, 0xB8);
    assert_int_equal(target->send.local.ip.family, 0);
    assert_true(endpoint_equal(&target->send.remote, &remote));
    run(&r, "\xC0rec", 4);
    assert_packet(BYTES(0xC0, 'r', 'e', 'c'));
}

/* The inner prepend counts itself whole, the outer one counts what follows a field of its own. */
static void test_two_prepends_with_lengths(void **state)
{
    struct recipe r;
    recipe_begin(&r);
    const struct recipe_patch inner = {.kind = PATCH_LENGTH16, .at = 1, .from = 0};
    const struct recipe_patch outer[2] = {
        {.kind = PATCH_LENGTH16, .at = 0, .from = 2},
        {.kind = PATCH_LENGTH16, .at = 3, .from = 5, .add = -2},
    };
    assert_true(recipe_add_prepend(&r, "I--i", 4, &inner, 1));
    assert_true(recipe_add_prepend(&r, "--O--", 5, outer, 2));
    assert_true(recipe_add_send(&r, 0, NULL, &remote, 0));
    assert_true(recipe_valid(&r));
    assert_int_equal(r.overhead, 9);
    assert_int_equal(r.bytes_used, 9);
    run(&r, "abc", 3);
    assert_packet(BYTES(0, 10, 'O', 0, 5, 'I', 0, 7, 'i', 'a', 'b', 'c'));
    run(&r, "", 0);
    assert_packet(BYTES(0, 7, 'O', 0, 2, 'I', 0, 4, 'i'));
}

static void test_length_that_does_not_fit(void **state)
{
    static uint8_t big[65536];
    struct recipe r;
    enum drop_reason reason = DROP_COUNT;
    recipe_begin(&r);
    struct recipe_patch patch = {.kind = PATCH_LENGTH16, .at = 0, .from = 2};
    assert_true(recipe_add_prepend(&r, "--", 2, &patch, 1));
    assert_true(recipe_add_send(&r, 0, NULL, &remote, 0));
    run(&r, big, 65535);
    assert_int_equal(packet->data[0], 0xFF);
    assert_int_equal(packet->data[1], 0xFF);
    assert_true(packet_fill(packet, big, 65536));
    assert_false(recipe_run(&r, packet, &reason));
    assert_int_equal(reason, DROP_OVERSIZED);

    recipe_begin(&r);
    patch.add = -10;
    assert_true(recipe_add_prepend(&r, "--", 2, &patch, 1));
    assert_true(recipe_add_send(&r, 0, NULL, &remote, 0));
    reason = DROP_COUNT;
    assert_true(packet_fill(packet, big, 9));
    assert_false(recipe_run(&r, packet, &reason));
    assert_int_equal(reason, DROP_OVERSIZED);
}

static void test_sequences(void **state)
{
    struct recipe r;
    uint64_t narrow = 0xFFFF, wide = 0xFFFFFFFF;
    recipe_begin(&r);
    const struct recipe_patch patches[2] = {
        {.kind = PATCH_SEQUENCE16, .at = 0, .sequence = &narrow},
        {.kind = PATCH_SEQUENCE32, .at = 2, .sequence = &wide},
    };
    assert_true(recipe_add_prepend(&r, "......", 6, patches, 2));
    assert_true(recipe_add_send(&r, 0, NULL, &remote, 0));
    run(&r, "x", 1);
    assert_packet(BYTES(0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 'x'));
    run(&r, "x", 1);
    assert_packet(BYTES(0, 0, 0, 0, 0, 0, 'x'));
    run(&r, "x", 1);
    assert_packet(BYTES(0, 1, 0, 0, 0, 1, 'x'));
    assert_int_equal(narrow, 0x10002);
    assert_int_equal(wide, 0x100000002);
}

static void test_ttl(void **state)
{
    struct recipe fresh, in_place;
    enum drop_reason reason = DROP_COUNT;
    const struct recipe_patch kept = {.kind = PATCH_TTL, .at = 1, .from = 2};
    const struct recipe_patch here = {.kind = PATCH_TTL, .at = 3};
    recipe_begin(&fresh);
    assert_true(recipe_add_prepend(&fresh, "H-", 2, &kept, 1));
    assert_true(recipe_add_send(&fresh, 0, NULL, &remote, 0));
    recipe_begin(&in_place);
    assert_true(recipe_add_prepend(&in_place, NULL, 0, &here, 1));
    assert_true(recipe_add_send(&in_place, 0, NULL, &remote, 0));
    assert_true(recipe_valid(&fresh) && recipe_valid(&in_place));

    packet->arrival.via_size = 3;
    packet->arrival.via[2] = 9;
    run(&fresh, "x", 1);
    assert_packet(BYTES('H', 8, 'x'));
    packet->arrival.via[2] = 1;
    assert_true(packet_fill(packet, "x", 1));
    assert_false(recipe_run(&fresh, packet, &reason));
    assert_int_equal(reason, DROP_HOP_LIMIT);
    packet->arrival.via_size = 2;
    assert_true(packet_fill(packet, "x", 1));
    assert_false(recipe_run(&fresh, packet, &reason));
    assert_int_equal(reason, DROP_TRUNCATED);

    run(&in_place, "abc\002d", 5);
    assert_packet(BYTES('a', 'b', 'c', 1, 'd'));
    assert_false(recipe_run(&in_place, packet, &reason));
    assert_int_equal(reason, DROP_HOP_LIMIT);
    assert_true(packet_fill(packet, "abc", 3));
    assert_false(recipe_run(&in_place, packet, &reason));
    assert_int_equal(reason, DROP_TRUNCATED);
}

static void test_seal(void **state)
{
    struct toy_seal toy = toy_new(0x20);
    struct recipe r;
    enum drop_reason reason = DROP_COUNT;
    const struct recipe_patch length = {.kind = PATCH_LENGTH16, .at = 0};
    recipe_begin(&r);
    assert_true(recipe_add_prepend(&r, "A", 1, NULL, 0));
    assert_true(recipe_add_seal(&r, &toy.seal, 2));
    assert_true(recipe_add_prepend(&r, "--", 2, &length, 1));
    assert_true(recipe_add_send(&r, 0, NULL, &remote, 0));
    assert_true(recipe_valid(&r));
    assert_int_equal(r.overhead, 5);
    run(&r, "B", 1);
    assert_packet(BYTES(0, 6, 0x77, 'a', 'b', 'A' + 'B'));
    toy.spent = true;
    assert_true(packet_fill(packet, "B", 1));
    assert_false(recipe_run(&r, packet, &reason));
    assert_int_equal(reason, DROP_KEY_SPENT);
}

static void test_builder_limits(void **state)
{
    static const uint8_t bytes[RECIPE_BYTES + 1];
    struct toy_seal toy = toy_new(1);
    struct recipe r;

    recipe_begin(&r);
    assert_false(recipe_add_prepend(&r, bytes, RECIPE_BYTES + 1, NULL, 0));
    assert_true(recipe_add_prepend(&r, bytes, RECIPE_BYTES - 1, NULL, 0));
    assert_false(recipe_add_prepend(&r, bytes, 2, NULL, 0));
    assert_true(recipe_add_prepend(&r, bytes, 1, NULL, 0));
    assert_true(recipe_add_seal(&r, &toy.seal, PACKET_TAILROOM - 1));
    assert_false(recipe_add_seal(&r, &toy.seal, 2));
    assert_true(recipe_add_seal(&r, &toy.seal, 1));
    assert_false(recipe_add_seal(&r, NULL, 0));
    assert_true(recipe_add_seal(&r, &toy.seal, 0));
    assert_false(recipe_valid(&r));
    assert_true(recipe_add_send(&r, 0, NULL, &remote, 0));
    assert_true(recipe_valid(&r));
    assert_int_equal(r.count, RECIPE_STEPS);
    assert_false(recipe_add_send(&r, 0, NULL, &remote, 0));
    run(&r, "x", 1);

    recipe_begin(&r);
    for (unsigned i = 0; i < RECIPE_STEPS; i++)
        assert_true(recipe_add_prepend(&r, "x", 1, NULL, 0));
    assert_false(recipe_add_send(&r, 0, NULL, &remote, 0));
    assert_false(recipe_valid(&r));

    recipe_begin(&r);
    assert_true(recipe_add_send(&r, 0, NULL, &remote, 0));
    assert_false(recipe_add_send(&r, 0, NULL, &remote, 0));
    assert_false(recipe_add_prepend(&r, "x", 1, NULL, 0));
    assert_false(recipe_add_seal(&r, &toy.seal, 0));
    assert_true(recipe_valid(&r));
}

static void test_bad_steps_are_refused(void **state)
{
    struct recipe r;
    uint64_t sequence = 0;
    const struct recipe_patch bad[] = {
        {.kind = PATCH_LENGTH16, .at = 3},
        {.kind = PATCH_LENGTH16, .at = 0, .from = 5},
        {.kind = PATCH_SEQUENCE16, .at = 3, .sequence = &sequence},
        {.kind = PATCH_SEQUENCE32, .at = 1, .sequence = &sequence},
        {.kind = PATCH_SEQUENCE16, .at = 0},
        {.kind = PATCH_SEQUENCE32, .at = 0},
        {.kind = PATCH_TTL, .at = 4},
        {.kind = PATCH_TTL, .at = 0, .from = ARRIVAL_VIA},
        {.kind = PATCH_TTL + 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        recipe_begin(&r);
        assert_false(recipe_add_prepend(&r, "....", 4, &bad[i], 1));
        assert_int_equal(r.count, 0);
    }
    const struct recipe_patch three[3] = {0};
    assert_false(recipe_add_prepend(&r, "....", 4, three, 3));
    assert_true(recipe_add_prepend(&r, "....", 4, three, 2));

    struct endpoint six;
    assert_true(endpoint_parse("[::1]:5", 0, &six));
    assert_false(recipe_add_send(&r, 0, &six, &remote, 0));
    assert_false(recipe_add_send(&r, 0, NULL, &remote, 0x01)); /* ECN is not the module's */
    assert_false(recipe_add_send(&r, 0, NULL, NULL, 0));
    assert_true(recipe_add_send(&r, 0, &six, &six, 0));
}

static void test_validity(void **state)
{
    struct recipe good, r;
    struct toy_seal toy = toy_new(1);
    recipe_begin(&good);
    assert_true(recipe_add_prepend(&good, "ab", 2, NULL, 0));
    assert_true(recipe_add_seal(&good, &toy.seal, 4));
    assert_true(recipe_add_send(&good, 0, NULL, &remote, 0));
    assert_true(recipe_valid(&good));
#define refused(change)                                                                            \
    do {                                                                                           \
        r = good;                                                                                  \
        change;                                                                                    \
        assert_false(recipe_valid(&r));                                                            \
    } while (0)
    refused(r.count = 0);
    refused(r.count = RECIPE_STEPS + 1);
    refused(r.count = 2);
    refused(r.step[0].verb = RECIPE_SEND);
    refused(r.step[0].verb = 9);
    refused(r.step[2].verb = RECIPE_SEAL);
    refused(r.step[0].prepend.offset = 1);
    refused(r.step[0].prepend.size = 3);
    refused(r.step[0].prepend.size = RECIPE_BYTES + 1);
    refused(r.step[0].prepend.patch[1].kind = PATCH_SEQUENCE16);
    refused(r.step[1].seal.state = NULL);
    refused(r.bytes_used = 3);
    refused(r.overhead = 1);
    refused(r.overhead = 2 + PACKET_TAILROOM + 1);
    refused(r.keepalive = 0);
    struct transform half = {0};
    refused(r.transform = &half);
}

/* What a recipe puts on, the mirror peel takes off. */
static void test_round_trip_through_a_seal(void **state)
{
    struct toy_seal toy = toy_new(0x5C), other = toy_new(0x5D);
    struct recipe r;
    static const uint8_t head[] = {0x77};
    struct peel_table t = {
        .count = 1,
        .peel = {{.first_low = 0x42,
                  .first_high = 0x42,
                  .count = 4,
                  .step = {{.verb = PEEL_STRIP, .size = 1},
                           {.verb = PEEL_OPEN, .state = &toy.seal},
                           {.verb = PEEL_STRIP, .size = 1, .compare = head},
                           {.verb = PEEL_RECORD}}}},
    };
    recipe_begin(&r);
    assert_true(recipe_add_prepend(&r, head, 1, NULL, 0));
    assert_true(recipe_add_seal(&r, &toy.seal, 2));
    assert_true(recipe_add_prepend(&r, "B", 1, NULL, 0));
    assert_true(recipe_add_send(&r, 0, NULL, &remote, 0));
    run(&r, "record", 6);
    const struct recipe *recipe = NULL;
    enum drop_reason reason = DROP_COUNT;
    assert_int_equal(peel_run(&t, packet, &recipe, &reason), PEEL_IS_RECORD);
    assert_packet(BYTES('r', 'e', 'c', 'o', 'r', 'd'));

    run(&r, "record", 6);
    packet->data[4] ^= 1;
    assert_int_equal(peel_run(&t, packet, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_BAD_TAG);
    /* What does not hold behind a seal drops: there is no other peel to try any more. */
    t.peel[0].step[2].compare = (const uint8_t *)"!";
    run(&r, "record", 6);
    assert_int_equal(peel_run(&t, packet, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_GARBAGE);
    t.peel[0].step[1].state = &other.seal;
    run(&r, "record", 6);
    assert_int_equal(peel_run(&t, packet, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_BAD_TAG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_but_a_send),
        cmocka_unit_test(test_two_prepends_with_lengths),
        cmocka_unit_test(test_length_that_does_not_fit),
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_seal),
        cmocka_unit_test(test_builder_limits),
        cmocka_unit_test(test_bad_steps_are_refused),
        cmocka_unit_test(test_validity),
        cmocka_unit_test(test_round_trip_through_a_seal),
    };
    return cmocka_run_group_tests_name("packet_recipe", tests, recipe_set_up, recipe_tear_down);
}
