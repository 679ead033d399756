#include "config/load.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

/* Rules, beliefs, pins, forwarding and policy: the sections that speak about hosts and instances.
 * They are read after the overlays, so that what they refer to can be checked: the first hop of a
 * rule and a believed gateway must be neighbours, that is, in an instance of ours; what we forward
 * comes from and goes to instances of ours. */

const struct config_overlay *config_overlay_find(const struct config *config, const char *instance)
{
    for (unsigned i = 0; i < config->overlay_count; i++) {
        if (config->overlays[i].instance && !strcmp(config->overlays[i].instance, instance))
            return &config->overlays[i];
    }
    return NULL;
}

/* "east.ip, west.ip" for messages. */
static const char *our_instances(const struct config *c, char out[160])
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < c->overlay_count && used < 120; i++)
        used += (size_t)snprintf(out + used, 160 - used, "%s%.30s", i ? ", " : "",
                                 c->overlays[i].instance);
    return out;
}

static bool check_ours(const struct config_value *v, const struct config *c, const char *instance)
{
    char list[160];
    if (config_overlay_find(c, instance))
        return true;
    return config_fail(v->error, v->where,
                       "'%s': this host is not in '%.80s'; instances under 'overlays' are: %s",
                       v->key, instance, our_instances(c, list));
}

static bool name_is_ours(const struct config *c, const struct overlay_name *name)
{
    for (unsigned i = 0; i < c->overlay_count; i++) {
        if (overlay_name_equal(&c->overlays[i].self, name))
            return true;
    }
    return false;
}

/* One hop of a rule: not this host, not met before, the first one a neighbour. */
static bool check_hop(const struct config_value *v, const struct config *c,
                      const struct config_rule *r, const struct overlay_name *hop)
{
    if (name_is_ours(c, hop))
        return config_fail(v->error, v->where, "'via': '%.80s' is this host itself", hop->text);
    for (unsigned i = 0; i < r->via_count; i++) {
        if (overlay_name_equal(&r->via[i], hop))
            return config_fail(v->error, v->where, "'via' meets '%.80s' twice", hop->text);
    }
    return r->via_count || check_ours(v, c, overlay_name_instance(hop));
}

static bool read_rule(struct load *l, const struct raw_rule *raw, const struct config_node *node)
{
    struct config *c = l->config;
    struct config_rule *r = &c->rules[c->rule_count++];
    struct config_value v = load_value(l, node, "names", raw->names);
    r->where = v.where;
    if (!config_value_pattern(&v, &r->names))
        return false;
    for (unsigned i = 0; i + 1 < c->rule_count; i++) {
        if (!strcmp(c->rules[i].names, r->names))
            return config_fail(l->error, v.where,
                               "'names': there is a rule for '%s' already in "
                               "line %u",
                               r->names, c->rules[i].where.line);
    }
    const struct config_node *via = config_node_child(node, "via");
    if (!load_count(via) || load_count(via) > CHAIN_MAX - 1)
        return config_fail(l->error, via->where, "'via' must name 1 to %d gateways, not %u",
                           CHAIN_MAX - 1, load_count(via));
    r->via = base_calloc(load_count(via), sizeof *r->via);
    for (const struct config_node *n = load_first(via); n; n = load_next(via, n)) {
        struct overlay_name hop;
        v = load_item(l, "via", n);
        if (!config_value_name(&v, &hop) || !check_hop(&v, c, r, &hop))
            return false;
        r->via[r->via_count++] = hop;
    }
    return true;
}

static bool read_believed(struct load *l, const struct config_node *node, struct config_belief *b)
{
    const struct config_node *list = config_node_child(node, "instances");
    if (!load_count(list))
        return config_fail(l->error, list->where,
                           "'instances' is empty; say about which instances '%s' is believed",
                           b->gateway.text);
    b->instances = base_calloc(load_count(list), sizeof *b->instances);
    for (const struct config_node *n = load_first(list); n; n = load_next(list, n)) {
        struct config_value v = load_item(l, "instances", n);
        char **instance = &b->instances[b->instance_count];
        if (!config_value_instance(&v, instance))
            return false;
        b->instance_count++;
        if (config_overlay_find(l->config, *instance))
            return config_fail(l->error, v.where,
                               "'instances': this host is in '%s' itself, so nobody else is "
                               "believed about its names",
                               *instance);
    }
    return true;
}

static bool read_belief(struct load *l, const struct raw_belief *raw,
                        const struct config_node *node)
{
    struct config *c = l->config;
    struct config_belief *b = &c->beliefs[c->belief_count++];
    struct config_value v = load_value(l, node, "gateway", raw->gateway);
    b->where = v.where;
    if (!config_value_name(&v, &b->gateway) ||
        !check_ours(&v, c, overlay_name_instance(&b->gateway)))
        return false;
    if (name_is_ours(c, &b->gateway))
        return config_fail(l->error, v.where, "'gateway': '%s' is this host itself",
                           b->gateway.text);
    for (unsigned i = 0; i + 1 < c->belief_count; i++) {
        if (overlay_name_equal(&c->beliefs[i].gateway, &b->gateway))
            return config_fail(l->error, v.where, "'%s' is there already: see line %u",
                               b->gateway.text, c->beliefs[i].where.line);
    }
    return read_believed(l, node, b);
}

/* A pin must not contradict a member's key. */
static bool check_pin(struct load *l, const struct config_pin *pin)
{
    const struct config *c = l->config;
    for (unsigned i = 0; i + 1 < c->pin_count; i++) {
        if (overlay_name_equal(&c->pins[i].name, &pin->name))
            return config_fail(l->error, pin->where, "'%s' is pinned already: see line %u",
                               pin->name.text, c->pins[i].where.line);
    }
    const struct config_overlay *o = config_overlay_find(c, overlay_name_instance(&pin->name));
    for (unsigned i = 0; o && i < o->member_count; i++) {
        const struct config_member *m = &o->members[i];
        if (overlay_name_equal(&m->name, &pin->name) && m->has_key &&
            memcmp(m->key, pin->key, sizeof pin->key))
            return config_fail(l->error, pin->where,
                               "'%s' has another key as a member: see line %u", pin->name.text,
                               m->where.line);
    }
    return true;
}

static bool read_pin(struct load *l, const struct raw_pin *raw, const struct config_node *node)
{
    struct config *c = l->config;
    struct config_pin *pin = &c->pins[c->pin_count++];
    struct config_value v = load_value(l, node, "name", raw->name);
    pin->where = v.where;
    if (!config_value_name(&v, &pin->name))
        return false;
    if (name_is_ours(c, &pin->name))
        return config_fail(l->error, v.where, "'%s' is this host itself; pins are for others",
                           pin->name.text);
    v = load_value(l, node, "key", raw->key);
    return config_value_key(&v, pin->key) && check_pin(l, pin);
}

/* Can any name of `instance` fit the pattern? */
static bool pattern_touches(const char *pattern, const char *instance)
{
    if (pattern[0] == '*' && !pattern[1])
        return true;
    const char *tail = pattern[0] == '*' ? pattern + 2 : pattern;
    size_t tail_length = strlen(tail), length = strlen(instance);
    if (tail_length == length)
        return !strcmp(tail, instance);
    if (tail_length > length) /* "gate.east.ip", "*.lab.east.ip" */
        return tail[tail_length - length - 1] == '.' &&
               !strcmp(tail + tail_length - length, instance);
    return pattern[0] == '*' && instance[length - tail_length - 1] == '.' && /* "*.ip" */
           !strcmp(instance + length - tail_length, tail);
}

static bool read_forward(struct load *l, const struct raw_forward *raw,
                         const struct config_node *node)
{
    struct config *c = l->config;
    struct config_forward *f = &c->forwards[c->forward_count++];
    struct config_value v = load_value(l, node, "from", raw->from);
    f->where = v.where;
    if (instance_name_valid(v.text, NULL)) {
        size_t size = strlen(v.text) + 3;
        f->from = base_calloc(1, size);
        snprintf(f->from, size, "*.%s", v.text);
    } else if (!config_value_pattern(&v, &f->from)) {
        return false;
    }
    bool touches = false;
    for (unsigned i = 0; i < c->overlay_count; i++)
        touches |= pattern_touches(f->from, c->overlays[i].instance);
    char list[160];
    if (!touches)
        return config_fail(l->error, v.where,
                           "'from': no instance of this host fits '%.80s'; instances under "
                           "'overlays' are: %s",
                           v.text, our_instances(c, list));
    v = load_value(l, node, "to", raw->to);
    return config_value_instance(&v, &f->to) && check_ours(&v, c, f->to);
}

static bool read_policy(struct load *l, const struct raw_policy *raw,
                        const struct config_node *node)
{
    struct config *c = l->config;
    struct config_policy *p = &c->policies[c->policy_count++];
    struct config_value v = load_value(l, node, "peer", raw->peer);
    p->where = v.where;
    if (!config_value_pattern(&v, &p->peer))
        return false;
    for (unsigned i = 0; i + 1 < c->policy_count; i++) {
        if (!strcmp(c->policies[i].peer, p->peer))
            return config_fail(l->error, v.where,
                               "'peer': there is a policy for '%s' already in line %u", p->peer,
                               c->policies[i].where.line);
    }
    const struct config_node *list = config_node_child(node, "allow");
    p->allow = base_calloc(load_count(list), sizeof *p->allow);
    for (const struct config_node *n = load_first(list); n; n = load_next(list, n)) {
        v = load_item(l, "allow", n);
        if (!config_value_service(&v, &p->allow[p->allow_count]))
            return false;
        p->allow_count++;
    }
    return true;
}

bool load_lists(struct load *l)
{
    /* Item by item beside the tree, which knows the positions. */
#define LOAD_LIST(key, member, raw_list, read)                                                     \
    do {                                                                                           \
        const struct config_node *list = config_node_child(l->root, key);                          \
        const struct config_node *n = list ? list->first : NULL;                                   \
        l->config->member = base_calloc(l->raw->raw_list##_count, sizeof *l->config->member);      \
        for (unsigned i = 0; n && i < l->raw->raw_list##_count; i++, n = n->next) {                \
            if (!read(l, &l->raw->raw_list[i], n))                                                 \
                return false;                                                                      \
        }                                                                                          \
    } while (0)
    LOAD_LIST("rules", rules, rules, read_rule);
    LOAD_LIST("believe", beliefs, believe, read_belief);
    LOAD_LIST("pins", pins, pins, read_pin);
    LOAD_LIST("forward", forwards, forward, read_forward);
    LOAD_LIST("policy", policies, policy, read_policy);
#undef LOAD_LIST
    return true;
}
