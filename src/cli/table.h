/* A table of text cells on stdout, by libsmartcols (which escapes what could steer a terminal). */
#ifndef OCALA_CLI_TABLE_H
#define OCALA_CLI_TABLE_H

#include <jansson.h>
#include <stdbool.h>

enum table_look {
    TABLE_TEXT,
    TABLE_NUMBER,
    TABLE_SPAN,
    TABLE_RTT,
    TABLE_BYTES,
};

struct table_column {
    const char *title; /* NULL ends the list */
    const char *key;   /* field of the row's object */
    enum table_look look;
};

/* One line for each object of `rows`; `nothing` is printed when there is none.  False when the
 * table could not be made (then it was said). */
bool table_print(const json_t *rows, const struct table_column *columns, const char *nothing);

#endif
