/* Inside the new namespaces the child has every capability over them, and uses it to make lo, the
 * TUN and the DNS sockets. All of it is given up before the program starts. */
#include "helper/run_inside.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/linux/tun.h"
#include "linux/rtnl.h"
#include "linux/tun_net.h"

#define DNS_PORT         53
#define DNS_BACKLOG      32
#define EXIT_NOT_RUNABLE 126
#define EXIT_NOT_FOUND   127

static int fail(struct run_report *report, int error, const char *what)
{
    report->error = error;
    if (report->text[0] == '\0')
        snprintf(report->text, sizeof report->text, "cannot %s: %s", what, strerror(-error));
    return error;
}

/* ping without privilege uses ICMP sockets, which a new network namespace allows to nobody. */
static void ping_allow(void)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%u %u", (unsigned)getegid(), (unsigned)getegid());
    int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, text, (size_t)length);
    close(fd);
}

static int network_make(const struct run_request *q, int *ret_tun, struct run_report *report)
{
    struct linux_rtnl *n;
    struct tun_device device;
    bool v6;
    int r = linux_rtnl_new(&n);
    if (r < 0)
        return fail(report, r, "open rtnetlink");
    r = linux_link_set(n, &(struct linux_link){.index = if_nametoindex("lo"), .up = true});
    if (r < 0)
        linux_rtnl_error(n, r, "raise", "lo", report->text, sizeof report->text);
    if (r == 0)
        r = tun_open(q->tun_name ? q->tun_name : "ocala0", 1, &device, report->text,
                     sizeof report->text);
    if (r == 0) {
        struct linux_tun_net net = {.name = device.name,
                                    .index = if_nametoindex(device.name),
                                    .mtu = q->mtu,
                                    .address4 = q->address4,
                                    .pool4 = q->pool4,
                                    .address6 = q->address6,
                                    .pool6 = q->pool6};
        r = linux_tun_net_raise(n, &net, &v6, report->text, sizeof report->text);
        *ret_tun = device.fd[0];
    }
    linux_rtnl_free(n);
    if (r < 0)
        return fail(report, r, "make the network");
    ping_allow();
    return 0;
}

static int dns_socket(int family, int type)
{
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(DNS_PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(DNS_PORT), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int r = family == AF_INET ? bind(fd, (const struct sockaddr *)&v4, sizeof v4)
                              : bind(fd, (const struct sockaddr *)&v6, sizeof v6);
    if (r == 0 && type == SOCK_STREAM)
        r = listen(fd, DNS_BACKLOG);
    if (r == 0)
        return fd;
    r = -errno;
    close(fd);
    return r;
}

/* The descriptors that go along follow the TUN's in `fds`; returns how many there are in all. */
static int dns_open(int fds[RUN_FDS], struct run_report *report)
{
    static const struct {
        int family, type;
    } kind[RUN_DNS_COUNT] = {
        [RUN_DNS_UDP4] = {AF_INET, SOCK_DGRAM},
        [RUN_DNS_TCP4] = {AF_INET, SOCK_STREAM},
        [RUN_DNS_UDP6] = {AF_INET6, SOCK_DGRAM},
        [RUN_DNS_TCP6] = {AF_INET6, SOCK_STREAM},
    };
    int count = 1;
    for (int i = 0; i < RUN_DNS_COUNT; i++) {
        int fd = dns_socket(kind[i].family, kind[i].type);
        if (fd < 0 && kind[i].family == AF_INET)
            return fail(report, fd, "open the DNS socket 127.0.0.1:53 inside");
        report->dns[i] = fd >= 0; /* without IPv6 there is no ::1 */
        if (fd >= 0)
            fds[count++] = fd;
    }
    return count;
}

static int report_send(int fd, const struct run_report *report, const int *fds, int count)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(RUN_FDS * sizeof(int))];
    } control = {0};
    struct iovec piece = {.iov_base = (void *)report, .iov_len = sizeof *report};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)count * sizeof(int));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int everything_make(const struct run_request *q, bool in_user, int fds[RUN_FDS],
                           struct run_report *report)
{
    int r = run_namespaces_make(in_user, report);
    if (r == 0)
        r = run_files_cover(report);
    if (r == 0)
        r = network_make(q, &fds[0], report);
    return r < 0 ? r : dns_open(fds, report);
}

_Noreturn static void program_start(char *const *argv)
{
    /* The daemon ignores this one for itself; programs expect it to be as it always is. */
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    int error = errno;
    fprintf(stderr, "ocala run: cannot start %s: %s\n", argv[0], strerror(error));
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNABLE);
}

/* Root makes the namespaces as root and stays root: as the only user of a user namespace it could
 * do less than before. */
static bool is_root(void)
{
    return geteuid() == 0 && capng_get_caps_process() == 0 &&
           capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_ADMIN) &&
           capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN);
}

void run_inside(const struct run_request *q, int fd)
{
    struct run_report report = {0};
    int fds[RUN_FDS];
    bool in_user = !is_root();
    int count = everything_make(q, in_user, fds, &report);
    if (report_send(fd, &report, fds, count) < 0 || count < 0)
        _exit(EXIT_FAILURE);
    char go;
    ssize_t n;
    do {
        n = read(fd, &go, 1);
    } while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(EXIT_FAILURE);
    /* The bounding set stays: a program that carries capabilities of its own (ping) could not be
     * started without, and what it gets is worth something inside the sandbox only. */
    if (in_user) {
        capng_clear(CAPNG_SELECT_CAPS);
        if (capng_apply(CAPNG_SELECT_CAPS) < 0) {
            fprintf(stderr, "ocala run: cannot give up capabilities: %s\n", strerror(errno));
            _exit(EXIT_NOT_RUNABLE);
        }
    }
    program_start(q->argv);
}
