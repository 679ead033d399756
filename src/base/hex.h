/* Bytes as lower-case hexadecimal digits, two for each. */
#ifndef OCALA_BASE_HEX_H
#define OCALA_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>

/* True when `text` is the digits of exactly `size` bytes, which are then in `ret`; else `ret` is not touched. */
bool hex_read(const char *text, void *ret, size_t size);

/* `out` holds 2 * size + 1 characters; returns it. */
const char *hex_write(const void *bytes, size_t size, char *out);

#endif
