/* Handle addresses: which address stands for which remote host, kept across restarts.
 *
 * A handle belongs to (name, key): the same host keeps its addresses, another key under the same
 * name gets another handle.  A handle that is released rests in quarantine, because programs keep
 * addresses longer than any answer's time to live.  Changes come out as journal records for the
 * host to append to a file; loading replays them and is safe against a file that ends at any byte.
 * Not on the packet path: the control thread's, who publishes what workers need. */
#ifndef OCALA_PATH_HANDLE_H
#define OCALA_PATH_HANDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/entropy.h"
#include "base/name.h"

#define HANDLE_NO_USER                                                                             \
    UINT32_MAX /* taken for a peer that opened the path: no local user's limit       */
#define HANDLE_QUARANTINE                                                                          \
    (48 * 3600) /* seconds after the last answer or packet                            */
#define HANDLE_TOUCH_SPAN                                                                          \
    3600 /* seconds; the last use is journaled at most this often               */
#define HANDLE_KEEP_OUT_MAX 8
#define HANDLE_PENDING_MAX                                                                         \
    (1024 * 1024) /* journal bytes kept for a host that cannot write them                */

enum handle_state { HANDLE_LIVE, HANDLE_QUARANTINED };

struct handle {
    uint32_t id; /* never used again, not after a restart either                                  */
    uint8_t state; /* enum handle_state */
    bool named; /* what its name resolves to; false when a newer handle has the same name         */
    uint32_t owner_user;
    int64_t taken_wall,
        last_used_wall; /* seconds since 1970; taken 0: by a version that did not note it */
    struct ip_address v4, v6;
    uint8_t key[32]; /* the peer's X25519 key */
    struct overlay_name name;
    const char *way; /* chain to reach it again as text (`x.via.g`), or NULL when unknown */
};

struct handle_settings {
    struct ip_prefix v4,
        v6; /* pools; v4 default 198.18.0.0/15, v6 a random ULA /48 that the host keeps */
    int64_t quarantine;  /* seconds  */
    unsigned user_limit; /* handles of one local user, quarantined ones included */
    struct ip_address keep_out[HANDLE_KEEP_OUT_MAX]; /* never given: the TUN's own addresses */
    unsigned keep_out_count;
};

/* The defaults; v6, keep_out are none. */
void handle_settings_init(struct handle_settings *settings);

struct handle_table;
/* `entropy` outlives the table.  NULL when a pool is not a prefix that holds addresses (*ret_reason
 * says which). */
struct handle_table *handle_table_new(const struct handle_settings *settings,
                                      struct entropy *entropy, const char **ret_reason);
void handle_table_free(struct handle_table *table); /* accepts NULL */
/* Other limits from now on; what was given stays. */
void handle_limits_set(struct handle_table *table, int64_t quarantine, unsigned user_limit);

/* The handle of (name, key), live from here on: the one it had, or a random free one.  NULL with
 * *ret_reason when there is none left or the user has enough of them.  `way` may be NULL (what is
 * known stays). */
const struct handle *handle_take(struct handle_table *table, int64_t wall,
                                 const struct overlay_name *name, const uint8_t key[32],
                                 const char *way, uint32_t user, const char **ret_reason);

/* Why this user would get no new handle (static), or NULL.  Those he has he keeps. */
const char *handle_refuses_user(const struct handle_table *table, uint32_t user);

/* Pointers are valid until the handle is recycled. */
const struct handle *handle_by_id(const struct handle_table *table, uint32_t id);
const struct handle *handle_by_address(const struct handle_table *table,
                                       const struct ip_address *ip);
/* Live ones only: what `name` resolves to. */
const struct handle *handle_by_name(const struct handle_table *table,
                                    const struct overlay_name *name);
const struct handle *handle_by_peer(const struct handle_table *table,
                                    const struct overlay_name *name, const uint8_t key[32]);
/* Walks all handles: *pass starts at 0; NULL at the end.  Handles may be taken, released or
 * recycled meanwhile. */
const struct handle *handle_next(const struct handle_table *table, unsigned *pass);
unsigned handle_count(const struct handle_table *table);
/* Whether an address lies in one of the pools. */
bool handle_pool_holds(const struct handle_table *table, const struct ip_address *ip);

/* An answer named it or a packet used it. */
void handle_touch(struct handle_table *table, int64_t wall, uint32_t id);
/* How to reach it again. */
void handle_set_way(struct handle_table *table, uint32_t id, const char *way);
/* Into quarantine; the last use counts from what was touched. */
void handle_release(struct handle_table *table, int64_t wall, uint32_t id);

/* Recycling, in two steps so that the host can veto: handle_due() walks the quarantined handles
 * whose time is over (*pass starts at 0), the host looks whether a flow still uses the address and
 * says so.  Used: its time starts again.  Not used: the handle is gone and its addresses are free.
 */
const struct handle *handle_due(struct handle_table *table, int64_t wall, unsigned *pass);
void handle_recycle(struct handle_table *table, int64_t wall, uint32_t id, bool still_used);

/* The journal.  output: bytes to append to the file (valid until the table changes), false when
 * there are none; written: the first `size` of them are in the file.  When they cannot be written
 * (disk full) nothing is lost: they stay, and when they become too many they give way to a
 * snapshot. */
bool handle_journal_output(struct handle_table *table, const uint8_t **ret_bytes, size_t *ret_size);
void handle_journal_written(struct handle_table *table, size_t size);
/* For a host that writes later than it says `written`: it could not.  The table asks for a
 * snapshot. */
void handle_journal_lost(struct handle_table *table);
/* Whether the file should be replaced by a snapshot: it grew far beyond what lives, or bytes were
 * given up. */
bool handle_wants_snapshot(const struct handle_table *table);
/* A compact journal of what lives now, malloc'd; the host writes it to a new file, renames it over
 * the old one, and then (nothing in between) calls handle_snapshot_written(), which makes the
 * pending bytes obsolete. */
uint8_t *handle_snapshot(struct handle_table *table, size_t *ret_size);
void handle_snapshot_written(struct handle_table *table, size_t size);

struct handle_loaded {
    size_t good;         /* bytes that replayed: cut the file there before anything is appended */
    unsigned records;    /* replayed                                                             */
    unsigned outside;    /* handles left out because the pools changed or an address is kept out */
    const char *trouble; /* why replay stopped before the end, or NULL                           */
};
/* Replays a journal into an empty table. */
void handle_load(struct handle_table *table, const void *bytes, size_t size,
                 struct handle_loaded *ret);

#endif
