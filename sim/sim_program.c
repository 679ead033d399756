/* Programs and the machine's kernel: who gets a packet, and what it answers. */
#include "sim/sim_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "sim/sim_ping.h"
#include "sim/sim_seen.h"
#include "sim/sim_stream.h"

static struct sim_world *world(const struct sim_program *p)
{
    return &p->host->sim->world;
}

/* ---- payload ---- */

void sim_payload_write(uint8_t *out, size_t room, const struct sim_payload *p)
{
    struct writer w = writer_over(out, room);
    write_bytes(&w, SIM_PLAIN, SIM_PLAIN_SIZE);
    write_u16(&w, p->host);
    write_u8(&w, p->kind);
    write_u32(&w, p->serial);
    write_u64(&w, p->number);
    require(!w.failed);
}

static bool payload_read(const struct sim_packet *packet, struct sim_payload *ret)
{
    struct reader r = reader_over(packet->payload, packet->size);
    const uint8_t *plain = read_bytes(&r, SIM_PLAIN_SIZE);
    ret->host = read_u16(&r);
    ret->kind = read_u8(&r);
    ret->serial = read_u32(&r);
    ret->number = read_u64(&r);
    return !r.failed && !memcmp(plain, SIM_PLAIN, SIM_PLAIN_SIZE);
}

uint8_t sim_payload_byte(uint32_t serial, uint64_t at)
{
    uint64_t x = (at ^ (uint64_t)serial << 40) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint8_t)(x >> 56);
}

void sim_program_send(struct sim_program *p, uint8_t kind, uint64_t number, size_t size)
{
    uint8_t payload[SIM_PACKET_MAX], bytes[SIM_PACKET_MAX];
    struct packet_offload offload = {0};
    struct sim_payload head = {
        .host = (uint16_t)p->host->index, .kind = kind, .serial = p->serial, .number = number};
    struct sim_packet packet = {
        .kind = p->kind == SIM_PING && !p->udp ? SIM_PACKET_ECHO : SIM_PACKET_UDP,
        .source = p->host->tun[p->v6],
        .destination = p->ip,
        .id = (uint16_t)p->serial,
        .sequence = (uint16_t)number,
        .source_port = (uint16_t)(SIM_CLIENT_PORT + p->serial % 20000),
        .destination_port = p->kind == SIM_PING ? SIM_ECHO_PORT : SIM_STREAM_PORT,
        .payload = payload,
        .size = SIM_PAYLOAD_MIN + size};

    require(packet.size <= sizeof payload);
    sim_payload_write(payload, sizeof payload, &head);
    for (size_t i = 0; i < size; i++)
        payload[SIM_PAYLOAD_MIN + i] = sim_payload_byte(p->serial, number + i);
    p->open_sums = !p->open_sums; /* every second sum is left to others, as a kernel may */
    size_t total = sim_packet_write(&packet, p->open_sums ? &offload : NULL, bytes, sizeof bytes);
    sim_host_send(p->host, bytes, total, &offload);
}

/* ---- life ---- */

static const char *const kind_name[] = {
    [SIM_LOOKUP] = "lookup", [SIM_PING] = "ping", [SIM_STREAM] = "stream"};

void sim_program_end(struct sim_program *p, enum sim_phase phase)
{
    char text[256], safe[512];
    p->phase = phase;
    p->ended = world(p)->now;
    sim_event_unset(world(p), &p->event);
    if (p->kind == SIM_PING)
        sim_ping_ended(p);
    else if (p->kind == SIM_STREAM)
        sim_meter_sample(p->host->sim, SIM_SAMPLES_STALL, p->stalled);
    else if (phase == SIM_DONE)
        sim_meter_sample(p->host->sim, SIM_SAMPLES_LOOKUP, p->ended - p->began);
    snprintf(text, sizeof text, "%s", phase == SIM_DONE ? "done" : "failed");
    sim_trace(world(p), p->host->node.name, kind_name[p->kind],
              "\"serial\":%u,\"name\":\"%s\",\"result\":\"%s\",\"sent\":%llu,\"received\":%llu,"
              "\"acked\":%llu",
              p->serial, sim_json(p->name, safe, sizeof safe), text, (unsigned long long)p->sent,
              (unsigned long long)p->received, (unsigned long long)p->acked);
}

static void ask(struct sim_program *p);

static void looked_up(void *context, const struct sim_answer *answer)
{
    struct sim_program *p = context;
    p->answer = *answer;
    p->asked = false;
    if (!sim_seen_answer(p->host, p->name, p->v6, answer))
        return;
    if (!answer->ip.family) {
        bool again = p->insist || p->kind == SIM_STREAM;
        if (again)
            sim_event_set(world(p), &p->event, world(p)->now + SIM_LOOKUP_PAUSE);
        else
            sim_program_end(p, SIM_FAILED);
        return;
    }
    p->ip = answer->ip;
    if (p->kind == SIM_LOOKUP)
        sim_program_end(p, SIM_DONE);
    else if (p->kind == SIM_PING)
        sim_ping_send(p);
    else
        sim_stream_begin(p);
}

static void ask(struct sim_program *p)
{
    p->asked = true;
    sim_host_ask(p->host, p->name, p->v6 ? SIM_DNS_AAAA : SIM_DNS_A, SIM_LOOKUP_LIMIT, looked_up,
                 p);
}

static void program_run(struct sim_event *e, struct sim_world *w)
{
    struct sim_program *p = (struct sim_program *)e;
    if (p->host->state == SIM_ASLEEP) {
        sim_event_set(w, e, w->now + 50 * MILLISECOND);
        return;
    }
    if (!p->ip.family)
        ask(p);
    else if (p->kind == SIM_STREAM)
        sim_stream_timeout(p);
    else if (p->sent == p->count && !p->insist)
        sim_program_end(p, p->received ? SIM_DONE : SIM_FAILED);
    else
        sim_ping_send(p);
}

struct sim_program *sim_program_start(struct sim_host *h, const struct sim_order *order)
{
    struct sim_program *p = base_calloc(1, sizeof *p), **last = &h->programs;
    p->event.run = program_run;
    p->host = h;
    p->serial = h->sim->next_serial++;
    p->kind = order->kind;
    snprintf(p->name, sizeof p->name, "%s", order->name);
    p->v6 = order->v6;
    p->udp = order->udp;
    p->insist = order->insist;
    p->count = order->count;
    p->every = order->every ? order->every : SECOND;
    p->size = order->size;
    if (p->kind == SIM_STREAM && !p->size)
        p->size = 1000;
    p->kept = p->held = order->kept;
    p->began = world(p)->now;
    while (*last)
        last = &(*last)->after;
    *last = p;
    if (order->after)
        sim_event_set(world(p), &p->event, p->began + order->after);
    else
        ask(p);
    return p;
}

struct sim_program *sim_program_find(const struct sim_host *h, enum sim_kind kind, const char *name)
{
    struct sim_program *found = NULL;
    for (struct sim_program *p = h->programs; p; p = p->after)
        if (p->kind == kind && !strcmp(p->name, name))
            found = p;
    return found;
}

static void program_free(struct sim_program *p)
{
    sim_event_unset(world(p), &p->event);
    sim_host_forget_questions(p->host, p);
    free(p->history);
    free(p);
}

void sim_programs_clear(struct sim_host *h)
{
    for (struct sim_program **at = &h->programs; *at;) {
        struct sim_program *p = *at;
        if (p->phase == SIM_RUNNING || p->held) {
            at = &p->after;
            continue;
        }
        *at = p->after;
        program_free(p);
    }
}

void sim_programs_free(struct sim_host *h)
{
    while (h->programs) {
        struct sim_program *p = h->programs;
        h->programs = p->after;
        program_free(p);
    }
    sim_streams_free(h);
    sim_seen_free(h);
}

/* ---- packets ---- */

static struct sim_program *program_of(const struct sim_host *h, const struct sim_packet *packet)
{
    for (struct sim_program *p = h->programs; p; p = p->after) {
        bool echo = packet->kind == SIM_PACKET_ECHO_REPLY && packet->id == (uint16_t)p->serial &&
                    p->kind == SIM_PING && !p->udp;
        bool udp = packet->kind == SIM_PACKET_UDP &&
                   packet->destination_port == SIM_CLIENT_PORT + p->serial % 20000;
        if ((echo || udp) && p->phase == SIM_RUNNING)
            return p;
    }
    return NULL;
}

/* The machine's own answer to an echo request. */
static void echo(struct sim_host *h, const struct sim_packet *in)
{
    uint8_t bytes[SIM_PACKET_MAX];
    struct sim_packet out = *in;
    out.kind = in->kind == SIM_PACKET_ECHO ? SIM_PACKET_ECHO_REPLY : SIM_PACKET_UDP;
    out.source = in->destination;
    out.destination = in->source;
    out.source_port = in->destination_port;
    out.destination_port = in->source_port;
    size_t size = sim_packet_write(&out, NULL, bytes, sizeof bytes);
    sim_host_send(h, bytes, size, NULL);
}

static void to_program(struct sim_host *h, const struct sim_packet *packet,
                       const struct sim_payload *payload)
{
    struct sim_program *p = program_of(h, packet);
    if (!p)
        return; /* it has ended */
    if (!ip_address_equal(&p->ip, &packet->source)) {
        char from[ADDRESS_TEXT], asked[ADDRESS_TEXT];
        sim_fail(world(p), "%s: the answer of %s came from %s, not from %s", h->node.name, p->name,
                 ip_address_format(&packet->source, from), ip_address_format(&p->ip, asked));
    } else if (p->kind == SIM_PING) {
        sim_ping_answered(p, payload->number, payload->serial);
    } else if (payload->kind == SIM_PAYLOAD_ACK && payload->serial == p->serial) {
        sim_stream_acked(p, payload->number);
    }
}

/* An ICMP error: its source is a handle, which is all that is checked. */
static void unreachable(struct sim_host *h, const struct sim_packet *packet)
{
    for (struct sim_program *p = h->programs; p; p = p->after)
        if (p->phase == SIM_RUNNING && ip_address_equal(&p->ip, &packet->source))
            p->unreachable++;
}

void sim_program_packet(struct sim_host *h, const uint8_t *bytes, size_t size,
                        const struct packet_offload *offload)
{
    struct sim_world *w = &h->sim->world;
    struct sim_packet packet;
    struct sim_payload payload;
    const char *fault = sim_packet_read(bytes, size, offload, &packet);
    bool v6 = packet.source.family == 6;

    if (!fault && !ip_address_equal(&packet.destination, &h->tun[v6]))
        fault = "a destination that is not the capture's address";
    if (!fault && !ip_prefix_holds(v6 ? &h->pool6 : &h->pool4, &packet.source))
        fault = "a source that is no handle";
    if (fault) {
        sim_fail(w, "%s: a packet with %s reached the capture", h->node.name, fault);
        return;
    }
    if (packet.kind == SIM_PACKET_ERROR) {
        unreachable(h, &packet);
        return;
    }
    if (!payload_read(&packet, &payload) || payload.host >= h->sim->hosts) {
        sim_fail(w, "%s: a packet with another content than was sent reached the capture",
                 h->node.name);
        return;
    }
    /* An echoed payload is the asking machine's own. */
    bool reply = packet.kind == SIM_PACKET_ECHO_REPLY ||
                 (packet.kind == SIM_PACKET_UDP && packet.source_port == SIM_ECHO_PORT);
    if (!reply && !sim_seen_from(h, &packet.source, payload.host))
        return;
    if (packet.kind == SIM_PACKET_ECHO ||
        (packet.kind == SIM_PACKET_UDP && packet.destination_port == SIM_ECHO_PORT))
        echo(h, &packet);
    else if (packet.kind == SIM_PACKET_UDP && packet.destination_port == SIM_STREAM_PORT)
        sim_stream_data(h, &packet, &payload);
    else
        to_program(h, &packet, &payload);
}
