/* The table of handles.
 *
 *   take ----> LIVE, named ----> LIVE, not named     a newer key took the name: traffic goes on,
 *                |  ^                   |            the name resolves elsewhere
 *        release |  | take              | release
 *                v  |                   v
 *              QUARANTINED  <-----------+
 *                |
 *                | 48 h after the last use, and the host knows of no flow
 *                v
 *              gone: the addresses are free
 *
 * A quarantined handle still says whom its address meant, so that a packet to a stale address can
 * bring the path up again instead of reaching somebody else. */
#include "path/handle_table.h"

#include <stddef.h>
#include <string.h>

#define WAY_MAX (CHAIN_MAX * (NAME_TEXT + 4)) /* the longest chain as text */

/* (key, name) is one hash key of variable length. */
_Static_assert(offsetof(struct handle, name) == offsetof(struct handle, key) + 32,
               "key and name are adjacent");

void handle_settings_init(struct handle_settings *settings)
{
    *settings = (struct handle_settings){
        .v4 = {.ip = {.family = 4, .bytes = {198, 18}}, .length = 15},
        .quarantine = HANDLE_QUARANTINE,
        .user_limit = 4096,
    };
}

struct handle_table *handle_table_new(const struct handle_settings *settings,
                                      struct entropy *entropy, const char **ret_reason)
{
    const char *reason = handle_pool_refuse(settings);
    if (reason) {
        *ret_reason = reason;
        return NULL;
    }
    struct handle_table *table = base_calloc(1, sizeof *table);
    table->settings = *settings;
    table->entropy = entropy;
    handle_journal_begin(table);
    return table;
}

void handle_limits_set(struct handle_table *table, int64_t quarantine, unsigned user_limit)
{
    table->settings.quarantine = quarantine;
    table->settings.user_limit = user_limit;
}

void handle_table_free(struct handle_table *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < table->slot_count; i++)
        if (table->slots[i])
            handle_entry_remove(table, table->slots[i]);
    free(table->slots);
    free(table->holes);
    free(table->pending.at);
    free(table);
}

/* ---- entries ---- */

static void user_count(struct handle_table *table, uint32_t user, int by)
{
    struct handle_user *u;
    if (user == HANDLE_NO_USER)
        return;
    HASH_FIND(hh, table->users, &user, sizeof user, u);
    if (!u) {
        u = base_calloc(1, sizeof *u);
        u->user = user;
        HASH_ADD(hh, table->users, user, sizeof u->user, u);
    }
    u->handles += (unsigned)by;
    if (u->handles == 0) {
        HASH_DELETE(hh, table->users, u);
        free(u);
    }
}

static unsigned slot_take(struct handle_table *table)
{
    if (table->hole_count)
        return table->holes[--table->hole_count];
    if (table->slot_count == table->slot_room) {
        table->slot_room = table->slot_room ? 2 * table->slot_room : 64;
        table->slots = base_realloc(table->slots, table->slot_room * sizeof *table->slots);
        table->holes = base_realloc(table->holes, table->slot_room * sizeof *table->holes);
    }
    return table->slot_count++;
}

void handle_entry_add(struct handle_table *table, struct handle_entry *e)
{
    e->slot = slot_take(table);
    table->slots[e->slot] = e;
    table->count++;
    HASH_ADD(by_id, table->by_id, h.id, sizeof e->h.id, e);
    if (e->h.v4.family)
        HASH_ADD_KEYPTR(by_v4, table->by_v4, e->h.v4.bytes, 4, e);
    if (e->h.v6.family)
        HASH_ADD_KEYPTR(by_v6, table->by_v6, e->h.v6.bytes, 16, e);
    HASH_ADD_KEYPTR(by_peer, table->by_peer, e->h.key, 32 + strlen(e->h.name.text), e);
    user_count(table, e->h.owner_user, 1);
    bool named = e->h.named;
    e->h.named = false;
    handle_entry_name(table, e, named);
}

void handle_entry_remove(struct handle_table *table, struct handle_entry *e)
{
    handle_entry_name(table, e, false);
    user_count(table, e->h.owner_user, -1);
    HASH_DELETE(by_peer, table->by_peer, e);
    if (e->h.v6.family)
        HASH_DELETE(by_v6, table->by_v6, e);
    if (e->h.v4.family)
        HASH_DELETE(by_v4, table->by_v4, e);
    HASH_DELETE(by_id, table->by_id, e);
    table->slots[e->slot] = NULL;
    table->holes[table->hole_count++] = e->slot;
    table->count--;
    table->v4_full = false;
    free(e->way);
    free(e);
}

struct handle_entry *handle_entry_find(const struct handle_table *table, uint32_t id)
{
    struct handle_entry *e;
    HASH_FIND(by_id, table->by_id, &id, sizeof id, e);
    return e;
}

struct handle_entry *handle_entry_at(const struct handle_table *table, const struct ip_address *ip)
{
    struct handle_entry *e = NULL;
    if (ip->family == 4)
        HASH_FIND(by_v4, table->by_v4, ip->bytes, 4, e);
    else if (ip->family == 6)
        HASH_FIND(by_v6, table->by_v6, ip->bytes, 16, e);
    return e;
}

struct handle_entry *handle_entry_peer(const struct handle_table *table,
                                       const struct overlay_name *name, const uint8_t key[32])
{
    uint8_t peer[32 + NAME_TEXT];
    size_t length = strnlen(name->text, NAME_TEXT - 1);
    memcpy(peer, key, 32);
    memcpy(peer + 32, name->text, length);
    struct handle_entry *e;
    HASH_FIND(by_peer, table->by_peer, peer, 32 + length, e);
    return e;
}

static struct handle_entry *named_entry(const struct handle_table *table,
                                        const struct overlay_name *name)
{
    struct handle_entry *e;
    HASH_FIND(by_name, table->by_name, name->text, strnlen(name->text, NAME_TEXT - 1), e);
    return e;
}

struct handle_entry *handle_entry_name(struct handle_table *table, struct handle_entry *e,
                                       bool named)
{
    struct handle_entry *before = NULL;
    if (e->h.named == named)
        return NULL;
    if (!named) {
        HASH_DELETE(by_name, table->by_name, e);
    } else {
        before = named_entry(table, &e->h.name);
        if (before)
            handle_entry_name(table, before, false);
        HASH_ADD_KEYPTR(by_name, table->by_name, e->h.name.text, strlen(e->h.name.text), e);
    }
    e->h.named = named;
    return before;
}

void handle_entry_way(struct handle_entry *e, const char *way)
{
    char *copy = way ? base_strdup(way) : NULL;
    free(e->way);
    e->h.way = e->way = copy;
}

/* ---- taking and releasing ---- */

static bool way_differs(const struct handle_entry *e, const char *way)
{
    return way && strlen(way) <= WAY_MAX && (!e->way || strcmp(e->way, way) != 0);
}

static void entry_revive(struct handle_table *table, int64_t wall, struct handle_entry *e,
                         const char *way)
{
    bool changed = e->h.state != HANDLE_LIVE || !e->h.named || way_differs(e, way);
    if (way_differs(e, way))
        handle_entry_way(e, way);
    e->h.state = HANDLE_LIVE;
    struct handle_entry *before = handle_entry_name(table, e, true);
    if (!changed) {
        handle_touch(table, wall, e->h.id);
        return;
    }
    e->h.last_used_wall = wall;
    handle_journal_put(table, e);
    if (before)
        handle_journal_put(table, before);
}

const char *handle_refuses_user(const struct handle_table *table, uint32_t user)
{
    struct handle_user *u;
    HASH_FIND(hh, table->users, &user, sizeof user, u);
    bool full = user != HANDLE_NO_USER && (u ? u->handles : 0) >= table->settings.user_limit;
    return full ? "this user has as many handle addresses as one user may have" : NULL;
}

const struct handle *handle_take(struct handle_table *table, int64_t wall,
                                 const struct overlay_name *name, const uint8_t key[32],
                                 const char *way, uint32_t user, const char **ret_reason)
{
    struct handle_entry *e = handle_entry_peer(table, name, key);
    if (e) {
        entry_revive(table, wall, e, way);
        return &e->h;
    }
    struct ip_address v4, v6;
    const char *reason;
    if (!labels_valid(name->text, &reason) || (reason = handle_refuses_user(table, user)) != NULL) {
        *ret_reason = reason;
        return NULL;
    }
    if (!handle_pool_draw(table, &v4, &v6)) {
        *ret_reason = "all addresses of the handle pool are in use or were used in the last days; "
                      "a larger pool "
                      "can be set in the configuration";
        return NULL;
    }
    e = base_calloc(1, sizeof *e);
    e->h = (struct handle){.id = ++table->last_id,
                           .state = HANDLE_LIVE,
                           .owner_user = user,
                           .taken_wall = wall,
                           .last_used_wall = wall,
                           .v4 = v4,
                           .v6 = v6};
    memcpy(e->h.key, key, 32);
    memcpy(e->h.name.text, name->text, strlen(name->text));
    if (way_differs(e, way))
        handle_entry_way(e, way);
    handle_entry_add(table, e);
    struct handle_entry *before = handle_entry_name(table, e, true);
    handle_journal_put(table, e);
    if (before)
        handle_journal_put(table, before);
    return &e->h;
}

void handle_touch(struct handle_table *table, int64_t wall, uint32_t id)
{
    struct handle_entry *e = handle_entry_find(table, id);
    if (!e)
        return;
    e->h.last_used_wall = wall;
    /* A wall clock that was set back is written down as well: else the time would never be over. */
    if (wall - e->journaled_wall >= HANDLE_TOUCH_SPAN || wall < e->journaled_wall)
        handle_journal_touch(table, e);
}

void handle_set_way(struct handle_table *table, uint32_t id, const char *way)
{
    struct handle_entry *e = handle_entry_find(table, id);
    if (!e || !way_differs(e, way))
        return;
    handle_entry_way(e, way);
    handle_journal_put(table, e);
}

void handle_release(struct handle_table *table, int64_t wall, uint32_t id)
{
    struct handle_entry *e = handle_entry_find(table, id);
    if (!e || e->h.state == HANDLE_QUARANTINED)
        return;
    e->h.state = HANDLE_QUARANTINED;
    if (e->h.last_used_wall > wall)
        e->h.last_used_wall = wall;
    handle_entry_name(table, e, false);
    handle_journal_put(table, e);
}

const struct handle *handle_due(struct handle_table *table, int64_t wall, unsigned *pass)
{
    while (*pass < table->slot_count) {
        struct handle_entry *e = table->slots[(*pass)++];
        if (!e || e->h.state != HANDLE_QUARANTINED)
            continue;
        /* Used in the future: the wall clock was wrong then; the time starts now. */
        if (e->h.last_used_wall > wall)
            handle_touch(table, wall, e->h.id);
        /* The journal may be behind by one span after a restart. */
        if (wall - e->h.last_used_wall >= table->settings.quarantine + HANDLE_TOUCH_SPAN)
            return &e->h;
    }
    return NULL;
}

void handle_recycle(struct handle_table *table, int64_t wall, uint32_t id, bool still_used)
{
    struct handle_entry *e = handle_entry_find(table, id);
    if (!e || e->h.state != HANDLE_QUARANTINED)
        return;
    if (still_used) {
        handle_touch(table, wall, id);
        return;
    }
    handle_entry_remove(table, e);
    handle_journal_gone(table, id);
}

/* ---- looking ---- */

const struct handle *handle_by_id(const struct handle_table *table, uint32_t id)
{
    const struct handle_entry *e = handle_entry_find(table, id);
    return e ? &e->h : NULL;
}

const struct handle *handle_by_address(const struct handle_table *table,
                                       const struct ip_address *ip)
{
    const struct handle_entry *e = handle_entry_at(table, ip);
    return e ? &e->h : NULL;
}

const struct handle *handle_by_name(const struct handle_table *table,
                                    const struct overlay_name *name)
{
    const struct handle_entry *e = named_entry(table, name);
    return e ? &e->h : NULL;
}

const struct handle *handle_by_peer(const struct handle_table *table,
                                    const struct overlay_name *name, const uint8_t key[32])
{
    const struct handle_entry *e = handle_entry_peer(table, name, key);
    return e ? &e->h : NULL;
}

const struct handle *handle_next(const struct handle_table *table, unsigned *pass)
{
    while (*pass < table->slot_count) {
        const struct handle_entry *e = table->slots[(*pass)++];
        if (e)
            return &e->h;
    }
    return NULL;
}

unsigned handle_count(const struct handle_table *table)
{
    return table->count;
}

bool handle_pool_holds(const struct handle_table *table, const struct ip_address *ip)
{
    const struct handle_settings *s = &table->settings;
    return (s->v4.ip.family && ip_prefix_holds(&s->v4, ip)) ||
           (s->v6.ip.family && ip_prefix_holds(&s->v6, ip));
}
