/* The search for the largest record (path/mtu_search.h): answers and limits as somebody else likes, at any time.  It
 * ends, stays inside what it was given, and uses nothing that it has not tried or been told. */
#include "tests/fuzz/fuzz.h"

#include "base/check.h"
#include "base/cursor.h"
#include "path/mtu_search.h"

struct scene {
    struct mtu_search search;
    instant now;
    uint32_t number;
    unsigned sent;
    uint16_t largest; /* in use when it began, or that may be tried */
};

static uint16_t between(uint16_t value, uint16_t least, uint16_t most)
{
    return (uint16_t)(least + value % (most - least + 1u));
}

static void check(const struct scene *x)
{
    const struct mtu_search *s = &x->search;
    require(s->mtu >= MTU_SEARCH_LEAST && s->mtu <= x->largest);
    require(s->most >= MTU_SEARCH_LEAST && s->low <= s->most);
    require(s->over || (s->size >= MTU_SEARCH_LEAST && s->size <= s->most));
    require(!s->low || s->low <= s->mtu);
}

static void step(struct scene *x, uint8_t what, struct reader *r)
{
    struct mtu_search *s = &x->search;
    uint16_t value = read_u16(r);
    switch (what % 4) {
    case 0:
        x->now += (instant)value * MILLISECOND;
        break;
    case 1: /* an answer to one of the last probes, or a little beside */
        path_mtu_search_heard(s, x->now, x->number - value % 24 + 1);
        break;
    case 2:
        path_mtu_search_limit(s, x->now, value, value ? (uint16_t)(read_u16(r) % value) : 0);
        break;
    default:
        path_mtu_search_limit(s, x->now, value, value);
    }
    check(x);
    if (path_mtu_search_due(s, x->now)) {
        x->number += 2;
        x->sent++;
        path_mtu_search_sent(s, x->now, x->number);
    }
    check(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_over(data, size);
    struct scene x = {.now = SECOND, .number = 1000};
    uint16_t mtu = between(read_u16(&r), MTU_SEARCH_LEAST, 65000);
    uint16_t most = between(read_u16(&r), mtu, 65000);
    uint16_t first = between(read_u16(&r), mtu, most);
    x.largest = most;
    path_mtu_search_begin(&x.search, x.now, mtu, first, most, read_u8(&r) * MILLISECOND);
    check(&x);
    while (!x.search.over && reader_left(&r) && !r.failed)
        step(&x, read_u8(&r), &r);
    while (!x.search.over) { /* and nobody answers any more */
        x.now += SECOND;
        if (path_mtu_search_due(&x.search, x.now)) {
            x.sent++;
            path_mtu_search_sent(&x.search, x.now, x.number += 2);
        }
        check(&x);
        require(x.now < HOUR * 100);
    }
    require(x.sent <= MTU_SEARCH_ROUNDS);
    return 0;
}
