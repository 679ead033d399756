/* What the kernel says about sockets: messages made by hand, and real sockets on loopback. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "linux/flows.h"

struct message {
    struct nlmsghdr header;
    struct inet_diag_msg m;
};

static struct message message(int family, int state, const char *local, uint16_t local_port,
                              const char *remote, uint16_t remote_port)
{
    struct message m = {
        .header = {.nlmsg_len = sizeof m, .nlmsg_type = SOCK_DIAG_BY_FAMILY},
        .m = {.idiag_family = (uint8_t)family,
              .idiag_state = (uint8_t)state,
              .id = {.idiag_sport = htons(local_port), .idiag_dport = htons(remote_port)}}};
    assert_int_equal(inet_pton(family, local, m.m.id.idiag_src), 1);
    assert_int_equal(inet_pton(family, remote, m.m.id.idiag_dst), 1);
    return m;
}

static void assert_end(const struct endpoint *e, const char *text)
{
    char have[ENDPOINT_TEXT];
    assert_string_equal(endpoint_format(e, have), text);
}

static void test_read(void **state)
{
    struct linux_socket s;
    struct message m = message(AF_INET, TCP_ESTABLISHED, "198.18.0.1", 40000, "198.18.4.7", 80);
    assert_true(linux_socket_read(&m.header, IPPROTO_TCP, &s));
    assert_false(s.listening);
    assert_int_equal(s.flow.protocol, IPPROTO_TCP);
    assert_false(s.flow.listened);
    assert_end(&s.flow.local, "198.18.0.1:40000");
    assert_end(&s.flow.remote, "198.18.4.7:80");

    m = message(AF_INET6, TCP_FIN_WAIT1, "fd00::1", 40001, "fd00::1:2", 22);
    assert_true(linux_socket_read(&m.header, IPPROTO_TCP, &s));
    assert_end(&s.flow.remote, "[fd00::1:2]:22");
    m = message(AF_INET6, TCP_ESTABLISHED, "::ffff:198.18.0.1", 40002, "::ffff:198.18.4.7", 53);
    assert_true(linux_socket_read(&m.header, IPPROTO_UDP, &s));
    assert_false(s.listening);
    assert_end(&s.flow.local, "198.18.0.1:40002");
    assert_end(&s.flow.remote, "198.18.4.7:53");
}

static void test_states(void **state)
{
    static const struct {
        uint8_t protocol;
        int state;
        bool counts, listening;
    } rows[] = {{IPPROTO_TCP, TCP_LISTEN, true, true},
                {IPPROTO_TCP, TCP_SYN_SENT, true, false},
                {IPPROTO_TCP, TCP_SYN_RECV, false, false},
                {IPPROTO_TCP, TCP_CLOSE, false, false},
                {IPPROTO_TCP, TCP_TIME_WAIT, true, false},
                {IPPROTO_TCP, 12, false, false},
                {IPPROTO_TCP, 0, false, false},
                {IPPROTO_TCP, 200, false, false},
                {IPPROTO_UDP, TCP_ESTABLISHED, true, false},
                {IPPROTO_UDP, TCP_CLOSE, true, true},
                {IPPROTO_UDP, TCP_LISTEN, false, false}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct linux_socket s;
        struct message m = message(AF_INET, rows[i].state, "10.0.0.1", 1, "10.0.0.2", 2);
        assert_int_equal(linux_socket_read(&m.header, rows[i].protocol, &s), rows[i].counts);
        if (rows[i].counts)
            assert_int_equal(s.listening, rows[i].listening);
    }
}

static void test_bad_messages(void **state)
{
    struct linux_socket s;
    const struct message good = message(AF_INET, TCP_ESTABLISHED, "10.0.0.1", 1, "10.0.0.2", 2);
    struct message m = good;
    m.header.nlmsg_len = sizeof m - 1;
    assert_false(linux_socket_read(&m.header, IPPROTO_TCP, &s));
    m.header.nlmsg_len = 0;
    assert_false(linux_socket_read(&m.header, IPPROTO_TCP, &s));
    m = good;
    m.header.nlmsg_type = NLMSG_NOOP;
    assert_false(linux_socket_read(&m.header, IPPROTO_TCP, &s));
    m = good;
    m.m.idiag_family = AF_UNIX;
    assert_false(linux_socket_read(&m.header, IPPROTO_TCP, &s));
}

static bool listens(int listener_family, const char *at, uint16_t port, int family,
                    const char *local)
{
    struct linux_socket listener, s;
    struct message m = message(listener_family, TCP_LISTEN, at, port,
                               listener_family == AF_INET ? "0.0.0.0" : "::", 0);
    assert_true(linux_socket_read(&m.header, IPPROTO_TCP, &listener));
    m = message(family, TCP_ESTABLISHED, local, 80, local, 5000);
    assert_true(linux_socket_read(&m.header, IPPROTO_TCP, &s));
    bool result = linux_socket_listens(&listener, &s.flow);
    s.flow.protocol = IPPROTO_UDP;
    assert_false(linux_socket_listens(&listener, &s.flow));
    return result;
}

static void test_listeners(void **state)
{
    assert_true(listens(AF_INET, "0.0.0.0", 80, AF_INET, "198.18.0.1"));
    assert_true(listens(AF_INET, "198.18.0.1", 80, AF_INET, "198.18.0.1"));
    assert_false(listens(AF_INET, "127.0.0.1", 80, AF_INET, "198.18.0.1"));
    assert_false(listens(AF_INET, "0.0.0.0", 81, AF_INET, "198.18.0.1"));
    assert_false(listens(AF_INET, "0.0.0.0", 80, AF_INET6, "fd00::1"));
    assert_true(listens(AF_INET6, "::", 80, AF_INET6, "fd00::1"));
    assert_true(listens(AF_INET6, "::", 80, AF_INET, "198.18.0.1"));
    assert_true(listens(AF_INET6, "::", 80, AF_INET6, "::ffff:198.18.0.1"));
    assert_true(listens(AF_INET6, "fd00::1", 80, AF_INET6, "fd00::1"));
    assert_false(listens(AF_INET6, "::1", 80, AF_INET6, "fd00::1"));
}

/* ---- the real kernel ---- */

static int open_socket(int type, const char *at, uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(inet_pton(AF_INET, at, &a.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void connect_to(int fd, const char *at, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, at, &a.sin_addr), 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
}

/* How many flows the prefix has with this remote port; `listened` of the last one. */
static unsigned flows(const char *prefix, uint16_t remote_port, bool *ret_listened)
{
    struct ip_prefix p;
    struct linux_flow *all = NULL;
    unsigned count = 0, found = 0;
    assert_true(ip_prefix_parse(prefix, &p));
    int error = linux_flows_list(&p, &all, &count);
    if (error == -EPROTONOSUPPORT || error == -EPERM || error == -EACCES)
        skip();
    assert_int_equal(error, 0);
    for (unsigned i = 0; i < count; i++)
        if (all[i].remote.port == remote_port) {
            found++;
            *ret_listened = all[i].listened;
        }
    free(all);
    return found;
}

static void test_kernel_tcp(void **state)
{
    uint16_t server_port, client_port;
    bool listened = true;
    int server = open_socket(SOCK_STREAM, "127.0.7.1", &server_port);
    int client = open_socket(SOCK_STREAM, "127.0.7.2", &client_port);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(flows("127.0.7.1/32", server_port, &listened), 0);
    connect_to(client, "127.0.7.1", server_port);
    int accepted = accept(server, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(flows("127.0.7.1/32", server_port, &listened), 1);
    assert_false(listened);
    assert_int_equal(flows("127.0.7.2/32", client_port, &listened), 1);
    assert_true(listened);
    assert_int_equal(flows("127.0.7.0/24", server_port, &listened), 1);
    assert_int_equal(flows("127.0.8.0/24", server_port, &listened), 0);
    assert_int_equal(flows("::/0", server_port, &listened), 0);
    close(client);
    close(accepted);
    close(server);
}

static void test_kernel_udp(void **state)
{
    uint16_t server_port, client_port;
    bool listened = true;
    int server = open_socket(SOCK_DGRAM, "127.0.7.1", &server_port);
    int client = open_socket(SOCK_DGRAM, "127.0.7.2", &client_port);
    assert_int_equal(flows("127.0.7.1/32", server_port, &listened), 0);
    connect_to(client, "127.0.7.1", server_port);
    if (!flows("127.0.7.1/32", server_port, &listened))
        skip(); /* a kernel without udp_diag */
    assert_false(listened);
    close(client);
    close(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),         cmocka_unit_test(test_states),
        cmocka_unit_test(test_bad_messages), cmocka_unit_test(test_listeners),
        cmocka_unit_test(test_kernel_tcp),   cmocka_unit_test(test_kernel_udp),
    };
    return cmocka_run_group_tests_name("linux_flows", tests, NULL, NULL);
}
