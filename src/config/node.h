/* The text of a configuration file as a tree of nodes that know their line and column.
 *
 * libcyaml fills the structs but tells positions only in a log text, and knows no "one or many";
 * this tree is what errors point into.  Private to config/. */
#ifndef OCALA_CONFIG_NODE_H
#define OCALA_CONFIG_NODE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

#define CONFIG_DEPTH_MAX  16
#define CONFIG_NODES_MAX  65536
#define CONFIG_KEYS_MAX   256 /* of one mapping */
#define CONFIG_KEY_LENGTH 128

enum config_node_kind { CONFIG_SCALAR, CONFIG_SEQUENCE, CONFIG_MAPPING };

struct config_node {
    enum config_node_kind kind;
    bool empty; /* a scalar that is nothing at all: `key:` */
    char *text; /* of a scalar; never with control characters */
    char *key;  /* when it stands in a mapping */
    struct config_where where, key_where;
    struct config_node *first, *last, *next; /* children, sibling */
    unsigned count;                          /* children */
};

/* The only document of the text, or NULL and *error. */
struct config_node *config_node_read(const char *text, size_t size, struct config_error *error);
void config_node_free(struct config_node *node); /* accepts NULL */

/* The value of a key of a mapping, an item of a sequence; NULL when there is none. */
const struct config_node *config_node_child(const struct config_node *node, const char *key);
const struct config_node *config_node_item(const struct config_node *node, unsigned index);

/* Fills *error (the first one stays) and returns false. */
bool config_fail(struct config_error *error, struct config_where where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
