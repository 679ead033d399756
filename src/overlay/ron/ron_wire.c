#include "overlay/ron/ron_wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void ron_header_write(const struct ron_header *h, uint8_t ret[RON_HEADER])
{
    struct writer w = writer_over(ret, RON_HEADER);
    write_u8(&w, RON_FIRST);
    write_u8(&w, h->hops);
    write_u16(&w, 0);
    write_u32(&w, h->hop);
    write_u32(&w, h->to);
    write_u32(&w, h->from);
}

bool ron_header_read(const uint8_t *bytes, size_t size, struct ron_header *ret)
{
    struct reader r = reader_over(bytes, size);
    uint8_t first = read_u8(&r);
    ret->hops = read_u8(&r);
    read_u16(&r);
    ret->hop = read_u32(&r);
    ret->to = read_u32(&r);
    ret->from = read_u32(&r);
    return !r.failed && first == RON_FIRST;
}

size_t ron_probe_write(const struct ron_probe *p, uint8_t *bytes, size_t size)
{
    struct writer w = writer_over(bytes, size);
    write_u8(&w, p->type);
    write_u32(&w, p->hop);
    write_u64(&w, p->number);
    if (p->type == RON_REPLY)
        write_u64(&w, p->own);
    return w.failed ? 0 : writer_size(&w);
}

bool ron_probe_read(const uint8_t *bytes, size_t size, struct ron_probe *ret)
{
    struct reader r = reader_over(bytes, size);
    *ret = (struct ron_probe){.type = read_u8(&r)};
    ret->hop = read_u32(&r);
    ret->number = read_u64(&r);
    if (ret->type == RON_REPLY)
        ret->own = read_u64(&r);
    return !r.failed && !reader_left(&r) && ret->type >= RON_PROBE && ret->type <= RON_ACK;
}

/* ---- rows ---- */

#define ROW_HEAD 7
#define ROW_ITEM 8

void ron_row_begin(struct writer *w, uint32_t sequence)
{
    write_u8(w, RON_ROW);
    write_u32(w, sequence);
    write_u16(w, 0);
}

void ron_row_add(struct writer *w, const struct ron_entry *e)
{
    write_u32(w, e->id);
    write_u8(w, (uint8_t)(e->rtt >> 16));
    write_u16(w, (uint16_t)e->rtt);
    write_u8(w, (uint8_t)((e->forwards ? 0x80 : 0) | (e->loss & 0x7F)));
}

void ron_row_finish(struct writer *w, unsigned count)
{
    if (writer_size(w) < ROW_HEAD)
        return;
    struct writer head = writer_over(w->start + ROW_HEAD - 2, 2);
    write_u16(&head, (uint16_t)count);
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = ((const struct ron_entry *)a)->id, y = ((const struct ron_entry *)b)->id;
    return x < y ? -1 : x > y;
}

struct ron_entry *ron_row_read(const uint8_t *bytes, size_t size, uint32_t *ret_sequence,
                               unsigned *ret_count)
{
    struct reader r = reader_over(bytes, size);
    uint8_t type = read_u8(&r);
    *ret_sequence = read_u32(&r);
    unsigned count = read_u16(&r), kept = 0;
    if (r.failed || type != RON_ROW || count > RON_ROW_MAX ||
        reader_left(&r) != (size_t)count * ROW_ITEM)
        return NULL;
    struct ron_entry *e = base_calloc(count + 1u, sizeof *e);
    for (unsigned i = 0; i < count; i++) {
        e[i].id = read_u32(&r);
        e[i].rtt = (uint32_t)read_u8(&r) << 16;
        e[i].rtt |= read_u16(&r);
        uint8_t last = read_u8(&r);
        e[i].forwards = last & 0x80;
        e[i].loss = last & 0x7F;
        if (e[i].loss > 100)
            e[i].loss = 100;
    }
    qsort(e, count, sizeof *e, by_id);
    for (unsigned i = 0; i < count; i++)
        if (!kept || e[kept - 1].id != e[i].id)
            e[kept++] = e[i];
    *ret_count = kept;
    return e;
}

/* ---- members ---- */

#define NEWS_LEFT 1
#define NEWS_IPV4 2
#define NEWS_IPV6 4

void ron_news_write(struct writer *w, const struct ron_news *n)
{
    uint8_t family = n->at.ip.family;
    size_t size = strlen(n->host);
    write_u8(w, (uint8_t)((n->left ? NEWS_LEFT : 0) | (family == 4 ? NEWS_IPV4 : 0) |
                          (family == 6 ? NEWS_IPV6 : 0)));
    write_u16(w, n->age);
    write_u8(w, (uint8_t)size);
    write_bytes(w, n->host, size);
    if (!family)
        return;
    write_bytes(w, n->at.ip.bytes, family == 4 ? 4 : 16);
    write_u16(w, n->at.port);
}

bool ron_news_read(struct reader *r, struct ron_news *ret)
{
    const char *reason;
    *ret = (struct ron_news){0};
    uint8_t flags = read_u8(r);
    ret->left = flags & NEWS_LEFT;
    ret->age = read_u16(r);
    size_t size = read_u8(r);
    if (size >= sizeof ret->host)
        return false;
    read_copy(r, ret->host, size);
    if (flags & (NEWS_IPV4 | NEWS_IPV6)) {
        ret->at.ip.family = flags & NEWS_IPV4 ? 4 : 6;
        read_copy(r, ret->at.ip.bytes, flags & NEWS_IPV4 ? 4 : 16);
        ret->at.port = read_u16(r);
    }
    if (r->failed || strlen(ret->host) != size || !labels_valid(ret->host, &reason))
        return false;
    if (!ret->at.port)
        ret->at = (struct endpoint){0};
    return true;
}

/* ---- numbers ---- */

static uint32_t mix(uint32_t v)
{
    v = (v ^ v >> 16) * 0x85EBCA6B;
    v = (v ^ v >> 13) * 0xC2B2AE35;
    return v ^ v >> 16;
}

uint32_t ron_id(const char *host)
{
    uint32_t hash = 0x811C9DC5;
    for (; *host; host++)
        hash = (hash ^ (uint8_t)*host) * 0x01000193;
    hash = mix(hash);
    return hash ? hash : 1; /* 0 stands for the direct way */
}

uint32_t ron_pair(uint32_t a, uint32_t b)
{
    return a < b ? mix(a ^ mix(b + 0x9E3779B9)) : mix(b ^ mix(a + 0x9E3779B9));
}
