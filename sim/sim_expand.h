/* `for NAME in VALUES STATEMENT`: one line of a scenario stands for many.
 *
 *   for G in 1-10 network r{G} 10.{G}.0.0/16 delay 10ms
 *   for A in 1-3 for B in 1-3 except {A} rule r{A}h* *.r{B}.ip via g{A}.r{A}.ip
 *
 *   for A in 1-3 crash h{A} ; wait 1s ; start h{A}
 *
 * VALUES is a range of numbers, or words with commas; `{NAME}` is replaced everywhere behind. */
#ifndef OCALA_SIM_EXPAND_H
#define OCALA_SIM_EXPAND_H

#include <stdbool.h>
#include <stddef.h>

#define SIM_EXPAND_MAX 100000 /* lines from one */

/* Calls `line` with each line that `text` stands for (itself, when it is no loop); stops when that
 * says false.  False: it did, or the loop is wrong, then the reason is in `why`. */
bool sim_expand(const char *text, bool (*line)(void *context, const char *text), void *context,
                char *why, size_t size);

#endif
