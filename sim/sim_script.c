/* From lines to statements.
 *
 * A line is cut into words, the verb with the most words that fits is looked up, and its pattern is
 * walked along the words that are left. */
#include "sim/sim_script.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/name.h"
#include "sim/sim_expand.h"
#include "sim/sim_host.h"
#include "sim/sim_value.h"

#define PIECE 48 /* longest word of a pattern */

struct parse {
    struct sim_script *script;
    struct sim_statement *st;
    char **word;
    unsigned words, at;
    const char *rest_of; /* the line before it was cut, for REST */
    char *why;
    size_t size;
};

/* ---- words ---- */

int sim_words(char *text, char **ret, unsigned max)
{
    unsigned count = 0;
    for (char *at = text;;) {
        at += strspn(at, " \t");
        if (!*at || *at == '#')
            return (int)count;
        if (count == max)
            return -1;
        if (*at == '"') {
            ret[count++] = ++at;
            at = strchr(at, '"');
            if (!at)
                return -1;
        } else {
            ret[count++] = at;
            at += strcspn(at, " \t");
        }
        if (*at)
            *at++ = 0;
    }
}

bool sim_list_holds(const char *list, const char *word)
{
    char pattern[256];
    while (*list) {
        size_t length = strcspn(list, ",");
        snprintf(pattern, sizeof pattern, "%.*s", (int)length, list);
        if (!strcmp(pattern, "all") || !fnmatch(pattern, word, 0))
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}

/* ---- values ---- */

static bool bad(struct parse *p, const char *word, const char *wanted)
{
    snprintf(p->why, p->size, "'%s' is not %s", word, wanted);
    return false;
}

static bool take_hosts(struct parse *p, struct sim_value *v, const char *word, bool one)
{
    struct sim *s = p->script->sim;
    v->hosts = base_calloc(s->hosts + 1, sizeof *v->hosts);
    for (unsigned i = 0; i < s->hosts; i++)
        if (one ? !strcmp(word, s->host[i]->node.name)
                : sim_list_holds(word, s->host[i]->node.name))
            v->hosts[v->host_count++] = s->host[i];
    return v->host_count ||
           bad(p, word, one ? "a host of this scenario" : "a host, a list of hosts, or `all`");
}

/* "*.east.ip", "h1*.east.ip": the instance; NULL when the name is no pattern. */
static const char *members_of(const char *name)
{
    size_t label = strcspn(name, ".");
    return name[label] && memchr(name, '*', label) ? name + label + 1 : NULL;
}

static bool take_names(struct parse *p, const char *word)
{
    char name[2 * NAME_TEXT];
    struct name_chain chain;
    const char *reason;
    for (const char *at = word; *at;) {
        size_t length = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        const char *instance = members_of(name);
        if (instance ? !sim_instance_find(p->script->sim, instance)
                     : !name_chain_parse(name, &chain, &reason))
            return bad(p, name,
                       instance ? "the members of an overlay of this scenario"
                                : "an overlay name or chain");
        at += length + (at[length] == ',');
    }
    return true;
}

static bool is_new(struct parse *p, const char *word)
{
    if (sim_node_find(&p->script->sim->net, word) || sim_network_find(&p->script->sim->net, word))
        return bad(p, word, "free: it is the name of something already");
    if (strlen(word) >= SIM_NAME)
        return bad(p, word, "short enough for a name");
    return true;
}

static bool take(struct parse *p, const char *kind, struct sim_value *v)
{
    char *word = p->word[p->at];
    uint64_t number;
    bool ok = true;
    v->set = true;
    v->text = word;
    if (!strcmp(kind, "REST")) { /* with the blanks at its beginning: YAML needs them */
        const char *before = p->word[p->at - 1];
        v->text = p->rest_of + (before - p->word[0]) + strlen(before) + 1;
        p->at = p->words;
        return true;
    }
    p->at++;
    if (!strcmp(kind, "HOST"))
        return take_hosts(p, v, word, true);
    if (!strcmp(kind, "HOSTS"))
        return take_hosts(p, v, word, false);
    if (!strcmp(kind, "NAME") || !strcmp(kind, "NAMES"))
        return take_names(p, word);
    if (!strcmp(kind, "NEW"))
        return is_new(p, word);
    if (!strcmp(kind, "NETWORK")) {
        v->network = sim_network_find(&p->script->sim->net, word);
        return v->network || bad(p, word, "a network of this scenario");
    }
    if (!strcmp(kind, "TIME")) {
        ok = sim_value_time(word, &v->number);
        return ok || bad(p, word, "a time, as 20ms or 1.5s");
    }
    if (!strcmp(kind, "COUNT")) {
        ok = sim_value_count(word, &number);
        v->number = (int64_t)number;
        return ok || bad(p, word, "a number, as 12 or 3M");
    }
    return true; /* WORD, TEXT */
}

/* ---- patterns ---- */

static bool is_argument(const char *piece)
{
    return *piece >= 'A' && *piece <= 'Z';
}

/* The next piece of a pattern, brackets included; false at its end. */
static bool next_piece(const char **pattern, char piece[PIECE])
{
    *pattern += strspn(*pattern, " ");
    size_t length = **pattern == '[' ? strcspn(*pattern, "]") + 1 : strcspn(*pattern, " ");
    if (!length)
        return false;
    require(length < PIECE);
    memcpy(piece, *pattern, length);
    piece[length] = 0;
    *pattern += length;
    return true;
}

/* "[every TIME]" or "[v6]" against the words from here on; true when it was there. */
static bool take_option(struct parse *p, const char *option, struct sim_value *v, bool *ok)
{
    char keyword[PIECE], kind[PIECE] = "";
    int pieces = sscanf(option, "[%47[^] ] %47[^]]", keyword, kind);
    require(pieces >= 1);
    if (v->set || strcmp(p->word[p->at], keyword))
        return false;
    p->at++;
    v->set = true;
    if (pieces == 1)
        return true;
    if (p->at == p->words) {
        snprintf(p->why, p->size, "'%s' needs a value", keyword);
        *ok = false;
    } else {
        *ok = take(p, kind, v);
    }
    return true;
}

static bool take_options(struct parse *p, const char *pattern, unsigned first)
{
    while (p->at < p->words) {
        const char *at = pattern;
        char piece[PIECE];
        unsigned index = first;
        bool found = false, ok = true;
        while (!found && next_piece(&at, piece) && index < SIM_VALUES)
            found = take_option(p, piece, &p->st->value[index++], &ok);
        if (!ok)
            return false;
        if (!found) {
            snprintf(p->why, p->size, "'%s' is too much here", p->word[p->at]);
            return false;
        }
    }
    return true;
}

static bool take_all(struct parse *p)
{
    const char *at = p->st->verb->pattern;
    char piece[PIECE];
    unsigned index = 0;
    for (;;) {
        const char *before = at;
        if (!next_piece(&at, piece))
            break;
        if (*piece == '[')
            return take_options(p, before, index);
        if (p->at == p->words) {
            snprintf(p->why, p->size, "something is missing: %s %s", p->st->verb->name,
                     p->st->verb->pattern);
            return false;
        }
        if (!is_argument(piece)) {
            if (strcmp(p->word[p->at++], piece)) {
                snprintf(p->why, p->size, "'%s' should be '%s': %s %s", p->word[p->at - 1], piece,
                         p->st->verb->name, p->st->verb->pattern);
                return false;
            }
            continue;
        }
        if (!take(p, piece, &p->st->value[index++]))
            return false;
    }
    if (p->at < p->words) {
        snprintf(p->why, p->size, "'%s' is too much here: %s %s", p->word[p->at], p->st->verb->name,
                 p->st->verb->pattern);
        return false;
    }
    return true;
}

/* ---- verbs ---- */

static const struct {
    const struct sim_verb *verb;
    const unsigned *count;
} verbs[SIM_VERB_TABLES] = {{sim_build_verbs, &sim_build_verb_count},
                            {sim_action_verbs, &sim_action_verb_count},
                            {sim_trouble_verbs, &sim_trouble_verb_count},
                            {sim_expect_verbs, &sim_expect_verb_count},
                            {sim_result_verbs, &sim_result_verb_count}};

const struct sim_verb *sim_script_verbs(unsigned table, unsigned *ret_count)
{
    *ret_count = table < SIM_VERB_TABLES ? *verbs[table].count : 0;
    return table < SIM_VERB_TABLES ? verbs[table].verb : NULL;
}

static const struct sim_verb *find_verb(struct parse *p)
{
    char two[2 * PIECE];
    snprintf(two, sizeof two, "%.40s %.40s", p->word[p->at],
             p->at + 1 < p->words ? p->word[p->at + 1] : "");
    for (unsigned words = 2; words; words--)
        for (unsigned t = 0; t < SIM_VERB_TABLES; t++)
            for (unsigned i = 0; i < *verbs[t].count; i++) {
                const struct sim_verb *v = &verbs[t].verb[i];
                if (strcmp(v->name, words == 2 ? two : p->word[p->at]))
                    continue;
                p->at += words;
                return v;
            }
    return NULL;
}

static bool parse_time_prefix(struct parse *p)
{
    p->st->at = SIM_NO_TIME;
    if (strcmp(p->word[0], "at"))
        return true;
    if (p->words < 2 || !sim_value_time(p->word[1], &p->st->at)) {
        snprintf(p->why, p->size, "'at' needs a time, as in: at 20s crash gate");
        return false;
    }
    p->at = 2;
    return true;
}

static bool parse_statement(struct parse *p)
{
    struct sim_script *s = p->script;
    if (!parse_time_prefix(p))
        return false;
    if (p->at == p->words) {
        s->happening = true;
        return true;
    }
    p->st->verb = find_verb(p);
    if (!p->st->verb) {
        snprintf(p->why, p->size, "there is no '%s'; `ocala-sim --verbs` lists what there is",
                 p->word[p->at]);
        return false;
    }
    if (p->st->verb->when == SIM_HAPPENS || p->st->at != SIM_NO_TIME)
        s->happening = true;
    if (p->st->verb->when == SIM_BUILDS && s->happening) {
        snprintf(p->why, p->size, "'%s' must stand before the first thing that happens",
                 p->st->verb->name);
        return false;
    }
    return take_all(p);
}

/* ---- files ---- */

/* Words of statements point into their line, which is kept in two copies: one that is cut into
 * words, one that stays whole for REST. */
struct sim_line {
    struct sim_line *next;
    char text[];
};

static void statement_free(struct sim_statement *st)
{
    for (unsigned i = 0; i < SIM_VALUES; i++)
        free(st->value[i].hosts);
    free(st);
}

void sim_script_free(struct sim_script *s)
{
    if (!s)
        return;
    sim_chatter_free(s);
    while (s->first) {
        struct sim_statement *st = s->first;
        s->first = st->next;
        statement_free(st);
    }
    while (s->lines) {
        struct sim_line *line = s->lines;
        s->lines = line->next;
        free(line);
    }
    free(s);
}

struct loading {
    struct sim_script *script;
    unsigned number;
    char *why;
    size_t size;
};

/* A line whose loops are unrolled. */
static bool load_line(void *context, const char *text)
{
    struct loading *load = context;
    struct sim_script *s = load->script;
    size_t length = strlen(text) + 1;
    struct sim_line *line = base_calloc(1, sizeof *line + 2 * length);
    memcpy(line->text, text, length);
    memcpy(line->text + length, text, length);
    line->next = s->lines;
    s->lines = line;

    char *word[SIM_WORDS];
    int words = sim_words(line->text, word, SIM_WORDS);
    if (words < 0) {
        snprintf(load->why, load->size, "a quote is not closed, or there are more than %d words",
                 SIM_WORDS);
        return false;
    }
    if (!words)
        return true;
    struct sim_statement *st = base_calloc(1, sizeof *st);
    struct parse p = {.script = s,
                      .st = st,
                      .word = word,
                      .words = (unsigned)words,
                      .rest_of = line->text + length + (word[0] - line->text),
                      .why = load->why,
                      .size = load->size};
    st->line = load->number;
    bool ok = parse_statement(&p);
    if (ok && !s->happening) {
        ok = st->verb->run(s, st, load->why, load->size);
        statement_free(st);
    } else if (ok) {
        *s->last = st;
        s->last = &st->next;
    } else {
        statement_free(st);
    }
    return ok;
}

struct sim_script *sim_script_load(struct sim *sim, const char *text, size_t size, const char *file,
                                   char *error, size_t error_size)
{
    struct sim_script *s = base_calloc(1, sizeof *s);
    char why[SIM_WHY] = "", *copy = base_calloc(1, size + 1), *next = copy;
    struct loading load = {.script = s, .why = why, .size = sizeof why};
    bool ok = true;
    s->sim = sim;
    s->file = file;
    s->last = &s->first;
    memcpy(copy, text, size);
    while (ok && next) {
        char *line = next;
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        load.number++;
        ok = sim_expand(line, load_line, &load, why, sizeof why);
    }
    free(copy);
    if (ok)
        return s;
    snprintf(error, error_size, "%s:%u: %s", file, load.number, why);
    sim_script_free(s);
    return NULL;
}

/* ---- running ---- */

bool sim_script_wait(struct sim_script *s, instant until, char *why, size_t size)
{
    sim_world_run_until(&s->sim->world, until);
    if (s->sim->world.failed)
        snprintf(why, size, "%s", s->sim->world.failure);
    return !s->sim->world.failed;
}

bool sim_script_run(struct sim_script *s, char *error, size_t error_size)
{
    char why[SIM_WHY], time[SIM_TIME_TEXT];
    struct sim_world *w = &s->sim->world;
    instant began = w->now;
    for (const struct sim_statement *st = s->first; st; st = st->next) {
        bool ok = true;
        why[0] = 0;
        if (st->at != SIM_NO_TIME && began + st->at < w->now) {
            snprintf(why, sizeof why, "this time is over already");
            ok = false;
        } else if (st->at != SIM_NO_TIME) {
            ok = sim_script_wait(s, began + st->at, why, sizeof why);
        }
        if (ok && st->verb)
            ok = st->verb->run(s, st, why, sizeof why);
        if (ok && w->failed) {
            snprintf(why, sizeof why, "%s", w->failure);
            ok = false;
        }
        if (!ok) {
            bool own = st->verb && !w->failed; /* else it could have happened anywhere */
            snprintf(error, error_size, "%s:%u: after %s: %s%s%s", s->file, st->line,
                     sim_time_text(w->now - began, time), own ? st->verb->name : "",
                     own ? ": " : "", why);
            return false;
        }
    }
    return true;
}

/* ---- names ---- */

/* The members whose names fit the pattern. */
static void members_each(const struct sim_instance *i, const char *pattern,
                         const struct sim_host *asker,
                         void (*look)(void *context, const char *name), void *context)
{
    for (unsigned m = 0; i && m < i->members; m++) {
        char name[2 * NAME_TEXT];
        snprintf(name, sizeof name, "%s.%s", i->member[m].alias, i->name);
        if (i->member[m].host != asker && !fnmatch(pattern, name, 0))
            look(context, name);
    }
}

void sim_names_each(const struct sim *s, const char *names, const struct sim_host *asker,
                    void (*look)(void *context, const char *name), void *context)
{
    char one[2 * NAME_TEXT];
    while (*names) {
        size_t length = strcspn(names, ",");
        snprintf(one, sizeof one, "%.*s", (int)length, names);
        names += length + (names[length] == ',');
        const char *instance = members_of(one);
        if (instance)
            members_each(sim_instance_find(s, instance), one, asker, look, context);
        else if (!sim_host_is(asker, one))
            look(context, one);
    }
}
