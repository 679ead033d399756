#include "config/load.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"

/* Overlays and their members.  Beside the values themselves it is checked here that an overlay can
 * work: its type exists, somebody can be let in (a secret or keys), no two hosts have one name. */

static bool check_type(struct load *l, const struct config_overlay *o)
{
    char list[128];
    struct text t;
    text_begin(&t, list, sizeof list);
    for (unsigned i = 0; l->types[i]; i++) {
        if (!strcmp(l->types[i], o->type))
            return true;
        text_add(&t, "%s%s", i ? ", " : "", l->types[i]);
    }
    return config_fail(l->error, o->where, "unknown overlay type '%s' in '%s'; types here: %s",
                       o->type, o->instance, list);
}

/* `host` + `instance`.  A whole name of the instance is accepted as well. */
static bool read_host(const struct config_overlay *o, const struct config_value *v,
                      struct overlay_name *ret)
{
    char *host, text[2 * NAME_TEXT + 2];
    struct overlay_name name;
    if (overlay_name_parse(v->text, &name, NULL) &&
        !strcmp(overlay_name_instance(&name), o->instance)) {
        *ret = name;
        return true;
    }
    if (!config_value_labels(v, &host))
        return false;
    snprintf(text, sizeof text, "%s.%s", host, o->instance);
    free(host);
    struct config_value whole = {v->key, text, v->where, v->error};
    return config_value_name(&whole, ret);
}

static bool read_secrets(struct load *l, const struct raw_overlay *raw,
                         const struct config_node *node, struct config_overlay *o)
{
    const struct config_node *list = config_node_child(node, "secrets");
    struct config_value v = load_value(l, node, "secret", raw->secret);
    if (raw->secret && list)
        return config_fail(l->error, list->key_where,
                           "'secret' and 'secrets' are both given; write one list: secrets: "
                           "[NEW, OLD]");
    if (raw->secret) {
        load_path(l, &v, &o->secrets[o->secret_count++]);
        return true;
    }
    if (load_count(list) > CONFIG_SECRETS_MAX)
        return config_fail(l->error, list->where,
                           "'secrets' has %u entries; at most %u are accepted side by side",
                           load_count(list), CONFIG_SECRETS_MAX);
    for (const struct config_node *n = load_first(list); n; n = load_next(list, n)) {
        v = load_item(l, "secrets", n);
        load_path(l, &v, &o->secrets[o->secret_count++]);
    }
    return true;
}

static bool read_trust(struct load *l, const struct raw_overlay *raw,
                       const struct config_node *node, struct config_overlay *o)
{
    static const char *const names[] = {
        [CONFIG_TRUST_PSK] = "psk", [CONFIG_TRUST_PIN] = "pin", NULL};
    struct config_value v = load_value(l, node, "trust", raw->trust);
    unsigned trust = o->secret_count ? CONFIG_TRUST_PSK : CONFIG_TRUST_PIN;
    if (raw->trust && !config_value_choice(&v, names, &trust))
        return false;
    o->trust = (enum config_trust)trust;
    if (o->trust == CONFIG_TRUST_PSK && !o->secret_count)
        return config_fail(l->error, v.where,
                           "overlay '%s' has trust psk but no secret; make one with `ocala key "
                           "new --network FILE` and write secret: FILE",
                           o->instance);
    return true;
}

static bool read_listen(struct load *l, const struct config_node *node, struct config_overlay *o)
{
    const struct config_node *list = config_node_child(node, "listen");
    o->listen = base_calloc(load_count(list) + 1, sizeof *o->listen);
    for (const struct config_node *n = load_first(list); n; n = load_next(list, n)) {
        struct config_value v = load_item(l, "listen", n);
        struct endpoint *e = &o->listen[o->listen_count];
        if (!config_value_listen(&v, e))
            return false;
        for (unsigned i = 0; i < o->listen_count; i++) {
            if (endpoint_equal(&o->listen[i], e))
                return config_fail(l->error, v.where, "'listen' has '%s' twice", v.text);
        }
        o->listen_count++;
    }
    if (list)
        o->listen_where = list->where;
    if (!o->listen_count)
        o->listen[o->listen_count++] = (struct endpoint){.ip.family = 6};
    return true;
}

static unsigned read_options(const struct config_node *node, struct config_option **ret)
{
    const struct config_node *options = config_node_child(node, "options");
    unsigned count = 0;
    if (!options)
        return 0;
    *ret = base_calloc(options->count, sizeof **ret);
    for (const struct config_node *n = options->first; n; n = n->next)
        (*ret)[count++] =
            (struct config_option){base_strdup(n->key), base_strdup(n->text), n->key_where};
    return count;
}

static bool check_member_name(struct load *l, const struct config_overlay *o, unsigned index)
{
    const struct config_member *m = &o->members[index];
    if (overlay_name_equal(&m->name, &o->self))
        return config_fail(l->error, m->where,
                           "'%s' is this host's own name in '%s'; members are the others",
                           m->name.text, o->instance);
    for (unsigned i = 0; i < index; i++) {
        if (overlay_name_equal(&m->name, &o->members[i].name))
            return config_fail(l->error, m->where, "'%s' is a member already: see line %u",
                               m->name.text, o->members[i].where.line);
    }
    return true;
}

static bool read_member(struct load *l, const struct raw_member *raw,
                        const struct config_node *node, struct config_overlay *o)
{
    unsigned index = o->member_count++; /* config_free() sees a half-read member too */
    struct config_member *m = &o->members[index];
    m->where = node->where;
    struct config_value v = load_value(l, node, "name", raw->name);
    if (!read_host(o, &v, &m->name))
        return false;
    const struct config_node *list = config_node_child(node, "at");
    m->at = base_calloc(load_count(list), sizeof *m->at);
    for (const struct config_node *n = load_first(list); n; n = load_next(list, n)) {
        v = load_item(l, "at", n);
        if (!config_value_place(&v, &m->at[m->at_count]))
            return false;
        m->at_count++;
    }
    v = load_value(l, node, "key", raw->key);
    if (raw->key && !config_value_key(&v, m->key))
        return false;
    m->has_key = raw->key;
    m->option_count = read_options(node, &m->options);
    if (!m->at_count && !m->has_key && !m->option_count)
        return config_fail(l->error, node->where,
                           "member '%s' says neither where it is (at: ADDRESS:PORT) nor which key "
                           "it has (key: ...), and has no options",
                           m->name.text);
    if (o->trust == CONFIG_TRUST_PIN && !m->has_key)
        return config_fail(l->error, node->where,
                           "member '%s' has no key, and overlay '%s' %s; add its key: (`ocala key "
                           "show FILE` there prints it)%s",
                           m->name.text, o->instance,
                           o->secret_count ? "trusts pinned keys only" : "has no secret",
                           o->secret_count ? "" : ", or a secret: to the overlay");
    return check_member_name(l, o, index);
}

static bool read_overlay(struct load *l, const struct raw_overlay *raw,
                         const struct config_node *node)
{
    struct config *c = l->config;
    struct config_overlay *o = &c->overlays[c->overlay_count++];
    o->where = node->where;
    struct config_value v = load_value(l, node, "instance", raw->instance);
    o->where = v.where;
    if (!config_value_instance(&v, &o->instance))
        return false;
    o->type = strchr(o->instance, '.') + 1;
    if (!check_type(l, o))
        return false;
    for (unsigned i = 0; i + 1 < c->overlay_count; i++) {
        if (!strcmp(o->instance, c->overlays[i].instance))
            return config_fail(l->error, v.where, "overlay '%s' is there already: see line %u",
                               o->instance, c->overlays[i].where.line);
    }
    v = raw->name ? load_value(l, node, "name", raw->name)
                  : load_value(l, l->root, "name", l->raw->name);
    if (!read_host(o, &v, &o->self))
        return false;
    v = load_value(l, node, "key", raw->key);
    if (raw->key)
        load_path(l, &v, &o->key);
    else
        o->key = (struct config_text){base_strdup(c->key.text), c->key.where};
    if (!read_secrets(l, raw, node, o) || !read_trust(l, raw, node, o) || !read_listen(l, node, o))
        return false;
    o->option_count = read_options(node, &o->options);
    o->members = base_calloc(raw->members_count, sizeof *o->members);
    const struct config_node *members = config_node_child(node, "members");
    const struct config_node *n = members ? members->first : NULL;
    for (unsigned i = 0; n && i < raw->members_count; i++, n = n->next) {
        if (!read_member(l, &raw->members[i], n, o))
            return false;
    }
    return true;
}

bool load_overlays(struct load *l)
{
    const struct config_node *list = config_node_child(l->root, "overlays");
    if (!l->raw->overlays_count)
        return config_fail(l->error, list->where,
                           "'overlays' is empty; at least one is needed: - instance: NAME.TYPE");
    l->config->overlays = base_calloc(l->raw->overlays_count, sizeof *l->config->overlays);
    const struct config_node *n = list->first;
    for (unsigned i = 0; n && i < l->raw->overlays_count; i++, n = n->next) {
        if (!read_overlay(l, &l->raw->overlays[i], n))
            return false;
    }
    return true;
}
