/* Rings of i3 servers in the simulator: the same engines as everywhere, thousands of them, on a virtual clock and network
 * from one seed.  Some die without a word while others come; lookups and triggers are watched meanwhile. */
#ifndef OCALA_SIM_RING_H
#define OCALA_SIM_RING_H

#include <stdbool.h>
#include <stdint.h>

struct ring_plan {
    uint64_t seed;
    unsigned servers;
    unsigned churn;    /* percent of the servers that are replaced while it is watched */
    unsigned seconds;  /* how long it is watched                                       */
    unsigned triggers; /* that clients keep refreshed                                  */
    unsigned lookups;  /* a second                                                     */
    bool secret;       /* the ring has one: triggers are copied                        */
    unsigned pairs;    /* of clients whose latency stretch is measured before that     */
    unsigned samples;  /* servers that a client which samples measures                 */
};

/* How much longer a packet takes by i3 than straight, in thousandths, over both directions of all pairs.  Sampling and
 * caching are bits. */
enum ring_way { RING_CACHING = 1, RING_SAMPLING = 2, RING_WAYS = 4 };
struct ring_stretch {
    unsigned packets; /* that arrived, of two for each pair */
    unsigned median, ninetieth;
};

/* What became of a first try that was not answered by who is responsible. */
enum ring_fate {
    RING_SILENT,   /* it did not reach a dead server, and nobody answered in time               */
    RING_DEAD,     /* it went to a dead server                                                  */
    RING_COMING,   /* another one answered, as who is responsible has just come and knows nobody */
    RING_ELSEWHERE /* another one answered                                                      */
};
#define RING_FATES 4

struct ring_report {
    unsigned lookups, at_once,
        with_retries; /* answered by who is responsible: the first, or one of three tries */
    unsigned failed[RING_FATES];
    uint64_t hops; /* of those answered at once */
    unsigned deaths, repaired;
    double repair_mean_s,
        repair_most_s; /* until the next server takes over what the dead one had */
    /* A trigger is lost while who is responsible does not have it. */
    uint64_t trigger_steps,
        lost_steps;  /* of all triggers, while servers are replaced; of the lost */
    unsigned losses; /* a trigger was lost, and came back */
    double loss_mean_s, loss_most_s;
    unsigned lost_at_end;
    uint64_t datagrams;
    double datagrams_a_server_second;
    uint64_t print; /* of all datagrams: the same plan gives the same one */
    struct ring_stretch stretch[RING_WAYS];
    bool formed; /* all knew their place before it began */
};

void ring_run(const struct ring_plan *plan, struct ring_report *ret);

#endif
