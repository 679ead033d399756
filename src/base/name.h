/* Overlay names `host.instance.type` and chains of them.
 *
 * The type is the last label, the instance the one before it, the host the rest (one label or more).  Labels are LDH:
 * letters, digits, hyphens inside, at most 63 characters; a whole name is at most 253.  Names are kept in lower case.
 * `via` is a reserved label: `x.via.g2.via.g1` is a chain read from the right (g1 is met first, then g2, then x). */
#ifndef OCALA_BASE_NAME_H
#define OCALA_BASE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_TEXT 254 /* longest name and its NUL */
#define CHAIN_MAX 15  /* hops of a chain: gateways and the target */

/* A name in canonical form; `text` holds it whole, without a final dot.  All-zero is "no name". */
struct overlay_name {
    char text[NAME_TEXT];
};

/* A chain in the order the packet meets its hops; hop[count-1] is the target. */
struct name_chain {
    unsigned count;
    struct overlay_name hop[CHAIN_MAX];
};

/* Parses one name (upper case and a final dot are accepted).  False when it is not an overlay name; then
 * *ret_reason says why in plain words (a static string). */
bool overlay_name_parse(const char *text, struct overlay_name *ret, const char **ret_reason);

/* Parses `x.via.g2.via.g1`. */
bool name_chain_parse(const char *text, struct name_chain *ret, const char **ret_reason);

/* Writes the chain as text (`x.via.g2.via.g1`) into `out` of `size` bytes, cut if it does not fit; returns `out`. */
const char *name_chain_format(const struct name_chain *chain, char *out, size_t size);

/* "instance.type" of a name (points into it), and its type. */
const char *overlay_name_instance(const struct overlay_name *name);
const char *overlay_name_type(const struct overlay_name *name);
/* The host part, copied without the instance; `out` holds NAME_TEXT bytes; returns `out`. */
const char *overlay_name_host(const struct overlay_name *name, char *out);

bool overlay_name_equal(const struct overlay_name *a, const struct overlay_name *b);
bool name_chain_equal(const struct name_chain *a, const struct name_chain *b);

/* "*.west.ip", "beta.west.ip" or "*" against a name. */
bool name_pattern_match(const char *pattern, const struct overlay_name *name);
bool name_pattern_valid(const char *pattern, const char **ret_reason);

/* "instance.type": two labels. */
bool instance_name_valid(const char *text, const char **ret_reason);
/* One or more LDH labels, none of them "via". */
bool labels_valid(const char *text, const char **ret_reason);

#endif
