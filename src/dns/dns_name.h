/* Names as they are on the wire: labels with their length before them, the case as asked. */
#ifndef OCALA_DNS_DNS_NAME_H
#define OCALA_DNS_DNS_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/name.h"

#define DNS_NAME_MAX  255 /* bytes, with the root label */
#define DNS_LABEL_MAX 63

/* An uncompressed, complete name. */
struct dns_name {
    unsigned size;                /* bytes, root label included; 0 when there is no name */
    unsigned labels;              /* without the root                                    */
    uint8_t at[DNS_NAME_MAX / 2]; /* where each label's length byte is      */
    uint8_t bytes[DNS_NAME_MAX];
};

/* Takes over `size` bytes that are exactly one uncompressed name; false when they are not. */
bool dns_name_set(struct dns_name *name, const uint8_t *bytes, size_t size);
/* From text; false when it is not a name. */
bool dns_name_from_text(struct dns_name *name, const char *text);

/* Label `index` counted from the left: its characters, and how many. */
const uint8_t *dns_name_label(const struct dns_name *name, unsigned index, unsigned *ret_size);
bool dns_name_label_is(const struct dns_name *name, unsigned index, const char *text);
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
/* Whether the last labels of `name` are all of `end`. */
bool dns_name_ends_with(const struct dns_name *name, const struct dns_name *end);

/* The first `labels` labels as text without a final dot.  False when a label holds a byte that is
 * not a letter, digit, hyphen or underscore (a dot inside a label must not look like two labels).
 */
bool dns_name_text(const struct dns_name *name, unsigned labels, char out[NAME_TEXT]);

#endif
