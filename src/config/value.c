#include "config/value.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "config/node.h"
#include "crypto/crypto.h"

bool config_value_fail(const struct config_value *v, const char *wanted)
{
    return config_fail(v->error, v->where, "'%s' must be %s, not '%.80s'", v->key, wanted, v->text);
}

/* For names, where base/name.h knows the reason. */
static bool fail_reason(const struct config_value *v, const char *reason)
{
    return config_fail(v->error, v->where, "'%s': '%.80s' is not possible: %s", v->key, v->text,
                       reason);
}

/* Decimal digits from *at on, at most `digits_max` of them; false when there is none. */
static bool read_digits(const char **at, unsigned digits_max, uint64_t *ret)
{
    uint64_t number = 0;
    unsigned digits = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        if (++digits > digits_max)
            return false;
        number = number * 10 + (uint64_t)(**at - '0');
    }
    *ret = number;
    return digits > 0;
}

static const struct {
    const char *name;
    instant span;
} units[] = {{"h", HOUR}, {"m", MINUTE}, {"s", SECOND}, {"ms", MILLISECOND}};

#define UNITS (sizeof units / sizeof units[0])

const char *config_duration_format(instant span, char out[CONFIG_DURATION_TEXT])
{
    unsigned unit = 0;
    while (unit + 1 < UNITS && (span < units[unit].span || span % units[unit].span))
        unit++;
    snprintf(out, CONFIG_DURATION_TEXT, "%lld%s", (long long)(span / units[unit].span),
             units[unit].name);
    return out;
}

bool config_value_duration(const struct config_value *v, instant least, instant most, instant *ret)
{
    const char *at = v->text;
    uint64_t number;
    instant unit = 0;
    if (read_digits(&at, 9, &number)) {
        for (unsigned i = 0; i < UNITS; i++) {
            if (!strcmp(at, units[i].name))
                unit = units[i].span;
        }
    }
    if (!unit)
        return config_value_fail(v, "a number with one of the units ms, s, m, h (such as 25s)");
    instant span = (int64_t)number > INT64_MAX / unit ? INSTANT_NEVER : (int64_t)number * unit;
    if (span < least || span > most) {
        char low[CONFIG_DURATION_TEXT], high[CONFIG_DURATION_TEXT];
        return config_fail(v->error, v->where, "'%s' must be from %s to %s, not '%.80s'", v->key,
                           config_duration_format(least, low), config_duration_format(most, high),
                           v->text);
    }
    *ret = span;
    return true;
}

bool config_value_range(const struct config_value *v, unsigned number, unsigned least,
                        unsigned most)
{
    if (number >= least && number <= most)
        return true;
    return config_fail(v->error, v->where, "'%s' must be from %u to %u, not %u", v->key, least,
                       most, number);
}

bool config_value_choice(const struct config_value *v, const char *const *names, unsigned *ret)
{
    char wanted[96] = "";
    for (unsigned i = 0; names[i]; i++) {
        if (!strcmp(v->text, names[i])) {
            *ret = i;
            return true;
        }
        size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof wanted - used, "%s%s", i ? " or " : "", names[i]);
    }
    return config_value_fail(v, wanted);
}

bool config_value_listen(const struct config_value *v, struct endpoint *ret)
{
    struct endpoint e;
    size_t length = strlen(v->text);
    bool any_port = length > 2 && !strcmp(v->text + length - 2, ":0");
    char text[ENDPOINT_TEXT] = "";
    if (length < sizeof text)
        memcpy(text, v->text, length + 1);
    /* An endpoint without port is refused by base/, so "any" is read as a port and taken off. */
    if (any_port && length < sizeof text)
        text[length - 1] = '1';
    if (!endpoint_parse(text, 0, &e))
        return config_value_fail(v,
                                 "ADDRESS:PORT, such as 0.0.0.0:7400 or [::]:7400 (port 0: any)");
    if (any_port)
        e.port = 0;
    *ret = e;
    return true;
}

bool config_value_endpoint(const struct config_value *v, uint16_t default_port,
                           struct endpoint *ret)
{
    if (endpoint_parse(v->text, default_port, ret))
        return true;
    return config_value_fail(v, default_port ? "an IP address, with or without :PORT"
                                             : "ADDRESS:PORT, such as 192.0.2.1:7400");
}

static bool looks_like_ipv4(const char *host)
{
    const char *last = strrchr(host, '.');
    last = last ? last + 1 : host;
    return *last && !last[strspn(last, "0123456789")];
}

bool config_value_place(const struct config_value *v, struct config_place *ret)
{
    static const char wanted[] = "ADDRESS:PORT or HOST:PORT, such as 192.0.2.1:7400, "
                                 "[2001:db8::1]:7400, gate.example.org:7400";
    struct config_place place = {.where = v->where};
    if (endpoint_parse(v->text, 0, &place.endpoint)) {
        *ret = place;
        return true;
    }
    const char *colon = strrchr(v->text, ':'), *at = colon ? colon + 1 : "";
    uint64_t port = 0;
    if (!read_digits(&at, 5, &port) || *at || port < 1 || port > UINT16_MAX)
        return config_value_fail(v, wanted);
    place.host = base_strdup(v->text);
    place.host[colon - v->text] = '\0';
    place.endpoint.port = (uint16_t)port;
    const char *reason;
    if (!labels_valid(place.host, &reason) || looks_like_ipv4(place.host)) {
        free(place.host);
        return config_value_fail(v, wanted);
    }
    *ret = place;
    return true;
}

static bool host_bits_clear(const struct ip_prefix *p)
{
    for (unsigned bit = p->length; bit < (p->ip.family == 4 ? 32u : 128u); bit++) {
        if (p->ip.bytes[bit / 8] & (0x80 >> bit % 8))
            return false;
    }
    return true;
}

bool config_value_prefix(const struct config_value *v, uint8_t family, uint8_t least, uint8_t most,
                         struct ip_prefix *ret)
{
    struct ip_prefix p;
    if (!ip_prefix_parse(v->text, &p) || p.ip.family != family)
        return config_value_fail(v, family == 4 ? "an IPv4 prefix, such as 198.18.0.0/15"
                                                : "an IPv6 prefix, such as fd12:3456:789a::/48");
    if (p.length < least || p.length > most)
        return config_fail(v->error, v->where, "'%s' must be a prefix from /%u to /%u, not /%u",
                           v->key, least, most, p.length);
    if (!host_bits_clear(&p))
        return config_fail(v->error, v->where,
                           "'%s': '%.80s' has bits set behind its length of %u bits", v->key,
                           v->text, p.length);
    const uint8_t *b = p.ip.bytes;
    bool unusable = family == 4 ? b[0] == 0 || b[0] == 127 || b[0] >= 224
                                : b[0] == 0 || b[0] == 0xFF || (b[0] == 0xFE && b[1] >= 0x80);
    if (unusable)
        return config_fail(v->error, v->where,
                           "'%s': '%.80s' is not unicast addresses that a program can connect to",
                           v->key, v->text);
    *ret = p;
    return true;
}

bool config_value_service(const struct config_value *v, struct config_service *ret)
{
    static const struct {
        const char *name;
        uint8_t protocol;
    } protocols[] = {
        {"any", CONFIG_ANY}, {"icmp", CONFIG_ICMP}, {"tcp", CONFIG_TCP}, {"udp", CONFIG_UDP}};
    static const char wanted[] = "any, icmp, tcp, udp, or tcp/PORT, tcp/LOW-HIGH, udp/PORT";
    size_t length = strcspn(v->text, "/");
    struct config_service s = {.high = UINT16_MAX};
    bool known = false;
    for (unsigned i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
        if (strlen(protocols[i].name) == length && !strncmp(v->text, protocols[i].name, length)) {
            s.protocol = protocols[i].protocol;
            known = true;
        }
    }
    bool has_ports = v->text[length] == '/';
    if (!known || (has_ports && s.protocol != CONFIG_TCP && s.protocol != CONFIG_UDP))
        return config_value_fail(v, wanted);
    if (has_ports) {
        const char *at = v->text + length + 1;
        uint64_t low, high;
        if (!read_digits(&at, 5, &low))
            return config_value_fail(v, wanted);
        high = low;
        if (*at == '-' && (at++, !read_digits(&at, 5, &high)))
            return config_value_fail(v, wanted);
        if (*at || low > high || high > UINT16_MAX)
            return config_value_fail(v,
                                     *at ? wanted : "ports from 0 to 65535, the lower one first");
        s.low = (uint16_t)low;
        s.high = (uint16_t)high;
    }
    *ret = s;
    return true;
}

bool config_value_key(const struct config_value *v, uint8_t ret[CONFIG_KEY])
{
    uint8_t key[CONFIG_KEY], point[CRYPTO_KEY];
    if (!crypto_key_parse(v->text, key))
        return config_value_fail(
            v, "a public key of 44 base64 characters, as `ocala key show FILE` prints it");
    if (!crypto_ed25519_to_x25519_public(key, point))
        return config_value_fail(v, "an Ed25519 public key");
    memcpy(ret, key, sizeof key);
    return true;
}

/* A copy in lower case without the final dot. */
static char *canonical(const char *text)
{
    char *copy = base_strdup(text);
    size_t length = strlen(copy);
    if (length > 1 && copy[length - 1] == '.')
        copy[length - 1] = '\0';
    for (char *p = copy; *p; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    }
    return copy;
}

bool config_value_name(const struct config_value *v, struct overlay_name *ret)
{
    const char *reason;
    return overlay_name_parse(v->text, ret, &reason) || fail_reason(v, reason);
}

static bool take_if(const struct config_value *v, bool (*valid)(const char *, const char **),
                    char **ret)
{
    const char *reason;
    char *copy = canonical(v->text);
    if (!valid(copy, &reason)) {
        free(copy);
        return fail_reason(v, reason);
    }
    *ret = copy;
    return true;
}

bool config_value_labels(const struct config_value *v, char **ret)
{
    return take_if(v, labels_valid, ret);
}

bool config_value_instance(const struct config_value *v, char **ret)
{
    return take_if(v, instance_name_valid, ret);
}

bool config_value_pattern(const struct config_value *v, char **ret)
{
    return take_if(v, name_pattern_valid, ret);
}
