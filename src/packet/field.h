/* Big-endian numbers at places of a header that the caller knows to be there: ip_parse() has checked its length.  For bytes
 * whose length is not known there is the cursor (base/cursor.h). */
#ifndef OCALA_PACKET_FIELD_H
#define OCALA_PACKET_FIELD_H

#include "base/cursor.h"

static inline uint16_t field_u16(const uint8_t *at)
{
    struct reader r = reader_over(at, 2);
    return read_u16(&r);
}

static inline uint32_t field_u32(const uint8_t *at)
{
    struct reader r = reader_over(at, 4);
    return read_u32(&r);
}

static inline void field_set_u16(uint8_t *at, uint16_t value)
{
    struct writer w = writer_over(at, 2);
    write_u16(&w, value);
}

static inline void field_set_u32(uint8_t *at, uint32_t value)
{
    struct writer w = writer_over(at, 4);
    write_u32(&w, value);
}

#endif
