/* `ocala run` without its daemon: the child's namespaces, what it passes back, the program's view,
 * signals and exit status. Run as an ordinary user (uid 65534) below a root test process, in
 * namespaces of the test's own.  Skipped (77) without root. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/linux/tun.h"
#include "helper/run.h"
#include "toy.h"

#define SKIPPED 77
#define NOBODY  65534
#define LIMIT   5000 /* ms */

static char err[600];

static struct run_request request_for(char *const *argv)
{
    struct run_request q = {.mtu = 1400, .argv = argv};
    assert_true(ip_address_parse("198.18.0.1", &q.address4));
    assert_true(ip_prefix_parse("198.18.0.0/15", &q.pool4));
    assert_true(ip_address_parse("fd12:3456:789a::1", &q.address6));
    assert_true(ip_prefix_parse("fd12:3456:789a::/48", &q.pool6));
    return q;
}

static bool readable(int fd)
{
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    return poll(&watch, 1, LIMIT) == 1;
}

static void start(struct run_child *child, char *const *argv)
{
    struct run_request q = request_for(argv);
    int r = run_child_start(&q, child, err, sizeof err);
    if (r < 0)
        print_error("run_child_start: %s\n", err);
    assert_int_equal(r, 0);
}

static int ended(struct run_child *child)
{
    int status = -1;
    siginfo_t info;
    /* Waits without reaping, so that run_child_ended() is what reaps. */
    while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    assert_true(run_child_ended(child, &status));
    assert_false(run_child_ended(child, &status));
    run_child_done(child);
    return status;
}

/* Runs a shell line in the sandbox; its output is in `out`. */
static int shell(const char *line, char *out, size_t size)
{
    int to[2];
    struct run_child child;
    char script[1200];
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    snprintf(script, sizeof script, "exec >&%d 2>&1; %s", to[1], line);
    fcntl(to[1], F_SETFD, 0);
    char *argv[] = {"sh", "-c", script, NULL};
    start(&child, argv);
    close(to[1]);
    assert_int_equal(run_child_go(&child), 0);
    size_t used = 0;
    ssize_t n;
    while (used < size - 1 && (n = read(to[0], out + used, size - 1 - used)) > 0)
        used += (size_t)n;
    out[used] = '\0';
    close(to[0]);
    return ended(&child);
}

static void view(void **state)
{
    char out[8192];
    assert_int_equal(
        shell("id -u; id -g; cat /etc/resolv.conf; grep ^hosts: /etc/nsswitch.conf;"
              "ip -o addr; ip route; ip -6 route; grep Cap /proc/self/status; ls /run/nscd "
              "/run/systemd/resolve 2>/dev/null; exit 7",
              out, sizeof out),
        7);
    static const char *const expected[] = {
        "65534\n65534\n",
        "nameserver 127.0.0.1\n",
        "hosts: files dns\n",
        "198.18.0.1/32",
        "fd12:3456:789a::1/128",
        "127.0.0.1/8",
        "198.18.0.0/15 dev ocala0",
        "fd12:3456:789a::/48 dev ocala0",
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapAmb:\t0000000000000000",
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        if (!strstr(out, expected[i]))
            print_error("not found: %s\nin: %s\n", expected[i], out);
        assert_non_null(strstr(out, expected[i]));
    }
    assert_null(strstr(out, "io.systemd.Resolve"));
    assert_null(strstr(out, "default"));
    assert_null(strstr(out, "eth0"));
}

static void system_is_untouched(void **state)
{
    char out[4096];
    char before[16384];
    snprintf(before, sizeof before, "%s",
             toy_shell("cat /etc/resolv.conf /etc/nsswitch.conf /proc/self/mounts; ip -o addr"));
    assert_int_equal(shell("true", out, sizeof out), 0);
    assert_string_equal(out, "");
    assert_string_equal(
        before, toy_shell("cat /etc/resolv.conf /etc/nsswitch.conf /proc/self/mounts; ip -o addr"));
}

static void packets_and_questions(void **state)
{
    struct run_child child;
    char *argv[] = {"bash", "-c",
                    "echo to-a-handle >/dev/udp/198.18.0.9/7; echo question >/dev/udp/127.0.0.1/53;"
                    "exec 3<>/dev/tcp/127.0.0.1/53; read answer <&3; test \"$answer\" = fine",
                    NULL};
    start(&child, argv);
    assert_true(child.dns_fd[RUN_DNS_UDP6] >= 0 && child.dns_fd[RUN_DNS_TCP6] >= 0);
    assert_int_equal(run_child_go(&child), 0);
    assert_int_equal(child.go_fd, -1);

    struct packet_pool *pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    struct tun_queue q;
    tun_queue_init(&q, child.tun_fd);
    do {
        assert_true(readable(child.tun_fd));
        assert_int_equal(capture_read(&q.capture, p), 0);
    } while (p->data[0] >> 4 != 4 || p->data[9] != 17);
    static const uint8_t addresses[] = {198, 18, 0, 1, 198, 18, 0, 9};
    assert_memory_equal(p->data + 12, addresses, sizeof addresses);
    assert_int_equal(p->size, 20 + 8 + 12);
    assert_true(p->offload.needs_checksum);
    assert_int_equal(p->offload.checksum_start, 20);
    assert_int_equal(p->offload.checksum_offset, 6);
    assert_int_equal(capture_read(&q.capture, p), -EAGAIN);
    packet_give_back(p);
    packet_pool_free(pool);

    char question[64];
    assert_true(readable(child.dns_fd[RUN_DNS_UDP4]));
    assert_int_equal(recv(child.dns_fd[RUN_DNS_UDP4], question, sizeof question, 0), 9);
    assert_true(readable(child.dns_fd[RUN_DNS_TCP4]));
    int fd = accept(child.dns_fd[RUN_DNS_TCP4], NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "fine\n", 5), 5);
    close(fd);
    assert_int_equal(ended(&child), 0);
}

static void statuses(void **state)
{
    char out[256];
    char *absent[] = {"/no/such/program", NULL}, *folder[] = {"/etc", NULL};
    struct run_child child;
    assert_int_equal(shell("kill -9 $$", out, sizeof out), 128 + SIGKILL);
    start(&child, absent);
    run_child_go(&child);
    assert_int_equal(ended(&child), 127);
    start(&child, folder);
    run_child_go(&child);
    assert_int_equal(ended(&child), 126);
    /* Closed instead of go: the program never starts. */
    char *never[] = {"touch", "/tmp/never", NULL};
    start(&child, never);
    close(child.go_fd);
    child.go_fd = -1;
    assert_int_equal(ended(&child), 1);
}

static void signals_are_passed_on(void **state)
{
    struct run_child child;
    char *argv[] = {
        "bash", "-c",
        "trap 'exit 41' TERM; echo up >/dev/udp/127.0.0.1/53; while :; do read -t 1 <> <(:); done",
        NULL};
    char up[8];
    start(&child, argv);
    run_child_go(&child);
    assert_true(readable(child.dns_fd[RUN_DNS_UDP4]));
    assert_int_equal(recv(child.dns_fd[RUN_DNS_UDP4], up, sizeof up, 0), 3);
    run_child_signal(&child, SIGTERM);
    assert_int_equal(ended(&child), 41);
}

static void ping_works(void **state)
{
    struct run_child child;
    char *argv[] = {"sh", "-c", "ping -c 1 -W 5 198.18.0.9 >/dev/null", NULL};
    start(&child, argv);
    run_child_go(&child);
    struct packet_pool *pool = packet_pool_new(1);
    struct packet *p = packet_take(pool);
    do {
        assert_true(readable(child.tun_fd));
        assert_int_equal(tun_read(child.tun_fd, p), 0);
    } while (p->data[0] >> 4 != 4 || p->data[9] != 1);
    /* The echo turned round: addresses swapped (their sum stays), request to reply. */
    uint8_t source[4];
    memcpy(source, p->data + 12, 4);
    memcpy(p->data + 12, p->data + 16, 4);
    memcpy(p->data + 16, source, 4);
    p->data[20] = 0;
    uint32_t sum = (uint32_t)(p->data[22] << 8 | p->data[23]) + 0x0800;
    sum = (sum & 0xffff) + (sum >> 16);
    p->data[22] = (uint8_t)(sum >> 8);
    p->data[23] = (uint8_t)sum;
    assert_int_equal(tun_write(child.tun_fd, p), 0);
    assert_int_equal(ended(&child), 0);
    packet_give_back(p);
    packet_pool_free(pool);
}

/* The system's limit, met one level below, where it can be set without touching the machine's. */
static void forbidden(void **state)
{
    char *argv[] = {"true", NULL};
    struct run_child child;
    struct run_request q = request_for(argv);
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWUSER) < 0)
            _exit(99);
        FILE *f = fopen("/proc/sys/user/max_user_namespaces", "w");
        if (!f || fputs("0", f) < 0 || fclose(f) != 0)
            _exit(98);
        int r = run_child_start(&q, &child, err, sizeof err);
        _exit(r < 0 && strstr(err, "max_user_namespaces") ? 0 : 97);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* As on ordinary systems: open to all. */
static bool tun_for_all(void)
{
    return mknod(TOY_FOLDER "/tun", S_IFCHR | 0666, makedev(10, 200)) == 0 &&
           chmod(TOY_FOLDER "/tun", 0666) == 0 &&
           mount(TOY_FOLDER "/tun", "/dev/net/tun", NULL, MS_BIND, NULL) == 0;
}

static int group(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(view),
        cmocka_unit_test(system_is_untouched),
        cmocka_unit_test(packets_and_questions),
        cmocka_unit_test(statuses),
        cmocka_unit_test(signals_are_passed_on),
        cmocka_unit_test(ping_works),
        cmocka_unit_test(forbidden),
    };
    return cmocka_run_group_tests_name("netns_sandbox", tests, NULL, NULL);
}

int main(void)
{
    if (!toy_world_make() || !tun_for_all())
        return SKIPPED;
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return SKIPPED;
    return group();
}
