/* Workers with real sockets over loopback for tests; a socket pair stands in for the TUN.  Two
 * hosts, made by the fixture of the data path, of which only the published objects are used. */
#ifndef OCALA_IO_WORKER_FIXTURE_H
#define OCALA_IO_WORKER_FIXTURE_H

#include "io/worker.h"
#include "path/forward_fixture.h"

#define SOCKET 5

struct io_host {
    struct side side;
    struct worker *worker[SIDE_WORKERS];
    int program[SIDE_WORKERS]; /* the programs' end of the TUN's queues */
    struct endpoint at;
    unsigned workers;
};

void io_host_init(struct io_host *h, char letter, char peer, unsigned workers);
void io_host_done(struct io_host *h);
/* Tells `h` where its peer is. */
void io_host_meet(struct io_host *h, const struct io_host *peer);
void io_pair_init(struct io_host *a, struct io_host *b, unsigned workers_a, unsigned workers_b);

bool io_readable(int fd, int wait_ms);
/* Polls workers 0 of both until `fd` is readable. */
void io_turn_until(struct io_host *a, struct io_host *b, int fd);

/* A packet of a program at a to one at b. */
struct craft io_craft_from_a(unsigned port, size_t size);
/* What a program does: a packet with its virtio header. */
void io_program_send(int fd, const struct craft *c);
void io_program_send_raw(int fd, const void *packet, size_t size,
                         const struct packet_offload *offload);
/* What a program gets, and the offload that comes with it (NULL: not of interest). */
size_t io_program_receive(int fd, uint8_t *packet, size_t room, struct packet_offload *ret);
/* The next packet that a program at b gets is what `c` became. */
void io_assert_received(int fd, const struct craft *c);

#endif
