/* A server of i3: the first byte chooses the ring, whether it speaks IPv6 and whether it knows another server, then datagrams
 * (a byte for port and source, a byte of length), and time goes on.
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

static const struct endpoint client = {.ip = {4, {192, 0, 2, 1}}, .port = 7};

/* Another node of the ring, which answers its ping. */
static void meet_node(struct i3_server *s, instant now)
{
    struct chord_message m = {.type = CHORD_NOTIFY,
                              .node = {.id = {{0x80}}, .at = {{4, {127, 0, 0, 2}}, .port = 6510}}},
                         ping;
    uint8_t bytes[64];
    struct i3_server_out out;
    i3_server_input(s, now, I3_PORT_RING, &m.node.at, bytes,
                    chord_message_write(&m, NULL, bytes, sizeof bytes));
    require(i3_server_output(s, &out));
    require(!chord_message_parse(out.letter.bytes, out.letter.size, NULL, &ping));
    require(ping.type == CHORD_PING);
    m.type = CHORD_PONG;
    m.token = ping.token;
    drain(s);
    i3_server_input(s, now, I3_PORT_RING, &m.node.at, bytes,
                    chord_message_write(&m, NULL, bytes, sizeof bytes));
    drain(s);
}

/* A trigger of the client's to an identifier of that node (seeds.py knows both). */
static void keep_chain(struct i3_server *s, instant now)
{
    static const struct i3_id far = {{0x50}};
    struct i3_hash *h = i3_hash_new();
    struct i3_trigger t = {.id = {{0x10}},
                           .prefix = I3_BITS,
                           .target = {.type = I3_TO_STACK, .depth = 1, .stack = &far}};
    i3_hash_id(h, I3_LEFT, &far, i3_id_key(&t.id));
    i3_hash_free(h);
    for (unsigned i = 0; i < 2; i++) {
        static struct i3_packet p, got;
        struct i3_server_out out;
        uint8_t bytes[256];
        p = (struct i3_packet){.flags = I3_OPTIONS, .depth = 1, .stack = &t.id, .option_count = 2};
        p.option[0] = (struct i3_option){.type = I3_SENDER, .sender = i3_address_of(&client)};
        p.option[1] = (struct i3_option){.type = I3_INSERT, .trigger = t};
        i3_server_input(s, now, I3_PORT_CLIENTS, &client, bytes,
                        i3_packet_write(&p, bytes, sizeof bytes));
        require(i3_server_output(s, &out));
        require(i3_packet_parse(out.letter.bytes, out.letter.size, &got) == I3_FINE);
        memcpy(t.nonce, got.option[0].trigger.nonce, I3_NONCE);
    }
    drain(s);
    require(i3_server_triggers(s) == 1);
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
    unsigned kept = (data[0] & 5) == 4; /* without a secret: its messages cannot be made up here */
    if (kept) {
        meet_node(s, now);
        keep_chain(s, now);
    }
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
    require(i3_server_triggers(s) <= kept);
    require(said <= 4 * heard + 256);
    for (unsigned i = 0; i < 8; i++, now += 5 * SECOND) {
        i3_server_advance(s, now);
        drain(s);
    }
    i3_server_free(s);
    return 0;
}
