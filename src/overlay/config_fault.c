/* What only an overlay's type can say about its section of the configuration: how many endpoints it listens on, which
 * options there are.  One check for `ocala config check`, the start and a reload. */
#include "overlay/overlay.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "config/config.h"

static bool refuse(struct config_error *ret, struct config_where where, const char *reason)
{
    ret->where = where;
    if (reason != ret->text)
        snprintf(ret->text, sizeof ret->text, "%s", reason);
    return true;
}

typedef const char *options_fault(const struct overlay_class *class,
                                  const struct overlay_option *options, unsigned count,
                                  char *buffer, size_t size);

/* One by one, so that the line is known. */
static bool options_wrong(const struct overlay_class *class, const struct config_option *options,
                          unsigned count, options_fault *fault, struct config_error *ret)
{
    for (unsigned i = 0; i < count; i++) {
        struct overlay_option option = {.key = options[i].key, .value = options[i].value};
        const char *reason = fault(class, &option, 1, ret->text, sizeof ret->text);
        if (reason)
            return refuse(ret, options[i].where, reason);
    }
    return false;
}

static bool options_do_not_fit(const struct overlay_class *class, const struct config_overlay *c,
                               struct config_error *ret)
{
    if (!class->fault)
        return false;
    struct overlay_option *options = base_calloc(c->option_count + 1, sizeof *options);
    char host[NAME_TEXT];
    struct overlay_settings s = {.instance = c->instance,
                                 .host = overlay_name_host(&c->self, host),
                                 .options = options,
                                 .option_count = c->option_count,
                                 .name_key_count = c->secret_count};
    for (unsigned i = 0; i < c->option_count; i++)
        options[i] = (struct overlay_option){c->options[i].key, c->options[i].value};
    const char *reason = class->fault(&s);
    free(options);
    return reason && refuse(ret, c->where, reason);
}

bool overlay_config_fault(const struct config_overlay *c, struct config_error *ret)
{
    const struct overlay_class *class = overlay_class_find(c->type);
    if (!class)
        return refuse(ret, c->where, "this build has no such type of overlay");
    if (c->listen_count > class->sockets) {
        snprintf(ret->text, sizeof ret->text,
                 "an overlay of type %s listens on %u endpoint%s; list no more under `listen:`",
                 class->name, class->sockets, class->sockets == 1 ? "" : "s");
        return refuse(ret, c->listen_where, ret->text);
    }
    if (options_wrong(class, c->options, c->option_count, overlay_options_fault, ret))
        return true;
    for (unsigned i = 0; i < c->member_count; i++)
        if (options_wrong(class, c->members[i].options, c->members[i].option_count,
                          overlay_member_options_fault, ret))
            return true;
    return options_do_not_fit(class, c, ret);
}
