/* Echo requests: each is either answered within SIM_PING_LIMIT or lost.  A ping that an expectation
 * will ask about remembers all of them, and how long it went without an answer. */
#include "sim/sim_ping.h"

#include <stdlib.h>

#include "base/check.h"

static struct sim_world *world(const struct sim_program *p)
{
    return &p->host->sim->world;
}

static void remember(struct sim_program *p, instant now)
{
    if (p->history_count == p->history_room) {
        p->history_room = p->history_room ? 2 * p->history_room : 64;
        p->history = base_realloc(p->history, p->history_room * sizeof *p->history);
    }
    p->history[p->history_count++] = (struct sim_echo){.sent = now};
}

void sim_ping_send(struct sim_program *p)
{
    struct sim_world *w = world(p);
    bool last = p->sent + 1 == p->count && !p->insist;
    p->outstanding[p->sent % SIM_PINGS_MAX] = w->now;
    if (p->kept)
        remember(p, w->now);
    if (!p->insist)
        sim_meter_add(p->host->sim, SIM_SERIES_ASKED, w->now, 1);
    sim_event_set(w, &p->event, w->now + (last ? SIM_PING_LIMIT : p->every));
    sim_program_send(p, SIM_PAYLOAD_PING, p->sent++, p->size);
}

void sim_ping_answered(struct sim_program *p, uint64_t number, uint32_t serial)
{
    instant *sent = &p->outstanding[number % SIM_PINGS_MAX];
    if (serial != p->serial || !*sent)
        return; /* a duplicate */
    instant rtt = world(p)->now - *sent;
    if (!p->insist) {
        sim_meter_add(p->host->sim, SIM_SERIES_ANSWERED, *sent, 1);
        sim_meter_sample(p->host->sim, SIM_SAMPLES_RTT, rtt);
    }
    *sent = 0;
    if (p->kept && number < p->history_count)
        p->history[number].rtt = rtt ? rtt : 1;
    p->received++;
    if (p->insist || p->received == p->count)
        sim_program_end(p, SIM_DONE);
}

void sim_ping_ended(struct sim_program *p)
{
    for (size_t i = 0; i < p->history_count;) {
        size_t first = i;
        while (i < p->history_count && !p->history[i].rtt)
            i++;
        if (i == first) {
            i++;
            continue;
        }
        instant until =
            i < p->history_count ? p->history[i].sent : p->history[i - 1].sent + p->every;
        instant lasted = until - p->history[first].sent;
        sim_meter_sample(p->host->sim, SIM_SAMPLES_OUTAGE, lasted);
        if (lasted > p->stalled)
            p->stalled = lasted;
    }
}
