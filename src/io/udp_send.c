#include <errno.h>
#include <string.h>

#include "io/udp.h"
#include "io/udp_internal.h"

/* How it works.  Outputs that follow each other to the same place, with datagrams of the same size,
 * leave in one message that the kernel cuts up (UDP_SEGMENT): a train.  The bytes stay where they
 * are, in as many parts as there are packets.  All trains of a batch leave by one sendmmsg().
 *
 * When the kernel does not take a train its datagrams are sent one by one, each with its own error.
 * If that works, it was the train that was refused (a device without checksum offload says EIO),
 * and no more of them are made for this socket. */

socklen_t udp_address_write(const struct endpoint *e, union address *ret)
{
    memset(ret, 0, sizeof *ret);
    if (e->ip.family == 4) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(e->port);
        memcpy(&ret->v4.sin_addr, e->ip.bytes, 4);
        return sizeof ret->v4;
    }
    ret->v6.sin6_family = AF_INET6;
    ret->v6.sin6_port = htons(e->port);
    ret->v6.sin6_scope_id = e->scope;
    memcpy(&ret->v6.sin6_addr, e->ip.bytes, 16);
    return sizeof ret->v6;
}

/* ---- sending ---- */

static void control_add(struct msghdr *m, int level, int type, const void *data, size_t size)
{
    struct cmsghdr *c = (struct cmsghdr *)((uint8_t *)m->msg_control + m->msg_controllen);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), data, size);
    m->msg_controllen += CMSG_SPACE(size);
}

/* `m` has no control messages yet and points at room for them; without any it points at nothing. */
static void control_write(struct msghdr *m, union control *room, const struct endpoint *local,
                          const struct endpoint *remote, uint8_t tos)
{
    bool v4 = remote->ip.family == 4;
    int class = tos;
    memset(room, 0, sizeof *room);
    m->msg_control = room;
    m->msg_controllen = 0;
    if (class)
        control_add(m, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &class,
                    sizeof class);
    if (local->ip.family == remote->ip.family && v4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, local->ip.bytes, 4);
        control_add(m, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (local->ip.family == remote->ip.family) {
        struct in6_pktinfo info = {.ipi6_ifindex = local->scope};
        memcpy(&info.ipi6_addr, local->ip.bytes, 16);
        control_add(m, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    if (!m->msg_controllen)
        m->msg_control = NULL;
}

int udp_send_one(int fd, const struct endpoint *local, const struct endpoint *remote, uint8_t tos,
                 const void *bytes, size_t size)
{
    static const struct endpoint anywhere;
    union address to;
    union control control;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};
    struct msghdr m = {.msg_name = &to, .msg_iov = &part, .msg_iovlen = 1};
    if (remote->ip.family != 4 && remote->ip.family != 6)
        return -EDESTADDRREQ;
    m.msg_namelen = udp_address_write(remote, &to);
    control_write(&m, &control, local, remote, tos);
    bool again = true;
    while (sendmsg(fd, &m, 0) < 0) {
        int error = errno;
        if (error == EINTR)
            continue;
        /* Kernels differ in what they say when the local address is gone; without one they choose.
         */
        bool local_gone =
            local->ip.family && (error == EINVAL || error == ENETUNREACH || error == EADDRNOTAVAIL);
        bool echo = error == ECONNREFUSED; /* of an earlier datagram */
        if (!again || (!local_gone && !echo))
            return error == ENOBUFS ? -EAGAIN : -error;
        again = false;
        if (local_gone)
            control_write(&m, &control, &anywhere, remote, tos);
    }
    return 0;
}

/* ---- trains ---- */

struct train {
    const struct forward_out *out; /* the first; the others have the same target  */
    struct iovec *part;
    unsigned parts, datagrams;
    size_t bytes;
    uint16_t size; /* of each datagram but the last, which may be smaller */
};

/* Where in the batch the next train begins. */
struct place {
    const struct forward_out *out, *end;
    size_t at; /* in the packet of `out` */
};

static bool same_target(const struct forward_out *a, const struct forward_out *b)
{
    /* Lanes apart, because they go to different workers. */
    return a->tos == b->tos && a->lane == b->lane && endpoint_equal(&a->remote, &b->remote) &&
           endpoint_equal(&a->local, &b->local);
}

/* May what is left of the packet be coupled to the train? */
static bool fits(const struct train *t, const struct forward_out *out, size_t left)
{
    const struct packet *p = out->packet;
    if (p->run && left > p->run ? p->run != t->size : left > t->size)
        return false;
    return same_target(t->out, out);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Couples as much of the packet as there is room for.  True: the train may go on with the next. */
static bool couple(struct train *t, struct place *place, unsigned most)
{
    const struct packet *p = place->out->packet;
    size_t left = p->size - place->at, count = left ? (left + t->size - 1) / t->size : 1;
    size_t room = t->bytes < PACKET_RUN_SIZE ? (PACKET_RUN_SIZE - t->bytes) / t->size : 0;
    count = smaller(count, most - t->datagrams);
    count = smaller(count, t->datagrams || room ? room : 1);
    if (!count)
        return false;
    size_t bytes = smaller(left, count * t->size);
    t->part[t->parts++] = (struct iovec){.iov_base = p->data + place->at, .iov_len = bytes};
    t->datagrams += (unsigned)count;
    t->bytes += bytes;
    place->at += bytes;
    if (place->at < p->size)
        return false;
    place->out++;
    place->at = 0;
    return bytes == count * t->size;
}

/* Makes the next train, of at most `most` datagrams; `part` has room for one for each output. */
static struct train make_train(struct place *place, unsigned most, struct iovec *part)
{
    const struct packet *p = place->out->packet;
    struct train t = {.out = place->out, .part = part};
    size_t left = p->size - place->at;
    t.size = (uint16_t)(p->run && p->run < left ? p->run : left ? left : 1);
    while (couple(&t, place, most) && t.datagrams < most && place->out < place->end &&
           fits(&t, place->out, place->out->packet->size))
        ;
    return t;
}

/* ---- sending ---- */

struct sending {
    int fd;
    bool *trains;
    struct udp_result *result;
    struct drop_counters *drops;
    bool full; /* the kernel's queue */
};

static void refused(struct sending *s, const struct train *t, const uint8_t *bytes, size_t size,
                    int error)
{
    struct udp_result *r = s->result;
    s->full |= error == -EAGAIN;
    if (error == -EMSGSIZE && r->oversized_count < UDP_OVERSIZED_MAX)
        r->oversized[r->oversized_count++] =
            (struct udp_oversized){.remote = t->out->remote, .bytes = bytes, .size = size};
    else
        drop_count(s->drops, error == -EMSGSIZE ? DROP_OVERSIZED
                             : error == -EAGAIN ? DROP_SOCKET_FULL
                                                : DROP_SEND_FAILED);
}

/* One by one.  `error` is what the kernel said to all of them together, or 0. */
static void send_singly(struct sending *s, const struct train *t, int error)
{
    unsigned sent = 0;
    for (unsigned i = 0; i < t->parts; i++) {
        const uint8_t *bytes = t->part[i].iov_base;
        size_t left = t->part[i].iov_len;
        do {
            size_t size = smaller(left, t->size);
            int failed = s->full ? -EAGAIN
                                 : udp_send_one(s->fd, &t->out->local, &t->out->remote, t->out->tos,
                                                bytes, left ? size : 0);
            if (failed)
                refused(s, t, bytes, size, failed);
            else
                sent++;
            bytes += size;
            left -= size;
        } while (left);
    }
    s->result->sent += sent;
    if (t->datagrams > 1 && sent && error && error != EMSGSIZE)
        *s->trains = false;
}

static void drop_train(struct sending *s, const struct train *t)
{
    for (unsigned i = 0; i < t->datagrams; i++)
        drop_count(s->drops, DROP_SOCKET_FULL);
}

/* The first of the trains was not taken.  True: it is done with. */
static bool train_failed(struct sending *s, const struct train *t, int error, bool *echo)
{
    if (error == EINTR)
        return false;
    if (error == ECONNREFUSED && !*echo) { /* of an earlier datagram */
        *echo = true;
        return false;
    }
    *echo = false;
    if (error == EAGAIN || error == ENOBUFS) {
        s->full = true;
        drop_train(s, t);
    } else {
        send_singly(s, t, error);
    }
    return true;
}

static void send_trains(struct sending *s, const struct train *train, struct mmsghdr *messages,
                        unsigned count)
{
    bool echo = false;
    for (unsigned next = 0; next < count;) {
        if (s->full) { /* it takes no other either, and order is kept */
            drop_train(s, &train[next++]);
            continue;
        }
        if (train[next].datagrams > 1 && !*s->trains) {
            send_singly(s, &train[next++], 0);
            continue;
        }
        int sent = sendmmsg(s->fd, messages + next, count - next, 0);
        for (int i = 0; i < sent; i++)
            s->result->sent += train[next++].datagrams;
        if (sent <= 0)
            next += train_failed(s, &train[next], errno, &echo);
    }
}

static void write_message(struct msghdr *m, const struct train *t, union address *to,
                          union control *control)
{
    *m = (struct msghdr){.msg_name = to, .msg_iov = t->part, .msg_iovlen = t->parts};
    m->msg_namelen = udp_address_write(&t->out->remote, to);
    control_write(m, control, &t->out->local, &t->out->remote, t->out->tos);
    if (t->datagrams < 2)
        return;
    m->msg_control = control;
    control_add(m, IPPROTO_UDP, UDP_SEGMENT, &t->size, sizeof t->size);
}

void udp_send(int fd, bool *trains, const struct forward_out *batch, unsigned count,
              struct udp_result *ret, struct drop_counters *drops)
{
    struct train train[UDP_BATCH];
    struct mmsghdr messages[UDP_BATCH];
    struct iovec parts[2 * UDP_BATCH];
    union address to[UDP_BATCH];
    union control control[UDP_BATCH];
    struct sending s = {.fd = fd, .trains = trains, .result = ret, .drops = drops};
    struct place place = {.out = batch, .end = batch + (count < UDP_BATCH ? count : UDP_BATCH)};
    ret->sent = 0;
    ret->oversized_count = 0;
    while (place.out < place.end) {
        unsigned made = 0, used = 0;
        /* A train has a part for each output it touches, and one for its first. */
        for (; made < UDP_BATCH && place.out < place.end; made++) {
            train[made] = make_train(&place, *trains ? PACKET_RUN : 1, parts + used);
            used += train[made].parts;
            write_message(&messages[made].msg_hdr, &train[made], &to[made], &control[made]);
        }
        send_trains(&s, train, messages, made);
    }
}
