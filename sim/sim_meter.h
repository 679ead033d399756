/* What is measured while a world runs: how much was sent, how long answers took, how long nothing
 * came.  None of it changes what happens, and none of it is part of the trace. */
#ifndef OCALA_SIM_METER_H
#define OCALA_SIM_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"

struct sim;
struct sim_host;
struct sim_program;

#define SIM_METER_BIN SECOND

/* Sums, one for each second of virtual time. */
#define SIM_SERIES(X)                                                                              \
    X(CONTROL, "control",                                                                          \
      "bytes of handshakes, control records and module messages sent on the underlay")             \
    X(DATA, "data", "bytes that data paths sent, their own and those of others")                   \
    X(DATAGRAMS, "datagrams", "datagrams sent on the underlay")                                    \
    X(ASKED, "asked", "echo requests sent")                                                        \
    X(ANSWERED, "answered", "of these, by when they were sent: those that were answered")          \
    X(STREAMED, "streamed", "bytes of transfers that arrived in order")                            \
    X(FAULTS, "faults", "faults that began")

/* Single values, all in nanoseconds. */
#define SIM_SAMPLES(X)                                                                             \
    X(RTT, "rtt", "round trips of echo requests")                                                  \
    X(LOOKUP, "lookup", "from a question to an address")                                           \
    X(OUTAGE, "outage", "times without an answer, where echo requests were lost")                  \
    X(STALL, "stall", "the longest pause of each transfer")

enum sim_series {
#define SIM_SERIES_ENUM(id, name, text) SIM_SERIES_##id,
    SIM_SERIES(SIM_SERIES_ENUM)
#undef SIM_SERIES_ENUM
        SIM_SERIES_COUNT
};

enum sim_samples {
#define SIM_SAMPLES_ENUM(id, name, text) SIM_SAMPLES_##id,
    SIM_SAMPLES(SIM_SAMPLES_ENUM)
#undef SIM_SAMPLES_ENUM
        SIM_SAMPLES_COUNT
};

struct sim_meter {
    struct sim_list {
        int64_t *value;
        size_t count, room;
    } series[SIM_SERIES_COUNT], samples[SIM_SAMPLES_COUNT];
    instant marked; /* since then bytes of each machine are counted for `expect rate` */
    unsigned crashes, starts;
};

/* What a machine has sent, IP and UDP headers included. */
struct sim_sent {
    uint64_t control, data;               /* since the beginning */
    uint64_t marked_control, marked_data; /* up to the mark      */
};

void sim_meter_add(struct sim *s, enum sim_series series, instant when, int64_t amount);
void sim_meter_sample(struct sim *s, enum sim_samples samples, int64_t value);
/* A datagram of a machine: of its host engine (control), or of its data path, which also forwards;
 * `wire` are the bytes of the IP packet. */
void sim_meter_sent(struct sim_host *h, bool control, size_t wire);
/* From now on rates are counted anew. */
void sim_meter_mark(struct sim *s);
/* Bits in a second that a machine has sent since the mark; `what`: control, data, all.  Negative:
 * there is no such thing. */
int64_t sim_meter_rate(const struct sim *s, const struct sim_host *h, const char *what);
/* The value below which this share (in per cent) of the samples is; 0 when there are none. */
int64_t sim_meter_percentile(const struct sim *s, enum sim_samples samples, unsigned percent);
int64_t sim_meter_mean(const struct sim *s, enum sim_samples samples);
/* False: there is no such list. */
bool sim_meter_parse(const char *name, enum sim_samples *ret);
void sim_meter_free(struct sim *s);

/* Everything as one JSON object; the caller frees it. */
char *sim_meter_json(struct sim *s);
/* Some lines for people; the caller frees it. */
char *sim_meter_summary(struct sim *s);

#endif
