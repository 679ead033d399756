/* The server of i3 inside the daemon. */
#include <string.h>

#include "base/check.h"
#include "config/load.h"

#define PORT_STANDARD 5610
#define ID_DIGITS     40

static bool is_wildcard(const struct endpoint *e)
{
    static const uint8_t none[16];
    return !memcmp(e->ip.bytes, none, sizeof none);
}

static bool load_listen(struct load *l, const struct config_node *node, struct config_i3_server *s)
{
    struct config_value v = load_value(l, node, "listen", l->raw->i3_server.listen);
    if (!config_value_endpoint(&v, PORT_STANDARD, &s->listen))
        return false;
    if (is_wildcard(&s->listen))
        return config_value_fail(&v, "one address of this machine: other servers are told it");
    if (s->listen.ip.family == 6 && !l->raw->i3_server.secret)
        return config_value_fail(&v, "IPv4, or a ring with a secret: originals speak no IPv6");
    s->ring = s->listen;
    s->ring.port = (uint16_t)(s->listen.port + 1);
    v = load_value(l, node, "ring", NULL);
    if (!config_node_child(node, "ring"))
        return true;
    if (!config_value_range(&v, l->raw->i3_server.ring, 1, UINT16_MAX))
        return false;
    s->ring.port = (uint16_t)l->raw->i3_server.ring;
    return true;
}

static bool load_seeds(struct load *l, const struct config_node *node, struct config_i3_server *s)
{
    const struct config_node *seeds = config_node_child(node, "seeds");
    for (const struct config_node *n = load_first(seeds); n; n = load_next(seeds, n)) {
        struct config_value v = load_item(l, "seeds", n);
        if (s->seed_count == CONFIG_SEEDS_MAX)
            return config_value_fail(&v, "at most 16 seeds");
        if (!config_value_endpoint(&v, PORT_STANDARD + 1, &s->seeds[s->seed_count++]))
            return false;
    }
    return true;
}

static bool load_id(struct load *l, const struct config_node *node, struct config_i3_server *s)
{
    struct config_value v = load_value(l, node, "id", l->raw->i3_server.id);
    if (!v.text)
        return true;
    if (strlen(v.text) != ID_DIGITS || strspn(v.text, "0123456789abcdef") != ID_DIGITS)
        return config_value_fail(&v, "40 lower-case hexadecimal digits");
    s->id = base_strdup(v.text);
    return true;
}

static bool load_number(struct load *l, const struct config_node *node, const char *key,
                        unsigned value, unsigned least, unsigned *ret)
{
    struct config_value v = load_value(l, node, key, NULL);
    if (!config_node_child(node, key))
        return true;
    *ret = value;
    return config_value_range(&v, value, least, 100000000);
}

bool load_i3_server(struct load *l)
{
    const struct raw_i3_server *raw = &l->raw->i3_server;
    const struct config_node *node = config_node_child(l->root, "i3_server");
    struct config_i3_server *s = &l->config->i3_server;
    if (!node)
        return true;
    *s = (struct config_i3_server){.on = true,
                                   .triggers = 1000000,
                                   .per_client = 10000,
                                   .requests = 1000,
                                   .per_address = 64,
                                   .where = node->where};
    struct config_value v = load_value(l, node, "secret", raw->secret);
    if (raw->secret)
        load_path(l, &v, &s->secret);
    return load_listen(l, node, s) && load_seeds(l, node, s) && load_id(l, node, s) &&
           load_number(l, node, "triggers", raw->triggers, 1, &s->triggers) &&
           load_number(l, node, "per_client", raw->per_client, 0, &s->per_client) &&
           load_number(l, node, "requests", raw->requests, 0, &s->requests) &&
           load_number(l, node, "per_address", raw->per_address, 0, &s->per_address);
}
