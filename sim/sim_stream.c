/* Go-back-N: the receiver takes only the byte it waits for and says so; the sender keeps a window
 * of segments under way and begins again behind the last acknowledged byte when nothing moves
 * (after a time that doubles) or when three answers say the same. */
#include "sim/sim_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define WINDOW    16
#define REPEATS   3
#define RTO_FIRST (300 * MILLISECOND)
#define RTO_MOST  (500 * MILLISECOND) /* shorter than TCP does: outages show as they are */

static size_t segment_at(const struct sim_program *p, uint64_t at)
{
    uint64_t left = p->count - at;
    return left < p->size ? (size_t)left : p->size;
}

static void send_window(struct sim_program *p)
{
    while (p->next < p->count && p->next < p->acked + WINDOW * p->size) {
        size_t size = segment_at(p, p->next);
        uint64_t at = p->next;
        p->next += size; /* before: an answer may come back at once */
        sim_program_send(p, SIM_PAYLOAD_DATA, at, size);
    }
}

void sim_stream_begin(struct sim_program *p)
{
    p->rto = RTO_FIRST;
    p->progress = p->host->sim->world.now;
    sim_event_set(&p->host->sim->world, &p->event, p->host->sim->world.now + p->rto);
    send_window(p);
}

void sim_stream_timeout(struct sim_program *p)
{
    struct sim_world *w = &p->host->sim->world;
    p->timeouts++;
    p->next = p->acked;
    p->repeats = 0;
    p->rto = 2 * p->rto < RTO_MOST ? 2 * p->rto : RTO_MOST;
    sim_event_set(w, &p->event, w->now + p->rto);
    send_window(p);
}

void sim_stream_acked(struct sim_program *p, uint64_t next)
{
    struct sim_world *w = &p->host->sim->world;
    if (p->phase != SIM_RUNNING || next > p->count)
        return;
    if (next > p->acked) {
        p->acked = next;
        if (p->next < next)
            p->next = next;
        p->repeats = 0;
        p->rto = RTO_FIRST;
        if (w->now - p->progress > p->stalled)
            p->stalled = w->now - p->progress;
        p->progress = w->now;
        if (p->acked == p->count) {
            sim_program_end(p, SIM_DONE);
            return;
        }
        sim_event_set(w, &p->event, w->now + p->rto);
    } else if (next == p->acked && ++p->repeats == REPEATS) {
        p->next = p->acked;
    }
    send_window(p);
}

/* ---- arriving ---- */

static struct sim_stream *stream_get(struct sim_host *h, const struct sim_packet *packet,
                                     const struct sim_payload *payload)
{
    struct sim_stream *s = h->streams;
    while (s && (s->serial != payload->serial || s->host != payload->host))
        s = s->after;
    if (s)
        return s;
    s = base_calloc(1, sizeof *s);
    s->peer = packet->source;
    s->port = packet->source_port;
    s->host = payload->host;
    s->serial = payload->serial;
    s->after = h->streams;
    return h->streams = s;
}

static void answer(struct sim_host *h, const struct sim_stream *s)
{
    uint8_t payload[SIM_PAYLOAD_MIN], packet[SIM_PACKET_MAX];
    struct sim_payload head = {.host = (uint16_t)h->index,
                               .kind = SIM_PAYLOAD_ACK,
                               .serial = s->serial,
                               .number = s->next};
    struct sim_packet p = {.kind = SIM_PACKET_UDP,
                           .source = h->tun[s->peer.family == 6],
                           .destination = s->peer,
                           .source_port = SIM_STREAM_PORT,
                           .destination_port = s->port,
                           .payload = payload,
                           .size = sizeof payload};
    sim_payload_write(payload, sizeof payload, &head);
    size_t size = sim_packet_write(&p, NULL, packet, sizeof packet);
    sim_host_send(h, packet, size, NULL);
}

void sim_stream_data(struct sim_host *h, const struct sim_packet *packet,
                     const struct sim_payload *payload)
{
    struct sim_world *w = &h->sim->world;
    struct sim_stream *s = stream_get(h, packet, payload);
    const uint8_t *data = packet->payload + SIM_PAYLOAD_MIN;
    size_t size = packet->size - SIM_PAYLOAD_MIN;

    if (!ip_address_equal(&s->peer, &packet->source) || s->port != packet->source_port) {
        char before[ADDRESS_TEXT], now[ADDRESS_TEXT];
        sim_fail(w, "%s: the transfer from %s comes from %s now, it was %s", h->node.name,
                 h->sim->host[s->host]->node.name, ip_address_format(&packet->source, now),
                 ip_address_format(&s->peer, before));
        return;
    }
    for (size_t i = 0; i < size; i++)
        if (data[i] != sim_payload_byte(payload->serial, payload->number + i)) {
            sim_fail(w, "%s: byte %llu of a transfer from %s is wrong", h->node.name,
                     (unsigned long long)(payload->number + i), h->sim->host[s->host]->node.name);
            return;
        }
    if (payload->number == s->next) {
        s->next += size;
        sim_meter_add(h->sim, SIM_SERIES_STREAMED, w->now, (int64_t)size);
    }
    answer(h, s);
}

void sim_streams_free(struct sim_host *h)
{
    while (h->streams) {
        struct sim_stream *s = h->streams;
        h->streams = s->after;
        free(s);
    }
}
