#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "packet/ip.h"
#include "sim/sim_dns.h"
#include "sim/sim_packet.h"
#include "tests/support/craft.h"

static struct ip_address ip(const char *text)
{
    struct ip_address a;
    assert_true(ip_address_parse(text, &a));
    return a;
}

static struct sim_packet make(enum sim_packet_kind kind, bool v6)
{
    return (struct sim_packet){.kind = kind,
                               .source = ip(v6 ? "fd00::1" : "198.18.0.1"),
                               .destination = ip(v6 ? "fd00::2" : "198.18.0.2"),
                               .id = kind == SIM_PACKET_UDP ? 0 : 7,
                               .sequence = kind == SIM_PACKET_UDP ? 0 : 3,
                               .source_port = kind == SIM_PACKET_UDP ? 1000 : 0,
                               .destination_port = kind == SIM_PACKET_UDP ? 7 : 0,
                               .payload = (const uint8_t *)"an odd payload!",
                               .size = 15};
}

static void packets_are_read_as_written(void **state)
{
    uint8_t bytes[200];
    struct sim_packet back;
    (void)state;
    for (unsigned v6 = 0; v6 < 2; v6++)
        for (unsigned kind = SIM_PACKET_ECHO; kind <= SIM_PACKET_UDP; kind++) {
            struct sim_packet p = make((enum sim_packet_kind)kind, v6);
            size_t size = sim_packet_write(&p, NULL, bytes, sizeof bytes);
            assert_int_equal(size, (v6 ? IP6_HEADER : IP4_HEADER) + 8 + 15);
            assert_true(craft_sums_right(bytes, size));
            assert_null(sim_packet_read(bytes, size, NULL, &back));
            assert_int_equal(back.kind, kind);
            assert_true(ip_address_equal(&back.source, &p.source));
            assert_true(ip_address_equal(&back.destination, &p.destination));
            assert_int_equal(back.id, p.id);
            assert_int_equal(back.sequence, p.sequence);
            assert_int_equal(back.source_port, p.source_port);
            assert_int_equal(back.destination_port, p.destination_port);
            assert_int_equal(back.size, 15);
            assert_memory_equal(back.payload, p.payload, 15);
        }
}

static void open_sums(void **state)
{
    uint8_t bytes[200];
    struct packet_offload offload = {0};
    struct sim_packet p = make(SIM_PACKET_UDP, false), back;
    (void)state;
    size_t size = sim_packet_write(&p, &offload, bytes, sizeof bytes);
    assert_true(offload.needs_checksum);
    assert_null(sim_packet_read(bytes, size, &offload, &back));
    assert_non_null(sim_packet_read(bytes, size, NULL, &back));
}

static void every_changed_byte_is_noticed(void **state)
{
    uint8_t bytes[200];
    (void)state;
    for (unsigned v6 = 0; v6 < 2; v6++) {
        struct sim_packet p = make(SIM_PACKET_UDP, v6), back;
        size_t size = sim_packet_write(&p, NULL, bytes, sizeof bytes);
        for (size_t i = 0; i < size; i++) {
            bool unsummed = v6 && (i < 4 || i == IP6_TTL); /* of IPv6: class, label, hop limit */
            bytes[i] ^= 1;
            if (!unsummed)
                assert_non_null(sim_packet_read(bytes, size, NULL, &back));
            bytes[i] ^= 1;
        }
        for (size_t less = 0; less < size; less++)
            assert_non_null(sim_packet_read(bytes, less, NULL, &back));
    }
}

static void no_room(void **state)
{
    uint8_t bytes[42];
    struct sim_packet p = make(SIM_PACKET_UDP, false);
    (void)state;
    assert_int_equal(sim_packet_write(&p, NULL, bytes, sizeof bytes), 0);
}

/* ---- DNS ---- */

static void questions(void **state)
{
    static const uint8_t wanted[] = {0x12, 0x34, 1,   0, 0,    1,   0, 0, 0, 0, 0,
                                     1,    1,    'a', 2, 'i',  'p', 0, 0, 1, 0, 1,
                                     0,    0,    41,  4, 0xD0, 0,   0, 0, 0, 0, 0};
    uint8_t out[SIM_DNS_MAX];
    char name[NAME_TEXT];
    (void)state;
    assert_int_equal(sim_dns_write(0x1234, "a.ip", SIM_DNS_A, out, sizeof out), sizeof wanted);
    assert_memory_equal(out, wanted, sizeof wanted);
    assert_int_equal(sim_dns_write(1, "a..ip", SIM_DNS_A, out, sizeof out), 0);
    assert_int_equal(sim_dns_write(1, "a.ip", SIM_DNS_A, out, 20), 0);
    struct ip_address v4 = ip("198.18.0.9"), v6 = ip("fd00::1");
    assert_string_equal(sim_dns_reverse(&v4, name), "9.0.18.198.in-addr.arpa");
    assert_string_equal(sim_dns_reverse(&v6, name), "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
                                                    "0.0.0.0.0.0.0.d.f.ip6.arpa");
}

/* A name, an answer that points at it, and OPT with an Extended DNS Error. */
static const uint8_t reply[] = {
    0,  7, 0x81, 0x82, 0, 1, 0, 1, 0, 0, 0,  1, 1, 'a', 2,   'i', 'p', 0,  0, 1,
    0,  1, 0xC0, 12,   0, 1, 0, 1, 0, 0, 0,  5, 0, 4,   198, 18,  0,   9,  0, 0,
    41, 4, 0xD0, 0,    0, 0, 0, 0, 9, 0, 15, 0, 5, 0,   22,  'b', 'a', 'd'};

static void answers(void **state)
{
    struct sim_answer a;
    struct ip_address wanted = ip("198.18.0.9");
    (void)state;
    assert_true(sim_dns_read(7, reply, sizeof reply, &a));
    assert_int_equal(a.rcode, 2);
    assert_true(ip_address_equal(&a.ip, &wanted));
    assert_string_equal(a.text, "bad");
    assert_false(sim_dns_read(8, reply, sizeof reply, &a));
    for (size_t size = 0; size < sizeof reply; size++)
        assert_false(sim_dns_read(7, reply, size, &a));
}

static void pointers_that_never_end(void **state)
{
    uint8_t bad[sizeof reply];
    struct sim_answer a;
    (void)state;
    memcpy(bad, reply, sizeof bad);
    bad[23] = 22; /* the answer's name points at itself */
    assert_false(sim_dns_read(7, bad, sizeof bad, &a));
    bad[23] = 200;
    assert_false(sim_dns_read(7, bad, sizeof bad, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_are_read_as_written),
        cmocka_unit_test(open_sums),
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(no_room),
        cmocka_unit_test(questions),
        cmocka_unit_test(answers),
        cmocka_unit_test(pointers_that_never_end),
    };
    return cmocka_run_group_tests_name("sim_packet", tests, NULL, NULL);
}
