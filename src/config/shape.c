#include "config/schema.h"

#include <string.h>

#include "base/text.h"
#include "config/node.h"

/* libcyaml checks the same, but its messages say only what was found.  This walk over tree and
 * schema runs first and says what would be right: the keys of the place, the nearest one, the kind
 * of value. After it libcyaml has nothing left to refuse. */

#define KEY_LENGTH_MAX 63

/* Edits (insert, delete, replace) that turn a into b; long texts count as far away. */
static unsigned edit_distance(const char *a, const char *b)
{
    size_t a_length = strlen(a), b_length = strlen(b);
    unsigned row[KEY_LENGTH_MAX + 1];
    if (a_length > KEY_LENGTH_MAX || b_length > KEY_LENGTH_MAX)
        return KEY_LENGTH_MAX;
    for (unsigned j = 0; j <= b_length; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b_length; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b_length];
}

static bool fail_unknown_key(const struct config_node *n, const cyaml_schema_field_t *fields,
                             struct config_error *error)
{
    char list[256];
    struct text t;
    const char *near = NULL;
    unsigned least = 3; /* two edits are a slip of the finger */
    text_begin(&t, list, sizeof list);
    for (const cyaml_schema_field_t *f = fields; f->key; f++) {
        unsigned distance = edit_distance(n->key, f->key);
        if (distance < least && distance < strlen(f->key)) {
            least = distance;
            near = f->key;
        }
        text_add(&t, "%s%s", f == fields ? "" : ", ", f->key);
    }
    return config_fail(error, n->key_where, "unknown key '%.60s'%s%s%s keys here: %s", n->key,
                       near ? "; did you mean '" : ";", near ? near : "", near ? "'?" : "", list);
}

/* "'mtu'", or what an item of a list is called. */
static const char *title(const struct config_node *n, char out[72])
{
    struct text t;
    text_begin(&t, out, 72);
    if (n->key)
        text_add(&t, "'%.60s'", n->key);
    else
        text_add(&t, "%s", "this item");
    return out;
}

static bool fail_kind(const struct config_node *n, const char *wanted, struct config_error *error)
{
    static const char *const found[] = {
        [CONFIG_SCALAR] = "plain text", [CONFIG_SEQUENCE] = "a list", [CONFIG_MAPPING] = "a block"};
    char name[72];
    if (n->empty)
        return config_fail(error, n->key ? n->key_where : n->where,
                           "%s has no value; leave it out, or give it %s", title(n, name), wanted);
    return config_fail(error, n->where, "%s must be %s, not %s", title(n, name), wanted,
                       found[n->kind]);
}

static bool check_text(const struct config_node *n, struct config_error *error)
{
    if (n->kind != CONFIG_SCALAR || n->empty)
        return fail_kind(n, "a plain text", error);
    if (!n->text[0]) {
        char name[72];
        return config_fail(error, n->where, "%s is an empty text", title(n, name));
    }
    return true;
}

static bool check_number(const struct config_node *n, struct config_error *error)
{
    if (n->kind != CONFIG_SCALAR || n->empty)
        return fail_kind(n, "a whole number", error);
    size_t digits = strspn(n->text, "0123456789");
    bool good = digits && !n->text[digits] && digits <= 9 && (digits == 1 || n->text[0] != '0');
    if (!good)
        return config_fail(error, n->where, "'%.60s' must be a whole number, not '%.60s'", n->key,
                           n->text);
    return true;
}

static bool check_loose(const struct config_node *n, struct config_error *error)
{
    if (config_schema_loose(n->key) == CONFIG_LOOSE_OPTIONS) {
        if (n->kind != CONFIG_MAPPING)
            return fail_kind(n, "a block of `key: value` lines", error);
    } else if (n->kind == CONFIG_MAPPING || n->empty) {
        return fail_kind(n, "a plain text or a list of them", error);
    } else if (n->kind == CONFIG_SCALAR) {
        return check_text(n, error);
    }
    if (n->count > CONFIG_TEXTS_MAX)
        return config_fail(error, n->where, "'%s' has %u entries, at most %u are possible", n->key,
                           n->count, CONFIG_TEXTS_MAX);
    for (const struct config_node *item = n->first; item; item = item->next) {
        if (!check_text(item, error))
            return false;
    }
    return true;
}

static bool check_value(const struct config_node *n, const cyaml_schema_value_t *value,
                        struct config_error *error);

static bool check_mapping(const struct config_node *n, const cyaml_schema_field_t *fields,
                          struct config_error *error)
{
    char name[72];
    if (n->kind != CONFIG_MAPPING)
        return fail_kind(n, "a block of `key: value` lines", error);
    for (const struct config_node *child = n->first; child; child = child->next) {
        const cyaml_schema_field_t *f = fields;
        while (f->key && strcmp(f->key, child->key))
            f++;
        if (!f->key)
            return fail_unknown_key(child, fields, error);
        if (!check_value(child, &f->value, error))
            return false;
    }
    bool whole = fields == config_schema.mapping.fields;
    for (const cyaml_schema_field_t *f = fields; f->key; f++) {
        if (!(f->value.flags & CYAML_FLAG_OPTIONAL) && !config_node_child(n, f->key))
            return config_fail(error, n->where, "the key '%s' is missing in %s", f->key,
                               whole ? "this file" : title(n, name));
    }
    return true;
}

static bool check_sequence(const struct config_node *n, const cyaml_schema_value_t *value,
                           struct config_error *error)
{
    if (n->kind != CONFIG_SEQUENCE)
        return fail_kind(n, "a list (lines that begin with `- `)", error);
    if (n->count > value->sequence.max)
        return config_fail(error, n->where, "'%s' has %u entries, at most %u are possible", n->key,
                           n->count, (unsigned)value->sequence.max);
    for (const struct config_node *item = n->first; item; item = item->next) {
        if (!check_value(item, value->sequence.entry, error))
            return false;
    }
    return true;
}

static bool check_value(const struct config_node *n, const cyaml_schema_value_t *value,
                        struct config_error *error)
{
    switch (value->type) {
    case CYAML_MAPPING:
        return check_mapping(n, value->mapping.fields, error);
    case CYAML_SEQUENCE:
        return check_sequence(n, value, error);
    case CYAML_UINT:
        return check_number(n, error);
    case CYAML_IGNORE:
        return check_loose(n, error);
    default:
        return check_text(n, error);
    }
}

bool config_shape_check(const struct config_node *root, struct config_error *error)
{
    return check_value(root, &config_schema, error);
}
