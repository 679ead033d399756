/* What a scenario says about a machine, and the configuration file that it becomes. */
#ifndef OCALA_SIM_CONFIG_H
#define OCALA_SIM_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "host/host.h"

#define SIM_PORT     7400
#define SIM_LABEL    32
#define SIM_OVERLAYS 16

/* Lists of the configuration that scenarios add to, and other lines as they are. */
enum sim_section {
    SIM_RULES,
    SIM_BELIEVE,
    SIM_FORWARD,
    SIM_PINS,
    SIM_POLICY,
    SIM_TIMERS,
    SIM_LINES,
    SIM_SECTIONS
};

/* What a machine's configuration says about one of its instances. */
struct sim_about {
    char instance[64];
    char *options; /* lines of YAML, or NULL                                        */
    char *knows;   /* patterns of machines that are listed as members; NULL: all   */
    struct sim_about *next;
};

struct sim_settings {
    char *section[SIM_SECTIONS];
    struct sim_about *about;
    /* Secrets that differ from what the other members have. */
    struct {
        char instance[64], label[SIM_LABEL];
    } secret[SIM_OVERLAYS];
    unsigned secrets;
};

void sim_settings_done(struct sim_settings *s);
/* Adds a line (copied) to a section. */
void sim_settings_add(struct sim_settings *s, enum sim_section section, const char *line);
/* Empties the section of that name in the configuration; false: there is none. */
bool sim_settings_clear(struct sim_settings *s, const char *section);
/* From now on this machine's secret for the instance is the one called `label`, or two of them with
 * a comma; the members' is called as the instance. */
bool sim_settings_secret(struct sim_settings *s, const char *instance, const char *label);

/* An option of the instance. */
void sim_settings_option(struct sim_settings *s, const char *instance, const char *key,
                         const char *value);
/* Only these machines are listed as members of the instance. */
void sim_settings_knows(struct sim_settings *s, const char *instance, const char *patterns);

struct sim_host;
/* The configuration file; the caller frees it. */
char *sim_config_text(const struct sim_host *h);
/* Identity and secrets for a parsed configuration; the caller frees them. */
struct host_overlay_keys *sim_config_keys(const struct sim_host *h, const struct config *c);

#endif
