/* A UDP socket of the i3 server: datagrams in and out, many at a time.
 *
 * The kernel hands over runs of datagrams as one (UDP_GRO) and cuts up what it is given as one (UDP_SEGMENT): letters that
 * follow each other in memory, go to the same place and have the same size leave together. */
#ifndef OCALA_DAEMON_I3_SOCKET_H
#define OCALA_DAEMON_I3_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/outbox.h"

struct i3_socket;
/* Bound, non-blocking.  `what` is served there, for the texts.  0 or a negative errno. */
int i3_socket_open(const struct endpoint *at, const char *what, struct i3_socket **ret, char *err,
                   size_t size);
void i3_socket_close(struct i3_socket *s); /* accepts NULL */
int i3_socket_fd(const struct i3_socket *s);

/* Reads what there is, a batch at most: `each` for every datagram, `pause` after each message of the kernel, when letters
 * may be put and flushed.  True when there is probably more. */
struct i3_socket_user {
    void *self;
    void (*each)(void *self, const struct endpoint *from, const uint8_t *bytes, size_t size);
    void (*pause)(void *self);
};
bool i3_socket_receive(struct i3_socket *s, const struct i3_socket_user *user);

/* Letters are collected; their bytes must stay where they are until i3_socket_flush(). */
void i3_socket_put(struct i3_socket *s, const struct outbox_letter *letter);
void i3_socket_flush(struct i3_socket *s);

struct i3_socket_counters {
    uint64_t sent, failed; /* datagrams; failed: the kernel did not take them */
    uint64_t cut;          /* received ones that were larger than any packet   */
};
const struct i3_socket_counters *i3_socket_counters(const struct i3_socket *s);

#endif
