/* Programs on a simulated machine: what a user would run, reduced to what shows a fault.
 *
 *   lookup   asks DNS for a name, once or until there is an address
 *   ping     looks the name up, then sends echo requests (ICMP, or UDP to port 7) and counts
 *   stream   looks the name up, then sends bytes that must arrive in order (sim_stream.h)
 *
 * Every machine answers echo requests and takes streams.  Whoever gets a packet checks that its
 * addresses are right: ours as destination, and as source a handle that stands for the machine that
 * really sent it, by PTR and forward again. */
#ifndef OCALA_SIM_PROGRAM_H
#define OCALA_SIM_PROGRAM_H

#include "sim/sim_host.h"

#define SIM_LOOKUP_LIMIT (6 * SECOND)
#define SIM_LOOKUP_PAUSE SECOND
#define SIM_PING_LIMIT   (3 * SECOND) /* an answer later than that counts as lost */
#define SIM_ECHO_PORT    7
#define SIM_STREAM_PORT  5000
#define SIM_CLIENT_PORT  20000 /* + serial modulo 20000 */
#define SIM_PINGS_MAX    512   /* outstanding           */

enum sim_kind { SIM_LOOKUP, SIM_PING, SIM_STREAM };
enum sim_phase { SIM_RUNNING, SIM_DONE, SIM_FAILED };

/* How a program is started. */
struct sim_order {
    enum sim_kind kind;
    const char *name;
    bool v6, udp;
    bool insist;    /* lookup: until there is an address; ping: until there is an answer */
    bool kept;      /* an expectation will ask about it                                */
    instant after;  /* it begins that much later                                       */
    uint64_t count; /* ping: requests; stream: bytes                                    */
    instant every;  /* ping                                                             */
    size_t size;    /* payload of a packet                                              */
};

/* An echo request; rtt 0: no answer. */
struct sim_echo {
    instant sent, rtt;
};

struct sim_program {
    struct sim_event event; /* first */
    struct sim_host *host;
    uint32_t serial;
    enum sim_kind kind;
    enum sim_phase phase;
    char name[2 * NAME_TEXT];
    bool v6, udp, insist, open_sums;
    bool kept; /* an expectation will ask about it */
    bool held; /* somebody waits for it: not to be cleared */
    uint64_t count;
    instant every, began, ended;
    size_t size;
    struct ip_address ip; /* of the peer; family 0: not looked up yet */
    struct sim_answer answer;
    bool asked;
    /* ping */
    uint64_t sent, received, unreachable;
    instant outstanding[SIM_PINGS_MAX]; /* by sequence; 0: none */
    struct sim_echo *history;           /* of a ping that is kept, by sequence */
    size_t history_count, history_room;
    /* stream */
    uint64_t acked, next, window;
    unsigned repeats, timeouts;
    instant rto, progress; /* when bytes were last acknowledged           */
    instant stalled;       /* longest time without; ping: longest outage  */
    struct sim_program *after;
};

struct sim_program *sim_program_start(struct sim_host *h, const struct sim_order *order);
/* The newest one of a kind for a name; NULL: none. */
struct sim_program *sim_program_find(const struct sim_host *h, enum sim_kind kind,
                                     const char *name);
void sim_programs_free(struct sim_host *h);
/* Forgets programs that have ended. */
void sim_programs_clear(struct sim_host *h);
/* A packet from the capture. */
void sim_program_packet(struct sim_host *h, const uint8_t *bytes, size_t size,
                        const struct packet_offload *offload);

/* ---- for sim_ping.c and sim_stream.c ---- */

enum sim_payload_kind { SIM_PAYLOAD_PING = 1, SIM_PAYLOAD_DATA = 2, SIM_PAYLOAD_ACK = 3 };

/* Start of every payload: SIM_PLAIN, who sent it, and what it is. */
struct sim_payload {
    uint16_t host; /* index of the machine */
    uint8_t kind;  /* enum sim_payload_kind */
    uint32_t serial;
    uint64_t number;
};

void sim_program_end(struct sim_program *p, enum sim_phase phase);
/* Sends payload and `size` bytes of a pattern that depends on serial and number. */
void sim_program_send(struct sim_program *p, uint8_t kind, uint64_t number, size_t size);
/* Writes SIM_PAYLOAD_MIN bytes. */
void sim_payload_write(uint8_t *out, size_t room, const struct sim_payload *p);
uint8_t sim_payload_byte(uint32_t serial, uint64_t at);

#endif
