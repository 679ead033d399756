/* A server of i3: the first byte chooses the ring, then datagrams (a byte for port and source, a byte of length), and
 * time goes on.
 *
 * Nothing that strangers send makes it say more than a few times what they sent, or keep a trigger: nobody of them can
 * have been given a nonce. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "i3/i3_server.h"
#include "tests/support/seeded.h"

static size_t drain(struct i3_server *s)
{
    struct i3_server_out out;
    size_t size = 0;
    while (i3_server_output(s, &out)) {
        require(out.letter.size && out.letter.to.port);
        size += out.letter.size;
    }
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t secret[CHORD_SECRET] = {9};
    struct seeded random;
    if (!size)
        return 0;
    seeded_init(&random, 1);
    struct i3_server_settings settings = {.at = {.ip = {4, {127, 0, 0, 1}}, .port = 5610},
                                          .triggers = 1000,
                                          .per_client = 100,
                                          .requests = 100,
                                          .routes = 64,
                                          .outbox = 1 << 15,
                                          .entropy = &random.entropy};
    settings.chord.self =
        (struct chord_node){.id = {{0x20}}, .at = {.ip = {4, {127, 0, 0, 1}}, .port = 6510}};
    settings.chord.secret = data[0] & 1 ? secret : NULL;
    instant now = SECOND;
    struct i3_server *s = i3_server_new(&settings, now);
    size_t heard = 0, said = 0;
    for (size_t i = 1; i + 1 < size;) {
        size_t length = data[i + 1];
        struct endpoint from = {.ip = {4, {192, 0, 2, data[i] >> 4}}, .port = 7};
        i += 2;
        if (length > size - i)
            length = size - i;
        i3_server_input(s, now, data[i - 2] & 1 ? I3_PORT_RING : I3_PORT_CLIENTS, &from, data + i,
                        length);
        said += drain(s);
        heard += length;
        i += length;
    }
    require(i3_server_triggers(s) == 0);
    require(said <= 4 * heard + 256);
    for (unsigned i = 0; i < 8; i++, now += 5 * SECOND) {
        i3_server_advance(s, now);
        drain(s);
    }
    i3_server_free(s);
    return 0;
}
