/* Loops are unrolled as text, the outermost first, before a line is cut into words: statements know
 * nothing of them. */
#include "sim/sim_expand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define NAME_MAX_SIZE 16
#define VALUE_SIZE    64

struct expansion {
    bool (*line)(void *context, const char *text);
    void *context;
    char *why;
    size_t size;
    unsigned lines;
};

/* The next word from *at on, in `out`; false when there is none or it is too long. */
static bool word(const char **at, char *out, size_t size)
{
    *at += strspn(*at, " \t");
    size_t length = strcspn(*at, " \t");
    if (!length || length >= size)
        return false;
    memcpy(out, *at, length);
    out[length] = 0;
    *at += length;
    return true;
}

static bool keyword(const char **at, const char *wanted)
{
    const char *before = *at;
    char found[VALUE_SIZE];
    if (word(at, found, sizeof found) && !strcmp(found, wanted))
        return true;
    *at = before;
    return false;
}

/* `text` with each {name} replaced; the caller frees it. */
static char *replace(const char *text, const char *name, const char *value)
{
    char *out = NULL, key[NAME_MAX_SIZE + 2];
    size_t size;
    FILE *f = open_memstream(&out, &size);
    require(f);
    snprintf(key, sizeof key, "{%s}", name);
    for (const char *hit; (hit = strstr(text, key)); text = hit + strlen(key))
        fprintf(f, "%.*s%s", (int)(hit - text), text, value);
    fprintf(f, "%s", text);
    require(!fclose(f) && out);
    return out;
}

static bool expand(struct expansion *x, const char *text);

static bool one(struct expansion *x, const char *name, const char *value, const char *except,
                const char *body)
{
    if (except && !strcmp(except, value))
        return true;
    char *text = replace(body, name, value);
    bool ok = expand(x, text);
    free(text);
    return ok;
}

/* "1-10", or "a,b,c". */
static bool each(struct expansion *x, const char *name, const char *values, const char *except,
                 const char *body)
{
    char value[VALUE_SIZE];
    unsigned first, last;
    int end = 0;
    if (sscanf(values, "%9u-%9u%n", &first, &last, &end) == 2 && !values[end]) {
        for (unsigned i = first; i <= last; i++) {
            snprintf(value, sizeof value, "%u", i);
            if (!one(x, name, value, except, body))
                return false;
        }
        return true;
    }
    while (*values) {
        size_t length = strcspn(values, ",");
        snprintf(value, sizeof value, "%.*s", (int)length, values);
        if (!one(x, name, value, except, body))
            return false;
        values += length + (values[length] == ',');
    }
    return true;
}

/* A line, or several with `;` between them. */
static bool emit(struct expansion *x, const char *text)
{
    const char *end = strstr(text, " ; ");
    if (++x->lines > SIM_EXPAND_MAX) {
        snprintf(x->why, x->size, "this makes more than %d lines", SIM_EXPAND_MAX);
        return false;
    }
    if (!end || strchr(text, '#'))
        return x->line(x->context, text);
    char *first = base_strdup(text);
    first[end - text] = 0;
    bool ok = x->line(x->context, first);
    free(first);
    return ok && emit(x, end + 3);
}

static bool expand(struct expansion *x, const char *text)
{
    char name[NAME_MAX_SIZE], values[4 * VALUE_SIZE], except[VALUE_SIZE];
    const char *at = text;
    if (!keyword(&at, "for"))
        return emit(x, text);
    if (!word(&at, name, sizeof name) || !keyword(&at, "in") || !word(&at, values, sizeof values)) {
        snprintf(x->why, x->size, "a loop is: for NAME in 1-10 STATEMENT, or: in a,b,c");
        return false;
    }
    bool but = keyword(&at, "except");
    if (but && !word(&at, except, sizeof except)) {
        snprintf(x->why, x->size, "'except' needs a value");
        return false;
    }
    return each(x, name, values, but ? except : NULL, at);
}

bool sim_expand(const char *text, bool (*line)(void *context, const char *text), void *context,
                char *why, size_t size)
{
    struct expansion x = {.line = line, .context = context, .why = why, .size = size};
    return expand(&x, text);
}
