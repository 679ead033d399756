/* Test vectors as text. */
#ifndef OCALA_TESTS_SUPPORT_HEX_H
#define OCALA_TESTS_SUPPORT_HEX_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static inline unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    abort(); /* the test itself is wrong */
}

/* Lower-case hex, blanks allowed between bytes; returns the number of bytes.  `out` is large
 * enough. */
static inline size_t hex_read(const char *text, uint8_t *out)
{
    size_t size = 0;
    while (*text) {
        if (*text == ' ') {
            text++;
            continue;
        }
        out[size++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
        text += 2;
    }
    return size;
}

/* The other way, with a NUL; `out` holds 2 * size + 1. */
static inline const char *hex_write(const uint8_t *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    out[2 * size] = '\0';
    return out;
}

#endif
