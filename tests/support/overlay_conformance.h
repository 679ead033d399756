/* The rules that every overlay module keeps (overlay/overlay.h), driven by a seeded random caller:
 * any order of calls, in any state, with lookups that fail, come late or twice, arrivals that make
 * no sense, and bytes from nowhere.
 *
 * What is checked after each call: outputs end; every pointer of an output is whole; a tunnel comes
 * up at most once and ends at most once between open and close, says nothing before and after;
 * recipes are valid and inside what the class declared; lookups are numbered uniquely; the deadline
 * moves on.  The same seed gives the same outputs. */
#ifndef OCALA_TESTS_SUPPORT_OVERLAY_CONFORMANCE_H
#define OCALA_TESTS_SUPPORT_OVERLAY_CONFORMANCE_H

#include "overlay/overlay.h"

/* Runs all rules; fails the running cmocka test when one is broken.  `hosts`: names to open,
 * members or not. */
void overlay_conformance(const struct overlay_class *class, const struct overlay_settings *settings,
                         const char *const *hosts, unsigned host_count, uint64_t seed,
                         unsigned steps);

#endif
