/* Makes a scenario that fails smaller, as long as it still fails in the same way: fewer lines, words
 * and items of lists, smaller numbers, fewer of the faults at random. */
#ifndef OCALA_SIM_SHRINK_H
#define OCALA_SIM_SHRINK_H

#include <stdbool.h>

#define SIM_SHRINK_RUNS 1000 /* then what was found so far is enough */

/* `fails` runs a scenario and says whether it fails as the first one did.  Returns the smallest that
 * was found, which the caller frees, or NULL when `text` itself does not fail. */
char *sim_shrink(const char *text, bool (*fails)(void *context, const char *text), void *context,
                 unsigned *ret_runs);

/* Do two failures, as sim_script_run() tells them, say the same?  Line, time and numbers may differ,
 * and what stands behind the first semicolon. */
bool sim_shrink_same(const char *error, const char *other);

#endif
