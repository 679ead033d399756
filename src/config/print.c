#include "config/config.h"

#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "config/value.h"
#include "crypto/crypto.h"

/* The configuration as understood, in the file's own language.  Texts are quoted always (no control
 * character can be in them, see node.c), so that reading back gives the same texts. */

static void add_quoted(struct text *t, const char *text)
{
    text_add(t, "'");
    for (const char *p = text; *p; p++)
        text_add(t, *p == '\'' ? "''" : "%c", *p);
    text_add(t, "'");
}

static void add_line(struct text *t, const char *before, const char *text)
{
    text_add(t, "%s: ", before);
    add_quoted(t, text);
    text_add(t, "\n");
}

static void add_endpoint(struct text *t, const struct endpoint *e)
{
    char text[ENDPOINT_TEXT];
    add_quoted(t, endpoint_format(e, text));
}

static void add_prefix(struct text *t, const char *before, const struct ip_prefix *p)
{
    char text[ADDRESS_TEXT];
    if (p->ip.family)
        text_add(t, "%s: '%s/%u'\n", before, ip_address_format(&p->ip, text), p->length);
}

static void add_key(struct text *t, const uint8_t key[CONFIG_KEY])
{
    char text[CRYPTO_KEY_TEXT];
    text_add(t, "'%s'", crypto_key_format(key, text));
}

static void add_options(struct text *t, const char *indent, const struct config_option *options,
                        unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!i)
            text_add(t, "%soptions:\n", indent);
        text_add(t, "%s  ", indent);
        add_quoted(t, options[i].key);
        add_line(t, "", options[i].value);
    }
}

static void add_member(struct text *t, const struct config_member *m)
{
    text_add(t, "      - name: '%s'\n", m->name.text);
    for (unsigned i = 0; i < m->at_count; i++) {
        const struct config_place *place = &m->at[i];
        text_add(t, "%s", i ? ", " : "        at: [");
        if (place->host)
            text_add(t, "'%s:%u'", place->host, place->endpoint.port);
        else
            add_endpoint(t, &place->endpoint);
    }
    text_add(t, "%s", m->at_count ? "]\n" : "");
    if (m->has_key) {
        text_add(t, "        key: ");
        add_key(t, m->key);
        text_add(t, "\n");
    }
    add_options(t, "        ", m->options, m->option_count);
}

static void add_overlay(struct text *t, const struct config_overlay *o)
{
    text_add(t, "  - instance: '%s'\n    name: '%s'\n", o->instance, o->self.text);
    add_line(t, "    key", o->key.text);
    text_add(t, "    trust: %s\n", o->trust == CONFIG_TRUST_PSK ? "psk" : "pin");
    for (unsigned i = 0; i < o->secret_count; i++) {
        text_add(t, "%s", i ? ", " : "    secrets: [");
        add_quoted(t, o->secrets[i].text);
    }
    text_add(t, "%s", o->secret_count ? "]\n" : "");
    for (unsigned i = 0; i < o->listen_count; i++) {
        text_add(t, "%s", i ? ", " : "    listen: [");
        add_endpoint(t, &o->listen[i]);
    }
    text_add(t, "]\n");
    for (unsigned i = 0; i < o->member_count; i++) {
        text_add(t, "%s", i ? "" : "    members:\n");
        add_member(t, &o->members[i]);
    }
    add_options(t, "    ", o->options, o->option_count);
}

static void add_who(struct text *t, const struct config *c)
{
    for (unsigned i = 0; i < c->rule_count; i++) {
        text_add(t, "%s  - names: '%s'\n    via: [", i ? "" : "rules:\n", c->rules[i].names);
        for (unsigned j = 0; j < c->rules[i].via_count; j++)
            text_add(t, "%s'%s'", j ? ", " : "", c->rules[i].via[j].text);
        text_add(t, "]\n");
    }
    for (unsigned i = 0; i < c->belief_count; i++) {
        const struct config_belief *b = &c->beliefs[i];
        text_add(t, "%s  - gateway: '%s'\n    instances: [", i ? "" : "believe:\n",
                 b->gateway.text);
        for (unsigned j = 0; j < b->instance_count; j++)
            text_add(t, "%s'%s'", j ? ", " : "", b->instances[j]);
        text_add(t, "]\n");
    }
    for (unsigned i = 0; i < c->pin_count; i++) {
        text_add(t, "%s  - name: '%s'\n    key: ", i ? "" : "pins:\n", c->pins[i].name.text);
        add_key(t, c->pins[i].key);
        text_add(t, "\n");
    }
    for (unsigned i = 0; i < c->forward_count; i++)
        text_add(t, "%s  - from: '%s'\n    to: '%s'\n", i ? "" : "forward:\n", c->forwards[i].from,
                 c->forwards[i].to);
}

static void add_service(struct text *t, const struct config_service *s)
{
    if (s->protocol == CONFIG_ANY || s->protocol == CONFIG_ICMP) {
        text_add(t, "%s", s->protocol == CONFIG_ANY ? "any" : "icmp");
        return;
    }
    text_add(t, "%s", s->protocol == CONFIG_TCP ? "tcp" : "udp");
    if (s->low == s->high)
        text_add(t, "/%u", s->low);
    else if (s->low || s->high != UINT16_MAX)
        text_add(t, "/%u-%u", s->low, s->high);
}

static void add_policies(struct text *t, const struct config *c)
{
    for (unsigned i = 0; i < c->policy_count; i++) {
        const struct config_policy *p = &c->policies[i];
        text_add(t, "%s  - peer: '%s'\n    allow: [", i ? "" : "policy:\n", p->peer);
        for (unsigned j = 0; j < p->allow_count; j++) {
            text_add(t, "%s", j ? ", " : "");
            add_service(t, &p->allow[j]);
        }
        text_add(t, "]\n");
    }
}

static void add_i3_server(struct text *t, const struct config_i3_server *s)
{
    if (!s->on)
        return;
    text_add(t, "i3_server:\n  listen: [");
    add_endpoint(t, &s->listen);
    if (s->also.ip.family) {
        text_add(t, ", ");
        add_endpoint(t, &s->also);
    }
    text_add(t, "]\n  ring: %u\n  seeds: [", s->ring.port);
    for (unsigned i = 0; i < s->seed_count; i++) {
        text_add(t, "%s", i ? ", " : "");
        add_endpoint(t, &s->seeds[i]);
    }
    text_add(t, "]\n");
    if (s->id)
        add_line(t, "  id", s->id);
    if (s->secret.text)
        add_line(t, "  secret", s->secret.text);
    text_add(t, "  triggers: %u\n  per_client: %u\n", s->triggers, s->per_client);
    text_add(t, "  requests: %u\n  per_address: %u\n", s->requests, s->per_address);
}

static void add_host(struct text *t, const struct config *c)
{
    char text[CONFIG_DURATION_TEXT];
    text_add(t, "dns:\n  mode: %s\n  listen: ", config_dns_mode_word(c->dns.mode));
    add_endpoint(t, &c->dns.listen);
    text_add(t, "\n  upstream: [");
    for (unsigned i = 0; i < c->dns.upstream_count; i++) {
        text_add(t, "%s", i ? ", " : "");
        add_endpoint(t, &c->dns.upstream[i]);
    }
    text_add(t, "]\n");
    if (c->dns.suffix)
        add_line(t, "  suffix", c->dns.suffix);
    text_add(t, "  ttl: %u\nhandles:\n", c->dns.ttl_s);
    add_prefix(t, "  ipv4", &c->handles.ipv4);
    add_prefix(t, "  ipv6", &c->handles.ipv6);
    text_add(t, "  per_user: %u\n", c->handles.per_user);
    text_add(t, "tun:\n  name: '%s'\n  mtu: %u\n", c->tun.name, c->tun.mtu);
    if (c->workers)
        text_add(t, "workers: %u\n", c->workers);
    else
        text_add(t, "workers: auto\n");
    text_add(t, "timers:\n");
#define ADD_TIMER(name, standard, least, most, what)                                               \
    text_add(t, "  " #name ": %s\n", config_duration_format(c->timers.name, text));
    CONFIG_TIMERS(ADD_TIMER)
#undef ADD_TIMER
    add_i3_server(t, &c->i3_server);
    add_line(t, "state", c->state.text);
    add_line(t, "runtime", c->runtime.text);
    add_line(t, "control", c->control.text);
    add_line(t, "group", c->group);
}

char *config_print(const struct config *config)
{
    for (size_t size = 1 << 14;; size *= 2) {
        char *buffer = base_calloc(1, size);
        struct text t;
        text_begin(&t, buffer, size);
        add_line(&t, "name", config->name);
        add_line(&t, "key", config->key.text);
        text_add(&t, "overlays:\n");
        for (unsigned i = 0; i < config->overlay_count; i++)
            add_overlay(&t, &config->overlays[i]);
        add_who(&t, config);
        add_policies(&t, config);
        add_host(&t, config);
        if (!t.cut)
            return buffer;
        free(buffer);
    }
}
