/* ocala-blast ADDRESS PORT SECONDS PPS [SOURCE COUNT]    sends datagrams, read from standard input
 * as lines of hex, over and over; PPS 0: as fast as it goes
 *
 * With SOURCE they come from COUNT addresses, beginning with that one, as a liar on the underlay
 * would send them (raw sockets: needs root).  Prints how many it sent,
 * and in how many seconds; SIGTERM ends it early. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32
#define MOST  65536 /* lines */
#define ROOM  1600
#define HEAD  28 /* IPv4 and UDP */

static struct {
    uint8_t *bytes; /* with room for the headers in front */
    size_t size;
} line[MOST];
static size_t lines;
static volatile sig_atomic_t enough;

static void on_signal(int number)
{
    (void)number;
    enough = 1;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_lines(void)
{
    static char text[2 * ROOM + 2];
    while (lines < MOST && fgets(text, sizeof text, stdin)) {
        size_t size = strcspn(text, "\n") / 2;
        line[lines].bytes = calloc(1, HEAD + size);
        line[lines].size = size;
        for (size_t i = 0; line[lines].bytes && i < size; i++) {
            unsigned value = 0;
            sscanf(text + 2 * i, "%2x", &value);
            line[lines].bytes[HEAD + i] = (uint8_t)value;
        }
        lines++;
    }
}

static void put16(uint8_t *to, unsigned value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

/* The kernel fills in checksum and total length of the IP header; UDP goes without a checksum. */
static void write_headers(uint8_t *at, size_t size, uint32_t source, const struct sockaddr_in *to)
{
    memset(at, 0, HEAD);
    at[0] = 0x45;
    put16(at + 2, (unsigned)(HEAD + size));
    at[8] = 64;
    at[9] = IPPROTO_UDP;
    put16(at + 12, source >> 16);
    put16(at + 14, source & 0xFFFF);
    memcpy(at + 16, &to->sin_addr, 4);
    put16(at + 20, ntohs(to->sin_port));
    memcpy(at + 22, &to->sin_port, 2);
    put16(at + 24, (unsigned)(8 + size));
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct in_addr source = {0};
    if ((argc != 5 && argc != 7) || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 ||
        (argc == 7 && inet_pton(AF_INET, argv[5], &source) != 1)) {
        fprintf(stderr, "usage: ocala-blast ADDRESS PORT SECONDS PPS [SOURCE COUNT]\n");
        return 2;
    }
    to.sin_port = htons((uint16_t)atoi(argv[2]));
    double seconds = atof(argv[3]), pps = atof(argv[4]);
    uint32_t first = ntohl(source.s_addr), count = argc == 7 ? (uint32_t)atoi(argv[6]) : 1;
    bool raw = argc == 7;
    signal(SIGTERM, on_signal);
    read_lines();
    int fd = raw ? socket(AF_INET, SOCK_RAW, IPPROTO_RAW) : socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || !lines || !count) {
        fprintf(stderr, "ocala-blast: nothing to send, or no socket: %s\n", strerror(errno));
        return 1;
    }
    struct mmsghdr message[BATCH];
    struct iovec part[BATCH];
    unsigned long sent = 0, turn = 0;
    double start = now(), at = start;
    for (; !enough && at < start + seconds; at = now()) {
        if (pps > 0 && (double)sent > (at - start) * pps) {
            nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
            continue;
        }
        for (unsigned i = 0; i < BATCH; i++, turn++) {
            uint8_t *bytes = line[turn % lines].bytes;
            size_t size = line[turn % lines].size;
            if (raw)
                write_headers(bytes, size, first + (uint32_t)(turn % count), &to);
            part[i] = raw ? (struct iovec){bytes, HEAD + size} : (struct iovec){bytes + HEAD, size};
            message[i] = (struct mmsghdr){.msg_hdr = {&to, sizeof to, &part[i], 1, NULL, 0, 0}};
        }
        int n = sendmmsg(fd, message, BATCH, 0);
        sent += n > 0 ? (unsigned)n : 0;
    }
    printf("%lu %.3f\n", sent, at - start);
    return 0;
}
