/* bench_udp send ADDRESS PORT SIZE SECONDS PPS    sends UDP packets of SIZE bytes of payload; PPS
 * 0: as fast as it goes bench_udp receive PORT                          counts until its standard
 * input ends; prints what arrived
 *
 * The receiver prints one line of JSON: packets, bytes, and the seconds between the first and the
 * last packet.  Both pass 32 packets per system call, so that the programs themselves cost little.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32
#define ROOM  2048

static char room[BATCH][ROOM];
static struct iovec part[BATCH];
static struct mmsghdr message[BATCH];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void prepare(size_t size)
{
    for (unsigned i = 0; i < BATCH; i++) {
        part[i] = (struct iovec){room[i], size};
        message[i].msg_hdr = (struct msghdr){.msg_iov = &part[i], .msg_iovlen = 1};
    }
}

static int fail(const char *what)
{
    fprintf(stderr, "bench_udp: %s: %s\n", what, strerror(errno));
    return 1;
}

/* One flow: one socket, one port. */
static int send_all(const char *address, const char *port, size_t size, double seconds, double pps)
{
    struct addrinfo *to, hints = {.ai_socktype = SOCK_DGRAM};
    /* Names have addresses of both families, and the sizes asked for are those of IPv4. */
    hints.ai_family = strchr(address, ':') ? AF_INET6 : AF_INET;
    if (getaddrinfo(address, port, &hints, &to)) {
        fprintf(stderr, "bench_udp: no address for %s\n", address);
        return 1;
    }
    int fd = socket(to->ai_family, SOCK_DGRAM, 0);
    if (fd < 0 || connect(fd, to->ai_addr, to->ai_addrlen) < 0)
        return fail("connect");
    freeaddrinfo(to);
    prepare(size);
    double start = now(), t = start;
    unsigned long sent = 0;
    while (t - start < seconds) {
        if (pps > 0 && (double)sent > (t - start) * pps) {
            struct timespec little = {.tv_nsec = 50000};
            nanosleep(&little, NULL);
        } else {
            int n = sendmmsg(fd, message, BATCH, 0);
            if (n > 0)
                sent += (unsigned long)n;
            else if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
                return fail("send");
        }
        t = now();
    }
    printf("{\"sent\":%lu,\"seconds\":%.3f}\n", sent, t - start);
    return 0;
}

static int receive_all(const char *port)
{
    int fd = socket(AF_INET6, SOCK_DGRAM, 0), large = 4 << 20, off = 0;
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port))};
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof large);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        return fail("bind");
    prepare(ROOM);
    puts("ready");
    fflush(stdout);
    unsigned long packets = 0, bytes = 0;
    double first = 0, last = 0;
    struct pollfd wait[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    while (poll(wait, 2, -1) > 0) {
        if (wait[0].revents) {
            int n = recvmmsg(fd, message, BATCH, MSG_DONTWAIT, NULL);
            last = now();
            if (n > 0 && !packets)
                first = last;
            for (int i = 0; i < n; i++)
                bytes += message[i].msg_len;
            packets += n > 0 ? (unsigned long)n : 0;
        } else if (wait[1].revents) {
            break;
        }
    }
    printf("{\"packets\":%lu,\"bytes\":%lu,\"seconds\":%.6f}\n", packets, bytes, last - first);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 7 && !strcmp(argv[1], "send"))
        return send_all(argv[2], argv[3],
                        strtoul(argv[4], NULL, 10) < ROOM ? strtoul(argv[4], NULL, 10) : ROOM,
                        atof(argv[5]), atof(argv[6]));
    if (argc == 3 && !strcmp(argv[1], "receive"))
        return receive_all(argv[2]);
    fputs("Usage: bench_udp send ADDRESS PORT SIZE SECONDS PPS | receive PORT\n", stderr);
    return 2;
}
