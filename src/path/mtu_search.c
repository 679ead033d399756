#include "path/mtu_search.h"

#include <string.h>

#define GRACE          (30 * MILLISECOND) /* that the larger probe may be later than its witness  */
#define PATIENCE       SECOND             /* for the witness, while no round trip is known        */
#define PATIENCE_LEAST (100 * MILLISECOND)
#define PATIENCE_MOST  (4 * SECOND)
#define UNHEARD_MOST   6 /* rounds in a row without a witness: the path has other troubles       */
#define STRIKES_MOST   10

/* What to fall back to: IPv6 over its least link, IPv4 over the least that hosts must take. */
static const uint16_t falls[] = {1280 - 48, 576 - 28, MTU_SEARCH_LEAST};

static uint16_t fall_below(uint16_t size)
{
    unsigned i = 0;
    while (falls[i] >= size && falls[i] > MTU_SEARCH_LEAST)
        i++;
    return falls[i];
}

static void be_patient(struct mtu_search *s, instant rtt)
{
    s->patience = 3 * rtt + PATIENCE_LEAST;
    if (s->patience > PATIENCE_MOST)
        s->patience = PATIENCE_MOST;
}

void path_mtu_search_begin(struct mtu_search *s, instant now, uint16_t mtu, uint16_t first,
                           uint16_t most, instant rtt)
{
    *s = (struct mtu_search){.mtu = mtu,
                             .size = first,
                             .most = most,
                             .high = (uint16_t)(most + MTU_SEARCH_GRAIN),
                             .next = now,
                             .patience = PATIENCE};
    if (rtt)
        be_patient(s, rtt);
}

/* The next size, now that another one is settled. */
static void choose(struct mtu_search *s, instant now)
{
    s->strikes = 0;
    s->waiting = false;
    s->next = now;
    if (!s->low) {
        s->over = s->high <= s->mtu;
        s->size = s->mtu;
        return;
    }
    uint16_t left = (uint16_t)(s->high - s->low);
    uint16_t half = (uint16_t)(left / 2 / MTU_SEARCH_GRAIN * MTU_SEARCH_GRAIN);
    s->over = left <= MTU_SEARCH_GRAIN;
    s->size = (uint16_t)(s->low + (half ? half : MTU_SEARCH_GRAIN));
    if (!s->failed_any || s->size > s->most)
        s->size = s->most;
}

static void fails(struct mtu_search *s, instant now)
{
    s->failed_any = true;
    s->high = s->size;
    if (s->low >= s->high)
        s->low = 0;
    if (s->mtu >= s->high)
        s->mtu = s->low ? s->low : fall_below(s->high);
    choose(s, now);
}

static void passes(struct mtu_search *s, instant now, uint16_t size)
{
    if (size <= s->low || size > s->most)
        return;
    s->low = size;
    if (s->mtu < size)
        s->mtu = size;
    if (s->high <= size) /* it was lost, or has grown since */
        s->high = (uint16_t)(s->most + MTU_SEARCH_GRAIN);
    if (s->size <= size)
        choose(s, now);
}

static void judge(struct mtu_search *s, instant now)
{
    unsigned needed = MTU_SEARCH_STRIKES + s->lost;
    s->waiting = false;
    if (s->witness) {
        if (++s->strikes >= (needed < STRIKES_MOST ? needed : STRIKES_MOST))
            fails(s, now);
        return;
    }
    if (s->lost < UINT8_MAX)
        s->lost++;
    s->patience = instant_min(2 * s->patience, PATIENCE_MOST);
    s->over = ++s->unheard >= UNHEARD_MOST;
}

bool path_mtu_search_due(struct mtu_search *s, instant now)
{
    if (s->over || now < s->next)
        return false;
    if (s->waiting)
        judge(s, now);
    if (s->rounds >= MTU_SEARCH_ROUNDS)
        s->over = true;
    return !s->over;
}

void path_mtu_search_sent(struct mtu_search *s, instant now, uint32_t number)
{
    unsigned at = s->rounds++ % MTU_SEARCH_RECENT;
    s->recent[at].number = number;
    s->recent[at].size = s->size;
    s->recent[at].at = now;
    s->waiting = true;
    s->witness = false;
    s->next = now + s->patience;
}

bool path_mtu_search_heard(struct mtu_search *s, instant now, uint32_t number)
{
    unsigned count = s->rounds < MTU_SEARCH_RECENT ? s->rounds : MTU_SEARCH_RECENT;
    for (unsigned i = 0; i < count; i++) {
        instant rtt = now - s->recent[i].at;
        if (number == s->recent[i].number) {
            passes(s, now, s->recent[i].size);
            return true;
        }
        if (number != s->recent[i].number + 1)
            continue;
        be_patient(s, rtt);
        s->unheard = 0;
        bool newest = i == (s->rounds - 1) % MTU_SEARCH_RECENT;
        if (newest && s->waiting && !s->witness) {
            s->witness = true;
            s->next = now + GRACE + rtt / 2;
        }
        return true;
    }
    return false;
}

void path_mtu_search_limit(struct mtu_search *s, instant now, uint16_t limit, uint16_t guess)
{
    if (limit < MTU_SEARCH_LEAST || limit >= s->most)
        return;
    s->most = limit;
    s->failed_any |= guess < limit;
    if (s->high > limit + MTU_SEARCH_GRAIN)
        s->high = (uint16_t)(limit + MTU_SEARCH_GRAIN);
    if (s->low > limit)
        s->low = 0;
    if (s->mtu > limit)
        s->mtu = guess < MTU_SEARCH_LEAST ? fall_below(limit) : guess;
    if (s->over || s->size > limit)
        choose(s, now);
}
