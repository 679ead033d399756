#include "sim/sim_attack.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "path/path_wire.h"
#include "record/record.h"

#define KEPT    256 /* datagrams */
#define LARGEST 1600

/* One datagram that passed. */
struct prey {
    struct endpoint from, to;
    size_t size;
    uint8_t bytes[LARGEST];
};

struct sim_attack {
    struct sim_event event; /* first */
    struct sim *sim;
    struct sim_network *network;
    struct sim_node node; /* who the trace says it was */
    struct seeded random;
    instant every, until;
    unsigned kinds;
    struct prey kept[KEPT];
    unsigned seen;
};

static const char *const names[] = {
#define SIM_ATTACK_NAME(id, name, text) name,
    SIM_ATTACKS(SIM_ATTACK_NAME)
#undef SIM_ATTACK_NAME
};

const char *sim_attack_name(enum sim_attack_kind kind)
{
    return names[kind];
}

static uint32_t below(struct sim_attack *a, uint32_t n)
{
    return entropy_below(&a->random.entropy, n);
}

static bool is_control(const uint8_t *bytes, size_t size)
{
    struct record_header h;
    if (!size || bytes[0] != WIRE_RECORD)
        return true;
    return record_read_header(bytes, size, &h) && LABEL_LANE(h.label) == 0;
}

/* Everything that passes; false: it does not arrive. */
static bool passes(void *context, const struct sim_network *network, const struct endpoint *from,
                   const struct endpoint *to, const uint8_t *bytes, size_t size)
{
    struct sim_attack *a = context;
    if (network != a->network || size > LARGEST)
        return true;
    struct prey *p = &a->kept[a->seen++ % KEPT];
    p->from = *from;
    p->to = *to;
    p->size = size;
    memcpy(p->bytes, bytes, size);
    bool under_way = a->sim->world.now < a->until;
    return !(under_way && a->kinds & 1u << SIM_ATTACK_DROP && is_control(bytes, size) &&
             below(a, 4) == 0);
}

static const struct prey *some_prey(struct sim_attack *a)
{
    return &a->kept[below(a, a->seen < KEPT ? a->seen : KEPT)];
}

static void send(struct sim_attack *a, const struct endpoint *from, const struct endpoint *to,
                 const uint8_t *bytes, size_t size)
{
    sim_net_inject(&a->sim->net, &a->node, a->network, from, to, bytes, size);
}

static struct endpoint elsewhere(struct sim_attack *a, const struct prey *p)
{
    struct endpoint e = p->from;
    e.port = (uint16_t)(1024 + below(a, 60000));
    return e;
}

static void replay(struct sim_attack *a, const struct prey *p)
{
    struct endpoint other = elsewhere(a, p);
    send(a, below(a, 2) ? &p->from : &other, &p->to, p->bytes, p->size);
}

static void change(struct sim_attack *a, const struct prey *p)
{
    struct prey copy = *p;
    for (uint32_t n = 1 + below(a, 3); n && copy.size; n--)
        copy.bytes[below(a, (uint32_t)copy.size)] ^= (uint8_t)(1u << below(a, 8));
    if (below(a, 8) == 0)
        copy.size = below(a, (uint32_t)copy.size + 1);
    send(a, &copy.from, &copy.to, copy.bytes, copy.size);
}

/* The message speaks of something that was really sent, to the one who sent it. */
static void forge(struct sim_attack *a, const struct prey *p)
{
    uint8_t bytes[OPEN_SIZE], id[HANDSHAKE_ID];
    struct writer w = writer_over(bytes, sizeof bytes);
    struct clear_open m;
    entropy_fill(&a->random.entropy, bytes, sizeof bytes);
    if (p->size >= RECORD_OVERHEAD && p->bytes[0] == WIRE_RECORD) {
        write_u8(&w, WIRE_ERROR);
        write_u8(&w, PATH_VERSION);
        write_u16(&w, 0);
        write_bytes(&w, p->bytes, RECORD_HEADER);
        write_bytes(&w, p->bytes + p->size - RECORD_TAG, RECORD_TAG);
        send(a, &p->to, &p->from, bytes, ERROR_SIZE);
        return;
    }
    if (!path_clear_open_read(p->bytes, p->size, &m))
        return;
    crypto_sha256(m.noise, m.noise_size, bytes + 64);
    memcpy(id, bytes + 64, HANDSHAKE_ID);
    static const uint8_t types[] = {WIRE_ACCEPT, WIRE_CONFIRM, WIRE_COOKIE, WIRE_REFUSE};
    write_u8(&w, types[below(a, sizeof types)]);
    write_u8(&w, PATH_VERSION);
    write_u8(&w, (uint8_t)(1 + below(a, 9)));
    write_u8(&w, 0);
    write_bytes(&w, id, HANDSHAKE_ID);
    size_t size = bytes[0] == WIRE_REFUSE   ? 4 + HANDSHAKE_ID
                  : bytes[0] == WIRE_COOKIE ? COOKIE_SIZE
                                            : 200;
    send(a, &p->to, &p->from, bytes, size);
    send(a, &p->from, &p->to, bytes, size);
}

static void garbage(struct sim_attack *a, const struct prey *p)
{
    uint8_t bytes[LARGEST];
    size_t size = below(a, LARGEST);
    struct endpoint from = below(a, 2) ? p->from : elsewhere(a, p);
    entropy_fill(&a->random.entropy, bytes, size);
    if (size && below(a, 2))
        bytes[0] = (uint8_t)(WIRE_RECORD + below(a, 8));
    send(a, &from, &p->to, bytes, size);
}

static void strike(struct sim_event *e, struct sim_world *w)
{
    struct sim_attack *a = (struct sim_attack *)e;
    enum sim_attack_kind kind;
    do
        kind = (enum sim_attack_kind)below(a, SIM_ATTACK_COUNT);
    while (!(a->kinds & 1u << kind));
    const struct prey *p = a->seen ? some_prey(a) : NULL;
    if (p && kind == SIM_ATTACK_REPLAY)
        replay(a, p);
    else if (p && kind == SIM_ATTACK_CHANGE)
        change(a, p);
    else if (p && kind == SIM_ATTACK_FORGE)
        forge(a, p);
    else if (p && kind == SIM_ATTACK_GARBAGE)
        garbage(a, p);
    if (w->now + a->every < a->until)
        sim_event_set(w, &a->event, w->now + a->every);
}

void sim_attack_begin(struct sim *s, struct sim_network *network, instant every, instant until,
                      unsigned kinds)
{
    if (!s->attack)
        s->attack = base_calloc(1, sizeof *s->attack);
    /* Not another one: what the attack before has sent still flies, from its node. */
    struct sim_attack *a = s->attack;
    sim_event_unset(&s->world, &a->event);
    a->event.run = strike;
    a->seen = 0;
    a->sim = s;
    a->network = network;
    a->every = every;
    a->until = until;
    a->kinds = kinds ? kinds : (1u << SIM_ATTACK_COUNT) - 1;
    strcpy(a->node.name, "attacker");
    a->node.number = UINT32_MAX; /* what is cut between two machines is not cut for it */
    sim_world_stream(&s->world, "attack", &a->random);
    s->net.passes = passes;
    s->net.passes_context = a;
    sim_event_set(&s->world, &a->event, s->world.now + every);
}

void sim_attack_free(struct sim *s)
{
    if (!s->attack)
        return;
    sim_event_unset(&s->world, &s->attack->event);
    s->net.passes = NULL;
    free(s->attack);
    s->attack = NULL;
}
