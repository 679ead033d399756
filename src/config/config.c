#include "config/config.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "config/load.h"

/* Reading goes in four steps: libyaml to a tree with positions (node.c), the tree against the
 * schema (shape.c), libcyaml to structs of texts (schema.c), texts to values and references
 * (load*.c).  The first complaint of any step is the error. */

/* What libcyaml says is kept as a last resort: after shape.c it should have nothing to say. */
__attribute__((format(printf, 3, 0))) static void cyaml_said(cyaml_log_t level, void *context,
                                                             const char *format, va_list args)
{
    struct config_error *error = context;
    if (!error->text[0]) {
        vsnprintf(error->text, sizeof error->text, format, args);
        error->text[strcspn(error->text, "\n")] = '\0';
    }
}

static const struct raw_config *raw_read(const char *text, size_t size, const cyaml_config_t *cyaml,
                                         struct config_error *error)
{
    void *raw = NULL;
    cyaml_err_t result =
        cyaml_load_data((const uint8_t *)text, size, cyaml, &config_schema, &raw, NULL);
    if (result != CYAML_OK || !raw) {
        error->where = (struct config_where){1, 1};
        config_fail(error, error->where, "unreadable: %s", cyaml_strerror(result));
        return NULL;
    }
    return raw;
}

static struct config *load(const struct raw_config *raw, const struct config_node *root,
                           const char *const *types, struct config_error *error)
{
    struct config *config = base_calloc(1, sizeof *config);
    config->file = base_strdup(error->file);
    struct load l = {raw, root, types, config, error};
    if (load_host(&l) && load_overlays(&l) && load_lists(&l))
        return config;
    config_free(config);
    return NULL;
}

struct config *config_parse(const char *text, size_t size, const char *file_name,
                            const char *const *types, struct config_error *ret_error)
{
    struct config *config = NULL;
    *ret_error = (struct config_error){.file = file_name};
    if (size > CONFIG_SIZE_MAX) {
        config_fail(ret_error, (struct config_where){1, 1}, "larger than %u KiB",
                    CONFIG_SIZE_MAX / 1024);
        return NULL;
    }
    struct config_node *root = config_node_read(text, size, ret_error);
    if (root && config_shape_check(root, ret_error)) {
        struct config_error said = {0};
        const cyaml_config_t cyaml = {.log_fn = cyaml_said,
                                      .log_ctx = &said,
                                      .mem_fn = cyaml_mem,
                                      .log_level = CYAML_LOG_ERROR,
                                      .flags = CYAML_CFG_NO_ALIAS};
        const struct raw_config *raw = raw_read(text, size, &cyaml, &said);
        if (raw)
            config = load(raw, root, types, ret_error);
        else
            config_fail(ret_error, said.where, "%s", said.text);
        cyaml_free(&cyaml, &config_schema, (void *)raw, 0);
    }
    config_node_free(root);
    return config;
}

const char *config_error_format(const struct config_error *error, char *out, size_t size)
{
    snprintf(out, size, "%s:%u:%u: %s", error->file, error->where.line, error->where.column,
             error->text);
    return out;
}

static void options_done(struct config_option *options, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(options[i].key);
        free(options[i].value);
    }
    free(options);
}

static void overlay_done(struct config_overlay *o)
{
    for (unsigned i = 0; i < o->member_count; i++) {
        for (unsigned j = 0; j < o->members[i].at_count; j++)
            free(o->members[i].at[j].host);
        free(o->members[i].at);
        options_done(o->members[i].options, o->members[i].option_count);
    }
    options_done(o->options, o->option_count);
    for (unsigned i = 0; i < o->secret_count; i++)
        free(o->secrets[i].text);
    free(o->members);
    free(o->listen);
    free(o->key.text);
    free(o->instance);
}

static void lists_done(struct config *c)
{
    for (unsigned i = 0; i < c->rule_count; i++) {
        free(c->rules[i].names);
        free(c->rules[i].via);
    }
    for (unsigned i = 0; i < c->belief_count; i++) {
        for (unsigned j = 0; j < c->beliefs[i].instance_count; j++)
            free(c->beliefs[i].instances[j]);
        free(c->beliefs[i].instances);
    }
    for (unsigned i = 0; i < c->forward_count; i++) {
        free(c->forwards[i].from);
        free(c->forwards[i].to);
    }
    for (unsigned i = 0; i < c->policy_count; i++) {
        free(c->policies[i].peer);
        free(c->policies[i].allow);
    }
    free(c->rules);
    free(c->beliefs);
    free(c->pins);
    free(c->forwards);
    free(c->policies);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (unsigned i = 0; i < config->overlay_count; i++)
        overlay_done(&config->overlays[i]);
    free(config->overlays);
    lists_done(config);
    free(config->dns.upstream);
    free(config->dns.suffix);
    free(config->tun.name);
    free(config->i3_server.id);
    free(config->i3_server.secret.text);
    free(config->state.text);
    free(config->runtime.text);
    free(config->control.text);
    free(config->key.text);
    free(config->group);
    free(config->name);
    free(config->file);
    free(config);
}
