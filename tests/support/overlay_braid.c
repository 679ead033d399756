/* A tunnel asks its member "are you there?" until it answers (three times, then it has failed);
 * then records flow as overlay_braid.h draws it.  Members are literal endpoints, the first `at`
 * only.  Everybody steers for all members.
 *
 * What recipes and peels point at lives long enough without counting: sequences and transforms in
 * the tunnel, until tunnel_close; steer table and compare bytes in the instance, until done. */
#include "tests/support/overlay_braid.h"

#include <errno.h>
#include <string.h>

#include <utlist.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/name.h"

#define ASKS       3
#define ASK_AGAIN  SECOND
#define REMEMBERED 64 /* counters of records that came */
#define COPIES     32 /* records that wait to be sent again */

enum braid_state { BRAID_ASKING, BRAID_UP, BRAID_ENDED };
enum { SAY_UP = 1, SAY_FAILED = 2, SAY_RECIPE = 4, SAY_HELLO = 8, SAY_GREETING = 16 };

struct braid_transform {
    struct transform transform;       /* first */
    struct packet *ready[COPIES + 2]; /* to be pulled */
    enum transform_way way[COPIES + 2];
    unsigned ready_count;
    struct packet *copy[COPIES];
    instant due[COPIES];
    unsigned copy_count;
    uint64_t seen[REMEMBERED];
    unsigned seen_count;
    struct braid_counts counts;
};

struct braid_tunnel {
    uint32_t id, number; /* the caller's, and the member's */
    enum braid_state state;
    unsigned says, asked;
    instant due;
    struct endpoint remote;
    uint64_t sequence;
    const char *reason;
    bool unknown_host;
    char host[NAME_TEXT];
    struct braid_transform transform;
    struct braid_tunnel *prev, *next;
};

struct braid_hello {
    struct endpoint to;
    uint8_t bytes[BRAID_HELLO];
    struct braid_hello *prev, *next;
};

struct braid_steer {
    struct steer steer; /* first */
    uint32_t own;
    unsigned count;
    uint32_t number[BRAID_MEMBERS];
    struct recipe recipe[BRAID_MEMBERS];
};

struct braid {
    struct overlay overlay; /* first */
    uint32_t own;
    struct braid_tunnel *tunnels;
    struct braid_hello *answers; /* to questions of others */
    struct braid_steer steer;
    struct peel_table peel;
    bool peel_said;
    unsigned greetings;
    struct recipe recipe;
    uint8_t bytes[BRAID_HELLO];
};

static const uint8_t inner_mark[BRAID_INNER] = {0x53, 0x54};
static const uint8_t inner_mask[BRAID_INNER] = {0xFF, 0xFF};

static struct braid *braid_of(struct overlay *o)
{
    return (struct braid *)o;
}

uint32_t overlay_braid_number(const char *host)
{
    uint32_t hash = 0x811C9DC5;
    for (; *host; host++)
        hash = (hash ^ (uint8_t)*host) * 0x01000193;
    return hash;
}

/* ---- transform ---- */

static void ready(struct braid_transform *t, enum transform_way way, struct packet *p)
{
    t->way[t->ready_count] = way;
    t->ready[t->ready_count++] = p;
}

static bool seen_before(struct braid_transform *t, uint64_t counter)
{
    for (unsigned i = 0; i < t->seen_count && i < REMEMBERED; i++)
        if (t->seen[i] == counter)
            return true;
    t->seen[t->seen_count++ % REMEMBERED] = counter;
    return false;
}

static void braid_transform_input(struct transform *self, instant now, enum transform_way way,
                                  struct packet *p)
{
    struct braid_transform *t = (struct braid_transform *)self;
    if (way == TRANSFORM_RECEIVING) {
        struct reader r = reader_over(p->data, p->size);
        read_bytes(&r, 8);
        uint64_t counter = read_u64(&r);
        t->counts.received++;
        if (!r.failed && seen_before(t, counter)) {
            t->counts.doubles++;
            packet_give_back(p);
        } else {
            ready(t, way, p);
        }
        return;
    }
    struct packet *copy = t->copy_count < COPIES ? packet_take(p->pool) : NULL;
    if (copy && packet_fill(copy, p->data, p->size)) {
        copy->arrival = p->arrival;
        t->due[t->copy_count] = now + BRAID_DELAY;
        t->copy[t->copy_count++] = copy;
    }
    t->counts.sent++;
    ready(t, way, p);
}

static void braid_transform_advance(struct transform *self, instant now)
{
    struct braid_transform *t = (struct braid_transform *)self;
    unsigned kept = 0;
    for (unsigned i = 0; i < t->copy_count; i++) {
        if (t->due[i] <= now) {
            t->counts.repeated++;
            ready(t, TRANSFORM_SENDING, t->copy[i]);
        } else {
            t->due[kept] = t->due[i];
            t->copy[kept++] = t->copy[i];
        }
    }
    t->copy_count = kept;
}

static instant braid_transform_deadline(const struct transform *self)
{
    const struct braid_transform *t = (const struct braid_transform *)self;
    return t->copy_count ? t->due[0] : INSTANT_NEVER;
}

static struct packet *braid_transform_output(struct transform *self, enum transform_way *ret_way)
{
    struct braid_transform *t = (struct braid_transform *)self;
    if (!t->ready_count)
        return NULL;
    struct packet *first = t->ready[0];
    *ret_way = t->way[0];
    t->ready_count--;
    memmove(t->ready, t->ready + 1, t->ready_count * sizeof *t->ready);
    memmove(t->way, t->way + 1, t->ready_count * sizeof *t->way);
    return first;
}

/* ---- recipes and steering ---- */

static void outer_header(uint32_t destination, uint32_t source, uint8_t ret[BRAID_OUTER])
{
    struct writer w = writer_over(ret, BRAID_OUTER);
    write_u8(&w, 0xB7);
    write_u8(&w, BRAID_HOPS);
    write_u16(&w, 0);
    write_u32(&w, destination);
    write_u32(&w, source);
}

static bool make_recipe(const struct braid *b, uint32_t number, const struct endpoint *remote,
                        uint64_t *sequence, struct transform *transform, struct recipe *ret)
{
    uint8_t outer[BRAID_OUTER];
    const struct recipe_patch count = {.kind = PATCH_SEQUENCE32, .at = 2, .sequence = sequence};
    const struct recipe_patch length = {.kind = PATCH_LENGTH16, .at = 2, .from = BRAID_OUTER};
    outer_header(number, b->own, outer);
    recipe_begin(ret);
    if (!recipe_add_prepend(ret, inner_mark, BRAID_INNER, &count, sequence ? 1 : 0) ||
        !recipe_add_prepend(ret, outer, BRAID_OUTER, &length, 1) ||
        !recipe_add_send(ret, b->overlay.settings.first_socket, NULL, remote, 0))
        return false;
    ret->mtu = (uint16_t)((remote->ip.family == 4 ? 1472 : 1452) - BRAID_OUTER - BRAID_INNER);
    ret->from = *remote;
    ret->keepalive = b->overlay.settings.keepalive;
    ret->transform = transform;
    return true;
}

/* Transit: the packet goes on as it is, with one hop less. */
static bool make_transit(const struct braid *b, const struct endpoint *remote, struct recipe *ret)
{
    const struct recipe_patch hops = {.kind = PATCH_TTL, .at = 1};
    recipe_begin(ret);
    return recipe_add_prepend(ret, NULL, 0, &hops, 1) &&
           recipe_add_send(ret, b->overlay.settings.first_socket, NULL, remote, 0);
}

static enum steer_verdict decide(const struct steer *self, struct packet *p,
                                 const struct recipe **ret_recipe, enum drop_reason *ret_reason)
{
    const struct braid_steer *s = (const struct braid_steer *)self;
    struct reader r = reader_over(p->data, p->size);
    read_bytes(&r, 4);
    uint32_t destination = read_u32(&r);
    if (r.failed) {
        *ret_reason = DROP_TRUNCATED;
        return STEER_DROP;
    }
    if (destination == s->own)
        return STEER_DELIVER;
    for (unsigned i = 0; i < s->count; i++)
        if (s->number[i] == destination) {
            *ret_recipe = &s->recipe[i];
            return STEER_FORWARD;
        }
    *ret_reason = DROP_NO_TUNNEL;
    return STEER_DROP;
}

static void make_peel(struct braid *b)
{
    struct peel *records = &b->peel.peel[0], *hello = &b->peel.peel[1];
    b->peel.count = 2;
    *records = (struct peel){
        .first_low = 0xB7,
        .first_high = 0xB7,
        .count = 5,
        .step = {
            {.verb = PEEL_LENGTH16, .at = 2, .add = BRAID_OUTER},
            {.verb = PEEL_STEER, .steer = &b->steer.steer},
            {.verb = PEEL_STRIP, .size = BRAID_OUTER, .keep = true},
            {.verb = PEEL_STRIP, .size = BRAID_INNER, .compare = inner_mark, .mask = inner_mask},
            {.verb = PEEL_RECORD}}};
    *hello = (struct peel){
        .first_low = 0xB8, .first_high = 0xB8, .count = 1, .step = {{.verb = PEEL_PUNT}}};
}

static const struct overlay_member *member_find(const struct braid *b, const char *host,
                                                struct endpoint *ret)
{
    const struct overlay_settings *s = &b->overlay.settings;
    for (unsigned i = 0; i < s->member_count; i++)
        if (!strcmp(s->members[i].host, host) && s->members[i].at_count &&
            endpoint_parse(s->members[i].at[0], 7500, ret))
            return &s->members[i];
    return NULL;
}

static int braid_init(struct overlay *o, instant now, const char **ret_reason)
{
    struct braid *b = braid_of(o);
    const struct overlay_settings *s = &o->settings;
    b->own = overlay_braid_number(s->host);
    b->steer = (struct braid_steer){.steer = {decide}, .own = b->own};
    if (s->member_count > BRAID_MEMBERS) {
        *ret_reason = "too many members";
        return -E2BIG;
    }
    for (unsigned i = 0; i < s->member_count; i++) {
        struct endpoint at;
        if (!member_find(b, s->members[i].host, &at))
            continue;
        b->steer.number[b->steer.count] = overlay_braid_number(s->members[i].host);
        if (!make_transit(b, &at, &b->steer.recipe[b->steer.count++])) {
            *ret_reason = "a transit recipe cannot be made";
            return -EINVAL;
        }
    }
    make_peel(b);
    return 0;
}

/* ---- tunnels ---- */

static bool usable(const struct endpoint *e)
{
    return e->ip.family && e->port;
}

static struct braid_tunnel *tunnel_find(struct braid *b, uint32_t id)
{
    struct braid_tunnel *t;
    DL_FOREACH(b->tunnels, t)
    if (t->id == id)
        return t;
    return NULL;
}

static struct braid_tunnel *tunnel_new(struct braid *b, uint32_t id, const char *host)
{
    struct braid_tunnel *t = base_calloc(1, sizeof *t);
    t->id = id;
    strcpy(t->host, host);
    t->number = overlay_braid_number(host);
    t->due = INSTANT_NEVER;
    t->transform.transform = (struct transform){braid_transform_input, braid_transform_advance,
                                                braid_transform_deadline, braid_transform_output};
    DL_APPEND(b->tunnels, t);
    return t;
}

static void tunnel_fail(struct braid_tunnel *t, const char *reason, bool unknown_host)
{
    t->state = BRAID_ENDED;
    t->reason = reason;
    t->unknown_host = unknown_host;
    t->due = INSTANT_NEVER;
    t->says = SAY_FAILED;
}

static void tunnel_up(struct braid_tunnel *t)
{
    t->state = BRAID_UP;
    t->due = INSTANT_NEVER;
    t->says = SAY_UP | SAY_GREETING;
}

static void braid_tunnel_open(struct overlay *o, instant now, uint32_t tunnel, const char *host)
{
    struct braid *b = braid_of(o);
    struct braid_tunnel *t = tunnel_new(b, tunnel, host);
    if (!member_find(b, host, &t->remote)) {
        tunnel_fail(t, "no such member in the config: add it under members", true);
        return;
    }
    t->says = SAY_HELLO;
    t->asked = 1;
    t->due = now + ASK_AGAIN;
}

static void braid_tunnel_accept(struct overlay *o, instant now, uint32_t tunnel, const char *host,
                                const struct arrival *from)
{
    struct braid *b = braid_of(o);
    struct braid_tunnel *t = tunnel_new(b, tunnel, host);
    t->remote = from->remote;
    if (usable(&from->remote))
        tunnel_up(t);
    else
        tunnel_fail(t, "arrived from nowhere", false);
}

static void braid_tunnel_moved(struct overlay *o, instant now, uint32_t tunnel,
                               const struct arrival *from)
{
    struct braid_tunnel *t = tunnel_find(braid_of(o), tunnel);
    if (!t || t->state != BRAID_UP || !usable(&from->remote) ||
        endpoint_equal(&t->remote, &from->remote))
        return;
    t->remote = from->remote;
    if (!(t->says & SAY_UP))
        t->says |= SAY_RECIPE;
}

static void tunnel_free(struct braid *b, struct braid_tunnel *t)
{
    struct braid_transform *x = &t->transform;
    for (unsigned i = 0; i < x->ready_count; i++)
        packet_give_back(x->ready[i]);
    for (unsigned i = 0; i < x->copy_count; i++)
        packet_give_back(x->copy[i]);
    DL_DELETE(b->tunnels, t);
    free(t);
}

static void braid_tunnel_close(struct overlay *o, instant now, uint32_t tunnel)
{
    struct braid_tunnel *t = tunnel_find(braid_of(o), tunnel);
    if (t)
        tunnel_free(braid_of(o), t);
}

static bool braid_answer(const struct overlay *o, const struct arrival *from, struct recipe *ret)
{
    const struct braid *b = (const struct braid *)o;
    struct reader r = reader_over(from->via, from->via_size);
    read_bytes(&r, 8);
    uint32_t source = read_u32(&r);
    return !r.failed && usable(&from->remote) &&
           make_recipe(b, source, &from->remote, NULL, NULL, ret);
}

/* ---- the module's own protocol ---- */

static void hello_write(uint8_t bytes[BRAID_HELLO], uint8_t what, uint32_t from, uint32_t to)
{
    struct writer w = writer_over(bytes, BRAID_HELLO);
    write_u8(&w, 0xB8);
    write_u8(&w, what);
    write_u32(&w, from);
    write_u32(&w, to);
}

static void braid_input(struct overlay *o, instant now, const struct arrival *from,
                        const uint8_t *bytes, size_t size)
{
    struct braid *b = braid_of(o);
    struct reader r = reader_over(bytes, size);
    uint8_t type = read_u8(&r), what = read_u8(&r);
    uint32_t sender = read_u32(&r), receiver = read_u32(&r);
    if (r.failed || reader_left(&r) || type != 0xB8 || receiver != b->own || !usable(&from->remote))
        return;
    if (what == 1) {
        struct braid_hello *answer = base_calloc(1, sizeof *answer);
        answer->to = from->remote;
        hello_write(answer->bytes, 2, b->own, sender);
        DL_APPEND(b->answers, answer);
    }
    struct braid_tunnel *t;
    DL_FOREACH(b->tunnels, t)
    if (what == 2 && t->state == BRAID_ASKING && t->number == sender)
        tunnel_up(t);
}

static void braid_advance(struct overlay *o, instant now)
{
    struct braid_tunnel *t;
    DL_FOREACH(braid_of(o)->tunnels, t)
    {
        if (t->due > now)
            continue;
        if (t->asked == ASKS) {
            tunnel_fail(t, "the member does not answer; is it running?", false);
        } else {
            t->asked++;
            t->says |= SAY_HELLO;
            t->due = now + ASK_AGAIN;
        }
    }
}

static instant braid_deadline(const struct overlay *o)
{
    const struct braid_tunnel *t;
    instant due = INSTANT_NEVER;
    DL_FOREACH(((const struct braid *)o)->tunnels, t)
    due = instant_min(due, t->due);
    return due;
}

static void output_send(struct braid *b, const struct endpoint *to, struct overlay_out *ret)
{
    ret->kind = OVERLAY_SEND;
    recipe_begin(&b->recipe);
    recipe_add_send(&b->recipe, b->overlay.settings.first_socket, NULL, to, 0);
    ret->recipe = &b->recipe;
    ret->bytes = b->bytes;
    ret->size = BRAID_HELLO;
}

static void output_tunnel(struct braid *b, struct braid_tunnel *t, struct overlay_out *ret)
{
    static const char greeting[] = "braid";
    ret->tunnel = t->id;
    if (t->says & SAY_HELLO) {
        t->says &= ~(unsigned)SAY_HELLO;
        hello_write(b->bytes, 1, b->own, t->number);
        output_send(b, &t->remote, ret);
    } else if (t->says & SAY_FAILED) {
        t->says = 0;
        ret->kind = OVERLAY_TUNNEL_FAILED;
        ret->reason = t->reason;
        ret->unknown_host = t->unknown_host;
    } else if (t->says & (SAY_UP | SAY_RECIPE)) {
        ret->kind = t->says & SAY_UP ? OVERLAY_TUNNEL_UP : OVERLAY_TUNNEL_RECIPE;
        t->says &= SAY_GREETING;
        make_recipe(b, t->number, &t->remote, &t->sequence, &t->transform.transform, &b->recipe);
        ret->recipe = &b->recipe;
    } else {
        t->says = 0;
        ret->kind = OVERLAY_LINK_MESSAGE;
        ret->bytes = (const uint8_t *)greeting;
        ret->size = sizeof greeting - 1;
    }
}

static bool braid_output(struct overlay *o, struct overlay_out *ret)
{
    struct braid *b = braid_of(o);
    *ret = (struct overlay_out){0};
    if (!b->peel_said) {
        b->peel_said = true;
        ret->kind = OVERLAY_PEEL;
        ret->socket = o->settings.first_socket;
        ret->peel = &b->peel;
        return true;
    }
    struct braid_hello *answer = b->answers;
    if (answer) {
        DL_DELETE(b->answers, answer);
        memcpy(b->bytes, answer->bytes, BRAID_HELLO);
        output_send(b, &answer->to, ret);
        free(answer);
        return true;
    }
    struct braid_tunnel *t;
    DL_FOREACH(b->tunnels, t)
    if (t->says) {
        output_tunnel(b, t, ret);
        return true;
    }
    return false;
}

static void braid_link_message(struct overlay *o, instant now, uint32_t tunnel,
                               const struct arrival *from, const uint8_t *bytes, size_t size)
{
    struct braid *b = braid_of(o);
    if (tunnel_find(b, tunnel) && size == 5 && !memcmp(bytes, "braid", 5))
        b->greetings++;
}

static void braid_done(struct overlay *o)
{
    struct braid *b = braid_of(o);
    while (b->tunnels)
        tunnel_free(b, b->tunnels);
    for (struct braid_hello *a; (a = b->answers);) {
        DL_DELETE(b->answers, a);
        free(a);
    }
}

struct braid_counts overlay_braid_counts(const struct overlay *o, uint32_t tunnel)
{
    return tunnel_find((struct braid *)o, tunnel)->transform.counts;
}

unsigned overlay_braid_greetings(const struct overlay *o)
{
    return ((const struct braid *)o)->greetings;
}

static const struct overlay_schema braid_schema[] = {{NULL, NULL, NULL, NULL}};

const struct overlay_class overlay_braid_class = {
    .abi = OVERLAY_ABI,
    .name = "braid",
    .promise = "for tests: every record twice",
    .flags = OVERLAY_CARRIES_IP,
    .size = sizeof(struct braid),
    .sockets = 1,
    .headroom = BRAID_OUTER + BRAID_INNER,
    .schema = braid_schema,
    .init = braid_init,
    .done = braid_done,
    .tunnel_open = braid_tunnel_open,
    .tunnel_accept = braid_tunnel_accept,
    .tunnel_moved = braid_tunnel_moved,
    .tunnel_close = braid_tunnel_close,
    .answer = braid_answer,
    .input = braid_input,
    .advance = braid_advance,
    .deadline = braid_deadline,
    .output = braid_output,
    .link_message = braid_link_message,
};
