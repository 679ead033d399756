/* A simulated machine: a node of the underlay that runs a whole host of src/host with one data path
 * for each worker, a disk for its journals, a capture that programs use, and the programs.
 *
 * The daemon on it can be started, stopped, crashed and suspended; the machine's programs, keys and
 * disk stay.  What the daemon wrote within the last moments before a crash may be lost in part, as
 * on a real disk. */
#ifndef OCALA_SIM_HOST_H
#define OCALA_SIM_HOST_H

#include "host/host.h"
#include "sim/sim.h"
#include "sim/sim_config.h"
#include "sim/sim_dns.h"
#include "sim/sim_packet.h"

#define SIM_SOCKETS_MAX 32
#define SIM_WORKERS_MAX 4
#define SIM_DISK_DELAY  (5 * MILLISECOND)

enum sim_state { SIM_DOWN, SIM_UP, SIM_ASLEEP };

struct sim_file {
    uint8_t *bytes;
    size_t size;
    size_t stable;  /* what a crash cannot take any more */
    instant dirty;  /* when the first byte behind that was written */
    instant synced; /* when all of it is stable          */
};

/* A question of a program that waits for its answer. */
struct sim_question {
    struct sim_event timeout; /* first */
    struct sim_host *host;
    uint64_t client;
    uint16_t id;
    void (*answered)(void *context, const struct sim_answer *answer);
    void *context;
    struct sim_question *next;
};

/* A name's answer so far: it must stay the same. */
struct sim_answered {
    char name[NAME_TEXT];
    struct ip_address ip[2];
    instant since;
    struct sim_answered *next;
};

/* A handle that packets came from, and the host that sent them. */
struct sim_seen {
    struct ip_address ip;
    unsigned host;
    bool asked, known;
    instant since;
    char name[NAME_TEXT]; /* by PTR */
    struct sim_host *at;
    struct sim_seen *next;
};

struct sim_host {
    struct sim_node node; /* first */
    struct sim *sim;
    unsigned index;
    struct seeded random;
    uint8_t seed[32]; /* Ed25519 identity */
    struct sim_settings settings;
    struct ip_prefix pool4, pool6;
    struct ip_address tun[2];
    struct sim_file file[HOST_FILES];

    enum sim_state state;
    struct sim_event tick;
    struct config *config;
    struct host *host;
    struct epoch *epoch;
    struct packet_pool *pool;
    struct forward *forward[SIM_WORKERS_MAX];
    unsigned workers;
    struct sim_socket {
        uint16_t index;
        struct endpoint at;
    } socket[SIM_SOCKETS_MAX];
    unsigned sockets;
    struct sim_item *first, **last; /* what is to be done before time goes on */
    bool pumping, stop_wanted;
    struct sim_churn *churn; /* it comes and goes                            */
    bool swallows;           /* its data path sends nothing: control goes on as if all was well */
    unsigned fuse;           /* datagrams until it crashes; 0: it does not   */
    bool fuse_burnt;
    instant fuse_back; /* and is started again that much later         */
    struct sim_event reborn;
    int64_t wall;

    struct sim_question *questions;
    struct sim_answered *answers;
    struct sim_seen *seen;
    struct sim_program *programs;
    struct sim_stream *streams; /* that arrive here */
    uint64_t next_client, control_client;
    instant spin_since;
    unsigned spins;
    char *reply; /* of the control socket, lines */
    size_t reply_size;
    char *log; /* of the daemon, lines */
    size_t log_size;
    unsigned starts;
    uint64_t captured, delivered, unreachable;
    struct sim_sent sent;
};

struct sim_host *sim_host_new(struct sim *s, const char *name);
void sim_host_free(struct sim_host *h);

/* False when the daemon refuses its configuration: `error` says why. */
bool sim_host_start(struct sim_host *h, char *error, size_t size);
void sim_host_stop(struct sim_host *h);
void sim_host_crash(struct sim_host *h);
void sim_host_suspend(struct sim_host *h);
void sim_host_resume(struct sim_host *h);
/* Another address on a network; the daemon hears of it. */
bool sim_host_move(struct sim_host *h, struct sim_network *network, const struct ip_address *ip);
/* The settings again, as changed meanwhile.  False: refused. */
bool sim_host_reload(struct sim_host *h, char *error, size_t size);

/* What programs do.  send: an IP packet into the capture. */
void sim_host_send(struct sim_host *h, const uint8_t *bytes, size_t size,
                   const struct packet_offload *offload);
/* Asks for a name; the answer, or none after `limit`, comes later.  PTR: `name` is the reverse
 * name. */
void sim_host_ask(struct sim_host *h, const char *name, enum sim_dns_type type, instant limit,
                  void (*answered)(void *context, const struct sim_answer *answer), void *context);
/* Takes back what was asked for this context. */
void sim_host_forget_questions(struct sim_host *h, const void *context);
/* One request line on the control socket; replies are appended to h->reply. */
void sim_host_control(struct sim_host *h, const char *request);

/* Is `name` an overlay name of this machine? */
bool sim_host_is(const struct sim_host *h, const char *name);

#endif
