/* A whole simulation: the world, its networks, its hosts, and the programs that run on them. */
#ifndef OCALA_SIM_SIM_H
#define OCALA_SIM_SIM_H

#include "base/text.h"
#include "sim/sim_meter.h"
#include "sim/sim_net.h"
#include "sim/sim_world.h"

#define SIM_HOSTS_MAX 60000               /* payloads carry a machine's index in 16 bits */
#define SIM_WALL      INT64_C(1750000000) /* seconds since 1970 when the world begins */

/* An overlay instance and its members, in the order in which they were named. */
struct sim_instance {
    char name[64];
    struct sim_network *network;
    struct sim_member {
        struct sim_host *host;
        char alias[64]; /* host part of its overlay name */
        uint16_t port;  /* where it listens                          */
        bool hidden;    /* an earlier member has the same name       */
    } * member;
    unsigned members;
    struct sim_instance *next;
};

struct host;
struct host_count;

struct sim {
    struct sim_world world;
    struct sim_net net;
    struct sim_host **host;
    unsigned hosts;
    struct sim_instance *instances;
    unsigned members, numbered; /* of all instances; when ports were given */
    struct sim_nat *nats;
    struct sim_i3 *i3_servers;
    struct sim_faults *faults;
    struct sim_outage *outages;
    struct sim_attack *attack;
    uint32_t next_serial; /* of programs */
    struct sim_meter meter;
    /* host_count(), unless a test has something of its own. */
    void (*count)(const struct host *h, struct host_count *ret);
};

void sim_init(struct sim *s, uint64_t seed);
void sim_done(struct sim *s);
struct sim_host *sim_find(const struct sim *s, const char *name);
struct sim_instance *sim_instance_find(const struct sim *s, const char *name);
/* Cuts that have not healed yet are forgotten. */
void sim_outages_free(struct sim *s);
/* Seconds since 1970, now. */
int64_t sim_wall(const struct sim *s);

#endif
