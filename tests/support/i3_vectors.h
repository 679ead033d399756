/* Packets captured from the original i3 of 2005 (tests/vectors/i3.txt): "E1".."E25" of i3,
 * "C1".."C11" of its Chord. */
#ifndef OCALA_TESTS_SUPPORT_I3_VECTORS_H
#define OCALA_TESTS_SUPPORT_I3_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#define I3_VECTORS     64
#define I3_VECTOR_SIZE 512

struct i3_vector {
    char tag[8];
    uint16_t from, to; /* UDP ports on 127.0.0.1 */
    size_t size;
    uint8_t bytes[I3_VECTOR_SIZE];
};

/* Reads all of them ($OCALA_VECTORS names the folder) into `out` of I3_VECTORS; returns how many.
 * Fails the test where there is no such file. */
unsigned i3_vectors_read(struct i3_vector *out);
/* The vector with this tag; fails the test when there is none. */
struct i3_vector i3_vector(const char *tag);

#endif
