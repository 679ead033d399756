/* Datagrams against a table of peels that uses every step, and what is to be forwarded against the
 * recipes.
 *
 * The table stands for three wires: 0x11 is a routed one (length, destination that steers, source
 * that is kept), 0x22 has two headers in front of a message of the module, 0x33 is sealed; 0xC0 to
 * 0xDF carry records as they are. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "packet/recipe.h"

enum { ROUTED = 0x11, NESTED = 0x22, SEALED = 0x33 };
enum { TO_US, IN_PLACE, WRAPPED, REFUSED, PUNTED, NOWHERE };

static const uint8_t routed_bytes[12] = {ROUTED}, routed_mask[12] = {0xFF};
static const uint8_t nested_bytes[4] = {NESTED, 0, 0, 1}, nested_mask[4] = {0xFF, 0, 0, 0x0F};

/* "Sealed": the last byte is the sum of the others. */
static bool sum_open(struct recipe_seal *self, struct packet *p, enum drop_reason *ret_reason)
{
    uint8_t sum = 0;
    if (p->size < 2) {
        *ret_reason = DROP_TRUNCATED;
        return false;
    }
    p->size--;
    for (size_t i = 0; i < p->size; i++)
        sum += p->data[i];
    packet_pull(p, 1);
    *ret_reason = DROP_BAD_TAG;
    return sum == p->data[p->size];
}

static bool sum_seal(struct recipe_seal *self, struct packet *p, enum drop_reason *ret_reason)
{
    if (!packet_push(p, 1) || packet_tailroom(p) < 1) {
        *ret_reason = DROP_OVERSIZED;
        return false;
    }
    uint8_t sum = p->data[0] = SEALED;
    for (size_t i = 1; i < p->size; i++)
        sum += p->data[i];
    p->data[p->size++] = sum;
    return true;
}

static struct recipe_seal sum = {.seal = sum_seal, .open = sum_open};
static struct recipe in_place, wrapped;

static enum steer_verdict decide(const struct steer *self, struct packet *p,
                                 const struct recipe **ret_recipe, enum drop_reason *ret_reason)
{
    if (p->size < sizeof routed_bytes) {
        *ret_reason = DROP_TRUNCATED;
        return STEER_DROP;
    }
    switch (p->data[4]) {
    case TO_US:
        return STEER_DELIVER;
    case IN_PLACE:
        *ret_recipe = &in_place;
        return STEER_FORWARD;
    case WRAPPED:
        *ret_recipe = &wrapped;
        return STEER_FORWARD;
    case PUNTED:
        return STEER_PUNT;
    case NOWHERE:
        return STEER_FORWARD;
    default:
        *ret_reason = DROP_POLICY;
        return STEER_DROP;
    }
}

static const struct steer steer = {.decide = decide};

static const struct peel_table table = {
    .count = 4,
    .peel =
        {
            {ROUTED,
             ROUTED,
             4,
             {{.verb = PEEL_LENGTH16, .at = 2, .add = 4},
              {.verb = PEEL_STEER, .steer = &steer},
              {.verb = PEEL_STRIP,
               .size = 12,
               .keep = true,
               .compare = routed_bytes,
               .mask = routed_mask},
              {.verb = PEEL_RECORD}}},
            {NESTED,
             NESTED,
             4,
             {{.verb = PEEL_STRIP, .size = 4, .compare = nested_bytes, .mask = nested_mask},
              {.verb = PEEL_STRIP, .size = 30, .keep = true},
              {.verb = PEEL_STRIP, .size = 20, .keep = true},
              {.verb = PEEL_PUNT}}},
            {SEALED, SEALED, 2, {{.verb = PEEL_OPEN, .state = &sum}, {.verb = PEEL_RECORD}}},
            {0xC0, 0xDF, 1, {{.verb = PEEL_RECORD}}},
        },
};

static uint64_t sequence;

static void make_recipes(void)
{
    static const uint8_t front[8] = {NESTED};
    struct endpoint remote = {.ip = {.family = 4, .bytes = {192, 0, 2, 1}}, .port = 9};
    struct recipe_patch ttl = {.kind = PATCH_TTL, .at = 1};
    struct recipe_patch patches[2] = {{.kind = PATCH_LENGTH16, .at = 2, .from = 8},
                                      {.kind = PATCH_SEQUENCE32, .at = 4, .sequence = &sequence}};
    if (in_place.count)
        return;
    recipe_begin(&in_place);
    require(recipe_add_prepend(&in_place, NULL, 0, &ttl, 1));
    require(recipe_add_send(&in_place, 0, NULL, &remote, 0));
    require(recipe_valid(&in_place));
    recipe_begin(&wrapped);
    require(recipe_add_seal(&wrapped, &sum, 2));
    require(recipe_add_prepend(&wrapped, front, sizeof front, patches, 2));
    require(recipe_add_send(&wrapped, 0, NULL, &remote, 0));
    require(recipe_valid(&wrapped));
}

static void check_forward(const struct recipe *recipe, struct packet *p, const uint8_t *data,
                          size_t size)
{
    enum drop_reason reason = DROP_COUNT;
    require(recipe == &in_place || recipe == &wrapped);
    require(p->size == size);
    if (!recipe_run(recipe, p, &reason)) {
        require(reason == DROP_HOP_LIMIT || reason == DROP_OVERSIZED);
        require(reason != DROP_HOP_LIMIT || data[1] <= 1);
        return;
    }
    if (recipe == &in_place) {
        require(p->size == size && p->data[1] == data[1] - 1);
        require(memcmp(p->data + 2, data + 2, size - 2) == 0);
    } else {
        require(p->size == size + 10);
        require((size_t)(p->data[2] << 8 | p->data[3]) == size + 2);
        require(memcmp(p->data + 9, data, size) == 0);
    }
}

/* What was peeled is the end of the datagram, and `via` what stood right before it. */
static void check_peeled(const struct packet *p, const uint8_t *data, size_t size, size_t front,
                         size_t via)
{
    require(p->size + front == size);
    require(memcmp(p->data, data + front, p->size) == 0);
    require(p->arrival.via_size == (via < ARRIVAL_VIA ? via : ARRIVAL_VIA));
    require(memcmp(p->arrival.via, data + front - via, p->arrival.via_size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct packet_pool *pool;
    if (!pool)
        pool = packet_pool_new(1);
    make_recipes();
    struct packet *p = packet_take(pool);
    if (!packet_fill(p, data, size)) {
        packet_give_back(p);
        return 0;
    }
    const struct recipe *recipe = NULL;
    enum drop_reason reason = DROP_COUNT;
    size_t front = 0;
    bool looked = peel_look(&table, data, size, &front);
    enum peel_result result = peel_run(&table, p, &recipe, &reason);
    /* Who only looks finds what who peels finds. */
    require(!looked || (result == PEEL_IS_RECORD && p->size + front == size));
    switch (result) {
    case PEEL_IS_RECORD:
        if (data[0] == ROUTED)
            check_peeled(p, data, size, 12, 12);
        else if (data[0] == SEALED)
            require(p->size == size - 2 && memcmp(p->data, data + 1, p->size) == 0);
        else
            check_peeled(p, data, size, 0, 0);
        break;
    case PEEL_IS_MODULES:
        if (data[0] == NESTED)
            check_peeled(p, data, size, 54, 50);
        else
            require(data[0] == ROUTED && data[4] == PUNTED && p->size == size);
        break;
    case PEEL_FORWARD:
        check_forward(recipe, p, data, size);
        break;
    case PEEL_DROP:
        require(reason < DROP_COUNT);
        break;
    }
    packet_give_back(p);
    return 0;
}
