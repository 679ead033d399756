#include "dns/dns_name.h"

#include <string.h>

#include "base/cursor.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

bool dns_name_set(struct dns_name *name, const uint8_t *bytes, size_t size)
{
    if (size == 0 || size > DNS_NAME_MAX)
        return false;
    struct reader r = reader_over(bytes, size);
    unsigned labels = 0;
    uint8_t at[DNS_NAME_MAX / 2];
    for (;;) {
        size_t offset = size - reader_left(&r);
        uint8_t length = read_u8(&r);
        if (length == 0)
            break;
        if (length > DNS_LABEL_MAX || !read_bytes(&r, length))
            return false;
        at[labels++] = (uint8_t)offset;
    }
    if (r.failed || reader_left(&r))
        return false;
    name->size = (unsigned)size;
    name->labels = labels;
    memcpy(name->at, at, labels);
    memcpy(name->bytes, bytes, size);
    return true;
}

bool dns_name_from_text(struct dns_name *name, const char *text)
{
    uint8_t bytes[DNS_NAME_MAX];
    struct writer w = writer_over(bytes, sizeof bytes);
    while (*text) {
        size_t length = strcspn(text, ".");
        if (length == 0 || length > DNS_LABEL_MAX)
            return false;
        write_u8(&w, (uint8_t)length);
        write_bytes(&w, text, length);
        text += length;
        if (*text == '.')
            text++;
    }
    write_u8(&w, 0);
    return !w.failed && dns_name_set(name, bytes, writer_size(&w));
}

const uint8_t *dns_name_label(const struct dns_name *name, unsigned index, unsigned *ret_size)
{
    const uint8_t *p = name->bytes + name->at[index];
    *ret_size = p[0];
    return p + 1;
}

bool dns_name_label_is(const struct dns_name *name, unsigned index, const char *text)
{
    unsigned size;
    const uint8_t *label = dns_name_label(name, index, &size);
    return strlen(text) == size && bytes_equal(label, (const uint8_t *)text, size);
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
    /* Length bytes are below 64, so that folding the case leaves them alone. */
    return a->size == b->size && bytes_equal(a->bytes, b->bytes, a->size);
}

bool dns_name_ends_with(const struct dns_name *name, const struct dns_name *end)
{
    if (name->labels < end->labels)
        return false;
    unsigned first = name->labels - end->labels;
    size_t offset = end->labels ? name->at[first] : name->size - 1;
    return name->size - offset == end->size &&
           bytes_equal(name->bytes + offset, end->bytes, end->size);
}

static bool plain(uint8_t c)
{
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool dns_name_text(const struct dns_name *name, unsigned labels, char out[NAME_TEXT])
{
    struct writer w = writer_over(out, NAME_TEXT);
    for (unsigned i = 0; i < labels; i++) {
        unsigned size;
        const uint8_t *label = dns_name_label(name, i, &size);
        for (unsigned k = 0; k < size; k++)
            if (!plain(label[k]))
                return false;
        if (i)
            write_u8(&w, '.');
        write_bytes(&w, label, size);
    }
    write_u8(&w, 0);
    return !w.failed;
}
