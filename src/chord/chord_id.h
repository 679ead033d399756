/* Places on the ring: 160-bit numbers that wrap around. */
#ifndef OCALA_CHORD_CHORD_ID_H
#define OCALA_CHORD_CHORD_ID_H

#include <stdbool.h>
#include <stdint.h>

#define CHORD_ID      20
#define CHORD_BITS    160
#define CHORD_ID_TEXT 41

struct chord_id {
    uint8_t bytes[CHORD_ID];
};

bool chord_id_equal(const struct chord_id *a, const struct chord_id *b);
/* How far clockwise from `from` to `to`: 0 when they are the same. */
struct chord_id chord_distance(const struct chord_id *from, const struct chord_id *to);
/* from + 2^bit; bit < 160. */
struct chord_id chord_id_plus(const struct chord_id *from, unsigned bit);
/* Less than 0, 0, or more than 0, as numbers. */
int chord_compare(const struct chord_id *a, const struct chord_id *b);
/* 40 lower-case hex digits; false when the text is something else. */
bool chord_id_parse(const char *text, struct chord_id *ret);
const char *chord_id_format(const struct chord_id *id, char out[CHORD_ID_TEXT]);

#endif
