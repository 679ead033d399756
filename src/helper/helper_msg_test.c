/* helper_request_check(): a daemon that was taken over must not get further than the messages
 * allow. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "helper/helper_msg.h"

static struct helper_request tun_request(void)
{
    struct helper_request q = {.version = HELPER_MSG_VERSION, .verb = HELPER_TUN_OPEN, .serial = 1};
    strcpy(q.tun.name, "ocala0");
    q.tun.mtu = 1400;
    q.tun.queues = 1;
    assert_true(ip_address_parse("198.18.0.1", &q.tun.address4));
    assert_true(ip_prefix_parse("198.18.0.0/15", &q.tun.pool4));
    assert_true(ip_address_parse("fd12:3456:789a::1", &q.tun.address6));
    assert_true(ip_prefix_parse("fd12:3456:789a::/48", &q.tun.pool6));
    return q;
}

static bool good(const struct helper_request *q)
{
    const char *reason = NULL;
    int r = helper_request_check(q, sizeof *q, &reason);
    assert_true(r == 0 || (r == -EPROTO && reason));
    return r == 0;
}

static void tun(void **state)
{
    struct helper_request q = tun_request();
    assert_true(good(&q));
    q.tun.address6 = (struct ip_address){0};
    assert_false(good(&q)); /* a pool without an address */
    q.tun.pool6 = (struct ip_prefix){0};
    assert_true(good(&q));
    q.tun.mtu = 1279;
    assert_false(good(&q));
    q = tun_request();
    q.tun.mtu = 65536;
    assert_false(good(&q));
    q = tun_request();
    q.tun.queues = 0;
    assert_false(good(&q));
    q.tun.queues = HELPER_FDS_MAX + 1;
    assert_false(good(&q));
    q = tun_request();
    assert_true(ip_address_parse("198.20.0.1", &q.tun.address4)); /* outside the pool */
    assert_false(good(&q));
    q = tun_request();
    q.tun.pool4.length = 33;
    assert_false(good(&q));
    q = tun_request();
    q.tun.pool4.ip.bytes[3] = 1; /* bits behind the prefix */
    assert_false(good(&q));
    q = tun_request();
    q.tun.pool6 = q.tun.pool4;
    assert_false(good(&q));
    q = tun_request();
    q.tun.address4 = q.tun.address6;
    assert_false(good(&q));
}

static void names(void **state)
{
    static const char *const bad[] = {"",     "a b", "a/b", "a;b", "x\"y",    "a{}",
                                      "a\nb", "..",  "-a",  "a%d", "\xc3\xa9"};
    struct helper_request q = tun_request();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memset(q.tun.name, 0, sizeof q.tun.name);
        memcpy(q.tun.name, bad[i], strlen(bad[i]));
        assert_false(good(&q));
    }
    memset(q.tun.name, 'a', sizeof q.tun.name); /* no NUL */
    assert_false(good(&q));
    q.tun.name[15] = '\0';
    assert_true(good(&q));
}

static void envelope(void **state)
{
    struct helper_request q = tun_request();
    const char *reason = NULL;
    assert_int_equal(helper_request_check(&q, sizeof q - 1, &reason), -EPROTO);
    assert_int_equal(helper_request_check(&q, 0, &reason), -EPROTO);
    q.version++;
    assert_false(good(&q));
    q = tun_request();
    q.verb = HELPER_VERB_NONE;
    assert_false(good(&q));
    q.verb = HELPER_VERB_COUNT;
    assert_false(good(&q));
    q.verb = UINT32_MAX;
    assert_false(good(&q));
    assert_non_null(helper_verb_text(UINT32_MAX));
    for (uint32_t v = 0; v < HELPER_VERB_COUNT; v++)
        assert_true(strlen(helper_verb_text(v)) > 0);
}

static void sockets(void **state)
{
    struct helper_request q = {.version = HELPER_MSG_VERSION, .verb = HELPER_LISTEN};
    assert_true(endpoint_parse("127.0.0.1:53", 0, &q.listen.local));
    assert_true(good(&q));
    q.listen.transport = HELPER_TRANSPORT_COUNT;
    assert_false(good(&q));
    q.listen.transport = HELPER_TCP;
    q.listen.flags = 8;
    assert_false(good(&q));
    q.listen.flags = HELPER_LISTEN_FLAGS;
    q.listen.buffer_size = UINT32_MAX;
    assert_false(good(&q));
    q.listen.buffer_size = 1 << 20;
    assert_true(good(&q));
    q.listen.local.ip.family = 0;
    assert_false(good(&q));
}

static void others(void **state)
{
    struct helper_request q = {.version = HELPER_MSG_VERSION, .verb = HELPER_FILE_OPEN};
    assert_false(good(&q));
    memset(q.file.path, 'a', sizeof q.file.path);
    assert_false(good(&q));
    q.file.path[9] = '\0';
    assert_true(good(&q));
    q = (struct helper_request){.version = HELPER_MSG_VERSION, .verb = HELPER_ROUTE_CHECK};
    assert_false(good(&q));
    assert_true(ip_prefix_parse("198.18.0.0/15", &q.route.prefix));
    assert_true(good(&q));
    q.route.prefix.length = 0;
    assert_false(good(&q));
    q = (struct helper_request){.version = HELPER_MSG_VERSION, .verb = HELPER_DNS_SET};
    assert_false(good(&q));
    assert_true(endpoint_parse("198.18.0.1:53", 0, &q.dns.listen));
    assert_true(good(&q));
}

static struct helper_request dns_request(uint32_t mode)
{
    struct helper_request q = {.version = HELPER_MSG_VERSION, .verb = HELPER_DNS_SET};
    q.dns.mode = mode;
    strcpy(q.dns.tun_name, "ocala0");
    strcpy(q.dns.domains, "ip ron ov.example-1.org");
    assert_true(endpoint_parse("127.0.0.1:53", 0, &q.dns.listen));
    return q;
}

static void resolvers(void **state)
{
    for (uint32_t mode = 0; mode <= HELPER_DNS_INTERCEPT; mode++) {
        struct helper_request q = dns_request(mode);
        assert_true(good(&q));
        q.dns.listen.port = 5354;
        assert_int_equal(good(&q), mode != HELPER_DNS_RESOLVCONF);
        q.dns.listen.port = 0;
        assert_false(good(&q));
        q = dns_request(mode);
        strcpy(q.dns.tun_name, "a;b");
        assert_int_equal(good(&q), mode == HELPER_DNS_RESOLVCONF);
    }
    struct helper_request q = dns_request(HELPER_DNS_INTERCEPT + 1);
    assert_false(good(&q));
    q = dns_request(HELPER_DNS_INTERCEPT);
    assert_true(endpoint_parse("[::1]:53", 0, &q.dns.listen6));
    assert_true(good(&q));
    assert_true(endpoint_parse("127.0.0.1:53", 0, &q.dns.listen6));
    assert_false(good(&q));
}

/* They become arguments of a program. */
static void domains(void **state)
{
    static const char *const bad[] = {
        "",  " ip", "ip ", "ip  ron", "-ip",  "ip -ron", "~ip",  "ip\nron", "ip;ron", "IP",
        ".", "ip.", ".ip", "a..b",    "a.-b", "a-.b",    "a- b", "--help",  "a/b",    "a_b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct helper_request q = dns_request(HELPER_DNS_RESOLVED);
        strcpy(q.dns.domains, bad[i]);
        if (good(&q))
            fail_msg("'%s' was taken", bad[i]);
    }
    struct helper_request q = dns_request(HELPER_DNS_RESOLVED);
    memset(q.dns.domains, 'a', sizeof q.dns.domains);
    assert_false(good(&q));
    q = dns_request(HELPER_DNS_RESOLVED);
    assert_true(ip_prefix_parse("198.18.0.0/15", &q.dns.pool4));
    assert_true(good(&q));
    q.dns.pool4.ip.bytes[3] = 1;
    assert_false(good(&q));
}

static void marked_sockets(void **state)
{
    struct helper_request q = {.version = HELPER_MSG_VERSION, .verb = HELPER_DNS_SOCKETS};
    assert_false(good(&q));
    q.sockets = (struct helper_sockets_request){.transport = HELPER_TCP, .family = 6, .count = 16};
    assert_true(good(&q));
    q.sockets.count = HELPER_FDS_MAX + 1;
    assert_false(good(&q));
    q.sockets = (struct helper_sockets_request){.transport = 2, .family = 4, .count = 1};
    assert_false(good(&q));
}

static void replies(void **state)
{
    struct helper_request q = {.version = HELPER_MSG_VERSION, .verb = HELPER_DNS_SET, .serial = 5};
    struct helper_reply a = {.version = HELPER_MSG_VERSION, .verb = HELPER_DNS_SET, .serial = 5};
    assert_int_equal(helper_reply_check(&a, sizeof a, &q), 0);
    assert_int_equal(helper_reply_check(&a, sizeof a - 1, &q), -EPROTO);
    a.upstreams.count = HELPER_UPSTREAMS_MAX + 1;
    assert_int_equal(helper_reply_check(&a, sizeof a, &q), -EPROTO);
    a.upstreams.count = 0;
    a.serial = 4;
    assert_int_equal(helper_reply_check(&a, sizeof a, &q), -EPROTO);
    a.serial = 5;
    a.fds = HELPER_FDS_MAX + 1;
    assert_int_equal(helper_reply_check(&a, sizeof a, &q), -EPROTO);
    a.fds = 0;
    memset(a.text, 'x', sizeof a.text);
    assert_int_equal(helper_reply_check(&a, sizeof a, &q), -EPROTO);
}

/* Random bytes with a right envelope: no crash, and what is accepted is in range. */
static void random_requests(void **state)
{
    uint64_t seed = 1;
    for (int round = 0; round < 100000; round++) {
        struct helper_request q;
        uint8_t *bytes = (uint8_t *)&q;
        for (size_t i = 0; i < sizeof q; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            bytes[i] = (uint8_t)(seed >> 56) & (seed >> 20 & 1 ? 0xff : 0x07);
        }
        q.version = HELPER_MSG_VERSION;
        q.verb %= HELPER_VERB_COUNT;
        if (!good(&q))
            continue;
        if (q.verb == HELPER_TUN_OPEN)
            assert_true(strlen(q.tun.name) < sizeof q.tun.name && q.tun.queues <= HELPER_FDS_MAX);
        if (q.verb == HELPER_LISTEN)
            assert_true(q.listen.transport < HELPER_TRANSPORT_COUNT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tun),      cmocka_unit_test(names),
        cmocka_unit_test(envelope), cmocka_unit_test(sockets),
        cmocka_unit_test(others),   cmocka_unit_test(resolvers),
        cmocka_unit_test(domains),  cmocka_unit_test(marked_sockets),
        cmocka_unit_test(replies),  cmocka_unit_test(random_requests),
    };
    return cmocka_run_group_tests_name("helper_msg", tests, NULL, NULL);
}
