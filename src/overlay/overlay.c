/* The generic half of overlays: finding a class, judging it, making and ending instances.
 *
 * A class is data, so what can be wrong with it (a hook forgotten, a size that does not hold the
 * embedded struct) is found once, when an instance is made and in the conformance test, instead of
 * by a crash at the first packet. */
#include "overlay/overlay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/name.h"

const struct overlay_class *overlay_class_find(const char *type)
{
    unsigned count;
    const struct overlay_class *const *classes = overlay_classes(&count);
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(classes[i]->name, type))
            return classes[i];
    return NULL;
}

const char *overlay_class_fault(const struct overlay_class *c)
{
    const char *reason;
    if (c->abi != OVERLAY_ABI)
        return "made for another version of the module contract";
    if (!c->name || !labels_valid(c->name, &reason) || strchr(c->name, '.'))
        return "its name is not one label";
    if (!c->promise || !*c->promise)
        return "no promise";
    if (c->size < sizeof(struct overlay))
        return "its instance does not hold struct overlay";
    if (c->sockets < 1 || c->sockets > 4)
        return "needs fewer than 1 or more than 4 sockets";
    if (c->headroom > RECIPE_BYTES || c->tailroom > PACKET_TAILROOM)
        return "adds more bytes than a packet buffer has room for";
    if (!(c->flags & (OVERLAY_CARRIES_IP | OVERLAY_CARRIES_ETHERNET)))
        return "carries neither IP nor Ethernet";
    if (!c->schema)
        return "no schema";
    if (!c->init || !c->done || !c->output)
        return "a hook of the instance's life is missing";
    if (!c->tunnel_open || !c->tunnel_accept || !c->tunnel_moved || !c->tunnel_close || !c->answer)
        return "a hook of the tunnels' life is missing";
    if (!c->link_up != !c->link_down)
        return "link_up without link_down, or the other way round";
    if (!c->metrics != !c->metric)
        return "metrics without their values, or the other way round";
    if (!c->advance != !c->deadline)
        return "advance without deadline, or the other way round";
    return NULL;
}

static const struct overlay_schema *schema_find(const struct overlay_schema *schema,
                                                const char *key)
{
    for (const struct overlay_schema *s = schema; s && s->key; s++)
        if (!strcmp(s->key, key))
            return s;
    return NULL;
}

static const char *unknown_option(const struct overlay_schema *schema, const char *whose,
                                  const char *type, const char *key, char *buffer, size_t size)
{
    struct text t;
    text_begin(&t, buffer, size);
    text_add(&t, "%s of type %s have no option '", whose, type);
    text_add_escaped(&t, key, strlen(key));
    text_add(&t, "'; ");
    if (!schema || !schema->key)
        text_add(&t, "they have none at all");
    else
        text_add(&t, "known:");
    for (const struct overlay_schema *s = schema; s && s->key; s++)
        text_add(&t, " %s%s", s->key, s[1].key ? "," : "");
    return buffer;
}

static const char *options_fault(const struct overlay_schema *schema, const char *whose,
                                 const char *type, const struct overlay_option *options,
                                 unsigned count, char *buffer, size_t size)
{
    for (unsigned i = 0; i < count; i++) {
        const struct overlay_schema *s = schema_find(schema, options[i].key);
        if (!s)
            return unknown_option(schema, whose, type, options[i].key, buffer, size);
        struct text t;
        text_begin(&t, buffer, size);
        if (s->valid && !s->valid(options[i].value)) {
            text_add(&t, "option '%s' of %s of type %s cannot be '", s->key, whose, type);
            text_add_escaped(&t, options[i].value, strlen(options[i].value));
            text_add(&t, "'; accepted: %s", s->accepted);
            return buffer;
        }
        for (unsigned k = 0; k < i; k++)
            if (!strcmp(options[k].key, options[i].key)) {
                text_add(&t, "option '%s' is given twice", s->key);
                return buffer;
            }
    }
    return NULL;
}

const char *overlay_options_fault(const struct overlay_class *c,
                                  const struct overlay_option *options, unsigned count,
                                  char *buffer, size_t size)
{
    return options_fault(c->schema, "overlays", c->name, options, count, buffer, size);
}

const char *overlay_member_options_fault(const struct overlay_class *c,
                                         const struct overlay_option *options, unsigned count,
                                         char *buffer, size_t size)
{
    return options_fault(c->member_schema, "members of overlays", c->name, options, count, buffer,
                         size);
}

struct overlay *overlay_new(const struct overlay_class *c, const struct overlay_settings *s,
                            instant now, const char **ret_reason)
{
    const char *fault = overlay_class_fault(c);
    if (fault) {
        *ret_reason = fault;
        return NULL;
    }
    struct overlay *o = base_calloc(1, c->size);
    o->class = c;
    o->settings = *s;
    const char *reason = "the overlay module could not start";
    if (c->init(o, now, &reason)) {
        *ret_reason = reason;
        overlay_free(o);
        return NULL;
    }
    return o;
}

void overlay_free(struct overlay *o)
{
    if (!o)
        return;
    o->class->done(o);
    free(o);
}
