#include "config/schema.h"

#include <string.h>

/* Texts stay texts here: load.c judges and converts them, because only it can say what would be
 * right.  So the schema's job is keys, nesting, lists and plain numbers. */

#define PTR (CYAML_FLAG_POINTER)
#define OPT (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

#define TEXT(key, flags, type, member)                                                             \
    CYAML_FIELD_STRING_PTR(key, flags, type, member, 0, CYAML_UNLIMITED)
#define LOOSE(key, flags) CYAML_FIELD_IGNORE(key, flags)

static const cyaml_schema_field_t member_fields[] = {
    TEXT("name", PTR, struct raw_member, name),
    LOOSE("at", CYAML_FLAG_OPTIONAL),
    TEXT("key", OPT, struct raw_member, key),
    LOOSE("options", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t member = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_member, member_fields)};

static const cyaml_schema_field_t overlay_fields[] = {
    TEXT("instance", PTR, struct raw_overlay, instance),
    TEXT("secret", OPT, struct raw_overlay, secret),
    LOOSE("secrets", CYAML_FLAG_OPTIONAL),
    TEXT("trust", OPT, struct raw_overlay, trust),
    TEXT("key", OPT, struct raw_overlay, key),
    TEXT("name", OPT, struct raw_overlay, name),
    LOOSE("listen", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_SEQUENCE("members", OPT, struct raw_overlay, members, &member, 0, CONFIG_LIST_MAX),
    LOOSE("options", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t overlay = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_overlay, overlay_fields)};

static const cyaml_schema_field_t rule_fields[] = {
    TEXT("names", PTR, struct raw_rule, names),
    LOOSE("via", CYAML_FLAG_DEFAULT),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t rule = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_rule, rule_fields)};

static const cyaml_schema_field_t belief_fields[] = {
    TEXT("gateway", PTR, struct raw_belief, gateway),
    LOOSE("instances", CYAML_FLAG_DEFAULT),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t belief = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_belief, belief_fields)};

static const cyaml_schema_field_t pin_fields[] = {
    TEXT("name", PTR, struct raw_pin, name),
    TEXT("key", PTR, struct raw_pin, key),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t pin = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_pin, pin_fields)};

static const cyaml_schema_field_t forward_fields[] = {
    TEXT("from", PTR, struct raw_forward, from),
    TEXT("to", PTR, struct raw_forward, to),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t forward = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_forward, forward_fields)};

static const cyaml_schema_field_t policy_fields[] = {
    TEXT("peer", PTR, struct raw_policy, peer),
    LOOSE("allow", CYAML_FLAG_DEFAULT),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t policy = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_policy, policy_fields)};

static const cyaml_schema_field_t dns_fields[] = {
    TEXT("mode", OPT, struct raw_dns, mode),
    TEXT("listen", OPT, struct raw_dns, listen),
    LOOSE("upstream", CYAML_FLAG_OPTIONAL),
    TEXT("suffix", OPT, struct raw_dns, suffix),
    CYAML_FIELD_UINT("ttl", CYAML_FLAG_OPTIONAL, struct raw_dns, ttl),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t handles_fields[] = {
    TEXT("ipv4", OPT, struct raw_handles, ipv4),
    TEXT("ipv6", OPT, struct raw_handles, ipv6),
    CYAML_FIELD_UINT("per_user", CYAML_FLAG_OPTIONAL, struct raw_handles, per_user),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t tun_fields[] = {
    TEXT("name", OPT, struct raw_tun, name),
    CYAML_FIELD_UINT("mtu", CYAML_FLAG_OPTIONAL, struct raw_tun, mtu),
    CYAML_FIELD_END,
};

#define NUMBER(key, type, member) CYAML_FIELD_UINT(key, CYAML_FLAG_OPTIONAL, type, member)

static const cyaml_schema_field_t i3_server_fields[] = {
    LOOSE("listen", CYAML_FLAG_DEFAULT),
    NUMBER("ring", struct raw_i3_server, ring),
    LOOSE("seeds", CYAML_FLAG_OPTIONAL),
    TEXT("id", OPT, struct raw_i3_server, id),
    TEXT("secret", OPT, struct raw_i3_server, secret),
    NUMBER("triggers", struct raw_i3_server, triggers),
    NUMBER("per_client", struct raw_i3_server, per_client),
    NUMBER("requests", struct raw_i3_server, requests),
    NUMBER("per_address", struct raw_i3_server, per_address),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t timer_fields[] = {
#define TIMER_FIELD(name, standard, least, most, about) TEXT(#name, OPT, struct raw_timers, name),
    CONFIG_TIMERS(TIMER_FIELD)
#undef TIMER_FIELD
        CYAML_FIELD_END,
};

#define LIST(key, flags, member, entry, max)                                                       \
    CYAML_FIELD_SEQUENCE(key, flags, struct raw_config, member, &entry, 0, max)
#define BLOCK(key, member, fields)                                                                 \
    CYAML_FIELD_MAPPING(key, CYAML_FLAG_OPTIONAL, struct raw_config, member, fields)

static const cyaml_schema_field_t config_fields[] = {
    TEXT("name", PTR, struct raw_config, name),
    TEXT("key", OPT, struct raw_config, key),
    LIST("overlays", PTR, overlays, overlay, CONFIG_OVERLAYS_MAX),
    LIST("rules", OPT, rules, rule, CONFIG_LIST_MAX),
    LIST("believe", OPT, believe, belief, CONFIG_LIST_MAX),
    LIST("pins", OPT, pins, pin, CONFIG_LIST_MAX),
    LIST("forward", OPT, forward, forward, CONFIG_LIST_MAX),
    LIST("policy", OPT, policy, policy, CONFIG_LIST_MAX),
    BLOCK("dns", dns, dns_fields),
    BLOCK("handles", handles, handles_fields),
    BLOCK("tun", tun, tun_fields),
    TEXT("workers", OPT, struct raw_config, workers),
    BLOCK("timers", timers, timer_fields),
    BLOCK("i3_server", i3_server, i3_server_fields),
    TEXT("state", OPT, struct raw_config, state),
    TEXT("runtime", OPT, struct raw_config, runtime),
    TEXT("control", OPT, struct raw_config, control),
    TEXT("group", OPT, struct raw_config, group),
    CYAML_FIELD_END,
};

const struct cyaml_schema_value config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_config, config_fields)};

enum config_loose config_schema_loose(const char *key)
{
    return strcmp(key, "options") ? CONFIG_LOOSE_TEXTS : CONFIG_LOOSE_OPTIONS;
}
