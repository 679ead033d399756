/* ocala-impair IF1 IF2 [options]: a bad cable between two interfaces, for kernels without netem.
 *
 * Frames are read from each interface by a packet socket and written to the other one when
 * impair_way.c says that they are due.  Virtio headers go with the frames, so that a checksum that
 * the sender left open stays open; segmentation offloads are turned off on both interfaces (turn
 * them off at the far ends too: a frame that is larger than the MTU meets its fate as one).  ARP
 * and neighbour discovery are only delayed: they belong to the cable, and their timing would make
 * runs with the same seed differ.
 *
 * Commands are read from standard input, one per line, and each is answered by a line: the words of
 * the options without dashes, "cut", "heal", "stats"; "forth" or "back" in front names one
 * direction.  SIGUSR1 prints the statistics, SIGTERM and SIGINT print them and end the program. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/impair.h"

#define FRAME_SIZE (65536 + 64)
#define BATCH      64 /* frames read from one side before the other gets its turn */

struct side {
    const char *name;
    int fd;
    struct impair_way *way; /* what arrives on this side travels on it */
};

struct bridge {
    struct side side[2];
    int epoll, timer, signals;
    bool ended;
    char line[256]; /* of standard input, so far */
    size_t line_used;
    uint64_t send_failed;
};

static instant clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void die(const char *what, const char *on)
{
    fprintf(stderr, "ocala-impair: %s %s: %s\n", what, on, strerror(errno));
    exit(1);
}

/* Frames larger than the MTU would meet their fate as one. */
static void turn_off_offloads(int fd, const char *name)
{
    static const unsigned commands[] = {ETHTOOL_SGRO, ETHTOOL_SGSO, ETHTOOL_STSO, ETHTOOL_STXCSUM};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct ethtool_value value = {.cmd = commands[i], .data = 0};
        struct ifreq r = {0};
        snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
        r.ifr_data = (void *)&value;
        ioctl(fd, SIOCETHTOOL, &r); /* what an interface cannot change, it does not do */
    }
}

static int open_side(const char *name)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("cannot open a packet socket for", name);
    int on = 1, room = 8 << 20;
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) < 0)
        die("cannot ask for virtio headers on", name);
    if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0)
        die("cannot ignore outgoing frames on", name);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    address.sll_ifindex = (int)if_nametoindex(name);
    if (!address.sll_ifindex)
        die("cannot find interface", name);
    struct packet_mreq all = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) < 0)
        die("cannot listen to everything on", name);
    turn_off_offloads(fd, name);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("cannot bind to", name);
    return fd;
}

/* ARP, IPv6 neighbour discovery, and IPv6 with a hop-by-hop header (group membership). */
static bool belongs_to_cable(const uint8_t *frame, size_t size)
{
    if (size < 14)
        return true;
    unsigned type = (unsigned)frame[12] << 8 | frame[13];
    if (type == ETHERTYPE_ARP)
        return true;
    if (type != ETHERTYPE_IPV6 || size < 14 + 40 + 1)
        return false;
    return frame[20] == 0 || (frame[20] == 58 && frame[54] >= 133 && frame[54] <= 137);
}

static void read_frames(struct bridge *b, struct side *from)
{
    static uint8_t frame[FRAME_SIZE];
    for (int i = 0; i < BATCH; i++) {
        ssize_t size = recv(from->fd, frame, sizeof frame, 0);
        if (size < 0 && errno != EAGAIN && errno != ENETDOWN)
            die("cannot read from", from->name);
        if (size < (ssize_t)sizeof(struct virtio_net_hdr))
            return;
        const uint8_t *ethernet = frame + sizeof(struct virtio_net_hdr);
        bool plain = belongs_to_cable(ethernet, (size_t)size - sizeof(struct virtio_net_hdr));
        impair_way_input(from->way, clock_now(), frame, (size_t)size, plain);
    }
}

static void write_frames(struct bridge *b)
{
    for (int i = 0; i < 2; i++) {
        const void *frame;
        size_t size;
        while ((frame = impair_way_output(b->side[i].way, clock_now(), &size))) {
            if (send(b->side[!i].fd, frame, size, 0) < 0)
                b->send_failed++;
        }
    }
    instant due =
        instant_min(impair_way_deadline(b->side[0].way), impair_way_deadline(b->side[1].way));
    struct itimerspec at = {0};
    if (due != INSTANT_NEVER) {
        at.it_value.tv_sec = due / SECOND;
        at.it_value.tv_nsec = due % SECOND;
    }
    timerfd_settime(b->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void print_statistics(const struct bridge *b)
{
    static const char *const ways[] = {"forth", "back"};
    printf("{");
    for (int i = 0; i < 2; i++) {
        const struct impair_statistics *s = impair_way_statistics(b->side[i].way);
        printf("\"%s\":{\"received\":%llu,\"sent\":%llu,\"lost\":%llu,\"duplicated\":%llu,"
               "\"reordered\":%llu,"
               "\"queue_full\":%llu,\"cut\":%llu,\"shortest_ms\":%.3f,\"longest_ms\":%.3f},",
               ways[i], (unsigned long long)s->received, (unsigned long long)s->sent,
               (unsigned long long)s->lost, (unsigned long long)s->duplicated,
               (unsigned long long)s->reordered, (unsigned long long)s->queue_full,
               (unsigned long long)s->cut, (double)s->shortest / MILLISECOND,
               (double)s->longest / MILLISECOND);
    }
    printf("\"send_failed\":%llu}\n", (unsigned long long)b->send_failed);
}

static void run_command(struct bridge *b, const char *text)
{
    const char *error = NULL;
    int first = 0, last = 1;
    if (!strcmp(text, "stats")) {
        print_statistics(b);
        return;
    }
    if (!strncmp(text, "forth ", 6)) {
        last = 0;
        text += 6;
    } else if (!strncmp(text, "back ", 5)) {
        first = 1;
        text += 5;
    }
    for (int i = first; i <= last; i++) {
        if (!impair_command(impair_way_settings(b->side[i].way), text, &error)) {
            printf("error: %s: %s\n", text, error);
            return;
        }
    }
    printf("ok\n");
}

static void read_commands(struct bridge *b)
{
    ssize_t size = read(STDIN_FILENO, b->line + b->line_used, sizeof b->line - 1 - b->line_used);
    if (size <= 0) {
        epoll_ctl(b->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
        return;
    }
    b->line_used += (size_t)size;
    char *end;
    while ((end = memchr(b->line, '\n', b->line_used))) {
        *end = '\0';
        run_command(b, b->line);
        size_t taken = (size_t)(end + 1 - b->line);
        memmove(b->line, end + 1, b->line_used - taken);
        b->line_used -= taken;
    }
    if (b->line_used == sizeof b->line - 1)
        b->line_used = 0;
    fflush(stdout);
}

static void read_signals(struct bridge *b)
{
    struct signalfd_siginfo info;
    while (read(b->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGUSR1) {
            print_statistics(b);
            fflush(stdout);
        } else {
            b->ended = true;
        }
    }
}

static void watch(struct bridge *b, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    /* Standard input may be a file or /dev/null, which cannot be watched and has no commands. */
    if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &e) < 0 && fd != STDIN_FILENO)
        die("cannot watch", "a descriptor");
}

static void bridge_run(struct bridge *b)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    b->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    b->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    int fds[] = {b->side[0].fd, b->side[1].fd, b->timer, b->signals, STDIN_FILENO};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        watch(b, fds[i]);
    printf("ready\n");
    fflush(stdout);
    while (!b->ended) {
        struct epoll_event e[8];
        int count = epoll_wait(b->epoll, e, 8, -1);
        for (int i = 0; i < count; i++) {
            uint64_t ticks;
            if (e[i].data.fd == b->side[0].fd)
                read_frames(b, &b->side[0]);
            else if (e[i].data.fd == b->side[1].fd)
                read_frames(b, &b->side[1]);
            else if (e[i].data.fd == b->signals)
                read_signals(b);
            else if (e[i].data.fd == STDIN_FILENO)
                read_commands(b);
            else if (read(b->timer, &ticks, sizeof ticks) < 0)
                continue;
        }
        write_frames(b);
    }
    print_statistics(b);
}

static void usage(FILE *to)
{
    fputs("usage: ocala-impair IF1 IF2 [options]    joins two interfaces by a bad cable\n"
          "  --delay MS           every frame takes this long\n"
          "  --jitter MS          more or less than that, evenly spread, in order\n"
          "  --loss SHARE         0 to 1\n"
          "  --duplicate SHARE    sent twice\n"
          "  --reorder SHARE      held back by 5 ms more\n"
          "  --burst ENTER,LEAVE  bursts of loss (Gilbert-Elliott), chances per frame\n"
          "  --rate MBIT          bits per second / 1e6\n"
          "  --limit N[p]         bytes (or frames) that may wait for the rate; 0.1 s worth\n"
          "  --seed N             same seed, same fate (1)\n"
          "  --one-way            only from IF1 to IF2; the way back is a good cable\n"
          "Standard input takes the same words as commands (\"loss 0.1\", \"burst 0.01 0.3\",\n"
          "\"back delay 20\"), and \"cut\", \"heal\", \"stats\".\n",
          to);
}

int main(int argc, char **argv)
{
    static const char *const words[] = {"delay",   "jitter", "loss", "duplicate",
                                        "reorder", "burst",  "rate", "limit"};
    struct option options[12] = {{"seed", required_argument, NULL, 's'},
                                 {"one-way", no_argument, NULL, 'o'},
                                 {"help", no_argument, NULL, 'h'}};
    for (int i = 0; i < 8; i++)
        options[3 + i] = (struct option){words[i], required_argument, NULL, 256 + i};
    struct impair_settings settings = {0};
    uint64_t seed = 1;
    bool one_way = false;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 's') {
            seed = strtoull(optarg, NULL, 0);
        } else if (option == 'o') {
            one_way = true;
        } else if (option >= 256) {
            char text[64];
            const char *error;
            snprintf(text, sizeof text, "%s %s", words[option - 256], optarg);
            for (char *comma = text; (comma = strchr(comma, ','));)
                *comma = ' ';
            if (!impair_command(&settings, text, &error)) {
                fprintf(stderr, "ocala-impair: --%s: %s\n", text, error);
                return 2;
            }
        } else {
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (argc - optind != 2) {
        usage(stderr);
        return 2;
    }
    struct bridge b = {0};
    for (int i = 0; i < 2; i++) {
        b.side[i].name = argv[optind + i];
        b.side[i].fd = open_side(b.side[i].name);
        b.side[i].way = impair_way_new(2 * seed + (uint64_t)i);
        if (i == 0 || !one_way)
            *impair_way_settings(b.side[i].way) = settings;
    }
    bridge_run(&b);
    for (int i = 0; i < 2; i++)
        impair_way_free(b.side[i].way);
    return 0;
}
