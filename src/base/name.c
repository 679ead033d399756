#include "base/name.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* How names are checked: one pass over the labels (next_label), which knows LDH and lengths; the
 * public functions add how many labels there must be.  Everything is ASCII by hand: ctype.h follows
 * the locale. */

#define LABEL_MAX 63

static bool refuse(const char **ret_reason, const char *reason)
{
    if (ret_reason)
        *ret_reason = reason;
    return false;
}

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_letter_or_digit(char c)
{
    c = to_lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_via(const char *label, size_t length)
{
    return length == 3 && to_lower(label[0]) == 'v' && to_lower(label[1]) == 'i' &&
           to_lower(label[2]) == 'a';
}

static bool label_valid(const char *label, size_t length, const char **ret_reason)
{
    if (!length)
        return refuse(ret_reason, "a label is empty (two dots in a row, or a dot at an end)");
    if (length > LABEL_MAX)
        return refuse(ret_reason, "a label is longer than 63 characters");
    for (size_t i = 0; i < length; i++) {
        if (!is_letter_or_digit(label[i]) && label[i] != '-')
            return refuse(ret_reason, "only letters, digits and hyphens may stand in a label");
    }
    if (label[0] == '-' || label[length - 1] == '-')
        return refuse(ret_reason, "a label begins or ends with a hyphen");
    return true;
}

/* Checks `length` characters as labels without "via"; their number, or 0 and a reason. */
static unsigned count_labels(const char *text, size_t length, const char **ret_reason)
{
    unsigned count = 0;
    size_t start = 0;
    if (length >= NAME_TEXT) {
        refuse(ret_reason, "the name is longer than 253 characters");
        return 0;
    }
    for (size_t i = 0; i <= length; i++) {
        if (i < length && text[i] != '.')
            continue;
        if (!label_valid(text + start, i - start, ret_reason))
            return 0;
        if (is_via(text + start, i - start)) {
            refuse(ret_reason, "\"via\" is reserved: it joins the names of a chain");
            return 0;
        }
        count++;
        start = i + 1;
    }
    return count;
}

/* Longest input that is looked at: a chain of the longest names.  Bounds the work that a hostile
 * text can cause. */
#define CHAIN_TEXT (CHAIN_MAX * (NAME_TEXT + 4))

/* The text's length without a final dot. */
static size_t trimmed_length(const char *text)
{
    size_t length = strnlen(text, CHAIN_TEXT);
    return length > 1 && text[length - 1] == '.' ? length - 1 : length;
}

static bool parse_name(const char *text, size_t length, struct overlay_name *ret,
                       const char **ret_reason)
{
    unsigned count = count_labels(text, length, ret_reason);
    if (!count)
        return false;
    if (count < 3)
        return refuse(ret_reason, "an overlay name has at least three labels: host.instance.type");
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < length; i++)
        ret->text[i] = to_lower(text[i]);
    return true;
}

bool overlay_name_parse(const char *text, struct overlay_name *ret, const char **ret_reason)
{
    return parse_name(text, trimmed_length(text), ret, ret_reason);
}

/* Where the label "via" stands in text[start, end), or `end`. */
static size_t find_via(const char *text, size_t start, size_t end)
{
    for (size_t label = start, i = start; i <= end; i++) {
        if (i < end && text[i] != '.')
            continue;
        if (is_via(text + label, i - label))
            return label;
        label = i + 1;
    }
    return end;
}

static bool chain_holds(const struct name_chain *chain, const struct overlay_name *name)
{
    for (unsigned i = 0; i < chain->count; i++) {
        if (overlay_name_equal(&chain->hop[i], name))
            return true;
    }
    return false;
}

bool name_chain_parse(const char *text, struct name_chain *ret, const char **ret_reason)
{
    struct name_chain read = {0}; /* in the order of the text: target first */
    size_t end = trimmed_length(text), start = 0;
    for (bool more = true; more;) {
        size_t via = find_via(text, start, end);
        more = via < end;
        /* The dot before "via" belongs to neither side. */
        size_t length = more ? (via > start ? via - 1 - start : 0) : end - start;
        if (!length)
            return refuse(ret_reason, "a name is missing beside \"via\"");
        struct overlay_name name;
        if (!parse_name(text + start, length, &name, ret_reason))
            return false;
        if (read.count == CHAIN_MAX)
            return refuse(ret_reason, "a chain has at most 15 names");
        if (chain_holds(&read, &name))
            return refuse(ret_reason, "the chain meets the same name twice");
        read.hop[read.count++] = name;
        start = via + 4 < end ? via + 4 : end; /* behind "via." */
    }
    memset(ret, 0, sizeof *ret);
    ret->count = read.count;
    for (unsigned i = 0; i < read.count; i++)
        ret->hop[i] = read.hop[read.count - 1 - i];
    return true;
}

const char *name_chain_format(const struct name_chain *chain, char *out, size_t size)
{
    struct text t;
    text_begin(&t, out, size);
    for (unsigned i = chain->count; i-- > 0;)
        text_add(&t, "%s%s", chain->hop[i].text, i ? ".via." : "");
    return out;
}

/* The text from the `count`th label from the end on; the whole text when it has fewer. */
static const char *last_labels(const char *text, unsigned count)
{
    const char *at = text + strlen(text);
    while (at > text) {
        if (at[-1] == '.' && --count == 0)
            break;
        at--;
    }
    return at;
}

const char *overlay_name_instance(const struct overlay_name *name)
{
    return last_labels(name->text, 2);
}

const char *overlay_name_type(const struct overlay_name *name)
{
    return last_labels(name->text, 1);
}

const char *overlay_name_host(const struct overlay_name *name, char *out)
{
    size_t length = (size_t)(overlay_name_instance(name) - name->text);
    if (length)
        length--; /* the dot */
    memcpy(out, name->text, length);
    out[length] = 0;
    return out;
}

bool overlay_name_equal(const struct overlay_name *a, const struct overlay_name *b)
{
    return !strcmp(a->text, b->text);
}

bool name_chain_equal(const struct name_chain *a, const struct name_chain *b)
{
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++) {
        if (!overlay_name_equal(&a->hop[i], &b->hop[i]))
            return false;
    }
    return true;
}

static bool same_text(const char *a, size_t length, const char *b)
{
    for (size_t i = 0; i < length; i++) {
        if (to_lower(a[i]) != to_lower(b[i]))
            return false;
    }
    return true;
}

bool name_pattern_match(const char *pattern, const struct overlay_name *name)
{
    size_t size = strlen(name->text);
    if (!size || !strcmp(pattern, "*"))
        return size > 0;
    size_t length = trimmed_length(pattern);
    if (pattern[0] != '*')
        return length == size && same_text(pattern, length, name->text);
    /* "*.west.ip": the star stands for one label or more, so the name is longer than what follows
     * the star. */
    pattern++;
    length--;
    return length > 1 && size > length && same_text(pattern, length, name->text + size - length);
}

bool name_pattern_valid(const char *pattern, const char **ret_reason)
{
    if (!strcmp(pattern, "*"))
        return true;
    size_t length = trimmed_length(pattern);
    if (pattern[0] != '*') {
        struct overlay_name name;
        return parse_name(pattern, length, &name, ret_reason);
    }
    if (pattern[1] != '.')
        return refuse(ret_reason, "a star stands alone or before a dot: * or *.instance.type");
    return count_labels(pattern + 2, length > 2 ? length - 2 : 0, ret_reason) > 0;
}

bool instance_name_valid(const char *text, const char **ret_reason)
{
    unsigned count = count_labels(text, strnlen(text, NAME_TEXT), ret_reason);
    if (!count)
        return false;
    if (count != 2)
        return refuse(ret_reason, "an instance is written with two labels: instance.type");
    for (const char *p = text; *p; p++) {
        if (*p != to_lower(*p))
            return refuse(ret_reason, "an instance is written in lower case");
    }
    return true;
}

bool labels_valid(const char *text, const char **ret_reason)
{
    return count_labels(text, strnlen(text, NAME_TEXT), ret_reason) > 0;
}
