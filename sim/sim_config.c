/* Scenario to YAML: the simulator has no way round the configuration file. */
#include "sim/sim_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "sim/sim_host.h"
#include "sim/sim_script.h"

static const char *const section_key[SIM_SECTIONS] = {
    [SIM_RULES] = "rules", [SIM_BELIEVE] = "believe", [SIM_FORWARD] = "forward",
    [SIM_PINS] = "pins",   [SIM_POLICY] = "policy",   [SIM_TIMERS] = "timers"};

void sim_settings_done(struct sim_settings *s)
{
    for (unsigned i = 0; i < SIM_SECTIONS; i++)
        free(s->section[i]);
    while (s->about) {
        struct sim_about *a = s->about;
        s->about = a->next;
        free(a->options);
        free(a->knows);
        free(a);
    }
}

/* NULL: nothing was said. */
static struct sim_about *about(const struct sim_settings *s, const char *instance)
{
    struct sim_about *a = s->about;
    while (a && strcmp(a->instance, instance))
        a = a->next;
    return a;
}

static struct sim_about *about_make(struct sim_settings *s, const char *instance)
{
    struct sim_about *a = about(s, instance);
    if (a)
        return a;
    a = base_calloc(1, sizeof *a);
    snprintf(a->instance, sizeof a->instance, "%s", instance);
    a->next = s->about;
    return s->about = a;
}

void sim_settings_option(struct sim_settings *s, const char *instance, const char *key,
                         const char *value)
{
    struct sim_about *a = about_make(s, instance);
    size_t before = a->options ? strlen(a->options) : 0;
    size_t room = before + strlen(key) + strlen(value) + 16;
    a->options = base_realloc(a->options, room);
    snprintf(a->options + before, room - before, "      %s: %s\n", key, value);
}

void sim_settings_knows(struct sim_settings *s, const char *instance, const char *patterns)
{
    struct sim_about *a = about_make(s, instance);
    free(a->knows);
    a->knows = base_strdup(patterns);
}

void sim_settings_add(struct sim_settings *s, enum sim_section section, const char *line)
{
    size_t before = s->section[section] ? strlen(s->section[section]) : 0, more = strlen(line);
    char *text = s->section[section] = base_realloc(s->section[section], before + more + 2);
    memcpy(text + before, line, more);
    memcpy(text + before + more, "\n", 2);
}

bool sim_settings_clear(struct sim_settings *s, const char *section)
{
    for (unsigned i = 0; i < SIM_SECTIONS; i++)
        if (!strcmp(section_key[i] ? section_key[i] : "yaml", section)) {
            free(s->section[i]);
            s->section[i] = NULL;
            return true;
        }
    return false;
}

bool sim_settings_secret(struct sim_settings *s, const char *instance, const char *label)
{
    unsigned i = 0;
    while (i < s->secrets && strcmp(s->secret[i].instance, instance))
        i++;
    if (i == SIM_OVERLAYS)
        return false;
    s->secrets += i == s->secrets;
    snprintf(s->secret[i].instance, sizeof s->secret[i].instance, "%s", instance);
    snprintf(s->secret[i].label, sizeof s->secret[i].label, "%s", label);
    return true;
}

/* ---- text ---- */

static bool first_of_its_name(const struct sim_instance *i, unsigned index)
{
    for (unsigned before = 0; before < index; before++)
        if (!strcmp(i->member[before].alias, i->member[index].alias))
            return false;
    return true;
}

/* Members are dialled at SIM_PORT + the place of the instance in their own configuration. */
static void number_ports(struct sim *s)
{
    if (s->numbered == s->members)
        return;
    unsigned *taken = base_calloc(s->hosts, sizeof *taken);
    unsigned *seen = base_calloc(s->hosts, sizeof *seen); /* instance, counted from 1 */
    unsigned number = 0;
    for (struct sim_instance *i = s->instances; i; i = i->next) {
        number++;
        for (unsigned m = 0; m < i->members; m++) {
            unsigned h = i->member[m].host->index;
            taken[h] += seen[h] != number;
            seen[h] = number;
            i->member[m].port = (uint16_t)(SIM_PORT + taken[h] - 1);
            i->member[m].hidden = !first_of_its_name(i, m);
        }
    }
    free(taken);
    free(seen);
    s->numbered = s->members;
}

static void add_member(FILE *f, const struct sim_instance *i, const struct sim_member *m)
{
    const struct sim_port *port = sim_port_find(&m->host->node, i->network);
    const char *separator = "";
    fprintf(f, "      - {name: %s, at: [", m->alias);
    for (unsigned family = 0; port && family < 2; family++) {
        char text[ENDPOINT_TEXT];
        struct endpoint e = {.ip = port->home[family], .port = m->port};
        if (!e.ip.family)
            continue;
        fprintf(f, "%s\"%s\"", separator, endpoint_format(&e, text));
        separator = ", ";
    }
    fprintf(f, "]}\n");
}

static const char *secret_label(const struct sim_host *h, const char *instance)
{
    for (unsigned i = 0; i < h->settings.secrets; i++)
        if (!strcmp(h->settings.secret[i].instance, instance))
            return h->settings.secret[i].label;
    return instance;
}

static void add_overlay(FILE *f, const struct sim_host *h, const struct sim_instance *i,
                        const struct sim_member *self)
{
    fprintf(f, "  - instance: %s\n    name: %s\n", i->name, self->alias);
    fprintf(f, "    secrets: [%s]\n", secret_label(h, i->name));
    fprintf(f, "    listen: \"[::]:%u\"\n", self->port);
    const struct sim_about *a = about(&h->settings, i->name);
    bool any = false;
    if (a && a->options)
        fprintf(f, "    options:\n%s", a->options);
    for (unsigned m = 0; m < i->members; m++) {
        bool reachable = sim_port_find(&i->member[m].host->node, i->network);
        if (i->member[m].host == h || !strcmp(i->member[m].alias, self->alias) || !reachable ||
            i->member[m].hidden)
            continue; /* who is not on the network dials us */
        if (a && a->knows && !sim_list_holds(a->knows, i->member[m].host->node.name))
            continue;
        if (!any)
            fprintf(f, "    members:\n");
        any = true;
        add_member(f, i, &i->member[m]);
    }
}

char *sim_config_text(const struct sim_host *h)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    require(f);
    number_ports(h->sim);
    fprintf(f, "name: %s\noverlays:\n", h->node.name);
    for (const struct sim_instance *i = h->sim->instances; i; i = i->next)
        for (unsigned m = 0; m < i->members; m++)
            if (i->member[m].host == h) {
                add_overlay(f, h, i, &i->member[m]);
                break;
            }
    for (unsigned s = 0; s < SIM_SECTIONS; s++) {
        if (!h->settings.section[s])
            continue;
        if (section_key[s])
            fprintf(f, "%s:\n", section_key[s]);
        fprintf(f, "%s", h->settings.section[s]);
    }
    require(!fclose(f) && text);
    return text;
}

/* ---- keys ---- */

/* A secret is as good as its file's name: the same name, the same secret. */
static void secret_of(const struct sim_host *h, const char *file, uint8_t ret[32])
{
    char purpose[160];
    struct seeded stream;
    const char *base = strrchr(file, '/');
    snprintf(purpose, sizeof purpose, "secret %.128s", base ? base + 1 : file);
    sim_world_stream(&h->sim->world, purpose, &stream);
    entropy_fill(&stream.entropy, ret, 32);
}

struct host_overlay_keys *sim_config_keys(const struct sim_host *h, const struct config *c)
{
    struct host_overlay_keys *keys = base_calloc(c->overlay_count, sizeof *keys);
    for (unsigned i = 0; i < c->overlay_count; i++) {
        memcpy(keys[i].seed, h->seed, sizeof keys[i].seed);
        keys[i].secret_count = c->overlays[i].secret_count;
        for (unsigned k = 0; k < keys[i].secret_count; k++)
            secret_of(h, c->overlays[i].secrets[k].text, keys[i].secret[k]);
    }
    return keys;
}
