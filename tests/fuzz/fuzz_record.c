/* Records.  The first byte chooses: the rest as bytes from the wire, or as a story of counters.
 *
 * From the wire nothing opens but the documented vectors: they are in the corpus, sealed with this
 * file's key.
 *
 * In a story each two bytes move the counter; records are sealed and opened for real and the
 * verdict is compared with a plain list of what was opened before. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "record/record.h"

#define STORY 600 /* records at most */

static void lane_key(uint8_t key[32])
{
    uint8_t direction[32];
    for (unsigned i = 0; i < 32; i++)
        direction[i] = (uint8_t)i;
    record_lane_key(direction, 3, 7, key);
}

static void try_wire(enum crypto_aead aead, const uint8_t *data, size_t size)
{
    static uint8_t record[65536];
    struct record_header h;
    uint8_t key[32];
    size_t opened = 0;
    enum drop_reason reason = DROP_COUNT;
    if (size > sizeof record)
        return;
    memcpy(record, data, size);
    if (!record_read_header(record, size, &h)) {
        require(size < RECORD_OVERHEAD || record[0] != WIRE_RECORD);
        return;
    }
    if (h.hops > 0) {
        record_swap_label(record, h.label + 1);
        record_read_header(record, size, &h);
    }
    lane_key(key);
    struct record_opener *o = record_opener_new(NULL, aead, key, true, 0);
    uint64_t highest;
    if (record_open(o, record, size, &h, &opened, &reason)) {
        require(opened + RECORD_OVERHEAD == size);
        require(record_opener_highest(o, &highest) && highest == h.counter);
        require(!record_open(o, record, size, &h, &opened, &reason) && reason == DROP_REPLAYED);
    } else {
        require(reason == DROP_BAD_TAG);
        require(!record_opener_highest(o, &highest));
    }
    record_opener_free(o);
}

struct story {
    uint64_t seen[STORY];
    unsigned count;
    uint64_t highest;
};

static bool should_open(const struct story *s, uint64_t counter)
{
    if (!s->count || counter > s->highest)
        return true;
    if (s->highest - counter >= REPLAY_WINDOW)
        return false;
    for (unsigned i = 0; i < s->count; i++)
        if (s->seen[i] == counter)
            return false;
    return true;
}

/* One record with this counter, sealed for real and opened. */
static void tell(struct story *s, struct record_opener *o, const uint8_t key[32], uint64_t counter)
{
    uint8_t record[RECORD_OVERHEAD + 3];
    struct record_header h;
    size_t opened;
    enum drop_reason reason;
    struct record_sealer *sealer =
        record_sealer_new(NULL, CRYPTO_CHACHA20POLY1305, key, 7, counter);
    size_t size = record_seal(sealer, record, 3, RECORD_KIND_CONTROL, 1);
    require((size == 0) == (counter >= RECORD_DEAD_AT));
    if (size) {
        require(record_sealed_lately(sealer, counter, record + size - RECORD_TAG));
        require(record_read_header(record, size, &h) && h.counter == counter);
        bool good = record_open(o, record, size, &h, &opened, &reason);
        require(good == should_open(s, counter));
        require(good || reason == DROP_REPLAYED);
        if (good) {
            s->highest = s->count && s->highest > counter ? s->highest : counter;
            s->seen[s->count++] = counter;
        }
    }
    record_sealer_free(sealer);
}

static void try_story(const uint8_t *data, size_t size)
{
    struct story s = {.count = 0};
    uint8_t key[32];
    uint64_t counter = RECORD_DEAD_AT / 2;
    lane_key(key);
    struct record_opener *o = record_opener_new(NULL, CRYPTO_CHACHA20POLY1305, key, true, 0);
    for (unsigned i = 0; i + 1 < size && i < 2 * STORY; i += 2) {
        /* Signed steps of up to two windows; a leap of many where the step is the largest. */
        int16_t move = (int16_t)(data[i] << 8 | data[i + 1]);
        counter = move == INT16_MAX ? counter + RECORD_DEAD_AT / 8 : counter + (uint64_t)(move / 2);
        tell(&s, o, key, counter);
    }
    record_opener_free(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    switch (data[0] % 3) {
    case 0:
        try_wire(CRYPTO_AES256GCM, data + 1, size - 1);
        break;
    case 1:
        try_wire(CRYPTO_CHACHA20POLY1305, data + 1, size - 1);
        break;
    default:
        try_story(data + 1, size - 1);
    }
    return 0;
}
