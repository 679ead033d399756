/* bench_dns ADDRESS SECONDS NAME    asks a DNS server for the A record of NAME as fast as it
 * answers
 *
 * Keeps a fixed number of questions under way, over several sockets as different programs would.
 * Prints one line of JSON: answers, failures (anything but an address), lost, seconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS     16
#define WINDOW      4 /* questions under way on each socket */
#define PATIENCE_MS 200

static uint8_t question[300];
static size_t question_size;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool make_question(const char *name)
{
    static const uint8_t head[12] = {0, 0, 1, 0, 0, 1}, tail[5] = {0, 0, 1, 0, 1};
    if (strlen(name) > 250)
        return false;
    memcpy(question, head, sizeof head);
    question_size = sizeof head;
    while (*name) {
        size_t length = strcspn(name, ".");
        if (!length || length > 63)
            return false;
        question[question_size++] = (uint8_t)length;
        memcpy(question + question_size, name, length);
        question_size += length;
        name += length + (name[length] == '.');
    }
    memcpy(question + question_size, tail, sizeof tail);
    question_size += sizeof tail;
    return true;
}

static void ask(int fd, uint16_t id)
{
    question[0] = (uint8_t)(id >> 8);
    question[1] = (uint8_t)id;
    if (send(fd, question, question_size, 0) < 0 && errno != EAGAIN)
        perror("bench_dns: send");
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
    struct pollfd p[SOCKETS];
    unsigned long answers = 0, failures = 0, lost = 0;
    uint16_t id = 0;

    if (argc != 4 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || !make_question(argv[3])) {
        fprintf(stderr, "usage: bench_dns ADDRESS SECONDS NAME\n");
        return 2;
    }
    for (unsigned i = 0; i < SOCKETS; i++) {
        p[i] =
            (struct pollfd){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), .events = POLLIN};
        if (p[i].fd < 0 || connect(p[i].fd, (struct sockaddr *)&to, sizeof to) < 0) {
            perror("bench_dns: connect");
            return 1;
        }
        for (unsigned n = 0; n < WINDOW; n++)
            ask(p[i].fd, id++);
    }
    double start = now(), end = start + atof(argv[2]), at = start;
    for (; at < end; at = now()) {
        if (poll(p, SOCKETS, PATIENCE_MS) == 0) {
            lost += SOCKETS * WINDOW;
            for (unsigned i = 0; i < SOCKETS; i++)
                for (unsigned n = 0; n < WINDOW; n++)
                    ask(p[i].fd, id++);
        }
        for (unsigned i = 0; i < SOCKETS; i++) {
            uint8_t answer[512];
            while (p[i].revents & POLLIN && recv(p[i].fd, answer, sizeof answer, 0) >= 12) {
                bool good = !(answer[3] & 15) && answer[7] == 1;
                *(good ? &answers : &failures) += 1;
                ask(p[i].fd, id++);
            }
        }
    }
    printf("{\"answers\": %lu, \"failures\": %lu, \"lost\": %lu, \"seconds\": %.3f}\n", answers,
           failures, lost, at - start);
    return 0;
}
