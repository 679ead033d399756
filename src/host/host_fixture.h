/* A few whole hosts in one process for the tests of this folder: what a daemon would own (sockets,
 * TUN, disk, clock) is played here.  Datagrams take a millisecond; time passes only while the test
 * waits for something. */
#ifndef OCALA_HOST_HOST_FIXTURE_H
#define OCALA_HOST_HOST_FIXTURE_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdbool.h> /* before ldns, which else makes its own */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <ldns/ldns.h>

#include "host/host_internal.h"
#include "packet/ip.h"
#include "tests/support/craft.h"
#include "tests/support/seeded.h"

#define LAN_MACHINES 4
#define LAN_WALL     INT64_C(1750000000) /* seconds since 1970 when the test begins */
#define USER         1000

/* What programs got back for a DNS question. */
struct reply {
    bool came;
    unsigned rcode;
    char address[ADDRESS_TEXT]; /* or "" */
    char name[256];             /* of a PTR, or "" */
    char words[512];            /* of the Extended DNS Error, or "" */
};

struct datagram;

struct machine {
    struct lan *lan;
    const char *yaml;
    struct ip_address address;
    uint8_t seed[32]; /* of the identity */
    struct seeded random;
    struct config *config;
    struct epoch *epoch;
    struct packet_pool *pool;
    struct forward *forward;
    struct host *host;
    struct endpoint socket[8];
    unsigned sockets;
    bool cut;           /* its cable is pulled */
    unsigned upstreams; /* for the next start  */

    struct {
        uint8_t bytes[1 << 16];
        size_t size;
        bool full; /* the disk refuses */
        unsigned appends, rewrites, refused;
    } file[HOST_FILES];
    struct reply reply[64]; /* by client number */
    uint64_t questions;
    uint8_t upstream[512]; /* the last question for another resolver */
    size_t upstream_size;
    char control[1 << 17]; /* what the control socket said, lines */
    size_t control_size;
    uint64_t client; /* of the control socket */
    bool closed, stop_wanted;
    const char *reload_yaml; /* what `ocala reload` finds */
    char log[1 << 14];
    size_t log_size;
    uint8_t captured[2048]; /* the last packet for programs */
    size_t captured_size;
    unsigned captured_count;
    struct ip_address in_use; /* the owner says of this address that a program has it */
};

struct lan {
    instant now;
    struct machine machine[LAN_MACHINES];
    unsigned machines;
    struct datagram *first, **last;
};

struct lan *lan_new(void);
void lan_free(struct lan *lan);
/* Until nothing is under way, without waiting for timers that are further off than a second. */
void lan_settle(struct lan *lan);
void lan_run(struct lan *lan, instant span);
/* False: not within `span`. */
bool lan_await(struct lan *lan, instant span, bool (*done)(void *context), void *context);

/* Number n is at 10.0.0.n, the first is 1.  `yaml` stays the test's.  It is started. */
struct machine *lan_machine(struct lan *lan, const char *yaml);
void machine_start(struct machine *m);
void machine_crash(struct machine *m);
/* After each call into its host. */
void machine_pump(struct machine *m);
/* Its handle pool's prefix is 198.18.0.0/15 and fd00::/48; its own addresses are these. */
#define TUN4 "198.18.0.1"
#define TUN6 "fd00::1"

/* A program asks; its number.  _now does not wait for the answer. */
uint64_t machine_ask_now(struct machine *m, const char *name, unsigned type, uint32_t user);
struct reply *machine_ask(struct machine *m, const char *name, unsigned type);
struct reply *machine_ask_as(struct machine *m, const char *name, unsigned type, uint32_t user);
/* The address that a name has; the test fails when it has none. */
const char *machine_address(struct machine *m, const char *name, unsigned type);
/* The question for its name. */
struct reply *machine_ask_reverse(struct machine *m, const char *address);

/* A program sends; the caller's packet is for `destination`. */
void machine_send(struct machine *m, const char *destination, uint8_t protocol, uint16_t port);
/* One request on the control socket: the last reply's object, which the caller gives back.
 * `may_change`: as root. */
json_t *machine_control(struct machine *m, bool may_change, const char *request);
bool machine_said(const struct machine *m, const char *words); /* in the log */
uint64_t machine_drops(struct machine *m, enum drop_reason reason);
/* The only handle for this name that its name resolves to. */
const struct handle *machine_handle(struct machine *m, const char *name);

/* alpha (1) and beta (2) in east.ip; alpha - gate - gamma with east.ip and west.ip. */
extern const char alpha_yaml[], beta_yaml[], gate_yaml[], gamma_yaml[];

#endif
