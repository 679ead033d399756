#include "path/path_fixture.h"

/* The largest record that gets through, found by two engines over a network that swallows what is larger. */

#define VIA_GATE "beta.west.ip.via.gate.east.ip"

/* What single ways carry: the net's own MTU is that of the tunnels. */
struct ways {
    struct {
        const struct box *from;
        uint16_t mtu;
    } limit[8];
    unsigned count;
    uint64_t large; /* records of lane 0 larger than 600 bytes */
};

static bool carry(struct net *net, struct box *from, const struct endpoint *to, uint8_t *bytes,
                  size_t size)
{
    struct ways *w = net->tap_context;
    w->large += bytes[0] == WIRE_RECORD && !(bytes[7] & 0xF) && size > 600;
    for (unsigned i = 0; i < w->count; i++)
        if (w->limit[i].from == from && size > w->limit[i].mtu)
            return false;
    return true;
}

static void set_way(struct ways *w, const struct box *from, uint16_t mtu)
{
    unsigned i = 0;
    while (i < w->count && w->limit[i].from != from)
        i++;
    w->limit[i].from = from;
    w->limit[i].mtu = mtu;
    w->count = i < w->count ? w->count : i + 1;
}

struct test {
    struct trio t;
    struct ways ways;
};

static void start(struct test *x, uint64_t seed, const char *extra)
{
    trio_init(&x->t, seed, extra);
    x->ways = (struct ways){0};
    x->t.net.tap = carry;
    x->t.net.tap_context = &x->ways;
}

static uint16_t mtu(struct box *b, const char *name)
{
    return box_path(b, name)->record_mtu;
}

static void use(struct test *x, unsigned seconds, size_t size)
{
    for (unsigned i = 0; i < 4 * seconds; i++) {
        box_send_sized(x->t.alpha, x->t.beta, "beta.west.ip", 4, size, 1025);
        box_send_sized(x->t.beta, x->t.alpha, "alpha.east.ip", 4, size, 1025);
        net_run(&x->t.net, SECOND / 4);
    }
}

static void open_path(struct test *x)
{
    box_open(x->t.alpha, VIA_GATE);
    net_run(&x->t.net, SECOND);
    assert_true(box_up(x->t.alpha, "beta.west.ip"));
}

/* ---- finding ---- */

static void nothing_before_it_is_used(void **state)
{
    struct test x;
    start(&x, 1, NULL);
    open_path(&x);
    net_run(&x.t.net, 10 * MINUTE);
    assert_int_equal(x.ways.large, 0);
    assert_int_equal(box_path(x.t.alpha, "beta.west.ip")->mtu_known, PATH_MTU_ASSUMED);
    trio_done(&x.t);
}

/* One probe when it is used first; then none as long as only small packets go. */
static void small_packets_cost_nothing(void **state)
{
    struct test x;
    start(&x, 2, NULL);
    open_path(&x);
    use(&x, 2, 30);
    assert_int_equal(x.ways.large, 4); /* of both ends, seen before and behind the gateway */
    assert_int_equal(box_path(x.t.alpha, "beta.west.ip")->mtu_known, PATH_MTU_CONFIRMED);
    assert_int_equal(box_path(x.t.beta, "alpha.east.ip")->mtu_known, PATH_MTU_CONFIRMED);
    use(&x, 120, 30);
    assert_int_equal(x.ways.large, 4);
    trio_done(&x.t);
}

static void holes_are_found(void **state)
{
    static const uint16_t sizes[] = {1472, 1392, 1252, 1096, 548, 300};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct test x;
        start(&x, 10 + i, NULL);
        open_path(&x);
        x.t.net.faults.loss = 10 * (i % 3);
        set_way(&x.ways, x.t.gate, sizes[i]); /* both ways behind the gateway, and no word of it */
        set_way(&x.ways, x.t.beta, 1252);
        use(&x, 8, 1200);
        assert_in_range(mtu(x.t.alpha, "beta.west.ip"), sizes[i] - 8, sizes[i]);
        uint16_t back = sizes[i] < 1252 ? sizes[i] : 1252;
        assert_in_range(mtu(x.t.beta, "alpha.east.ip"), back - 8, 1252);
        uint64_t got = x.t.beta->got[x.t.alpha->index];
        x.t.net.faults.loss = 0;
        use(&x, 5, 1200);
        assert_int_equal(x.t.beta->got[x.t.alpha->index],
                         got + 20); /* whole, in pieces where needed */
        trio_done(&x.t);
    }
}

/* The way shrinks while it is used: found within seconds, from the silence alone; and grows again. */
static void shrinks_and_grows(void **state)
{
    for (unsigned i = 0; i < 12; i++) {
        struct test x;
        start(&x, 30 + i, "timers: {raise: 2s}\n");
        open_path(&x);
        x.t.net.faults.loss = i % 4 * 10;
        use(&x, 20, 1300);
        assert_int_equal(mtu(x.t.alpha, "beta.west.ip"), 1500);
        set_way(&x.ways, x.t.alpha, 1340);
        set_way(&x.ways, x.t.beta, 1200);
        use(&x, 12, 1400);
        assert_in_range(mtu(x.t.alpha, "beta.west.ip"), 1320, 1340);
        assert_in_range(mtu(x.t.beta, "alpha.east.ip"), 1180, 1200);
        x.ways.count = 0;
        use(&x, 15, 1400);
        assert_int_equal(mtu(x.t.alpha, "beta.west.ip"), 1500);
        assert_int_equal(mtu(x.t.beta, "alpha.east.ip"), 1500);
        trio_done(&x.t);
    }
}

/* A sender that gets answers looks again every ten seconds, and not more often. */
static void probes_are_few(void **state)
{
    struct test x;
    start(&x, 50, NULL);
    open_path(&x);
    use(&x, 5, 1300);
    uint64_t before = x.ways.large;
    use(&x, 100, 1300);
    assert_in_range(x.ways.large - before, 2 * 2 * 8, 2 * 2 * 11);
    trio_done(&x.t);
}

/* Loss alone, also of nearly everything, does not lower it for long. */
static void loss_is_not_an_mtu(void **state)
{
    for (unsigned i = 0; i < 10; i++) {
        struct test x;
        start(&x, 60 + i, "timers: {raise: 5s, give_up: 1m}\n");
        open_path(&x);
        x.t.net.faults.loss = 100;
        x.t.net.faults.reorder = 50;
        x.t.net.faults.duplicate = 50;
        use(&x, 30, 1300);
        x.t.net.faults = (struct net_faults){.delay = x.t.net.faults.delay};
        use(&x, 20, 1300);
        assert_int_equal(mtu(x.t.alpha, "beta.west.ip"), 1500);
        assert_int_equal(mtu(x.t.beta, "alpha.east.ip"), 1500);
        trio_done(&x.t);
    }
}

/* ---- what others say ---- */

/* The kernel's word, with a guess that somebody forged: the refused size holds, the guess does not. */
static void a_forged_guess_does_not_last(void **state)
{
    struct test x;
    start(&x, 80, NULL);
    open_path(&x);
    use(&x, 2, 1300);
    set_way(&x.ways, x.t.alpha, 1400);
    path_tunnel_too_big(x.t.alpha->e, x.t.net.now, &x.t.gate->endpoint[0], 1500, 600);
    box_pump(x.t.alpha);
    assert_int_equal(mtu(x.t.alpha, "beta.west.ip"), 600);
    use(&x, 3, 1300);
    assert_in_range(mtu(x.t.alpha, "beta.west.ip"), 1396, 1400);
    assert_true(path_neighbour_tunnel_mtu(box_neighbour(x.t.alpha, "gate.east.ip")) >= 1396);
    trio_done(&x.t);
}

/* ---- records that the kernel refused ---- */

/* The interface towards the gateway takes no more than this: what is larger does not leave, and is kept. */
struct interface {
    const struct box *box;
    struct endpoint to;
    size_t mtu, size;
    uint8_t bytes[1600];
};
static struct interface narrow;
static bool leave(struct net *net, struct box *from, const struct endpoint *to, uint8_t *bytes,
                  size_t size)
{
    if (from != narrow.box || size <= narrow.mtu)
        return true;
    narrow.to = *to;
    narrow.size = size;
    memcpy(narrow.bytes, bytes, size);
    return false;
}

static void refuse(struct test *x)
{
    path_tunnel_too_big(x->t.alpha->e, x->t.net.now, &narrow.to, narrow.size, narrow.mtu);
    path_refused(x->t.alpha->e, &narrow.to, narrow.bytes, narrow.size);
    box_pump(x->t.alpha);
}

/* The packet inside is not lost: it goes again as it fits now. */
static void what_the_kernel_refuses_goes_again(void **state)
{
    for (unsigned version = 4; version <= 6; version += 2) {
        struct test x;
        start(&x, 90 + version, NULL);
        open_path(&x);
        use(&x, 2, 1300);
        uint64_t there = x.t.beta->got[0], lost = box_drops(x.t.alpha, DROP_OVERSIZED);
        narrow = (struct interface){.box = x.t.alpha, .mtu = 700};
        x.t.net.tap = leave;
        assert_true(box_send_sized(x.t.alpha, x.t.beta, "beta.west.ip", version, 1300, 1025));
        assert_in_range(narrow.size, 1300 + RECORD_OVERHEAD, 1500);
        refuse(&x);
        net_run(&x.t.net, SECOND);
        assert_int_equal(x.t.beta->got[0], there + 1);
        assert_int_equal(x.t.beta->doubled[0], 0);
        assert_int_equal(box_drops(x.t.alpha, DROP_OVERSIZED), lost);

        /* The same once more would leave the same way, as it is: it fits now, or it is no packet of ours. */
        narrow.size = 0;
        path_refused(x.t.alpha->e, &narrow.to, narrow.bytes, 600);
        narrow.bytes[100] ^= 1;
        path_refused(x.t.alpha->e, &narrow.to, narrow.bytes, 1400);
        path_refused(x.t.alpha->e, &x.t.alpha->endpoint[0], narrow.bytes, 1400);
        path_refused(x.t.alpha->e, &narrow.to, narrow.bytes, 3);
        box_pump(x.t.alpha);
        net_run(&x.t.net, SECOND);
        assert_int_equal(x.t.beta->got[0], there + 1);
        assert_int_equal(box_drops(x.t.alpha, DROP_OVERSIZED), lost + 4);
        trio_done(&x.t);
    }
}

/* A kernel that refuses and names nothing smaller: the packet does not go round and round. */
static void what_fits_by_our_knowledge_goes_once(void **state)
{
    struct test x;
    start(&x, 97, NULL);
    open_path(&x);
    use(&x, 2, 1300);
    uint64_t lost = box_drops(x.t.alpha, DROP_OVERSIZED);
    narrow = (struct interface){.box = x.t.alpha, .mtu = 700};
    x.t.net.tap = leave;
    assert_true(box_send_sized(x.t.alpha, x.t.beta, "beta.west.ip", 4, 1300, 1025));
    size_t refused = narrow.size;
    narrow.size = 0;
    path_refused(x.t.alpha->e, &narrow.to, narrow.bytes, refused);
    box_pump(x.t.alpha);
    assert_int_equal(narrow.size, 0);
    assert_int_equal(box_drops(x.t.alpha, DROP_OVERSIZED), lost + 1);
    trio_done(&x.t);
}

/* A link that finds a hole says so to everybody who sends through it, here and behind the gateway. */
static void a_link_tells(void **state)
{
    struct test x;
    start(&x, 81, NULL);
    open_path(&x);
    use(&x, 2, 30);
    set_way(&x.ways, x.t.gate, 1300);
    struct path *link = box_neighbour(x.t.gate, "beta.west.ip")->link;
    link->mtu_known = PATH_MTU_ASSUMED;
    path_mtu_use(x.t.gate->e, x.t.net.now, link);
    box_pump(x.t.gate);
    net_run(&x.t.net, 5 * SECOND);
    assert_int_equal(link->record_mtu, 1300);
    assert_int_equal(mtu(x.t.alpha, "beta.west.ip"), 1300);
    trio_done(&x.t);
}

/* A gateway's tunnel that was small takes more: who sends is the one who finds out. */
static void a_gateways_tunnel_grows(void **state)
{
    struct test x;
    start(&x, 82, "timers: {raise: 2s}\n");
    open_path(&x);
    use(&x, 2, 1300);
    path_tunnel_too_big(x.t.gate->e, x.t.net.now, &x.t.beta->endpoint[0], 1500, 1280);
    box_pump(x.t.gate);
    net_run(&x.t.net, SECOND / 4);
    assert_int_equal(mtu(x.t.alpha, "beta.west.ip"), 1280);
    use(&x, 12, 1300);
    assert_int_equal(mtu(x.t.alpha, "beta.west.ip"), 1500);
    trio_done(&x.t);
}

/* A gateway that says nonsense about MTUs hurts nobody for long. */
static void a_lying_gateway(void **state)
{
    struct test x;
    start(&x, 83, "timers: {raise: 2s}\n");
    open_path(&x);
    use(&x, 2, 1300);
    struct path *p = box_path(x.t.alpha, "beta.west.ip");
    path_mtu_told(x.t.alpha->e, x.t.net.now, p, 127);
    path_mtu_told(x.t.alpha->e, x.t.net.now, p, 9000);
    assert_int_equal(p->record_mtu, 1500);
    path_mtu_told(x.t.alpha->e, x.t.net.now, p, 128);
    assert_int_equal(p->record_mtu, 128);
    use(&x, 10, 1300);
    assert_int_equal(p->record_mtu, 1500);
    trio_done(&x.t);
}

/* Records that somebody kept are replays: they answer no probe twice, and move nothing. */
static void replays_move_nothing(void **state)
{
    struct test x;
    struct tape *tape = test_calloc(1, sizeof *tape);
    start(&x, 84, NULL);
    open_path(&x);
    tape_start(tape, &x.t.net);
    use(&x, 2, 1300);
    for (unsigned i = 0; i < tape->count; i++)
        net_inject(&x.t.net, &x.t.gate->endpoint[0], &tape->item[i].to, tape->item[i].bytes,
                   tape->item[i].size);
    tape_stop(tape, &x.t.net);
    x.t.net.tap = carry;
    x.t.net.tap_context = &x.ways;
    set_way(&x.ways, x.t.alpha, 1340);
    use(&x, 12, 1400);
    assert_in_range(mtu(x.t.alpha, "beta.west.ip"), 1336, 1340);
    assert_true(box_drops(x.t.alpha, DROP_REPLAYED) > 0);
    test_free(tape);
    trio_done(&x.t);
}

/* Another way for the tunnel: what was known is known no more. */
static void a_new_way_is_measured(void **state)
{
    struct test x;
    start(&x, 85, NULL);
    set_way(&x.ways, x.t.alpha, 1300);
    open_path(&x);
    use(&x, 5, 1400);
    assert_int_equal(mtu(x.t.alpha, "beta.west.ip"), 1300);
    x.ways.count = 0;
    struct neighbour *n = box_neighbour(x.t.alpha, "gate.east.ip");
    struct recipe again;
    recipe_unpack(&again, path_neighbour_recipe(n));
    path_tunnel_up(x.t.alpha->e, x.t.net.now, n->tunnel, &again);
    box_pump(x.t.alpha);
    use(&x, 2, 1400);
    assert_int_equal(mtu(x.t.alpha, "beta.west.ip"), 1500);
    trio_done(&x.t);
}

/* A search that is under way when its path ends, sleeps, or is replaced. */
static void ends_in_the_middle(void **state)
{
    for (unsigned i = 0; i < 40; i++) {
        struct test x;
        start(&x, 100 + i, "timers: {park: 1s, rekey: 2s, old_keys: 1s}\n");
        x.t.net.faults.loss = 200;
        set_way(&x.ways, x.t.alpha, 700);
        box_open(x.t.alpha, VIA_GATE);
        net_run(&x.t.net, 3 * SECOND);
        box_send_sized(x.t.alpha, x.t.beta, "beta.west.ip", 4, 1300, 1025);
        net_run(&x.t.net, (instant)i * 40 * MILLISECOND);
        struct path *p = box_path(x.t.alpha, "beta.west.ip");
        if (i % 3 == 0)
            box_restart(x.t.beta);
        else if (i % 3 == 1 && p)
            path_close(x.t.alpha->e, x.t.net.now, p->slot, "enough");
        box_pump(x.t.alpha);
        net_run(&x.t.net, MINUTE);
        trio_done(&x.t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_it_is_used),
        cmocka_unit_test(small_packets_cost_nothing),
        cmocka_unit_test(holes_are_found),
        cmocka_unit_test(shrinks_and_grows),
        cmocka_unit_test(probes_are_few),
        cmocka_unit_test(loss_is_not_an_mtu),
        cmocka_unit_test(a_forged_guess_does_not_last),
        cmocka_unit_test(what_the_kernel_refuses_goes_again),
        cmocka_unit_test(what_fits_by_our_knowledge_goes_once),
        cmocka_unit_test(a_link_tells),
        cmocka_unit_test(a_gateways_tunnel_grows),
        cmocka_unit_test(a_lying_gateway),
        cmocka_unit_test(replays_move_nothing),
        cmocka_unit_test(a_new_way_is_measured),
        cmocka_unit_test(ends_in_the_middle),
    };
    return cmocka_run_group_tests_name("path_mtu", tests, NULL, NULL);
}
