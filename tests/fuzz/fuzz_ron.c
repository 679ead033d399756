/* A RON with three neighbours: what they say on their links, by whatever way it came, what comes through the socket with the
 * header of a hop, and time.  Steps: what and about whom, length, bytes.
 *
 * Whatever it is, recipes stay whole, outputs end, and the deadline moves on. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "overlay/overlay.h"
#include "tests/support/seeded.h"

#define NEIGHBOURS  3
#define STEPS_MAX   200
#define OUTPUTS_MAX 4000

enum what { SAYS, SAYS_BY_HOP, DATAGRAM, TIME, USE, MOVES, LINK, TUNNEL };
#define WHATS (TUNNEL + 1)

static const char *const names[] = {"beta", "gamma", "delta"};
static const char *const at_text[] = {"10.0.0.2:7400", "10.0.0.3:7400", "10.0.0.4:7400"};

struct scene {
    struct overlay *o;
    struct seeded random;
    struct packet_pool *pool;
    struct peel_table peel;
    struct endpoint at[NEIGHBOURS];
    bool open[NEIGHBOURS], link[NEIGHBOURS];
    instant now;
};

static void pull(struct scene *x)
{
    struct overlay_out out;
    unsigned count = 0;
    while (x->o->class->output(x->o, &out)) {
        require(++count < OUTPUTS_MAX);
        if (out.recipe)
            require(recipe_valid(out.recipe));
        if (out.kind == OVERLAY_LINK_MESSAGE)
            require(out.tunnel < NEIGHBOURS && x->link[out.tunnel] && out.size <= 8191);
        if (out.kind == OVERLAY_PEEL)
            x->peel = *out.peel;
        if (out.kind == OVERLAY_RETIRE)
            out.retire(out.object);
    }
}

static void open_tunnel(struct scene *x, unsigned n)
{
    const struct arrival from = {.socket = 1, .remote = x->at[n]};
    x->o->class->tunnel_accept(x->o, x->now, n, names[n], &from);
    x->open[n] = true;
    pull(x);
}

static void set_link(struct scene *x, unsigned n, bool up)
{
    if (x->link[n] == up || !x->open[n])
        return;
    x->link[n] = up;
    if (up)
        x->o->class->link_up(x->o, x->now, n, names[n]);
    else
        x->o->class->link_down(x->o, x->now, n, names[n]);
}

static void begin(struct scene *x, bool fast)
{
    static const struct overlay_option option = {"profile", "fast"};
    const char *reason;
    struct overlay_settings s = {.instance = "lab.ron",
                                 .host = "alpha",
                                 .options = &option,
                                 .option_count = fast,
                                 .first_socket = 1,
                                 .keepalive = 25 * SECOND,
                                 .entropy = &x->random.entropy};
    seeded_init(&x->random, 1);
    x->pool = packet_pool_new(2);
    x->now = SECOND;
    x->o = overlay_new(overlay_class_find("ron"), &s, x->now, &reason);
    require(x->o);
    for (unsigned i = 0; i < NEIGHBOURS; i++) {
        require(endpoint_parse(at_text[i], 0, &x->at[i]));
        open_tunnel(x, i);
        set_link(x, i, true);
        pull(x);
    }
}

static void datagram(struct scene *x, unsigned n, const uint8_t *bytes, size_t size)
{
    const struct recipe *on = NULL;
    enum drop_reason reason;
    struct recipe answer;
    struct packet *p = packet_take(x->pool);
    require(packet_fill(p, bytes, size));
    p->arrival = (struct arrival){.socket = 1, .remote = x->at[n]};
    enum peel_result result = peel_run(&x->peel, p, &on, &reason);
    if (result == PEEL_FORWARD)
        require(recipe_valid(on) && (!recipe_run(on, p, &reason) || p->size == size));
    if (result == PEEL_IS_RECORD && x->o->class->answer(x->o, &p->arrival, &answer))
        require(recipe_valid(&answer));
    packet_give_back(p);
}

static void step(struct scene *x, uint8_t what, const uint8_t *bytes, size_t size)
{
    const struct overlay_class *c = x->o->class;
    unsigned n = (what >> 4) % NEIGHBOURS;
    struct arrival from = {.socket = 1, .remote = x->at[n]};
    uint8_t first = size ? bytes[0] : 0;
    bool was_open = x->open[n];
    switch (what % WHATS) {
    case SAYS_BY_HOP:
        from.via_size = 16;
        memcpy(from.via, "\xCF\x01\0\0", 4);
        if (size) {
            memcpy(from.via + 4, bytes, size < 4 ? size : 4);
            bytes += size < 4 ? size : 4;
            size -= size < 4 ? size : 4;
        }
        /* fall through */
    case SAYS:
        if (x->link[n])
            c->link_message(x->o, x->now, n, &from, bytes, size);
        break;
    case DATAGRAM:
        datagram(x, n, bytes, size);
        break;
    case TIME:
        x->now += first * SECOND / 4;
        c->advance(x->o, x->now);
        require(c->deadline(x->o) > x->now);
        break;
    case USE:
        if (first & 1)
            c->tunnel_suspect(x->o, x->now, n);
        else
            c->tunnel_use(x->o, x->now, n, (enum overlay_use)((first >> 1) % (OVERLAY_SILENT + 1)));
        break;
    case MOVES:
        from.remote.port = first;
        c->tunnel_moved(x->o, x->now, n, &from);
        break;
    case LINK:
        set_link(x, n, !x->link[n]);
        break;
    default:
        set_link(x, n, false);
        if (x->open[n])
            c->tunnel_close(x->o, x->now, n);
        else
            open_tunnel(x, n);
        x->open[n] = !was_open;
    }
    pull(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_over(data, size);
    struct scene x = {0};
    begin(&x, read_u8(&r) & 1);
    for (unsigned i = 0; i < STEPS_MAX && reader_left(&r); i++) {
        uint8_t what = read_u8(&r);
        size_t wanted = read_u8(&r);
        if (wanted > reader_left(&r))
            wanted = reader_left(&r);
        step(&x, what, read_bytes(&r, wanted), wanted);
    }
    overlay_free(x.o);
    packet_pool_free(x.pool);
    return 0;
}
