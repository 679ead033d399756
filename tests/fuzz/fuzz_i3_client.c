/* A host in an i3 overlay against servers, neighbours and strangers that say anything: datagrams as they come, answers to
 * what it really asked with parts of them changed, sealed messages of a neighbour, probes, time.
 *
 * Each step is a byte that says what, a byte that says whom it is about, a length and so many bytes. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "overlay/i3/i3_module.h"
#include "tests/support/seeded.h"

#define STEPS_MAX   64
#define OUTPUTS_MAX 200

enum what { RAW, REPLY, SEALED, PRIVATE, PROBE, TIME, ARRIVES, TROUBLE, CHECK, HELLO, WHATS };

struct scene {
    struct overlay *o;
    struct seeded random;
    instant now;
    struct packet_pool *pool;
    struct overlay_option option[5]; /* as long as the instance */
    unsigned options;
};

/* Servers, one of IPv6, and one that never says hello. */
static struct endpoint address(uint8_t which)
{
    if (which % 5 > 2)
        return (struct endpoint){
            .ip = {.family = 6, .bytes = {0x20, 1, 0x0d, 0xb8, [15] = (uint8_t)(which % 5)}},
            .port = 5610};
    return (struct endpoint){.ip = {.family = 4, .bytes = {192, 0, 2, (uint8_t)(1 + which % 3)}},
                             .port = 5610};
}

static struct ip_address our_address(const struct endpoint *towards)
{
    if (towards->ip.family == 4)
        return (struct ip_address){.family = 4, .bytes = {10, 0, 0, 1}};
    return (struct ip_address){.family = 6, .bytes = {0x20, 1, 0x0d, 0xb8, 0xaa}};
}

/* Who has not said hello is told no IPv6 address, as sender or target. */
static void check_hello(const struct scene *x, const struct endpoint *to, const uint8_t *bytes,
                        size_t size)
{
    static struct i3_packet p;
    bool may = to->ip.family == 6 && i3_client_speaks(&i3_of(x->o)->client, to);
    if (may || i3_packet_parse(bytes, size, &p) != I3_FINE)
        return;
    for (unsigned i = 0; i < p.option_count; i++) {
        const struct i3_option *o = &p.option[i];
        if (o->type == I3_SENDER)
            require(o->sender.type != I3_TO_IPV6);
        else if (o->type == I3_INSERT || o->type == I3_REMOVE)
            require(o->trigger.target.type != I3_TO_IPV6);
    }
}

static void pull(struct scene *x)
{
    struct overlay_out out;
    unsigned count = 0;
    while (x->o->class->output(x->o, &out)) {
        require(++count < OUTPUTS_MAX);
        if (out.kind == OVERLAY_SEND || out.kind == OVERLAY_TUNNEL_UP ||
            out.kind == OVERLAY_TUNNEL_RECIPE) {
            require(recipe_valid(out.recipe) && recipe_target(out.recipe)->send.remote.port);
            require(out.recipe->bytes_used <= x->o->class->headroom);
            check_hello(x, &recipe_target(out.recipe)->send.remote, out.recipe->bytes,
                        out.recipe->bytes_used);
            check_hello(x, &recipe_target(out.recipe)->send.remote, out.bytes, out.size);
        }
        if (out.kind == OVERLAY_SEND)
            require(out.size && out.size < 512);
        if (out.kind == OVERLAY_LINK_MESSAGE)
            require(out.size && out.size <= I3_SAID_MAX);
    }
}

/* An answer about one of its own triggers, some of whose bytes are those of the input. */
static void reply(struct scene *x, uint8_t about, const uint8_t *bytes, size_t size)
{
    static const uint8_t type[] = {I3_CHALLENGE,           I3_ACK,
                                   I3_CONSTRAINT_FAILED,   I3_CACHE_ADDRESS,
                                   I3_FORCE_CACHE_ADDRESS, I3_NOT_PRESENT};
    struct i3 *m = i3_of(x->o);
    struct i3_binding *b = m->client.bindings;
    struct i3_packet p = {.flags = I3_OPTIONS, .option_count = 1};
    uint8_t out[512];
    struct endpoint from = address(about);
    for (unsigned i = about >> 4; i && b && b->next; i--)
        b = b->next;
    if (!b)
        return;
    p.option[0].type = type[about % sizeof type];
    if (p.option[0].type == I3_NOT_PRESENT)
        p.option[0].id = m->tunnels ? m->tunnels->used : b->trigger.id;
    else
        p.option[0].trigger = b->trigger;
    if (p.option[0].type == I3_CHALLENGE && size)
        memcpy(p.option[0].trigger.nonce, bytes, size < I3_NONCE ? size : I3_NONCE);
    if (p.option[0].type == I3_CACHE_ADDRESS || p.option[0].type == I3_FORCE_CACHE_ADDRESS)
        p.option[0].trigger.target = i3_address_of(&from);
    if (p.option[0].type == I3_CACHE_ADDRESS)
        p.option[0].trigger.id = m->client.owners && about & 0x10 ? m->client.owners->asked_as
                                                                  : m->client.sample[about >> 5].id;
    size_t written = i3_packet_write(&p, out, sizeof out);
    for (size_t i = 0; i + 1 < size && size > I3_NONCE; i += 2)
        out[bytes[i] % written] ^= bytes[i + 1];
    struct arrival a = {.remote = from, .local = {.ip = our_address(&from)}};
    x->o->class->input(x->o, x->now, &a, out, written);
}

/* A packet to ourselves comes back, or something like it. */
static void check(struct scene *x, uint8_t about, const uint8_t *bytes, size_t size)
{
    const struct i3_client *c = &i3_of(x->o)->client;
    const struct i3_check *k = &c->check[c->checks ? about % c->checks : 0];
    uint8_t out[I3_HEADER + I3_CHECK_DEPTH * I3_ID + 1] = {I3_VERSION, I3_DATA, I3_CHECK_DEPTH};
    memcpy(out + I3_HEADER, &k->id, I3_ID);
    memcpy(out + I3_HEADER + I3_ID, &k->token, I3_ID);
    for (size_t i = 0; i + 1 < size; i += 2)
        out[bytes[i] % sizeof out] ^= bytes[i + 1];
    struct arrival a = {.remote = about & 0x80 ? address(about) : k->holder};
    x->o->class->input(x->o, x->now, &a, out, sizeof out);
}

/* The reply to a ping that is under way, or something like it. */
static void hello(struct scene *x, uint8_t about, const uint8_t *bytes, size_t size)
{
    const struct i3_client *c = &i3_of(x->o)->client;
    const struct i3_seed *s = &c->seed[about % c->seed_count];
    struct i3_ping p = {.is_reply = true, .time = s->token, .abilities = about >> 4};
    uint8_t out[I3_PING_SIZE];
    i3_ping_write(&p, out);
    for (size_t i = 0; i + 1 < size; i += 2)
        out[bytes[i] % sizeof out] ^= bytes[i + 1];
    struct arrival a = {.remote = s->at, .local = {.ip = our_address(&s->at)}};
    x->o->class->input(x->o, x->now, &a, out, sizeof out);
}

static struct i3_tunnel *tunnel(struct scene *x, uint8_t about)
{
    return i3_tunnel_find(i3_of(x->o), about & 1);
}

/* The neighbour's PRIVATE: what it should say, changed by the input. */
static void say_private(struct scene *x, uint8_t about, const uint8_t *bytes, size_t size)
{
    struct i3_tunnel *t = tunnel(x, about);
    uint8_t said[66] = {1, 0x0F};
    if (!t || !t->own)
        return;
    memset(said + 2, about, I3_ID);
    memcpy(said + 2 + I3_ID, &t->own->trigger.id, I3_ID);
    for (size_t i = 0; i + 1 < size; i += 2)
        said[bytes[i] % sizeof said] ^= bytes[i + 1];
    struct arrival a = {.remote = address(about)};
    x->o->class->link_message(x->o, x->now, about & 1, &a, said, sizeof said);
}

static void probe(struct scene *x, uint8_t about, const uint8_t *bytes, size_t size)
{
    struct i3_tunnel *t = tunnel(x, about);
    uint8_t out[I3_PROBE_SIZE] = {I3_PROBE, 1};
    if (!t)
        return;
    memcpy(out + 4, t->shortcut.token, I3_TOKEN);
    if (size)
        memcpy(out + 4 + I3_TOKEN, bytes, size < 8 ? size : 8);
    struct arrival a = {.remote = address(about)};
    x->o->class->input(x->o, x->now, &a, out, sizeof out);
    if (size > 8) /* and the neighbour saw ours */
        i3_shortcut_seen(i3_of(x->o), x->now, t, t->shortcut.place[about % I3_PLACES].nonce);
}

/* A datagram through the peels, answered and taken for a neighbour that has moved. */
static void arrives(struct scene *x, uint8_t about, const uint8_t *bytes, size_t size)
{
    struct packet *p = packet_take(x->pool);
    const struct recipe *forward;
    enum drop_reason reason;
    struct recipe answer;
    require(p && packet_fill(p, bytes, size));
    p->arrival = (struct arrival){.remote = address(about)};
    enum peel_result result = peel_run(&i3_of(x->o)->peel, p, &forward, &reason);
    if (result == PEEL_IS_MODULES)
        x->o->class->input(x->o, x->now, &p->arrival, p->data, p->size);
    if (result == PEEL_IS_RECORD) {
        if (x->o->class->answer(x->o, &p->arrival, &answer))
            require(recipe_valid(&answer));
        x->o->class->tunnel_moved(x->o, x->now, about & 1, &p->arrival);
    }
    packet_give_back(p);
}

static void trouble(struct scene *x, uint8_t about)
{
    const struct overlay_class *class = x->o->class;
    switch (about >> 1 & 7) {
    case 0:
        class->underlay_changed(x->o, x->now);
        break;
    case 1:
        class->tunnel_suspect(x->o, x->now, about & 1);
        break;
    case 2:
        class->tunnel_use(x->o, x->now, about & 1, OVERLAY_SILENT);
        break;
    case 3:
        class->link_down(x->o, x->now, about & 1, "beta");
        break;
    case 4:
        class->tunnel_close(x->o, x->now, about & 1);
        class->tunnel_open(x->o, x->now, about & 1, "beta");
        break;
    default:
        class->link_up(x->o, x->now, about & 1, "beta");
        break;
    }
}

static void step(struct scene *x, enum what what, uint8_t about, const uint8_t *bytes, size_t size)
{
    struct arrival a = {.remote = address(about)};
    a.local.ip = our_address(&a.remote);
    switch (what) {
    case RAW:
        x->o->class->input(x->o, x->now, &a, bytes, size);
        break;
    case REPLY:
        reply(x, about, bytes, size);
        break;
    case SEALED:
        x->o->class->link_message(x->o, x->now, about & 1, &a, bytes, size);
        break;
    case PRIVATE:
        say_private(x, about, bytes, size);
        break;
    case PROBE:
        probe(x, about, bytes, size);
        break;
    case TIME:
        x->now += (instant)about * 100 * MILLISECOND;
        break;
    case CHECK:
        check(x, about, bytes, size);
        break;
    case HELLO:
        hello(x, about, bytes, size);
        break;
    case ARRIVES:
        arrives(x, about, bytes, size);
        break;
    default:
        trouble(x, about);
        break;
    }
    x->o->class->advance(x->o, x->now);
    require(x->o->class->deadline(x->o) > x->now);
    pull(x);
}

/* `how`: bits for shortcuts, hosts to be passed, an identifier of our own, a middlebox, IPv6. */
static struct overlay *start(struct scene *x, uint8_t how)
{
    static const char servers[] = "192.0.2.1:5610, 192.0.2.2:5610",
                      both[] = "192.0.2.1:5610, [2001:db8::3]:5610, [2001:db8::4]:5610";
    static const struct overlay_option book = {
        "id", "1111111111111111111111111111111111111111111111111111111111111111"};
    static const struct overlay_member member = {
        .host = "beta", .options = &book, .option_count = 1};
    x->option[x->options++] = (struct overlay_option){"servers", how & 16 ? both : servers};
    x->option[x->options++] = (struct overlay_option){"shortcut", how & 1 ? "allow" : "deny"};
    if (how & 2)
        x->option[x->options++] = (struct overlay_option){"through", "one, two"};
    if (how & 4)
        x->option[x->options++] = (struct overlay_option){"id_from", "a text of this host"};
    if (how & 8)
        x->option[x->options++] = (struct overlay_option){"middlebox", "one"};
    struct overlay_settings s = {.instance = "lab.i3",
                                 .host = "alpha",
                                 .options = x->option,
                                 .option_count = x->options,
                                 .members = &member,
                                 .member_count = how & 4 ? 1 : 0,
                                 .entropy = &x->random.entropy};
    const char *reason;
    x->o = overlay_new(overlay_class_find("i3"), &s, x->now, &reason);
    require(x->o);
    x->o->class->bound(x->o, x->now, 0, &(struct endpoint){.port = 7400});
    pull(x);
    return x->o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_over(data, size);
    struct scene x = {.now = SECOND, .pool = packet_pool_new(1)};
    struct arrival back = {
        .remote = address(0), .via_size = I3_VIA, .via = {I3_VERSION, I3_DATA, 2, 7}};
    seeded_init(&x.random, 1);
    start(&x, read_u8(&r));
    x.o->class->tunnel_open(x.o, x.now, 0, "beta");
    x.o->class->tunnel_accept(x.o, x.now, 1, "gamma", &back);
    x.o->class->link_up(x.o, x.now, 1, "gamma");
    pull(&x);
    for (unsigned i = 0; i < STEPS_MAX && reader_left(&r); i++) {
        enum what what = read_u8(&r) % WHATS;
        uint8_t about = read_u8(&r);
        size_t wanted = read_u8(&r);
        if (wanted > reader_left(&r))
            wanted = reader_left(&r);
        step(&x, what, about, read_bytes(&r, wanted), wanted);
    }
    overlay_free(x.o);
    packet_pool_free(x.pool);
    return 0;
}
