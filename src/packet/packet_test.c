#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "packet/drop.h"
#include "packet/packet.h"

static void test_pool(void **state)
{
    struct packet_pool *pool = packet_pool_new(2);
    struct packet *a = packet_take(pool), *b = packet_take(pool);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(packet_take(pool));
    assert_int_equal(packet_pool_out(pool), 2);
    a->arrival.via_size = 3;
    a->offload.needs_checksum = true;
    packet_give_back(a);
    packet_give_back(NULL);
    assert_int_equal(packet_pool_out(pool), 1);
    struct packet *again = packet_take(pool);
    assert_ptr_equal(again, a);
    assert_int_equal(again->arrival.via_size, 0);
    assert_false(again->offload.needs_checksum);
    assert_int_equal(again->size, 0);
    assert_int_equal(packet_headroom(again), PACKET_HEADROOM);
    packet_give_back(again);
    packet_give_back(b);
    packet_pool_free(pool);
    packet_pool_free(NULL);

    pool = packet_pool_new(0);
    assert_null(packet_take(pool));
    packet_pool_free(pool);
}

static void test_room(void **state)
{
    static uint8_t big[PACKET_SIZE + 1];
    struct packet_pool *pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    assert_false(packet_fill(p, big, sizeof big));
    assert_true(packet_fill(p, big, PACKET_SIZE));
    assert_int_equal(packet_headroom(p), PACKET_HEADROOM);
    assert_int_equal(packet_tailroom(p), PACKET_TAILROOM);
    assert_true(packet_push(p, PACKET_HEADROOM));
    assert_ptr_equal(p->data, p->room);
    assert_false(packet_push(p, 1));
    assert_int_equal(p->size, PACKET_SIZE + PACKET_HEADROOM);
    assert_int_equal(packet_tailroom(p), PACKET_TAILROOM);
    memset(p->data, 1, p->size + packet_tailroom(p));
    assert_true(packet_pull(p, p->size));
    assert_false(packet_pull(p, 1));
    assert_true(packet_fill(p, NULL, 0));
    assert_int_equal(p->size, 0);
    packet_reset(p, 16);
    assert_true(packet_push(p, 16));
    assert_false(packet_push(p, 1));
    packet_give_back(p);
    packet_pool_free(pool);
}

/* Every reason has a name of its own (it becomes a metric label) and a text. */
static void test_drop_reasons(void **state)
{
    for (unsigned i = 0; i < DROP_COUNT; i++) {
        const char *name = drop_name(i);
        assert_non_null(name);
        assert_true(strlen(drop_text(i)) > 0);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(name, drop_name(j));
    }
    assert_string_equal(drop_name(DROP_COUNT), "unknown");
    assert_string_equal(drop_text((enum drop_reason) - 1), "unknown");
    assert_string_equal(drop_name(DROP_BAD_TAG), "bad-tag");

    struct drop_counters counters = {0};
    drop_count(&counters, DROP_REPLAYED);
    drop_count(&counters, DROP_REPLAYED);
    assert_int_equal(drop_read(&counters, DROP_REPLAYED), 2);
    assert_int_equal(drop_read(&counters, DROP_BAD_TAG), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_drop_reasons),
    };
    return cmocka_run_group_tests_name("packet_packet", tests, NULL, NULL);
}
