/* A middlebox of an i3 overlay, as a program without privileges: whatever is sent to hosts with `middlebox: filter` in their
 * options passes here, by their choice and unknown to who sends.
 *
 *   i3-filter SERVER:PORT OWN-ADDRESS:PORT NAME MOST      i3-filter 192.0.2.7:5610 192.0.2.9:7000 filter.lab.i3 1000
 *
 * It keeps a trigger from the identifier of NAME to itself.  A packet that comes has two identifiers on its stack, ours and
 * the one behind which the receiver is; it goes on to the second, unless there were MOST already within this second.  What
 * is in it is sealed: a middlebox sees sizes and times, not contents. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "i3/i3_wire.h"

#define REFRESH 15 /* seconds; servers forget after 30 */

struct filter {
    int fd;
    struct sockaddr_in server; /* asked; the one that is responsible answers, and delivers */
    struct i3_trigger trigger;
    unsigned most, passed;
    time_t second;
    unsigned long through, dropped;
};

static volatile sig_atomic_t ends;

static void on_signal(int number)
{
    ends = number;
}

static bool socket_address(const char *text, struct endpoint *ret, struct sockaddr_in *ret_native)
{
    if (!endpoint_parse(text, 0, ret) || ret->ip.family != 4)
        return false;
    *ret_native = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(ret->port)};
    memcpy(&ret_native->sin_addr, ret->ip.bytes, 4);
    return true;
}

static void send_packet(const struct filter *f, const struct i3_packet *p)
{
    uint8_t bytes[I3_DATAGRAM_MAX];
    size_t size = i3_packet_write(p, bytes, sizeof bytes);
    if (size)
        sendto(f->fd, bytes, size, 0, (const struct sockaddr *)&f->server, sizeof f->server);
}

static void insert(const struct filter *f)
{
    struct i3_packet p = {.flags = I3_OPTIONS | I3_FIRST_HOP,
                          .depth = 1,
                          .stack = &f->trigger.id,
                          .option_count = 2,
                          .option = {{.type = I3_SENDER, .sender = f->trigger.target},
                                     {.type = I3_INSERT, .trigger = f->trigger}}};
    send_packet(f, &p);
}

/* The server wants to see the nonce that it sends. */
static void answered(struct filter *f, const struct i3_packet *p)
{
    const struct i3_option *challenge = i3_packet_option(p, I3_CHALLENGE),
                           *ack = i3_packet_option(p, I3_ACK);
    if (challenge && i3_trigger_same(&challenge->trigger, &f->trigger)) {
        memcpy(f->trigger.nonce, challenge->trigger.nonce, I3_NONCE);
        insert(f);
    }
    if (ack && i3_trigger_same(&ack->trigger, &f->trigger)) {
        puts("ready");
        fflush(stdout);
    }
}

static bool lets_through(struct filter *f)
{
    time_t now = time(NULL);
    if (now != f->second) {
        f->second = now;
        f->passed = 0;
    }
    return f->passed++ < f->most;
}

static void pass_on(struct filter *f, struct i3_packet *p)
{
    if (p->depth < 2 || !lets_through(f)) {
        f->dropped++;
        return;
    }
    p->stack++; /* ours is done with */
    p->depth--;
    p->flags = I3_DATA | I3_OPTIONS | I3_FIRST_HOP;
    p->option_count = 0;
    send_packet(f, p);
    f->through++;
}

static void receive(struct filter *f)
{
    uint8_t bytes[I3_DATAGRAM_MAX];
    struct i3_packet p;
    ssize_t size = recv(f->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0 || i3_packet_parse(bytes, (size_t)size, &p) != I3_FINE)
        return;
    if (!p.depth)
        answered(f, &p);
    else if (p.flags & I3_DATA)
        pass_on(f, &p);
}

static bool set_up(struct filter *f, char **words)
{
    struct endpoint server, self;
    struct sockaddr_in self_native;
    if (!socket_address(words[1], &server, &f->server) ||
        !socket_address(words[2], &self, &self_native)) {
        fprintf(stderr, "i3-filter: %s and %s must both be IPV4-ADDRESS:PORT\n", words[1],
                words[2]);
        return false;
    }
    struct i3_hash *h = i3_hash_new();
    i3_id_of_name(h, NULL, words[3], &f->trigger.id, f->trigger.key);
    i3_hash_free(h);
    f->trigger.prefix = I3_BITS;
    f->trigger.target = i3_address_of(&self);
    f->most = (unsigned)strtoul(words[4], NULL, 10);
    f->fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (f->fd < 0 || bind(f->fd, (struct sockaddr *)&self_native, sizeof self_native)) {
        fprintf(stderr, "i3-filter: cannot listen at %s: %s\n", words[2], strerror(errno));
        return false;
    }
    return true;
}

int main(int count, char **words)
{
    struct filter f = {.fd = -1};
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (count != 5) {
        fprintf(stderr, "usage: i3-filter SERVER:PORT OWN-ADDRESS:PORT NAME MOST-A-SECOND\n");
        return 2;
    }
    if (!set_up(&f, words))
        return 1;
    for (time_t due = 0; !ends;) {
        if (time(NULL) >= due) {
            insert(&f);
            due = time(NULL) + REFRESH;
        }
        struct pollfd ready = {.fd = f.fd, .events = POLLIN};
        if (poll(&ready, 1, 500) > 0)
            receive(&f);
    }
    printf("%lu passed, %lu dropped\n", f.through, f.dropped);
    close(f.fd);
    return 0;
}
