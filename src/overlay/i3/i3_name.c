/* Public identifiers: those of our own name, for which triggers are kept as long as the module lives, and those of hosts
 * that are looked for.
 *
 * A name has one identifier, which everybody can compute; or, with `names: keyed`, one for each secret of the network, so
 * that hosts find each other while the secret is being changed.  Or it has one that has nothing to do with the name: a host
 * computes it from a text that only it knows (`id_from`), others have it in their configuration (`id` of a member).  Who
 * knows the identifier alone can send to it, and cannot bind it to an address: the constraint wants its key. */
#include <string.h>

#include "overlay/i3/i3_module.h"

/* Of our own name: what its identifier is computed from instead, or NULL. */
static const char *own_text(const struct i3 *m, const char *host)
{
    const struct overlay_settings *s = &m->overlay.settings;
    return strcmp(host, s->host) ? NULL : i3_option(s, "id_from");
}

unsigned i3_name_count(const struct i3 *m, const char *host)
{
    if (own_text(m, host) || i3_member_option(&m->overlay.settings, host, "id"))
        return 1;
    return m->keyed ? m->overlay.settings.name_key_count : 1;
}

static void compute(struct i3 *m, const uint8_t *key_of_names, const char *host, struct i3_id *ret,
                    uint8_t ret_key[I3_KEY])
{
    char name[2 * NAME_TEXT + 2];
    struct text t;
    text_begin(&t, name, sizeof name);
    text_add(&t, "%s.%s", host, m->overlay.settings.instance);
    i3_id_of_name(m->client.hash, key_of_names, name, ret, ret_key);
    memcpy(ret->bytes + I3_ID - 8, m->suffix, m->suffix_size);
}

void i3_name_id(struct i3 *m, unsigned which, const char *host, struct i3_id *ret,
                uint8_t ret_key[I3_KEY])
{
    const char *text = own_text(m, host), *id = i3_member_option(&m->overlay.settings, host, "id");
    if (id && i3_id_text_parse(id, ret))
        return; /* others' triggers are not ours to insert: there is no key */
    if (text) {
        i3_id_of_name(m->client.hash, NULL, text, ret, ret_key);
        return;
    }
    compute(m, m->keyed ? m->overlay.settings.name_keys[which] : NULL, host, ret, ret_key);
}

void i3_middlebox_id(struct i3 *m, const char *host, struct i3_id *ret)
{
    uint8_t key[I3_KEY];
    compute(m, NULL, host, ret, key);
}

unsigned i3_through_names(const struct i3 *m, const char *host, char ret[I3_THROUGH_MAX][NAME_TEXT])
{
    const struct overlay_settings *s = &m->overlay.settings;
    const char *text = i3_member_option(s, host, "through");
    char name[I3_THROUGH_MAX][NAME_TEXT];
    unsigned count = 0, used = 0;
    if (!text)
        text = i3_option(s, "through");
    if (!text || !i3_through_parse(text, name, &count))
        return 0;
    for (unsigned i = 0; i < count; i++)
        if (strcmp(name[i], s->host) && strcmp(name[i], host))
            strcpy(ret[used++], name[i]);
    return used;
}

unsigned i3_through_ids(struct i3 *m, const char *host, struct i3_id ret[I3_THROUGH_MAX])
{
    char name[I3_THROUGH_MAX][NAME_TEXT];
    unsigned count = i3_through_names(m, host, name);
    for (unsigned i = 0; i < count; i++)
        i3_middlebox_id(m, name[i], &ret[i]);
    return count;
}

/* Beside the name's trigger, where packets of ours to ourselves are not lost when the name is flooded. */
static void insert_stand_in(struct i3 *m, instant now)
{
    struct i3_client *c = &m->client;
    struct i3_id id;
    uint8_t key[I3_KEY];
    i3_id_draw(c->hash, c->entropy, m->name[0]->trigger.id.bytes, &id, key);
    c->stand_in = i3_binding_add(c, now, &id, key, I3_PREFIX_NAME, NULL, 0);
}

/* Several hosts of one name differ in the end of their identifiers; those that match as long as the others are told
 * apart by chance. */
void i3_names_insert(struct i3 *m, instant now)
{
    for (unsigned i = 0; i < i3_name_count(m, m->overlay.settings.host); i++) {
        struct i3_id id;
        uint8_t key[I3_KEY];
        i3_name_id(m, i, m->overlay.settings.host, &id, key);
        if (m->suffix_size)
            entropy_fill(m->client.entropy, id.bytes + I3_ID - 8 + m->suffix_size,
                         8 - m->suffix_size);
        m->name[i] = i3_binding_add(&m->client, now, &id, key, I3_PREFIX_NAME, NULL, 0);
        if (m->name[i])
            m->name[i]->limit = m->limit;
    }
    m->client.checked = m->name[0];
    if (m->limit && m->name[0])
        insert_stand_in(m, now);
}

void i3_names_remove(struct i3 *m)
{
    if (m->client.stand_in)
        i3_binding_remove(&m->client, m->client.stand_in);
    for (unsigned i = 0; i < I3_NAMES; i++) {
        if (m->name[i])
            i3_binding_remove(&m->client, m->name[i]);
        m->name[i] = NULL;
    }
}
