/* The real helper with a toy daemon and the real kernel, in namespaces of their own:
 *
 *      test --(tells)--> daemon <--socketpair--> helper --> TUN, routes, nft, resolv.conf
 *
 * What is looked at is the system, with ip and nft, as a user would.  Needs root (else skipped,
 * 77). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <cap-ng.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "linux/drop.h"
#include "toy.h"

#define SKIPPED 77
#define ROUTES4 "ip -4 route show table all"
#define ROUTES6 "ip -6 route show table all"
#define POOL4   "198.18.0.0/15"
#define POOL6   "fd12:3456:789a::/48"

static char text[TOY_TEXT];

static void start(struct toy *t)
{
    int r = toy_start(t, NULL, text);
    if (r < 0)
        print_error("helper_start: %s\n", text);
    assert_int_equal(r, 0);
}

static void ask_works(struct toy *t, const char *what)
{
    int r = toy_ask(t, text, "%s", what);
    if (r < 0)
        print_error("%s: %s\n", what, text);
    assert_true(r >= 0);
}

static void resolv_write(const char *content)
{
    unlink(TOY_RESOLV);
    FILE *f = fopen(TOY_RESOLV, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

static void nothing_left(void)
{
    assert_false(toy_shell_has("ip -o link", "ocala0"));
    assert_false(toy_shell_has(ROUTES4, "198.18"));
    assert_false(toy_shell_has(ROUTES6, "fd12:"));
    assert_string_equal(toy_shell("nft list tables"), "");
    assert_int_not_equal(access(TOY_RUN "/helper.journal", F_OK), 0);
    assert_int_not_equal(access(TOY_RUN "/control.sock", F_OK), 0);
}

static void stands_and_goes(void **state)
{
    struct toy t;
    start(&t);
    ask_works(&t, "tun ocala0");
    assert_string_equal(text, "ocala0 2 queues v6 checksum");
    ask_works(&t, "control");
    assert_true(toy_shell_has("ip -o link show dev ocala0", "mtu 1400"));
    assert_true(toy_shell_has("ip -o link show dev ocala0", "qlen 1000"));
    assert_true(toy_shell_has("ip -o link show dev ocala0", "UP"));
    assert_true(toy_shell_has("ip -o -4 addr show dev ocala0", "198.18.0.1/32"));
    assert_true(toy_shell_has("ip -o -6 addr show dev ocala0", "fd12:3456:789a::1/128"));
    assert_false(toy_shell_has("ip -o -6 addr show dev ocala0", "fe80"));
    assert_true(toy_shell_has("ip route get 198.19.255.255", "dev ocala0 src 198.18.0.1"));
    assert_true(toy_shell_has("ip route get fd12:3456:789a:1::5", "dev ocala0"));
    assert_true(toy_shell_has(ROUTES4, "unreachable " POOL4));
    assert_true(toy_shell_has(ROUTES6, "unreachable " POOL6));
    assert_true(toy_shell_has("nft list table inet ocala_ocala0", "ip daddr " POOL4));
    assert_true(toy_shell_has("nft list table inet ocala_ocala0", "ip6 saddr " POOL6));
    assert_true(toy_shell_has("stat -c %a " TOY_RUN "/control.sock", "6"));
    assert_true(toy_shell_has("stat -c %a " TOY_STATE, "750"));
    assert_true(toy_shell_has("stat -c %a " TOY_RUN, "755"));
    toy_stop(&t);
    nothing_left();
}

static void sigterm_is_passed_on(void **state)
{
    struct toy t;
    start(&t);
    ask_works(&t, "tun ocala0");
    kill(t.helper, SIGTERM);
    assert_int_equal(toy_wait(t.helper), 0);
    close(t.fd);
    nothing_left();
}

static void daemon_killed(void **state)
{
    static const char former[] = "nameserver 192.0.2.1\nsearch example.org\n";
    struct toy t;
    resolv_write(former);
    start(&t);
    ask_works(&t, "tun ocala0");
    ask_works(&t, "dns 198.18.0.1");
    assert_string_equal(text, "192.0.2.1:53 ");
    assert_true(toy_shell_has("cat " TOY_RESOLV, "\nnameserver 198.18.0.1\n"));
    kill(t.daemon, SIGKILL);
    assert_int_equal(toy_wait(t.helper), 128 + SIGKILL);
    close(t.fd);
    assert_string_equal(toy_shell("cat " TOY_RESOLV), former);
    assert_false(toy_shell_has("ip -o link", "ocala0"));
    assert_string_equal(toy_shell("nft list tables"), "");
    /* What programs still send stays on the machine. */
    assert_true(toy_shell_has(ROUTES4, "unreachable " POOL4));
    assert_true(toy_shell_has(ROUTES6, "unreachable " POOL6));
    assert_true(toy_shell_has("ip route get 198.18.0.9 2>&1", "No route to host"));
    /* The next one takes them over, and they go when it stops. */
    start(&t);
    assert_true(toy_shell_has(ROUTES4, "unreachable " POOL4));
    ask_works(&t, "tun ocala0");
    toy_stop(&t);
    nothing_left();
}

static void helper_killed(void **state)
{
    static const char former[] = "nameserver 192.0.2.1";
    struct toy t;
    resolv_write(former);
    start(&t);
    ask_works(&t, "tun ocala0");
    ask_works(&t, "dns 198.18.0.1");
    pid_t daemon = t.daemon;
    kill(t.helper, SIGKILL);
    assert_int_equal(toy_wait(t.helper), 128 + SIGKILL);
    assert_int_equal(toy_wait(daemon), 9); /* it noticed, and ended in order */
    close(t.fd);
    assert_false(toy_shell_has("ip -o link", "ocala0"));
    assert_true(toy_shell_has("cat " TOY_RESOLV, "nameserver 198.18.0.1"));
    start(&t);
    assert_string_equal(toy_shell("cat " TOY_RESOLV), former);
    assert_string_equal(toy_shell("nft list tables"), "");
    toy_stop(&t);
    nothing_left();
}

static void name_taken(void **state)
{
    struct toy t;
    start(&t);
    toy_shell("ip link add ocala0 type veth peer name other0");
    assert_int_equal(toy_ask(&t, text, "tun ocala0"), -EEXIST);
    assert_non_null(strstr(text, "already a network interface ocala0"));
    toy_shell("ip link del ocala0; ip tuntap add ocala0 mode tun");
    assert_int_equal(toy_ask(&t, text, "tun ocala0"), -EEXIST);
    assert_true(toy_shell_has("ip -o link", "ocala0"));
    toy_shell("ip link del ocala0");
    nothing_left();
    assert_int_equal(toy_ask(&t, text, "tun bad/name"), -EPROTO);
    /* Still alive, and able. */
    ask_works(&t, "tun ocala0");
    toy_stop(&t);
    nothing_left();
}

static void pool_clash(void **state)
{
    struct toy t;
    start(&t);
    assert_int_equal(toy_ask(&t, text, "check " POOL4), 0);
    toy_shell("ip link add c0 type veth peer name c1; ip link set c0 up; ip link set c1 up");
    toy_shell("ip route add default dev c0; ip route add 128.0.0.0/1 dev c0");
    assert_int_equal(toy_ask(&t, text, "check " POOL4), 0);
    toy_shell("ip addr add 198.19.5.1/24 dev c0");
    assert_int_equal(toy_ask(&t, text, "check " POOL4), 1);
    assert_non_null(strstr(text, "198.19.5."));
    assert_non_null(strstr(text, "dev c0"));
    assert_int_equal(toy_ask(&t, text, "check 100.64.0.0/15"), 0);
    assert_int_equal(toy_ask(&t, text, "tun ocala0"), -EADDRINUSE);
    assert_non_null(strstr(text, "overlaps the route 198.19.5."));
    toy_shell("ip addr flush dev c0; ip route add 198.16.0.0/12 dev c0");
    assert_int_equal(toy_ask(&t, text, "check " POOL4), 1);
    toy_shell("ip -6 route add fd12:3456:789a:7::/64 dev c0 metric 50");
    assert_int_equal(toy_ask(&t, text, "check " POOL6), 1);
    toy_shell("ip link del c0");
    assert_int_equal(toy_ask(&t, text, "check " POOL6), 0);
    toy_stop(&t);
    nothing_left();
}

static void disk_full(void **state)
{
    struct toy t;
    mkdir(TOY_RUN, 0755);
    assert_int_equal(mount("tmpfs", TOY_RUN, "tmpfs", 0, "size=16k,mode=0755"), 0);
    resolv_write("nameserver 192.0.2.1\n");
    start(&t);
    toy_shell("cat /dev/zero > " TOY_RUN "/filler 2>/dev/null");
    assert_int_equal(toy_ask(&t, text, "tun ocala0"), -ENOSPC);
    assert_non_null(strstr(text, "the disk is full"));
    assert_non_null(strstr(text, "helper.journal"));
    assert_int_equal(toy_ask(&t, text, "dns 198.18.0.1"), -ENOSPC);
    assert_string_equal(toy_shell("cat " TOY_RESOLV), "nameserver 192.0.2.1\n");
    nothing_left();
    unlink(TOY_RUN "/filler");
    /* Full in the middle of a run: what was noted is undone all the same. */
    ask_works(&t, "tun ocala0");
    ask_works(&t, "dns 198.18.0.1");
    toy_shell("cat /dev/zero > " TOY_RUN "/filler 2>/dev/null");
    toy_stop(&t);
    assert_string_equal(toy_shell("cat " TOY_RESOLV), "nameserver 192.0.2.1\n");
    nothing_left();
    umount(TOY_RUN);
}

static void sockets(void **state)
{
    struct toy t;
    start(&t);
    ask_works(&t, "listen udp 127.0.0.1:53");
    assert_string_equal(text, "nonblock 1");
    assert_int_equal(toy_ask(&t, text, "listen udp 127.0.0.1:53"), -EADDRINUSE);
    assert_non_null(strstr(text, "UDP 127.0.0.1:53: the port is taken"));
    ask_works(&t, "listen tcp 127.0.0.1:53");
    ask_works(&t, "listen udp [::1]:53");
    ask_works(&t, "listen udp [::]:4242");
    ask_works(&t, "listen udp 0.0.0.0:4242"); /* IPv6 sockets take no IPv4 */
    assert_int_equal(toy_ask(&t, text, "listen tcp 192.0.2.77:80"), -EADDRNOTAVAIL);
    assert_non_null(strstr(text, "not an address of this machine"));
    toy_stop(&t);
}

static void files(void **state)
{
    struct toy t;
    toy_shell("echo secret > " TOY_CONFIG "/key; ln -sf /etc/passwd " TOY_CONFIG "/escape");
    start(&t);
    ask_works(&t, "file " TOY_CONFIG "/key");
    assert_string_equal(text, "secret\n");
    ask_works(&t, "file key");
    assert_int_equal(toy_ask(&t, text, "file /etc/passwd"), -EXDEV);
    assert_int_equal(toy_ask(&t, text, "file " TOY_CONFIG "/../etc/resolv.conf"), -EXDEV);
    assert_int_equal(toy_ask(&t, text, "file escape"), -EXDEV);
    assert_int_equal(toy_ask(&t, text, "file absent"), -ENOENT);
    toy_stop(&t);
}

static void two_at_once(void **state)
{
    struct toy first, second;
    start(&first);
    ask_works(&first, "tun ocala0");
    assert_int_equal(toy_start(&second, NULL, text), -EBUSY);
    assert_non_null(strstr(text, "another ocalad"));
    assert_true(toy_shell_has("ip -o link", "ocala0"));
    toy_stop(&first);
    nothing_left();
}

/* ---- what the system lacks ---- */

static void hide(const char *folder)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "mode=0755") < 0)
        abort();
}

static void hide_nft(void)
{
    hide("/usr/sbin");
}

static void hide_tun(void)
{
    hide("/dev/net");
}

static void drop_net_admin(void)
{
    capng_get_caps_process();
    capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, CAP_NET_ADMIN);
    if (capng_apply(CAPNG_SELECT_BOTH) < 0)
        abort();
}

static void lacking(void **state)
{
    static const struct {
        void (*before)(void);
        int error;
        const char *says;
    } lack[] = {
        {hide_nft, -ENOPKG, "install the package nftables"},
        {hide_tun, -ENODEV, "modprobe tun"},
        {drop_net_admin, -EPERM, "CAP_NET_ADMIN"},
    };
    for (size_t i = 0; i < sizeof lack / sizeof lack[0]; i++) {
        struct toy t;
        assert_int_equal(toy_start(&t, lack[i].before, text), 0);
        assert_int_equal(toy_ask(&t, text, "tun ocala0"), lack[i].error);
        assert_non_null(strstr(text, lack[i].says));
        toy_stop(&t);
        nothing_left();
    }
}

/* ---- what the daemon keeps: nothing ---- */

static void dropped_look(const char *user, const char *uid)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (linux_drop(user, text, sizeof text) < 0)
            _exit(2);
        const char *now = toy_shell("cat /proc/self/status");
        bool fine = strstr(now, uid) && strstr(now, "CapEff:\t0000000000000000") &&
                    strstr(now, "CapPrm:\t0000000000000000") &&
                    strstr(now, "CapBnd:\t0000000000000000") && strstr(now, "NoNewPrivs:\t1") &&
                    strstr(now, "Groups:\t \n");
        _exit(fine && access(TOY_FOLDER "/locked/file", F_OK) < 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void privileges_dropped(void **state)
{
    toy_shell("mkdir -m 700 " TOY_FOLDER "/locked && touch " TOY_FOLDER "/locked/file && "
              "chown 12:12 " TOY_FOLDER "/locked");
    dropped_look("nobody", "Uid:\t65534\t65534\t65534\t65534");
    dropped_look("no-such-user", "Uid:\t0\t0\t0\t0");
    dropped_look(NULL, "Uid:\t0\t0\t0\t0");
}

/* ---- packets with handle addresses from outside ---- */

static void frame_send(const char *interface, const char *source, const char *destination)
{
    uint8_t frame[14 + 28] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x08, 0x00};
    struct iphdr ip = {.version = 4, .ihl = 5, .tot_len = htons(28), .ttl = 64, .protocol = 17};
    ip.saddr = inet_addr(source);
    ip.daddr = inet_addr(destination);
    uint32_t sum = 0;
    for (size_t i = 0; i < sizeof ip; i += 2) {
        uint16_t v;
        memcpy(&v, (uint8_t *)&ip + i, 2);
        sum += v;
    }
    sum = (sum & 0xffff) + (sum >> 16);
    ip.check = (uint16_t) ~(sum + (sum >> 16));
    memcpy(frame + 14, &ip, sizeof ip);
    struct sockaddr_ll to = {.sll_family = AF_PACKET,
                             .sll_ifindex = (int)if_nametoindex(interface)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    assert_true(fd >= 0);
    assert_int_equal(sendto(fd, frame, sizeof frame, 0, (struct sockaddr *)&to, sizeof to),
                     sizeof frame);
    close(fd);
}

/* Until the counter says so, for at most five seconds. */
static bool counted(const char *rule)
{
    for (int i = 0; i < 500; i++) {
        if (toy_shell_has("nft list table inet ocala_ocala0", rule))
            return true;
        poll(NULL, 0, 10);
    }
    return false;
}

static void pool_addresses_from_outside(void **state)
{
    struct toy t;
    start(&t);
    ask_works(&t, "tun ocala0");
    toy_shell("ip link add u0 type veth peer name u1; ip addr add 10.9.0.1/24 dev u0;"
              "ip link set u0 up; ip link set u1 up");
    frame_send("u1", "198.18.0.77", "10.9.0.1");
    assert_true(counted("ip saddr " POOL4 " counter packets 1 bytes 28 drop"));
    frame_send("u1", "10.9.0.2", "198.18.0.1");
    assert_true(counted("ip daddr " POOL4 " counter packets 1 bytes 28 drop"));
    /* A program that insists on another interface is stopped on the way out. */
    toy_shell("ping -I u0 -c 1 -W 1 198.18.0.5 >/dev/null 2>&1");
    const char *table = toy_shell("nft list chain inet ocala_ocala0 leaving");
    assert_null(strstr(table, "ip daddr " POOL4 " counter packets 0"));
    toy_shell("ip link del u0");
    toy_stop(&t);
    nothing_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stands_and_goes),
        cmocka_unit_test(sigterm_is_passed_on),
        cmocka_unit_test(daemon_killed),
        cmocka_unit_test(helper_killed),
        cmocka_unit_test(name_taken),
        cmocka_unit_test(pool_clash),
        cmocka_unit_test(disk_full),
        cmocka_unit_test(sockets),
        cmocka_unit_test(files),
        cmocka_unit_test(two_at_once),
        cmocka_unit_test(lacking),
        cmocka_unit_test(privileges_dropped),
        cmocka_unit_test(pool_addresses_from_outside),
    };
    if (!toy_world_make() || system("command -v nft ip ping >/dev/null 2>&1") != 0)
        return SKIPPED;
    return cmocka_run_group_tests_name("netns_helper", tests, NULL, NULL);
}
