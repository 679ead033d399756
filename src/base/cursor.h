/* Bounds-checked reading and writing of bytes, big-endian: the only way bytes from outside are parsed or built.
 *
 * A cursor that runs out of room sets `failed`, moves no further, and returns zeros (reader) or writes nothing
 * (writer).  Callers parse a whole message and look at `failed` once at its end. */
#ifndef OCALA_BASE_CURSOR_H
#define OCALA_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *at, *end;
    bool failed;
};

struct writer {
    uint8_t *start, *at, *end;
    bool failed;
};

static inline struct reader reader_over(const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    return (struct reader){.at = p, .end = size ? p + size : p};
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* The next `size` bytes in place, or NULL (and `failed`) when there are fewer. */
static inline const uint8_t *read_bytes(struct reader *r, size_t size)
{
    if (r->failed || reader_left(r) < size) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += size;
    return p;
}

/* Copies the next `size` bytes; zeros when there are fewer. */
static inline void read_copy(struct reader *r, void *out, size_t size)
{
    const uint8_t *p = read_bytes(r, size);
    if (p)
        memcpy(out, p, size);
    else
        memset(out, 0, size);
}

static inline uint8_t read_u8(struct reader *r)
{
    const uint8_t *p = read_bytes(r, 1);
    return p ? p[0] : 0;
}

static inline uint16_t read_u16(struct reader *r)
{
    const uint8_t *p = read_bytes(r, 2);
    return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t read_u32(struct reader *r)
{
    const uint8_t *p = read_bytes(r, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t read_u64(struct reader *r)
{
    uint64_t high = read_u32(r);
    return high << 32 | read_u32(r);
}

static inline struct writer writer_over(void *bytes, size_t size)
{
    uint8_t *p = bytes;
    return (struct writer){.start = p, .at = p, .end = p + size};
}

static inline size_t writer_size(const struct writer *w)
{
    return (size_t)(w->at - w->start);
}

static inline size_t writer_left(const struct writer *w)
{
    return (size_t)(w->end - w->at);
}

/* Room for `size` bytes to be filled by the caller, or NULL (and `failed`). */
static inline uint8_t *write_room(struct writer *w, size_t size)
{
    if (w->failed || writer_left(w) < size) {
        w->failed = true;
        return NULL;
    }
    uint8_t *p = w->at;
    w->at += size;
    return p;
}

static inline void write_bytes(struct writer *w, const void *bytes, size_t size)
{
    uint8_t *p = write_room(w, size);
    if (p && size)
        memcpy(p, bytes, size);
}

static inline void write_u8(struct writer *w, uint8_t v)
{
    uint8_t *p = write_room(w, 1);
    if (p)
        p[0] = v;
}

static inline void write_u16(struct writer *w, uint16_t v)
{
    uint8_t *p = write_room(w, 2);
    if (p) {
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
    }
}

static inline void write_u32(struct writer *w, uint32_t v)
{
    write_u16(w, (uint16_t)(v >> 16));
    write_u16(w, (uint16_t)v);
}

static inline void write_u64(struct writer *w, uint64_t v)
{
    write_u32(w, (uint32_t)(v >> 32));
    write_u32(w, (uint32_t)v);
}

#endif
