/* What things are called: every text once, however many use it, and what is known by it.
 *
 * Neighbours, peers, paths and known keys go by names, mostly by the same ones; a lookup is one, and
 * a name that many share (how a key is known) costs as much as one. */
#include "path/path_internal.h"

#include <string.h>

static struct name_entry *entry_at(const struct hash_link *link)
{
    return (struct name_entry *)((char *)link - offsetof(struct name_entry, link));
}

static uint64_t text_hash(const struct path_engine *e, const char *text)
{
    return crypto_siphash(e->source_key, text, strlen(text));
}

static uint64_t entry_hash(const void *context, const struct hash_link *link)
{
    return text_hash(context, entry_at(link)->text);
}

void path_names_init(struct path_engine *e)
{
    hash_init(&e->names, entry_hash, e);
}

struct name_entry *path_names_find(const struct path_engine *e, const char *text)
{
    for (struct hash_link *l = hash_first(&e->names, text_hash(e, text)); l; l = l->next)
        if (!strcmp(entry_at(l)->text, text))
            return entry_at(l);
    return NULL;
}

const char *path_names_take(struct path_engine *e, const char *text)
{
    struct name_entry *n = path_names_find(e, text);
    if (!n) {
        size_t size = strlen(text) + 1;
        n = base_calloc(1, offsetof(struct name_entry, text) + size);
        memcpy(n->text, text, size);
        hash_add(&e->names, &n->link);
    }
    n->users++;
    return n->text;
}

struct name_entry *path_names_of(const char *taken)
{
    return (struct name_entry *)((char *)taken - offsetof(struct name_entry, text));
}

void path_names_give(struct path_engine *e, const char *taken)
{
    struct name_entry *n = taken ? path_names_of(taken) : NULL;
    if (!n || --n->users)
        return;
    hash_remove(&e->names, &n->link);
    free(n);
}
