/* The wire: what is written is read again, what is cut or bent is not; options; and the few sums that ways are judged by. */
#include "overlay/ron/ron_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void test_header(void **state)
{
    uint8_t bytes[RON_HEADER];
    struct ron_header h = {.hops = RON_HOPS, .hop = 1, .to = 0x01020304, .from = 0xF0000001}, got;
    ron_header_write(&h, bytes);
    assert_int_equal(bytes[0], RON_FIRST);
    for (size_t size = 0; size < sizeof bytes; size++)
        assert_false(ron_header_read(bytes, size, &got));
    assert_true(ron_header_read(bytes, sizeof bytes, &got));
    assert_int_equal(got.hops, h.hops);
    assert_int_equal(got.hop, h.hop);
    assert_int_equal(got.to, h.to);
    assert_int_equal(got.from, h.from);
    bytes[0] = 0xC0;
    assert_false(ron_header_read(bytes, sizeof bytes, &got));
}

static void test_probes(void **state)
{
    for (uint8_t type = RON_PROBE; type <= RON_ACK; type++) {
        uint8_t bytes[64];
        struct ron_probe p = {.type = type, .hop = 7, .number = UINT64_MAX - 1, .own = 9}, got;
        size_t size = ron_probe_write(&p, bytes, sizeof bytes);
        for (size_t less = 0; less < size; less++)
            assert_false(ron_probe_read(bytes, less, &got));
        assert_false(ron_probe_read(bytes, size + 1, &got));
        assert_true(ron_probe_read(bytes, size, &got));
        assert_int_equal(got.hop, 7);
        assert_true(got.number == p.number);
        assert_int_equal(got.own, type == RON_REPLY ? 9 : 0);
        bytes[0] = RON_ROW;
        assert_false(ron_probe_read(bytes, size, &got));
    }
}

static void test_rows(void **state)
{
    static const struct ron_entry sent[] = {{.id = 9, .rtt = 1234, .loss = 3, .forwards = true},
                                            {.id = 2, .rtt = RON_NO_WAY, .loss = 100},
                                            {.id = 9, .rtt = 1, .loss = 0},
                                            {.id = 5, .rtt = RON_RTT_MAX, .loss = 127}};
    uint8_t bytes[64];
    uint32_t sequence;
    unsigned count;
    struct writer w = writer_over(bytes, sizeof bytes);
    ron_row_begin(&w, 77);
    for (unsigned i = 0; i < 4; i++)
        ron_row_add(&w, &sent[i]);
    ron_row_finish(&w, 4);
    size_t size = writer_size(&w);
    for (size_t less = 0; less < size; less++)
        assert_null(ron_row_read(bytes, less, &sequence, &count));
    assert_null(ron_row_read(bytes, size + 1, &sequence, &count));
    struct ron_entry *e = ron_row_read(bytes, size, &sequence, &count);
    assert_non_null(e);
    assert_int_equal(sequence, 77);
    assert_int_equal(count, 3); /* sorted, and nobody twice */
    assert_int_equal(e[0].id, 2);
    assert_int_equal(e[0].rtt, RON_NO_WAY);
    assert_int_equal(e[1].id, 5);
    assert_int_equal(e[1].loss, 100); /* no more than all */
    assert_int_equal(e[2].id, 9);
    free(e);
}

static void test_news(void **state)
{
    struct ron_news n = {.host = "beta.x", .age = 12, .left = true}, got;
    for (unsigned family = 0; family < 3; family++) {
        uint8_t bytes[300];
        static const char *const places[] = {NULL, "192.0.2.1:7400", "[2001:db8::1]:9"};
        n.at = (struct endpoint){0};
        if (family)
            assert_true(endpoint_parse(places[family], 0, &n.at));
        struct writer w = writer_over(bytes, sizeof bytes);
        ron_news_write(&w, &n);
        size_t size = writer_size(&w);
        for (size_t less = 0; less < size; less++) {
            struct reader r = reader_over(bytes, less);
            assert_false(ron_news_read(&r, &got));
        }
        struct reader r = reader_over(bytes, size);
        assert_true(ron_news_read(&r, &got));
        assert_int_equal(reader_left(&r), 0);
        assert_string_equal(got.host, n.host);
        assert_true(got.left && got.age == 12 && endpoint_equal(&got.at, &n.at));
        bytes[4] = '.'; /* no name begins so */
        r = reader_over(bytes, size);
        assert_false(ron_news_read(&r, &got));
        bytes[4] = 0;
        r = reader_over(bytes, size);
        assert_false(ron_news_read(&r, &got));
    }
}

static void test_numbers(void **state)
{
    unsigned below_half = 0;
    char name[8] = "n000";
    for (unsigned i = 0; i < 1000; i++) {
        name[1] = (char)('0' + i / 100);
        name[2] = (char)('0' + i / 10 % 10);
        name[3] = (char)('0' + i % 10);
        uint32_t a = ron_id(name), b = ron_id("other");
        assert_true(a != 0);
        assert_int_equal(ron_pair(a, b), ron_pair(b, a));
        below_half += ron_pair(a, b) < UINT32_MAX / 2;
    }
    assert_true(below_half > 440 && below_half < 560);
}

static void test_options(void **state)
{
    static const struct overlay_option some[] = {{"probe-timeout", "2s"},
                                                 {"metric", "loss"},
                                                 {"profile", "fast"},
                                                 {"transit", "beta gamma"},
                                                 {"probe-peers", "20"}};
    static const struct {
        const char *key, *value;
        bool good;
    } values[] = {{"profile", "paper", true},         {"profile", "quick", false},
                  {"metric", "throughput", true},     {"metric", "beauty", false},
                  {"probe-interval", "12s", true},    {"probe-interval", "12", false},
                  {"probe-interval", "1ms", false},   {"outage-after", "0", false},
                  {"transit", "none", true},          {"transit", "a b.c", true},
                  {"transit", "a,b", false},          {"mtu", "1279", false},
                  {"domain", "lab.example.org", true}};
    struct overlay_settings s = {.options = some, .option_count = 5};
    struct ron_options o;
    char text[200];
    const struct overlay_class *class = overlay_class_find("ron");
    ron_options_read(&s, &o);
    assert_true(o.adaptive && o.metric == RON_LOSS && o.peers == 20);
    assert_true(o.timeout == 2 * SECOND && o.timeout_least == 200 * MILLISECOND);
    assert_true(ron_listed(o.for_whom, "gamma") && !ron_listed(o.for_whom, "gam"));
    assert_true(ron_listed(o.to_whom, "anybody") && !ron_listed("none", "none"));
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        struct overlay_option one = {values[i].key, values[i].value};
        if (!overlay_options_fault(class, &one, 1, text, sizeof text) != values[i].good)
            fail_msg("%s: %s", one.key, one.value);
    }
    struct overlay_option hops = {"hops", "few"};
    assert_non_null(overlay_member_options_fault(class, &hops, 1, text, sizeof text));
    hops.value = "none";
    assert_null(overlay_member_options_fault(class, &hops, 1, text, sizeof text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),  cmocka_unit_test(test_probes),
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_news),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests_name("overlay_ron", tests, NULL, NULL);
}
