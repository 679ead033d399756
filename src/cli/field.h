/* Fields of replies as people read them.  A field that is missing, null or of another type is "-".
 */
#ifndef OCALA_CLI_FIELD_H
#define OCALA_CLI_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* The texts live in `out`, FIELD_TEXT bytes, or are constant. */
#define FIELD_TEXT 512

/* Texts and numbers as they are, lists joined by ", ", booleans as yes and no. */
const char *field_text(const json_t *object, const char *key, char out[FIELD_TEXT]);
long long field_number(const json_t *object, const char *key);
bool field_is_true(const json_t *object, const char *key);
/* 3725 s -> "1h 2m", 812 us -> "0.81 ms", 1500000 bytes -> "1.4 MiB". */
const char *field_span(const json_t *object, const char *key, char out[FIELD_TEXT]);
const char *field_rtt(const json_t *object, const char *key, char out[FIELD_TEXT]);
const char *field_bytes(const json_t *object, const char *key, char out[FIELD_TEXT]);

/* Prints text from elsewhere, to stdout or another file; characters that could steer a terminal are
 * shown as \xNN. */
void field_print(const char *text);
void field_put(const char *text, FILE *to);

#endif
