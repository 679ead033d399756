/* The schema of the configuration file in libcyaml's terms, and the structs that libcyaml fills:
 * every value still a text as written.  Private to config/.
 *
 * Lists of plain texts may be written as one text too (`via: gate.east.ip`), and `options` has keys
 * of its own; libcyaml knows neither, so the schema ignores them there and load.c takes them from
 * the node tree.  config_schema_loose() tells which kind such a key is. */
#ifndef OCALA_CONFIG_SCHEMA_H
#define OCALA_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>
#include <stdbool.h>

#include "config/config.h"

struct raw_member {
    char *name, *key; /* at, options: loose */
};

struct raw_overlay {
    char *instance, *secret, *trust, *key, *name; /* secrets, listen, options: loose */
    struct raw_member *members;
    unsigned members_count;
};

struct raw_rule {
    char *names; /* via: loose */
};

struct raw_belief {
    char *gateway; /* instances: loose */
};

struct raw_pin {
    char *name, *key;
};

struct raw_forward {
    char *from, *to;
};

struct raw_policy {
    char *peer; /* allow: loose */
};

struct raw_dns {
    char *mode, *listen, *suffix; /* upstream: loose */
    unsigned ttl;
};

struct raw_handles {
    char *ipv4, *ipv6;
    unsigned per_user;
};

struct raw_tun {
    char *name;
    unsigned mtu;
};

struct raw_i3_server {
    char *id, *secret; /* listen, seeds: loose */
    unsigned ring, triggers, per_client, requests, per_address;
};

struct raw_timers {
#define RAW_TIMER(name, standard, least, most, about) char *name;
    CONFIG_TIMERS(RAW_TIMER)
#undef RAW_TIMER
};

struct raw_config {
    char *name, *key;
    struct raw_overlay *overlays;
    struct raw_rule *rules;
    struct raw_belief *believe;
    struct raw_pin *pins;
    struct raw_forward *forward;
    struct raw_policy *policy;
    unsigned overlays_count, rules_count, believe_count, pins_count, forward_count, policy_count;
    struct raw_dns dns;
    struct raw_handles handles;
    struct raw_tun tun;
    char *workers;
    struct raw_timers timers;
    struct raw_i3_server i3_server;
    char *state, *runtime, *control, *group;
};

extern const struct cyaml_schema_value config_schema;

/* What an ignored key of the schema holds. */
enum config_loose { CONFIG_LOOSE_TEXTS, CONFIG_LOOSE_OPTIONS };
enum config_loose config_schema_loose(const char *key);

/* The most items of a list. */
#define CONFIG_OVERLAYS_MAX 64
#define CONFIG_LIST_MAX     4096
#define CONFIG_TEXTS_MAX    64 /* of a list of plain texts */

struct config_node;
struct config_error;
/* Does the tree have the schema's shape: known keys, the right kind of value, nothing missing? */
bool config_shape_check(const struct config_node *root, struct config_error *error);

#endif
