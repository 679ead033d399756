/* Who else uses a range of addresses, beside what the routing table says.  Pure. */
#ifndef OCALA_LINUX_RANGES_H
#define OCALA_LINUX_RANGES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

bool linux_ranges_overlap(const struct ip_prefix *a, const struct ip_prefix *b);

/* Programs that use a whole range while only single addresses of it are routed, or none: known by
 * their interface ("tailscale0": 100.64.0.0/10).  Then true, and `text` says who and what. */
bool linux_ranges_of_interface(const char *interface, const struct ip_prefix *p, char *text,
                               size_t size);

/* Does a rule in what `nft list ruleset` printed name addresses of the prefix?  Tables of ours
 * ("ocala_...") do not count, nor do prefixes shorter than /8.  `text` names table and addresses.
 */
bool linux_ranges_of_rules(const char *ruleset, const struct ip_prefix *p, char *text, size_t size);

#endif
