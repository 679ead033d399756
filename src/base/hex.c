#include "base/hex.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

static uint8_t value(char digit)
{
    return (uint8_t)(strchr(digits, digit) - digits);
}

bool hex_read(const char *text, void *ret, size_t size)
{
    uint8_t *bytes = ret;
    if (strlen(text) != 2 * size || strspn(text, digits) != 2 * size)
        return false;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value(text[2 * i]) << 4 | value(text[2 * i + 1]));
    return true;
}

const char *hex_write(const void *bytes, size_t size, char *out)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * size] = 0;
    return out;
}
