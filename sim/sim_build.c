/* Verbs that build the world: networks, machines, overlays, and what their configuration says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "sim/sim_host.h"
#include "sim/sim_i3.h"
#include "sim/sim_nat.h"
#include "sim/sim_script.h"
#include "sim/sim_value.h"

/* The words of a REST value, in a copy that the caller frees. */
static int rest(const struct sim_value *v, char **ret_copy, char **word)
{
    *ret_copy = base_strdup(v->text);
    return sim_words(*ret_copy, word, SIM_WORDS);
}

/* ---- networks ---- */

static bool add_prefix(struct sim_network *n, const char *word)
{
    struct ip_prefix prefix;
    if (!ip_prefix_parse(word, &prefix) || n->prefix[prefix.ip.family == 6].ip.family)
        return false;
    n->prefix[prefix.ip.family == 6] = prefix;
    return true;
}

static bool network(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char *copy, *word[SIM_WORDS];
    int words = rest(&st->value[1], &copy, word), at = 0;
    const char *fault = NULL;
    struct sim_network *n = sim_network_new(&s->sim->net, st->value[0].text);
    while (at < words && add_prefix(n, word[at]))
        at++;
    if (!at)
        fault = "is no prefix, as 10.1.0.0/24 or fd01::/64";
    for (; at + 1 < words && !fault; at += 2)
        fault = sim_way_set(&n->way, word[at], word[at + 1]);
    if (fault)
        snprintf(why, size, "'%s' %s; properties: %s", word[at > 1 ? at - 2 : 0], fault,
                 sim_way_keys());
    else if (at < words)
        snprintf(why, size, "'%s' has no value", word[at]);
    bool ok = !fault && at >= words;
    free(copy);
    return ok;
}

/* "NETWORK=ADDRESS" */
static bool place(struct sim *s, const char *word, struct sim_network **ret_network,
                  struct ip_address *ret_ip)
{
    char name[SIM_NAME];
    size_t length = strcspn(word, "=");
    if (!word[length] || length >= sizeof name)
        return false;
    memcpy(name, word, length);
    name[length] = 0;
    *ret_network = sim_network_find(&s->net, name);
    return *ret_network && ip_address_parse(word + length + 1, ret_ip);
}

static bool host(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char *copy, *word[SIM_WORDS];
    int words = rest(&st->value[1], &copy, word), at = 0;
    struct sim_network *n;
    struct ip_address ip;
    bool ok = s->sim->hosts < SIM_HOSTS_MAX;
    if (!ok)
        snprintf(why, size, "there are %d hosts, and that is the most", SIM_HOSTS_MAX);
    struct sim_host *h = ok ? sim_host_new(s->sim, st->value[0].text) : NULL;
    for (; ok && at < words; at++) {
        ok = place(s->sim, word[at], &n, &ip) && sim_port_add(&h->node, n, &ip);
        if (!ok)
            snprintf(why, size, "'%s' is not NETWORK=ADDRESS with an address of that network",
                     word[at]);
    }
    free(copy);
    return ok;
}

static bool hosts(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    for (int64_t i = 1; i <= st->value[1].number; i++) {
        char name[SIM_NAME];
        snprintf(name, sizeof name, "%.20s%d", st->value[0].text, (int)i);
        if (s->sim->hosts == SIM_HOSTS_MAX || sim_node_find(&s->sim->net, name)) {
            snprintf(why, size, "no room for '%s', or its name is taken", name);
            return false;
        }
        struct sim_host *h = sim_host_new(s->sim, name);
        for (unsigned family = 4; family <= 6; family += 2) {
            struct ip_address ip =
                sim_network_free(&s->sim->net, st->value[2].network, (uint8_t)family);
            if (ip.family)
                sim_port_add(&h->node, st->value[2].network, &ip);
        }
    }
    return true;
}

static bool nat(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    static const char *const kinds[] = {"open", "filtered", "symmetric"};
    struct sim_network *inside, *outside;
    struct ip_address inside_ip, outside_ip;
    unsigned kind = SIM_NAT_SYMMETRIC;
    if (st->value[3].set)
        for (kind = 0; kind < 3 && strcmp(kinds[kind], st->value[3].text);)
            kind++;
    if (kind == 3) {
        snprintf(why, size, "'%s' is no kind of NAT: open, filtered, symmetric", st->value[3].text);
        return false;
    }
    if (place(s->sim, st->value[1].text, &inside, &inside_ip) &&
        place(s->sim, st->value[2].text, &outside, &outside_ip) &&
        sim_nat_new(s->sim, st->value[0].text, inside, &inside_ip, outside, &outside_ip,
                    (enum sim_nat_kind)kind, st->value[4].set ? st->value[4].number : 30 * SECOND))
        return true;
    snprintf(why, size, "both places must be NETWORK=ADDRESS with an address of that network");
    return false;
}

static bool i3_server(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char *copy, *word[SIM_WORDS];
    int words = rest(&st->value[1], &copy, word);
    struct sim_network *n;
    struct ip_address ip, seed[CHORD_SEEDS_MAX];
    unsigned seeds = 0;
    bool ok = words > 0 && words <= CHORD_SEEDS_MAX && place(s->sim, word[0], &n, &ip);
    for (int at = 1; ok && at < words; at++)
        ok = ip_address_parse(word[at], &seed[seeds++]);
    ok = ok && sim_i3_new(s->sim, st->value[0].text, n, &ip, seed, seeds);
    if (!ok)
        snprintf(why, size,
                 "an i3 server is NETWORK=ADDRESS with a free address, then addresses of others");
    free(copy);
    return ok;
}

/* ---- overlays ---- */

static bool add_member(struct sim *s, struct sim_instance *i, const char *word, char *why,
                       size_t size)
{
    char name[SIM_NAME];
    size_t length = strcspn(word, ":");
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    bool found = false;
    for (unsigned h = 0; h < s->hosts; h++) {
        if (!sim_list_holds(name, s->host[h]->node.name))
            continue;
        found = true;
        i->member = base_realloc(i->member, (i->members + 1) * sizeof *i->member);
        struct sim_member *m = &i->member[i->members++];
        s->members++;
        m->host = s->host[h];
        snprintf(m->alias, sizeof m->alias, "%s",
                 word[length] ? word + length + 1 : s->host[h]->node.name);
    }
    if (!found)
        snprintf(why, size, "'%s' is not a host of this scenario", name);
    return found;
}

static bool overlay(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    const char *reason;
    if (!instance_name_valid(st->value[0].text, &reason)) {
        snprintf(why, size, "'%s' is no instance: %s", st->value[0].text, reason);
        return false;
    }
    struct sim_instance *i = sim_instance_find(s->sim, st->value[0].text);
    if (!i) {
        struct sim_instance **last = &s->sim->instances;
        i = base_calloc(1, sizeof *i);
        snprintf(i->name, sizeof i->name, "%s", st->value[0].text);
        i->network = st->value[1].network;
        while (*last)
            last = &(*last)->next;
        *last = i;
    }
    char *copy, *word[SIM_WORDS];
    int words = rest(&st->value[2], &copy, word);
    bool ok = true;
    for (int at = 0; at < words && ok; at++)
        ok = add_member(s->sim, i, word[at], why, size);
    free(copy);
    return ok;
}

/* ---- configuration ---- */

static void add_to(const struct sim_value *hosts, enum sim_section section, const char *line)
{
    for (unsigned i = 0; i < hosts->host_count; i++)
        sim_settings_add(&hosts->hosts[i]->settings, section, line);
}

static bool gateway(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char line[256];
    for (unsigned way = 0; way < 2; way++) {
        snprintf(line, sizeof line, "  - {from: %s, to: %s}", st->value[1 + way].text,
                 st->value[2 - way].text);
        add_to(&st->value[0], SIM_FORWARD, line);
    }
    return true;
}

static bool forward(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char line[256];
    snprintf(line, sizeof line, "  - {from: \"%s\", to: %s}", st->value[1].text, st->value[2].text);
    add_to(&st->value[0], SIM_FORWARD, line);
    return true;
}

static bool rule(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char line[1024];
    snprintf(line, sizeof line, "  - {names: \"%s\", via: [%s]}", st->value[1].text,
             st->value[2].text);
    add_to(&st->value[0], SIM_RULES, line);
    return true;
}

static bool believe(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char line[1024];
    snprintf(line, sizeof line, "  - {gateway: %s, instances: [%s]}", st->value[1].text,
             st->value[2].text);
    add_to(&st->value[0], SIM_BELIEVE, line);
    return true;
}

static bool pin(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char line[512], text[CRYPTO_KEY_TEXT];
    uint8_t key[32];
    crypto_ed25519_public(st->value[2].hosts[0]->seed, key);
    snprintf(line, sizeof line, "  - {name: %s, key: %s}", st->value[1].text,
             crypto_key_format(key, text));
    add_to(&st->value[0], SIM_PINS, line);
    return true;
}

static bool policy(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char line[512];
    snprintf(line, sizeof line, "  - {peer: \"%s\", allow: [%s]}", st->value[1].text,
             st->value[2].text);
    add_to(&st->value[0], SIM_POLICY, line);
    return true;
}

static bool timers(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    char *copy, *word[SIM_WORDS], line[128];
    int words = rest(&st->value[1], &copy, word);
    for (int at = 0; at + 1 < words; at += 2) {
        snprintf(line, sizeof line, "  %.40s: %.40s", word[at], word[at + 1]);
        add_to(&st->value[0], SIM_TIMERS, line);
    }
    free(copy);
    if (words % 2)
        snprintf(why, size, "every timer needs a value");
    return !(words % 2);
}

static bool option(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    for (unsigned i = 0; i < st->value[0].host_count; i++)
        sim_settings_option(&st->value[0].hosts[i]->settings, st->value[1].text, st->value[2].text,
                            st->value[3].text);
    return true;
}

static bool knows(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    for (unsigned i = 0; i < st->value[0].host_count; i++)
        sim_settings_knows(&st->value[0].hosts[i]->settings, st->value[1].text, st->value[2].text);
    return true;
}

static bool yaml(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    add_to(&st->value[0], SIM_LINES, st->value[1].text);
    return true;
}

static bool clear(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    for (unsigned i = 0; i < st->value[0].host_count; i++)
        if (!sim_settings_clear(&st->value[0].hosts[i]->settings, st->value[1].text)) {
            snprintf(why, size,
                     "'%s' is not one of: rules, believe, forward, pins, policy, timers, yaml",
                     st->value[1].text);
            return false;
        }
    return true;
}

static bool secret(struct sim_script *s, const struct sim_statement *st, char *why, size_t size)
{
    for (unsigned i = 0; i < st->value[0].host_count; i++)
        if (!sim_settings_secret(&st->value[0].hosts[i]->settings, st->value[1].text,
                                 st->value[2].text)) {
            snprintf(why, size, "too many secrets");
            return false;
        }
    return true;
}

const struct sim_verb sim_build_verbs[] = {
    {"network", "NEW REST", SIM_BUILDS, network,
     "an underlay: prefixes, then properties (delay 20ms loss 5% ...)"},
    {"host", "NEW REST", SIM_BUILDS, host, "a machine: NETWORK=ADDRESS for each of its addresses"},
    {"hosts", "WORD COUNT on NETWORK", SIM_BUILDS, hosts, "machines WORD1, WORD2, ..."},
    {"nat", "NEW inside WORD outside WORD [kind WORD] [timeout TIME]", SIM_BUILDS, nat,
     "a NAT between two networks; kind: open, filtered, symmetric"},
    {"i3-server", "NEW REST", SIM_BUILDS, i3_server,
     "a server of i3: NETWORK=ADDRESS, then addresses of others of its ring"},
    {"overlay", "WORD on NETWORK REST", SIM_BUILDS, overlay,
     "an instance and its members: HOST, or HOST:NAME for another name there"},
    {"gateway", "HOSTS WORD WORD", SIM_CHANGES, gateway, "joins two instances, both ways"},
    {"forward", "HOSTS WORD WORD", SIM_CHANGES, forward, "forwards from names to an instance"},
    {"rule", "HOSTS WORD via REST", SIM_CHANGES, rule, "names that are reached through gateways"},
    {"believe", "HOSTS NAME REST", SIM_CHANGES, believe, "a gateway is believed about instances"},
    {"pin", "HOSTS NAME HOST", SIM_CHANGES, pin, "the name has the key of that machine"},
    {"policy", "HOSTS WORD REST", SIM_CHANGES, policy, "what peers may reach: icmp, udp/5000, ..."},
    {"timers", "HOSTS REST", SIM_CHANGES, timers, "timers of the configuration: rekey 5s ..."},
    {"option", "HOSTS WORD WORD TEXT", SIM_CHANGES, option, "of an instance: its key and value"},
    {"knows", "HOSTS WORD TEXT", SIM_CHANGES, knows,
     "only these machines are listed as members of the instance"},
    {"yaml", "HOSTS REST", SIM_CHANGES, yaml, "a line of the configuration as it is"},
    {"clear", "HOSTS WORD", SIM_CHANGES, clear,
     "takes out rules, believe, forward, pins, policy, timers, or yaml"},
    {"secret", "HOSTS WORD WORD", SIM_CHANGES, secret,
     "for an instance: the secret of this name, or NEW,OLD, instead of the members'"},
};
const unsigned sim_build_verb_count = sizeof sim_build_verbs / sizeof *sim_build_verbs;
