#include "chord/chord_wire.h"

#include <string.h>

#include "base/cursor.h"

#define MAC 16

enum { FINGERS_COMPLETE = 0x00, FINGERS_CUT = 0xff };

const char *chord_type_name(uint8_t type)
{
    switch (type) {
#define TYPE_NAME(id, value, name)                                                                 \
    case value:                                                                                    \
        return name;
        CHORD_TYPES(TYPE_NAME)
#undef TYPE_NAME
    }
    return "unknown";
}

static void read_at(struct reader *r, bool wide, struct endpoint *ret)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memset(ret, 0, sizeof *ret);
    if (!wide) {
        ret->ip.family = 4;
        read_copy(r, ret->ip.bytes, 4);
    } else {
        ret->ip.family = 6;
        read_copy(r, ret->ip.bytes, 16);
        if (!memcmp(ret->ip.bytes, mapped, sizeof mapped)) {
            ret->ip.family = 4;
            memmove(ret->ip.bytes, ret->ip.bytes + 12, 4);
            memset(ret->ip.bytes + 4, 0, 12);
        }
    }
    ret->port = read_u16(r);
}

static void read_node(struct reader *r, bool wide, struct chord_node *ret)
{
    read_copy(r, ret->id.bytes, CHORD_ID);
    read_at(r, wide, &ret->at);
}

static void read_fingers(struct reader *r, bool wide, struct chord_message *ret)
{
    size_t entry = CHORD_ID + (wide ? 16 : 4) + 2;
    read_node(r, wide, &ret->node);
    while (reader_left(r) > entry) {
        struct chord_node node;
        read_node(r, wide, &node);
        if (ret->count < CHORD_FINGERS_MAX)
            ret->finger[ret->count++] = node;
    }
    uint8_t end = read_u8(r);
    if (end != FINGERS_COMPLETE && end != FINGERS_CUT)
        r->failed = true;
}

static enum chord_fault read_body(struct reader *r, bool wide, struct chord_message *ret)
{
    switch (ret->type) {
    case CHORD_COPY:
        if (!wide)
            return CHORD_FAULT_TYPE;
        /* fall through */
    case CHORD_ROUTE:
        read_copy(r, ret->node.id.bytes, CHORD_ID);
        ret->payload_size = read_u16(r);
        ret->payload = read_bytes(r, ret->payload_size);
        return CHORD_FINE;
    case CHORD_FIND:
    case CHORD_FOUND:
    case CHORD_STABILISE:
    case CHORD_STABILISED:
    case CHORD_NOTIFY:
        read_node(r, wide, &ret->node);
        break;
    case CHORD_PING:
    case CHORD_GET_FINGERS:
        read_at(r, wide, &ret->node.at);
        ret->token = read_u32(r);
        break;
    case CHORD_PONG:
        read_node(r, wide, &ret->node);
        ret->token = read_u32(r);
        break;
    case CHORD_FINGERS:
        read_fingers(r, wide, ret);
        break;
    default:
        return CHORD_FAULT_TYPE;
    }
    return r->failed || endpoint_is_unicast(&ret->node.at) ? CHORD_FINE : CHORD_FAULT_ADDRESS;
}

void chord_secret_key(const uint8_t secret[CHORD_SECRET], struct crypto_hmac_key *ret)
{
    uint8_t key[CHORD_SECRET];
    crypto_hkdf_expand(secret, "ocala chord", 11, key, sizeof key);
    crypto_hmac_key(key, sizeof key, ret);
    crypto_wipe(key, sizeof key);
}

enum chord_fault chord_message_parse(const void *bytes, size_t size,
                                     const struct crypto_hmac_key *secret,
                                     struct chord_message *ret)
{
    if (secret) {
        uint8_t mac[32];
        if (size < 1 + 1 + MAC)
            return CHORD_FAULT_LENGTH;
        size -= MAC;
        crypto_hmac(secret, bytes, size, mac);
        if (!crypto_equal(mac, (const uint8_t *)bytes + size, MAC))
            return CHORD_FAULT_SECRET;
        size--;
    }
    struct reader r = reader_over(bytes, size);
    memset(ret, 0, offsetof(struct chord_message, finger));
    ret->hops = secret ? ((const uint8_t *)bytes)[size] : CHORD_HOPS;
    ret->type = read_u8(&r);
    if (r.failed)
        return CHORD_FAULT_LENGTH;
    enum chord_fault fault = read_body(&r, secret, ret);
    if (fault)
        return fault;
    return r.failed || reader_left(&r) ? CHORD_FAULT_LENGTH : CHORD_FINE;
}

static void write_at(struct writer *w, bool wide, const struct endpoint *at)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (at->ip.family != 4 && !(wide && at->ip.family == 6))
        w->failed = true;
    if (at->ip.family == 4) {
        if (wide)
            write_bytes(w, mapped, sizeof mapped);
        write_bytes(w, at->ip.bytes, 4);
    } else {
        write_bytes(w, at->ip.bytes, 16);
    }
    write_u16(w, at->port);
}

static void write_node(struct writer *w, bool wide, const struct chord_node *n)
{
    write_bytes(w, n->id.bytes, CHORD_ID);
    write_at(w, wide, &n->at);
}

static void write_body(struct writer *w, bool wide, const struct chord_message *m)
{
    switch (m->type) {
    case CHORD_ROUTE:
    case CHORD_COPY:
        if (m->payload_size > UINT16_MAX || (m->type == CHORD_COPY && !wide))
            w->failed = true;
        write_bytes(w, m->node.id.bytes, CHORD_ID);
        write_u16(w, (uint16_t)m->payload_size);
        write_bytes(w, m->payload, m->payload_size);
        break;
    case CHORD_PING:
    case CHORD_GET_FINGERS:
        write_at(w, wide, &m->node.at);
        write_u32(w, m->token);
        break;
    case CHORD_FINGERS:
        write_node(w, wide, &m->node);
        for (unsigned i = 0; i < m->count && i < CHORD_FINGERS_MAX; i++)
            write_node(w, wide, &m->finger[i]);
        write_u8(w, m->count > CHORD_FINGERS_MAX ? FINGERS_CUT : FINGERS_COMPLETE);
        break;
    case CHORD_FIND:
    case CHORD_FOUND:
    case CHORD_STABILISE:
    case CHORD_STABILISED:
    case CHORD_NOTIFY:
    case CHORD_PONG:
        write_node(w, wide, &m->node);
        if (m->type == CHORD_PONG)
            write_u32(w, m->token);
        break;
    default:
        w->failed = true;
    }
}

size_t chord_message_write(const struct chord_message *m, const struct crypto_hmac_key *secret,
                           void *out, size_t size)
{
    struct writer w = writer_over(out, size);
    write_u8(&w, m->type);
    write_body(&w, secret, m);
    if (secret) {
        uint8_t mac[32];
        write_u8(&w, m->hops);
        if (w.failed)
            return 0;
        crypto_hmac(secret, w.start, writer_size(&w), mac);
        write_bytes(&w, mac, MAC);
    }
    return w.failed ? 0 : writer_size(&w);
}
