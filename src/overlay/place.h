/* What modules read out of the configuration's texts: places of members, numbers, spans of time. */
#ifndef OCALA_OVERLAY_PLACE_H
#define OCALA_OVERLAY_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/instant.h"
#include "base/name.h"

#define OVERLAY_PORT 7400 /* of a member */

/* One `at` value.  A host name is looked up when a tunnel needs it, so its endpoint has a port
 * only. */
struct overlay_place {
    char name[NAME_TEXT];     /* empty for a literal address */
    struct endpoint endpoint; /* family 0 for a host name    */
};

/* "192.0.2.1:7400", "[2001:db8::1]:7400", "host.example.org:7400", each also without its port:
 * then it is `port`. */
bool overlay_place_parse(const char *text, uint16_t port, struct overlay_place *ret);
bool overlay_place_equal(const struct overlay_place *a, const struct overlay_place *b);

/* Values of options.  False, and *ret untouched, for anything but a number in the range; a span has one of the units ms, s,
 * m, h. */
bool overlay_option_number(const char *value, uint32_t least, uint32_t most, uint32_t *ret);
bool overlay_option_span(const char *value, instant least, instant most, instant *ret);

#endif
