/* Verbs that make something happen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/sim_attack.h"
#include "sim/sim_fault.h"
#include "sim/sim_host.h"
#include "sim/sim_nat.h"
#include "sim/sim_program.h"
#include "sim/sim_script.h"
#include "sim/sim_seen.h"

/* ---- machines ---- */

static bool pause_for(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return sim_script_wait(s, s->sim->world.now + st->value[0].number, why, size);
}

static bool start(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    for (unsigned i = 0; i < st->value[0].host_count; i++)
        if (!sim_host_start(st->value[0].hosts[i], why, size))
            return false;
    return true;
}

static bool each(const struct sim_statement *st, void (*act)(struct sim_host *h))
{
    for (unsigned i = 0; i < st->value[0].host_count; i++)
        act(st->value[0].hosts[i]);
    return true;
}

static bool stop(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return each(st, sim_host_stop);
}

static bool crash(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return each(st, sim_host_crash);
}

static bool suspend(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return each(st, sim_host_suspend);
}

static bool resume(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return each(st, sim_host_resume);
}

static bool restart(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    each(st, sim_host_crash);
    instant pause = st->value[1].set ? st->value[1].number : 0;
    return sim_script_wait(s, s->sim->world.now + pause, why, size) && start(s, st, why, size);
}

static bool reload(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    for (unsigned i = 0; i < st->value[0].host_count; i++)
        if (!sim_host_reload(st->value[0].hosts[i], why, size))
            return false;
    return true;
}

static bool refuse(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char reason[SIM_WHY];
    struct sim_host *h = st->value[0].hosts[0];
    bool ok = h->state == SIM_DOWN ? sim_host_start(h, reason, sizeof reason)
                                   : sim_host_reload(h, reason, sizeof reason);
    if (ok)
        snprintf(why, size, "%s takes its configuration", h->node.name);
    else if (!strstr(reason, st->value[1].text))
        snprintf(why, size, "%s says: %s", h->node.name, reason);
    return !ok && strstr(reason, st->value[1].text);
}

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

static bool cut_or_heal(struct sim_script *s, const struct sim_statement *st, bool cut, char *why,
                        size_t size)
{
    struct target a, b;
    if (!target(s->sim, st->value[0].text, &a, why, size))
        return false;
    if (st->value[1].set) {
        if (!target(s->sim, st->value[1].text, &b, why, size))
            return false;
        if (!a.node || !b.node) {
            snprintf(why, size, "between two machines, and these are not");
            return false;
        }
        (cut ? sim_net_cut : sim_net_heal)(&s->sim->net, a.node, b.node);
    } else if (a.port) {
        a.port->cut = cut;
    } else if (a.node) {
        for (unsigned i = 0; i < a.node->ports; i++)
            a.node->port[i].cut = cut;
    } else {
        a.network->cut = cut;
    }
    sim_trace(&s->sim->world, "world", cut ? "cut" : "heal", "\"what\":\"%s\",\"from\":\"%s\"",
              st->value[0].text, st->value[1].set ? st->value[1].text : "");
    return true;
}

static bool cut(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    return cut_or_heal(s, st, true, why, size);
}

static bool heal(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    if (!strcmp(st->value[0].text, "all")) {
        sim_net_heal_all(&s->sim->net);
        return true;
    }
    return cut_or_heal(s, st, false, why, size);
}

static bool set(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    struct target t;
    char *word[SIM_WORDS], *copy = base_strdup(st->value[1].text);
    int words = sim_words(copy, word, SIM_WORDS);
    bool ok = target(s->sim, st->value[0].text, &t, why, size);
    if (ok && !t.port && t.node) {
        snprintf(why, size, "write HOST@NETWORK");
        ok = false;
    }
    if (ok && t.port && !t.port->has_way) {
        t.port->has_way = true;
        t.port->way = t.network->way;
    }
    for (int at = 0; ok && at + 1 < words; at += 2) {
        const char *fault =
            sim_way_set(t.port ? &t.port->way : &t.network->way, word[at], word[at + 1]);
        if (fault)
            snprintf(why, size, "'%s' %s; properties: %s", word[at], fault, sim_way_keys());
        ok = !fault;
    }
    free(copy);
    return ok;
}

static bool move(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    struct ip_address ip;
    if (ip_address_parse(st->value[2].text, &ip) &&
        sim_host_move(st->value[0].hosts[0], st->value[1].network, &ip))
        return true;
    snprintf(why, size, "'%s' is no address of %s, or the host is not on it", st->value[2].text,
             st->value[1].network->name);
    return false;
}

static bool forget_mappings(struct sim_script *s, const struct sim_statement *st, char *why,
                            size_t size)
{
    struct sim_nat *n = sim_nat_find(s->sim, st->value[0].text);
    if (n)
        sim_nat_clear(n);
    else
        snprintf(why, size, "'%s' is no NAT", st->value[0].text);
    return n;
}

/* ---- programs ---- */

static bool lookup(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    struct sim_order order = {
        .kind = SIM_LOOKUP, .name = st->value[1].text, .v6 = st->value[2].set};
    sim_program_start(st->value[0].hosts[0], &order);
    return true;
}

static bool ping(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    struct sim_order order = {.kind = SIM_PING,
                              .name = st->value[1].text,
                              .count = st->value[2].set ? (uint64_t)st->value[2].number : 1,
                              .every = st->value[3].set ? st->value[3].number : SECOND,
                              .size = (size_t)st->value[4].number,
                              .udp = st->value[5].set,
                              .v6 = st->value[6].set};
    if (order.size + SIM_PAYLOAD_MIN > SIM_PACKET_MAX - 100) {
        snprintf(why, size, "too large: at most %d", SIM_PACKET_MAX - 100 - SIM_PAYLOAD_MIN);
        return false;
    }
    sim_program_start(st->value[0].hosts[0], &order);
    return true;
}

static bool stream(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    struct sim_order order = {.kind = SIM_STREAM,
                              .name = st->value[1].text,
                              .count = (uint64_t)st->value[2].number,
                              .size = (size_t)st->value[3].number,
                              .v6 = st->value[4].set};
    if (!order.count || order.size + SIM_PAYLOAD_MIN > SIM_PACKET_MAX - 100) {
        snprintf(why, size, "nothing to send, or segments too large");
        return false;
    }
    sim_program_start(st->value[0].hosts[0], &order);
    return true;
}

static bool chatter(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    sim_chatter_begin(s, &st->value[0], st->value[1].text, st->value[2].number,
                      st->value[3].number);
    return true;
}

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
    if (ok)
        sim_faults_begin(s->sim, st->value[0].number ? st->value[0].number : SECOND,
                         s->sim->world.now + st->value[1].number, kinds);
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

static bool control(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    sim_host_control(st->value[0].hosts[0], st->value[1].text);
    return true;
}

static bool forget(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char request[3 * NAME_TEXT];
    struct sim_host *h = st->value[0].hosts[0];
    snprintf(request, sizeof request, "{\"command\":\"key.forget\",\"args\":{\"name\":\"%s\"}}",
             st->value[1].text);
    sim_host_control(h, request);
    sim_seen_forget(h, st->value[1].text);
    if (strstr(h->reply, "\"forgotten\""))
        return true;
    snprintf(why, size, "%s says: %s", h->node.name, h->reply);
    return false;
}

static bool say(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    sim_trace_words(&s->sim->world, "world", "say", st->value[0].text);
    if (s->say)
        s->say(st->value[0].text);
    return true;
}

const struct sim_verb sim_action_verbs[] = {
    {"wait", "TIME", SIM_HAPPENS, pause_for, "lets time pass"},
    {"say", "REST", SIM_HAPPENS, say, "a line for the reader"},
    {"start", "HOSTS", SIM_HAPPENS, start, "starts daemons"},
    {"stop", "HOSTS", SIM_HAPPENS, stop, "ends daemons properly: they say goodbye"},
    {"crash", "HOSTS", SIM_HAPPENS, crash, "kills daemons; their last writes may be torn"},
    {"restart", "HOSTS [after TIME]", SIM_HAPPENS, restart, "crash, and start again"},
    {"suspend", "HOSTS", SIM_HAPPENS, suspend, "machines fall asleep"},
    {"resume", "HOSTS", SIM_HAPPENS, resume, "and wake up"},
    {"reload", "HOSTS", SIM_HAPPENS, reload, "daemons read their changed configuration"},
    {"expect refused-config", "HOST TEXT", SIM_HAPPENS, refuse,
     "the daemon refuses its configuration, saying TEXT"},
    {"cut", "WORD [from WORD]", SIM_HAPPENS, cut, "NETWORK, HOST, HOST@NETWORK, or HOST from HOST"},
    {"heal", "WORD [from WORD]", SIM_HAPPENS, heal, "undoes a cut; or `all`"},
    {"set", "WORD REST", SIM_HAPPENS, set, "properties of a NETWORK or of HOST@NETWORK alone"},
    {"move", "HOST NETWORK TEXT", SIM_HAPPENS, move, "another address"},
    {"clear-nat", "WORD", SIM_HAPPENS, forget_mappings, "a NAT forgets all its mappings"},
    {"lookup", "HOST NAME [v6]", SIM_HAPPENS, lookup, "asks DNS once"},
    {"ping", "HOST NAME [count COUNT] [every TIME] [size COUNT] [udp] [v6]", SIM_HAPPENS, ping,
     "echo requests"},
    {"stream", "HOST NAME COUNT [size COUNT] [v6]", SIM_HAPPENS, stream,
     "a transfer of COUNT bytes"},
    {"chatter", "HOSTS NAMES every TIME for TIME", SIM_HAPPENS, chatter, "pings at random"},
    {"faults", "every TIME for TIME [only TEXT]", SIM_HAPPENS, faults, "faults at random"},
    {"attack", "NETWORK every TIME for TIME [only TEXT]", SIM_HAPPENS, attack,
     "somebody there replays, changes, forges, drops"},
    {"control", "HOST REST", SIM_HAPPENS, control, "a request on the control socket"},
    {"forget", "HOST NAME", SIM_HAPPENS, forget, "`ocala key forget NAME`"},
};
const unsigned sim_action_verb_count = sizeof sim_action_verbs / sizeof *sim_action_verbs;
