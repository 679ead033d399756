#include "packet/recipe_fixture.h"
#include "tests/support/seeded.h"

static enum peel_result peel(const struct peel_table *t, const void *bytes, size_t size,
                             const struct recipe **ret_recipe, enum drop_reason *ret_reason)
{
    assert_true(packet_fill(packet, bytes, size));
    *ret_reason = DROP_COUNT;
    return peel_run(t, packet, ret_recipe, ret_reason);
}

static void test_peel_plain(void **state)
{
    struct peel_table t;
    const struct recipe *recipe = NULL;
    enum drop_reason reason;
    peel_plain(&t);
    assert_int_equal(peel(&t, "\xC0z", 2, &recipe, &reason), PEEL_IS_RECORD);
    assert_packet(BYTES(0xC0, 'z'));
    assert_int_equal(peel(&t, "\xDF", 1, &recipe, &reason), PEEL_IS_RECORD);
    assert_int_equal(peel(&t, "\xBFz", 2, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_GARBAGE);
    assert_int_equal(peel(&t, "\xE0z", 2, &recipe, &reason), PEEL_DROP);
    assert_int_equal(peel(&t, "", 0, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_TRUNCATED);
    assert_null(recipe);
}

/* A wire with a magic, a length and an id in front of a record, and a protocol of its own beside
 * it. */
static const uint8_t magic[] = {0x10, 'm', 0, 0}, magic_mask[] = {0xFF, 0xFF, 0, 0};
static const struct peel_table wire = {
    .count = 3,
    .peel = {{.first_low = 0x10,
              .first_high = 0x10,
              .count = 4,
              .step = {{.verb = PEEL_LENGTH16, .at = 2, .add = 4},
                       {.verb = PEEL_STRIP, .size = 4, .compare = magic, .mask = magic_mask},
                       {.verb = PEEL_STRIP, .size = 3, .keep = true},
                       {.verb = PEEL_RECORD}}},
             {.first_low = 0x10, .first_high = 0x1F, .count = 1, .step = {{.verb = PEEL_PUNT}}},
             {.first_low = 0x30,
              .first_high = 0x30,
              .count = 2,
              .step = {{.verb = PEEL_LENGTH16, .at = 1}, {.verb = PEEL_STRIP, .size = 1}}}},
};

static void test_peel_strips_and_keeps(void **state)
{
    const struct recipe *recipe = NULL;
    enum drop_reason reason;
    assert_int_equal(peel(&wire, "\x10m\0\5idiRR", 9, &recipe, &reason), PEEL_IS_RECORD);
    assert_packet(BYTES('R', 'R'));
    assert_int_equal(packet->arrival.via_size, 3);
    assert_memory_equal(packet->arrival.via, "idi", 3);

    /* Does not fit the first peel (length, magic, too short): the second takes it, untouched. */
    static const char *const others[] = {"\x10m\0\4idiRR", "\x10M\0\5idiRR", "\x10m\0", "\x10",
                                         "\x1Fxyz"};
    static const size_t sizes[] = {9, 9, 3, 1, 4};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(peel(&wire, others[i], sizes[i], &recipe, &reason), PEEL_IS_MODULES);
        assert_int_equal(packet->size, sizes[i]);
        assert_memory_equal(packet->data, others[i], sizes[i]);
        assert_int_equal(packet->arrival.via_size, 0);
    }
    /* A record of no bytes. */
    assert_int_equal(peel(&wire, "\x10m\0\3idi", 7, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_TRUNCATED);
    /* Nobody's first byte; a length of too much, and of too little; steps without an end. */
    assert_int_equal(peel(&wire, "\x20", 1, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_GARBAGE);
    assert_int_equal(peel(&wire, "\x30\0\4", 3, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_TRUNCATED);
    assert_int_equal(peel(&wire, "\x30\0\2", 3, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_GARBAGE);
    assert_int_equal(peel(&wire, "\x30\0", 2, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_TRUNCATED);
    assert_int_equal(peel(&wire, "\x30\0\3", 3, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_GARBAGE);
}

static void test_via_is_bounded(void **state)
{
    const struct peel_table t = {
        .count = 1,
        .peel = {{.first_high = 0xFF,
                  .count = 3,
                  .step = {{.verb = PEEL_STRIP, .size = 30, .keep = true},
                           {.verb = PEEL_STRIP, .size = 30, .keep = true},
                           {.verb = PEEL_RECORD}}}},
    };
    uint8_t bytes[64];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    const struct recipe *recipe = NULL;
    enum drop_reason reason;
    assert_int_equal(peel(&t, bytes, sizeof bytes, &recipe, &reason), PEEL_IS_RECORD);
    assert_int_equal(packet->arrival.via_size, ARRIVAL_VIA);
    assert_memory_equal(packet->arrival.via, bytes, ARRIVAL_VIA);
    assert_packet(BYTES(60, 61, 62, 63));
}

struct toy_steer {
    struct steer steer;
    enum steer_verdict verdict;
    const struct recipe *recipe;
};

static enum steer_verdict decide(const struct steer *self, struct packet *p,
                                 const struct recipe **ret_recipe, enum drop_reason *ret_reason)
{
    const struct toy_steer *toy = (const struct toy_steer *)self;
    assert_int_equal(p->data[0], 0x50); /* the header is still on */
    *ret_recipe = toy->recipe;
    *ret_reason = DROP_POLICY;
    return toy->verdict;
}

static void test_steer(void **state)
{
    struct recipe onward;
    struct toy_steer toy = {.steer = {decide}, .verdict = STEER_DELIVER};
    struct peel_table t = {
        .count = 1,
        .peel = {{.first_low = 0x50,
                  .first_high = 0x50,
                  .count = 3,
                  .step = {{.verb = PEEL_STEER, .size = 3, .keep = true, .steer = &toy.steer},
                           {.verb = PEEL_STRIP, .size = 3},
                           {.verb = PEEL_RECORD}}}},
    };
    const struct recipe_patch ttl = {.kind = PATCH_TTL, .at = 2, .from = 1};
    recipe_begin(&onward);
    assert_true(recipe_add_prepend(&onward, "P?.", 3, &ttl, 1));
    assert_true(recipe_add_send(&onward, 0, NULL, &remote, 0));

    const struct recipe *recipe = NULL;
    enum drop_reason reason;
    assert_int_equal(peel(&t, "\x50\x07hRR", 5, &recipe, &reason), PEEL_IS_RECORD);
    assert_packet(BYTES('R', 'R'));
    assert_null(recipe);

    toy.verdict = STEER_PUNT;
    assert_int_equal(peel(&t, "\x50\x07hRR", 5, &recipe, &reason), PEEL_IS_MODULES);
    assert_int_equal(packet->size, 5);

    toy.verdict = STEER_DROP;
    assert_int_equal(peel(&t, "\x50\x07hRR", 5, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_POLICY);

    toy.verdict = STEER_FORWARD;
    assert_int_equal(peel(&t, "\x50\x07hRR", 5, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_NO_TUNNEL);
    toy.recipe = &onward;
    assert_int_equal(peel(&t, "\x50\x07", 2, &recipe, &reason), PEEL_DROP);
    assert_int_equal(reason, DROP_TRUNCATED);
    assert_null(recipe);
    assert_int_equal(peel(&t, "\x50\x07hRR", 5, &recipe, &reason), PEEL_FORWARD);
    assert_ptr_equal(recipe, &onward);
    assert_true(recipe_run(recipe, packet, &reason));
    assert_packet(BYTES('P', '?', 6, 'R', 'R'));
}

/* Datagrams that begin alike are steered in one go; `keep` says where they came from. */
static void test_steer_of_a_run(void **state)
{
    struct recipe onward;
    struct toy_steer toy = {.steer = {decide}, .verdict = STEER_DELIVER, .recipe = &onward};
    struct peel_table t = {
        .count = 1,
        .peel = {{.first_low = 0x50,
                  .first_high = 0x50,
                  .count = 3,
                  .step = {{.verb = PEEL_STEER, .at = 3, .steer = &toy.steer},
                           {.verb = PEEL_STRIP, .size = 3, .keep = true},
                           {.verb = PEEL_RECORD}}}},
    };
    static const char alike[] = "P\x02hAAA"
                                "P\x02hBBB"
                                "P\x02hC";
    const struct recipe_patch hops = {.kind = PATCH_TTL, .at = 1};
    const struct recipe *recipe = NULL;
    enum peel_result result;
    enum drop_reason reason;
    size_t front = 0;
    recipe_begin(&onward);
    assert_true(recipe_add_prepend(&onward, NULL, 0, &hops, 1));
    assert_true(recipe_add_send(&onward, 0, NULL, &remote, 0));

    packet_fill(packet, alike, 16);
    packet->run = 6;
    assert_true(peel_steer_run(&t, packet, &front, &result, &recipe, &reason));
    assert_int_equal(result, PEEL_IS_RECORD);
    assert_int_equal(front, 3);
    assert_int_equal(packet->size, 16);
    assert_int_equal(packet->arrival.via_size, 3);
    assert_memory_equal(packet->arrival.via, "P\x02h", 3);

    toy.verdict = STEER_FORWARD;
    assert_true(peel_steer_run(&t, packet, &front, &result, &recipe, &reason));
    assert_int_equal(result, PEEL_FORWARD);
    assert_ptr_equal(recipe, &onward);
    assert_true(recipe_run(recipe, packet, &reason));
    assert_memory_equal(packet->data,
                        "P\x01hAAA"
                        "P\x01hBBB"
                        "P\x01hC",
                        16);
    assert_false(recipe_run(recipe, packet, &reason));
    assert_int_equal(reason, DROP_HOP_LIMIT);

    toy.verdict = STEER_DROP;
    assert_true(peel_steer_run(&t, packet, &front, &result, &recipe, &reason));
    assert_int_equal(result, PEEL_DROP);
    assert_int_equal(reason, DROP_POLICY);
    toy.verdict = STEER_PUNT;
    assert_false(peel_steer_run(&t, packet, &front, &result, &recipe, &reason));

    toy.verdict = STEER_DELIVER;
    packet->data[8] ^= 1; /* one begins otherwise */
    assert_false(peel_steer_run(&t, packet, &front, &result, &recipe, &reason));
    packet_fill(packet, alike, 14); /* the last one is too short to begin alike */
    assert_false(peel_steer_run(&t, packet, &front, &result, &recipe, &reason));
    packet_fill(packet, alike, 16);
    t.peel[0].step[0].at = 0; /* it looks at all of it */
    assert_false(peel_steer_run(&t, packet, &front, &result, &recipe, &reason));
    t.peel[0].step[0].at = 3;
    t.peel[0].step[1].size = 4; /* more is taken off than is known to be alike */
    assert_false(peel_steer_run(&t, packet, &front, &result, &recipe, &reason));
    packet->run = 0;
}

static void test_random_datagrams(void **state)
{
    struct seeded s;
    unsigned results[4] = {0};
    seeded_init(&s, 3);
    for (unsigned i = 0; i < 50000; i++) {
        uint8_t bytes[16];
        size_t size = entropy_below(&s.entropy, sizeof bytes + 1);
        entropy_fill(&s.entropy, bytes, sizeof bytes);
        if (i & 1)
            memcpy(bytes, "\x10m\0", 3);
        if (i & 2)
            bytes[3] = (uint8_t)(size - 4);
        const struct recipe *recipe = NULL;
        enum drop_reason reason;
        enum peel_result result = peel(&wire, bytes, size, &recipe, &reason);
        results[result]++;
        assert_true(result != PEEL_FORWARD);
        assert_int_equal(result == PEEL_DROP, reason < DROP_COUNT);
        assert_true(packet->size <= size);
    }
    assert_true(results[PEEL_IS_RECORD] > 100 && results[PEEL_IS_MODULES] > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peel_plain),     cmocka_unit_test(test_peel_strips_and_keeps),
        cmocka_unit_test(test_via_is_bounded), cmocka_unit_test(test_steer),
        cmocka_unit_test(test_steer_of_a_run), cmocka_unit_test(test_random_datagrams),
    };
    return cmocka_run_group_tests_name("packet_peel", tests, recipe_set_up, recipe_tear_down);
}
