/* The pump: everything that an event causes on a machine, before time goes on.
 *
 * It is done as items of one queue: a datagram goes into the data path, what that punts goes to the
 * host, what the host injects goes into the data path again, what reaches the capture goes to the
 * programs, and their answers into the data path.  Items are handled one after the other, so no
 * engine is called from inside another, as in the daemon. */
#include "sim/sim_pump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim_churn.h"
#include "sim/sim_program.h"

#define LOG_KEPT  (256 * 1024)
#define SPINS_MAX 1000 /* ticks within a millisecond: a deadline that advance does not move */

enum item_kind {
    ITEM_DATAGRAM,         /* from the underlay                    */
    ITEM_CAPTURED,         /* a program's packet                   */
    ITEM_CONTROL_CAPTURED, /* the same, given back by the host */
    ITEM_RECORD,           /* given back by the host               */
    ITEM_TO_PROGRAM,
    ITEM_ANSWER, /* of DNS, to a program                 */
    ITEM_TOO_BIG,
};

struct sim_item {
    struct sim_item *next;
    enum item_kind kind;
    struct arrival arrival;
    struct packet_offload offload;
    uint64_t client;
    uint16_t socket;
    struct endpoint remote;
    size_t fits;
    size_t size;
    uint8_t bytes[];
};

static struct sim_item *item_add(struct sim_host *h, enum item_kind kind, const void *bytes,
                                 size_t size)
{
    struct sim_item *i = base_calloc(1, sizeof *i + size);
    i->kind = kind;
    i->size = size;
    if (bytes)
        memcpy(i->bytes, bytes, size);
    *h->last = i;
    h->last = &i->next;
    return i;
}

void sim_pump_clear(struct sim_host *h)
{
    while (h->first) {
        struct sim_item *i = h->first;
        h->first = i->next;
        free(i);
    }
    h->last = &h->first;
}

/* ---- out ---- */

static const struct sim_socket *socket_of(const struct sim_host *h, uint16_t index)
{
    for (unsigned i = 0; i < h->sockets; i++)
        if (h->socket[i].index == index)
            return &h->socket[i];
    return NULL;
}

static bool any_address(const struct ip_address *ip)
{
    static const struct ip_address any4 = {.family = 4}, any6 = {.family = 6};
    return ip_address_equal(ip, &any4) || ip_address_equal(ip, &any6);
}

/* One datagram more, in or out: is it the one that `crash-at` waits for? */
static void burn(struct sim_host *h)
{
    if (h->fuse && !--h->fuse)
        h->fuse_burnt = true;
}

static void send_datagram(struct sim_host *h, bool control, uint16_t index,
                          const struct endpoint *local, const struct endpoint *remote, uint8_t tos,
                          const uint8_t *bytes, size_t size)
{
    const struct sim_socket *s = socket_of(h, index);
    if (!s) {
        sim_fail(&h->sim->world, "%s sends on socket %u, which it does not have", h->node.name,
                 index);
        return;
    }
    struct endpoint from = {.port = s->at.port};
    if (!any_address(&s->at.ip))
        from.ip = s->at.ip;
    else if (local->ip.family == remote->ip.family)
        from.ip = local->ip;
    if (h->swallows && !control)
        return;
    burn(h);
    sim_meter_sent(h, control, size + (remote->ip.family == 6 ? 48 : 28)); /* IP and UDP */
    int error = sim_net_send(&h->sim->net, &h->node, &from, remote, tos, bytes, size);
    if (error == -EADDRNOTAVAIL) { /* the kernel chooses another */
        from.ip.family = 0;
        error = sim_net_send(&h->sim->net, &h->node, &from, remote, tos, bytes, size);
    }
    if (error == -EMSGSIZE) {
        struct sim_item *i = item_add(h, ITEM_TOO_BIG, bytes, size);
        i->socket = index;
        i->remote = *remote;
        size_t fits = sim_net_fits(&h->node, &remote->ip);
        i->fits = fits < size ? fits : 0; /* it was refused further on */
    }
}

void sim_append(char **text, size_t *size, const void *bytes, size_t more)
{
    *text = base_realloc(*text, *size + more + 1);
    memcpy(*text + *size, bytes, more);
    *size += more;
    (*text)[*size] = 0;
}

static void log_line(struct sim_host *h, const char *text)
{
    sim_trace_words(&h->sim->world, h->node.name, "log", text);
    if (h->log_size > LOG_KEPT)
        h->log_size = 0;
    sim_append(&h->log, &h->log_size, text, strlen(text));
    sim_append(&h->log, &h->log_size, "\n", 1);
}

static void write_file(struct sim_host *h, const struct host_out *o)
{
    struct sim_file *f = &h->file[o->file];
    instant now = h->sim->world.now;
    if (now >= f->synced) {
        f->stable = f->size;
        f->dirty = now;
    }
    if (o->rewrite) /* a new file renamed over the old one */
        f->size = f->stable = 0;
    f->bytes = base_realloc(f->bytes, f->size + o->size + 1);
    memcpy(f->bytes + f->size, o->bytes, o->size);
    f->size += o->size;
    if (o->rewrite)
        f->stable = f->size;
    f->synced = now + SIM_DISK_DELAY;
}

static void reload_now(struct sim_host *h, uint64_t client)
{
    char error[512];
    bool ok = sim_host_reload(h, error, sizeof error);
    host_reload_done(h->host, client, ok ? NULL : error);
}

static void host_says(struct sim_host *h, const struct host_out *o)
{
    struct sim_item *i;
    switch (o->kind) {
    case HOST_OUT_SEND:
        send_datagram(h, true, o->socket, &o->local, &o->remote, o->tos, o->bytes, o->size);
        break;
    case HOST_OUT_CAPTURE:
        item_add(h, ITEM_TO_PROGRAM, o->bytes, o->size);
        break;
    case HOST_OUT_INJECT:
        i = item_add(h, o->from_capture ? ITEM_CONTROL_CAPTURED : ITEM_RECORD, o->bytes, o->size);
        i->offload = o->offload;
        i->arrival = o->arrival;
        break;
    case HOST_OUT_DNS_REPLY:
        item_add(h, ITEM_ANSWER, o->bytes, o->size)->client = o->client.id;
        break;
    case HOST_OUT_CONTROL:
        sim_append(&h->reply, &h->reply_size, o->bytes, o->size);
        break;
    case HOST_OUT_JOURNAL:
        write_file(h, o);
        break;
    case HOST_OUT_LOG:
        log_line(h, o->text);
        break;
    case HOST_OUT_STOP:
        h->stop_wanted = true;
        break;
    case HOST_OUT_RELOAD:
        reload_now(h, o->control_client);
        break;
    case HOST_OUT_DNS_UPSTREAM: /* there is none in this world */
    case HOST_OUT_CONTROL_CLOSE:
        break;
    }
}

/* ---- the data path ---- */

struct punts {
    struct forward_out *out;
    unsigned count, room;
};

static void forward_says(struct sim_host *h, unsigned worker, struct punts *punts)
{
    struct forward_out o;
    while (forward_output(h->forward[worker], &o)) {
        if (o.kind == FORWARD_PUNT) {
            if (punts->count == punts->room) {
                punts->room = punts->room ? 2 * punts->room : 8;
                punts->out = base_realloc(punts->out, punts->room * sizeof *punts->out);
            }
            punts->out[punts->count++] = o;
            continue;
        }
        if (o.kind == FORWARD_HANDOVER) {
            forward_handed_over(h->forward[o.worker], h->sim->world.now, o.packet, o.from_capture);
            if (o.worker != worker)
                forward_says(h, o.worker, punts);
            continue;
        }
        if (o.kind == FORWARD_SEND)
            send_datagram(h, false, o.socket, &o.local, &o.remote, o.tos, o.packet->data,
                          o.packet->size);
        else
            item_add(h, ITEM_TO_PROGRAM, o.packet->data, o.packet->size)->offload =
                o.packet->offload;
        packet_give_back(o.packet);
    }
}

/* What the kernel would choose by its hash of the packet. */
static unsigned some_worker(struct sim_host *h)
{
    return h->workers > 1 ? entropy_below(&h->random.entropy, h->workers) : 0;
}

static void through_forward(struct sim_host *h, const struct sim_item *i)
{
    struct punts punts = {0};
    instant now = h->sim->world.now;
    struct packet *p = i ? packet_take(h->pool) : NULL;
    unsigned worker =
        !i || i->kind == ITEM_RECORD || i->kind == ITEM_CONTROL_CAPTURED ? 0 : some_worker(h);

    for (unsigned w = 0; w < h->workers; w++)
        epoch_online(h->epoch, w);
    if (p && packet_fill(p, i->bytes, i->size)) {
        p->arrival = i->arrival;
        p->offload = i->offload;
        if (i->kind == ITEM_DATAGRAM)
            forward_underlay(h->forward[worker], now, &p, 1);
        else if (i->kind == ITEM_RECORD)
            forward_handed_over(h->forward[worker], now, p, false);
        else
            forward_capture(h->forward[worker], now, &p, 1);
    } else if (!i) {
        for (worker = 0; worker < h->workers; worker++)
            forward_advance(h->forward[worker], now);
        worker = 0;
    }
    for (unsigned w = 0; w < h->workers; w++)
        forward_says(h, (worker + w) % h->workers, &punts);
    for (unsigned w = 0; w < h->workers; w++)
        epoch_offline(h->epoch, w);
    for (unsigned n = 0; n < punts.count; n++) {
        host_punt(h->host, now, &punts.out[n]);
        packet_give_back(punts.out[n].packet);
    }
    free(punts.out);
}

/* ---- the pump ---- */

static void give_answer(struct sim_host *h, const struct sim_item *i)
{
    struct sim_question **at = &h->questions, *q;
    struct sim_answer answer;
    while (*at && (*at)->client != i->client)
        at = &(*at)->next;
    q = *at;
    if (!q)
        return; /* the program does not wait any more */
    if (!sim_dns_read(q->id, i->bytes, i->size, &answer)) {
        sim_fail(&h->sim->world, "%s: DNS gave an answer that is none", h->node.name);
        return;
    }
    *at = q->next;
    sim_event_unset(&h->sim->world, &q->timeout);
    q->answered(q->context, &answer);
    free(q);
}

static void do_item(struct sim_host *h, const struct sim_item *i)
{
    if (i->kind == ITEM_TO_PROGRAM) {
        h->delivered++;
        sim_program_packet(h, i->bytes, i->size, &i->offload);
    } else if (i->kind == ITEM_ANSWER) {
        give_answer(h, i);
    } else if (h->host && i->kind == ITEM_TOO_BIG) {
        host_too_big(h->host, h->sim->world.now, i->socket, &i->remote, i->bytes, i->size, i->fits);
    } else if (h->host) {
        through_forward(h, i);
    }
}

static instant next_deadline(const struct sim_host *h)
{
    instant due = host_deadline(h->host);
    for (unsigned w = 0; w < h->workers; w++)
        due = instant_min(due, forward_deadline(h->forward[w]));
    return due;
}

void sim_pump(struct sim_host *h)
{
    struct host_out out;
    if (h->pumping)
        return;
    h->pumping = true;
    do {
        while (h->host && !h->fuse_burnt && host_output(h->host, &out))
            host_says(h, &out);
        struct sim_item *i = h->first;
        if (!i || h->fuse_burnt)
            break;
        h->first = i->next;
        if (!h->first)
            h->last = &h->first;
        do_item(h, i);
        free(i);
    } while (!h->sim->world.failed);
    h->pumping = false;
    if (h->fuse_burnt) {
        h->fuse_burnt = false;
        sim_host_crash(h);
        sim_churn_restart(h, h->sim->world.now + h->fuse_back);
    } else if (h->stop_wanted) {
        h->stop_wanted = false;
        sim_host_stop(h);
    } else if (h->state == SIM_UP) {
        sim_event_set(&h->sim->world, &h->tick, next_deadline(h));
    }
}

static struct sim_host *host_of_tick(struct sim_event *e)
{
    return (struct sim_host *)((char *)e - offsetof(struct sim_host, tick));
}

void sim_pump_tick(struct sim_event *e, struct sim_world *w)
{
    struct sim_host *h = host_of_tick(e);
    int64_t wall = sim_wall(h->sim);
    if (wall != h->wall)
        host_wall(h->host, h->wall = wall);
    through_forward(h, NULL);
    host_advance(h->host, w->now);
    sim_pump(h);
    if (w->now - h->spin_since >= MILLISECOND) {
        h->spin_since = w->now;
        h->spins = 0;
    } else if (++h->spins > SPINS_MAX) {
        sim_fail(w, "%s wakes up again and again with nothing to do", h->node.name);
    }
}

void sim_pump_deliver(struct sim_node *node, struct sim_port *port, const struct sim_datagram *d)
{
    struct sim_host *h = (struct sim_host *)node;
    (void)port;
    if (h->state != SIM_UP)
        return;
    for (unsigned i = 0; i < h->sockets; i++) {
        const struct sim_socket *s = &h->socket[i];
        if (s->at.port != d->to.port ||
            !(any_address(&s->at.ip) || ip_address_equal(&s->at.ip, &d->to.ip)))
            continue;
        burn(h);
        struct sim_item *item = item_add(h, ITEM_DATAGRAM, d->bytes, d->size);
        item->arrival.socket = s->index;
        item->arrival.local.ip = d->to.ip;
        item->arrival.remote = d->from;
        item->arrival.ecn = d->tos & 3;
        sim_pump(h);
        return;
    }
}

void sim_pump_captured(struct sim_host *h, const uint8_t *bytes, size_t size,
                       const struct packet_offload *offload)
{
    struct sim_item *i = item_add(h, ITEM_CAPTURED, bytes, size);
    if (offload)
        i->offload = *offload;
    sim_pump(h);
}
