#include "path/path_wire.h"

#include <string.h>

const char *path_refuse_text(unsigned code)
{
    switch (code) {
#define REFUSE_CASE(id, number, text)                                                              \
    case number:                                                                                   \
        return text;
        REFUSE_CODES(REFUSE_CASE)
#undef REFUSE_CASE
    default:
        return "refused for a reason that this version does not know";
    }
}

void write_blob(struct writer *w, const uint8_t *bytes, size_t size)
{
    write_u16(w, (uint16_t)size);
    write_bytes(w, bytes, size);
}

const uint8_t *read_blob(struct reader *r, uint16_t *ret_size)
{
    *ret_size = read_u16(r);
    return read_bytes(r, *ret_size);
}

void write_name(struct writer *w, const char *name)
{
    size_t size = strlen(name);
    write_u8(w, (uint8_t)size);
    write_bytes(w, name, size);
}

bool read_name(struct reader *r, char ret[NAME_TEXT])
{
    char text[NAME_TEXT] = "";
    uint8_t size = read_u8(r);
    const uint8_t *bytes = size < NAME_TEXT ? read_bytes(r, size) : NULL;
    struct overlay_name name;
    const char *reason;

    if (!bytes || memchr(bytes, 0, size)) {
        r->failed = true;
        ret[0] = 0;
        return false;
    }
    memcpy(text, bytes, size);
    if (size && !overlay_name_parse(text, &name, &reason)) {
        r->failed = true;
        ret[0] = 0;
        return false;
    }
    memcpy(ret, size ? name.text : text, NAME_TEXT);
    return true;
}

static void write_chain(struct writer *w, const struct name_chain *c)
{
    write_u8(w, (uint8_t)c->count);
    for (unsigned i = 0; i < c->count; i++)
        write_name(w, c->hop[i].text);
}

static bool read_chain(struct reader *r, struct name_chain *ret)
{
    ret->count = read_u8(r);
    if (ret->count == 0 || ret->count > CHAIN_MAX) {
        r->failed = true;
        ret->count = 0;
        return false;
    }
    for (unsigned i = 0; i < ret->count; i++)
        if (!read_name(r, ret->hop[i].text) || !ret->hop[i].text[0]) {
            r->failed = true;
            return false;
        }
    return true;
}

bool path_clear_open_read(const uint8_t *bytes, size_t size, struct clear_open *ret)
{
    struct reader r = reader_over(bytes, size);
    if (size < OPEN_SIZE || read_u8(&r) != WIRE_OPEN)
        return false;
    ret->version = read_u8(&r);
    ret->suite = read_u8(&r);
    ret->pattern = read_u8(&r);
    ret->label = read_u32(&r);
    ret->noise = read_blob(&r, &ret->noise_size);
    ret->covered = (size_t)(r.at - bytes);
    ret->macs = read_bytes(&r, OPEN_MACS);
    return !r.failed && reader_left(&r) == 0;
}

bool path_clear_reply_read(const uint8_t *bytes, size_t size, struct clear_reply *ret)
{
    struct reader r = reader_over(bytes, size);
    uint16_t blob_size = 0;

    *ret = (struct clear_reply){.type = read_u8(&r), .version = read_u8(&r), .code = read_u8(&r)};
    read_u8(&r);
    ret->id = read_bytes(&r, HANDSHAKE_ID);
    if (ret->type == WIRE_ACCEPT)
        ret->label = read_u32(&r);
    if (ret->type == WIRE_ACCEPT || ret->type == WIRE_CONFIRM) {
        ret->blob = read_blob(&r, &blob_size);
        ret->blob_size = blob_size;
        ret->covered = (size_t)(r.at - bytes);
        ret->mac = ret->type == WIRE_ACCEPT ? read_bytes(&r, LINK_MAC) : NULL;
    } else if (ret->type == WIRE_COOKIE) {
        ret->blob_size = 24 + 32;
        ret->blob = read_bytes(&r, ret->blob_size);
    } else if (ret->type != WIRE_REFUSE) {
        return false;
    }
    return !r.failed && reader_left(&r) == 0;
}

size_t path_clear_reply_write(const struct clear_reply *m, uint8_t *out, size_t size)
{
    struct writer w = writer_over(out, size);
    write_u8(&w, m->type);
    write_u8(&w, PATH_VERSION);
    write_u8(&w, m->code);
    write_u8(&w, 0);
    write_bytes(&w, m->id, HANDSHAKE_ID);
    if (m->type == WIRE_ACCEPT)
        write_u32(&w, m->label);
    if (m->type == WIRE_ACCEPT || m->type == WIRE_CONFIRM)
        write_blob(&w, m->blob, m->blob_size);
    else if (m->type == WIRE_COOKIE)
        write_bytes(&w, m->blob, m->blob_size);
    if (m->type == WIRE_ACCEPT && !w.failed) {
        uint8_t *mac = write_room(&w, LINK_MAC);
        if (mac)
            memset(mac, 0, LINK_MAC);
    }
    return w.failed ? 0 : writer_size(&w);
}

void path_handshake_payload_write(struct writer *w, const struct handshake_payload *p)
{
    write_u8(w, p->aeads);
    write_u8(w, p->lanes);
    write_u8(w, p->status);
    write_u32(w, p->label);
    write_name(w, p->name);
    if (p->known)
        write_u32(w, p->known);
}

bool path_handshake_payload_read(const uint8_t *bytes, size_t size, struct handshake_payload *ret)
{
    struct reader r = reader_over(bytes, size);
    ret->aeads = read_u8(&r);
    ret->lanes = read_u8(&r);
    ret->status = read_u8(&r);
    ret->label = read_u32(&r);
    read_name(&r, ret->name);
    ret->known = reader_left(&r) >= 4 ? read_u32(&r) : 0;
    return !r.failed;
}

static void write_vouch(struct writer *w, const struct vouch *v)
{
    write_u8(w, v->present);
    if (v->present)
        write_bytes(w, v->key, sizeof v->key);
}

static void read_vouch(struct reader *r, struct vouch *ret)
{
    uint8_t present = read_u8(r);
    *ret = (struct vouch){.present = present == 1};
    if (present > 1)
        r->failed = true;
    else if (present)
        read_copy(r, ret->key, sizeof ret->key);
}

void path_open_message_write(struct writer *w, const struct open_message *m)
{
    write_bytes(w, m->id, HANDSHAKE_ID);
    write_u32(w, m->label);
    write_u16(w, m->record_mtu);
    write_u8(w, m->pattern);
    write_vouch(w, &m->origin);
    write_chain(w, &m->remaining);
    write_chain(w, &m->travelled);
    write_blob(w, m->noise, m->noise_size);
}

bool path_open_message_read(struct reader *r, struct open_message *ret)
{
    memset(ret, 0, sizeof *ret);
    read_copy(r, ret->id, HANDSHAKE_ID);
    ret->label = read_u32(r);
    ret->record_mtu = read_u16(r);
    ret->pattern = read_u8(r);
    read_vouch(r, &ret->origin);
    if (!read_chain(r, &ret->remaining) || !read_chain(r, &ret->travelled))
        return false;
    if (ret->remaining.count + ret->travelled.count > CHAIN_MAX + 1)
        return false; /* each hop moves one name from here to there, so it never becomes more */
    ret->noise = read_blob(r, &ret->noise_size);
    return !r->failed && ret->noise_size <= NOISE_BLOB_MAX && reader_left(r) == 0;
}

void path_accept_message_write(struct writer *w, const struct accept_message *m)
{
    write_bytes(w, m->id, HANDSHAKE_ID);
    write_u32(w, m->label);
    write_u16(w, m->record_mtu);
    write_vouch(w, &m->target);
    write_blob(w, m->noise, m->noise_size);
}

bool path_accept_message_read(struct reader *r, struct accept_message *ret)
{
    memset(ret, 0, sizeof *ret);
    read_copy(r, ret->id, HANDSHAKE_ID);
    ret->label = read_u32(r);
    ret->record_mtu = read_u16(r);
    read_vouch(r, &ret->target);
    ret->noise = read_blob(r, &ret->noise_size);
    return !r->failed && ret->noise_size <= NOISE_BLOB_MAX && reader_left(r) == 0;
}
