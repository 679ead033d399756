/* The server of i3 inside the daemon. */
#include <stdint.h>

#include "base/check.h"
#include "base/hex.h"
#include "config/load.h"

#define PORT_STANDARD 5610
#define ID_SIZE       20

/* One address, or one of each family; that for other servers first. */
static bool load_addresses(struct load *l, const struct config_node *list,
                           struct config_i3_server *s)
{
    struct endpoint at[2];
    unsigned count = 0;
    struct config_value v = load_item(l, "listen", list);
    for (const struct config_node *n = load_first(list); n; n = load_next(list, n)) {
        v = load_item(l, "listen", n);
        if (count == 2)
            return config_value_fail(&v, "one IPv4 address and one IPv6 address at most");
        if (!config_value_endpoint(&v, PORT_STANDARD, &at[count]))
            return false;
        if (ip_address_is_wildcard(&at[count].ip) || at[count].scope)
            return config_value_fail(&v, "one address of this machine: other servers are told it");
        if (count && at[0].ip.family == at[1].ip.family)
            return config_value_fail(&v, "of the other family than the first one");
        count++;
    }
    if (!count)
        return config_fail(l->error, list->where, "'listen' needs at least one address");
    bool second_first = count == 2 && at[1].ip.family == 4 && !l->raw->i3_server.secret;
    s->listen = at[second_first];
    if (count == 2)
        s->also = at[!second_first];
    if (s->listen.ip.family == 4 || l->raw->i3_server.secret)
        return true;
    return config_fail(l->error, v.where,
                       "'listen' has no IPv4 address, which a ring without a 'secret' needs: "
                       "originals may be in it, and they speak no IPv6");
}

static bool load_listen(struct load *l, const struct config_node *node, struct config_i3_server *s)
{
    if (!load_addresses(l, config_node_child(node, "listen"), s))
        return false;
    const struct config_node *ring = config_node_child(node, "ring");
    s->ring = s->listen;
    s->ring.port = (uint16_t)(s->listen.port + 1);
    struct config_value v = load_value(l, node, "ring", NULL);
    if (!ring && s->listen.port == UINT16_MAX)
        return config_fail(l->error, node->where,
                           "'i3_server' needs a 'ring': there is no port behind that of 'listen'");
    if (!ring)
        return true;
    if (!config_value_range(&v, l->raw->i3_server.ring, 1, UINT16_MAX))
        return false;
    s->ring.port = (uint16_t)l->raw->i3_server.ring;
    bool taken = s->ring.port == s->listen.port ||
                 (l->raw->i3_server.secret && s->ring.port == s->also.port);
    if (taken)
        return config_fail(l->error, v.where,
                           "'ring' is the port for clients (%u); it needs one of its own",
                           (unsigned)s->ring.port);
    return true;
}

static bool load_seeds(struct load *l, const struct config_node *node, struct config_i3_server *s)
{
    const struct config_node *seeds = config_node_child(node, "seeds");
    for (const struct config_node *n = load_first(seeds); n; n = load_next(seeds, n)) {
        struct config_value v = load_item(l, "seeds", n);
        if (s->seed_count == CONFIG_SEEDS_MAX)
            return config_value_fail(&v, "at most 16 seeds");
        struct endpoint *seed = &s->seeds[s->seed_count++];
        if (!config_value_endpoint(&v, PORT_STANDARD + 1, seed))
            return false;
        if (seed->ip.family == 6 && !l->raw->i3_server.secret)
            return config_fail(l->error, v.where,
                               "'seeds': '%.80s' is IPv6, which servers speak with each other only "
                               "in a ring with a 'secret'",
                               v.text);
        if (endpoint_equal(seed, &s->listen))
            return config_value_fail(&v, "a server's port for the ring, and not ours for clients");
        if (seed->ip.family != s->listen.ip.family && !s->also.ip.family)
            return config_value_fail(&v, "of a family that 'listen' has an address of");
    }
    return true;
}

static bool load_id(struct load *l, const struct config_node *node, struct config_i3_server *s)
{
    struct config_value v = load_value(l, node, "id", l->raw->i3_server.id);
    if (!v.text)
        return true;
    uint8_t id[ID_SIZE];
    if (!hex_read(v.text, id, sizeof id))
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
