/* A node of a ring: the first byte chooses, then messages of any kind (a length byte each), and time goes on.
 *
 * What is read is written again as it was; nothing that strangers say makes the node use somebody who did not answer, or
 * say more than it was asked. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "chord/chord.h"
#include "tests/support/seeded.h"

static void parse(const uint8_t *data, size_t size)
{
    static struct chord_message m;
    static uint8_t out[65536 + 64];
    if (size > 65536 || chord_message_parse(data, size, NULL, &m) != CHORD_FINE)
        return;
    size_t written = chord_message_write(&m, NULL, out, sizeof out);
    if (m.type == CHORD_FINGERS)
        require(written &&
                written <= size); /* what is behind the last finger that we keep is left out */
    else
        require(written == size && !memcmp(out, data, size));
}

static void drain(struct chord *c, size_t *ret_size)
{
    struct outbox_letter l;
    while (chord_output(c, &l))
        *ret_size += l.size;
}

static void story(const uint8_t *data, size_t size)
{
    static const uint8_t secret[CHORD_SECRET] = {9};
    static const struct endpoint from = {.ip = {4, {192, 0, 2, 1}}, .port = 7};
    struct seeded random;
    seeded_init(&random, 1);
    struct chord_settings s = {
        .self = {.id = {{0x20}}, .at = {.ip = {4, {127, 0, 0, 1}}, .port = 6510}},
        .seed = {{.ip = {4, {127, 0, 0, 1}}, .port = 6511}},
        .seeds = data[0] >> 1 & 1,
        .secret = data[0] >> 2 & 1 ? secret : NULL,
        .per_address = 4,
        .outbox = 65536,
        .held = 4096,
        .entropy = &random.entropy};
    instant now = SECOND;
    size_t said = 0, heard = 0;
    struct chord *c = chord_new(&s, now);
    struct chord_delivery got;
    for (size_t i = 1; i < size; i += 1 + data[i]) {
        size_t length = size - i - 1 < data[i] ? size - i - 1 : data[i];
        if (chord_input(c, now, &from, data + i + 1, length, &got))
            require(got.payload >= data && got.payload + got.size <= data + size);
        heard += length;
        drain(c, &said);
    }
    require(chord_nodes(c, NULL, 0) == 0); /* nobody can have answered: tokens are random */
    require(said <= 3 * heard + 64);
    for (unsigned i = 0; i < 20; i++, now += SECOND / 2) {
        chord_advance(c, now);
        while (chord_take(c, &got))
            require(got.size <= size);
        drain(c, &said);
    }
    chord_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] & 1)
        story(data, size);
    else
        parse(data + 1, size - 1);
    return 0;
}
