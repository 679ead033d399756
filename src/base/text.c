#include "base/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

void text_begin(struct text *t, char *buffer, size_t size)
{
    require(size > 0);
    *t = (struct text){.start = buffer, .size = size};
    buffer[0] = 0;
}

void text_add(struct text *t, const char *format, ...)
{
    if (t->cut)
        return;
    size_t room = t->size - t->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(t->start + t->length, room, format, arguments);
    va_end(arguments);
    if (length < 0) {
        t->start[t->length] = 0;
        t->cut = true;
    } else if ((size_t)length >= room) {
        t->length = t->size - 1;
        t->cut = true;
    } else {
        t->length += (size_t)length;
    }
}

void text_add_escaped(struct text *t, const void *bytes, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    for (size_t i = 0; i < size && !t->cut; i++) {
        bool plain = p[i] >= 0x20 && p[i] < 0x7F && p[i] != '\\';
        char piece[4] = {plain ? (char)p[i] : '\\', 'x', hex[p[i] >> 4], hex[p[i] & 15]};
        size_t length = plain ? 1 : 4;
        if (length >= t->size - t->length) {
            t->cut = true;
            break;
        }
        memcpy(t->start + t->length, piece, length);
        t->length += length;
        t->start[t->length] = 0;
    }
}
