#include "chord/chord_id.h"

#include <string.h>

#include "base/hex.h"

bool chord_id_equal(const struct chord_id *a, const struct chord_id *b)
{
    return !memcmp(a, b, sizeof *a);
}

struct chord_id chord_distance(const struct chord_id *from, const struct chord_id *to)
{
    struct chord_id d;
    int borrow = 0;
    for (int i = CHORD_ID - 1; i >= 0; i--) {
        int digit = to->bytes[i] - from->bytes[i] - borrow;
        borrow = digit < 0;
        d.bytes[i] = (uint8_t)digit;
    }
    return d;
}

struct chord_id chord_id_plus(const struct chord_id *from, unsigned bit)
{
    struct chord_id sum = *from;
    unsigned carry = 1u << bit % 8;
    for (int i = CHORD_ID - 1 - (int)(bit / 8); i >= 0 && carry; i--) {
        carry += sum.bytes[i];
        sum.bytes[i] = (uint8_t)carry;
        carry >>= 8;
    }
    return sum;
}

int chord_compare(const struct chord_id *a, const struct chord_id *b)
{
    return memcmp(a, b, sizeof *a);
}

bool chord_id_parse(const char *text, struct chord_id *ret)
{
    return hex_read(text, ret->bytes, CHORD_ID);
}

const char *chord_id_format(const struct chord_id *id, char out[CHORD_ID_TEXT])
{
    return hex_write(id->bytes, CHORD_ID, out);
}
