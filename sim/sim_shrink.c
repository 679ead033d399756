/* Delta debugging on text: a change is tried, and kept when the scenario still fails.  What makes no
 * sense any more (a host that is used but not there) is no scenario, fails in another way, and is
 * therefore not kept; so nothing here has to know what statements mean, the number of random faults
 * excepted.  Passes are repeated until none of them finds anything. */
#include "sim/sim_shrink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/instant.h"
#include "sim/sim_value.h"

#define FAULTS_MAX 512

struct shrink {
    bool (*fails)(void *context, const char *text);
    void *context;
    char **line; /* NULL: left out */
    unsigned lines, runs;
};

static char *join(const struct shrink *x)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    require(f);
    for (unsigned i = 0; i < x->lines; i++)
        if (x->line[i])
            fprintf(f, "%s\n", x->line[i]);
    require(!fclose(f) && text);
    return text;
}

static bool still_fails(struct shrink *x)
{
    if (x->runs >= SIM_SHRINK_RUNS)
        return false;
    x->runs++;
    char *text = join(x);
    bool fails = x->fails(x->context, text);
    free(text);
    return fails;
}

/* Puts another text in place of a line (taken over); kept when it still fails. */
static bool try_line(struct shrink *x, unsigned at, char *instead)
{
    char *before = x->line[at];
    x->line[at] = instead;
    bool kept = still_fails(x);
    if (!kept)
        x->line[at] = before;
    free(kept ? before : instead);
    return kept;
}

/* ---- lines ---- */

static bool without_lines(struct shrink *x, unsigned first, unsigned count)
{
    char **kept = base_calloc(count, sizeof *kept);
    bool any = false;
    for (unsigned i = 0; i < count; i++) {
        kept[i] = x->line[first + i];
        any |= kept[i] != NULL;
        x->line[first + i] = NULL;
    }
    bool gone = any && still_fails(x);
    for (unsigned i = 0; i < count; i++)
        if (gone)
            free(kept[i]);
        else
            x->line[first + i] = kept[i];
    free(kept);
    return gone;
}

static bool fewer_lines(struct shrink *x)
{
    bool better = false;
    for (unsigned chunk = x->lines / 2 ? x->lines / 2 : 1; chunk; chunk /= 2)
        for (unsigned end = x->lines; end >= chunk; end -= chunk) /* what happens last first */
            better |= without_lines(x, end - chunk, chunk);
    return better;
}

/* ---- words ---- */

/* A part of a line: from `at`, so many bytes. */
struct part {
    size_t at, size;
};

/* The `index`th word, blanks before it included; false: there are fewer.  A quoted text is one. */
static bool word_of(const char *line, unsigned index, struct part *ret)
{
    const char *at = line;
    for (unsigned i = 0;; i++) {
        const char *begin = at;
        at += strspn(at, " \t");
        if (!*at)
            return false;
        if (*at == '"') {
            at++;
            at += strcspn(at, "\"");
            at += *at == '"';
        } else {
            at += strcspn(at, " \t");
        }
        if (i == index) {
            *ret = (struct part){.at = (size_t)(begin - line), .size = (size_t)(at - begin)};
            return true;
        }
    }
}

static char *replaced(const char *line, struct part part, const char *instead)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    require(f);
    fprintf(f, "%.*s%s%s", (int)part.at, line, instead, line + part.at + part.size);
    require(!fclose(f) && text);
    return text;
}

/* Items of a list with commas inside a word, the last first. */
static bool fewer_items(struct shrink *x, unsigned at, unsigned word)
{
    bool better = false;
    struct part w;
    for (unsigned item = 0; x->line[at] && word_of(x->line[at], word, &w); item++) {
        const char *text = x->line[at] + w.at;
        unsigned commas = 0;
        for (size_t i = 0; i < w.size; i++)
            commas += text[i] == ',';
        if (!commas || item > commas)
            break;
        struct part p = {.at = w.at + strspn(text, " \t"), .size = 0};
        for (unsigned skip = item; skip; skip--)
            p.at += strcspn(x->line[at] + p.at, ",") + 1;
        p.size = strcspn(x->line[at] + p.at, ", \t");
        if (x->line[at][p.at + p.size] == ',')
            p.size++;
        else if (item) /* the last one goes with the comma before it */
            p = (struct part){.at = p.at - 1, .size = p.size + 1};
        if (try_line(x, at, replaced(x->line[at], p, ""))) {
            better = true;
            item--;
        }
    }
    return better;
}

static bool fewer_words(struct shrink *x, unsigned at)
{
    bool better = false;
    unsigned words = 0;
    struct part w, next;
    while (word_of(x->line[at], words, &w))
        words++;
    for (unsigned i = words; i-- > 1;) {
        if (!word_of(x->line[at], i, &w))
            continue;
        if (word_of(x->line[at], i + 1, &next)) { /* `within 20s` goes as one */
            struct part both = {.at = w.at, .size = w.size + next.size};
            if (try_line(x, at, replaced(x->line[at], both, ""))) {
                better = true;
                continue;
            }
        }
        if (try_line(x, at, replaced(x->line[at], w, "")))
            better = true;
        else
            better |= fewer_items(x, at, i);
    }
    return better;
}

/* ---- machines ---- */

/* Is the word, or one of its items, this name, or NAME:.. or NAME=..? */
static bool is_name(const char *text, size_t size, const char *name)
{
    size_t length = strlen(name);
    return size >= length && !memcmp(text, name, length) &&
           (size == length || text[length] == ':' || text[length] == '=');
}

/* A line as it is without a machine; NULL: nothing is left of it.  The caller frees it. */
static char *without_name(const char *line, const char *name)
{
    char *text = base_strdup(line);
    struct part w;
    for (unsigned i = 1; word_of(text, i, &w); i++) {
        size_t blanks = strspn(text + w.at, " \t");
        struct part item = {.at = w.at + blanks, .size = w.size - blanks};
        if (!is_name(text + item.at, item.size, name))
            continue;
        bool list = !strncmp(text, "overlay ", 8); /* everywhere else the line is about it */
        char *less = list ? replaced(text, w, "") : NULL;
        free(text);
        if (!list)
            return NULL;
        text = less;
        i--;
    }
    return text;
}

/* A machine, and all that is said about it, in one step: one that is in no overlay any more would
 * not start. */
static bool without_machine(struct shrink *x, unsigned at)
{
    char name[64], **before;
    if (sscanf(x->line[at], " host %63s", name) != 1)
        return false;
    before = base_calloc(x->lines, sizeof *before);
    for (unsigned i = 0; i < x->lines; i++) {
        before[i] = x->line[i];
        x->line[i] = before[i] ? without_name(before[i], name) : NULL;
    }
    bool gone = still_fails(x);
    for (unsigned i = 0; i < x->lines; i++) {
        free(gone ? before[i] : x->line[i]);
        if (!gone)
            x->line[i] = before[i];
    }
    free(before);
    return gone;
}

/* ---- numbers ---- */

/* "300k", "20ms", "1-10": the number that may become smaller, in its word. */
static bool number_of(const char *line, struct part word, struct part *ret,
                      unsigned long *ret_value)
{
    size_t at = word.at + strspn(line + word.at, " \t"), end = word.at + word.size;
    size_t digits = strspn(line + at, "0123456789");
    if (digits && line[at + digits] == '-') { /* the end of a range */
        at += digits + 1;
        digits = strspn(line + at, "0123456789");
    }
    size_t unit = strspn(line + at + digits, "abcdefghijklmnopqrstuvwxyzM%");
    if (!digits || digits > 9 || at + digits + unit != end)
        return false;
    *ret = (struct part){.at = at, .size = digits};
    *ret_value = strtoul(line + at, NULL, 10);
    return true;
}

static bool smaller_numbers(struct shrink *x, unsigned at)
{
    bool better = false;
    struct part w, p;
    unsigned long value;
    if (!strncmp(x->line[at], "expect", 6)) /* an expectation stays what it was */
        return false;
    for (unsigned i = 1; word_of(x->line[at], i, &w); i++)
        while (word_of(x->line[at], i, &w) && number_of(x->line[at], w, &p, &value) && value > 1) {
            char text[24];
            snprintf(text, sizeof text, "%lu", value / 2);
            if (!try_line(x, at, replaced(x->line[at], p, text)))
                break;
            better = true;
        }
    return better;
}

/* ---- faults at random ---- */

/* How many a line `faults every TIME for TIME` may make; 0: it is another line. */
static unsigned faults_of(const char *line)
{
    char every[32], lasts[32];
    instant e, l;
    if (sscanf(line, " faults every %31s for %31s", every, lasts) != 2 ||
        !sim_value_time(every, &e) || !sim_value_time(lasts, &l) || e <= 0)
        return 0;
    instant most = 2 * l / e + 1;
    return most < FAULTS_MAX ? (unsigned)most : FAULTS_MAX;
}

static char *skipping(const char *line, const bool *skip, unsigned count)
{
    char *text = NULL;
    size_t size;
    const char *old = strstr(line, " skip "), *separator = " skip ";
    FILE *f = open_memstream(&text, &size);
    require(f);
    fprintf(f, "%.*s", old ? (int)(old - line) : (int)strlen(line), line);
    for (unsigned i = 0; i < count; i++)
        if (skip[i]) {
            fprintf(f, "%s%u", separator, i + 1);
            separator = ",";
        }
    require(!fclose(f) && text);
    return text;
}

static void skipped_so_far(const char *line, bool *skip, unsigned count)
{
    const char *at = strstr(line, " skip ");
    for (at = at ? at + 6 : NULL; at && *at;) {
        char *end;
        unsigned long number = strtoul(at, &end, 10);
        if (number && number <= count)
            skip[number - 1] = true;
        at = *end == ',' ? end + 1 : NULL;
    }
}

static bool fewer_faults(struct shrink *x, unsigned at)
{
    unsigned count = faults_of(x->line[at]);
    bool skip[FAULTS_MAX] = {false}, tried[FAULTS_MAX], better = false;
    skipped_so_far(x->line[at], skip, count);
    for (unsigned chunk = count; chunk; chunk /= 2)
        for (unsigned first = 0; first < count; first += chunk) {
            bool more = false;
            memcpy(tried, skip, sizeof tried);
            for (unsigned i = first; i < first + chunk && i < count; i++) {
                more |= !tried[i];
                tried[i] = true;
            }
            if (more && try_line(x, at, skipping(x->line[at], tried, count))) {
                memcpy(skip, tried, sizeof skip);
                better = true;
            }
        }
    return better;
}

/* ---- all of it ---- */

static void split(struct shrink *x, const char *text)
{
    unsigned room = 1;
    for (const char *at = text; *at; at++)
        room += *at == '\n';
    x->line = base_calloc(room, sizeof *x->line);
    while (*text) {
        size_t length = strcspn(text, "\n");
        size_t blanks = strspn(text, " \t");
        if (blanks < length && text[blanks] != '#') {
            x->line[x->lines] = base_calloc(1, length + 1);
            memcpy(x->line[x->lines++], text, length);
        }
        text += length + (text[length] == '\n');
    }
}

/* What makes runs short comes first. */
static bool pass(struct shrink *x)
{
    static bool (*const on_line[])(struct shrink * x, unsigned at) = {
        without_machine, smaller_numbers, fewer_faults, fewer_words};
    bool better = fewer_lines(x);
    for (unsigned way = 0; way < sizeof on_line / sizeof *on_line; way++)
        for (unsigned i = x->lines; i-- > 0;)
            if (x->line[i])
                better |= on_line[way](x, i);
    return better;
}

char *sim_shrink(const char *text, bool (*fails)(void *context, const char *text), void *context,
                 unsigned *ret_runs)
{
    struct shrink x = {.fails = fails, .context = context};
    char *result = NULL;
    split(&x, text);
    if (still_fails(&x)) {
        while (pass(&x))
            ;
        result = join(&x);
    }
    for (unsigned i = 0; i < x.lines; i++)
        free(x.line[i]);
    free(x.line);
    *ret_runs = x.runs;
    return result;
}

/* ---- the same failure ---- */

/* Behind "file:line: after 1.5s: ". */
static const char *what_failed(const char *error)
{
    const char *after = strstr(error, ": after ");
    const char *end = after ? strstr(after + 8, ": ") : NULL;
    return end ? end + 2 : NULL;
}

bool sim_shrink_same(const char *error, const char *other)
{
    const char *a = what_failed(error), *b = what_failed(other);
    if (!a || !b) /* it does not even begin */
        return false;
    for (;;) {
        a += strspn(a, "0123456789.");
        b += strspn(b, "0123456789.");
        if (!*a || !*b || *a == ';' || *b == ';')
            return (!*a || *a == ';') && (!*b || *b == ';');
        if (*a++ != *b++)
            return false;
    }
}
