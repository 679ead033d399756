/* From what libcyaml read to `struct config`.  Private to config/. */
#ifndef OCALA_CONFIG_LOAD_H
#define OCALA_CONFIG_LOAD_H

#include "config/config.h"
#include "config/node.h"
#include "config/schema.h"
#include "config/value.h"

struct load {
    const struct raw_config *raw;
    const struct config_node *root;
    const char *const *types; /* overlay types of this build, ended by NULL */
    struct config *config;
    struct config_error *error;
};

/* A text of `node` (a mapping) under `key`, as libcyaml read it, with its position. */
struct config_value load_value(const struct load *l, const struct config_node *node,
                               const char *key, const char *text);
/* One text of a "one or many". */
struct config_value load_item(const struct load *l, const char *key,
                              const struct config_node *item);
/* Walks a "one or many": the first text (NULL: none), the next. */
const struct config_node *load_first(const struct config_node *texts);
const struct config_node *load_next(const struct config_node *texts,
                                    const struct config_node *item);
unsigned load_count(const struct config_node *texts);
/* A file name, taken from the configuration file's folder unless it is absolute. */
void load_path(const struct load *l, const struct config_value *v, struct config_text *ret);

/* The parts, in this order; false and *error when something is wrong. */
bool load_host(struct load *l);      /* name, key, folders, dns, handles, tun, workers, timers */
bool load_i3_server(struct load *l); /* load_i3.c */
bool load_overlays(struct load *l);  /* load_overlay.c */
bool load_lists(struct load *l);     /* load_lists.c: rules, believe, pins, forward, policy */

#endif
