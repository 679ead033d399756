/* Verbs that say what must become true, and by when.
 *
 * An expectation lets the world run, event by event, until it holds or its time is over.  Those
 * about names start programs of their own that try again until they succeed, as a user would. */
#include "sim/sim_expect.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim_agree.h"
#include "sim/sim_fault.h"
#include "sim/sim_host.h"
#include "sim/sim_program.h"
#include "sim/sim_seen.h"
#include "sim/sim_value.h"

#define WITHIN (20 * SECOND) /* unless the statement says otherwise */
#define AGAIN  SECOND        /* between two questions               */

bool sim_expect_until(struct sim_script *s, const struct sim_value *within,
                      bool (*holds)(void *context), void *context, char *why, size_t size)
{
    struct sim_world *w = &s->sim->world;
    instant limit = w->now + (within->set ? within->number : WITHIN);
    char time[SIM_TIME_TEXT];
    s->expectations++;
    for (;;) {
        if (w->failed) {
            snprintf(why, size, "%s", w->failure);
            return false;
        }
        if (holds(context))
            return true;
        if (!sim_world_step(w, limit) && !holds(context)) {
            snprintf(why, size, "did not come true within %s",
                     sim_time_text(within->set ? within->number : WITHIN, time));
            return false;
        }
    }
}

bool sim_expect_compare(int64_t left, const char *how, int64_t right)
{
    return !strcmp(how, "is")        ? left == right
           : !strcmp(how, "at-most") ? left <= right
                                     : left >= right;
}

bool sim_expect_comparison(const char *how, char *why, size_t size)
{
    if (!strcmp(how, "is") || !strcmp(how, "at-most") || !strcmp(how, "at-least"))
        return true;
    snprintf(why, size, "'%s' is no comparison: is, at-most, at-least", how);
    return false;
}

/* ---- programs that insist ---- */

struct insisting {
    struct sim_program **program;
    unsigned count;
    struct sim_host *host;
    struct sim_order order;
};

static void launch(void *context, const char *name)
{
    struct insisting *x = context;
    x->order.name = name;
    x->program = base_realloc(x->program, (x->count + 1) * sizeof(struct sim_program *));
    struct sim_program *p = sim_program_start(x->host, &x->order);
    p->held = true;
    x->program[x->count++] = p;
}

static bool all_done(void *context)
{
    const struct insisting *x = context;
    for (unsigned i = 0; i < x->count; i++)
        if (x->program[i]->phase != SIM_DONE)
            return false;
    return true;
}

static const char *answer_text(const struct sim_answer *a, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s",
             a->none         ? "no answer"
             : a->rcode == 0 ? "no error"
             : a->rcode == 2 ? "SERVFAIL"
             : a->rcode == 3 ? "NXDOMAIN"
                             : "an error",
             a->text[0] ? ": " : "", a->text);
    return out;
}

static void say_who_failed(const struct insisting *x, char *why, size_t size)
{
    char answer[320];
    for (unsigned i = 0; i < x->count; i++) {
        const struct sim_program *p = x->program[i];
        if (p->phase == SIM_DONE)
            continue;
        size_t length = strlen(why);
        snprintf(why + length, size - length, "; %s to %s: %s", p->host->node.name, p->name,
                 p->ip.family ? "an address, but nothing came back"
                              : answer_text(&p->answer, answer, sizeof answer));
        return;
    }
}

static bool insist(struct sim_script *s, const struct sim_statement *st,
                   const struct sim_value *within, struct sim_order order, char *why, size_t size)
{
    struct insisting x = {.order = order};
    x.order.insist = true;
    for (unsigned i = 0; i < st->value[0].host_count; i++) {
        x.host = st->value[0].hosts[i];
        sim_names_each(s->sim, st->value[1].text, x.host, launch, &x);
    }
    bool ok = sim_expect_until(s, within, all_done, &x, why, size);
    if (!ok && !s->sim->world.failed)
        say_who_failed(&x, why, size);
    for (unsigned i = 0; i < x.count; i++) {
        x.program[i]->held = false;
        if (x.program[i]->phase == SIM_RUNNING)
            sim_program_end(x.program[i], SIM_FAILED);
    }
    free(x.program);
    return ok;
}

static bool expect_resolve(struct sim_script *s, const struct sim_statement *st, char *why,
                           size_t size)
{
    struct sim_order order = {.kind = SIM_LOOKUP, .v6 = st->value[3].set};
    return insist(s, st, &st->value[2], order, why, size);
}

static bool expect_ping(struct sim_script *s, const struct sim_statement *st, char *why,
                        size_t size)
{
    struct sim_order order = {.kind = SIM_PING,
                              .every = 500 * MILLISECOND,
                              .udp = st->value[3].set,
                              .v6 = st->value[4].set,
                              .size = (size_t)st->value[5].number};
    return insist(s, st, &st->value[2], order, why, size);
}

/* ---- names that must not work ---- */

struct refusal {
    struct sim_script *script;
    const struct sim_statement *st;
    struct sim_program *program;
    instant next;
    uint8_t rcode;
    const char *text;
    bool resolved;
};

static bool refused(void *context)
{
    struct refusal *x = context;
    struct sim_world *w = &x->script->sim->world;
    if (x->program && x->program->phase == SIM_RUNNING)
        return false;
    if (x->program) {
        const struct sim_answer *a = &x->program->answer;
        x->resolved |= x->program->phase == SIM_DONE;
        if (x->resolved || (a->rcode == x->rcode && strstr(a->text, x->text)))
            return true;
    }
    if (w->now < x->next)
        return false;
    struct sim_order order = {.kind = SIM_LOOKUP, .name = x->st->value[1].text};
    if (x->program)
        x->program->held = false;
    x->program = sim_program_start(x->st->value[0].hosts[0], &order);
    x->program->held = true;
    x->next = w->now + AGAIN;
    return false;
}

static bool expect_rcode(struct sim_script *s, const struct sim_statement *st, uint8_t rcode,
                         const char *text, const struct sim_value *within, char *why, size_t size)
{
    struct refusal x = {.script = s, .st = st, .rcode = rcode, .text = text};
    char answer[320];
    bool ok = sim_expect_until(s, within, refused, &x, why, size);
    if (x.resolved) {
        snprintf(why, size, "%s resolves", st->value[1].text);
        ok = false;
    } else if (!ok && x.program && !s->sim->world.failed) {
        size_t length = strlen(why);
        snprintf(why + length, size - length, "; the answer is %s",
                 answer_text(&x.program->answer, answer, sizeof answer));
    }
    if (x.program)
        x.program->held = false;
    return ok;
}

static bool expect_refused(struct sim_script *s, const struct sim_statement *st, char *why,
                           size_t size)
{
    return expect_rcode(s, st, 2, st->value[2].text, &st->value[3], why, size);
}

static bool expect_unknown(struct sim_script *s, const struct sim_statement *st, char *why,
                           size_t size)
{
    return expect_rcode(s, st, 3, "", &st->value[2], why, size);
}

/* ---- what a machine knows ---- */

static bool peer_seen(void *context)
{
    const struct sim_statement *st = context;
    const char *name = sim_seen_name(st->value[0].hosts[0], st->value[1].hosts[0]->index);
    return name && !strcmp(name, st->value[2].text);
}

static bool expect_peer(struct sim_script *s, const struct sim_statement *st, char *why,
                        size_t size)
{
    return sim_expect_until(s, &st->value[3], peer_seen, (void *)st, why, size);
}

static bool log_has(void *context)
{
    const struct sim_statement *st = context;
    const struct sim_host *h = st->value[0].hosts[0];
    return h->log && strstr(h->log, st->value[1].text);
}

static bool expect_log(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return sim_expect_until(s, &st->value[2], log_has, (void *)st, why, size);
}

static bool expect_no_log(struct sim_script *s, const struct sim_statement *st, char *why,
                          size_t size)
{
    s->expectations++;
    snprintf(why, size, "the log says so");
    return !log_has((void *)st);
}

static bool calm(void *context)
{
    return sim_faults_over(context);
}

static bool expect_calm(struct sim_script *s, const struct sim_statement *st, char *why,
                        size_t size)
{
    return sim_expect_until(s, &st->value[0], calm, s->sim, why, size);
}

/* ---- numbers ---- */

static const unsigned *count_field(const struct host_count *c, const char *name)
{
    const struct {
        const char *name;
        const unsigned *field;
    } fields[] = {{"paths", &c->paths},     {"halves", &c->halves}, {"transits", &c->transits},
                  {"tunnels", &c->tunnels}, {"slots", &c->slots},   {"opens", &c->opens},
                  {"handles", &c->handles}, {"wants", &c->wants},   {"waiting", &c->waiting}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!strcmp(fields[i].name, name))
            return fields[i].field;
    return NULL;
}

static bool counts_hold(void *context)
{
    const struct sim_statement *st = context;
    for (unsigned i = 0; i < st->value[0].host_count; i++) {
        const struct sim_host *h = st->value[0].hosts[i];
        struct host_count c;
        if (!h->host)
            continue;
        host_count(h->host, &c);
        if (!sim_expect_compare(*count_field(&c, st->value[1].text), st->value[2].text,
                                st->value[3].number))
            return false;
    }
    return true;
}

static void add_counts(const struct sim_host *h, char *why, size_t size)
{
    struct host_count c;
    size_t length = strlen(why);
    host_count(h->host, &c);
    snprintf(why + length, size - length,
             "; %s: %u paths, %u halves, %u transits, %u tunnels, %u slots, %u opens, %u handles, "
             "%u wants, %u waiting",
             h->node.name, c.paths, c.halves, c.transits, c.tunnels, c.slots, c.opens, c.handles,
             c.wants, c.waiting);
}

static bool expect_count(struct sim_script *s, const struct sim_statement *st, char *why,
                         size_t size)
{
    struct host_count none = {0};
    if (!count_field(&none, st->value[1].text)) {
        snprintf(why, size, "'%s' is not counted", st->value[1].text);
        return false;
    }
    if (!sim_expect_comparison(st->value[2].text, why, size))
        return false;
    bool ok = sim_expect_until(s, &st->value[4], counts_hold, (void *)st, why, size);
    for (unsigned i = 0; !ok && i < st->value[0].host_count; i++)
        if (st->value[0].hosts[i]->host)
            add_counts(st->value[0].hosts[i], why, size);
    return ok;
}

static bool is_quiet(void *context)
{
    const struct sim_statement *st = context;
    for (unsigned i = 0; i < st->value[0].host_count; i++) {
        struct host_count c;
        if (!st->value[0].hosts[i]->host)
            continue;
        host_count(st->value[0].hosts[i]->host, &c);
        if (c.halves || c.opens || c.wants || c.waiting)
            return false;
    }
    return true;
}

static bool expect_quiet(struct sim_script *s, const struct sim_statement *st, char *why,
                         size_t size)
{
    bool ok = sim_expect_until(s, &st->value[1], is_quiet, (void *)st, why, size);
    for (unsigned i = 0; !ok && i < st->value[0].host_count; i++)
        if (st->value[0].hosts[i]->host)
            add_counts(st->value[0].hosts[i], why, size);
    return ok;
}

struct agreeing {
    struct sim_script *script;
    const struct sim_statement *st;
    instant next;
    char why[256];
};

static bool all_agree(void *context)
{
    struct agreeing *x = context;
    struct sim *s = x->script->sim;
    if (s->world.now < x->next)
        return false;
    x->next = s->world.now + AGAIN;
    return sim_agree(s, x->st->value[0].hosts, x->st->value[0].host_count, x->why, sizeof x->why);
}

static bool expect_agree(struct sim_script *s, const struct sim_statement *st, char *why,
                         size_t size)
{
    struct agreeing x = {.script = s, .st = st};
    bool ok = sim_expect_until(s, &st->value[1], all_agree, &x, why, size);
    size_t length = strlen(why);
    if (!ok && !s->sim->world.failed)
        snprintf(why + length, size - length, "; %s", x.why);
    return ok;
}

/* A machine gives a handle to each (name, key) that it met: not more than there are names, and once
 * more for each identity that called itself like that. */
static unsigned handles_most(const struct sim *s)
{
    return s->members ? s->members : 1;
}

bool sim_expect_no_leak(const struct sim *s, char *why, size_t size)
{
    for (unsigned i = 0; i < s->hosts; i++) {
        struct host_count c;
        if (!s->host[i]->host)
            continue;
        s->count(s->host[i]->host, &c);
        bool labels = c.slots == c.paths + c.halves + 2 * c.transits;
        if (labels && c.handles <= handles_most(s))
            continue;
        snprintf(why, size, "%s", labels ? "handles are lost" : "labels are lost");
        add_counts(s->host[i], why, size);
        return false;
    }
    return true;
}

/* ---- the control socket ---- */

struct asking {
    struct sim_script *script;
    const struct sim_statement *st;
    struct sim_host *host;
    char request[3 * NAME_TEXT];
    instant next;
    bool (*fits)(const struct asking *x, json_t *reply);
};

static bool control_fits(void *context)
{
    struct asking *x = context;
    struct sim_world *w = &x->script->sim->world;
    if (x->host->reply_size && x->host->reply[x->host->reply_size - 1] == '\n') {
        json_t *reply = json_loads(x->host->reply, JSON_DISABLE_EOF_CHECK, NULL);
        bool fits = reply && x->fits(x, reply);
        json_decref(reply);
        if (fits)
            return true;
    }
    if (w->now < x->next)
        return false;
    x->next = w->now + AGAIN;
    sim_host_control(x->host, x->request);
    return false;
}

static bool fits_drops(const struct asking *x, json_t *reply);

static bool ask(struct asking *x, const struct sim_value *within, char *why, size_t size)
{
    x->host->reply_size = 0;
    bool ok = sim_expect_until(x->script, within, control_fits, x, why, size);
    size_t length = strlen(why);
    if (!ok && !x->script->sim->world.failed && x->host->reply && x->fits != fits_drops)
        snprintf(why + length, size - length, "; the reply is %.500s", x->host->reply);
    return ok;
}

static bool fits_text(const struct asking *x, json_t *reply)
{
    (void)reply;
    return strstr(x->host->reply, x->st->value[2].text);
}

static bool expect_control(struct sim_script *s, const struct sim_statement *st, char *why,
                           size_t size)
{
    struct asking x = {.script = s, .st = st, .host = st->value[0].hosts[0], .fits = fits_text};
    snprintf(x.request, sizeof x.request, "{\"command\":\"%s\"}", st->value[1].text);
    return ask(&x, &st->value[3], why, size);
}

static bool expect_explain(struct sim_script *s, const struct sim_statement *st, char *why,
                           size_t size)
{
    struct asking x = {.script = s, .st = st, .host = st->value[0].hosts[0], .fits = fits_text};
    snprintf(x.request, sizeof x.request, "{\"command\":\"explain\",\"args\":{\"name\":\"%s\"}}",
             st->value[1].text);
    return ask(&x, &st->value[3], why, size);
}

/* An object in a list of the result, by its name. */
static json_t *named(json_t *reply, const char *list, const char *name, bool current)
{
    size_t i;
    json_t *o;
    json_array_foreach(json_object_get(json_object_get(reply, "result"), list), i, o)
    {
        const char *text = json_string_value(json_object_get(o, "name"));
        if (text && !strcmp(text, name) &&
            (!current || json_is_true(json_object_get(o, "current"))))
            return o;
    }
    return NULL;
}

static bool fits_path(const struct asking *x, json_t *reply)
{
    const struct sim_statement *st = x->st;
    json_t *o = named(reply, "paths", st->value[1].text, true);
    json_t *field = json_object_get(o, st->value[2].text);
    if (json_is_string(field))
        return !strcmp(json_string_value(field), st->value[4].text);
    return json_is_integer(field) &&
           sim_expect_compare(json_integer_value(field), st->value[3].text,
                              strtoll(st->value[4].text, NULL, 10));
}

static bool expect_path(struct sim_script *s, const struct sim_statement *st, char *why,
                        size_t size)
{
    struct asking x = {.script = s, .st = st, .host = st->value[0].hosts[0], .fits = fits_path};
    if (!sim_expect_comparison(st->value[3].text, why, size))
        return false;
    snprintf(x.request, sizeof x.request, "{\"command\":\"path\"}");
    return ask(&x, &st->value[5], why, size);
}

static bool fits_drops(const struct asking *x, json_t *reply)
{
    const struct sim_statement *st = x->st;
    json_t *o = named(reply, "drops", st->value[1].text, false);
    return o && sim_expect_compare(json_integer_value(json_object_get(o, "packets")),
                                   st->value[2].text, st->value[3].number);
}

static bool expect_drops(struct sim_script *s, const struct sim_statement *st, char *why,
                         size_t size)
{
    struct asking x = {.script = s, .st = st, .host = st->value[0].hosts[0], .fits = fits_drops};
    if (!sim_expect_comparison(st->value[2].text, why, size))
        return false;
    snprintf(x.request, sizeof x.request, "{\"command\":\"drops\"}");
    return ask(&x, &st->value[4], why, size);
}

const struct sim_verb sim_expect_verbs[] = {
    {"expect resolve", "HOSTS NAMES [within TIME] [v6]", SIM_HAPPENS, expect_resolve,
     "asked again and again, every name gets an address"},
    {"expect ping", "HOSTS NAMES [within TIME] [udp] [v6] [size COUNT]", SIM_HAPPENS, expect_ping,
     "every name answers"},
    {"expect refused", "HOST NAME TEXT [within TIME]", SIM_HAPPENS, expect_refused,
     "SERVFAIL whose words hold TEXT, and never an address"},
    {"expect unknown", "HOST NAME [within TIME]", SIM_HAPPENS, expect_unknown,
     "NXDOMAIN, and never an address"},
    {"expect peer", "HOST HOST NAME [within TIME]", SIM_HAPPENS, expect_peer,
     "the first sees the second under NAME, by PTR and forward again"},
    {"expect log", "HOST TEXT [within TIME]", SIM_HAPPENS, expect_log, "the log holds TEXT"},
    {"expect no-log", "HOST TEXT", SIM_HAPPENS, expect_no_log, "the log does not hold TEXT"},
    {"expect calm", "[within TIME]", SIM_HAPPENS, expect_calm, "all faults are mended"},
    {"expect count", "HOSTS WORD WORD COUNT [within TIME]", SIM_HAPPENS, expect_count,
     "paths, halves, transits, tunnels, slots, opens, handles, wants, waiting: is, at-most, "
     "at-least"},
    {"expect agree", "HOSTS [within TIME]", SIM_HAPPENS, expect_agree,
     "each path that stands there has one back at its other end, with the same keys"},
    {"expect quiet", "HOSTS [within TIME]", SIM_HAPPENS, expect_quiet,
     "nothing is being opened, nothing waits"},
    {"expect control", "HOST WORD TEXT [within TIME]", SIM_HAPPENS, expect_control,
     "the reply to a command holds TEXT"},
    {"expect explain", "HOST NAME TEXT [within TIME]", SIM_HAPPENS, expect_explain,
     "`ocala explain NAME` holds TEXT"},
    {"expect path", "HOST NAME WORD WORD TEXT [within TIME]", SIM_HAPPENS, expect_path,
     "a field of the current path, as `ocala path --json` has it: is, at-most, at-least"},
    {"expect drops", "HOST WORD WORD COUNT [within TIME]", SIM_HAPPENS, expect_drops,
     "packets dropped for a reason: is, at-most, at-least"},
};
const unsigned sim_expect_verb_count = sizeof sim_expect_verbs / sizeof *sim_expect_verbs;
