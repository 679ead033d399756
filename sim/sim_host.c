/* A machine's life: its daemon is started, stopped, killed and suspended, and what its programs do
 * goes in. */
#include "sim/sim_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "overlay/overlay.h"
#include "packet/ip.h"
#include "sim/sim_churn.h"
#include "sim/sim_program.h"
#include "sim/sim_pump.h"
#include "sim/sim_seen.h"
#include "sim/sim_stream.h"

#define PACKETS 4096
#define FLOWS   1024

struct sim_host *sim_host_new(struct sim *s, const char *name)
{
    char purpose[SIM_NAME + 8];
    struct sim_host *h = base_calloc(1, sizeof *h);
    h->sim = s;
    h->index = s->hosts;
    h->last = &h->first;
    h->node.deliver = sim_pump_deliver;
    h->tick.run = sim_pump_tick;
    snprintf(purpose, sizeof purpose, "host %s", name);
    sim_world_stream(&s->world, purpose, &h->random);
    entropy_fill(&h->random.entropy, h->seed, sizeof h->seed);
    h->pool6 = (struct ip_prefix){.ip = {.family = 6, .bytes = {0xFD}}, .length = 48};
    entropy_fill(&h->random.entropy, h->pool6.ip.bytes + 1, 5);
    sim_node_add(&s->net, &h->node, name);
    s->host = base_realloc(s->host, (s->hosts + 1) * sizeof(struct sim_host *));
    s->host[s->hosts++] = h;
    return h;
}

void sim_host_free(struct sim_host *h)
{
    sim_churn_end(h);
    sim_host_crash(h);
    sim_programs_free(h);
    while (h->questions)
        sim_host_forget_questions(h, h->questions->context);
    while (h->answers) {
        struct sim_answered *a = h->answers;
        h->answers = a->next;
        free(a);
    }
    sim_pump_clear(h);
    for (unsigned i = 0; i < HOST_FILES; i++)
        free(h->file[i].bytes);
    sim_settings_done(&h->settings);
    free(h->reply);
    free(h->log);
    free(h);
}

static struct config *parse(struct sim_host *h, char *error, size_t size)
{
    const char *types[32] = {NULL};
    unsigned count;
    const struct overlay_class *const *classes = overlay_classes(&count);
    for (unsigned i = 0; i < count && i < 31; i++)
        types[i] = classes[i]->name;
    char *text = sim_config_text(h);
    struct config_error e;
    struct config *c = config_parse(text, strlen(text), h->node.name, types, &e);
    if (!c)
        config_error_format(&e, error, size);
    free(text);
    return c;
}

static void choose_addresses(struct sim_host *h)
{
    h->pool4 = h->config->handles.ipv4;
    if (h->config->handles.ipv6.ip.family)
        h->pool6 = h->config->handles.ipv6;
    h->tun[0] = h->pool4.ip;
    h->tun[0].bytes[3] |= 1;
    h->tun[1] = h->pool6.ip;
    h->tun[1].bytes[15] |= 1;
}

static bool start_host(struct sim_host *h, char *error, size_t size)
{
    struct host_settings s = {.config = h->config,
                              .tun4 = h->tun[0],
                              .tun6 = h->tun[1],
                              .pool4 = h->pool4,
                              .pool6 = h->pool6,
                              .tun_mtu = (uint16_t)h->config->tun.mtu,
                              .workers = h->workers,
                              .epoch = h->epoch,
                              .entropy = &h->random.entropy,
                              .wall = h->wall = sim_wall(h->sim)};
    struct host_overlay_keys *keys = sim_config_keys(h, h->config);
    s.keys = keys;
    for (unsigned i = 0; i < HOST_FILES; i++) {
        s.file[i].bytes = h->file[i].bytes;
        s.file[i].size = h->file[i].size;
    }
    h->host = host_new(&s, h->sim->world.now, error, size);
    free(keys);
    if (!h->host)
        return false;
    for (unsigned i = 0; i < HOST_FILES; i++)
        h->file[i].size = h->file[i].stable = host_file_good(h->host, (enum host_file)i);
    return true;
}

static void open_sockets(struct sim_host *h)
{
    struct host_socket wanted[SIM_SOCKETS_MAX];
    h->sockets = host_sockets(h->host, wanted, SIM_SOCKETS_MAX);
    for (unsigned i = 0; i < h->sockets; i++) {
        h->socket[i] = (struct sim_socket){.index = wanted[i].index, .at = wanted[i].listen};
        if (!h->socket[i].at.port)
            h->socket[i].at.port = (uint16_t)(49152 + entropy_below(&h->random.entropy, 16384));
        host_socket_bound(h->host, h->sim->world.now, wanted[i].index, &h->socket[i].at);
    }
}

static void open_workers(struct sim_host *h)
{
    for (unsigned w = 0; w < h->workers; w++) {
        struct forward_settings f = {.worker = w,
                                     .workers = h->workers,
                                     .tun_mtu = (uint16_t)h->config->tun.mtu,
                                     .seal_checksums_open = true,
                                     .flows = FLOWS,
                                     .entropy = &h->random.entropy};
        h->forward[w] = forward_new(&f, host_tables(h->host), h->pool);
    }
}

static void flow_known(struct sim_host *h, const struct ip_address *peer, bool ours, uint16_t local,
                       uint16_t remote)
{
    struct forward_flow flow = {
        .protocol = IP_UDP, .ours = ours, .local_port = local, .remote_port = remote};
    if (!host_handle_addresses(h->host, peer, &flow.handle4, &flow.handle6))
        return;
    for (unsigned w = 0; w < h->workers; w++)
        forward_flow_known(h->forward[w], h->sim->world.now, &flow);
}

/* What programs have connected before this daemon was started, as the kernel would tell. */
static void flows_known(struct sim_host *h)
{
    for (const struct sim_program *p = h->programs; p; p = p->after)
        if (p->phase == SIM_RUNNING && p->ip.family && (p->udp || p->kind == SIM_STREAM))
            flow_known(h, &p->ip, true, (uint16_t)(SIM_CLIENT_PORT + p->serial % 20000),
                       p->udp ? SIM_ECHO_PORT : SIM_STREAM_PORT);
    for (const struct sim_stream *s = h->streams; s; s = s->after)
        flow_known(h, &s->peer, false, SIM_STREAM_PORT, s->port);
}

static void add_drops(void *self, struct drop_counters *sum)
{
    struct sim_host *h = self;
    for (unsigned w = 0; w < h->workers; w++)
        for (int reason = 0; reason < DROP_COUNT; reason++)
            sum->packets[reason] +=
                drop_read(forward_drops(h->forward[w]), (enum drop_reason)reason);
}

bool sim_host_start(struct sim_host *h, char *error, size_t size)
{
    if (h->state != SIM_DOWN) {
        snprintf(error, size, "%s is running already", h->node.name);
        return false;
    }
    h->config = parse(h, error, size);
    if (!h->config)
        return false;
    choose_addresses(h);
    h->workers = h->config->workers ? h->config->workers : 1;
    if (h->workers > SIM_WORKERS_MAX)
        h->workers = SIM_WORKERS_MAX;
    h->epoch = epoch_new(h->workers);
    h->pool = packet_pool_new(PACKETS);
    if (!start_host(h, error, size)) {
        sim_host_crash(h);
        return false;
    }
    open_sockets(h);
    open_workers(h);
    flows_known(h);
    host_set_owner(h->host, &(struct host_owner){.self = h, .add_drops = add_drops});
    h->state = SIM_UP;
    h->starts++;
    h->sim->meter.starts++;
    sim_trace(&h->sim->world, h->node.name, "start", "\"times\":%u", h->starts);
    sim_pump(h);
    return true;
}

/* Ends the daemon without a word. */
static void destroy(struct sim_host *h)
{
    sim_event_unset(&h->sim->world, &h->tick);
    host_free(h->host); /* retires lanes, whose pieces belong to the workers' pool */
    h->host = NULL;
    if (h->epoch)
        epoch_free(h->epoch);
    h->epoch = NULL;
    for (unsigned w = 0; w < h->workers; w++) {
        forward_free(h->forward[w]);
        h->forward[w] = NULL;
    }
    packet_pool_free(h->pool);
    h->pool = NULL;
    config_free(h->config);
    h->config = NULL;
    sim_pump_clear(h);
    h->workers = h->sockets = 0;
    h->control_client = 0;
    h->state = SIM_DOWN;
}

void sim_host_stop(struct sim_host *h)
{
    if (h->state != SIM_UP)
        return;
    host_stop(h->host, h->sim->world.now);
    sim_pump(h);
    sim_trace(&h->sim->world, h->node.name, "stop", "%s", "");
    for (unsigned i = 0; i < HOST_FILES; i++)
        h->file[i].stable = h->file[i].size;
    destroy(h);
}

/* What had not reached the disk is lost from some byte on. */
static void tear(struct sim_host *h, struct sim_file *f)
{
    if (h->sim->world.now < f->synced && f->size > f->stable) {
        f->size =
            f->stable + entropy_below(&h->random.entropy, (uint32_t)(f->size - f->stable) + 1);
        sim_seen_lost(h, f->dirty);
    }
    f->stable = f->size;
}

void sim_host_crash(struct sim_host *h)
{
    if (h->state != SIM_DOWN) {
        sim_trace(&h->sim->world, h->node.name, "crash", "%s", "");
        h->sim->meter.crashes++;
        for (unsigned i = 0; i < HOST_FILES; i++)
            tear(h, &h->file[i]);
    }
    destroy(h);
}

void sim_host_suspend(struct sim_host *h)
{
    if (h->state != SIM_UP)
        return;
    sim_trace(&h->sim->world, h->node.name, "suspend", "%s", "");
    h->state = SIM_ASLEEP;
    sim_event_unset(&h->sim->world, &h->tick);
}

void sim_host_resume(struct sim_host *h)
{
    if (h->state != SIM_ASLEEP)
        return;
    sim_trace(&h->sim->world, h->node.name, "resume", "%s", "");
    h->state = SIM_UP;
    host_wall(h->host, h->wall = sim_wall(h->sim));
    host_underlay_changed(h->host, h->sim->world.now);
    sim_pump(h);
}

bool sim_host_move(struct sim_host *h, struct sim_network *network, const struct ip_address *ip)
{
    char text[ADDRESS_TEXT];
    struct sim_port *port = sim_port_find(&h->node, network);
    if (!port || !sim_port_move(&h->node, port, ip))
        return false;
    sim_trace(&h->sim->world, h->node.name, "move", "\"net\":\"%s\",\"to\":\"%s\"", network->name,
              ip_address_format(ip, text));
    if (h->state == SIM_UP) {
        host_underlay_changed(h->host, h->sim->world.now);
        sim_pump(h);
    }
    return true;
}

bool sim_host_reload(struct sim_host *h, char *error, size_t size)
{
    if (h->state != SIM_UP) {
        snprintf(error, size, "%s is not running", h->node.name);
        return false;
    }
    struct config *c = parse(h, error, size);
    if (!c)
        return false;
    struct host_overlay_keys *keys = sim_config_keys(h, c);
    int result = host_reload(h->host, h->sim->world.now, c, keys, error, size);
    free(keys);
    sim_trace(&h->sim->world, h->node.name, "reload", "\"result\":%d", result);
    config_free(result ? c : h->config);
    if (!result)
        h->config = c;
    sim_pump(h);
    return !result;
}

/* ---- programs ---- */

void sim_host_send(struct sim_host *h, const uint8_t *bytes, size_t size,
                   const struct packet_offload *offload)
{
    h->captured++;
    if (h->state != SIM_UP) {
        h->unreachable++; /* the pools have unreachable routes while there is no daemon */
        return;
    }
    sim_pump_captured(h, bytes, size, offload);
}

static void no_answer(struct sim_event *e, struct sim_world *w)
{
    struct sim_question *q = (struct sim_question *)e, **at = &q->host->questions;
    struct sim_answer none = {.none = true};
    (void)w;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    q->answered(q->context, &none);
    free(q);
}

void sim_host_ask(struct sim_host *h, const char *name, enum sim_dns_type type, instant limit,
                  void (*answered)(void *context, const struct sim_answer *answer), void *context)
{
    uint8_t query[SIM_DNS_MAX];
    struct sim_question *q = base_calloc(1, sizeof *q);
    q->timeout.run = no_answer;
    q->host = h;
    q->client = ++h->next_client;
    q->id = (uint16_t)(q->client * 7919);
    q->answered = answered;
    q->context = context;
    q->next = h->questions;
    h->questions = q;
    sim_event_set(&h->sim->world, &q->timeout, h->sim->world.now + limit);
    size_t size = sim_dns_write(q->id, name, type, query, sizeof query);
    if (h->state != SIM_UP || !size)
        return;
    struct dns_client client = {.id = q->client, .user = 1000};
    host_dns_query(h->host, h->sim->world.now, &client, query, size);
    sim_pump(h);
}

void sim_host_forget_questions(struct sim_host *h, const void *context)
{
    for (struct sim_question **at = &h->questions; *at;) {
        struct sim_question *q = *at;
        if (q->context != context) {
            at = &q->next;
            continue;
        }
        *at = q->next;
        sim_event_unset(&h->sim->world, &q->timeout);
        free(q);
    }
}

void sim_host_control(struct sim_host *h, const char *request)
{
    h->reply_size = 0;
    sim_append(&h->reply, &h->reply_size, "", 0);
    if (h->state != SIM_UP)
        return;
    char *line = base_calloc(1, strlen(request) + 2);
    strcpy(line, request);
    strcat(line, "\n");
    if (h->control_client)
        host_control_close(h->host, h->control_client);
    h->control_client = ++h->next_client;
    host_control_open(h->host, h->control_client, true);
    host_control_input(h->host, h->sim->world.now, h->control_client, (uint8_t *)line,
                       strlen(line));
    free(line);
    sim_pump(h);
}

bool sim_host_is(const struct sim_host *h, const char *name)
{
    for (const struct sim_instance *i = h->sim->instances; i; i = i->next)
        for (unsigned m = 0; m < i->members; m++) {
            char own[NAME_TEXT];
            snprintf(own, sizeof own, "%s.%s", i->member[m].alias, i->name);
            if (i->member[m].host == h && !strcmp(own, name))
                return true;
        }
    return false;
}
