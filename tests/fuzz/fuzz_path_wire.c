/* The readers of messages between neighbours and along paths (path/path_wire.h).  The first byte
 * chooses one; what is read is written again and must read the same. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "base/check.h"
#include "path/path_wire.h"

static void name_is_canonical(const char *name)
{
    struct overlay_name parsed;
    const char *reason;
    if (!name[0])
        return;
    require(overlay_name_parse(name, &parsed, &reason));
    require(!strcmp(parsed.text, name));
}

static void clear_open(const uint8_t *data, size_t size)
{
    struct clear_open m;
    if (!path_clear_open_read(data, size, &m))
        return;
    require(size >= OPEN_SIZE && m.covered + OPEN_MACS == size);
    require(m.noise >= data && m.noise + m.noise_size == data + m.covered);
    require(m.macs == data + m.covered);
}

static void clear_reply(const uint8_t *data, size_t size)
{
    static uint8_t again[70000];
    struct clear_reply m, second;
    if (!path_clear_reply_read(data, size, &m))
        return;
    size_t written = path_clear_reply_write(&m, again, sizeof again);
    require(written == size);
    require(path_clear_reply_read(again, written, &second));
    require(second.type == m.type && second.code == m.code && second.label == m.label);
    require(!memcmp(second.id, m.id, HANDSHAKE_ID));
    require(second.blob_size == m.blob_size &&
            (!m.blob_size || !memcmp(second.blob, m.blob, m.blob_size)));
    if (m.type == WIRE_ACCEPT)
        require(m.covered + LINK_MAC == size && m.mac == data + m.covered);
}

static void payload(const uint8_t *data, size_t size)
{
    uint8_t again[512];
    struct writer w = writer_over(again, sizeof again);
    struct handshake_payload p, second;
    if (!path_handshake_payload_read(data, size, &p))
        return;
    name_is_canonical(p.name);
    path_handshake_payload_write(&w, &p);
    require(!w.failed && writer_size(&w) <= size);
    require(path_handshake_payload_read(again, writer_size(&w), &second));
    require(second.aeads == p.aeads && second.lanes == p.lanes && second.status == p.status &&
            second.label == p.label && !strcmp(second.name, p.name));
}

static void chain_is_sane(const struct name_chain *c)
{
    require(c->count > 0 && c->count <= CHAIN_MAX);
    for (unsigned i = 0; i < c->count; i++) {
        require(c->hop[i].text[0]);
        name_is_canonical(c->hop[i].text);
    }
}

static void open_message(const uint8_t *data, size_t size)
{
    static uint8_t again[70000];
    struct reader r = reader_over(data, size);
    struct open_message m, second;
    if (!path_open_message_read(&r, &m))
        return;
    chain_is_sane(&m.remaining);
    chain_is_sane(&m.travelled);
    require(m.remaining.count + m.travelled.count <= CHAIN_MAX + 1);
    struct writer w = writer_over(again, sizeof again);
    path_open_message_write(&w, &m);
    require(!w.failed && writer_size(&w) <= size); /* a final dot of a name goes */
    r = reader_over(again, writer_size(&w));
    require(path_open_message_read(&r, &second));
    require(second.label == m.label && second.record_mtu == m.record_mtu &&
            second.pattern == m.pattern && second.origin.present == m.origin.present);
    require(name_chain_equal(&second.remaining, &m.remaining) &&
            name_chain_equal(&second.travelled, &m.travelled));
}

static void accept_message(const uint8_t *data, size_t size)
{
    uint8_t again[NOISE_BLOB_MAX + 128];
    struct reader r = reader_over(data, size);
    struct accept_message m;
    if (!path_accept_message_read(&r, &m))
        return;
    struct writer w = writer_over(again, sizeof again);
    path_accept_message_write(&w, &m);
    require(!w.failed && writer_size(&w) == size && !memcmp(again, data, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *, size_t) = {clear_open, clear_reply, payload,
                                                               open_message, accept_message};
    if (size)
        readers[data[0] % 5](data + 1, size - 1);
    return 0;
}
