#include "host/host_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#define LATENCY MILLISECOND

struct datagram {
    struct datagram *next;
    instant due;
    struct endpoint from, to;
    size_t size;
    uint8_t bytes[];
};

/* Beta has no list of members: it is found, it does not look. */
const char alpha_yaml[] = "name: alpha\n"
                          "overlays:\n"
                          "  - instance: east.ip\n"
                          "    listen: 10.0.0.1:7400\n"
                          "    secret: s\n"
                          "    members:\n"
                          "      - {name: beta, at: 10.0.0.2:7400}\n"
                          "      - {name: gate, at: 10.0.0.3:7400}\n"
                          "      - {name: nobody, at: 10.0.0.9:7400}\n"
                          "      - {name: byname, at: byname.example.org:7400}\n"
                          "rules:\n"
                          "  - {names: '*.west.ip', via: gate.east.ip}\n"
                          "believe:\n"
                          "  - {gateway: gate.east.ip, instances: [west.ip]}\n";
const char beta_yaml[] = "name: beta\n"
                         "overlays:\n"
                         "  - {instance: east.ip, listen: 10.0.0.2:7400, secret: s}\n";
const char gate_yaml[] = "name: gate\n"
                         "overlays:\n"
                         "  - {instance: east.ip, listen: 10.0.0.3:7400, secret: s}\n"
                         "  - instance: west.ip\n"
                         "    listen: 10.0.0.3:7401\n"
                         "    secret: s\n"
                         "    members:\n"
                         "      - {name: gamma, at: 10.0.0.4:7401}\n"
                         "forward:\n"
                         "  - {from: east.ip, to: west.ip}\n";
const char gamma_yaml[] = "name: gamma\n"
                          "overlays:\n"
                          "  - {instance: west.ip, listen: 10.0.0.4:7401, secret: s}\n"
                          "believe:\n"
                          "  - {gateway: gate.west.ip, instances: [east.ip]}\n"
                          "policy:\n"
                          "  - {peer: '*.east.ip', allow: [icmp, udp/7]}\n";

/* ---- the network ---- */

static void fly(struct machine *m, uint16_t socket, const struct endpoint *to, const void *bytes,
                size_t size)
{
    struct datagram *d = base_calloc(1, sizeof *d + size);
    d->due = m->lan->now + LATENCY;
    d->from = m->socket[socket];
    d->to = *to;
    d->size = size;
    memcpy(d->bytes, bytes, size);
    if (m->cut) {
        free(d);
        return;
    }
    *m->lan->last = d;
    m->lan->last = &d->next;
}

static void land(struct lan *lan, const struct datagram *d)
{
    for (unsigned i = 0; i < lan->machines; i++) {
        struct machine *m = &lan->machine[i];
        for (unsigned s = 0; m->host && !m->cut && s < m->sockets; s++) {
            if (!endpoint_equal(&m->socket[s], &d->to))
                continue;
            struct packet *p = packet_take(m->pool);
            assert_true(packet_fill(p, d->bytes, d->size));
            p->arrival = (struct arrival){
                .socket = (uint16_t)s, .local = {.ip = d->to.ip}, .remote = d->from};
            forward_underlay(m->forward, lan->now, &p, 1);
            machine_pump(m);
        }
    }
}

/* ---- one machine's outputs ---- */

static void take_reply(struct machine *m, const struct host_out *out)
{
    ldns_pkt *pkt;
    struct reply *r = &m->reply[out->client.id % 64];
    assert_int_equal(ldns_wire2pkt(&pkt, out->bytes, out->size), LDNS_STATUS_OK);
    *r = (struct reply){.came = true, .rcode = ldns_pkt_get_rcode(pkt)};
    ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_answer(pkt), 0);
    if (rr) {
        char *text = ldns_rdf2str(ldns_rr_rdf(rr, 0));
        bool is_name = ldns_rr_get_type(rr) == LDNS_RR_TYPE_PTR;
        snprintf(is_name ? r->name : r->address, is_name ? sizeof r->name : sizeof r->address, "%s",
                 text);
        free(text);
    }
    const ldns_rdf *options = ldns_pkt_edns_data(pkt);
    const uint8_t *bytes = options ? ldns_rdf_data(options) : NULL;
    if (bytes && ldns_rdf_size(options) > 6 && bytes[1] == 15)
        snprintf(r->words, sizeof r->words, "%.*s", (int)ldns_rdf_size(options) - 6, bytes + 6);
    ldns_pkt_free(pkt);
}

static void take_journal(struct machine *m, const struct host_out *out)
{
    enum host_file file = out->file;
    size_t at = out->rewrite ? 0 : m->file[file].size;
    if (m->file[file].full) {
        m->file[file].refused++;
        host_journal_lost(m->host, m->lan->now, file);
        return;
    }
    assert_true(at + out->size <= sizeof m->file[file].bytes);
    memcpy(m->file[file].bytes + at, out->bytes, out->size);
    m->file[file].size = at + out->size;
    m->file[file].rewrites += out->rewrite;
    m->file[file].appends += !out->rewrite;
}

static void add_text(char *to, size_t room, size_t *length, const void *bytes, size_t size)
{
    assert_true(*length + size + 1 < room);
    memcpy(to + *length, bytes, size);
    *length += size;
    to[*length] = 0;
}

static struct config *read_config(const char *yaml)
{
    static const char *const types[] = {"ip", NULL};
    struct config_error error;
    struct config *c = config_parse(yaml, strlen(yaml), "ocala.yaml", types, &error);
    if (!c)
        fail_msg("%u:%u: %s", error.where.line, error.where.column, error.text);
    return c;
}

/* What is in a file follows from the names of the instance and of the file. */
static struct host_overlay_keys *make_keys(const struct machine *m, const struct config *c)
{
    struct host_overlay_keys *keys = base_calloc(c->overlay_count, sizeof *keys);
    for (unsigned i = 0; i < c->overlay_count; i++) {
        const struct config_overlay *o = &c->overlays[i];
        memcpy(keys[i].seed, m->seed, 32);
        if (strstr(o->key.text, "other"))
            keys[i].seed[0] ^= 1;
        keys[i].secret_count = o->secret_count;
        for (unsigned s = 0; s < o->secret_count; s++)
            snprintf((char *)keys[i].secret[s], 32, "%s %s", o->instance, o->secrets[s].text);
    }
    return keys;
}

static void reload(struct machine *m, uint64_t client)
{
    char error[512];
    struct config *fresh = read_config(m->reload_yaml), *old = m->config;
    struct host_overlay_keys *keys = make_keys(m, fresh);
    bool refused = host_reload(m->host, m->lan->now, fresh, keys, error, sizeof error);
    free(keys);
    host_reload_done(m->host, client, refused ? error : NULL);
    m->config = refused ? old : fresh;
    config_free(refused ? fresh : old);
}

static void captured(struct machine *m, const void *bytes, size_t size)
{
    assert_true(size <= sizeof m->captured);
    assert_true(craft_sums_right(bytes, size));
    memcpy(m->captured, bytes, size);
    m->captured_size = size;
    m->captured_count++;
}

static void inject(struct machine *m, const struct host_out *out)
{
    struct packet *p = packet_take(m->pool);
    assert_true(packet_fill(p, out->bytes, out->size));
    p->offload = out->offload;
    p->arrival = out->arrival;
    forward_handed_over(m->forward, m->lan->now, p, out->from_capture);
}

static void take(struct machine *m, const struct host_out *out)
{
    switch (out->kind) {
    case HOST_OUT_SEND:
        fly(m, out->socket, &out->remote, out->bytes, out->size);
        break;
    case HOST_OUT_CAPTURE:
        captured(m, out->bytes, out->size);
        break;
    case HOST_OUT_INJECT:
        inject(m, out);
        break;
    case HOST_OUT_DNS_REPLY:
        take_reply(m, out);
        break;
    case HOST_OUT_DNS_UPSTREAM:
        assert_true(out->size <= sizeof m->upstream);
        memcpy(m->upstream, out->bytes, m->upstream_size = out->size);
        break;
    case HOST_OUT_CONTROL:
        add_text(m->control, sizeof m->control, &m->control_size, out->bytes, out->size);
        break;
    case HOST_OUT_JOURNAL:
        take_journal(m, out);
        break;
    case HOST_OUT_LOG:
        add_text(m->log, sizeof m->log, &m->log_size, out->text, strlen(out->text));
        add_text(m->log, sizeof m->log, &m->log_size, "\n", 1);
        break;
    case HOST_OUT_STOP:
        m->stop_wanted = true;
        break;
    case HOST_OUT_RELOAD:
        reload(m, out->control_client);
        break;
    case HOST_OUT_CONTROL_CLOSE:
        m->closed = true;
        break;
    }
}

static bool take_forward(struct machine *m)
{
    struct forward_out out;
    if (!forward_output(m->forward, &out))
        return false;
    if (out.kind == FORWARD_SEND)
        fly(m, out.socket, &out.remote, out.packet->data, out.packet->size);
    else if (out.kind == FORWARD_CAPTURE)
        captured(m, out.packet->data, out.packet->size);
    else
        host_punt(m->host, m->lan->now, &out);
    assert_int_not_equal(out.kind, FORWARD_HANDOVER);
    packet_give_back(out.packet);
    return true;
}

void machine_pump(struct machine *m)
{
    struct host_out out;
    bool again = true;
    host_wall(m->host, LAN_WALL + m->lan->now / SECOND);
    while (again) {
        again = take_forward(m);
        while (host_output(m->host, &out)) {
            take(m, &out);
            again = true;
        }
    }
    epoch_collect(m->epoch);
}

/* ---- time ---- */

static instant next_event(struct lan *lan)
{
    instant due = lan->first ? lan->first->due : INSTANT_NEVER;
    for (unsigned i = 0; i < lan->machines; i++)
        if (lan->machine[i].host)
            due = instant_min(due, host_deadline(lan->machine[i].host));
    return due;
}

static void step(struct lan *lan)
{
    struct datagram *d = lan->first;
    if (d && d->due <= lan->now) {
        lan->first = d->next;
        if (!lan->first)
            lan->last = &lan->first;
        land(lan, d);
        free(d);
        return;
    }
    for (unsigned i = 0; i < lan->machines; i++) {
        struct machine *m = &lan->machine[i];
        if (m->host && host_deadline(m->host) <= lan->now) {
            host_advance(m->host, lan->now);
            machine_pump(m);
        }
    }
}

bool lan_await(struct lan *lan, instant span, bool (*done)(void *context), void *context)
{
    instant end = lan->now + span;
    unsigned busy = 0;
    while (!done || !done(context)) {
        instant due = next_event(lan);
        if (due > end) {
            lan->now = end;
            return false;
        }
        busy = due > lan->now ? 0 : busy + 1;
        assert_true(busy < 100000); /* something is due for ever */
        lan->now = due > lan->now ? due : lan->now;
        step(lan);
    }
    return true;
}

void lan_run(struct lan *lan, instant span)
{
    lan_await(lan, span, NULL, NULL);
}

void lan_settle(struct lan *lan)
{
    lan_run(lan, SECOND);
}

/* ---- life ---- */

struct lan *lan_new(void)
{
    struct lan *lan = base_calloc(1, sizeof *lan);
    lan->now = 100 * SECOND;
    lan->last = &lan->first;
    return lan;
}

void lan_free(struct lan *lan)
{
    for (unsigned i = 0; i < lan->machines; i++)
        machine_crash(&lan->machine[i]);
    while (lan->first) {
        struct datagram *d = lan->first;
        lan->first = d->next;
        free(d);
    }
    free(lan);
}

static bool in_use(void *self, const struct ip_address *address)
{
    struct machine *m = self;
    return ip_address_equal(address, &m->in_use);
}

static void add_drops(void *self, struct drop_counters *sum)
{
    struct machine *m = self;
    for (unsigned i = 0; i < DROP_COUNT; i++)
        sum->packets[i] += drop_read(forward_drops(m->forward), i);
}

static const char *status(void *self)
{
    (void)self;
    return "{\"pid\": 42, \"config_age_s\": 1}";
}

static void open_sockets(struct machine *m)
{
    struct host_socket wanted[8];
    m->sockets = host_sockets(m->host, wanted, 8);
    for (unsigned i = 0; i < m->sockets; i++) {
        assert_int_equal(wanted[i].index, i);
        m->socket[i] = wanted[i].listen;
        host_socket_bound(m->host, m->lan->now, wanted[i].index, &m->socket[i]);
    }
}

void machine_start(struct machine *m)
{
    struct host_settings s = {.tun_mtu = 1400,
                              .workers = 1,
                              .upstreams = m->upstreams,
                              .entropy = &m->random.entropy,
                              .wall = LAN_WALL + m->lan->now / SECOND};
    char error[512] = "";
    s.config = m->config = read_config(m->yaml);
    struct host_overlay_keys *keys = make_keys(m, m->config);
    s.keys = keys;
    assert_true(ip_address_parse(TUN4, &s.tun4) && ip_address_parse(TUN6, &s.tun6));
    assert_true(ip_prefix_parse("198.18.0.0/15", &s.pool4) &&
                ip_prefix_parse("fd00::/48", &s.pool6));
    for (int i = 0; i < HOST_FILES; i++) {
        s.file[i].bytes = m->file[i].bytes;
        s.file[i].size = m->file[i].size;
    }
    s.epoch = m->epoch = epoch_new(1);
    m->pool = packet_pool_new(256);
    m->host = host_new(&s, m->lan->now, error, sizeof error);
    if (!m->host)
        fail_msg("%s", error);
    free(keys);
    for (int i = 0; i < HOST_FILES; i++)
        m->file[i].size = host_file_good(m->host, i);
    open_sockets(m);
    struct forward_settings f = {
        .workers = 1, .tun_mtu = 1400, .flows = 256, .entropy = &m->random.entropy};
    m->forward = forward_new(&f, host_tables(m->host), m->pool);
    host_set_owner(m->host, &(struct host_owner){.self = m,
                                                 .add_drops = add_drops,
                                                 .status = status,
                                                 .address_in_use = in_use});
    machine_pump(m);
}

void machine_crash(struct machine *m)
{
    if (!m->host)
        return;
    host_free(m->host);
    m->host = NULL;
    m->client = 0;
    epoch_free(m->epoch);
    forward_free(m->forward);
    packet_pool_free(m->pool); /* fails the test when a packet is missing */
    config_free(m->config);
}

struct machine *lan_machine(struct lan *lan, const char *yaml)
{
    struct machine *m = &lan->machine[lan->machines++];
    assert_true(lan->machines <= LAN_MACHINES);
    m->lan = lan;
    m->yaml = yaml;
    seeded_init(&m->random, lan->machines);
    entropy_fill(&m->random.entropy, m->seed, sizeof m->seed);
    machine_start(m);
    return m;
}

/* ---- programs ---- */

uint64_t machine_ask_now(struct machine *m, const char *name, unsigned type, uint32_t user)
{
    uint64_t id = ++m->questions;
    uint8_t *bytes;
    size_t size;
    ldns_pkt *pkt =
        ldns_pkt_query_new(ldns_dname_new_frm_str(name), type, LDNS_RR_CLASS_IN, LDNS_RD);
    ldns_pkt_set_id(pkt, (uint16_t)id);
    ldns_pkt_set_edns_udp_size(pkt, 1232);
    assert_int_equal(ldns_pkt2wire(&bytes, pkt, &size), LDNS_STATUS_OK);
    m->reply[id % 64] = (struct reply){0};
    struct dns_client client = {.id = id, .user = user};
    host_dns_query(m->host, m->lan->now, &client, bytes, size);
    free(bytes);
    ldns_pkt_free(pkt);
    machine_pump(m);
    return id;
}

static bool has_come(void *context)
{
    const struct reply *r = context;
    return r->came;
}

struct reply *machine_ask_as(struct machine *m, const char *name, unsigned type, uint32_t user)
{
    struct reply *r = &m->reply[machine_ask_now(m, name, type, user) % 64];
    assert_true(lan_await(m->lan, MINUTE, has_come, r));
    return r;
}

struct reply *machine_ask(struct machine *m, const char *name, unsigned type)
{
    return machine_ask_as(m, name, type, USER);
}

const char *machine_address(struct machine *m, const char *name, unsigned type)
{
    struct reply *r = machine_ask(m, name, type);
    if (!r->address[0])
        fail_msg("%s has no address: rcode %u, %s", name, r->rcode, r->words);
    return r->address;
}

struct reply *machine_ask_reverse(struct machine *m, const char *address)
{
    ldns_rdf *rdf =
        ldns_rdf_new_frm_str(strchr(address, ':') ? LDNS_RDF_TYPE_AAAA : LDNS_RDF_TYPE_A, address);
    ldns_rdf *reverse = ldns_rdf_address_reverse(rdf);
    char *text = ldns_rdf2str(reverse);
    struct reply *r = machine_ask(m, text, LDNS_RR_TYPE_PTR);
    free(text);
    ldns_rdf_deep_free(reverse);
    ldns_rdf_deep_free(rdf);
    return r;
}

void machine_send(struct machine *m, const char *destination, uint8_t protocol, uint16_t port)
{
    uint8_t bytes[512];
    struct craft c = {.source = strchr(destination, ':') ? TUN6 : TUN4,
                      .destination = destination,
                      .protocol = protocol,
                      .source_port = 4000,
                      .destination_port = port,
                      .icmp_type = protocol == 58 ? 128 : 8,
                      .payload_size = 100};
    size_t size = craft_packet(bytes, &c);
    struct packet *p = packet_take(m->pool);
    assert_true(packet_fill(p, bytes, size));
    forward_capture(m->forward, m->lan->now, &p, 1);
    machine_pump(m);
}

/* ---- control ---- */

/* A line that is the last reply to its request. */
static bool is_answered(void *context)
{
    const struct machine *m = context;
    const char *more = strstr(m->control, "\"more\":true");
    const char *end = strrchr(m->control, '\n');
    if (!end)
        return false;
    const char *last = end;
    while (last > m->control && last[-1] != '\n')
        last--;
    while (more && more < last)
        more = strstr(more + 1, "\"more\":true");
    return !more;
}

json_t *machine_control(struct machine *m, bool may_change, const char *request)
{
    static uint64_t clients;
    m->client = ++clients;
    m->control_size = 0;
    m->control[0] = 0;
    host_control_open(m->host, m->client, may_change);
    host_control_input(m->host, m->lan->now, m->client, (const uint8_t *)request, strlen(request));
    host_control_input(m->host, m->lan->now, m->client, (const uint8_t *)"\n", 1);
    machine_pump(m);
    assert_true(lan_await(m->lan, MINUTE, is_answered, m));
    host_control_close(m->host, m->client);
    machine_pump(m);
    m->control[--m->control_size] = 0;
    const char *line = strrchr(m->control, '\n');
    json_t *reply = json_loads(line ? line + 1 : m->control, 0, NULL);
    assert_non_null(reply);
    json_t *result = json_object_get(reply, "result");
    if (!result)
        return reply;
    json_incref(result);
    json_decref(reply);
    return result;
}

bool machine_said(const struct machine *m, const char *words)
{
    return strstr(m->log, words);
}

uint64_t machine_drops(struct machine *m, enum drop_reason reason)
{
    json_t *all = describe_drops(m->host, true);
    json_int_t packets = 0;
    size_t i;
    json_t *d;
    json_array_foreach(
        all, i, d) if (!strcmp(json_string_value(json_object_get(d, "name")), drop_name(reason)))
        packets = json_integer_value(json_object_get(d, "packets"));
    json_decref(all);
    return (uint64_t)packets;
}

const struct handle *machine_handle(struct machine *m, const char *name)
{
    struct overlay_name n = {0};
    snprintf(n.text, sizeof n.text, "%s", name);
    return handle_by_name(m->host->handles, &n);
}
