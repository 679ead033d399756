/* Looks at both ends as a user would, by `ocala path`: what one end lists must be listed at the
 * other, which is found by its key. */
#include "sim/sim_agree.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/crypto.h"

struct view {
    json_t *reply; /* NULL: the daemon does not run */
    char key[CRYPTO_KEY_TEXT];
};

static const char *text(const json_t *o, const char *key)
{
    const char *value = json_string_value(json_object_get(o, key));
    return value ? value : "";
}

static bool stands(const json_t *path)
{
    return json_is_true(json_object_get(path, "current")) &&
           (!strcmp(text(path, "state"), "open") || !strcmp(text(path, "state"), "parked"));
}

static json_t *paths(const struct view *v)
{
    return json_object_get(json_object_get(v->reply, "result"), "paths");
}

static void look(struct sim_host *h, struct view *v)
{
    uint8_t identity[32], key[32];
    crypto_ed25519_public(h->seed, identity);
    if (crypto_ed25519_to_x25519_public(identity, key)) /* as peers see it */
        crypto_key_format(key, v->key);
    if (h->state != SIM_UP)
        return;
    sim_host_control(h, "{\"command\":\"path\"}");
    v->reply = json_loads(h->reply, JSON_DISABLE_EOF_CHECK, NULL);
}

/* Has this machine a path to that key, with keys of that generation? */
static bool has_back(const struct view *v, const char *key, json_int_t epoch)
{
    size_t i;
    json_t *p;
    json_array_foreach(paths(v), i, p)
    {
        if (stands(p) && !strcmp(text(p, "key"), key) &&
            json_integer_value(json_object_get(p, "epoch")) == epoch)
            return true;
    }
    return false;
}

static bool agrees(const struct sim *s, const struct view *view, const struct sim_host *h,
                   const json_t *path, char *why, size_t size)
{
    json_int_t epoch = json_integer_value(json_object_get(path, "epoch"));
    unsigned other = 0;
    while (other < s->hosts && strcmp(view[other].key, text(path, "key")))
        other++;
    if (other == s->hosts)
        return true; /* none of these machines: an identity of its own */
    if (has_back(&view[other], view[h->index].key, epoch))
        return true;
    snprintf(why, size, "%s has a path to %s, and %s has none back with the same keys",
             h->node.name, text(path, "name"), s->host[other]->node.name);
    return false;
}

bool sim_agree(const struct sim *s, struct sim_host *const *host, unsigned hosts, char *why,
               size_t size)
{
    struct view *view = base_calloc(s->hosts, sizeof *view);
    bool ok = true;
    for (unsigned i = 0; i < s->hosts; i++)
        look(s->host[i], &view[i]);
    for (unsigned i = 0; i < hosts && ok; i++) {
        size_t at;
        json_t *path;
        json_array_foreach(paths(&view[host[i]->index]), at, path)
        {
            ok = ok && (!stands(path) || agrees(s, view, host[i], path, why, size));
        }
    }
    for (unsigned i = 0; i < s->hosts; i++)
        json_decref(view[i].reply);
    free(view);
    return ok;
}
