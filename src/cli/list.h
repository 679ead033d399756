/* Tables that more than one command prints, each from a reply's field of the same name. */
#ifndef OCALA_CLI_LIST_H
#define OCALA_CLI_LIST_H

#include <jansson.h>
#include <stdbool.h>

bool list_overlays(const json_t *result);
bool list_links(const json_t *result);
bool list_paths(const json_t *result, const char *none); /* `none`: said when there is none */
bool list_transits(const json_t *result);                /* nothing when there is none */

#endif
