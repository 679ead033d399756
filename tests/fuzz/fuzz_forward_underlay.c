/* What arrives from the underlay, as a story of datagrams to one host.  Each step:
 *
 *   how | flags | size (16, its high bits: time that passes) | that many bytes
 *
 * The highest bit of `how` says that the datagram comes together with the next one, as a run, as
 * far as their sizes let a kernel make one of them.  The bytes come as they are (a stranger, or the
 * peer's address), through a wire of prepends, or sealed with the peer's key as a record of these
 * flags, which an honest host would never make of them. Whatever comes: packets for programs are
 * sane and addressed by us, and every buffer comes home. */
#include "tests/fuzz/fuzz.h"

#include "base/cursor.h"
#include "path/forward_fixture.h"

#define STEPS_MAX    64
#define SLOT_TRANSIT 9

enum how { FROM_STRANGER, FROM_PEER, ON_WIRE, SEALED, SEALED_FOR_TRANSIT, SEALED_ANY_LABEL, HOWS };

struct scene {
    struct side side;
    struct fwd_tunnel tunnel;
    struct recipe *onward;
    struct fwd_transit transit;
    struct fwd_label label;
    struct peel_table peel;
    struct record_sealer *peer[2]; /* by lane */
    struct packet *run;            /* that goes on; NULL: none */
};

#define TOGETHER 0x80

static void scene_init(struct scene *x, uint8_t choice)
{
    static const struct fwd_allow lines[] = {{.protocol = IP_UDP, .low = 53, .high = 53}};
    memset(x, 0, sizeof *x);
    side_init(&x->side, 'b', 'a', &(struct side_settings){.packets = 512, .merge = choice & 2});
    if (choice & 1)
        side_allow(&x->side, lines, 1);
    x->onward = side_recipe('b', 'c', 300);
    atomic_store(&x->tunnel.recipe, x->onward);
    x->transit = (struct fwd_transit){
        .generation = 3, .label_out = LABEL(1, 1, 0), .in = &x->side.tunnel, .out = &x->tunnel};
    x->label.transit = &x->transit;
    fwd_label_set(x->side.tables, SLOT_TRANSIT, &x->label);
    x->peel = (struct peel_table){
        .count = 2,
        .peel = {{.first_low = 0x20,
                  .first_high = 0x20,
                  .count = 3,
                  .step = {{.verb = PEEL_LENGTH16, .at = 1, .add = 3},
                           {.verb = PEEL_STRIP, .size = 7, .keep = true},
                           {.verb = PEEL_RECORD}}},
                 {.first_low = 0, .first_high = 0x0F, .count = 1, .step = {{.verb = PEEL_PUNT}}}}};
    fwd_socket_set(x->side.tables, 1, &x->peel);
    for (unsigned lane = 0; lane < 2; lane++)
        x->peer[lane] = side_sealer('a', 'b', lane, 0);
}

static void scene_done(struct scene *x)
{
    side_done(&x->side);
    free(x->onward);
    record_sealer_free(x->peer[0]);
    record_sealer_free(x->peer[1]);
}

static void seal(struct scene *x, enum how how, uint8_t flags, struct packet *p)
{
    unsigned lane = flags >> 7 ? 0 : 1;
    uint32_t label = LABEL(how == SEALED_FOR_TRANSIT ? SLOT_TRANSIT : SIDE_SLOT, 3, lane);
    struct reader r = reader_over(p->data, p->size);
    if (how == SEALED_ANY_LABEL)
        label = read_u32(&r);
    size_t size = p->size;
    require(packet_push(p, RECORD_HEADER));
    p->size = record_seal(x->peer[lane], p->data, size, flags & 0x7F, label);
    require(p->size);
}

static void check(struct scene *x, const struct forward_out *out)
{
    struct packet *p = out->packet;
    struct ip_view v;
    enum drop_reason reason;
    if (out->kind == FORWARD_CAPTURE) {
        require(ip_parse(p->data, p->size, &v, &reason));
        require(ip_address_equal(&v.source,
                                 v.version == 4 ? &x->side.path.handle4 : &x->side.path.handle6));
        require(v.destination.bytes[v.version == 4 ? 3 : 15] == 'b');
        require(v.total == p->size);
        require(!p->offload.needs_checksum ||
                p->offload.checksum_start + p->offload.checksum_offset + 2u <= p->size);
        require(p->offload.gso == PACKET_GSO_NONE ||
                (p->offload.needs_checksum && p->offload.gso_size && p->size <= 65535 &&
                 p->offload.header_size + p->offload.gso_size < p->size));
    } else if (out->kind == FORWARD_SEND) {
        /* In transit, or to the peer, to whom an error of ours says what the policy refuses. */
        struct endpoint peer = side_endpoint('a');
        size_t most = endpoint_equal(&out->remote, &peer) ? 1400 : 300;
        require((p->run ? p->run : p->size) <= most && p->data[0] == WIRE_RECORD);
        require(p->run < p->size);
    } else {
        require(out->kind == FORWARD_PUNT);
    }
    packet_give_back(p);
}

static void deliver(struct scene *x, struct packet *p)
{
    struct side *s = &x->side;
    struct forward_out out;
    uint64_t drops = side_drops_all(s);
    unsigned outputs = 0, held = side_packets_out(s), count = packet_count(p);
    forward_underlay(s->forward[0], s->now, &p, 1);
    for (; forward_output(s->forward[0], &out); outputs++)
        check(x, &out);
    /* Come out, dropped with a name, or each kept as a piece. */
    require(outputs || side_drops_all(s) > drops || side_packets_out(s) == held - 1 + count);
    require(side_packets_out(s) <= 2 * FORWARD_PIECES);
}

static void deliver_run(struct scene *x)
{
    struct packet *p = x->run;
    x->run = NULL;
    if (!p)
        return;
    if (p->run == p->size)
        p->run = 0; /* one that stayed alone */
    deliver(x, p);
}

/* Puts the datagram behind those that wait.  False: it cannot be of their run. */
static bool join(struct scene *x, struct packet *p)
{
    struct packet *run = x->run;
    bool fits = run && p->size && p->size <= run->run && run->size % run->run == 0 &&
                run->size + p->size <= PACKET_SIZE && run->arrival.socket == p->arrival.socket &&
                run->arrival.ecn == p->arrival.ecn &&
                endpoint_equal(&run->arrival.remote, &p->arrival.remote);
    if (!fits)
        return false;
    memcpy(run->data + run->size, p->data, p->size);
    run->size += p->size;
    packet_give_back(p);
    return true;
}

static void step(struct scene *x, enum how how, bool together, uint8_t flags, const uint8_t *bytes,
                 size_t size)
{
    struct packet *p = packet_take(x->side.pool[0]);
    require(p && packet_fill(p, bytes, size));
    p->arrival.remote = side_endpoint(how == FROM_STRANGER ? 'z' : 'a');
    p->arrival.ecn = flags >> 5 & 3;
    p->arrival.socket = how == ON_WIRE;
    if (how >= SEALED)
        seal(x, how, flags, p);
    if (!join(x, p)) {
        deliver_run(x);
        p->run = (uint16_t)p->size;
        x->run = p;
    }
    if (!together)
        deliver_run(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_over(data, size);
    struct scene x;
    scene_init(&x, read_u8(&r));
    for (unsigned i = 0; i < STEPS_MAX && reader_left(&r); i++) {
        uint8_t first = read_u8(&r);
        enum how how = (first & ~TOGETHER) % HOWS;
        uint8_t flags = read_u8(&r);
        uint16_t length = read_u16(&r);
        size_t wanted = length & 0x1FFF;
        if (wanted > reader_left(&r))
            wanted = reader_left(&r);
        x.side.now += (length >> 13) * (SECOND / 4);
        step(&x, how, first & TOGETHER, flags, read_bytes(&r, wanted), wanted);
    }
    deliver_run(&x);
    scene_done(&x);
    return 0;
}
