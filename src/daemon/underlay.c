/* Two things can make every link suspect at once: the machine slept, or its addresses or routes
 * changed.
 *
 * Sleep: CLOCK_BOOTTIME goes on and CLOCK_MONOTONIC does not, so their difference grows.  It is
 * looked at with every wake-up; a timer on CLOCK_REALTIME with CANCEL_ON_SET, which the kernel
 * cancels when it resumes, gives a wake-up even if nothing else is due.
 *
 * Changes: rtnetlink notifications, debounced because they come in flocks.  Router advertisements
 * refresh addresses every few minutes without changing anything, so for addresses a fingerprint of
 * what the machine has decides. */
#include "daemon/daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "daemon/log.h"
#include "io/clock.h"

#define DEBOUNCE_MS 300
#define SLEPT       (2 * SECOND)

struct daemon_underlay {
    int netlink, clock_set;
    uv_poll_t netlink_poll, clock_poll;
    uv_timer_t debounce;
    bool route_changed;
    uint64_t addresses; /* fingerprint */
    instant asleep;     /* time spent in suspend since the machine booted */
};

static instant time_asleep(void)
{
    struct timespec boot, awake;
    clock_gettime(CLOCK_MONOTONIC, &awake);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (boot.tv_sec - awake.tv_sec) * SECOND + (boot.tv_nsec - awake.tv_nsec);
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ b[i]) * UINT64_C(0x100000001B3); /* FNV-1a: only equality matters */
    return hash;
}

/* All addresses but those of loopback and of our TUN, in any order. */
static uint64_t addresses_fingerprint(const struct daemon *d)
{
    struct ifaddrs *all;
    uint64_t sum = 0;
    if (getifaddrs(&all))
        return 0;
    for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
        if (!a->ifa_addr || a->ifa_flags & IFF_LOOPBACK || !(a->ifa_flags & IFF_UP) ||
            !strcmp(a->ifa_name, d->devices.tun_name))
            continue;
        uint64_t hash = mix(UINT64_C(0xCBF29CE484222325), a->ifa_name, strlen(a->ifa_name));
        if (a->ifa_addr->sa_family == AF_INET)
            sum += mix(hash, &((struct sockaddr_in *)a->ifa_addr)->sin_addr, 4);
        else if (a->ifa_addr->sa_family == AF_INET6)
            sum += mix(hash, &((struct sockaddr_in6 *)a->ifa_addr)->sin6_addr, 16);
    }
    freeifaddrs(all);
    return sum;
}

static void on_debounced(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    struct daemon_underlay *u = d->underlay;
    uint64_t addresses = addresses_fingerprint(d);
    bool changed = u->route_changed || addresses != u->addresses;
    u->addresses = addresses;
    u->route_changed = false;
    if (!changed)
        return;
    daemon_log(LOG_INFO, "addresses or routes of the underlay changed: checking all links");
    daemon_pools_check(d);
    host_underlay_changed(d->host, clock_now());
    daemon_pump(d);
}

/* Does this route matter?  Not ours, not the kernel's table of local addresses. */
static bool route_counts(const struct daemon *d, const struct nlmsghdr *h)
{
    const struct rtmsg *r = NLMSG_DATA(h);
    int left = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof *r);
    if (left < 0 || r->rtm_flags & RTM_F_CLONED || r->rtm_table == RT_TABLE_LOCAL ||
        r->rtm_type == RTN_UNREACHABLE)
        return false;
    for (const struct rtattr *a = RTM_RTA(r); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        uint32_t index;
        if (a->rta_type != RTA_OIF || RTA_PAYLOAD(a) < sizeof index)
            continue;
        memcpy(&index, RTA_DATA(a), sizeof index);
        if (index == d->devices.tun_index)
            return false;
    }
    return true;
}

static void on_netlink(uv_poll_t *poll, int status, int events)
{
    struct daemon *d = poll->data;
    struct daemon_underlay *u = d->underlay;
    union {
        struct nlmsghdr align;
        char bytes[16384];
    } buffer;
    bool something = false;
    for (;;) {
        ssize_t n = recv(u->netlink, buffer.bytes, sizeof buffer.bytes, MSG_DONTWAIT);
        if (n < 0 && errno == ENOBUFS) {
            something = u->route_changed = true; /* some were lost: assume the worst */
            continue;
        }
        if (n <= 0)
            break;
        unsigned left = (unsigned)n;
        for (struct nlmsghdr *h = &buffer.align; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            bool route = h->nlmsg_type == RTM_NEWROUTE || h->nlmsg_type == RTM_DELROUTE;
            if (route && !route_counts(d, h))
                continue;
            u->route_changed = u->route_changed || route;
            something = true;
        }
    }
    if (something && !uv_is_active((uv_handle_t *)&u->debounce))
        uv_timer_start(&u->debounce, on_debounced, DEBOUNCE_MS, 0);
}

static int open_netlink(void)
{
    struct sockaddr_nl me = {.nl_family = AF_NETLINK,
                             .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                                          RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&me, sizeof me)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void arm_clock(struct daemon_underlay *u)
{
    struct itimerspec far = {.it_value.tv_sec = (time_t)1 << 40};
    timerfd_settime(u->clock_set, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
}

static void on_clock_set(uv_poll_t *poll, int status, int events)
{
    struct daemon *d = poll->data;
    uint64_t ticks;
    if (read(d->underlay->clock_set, &ticks, sizeof ticks) < 0 && errno != ECANCELED)
        return;
    arm_clock(d->underlay);
    host_wall(d->host, clock_wall());
    daemon_pump(d); /* looks whether it was a suspend */
}

void daemon_underlay_check(struct daemon *d, instant now)
{
    struct daemon_underlay *u = d->underlay;
    if (!u)
        return;
    instant asleep = time_asleep(), before = u->asleep;
    u->asleep = asleep;
    if (asleep - before < SLEPT)
        return;
    daemon_log(LOG_NOTICE, "the machine was suspended for %lld s: checking all links",
               (long long)((asleep - before) / SECOND));
    host_wall(d->host, clock_wall());
    host_underlay_changed(d->host, now);
}

void daemon_underlay_start(struct daemon *d)
{
    struct daemon_underlay *u = d->underlay = base_calloc(1, sizeof *u);
    u->asleep = time_asleep();
    u->addresses = addresses_fingerprint(d);
    uv_timer_init(&d->loop, &u->debounce);
    u->debounce.data = d;
    u->netlink = open_netlink();
    if (u->netlink >= 0)
        daemon_watch(d, &u->netlink_poll, u->netlink, on_netlink, d);
    else
        daemon_log(LOG_WARNING,
                   "changes of addresses will be noticed late: no route notifications");
    u->clock_set = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (u->clock_set >= 0) {
        arm_clock(u);
        daemon_watch(d, &u->clock_poll, u->clock_set, on_clock_set, d);
    }
}

void daemon_underlay_stop(struct daemon *d)
{
    struct daemon_underlay *u = d->underlay;
    if (!u)
        return;
    uv_close((uv_handle_t *)&u->debounce, NULL);
    if (u->netlink >= 0)
        uv_close((uv_handle_t *)&u->netlink_poll, NULL);
    if (u->clock_set >= 0)
        uv_close((uv_handle_t *)&u->clock_poll, NULL);
    if (u->netlink >= 0)
        close(u->netlink);
    if (u->clock_set >= 0)
        close(u->clock_set);
}
