/* A bounded string under construction in a caller's buffer: for descriptions, explanations and
 * error messages.
 *
 * What does not fit is cut and remembered in `cut`; the buffer is a NUL-terminated string at every
 * moment. */
#ifndef OCALA_BASE_TEXT_H
#define OCALA_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *start;
    size_t length; /* characters written, without the NUL */
    size_t size;   /* of the buffer                       */
    bool cut;      /* something did not fit; nothing is added any more */
};

/* An empty text in `buffer`; size > 0. */
void text_begin(struct text *t, char *buffer, size_t size);
void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Bytes from outside, shown safely: what is not printable ASCII, and the backslash, become \xNN.
 * Never cuts inside an escape. */
void text_add_escaped(struct text *t, const void *bytes, size_t size);

#endif
