/* A transfer that must survive everything: bytes in order over UDP, with sequence numbers, a
 * window, and repetition, between two handle addresses. */
#ifndef OCALA_SIM_STREAM_H
#define OCALA_SIM_STREAM_H

#include "sim/sim_program.h"

/* A transfer that arrives here. */
struct sim_stream {
    struct ip_address peer; /* may not change */
    uint16_t port;
    uint16_t host;
    uint32_t serial;
    uint64_t next;
    struct sim_stream *after;
};

void sim_stream_begin(struct sim_program *p);
/* The program's event: repeat what was not acknowledged. */
void sim_stream_timeout(struct sim_program *p);
void sim_stream_acked(struct sim_program *p, uint64_t next);
/* Data that arrived at a machine. */
void sim_stream_data(struct sim_host *h, const struct sim_packet *packet,
                     const struct sim_payload *payload);
void sim_streams_free(struct sim_host *h);

#endif
