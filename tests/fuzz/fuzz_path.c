/* Messages on live engines: alpha - gate - beta with a path between the ends.  The input is a list
 * of
 *
 *   how 8 | size 16 | bytes
 *
 * `how` says who says it: a stranger or a neighbour in clear, or one end of a link or path sealed,
 * as only a member could. Where a message names a handshake, a label or a MAC and begins with 0xFF
 * there, a live one is put in, so that the input gets past the first door.
 *
 * The hosts are made anew when an input has changed anything about them. */
#include "tests/fuzz/fuzz.h"

#include "path/path_fixture.h"

struct seen {
    struct path_count count[3];
    const struct path *path[2], *link[2];
    uint64_t ups, downs;
};

static struct trio trio;
static bool standing;
static struct seen before;

static struct seen look(void)
{
    struct seen s;
    memset(&s, 0, sizeof s);
    for (unsigned i = 0; i < 3; i++) {
        path_count(trio.net.box[i].e, &s.count[i]);
        s.ups += trio.net.box[i].ups;
        s.downs += trio.net.box[i].downs;
    }
    s.path[0] = box_path(trio.alpha, "beta.west.ip");
    s.path[1] = box_path(trio.beta, "alpha.east.ip");
    s.link[0] = box_path(trio.alpha, "gate.east.ip");
    s.link[1] = box_path(trio.beta, "gate.west.ip");
    return s;
}

static void stand(void)
{
    if (standing)
        trio_done(&trio);
    trio_init(&trio, 1, NULL);
    box_open(trio.alpha, "beta.west.ip.via.gate.east.ip");
    net_run(&trio.net, SECOND);
    require(box_up(trio.alpha, "beta.west.ip"));
    standing = true;
    before = look();
}

/* ---- live values ---- */

static void put_id(uint8_t *at, const uint8_t id[HANDSHAKE_ID])
{
    if (at[0] == 0xFF)
        memcpy(at, id, HANDSHAKE_ID);
}

static void put_label(uint8_t *at, uint32_t label)
{
    struct writer w = writer_over(at, 4);
    if (at[0] == 0xFF)
        write_u32(&w, label | (at[3] & 0xF));
}

/* A label of gate's that `from` knows: of the transit, or of the link. */
static uint32_t live_label(const struct box *from, bool of_link)
{
    const struct transit *t = trio.gate->e->transits;
    const struct neighbour *n =
        box_neighbour(trio.gate, from == trio.alpha ? "alpha.east.ip" : "beta.west.ip");
    if (of_link || !t)
        return n && n->link ? path_slot_label(trio.gate->e, n->link->slot) : 0;
    return path_slot_label(trio.gate->e, from == trio.alpha ? t->in.slot : t->out.slot);
}

static const uint8_t *live_id(void)
{
    static const uint8_t none[HANDSHAKE_ID];
    const struct path *p = box_path(trio.alpha, "beta.west.ip");
    const struct transit *t = trio.gate->e->transits;
    return t ? t->id : p ? p->id : none;
}

static void dress_clear(const struct box *from, uint8_t *bytes, size_t size)
{
    if (bytes[0] == WIRE_OPEN && size > OPEN_MACS && bytes[size - OPEN_MACS] == 0xFF)
        path_link_mac(trio.gate->e->instance[0].mac_key[0], bytes, size - OPEN_MACS,
                      bytes + size - OPEN_MACS);
    else if (bytes[0] == WIRE_RECORD && size >= RECORD_HEADER)
        put_label(bytes + 4, live_label(from, bytes[5] & 1));
    else if (bytes[0] == WIRE_ERROR && size >= ERROR_SIZE) /* about a label that gate sends to */
        put_label(bytes + 8, trio.gate->e->transits ? trio.gate->e->transits->out.label_out : 0);
    else if (size >= 4 + HANDSHAKE_ID)
        put_id(bytes + 4, live_id());
}

static void dress_sealed(const struct box *from, uint8_t *bytes, size_t size)
{
    uint8_t type = bytes[0];
    if (type >= MESSAGE_OPEN && type <= MESSAGE_REFUSE && size > HANDSHAKE_ID)
        put_id(bytes + 1, live_id());
    else if ((type == MESSAGE_RELEASE || type == MESSAGE_ERROR || type == MESSAGE_MTU) && size >= 5)
        put_label(bytes + 1, live_label(from, false));
}

/* ---- saying it ---- */

static void say_sealed(struct box *from, const char *peer, uint8_t *bytes, size_t size)
{
    struct path *p = box_path(from, peer);
    if (!p || size > CONTROL_MAX)
        return;
    dress_sealed(from, bytes, size);
    path_control_send(from->e, trio.net.now, p, bytes, size);
    box_pump(from);
}

static void say(uint8_t how, uint8_t *bytes, size_t size)
{
    struct endpoint mallory = net_endpoint(1, 66);
    struct box *from = how & 1 ? trio.beta : trio.alpha;
    switch (how / 2 % 4) {
    case 0: /* in clear, to gate, from where the neighbour is */
        dress_clear(from, bytes, size);
        net_inject(&trio.net, &from->endpoint[0], &trio.gate->endpoint[how & 1], bytes, size);
        break;
    case 1: /* in clear, from anywhere */
        dress_clear(from, bytes, size);
        net_inject(&trio.net, &mallory, &trio.gate->endpoint[how & 1], bytes, size);
        break;
    case 2: /* a neighbour */
        say_sealed(from, how & 1 ? "gate.west.ip" : "gate.east.ip", bytes, size);
        break;
    default: /* the other end */
        say_sealed(from, how & 1 ? "alpha.east.ip" : "beta.west.ip", bytes, size);
    }
    net_run(&trio.net, 30 * MILLISECOND);
}

static void check(void)
{
    for (unsigned i = 0; i < 3; i++)
        require(packet_pool_out(trio.net.box[i].pool) == 0);
    struct seen now = look();
    if (memcmp(&now, &before, sizeof now) || trio.net.now > 2000 * SECOND)
        stand();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t bytes[CONTROL_MAX];
    struct reader r = reader_over(data, size);
    if (!standing)
        stand();
    for (unsigned i = 0; i < 16; i++) {
        uint8_t how = read_u8(&r);
        size_t n = read_u16(&r) % sizeof bytes;
        if (r.failed)
            break;
        n = n < reader_left(&r) ? n : reader_left(&r);
        read_copy(&r, bytes, n);
        if (n)
            say(how, bytes, n);
    }
    check();
    return 0;
}
