/* What the configuration says about an instance of i3, and about some of its hosts. */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "overlay/i3/i3_module.h"
#include "overlay/place.h"

#define MTU_DEFAULT     1500
#define SAMPLES_DEFAULT 8
#define ID_FROM_LEAST   16
#define RESAMPLE        (5 * MINUTE)
#define LIMIT_MOST      1000000

/* An even number of digits, at most 16. */
static bool suffix_parse(const char *text, uint8_t ret[8], unsigned *ret_size)
{
    size_t length = strlen(text);
    *ret_size = (unsigned)length / 2;
    return *ret_size && *ret_size <= 8 && hex_read(text, ret, *ret_size);
}

static bool servers_valid(const char *value)
{
    struct i3_seed seed[I3_SEEDS_MAX];
    unsigned count;
    const char *reason;
    return i3_seeds_parse(value, seed, &count, &reason);
}

static bool shortcut_valid(const char *value)
{
    return !strcmp(value, "allow") || !strcmp(value, "deny");
}

static bool names_valid(const char *value)
{
    return !strcmp(value, "plain") || !strcmp(value, "keyed");
}

static bool mtu_valid(const char *value)
{
    uint32_t mtu;
    return overlay_option_number(value, 1280, UINT16_MAX, &mtu);
}

static bool sample_valid(const char *value)
{
    uint32_t samples;
    return overlay_option_number(value, 0, I3_SAMPLES_MAX, &samples);
}

static bool limit_valid(const char *value)
{
    uint32_t limit;
    return overlay_option_number(value, 1, LIMIT_MOST, &limit);
}

static bool resample_valid(const char *value)
{
    instant span;
    return overlay_option_span(value, 10 * SECOND, 24 * HOUR, &span);
}

static bool suffix_valid(const char *value)
{
    uint8_t suffix[8];
    unsigned size;
    return suffix_parse(value, suffix, &size);
}

static bool host_valid(const char *value)
{
    const char *reason;
    return strlen(value) < NAME_TEXT && labels_valid(value, &reason);
}

bool i3_id_text_parse(const char *text, struct i3_id *ret)
{
    return hex_read(text, ret->bytes, I3_ID) && i3_id_is_public(ret);
}

static bool id_valid(const char *value)
{
    struct i3_id id;
    return i3_id_text_parse(value, &id);
}

static bool id_from_valid(const char *value)
{
    return strlen(value) >= ID_FROM_LEAST;
}

static bool is_among(char names[][NAME_TEXT], unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

bool i3_through_parse(const char *text, char ret[I3_THROUGH_MAX][NAME_TEXT], unsigned *ret_count)
{
    *ret_count = 0;
    for (const char *at = text + strspn(text, " ,"); *at; at += strspn(at, " ,")) {
        size_t length = strcspn(at, " ,");
        char *name = ret[*ret_count];
        const char *reason;
        if (*ret_count == I3_THROUGH_MAX || length >= NAME_TEXT)
            return false;
        memcpy(name, at, length);
        name[length] = '\0';
        if (!labels_valid(name, &reason) || is_among(ret, *ret_count, name))
            return false;
        ++*ret_count;
        at += length;
    }
    return *ret_count > 0;
}

static bool through_valid(const char *value)
{
    char name[I3_THROUGH_MAX][NAME_TEXT];
    unsigned count;
    return i3_through_parse(value, name, &count);
}

#define THROUGH_ACCEPTED "names of hosts of this instance, behind commas, each once; at most 4"

const struct overlay_schema i3_member_schema[] = {
    {"id", "64 hexadecimal digits, of a public identifier",
     "the identifier of that host, instead of the one that is computed from its name", id_valid},
    {"through", THROUGH_ACCEPTED,
     "what is sent to that host passes these first, in this order; instead of the instance's",
     through_valid},
    {NULL, NULL, NULL, NULL}};

const struct overlay_schema i3_schema[] = {
    {"servers", "HOST:PORT or [IPV6-ADDRESS]:PORT, and more of them behind commas; at most 16",
     "servers to begin with; one that answers is enough", servers_valid},
    {"shortcut", "allow or deny",
     "whether neighbours may learn this host's address and send past the servers; deny unless "
     "given",
     shortcut_valid},
    {"names", "plain or keyed",
     "keyed: only who has the secret of the network can compute identifiers from names; plain "
     "unless given",
     names_valid},
    {"sample", "a number from 0 to 32",
     "identifiers that are looked up to find a server near this host; 8 unless given, 0: none",
     sample_valid},
    {"resample", "a span from 10s to 24h", "how often that is repeated; 5m unless given",
     resample_valid},
    {"anycast", "hexadecimal digits, an even number, at most 16",
     "the last part of identifiers: of several hosts with one name the one with the longest match "
     "is reached",
     suffix_valid},
    {"middlebox", "the name of a host of this instance",
     "everything sent to this host's private identifiers passes there first", host_valid},
    {"limit", "a number from 1 to 1000000",
     "packets a second that servers of ours pass on to this host's name; all unless given",
     limit_valid},
    {"through", THROUGH_ACCEPTED, "whatever this host sends passes these first, in this order",
     through_valid},
    {"id_from", "a text of at least 16 characters, which only this host knows",
     "the public identifier of this host is computed from it instead of from its name; others list "
     "it as `id` of a member",
     id_from_valid},
    {"mtu", "a number from 1280 to 65535", "MTU of the underlay; 1500 unless given", mtu_valid},
    {NULL, NULL, NULL, NULL}};

const char *i3_option(const struct overlay_settings *s, const char *key)
{
    for (unsigned i = 0; i < s->option_count; i++)
        if (!strcmp(s->options[i].key, key))
            return s->options[i].value;
    return NULL;
}

const char *i3_member_option(const struct overlay_settings *s, const char *host, const char *key)
{
    for (unsigned i = 0; i < s->member_count; i++) {
        const struct overlay_member *member = &s->members[i];
        if (strcmp(member->host, host))
            continue;
        for (unsigned k = 0; k < member->option_count; k++)
            if (!strcmp(member->options[k].key, key))
                return member->options[k].value;
    }
    return NULL;
}

static uint32_t option_number(const struct overlay_settings *s, const char *key, uint32_t otherwise)
{
    const char *value = i3_option(s, key);
    uint32_t result = otherwise;
    if (value)
        overlay_option_number(value, 0, LIMIT_MOST, &result);
    return result;
}

unsigned i3_settings_samples(const struct overlay_settings *s)
{
    return option_number(s, "sample", SAMPLES_DEFAULT);
}

instant i3_settings_resample(const struct overlay_settings *s)
{
    const char *value = i3_option(s, "resample");
    instant result = RESAMPLE;
    if (value)
        overlay_option_span(value, 10 * SECOND, 24 * HOUR, &result);
    return result;
}

static bool names_keyed(const struct overlay_settings *s)
{
    const char *names = i3_option(s, "names");
    return names && !strcmp(names, "keyed");
}

/* "gamma.lab.i3" where "gamma" is meant, alone or among others. */
static bool names_instance(const struct overlay_settings *s, const char *key)
{
    const char *value = i3_option(s, key);
    char suffix[NAME_TEXT + 1];
    snprintf(suffix, sizeof suffix, ".%s", s->instance);
    for (const char *at = value; at && (at = strstr(at, suffix)); at++)
        if (strchr(" ,", at[strlen(suffix)])) /* the end counts */
            return true;
    return false;
}

const char *i3_settings_fault(const struct overlay_settings *s)
{
    if (!i3_option(s, "servers"))
        return "an overlay of type i3 needs `options: {servers: \"HOST:PORT, HOST:PORT\"}`";
    if (names_keyed(s) && !s->name_key_count)
        return "`names: keyed` needs a secret of the network: give it one (`secret:`), or leave "
               "the option out";
    if (names_instance(s, "middlebox") || names_instance(s, "through"))
        return "`middlebox` and `through` name hosts of this instance, without the instance: "
               "`filter`, not `filter.planetlab.i3`";
    if (i3_option(s, "middlebox") && !strcmp(i3_option(s, "middlebox"), s->host))
        return "`middlebox` is another host of the instance, not this host itself";
    return NULL;
}

void i3_settings_read(struct i3 *m)
{
    const struct overlay_settings *s = &m->overlay.settings;
    const char *shortcut = i3_option(s, "shortcut"), *suffix = i3_option(s, "anycast"),
               *middlebox = i3_option(s, "middlebox");
    m->keyed = names_keyed(s);
    m->mtu = (uint16_t)option_number(s, "mtu", MTU_DEFAULT);
    m->limit = option_number(s, "limit", 0);
    m->suffix_size = 0;
    if (suffix)
        suffix_parse(suffix, m->suffix, &m->suffix_size);
    m->has_middlebox = middlebox;
    if (middlebox)
        i3_middlebox_id(m, middlebox, &m->middlebox);
    /* Who sends past the servers passes the middlebox too. */
    m->allow = shortcut && !strcmp(shortcut, "allow") && !middlebox;
}
