/* Verbs that make something go wrong: cuts, outages, bad networks, machines that come and go, and
 * all of it at random. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim_attack.h"
#include "sim/sim_churn.h"
#include "sim/sim_fault.h"
#include "sim/sim_host.h"
#include "sim/sim_script.h"
#include "sim/sim_value.h"

/* ---- networks ---- */

struct target {
    struct sim_network *network;
    struct sim_node *node;
    struct sim_port *port;
};

/* "NETWORK", "HOST", or "HOST@NETWORK". */
static bool target(struct sim *s, const char *word, struct target *ret, char *why, size_t size)
{
    char name[SIM_NAME];
    size_t length = strcspn(word, "@");
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    *ret = (struct target){0};
    ret->node = sim_node_find(&s->net, name);
    ret->network = sim_network_find(&s->net, word[length] ? word + length + 1 : name);
    if (ret->node && ret->network)
        ret->port = sim_port_find(ret->node, ret->network);
    if (word[length] ? ret->port != NULL : ret->network || ret->node)
        return true;
    snprintf(why, size, "'%s' is neither a network nor HOST@NETWORK nor a host", word);
    return false;
}

/* All pairs of two lists of machines: "h1,h2" and "h3*". */
static bool pairs(struct sim *s, const char *left, const char *right,
                  void (*look)(void *context, struct sim_node *a, struct sim_node *b),
                  void *context)
{
    bool any = false;
    for (struct sim_node *a = s->net.nodes; a; a = a->next)
        for (struct sim_node *b = sim_list_holds(left, a->name) ? s->net.nodes : NULL; b;
             b = b->next)
            if (a != b && sim_list_holds(right, b->name)) {
                any = true;
                if (a->number < b->number ||
                    !(sim_list_holds(left, b->name) && sim_list_holds(right, a->name)))
                    look(context, a, b); /* each pair once */
            }
    return any;
}

static void cut_pair(void *context, struct sim_node *a, struct sim_node *b)
{
    sim_net_cut(context, a, b);
}

static void heal_pair(void *context, struct sim_node *a, struct sim_node *b)
{
    sim_net_heal(context, a, b);
}

/* Networks, machines, HOST@NETWORK, with commas. */
static bool cut_alone(struct sim *s, const char *list, bool cut, char *why, size_t size)
{
    char one[2 * SIM_NAME];
    for (; *list; list += *list == ',') {
        struct target a;
        size_t length = strcspn(list, ",");
        snprintf(one, sizeof one, "%.*s", (int)length, list);
        list += length;
        if (!target(s, one, &a, why, size))
            return false;
        if (a.port)
            a.port->cut = cut;
        else if (a.node)
            for (unsigned i = 0; i < a.node->ports; i++)
                a.node->port[i].cut = cut;
        else
            a.network->cut = cut;
    }
    return true;
}

static bool cut_or_heal(struct sim *s, const char *what, const char *from, bool cut, char *why,
                        size_t size)
{
    if (from) {
        if (!pairs(s, what, from, cut ? cut_pair : heal_pair, &s->net)) {
            snprintf(why, size, "'%s' and '%s': there are no two such machines", what, from);
            return false;
        }
    } else if (!cut_alone(s, what, cut, why, size)) {
        return false;
    }
    sim_trace(&s->world, "world", cut ? "cut" : "heal", "\"what\":\"%s\",\"from\":\"%s\"", what,
              from ? from : "");
    return true;
}

static const char *text_or_null(const struct sim_value *v)
{
    return v->set ? v->text : NULL;
}

static bool cut(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return cut_or_heal(s->sim, st->value[0].text, text_or_null(&st->value[1]), true, why, size);
}

static bool heal(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    if (!strcmp(st->value[0].text, "all")) {
        sim_net_heal_all(&s->sim->net);
        return true;
    }
    return cut_or_heal(s->sim, st->value[0].text, text_or_null(&st->value[1]), false, why, size);
}

struct setting {
    struct sim *sim;
    const char *key, *value, *fault;
};

/* "10ms..80ms": one in between, drawn for this way. */
static const char *set_one(struct sim *s, struct sim_way *way, const char *key, const char *value)
{
    const char *dots = strstr(value, "..");
    char text[64];
    instant least, most;
    if (!dots)
        return sim_way_set(way, key, value);
    snprintf(text, sizeof text, "%.*s", (int)(dots - value), value);
    if (!sim_value_time(text, &least) || !sim_value_time(dots + 2, &most) || most < least)
        return "must be two times, as 10ms..80ms";
    uint64_t span = (uint64_t)(most - least) / MICROSECOND + 1;
    snprintf(text, sizeof text, "%lldus",
             (long long)(least / MICROSECOND) +
                 (long long)(entropy_u64(&s->world.random.entropy) % span));
    return sim_way_set(way, key, text);
}

static void set_pair(void *context, struct sim_node *a, struct sim_node *b)
{
    struct setting *x = context;
    for (unsigned i = 0; i < a->ports; i++)
        if (sim_port_find(b, a->port[i].network)) {
            struct sim_way *way = sim_net_way(&x->sim->net, a, b, &a->port[i].network->way);
            const char *fault = set_one(x->sim, way, x->key, x->value);
            x->fault = fault ? fault : x->fault;
            return;
        }
}

/* One property of WORD: NETWORK, HOST@NETWORK, or HOSTS/HOSTS. */
static bool set_property(struct sim *s, const char *word, const char *key, const char *value,
                         char *why, size_t size)
{
    struct setting x = {.sim = s, .key = key, .value = value};
    const char *slash = strchr(word, '/');
    struct target t;
    if (slash) {
        char left[256];
        snprintf(left, sizeof left, "%.*s", (int)(slash - word), word);
        if (!pairs(s, left, slash + 1, set_pair, &x)) {
            snprintf(why, size, "'%s': there are no two such machines", word);
            return false;
        }
    } else {
        if (!target(s, word, &t, why, size))
            return false;
        if (!t.port && t.node) {
            snprintf(why, size, "write HOST@NETWORK");
            return false;
        }
        if (t.port && !t.port->has_way) {
            t.port->has_way = true;
            t.port->way = t.network->way;
        }
        x.fault = set_one(s, t.port ? &t.port->way : &t.network->way, key, value);
    }
    if (x.fault)
        snprintf(why, size, "'%s' %s; properties: %s", key, x.fault, sim_way_keys());
    return !x.fault;
}

static bool set(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char *word[SIM_WORDS], *copy = base_strdup(st->value[1].text);
    int words = sim_words(copy, word, SIM_WORDS);
    bool ok = words > 0 && !(words % 2);
    if (!ok)
        snprintf(why, size, "each property needs a value");
    for (int at = 0; ok && at + 1 < words; at += 2)
        ok = set_property(s->sim, st->value[0].text, word[at], word[at + 1], why, size);
    free(copy);
    return ok;
}

/* ---- outages: cuts that mend themselves ---- */

struct sim_outage {
    struct sim_event event; /* first */
    struct sim *sim;
    char *what, *from;
    struct sim_outage *next;
};

static void outage_free(struct sim_outage *o)
{
    sim_event_unset(&o->sim->world, &o->event);
    free(o->what);
    free(o->from);
    free(o);
}

static void outage_over(struct sim_event *e, struct sim_world *w)
{
    struct sim_outage *o = (struct sim_outage *)e, **at = &o->sim->outages;
    char why[SIM_WHY];
    cut_or_heal(o->sim, o->what, o->from, false, why, sizeof why);
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    outage_free(o);
}

void sim_outages_free(struct sim *s)
{
    while (s->outages) {
        struct sim_outage *o = s->outages;
        s->outages = o->next;
        outage_free(o);
    }
}

static bool outage(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    const char *from = text_or_null(&st->value[2]);
    if (!cut_or_heal(s->sim, st->value[0].text, from, true, why, size))
        return false;
    struct sim_outage *o = base_calloc(1, sizeof *o);
    o->event.run = outage_over;
    o->sim = s->sim;
    o->what = base_strdup(st->value[0].text);
    o->from = from ? base_strdup(from) : NULL;
    o->next = s->sim->outages;
    s->sim->outages = o;
    sim_event_set(&s->sim->world, &o->event, s->sim->world.now + st->value[1].number);
    return sim_script_wait(s, s->sim->world.now + st->value[3].number, why, size);
}

/* ---- at random ---- */

static bool faults(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    unsigned kinds = 0;
    char *word[SIM_WORDS], *copy = base_strdup(st->value[2].set ? st->value[2].text : "");
    for (char *at = copy; *at; at++)
        if (*at == ',')
            *at = ' ';
    int words = sim_words(copy, word, SIM_WORDS);
    bool ok = true;
    for (int i = 0; i < words && ok; i++) {
        enum sim_fault_kind kind;
        ok = sim_fault_parse(word[i], &kind);
        if (ok)
            kinds |= 1u << kind;
        else
            snprintf(why, size, "there is no fault '%s'", word[i]);
    }
    free(copy);
    struct sim_fault_plan plan = {.every = st->value[0].number ? st->value[0].number : SECOND,
                                  .until = s->sim->world.now + st->value[1].number,
                                  .lasting = st->value[3].number,
                                  .kinds = kinds,
                                  .skip = text_or_null(&st->value[4])};
    if (ok)
        sim_faults_begin(s->sim, &plan);
    return ok;
}

static bool attack(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    unsigned kinds = 0;
    for (unsigned i = 0; i < SIM_ATTACK_COUNT && st->value[3].set; i++) {
        enum sim_attack_kind kind = (enum sim_attack_kind)i;
        if (sim_list_holds(st->value[3].text, sim_attack_name(kind)))
            kinds |= 1u << i;
    }
    if (st->value[3].set && !kinds) {
        snprintf(why, size, "there is no attack '%s'", st->value[3].text);
        return false;
    }
    sim_attack_begin(s->sim, st->value[0].network,
                     st->value[1].number ? st->value[1].number : MILLISECOND,
                     s->sim->world.now + st->value[2].number, kinds);
    return true;
}

static bool churn(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    const struct sim_value *hosts = &st->value[0];
    struct sim_churn_times times = {.up = st->value[1].number,
                                    .down = st->value[2].number,
                                    .until = s->sim->world.now + st->value[3].number};
    for (unsigned i = 0; i < hosts->host_count; i++)
        sim_churn_begin(hosts->hosts[i], &times);
    return true;
}

static bool swallow(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    for (unsigned i = 0; i < st->value[0].host_count; i++)
        st->value[0].hosts[i]->swallows = !st->value[1].set;
    return true;
}

static bool crash_at(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    struct sim_host *h = st->value[0].hosts[0];
    h->fuse = (unsigned)st->value[1].number;
    h->fuse_back = st->value[2].set ? st->value[2].number : SECOND;
    return true;
}

const struct sim_verb sim_trouble_verbs[] = {
    {"cut", "WORD [from WORD]", SIM_HAPPENS, cut,
     "networks, hosts, HOST@NETWORK with commas; or HOSTS from HOSTS: each pair"},
    {"heal", "WORD [from WORD]", SIM_HAPPENS, heal, "undoes a cut; or `all`"},
    {"set", "WORD REST", SIM_HAPPENS, set,
     "properties of a NETWORK, of HOST@NETWORK, or between HOSTS/HOSTS alone"},
    {"faults", "every TIME for TIME [only TEXT] [lasting TIME] [skip TEXT]", SIM_HAPPENS, faults,
     "faults at random"},
    {"attack", "NETWORK every TIME for TIME [only TEXT]", SIM_HAPPENS, attack,
     "somebody there replays, changes, forges, drops"},
    {"outage", "WORD for TIME [from WORD] [then TIME]", SIM_HAPPENS, outage,
     "a cut that heals by itself; `then` is waited for before the next statement"},
    {"churn", "HOSTS up TIME down TIME for TIME", SIM_HAPPENS, churn,
     "machines come and go: each is up and down about that long"},
    {"swallow", "HOSTS [no-more]", SIM_HAPPENS, swallow,
     "their data paths send nothing any more, while all else goes on as if nothing was wrong"},
    {"crash-at", "HOST COUNT [back TIME]", SIM_HAPPENS, crash_at,
     "killed at its COUNTth datagram from now on, in or out; it comes back 1s later"},
};
const unsigned sim_trouble_verb_count = sizeof sim_trouble_verbs / sizeof *sim_trouble_verbs;
