/* Scenario files: one statement a line (or many: sim_expand.h), words separated by blanks, text in
 * double quotes, comments behind '#' (doc/simulator.md).
 *
 * Statements are described by a table of verbs; each has a pattern of its arguments, from which
 * both the parser and the messages about mistakes come.  What builds the world is done while the
 * file is read, so that every later line is checked against hosts and networks that exist; what
 * happens in it is kept, and done by sim_script_run(). */
#ifndef OCALA_SIM_SCRIPT_H
#define OCALA_SIM_SCRIPT_H

#include "sim/sim.h"

#define SIM_VALUES  10
#define SIM_WORDS   128
#define SIM_NO_TIME (-1)

struct sim_host;
struct sim_script;

/* One argument, in the place that it has in the pattern. */
struct sim_value {
    bool set;
    const char *text;        /* as written; REST: the rest of the line               */
    int64_t number;          /* TIME, COUNT                                           */
    struct sim_host **hosts; /* HOST, HOSTS                                           */
    unsigned host_count;
    struct sim_network *network;
};

struct sim_statement {
    unsigned line;
    instant at; /* since the beginning, or SIM_NO_TIME */
    const struct sim_verb *verb;
    struct sim_value value[SIM_VALUES];
    struct sim_statement *next;
};

enum sim_when {
    SIM_BUILDS,  /* before anything happens                       */
    SIM_CHANGES, /* a machine's settings: before, or between      */
    SIM_HAPPENS,
};

/* Pattern: words in capitals are arguments, others stand as they are; [..] may be left out, in any
 * order at the end.
 *   WORD NEW TEXT  one word; NEW: a name that is not taken     HOST HOSTS NETWORK
 *   NAME           an overlay name or chain                    NAMES  several, with commas;
 * *.instance TIME COUNT     with units                                  REST   the rest of the line
 * `run`: false when it failed, with the reason in `why`. */
struct sim_verb {
    const char *name;
    const char *pattern;
    enum sim_when when;
    bool (*run)(struct sim_script *s, const struct sim_statement *st, char *why, size_t size);
    const char *help;
};

struct sim_chatter;

struct sim_script {
    struct sim *sim;
    const char *file;
    struct sim_line *lines;
    struct sim_statement *first, **last;
    bool happening;
    struct sim_chatter *chatter;
    unsigned expectations;
    void (*say)(const char *line); /* for `say`; may be NULL */
};

#define SIM_WHY 768

/* Reads a whole file into `sim`.  NULL: `error` is "file:line: ...". */
struct sim_script *sim_script_load(struct sim *sim, const char *text, size_t size, const char *file,
                                   char *error, size_t error_size);
/* Runs it from beginning to end; false: `error` says which line failed, when and why. */
bool sim_script_run(struct sim_script *s, char *error, size_t error_size);
void sim_script_free(struct sim_script *s); /* accepts NULL */

#define SIM_VERB_TABLES 5
/* The verbs for help, in so many tables; *ret_count of them. */
const struct sim_verb *sim_script_verbs(unsigned table, unsigned *ret_count);

/* ---- for the files that hold verbs ---- */

extern const struct sim_verb sim_build_verbs[], sim_action_verbs[], sim_expect_verbs[],
    sim_result_verbs[], sim_trouble_verbs[];
extern const unsigned sim_build_verb_count, sim_action_verb_count, sim_expect_verb_count,
    sim_result_verb_count, sim_trouble_verb_count;

/* Splits a text into words in place; quotes are taken off.  Returns how many, or -1: an open
 * quote, or too many. */
int sim_words(char *text, char **ret, unsigned max);
/* The names that a NAMES value means for a machine that asks, itself excepted; calls for each. */
void sim_names_each(const struct sim *s, const char *names, const struct sim_host *asker,
                    void (*look)(void *context, const char *name), void *context);
/* Does a comma-separated list of words with `*` hold this word? */
bool sim_list_holds(const char *list, const char *word);

/* Programs that talk at random. */
void sim_chatter_begin(struct sim_script *s, const struct sim_value *hosts, const char *names,
                       instant every, instant lasts);
void sim_chatter_free(struct sim_script *s);
/* Runs that long, or until something fails. */
bool sim_script_wait(struct sim_script *s, instant until, char *why, size_t size);

#endif
