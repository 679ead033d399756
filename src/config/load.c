#include "config/load.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

/* Settings of the whole host.  Each is its default until the file says otherwise. */

#define SOCKET_PATH    107 /* longest name of a Unix socket, less its NUL */
#define INTERFACE_NAME 15

struct config_value load_value(const struct load *l, const struct config_node *node,
                               const char *key, const char *text)
{
    const struct config_node *child = config_node_child(node, key);
    return (struct config_value){key, text, child ? child->where : node->where, l->error};
}

struct config_value load_item(const struct load *l, const char *key, const struct config_node *item)
{
    return (struct config_value){key, item->text, item->where, l->error};
}

const struct config_node *load_first(const struct config_node *texts)
{
    return texts && texts->kind == CONFIG_SEQUENCE ? texts->first : texts;
}

const struct config_node *load_next(const struct config_node *texts, const struct config_node *item)
{
    return texts->kind == CONFIG_SEQUENCE ? item->next : NULL;
}

unsigned load_count(const struct config_node *texts)
{
    return !texts ? 0 : texts->kind == CONFIG_SEQUENCE ? texts->count : 1;
}

static char *join(const char *folder, size_t folder_length, const char *name)
{
    size_t length = strlen(name);
    char *path = base_calloc(1, folder_length + length + 2);
    memcpy(path, folder, folder_length);
    if (folder_length && path[folder_length - 1] != '/')
        path[folder_length++] = '/';
    memcpy(path + folder_length, name, length);
    return path;
}

void load_path(const struct load *l, const struct config_value *v, struct config_text *ret)
{
    const char *slash = strrchr(l->config->file, '/');
    size_t folder = slash && v->text[0] != '/' ? (size_t)(slash - l->config->file) + 1 : 0;
    ret->text = join(l->config->file, folder, v->text);
    ret->where = v->where;
}

/* The file's own word, or `folder`/`name`. */
static void load_place(const struct load *l, const char *key, const char *text, const char *folder,
                       const char *name, struct config_text *ret)
{
    struct config_value v = load_value(l, l->root, key, text);
    if (text)
        load_path(l, &v, ret);
    else
        ret->text = join(folder, strlen(folder), name);
}

static bool name_is_plain(const char *text, size_t longest)
{
    size_t length =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    return length && !text[length] && length <= longest && text[0] != '.' && text[0] != '-';
}

static bool load_places(struct load *l)
{
    const struct raw_config *raw = l->raw;
    struct config *c = l->config;
    load_place(l, "state", raw->state, "/var/lib", "ocala", &c->state);
    load_place(l, "runtime", raw->runtime, "/run", "ocala", &c->runtime);
    load_place(l, "control", raw->control, c->runtime.text, "control.sock", &c->control);
    load_place(l, "key", raw->key, c->state.text, "key.pem", &c->key);
    if (strlen(c->control.text) > SOCKET_PATH) {
        struct config_where where = raw->control   ? c->control.where
                                    : raw->runtime ? c->runtime.where
                                                   : l->root->where;
        return config_fail(l->error, where,
                           "the control socket's name '%.80s...' is longer than %u characters; "
                           "set a shorter 'runtime' or 'control'",
                           c->control.text, SOCKET_PATH);
    }
    struct config_value v = load_value(l, l->root, "group", raw->group ? raw->group : "ocala");
    if (!name_is_plain(v.text, 32))
        return config_value_fail(&v, "the name of a group");
    c->group = base_strdup(v.text);
    return true;
}

static const char *const dns_modes[] = {
#define DNS_MODE_WORD(id, word, text) [CONFIG_DNS_##id] = word,
    CONFIG_DNS_MODES(DNS_MODE_WORD)
#undef DNS_MODE_WORD
        NULL};

const char *config_dns_mode_word(enum config_dns_mode mode)
{
    return dns_modes[mode];
}

static bool load_dns(struct load *l)
{
    const struct raw_dns *raw = &l->raw->dns;
    const struct config_node *node = config_node_child(l->root, "dns");
    struct config_dns *dns = &l->config->dns;
    dns->ttl_s = 30;
    require(endpoint_parse("127.0.0.1:53", 0, &dns->listen));
    if (!node)
        return true;
    dns->where = node->where;
    struct config_value v = load_value(l, node, "mode", raw->mode);
    unsigned mode = CONFIG_DNS_AUTO;
    if (raw->mode && !config_value_choice(&v, dns_modes, &mode))
        return false;
    dns->mode = (enum config_dns_mode)mode;
    v = load_value(l, node, "listen", raw->listen);
    if (raw->listen && !config_value_endpoint(&v, 53, &dns->listen))
        return false;
    if (raw->listen)
        dns->listen_where = v.where;
    v = load_value(l, node, "suffix", raw->suffix);
    if (raw->suffix && !config_value_labels(&v, &dns->suffix))
        return false;
    v = load_value(l, node, "ttl", NULL);
    if (config_node_child(node, "ttl")) {
        if (!config_value_range(&v, raw->ttl, 1, 86400))
            return false;
        dns->ttl_s = raw->ttl;
    }
    const struct config_node *upstream = config_node_child(node, "upstream");
    dns->upstream = base_calloc(load_count(upstream), sizeof *dns->upstream);
    for (const struct config_node *n = load_first(upstream); n; n = load_next(upstream, n)) {
        v = load_item(l, "upstream", n);
        if (!config_value_endpoint(&v, 53, &dns->upstream[dns->upstream_count]))
            return false;
        dns->upstream_count++;
    }
    return true;
}

static bool load_handles(struct load *l)
{
    const struct raw_handles *raw = &l->raw->handles;
    const struct config_node *node = config_node_child(l->root, "handles");
    struct config_handles *handles = &l->config->handles;
    handles->per_user = 4096;
    require(ip_prefix_parse("198.18.0.0/15", &handles->ipv4));
    if (!node)
        return true;
    handles->where = node->where;
    struct config_value v = load_value(l, node, "ipv4", raw->ipv4);
    if (raw->ipv4 && !config_value_prefix(&v, 4, 8, 28, &handles->ipv4))
        return false;
    v = load_value(l, node, "ipv6", raw->ipv6);
    if (raw->ipv6 && !config_value_prefix(&v, 6, 8, 112, &handles->ipv6))
        return false;
    v = load_value(l, node, "per_user", NULL);
    if (config_node_child(node, "per_user")) {
        if (!config_value_range(&v, raw->per_user, 1, 1000000))
            return false;
        handles->per_user = raw->per_user;
    }
    return true;
}

static bool load_tun(struct load *l)
{
    const struct raw_tun *raw = &l->raw->tun;
    const struct config_node *node = config_node_child(l->root, "tun");
    struct config_tun *tun = &l->config->tun;
    tun->mtu = CONFIG_MTU_DEFAULT;
    tun->name = base_strdup(raw->name ? raw->name : "ocala0");
    if (!node)
        return true;
    tun->where = node->where;
    struct config_value v = load_value(l, node, "name", tun->name);
    if (!name_is_plain(tun->name, INTERFACE_NAME))
        return config_value_fail(&v, "an interface name: 1 to 15 letters, digits, _ - .");
    v = load_value(l, node, "mtu", NULL);
    if (config_node_child(node, "mtu")) {
        if (!config_value_range(&v, raw->mtu, CONFIG_MTU_MIN, CONFIG_MTU_MAX))
            return false;
        tun->mtu = raw->mtu;
    }
    return true;
}

static bool load_workers(struct load *l)
{
    if (!l->raw->workers || !strcmp(l->raw->workers, "auto"))
        return true;
    struct config_value v = load_value(l, l->root, "workers", l->raw->workers);
    char *end;
    unsigned long number = strtoul(v.text, &end, 10);
    if (v.text[0] < '1' || v.text[0] > '9' || *end || number > CONFIG_WORKERS_MAX)
        return config_value_fail(&v, "auto, or a number from 1 to 16");
    l->config->workers = (unsigned)number;
    return true;
}

static bool load_timers(struct load *l)
{
    const struct config_node *node = config_node_child(l->root, "timers");
    struct config_timers *timers = &l->config->timers;
    struct config_value v;
#define LOAD_TIMER(name, standard, least, most, about)                                             \
    timers->name = standard;                                                                       \
    v = load_value(l, node ? node : l->root, #name, l->raw->timers.name);                          \
    if (v.text && !config_value_duration(&v, least, most, &timers->name))                          \
        return false;
    CONFIG_TIMERS(LOAD_TIMER)
#undef LOAD_TIMER
    return true;
}

bool load_host(struct load *l)
{
    struct config_value v = load_value(l, l->root, "name", l->raw->name);
    return config_value_labels(&v, &l->config->name) && load_places(l) && load_dns(l) &&
           load_handles(l) && load_tun(l) && load_workers(l) && load_timers(l) &&
           load_i3_server(l);
}
