#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <cmocka.h>

#include "daemon/sockaddr.h"

static const char *const texts[] = {"192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%7]:65535",
                                    "0.0.0.0:1"};

static struct endpoint endpoint(const char *text)
{
    struct endpoint e;
    assert_true(endpoint_parse(text, 0, &e));
    return e;
}

static void test_both_ways(void **state)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct endpoint e = endpoint(texts[i]), back;
        struct sockaddr_storage s;
        socklen_t size = daemon_sockaddr_write(&e, &s);
        assert_int_equal(size, e.ip.family == 4 ? sizeof(struct sockaddr_in)
                                                : sizeof(struct sockaddr_in6));
        assert_true(daemon_sockaddr_read((struct sockaddr *)&s, &back));
        assert_true(endpoint_equal(&e, &back));
    }
}

static void test_mapped_is_ipv4(void **state)
{
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(7)};
    struct endpoint e, expected = endpoint("192.0.2.1:7");
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in.sin6_addr), 1);
    assert_true(daemon_sockaddr_read((struct sockaddr *)&in, &e));
    assert_true(endpoint_equal(&e, &expected));
}

static void test_neither(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_storage s;
    struct endpoint e;
    assert_false(daemon_sockaddr_read((struct sockaddr *)&un, &e));
    assert_int_equal(e.ip.family, 0);
    assert_int_equal(daemon_sockaddr_write(&e, &s), 0);
}

/* What is written as "leave from here" reads as "was sent to here". */
static void test_local(void **state)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        union {
            struct cmsghdr align;
            char bytes[64];
        } control;
        struct msghdr m = {.msg_control = &control, .msg_controllen = sizeof control};
        struct endpoint local = endpoint(texts[i]), back = {.port = 9};
        daemon_sockaddr_write_local(&m, &local);
        assert_true(m.msg_controllen > 0 && m.msg_controllen <= sizeof control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (local.ip.family == 4) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            assert_int_equal(info.ipi_addr.s_addr, 0); /* only its source is asked for */
            info.ipi_addr = info.ipi_spec_dst;
            memcpy(CMSG_DATA(c), &info, sizeof info);
        }
        daemon_sockaddr_read_local(&m, &back);
        assert_true(ip_address_equal(&local.ip, &back.ip));
        assert_int_equal(back.port, 9);
        assert_int_equal(back.scope, local.scope);
    }
    struct msghdr m = {.msg_control = &m, .msg_controllen = 64};
    daemon_sockaddr_write_local(&m, &(struct endpoint){0});
    assert_null(m.msg_control);
    assert_int_equal(m.msg_controllen, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways), cmocka_unit_test(test_mapped_is_ipv4),
        cmocka_unit_test(test_neither), cmocka_unit_test(test_local)};
    return cmocka_run_group_tests_name("daemon_sockaddr", tests, NULL, NULL);
}
