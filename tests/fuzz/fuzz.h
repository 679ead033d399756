/* What every fuzz target is: one function, called with one input, by libFuzzer or by replay_main.c.
 */
#ifndef OCALA_TESTS_FUZZ_FUZZ_H
#define OCALA_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0.  What must hold for every input is checked with require(). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
