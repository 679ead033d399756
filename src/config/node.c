#include "config/node.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/check.h"

/* libyaml's events are folded into a tree with a stack of open collections.  Everything that the
 * configuration has no use for is refused here, where its position is known: anchors and aliases (a
 * short file could mean a huge tree), tags, several documents, keys that are not plain text, keys
 * given twice, control characters.  Depth, nodes and keys are limited, so the work is bounded by
 * the size of the text. */

struct builder {
    yaml_parser_t parser;
    struct config_error *error;
    struct config_node *root;
    struct config_node *open[CONFIG_DEPTH_MAX];
    unsigned depth, nodes;
    char *key; /* of the value to come */
    struct config_where key_where;
};

bool config_fail(struct config_error *error, struct config_where where, const char *format, ...)
{
    if (error->text[0])
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    error->where = where;
    return false;
}

static struct config_where where_of(const yaml_mark_t *mark)
{
    return (struct config_where){(unsigned)mark->line + 1, (unsigned)mark->column + 1};
}

void config_node_free(struct config_node *node)
{
    while (node) {
        struct config_node *next = node->next;
        config_node_free(node->first);
        free(node->text);
        free(node->key);
        free(node);
        node = next;
    }
}

const struct config_node *config_node_child(const struct config_node *node, const char *key)
{
    if (!node || node->kind != CONFIG_MAPPING)
        return NULL;
    for (const struct config_node *n = node->first; n; n = n->next) {
        if (!strcmp(n->key, key))
            return n;
    }
    return NULL;
}

const struct config_node *config_node_item(const struct config_node *node, unsigned index)
{
    const struct config_node *n = node && node->kind == CONFIG_SEQUENCE ? node->first : NULL;
    while (n && index--)
        n = n->next;
    return n;
}

/* Control characters (also those of Latin-1) have no place in names, paths and numbers, and would
 * reach terminals by way of error messages.  Line separators, the byte order mark and what is no
 * character at all can be written as escapes, but not be printed again. */
static bool text_is_clean(const unsigned char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned long character = text[i];
        if (character >= 0xE0 && character < 0xF0 && i + 2 < length)
            character = character << 16 | (unsigned long)text[i + 1] << 8 | text[i + 2];
        else if (character >= 0xC0 && character < 0xE0 && i + 1 < length)
            character = character << 8 | text[i + 1];
        if (character < 0x20 || character == 0x7F || (character >= 0xC280 && character < 0xC2A0) ||
            character == 0xE280A8 || character == 0xE280A9 || character == 0xEFBBBF ||
            character == 0xEFBFBE || character == 0xEFBFBF)
            return false;
    }
    return true;
}

static struct config_node *node_new(struct builder *b, enum config_node_kind kind,
                                    const yaml_event_t *event)
{
    struct config_node *n = base_calloc(1, sizeof *n);
    n->kind = kind;
    n->where = where_of(&event->start_mark);
    n->key = b->key;
    n->key_where = b->key_where;
    b->key = NULL;
    struct config_node *parent = b->depth ? b->open[b->depth - 1] : NULL;
    if (!parent) {
        b->root = n;
        return n;
    }
    if (parent->last)
        parent->last->next = n;
    else
        parent->first = n;
    parent->last = n;
    parent->count++;
    return n;
}

static bool key_add(struct builder *b, const struct config_node *mapping, const char *key,
                    struct config_where where)
{
    const struct config_node *before = config_node_child(mapping, key);
    if (before)
        return config_fail(b->error, where, "key '%.60s' is given twice: already in line %u", key,
                           before->key_where.line);
    if (strlen(key) > CONFIG_KEY_LENGTH)
        return config_fail(b->error, where, "a key is longer than %u characters",
                           CONFIG_KEY_LENGTH);
    if (mapping->count == CONFIG_KEYS_MAX)
        return config_fail(b->error, where, "more than %u keys in one place", CONFIG_KEYS_MAX);
    b->key = base_strdup(key);
    b->key_where = where;
    return true;
}

/* In a mapping, and the next scalar is a key? */
static bool key_expected(const struct builder *b)
{
    return b->depth && b->open[b->depth - 1]->kind == CONFIG_MAPPING && !b->key;
}

static bool scalar_add(struct builder *b, const yaml_event_t *event)
{
    struct config_where where = where_of(&event->start_mark);
    const char *text = (const char *)event->data.scalar.value;
    if (event->data.scalar.anchor || event->data.scalar.tag)
        return config_fail(b->error, where, "anchors (&) and tags (!) are not used in this file");
    if (!text_is_clean(event->data.scalar.value, event->data.scalar.length))
        return config_fail(b->error, where,
                           "the text holds a line break or control character; write plain text in "
                           "one line");
    if (key_expected(b))
        return key_add(b, b->open[b->depth - 1], text, where);
    struct config_node *n = node_new(b, CONFIG_SCALAR, event);
    n->text = base_strdup(text);
    n->empty = !text[0] && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return true;
}

static bool collection_add(struct builder *b, enum config_node_kind kind, const yaml_event_t *event,
                           bool decorated)
{
    struct config_where where = where_of(&event->start_mark);
    if (decorated)
        return config_fail(b->error, where, "anchors (&) and tags (!) are not used in this file");
    if (key_expected(b))
        return config_fail(b->error, where, "a key must be plain text, as in `key: value`");
    if (b->depth == CONFIG_DEPTH_MAX)
        return config_fail(b->error, where, "nested more than %u deep", CONFIG_DEPTH_MAX);
    struct config_node *n = node_new(b, kind, event);
    b->open[b->depth++] = n;
    return true;
}

static bool event_add(struct builder *b, const yaml_event_t *event)
{
    if (++b->nodes > CONFIG_NODES_MAX)
        return config_fail(b->error, where_of(&event->start_mark), "more than %u values",
                           CONFIG_NODES_MAX);
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return scalar_add(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return collection_add(b, CONFIG_SEQUENCE, event,
                              event->data.sequence_start.anchor || event->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        return collection_add(b, CONFIG_MAPPING, event,
                              event->data.mapping_start.anchor || event->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return true;
    case YAML_ALIAS_EVENT:
        return config_fail(b->error, where_of(&event->start_mark),
                           "aliases (*) are not used in this file; a text that begins with * needs "
                           "quotes: \"*.west.ip\"");
    case YAML_DOCUMENT_START_EVENT:
        if (b->root)
            return config_fail(b->error, where_of(&event->start_mark),
                               "a second document (---) begins here; one file is one document");
        return true;
    default:
        return true;
    }
}

/* What libyaml says about text that is not YAML, with its own position (reader errors know only a
 * byte offset). */
static bool fail_syntax(struct builder *b, const char *text, size_t size)
{
    const yaml_parser_t *p = &b->parser;
    struct config_where where = where_of(&p->problem_mark);
    if (p->error == YAML_READER_ERROR) {
        where = (struct config_where){1, 1};
        for (size_t i = 0; i < size && i < p->problem_offset; i++) {
            where.column++;
            if (text[i] == '\n')
                where = (struct config_where){where.line + 1, 1};
        }
        return config_fail(b->error, where, "not valid UTF-8 text (%s)",
                           p->problem ? p->problem : "unreadable");
    }
    const char *problem = p->problem ? p->problem : "unreadable";
    if (strstr(problem, "cannot start any token"))
        return config_fail(b->error, where,
                           "not valid YAML: a value cannot begin with this character; indent with "
                           "spaces, not tabs, and quote texts that begin with one of %% @ ` * & !");
    if (p->context && strstr(p->context, "alias"))
        return config_fail(b->error, where_of(&p->context_mark),
                           "a text that begins with * needs quotes: \"*.west.ip\"");
    if (p->context)
        return config_fail(b->error, where, "not valid YAML: %s, %s (from line %u)", problem,
                           p->context, (unsigned)p->context_mark.line + 1);
    return config_fail(b->error, where, "not valid YAML: %s", problem);
}

struct config_node *config_node_read(const char *text, size_t size, struct config_error *error)
{
    struct builder b = {.error = error};
    require(yaml_parser_initialize(&b.parser));
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, size);
    bool good = true, more = true;
    while (good && more) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b.parser, &event)) {
            good = fail_syntax(&b, text, size);
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        good = event_add(&b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&b.parser);
    free(b.key);
    if (good && b.root)
        return b.root;
    if (good)
        config_fail(error, (struct config_where){1, 1},
                    "the file is empty; at least `name:` and `overlays:` are needed");
    config_node_free(b.root);
    return NULL;
}
