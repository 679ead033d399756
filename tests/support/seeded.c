#include "tests/support/seeded.h"

/* xoshiro256** (Blackman and Vigna), its state filled by splitmix64 so that seeds which differ in
 * one bit give unrelated streams and no seed gives the all-zero state.  Bytes are taken
 * little-endian by hand: the byte order of the machine must not show. */

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static uint64_t rotate_left(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static uint64_t next(uint64_t state[4])
{
    uint64_t result = rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return result;
}

static void fill(struct entropy *self, void *out, size_t size)
{
    struct seeded *s = (struct seeded *)self;
    uint8_t *p = out;
    while (size) {
        uint64_t value = next(s->state);
        for (unsigned i = 0; i < 8 && size; i++, size--)
            *p++ = (uint8_t)(value >> (8 * i));
    }
}

void seeded_init(struct seeded *s, uint64_t seed)
{
    s->entropy.fill = fill;
    for (unsigned i = 0; i < 4; i++)
        s->state[i] = splitmix(&seed);
}
