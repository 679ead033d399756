#include "io/udp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "io/udp_internal.h"
#include "record/record.h"

#define RECORD_LABEL 4 /* where the label is in a record */

/* How it works.  Everything that belongs to one datagram beside its bytes travels in control
 * messages: on receive where it was sent to, its TOS and whether it is a run, on send where it
 * shall come from and its TOS.  A dual-stack socket speaks IPv4 through the IPv4 forms of all of
 * these (Linux takes an AF_INET destination and IPPROTO_IP control messages on an AF_INET6 socket),
 * so an IPv4 endpoint is written in the same way for both kinds of socket; only what is received
 * has to be unmapped. */

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool link_local(const uint8_t bytes[16])
{
    return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

static void ip6_read(const struct in6_addr *from, uint32_t interface, struct endpoint *ret)
{
    const uint8_t *bytes = from->s6_addr;
    if (memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
        ret->ip.family = 4;
        memcpy(ret->ip.bytes, bytes + 12, 4);
        return;
    }
    ret->ip.family = 6;
    memcpy(ret->ip.bytes, bytes, 16);
    ret->scope = link_local(bytes) ? interface : 0;
}

static bool address_read(const union address *a, struct endpoint *ret)
{
    memset(ret, 0, sizeof *ret);
    if (a->any.sa_family == AF_INET) {
        ret->ip.family = 4;
        memcpy(ret->ip.bytes, &a->v4.sin_addr, 4);
        ret->port = ntohs(a->v4.sin_port);
        return true;
    }
    if (a->any.sa_family == AF_INET6) {
        ip6_read(&a->v6.sin6_addr, a->v6.sin6_scope_id, ret);
        ret->port = ntohs(a->v6.sin6_port);
        return true;
    }
    return false;
}

static int option_set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0 ? 0 : -errno;
}

static int family_options(int fd, int family)
{
    int error = option_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    if (!error)
        error = option_set(fd, IPPROTO_IP, IP_RECVTOS, 1);
    if (!error)
        error = option_set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    if (error || family == AF_INET)
        return error;
    error = option_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    if (!error)
        error = option_set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    if (!error)
        error = option_set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    return error;
}

/* Kernels before this one have UDP_GRO too, but hand over what they should not have merged. */
#define RUNS_MAJOR 5
#define RUNS_MINOR 12

static bool kernel_at_least(int major, int minor)
{
    struct utsname name;
    int have_major, have_minor;
    if (uname(&name) || sscanf(name.release, "%d.%d", &have_major, &have_minor) != 2)
        return false;
    return have_major > major || (have_major == major && have_minor >= minor);
}

bool udp_can_segment(int fd)
{
    int value;
    socklen_t size = sizeof value;
    return getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &size) == 0;
}

int udp_adopt(int fd)
{
    int family = 0, type = 0;
    socklen_t size = sizeof family;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size))
        return -errno;
    size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size))
        return -errno;
    if (type != SOCK_DGRAM || (family != AF_INET && family != AF_INET6))
        return -EPROTOTYPE;
    int error = family_options(fd, family);
    if (error)
        return error;
    if (kernel_at_least(RUNS_MAJOR, RUNS_MINOR))
        option_set(fd, IPPROTO_UDP, UDP_GRO, 1);
    /* Without the privilege the kernel gives what its limit allows. */
    if (option_set(fd, SOL_SOCKET, SO_RCVBUFFORCE, UDP_BUFFER))
        option_set(fd, SOL_SOCKET, SO_RCVBUF, UDP_BUFFER);
    if (option_set(fd, SOL_SOCKET, SO_SNDBUFFORCE, UDP_BUFFER))
        option_set(fd, SOL_SOCKET, SO_SNDBUF, UDP_BUFFER);
    return 0;
}

static int open_bound(const struct endpoint *local, bool reuse_port)
{
    union address address;
    socklen_t size = udp_address_write(local, &address);
    int fd = socket(address.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = 0;
    if (address.any.sa_family == AF_INET6)
        error = option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY,
                           !IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr));
    if (!error && reuse_port)
        error = option_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (!error)
        error = udp_adopt(fd);
    if (!error && bind(fd, &address.any, size))
        error = -errno;
    if (error) {
        close(fd);
        return error;
    }
    return fd;
}

int udp_open(const struct endpoint *local, bool reuse_port)
{
    static const uint8_t unspecified[16];
    if (local->ip.family != 4 && local->ip.family != 6)
        return -EINVAL;
    int fd = open_bound(local, reuse_port);
    bool any6 = local->ip.family == 6 && memcmp(local->ip.bytes, unspecified, 16) == 0;
    if (any6 && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) {
        struct endpoint any4 = {.ip.family = 4, .port = local->port};
        fd = open_bound(&any4, reuse_port);
    }
    return fd;
}

void udp_steer(int fd, unsigned sockets)
{
    /* Sees the datagram without its UDP header; what reads behind its end gives 0. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WIRE_RECORD, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, RECORD_LABEL),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, LABEL_LANES - 1),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, sockets),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
}

bool udp_local(int fd, struct endpoint *ret)
{
    union address address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    return getsockname(fd, &address.any, &size) == 0 && address_read(&address, ret);
}

/* ---- receiving ---- */

static void control_read(struct msghdr *m, struct packet *p)
{
    struct arrival *a = &p->arrival;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        const void *data = CMSG_DATA(c);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, data, sizeof info);
            a->local.ip.family = 4;
            memcpy(a->local.ip.bytes, &info.ipi_addr, 4);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            uint8_t tos;
            memcpy(&tos, data, sizeof tos);
            a->ecn = tos & 3;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, data, sizeof info);
            ip6_read(&info.ipi6_addr, info.ipi6_ifindex, &a->local);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            int class;
            memcpy(&class, data, sizeof class);
            a->ecn = class & 3;
        } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int run;
            memcpy(&run, data, sizeof run);
            if (run > 0 && (size_t)run < p->size)
                p->run = (uint16_t)run;
        }
    }
}

static void arrival_read(struct msghdr *m, const union address *from, uint16_t socket,
                         struct packet *p)
{
    memset(&p->arrival, 0, sizeof p->arrival);
    p->arrival.socket = socket;
    p->run = 0;
    address_read(from, &p->arrival.remote);
    control_read(m, p);
}

static int receive_messages(int fd, struct mmsghdr *messages, unsigned count)
{
    int got;
    do
        got = recvmmsg(fd, messages, count, 0, NULL);
    while (got < 0 && errno == EINTR);
    return got;
}

unsigned udp_receive(int fd, uint16_t socket, struct packet_pool *pool, struct packet **batch,
                     unsigned max, struct drop_counters *drops)
{
    struct mmsghdr messages[UDP_BATCH];
    struct iovec parts[UDP_BATCH];
    union address from[UDP_BATCH];
    union control control[UDP_BATCH];
    unsigned wanted = 0;
    for (; wanted < max && wanted < UDP_BATCH; wanted++) {
        struct packet *p = packet_take(pool);
        if (!p)
            break;
        batch[wanted] = p;
        parts[wanted] = (struct iovec){.iov_base = p->data, .iov_len = PACKET_SIZE};
        messages[wanted] = (struct mmsghdr){.msg_hdr = {.msg_name = &from[wanted],
                                                        .msg_namelen = sizeof from[wanted],
                                                        .msg_iov = &parts[wanted],
                                                        .msg_iovlen = 1,
                                                        .msg_control = &control[wanted],
                                                        .msg_controllen = sizeof control[wanted]}};
    }
    if (!wanted) {
        uint8_t rest;
        if (max && recv(fd, &rest, sizeof rest, 0) >= 0)
            drop_count(drops, DROP_NO_BUFFER);
        return 0;
    }
    int got = receive_messages(fd, messages, wanted);
    unsigned kept = 0;
    for (unsigned i = 0; i < wanted; i++) {
        struct packet *p = batch[i];
        struct msghdr *m = &messages[i].msg_hdr;
        if ((int)i >= got) {
            packet_give_back(p);
        } else if (m->msg_flags & MSG_TRUNC) {
            drop_count(drops, DROP_OVERSIZED);
            packet_give_back(p);
        } else {
            p->size = messages[i].msg_len;
            arrival_read(m, &from[i], socket, p);
            batch[kept++] = p;
        }
    }
    return kept;
}

bool udp_backlog(int fd)
{
    uint32_t memory[SK_MEMINFO_VARS];
    socklen_t size = sizeof memory;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) ||
        size <= SK_MEMINFO_RCVBUF * sizeof *memory)
        return false;
    return memory[SK_MEMINFO_RMEM_ALLOC] > memory[SK_MEMINFO_RCVBUF] / 4 * 3;
}
