/* Private to handle*.c: the table's state. */
#ifndef OCALA_PATH_HANDLE_TABLE_H
#define OCALA_PATH_HANDLE_TABLE_H

#include "base/check.h"
#define uthash_fatal(message) abort() /* a daemon without memory cannot go on */
#include <uthash.h>

#include "path/handle.h"

struct handle_entry {
    struct handle h;
    unsigned slot;
    int64_t journaled_wall; /* the last use as the journal has it */
    char *way;              /* what h.way points to               */
    UT_hash_handle by_id, by_v4, by_v6, by_peer;
    UT_hash_handle by_name; /* named ones only */
};

/* How many handles a local user has. */
struct handle_user {
    uint32_t user;
    unsigned handles;
    UT_hash_handle hh;
};

/* A growing byte string. */
struct handle_bytes {
    uint8_t *at;
    size_t size, room;
};

struct handle_table {
    struct handle_settings settings;
    struct entropy *entropy;
    struct handle_entry *by_id, *by_v4, *by_v6, *by_peer, *by_name;
    struct handle_user *users;
    struct handle_entry **slots; /* walks go by slot and survive changes; a hole is NULL */
    unsigned slot_count, slot_room;
    unsigned *holes; /* free slots */
    unsigned hole_count;
    unsigned count;
    uint32_t last_id;
    bool v4_full; /* the last search found nothing, and nothing was freed since */

    struct handle_bytes pending; /* journal records not yet in the file     */
    size_t file_size;            /* of the journal, pending bytes included  */
    bool given_up;               /* pending bytes were dropped: only a snapshot helps */
};

/* Adds an entry that is filled except for its slot; takes it over. */
void handle_entry_add(struct handle_table *table, struct handle_entry *entry);
void handle_entry_remove(struct handle_table *table, struct handle_entry *entry);
struct handle_entry *handle_entry_find(const struct handle_table *table, uint32_t id);
struct handle_entry *handle_entry_at(const struct handle_table *table, const struct ip_address *ip);
struct handle_entry *handle_entry_peer(const struct handle_table *table,
                                       const struct overlay_name *name, const uint8_t key[32]);
/* Makes it what its name resolves to (or not); returns the one that was before, if another. */
struct handle_entry *handle_entry_name(struct handle_table *table, struct handle_entry *entry,
                                       bool named);
void handle_entry_way(struct handle_entry *entry, const char *way);
bool handle_address_allowed(const struct handle_table *table, const struct ip_address *ip);

/* handle_pool.c: a random free address of each pool; false when a pool has none. */
bool handle_pool_draw(struct handle_table *table, struct ip_address *ret_v4,
                      struct ip_address *ret_v6);
const char *handle_pool_refuse(const struct handle_settings *settings);

/* handle_journal.c */
void handle_journal_begin(struct handle_table *table);
void handle_journal_put(struct handle_table *table, struct handle_entry *entry);
void handle_journal_touch(struct handle_table *table, struct handle_entry *entry);
void handle_journal_gone(struct handle_table *table, uint32_t id);

#endif
