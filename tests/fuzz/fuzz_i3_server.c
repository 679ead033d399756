/* A server of i3: the first byte chooses the ring and whether it speaks IPv6, then datagrams (a byte for port and source, a byte of length), and
 * time goes on.
 *
 * Nothing that strangers send makes it say more than a few times what they sent, or keep a trigger: nobody of them can
 * have been given a nonce. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "i3/i3_server.h"
#include "tests/support/seeded.h"

/* Somebody at an IPv4 address may be an original, which dies of an IPv6 one; in an open ring all servers may be. */
static void check_families(const struct i3_server_out *out)
{
    static struct i3_packet p;
    if (out->port != I3_PORT_CLIENTS || out->letter.to.ip.family != 4 ||
        i3_packet_parse(out->letter.bytes, out->letter.size, &p) != I3_FINE)
        return;
    for (unsigned i = 0; i < p.option_count; i++) {
        const struct i3_option *o = &p.option[i];
        if (o->type == I3_SENDER)
            require(o->sender.type != I3_TO_IPV6);
        else if (o->type != I3_NOT_PRESENT && o->type != I3_REQUEST_FOR_CACHE)
            require(o->trigger.target.type != I3_TO_IPV6);
    }
}

static size_t drain(struct i3_server *s)
{
    struct i3_server_out out;
    size_t size = 0;
    while (i3_server_output(s, &out)) {
        require(out.letter.size && out.letter.to.port);
        check_families(&out);
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
                                          .remembered = 64,
                                          .outbox = 1 << 15,
                                          .entropy = &random.entropy};
    settings.chord.self =
        (struct chord_node){.id = {{0x20}}, .at = {.ip = {4, {127, 0, 0, 1}}, .port = 6510}};
    settings.chord.secret = data[0] & 1 ? secret : NULL;
    if (data[0] & 2)
        settings.also = (struct endpoint){.ip = {6, {0x20, 1, [15] = 1}}, .port = 5610};
    instant now = SECOND;
    struct i3_server *s = i3_server_new(&settings, now);
    size_t heard = 0, said = 0;
    for (size_t i = 1; i + 1 < size;) {
        size_t length = data[i + 1];
        struct endpoint from = {.ip = {4, {192, 0, 2, data[i] >> 4}}, .port = 7};
        if (data[0] & 2 && data[i] & 2)
            from.ip = (struct ip_address){6, {0x20, 1, 0x0d, 0xb8, [15] = data[i] >> 4}};
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
